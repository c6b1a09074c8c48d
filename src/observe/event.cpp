#include "hawser/observe/event.hpp"

#include "hawser/observe/observer.hpp"

#include <cstdio>

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
    case reason::rate: return "rate";
    case reason::cost_over_burst: return "cost_over_burst";
    case reason::deadline: return "deadline";
    case reason::limit_elapsed: return "limit_elapsed";
    case reason::max_attempts: return "max_attempts";
    case reason::budget: return "budget";
    case reason::not_retryable: return "not_retryable";
    case reason::not_resendable: return "not_resendable";
    case reason::server_wait: return "server_wait";
    case reason::own_delay: return "own_delay";
    case reason::server_hint: return "server_hint";
    case reason::local_rejection: return "local_rejection";
    case reason::client_per_call: return "client_per_call";
    case reason::canceled: return "canceled";
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

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

/// How the two numbers of a reason are called; an empty name means that the number says nothing.
struct wording {
  std::string_view measured;
  std::string_view threshold;
};

wording words_of(reason because) {
  switch (because) {
    case reason::failure_rate: return {"failure rate", "limit"};
    case reason::slow_call_rate: return {"slow-call rate", "limit"};
    case reason::consecutive_failures: return {"failures in a row", "limit"};
    case reason::probe_failed: return {};
    case reason::probe_lease_expired: return {};
    case reason::probes_succeeded: return {"probes succeeded", "needed"};
    case reason::probes_busy: return {"probes out", "allowed at a time"};
    case reason::concurrency: return {"in flight", "limit"};
    case reason::queue_full: return {"queued", "limit"};
    case reason::queue_wait: return {"seconds waited", "allowed"};
    case reason::rate: return {"seconds until tokens", "allowed"};
    case reason::cost_over_burst: return {"cost", "burst"};
    case reason::deadline: return {"seconds needed", "left"};
    case reason::limit_elapsed: return {"", "seconds allowed"};
    case reason::max_attempts: return {"attempts made", "allowed"};
    case reason::budget: return {"budget", "price"};
    case reason::server_wait: return {"the server asks to wait seconds", "allowed"};
    case reason::own_delay: return {"seconds", ""};
    case reason::server_hint: return {"seconds", ""};
    case reason::client_per_call:
      return {"keep one client per origin: clients that made one call or none",
              "within so many seconds"};
    default: return {};
  }
}

}  // namespace

std::string to_string(const cause& why, time_point now) {
  std::string text(why.policy);
  if (!text.empty()) text += ": ";
  text += to_string(why.because);
  const wording words = words_of(why.because);
  if (!words.measured.empty())
    text.append(", ").append(words.measured).append(" ").append(number(why.measured));
  if (!words.threshold.empty())
    text.append(", ").append(words.threshold).append(" ").append(number(why.threshold));
  if (why.until != never) {
    const double seconds = std::chrono::duration<double>(remaining(why.until, now)).count();
    text.append(", next try in ").append(number(seconds)).append(" s");
  }
  return text;
}

}  // namespace hawser::inline v0
