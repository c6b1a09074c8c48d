// Calls that wait for a circuit to close, and the ramp on which they go once it has.
#include "hawser/policy/circuit_breaker.hpp"

#include "support/stage_driver.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <utility>
#include <vector>

namespace hawser::circuit_waiting_test {
namespace {

using namespace std::chrono_literals;
using test::stage_driver;
using test::stage_under_test;
using test::verb;

outcome bad() {
  outcome o = test::failed(errc::server_error, evidence::answered);
  o.status = 503;
  return o;
}

/// Opens at the first failure for a second, and calls wait for a minute.
circuit_breaker patient() {
  circuit_breaker o;
  o.failure_ratio.reset();
  o.consecutive_failures = 1;
  o.consecutive_span = 0s;
  o.suspect_failures.reset();
  o.open_jitter = 0;
  o.max_wait = 1min;
  return o;
}

/// One call: parked, let through (and then to be ended), or refused.
class caller {
 public:
  caller(circuit_breaker_policy& breaker, time_point now, time_point deadline = never)
      : stage_(breaker) {
    t.set_deadline(deadline);
    t.set_now(now);
    take(stage_->enter(t));
  }
  caller(const caller&) = delete;
  caller& operator=(const caller&) = delete;
  ~caller() { leave(); }

  /// What the engine does: resumes a parked stage when it was woken or its time has come.
  bool resume(time_point now) {
    if (!parked() || (t.wakes == seen_wakes_ && now < until)) return false;
    const bool woken = std::exchange(seen_wakes_, t.wakes) != t.wakes;
    t.set_now(now);
    take(woken ? stage_->woken(t) : stage_->timer(t));
    ++looks;
    return true;
  }
  void end(const outcome& with, time_point now) {
    t.set_now(now);
    stage_->inner_done(0, with, t);
    leave();
  }
  /// Cancelled or destroyed, wherever it stands.
  void leave() {
    if (!std::exchange(left_, true)) stage_->leave();
  }

  [[nodiscard]] bool parked() const { return !left_ && what_ == verb::park; }
  [[nodiscard]] bool out() const { return !left_ && what_ == verb::call_inner; }
  [[nodiscard]] bool refused() const { return what_ == verb::finish; }

  stage_driver t;
  time_point until = never;
  int looks = 0;

 private:
  void take(const step& s) {
    what_ = s.what();
    until = s.at();
    if (what_ == verb::park) {
      EXPECT_GT(until, t.now()) << "it would spin";
    }
    if (what_ == verb::finish) leave();
  }

  stage_under_test stage_;
  verb what_ = verb::finish;
  bool left_ = false;
  int seen_wakes_ = 0;
};

class circuit_breaker_waiting : public ::testing::Test {
 protected:
  explicit circuit_breaker_waiting(circuit_breaker o = patient()) : breaker(std::move(o)) {}

  caller& call(duration within = duration::max()) {
    calls.push_back(std::make_unique<caller>(breaker, now, later(now, within)));
    return *calls.back();
  }
  void trip() {
    call().end(bad(), now);
    ASSERT_EQ(look().state, circuit_state::open);
  }
  /// Time passes, and everybody who is woken or due looks, until nobody has to.
  void pass_to(time_point at) {
    while (now < at) {
      time_point next = at;
      for (const auto& c : calls)
        if (c->parked()) next = std::min(next, c->until);
      now = std::max(now, next);
      settle();
    }
  }
  void pass(duration by) { pass_to(now + by); }
  void settle() {
    int rounds = 0;
    for (bool again = true; again;) {
      ASSERT_LT(++rounds, 100) << "they spin";
      again = false;
      for (const auto& c : calls) again = c->resume(now) || again;
    }
  }
  [[nodiscard]] circuit_snapshot look() const { return breaker.snapshot(now); }
  [[nodiscard]] int parked() const {
    return static_cast<int>(
        std::count_if(calls.begin(), calls.end(), [](const auto& c) { return c->parked(); }));
  }

  circuit_breaker_policy breaker;
  std::vector<std::unique_ptr<caller>> calls;
  time_point now = time_point{} + 1h;
  seeded_entropy random{3};
};

TEST_F(circuit_breaker_waiting, is_off_unless_asked_for) {
  circuit_breaker o = patient();
  o.max_wait.reset();
  circuit_breaker_policy impatient(o);
  caller(impatient, now).end(bad(), now);
  EXPECT_TRUE(caller(impatient, now).refused());
}

TEST_F(circuit_breaker_waiting, the_first_goes_as_the_probe_and_then_the_others) {
  trip();
  caller& first = call();
  caller& second = call();
  caller& third = call();
  EXPECT_TRUE(first.parked() && second.parked() && third.parked());
  EXPECT_EQ(look().waiting, 3);
  ASSERT_FALSE(first.t.events.empty());
  EXPECT_EQ(first.t.events.back().kind, event_kind::waiting);
  EXPECT_EQ(first.t.events.back().why.policy, "circuit_breaker");
  pass(1s - 1ns);
  EXPECT_EQ(parked(), 3);
  pass(1ns);
  EXPECT_TRUE(first.out());
  EXPECT_TRUE(second.parked() && third.parked());
  first.end(test::succeeded(), now);
  settle();
  EXPECT_EQ(look().state, circuit_state::closed);
  pass(2s);
  EXPECT_TRUE(second.out() && third.out());
  EXPECT_EQ(look().waiting, 0);
}

TEST_F(circuit_breaker_waiting, a_probe_that_fails_costs_the_others_nothing_but_time) {
  trip();
  caller& first = call();
  caller& second = call();
  pass(1s);
  ASSERT_TRUE(first.out());
  first.end(bad(), now);
  settle();
  EXPECT_EQ(look().state, circuit_state::open);
  EXPECT_TRUE(second.parked());
  pass_to(look().retry_at);
  EXPECT_TRUE(second.out());
}

TEST_F(circuit_breaker_waiting, a_probe_without_result_hands_its_place_on_at_once) {
  trip();
  caller& first = call();
  caller& second = call();
  pass(1s);
  ASSERT_TRUE(first.out());
  first.leave();
  settle();
  EXPECT_TRUE(second.out());
}

TEST_F(circuit_breaker_waiting, a_first_that_leaves_hands_on_the_watch) {
  trip();
  caller& first = call();
  caller& second = call();
  caller& third = call();
  first.leave();
  settle();
  second.leave();
  settle();
  EXPECT_EQ(look().waiting, 1);
  pass(1s);
  EXPECT_TRUE(third.out());
}

TEST_F(circuit_breaker_waiting, one_in_the_middle_may_leave) {
  trip();
  caller& first = call();
  caller& second = call();
  caller& third = call();
  second.leave();
  EXPECT_EQ(look().waiting, 2);
  pass(1s);
  first.end(test::succeeded(), now);
  settle();
  pass(3s);
  EXPECT_TRUE(third.out());
  EXPECT_EQ(look().waiting, 0);
}

TEST_F(circuit_breaker_waiting, a_hung_probe_is_joined_by_the_next) {
  trip();
  caller& first = call();
  caller& second = call();
  pass(1s);
  ASSERT_TRUE(first.out());
  const time_point next = look().retry_at;
  EXPECT_TRUE(second.parked());
  pass_to(next);
  EXPECT_TRUE(second.out()) << "while the first is still out";
}

TEST_F(circuit_breaker_waiting, when_all_probes_hang_the_end_of_a_lease_is_watched) {
  circuit_breaker o = patient();
  o.probes = 1;
  o.probe_lease = 5s;
  o.early_probe_after.reset();
  circuit_breaker_policy one(o);
  caller(one, now).end(bad(), now);
  caller first(one, now);
  caller second(one, now);
  now += 1s;
  first.resume(now);
  ASSERT_TRUE(first.out());
  second.resume(now);
  ASSERT_TRUE(second.parked());
  EXPECT_EQ(second.until, now + 5s);
  now += 5s;
  second.resume(now);
  EXPECT_EQ(one.snapshot(now).state, circuit_state::open);
  EXPECT_TRUE(second.parked());
  EXPECT_EQ(second.until, one.snapshot(now).retry_at);
}

TEST_F(circuit_breaker_waiting, more_go_at_once_after_a_first_success) {
  circuit_breaker o = patient();
  o.probes = 3;
  o.probes_to_close = 3;
  circuit_breaker_policy three(o);
  caller(three, now).end(bad(), now);
  std::vector<std::unique_ptr<caller>> all;
  for (int i = 0; i < 5; ++i) all.push_back(std::make_unique<caller>(three, now));
  const auto settle_all = [&] {
    for (int i = 0; i < 10; ++i)
      for (const auto& c : all) c->resume(now);
  };
  now += 1s;
  settle_all();
  ASSERT_TRUE(all[0]->out());
  EXPECT_TRUE(all[1]->parked());
  all[0]->end(test::succeeded(), now);
  settle_all();
  EXPECT_TRUE(all[1]->out() && all[2]->out() && all[3]->out());
  EXPECT_TRUE(all[4]->parked());
}

TEST_F(circuit_breaker_waiting, the_first_goes_early_when_enough_are_held_back) {
  trip();
  for (int i = 0; i < 60; ++i) call();
  pass(500ms - 1ns);
  EXPECT_EQ(look().probes_out, 0);
  pass(1ns);
  EXPECT_EQ(look().probes_out, 1);
  EXPECT_TRUE(calls[1]->out()) << "the oldest, after the one that tripped it";
}

TEST_F(circuit_breaker_waiting, to_look_again_is_not_to_be_held_back_again) {
  trip();
  call();
  for (int i = 0; i < 200; ++i) {  // the first leaves, the next looks
    call();
    calls[calls.size() - 2]->leave();
    settle();
    if (i == 40) break;
  }
  pass(500ms);
  EXPECT_EQ(look().probes_out, 0) << "42 calls were held back";
}

// No use in waiting

TEST_F(circuit_breaker_waiting, ends_at_once_when_the_next_probe_is_too_late_for_it) {
  trip();
  caller& hurried = call(1s);  // at the deadline itself it is too late
  EXPECT_TRUE(hurried.refused());
  EXPECT_EQ(hurried.t.result.error, errc::circuit_open);
  EXPECT_EQ(hurried.t.result.why.because, reason::consecutive_failures);
  EXPECT_EQ(hurried.t.result.why.until, now + 1s);
  EXPECT_TRUE(call(1s + 2ns).parked());
  circuit_breaker o = patient();
  o.max_wait = 1s;
  circuit_breaker_policy less(o);
  caller(less, now).end(bad(), now);
  EXPECT_TRUE(caller(less, now).refused());
}

TEST_F(circuit_breaker_waiting, ends_before_the_deadline) {
  trip();
  call();
  caller& second = call(1500ms);
  pass(1500ms - 1ns);
  EXPECT_TRUE(second.refused());
  EXPECT_EQ(second.t.result.error, errc::circuit_open);
  EXPECT_EQ(second.t.result.why.because, reason::queue_wait);
  EXPECT_DOUBLE_EQ(second.t.result.why.measured, second.t.result.why.threshold);
  EXPECT_NEAR(second.t.result.why.measured, 1.5, 1e-6);
  EXPECT_EQ(second.t.result.result, verdict::ignored);
  EXPECT_EQ(look().waiting, 0);
}

TEST_F(circuit_breaker_waiting, is_for_so_many_and_no_more) {
  circuit_breaker o = patient();
  o.max_waiting = 2;
  circuit_breaker_policy two(o);
  caller(two, now).end(bad(), now);
  const caller a(two, now);
  const caller b(two, now);
  const caller c(two, now);
  EXPECT_TRUE(a.parked() && b.parked());
  ASSERT_TRUE(c.refused());
  EXPECT_EQ(c.t.result.error, errc::circuit_open);
  EXPECT_EQ(c.t.result.why.because, reason::queue_full);
  EXPECT_DOUBLE_EQ(c.t.result.why.measured, 2);
  EXPECT_DOUBLE_EQ(c.t.result.why.threshold, 2);
  EXPECT_EQ(c.t.result.why.until, now + 1s);
  EXPECT_EQ(two.snapshot(now).waiting, 2);
}

// Forced states

TEST_F(circuit_breaker_waiting, isolation_refuses_all) {
  trip();
  for (int i = 0; i < 3; ++i) call();
  breaker.isolate(now);
  settle();
  EXPECT_EQ(look().waiting, 0);
  for (std::size_t i = 1; i < 4; ++i) {
    EXPECT_TRUE(calls[i]->refused());
    EXPECT_EQ(calls[i]->t.result.error, errc::circuit_isolated);
  }
  EXPECT_TRUE(call().refused()) << "nobody waits for a hand";
}

TEST_F(circuit_breaker_waiting, isolation_refuses_those_on_the_ramp_too) {
  trip();
  for (int i = 0; i < 5; ++i) call();
  pass(1s);
  calls[1]->end(test::succeeded(), now);
  settle();
  ASSERT_EQ(look().state, circuit_state::closed);
  ASSERT_GT(parked(), 0);
  breaker.isolate(now);
  settle();
  EXPECT_EQ(parked(), 0);
  EXPECT_EQ(look().waiting, 0);
}

TEST_F(circuit_breaker_waiting, disabling_and_paper_let_all_go) {
  for (const auto into :
       {&circuit_breaker_policy::disable, &circuit_breaker_policy::metrics_only}) {
    calls.clear();
    breaker.close(now);
    trip();
    for (int i = 0; i < 3; ++i) call();
    (breaker.*into)(now);
    settle();
    EXPECT_EQ(parked(), 0);
    for (std::size_t i = 1; i < 4; ++i) EXPECT_TRUE(calls[i]->out());
    for (std::size_t i = 1; i < 4; ++i) calls[i]->end(bad(), now);  // on paper it trips
    EXPECT_TRUE(call().out()) << "and nobody waits";
  }
}

TEST_F(circuit_breaker_waiting, closing_by_hand_starts_the_ramp) {
  trip();
  for (int i = 0; i < 10; ++i) {
    call();
    pass(50ms);
  }
  breaker.close(now);
  settle();
  EXPECT_GT(parked(), 5) << "no burst";
  pass(2s);
  EXPECT_EQ(parked(), 0);
}

TEST_F(circuit_breaker_waiting, an_opening_by_hand_holds_them_back_longer) {
  trip();
  caller& waits = call();
  breaker.open(now, random, 10s);
  settle();
  pass(9s);
  EXPECT_TRUE(waits.parked());
  pass(1s);
  EXPECT_TRUE(waits.out());
}

TEST_F(circuit_breaker_waiting, those_on_the_ramp_wait_on_when_it_opens_again) {
  trip();
  for (int i = 0; i < 20; ++i) call();
  pass(1s);
  calls[1]->end(test::succeeded(), now);
  pass(100ms);
  ASSERT_EQ(look().state, circuit_state::closed);
  const int left = parked();
  ASSERT_GT(left, 5);
  for (const auto& c : calls)
    if (c->out()) {
      c->end(bad(), now);
      break;
    }
  settle();
  ASSERT_EQ(look().state, circuit_state::open);
  EXPECT_EQ(parked(), left);
  pass_to(look().retry_at);
  EXPECT_EQ(look().probes_out, 1);
  for (const auto& c : calls)
    if (c->out()) c->end(test::succeeded(), now);
  pass(10s);
  EXPECT_EQ(parked(), 0);
}

// The ramp

/// 100 calls a second until it closes; how many went in each tenth of a second afterwards, with
/// newcomers at the same rate.
TEST_F(circuit_breaker_waiting, the_ramp_is_as_fast_as_it_says_and_ends) {
  trip();
  const auto arrive_until = [&](time_point end) {
    while (now < end) {
      pass(10ms);
      call();
      for (const auto& c : calls)
        if (c->out() && look().state == circuit_state::closed) c->end(test::succeeded(), now);
    }
  };
  breaker.open(now, random, 3s);
  arrive_until(look().retry_at);
  pass(1ms);
  ASSERT_EQ(look().probes_out, 1);
  for (const auto& c : calls)
    if (c->out()) c->end(test::succeeded(), now);
  ASSERT_EQ(look().state, circuit_state::closed);
  const int waited = parked();
  ASSERT_GT(waited, 280);
  std::vector<int> went;  // each second
  for (int second = 0; second < 20 && parked() > 0; ++second) {
    const int before = parked();
    arrive_until(now + 1s);
    went.push_back(before + 100 - parked());
  }
  ASSERT_GE(went.size(), 5U);
  for (std::size_t i = 0; i + 1 < went.size(); ++i) {
    EXPECT_NEAR(went[i], 130, 8) << "second " << i;
  }
  EXPECT_EQ(parked(), 0) << "300 that waited, less 30 a second: it takes ten";
  EXPECT_LE(went.size(), 13U);
  pass(1s);
  EXPECT_TRUE(call().out());
  EXPECT_TRUE(breaker.try_acquire(now, random)) << "without a lock again";
}

TEST_F(circuit_breaker_waiting, a_ramp_after_a_quiet_night_follows_todays_calls) {
  trip();
  breaker.open(now, random, 1h);
  for (int i = 0; i < 3570; ++i) {  // one a second
    pass(1s);
    call(2h).leave();
  }
  caller& first = call();
  pass_to(look().retry_at);
  ASSERT_TRUE(first.out());
  call();
  first.end(test::succeeded(), now);
  settle();
  int refused = 0;
  int seconds = 0;
  for (int i = 0; i < 4000 && parked() > 0; ++i) {  // now twenty
    pass(50ms);
    caller& c = call();
    refused += c.refused() ? 1 : 0;
    for (const auto& each : calls)
      if (each->out()) each->end(test::succeeded(), now);
    std::erase_if(calls, [](const auto& each) { return !each->parked(); });
    seconds = i / 20;
  }
  EXPECT_EQ(parked(), 0);
  EXPECT_LE(seconds, 120);
  EXPECT_EQ(refused, 0);
}

TEST_F(circuit_breaker_waiting, a_quiet_client_waits_three_openings_for_its_turn_at_most) {
  trip();
  now += 10s;
  call().end(bad(), now);  // a call in ten seconds
  call();
  caller& second = call();
  pass_to(look().retry_at);
  calls[2]->end(test::succeeded(), now);
  settle();
  EXPECT_LE(second.until - now, 3s);
  EXPECT_GT(second.until - now, 1s);
}

TEST_F(circuit_breaker_waiting, a_new_clients_ramp_knows_how_short_its_life_was) {
  circuit_breaker o = patient();
  o.failure_ratio = 1.0;
  o.consecutive_failures.reset();
  o.min_calls = 20;
  o.early_probe_after.reset();
  circuit_breaker_policy young(o);
  now += 1000h;
  for (int i = 0; i < 20; ++i) {  // 100 a second from its first moment on
    caller(young, now).end(bad(), now);
    now += 10ms;
  }
  ASSERT_EQ(young.snapshot(now).state, circuit_state::open);
  std::vector<std::unique_ptr<caller>> all;
  while (now < young.snapshot(now).retry_at - 1ms) {
    all.push_back(std::make_unique<caller>(young, now));
    now += 10ms;
  }
  now = young.snapshot(now).retry_at;
  all[0]->resume(now);
  ASSERT_TRUE(all[0]->out());
  all[0]->end(test::succeeded(), now);
  for (const auto& c : all) c->resume(now);
  time_point last = now;
  for (const auto& c : all)
    if (c->parked()) last = std::max(last, c->until);
  EXPECT_LE(last - now, 1s) << "about 100 that waited, at 130 a second";
  EXPECT_GE(last - now, 500ms);
}

TEST_F(circuit_breaker_waiting, a_turn_that_comes_too_late_is_refused_at_once_and_left_to_others) {
  trip();
  breaker.open(now, random, 10s);
  for (int i = 0; i < 10; ++i) {  // one a second
    call(i == 9 ? 60s : i == 5 ? 11s - i * 1s : 60s);
    pass(1s - (i == 9 ? 1ms : 0ms));
  }
  pass(1ms);
  ASSERT_EQ(look().probes_out, 1);
  calls[1]->end(test::succeeded(), now);
  settle();
  ASSERT_EQ(look().state, circuit_state::closed);
  EXPECT_TRUE(calls[6]->refused()) << "its turn is in three seconds, it has but one";
  EXPECT_EQ(calls[6]->t.result.why.because, reason::ramp);
  std::vector<time_point> turns;
  for (const auto& c : calls)
    if (c->parked()) turns.push_back(c->until);
  ASSERT_EQ(turns.size(), 8U);
  for (std::size_t i = 1; i < turns.size(); ++i)
    EXPECT_NEAR(std::chrono::duration<double>(turns[i] - turns[i - 1]).count(), 1 / 1.3, 0.15) << i;
  // Newcomers in a hurry do not push the others' turns away.
  for (int i = 0; i < 500; ++i) EXPECT_TRUE(call(100ms).refused());
  caller& last = call();
  EXPECT_LE(last.until - turns.back(), 1s);
}

TEST_F(circuit_breaker_waiting, the_largest_numbers_do_not_overflow) {
  circuit_breaker o = patient();
  o.window = count_window{.calls = 100, .max_age = duration::max()};
  o.max_wait = duration::max();
  o.ramp = 1;
  circuit_breaker_policy long_lived(o);
  caller(long_lived, time_point::min()).end(bad(), time_point::min());
  const time_point end = never - 10s;
  caller probe(long_lived, end);
  ASSERT_TRUE(probe.out());
  caller waits(long_lived, end);
  ASSERT_TRUE(waits.parked());
  probe.end(test::succeeded(), end);
  waits.resume(end);
  EXPECT_TRUE(waits.parked() || waits.out() || waits.refused());
}

// Any order of events

/// After each event everybody who has to looks. Then nobody may be left who could go: neither when
/// a probe is due, nor when a turn has come.
TEST(circuit_breaker_waiting_property, nobody_is_forgotten_in_a_hundred_thousand_random_events) {
  for (const std::uint64_t seed : {1U, 2U, 3U, 4U, 5U}) {
    std::mt19937_64 dice(seed);
    circuit_breaker o = patient();
    o.probes = 1 + static_cast<int>(dice() % 3);
    o.probes_to_close = 1 + static_cast<int>(dice() % 3);
    o.consecutive_failures = 4;
    if (seed % 2 == 0) o.suspect_failures = 2;
    o.probe_lease = 3s;
    o.max_waiting = 20;
    o.early_probe_after = 10;
    o.open_jitter = 0.2;
    circuit_breaker_policy breaker(o);
    seeded_entropy random{seed};
    std::vector<std::unique_ptr<caller>> calls;
    time_point now = time_point{} + 1h;
    bool ails = true;
    std::size_t went = 0;
    std::size_t refused = 0;
    std::size_t looks = 0;
    const auto settle = [&] {
      int rounds = 0;
      for (bool again = true; again;) {
        ASSERT_LT(++rounds, 200) << "they spin";
        again = false;
        for (const auto& c : calls) again = c->resume(now) || again;
      }
      std::erase_if(calls, [&](const auto& c) {
        if (c->parked() || c->out()) return false;
        looks += static_cast<std::size_t>(c->looks);
        refused += c->refused() ? 1U : 0U;
        return true;
      });
      const circuit_snapshot s = breaker.snapshot(now);
      const auto waiting =
          std::count_if(calls.begin(), calls.end(), [](const auto& c) { return c->parked(); });
      ASSERT_EQ(s.waiting, waiting);
      ASSERT_LE(s.waiting, o.max_waiting);
      const auto out =
          std::count_if(calls.begin(), calls.end(), [](const auto& c) { return c->out(); });
      ASSERT_LE(s.probes_out, out) << "a probe without a call";
      if (waiting == 0) return;
      ASSERT_TRUE(s.state == circuit_state::open || s.state == circuit_state::half_open ||
                  s.state == circuit_state::closed)
          << to_string(s.state);
      if (s.state != circuit_state::closed) {
        ASSERT_GT(s.retry_at, now) << "a probe is due, and nobody went";
      }
    };
    const auto pass_to = [&](time_point at) {
      while (now < at && !::testing::Test::HasFatalFailure()) {
        time_point next = at;
        for (const auto& c : calls)
          if (c->parked()) next = std::min(next, c->until);
        now = std::max(now, next);
        settle();
      }
    };
    for (int i = 0; i < 20'000 && !::testing::Test::HasFatalFailure(); ++i) {
      switch (dice() % 20) {
        case 0: pass_to(now + duration(dice() % 2'000'000'000)); break;
        case 1:
        case 2: pass_to(now + duration(dice() % 100'000'000)); break;
        case 3: ails = dice() % 2 == 0; break;
        case 4:
          if (!calls.empty()) calls[dice() % calls.size()]->leave();
          break;
        case 5:
          if (dice() % 8 != 0) break;
          switch (dice() % 5) {
            case 0: breaker.isolate(now); break;
            case 1: breaker.disable(now); break;
            case 2: breaker.metrics_only(now); break;
            case 3: breaker.open(now, random); break;
            default: break;
          }
          settle();
          if (dice() % 2 == 0) breaker.close(now);
          break;
        case 6: breaker.close(now); break;
        case 7:
        case 8:
        case 9:
        case 10:
        case 11:
        case 12:
          if (const auto it =
                  std::find_if(calls.begin(), calls.end(), [](const auto& c) { return c->out(); });
              it != calls.end() && dice() % 10 != 0) {
            ++went;
            (*it)->end(ails ? bad() : test::succeeded(), now);
          }
          break;
        default:
          if (calls.size() < 60)
            calls.push_back(std::make_unique<caller>(
                breaker, now, dice() % 3 == 0 ? now + duration(dice() % 4'000'000'000) : never));
      }
      settle();
    }
    if (::testing::Test::HasFatalFailure()) return;
    // At the end the dependency is well: all go.
    breaker.close(now);
    for (int i = 0; i < 200 && !calls.empty(); ++i) {
      pass_to(now + 1s);
      for (const auto& c : calls)
        if (c->out()) c->end(test::succeeded(), now);
      settle();
    }
    EXPECT_TRUE(calls.empty());
    EXPECT_EQ(breaker.snapshot(now).waiting, 0);
    EXPECT_EQ(breaker.snapshot(now).probes_out, 0);
    EXPECT_GT(went, 2'000U);
    EXPECT_GT(refused, 100U);
    EXPECT_LT(looks, 200'000U) << "they hardly ever look in vain";
  }
}

}  // namespace
}  // namespace hawser::circuit_waiting_test
