// The story of a call: each attempt, wait and decision with its numbers, and why it ended.
//
//   hawser::call_report report;
//   auto q = billing.execute(fetch_quote, {.report = &report});
//   std::cout << report.to_string();
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/observe/event.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hawser::inline v0 {

/// One event of a call, owning its texts. Times count from the call's start.
struct HAWSER_API report_entry {
  event_kind kind = event_kind::call_started;  ///< What happened.
  duration at{};                               ///< When, from the call's start.
  int attempt = 0;                             ///< 1 is the first; 0 when none has started.
  duration elapsed{};                          ///< How long it took, or is to take (waiting).
  error_code error{};  ///< How an attempt or the call ended; empty on success.
  /// What is known of the attempt's arrival on the other side.
  evidence delivery = evidence::never_sent;
  int status = 0;                 ///< HTTP status of an answer; 0 without one.
  std::string policy;             ///< The policy that decided; empty when none did.
  reason because = reason::none;  ///< The rule by which it decided.
  std::string cause;              ///< `in_words(event)`, empty without a reason.
  std::string from;               ///< The state left, of state_changed.
  std::string to;                 ///< The state entered, of state_changed.

  /// "+1.204 s  attempt 2 finished: 503 after 18 ms (refused)".
  [[nodiscard]] std::string to_string() const;
};

/// Filled by one call at a time; read it when the call has completed.
struct HAWSER_API call_report {
  std::string pipeline;         ///< The pipeline's name.
  std::string operation;        ///< "POST /v1/charges", or what the caller named it.
  std::string correlation;      ///< The call's correlation id; empty when there is none.
  std::string key_fingerprint;  ///< Of the idempotency key: tells keys apart, does not reveal one.
  std::vector<report_entry> entries;  ///< In order of time.
  int attempts = 0;                   ///< How many were started.
  duration elapsed{};                 ///< From the call's start to its end.
  error_code error{};                 ///< What the call ended with; empty on success.
  /// What is known of the call's arrival on the other side.
  evidence delivery = evidence::never_sent;
  /// Why no further attempt was made: `not_retryable` also of a failure that is no policy's matter,
  /// as a 404; `substituted` when a fallback's value is what the caller got; `none` of a failure
  /// that a retry might have mended, had there been one.
  reason stopped = reason::none;

  /// Some lines of text, the whole story. Holds no secrets of its own: names and numbers only.
  [[nodiscard]] std::string to_string() const;
  /// Empties it; capacities stay.
  void clear();
};

}  // namespace hawser::inline v0
