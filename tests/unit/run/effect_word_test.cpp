// No blind repetition: who wants calls repeated says, in one word, what doing them twice would do.
#include "hawser/policy/fallback.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/run/execute.hpp"

#include "support/virtual_time.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>
#include <string>

namespace hawser::test::effect_word_test {
namespace {

class effect_word : public ::testing::Test {
 protected:
  pipeline built(std::optional<effect> word = std::nullopt) {
    pipeline_builder b("p");
    b.add(retry{.max_attempts = 3, .delay = steady(1s)}).observe(seen);
    if (word) b.calls_are(*word);
    return b.build(env);
  }
  /// How often a call is made that ends with `how`.
  int made(const pipeline& p, error_code how, const call_options& options = {}) {
    int count = 0;
    last = p.execute([&]() -> result<int> { return ++count, error(how); }, options);
    return count;
  }

  manual_environment env;
  std::shared_ptr<event_recorder> seen = std::make_shared<event_recorder>();
  result<int> last = 0;
};

TEST_F(effect_word, without_it_nothing_that_may_have_happened_is_repeated) {
  const pipeline p = built();
  EXPECT_EQ(made(p, connection_reset), 1);
  ASSERT_EQ(seen->count(event_kind::retry_stopped), 1);
  EXPECT_EQ(seen->events(event_kind::retry_stopped)[0].because, reason::effect_unsaid);
}

TEST_F(effect_word, the_error_names_the_remedy_and_nothing_else_does) {
  call_report report;
  made(built(), connection_reset, {.report = &report});
  const std::string_view remedy =
      "nobody said what doing it twice would do: "
      "pipeline_builder::calls_are says so";
  EXPECT_NE(last.error().detail().find(remedy), std::string_view::npos) << last.error().detail();
  const std::string story = report.to_string();
  EXPECT_NE(story.find("nobody said what doing it twice would do)"), std::string::npos) << story;
  EXPECT_EQ(story.find("calls_are"), std::string::npos) << story;
}

TEST_F(effect_word, without_it_an_exception_is_not_repeated) {
  int count = 0;
  const auto r = built().execute([&] {
    ++count;
    throw std::runtime_error("lost");
  });
  EXPECT_EQ(count, 1);
  EXPECT_EQ(r.error(), errc::operation_threw);
}

TEST_F(effect_word, without_it_what_cannot_have_happened_is_repeated) {
  EXPECT_EQ(made(built(), connection_refused), 3);
}

// Nobody said that it would do harm, so the error stays what it was, and says how to say the word.
TEST_F(effect_word, without_it_the_error_is_the_calls_own_and_names_the_word) {
  made(built(), connection_reset);
  EXPECT_EQ(last.error(), connection_reset);
  EXPECT_NE(last.error().detail().find("calls_are"), std::string_view::npos)
      << last.error().detail();
}

TEST_F(effect_word, once_in_the_builder_is_enough) {
  EXPECT_EQ(made(built(effect::safe), connection_reset), 3);
  EXPECT_EQ(made(built(effect::idempotent), connection_reset), 3);
  EXPECT_EQ(last.error(), connection_reset);
  EXPECT_EQ(made(built(effect::keyed), connection_reset), 3);
  EXPECT_EQ(last.error(), errc::outcome_unknown);
  EXPECT_EQ(made(built(effect::unsafe), connection_reset), 1);
  EXPECT_EQ(last.error(), errc::outcome_unknown);
}

TEST_F(effect_word, a_call_has_the_last_word) {
  EXPECT_EQ(made(built(), connection_reset, {.effect = effect::idempotent}), 3);
  EXPECT_EQ(made(built(effect::idempotent), connection_reset, {.effect = effect::unsafe}), 1);
  EXPECT_EQ(last.error(), errc::outcome_unknown);
  EXPECT_EQ(made(built(effect::unsafe), connection_reset, {.effect = effect::safe}), 3);
}

TEST_F(effect_word, comes_along_with_another_builder) {
  pipeline_builder inner("inner");
  inner.add(retry{.max_attempts = 3, .delay = steady(1s)}).calls_are(effect::safe);
  EXPECT_EQ(made(pipeline_builder("p").add(inner).build(env), connection_reset), 3);
  // One's own stands.
  EXPECT_EQ(
      made(pipeline_builder("p").calls_are(effect::unsafe).add(inner).build(env), connection_reset),
      1);
}

TEST_F(effect_word, asynchronous_operations_need_it_too) {
  for (const bool said : {false, true}) {
    const scripted_operation op(env, {scripted_end::fail(connection_reset)});
    const pipeline p = built(said ? std::optional(effect::idempotent) : std::nullopt);
    error_code got;
    p.wrap(op)([&](error_code ec, int) { got = ec; });
    env.advance(10s);
    EXPECT_EQ(op.starts(), said ? 3 : 1);
    EXPECT_EQ(got, connection_reset);
  }
}

TEST_F(effect_word, without_it_a_fallback_still_stands_in) {
  const pipeline p = pipeline_builder("p")
                         .add(fallback::value(7))
                         .add(retry{.max_attempts = 3, .delay = steady(1s)})
                         .build(env);
  EXPECT_EQ(made(p, connection_reset), 1);
  EXPECT_EQ(last.value(), 7);
}

TEST_F(effect_word, without_a_retry_a_failure_is_what_it_was) {
  const pipeline p = pipeline_builder("p").build(env);
  EXPECT_EQ(made(p, connection_reset), 1);
  EXPECT_EQ(last.error(), connection_reset);
}

}  // namespace
}  // namespace hawser::test::effect_word_test
