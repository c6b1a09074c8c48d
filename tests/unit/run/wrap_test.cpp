// Wrapped operations: signatures, completion tokens, executors, coroutines.
#include "hawser/run/async.hpp"
#include "hawser/run/coroutine.hpp"

#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/fallback.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/timeout.hpp"

#include "support/virtual_time.hpp"

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/append.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_future.hpp>

#include <deque>
#include <future>
#include <stdexcept>

namespace hawser::test::wrap_test {
namespace {

namespace asio = boost::asio;

class wrap : public on_virtual_time {
 protected:
  pipeline twice() {
    return builder().add(retry{.max_attempts = 2, .delay = steady(1s)}).build(env);
  }
  pipeline limited() { return builder().add(timeout{.after = 2s}).build(env); }
  pipeline refusing() {
    auto breaker = std::make_shared<circuit_breaker_policy>(circuit_breaker{});
    breaker->isolate(env.now());
    return builder().add(breaker).build(env);
  }
  /// An operation of any signature that completes with the arguments of each start in turn.
  template <class Signature, class Make>
  auto operation(Make make) {
    return [this, make, calls = std::make_shared<int>(0)](auto token) {
      return asio::async_initiate<decltype(token), Signature>(
          [this, make, calls](auto handler) {
            auto executor = asio::get_associated_executor(handler, env.get_executor());
            asio::post(executor, [handler = std::move(handler), make, n = ++*calls]() mutable {
              std::apply(std::move(handler), make(n));
            });
          },
          token);
    };
  }
};

TEST_F(wrap, signature_of_an_error_code_alone) {
  auto op = twice().wrap(operation<void(error_code)>(
      [](int n) { return std::make_tuple(n == 1 ? connection_reset : error_code()); }));
  std::optional<error_code> got;
  op([&](error_code ec) { got = ec; });
  env.run_until_idle();
  EXPECT_EQ(got, error_code());
}

TEST_F(wrap, signature_with_one_value) {
  auto op = twice().wrap(operation<void(error_code, std::string)>([](int n) {
    return std::make_tuple(n == 1 ? connection_reset : error_code(), "try " + std::to_string(n));
  }));
  std::string got;
  op([&](error_code ec, std::string text) {
    EXPECT_FALSE(ec);
    got = text;
  });
  env.run_until_idle();
  EXPECT_EQ(got, "try 2");
}

TEST_F(wrap, signature_with_two_values) {
  auto op = twice().wrap(operation<void(error_code, int, std::string)>(
      [](int n) { return std::make_tuple(error_code(), n, std::string("two")); }));
  int number = 0;
  std::string text;
  op([&](error_code, int a, std::string b) {
    number = a;
    text = b;
  });
  env.run_until_idle();
  EXPECT_EQ(number, 1);
  EXPECT_EQ(text, "two");
}

TEST_F(wrap, signature_of_an_exception_pointer_alone) {
  auto op = twice().wrap(operation<void(std::exception_ptr)>([](int n) {
    return std::make_tuple(n == 1 ? std::make_exception_ptr(std::runtime_error("first")) : nullptr);
  }));
  int count = 0;
  op([&](std::exception_ptr e) {
    EXPECT_FALSE(e);
    ++count;
  });
  env.run_until_idle();
  EXPECT_EQ(count, 1);
}

TEST_F(wrap, a_refusal_comes_as_a_call_error_in_the_exception_pointer) {
  auto op = refusing().wrap(operation<void(std::exception_ptr, int)>(
      [](int) { return std::make_tuple(std::exception_ptr(), 1); }));
  std::exception_ptr got;
  op([&](std::exception_ptr e, int) { got = e; });
  env.run_until_idle();
  ASSERT_TRUE(got);
  try {
    std::rethrow_exception(got);
  } catch (const call_error& e) {
    EXPECT_EQ(e.code(), errc::circuit_isolated);
    EXPECT_NE(e.why().detail().find("circuit_breaker"), std::string_view::npos);
  }
}

TEST_F(wrap, the_operations_own_exception_is_delivered_as_it_was) {
  struct custom : std::runtime_error {
    custom() : runtime_error("own") {}
  };
  auto op = twice().wrap(operation<void(std::exception_ptr, int)>(
      [](int) { return std::make_tuple(std::make_exception_ptr(custom()), 0); }));
  std::exception_ptr got;
  op([&](std::exception_ptr e, int) { got = e; });
  env.run_until_idle();
  ASSERT_TRUE(got);
  EXPECT_THROW(std::rethrow_exception(got), custom);
}

TEST_F(wrap, signature_of_a_result) {
  auto op = twice().wrap(operation<void(result<int>)>([](int n) {
    return std::make_tuple(n == 1 ? result<int>(error(connection_reset)) : result<int>(n));
  }));
  std::optional<result<int>> got;
  op([&](result<int> r) { got = r; });
  env.run_until_idle();
  ASSERT_TRUE(got && got->has_value());
  EXPECT_EQ(got->value(), 2);
  auto no = refusing().wrap(
      operation<void(result<int>)>([](int) { return std::make_tuple(result<int>(1)); }));
  no([&](result<int> r) { got = r; });
  env.run_until_idle();
  EXPECT_EQ(got->error(), errc::circuit_isolated);
  EXPECT_FALSE(got->error().detail().empty()) << "the story comes along";
}

TEST_F(wrap, an_unknown_outcome_keeps_the_words_of_the_error_it_hides) {
  const pipeline p = builder().build(env);
  auto told = p.wrap(operation<void(result<int>)>([](int) {
                       return std::make_tuple(result<int>(error(connection_reset, "at row 18")));
                     }),
                     {.effect = effect::unsafe});
  std::optional<result<int>> got;
  told([&](result<int> r) { got = r; });
  env.run_until_idle();
  ASSERT_TRUE(got && got->has_error());
  EXPECT_EQ(got->error(), errc::outcome_unknown);
  EXPECT_NE(got->error().message().find("at row 18"), std::string::npos) << got->error().message();
  auto threw = p.wrap(
      operation<void(std::exception_ptr)>([](int) {
        return std::make_tuple(std::make_exception_ptr(std::runtime_error("row 17 is locked")));
      }),
      {.effect = effect::keyed});
  std::exception_ptr thrown;
  threw([&](std::exception_ptr e) { thrown = std::move(e); });
  env.run_until_idle();
  try {
    std::rethrow_exception(thrown);
  } catch (const call_error& e) {
    EXPECT_EQ(e.code(), errc::outcome_unknown);
    EXPECT_NE(std::string_view(e.what()).find("row 17 is locked"), std::string_view::npos)
        << e.what();
  }
}

TEST_F(wrap, signature_of_a_boost_result) {
  auto op = refusing().wrap(operation<void(boost::system::result<int>)>(
      [](int) { return std::make_tuple(boost::system::result<int>(1)); }));
  std::optional<boost::system::result<int>> got;
  op([&](boost::system::result<int> r) { got = r; });
  env.run_until_idle();
  ASSERT_TRUE(got && got->has_error());
  EXPECT_EQ(got->error(), errc::circuit_isolated);
}

TEST_F(wrap, move_only_completion_arguments) {
  auto op = twice().wrap(operation<void(error_code, std::unique_ptr<int>)>([](int n) {
    return std::make_tuple(n == 1 ? connection_reset : error_code(), std::make_unique<int>(n));
  }));
  std::unique_ptr<int> got;
  op([&](error_code, std::unique_ptr<int> p) { got = std::move(p); });
  env.run_until_idle();
  ASSERT_TRUE(got);
  EXPECT_EQ(*got, 2);
}

TEST_F(wrap, move_only_handlers) {
  auto op =
      twice().wrap(operation<void(error_code)>([](int) { return std::make_tuple(error_code()); }));
  auto kept = std::make_unique<int>(0);
  int* const count = kept.get();
  int seen_at_end = 0;
  op([kept = std::move(kept), &seen_at_end](error_code) { seen_at_end = ++*kept; });
  (void)count;
  env.run_until_idle();
  EXPECT_EQ(seen_at_end, 1);
}

TEST_F(wrap, a_fallback_for_several_values_is_a_tuple) {
  auto p = builder().add(fallback::value(std::tuple<int, std::string>(7, "spare"))).build(env);
  auto op = p.wrap(operation<void(error_code, int, std::string)>(
      [](int) { return std::make_tuple(connection_reset, 0, std::string()); }));
  std::string got;
  op([&](error_code ec, int n, std::string s) {
    EXPECT_FALSE(ec);
    got = s + std::to_string(n);
  });
  env.run_until_idle();
  EXPECT_EQ(got, "spare7");
}

TEST_F(wrap, a_fallback_for_a_result_signature) {
  auto p = builder().add(fallback::value(7)).build(env);
  auto op = p.wrap(operation<void(result<int>)>(
      [](int) { return std::make_tuple(result<int>(error(connection_reset))); }));
  int got = 0;
  op([&](result<int> r) { got = r.value(); });
  env.run_until_idle();
  EXPECT_EQ(got, 7);
}

TEST_F(wrap, an_initiating_function_that_throws_is_a_failed_attempt) {
  int starts = 0;
  auto op = twice().wrap([&](auto token) {
    return asio::async_initiate<decltype(token), void(error_code, int)>(
        [&](auto handler) {
          if (++starts == 1) throw boost::system::system_error(connection_refused);
          asio::post(env.get_executor(), asio::append(std::move(handler), error_code(), 5));
        },
        token);
  });
  ended e;
  op(into{&e, &env});
  EXPECT_EQ(e.count, 0);
  env.run_until_idle();
  EXPECT_EQ(e.value, 5);
  EXPECT_EQ(starts, 2);
}

TEST_F(wrap, an_initiating_function_that_always_throws_completes_later_never_inline) {
  auto op = builder().build(env).wrap([&](auto token) {
    return asio::async_initiate<decltype(token), void(error_code, int)>(
        [&](auto) { throw std::runtime_error("no"); }, token);
  });
  ended e;
  op(into{&e, &env});
  EXPECT_EQ(e.count, 0);
  env.run_ready();
  EXPECT_EQ(e.count, 1);
  EXPECT_EQ(e.error, errc::operation_threw);
}

TEST_F(wrap, a_refusal_completes_later_never_inline) {
  scripted_operation op{env, {scripted_end::ok(1)}};
  ended e;
  refusing().wrap(op)(into{&e, &env});
  EXPECT_EQ(e.count, 0);
  env.run_ready();
  EXPECT_EQ(e.error, errc::circuit_isolated);
}

// Tokens.

TEST_F(wrap, use_future) {
  scripted_operation op{env, {scripted_end::ok(5).after(1s)}};
  std::future<int> f = limited().wrap(op)(asio::use_future);
  env.run_until_idle();
  EXPECT_EQ(f.get(), 5);
  scripted_operation slow{env, {scripted_end::hang()}};
  std::future<int> late = limited().wrap(slow)(asio::use_future);
  env.run_until_idle();
  try {
    (void)late.get();
    ADD_FAILURE();
  } catch (const boost::system::system_error& e) {
    EXPECT_EQ(e.code(), errc::call_timeout);
  }
}

TEST_F(wrap, any_completion_handler_as_the_token) {
  scripted_operation op{env, {scripted_end::ok(5)}};
  ended e;
  asio::any_completion_handler<void(error_code, int)> erased(into{&e, &env});
  limited().wrap(op)(std::move(erased));
  env.run_ready();
  EXPECT_EQ(e.value, 5);
}

TEST_F(wrap, coroutines_await_it_deferred_use_awaitable_and_as_tuple) {
  scripted_operation op{env, {scripted_end::ok(5).after(1s)}};
  auto call = limited().wrap(op);
  int sum = 0;
  asio::co_spawn(
      env.get_executor(),
      [&]() -> asio::awaitable<void> {
        sum += co_await call();
        sum += co_await call(asio::use_awaitable);
        auto [ec, value] = co_await call(asio::as_tuple(asio::use_awaitable));
        EXPECT_FALSE(ec);
        sum += value;
        auto [ec2, value2] = co_await call(asio::as_tuple(asio::deferred));
        sum += value2;
      },
      asio::detached);
  env.run_until_idle();
  EXPECT_EQ(sum, 20);
}

TEST_F(wrap, a_coroutine_gets_the_failure_thrown) {
  scripted_operation op{env, {scripted_end::hang()}};
  auto call = limited().wrap(op);
  error_code got;
  asio::co_spawn(
      env.get_executor(),
      [&]() -> asio::awaitable<void> {
        try {
          (void)co_await call();
        } catch (const boost::system::system_error& e) {
          got = e.code();
        }
      },
      asio::detached);
  env.run_until_idle();
  EXPECT_EQ(got, errc::call_timeout);
}

TEST_F(wrap, coroutines_can_be_wrapped) {
  scripted_operation op{env, {scripted_end::fail(connection_reset), scripted_end::ok(4).after(1s)}};
  auto fetch =
      twice().wrap([&]() -> asio::awaitable<int> { co_return co_await op(asio::use_awaitable); });
  int got = 0;
  asio::co_spawn(
      env.get_executor(), [&]() -> asio::awaitable<void> { got = co_await fetch(); },
      asio::detached);
  env.run_until_idle();
  EXPECT_EQ(got, 4);
  EXPECT_EQ(op.starts(), 2);
}

TEST_F(wrap, a_timeout_cancels_what_a_wrapped_coroutine_awaits) {
  scripted_operation op{env, {scripted_end::hang()}};
  bool unwound = false;
  auto fetch = limited().wrap([&]() -> asio::awaitable<int> {
    struct guard {
      bool& flag;
      ~guard() { flag = true; }
    } g{unwound};
    co_return co_await op(asio::use_awaitable);
  });
  std::exception_ptr failure;
  asio::co_spawn(
      env.get_executor(),
      [&]() -> asio::awaitable<void> {
        try {
          (void)co_await fetch();
        } catch (...) {
          failure = std::current_exception();
        }
      },
      asio::detached);
  env.run_until_idle();
  ASSERT_TRUE(failure);
  EXPECT_TRUE(unwound);
  EXPECT_EQ(op.cancellations(), 1);
  try {
    std::rethrow_exception(failure);
  } catch (const call_error& e) {
    EXPECT_EQ(e.code(), errc::call_timeout);
  }
}

TEST_F(wrap, a_wrapped_coroutine_that_returns_nothing) {
  int runs = 0;
  auto op = twice().wrap([&]() -> asio::awaitable<void> {
    if (++runs == 1) throw std::runtime_error("again");
    co_return;
  });
  int count = 0;
  op([&](std::exception_ptr e) {
    EXPECT_FALSE(e);
    ++count;
  });
  env.run_until_idle();
  EXPECT_EQ(count, 1);
  EXPECT_EQ(runs, 2);
}

TEST_F(wrap, an_awaiting_coroutine_can_be_cancelled) {
  scripted_operation op{env, {scripted_end::hang()}};
  auto call = twice().wrap(op);
  error_code got;
  asio::co_spawn(
      env.get_executor(),
      [&]() -> asio::awaitable<void> {
        auto [ec, value] = co_await call(asio::as_tuple(asio::use_awaitable));
        got = ec;
        (void)value;
      },
      asio::bind_cancellation_slot(signal.slot(), asio::detached));
  env.run_ready();
  cancel();
  env.run_ready();
  EXPECT_EQ(got, canceled_error());
  EXPECT_EQ(op.starts(), 1);
}

// Executors.

/// An executor that is not Asio's and cannot be posted to by operations: it runs inline, counting.
class counting_executor {
 public:
  explicit counting_executor(int* count) : count_(count) {}
  template <class F>
  void execute(F f) const {
    ++*count_;
    std::move(f)();
  }
  friend bool operator==(const counting_executor& a, const counting_executor& b) noexcept {
    return a.count_ == b.count_;
  }

 private:
  int* count_;
};

TEST_F(wrap, completes_on_a_strand_on_which_all_attempts_start) {
  auto strand = asio::make_strand(env.get_executor());
  std::vector<bool> starts;
  scripted_operation op{env,
                        {scripted_end::fail(connection_reset).after(1s),
                         scripted_end::fail(connection_reset), scripted_end::ok(3).after(1s)}};
  auto p = builder().add(retry{.max_attempts = 3, .delay = steady(1s)}).build(env);
  auto call = p.wrap([&](auto token) {
    return asio::async_initiate<decltype(token), void(error_code, int)>(
        [&](auto handler) {
          starts.push_back(strand.running_in_this_thread());
          op(std::move(handler));
        },
        token);
  });
  bool ended_there = false;
  int value = 0;
  asio::dispatch(strand, [&] {
    call(asio::bind_executor(strand, [&](error_code, int v) {
      ended_there = strand.running_in_this_thread();
      value = v;
    }));
  });
  env.run_until_idle();
  EXPECT_EQ(value, 3);
  EXPECT_TRUE(ended_there);
  EXPECT_EQ(starts, (std::vector<bool>{true, true, true}));
}

TEST_F(wrap, a_refusal_completes_on_the_handlers_executor_too) {
  auto strand = asio::make_strand(env.get_executor());
  scripted_operation op{env, {scripted_end::ok(3)}};
  bool there = false;
  refusing().wrap(op)(asio::bind_executor(
      strand, [&](error_code, int) { there = strand.running_in_this_thread(); }));
  env.run_ready();
  EXPECT_TRUE(there);
}

TEST_F(wrap, completes_on_a_foreign_executor) {
  int executed = 0;
  const counting_executor foreign(&executed);
  scripted_operation op{env, {scripted_end::ok(3).after(1s)}};
  ended e;
  limited().wrap(op)(asio::bind_executor(foreign, into{&e, &env}));
  EXPECT_EQ(e.count, 0);
  env.run_until_idle();
  EXPECT_EQ(e.value, 3);
  EXPECT_EQ(executed, 1);
}

TEST_F(wrap, completes_on_the_executor_of_an_erased_handler) {
  auto strand = asio::make_strand(env.get_executor());
  bool there = false;
  scripted_operation op{env, {scripted_end::ok(3).after(1s)}};
  asio::any_completion_handler<void(error_code, int)> erased(asio::bind_executor(
      strand, [&](error_code, int) { there = strand.running_in_this_thread(); }));
  limited().wrap(op)(std::move(erased));
  env.run_until_idle();
  EXPECT_TRUE(there);
}

TEST_F(wrap, operations_have_the_environments_executor) {
  scripted_operation op{env, {scripted_end::ok(3)}};
  EXPECT_EQ(limited().wrap(op).get_executor(), env.get_executor());
}

// Handlers.

TEST_F(wrap, what_a_handler_throws_comes_out_of_run) {
  scripted_operation op{env, {scripted_end::ok(3).after(1s)}};
  limited().wrap(op)([](error_code, int) { throw std::runtime_error("from the handler"); });
  EXPECT_THROW(env.run_until_idle(), std::runtime_error);
  EXPECT_EQ(env.waits(), 0U);
  refusing().wrap(op)([](error_code, int) { throw std::runtime_error("from the handler"); });
  EXPECT_THROW(env.run_ready(), std::runtime_error);
  env.run_ready();
}

TEST_F(wrap, a_handler_may_start_the_next_call) {
  scripted_operation op{env, {scripted_end::ok(1).after(1s)}};
  auto call = limited().wrap(op);
  int rounds = 0;
  std::function<void(error_code, int)> again = [&](error_code, int) {
    if (++rounds < 100) call([&](error_code ec, int v) { again(ec, v); });
  };
  call([&](error_code ec, int v) { again(ec, v); });
  env.run_until_idle();
  EXPECT_EQ(rounds, 100);
}

TEST_F(wrap, calls_outlive_their_pipeline_and_operation_handles) {
  scripted_operation op{env, {scripted_end::fail(connection_reset), scripted_end::ok(3).after(1s)}};
  ended e;
  {
    const pipeline p = twice();
    const auto call = p.wrap(op, {.name = std::string("gone") + " soon"});
    call(into{&e, &env});
  }
  env.run_until_idle();
  EXPECT_EQ(e.value, 3);
  EXPECT_EQ(seen->events().back().operation, "gone soon");
}

TEST_F(wrap, a_mild_cancellation_the_operation_shrugs_off_still_ends_at_the_time_limit) {
  // Heeds terminal cancellation only, as many operations do.
  auto stubborn = limited().wrap([this](auto token) {
    return asio::async_initiate<decltype(token), void(error_code)>(
        [this](auto handler) {
          auto slot = asio::get_associated_cancellation_slot(handler);
          auto kept = std::make_shared<decltype(handler)>(std::move(handler));
          slot.assign([this, kept](asio::cancellation_type type) {
            if ((type & asio::cancellation_type::terminal) == asio::cancellation_type::none) return;
            asio::post(env.get_executor(),
                       [kept] { (*kept)(error_code(boost::asio::error::operation_aborted)); });
          });
        },
        token);
  });
  std::optional<error_code> got;
  stubborn(asio::bind_cancellation_slot(signal.slot(), [&](error_code ec) { got = ec; }));
  env.run_ready();
  signal.emit(asio::cancellation_type::total);
  env.advance(1s);
  EXPECT_FALSE(got);
  env.advance(1s);
  EXPECT_EQ(got, error_code(boost::asio::error::operation_aborted));
}

TEST_F(wrap, one_operation_may_be_started_many_times_at_once) {
  scripted_operation op{env, {scripted_end::ok(1).after(1s)}};
  const auto call = limited().wrap(op);
  std::deque<ended> all(50);
  for (ended& e : all) call(into{&e, &env});
  EXPECT_EQ(op.peak_in_flight(), 50);
  env.run_until_idle();
  for (const ended& e : all) EXPECT_EQ(e.value, 1);
}

}  // namespace
}  // namespace hawser::test::wrap_test
