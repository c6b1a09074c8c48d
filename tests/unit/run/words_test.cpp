// What a call says of itself: its error, its report and its events, as their reader needs them.
#include "hawser/observe/redactor.hpp"
#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/fallback.hpp"
#include "hawser/policy/keyed.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/start_spread.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/execute.hpp"

#include "support/virtual_time.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/post.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <vector>

namespace hawser::test::words_test {
namespace {

namespace asio = boost::asio;

bool says(std::string_view text, std::string_view what) {
  return text.find(what) != std::string_view::npos;
}

class words : public ::testing::Test {
 protected:
  /// Takes so long, then ends with `how`.
  auto taking(duration takes, std::function<int()> how) {
    return [this, takes, how] {
      env.advance(takes);
      return how();
    };
  }
  [[nodiscard]] std::string story() const { return report.to_string(); }

  manual_environment env;
  call_report report;
};

// What a limit is called depends on where it stands, not on how many attempts a retry may make.
TEST_F(words, limit_inside_a_retry_of_one_attempt_is_an_attempts) {
  for (const int allowed : {1, 2}) {
    const pipeline p = pipeline_builder("p")
                           .add(timeout{.after = 9s})
                           .add(retry{.max_attempts = allowed, .delay = steady(1s)})
                           .add(timeout{.after = 4s})
                           .build(env);
    const auto r = p.execute(taking(5s, []() -> int { throw std::runtime_error("late"); }));
    EXPECT_EQ(r.error(), errc::attempt_timeout) << allowed;
    const scripted_operation op(env, {scripted_end::hang()});
    ended e;
    p.wrap(op)(into{&e, &env});
    env.advance(4s);
    EXPECT_EQ(e.error, errc::attempt_timeout) << allowed;
  }
}

TEST_F(words, limit_inside_a_keyed_retry_of_one_attempt_is_an_attempts) {
  const pipeline p = pipeline_builder("p")
                         .add(timeout{.after = 9s})
                         .add(keyed{retry{.max_attempts = 1}})
                         .add(timeout{.after = 4s})
                         .build(env);
  const auto r = p.execute(taking(5s, []() -> int { throw std::runtime_error("late"); }));
  EXPECT_EQ(r.error(), errc::attempt_timeout);
}

TEST_F(words, limit_outside_a_retry_of_one_attempt_is_the_calls) {
  const pipeline p =
      pipeline_builder("p").add(timeout{.after = 4s}).add(retry{.max_attempts = 1}).build(env);
  const auto r = p.execute(taking(5s, []() -> int { throw std::runtime_error("late"); }));
  EXPECT_EQ(r.error(), errc::call_timeout);
}

TEST_F(words, what_fails_after_its_limit_keeps_its_text) {
  const pipeline p = pipeline_builder("p").add(timeout{.after = 4s}).build(env);
  const auto thrown = p.execute(taking(5s, []() -> int { throw std::runtime_error("disk full"); }));
  EXPECT_EQ(thrown.error(), errc::call_timeout);
  EXPECT_TRUE(says(thrown.error().detail(), "disk full")) << thrown.error().detail();
  EXPECT_TRUE(says(thrown.error().detail(), "limit 4 s")) << thrown.error().detail();

  const auto returned = p.execute([&]() -> result<int> {
    env.advance(5s);
    return error(errc::json_malformed, "byte 7");
  });
  EXPECT_EQ(returned.error(), errc::call_timeout);
  EXPECT_TRUE(says(returned.error().detail(), "not one JSON value")) << returned.error().detail();
  EXPECT_TRUE(says(returned.error().detail(), "byte 7")) << returned.error().detail();
}

TEST_F(words, what_fails_after_its_limit_keeps_its_status) {
  const auto late = [this](std::string detail) {
    return [this, detail = std::move(detail)]() -> result<int> {
      env.advance(5s);
      return error(errc::server_error, detail).about_answer(503, "/probs/ill", "Ill");
    };
  };
  const pipeline plain = pipeline_builder("p").add(timeout{.after = 4s}).build(env);
  const pipeline masking =
      pipeline_builder("p").add(timeout{.after = 4s}).redact(make_redactor({})).build(env);
  for (const pipeline* p : {&plain, &masking}) {
    for (const char* detail : {"", "byte 7"}) {
      const auto r = p->execute(late(detail));
      ASSERT_EQ(r.error(), errc::call_timeout);
      EXPECT_EQ(r.error().status(), 503) << r.error().message();
      EXPECT_EQ(r.error().problem_type(), "/probs/ill");
      EXPECT_EQ(r.error().problem_title(), "Ill");
    }
  }
  const auto given_up = pipeline_builder("p").build(env).execute(late(""), {.within = 4s});
  EXPECT_EQ(given_up.error(), errc::call_timeout);
  EXPECT_EQ(given_up.error().status(), 503);
}

// What a policy inside refused last has no answer to speak of; the failure before it has.
TEST_F(words, unknown_outcome_keeps_the_status_of_what_failed_before_a_refusal) {
  const pipeline p = pipeline_builder("p")
                         .add(retry{.max_attempts = 3, .delay = steady(1s)})
                         .calls_are(effect::keyed)
                         .build(env);
  int calls = 0;
  const auto r = p.execute([&]() -> result<int> {
    if (++calls == 1) return error(connection_reset).about_answer(503);
    return error(errc::pool_full, "all 8 are taken");
  });
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(r.error(), errc::outcome_unknown) << r.error().message();
  EXPECT_EQ(r.error().status(), 503) << r.error().message();
}

TEST_F(words, asynchronous_failures_keep_their_status) {
  // Tries end as listed: at once, but for an empty one, which ends once it is cancelled, as `last`.
  const auto ending_with = [this](std::vector<error> ends, error last) {
    return [this, ends, last, next = std::size_t(0)](auto&& token) mutable {
      return asio::async_initiate<decltype(token), void(result<int>)>(
          [this, why = ends.at(next++), last](auto handler) {
            auto slot = asio::get_associated_cancellation_slot(handler);
            const auto h = std::make_shared<decltype(handler)>(std::move(handler));
            const auto end_with = [this, h](const error& what) {
              asio::post(env.get_executor(), [h, what] { std::move (*h)(result<int>(what)); });
            };
            if (why.code()) return end_with(why);
            slot.assign([end_with, last](asio::cancellation_type) { end_with(last); });
          },
          token);
    };
  };
  const pipeline p = pipeline_builder("p")
                         .add(timeout{.after = 4s})
                         .add(retry{.max_attempts = 3, .delay = steady(1s)})
                         .calls_are(effect::keyed)
                         .build(env);
  const error ill = error(connection_reset).about_answer(503);
  const auto outcome_of = [&](auto op) {
    std::optional<result<int>> got;
    p.wrap(std::move(op))([&](result<int> r) { got.emplace(std::move(r)); });
    env.advance(10s);
    return got ? std::move(got)->error() : error();
  };
  const error late =
      outcome_of(ending_with({error()}, error(errc::json_malformed).about_answer(418)));
  EXPECT_EQ(late, errc::call_timeout) << late.message();
  EXPECT_EQ(late.status(), 418) << late.message();
  const error turned_away = outcome_of(ending_with({ill, error(errc::pool_full)}, error()));
  EXPECT_EQ(turned_away, errc::outcome_unknown) << turned_away.message();
  EXPECT_EQ(turned_away.status(), 503) << turned_away.message();
}

TEST_F(words, what_fails_after_its_calls_own_limit_keeps_its_text) {
  const pipeline p = pipeline_builder("p").build(env);
  const auto r =
      p.execute(taking(5s, []() -> int { throw std::runtime_error("disk full"); }), {.within = 4s});
  EXPECT_EQ(r.error(), errc::call_timeout);
  EXPECT_TRUE(says(r.error().detail(), "disk full")) << r.error().detail();
}

TEST_F(words, what_fails_after_its_caller_left_keeps_its_text) {
  const pipeline p = pipeline_builder("p").build(env);
  std::stop_source source;
  const auto r = p.execute(
      [&]() -> int {
        source.request_stop();
        throw std::runtime_error("half of it was written");
      },
      {.stop = source.get_token()});
  EXPECT_EQ(r.error(), canceled_error());
  EXPECT_TRUE(says(r.error().detail(), "half of it was written")) << r.error().detail();
}

TEST_F(words, report_says_that_a_fallback_stood_in) {
  fallback cache = fallback::value(1).or_value(7);
  cache.name = "cache";
  const pipeline p = pipeline_builder("p").add(cache).build(env);
  const auto r =
      p.execute([]() -> result<int> { return error(connection_reset); }, {.report = &report});
  EXPECT_EQ(r.value(), 1);
  EXPECT_EQ(report.stopped, reason::substituted);
  EXPECT_TRUE(says(story(),
                   "fallback used in place of Connection reset by peer "
                   "(cache: source 1 of 2)"))
      << story();
}

TEST_F(words, report_says_that_it_succeeded) {
  EXPECT_TRUE(pipeline_builder("p").build(env).execute([] {}, {.report = &report}));
  EXPECT_EQ(report.stopped, reason::succeeded);
}

TEST_F(words, tries_of_which_none_began_are_not_called_attempts) {
  auto slots = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1, .max_queue = 5});
  const pipeline p = pipeline_builder("p")
                         .add(retry{.max_attempts = 3, .delay = steady(1s)})
                         .add(timeout{.after = 1s})
                         .add(slots)
                         .build(env);
  const scripted_operation hangs(env, {scripted_end::ok().after(1h)});
  pipeline_builder("q").add(slots).build(env).wrap(hangs)([](error_code, int) {});
  env.run_ready();
  const auto r = p.execute([] {}, {.report = &report});
  EXPECT_EQ(r.error(), errc::attempt_timeout);
  EXPECT_EQ(report.attempts, 0);
  EXPECT_TRUE(says(r.error().detail(), "3 of 3 tries made, none began")) << r.error().detail();
  EXPECT_FALSE(says(story(), "attempts made")) << story();
  env.advance(1h);
}

TEST_F(words, report_tells_waits_shortly) {
  const pipeline p = pipeline_builder("p")
                         .add(retry{.max_attempts = 2, .delay = steady(90242us)})
                         .calls_are(effect::safe)
                         .build(env);
  (void)p.execute([]() -> result<int> { return error(connection_reset); }, {.report = &report});
  EXPECT_TRUE(says(story(), "waiting 90 ms (backoff)\n")) << story();
  EXPECT_TRUE(says(story(),
                   "no further attempt after Connection reset by peer "
                   "(retry: 2 of 2 tries made)\n"))
      << story();
}

TEST_F(words, report_tells_a_servers_wish_as_one) {
  const pipeline p = pipeline_builder("p")
                         .add(retry{.max_attempts = 2, .delay = steady(1s)})
                         .calls_are(effect::safe)
                         .build(env);
  (void)p.execute(
      [](attempt& a) -> result<int> {
        a.retry_after(7s);
        return error(connection_reset);
      },
      {.report = &report});
  EXPECT_TRUE(says(story(), "waiting 7 s (the server asked for it)\n")) << story();
}

TEST_F(words, report_tells_from_what_to_what_and_why) {
  const pipeline p = pipeline_builder("p")
                         .add(circuit_breaker{.name = "billing",
                                              .min_calls = 2,
                                              .failure_ratio = 0.5,
                                              .consecutive_failures = std::nullopt})
                         .build(env);
  const auto fail = []() -> result<int> { return error(connection_reset); };
  (void)p.execute(fail);
  (void)p.execute(fail, {.report = &report});
  EXPECT_TRUE(says(story(), "billing: closed -> open (failure rate 1 of 0.5")) << story();
}

TEST_F(words, retry_names_what_refused) {
  const pipeline p = pipeline_builder("p")
                         .add(retry{.max_attempts = 3, .delay = steady(1s)})
                         .add(rate_limiter{.permits = 1, .per = 1h})
                         .calls_are(effect::safe)
                         .build(env);
  const auto r =
      p.execute([]() -> result<int> { return error(connection_reset); }, {.report = &report});
  EXPECT_EQ(r.error(), connection_reset);
  EXPECT_TRUE(says(r.error().detail(), "retry: rate_limited, our own rate")) << r.error().detail();
  EXPECT_FALSE(says(story(), "local_rejection")) << story();
  EXPECT_EQ(report.stopped, reason::local_rejection);
}

TEST_F(words, remedies_stand_once_in_an_errors_text) {
  const pipeline p = pipeline_builder("p").add(timeout{.after = 4s}).build(env);
  const auto fail = [&]() -> result<int> {
    env.advance(5s);
    return error(errc::attempt_timeout);
  };
  const auto times = [](std::string_view text, std::string_view what) {
    int count = 0;
    for (auto at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1))
      ++count;
    return count;
  };
  const std::string own = p.execute(fail).error().message();
  EXPECT_EQ(times(own, "raise the timeout if it needs more"), 1) << own;
  EXPECT_TRUE(says(own, "it ended with: the attempt did not finish within its time limit")) << own;
  const std::string unknown = p.execute(fail, {.effect = effect::unsafe}).error().message();
  EXPECT_EQ(times(unknown, "reconcile before repeating it"), 1) << unknown;
  EXPECT_EQ(times(unknown, "raise the timeout if it needs more"), 1) << unknown;
}

// Throwing.

struct my_failure : std::runtime_error {
  explicit my_failure(int n) : runtime_error("mine"), number(n) {}
  int number;
};

TEST_F(words, or_throw_lets_the_callables_own_exception_out) {
  const pipeline p = pipeline_builder("p")
                         .add(retry{.max_attempts = 2, .delay = steady(1s)})
                         .calls_are(effect::safe)
                         .build(env);
  int count = 0;
  try {
    p.execute_or_throw([&]() -> int { throw my_failure(++count); }, {.report = &report});
    FAIL() << "threw nothing";
  } catch (const my_failure& e) {
    EXPECT_EQ(e.number, 2);
  }
  EXPECT_TRUE(says(story(), "2 of 2 tries made")) << story();
}

TEST_F(words, or_throw_nests_it_in_what_a_policy_ended_the_call_with) {
  const pipeline p = pipeline_builder("p").add(timeout{.after = 4s}).build(env);
  try {
    p.execute_or_throw(taking(5s, []() -> int { throw my_failure(1); }));
    FAIL() << "threw nothing";
  } catch (const call_error& e) {
    EXPECT_EQ(e.why(), errc::call_timeout);
    EXPECT_THROW(std::rethrow_if_nested(e), my_failure);
  }
}

TEST_F(words, or_throw_adds_the_story_to_a_call_error) {
  const pipeline inner = pipeline_builder("inner").build(env);
  const pipeline p = pipeline_builder("p")
                         .add(retry{.max_attempts = 2, .delay = steady(1s)})
                         .calls_are(effect::safe)
                         .build(env);
  try {
    p.execute_or_throw([&]() -> int {
      return inner.execute_or_throw(
          []() -> result<int> { return error(errc::connection_closed, "on line 3"); });
    });
    FAIL() << "threw nothing";
  } catch (const call_error& e) {
    EXPECT_EQ(e.why(), errc::connection_closed);
    EXPECT_TRUE(says(e.what(), "on line 3")) << e.what();
    EXPECT_TRUE(says(e.what(), "2 of 2 tries made")) << e.what();
  }
}

/// Throws where it is entered, as user code that a policy calls may.
class torn;
class torn_stage final : public stage {
 public:
  explicit torn_stage(torn& of) : of_(of) {}
  step enter(tick& t) override;

 private:
  torn& of_;
};
class torn final : public policy_with<torn, torn_stage> {
 public:
  explicit torn(std::string said) : text(std::move(said)) {}
  [[nodiscard]] std::string_view kind() const noexcept override { return "torn"; }
  const std::string text;
};
step torn_stage::enter(tick& /*t*/) { throw std::runtime_error(of_.text); }

// Whatever others say, an error is one line of UTF-8.
TEST_F(words, texts_of_others_stay_on_their_line) {
  const std::string odd = "a\r\nb\x1b[31m \xff \xc2\x85 \xe2\x80\xa8 caf\xc3\xa9 \"\\\"";
  const std::string shown = "a\\r\\nb\\x1b[31m \\xff \\u0085 \\u2028 caf\xc3\xa9 \"\\\"";
  const pipeline p = pipeline_builder("p").add(timeout{.after = 9s}).build(env);
  const auto thrown = p.execute([&]() -> int { throw std::runtime_error(odd); });
  EXPECT_EQ(thrown.error().detail(), shown);
  using told = boost::system::result<int, std::string>;
  EXPECT_EQ(p.execute([&]() -> told { return odd; }).error().detail(), shown);
  const pipeline broken = pipeline_builder("p").add(std::make_shared<torn>(odd)).build(env);
  EXPECT_EQ(broken.execute([] { return 1; }).error().detail(), shown);
  ASSERT_TRUE(p.execute([] { return 1; }, {.report = &report, .name = odd, .correlation = odd}));
  EXPECT_TRUE(says(story(), "p " + shown + ": ok")) << story();
  EXPECT_TRUE(says(story(), "correlation " + shown + "\n")) << story();
}

TEST_F(words, a_wait_says_its_length_once) {
  const pipeline p = pipeline_builder("p")
                         .add(rate_limiter{.permits = 1, .per = 1s, .burst = 1, .max_wait = 5s})
                         .build(env);
  ASSERT_TRUE(p.execute([] { return 1; }));
  ASSERT_TRUE(p.execute([] { return 1; }, {.report = &report}));
  EXPECT_TRUE(says(story(), "our own rate, wait allowed 5 s)")) << story();
  EXPECT_FALSE(says(story(), "next try")) << story();

  const pipeline spread = pipeline_builder("p").add(start_spread{.over = 4s}).build(env);
  ASSERT_TRUE(spread.execute([] { return 1; }, {.report = &report}));
  EXPECT_TRUE(says(story(), "(start_spread: first calls are spread out)")) << story();
}

}  // namespace
}  // namespace hawser::test::words_test
