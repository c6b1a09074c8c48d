#include "hawser/observe/event.hpp"

#include "hawser/observe/observer.hpp"

#include "core/in_short.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string>

namespace hawser::inline v0 {

observer::~observer() = default;

std::string_view to_string(reason because) noexcept {
  switch (because) {
    case reason::none: return "none";
    case reason::failure_rate: return "failure_rate";
    case reason::slow_call_rate: return "slow_call_rate";
    case reason::consecutive_failures: return "consecutive_failures";
    case reason::probe_failed: return "probe_failed";
    case reason::probe_lease_expired: return "probe_lease_expired";
    case reason::probes_succeeded: return "probes_succeeded";
    case reason::probes_busy: return "probes_busy";
    case reason::open_time_over: return "open_time_over";
    case reason::forced: return "forced";
    case reason::concurrency: return "concurrency";
    case reason::queue_full: return "queue_full";
    case reason::queue_wait: return "queue_wait";
    case reason::ramp: return "ramp";
    case reason::rate: return "rate";
    case reason::server_pause: return "server_pause";
    case reason::cost_over_burst: return "cost_over_burst";
    case reason::deadline: return "deadline";
    case reason::limit_elapsed: return "limit_elapsed";
    case reason::max_attempts: return "max_attempts";
    case reason::budget: return "budget";
    case reason::not_retryable: return "not_retryable";
    case reason::not_resendable: return "not_resendable";
    case reason::effect_unsaid: return "effect_unsaid";
    case reason::server_wait: return "server_wait";
    case reason::own_delay: return "own_delay";
    case reason::start_spread: return "start_spread";
    case reason::server_hint: return "server_hint";
    case reason::local_rejection: return "local_rejection";
    case reason::client_per_call: return "client_per_call";
    case reason::canceled: return "canceled";
    case reason::substituted: return "substituted";
    case reason::succeeded: return "succeeded";
  }
  return "unknown";
}

std::string_view to_string(event_kind kind) noexcept {
  switch (kind) {
    case event_kind::call_started: return "call_started";
    case event_kind::attempt_started: return "attempt_started";
    case event_kind::attempt_finished: return "attempt_finished";
    case event_kind::waiting: return "waiting";
    case event_kind::queued: return "queued";
    case event_kind::rejected: return "rejected";
    case event_kind::timed_out: return "timed_out";
    case event_kind::retry_stopped: return "retry_stopped";
    case event_kind::state_changed: return "state_changed";
    case event_kind::late_result: return "late_result";
    case event_kind::fallback_used: return "fallback_used";
    case event_kind::short_lived_clients: return "short_lived_clients";
    case event_kind::call_finished: return "call_finished";
  }
  return "unknown";
}

namespace {

/// Without the locale, which may have another point.
std::string number(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::general, 6);
  return {text, end.ptr};
}

/// "0.62 of 0.5": what was found, and what it was compared with.
std::string of(double measured, double threshold) {
  return number(measured) + " of " + number(threshold);
}

std::string time(double seconds) {
  if (seconds > 1e9) return "over 31 years";  // bounded, so that it fits a duration
  return detail::in_short(std::chrono::duration_cast<duration>(
      std::chrono::duration<double>(std::clamp(seconds, -1e9, 1e9))));
}

/// A wait that was allowed and is too short; `until` says what it would have taken.
std::string allowing(double seconds) {
  return seconds > 0 ? ", wait allowed " + time(seconds) : std::string();
}

/// What a reason says with its numbers, and what to do about it where that is in our hands.
std::string words_of(reason because, double measured, double threshold) {
  switch (because) {
    case reason::none: return {};
    case reason::failure_rate: return "failure rate " + of(measured, threshold);
    case reason::slow_call_rate: return "slow-call rate " + of(measured, threshold);
    case reason::consecutive_failures:
      return number(measured) + " failures in a row, limit " + number(threshold);
    case reason::probe_failed: return "a probe failed";
    case reason::probe_lease_expired: return "a probe did not report in time";
    case reason::probes_succeeded: return of(measured, threshold) + " probes succeeded";
    case reason::probes_busy: return of(measured, threshold) + " probes are under way";
    case reason::open_time_over: return "the open time is over";
    case reason::forced: return "by hand";
    case reason::concurrency: return of(measured, threshold) + " in flight";
    case reason::queue_full: return of(measured, threshold) + " places in the queue taken";
    case reason::queue_wait: return "waited " + time(measured) + " of " + time(threshold);
    case reason::ramp: return "its turn on the ramp" + allowing(threshold);
    case reason::rate: return "our own rate" + allowing(threshold);
    case reason::server_pause: return "the server asked for a pause" + allowing(threshold);
    case reason::cost_over_burst:
      return "cost " + number(measured) + " is over the burst of " + number(threshold);
    case reason::deadline:
      return measured == 0 && threshold == 0
                 ? "no time left"
                 : "needs " + time(measured) + ", " + time(threshold) + " left";
    case reason::limit_elapsed: return "limit " + time(threshold);
    case reason::max_attempts: return of(measured, threshold) + " tries made";
    case reason::budget:
      return "the retry budget has " + number(measured) + ", a retry costs " + number(threshold);
    case reason::not_retryable: return "a later try would not mend it";
    case reason::not_resendable: return "it may have been applied, a second try could do it twice";
    case reason::effect_unsaid:
      return "it may have been applied, and nobody said what doing it twice would do";
    case reason::server_wait:
      return "the server asks to wait " + time(measured) + ", allowed " + time(threshold);
    case reason::own_delay: return "backoff";
    case reason::start_spread: return "first calls are spread out";
    case reason::server_hint: return "the server asked for it";
    case reason::local_rejection: return "refused here";
    case reason::client_per_call:
      return number(measured) + " clients made one call or none within " + time(threshold) +
             "; keep one client per origin";
    case reason::canceled: return "by the caller";
    case reason::substituted: return "source " + of(measured, threshold);
    case reason::succeeded: return "succeeded";
  }
  return std::string(to_string(because));
}

}  // namespace

std::string in_words(const cause& why, time_point now) {
  std::string text;
  if (why.because == reason::local_rejection && why.refused != errc{}) {
    text = name_of(why.refused);
    const std::string more = words_of(why.refused_for, why.measured, why.threshold);
    if (!more.empty()) text.append(", ").append(more);
  } else {
    text = words_of(why.because, why.measured, why.threshold);
  }
  // A wait that is being waited says how long by itself.
  const bool waits = why.because == reason::own_delay || why.because == reason::start_spread ||
                     why.because == reason::server_hint;
  if (why.until != never && !waits)
    text.append(", next try in ").append(detail::in_short(remaining(why.until, now)));
  return text;
}

std::string in_words(const event& what) {
  cause why = what.why;
  if (what.kind == event_kind::waiting) why.until = never;
  return in_words(why, what.at);
}

std::string to_string(const cause& why, time_point now) {
  std::string text(why.policy);
  if (!text.empty()) text += ": ";
  return text + in_words(why, now);
}

}  // namespace hawser::inline v0
