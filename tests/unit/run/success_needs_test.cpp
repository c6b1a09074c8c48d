// What the engine spares a stage that says it needs not hear of plain successes: nothing else, and
// nobody can tell by what the library's policies do.
#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/fallback.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/execute.hpp"

#include "support/virtual_time.hpp"

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace hawser::test::success_needs_test {
namespace {

/// Counts what its stages are told.
struct listener final : policy {
  explicit listener(success_needs n) : needs(n) {}

  struct on_call final : stage {
    explicit on_call(listener& l) : of(l) {}
    ~on_call() override { ++of.destroyed; }
    step enter(tick&) override {
      ++of.entered;
      return step::call_inner();
    }
    step inner_done(int, const outcome& o, tick& t) override {
      ++of.told;
      if (of.throws) throw std::runtime_error("a stage's own trouble");
      return t.finish(o);
    }
    void leave() noexcept override { ++of.left; }
    listener& of;
  };

  std::string_view kind() const noexcept override { return "listener"; }
  std::size_t stage_size() const noexcept override { return sizeof(on_call); }
  std::size_t stage_alignment() const noexcept override { return alignof(on_call); }
  success_needs needs_of_success() const noexcept override { return needs; }
  stage* make_stage(void* memory) override {
    if (cannot_make) throw std::runtime_error("no stage today");
    return ::new (memory) on_call(*this);
  }

  success_needs needs;
  bool throws = false;
  bool cannot_make = false;
  int entered = 0, told = 0, left = 0, destroyed = 0;
};

/// Stands before a policy and claims other needs for it; by default that its stages be told all.
class claiming final : public policy {
 public:
  explicit claiming(std::shared_ptr<policy> p, success_needs n = success_needs::all)
      : inner_(std::move(p)), needs_(n) {}
  success_needs needs_of_success() const noexcept override { return needs_; }
  std::string_view kind() const noexcept override { return inner_->kind(); }
  std::string_view name() const noexcept override { return inner_->name(); }
  std::size_t stage_size() const noexcept override { return inner_->stage_size(); }
  std::size_t stage_alignment() const noexcept override { return inner_->stage_alignment(); }
  bool stage_is_trivial() const noexcept override { return inner_->stage_is_trivial(); }
  unsigned amplification() const noexcept override { return inner_->amplification(); }
  bool makes_attempts() const noexcept override { return inner_->makes_attempts(); }
  stage* make_stage(void* memory) override { return inner_->make_stage(memory); }

 private:
  std::shared_ptr<policy> inner_;
  success_needs needs_;
};

class success_needs_test : public on_virtual_time {
 protected:
  static std::shared_ptr<listener> make(success_needs n) { return std::make_shared<listener>(n); }
};

constexpr success_needs all_needs[] = {success_needs::all, success_needs::inner_done,
                                       success_needs::nothing};

TEST_F(success_needs_test, of_a_plain_success_a_stage_hears_what_it_asked_for) {
  for (const success_needs n : all_needs) {
    const auto l = make(n);
    const pipeline p = builder().add(l).build(env);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(p.execute([] { return 1; }));
    EXPECT_EQ(l->entered, 3);
    EXPECT_EQ(l->told, n == success_needs::nothing ? 0 : 3);
    EXPECT_EQ(l->left, n == success_needs::all ? 3 : 0);

    scripted_operation op{env, {scripted_end::ok(7).after(1s)}};
    EXPECT_EQ(run(p, op).value, 7);
    EXPECT_EQ(l->told, n == success_needs::nothing ? 0 : 4) << "asynchronous calls alike";
    EXPECT_EQ(l->left, n == success_needs::all ? 4 : 0);
  }
}

TEST_F(success_needs_test, whatever_it_hears_a_stage_is_destroyed_unless_it_is_trivial) {
  for (const success_needs n : all_needs) {
    const auto l = make(n);
    const pipeline p = builder().add(l).build(env);
    EXPECT_TRUE(p.execute([] { return 1; }));
    EXPECT_EQ(l->destroyed, 1);
    EXPECT_FALSE(p.execute([]() -> int { throw std::runtime_error("failed"); }));
    EXPECT_EQ(l->destroyed, 2);
    const scripted_operation op{env, {scripted_end::ok(7).after(1s)}};
    EXPECT_EQ(run(p, op).value, 7);
    EXPECT_EQ(l->destroyed, 3);
  }
}

TEST_F(success_needs_test, of_everything_else_it_hears_everything) {
  const auto with = [](auto change) {
    return [change](int) {
      outcome o;
      change(o);
      return o;
    };
  };
  for (const success_needs n : all_needs) {
    const auto l = make(n);
    const pipeline p = builder().add(l).build(env);
    (void)p.execute([]() -> int { throw std::runtime_error("failed"); });
    (void)p.execute([] { return 1; }, {}, [](int) { return verdict::failed; });
    (void)p.execute([] { return 1; }, {}, [](int) { return verdict::ignored; });
    (void)p.execute([] { return 1; }, {}, with([](outcome& o) { o.server_wait = 1s; }));
    (void)p.execute([] { return 1; }, {}, with([](outcome& o) { o.status = 429; }));
    (void)p.execute([] { return 1; }, {}, with([](outcome& o) { o.rejected = true; }));
    (void)p.execute([] { return 1; }, {}, with([](outcome& o) { o.throttled = true; }));
    EXPECT_EQ(l->told, 7);
    EXPECT_EQ(l->left, 7);

    scripted_operation hangs{env, {scripted_end::hang()}};
    const pipeline limited = builder().add(timeout{.after = 2s}).add(l).build(env);
    EXPECT_EQ(run(limited, hangs).error, errc::call_timeout);
    EXPECT_EQ(l->told, 8);
    EXPECT_EQ(l->left, 8);
  }
}

TEST_F(success_needs_test, a_stage_around_a_substitute_hears_of_it) {
  const auto around = make(success_needs::nothing);
  const pipeline p = builder().add(around).add(fallback::value(5)).build(env);
  EXPECT_EQ(*p.execute([]() -> int { throw std::runtime_error("failed"); }), 5);
  EXPECT_EQ(around->told, 1);
  EXPECT_EQ(around->left, 1);
}

TEST_F(success_needs_test, a_stage_that_throws_at_a_success_is_left_all_the_same) {
  const auto around = make(success_needs::nothing);
  const auto thrower = make(success_needs::inner_done);
  thrower->throws = true;
  const pipeline p = builder().add(around).add(thrower).build(env);
  EXPECT_EQ(p.execute([] { return 1; }).error(), errc::operation_threw);
  EXPECT_EQ(thrower->left, 1);
  EXPECT_EQ(around->told, 1);
  EXPECT_EQ(around->left, 1);
}

TEST_F(success_needs_test, a_stage_that_cannot_be_made_fails_the_call_and_leaves_those_around) {
  const auto around = make(success_needs::all);
  const auto broken = make(success_needs::all);
  broken->cannot_make = true;
  const pipeline p = builder().add(around).add(broken).build(env);
  bool called = false;
  const auto r = p.execute([&] { return called = true; });
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), errc::operation_threw);
  EXPECT_NE(r.error().message().find("no stage today"), std::string::npos) << r.error().message();
  EXPECT_FALSE(called);
  EXPECT_EQ(broken->entered + broken->told + broken->left, 0);
  EXPECT_EQ(around->left, 1);

  scripted_operation op{env, {scripted_end::ok(7)}};
  EXPECT_EQ(run(p, op).error, errc::operation_threw);
  EXPECT_EQ(around->left, 2);
}

/// A policy that claims a plain limit, and counts what its stages are told all the same.
struct limiting final : policy {
  struct on_call final : stage {
    explicit on_call(limiting& l) : of(l) {}
    step enter(tick& t) override {
      ++of.entered;
      return step::call_inner_until(later(t.now(), of.limit));
    }
    step timer(tick&) override {
      ++of.timers;
      return step::cancel_inner();
    }
    step inner_done(int, const outcome& o, tick& t) override {
      ++of.told;
      return t.finish(o);
    }
    void leave() noexcept override { ++of.left; }
    limiting& of;
  };

  std::string_view kind() const noexcept override { return "limiting"; }
  std::size_t stage_size() const noexcept override { return sizeof(on_call); }
  std::size_t stage_alignment() const noexcept override { return alignof(on_call); }
  bool stage_is_trivial() const noexcept override { return trivial; }
  success_needs needs_of_success() const noexcept override { return needs; }
  duration plain_limit() const noexcept override { return limit; }
  stage* make_stage(void* memory) override {
    if (cannot_make) throw std::runtime_error("no stage today");
    return ::new (memory) on_call(*this);
  }

  duration limit = 10ms;
  bool cannot_make = false;
  bool trivial = true;
  success_needs needs = success_needs::nothing;
  int entered = 0, timers = 0, told = 0, left = 0;
};

TEST_F(success_needs_test, a_plain_limit_that_does_not_pass_makes_no_stage) {
  const auto l = std::make_shared<limiting>();
  const pipeline p =
      builder().add(retry{.max_attempts = 2, .delay = steady(1ms)}).add(l).build(env);
  EXPECT_TRUE(p.execute([] { return 1; }));
  EXPECT_FALSE(p.execute([]() -> int { throw std::runtime_error("failed"); }));
  const scripted_operation op{
      env, {scripted_end::fail(connection_reset).after(9ms), scripted_end::ok(7).after(9ms)}};
  EXPECT_EQ(run(p, op).value, 7);
  EXPECT_EQ(l->entered + l->timers + l->told + l->left, 0);
}

TEST_F(success_needs_test, a_plain_limit_that_passes_makes_its_stage_hear_all) {
  const auto l = std::make_shared<limiting>();
  const pipeline p =
      builder().add(retry{.max_attempts = 2, .delay = steady(1ms)}).add(l).build(env);
  const scripted_operation op{
      env, {scripted_end::fail(connection_reset).after(4ms), scripted_end::hang()}};
  const time_point began = env.now();
  EXPECT_FALSE(run(p, op).error == error_code());
  EXPECT_EQ(env.now() - began, 4ms + 1ms + 10ms) << "each attempt has a limit of its own";
  EXPECT_EQ(l->entered, 1);
  EXPECT_EQ(l->timers, 1);
  EXPECT_EQ(l->told, 1);
  EXPECT_EQ(l->left, 1);
}

TEST_F(success_needs_test, a_success_after_a_plain_limit_that_passed_is_heard) {
  const auto l = std::make_shared<limiting>();
  const pipeline p = builder().add(l).build(env);
  EXPECT_TRUE(p.execute([&] {
    env.advance(11ms);
    return 1;
  }));
  EXPECT_EQ(l->entered, 1);
  EXPECT_EQ(l->timers, 1);
  EXPECT_EQ(l->told, 1);
  EXPECT_EQ(l->left, 1);
}

TEST_F(success_needs_test, a_plain_limit_whose_stage_cannot_be_made_ends_the_call) {
  const auto around = make(success_needs::all);
  const auto broken = std::make_shared<limiting>();
  broken->cannot_make = true;
  const pipeline p = builder().add(around).add(broken).build(env);
  scripted_operation hangs{env, {scripted_end::hang()}};
  EXPECT_EQ(run(p, hangs).error, errc::operation_threw);
  EXPECT_EQ(around->left, 1);

  const auto r = p.execute([&] {
    env.advance(11ms);
    return 1;
  });
  EXPECT_EQ(r.error(), errc::operation_threw);
  EXPECT_EQ(around->left, 2);
  EXPECT_EQ(broken->entered + broken->timers + broken->told + broken->left, 0);
}

TEST_F(success_needs_test, a_plain_limit_spares_only_stages_that_need_nothing) {
  const auto not_trivial = std::make_shared<limiting>();
  not_trivial->trivial = false;
  const auto curious = std::make_shared<limiting>();
  curious->needs = success_needs::all;
  const pipeline p = builder().add(not_trivial).add(curious).build(env);
  EXPECT_TRUE(p.execute([] { return 1; }));
  EXPECT_EQ(not_trivial->entered, 1);
  EXPECT_EQ(curious->entered, 1);
  EXPECT_EQ(curious->told, 1);
  EXPECT_EQ(curious->left, 1);
}

/// Every event of a long run of successes, failures, overlong and cancelled calls under one policy.
std::string story(const std::shared_ptr<policy>& p) {
  manual_environment env;
  const auto seen = std::make_shared<event_recorder>();
  {
    const pipeline line =
        pipeline_builder{"story"}.add(timeout{.after = 40ms}).add(p).observe(seen).build(env);
    seeded_entropy random(7);
    for (int i = 0; i < 300; ++i) {
      const std::uint64_t what = random.next() % 6;
      std::vector<scripted_end> script;
      if (what == 0) script.push_back(scripted_end::fail(connection_reset).after(1ms));
      if (what == 1) script.push_back(scripted_end::hang());
      script.push_back(scripted_end::ok(i).after(what == 2 ? 30ms : 1ms));
      const scripted_operation op{env, script};
      boost::asio::cancellation_signal stop;
      ended e;
      line.wrap(op)(boost::asio::bind_cancellation_slot(stop.slot(), into{&e, &env}));
      if (what == 3) stop.emit(boost::asio::cancellation_type::terminal);
      EXPECT_TRUE(env.run_until([&] { return e.count > 0; }));
      env.advance(duration(random.next() % 3'000'000));
    }
  }
  return seen->to_string();
}

TEST_F(success_needs_test, nobody_can_tell_by_what_the_librarys_policies_do) {
  const auto expect_same = [](std::string_view what, const auto& options) {
    const std::string spared = story(make_policy(options));
    EXPECT_EQ(spared, story(std::make_shared<claiming>(make_policy(options)))) << what;
    EXPECT_GT(spared.size(), 10'000U);
  };
  expect_same("timeout", timeout{.after = 10ms});
  expect_same("timeout with reserve", timeout{.after = 50ms, .reserve = 5ms});
  expect_same("rate limiter", rate_limiter{.permits = 2, .per = 10ms, .max_wait = 20ms});
  expect_same("bulkhead", bulkhead{.max_concurrent = 1, .max_queue = 2});
  expect_same("retry", retry{.delay = steady(2ms)});
  expect_same("retry that learns nothing", retry{.delay = steady(2ms), .skip_hopeless = false});
  expect_same(
      "circuit breaker",
      circuit_breaker{
          .consecutive_failures = 2, .consecutive_span = 0ms, .open_for = 8ms, .open_cap = 20ms});
  expect_same("fallback", fallback::value(7));
}

TEST_F(success_needs_test, a_false_claim_can_be_told) {
  const auto differs = [](const auto& options, success_needs claim) {
    return story(make_policy(options)) !=
           story(std::make_shared<claiming>(make_policy(options), claim));
  };
  EXPECT_TRUE(differs(bulkhead{.max_concurrent = 5}, success_needs::nothing));
  EXPECT_TRUE(differs(
      circuit_breaker{
          .consecutive_failures = 2, .consecutive_span = 0ms, .open_for = 8ms, .open_cap = 20ms},
      success_needs::nothing));
}

}  // namespace
}  // namespace hawser::test::success_needs_test
