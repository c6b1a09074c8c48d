// A circuit breaker's shared state: the hot path inline, the rest in the source file.
//
//   circuit_permit permit = core.acquire_if_closed(random);      // one load
//   if (!permit) permit = core.acquire(now, random, deadline, &why);
//   permit.success(took, now);                                   // ends in core.success
//   if (core.untold()) core.announce(t);
#pragma once

#include "hawser/core/entropy.hpp"
#include "hawser/core/time.hpp"
#include "hawser/observe/event.hpp"
#include "hawser/observe/observer.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/policy.hpp"

#include "policy/outcome_window.hpp"
#include "policy/ramp_boost.hpp"
#include "policy/usual_rate.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace hawser::inline v0::detail {

[[nodiscard]] inline bool lets_all_through(circuit_state s) noexcept {
  return s == circuit_state::closed || s == circuit_state::disabled ||
         s == circuit_state::metrics_only;
}

/// A call that waits for the circuit to close: a node inside its stage, in the order of arrival.
/// Guarded by the core's lock.
struct circuit_waiter {
  circuit_waiter* older = nullptr;
  circuit_waiter* newer = nullptr;
  waker* wake = nullptr;
  time_point since{};
  time_point latest = never;  // from here on it waits no more
  time_point start = never;   // its turn on the ramp; `never` while the circuit is not closed
  bool listed = false;
  bool is_new = true;  // the call's first attempt is still to come: it counts as an arrival
};

/// What callers read without a lock is one word, `generation << 8 | ramp bit | state`, and, for an
/// open circuit, the numbers it opened on. All else is under `mutex_`. Thread-safe.
class circuit_core {
 public:
  /// `options` are valid.
  explicit circuit_core(circuit_breaker options)
      : options_(std::move(options)),
        window_(make_window(options_.window)),
        slow_after_(options_.slow_ratio ? options_.slow_after : duration::max()),
        leases_(static_cast<std::size_t>(options_.probes)) {}

  [[nodiscard]] const circuit_breaker& options() const noexcept { return options_; }

  /// The hot path of asking: one load. An empty permit decides nothing: `acquire` does.
  circuit_permit acquire_if_closed(entropy& random) noexcept {
    const word seen = word_.load(std::memory_order_acquire);
    if ((seen & ramp_bit) != 0 || !lets_all_through(state_of(seen))) return {};
    return {*this, random, generation_of(seen), circuit_permit::kind::normal, 0};
  }

  /// Asking in any state. Refuses without a lock as long as the circuit is certain to stay open.
  circuit_permit acquire(time_point now, entropy& random, time_point deadline,
                         cause* refused) noexcept;

  settlement success(const circuit_permit& p, duration took, time_point now) noexcept {
    if (!is_current(p)) return late();
    if (p.kind_ == circuit_permit::kind::unjudged) return settlement::uncounted;
    if (p.kind_ == circuit_permit::kind::probe || took >= slow_after_)
      return settle(p, {false, took >= slow_after_}, took, now, duration::min());
    if (window_->due(now)) roll(now);
    return window_->add_success(tag_of(p.generation_), now) ? settlement::counted : late();
  }

  settlement alive(const circuit_permit& p, time_point now) noexcept;

  settlement failure(const circuit_permit& p, duration took, time_point now,
                     duration server_wait) noexcept {
    if (!is_current(p)) return late();
    if (p.kind_ == circuit_permit::kind::unjudged) return settlement::uncounted;
    return settle(p, {true, took >= slow_after_}, took, now, server_wait);
  }

  /// Asking with the readiness to wait until `w.latest`. A permit; or an empty one, and then either
  /// `w.listed` (park until the time returned, and `look` again) or `*refused` says why not.
  circuit_permit acquire_or_wait(circuit_waiter& w, time_point now, entropy& random,
                                 time_point deadline, cause* refused, time_point* park) noexcept;
  /// The same for one that waits already, on being woken or at its time.
  circuit_permit look(circuit_waiter& w, time_point now, entropy& random, time_point deadline,
                      cause* refused, time_point* park) noexcept;
  /// It waits no more.
  void stop_waiting(circuit_waiter& w) noexcept;

  /// A probe without a report: frees its place, if it still holds one.
  void give_back(const circuit_permit& p) noexcept;
  /// By hand, to one of the forced states or to closed.
  void force(circuit_state to, time_point now) noexcept;
  /// By hand, as if a rule had tripped.
  void open(time_point now, entropy& random, duration at_least) noexcept;
  /// By hand: closed, with nothing remembered.
  void reset(time_point now) noexcept;
  [[nodiscard]] circuit_snapshot snapshot(time_point now) noexcept;

  /// Whether a change waits to be told of.
  [[nodiscard]] bool untold() const noexcept { return untold_.load(std::memory_order_relaxed); }

  /// Tell of the changes that nobody was told of yet. While one caller tells, the others leave
  /// theirs to it: so they go out in order, and no lock is held.
  void announce(tick& t);
  /// The same for use by hand.
  void announce(observer& who, time_point now);

 private:
  using word = std::uint64_t;

  struct lease {
    time_point until = never;
    std::uint32_t number = 0;  // of the probe that holds it; 0: free
  };

  struct change {
    circuit_state from = circuit_state::closed;
    circuit_state to = circuit_state::closed;
    cause why{};
  };

  /// Ends the telling, also when an observer throws.
  struct announcement {
    circuit_core& core;
    std::unique_lock<std::mutex>& lock;
    ~announcement() {
      if (!lock.owns_lock()) lock.lock();
      core.announcing_ = false;
    }
  };

  /// Why and until when the circuit is open, readable without a lock. It is written while the word
  /// says something else than open: whoever reads the same word, open, before and after has read
  /// the numbers of that one opening.
  struct opening {
    std::atomic<time_point::rep> retry_at{0};
    std::atomic<double> measured{0};
    std::atomic<double> threshold{0};
    std::atomic<reason> because{reason::none};
  };

  static constexpr word ramp_bit = 0x80;
  static circuit_state state_of(word w) noexcept { return static_cast<circuit_state>(w & 0x7FU); }
  static std::uint64_t generation_of(word w) noexcept { return w >> 8U; }
  static outcome_window::tag_type tag_of(std::uint64_t generation) noexcept {
    return static_cast<outcome_window::tag_type>(generation);
  }
  static double rate(std::uint64_t part, std::uint64_t of) noexcept {
    return of == 0 ? 0 : static_cast<double>(part) / static_cast<double>(of);
  }

  [[nodiscard]] bool ramping() const noexcept {
    return (word_.load(std::memory_order_relaxed) & ramp_bit) != 0;
  }
  [[nodiscard]] circuit_state state() const noexcept {
    return state_of(word_.load(std::memory_order_relaxed));
  }
  [[nodiscard]] bool is_current(const circuit_permit& p) const noexcept {
    return generation_of(word_.load(std::memory_order_relaxed)) == p.generation_;
  }

  settlement late() noexcept {
    late_results_.fetch_add(1, std::memory_order_relaxed);
    return settlement::late;
  }

  /// Somebody rolls the window; the others go on rather than wait.
  void roll(time_point now) noexcept;

  // Asking

  circuit_permit acquire_locked(time_point now, entropy& random, time_point deadline,
                                cause* refused) noexcept;
  /// Whether another probe may go out now; if not, `*refused` says why and until when.
  [[nodiscard]] bool probe_allowed_locked(time_point now, cause* refused) noexcept;
  /// Open, but enough calls were held back to ask sooner.
  [[nodiscard]] bool early_locked(time_point now) const noexcept;
  /// On paper, a refused call goes through all the same, unjudged.
  circuit_permit refuse(word seen, const cause& why, entropy& random, cause* refused) noexcept;
  /// A probe whose lease is over has failed; its report, should it come, will be a late one.
  void reclaim_locked(time_point now, entropy& random) noexcept;
  [[nodiscard]] circuit_permit probe_locked(time_point now, entropy& random,
                                            time_point deadline) noexcept;
  [[nodiscard]] time_point lease_end(time_point now, time_point deadline) const noexcept;

  // Judging

  settlement settle(const circuit_permit& p, logged_result result, duration took, time_point now,
                    duration server_wait) noexcept;
  /// Remembers when the first result came: before, nobody knew the time.
  void note_use_locked(time_point now) noexcept;
  void probe_succeeded_locked(time_point now) noexcept;
  /// `how`: it came back as a failure, or not at all.
  void probe_failed_locked(reason how, time_point now, entropy& random,
                           duration server_wait) noexcept;
  /// Whether a row of failures is as long as `limit`, and spans that time.
  [[nodiscard]] bool row_reaches(const std::optional<int>& limit, duration span, std::uint64_t row,
                                 time_point now) const noexcept;
  /// A rule is looked at when a result counts against it.
  void judge_locked(logged_result result, time_point now, entropy& random,
                    duration server_wait) noexcept;
  /// False when the permit holds none: it was reclaimed.
  bool free_lease_locked(const circuit_permit& p) noexcept;

  // Moving

  void force_locked(circuit_state to, time_point now) noexcept;
  void open_locked(cause why, time_point now, entropy& random, duration server_wait) noexcept;
  /// Grows with the openings in a row up to its bounds, then loses its random part.
  [[nodiscard]] duration open_time(time_point now, entropy& random) const noexcept;
  /// The next opening is the first again, if it was closed long enough.
  void forget_if_healthy_locked(time_point now) noexcept;
  /// When an early probe may go out.
  void set_early_locked(time_point at) noexcept;
  /// When the round of probing that begins now is over: one more in a row, so a longer one.
  [[nodiscard]] time_point next_round_locked(time_point now, entropy& random) noexcept;
  /// When the next probe may go that is not an early one; `never` while all are out.
  [[nodiscard]] time_point next_probe_locked() const noexcept;

  // Waiting

  /// Calls that found it not closed make it ask sooner; on paper those that went all the same do.
  void count_held_back(const circuit_permit& p) noexcept {
    if (!p || (p.kind_ == circuit_permit::kind::unjudged))
      held_back_.fetch_add(1, std::memory_order_relaxed);
  }
  /// One more call that is ready to wait, of those that come while it is not closed.
  void count_arrival_locked(time_point now) noexcept;
  void add_waiter_locked(circuit_waiter& w) noexcept;
  void remove_waiter_locked(circuit_waiter& w) noexcept;
  /// The watch passes from those who have no time left to make the next probe to younger ones. On a
  /// full row the oldest have none, and each would be cut off in the middle of its probe.
  void pass_watch_on_locked() noexcept;
  void wake_watcher_locked() noexcept {
    if (watcher_ != nullptr) watcher_->wake->wake();
  }
  /// When to look again: its turn, or for the one that watches the next probe; else its latest.
  [[nodiscard]] time_point park_until_locked(const circuit_waiter& w,
                                             time_point now) const noexcept;
  /// Calls will be held from now on: how fast they went before.
  void note_rate_locked(time_point now) noexcept;
  /// The next turn on the ramp, kept for one who waits no longer than until `latest`.
  [[nodiscard]] time_point turn_locked(time_point now, time_point latest) noexcept;
  [[nodiscard]] time_point useful_until_locked(const circuit_waiter& w) const noexcept;
  void start_ramp_locked(time_point now) noexcept;
  /// Nobody waits for a turn any more: calls go without a lock again.
  void end_ramp_if_over_locked(time_point now) noexcept;
  /// Whether the newcomer goes at once; else it waits for its turn, or `*refused` says why not.
  [[nodiscard]] bool join_ramp_locked(circuit_waiter& w, time_point now, cause* refused) noexcept;
  /// What the states mean to those who wait, once the state has changed.
  void tell_waiters_locked(circuit_state to, time_point now) noexcept;
  /// The one place where the state changes: a new generation, with nothing of the last one left.
  void move_locked(circuit_state to, const cause& why, time_point now) noexcept;
  // Release and acquire on each number: a reader who sees a number of a later opening then also
  // sees that the word has moved on.
  void write_opening(const cause& why) noexcept;
  [[nodiscard]] cause read_opening() const noexcept;

  // Telling

  /// Without anybody to tell (use by hand) the oldest changes are forgotten. While somebody tells,
  /// none is: however slow an observer is, each `from` is the `to` before it.
  void note_locked(const change& what) noexcept;
  static event event_of(const change& what) noexcept;
  template <class Tell>
  void announce_by(const Tell& tell);

  // Read by every call, written by changes of state only.
  alignas(64) std::atomic<word> word_{static_cast<word>(circuit_state::closed)};
  std::atomic<bool> untold_{false};
  const circuit_breaker options_;
  const std::unique_ptr<outcome_window> window_;
  const duration slow_after_;
  opening opening_;

  alignas(64) std::mutex mutex_;
  std::vector<lease> leases_;
  int probes_out_ = 0;
  int probes_succeeded_ = 0;
  int probes_failed_ = 0;
  std::uint32_t last_lease_ = 0;
  std::uint32_t openings_ = 0;
  std::uint32_t rounds_ = 0;                     // of probing, in a row: they grow longer
  time_point closed_since_ = time_point::min();  // or since its first result; `min` before
  time_point down_since_ = time_point::min();    // not closed since then
  time_point early_at_ = never;                  // from here on an early probe may go
  time_point next_probe_ = time_point::min();    // half open: when the next may join those out
  bool suspected_ = false;                       // half open without having been open
  std::uint64_t row_ = 0;  // failures in a row, probes included, while it is suspected
  std::uint64_t held_back_at_probe_ = 0;
  // Those that wait, in the order in which they came, and the ramp on which they go.
  circuit_waiter* first_ = nullptr;
  circuit_waiter* last_ = nullptr;
  circuit_waiter* watcher_ = nullptr;  // who of them watches for the next probe
  int waiting_ = 0;
  ramp_boost boost_;
  usual_rate usual_;
  time_point free_since_ = time_point::min();  // nobody has been held; `min` before any result
  std::uint64_t held_ = 0;                     // on the ramp since it closed
  duration probe_took_{};                      // the last good one, within bounds
  time_point next_turn_ = time_point::min();
  double arrivals_ = 0;  // since then; both are halved now and then
  time_point arrivals_since_ = time_point::min();
  cause last_cause_{};
  std::vector<change> changes_;
  bool announcing_ = false;
  std::atomic<std::uint64_t> late_results_{0};
  // Calls that found it not closed since it last was; counted without the lock too.
  std::atomic<std::uint64_t> held_back_{0};
  // The same as `early_at_`, a hint to those without the lock; it decides nothing.
  std::atomic<time_point::rep> early_from_{never.time_since_epoch().count()};
};

}  // namespace hawser::inline v0::detail
