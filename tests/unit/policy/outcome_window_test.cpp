#include "policy/outcome_window.hpp"

#include "policy/sharded_counter.hpp"
#include "policy/sliding_buckets.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <limits>
#include <optional>
#include <random>
#include <thread>
#include <vector>

namespace hawser::detail::outcome_window_test {
namespace {

using namespace std::chrono_literals;

constexpr time_point start = time_point{} + 1h;

std::uint64_t seed_of_this_run() {
  const char* given = std::getenv("HAWSER_TEST_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 20240229;
  std::cout << "seed " << seed << " (HAWSER_TEST_SEED)\n";
  return seed;
}

void expect_counts(outcome_window& window, time_point now, std::uint64_t calls,
                   std::uint64_t failures, std::uint64_t slow, std::uint64_t consecutive) {
  const window_counts counts = window.counts(now);
  EXPECT_EQ(counts.calls, calls);
  EXPECT_EQ(counts.failures, failures);
  EXPECT_EQ(counts.slow, slow);
  EXPECT_EQ(counts.consecutive, consecutive);
}

TEST(count_window_results, a_new_window_is_empty) {
  const auto window = make_window(count_window{.calls = 3});
  expect_counts(*window, start, 0, 0, 0, 0);
}

TEST(count_window_results, the_oldest_result_falls_out_exactly) {
  const auto window = make_window(count_window{.calls = 3});
  window->log({.failed = true, .slow = false}, 0s, start);  // F
  expect_counts(*window, start, 1, 1, 0, 1);
  window->add_success(0, start);  // F s
  window->add_success(0, start);  // F s s
  expect_counts(*window, start, 3, 1, 0, 0);
  window->add_success(0, start);  // s s s
  expect_counts(*window, start, 3, 0, 0, 0);
  window->log({.failed = false, .slow = true}, 0s, start);  // s s L
  window->log({.failed = true, .slow = true}, 0s, start);   // s L B
  expect_counts(*window, start, 3, 1, 2, 1);
  window->add_success(0, start);  // L B s
  window->add_success(0, start);  // B s s
  expect_counts(*window, start, 3, 1, 1, 0);
  window->log({.failed = true, .slow = false}, 0s, start);  // s s F
  expect_counts(*window, start, 3, 1, 0, 1);
}

TEST(count_window_results, a_window_of_one_holds_the_last_result) {
  const auto window = make_window(count_window{.calls = 1});
  window->log({.failed = true, .slow = false}, 0s, start);
  window->log({.failed = true, .slow = true}, 0s, start);
  expect_counts(*window, start, 1, 1, 1, 2);
  window->add_success(0, start);
  expect_counts(*window, start, 1, 0, 0, 0);
}

TEST(count_window_results, only_failures_count_as_consecutive_and_any_success_ends_the_row) {
  const auto window = make_window(count_window{.calls = 2});
  for (int i = 0; i < 7; ++i) window->log({.failed = true, .slow = false}, 0s, start);
  expect_counts(*window, start, 2, 2, 0, 7);  // the row may be longer than the window
  window->log({.failed = false, .slow = true}, 0s, start);
  expect_counts(*window, start, 2, 1, 1, 0);
  window->log({.failed = true, .slow = false}, 0s, start);
  window->add_success(0, start);
  window->log({.failed = true, .slow = false}, 0s, start);
  expect_counts(*window, start, 2, 1, 0, 1);
}

TEST(count_window_results, looking_does_not_hide_a_success_from_the_row) {
  const auto window = make_window(count_window{.calls = 10});
  window->log({.failed = true, .slow = false}, 0s, start);
  window->add_success(0, start);
  (void)window->counts(start);
  window->log({.failed = true, .slow = false}, 0s, start);
  EXPECT_EQ(window->counts(start).consecutive, 1U);
}

// Ages

TEST(aged_count_window_results, leave_at_the_end_of_their_age_to_the_tenth) {
  const auto window = make_window(count_window{.calls = 100, .max_age = 10s});
  window->restart(0, start);
  window->log({.failed = true, .slow = false}, 0s, start);
  window->log({.failed = false, .slow = true}, 0s, start + 999ms);  // the same tenth
  window->add_success(0, start + 999ms);
  ASSERT_TRUE(window->due(start + 1s));
  EXPECT_FALSE(window->due(start + 1s - 1ns));
  window->roll(start + 1s);
  window->add_success(0, start + 1s);
  expect_counts(*window, start + 10s - 1ns, 4, 1, 1, 0);
  expect_counts(*window, start + 10s, 1, 0, 0, 0);
  expect_counts(*window, start + 11s - 1ns, 1, 0, 0, 0);
  expect_counts(*window, start + 11s, 0, 0, 0, 0);
}

TEST(aged_count_window_results, are_evicted_by_number_as_well) {
  const auto window = make_window(count_window{.calls = 3, .max_age = 10s});
  window->restart(0, start);
  for (int i = 0; i < 5; ++i) window->log({.failed = true, .slow = false}, 0s, start);
  expect_counts(*window, start, 3, 3, 0, 5);
  for (int i = 0; i < 2; ++i) window->log({.failed = false, .slow = true}, 0s, start + 5s);
  expect_counts(*window, start + 5s, 3, 1, 2, 0);
  expect_counts(*window, start + 10s, 2, 0, 2, 0);
  expect_counts(*window, start + 1000h, 0, 0, 0, 0);
}

TEST(aged_count_window_results, how_many_came_lately_is_known_beyond_the_windows_size) {
  const auto window = make_window(count_window{.calls = 3, .max_age = 10s});
  window->restart(0, start);
  for (int i = 0; i < 50; ++i) window->add_success(0, start);
  window->log({.failed = true, .slow = false}, 0s, start);
  EXPECT_EQ(window->recent(start + 9s).count, 51U);
  EXPECT_EQ(window->recent(start + 9s).span, 10s);
  EXPECT_EQ(window->recent(start + 10s).count, 0U) << "as of the moment, not of the last result";
}

TEST(aged_count_window_results, the_ends_of_time_do_not_overflow) {
  for (const duration age : {duration(10ns), duration(10s), duration::max()}) {
    const auto window = make_window(count_window{.calls = 5, .max_age = age});
    for (const time_point at : {time_point::min(), time_point{} - 1ns, time_point{},
                                time_point::max() - 1ns, time_point::max()}) {
      window->log({.failed = true, .slow = false}, 0s, at);
      EXPECT_GE(window->counts(at).calls, 1U);
    }
  }
}

TEST(outcome_window, knows_how_long_nothing_but_failures_came) {
  const auto window = make_window(count_window{});
  const auto fail = [&](time_point at, duration took) {
    window->log({.failed = true, .slow = false}, took, at);
    return window->row_span(at);
  };
  EXPECT_EQ(fail(start, 0s), 0s) << "a new window knows of nothing before";
  EXPECT_EQ(fail(start + 2s, 3s), 3s) << "since the first of them began";
  EXPECT_EQ(fail(start + 3s, 0s), 4s);
  window->add_success(0, start + 100s);
  EXPECT_EQ(fail(start + 110s, 1s), 10s) << "one alone: since the last answer, in its own time";
  EXPECT_EQ(fail(start + 110s + 500ms, 0s), 1s + 500ms + 5 * 1500ms)
      << "five gaps more of those between them";
  EXPECT_EQ(fail(start + 111s, 0s), 2s + 5 * 1s);
  EXPECT_EQ(fail(start + 120s, 0s), 20s) << "but no more than since the last answer";
  window->answered(start + 200s);
  EXPECT_EQ(fail(start + 201s, 2s), 0s) << "began before the answer: no row";
  EXPECT_EQ(window->counts(start + 201s).consecutive, 0U);
  EXPECT_EQ(fail(start + 202s, 2s), 2s);
  window->log({.failed = false, .slow = true}, 9s, start + 300s);
  EXPECT_EQ(fail(start + 301s, 0s), 1s) << "a slow success is an answer too";
  window->restart(1, start + 400s);
  EXPECT_EQ(fail(start + 401s, 0s), 1s) << "what restarts a window is an answer";
}

TEST(outcome_window, a_success_of_an_earlier_tag_is_not_counted) {
  for (const std::variant<count_window, time_window>& shape :
       {std::variant<count_window, time_window>(count_window{}),
        std::variant<count_window, time_window>(time_window{})}) {
    const auto window = make_window(shape);
    window->restart(7, start);
    EXPECT_TRUE(window->add_success(7, start));
    window->log({.failed = true, .slow = true}, 0s, start);
    window->restart(8, start);
    EXPECT_FALSE(window->add_success(7, start));
    expect_counts(*window, start, 0, 0, 0, 0);
    EXPECT_TRUE(window->add_success(8, start));
    expect_counts(*window, start, 1, 0, 0, 0);
  }
}

TEST(time_window_results, buckets_fall_out_as_time_goes_on) {
  const auto window = make_window(time_window{.span = 10s, .buckets = 10});
  window->restart(0, start);
  window->log({.failed = true, .slow = false}, 0s, start);
  window->log({.failed = false, .slow = true}, 0s, start + 500ms);
  window->add_success(0, start + 500ms);
  ASSERT_TRUE(window->due(start + 1s));
  EXPECT_FALSE(window->due(start + 1s - 1ns));
  window->roll(start + 1s);
  window->add_success(0, start + 1s);
  expect_counts(*window, start + 9s, 4, 1, 1, 0);
  expect_counts(*window, start + 10s - 1ns, 4, 1, 1, 0);
  expect_counts(*window, start + 10s, 1, 0, 0, 0);  // the first second is out
  expect_counts(*window, start + 11s, 0, 0, 0, 0);
}

TEST(time_window_results, a_long_gap_empties_it) {
  const auto window = make_window(time_window{.span = 10s, .buckets = 10});
  window->restart(0, start);
  for (int i = 0; i < 10; ++i)
    window->log({.failed = true, .slow = true}, 0s, start + std::chrono::seconds(i));
  expect_counts(*window, start + 9s, 10, 10, 10, 10);
  expect_counts(*window, start + 1000h, 0, 0, 0, 10);
}

TEST(time_window_results, a_clock_that_reads_backwards_is_harmless) {
  const auto window = make_window(time_window{.span = 10s, .buckets = 10});
  window->restart(0, start);
  window->log({.failed = true, .slow = false}, 0s, start + 5s);
  window->log({.failed = true, .slow = false}, 0s, start - 30min);
  expect_counts(*window, start - 1h, 2, 2, 0, 2);
  EXPECT_FALSE(window->due(time_point::min()));
  expect_counts(*window, start + 14s, 2, 2, 0, 2);
  expect_counts(*window, start + 15s, 0, 0, 0, 2);
}

TEST(time_window_results, the_ends_of_time_do_not_overflow) {
  const std::vector<time_window> shapes = {{.span = 1ns, .buckets = 1},
                                           {.span = duration::max(), .buckets = 1},
                                           {.span = duration::max(), .buckets = 1000},
                                           {.span = 10s, .buckets = 10}};
  for (const time_window& shape : shapes) {
    const auto window = make_window(shape);
    for (const time_point at : {time_point::min(), time_point{} - 1ns, time_point{},
                                time_point::max() - 1ns, time_point::max()}) {
      window->log({.failed = true, .slow = false}, 0s, at);
      EXPECT_GE(window->counts(at).calls, 1U);
    }
    window->restart(1, time_point::max());
    window->restart(2, time_point::min());
    window->log({.failed = true, .slow = false}, 0s, time_point::max());
    expect_counts(*window, time_point::max(), 1, 1, 0, 1);
  }
}

TEST(time_window_results, before_the_first_moment_of_the_clock_buckets_are_as_long) {
  const auto window = make_window(time_window{.span = 2s, .buckets = 2});
  window->restart(0, time_point{} - 500ms);
  EXPECT_FALSE(window->due(time_point{} - 1ns));
  EXPECT_TRUE(window->due(time_point{}));
}

// The reference: every result kept with its bucket, counted one by one.
struct plain_window {
  std::size_t calls;  // 0: however many
  duration width;
  int buckets;  // 0: however old
  std::int64_t current = std::numeric_limits<std::int64_t>::min();
  std::uint64_t consecutive = 0;
  struct one {
    bool failed, slow;
    std::int64_t bucket;
  };
  std::deque<one> all;
  std::optional<time_point> plain_success;  // the latest that no failure and no look has met yet
  time_point answered = time_point::min();

  /// Callers' clocks differ a little: an answer is no later than who first meets it.
  void settle(time_point now) {
    if (!plain_success) return;
    answered = std::min(now, *plain_success);
    plain_success.reset();
  }
  void add(bool failed, bool slow, time_point now, duration took = 0s) {
    if (failed || slow) settle(now);
    let_pass(now);
    all.push_back({failed, slow, current});
    if (!failed) {
      consecutive = 0;
      if (slow)
        answered = now;
      else
        plain_success = now;
      return;
    }
    consecutive += answered == time_point::min() || now - took >= std::min(answered, now) ? 1U : 0U;
  }
  void let_pass(time_point now) {
    current = std::max<std::int64_t>(current, now.time_since_epoch() / width);
    while (!all.empty() && ((calls != 0 && all.size() > calls) ||
                            (buckets != 0 && all.front().bucket + buckets <= current)))
      all.pop_front();
  }
  window_counts look(time_point now) {
    settle(now);
    let_pass(now);
    window_counts sums{all.size(), 0, 0, consecutive};
    for (const one& r : all) {
      sums.failures += r.failed ? 1U : 0U;
      sums.slow += r.slow ? 1U : 0U;
    }
    return sums;
  }
};

void run_against_plain_window(const std::variant<count_window, time_window>& shape,
                              plain_window plain) {
  const std::uint64_t seed = seed_of_this_run();
  std::mt19937_64 random(seed);
  const auto window = make_window(shape);
  time_point now = start;
  for (int i = 0; i < 150'000; ++i) {
    const std::uint64_t dice = random();
    switch (dice % 16) {
      case 0: now += duration(random() % 3'000'000'000); break;
      case 1: now -= duration(random() % 500'000'000); break;
      case 2:
      case 3: {
        const duration took = (dice >> 9) % 2 == 0 ? 0ns : duration(dice % 2'000'000'000);
        window->log({.failed = true, .slow = (dice >> 8) % 2 == 0}, took, now);
        plain.add(true, (dice >> 8) % 2 == 0, now, took);
        break;
      }
      case 4:
        window->log({.failed = false, .slow = true}, 0s, now);
        plain.add(false, true, now);
        break;
      default:
        if (window->due(now)) {
          window->roll(now);
          plain.settle(now);
        }
        ASSERT_TRUE(window->add_success(0, now));
        plain.add(false, false, now);
    }
    if ((dice >> 16) % 4 != 0) continue;  // often several results between two looks
    const window_counts got = window->counts(now);
    const window_counts want = plain.look(now);
    ASSERT_EQ(got.calls, want.calls) << "step " << i << ", seed " << seed;
    ASSERT_EQ(got.failures, want.failures) << "step " << i << ", seed " << seed;
    ASSERT_EQ(got.slow, want.slow) << "step " << i << ", seed " << seed;
    ASSERT_EQ(got.consecutive, want.consecutive) << "step " << i << ", seed " << seed;
  }
}

TEST(outcome_window_property, the_count_window_agrees_with_a_plain_list) {
  run_against_plain_window(count_window{.calls = 37}, {37, 1s, 0, 0, 0, {}, {}});
}

TEST(outcome_window_property, the_aged_count_window_agrees_with_a_plain_list) {
  run_against_plain_window(count_window{.calls = 37, .max_age = 30s}, {37, 3s, 10, 0, 0, {}, {}});
}

TEST(outcome_window_property, the_time_window_agrees_with_a_plain_list) {
  run_against_plain_window(time_window{.span = 7s, .buckets = 7}, {0, 1s, 7, 0, 0, {}, {}});
}

TEST(outcome_window_threads, sums_are_exact_while_many_threads_count) {
  const auto window = make_window(count_window{.calls = 1'000'000});
  constexpr std::uint64_t each = 40'000;
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (std::uint64_t n = 0; n < each; ++n) EXPECT_TRUE(window->add_success(0, start));
    });
  std::uint64_t logged = 0;
  std::uint64_t last = 0;
  std::thread failing([&] {
    while (!done.load()) {
      window->log({.failed = true, .slow = false}, 0s, start);
      ++logged;
      const std::uint64_t seen = window->counts(start).calls;
      EXPECT_GE(seen, last);
      last = seen;
      if (logged == 2000) break;
    }
  });
  for (std::thread& t : threads) t.join();
  done = true;
  failing.join();
  expect_counts(*window, start, 4 * each + logged, logged, 0, window->counts(start).consecutive);
}

TEST(outcome_window_threads, no_success_of_an_earlier_tag_slips_into_the_next) {
  sharded_counter counter;
  std::atomic<std::uint16_t> current{0};
  std::atomic<bool> done{false};
  constexpr std::uint16_t last_tag = 2000;
  std::atomic<std::uint64_t> taken_under_last{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      while (!done.load()) {
        const std::uint16_t tag = current.load();
        std::this_thread::yield();  // the restart often comes between
        if (counter.add(tag) && tag == last_tag) ++taken_under_last;
      }
    });
  std::uint64_t collected = 0;
  for (std::uint16_t tag = 1; tag <= last_tag; ++tag) {
    counter.restart(tag);
    current = tag;
    std::this_thread::yield();
  }
  for (int i = 0; i < 1000; ++i) collected += counter.collect();
  done = true;
  for (std::thread& t : threads) t.join();
  collected += counter.collect();
  EXPECT_EQ(collected, taken_under_last.load());
}

}  // namespace
}  // namespace hawser::detail::outcome_window_test
