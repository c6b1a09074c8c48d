// Contexts that go down in the middle, environments with a thread of their own, and
// multi-threading. Under the address sanitizer whatever is not let go shows as a leak.
#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/fallback.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/execute.hpp"

#include "support/virtual_time.hpp"

#include <boost/asio/append.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include <atomic>
#include <deque>
#include <filesystem>
#include <future>
#include <mutex>
#include <thread>

namespace hawser::test::lifetime_test {
namespace {

namespace asio = boost::asio;

using lifetime = on_virtual_time;

TEST_F(lifetime, a_context_that_goes_down_lets_go_of_calls_in_flight_asleep_and_parked) {
  expect_leftovers();
  auto slots = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1, .max_queue = 5});
  scripted_operation hanging{env, {scripted_end::hang()}};
  scripted_operation failing{env, {scripted_end::fail(connection_reset)}};
  auto held = std::make_shared<int>(0);
  const auto handler = [held](error_code, int) { ++*held; };
  {
    const pipeline in_flight = builder().add(slots).add(timeout{.after = 1h}).build(env);
    const pipeline asleep = builder().add(retry{.max_attempts = 2, .delay = steady(1h)}).build(env);
    const pipeline bare = builder().build(env);
    in_flight.wrap(hanging)(handler);
    in_flight.wrap(hanging)(handler);  // parked
    asleep.wrap(failing)(handler);
    bare.wrap(hanging)(handler);
    env.advance(1s);
  }
  EXPECT_EQ(slots->snapshot().in_flight, 1);
  EXPECT_EQ(slots->snapshot().queued, 1);
  env.shut_down();
  EXPECT_EQ(slots->snapshot().in_flight, 0) << "permits go back all the same";
  EXPECT_EQ(slots->snapshot().queued, 0);
  EXPECT_EQ(*held, 0) << "nobody is called any more";
}

TEST_F(lifetime, a_context_that_goes_down_before_the_first_handler_ran) {
  expect_leftovers();
  scripted_operation op{env, {scripted_end::ok(1)}};
  auto held = std::make_shared<int>(0);
  builder().add(timeout{.after = 1h}).build(env).wrap(op)([held](error_code, int) { ++*held; });
  env.shut_down();
  EXPECT_EQ(*held, 0);
  EXPECT_EQ(held.use_count(), 1);
}

TEST_F(lifetime, a_real_context_that_goes_down_lets_go_of_everything) {
  auto slots = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1, .max_queue = 5});
  auto held = std::make_shared<int>(0);
  {
    asio::io_context io;
    asio::steady_timer never_fires(io);
    never_fires.expires_after(1h);
    const environment real{io.get_executor()};
    const pipeline p = pipeline_builder{"test"}.add(slots).add(timeout{.after = 1h}).build(real);
    const pipeline asleep = pipeline_builder{"test"}
                                .add(retry{.max_attempts = 2, .delay = steady(1h)})
                                .calls_are(effect::idempotent)
                                .build(real);
    const auto handler = [held](error_code) { ++*held; };
    const auto wait = p.wrap([&](auto token) { return never_fires.async_wait(std::move(token)); });
    wait(handler);
    wait(handler);  // parked
    asleep.wrap([&](auto token) {
      return asio::async_initiate<decltype(token), void(error_code)>(
          [&](auto h) { asio::post(io, [h = std::move(h)]() mutable { h(connection_reset); }); },
          token);
    })(handler);
    io.poll();
    EXPECT_EQ(slots->snapshot().queued, 1);
    // Destroyed in the opposite order of birth: pipelines, environment, timer, context.
  }
  EXPECT_EQ(slots->snapshot().in_flight, 0);
  EXPECT_EQ(held.use_count(), 1);
}

TEST_F(lifetime, a_handle_kept_only_by_a_pending_handler_goes_down_with_its_context) {
  auto held = std::make_shared<int>(0);
  {
    asio::io_context io;
    auto never_fires = std::make_shared<asio::steady_timer>(io);
    never_fires->expires_after(1h);
    {
      const pipeline p =
          pipeline_builder{"test"}.add(timeout{.after = 1h}).build(environment{io.get_executor()});
      p.wrap([never_fires](auto token) { return never_fires->async_wait(std::move(token)); })(
          [held, p](error_code) { ++*held; });
    }
    io.poll();
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST_F(lifetime, wrapping_an_operation_starts_no_threads) {
  const auto threads = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
  };
  const auto before = threads();
  scripted_operation op{env, {scripted_end::ok(7)}};
  EXPECT_EQ(run(builder().build(env), op).value, 7);
  EXPECT_EQ(threads(), before) << "Asio's system context came to life";
}

TEST_F(lifetime, run_returns_when_the_last_call_has_ended) {
  // A time limit of an hour stands in the queue of timers; run() must not wait for it.
  asio::io_context io;
  const pipeline p =
      pipeline_builder{"test"}.add(timeout{.after = 1h}).build(environment{io.get_executor()});
  int done = 0;
  for (int i = 0; i < 10; ++i)
    p.wrap([&](auto token) {
      return asio::post(io, asio::append(std::move(token), error_code()));
    })([&](error_code) { ++done; });
  io.run();
  EXPECT_EQ(done, 10);
  io.restart();
  p.wrap([&](auto token) { return asio::post(io, asio::append(std::move(token), error_code())); })(
      [&](error_code) { ++done; });
  io.run();
  EXPECT_EQ(done, 11) << "and again";
}

TEST_F(lifetime, the_last_handle_may_go_in_a_handler_on_the_environments_own_thread) {
  std::promise<void> done;
  {
    const pipeline p = pipeline_builder{"test"}.add(timeout{.after = 1h}).build(environment{});
    auto last = std::make_unique<pipeline>(p);
    p.wrap([io = p.env().executor()](auto token) {
      return asio::post(io, asio::append(std::move(token), error_code()));
    })([last = std::move(last), &done](error_code) mutable {
      last.reset();
      done.set_value();
    });
  }
  done.get_future().get();
}

/// The last handle is dropped by a handler on the environment's thread, which goes on for a while.
void drop_on_own_thread(duration goes_on, std::atomic<bool>& ended) {
  environment own;
  std::promise<void> dropped;
  const asio::any_io_executor where = own.executor();
  asio::post(where, [own = std::move(own), &dropped, goes_on, &ended]() mutable {
    { const environment last = std::move(own); }
    dropped.set_value();
    std::promise<void>().get_future().wait_for(goes_on);
    ended = true;
  });
  dropped.get_future().wait();
}

[[noreturn]] void end_too_early() {
  static std::atomic<bool> first{false};
  static std::atomic<bool> second{false};
  drop_on_own_thread(1ms, first);
  // Stands for what the second thread uses: it must not go before that thread has ended.
  std::atexit([] { std::_Exit(first && second ? 0 : 1); });
  drop_on_own_thread(50ms, second);
  std::exit(2);
}

TEST_F(lifetime, the_end_of_the_process_waits_for_a_thread_that_outlived_its_environment) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(end_too_early(), ::testing::ExitedWithCode(0), "");
}

TEST_F(lifetime, an_own_thread_goes_with_the_last_copy) {
  for (int i = 0; i < 20; ++i) {
    const environment own;
    const pipeline p = pipeline_builder{"test"}
                           .add(retry{.max_attempts = 3, .delay = steady(0s)})
                           .add(timeout{.after = 1h})
                           .calls_are(effect::idempotent)
                           .build(own);
    int n = 0;
    const auto r = p.execute([&]() -> int {
      if (++n < 3) throw std::runtime_error("again");
      return n;
    });
    EXPECT_EQ(r.value(), 3);
  }
}

TEST_F(lifetime, timers_fire_on_the_real_clock) {
  const environment own;
  const pipeline p = pipeline_builder{"test"}.add(timeout{.after = 1ms}).build(own);
  std::promise<error_code> done;
  auto timer = std::make_shared<asio::steady_timer>(own.executor());
  timer->expires_after(1h);
  p.wrap([timer](auto token) { return timer->async_wait(std::move(token)); })(
      [&](error_code ec) { done.set_value(ec); });
  EXPECT_EQ(done.get_future().get(), errc::call_timeout);
}

TEST_F(lifetime, a_pipeline_built_on_a_strand) {
  asio::io_context io;
  const auto strand = asio::make_strand(io);
  const pipeline p = pipeline_builder{"test"}
                         .add(retry{.max_attempts = 3, .delay = steady(1us)})
                         .calls_are(effect::idempotent)
                         .build(environment{strand});
  bool there = false;
  int tries = 0;
  p.wrap([&](auto token) {
    return asio::post(
        io, asio::append(std::move(token), ++tries < 3 ? connection_reset : error_code()));
  })([&](error_code ec) {
    EXPECT_FALSE(ec);
    there = strand.running_in_this_thread();
  });
  io.run();
  EXPECT_TRUE(there);
  EXPECT_EQ(tries, 3);
}

/// Parks each call until a moment shortly after, and wakes it from another thread just then.
struct woken_in_time : policy_with<woken_in_time, class woken_stage> {
  std::string_view kind() const noexcept override { return "woken_in_time"; }
  std::mutex mutex;
  waker* parked = nullptr;
  time_point due = never;
};
class woken_stage final : public stage {
 public:
  explicit woken_stage(woken_in_time& p) noexcept : policy_(p) {}
  step enter(tick& t) override {
    const std::lock_guard lock(policy_.mutex);
    policy_.parked = &t.wake_handle();
    return step::park(policy_.due = later(t.now(), 60us));
  }
  step timer(tick&) override { return step::call_inner(); }
  step woken(tick&) override { return step::call_inner(); }
  void leave() noexcept override {
    const std::lock_guard lock(policy_.mutex);
    policy_.parked = nullptr;
  }

 private:
  woken_in_time& policy_;
};

TEST_F(lifetime, a_call_survives_that_it_is_woken_when_its_time_comes) {
  asio::io_context io;
  const environment real{io.get_executor()};
  const auto shared = std::make_shared<woken_in_time>();
  const pipeline p = pipeline_builder{"test"}.add(shared).build(real);
  const auto op = p.wrap(
      [&](auto token) { return asio::post(io, asio::append(std::move(token), error_code())); });
  std::atomic<bool> over{false};
  std::thread alarm([&] {
    while (!over) {
      const std::lock_guard lock(shared->mutex);
      if (shared->parked != nullptr && real.now() >= shared->due) shared->parked->wake();
    }
  });
  auto work = asio::make_work_guard(io);
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) threads.emplace_back([&] { io.run(); });
  for (int i = 0; i < 2000; ++i) {
    std::promise<void> ended;
    asio::post(io, [&] { op([&](error_code) { ended.set_value(); }); });
    ended.get_future().get();
  }
  over = true;
  work.reset();
  alarm.join();
  for (auto& t : threads) t.join();
}

// Thousands of calls on four threads, with everything at once.
TEST_F(lifetime, stress) {
  constexpr int calls = 3000;
  asio::io_context io;
  auto slots = std::make_shared<bulkhead_policy>(
      bulkhead{.max_concurrent = 16, .max_queue = 200, .max_queue_wait = 20ms});
  auto breaker =
      std::make_shared<circuit_breaker_policy>(circuit_breaker{.min_calls = 10,
                                                               .failure_ratio = 0.9,
                                                               .consecutive_failures = 50,
                                                               .open_for = 2ms,
                                                               .open_cap = 4ms});
  const environment real{io.get_executor()};
  auto seen_all = std::make_shared<event_recorder>();
  const pipeline p = pipeline_builder{"stress"}
                         .add(timeout{.after = 200ms})
                         .add(fallback::value(-1).when(
                             [](const outcome& o) { return o.error == errc::circuit_open; }))
                         .add(slots)
                         .add(retry{.max_attempts = 3,
                                    .delay = constant{.each = 1ms},
                                    .budget = make_budget(retry_budget{})})
                         .add(breaker)
                         .add(timeout{.after = 3ms})
                         .observe(seen_all)
                         .build(real);
  struct one {
    asio::cancellation_signal signal;
    std::atomic<int> ended{0};
    std::stop_source stop;
  };
  std::deque<one> all(calls);
  std::atomic<int> odd{0};
  auto work = asio::make_work_guard(io);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { io.run(); });
  std::promise<void> finished;
  std::atomic<int> left{calls};
  for (int i = 0; i < calls; ++i) {
    one& c = all[static_cast<std::size_t>(i)];
    auto strand = asio::make_strand(io);
    scripted_operation op{
        real,
        {i % 3 == 0 ? scripted_end::fail(connection_reset).after(std::chrono::microseconds(i % 700))
                    : scripted_end::ok(i).after(std::chrono::microseconds(i % 5000)),
         scripted_end::ok(i).after(std::chrono::microseconds(i % 900))}};
    asio::post(strand, [&, op, strand, i] {
      p.wrap(op, {.stop = c.stop.get_token()})(asio::bind_cancellation_slot(
          c.signal.slot(), asio::bind_executor(strand, [&, strand, i](error_code ec, int v) {
            if (!strand.running_in_this_thread()) ++odd;
            if (!ec && v != i && v != -1) ++odd;
            if (++c.ended != 1) ++odd;
            if (--left == 0) finished.set_value();
          })));
      if (i % 7 == 0)
        asio::post(strand, [&c] { c.signal.emit(asio::cancellation_type::terminal); });
    });
    if (i % 11 == 0) asio::post(io, [&c] { c.stop.request_stop(); });
  }
  finished.get_future().get();
  work.reset();
  for (auto& t : threads) t.join();
  EXPECT_EQ(odd, 0);
  for (const one& c : all) EXPECT_EQ(c.ended, 1);
  EXPECT_EQ(slots->snapshot().in_flight, 0);
  EXPECT_EQ(slots->snapshot().queued, 0);
  EXPECT_EQ(breaker->snapshot(real.now()).probes_out, 0);
  EXPECT_EQ(seen_all->count(event_kind::call_finished), calls);
  EXPECT_EQ(seen_all->count(event_kind::call_started), calls);
  EXPECT_EQ(seen_all->count(event_kind::attempt_started),
            seen_all->count(event_kind::attempt_finished));
}

}  // namespace
}  // namespace hawser::test::lifetime_test
