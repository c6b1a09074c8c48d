// How calls wait for a circuit to close, and the ramp on which they go once it has.
#include "policy/circuit_core.hpp"

#include "policy/option_check.hpp"

#include <algorithm>

namespace hawser::inline v0::detail {
namespace {

/// The rate of arrivals is that of about so long.
constexpr duration arrivals_span = std::chrono::seconds(10);

}  // namespace

circuit_permit circuit_core::acquire_or_wait(circuit_waiter& w, time_point now, entropy& random,
                                             time_point deadline, cause* refused,
                                             time_point* park) noexcept {
  const std::lock_guard lock(mutex_);
  w.since = now;
  w.start = never;
  end_ramp_if_over_locked(now);
  // Further attempts take turns on the ramp too, so they count there. Before, most of them are of
  // calls that found the other side dead, and say nothing about what comes in when it lives.
  if (ramping() || (w.is_new && !lets_all_through(state()))) count_arrival_locked(now);
  if (ramping() && !join_ramp_locked(w, now, refused)) {
    if (w.listed) *park = park_until_locked(w, now);
    return {};
  }
  circuit_permit p = acquire_locked(now, random, deadline, refused);
  count_held_back(p);
  if (p || state() == circuit_state::isolated) return p;
  const time_point next = next_probe_locked();
  if (next != never && next >= w.latest) return {};  // nothing to be had before: no use in waiting
  if (waiting_ >= options_.max_waiting) {
    refused->because = reason::queue_full;
    refused->measured = static_cast<double>(waiting_);
    refused->threshold = static_cast<double>(options_.max_waiting);
    refused->until = next;
    return {};
  }
  add_waiter_locked(w);
  *park = park_until_locked(w, now);
  return {};
}

circuit_permit circuit_core::look(circuit_waiter& w, time_point now, entropy& random,
                                  time_point deadline, cause* refused, time_point* park) noexcept {
  const std::lock_guard lock(mutex_);
  const bool on_ramp = w.start != never;
  const bool late = now >= w.latest || (on_ramp && w.start >= useful_until_locked(w));
  if (on_ramp ? w.start <= now : !late && &w == watcher_) {
    circuit_permit p = acquire_locked(now, random, deadline, refused);
    if (p) {
      remove_waiter_locked(w);
      if (on_ramp) {
        ++held_;
        boost_.one_went(waiting_);
      }
      return p;
    }
  }
  if (!late && state() != circuit_state::isolated) {
    *park = park_until_locked(w, now);
    return {};
  }
  if (state() == circuit_state::isolated) {
    *refused = last_cause_;
  } else {
    *refused =
        on_ramp
            ? cause{options_.name, reason::ramp, in_seconds(remaining(w.start, now)),
                    in_seconds(remaining(w.latest, now)), w.start}
            : cause{options_.name, reason::queue_wait, in_seconds(remaining(now, w.since)),
                    in_seconds(remaining(w.latest, w.since)), std::max(next_probe_locked(), now)};
  }
  remove_waiter_locked(w);
  return {};
}

void circuit_core::stop_waiting(circuit_waiter& w) noexcept {
  const std::lock_guard lock(mutex_);
  if (w.listed) remove_waiter_locked(w);
}

void circuit_core::pass_watch_on_locked() noexcept {
  if (watcher_ == nullptr) watcher_ = first_;
  if (watcher_ == nullptr) return;
  const time_point enough = later(last_->since, options_.open_for);  // as good as from now on
  while (watcher_ != last_ && watcher_->latest < enough) watcher_ = watcher_->newer;
}

void circuit_core::add_waiter_locked(circuit_waiter& w) noexcept {
  w.older = last_;
  w.newer = nullptr;
  (last_ != nullptr ? last_->newer : first_) = &w;
  last_ = &w;
  w.listed = true;
  ++waiting_;
  // Time has gone on with it: perhaps another is to watch from now on.
  const circuit_waiter* const watched = watcher_;
  pass_watch_on_locked();
  if (watcher_ != watched && watcher_ != &w && watcher_->start == never) wake_watcher_locked();
}

void circuit_core::remove_waiter_locked(circuit_waiter& w) noexcept {
  const bool watched = watcher_ == &w;
  if (watched) watcher_ = w.newer;
  (w.older != nullptr ? w.older->newer : first_) = w.newer;
  (w.newer != nullptr ? w.newer->older : last_) = w.older;
  w.listed = false;
  --waiting_;
  if (!watched) return;
  pass_watch_on_locked();
  // One alone watches for the next probe. On a ramp each has a time of its own.
  if (watcher_ != nullptr && watcher_->start == never) wake_watcher_locked();
}

time_point circuit_core::park_until_locked(const circuit_waiter& w, time_point now) const noexcept {
  if (w.start != never) return std::min(w.start, w.latest);
  if (&w != watcher_) return w.latest;
  time_point next = next_probe_locked();
  if (next == never) {  // all are out: until one comes back, which wakes it, or its lease ends
    for (const lease& l : leases_)
      if (l.number != 0) next = std::min(next, l.until);
  } else if (early_at_ > now) {
    // Whether enough were held back shows by then; later, the call that makes them enough goes.
    next = std::min(next, early_at_);
  }
  return std::min(next, w.latest);
}

// The ramp

void circuit_core::count_arrival_locked(time_point now) noexcept {
  arrivals_ += 1;
  const duration span = remaining(now, arrivals_since_);
  if (span <= arrivals_span) return;
  // Half of them in half of the time: so it is the rate of late, however long the outage was.
  arrivals_ /= 2;
  arrivals_since_ = later(now, -(span / 2));
}

void circuit_core::note_rate_locked(time_point now) noexcept {
  const recent_results before = window_->recent(now);
  const std::uint64_t row = window_->counts(now).consecutive;
  const duration row_span = window_->row_span(now);
  const auto since = [now](time_point t) {
    return t == time_point::min() ? duration::zero() : remaining(now, t);
  };
  // What came in the row of failures is left out: callers may have hung in it.
  const auto saw = [&](std::uint64_t not_free, duration span) {
    usual_.saw(static_cast<double>(before.count - std::min(row + not_free, before.count)),
               span - row_span);
  };
  const duration used = since(closed_since_);
  const duration free = since(free_since_);
  if (free >= before.span)
    saw(0, before.span);
  else if (used <= before.span)  // the window holds what went on the ramp, and what went freely
    saw(held_, free);
  arrivals_ = static_cast<double>(before.count);
  arrivals_since_ = later(now, -std::min(before.span, used));
}

/// Virtual scheduling, as in the generic cell rate algorithm: each of those who wait gets its turn,
/// and newcomers get theirs behind them. Since newcomers count as arrivals too, the turns come
/// faster than they do, and the ramp ends.
time_point circuit_core::turn_locked(time_point now, time_point latest) noexcept {
  const time_point turn = std::max(now, next_turn_);
  if (turn >= latest) return turn;  // of no use to it: left to the next
  const double came_apart =
      static_cast<double>(remaining(now, arrivals_since_).count()) / std::max(arrivals_, 1.0);
  const double apart = usual_.apart(came_apart) / (options_.ramp * boost_.factor());
  // Who calls so rarely makes no burst, and what it was like before need not be like now.
  const duration longest = 3 * std::min(options_.open_for, duration::max() / 3);
  const bool rare = apart >= static_cast<double>(longest.count());
  next_turn_ = later(turn, rare ? longest : duration(static_cast<duration::rep>(apart)));
  return turn;
}

/// Who has less time left than the probe took would be cut off in the middle. But a probe that took
/// long was perhaps met by the end of the fault, and so is no measure.
time_point circuit_core::useful_until_locked(const circuit_waiter& w) const noexcept {
  return later(w.latest, -probe_took_);
}

void circuit_core::start_ramp_locked(time_point now) noexcept {
  next_turn_ = now;
  boost_.restart(waiting_);
  (void)turn_locked(now, never);  // of the probe that has succeeded
  for (circuit_waiter* w = first_; w != nullptr; w = w->newer) {
    w->start = turn_locked(now, useful_until_locked(*w));
    w->wake->wake();
  }
}

void circuit_core::end_ramp_if_over_locked(time_point now) noexcept {
  if (!ramping() || first_ != nullptr || next_turn_ > now) return;
  word_.fetch_and(~ramp_bit, std::memory_order_relaxed);
  free_since_ = now;
}

bool circuit_core::join_ramp_locked(circuit_waiter& w, time_point now, cause* refused) noexcept {
  if (waiting_ >= options_.max_waiting) {
    *refused = {options_.name, reason::queue_full, static_cast<double>(waiting_),
                static_cast<double>(options_.max_waiting), next_turn_};
    return false;
  }
  const time_point useful_until = useful_until_locked(w);
  w.start = turn_locked(now, useful_until);
  if (w.start <= now) return true;
  *refused = {options_.name, reason::ramp, in_seconds(remaining(w.start, now)),
              in_seconds(remaining(w.latest, now)), w.start};
  if (w.start < useful_until) add_waiter_locked(w);
  return false;
}

void circuit_core::tell_waiters_locked(circuit_state to, time_point now) noexcept {
  if (ramping()) return start_ramp_locked(now);
  // Open or half open, they wait on, and one looks for the next probe.
  const bool wait_on = to == circuit_state::open || to == circuit_state::half_open;
  for (circuit_waiter* w = first_; w != nullptr; w = w->newer) {
    w->start = lets_all_through(to) ? now : never;
    if (!wait_on) w->wake->wake();
  }
  if (wait_on) wake_watcher_locked();
}

}  // namespace hawser::inline v0::detail
