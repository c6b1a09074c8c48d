// Stops calling a dependency that fails, and finds out gently when it is well again.
//
//   auto billing = hawser::pipeline_builder{"billing"}
//       .add(hawser::circuit_breaker{.min_calls = 20, .failure_ratio = 0.5, .open_for = 10s})
//       .build(env);
//   auto shared = std::make_shared<hawser::circuit_breaker_policy>(hawser::circuit_breaker{});
//   shared->isolate(env.now());  // nothing goes through until shared->close(env.now())
#pragma once

#include "hawser/core/entropy.hpp"
#include "hawser/core/export.hpp"
#include "hawser/core/time.hpp"
#include "hawser/observe/observer.hpp"
#include "hawser/policy/policy.hpp"
#include "hawser/policy/refusal.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace hawser::inline v0 {

/// Rates are taken over the last `calls` results, evicted exactly, one by one.
struct count_window {
  int calls = 100;  ///< 1 to 1'000'000.
  /// Results older than this are evicted too, to the next tenth of it. At least 10 ns; off: kept.
  std::optional<duration> max_age{};
};

/// Rates are taken over the last `span`, evicted a bucket (`span / buckets`) at a time.
struct time_window {
  duration span = std::chrono::seconds(10);  ///< At least `buckets` nanoseconds.
  int buckets = 10;                          ///< 1 to 1'000.
};

/// Which failures a circuit breaker hears of. Two breakers around one call, with the two halves,
/// take each failure to one of them: a breaker of a whole origin for its connections, and one of
/// each of its routes for what becomes of the requests, so that a route that fails does not close
/// the others.
enum class failure_scope : std::uint8_t {
  all,          ///< All that count (`outcome::countable`).
  connections,  ///< Those without a connection: nothing was sent (`evidence::never_sent`).
  exchanges,    ///< The others: those of requests that were on their way.
};

/// Options of a circuit breaker. The rules (`failure_ratio`, `slow_ratio`, `consecutive_failures`)
/// are OR-ed; at least one must be set.
struct circuit_breaker {
  /// Names it in errors, events and metrics. Empty: "circuit_breaker".
  std::string name{};

  /// What the two ratios are taken over.
  std::variant<count_window, time_window> window = count_window{100, std::chrono::seconds(10)};
  /// The ratios say nothing before the window holds this many results. Does not guard
  /// `consecutive_failures`, so quiet clients are protected too. At least 1, and no more than a
  /// count window holds.
  int min_calls = 20;

  /// Opens when failures / results reaches this; looked at on each failure. In (0, 1].
  std::optional<double> failure_ratio = 0.5;
  /// Opens when slow results / results reaches this; looked at on each slow result, failed or not.
  /// In (0, 1]. While it is set, a slow probe counts as a failed one.
  std::optional<double> slow_ratio{};
  /// A result that took this long or longer is slow. Not negative; positive with `slow_ratio`.
  duration slow_after{};
  /// Opens at this many failures with no answer of another kind between them, if they also span
  /// `consecutive_span`. Attempts that began before that answer came are not of the row: they end
  /// late because they failed, and tell nothing of the time after it. At least 1.
  std::optional<int> consecutive_failures = 8;
  /// How long nothing but failures must have come, since the first of their attempts began, before
  /// a row of them means anything. On a busy client with 20 % of errors five in a row come by
  /// chance every few seconds, a second of nothing else does not. Not negative.
  duration consecutive_span = std::chrono::seconds(1);
  /// At this many failures in a row, over half of `consecutive_span`, the circuit goes half open
  /// without having been open: one call at a time finds out whether it was chance. Only
  /// `consecutive_failures` in a row open it then. At least 1; off, or without that rule:
  /// no such step.
  std::optional<int> suspect_failures = 3;
  /// Which failures it hears of; see there.
  failure_scope hears = failure_scope::all;

  /// How long the first opening lasts, before jitter. Positive.
  duration open_for = std::chrono::seconds(1);
  /// Each further opening or round of probing in a row lasts this many times longer, within the two
  /// bounds below. At least 1.
  double open_multiplier = 2.0;
  /// An opening lasts no longer than this part of the outage so far, or twice `open_for` if that is
  /// more: so recovery is found within a fifth of what the outage took. In (0, 1].
  double open_share = 0.2;
  /// The longest opening of our own choice. At least `open_for`; off: 5 s, or `open_for` if that is
  /// more. Asking every five seconds costs next to nothing, and no recovery is missed for longer.
  std::optional<duration> open_cap{};
  /// Each opening is shortened by a random part of itself, at most this, so that a fleet neither
  /// comes back as one nor piles up at the cap. In [0, 1).
  double open_jitter = 0.2;
  /// Once this many calls were held back, an opening ends after half of `open_for`: who calls a
  /// lot can afford to ask often. At least 1; off: never early.
  std::optional<int> early_probe_after = 50;
  /// A server's hint (Retry-After) on the failure that opens the circuit lengthens the opening
  /// when it is later, up to this. The server that asks for an hour may be back in ten seconds, so
  /// probes go on meanwhile.
  duration hint_cap = std::chrono::seconds(10);
  /// The next opening lasts `open_for` again once the circuit was closed for this long.
  duration healthy_reset = std::chrono::seconds(10);

  /// Half open, at most this many probes are out at a time. The first goes alone; another joins it
  /// when it has not come back within the time an opening would last now, or after the first
  /// success. 1 to 1'000.
  int probes = 5;
  /// That many successful probes close the circuit. A failed one opens it again when no other is
  /// out and at least half of the results so far are failures. At least 1.
  int probes_to_close = 1;
  /// A probe that has not reported after this long counts as failed: set it to the attempt's
  /// timeout plus slack. Unset: one second past the deadline around the call, or 30 s without one.
  std::optional<duration> probe_lease{};

  /// In a pipeline: how long a call may wait for a probe's success instead of being refused, within
  /// its deadline; at once if the next probe comes too late for it. Off: refused at once. Over 0.
  std::optional<duration> max_wait{};
  /// Calls that may wait at a time; more are refused. 1 to 1'000'000.
  int max_waiting = 1024;
  /// Once closed again, those who waited go at this multiple of the rate at which calls came
  /// lately, and newcomers behind them: no burst hits what has just recovered. At least 1.
  double ramp = 1.3;
};

/// Where a circuit breaker stands. The last four are forced by hand.
enum class circuit_state : std::uint8_t {
  closed,                  ///< Calls go through and are judged.
  open,                    ///< Calls are refused until `retry_at`.
  half_open,               ///< Only probes go through.
  isolated,                ///< Forced: calls are refused until `close()`.
  disabled,                ///< Forced: calls go through and are recorded; nothing trips.
  metrics_only,            ///< Forced: all calls go through; it trips on paper. Closed on paper.
  metrics_only_open,       ///< Open on paper.
  metrics_only_half_open,  ///< Half open on paper.
};

/// "closed", "half_open", ...: stable, fit for metric labels.
[[nodiscard]] HAWSER_API std::string_view to_string(circuit_state state) noexcept;

/// A look at a circuit breaker, consistent in itself.
struct circuit_snapshot {
  circuit_state state = circuit_state::closed;  ///< Where it stands.
  std::uint64_t generation = 0;                 ///< Grows by one with each change of state.
  std::uint64_t calls = 0;                      ///< Results in the window.
  std::uint64_t failures = 0;                   ///< Of them, failed.
  std::uint64_t slow = 0;                       ///< Of them, slow; 0 unless `slow_ratio` is set.
  std::uint64_t consecutive = 0;                ///< Failures in a row, see there.
  double failure_rate = 0;                      ///< failures / calls; 0 without calls.
  double slow_rate = 0;                         ///< slow / calls; 0 without calls.
  int waiting = 0;                              ///< Calls that wait for it to close.
  int probes_out = 0;                           ///< Half open: probes on their way.
  int probes_succeeded = 0;                     ///< Half open: good probes so far.
  std::uint32_t openings = 0;      ///< Openings in a row, without a healthy spell between.
  std::uint64_t late_results = 0;  ///< Results of earlier generations, ever.
  /// Open or half open: when the next probe may go, early ones aside. `never` while all are out,
  /// and in other states.
  time_point retry_at = never;
  cause why{};  ///< What the last change of state was made on.
};

/// What became of a reported result.
enum class settlement : std::uint8_t {
  counted,    ///< It moved the statistics, perhaps the state.
  uncounted,  ///< The permit was not to be judged (let through on paper), or there was none.
  late,       ///< Of an earlier generation: told apart, never judged by the current state.
};

namespace detail {
class circuit_core;
}

/// The right to make one call, stamped with the generation and kind it was given in. Report the
/// result once: the first report takes the permit, further ones do nothing. Without a report it
/// goes back undecided when it is destroyed. Not thread-safe in itself; may be passed to another
/// thread and report there. The policy, and the entropy it was acquired with, must outlive it.
class HAWSER_API circuit_permit {
 public:
  circuit_permit() noexcept = default;
  /// Takes the permit over; `other` is left empty.
  circuit_permit(circuit_permit&& other) noexcept
      : core_(std::exchange(other.core_, nullptr)),
        random_(other.random_),
        generation_(other.generation_),
        lease_(other.lease_),
        kind_(other.kind_) {}
  /// Gives back what it held, undecided, and takes the other's permit over.
  circuit_permit& operator=(circuit_permit&& other) noexcept {
    if (this != &other) {
      ignore();
      core_ = std::exchange(other.core_, nullptr);
      random_ = other.random_;
      generation_ = other.generation_;
      lease_ = other.lease_;
      kind_ = other.kind_;
    }
    return *this;
  }
  ~circuit_permit() { ignore(); }

  /// Whether the call may go out (and its result is still to be reported).
  [[nodiscard]] explicit operator bool() const noexcept { return core_ != nullptr; }
  /// Whether it is a half-open breaker's probe.
  [[nodiscard]] bool is_probe() const noexcept { return kind_ == kind::probe; }
  /// The breaker's generation when the permit was given.
  [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }

  /// The call succeeded after `took`.
  settlement success(duration took, time_point now) noexcept;
  /// It was answered, but neither well nor badly (a 404, a 429): no rate moves, but the other side
  /// lives, so a row of failures ends and a probe has succeeded.
  settlement alive(time_point now) noexcept;
  /// The call failed after `took`; `server_wait` is the server's hint, if it gave one.
  settlement failure(duration took, time_point now,
                     duration server_wait = duration::min()) noexcept;
  /// The call decides nothing: a probe's place is given back, no statistic moves.
  void ignore() noexcept {
    if (core_ != nullptr && kind_ == kind::probe) give_back();
    core_ = nullptr;
  }

 private:
  friend class detail::circuit_core;
  enum class kind : std::uint8_t { normal, probe, unjudged };

  circuit_permit(detail::circuit_core& core, entropy& random, std::uint64_t generation, kind what,
                 std::uint32_t lease) noexcept
      : core_(&core), random_(&random), generation_(generation), lease_(lease), kind_(what) {}
  void give_back() noexcept;

  detail::circuit_core* core_ = nullptr;
  entropy* random_ = nullptr;
  std::uint64_t generation_ = 0;
  std::uint32_t lease_ = 0;  // the number of the one that a probe holds
  kind kind_ = kind::normal;
};

/// A circuit breaker. A closed one lets a call through and takes its success without a lock: one
/// atomic load each, and one add to a counter of the thread's own. Changes of state are told to
/// observers by the call that caused or found them, after the state is final, in order, never
/// under a lock; those made by hand are told by the next call. Thread-safe.
class HAWSER_API circuit_breaker_policy final : public policy {
 public:
  /// Throws `config_error` naming the option that is out of its bounds.
  explicit circuit_breaker_policy(circuit_breaker options);
  ~circuit_breaker_policy() override;

  [[nodiscard]] std::string_view kind() const noexcept override { return "circuit_breaker"; }
  [[nodiscard]] std::string_view name() const noexcept override;
  [[nodiscard]] std::size_t stage_size() const noexcept override;
  [[nodiscard]] std::size_t stage_alignment() const noexcept override;
  [[nodiscard]] bool stage_is_trivial() const noexcept override { return true; }
  [[nodiscard]] stage* make_stage(void* memory) override;
  step begin(void* memory, tick& t, stage*& made) override;
  [[nodiscard]] success_needs needs_of_success() const noexcept override {
    return success_needs::inner_done;
  }

  /// The options in force, the name filled in.
  [[nodiscard]] const circuit_breaker& options() const noexcept;

  /// For use by hand, outside a pipeline: a permit, or an empty one when the call is refused; then
  /// `*refused`, if given, says why (errc::circuit_open, or errc::circuit_isolated). Never waits,
  /// allocates nothing. `random` shortens openings. `deadline` bounds a probe's lease unless
  /// `probe_lease` is set.
  [[nodiscard]] circuit_permit try_acquire(time_point now, entropy& random,
                                           refusal* refused = nullptr,
                                           time_point deadline = never) noexcept;

  /// Open now, from whatever state, as if a rule had tripped: for `open_for`, or for `at_least` if
  /// that is longer; then probes find out. An opening under way is lengthened, never shortened.
  /// Calls end with errc::circuit_open, `reason::forced`.
  void open(time_point now, entropy& random, duration at_least = {}) noexcept;
  /// Refuse every call (errc::circuit_isolated) until `close()`. Elsewhere: "force open".
  void isolate(time_point now) noexcept;
  /// Let every call through and record it; never trip, until `close()`.
  void disable(time_point now) noexcept;
  /// Let every call through and trip on paper only, until `close()`: shows in events and
  /// snapshots what the breaker would do. Nobody waits, and nobody is suspected.
  void metrics_only(time_point now) noexcept;
  /// Close now, from whatever state; forget the window and the openings so far.
  void close(time_point now) noexcept;
  /// As newly made: `close()`, and the count of late results begins at 0. Results still on their
  /// way are late ones.
  void reset(time_point now) noexcept;

  /// Counts as of `now`: what has left the window by then is not in them. Takes the lock for a
  /// moment: for gauges and tests, not for each call.
  [[nodiscard]] circuit_snapshot snapshot(time_point now) const noexcept;

  /// For use by hand: tells `who` of the changes of state that nobody was told of yet, in order, as
  /// a call through a pipeline would. What it throws comes out of here; the change it was told of
  /// then counts as told. Without anybody to tell, the latest 16 changes are kept.
  void tell(observer& who, time_point now);

 private:
  std::unique_ptr<detail::circuit_core> core_;
};

/// Throws `config_error` naming the option that is out of its bounds.
[[nodiscard]] HAWSER_API std::shared_ptr<policy> make_policy(circuit_breaker options);

}  // namespace hawser::inline v0
