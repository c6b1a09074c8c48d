// What an attempt may know and say: asynchronous operations as much as callables.
#include "hawser/policy/retry.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/coroutine.hpp"
#include "hawser/run/execute.hpp"

#include "support/virtual_time.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace hawser::test::attempt_test {
namespace {

namespace asio = boost::asio;

/// Hears how attempts ended.
class ear;
class ear_stage final : public stage {
 public:
  explicit ear_stage(ear& of) noexcept : of_(of) {}
  step enter(tick& /*t*/) override { return step::call_inner(); }
  step inner_done(int child, const outcome& o, tick& t) override;

 private:
  ear& of_;
};
class ear final : public policy_with<ear, ear_stage> {
 public:
  [[nodiscard]] std::string_view kind() const noexcept override { return "ear"; }
  std::vector<outcome> heard;
};
step ear_stage::inner_done(int /*child*/, const outcome& o, tick& t) {
  of_.heard.push_back(o);
  return t.finish(o);
}

class attempts : public ::testing::Test {
 protected:
  pipeline built(pipeline_builder b = pipeline_builder("p")) {
    return b.add(retry{.max_attempts = 3, .delay = steady(1s)})
        .add(timeout{.after = 5s})
        .add(heard)
        .calls_are(effect::unsafe)
        .build(env);
  }
  /// How often what `make` gives or throws is tried where failures of type T may be repeated.
  template <class T, class Make>
  int tries_by(Make make) {
    const pipeline p = built(std::move(pipeline_builder("p").classify<T>(
        [](const T&, outcome& o) { o.delivery = evidence::never_sent; })));
    int count = 0;
    EXPECT_TRUE(p.execute([&] {
                   ++count;
                   return make();
                 }).has_error());
    return count;
  }

  manual_environment env;
  std::shared_ptr<ear> heard = std::make_shared<ear>();
};

TEST_F(attempts, an_operation_sees_its_number_and_deadline) {
  const scripted_operation op(env, {scripted_end::fail(connection_refused)});
  std::vector<int> numbers;
  std::vector<duration> left;
  auto wrapped = built().wrap([&](attempt& a, auto token) {
    numbers.push_back(a.number());
    left.push_back(a.remaining());
    return op(std::move(token));
  });
  ended e;
  wrapped(into{&e, &env});
  env.advance(20s);
  EXPECT_EQ(numbers, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(left, (std::vector<duration>{5s, 5s, 5s}));
  EXPECT_EQ(e.error, connection_refused);
}

TEST_F(attempts, an_operation_says_what_is_known_of_its_failure) {
  const scripted_operation op(env, {scripted_end::fail(connection_reset), scripted_end::ok(4)});
  auto wrapped = built().wrap([&](attempt& a, auto token) {
    a.delivery(evidence::never_sent);  // else an unsafe call would not be repeated
    a.retry_after(7s);
    return op(std::move(token));
  });
  ended e;
  const auto start = env.now();
  wrapped(into{&e, &env});
  env.advance(20s);
  EXPECT_EQ(e.error, error_code());
  EXPECT_EQ(e.value, 4);
  EXPECT_EQ(e.at - start, 7s);
}

TEST_F(attempts, throttled_is_a_refusal_that_speaks_of_no_illness) {
  const scripted_operation op(env, {scripted_end::fail(connection_reset), scripted_end::ok(4)});
  auto wrapped = built().wrap([&](attempt& a, auto token) {
    a.throttled();
    return op(std::move(token));
  });
  ended e;
  wrapped(into{&e, &env});
  env.advance(20s);
  EXPECT_EQ(e.value, 4);
  ASSERT_EQ(heard->heard.size(), 2U);
  EXPECT_TRUE(heard->heard[0].throttled);
  EXPECT_FALSE(heard->heard[0].countable);
  EXPECT_EQ(heard->heard[0].delivery, evidence::refused);
  EXPECT_TRUE(heard->heard[1].ok());
}

TEST_F(attempts, a_callable_says_throttled_too) {
  int count = 0;
  const auto r = built().execute([&](attempt& a) -> result<int> {
    if (++count == 2) return 5;
    a.throttled();
    return error(connection_reset);
  });
  EXPECT_EQ(r.value(), 5);
  EXPECT_TRUE(heard->heard[0].throttled);
}

TEST_F(attempts, a_coroutine_takes_one) {
  auto wrapped = built().wrap([&](attempt& a) -> asio::awaitable<int> {
    if (a.number() < 3) {
      a.delivery(evidence::refused);
      throw std::runtime_error("busy");
    }
    co_return a.number();
  });
  int got = 0;
  wrapped([&](std::exception_ptr, int value) { got = value; });
  env.advance(20s);
  EXPECT_EQ(got, 3);
}

TEST_F(attempts, stop_is_requested_when_the_time_is_over) {
  std::vector<std::stop_token> stops;
  const scripted_operation op(env, {scripted_end::hang()});
  auto wrapped = built().wrap([&](attempt& a, auto token) {
    a.delivery(evidence::never_sent);
    stops.push_back(a.stop());
    return op(std::move(token));
  });
  ended e;
  wrapped(into{&e, &env});
  env.advance(4s);
  ASSERT_EQ(stops.size(), 1U);
  EXPECT_FALSE(stops[0].stop_requested());
  env.advance(1s);
  EXPECT_TRUE(stops[0].stop_requested());
  env.advance(1s);
  ASSERT_EQ(stops.size(), 2U);
  EXPECT_FALSE(stops[1].stop_requested());
  env.advance(20s);
  EXPECT_EQ(e.error, errc::attempt_timeout);
}

// Reading failures and values by their types.

struct not_connected : std::runtime_error {
  using runtime_error::runtime_error;
};
struct still_not_connected : not_connected {
  using not_connected::not_connected;
};
struct quote {
  int price = 0;
};

TEST_F(attempts, exceptions_are_read_by_their_type) {
  const pipeline p = built(std::move(pipeline_builder("p").classify<not_connected>(
      [](const not_connected&, outcome& o) { o.delivery = evidence::never_sent; })));
  int count = 0;
  const auto made = [&](auto thrown) {
    count = 0;
    const auto r = p.execute([&] {
      ++count;
      throw thrown;
    });
    EXPECT_TRUE(r.has_error());
    return count;
  };
  EXPECT_EQ(made(not_connected("no")), 3);
  EXPECT_EQ(made(still_not_connected("no")), 3);
  EXPECT_EQ(made(std::runtime_error("no")), 1);
}

TEST_F(attempts, the_first_reading_that_fits_decides) {
  pipeline_builder b("p");
  b.classify<still_not_connected>([](const auto&, outcome& o) {
     o.transient = false;
   }).classify<not_connected>([](const auto&, outcome& o) { o.countable = false; });
  const pipeline p = built(std::move(b));
  (void)p.execute([] { throw still_not_connected("no"); });
  (void)p.execute([] { throw not_connected("no"); });
  ASSERT_EQ(heard->heard.size(), 2U);
  EXPECT_FALSE(heard->heard[0].transient);
  EXPECT_TRUE(heard->heard[0].countable);
  EXPECT_FALSE(heard->heard[1].countable);
}

TEST_F(attempts, returned_values_and_errors_are_read_by_their_type) {
  pipeline_builder b("p");
  b.classify<quote>([](const quote& q, outcome& o) {
     if (q.price == 0) o.result = verdict::failed, o.delivery = evidence::refused;
   }).classify<error_code>([](const error_code& ec, outcome& o) {
    if (ec == connection_reset) o.delivery = evidence::refused;
  });
  const pipeline p = built(std::move(b));
  int count = 0;
  EXPECT_EQ(p.execute([&] { return quote{.price = count++}; })->price, 1);
  count = 0;
  const auto r = p.execute([&] { return ++count, connection_reset; });
  EXPECT_EQ(count, 3);
  EXPECT_EQ(r.error(), connection_reset);
  // A value that no later try mended is what the caller gets.
  EXPECT_EQ(p.execute([&] { return quote{}; })->price, 0);
}

TEST_F(attempts, codes_of_all_sorts_are_read_as_codes) {
  const pipeline p = built(
      std::move(pipeline_builder("p").classify<error_code>([](const error_code& ec, outcome& o) {
        if (ec == boost::system::errc::connection_reset) o.delivery = evidence::refused;
      })));
  int count = 0;
  const auto made = [&](auto how) {
    count = 0;
    EXPECT_TRUE(p.execute([&] { return ++count, how; }).has_error());
    return count;
  };
  EXPECT_EQ(made(connection_reset), 3);
  EXPECT_EQ(made(error(connection_reset, "peer")), 3);
  EXPECT_EQ(made(result<int>(error(connection_reset))), 3);
  EXPECT_EQ(made(std::make_error_code(std::errc::connection_reset)), 3);
  EXPECT_EQ(made(permission_denied), 1);
}

TEST_F(attempts, a_code_is_read_in_whatever_form_it_came) {
  const auto thrown = []() -> int {
    throw std::system_error(std::make_error_code(std::errc::connection_reset));
  };
  const auto thrown_by_boost = []() -> int { throw boost::system::system_error(connection_reset); };
  const auto thrown_by_us = []() -> int { throw call_error(error(errc::connection_closed)); };
  const auto returned = [] { return std::make_error_code(std::errc::connection_reset); };
  const auto returned_by_boost = [] { return connection_reset; };
  const auto condition = [] { return std::errc::connection_reset; };
  const auto condition_by_boost = [] { return boost::system::errc::connection_reset; };
  const auto ours = [] { return result<int>(error(errc::connection_closed, "on line 3")); };
  const auto ours_in_std = [] { return std::error_code(error_code(errc::connection_closed)); };

  EXPECT_EQ(tries_by<error_code>(thrown), 3);
  EXPECT_EQ(tries_by<error_code>(thrown_by_boost), 3);
  EXPECT_EQ(tries_by<error_code>(thrown_by_us), 3);
  EXPECT_EQ(tries_by<error_code>(condition), 3);
  EXPECT_EQ(tries_by<error_code>(condition_by_boost), 3);
  EXPECT_EQ(tries_by<error_code>(ours), 3);

  EXPECT_EQ(tries_by<std::error_code>(thrown), 3);
  EXPECT_EQ(tries_by<std::error_code>(thrown_by_boost), 3);
  EXPECT_EQ(tries_by<std::error_code>(condition), 3);
  EXPECT_EQ(tries_by<std::error_code>(returned_by_boost), 3);
  EXPECT_EQ(tries_by<std::error_code>(ours), 3);

  EXPECT_EQ(tries_by<std::errc>(thrown), 3);
  EXPECT_EQ(tries_by<std::errc>(returned), 3);
  EXPECT_EQ(tries_by<std::errc>(returned_by_boost), 3);
  EXPECT_EQ(tries_by<std::errc>(condition_by_boost), 3);
  EXPECT_EQ(tries_by<std::errc>(ours), 1);
  EXPECT_EQ(tries_by<boost::system::errc::errc_t>(returned), 3);

  EXPECT_EQ(tries_by<errc>(ours), 3);
  EXPECT_EQ(tries_by<errc>(ours_in_std), 3);
  EXPECT_EQ(tries_by<errc>(thrown_by_us), 3);
  EXPECT_EQ(tries_by<errc>(returned), 1);
  EXPECT_EQ(tries_by<hawser::condition>(ours), 1);  // is no code

  EXPECT_EQ(tries_by<error>(ours), 3);
  EXPECT_EQ(tries_by<error>(thrown_by_us), 3);
  EXPECT_EQ(tries_by<error>(returned), 3);
}

TEST_F(attempts, a_thrown_error_comes_to_its_reading_with_its_text) {
  std::string seen;
  const pipeline p = built(std::move(pipeline_builder("p").classify<error>(
      [&](const error& why, outcome&) { seen = why.detail(); })));
  (void)p.execute([]() -> int { throw call_error(error(errc::connection_closed, "on line 3")); });
  EXPECT_EQ(seen, "on line 3");
}

TEST_F(attempts, an_exception_nested_in_another_is_read_by_its_type) {
  const auto nested = [] {
    try {
      throw not_connected("no");
    } catch (...) {
      try {
        std::throw_with_nested(std::runtime_error("service layer"));
      } catch (...) {
        std::throw_with_nested(std::logic_error("outermost"));
      }
    }
  };
  EXPECT_EQ(tries_by<not_connected>(nested), 3);
  EXPECT_EQ(tries_by<std::runtime_error>(nested), 3);
  EXPECT_EQ(tries_by<std::out_of_range>(nested), 1);
  const auto nested_code = [] {
    try {
      throw boost::system::system_error(connection_reset);
    } catch (...) {
      std::throw_with_nested(std::logic_error("outermost"));
    }
  };
  EXPECT_EQ(tries_by<error_code>(nested_code), 3);
}

/// An expected that holds an exception, of which asking for its error is a mistake.
struct torn {
  using value_type = int;
  [[nodiscard]] bool has_value() const { return false; }
  [[nodiscard]] bool has_exception() const { return true; }
  [[nodiscard]] std::exception_ptr exception() const {
    return std::make_exception_ptr(not_connected("no"));
  }
  [[nodiscard]] error_code error() const { throw std::logic_error("there is none"); }
  [[nodiscard]] int value() const { return 0; }
};

TEST_F(attempts, an_exception_that_is_returned_is_read_by_its_type) {
  const pipeline p = built(std::move(pipeline_builder("p").classify<not_connected>(
      [](const not_connected&, outcome& o) { o.delivery = evidence::never_sent; })));
  int count = 0;
  EXPECT_TRUE(p.execute([&] { return ++count, torn(); }).has_error());
  EXPECT_EQ(count, 3);
  count = 0;
  EXPECT_TRUE(
      p.execute([&] { return ++count, std::make_exception_ptr(not_connected("no")); }).has_error());
  EXPECT_EQ(count, 3);
}

TEST_F(attempts, a_failure_may_be_declared_fine_and_is_still_delivered) {
  const pipeline p = built(std::move(pipeline_builder("p").classify<std::out_of_range>(
      [](const std::out_of_range&, outcome& o) { o.result = verdict::ok; })));
  EXPECT_THROW(p.execute_or_throw([] { throw std::out_of_range("no such order"); }),
               std::out_of_range);
  ASSERT_EQ(heard->heard.size(), 1U);
  EXPECT_TRUE(heard->heard[0].ok());
  const auto r = p.execute([] { throw std::out_of_range("no such order"); });
  EXPECT_NE(r.error().detail().find("no such order"), std::string_view::npos);
}

TEST_F(attempts, what_a_reading_throws_is_ignored) {
  const pipeline p = built(
      std::move(pipeline_builder("p").classify<not_connected>([](const not_connected&, outcome& o) {
        o.transient = false;
        throw 1;
      })));
  EXPECT_EQ(p.execute([] { throw not_connected("no"); }).error(), errc::outcome_unknown);
  EXPECT_TRUE(heard->heard[0].transient);
}

TEST_F(attempts, asynchronous_failures_and_values_are_read_by_their_type) {
  pipeline_builder b("p");
  b.classify<not_connected>([](const auto&, outcome& o) { o.delivery = evidence::never_sent; })
      .classify<error_code>([](const auto&, outcome& o) { o.delivery = evidence::never_sent; })
      .classify<quote>([](const quote& q, outcome& o) {
        if (q.price == 0) o.result = verdict::failed, o.delivery = evidence::refused;
      });
  const pipeline p = built(std::move(b));
  int count = 0;
  auto throwing = p.wrap([&]() -> asio::awaitable<int> {
    ++count;
    throw not_connected("no");
    co_return 1;
  });
  throwing([](std::exception_ptr, int) {});
  env.advance(20s);
  EXPECT_EQ(count, 3);

  const scripted_operation op(env, {scripted_end::fail(connection_reset)});
  p.wrap(op)([](error_code, int) {});
  env.advance(20s);
  EXPECT_EQ(op.starts(), 3);

  count = 0;
  quote got;
  auto quoting = p.wrap([&]() -> asio::awaitable<quote> { co_return quote{.price = count++}; });
  quoting([&](std::exception_ptr, quote q) { got = q; });
  env.advance(20s);
  EXPECT_EQ(got.price, 1);
}

}  // namespace
}  // namespace hawser::test::attempt_test
