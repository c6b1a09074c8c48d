// Why a call ended, as its error tells it: put together by the first who asks, and the same ever
// after.
#include "hawser/observe/redactor.hpp"
#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/run/execute.hpp"
#include "hawser/testing/manual_environment.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace hawser::test::decision_test {
namespace {

using namespace std::chrono_literals;
using testing::manual_environment;

/// What a limiter of this name says who has no token left.
error refused_by(std::string_view limiter, pipeline_builder&& builder, manual_environment& env) {
  const pipeline p =
      builder.add(rate_limiter{.name = std::string(limiter), .permits = 1, .per = 2s}).build(env);
  EXPECT_TRUE(p.execute([] {}));
  const auto r = p.execute([] {});
  EXPECT_EQ(r.error(), errc::rate_limited);
  return r.error();
}

TEST(decision, is_told_when_its_pipeline_is_gone) {
  std::optional<error> why;
  {
    manual_environment env;
    why = refused_by("tokens", pipeline_builder("billing"), env);
  }
  EXPECT_EQ(why->detail(), "tokens: our own rate, next try in 2 s");
  EXPECT_EQ(why->message(),
            error_code(errc::rate_limited).message() + ": " + std::string(why->detail()));
}

TEST(decision, is_told_as_of_the_moment_it_was_taken) {
  manual_environment env;
  const error why = refused_by("tokens", pipeline_builder("billing"), env);
  env.advance(1s);
  EXPECT_NE(why.detail().find("next try in 2 s"), std::string_view::npos) << why.detail();
}

TEST(decision, names_policies_however_long_their_names_are) {
  for (const std::size_t length : {1U, 47U, 48U, 49U, 500U}) {
    manual_environment env;
    const std::string name(length, 'n');
    const error why = refused_by(name, pipeline_builder("billing"), env);
    EXPECT_EQ(why.detail().substr(0, length + 1), name + ":");
  }
}

TEST(decision, is_one_text_for_all_copies_and_threads) {
  manual_environment env;
  for (int round = 0; round < 50; ++round) {
    const error why = refused_by("tokens", pipeline_builder("billing"), env);
    env.advance(2s);
    std::atomic<int> waiting{4};
    std::vector<std::string_view> told(4);
    std::vector<std::thread> threads;
    for (std::string_view& mine : told)
      threads.emplace_back([&mine, &waiting, copy = why] {
        --waiting;
        while (waiting != 0) {
        }
        mine = copy.detail();
      });
    for (std::thread& t : threads) t.join();
    for (const std::string_view text : told) {
      EXPECT_EQ(text.data(), why.detail().data());
      EXPECT_EQ(text, "tokens: our own rate, next try in 2 s");
    }
  }
}

TEST(decision, is_masked_when_it_is_told_however_late) {
  redaction options;
  options.literals = {secret("correcthorse")};
  std::optional<error> why;
  {
    manual_environment env;
    why = refused_by("correcthorse",
                     std::move(pipeline_builder("b").redact(make_redactor(options))), env);
  }
  EXPECT_EQ(why->detail().find("correcthorse"), std::string_view::npos) << why->detail();
  EXPECT_NE(why->detail().find("[masked]: our own rate"), std::string_view::npos) << why->detail();
}

// Where the name does not fit beside the numbers, the text is made and masked at once.
TEST(decision, is_masked_however_long_its_policys_name_is) {
  redaction options;
  options.literals = {secret("correcthorse")};
  for (const std::size_t length : {1U, 36U, 37U, 500U}) {
    manual_environment env;
    const error why =
        refused_by("correcthorse" + std::string(length, 'n'),
                   std::move(pipeline_builder("b").redact(make_redactor(options))), env);
    EXPECT_EQ(why.detail().find("correcthorse"), std::string_view::npos) << why.detail();
    EXPECT_NE(why.detail().find("n: our own rate"), std::string_view::npos) << why.detail();
  }
}

TEST(decision, counts_the_attempts) {
  manual_environment env;
  const pipeline p = pipeline_builder("billing")
                         .add(retry{.max_attempts = 3, .delay = constant{0s}})
                         .calls_are(effect::idempotent)
                         .build(env);
  const auto r = p.execute([]() -> result<int> { return error(errc::connection_closed); });
  EXPECT_NE(r.error().detail().find("after 3 attempts (2 retries)"), std::string_view::npos)
      << r.error().detail();
}

}  // namespace
}  // namespace hawser::test::decision_test
