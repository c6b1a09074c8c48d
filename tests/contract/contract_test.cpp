// Every policy keeps the contract. A new policy adds its entry here.
#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/fallback.hpp"
#include "hawser/policy/keyed.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/start_spread.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/execute.hpp"
#include "hawser/testing/policy_contract.hpp"

#include "support/each_step.hpp"
#include "support/virtual_time.hpp"
#include "testing/policy_contract_watch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/strand.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hawser::test::contract_test {
namespace {

namespace asio = boost::asio;
using testing::contract_subject;

std::string bulkhead_leftover(policy& p, time_point) {
  const auto now = static_cast<bulkhead_policy&>(p).snapshot();
  if (now.in_flight == 0 && now.queued == 0) return {};
  return std::to_string(now.in_flight) + " permits, " + std::to_string(now.queued) + " queued";
}

std::string breaker_leftover(policy& p, time_point now) {
  const circuit_snapshot s = static_cast<circuit_breaker_policy&>(p).snapshot(now);
  if (s.probes_out == 0 && s.waiting == 0) return {};
  return std::to_string(s.probes_out) + " probes, " + std::to_string(s.waiting) + " waiting";
}

std::string limiter_leftover(policy& p, time_point now) {
  const int waiting = static_cast<rate_limiter_policy&>(p).snapshot(now).waiting;
  return waiting == 0 ? std::string() : std::to_string(waiting) + " waiting";
}

/// It tells no number: a failure must still get its substitute.
std::string fallback_leftover(policy& p, time_point) {
  manual_environment env;
  const std::shared_ptr<policy> not_owned(std::shared_ptr<void>(), &p);
  const pipeline alone = pipeline_builder("fallback").add(not_owned).build(env);
  const auto fails = []() -> result<int> { return error(errc::connection_closed); };
  return alone.execute(fails) ? std::string() : "a place among those inside the sources";
}

template <class Options>
contract_subject subject(std::string name, Options options,
                         std::function<std::string(policy&, time_point)> leftover = {}) {
  return {std::move(name), [options] { return make_policy(options); }, std::move(leftover)};
}

/// One of each key, asked of that of the calls, which have none.
contract_subject keyed_subject(std::string name, contract_subject each) {
  std::function<std::string(policy&, time_point)> leftover;
  if (each.leftover)
    leftover = [of_each = each.leftover](policy& p, time_point now) {
      return of_each(*static_cast<keyed_policy&>(p).of(""), now);
    };
  const auto make = [make_each = each.make] { return std::make_shared<keyed_policy>(make_each); };
  return {std::move(name), make, std::move(leftover)};
}

/// A breaker that was put into a state by hand.
contract_subject forced(std::string name, circuit_breaker options,
                        void (circuit_breaker_policy::*into)(time_point) noexcept) {
  const auto make = [options, into] {
    auto made = std::make_shared<circuit_breaker_policy>(options);
    ((*made).*into)(time_point(1h));
    return made;
  };
  return {std::move(name), make, breaker_leftover};
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
                               .consecutive_span = {},
                               .open_for = 4ms,
                               .open_cap = 8ms,
                               .probes_to_close = 1,
                               .probe_lease = 20ms};
  circuit_breaker patient = touchy;
  patient.max_wait = 10ms;
  patient.max_waiting = 2;
  circuit_breaker suspicious = patient;
  suspicious.consecutive_failures = 4;
  suspicious.suspect_failures = 1;
  circuit_breaker of_connections = patient;
  of_connections.hears = failure_scope::connections;
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
      subject("fallback_at_most",
              fallback::from([](const outcome&) -> int { throw std::runtime_error("source"); })
                  .or_value(7)
                  .at_most(1),
              fallback_leftover),
      subject("circuit_breaker", touchy, breaker_leftover),
      subject("circuit_breaker_slow_rule",
              circuit_breaker{.min_calls = 1,
                              .slow_ratio = 0.5,
                              .slow_after = 4ms,
                              .open_for = 4ms,
                              .open_cap = 8ms},
              breaker_leftover),
      subject("circuit_breaker_time_window",
              circuit_breaker{.window = time_window{.span = 20ms, .buckets = 4},
                              .min_calls = 1,
                              .open_for = 4ms,
                              .open_cap = 8ms},
              breaker_leftover),
      subject("circuit_breaker_with_waiting", patient, breaker_leftover),
      subject("circuit_breaker_that_suspects", suspicious, breaker_leftover),
      subject("circuit_breaker_of_connections", of_connections, breaker_leftover),
      forced("circuit_breaker_metrics_only_with_waiting", patient,
             &circuit_breaker_policy::metrics_only),
      forced("circuit_breaker_isolated_with_waiting", patient, &circuit_breaker_policy::isolate),
      forced("circuit_breaker_metrics_only", touchy, &circuit_breaker_policy::metrics_only),
      forced("circuit_breaker_disabled", touchy, &circuit_breaker_policy::disable),
      forced("circuit_breaker_isolated", touchy, &circuit_breaker_policy::isolate),
      subject("bulkhead", bulkhead{.max_concurrent = 1}, bulkhead_leftover),
      subject("bulkhead_with_queue", bulkhead{.max_concurrent = 1, .max_queue = 2},
              bulkhead_leftover),
      subject("bulkhead_with_queue_wait",
              bulkhead{.max_concurrent = 1,
                       .max_queue = 3,
                       .max_queue_wait = 6ms,
                       .order = queue_order::lifo_under_overload},
              bulkhead_leftover),
      subject("bulkhead_with_service_floor",
              bulkhead{.max_concurrent = 1, .max_queue = 2, .service_floor = 4ms},
              bulkhead_leftover),
      subject("rate_limiter", rate_limiter{.permits = 1, .per = 10ms, .burst = 1},
              limiter_leftover),
      subject("rate_limiter_with_wait",
              rate_limiter{.permits = 1, .per = 4ms, .burst = 1, .max_wait = 9ms},
              limiter_leftover),
      subject(
          "rate_limiter_fixed_window",
          rate_limiter{
              .permits = 1, .per = 4ms, .max_wait = 9ms, .algorithm = rate_algorithm::fixed_window},
          limiter_leftover),
      subject("rate_limiter_sliding_window",
              rate_limiter{.permits = 1,
                           .per = 4ms,
                           .max_wait = 9ms,
                           .algorithm = rate_algorithm::sliding_window},
              limiter_leftover),
      subject("start_spread", start_spread{.over = 6ms}),
      subject("keyed", keyed{timeout{.after = 8ms}}),
      keyed_subject("keyed_retry", subject("", budgeted)),
      keyed_subject("keyed_circuit_breaker", subject("", touchy, breaker_leftover)),
      keyed_subject(
          "keyed_bulkhead",
          subject("", bulkhead{.max_concurrent = 1, .max_queue = 3, .max_queue_wait = 6ms},
                  bulkhead_leftover)),
      keyed_subject("keyed_rate_limiter",
                    subject("", rate_limiter{.permits = 1, .per = 4ms, .burst = 1, .max_wait = 9ms},
                            limiter_leftover)),
  };
}

class contract : public ::testing::TestWithParam<std::size_t> {};

TEST_P(contract, is_kept) {
  for (const std::string& broken : testing::check_policy_contract(subjects()[GetParam()]))
    ADD_FAILURE() << broken;
}

TEST_P(contract, is_of_the_policy_that_its_entry_names) {
  const contract_subject s = subjects()[GetParam()];
  const std::shared_ptr<policy> made = s.make();
  std::string_view name = s.name;
  if (dynamic_cast<const keyed_policy*>(made.get()) != nullptr) {  // it is of its policies' kind
    EXPECT_TRUE(name.starts_with("keyed")) << name;
    if (name == "keyed") return;
    name.remove_prefix(std::string_view("keyed_").size());
  }
  EXPECT_TRUE(name.starts_with(made->kind())) << s.name << ": " << made->kind();
}

struct one_call {
  int completions = 0;
  int elsewhere = 0;
};

// Right before each handler and timer of the run every timer expires, while ends are on their way.
TEST_P(contract, is_kept_by_timers_that_fire_after_the_end) {
  const contract_subject s = subjects()[GetParam()];
  for (const scripted_end& end : {scripted_end::ok(1), scripted_end::ok(1).after(5ms),
                                  scripted_end::fail(connection_reset).after(5ms)})
    for (const bool limited : {false, true}) {
      SCOPED_TRACE(limited ? "under a time limit" : "alone");
      const std::size_t steps = fail_at_each_step([&](fuse& f) {
        manual_environment env;
        env.on_leftover([](std::string_view what) { ADD_FAILURE() << "left behind: " << what; });
        const std::shared_ptr<policy> what = s.make();
        testing::policy_watch seen;
        pipeline_builder b("late");
        if (limited) b.add(timeout{.after = 12ms});
        b.add(std::make_shared<testing::watched_policy>(what, seen));
        const auto call = b.build(env).wrap(scripted_operation(env, {end}));
        std::array<one_call, 3> calls;
        // News of a timer go straight to a handler's own executor, where they overtake the end;
        // else they come behind it.
        const auto strand = asio::make_strand(env.get_executor());
        for (one_call& c : calls) {
          const auto done = [&c](bool here) {
            ++c.completions;
            if (!here) ++c.elsewhere;
          };
          if (&c == &calls.front())
            call(asio::bind_executor(strand, [done, strand](error_code, int) {
              done(strand.running_in_this_thread());
            }));
          else
            call([&env, done](error_code, int) { done(env.env().runs_here()); });
          EXPECT_EQ(c.completions, 0) << "completed inline";
        }
        const auto runs = [](const one_call& c) { return c.completions == 0; };
        do {
          if (f.burns()) env.leap(1h);
        } while (std::ranges::any_of(calls, runs) && env.run_one());
        env.run_ready();
        EXPECT_EQ(env.waits(), 0u) << "a timer outlived its call";
        env.leap(1h);
        env.run_ready();

        for (const one_call& c : calls) {
          EXPECT_EQ(c.completions, 1);
          EXPECT_EQ(c.elsewhere, 0);
        }
        EXPECT_EQ(seen.entered(), seen.left());
        EXPECT_THAT(seen.broken(), ::testing::IsEmpty());
        if (s.leftover) {
          EXPECT_EQ(s.leftover(*what, env.now()), "");
        }
      });
      EXPECT_GE(steps, 3u);
    }
}

INSTANTIATE_TEST_SUITE_P(every, contract, ::testing::Range(std::size_t{0}, subjects().size()),
                         [](const auto& which) { return subjects()[which.param].name; });

}  // namespace
}  // namespace hawser::test::contract_test
