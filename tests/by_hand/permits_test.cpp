// Permits taken outside a pipeline: what a refusal says, and what becomes of each permit.
#include "by_hand/by_hand.hpp"
#include "hawser/policy/bulkhead.hpp"
#include "support/allocations.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace hawser::test::permits_test {
namespace {

// --- what a refusal says -----------------------------------------------------------------------

/// A policy in a state in which it refuses, and what must be said then.
struct refusal_case {
  std::string name;
  errc code;
  reason because;
  double measured;
  double threshold;
  time_point until;
  std::string text;
  std::shared_ptr<policy> refusing;
  std::function<bool(refusal*)> ask;
  std::shared_ptr<void> held = nullptr;  // permits that keep it in that state
};

std::vector<refusal_case> refusal_cases(entropy& random) {
  std::vector<refusal_case> all;
  const auto breaker = [&](std::string name,
                           const std::function<void(circuit_breaker_policy&)>& put,
                           refusal_case wanted) {
    const auto p = std::make_shared<circuit_breaker_policy>(touchy());
    put(*p);
    wanted.name = std::move(name);
    wanted.refusing = p;
    wanted.ask = [p, &random](refusal* no) {
      return static_cast<bool>(p->try_acquire(start, random, no));
    };
    all.push_back(std::move(wanted));
  };
  breaker("tripped", [&](auto& p) { trip(p, random); },
          {"",
           errc::circuit_open,
           reason::consecutive_failures,
           2,
           2,
           start + 10s,
           "billing: 2 failures in a row, limit 2, next try in 10 s",
           {},
           {}});
  breaker("opened by hand", [&](auto& p) { p.open(start, random, 1min); },
          {"",
           errc::circuit_open,
           reason::forced,
           0,
           0,
           start + 1min,
           "billing: by hand, next try in 60 s",
           {},
           {}});
  breaker("isolated", [&](auto& p) { p.isolate(start); },
          {"", errc::circuit_isolated, reason::forced, 0, 0, never, "billing: by hand", {}, {}});
  {
    const auto p = std::make_shared<circuit_breaker_policy>(touchy());
    trip(*p, random, start - 10s);
    const auto probe = std::make_shared<circuit_permit>(p->try_acquire(start, random));
    EXPECT_TRUE(probe->is_probe());
    all.push_back({"probes busy", errc::circuit_open, reason::probes_busy, 1, 1, never,
                   "billing: 1 of 1 probes are under way", p,
                   [p, &random](refusal* no) { return bool(p->try_acquire(start, random, no)); },
                   std::shared_ptr<void>(probe, probe.get())});
  }
  {
    const auto p =
        std::make_shared<bulkhead_policy>(bulkhead{.name = "slots", .max_concurrent = 2});
    struct both {
      bulkhead_permit a, b;
    };
    const auto held = std::make_shared<both>(both{p->try_acquire(), p->try_acquire()});
    all.push_back({"bulkhead full", errc::bulkhead_full, reason::concurrency, 2, 2, never,
                   "slots: 2 of 2 in flight", p,
                   [p](refusal* no) { return bool(p->try_acquire(no)); }, held});
  }
  const rate_limiter quota{.name = "quota", .permits = 2, .per = 1s};
  {
    const auto p = std::make_shared<rate_limiter_policy>(quota);
    EXPECT_TRUE(p->try_acquire(start, 2));
    all.push_back({"no tokens", errc::rate_limited, reason::rate, 0.5, 0, start + 500ms,
                   "quota: our own rate, next try in 500 ms", p,
                   [p](refusal* no) { return bool(p->try_acquire(start, 1, no)); }});
  }
  {
    const auto p = std::make_shared<rate_limiter_policy>(quota);
    p->pause_until(start + 3s);
    all.push_back({"paused", errc::rate_limited, reason::rate, 3, 0, start + 3s,
                   "quota: our own rate, next try in 3 s", p,
                   [p](refusal* no) { return bool(p->try_acquire(start, 1, no)); }});
  }
  return all;
}

TEST(by_hand_refusal, says_what_a_pipeline_says) {
  seeded_entropy random(1);
  for (const refusal_case& c : refusal_cases(random)) {
    SCOPED_TRACE(c.name);
    refusal no;
    EXPECT_FALSE(c.ask(&no));
    EXPECT_EQ(no.code, c.code);
    EXPECT_EQ(no.why.because, c.because);
    EXPECT_DOUBLE_EQ(no.why.measured, c.measured);
    EXPECT_DOUBLE_EQ(no.why.threshold, c.threshold);
    EXPECT_EQ(no.why.until, c.until);
    EXPECT_EQ(no.why.policy, c.refusing->name());
    EXPECT_EQ(no.wait(start),
              c.until == never ? std::nullopt : std::optional<duration>(c.until - start));
    EXPECT_EQ(no.wait(start + 24h), c.until == never ? std::nullopt : std::optional(duration(0)));
    const error as_error = no.to_error(start);
    EXPECT_EQ(as_error, c.code);
    EXPECT_TRUE(as_error == condition::rejected);
    EXPECT_EQ(as_error.detail(), c.text);

    // The same policy, asked by a call in a pipeline.
    stage_driver t;
    t.set_now(start);
    const stage_under_test s(*c.refusing);
    ASSERT_EQ(s->enter(t).what(), verb::finish);
    s->leave();
    EXPECT_EQ(t.result.error, as_error.code());
    EXPECT_EQ(to_string(t.result.why, start), c.text);
    EXPECT_TRUE(t.result.rejected);
    EXPECT_FALSE(c.ask(nullptr));  // the refusal may be left out
  }
}

TEST(by_hand_refusal, a_cost_over_the_burst_never_fits) {
  for (const rate_algorithm algorithm : algorithms) {
    rate_limiter_policy p({.name = "quota", .permits = 2, .per = 1s, .algorithm = algorithm});
    refusal no;
    EXPECT_FALSE(p.try_acquire(start, 3, &no));
    EXPECT_EQ(no.code, errc::rate_limited);
    EXPECT_EQ(no.wait(start), std::nullopt);
    EXPECT_EQ(no.to_error(start).detail(), "quota: cost 3 is over the burst of 2");
    EXPECT_EQ(p.snapshot(start).tokens, 2);
  }
}

TEST(by_hand_refusal, is_written_only_when_refused) {
  seeded_entropy random(1);
  circuit_breaker_policy breaker(touchy());
  bulkhead_policy slots({});
  rate_limiter_policy quota({});
  refusal no;
  EXPECT_TRUE(breaker.try_acquire(start, random, &no));
  EXPECT_TRUE(slots.try_acquire(&no));
  EXPECT_TRUE(quota.try_acquire(start, 1, &no));
  EXPECT_EQ(no.code, errc{});
  EXPECT_FALSE(no.to_error(start).code());
  EXPECT_EQ(no.wait(start), std::nullopt);
}

TEST(by_hand_refusal, on_its_way_to_the_queue_a_permit_counts_as_taken) {
  bulkhead_policy slots({.max_concurrent = 1, .max_queue = 1});
  bulkhead_permit held = slots.try_acquire();
  stage_driver t;
  const stage_under_test queued(slots);
  ASSERT_EQ(queued->enter(t).what(), verb::park);
  refusal no;
  EXPECT_FALSE(slots.try_acquire(&no));
  EXPECT_DOUBLE_EQ(no.why.measured, 1);
  held.release();
  EXPECT_EQ(t.wakes, 1);
  EXPECT_FALSE(slots.try_acquire(&no));  // the queue had it
  EXPECT_DOUBLE_EQ(no.why.measured, 1);
  queued->leave();
  EXPECT_EQ(slots.snapshot().in_flight, 0);
}

TEST(by_hand_refusal, its_error_outlives_the_policy) {
  error kept;
  {
    bulkhead_policy slots(
        {.name = "a name too long for a string's own buffer", .max_concurrent = 1});
    const bulkhead_permit held = slots.try_acquire();
    refusal no;
    EXPECT_FALSE(slots.try_acquire(&no));
    kept = no.to_error(start);
  }
  EXPECT_EQ(kept.detail(), "a name too long for a string's own buffer: 1 of 1 in flight");
}

// --- the breaker's permit ----------------------------------------------------------------------

struct report_case {
  const char* name;
  std::function<settlement(circuit_permit&)> report;
  settlement settled;
  std::uint64_t calls, failures, slow;
};

TEST(by_hand_breaker, a_report_counts_as_the_table_says) {
  const report_case table[] = {
      {"success", [](auto& p) { return p.success(1ms, start); }, settlement::counted, 1, 0, 0},
      {"slow success", [](auto& p) { return p.success(1s, start); }, settlement::counted, 1, 0, 1},
      {"failure", [](auto& p) { return p.failure(1ms, start); }, settlement::counted, 1, 1, 0},
      {"slow failure", [](auto& p) { return p.failure(1s, start); }, settlement::counted, 1, 1, 1},
      {"nothing",
       [](auto& p) {
         p.ignore();
         return settlement::uncounted;
       },
       settlement::uncounted, 0, 0, 0},
      {"dropped",
       [](auto& p) {
         const circuit_permit gone = std::move(p);
         return settlement::uncounted;
       },
       settlement::uncounted, 0, 0, 0},
  };
  for (const report_case& c : table) {
    SCOPED_TRACE(c.name);
    seeded_entropy random(1);
    circuit_breaker o = touchy();
    o.slow_ratio = 1.0;
    o.slow_after = 1s;
    circuit_breaker_policy breaker(o);
    circuit_permit permit = breaker.try_acquire(start, random);
    ASSERT_TRUE(permit);
    EXPECT_EQ(c.report(permit), c.settled);
    EXPECT_FALSE(permit);
    // Whatever it was, it was the only one.
    EXPECT_EQ(permit.success(1ms, start), settlement::uncounted);
    EXPECT_EQ(permit.failure(1ms, start), settlement::uncounted);
    permit.ignore();
    const circuit_snapshot s = breaker.snapshot(start);
    EXPECT_EQ(s.calls, c.calls);
    EXPECT_EQ(s.failures, c.failures);
    EXPECT_EQ(s.slow, c.slow);
    EXPECT_EQ(s.late_results, 0U);
  }
}

TEST(by_hand_breaker, a_moved_permit_reports_once) {
  seeded_entropy random(1);
  circuit_breaker_policy breaker(touchy());
  circuit_permit first = breaker.try_acquire(start, random);
  circuit_permit second = std::move(first);
  EXPECT_EQ(first.failure(1ms, start), settlement::uncounted);  // NOLINT: moved from on purpose
  EXPECT_EQ(second.failure(1ms, start), settlement::counted);
  EXPECT_EQ(breaker.snapshot(start).failures, 1U);
  second = breaker.try_acquire(start, random);
  circuit_permit& itself = second;
  second = std::move(itself);
  EXPECT_TRUE(second);
}

TEST(by_hand_breaker, a_probe_that_is_dropped_or_thrown_past_makes_room) {
  seeded_entropy random(1);
  circuit_breaker_policy breaker(touchy());
  trip(breaker, random);
  const time_point later_on = start + 10s;
  for (int i = 0; i < 1000; ++i) {
    try {
      const circuit_permit probe = breaker.try_acquire(later_on, random);
      ASSERT_TRUE(probe.is_probe());
      ASSERT_EQ(breaker.snapshot(later_on).probes_out, 1);
      if (i % 2 == 0) throw std::runtime_error("the call's own");
    } catch (const std::runtime_error&) {
    }
    ASSERT_EQ(breaker.snapshot(later_on).probes_out, 0);
  }
  EXPECT_EQ(breaker.snapshot(later_on).state, circuit_state::half_open);
  circuit_permit probe = breaker.try_acquire(later_on, random);
  circuit_permit other;
  other = std::move(probe);  // a permit assigned over is dropped
  other = circuit_permit();
  EXPECT_EQ(breaker.snapshot(later_on).probes_out, 0);
}

TEST(by_hand_breaker, a_permit_that_outlives_a_change_of_state_reports_late) {
  seeded_entropy random(1);
  circuit_breaker_policy breaker(touchy());
  circuit_permit early = breaker.try_acquire(start, random);
  circuit_permit other = breaker.try_acquire(start, random);
  trip(breaker, random);
  EXPECT_EQ(early.success(1ms, start), settlement::late);
  EXPECT_EQ(early.success(1ms, start), settlement::uncounted);
  EXPECT_EQ(other.failure(1ms, start), settlement::late);
  const circuit_snapshot s = breaker.snapshot(start);
  EXPECT_EQ(s.state, circuit_state::open);
  EXPECT_EQ(s.late_results, 2U);
}

TEST(by_hand_breaker, the_servers_hint_lengthens_the_opening) {
  seeded_entropy random(1);
  circuit_breaker_policy breaker(touchy());
  breaker.try_acquire(start, random).failure(1ms, start);
  breaker.try_acquire(start, random).failure(1ms, start, 45s);
  EXPECT_EQ(breaker.snapshot(start).retry_at, start + 45s);
}

TEST(by_hand_breaker, a_deadline_bounds_a_probes_lease) {
  seeded_entropy random(1);
  circuit_breaker_policy breaker(touchy());
  trip(breaker, random);
  const time_point probed = start + 10s;
  circuit_permit hung = breaker.try_acquire(probed, random, nullptr, probed + 2s);
  refusal no;
  EXPECT_FALSE(breaker.try_acquire(probed + 3s - 1ns, random, &no));
  EXPECT_EQ(no.why.because, reason::probes_busy);
  EXPECT_FALSE(breaker.try_acquire(probed + 3s, random, &no));
  EXPECT_EQ(no.why.because, reason::probe_lease_expired);
  EXPECT_EQ(hung.success(3s, probed + 3s), settlement::late);
}

// --- the bulkhead's permit ---------------------------------------------------------------------

TEST(by_hand_bulkhead, a_permit_goes_back_once) {
  bulkhead_policy slots({.max_concurrent = 2});
  bulkhead_permit a = slots.try_acquire();
  bulkhead_permit b = slots.try_acquire();
  EXPECT_EQ(slots.snapshot().in_flight, 2);
  a.release();
  a.release();
  EXPECT_EQ(slots.snapshot().in_flight, 1);
  bulkhead_permit c = std::move(b);
  b.release();  // NOLINT: moved from on purpose
  EXPECT_EQ(slots.snapshot().in_flight, 1);
  c = slots.try_acquire();  // the one assigned over goes back
  EXPECT_EQ(slots.snapshot().in_flight, 1);
  bulkhead_permit& itself = c;
  c = std::move(itself);
  EXPECT_TRUE(c);
  { const bulkhead_permit last = std::move(c); }
  EXPECT_EQ(slots.snapshot().in_flight, 0);
}

TEST(by_hand_bulkhead, shrinking_waits_for_permits_by_hand) {
  bulkhead_policy slots({.max_concurrent = 2});
  bulkhead_permit a = slots.try_acquire();
  bulkhead_permit b = slots.try_acquire();
  slots.set_max_concurrent(1);
  refusal no;
  EXPECT_FALSE(slots.try_acquire(&no));
  EXPECT_EQ(no.to_error(start).detail(), "bulkhead: 2 of 1 in flight");
  a.release();
  EXPECT_FALSE(slots.try_acquire());
  b.release();
  EXPECT_TRUE(slots.try_acquire());
}

// --- the limiter's permit ----------------------------------------------------------------------

TEST(by_hand_limiter, tokens_are_spent_unless_given_back) {
  for (const rate_algorithm algorithm : algorithms) {
    rate_limiter_policy p({.permits = 10, .per = 1s, .algorithm = algorithm});
    EXPECT_TRUE(p.try_acquire(start, 4));  // sent, and so not given back
    EXPECT_EQ(p.snapshot(start).tokens, 6);
    rate_permit unsent = p.try_acquire(start, 3);
    EXPECT_EQ(p.snapshot(start).tokens, 3);
    rate_permit moved = std::move(unsent);
    unsent.give_back(start);  // NOLINT: moved from on purpose
    EXPECT_EQ(p.snapshot(start).tokens, 3);
    moved.give_back(start);
    EXPECT_FALSE(moved);
    EXPECT_EQ(p.snapshot(start).tokens, 6);
    moved.give_back(start);
    EXPECT_EQ(p.snapshot(start).tokens, 6);
    rate_permit& itself = moved;
    moved = std::move(itself);
    EXPECT_FALSE(moved);
  }
}

TEST(by_hand_limiter, tokens_come_back_only_while_that_is_exact) {
  for (const rate_algorithm algorithm : algorithms) {
    SCOPED_TRACE(static_cast<int>(algorithm));
    rate_limiter_policy p({.permits = 10, .per = 1s, .algorithm = algorithm});
    rate_permit early = p.try_acquire(start, 2);
    EXPECT_TRUE(p.try_acquire(start + 1ms));
    early.give_back(start + 1ms);
    // A fixed window only counts, so it can; the others would let too many start at one time.
    const int back = algorithm == rate_algorithm::fixed_window ? 2 : 0;
    EXPECT_EQ(p.snapshot(start + 1ms).tokens, 7 + back);

    rate_permit of_the_old_rate = p.try_acquire(start + 1ms);
    p.set_rate(10, 1s, {}, start + 1ms);
    const auto before = p.snapshot(start + 1ms).tokens;
    of_the_old_rate.give_back(start + 1ms);
    EXPECT_EQ(p.snapshot(start + 1ms).tokens, before);
  }
}

TEST(by_hand_limiter, a_cost_of_nothing_takes_nothing_and_passes_an_empty_limiter) {
  for (const rate_algorithm algorithm : algorithms) {
    SCOPED_TRACE(static_cast<int>(algorithm));
    rate_limiter_policy p({.permits = 2, .per = 1s, .max_wait = 5s, .algorithm = algorithm});
    EXPECT_TRUE(p.try_acquire(start, 2));
    EXPECT_FALSE(p.try_acquire(start));
    const auto before = p.snapshot(start);
    for (int i = 0; i < 3; ++i) {
      rate_permit nothing = p.try_acquire(start, 0);
      EXPECT_TRUE(nothing);
      if (i == 2) nothing.give_back(start);
      EXPECT_EQ(p.snapshot(start).tokens, 0);
      EXPECT_EQ(p.snapshot(start).retry_at, before.retry_at);
    }
    EXPECT_FALSE(p.try_acquire(start));
  }
}

TEST(by_hand_limiter, a_cost_of_nothing_overtakes_nobody_and_heeds_a_pause) {
  for (const rate_algorithm algorithm : algorithms) {
    SCOPED_TRACE(static_cast<int>(algorithm));
    rate_limiter_policy p({.permits = 2, .per = 1s, .max_wait = 5s, .algorithm = algorithm});
    EXPECT_TRUE(p.try_acquire(start, 2));
    stage_driver t;
    t.set_now(start);
    const stage_under_test waiting(p);
    ASSERT_EQ(waiting->enter(t).what(), verb::park);
    refusal no;
    EXPECT_FALSE(p.try_acquire(start, 0, &no));
    EXPECT_EQ(no.code, errc::rate_limited);
    waiting->leave();
    EXPECT_TRUE(p.try_acquire(start, 0));
    p.pause_until(start + 10s);
    const duration last_moment = algorithm == rate_algorithm::gcra ? 500ms : 0ms;
    EXPECT_FALSE(p.try_acquire(start + 10s - last_moment - 1ns, 0, &no));
    EXPECT_EQ(no.why.because, reason::rate);
    EXPECT_TRUE(p.try_acquire(start + 10s - last_moment, 0));
    EXPECT_FALSE(p.try_acquire(start + 10s - 1ns));
    EXPECT_TRUE(p.try_acquire(start + 10s));
  }
}

TEST(by_hand_limiter, a_refund_starts_those_who_wait) {
  for (const rate_algorithm algorithm :
       {rate_algorithm::fixed_window, rate_algorithm::sliding_window}) {
    rate_limiter_policy p({.permits = 1, .per = 1s, .max_wait = 5s, .algorithm = algorithm});
    rate_permit unsent = p.try_acquire(start);
    stage_driver t;
    t.set_now(start);
    const stage_under_test waiting(p);
    ASSERT_EQ(waiting->enter(t).what(), verb::park);
    unsent.give_back(start);
    EXPECT_EQ(t.wakes, 1);
    EXPECT_EQ(waiting->woken(t).what(), verb::call_inner);
    waiting->leave();
  }
}

TEST(by_hand_limiter, hears_of_a_429) {
  seeded_entropy random(1);
  rate_limiter_policy p({.permits = 10, .per = 1s, .spread = 0});
  EXPECT_TRUE(p.try_acquire(start));
  p.server_said_wait(2s, start, random);
  refusal no;
  EXPECT_FALSE(p.try_acquire(start, 1, &no));
  EXPECT_EQ(no.wait(start), 2s);
  EXPECT_EQ(p.snapshot(start).retry_at, start + 2s);
  EXPECT_EQ(p.snapshot(start).paused_until, start + 2s);
  EXPECT_TRUE(p.try_acquire(start + 2s));
}

// --- all of them -------------------------------------------------------------------------------

template <class Permit>
constexpr bool is_a_permit =
    std::is_nothrow_default_constructible_v<Permit>&& std::is_nothrow_move_constructible_v<Permit>&&
        std::is_nothrow_move_assignable_v<Permit> &&
    !std::is_copy_constructible_v<Permit> && !std::is_copy_assignable_v<Permit> &&
    !std::is_convertible_v<Permit, bool>;
static_assert(is_a_permit<circuit_permit>);
static_assert(is_a_permit<bulkhead_permit>);
static_assert(is_a_permit<rate_permit>);

TEST(by_hand, an_empty_permit_does_nothing) {
  circuit_permit circuit;
  bulkhead_permit slot;
  rate_permit tokens;
  EXPECT_FALSE(circuit || slot || tokens);
  EXPECT_EQ(circuit.success(1ms, start), settlement::uncounted);
  circuit.ignore();
  slot.release();
  tokens.give_back(start);
}

/// The three in the order of an interceptor: what a later one refuses, the earlier ones get back.
TEST(by_hand, what_is_refused_further_in_is_given_back_further_out) {
  seeded_entropy random(1);
  rate_limiter_policy quota({.permits = 5, .per = 1s});
  bulkhead_policy slots({.max_concurrent = 1});
  circuit_breaker_policy breaker(touchy());
  const auto call = [&](bool works) -> error {
    refusal no;
    rate_permit tokens = quota.try_acquire(start, 1, &no);
    if (!tokens) return no.to_error(start);
    const bulkhead_permit slot = slots.try_acquire(&no);
    circuit_permit circuit;
    if (slot) circuit = breaker.try_acquire(start, random, &no);
    if (!circuit) {
      tokens.give_back(start);
      return no.to_error(start);
    }
    if (works)
      circuit.success(1ms, start);
    else
      circuit.failure(0ms, start);
    return {};
  };
  EXPECT_FALSE(call(true).code());
  {
    const bulkhead_permit busy = slots.try_acquire();
    EXPECT_EQ(call(true), errc::bulkhead_full);
  }
  EXPECT_EQ(quota.snapshot(start).tokens, 4);
  EXPECT_FALSE(call(false).code());
  EXPECT_FALSE(call(false).code());
  EXPECT_EQ(call(true), errc::circuit_open);
  EXPECT_EQ(quota.snapshot(start).tokens, 2);
  EXPECT_EQ(slots.snapshot().in_flight, 0);
  breaker.close(start);
  EXPECT_FALSE(call(true).code());
  EXPECT_FALSE(call(true).code());
  EXPECT_EQ(call(true), errc::rate_limited);
}

TEST(by_hand, one_policy_object_serves_calls_by_hand_and_in_a_pipeline) {
  seeded_entropy random(1);
  circuit_breaker_policy breaker(touchy());
  bulkhead_policy slots({.max_concurrent = 1});
  rate_limiter_policy quota({.permits = 1, .per = 1s});
  const auto by_stage = [](policy& p) {
    stage_driver t;
    t.set_now(start);
    const stage_under_test s(p);
    const bool admitted = s->enter(t).what() == verb::call_inner;
    if (admitted) (void)s->inner_done(0, failed(errc::server_error, evidence::answered), t);
    s->leave();
    return admitted;
  };
  // One failure each way: two in a row.
  breaker.try_acquire(start, random).failure(1ms, start);
  EXPECT_TRUE(by_stage(breaker));
  EXPECT_FALSE(by_stage(breaker));
  EXPECT_FALSE(breaker.try_acquire(start, random));
  bulkhead_permit held = slots.try_acquire();
  EXPECT_FALSE(by_stage(slots));
  held.release();
  EXPECT_TRUE(by_stage(slots));
  EXPECT_TRUE(slots.try_acquire());
  EXPECT_TRUE(by_stage(quota));
  EXPECT_FALSE(quota.try_acquire(start));
}

TEST(by_hand, nothing_is_allocated) {
  if (!allocations_are_counted()) GTEST_SKIP() << "a sanitizer's operator new is in force";
  seeded_entropy random(1);
  circuit_breaker_policy breaker(touchy());
  circuit_breaker_policy open(touchy());
  open.isolate(start);
  bulkhead_policy slots({.max_concurrent = 1});
  rate_limiter_policy quota({.permits = 2, .per = 1s});
  refusal no;
  int refused = 0;
  const std::size_t before = allocations();
  for (int i = 0; i < 1000; ++i) {
    const time_point now = start + i * 1s;
    circuit_permit circuit = breaker.try_acquire(now, random, &no);
    if (i % 3 == 0)
      circuit.failure(1ms, now);
    else
      circuit.success(1ms, now);
    refused += open.try_acquire(now, random, &no) ? 0 : 1;
    const bulkhead_permit slot = slots.try_acquire(&no);
    refused += slots.try_acquire(&no) ? 0 : 1;
    rate_permit tokens = quota.try_acquire(now, 2, &no);
    refused += quota.try_acquire(now, 1, &no) ? 0 : 1;
    tokens.give_back(now);
    (void)no.wait(now);
    (void)breaker.snapshot(now);
    (void)slots.snapshot();
    (void)quota.snapshot(now);
  }
  EXPECT_EQ(allocations() - before, 0U);
  EXPECT_EQ(refused, 3000);
  EXPECT_TRUE(no.to_error(start).code());  // only the error's text is
  EXPECT_GT(allocations() - before, 0U);
}

}  // namespace
}  // namespace hawser::test::permits_test
