#include "hawser/policy/retry.hpp"

#include "support/stage_driver.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace hawser::test::retry_test {
namespace {

using namespace std::chrono_literals;

const error_code reset =
    boost::system::errc::make_error_code(boost::system::errc::connection_reset);
const error_code refused =
    boost::system::errc::make_error_code(boost::system::errc::connection_refused);

constant steady(duration each) { return {.each = each, .spread = jitter::none}; }

/// Counts what is asked of it.
class counting_budget final : public budget {
 public:
  std::string_view name() const noexcept override { return "counting"; }
  double price(const outcome&) const noexcept override { return 1; }
  bool try_spend(const outcome&, time_point) noexcept override {
    ++asked;
    return left-- > 0;
  }
  void call_started(time_point) noexcept override { ++calls; }
  void succeeded(double payment, time_point) noexcept override {
    ++successes;
    last_payment = payment;
  }
  void refund(double payment, time_point) noexcept override {
    ++refunds;
    last_refund = payment;
  }
  double balance(time_point) const noexcept override { return left; }
  int left = 100;
  int asked = 0;
  int calls = 0;
  int successes = 0;
  double last_payment = -1;
  int refunds = 0;
  double last_refund = -1;
};

outcome hinted(duration wait) {
  outcome o = failed(errc::server_error, evidence::refused);
  o.status = 503;
  o.server_wait = wait;
  return o;
}

TEST(retry, max_attempts_counts_attempts_not_retries) {
  retry_policy p(retry{.max_attempts = 3, .delay = steady(1s)});
  stage_driver t;
  stage_under_test s(p);
  EXPECT_EQ(s->enter(t).what(), verb::call_inner);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(s->inner_done(0, failed(reset), t).what(), verb::sleep);
    EXPECT_EQ(s->timer(t).what(), verb::call_inner);
  }
  EXPECT_EQ(s->inner_done(0, failed(reset), t).what(), verb::finish);
  EXPECT_EQ(t.result.error, reset);
  EXPECT_EQ(t.result.why.because, reason::max_attempts);
  EXPECT_EQ(t.result.why.measured, 3);
  EXPECT_EQ(t.result.why.threshold, 3);
  EXPECT_EQ(p.amplification(), 3U);
}

TEST(retry, one_attempt_means_no_retry) {
  retry_policy p(retry{.max_attempts = 1});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  EXPECT_EQ(s->inner_done(0, failed(reset), t).what(), verb::finish);
  EXPECT_EQ(t.result.why.because, reason::max_attempts);
}

TEST(retry, a_success_is_passed_on) {
  retry_policy p(retry{});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  EXPECT_EQ(s->inner_done(0, succeeded(), t).what(), verb::finish);
  EXPECT_TRUE(t.result.ok());
  EXPECT_TRUE(t.events.empty());
}

TEST(retry, sleeps_for_the_backoff) {
  retry_policy p(
      retry{.max_attempts = 3,
            .delay = linear{.first = 1s, .step = 2s, .cap = 9s, .spread = jitter::none}});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  EXPECT_EQ(s->inner_done(0, failed(reset), t).at(), t.now() + 1s);
  t.advance(1s);
  (void)s->timer(t);
  EXPECT_EQ(s->inner_done(0, failed(reset), t).at(), t.now() + 3s);
  ASSERT_EQ(t.events.size(), 2U);
  EXPECT_EQ(t.events[1].kind, event_kind::waiting);
  EXPECT_EQ(t.events[1].elapsed, 3s);
  EXPECT_EQ(t.events[1].why.because, reason::own_delay);
}

TEST(retry, tells_which_failure_it_waits_after_and_which_it_stops_at) {
  retry_policy p(retry{.max_attempts = 2, .delay = steady(1s)});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->inner_done(0, hinted(2s), t);
  t.advance(2s);
  (void)s->timer(t);
  (void)s->inner_done(0, hinted(3s), t);
  ASSERT_EQ(t.events.size(), 2U);
  EXPECT_EQ(t.events[0].kind, event_kind::waiting);
  EXPECT_EQ(t.events[0].error, errc::server_error);
  EXPECT_EQ(t.events[1].kind, event_kind::retry_stopped);
  EXPECT_EQ(t.events[1].error, errc::server_error);
  EXPECT_EQ(t.events[1].status, 503);
  EXPECT_EQ(t.events[1].delivery, evidence::refused);
}

TEST(retry, full_jitter_by_default_draws_within_the_base) {
  retry_policy p(retry{.max_attempts = 2, .delay = exponential{.first = 1s, .cap = 4s}});
  bool differs = false;
  duration first{};
  for (std::uint64_t seed = 1; seed < 50; ++seed) {
    stage_driver t(seed);
    stage_under_test s(p);
    (void)s->enter(t);
    const duration wait = s->inner_done(0, failed(reset), t).at() - t.now();
    EXPECT_GT(wait, 0s);
    EXPECT_LE(wait, 1s);
    if (seed == 1) first = wait;
    differs = differs || wait != first;
  }
  EXPECT_TRUE(differs);
}

TEST(retry, waits_for_the_longer_of_backoff_and_hint) {
  retry_policy p(retry{.max_attempts = 4, .delay = steady(2s)});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  EXPECT_EQ(s->inner_done(0, hinted(5s), t).at(), t.now() + 5s);
  EXPECT_EQ(t.events.back().why.because, reason::server_hint);
  (void)s->timer(t);
  EXPECT_EQ(s->inner_done(0, hinted(1s), t).at(), t.now() + 2s);
  EXPECT_EQ(t.events.back().why.because, reason::own_delay);
}

TEST(retry, a_hint_in_the_past_means_now_with_jitter) {
  retry_policy p(retry{.max_attempts = 2, .delay = steady(2s)});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  EXPECT_EQ(s->inner_done(0, hinted(0s), t).at(), t.now() + 2s);
}

TEST(retry, a_hint_over_max_server_wait_fails_now_and_says_until_when) {
  retry_policy p(retry{.max_attempts = 4, .delay = steady(1s), .max_server_wait = 10s});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  EXPECT_EQ(s->inner_done(0, hinted(11s), t).what(), verb::finish);
  EXPECT_EQ(t.result.error, errc::server_error);
  EXPECT_EQ(t.result.why.because, reason::server_wait);
  EXPECT_EQ(t.result.why.until, t.now() + 11s);
  EXPECT_EQ(t.result.why.measured, 11);
  EXPECT_EQ(t.result.why.threshold, 10);
}

TEST(retry, a_hint_of_exactly_max_server_wait_is_kept) {
  retry_policy p(retry{.max_attempts = 4, .delay = steady(1s), .max_server_wait = 10s});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  EXPECT_EQ(s->inner_done(0, hinted(10s), t).at(), t.now() + 10s);
}

TEST(retry, a_hint_is_cut_to_the_own_wait_and_what_it_may_exceed_it_by) {
  retry_policy p(retry{.max_attempts = 5,
                       .delay = linear{.first = 1s, .step = 1s, .spread = jitter::none},
                       .max_server_wait = 10s,
                       .hint_excess = 5s});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  const auto wait_after = [&](duration hint) {
    const step next = s->inner_done(0, hinted(hint), t);
    EXPECT_EQ(next.what(), verb::sleep);
    return next.at() - t.now();
  };
  EXPECT_EQ(wait_after(3600s), 6s);  // not over max_server_wait either
  EXPECT_EQ(t.events.back().why.because, reason::server_hint);
  EXPECT_EQ(wait_after(7s), 7s);  // 2 s and 5 s
  EXPECT_EQ(wait_after(duration::max()), 8s);
  EXPECT_EQ(wait_after(3s), 4s);
  EXPECT_EQ(t.events.back().why.because, reason::own_delay);
}

TEST(retry, a_hint_that_is_cut_may_still_be_too_long) {
  retry_policy p(
      retry{.max_attempts = 4, .delay = steady(1s), .max_server_wait = 10s, .hint_excess = 20s});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  EXPECT_EQ(s->inner_done(0, hinted(3600s), t).what(), verb::finish);
  EXPECT_EQ(t.result.why.because, reason::server_wait);
  EXPECT_EQ(t.result.why.measured, 21);
}

TEST(retry, with_no_excess_allowed_the_own_wait_is_kept) {
  retry_policy p(retry{.max_attempts = 4, .delay = steady(1s), .hint_excess = 0s});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  EXPECT_EQ(s->inner_done(0, hinted(30s), t).at(), t.now() + 1s);
  EXPECT_EQ(t.events.back().why.because, reason::own_delay);
}

TEST(retry, a_hint_over_the_deadline_fails_now_never_a_shorter_sleep) {
  retry_policy p(retry{.max_attempts = 4, .delay = steady(1s)});
  stage_driver t;
  t.set_deadline(t.now() + 3s);
  stage_under_test s(p);
  (void)s->enter(t);
  EXPECT_EQ(s->inner_done(0, hinted(5s), t).what(), verb::finish);
  EXPECT_EQ(t.result.why.because, reason::server_wait);
  EXPECT_EQ(t.result.why.until, t.now() + 5s);
}

TEST(retry, never_sleeps_past_the_deadline) {
  retry_policy p(retry{.max_attempts = 4, .delay = steady(3s)});
  for (const duration left : {1s, 3s}) {
    stage_driver t;
    t.set_deadline(t.now() + left);
    stage_under_test s(p);
    (void)s->enter(t);
    EXPECT_EQ(s->inner_done(0, failed(reset), t).what(), verb::finish);
    EXPECT_EQ(t.result.error, reset);
    EXPECT_EQ(t.result.why.because, reason::deadline);
    EXPECT_EQ(t.events.back().kind, event_kind::retry_stopped);
    EXPECT_EQ(t.events.back().error, reset);
  }
}

TEST(retry, never_starts_an_attempt_that_cannot_finish) {
  retry_policy p(retry{.max_attempts = 4, .delay = steady(1s)});
  stage_driver t;
  {
    stage_under_test s(p);
    (void)s->enter(t);
    (void)s->inner_done(0, succeeded(2s), t);  // the quickest success of late
  }
  EXPECT_EQ(p.service_floor(t.now()), 2s);
  for (const duration left : {2900ms, 3000ms, 3100ms}) {
    stage_under_test s(p);
    t.set_deadline(t.now() + left);
    (void)s->enter(t);
    const step next = s->inner_done(0, failed(reset), t);
    if (left > 3s) {
      EXPECT_EQ(next.what(), verb::sleep);
    } else {
      EXPECT_EQ(next.what(), verb::finish);
      EXPECT_EQ(t.result.why.because, reason::deadline);
      EXPECT_EQ(t.result.why.measured, 3) << "the wait and the quickest success";
      EXPECT_EQ(t.result.why.threshold, std::chrono::duration<double>(left).count());
    }
  }
}

TEST(retry, the_service_floor_is_forgotten_after_a_while) {
  retry_policy p(retry{});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->inner_done(0, succeeded(2s), t);
  t.advance(90s);
  EXPECT_EQ(p.service_floor(t.now()), 2s);
  t.advance(60s);
  EXPECT_EQ(p.service_floor(t.now()), 0s);
}

TEST(retry, the_service_floor_follows_a_dependency_that_becomes_slower) {
  retry_policy p(retry{});
  stage_driver t;
  const auto learn = [&](duration took) {
    stage_under_test s(p);
    (void)s->enter(t);
    (void)s->inner_done(0, succeeded(took), t);
  };
  learn(1s);
  t.advance(61s);
  learn(5s);
  EXPECT_EQ(p.service_floor(t.now()), 1s);
  t.advance(61s);
  learn(5s);
  EXPECT_EQ(p.service_floor(t.now()), 5s);
}

TEST(retry, hopeless_attempts_are_started_when_asked_to) {
  retry_policy p(retry{.max_attempts = 4, .delay = steady(1s), .skip_hopeless = false});
  stage_driver t;
  {
    stage_under_test s(p);
    (void)s->enter(t);
    (void)s->inner_done(0, succeeded(2s), t);
  }
  stage_under_test s(p);
  t.set_deadline(t.now() + 1500ms);
  (void)s->enter(t);
  EXPECT_EQ(s->inner_done(0, failed(reset), t).what(), verb::sleep);
}

TEST(retry, the_budget_is_asked_before_the_sleep) {
  auto b = std::make_shared<counting_budget>();
  retry_policy p(retry{.max_attempts = 3, .delay = steady(1s), .budget = b});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  EXPECT_EQ(b->calls, 1);
  EXPECT_EQ(b->asked, 0);
  EXPECT_EQ(s->inner_done(0, failed(reset), t).what(), verb::sleep);
  EXPECT_EQ(b->asked, 1);
  (void)s->timer(t);
  EXPECT_EQ(b->asked, 1);
  EXPECT_EQ(b->calls, 1) << "once per call, not per attempt";
  (void)s->inner_done(0, succeeded(), t);
  EXPECT_EQ(b->successes, 1);
  EXPECT_EQ(b->last_payment, 1) << "what its retry paid";
}

TEST(retry, a_budget_hears_that_a_clean_success_paid_nothing) {
  auto b = std::make_shared<counting_budget>();
  retry_policy p(retry{.max_attempts = 3, .delay = steady(1s), .budget = b});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->inner_done(0, succeeded(), t);
  EXPECT_EQ(b->successes, 1);
  EXPECT_EQ(b->last_payment, 0);
}

TEST(retry, a_refusal_of_the_budget_stops_and_keeps_the_real_error) {
  auto b = std::make_shared<counting_budget>();
  b->left = 0;
  retry_policy p(retry{.max_attempts = 3, .delay = steady(1s), .budget = b});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  EXPECT_EQ(s->inner_done(0, failed(reset), t).what(), verb::finish);
  EXPECT_EQ(t.result.error, reset);
  EXPECT_EQ(t.result.from, origin::operation);
  EXPECT_EQ(t.result.why.because, reason::budget);
  EXPECT_EQ(t.events.back().kind, event_kind::retry_stopped);
}

/// A retry whose next try is paid for and about to be made.
struct paid_retry {
  explicit paid_retry(bool wait_for_permission = false)
      : p(retry{.max_attempts = 3,
                .delay = steady(1s),
                .budget = b,
                .wait_for_permission = wait_for_permission}),
        s(p) {
    (void)s->enter(t);
    t.set_attempts(1);
    EXPECT_EQ(s->inner_done(0, failed(reset), t).what(), verb::sleep);
    EXPECT_EQ(b->asked, 1);
  }
  std::shared_ptr<counting_budget> b = std::make_shared<counting_budget>();
  retry_policy p;
  stage_driver t;
  stage_under_test s;
};

const outcome turned_away =
    outcome::refuse(errc::circuit_open, {"b", reason::failure_rate, 1, 0.5, never});

TEST(retry, a_try_that_was_refused_inside_costs_no_budget) {
  paid_retry one;
  (void)one.s->timer(one.t);
  EXPECT_EQ(one.s->inner_done(0, turned_away, one.t).what(), verb::finish);
  EXPECT_EQ(one.b->refunds, 1);
  EXPECT_EQ(one.b->last_refund, 1);
}

TEST(retry, a_try_that_never_began_costs_no_budget) {
  paid_retry in_its_sleep;
  (void)in_its_sleep.s->canceled(ignored(), in_its_sleep.t);
  EXPECT_EQ(in_its_sleep.b->refunds, 1);

  paid_retry in_a_queue;  // inside, where it was cut off
  (void)in_a_queue.s->timer(in_a_queue.t);
  EXPECT_EQ(in_a_queue.s->inner_done(0, ignored(), in_a_queue.t).what(), verb::finish);
  EXPECT_EQ(in_a_queue.b->refunds, 1);

  paid_retry begun;
  (void)begun.s->timer(begun.t);
  begun.t.set_attempts(2);
  EXPECT_EQ(begun.s->inner_done(0, ignored(), begun.t).what(), verb::finish);
  EXPECT_EQ(begun.b->refunds, 0);
}

TEST(retry, what_waits_for_permission_has_paid_for_the_try_it_waits_for) {
  paid_retry one(true);
  one.t.set_deadline(one.t.now() + 1h);
  for (int i = 0; i < 3; ++i) {
    (void)one.s->timer(one.t);
    EXPECT_EQ(one.s->inner_done(0, turned_away, one.t).what(), verb::sleep);
    EXPECT_EQ(one.b->refunds, 0);
  }
  (void)one.s->timer(one.t);
  one.t.set_attempts(2);
  EXPECT_EQ(one.s->inner_done(0, succeeded(), one.t).what(), verb::finish);
  EXPECT_EQ(one.b->refunds, 0);
  EXPECT_EQ(one.b->last_payment, 1);
}

TEST(retry, a_refusal_before_anything_was_paid_gives_nothing_back) {
  auto b = std::make_shared<counting_budget>();
  retry_policy p(retry{.max_attempts = 3, .budget = b});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  EXPECT_EQ(s->inner_done(0, turned_away, t).what(), verb::finish);
  EXPECT_EQ(b->refunds, 0);
}

TEST(retry, no_budget_is_spent_on_a_retry_that_is_not_made) {
  auto b = std::make_shared<counting_budget>();
  retry_policy p(retry{.max_attempts = 2, .delay = steady(5s), .max_server_wait = 7s, .budget = b});
  stage_driver t;
  const auto run = [&](const outcome& o, effect what, duration left) {
    stage_under_test s(p);
    t.set_deadline(t.now() + left);
    t.set_effect(what);
    (void)s->enter(t);
    EXPECT_EQ(s->inner_done(0, o, t).what(), verb::finish);
  };
  run(failed(reset), effect::idempotent, 1s);                            // no time
  run(failed(reset), effect::unsafe, 1h);                                // not safe
  run(failed(reset, evidence::maybe_applied, false), effect::safe, 1h);  // not transient
  run(hinted(8s), effect::safe, 1h);  // the server asks for too much
  EXPECT_EQ(b->asked, 0);
}

TEST(retry, asks_the_resend_table) {
  retry_policy p(retry{.max_attempts = 2, .delay = steady(1s)});
  for (const effect what : {effect::safe, effect::idempotent, effect::keyed, effect::unsafe}) {
    for (const evidence seen :
         {evidence::never_sent, evidence::refused, evidence::maybe_applied, evidence::answered}) {
      stage_driver t;
      t.set_effect(what);
      stage_under_test s(p);
      (void)s->enter(t);
      const step next = s->inner_done(0, failed(reset, seen), t);
      if (may_resend(what, seen)) {
        EXPECT_EQ(next.what(), verb::sleep) << to_string(what) << " " << to_string(seen);
      } else {
        EXPECT_EQ(next.what(), verb::finish) << to_string(what) << " " << to_string(seen);
        EXPECT_EQ(t.result.why.because, reason::not_resendable);
      }
    }
  }
}

TEST(retry, a_consumed_body_is_never_sent_again) {
  retry_policy p(retry{.max_attempts = 2, .delay = steady(1s)});
  stage_driver t;
  t.set_body(replay::consumed);
  stage_under_test s(p);
  (void)s->enter(t);
  EXPECT_EQ(s->inner_done(0, failed(refused, evidence::never_sent), t).what(), verb::finish);
  EXPECT_EQ(t.result.why.because, reason::not_resendable);
}

TEST(retry, a_lasting_failure_is_not_retried) {
  retry_policy p(retry{.max_attempts = 3});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  EXPECT_EQ(s->inner_done(0, failed(reset, evidence::never_sent, false), t).what(), verb::finish);
  EXPECT_EQ(t.result.why.because, reason::not_retryable);
}

TEST(retry, a_void_outcome_is_passed_on) {
  retry_policy p(retry{.max_attempts = 3});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  EXPECT_EQ(s->inner_done(0, ignored(), t).what(), verb::finish);
  EXPECT_TRUE(t.result.canceled());
  EXPECT_TRUE(t.events.empty());
}

TEST(retry, the_user_overrules_what_is_transient_but_not_what_is_safe) {
  retry_policy p(retry{.max_attempts = 3,
                       .delay = steady(1s),
                       .transient = [](const outcome& o) -> std::optional<bool> {
                         if (o.error == reset) return true;
                         if (o.error == refused) return false;
                         return std::nullopt;
                       }});
  const auto verb_for = [&](const outcome& o, effect what) {
    stage_driver t;
    t.set_effect(what);
    stage_under_test s(p);
    (void)s->enter(t);
    return s->inner_done(0, o, t).what();
  };
  EXPECT_EQ(verb_for(failed(reset, evidence::maybe_applied, false), effect::safe), verb::sleep);
  EXPECT_EQ(verb_for(failed(refused, evidence::never_sent, true), effect::safe), verb::finish);
  EXPECT_EQ(verb_for(failed(errc::first_byte_timeout), effect::safe), verb::sleep);
  EXPECT_EQ(verb_for(failed(reset, evidence::maybe_applied, false), effect::unsafe), verb::finish);
}

TEST(retry, a_local_rejection_is_passed_on_and_costs_no_attempt) {
  retry_policy p(retry{.max_attempts = 3, .delay = steady(1s)});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  const outcome no =
      outcome::refuse(errc::circuit_open, {"b", reason::failure_rate, 1, 0.5, t.now() + 5s});
  EXPECT_EQ(s->inner_done(0, no, t).what(), verb::finish);
  EXPECT_EQ(t.result.error, errc::circuit_open);
  EXPECT_EQ(t.result.why.because, reason::failure_rate);
}

TEST(retry, a_rejection_after_a_failure_keeps_the_real_error) {
  retry_policy p(retry{.max_attempts = 3, .delay = steady(1s)});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->inner_done(0, failed(reset), t);
  (void)s->timer(t);
  const outcome no =
      outcome::refuse(errc::circuit_open, {"b", reason::failure_rate, 1, 0.5, t.now() + 5s});
  EXPECT_EQ(s->inner_done(0, no, t).what(), verb::finish);
  EXPECT_EQ(t.result.error, reset);
  EXPECT_EQ(t.result.why.because, reason::local_rejection);
  EXPECT_EQ(t.result.why.until, t.now() + 5s);
}

TEST(retry, waits_for_permission_only_when_asked_to) {
  retry_policy p(retry{
      .max_attempts = 1, .delay = steady(1s), .max_server_wait = 10s, .wait_for_permission = true});
  stage_driver t;
  const auto refusal = [&](time_point until) {
    return outcome::refuse(errc::circuit_open, {"b", reason::failure_rate, 1, 0.5, until});
  };
  stage_under_test s(p);
  (void)s->enter(t);
  // Again and again: such a try is no attempt.
  for (int i = 0; i < 3; ++i) {
    const step next = s->inner_done(0, refusal(t.now() + 5s), t);
    ASSERT_EQ(next.what(), verb::sleep);
    EXPECT_EQ(next.at(), t.now() + 6s);  // a little after, as the backoff says
    EXPECT_EQ(t.events.back().why.because, reason::local_rejection);
    (void)s->timer(t);
  }
  EXPECT_EQ(s->inner_done(0, refusal(t.now() + 11s), t).what(), verb::finish);
  EXPECT_EQ(t.result.error, errc::circuit_open);
}

TEST(retry, waits_for_permission_without_a_date_only_under_a_deadline) {
  retry_policy p(retry{.max_attempts = 1, .delay = steady(1s), .wait_for_permission = true});
  const outcome busy = outcome::refuse(errc::circuit_open, {"b", reason::probes_busy, 1, 1, never});
  stage_driver bounded;
  bounded.set_deadline(bounded.now() + 3s);
  stage_under_test waits(p);
  (void)waits->enter(bounded);
  const step asked = waits->inner_done(0, busy, bounded);
  ASSERT_EQ(asked.what(), verb::sleep);
  EXPECT_EQ(asked.at(), bounded.now() + 1s);
  bounded.advance(2s);
  EXPECT_EQ(waits->inner_done(0, busy, bounded).what(), verb::finish);

  stage_driver endless;
  stage_under_test refuses(p);
  (void)refuses->enter(endless);
  EXPECT_EQ(refuses->inner_done(0, busy, endless).what(), verb::finish);
}

TEST(retry, never_waits_for_what_was_forced_or_can_never_be) {
  retry_policy p(retry{.max_attempts = 1, .delay = steady(1s), .wait_for_permission = true});
  for (const auto& [code, because] : {std::pair{errc::circuit_isolated, reason::forced},
                                      std::pair{errc::rate_limited, reason::cost_over_burst}}) {
    stage_driver t;
    t.set_deadline(t.now() + 1h);
    stage_under_test s(p);
    (void)s->enter(t);
    const outcome no = outcome::refuse(code, {"b", because, 1, 1, never});
    EXPECT_EQ(s->inner_done(0, no, t).what(), verb::finish);
  }
}

TEST(retry, does_not_wait_for_permission_past_the_deadline) {
  retry_policy p(retry{.max_attempts = 1, .delay = steady(1s), .wait_for_permission = true});
  stage_driver t;
  t.set_deadline(t.now() + 3s);
  stage_under_test s(p);
  (void)s->enter(t);
  const outcome no =
      outcome::refuse(errc::circuit_open, {"b", reason::failure_rate, 1, 0.5, t.now() + 2s});
  EXPECT_EQ(s->inner_done(0, no, t).what(), verb::finish);
}

TEST(retry, cut_off_in_its_sleep_it_ends_with_the_last_real_error) {
  retry_policy p(retry{.max_attempts = 3, .delay = steady(1s)});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->inner_done(0, failed(reset), t);
  const outcome end = s->canceled(ignored(), t);
  EXPECT_EQ(end.error, reset);
  EXPECT_EQ(end.why.because, reason::deadline);
}

std::string refusal_of(retry options) {
  try {
    retry_policy p(std::move(options));
    return "accepted";
  } catch (const config_error& e) {
    return e.field();
  }
}

TEST(retry, options_out_of_bounds_are_refused_by_name) {
  EXPECT_EQ(refusal_of({.max_attempts = 0}), "retry.max_attempts");
  EXPECT_EQ(refusal_of({.max_attempts = 101}), "retry.max_attempts");
  EXPECT_EQ(refusal_of({.max_server_wait = -1ns}), "retry.max_server_wait");
  EXPECT_EQ(refusal_of({.hint_excess = -1ns}), "retry.hint_excess");
  EXPECT_EQ(refusal_of({.hint_excess = 0ns}), "accepted");
  EXPECT_EQ(refusal_of({.delay = exponential{.first = 0s}}), "retry.delay.first");
  EXPECT_EQ(refusal_of({.max_attempts = 1}), "accepted");
  EXPECT_EQ(refusal_of({.max_attempts = 100, .max_server_wait = 0s}), "accepted");
}

TEST(retry, is_named_after_its_kind_unless_named) {
  EXPECT_EQ(retry_policy(retry{}).name(), "retry");
  EXPECT_EQ(retry_policy(retry{.name = "mine"}).name(), "mine");
  EXPECT_EQ(retry_policy(retry{.name = "mine"}).kind(), "retry");
}

}  // namespace
}  // namespace hawser::test::retry_test
