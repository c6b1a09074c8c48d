#include "hawser/observe/event.hpp"

#include "core/in_short.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <set>
#include <string>

namespace hawser::event_test {
namespace {

using namespace std::chrono_literals;

constexpr time_point now = time_point{} + 100s;

TEST(event, every_reason_has_a_name_of_its_own) {
  std::set<std::string> names;
  for (int i = 0; i <= static_cast<int>(reason::succeeded); ++i)
    EXPECT_TRUE(names.insert(std::string(to_string(static_cast<reason>(i)))).second) << i;
  EXPECT_EQ(names.count("unknown"), 0U);
  EXPECT_EQ(to_string(static_cast<reason>(200)), "unknown");
  EXPECT_EQ(to_string(reason::max_attempts), "max_attempts");
}

TEST(event, every_kind_has_a_name_of_its_own) {
  std::set<std::string> names;
  for (int i = 0; i <= static_cast<int>(event_kind::call_finished); ++i)
    EXPECT_TRUE(names.insert(std::string(to_string(static_cast<event_kind>(i)))).second) << i;
  EXPECT_EQ(names.count("unknown"), 0U);
  EXPECT_EQ(to_string(static_cast<event_kind>(200)), "unknown");
}

TEST(event, a_cause_shows_policy_numbers_and_until_when) {
  const cause why{"billing", reason::failure_rate, 0.62, 0.5, now + 3200ms};
  EXPECT_EQ(to_string(why, now), "billing: failure rate 0.62 of 0.5, next try in 3.2 s");
  EXPECT_EQ(in_words(why, now), "failure rate 0.62 of 0.5, next try in 3.2 s");
}

TEST(event, every_reason_is_said_in_words) {
  const auto said = [](reason because, double measured = 0, double threshold = 0) {
    return in_words(cause{"p", because, measured, threshold, never}, now);
  };
  EXPECT_EQ(said(reason::none), "");
  EXPECT_EQ(said(reason::slow_call_rate, 0.9, 0.8), "slow-call rate 0.9 of 0.8");
  EXPECT_EQ(said(reason::consecutive_failures, 5, 5), "5 failures in a row, limit 5");
  EXPECT_EQ(said(reason::probe_failed), "a probe failed");
  EXPECT_EQ(said(reason::probe_lease_expired), "a probe did not report in time");
  EXPECT_EQ(said(reason::probes_succeeded, 2, 2), "2 of 2 probes succeeded");
  EXPECT_EQ(said(reason::probes_busy, 1, 1), "1 of 1 probes are under way");
  EXPECT_EQ(said(reason::open_time_over), "the open time is over");
  EXPECT_EQ(said(reason::forced), "by hand");
  EXPECT_EQ(said(reason::concurrency, 64, 64), "64 of 64 in flight");
  EXPECT_EQ(said(reason::queue_full, 1024, 1024), "1024 of 1024 places in the queue taken");
  EXPECT_EQ(said(reason::queue_wait, 2, 2), "waited 2 s of 2 s");
  EXPECT_EQ(said(reason::ramp, 3, 40), "its turn on the ramp, wait allowed 40 s");
  EXPECT_EQ(said(reason::rate, 0.5, 0), "our own rate");
  EXPECT_EQ(said(reason::rate, 0.5, 0.2), "our own rate, wait allowed 200 ms");
  EXPECT_EQ(said(reason::cost_over_burst, 5, 3), "cost 5 is over the burst of 3");
  EXPECT_EQ(said(reason::deadline, 1.2, 0.5), "needs 1.2 s, 500 ms left");
  EXPECT_EQ(said(reason::deadline), "no time left");
  EXPECT_EQ(said(reason::limit_elapsed, 0, 2), "limit 2 s");
  EXPECT_EQ(said(reason::max_attempts, 3, 3), "3 of 3 tries made");
  EXPECT_EQ(said(reason::budget, 2, 5), "the retry budget has 2, a retry costs 5");
  EXPECT_EQ(said(reason::not_retryable), "a later try would not mend it");
  EXPECT_EQ(said(reason::not_resendable),
            "it may have been applied, a second try could do it twice");
  EXPECT_EQ(said(reason::server_wait, 3600, 60), "the server asks to wait 3600 s, allowed 60 s");
  EXPECT_EQ(said(reason::server_wait, 1e9, 60),
            "the server asks to wait 1000000000 s, allowed 60 s");
  EXPECT_EQ(said(reason::server_wait, 9.2e9, 60),
            "the server asks to wait over 31 years, allowed 60 s");
  EXPECT_EQ(said(reason::server_wait, std::numeric_limits<double>::infinity(), 60),
            "the server asks to wait over 31 years, allowed 60 s");
  EXPECT_EQ(said(reason::own_delay, 0.09), "backoff");
  EXPECT_EQ(said(reason::start_spread, 3), "first calls are spread out");
  EXPECT_EQ(said(reason::server_hint, 7), "the server asked for it");
  // What to do about it stands in the error's text.
  EXPECT_EQ(said(reason::effect_unsaid),
            "it may have been applied, and nobody said what doing it twice would do");
  EXPECT_EQ(said(reason::canceled), "by the caller");
  EXPECT_EQ(said(reason::substituted, 1, 2), "source 1 of 2");
  EXPECT_EQ(said(reason::succeeded), "succeeded");
}

// Whoever reads it cannot make the server's limit larger.
TEST(event, a_pause_that_the_server_asked_for_is_not_put_down_to_our_rate) {
  const std::string text = in_words(cause{"p", reason::server_pause, 5, 0, now + 5s}, now);
  EXPECT_EQ(text, "the server asked for a pause, next try in 5 s");
  EXPECT_EQ(make_error_code(errc::rate_limited).message().find("raise"), std::string::npos);
}

TEST(event, a_refusal_inside_is_named) {
  cause why{"retry", reason::local_rejection, 0.62, 0.5, now + 3200ms};
  why.refused = errc::circuit_open;
  why.refused_for = reason::failure_rate;
  EXPECT_EQ(to_string(why, now),
            "retry: circuit_open, failure rate 0.62 of 0.5, next try in 3.2 s");
  why = {"retry", reason::local_rejection, 0, 0, never};
  why.refused = errc::pool_full;
  EXPECT_EQ(to_string(why, now), "retry: pool_full");
}

TEST(event, a_wait_says_its_length_elsewhere) {
  event wait;
  wait.kind = event_kind::waiting;
  wait.at = now;
  wait.elapsed = 439ms;
  wait.why = {"rate_limiter", reason::rate, 0.439, 0, now + 439ms};
  EXPECT_EQ(in_words(wait), "our own rate");
  wait.why = {"retry", reason::local_rejection, 0.62, 0.5, now + 439ms};
  wait.why.refused = errc::circuit_open;
  wait.why.refused_for = reason::failure_rate;
  EXPECT_EQ(in_words(wait), "circuit_open, failure rate 0.62 of 0.5");
  wait.kind = event_kind::retry_stopped;  // that nobody waits for
  EXPECT_EQ(in_words(wait), "circuit_open, failure rate 0.62 of 0.5, next try in 439 ms");
  EXPECT_EQ(to_string(cause{{}, reason::own_delay, 0.09, 0, now + 90ms}, now), "backoff");
}

TEST(event, a_date_in_the_past_is_now) {
  EXPECT_EQ(to_string(cause{"b", reason::not_retryable, 0, 0, now - 1s}, now),
            "b: a later try would not mend it, next try in 0 ms");
}

TEST(event, times_have_two_or_three_figures) {
  using detail::in_short;
  EXPECT_EQ(in_short(0ns), "0 ms");
  EXPECT_EQ(in_short(40us), "0 ms");
  EXPECT_EQ(in_short(1240us), "1.2 ms");
  EXPECT_EQ(in_short(90242us), "90 ms");
  EXPECT_EQ(in_short(999ms), "999 ms");
  EXPECT_EQ(in_short(1s), "1 s");
  EXPECT_EQ(in_short(3249ms), "3.2 s");
  EXPECT_EQ(in_short(12s), "12 s");
  EXPECT_EQ(in_short(3600s), "3600 s");
  EXPECT_EQ(in_short(-2s), "-2 s");
}

}  // namespace
}  // namespace hawser::event_test
