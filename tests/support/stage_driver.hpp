// Drives one stage by hand: the tests tell it the time and what happened, and look at its steps.
//
//   stage_driver t;
//   stage_under_test s{policy, t};       // makes the policy's stage; destroys it at the end
//   EXPECT_EQ(s->enter(t).what(), verb::call_inner);
//   t.advance(2s);
//   step done = s->inner_done(0, failed(errc::first_byte_timeout), t);
#pragma once

#include "hawser/policy/policy.hpp"

#include <memory>
#include <vector>

namespace hawser::test {

using verb = step::verb;

class stage_driver final : public tick, public waker {
 public:
  explicit stage_driver(std::uint64_t seed = 1) : entropy_(seed) {
    random_ = &entropy_;
    result_ = &result;
    observed_ = true;
    now_ = time_point{} + std::chrono::hours(1);
  }

  void advance(duration by) { now_ += by; }
  void set_now(time_point to) { now_ = to; }
  void set_deadline(time_point at) { deadline_ = at; }
  void set_attempts(int n) { attempts_ = n; }
  void set_effect(effect e) { effect_ = e; }
  void set_body(replay b) { body_ = b; }
  void set_cost(std::uint32_t c) { cost_ = c; }
  void set_priority(int p) { priority_ = p; }
  void set_random(entropy& source) { random_ = &source; }

  waker& wake_handle() noexcept override { return *this; }
  void wake() noexcept override { ++wakes; }
  bool substitute(substitute_source&, const outcome&) override { return substitutes; }

  outcome result;             ///< What the stage finished with.
  std::vector<event> events;  ///< What it emitted.
  int wakes = 0;
  bool substitutes = false;

 private:
  void deliver(event& what) override { events.push_back(what); }
  seeded_entropy entropy_;
};

/// A stage of `p`, made in memory of its own.
class stage_under_test {
 public:
  explicit stage_under_test(policy& p)
      : memory_(::operator new (p.stage_size(), std::align_val_t{p.stage_alignment()})),
        alignment_(p.stage_alignment()),
        stage_(p.make_stage(memory_)) {}
  stage_under_test(const stage_under_test&) = delete;
  stage_under_test& operator=(const stage_under_test&) = delete;
  ~stage_under_test() {
    stage_->~stage();
    ::operator delete (memory_, std::align_val_t{alignment_});
  }
  stage* operator->() const noexcept { return stage_; }

 private:
  void* memory_;
  std::size_t alignment_;
  stage* stage_;
};

inline outcome succeeded(duration took = {}) {
  outcome o;
  o.elapsed = took;
  return o;
}

inline outcome failed(error_code code, evidence seen = evidence::maybe_applied,
                      bool transient = true) {
  outcome o;
  o.result = verdict::failed;
  o.error = code;
  o.delivery = seen;
  o.transient = transient;
  return o;
}

inline outcome ignored() {
  outcome o;
  o.result = verdict::ignored;
  o.error = canceled_error();
  return o;
}

}  // namespace hawser::test
