#include "hawser/policy/rate_limiter.hpp"

#include "policy/option_check.hpp"
#include "policy/ramp_boost.hpp"
#include "policy/rate_windows.hpp"
#include "policy/usual_rate.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

namespace hawser::inline v0 {

using detail::rate_waiter;

namespace detail {

struct ramp_pace {
  ramp_boost boost;
  usual_rate usual;
  // How much had been handed out when the latest calls were turned away, in a ring.
  std::array<std::uint64_t, 40> turned_away{};
  std::uint64_t turned_away_in_all = 0;
};

}  // namespace detail

// ---- options ----

namespace {

using ns = std::int64_t;

constexpr duration longest_span = std::chrono::hours(24 * 366);
constexpr duration probe_patience = std::chrono::seconds(1);
constexpr duration count_every = std::chrono::seconds(10);
constexpr duration count_at_least = std::chrono::milliseconds(100);

using detail::in_seconds;
using detail::text_of;

constexpr ns count_of(time_point at) noexcept { return at.time_since_epoch().count(); }
constexpr time_point at_ns(ns count) noexcept { return time_point(duration(count)); }

/// `from + by`, saturating; and what has saturated stays.
constexpr ns moved(ns from, ns by) noexcept { return count_of(later(at_ns(from), duration(by))); }

// ---- validation ----

void check_rate(const rate_limiter& o, int permits, duration per, std::optional<int> burst) {
  if (permits < 1)
    throw config_error("rate_limiter.permits", std::to_string(permits), "must be at least 1");
  if (per <= duration::zero() || per > longest_span)
    throw config_error("rate_limiter.per", text_of(per), "must be over 0 and at most 366 days");
  if (per / permits < duration(1))
    throw config_error("rate_limiter.permits", std::to_string(permits),
                       "must be at most one per nanosecond");
  if (burst && *burst < 1)
    throw config_error("rate_limiter.burst", std::to_string(*burst), "must be at least 1, or off");
  if (burst && o.algorithm != rate_algorithm::gcra)
    throw config_error("rate_limiter.burst", std::to_string(*burst),
                       "must be off: only gcra has a burst of its own");
  // A bucket that takes longer than this to fill is a mistake, and would overflow.
  if (burst && *burst > longest_span / ((per + duration(permits - 1)) / permits))
    throw config_error("rate_limiter.burst", std::to_string(*burst), "must refill within 366 days");
  if (o.algorithm == rate_algorithm::sliding_window &&
      !detail::can_slide(permits, per, o.max_wait.value_or(duration::zero())))
    throw config_error("rate_limiter.permits", std::to_string(permits),
                       "(max_wait / per + 3) x permits must be at most 1048576 for sliding_window");
}

rate_limiter validated(rate_limiter o) {
  if (o.algorithm > rate_algorithm::sliding_window)
    throw config_error("rate_limiter.algorithm", std::to_string(static_cast<unsigned>(o.algorithm)),
                       "must be one of rate_algorithm's values");
  if (o.max_wait && (*o.max_wait < duration::zero() || *o.max_wait > longest_span))
    throw config_error("rate_limiter.max_wait", text_of(*o.max_wait),
                       "must be between 0 and 366 days, or off");
  if (!(o.spread >= 0.0 && o.spread <= 1.0))
    throw config_error("rate_limiter.spread", std::to_string(o.spread), "must be between 0 and 1");
  if (!(o.pause_share >= 0.0 && o.pause_share <= 1.0))
    throw config_error("rate_limiter.pause_share", std::to_string(o.pause_share),
                       "must be between 0 and 1");
  if (o.max_pause < duration::zero())
    throw config_error("rate_limiter.max_pause", text_of(o.max_pause), "must be at least 0");
  if (o.long_pause <= duration::zero())
    throw config_error("rate_limiter.long_pause", text_of(o.long_pause), "must be over 0");
  if (o.probe_every && *o.probe_every <= duration::zero())
    throw config_error("rate_limiter.probe_every", text_of(*o.probe_every),
                       "must be over 0, or off");
  if (!(o.ramp >= 1) || !std::isfinite(o.ramp))
    throw config_error("rate_limiter.ramp", std::to_string(o.ramp),
                       "must be at least 1 and finite");
  check_rate(o, o.permits, o.per, o.burst);
  if (o.name.empty()) o.name = "rate_limiter";
  return o;
}

}  // namespace

// ---- shared state: the policy ----

rate_limiter_policy::rate rate_limiter_policy::rate_of(int permits, duration per,
                                                       std::optional<int> burst) noexcept {
  rate r;
  r.interval = (per.count() + permits - 1) / permits;  // up: never faster than asked
  r.burst = burst.value_or(permits);
  r.ahead = r.burst * r.interval;
  return r;
}

rate_limiter_policy::rate_limiter_policy(rate_limiter options)
    : options_(validated(std::move(options))),
      spent_until_(count_of(time_point::min())),
      windows_(detail::make_rate_windows(options_)),
      permits_(options_.permits),
      per_(options_.per),
      pace_(std::make_unique<detail::ramp_pace>()) {
  const rate r = rate_of(options_.permits, options_.per, options_.burst);
  interval_ = r.interval;
  ahead_ = r.ahead;
  burst_ = r.burst;
}

rate_limiter_policy::~rate_limiter_policy() = default;

/// False while the rate is being changed. The loads in between are acquiring, so that the second
/// look at the version comes after them.
inline bool rate_limiter_policy::read_rate(rate& r) const noexcept {
  r.version = version_.load(std::memory_order_acquire);
  r.interval = interval_.load(std::memory_order_acquire);
  r.ahead = ahead_.load(std::memory_order_acquire);
  r.burst = burst_.load(std::memory_order_acquire);
  return (r.version & 1U) == 0 && version_.load(std::memory_order_relaxed) == r.version;
}

rate_limiter_policy::rate rate_limiter_policy::rate_locked() const noexcept {
  return {interval_.load(std::memory_order_relaxed), ahead_.load(std::memory_order_relaxed),
          burst_.load(std::memory_order_relaxed), version_.load(std::memory_order_relaxed)};
}

namespace {

/// Virtual scheduling: where spending would stand after `cost` more, and when that conforms.
/// The later of the two moments makes both promises: a clock that goes back mints nothing, and
/// whatever gap there was, spending runs ahead of now by the burst at most.
struct gcra_turn {
  gcra_turn(ns spent_until, ns interval, ns ahead, std::uint32_t cost, time_point now) noexcept
      : next(moved(std::max(spent_until, count_of(now)), interval * cost)),
        start(at_ns(moved(next, -ahead))) {}
  ns next;
  time_point start;
};

}  // namespace

// Spending is read before the rate, here and below: what `set_rate` converts in between changes it,
// so the exchange fails (but where it comes to the same nanosecond), and a refusal looks again. The
// other way round, every such call would be charged at the old rate on the new one's account.

inline void rate_limiter_policy::count_out(std::uint32_t cost) noexcept {
  handed_out_.store(handed_out_.load(std::memory_order_relaxed) + cost, std::memory_order_relaxed);
}

inline void rate_limiter_policy::count_out(std::uint32_t cost, time_point now) noexcept {
  count_out(cost);
  if (count_of(now) >= count_at_.load(std::memory_order_relaxed)) [[unlikely]]
    note_rate(now);
}

/// The hot path of `take`: false decides nothing.
inline bool rate_limiter_policy::take_at_once(std::uint32_t cost, time_point now,
                                              admission& a) noexcept {
  rate r;
  ns seen = spent_until_.load(std::memory_order_acquire);
  if (windows_ != nullptr || !read_rate(r) || cost > r.burst) return false;
  const gcra_turn turn(seen, r.interval, r.ahead, cost, now);
  if (turn.start > now ||
      !spent_until_.compare_exchange_strong(seen, turn.next, std::memory_order_acq_rel,
                                            std::memory_order_relaxed))
    return false;
  count_out(cost, now);
  a = {turn.next, r.version};
  return true;
}

/// True when admitted; `g` says more either way.
bool rate_limiter_policy::take(std::uint32_t cost, time_point now, grant& g) noexcept {
  rate r;
  ns seen = spent_until_.load(std::memory_order_acquire);
  while (windows_ == nullptr && read_rate(r)) {
    g.version = r.version;
    if (cost > r.burst) {
      g.what = grant::result::over_burst;
      g.start = never;
      return false;
    }
    const gcra_turn turn(seen, r.interval, r.ahead, cost, now);
    if (turn.start > now) {
      if (const ns again = spent_until_.load(std::memory_order_acquire); again != seen) {
        seen = again;  // perhaps at another rate
        continue;
      }
      g.what = grant::result::refused;
      g.start = turn.start;
      return false;
    }
    if (spent_until_.compare_exchange_weak(seen, turn.next, std::memory_order_acq_rel,
                                           std::memory_order_acquire)) {
      g.what = grant::result::admitted;
      count_out(cost, now);
      g.start = now;
      g.receipt = turn.next;
      return true;
    }
  }
  return take_under_lock(cost, now, g);
}

bool rate_limiter_policy::take_under_lock(std::uint32_t cost, time_point now, grant& g) noexcept {
  const std::lock_guard guard(lock_);
  g = take_locked(cost, now);
  return g.admitted();
}

rate_limiter_policy::grant rate_limiter_policy::take_locked(std::uint32_t cost,
                                                            time_point now) noexcept {
  const grant g = plan_locked(cost, now);
  if (g.admitted()) count_out(cost);
  return g;
}

rate_limiter_policy::grant rate_limiter_policy::plan_locked(std::uint32_t cost,
                                                            time_point now) noexcept {
  release_locked(now, nullptr);  // first: a ramp that begins or ends there is another rate
  const rate r = rate_locked();
  if (cost > r.burst) return {grant::result::over_burst, r.version, never, 0};
  if (windows_ != nullptr) return take_window_locked(cost, now);
  ns seen = spent_until_.load(std::memory_order_relaxed);
  for (;;) {
    const gcra_turn turn(seen, r.interval, r.ahead, cost, now);
    if (turn.start > now) return {grant::result::refused, r.version, turn.start, 0};
    if (spent_until_.compare_exchange_weak(seen, turn.next, std::memory_order_acq_rel,
                                           std::memory_order_relaxed))
      return {grant::result::admitted, r.version, now, turn.next};
  }
}

rate_limiter_policy::grant rate_limiter_policy::take_window_locked(std::uint32_t cost,
                                                                   time_point now) noexcept {
  const std::uint32_t version = version_.load(std::memory_order_relaxed);
  const time_point start = windows_->earliest(cost, std::max(now, paused_until_));
  if (start > now) return {grant::result::refused, version, start, 0};
  windows_->plan(cost, now);
  return {grant::result::admitted, version, now, windows_->settle(cost, now)};
}

/// Takes the tokens if they are there after all, else a place behind all others if that is soon
/// enough for `w`.
rate_limiter_policy::grant rate_limiter_policy::reserve(waiter& w, time_point now) noexcept {
  const std::lock_guard guard(lock_);
  grant g = take_locked(w.cost, now);
  if (g.what != grant::result::refused) return g;
  const rate r = rate_locked();
  if (windows_ != nullptr) {
    if (g.start > w.latest) return g;
    windows_->plan(w.cost, g.start);
  } else {
    ns seen = spent_until_.load(std::memory_order_relaxed);
    for (;;) {
      const gcra_turn turn(seen, r.interval, r.ahead, w.cost, now);
      g.start = turn.start;
      g.receipt = turn.next;
      if (g.start > w.latest) return g;
      if (spent_until_.compare_exchange_weak(seen, turn.next, std::memory_order_acq_rel,
                                             std::memory_order_relaxed))
        break;
    }
  }
  g.what = grant::result::reserved;
  append_locked(w, g);
  return g;
}

void rate_limiter_policy::append_locked(waiter& w, const grant& g) noexcept {
  w.state = waiter::status::waiting;
  w.start = w.armed = g.start;
  w.receipt = g.receipt;
  w.older = last_;
  w.newer = nullptr;
  (last_ != nullptr ? last_->newer : first_) = &w;
  last_ = &w;
  ++waiting_;
}

void rate_limiter_policy::remove_locked(waiter& w, waiter::status to) noexcept {
  (w.older != nullptr ? w.older->newer : first_) = w.newer;
  (w.newer != nullptr ? w.newer->older : last_) = w.older;
  w.state = to;
  --waiting_;
}

void rate_limiter_policy::drop_locked(waiter& w, time_point start) noexcept {
  w.start = start;
  remove_locked(w, waiter::status::dropped);
  w.wake->wake();
}

/// Lets everybody go whose tokens are there, in order. Only the first one's timer needs to be
/// right: those behind it start no earlier, and whoever becomes first is woken to set its own.
void rate_limiter_policy::release_locked(time_point now, const waiter* self) noexcept {
  if (server_pause_ && now >= paused_until_) begin_ramp_locked(now);
  if (ramping_) quicken_ramp_locked(now);
  while (first_ != nullptr && first_->start <= now) {
    waiter& w = *first_;
    if (windows_ != nullptr) w.receipt = windows_->settle(w.cost, w.start);
    w.version = version_.load(std::memory_order_relaxed);
    remove_locked(w, waiter::status::granted);
    count_out(w.cost);
    if (ramping_) pace_->boost.one_went(waiting_);
    if (&w != self) w.wake->wake();
  }
  if (ramping_ && first_ == nullptr) end_ramp_locked(now);
  if (first_ == nullptr || first_->armed <= first_->start) return;
  first_->armed = first_->start;
  if (first_ != self) first_->wake->wake();
}

void rate_limiter_policy::cancel(waiter& w, time_point now) noexcept {
  const std::lock_guard guard(lock_);
  release_locked(now, &w);
  if (w.state == waiter::status::granted)
    return give_back_locked(w.cost, w.receipt, w.version, now);
  if (w.state != waiter::status::waiting) return;
  if (windows_ == nullptr) move_up_locked(w);
  remove_locked(w, waiter::status::out);
  if (windows_ != nullptr) replan_windows_locked(now);
  release_locked(now, nullptr);
}

/// Gives back what `gone` reserved and moves up those behind it, so that everything stands as if
/// it had never come. Merely lowering `spent_until_` would instead let a newcomer start beside the
/// last reservation: one too many at a time. Where the chain is broken (tokens went out in between
/// since `gone` was due) nothing is moved: too few tokens, never too many.
void rate_limiter_policy::move_up_locked(waiter& gone) noexcept {
  const ns interval = interval_.load(std::memory_order_relaxed);
  const ns taken = interval * gone.cost;
  ns end = gone.receipt;
  for (waiter* w = gone.newer; w != nullptr; w = w->newer) {
    if (w->receipt - interval * w->cost != end) return;
    end = w->receipt;
    w->receipt -= taken;
    w->start -= duration(taken);
  }
  spent_until_.compare_exchange_strong(end, end - taken, std::memory_order_acq_rel);
}

void rate_limiter_policy::give_back(std::uint32_t cost, const grant& of, time_point now) noexcept {
  if (is_probe(of)) return probe_undecided(now, now);
  const std::lock_guard guard(lock_);
  give_back_locked(cost, of.receipt, of.version, now);
}

/// Undoes an admission if nothing came behind it; what came behind was planned around it.
void rate_limiter_policy::give_back_locked(std::uint32_t cost, std::int64_t receipt,
                                           std::uint32_t version, time_point now) noexcept {
  if (version != version_.load(std::memory_order_relaxed)) return;
  if (windows_ == nullptr) {
    const ns taken = interval_.load(std::memory_order_relaxed) * cost;
    spent_until_.compare_exchange_strong(receipt, receipt - taken, std::memory_order_acq_rel);
    return;
  }
  windows_->forget_plans();
  windows_->take_back(receipt, cost);
  replan_windows_locked(now);
  release_locked(now, nullptr);
}

/// The reservations one behind the other from `base` on. Returns where spending stands then.
std::int64_t rate_limiter_policy::chain_locked(const rate& r, std::int64_t base,
                                               bool apply) noexcept {
  for (waiter* w = first_; w != nullptr;) {
    waiter& here = *w;
    w = w->newer;
    const ns next = moved(base, r.interval * std::min<std::int64_t>(here.cost, r.burst));
    const time_point start = at_ns(moved(next, -r.ahead));
    if (here.cost > r.burst || start > here.latest) {
      if (apply) drop_locked(here, here.cost > r.burst ? never : start);
      continue;
    }
    base = next;
    if (!apply) continue;
    here.receipt = next;
    here.start = start;
  }
  return base;
}

template <class BaseOf>
void rate_limiter_policy::replan_gcra_locked(const BaseOf& base_of) noexcept {
  const rate r = rate_locked();
  ns seen = spent_until_.load(std::memory_order_relaxed);
  ns base = 0;
  do {
    base = base_of(seen);
  } while (!spent_until_.compare_exchange_weak(
      seen, chain_locked(r, base, false), std::memory_order_acq_rel, std::memory_order_relaxed));
  chain_locked(r, base, true);
}

void rate_limiter_policy::replan_windows_locked(time_point now) noexcept {
  windows_->forget_plans();
  const std::int64_t permits = burst_.load(std::memory_order_relaxed);
  for (waiter* w = first_; w != nullptr;) {
    waiter& here = *w;
    w = w->newer;
    const time_point start =
        here.cost > permits ? never : windows_->earliest(here.cost, std::max(now, paused_until_));
    if (start == never || start > here.latest) {
      drop_locked(here, start);
      continue;
    }
    windows_->plan(here.cost, start);
    here.start = start;
  }
}

ns rate_limiter_policy::reserved_locked(ns interval) const noexcept {
  ns reserved = 0;
  for (const waiter* w = first_; w != nullptr; w = w->newer) reserved += interval * w->cost;
  return reserved;
}

rate_limiter_policy::rate rate_limiter_policy::own_rate_locked() const noexcept {
  return rate_of(permits_, per_, static_cast<int>(burst_.load(std::memory_order_relaxed)));
}

/// The rate that readers without the lock see. Odd first: a reader that sees any of the new numbers
/// sees that, too, and comes to the lock, until `rate_is_written_locked`.
void rate_limiter_policy::write_rate_locked(const rate& to) noexcept {
  version_.store(version_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  interval_.store(to.interval, std::memory_order_release);
  ahead_.store(to.ahead, std::memory_order_release);
  burst_.store(to.burst, std::memory_order_release);
}

void rate_limiter_policy::rate_is_written_locked() noexcept {
  version_.store(version_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

namespace {

/// Where spending stands when the bucket is empty until `end`, and has its first token there.
ns spent_by_pause(time_point end, ns ahead, ns interval) noexcept {
  return moved(count_of(end), ahead - interval);
}

}  // namespace

void rate_limiter_policy::pause_locked(time_point end) noexcept {
  if (end <= paused_until_) return;
  const time_point last = std::exchange(paused_until_, end);
  if (windows_ != nullptr) return replan_windows_locked(time_point::min());
  const rate r = rate_locked();
  const ns reserved = reserved_locked(r.interval);
  const ns floor = spent_by_pause(end, r.ahead, r.interval);
  const ns last_floor = spent_by_pause(last, r.ahead, r.interval);
  ns spent = 0;
  replan_gcra_locked([&](ns seen) {
    spent = seen - reserved;
    return std::max(spent, floor);
  });
  if (spent != last_floor) unpaused_ = spent;  // else nothing was taken since the pause before
}

/// Takes the tokens that are left; reservations move behind.
void rate_limiter_policy::drain_locked(time_point now) noexcept {
  if (windows_ == nullptr) return pause_locked(later(now, duration(rate_locked().interval)));
  release_locked(now, nullptr);
  if (now < paused_until_) return;
  windows_->forget_plans();
  if (const auto left = static_cast<std::uint32_t>(windows_->available(now)); left > 0) {
    windows_->plan(left, now);
    (void)windows_->settle(left, now);
  }
  replan_windows_locked(now);
  release_locked(now, nullptr);
}

void rate_limiter_policy::pause_until(time_point end) noexcept {
  const std::lock_guard guard(lock_);
  by_hand_until_ = std::max(by_hand_until_, end);
  pause_locked(end);
}

void rate_limiter_policy::resume(time_point now) noexcept {
  const std::lock_guard guard(lock_);
  by_hand_until_ = time_point::min();
  if (paused_until_ <= now) return;
  resume_locked(now);
  release_locked(now, nullptr);
}

/// As if the pause had been set to end at `now`. Precondition: there is one.
void rate_limiter_policy::resume_locked(time_point now) noexcept {
  const time_point end = std::exchange(paused_until_, now);
  server_end_ = time_point::min();
  server_pause_until_.store(count_of(server_end_), std::memory_order_relaxed);
  if (windows_ != nullptr) return replan_windows_locked(now);
  // One token, unless the calls before the pause had taken that one, too.
  const rate r = rate_locked();
  const ns base = std::max(unpaused_, spent_by_pause(now, r.ahead, r.interval));
  const ns floor = spent_by_pause(end, r.ahead, r.interval);
  const ns reserved = reserved_locked(r.interval);
  replan_gcra_locked([&](ns seen) { return seen - reserved == floor ? base : seen - reserved; });
}

void rate_limiter_policy::server_said_wait(duration wait, time_point now,
                                           entropy& random) noexcept {
  const std::lock_guard guard(lock_);
  if (server_pause_ && now >= paused_until_) release_locked(now, nullptr);  // that row is over
  const bool probed = std::exchange(probe_sent_, never) != never && now < paused_until_;
  if (probed) probe_at_.store(count_of(next_probe(now)), std::memory_order_relaxed);
  const duration asked = std::clamp(wait, duration::zero(), options_.max_pause);
  const time_point end = later(now, asked);
  // What it says to a probe is its latest word on a pause that was doubted.
  if (probed && wait >= duration::zero() && end < server_end_) {
    resume_locked(now);
    pause_locked(by_hand_until_);
  }
  if (asked == duration::zero()) return drain_locked(now);
  if (!server_pause_ && !ramping_) {
    note_rate_locked(now);
    free_since_ = never;
    server_since_ = now;
    arrivals_.store(static_cast<std::uint64_t>(reserved_locked(1)), std::memory_order_relaxed);
  }
  server_pause_ = true;
  if (options_.probe_every && std::max(end, server_end_) > later(now, options_.long_pause))
    probe_at_.store(count_of(next_probe(now)), std::memory_order_relaxed);
  else if (probed)
    probe_at_.store(count_of(never), std::memory_order_relaxed);
  if (now >= server_end_)
    share_ = random.uniform();
  else if (end <= server_end_)
    return;
  server_end_ = end;
  const double part = options_.max_wait ? options_.spread * share_ : 0;
  const double stretch = static_cast<double>(asked.count()) * part;
  const time_point spread = later(end, duration(static_cast<ns>(std::min(stretch, 9e18))));
  server_pause_until_.store(spread.time_since_epoch().count(), std::memory_order_relaxed);
  pause_locked(spread);
}

void rate_limiter_policy::turned_away(duration wait, time_point now, entropy& random) noexcept {
  if (!options_.heeds_server) return;
  {
    const std::lock_guard guard(lock_);
    if (!pause_is_due_locked(now)) return;
  }
  server_said_wait(wait, now, random);
}

bool rate_limiter_policy::pause_is_due_locked(time_point now) noexcept {
  constexpr double second = 1e9;
  detail::ramp_pace& p = *pace_;
  const std::uint64_t out = handed_out_.load(std::memory_order_relaxed);
  const auto most = p.turned_away.size();
  p.turned_away[p.turned_away_in_all++ % most] = out;
  if (server_pause_ || options_.pause_share == 0) return true;
  if (free_since_ != never && remaining(now, free_since_) >= count_at_least) note_rate_locked(now);
  const double calls = std::min(second / p.usual.apart(std::numeric_limits<double>::infinity()),
                                static_cast<double>(most));
  const auto needed = static_cast<std::uint64_t>(std::ceil(options_.pause_share * calls));
  if (needed <= 1) return true;
  if (p.turned_away_in_all < needed) return false;
  const std::uint64_t since = p.turned_away[(p.turned_away_in_all - needed) % most];
  return static_cast<double>(out - since) <= calls;
}

// ---- shared state: the ramp after a server's pause, and probes within a long one ----

template <class BaseOf>
void rate_limiter_policy::change_gcra_locked(const rate& to, const BaseOf& base_of) noexcept {
  write_rate_locked(to);
  replan_gcra_locked(base_of);
  rate_is_written_locked();
}

void rate_limiter_policy::note_rate(time_point now) noexcept {
  const std::lock_guard guard(lock_);
  count_at_.store(count_of(later(now, count_every)), std::memory_order_relaxed);
  if (server_pause_ || ramping_) return;
  note_rate_locked(now);
}

/// How fast tokens went out since the last time it was asked; from here on it is counted anew.
void rate_limiter_policy::note_rate_locked(time_point now) noexcept {
  const std::uint64_t out = handed_out_.load(std::memory_order_relaxed) - out_before_;
  if (free_since_ != never) pace_->usual.saw(static_cast<double>(out), remaining(now, free_since_));
  rate_is_free_locked(now);
}

void rate_limiter_policy::rate_is_free_locked(time_point now) noexcept {
  free_since_ = now;
  out_before_ = handed_out_.load(std::memory_order_relaxed);
}

/// Up to when calls came in. Where all the callers there are (a pool of workers) wait, no more can
/// come, and the silence says nothing about their rate: it is that of the time before.
time_point rate_limiter_policy::came_until_locked(time_point now,
                                                  std::uint64_t came) const noexcept {
  constexpr std::uint64_t enough = 8;
  const time_point last = at_ns(last_arrival_.load(std::memory_order_relaxed));
  if (came < enough || last <= server_since_ || last >= now) return now;
  const duration active = remaining(last, server_since_);
  const bool silent = remaining(now, last) > active / static_cast<ns>(came) * 10;
  return silent ? last : now;
}

/// A little more than has come in since the row of pauses began, on the ramp or usually before,
/// whichever is most, but never over the own rate, and one at a time.
rate_limiter_policy::rate rate_limiter_policy::ramp_locked(time_point now) const noexcept {
  const auto apart_for = [](duration took, std::uint64_t came) {
    return static_cast<double>(took.count()) /
           static_cast<double>(std::max<std::uint64_t>(came, 1));
  };
  rate r = own_rate_locked();
  const std::uint64_t came = arrivals_.load(std::memory_order_relaxed);
  double apart = apart_for(remaining(came_until_locked(now, came), server_since_), came);
  apart = pace_->usual.apart(apart);
  if (ramping_) {  // over no less time than the pauses took, lest few calls be taken for many
    const duration paused = remaining(ramp_since_, server_since_);
    const duration took = std::max(remaining(now, ramp_since_), paused);
    apart = std::min(apart, apart_for(took, came - came_before_ramp_));
  }
  // Of a burst at a time at most, so that no product overflows.
  const auto most =
      static_cast<double>(std::numeric_limits<ns>::max()) / 4 / static_cast<double>(r.burst);
  apart = std::min(apart / (options_.ramp * (ramping_ ? pace_->boost.factor() : 1)), most);
  r.ahead = r.interval = std::max(r.interval, static_cast<ns>(apart));
  return r;
}

/// The server's pause is over: until nobody waits any more, a little more than comes in may go out.
void rate_limiter_policy::begin_ramp_locked(time_point now) noexcept {
  server_pause_ = false;
  probe_at_.store(count_of(never), std::memory_order_relaxed);
  if (windows_ != nullptr || first_ == nullptr) return rate_is_free_locked(now);
  ramping_ = false;  // if one was under way, the pause has ended it
  const rate from = rate_locked();
  const ns reserved = reserved_locked(from.interval);
  ns base = 0;  // when the first token is there, with and without a ramp
  change_gcra_locked(ramp_locked(now), [&](ns seen) {
    return base = std::max(count_of(now), moved(seen - reserved, from.interval - from.ahead));
  });
  ramping_ = true;
  pace_->boost.restart(waiting_);
  // Who waits or is refused now does so for the server's sake, unless our own rate is as slow.
  const bool slower = interval_.load(std::memory_order_relaxed) > own_rate_locked().interval;
  server_pause_until_.store(count_of(slower ? never : now), std::memory_order_relaxed);
  ramp_since_ = now;
  came_before_ramp_ = arrivals_.load(std::memory_order_relaxed);
  account_locked(base);
}

/// Calls go on arriving, perhaps more of them than before: then the ramp keeps ahead of them, so
/// that it has an end.
void rate_limiter_policy::quicken_ramp_locked(time_point now) noexcept {
  const rate from = rate_locked();
  const rate to = ramp_locked(now);
  if (first_ == nullptr || to.interval >= from.interval - from.interval / 8) return;
  const ns reserved = reserved_locked(from.interval);
  ns spent = 0;
  change_gcra_locked(to, [&](ns seen) { return spent = seen - reserved; });
  off_ramp_ = off_ramp_locked(spent, from.interval);
  ramp_mark_ = spent;
}

/// Where spending stands at the own rate when it stands at `spent` on the ramp.
ns rate_limiter_policy::off_ramp_locked(ns spent, ns interval) const noexcept {
  const ns own = own_rate_locked().interval;  // no more than the ramp's
  const ns gone = remaining(at_ns(spent), at_ns(ramp_mark_)).count();
  return moved(moved(off_ramp_, gone / interval * own), gone % interval != 0 ? own : 0);
}

/// From here on it is counted what the ramp lets go; the first token is there at `base`.
void rate_limiter_policy::account_locked(ns base) noexcept {
  const rate own = own_rate_locked();
  ramp_mark_ = unpaused_ = base;
  off_ramp_ = moved(base, own.ahead - own.interval);
}

/// Nobody waits any more. The bucket holds what has come in since the pause less what has gone out:
/// there is no burst behind a ramp that would not be there without one.
void rate_limiter_policy::end_ramp_locked(time_point now) noexcept {
  const rate from = rate_locked();
  const rate own = own_rate_locked();
  change_gcra_locked(own, [&](ns seen) {
    return now < paused_until_ ? spent_by_pause(paused_until_, own.ahead, own.interval)
                               : off_ramp_locked(seen, from.interval);
  });
  ramping_ = false;
  rate_is_free_locked(now);
  if (now >= paused_until_) server_pause_until_.store(count_of(now), std::memory_order_relaxed);
}

time_point rate_limiter_policy::next_probe(time_point now) const noexcept {
  return options_.probe_every ? later(now, *options_.probe_every) : never;
}

bool rate_limiter_policy::take_probe(std::uint32_t cost, time_point now, bool watched,
                                     grant& g) noexcept {
  if (count_of(now) < probe_at_.load(std::memory_order_relaxed)) return false;
  const std::lock_guard guard(lock_);
  if (now >= paused_until_) probe_at_.store(count_of(never), std::memory_order_relaxed);
  if (count_of(now) < probe_at_.load(std::memory_order_relaxed) || now < by_hand_until_)
    return false;
  if (probe_sent_ != never && !probe_watched_) {
    probe_sent_ = never;
    resume_locked(now);
    g = take_locked(cost, now);
    return g.admitted();
  }
  probe_sent_ = now;  // a watched one that has not come back yet is given up
  probe_watched_ = watched;
  probe_at_.store(count_of(watched ? next_probe(now) : later(now, probe_patience)),
                  std::memory_order_relaxed);
  g = {grant::result::admitted, version_.load(std::memory_order_relaxed) | 1U, now, 0};
  return true;
}

void rate_limiter_policy::probe_let_in(time_point now) noexcept {
  const std::lock_guard guard(lock_);
  if (std::exchange(probe_sent_, never) == never || now >= paused_until_) return;
  resume_locked(now);
  release_locked(now, nullptr);
}

/// It was not turned away, but it says nothing about the pause either. The next one may go `at`.
void rate_limiter_policy::probe_undecided(time_point now, time_point at) noexcept {
  const std::lock_guard guard(lock_);
  if (std::exchange(probe_sent_, never) == never || now >= paused_until_) return;
  probe_at_.store(count_of(at), std::memory_order_relaxed);
}

void rate_limiter_policy::set_rate(int permits, duration per, std::optional<int> burst,
                                   time_point now) {
  check_rate(options_, permits, per, burst);
  rate to = rate_of(permits, per, burst);
  const std::lock_guard guard(lock_);
  release_locked(now, nullptr);
  const rate from = rate_locked();
  if (windows_ != nullptr) windows_->resize(permits, per);
  permits_ = permits;
  per_ = per;
  write_rate_locked(to);
  if (ramping_) {  // goes on, no slower than so far if the new rate allows it
    const rate ramp = ramp_locked(now);
    to.ahead = to.interval = std::max(to.interval, std::min(ramp.interval, from.interval));
    interval_.store(to.interval, std::memory_order_release);
    ahead_.store(to.ahead, std::memory_order_release);
  }
  if (windows_ != nullptr) {
    replan_windows_locked(now);
  } else {
    const ns reserved = reserved_locked(from.interval);
    // Tokens at that time, or debts of reservations' making, in the new interval; rounded down.
    const auto converted = [&](ns spent, ns then) {
      spent = std::max(spent, then);
      const long double credit = std::floor(static_cast<long double>(from.ahead - (spent - then)) *
                                            static_cast<long double>(to.interval) /
                                            static_cast<long double>(from.interval));
      const ns kept = credit >= static_cast<long double>(to.ahead)
                          ? to.ahead
                          : static_cast<ns>(std::max(credit, -4e18L));
      return moved(then, to.ahead - kept);
    };
    if (paused_until_ > now) unpaused_ = converted(unpaused_, count_of(now));
    // Within a pause counted at its end: what is missing until then is no debt.
    const ns then = count_of(std::max(now, paused_until_));
    ns base = 0;
    replan_gcra_locked([&](ns seen) {
      return base = converted(seen == count_of(time_point::min()) ? seen : seen - reserved, then);
    });
    if (ramping_) account_locked(base);
  }
  rate_is_written_locked();
  release_locked(now, nullptr);
}

rate_permit rate_limiter_policy::try_acquire(time_point now, std::uint32_t cost,
                                             refusal* refused) noexcept {
  grant g;
  if (take(cost, now, g)) return {*this, cost, g};
  if (g.what == grant::result::refused && take_probe(cost, now, false, g)) return {*this, cost, g};
  if (refused != nullptr)
    *refused = {errc::rate_limited, why_refused(g, cost, now, duration::zero())};
  return {};
}

void rate_permit::give_back(time_point now) noexcept {
  if (rate_limiter_policy* const from = std::exchange(from_, nullptr))
    from->give_back(cost_, grant_, now);
}

reason rate_limiter_policy::whose_limit(time_point now) const noexcept {
  const auto until = server_pause_until_.load(std::memory_order_relaxed);
  return now.time_since_epoch().count() < until ? reason::server_pause : reason::rate;
}

cause rate_limiter_policy::why_refused(const grant& g, std::uint32_t cost, time_point now,
                                       duration allowed) const noexcept {
  if (g.what == grant::result::over_burst)
    return {name(), reason::cost_over_burst, static_cast<double>(cost),
            static_cast<double>(burst_.load(std::memory_order_relaxed)), never};
  return {name(), whose_limit(now), in_seconds(remaining(g.start, now)), in_seconds(allowed),
          g.start};
}

rate_snapshot rate_limiter_policy::snapshot(time_point now) const noexcept {
  const std::lock_guard guard(lock_);
  const rate r = rate_locked();
  rate_snapshot s;
  s.burst = r.burst;
  s.permits = permits_;
  s.per = per_;
  s.waiting = waiting_;
  s.paused_until = paused_until_;
  if (windows_ != nullptr) {
    s.tokens = now < paused_until_ ? 0 : windows_->available(now);
    s.retry_at = windows_->earliest(1, std::max(now, paused_until_));
    return s;
  }
  const ns spent = std::max(spent_until_.load(std::memory_order_relaxed), count_of(now));
  const ns left = r.ahead - std::min(spent - count_of(now), r.ahead);
  s.tokens = left / r.interval;
  s.retry_at = std::max(now, gcra_turn(spent, r.interval, r.ahead, 1, now).start);
  return s;
}

// ---- stage ----

namespace detail {

class rate_limiter_stage final : public stage {
 public:
  explicit rate_limiter_stage(rate_limiter_policy& policy) noexcept : policy_(policy) {}
  /// Of a call that is admitted.
  rate_limiter_stage(rate_limiter_policy& policy, const tick& t, std::uint32_t version,
                     std::int64_t receipt) noexcept
      : policy_(policy),
        now_(t.now()),
        attempts_(t.attempts()),
        grant_{result::admitted, version, t.now(), receipt} {}

  step enter(tick& t) override {
    now_ = t.now();
    waits_ = false;
    attempts_ = t.attempts();
    if (policy_.take(t.cost(), now_, grant_)) return step::call_inner();
    return wait_or_refuse(t);
  }

  step inner_done(int /*child*/, const outcome& o, tick& t) override {
    const bool probe = rate_limiter_policy::is_probe(grant_);
    grant_.version &= ~1U;  // if it was one, it has come back
    const bool sent = o.delivery != evidence::never_sent;
    if (o.throttled || o.status == 429)
      policy_.turned_away(o.server_wait, t.now(), t.random());
    else if (probe && let_in(o))
      policy_.probe_let_in(t.now());
    else if (probe)
      policy_.probe_undecided(t.now(), sent ? policy_.next_probe(t.now()) : t.now());
    else if (o.rejected && !sent && t.attempts() == attempts_)
      policy_.give_back(t.cost(), grant_, t.now());
    return t.finish(o);
  }

  step timer(tick& t) override { return look(t); }
  step woken(tick& t) override { return look(t); }

  outcome canceled(const outcome& o, tick& t) override {
    now_ = t.now();
    leave();
    return o;
  }

  void leave() noexcept override {
    if (std::exchange(waits_, false)) policy_.cancel(*node_, now_);
    // Cut off: the next may go at once.
    if (rate_limiter_policy::is_probe(grant_)) policy_.probe_undecided(now_, now_);
  }

 private:
  using result = rate_grant::result;

  /// Whether the server took the call, though it may not have found what was asked for.
  static bool let_in(const outcome& o) noexcept {
    return o.ok() || (o.delivery == evidence::answered && !o.countable);
  }

  [[gnu::noinline]] step wait_or_refuse(tick& t) {
    policy_.arrivals_.fetch_add(t.cost(), std::memory_order_relaxed);
    policy_.last_arrival_.store(count_of(t.now()), std::memory_order_relaxed);
    if (grant_.what == result::refused && policy_.take_probe(t.cost(), t.now(), true, grant_)) {
      t.hear_success();
      return step::call_inner();
    }
    if (!may_wait(t)) return refuse_for(t, grant_.start);
    const time_point by_wait = later(t.now(), *policy_.options_.max_wait);
    rate_waiter& w = node_.emplace();
    w.wake = &t.wake_handle();
    w.cost = t.cost();
    w.latest = std::min(by_wait, later(t.deadline(), duration(-1)));
    grant_ = policy_.reserve(w, t.now());
    if (grant_.admitted()) return step::call_inner();
    if (grant_.what != result::reserved) return refuse_for(t, grant_.start);
    waits_ = true;
    if (t.observed()) {
      event e;
      e.kind = event_kind::waiting;
      e.elapsed = grant_.start - t.now();
      e.why = {policy_.name(), policy_.whose_limit(t.now()), in_seconds(e.elapsed),
               in_seconds(*policy_.options_.max_wait), grant_.start};
      t.emit(e);
    }
    return step::park(grant_.start);
  }

  /// Without a lock, so that refusing stays cheap when it is needed most.
  bool may_wait(const tick& t) const noexcept {
    if (grant_.what == result::over_burst || !policy_.options_.max_wait) return false;
    return grant_.start <= later(t.now(), *policy_.options_.max_wait) &&
           grant_.start < t.deadline();
  }

  step look(tick& t) {
    now_ = t.now();
    rate_waiter& w = *node_;
    {
      const std::lock_guard guard(policy_.lock_);
      policy_.release_locked(now_, &w);
      if (w.state == rate_waiter::status::waiting) {
        w.armed = w.start;
        return step::park(w.start);
      }
      grant_.receipt = w.receipt;
      grant_.version = w.version;
    }
    waits_ = false;
    if (w.state == rate_waiter::status::granted) return step::call_inner();
    grant_.what = w.start == never ? result::over_burst : result::refused;
    return refuse_for(t, w.start);
  }

  step refuse_for(tick& t, time_point start) {
    const duration allowed = policy_.options_.max_wait.value_or(duration::zero());
    grant_.start = start;
    cause why = policy_.why_refused(grant_, t.cost(), t.now(), allowed);
    if (why.because != reason::cost_over_burst && start <= later(t.now(), allowed) &&
        start >= t.deadline()) {
      if (why.because != reason::server_pause) why.because = reason::deadline;
      why.threshold = in_seconds(remaining(t.deadline(), t.now()));
    }
    return refuse(t, why);
  }

  step refuse(tick& t, const cause& why) {
    if (t.observed()) {
      event e;
      e.kind = event_kind::rejected;
      e.error = errc::rate_limited;
      e.why = why;
      t.emit(e);
    }
    return t.finish(outcome::refuse(errc::rate_limited, why));
  }

  rate_limiter_policy& policy_;
  time_point now_{};
  int attempts_ = 0;
  bool waits_ = false;
  rate_grant grant_;
  std::optional<rate_waiter> node_;  // built only when there is a wait
};

}  // namespace detail

std::size_t rate_limiter_policy::stage_size() const noexcept {
  return sizeof(detail::rate_limiter_stage);
}

std::size_t rate_limiter_policy::stage_alignment() const noexcept {
  return alignof(detail::rate_limiter_stage);
}

stage* rate_limiter_policy::make_stage(void* memory) {
  return ::new (memory) detail::rate_limiter_stage(*this);
}

step rate_limiter_policy::ask(void* memory, tick& t, stage*& made) {
  return make_and_enter<detail::rate_limiter_stage>(memory, *this, t, made);
}

step rate_limiter_policy::begin(void* memory, tick& t, stage*& made) {
  admission a;
  if (!take_at_once(t.cost(), t.now(), a)) return ask(memory, t, made);
  made = ::new (memory) detail::rate_limiter_stage(*this, t, a.version, a.receipt);
  return step::call_inner();
}

// ---- factory ----

std::shared_ptr<policy> make_policy(rate_limiter options) {
  return std::make_shared<rate_limiter_policy>(std::move(options));
}

}  // namespace hawser::inline v0
