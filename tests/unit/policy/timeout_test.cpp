#include "hawser/policy/timeout.hpp"

#include "support/stage_driver.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace hawser::test::timeout_test {
namespace {

using namespace std::chrono_literals;

outcome cut_off(evidence seen = evidence::maybe_applied) {
  outcome o = failed(canceled_error(), seen);
  o.from = origin::policy;
  return o;
}

TEST(timeout, calls_inside_under_its_deadline) {
  timeout_policy p(timeout{.after = 2s});
  stage_driver t;
  stage_under_test s(p);
  const step first = s->enter(t);
  EXPECT_EQ(first.what(), verb::call_inner);
  EXPECT_TRUE(first.is_deadline());
  EXPECT_EQ(first.at(), t.now() + 2s);
}

TEST(timeout, cancels_what_is_inside_and_says_so) {
  timeout_policy p(timeout{.name = "mine", .after = 2s});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  t.advance(2s);
  EXPECT_EQ(s->timer(t).what(), verb::cancel_inner);
  ASSERT_EQ(t.events.size(), 1U);
  EXPECT_EQ(t.events[0].kind, event_kind::timed_out);
  EXPECT_EQ(t.events[0].error, errc::call_timeout);
  EXPECT_EQ(t.events[0].why.policy, "mine");
  EXPECT_EQ(t.events[0].why.threshold, 2);
  EXPECT_EQ(s->inner_done(0, cut_off(), t).what(), verb::finish);
  EXPECT_EQ(t.result.error, errc::call_timeout);
  EXPECT_EQ(t.result.from, origin::policy);
  EXPECT_EQ(t.result.result, verdict::failed);
  EXPECT_TRUE(t.result.transient);
  EXPECT_TRUE(t.result.countable);
  EXPECT_EQ(t.result.why.because, reason::limit_elapsed);
}

TEST(timeout, the_evidence_of_what_was_cut_off_stands) {
  timeout_policy p(timeout{.after = 2s});
  for (const evidence seen : {evidence::never_sent, evidence::maybe_applied}) {
    stage_driver t;
    stage_under_test s(p);
    (void)s->enter(t);
    (void)s->timer(t);
    (void)s->inner_done(0, cut_off(seen), t);
    EXPECT_EQ(t.result.delivery, seen);
  }
}

TEST(timeout, a_success_that_comes_after_all_is_delivered) {
  timeout_policy p(timeout{.after = 2s});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->timer(t);
  (void)s->inner_done(0, succeeded(), t);
  EXPECT_TRUE(t.result.ok());
}

TEST(timeout, a_real_error_that_comes_after_all_is_kept) {
  timeout_policy p(timeout{.after = 2s});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->timer(t);
  (void)s->inner_done(0, failed(errc::connection_closed), t);
  EXPECT_EQ(t.result.error, errc::connection_closed);
}

TEST(timeout, a_cancellation_before_its_time_is_passed_on) {
  timeout_policy p(timeout{.after = 2s});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->inner_done(0, ignored(), t);
  EXPECT_TRUE(t.result.canceled());
  EXPECT_EQ(t.result.result, verdict::ignored);
}

TEST(timeout, what_waited_for_a_permit_decides_nothing_about_the_dependency) {
  timeout_policy p(timeout{.after = 2s});
  stage_driver t;
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->timer(t);
  outcome queued = ignored();  // cut off in a queue inside
  queued.delivery = evidence::never_sent;
  (void)s->inner_done(0, queued, t);
  EXPECT_EQ(t.result.error, errc::call_timeout);
  EXPECT_FALSE(t.result.countable);
  EXPECT_EQ(t.result.delivery, evidence::never_sent);
}

TEST(timeout, keeps_a_reserve_of_the_time_left_around_it) {
  timeout_policy p(timeout{.after = 10s, .reserve = 1s});
  stage_driver t;
  t.set_deadline(t.now() + 4s);
  stage_under_test s(p);
  EXPECT_EQ(s->enter(t).at(), t.now() + 3s);
}

TEST(timeout, tells_the_time_that_it_allowed_not_the_configured_one) {
  timeout_policy p(timeout{.after = 10s, .reserve = 1s});
  stage_driver t;
  t.set_deadline(t.now() + 4s);
  stage_under_test s(p);
  (void)s->enter(t);
  t.advance(3s);
  (void)s->timer(t);
  ASSERT_EQ(t.events.size(), 1U);
  EXPECT_EQ(t.events[0].elapsed, 3s);
  EXPECT_EQ(t.events[0].why.threshold, 3);
}

TEST(timeout, the_configured_limit_stands_when_it_is_the_tighter) {
  timeout_policy p(timeout{.after = 2s, .reserve = 1s});
  stage_driver t;
  t.set_deadline(t.now() + 4s);
  stage_under_test s(p);
  EXPECT_EQ(s->enter(t).at(), t.now() + 2s);
}

TEST(timeout, starts_nothing_when_only_the_reserve_is_left) {
  timeout_policy p(timeout{.after = 10s, .reserve = 1s});
  stage_driver t;
  t.set_deadline(t.now() + 1s);
  stage_under_test s(p);
  EXPECT_EQ(s->enter(t).what(), verb::finish);
  EXPECT_EQ(t.result.error, errc::call_timeout);
  EXPECT_EQ(t.result.delivery, evidence::never_sent);
}

TEST(timeout, without_a_limit_around_it_the_reserve_takes_nothing) {
  timeout_policy p(timeout{.after = 10s, .reserve = 1s});
  stage_driver t;
  stage_under_test s(p);
  EXPECT_EQ(s->enter(t).at(), t.now() + 10s);
}

TEST(timeout, an_endless_limit_saturates) {
  timeout_policy p(timeout{.after = duration::max()});
  stage_driver t;
  stage_under_test s(p);
  EXPECT_EQ(s->enter(t).at(), never);
}

std::string refusal_of(timeout options) {
  try {
    timeout_policy p(std::move(options));
    return "accepted";
  } catch (const config_error& e) {
    return e.field();
  }
}

TEST(timeout, options_out_of_bounds_are_refused_by_name) {
  EXPECT_EQ(refusal_of({.after = 0s}), "timeout.after");
  EXPECT_EQ(refusal_of({.after = -1s}), "timeout.after");
  EXPECT_EQ(refusal_of({.reserve = -1ns}), "timeout.reserve");
  EXPECT_EQ(refusal_of({.after = 1ns}), "accepted");
}

TEST(timeout, is_named_after_its_kind_unless_named) {
  EXPECT_EQ(timeout_policy(timeout{}).name(), "timeout");
  EXPECT_EQ(timeout_policy(timeout{.name = "call"}).name(), "call");
  EXPECT_EQ(timeout_policy(timeout{}).amplification(), 1U);
}

}  // namespace
}  // namespace hawser::test::timeout_test
