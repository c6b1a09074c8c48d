// Every policy keeps the contract. A new policy adds its entry here.
#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/fallback.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/testing/policy_contract.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace hawser::test::contract_test {
namespace {

using namespace std::chrono_literals;
using testing::contract_subject;

std::string bulkhead_leftover(policy& p, time_point) {
  const auto now = static_cast<bulkhead_policy&>(p).snapshot();
  if (now.in_flight == 0 && now.queued == 0) return {};
  return std::to_string(now.in_flight) + " permits, " + std::to_string(now.queued) + " queued";
}

std::string breaker_leftover(policy& p, time_point now) {
  const int out = static_cast<circuit_breaker_policy&>(p).snapshot(now).probes_out;
  return out == 0 ? std::string() : std::to_string(out) + " probes";
}

template <class Options>
contract_subject subject(std::string name, Options options,
                         std::function<std::string(policy&, time_point)> leftover = {}) {
  return {std::move(name), [options] { return make_policy(options); }, std::move(leftover)};
}

std::vector<contract_subject> subjects() {
  const retry quick{.max_attempts = 3, .delay = constant{.each = 2ms}};
  retry throwing = quick;
  throwing.transient = [](const outcome&) -> std::optional<bool> {
    throw std::runtime_error("the user's classifier");
  };
  retry budgeted = quick;
  budgeted.budget = make_budget(token_budget{.tokens = 10});
  retry waiting = quick;
  waiting.wait_for_permission = true;
  const circuit_breaker touchy{.failure_ratio = {},
                               .consecutive_failures = 2,
                               .open_for = 4ms,
                               .open_cap = 8ms,
                               .probes_to_close = 1,
                               .probe_lease = 20ms};
  return {
      subject("timeout", timeout{.after = 8ms}),
      subject("timeout_with_reserve", timeout{.after = 50ms, .reserve = 4ms}),
      subject("retry", quick),
      subject("retry_with_throwing_callback", throwing),
      subject("retry_with_budget", budgeted),
      subject("retry_that_waits_for_permission", waiting),
      subject("fallback", fallback::value(7)),
      subject("fallback_with_throwing_source",
              fallback::from([](const outcome&) -> int { throw std::runtime_error("source"); })),
      subject("fallback_with_throwing_condition",
              fallback::value(7).when(
                  [](const outcome&) -> bool { throw std::runtime_error("condition"); })),
      subject("circuit_breaker", touchy, breaker_leftover),
      subject("circuit_breaker_slow_rule",
              circuit_breaker{.min_calls = 1,
                              .slow_ratio = 0.5,
                              .slow_after = 4ms,
                              .open_for = 4ms,
                              .open_cap = 8ms},
              breaker_leftover),
      subject("bulkhead", bulkhead{.max_concurrent = 1}, bulkhead_leftover),
      subject("bulkhead_with_queue", bulkhead{.max_concurrent = 1, .max_queue = 2},
              bulkhead_leftover),
      subject("bulkhead_with_queue_wait",
              bulkhead{.max_concurrent = 1,
                       .max_queue = 3,
                       .max_queue_wait = 6ms,
                       .order = queue_order::lifo_under_overload},
              bulkhead_leftover),
      subject("rate_limiter", rate_limiter{.permits = 1, .per = 10ms, .burst = 1}),
      subject("rate_limiter_with_wait",
              rate_limiter{.permits = 1, .per = 4ms, .burst = 1, .max_wait = 9ms}),
  };
}

class contract : public ::testing::TestWithParam<std::size_t> {};

TEST_P(contract, is_kept) {
  for (const std::string& broken : testing::check_policy_contract(subjects()[GetParam()]))
    ADD_FAILURE() << broken;
}

INSTANTIATE_TEST_SUITE_P(every, contract, ::testing::Range(std::size_t{0}, subjects().size()),
                         [](const auto& which) { return subjects()[which.param].name; });

}  // namespace
}  // namespace hawser::test::contract_test
