// Blocking calls: what callables may look like, and what becomes of what they return and throw.
#include "hawser/run/execute.hpp"

#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/fallback.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/testing/manual_environment.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <vector>

namespace hawser::test::execute_test {
namespace {

using namespace std::chrono_literals;
using testing::manual_environment;

const error_code reset =
    boost::system::errc::make_error_code(boost::system::errc::connection_reset);

constant steady(duration each) { return {.each = each, .spread = jitter::none}; }

class execute : public ::testing::Test {
 protected:
  execute() {
    env.on_leftover([](std::string_view what) { ADD_FAILURE() << "left behind: " << what; });
  }
  pipeline bare() { return pipeline_builder{"bare"}.build(env); }
  pipeline retrying(int attempts = 3, duration each = 1s) {
    return pipeline_builder{"test"}
        .add(retry{.max_attempts = attempts, .delay = steady(each)})
        .calls_are(effect::idempotent)
        .build(env);
  }
  manual_environment env;
};

TEST_F(execute, returns_the_value) {
  const auto r = bare().execute([] { return 42; });
  static_assert(std::is_same_v<decltype(r), const result<int>>);
  EXPECT_EQ(r.value(), 42);
}

TEST_F(execute, a_callable_may_return_a_result) {
  const auto r = bare().execute([]() -> result<int> { return 42; });
  static_assert(std::is_same_v<decltype(r), const result<int>>);
  EXPECT_EQ(r.value(), 42);
  const auto e = bare().execute([]() -> result<int> { return error(reset, "peer went away"); });
  EXPECT_EQ(e.error(), reset);
  EXPECT_EQ(e.error().detail(), "peer went away");
}

TEST_F(execute, a_callable_may_return_a_boost_result) {
  const auto r = bare().execute([]() -> boost::system::result<int> { return reset; });
  static_assert(std::is_same_v<decltype(r), const result<int>>);
  EXPECT_EQ(r.error(), reset);
  const auto ok = bare().execute([]() -> boost::system::result<int> { return 3; });
  EXPECT_EQ(ok.value(), 3);
}

TEST_F(execute, a_callable_may_return_nothing) {
  int ran = 0;
  const auto r = bare().execute([&] { ++ran; });
  static_assert(std::is_same_v<decltype(r), const result<void>>);
  EXPECT_TRUE(r.has_value());
  EXPECT_EQ(ran, 1);
}

TEST_F(execute, a_callable_may_return_a_result_of_nothing) {
  const auto ok = bare().execute([]() -> result<void> { return {}; });
  EXPECT_TRUE(ok.has_value());
  const auto e = bare().execute([]() -> result<void> { return error(reset); });
  EXPECT_EQ(e.error(), reset);
}

TEST_F(execute, an_exception_keeps_the_code_it_carries) {
  const auto boost_code =
      bare().execute([]() -> int { throw boost::system::system_error(reset, "secret context"); });
  EXPECT_EQ(boost_code.error(), reset);
  const auto std_code = bare().execute(
      []() -> int { throw std::system_error(std::make_error_code(std::errc::connection_reset)); });
  EXPECT_EQ(std_code.error(), condition::transient);
  EXPECT_EQ(std_code.error().code(), reset.default_error_condition());
  const auto own = bare().execute(
      []() -> int { throw call_error(error(errc::rate_limited, "inner pipeline")); });
  EXPECT_EQ(own.error(), errc::rate_limited);
  EXPECT_NE(own.error().detail().find("inner pipeline"), std::string_view::npos);
}

TEST_F(execute, any_other_exception_is_operation_threw_with_its_text_masked) {
  const auto r = bare().execute(
      []() -> int { throw std::runtime_error("login failed: password=hunter2 for bob"); });
  EXPECT_EQ(r.error(), errc::operation_threw);
  EXPECT_NE(r.error().detail().find("login failed"), std::string_view::npos);
  EXPECT_EQ(r.error().message().find("hunter2"), std::string::npos) << r.error().message();
  const auto odd = bare().execute([]() -> int { throw 17; });
  EXPECT_EQ(odd.error(), errc::operation_threw);
}

TEST_F(execute, a_callable_may_take_the_attempt) {
  std::vector<int> numbers;
  const auto r = retrying().execute([&](attempt& a) -> int {
    numbers.push_back(a.number());
    EXPECT_EQ(a.deadline(), never);
    EXPECT_EQ(a.remaining(), duration::max());
    EXPECT_FALSE(a.stop().stop_requested());
    if (a.number() < 3) throw std::runtime_error("again");
    return a.number();
  });
  EXPECT_EQ(r.value(), 3);
  EXPECT_EQ(numbers, (std::vector<int>{1, 2, 3}));
}

TEST_F(execute, the_attempt_knows_the_nearest_deadline) {
  const pipeline p = pipeline_builder{"test"}
                         .add(timeout{.after = 8s})
                         .add(retry{.max_attempts = 2, .delay = steady(1s)})
                         .add(timeout{.after = 2s})
                         .calls_are(effect::idempotent)
                         .build(env);
  const time_point start = env.now();
  std::vector<time_point> deadlines;
  (void)p.execute([&](attempt& a) -> int {
    deadlines.push_back(a.deadline());
    throw std::runtime_error("again");
  });
  EXPECT_EQ(deadlines, (std::vector<time_point>{start + 2s, start + 3s}));
  (void)p.execute(
      [&](attempt& a) {
        EXPECT_EQ(a.deadline(), env.now() + 1s);
        EXPECT_EQ(a.remaining(), 1s);
      },
      {.within = 1s});
}

TEST_F(execute, the_stop_token_fires_at_the_deadline) {
  const pipeline p = pipeline_builder{"test"}.add(timeout{.after = 2s}).build(env);
  bool before = true, after = false;
  const auto r = p.execute([&](attempt& a) -> int {
    const std::stop_token stop = a.stop();
    env.advance(1999ms);
    before = stop.stop_requested();
    env.advance(1ms);
    after = stop.stop_requested();
    throw std::runtime_error("stopped");
  });
  EXPECT_FALSE(before);
  EXPECT_TRUE(after);
  EXPECT_EQ(r.error(), errc::call_timeout);
}

TEST_F(execute, each_attempt_has_a_stop_token_of_its_own) {
  const pipeline p = pipeline_builder{"test"}
                         .add(retry{.max_attempts = 3, .delay = steady(1s)})
                         .add(timeout{.after = 2s})
                         .calls_are(effect::idempotent)
                         .build(env);
  std::vector<bool> at_start;
  const auto r = p.execute([&](attempt& a) -> int {
    const std::stop_token stop = a.stop();
    at_start.push_back(stop.stop_requested());
    env.advance(3s);
    EXPECT_TRUE(stop.stop_requested());
    throw std::runtime_error("too slow");
  });
  EXPECT_EQ(at_start, (std::vector<bool>{false, false, false}));
  EXPECT_EQ(r.error(), errc::attempt_timeout);
}

TEST_F(execute, a_success_that_comes_too_late_is_delivered) {
  const pipeline p = pipeline_builder{"test"}
                         .add(retry{.max_attempts = 3, .delay = steady(1s)})
                         .add(timeout{.after = 2s})
                         .calls_are(effect::idempotent)
                         .build(env);
  int calls = 0;
  const auto r = p.execute([&] {
    ++calls;
    env.advance(3s);
    return calls;
  });
  EXPECT_EQ(r.value(), 1);
  EXPECT_EQ(calls, 1);
}

TEST_F(execute, the_caller_stops_the_running_callable) {
  std::stop_source caller;
  bool stopped = false;
  int attempts = 0;
  const auto r = retrying().execute(
      [&](attempt& a) -> int {
        ++attempts;
        const std::stop_token stop = a.stop();
        EXPECT_FALSE(stop.stop_requested());
        caller.request_stop();
        stopped = stop.stop_requested();
        throw std::runtime_error("stopped");
      },
      {.stop = caller.get_token()});
  EXPECT_TRUE(stopped);
  EXPECT_EQ(attempts, 1);
  EXPECT_EQ(r.error(), condition::canceled);
}

TEST_F(execute, a_token_taken_after_the_caller_stopped_is_stopped) {
  std::stop_source caller;
  const auto r = bare().execute(
      [&](attempt& a) -> int {
        caller.request_stop();
        EXPECT_TRUE(a.stop().stop_requested());
        throw std::runtime_error("stopped");
      },
      {.stop = caller.get_token()});
  EXPECT_EQ(r.error(), condition::canceled);
}

TEST_F(execute, a_caller_who_stopped_before_the_start_starts_nothing) {
  std::stop_source caller;
  caller.request_stop();
  int calls = 0;
  const auto r = retrying().execute([&] { return ++calls; }, {.stop = caller.get_token()});
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(r.error(), condition::canceled);
}

TEST_F(execute, no_further_attempt_after_the_caller_stopped) {
  std::stop_source caller;
  int calls = 0;
  // Even with no wait between the attempts.
  const auto r = retrying(5, 0s).execute(
      [&]() -> int {
        ++calls;
        caller.request_stop();
        throw std::runtime_error("again");
      },
      {.stop = caller.get_token()});
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(r.error(), condition::canceled);
}

TEST_F(execute, a_success_after_the_caller_stopped_is_delivered) {
  std::stop_source caller;
  const auto r = bare().execute(
      [&] {
        caller.request_stop();
        return 5;
      },
      {.stop = caller.get_token()});
  EXPECT_EQ(r.value(), 5);
}

TEST_F(execute, the_caller_stops_a_wait_from_another_thread) {
  // On the real clock, with a wait that nobody would live to see the end of.
  const environment real;
  const pipeline p = pipeline_builder{"test"}
                         .add(retry{.max_attempts = 2, .delay = steady(100h)})
                         .calls_are(effect::idempotent)
                         .build(real);
  std::stop_source caller;
  std::thread other;
  int calls = 0;
  const auto r = p.execute(
      [&]() -> int {
        ++calls;
        other = std::thread([&] { caller.request_stop(); });
        throw std::runtime_error("again");
      },
      {.stop = caller.get_token()});
  other.join();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(r.error(), condition::canceled);
}

TEST_F(execute, the_classifier_reads_returned_values) {
  int calls = 0;
  const auto r = retrying().execute([&] { return ++calls; }, {},
                                    [](int v) { return v < 3 ? verdict::failed : verdict::ok; });
  EXPECT_EQ(r.value(), 3);
}

TEST_F(execute, a_value_classified_as_a_failure_is_still_delivered_in_the_end) {
  int calls = 0;
  const auto r =
      retrying().execute([&] { return ++calls; }, {}, [](const int&) { return verdict::failed; });
  EXPECT_EQ(r.value(), 3) << "the last real answer";
}

TEST_F(execute, the_classifier_may_give_a_whole_outcome) {
  int calls = 0;
  const auto r = retrying(3, 1s).execute([&] { return ++calls; }, {.effect = effect::unsafe},
                                         [](int v) {
                                           outcome o;
                                           if (v == 3) return o;
                                           o.result = verdict::failed;
                                           o.transient = true;
                                           o.delivery = evidence::refused;
                                           o.server_wait = 5s;
                                           return o;
                                         });
  EXPECT_EQ(r.value(), 3);
  EXPECT_EQ(env.now(), time_point{} + 1h + 10s);
}

TEST_F(execute, an_answer_in_the_end_leaves_no_doubt_about_what_may_be_repeated) {
  for (const effect what : {effect::idempotent, effect::keyed}) {
    int calls = 0;
    call_report report;
    (void)retrying(2).execute([&] { return ++calls; }, {.effect = what, .report = &report},
                              [](int v) {
                                outcome o;
                                o.result = verdict::failed;
                                o.transient = true;
                                o.delivery = v == 1 ? evidence::maybe_applied : evidence::answered;
                                o.status = v == 1 ? 0 : 503;
                                return o;
                              });
    EXPECT_EQ(calls, 2);
    EXPECT_EQ(report.delivery,
              what == effect::keyed ? evidence::maybe_applied : evidence::answered);
  }
}

TEST_F(execute, the_classifier_reads_calls_that_return_nothing) {
  int calls = 0;
  const auto r = retrying().execute([&] { ++calls; }, {},
                                    [&] { return calls < 2 ? verdict::failed : verdict::ok; });
  EXPECT_TRUE(r.has_value());
  EXPECT_EQ(calls, 2);
}

TEST_F(execute, a_classifier_that_throws_is_a_failure_of_the_attempt) {
  const auto r = bare().execute([] { return 1; }, {},
                                [](int) -> verdict { throw std::runtime_error("cannot say"); });
  EXPECT_EQ(r.error(), errc::operation_threw);
}

TEST_F(execute, move_only_values_come_through) {
  int calls = 0;
  auto r = retrying().execute([&]() -> std::unique_ptr<int> {
    if (++calls < 2) throw std::runtime_error("again");
    return std::make_unique<int>(9);
  });
  EXPECT_EQ(*r.value(), 9);
  auto nested =
      bare().execute([]() -> result<std::unique_ptr<int>> { return std::make_unique<int>(8); });
  EXPECT_EQ(*nested.value(), 8);
}

TEST_F(execute, callables_are_not_copied) {
  struct single {
    int calls = 0;
    single() = default;
    single(const single&) = delete;
    int operator()() {
      if (++calls < 3) throw std::runtime_error("again");
      return calls;
    }
  } f;
  EXPECT_EQ(retrying().execute(f).value(), 3);
  EXPECT_EQ(f.calls, 3);
  const auto fixed = [] { return 1; };
  EXPECT_EQ(bare().execute(fixed).value(), 1);
}

TEST_F(execute, what_an_attempt_says_about_itself_is_heard) {
  int calls = 0;
  const auto r = retrying().execute(
      [&](attempt& a) -> int {
        a.delivery(evidence::never_sent);
        a.retry_after(7s);
        if (++calls < 2) throw std::runtime_error("pool is dry");
        return calls;
      },
      {.effect = effect::unsafe});
  EXPECT_EQ(r.value(), 2);
  EXPECT_EQ(env.now(), time_point{} + 1h + 7s);
}

TEST_F(execute, a_wait_below_zero_is_no_hint) {
  std::optional<bool> hinted;
  retry how{.max_attempts = 2};
  how.transient = [&](const outcome& o) -> std::optional<bool> {
    hinted = o.has_hint();
    return {};
  };
  const pipeline p = pipeline_builder("api").add(how).build(env);
  EXPECT_FALSE(p.execute([](attempt& a) -> result<int> {
    a.retry_after(-1s);
    return error(errc::connection_closed);
  }));
  EXPECT_EQ(hinted, false);
}

TEST_F(execute, messages_print_attempts_and_retries) {
  const auto r = retrying(3).execute([]() -> int { throw std::runtime_error("down"); });
  const std::string text = r.error().message();
  EXPECT_NE(text.find("down"), std::string::npos) << text;
  EXPECT_NE(text.find("3 attempts (2 retries)"), std::string::npos) << text;
  const auto two = retrying(2).execute([]() -> int { throw std::runtime_error("down"); });
  EXPECT_NE(two.error().message().find("2 attempts (1 retry)"), std::string::npos);
}

TEST_F(execute, an_unsafe_call_that_may_have_been_applied_ends_as_outcome_unknown) {
  int calls = 0;
  const auto r = retrying().execute(
      [&]() -> int {
        ++calls;
        throw boost::system::system_error(reset);
      },
      {.effect = effect::unsafe});
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(r.error(), errc::outcome_unknown);
  EXPECT_EQ(r.error(), condition::ambiguous);
  EXPECT_NE(r.error().message().find(reset.message()), std::string::npos)
      << "the real error is never hidden: " << r.error().message();
}

TEST_F(execute, an_unknown_outcome_keeps_the_words_of_the_error_it_hides) {
  for (const effect what : {effect::unsafe, effect::keyed}) {
    const pipeline p = pipeline_builder("p").build(env);
    const auto thrown =
        p.execute([]() -> int { throw std::runtime_error("row 17 is locked"); }, {.effect = what});
    EXPECT_EQ(thrown.error(), errc::outcome_unknown);
    EXPECT_NE(thrown.error().message().find("row 17 is locked"), std::string::npos)
        << thrown.error().message();
    const auto returned = p.execute(
        []() -> result<int> {
          return {boost::system::in_place_error, error(reset, "at row 18")};
        },
        {.effect = what});
    EXPECT_EQ(returned.error(), errc::outcome_unknown);
    EXPECT_NE(returned.error().message().find("at row 18"), std::string::npos)
        << returned.error().message();
    EXPECT_NE(returned.error().message().find(reset.message()), std::string::npos);
    try {
      p.execute_or_throw([]() -> int { throw std::runtime_error("row 19"); }, {.effect = what});
      ADD_FAILURE();
    } catch (const call_error& e) {
      EXPECT_NE(std::string_view(e.what()).find("row 19"), std::string_view::npos) << e.what();
    }
  }
}

TEST_F(execute, execute_or_throw_returns_the_value) {
  const int v = bare().execute_or_throw([] { return 4; });
  EXPECT_EQ(v, 4);
  bare().execute_or_throw([] {});
  auto p = bare().execute_or_throw([] { return std::make_unique<int>(2); });
  EXPECT_EQ(*p, 2);
}

TEST_F(execute, execute_or_throw_lets_the_original_out) {
  struct custom : std::runtime_error {
    custom() : runtime_error("custom") {}
  };
  int calls = 0;
  const auto fail = [&]() -> int {
    ++calls;
    throw custom();
  };
  EXPECT_THROW((void)retrying(2).execute_or_throw(fail), custom);
  EXPECT_EQ(calls, 2);
}

TEST_F(execute, execute_or_throw_nests_the_original_in_a_policys_ending) {
  struct custom : std::runtime_error {
    custom() : runtime_error("custom") {}
  };
  try {
    (void)bare().execute_or_throw([]() -> int { throw custom(); }, {.effect = effect::unsafe});
    ADD_FAILURE();
  } catch (const call_error& e) {
    EXPECT_EQ(e.code(), errc::outcome_unknown);
    try {
      std::rethrow_if_nested(e);
      ADD_FAILURE() << "nothing nested";
    } catch (const custom&) {
    }
  }
}

TEST_F(execute, execute_or_throw_throws_call_error_for_returned_errors) {
  try {
    (void)bare().execute_or_throw([]() -> result<int> { return error(reset, "peer"); });
    ADD_FAILURE();
  } catch (const call_error& e) {
    EXPECT_EQ(e.code(), reset);
    EXPECT_EQ(e.why().detail(), "peer");
  }
}

TEST_F(execute, what_an_earlier_attempt_threw_is_not_nested_in_a_later_error) {
  int calls = 0;
  try {
    (void)retrying(2).execute_or_throw([&]() -> result<int> {
      if (++calls == 1) throw std::runtime_error("first");
      return error(reset);
    });
    ADD_FAILURE();
  } catch (const call_error& e) {
    EXPECT_EQ(e.code(), reset);
    EXPECT_NO_THROW(std::rethrow_if_nested(e));
  }
}

TEST_F(execute, a_fallback_stands_in_for_an_exception) {
  const pipeline p = pipeline_builder{"test"}.add(fallback::value(7)).build(env);
  EXPECT_EQ(p.execute([]() -> int { throw std::runtime_error("down"); }).value(), 7);
  EXPECT_EQ(p.execute([]() -> result<int> { return error(reset); }).value(), 7);
  EXPECT_EQ(p.execute_or_throw([]() -> int { throw std::runtime_error("down"); }), 7);
  EXPECT_FALSE(p.execute([]() -> long { throw std::runtime_error("down"); }).has_value());
}

TEST_F(execute, a_rejection_says_who_and_why) {
  auto breaker = std::make_shared<circuit_breaker_policy>(circuit_breaker{.name = "billing"});
  const pipeline p = pipeline_builder{"test"}.add(breaker).build(env);
  breaker->isolate(env.now());
  int calls = 0;
  const auto r = p.execute([&] { return ++calls; });
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(r.error(), errc::circuit_isolated);
  EXPECT_EQ(r.error(), condition::rejected);
  EXPECT_NE(r.error().message().find("billing"), std::string::npos) << r.error().message();
}

TEST_F(execute, exceptions_of_a_users_callback_leak_nothing_and_are_masked) {
  auto slots = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1});
  const pipeline p = pipeline_builder{"test"}
                         .add(slots)
                         .add(retry{.max_attempts = 2,
                                    .transient = [](const outcome&) -> std::optional<bool> {
                                      throw std::runtime_error("token=abcdef0123456789 is bad");
                                    }})
                         .build(env);
  const auto r = p.execute([]() -> int { throw std::runtime_error("down"); });
  EXPECT_EQ(r.error(), errc::operation_threw);
  EXPECT_EQ(r.error().message().find("abcdef0123456789"), std::string::npos) << r.error().message();
  EXPECT_EQ(slots->snapshot().in_flight, 0);
}

TEST_F(execute, what_a_users_callback_throws_says_nothing_about_the_dependency) {
  auto breaker = std::make_shared<circuit_breaker_policy>(circuit_breaker{});
  const pipeline p = pipeline_builder{"test"}
                         .add(breaker)
                         .add(retry{.transient = [](const outcome&) -> std::optional<bool> {
                           throw std::runtime_error("the callback's own trouble");
                         }})
                         .build(env);
  const auto r = p.execute([]() -> result<int> { return error(reset); });
  EXPECT_EQ(r.error(), errc::operation_threw);
  EXPECT_EQ(breaker->snapshot(env.now()).calls, 0U);
}

TEST_F(execute, a_nested_pipeline_keeps_its_error) {
  auto breaker = std::make_shared<circuit_breaker_policy>(circuit_breaker{});
  breaker->isolate(env.now());
  const pipeline inner = pipeline_builder{"inner"}.add(breaker).build(env);
  const pipeline outer = retrying(3);
  int calls = 0;
  const auto r = outer.execute([&] { return inner.execute([&] { return ++calls; }); });
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(r.error(), errc::circuit_isolated);
}

TEST_F(execute, report_and_result_agree_on_the_error) {
  // The rejection comes from a pipeline inside the callable, after a real error.
  auto breaker = std::make_shared<circuit_breaker_policy>(circuit_breaker{});
  const pipeline inner = pipeline_builder{"inner"}.add(breaker).build(env);
  const pipeline outer = retrying(3);
  call_report report;
  const auto r = outer.execute(
      [&] {
        return inner.execute([&]() -> result<int> {
          breaker->isolate(env.now());
          return error(reset);
        });
      },
      {.report = &report});
  EXPECT_EQ(report.error, r.error().code()) << report.to_string();
}

TEST_F(execute, waits_take_no_real_time) {
  const auto r = retrying(3, 100h).execute([]() -> int { throw std::runtime_error("down"); });
  EXPECT_EQ(r.error(), errc::operation_threw);
  EXPECT_EQ(env.now(), time_point{} + 1h + 200h);
}

TEST_F(execute, a_call_within_no_time_starts_nothing) {
  for (const duration none : {0s, -1s}) {
    int calls = 0;
    const auto r = retrying().execute([&] { return ++calls; }, {.within = none});
    EXPECT_EQ(calls, 0);
    EXPECT_EQ(r.error(), errc::call_timeout);
  }
}

TEST_F(execute, within_ends_the_waits) {
  const time_point start = env.now();
  const auto r =
      retrying(5, 2s).execute([]() -> int { throw std::runtime_error("down"); }, {.within = 3s});
  EXPECT_EQ(r.error(), errc::operation_threw) << "the last real error";
  EXPECT_EQ(env.now(), start + 2s) << "gave up when the next wait would have been too long";
}

TEST_F(execute, many_threads_share_one_pipeline) {
  const environment real;
  const pipeline p = pipeline_builder{"test"}
                         .add(bulkhead{.max_concurrent = 2, .max_queue = 100})
                         .add(retry{.max_attempts = 3, .delay = steady(0s)})
                         .calls_are(effect::idempotent)
                         .build(real);
  std::vector<std::thread> threads;
  std::atomic<int> sum{0}, inside{0}, peak{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        int tries = 0;
        const auto r = p.execute([&]() -> int {
          const int now = ++inside;
          int seen = peak.load();
          while (seen < now && !peak.compare_exchange_weak(seen, now)) {
          }
          --inside;
          if (++tries < 2) throw std::runtime_error("again");
          return 1;
        });
        sum += r.value();
      }
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(sum, 800);
  EXPECT_LE(peak, 2);
}

}  // namespace
}  // namespace hawser::test::execute_test
