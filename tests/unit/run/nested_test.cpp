// A local refusal, whoever's: outside it is void too, costs no attempt, and hides nothing.
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/coroutine.hpp"
#include "hawser/run/execute.hpp"

#include "support/virtual_time.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <gtest/gtest.h>

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

namespace hawser::test::nested_test {
namespace {

/// An inner pipeline whose only token is taken by the first call, and an outer one that retries.
class nested : public ::testing::Test {
 protected:
  pipeline outer(retry options = {}) {
    options.max_attempts = 3;
    options.delay = steady(1s);
    return pipeline_builder("outer")
        .add(options)
        .add(breaker)
        .observe(seen)
        .calls_are(effect::idempotent)
        .build(env);
  }
  [[nodiscard]] std::uint64_t counted() const {
    const auto s = breaker->snapshot(env.now());
    return s.calls;
  }

  manual_environment env;
  std::shared_ptr<event_recorder> seen = std::make_shared<event_recorder>();
  std::shared_ptr<circuit_breaker_policy> breaker = std::make_shared<circuit_breaker_policy>(
      circuit_breaker{.window = count_window{}, .min_calls = 100});
  pipeline inner = pipeline_builder("inner")
                       .add(rate_limiter{.name = "quota", .permits = 1, .per = 1h})
                       .build(env);
};

TEST_F(nested, refusal_comes_out_at_once_and_counts_nowhere) {
  EXPECT_TRUE(inner.execute([] {}));  // takes the token
  int tries = 0;
  const auto r = outer().execute([&] {
    ++tries;
    return inner.execute([] { return 1; });
  });
  EXPECT_EQ(tries, 1);
  EXPECT_EQ(r.error(), errc::rate_limited);
  EXPECT_NE(r.error().detail().find("quota"), std::string_view::npos);
  EXPECT_EQ(counted(), 0U);
  EXPECT_EQ(seen->count(event_kind::waiting), 0);
}

TEST_F(nested, refusal_hides_no_error_before_it) {
  const auto r = outer().execute([&] {
    return inner.execute(
        []() -> result<int> { return error(errc::connection_closed, "mid sentence"); });
  });
  EXPECT_EQ(r.error(), errc::connection_closed);
  EXPECT_NE(r.error().detail().find("mid sentence"), std::string_view::npos) << r.error().detail();
  // And it is the reason why there was no further try.
  EXPECT_NE(r.error().detail().find("rate_limited"), std::string_view::npos) << r.error().detail();
  EXPECT_NE(r.error().detail().find("refused by quota: our own rate"), std::string_view::npos)
      << r.error().detail();
  EXPECT_EQ(counted(), 1U);
  const auto stopped = seen->events(event_kind::retry_stopped);
  ASSERT_EQ(stopped.size(), 1U);
  EXPECT_EQ(stopped[0].because, reason::local_rejection);
  EXPECT_EQ(stopped[0].refused, errc::rate_limited);
  EXPECT_EQ(stopped[0].error, errc::connection_closed);
}

TEST_F(nested, refusal_thrown_as_call_error_hides_nothing_either) {
  int tries = 0;
  const auto r = outer().execute([&]() -> int {
    ++tries;
    return inner.execute_or_throw([]() -> int { throw std::runtime_error("mid sentence"); });
  });
  EXPECT_EQ(tries, 2);
  EXPECT_EQ(r.error(), errc::operation_threw);
  EXPECT_NE(r.error().detail().find("mid sentence"), std::string_view::npos) << r.error().detail();
}

/// As a layer in between does.
template <class Call>
auto in_a_layer(Call call, int depth = 1) -> decltype(call()) {
  try {
    if (depth > 1) return in_a_layer(call, depth - 1);
    return call();
  } catch (...) {
    std::throw_with_nested(std::runtime_error("service layer"));
  }
}

TEST_F(nested, refusal_wrapped_in_another_exception_is_one_all_the_same) {
  int tries = 0;
  const auto r = outer().execute([&] {
    ++tries;
    return in_a_layer([&] {
      return inner.execute_or_throw([]() -> int { throw std::runtime_error("mid sentence"); });
    });
  });
  EXPECT_EQ(tries, 2);
  EXPECT_EQ(r.error(), errc::operation_threw);
  EXPECT_NE(r.error().detail().find("refused by service layer: quota"), std::string_view::npos)
      << r.error().detail();
  EXPECT_EQ(counted(), 1U);

  tries = 0;
  const auto deep = outer().execute([&] {
    ++tries;
    return in_a_layer([&] { return inner.execute_or_throw([] { return 1; }); }, 5);
  });
  EXPECT_EQ(tries, 1);
  EXPECT_EQ(deep.error(), errc::rate_limited);
  EXPECT_EQ(counted(), 1U);
  // What it was wrapped in is thrown on.
  try {
    outer().execute_or_throw(
        [&] { return in_a_layer([&] { return inner.execute_or_throw([] { return 1; }); }); });
    FAIL() << "threw nothing";
  } catch (const call_error& e) {
    EXPECT_EQ(e.why(), errc::rate_limited);
    EXPECT_THROW(std::rethrow_if_nested(e), std::runtime_error);
  }
}

TEST_F(nested, an_exception_with_a_code_of_its_own_means_that) {
  EXPECT_TRUE(inner.execute([] {}));
  const auto r = outer().execute([&]() -> int {
    try {
      return inner.execute_or_throw([] { return 1; });
    } catch (...) {
      std::throw_with_nested(boost::system::system_error(connection_reset));
    }
  });
  EXPECT_EQ(r.error(), connection_reset);
  EXPECT_GT(counted(), 0U);
}

TEST_F(nested, or_throw_rethrows_what_came_before_the_refusal) {
  EXPECT_THROW(outer().execute_or_throw([&]() -> int {
    return inner.execute_or_throw([]() -> int { throw std::out_of_range("mid sentence"); });
  }),
               std::out_of_range);
}

TEST_F(nested, refusals_in_a_row_are_one_ending) {
  EXPECT_TRUE(inner.execute([] {}));
  retry waits;
  waits.wait_for_permission = true;
  int tries = 0;
  const pipeline p =
      pipeline_builder("outer")
          .add(timeout{.after = 10s})
          .add(retry{.max_attempts = 2, .delay = steady(1s), .wait_for_permission = true})
          .calls_are(effect::idempotent)
          .build(env);
  const auto r = p.execute([&] {
    ++tries;
    return inner.execute([] { return 1; });
  });
  EXPECT_GT(tries, 5);  // as for a refusal of its own: they are no attempts that run out
  EXPECT_EQ(r.error(), errc::rate_limited);
}

TEST_F(nested, waits_for_the_inner_permission_when_told_to) {
  const pipeline quick =
      pipeline_builder("inner").add(rate_limiter{.permits = 1, .per = 3s}).build(env);
  EXPECT_TRUE(quick.execute([] {}));
  const pipeline p =
      pipeline_builder("outer")
          .add(timeout{.after = 10s})
          .add(retry{.max_attempts = 2, .delay = steady(1s), .wait_for_permission = true})
          .calls_are(effect::idempotent)
          .build(env);
  const auto start = env.now();
  EXPECT_EQ(p.execute([&] { return quick.execute([] { return 1; }); }).value(), 1);
  EXPECT_EQ(env.now() - start, 3s);
}

TEST_F(nested, asynchronous_refusal_hides_no_error_before_it) {
  const scripted_operation op(env, {scripted_end::fail(connection_reset)});
  error_code got;
  outer().wrap(inner.wrap(op))([&](error_code ec, int) { got = ec; });
  env.advance(10s);
  EXPECT_EQ(op.starts(), 1);
  EXPECT_EQ(got, connection_reset);
  EXPECT_EQ(counted(), 1U);
}

TEST_F(nested, asynchronous_refusal_comes_out_at_once) {
  EXPECT_TRUE(inner.execute([] {}));
  const scripted_operation op(env, {scripted_end::fail(connection_reset)});
  error_code got;
  outer().wrap(inner.wrap(op))([&](error_code ec, int) { got = ec; });
  env.run_ready();
  EXPECT_EQ(got, errc::rate_limited);
  EXPECT_EQ(counted(), 0U);
}

TEST_F(nested, refusal_in_a_coroutine_hides_no_error_before_it) {
  const scripted_operation op(env, {scripted_end::fail(connection_reset)});
  auto inside = inner.wrap(op);
  auto outside = outer().wrap([&]() -> boost::asio::awaitable<int> {
    co_return co_await inside(boost::asio::use_awaitable);
  });
  error_code got;
  outside([&](std::exception_ptr thrown, int) {
    try {
      std::rethrow_exception(thrown);
    } catch (const boost::system::system_error& e) {
      got = e.code();
    }
  });
  env.advance(10s);
  EXPECT_EQ(got, connection_reset);
}

}  // namespace
}  // namespace hawser::test::nested_test
