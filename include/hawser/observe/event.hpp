// What happened, as a value: every decision of a call with its cause and its numbers.
//
//   void on_event(const hawser::event& e) override {
//     if (e.kind == hawser::event_kind::rejected) count(e.pipeline, to_string(e.why.because));
//   }
#pragma once

#include "hawser/core/effect.hpp"
#include "hawser/core/error.hpp"
#include "hawser/core/export.hpp"
#include "hawser/core/time.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace hawser::inline v0 {

/// Why a policy decided as it did. The set is bounded, fit for metric labels.
enum class reason : std::uint8_t {
  none,
  failure_rate,          ///< measured: rate; threshold: limit.
  slow_call_rate,        ///< measured: rate; threshold: limit.
  consecutive_failures,  ///< measured: failures in a row; threshold: limit.
  probe_failed,          ///< A half-open probe failed.
  probe_lease_expired,   ///< A half-open probe did not report in time and counts as failed.
  probes_succeeded,      ///< measured: successes; threshold: needed.
  probes_busy,           ///< measured: probes out; threshold: allowed at a time.
  open_time_over,        ///< The open time passed; probes may go out.
  forced,                ///< By hand.
  concurrency,           ///< measured: in flight; threshold: limit.
  queue_full,            ///< measured: queued; threshold: limit.
  queue_wait,            ///< measured: seconds waited; threshold: seconds allowed.
  ramp,                  ///< After an outage, one by one; measured: seconds until its turn;
                         ///< threshold: seconds allowed.
  rate,                  ///< measured: seconds until tokens; threshold: seconds allowed.
  server_pause,          ///< The server asked for a pause; numbers as of `rate`.
  cost_over_burst,       ///< measured: cost; threshold: burst. Never admitted.
  deadline,              ///< No time left: measured: seconds needed; threshold: seconds left.
  limit_elapsed,         ///< A timeout fired; threshold: seconds allowed.
  max_attempts,          ///< measured: tries made, begun or not; threshold: attempts allowed.
  budget,                ///< The retry budget is spent; measured: balance; threshold: price.
  not_retryable,         ///< The failure is not of a kind that a later try mends.
  not_resendable,        ///< The re-send table forbids it: a second try could apply twice.
  effect_unsaid,         ///< The same, as nobody said what doing it twice would do.
  server_wait,      ///< The server's hint is longer than may be waited: measured, threshold: s.
  own_delay,        ///< A wait of our own choice; measured: seconds.
  start_spread,     ///< A wait before a process's first calls; measured: seconds.
  server_hint,      ///< A wait the server asked for; measured: seconds.
  local_rejection,  ///< A local policy refused: `refused`, `refused_for`, and the numbers of that.
  /// Clients of one origin made one call or none each; measured: how many; threshold: seconds.
  client_per_call,
  canceled,     ///< By the caller.
  substituted,  ///< A fallback stood in; measured: which source; threshold: how many it has.
  succeeded,
};

/// The enumerator's own name ("queue_full"): stable, fit for metric labels.
[[nodiscard]] HAWSER_API std::string_view to_string(reason because) noexcept;

/// The one structure in which every rejection, wait and stop explains itself.
struct cause {
  std::string_view policy;            ///< The policy's name; lives as long as its pipeline.
  reason because = reason::none;      ///< The rule that decided.
  double measured = 0;                ///< What was found; its meaning and unit depend on `because`.
  double threshold = 0;               ///< What it was compared with, in the same unit.
  time_point until = never;           ///< When trying again makes sense; `never` when unknown.
  errc refused{};                     ///< The code of what refused, of `local_rejection`.
  reason refused_for = reason::none;  ///< The rule by which that decided.
};

/// In words, for people: "billing: failure rate 0.6 of 0.5, next try in 3.2 s". Whoever parses logs
/// goes by `to_string(reason)`.
[[nodiscard]] HAWSER_API std::string to_string(const cause& why, time_point now);
/// The same without the policy's name: "failure rate 0.6 of 0.5, next try in 3.2 s".
[[nodiscard]] HAWSER_API std::string in_words(const cause& why, time_point now);

/// What an event tells of.
enum class event_kind : std::uint8_t {
  call_started,
  attempt_started,
  attempt_finished,
  waiting,        ///< A policy decided to wait: `elapsed` is the planned wait.
  queued,         ///< Waiting for a permit.
  rejected,       ///< A policy refused to let the call through.
  timed_out,      ///< A timeout fired and cancelled what runs inside it.
  retry_stopped,  ///< Retry gave up on a failure; `why` says why.
  state_changed,  ///< A circuit breaker moved; `from` and `to` name the states.
  late_result,    ///< A result of an earlier breaker generation: counted here only.
  fallback_used,  ///< A fallback stood in for `error`; `why` says which of its sources.
  /// Of no call: a hundred clients of one origin (`operation` names it) came and went within a
  /// minute, with one call or none each. Told once per origin and environment, when the last of
  /// them goes, to its observers; of 64 origins at most, beyond which some are missed. Keep one
  /// client per origin instead.
  short_lived_clients,
  call_finished,
};

/// The enumerator's own name ("retry_stopped"): stable, fit for metric labels.
[[nodiscard]] HAWSER_API std::string_view to_string(event_kind kind) noexcept;

/// One thing that happened. All views are valid only during the observer's call.
struct event {
  event_kind kind = event_kind::call_started;  ///< What happened.
  time_point at{};                             ///< When, on the environment's time line.
  std::string_view pipeline;                   ///< The pipeline's name.
  std::string_view operation;                  ///< "POST /v1/charges", or what the caller named it.
  std::string_view correlation;  ///< The call's correlation id; empty when there is none.
  int attempt = 0;               ///< 1 is the first; 0 when none has started.
  duration elapsed{};            ///< How long it took, or is to take (waiting).
  error_code error{};            ///< How an attempt or a call ended; empty on success.
  /// What is known of the attempt's arrival on the other side.
  evidence delivery = evidence::never_sent;
  int status = 0;         ///< HTTP status of an answer; 0 without one.
  cause why{};            ///< Why, with the numbers; `reason::none` when no policy decided.
  std::string_view from;  ///< state_changed
  std::string_view to;    ///< state_changed
};

/// What an event's cause says, as `in_words(what.why, what.at)`; of a wait without its length,
/// which `elapsed` has.
[[nodiscard]] HAWSER_API std::string in_words(const event& what);

}  // namespace hawser::inline v0
