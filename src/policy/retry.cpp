#include "hawser/policy/retry.hpp"

#include "hawser/core/error.hpp"

#include "policy/option_check.hpp"

#include <algorithm>

namespace hawser::inline v0 {

// Options are in the header.

// Validation.

namespace {

using detail::in_seconds;
using detail::require;

constexpr int attempts_limit = 100;
constexpr duration floor_generation = std::chrono::minutes(1);

retry validated(retry options) {
  if (options.name.empty()) options.name = "retry";
  require(options.max_attempts >= 1 && options.max_attempts <= attempts_limit, "retry.max_attempts",
          options.max_attempts, "must be 1 to 100 (it counts attempts, so 1 means no retry)");
  require(options.max_server_wait >= duration::zero(), "retry.max_server_wait",
          options.max_server_wait, "must not be negative");
  require(!options.hint_excess || *options.hint_excess >= duration::zero(), "retry.hint_excess",
          options.hint_excess.value_or(duration::zero()), "must not be negative, or off");
  validate(options.delay, "retry.delay");
  return options;
}

}  // namespace

// Shared state.

retry_policy::retry_policy(retry options) : options_(validated(std::move(options))) {}

duration retry_policy::service_floor(time_point now) const noexcept {
  const time_point until(duration(floor_until_.load(std::memory_order_relaxed)));
  if (until == time_point::min() || now > later(until, floor_generation)) return {};
  const auto least = std::min(floor_.load(std::memory_order_relaxed),
                              previous_floor_.load(std::memory_order_relaxed));
  return least == duration::max().count() ? duration::zero() : duration(least);
}

void retry_policy::learn(duration took, time_point now) noexcept {
  if (now.time_since_epoch().count() < floor_until_.load(std::memory_order_relaxed) &&
      took.count() >= floor_.load(std::memory_order_relaxed))
    return;
  learn_news(took, now);
}

void retry_policy::learn_news(duration took, time_point now) noexcept {
  time_point::rep until = floor_until_.load(std::memory_order_relaxed);
  if (now.time_since_epoch().count() >= until &&
      floor_until_.compare_exchange_strong(
          until, later(now, floor_generation).time_since_epoch().count())) {
    previous_floor_.store(floor_.exchange(took.count()), std::memory_order_relaxed);
    return;
  }
  duration::rep least = floor_.load(std::memory_order_relaxed);
  while (took.count() < least &&
         !floor_.compare_exchange_weak(least, took.count(), std::memory_order_relaxed)) {
  }
}

// Stage.

class retry_policy::on_call final : public stage {
 public:
  explicit on_call(retry_policy& shared) noexcept : shared_(shared) {}

  step enter(tick& t) override {
    if (options().budget) options().budget->call_started(t.now());
    return step::call_inner();
  }

  step inner_done(int /*child*/, const outcome& o, tick& t) override {
    if (!o.ok()) return not_done(o, t);
    if (o.from == origin::operation) {
      if (options().skip_hopeless) shared_.learn(o.elapsed, t.now());
      if (options().budget) options().budget->succeeded(paid_, t.now());
    }
    return t.finish(o);
  }

  step timer(tick& /*t*/) override { return step::call_inner(); }

  // Cut off in a wait: what counts is what went wrong before.
  outcome canceled(const outcome& o, tick& t) override {
    if (!failure_) return o;
    give_back(t);
    outcome real = *failure_;
    real.why = {shared_.name(), reason::deadline, 0, 0, never};
    return real;
  }

 private:
  [[nodiscard]] const retry& options() const noexcept { return shared_.options_; }

  [[gnu::noinline]] step not_done(const outcome& o, tick& t) {
    if (o.rejected) return after_rejection(o, t);                // whoever's: nothing was tried
    if (failure_ && o.canceled() && t.attempts() == failed_at_)  // the next one had not begun
      return t.finish(canceled(o, t));
    if (o.canceled() || t.canceling() || (o.result == verdict::ignored && !o.rejected))
      return t.finish(o);
    return after_failure(o, t);
  }

  step after_failure(const outcome& o, tick& t) {
    failure_ = o;
    failed_at_ = t.attempts();
    ++made_;
    if (!is_transient(o)) return stop(t, reason::not_retryable);
    if (!may_resend(t.what(), o.delivery, t.body()))
      return stop(t, t.effect_said() ? reason::not_resendable : reason::effect_unsaid);
    if (made_ >= options().max_attempts)
      return stop(t, reason::max_attempts, made_, options().max_attempts);

    wait_ = next_delay(options().delay, made_, wait_, t.random());
    duration wait = wait_;
    reason because = reason::own_delay;
    if (o.has_hint() && o.server_wait > wait) {
      const duration excess = o.server_wait - wait;
      wait += std::min(excess, options().hint_excess.value_or(excess));
      if (wait > wait_) because = reason::server_hint;
    }
    const time_point until = later(t.now(), wait);
    if (because == reason::server_hint && wait > options().max_server_wait)
      return stop(t, reason::server_wait, in_seconds(wait), in_seconds(options().max_server_wait),
                  until);
    const duration left = remaining(t.deadline(), t.now());
    const duration floor =
        options().skip_hopeless ? shared_.service_floor(t.now()) : duration::zero();
    if (left != duration::max() && (wait >= left || floor >= left - wait))
      return because == reason::server_hint
                 ? stop(t, reason::server_wait, in_seconds(wait), in_seconds(left), until)
                 : stop(t, reason::deadline, in_seconds(wait) + in_seconds(floor),
                        in_seconds(left));
    if (options().budget) {
      const double price = options().budget->price(o);
      if (!options().budget->try_spend(o, t.now()))
        return stop(t, reason::budget, options().budget->balance(t.now()), price);
      paid_ = price;
    }
    return sleep(t, until, wait, because);
  }

  step after_rejection(const outcome& o, tick& t) {
    refusal_ = &o;
    const time_point until = o.why.until;
    if (waits_for(o, t)) {
      // A little apart, so that everybody who waits for the same moment does not come in it.
      refusal_wait_ = next_delay(options().delay, ++refusals_, refusal_wait_, t.random());
      const time_point from = until == never ? t.now() : std::max(until, t.now());
      const time_point at = later(from, refusal_wait_);
      if (at < t.deadline()) return sleep(t, at, remaining(at, t.now()), reason::local_rejection);
    }
    if (!failure_) return t.finish(o);
    give_back(t);
    return stop(t, reason::local_rejection, 0, 0, until);
  }

  /// The try that was paid for does not come about.
  void give_back(const tick& t) noexcept {
    if (options().budget) options().budget->refund(paid_, t.now());
  }

  /// Whether to ask a local policy again: it said when, or a deadline bounds the asking.
  [[nodiscard]] bool waits_for(const outcome& o, const tick& t) const {
    if (!options().wait_for_permission || t.canceling() || o.error == errc::circuit_isolated ||
        o.why.because == reason::cost_over_burst || !may_resend(t.what(), o.delivery, t.body()))
      return false;
    if (o.why.until == never) return t.deadline() != never;
    return remaining(o.why.until, t.now()) <= options().max_server_wait;
  }

  [[nodiscard]] bool is_transient(const outcome& o) const {
    if (options().transient)
      if (const std::optional<bool> decided = options().transient(o)) return *decided;
    return o.transient;
  }

  step sleep(tick& t, time_point until, duration wait, reason because) {
    event e;
    e.kind = event_kind::waiting;
    e.elapsed = wait;
    if (failure_) e.error = failure_->error;
    e.why = {shared_.name(), because, in_seconds(wait), 0, until};
    name_refusal(e.why);
    t.emit(e);
    return step::sleep(until);
  }

  step stop(tick& t, reason because, double measured = 0, double threshold = 0,
            time_point until = never) {
    failure_->why = {shared_.name(), because, measured, threshold, until};
    name_refusal(failure_->why);
    event e;
    e.kind = event_kind::retry_stopped;
    e.error = failure_->error;
    e.delivery = failure_->delivery;
    e.status = failure_->status;
    e.why = failure_->why;
    t.emit(e);
    return t.finish(*failure_);
  }

  /// Who refused, where that is the reason.
  void name_refusal(cause& why) const noexcept {
    if (why.because != reason::local_rejection) return;
    if (refusal_->error.category() == error_category())
      why.refused = static_cast<errc>(refusal_->error.value());
    why.refused_for = refusal_->why.because;
    why.measured = refusal_->why.measured;
    why.threshold = refusal_->why.threshold;
  }

  retry_policy& shared_;
  const outcome* refusal_ = nullptr;  // while it is looked at
  std::optional<outcome> failure_;    // the last real one
  duration wait_{};
  duration refusal_wait_{};
  double paid_ = 0;  // by the last retry
  int made_ = 0;
  int failed_at_ = 0;  // how many attempts had been started then
  int refusals_ = 0;
};

// Factory.

std::size_t retry_policy::stage_size() const noexcept { return sizeof(on_call); }
std::size_t retry_policy::stage_alignment() const noexcept { return alignof(on_call); }
stage* retry_policy::make_stage(void* memory) { return ::new (memory) on_call(*this); }
step retry_policy::begin(void* memory, tick& t, stage*& made) {
  return make_and_enter<on_call>(memory, *this, t, made);
}

std::shared_ptr<policy> make_policy(retry options) {
  return std::make_shared<retry_policy>(std::move(options));
}

}  // namespace hawser::inline v0
