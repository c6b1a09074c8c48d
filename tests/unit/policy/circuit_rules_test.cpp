// The circuit breaker's rules for rows of failures, suspicion, early and overlapping probes, and
// for what it hears of.
#include "hawser/policy/circuit_breaker.hpp"

#include "support/stage_driver.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace hawser::circuit_rules_test {
namespace {

using namespace std::chrono_literals;
using test::stage_driver;
using test::stage_under_test;
using test::verb;

outcome good() { return test::succeeded(1ms); }

outcome bad(int status = 503) {
  outcome o = test::failed(errc::server_error, evidence::answered);
  o.status = status;
  return o;
}

outcome timed_out(duration after) {
  outcome o = test::failed(errc::attempt_timeout, evidence::maybe_applied);
  o.elapsed = after;
  return o;
}

outcome not_found() {
  outcome o = test::failed(errc::client_error, evidence::answered);
  o.status = 404;
  o.countable = false;
  return o;
}

/// The defaults, without what is random.
circuit_breaker steady() {
  circuit_breaker o;
  o.open_jitter = 0;
  return o;
}

class rig {
 public:
  explicit rig(circuit_breaker o) : breaker(std::move(o)) {}

  bool call(const outcome& with) {
    const stage_under_test s(breaker);
    const bool let = s->enter(t).what() == verb::call_inner;
    if (let) s->inner_done(0, with, t);
    s->leave();
    return let;
  }
  circuit_permit acquire() { return breaker.try_acquire(t.now(), random); }
  [[nodiscard]] circuit_snapshot look() const { return breaker.snapshot(t.now()); }
  [[nodiscard]] circuit_state state() const { return look().state; }

  circuit_breaker_policy breaker;
  stage_driver t;
  seeded_entropy random{7};
};

// Rows

TEST(circuit_breaker_rows, a_row_within_a_moment_means_nothing) {
  circuit_breaker o = steady();
  o.failure_ratio.reset();
  rig y(o);
  y.call(good());
  for (int i = 0; i < 100; ++i) y.call(bad());
  EXPECT_EQ(y.state(), circuit_state::closed);
}

TEST(circuit_breaker_rows, open_it_after_the_whole_span_and_no_sooner) {
  circuit_breaker o = steady();
  o.failure_ratio.reset();
  o.suspect_failures.reset();
  rig x(o);
  x.call(good());
  for (int i = 0; i < 20; ++i) x.call(bad());
  x.t.advance(1s - 1ns);
  x.call(bad());
  EXPECT_EQ(x.state(), circuit_state::closed);
  x.t.advance(1ns);
  x.call(bad());
  EXPECT_EQ(x.state(), circuit_state::open);
  EXPECT_EQ(x.look().why.because, reason::consecutive_failures);
}

TEST(circuit_breaker_rows, of_a_new_client_span_a_second_as_well) {
  circuit_breaker o = steady();
  o.failure_ratio.reset();
  rig x(o);
  x.t.advance(1000h);  // the time line began long before it
  for (int i = 0; i < 100; ++i) x.call(bad());
  EXPECT_EQ(x.state(), circuit_state::closed);
  x.t.advance(499ms);
  x.call(bad());
  EXPECT_EQ(x.state(), circuit_state::closed);
  x.t.advance(1ms);
  x.call(bad());
  EXPECT_EQ(x.state(), circuit_state::half_open) << "suspected after half the span";
}

TEST(circuit_breaker_rows, end_with_an_answer_of_any_kind) {
  circuit_breaker o = steady();
  o.failure_ratio.reset();
  o.suspect_failures.reset();
  rig x(o);
  for (int i = 0; i < 200; ++i) {
    x.call(i % 8 == 7 ? not_found() : bad());
    x.t.advance(1s);
  }
  EXPECT_EQ(x.state(), circuit_state::closed);
}

/// Nothing is sent while the server's pause lasts, and what was on its way then fails late: no row,
/// however long it is. What was begun since makes one.
TEST(circuit_breaker_rows, are_of_attempts_begun_after_the_last_answer) {
  circuit_breaker o = steady();
  o.failure_ratio.reset();
  rig x(o);
  for (const bool neutral : {false, true}) {
    x.call(neutral ? not_found() : good());
    for (int i = 0; i < 8; ++i) {
      x.t.advance(450ms);
      x.call(timed_out(x.t.now() - time_point{} + 1s));
    }
    EXPECT_EQ(x.state(), circuit_state::closed);
    EXPECT_EQ(x.look().consecutive, 0U);
  }
  EXPECT_EQ(x.look().failures, 16U) << "the rate knows them all";
  x.call(good());
  x.t.advance(499ms);
  for (int i = 0; i < 2; ++i) x.call(timed_out(499ms + 1ns));
  for (int i = 0; i < 2; ++i) x.call(timed_out(499ms));
  EXPECT_EQ(x.state(), circuit_state::closed);
  EXPECT_EQ(x.look().consecutive, 2U);
  x.t.advance(1ms);
  x.call(timed_out(1ms));
  EXPECT_EQ(x.state(), circuit_state::half_open) << "suspected: begun half a second ago";
}

/// After a lull what fails at once is back first: that nothing else came in the lull says nothing.
TEST(circuit_breaker_rows, span_no_time_in_which_nobody_called) {
  circuit_breaker o = steady();
  o.failure_ratio.reset();
  rig x(o);
  x.call(good());
  x.t.advance(1h);
  for (int i = 0; i < 100; ++i) x.call(bad());
  EXPECT_EQ(x.state(), circuit_state::closed);
  x.t.advance(500ms);
  x.call(bad());
  EXPECT_EQ(x.state(), circuit_state::half_open);
}

/// Results at random, one in five failed: five in a row come every few seconds by chance.
TEST(circuit_breaker_rows, never_come_by_chance_on_a_busy_client) {
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    rig x(steady());
    std::mt19937_64 chance(seed);
    std::uint64_t longest = 0;
    for (int i = 0; i < 100'000; ++i) {
      ASSERT_TRUE(x.call(chance() % 5 == 0 ? bad() : good())) << i;
      longest = std::max(longest, x.look().consecutive);
      x.t.advance(2ms);  // 500 a second
    }
    EXPECT_GE(longest, 5U) << "there were rows";
    EXPECT_EQ(x.look().generation, 0U) << "it never moved";
  }
}

// Suspicion

class suspected : public ::testing::Test {
 protected:
  void SetUp() override {
    x.call(good());
    for (int i = 0; i < 2; ++i) x.call(bad());
    x.t.advance(500ms);
    x.call(bad());
    ASSERT_EQ(x.state(), circuit_state::half_open);
    ASSERT_EQ(x.look().openings, 0U) << "it was never open";
  }
  rig x{steady()};
};

TEST_F(suspected, begins_with_three_in_a_row_over_half_the_span) {
  const circuit_snapshot s = x.look();
  EXPECT_EQ(s.why.because, reason::consecutive_failures);
  EXPECT_DOUBLE_EQ(s.why.measured, 3);
  EXPECT_DOUBLE_EQ(s.why.threshold, 3);
}

TEST_F(suspected, lets_the_first_probe_go_after_one_interval) {
  EXPECT_EQ(x.look().retry_at, x.t.now() + 1s);
  refusal no;
  EXPECT_FALSE(x.breaker.try_acquire(x.t.now() + 1s - 1ns, x.random, &no));
  EXPECT_EQ(no.code, errc::circuit_open);
  EXPECT_EQ(no.why.because, reason::consecutive_failures) << "no probe has failed yet";
  EXPECT_DOUBLE_EQ(no.why.measured, 3);
  EXPECT_EQ(no.why.until, x.t.now() + 1s);
  x.t.advance(1s);
  const circuit_permit probe = x.acquire();
  EXPECT_TRUE(probe.is_probe());
  EXPECT_FALSE(x.acquire()) << "one at a time";
}

TEST_F(suspected, closes_at_a_success) {
  x.t.advance(1s);
  x.call(good());
  EXPECT_EQ(x.state(), circuit_state::closed);
  EXPECT_EQ(x.look().openings, 0U);
}

TEST_F(suspected, closes_at_any_answer) {
  x.t.advance(1s);
  x.call(not_found());
  EXPECT_EQ(x.state(), circuit_state::closed);
}

TEST_F(suspected, opens_at_eight_failures_in_a_row_those_before_included) {
  for (int row = 4; row <= 8; ++row) {
    ASSERT_EQ(x.state(), circuit_state::half_open) << row;
    x.t.set_now(x.look().retry_at);
    ASSERT_TRUE(x.call(bad()));
  }
  EXPECT_EQ(x.state(), circuit_state::open);
  EXPECT_EQ(x.look().why.because, reason::consecutive_failures);
  EXPECT_DOUBLE_EQ(x.look().why.measured, 8);
  EXPECT_EQ(x.look().openings, 1U);
  EXPECT_GT(x.look().retry_at, x.t.now());
}

TEST_F(suspected, is_not_moved_by_results_from_before) {
  rig y(steady());
  circuit_permit before = y.acquire();
  y.call(good());
  for (int i = 0; i < 2; ++i) y.call(bad());
  y.t.advance(500ms);
  y.call(bad());
  ASSERT_EQ(y.state(), circuit_state::half_open);
  EXPECT_EQ(before.failure(1ms, y.t.now()), settlement::late);
  EXPECT_EQ(y.state(), circuit_state::half_open);
}

TEST(circuit_breaker_suspicion, is_nobodys_on_paper_and_where_nothing_trips) {
  for (const auto into :
       {&circuit_breaker_policy::metrics_only, &circuit_breaker_policy::disable}) {
    circuit_breaker o = steady();
    o.failure_ratio.reset();
    rig x(o);
    (x.breaker.*into)(x.t.now());
    const circuit_state there = x.state();
    x.t.advance(600ms);
    for (int i = 0; i < 7; ++i) EXPECT_TRUE(x.call(bad()));
    EXPECT_EQ(x.state(), there);
  }
}

TEST(circuit_breaker_suspicion, can_be_switched_off) {
  circuit_breaker o = steady();
  o.suspect_failures.reset();
  rig x(o);
  x.call(good());
  x.t.advance(999ms);
  for (int i = 0; i < 10; ++i) x.call(bad());
  EXPECT_EQ(x.state(), circuit_state::closed);
}

// Probes

/// Opens at once, for a second.
circuit_breaker touchy() {
  circuit_breaker o = steady();
  o.consecutive_failures = 1;
  o.suspect_failures.reset();
  o.consecutive_span = 0s;
  return o;
}

TEST(circuit_breaker_probes, a_404_closes_it_at_the_first) {
  rig x(steady());
  x.call(good());
  x.t.advance(2s);
  for (int i = 0; i < 3; ++i) x.call(bad(500));
  while (x.state() != circuit_state::open) {
    x.t.set_now(x.look().retry_at);
    x.call(bad(500));
  }
  x.t.set_now(x.look().retry_at);
  EXPECT_TRUE(x.call(not_found()));
  EXPECT_EQ(x.state(), circuit_state::closed);
}

TEST(circuit_breaker_probes, that_hang_are_joined_by_more_up_to_five) {
  rig x(touchy());
  x.call(bad());
  std::vector<circuit_permit> hung;
  time_point last = x.t.now();
  for (int i = 0; i < 5; ++i) {
    const time_point next = x.look().retry_at;
    EXPECT_GE(next - last, 1s);
    last = next;
    EXPECT_LE(next - x.t.now(), 2s) << "never long while the outage is short";
    x.t.set_now(next - 1ns);
    EXPECT_FALSE(x.acquire());
    x.t.set_now(next);
    hung.push_back(x.acquire());
    ASSERT_TRUE(hung.back()) << i;
    EXPECT_FALSE(x.acquire());
  }
  EXPECT_EQ(x.look().probes_out, 5);
  x.t.advance(10s);
  EXPECT_FALSE(x.acquire()) << "five are out";
  EXPECT_EQ(hung[3].success(1ms, x.t.now()), settlement::counted);
  EXPECT_EQ(x.state(), circuit_state::closed);
}

TEST(circuit_breaker_probes, a_failed_one_waits_for_the_word_of_those_that_are_out) {
  rig x(touchy());
  x.call(bad());
  x.t.set_now(x.look().retry_at);
  circuit_permit first = x.acquire();
  x.t.set_now(x.look().retry_at);
  circuit_permit second = x.acquire();
  EXPECT_EQ(first.failure(1ms, x.t.now()), settlement::counted);
  EXPECT_EQ(x.state(), circuit_state::half_open);
  EXPECT_EQ(second.failure(1ms, x.t.now()), settlement::counted);
  EXPECT_EQ(x.state(), circuit_state::open);
}

TEST(circuit_breaker_probes, of_no_result_are_offered_again_at_once) {
  rig x(touchy());
  x.call(bad());
  const time_point began = x.t.now();
  x.t.set_now(x.look().retry_at);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(x.call(i % 2 == 0 ? test::ignored() : outcome::refuse(errc::rate_limited, {})));
    ASSERT_EQ(x.state(), circuit_state::half_open);
  }
  EXPECT_TRUE(x.call(bad()));
  EXPECT_LE(x.look().retry_at - x.t.now(), 2s) << "they made no opening longer";
  EXPECT_EQ(x.t.now() - began, 1s);
}

TEST(circuit_breaker_early, goes_after_fifty_held_back_and_half_the_time) {
  rig x(touchy());
  x.call(bad());
  for (int i = 0; i < 60; ++i) EXPECT_FALSE(x.call(good()));
  x.t.advance(500ms - 1ns);
  EXPECT_FALSE(x.acquire());
  x.t.advance(1ns);
  const circuit_permit probe = x.acquire();
  EXPECT_TRUE(probe.is_probe());
  EXPECT_FALSE(x.acquire()) << "the count begins anew";

  rig few(touchy());
  few.call(bad());
  few.t.advance(500ms);
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(few.acquire()) << i;
  EXPECT_TRUE(few.acquire());

  circuit_breaker o = touchy();
  o.early_probe_after.reset();
  rig off(o);
  off.call(bad());
  off.t.advance(999ms);
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(off.acquire());
}

TEST(circuit_breaker_early, joins_a_probe_that_hangs) {
  rig x(touchy());
  x.call(bad());
  x.t.advance(1s);
  const circuit_permit hung = x.acquire();
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(x.acquire());
  x.t.advance(500ms);
  EXPECT_TRUE(x.acquire());
}

TEST(circuit_breaker_early, does_not_cut_short_what_a_server_asked_for) {
  rig x(touchy());
  outcome hinted = bad();
  hinted.server_wait = 5s;
  x.call(hinted);
  x.t.advance(4999ms);
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(x.acquire());
  x.t.advance(1ms);
  EXPECT_TRUE(x.acquire());
}

TEST(circuit_breaker_early, does_not_cut_short_an_opening_by_hand) {
  rig x(touchy());
  x.breaker.open(x.t.now(), x.random, 1min);
  x.t.advance(59s);
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(x.acquire());
}

TEST(circuit_breaker_hints, reach_ten_seconds) {
  rig x(touchy());
  outcome hinted = bad();
  hinted.server_wait = 1h;
  x.call(hinted);
  EXPECT_EQ(x.look().retry_at, x.t.now() + 10s);
}

// What it hears of

TEST(circuit_breaker_hears, of_connections_alone_when_told_so) {
  struct row {
    const char* what;
    outcome seen;
    bool counts;  // beside connections
  };
  const auto cut = [](errc code, evidence delivery) { return test::failed(code, delivery); };
  const std::vector<row> rows = {
      {"refused",
       test::failed(boost::system::errc::make_error_code(boost::system::errc::connection_refused),
                    evidence::never_sent),
       true},
      {"resolve timeout", cut(errc::resolve_timeout, evidence::never_sent), true},
      {"connect timeout", cut(errc::connect_timeout, evidence::never_sent), true},
      {"TLS timeout", cut(errc::tls_timeout, evidence::never_sent), true},
      {"no TLS", cut(errc::tls_handshake_failed, evidence::never_sent), true},
      {"closed early", cut(errc::connection_closed, evidence::maybe_applied), false},
      {"reset",
       test::failed(boost::system::errc::make_error_code(boost::system::errc::connection_reset),
                    evidence::maybe_applied),
       false},
      {"attempt timeout", cut(errc::attempt_timeout, evidence::maybe_applied), false},
      {"attempt timeout before anything went out", cut(errc::attempt_timeout, evidence::never_sent),
       true},
      {"no first byte", cut(errc::first_byte_timeout, evidence::maybe_applied), false},
      {"503", bad(), false},
      {"404", not_found(), false},
  };
  for (const row& r : rows) {
    SCOPED_TRACE(r.what);
    circuit_breaker o = touchy();
    rig all(o);
    o.hears = failure_scope::connections;
    rig some(o);
    o.hears = failure_scope::exchanges;
    rig others(o);
    all.call(r.seen);
    some.call(r.seen);
    others.call(r.seen);
    EXPECT_EQ(all.state() == circuit_state::open, r.seen.countable);
    EXPECT_EQ(some.state() == circuit_state::open, r.counts);
    EXPECT_EQ(others.state() == circuit_state::open, r.seen.countable && !r.counts)
        << "the one or the other, never both";
  }
}

TEST(circuit_breaker_hears, an_answer_ends_a_row_of_missing_connections) {
  circuit_breaker o = touchy();
  o.hears = failure_scope::connections;
  o.failure_ratio.reset();
  o.consecutive_failures = 2;
  rig x(o);
  const outcome none = test::failed(errc::connect_timeout, evidence::never_sent);
  for (int i = 0; i < 50; ++i) {
    x.call(none);
    x.call(bad());
  }
  EXPECT_EQ(x.state(), circuit_state::closed);
  x.call(test::failed(errc::attempt_timeout, evidence::maybe_applied));
  x.call(none);
  x.call(test::failed(errc::connection_closed, evidence::maybe_applied));
  x.call(none);
  EXPECT_EQ(x.state(), circuit_state::open) << "silence proves no life";
}

TEST(circuit_breaker_hears, what_was_cancelled_proves_nothing) {
  rig x(touchy());
  x.call(bad());
  x.t.set_now(x.look().retry_at);
  outcome cancelled = test::ignored();
  cancelled.status = 200;  // it had begun to answer
  EXPECT_TRUE(x.call(cancelled));
  EXPECT_EQ(x.state(), circuit_state::half_open);
}

}  // namespace
}  // namespace hawser::circuit_rules_test
