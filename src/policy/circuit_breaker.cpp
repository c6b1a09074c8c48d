#include "hawser/policy/circuit_breaker.hpp"

#include "policy/circuit_core.hpp"
#include "policy/option_check.hpp"

#include <cmath>
#include <new>
#include <utility>

namespace hawser::inline v0 {

// Options are in the header.

// Validation

namespace {

template <class T>
void check(bool holds, const char* field, T value, const char* rule) {
  detail::require(holds, std::string("circuit_breaker.") + field, value, rule);
}

void check_ratio(const std::optional<double>& ratio, const char* field) {
  if (ratio) check(*ratio > 0 && *ratio <= 1, field, *ratio, "must be over 0 and at most 1");
}

void check_window(const circuit_breaker& o) {
  if (const auto* span = std::get_if<time_window>(&o.window)) {
    check(span->buckets >= 1 && span->buckets <= 1000, "window.buckets", span->buckets,
          "must be from 1 to 1000");
    check(span->span.count() >= span->buckets, "window.span", span->span,
          "must be at least a nanosecond per bucket");
    return;
  }
  const auto& [calls, max_age] = std::get<count_window>(o.window);
  if (max_age)
    check(*max_age >= duration(10), "window.max_age", *max_age, "must be at least 10 ns, or off");
  check(calls >= 1 && calls <= 1'000'000, "window.calls", calls, "must be from 1 to 1000000");
  if (o.failure_ratio || o.slow_ratio)
    check(o.min_calls <= calls, "min_calls", o.min_calls,
          "must be at most window.calls: the window never holds more");
}

circuit_breaker validated(circuit_breaker o) {
  if (o.name.empty()) o.name = "circuit_breaker";
  check(o.min_calls >= 1, "min_calls", o.min_calls, "must be at least 1");
  check_window(o);
  check_ratio(o.failure_ratio, "failure_ratio");
  check_ratio(o.slow_ratio, "slow_ratio");
  if (o.slow_ratio)
    check(o.slow_after > duration::zero(), "slow_after", o.slow_after,
          "must be positive when slow_ratio is set");
  check(o.slow_after >= duration::zero(), "slow_after", o.slow_after, "must not be negative");
  if (o.consecutive_failures)
    check(*o.consecutive_failures >= 1, "consecutive_failures", *o.consecutive_failures,
          "must be at least 1");
  check(o.consecutive_span >= duration::zero(), "consecutive_span", o.consecutive_span,
        "must not be negative");
  if (o.suspect_failures)
    check(*o.suspect_failures >= 1, "suspect_failures", *o.suspect_failures,
          "must be at least 1, or off");
  check(o.hears <= failure_scope::exchanges, "hears", static_cast<int>(o.hears),
        "must be one of failure_scope's values");
  if (!o.failure_ratio && !o.slow_ratio && !o.consecutive_failures)
    throw config_error("circuit_breaker.failure_ratio", "none",
                       "or slow_ratio or consecutive_failures must be set, else nothing trips");
  check(o.open_for > duration::zero(), "open_for", o.open_for, "must be positive");
  check(o.open_multiplier >= 1 && std::isfinite(o.open_multiplier), "open_multiplier",
        o.open_multiplier, "must be at least 1 and finite");
  check(o.open_share > 0 && o.open_share <= 1, "open_share", o.open_share,
        "must be over 0 and at most 1");
  if (o.early_probe_after)
    check(*o.early_probe_after >= 1, "early_probe_after", *o.early_probe_after,
          "must be at least 1, or off");
  if (!o.open_cap) o.open_cap = std::max(o.open_for, duration(std::chrono::seconds(5)));
  check(*o.open_cap >= o.open_for, "open_cap", *o.open_cap, "must be at least open_for, or off");
  check(o.open_jitter >= 0 && o.open_jitter < 1, "open_jitter", o.open_jitter,
        "must be at least 0 and under 1");
  check(o.hint_cap >= duration::zero(), "hint_cap", o.hint_cap, "must not be negative");
  check(o.healthy_reset >= duration::zero(), "healthy_reset", o.healthy_reset,
        "must not be negative");
  check(o.probes >= 1 && o.probes <= 1000, "probes", o.probes, "must be from 1 to 1000");
  check(o.probes_to_close >= 1, "probes_to_close", o.probes_to_close, "must be at least 1");
  if (o.probe_lease)
    check(*o.probe_lease > duration::zero(), "probe_lease", *o.probe_lease, "must be positive");
  if (o.max_wait)
    check(*o.max_wait > duration::zero(), "max_wait", *o.max_wait, "must be over 0, or off");
  check(o.max_waiting >= 1 && o.max_waiting <= 1'000'000, "max_waiting", o.max_waiting,
        "must be from 1 to 1000000");
  check(o.ramp >= 1 && std::isfinite(o.ramp), "ramp", o.ramp, "must be at least 1 and finite");
  return o;
}

}  // namespace

std::string_view to_string(circuit_state state) noexcept {
  switch (state) {
    case circuit_state::closed: return "closed";
    case circuit_state::open: return "open";
    case circuit_state::half_open: return "half_open";
    case circuit_state::isolated: return "isolated";
    case circuit_state::disabled: return "disabled";
    case circuit_state::metrics_only: return "metrics_only";
    case circuit_state::metrics_only_open: return "metrics_only_open";
    case circuit_state::metrics_only_half_open: return "metrics_only_half_open";
  }
  return "unknown";
}

// Shared state is in circuit_core.hpp

settlement circuit_permit::success(duration took, time_point now) noexcept {
  if (core_ == nullptr) return settlement::uncounted;
  return std::exchange(core_, nullptr)->success(*this, took, now);
}

settlement circuit_permit::failure(duration took, time_point now, duration server_wait) noexcept {
  if (core_ == nullptr) return settlement::uncounted;
  return std::exchange(core_, nullptr)->failure(*this, took, now, server_wait);
}

settlement circuit_permit::alive(time_point now) noexcept {
  if (core_ == nullptr) return settlement::uncounted;
  return std::exchange(core_, nullptr)->alive(*this, now);
}

void circuit_permit::give_back() noexcept { core_->give_back(*this); }

circuit_breaker_policy::circuit_breaker_policy(circuit_breaker options)
    : core_(std::make_unique<detail::circuit_core>(validated(std::move(options)))) {}

circuit_breaker_policy::~circuit_breaker_policy() = default;

std::string_view circuit_breaker_policy::name() const noexcept { return core_->options().name; }

const circuit_breaker& circuit_breaker_policy::options() const noexcept { return core_->options(); }

namespace {

/// An opening by hand ends by itself; isolation has no end.
errc code_of(const cause& why) noexcept {
  return why.because == reason::forced && why.until == never ? errc::circuit_isolated
                                                             : errc::circuit_open;
}

}  // namespace

circuit_permit circuit_breaker_policy::try_acquire(time_point now, entropy& random,
                                                   refusal* refused, time_point deadline) noexcept {
  circuit_permit permit = core_->acquire_if_closed(random);
  if (permit) return permit;
  cause why;
  permit = core_->acquire(now, random, deadline, &why);
  if (!permit && refused != nullptr) *refused = {code_of(why), why};
  return permit;
}

void circuit_breaker_policy::open(time_point now, entropy& random, duration at_least) noexcept {
  core_->open(now, random, at_least);
}

void circuit_breaker_policy::isolate(time_point now) noexcept {
  core_->force(circuit_state::isolated, now);
}

void circuit_breaker_policy::disable(time_point now) noexcept {
  core_->force(circuit_state::disabled, now);
}

void circuit_breaker_policy::metrics_only(time_point now) noexcept {
  core_->force(circuit_state::metrics_only, now);
}

void circuit_breaker_policy::close(time_point now) noexcept {
  core_->force(circuit_state::closed, now);
}

void circuit_breaker_policy::reset(time_point now) noexcept { core_->reset(now); }

void circuit_breaker_policy::tell(observer& who, time_point now) { core_->announce(who, now); }

circuit_snapshot circuit_breaker_policy::snapshot(time_point now) const noexcept {
  return core_->snapshot(now);
}

// Stage

namespace {

class circuit_breaker_stage final : public stage {
 public:
  explicit circuit_breaker_stage(detail::circuit_core& core) noexcept : core_(core) {}
  /// Asks at once, the hot path only; `entered` goes on.
  circuit_breaker_stage(detail::circuit_core& core, entropy& random) noexcept
      : core_(core), permit_(core.acquire_if_closed(random)) {}

  step enter(tick& t) override {
    permit_ = core_.acquire_if_closed(t.random());
    return entered(t);
  }
  step entered(tick& t) {
    if (!permit_) return ask(t);
    if (core_.untold()) core_.announce(t);
    return step::call_inner();
  }

  // Flattened: counting a success is a few instructions, and this their only way.
  [[gnu::flatten]] step inner_done(int /*child*/, const outcome& o, tick& t) override {
    if (settle(o, t.now()) == settlement::late) [[unlikely]]
      tell_late(o, t);
    if (core_.untold()) core_.announce(t);
    return t.finish(o);
  }

  step timer(tick& t) override { return look(t); }
  step woken(tick& t) override { return look(t); }

  void leave() noexcept override {
    if (node_ && node_->listed) core_.stop_waiting(*node_);
    permit_.ignore();
  }

 private:
  [[gnu::noinline]] step ask(tick& t) {
    cause why;
    if (!core_.options().max_wait) {
      permit_ = core_.acquire(t.now(), t.random(), t.deadline(), &why);
      core_.announce(t);
      return permit_ ? step::call_inner() : refuse(why, t);
    }
    detail::circuit_waiter& w = node_.emplace();
    w.wake = &t.wake_handle();
    w.is_new = t.attempts() == 0;
    // At the deadline itself the stage that set it ends the call.
    w.latest =
        std::min(later(t.now(), *core_.options().max_wait), later(t.deadline(), duration(-1)));
    time_point until = never;
    permit_ = core_.acquire_or_wait(w, t.now(), t.random(), t.deadline(), &why, &until);
    core_.announce(t);
    if (permit_) return step::call_inner();
    if (!w.listed) return refuse(why, t);
    if (t.observed()) {
      event e;
      e.kind = event_kind::waiting;
      // What is known is when somebody asks next; this call may go then, or later.
      e.elapsed = remaining(why.until != never ? why.until : until, t.now());
      e.why = why;
      e.why.policy = core_.options().name;
      t.emit(e);
    }
    return step::park(until);
  }

  step look(tick& t) {
    cause why;
    time_point until = never;
    permit_ = core_.look(*node_, t.now(), t.random(), t.deadline(), &why, &until);
    core_.announce(t);
    if (permit_) return step::call_inner();
    return node_->listed ? step::park(until) : refuse(why, t);
  }

  step refuse(const cause& why, tick& t) {
    const errc code = code_of(why);
    if (t.observed()) {
      event e;
      e.kind = event_kind::rejected;
      e.error = code;
      e.why = why;
      t.emit(e);
    }
    return t.finish(outcome::refuse(code, why));
  }

  settlement settle(const outcome& o, time_point now) noexcept {
    if (o.result == verdict::ok) return permit_.success(o.elapsed, now);
    return settle_failure(o, now);
  }

  /// Void is what was cancelled, refused here, or never sent, and no failure that counts.
  [[gnu::noinline]] settlement settle_failure(const outcome& o, time_point now) noexcept {
    const bool counts = o.result == verdict::failed && o.countable && !o.rejected;
    if (counts && concerns(o)) return permit_.failure(o.elapsed, now, o.server_wait);
    if (proves_life(o)) return permit_.alive(now);
    permit_.ignore();
    return settlement::uncounted;
  }

  /// Whoever answers lives, whatever the answer was.
  [[nodiscard]] static bool proves_life(const outcome& o) noexcept {
    const bool answered =
        o.status != 0 || o.delivery == evidence::answered || o.delivery == evidence::refused;
    return answered && o.from == origin::operation && !o.rejected && o.error != condition::canceled;
  }

  [[nodiscard]] bool concerns(const outcome& o) const noexcept {
    const bool sent = o.delivery != evidence::never_sent;
    switch (core_.options().hears) {
      case failure_scope::connections: return !sent;
      case failure_scope::exchanges: return sent;
      case failure_scope::all: break;
    }
    return true;
  }

  [[gnu::noinline]] static void tell_late(const outcome& o, tick& t) {
    if (!t.observed()) return;
    event e;
    e.kind = event_kind::late_result;
    e.elapsed = o.elapsed;
    e.error = o.error;
    e.delivery = o.delivery;
    e.status = o.status;
    t.emit(e);
  }

  detail::circuit_core& core_;
  circuit_permit permit_;
  std::optional<detail::circuit_waiter> node_;  // built only when there is a wait
};

}  // namespace

std::size_t circuit_breaker_policy::stage_size() const noexcept {
  return sizeof(circuit_breaker_stage);
}

std::size_t circuit_breaker_policy::stage_alignment() const noexcept {
  return alignof(circuit_breaker_stage);
}

stage* circuit_breaker_policy::make_stage(void* memory) {
  return ::new (memory) circuit_breaker_stage(*core_);
}

step circuit_breaker_policy::begin(void* memory, tick& t, stage*& made) {
  auto* const asking = ::new (memory) circuit_breaker_stage(*core_, t.random());
  made = asking;
  return asking->entered(t);
}

// Factory

std::shared_ptr<policy> make_policy(circuit_breaker options) {
  return std::make_shared<circuit_breaker_policy>(std::move(options));
}

}  // namespace hawser::inline v0
