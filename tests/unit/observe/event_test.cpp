#include "hawser/observe/event.hpp"

#include <gtest/gtest.h>

#include <chrono>
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
  const cause why{"billing", reason::failure_rate, 0.6, 0.5, now + 3200ms};
  EXPECT_EQ(to_string(why, now),
            "billing: failure_rate, failure rate 0.6, limit 0.5, next try in 3.2 s");
}

TEST(event, numbers_that_say_nothing_are_left_out) {
  EXPECT_EQ(to_string(cause{"retry", reason::not_resendable, 0, 0, never}, now),
            "retry: not_resendable");
  EXPECT_EQ(to_string(cause{"t", reason::limit_elapsed, 0, 2, never}, now),
            "t: limit_elapsed, seconds allowed 2");
  EXPECT_EQ(to_string(cause{{}, reason::canceled, 0, 0, never}, now), "canceled");
}

TEST(event, a_date_in_the_past_is_now) {
  EXPECT_EQ(to_string(cause{"b", reason::not_retryable, 0, 0, now - 1s}, now),
            "b: not_retryable, next try in 0 s");
}

TEST(event, attempts_are_printed_both_made_and_allowed) {
  EXPECT_EQ(to_string(cause{"retry", reason::max_attempts, 4, 4, never}, now),
            "retry: max_attempts, attempts made 4, allowed 4");
}

}  // namespace
}  // namespace hawser::event_test
