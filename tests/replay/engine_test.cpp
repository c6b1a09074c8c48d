// Calls through a stack of all policies, each callback, attempt and timer of theirs failing in
// turn: every call completes exactly once, and permits, waits and work are back.
#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/fallback.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/coroutine.hpp"
#include "hawser/run/execute.hpp"

#include "replay/touchy_observer.hpp"
#include "support/each_step.hpp"
#include "support/virtual_time.hpp"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/redirect_error.hpp>

#include <array>
#include <deque>
#include <functional>
#include <stdexcept>
#include <stop_token>

namespace hawser::test::engine_test {
namespace {

namespace asio = boost::asio;

struct everything {
  explicit everything(fuse& fails) : f(fails) {
    env.on_leftover([](std::string_view left) { ADD_FAILURE() << "left behind: " << left; });
  }
  ~everything() {
    if (gone) return;
    env.run_until_idle();
    EXPECT_TRUE(env.expect_quiet());
  }

  void step(const char* what) {
    if (f.burns()) throw std::runtime_error(what);
  }

  /// fallback > timeout > limiter > bulkhead with a queue > retry > breaker > timeout.
  [[nodiscard]] pipeline build() {
    retry again{.max_attempts = 3, .delay = steady(10ms)};
    again.transient = [this](const outcome&) -> std::optional<bool> {
      step("the classifier");
      return std::nullopt;
    };
    auto substitute = fallback::from([this](const outcome&) -> int {
      step("the fallback's source");
      return 99;
    });
    return pipeline_builder("everything")
        .add(std::move(substitute).when([this](const outcome&) {
          step("the fallback's condition");
          return true;
        }))
        .add(timeout{.after = 10s})
        .add(rate_limiter{.permits = 1, .per = 1ms, .burst = 2, .max_wait = 1min})
        .add(slots)
        .add(std::move(again))
        .add(breaker)
        .add(timeout{.after = 1s})
        .calls_are(effect::idempotent)
        .observe(std::make_shared<touchy_observer>(f))
        .build(env);
  }

  void check() {
    EXPECT_EQ(slots->snapshot().in_flight, 0);
    EXPECT_EQ(slots->snapshot().queued, 0);
    EXPECT_EQ(breaker->snapshot(env.now()).probes_out, 0);
  }

  fuse& f;
  manual_environment env;
  std::shared_ptr<bulkhead_policy> slots =
      std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1, .max_queue = 4});
  std::shared_ptr<circuit_breaker_policy> breaker =
      std::make_shared<circuit_breaker_policy>(circuit_breaker{.consecutive_failures = {}});
  bool gone = false;
};

/// What goes wrong with the attempt at which the fuse burns; callbacks throw in any case.
enum class attempt_fault { throws, resets, hangs, deaf, is_final };
constexpr std::array attempt_faults{attempt_fault::throws, attempt_fault::resets,
                                    attempt_fault::hangs, attempt_fault::deaf,
                                    attempt_fault::is_final};

scripted_end end_of(attempt_fault how) {
  switch (how) {
    case attempt_fault::hangs: return scripted_end::hang();
    case attempt_fault::deaf: return scripted_end::ok(7).after(3s).deaf();
    case attempt_fault::is_final: return scripted_end::fail(make_error_code(errc::invalid_body));
    default: return scripted_end::fail(connection_reset).after(1ms);
  }
}

TEST(replay_of_the_engine, wrapped_operations) {
  for (const attempt_fault how : attempt_faults) {
    SCOPED_TRACE(static_cast<int>(how));
    const std::size_t steps = fail_at_each_step([&](fuse& f) {
      everything e(f);
      // Each call's first attempt fails, so that there is something to retry.
      scripted_operation flaky{
          e.env, {scripted_end::fail(connection_reset).after(1ms), scripted_end::ok(7).after(1ms)}};
      scripted_operation broken{e.env, {end_of(how)}};
      const pipeline p = e.build();
      const auto call = p.wrap([&](auto token) {
        const bool fails = f.burns();
        if (fails && how == attempt_fault::throws) throw std::runtime_error("the operation");
        return fails ? broken(std::move(token)) : flaky(std::move(token));
      });
      std::deque<ended> all(3);
      for (ended& one : all) call(into{&one, &e.env});
      for (const ended& one : all) EXPECT_EQ(one.count, 0) << "completed inline";
      e.env.run_until_idle();
      for (const ended& one : all) {
        EXPECT_EQ(one.count, 1);
        EXPECT_TRUE(one.error || one.value == 7 || one.value == 99);
      }
      if (!f.burnt()) {
        for (const ended& one : all) EXPECT_EQ(one.value, 7);
      }
      e.check();
      f.arm(false);
      ended last;
      call(into{&last, &e.env});
      e.env.run_until_idle();
      EXPECT_EQ(last.value, 7);
    });
    EXPECT_GE(steps, 20u);
  }
}

// The completion handler of one call throws: its exception comes out of the run function, and the
// other calls do not notice.
TEST(replay_of_the_engine, completion_handlers_that_throw) {
  const std::size_t steps = fail_at_each_step([](fuse& f) {
    fuse others(0);
    others.arm(false);
    everything e(others);
    scripted_operation op{e.env, {scripted_end::ok(7).after(1ms)}};
    const pipeline p = e.build();
    int ends = 0;
    for (int i = 0; i < 3; ++i)
      p.wrap(op)([&](error_code, int) {
        ++ends;
        if (f.burns()) throw std::runtime_error("the handler");
      });
    int thrown = 0;
    for (int tries = 0; tries < 4; ++tries) {
      try {
        while (e.env.env().source().run_one()) {
        }
      } catch (const std::runtime_error&) {
        ++thrown;
      }
    }
    EXPECT_EQ(ends, 3);
    EXPECT_EQ(thrown, f.burnt() ? 1 : 0);
    e.check();
  });
  EXPECT_EQ(steps, 3u);
}

enum class interruption { cancel, leap, shut_down };

// Before each handler and timer of the run.
TEST(replay_of_the_engine, interruptions) {
  for (const interruption by :
       {interruption::cancel, interruption::leap, interruption::shut_down}) {
    SCOPED_TRACE(static_cast<int>(by));
    const std::size_t steps = fail_at_each_step([&](fuse& f) {
      f.arm(false);
      everything e(f);
      scripted_operation op{e.env,
                            {scripted_end::fail(connection_reset).after(1ms),
                             scripted_end::hang().winding_up(1ms), scripted_end::ok(7).after(1ms)}};
      const pipeline p = e.build();
      const auto call = p.wrap(op);
      auto held = std::make_shared<int>(0);
      asio::cancellation_signal signals[3];
      for (auto& signal : signals)
        call(asio::bind_cancellation_slot(signal.slot(), [held](error_code, int) { ++*held; }));
      const auto interrupted = [&] {
        f.arm();
        const bool now = f.burns();
        f.arm(false);
        return now;
      };
      do {
        if (!interrupted()) continue;
        switch (by) {
          case interruption::cancel:
            for (auto& signal : signals) signal.emit(asio::cancellation_type::terminal);
            break;
          case interruption::leap: e.env.leap(1h); break;
          case interruption::shut_down:
            e.env.on_leftover({});
            e.env.shut_down();
            e.gone = true;
            break;
        }
      } while (!e.gone && e.env.env().source().run_one());
      if (!e.gone) {
        EXPECT_EQ(*held, 3);
      }
      EXPECT_EQ(held.use_count(), 1) << "a handler was kept";
      e.check();
    });
    EXPECT_GE(steps, 10u);
  }
}

TEST(replay_of_the_engine, coroutines) {
  const std::size_t steps = fail_at_each_step([](fuse& f) {
    everything e(f);
    scripted_operation op{
        e.env, {scripted_end::fail(connection_reset).after(1ms), scripted_end::ok(7).after(1ms)}};
    const pipeline p = e.build();
    const auto call = p.wrap([&]() -> asio::awaitable<int> {
      e.step("before the operation");
      const int value = co_await op(asio::use_awaitable);
      e.step("after the operation");
      co_return value;
    });
    int ends = 0;
    std::exception_ptr thrown;
    int value = 0;
    for (int i = 0; i < 2; ++i)
      call([&](std::exception_ptr t, int v) {
        ++ends;
        thrown = t;
        value = v;
      });
    e.env.run_until_idle();
    EXPECT_EQ(ends, 2);
    if (!f.burnt()) {
      EXPECT_EQ(value, 7);
      EXPECT_FALSE(thrown);
    }
    e.check();
  });
  EXPECT_GE(steps, 15u);
}

TEST(replay_of_the_engine, blocking_calls) {
  for (const attempt_fault how :
       {attempt_fault::throws, attempt_fault::resets, attempt_fault::hangs}) {
    SCOPED_TRACE(static_cast<int>(how));
    const std::size_t steps = fail_at_each_step([&](fuse& f) {
      everything e(f);
      const pipeline p = e.build();
      std::stop_source caller;
      int made = 0;
      const auto work = [&](attempt& a) -> result<int> {
        if (f.burns()) {
          if (how == attempt_fault::throws) throw std::runtime_error("the callable");
          if (how == attempt_fault::hangs) {  // until its time limit
            const std::stop_token stop = a.stop();
            e.env.advance(a.remaining());
            EXPECT_TRUE(stop.stop_requested());
          }
          return connection_reset;
        }
        return ++made == 1 ? result<int>(connection_reset) : result<int>(7);
      };
      const auto classify = [&](const int&) {
        e.step("the classifier of values");
        return verdict::ok;
      };
      const auto got = p.execute(work, {.stop = caller.get_token()}, classify);
      EXPECT_TRUE(!got || *got == 7 || *got == 99);
      if (!f.burnt()) {
        EXPECT_EQ(got.value(), 7);
      }
      e.check();
      f.arm(false);
      EXPECT_EQ(p.execute(work, {}, classify).value(), 7);
    });
    EXPECT_GE(steps, 10u);
  }
}

// The caller's stop token, at each step of a blocking call.
TEST(replay_of_the_engine, blocking_calls_that_are_stopped) {
  const std::size_t steps = fail_at_each_step([](fuse& f) {
    f.arm(false);
    everything e(f);
    std::stop_source caller;
    class stopper final : public observer {
     public:
      stopper(fuse& at, std::stop_source& s) : fuse_(at), source_(s) {}
      void on_event(const event& /*what*/) override {
        fuse_.arm();
        if (fuse_.burns()) source_.request_stop();
        fuse_.arm(false);
      }

     private:
      fuse& fuse_;
      std::stop_source& source_;
    };
    const pipeline p = pipeline_builder("stopped")
                           .add(timeout{.after = 10s})
                           .add(e.slots)
                           .add(retry{.max_attempts = 3, .delay = steady(10ms)})
                           .add(e.breaker)
                           .observe(std::make_shared<stopper>(f, caller))
                           .calls_are(effect::idempotent)
                           .build(e.env);
    int made = 0;
    const auto got = p.execute(
        [&]() -> result<int> {
          if (++made < 3) return connection_reset;
          return 7;
        },
        {.stop = caller.get_token()});
    if (!got) {
      EXPECT_TRUE(f.burnt());
      EXPECT_EQ(got.error(), condition::canceled) << got.error().message();
    }
    e.check();
  });
  EXPECT_GE(steps, 8u);
}

}  // namespace
}  // namespace hawser::test::engine_test
