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
  circuit_permit permit = acquire_locked(now, random, deadline, refused);
  count_held_back(permit);
  return permit;
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
  if (now >= next_probe_locked() || early_locked(now)) return true;
  if (probes_out_ > 0) {
    *refused = {options_.name, reason::probes_busy, static_cast<double>(probes_out_),
                static_cast<double>(options_.probes), next_probe_};
  } else {  // suspected
    *refused = last_cause_;
    refused->measured = static_cast<double>(row_);
    refused->until = next_probe_;
  }
  return false;
}

time_point circuit_core::next_probe_locked() const noexcept {
  if (is_open(state())) return last_cause_.until;
  if (probes_out_ == options_.probes) return never;
  return probes_succeeded_ > 0 ? time_point::min() : next_probe_;
}

circuit_permit circuit_core::acquire_locked(time_point now, entropy& random, time_point deadline,
                                            cause* refused) noexcept {
  if (is_open(state()) && (now >= last_cause_.until || early_locked(now)))
    move_locked(
        on_paper(state()) ? circuit_state::metrics_only_half_open : circuit_state::half_open,
        {options_.name, reason::open_time_over, 0, 0, never}, now);
  if (is_half_open(state())) reclaim_locked(now, random);
  end_ramp_if_over_locked(now);

  const word current = word_.load(std::memory_order_relaxed);
  if (lets_all_through(state_of(current)))
    return {*this, random, generation_of(current), circuit_permit::kind::normal, 0};
  if (!is_half_open(state_of(current))) return refuse(current, last_cause_, random, refused);
  cause why;
  if (!probe_allowed_locked(now, &why)) return refuse(current, why, random, refused);
  return probe_locked(now, random, deadline);
}

circuit_permit circuit_core::probe_locked(time_point now, entropy& random,
                                          time_point deadline) noexcept {
  const auto free =
      std::find_if(leases_.begin(), leases_.end(), [](const lease& l) { return l.number == 0; });
  if (++last_lease_ == 0) ++last_lease_;
  *free = {lease_end(now, deadline), last_lease_};
  ++probes_out_;
  held_back_at_probe_ = held_back_.load(std::memory_order_relaxed);
  next_probe_ = next_round_locked(now, random);
  return {*this, random, generation_of(word_.load(std::memory_order_relaxed)),
          circuit_permit::kind::probe, last_lease_};
}

circuit_permit circuit_core::refuse(word seen, const cause& why, entropy& random,
                                    cause* refused) noexcept {
  if (on_paper(state_of(seen)))
    return {*this, random, generation_of(seen), circuit_permit::kind::unjudged, 0};
  *refused = why;
  return {};
}

void circuit_core::reclaim_locked(time_point now, entropy& random) noexcept {
  for (lease& l : leases_) {
    if (l.number == 0 || now < l.until) continue;
    l.number = 0;
    --probes_out_;
    probe_failed_locked(reason::probe_lease_expired, now, random, duration::min());
    if (!is_half_open(state())) return;  // opened: nobody holds a lease any more
  }
}

time_point circuit_core::lease_end(time_point now, time_point deadline) const noexcept {
  if (options_.probe_lease) return later(now, *options_.probe_lease);
  if (deadline == never) return later(now, default_lease);
  return later(std::max(now, deadline), lease_slack);
}

// Judging

settlement circuit_core::alive(const circuit_permit& p, time_point now) noexcept {
  if (!is_current(p)) return late();
  if (p.kind_ == circuit_permit::kind::unjudged) return settlement::uncounted;
  if (p.kind_ == circuit_permit::kind::probe)  // it is not known how long a good one takes
    return settle(p, {}, duration::max(), now, duration::min());
  window_->answered(now);
  return settlement::uncounted;
}

settlement circuit_core::settle(const circuit_permit& p, logged_result result, duration took,
                                time_point now, duration server_wait) noexcept {
  const std::lock_guard lock(mutex_);
  if (!is_current(p)) return late();
  if (p.kind_ == circuit_permit::kind::probe) {
    if (!free_lease_locked(p)) return late();
    if (result.failed || result.slow) {
      probe_failed_locked(reason::probe_failed, now, *p.random_, server_wait);
    } else {
      probe_took_ = std::min(took, options_.open_for / 2);
      probe_succeeded_locked(now);
    }
    return settlement::counted;
  }
  note_use_locked(now);
  window_->log(result, took, now);
  if (state() != circuit_state::disabled) judge_locked(result, now, *p.random_, server_wait);
  return settlement::counted;
}

bool circuit_core::row_reaches(const std::optional<int>& limit, duration span, std::uint64_t row,
                               time_point now) const noexcept {
  return limit && row >= static_cast<std::uint64_t>(*limit) && window_->row_span(now) >= span;
}

void circuit_core::probe_succeeded_locked(time_point now) noexcept {
  row_ = 0;
  if (++probes_succeeded_ < options_.probes_to_close) return wake_watcher_locked();
  if (suspected_ && openings_ == 0) rounds_ = 0;  // it was chance
  move_locked(on_paper(state()) ? circuit_state::metrics_only : circuit_state::closed,
              {options_.name, reason::probes_succeeded, static_cast<double>(probes_succeeded_),
               static_cast<double>(options_.probes_to_close), never},
              now);
}

void circuit_core::probe_failed_locked(reason how, time_point now, entropy& random,
                                       duration server_wait) noexcept {
  ++probes_failed_;
  if (suspected_) {
    ++row_;
    const int most = options_.consecutive_failures.value_or(1);
    if (row_ < static_cast<std::uint64_t>(most)) return wake_watcher_locked();
    return open_locked({options_.name, reason::consecutive_failures, static_cast<double>(row_),
                        static_cast<double>(most), never},
                       now, random, server_wait);
  }
  // Those that are still out may know better: slow ones are told from dead ones only in time.
  if (probes_out_ > 0 || probes_failed_ < probes_succeeded_) return wake_watcher_locked();
  open_locked({options_.name, how, 0, 0, never}, now, random, server_wait);
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
  // On paper nobody is suspected: what one call at a time finds out, all of them do as well.
  if (state() != circuit_state::closed || !options_.consecutive_failures ||
      !row_at(options_.suspect_failures, options_.consecutive_span / 2))
    return;
  row_ = counts.consecutive;
  forget_if_healthy_locked(now);
  move_locked(circuit_state::half_open, why, now);
  suspected_ = true;
  next_probe_ = next_round_locked(now, random);
}

void circuit_core::note_use_locked(time_point now) noexcept {
  if (closed_since_ == time_point::min()) closed_since_ = free_since_ = now;
}

void circuit_core::roll(time_point now) noexcept {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return;
  note_use_locked(now);
  window_->roll(now);
}

void circuit_core::give_back(const circuit_permit& p) noexcept {
  const std::lock_guard lock(mutex_);
  if (!is_current(p) || !free_lease_locked(p)) return;
  // Decided nothing, so the next may go at once.
  next_probe_ = time_point::min();
  if (rounds_ > 1) --rounds_;
  wake_watcher_locked();
}

bool circuit_core::free_lease_locked(const circuit_permit& p) noexcept {
  const auto held = std::find_if(leases_.begin(), leases_.end(),
                                 [&p](const lease& l) { return l.number == p.lease_; });
  if (held == leases_.end()) return false;
  held->number = 0;
  --probes_out_;
  return true;
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
  // The probe that failed began a round already; while it was suspected, that one goes on.
  const bool in_round = is_half_open(state());
  if (in_round && suspected_ && next_probe_ > now)
    why.until = next_probe_;
  else if (in_round)
    why.until = later(now, open_time(now, random));
  else
    why.until = next_round_locked(now, random);
  const duration own = remaining(why.until, now);
  const bool hinted = std::min(server_wait, options_.hint_cap) > own;
  if (hinted) why.until = later(now, std::min(server_wait, options_.hint_cap));
  move_locked(on_paper(state()) ? circuit_state::metrics_only_open : circuit_state::open, why, now);
  set_early_locked(hinted ? never : later(now, options_.open_for / 2));
}

void circuit_core::forget_if_healthy_locked(time_point now) noexcept {
  if (lets_all_through(state()) && now >= later(closed_since_, options_.healthy_reset))
    openings_ = rounds_ = 0;
}

void circuit_core::set_early_locked(time_point at) noexcept {
  if (!options_.early_probe_after) at = never;
  early_at_ = at;
  early_from_.store(at.time_since_epoch().count(), std::memory_order_relaxed);
}

time_point circuit_core::next_round_locked(time_point now, entropy& random) noexcept {
  if (rounds_ < std::numeric_limits<std::uint32_t>::max()) ++rounds_;
  set_early_locked(later(now, options_.open_for / 2));
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
               static_cast<double>(options_.open_cap->count()));
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
    down_since_ = now;
    held_back_.store(0, std::memory_order_relaxed);
    held_back_at_probe_ = 0;
    // A ramp that was under way knows more of arrivals than the window, whose results it paced.
    if ((last & ramp_bit) == 0) note_rate_locked(now);
  }
  if (lets_all_through(to)) {
    window_->restart(tag_of(generation), now);
    closed_since_ = free_since_ = now;
    held_ = 0;
  }
  for (lease& l : leases_) l.number = 0;
  probes_out_ = probes_succeeded_ = probes_failed_ = 0;
  suspected_ = false;
  next_probe_ = time_point::min();
  const bool ramps = to == circuit_state::closed && first_ != nullptr;
  word_.store(generation << 8U | (ramps ? ramp_bit : 0) | static_cast<word>(to),
              std::memory_order_release);
  if (state_of(last) != to) note_locked({state_of(last), to, why});
  if (first_ != nullptr) tell_waiters_locked(to, now);
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
  if (is_open(s.state) || is_half_open(s.state)) s.retry_at = next_probe_locked();
  if (is_half_open(s.state)) s.retry_at = std::max(s.retry_at, now);
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
