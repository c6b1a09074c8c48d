// Permits and steering by hand among threads; meant for the thread sanitizer as well.
#include "by_hand/by_hand.hpp"
#include "hawser/observe/observer.hpp"
#include "hawser/policy/bulkhead.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace hawser::test::threads_test {
namespace {

constexpr int workers = 4;
constexpr int rounds = 2'000;

/// Runs `work(thread, round)` on several threads.
void on_threads(const std::function<void(int, int)>& work) {
  std::vector<std::thread> threads;
  for (int n = 0; n < workers; ++n)
    threads.emplace_back([&work, n] {
      for (int i = 0; i < rounds; ++i) work(n, i);
    });
  for (std::thread& t : threads) t.join();
}

/// Passes each thread's permits on to the next one.
template <class Permit>
class exchange {
 public:
  /// Puts `mine` there, and takes what was there.
  Permit swap(int place, Permit mine) {
    const std::lock_guard guard(lock_);
    std::swap(mine, permits_[place % workers]);
    return mine;
  }

 private:
  std::mutex lock_;
  Permit permits_[workers];
};

TEST(by_hand_threads, a_breakers_permit_may_report_on_another_thread) {
  seeded_entropy random(1);
  circuit_breaker_policy breaker({.window = count_window{.calls = 1'000'000},
                                  .failure_ratio = {},
                                  .consecutive_failures = 1'000'000});
  std::atomic<std::uint64_t> reported{0};
  std::atomic<std::uint64_t> failures{0};
  {
    exchange<circuit_permit> others;
    on_threads([&](int n, int i) {
      circuit_permit p = others.swap(n + i, breaker.try_acquire(start, random));
      const bool fails = i % 5 == 0;
      const settlement got = fails ? p.failure(1ms, start) : p.success(1ms, start);
      if (got != settlement::counted) return;  // nobody had put one there
      ++reported;
      failures += fails ? 1 : 0;
    });
  }
  const circuit_snapshot s = breaker.snapshot(start);
  EXPECT_EQ(s.calls, reported);
  EXPECT_EQ(s.failures, failures);
  EXPECT_GE(s.calls, workers * rounds - workers);
}

TEST(by_hand_threads, a_bulkheads_permit_may_go_back_on_another_thread) {
  bulkhead_policy slots({.max_concurrent = 3});
  std::atomic<int> refused{0};
  {
    exchange<bulkhead_permit> others;
    on_threads([&](int n, int i) {
      refusal no;
      bulkhead_permit p = others.swap(n + i, slots.try_acquire(&no));
      if (no.code == errc::bulkhead_full) {
        ++refused;
        EXPECT_DOUBLE_EQ(no.why.measured, 3);
      }
      EXPECT_LE(slots.snapshot().in_flight, 3);
      if (i % 2 == 0) p.release();
    });
    EXPECT_GE(slots.snapshot().in_flight, 0);
  }
  EXPECT_EQ(slots.snapshot().in_flight, 0);
  EXPECT_EQ(slots.snapshot().queued, 0);
}

TEST(by_hand_threads, tokens_given_back_are_never_more_than_were_taken) {
  for (const rate_algorithm algorithm : algorithms) {
    rate_limiter_policy p({.permits = 50, .per = 1s, .algorithm = algorithm});
    std::atomic<int> kept{0};
    on_threads([&](int n, int i) {
      rate_permit tokens = p.try_acquire(start);
      if (!tokens) return;
      if ((n + i) % 3 == 0)
        ++kept;  // sent
      else
        tokens.give_back(start);
    });
    EXPECT_LE(kept, 50);
    const auto left = p.snapshot(start).tokens;
    EXPECT_GE(left, 0);
    EXPECT_LE(left + kept, 50);
    // Without company each token comes back.
    rate_limiter_policy alone({.permits = 1, .per = 1s, .algorithm = algorithm});
    for (int i = 0; i < 10; ++i) alone.try_acquire(start).give_back(start);
    EXPECT_EQ(alone.snapshot(start).tokens, 1);
  }
}

TEST(by_hand_threads, pausing_and_resuming_mints_nothing) {
  rate_limiter_policy p({.permits = 1'000'000, .per = 1s, .burst = 10});
  std::atomic<std::int64_t> clock{0};
  std::atomic<std::int64_t> admitted{0};
  on_threads([&](int n, int i) {
    const time_point now = start + duration(clock += 300);
    if (n == 0) {
      if (i % 2 == 0)
        p.pause_until(now + 50us);
      else
        p.resume(now);
      const rate_snapshot s = p.snapshot(now);
      EXPECT_LE(s.tokens, s.burst);
      return;
    }
    rate_permit tokens = p.try_acquire(now);
    if (!tokens) return;
    if (i % 4 == 0)
      tokens.give_back(now);
    else
      ++admitted;
  });
  EXPECT_LE(admitted, 10 + clock / 1000);
  EXPECT_GT(admitted, 10);
}

TEST(by_hand_threads, steering_while_calls_are_out_loses_no_probe_and_settles) {
  circuit_breaker o{.name = "billing",
                    .failure_ratio = {},
                    .consecutive_failures = 3,
                    .open_for = 1us,
                    .open_cap = 1us,
                    .open_jitter = 0,
                    .probes = 2,
                    .probes_to_close = 2};
  circuit_breaker_policy breaker(o);
  seeded_entropy random(1);
  std::atomic<std::int64_t> clock{0};
  on_threads([&](int n, int i) {
    const time_point now = start + duration(clock += 100);
    if (n == 0) {
      switch (i % 7) {
        case 0: breaker.isolate(now); break;
        case 1: breaker.close(now); break;
        case 2: breaker.open(now, random, 2us); break;
        case 3: breaker.disable(now); break;
        case 4: breaker.metrics_only(now); break;
        case 5: breaker.reset(now); break;
        default: break;
      }
      return;
    }
    circuit_permit p = breaker.try_acquire(now, random);
    const circuit_snapshot s = breaker.snapshot(now);
    EXPECT_GE(s.probes_out, 0);
    EXPECT_LE(s.probes_out, 2);
    EXPECT_LE(s.failures, s.calls);
    EXPECT_LE(s.consecutive, s.failures);
    const bool opened =
        s.state == circuit_state::open || s.state == circuit_state::metrics_only_open;
    const bool never_asks = s.state == circuit_state::closed || s.state == circuit_state::isolated;
    EXPECT_TRUE(!opened || s.retry_at != never);
    EXPECT_TRUE(!never_asks || s.retry_at == never);
    if (i % 3 == 0)
      p.failure(1ms, now);
    else if (i % 3 == 1)
      p.success(1ms, now);
  });
  const time_point end = start + duration(clock);
  EXPECT_EQ(breaker.snapshot(end).probes_out, 0);
  breaker.reset(end);
  EXPECT_EQ(breaker.snapshot(end).late_results, 0U);
  circuit_permit p = breaker.try_acquire(end, random);
  EXPECT_EQ(p.success(1ms, end), settlement::counted);
}

TEST(by_hand_threads, opened_again_by_hand_a_refusal_never_mixes_two_openings) {
  // By a rule it measures 3 and lasts 1 h; by hand it measures nothing and lasts a day.
  circuit_breaker_policy breaker({.failure_ratio = {},
                                  .consecutive_failures = 3,
                                  .open_for = 1h,
                                  .open_cap = 1h,
                                  .open_jitter = 0});
  std::atomic<bool> done{false};
  std::vector<std::thread> readers;
  for (unsigned n = 0; n < 2; ++n)
    readers.emplace_back([&] {
      seeded_entropy random(2);
      while (!done.load()) {
        refusal no;
        if (breaker.try_acquire(start, random, &no)) continue;
        const bool by_hand = no.why.because == reason::forced;
        EXPECT_EQ(no.code, errc::circuit_open);
        EXPECT_DOUBLE_EQ(no.why.measured, by_hand ? 0 : 3);
        EXPECT_DOUBLE_EQ(no.why.threshold, by_hand ? 0 : 3);
        EXPECT_EQ(no.why.until, start + (by_hand ? 24h : 1h));
      }
    });
  seeded_entropy random(1);
  for (int i = 0; i < 20 * rounds; ++i) {
    for (int n = 0; n < 3; ++n) breaker.try_acquire(start, random).failure(1ms, start);
    breaker.open(start, random, 24h);
    breaker.close(start);
  }
  done = true;
  for (std::thread& t : readers) t.join();
}

TEST(by_hand_threads, every_change_is_told_once_and_in_order) {
  struct listening final : observer {
    void on_event(const event& what) override {
      // One teller at a time: no lock here.
      if (!last.empty() && last != what.from) ++breaks;
      last = what.to;
      ++told;
    }
    std::string last;
    int breaks = 0;
    int told = 0;
  };
  circuit_breaker_policy breaker({});
  listening ears;
  on_threads([&](int n, int i) {
    if (n < 2) {
      if (i % 2 == 0)
        breaker.isolate(start);
      else
        breaker.close(start);
    }
    breaker.tell(ears, start);
  });
  breaker.tell(ears, start);
  EXPECT_EQ(ears.last, to_string(breaker.snapshot(start).state));
  EXPECT_GT(ears.told, 0);
  EXPECT_LE(ears.told, 2 * rounds);
}

}  // namespace
}  // namespace hawser::test::threads_test
