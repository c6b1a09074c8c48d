#include "policy/circuit_core.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>

namespace hawser::inline v0::detail {
namespace {

constexpr duration default_lease = std::chrono::seconds(30);
constexpr duration lease_slack = std::chrono::seconds(1);
constexpr std::size_t most_untold = 16;

bool on_paper(circuit_state s) noexcept {
  return s == circuit_state::metrics_only || s == circuit_state::metrics_only_open ||
         s == circuit_state::metrics_only_half_open;
}

bool is_open(circuit_state s) noexcept {
  return s == circuit_state::open || s == circuit_state::metrics_only_open;
}

bool is_half_open(circuit_state s) noexcept {
  return s == circuit_state::half_open || s == circuit_state::metrics_only_half_open;
}

}  // namespace

// Asking

circuit_permit circuit_core::acquire(time_point now, entropy& random, time_point deadline,
                                     cause* refused) noexcept {
  const word seen = word_.load(std::memory_order_acquire);
  if (is_open(state_of(seen))) {
    const cause why = read_opening();
    const bool torn = word_.load(std::memory_order_relaxed) != seen;
    if (!torn && now < why.until) return refuse(seen, why, random, refused);
  }
  const std::lock_guard lock(mutex_);
  return acquire_locked(now, random, deadline, refused);
}

circuit_permit circuit_core::acquire_locked(time_point now, entropy& random, time_point deadline,
                                            cause* refused) noexcept {
  if (is_open(state()) && now >= last_cause_.until)
    move_locked(
        on_paper(state()) ? circuit_state::metrics_only_half_open : circuit_state::half_open,
        {options_.name, reason::open_time_over, 0, 0, never}, now);
  if (is_half_open(state())) reclaim_locked(now, random);

  const word current = word_.load(std::memory_order_relaxed);
  if (lets_all_through(state_of(current)))
    return {*this, random, generation_of(current), circuit_permit::kind::normal, 0};
  if (!is_half_open(state_of(current))) return refuse(current, last_cause_, random, refused);
  if (probes_out_ == options_.probes)
    return refuse(current,
                  {options_.name, reason::probes_busy, static_cast<double>(probes_out_),
                   static_cast<double>(options_.probes), never},
                  random, refused);
  std::size_t slot = 0;
  while (leases_[slot].taken) ++slot;
  leases_[slot] = {lease_end(now, deadline), true};
  ++probes_out_;
  return {*this, random, generation_of(current), circuit_permit::kind::probe,
          static_cast<std::uint32_t>(slot)};
}

circuit_permit circuit_core::refuse(word seen, const cause& why, entropy& random,
                                    cause* refused) noexcept {
  if (on_paper(state_of(seen)))
    return {*this, random, generation_of(seen), circuit_permit::kind::unjudged, 0};
  if (refused != nullptr) *refused = why;
  return {};
}

void circuit_core::reclaim_locked(time_point now, entropy& random) noexcept {
  for (const lease& l : leases_) {
    if (!l.taken || now < l.until) continue;
    open_locked({options_.name, reason::probe_lease_expired, 0, 0, never}, now, random,
                duration::min());
    return;
  }
}

time_point circuit_core::lease_end(time_point now, time_point deadline) const noexcept {
  if (options_.probe_lease) return later(now, *options_.probe_lease);
  if (deadline == never) return later(now, default_lease);
  return later(std::max(now, deadline), lease_slack);
}

// Judging

settlement circuit_core::settle(const circuit_permit& p, logged_result result, time_point now,
                                duration server_wait) noexcept {
  const std::lock_guard lock(mutex_);
  if (!is_current(p)) return late();
  if (p.kind_ == circuit_permit::kind::probe) {
    free_lease_locked(p);
    judge_probe_locked(result, now, *p.random_, server_wait);
  } else {
    window_->log(result, now);
    if (state() != circuit_state::disabled) judge_locked(result, now, *p.random_, server_wait);
  }
  return settlement::counted;
}

void circuit_core::judge_probe_locked(logged_result result, time_point now, entropy& random,
                                      duration server_wait) noexcept {
  if (result.failed || result.slow) {
    open_locked({options_.name, reason::probe_failed, 0, 0, never}, now, random, server_wait);
    return;
  }
  if (++probes_succeeded_ < options_.probes_to_close) return;
  move_locked(on_paper(state()) ? circuit_state::metrics_only : circuit_state::closed,
              {options_.name, reason::probes_succeeded, static_cast<double>(probes_succeeded_),
               static_cast<double>(options_.probes_to_close), never},
              now);
}

void circuit_core::judge_locked(logged_result result, time_point now, entropy& random,
                                duration server_wait) noexcept {
  const window_counts counts = window_->counts(now);
  const bool enough = counts.calls >= static_cast<std::uint64_t>(options_.min_calls);
  cause why{options_.name, reason::none, 0, 0, never};
  const auto reaches = [&why](reason because, double measured, double limit) {
    if (measured < limit) return false;
    why.because = because;
    why.measured = measured;
    why.threshold = limit;
    return true;
  };
  const bool trips =
      (result.failed && enough && options_.failure_ratio &&
       reaches(reason::failure_rate, rate(counts.failures, counts.calls),
               *options_.failure_ratio)) ||
      (result.slow && enough && options_.slow_ratio &&
       reaches(reason::slow_call_rate, rate(counts.slow, counts.calls), *options_.slow_ratio)) ||
      (result.failed && options_.consecutive_failures &&
       reaches(reason::consecutive_failures, static_cast<double>(counts.consecutive),
               static_cast<double>(*options_.consecutive_failures)));
  if (trips) open_locked(why, now, random, server_wait);
}

void circuit_core::roll(time_point now) noexcept {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (lock.owns_lock()) window_->roll(now);
}

void circuit_core::give_back(const circuit_permit& p) noexcept {
  const std::lock_guard lock(mutex_);
  if (is_current(p)) free_lease_locked(p);
}

void circuit_core::free_lease_locked(const circuit_permit& p) noexcept {
  leases_[p.slot_].taken = false;
  --probes_out_;
}

// Moving

void circuit_core::force(circuit_state to, time_point now) noexcept {
  const std::lock_guard lock(mutex_);
  force_locked(to, now);
}

void circuit_core::reset(time_point now) noexcept {
  const std::lock_guard lock(mutex_);
  force_locked(circuit_state::closed, now);
  late_results_.store(0, std::memory_order_relaxed);
}

void circuit_core::open(time_point now, entropy& random, duration at_least) noexcept {
  const std::lock_guard lock(mutex_);
  const time_point before = state() == circuit_state::open ? last_cause_.until : now;
  openings_ = 1;
  cause why{options_.name, reason::forced, 0, 0, later(now, open_time(random))};
  why.until = std::max({why.until, later(now, at_least), before});
  move_locked(circuit_state::open, why, now);
}

void circuit_core::force_locked(circuit_state to, time_point now) noexcept {
  const bool again = to == state() || (to == circuit_state::metrics_only && on_paper(state()));
  if (again && to != circuit_state::closed) return;
  openings_ = 0;
  move_locked(to, {options_.name, reason::forced, 0, 0, never}, now);
}

void circuit_core::open_locked(cause why, time_point now, entropy& random,
                               duration server_wait) noexcept {
  const bool healthy =
      lets_all_through(state()) && now >= later(closed_since_, options_.healthy_reset);
  if (healthy) openings_ = 0;
  if (openings_ < std::numeric_limits<std::uint32_t>::max()) ++openings_;
  why.until = later(now, open_time(random));
  if (server_wait > duration::zero())
    why.until = std::max(why.until, later(now, std::min(server_wait, options_.hint_cap)));
  move_locked(on_paper(state()) ? circuit_state::metrics_only_open : circuit_state::open, why, now);
}

duration circuit_core::open_time(entropy& random) const noexcept {
  const double grown = static_cast<double>(options_.open_for.count()) *
                       std::pow(options_.open_multiplier, static_cast<double>(openings_ - 1));
  // Also true for an infinite product; below the cap, the product fits the integer.
  const bool capped = !(grown < static_cast<double>(options_.open_cap.count()));
  const duration whole = capped ? options_.open_cap : duration(static_cast<duration::rep>(grown));
  if (options_.open_jitter == 0) return whole;
  const double part = static_cast<double>(whole.count()) * options_.open_jitter;
  return whole - duration(static_cast<duration::rep>(part * random.uniform()));
}

void circuit_core::move_locked(circuit_state to, const cause& why, time_point now) noexcept {
  const word last = word_.load(std::memory_order_relaxed);
  const std::uint64_t generation = generation_of(last) + 1;
  last_cause_ = why;
  if (is_open(to)) {
    // Opened again by hand: whoever still reads the numbers of before shall see that they go.
    if (is_open(state_of(last)))
      word_.store(generation << 8U | static_cast<word>(circuit_state::isolated),
                  std::memory_order_relaxed);
    write_opening(why);
  }
  if (lets_all_through(to)) {
    window_->restart(tag_of(generation), now);
    closed_since_ = now;
  }
  for (lease& l : leases_) l.taken = false;
  probes_out_ = probes_succeeded_ = 0;
  word_.store(generation << 8U | static_cast<word>(to), std::memory_order_release);
  if (state_of(last) != to) note_locked({state_of(last), to, why});
}

void circuit_core::write_opening(const cause& why) noexcept {
  opening_.retry_at.store(why.until.time_since_epoch().count(), std::memory_order_release);
  opening_.measured.store(why.measured, std::memory_order_release);
  opening_.threshold.store(why.threshold, std::memory_order_release);
  opening_.because.store(why.because, std::memory_order_release);
}

cause circuit_core::read_opening() const noexcept {
  cause why;
  why.policy = options_.name;
  why.until = time_point(duration(opening_.retry_at.load(std::memory_order_acquire)));
  why.measured = opening_.measured.load(std::memory_order_acquire);
  why.threshold = opening_.threshold.load(std::memory_order_acquire);
  why.because = opening_.because.load(std::memory_order_acquire);
  return why;
}

// Telling

circuit_snapshot circuit_core::snapshot(time_point now) noexcept {
  const std::lock_guard lock(mutex_);
  circuit_snapshot s;
  s.state = state();
  s.generation = generation_of(word_.load(std::memory_order_relaxed));
  const window_counts counts = window_->counts(now);
  s.calls = counts.calls;
  s.failures = counts.failures;
  s.slow = counts.slow;
  s.consecutive = counts.consecutive;
  s.failure_rate = rate(counts.failures, counts.calls);
  s.slow_rate = rate(counts.slow, counts.calls);
  s.probes_out = probes_out_;
  s.probes_succeeded = probes_succeeded_;
  s.openings = openings_;
  s.late_results = late_results_.load(std::memory_order_relaxed);
  if (is_open(s.state)) s.retry_at = last_cause_.until;
  s.why = last_cause_;
  return s;
}

template <class Tell>
void circuit_core::announce_by(const Tell& tell) {
  if (!untold()) return;
  std::unique_lock lock(mutex_);
  if (announcing_) return;
  announcing_ = true;
  const announcement done{*this, lock};
  while (!changes_.empty()) {
    const change next = changes_.front();
    changes_.erase(changes_.begin());
    lock.unlock();
    tell(event_of(next));
    lock.lock();
  }
  untold_.store(false, std::memory_order_relaxed);
}

void circuit_core::announce(tick& t) {
  announce_by([&t](const event& e) { t.emit(e); });
}

void circuit_core::announce(observer& who, time_point now) {
  announce_by([&who, now](event e) {
    e.at = now;
    who.on_event(e);
  });
}

void circuit_core::note_locked(const change& what) noexcept {
  if (!announcing_ && changes_.size() == most_untold) changes_.erase(changes_.begin());
  try {
    changes_.push_back(what);
  } catch (const std::bad_alloc&) {
    return;  // the change stands, untold
  }
  untold_.store(true, std::memory_order_relaxed);
}

event circuit_core::event_of(const change& what) noexcept {
  event e;
  e.kind = event_kind::state_changed;
  e.why = what.why;
  e.from = to_string(what.from);
  e.to = to_string(what.to);
  return e;
}

}  // namespace hawser::inline v0::detail
