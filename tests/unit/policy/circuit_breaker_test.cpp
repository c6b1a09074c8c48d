#include "hawser/policy/circuit_breaker.hpp"

#include "support/stage_driver.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace hawser::circuit_breaker_test {
namespace {

using namespace std::chrono_literals;
using test::stage_driver;
using test::stage_under_test;
using test::verb;

/// Opens at three failures in a row for exactly ten seconds; one good probe closes it.
circuit_breaker plain() {
  circuit_breaker o;
  o.window = count_window{.calls = 100};
  o.failure_ratio.reset();
  o.consecutive_failures = 3;
  o.consecutive_span = 0s;
  o.suspect_failures.reset();
  o.open_for = 10s;
  o.open_share = 1;
  o.open_cap = 2min;
  o.open_jitter = 0;
  o.early_probe_after.reset();
  o.hint_cap = 1h;
  o.healthy_reset = 1min;
  o.probes = 1;
  o.probes_to_close = 1;
  return o;
}

outcome good(duration took = 1ms) { return test::succeeded(took); }

outcome bad(duration took = 0ms) {
  outcome o = test::failed(errc::server_error, evidence::answered);
  o.status = 503;
  o.elapsed = took;
  return o;
}

/// A breaker, its clock, and calls made one after the other or held open.
class rig {
 public:
  explicit rig(circuit_breaker o) : breaker(std::move(o)) {}

  /// One whole call; whether it was let through.
  bool call(const outcome& with) {
    const stage_under_test s(breaker);
    const bool admitted = s->enter(t).what() == verb::call_inner;
    if (admitted) {
      EXPECT_EQ(s->inner_done(0, with, t).what(), verb::finish);
      EXPECT_EQ(t.result.result, with.result);
    }
    s->leave();
    return admitted;
  }

  void trip() {
    for (int i = 0; i < 1000 && state() == circuit_state::closed; ++i) call(bad());
    ASSERT_EQ(state(), circuit_state::open);
  }

  /// Trips it and waits until a probe may go.
  void open_and_wait() {
    trip();
    t.set_now(look().retry_at);
  }

  circuit_permit acquire(cause* why = nullptr) {
    refusal no;
    circuit_permit permit = breaker.try_acquire(t.now(), random, &no);
    if (!permit && why != nullptr) *why = no.why;
    return permit;
  }
  [[nodiscard]] circuit_snapshot look() const { return breaker.snapshot(t.now()); }
  [[nodiscard]] circuit_state state() const { return look().state; }

  [[nodiscard]] std::vector<std::string> moves() const {
    std::vector<std::string> all;
    for (const event& e : t.events)
      if (e.kind == event_kind::state_changed)
        all.push_back(std::string(e.from) + " > " + std::string(e.to) + ": " +
                      std::string(to_string(e.why.because)));
    return all;
  }
  [[nodiscard]] int count(event_kind kind) const {
    int n = 0;
    for (const event& e : t.events) n += e.kind == kind ? 1 : 0;
    return n;
  }

  circuit_breaker_policy breaker;
  stage_driver t;
  seeded_entropy random{7};
};

using texts = std::vector<std::string>;

// Options

TEST(circuit_breaker_options, the_readme_spelling_works) {
  const auto made =
      make_policy(hawser::circuit_breaker{.min_calls = 20, .failure_ratio = 0.5, .open_for = 10s});
  EXPECT_EQ(made->kind(), "circuit_breaker");
  EXPECT_EQ(made->name(), "circuit_breaker");
  EXPECT_EQ(made->amplification(), 1U);
  const auto named = make_policy(hawser::circuit_breaker{
      .name = "billing", .window = time_window{.span = 30s}, .probe_lease = 3s});
  EXPECT_EQ(named->name(), "billing");
}

TEST(circuit_breaker_options, out_of_bounds_is_refused_naming_the_field) {
  const double nan = std::nan("");
  const double inf = std::numeric_limits<double>::infinity();
  const std::vector<std::pair<std::string, circuit_breaker>> rows = {
      {"window.calls", {.window = count_window{.calls = 0}}},
      {"window.calls", {.window = count_window{.calls = 1'000'001}}},
      {"window.buckets", {.window = time_window{.buckets = 0}}},
      {"window.buckets", {.window = time_window{.buckets = 1001}}},
      {"window.span", {.window = time_window{.span = 9ns}}},
      {"window.span", {.window = time_window{.span = -1s}}},
      {"min_calls", {.min_calls = 0}},
      {"min_calls", {.window = count_window{.calls = 10}, .min_calls = 11}},
      {"failure_ratio", {.failure_ratio = 0.0}},
      {"failure_ratio", {.failure_ratio = 1.1}},
      {"failure_ratio", {.failure_ratio = nan}},
      {"slow_ratio", {.slow_ratio = -0.5, .slow_after = 1s}},
      {"slow_after", {.slow_ratio = 0.5}},
      {"slow_after", {.slow_after = -1s}},
      {"consecutive_failures", {.consecutive_failures = 0}},
      {"failure_ratio", {.failure_ratio = std::nullopt, .consecutive_failures = std::nullopt}},
      {"open_for", {.open_for = 0s}},
      {"open_multiplier", {.open_multiplier = 0.9}},
      {"open_multiplier", {.open_multiplier = inf}},
      {"open_multiplier", {.open_multiplier = nan}},
      {"open_cap", {.open_for = 10s, .open_cap = 9s}},
      {"open_jitter", {.open_jitter = 1.0}},
      {"open_jitter", {.open_jitter = -0.1}},
      {"hint_cap", {.hint_cap = -1ns}},
      {"healthy_reset", {.healthy_reset = -1ns}},
      {"probes", {.probes = 0}},
      {"probes", {.probes = 1001}},
      {"probes_to_close", {.probes_to_close = 0}},
      {"probe_lease", {.probe_lease = 0s}},
  };
  for (const auto& row : rows) {
    try {
      (void)make_policy(row.second);
      ADD_FAILURE() << row.first;
    } catch (const config_error& e) {
      EXPECT_EQ(e.field(), "circuit_breaker." + row.first);
    }
  }
}

TEST(circuit_breaker_options, the_consecutive_rule_alone_needs_no_window_for_min_calls) {
  circuit_breaker o = plain();
  o.window = count_window{.calls = 1};
  EXPECT_NO_THROW((void)make_policy(o));
}

// Tripping

TEST(circuit_breaker_trips, as_the_table_says) {
  struct row {
    const char* what;
    std::string results;  // g good, f failed, s slow but good, b slow and failed, v void
    circuit_breaker options;
    reason because;  // none: stays closed
    double measured;
  };
  const auto ratio = [](int min_calls, double failures) {
    circuit_breaker o = plain();
    o.consecutive_failures.reset();
    o.window = count_window{.calls = 10};
    o.min_calls = min_calls;
    o.failure_ratio = failures;
    return o;
  };
  const auto slow = [&](int min_calls, double slow_ratio) {
    circuit_breaker o = ratio(min_calls, 1.0);
    o.failure_ratio.reset();
    o.slow_ratio = slow_ratio;
    o.slow_after = 100ms;
    return o;
  };
  circuit_breaker both = ratio(4, 0.75);
  both.slow_ratio = 0.5;
  both.slow_after = 100ms;
  const std::vector<row> rows = {
      {"rate reached", "gfgf", ratio(4, 0.5), reason::failure_rate, 0.5},
      {"rate just missed", "ggfgf", ratio(4, 0.5), reason::none, 0},
      {"too few calls", "fff", ratio(4, 0.5), reason::none, 0},
      {"the minimum is reached by the failure", "gggf", ratio(4, 0.25), reason::failure_rate, 0.25},
      {"one tenth is one of ten", "gggggggggf", ratio(10, 0.1), reason::failure_rate, 0.1},
      {"evicted failures are forgotten", "fffggggggggggfff", ratio(4, 0.4), reason::none, 0},
      {"void decides nothing", "vvvvvfvvf", ratio(4, 0.5), reason::none, 0},
      {"in a row", "ffgfff", plain(), reason::consecutive_failures, 3},
      {"a success ends the row", "ffgffgff", plain(), reason::none, 0},
      {"void does not end the row", "ffvvf", plain(), reason::consecutive_failures, 3},
      {"slow rate", "gsgs", slow(4, 0.5), reason::slow_call_rate, 0.5},
      {"slow and failed is slow too", "gggb", slow(4, 0.25), reason::slow_call_rate, 0.25},
      {"slow, too few", "sss", slow(4, 0.5), reason::none, 0},
      {"either rule: slow", "ggss", both, reason::slow_call_rate, 0.5},
      {"either rule: failed", "gfff", both, reason::failure_rate, 0.75},
      {"both at once: the failure rate is named", "gbbb", both, reason::failure_rate, 0.75},
  };
  for (const row& r : rows) {
    SCOPED_TRACE(r.what);
    rig x(r.options);
    std::size_t used = 0;
    for (const char c : r.results) {
      if (x.state() != circuit_state::closed) break;
      ++used;
      switch (c) {
        case 'g': x.call(good(99ms)); break;
        case 'f': x.call(bad()); break;
        case 's': x.call(good(100ms)); break;
        case 'b': x.call(bad(100ms)); break;
        default: x.call(test::ignored());
      }
    }
    const circuit_snapshot seen = x.look();
    if (r.because == reason::none) {
      EXPECT_EQ(seen.state, circuit_state::closed);
      continue;
    }
    EXPECT_EQ(seen.state, circuit_state::open);
    EXPECT_EQ(seen.why.because, r.because);
    EXPECT_DOUBLE_EQ(seen.why.measured, r.measured);
    EXPECT_EQ(used, r.results.size());  // by the last one
  }
}

TEST(circuit_breaker_trips, quiet_clients_are_protected_without_a_minimum_volume) {
  circuit_breaker o;
  o.suspect_failures.reset();
  rig x(o);  // else the defaults: eight in a row, though min_calls is 20
  for (int i = 0; i < 7; ++i) {
    EXPECT_TRUE(x.call(bad()));
    x.t.advance(1h);
  }
  EXPECT_EQ(x.state(), circuit_state::closed);
  x.call(bad());
  EXPECT_EQ(x.state(), circuit_state::open);
  EXPECT_FALSE(x.call(good()));
}

TEST(circuit_breaker_trips, after_a_million_good_calls_a_dead_backend_trips_within_one_window) {
  circuit_breaker o;
  o.consecutive_failures.reset();
  rig x(o);
  for (int i = 0; i < 1'000'000; ++i) {
    circuit_permit p = x.acquire();
    ASSERT_TRUE(p);
    p.success(1ms, x.t.now());
  }
  int failures = 0;
  while (x.call(bad())) ++failures;
  EXPECT_EQ(failures, 50);  // half of the window of 100
}

TEST(circuit_breaker_trips, a_time_window_forgets_old_failures) {
  circuit_breaker o = plain();
  o.consecutive_failures.reset();
  o.failure_ratio = 0.5;
  o.min_calls = 4;
  o.window = time_window{.span = 10s, .buckets = 10};
  rig x(o);
  for (int i = 0; i < 3; ++i) x.call(bad());
  x.t.advance(11s);
  x.call(bad());
  EXPECT_EQ(x.state(), circuit_state::closed);
  EXPECT_EQ(x.look().calls, 1U);
  for (int i = 0; i < 3; ++i) {
    x.t.advance(2s);
    x.call(bad());
  }
  EXPECT_EQ(x.state(), circuit_state::open);
}

TEST(circuit_breaker_trips, slow_after_means_nothing_without_slow_ratio) {
  circuit_breaker o = plain();
  o.slow_after = 1ms;
  rig x(o);
  for (int i = 0; i < 200; ++i) x.call(good(1h));
  EXPECT_EQ(x.state(), circuit_state::closed);
  EXPECT_EQ(x.look().slow, 0U);
}

// The three outcomes

TEST(circuit_breaker_outcomes, local_rejections_never_count_as_a_dependency_failure) {
  rig x(plain());
  outcome refused = outcome::refuse(errc::bulkhead_full, {});
  outcome refused_and_failed = refused;
  refused_and_failed.result = verdict::failed;
  for (int i = 0; i < 50; ++i) {
    x.call(refused);
    x.call(refused_and_failed);
    x.call(test::ignored());
  }
  EXPECT_EQ(x.state(), circuit_state::closed);
  EXPECT_EQ(x.look().calls, 0U);
}

TEST(circuit_breaker_outcomes, a_failure_that_is_not_countable_is_neutral) {
  rig x(plain());
  outcome not_found = bad();
  not_found.status = 404;
  not_found.countable = false;
  x.call(bad());
  x.call(bad());
  for (int i = 0; i < 50; ++i) x.call(not_found);
  EXPECT_EQ(x.look().calls, 2U);
  EXPECT_EQ(x.look().failures, 2U);
  EXPECT_EQ(x.look().consecutive, 0U);  // whoever answers lives: the row is over
  for (int i = 0; i < 3; ++i) x.call(bad());
  EXPECT_EQ(x.state(), circuit_state::open);
}

TEST(circuit_breaker_outcomes, leaving_without_a_result_decides_nothing) {
  rig x(plain());
  for (int i = 0; i < 10; ++i) {
    const stage_under_test s(x.breaker);
    EXPECT_EQ(s->enter(x.t).what(), verb::call_inner);
    s->leave();
  }
  EXPECT_EQ(x.look().calls, 0U);
}

// Refusing

TEST(circuit_breaker_refuses, retry_at_is_in_the_rejection_with_the_numbers_that_tripped_it) {
  circuit_breaker o = plain();
  o.name = "billing";
  o.consecutive_failures.reset();
  o.failure_ratio = 0.5;
  o.min_calls = 5;
  rig x(o);
  x.call(good());
  x.call(good());
  for (int i = 0; i < 3; ++i) x.call(bad());
  const time_point tripped = x.t.now();
  x.t.advance(4s);

  const stage_under_test s(x.breaker);
  x.t.events.clear();
  EXPECT_EQ(s->enter(x.t).what(), verb::finish);
  s->leave();
  const outcome& r = x.t.result;
  EXPECT_EQ(r.result, verdict::ignored);
  EXPECT_EQ(r.from, origin::policy);
  EXPECT_EQ(r.delivery, evidence::never_sent);
  EXPECT_TRUE(r.rejected);
  EXPECT_EQ(r.error, errc::circuit_open);
  EXPECT_EQ(r.why.policy, "billing");
  EXPECT_EQ(r.why.because, reason::failure_rate);
  EXPECT_DOUBLE_EQ(r.why.measured, 0.6);
  EXPECT_DOUBLE_EQ(r.why.threshold, 0.5);
  EXPECT_EQ(r.why.until, tripped + 10s);
  EXPECT_EQ(x.look().retry_at, tripped + 10s);
  ASSERT_EQ(x.t.events.size(), 1U);
  EXPECT_EQ(x.t.events[0].kind, event_kind::rejected);
  EXPECT_EQ(x.t.events[0].error, errc::circuit_open);
  EXPECT_EQ(x.t.events[0].why.until, tripped + 10s);

  cause by_hand;
  EXPECT_FALSE(x.acquire(&by_hand));
  EXPECT_EQ(by_hand.because, reason::failure_rate);
  EXPECT_FALSE(x.acquire());  // the cause may be left out
}

TEST(circuit_breaker_refuses, open_until_the_very_nanosecond) {
  rig x(plain());
  x.trip();
  x.t.advance(10s - 1ns);
  EXPECT_FALSE(x.call(good()));
  x.t.advance(1ns);
  EXPECT_TRUE(x.call(good()));
  EXPECT_EQ(x.state(), circuit_state::closed);
  EXPECT_EQ(x.moves(),
            (texts{"closed > open: consecutive_failures", "open > half_open: open_time_over",
                   "half_open > closed: probes_succeeded"}));
}

TEST(circuit_breaker_refuses, a_busy_half_open_says_so) {
  circuit_breaker o = plain();
  o.probes = 2;
  rig x(o);
  x.open_and_wait();
  const circuit_permit a = x.acquire();
  cause why;
  EXPECT_FALSE(x.acquire(&why));  // the first goes alone
  EXPECT_EQ(why.because, reason::probes_busy);
  EXPECT_DOUBLE_EQ(why.measured, 1);
  EXPECT_EQ(why.until, x.t.now() + 20s);
  EXPECT_EQ(x.look().retry_at, why.until);
  x.t.set_now(why.until);
  const circuit_permit b = x.acquire();
  EXPECT_TRUE(b);
  EXPECT_FALSE(x.acquire(&why));
  EXPECT_EQ(why.because, reason::probes_busy);
  EXPECT_DOUBLE_EQ(why.measured, 2);
  EXPECT_DOUBLE_EQ(why.threshold, 2);
  EXPECT_EQ(why.until, never);  // when one of them comes back
  EXPECT_EQ(x.look().retry_at, never);
}

// Half open

TEST(circuit_breaker_half_open, admits_exactly_n_probes_at_a_time) {
  for (const int n : {1, 2, 7}) {
    circuit_breaker o = plain();
    o.probes = n;
    o.probes_to_close = 100;
    rig x(o);
    x.open_and_wait();
    x.call(good());  // the first goes alone
    std::vector<circuit_permit> out;
    for (int round = 0; round < 5; ++round) {
      while (circuit_permit p = x.acquire()) {
        EXPECT_TRUE(p.is_probe());
        out.push_back(std::move(p));
      }
      EXPECT_EQ(out.size(), static_cast<std::size_t>(n));
      EXPECT_EQ(x.look().probes_out, n);
      EXPECT_EQ(out.front().success(1ms, x.t.now()), settlement::counted);
      out.erase(out.begin());
    }
  }
}

TEST(circuit_breaker_half_open, has_its_own_success_threshold) {
  circuit_breaker o = plain();
  o.probes_to_close = 3;
  rig x(o);
  x.open_and_wait();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(x.state(), i == 0 ? circuit_state::open : circuit_state::half_open);
    EXPECT_EQ(x.look().probes_succeeded, i);
    EXPECT_TRUE(x.call(good()));
  }
  EXPECT_EQ(x.state(), circuit_state::closed);
  EXPECT_EQ(x.look().calls, 0U);  // a new window
}

TEST(circuit_breaker_half_open, opens_again_once_half_of_the_probes_have_failed) {
  circuit_breaker o = plain();
  o.probes_to_close = 3;
  rig x(o);
  x.open_and_wait();
  x.call(good());
  x.call(good());
  x.call(bad());
  EXPECT_EQ(x.state(), circuit_state::half_open) << "one of three";
  x.call(bad());
  EXPECT_EQ(x.state(), circuit_state::open) << "two of four";
  EXPECT_EQ(x.look().why.because, reason::probe_failed);
  x.t.set_now(x.look().retry_at);
  x.call(good());
  EXPECT_EQ(x.look().probes_succeeded, 1);  // counted anew
}

TEST(circuit_breaker_half_open, a_first_probe_that_fails_opens_it_again) {
  circuit_breaker o = plain();
  o.probes = 5;
  rig x(o);
  x.open_and_wait();
  x.call(bad());
  EXPECT_EQ(x.state(), circuit_state::open);
}

TEST(circuit_breaker_half_open, a_slow_probe_counts_as_failed_where_slowness_is_judged) {
  circuit_breaker o = plain();
  o.slow_ratio = 0.5;
  o.slow_after = 100ms;
  rig x(o);
  x.open_and_wait();
  x.call(good(100ms));
  EXPECT_EQ(x.state(), circuit_state::open);

  rig y(plain());
  y.open_and_wait();
  y.call(good(1h));
  EXPECT_EQ(y.state(), circuit_state::closed);
}

TEST(circuit_breaker_half_open, a_cancelled_probe_neither_closes_nor_reopens) {
  rig x(plain());
  x.open_and_wait();
  EXPECT_TRUE(x.call(test::ignored()));
  EXPECT_EQ(x.state(), circuit_state::half_open);
  EXPECT_EQ(x.look().probes_out, 0);
  {
    const stage_under_test s(x.breaker);  // cancelled before its result
    EXPECT_EQ(s->enter(x.t).what(), verb::call_inner);
    EXPECT_EQ(x.look().probes_out, 1);
    s->leave();
    EXPECT_EQ(x.look().probes_out, 0);  // by leaving, not by the end of the stage
  }
  EXPECT_EQ(x.state(), circuit_state::half_open);
}

TEST(circuit_breaker_half_open, a_stream_of_void_outcomes_keeps_offering_probes) {
  rig x(plain());
  x.open_and_wait();
  for (int i = 0; i < 10'000; ++i) {
    outcome o = i % 2 == 0 ? test::ignored() : outcome::refuse(errc::rate_limited, {});
    if (i % 3 == 0) {
      o = test::failed(errc::connect_timeout, evidence::never_sent);
      o.countable = false;
    }
    ASSERT_TRUE(x.call(o));
    x.t.advance(1s);
  }
  EXPECT_EQ(x.state(), circuit_state::half_open);
  EXPECT_TRUE(x.call(good()));
  EXPECT_EQ(x.state(), circuit_state::closed);
}

TEST(circuit_breaker_half_open, a_permit_is_given_back_once_only) {
  circuit_breaker o = plain();
  o.probes = 2;
  o.probes_to_close = 100;
  rig x(o);
  x.open_and_wait();
  circuit_permit a = x.acquire();
  x.t.set_now(x.look().retry_at);
  circuit_permit b = x.acquire();
  a.ignore();
  a.ignore();
  EXPECT_FALSE(a);
  EXPECT_EQ(a.success(1ms, x.t.now()), settlement::uncounted);
  EXPECT_EQ(a.failure(1ms, x.t.now()), settlement::uncounted);
  EXPECT_EQ(x.look().probes_out, 1);
  circuit_permit moved = std::move(b);
  b.ignore();  // NOLINT(bugprone-use-after-move): a moved-from permit is an empty one
  EXPECT_EQ(x.look().probes_out, 1);
  moved = x.acquire();  // the one held before goes back
  EXPECT_EQ(x.look().probes_out, 1);
  EXPECT_EQ(moved.success(1ms, x.t.now()), settlement::counted);
  moved.ignore();
  EXPECT_EQ(x.look().probes_out, 0);
  EXPECT_EQ(x.look().probes_succeeded, 1);
}

TEST(circuit_breaker_half_open, giving_back_never_creates_a_permit) {
  rig x(plain());
  x.open_and_wait();
  circuit_permit hung = x.acquire();
  x.t.advance(30s);
  EXPECT_FALSE(x.acquire());  // reclaimed: open again
  x.t.set_now(x.look().retry_at);
  const circuit_permit probe = x.acquire();
  ASSERT_TRUE(probe);
  hung.ignore();  // its place is long gone
  EXPECT_EQ(x.look().probes_out, 1);
  EXPECT_FALSE(x.acquire());
}

// Leases

TEST(circuit_breaker_lease, a_hung_probe_is_reclaimed_and_counts_as_failed) {
  circuit_breaker o = plain();
  o.probe_lease = 3s;
  rig x(o);
  x.open_and_wait();
  circuit_permit hung = x.acquire();
  x.t.advance(3s - 1ns);
  cause why;
  EXPECT_FALSE(x.acquire(&why));
  EXPECT_EQ(why.because, reason::probes_busy);
  x.t.advance(1ns);
  const time_point reclaimed = x.t.now();
  EXPECT_FALSE(x.acquire(&why));
  EXPECT_EQ(why.because, reason::probe_lease_expired);
  EXPECT_EQ(why.until, reclaimed + 20s);  // the second opening in a row
  EXPECT_EQ(x.state(), circuit_state::open);
  EXPECT_EQ(hung.success(1ms, x.t.now()), settlement::late);
  EXPECT_EQ(x.state(), circuit_state::open);
}

TEST(circuit_breaker_lease, one_hung_probe_among_free_places_is_found_too) {
  circuit_breaker o = plain();
  o.probes = 3;
  o.probe_lease = 3s;
  rig x(o);
  x.open_and_wait();
  const circuit_permit hung = x.acquire();
  x.t.advance(3s);
  EXPECT_FALSE(x.acquire());
  EXPECT_EQ(x.state(), circuit_state::open);
}

TEST(circuit_breaker_lease, one_hung_probe_does_not_outvote_another_that_is_out) {
  circuit_breaker o = plain();
  o.probes = 2;
  o.probe_lease = 21s;
  rig x(o);
  x.open_and_wait();
  circuit_permit hung = x.acquire();
  x.t.advance(20s);
  circuit_permit second = x.acquire();
  ASSERT_TRUE(second);
  x.t.advance(1s);
  EXPECT_FALSE(x.acquire());  // finds the first one's lease over
  EXPECT_EQ(x.state(), circuit_state::half_open);
  EXPECT_EQ(x.look().probes_out, 1);
  EXPECT_EQ(hung.failure(1ms, x.t.now()), settlement::late) << "it counted already";
  EXPECT_EQ(x.look().probes_out, 1);
  EXPECT_EQ(second.success(1ms, x.t.now()), settlement::counted);
  EXPECT_EQ(x.state(), circuit_state::closed);
}

TEST(circuit_breaker_lease, a_reclaimed_one_is_not_freed_by_its_former_holder) {
  circuit_breaker o = plain();
  o.probes = 2;
  o.probe_lease = 35s;
  rig x(o);
  x.open_and_wait();
  circuit_permit hung = x.acquire();
  x.t.advance(20s);
  const circuit_permit second = x.acquire();
  x.t.advance(30s);
  const circuit_permit third = x.acquire();  // in the first one's place
  ASSERT_TRUE(third);
  EXPECT_EQ(x.look().probes_out, 2);
  hung.ignore();
  EXPECT_EQ(x.look().probes_out, 2);
}

TEST(circuit_breaker_lease, a_late_report_that_nobody_waited_for_still_counts) {
  circuit_breaker o = plain();
  o.probe_lease = 3s;
  rig x(o);
  x.open_and_wait();
  circuit_permit slow = x.acquire();
  x.t.advance(1h);
  EXPECT_EQ(slow.success(1h, x.t.now()), settlement::counted);
  EXPECT_EQ(x.state(), circuit_state::closed);
}

TEST(circuit_breaker_lease, without_the_option_it_follows_the_deadline_else_thirty_seconds) {
  const auto reclaimed_after = [](duration deadline) {
    rig x(plain());
    x.open_and_wait();
    const time_point asked = x.t.now();
    const stage_under_test s(x.breaker);
    if (deadline != duration::max()) x.t.set_deadline(asked + deadline);
    EXPECT_EQ(s->enter(x.t).what(), verb::call_inner);
    while (x.state() == circuit_state::half_open) {
      x.t.advance(500ms);
      (void)x.acquire();
    }
    s->leave();
    return x.t.now() - asked;
  };
  EXPECT_EQ(reclaimed_after(duration::max()), 30s);
  EXPECT_EQ(reclaimed_after(2s), 3s);
  EXPECT_EQ(reclaimed_after(5min), 5min + 1s);
  EXPECT_EQ(reclaimed_after(-1h), 1s);
}

// Late results

TEST(circuit_breaker_late, a_result_of_an_earlier_generation_never_moves_the_current_state) {
  circuit_breaker o = plain();
  o.probes_to_close = 1;
  rig x(o);
  std::deque<circuit_permit> old;
  for (int i = 0; i < 20; ++i) old.push_back(x.acquire());
  const auto settle_two = [&] {
    EXPECT_EQ(old.front().success(1ms, x.t.now()), settlement::late);
    old.pop_front();
    EXPECT_EQ(old.front().failure(1ms, x.t.now(), 1h), settlement::late);
    old.pop_front();
  };
  x.trip();
  const time_point retry_at = x.look().retry_at;
  settle_two();  // while open
  EXPECT_EQ(x.look().retry_at, retry_at);
  x.t.set_now(retry_at);
  circuit_permit probe = x.acquire();
  settle_two();  // while half open: neither closes nor reopens
  EXPECT_EQ(x.state(), circuit_state::half_open);
  EXPECT_EQ(x.look().probes_out, 1);
  probe.success(1ms, x.t.now());
  ASSERT_EQ(x.state(), circuit_state::closed);
  while (!old.empty()) settle_two();  // closed again, in another generation
  EXPECT_EQ(x.state(), circuit_state::closed);
  EXPECT_EQ(x.look().calls, 0U);
  EXPECT_EQ(x.look().consecutive, 0U);
  EXPECT_EQ(x.look().late_results, 20U);
}

TEST(circuit_breaker_late, a_late_success_does_not_end_a_row_of_failures) {
  rig x(plain());
  circuit_permit old = x.acquire();
  x.open_and_wait();
  x.call(good());
  x.call(bad());
  x.call(bad());
  EXPECT_EQ(old.success(1ms, x.t.now()), settlement::late);
  x.call(bad());
  EXPECT_EQ(x.state(), circuit_state::open);
}

TEST(circuit_breaker_late, a_probe_of_an_earlier_half_open_is_late) {
  circuit_breaker o = plain();
  o.probes = 2;
  rig x(o);
  x.open_and_wait();
  circuit_permit first = x.acquire();
  x.breaker.open(x.t.now(), x.random);
  x.t.set_now(x.look().retry_at);
  circuit_permit now_out = x.acquire();
  EXPECT_EQ(first.success(1ms, x.t.now()), settlement::late);
  EXPECT_EQ(x.state(), circuit_state::half_open);
  EXPECT_EQ(x.look().probes_out, 1);
}

TEST(circuit_breaker_late, is_told_to_observers_only) {
  rig x(plain());
  const stage_under_test s(x.breaker);
  EXPECT_EQ(s->enter(x.t).what(), verb::call_inner);
  x.trip();
  x.t.events.clear();
  EXPECT_EQ(s->inner_done(0, bad(7ms), x.t).what(), verb::finish);
  s->leave();
  ASSERT_EQ(x.t.events.size(), 1U);
  EXPECT_EQ(x.t.events[0].kind, event_kind::late_result);
  EXPECT_EQ(x.t.events[0].elapsed, 7ms);
  EXPECT_EQ(x.t.events[0].status, 503);
  EXPECT_EQ(x.t.events[0].error, errc::server_error);
  EXPECT_EQ(x.t.result.error, errc::server_error);  // the caller gets his result all the same
}

TEST(circuit_breaker_late, void_outcomes_are_no_results) {
  rig x(plain());
  const stage_under_test s(x.breaker);
  EXPECT_EQ(s->enter(x.t).what(), verb::call_inner);
  x.trip();
  s->inner_done(0, test::ignored(), x.t);
  s->leave();
  EXPECT_EQ(x.count(event_kind::late_result), 0);
  EXPECT_EQ(x.look().late_results, 0U);
}

// Open time

TEST(circuit_breaker_open_time, grows_with_the_openings_the_outage_and_to_its_cap) {
  circuit_breaker o = plain();
  o.open_for = 10s;
  o.open_cap = 2min;
  rig x(o);
  x.trip();
  // Twice as long each time, but no longer than the outage so far or twice the first.
  for (const duration want : {10s, 20s, 30s, 60s, 120s, 120s, 120s}) {
    EXPECT_EQ(x.look().retry_at - x.t.now(), want);
    x.t.set_now(x.look().retry_at);
    EXPECT_TRUE(x.call(bad()));
  }
  EXPECT_EQ(x.look().openings, 8U);
}

TEST(circuit_breaker_open_time, each_opening_in_a_row_counts_once) {
  circuit_breaker o = plain();
  o.open_multiplier = 1.1;
  o.open_share = 1;
  rig x(o);
  x.trip();
  double want = 10;
  for (int i = 0; i < 8; ++i) {
    const double lasts = std::chrono::duration<double>(x.look().retry_at - x.t.now()).count();
    EXPECT_NEAR(lasts, want, 1e-6) << i;
    want *= 1.1;
    x.t.set_now(x.look().retry_at);
    EXPECT_TRUE(x.call(bad()));
  }
}

TEST(circuit_breaker_open_time, by_default_is_a_fifth_of_the_outage_between_two_and_five_seconds) {
  circuit_breaker o;
  o.consecutive_failures = 1;
  o.consecutive_span = 0s;
  o.suspect_failures.reset();
  rig x(o);
  x.trip();
  const time_point began = x.t.now();
  while (x.t.now() - began < 5min) {
    const duration lasts = x.look().retry_at - x.t.now();
    const duration whole = std::min<duration>(std::max<duration>((x.t.now() - began) / 5, 2s), 5s);
    if (x.look().openings == 1) {
      EXPECT_LE(lasts, 1s);
      EXPECT_GE(lasts, 800ms);
    } else {
      EXPECT_LE(lasts, whole + 1us);
      EXPECT_GE(lasts, whole * 4 / 5 - 1us);
    }
    x.t.set_now(x.look().retry_at);
    ASSERT_TRUE(x.call(bad()));
  }
}

TEST(circuit_breaker_open_time, falls_back_after_a_healthy_spell_only) {
  circuit_breaker o = plain();
  o.healthy_reset = 1min;
  rig x(o);
  x.open_and_wait();
  x.call(good());  // closed
  x.t.advance(1min - 1ns);
  x.trip();
  EXPECT_EQ(x.look().retry_at - x.t.now(), 20s);
  x.t.set_now(x.look().retry_at);
  x.call(good());
  x.t.advance(1min);
  x.trip();
  EXPECT_EQ(x.look().retry_at - x.t.now(), 10s);
  EXPECT_EQ(x.look().openings, 1U);
}

TEST(circuit_breaker_open_time, jitter_shortens_by_at_most_its_part_and_spreads) {
  circuit_breaker o = plain();
  o.open_jitter = 0.2;
  o.open_cap = 10s;
  rig x(o);
  duration least = 1h;
  duration most = 0s;
  for (int i = 0; i < 1000; ++i) {
    x.trip();
    const duration open = x.look().retry_at - x.t.now();
    least = std::min(least, open);
    most = std::max(most, open);
    x.t.set_now(x.look().retry_at);
    x.call(good());
  }
  EXPECT_GE(least, 8s);
  EXPECT_LE(most, 10s);
  EXPECT_LT(least, 8100ms);  // no pile-up anywhere, the cap included
  EXPECT_GT(most, 9900ms);
}

TEST(circuit_breaker_open_time, lasts_until_the_servers_hint_if_that_is_later) {
  struct row {
    duration hint, want;
  };
  for (const row& r : {row{duration::min(), 10s}, row{-5s, 10s}, row{0s, 10s}, row{9s, 10s},
                       row{11s, 11s}, row{1h, 1h}, row{1h + 1ns, 1h}, row{duration::max(), 1h}}) {
    rig x(plain());
    outcome with_hint = bad();
    with_hint.server_wait = 20s;
    x.call(with_hint);  // not the one that trips
    x.call(bad());
    with_hint.server_wait = r.hint;
    x.call(with_hint);
    EXPECT_EQ(x.look().retry_at - x.t.now(), r.want);
    x.t.set_now(x.look().retry_at);
    with_hint.server_wait = 25s;
    x.call(with_hint);  // a failed probe's hint is heeded too
    EXPECT_EQ(x.look().retry_at - x.t.now(), 25s);
  }
}

TEST(circuit_breaker_open_time, the_largest_numbers_do_not_overflow) {
  circuit_breaker o = plain();
  o.open_for = duration::max();
  o.open_cap = duration::max();
  o.hint_cap = duration::max();
  o.healthy_reset = duration::max();
  o.open_jitter = 0.999999;
  o.open_multiplier = 1e300;
  o.probe_lease = duration::max();
  rig x(o);
  outcome worst = bad(duration::max());
  worst.server_wait = duration::max();
  for (int i = 0; i < 3; ++i) x.call(worst);
  EXPECT_EQ(x.look().retry_at, never);
  EXPECT_FALSE(x.call(good()));
  x.t.set_now(never);
  const circuit_permit probe = x.acquire();
  EXPECT_TRUE(probe);
}

TEST(circuit_breaker_open_time, a_clock_that_reads_backwards_is_harmless) {
  rig x(plain());
  x.trip();
  const time_point retry_at = x.look().retry_at;
  for (const time_point at : {time_point{}, time_point::min(), retry_at - 1ns}) {
    x.t.set_now(at);
    EXPECT_FALSE(x.call(good()));
    EXPECT_EQ(x.look().retry_at, retry_at);
  }
  x.t.set_now(retry_at);
  circuit_permit probe = x.acquire();
  x.t.set_now(time_point::min());
  EXPECT_FALSE(x.acquire());
  EXPECT_EQ(probe.success(1ms, time_point::min()), settlement::counted);
  EXPECT_EQ(x.state(), circuit_state::closed);
  EXPECT_TRUE(x.call(good()));
}

// Forced states

TEST(circuit_breaker_forced, isolated_is_always_open) {
  rig x(plain());
  x.breaker.isolate(x.t.now());
  x.t.advance(1000h);
  EXPECT_FALSE(x.call(good()));
  EXPECT_EQ(x.t.result.error, errc::circuit_isolated);
  EXPECT_EQ(x.t.result.why.because, reason::forced);
  EXPECT_EQ(x.t.result.why.until, never);
  EXPECT_EQ(x.state(), circuit_state::isolated);
  x.breaker.close(x.t.now());
  EXPECT_TRUE(x.call(good()));
  EXPECT_EQ(x.moves(), (texts{"closed > isolated: forced", "isolated > closed: forced"}));
}

TEST(circuit_breaker_forced, disabled_never_trips_and_records) {
  rig x(plain());
  x.breaker.disable(x.t.now());
  for (int i = 0; i < 60; ++i) EXPECT_TRUE(x.call(bad()));
  x.call(good());
  EXPECT_EQ(x.state(), circuit_state::disabled);
  EXPECT_EQ(x.look().calls, 61U);
  EXPECT_EQ(x.look().failures, 60U);
  x.breaker.close(x.t.now());
  EXPECT_EQ(x.look().calls, 0U);
  x.trip();
}

TEST(circuit_breaker_forced, metrics_only_trips_on_paper_and_lets_all_through) {
  rig x(plain());
  x.breaker.metrics_only(x.t.now());
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(x.call(bad()));
  EXPECT_EQ(x.state(), circuit_state::metrics_only_open);
  x.t.advance(10s);
  circuit_permit probe = x.acquire();
  circuit_permit beside = x.acquire();
  ASSERT_TRUE(probe);
  ASSERT_TRUE(beside);
  EXPECT_TRUE(probe.is_probe());
  EXPECT_FALSE(beside.is_probe());
  EXPECT_EQ(beside.failure(1ms, x.t.now()), settlement::uncounted);
  EXPECT_EQ(x.state(), circuit_state::metrics_only_half_open);
  EXPECT_EQ(probe.success(1ms, x.t.now()), settlement::counted);
  EXPECT_TRUE(x.call(good()));
  EXPECT_EQ(x.state(), circuit_state::metrics_only);
  EXPECT_EQ(x.moves(), (texts{"closed > metrics_only: forced",
                              "metrics_only > metrics_only_open: consecutive_failures",
                              "metrics_only_open > metrics_only_half_open: open_time_over",
                              "metrics_only_half_open > metrics_only: probes_succeeded"}));
  EXPECT_EQ(x.count(event_kind::rejected), 0);
}

TEST(circuit_breaker_forced, on_paper_a_probe_fails_and_hangs_as_in_earnest) {
  circuit_breaker o = plain();
  o.probe_lease = 3s;
  rig x(o);
  x.breaker.metrics_only(x.t.now());
  for (int i = 0; i < 3; ++i) x.call(bad());
  x.t.set_now(x.look().retry_at);
  x.call(bad());
  EXPECT_EQ(x.state(), circuit_state::metrics_only_open);
  EXPECT_EQ(x.look().retry_at - x.t.now(), 20s);
  x.t.set_now(x.look().retry_at);
  const circuit_permit hung = x.acquire();
  x.t.advance(3s);
  EXPECT_TRUE(x.call(good()));
  EXPECT_EQ(x.state(), circuit_state::metrics_only_open);
}

TEST(circuit_breaker_forced, forcing_twice_changes_nothing) {
  rig x(plain());
  using force = void (circuit_breaker_policy::*)(time_point) noexcept;
  for (const force how : {&circuit_breaker_policy::isolate, &circuit_breaker_policy::disable,
                          &circuit_breaker_policy::metrics_only}) {
    (x.breaker.*how)(x.t.now());
    const circuit_snapshot once = x.look();
    (x.breaker.*how)(x.t.now());
    EXPECT_EQ(x.look().generation, once.generation);
    EXPECT_EQ(x.look().state, once.state);
  }
  for (int i = 0; i < 3; ++i) x.call(bad());
  ASSERT_EQ(x.state(), circuit_state::metrics_only_open);
  x.breaker.metrics_only(x.t.now());
  EXPECT_EQ(x.state(), circuit_state::metrics_only_open);
}

TEST(circuit_breaker_forced, close_from_any_state_forgets_the_window_and_the_openings) {
  rig x(plain());
  x.call(bad());
  x.call(bad());
  x.breaker.close(x.t.now());
  EXPECT_EQ(x.look().calls, 0U);
  EXPECT_TRUE(x.moves().empty());  // closed before and after
  x.open_and_wait();
  x.call(bad());
  x.breaker.close(x.t.now());
  EXPECT_EQ(x.state(), circuit_state::closed);
  x.trip();
  EXPECT_EQ(x.look().retry_at - x.t.now(), 10s);
  x.t.set_now(x.look().retry_at);
  circuit_permit probe = x.acquire();
  x.breaker.close(x.t.now());
  EXPECT_EQ(x.look().probes_out, 0);
  EXPECT_EQ(probe.failure(1ms, x.t.now()), settlement::late);
  EXPECT_EQ(x.state(), circuit_state::closed);
}

TEST(circuit_breaker_forced, results_from_before_the_force_are_late) {
  rig x(plain());
  circuit_permit old = x.acquire();
  x.breaker.disable(x.t.now());
  EXPECT_EQ(old.failure(1ms, x.t.now()), settlement::late);
  EXPECT_EQ(x.look().calls, 0U);
}

// Telling

TEST(circuit_breaker_events, changes_by_hand_are_told_by_the_next_call_in_order) {
  rig x(plain());
  x.breaker.isolate(x.t.now());
  x.breaker.close(x.t.now());
  x.breaker.disable(x.t.now());
  EXPECT_TRUE(x.t.events.empty());
  x.call(good());
  EXPECT_EQ(x.moves(), (texts{"closed > isolated: forced", "isolated > closed: forced",
                              "closed > disabled: forced"}));
  x.call(good());
  EXPECT_EQ(x.moves().size(), 3U);  // once each
}

TEST(circuit_breaker_events, a_change_by_hand_is_told_before_the_call_goes_on) {
  rig x(plain());
  x.breaker.disable(x.t.now());
  const stage_under_test s(x.breaker);
  EXPECT_EQ(s->enter(x.t).what(), verb::call_inner);
  EXPECT_EQ(x.moves(), (texts{"closed > disabled: forced"}));
  s->leave();
}

TEST(circuit_breaker_events, without_a_call_to_tell_only_the_latest_changes_are_kept) {
  rig x(plain());
  for (int i = 0; i < 1000; ++i) {
    x.breaker.isolate(x.t.now());
    x.breaker.close(x.t.now());
  }
  x.call(good());
  EXPECT_EQ(x.moves().size(), 16U);
  EXPECT_EQ(x.moves().back(), "isolated > closed: forced");
}

TEST(circuit_breaker_events, the_change_carries_the_numbers) {
  rig x(plain());
  x.trip();
  ASSERT_EQ(x.t.events.size(), 1U);
  const event& e = x.t.events[0];
  EXPECT_EQ(e.why.policy, "circuit_breaker");
  EXPECT_EQ(e.why.because, reason::consecutive_failures);
  EXPECT_DOUBLE_EQ(e.why.measured, 3);
  EXPECT_DOUBLE_EQ(e.why.threshold, 3);
  EXPECT_EQ(e.why.until, x.t.now() + 10s);
}

/// A tick whose observer does as it is told.
class listening_tick final : public tick, public waker {
 public:
  listening_tick() {
    random_ = &entropy_;
    result_ = &result_here_;
    observed_ = true;
    now_ = time_point{} + 1h;
  }
  waker& wake_handle() noexcept override { return *this; }
  void wake() noexcept override {}
  bool substitute(substitute_source&, const outcome&) override { return false; }
  void set_now(time_point at) { now_ = at; }

  std::function<void(const event&)> listener;

 private:
  void deliver(event& what) override {
    if (listener) listener(what);
  }
  seeded_entropy entropy_{1};
  outcome result_here_;
};

TEST(circuit_breaker_events, listeners_run_after_the_state_is_final_and_never_under_a_lock) {
  circuit_breaker_policy breaker(plain());
  listening_tick t;
  std::vector<std::string> heard;
  t.listener = [&](const event& e) {
    if (e.kind != event_kind::state_changed) return;
    heard.emplace_back(e.to);
    // Would never return under the lock, and shows what callers see from here on.
    EXPECT_EQ(to_string(breaker.snapshot(t.now()).state), e.to);
    if (e.to == "open") {
      breaker.isolate(t.now());  // a change made from within is told after this one
      EXPECT_EQ(heard.size(), 1U);
    }
  };
  for (int i = 0; i < 3; ++i) {
    const stage_under_test s(breaker);
    s->enter(t);
    s->inner_done(0, bad(), t);
    s->leave();
  }
  EXPECT_EQ(heard, (texts{"open", "isolated"}));
}

TEST(circuit_breaker_events, a_listener_that_throws_leaks_no_permit_and_stops_no_telling) {
  circuit_breaker_policy breaker(plain());
  listening_tick t;
  const auto fail = [&] {
    const stage_under_test s(breaker);
    s->enter(t);
    s->inner_done(0, bad(), t);
    s->leave();
  };
  for (int i = 0; i < 3; ++i) fail();
  t.set_now(breaker.snapshot(t.now()).retry_at);
  t.listener = [](const event&) { throw std::runtime_error("from a listener"); };
  {
    const stage_under_test s(breaker);
    EXPECT_THROW(s->enter(t), std::runtime_error);  // a probe was given before the telling
    EXPECT_EQ(breaker.snapshot(t.now()).probes_out, 1);
    s->leave();
    EXPECT_EQ(breaker.snapshot(t.now()).probes_out, 0);
  }
  std::vector<std::string> heard;
  t.listener = [&](const event& e) { heard.emplace_back(e.to); };
  fail();
  EXPECT_EQ(heard, (texts{"open"}));
}

TEST(circuit_breaker_state, every_name_is_its_own) {
  EXPECT_EQ(to_string(circuit_state::closed), "closed");
  EXPECT_EQ(to_string(circuit_state::open), "open");
  EXPECT_EQ(to_string(circuit_state::half_open), "half_open");
  EXPECT_EQ(to_string(circuit_state::isolated), "isolated");
  EXPECT_EQ(to_string(circuit_state::disabled), "disabled");
  EXPECT_EQ(to_string(circuit_state::metrics_only), "metrics_only");
  EXPECT_EQ(to_string(circuit_state::metrics_only_open), "metrics_only_open");
  EXPECT_EQ(to_string(circuit_state::metrics_only_half_open), "metrics_only_half_open");
}

TEST(circuit_breaker_state, a_snapshot_has_the_rates) {
  circuit_breaker o = plain();
  o.slow_ratio = 1.0;
  o.slow_after = 1s;
  rig x(o);
  x.call(good());
  x.call(good(1s));
  x.t.advance(1s);
  x.call(bad(1s));
  x.call(bad());
  const circuit_snapshot s = x.look();
  EXPECT_EQ(s.calls, 4U);
  EXPECT_EQ(s.failures, 2U);
  EXPECT_EQ(s.slow, 2U);
  EXPECT_EQ(s.consecutive, 2U);
  EXPECT_DOUBLE_EQ(s.failure_rate, 0.5);
  EXPECT_DOUBLE_EQ(s.slow_rate, 0.5);
  EXPECT_EQ(s.retry_at, never);
  EXPECT_EQ(s.openings, 0U);
}

// Threads

TEST(circuit_breaker_threads, no_more_than_n_probes_are_out_and_none_is_lost) {
  circuit_breaker o = plain();
  o.probes = 2;
  o.probes_to_close = 1'000'000;
  rig x(o);
  x.open_and_wait();
  const time_point now = x.t.now();
  std::atomic<int> out{0};
  std::atomic<int> most{0};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      seeded_entropy random{i};
      for (int n = 0; n < 5000; ++n) {
        circuit_permit p = x.breaker.try_acquire(now, random);
        if (!p) continue;
        const int here = ++out;
        int seen = most.load();
        while (here > seen && !most.compare_exchange_weak(seen, here)) {
        }
        std::this_thread::yield();
        --out;
        if (n % 3 == 0) p.success(1ms, now);  // else it goes back undecided
      }
    });
  for (std::thread& t : threads) t.join();
  EXPECT_LE(most.load(), 2);
  EXPECT_GE(most.load(), 1);
  EXPECT_EQ(x.look().probes_out, 0);
}

/// Asked for a word in the middle of an opening, lets the other threads come as far as they can.
class patient_entropy final : public entropy {
 public:
  std::uint64_t next() noexcept override {
    asked = true;
    while (reporting.load() < 2) std::this_thread::yield();
    for (int i = 0; i < 100; ++i) std::this_thread::yield();
    return 0;
  }
  std::atomic<bool> asked{false};
  std::atomic<int> reporting{0};
};

TEST(circuit_breaker_threads, of_failures_at_the_same_moment_one_opens_and_the_others_are_late) {
  for (int round = 0; round < 20; ++round) {
    circuit_breaker o = plain();
    o.consecutive_failures = 1;
    o.open_jitter = 0.1;
    rig x(o);
    const time_point now = x.t.now();
    patient_entropy random;
    std::array<circuit_permit, 3> permits;
    for (circuit_permit& p : permits) p = x.breaker.try_acquire(now, random);
    std::array<std::thread, 2> late;
    for (std::size_t i = 0; i < late.size(); ++i)
      late[i] = std::thread([&, i] {
        while (!random.asked.load()) std::this_thread::yield();
        ++random.reporting;
        EXPECT_EQ(permits[i].failure(1ms, now), settlement::late);
      });
    EXPECT_EQ(permits[2].failure(1ms, now), settlement::counted);
    for (std::thread& t : late) t.join();
    const circuit_snapshot s = x.look();
    EXPECT_EQ(s.generation, 1U);
    EXPECT_EQ(s.openings, 1U);
    EXPECT_EQ(s.late_results, 2U);
  }
}

TEST(circuit_breaker_threads, every_result_of_a_closed_circuit_is_counted) {
  for (const bool by_time : {false, true}) {
    circuit_breaker o;
    o.consecutive_failures = std::numeric_limits<int>::max();
    o.suspect_failures.reset();
    o.failure_ratio.reset();
    if (by_time) {
      o.window = time_window{.span = 1h, .buckets = 60};
    } else {
      o.window = count_window{.calls = 1'000'000};
    }
    rig x(o);
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < 4; ++i)
      threads.emplace_back([&, i] {
        seeded_entropy random{i};
        for (int n = 0; n < 20'000; ++n) {
          const time_point now = x.t.now() + n * 1ms;
          circuit_permit p = x.breaker.try_acquire(now, random);
          if (n % 10 == 0) {
            p.failure(1ms, now);
          } else if (n % 10 != 1) {
            p.success(1ms, now);
          }
        }
      });
    for (std::thread& t : threads) t.join();
    x.t.advance(20s);
    EXPECT_EQ(x.look().calls, 4U * 18'000);
    EXPECT_EQ(x.look().failures, 4U * 2'000);
  }
}

TEST(circuit_breaker_threads, changes_are_told_in_order_whoever_made_them) {
  circuit_breaker o = plain();
  o.consecutive_failures = 2;
  o.open_for = 1ms;
  o.open_cap = 1ms;
  o.probes = 2;
  o.probe_lease = 3ms;
  circuit_breaker_policy breaker(o);
  std::mutex m;
  std::vector<std::pair<std::string, std::string>> heard;
  std::atomic<int> inside{0};
  std::atomic<std::int64_t> clock{0};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      listening_tick t;
      t.listener = [&](const event& e) {
        if (e.kind != event_kind::state_changed) return;
        EXPECT_EQ(++inside, 1);  // one at a time
        {
          const std::lock_guard lock(m);
          heard.emplace_back(std::string(e.from), std::string(e.to));
        }
        std::this_thread::yield();
        --inside;
      };
      std::mt19937_64 random(i);
      for (int n = 0; n < 4000; ++n) {
        t.set_now(time_point{} + 1h + (clock += 50) * 1us);
        const stage_under_test s(breaker);
        if (s->enter(t).what() == verb::call_inner && random() % 8 != 0)
          s->inner_done(0, random() % 2 == 0 ? bad() : good(), t);
        s->leave();
        if (random() % 200 == 0) breaker.close(t.now());
      }
    });
  for (std::thread& t : threads) t.join();
  listening_tick t;
  t.set_now(time_point{} + 10h);
  t.listener = [&](const event& e) {
    if (e.kind == event_kind::state_changed)
      heard.emplace_back(std::string(e.from), std::string(e.to));
  };
  const stage_under_test s(breaker);
  s->enter(t);
  s->leave();
  ASSERT_GT(heard.size(), 100U);
  EXPECT_EQ(heard.front().first, "closed");
  for (std::size_t i = 1; i < heard.size(); ++i)
    ASSERT_EQ(heard[i].first, heard[i - 1].second) << "change " << i;
  EXPECT_EQ(heard.back().second, to_string(breaker.snapshot(t.now()).state));
}

TEST(circuit_breaker_threads, a_rejection_never_mixes_the_numbers_of_two_openings) {
  // Openings by the consecutive rule measure 3 and end at a multiple of 100 ns; failed probes
  // measure nothing and end right after one.
  circuit_breaker o = plain();
  o.open_for = 1us;
  o.open_cap = 1us;
  circuit_breaker_policy breaker(o);
  std::atomic<bool> done{false};
  std::atomic<std::int64_t> clock{0};
  std::vector<std::thread> readers;
  for (unsigned i = 0; i < 2; ++i)
    readers.emplace_back([&, i] {
      seeded_entropy random{i};
      while (!done.load()) {
        refusal no;
        const circuit_permit p =
            breaker.try_acquire(time_point{} + clock.load() * 1ns, random, &no);
        if (p) continue;
        const cause& why = no.why;
        if (why.because == reason::consecutive_failures) {
          EXPECT_DOUBLE_EQ(why.measured, 3);
          EXPECT_DOUBLE_EQ(why.threshold, 3);
          EXPECT_EQ(why.until.time_since_epoch() % 100ns, 0ns);
        } else if (why.because == reason::probe_failed) {
          EXPECT_DOUBLE_EQ(why.measured, 0);
          EXPECT_DOUBLE_EQ(why.threshold, 0);
          EXPECT_EQ(why.until.time_since_epoch() % 100ns, 1ns);
        } else {
          EXPECT_TRUE(why.because == reason::probes_busy) << to_string(why.because);
        }
      }
    });
  seeded_entropy random{9};
  for (int n = 0; n < 20'000; ++n) {
    const time_point now = time_point{} + (clock += 100) * 1ns;
    circuit_permit p = breaker.try_acquire(now, random);
    if (!p) continue;
    if (p.is_probe() && n % 2 == 0) {
      p.success(1ms, now);
    } else {
      p.failure(1ms, p.is_probe() ? now + 1ns : now);
    }
  }
  done = true;
  for (std::thread& t : readers) t.join();
}

}  // namespace
}  // namespace hawser::circuit_breaker_test
