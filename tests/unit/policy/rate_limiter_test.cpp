#include "hawser/policy/rate_limiter.hpp"

#include "support/stage_driver.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace hawser::rate_limiter_test {
namespace {

using namespace std::chrono_literals;
using test::stage_driver;
using test::stage_under_test;
using test::succeeded;
using test::verb;

constexpr time_point start_of_test = time_point{} + 1h;

constexpr rate_algorithm every_algorithm[] = {rate_algorithm::gcra, rate_algorithm::fixed_window,
                                              rate_algorithm::sliding_window};

struct call {
  explicit call(rate_limiter_policy& p, time_point now = start_of_test, std::uint32_t cost = 1)
      : s(p) {
    t.set_now(now);
    t.set_cost(cost);
  }
  step enter() { return s->enter(t); }
  step timer_at(time_point now) {
    t.set_now(now);
    return s->timer(t);
  }
  step woken_at(time_point now) {
    t.set_now(now);
    return s->woken(t);
  }
  void finish(const outcome& o = succeeded()) {
    (void)s->inner_done(0, o, t);
    s->leave();
  }
  void cancel_at(time_point now) {
    t.set_now(now);
    const outcome as_told = test::ignored();
    EXPECT_EQ(s->canceled(as_told, t).error, as_told.error);
    s->leave();
  }
  stage_driver t;
  stage_under_test s;
};

/// How long until `cost` tokens will be there, as a refusal says; zero when it took them.
std::optional<duration> wait_at(rate_limiter_policy& p, time_point now, std::uint32_t cost = 1) {
  refusal no;
  if (p.try_acquire(now, cost, &no)) return duration::zero();
  EXPECT_EQ(no.code, errc::rate_limited);
  return no.wait(now);
}

/// How many single permits could be taken at `now`; takes them.
int drain(rate_limiter_policy& p, time_point now, int most = 1000) {
  int n = 0;
  while (n < most && p.try_acquire(now)) ++n;
  return n;
}

outcome too_many_requests(duration wait = duration::min()) {
  outcome o = test::failed({}, evidence::refused);
  o.status = 429;
  o.countable = false;
  o.server_wait = wait;
  return o;
}

// ---- gcra ----

TEST(rate_limiter, admits_a_burst_and_then_the_rate) {
  rate_limiter_policy p({.permits = 10, .per = 1s, .burst = 3});
  time_point now = start_of_test;
  EXPECT_EQ(drain(p, now), 3);
  EXPECT_EQ(wait_at(p, now), 100ms);
  EXPECT_EQ(drain(p, now + 99ms), 0);
  EXPECT_EQ(drain(p, now + 100ms), 1);
  EXPECT_EQ(drain(p, now + 350ms), 2);
  EXPECT_EQ(drain(p, now + 399ms), 0);
  EXPECT_EQ(drain(p, now + 400ms), 1);
}

TEST(rate_limiter, the_burst_is_the_permits_unless_given) {
  rate_limiter_policy p({.permits = 7, .per = 1s});
  EXPECT_EQ(p.snapshot(start_of_test).tokens, 7);
  EXPECT_EQ(drain(p, start_of_test), 7);
  EXPECT_EQ(p.snapshot(start_of_test).tokens, 0);
}

TEST(rate_limiter, a_long_gap_is_clamped_to_the_burst) {
  rate_limiter_policy p({.permits = 1000, .per = 1s, .burst = 5});
  EXPECT_EQ(drain(p, start_of_test), 5);
  EXPECT_EQ(drain(p, start_of_test + 24h * 365 * 30), 5);
  EXPECT_EQ(drain(p, never - 1h), 5);
}

TEST(rate_limiter, a_clock_that_reads_backwards_mints_nothing) {
  for (const rate_algorithm algorithm : every_algorithm) {
    rate_limiter_policy p({.permits = 5, .per = 1s, .algorithm = algorithm});
    EXPECT_EQ(drain(p, start_of_test), 5);
    EXPECT_EQ(drain(p, start_of_test - 10s), 0);
    EXPECT_EQ(drain(p, start_of_test), 0);
    EXPECT_EQ(drain(p, start_of_test - 1h), 0);
    EXPECT_EQ(drain(p, start_of_test + 1ms), 0);
    EXPECT_EQ(drain(p, start_of_test + 1s), 5);
  }
}

TEST(rate_limiter, the_rate_is_rounded_down_never_up) {
  rate_limiter_policy p({.permits = 3, .per = 10ns, .burst = 1});
  std::int64_t admitted = 0;
  for (duration at{}; at < 1000ns; at += 1ns) admitted += drain(p, start_of_test + at);
  EXPECT_LE(admitted, 1 + 300);
  EXPECT_GE(admitted, 250);
}

TEST(rate_limiter, refuses_at_once_without_max_wait_and_says_until_when) {
  rate_limiter_policy p({.name = "rate", .permits = 10, .per = 1s, .burst = 1});
  call a(p), b(p);
  EXPECT_EQ(a.enter().what(), verb::call_inner);
  EXPECT_EQ(b.enter().what(), verb::finish);
  EXPECT_EQ(b.t.result.error, errc::rate_limited);
  EXPECT_TRUE(b.t.result.rejected);
  EXPECT_EQ(b.t.result.result, verdict::ignored);
  EXPECT_EQ(b.t.result.delivery, evidence::never_sent);
  EXPECT_EQ(b.t.result.why.policy, "rate");
  EXPECT_EQ(b.t.result.why.because, reason::rate);
  EXPECT_DOUBLE_EQ(b.t.result.why.measured, 0.1);
  EXPECT_EQ(b.t.result.why.threshold, 0);
  EXPECT_EQ(b.t.result.why.until, start_of_test + 100ms);
  ASSERT_EQ(b.t.events.size(), 1u);
  EXPECT_EQ(b.t.events[0].kind, event_kind::rejected);
  EXPECT_EQ(b.t.events[0].error, errc::rate_limited);
  b.s->leave();
  a.finish();
  EXPECT_EQ(p.snapshot(start_of_test).tokens, 0);  // a call that went out keeps its token
}

TEST(rate_limiter, takes_the_cost_of_the_call) {
  rate_limiter_policy p({.permits = 10, .per = 1s});
  EXPECT_TRUE(p.try_acquire(start_of_test, 7));
  EXPECT_EQ(wait_at(p, start_of_test, 5), 200ms);
  EXPECT_TRUE(p.try_acquire(start_of_test, 3));
  EXPECT_EQ(p.snapshot(start_of_test).tokens, 0);
}

TEST(rate_limiter, a_cost_over_the_burst_is_refused_at_once) {
  for (const rate_algorithm algorithm : every_algorithm) {
    rate_limiter_policy p({.permits = 10, .per = 1s, .max_wait = 4s, .algorithm = algorithm});
    call a(p, start_of_test, 11);
    EXPECT_EQ(a.enter().what(), verb::finish);
    EXPECT_EQ(a.t.result.error, errc::rate_limited);
    EXPECT_EQ(a.t.result.why.because, reason::cost_over_burst);
    EXPECT_EQ(a.t.result.why.measured, 11);
    EXPECT_EQ(a.t.result.why.threshold, 10);
    EXPECT_EQ(a.t.result.why.until, never);
    a.s->leave();
    EXPECT_EQ(wait_at(p, start_of_test, UINT32_MAX), std::nullopt);
    EXPECT_EQ(p.snapshot(start_of_test).tokens, 10);
  }
}

// ---- reservations ----

TEST(rate_limiter, a_reservation_waits_for_its_tokens) {
  rate_limiter_policy p({.permits = 10, .per = 1s, .burst = 1, .max_wait = 250ms});
  call a(p), b(p), c(p), d(p);
  EXPECT_EQ(a.enter().what(), verb::call_inner);
  const step waits = b.enter();
  EXPECT_EQ(waits.what(), verb::park);
  EXPECT_EQ(waits.at(), start_of_test + 100ms);
  ASSERT_EQ(b.t.events.size(), 1u);
  EXPECT_EQ(b.t.events[0].kind, event_kind::waiting);
  EXPECT_EQ(b.t.events[0].elapsed, 100ms);
  EXPECT_EQ(b.t.events[0].why.because, reason::rate);
  EXPECT_EQ(c.enter().at(), start_of_test + 200ms);
  EXPECT_EQ(d.enter().what(), verb::finish);  // 300 ms
  EXPECT_EQ(d.t.result.why.because, reason::rate);
  EXPECT_DOUBLE_EQ(d.t.result.why.measured, 0.3);
  EXPECT_DOUBLE_EQ(d.t.result.why.threshold, 0.25);
  EXPECT_EQ(p.snapshot(start_of_test).waiting, 2);
  EXPECT_EQ(b.timer_at(start_of_test + 100ms).what(), verb::call_inner);
  EXPECT_EQ(c.timer_at(start_of_test + 199ms).at(), start_of_test + 200ms);
  EXPECT_EQ(c.timer_at(start_of_test + 200ms).what(), verb::call_inner);
  EXPECT_EQ(p.snapshot(start_of_test).waiting, 0);
}

TEST(rate_limiter, does_not_wait_past_the_deadline) {
  rate_limiter_policy p({.permits = 10, .per = 1s, .burst = 1, .max_wait = 1s});
  call a(p), b(p);
  (void)a.enter();
  b.t.set_deadline(start_of_test + 100ms);
  EXPECT_EQ(b.enter().what(), verb::finish);
  EXPECT_EQ(b.t.result.error, errc::rate_limited);
  EXPECT_EQ(b.t.result.why.because, reason::deadline);
  EXPECT_DOUBLE_EQ(b.t.result.why.measured, 0.1);
  EXPECT_DOUBLE_EQ(b.t.result.why.threshold, 0.1);
  EXPECT_EQ(b.t.result.why.until, start_of_test + 100ms);
  b.s->leave();
  b.t.set_deadline(start_of_test + 100ms + 1ns);
  EXPECT_EQ(b.enter().at(), start_of_test + 100ms);
}

TEST(rate_limiter, a_canceled_waiter_gets_its_refund) {
  for (const rate_algorithm algorithm : every_algorithm) {
    rate_limiter_policy p({.permits = 2, .per = 1s, .max_wait = 10s, .algorithm = algorithm});
    EXPECT_EQ(drain(p, start_of_test), 2);
    call a(p, start_of_test, 2), b(p);
    const time_point first = a.enter().at();
    a.cancel_at(start_of_test + 1ms);
    const time_point after = b.enter().at();
    EXPECT_LE(after, first);
    b.cancel_at(start_of_test + 2ms);
    EXPECT_EQ(p.snapshot(start_of_test).waiting, 0);
    EXPECT_EQ(drain(p, start_of_test + 1s), 2);
  }
}

TEST(rate_limiter, a_waiter_that_comes_late_puts_no_window_off) {
  for (const rate_algorithm algorithm :
       {rate_algorithm::fixed_window, rate_algorithm::sliding_window}) {
    rate_limiter_policy p({.permits = 1, .per = 1s, .max_wait = 10s, .algorithm = algorithm});
    EXPECT_EQ(drain(p, start_of_test), 1);
    call a(p), b(p), c(p);
    EXPECT_EQ(a.enter().at(), start_of_test + 1s);
    EXPECT_EQ(b.enter().at(), start_of_test + 2s);
    EXPECT_EQ(c.enter().at(), start_of_test + 3s);
    EXPECT_EQ(a.timer_at(start_of_test + 1300ms).what(), verb::call_inner);
    b.cancel_at(start_of_test + 1400ms);  // those behind are planned anew
    EXPECT_EQ(c.woken_at(start_of_test + 1400ms).at(), start_of_test + 2s);
    c.cancel_at(start_of_test + 1500ms);
    a.finish();
  }
}

// Lowering the spent mark alone would let d start beside c: two at one moment with a burst of one.
TEST(rate_limiter, a_refund_moves_up_those_behind_and_mints_nothing) {
  rate_limiter_policy p({.permits = 1, .per = 1s, .burst = 1, .max_wait = 10s});
  EXPECT_EQ(drain(p, start_of_test), 1);
  call a(p), b(p), c(p), d(p);
  EXPECT_EQ(a.enter().at(), start_of_test + 1s);
  EXPECT_EQ(b.enter().at(), start_of_test + 2s);
  EXPECT_EQ(c.enter().at(), start_of_test + 3s);
  a.cancel_at(start_of_test + 500ms);
  EXPECT_EQ(d.enter().at(), start_of_test + 3s);
  EXPECT_EQ(b.t.wakes, 1);  // now the first: woken to set its timer anew
  EXPECT_EQ(b.woken_at(start_of_test + 500ms).at(), start_of_test + 1s);
  EXPECT_EQ(b.timer_at(start_of_test + 1s).what(), verb::call_inner);
  EXPECT_EQ(c.t.wakes, 1);
  EXPECT_EQ(c.woken_at(start_of_test + 1s).at(), start_of_test + 2s);
  EXPECT_EQ(c.timer_at(start_of_test + 2s).what(), verb::call_inner);
  EXPECT_EQ(d.timer_at(start_of_test + 3s).what(), verb::call_inner);
}

TEST(rate_limiter, a_cheap_waiter_behind_a_dear_one_may_start_at_once) {
  rate_limiter_policy p({.permits = 1, .per = 1s, .burst = 4, .max_wait = 100s});
  EXPECT_EQ(drain(p, start_of_test, 3), 3);  // one token left
  call dear(p, start_of_test, 4), cheap(p);
  EXPECT_EQ(dear.enter().at(), start_of_test + 3s);
  EXPECT_EQ(cheap.enter().at(), start_of_test + 4s);
  dear.cancel_at(start_of_test + 1ms);
  EXPECT_EQ(cheap.t.wakes, 1);
  EXPECT_EQ(cheap.woken_at(start_of_test + 1ms).what(), verb::call_inner);
  EXPECT_EQ(drain(p, start_of_test + 1ms), 0);
  EXPECT_EQ(drain(p, start_of_test + 1s), 1);
}

TEST(rate_limiter, a_refund_never_gives_back_what_is_used) {
  rate_limiter_policy p({.permits = 1, .per = 1s, .burst = 1, .max_wait = 10s});
  EXPECT_EQ(drain(p, start_of_test), 1);
  call a(p), b(p);
  (void)a.enter();
  (void)b.enter();
  // a is due, and b's timer happens to be served first: a has been given its turn, and lets it go.
  EXPECT_EQ(b.timer_at(start_of_test + 2s).what(), verb::call_inner);
  a.cancel_at(start_of_test + 2s);
  EXPECT_EQ(drain(p, start_of_test + 2s), 0);
  EXPECT_EQ(drain(p, start_of_test + 3s), 1);
}

// The slot of a passed while a was slow to take it; b cannot have it at 1.5 s and c the one at 2 s.
TEST(rate_limiter, a_slot_that_has_passed_is_not_given_back_to_those_behind) {
  rate_limiter_policy p({.permits = 1, .per = 1s, .burst = 1, .max_wait = 10s});
  EXPECT_EQ(drain(p, start_of_test), 1);
  call a(p), b(p), c(p, start_of_test + 1500ms);
  EXPECT_EQ(a.enter().at(), start_of_test + 1s);
  EXPECT_EQ(b.enter().at(), start_of_test + 2s);
  a.cancel_at(start_of_test + 1500ms);
  EXPECT_EQ(c.enter().at(), start_of_test + 3s);
  EXPECT_EQ(b.timer_at(start_of_test + 1500ms).at(), start_of_test + 2s);
}

// b came behind a call that was admitted while a was overdue, by a clock ahead of b's and a's.
TEST(rate_limiter, a_refund_does_not_pass_over_what_was_admitted_in_between) {
  rate_limiter_policy p({.permits = 1, .per = 1s, .burst = 1, .max_wait = 10s});
  EXPECT_EQ(drain(p, start_of_test), 1);
  call a(p), b(p, start_of_test + 500ms);
  EXPECT_EQ(a.enter().at(), start_of_test + 1s);
  EXPECT_EQ(drain(p, start_of_test + 2500ms), 1);
  EXPECT_EQ(b.enter().at(), start_of_test + 3500ms);
  a.cancel_at(start_of_test + 500ms);
  EXPECT_EQ(b.woken_at(start_of_test + 500ms).at(), start_of_test + 3500ms);
  EXPECT_EQ(wait_at(p, start_of_test + 3500ms), 1s);
}

TEST(rate_limiter, leaving_without_a_word_is_a_cancellation) {
  rate_limiter_policy p({.permits = 1, .per = 1s, .burst = 1, .max_wait = 10s});
  EXPECT_EQ(drain(p, start_of_test), 1);
  call a(p), b(p);
  (void)a.enter();
  a.s->leave();
  a.s->leave();
  EXPECT_EQ(p.snapshot(start_of_test).waiting, 0);
  EXPECT_EQ(b.enter().at(), start_of_test + 1s);
}

TEST(rate_limiter, a_call_refused_further_inside_gives_its_tokens_back) {
  for (const rate_algorithm algorithm : every_algorithm) {
    rate_limiter_policy p({.permits = 2, .per = 1s, .algorithm = algorithm});
    call a(p), b(p);
    (void)a.enter();
    a.finish(outcome::refuse(errc::circuit_open, {}));
    EXPECT_EQ(p.snapshot(start_of_test).tokens, 2);
    // One of whose attempts went out keeps them, however it ends.
    (void)b.enter();
    b.t.set_attempts(1);
    b.finish(outcome::refuse(errc::circuit_open, {}));
    EXPECT_EQ(p.snapshot(start_of_test).tokens, 1);
  }
}

TEST(rate_limiter, nothing_is_given_back_across_a_reload) {
  rate_limiter_policy p({.permits = 3, .per = 1s, .algorithm = rate_algorithm::sliding_window});
  call a(p), b(p);
  (void)a.enter();
  (void)b.enter();
  p.set_rate(1, 1s, std::nullopt, start_of_test);
  a.finish(outcome::refuse(errc::circuit_open, {}));
  EXPECT_EQ(p.snapshot(start_of_test).tokens, 0);
}

TEST(rate_limiter, what_is_granted_after_a_reload_is_given_back) {
  for (const rate_algorithm algorithm : every_algorithm) {
    rate_limiter_policy p({.permits = 1, .per = 1s, .max_wait = 5s, .algorithm = algorithm});
    EXPECT_EQ(drain(p, start_of_test), 1);
    call a(p);
    (void)a.enter();
    p.set_rate(1, 2s, std::nullopt, start_of_test);
    const time_point start = a.woken_at(start_of_test).at();
    EXPECT_EQ(start, start_of_test + 2s);
    EXPECT_EQ(a.timer_at(start).what(), verb::call_inner);
    a.finish(outcome::refuse(errc::circuit_open, {}));
    EXPECT_EQ(drain(p, start), 1);
  }
}

// ---- told by the server ----

TEST(rate_limiter, an_answer_429_drains_it_until_the_hint) {
  rate_limiter_policy p({.permits = 100, .per = 1s, .spread = 0.0});
  call a(p);
  (void)a.enter();
  a.finish(too_many_requests(5s));
  EXPECT_EQ(a.t.result.status, 429);
  EXPECT_EQ(drain(p, start_of_test + 5s - 1ns), 0);
  EXPECT_EQ(drain(p, start_of_test + 5s), 1);  // the rate again, and no burst
  EXPECT_EQ(drain(p, start_of_test + 5s + 10ms), 1);
  EXPECT_EQ(p.snapshot(start_of_test).paused_until, start_of_test + 5s);
}

TEST(rate_limiter, other_failures_do_not_drain_it) {
  rate_limiter_policy p({.permits = 100, .per = 1s});
  call a(p), b(p);
  (void)a.enter();
  outcome unavailable = test::failed({});
  unavailable.status = 503;
  unavailable.server_wait = 5s;
  a.finish(unavailable);
  EXPECT_EQ(p.snapshot(start_of_test).tokens, 99);
  // Nor does a keyed request's 409, which asks the one call to wait.
  (void)b.enter();
  unavailable.countable = false;
  b.finish(unavailable);
  EXPECT_EQ(p.snapshot(start_of_test).tokens, 98);
  // Nor a 425, which is about that request.
  call early(p);
  (void)early.enter();
  outcome too_early = unavailable;
  too_early.status = 425;
  too_early.delivery = evidence::refused;
  early.finish(too_early);
  EXPECT_EQ(p.snapshot(start_of_test).tokens, 97);
  // What the classifier calls a limit does, whatever its status.
  call c(p);
  (void)c.enter();
  unavailable.throttled = true;
  c.finish(unavailable);
  EXPECT_EQ(p.snapshot(start_of_test).tokens, 0);
}

TEST(rate_limiter, a_429_without_a_hint_takes_what_is_left) {
  rate_limiter_policy p({.permits = 10, .per = 1s});
  call a(p);
  (void)a.enter();
  a.finish(too_many_requests());
  EXPECT_EQ(drain(p, start_of_test), 0);
  EXPECT_EQ(drain(p, start_of_test + 100ms), 1);
}

TEST(rate_limiter, a_429_without_a_hint_takes_what_is_left_of_a_window) {
  for (const rate_algorithm algorithm :
       {rate_algorithm::fixed_window, rate_algorithm::sliding_window}) {
    rate_limiter_policy p({.permits = 4, .per = 1s, .max_wait = 5s, .algorithm = algorithm});
    EXPECT_EQ(drain(p, start_of_test, 1), 1);
    seeded_entropy random(1);
    p.server_said_wait(duration::min(), start_of_test + 100ms, random);
    EXPECT_EQ(p.snapshot(start_of_test + 100ms).tokens, 0);
    EXPECT_EQ(drain(p, start_of_test + 999ms), 0);
    call a(p, start_of_test + 999ms);
    EXPECT_EQ(a.enter().at(), start_of_test + 1s);
    EXPECT_EQ(a.timer_at(start_of_test + 1s).what(), verb::call_inner);
  }
}

TEST(rate_limiter, a_fleet_does_not_return_in_one_burst) {
  std::vector<duration> returns;
  seeded_entropy random(5);
  for (int i = 0; i < 1000; ++i) {
    rate_limiter_policy p({.permits = 1, .per = 1s, .max_wait = 1min, .spread = 0.5});
    p.server_said_wait(10s, start_of_test, random);
    returns.push_back(p.snapshot(start_of_test).paused_until - start_of_test);
  }
  std::sort(returns.begin(), returns.end());
  EXPECT_GE(returns.front(), 10s);  // never before the server's own moment
  EXPECT_LE(returns.back(), 15s);
  for (int i = 1; i < 10; ++i) {
    const double seconds =
        std::chrono::duration<double>(returns[static_cast<std::size_t>(i) * 100]).count();
    EXPECT_NEAR(seconds, 10 + 0.5 * i, 0.3);
  }
}

/// Who waited elsewhere as long as the server asked finds the pause over.
TEST(rate_limiter, a_pause_for_which_nobody_waits_here_is_not_stretched) {
  rate_limiter_policy p({.permits = 1, .per = 1s, .spread = 1.0});
  seeded_entropy random(5);
  p.server_said_wait(10s, start_of_test, random);
  EXPECT_EQ(drain(p, start_of_test + 10s - 1ns), 0);
  EXPECT_EQ(drain(p, start_of_test + 10s), 1);
}

// With a draw for each answer, whoever has many calls out would always end at the far end.
TEST(rate_limiter, the_answers_of_one_storm_share_one_draw) {
  double sum = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    seeded_entropy random(seed);
    rate_limiter_policy p({.permits = 1, .per = 1s, .max_wait = 1min, .spread = 1.0});
    for (int i = 0; i < 50; ++i) p.server_said_wait(10s, start_of_test + i * 1ms, random);
    sum += std::chrono::duration<double>(p.snapshot({}).paused_until - start_of_test).count();
  }
  EXPECT_NEAR(sum / 200, 15, 0.7);
}

TEST(rate_limiter, an_absurd_hint_is_cut) {
  rate_limiter_policy p({.permits = 1, .per = 1s, .spread = 0.0, .max_pause = 60s});
  seeded_entropy random(1);
  p.server_said_wait(24h * 365, start_of_test, random);
  EXPECT_EQ(p.snapshot({}).paused_until, start_of_test + 60s);
  p.server_said_wait(duration::max(), start_of_test, random);
  EXPECT_EQ(p.snapshot({}).paused_until, start_of_test + 60s);
}

TEST(rate_limiter, a_shorter_hint_does_not_shorten_a_pause) {
  for (const rate_algorithm algorithm : every_algorithm) {
    rate_limiter_policy p({.permits = 1, .per = 1s, .algorithm = algorithm, .spread = 0.0});
    seeded_entropy random(1);
    p.server_said_wait(10s, start_of_test, random);
    p.server_said_wait(2s, start_of_test + 1s, random);
    p.pause_until(start_of_test + 3s);
    EXPECT_EQ(p.snapshot(start_of_test).paused_until, start_of_test + 10s);
    EXPECT_EQ(drain(p, start_of_test + 9s), 0);
    EXPECT_EQ(drain(p, start_of_test + 10s), 1);
  }
}

TEST(rate_limiter, a_pause_moves_reservations_or_refuses_those_it_makes_too_late) {
  for (const rate_algorithm algorithm : every_algorithm) {
    rate_limiter_policy p({.permits = 1, .per = 1s, .max_wait = 5s, .algorithm = algorithm});
    EXPECT_EQ(drain(p, start_of_test), 1);
    call a(p), b(p), c(p);
    a.t.set_deadline(start_of_test + 4s + 500ms);  // to start there would be too late
    EXPECT_EQ(a.enter().at(), start_of_test + 1s);
    EXPECT_EQ(b.enter().at(), start_of_test + 2s);
    EXPECT_EQ(c.enter().at(), start_of_test + 3s);
    p.pause_until(start_of_test + 4s + 500ms);
    EXPECT_EQ(a.t.wakes, 1);
    EXPECT_EQ(c.t.wakes, 1);
    EXPECT_EQ(a.woken_at(start_of_test).what(), verb::finish);
    EXPECT_EQ(a.t.result.why.because, reason::deadline);
    a.s->leave();
    EXPECT_EQ(c.woken_at(start_of_test).what(), verb::finish);
    EXPECT_EQ(c.t.result.why.because, reason::rate);
    EXPECT_EQ(c.t.result.why.until, start_of_test + 5s + 500ms);
    c.s->leave();
    EXPECT_EQ(b.timer_at(start_of_test + 2s).at(), start_of_test + 4s + 500ms);
    EXPECT_EQ(b.timer_at(start_of_test + 4s + 500ms).what(), verb::call_inner);
    EXPECT_EQ(drain(p, start_of_test + 5s + 499ms), 0);
    EXPECT_EQ(drain(p, start_of_test + 5s + 500ms), 1);
  }
}

TEST(rate_limiter, a_reservation_is_kept_up_to_the_very_last_moment_it_may_wait_for) {
  for (const rate_algorithm algorithm : every_algorithm) {
    rate_limiter_policy p({.permits = 1, .per = 1s, .max_wait = 5s, .algorithm = algorithm});
    EXPECT_EQ(drain(p, start_of_test), 1);
    call a(p);
    EXPECT_EQ(a.enter().at(), start_of_test + 1s);
    p.pause_until(start_of_test + 5s);
    EXPECT_EQ(a.timer_at(start_of_test + 1s).at(), start_of_test + 5s);
    p.pause_until(start_of_test + 5s + 1ns);
    EXPECT_EQ(a.woken_at(start_of_test + 1s).what(), verb::finish);
    EXPECT_EQ(a.t.result.why.because, reason::rate);
    a.s->leave();
  }
}

TEST(rate_limiter, a_pause_without_an_end) {
  rate_limiter_policy p({.permits = 1, .per = 1s});
  p.pause_until(never);
  EXPECT_FALSE(p.try_acquire(start_of_test));
  EXPECT_FALSE(p.try_acquire(start_of_test + 24h * 365 * 100));
  p.set_rate(10, 1s, 10, start_of_test);
  EXPECT_FALSE(p.try_acquire(start_of_test));
}

// ---- the ramp after a server's pause ----

/// Calls that arrive and wait, their timers and wakes served exactly on time.
class queue_of_calls {
 public:
  explicit queue_of_calls(rate_limiter_policy& p) : policy_(p) {}

  void arrive(std::uint32_t cost = 1, time_point deadline = never) {
    auto c = std::make_unique<call>(policy_, now_, cost);
    c->t.set_deadline(deadline);
    take(std::move(c), &call::enter);
    serve_wakes();
  }
  /// `n` of them, `apart` from each other; the first one now.
  void arrive_each(duration apart, int n) {
    for (int i = 0; i < n; ++i) {
      arrive();
      run_until(now_ + apart);
    }
  }
  void run_until(time_point end) {
    while (!waiting_.empty()) {
      const auto next = std::min_element(waiting_.begin(), waiting_.end(),
                                         [](auto& a, auto& b) { return a.until < b.until; });
      if (next->until > end) break;
      now_ = std::max(now_, next->until);
      auto c = std::move(next->who);
      waiting_.erase(next);
      take(std::move(c), &call::timer_at);
      serve_wakes();
    }
    now_ = std::max(now_, end);
  }
  void run() { run_until(now_ + 1000h); }

  [[nodiscard]] time_point now() const { return now_; }
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  /// How long after `since` each started, those before left out.
  [[nodiscard]] std::vector<duration> starts_since(time_point since) const {
    std::vector<duration> all;
    for (const time_point at : starts)
      if (at >= since) all.push_back(at - since);
    return all;
  }

  std::vector<time_point> starts;
  int refused = 0;

 private:
  struct waiter {
    std::unique_ptr<call> who;
    time_point until;
    int wakes;
  };

  template <class How>
  void take(std::unique_ptr<call> c, How how) {
    c->t.set_now(now_);
    const step s = ask(*c, how);
    if (s.what() == verb::park) {
      const int wakes = c->t.wakes;
      waiting_.push_back({std::move(c), s.at(), wakes});
      return;
    }
    if (s.what() == verb::call_inner) {
      starts.push_back(now_);
      c->finish();
      return;
    }
    ++refused;
    c->s->leave();
  }
  step ask(call& c, step (call::*enter)()) { return (c.*enter)(); }
  step ask(call& c, step (call::*timer_at)(time_point)) { return (c.*timer_at)(now_); }

  void serve_wakes() {
    for (std::size_t i = 0; i < waiting_.size();) {
      if (waiting_[i].who->t.wakes == waiting_[i].wakes) {
        ++i;
        continue;
      }
      auto c = std::move(waiting_[i].who);
      waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
      take(std::move(c), &call::woken_at);
      i = 0;
    }
  }

  rate_limiter_policy& policy_;
  time_point now_ = start_of_test;
  std::vector<waiter> waiting_;
};

void server_says(rate_limiter_policy& p, duration wait, time_point now) {
  seeded_entropy random(1);
  p.server_said_wait(wait, now, random);
}

/// Far from any limit of ours.
rate_limiter with_ramp(double ramp) {
  return {.permits = 1'000'000'000, .per = 1s, .max_wait = 1h, .spread = 0.0, .ramp = ramp};
}

std::vector<duration> evenly(duration apart, int n) {
  std::vector<duration> all;
  for (int i = 0; i < n; ++i) all.push_back(i * apart);
  return all;
}

TEST(rate_limiter_ramp, who_waited_goes_a_little_faster_than_calls_came) {
  rate_limiter_policy p(with_ramp(1.25));
  queue_of_calls q(p);
  server_says(p, 10s, q.now());
  q.arrive_each(500ms, 20);
  q.run();
  EXPECT_EQ(q.starts_since(start_of_test + 10s), evenly(400ms, 20));
  EXPECT_EQ(q.starts.size(), 20u);
}

TEST(rate_limiter_ramp, newcomers_go_behind_until_nobody_waits) {
  rate_limiter_policy p(with_ramp(1.25));
  queue_of_calls q(p);
  server_says(p, 10s, q.now());
  q.arrive_each(500ms, 20);
  q.arrive_each(500ms, 100);  // the same rate goes on
  // 20 are behind, and five go in the time in which four come: 76 later nobody waits any more.
  const auto starts = q.starts_since(start_of_test + 10s);
  ASSERT_EQ(starts.size(), 120u);
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const int n = static_cast<int>(i);
    EXPECT_EQ(starts[i], n < 96 ? 400ms * n : 500ms * (n - 20)) << i;
  }
}

// A pause at night, and then the morning: else the ramp would hold what comes for ever.
TEST(rate_limiter_ramp, has_an_end_though_many_more_calls_come_than_before) {
  rate_limiter_policy p(with_ramp(1.3));
  queue_of_calls q(p);
  server_says(p, 10s, q.now());
  q.arrive_each(1s, 10);
  q.arrive_each(10ms, 12'000);  // two minutes at a hundred times the rate
  EXPECT_EQ(q.waiting(), 0u);
  const std::size_t before = q.starts.size();
  q.arrive();
  EXPECT_EQ(q.starts.size(), before + 1);
}

// Raising our own rate would not help those who are held by the ramp.
TEST(rate_limiter_ramp, who_waits_for_it_is_told_that_it_is_the_servers) {
  rate_limiter_policy p(with_ramp(1.25));
  queue_of_calls q(p);
  server_says(p, 10s, q.now());
  q.arrive_each(500ms, 20);
  call newcomer(p, q.now());
  EXPECT_EQ(newcomer.enter().what(), verb::park);
  EXPECT_EQ(newcomer.t.events.back().why.because, reason::server_pause);
  newcomer.cancel_at(q.now());
  refusal no;
  EXPECT_FALSE(p.try_acquire(q.now(), 1, &no));
  EXPECT_EQ(no.why.because, reason::server_pause);
  q.run();
  rate_limiter slow = with_ramp(1.25);
  slow.permits = 1;
  rate_limiter_policy own(slow);
  queue_of_calls held(own);
  server_says(own, 10s, held.now());
  held.arrive_each(500ms, 20);
  EXPECT_FALSE(own.try_acquire(held.now(), 1, &no));
  EXPECT_EQ(no.why.because, reason::rate);
  held.run();
}

TEST(rate_limiter_ramp, counts_what_dear_calls_cost) {
  rate_limiter_policy p(with_ramp(1.25));
  queue_of_calls q(p);
  server_says(p, 10s, q.now());
  for (int i = 0; i < 10; ++i) q.arrive(8);
  q.run();
  const auto starts = q.starts_since(start_of_test + 10s);
  ASSERT_EQ(starts.size(), 10u);
  // 80 tokens in 10 s: one each 100 ms, and a call of eight goes when its last is there.
  for (std::size_t i = 0; i < 10; ++i) {
    const duration exactly = 100ms * (8 * static_cast<int>(i) + 7);
    EXPECT_LE(starts[i] - exactly, 1us);
    EXPECT_GE(starts[i], exactly);
  }
}

TEST(rate_limiter_ramp, counts_those_who_waited_already) {
  rate_limiter_policy p({.permits = 10, .per = 1s, .max_wait = 1h, .spread = 0.0, .ramp = 1.0});
  queue_of_calls q(p);
  for (int i = 0; i < 110; ++i) q.arrive();  // 10 go, 100 wait for our own rate
  server_says(p, 20s, q.now());
  q.run();
  EXPECT_EQ(q.starts_since(start_of_test + 20s), evenly(200ms, 100));
}

TEST(rate_limiter_ramp, is_never_over_the_own_rate) {
  rate_limiter_policy p({.permits = 10, .per = 1s, .burst = 3, .max_wait = 1h, .spread = 0.0});
  queue_of_calls q(p);
  server_says(p, 1s, q.now());
  for (int i = 0; i < 40; ++i) q.arrive();
  q.run();
  EXPECT_EQ(q.starts_since(start_of_test + 1s), evenly(100ms, 40));
}

TEST(rate_limiter_ramp, is_for_pauses_of_the_servers_alone) {
  rate_limiter_policy p({.permits = 10, .per = 1s, .max_wait = 1h, .spread = 0.0});
  queue_of_calls q(p);
  p.pause_until(start_of_test + 10s);
  for (int i = 0; i < 4; ++i) q.arrive();
  q.run();
  EXPECT_EQ(q.starts_since(start_of_test + 10s), evenly(100ms, 4));
}

// The one storm's ramp is not measured from another's beginning.
TEST(rate_limiter_ramp, each_row_of_pauses_is_counted_for_itself) {
  rate_limiter_policy p(with_ramp(1.25));
  queue_of_calls q(p);
  server_says(p, 10s, q.now());
  q.run_until(start_of_test + 1h);  // nobody came
  server_says(p, 10s, q.now());
  q.arrive_each(500ms, 20);
  q.run();
  EXPECT_EQ(q.starts_since(start_of_test + 1h + 10s), evenly(400ms, 20));
}

TEST(rate_limiter_ramp, pauses_one_behind_the_other_are_one_row) {
  rate_limiter_policy p(with_ramp(1.25));
  queue_of_calls q(p);
  server_says(p, 10s, q.now());
  q.arrive_each(1s, 10);  // the first of them goes at 10 s
  ASSERT_EQ(q.starts.size(), 1u);
  server_says(p, 10s, q.now());  // and is turned away
  q.run();
  // Ten in 9 s, times 1.25: that none came in the 11 s since is of callers who all wait.
  EXPECT_EQ(q.starts_since(start_of_test + 20s), evenly(720ms, 9));
}

TEST(rate_limiter_ramp, the_silence_of_callers_who_all_wait_does_not_slow_it) {
  rate_limiter_policy p(with_ramp(1.25));
  queue_of_calls q(p);
  server_says(p, 10s, q.now());
  q.arrive_each(10ms, 10);  // a pool of ten, at a hundred a second
  q.run();
  EXPECT_LE(q.starts.back(), start_of_test + 10s + 200ms);
}

TEST(rate_limiter_ramp, who_finds_the_pause_over_overtakes_nobody) {
  rate_limiter_policy p(with_ramp(1.25));
  std::vector<std::unique_ptr<call>> waiting;
  server_says(p, 500ms, start_of_test);  // all of whose ramp is less than our own burst
  for (int i = 0; i < 20; ++i) {
    waiting.push_back(std::make_unique<call>(p));
    EXPECT_EQ(waiting.back()->enter().what(), verb::park);
  }
  // Before the first one's timer was served.
  const time_point over = start_of_test + 500ms;
  call newcomer(p, over);
  EXPECT_EQ(newcomer.enter().what(), verb::park);
  EXPECT_EQ(waiting[0]->woken_at(over).what(), verb::call_inner);
  EXPECT_FALSE(p.try_acquire(over));
  for (auto& c : waiting) c->s->leave();
  newcomer.s->leave();
}

// "The rate from one token on" holds with a ramp, too.
TEST(rate_limiter_ramp, there_is_no_burst_behind_it) {
  rate_limiter_policy p({.permits = 10, .per = 1s, .max_wait = 1h, .spread = 0.0});
  queue_of_calls q(p);
  server_says(p, 5s, q.now());
  q.arrive();
  q.run_until(start_of_test + 5s);
  ASSERT_EQ(q.starts.size(), 1u);
  EXPECT_EQ(drain(p, q.now()), 0);
  EXPECT_EQ(drain(p, q.now() + 100ms), 1);
  EXPECT_EQ(drain(p, q.now() + 500ms), 4);
}

TEST(rate_limiter_ramp, what_came_in_meanwhile_is_there_behind_it) {
  rate_limiter_policy p({.permits = 10, .per = 1s, .max_wait = 1h, .spread = 0.0, .ramp = 1.0});
  queue_of_calls q(p);
  server_says(p, 10s, q.now());
  q.arrive_each(2500ms, 4);
  q.run_until(start_of_test + 10s + 7500ms);  // four starts, 2.5 s apart
  ASSERT_EQ(q.starts.size(), 4u);
  EXPECT_EQ(drain(p, q.now()), 10);  // full long since
}

TEST(rate_limiter_ramp, goes_on_at_another_own_rate) {
  rate_limiter_policy p(with_ramp(1.25));
  queue_of_calls q(p);
  server_says(p, 10s, q.now());
  q.arrive_each(500ms, 20);
  ASSERT_EQ(q.starts_since(start_of_test + 10s).size(), 1u);
  p.set_rate(500'000'000, 1s, {}, q.now());  // the ramp is what holds them
  q.run_until(start_of_test + 12s);
  EXPECT_EQ(q.starts_since(start_of_test + 10s), evenly(400ms, 6));
  p.set_rate(1, 1s, {}, q.now());  // slower than the ramp
  q.run();
  const auto starts = q.starts_since(start_of_test + 12s);
  ASSERT_EQ(starts.size(), 15u);
  for (std::size_t i = 1; i < starts.size(); ++i) EXPECT_EQ(starts[i] - starts[i - 1], 1s);
  EXPECT_EQ(p.snapshot(q.now()).permits, 1);
}

TEST(rate_limiter_ramp, a_pause_that_leaves_nobody_waiting_ends_it) {
  rate_limiter_policy p(
      {.permits = 10, .per = 1s, .max_wait = 1h, .spread = 0.0, .probe_every = {}});
  queue_of_calls q(p);
  server_says(p, 10s, q.now());
  for (int i = 0; i < 3; ++i) q.arrive(1, start_of_test + 30s);
  q.run_until(start_of_test + 10s);
  ASSERT_EQ(q.starts.size(), 1u);
  server_says(p, 50s, q.now());  // too late for those two
  q.run_until(start_of_test + 60s - 1ns);
  EXPECT_EQ(q.refused, 2);
  EXPECT_EQ(q.waiting(), 0u);
  EXPECT_EQ(drain(p, q.now()), 0);
  EXPECT_EQ(drain(p, start_of_test + 60s), 1);
  EXPECT_EQ(drain(p, start_of_test + 60s + 100ms), 1);
}

TEST(rate_limiter_ramp, the_last_to_leave_ends_it) {
  rate_limiter_policy p({.permits = 10, .per = 1s, .max_wait = 1h, .spread = 0.0});
  server_says(p, 10s, start_of_test);
  call a(p), b(p);
  EXPECT_EQ(a.enter().what(), verb::park);
  EXPECT_EQ(b.enter().what(), verb::park);
  EXPECT_EQ(a.timer_at(start_of_test + 10s).what(), verb::call_inner);
  EXPECT_EQ(b.timer_at(start_of_test + 10s).at(), start_of_test + 10s + 100'000'000'000ns / 26);
  b.cancel_at(start_of_test + 10s);
  EXPECT_EQ(drain(p, start_of_test + 10s + 100ms), 1);
  EXPECT_EQ(drain(p, start_of_test + 10s + 300ms), 2);
}

TEST(rate_limiter_ramp, follows_a_resume_as_it_follows_the_end) {
  rate_limiter_policy p(with_ramp(1.25));
  queue_of_calls q(p);
  server_says(p, 60s, q.now());
  q.arrive_each(500ms, 20);
  p.resume(q.now());
  q.arrive();  // serves the wakes
  q.run();
  const auto starts = q.starts_since(start_of_test + 10s);
  ASSERT_EQ(starts.size(), 21u);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(starts[i], 400ms * static_cast<int>(i));
}

TEST(rate_limiter_ramp, pausing_and_resuming_mints_nothing) {
  rate_limiter_policy p({.permits = 10, .per = 1s, .max_wait = 1h, .spread = 0.0});
  EXPECT_EQ(drain(p, start_of_test), 10);
  queue_of_calls q(p);
  q.arrive();
  for (int i = 0; i < 5; ++i) {
    server_says(p, 5s, q.now());
    p.resume(q.now());
    q.run_until(q.now() + 1ns);
  }
  EXPECT_EQ(q.starts.size(), 0u);
  q.run();
  EXPECT_GE(q.starts_since(start_of_test).at(0), 100ms);
}

TEST(rate_limiter_ramp, nothing_is_given_back_across_its_edges) {
  rate_limiter_policy p({.permits = 10, .per = 1s, .max_wait = 1h, .spread = 0.0});
  call before(p), waits(p);
  EXPECT_EQ(before.enter().what(), verb::call_inner);
  server_says(p, 5s, start_of_test);
  EXPECT_EQ(waits.enter().what(), verb::park);
  EXPECT_EQ(waits.timer_at(start_of_test + 5s).what(), verb::call_inner);
  before.t.set_now(start_of_test + 5s);
  before.finish(outcome::refuse(errc::circuit_open, {}));
  waits.finish(outcome::refuse(errc::circuit_open, {}));
  EXPECT_LE(drain(p, start_of_test + 5s), 1);
}

TEST(rate_limiter_ramp, the_extremes_overflow_nowhere) {
  constexpr duration year = 366 * 24h;
  rate_limiter slow{.permits = 1, .per = year, .max_wait = year, .spread = 1.0};
  rate_limiter quick{.permits = 1'000'000'000, .per = 1s, .burst = 2'000'000'000, .max_wait = year};
  for (rate_limiter o : {slow, quick}) {
    o.max_pause = duration::max();
    o.long_pause = o.probe_every.emplace(1ns);
    for (const double ramp : {1.0, 1e300}) {
      o.ramp = ramp;
      for (const duration wait : {duration(1ns), duration(1h), year, duration::max()}) {
        rate_limiter_policy p(o);
        queue_of_calls q(p);
        server_says(p, wait, q.now());
        for (int i = 0; i < 5; ++i) q.arrive(i % 2 == 0 ? 1 : 2'000'000'000);
        q.run_until(q.now() + std::min<duration>(wait, year));
        server_says(p, wait, q.now());
        for (int i = 0; i < 5; ++i) q.arrive();
        p.set_rate(2, year, 2, q.now());
        p.resume(q.now());
        q.arrive();
        q.run_until(q.now() + year);
        server_says(p, duration::max(), never - 1ns);
        (void)p.snapshot(never - 1ns);
        q.run();
      }
    }
  }
}

TEST(rate_limiter_ramp, windows_have_none) {
  for (const rate_algorithm algorithm :
       {rate_algorithm::fixed_window, rate_algorithm::sliding_window}) {
    rate_limiter_policy p(
        {.permits = 20, .per = 1s, .max_wait = 1h, .algorithm = algorithm, .spread = 0.0});
    queue_of_calls q(p);
    server_says(p, 10s, q.now());
    for (int i = 0; i < 30; ++i) q.arrive();
    q.run();
    const auto starts = q.starts_since(start_of_test + 10s);
    ASSERT_EQ(starts.size(), 30u);
    EXPECT_EQ(starts[19], 0s);
    EXPECT_EQ(starts[20], 1s);
  }
}

/// A pool of workers: at a hundred a second while nothing holds it, and all wait in a pause.
TEST(rate_limiter_ramp, is_as_fast_as_callers_were_before_they_were_held) {
  rate_limiter_policy p(with_ramp(1.25));
  queue_of_calls q(p);
  q.arrive_each(10ms, 500);
  for (int round = 0; round < 3; ++round) {
    const time_point end = q.now() + 10s;
    server_says(p, 10s, q.now());
    q.arrive_each(1ms, 4);
    q.arrive_each(1s, 6);
    q.run_until(end + 100ms);
    EXPECT_EQ(q.waiting(), 0U) << "round " << round << ": ten at 125 a second";
    q.arrive_each(10ms, 100);
  }
}

// ---- how many answers 429 make a pause ----

/// Calls at a moment each, of which the `n`th is turned away from the thousandth on.
int pauses_of(const rate_limiter& o, duration apart, int calls, int nth) {
  rate_limiter_policy p(o);
  int pauses = 0;
  time_point now = start_of_test;
  for (int i = 0; i < calls; ++i, now += apart) {
    call c(p, now);
    const bool let = c.enter().what() == verb::call_inner;
    if (let) c.finish(i >= 1000 && i % nth == 0 ? too_many_requests(1s) : succeeded());
    c.s->leave();
    if (p.snapshot(now).paused_until > now) {
      ++pauses;
      p.resume(now);
    }
  }
  return pauses;
}

rate_limiter busy() { return {.permits = 1'000'000, .per = 1s, .spread = 0}; }

TEST(rate_limiter_pause_share, one_now_and_then_of_a_busy_client_makes_no_pause) {
  EXPECT_EQ(pauses_of(busy(), 2ms, 10'000, 100), 0);
  EXPECT_EQ(pauses_of(busy(), 2ms, 10'000, 10), 0);
  EXPECT_EQ(pauses_of(busy(), 2ms, 10'000, 6), 0);
}

TEST(rate_limiter_pause_share, a_fifth_makes_one) {
  EXPECT_GT(pauses_of(busy(), 2ms, 10'000, 5), 100);
  EXPECT_EQ(pauses_of(busy(), 2ms, 1009, 1), 2) << "of 40 the eighth and the ninth";
}

TEST(rate_limiter_pause_share, of_who_calls_rarely_each_makes_one) {
  EXPECT_EQ(pauses_of(busy(), 200ms, 2000, 100), 10);
  EXPECT_EQ(pauses_of(busy(), 1min, 2000, 100), 10);
  EXPECT_EQ(pauses_of(busy(), 100ms, 2000, 100), 0) << "of ten a second it takes two";
}

TEST(rate_limiter_pause_share, of_the_first_calls_each_makes_one) {
  rate_limiter_policy p(busy());
  call c(p);
  EXPECT_EQ(c.enter().what(), verb::call_inner);
  c.finish(too_many_requests(1s));
  EXPECT_EQ(p.snapshot(start_of_test).paused_until, start_of_test + 1s);
}

TEST(rate_limiter_pause_share, zero_lets_each_make_one) {
  rate_limiter o = busy();
  o.pause_share = 0;
  EXPECT_EQ(pauses_of(o, 2ms, 10'000, 100), 90);
}

TEST(rate_limiter_pause_share, who_does_not_heed_the_server_makes_none) {
  rate_limiter o = busy();
  o.heeds_server = false;
  EXPECT_EQ(pauses_of(o, 1min, 2000, 1), 0);
}

// ---- probes within a long pause ----

rate_limiter doubtful(rate_algorithm algorithm = rate_algorithm::gcra) {
  return {.permits = 100, .per = 1s, .algorithm = algorithm, .spread = 0.0};
}

TEST(rate_limiter_probe, a_call_at_times_finds_out_whether_a_long_pause_is_over) {
  for (const rate_algorithm algorithm : every_algorithm) {
    rate_limiter_policy p(doubtful(algorithm));
    server_says(p, 1'000'000'000s, start_of_test);
    EXPECT_EQ(p.snapshot(start_of_test).paused_until, start_of_test + 15min);
    EXPECT_EQ(drain(p, start_of_test + 15s - 1ns), 0);
    call probe(p, start_of_test + 15s);
    EXPECT_EQ(probe.enter().what(), verb::call_inner);
    EXPECT_EQ(drain(p, start_of_test + 15s), 0);  // one, and then it is awaited
    EXPECT_EQ(drain(p, start_of_test + 16s - 1ns), 0);
    probe.t.set_now(start_of_test + 16s);
    probe.finish();
    EXPECT_GE(drain(p, start_of_test + 16s), 1);
    EXPECT_EQ(p.snapshot(start_of_test + 16s).paused_until, start_of_test + 16s);
    EXPECT_GE(drain(p, start_of_test + 18s), 20);
  }
}

/// It may stand in a queue further inside, or the server takes long to say no.
TEST(rate_limiter_probe, one_that_does_not_come_back_is_no_evidence) {
  rate_limiter_policy p(doubtful());
  server_says(p, 3600s, start_of_test);
  call probe(p, start_of_test + 15s);
  EXPECT_EQ(probe.enter().what(), verb::call_inner);
  call next(p, start_of_test + 30s - 1ns);
  EXPECT_EQ(next.enter().what(), verb::finish);
  call second(p, start_of_test + 30s);
  EXPECT_EQ(second.enter().what(), verb::call_inner);
  EXPECT_GE(p.snapshot(start_of_test + 30s).paused_until, start_of_test + 15min);
  second.finish();
  EXPECT_EQ(p.snapshot(start_of_test + 30s).paused_until, start_of_test + 30s);
  second.s->leave();
}

TEST(rate_limiter_probe, one_that_is_cut_off_leaves_its_place_to_the_next) {
  rate_limiter_policy p(doubtful());
  server_says(p, 3600s, start_of_test);
  call probe(p, start_of_test + 15s);
  EXPECT_EQ(probe.enter().what(), verb::call_inner);
  probe.cancel_at(start_of_test + 16s);
  call next(p, start_of_test + 16s);
  EXPECT_EQ(next.enter().what(), verb::call_inner);
}

TEST(rate_limiter_probe, one_that_is_turned_away_puts_the_next_one_off) {
  // With the same hint, and with none.
  for (const duration hint : {duration(3600s), duration::min()}) {
    rate_limiter_policy p(doubtful());
    server_says(p, 3600s, start_of_test);
    time_point now = start_of_test;
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(drain(p, now + 15s - 1ns), 0) << i;
      now += 15s;
      call probe(p, now);
      EXPECT_EQ(probe.enter().what(), verb::call_inner) << i;
      probe.finish(too_many_requests(hint));
    }
    EXPECT_GE(p.snapshot(now).paused_until, start_of_test + 15min);
  }
}

TEST(rate_limiter_probe, what_the_server_says_to_it_replaces_what_it_said_before) {
  for (const rate_algorithm algorithm : every_algorithm) {
    rate_limiter_policy p(doubtful(algorithm));
    server_says(p, 3600s, start_of_test);
    call probe(p, start_of_test + 15s);
    EXPECT_EQ(probe.enter().what(), verb::call_inner);
    probe.finish(too_many_requests(2s));
    EXPECT_EQ(p.snapshot(start_of_test + 15s).paused_until, start_of_test + 17s);
    EXPECT_EQ(drain(p, start_of_test + 17s - 1ns), 0);
    EXPECT_GE(drain(p, start_of_test + 17s), 1);
  }
}

TEST(rate_limiter_probe, a_shorter_hint_of_anybody_else_does_not) {
  rate_limiter_policy p(doubtful());
  call early(p);
  EXPECT_EQ(early.enter().what(), verb::call_inner);
  server_says(p, 3600s, start_of_test);
  early.t.set_now(start_of_test + 3s);
  early.finish(too_many_requests(2s));
  EXPECT_EQ(p.snapshot(start_of_test).paused_until, start_of_test + 15min);
}

TEST(rate_limiter_probe, one_that_fails_otherwise_is_no_evidence) {
  rate_limiter_policy p(doubtful());
  server_says(p, 3600s, start_of_test);
  call probe(p, start_of_test + 15s);
  EXPECT_EQ(probe.enter().what(), verb::call_inner);
  probe.finish(test::failed(errc::server_error));
  EXPECT_EQ(drain(p, start_of_test + 30s - 1ns), 0);
  call next(p, start_of_test + 30s);
  EXPECT_EQ(next.enter().what(), verb::call_inner);
  next.finish(test::ignored());  // cancelled
  EXPECT_EQ(drain(p, start_of_test + 45s - 1ns), 0);
  EXPECT_EQ(drain(p, start_of_test + 45s), 1);
}

TEST(rate_limiter_probe, one_that_was_not_sent_leaves_its_place_to_the_next) {
  rate_limiter_policy p(doubtful());
  server_says(p, 3600s, start_of_test);
  call probe(p, start_of_test + 15s);
  EXPECT_EQ(probe.enter().what(), verb::call_inner);
  probe.finish(outcome::refuse(errc::bulkhead_full, {}));
  call next(p, start_of_test + 15s);
  EXPECT_EQ(next.enter().what(), verb::call_inner);
  EXPECT_EQ(drain(p, start_of_test + 15s), 0);
}

TEST(rate_limiter_probe, an_answer_that_found_nothing_was_let_in) {
  rate_limiter_policy p(doubtful());
  server_says(p, 3600s, start_of_test);
  call probe(p, start_of_test + 15s);
  EXPECT_EQ(probe.enter().what(), verb::call_inner);
  outcome not_found = test::ignored();
  not_found.status = 404;
  not_found.error = errc::client_error;
  not_found.countable = false;
  probe.finish(not_found);
  EXPECT_EQ(drain(p, start_of_test + 15s), 1);
}

TEST(rate_limiter_probe, a_pause_by_hand_is_kept) {
  rate_limiter_policy p(doubtful());
  p.pause_until(start_of_test + 10min);
  server_says(p, 3600s, start_of_test);
  EXPECT_EQ(drain(p, start_of_test + 10min - 1ns), 0);  // no probes either
  EXPECT_EQ(drain(p, start_of_test + 10min), 1);
  EXPECT_GE(drain(p, start_of_test + 10min + 1s), 1);
  EXPECT_EQ(p.snapshot(start_of_test).paused_until, start_of_test + 10min + 1s);
}

TEST(rate_limiter_probe, is_taken_by_hand_as_well) {
  rate_limiter_policy p(doubtful());
  server_says(p, 3600s, start_of_test);
  rate_permit unsent = p.try_acquire(start_of_test + 15s);
  EXPECT_TRUE(unsent);
  EXPECT_FALSE(p.try_acquire(start_of_test + 15s));
  unsent.give_back(start_of_test + 15s);
  EXPECT_TRUE(p.try_acquire(start_of_test + 15s));
  server_says(p, 3600s, start_of_test + 15s);
  EXPECT_FALSE(p.try_acquire(start_of_test + 29s));
  EXPECT_TRUE(p.try_acquire(start_of_test + 30s));
  EXPECT_TRUE(p.try_acquire(start_of_test + 31s));
  EXPECT_EQ(p.snapshot(start_of_test + 31s).paused_until, start_of_test + 31s);
}

TEST(rate_limiter_probe, who_waited_goes_on_the_ramp_behind_it) {
  rate_limiter o = with_ramp(1.25);
  o.max_wait = 24h;
  rate_limiter_policy p(o);
  queue_of_calls q(p);
  server_says(p, 3600s, q.now());
  q.arrive_each(1s, 16);  // the last of them goes as a probe, and is let in
  q.run();
  const auto starts = q.starts_since(start_of_test + 15s);
  ASSERT_EQ(starts.size(), 16u);
  EXPECT_EQ(starts[1], 0s) << "the first of them with the answer";
  for (std::size_t i = 2; i < starts.size(); ++i) EXPECT_GE(starts[i] - starts[i - 1], 700ms);
}

TEST(rate_limiter_probe, not_in_a_pause_that_is_no_longer_than_may_be) {
  rate_limiter_policy p(doubtful());
  server_says(p, 15s, start_of_test);
  EXPECT_EQ(drain(p, start_of_test + 15s - 1ns), 0);
  rate_limiter o = doubtful();
  o.probe_every.reset();
  rate_limiter_policy kept(o);
  server_says(kept, 3600s, start_of_test);
  EXPECT_EQ(drain(kept, start_of_test + 15min - 1ns), 0);
}

TEST(rate_limiter_probe, none_once_the_pause_is_over) {
  rate_limiter_policy p({.permits = 1, .per = 1s, .spread = 0.0});
  server_says(p, 100s, start_of_test);
  EXPECT_EQ(drain(p, start_of_test + 100s), 1);
  EXPECT_EQ(drain(p, start_of_test + 100s), 0);  // not as a probe of that pause
  EXPECT_EQ(drain(p, start_of_test + 100s + 999ms), 0);
  p.pause_until(start_of_test + 200s);  // nor of ours
  EXPECT_EQ(drain(p, start_of_test + 150s), 0);
}

// ---- reload ----

TEST(rate_limiter, a_reload_keeps_tokens) {
  rate_limiter_policy p({.permits = 10, .per = 1s});
  EXPECT_EQ(drain(p, start_of_test, 4), 4);
  p.set_rate(100, 1s, 20, start_of_test);
  EXPECT_EQ(p.snapshot(start_of_test).tokens, 6);
  EXPECT_EQ(p.snapshot(start_of_test + 50ms).tokens, 11);
  EXPECT_EQ(p.snapshot(start_of_test + 1h).tokens, 20);
  p.set_rate(1, 1s, 3, start_of_test);
  EXPECT_EQ(drain(p, start_of_test), 3);
  EXPECT_EQ(drain(p, start_of_test + 999ms), 0);
  EXPECT_EQ(drain(p, start_of_test + 1s), 1);
}

TEST(rate_limiter, a_reload_keeps_reservations_and_pauses) {
  rate_limiter_policy p({.permits = 1, .per = 1s, .burst = 2, .max_wait = 10s});
  EXPECT_EQ(drain(p, start_of_test), 2);
  call a(p), b(p, start_of_test, 2);
  EXPECT_EQ(a.enter().at(), start_of_test + 1s);
  EXPECT_EQ(b.enter().at(), start_of_test + 3s);
  p.set_rate(10, 1s, 2, start_of_test);
  EXPECT_EQ(a.woken_at(start_of_test).at(), start_of_test + 100ms);
  p.pause_until(start_of_test + 1s);
  p.set_rate(20, 1s, 1, start_of_test);  // b's cost never fits any more
  EXPECT_EQ(b.woken_at(start_of_test).what(), verb::finish);
  EXPECT_EQ(b.t.result.why.because, reason::cost_over_burst);
  EXPECT_EQ(a.timer_at(start_of_test + 100ms).at(), start_of_test + 1s);
  EXPECT_EQ(a.timer_at(start_of_test + 1s).what(), verb::call_inner);
  EXPECT_EQ(drain(p, start_of_test + 1s), 0);
  EXPECT_EQ(drain(p, start_of_test + 1050ms), 1);
}

TEST(rate_limiter, a_reload_during_a_pause_mints_nothing) {
  rate_limiter_policy p({.permits = 10, .per = 1s});
  EXPECT_EQ(drain(p, start_of_test), 10);
  for (int i = 1; i <= 10; ++i) {  // each pause over at once, each reload within it
    p.pause_until(start_of_test + i * 1ns);
    p.set_rate(10, 1s, {}, start_of_test);
  }
  EXPECT_EQ(drain(p, start_of_test + 99ms), 0);
  EXPECT_EQ(drain(p, start_of_test + 100ms), 1);
}

TEST(rate_limiter, a_reload_keeps_what_windows_handed_out) {
  for (const rate_algorithm algorithm :
       {rate_algorithm::fixed_window, rate_algorithm::sliding_window}) {
    rate_limiter_policy p({.permits = 4, .per = 1s, .max_wait = 5s, .algorithm = algorithm});
    EXPECT_EQ(drain(p, start_of_test), 4);
    p.set_rate(6, 1s, std::nullopt, start_of_test);
    EXPECT_EQ(drain(p, start_of_test), 2);
    call a(p);
    EXPECT_EQ(a.enter().at(), start_of_test + 1s);
    p.set_rate(2, 500ms, std::nullopt, start_of_test);
    EXPECT_EQ(a.woken_at(start_of_test).at(), start_of_test + 500ms);
    EXPECT_EQ(a.timer_at(start_of_test + 500ms).what(), verb::call_inner);
    EXPECT_EQ(drain(p, start_of_test + 500ms), 1);
  }
}

// ---- windows ----

TEST(rate_limiter, a_fixed_window_opens_with_the_first_call) {
  rate_limiter_policy p({.permits = 3, .per = 1s, .algorithm = rate_algorithm::fixed_window});
  EXPECT_EQ(drain(p, start_of_test, 1), 1);
  EXPECT_EQ(drain(p, start_of_test + 900ms), 2);
  EXPECT_EQ(wait_at(p, start_of_test + 900ms), 100ms);
  EXPECT_EQ(drain(p, start_of_test + 1s), 3);
  EXPECT_EQ(drain(p, start_of_test + 5300ms), 3);
  EXPECT_EQ(drain(p, start_of_test + 6299ms), 0);
}

TEST(rate_limiter, a_sliding_window_has_no_edge) {
  rate_limiter_policy p({.permits = 3, .per = 1s, .algorithm = rate_algorithm::sliding_window});
  EXPECT_EQ(drain(p, start_of_test, 1), 1);
  EXPECT_EQ(drain(p, start_of_test + 900ms), 2);
  EXPECT_EQ(drain(p, start_of_test + 1s), 1);
  EXPECT_EQ(wait_at(p, start_of_test + 1s), 900ms);
  EXPECT_EQ(wait_at(p, start_of_test + 1s, 3), 1s);
  EXPECT_EQ(drain(p, start_of_test + 1899ms), 0);
  EXPECT_EQ(drain(p, start_of_test + 1900ms), 2);
}

TEST(rate_limiter, a_sliding_window_is_not_fooled_by_a_clock_that_went_back) {
  rate_limiter_policy p({.permits = 3, .per = 1s, .algorithm = rate_algorithm::sliding_window});
  EXPECT_EQ(drain(p, start_of_test, 1), 1);
  EXPECT_EQ(drain(p, start_of_test - 500ms, 1), 1);
  EXPECT_EQ(drain(p, start_of_test, 1), 1);
  EXPECT_EQ(wait_at(p, start_of_test + 500ms, 2), 500ms);
}

TEST(rate_limiter, windows_take_reservations) {
  rate_limiter_policy p(
      {.permits = 2, .per = 1s, .max_wait = 2s, .algorithm = rate_algorithm::fixed_window});
  EXPECT_EQ(drain(p, start_of_test), 2);
  call a(p), b(p, start_of_test, 2), c(p), d(p, start_of_test, 2);
  EXPECT_EQ(a.enter().at(), start_of_test + 1s);
  EXPECT_EQ(b.enter().at(), start_of_test + 2s);  // does not fit beside a
  EXPECT_EQ(c.enter().what(), verb::finish);      // 3 s
  EXPECT_EQ(a.timer_at(start_of_test + 1s).what(), verb::call_inner);
  EXPECT_EQ(d.enter().what(), verb::finish);
  EXPECT_EQ(b.timer_at(start_of_test + 2s).what(), verb::call_inner);
}

// ---- options ----

TEST(rate_limiter, bad_options_are_refused_by_name) {
  const auto field_of = [](rate_limiter o) -> std::string {
    try {
      rate_limiter_policy p(std::move(o));
    } catch (const config_error& e) {
      return e.field();
    }
    return "";
  };
  EXPECT_EQ(field_of({.permits = 0}), "rate_limiter.permits");
  EXPECT_EQ(field_of({.permits = 2, .per = 1ns}), "rate_limiter.permits");
  EXPECT_EQ(field_of({.per = 0s}), "rate_limiter.per");
  EXPECT_EQ(field_of({.per = 24h * 367}), "rate_limiter.per");
  EXPECT_EQ(field_of({.burst = 0}), "rate_limiter.burst");
  EXPECT_EQ(field_of({.permits = 1, .per = 24h, .burst = 1000}), "rate_limiter.burst");
  EXPECT_EQ(field_of({.burst = 1, .algorithm = rate_algorithm::fixed_window}),
            "rate_limiter.burst");
  EXPECT_EQ(field_of({.max_wait = -1ns}), "rate_limiter.max_wait");
  EXPECT_EQ(field_of({.permits = 1'000'000, .algorithm = rate_algorithm::sliding_window}),
            "rate_limiter.permits");
  EXPECT_EQ(field_of({.algorithm = static_cast<rate_algorithm>(8)}), "rate_limiter.algorithm");
  EXPECT_EQ(field_of({.spread = 1.1}), "rate_limiter.spread");
  EXPECT_EQ(field_of({.max_pause = -1s}), "rate_limiter.max_pause");
  EXPECT_EQ(field_of({.long_pause = 0s}), "rate_limiter.long_pause");
  EXPECT_EQ(field_of({.probe_every = 0s}), "rate_limiter.probe_every");
  EXPECT_EQ(field_of({.ramp = 0.99}), "rate_limiter.ramp");
  EXPECT_EQ(field_of({.permits = 1'000'000'000}), "");
  rate_limiter_policy p({});
  EXPECT_THROW(p.set_rate(0, 1s, {}, start_of_test), config_error);
  EXPECT_EQ(p.name(), "rate_limiter");
  EXPECT_EQ(make_policy(rate_limiter{.name = "x"})->name(), "x");
}

// ---- random events against plain models ----

TEST(rate_limiter, a_clock_gone_wild_gets_no_more_than_the_furthest_reading_allows) {
  for (const std::uint64_t seed : {21u, 22u}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    seeded_entropy random(seed);
    rate_limiter_policy p({.permits = 1'000'000, .per = 1s, .burst = 20});
    const time_point begin = start_of_test;
    time_point now = begin;
    time_point furthest = begin;
    std::int64_t admitted = 0;
    (void)p.try_acquire(now);
    for (int i = 0; i < 100'000; ++i) {
      now += duration(static_cast<std::int64_t>(random.next() % 20'000) - 9'900);
      furthest = std::max(furthest, now);
      admitted += drain(p, now);
      ASSERT_LE(admitted, 20 + (furthest - begin).count() / 1000) << i;
    }
    EXPECT_GT(admitted, 1000);
  }
}

/// Calls that arrive, wait, are cancelled and start, with timers served exactly on time.
class reservations {
 public:
  reservations(std::uint64_t seed, const rate_limiter& options)
      : random_(seed), options_(options), policy_(options) {}

  void run(int events) {
    for (int i = 0; i < events && !::testing::Test::HasFatalFailure(); ++i) {
      serve_timers_until(now_ + duration(below(i % 500 == 0 ? 100'000 : 2'000)));
      if (below(3) != 0)
        arrive();
      else
        cancel();
      serve_wakes();
      ASSERT_EQ(policy_.snapshot(now_).waiting, static_cast<int>(waiting_.size()));
    }
    serve_timers_until(now_ + 1s);
    EXPECT_TRUE(waiting_.empty());
    EXPECT_GT(waited_, events / 20);
    EXPECT_GT(canceled_, events / 20);
  }

  struct started {
    time_point at;
    std::int64_t cost;
  };
  std::vector<started> starts;  // in order of time

 private:
  struct live {
    live(rate_limiter_policy& p, time_point now, std::uint32_t cost) : c(p, now, cost) {}
    call c;
    time_point until = never;
    int wakes_seen = 0;
  };
  /// All that reserved or took tokens, in order, those that were cancelled left out.
  struct entry {
    const live* who;
    time_point arrived;
    std::int64_t cost;
  };

  int below(int n) { return static_cast<int>(random_.next() % static_cast<std::uint64_t>(n)); }
  bool is_gcra() const { return options_.algorithm == rate_algorithm::gcra; }

  /// When `who` may start as if nobody had been there who was cancelled: recomputed from `base_`.
  time_point modelled(const live* who) const {
    const duration interval = options_.per / options_.permits;
    time_point spent = base_;
    for (const entry& e : entries_) {
      spent = std::max(spent, e.arrived) + interval * e.cost;
      if (e.who == who) return spent - interval * *options_.burst;
    }
    return never;
  }
  void prune() {
    // Past entries only matter through what they spent.
    const duration interval = options_.per / options_.permits;
    while (!entries_.empty() && entries_.front().who == nullptr) {
      base_ = std::max(base_, entries_.front().arrived) + interval * entries_.front().cost;
      entries_.erase(entries_.begin());
    }
  }
  void note_started(live& l) {
    starts.push_back({now_, l.c.t.cost()});
    if (is_gcra()) {
      const time_point planned = modelled(&l);
      EXPECT_LE(planned, now_);
      EXPECT_TRUE(planned == now_ || now_ == changed_) << "late by " << (now_ - planned).count();
    }
    for (entry& e : entries_)
      if (e.who == &l) e.who = nullptr;
    prune();
    l.c.finish();
  }

  void arrive() {
    auto l = std::make_unique<live>(policy_, now_, static_cast<std::uint32_t>(1 + below(3)));
    const step s = l->c.enter();
    if (s.what() == verb::finish) {
      l->c.s->leave();
      return;
    }
    entries_.push_back({l.get(), now_, l->c.t.cost()});
    if (s.what() == verb::call_inner) {
      changed_ = now_;
      note_started(*l);
      return;
    }
    ASSERT_EQ(s.what(), verb::park);
    if (is_gcra()) {
      ASSERT_EQ(s.at(), modelled(l.get()));
    }
    ASSERT_LE(s.at(), now_ + *options_.max_wait);
    l->until = s.at();
    ++waited_;
    waiting_.push_back(std::move(l));
  }

  void cancel() {
    if (waiting_.empty()) return;
    const auto at = waiting_.begin() + below(static_cast<int>(waiting_.size()));
    const auto l = std::move(*at);
    waiting_.erase(at);
    entries_.erase(std::find_if(entries_.begin(), entries_.end(),
                                [&](const entry& e) { return e.who == l.get(); }));
    changed_ = now_;
    l->c.cancel_at(now_);
    ++canceled_;
  }

  void look(std::size_t i, bool timer) {
    live& l = *waiting_[i];
    const step s = timer ? l.c.timer_at(now_) : l.c.woken_at(now_);
    if (s.what() == verb::park) {
      l.until = s.at();
      return;
    }
    ASSERT_EQ(s.what(), verb::call_inner);
    note_started(l);
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
  }

  void serve_wakes() {
    for (std::size_t i = 0; i < waiting_.size();) {
      if (waiting_[i]->c.t.wakes == waiting_[i]->wakes_seen) {
        ++i;
        continue;
      }
      waiting_[i]->wakes_seen = waiting_[i]->c.t.wakes;
      look(i, false);
      if (::testing::Test::HasFatalFailure()) return;
      i = 0;
    }
  }

  void serve_timers_until(time_point end) {
    while (!waiting_.empty()) {
      const auto next = std::min_element(waiting_.begin(), waiting_.end(),
                                         [](auto& a, auto& b) { return a->until < b->until; });
      if ((*next)->until > end) break;
      now_ = std::max(now_, (*next)->until);
      look(static_cast<std::size_t>(next - waiting_.begin()), true);
      serve_wakes();
      if (::testing::Test::HasFatalFailure()) return;
    }
    now_ = end;
  }

  seeded_entropy random_;
  rate_limiter options_;
  rate_limiter_policy policy_;
  time_point now_ = start_of_test;
  time_point changed_ = start_of_test;
  time_point base_ = time_point{};
  std::vector<entry> entries_;
  std::vector<std::unique_ptr<live>> waiting_;
  int waited_ = 0;
  int canceled_ = 0;
};

TEST(rate_limiter, in_every_window_no_more_than_burst_and_rate_with_refunds_and_all) {
  for (const std::uint64_t seed : {31u, 32u, 33u}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    reservations events(seed, {.permits = 1'000'000, .per = 1s, .burst = 4, .max_wait = 20us});
    events.run(40'000);
    // A bucket that leaks at the rate and gets each start's cost: it never holds more than the
    // burst exactly if every window, long or short, keeps the bound.
    ASSERT_GT(events.starts.size(), 10'000u);
    std::int64_t level = 0;
    time_point last{};
    for (const auto& s : events.starts) {
      level = std::max<std::int64_t>(level - (s.at - last).count(), 0) + s.cost * 1000;
      last = s.at;
      ASSERT_LE(level, 4 * 1000);
    }
  }
}

TEST(rate_limiter, a_sliding_window_holds_in_every_span_with_refunds_and_all) {
  for (const std::uint64_t seed : {41u, 42u}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    reservations events(seed, {.permits = 12,
                               .per = 12us,
                               .max_wait = 30us,
                               .algorithm = rate_algorithm::sliding_window});
    events.run(20'000);
    const auto& starts = events.starts;
    ASSERT_GT(starts.size(), 5'000u);
    for (std::size_t i = 0; i < starts.size(); ++i) {
      std::int64_t sum = 0;
      for (std::size_t j = i; j < starts.size() && starts[j].at < starts[i].at + 12us; ++j)
        sum += starts[j].cost;
      ASSERT_LE(sum, 12);
    }
  }
}

TEST(rate_limiter, fixed_windows_hold_with_refunds_and_all) {
  for (const std::uint64_t seed : {51u, 52u}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    reservations events(
        seed,
        {.permits = 12, .per = 12us, .max_wait = 30us, .algorithm = rate_algorithm::fixed_window});
    events.run(20'000);
    time_point open{};
    std::int64_t used = 0;
    for (const auto& s : events.starts) {
      if (s.at >= open + 12us) {
        open = s.at;
        used = 0;
      }
      used += s.cost;
      ASSERT_LE(used, 24);
    }
    ASSERT_GT(events.starts.size(), 5'000u);
  }
}

// ---- threads ----

TEST(rate_limiter, threads_share_the_burst_exactly) {
  rate_limiter_policy p({.permits = 1000, .per = 1s});
  std::atomic<int> admitted{0};
  std::vector<std::thread> threads;
  for (int n = 0; n < 4; ++n)
    threads.emplace_back([&] { admitted += drain(p, start_of_test, 100'000); });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(admitted, 1000);
}

class counting_tick final : public tick, public waker {
 public:
  counting_tick(entropy& random, time_point now) {
    result_ = &kept_;
    random_ = &random;
    now_ = now;
  }
  void set_now(time_point now) { now_ = now; }
  waker& wake_handle() noexcept override { return *this; }
  void wake() noexcept override { ++wakes; }
  bool substitute(substitute_source&, const outcome&) override { return false; }
  void deliver(event&) override {}
  std::atomic<int> wakes{0};

 private:
  outcome kept_;
};

TEST(rate_limiter, threads_that_wait_cancel_pause_and_reload_mint_nothing) {
  rate_limiter_policy p({.permits = 1'000'000, .per = 1s, .burst = 10, .max_wait = 50us});
  std::atomic<std::int64_t> clock{start_of_test.time_since_epoch().count()};
  const auto read = [&] { return time_point(duration(clock.load())); };
  const time_point begin = read();
  std::atomic<std::int64_t> admitted{0};
  std::atomic<std::int64_t> canceled{0};
  const auto worker = [&](std::uint64_t seed) {
    seeded_entropy random(seed);
    for (int i = 0; i < 4'000; ++i) {
      clock += static_cast<std::int64_t>(random.next() % 400);
      counting_tick t(random, read());
      stage_under_test s(p);
      step got = s->enter(t);
      bool gives_up = random.next() % 4 == 0;
      while (got.what() == verb::park && !gives_up) {
        clock += 100;
        t.set_now(read());
        if (t.now() >= got.at())
          got = s->timer(t);
        else if (t.wakes.exchange(0) != 0)
          got = s->woken(t);
      }
      if (got.what() == verb::call_inner) {
        ++admitted;
        (void)s->inner_done(0, succeeded(), t);
      } else if (got.what() == verb::park) {
        t.set_now(read());
        (void)s->canceled(test::ignored(), t);
        ++canceled;
      }
      s->leave();
    }
  };
  std::vector<std::thread> threads;
  for (std::uint64_t n = 1; n <= 3; ++n) threads.emplace_back(worker, n);
  threads.emplace_back([&] {
    seeded_entropy random(9);
    for (int i = 0; i < 400; ++i) {
      // The same rate: the bound below stays true, on the ramps behind pauses and beside them.
      if (i % 2 == 0) p.set_rate(1'000'000, 1s, 10, read());
      if (i % 50 == 0) p.pause_until(read() + 5us);
      if (i % 10 == 5) p.server_said_wait(3us, read(), random);
      if (i % 70 == 0) p.resume(read());
      (void)p.snapshot(read());
      std::this_thread::yield();
    }
  });
  for (std::thread& t : threads) t.join();
  EXPECT_LE(admitted, 10 + (read() - begin).count() / 1000);
  EXPECT_GT(admitted, 100);
  EXPECT_GT(canceled, 0);
  EXPECT_EQ(p.snapshot(read()).waiting, 0);
}

TEST(rate_limiter, a_call_beside_a_change_of_rate_is_charged_and_told_by_one_rate) {
  // More threads than processors: many a call is interrupted between two of its instructions.
  constexpr int callers = 6;
  constexpr int rounds = 150;
  rate_limiter_policy p({.permits = 1000, .per = 1s});
  std::atomic<std::int64_t> clock{start_of_test.time_since_epoch().count()};
  const auto read = [&] { return time_point(duration(clock.load())); };
  std::atomic<bool> done{false};
  std::atomic<std::int64_t> admitted{0};
  std::atomic<std::int64_t> told_to_wait_too_long{0};
  const auto acquire = [&] {
    const time_point now = read();
    refusal no;
    if (p.try_acquire(now, 1, &no))
      ++admitted;
    else if (now == read() && no.wait(now) > 1min)
      ++told_to_wait_too_long;
  };
  std::vector<std::thread> threads;
  for (std::uint64_t n = 0; n < callers; ++n)
    threads.emplace_back([&, n] {
      seeded_entropy random(n);
      while (!done) {
        if (n % 2 == 0) {
          acquire();
          continue;
        }
        counting_tick t(random, read());
        stage_under_test s(p);
        if (s->enter(t).what() == verb::call_inner) {
          ++admitted;
          (void)s->inner_done(0, succeeded(), t);
        }
        s->leave();
      }
    });
  while (admitted < 100) std::this_thread::yield();
  for (int i = 0; i < rounds && !::testing::Test::HasFailure(); ++i) {
    clock += duration(100'000s).count();
    p.set_rate(1000, 60'000s, 1000, read());  // a token is a minute
    std::this_thread::yield();
    clock += 1000;                       // a full bucket would otherwise stand where it stood
    p.set_rate(1000, 1s, 1000, read());  // a token is a millisecond, a full bucket a second
    std::this_thread::yield();
    EXPECT_LE(wait_at(p, read()).value_or(never - start_of_test), 1s) << "round " << i;
  }
  done = true;
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(told_to_wait_too_long, 0);
  EXPECT_GT(admitted, rounds);
}

}  // namespace
}  // namespace hawser::rate_limiter_test
