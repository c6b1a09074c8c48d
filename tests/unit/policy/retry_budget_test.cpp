#include "hawser/policy/retry_budget.hpp"

#include "hawser/policy/retry.hpp"

#include "support/stage_driver.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
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
outcome throttled() {
  outcome o = test::failed(errc::server_error);
  o.throttled = true;
  return o;
}

int spend_all(budget& b, time_point now, const outcome& failed = reset()) {
  int n = 0;
  while (b.try_spend(failed, now)) ++n;
  return n;
}

void start_calls(budget& b, int n, time_point now) {
  for (int i = 0; i < n; ++i) b.call_started(now);
}

TEST(retry_budget, default_is_fifteen_percent_of_the_calls_of_ten_seconds_or_one_per_second) {
  const auto b = make_budget(retry_budget{});
  EXPECT_EQ(b->name(), "retry_budget");
  start_calls(*b, 40, start);
  EXPECT_DOUBLE_EQ(b->balance(start), 10);  // the reserve; of calls it would be 6
  start_calls(*b, 960, start);
  EXPECT_DOUBLE_EQ(b->balance(start), 150);  // not 160: whichever is larger
  EXPECT_EQ(spend_all(*b, start), 150);
}

// A fleet of clients that make a call or two each must not have a storm in reserve.
TEST(retry_budget, the_reserve_is_no_more_than_two_and_three_tenths_a_call) {
  const auto b = make_budget(retry_budget{.ratio = 0, .reserve_per_second = 1});
  EXPECT_DOUBLE_EQ(b->balance(start), 2);
  start_calls(*b, 10, start);
  EXPECT_DOUBLE_EQ(b->balance(start), 5);
  start_calls(*b, 16, start);
  EXPECT_DOUBLE_EQ(b->balance(start), 9.8);
  start_calls(*b, 1, start);
  EXPECT_DOUBLE_EQ(b->balance(start), 10);  // one per second, over ten of them
  start_calls(*b, 1000, start);
  EXPECT_DOUBLE_EQ(b->balance(start), 10);
  EXPECT_DOUBLE_EQ(b->balance(start + 11s), 2);  // the calls are out of the window
  // One that is smaller than that is as it was given.
  const auto small = make_budget(retry_budget{.ratio = 0, .reserve_per_second = 0.1});
  EXPECT_DOUBLE_EQ(small->balance(start), 1);
}

TEST(retry_budget, two_hundred_small_clients_add_three_tenths_in_an_outage) {
  int calls = 0;
  int retries = 0;
  for (int client = 0; client < 200; ++client) {
    const auto b = make_budget(retry_budget{});
    for (int i = 0; i < 300; ++i) {  // five a second for a minute, all of which fail
      const time_point now = start + i * 200ms + client * 1ms;
      b->call_started(now);
      ++calls;
      for (int n = 0; n < 2 && b->try_spend(reset(), now); ++n) ++retries;
    }
  }
  EXPECT_LE(retries, calls * 3 / 10);
  EXPECT_GT(retries, 0);
}

TEST(retry_budget, an_extra_attempt_that_ends_its_call_well_costs_nothing) {
  const auto b = make_budget(retry_budget{});
  for (int i = 0; i < 10'000; ++i) {  // every second call needs one
    const time_point now = start + i * 10ms;
    b->call_started(now);
    if (i % 2 == 0) {
      b->succeeded(0, now);
      continue;
    }
    ASSERT_TRUE(b->try_spend(reset(), now)) << i;
    b->succeeded(1, now + 5ms);
  }
}

TEST(retry_budget, what_is_given_back_is_one_of_the_latest_that_was_spent) {
  const auto b = make_budget(retry_budget{.ratio = 0, .reserve_per_second = 0.2});
  EXPECT_TRUE(b->try_spend(reset(), start));
  EXPECT_TRUE(b->try_spend(reset(), start + 5s));
  b->succeeded(1, start + 8s);
  EXPECT_DOUBLE_EQ(b->balance(start + 8s), 1);
  EXPECT_DOUBLE_EQ(b->balance(start + 11s), 2);  // the older one is out of the window by itself
  EXPECT_DOUBLE_EQ(b->balance(start + 16s), 2);
}

TEST(retry_budget, no_more_is_given_back_than_was_spent) {
  const auto b = make_budget(retry_budget{});
  for (int i = 0; i < 5; ++i) b->succeeded(1, start);
  EXPECT_DOUBLE_EQ(b->balance(start), 2);
  EXPECT_TRUE(b->try_spend(reset(), start));
  for (int i = 0; i < 5; ++i) b->succeeded(1, start);
  EXPECT_DOUBLE_EQ(b->balance(start), 2);
  // What was paid longer ago than a window is back already.
  EXPECT_TRUE(b->try_spend(reset(), start));
  b->succeeded(1, start + 1h);
  EXPECT_DOUBLE_EQ(b->balance(start + 1h), 2);
}

TEST(retry_budget, who_paid_nothing_gives_nothing_back) {
  const auto b = make_budget(retry_budget{});
  EXPECT_TRUE(b->try_spend(reset(), start));
  for (const double nothing : {0.0, -1.0, std::nan("")}) b->succeeded(nothing, start);
  EXPECT_DOUBLE_EQ(b->balance(start), 1);
}

TEST(retry_budget, with_a_ratio_of_nothing_there_is_the_reserve) {
  const auto b = make_budget(retry_budget{.ratio = 0, .reserve_per_second = 1});
  start_calls(*b, 1'000'000, start);
  EXPECT_EQ(spend_all(*b, start), 10);
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
  const auto b = make_budget(retry_budget{.ratio = 0, .window = 10s, .reserve_per_second = 0.2});
  EXPECT_EQ(spend_all(*b, start), 2);
  EXPECT_LT(b->balance(start + 10s), 1);
  EXPECT_FALSE(b->try_spend(reset(), start + 10s));  // spent for all of the window
  EXPECT_EQ(spend_all(*b, start + 11s), 2);
}

TEST(retry_budget, over_any_window_no_more_than_the_reserve_goes) {
  const auto b = make_budget(retry_budget{.ratio = 0, .window = 1s, .reserve_per_second = 7});
  std::deque<time_point> spent;
  std::size_t most = 0;
  for (time_point now = start; now < start + 20s; now += 7ms) {
    b->call_started(now);
    if (b->try_spend(reset(), now)) spent.push_back(now);
    while (!spent.empty() && spent.front() + 1s <= now) spent.pop_front();
    ASSERT_LE(spent.size(), 7U);
    most = std::max(most, spent.size());
  }
  EXPECT_EQ(most, 7U);
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

TEST(retry_budget, what_was_not_made_comes_back_whatever_successes_give) {
  const auto by_rate = make_budget(retry_budget{.refund = false});
  const auto by_tokens = make_budget(token_budget{.tokens = 10, .retry_refund = 0});
  for (const auto& b : {by_rate, by_tokens}) {
    start_calls(*b, 10, start);
    const double full = b->balance(start);
    ASSERT_TRUE(b->try_spend(reset(), start));
    b->refund(b->price(reset()), start);
    EXPECT_DOUBLE_EQ(b->balance(start), full) << b->name();
    b->refund(b->price(reset()), start);  // a second time: there is nothing to come back
    b->refund(0, start);
    EXPECT_DOUBLE_EQ(b->balance(start), full) << b->name();
  }
}

TEST(retry_budget, without_refund_successes_and_timeouts_make_no_difference) {
  const auto b = make_budget(retry_budget{.ratio = 0, .reserve_per_second = 1, .refund = false});
  b->succeeded(0, start);
  EXPECT_DOUBLE_EQ(b->price(timed_out()), 1);
  EXPECT_EQ(spend_all(*b, start, timed_out()), 2);
  b->succeeded(1, start);
  EXPECT_FALSE(b->try_spend(reset(), start));
}

TEST(retry_budget, a_clock_that_reads_backwards_mints_nothing) {
  const auto b = make_budget(retry_budget{.ratio = 0, .reserve_per_second = 1});
  start_calls(*b, 100, start);
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
  EXPECT_DOUBLE_EQ(b->balance(never), 10 - 1);
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

TEST(token_budget, a_clean_success_gives_its_refund_up_to_the_capacity) {
  const auto b = make_budget(
      token_budget{.tokens = 10, .retry_cost = 5, .timeout_cost = 5, .success_refund = 3});
  b->succeeded(0, start);
  EXPECT_DOUBLE_EQ(b->balance(start), 10);
  EXPECT_EQ(spend_all(*b, start), 2);
  for (const double want : {3.0, 6.0, 9.0, 10.0, 10.0}) {
    b->succeeded(0, start);
    EXPECT_DOUBLE_EQ(b->balance(start), want);
  }
  b->call_started(start);
  EXPECT_DOUBLE_EQ(b->balance(start + 1h), 10);
}

TEST(token_budget, a_success_after_a_retry_gives_back_what_that_retry_took) {
  const auto b = make_budget(token_budget{});
  EXPECT_TRUE(b->try_spend(reset(), start));
  EXPECT_TRUE(b->try_spend(timed_out(), start));
  EXPECT_DOUBLE_EQ(b->balance(start), 485);
  b->succeeded(10, start);
  EXPECT_DOUBLE_EQ(b->balance(start), 495);
  b->succeeded(10, start);
  EXPECT_DOUBLE_EQ(b->balance(start), 500);  // there is no room for more
}

TEST(token_budget, part_of_what_a_retry_took_may_be_kept) {
  const auto b = make_budget(token_budget{.tokens = 10, .retry_refund = 0.5});
  EXPECT_TRUE(b->try_spend(timed_out(), start));
  b->succeeded(10, start);
  EXPECT_DOUBLE_EQ(b->balance(start), 5);
  const auto none = make_budget(token_budget{.tokens = 10, .retry_refund = 0});
  EXPECT_TRUE(none->try_spend(timed_out(), start));
  none->succeeded(10, start);
  EXPECT_DOUBLE_EQ(none->balance(start), 0);
}

TEST(token_budget, a_throttle_has_its_own_price_and_so_has_a_timeout) {
  const auto b = make_budget(token_budget{.retry_cost = 2, .timeout_cost = 3, .throttle_cost = 4});
  EXPECT_DOUBLE_EQ(b->price(reset()), 2);
  EXPECT_DOUBLE_EQ(b->price(timed_out()), 3);
  EXPECT_DOUBLE_EQ(b->price(throttled()), 4);
  outcome both = timed_out();
  both.throttled = true;
  EXPECT_DOUBLE_EQ(b->price(both), 4);
  EXPECT_TRUE(b->try_spend(throttled(), start));
  EXPECT_DOUBLE_EQ(b->balance(start), 496);
  EXPECT_DOUBLE_EQ(make_budget(token_budget{.retry_cost = 7})->price(throttled()), 7);
}

TEST(token_budget, may_start_other_than_full) {
  EXPECT_DOUBLE_EQ(make_budget(token_budget{.initial = 7})->balance(start), 7);
  const auto b = make_budget(token_budget{.initial = 0});
  EXPECT_FALSE(b->try_spend(reset(), start));
  for (int i = 0; i < 600; ++i) b->succeeded(0, start);
  EXPECT_DOUBLE_EQ(b->balance(start), 500);
}

token_budget filled_by_calls(double per_call) {
  return {
      .tokens = 10, .retry_cost = 1, .timeout_cost = 1, .success_refund = 0, .per_call = per_call};
}

// Independent failures cost nothing in the end; a dead dependency gets the bucket and the calls'
// part, and no more.
TEST(token_budget, filled_by_calls_it_serves_independent_failures_and_stops_at_a_dead_end) {
  const auto b = make_budget(filled_by_calls(0.1));
  for (int i = 0; i < 10'000; ++i) {
    b->call_started(start);
    if (i % 2 == 0) continue;
    EXPECT_TRUE(b->try_spend(reset(), start));
    b->succeeded(1, start);
  }
  EXPECT_DOUBLE_EQ(b->balance(start), 10);
  int retries = 0;
  for (int i = 0; i < 1000; ++i) {
    b->call_started(start);
    retries += spend_all(*b, start);
  }
  EXPECT_EQ(retries, 10 + 1000 / 10 - 1);  // the first found it full; the rest makes 99.9
}

TEST(token_budget, fractions_of_calls_and_successes_add_up_exactly) {
  const auto by_calls = make_budget(filled_by_calls(0.1));
  token_budget o = filled_by_calls(0);
  o.success_refund = 0.1;
  const auto by_successes = make_budget(o);
  (void)spend_all(*by_calls, start);
  (void)spend_all(*by_successes, start);
  for (int tens = 1; tens <= 100; ++tens) {
    for (int i = 0; i < 9; ++i) by_calls->call_started(start), by_successes->succeeded(0, start);
    EXPECT_FALSE(by_calls->try_spend(reset(), start)) << tens;
    EXPECT_FALSE(by_successes->try_spend(reset(), start)) << tens;
    by_calls->call_started(start), by_successes->succeeded(0, start);
    EXPECT_TRUE(by_calls->try_spend(reset(), start)) << tens;
    EXPECT_TRUE(by_successes->try_spend(reset(), start)) << tens;
  }
}

token_budget filled_by_time(double per_second) {
  token_budget o = filled_by_calls(0);
  o.per_second = per_second;
  return o;
}

TEST(token_budget, filled_by_time_it_holds_what_the_time_gave_and_never_more_than_its_capacity) {
  const auto b = make_budget(filled_by_time(2));
  EXPECT_DOUBLE_EQ(b->balance(start), 10);
  EXPECT_EQ(spend_all(*b, start + 1h), 10);  // an hour before the first use is worth nothing
  EXPECT_FALSE(b->try_spend(reset(), start + 1h + 499ms));
  EXPECT_TRUE(b->try_spend(reset(), start + 1h + 500ms));
  EXPECT_EQ(spend_all(*b, start + 1h + 2s), 3);
  EXPECT_DOUBLE_EQ(b->balance(start + 2h), 10);
  EXPECT_EQ(spend_all(*b, start + 2h), 10);
  EXPECT_EQ(spend_all(*b, start + 2h + 3s), 6);
}

TEST(token_budget, time_loses_no_remainder_however_often_it_is_asked) {
  const auto b = make_budget(filled_by_time(1.0 / 3));
  EXPECT_EQ(spend_all(*b, start), 10);
  int spent = 0;
  for (int i = 1; i <= 30'000; ++i) spent += b->try_spend(reset(), start + i * 999'983ns) ? 1 : 0;
  EXPECT_EQ(spent, 9);  // 29.99949 s at a third each
  EXPECT_NEAR(b->balance(start + 30s), 0.99999, 1e-6);
}

TEST(token_budget, a_clock_that_reads_backwards_mints_nothing) {
  const auto b = make_budget(filled_by_time(1));
  EXPECT_EQ(spend_all(*b, start), 10);
  for (const duration back : {duration(1ns), duration(1s), duration(20s), duration(2h)}) {
    EXPECT_FALSE(b->try_spend(reset(), start - back));
    b->call_started(start - back);
    EXPECT_DOUBLE_EQ(b->balance(start - back), 0);
    EXPECT_DOUBLE_EQ(b->balance(start), 0);
  }
  EXPECT_FALSE(b->try_spend(reset(), time_point::min()));
  EXPECT_DOUBLE_EQ(b->balance(start + 3s), 3);
}

TEST(token_budget, the_beginning_and_the_end_of_time_do_not_overflow) {
  token_budget o = filled_by_time(10'000);
  const auto b = make_budget(o);
  b->call_started(time_point::min());
  EXPECT_TRUE(b->try_spend(reset(), time_point::min()));
  EXPECT_DOUBLE_EQ(b->balance(never), 10);
  EXPECT_EQ(spend_all(*b, never), 10);
  EXPECT_FALSE(b->try_spend(reset(), start));
  EXPECT_DOUBLE_EQ(b->balance(start), 0);
}

TEST(token_budget, a_payment_that_makes_no_sense_mints_no_more_than_there_is_room) {
  const auto b = make_budget(token_budget{.initial = 0});
  b->succeeded(-1, start);
  b->succeeded(std::nan(""), start);
  EXPECT_DOUBLE_EQ(b->balance(start), 2);  // neither paid, so both were clean
  b->succeeded(std::numeric_limits<double>::infinity(), start);
  EXPECT_DOUBLE_EQ(b->balance(start), 500);
}

TEST(token_budget, the_largest_numbers_do_not_overflow) {
  constexpr int most = std::numeric_limits<int>::max();
  const auto b = make_budget(token_budget{.tokens = most,
                                          .retry_cost = 1,
                                          .timeout_cost = most,
                                          .success_refund = most,
                                          .per_call = most,
                                          .per_second = 10'000});
  EXPECT_TRUE(b->try_spend(timed_out(), start));
  b->succeeded(most, start);
  EXPECT_DOUBLE_EQ(b->balance(start), most);
  EXPECT_TRUE(b->try_spend(reset(), start));
  b->succeeded(0, start);
  b->call_started(never);
  EXPECT_DOUBLE_EQ(b->balance(start), most);
}

// The published step lists of the AWS SDKs' retry behaviour, as a retry goes through them.

enum class answer { ok, error, timeout, throttle };
using enum answer;

struct spec_step {
  answer got;
  double quota;         // afterwards
  duration wait{-1ns};  // before the next attempt; negative: the call ends
};

struct spec_list {
  std::string title;
  token_budget budget;
  int max_attempts;
  duration first;
  duration cap;
  std::vector<spec_step> steps;  // an `ok` ends a call, another begins
};

token_budget standard(int initial = 500) {
  token_budget o = token_budget::aws_standard();
  o.initial = initial;
  return o;
}
token_budget of_2026(int initial = 500) {
  token_budget o = token_budget::aws_2026();
  o.initial = initial;
  return o;
}

const std::vector<spec_list>& spec_lists() {
  static const std::vector<spec_list> lists = {
      {"retry eventually succeeds",
       standard(),
       3,
       1s,
       20s,
       {{error, 495, 1s}, {error, 490, 2s}, {ok, 495}}},
      {"fail due to max attempts reached",
       standard(),
       3,
       1s,
       20s,
       {{error, 495, 1s}, {error, 490, 2s}, {error, 490}}},
      {"retry quota reached after a single retry",
       standard(5),
       3,
       1s,
       20s,
       {{error, 0, 1s}, {error, 0}}},
      {"no retries at all if retry quota is 0", standard(0), 3, 1s, 20s, {{error, 0}}},
      {"verifying exponential backoff timing",
       standard(),
       5,
       1s,
       20s,
       {{error, 495, 1s}, {error, 490, 2s}, {error, 485, 4s}, {error, 480, 8s}, {error, 480}}},
      {"verify max backoff time",
       standard(),
       5,
       1s,
       3s,
       {{error, 495, 1s}, {error, 490, 2s}, {error, 485, 3s}, {error, 480, 3s}, {error, 480}}},
      {"retry stops after retry quota exhaustion",
       standard(10),
       5,
       1s,
       20s,
       {{error, 5, 1s}, {error, 0, 2s}, {error, 0}}},
      {"retry quota recovery after successful responses",
       standard(15),
       5,
       1s,
       20s,
       {{error, 10, 1s}, {error, 5, 2s}, {ok, 10}, {error, 5, 1s}, {ok, 10}}},
      {"differing costs: a time-out takes ten and gives ten back",
       standard(),
       3,
       1s,
       20s,
       {{error, 495, 1s}, {timeout, 485, 2s}, {ok, 495}, {ok, 496}}},
      {"differing costs: five are not enough after a time-out",
       standard(14),
       4,
       1s,
       20s,
       {{error, 9, 1s}, {timeout, 9}}},
      {"differing costs: a throttle is a retry like others",
       standard(),
       3,
       1s,
       20s,
       {{throttle, 495, 1s}, {ok, 500}}},

      {"2026: retry eventually succeeds",
       of_2026(),
       3,
       50ms,
       20s,
       {{error, 486, 50ms}, {error, 472, 100ms}, {ok, 486}}},
      {"2026: fail due to max attempts reached",
       of_2026(),
       3,
       50ms,
       20s,
       {{error, 486, 50ms}, {error, 472, 100ms}, {error, 472}}},
      {"2026: retry quota reached after a single retry",
       of_2026(14),
       3,
       50ms,
       20s,
       {{error, 0, 50ms}, {error, 0}}},
      {"2026: no retries at all if retry quota is 0", of_2026(0), 3, 50ms, 20s, {{error, 0}}},
      {"2026: verifying exponential backoff timing",
       of_2026(),
       5,
       50ms,
       20s,
       {{error, 486, 50ms},
        {error, 472, 100ms},
        {error, 458, 200ms},
        {error, 444, 400ms},
        {error, 444}}},
      {"2026: verify max backoff time",
       of_2026(),
       5,
       50ms,
       200ms,
       {{error, 486, 50ms},
        {error, 472, 100ms},
        {error, 458, 200ms},
        {error, 444, 200ms},
        {error, 444}}},
      {"2026: retry stops after retry quota exhaustion",
       of_2026(20),
       5,
       50ms,
       20s,
       {{error, 6, 50ms}, {error, 6}}},
      {"2026: retry quota recovery after successful responses",
       of_2026(30),
       5,
       50ms,
       20s,
       {{error, 16, 50ms}, {error, 2, 100ms}, {ok, 16}, {error, 2, 50ms}, {ok, 16}}},
      {"2026: a throttle drains five tokens and waits for a second",
       of_2026(),
       3,
       1s,
       20s,
       {{throttle, 495, 1s}, {ok, 500}}},
      {"2026: another base of the wait, and more attempts",
       of_2026(),
       4,
       25ms,
       20s,
       {{error, 486, 25ms}, {error, 472, 50ms}, {error, 458, 100ms}, {error, 458}}},
      {"2026: a time-out is not special",
       of_2026(),
       3,
       50ms,
       20s,
       {{timeout, 486, 50ms}, {ok, 500}}},
  };
  return lists;
}

outcome outcome_of(answer got) {
  switch (got) {
    case ok: return test::succeeded();
    case timeout: return timed_out();
    case throttle: return throttled();
    case error: break;
  }
  return reset();
}

TEST(token_budget, agrees_with_every_step_list_of_the_standard_mode) {
  for (const spec_list& list : spec_lists()) {
    SCOPED_TRACE(list.title);
    const auto b = make_budget(list.budget);
    retry_policy p(
        retry{.max_attempts = list.max_attempts,
              .delay = exponential{.first = list.first, .cap = list.cap, .spread = jitter::none},
              .budget = b,
              .skip_hopeless = false});
    test::stage_driver t;
    auto s = std::make_unique<test::stage_under_test>(p);
    (void)(*s)->enter(t);
    for (const spec_step& each : list.steps) {
      const step next = (*s)->inner_done(0, outcome_of(each.got), t);
      EXPECT_DOUBLE_EQ(b->balance(t.now()), each.quota);
      if (each.wait >= 0ns) {
        ASSERT_EQ(next.what(), step::verb::sleep);
        EXPECT_EQ(next.at() - t.now(), each.wait);
        t.set_now(next.at());
        (void)(*s)->timer(t);
        continue;
      }
      EXPECT_EQ(next.what(), step::verb::finish);
      EXPECT_EQ(t.result.ok(), each.got == ok);
      s = std::make_unique<test::stage_under_test>(p);
      (void)(*s)->enter(t);
    }
  }
}

// Two calls at once share a bucket: each gives back what its own last retry took.
TEST(token_budget, calls_that_overlap_give_back_their_own) {
  const auto b = make_budget(of_2026());
  retry_policy p(retry{.max_attempts = 5, .budget = b});
  test::stage_driver t;
  test::stage_under_test one(p);
  test::stage_under_test two(p);
  (void)one->enter(t);
  (void)two->enter(t);
  const auto fail = [&](test::stage_under_test& s, double left) {
    ASSERT_EQ(s->inner_done(0, reset(), t).what(), step::verb::sleep);
    (void)s->timer(t);
    EXPECT_DOUBLE_EQ(b->balance(t.now()), left);
  };
  fail(one, 486);
  fail(one, 472);
  fail(two, 458);
  (void)one->inner_done(0, test::succeeded(), t);
  EXPECT_DOUBLE_EQ(b->balance(t.now()), 472);
  (void)two->inner_done(0, test::succeeded(), t);
  EXPECT_DOUBLE_EQ(b->balance(t.now()), 486);
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
      {"token_budget.throttle_cost", {.throttle_cost = 0}},
      {"token_budget.throttle_cost", {.throttle_cost = 501}},
      {"token_budget.initial", {.initial = -1}},
      {"token_budget.initial", {.initial = 501}},
      {"token_budget.retry_refund", {.retry_refund = -0.1}},
      {"token_budget.retry_refund", {.retry_refund = 1.1}},
      {"token_budget.retry_refund", {.retry_refund = std::nan("")}},
      {"token_budget.success_refund", {.success_refund = -1}},
      {"token_budget.success_refund", {.success_refund = 3e9}},
      {"token_budget.success_refund", {.success_refund = 0}},
      {"token_budget.success_refund", {.success_refund = 0, .per_second = 1e-9}},
      {"token_budget.per_call", {.per_call = -1}},
      {"token_budget.per_call", {.per_call = 3e9}},
      {"token_budget.per_second", {.per_second = -1}},
      {"token_budget.per_second", {.per_second = 10'001}},
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
  start_calls(*by_window, 5000, start);
  EXPECT_EQ(spent_by_threads(*by_window, [] {}), 1230);
  const auto by_tokens = make_budget(token_budget{.tokens = 1234});
  EXPECT_EQ(spent_by_threads(*by_tokens, [] {}), 246);
}

TEST(retry_budget_threads, tokens_given_back_are_neither_lost_nor_minted) {
  const auto b = make_budget(filled_by_calls(0.125));
  std::atomic<int> kept{0};
  std::atomic<int> calls{0};
  std::vector<std::thread> threads;
  while (b->try_spend(reset(), start)) ++kept;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n < 5000; ++n) {
        // Empty or nearly: the capacity cuts nothing, so every token can be accounted for.
        b->call_started(start);
        ++calls;
        if (!b->try_spend(reset(), start)) continue;
        if (n % 3 == 0)
          b->succeeded(1, start);
        else
          ++kept;
      }
    });
  for (std::thread& t : threads) t.join();
  EXPECT_DOUBLE_EQ(b->balance(start) + kept, 10 + calls * 0.125);
}

TEST(retry_budget_threads, what_is_given_back_by_many_is_neither_lost_nor_minted) {
  const auto b = make_budget(retry_budget{.ratio = 0.05, .reserve_per_second = 0});
  start_calls(*b, 20'000, start);  // a thousand
  std::atomic<int> kept{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      for (int n = 0; n < 2000; ++n) {
        if (!b->try_spend(reset(), start + i * 1s)) continue;
        if (n % 16 != 0)
          b->succeeded(1, start + i * 1s);
        else
          ++kept;
      }
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(kept, 4 * 125);
  EXPECT_DOUBLE_EQ(b->balance(start + 4s), 1000 - kept);
}

TEST(retry_budget_threads, time_gives_each_moment_once) {
  token_budget o = filled_by_time(1000);
  const auto b = make_budget(o);
  std::atomic<int> spent{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n <= 5000; ++n)
        if (b->try_spend(reset(), start + n * 100us)) ++spent;
    });
  for (std::thread& t : threads) t.join();
  EXPECT_LE(spent + b->balance(start + 500ms), 10 + 500);
  EXPECT_GE(spent, 500);
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

TEST(budget_names, that_are_not_printable_are_refused) {
  const auto refusal = [](auto options) -> std::string {
    try {
      (void)make_budget(std::move(options));
      return "accepted";
    } catch (const config_error& e) {
      return e.what();
    }
  };
  EXPECT_EQ(refusal(retry_budget{.name = "a\r\nb"}),
            "retry_budget.name = a\\x0d\\x0ab: must be UTF-8 without control characters and line "
            "separators: it stands in logs; remove them");
  EXPECT_NE(refusal(token_budget{.name = "a\x1b[31m"}).find("token_budget.name"),
            std::string::npos);
  EXPECT_NE(refusal(token_budget{.name = "\xff"}).find("token_budget.name"), std::string::npos);
  EXPECT_EQ(refusal(retry_budget{.name = "z\xC3\xBCrich"}), "accepted");
}

}  // namespace
}  // namespace hawser::retry_budget_test
