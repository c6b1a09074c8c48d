#include "policy/circuit_core.hpp"

#include "policy/option_check.hpp"

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
    const bool early =
        now.time_since_epoch().count() >= early_from_.load(std::memory_order_relaxed);
    if (!torn && now < why.until && !early) {
      held_back_.fetch_add(1, std::memory_order_relaxed);
      return refuse(seen, why, random, refused);
    }
  }
  const std::lock_guard lock(mutex_);
  return acquire_locked(now, random, deadline, refused);
}

bool circuit_core::early_locked(time_point now) const noexcept {
  return options_.early_probe_after && now >= early_at_ &&
         held_back_.load(std::memory_order_relaxed) - held_back_at_probe_ >=
             static_cast<std::uint64_t>(*options_.early_probe_after);
}

bool circuit_core::probe_allowed_locked(time_point now, cause* refused) noexcept {
  if (probes_out_ == options_.probes) {
    *refused = {options_.name, reason::probes_busy, static_cast<double>(probes_out_),
                static_cast<double>(options_.probes), never};
    return false;
  }
  // One is on its way, or one has failed: the next has its time, unless one has succeeded.
  if (probes_succeeded_ > 0 || now >= next_probe_ || early_locked(now)) return true;
  *refused = {options_.name, probes_out_ > 0 ? reason::probes_busy : reason::probe_failed,
              static_cast<double>(std::max(probes_out_, 1)), static_cast<double>(options_.probes),
              next_probe_};
  return false;
}

circuit_permit circuit_core::acquire_locked(time_point now, entropy& random, time_point deadline,
                                            cause* refused) noexcept {
  if (is_open(state()) && (now >= last_cause_.until || early_locked(now)))
    move_locked(
        on_paper(state()) ? circuit_state::metrics_only_half_open : circuit_state::half_open,
        {options_.name, reason::open_time_over, 0, 0, never}, now);
  if (is_half_open(state())) reclaim_locked(now, random);

  const word current = word_.load(std::memory_order_relaxed);
  if (lets_all_through(state_of(current)))
    return {*this, random, generation_of(current), circuit_permit::kind::normal, 0};
  held_back_.fetch_add(1, std::memory_order_relaxed);
  if (!is_half_open(state_of(current))) return refuse(current, last_cause_, random, refused);
  cause why;
  if (!probe_allowed_locked(now, &why)) return refuse(current, why, random, refused);
  std::size_t slot = 0;
  while (leases_[slot].taken) ++slot;
  leases_[slot] = {lease_end(now, deadline), true};
  ++probes_out_;
  held_back_at_probe_ = held_back_.load(std::memory_order_relaxed);
  next_probe_ = next_probe_locked(now, random);
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

// Waiting

void circuit_core::add_waiter_locked(circuit_waiter& w) noexcept {
  w.older = last_;
  w.newer = nullptr;
  (last_ != nullptr ? last_->newer : first_) = &w;
  last_ = &w;
  w.listed = true;
  ++waiting_;
}

void circuit_core::remove_waiter_locked(circuit_waiter& w) noexcept {
  const bool was_first = first_ == &w;
  (w.older != nullptr ? w.older->newer : first_) = w.newer;
  (w.newer != nullptr ? w.newer->older : last_) = w.older;
  w.listed = false;
  --waiting_;
  // The first alone watches for the next probe.
  if (was_first && first_ != nullptr && first_->start == never) first_->wake->wake();
}

time_point circuit_core::park_until_locked(const circuit_waiter& w) const noexcept {
  if (w.start != never) return std::min(w.start, w.latest);
  if (&w != first_) return w.latest;
  if (is_open(state())) return std::min(last_cause_.until, w.latest);
  time_point next = next_probe_;
  if (probes_out_ == options_.probes) {  // until one comes back, or its lease ends
    next = never;
    for (const lease& l : leases_) next = std::min(next, l.until);
  }
  return std::min(next, w.latest);
}

time_point circuit_core::turn_locked(time_point now) noexcept {
  const time_point turn = std::max(now, next_turn_);
  const double took =
      static_cast<double>(remaining(now, down_since_).count() + before_span_.count());
  const double came = static_cast<double>(std::max<std::uint64_t>(arrived_ + before_, 1));
  next_turn_ = later(turn, duration(static_cast<duration::rep>(took / (came * options_.ramp))));
  return turn;
}

/// Virtual scheduling, as in the generic cell rate algorithm: each of those who wait gets its turn,
/// and newcomers get theirs behind them.
void circuit_core::start_ramp_locked(time_point now) noexcept {
  if (first_ == nullptr) return;
  next_turn_ = now;
  (void)turn_locked(now);  // of the probe that has succeeded
  for (circuit_waiter* w = first_; w != nullptr; w = w->newer) {
    w->start = turn_locked(now);
    w->wake->wake();
  }
}

circuit_permit circuit_core::acquire_or_wait(circuit_waiter& w, time_point now, entropy& random,
                                             time_point deadline, cause* refused,
                                             time_point* park) noexcept {
  const std::lock_guard lock(mutex_);
  if (w.is_new && (ramping() || !lets_all_through(state()))) ++arrived_;
  w.since = now;
  w.start = never;
  if (ramping() && lets_all_through(state())) {
    if (first_ == nullptr && next_turn_ <= now) {
      word_.fetch_and(~ramp_bit, std::memory_order_relaxed);
    } else if (waiting_ < options_.max_waiting) {
      w.start = turn_locked(now);
      if (w.start > now) {
        if (w.start >= w.latest) {
          *refused = {options_.name, reason::queue_wait, in_seconds(remaining(w.start, now)),
                      in_seconds(remaining(w.latest, now)), w.start};
          return {};
        }
        add_waiter_locked(w);
        *park = park_until_locked(w);
        return {};
      }
    } else {
      *refused = {options_.name, reason::queue_full, static_cast<double>(waiting_),
                  static_cast<double>(options_.max_waiting), next_turn_};
      return {};
    }
  }
  circuit_permit p = acquire_locked(now, random, deadline, refused);
  if (p || refused->because == reason::none || state() == circuit_state::isolated) return p;
  const time_point next = is_open(state()) ? last_cause_.until : next_probe_;
  if (next >= w.latest) return {};  // nothing to be had before: no use in waiting
  if (waiting_ >= options_.max_waiting) {
    refused->until = std::max(next, now);
    refused->because = reason::queue_full;
    refused->measured = static_cast<double>(waiting_);
    refused->threshold = static_cast<double>(options_.max_waiting);
    return {};
  }
  add_waiter_locked(w);
  *park = park_until_locked(w);
  return {};
}

circuit_permit circuit_core::look(circuit_waiter& w, time_point now, entropy& random,
                                  time_point deadline, cause* refused, time_point* park) noexcept {
  const std::lock_guard lock(mutex_);
  const bool its_turn = w.start != never && w.start <= now;
  const bool late = now >= w.latest;
  if (w.start != never && !its_turn && !late) {
    *park = park_until_locked(w);
    return {};
  }
  if (!late || its_turn) {
    circuit_permit p = acquire_locked(now, random, deadline, refused);
    if (p) {
      remove_waiter_locked(w);
      return p;
    }
    if (state() != circuit_state::isolated && !late) {
      *park = park_until_locked(w);
      return {};
    }
  }
  if (refused->because == reason::none) *refused = last_cause_;
  if (late && state() != circuit_state::isolated)
    *refused = {options_.name, reason::queue_wait, in_seconds(now - w.since),
                in_seconds(w.latest - w.since), is_open(state()) ? last_cause_.until : next_probe_};
  remove_waiter_locked(w);
  return {};
}

void circuit_core::stop_waiting(circuit_waiter& w) noexcept {
  const std::lock_guard lock(mutex_);
  if (w.listed) remove_waiter_locked(w);
}

// Judging

settlement circuit_core::alive(const circuit_permit& p, time_point now) noexcept {
  if (!is_current(p)) return late();
  if (p.kind_ == circuit_permit::kind::unjudged) return settlement::uncounted;
  if (p.kind_ == circuit_permit::kind::probe) return settle(p, {}, now, duration::min());
  const std::lock_guard lock(mutex_);
  if (!is_current(p)) return late();
  window_->end_row(now);
  return settlement::uncounted;
}

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

bool circuit_core::row_reaches(const std::optional<int>& limit, duration span, std::uint64_t row,
                               time_point now) const noexcept {
  return limit && row >= static_cast<std::uint64_t>(*limit) &&
         now >= later(window_->row_since(), span);
}

void circuit_core::judge_probe_locked(logged_result result, time_point now, entropy& random,
                                      duration server_wait) noexcept {
  if (!result.failed && !result.slow) {
    if (++probes_succeeded_ < options_.probes_to_close) return;
    move_locked(on_paper(state()) ? circuit_state::metrics_only : circuit_state::closed,
                {options_.name, reason::probes_succeeded, static_cast<double>(probes_succeeded_),
                 static_cast<double>(options_.probes_to_close), never},
                now);
    return;
  }
  ++probes_failed_;
  if (suspected_) {
    ++row_;
    const int most = options_.consecutive_failures.value_or(1);
    if (row_ < static_cast<std::uint64_t>(most)) {
      if (first_ != nullptr) first_->wake->wake();
      return;
    }
    open_locked({options_.name, reason::consecutive_failures, static_cast<double>(row_),
                 static_cast<double>(most), never},
                now, random, server_wait);
    return;
  }
  // Those that are still out may know better: slow ones are told from dead ones only in time.
  if (probes_out_ > 0 || probes_failed_ < probes_succeeded_) {
    if (first_ != nullptr) first_->wake->wake();
    return;
  }
  open_locked({options_.name, reason::probe_failed, static_cast<double>(probes_failed_),
               static_cast<double>(probes_failed_ + probes_succeeded_), never},
              now, random, server_wait);
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
  const auto row_at = [&](const std::optional<int>& limit, duration span) {
    return result.failed && row_reaches(limit, span, counts.consecutive, now) &&
           reaches(reason::consecutive_failures, static_cast<double>(counts.consecutive),
                   static_cast<double>(*limit));
  };
  const bool trips =
      (result.failed && enough && options_.failure_ratio &&
       reaches(reason::failure_rate, rate(counts.failures, counts.calls),
               *options_.failure_ratio)) ||
      (result.slow && enough && options_.slow_ratio &&
       reaches(reason::slow_call_rate, rate(counts.slow, counts.calls), *options_.slow_ratio)) ||
      row_at(options_.consecutive_failures, options_.consecutive_span);
  if (trips) return open_locked(why, now, random, server_wait);
  if (state() == circuit_state::closed &&
      row_at(options_.suspect_failures, options_.consecutive_span / 2)) {
    row_ = counts.consecutive;
    forget_if_healthy_locked(now);
    move_locked(circuit_state::half_open, why, now);
    suspected_ = true;
    next_probe_ = next_probe_locked(now, random);
  }
}

void circuit_core::roll(time_point now) noexcept {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (lock.owns_lock()) window_->roll(now);
}

void circuit_core::give_back(const circuit_permit& p) noexcept {
  const std::lock_guard lock(mutex_);
  if (!is_current(p)) return;
  free_lease_locked(p);
  // Decided nothing, so the next may go at once.
  next_probe_ = time_point::min();
  if (rounds_ > 1) --rounds_;
  if (first_ != nullptr) first_->wake->wake();
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
  openings_ = rounds_ = 1;
  cause why{options_.name, reason::forced, 0, 0, later(now, open_time(now, random))};
  why.until = std::max({why.until, later(now, at_least), before});
  move_locked(circuit_state::open, why, now);
  set_early_locked(never);
}

void circuit_core::force_locked(circuit_state to, time_point now) noexcept {
  const bool again = to == state() || (to == circuit_state::metrics_only && on_paper(state()));
  if (again && to != circuit_state::closed) return;
  openings_ = rounds_ = 0;
  move_locked(to, {options_.name, reason::forced, 0, 0, never}, now);
}

void circuit_core::open_locked(cause why, time_point now, entropy& random,
                               duration server_wait) noexcept {
  forget_if_healthy_locked(now);
  if (openings_ < std::numeric_limits<std::uint32_t>::max()) ++openings_;
  // Half open without having been open, its probes had their times already.
  const bool has_time = suspected_ && next_probe_ > now;
  why.until = has_time ? next_probe_ : next_probe_locked(now, random);
  const duration own = remaining(why.until, now);
  if (server_wait > own)
    why.until = std::max(why.until, later(now, std::min(server_wait, options_.hint_cap)));
  const bool hinted = remaining(why.until, now) > own;
  move_locked(on_paper(state()) ? circuit_state::metrics_only_open : circuit_state::open, why, now);
  set_early_locked(options_.early_probe_after && !hinted ? later(now, options_.open_for / 2)
                                                         : never);
}

void circuit_core::forget_if_healthy_locked(time_point now) noexcept {
  if (lets_all_through(state()) && now >= later(closed_since_, options_.healthy_reset))
    openings_ = rounds_ = 0;
}

void circuit_core::set_early_locked(time_point at) noexcept {
  early_at_ = at;
  early_from_.store(at.time_since_epoch().count(), std::memory_order_relaxed);
}

time_point circuit_core::next_probe_locked(time_point now, entropy& random) noexcept {
  if (rounds_ < std::numeric_limits<std::uint32_t>::max()) ++rounds_;
  set_early_locked(options_.early_probe_after ? later(now, options_.open_for / 2) : never);
  return later(now, open_time(now, random));
}

duration circuit_core::open_time(time_point now, entropy& random) const noexcept {
  const double grown = static_cast<double>(options_.open_for.count()) *
                       std::pow(options_.open_multiplier, static_cast<double>(rounds_ - 1));
  const bool down = !lets_all_through(state());
  const double outage =
      down ? static_cast<double>(remaining(now, down_since_).count()) * options_.open_share : 0;
  const double bound =
      std::min(std::max(outage, 2 * static_cast<double>(options_.open_for.count())),
               static_cast<double>(options_.open_cap.count()));
  // Also true for an infinite product; below the cap, the product fits the integer.
  const bool capped = !(grown < bound);
  const duration whole(static_cast<duration::rep>(capped ? bound : grown));
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
  if (lets_all_through(state_of(last)) && !lets_all_through(to)) {
    const recent_results before = window_->recent();
    before_ = before.count;
    before_span_ = std::min(before.span, remaining(now, closed_since_));
    down_since_ = now;
    held_back_.store(0, std::memory_order_relaxed);
    held_back_at_probe_ = arrived_ = 0;
  }
  if (lets_all_through(to)) {
    window_->restart(tag_of(generation), now);
    closed_since_ = now;
  }
  for (lease& l : leases_) l.taken = false;
  probes_out_ = probes_succeeded_ = probes_failed_ = 0;
  suspected_ = false;
  next_probe_ = time_point::min();
  const bool ramps = to == circuit_state::closed && first_ != nullptr;
  word_.store(generation << 8U | (ramps ? ramp_bit : 0) | static_cast<word>(to),
              std::memory_order_release);
  if (state_of(last) != to) note_locked({state_of(last), to, why});
  if (first_ == nullptr) return;
  if (ramps) {
    start_ramp_locked(now);
  } else if (to == circuit_state::isolated || lets_all_through(to)) {
    for (circuit_waiter* w = first_; w != nullptr; w = w->newer) {
      if (lets_all_through(to)) w->start = now;
      w->wake->wake();
    }
  } else {
    for (circuit_waiter* w = first_; w != nullptr; w = w->newer) w->start = never;
    first_->wake->wake();
  }
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
  s.waiting = waiting_;
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
