#include "hawser/policy/timeout.hpp"

#include "hawser/core/error.hpp"

#include "policy/option_check.hpp"

#include <algorithm>

namespace hawser::inline v0 {

// Options are in the header.

// Validation.

namespace {

using detail::in_seconds;
using detail::require;

timeout validated(timeout options) {
  if (options.name.empty()) options.name = "timeout";
  require(options.after > duration::zero(), "timeout.after", options.after,
          "must be over 0; leave the policy out for no limit");
  require(options.reserve >= duration::zero(), "timeout.reserve", options.reserve,
          "must not be negative");
  return options;
}

}  // namespace

// Shared state.

timeout_policy::timeout_policy(timeout options) : options_(validated(std::move(options))) {}

// Stage.

class timeout_policy::on_call final : public stage {
 public:
  explicit on_call(timeout_policy& shared) noexcept : shared_(shared) {}

  step enter(tick& t) override {
    allowed_ = shared_.options_.after;
    const time_point until = later(t.now(), allowed_);
    // One around it that is tighter ends the call itself, unless a reserve is kept back for it.
    if (shared_.options_.reserve > duration::zero() && t.deadline() != never)
      return enter_within_reserve(until, t);
    return step::call_inner_until(until);
  }

  step timer(tick& t) override {
    fired_ = true;
    event e;
    e.kind = event_kind::timed_out;
    e.error = code(t);
    e.elapsed = allowed_;
    e.why = why();
    t.emit(e);
    return step::cancel_inner();
  }

  step inner_done(int /*child*/, const outcome& o, tick& t) override {
    if (!fired_ || o.ok() || !o.canceled()) return t.finish(o);
    outcome ended = over(t, o.delivery);
    ended.elapsed = o.elapsed;
    ended.countable = o.result == verdict::failed;
    return t.finish(ended);
  }

 private:
  [[gnu::noinline]] step enter_within_reserve(time_point until, tick& t) {
    const time_point around = later(t.deadline(), -shared_.options_.reserve);
    if (around >= until) return step::call_inner_until(until);
    allowed_ = remaining(around, t.now());
    if (around <= t.now()) return t.finish(over(t, evidence::never_sent));
    return step::call_inner_until(around);
  }

  [[nodiscard]] static errc code(const tick& t) noexcept {
    return t.repeatable() ? errc::attempt_timeout : errc::call_timeout;
  }
  [[nodiscard]] cause why() const noexcept {
    return {shared_.name(), reason::limit_elapsed, 0, in_seconds(allowed_), never};
  }
  [[nodiscard]] outcome over(const tick& t, evidence seen) const noexcept {
    outcome o;
    o.result = verdict::failed;
    o.from = origin::policy;
    o.delivery = seen;
    o.transient = true;
    o.error = code(t);
    o.why = why();
    return o;
  }

  timeout_policy& shared_;
  duration allowed_{};
  bool fired_ = false;
};

// Factory.

std::size_t timeout_policy::stage_size() const noexcept { return sizeof(on_call); }
std::size_t timeout_policy::stage_alignment() const noexcept { return alignof(on_call); }
stage* timeout_policy::make_stage(void* memory) { return ::new (memory) on_call(*this); }
step timeout_policy::begin(void* memory, tick& t, stage*& made) {
  return make_and_enter<on_call>(memory, *this, t, made);
}

std::shared_ptr<policy> make_policy(timeout options) {
  return std::make_shared<timeout_policy>(std::move(options));
}

}  // namespace hawser::inline v0
