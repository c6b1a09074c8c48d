// Errors: one category with few codes, conditions to test for kinds, and a text a person can act
// on.
//
//   hawser::result<quote> q = billing.execute(fetch_quote);
//   if (!q && q.error() == hawser::condition::rejected) ...    // never left this process
//   if (!q) std::cerr << q.error().message() << '\n';          // what, where, what to do
#pragma once

#include "hawser/core/export.hpp"

#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <concepts>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace hawser::inline v0 {

/// A code with its category, as Asio and all of Boost have it.
using error_code = boost::system::error_code;
/// A kind of errors that codes are compared with.
using error_condition = boost::system::error_condition;

/// Every way in which this library itself ends a call. Errors of the wrapped operation keep their
/// own codes; a caller's cancellation is `boost::asio::error::operation_aborted` (ECANCELED).
enum class errc {
  // Refused here: nothing left this process. condition::rejected.
  circuit_open = 1,  ///< The circuit breaker is open or out of probes.
  circuit_isolated,  ///< The circuit breaker was forced open by hand.
  bulkhead_full,     ///< No permit and no room in the queue.
  bulkhead_timeout,  ///< Waited `max_queue_wait` for a permit.
  rate_limited,      ///< The rate limiter had no tokens in time.
  pool_full,         ///< No connection in time: the pool's caps are reached.

  // Time ran out. condition::timeout.
  call_timeout = 20,      ///< The whole call's time.
  attempt_timeout,        ///< One attempt's time.
  resolve_timeout,        ///< Name resolution.
  connect_timeout,        ///< TCP connect.
  tls_timeout,            ///< TLS handshake.
  first_byte_timeout,     ///< From the request's last byte to the answer's first.
  between_bytes_timeout,  ///< Between two reads of an answer, or two writes of a request.

  // How a call ended.
  outcome_unknown = 40,  ///< The request may have been applied and may not be sent again.
  operation_failed,      ///< The classifier called the operation's result a failure.
  operation_threw,       ///< The wrapped callable threw something that carries no error code.
  would_deadlock,        ///< A blocking call on the only thread that could complete it.
  client_closed,         ///< The client was destroyed or closed.
  forked,                ///< Pipeline or client are of the process that forked this one.

  // What the caller passed in. condition::invalid_input.
  invalid_options = 60,     ///< An option out of its bounds.
  invalid_url,              ///< Not an http or https URL this client can use.
  invalid_header,           ///< A field that RFC 9110 forbids, or that the client writes itself.
  invalid_route,            ///< A route template or its parameters.
  invalid_method,           ///< A method that is not a token, or CONNECT.
  invalid_body,             ///< A body that cannot be sent.
  invalid_idempotency_key,  ///< A key the profile does not admit.

  // What the other side sent. condition::bad_response.
  malformed_response = 80,     ///< Not HTTP/1.1 as RFC 9112 has it.
  ambiguous_framing,           ///< Two lengths, or a length and chunks (RFC 9112 section 6.3).
  truncated_response,          ///< The connection ended before the message did.
  headers_too_large,           ///< `limits::header_bytes`.
  too_many_headers,            ///< `limits::header_count`.
  body_too_large,              ///< `limits::body_bytes`.
  too_many_interim,            ///< `limits::interim_responses` (1xx).
  trailers_too_large,          ///< `limits::trailer_bytes`.
  chunk_extensions_too_large,  ///< `limits::chunk_extension_bytes`.
  unexpected_bytes,            ///< Bytes before a request, or in an answer's place.
  connection_closed,           ///< Closed by the peer before the first byte of an answer.
  client_error,                ///< An answer 4xx, turned into an error on request.
  server_error,                ///< An answer 5xx, turned into an error on request.
  unexpected_status,  ///< Any other answer that is not 2xx, turned into an error on request.
  too_many_requests,  ///< An answer 429: the other side asks for fewer calls. Transient.

  // JSON. condition::bad_response.
  json_malformed = 110,  ///< Not JSON (RFC 8259), or bytes after it.
  json_too_deep,         ///< `limits::json_depth`.
  json_too_large,        ///< `limits::json_bytes`.
  json_wrong_type,       ///< JSON of another shape than asked for.
  no_content,            ///< An answer without a body, where a value was asked for.

  // TLS. condition::tls_failure.
  tls_handshake_failed = 130,  ///< No common version or cipher, an alert, not TLS at all.
  certificate_expired,         ///< The peer's certificate is out of its dates.
  certificate_untrusted,       ///< Self-signed or signed by nobody we trust.
  certificate_name_mismatch,   ///< No subject alternative name fits the host (RFC 9525).
  certificate_rejected,        ///< Any other failure of verification.
  tls_bad_credentials,         ///< Our own CA file, certificate or key cannot be used.
  tls_broken,                  ///< After its handshake: a forged record, a fatal alert.
};

/// Kinds of errors, to be compared with codes: `ec == hawser::condition::timeout`.
enum class condition {
  rejected = 1,  ///< Refused by a local policy; never left this process.
  timeout,       ///< A time limit of ours, or the system's ETIMEDOUT.
  ambiguous,     ///< May have happened on the other side.
  /// A later try may succeed: timeouts, resets, refusals, 429, 5xx; of an `error` also 408, 421,
  /// 425.
  transient,
  canceled,       ///< Cancelled by the caller or by closing the client.
  invalid_input,  ///< The caller's mistake; trying again is no use.
  bad_response,   ///< The other side broke the protocol, or a limit on its answer.
  tls_failure,    ///< The secure channel could not be set up, or broke.
};

/// The category of `errc`: "hawser". Thread-safe.
[[nodiscard]] HAWSER_API const boost::system::error_category& error_category() noexcept;
/// The category of `condition`: "hawser.condition". Thread-safe.
[[nodiscard]] HAWSER_API const boost::system::error_category& condition_category() noexcept;

/// Found by error_code's constructor: `error_code ec = errc::circuit_open`.
[[nodiscard]] inline error_code make_error_code(errc e) noexcept {
  return {static_cast<int>(e), error_category()};
}
/// Found by error_condition's constructor: `ec == condition::timeout`.
[[nodiscard]] inline error_condition make_error_condition(condition c) noexcept {
  return {static_cast<int>(c), condition_category()};
}

/// The enumerator's own name ("circuit_open"): stable, fit for metric labels.
[[nodiscard]] HAWSER_API std::string_view name_of(errc e) noexcept;

/// ECANCELED, as Asio spells it.
[[nodiscard]] HAWSER_API error_code canceled_error() noexcept;

}  // namespace hawser::inline v0

/// Lets an `errc` stand where an error code is asked for.
template <>
struct boost::system::is_error_code_enum<hawser::errc> : std::true_type {};
/// Lets a `condition` be compared with an error code.
template <>
struct boost::system::is_error_condition_enum<hawser::condition> : std::true_type {};

namespace hawser::inline v0 {

namespace detail {
class story;
}

/// An error code with the story behind it. Cheap to copy. What a policy has to tell is put
/// together when somebody asks for it. Views are for errors with a name; a temporary, such as what
/// `result::error()` returns, gives strings of its own.
class HAWSER_API error {
 public:
  error() noexcept = default;
  /// From a code of any category, without a text.
  error(error_code code) noexcept : code_(code) {}  // NOLINT: an error code is an error
  /// From one of ours, without a text.
  error(errc code) noexcept : code_(code) {}  // NOLINT
  /// `detail` is what a person needs on top of the code; mask it before. Without memory for it
  /// there is none.
  error(error_code code, std::string detail) noexcept;
  /// The code alone; tests against codes and conditions work on the error itself too.
  [[nodiscard]] error_code code() const noexcept { return code_; }
  /// Stands where a code is asked for.
  operator error_code() const noexcept { return code_; }  // NOLINT: tests as a code does

  /// What was said on top of the code: the culprit, the numbers, the remedy. Masked already. Valid
  /// as long as this error or a copy of it is. Thread-safe.
  [[nodiscard]] std::string_view detail() const& noexcept;
  /// The same of a temporary.
  [[nodiscard]] std::string detail() const&& { return std::string(detail()); }

  /// The HTTP status of the answer that this error speaks of; 0 when of none. Thread-safe.
  [[nodiscard]] int status() const noexcept;
  /// The `type` of that answer's problem details (RFC 9457), a URI reference: "about:blank" where
  /// they have none, empty for an answer of another kind. Masked, at most 200 bytes. Valid as
  /// `detail()` is.
  [[nodiscard]] std::string_view problem_type() const& noexcept;
  /// The same of a temporary.
  [[nodiscard]] std::string problem_type() const&& { return std::string(problem_type()); }
  /// Their `title`, of which words that are not plain are masked. At most 80 bytes, likewise.
  [[nodiscard]] std::string_view problem_title() const& noexcept;
  /// The same of a temporary.
  [[nodiscard]] std::string problem_title() const&& { return std::string(problem_title()); }

  /// The same error, speaking of an answer: for those who make errors of answers. Mask type and
  /// title before. Without memory for it nothing is added.
  [[nodiscard]] error about_answer(int status, std::string problem_type = {},
                                   std::string problem_title = {}) const noexcept;
  /// The same error, speaking of the answer that `other` speaks of, if it speaks of one.
  [[nodiscard]] error about_answer_of(const error& other) const noexcept;

  /// The code's text, then the detail.
  [[nodiscard]] std::string message() const;

  friend bool operator==(const error& a, const error& b) noexcept { return a.code_ == b.code_; }
  friend bool operator==(const error& a, const error_code& b) noexcept { return a.code_ == b; }
  friend bool operator==(const error& a, errc b) noexcept { return a.code_ == b; }
  /// As the code; and a `client_error` of a status that asks for another try (408, 421, 425) is
  /// transient, which the code alone does not tell.
  friend bool operator==(const error& a, condition b) noexcept { return a.is(b); }

 private:
  friend class detail::story;
  [[nodiscard]] bool is(condition kind) const noexcept;
  // The story first: no braces that make a text fit this.
  error(std::shared_ptr<const detail::story> story, error_code code) noexcept
      : code_(code), story_(std::move(story)) {}

  error_code code_;
  std::shared_ptr<const detail::story> story_;
};

/// Thrown by the throwing forms, and by `result::value()` on an error.
class HAWSER_API call_error : public boost::system::system_error {
 public:
  /// `what()` becomes the error's `message()`.
  explicit call_error(error why);
  /// The error's text. Valid as long as this object is.
  [[nodiscard]] const char* what() const noexcept override { return text_.c_str(); }
  /// The error that was thrown, with its code and its story.
  [[nodiscard]] const error& why() const& noexcept { return why_; }
  /// The same of a temporary.
  [[nodiscard]] error why() && { return why_; }

 private:
  error why_;
  std::string text_;
};

/// Thrown when options do not make sense; names the field, the value and the bound.
class HAWSER_API config_error : public std::invalid_argument {
 public:
  /// For example `config_error("retry.max_attempts", "0", "must be at least 1")`.
  config_error(std::string_view field, std::string_view value, std::string_view rule);
  /// The culprit, for example "retry.max_attempts".
  [[nodiscard]] const std::string& field() const& noexcept { return field_; }
  /// The same of a temporary.
  [[nodiscard]] std::string field() && { return field_; }
  /// Always `errc::invalid_options`, of `condition::invalid_input`.
  [[nodiscard]] error_code code() const noexcept { return errc::invalid_options; }

 private:
  std::string field_;
};

}  // namespace hawser::inline v0
