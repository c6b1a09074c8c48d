// What clients are replayed under: virtual time, on which nothing may be left behind, and a whole
// stack of policies, of which nobody may hold anything after a run.
#pragma once

#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/timeout.hpp"

#include "support/virtual_time.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <utility>

namespace hawser::test {

struct shop_rig {
  explicit shop_rig(int max_concurrent)
      : slots(std::make_shared<bulkhead_policy>(
            bulkhead{.max_concurrent = max_concurrent, .max_queue = 4})) {
    env.on_leftover([](std::string_view left) { ADD_FAILURE() << "left behind: " << left; });
  }

  [[nodiscard]] pipeline_builder stack() const {
    return std::move(pipeline_builder("shop")
                         .add(timeout{.after = 5min})
                         .add(rate_limiter{.permits = 1'000, .burst = 1'000})
                         .add(slots)
                         .add(retry{.max_attempts = 3, .delay = steady(10ms)})
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
