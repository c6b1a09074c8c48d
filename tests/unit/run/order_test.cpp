// What the policies mean when they are stacked, each sentence on virtual time.
#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/fallback.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/retry_budget.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/execute.hpp"

#include "support/virtual_time.hpp"

#include <boost/asio/post.hpp>

namespace hawser::test::order_test {
namespace {

using order = on_virtual_time;

// Timeouts.

TEST_F(order, a_timeout_around_a_retry_limits_the_whole_call) {
  const pipeline p = builder()
                         .add(timeout{.after = 5s})
                         .add(retry{.max_attempts = 10, .delay = steady(1s)})
                         .build(env);
  scripted_operation op{env, {scripted_end::fail(connection_reset).after(1s)}};
  const time_point begin = env.now();
  const ended e = run(p, op);
  EXPECT_EQ(e.error, connection_reset) << "the last real error is never hidden";
  EXPECT_LE(e.at, begin + 5s);
  EXPECT_EQ(op.starts(), 3);
  ASSERT_EQ(seen->count(event_kind::retry_stopped), 1);
  EXPECT_EQ(seen->events(event_kind::retry_stopped)[0].because, reason::deadline);
}

TEST_F(order, a_timeout_inside_a_retry_limits_one_attempt) {
  const pipeline p = builder()
                         .add(retry{.max_attempts = 3, .delay = steady(1s)})
                         .add(timeout{.after = 2s})
                         .build(env);
  scripted_operation op{env, {scripted_end::hang(), scripted_end::ok(7).after(1s)}};
  const time_point begin = env.now();
  const ended e = run(p, op);
  EXPECT_FALSE(e.error);
  EXPECT_EQ(e.value, 7);
  EXPECT_EQ(e.at, begin + 2s + 1s + 1s);
  EXPECT_EQ(op.cancellations(), 1);
}

TEST_F(order, without_an_attempts_timeout_one_attempt_that_hangs_takes_all_the_time) {
  const pipeline p = builder()
                         .add(timeout{.after = 5s})
                         .add(retry{.max_attempts = 10, .delay = steady(1s)})
                         .build(env);
  const scripted_operation op{env, {scripted_end::hang(), scripted_end::ok(7)}};
  const time_point begin = env.now();
  const ended e = run(p, op);
  EXPECT_EQ(e.error, errc::call_timeout);
  EXPECT_EQ(e.at, begin + 5s);
  EXPECT_EQ(op.starts(), 1);
}

TEST_F(order, without_a_timeout_of_the_whole_call_attempts_and_waits_add_up) {
  const retry how{.max_attempts = 3, .delay = steady(10s)};
  const pipeline limited = builder().add(how).add(timeout{.after = 2s}).build(env);
  const scripted_operation hangs{env, {scripted_end::hang()}};
  time_point begin = env.now();
  ended e = run(limited, hangs);
  EXPECT_EQ(e.error, errc::attempt_timeout);
  EXPECT_EQ(e.at, begin + 2s + 10s + 2s + 10s + 2s);
  const pipeline unlimited = builder().add(how).build(env);
  const scripted_operation slow{env, {scripted_end::fail(connection_reset).after(15min)}};
  begin = env.now();
  e = run(unlimited, slow);
  EXPECT_EQ(e.error, connection_reset);
  EXPECT_EQ(e.at, begin + 15min + 10s + 15min + 10s + 15min);
}

TEST_F(order, an_attempt_tells_which_limit_cut_it_off) {
  const pipeline p = builder()
                         .add(timeout{.after = 4s})
                         .add(retry{.max_attempts = 3, .delay = steady(1s)})
                         .add(timeout{.after = 2s})
                         .build(env);
  scripted_operation op{env, {scripted_end::hang()}};
  (void)run(p, op);
  const auto attempts = seen->events(event_kind::attempt_finished);
  ASSERT_EQ(attempts.size(), 2U);
  EXPECT_EQ(attempts[0].error, errc::attempt_timeout);
  EXPECT_EQ(attempts[1].error, errc::call_timeout);
}

TEST_F(order, attempt_timeout_call_timeout_cancellation_and_rejection_are_distinct) {
  auto breaker = std::make_shared<circuit_breaker_policy>(circuit_breaker{});
  const pipeline attempt_limit =
      builder().add(retry{.max_attempts = 1}).add(timeout{.after = 2s}).build(env);
  const pipeline repeated = builder()
                                .add(retry{.max_attempts = 2, .delay = steady(1s)})
                                .add(timeout{.after = 2s})
                                .build(env);
  const pipeline call_limit = builder().add(timeout{.after = 2s}).build(env);
  const pipeline guarded = builder().add(breaker).build(env);
  scripted_operation op{env, {scripted_end::hang()}};
  EXPECT_EQ(run(repeated, op).error, errc::attempt_timeout);
  EXPECT_EQ(run(call_limit, op).error, errc::call_timeout);
  EXPECT_EQ(run(attempt_limit, op).error, errc::attempt_timeout)
      << "what a limit is called does not depend on how many attempts there may be";
  ended canceled;
  start(call_limit, op, canceled);
  env.advance(1s);
  cancel();
  env.run_ready();
  EXPECT_EQ(canceled.error, canceled_error());
  breaker->isolate(env.now());
  EXPECT_EQ(run(guarded, op).error, errc::circuit_isolated);
  for (const error_code& ec : {error_code(errc::attempt_timeout), error_code(errc::call_timeout)}) {
    EXPECT_EQ(ec, condition::timeout);
    EXPECT_NE(ec, condition::canceled);
    EXPECT_NE(ec, condition::rejected);
  }
}

TEST_F(order, attempt_timeout_is_at_most_what_is_left_of_the_call) {
  const pipeline p = builder()
                         .add(timeout{.after = 3s})
                         .add(retry{.max_attempts = 3, .delay = steady(0s)})
                         .add(timeout{.after = 2s})
                         .build(env);
  scripted_operation op{env, {scripted_end::hang()}};
  const time_point begin = env.now();
  const ended e = run(p, op);
  EXPECT_EQ(e.at, begin + 3s);
  EXPECT_EQ(op.starts(), 2);
  EXPECT_EQ(e.error, condition::timeout);
}

TEST_F(order, a_success_after_the_timeout_is_delivered) {
  const pipeline p = builder().add(timeout{.after = 2s}).build(env);
  scripted_operation op{env, {scripted_end::ok(7).after(3s).deaf()}};
  const ended e = run(p, op);
  EXPECT_FALSE(e.error);
  EXPECT_EQ(e.value, 7);
  EXPECT_EQ(op.cancellations(), 1) << "it was asked to stop";
}

TEST_F(order, a_timeout_waits_for_what_it_cancelled) {
  const pipeline p = builder().add(timeout{.after = 2s}).build(env);
  scripted_operation op{env, {scripted_end::hang().winding_up(500ms)}};
  const time_point begin = env.now();
  const ended e = run(p, op);
  EXPECT_EQ(e.error, errc::call_timeout);
  EXPECT_EQ(e.at, begin + 2500ms);
}

TEST_F(order, a_second_limit_does_not_put_off_the_end_of_what_the_first_cancelled) {
  const pipeline p = builder().add(timeout{.after = 2s}).add(timeout{.after = 1500ms}).build(env);
  const scripted_operation op{env, {scripted_end::hang().winding_up(1s)}};
  const time_point begin = env.now();
  EXPECT_EQ(run(p, op).at, begin + 2500ms);
}

TEST_F(order, a_breaker_outside_a_timeout_sees_how_long_was_waited) {
  const pipeline p = builder()
                         .add(circuit_breaker{.min_calls = 2,
                                              .failure_ratio = std::nullopt,
                                              .slow_ratio = 0.5,
                                              .slow_after = 2s,
                                              .consecutive_failures = std::nullopt})
                         .add(timeout{.after = 2s})
                         .build(env);
  const scripted_operation op{env, {scripted_end::hang(), scripted_end::hang()}};
  for (int i = 0; i < 2; ++i) EXPECT_EQ(run(p, op).error, errc::call_timeout);
  EXPECT_EQ(run(p, op).error, errc::circuit_open);
}

TEST_F(order, a_success_at_the_very_moment_of_the_timeout_is_a_success) {
  const pipeline p = builder().add(timeout{.after = 2s}).build(env);
  scripted_operation op{env, {scripted_end::ok(7).after(1999999999ns)}};
  EXPECT_EQ(run(p, op).value, 7);
}

TEST_F(order, within_limits_the_call_besides_the_pipeline) {
  const pipeline p = builder().add(timeout{.after = 5s}).build(env);
  scripted_operation op{env, {scripted_end::hang()}};
  const time_point begin = env.now();
  const ended e = run(p, op, {.within = 1s});
  EXPECT_EQ(e.error, errc::call_timeout);
  EXPECT_EQ(e.at, begin + 1s);
  ASSERT_EQ(seen->count(event_kind::timed_out), 1);
}

TEST_F(order, a_call_within_no_time_starts_nothing) {
  const pipeline p = builder().build(env);
  scripted_operation op{env, {scripted_end::ok(7)}};
  for (const duration none : {0s, -1s}) {
    EXPECT_EQ(run(p, op, {.within = none}).error, errc::call_timeout);
    EXPECT_EQ(op.starts(), 0);
    EXPECT_EQ(seen->count(event_kind::call_finished), 1);
    EXPECT_EQ(seen->events().back().because, reason::limit_elapsed);
    EXPECT_EQ(seen->events().back().threshold, std::chrono::duration<double>(none).count());
    seen->clear();
  }
}

TEST_F(order, a_reserve_leaves_time_for_the_fallback) {
  const pipeline p = builder()
                         .add(timeout{.after = 5s})
                         .add(fallback::value(9))
                         .add(timeout{.after = 10s, .reserve = 1s})
                         .build(env);
  scripted_operation op{env, {scripted_end::hang()}};
  const time_point begin = env.now();
  const ended e = run(p, op);
  EXPECT_EQ(e.value, 9);
  EXPECT_EQ(e.at, begin + 4s);
}

TEST_F(order, without_a_reserve_no_time_is_left_for_the_fallback) {
  int asked = 0;
  const auto source = [&asked](const outcome&) { return ++asked; };
  const pipeline stacks[] = {
      builder().add(timeout{.after = 5s}).add(fallback::from(source)).build(env),
      builder()
          .add(timeout{.after = 5s})
          .add(fallback::from(source))
          .add(timeout{.after = 5s})
          .build(env),
      builder()
          .add(timeout{.after = 5s})
          .add(fallback::from(source))
          .add(timeout{.after = 10s})
          .build(env),
  };
  const scripted_operation op{env, {scripted_end::hang()}};
  for (const pipeline& p : stacks) {
    SCOPED_TRACE(&p - stacks);
    const time_point begin = env.now();
    const ended e = run(p, op);
    EXPECT_EQ(e.error, errc::call_timeout);
    EXPECT_EQ(e.at, begin + 5s);
    EXPECT_EQ(asked, 0);
  }
}

TEST_F(order, within_lies_outside_of_the_outermost_policy) {
  const pipeline bare = builder().add(fallback::value(9)).build(env);
  const pipeline reserved =
      builder().add(fallback::value(9)).add(timeout{.after = 10s, .reserve = 1s}).build(env);
  const scripted_operation op{env, {scripted_end::hang()}};
  EXPECT_EQ(run(bare, op, {.within = 5s}).error, errc::call_timeout);
  const time_point begin = env.now();
  const ended e = run(reserved, op, {.within = 5s});
  EXPECT_EQ(e.value, 9);
  EXPECT_EQ(e.at, begin + 4s);
}

TEST_F(order, a_timeout_outside_the_bulkhead_bounds_the_time_in_the_queue) {
  auto slots = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1, .max_queue = 5});
  const pipeline p = builder().add(timeout{.after = 2s}).add(slots).build(env);
  scripted_operation op{env, {scripted_end::ok(1).after(10s).deaf()}};
  ended first, second;
  start(p, op, first);
  start(p, op, second);
  env.advance(2s);
  EXPECT_EQ(second.error, errc::call_timeout);
  EXPECT_EQ(first.count, 0);
  EXPECT_EQ(slots->snapshot().queued, 0);
  env.advance(8s);
  EXPECT_EQ(first.value, 1);
  EXPECT_EQ(op.starts(), 1);
  EXPECT_EQ(slots->snapshot().in_flight, 0);
}

TEST_F(order, a_timeout_inside_the_bulkhead_does_not_count_the_queue) {
  auto slots = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1, .max_queue = 5});
  const pipeline p = builder().add(slots).add(timeout{.after = 2s}).build(env);
  scripted_operation op{env, {scripted_end::ok(1).after(1500ms)}};
  ended first, second;
  start(p, op, first);
  start(p, op, second);
  env.advance(3s);
  EXPECT_EQ(first.value, 1);
  EXPECT_EQ(second.value, 1);
}

TEST_F(order, a_bulkhead_inside_the_attempts_timeout_queues_on_the_attempts_time) {
  auto slots = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1, .max_queue = 5});
  const retry once{.max_attempts = 2, .delay = steady(1h)};
  const timeout limit{.after = 2s};
  const pipeline inside = builder().add(once).add(limit).add(slots).build(env);
  const pipeline outside = builder().add(once).add(slots).add(limit).build(env);
  const scripted_operation op{env, {scripted_end::ok(7).after(1500ms)}};
  const auto queued_for_a_second = [&](const pipeline& p, ended& e) {
    bulkhead_permit taken = slots->try_acquire();
    start(p, op, e);
    env.advance(1s);
    EXPECT_EQ(slots->snapshot().queued, 1);
    taken.release();
    env.advance(1500ms);
  };
  ended cut_off;
  queued_for_a_second(inside, cut_off);
  EXPECT_EQ(cut_off.count, 0) << "waits for its second attempt";
  EXPECT_EQ(op.cancellations(), 1);
  env.advance(1h + 1s);
  EXPECT_EQ(cut_off.value, 7);
  ended served;
  queued_for_a_second(outside, served);
  EXPECT_EQ(served.value, 7);
  EXPECT_EQ(op.cancellations(), 1);
}

TEST_F(order, without_a_timeout_around_it_a_call_may_queue_for_ever) {
  auto slots = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1, .max_queue = 5});
  const pipeline p = builder().add(slots).build(env);
  const scripted_operation op{env, {scripted_end::ok(7)}};
  bulkhead_permit taken = slots->try_acquire();
  ended e;
  start(p, op, e);
  env.advance(1000h);
  EXPECT_EQ(e.count, 0);
  EXPECT_EQ(slots->snapshot().queued, 1);
  taken.release();
  env.run_ready();
  EXPECT_EQ(e.value, 7);
}

TEST_F(order, calls_that_hold_all_permits_and_ask_for_another_wait_for_each_other) {
  auto slots = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 2, .max_queue = 5});
  const pipeline outer = builder().add(slots).build(env);
  const pipeline layer_below =
      builder().add(bulkhead{.max_concurrent = 2, .max_queue = 5}).build(env);
  const scripted_operation op{env, {scripted_end::ok(7)}};
  const auto start_around = [&](const pipeline& inner, ended& e) {
    outer.wrap([&op, inner](auto token) { return inner.wrap(op)(std::move(token)); })(
        into{&e, &env});
  };
  ended apart[2];
  for (ended& e : apart) start_around(layer_below, e);
  env.run_ready();
  for (const ended& e : apart) EXPECT_EQ(e.value, 7);
  ended same[2];
  bulkhead_permit taken[2] = {slots->try_acquire(), slots->try_acquire()};
  for (ended& e : same) start_around(outer, e);
  env.run_ready();
  for (bulkhead_permit& one : taken) one.release();  // so that both begin with a permit
  env.advance(1000h);
  for (const ended& e : same) EXPECT_EQ(e.count, 0);
  EXPECT_EQ(slots->snapshot().in_flight, 2);
  EXPECT_EQ(slots->snapshot().queued, 2);
  slots->set_max_concurrent(3);  // one more sets them all free
  env.run_ready();
  for (const ended& e : same) EXPECT_EQ(e.value, 7);
}

TEST_F(order, a_time_out_in_the_queue_says_nothing_about_the_dependency) {
  auto breaker = std::make_shared<circuit_breaker_policy>(circuit_breaker{
      .failure_ratio = {}, .consecutive_failures = 1, .consecutive_span = 0ms, .open_for = 10s});
  auto slots = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1, .max_queue = 5});
  const pipeline p = builder().add(breaker).add(timeout{.after = 2s}).add(slots).build(env);
  scripted_operation op{env, {scripted_end::ok(1).after(10s).deaf()}};
  ended first, second;
  start(p, op, first);
  start(p, op, second);
  env.advance(3s);
  EXPECT_EQ(second.error, errc::call_timeout);
  EXPECT_EQ(breaker->snapshot(env.now()).state, circuit_state::closed);
  env.advance(8s);
}

// Retry.

TEST_F(order, max_attempts_counts_attempts) {
  const pipeline p = builder().add(retry{.max_attempts = 4, .delay = steady(1s)}).build(env);
  scripted_operation op{env, {scripted_end::fail(connection_reset)}};
  EXPECT_EQ(run(p, op).error, connection_reset);
  EXPECT_EQ(op.starts(), 4);
  EXPECT_EQ(p.amplification(), 4U);
}

TEST_F(order, stacked_retries_multiply) {
  const retry outer{.max_attempts = 2, .delay = steady(1s)};
  const retry inner{.max_attempts = 3, .delay = steady(1s)};
  const pipeline p = builder().add(outer).add(inner).build(env);
  const scripted_operation op{env, {scripted_end::fail(connection_reset)}};
  EXPECT_EQ(run(p, op).error, connection_reset);
  EXPECT_EQ(op.starts(), 6);
  EXPECT_EQ(p.amplification(), 6U);
}

TEST_F(order, each_attempt_is_measured_from_its_own_start) {
  const pipeline p = builder().add(retry{.max_attempts = 2, .delay = steady(10s)}).build(env);
  const scripted_operation op{env,
                              {scripted_end::fail(connection_reset).after(1s),
                               scripted_end::fail(connection_reset).after(2s)}};
  (void)run(p, op);
  const auto attempts = seen->events(event_kind::attempt_finished);
  ASSERT_EQ(attempts.size(), 2U);
  EXPECT_EQ(attempts[0].elapsed, 1s);
  EXPECT_EQ(attempts[1].elapsed, 2s);
}

TEST_F(order, waits_are_exact) {
  const pipeline p =
      builder()
          .add(retry{.max_attempts = 4,
                     .delay = exponential{.first = 1s, .cap = 3s, .spread = jitter::none}})
          .build(env);
  scripted_operation op{env, {scripted_end::fail(connection_reset)}};
  const time_point begin = env.now();
  (void)run(p, op);
  EXPECT_EQ(op.start_times(), (std::vector<time_point>{begin, begin + 1s, begin + 3s, begin + 6s}));
}

TEST_F(order, jitter_draws_from_the_environment) {
  const pipeline p =
      builder()
          .add(retry{.max_attempts = 4, .delay = constant{.each = 1s, .spread = jitter::equal}})
          .build(env);
  env.random().will_draw({0.0, 0.5, 0.25});
  scripted_operation op{env, {scripted_end::fail(connection_reset)}};
  (void)run(p, op);
  EXPECT_EQ(env.random().left(), 0U);
  EXPECT_EQ(env.random().drawn(), 3U) << "one word a wait";
  const auto waits = seen->events(event_kind::waiting);
  ASSERT_EQ(waits.size(), 3U);
  for (const auto& w : waits) {
    EXPECT_GE(w.elapsed, 500ms);
    EXPECT_LE(w.elapsed, 1s);
  }
  EXPECT_NE(waits[0].elapsed, waits[1].elapsed);
}

TEST_F(order, never_sleeps_past_the_deadline) {
  const pipeline p = builder()
                         .add(timeout{.after = 3s})
                         .add(retry{.max_attempts = 5, .delay = steady(2s)})
                         .build(env);
  scripted_operation op{env, {scripted_end::fail(connection_reset)}};
  const time_point begin = env.now();
  const ended e = run(p, op);
  EXPECT_EQ(e.at, begin + 2s) << "at once, when the next wait would be too long";
  EXPECT_EQ(e.error, connection_reset);
}

TEST_F(order, the_budget_is_asked_before_the_sleep_and_its_refusal_keeps_the_real_error) {
  auto shared = make_budget(token_budget{.tokens = 5, .retry_cost = 5, .timeout_cost = 5});
  const pipeline p =
      builder().add(retry{.max_attempts = 5, .delay = steady(1s), .budget = shared}).build(env);
  scripted_operation op{env, {scripted_end::fail(connection_reset)}};
  const time_point begin = env.now();
  ended e;
  start(p, op, e);
  env.run_ready();
  EXPECT_EQ(shared->balance(env.now()), 0) << "paid before the sleep";
  env.advance(1s);
  EXPECT_EQ(e.error, connection_reset);
  EXPECT_EQ(e.at, begin + 1s) << "no sleep after the refusal";
  EXPECT_EQ(op.starts(), 2);
  EXPECT_EQ(seen->events(event_kind::retry_stopped)[0].because, reason::budget);
}

TEST_F(order, a_rejection_inside_the_retry_is_no_attempt) {
  auto limiter =
      std::make_shared<rate_limiter_policy>(rate_limiter{.permits = 1, .per = 10s, .burst = 1});
  const pipeline p =
      builder()
          .add(retry{.max_attempts = 2, .delay = steady(1s), .wait_for_permission = true})
          .add(limiter)
          .build(env);
  scripted_operation op{env, {scripted_end::ok(1)}};
  EXPECT_EQ(run(p, op).value, 1);
  const time_point begin = env.now();
  const ended e = run(p, op);
  EXPECT_EQ(e.value, 1) << e.error.message();
  EXPECT_GE(e.at, begin + 10s);
  EXPECT_EQ(op.starts(), 2);
}

TEST_F(order, an_open_circuit_and_a_full_bulkhead_inside_the_retry_are_waited_out_when_told_to) {
  auto breaker = std::make_shared<circuit_breaker_policy>(circuit_breaker{});
  auto slots = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1});
  const retry patient{.max_attempts = 2, .delay = steady(1s), .wait_for_permission = true};
  const pipeline p =
      builder().add(timeout{.after = 1min}).add(patient).add(breaker).add(slots).build(env);
  const scripted_operation op{env, {scripted_end::ok(7)}};
  time_point begin = env.now();
  breaker->open(begin, env.random(), 20s);
  const time_point retry_at = breaker->snapshot(begin).retry_at;
  ended e = run(p, op);
  EXPECT_EQ(e.value, 7);
  EXPECT_GE(retry_at, begin + 20s);
  EXPECT_EQ(e.at, retry_at + 1s) << "a little later than it said";
  begin = env.now();
  bulkhead_permit taken = slots->try_acquire();
  e = {};
  start(p, op, e);
  env.advance(5s + 500ms);
  taken.release();
  env.advance(500ms);
  EXPECT_EQ(e.value, 7);
  EXPECT_EQ(e.at, begin + 6s) << "asks again each second, as nobody knows when";
  breaker->isolate(env.now());
  EXPECT_EQ(run(p, op).error, errc::circuit_isolated) << "never waited out";
  EXPECT_EQ(op.starts(), 2);
}

TEST_F(order, a_breaker_inside_the_retry_sees_each_attempt) {
  auto breaker = std::make_shared<circuit_breaker_policy>(circuit_breaker{
      .failure_ratio = {}, .consecutive_failures = 3, .consecutive_span = 0ms, .open_for = 10s});
  const pipeline p =
      builder().add(retry{.max_attempts = 10, .delay = steady(1s)}).add(breaker).build(env);
  scripted_operation op{env, {scripted_end::fail(connection_reset)}};
  const ended e = run(p, op);
  EXPECT_EQ(op.starts(), 3);
  EXPECT_EQ(e.error, connection_reset) << "the rejection does not hide the real error";
  EXPECT_EQ(seen->events(event_kind::retry_stopped)[0].because, reason::local_rejection);
}

TEST_F(order, a_breaker_outside_the_attempts_timeout_sees_the_timeouts) {
  auto breaker = std::make_shared<circuit_breaker_policy>(circuit_breaker{
      .failure_ratio = {}, .consecutive_failures = 2, .consecutive_span = 0ms, .open_for = 10s});
  const pipeline p = builder()
                         .add(retry{.max_attempts = 10, .delay = steady(1s)})
                         .add(breaker)
                         .add(timeout{.after = 2s})
                         .build(env);
  const scripted_operation op{env, {scripted_end::hang()}};
  EXPECT_EQ(run(p, op).error, errc::attempt_timeout);
  EXPECT_EQ(op.starts(), 2);
  EXPECT_EQ(breaker->snapshot(env.now()).state, circuit_state::open);
}

TEST_F(order, a_breaker_outside_the_retry_sees_each_call) {
  auto breaker = std::make_shared<circuit_breaker_policy>(circuit_breaker{
      .failure_ratio = {}, .consecutive_failures = 3, .consecutive_span = 0ms, .open_for = 10s});
  const pipeline p =
      builder().add(breaker).add(retry{.max_attempts = 4, .delay = steady(1s)}).build(env);
  scripted_operation op{env, {scripted_end::fail(connection_reset)}};
  (void)run(p, op);
  EXPECT_EQ(breaker->snapshot(env.now()).consecutive, 1U);
  EXPECT_EQ(op.starts(), 4);
}

// What may not be sent again.

struct resend_case {
  effect what;
  bool again;
};

TEST_F(order, only_unsafe_calls_are_not_repeated_when_maybe_applied) {
  for (const resend_case& c :
       {resend_case{effect::safe, true}, resend_case{effect::idempotent, true},
        resend_case{effect::keyed, true}, resend_case{effect::unsafe, false}}) {
    const pipeline p = builder().add(retry{.max_attempts = 2, .delay = steady(1s)}).build(env);
    scripted_operation op{env, {scripted_end::fail(connection_reset)}};
    const ended e = run(p, op, {.effect = c.what});
    EXPECT_EQ(op.starts(), c.again ? 2 : 1) << to_string(c.what);
    const bool keeps = c.what == effect::safe || c.what == effect::idempotent;
    EXPECT_EQ(e.error, keeps ? connection_reset : error_code(errc::outcome_unknown))
        << to_string(c.what);
  }
}

TEST_F(order, what_was_never_sent_is_repeated_whatever_its_effect) {
  for (const effect what : {effect::safe, effect::idempotent, effect::keyed, effect::unsafe}) {
    const pipeline p = builder().add(retry{.max_attempts = 2, .delay = steady(1s)}).build(env);
    scripted_operation op{env, {scripted_end::fail(connection_refused)}};
    EXPECT_EQ(run(p, op, {.effect = what}).error, connection_refused);
    EXPECT_EQ(op.starts(), 2);
  }
}

TEST_F(order, outcome_unknown_for_unsafe_and_keyed_calls_that_timed_out) {
  for (const effect what : {effect::keyed, effect::unsafe}) {
    const pipeline p = builder().add(timeout{.after = 1s}).build(env);
    scripted_operation op{env, {scripted_end::hang()}};
    call_report report;
    EXPECT_EQ(run(p, op, {.effect = what, .report = &report}).error, errc::outcome_unknown);
    EXPECT_EQ(report.delivery, evidence::maybe_applied);
  }
}

TEST_F(order, a_later_attempt_that_was_never_sent_does_not_make_the_outcome_known) {
  const pipeline p = builder().add(retry{.max_attempts = 2, .delay = steady(1s)}).build(env);
  scripted_operation op{
      env, {scripted_end::fail(connection_reset), scripted_end::fail(connection_refused)}};
  call_report report;
  EXPECT_EQ(run(p, op, {.effect = effect::keyed, .report = &report}).error, errc::outcome_unknown);
  EXPECT_EQ(report.delivery, evidence::maybe_applied);
  EXPECT_EQ(op.starts(), 2);
}

TEST_F(order, a_later_rejection_does_not_make_the_outcome_known) {
  auto breaker = std::make_shared<circuit_breaker_policy>(circuit_breaker{
      .failure_ratio = {}, .consecutive_failures = 1, .consecutive_span = 0ms, .open_for = 10s});
  const pipeline p =
      builder().add(retry{.max_attempts = 3, .delay = steady(1s)}).add(breaker).build(env);
  scripted_operation op{env, {scripted_end::fail(connection_reset)}};
  EXPECT_EQ(run(p, op, {.effect = effect::keyed}).error, errc::outcome_unknown);
  EXPECT_EQ(op.starts(), 1);
}

TEST_F(order, a_wait_cut_off_after_a_doubtful_attempt_leaves_the_outcome_unknown) {
  const pipeline p = builder().add(retry{.max_attempts = 3, .delay = steady(10s)}).build(env);
  scripted_operation op{env, {scripted_end::fail(connection_reset).after(1s)}};
  EXPECT_EQ(run(p, op, {.effect = effect::keyed, .within = 60s}).error, errc::outcome_unknown);
  EXPECT_EQ(op.starts(), 3);
}

TEST_F(order, what_is_cut_off_in_a_queue_keeps_the_doubt_of_the_attempt_before_it) {
  auto slots = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1, .max_queue = 1});
  const pipeline p = builder()
                         .add(retry{.max_attempts = 2, .delay = steady(2s)})
                         .add(timeout{.after = 2s})
                         .add(slots)
                         .build(env);
  scripted_operation op{env, {scripted_end::fail(connection_reset)}};
  ended e;
  start(p, op, e);
  env.advance(1s);
  const bulkhead_permit taken = slots->try_acquire();
  env.advance(10s);
  EXPECT_EQ(e.error, errc::attempt_timeout);
  EXPECT_EQ(op.starts(), 1);
  ASSERT_EQ(seen->count(event_kind::retry_stopped), 1);
  EXPECT_EQ(seen->events(event_kind::retry_stopped)[0].delivery, evidence::maybe_applied);
}

/// A plain success is told to no limiter, but to one whose probe it was.
TEST_F(order, a_probe_that_is_let_in_ends_a_long_pause) {
  auto limiter = std::make_shared<rate_limiter_policy>(
      rate_limiter{.permits = 100, .per = 1s, .burst = 1, .spread = 0});
  const pipeline p = builder().add(limiter).add(timeout{.after = 10s}).build(env);
  scripted_operation op{env, {scripted_end::ok(1), scripted_end::ok(2), scripted_end::ok(3)}};
  EXPECT_EQ(run(p, op).value, 1);
  seeded_entropy random(1);
  limiter->server_said_wait(3600s, env.now(), random);
  EXPECT_EQ(run(p, op).error, errc::rate_limited);
  env.advance(15s);
  EXPECT_EQ(run(p, op).value, 2);
  EXPECT_LE(limiter->snapshot(env.now()).paused_until, env.now());
  env.advance(1s);
  EXPECT_EQ(run(p, op).value, 3);
}

/// Sent with the last moments of a call that had waited, a request says nothing of the other side.
TEST_F(order, what_the_calls_limit_cuts_off_is_the_breakers_business_only_after_a_fair_time) {
  struct row {
    duration waits;
    std::uint64_t failures;
  };
  for (const row& r : {row{0ms, 1U}, row{750ms, 1U}, row{751ms, 0U}, row{999ms, 0U}}) {
    SCOPED_TRACE(r.waits.count());
    auto slots = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1, .max_queue = 1});
    auto breaker = std::make_shared<circuit_breaker_policy>(circuit_breaker{});
    const pipeline p = builder().add(timeout{.after = 1s}).add(slots).add(breaker).build(env);
    scripted_operation op{env, {scripted_end::hang()}};
    bulkhead_permit taken = slots->try_acquire();
    ended e;
    start(p, op, e);
    env.advance(r.waits);
    taken = {};
    env.advance(2s);
    EXPECT_EQ(e.error, errc::call_timeout);
    EXPECT_EQ(op.starts(), 1);
    EXPECT_EQ(breaker->snapshot(env.now()).failures, r.failures);
  }
}

TEST_F(order, what_an_attempts_limit_cuts_off_always_is) {
  auto slots = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1, .max_queue = 1});
  auto breaker = std::make_shared<circuit_breaker_policy>(circuit_breaker{});
  const pipeline p = builder()
                         .add(timeout{.after = 1h})
                         .add(retry{.max_attempts = 1})
                         .add(slots)
                         .add(breaker)
                         .add(timeout{.after = 1s})
                         .build(env);
  scripted_operation op{env, {scripted_end::hang()}};
  bulkhead_permit taken = slots->try_acquire();
  ended e;
  start(p, op, e);
  env.advance(30min);
  taken = {};
  env.advance(2s);
  EXPECT_EQ(e.error, errc::attempt_timeout);
  EXPECT_EQ(breaker->snapshot(env.now()).failures, 1U);
}

TEST_F(order, a_success_settles_a_doubtful_attempt) {
  const pipeline p = builder().add(retry{.max_attempts = 3, .delay = steady(1s)}).build(env);
  scripted_operation op{env, {scripted_end::fail(connection_reset), scripted_end::ok(3)}};
  const ended e = run(p, op, {.effect = effect::keyed});
  EXPECT_FALSE(e.error);
  EXPECT_EQ(e.value, 3);
}

TEST_F(order, the_caller_who_cancels_hears_of_the_cancellation_and_the_report_of_the_doubt) {
  const pipeline p = builder().build(env);
  scripted_operation op{env, {scripted_end::hang()}};
  call_report report;
  ended e;
  start(p, op, e, {.effect = effect::unsafe, .report = &report});
  env.run_ready();
  cancel();
  env.run_ready();
  EXPECT_EQ(e.error, canceled_error());
  EXPECT_EQ(report.delivery, evidence::maybe_applied);
}

// Fallback.

TEST_F(order, a_fallback_stands_in_for_exhausted_retries) {
  const pipeline p = builder()
                         .add(fallback::value(9))
                         .add(retry{.max_attempts = 2, .delay = steady(1s)})
                         .build(env);
  scripted_operation op{env, {scripted_end::fail(connection_reset)}};
  EXPECT_EQ(run(p, op).value, 9);
  EXPECT_EQ(op.starts(), 2);
  EXPECT_EQ(seen->count(event_kind::fallback_used), 1);
}

TEST_F(order, a_fallback_stands_in_for_rejections_and_timeouts) {
  auto breaker = std::make_shared<circuit_breaker_policy>(circuit_breaker{});
  const pipeline p =
      builder().add(fallback::value(9)).add(timeout{.after = 1s}).add(breaker).build(env);
  scripted_operation op{env, {scripted_end::hang()}};
  EXPECT_EQ(run(p, op).value, 9);
  breaker->isolate(env.now());
  EXPECT_EQ(run(p, op).value, 9);
}

TEST_F(order, a_fallback_never_papers_over_an_unknown_outcome) {
  const pipeline p = builder().add(fallback::value(9)).build(env);
  scripted_operation op{env, {scripted_end::fail(connection_reset)}};
  EXPECT_EQ(run(p, op, {.effect = effect::unsafe}).error, errc::outcome_unknown);
  EXPECT_EQ(run(p, op, {.effect = effect::keyed}).error, errc::outcome_unknown);
  EXPECT_EQ(run(p, op, {.effect = effect::idempotent}).value, 9);
}

TEST_F(order, a_fallback_remembers_the_doubt_of_an_earlier_attempt) {
  const pipeline p = builder()
                         .add(fallback::value(9))
                         .add(retry{.max_attempts = 2, .delay = steady(1s)})
                         .build(env);
  scripted_operation op{
      env, {scripted_end::fail(connection_reset), scripted_end::fail(connection_refused)}};
  EXPECT_EQ(run(p, op, {.effect = effect::keyed}).error, errc::outcome_unknown);
}

TEST_F(order, a_fallback_is_not_for_cancelled_callers) {
  const pipeline p = builder().add(fallback::value(9)).build(env);
  scripted_operation op{env, {scripted_end::hang()}};
  ended e;
  start(p, op, e);
  env.run_ready();
  cancel();
  env.run_ready();
  EXPECT_EQ(e.error, canceled_error());
}

TEST_F(order, a_retry_outside_a_fallback_has_nothing_to_do) {
  const pipeline p = builder()
                         .add(retry{.max_attempts = 3, .delay = steady(1s)})
                         .add(fallback::value(9))
                         .build(env);
  scripted_operation op{env, {scripted_end::fail(connection_reset)}};
  EXPECT_EQ(run(p, op).value, 9);
  EXPECT_EQ(op.starts(), 1);
}

TEST_F(order, a_limiter_inside_the_retry_is_paid_by_every_attempt) {
  auto rate = std::make_shared<rate_limiter_policy>(rate_limiter{.permits = 10, .per = 1h});
  const pipeline p =
      builder().add(retry{.max_attempts = 3, .delay = steady(1s)}).add(rate).build(env);
  const scripted_operation op{env, {scripted_end::fail(connection_reset)}};
  (void)run(p, op);
  EXPECT_EQ(rate->snapshot(env.now()).tokens, 7);
}

TEST_F(order, a_limiter_outside_the_retry_is_paid_once) {
  auto rate = std::make_shared<rate_limiter_policy>(rate_limiter{.permits = 10, .per = 1h});
  const pipeline p =
      builder().add(rate).add(retry{.max_attempts = 3, .delay = steady(1s)}).build(env);
  const scripted_operation op{env, {scripted_end::fail(connection_reset)}};
  (void)run(p, op);
  EXPECT_EQ(op.starts(), 3);
  EXPECT_EQ(rate->snapshot(env.now()).tokens, 9);
}

TEST_F(order, without_a_deadline_callers_pile_up_in_front_of_a_slow_limiter) {
  auto rate = std::make_shared<rate_limiter_policy>(
      rate_limiter{.permits = 1, .per = 1min, .max_wait = 1h});
  const pipeline endless = builder().add(rate).build(env);
  const pipeline limited = builder().add(timeout{.after = 90s}).add(rate).build(env);
  const scripted_operation op{env, {scripted_end::ok(1)}};
  for (const pipeline* p : {&endless, &limited}) {
    ended calls[10];
    for (ended& e : calls) start(*p, op, e);
    env.run_ready();
    EXPECT_EQ(rate->snapshot(env.now()).waiting, p == &endless ? 9 : 1);
    env.advance(1h);
    for (const ended& e : calls) EXPECT_EQ(e.count, 1);
  }
  EXPECT_EQ(op.starts(), 12);
  const auto rejected = seen->events(event_kind::rejected);
  ASSERT_EQ(rejected.size(), 8U);
  EXPECT_EQ(rejected[0].because, reason::deadline);
}

// A token of the limiter that no attempt used is given back: what stands inside it refused.
TEST_F(order, a_limiter_outside_the_breaker_is_not_paid_for_what_the_breaker_refuses) {
  auto rate = std::make_shared<rate_limiter_policy>(rate_limiter{.permits = 10, .per = 1h});
  auto breaker = std::make_shared<circuit_breaker_policy>(circuit_breaker{});
  breaker->isolate(env.now());
  const pipeline p = builder().add(rate).add(breaker).build(env);
  const scripted_operation op{env, {scripted_end::ok(1)}};
  EXPECT_EQ(run(p, op).error, errc::circuit_isolated);
  EXPECT_EQ(rate->snapshot(env.now()).tokens, 10);
}

TEST_F(order, a_call_that_costs_nothing_passes_an_empty_limiter) {
  auto rate = std::make_shared<rate_limiter_policy>(rate_limiter{.permits = 1, .per = 1h});
  const pipeline p = builder().add(rate).build(env);
  const scripted_operation op{env, {scripted_end::ok(1)}};
  EXPECT_EQ(run(p, op).value, 1);
  EXPECT_EQ(run(p, op).error, errc::rate_limited);
  EXPECT_EQ(run(p, op, {.cost = 0}).value, 1);
  EXPECT_EQ(rate->snapshot(env.now()).tokens, 0);
}

TEST_F(order, a_breaker_outside_a_bulkhead_or_a_limiter_does_not_count_what_they_refuse) {
  auto breaker = std::make_shared<circuit_breaker_policy>(circuit_breaker{
      .failure_ratio = {}, .consecutive_failures = 1, .consecutive_span = 0ms, .open_for = 10s});
  auto slots = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1});
  auto rate = std::make_shared<rate_limiter_policy>(rate_limiter{.permits = 1, .per = 1h});
  const scripted_operation op{env, {scripted_end::fail(connection_reset)}};
  const bulkhead_permit slot = slots->try_acquire();
  EXPECT_TRUE(rate->try_acquire(env.now()));
  EXPECT_EQ(run(builder().add(breaker).add(slots).build(env), op).error, errc::bulkhead_full);
  EXPECT_EQ(run(builder().add(breaker).add(rate).build(env), op).error, errc::rate_limited);
  EXPECT_EQ(breaker->snapshot(env.now()).calls, 0U);
  EXPECT_EQ(breaker->snapshot(env.now()).state, circuit_state::closed);
  EXPECT_EQ(run(builder().add(breaker).build(env), op).error, connection_reset);
  EXPECT_EQ(breaker->snapshot(env.now()).state, circuit_state::open);
}

TEST_F(order, tries_that_a_breaker_refuses_empty_no_budget) {
  const auto shared = make_budget(token_budget{
      .tokens = 50, .retry_cost = 1, .timeout_cost = 1, .success_refund = 0, .per_call = 0.001});
  const auto breaker = std::make_shared<circuit_breaker_policy>(circuit_breaker{});
  const pipeline p = builder()
                         .add(retry{.max_attempts = 2, .delay = steady(1s), .budget = shared})
                         .add(breaker)
                         .build(env);
  int attempts = 0;
  for (int i = 0; i < 20; ++i) {
    breaker->close(env.now());
    (void)p.execute([&]() -> result<int> {
      ++attempts;
      breaker->isolate(env.now());
      return error(connection_reset);
    });
  }
  EXPECT_EQ(attempts, 20);
  EXPECT_DOUBLE_EQ(shared->balance(env.now()), 50);
}

TEST_F(order, pipelines_to_one_destination_share_one_retry_budget) {
  const auto shared = make_budget(token_budget{.tokens = 10, .timeout_cost = 5});
  const retry how{.max_attempts = 3, .delay = steady(1s), .budget = shared};
  const pipeline reads = builder().add(how).build(env);
  const pipeline writes = builder().add(how).build(env);
  const scripted_operation op{env, {scripted_end::fail(connection_reset)}};
  (void)run(reads, op);
  EXPECT_EQ(op.starts(), 3) << "two retries, which is all there is";
  (void)run(writes, op);
  EXPECT_EQ(op.starts(), 4);
  EXPECT_EQ(seen->events(event_kind::retry_stopped).back().because, reason::budget);
}

TEST_F(order, no_thread_blocks_while_calls_are_queued) {
  auto slots = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1, .max_queue = 2});
  const pipeline p = builder().add(slots).build(env);
  const scripted_operation op{env, {scripted_end::ok(1).after(1s)}};
  ended calls[3];
  for (ended& e : calls) start(p, op, e);
  bool free_for_others = false;
  boost::asio::post(env.get_executor(), [&] { free_for_others = true; });
  env.run_ready();  // on this, the only thread
  EXPECT_TRUE(free_for_others);
  EXPECT_EQ(slots->snapshot().queued, 2);
  env.run_until_idle();
  for (const ended& e : calls) EXPECT_EQ(e.value, 1);
}

TEST_F(order, a_bulkhead_outside_the_retry_is_held_over_the_waits) {
  auto slots = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1});
  const pipeline p =
      builder().add(slots).add(retry{.max_attempts = 2, .delay = steady(5s)}).build(env);
  scripted_operation op{env, {scripted_end::fail(connection_reset)}};
  ended first;
  start(p, op, first);
  env.advance(1s);
  EXPECT_EQ(slots->snapshot().in_flight, 1);
  EXPECT_EQ(run(p, op).error, errc::bulkhead_full);
  env.run_until_idle();
  EXPECT_EQ(slots->snapshot().in_flight, 0);
}

TEST_F(order, a_bulkhead_inside_the_retry_is_free_during_the_waits) {
  auto slots = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1});
  const pipeline p =
      builder().add(retry{.max_attempts = 2, .delay = steady(5s)}).add(slots).build(env);
  scripted_operation op{env, {scripted_end::fail(connection_reset), scripted_end::ok(3)}};
  ended first;
  start(p, op, first);
  env.advance(1s);
  EXPECT_EQ(slots->snapshot().in_flight, 0);
  EXPECT_EQ(run(p, op).value, 3);
  env.run_until_idle();
  EXPECT_EQ(first.value, 3);
}

// Cancellation.

TEST_F(order, a_cancelled_attempt_is_followed_by_no_other) {
  const pipeline p = builder().add(retry{.max_attempts = 5, .delay = steady(1s)}).build(env);
  scripted_operation op{env, {scripted_end::hang()}};
  ended e;
  start(p, op, e);
  env.run_ready();
  cancel();
  env.run_ready();
  EXPECT_EQ(e.error, canceled_error());
  EXPECT_EQ(op.starts(), 1);
}

TEST_F(order, a_cancellation_right_after_the_start_is_heeded) {
  const pipeline p = builder().add(retry{.max_attempts = 5, .delay = steady(1s)}).build(env);
  scripted_operation op{env, {scripted_end::hang()}};
  ended e;
  start(p, op, e);
  cancel();
  EXPECT_EQ(e.count, 0);
  env.run_ready();
  EXPECT_EQ(e.error, canceled_error());
}

TEST_F(order, each_type_of_cancellation_reaches_the_attempt) {
  using boost::asio::cancellation_type;
  for (const auto type :
       {cancellation_type::terminal, cancellation_type::partial, cancellation_type::total}) {
    const pipeline p = builder().add(timeout{.after = 1h}).build(env);
    scripted_operation op{env, {scripted_end::hang()}};
    ended e;
    start(p, op, e);
    env.run_ready();
    cancel(type);
    env.run_ready();
    EXPECT_EQ(e.error, canceled_error());
    EXPECT_EQ(op.last_cancellation(), type);
    EXPECT_EQ(op.cancellations(), 1);
  }
}

TEST_F(order, a_second_harder_cancellation_reaches_the_attempt) {
  using boost::asio::cancellation_type;
  const pipeline p = builder().build(env);
  scripted_operation op{env, {scripted_end::ok(1).after(10s).deaf()}};
  ended e;
  start(p, op, e);
  env.run_ready();
  cancel(cancellation_type::total);
  env.run_ready();
  cancel(cancellation_type::terminal);
  env.run_ready();
  EXPECT_EQ(op.cancellations(), 2);
  EXPECT_EQ(op.last_cancellation(), cancellation_type::terminal);
  env.advance(10s);
  EXPECT_EQ(e.value, 1);
}

TEST_F(order, a_cancelled_sleep_ends_at_once_with_every_type) {
  using boost::asio::cancellation_type;
  for (const auto type :
       {cancellation_type::terminal, cancellation_type::partial, cancellation_type::total}) {
    const pipeline p = builder().add(retry{.max_attempts = 2, .delay = steady(100s)}).build(env);
    scripted_operation op{env, {scripted_end::fail(connection_reset)}};
    ended e;
    start(p, op, e);
    env.advance(1s);
    EXPECT_EQ(env.waits(), 1U);
    cancel(type);
    env.run_ready();
    EXPECT_EQ(e.error, canceled_error());
    EXPECT_EQ(env.waits(), 0U);
  }
}

TEST_F(order, a_cancelled_waiter_leaves_the_queue_of_a_bulkhead) {
  auto slots = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1, .max_queue = 5});
  const pipeline p = builder().add(slots).build(env);
  scripted_operation op{env, {scripted_end::ok(1).after(10s)}};
  ended first, second;
  p.wrap(op)(into{&first, &env});
  start(p, op, second);
  env.run_ready();
  EXPECT_EQ(slots->snapshot().queued, 1);
  cancel();
  env.run_ready();
  EXPECT_EQ(second.error, canceled_error());
  EXPECT_EQ(slots->snapshot().queued, 0);
  env.advance(10s);
  EXPECT_EQ(first.value, 1);
  EXPECT_EQ(slots->snapshot().in_flight, 0);
}

TEST_F(order, a_success_after_a_cancellation_is_delivered) {
  const pipeline p = builder().add(retry{.max_attempts = 2}).build(env);
  scripted_operation op{env, {scripted_end::ok(7).after(1s).deaf()}};
  ended e;
  start(p, op, e);
  env.run_ready();
  cancel();
  env.advance(1s);
  EXPECT_FALSE(e.error);
  EXPECT_EQ(e.value, 7);
}

TEST_F(order, a_cancellation_after_the_limit_is_still_the_callers) {
  const pipeline p = builder().build(env);
  scripted_operation op{env, {scripted_end::hang().winding_up(10s)}};
  call_report report;
  ended e;
  start(p, op, e, {.effect = effect::unsafe, .within = 1s, .report = &report});
  env.advance(2s);  // the limit has passed, and what it cancelled takes its time
  cancel();
  env.advance(10s);
  EXPECT_EQ(e.error, canceled_error());
  EXPECT_EQ(report.stopped, reason::canceled);
  EXPECT_EQ(op.cancellations(), 2);
}

TEST_F(order, a_cancellation_after_the_end_is_harmless) {
  const pipeline p = builder().build(env);
  scripted_operation op{env, {scripted_end::ok(7)}};
  ended e;
  start(p, op, e);
  env.run_ready();
  EXPECT_EQ(e.count, 1);
  cancel();
  env.run_ready();
  EXPECT_EQ(e.count, 1);
}

TEST_F(order, a_stop_token_cancels_asynchronous_calls_too) {
  std::stop_source caller;
  const pipeline p = builder().add(retry{.max_attempts = 3, .delay = steady(100s)}).build(env);
  scripted_operation op{env, {scripted_end::fail(connection_reset)}};
  ended e;
  start(p, op, e, {.stop = caller.get_token()});
  env.advance(1s);
  caller.request_stop();
  EXPECT_EQ(e.count, 0) << "not inline";
  env.run_ready();
  EXPECT_EQ(e.error, canceled_error());
}

TEST_F(order, a_stop_before_the_start_starts_nothing) {
  std::stop_source caller;
  caller.request_stop();
  const pipeline p = builder().add(retry{.max_attempts = 3, .delay = steady(100s)}).build(env);
  scripted_operation op{env, {scripted_end::ok(1)}};
  EXPECT_EQ(run(p, op, {.stop = caller.get_token()}).error, canceled_error());
  EXPECT_EQ(op.starts(), 0);
}

TEST_F(order, a_stop_before_the_start_does_not_queue) {
  std::stop_source caller;
  caller.request_stop();
  auto slots = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1, .max_queue = 5});
  const pipeline p = builder().add(slots).build(env);
  const bulkhead_permit taken = slots->try_acquire();
  scripted_operation op{env, {scripted_end::ok(1)}};
  EXPECT_EQ(run(p, op, {.stop = caller.get_token()}).error, canceled_error());
  EXPECT_EQ(slots->snapshot().queued, 0);
}

TEST_F(order, a_stop_token_that_outlives_the_call_is_harmless) {
  std::stop_source caller;
  const pipeline p = builder().build(env);
  scripted_operation op{env, {scripted_end::ok(1)}};
  (void)run(p, op, {.stop = caller.get_token()});
  caller.request_stop();
  env.run_ready();
}

// Leaving waits behind.

TEST_F(order, a_finished_call_leaves_no_timer) {
  const pipeline p = builder()
                         .add(timeout{.after = 8s})
                         .add(retry{.max_attempts = 3, .delay = steady(1s)})
                         .add(timeout{.after = 2s})
                         .build(env);
  scripted_operation op{env, {scripted_end::fail(connection_reset), scripted_end::ok(1).after(1s)}};
  EXPECT_EQ(run(p, op).value, 1);
  EXPECT_EQ(env.waits(), 0U);
  EXPECT_TRUE(env.quiet());
}

TEST_F(order, the_limits_of_an_attempt_that_is_over_wake_nobody) {
  const pipeline p = builder()
                         .add(retry{.max_attempts = 3, .delay = steady(5s)})
                         .add(timeout{.after = 3s})
                         .add(timeout{.after = 2s})
                         .build(env);
  const scripted_operation op{
      env,
      {scripted_end::fail(connection_reset).after(1s), scripted_end::hang(), scripted_end::ok(1)}};
  ended e;
  start(p, op, e);
  for (const duration attempt : {1s, 2s}) {  // the second is cut off by the inner limit
    env.advance(attempt);
    EXPECT_EQ(env.waits(), 1U);
    EXPECT_EQ(env.advance(4s), 0U) << "asleep all the while";
    env.advance(1s);
  }
  EXPECT_EQ(e.value, 1);
}

TEST_F(order, one_armed_timer_a_call_at_most) {
  const pipeline p = builder()
                         .add(timeout{.after = 8s})
                         .add(timeout{.after = 7s})
                         .add(timeout{.after = 6s})
                         .build(env);
  ended e;
  int started = 0;
  // Not assigned: a move assignment of Asio 1.26's handler never ends.
  std::optional<boost::asio::any_completion_handler<void(error_code, int)>> held;
  p.wrap([&](auto token) {
    return boost::asio::async_initiate<decltype(token), void(error_code, int)>(
        [&](auto handler) {
          ++started;
          held.emplace(std::move(handler));
        },
        token);
  })(into{&e, &env});
  EXPECT_EQ(env.waits(), 1U);
  (*std::move(held))(error_code(), 4);
  env.run_ready();
  EXPECT_EQ(e.value, 4);
  EXPECT_EQ(env.waits(), 0U);
}

}  // namespace
}  // namespace hawser::test::order_test
