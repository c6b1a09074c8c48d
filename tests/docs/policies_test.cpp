// What docs/policies/ quotes: each test holds one page's blocks and looks at what they do.
#include "hawser/observe/observer.hpp"
#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/fallback.hpp"
#include "hawser/policy/keyed.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/retry_budget.hpp"
#include "hawser/policy/start_spread.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/execute.hpp"
#include "hawser/testing/manual_environment.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

using namespace std::chrono_literals;

namespace policies_test {
namespace {

class policy_pages : public ::testing::Test {
 protected:
  static int fail() { throw std::runtime_error("connection lost"); }

  hawser::testing::manual_environment env;
  hawser::pipeline_builder builder =
      hawser::pipeline_builder{"billing"}.calls_are(hawser::effect::safe);
};

TEST_F(policy_pages, backoff) {
  builder.add(
      hawser::retry{.max_attempts = 4, .delay = hawser::exponential{.first = 100ms, .cap = 2s}});
  const auto start = env.now();
  EXPECT_FALSE(builder.build(env).execute(fail).has_value());
  EXPECT_LE(env.now() - start, 100ms + 200ms + 400ms);
}

TEST_F(policy_pages, bulkhead) {
  auto slots = std::make_shared<hawser::bulkhead_policy>(hawser::bulkhead{
      .name = "billing", .max_concurrent = 20, .max_queue = 50, .max_queue_wait = 200ms});
  const auto billing = hawser::pipeline_builder{"billing"}.add(slots).build(env);
  EXPECT_EQ(billing.execute([&] { return slots->snapshot().in_flight; }).value(), 1);
  EXPECT_EQ(slots->snapshot().in_flight, 0);
  slots->set_max_concurrent(30);
  if (auto permit = slots->try_acquire()) {  // given back at the end of the scope
    EXPECT_EQ(slots->snapshot().in_flight, 1);
  }
  EXPECT_EQ(slots->snapshot().limit, 30);
  EXPECT_EQ(slots->snapshot().in_flight, 0);
}

TEST_F(policy_pages, circuit_breaker) {
  const auto billing =
      hawser::pipeline_builder{"billing"}
          .add(hawser::retry{.max_attempts = 3})
          .add(hawser::circuit_breaker{.min_calls = 20, .failure_ratio = 0.5, .open_for = 10s})
          .add(hawser::timeout{.after = 2s})
          .calls_are(hawser::effect::safe)
          .build(env);
  while (billing.execute(fail).error() != hawser::errc::circuit_open) env.advance(100ms);
  EXPECT_TRUE(billing.execute(fail).error() == hawser::errc::circuit_open);
}

TEST_F(policy_pages, a_refusal_explains_itself) {
  const auto ledger = hawser::pipeline_builder{"ledger"}
                          .add(hawser::circuit_breaker{.name = "billing",
                                                       .min_calls = 5,
                                                       .consecutive_failures = {},
                                                       .open_for = 6s,
                                                       .open_jitter = 0})
                          .build(env);
  int calls = 0;
  for (const bool good : {true, true, false, false, false})
    static_cast<void>(ledger.execute([&] { return good ? ++calls : fail(); }));
  EXPECT_EQ(ledger.execute(fail).error().detail(),
            "billing: failure rate 0.6 of 0.5, next try in 6 s");
}

TEST_F(policy_pages, circuit_breaker_by_hand) {
  hawser::entropy& random = env.random();
  const hawser::time_point now = env.now();
  std::string logged;
  const auto log = [&](std::string text) { logged = std::move(text); };
  const auto post_to_ledger = [] { return false; };
  const hawser::duration took = 5ms;
  auto breaker = std::make_shared<hawser::circuit_breaker_policy>(
      hawser::circuit_breaker{.name = "ledger", .consecutive_failures = 1});
  hawser::refusal no;
  if (hawser::circuit_permit permit = breaker->try_acquire(now, random, &no)) {
    if (post_to_ledger())
      permit.success(took, now);
    else
      permit.failure(took, now);
  } else {  // a permit without a report goes back undecided
    log(no.to_error(now).message());
  }

  breaker->isolate(now);  // maintenance: nothing goes through
  breaker->close(now);
  const hawser::circuit_snapshot s = breaker->snapshot(now);  // state, counts, rates, retry_at
  EXPECT_EQ(s.state, hawser::circuit_state::closed);
  EXPECT_TRUE(logged.empty());
}

// docs/guide/by_hand.md; its interceptor is examples/05_by_hand.cpp.
TEST_F(policy_pages, waiting_by_hand) {
  hawser::rate_limiter_policy limiter({.name = "mail", .permits = 2, .per = 1s});
  const auto pause_for = [&](hawser::duration d) { env.advance(d); };
  const auto send_when_allowed = [&]() -> hawser::error {
    hawser::refusal no;
    hawser::rate_permit tokens = limiter.try_acquire(env.now(), 1, &no);
    while (!tokens) {
      const std::optional<hawser::duration> wait = no.wait(env.now());
      if (!wait || *wait > 2s) return no.to_error(env.now());  // never, or too long for us
      pause_for(*wait);                                        // yours: a timer, a condition, ...
      tokens = limiter.try_acquire(env.now(), 1, &no);         // somebody may have been quicker
    }
    return {};
  };
  const auto begin = env.now();
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(send_when_allowed().code());
  EXPECT_EQ(env.now() - begin, 1s);
  limiter.pause_until(env.now() + 1min);
  EXPECT_TRUE(send_when_allowed() == hawser::errc::rate_limited);
}

struct log_lines final : hawser::observer {
  void on_event(const hawser::event& e) override { last = e.to; }
  std::string last;
};

TEST_F(policy_pages, steering_by_hand) {
  hawser::circuit_breaker_policy breaker({.name = "ledger", .open_jitter = 0});
  log_lines log;
  const hawser::time_point now = env.now();
  breaker.open(now, env.random(), 5min);  // they told us: down for five minutes; then probes
  breaker.isolate(now);                   // nothing goes through until close() or reset()
  breaker.disable(now);                   // everything goes through, nothing trips
  breaker.metrics_only(now);              // likewise, but shows what would have tripped
  breaker.close(now);                     // back to work, from whatever state
  breaker.tell(log, now);                 // the changes of state, as events
  EXPECT_EQ(log.last, "closed");

  hawser::rate_limiter_policy limiter({.name = "ledger", .permits = 50, .per = 1s});
  limiter.pause_until(hawser::later(now, 1min));
  limiter.resume(now);
  limiter.set_rate(10, 1s, 5, now);  // permits, per, burst
  EXPECT_EQ(limiter.snapshot(now).burst, 5);

  hawser::bulkhead_policy slots({.name = "ledger", .max_concurrent = 20});
  slots.set_max_concurrent(5);
  slots.set_max_queue(10);
  EXPECT_EQ(slots.snapshot().limit, 5);
}

struct rate {
  double value = 0;
};

TEST_F(policy_pages, fallback) {
  struct {
    std::optional<rate> stale(std::string_view) { return {}; }
  } cache;
  const std::string id = "EUR";
  const auto rates = hawser::pipeline_builder{"rates"}
                         .add(hawser::fallback::from([&](const hawser::outcome&) {
                                return cache.stale(id);  // std::optional<rate>
                              }).or_value(rate{1.0}))    // tried next
                         .add(hawser::retry{})
                         .calls_are(hawser::effect::safe)
                         .build(env);
  EXPECT_EQ(rates.execute([]() -> rate { throw std::runtime_error("down"); }).value().value, 1.0);
}

TEST_F(policy_pages, keyed) {
  const auto load = [](std::string_view tenant) {
    if (tenant == "t-2") throw std::runtime_error("connection lost");
    return 7;
  };
  const auto crm = hawser::pipeline_builder{"crm"}
                       .add(hawser::retry{})
                       .add(hawser::keyed{hawser::circuit_breaker{.name = "tenant"}})
                       .calls_are(hawser::effect::safe)
                       .build(env);
  const auto mine = crm.execute([&] { return load("t-1"); }, {.key = "t-1"});
  EXPECT_EQ(mine.value(), 7);
  for (int i = 0; i < 200; ++i)
    EXPECT_FALSE(crm.execute([&] { return load("t-2"); }, {.key = "t-2"}).has_value());
  EXPECT_EQ(crm.execute([&] { return load("t-1"); }, {.key = "t-1"}).value(), 7);
}

TEST_F(policy_pages, keyed_by_hand) {
  auto tenants = std::make_shared<hawser::keyed_policy>(
      [] { return hawser::make_policy(hawser::circuit_breaker{.name = "tenant"}); },
      hawser::keyed_options{.max_keys = 1000});
  auto of_t1 = std::static_pointer_cast<hawser::circuit_breaker_policy>(tenants->of("t-1"));
  of_t1->isolate(env.now());  // this tenant's calls alone
  const auto crm = hawser::pipeline_builder{"crm"}.add(tenants).build(env);
  EXPECT_EQ(crm.execute([] { return 1; }, {.key = "t-1"}).error(), hawser::errc::circuit_isolated);
  EXPECT_EQ(crm.execute([] { return 1; }, {.key = "t-2"}).value(), 1);
  EXPECT_EQ(crm.execute([] { return 1; }).value(), 1);
  EXPECT_EQ(tenants->size(), 3u);
}

TEST_F(policy_pages, start_spread) {
  const auto billing = hawser::pipeline_builder{"billing"}
                           .add(hawser::timeout{.after = 30s})
                           .add(hawser::start_spread{.over = 5s})
                           .build(env);
  const auto start = env.now();
  EXPECT_EQ(billing.execute([] { return 1; }).value(), 1);
  EXPECT_GT(env.now(), start);
  EXPECT_LT(env.now(), start + 5s);
  const auto open = env.now();
  EXPECT_EQ(billing.execute([] { return 1; }).value(), 1);
  EXPECT_EQ(env.now(), open);
}

TEST_F(policy_pages, rate_limiter) {
  auto rate = std::make_shared<hawser::rate_limiter_policy>(hawser::rate_limiter{
      .name = "billing", .permits = 50, .per = 1s, .burst = 10, .max_wait = 300ms});
  const auto billing =
      hawser::pipeline_builder{"billing"}.add(hawser::retry{}).add(rate).build(env);
  EXPECT_TRUE(billing.execute([] { return 1; }).has_value());
  EXPECT_EQ(rate->snapshot(env.now()).tokens, 9);
  rate->set_rate(100, 1s, 20, env.now());
  if (rate->try_acquire(env.now(), 5)) {  // takes five, never waits
    EXPECT_LT(rate->snapshot(env.now()).tokens, 20);
  }
  EXPECT_EQ(rate->snapshot(env.now()).burst, 20);
}

TEST_F(policy_pages, retry) {
  builder.add(hawser::retry{.max_attempts = 4,
                            .delay = hawser::exponential{.first = 100ms, .cap = 2s},
                            .budget = hawser::make_budget(hawser::retry_budget{})});
  int tries = 0;
  EXPECT_EQ(builder.build(env).execute([&] { return ++tries < 3 ? fail() : 7; }).value(), 7);
}

TEST_F(policy_pages, retry_budget) {
  auto extra =
      hawser::make_budget(hawser::retry_budget{.ratio = 0.1});  // one per destination, shared
  const auto billing = hawser::pipeline_builder{"billing"}
                           .add(hawser::retry{.max_attempts = 4, .budget = extra})
                           .calls_are(hawser::effect::safe)
                           .build(env);
  const double before = extra->balance(env.now());
  EXPECT_FALSE(billing.execute(fail).has_value());
  EXPECT_LT(extra->balance(env.now()), before);
}

TEST_F(policy_pages, token_budget) {
  auto standard = hawser::make_budget(hawser::token_budget::aws_standard());
  auto of_2026 = hawser::make_budget(hawser::token_budget::aws_2026());
  auto by_calls = hawser::make_budget(hawser::token_budget{
      .tokens = 50, .retry_cost = 1, .timeout_cost = 1, .success_refund = 0, .per_call = 0.1});
  EXPECT_EQ(standard->balance({}), 500);
  EXPECT_EQ(of_2026->price({}), 14);
  EXPECT_EQ(by_calls->balance({}), 50);
  const auto ledger =
      hawser::pipeline_builder{"ledger"}
          .add(hawser::retry{.delay = hawser::exponential{.first = 50ms, .cap = 20s},
                             .hint_excess = 5s,
                             .budget = hawser::make_budget(hawser::token_budget::aws_2026())})
          .calls_are(hawser::effect::safe)
          .build(env);
  int tries = 0;
  const auto r = ledger.execute([&](hawser::attempt& a) {
    if (++tries > 1) return 7;
    a.retry_after(1h);
    return fail();
  });
  EXPECT_EQ(r.value(), 7);
}

TEST_F(policy_pages, timeout) {
  builder
      .add(hawser::timeout{.after = 8s})  // the call
      .add(hawser::retry{.max_attempts = 4})
      .add(hawser::timeout{.after = 2s});  // each attempt
  const auto r = builder.build(env).execute([&](hawser::attempt& a) {
    EXPECT_EQ(a.remaining(), 2s);
    return 1;
  });
  EXPECT_TRUE(r.has_value());
}

}  // namespace
}  // namespace policies_test
