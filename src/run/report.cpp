#include "hawser/run/report.hpp"

#include "hawser/core/error.hpp"
#include "hawser/run/detail/value.hpp"

#include "core/in_short.hpp"
#include "core/printable.hpp"

#include <cstdio>

namespace hawser::inline v0 {

namespace {

using detail::in_short;

std::string in_seconds(duration d) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f s", std::chrono::duration<double>(d).count());
  return text;
}

/// What callers name their calls and ids, which they may have from their own callers: without
/// secrets, and without a byte that breaks the line.
std::string plain(std::string_view text) { return detail::printable(detail::masked(text)); }

std::string describe(const error_code& ec) {
  if (!ec) return "ok";
  if (ec.category() == error_category()) return std::string(name_of(static_cast<errc>(ec.value())));
  return ec.message();
}

}  // namespace

std::string report_entry::to_string() const {
  std::string text = "+" + in_seconds(at) + "  ";
  const std::string number = std::to_string(attempt);
  // A policy of a name of its own is named; "retry: backoff" says no more than "backoff".
  const bool named = !policy.empty() && because != reason::own_delay &&
                     because != reason::server_hint && because != reason::none;
  const std::string because_text =
      cause.empty() ? std::string() : " (" + (named ? policy + ": " : "") + cause + ")";
  switch (kind) {
    case event_kind::call_started: text += "call started"; break;
    case event_kind::attempt_started: text += "attempt " + number + " started"; break;
    case event_kind::attempt_finished:
      text += "attempt " + number + " finished: ";
      text += status != 0 ? "status " + std::to_string(status) : describe(error);
      text += " after " + in_short(elapsed);
      if (error) text.append(", ").append(hawser::to_string(delivery));
      break;
    case event_kind::waiting: text += "waiting " + in_short(elapsed) + because_text; break;
    case event_kind::queued: text += "queued" + because_text; break;
    case event_kind::rejected: text += "rejected: " + describe(error) + because_text; break;
    case event_kind::timed_out: text += "timed out: " + describe(error) + because_text; break;
    case event_kind::retry_stopped:
      text += "no further attempt after " + describe(error) + because_text;
      break;
    case event_kind::state_changed:
      text += (policy.empty() ? "" : policy + ": ") + from + " -> " + to;
      if (!cause.empty()) text += " (" + cause + ")";
      break;
    case event_kind::late_result:
      text += "late result, counted nowhere: " + describe(error) + because_text;
      break;
    case event_kind::fallback_used:
      text += "fallback used in place of " + describe(error) + because_text;
      break;
    case event_kind::short_lived_clients: text += "short-lived clients" + because_text; break;
    case event_kind::call_finished:
      text += "call finished: " + describe(error) + " after " + in_short(elapsed);
      break;
  }
  return text;
}

std::string call_report::to_string() const {
  std::string text = pipeline;
  if (!operation.empty()) text += " " + plain(operation);
  text += ": " + describe(error) + " after " + std::to_string(attempts) +
          (attempts == 1 ? " attempt" : " attempts") + " in " + in_short(elapsed);
  if (error) text.append(", ").append(hawser::to_string(delivery));
  if (!correlation.empty()) text += "\n  correlation " + plain(correlation);
  if (!key_fingerprint.empty()) text += "\n  idempotency key #" + key_fingerprint;
  for (const report_entry& entry : entries) text += "\n  " + entry.to_string();
  text += '\n';
  return text;
}

void call_report::clear() {
  pipeline.clear();
  operation.clear();
  correlation.clear();
  key_fingerprint.clear();
  entries.clear();
  attempts = 0;
  elapsed = {};
  error = {};
  delivery = evidence::never_sent;
  stopped = reason::none;
}

}  // namespace hawser::inline v0
