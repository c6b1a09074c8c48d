#include "hawser/policy/retry_budget.hpp"

#include "support/stage_driver.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace hawser::retry_budget_test {
namespace {

using namespace std::chrono_literals;

constexpr time_point start = time_point{} + 1h;

outcome reset() {
  return test::failed(boost::system::errc::make_error_code(boost::system::errc::connection_reset));
}
outcome timed_out() { return test::failed(errc::attempt_timeout); }

int spend_all(budget& b, time_point now, const outcome& failed = reset()) {
  int n = 0;
  while (b.try_spend(failed, now)) ++n;
  return n;
}

void start_calls(budget& b, int n, time_point now) {
  for (int i = 0; i < n; ++i) b.call_started(now);
}

TEST(retry_budget, default_is_a_fifth_of_the_calls_of_ten_seconds_and_ten_per_second) {
  const auto b = make_budget(retry_budget{});
  EXPECT_EQ(b->name(), "retry_budget");
  EXPECT_DOUBLE_EQ(b->balance(start), 100);
  start_calls(*b, 1000, start);
  EXPECT_DOUBLE_EQ(b->balance(start), 300);
  EXPECT_EQ(spend_all(*b, start), 300);
}

TEST(retry_budget, calls_and_spending_fall_out_of_the_window) {
  const auto b = make_budget(retry_budget{.ratio = 0.5, .reserve_per_second = 0});
  start_calls(*b, 10, start);
  EXPECT_EQ(spend_all(*b, start + 3s), 5);
  start_calls(*b, 10, start + 9s);
  EXPECT_EQ(spend_all(*b, start + 10s), 5);
  EXPECT_DOUBLE_EQ(b->balance(start + 11s), -5);  // what the first calls earned is out
  EXPECT_FALSE(b->try_spend(reset(), start + 11s));
  EXPECT_DOUBLE_EQ(b->balance(start + 14s), 0);  // and now what they paid for
  EXPECT_DOUBLE_EQ(b->balance(start + 1h), 0);
}

TEST(retry_budget, an_exhausted_budget_recovers_by_itself) {
  const auto b = make_budget(retry_budget{.ratio = 0, .window = 10s, .reserve_per_second = 1});
  EXPECT_EQ(spend_all(*b, start), 10);
  EXPECT_LT(b->balance(start + 10s), 1);
  EXPECT_FALSE(b->try_spend(reset(), start + 10s));  // spent for all of the window
  EXPECT_EQ(spend_all(*b, start + 11s), 10);
}

TEST(retry_budget, over_any_window_no_more_than_the_reserve_goes) {
  const auto b = make_budget(retry_budget{.ratio = 0, .window = 1s, .reserve_per_second = 7});
  std::deque<time_point> spent;
  for (time_point now = start; now < start + 20s; now += 7ms) {
    if (b->try_spend(reset(), now)) spent.push_back(now);
    while (!spent.empty() && spent.front() + 1s <= now) spent.pop_front();
    ASSERT_LE(spent.size(), 7U);
  }
}

TEST(retry_budget, fractions_add_up_exactly) {
  const auto b = make_budget(retry_budget{.ratio = 0.1, .reserve_per_second = 0});
  for (int tens = 1; tens <= 100; ++tens) {
    start_calls(*b, 9, start);
    EXPECT_FALSE(b->try_spend(reset(), start)) << tens;
    start_calls(*b, 1, start);
    EXPECT_TRUE(b->try_spend(reset(), start)) << tens;
  }
}

TEST(retry_budget, successes_and_timeouts_make_no_difference) {
  const auto b = make_budget(retry_budget{.ratio = 0, .reserve_per_second = 1});
  b->succeeded(start);
  EXPECT_DOUBLE_EQ(b->price(timed_out()), 1);
  EXPECT_EQ(spend_all(*b, start, timed_out()), 10);
  b->succeeded(start);
  EXPECT_FALSE(b->try_spend(reset(), start));
}

TEST(retry_budget, a_clock_that_reads_backwards_mints_nothing) {
  const auto b = make_budget(retry_budget{.ratio = 0, .reserve_per_second = 1});
  EXPECT_EQ(spend_all(*b, start), 10);
  for (const duration back : {duration(1ns), duration(1s), duration(20s), duration(2h)})
    EXPECT_FALSE(b->try_spend(reset(), start - back));
  EXPECT_FALSE(b->try_spend(reset(), time_point::min()));
  EXPECT_FALSE(b->try_spend(reset(), start + 10s));
  b->call_started(time_point::min());
  EXPECT_DOUBLE_EQ(b->balance(time_point::min()), 0);
}

TEST(retry_budget, the_end_of_time_does_not_overflow) {
  const auto b = make_budget(retry_budget{.ratio = 10, .reserve_per_second = 1e6});
  b->call_started(time_point::max());
  EXPECT_TRUE(b->try_spend(reset(), never));
  EXPECT_DOUBLE_EQ(b->balance(never), 1e7 + 10 - 1);
}

TEST(retry_budget, a_hedge_pays_without_a_failure) {
  EXPECT_DOUBLE_EQ(make_budget(retry_budget{})->price(outcome{}), 1);
  EXPECT_DOUBLE_EQ(make_budget(token_budget{})->price(outcome{}), 5);
}

TEST(token_budget, five_hundred_tokens_five_per_retry_ten_per_timeout) {
  const auto b = make_budget(token_budget{});
  EXPECT_EQ(b->name(), "token_budget");
  EXPECT_DOUBLE_EQ(b->balance(start), 500);
  EXPECT_EQ(spend_all(*b, start), 100);
  const auto c = make_budget(token_budget{});
  EXPECT_DOUBLE_EQ(c->price(timed_out()), 10);
  EXPECT_EQ(spend_all(*c, start, timed_out()), 50);
}

TEST(token_budget, refusal_takes_nothing) {
  const auto b = make_budget(token_budget{.tokens = 19, .retry_cost = 5, .timeout_cost = 10});
  EXPECT_TRUE(b->try_spend(timed_out(), start));
  EXPECT_FALSE(b->try_spend(timed_out(), start));
  EXPECT_DOUBLE_EQ(b->balance(start), 9);
  EXPECT_TRUE(b->try_spend(reset(), start));
}

TEST(token_budget, success_pays_back_up_to_the_capacity) {
  const auto b = make_budget(token_budget{.tokens = 10, .retry_cost = 5, .success_refund = 3});
  b->succeeded(start);
  EXPECT_DOUBLE_EQ(b->balance(start), 10);
  EXPECT_EQ(spend_all(*b, start), 2);
  for (const double want : {3.0, 6.0, 9.0, 10.0, 10.0}) {
    b->succeeded(start);
    EXPECT_DOUBLE_EQ(b->balance(start), want);
  }
  b->call_started(start);
  EXPECT_DOUBLE_EQ(b->balance(start + 1h), 10);
}

TEST(token_budget, the_largest_numbers_do_not_overflow) {
  constexpr int most = std::numeric_limits<int>::max();
  const auto b = make_budget(
      token_budget{.tokens = most, .retry_cost = 1, .timeout_cost = most, .success_refund = most});
  EXPECT_TRUE(b->try_spend(reset(), start));
  b->succeeded(start);
  EXPECT_DOUBLE_EQ(b->balance(start), most);
}

TEST(retry_budget_options, out_of_bounds_is_refused_naming_the_field) {
  const std::vector<std::pair<std::string, retry_budget>> rows = {
      {"retry_budget.ratio", {.ratio = -0.1}},
      {"retry_budget.ratio", {.ratio = 10.5}},
      {"retry_budget.ratio", {.ratio = std::nan("")}},
      {"retry_budget.window", {.window = 0s}},
      {"retry_budget.window", {.window = 2h}},
      {"retry_budget.reserve_per_second", {.reserve_per_second = -1}},
      {"retry_budget.reserve_per_second", {.reserve_per_second = 2e6}},
      {"retry_budget.reserve_per_second", {.ratio = 0, .window = 1s, .reserve_per_second = 0.5}},
  };
  for (const auto& row : rows) {
    try {
      (void)make_budget(row.second);
      ADD_FAILURE() << row.first;
    } catch (const config_error& e) {
      EXPECT_EQ(e.field(), row.first);
    }
  }
}

TEST(token_budget_options, out_of_bounds_is_refused_naming_the_field) {
  const std::vector<std::pair<std::string, token_budget>> rows = {
      {"token_budget.tokens", {.tokens = 0}},
      {"token_budget.retry_cost", {.retry_cost = 0}},
      {"token_budget.retry_cost", {.tokens = 20, .retry_cost = 21}},
      {"token_budget.timeout_cost", {.timeout_cost = 0}},
      {"token_budget.timeout_cost", {.tokens = 9}},
      {"token_budget.success_refund", {.success_refund = 0}},
  };
  for (const auto& row : rows) {
    try {
      (void)make_budget(row.second);
      ADD_FAILURE() << row.first;
    } catch (const config_error& e) {
      EXPECT_EQ(e.field(), row.first);
    }
  }
}

TEST(retry_budget_options, a_name_is_kept) {
  EXPECT_EQ(make_budget(retry_budget{.name = "billing"})->name(), "billing");
  EXPECT_EQ(make_budget(token_budget{.name = "ledger"})->name(), "ledger");
}

int spent_by_threads(budget& b, const std::function<void()>& meanwhile) {
  std::atomic<int> spent{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n < 5000; ++n) {
        meanwhile();
        if (b.try_spend(reset(), start)) ++spent;
      }
    });
  for (std::thread& t : threads) t.join();
  return spent;
}

TEST(retry_budget_threads, concurrent_callers_may_not_overshoot) {
  const auto by_window = make_budget(retry_budget{.ratio = 0, .reserve_per_second = 123});
  EXPECT_EQ(spent_by_threads(*by_window, [] {}), 1230);
  const auto by_tokens = make_budget(token_budget{.tokens = 1234});
  EXPECT_EQ(spent_by_threads(*by_tokens, [] {}), 246);
}

TEST(retry_budget_threads, what_concurrent_calls_earn_is_neither_lost_nor_minted) {
  const auto b = make_budget(retry_budget{.ratio = 0.25, .reserve_per_second = 0});
  const int spent = spent_by_threads(*b, [&] { b->call_started(start); });
  EXPECT_DOUBLE_EQ(b->balance(start) + spent, 4 * 5000 * 0.25);
  EXPECT_LE(spent, 5000);
}

TEST(retry_budget_threads, time_passing_under_concurrent_calls_is_harmless) {
  const auto b = make_budget(retry_budget{.ratio = 1, .reserve_per_second = 0});
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n < 20'000; ++n) b->call_started(start + n * 1ms);
    });
  for (std::thread& t : threads) t.join();
  EXPECT_LE(b->balance(start + 20s), 3 * 20'000);
  EXPECT_DOUBLE_EQ(b->balance(start + 40s), 0);
}

}  // namespace
}  // namespace hawser::retry_budget_test
