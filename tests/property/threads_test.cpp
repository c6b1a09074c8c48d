// What threads that share a policy may rely on. Bounded loops, run under the thread sanitizer too.
#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/keyed.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "hawser/policy/retry_budget.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/async.hpp"
#include "hawser/run/environment.hpp"

#include "support/stage_driver.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace hawser::test::threads_test {
namespace {

using namespace std::chrono_literals;

constexpr int workers = 4;
constexpr time_point start = time_point{} + 1h;

template <class Work>
void in_threads(const Work& work) {
  std::vector<std::thread> all;
  for (int n = 1; n <= workers; ++n) all.emplace_back([&work, n] { work(n); });
  for (std::thread& t : all) t.join();
}

/// How many are inside at a time, and the most that ever were.
class gauge {
 public:
  void enter() {
    const int now_inside = ++inside_;
    int seen = most_.load();
    while (now_inside > seen && !most_.compare_exchange_weak(seen, now_inside)) {
    }
  }
  void leave() { --inside_; }
  [[nodiscard]] int most() const { return most_; }

 private:
  std::atomic<int> inside_{0};
  std::atomic<int> most_{0};
};

TEST(policies_among_threads, a_bulkhead_is_never_over_its_limit) {
  bulkhead_policy p({.max_concurrent = 3, .max_queue = 2});
  gauge inside;
  std::atomic<int> served{0};
  in_threads([&](int n) {
    seeded_entropy random(static_cast<std::uint64_t>(n));
    for (int i = 0; i < 5'000; ++i) {
      if (i % 3 == 0) {
        if (auto permit = p.try_acquire()) {
          inside.enter();
          if (random.next() % 8 == 0) std::this_thread::yield();
          inside.leave();
        }
        continue;
      }
      stage_driver t;
      const stage_under_test s(p);
      if (s->enter(t).what() == verb::call_inner) {
        ++served;
        inside.enter();
        if (random.next() % 8 == 0) std::this_thread::yield();
        inside.leave();
        (void)s->inner_done(0, succeeded(), t);
      }
      s->leave();  // whoever was queued goes, granted or not
    }
  });
  EXPECT_LE(inside.most(), 3);
  EXPECT_GT(served, 1'000);
  EXPECT_EQ(p.snapshot().in_flight, 0);
  EXPECT_EQ(p.snapshot().queued, 0);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(p.try_acquire());  // none was lost
}

TEST(policies_among_threads, a_permit_on_its_way_to_the_queue_is_not_taken_by_newcomers) {
  bulkhead_policy p({.max_concurrent = 1, .max_queue = 1});
  std::atomic<bool> handing_on{false};  // by one caller to the next, all the while
  std::atomic<bool> done{false};
  int handed_on = 0;
  std::atomic<int> in_between{0};
  std::thread newcomer([&] {
    while (!done)
      if (const auto permit = p.try_acquire(); permit && handing_on) ++in_between;
  });
  for (int i = 0; i < 100'000; ++i) {
    stage_driver one;
    stage_driver next;
    const stage_under_test first(p);
    const stage_under_test second(p);
    if (first->enter(one).what() == verb::call_inner) {
      handing_on = true;
      EXPECT_EQ(second->enter(next).what(), verb::park);
      (void)first->inner_done(0, succeeded(), one);
      EXPECT_EQ(second->woken(next).what(), verb::call_inner);
      handing_on = false;
      ++handed_on;
    }
    first->leave();
    second->leave();
  }
  done = true;
  newcomer.join();
  EXPECT_EQ(in_between, 0);
  EXPECT_GT(handed_on, 0);
  EXPECT_EQ(p.snapshot().in_flight, 0);
}

TEST(policies_among_threads, a_budget_never_overspends) {
  const auto tokens = make_budget(token_budget{.tokens = 1'000});
  const auto window = make_budget(retry_budget{.ratio = 0.5, .reserve_per_second = 0});
  for (int i = 0; i < 200; ++i) window->call_started(start);
  std::atomic<int> spent_tokens{0};
  std::atomic<int> spent_window{0};
  std::atomic<int> refunds{0};
  in_threads([&](int n) {
    for (int i = 0; i < 4'000; ++i) {
      const outcome failure = failed(errc::server_error);
      if (tokens->try_spend(failure, start)) ++spent_tokens;
      if (window->try_spend(failure, start)) ++spent_window;
      if (i % 8 == n) {
        ++refunds;
        tokens->succeeded(0, start);
        window->call_started(start);
      }
    }
  });
  const int earned = refunds;
  EXPECT_LE(5 * spent_tokens, 1'000 + earned);
  EXPECT_GE(5 * spent_tokens, 1'000);
  EXPECT_LE(spent_window, 100 + (earned + 1) / 2);
  EXPECT_GE(spent_window, 100);
  EXPECT_GE(tokens->balance(start), 0);
}

// However many come first at once: each key has one policy, and is found again.
TEST(policies_among_threads, a_key_has_one_policy) {
  constexpr int keys = 300;
  constexpr std::size_t most = 200;
  std::atomic<int> made{0};
  keyed_policy p(
      [&] {
        ++made;
        return make_policy(rate_limiter{.permits = 1, .per = 1h});
      },
      {.max_keys = most});
  std::array<std::vector<std::shared_ptr<policy>>, workers> seen;
  std::atomic<int> admitted{0};
  std::atomic<bool> done{false};
  std::thread reader([&] {
    while (!done) {
      std::size_t n = 0;
      p.for_each([&](std::string_view, policy&) { ++n; });
      EXPECT_LE(n, most);
    }
  });
  in_threads([&](int n) {
    auto& mine = seen[static_cast<std::size_t>(n - 1)];
    mine.resize(keys);
    for (int i = 0; i < keys; ++i) {
      const int which = n % 2 == 0 ? i : keys - 1 - i;  // they meet in the middle
      const std::string key = "key " + std::to_string(which);
      stage_driver t;
      t.set_key(key);
      alignas(64) std::byte room[1024];
      ASSERT_LE(p.stage_size(), sizeof room);
      stage* made_stage = nullptr;
      if (p.begin(room, t, made_stage).what() == verb::call_inner) ++admitted;
      made_stage->leave();
      made_stage->~stage();
      mine[static_cast<std::size_t>(which)] = p.of(key);
    }
  });
  done = true;
  reader.join();
  EXPECT_EQ(made, static_cast<int>(most) + 1);
  EXPECT_EQ(p.size(), most);
  for (std::size_t n = 1; n < seen.size(); ++n) EXPECT_EQ(seen[n], seen[0]);
  EXPECT_EQ(std::count(seen[0].begin(), seen[0].end(), p.shared()), keys - static_cast<int>(most));
  EXPECT_EQ(admitted, static_cast<int>(most) + 1);  // one a policy
}

TEST(policies_among_threads, a_limiter_never_admits_more_than_burst_and_rate) {
  for (const rate_algorithm algorithm :
       {rate_algorithm::gcra, rate_algorithm::fixed_window, rate_algorithm::sliding_window}) {
    rate_limiter_policy p({.permits = 50, .per = 50us, .algorithm = algorithm});
    std::atomic<std::int64_t> clock{start.time_since_epoch().count()};
    std::atomic<std::int64_t> admitted{0};
    in_threads([&](int n) {
      seeded_entropy random(static_cast<std::uint64_t>(n));
      for (int i = 0; i < 5'000; ++i) {
        // Each thread reads the clock at its own pace: readings go back and forth a little.
        const auto moved = static_cast<std::int64_t>(random.next() % 100);
        const time_point now(duration(clock.fetch_add(moved)));
        const auto cost = static_cast<std::uint32_t>(1 + random.next() % 3);
        if (p.try_acquire(now, cost)) admitted += cost;
        if (i % 100 == 0) (void)p.snapshot(now);
      }
    });
    const std::int64_t elapsed = clock - start.time_since_epoch().count();
    const std::int64_t windows = elapsed / 50'000 + 1;
    EXPECT_LE(admitted, algorithm == rate_algorithm::gcra ? 50 + elapsed / 1'000 : 50 * windows);
    EXPECT_GT(admitted, 300);
  }
}

TEST(policies_among_threads, a_breaker_never_has_more_than_n_probes_out) {
  circuit_breaker o{
      .failure_ratio = {}, .consecutive_failures = 1, .open_for = 1ms, .open_cap = 1ms};
  o.consecutive_span = {};
  o.probes = 3;
  o.probes_to_close = 1'000'000;
  o.probe_lease = 1h;
  circuit_breaker_policy p(o);
  seeded_entropy random(1);
  p.try_acquire(start, random).failure(1ms, start);
  const time_point later_on = start + 1s;
  gauge out;
  std::atomic<int> probes{0};
  in_threads([&](int n) {
    seeded_entropy mine(static_cast<std::uint64_t>(n));
    for (int i = 0; i < 5'000; ++i) {
      circuit_permit permit = p.try_acquire(later_on, mine);
      if (!permit) continue;
      ++probes;
      out.enter();
      if (mine.next() % 8 == 0) std::this_thread::yield();
      out.leave();
      if (mine.next() % 2 == 0) permit.success(1ms, later_on);  // else it goes back undecided
    }
  });
  EXPECT_LE(out.most(), 3);
  EXPECT_GT(probes, 1'000);
  EXPECT_EQ(p.snapshot(later_on).probes_out, 0);
  EXPECT_EQ(p.snapshot(later_on).state, circuit_state::half_open);
}

/// Calls through a breaker that opens and closes all the while, on four threads: they succeed,
/// fail, are cancelled while they wait or are out, and the breaker is steered. In the end none
/// waits.
TEST(policies_among_threads, waiting_for_a_breaker_loses_no_call_and_no_probe) {
  namespace asio = boost::asio;
  asio::thread_pool pool(workers);
  const environment env(pool.get_executor());
  const auto breaker =
      std::make_shared<circuit_breaker_policy>(circuit_breaker{.failure_ratio = {},
                                                               .consecutive_failures = 2,
                                                               .consecutive_span = {},
                                                               .open_for = 1ms,
                                                               .open_cap = 4ms,
                                                               .probes = 2,
                                                               .probe_lease = 20ms,
                                                               .max_wait = 50ms,
                                                               .max_waiting = 100});
  const pipeline p = pipeline_builder{"busy"}.add(timeout{.after = 40ms}).add(breaker).build(env);
  std::atomic<bool> ails{false};
  std::atomic<int> ended{0};
  std::atomic<int> served{0};
  std::atomic<int> refused{0};
  const auto work = [&pool, &ails](auto token) {
    return asio::async_initiate<decltype(token), void(error_code)>(
        [&pool, &ails](auto handler) {
          auto timer = std::make_shared<asio::steady_timer>(pool, 200us);
          auto& waits = *timer;
          waits.async_wait([timer, &ails, h = std::move(handler)](error_code ec) mutable {
            if (!ec && ails) ec = errc::server_error;
            std::move(h)(ec);
          });
        },
        token);
  };
  constexpr int rounds = 60;
  constexpr int each = 40;
  for (int round = 0; round < rounds; ++round) {
    ails = round % 3 == 1;
    std::vector<std::unique_ptr<std::stop_source>> stops;
    for (int i = 0; i < each; ++i) {
      auto& stop = stops.emplace_back(std::make_unique<std::stop_source>());
      call_options options;
      options.stop = stop->get_token();
      p.wrap(work, options)(asio::bind_executor(pool, [&](error_code ec) {
        served += ec ? 0 : 1;
        refused += ec == condition::rejected ? 1 : 0;
        ++ended;
      }));
    }
    if (round % 10 == 5) breaker->isolate(env.now());
    for (std::size_t i = 0; i < stops.size(); i += 7) stops[i]->request_stop();
    if (round % 10 == 5) breaker->close(env.now());
    while (ended < round * each / 2) std::this_thread::yield();
  }
  while (ended < rounds * each) std::this_thread::yield();
  EXPECT_GT(served, 100);
  const circuit_snapshot s = breaker->snapshot(env.now());
  EXPECT_EQ(s.waiting, 0);
  EXPECT_EQ(s.probes_out, 0);
  pool.join();
}

}  // namespace
}  // namespace hawser::test::threads_test
