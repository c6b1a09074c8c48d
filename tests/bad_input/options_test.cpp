// Every option with a bound, at both edges: the lowest and the highest allowed are accepted, what
// lies just beyond is refused with the field's name, the value and the bound in the text.
#include "hawser/hawser.hpp"

#include "bad_input/refusal.hpp"
#include "hawser/http/client.hpp"
#include "hawser/http/idempotency.hpp"
#include "hawser/http/limits.hpp"
#include "hawser/http/standard_options.hpp"
#include "hawser/http/transport_options.hpp"
#include "hawser/observe/redactor.hpp"
#include "hawser/testing/fault_profiles.hpp"
#include "hawser/testing/fault_server.hpp"
#include "hawser/testing/manual_environment.hpp"
#include "hawser/testing/test_certificates.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

namespace hawser::test::options_test {
namespace {

using namespace std::chrono_literals;
using namespace http;

constexpr duration longest = duration::max();
constexpr duration most_negative = duration::min();
constexpr int most = std::numeric_limits<int>::max();
constexpr int least = std::numeric_limits<int>::min();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinite = std::numeric_limits<double>::infinity();
constexpr std::size_t endless = std::numeric_limits<std::size_t>::max();

/// A double just above or below.
double over(double x) { return std::nextafter(x, infinite); }
double under(double x) { return std::nextafter(x, -infinite); }

// How each kind of options is looked at.
void check(const timeout& o) { static_cast<void>(make_policy(o)); }
void check(const retry& o) { static_cast<void>(make_policy(o)); }
void check(const circuit_breaker& o) { static_cast<void>(make_policy(o)); }
void check(const bulkhead& o) { static_cast<void>(make_policy(o)); }
void check(const rate_limiter& o) { static_cast<void>(make_policy(o)); }
void check(const start_spread& o) { static_cast<void>(make_policy(o)); }
void check(const keyed_options& o) { static_cast<void>(make_policy(keyed{timeout{}, o})); }
void check(const fallback& o) { static_cast<void>(make_policy(o)); }
void check(const retry_budget& o) { static_cast<void>(make_budget(o)); }
void check(const token_budget& o) { static_cast<void>(make_budget(o)); }
void check(const constant& o) { validate(backoff(o), "retry.delay"); }
void check(const linear& o) { validate(backoff(o), "retry.delay"); }
void check(const exponential& o) { validate(backoff(o), "retry.delay"); }
void check(const fibonacci& o) { validate(backoff(o), "retry.delay"); }
void check(const limits& o) { validate(o); }
void check(const time_limits& o) { validate(o); }
void check(const pool_options& o) { validate(o); }
void check(const idempotency_profile& o) { validate(o); }
void check(const redaction& o) { static_cast<void>(redactor(o)); }
void check(const standard_options& o) { static_cast<void>(standard_pipeline("api", o)); }
void check(const testing::fault_mix& o) { const testing::random_faults made(o); }
void check(const testing::payment_options& o) { const testing::payment_gateway made(o); }
void check(const testing::fault_server_options& o) { const testing::fault_server made(o); }

struct row {
  std::string_view field;
  std::string_view rule;
  std::vector<std::function<void()>> good;
  std::vector<std::function<void()>> bad;
};

/// One member of some options, with what is allowed at its edges and what is not.
template <class Options, class Value>
row edges(std::string_view field, std::string_view rule, Value Options::*member,
          std::vector<std::type_identity_t<Value>> good,
          std::vector<std::type_identity_t<Value>> bad, Options base = Options{}) {
  row made{field, rule, {}, {}};
  const auto put = [&](auto& list, const Value& value) {
    Options o = base;
    o.*member = value;
    list.push_back([o] { check(o); });
  };
  for (const Value& value : good) put(made.good, value);
  for (const Value& value : bad) put(made.bad, value);
  return made;
}

/// The same for a member of a breaker's window.
template <class Window, class Value>
row window_edges(std::string_view field, std::string_view rule, Value Window::*member,
                 std::vector<std::type_identity_t<Value>> good,
                 std::vector<std::type_identity_t<Value>> bad, Window base = {}) {
  row made{field, rule, {}, {}};
  const auto put = [&](auto& list, const Value& value) {
    Window w = base;
    w.*member = value;
    circuit_breaker o;
    o.min_calls = 1;
    o.window = w;
    list.push_back([o] { check(o); });
  };
  for (const Value& value : good) put(made.good, value);
  for (const Value& value : bad) put(made.bad, value);
  return made;
}

void run(const std::vector<row>& rows) {
  for (const row& r : rows) {
    SCOPED_TRACE(r.field);
    ASSERT_FALSE(r.good.empty());
    for (std::size_t i = 0; i < r.good.size(); ++i)
      EXPECT_NO_THROW(r.good[i]()) << "allowed value number " << i;
    ASSERT_FALSE(r.bad.empty());
    for (std::size_t i = 0; i < r.bad.size(); ++i) {
      SCOPED_TRACE(i);
      expect_config_error(r.bad[i], r.field, "", r.rule);
    }
  }
}

TEST(BadOptions, OfTimeouts) {
  run({
      edges("timeout.after", "must be over 0", &timeout::after, {1ns, longest},
            {0ns, -1ns, most_negative}),
      edges("timeout.reserve", "must not be negative", &timeout::reserve, {0ns, longest},
            {-1ns, most_negative}),
  });
}

TEST(BadOptions, OfRetries) {
  run({
      edges("retry.max_attempts", "must be 1 to 100", &retry::max_attempts, {1, 100},
            {0, -1, least, 101, most}),
      edges("retry.max_server_wait", "must not be negative", &retry::max_server_wait,
            {0ns, longest}, {-1ns, most_negative}),
      edges("retry.hint_excess", "must not be negative, or off", &retry::hint_excess,
            {0ns, longest, std::nullopt}, {-1ns, most_negative}),
      edges("retry.delay.each", "at least 0", &retry::delay,
            {constant{.each = 0ns}, constant{.each = longest}},
            {constant{.each = -1ns}, constant{.each = most_negative}}),
  });
}

TEST(BadOptions, OfBackoffs) {
  const auto no_such = static_cast<jitter>(4);
  run({
      edges("retry.delay.each", "must be at least 0", &constant::each, {0ns, longest},
            {-1ns, most_negative}),
      edges("retry.delay.spread", "none, full or equal", &constant::spread,
            {jitter::none, jitter::equal}, {jitter::decorrelated}),
      edges("retry.delay.spread", "one of jitter's values", &constant::spread, {jitter::none},
            {no_such}),
      edges("retry.delay.first", "must be over 0", &linear::first, {1ns, 20s},
            {0ns, -1ns, most_negative}),
      edges("retry.delay.step", "must be at least 0", &linear::step, {0ns, longest},
            {-1ns, most_negative}),
      edges("retry.delay.cap", "must be at least first", &linear::cap, {100ms, longest},
            {100ms - 1ns, 0ns, -1ns, most_negative}),
      edges("retry.delay.spread", "one of jitter's values", &linear::spread,
            {jitter::none, jitter::decorrelated}, {no_such}),
      edges("retry.delay.first", "must be over 0", &exponential::first, {1ns, 20s},
            {0ns, -1ns, most_negative}),
      edges("retry.delay.factor", "finite and at least 1", &exponential::factor,
            {1.0, std::numeric_limits<double>::max()},
            {under(1.0), 0.0, -1.0, nan, infinite, -infinite}),
      edges("retry.delay.cap", "must be at least first", &exponential::cap, {100ms, longest},
            {100ms - 1ns, 0ns, most_negative}),
      edges("retry.delay.spread", "one of jitter's values", &exponential::spread,
            {jitter::none, jitter::decorrelated}, {no_such}),
      edges("retry.delay.first", "must be over 0", &fibonacci::first, {1ns, 20s},
            {0ns, -1ns, most_negative}),
      edges("retry.delay.cap", "must be at least first", &fibonacci::cap, {100ms, longest},
            {100ms - 1ns, 0ns, most_negative}),
      edges("retry.delay.spread", "one of jitter's values", &fibonacci::spread,
            {jitter::none, jitter::decorrelated}, {no_such}),
  });
}

TEST(BadOptions, OfStartSpreads) {
  run({
      edges("start_spread.over", "over 0 and at most 1 h", &start_spread::over, {1ns, 1h},
            {0ns, -1ns, most_negative, 1h + 1ns, longest}),
  });
}

TEST(BadOptions, OfKeyedPolicies) {
  run({
      edges("keyed.max_keys", "from 1 to 1000000", &keyed_options::max_keys, {1u, 1'000'000u},
            {0u, 1'000'001u, endless}),
  });
}

TEST(BadOptions, OfBudgets) {
  run({
      edges("retry_budget.ratio", "from 0 to 10", &retry_budget::ratio, {0.0, 10.0},
            {under(0.0), over(10.0), nan, infinite, -infinite}),
      edges("retry_budget.window", "from 1 ms to 1 h", &retry_budget::window, {1ms, 1h},
            {1ms - 1ns, 0ns, -1ns, most_negative, 1h + 1ns, longest}),
      edges("retry_budget.reserve_per_second", "from 0 to 1000000",
            &retry_budget::reserve_per_second, {0.0, 1e6},
            {under(0.0), over(1e6), nan, infinite, -infinite}),
      edges("retry_budget.reserve_per_second", "at least one per window",
            &retry_budget::reserve_per_second, {0.1}, {under(0.1), 0.0},
            retry_budget{.ratio = 0, .window = 10s}),
      edges("token_budget.tokens", "at least 1", &token_budget::tokens, {1, most}, {0, -1, least},
            token_budget{.retry_cost = 1, .timeout_cost = 1}),
      edges("token_budget.retry_cost", "from 1 to tokens", &token_budget::retry_cost, {1, 500},
            {0, -1, least, 501, most}),
      edges("token_budget.timeout_cost", "from 1 to tokens", &token_budget::timeout_cost, {1, 500},
            {0, -1, least, 501, most}),
      edges("token_budget.throttle_cost", "from 1 to tokens", &token_budget::throttle_cost,
            {std::nullopt, 1, 500}, {0, -1, least, 501, most}),
      edges("token_budget.initial", "from 0 to tokens", &token_budget::initial,
            {std::nullopt, 0, 500}, {-1, least, 501, most}),
      edges("token_budget.retry_refund", "from 0 to 1", &token_budget::retry_refund,
            {0.0, 0.1, 1.0}, {under(0), over(1), nan, infinite}),
      edges("token_budget.success_refund", "from 0 to 2147483647", &token_budget::success_refund,
            {1, 1e-6, most}, {-1, least, under(0), over(most), nan, infinite}),
      edges("token_budget.success_refund", "nothing else refills it", &token_budget::success_refund,
            {1e-6}, {0, 1e-9}),
      edges("token_budget.per_call", "from 0 to 2147483647", &token_budget::per_call,
            {0, 0.1, most}, {under(0), over(most), nan, infinite}),
      edges("token_budget.per_second", "from 0 to 10000", &token_budget::per_second, {0, 0.1, 1e4},
            {under(0), over(1e4), nan, infinite}),
  });
}

TEST(BadOptions, OfCircuitBreakers) {
  circuit_breaker slow;
  slow.slow_ratio = 0.5;
  slow.slow_after = 1s;
  run({
      window_edges("circuit_breaker.window.calls", "from 1 to 1000000", &count_window::calls,
                   {1, 1'000'000}, {0, -1, least, 1'000'001, most}),
      window_edges("circuit_breaker.window.buckets", "from 1 to 1000", &time_window::buckets,
                   {1, 1000}, {0, -1, least, 1001, most}),
      window_edges("circuit_breaker.window.span", "a nanosecond per bucket", &time_window::span,
                   {10ns, longest}, {9ns, 0ns, -1ns, most_negative}),
      window_edges("circuit_breaker.window.span", "a nanosecond per bucket", &time_window::span,
                   {1000ns}, {999ns}, time_window{.buckets = 1000}),
      window_edges("circuit_breaker.window.max_age", "at least 10 ns, or off",
                   &count_window::max_age, {10ns, longest, std::nullopt},
                   {9ns, 0ns, -1ns, most_negative}),
      edges("circuit_breaker.min_calls", "at least 1", &circuit_breaker::min_calls, {1},
            {0, -1, least}),
      edges("circuit_breaker.min_calls", "at most window.calls", &circuit_breaker::min_calls, {100},
            {101, most}),
      edges("circuit_breaker.failure_ratio", "over 0 and at most 1",
            &circuit_breaker::failure_ratio, {std::numeric_limits<double>::min(), 1.0},
            {0.0, -0.5, over(1.0), nan, infinite}),
      edges("circuit_breaker.slow_ratio", "over 0 and at most 1", &circuit_breaker::slow_ratio,
            {std::numeric_limits<double>::min(), 1.0}, {0.0, -0.5, over(1.0), nan, infinite}, slow),
      edges("circuit_breaker.slow_after", "positive when slow_ratio is set",
            &circuit_breaker::slow_after, {1ns, longest}, {0ns, -1ns, most_negative}, slow),
      edges("circuit_breaker.slow_after", "must not be negative", &circuit_breaker::slow_after,
            {0ns, longest}, {-1ns, most_negative}),
      edges("circuit_breaker.consecutive_failures", "at least 1",
            &circuit_breaker::consecutive_failures, {1, most}, {0, -1, least}),
      edges("circuit_breaker.consecutive_span", "must not be negative",
            &circuit_breaker::consecutive_span, {0ns, longest}, {-1ns, most_negative}),
      edges("circuit_breaker.suspect_failures", "at least 1, or off",
            &circuit_breaker::suspect_failures, {1, most, std::nullopt}, {0, -1, least}),
      edges("circuit_breaker.hears", "one of failure_scope's values", &circuit_breaker::hears,
            {failure_scope::all, failure_scope::exchanges},
            {static_cast<failure_scope>(3), static_cast<failure_scope>(255)}),
      edges("circuit_breaker.open_for", "positive", &circuit_breaker::open_for, {1ns, 20s},
            {0ns, -1ns, most_negative}),
      edges("circuit_breaker.open_share", "over 0 and at most 1", &circuit_breaker::open_share,
            {std::numeric_limits<double>::min(), 1.0}, {0.0, -0.5, over(1.0), nan, infinite}),
      edges("circuit_breaker.early_probe_after", "at least 1, or off",
            &circuit_breaker::early_probe_after, {1, most, std::nullopt}, {0, -1, least}),
      edges("circuit_breaker.open_multiplier", "at least 1 and finite",
            &circuit_breaker::open_multiplier, {1.0, std::numeric_limits<double>::max()},
            {under(1.0), 0.0, nan, infinite, -infinite}),
      edges("circuit_breaker.open_cap", "at least open_for, or off", &circuit_breaker::open_cap,
            {1s, longest, std::nullopt}, {1s - 1ns, 0ns, most_negative}),
      edges("circuit_breaker.open_jitter", "at least 0 and under 1", &circuit_breaker::open_jitter,
            {0.0, under(1.0)}, {under(0.0), 1.0, nan, infinite, -infinite}),
      edges("circuit_breaker.hint_cap", "must not be negative", &circuit_breaker::hint_cap,
            {0ns, longest}, {-1ns, most_negative}),
      edges("circuit_breaker.healthy_reset", "must not be negative",
            &circuit_breaker::healthy_reset, {0ns, longest}, {-1ns, most_negative}),
      edges("circuit_breaker.probes", "from 1 to 1000", &circuit_breaker::probes, {1, 1000},
            {0, -1, least, 1001, most}),
      edges("circuit_breaker.probes_to_close", "at least 1", &circuit_breaker::probes_to_close,
            {1, most}, {0, -1, least}),
      edges("circuit_breaker.probe_lease", "positive", &circuit_breaker::probe_lease,
            {1ns, longest}, {0ns, -1ns, most_negative}),
      edges("circuit_breaker.max_wait", "over 0, or off", &circuit_breaker::max_wait,
            {1ns, longest, std::nullopt}, {0ns, -1ns, most_negative}),
      edges("circuit_breaker.max_waiting", "from 1 to 1000000", &circuit_breaker::max_waiting,
            {1, 1'000'000}, {0, -1, least, 1'000'001, most}),
      edges("circuit_breaker.ramp", "at least 1 and finite", &circuit_breaker::ramp,
            {1.0, std::numeric_limits<double>::max()}, {under(1.0), 0.0, nan, infinite}),
  });
  // What a ratio needs of the window, each ratio does alone; without one it needs nothing.
  circuit_breaker slow_alone = slow;
  slow_alone.failure_ratio.reset();
  circuit_breaker in_a_row;
  in_a_row.failure_ratio.reset();
  circuit_breaker over_time;
  over_time.window = time_window{};
  run({
      edges("circuit_breaker.min_calls", "at most window.calls", &circuit_breaker::min_calls,
            {1, 100}, {101, most}, slow_alone),
      edges("circuit_breaker.min_calls", "at least 1", &circuit_breaker::min_calls, {1, most},
            {0, least}, in_a_row),
      edges("circuit_breaker.min_calls", "at least 1", &circuit_breaker::min_calls, {1, most},
            {0, least}, over_time),
  });
  circuit_breaker toothless;
  toothless.failure_ratio.reset();
  toothless.consecutive_failures.reset();
  expect_config_error([&] { check(toothless); }, "circuit_breaker.failure_ratio", "none",
                      "must be set, else nothing trips");
}

TEST(BadOptions, OfBulkheads) {
  constexpr int field_max = 2'097'151;
  run({
      edges("bulkhead.max_concurrent", "between 1 and 2097151", &bulkhead::max_concurrent,
            {1, field_max}, {0, -1, least, field_max + 1, most}),
      edges("bulkhead.max_queue", "between 0 and 2097151", &bulkhead::max_queue, {0, field_max},
            {-1, least, field_max + 1, most}),
      edges("bulkhead.max_queue_wait", "over 0, or off", &bulkhead::max_queue_wait, {1ns, longest},
            {0ns, -1ns, most_negative}),
      edges("bulkhead.order", "one of queue_order's values", &bulkhead::order,
            {queue_order::fifo, queue_order::lifo_under_overload}, {static_cast<queue_order>(2)}),
      edges("bulkhead.service_floor", "at least 0", &bulkhead::service_floor, {0ns, longest},
            {-1ns, most_negative}),
  });
  bulkhead_policy live(bulkhead{});
  for (const int good : {1, field_max}) EXPECT_NO_THROW(live.set_max_concurrent(good));
  for (const int bad : {0, -1, field_max + 1})
    expect_config_error([&] { live.set_max_concurrent(bad); }, "bulkhead.max_concurrent",
                        std::to_string(bad), "between 1 and 2097151");
  for (const int good : {0, field_max}) EXPECT_NO_THROW(live.set_max_queue(good));
  for (const int bad : {-1, field_max + 1})
    expect_config_error([&] { live.set_max_queue(bad); }, "bulkhead.max_queue", std::to_string(bad),
                        "between 0 and 2097151");
}

TEST(BadOptions, OfRateLimiters) {
  constexpr duration year = 366 * 24h;
  rate_limiter windowed;
  windowed.algorithm = rate_algorithm::fixed_window;
  rate_limiter sliding;
  sliding.algorithm = rate_algorithm::sliding_window;
  run({
      edges("rate_limiter.permits", "at least 1", &rate_limiter::permits, {1, 1'000'000'000},
            {0, -1, least}),
      edges("rate_limiter.permits", "at most one per nanosecond", &rate_limiter::permits,
            {1'000'000'000}, {1'000'000'001, most}),
      edges("rate_limiter.permits", "at most one per nanosecond", &rate_limiter::permits, {1}, {2},
            rate_limiter{.per = 1ns}),
      edges("rate_limiter.permits", "at most one per nanosecond", &rate_limiter::per, {100ns},
            {99ns, 1ns}),
      edges("rate_limiter.per", "over 0 and at most 366 days", &rate_limiter::per, {100ns, year},
            {0ns, -1ns, most_negative, year + 1ns, longest}),
      edges("rate_limiter.burst", "at least 1, or off", &rate_limiter::burst, {1, most},
            {0, -1, least}),
      edges("rate_limiter.burst", "only gcra has a burst", &rate_limiter::burst, {std::nullopt},
            {1}, windowed),
      edges("rate_limiter.burst", "only gcra has a burst", &rate_limiter::burst, {std::nullopt},
            {1}, sliding),
      edges("rate_limiter.burst", "must refill within 366 days", &rate_limiter::burst, {365},
            {366, most}, rate_limiter{.permits = 1, .per = 24h + 1s}),
      edges("rate_limiter.max_wait", "between 0 and 366 days", &rate_limiter::max_wait, {0ns, year},
            {-1ns, most_negative, year + 1ns, longest}),
      edges("rate_limiter.algorithm", "one of rate_algorithm's values", &rate_limiter::algorithm,
            {rate_algorithm::gcra, rate_algorithm::sliding_window},
            {static_cast<rate_algorithm>(3)}),
      edges("rate_limiter.permits", "at most 1048576 for sliding_window", &rate_limiter::permits,
            {349'525}, {349'526, most / 4}, sliding),
      // 8 + 3 windows; with a nanosecond less to wait 7 + 3.
      edges("rate_limiter.permits", "(max_wait / per + 3) x permits", &rate_limiter::permits,
            {95'325}, {95'326},
            rate_limiter{.max_wait = 8s, .algorithm = rate_algorithm::sliding_window}),
      edges("rate_limiter.permits", "(max_wait / per + 3) x permits", &rate_limiter::permits,
            {104'857}, {104'858},
            rate_limiter{.max_wait = 8s - 1ns, .algorithm = rate_algorithm::sliding_window}),
      edges("rate_limiter.permits", "(max_wait / per + 3) x permits", &rate_limiter::max_wait,
            {1'048'574s - 1ns}, {1'048'574s, year},
            rate_limiter{.permits = 1, .algorithm = rate_algorithm::sliding_window}),
      edges("rate_limiter.spread", "between 0 and 1", &rate_limiter::spread, {0.0, 1.0},
            {under(0.0), over(1.0), nan, infinite, -infinite}),
      edges("rate_limiter.long_pause", "must be over 0", &rate_limiter::long_pause, {1ns, longest},
            {0ns, -1ns, most_negative}),
      edges("rate_limiter.probe_every", "must be over 0, or off", &rate_limiter::probe_every,
            {1ns, longest, std::nullopt}, {0ns, -1ns, most_negative}),
      edges("rate_limiter.ramp", "at least 1 and finite", &rate_limiter::ramp,
            {1.0, std::numeric_limits<double>::max()},
            {under(1.0), 0.0, -1.0, nan, infinite, -infinite}),
      edges("rate_limiter.max_pause", "at least 0", &rate_limiter::max_pause, {0ns, longest},
            {-1ns, most_negative}),
  });
}

TEST(BadOptions, OfRatesSetLaterLeaveTheRateAsItIs) {
  constexpr duration year = 366 * 24h;
  const auto with = [](rate_algorithm how) {
    return rate_limiter{.permits = 7, .per = 5s, .max_wait = 40s, .algorithm = how};
  };
  rate_limiter_policy even(with(rate_algorithm::gcra));
  rate_limiter_policy windowed(with(rate_algorithm::fixed_window));
  rate_limiter_policy sliding(with(rate_algorithm::sliding_window));
  struct {
    rate_limiter_policy& of;
    int permits;
    duration per;
    std::optional<int> burst;
    std::string_view field;
    std::string_view rule;
  } const rows[] = {
      {even, 0, 1s, {}, "rate_limiter.permits", "at least 1"},
      {even, least, 1s, {}, "rate_limiter.permits", "at least 1"},
      {even, 2, 1ns, {}, "rate_limiter.permits", "at most one per nanosecond"},
      {even, 1'000'000'001, 1s, {}, "rate_limiter.permits", "at most one per nanosecond"},
      {even, 1, 0s, {}, "rate_limiter.per", "over 0 and at most 366 days"},
      {even, 1, year + 1ns, {}, "rate_limiter.per", "over 0 and at most 366 days"},
      {even, 1, longest, {}, "rate_limiter.per", "over 0 and at most 366 days"},
      {even, 1, 1s, 0, "rate_limiter.burst", "at least 1"},
      {even, 1, 24h + 1s, 366, "rate_limiter.burst", "must refill within 366 days"},
      {windowed, 1, 1s, 1, "rate_limiter.burst", "only gcra has a burst"},
      {sliding, 1, 1s, 1, "rate_limiter.burst", "only gcra has a burst"},
      {sliding, 24'386, 1s, {}, "rate_limiter.permits", "(max_wait / per + 3) x permits"},
      {sliding, 1, 1ns, {}, "rate_limiter.permits", "(max_wait / per + 3) x permits"},
  };
  for (const auto& r : rows) {
    SCOPED_TRACE(std::to_string(r.permits) + " in " + std::to_string(r.per.count()) + " ns");
    expect_config_error([&] { r.of.set_rate(r.permits, r.per, r.burst, {}); }, r.field, "", r.rule);
    EXPECT_EQ(r.of.snapshot({}).permits, 7);
    EXPECT_EQ(r.of.snapshot({}).per, 5s);
    EXPECT_EQ(r.of.snapshot({}).burst, 7);
  }
  for (rate_limiter_policy* any : {&even, &windowed, &sliding}) {
    EXPECT_NO_THROW(any->set_rate(1, year, {}, {}));
    EXPECT_EQ(any->snapshot({}).per, year);
  }
  for (rate_limiter_policy* any : {&even, &windowed})
    EXPECT_NO_THROW(any->set_rate(1'000'000'000, 1s, {}, {}));
  EXPECT_NO_THROW(even.set_rate(1, 1ns, {}, {}));
  EXPECT_NO_THROW(even.set_rate(1, 24h + 1s, 365, {}));
  EXPECT_NO_THROW(sliding.set_rate(24'385, 1s, {}, {}));
}

TEST(BadOptions, OfFallbacks) {
  run({edges("fallback.max_concurrent", "at least 1", &fallback::max_concurrent, {1, most},
             {0, -1, least}, fallback::value(1)),
       edges("fallback.sources", "at least one value or function", &fallback::sources,
             {fallback::value(1).sources}, {{}}, fallback::value(1)),
       edges("fallback.sources", "must not be null", &fallback::sources,
             {fallback::value(1).sources}, {{nullptr}}, fallback::value(1))});
}

TEST(BadOptions, OfPipelines) {
  const testing::manual_environment env;
  EXPECT_NO_THROW(static_cast<void>(pipeline_builder("x").build(env)));
  EXPECT_NO_THROW(static_cast<void>(pipeline_builder(std::string(100'000, 'x')).build(env)));
  expect_config_error([&] { static_cast<void>(pipeline_builder("").build(env)); }, "pipeline.name",
                      "\"\"", "must not be empty");
  expect_config_error([] { pipeline_builder("api").add(std::shared_ptr<policy>()); },
                      "pipeline.api.add", "null", "give a policy");
  expect_config_error([] { pipeline_builder("api").observe(nullptr); }, "pipeline.api.observe",
                      "null", "give an observer");
  expect_config_error([] { pipeline_builder("api").redact(nullptr); }, "pipeline.api.redact",
                      "null", "give a redactor");
  expect_config_error([] { pipeline_builder("api").max_amplification(0); },
                      "pipeline.api.max_amplification", "0", "at least 1");
  const auto stacked = [&](int outer, int inner, unsigned limit) {
    return [&env, outer, inner, limit] {
      static_cast<void>(pipeline_builder("api")
                            .max_amplification(limit)
                            .add(retry{.max_attempts = outer})
                            .add(retry{.max_attempts = inner})
                            .build(env));
    };
  };
  EXPECT_NO_THROW(stacked(10, 10, 100)());
  expect_config_error(stacked(10, 11, 100), "pipeline.api.max_amplification",
                      "retry 10 x retry 11 = 110", "raise max_amplification");
  EXPECT_NO_THROW(stacked(1, 1, 1)());
  EXPECT_NO_THROW(stacked(100, 100, std::numeric_limits<unsigned>::max())());
}

/// A clock that stands still, on whatever it is given.
class still final : public time_source {
 public:
  using time_source::time_source;
  [[nodiscard]] time_point now() const noexcept override { return {}; }
  void reschedule() override {}
  [[nodiscard]] bool runs_here() const noexcept override { return false; }
};

TEST(BadOptions, OfEnvironments) {
  const boost::asio::any_io_executor none;
  expect_config_error([&] { static_cast<void>(environment(none)); }, "environment.executor",
                      "empty", "give an executor");
  expect_config_error([] { static_cast<void>(environment(std::shared_ptr<time_source>())); },
                      "environment.source", "null", "give a time source");
  expect_config_error([&] { still(none, std::make_unique<seeded_entropy>(1)); },
                      "environment.executor", "empty", "give an executor");
  boost::asio::io_context io;
  expect_config_error([&] { still(io.get_executor(), nullptr); }, "environment.random", "null",
                      "give a source of randomness");
  EXPECT_NO_THROW(still(io.get_executor(), std::make_unique<seeded_entropy>(1)));
}

/// A policy whose stages want to be aligned.
class aligned final : public policy {
 public:
  explicit aligned(std::size_t alignment) : alignment_(alignment) {}
  [[nodiscard]] std::string_view kind() const noexcept override { return "aligned"; }
  [[nodiscard]] std::size_t stage_size() const noexcept override { return alignment_; }
  [[nodiscard]] std::size_t stage_alignment() const noexcept override { return alignment_; }
  [[nodiscard]] stage* make_stage(void* /*memory*/) override { return nullptr; }

 private:
  std::size_t alignment_;
};

TEST(BadOptions, OfPoliciesOfOnesOwn) {
  const testing::manual_environment env;
  const auto built_with = [&env](std::size_t alignment) {
    return [&env, alignment] {
      static_cast<void>(
          pipeline_builder("api").add(std::make_shared<aligned>(alignment)).build(env));
    };
  };
  EXPECT_NO_THROW(built_with(1)());
  EXPECT_NO_THROW(built_with(alignof(std::max_align_t))());
  expect_config_error(built_with(2 * alignof(std::max_align_t)),
                      "pipeline.api.aligned.stage_alignment",
                      std::to_string(2 * alignof(std::max_align_t)), "must not exceed");
}

TEST(BadOptions, OfLimits) {
  run({
      edges("limits.header_bytes", "at least 64", &limits::header_bytes, {64u, endless}, {63u, 0u}),
      edges("limits.header_count", "at least 1", &limits::header_count, {1u, endless}, {0u}),
      edges("limits.json_depth", "at least 1 and at most 1000", &limits::json_depth, {1u, 1000u},
            {0u, 1001u, endless}),
  });
  // Zero means none of it, and there is no upper bound.
  for (const std::size_t n : {std::size_t{0}, endless})
    EXPECT_NO_THROW(check(limits{
        .body_bytes = n, .interim_responses = n, .trailer_bytes = n, .chunk_extension_bytes = n}));
}

TEST(BadOptions, OfTimeLimits) {
  std::vector<row> rows;
  const std::pair<std::string_view, std::optional<duration> time_limits::*> all[] = {
      {"time_limits.pool_wait", &time_limits::pool_wait},
      {"time_limits.resolve", &time_limits::resolve},
      {"time_limits.connect", &time_limits::connect},
      {"time_limits.tls", &time_limits::tls},
      {"time_limits.first_byte", &time_limits::first_byte},
      {"time_limits.between_bytes", &time_limits::between_bytes},
  };
  for (const auto& [field, member] : all)
    rows.push_back(edges(field, "over zero; std::nullopt turns it off", member,
                         {1ns, longest, std::nullopt}, {0ns, -1ns, most_negative}));
  rows.push_back(edges("time_limits.least_per_minute", "at least 1; std::nullopt turns it off",
                       &time_limits::least_per_minute, {std::size_t{1}, endless, std::nullopt},
                       {std::size_t{0}}));
  run(rows);
}

TEST(BadOptions, OfPools) {
  run({
      edges("pool.max_connections", "at least 1", &pool_options::max_connections, {1u, endless},
            {0u}),
      edges("pool.idle_for", "over zero; std::nullopt turns it off", &pool_options::idle_for,
            {1ns, longest, std::nullopt}, {0ns, -1ns, most_negative}),
      edges("pool.max_age", "over zero; std::nullopt turns it off", &pool_options::max_age,
            {1ns, longest, std::nullopt}, {0ns, -1ns, most_negative}),
  });
  // No room is set aside for connections that may never be opened.
  const testing::manual_environment env;
  EXPECT_NO_THROW(static_cast<void>(make_beast_transport(
      env, url::parse("http://localhost").value(),
      {.max_connections = endless, .max_idle = endless, .max_pending = endless}, {}, {}, {})));
}

TEST(BadOptions, OfTls) {
  const auto refused = [](const tls_options& o) { return [o] { validate(o); }; };
  EXPECT_NO_THROW(validate(tls_options{}));
  EXPECT_NO_THROW(validate(tls_options{.min_version = tls_version::tls1_2}));
  expect_config_error(refused({.min_version = static_cast<tls_version>(2)}), "tls.min_version", "2",
                      "tls1_2 or tls1_3");
  expect_config_error(refused({.client_certificate_file = "a", .client_certificate_pem = "s3cr3t"}),
                      "tls.client_certificate_pem", "given", "not be given together");
  expect_config_error(refused({.client_key_file = "a", .client_key_pem = secret("s3cr3t")}),
                      "tls.client_key_pem", "given", "not be given together");
  expect_config_error(refused({.client_certificate_file = "a"}), "tls.client_key_file", "nothing",
                      "must be given with a client certificate");
  expect_config_error(refused({.client_key_pem = secret("s3cr3t")}), "tls.client_certificate_file",
                      "nothing", "must be given with a client key");
  expect_config_error(refused({.key_password = secret("s3cr3t")}), "tls.key_password", "given",
                      "must not be given without a client key");
  expect_config_error(refused({.ca_file = "a", .key_password = secret("")}), "tls.key_password",
                      "given", "must not be given without a client key");
  EXPECT_NO_THROW(validate(tls_options{
      .client_certificate_file = "a", .client_key_file = "b", .key_password = secret("s3cr3t")}));
}

TEST(BadOptions, OfIdempotencyProfiles) {
  run({
      edges("idempotency_profile.name", "must not be empty", &idempotency_profile::name, {"x"},
            {""}),
      edges("idempotency_profile.max_length", "at least 36, the length of a minted key",
            &idempotency_profile::max_length, {36u, endless}, {0u, 1u, 35u}),
      edges("idempotency_profile.retention", "over zero; std::nullopt turns it off",
            &idempotency_profile::retention, {1ns, longest, std::nullopt},
            {0ns, -1ns, most_negative}),
      edges("idempotency_profile.in_flight_status", "from 400 to 599",
            &idempotency_profile::in_flight_status, {400, 599, std::nullopt},
            {399, 600, 0, -1, least, most}),
      edges("idempotency_profile.header", "header name that the client does not write itself",
            &idempotency_profile::header, {"X"},
            {"X Y", "X\r\nY: 1", "Host", "content-length", std::string("X\0Y", 3), "\xc3\xa9"}),
      edges("idempotency_profile.header", "needs a header or a body_field",
            &idempotency_profile::header, {"X"}, {""}),
      edges("idempotency_profile.body_field", "must be a JSON pointer",
            &idempotency_profile::body_field, {"/a", "/a/b", "/", std::nullopt},
            {"", "a", "/~2", "/a~"}),
  });
}

TEST(BadOptions, OfRedactors) {
  redaction hashed;
  hashed.literal_style = mask_style::keyed_hash;
  hashed.literals = {secret("1234")};
  hashed.hash_key = secret("0123456789abcdef");
  hashed.hash_key_id = "k1";
  run({
      edges("redaction.mask", "1 to 64 printable characters", &redaction::mask,
            {"x", std::string(64, 'x')}, {"", std::string(65, 'x'), "\n", "\"", "\\", "\x7f"}),
      edges("redaction.max_depth", "1 to 512", &redaction::max_depth, {1u, 512u},
            {0u, 513u, endless}),
      edges("redaction.literals", "at least 4 bytes each", &redaction::literals,
            {{}, {secret("1234")}}, {{secret("")}, {secret("123")}}),
      edges("redaction.literals", "at most 4096", &redaction::literals,
            {std::vector<secret>(4096, secret("1234"))},
            {std::vector<secret>(4097, secret("1234"))}),
      edges("redaction.literal_style", "must leave a mark", &redaction::literal_style,
            {mask_style::fixed, mask_style::last_four}, {mask_style::drop}),
      edges("redaction.hash_key", "at least 16 bytes", &redaction::hash_key,
            {secret("0123456789abcdef")}, {secret(""), secret("s3cr3t--s3cr3t-")}, hashed),
      edges("redaction.hash_key_id", "1 to 32 of A-Za-z0-9-_", &redaction::hash_key_id,
            {"k", std::string(32, 'k')}, {"", std::string(33, 'k'), "a b", "a\nb"}, hashed),
  });
  const std::pair<std::string_view, name_rules redaction::*> lists[] = {
      {"redaction.headers.add", &redaction::headers},
      {"redaction.parameters.add", &redaction::parameters},
      {"redaction.fields.add", &redaction::fields},
  };
  for (const auto& [field, list] : lists) {
    for (const std::string& bad : {std::string(), std::string("*"), std::string("-_"),
                                   std::string(65, 'x'), '*' + std::string(65, 'x')}) {
      redaction o;
      (o.*list).add.push_back({bad, {}});
      expect_config_error([&] { check(o); }, field, bad, "1 to 64 characters");
    }
    redaction o;
    (o.*list).add = {{"x", {}}, {std::string(64, 'x'), {}}, {"*" + std::string(64, 'x'), {}}};
    EXPECT_NO_THROW(check(o));
  }
}

TEST(BadOptions, OfRedactorsThatHashWithoutAKey) {
  std::vector<redaction> hashing;
  const auto add = [&](const std::function<void(redaction&)>& change) {
    change(hashing.emplace_back());
  };
  for (const auto list : {&redaction::headers, &redaction::parameters, &redaction::fields}) {
    add([&](redaction& o) { (o.*list).style = mask_style::keyed_hash; });
    add([&](redaction& o) { (o.*list).add = {{"x", mask_style::keyed_hash}}; });
  }
  for (const auto pattern :
       {&pattern_rules::user_info, &pattern_rules::card, &pattern_rules::credentials,
        &pattern_rules::jwt, &pattern_rules::api_key, &pattern_rules::private_key,
        &pattern_rules::email, &pattern_rules::iban})
    add([&](redaction& o) { o.patterns.*pattern = mask_style::keyed_hash; });
  add([](redaction& o) { o.literal_style = mask_style::keyed_hash; });
  // Not used, but given by half: no less a mistake.
  add([](redaction& o) { o.hash_key = secret("0123456789abcdef"); });
  for (redaction& o : hashing) {
    SCOPED_TRACE(&o - hashing.data());
    expect_config_error([&] { check(o); }, "redaction.hash_key_id", "", "for keyed_hash");
    o.hash_key_id = "k1";
    o.hash_key = secret("s3cr3t--s3cr3t-");
    expect_config_error([&] { check(o); }, "redaction.hash_key", "15 bytes", "for keyed_hash");
    o.hash_key = secret("0123456789abcdef");
    EXPECT_NO_THROW(check(o));
  }
}

TEST(BadOptions, OfTheStandardPipelineAreNamedAsTheirs) {
  run({
      edges("standard_options.call_timeout", "must be over 0", &standard_options::call_timeout,
            {1ns, longest}, {0ns, -1ns, most_negative}),
      edges("standard_options.attempt_timeout", "must be over 0",
            &standard_options::attempt_timeout, {1ns, longest}, {0ns, -1ns, most_negative}),
      edges("standard_options.max_routes", "must be from 1 to 1000000",
            &standard_options::max_routes, {1u, 1'000'000u}, {0u, 1'000'001u, endless}),
  });
  standard_options o;
  o.retry.max_attempts = 0;
  expect_config_error([&] { check(o); }, "retry.max_attempts", "0", "1 to 100");
  o = {};
  o.rate = rate_limiter{.per = 0s};
  expect_config_error([&] { check(o); }, "rate_limiter.per", "0 ns", "over 0");
  o = {};
  o.bulkhead.max_concurrent = 0;
  expect_config_error([&] { check(o); }, "bulkhead.max_concurrent", "0", "between 1 and");
  o = {};
  o.breaker.min_calls = 0;
  expect_config_error([&] { check(o); }, "circuit_breaker.min_calls", "0", "at least 1");
  const testing::manual_environment env;
  expect_config_error([&] { static_cast<void>(standard_pipeline("").build(env)); }, "pipeline.name",
                      "\"\"", "must not be empty");
}

TEST(BadOptions, OfClients) {
  const testing::manual_environment env;
  const auto made_with = [&](const std::function<void(client_options&)>& change) {
    return [&env, change] {
      client_options o;
      change(o);
      const client made(env, "http://127.0.0.1", standard_pipeline("api"), o);
    };
  };
  EXPECT_NO_THROW(made_with([](client_options&) {})());
  struct {
    std::function<void(client_options&)> change;
    std::string_view field;
    std::string_view value;
    std::string_view rule;
  } const rows[] = {
      {[](auto& o) { o.bounds.header_count = 0; }, "limits.header_count", "0", "at least 1"},
      {[](auto& o) { o.times.tls = 0s; }, "time_limits.tls", "0 ns", "over zero"},
      {[](auto& o) { o.pool.max_connections = 0; }, "pool.max_connections", "0", "at least 1"},
      {[](auto& o) { o.tls.client_key_file = "k"; }, "tls.client_certificate_file", "nothing",
       "must be given"},
      {[](auto& o) {
         o.idempotency = idempotency_profile::stripe();
         o.idempotency->max_length = 0;
       },
       "idempotency_profile.max_length", "0", "at least 36"},
      {[](auto& o) { o.correlation_header = ""; }, "client.correlation_header", "",
       "must not be empty"},
      {[](auto& o) { o.attempt_header = ""; }, "client.attempt_header", "", "must not be empty"},
      {[](auto& o) {
         o.idempotency = idempotency_profile::square();
         o.attempt_header = "";
       },
       "client.attempt_header", "", "must not be empty"},
      {[](auto& o) { o.correlation_header = "X-Id\r\nX-Evil: 1"; }, "client.correlation_header",
       "X-Id", "must be a header name"},
      {[](auto& o) { o.attempt_header = std::string("X\0Y", 3); }, "client.attempt_header", "X",
       "must be a header name"},
      {[](auto& o) { o.attempt_header = std::string(1'000'000, ' '); }, "client.attempt_header", "",
       "must be a header name"},
      {[](auto& o) { o.attempt_header = "Idempotency-Key"; }, "client.attempt_header",
       "Idempotency-Key", "must differ"},
      {[](auto& o) { o.correlation_header = "idempotency-key"; }, "client.correlation_header",
       "idempotency-key", "must differ"},
      {[](auto& o) { o.correlation_header = "Content-Length"; }, "client.correlation_header",
       "Content-Length", "must be a header name"},
      {[](auto& o) {
         o.correlation_header = "X-Id";
         o.attempt_header = "x-id";
       },
       "client.attempt_header", "x-id", "must differ"},
      {[](auto& o) {
         o.idempotency = idempotency_profile::paypal();
         o.correlation_header = "PayPal-Request-Id";
       },
       "client.correlation_header", "PayPal-Request-Id", "must differ"},
      {[](auto& o) { o.default_headers.add("X-A", "s3cr3t\r\nX-B: 1"); }, "client.default_headers",
       "X-A", "control byte 0x0D at offset 6; remove or encode it"},
      {[](auto& o) { o.default_headers.add("Transfer-Encoding", "chunked"); },
       "client.default_headers", "Transfer-Encoding", "leave it out"},
      {[](auto& o) { o.user_agent = "s3cr3t\r\nX-B: 1"; }, "client.user_agent", "given",
       "remove or encode it"},
      {[](auto& o) { o.user_agent = "a "; }, "client.user_agent", "given", "trim it"},
      // Name and value mixed up: the name may be the secret.
      {[](auto& o) { o.default_headers.add("Bearer s3cr3t", "Authorization"); },
       "client.default_headers", "", "names are letters"},
      {[](auto& o) { o.default_headers.add("", "s3cr3t"); }, "client.default_headers", "",
       "give it one"},
  };
  for (const auto& r : rows) expect_config_error(made_with(r.change), r.field, r.value, r.rule);
  // The options are looked at with a transport of one's own, too.
  for (const auto& r : rows)
    EXPECT_THROW(made_with([&](client_options& o) {
                   r.change(o);
                   o.transport = make_beast_transport(env, url::parse("http://127.0.0.1").value(),
                                                      {}, {}, {}, {});
                 })(),
                 config_error)
        << r.field;
}

// --- of what tests are made with ---------------------------------------------------------------

using testing::fault_mix;
using testing::fault_server_options;
using testing::payment_options;

TEST(BadOptions, OfFaultServers) {
  run({
      edges("fault_server.max_connections", "at least 1", &fault_server_options::max_connections,
            {1u, endless}, {0u}),
      edges("fault_server.max_header_bytes", "at least 64", &fault_server_options::max_header_bytes,
            {64u}, {63u, 0u}),
      edges("fault_server.max_header_bytes", "at most 67108864",
            &fault_server_options::max_header_bytes, {67'108'864u}, {67'108'865u, endless}),
      edges("fault_server.close_idle_after", "must not be negative",
            &fault_server_options::close_idle_after, {0ns, longest, std::nullopt},
            {-1ns, most_negative}),
  });
  const auto booked = [](std::size_t entries, const std::string& header) {
    return [entries, header] {
      fault_server_options o;
      o.effects.max_entries = entries;
      o.effects.key_header = header;
      check(o);
    };
  };
  EXPECT_NO_THROW(booked(1, "X")());
  EXPECT_NO_THROW(booked(endless, "X")());
  expect_config_error(booked(0, "X"), "fault_server.effects.max_entries", "0", "at least 1");
  expect_config_error(booked(1, ""), "fault_server.effects.key_header", "", "must not be empty");
}

TEST(BadOptions, OfFaultMixes) {
  fault_mix healthy;
  std::vector<row> rows;
  const std::pair<std::string_view, double fault_mix::*> shares[] = {
      {"fault_mix.reset_before", &fault_mix::reset_before},
      {"fault_mix.error_500", &fault_mix::error_500},
      {"fault_mix.unavailable_503", &fault_mix::unavailable_503},
      {"fault_mix.stall_before", &fault_mix::stall_before},
      {"fault_mix.reset_after", &fault_mix::reset_after},
      {"fault_mix.cut_after", &fault_mix::cut_after},
      {"fault_mix.stall_after", &fault_mix::stall_after},
      {"fault_mix.spike", &fault_mix::spike},
  };
  for (const auto& each : shares) healthy.*each.second = 0;
  for (const auto& [field, member] : shares)
    rows.push_back(edges(field, "between 0 and 1", member, {0.0, 1.0},
                         {under(0.0), over(1.0), nan, infinite, -infinite}, healthy));
  rows.push_back(edges("fault_mix.spike_delay", "must not be negative", &fault_mix::spike_delay,
                       {0ns, longest}, {-1ns, most_negative}));
  rows.push_back(edges("fault_mix.latency", "must not be negative", &fault_mix::latency,
                       {0ns, longest}, {-1ns, most_negative}));
  rows.push_back(edges("fault_mix.retry_after", "from 0 to 366 days", &fault_mix::retry_after,
                       {0s, 366 * 24h}, {-1s, 366 * 24h + 1s, std::chrono::seconds::max()}));
  run(rows);
  fault_mix all = healthy;
  all.reset_before = all.stall_after = 0.5;
  EXPECT_NO_THROW(check(all));
  all.cut_after = 0.001;
  expect_config_error([&] { check(all); }, "fault_mix", "1.001", "sum must be at most 1");
}

TEST(BadOptions, OfPaymentGateways) {
  constexpr std::uint64_t highest = std::numeric_limits<std::uint64_t>::max();
  run({
      edges("payment_options.burst_every", "at least 1", &payment_options::burst_every,
            {1u, highest, std::nullopt}, {0u}),
      edges("payment_options.burst_for", "must not be negative", &payment_options::burst_for,
            {0ns, longest}, {-1ns, most_negative}),
      edges("payment_options.rate_limit", "above 0", &payment_options::rate_limit,
            {std::numeric_limits<double>::denorm_min(), infinite, std::nullopt},
            {0.0, -1.0, nan, -infinite}),
      edges("payment_options.rate_burst", "at least 1", &payment_options::rate_burst,
            {1.0, infinite}, {under(1.0), 0.0, nan, -infinite}),
      edges("payment_options.outage_at_request", "at least 1", &payment_options::outage_at_request,
            {1u, highest, std::nullopt}, {0u}),
      edges("payment_options.outage_at", "must not be negative", &payment_options::outage_at,
            {0ns, longest, std::nullopt}, {-1ns, most_negative}),
      edges("payment_options.outage_for", "must not be negative", &payment_options::outage_for,
            {0ns, longest}, {-1ns, most_negative}),
  });
  payment_options o;
  o.faults.spike = 2;
  expect_config_error([&] { check(o); }, "fault_mix.spike", "2", "between 0 and 1");
}

TEST(BadOptions, OfTestCertificates) {
  const testing::test_authority authority;
  const auto issued_for = [&](const std::string& address) {
    return [&authority, address] {
      testing::leaf_request leaf;
      leaf.addresses = {"127.0.0.1", address};
      static_cast<void>(authority.issue(leaf));
    };
  };
  for (const char* good : {"0.0.0.0", "255.255.255.255", "::", "::ffff:1.2.3.4"})
    EXPECT_NO_THROW(issued_for(good)()) << good;
  for (const char* bad : {"", "127.0.0.300", "1.2.3", "localhost", "[::1]", "1::2::3"})
    expect_config_error(issued_for(bad), "leaf_request.addresses", bad,
                        "must be an IPv4 or IPv6 address");
}

// --- the extremes that are allowed do their work -----------------------------------------------

/// Calls that succeed, fail and are refused, through options at an edge: under the sanitizer no
/// sum of theirs may overflow, and each call ends.
void exercise(const std::function<void(pipeline_builder&)>& with, bool bounded = false) {
  testing::manual_environment env;
  env.on_leftover({});
  pipeline_builder builder("edge");
  with(builder);
  const pipeline p = builder.build(env);
  std::vector<std::optional<duration>> limits_of_calls = {1h, 0ns, most_negative};
  // Without them, some of these calls would wait for ever, as they were told.
  if (!bounded) limits_of_calls.insert(limits_of_calls.end(), {std::nullopt, longest});
  for (const std::optional<duration> within : limits_of_calls) {
    for (int i = 0; i < 12; ++i) {
      call_report report;
      const call_options told{
          .priority = i % 2 == 0 ? least : most, .within = within, .report = &report};
      static_cast<void>(p.execute(
          [&](attempt& a) -> result<int> {
            env.advance(1ms);  // so that there is a least time of service
            if (i % 3 == 0) return 1;
            a.retry_after(i % 2 == 0 ? longest : most_negative);
            return error(errc::connection_closed);
          },
          told));
      static_cast<void>(report.to_string());
    }
  }
}

TEST(ExtremeOptions, OverflowNowhere) {
  const std::vector<backoff> delays = {
      constant{.each = longest},
      linear{.first = 1ns, .step = longest, .cap = longest},
      linear{.first = longest, .step = longest, .cap = longest},
      exponential{.first = longest, .factor = std::numeric_limits<double>::max(), .cap = longest},
      exponential{.first = 1ns, .factor = 1.0, .cap = longest},
      fibonacci{.first = longest, .cap = longest},
  };
  for (backoff delay : delays)
    for (const jitter spread : {jitter::none, jitter::full, jitter::equal, jitter::decorrelated}) {
      if (spread == jitter::decorrelated && std::holds_alternative<constant>(delay)) continue;
      std::visit([&](auto& kind) { kind.spread = spread; }, delay);
      exercise(
          [&](pipeline_builder& b) {
            b.add(timeout{.after = longest, .reserve = longest})
                .add(retry{.max_attempts = 100, .delay = delay, .max_server_wait = longest})
                .add(timeout{.after = longest, .reserve = 1ns});
          },
          true);
      exercise([&](pipeline_builder& b) { b.add(retry{.delay = delay}); }, true);
    }
  for (const time_window window :
       {time_window{.span = longest, .buckets = 1}, time_window{.span = longest, .buckets = 1000},
        time_window{.span = 1ns, .buckets = 1}}) {
    circuit_breaker o;
    o.window = window;
    o.min_calls = most;
    o.consecutive_failures = 1;
    o.open_for = o.hint_cap = o.healthy_reset = longest;
    o.open_cap = longest;
    o.open_multiplier = std::numeric_limits<double>::max();
    o.open_jitter = under(1.0);
    o.slow_ratio = 1.0;
    o.slow_after = longest;
    o.probe_lease = longest;
    exercise([&](pipeline_builder& b) { b.add(o); });
    o.open_for = 1ns;
    exercise([&](pipeline_builder& b) { b.add(retry{.delay = constant{.each = 1ns}}).add(o); });
  }
  exercise([](pipeline_builder& b) {
    b.add(bulkhead{.max_concurrent = 2'097'151,
                   .max_queue = 2'097'151,
                   .max_queue_wait = longest,
                   .service_floor = longest});
  });
  for (const rate_algorithm how :
       {rate_algorithm::gcra, rate_algorithm::fixed_window, rate_algorithm::sliding_window}) {
    exercise([&](pipeline_builder& b) {
      b.add(rate_limiter{.permits = 1,
                         .per = 366 * 24h,
                         .max_wait = 366 * 24h,
                         .algorithm = how,
                         .spread = 1.0,
                         .max_pause = longest});
    });
    exercise([&](pipeline_builder& b) {
      b.add(rate_limiter{.permits = 1, .per = 1ns, .algorithm = how, .max_pause = longest});
    });
  }
  exercise([](pipeline_builder& b) {
    b.add(retry{
        .delay = constant{.each = 1ns},
        .budget = make_budget(token_budget{
            .tokens = most, .retry_cost = most, .timeout_cost = most, .success_refund = most})});
  });
  exercise([](pipeline_builder& b) {
    b.add(retry{
        .delay = constant{.each = 1ns},
        .budget = make_budget(retry_budget{.ratio = 10, .window = 1h, .reserve_per_second = 1e6})});
  });
}

}  // namespace
}  // namespace hawser::test::options_test
