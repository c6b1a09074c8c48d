// Steering by hand: the breaker's forced states, pause and resume, and what snapshots say.
#include "by_hand/by_hand.hpp"
#include "hawser/observe/observer.hpp"
#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/retry_budget.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace hawser::test::control_test {
namespace {

class breaker_control : public ::testing::Test {
 protected:
  circuit_permit acquire(time_point now = start) { return breaker.try_acquire(now, random); }
  void trip(time_point now = start) { test::trip(breaker, random, now); }
  circuit_snapshot look(time_point now = start) { return breaker.snapshot(now); }
  circuit_state state(time_point now = start) { return look(now).state; }

  circuit_breaker_policy breaker{touchy()};
  seeded_entropy random{1};
};

struct control_case {
  const char* name;
  std::function<void(circuit_breaker_policy&, entropy&)> put;  // into a state to start from
};

const std::vector<control_case>& every_state() {
  static const std::vector<control_case> all = {
      {"closed", [](auto&, auto&) {}},
      {"open", [](auto& b, auto& random) { trip(b, random); }},
      {"half open",
       [](auto& b, auto& random) {
         b.open(start - 10s, random);
         EXPECT_TRUE(b.try_acquire(start, random).is_probe());
       }},
      {"isolated", [](auto& b, auto&) { b.isolate(start); }},
      {"disabled", [](auto& b, auto&) { b.disable(start); }},
      {"metrics only", [](auto& b, auto&) { b.metrics_only(start); }},
      {"metrics only, open",
       [](auto& b, auto& random) {
         b.metrics_only(start);
         for (int i = 0; i < 2; ++i) b.try_acquire(start, random).failure(1ms, start);
       }},
  };
  return all;
}

/// Each control from each state: where it stands then, and whether a call goes through.
TEST(breaker_controls, lead_from_every_state_to_their_own) {
  struct control {
    const char* name;
    std::function<void(circuit_breaker_policy&, entropy&)> apply;
    circuit_state to;
    bool admits;
  };
  const control controls[] = {
      {"open", [](auto& b, auto& r) { b.open(start, r); }, circuit_state::open, false},
      {"isolate", [](auto& b, auto&) { b.isolate(start); }, circuit_state::isolated, false},
      {"disable", [](auto& b, auto&) { b.disable(start); }, circuit_state::disabled, true},
      {"close", [](auto& b, auto&) { b.close(start); }, circuit_state::closed, true},
      {"reset", [](auto& b, auto&) { b.reset(start); }, circuit_state::closed, true},
  };
  for (const control_case& from : every_state()) {
    for (const control& c : controls) {
      SCOPED_TRACE(std::string(from.name) + ", then " + c.name);
      circuit_breaker_policy breaker(touchy());
      seeded_entropy random(1);
      from.put(breaker, random);
      c.apply(breaker, random);
      const circuit_snapshot s = breaker.snapshot(start);
      EXPECT_EQ(s.state, c.to);
      EXPECT_EQ(s.probes_out, 0);
      EXPECT_EQ(s.retry_at == never, c.to != circuit_state::open);
      EXPECT_EQ(static_cast<bool>(breaker.try_acquire(start, random)), c.admits);
    }
  }
}

TEST_F(breaker_control, open_by_hand_recovers_by_itself) {
  breaker.open(start, random);
  EXPECT_EQ(look().retry_at, start + 10s);
  EXPECT_EQ(look().why.because, reason::forced);
  EXPECT_FALSE(acquire(start + 10s - 1ns));
  circuit_permit probe = acquire(start + 10s);
  ASSERT_TRUE(probe.is_probe());
  EXPECT_EQ(probe.success(1ms, start + 10s), settlement::counted);
  EXPECT_EQ(state(start + 10s), circuit_state::closed);
}

TEST_F(breaker_control, open_by_hand_is_a_first_opening) {
  breaker.open(start, random);
  EXPECT_EQ(look().openings, 1U);
  acquire(start + 10s).failure(1ms, start + 10s);
  EXPECT_EQ(look().retry_at, start + 10s + 20s);
}

TEST_F(breaker_control, open_by_hand_is_a_first_opening_however_many_there_were) {
  time_point now = start;
  breaker.open(now, random);
  for (const duration open_for : {10s, 20s, 40s}) {  // each probe fails
    now += open_for;
    acquire(now).failure(1ms, now);
  }
  now += 80s;
  EXPECT_EQ(acquire(now).success(1ms, now), settlement::counted);
  ASSERT_EQ(state(now), circuit_state::closed);
  breaker.open(now, random);
  EXPECT_EQ(look().openings, 1U);
  EXPECT_EQ(look().retry_at, now + 10s);
}

TEST_F(breaker_control, open_by_hand_lasts_as_long_as_told_and_never_shorter_than_it_was) {
  breaker.open(start, random, 24h);  // over open_cap and hint_cap: a hand knows
  EXPECT_EQ(look().retry_at, start + 24h);
  breaker.open(start + 1s, random, 5s);
  EXPECT_EQ(look().retry_at, start + 24h);
  breaker.open(start + 1s, random, 48h);
  EXPECT_EQ(look().retry_at, start + 1s + 48h);
  breaker.open(start, random, duration::min());
  EXPECT_EQ(look().retry_at, start + 1s + 48h);
  breaker.open(start, random, duration::max());
  EXPECT_EQ(look().retry_at, never);
  EXPECT_FALSE(acquire(start + 24h * 365 * 100));
  breaker.close(start);
  EXPECT_TRUE(acquire());
}

TEST_F(breaker_control, an_opening_by_hand_makes_results_under_way_late) {
  circuit_permit out = acquire();
  breaker.open(start, random);
  EXPECT_EQ(out.success(1ms, start), settlement::late);
  EXPECT_EQ(state(), circuit_state::open);
}

TEST_F(breaker_control, isolation_while_probes_are_out_takes_their_word_from_them) {
  trip();
  circuit_permit good = acquire(start + 10s);
  ASSERT_TRUE(good.is_probe());
  breaker.isolate(start + 10s);
  EXPECT_EQ(look().probes_out, 0);
  EXPECT_EQ(good.success(1ms, start + 11s), settlement::late);
  EXPECT_EQ(state(), circuit_state::isolated);
  EXPECT_EQ(look().probes_out, 0);  // its place is not given back a second time
  EXPECT_FALSE(acquire(start + 24h));

  breaker.close(start + 24h);
  trip(start + 24h);
  circuit_permit dropped = acquire(start + 24h + 10s);
  ASSERT_TRUE(dropped.is_probe());
  breaker.isolate(start + 24h + 10s);
  dropped.ignore();
  EXPECT_EQ(look(start + 24h + 10s).probes_out, 0);
  EXPECT_EQ(state(), circuit_state::isolated);
}

TEST_F(breaker_control, reset_forgets_all) {
  circuit_permit early = acquire();
  trip();
  EXPECT_EQ(early.success(1ms, start), settlement::late);
  acquire(start + 10s).failure(1ms, start + 10s);  // a second opening in a row
  circuit_permit probe = acquire(start + 30s);
  ASSERT_TRUE(probe.is_probe());
  breaker.reset(start + 30s);
  const circuit_snapshot s = look(start + 30s);
  EXPECT_EQ(s.state, circuit_state::closed);
  EXPECT_EQ(s.calls + s.failures + s.consecutive + s.slow + s.late_results, 0U);
  EXPECT_EQ(s.openings, 0U);
  EXPECT_EQ(s.probes_out + s.probes_succeeded, 0);
  EXPECT_EQ(s.retry_at, never);
  EXPECT_EQ(probe.failure(1ms, start + 30s), settlement::late);
  EXPECT_EQ(look(start + 30s).late_results, 1U);
  EXPECT_EQ(look(start + 30s).calls, 0U);
  trip(start + 30s);
  EXPECT_EQ(look(start + 30s).retry_at, start + 40s);  // a first opening again
}

TEST_F(breaker_control, close_keeps_the_count_of_late_results) {
  circuit_permit early = acquire();
  breaker.isolate(start);
  early.ignore();
  circuit_permit none = acquire();
  EXPECT_FALSE(none);
  breaker.close(start);
  circuit_permit late = acquire();
  breaker.close(start);
  EXPECT_EQ(late.success(1ms, start), settlement::late);
  breaker.close(start);
  EXPECT_EQ(look().late_results, 1U);
}

struct listening final : observer {
  void on_event(const event& what) override {
    heard.push_back(std::string(what.from) + " > " + std::string(what.to) + ": " +
                    std::string(to_string(what.why.because)));
    EXPECT_EQ(what.kind, event_kind::state_changed);
    EXPECT_EQ(what.why.policy, "billing");
    at = what.at;
    if (and_then) and_then();
  }
  std::vector<std::string> heard;
  time_point at{};
  std::function<void()> and_then;
};
using texts = std::vector<std::string>;

TEST_F(breaker_control, tells_an_observer_outside_of_any_call) {
  listening ears;
  breaker.tell(ears, start);
  EXPECT_TRUE(ears.heard.empty());
  trip();
  breaker.isolate(start);
  breaker.reset(start);
  breaker.open(start, random);
  breaker.tell(ears, start + 1s);
  EXPECT_EQ(ears.heard, (texts{"closed > open: consecutive_failures", "open > isolated: forced",
                               "isolated > closed: forced", "closed > open: forced"}));
  EXPECT_EQ(ears.at, start + 1s);
  breaker.tell(ears, start + 1s);
  EXPECT_EQ(ears.heard.size(), 4U);  // once each
}

TEST_F(breaker_control, what_was_told_by_hand_is_not_told_again_by_a_call) {
  listening ears;
  breaker.isolate(start);
  breaker.tell(ears, start);
  breaker.close(start);
  stage_driver t;
  t.set_now(start);
  const stage_under_test s(breaker);
  (void)s->enter(t);
  s->leave();
  EXPECT_EQ(ears.heard, (texts{"closed > isolated: forced"}));
  ASSERT_EQ(t.events.size(), 1U);
  EXPECT_EQ(t.events[0].from, "isolated");
  EXPECT_EQ(t.events[0].to, "closed");
}

TEST_F(breaker_control, a_listener_may_steer_and_may_throw) {
  listening ears;
  breaker.isolate(start);
  ears.and_then = [&] {
    if (ears.heard.size() == 1) breaker.close(start);  // would hang under the lock
  };
  breaker.tell(ears, start);
  EXPECT_EQ(ears.heard.size(), 2U);
  ears.and_then = [] { throw std::runtime_error("from a listener"); };
  breaker.isolate(start);
  breaker.close(start);
  EXPECT_THROW(breaker.tell(ears, start), std::runtime_error);
  ears.and_then = {};
  breaker.tell(ears, start);
  EXPECT_EQ(ears.heard, (texts{"closed > isolated: forced", "isolated > closed: forced",
                               "closed > isolated: forced", "isolated > closed: forced"}));
}

// --- pause and resume --------------------------------------------------------------------------

int drain(rate_limiter_policy& p, time_point now) {
  int n = 0;
  while (n < 1000 && p.try_acquire(now)) ++n;
  return n;
}

TEST(limiter_control, resume_ends_a_pause_now) {
  for (const rate_algorithm algorithm : algorithms) {
    for (const time_point end : {start + 1h, never}) {
      rate_limiter_policy p({.permits = 1, .per = 1s, .algorithm = algorithm});
      p.pause_until(end);
      EXPECT_FALSE(p.try_acquire(start + 1s));
      EXPECT_EQ(p.snapshot(start + 1s).paused_until, end);
      p.resume(start + 1s);
      EXPECT_EQ(p.snapshot(start + 1s).paused_until, start + 1s);
      EXPECT_EQ(drain(p, start + 1s), 1);
      EXPECT_EQ(drain(p, start + 2s - 1ns), 0);
      EXPECT_EQ(drain(p, start + 2s), 1);
    }
  }
}

TEST(limiter_control, resume_without_a_pause_changes_nothing) {
  for (const rate_algorithm algorithm : algorithms) {
    rate_limiter_policy p({.permits = 4, .per = 1s, .algorithm = algorithm});
    EXPECT_TRUE(p.try_acquire(start));
    p.resume(start);
    EXPECT_EQ(p.snapshot(start).tokens, 3);
    p.pause_until(start + 1s);
    const auto tokens = p.snapshot(start + 1s).tokens;
    p.resume(start + 1s);  // over by itself
    EXPECT_EQ(p.snapshot(start + 1s).tokens, tokens);
  }
}

TEST(limiter_control, pauses_that_are_resumed_mint_nothing) {
  // Ten at once, then one each 100 ms: whatever is paused and resumed, no more may go.
  rate_limiter_policy p({.permits = 10, .per = 1s, .burst = 10});
  EXPECT_EQ(drain(p, start), 10);
  p.pause_until(start + 10s);
  p.pause_until(start + 20s);
  p.resume(start + 1ms);
  EXPECT_EQ(drain(p, start + 1ms), 0);
  p.pause_until(start + 50ms);  // shorter than what is owed already
  p.resume(start + 2ms);
  EXPECT_EQ(drain(p, start + 99ms), 0);
  EXPECT_EQ(drain(p, start + 100ms), 1);
  p.pause_until(start + 10s);
  p.set_rate(100, 1s, 10, start + 100ms);  // a reload in a pause keeps the debt
  p.resume(start + 101ms);
  EXPECT_EQ(drain(p, start + 109ms), 0);
  EXPECT_EQ(drain(p, start + 110ms), 1);
}

TEST(limiter_control, what_went_out_under_a_later_clock_stays_spent) {
  rate_limiter_policy p({.permits = 10, .per = 1s, .burst = 2});
  p.pause_until(start + 1s);
  EXPECT_EQ(drain(p, start + 2s), 2);  // of a thread whose reading is ahead
  p.resume(start);
  EXPECT_EQ(drain(p, start + 2s), 0);
}

TEST(limiter_control, resume_moves_reservations_up) {
  for (const rate_algorithm algorithm : algorithms) {
    SCOPED_TRACE(static_cast<int>(algorithm));
    rate_limiter_policy p({.permits = 1, .per = 1s, .max_wait = 1h, .algorithm = algorithm});
    p.pause_until(start + 10s);
    stage_driver t;
    t.set_now(start);
    const stage_under_test a(p);
    const stage_under_test b(p);
    EXPECT_EQ(a->enter(t).at(), start + 10s);
    EXPECT_EQ(b->enter(t).at(), start + 11s);
    p.resume(start + 1s);
    EXPECT_GE(t.wakes, 1);
    t.set_now(start + 1s);
    EXPECT_EQ(a->woken(t).what(), verb::call_inner);
    EXPECT_EQ(b->woken(t).at(), start + 2s);
    t.set_now(start + 2s);
    EXPECT_EQ(b->timer(t).what(), verb::call_inner);
    EXPECT_EQ(drain(p, start + 2s), 0);
    EXPECT_EQ(drain(p, start + 3s), 1);
    a->leave();
    b->leave();
    EXPECT_EQ(p.snapshot(start + 3s).waiting, 0);
  }
}

TEST(limiter_control, after_resume_the_server_is_heard_anew) {
  seeded_entropy random(1);
  rate_limiter_policy p({.permits = 10, .per = 1s, .spread = 0});
  p.server_said_wait(10min, start, random);
  p.resume(start);
  p.server_said_wait(2s, start, random);
  EXPECT_EQ(p.snapshot(start).paused_until, start + 2s);
}

/// Takes, refunds, pauses, hints, resumes and reloads at random. A bucket that leaks at the rate
/// and gets what was really sent never holds more than the burst; in a pause nothing is sent; and
/// when all is over the bucket is full again.
TEST(limiter_control, whatever_is_steered_the_bound_holds_and_pauses_are_kept) {
  constexpr std::int64_t interval = 1000;  // ns for a token
  constexpr std::int64_t burst = 8;
  for (const std::uint64_t seed : {71U, 72U, 73U, 74U}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    seeded_entropy random(seed);
    const auto below = [&](std::uint64_t n) {
      return static_cast<std::int64_t>(random.next() % n);
    };
    rate_limiter_policy p({.permits = 1'000'000, .per = 1s, .burst = burst, .spread = 0});
    time_point now = start;
    time_point paused_until = time_point::min();
    std::int64_t level = 0;
    time_point last = now;
    int sent = 0;
    int resumed = 0;
    for (int i = 0; i < 100'000; ++i) {
      now += duration(below(i % 1000 == 0 ? 30'000 : 1'500));
      const auto cost = static_cast<std::uint32_t>(1 + below(3));
      switch (below(20)) {
        case 0: {
          const time_point end = now + duration(below(20'000));
          p.pause_until(end);
          paused_until = std::max(paused_until, end);
          break;
        }
        case 1: {
          const duration hint(1 + below(10'000));
          p.server_said_wait(hint, now, random);
          paused_until = std::max(paused_until, now + hint);
          break;
        }
        case 2:
        case 3:
          resumed += now < paused_until ? 1 : 0;
          p.resume(now);
          paused_until = std::min(paused_until, now);
          break;
        case 4: p.set_rate(1'000'000, 1s, burst, now); break;
        case 5: p.try_acquire(now, cost).give_back(now); break;
        default:
          if (!p.try_acquire(now, cost)) break;
          ++sent;
          ASSERT_GE(now, paused_until) << i;
          level = std::max<std::int64_t>(level - (now - last).count(), 0) + interval * cost;
          last = now;
          ASSERT_LE(level, interval * burst) << i;
      }
      ASSERT_EQ(now < paused_until, now < p.snapshot(now).paused_until) << i;
      ASSERT_LE(p.snapshot(now).tokens, now < paused_until ? 0 : burst) << i;
    }
    EXPECT_GT(sent, 10'000);
    EXPECT_GT(resumed, 1'000);
    EXPECT_EQ(p.snapshot(std::max(now, paused_until) + 1s).tokens, burst);
  }
}

// --- snapshots ---------------------------------------------------------------------------------

TEST(snapshots, the_limiter_shows_rate_tokens_and_when) {
  for (const rate_algorithm algorithm : algorithms) {
    SCOPED_TRACE(static_cast<int>(algorithm));
    rate_limiter_policy p({.permits = 2, .per = 1s, .algorithm = algorithm});
    rate_snapshot s = p.snapshot(start);
    EXPECT_EQ(s.tokens, 2);
    EXPECT_EQ(s.burst, 2);
    EXPECT_EQ(s.permits, 2);
    EXPECT_EQ(s.per, 1s);
    EXPECT_EQ(s.waiting, 0);
    EXPECT_EQ(s.retry_at, start);
    EXPECT_EQ(drain(p, start), 2);
    s = p.snapshot(start);
    EXPECT_EQ(s.tokens, 0);
    EXPECT_EQ(s.retry_at, start + (algorithm == rate_algorithm::gcra ? 500ms : 1000ms));
    EXPECT_FALSE(p.try_acquire(s.retry_at - 1ns));
    EXPECT_TRUE(p.try_acquire(s.retry_at));
    p.pause_until(start + 1min);
    EXPECT_EQ(p.snapshot(start + 2s).retry_at, start + 1min);
    EXPECT_EQ(p.snapshot(start + 2s).tokens, 0);
    p.set_rate(30, 1min, {}, start);
    s = p.snapshot(start);
    EXPECT_EQ(s.permits, 30);
    EXPECT_EQ(s.per, 1min);
    EXPECT_EQ(s.burst, 30);
  }
}

TEST(snapshots, the_bulkhead_shows_limits_in_force) {
  bulkhead_policy p({.max_concurrent = 2, .max_queue = 3});
  const bulkhead_permit held = p.try_acquire();
  p.set_max_concurrent(5);
  p.set_max_queue(7);
  const bulkhead_snapshot s = p.snapshot();
  EXPECT_EQ(s.in_flight, 1);
  EXPECT_EQ(s.queued, 0);
  EXPECT_EQ(s.limit, 5);
  EXPECT_EQ(s.max_queue, 7);
}

TEST(snapshots, a_budget_shows_its_balance) {
  const auto by_rate = make_budget(retry_budget{.ratio = 0.5, .reserve_per_second = 1});
  EXPECT_DOUBLE_EQ(by_rate->balance(start), 2);
  for (int i = 0; i < 100; ++i) by_rate->call_started(start);
  EXPECT_DOUBLE_EQ(by_rate->balance(start), 50);
  EXPECT_TRUE(by_rate->try_spend({}, start));
  EXPECT_DOUBLE_EQ(by_rate->balance(start), 49);
  by_rate->succeeded(1, start);
  EXPECT_DOUBLE_EQ(by_rate->balance(start), 50);
  const auto by_tokens = make_budget(token_budget{.tokens = 10, .retry_cost = 7});
  EXPECT_TRUE(by_tokens->try_spend({}, start));
  EXPECT_DOUBLE_EQ(by_tokens->balance(start), 3);
  EXPECT_FALSE(by_tokens->try_spend({}, start));
}

}  // namespace
}  // namespace hawser::test::control_test
