// A redactor of the pipeline's own: what it knows is in no text that leaves a call.
#include "hawser/observe/redactor.hpp"
#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/run/async.hpp"
#include "hawser/run/coroutine.hpp"
#include "hawser/run/execute.hpp"
#include "hawser/testing/event_recorder.hpp"
#include "hawser/testing/manual_environment.hpp"

#include <gtest/gtest.h>

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

namespace hawser::test::redaction_test {
namespace {

using namespace std::chrono_literals;
using testing::manual_environment;

/// Has no name and no shape: only who knows it can find it.
constexpr std::string_view literal = "correcthorse";

std::shared_ptr<const redactor> knowing(std::string_view what = literal) {
  redaction options;
  options.literals = {secret(what)};
  return make_redactor(options);
}

/// Remembers the texts of all events.
class listener final : public observer {
 public:
  void on_event(const event& e) override {
    heard.append(e.operation).append(" ").append(e.correlation).append("\n");
  }
  std::string heard;
};

class talkative_category final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "talkative"; }
  std::string message(int /*value*/) const override { return "no luck for correcthorse"; }
};

class redaction_of_calls : public ::testing::Test {
 protected:
  static void expect_clean(const std::string& text, std::string_view rest = "[masked]") {
    EXPECT_EQ(text.find(literal), std::string::npos) << text;
    EXPECT_NE(text.find(rest), std::string::npos) << text;
  }
  [[nodiscard]] pipeline_builder builder() const {
    return std::move(pipeline_builder("billing").redact(knowing()).calls_are(effect::idempotent));
  }

  manual_environment env;
};

TEST_F(redaction_of_calls, masks_what_a_callable_throws) {
  const pipeline p = builder().add(retry{.max_attempts = 2}).build(env);
  const auto login = []() -> int { throw std::runtime_error("login failed for correcthorse"); };
  const auto r = p.execute(login);
  EXPECT_EQ(r.error(), errc::operation_threw);
  expect_clean(r.error().message(), "login failed for [masked]; ");
  EXPECT_NE(r.error().message().find("2 attempts"), std::string::npos) << "the story is there";
  try {
    static_cast<void>(p.execute_or_throw(login));
    ADD_FAILURE();
  } catch (const call_error&) {
    ADD_FAILURE();
  } catch (const std::runtime_error& own) {
    EXPECT_STREQ(own.what(), "login failed for correcthorse") << "the caller's own object";
  }
}

TEST_F(redaction_of_calls, masks_the_errors_that_a_callable_returns) {
  const pipeline p = builder().build(env);
  const auto r = p.execute(
      []() -> result<int> { return error(errc::client_error, "no account correcthorse"); });
  EXPECT_EQ(r.error(), errc::client_error);
  EXPECT_EQ(r.error().detail(), "no account [masked]");
  const auto none = p.execute([]() -> result<int> { return error(errc::client_error); });
  EXPECT_EQ(none.error().detail(), "");
}

TEST_F(redaction_of_calls, finds_a_literal_that_a_built_in_rule_would_break) {
  // The built-in rules take the number out of the middle of it.
  const std::string whole = "horse 4111 1111 1111 1111 staple";
  const auto r = pipeline_builder("p").redact(knowing(whole)).build(env).execute([&]() -> int {
    throw std::runtime_error("no " + whole);
  });
  EXPECT_EQ(r.error().detail(), "no [masked]");
}

TEST_F(redaction_of_calls, keeps_the_built_in_rules) {
  redaction options;
  options.literals = {secret(literal)};
  options.fields.defaults = options.parameters.defaults = options.headers.defaults = false;
  const auto r =
      pipeline_builder("p").redact(make_redactor(options)).build(env).execute([]() -> int {
        throw std::runtime_error("password=abc for correcthorse");
      });
  EXPECT_EQ(r.error().detail(), "password=[masked] for [masked]");
}

TEST_F(redaction_of_calls, masks_what_a_policys_callback_throws) {
  const pipeline p = builder()
                         .add(retry{.max_attempts = 2,
                                    .transient = [](const outcome&) -> std::optional<bool> {
                                      throw std::runtime_error("no rule for correcthorse");
                                    }})
                         .build(env);
  const auto r = p.execute([]() -> int { throw std::runtime_error("down"); });
  EXPECT_EQ(r.error(), errc::operation_threw);
  expect_clean(r.error().message(), "no rule for [masked]");
}

TEST_F(redaction_of_calls, masks_the_ending_that_an_unknown_outcome_tells_of) {
  static const talkative_category category;
  const pipeline p = builder().build(env);
  const auto r = p.execute(
      [](attempt& a) -> result<int> {
        a.delivery(evidence::maybe_applied);
        return error(error_code(1, category));
      },
      {.effect = effect::unsafe});
  EXPECT_EQ(r.error(), errc::outcome_unknown);
  expect_clean(r.error().message(), "no luck for [masked]");
}

TEST_F(redaction_of_calls, masks_causes_in_errors_and_reports) {
  const auto slots =
      std::make_shared<bulkhead_policy>(bulkhead{.name = "correcthorse", .max_concurrent = 1});
  const pipeline p = builder().add(slots).build(env);
  call_report report;
  std::optional<result<int>> inner;
  ASSERT_TRUE(p.execute([&] {
    inner.emplace(p.execute([] { return 1; }, {.report = &report}));
    return 2;
  }));
  ASSERT_FALSE(*inner);
  expect_clean(inner->error().message());
  bool told = false;
  for (const report_entry& e : report.entries) {
    if (e.cause.empty()) continue;
    told = true;
    expect_clean(e.policy);
    EXPECT_EQ(e.to_string().find(literal), std::string::npos) << e.to_string();
  }
  EXPECT_TRUE(told);
}

TEST_F(redaction_of_calls, masks_names_and_ids_in_reports_and_events) {
  const auto ear = std::make_shared<listener>();
  const pipeline p = builder().observe(ear).add(retry{.max_attempts = 2}).build(env);
  call_report report;
  const call_options options{
      .report = &report, .name = "GET /correcthorse", .correlation = "id-correcthorse"};
  ASSERT_TRUE(p.execute([] { return 1; }, options));
  EXPECT_EQ(report.operation, "GET /[masked]");
  EXPECT_EQ(report.correlation, "id-[masked]");
  expect_clean(report.to_string());
  expect_clean(ear->heard, "GET /[masked] id-[masked]\n");
  const pipeline plain = pipeline_builder("plain").build(env);
  ASSERT_TRUE(plain.execute([] { return 1; }, options));
  EXPECT_EQ(report.operation, "GET /correcthorse") << "as it was given";
}

TEST_F(redaction_of_calls, without_a_redactor_is_as_by_the_built_in_rules) {
  const pipeline p = pipeline_builder("p").build(env);
  const auto r =
      p.execute([]() -> int { throw std::runtime_error("password=abc for correcthorse"); });
  EXPECT_EQ(r.error().detail(), "password=[masked] for correcthorse");
}

TEST_F(redaction_of_calls, comes_with_a_builder_that_is_added_unless_there_is_one) {
  const auto text_of = [&](const pipeline_builder& b) {
    return std::string(
        b.build(env)
            .execute([]() -> int { throw std::runtime_error("correcthorse battery"); })
            .error()
            .detail());
  };
  EXPECT_EQ(text_of(pipeline_builder("outer").add(builder())), "[masked] battery");
  EXPECT_EQ(text_of(pipeline_builder("outer").redact(knowing("battery")).add(builder())),
            "correcthorse [masked]");
  EXPECT_EQ(text_of(pipeline_builder("outer").add(builder()).redact(knowing("battery"))),
            "correcthorse [masked]");
  EXPECT_EQ(text_of(builder().add(pipeline_builder("none"))), "[masked] battery");
  EXPECT_THROW(pipeline_builder("p").redact(nullptr), config_error);
}

// --- wrapped operations --------------------------------------------------------------------------

template <class Signature, class... Args>
auto completing_with(const environment& on, Args... args) {
  return [on, args...](auto token) {
    return boost::asio::async_initiate<decltype(token), Signature>(
        [on, args...](auto handler) {
          boost::asio::post(on.executor(),
                            [h = std::move(handler), args...]() mutable { std::move(h)(args...); });
        },
        token);
  };
}

TEST_F(redaction_of_calls, masks_the_results_of_wrapped_operations) {
  const pipeline p = builder().build(env);
  const result<int> bad = error(errc::client_error, "no account correcthorse");
  std::optional<result<int>> got;
  p.wrap(completing_with<void(result<int>)>(env, bad))([&](result<int> r) { got.emplace(r); });
  env.run_until_idle();
  ASSERT_TRUE(got.has_value());
  ASSERT_EQ(got->error(), errc::client_error) << got->error().message();
  EXPECT_EQ(got->error().detail(), "no account [masked]");
  p.wrap(completing_with<void(result<int>)>(env, result<int>(7)))(
      [&](result<int> r) { got.emplace(r); });
  env.run_until_idle();
  EXPECT_EQ(**got, 7);
}

TEST_F(redaction_of_calls, masks_what_initiating_functions_throw) {
  const pipeline p = builder().build(env);
  std::optional<result<int>> got;
  p.wrap([](auto token) {
    return boost::asio::async_initiate<decltype(token), void(result<int>)>(
        [](auto /*handler*/) { throw std::runtime_error("no socket for correcthorse"); }, token);
  })([&](result<int> r) { got.emplace(r); });
  env.run_until_idle();
  ASSERT_TRUE(got.has_value());
  expect_clean(got->error().message(), "no socket for [masked]");
}

TEST_F(redaction_of_calls, leaves_the_exceptions_of_coroutines_alone) {
  const pipeline p = builder().build(env);
  std::exception_ptr got;
  p.wrap([]() -> boost::asio::awaitable<int> {
    throw std::runtime_error("correcthorse");
    co_return 1;
  })([&](std::exception_ptr e, int) { got = e; });
  env.run_until_idle();
  ASSERT_NE(got, nullptr);
  try {
    std::rethrow_exception(got);
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "correcthorse") << "the caller's own object";
  }
}

}  // namespace
}  // namespace hawser::test::redaction_test
