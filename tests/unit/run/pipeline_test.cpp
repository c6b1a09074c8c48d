// Building pipelines; reports and observers.
#include "hawser/run/execute.hpp"

#include "hawser/core/try_make.hpp"
#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/fallback.hpp"
#include "hawser/policy/keyed.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/testing/event_recorder.hpp"
#include "hawser/testing/manual_environment.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace hawser::test::pipeline_test {
namespace {

using namespace std::chrono_literals;
using testing::event_recorder;
using testing::manual_environment;

constant steady(duration each) { return {.each = each, .spread = jitter::none}; }

class pipelines : public ::testing::Test {
 protected:
  manual_environment env;
};

std::string refusal(const std::function<void()>& build) {
  try {
    build();
    return "accepted";
  } catch (const config_error& e) {
    return e.what();
  }
}

TEST_F(pipelines, an_empty_name_is_refused) {
  const std::string text = refusal([&] { (void)pipeline_builder{""}.build(env); });
  EXPECT_NE(text.find("pipeline.name"), std::string::npos) << text;
}

TEST_F(pipelines, names_that_are_not_printable_are_refused) {
  EXPECT_EQ(refusal([&] { (void)pipeline_builder{"a\nb\x7f"}.build(env); }),
            "pipeline.name = a\\x0ab\\x7f: must be UTF-8 without control characters and line "
            "separators: it stands in logs; remove them");
  const std::string text =
      refusal([&] { (void)pipeline_builder{"api"}.add(retry{.name = "a\tb"}).build(env); });
  EXPECT_EQ(text.rfind("pipeline.api.retry.name = a\\x09b: must be UTF-8 without control", 0), 0U)
      << text;
  for (const char c : {'\0', '\x1f', '\x7f'})
    EXPECT_NE(refusal([&] { (void)pipeline_builder{std::string{'a', c}}.build(env); }), "accepted");
  for (const std::string_view odd :
       {"a\xC2\x85", "a\xC2\x9B", "\xE2\x80\xA8", "a\xE2\x80\xA9z", "\xFF", "a\xC3", "\xC3(",
        "\xED\xA0\x80", "\xC0\x80", "\xF5\x80\x80\x80"})
    EXPECT_NE(refusal([&] { (void)pipeline_builder{std::string(odd)}.build(env); }), "accepted");
  for (const std::string_view good :
       {"z\xC3\xBCrich ~", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xC2\xA0"})
    EXPECT_EQ(refusal([&] { (void)pipeline_builder{std::string(good)}.build(env); }), "accepted");
  EXPECT_EQ(refusal([&] { (void)pipeline_builder{"z\xC3\xBCrich ~"}.build(env); }), "accepted");
  EXPECT_EQ(refusal([&] { pipeline_builder{"a\nb"}.observe(nullptr); }),
            "pipeline.a\\x0ab.observe = null: give an observer");
}

TEST_F(pipelines, nested_retries_are_refused_with_the_product_shown) {
  pipeline_builder b{"billing"};
  b.add(retry{.name = "outer", .max_attempts = 20}).add(retry{.name = "inner", .max_attempts = 6});
  const std::string text = refusal([&] { (void)b.build(env); });
  EXPECT_NE(text.find("outer 20 x inner 6 = 120"), std::string::npos) << text;
  EXPECT_NE(text.find("100"), std::string::npos) << text;
  EXPECT_EQ(b.max_amplification(120).build(env).amplification(), 120U);
}

TEST_F(pipelines, can_be_built_without_exceptions) {
  EXPECT_EQ(pipeline_builder{"billing"}.try_build(env).value().name(), "billing");
  const result<pipeline> nameless = pipeline_builder{""}.try_build(env);
  ASSERT_TRUE(nameless.has_error());
  EXPECT_EQ(nameless.error(), errc::invalid_options);
  EXPECT_EQ(nameless.error().detail(), refusal([&] { (void)pipeline_builder{""}.build(env); }));
  // What `add` refuses, too.
  const result<pipeline> bad = try_make(
      [&] { return pipeline_builder{"billing"}.add(retry{.max_attempts = 0}).build(env); });
  ASSERT_TRUE(bad.has_error());
  EXPECT_NE(bad.error().detail().find("retry.max_attempts = 0"), std::string::npos)
      << bad.error().detail();
}

TEST_F(pipelines, the_product_does_not_overflow) {
  pipeline_builder b{"billing"};
  for (int i = 0; i < 20; ++i) b.add(retry{.max_attempts = 100});
  b.max_amplification(4000000000U);
  EXPECT_NE(refusal([&] { (void)b.build(env); }), "accepted");
}

TEST_F(pipelines, amplification_at_the_limit_is_accepted) {
  EXPECT_EQ(pipeline_builder{"p"}
                .add(retry{.max_attempts = 10})
                .add(retry{.max_attempts = 10})
                .build(env)
                .amplification(),
            100U);
}

TEST_F(pipelines, null_arguments_and_a_zero_limit_are_refused) {
  EXPECT_NE(refusal([] { pipeline_builder{"p"}.add(std::shared_ptr<policy>()); }), "accepted");
  EXPECT_NE(refusal([] { pipeline_builder{"p"}.observe(nullptr); }), "accepted");
  EXPECT_NE(refusal([] { pipeline_builder{"p"}.max_amplification(0); }), "accepted");
}

TEST_F(pipelines, the_composition_reads_outermost_first) {
  const pipeline p = pipeline_builder{"p"}
                         .add(timeout{})
                         .add(retry{})
                         .add(circuit_breaker{})
                         .add(bulkhead{})
                         .add(timeout{})
                         .build(env);
  EXPECT_EQ(p.composition(), "timeout > retry > circuit_breaker > bulkhead > timeout");
  EXPECT_EQ(p.name(), "p");
  EXPECT_EQ(pipeline_builder{"p"}.build(env).composition(), "");
}

TEST_F(pipelines, a_builder_can_be_used_again_and_added_to_another) {
  pipeline_builder common{"common"};
  common.add(timeout{.after = 2s});
  const pipeline a = common.build(env);
  const pipeline b = pipeline_builder{"b"}.add(retry{}).add(common).build(env);
  EXPECT_EQ(a.composition(), "timeout");
  EXPECT_EQ(b.composition(), "retry > timeout");
  common.add(common);
  EXPECT_EQ(common.build(env).composition(), "timeout > timeout");
}

TEST_F(pipelines, shared_policies_share_their_state) {
  auto breaker = std::make_shared<circuit_breaker_policy>(circuit_breaker{});
  const pipeline a = pipeline_builder{"a"}.add(breaker).build(env);
  const pipeline b = pipeline_builder{"b"}.add(breaker).build(env);
  breaker->isolate(env.now());
  EXPECT_EQ(a.execute([] { return 1; }).error(), errc::circuit_isolated);
  EXPECT_EQ(b.execute([] { return 1; }).error(), errc::circuit_isolated);
}

TEST_F(pipelines, more_levels_than_are_kept_inline) {
  pipeline_builder b{"deep"};
  for (int i = 0; i < 30; ++i) b.add(timeout{.after = 1h});
  b.add(retry{.max_attempts = 3, .delay = steady(1s)}).calls_are(effect::idempotent);
  int calls = 0;
  const auto r = b.build(env).execute([&]() -> int {
    if (++calls < 3) throw std::runtime_error("again");
    return calls;
  });
  EXPECT_EQ(r.value(), 3);
}

/// A stage larger than what calls keep inline, with a destructor that counts.
struct big_state {
  int alive = 0;
  int left = 0;
};
class big_policy final : public policy {
 public:
  explicit big_policy(big_state& state) : state_(state) {}
  std::string_view kind() const noexcept override { return "big"; }
  std::size_t stage_size() const noexcept override { return sizeof(big_stage); }
  std::size_t stage_alignment() const noexcept override { return alignof(big_stage); }
  stage* make_stage(void* memory) override { return ::new (memory) big_stage(state_); }

 private:
  struct big_stage final : stage {
    explicit big_stage(big_state& s) : state(s) {
      ++state.alive;
      filling.fill(std::byte{0x5a});
    }
    ~big_stage() override { --state.alive; }
    step enter(tick&) override { return step::call_inner(); }
    step inner_done(int, const outcome& o, tick& t) override {
      for (const std::byte b : filling) EXPECT_EQ(b, std::byte{0x5a});
      return t.finish(o);
    }
    void leave() noexcept override { ++state.left; }
    big_state& state;
    std::array<std::byte, 3000> filling;
  };
  big_state& state_;
};

TEST_F(pipelines, big_stages_of_ones_own_are_built_and_destroyed_once_a_call) {
  big_state state;
  const pipeline p = pipeline_builder{"big"}
                         .add(retry{.max_attempts = 2, .delay = steady(1s)})
                         .add(std::make_shared<big_policy>(state))
                         .add(std::make_shared<big_policy>(state))
                         .calls_are(effect::idempotent)
                         .build(env);
  (void)p.execute([]() -> int { throw std::runtime_error("down"); });
  EXPECT_EQ(state.alive, 0);
  EXPECT_EQ(state.left, 4);
}

class overaligned final : public policy {
 public:
  std::string_view kind() const noexcept override { return "overaligned"; }
  std::size_t stage_size() const noexcept override { return 64; }
  std::size_t stage_alignment() const noexcept override { return 64; }
  stage* make_stage(void*) override { return nullptr; }
};

TEST_F(pipelines, stages_with_too_great_an_alignment_are_refused) {
  const std::string text =
      refusal([&] { (void)pipeline_builder{"p"}.add(std::make_shared<overaligned>()).build(env); });
  EXPECT_NE(text.find("stage_alignment"), std::string::npos) << text;
}

/// A stage that sleeps and has forgotten what to do when the time comes.
class forgetful final : public policy {
 public:
  std::string_view kind() const noexcept override { return "forgetful"; }
  std::size_t stage_size() const noexcept override { return sizeof(on_call); }
  std::size_t stage_alignment() const noexcept override { return alignof(on_call); }
  stage* make_stage(void* memory) override { return ::new (memory) on_call; }

 private:
  struct on_call final : stage {
    step enter(tick& t) override { return step::sleep(t.now() + 1s); }
  };
};

TEST_F(pipelines, a_stage_that_cancels_nothing_ends) {
  const pipeline p = pipeline_builder{"p"}.add(std::make_shared<forgetful>()).build(env);
  EXPECT_EQ(p.execute([] { return 1; }).error(), condition::canceled);
}

/// A stage that ends its call a second in, whatever goes on inside.
struct impatient_stage : stage {
  explicit impatient_stage(class impatient&) {}
  step enter(tick& t) override { return step::call_inner_until(t.now() + 1s); }
  step timer(tick& t) override { return t.finish(outcome::refuse(errc::rate_limited, {})); }
};

class impatient final : public policy_with<impatient, impatient_stage> {
 public:
  std::string_view kind() const noexcept override { return "impatient"; }
};

TEST_F(pipelines, a_stage_that_ends_its_call_does_not_change_how_the_attempt_ended) {
  auto seen = std::make_shared<event_recorder>();
  const pipeline p =
      pipeline_builder{"p"}.observe(seen).add(std::make_shared<impatient>()).build(env);
  const auto r = p.execute([&] {
    env.advance(2s);
    return 1;
  });
  EXPECT_EQ(r.error(), errc::rate_limited);
  const auto attempts = seen->events(event_kind::attempt_finished);
  ASSERT_EQ(attempts.size(), 1U);
  EXPECT_FALSE(attempts[0].error) << seen->to_string();
}

// Reports.

TEST_F(pipelines, a_report_tells_the_whole_story) {
  const pipeline p = pipeline_builder{"billing"}
                         .add(retry{.max_attempts = 2, .delay = steady(1500ms)})
                         .calls_are(effect::idempotent)
                         .build(env);
  call_report report;
  const auto r = p.execute(
      [&]() -> int {
        env.advance(18ms);
        throw std::runtime_error("down");
      },
      {.report = &report, .name = "GET /quote", .correlation = "c-17"});
  EXPECT_EQ(report.pipeline, "billing");
  EXPECT_EQ(report.operation, "GET /quote");
  EXPECT_EQ(report.correlation, "c-17");
  EXPECT_EQ(report.attempts, 2);
  EXPECT_EQ(report.elapsed, 1536ms);
  EXPECT_EQ(report.error, errc::operation_threw);
  EXPECT_EQ(report.delivery, evidence::maybe_applied);
  EXPECT_EQ(report.stopped, reason::max_attempts);
  std::vector<event_kind> kinds;
  for (const auto& e : report.entries) kinds.push_back(e.kind);
  EXPECT_EQ(kinds,
            (std::vector<event_kind>{event_kind::call_started, event_kind::attempt_started,
                                     event_kind::attempt_finished, event_kind::waiting,
                                     event_kind::attempt_started, event_kind::attempt_finished,
                                     event_kind::retry_stopped, event_kind::call_finished}));
  EXPECT_EQ(report.entries[3].at, 18ms);
  EXPECT_EQ(report.entries[3].elapsed, 1500ms);
  EXPECT_EQ(report.entries[4].attempt, 2);
  const std::string text = report.to_string();
  for (const char* part : {"billing GET /quote", "2 attempts", "c-17", "waiting 1.5 s (backoff)",
                           "attempt 1 finished: operation_threw after 18 ms, maybe applied",
                           "no further attempt after operation_threw (retry: 2 of 2 tries made)"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\nin\n" << text;
}

TEST_F(pipelines, a_report_may_be_used_again) {
  const pipeline p = pipeline_builder{"p"}
                         .add(retry{.max_attempts = 2, .delay = steady(1s)})
                         .calls_are(effect::idempotent)
                         .build(env);
  call_report report;
  (void)p.execute([]() -> int { throw std::runtime_error("down"); }, {.report = &report});
  EXPECT_EQ(report.stopped, reason::max_attempts);
  (void)p.execute([] { return 1; }, {.report = &report});
  EXPECT_EQ(report.attempts, 1);
  EXPECT_EQ(report.stopped, reason::succeeded);
  EXPECT_EQ(report.error, error_code());
  EXPECT_EQ(report.entries.size(), 4U) << report.to_string();
  report.clear();
  EXPECT_TRUE(report.entries.empty());
  EXPECT_TRUE(report.pipeline.empty());
}

TEST_F(pipelines, a_report_of_a_timeout_names_the_limit) {
  const pipeline p = pipeline_builder{"p"}.add(timeout{.name = "whole", .after = 2s}).build(env);
  call_report report;
  const auto r = p.execute(
      [&]() -> int {
        env.advance(3s);
        throw std::runtime_error("too late");
      },
      {.report = &report});
  EXPECT_EQ(r.error(), errc::call_timeout);
  EXPECT_EQ(report.stopped, reason::limit_elapsed);
  EXPECT_NE(r.error().message().find("whole"), std::string::npos) << r.error().message();
}

// Observers.

TEST_F(pipelines, observers_see_the_events_in_order_with_the_calls_names) {
  auto seen = std::make_shared<event_recorder>();
  const pipeline p = pipeline_builder{"billing"}
                         .add(retry{.max_attempts = 2, .delay = steady(1s)})
                         .observe(seen)
                         .calls_are(effect::idempotent)
                         .build(env);
  int calls = 0;
  (void)p.execute(
      [&]() -> int {
        if (++calls < 2) throw std::runtime_error("again");
        return 1;
      },
      {.name = "op", .correlation = "c"});
  EXPECT_EQ(seen->kinds(),
            (std::vector<event_kind>{event_kind::call_started, event_kind::attempt_started,
                                     event_kind::attempt_finished, event_kind::waiting,
                                     event_kind::attempt_started, event_kind::attempt_finished,
                                     event_kind::call_finished}))
      << seen->to_string();
  for (const auto& e : seen->events()) {
    EXPECT_EQ(e.pipeline, "billing");
    EXPECT_EQ(e.operation, "op");
    EXPECT_EQ(e.correlation, "c");
  }
  EXPECT_EQ(seen->events()[4].attempt, 2);
  EXPECT_EQ(seen->events()[4].at - seen->events()[0].at, 1s);
}

TEST_F(pipelines, observers_that_throw_are_harmless) {
  struct thrower final : observer {
    void on_event(const event&) override {
      ++calls;
      throw std::runtime_error("observer");
    }
    int calls = 0;
  };
  auto bad = std::make_shared<thrower>();
  auto good = std::make_shared<event_recorder>();
  const pipeline p = pipeline_builder{"p"}
                         .add(retry{})
                         .observe(bad)
                         .observe(good)
                         .calls_are(effect::idempotent)
                         .build(env);
  EXPECT_EQ(p.execute([] { return 7; }).value(), 7);
  EXPECT_EQ(bad->calls, 4);
  EXPECT_EQ(good->events().size(), 4U);
}

TEST_F(pipelines, the_same_seed_gives_the_same_events) {
  const auto story = [](std::uint64_t seed) {
    manual_environment own(seed);
    auto seen = std::make_shared<event_recorder>();
    const pipeline p = pipeline_builder{"p"}
                           .add(retry{.max_attempts = 6})
                           .add(circuit_breaker{.consecutive_failures = 4})
                           .observe(seen)
                           .calls_are(effect::idempotent)
                           .build(own);
    for (int i = 0; i < 3; ++i) (void)p.execute([]() -> int { throw std::runtime_error("down"); });
    return seen->to_string();
  };
  EXPECT_EQ(story(5), story(5));
  EXPECT_NE(story(5), story(6));
}

TEST_F(pipelines, a_call_is_judged_by_what_it_is_about) {
  auto keys = std::make_shared<keyed_policy>(
      [] { return make_policy(rate_limiter{.name = "tenant", .permits = 1, .per = 1h}); });
  const pipeline p = pipeline_builder{"p"}.add(keys).build(env);
  for (const std::string_view key : {"a", "b", ""}) {
    EXPECT_TRUE(p.execute([] { return 1; }, {.key = key}).has_value()) << key;
    EXPECT_EQ(p.execute([] { return 1; }, {.key = key}).error(), errc::rate_limited) << key;
  }
  EXPECT_EQ(p.execute([] { return 1; }).error(), errc::rate_limited);  // has the empty one
  EXPECT_EQ(keys->size(), 3U);
}

// A limit is a plain one only where all calls have the same: one for each key is asked each time.
TEST_F(pipelines, a_time_limit_for_each_key_cuts_off) {
  const pipeline p = pipeline_builder{"p"}
                         .add(retry{.max_attempts = 2, .delay = steady(1s)})
                         .add(keyed{timeout{.after = 2s}})
                         .calls_are(effect::idempotent)
                         .build(env);
  EXPECT_EQ(p.execute([] { return 1; }, {.key = "a"}).value(), 1);
  int tries = 0;
  const auto r = p.execute(
      [&](attempt& a) {
        EXPECT_EQ(a.remaining(), 2s);
        if (++tries == 2) return tries;
        env.advance(3s);
        throw std::runtime_error("cut off");
      },
      {.key = "a"});
  EXPECT_EQ(r.value(), 2);
  const auto late = p.execute(
      [&]() -> int {
        env.advance(3s);
        throw std::runtime_error("cut off");
      },
      {.key = "b"});
  EXPECT_EQ(late.error(), errc::attempt_timeout);
}

TEST_F(pipelines, amplification_is_that_of_each_key) {
  const pipeline p = pipeline_builder{"p"}.add(keyed{retry{.max_attempts = 3}}).build(env);
  EXPECT_EQ(p.amplification(), 3U);
  EXPECT_NE(refusal([&] {
              (void)pipeline_builder{"p"}
                  .add(keyed{retry{.max_attempts = 11}})
                  .add(keyed{retry{.max_attempts = 10}})
                  .build(env);
            }).find("= 110 or more attempts"),
            std::string::npos);
}

TEST_F(pipelines, what_making_a_keys_policy_throws_ends_that_call_alone) {
  bool broken = false;
  auto keys = std::make_shared<keyed_policy>([&] {
    if (broken) throw std::runtime_error("no policy today");
    return make_policy(bulkhead{.max_concurrent = 1});
  });
  const pipeline p = pipeline_builder{"p"}.add(bulkhead{.max_concurrent = 1}).add(keys).build(env);
  broken = true;
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(p.execute([] { return 1; }, {.key = "a"}).error(), errc::operation_threw);
  broken = false;
  EXPECT_EQ(p.execute([] { return 1; }, {.key = "a"}).value(), 1);
}

TEST_F(pipelines, without_any_policy_a_call_is_just_a_call) {
  const pipeline p = pipeline_builder{"p"}.build(env);
  EXPECT_EQ(p.execute([] { return 1; }).value(), 1);
  EXPECT_EQ(p.amplification(), 1U);
  const auto r = p.execute([]() -> int { throw std::runtime_error("down"); });
  EXPECT_EQ(r.error(), errc::operation_threw);
}

}  // namespace
}  // namespace hawser::test::pipeline_test
