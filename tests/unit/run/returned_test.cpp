// What a callable or an operation returns is judged by what it says, not by that it returned.
#include "hawser/policy/retry.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/coroutine.hpp"
#include "hawser/run/execute.hpp"
#include "hawser/testing/manual_environment.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <array>
#include <cerrno>
#include <chrono>
#include <exception>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace hawser::test::returned_test {
namespace {

using testing::manual_environment;

/// As std::expected and its forerunners have it.
template <class T, class E>
class expected {
 public:
  using value_type = T;
  using error_type = E;
  expected(T value) : value_(std::move(value)) {}
  static expected failed(E e) {
    expected x;
    x.error_ = std::move(e);
    return x;
  }
  [[nodiscard]] bool has_value() const { return value_.has_value(); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return *std::move(value_); }
  [[nodiscard]] const E& error() const { return *error_; }

 private:
  expected() = default;
  std::optional<T> value_;
  std::optional<E> error_;
};

/// As Boost.Outcome's: an error or an exception, and no operator*.
struct outcome_like {
  using value_type = int;
  int held = 0;
  std::error_code code{};
  std::exception_ptr thrown{};
  [[nodiscard]] bool has_value() const { return !code && !thrown; }
  [[nodiscard]] bool has_exception() const { return thrown != nullptr; }
  [[nodiscard]] std::exception_ptr exception() const { return thrown; }
  [[nodiscard]] std::error_code error() const {
    if (thrown) throw std::logic_error("there is none");
    return code;
  }
  [[nodiscard]] int value() const { return held; }
};

/// As Abseil's and gRPC's.
struct status {
  bool fine = true;
  [[nodiscard]] bool ok() const { return fine; }
  [[nodiscard]] std::string message() const { return "not found"; }
};

struct odd_failure {
  std::string said;
  [[nodiscard]] error_code code() const { return errc::connection_closed; }
  [[nodiscard]] const std::string& message() const { return said; }
};

/// Codes with more to say, as some libraries derive them.
struct located_code : std::error_code {
  located_code(std::error_code code, int at) : std::error_code(code), line(at) {}
  int line;
};
struct boost_code : error_code {
  explicit boost_code(error_code code) : error_code(code) {}
};
struct own_error : error {
  using error::error;
};

/// As cpp-httplib's.
struct convertible {
  int held = 0;
  explicit operator bool() const { return held != 0; }
  int operator*() const { return held; }
  [[nodiscard]] std::string error() const { return "unreachable"; }
};
/// As Folly's.
struct camel {
  std::optional<int> held;
  [[nodiscard]] bool hasValue() const { return held.has_value(); }
  [[nodiscard]] int value() const { return *held; }
  [[nodiscard]] std::error_code error() const {
    return std::make_error_code(std::errc::broken_pipe);
  }
};
/// As those who come from Rust write it.
struct rusty {
  std::optional<int> held;
  [[nodiscard]] bool is_ok() const { return held.has_value(); }
  [[nodiscard]] int unwrap() const { return *held; }
  [[nodiscard]] std::string unwrap_err() const { return "not so"; }
};
struct is_error_only {
  bool bad = false;
  [[nodiscard]] bool is_err() const { return bad; }
  [[nodiscard]] std::string error() const { return "torn"; }
};
struct ok_with_value {
  std::optional<int> held;
  [[nodiscard]] bool ok() const { return held.has_value(); }
  [[nodiscard]] int value() const { return *held; }
  [[nodiscard]] std::error_code error() const {
    return std::make_error_code(std::errc::broken_pipe);
  }
};
struct numbered_status {
  int number = 0;
  [[nodiscard]] bool ok() const { return number == 0; }
  [[nodiscard]] int code() const { return number; }
};
struct status_of {
  int number = 0;
  [[nodiscard]] bool ok() const { return number == 0; }
  [[nodiscard]] int status() const { return number; }
};

/// A value that reads itself.
struct opinionated {
  error_code about{};
};
outcome outcome_of(const opinionated& o) { return classify(o.about); }

enum class legacy { fine, down };
std::error_code make_error_code(legacy e) {
  return {e == legacy::down ? ECONNRESET : 0, std::generic_category()};
}

}  // namespace
}  // namespace hawser::test::returned_test

template <>
struct std::is_error_code_enum<hawser::test::returned_test::legacy> : std::true_type {};

namespace hawser::test::returned_test {
namespace {

const std::error_code broken_pipe = std::make_error_code(std::errc::broken_pipe);
error_code connection_refused() {
  return boost::system::errc::make_error_code(boost::system::errc::connection_refused);
}

/// Hears how attempts were read, or refuses them.
class ear;
class ear_stage final : public stage {
 public:
  explicit ear_stage(ear& of) noexcept : of_(of) {}
  step enter(tick& t) override;
  step inner_done(int child, const outcome& o, tick& t) override;

 private:
  ear& of_;
};
class ear final : public policy_with<ear, ear_stage> {
 public:
  [[nodiscard]] std::string_view kind() const noexcept override { return "ear"; }
  outcome heard;
  bool refuses = false;
};
step ear_stage::enter(tick& t) {
  if (of_.refuses)
    return t.finish(outcome::refuse(errc::circuit_open, {"ear", reason::forced, 0, 0, never}));
  return step::call_inner();
}
step ear_stage::inner_done(int /*child*/, const outcome& o, tick& t) {
  of_.heard = o;
  return t.finish(o);
}

class returned : public ::testing::Test {
 protected:
  template <class F>
  auto run(F f) {
    return under_ear().execute(f);
  }
  const pipeline& under_ear() {
    listening = std::make_shared<ear>();
    p.emplace(pipeline_builder("p").add(listening).build(env));
    return *p;
  }
  [[nodiscard]] bool counted_as_failure() const {
    return listening->heard.result == verdict::failed && listening->heard.countable;
  }

  manual_environment env;
  std::shared_ptr<ear> listening;
  std::optional<pipeline> p;
};

template <class R>
inline constexpr bool is_void_result = std::is_same_v<R, result<void>>;

TEST_F(returned, standard_error_code_is_a_failure_and_kept) {
  const auto r = run([] { return broken_pipe; });
  static_assert(is_void_result<std::remove_const_t<decltype(r)>>);
  EXPECT_TRUE(counted_as_failure());
  ASSERT_TRUE(r.has_error());
  EXPECT_EQ(r.error(), error_code(broken_pipe));
  EXPECT_TRUE(run([] { return std::error_code(); }).has_value());
  EXPECT_FALSE(counted_as_failure());
}

TEST_F(returned, codes_of_all_sorts_are_failures_unless_zero) {
  EXPECT_EQ(run([] { return connection_refused(); }).error(), connection_refused());
  EXPECT_TRUE(counted_as_failure());
  EXPECT_EQ(run([] { return errc::connection_closed; }).error(), errc::connection_closed);
  EXPECT_TRUE(counted_as_failure());
  EXPECT_EQ(run([] { return std::errc::timed_out; }).error(), condition::timeout);
  EXPECT_TRUE(counted_as_failure());
  EXPECT_EQ(run([] { return boost::system::errc::timed_out; }).error(), condition::timeout);
  EXPECT_TRUE(counted_as_failure());
  EXPECT_EQ(run([] { return std::error_condition(std::errc::timed_out); }).error(),
            condition::timeout);
  EXPECT_EQ(run([] { return error_condition(boost::system::errc::timed_out); }).error(),
            condition::timeout);
  EXPECT_EQ(run([] { return legacy::down; }).error(),
            error_code(std::error_code(ECONNRESET, std::generic_category())));
  EXPECT_TRUE(counted_as_failure());

  EXPECT_TRUE(run([] { return error_code(); }).has_value());
  EXPECT_TRUE(run([] { return std::errc(); }).has_value());
  EXPECT_TRUE(run([] { return boost::system::errc::success; }).has_value());
  EXPECT_TRUE(run([] { return std::error_condition(); }).has_value());
  EXPECT_TRUE(run([] { return error(); }).has_value());
  EXPECT_TRUE(run([] { return legacy::fine; }).has_value());
  EXPECT_FALSE(counted_as_failure());
}

TEST_F(returned, our_error_keeps_its_text) {
  const auto r = run([] { return error(errc::connection_closed, "on line 3"); });
  static_assert(is_void_result<std::remove_const_t<decltype(r)>>);
  EXPECT_TRUE(counted_as_failure());
  EXPECT_EQ(r.error(), errc::connection_closed);
  EXPECT_NE(r.error().detail().find("on line 3"), std::string_view::npos);
}

TEST_F(returned, exception_pointer_is_a_failure_with_its_text) {
  const auto r = run([] { return std::make_exception_ptr(std::runtime_error("lost it")); });
  EXPECT_TRUE(counted_as_failure());
  EXPECT_EQ(r.error(), errc::operation_threw);
  EXPECT_NE(r.error().detail().find("lost it"), std::string_view::npos);
  EXPECT_TRUE(run([] { return std::exception_ptr(); }).has_value());
}

TEST_F(returned, what_looks_like_expected_gives_its_value_or_its_error) {
  using code_or_int = expected<int, std::error_code>;
  const auto bad = run([] { return code_or_int::failed(broken_pipe); });
  static_assert(std::is_same_v<std::remove_const_t<decltype(bad)>, result<int>>);
  EXPECT_TRUE(counted_as_failure());
  EXPECT_EQ(bad.error(), error_code(broken_pipe));
  EXPECT_EQ(run([] { return code_or_int(7); }).value(), 7);
  EXPECT_FALSE(counted_as_failure());

  using moved = expected<std::unique_ptr<int>, std::error_code>;
  EXPECT_EQ(*run([] { return moved(std::make_unique<int>(8)); }).value(), 8);
}

TEST_F(returned, errors_of_any_type_keep_what_they_say) {
  const auto text = run([] { return expected<int, std::string>::failed("no such order"); });
  EXPECT_TRUE(counted_as_failure());
  EXPECT_EQ(text.error(), errc::operation_failed);
  EXPECT_NE(text.error().detail().find("no such order"), std::string_view::npos);

  const auto odd = run([] { return expected<int, odd_failure>::failed({"hung up"}); });
  EXPECT_EQ(odd.error(), errc::connection_closed);
  EXPECT_NE(odd.error().detail().find("hung up"), std::string_view::npos);

  EXPECT_EQ(run([] { return expected<int, int>::failed(3); }).error(), errc::operation_failed);
  EXPECT_TRUE(counted_as_failure());

  using thrown = boost::system::result<int, std::exception_ptr>;
  const auto of_exception = run([] {
    return thrown(boost::system::in_place_error, std::make_exception_ptr(std::bad_alloc()));
  });
  EXPECT_EQ(of_exception.error().code(), boost::system::errc::not_enough_memory);

  // One that says that it failed and names no code has failed all the same.
  const auto without = run([] { return expected<int, std::error_code>::failed({}); });
  EXPECT_TRUE(counted_as_failure());
  EXPECT_EQ(without.error(), errc::operation_failed);
}

TEST_F(returned, what_looks_like_outcome_gives_value_code_or_exception) {
  EXPECT_EQ(run([] { return outcome_like{.held = 5}; }).value(), 5);
  EXPECT_FALSE(counted_as_failure());
  EXPECT_EQ(run([] { return outcome_like{.code = broken_pipe}; }).error(), error_code(broken_pipe));
  EXPECT_TRUE(counted_as_failure());
  const auto r = run(
      [] { return outcome_like{.thrown = std::make_exception_ptr(std::runtime_error("torn"))}; });
  EXPECT_TRUE(counted_as_failure());
  EXPECT_NE(r.error().detail().find("torn"), std::string_view::npos);
}

TEST_F(returned, what_is_derived_from_a_code_is_one) {
  const auto r = run([] { return located_code(broken_pipe, 3); });
  static_assert(is_void_result<std::remove_const_t<decltype(r)>>);
  EXPECT_TRUE(counted_as_failure());
  EXPECT_EQ(r.error(), error_code(broken_pipe));
  EXPECT_TRUE(run([] { return located_code({}, 3); }).has_value());
  EXPECT_EQ(run([] { return boost_code(connection_refused()); }).error(), connection_refused());
  const auto told = run([] { return own_error(errc::connection_closed, "on line 3"); });
  EXPECT_EQ(told.error(), errc::connection_closed);
  EXPECT_NE(told.error().detail().find("on line 3"), std::string_view::npos);
  EXPECT_TRUE(run([] { return own_error(); }).has_value());
}

TEST_F(returned, an_exception_object_is_a_failure_as_if_it_were_thrown) {
  const auto r = run([] { return std::runtime_error("lost it"); });
  static_assert(is_void_result<std::remove_const_t<decltype(r)>>);
  EXPECT_TRUE(counted_as_failure());
  EXPECT_EQ(r.error(), errc::operation_threw);
  EXPECT_NE(r.error().detail().find("lost it"), std::string_view::npos);
  EXPECT_EQ(run([] { return std::system_error(broken_pipe); }).error(), error_code(broken_pipe));
  EXPECT_EQ(run([] { return boost::system::system_error(connection_refused()); }).error(),
            connection_refused());
  const auto ours = run([] { return call_error(error(errc::connection_closed, "on line 3")); });
  EXPECT_TRUE(counted_as_failure());
  EXPECT_EQ(ours.error(), errc::connection_closed);
  EXPECT_NE(ours.error().detail().find("on line 3"), std::string_view::npos);
  const auto held = run([] {
    return expected<int, call_error>::failed(call_error(error(errc::attempt_timeout, "of ours")));
  });
  EXPECT_EQ(held.error(), errc::attempt_timeout);
}

TEST_F(returned, a_nested_result_is_judged_inside_out) {
  using twice = result<result<int>>;
  const auto r = run([] {
    return twice(boost::system::in_place_value,
                 result<int>(error(errc::connection_closed, "deep")));
  });
  static_assert(std::is_same_v<std::remove_const_t<decltype(r)>, result<int>>);
  EXPECT_TRUE(counted_as_failure());
  EXPECT_EQ(r.error(), errc::connection_closed);
  EXPECT_NE(r.error().detail().find("deep"), std::string_view::npos);
  EXPECT_EQ(run([] { return twice(boost::system::in_place_error, errc::attempt_timeout); }).error(),
            errc::attempt_timeout);
  EXPECT_EQ(run([] { return twice(boost::system::in_place_value, result<int>(7)); }).value(), 7);
  EXPECT_FALSE(counted_as_failure());

  using code_in = expected<std::error_code, int>;
  const auto code = run([] { return code_in(broken_pipe); });
  static_assert(is_void_result<std::remove_const_t<decltype(code)>>);
  EXPECT_TRUE(counted_as_failure());
  EXPECT_EQ(code.error(), error_code(broken_pipe));
  EXPECT_TRUE(run([] { return code_in(std::error_code()); }).has_value());
  EXPECT_TRUE(run([] { return code_in::failed(3); }).has_error());

  using thrice = expected<result<std::unique_ptr<int>>, std::string>;
  EXPECT_EQ(
      *run([] { return thrice(result<std::unique_ptr<int>>(std::make_unique<int>(8))); }).value(),
      8);
}

TEST_F(returned, what_works_like_expected_under_other_names) {
  EXPECT_EQ(run([] { return convertible{5}; }).value(), 5);
  EXPECT_NE(run([] { return convertible{}; }).error().detail().find("unreachable"),
            std::string_view::npos);
  EXPECT_TRUE(counted_as_failure());
  EXPECT_EQ(run([] { return camel{5}; }).value(), 5);
  EXPECT_EQ(run([] { return camel{}; }).error(), error_code(broken_pipe));
  EXPECT_EQ(run([] { return rusty{5}; }).value(), 5);
  EXPECT_NE(run([] { return rusty{}; }).error().detail().find("not so"), std::string_view::npos);
  EXPECT_EQ(run([] { return ok_with_value{5}; }).value(), 5);
  EXPECT_EQ(run([] { return ok_with_value{}; }).error(), error_code(broken_pipe));
  EXPECT_TRUE(counted_as_failure());
  const auto r = run([] { return is_error_only{true}; });
  EXPECT_TRUE(counted_as_failure());
  EXPECT_NE(r.error().detail().find("torn"), std::string_view::npos);
  EXPECT_TRUE(run([] { return is_error_only{}; }).has_value());
  EXPECT_FALSE(counted_as_failure());
}

TEST_F(returned, a_status_with_a_number_counts_by_what_it_says) {
  EXPECT_EQ(run([] { return numbered_status{3}; }).value().number, 3);
  EXPECT_TRUE(counted_as_failure());
  EXPECT_EQ(run([] { return status_of{3}; }).value().number, 3);
  EXPECT_TRUE(counted_as_failure());
  EXPECT_TRUE(run([] { return numbered_status{}; }).has_value());
  EXPECT_FALSE(counted_as_failure());
}

TEST_F(returned, a_status_counts_by_what_it_says_and_is_kept) {
  const auto r = run([] { return status{.fine = false}; });
  EXPECT_TRUE(counted_as_failure());
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ(r->message(), "not found");
  EXPECT_TRUE(run([] { return status{}; }).has_value());
  EXPECT_FALSE(counted_as_failure());
}

TEST_F(returned, a_status_that_came_too_late_leaves_its_words) {
  const pipeline late =
      pipeline_builder("late").add(timeout{.after = std::chrono::seconds(1)}).build(env);
  const auto words = [&](auto made) {
    const auto r = late.execute([&] {
      env.advance(std::chrono::seconds(2));
      return made;
    });
    EXPECT_EQ(r.error(), errc::call_timeout);
    return std::string(r.error().detail());
  };
  EXPECT_NE(words(status{.fine = false}).find("it ended with: not found"), std::string::npos)
      << words(status{.fine = false});
  EXPECT_NE(words(opinionated{errc::server_error}).find("it ended with: the server answered"),
            std::string::npos)
      << words(opinionated{errc::server_error});
}

TEST_F(returned, a_verdict_or_an_outcome_is_what_it_says) {
  EXPECT_TRUE(run([] { return verdict::ok; }).has_value());
  EXPECT_FALSE(counted_as_failure());
  EXPECT_EQ(run([] { return verdict::failed; }).error(), errc::operation_failed);
  EXPECT_TRUE(counted_as_failure());
  EXPECT_TRUE(run([] { return verdict::ignored; }).has_error());
  EXPECT_FALSE(counted_as_failure());
  const auto r = run([] {
    outcome o = classify(errc::connection_closed);
    o.countable = false;
    return o;
  });
  EXPECT_EQ(r.error(), errc::connection_closed);
  EXPECT_FALSE(counted_as_failure());
}

TEST_F(returned, bools_pointers_and_empty_optionals_are_values) {
  EXPECT_EQ(run([] { return false; }).value(), false);
  EXPECT_EQ(run([] { return std::optional<int>(); }).value(), std::nullopt);
  EXPECT_EQ(run([]() -> int* { return nullptr; }).value(), nullptr);
  EXPECT_FALSE(counted_as_failure());
}

struct declared_only;

TEST_F(returned, what_holds_values_is_a_value) {
  EXPECT_EQ(run([] { return std::vector<std::string>{"a"}; }).value().size(), 1U);
  EXPECT_EQ(run([] { return std::map<std::string, std::optional<int>>{}; }).value().size(), 0U);
  EXPECT_EQ(run([] { return std::make_pair(std::string("a"), 2); }).value().second, 2);
  EXPECT_EQ(run([] { return std::array<int, 2>{1, 2}; }).value()[1], 2);
  EXPECT_EQ(run([] { return std::shared_ptr<declared_only>(); }).value(), nullptr);
  EXPECT_EQ(run([] { return std::variant<int, std::string>(3); }).value().index(), 0U);
  EXPECT_EQ(run([] { return std::chrono::milliseconds(3); }).value().count(), 3);
  EXPECT_EQ(run([] { return nlohmann::json(3); }).value(), 3);
  EXPECT_FALSE(counted_as_failure());
  // What nobody can tell a classifier can, as it can of something to call.
  const auto all_fine = [](const std::vector<std::error_code>& codes) {
    return codes.empty() ? verdict::ok : verdict::failed;
  };
  EXPECT_EQ(p->execute([] { return std::vector<std::error_code>(2); }, {}, all_fine)->size(), 2U);
  EXPECT_TRUE(counted_as_failure());
  const auto any = [](const auto&) { return verdict::ok; };
  EXPECT_EQ(p->execute([] { return std::function<int()>([] { return 4; }); }, {}, any).value()(),
            4);
  // So does a struct of one's own.
  struct own {
    std::vector<std::error_code> codes;
  };
  EXPECT_TRUE(run([] { return own{{broken_pipe}}; }).has_value());
}

TEST_F(returned, a_lvalue_is_not_moved_from) {
  expected<std::string, std::error_code> kept("a string too long for its own buffer, surely");
  const auto f = [&]() -> expected<std::string, std::error_code>& { return kept; };
  EXPECT_EQ(run(f).value(), *kept);
  EXPECT_FALSE((*kept).empty());
}

TEST_F(returned, or_throw_throws_what_a_code_says) {
  run([] { return 1; });
  try {
    p->execute_or_throw([] { return broken_pipe; });
    FAIL() << "threw nothing";
  } catch (const call_error& e) {
    EXPECT_EQ(e.why(), error_code(broken_pipe));
  }
}

TEST_F(returned, or_throw_throws_the_exception_that_was_returned) {
  run([] { return 1; });
  EXPECT_THROW(p->execute_or_throw(
                   [] { return std::make_exception_ptr(std::out_of_range("no such order")); }),
               std::out_of_range);
  EXPECT_THROW(p->execute_or_throw([] { return std::out_of_range("no such order"); }),
               std::out_of_range);
  using thrown = boost::system::result<int, std::exception_ptr>;
  EXPECT_THROW((void)p->execute_or_throw([] {
    return thrown(boost::system::in_place_error, std::make_exception_ptr(std::bad_alloc()));
  }),
               std::bad_alloc);
  EXPECT_THROW((void)p->execute_or_throw([] {
    return outcome_like{.thrown = std::make_exception_ptr(std::range_error("torn"))};
  }),
               std::range_error);
  // What a policy made of it has it nested.
  const pipeline late =
      pipeline_builder("late").add(timeout{.after = std::chrono::seconds(1)}).build(env);
  try {
    late.execute_or_throw([this] {
      env.advance(std::chrono::seconds(2));
      return std::make_exception_ptr(std::out_of_range("no such order"));
    });
    FAIL() << "threw nothing";
  } catch (const call_error& e) {
    EXPECT_EQ(e.why(), errc::call_timeout);
    EXPECT_THROW(std::rethrow_if_nested(e), std::out_of_range);
  }
}

// Asynchronous operations.

using returned_async = returned;

TEST_F(returned_async, completion_with_a_standard_code) {
  const pipeline& q = under_ear();
  auto op = q.wrap([this](auto token) {
    return boost::asio::async_initiate<decltype(token), void(std::error_code, int)>(
        [this](auto handler) {
          boost::asio::post(env.get_executor(),
                            [h = std::move(handler)]() mutable { std::move(h)(broken_pipe, 0); });
        },
        token);
  });
  std::error_code got;
  op([&](std::error_code ec, int) { got = ec; });
  env.run_ready();
  EXPECT_EQ(got, broken_pipe);
  EXPECT_TRUE(counted_as_failure());
  listening->refuses = true;
  op([&](std::error_code ec, int) { got = ec; });
  env.run_ready();
  EXPECT_EQ(error_code(got), errc::circuit_open);
}

TEST_F(returned_async, completion_with_our_error) {
  const pipeline& q = under_ear();
  auto op = q.wrap([this](auto token) {
    return boost::asio::async_initiate<decltype(token), void(error)>(
        [this](auto handler) {
          boost::asio::post(env.get_executor(), [h = std::move(handler)]() mutable {
            std::move(h)(error(errc::connection_closed, "on line 3"));
          });
        },
        token);
  });
  error got;
  op([&](error why) { got = why; });
  env.run_ready();
  EXPECT_EQ(got, errc::connection_closed);
  EXPECT_EQ(got.detail(), "on line 3");
  EXPECT_TRUE(counted_as_failure());
  listening->refuses = true;
  op([&](error why) { got = why; });
  env.run_ready();
  EXPECT_EQ(got, errc::circuit_open);
  EXPECT_FALSE(got.detail().empty());
}

TEST_F(returned_async, what_follows_a_good_code_is_judged_too) {
  const pipeline& q = under_ear();
  auto op = q.wrap([this](auto token) {
    return boost::asio::async_initiate<decltype(token), void(error_code, std::error_code)>(
        [this](auto handler) {
          boost::asio::post(env.get_executor(), [h = std::move(handler)]() mutable {
            std::move(h)(error_code(), broken_pipe);
          });
        },
        token);
  });
  std::error_code got;
  op([&](error_code, std::error_code ec) { got = ec; });
  env.run_ready();
  EXPECT_EQ(got, broken_pipe);
  EXPECT_TRUE(counted_as_failure());
}

TEST_F(returned_async, coroutine_that_returns_a_failed_result) {
  const pipeline& q = under_ear();
  auto op = q.wrap([]() -> boost::asio::awaitable<result<int>> {
    co_return error(errc::connection_closed, "on line 3");
  });
  std::exception_ptr thrown;
  result<int> got = 0;
  const auto keep = [&](std::exception_ptr e, result<int> r) {
    thrown = e;
    got = std::move(r);
  };
  op(keep);
  env.run_ready();
  EXPECT_EQ(thrown, nullptr);
  EXPECT_EQ(got.error(), errc::connection_closed);
  EXPECT_TRUE(counted_as_failure());
  listening->refuses = true;
  op(keep);  // and the breaker's refusal comes in the same form
  env.run_ready();
  EXPECT_EQ(thrown, nullptr);
  EXPECT_EQ(got.error(), errc::circuit_open);
}

TEST_F(returned_async, coroutine_that_returns_a_result_of_a_result) {
  const pipeline& q = under_ear();
  using twice = result<result<int>>;
  auto op = q.wrap([]() -> boost::asio::awaitable<twice> {
    co_return twice(boost::system::in_place_value, result<int>(error(errc::connection_closed)));
  });
  std::optional<twice> got;
  op([&](std::exception_ptr, twice r) { got = std::move(r); });
  env.run_ready();
  EXPECT_TRUE(counted_as_failure());
  ASSERT_TRUE(got && got->has_value());
  EXPECT_EQ(got->value().error(), errc::connection_closed);
}

TEST_F(returned_async, an_ending_by_the_policies_has_the_exception_nested) {
  const pipeline q =
      pipeline_builder("p").add(retry{.max_attempts = 3}).calls_are(effect::unsafe).build(env);
  auto op = q.wrap([]() -> boost::asio::awaitable<int> {
    throw std::out_of_range("no such order");
    co_return 1;
  });
  std::exception_ptr thrown;
  op([&](std::exception_ptr e, int) { thrown = e; });
  env.run_ready();
  ASSERT_NE(thrown, nullptr);
  try {
    std::rethrow_exception(thrown);
  } catch (const call_error& e) {
    EXPECT_EQ(e.why(), errc::outcome_unknown);
    EXPECT_THROW(std::rethrow_if_nested(e), std::out_of_range);
  }
}

TEST_F(returned_async, a_status_that_came_too_late_leaves_its_words) {
  const pipeline q =
      pipeline_builder("p").add(timeout{.after = std::chrono::seconds(1)}).build(env);
  auto op = q.wrap([this](auto token) {
    return boost::asio::async_initiate<decltype(token), void(error, status)>(
        [this](auto handler) {
          boost::asio::post(env.get_executor(), [this, h = std::move(handler)]() mutable {
            env.advance(std::chrono::seconds(2));
            std::move(h)(error(), status{.fine = false});
          });
        },
        token);
  });
  error got;
  op([&](error why, status) { got = why; });
  env.run_ready();
  EXPECT_EQ(got, errc::call_timeout);
  EXPECT_NE(got.detail().find("it ended with: not found"), std::string_view::npos) << got.detail();
}

TEST_F(returned_async, coroutine_that_returns_a_code) {
  const pipeline& q = under_ear();
  auto op = q.wrap([]() -> boost::asio::awaitable<std::error_code> { co_return broken_pipe; });
  std::error_code got;
  op([&](std::exception_ptr, std::error_code ec) { got = ec; });
  env.run_ready();
  EXPECT_EQ(got, broken_pipe);
  EXPECT_TRUE(counted_as_failure());
}

}  // namespace
}  // namespace hawser::test::returned_test
