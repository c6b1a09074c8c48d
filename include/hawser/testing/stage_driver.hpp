// Drives one stage by hand: a test tells it the time and what happened, and looks at its steps.
//
//   hawser::testing::stage_driver t;
//   hawser::testing::stage_under_test s{policy};
//   EXPECT_EQ(s->enter(t).what(), hawser::step::verb::call_inner);
//   t.advance(2s);
//   hawser::step end = s->inner_done(0, failed(errc::first_byte_timeout), t);  // t.result has it
#pragma once

#include "hawser/core/entropy.hpp"
#include "hawser/policy/policy.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string_view>
#include <vector>

namespace hawser::inline v0::testing {

/// What a stage is given at each moment, in a test's hands: the time, the call, the randomness. A
/// stage's answers are the steps its functions return; an outcome it finished with is in `result`.
/// For one thread.
class stage_driver final : public tick, public waker {
 public:
  /// It is one hour past the start of time; nothing was attempted; observers listen.
  explicit stage_driver(std::uint64_t seed = 1) : entropy_(seed) {
    random_ = &entropy_;
    result_ = &result;
    observed_ = true;
    now_ = time_point{} + std::chrono::hours(1);
  }

  /// Moves its time forward.
  void advance(duration by) { now_ = later(now_, by); }
  /// Sets its time, also backwards.
  void set_now(time_point to) { now_ = to; }
  /// Of the stages around this one. `never` by default.
  void set_deadline(time_point at) { deadline_ = at; }
  /// Attempts started so far. 0 by default.
  void set_attempts(int n) { attempts_ = n; }
  /// `idempotent` by default.
  void set_effect(effect e) { effect_ = e; }
  /// As if nobody had said it; see `tick::effect_said`.
  void set_effect_unsaid() {
    effect_ = effect::unsafe;
    effect_said_ = false;
  }
  /// `replayable` by default.
  void set_body(replay b) { body_ = b; }
  /// 1 by default.
  void set_cost(std::uint32_t c) { cost_ = c; }
  /// 0 by default.
  void set_priority(int p) { priority_ = p; }
  /// Empty by default. Must live as long as the driver.
  void set_key(std::string_view key) {
    key_ = key;
    key_hash_ = 0;
  }
  /// As if the call were being cancelled from outside; see `tick::canceling`.
  void set_canceling(bool is) { canceling_ = is; }
  /// As if a retry stood around this stage; see `tick::repeatable`.
  void set_repeatable(bool is) { repeatable_ = is; }
  /// As if an earlier attempt may have been applied; see `tick::unresolved`.
  void set_unresolved(bool is) { unresolved_ = is; }
  /// Must outlive the driver. By default a seeded sequence.
  void set_random(entropy& source) { random_ = &source; }

  waker& wake_handle() noexcept override { return *this; }
  void wake() noexcept override { ++wakes; }
  bool substitute(substitute_source&, const outcome&) override { return substitutes; }

  outcome result;             ///< What the stage finished with.
  std::vector<event> events;  ///< What it emitted. Their texts live as long as the policy.
  int wakes = 0;              ///< How often the stage was woken while it was parked, or after.
  bool substitutes = false;   ///< What `substitute` answers.

 private:
  void deliver(event& what) override { events.push_back(what); }
  seeded_entropy entropy_;
};

/// A stage of `p`, made in memory of its own and destroyed with this object. Call `enter` first and
/// `leave` last, as the engine does. `p` must outlive it.
class stage_under_test {
 public:
  /// Makes the stage; it has not been entered.
  explicit stage_under_test(policy& p)
      : alignment_(p.stage_alignment()),
        memory_(::operator new (p.stage_size(), std::align_val_t{alignment_})),
        stage_(p.make_stage(memory_)) {}
  stage_under_test(const stage_under_test&) = delete;
  stage_under_test& operator=(const stage_under_test&) = delete;
  ~stage_under_test() {
    stage_->~stage();
    ::operator delete (memory_, std::align_val_t{alignment_});
  }
  /// The stage.
  stage* operator->() const noexcept { return stage_; }

 private:
  const std::size_t alignment_;
  void* const memory_;
  stage* const stage_;
};

// What an attempt may have come to.

/// A success.
[[nodiscard]] inline outcome succeeded(duration took = {}) {
  outcome o;
  o.elapsed = took;
  return o;
}

/// A failure.
[[nodiscard]] inline outcome failed(error_code code, evidence seen = evidence::maybe_applied,
                                    bool transient = true) {
  outcome o;
  o.result = verdict::failed;
  o.error = code;
  o.delivery = seen;
  o.transient = transient;
  return o;
}

/// Nothing that anybody should judge by: a cancellation.
[[nodiscard]] inline outcome ignored() {
  outcome o;
  o.result = verdict::ignored;
  o.error = canceled_error();
  return o;
}

}  // namespace hawser::inline v0::testing
