#include "hawser/policy/start_spread.hpp"

#include "hawser/core/error.hpp"

#include "support/stage_driver.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

namespace hawser::start_spread_test {
namespace {

using namespace std::chrono_literals;
using test::stage_driver;
using test::stage_under_test;
using test::verb;

TEST(start_spread, the_first_call_waits_for_a_moment_within_the_time) {
  start_spread_policy p({.over = 4s});
  stage_driver t;
  const stage_under_test s(p);
  const step wait = s->enter(t);
  ASSERT_EQ(wait.what(), verb::sleep);
  EXPECT_GT(wait.at(), t.now());
  EXPECT_LT(wait.at(), t.now() + 4s);
  ASSERT_EQ(t.events.size(), 1u);
  EXPECT_EQ(t.events[0].kind, event_kind::waiting);
  EXPECT_EQ(t.events[0].elapsed, wait.at() - t.now());
  EXPECT_EQ(t.events[0].why.because, reason::start_spread);
  EXPECT_EQ(t.events[0].why.policy, "start_spread");
  EXPECT_EQ(t.events[0].why.until, wait.at());
  t.set_now(wait.at());
  EXPECT_EQ(s->timer(t).what(), verb::call_inner);
}

TEST(start_spread, all_calls_of_a_process_wait_for_the_same_moment_and_later_ones_for_none) {
  start_spread_policy p({.over = 4s});
  stage_driver t;
  const stage_under_test first(p);
  const time_point at = first->enter(t).at();
  for (const duration ago : {duration(1ns), duration(at - t.now())}) {
    stage_driver one(77);  // with another randomness
    one.set_now(at - ago);
    const stage_under_test s(p);
    const step wait = s->enter(one);
    EXPECT_EQ(wait.what(), verb::sleep);
    EXPECT_EQ(wait.at(), at);
  }
  for (const duration past : {duration(0), duration(1h)}) {
    stage_driver one;
    one.set_now(at + past);
    const stage_under_test s(p);
    EXPECT_EQ(s->enter(one).what(), verb::call_inner);
    EXPECT_TRUE(one.events.empty());
  }
}

TEST(start_spread, the_processes_of_a_fleet_start_evenly_over_the_time) {
  std::vector<duration> starts;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    start_spread_policy p({.over = 10s});
    stage_driver t(seed);
    const stage_under_test s(p);
    starts.push_back(s->enter(t).at() - t.now());
  }
  std::sort(starts.begin(), starts.end());
  for (std::size_t i = 1; i < 10; ++i)
    EXPECT_NEAR(std::chrono::duration<double>(starts[i * 100]).count(), static_cast<double>(i),
                0.5);
}

// Who has less time than that must not spend all of it on waiting, and still not go with the fleet.
TEST(start_spread, a_call_with_less_time_waits_within_half_of_it) {
  std::vector<duration> waits;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    start_spread_policy p({.over = 1h});
    stage_driver t(seed);
    t.set_deadline(t.now() + 2s);
    const stage_under_test s(p);
    const step wait = s->enter(t);
    ASSERT_EQ(wait.what(), verb::sleep);
    if (wait.at() < t.now() + 1s) waits.push_back(wait.at() - t.now());
  }
  EXPECT_GE(waits.size(), 199u);  // but for one whose moment comes within 2 s of an hour
  const auto [least, most] = std::minmax_element(waits.begin(), waits.end());
  EXPECT_LT(*least, 100ms);
  EXPECT_GT(*most, 900ms);
}

TEST(start_spread, its_moment_is_kept_when_the_deadline_allows_it) {
  start_spread_policy p({.over = 4s});
  stage_driver t;
  const stage_under_test first(p);
  const time_point at = first->enter(t).at();
  stage_driver just;
  just.set_deadline(at + 1ns);
  const stage_under_test s(p);
  EXPECT_EQ(s->enter(just).at(), at);
}

TEST(start_spread, an_outcome_passes) {
  start_spread_policy p({});
  stage_driver t;
  const stage_under_test s(p);
  (void)s->enter(t);
  (void)s->inner_done(0, test::failed(errc::server_error), t);
  EXPECT_EQ(t.result.error, errc::server_error);
  EXPECT_EQ(p.needs_of_success(), success_needs::nothing);
}

TEST(start_spread, the_end_of_time_does_not_overflow) {
  start_spread_policy p({.over = 1h});
  stage_driver t;
  t.set_now(never - 1ns);
  const stage_under_test s(p);
  (void)s->enter(t);
  const stage_under_test again(p);
  (void)again->enter(t);
}

TEST(start_spread, is_named) {
  EXPECT_EQ(start_spread_policy({}).name(), "start_spread");
  EXPECT_EQ(start_spread_policy({}).kind(), "start_spread");
  EXPECT_EQ(start_spread_policy({.name = "billing start"}).name(), "billing start");
}

TEST(start_spread, bad_options_are_refused_by_name) {
  for (const duration bad : {duration(0), duration(-1), duration::min(), duration(1h) + 1ns}) {
    try {
      const start_spread_policy p({.over = bad});
      ADD_FAILURE() << bad.count();
    } catch (const config_error& e) {
      EXPECT_EQ(e.field(), "start_spread.over");
    }
  }
}

}  // namespace
}  // namespace hawser::start_spread_test
