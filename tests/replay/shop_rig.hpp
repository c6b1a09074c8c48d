// What clients are replayed under: virtual time, on which nothing may be left behind, and a whole
// stack of policies, of which nobody may hold anything after a run.
#pragma once

#include "hawser/observe/observer.hpp"
#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/fallback.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/timeout.hpp"

#include "support/virtual_time.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace hawser::test {

/// What a user may put into the stack.
struct user_callbacks {
  std::shared_ptr<observer> listener{};
  std::function<std::optional<bool>(const outcome&)> transient{};
  std::optional<fallback> substitute{};  ///< Outermost.
};

struct shop_rig {
  explicit shop_rig(int max_concurrent)
      : slots(std::make_shared<bulkhead_policy>(
            bulkhead{.max_concurrent = max_concurrent, .max_queue = 4})) {
    env.on_leftover([](std::string_view left) { ADD_FAILURE() << "left behind: " << left; });
  }

  [[nodiscard]] pipeline_builder stack(const user_callbacks& mine = {}) const {
    pipeline_builder b("shop");
    b.calls_are(effect::idempotent);
    if (mine.listener) b.observe(mine.listener);
    if (mine.substitute) b.add(*mine.substitute);
    retry again{.max_attempts = 3, .delay = steady(10ms)};
    again.transient = mine.transient;
    return std::move(b.add(timeout{.after = 5min})
                         .add(rate_limiter{.permits = 1'000, .burst = 1'000})
                         .add(slots)
                         .add(std::move(again))
                         .add(breaker)
                         .add(timeout{.after = 1min}));
  }
  void check_permits() const {
    EXPECT_EQ(slots->snapshot().in_flight, 0);
    EXPECT_EQ(slots->snapshot().queued, 0);
    EXPECT_EQ(breaker->snapshot(env.now()).probes_out, 0);
  }

  manual_environment env;
  std::shared_ptr<bulkhead_policy> slots;
  std::shared_ptr<circuit_breaker_policy> breaker = std::make_shared<circuit_breaker_policy>(
      circuit_breaker{.min_calls = 20, .consecutive_failures = {}});
};

}  // namespace hawser::test
