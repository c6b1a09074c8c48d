#include "hawser/core/error.hpp"

#include "hawser/core/result.hpp"

#include "core/story.hpp"

#include <cerrno>
#include <new>

namespace hawser::inline v0 {

namespace {

struct entry {
  errc code;
  std::string_view name;
  std::string_view text;
};

// One row for each code: its name, and what went wrong with what to do about it.
constexpr entry table[] = {
    {errc::circuit_open, "circuit_open",
     "the circuit breaker is open: the dependency was failing; try again later"},
    {errc::circuit_isolated, "circuit_isolated",
     "the circuit breaker was forced open by hand; reset it to let calls through"},
    {errc::bulkhead_full, "bulkhead_full",
     "the bulkhead and its queue are full: too many calls in flight; shed load or raise the limit"},
    {errc::bulkhead_timeout, "bulkhead_timeout",
     "no bulkhead permit came free within max_queue_wait; shed load or raise the limit"},
    {errc::rate_limited, "rate_limited",
     "the rate limiter has no tokens in time; come back at the time it names, or call less often"},
    {errc::pool_full, "pool_full",
     "no connection came free in time: the pool's caps are reached; raise them or call less"},
    {errc::call_timeout, "call_timeout",
     "the call did not finish within its time limit; its report says where the time went; raise "
     "the "
     "timeout if it needs more"},
    {errc::attempt_timeout, "attempt_timeout",
     "the attempt did not finish within its time limit; raise the timeout if it needs more"},
    {errc::resolve_timeout, "resolve_timeout",
     "the host name was not resolved in time; check DNS and time_limits.resolve"},
    {errc::connect_timeout, "connect_timeout",
     "no connection within the time limit; check host, port, firewall and time_limits.connect"},
    {errc::tls_timeout, "tls_timeout",
     "the TLS handshake did not finish in time; check that the port speaks TLS"},
    {errc::first_byte_timeout, "first_byte_timeout",
     "the server sent no first byte of an answer in time; it may be overloaded; raise "
     "time_limits.first_byte if it needs more"},
    {errc::between_bytes_timeout, "between_bytes_timeout",
     "the connection stalled in the middle of a message; check the network, raise "
     "time_limits.between_bytes if it needs more"},
    {errc::outcome_unknown, "outcome_unknown",
     "the request may have been applied and may not be sent again; reconcile before repeating it"},
    {errc::operation_failed, "operation_failed",
     "the operation's result was classified as a failure; look at the result"},
    {errc::operation_threw, "operation_threw",
     "the operation threw an exception; look at its text"},
    {errc::would_deadlock, "would_deadlock",
     "a blocking call on a thread that runs the environment's executor would wait for itself; use "
     "an asynchronous form there"},
    {errc::client_closed, "client_closed", "the client is closed; make a new one"},
    {errc::forked, "forked",
     "made before fork(), and this is the child; nothing was sent; make pipelines and clients "
     "after "
     "fork()"},
    {errc::invalid_options, "invalid_options", "an option is out of its bounds; correct it"},
    {errc::invalid_url, "invalid_url", "the URL cannot be used"},
    {errc::invalid_header, "invalid_header",
     "the client does not send such a header field; mend it or leave it out"},
    {errc::invalid_route, "invalid_route", "the route template and its parameters do not fit"},
    {errc::invalid_method, "invalid_method", "the method cannot be used; name another"},
    {errc::invalid_body, "invalid_body", "the body cannot be sent"},
    {errc::invalid_idempotency_key, "invalid_idempotency_key",
     "the idempotency key does not fit the profile"},
    {errc::malformed_response, "malformed_response", "the server's answer is not valid HTTP/1.1"},
    {errc::ambiguous_framing, "ambiguous_framing",
     "the server's answer has contradictory lengths; the connection was dropped"},
    {errc::truncated_response, "truncated_response",
     "the connection ended in the middle of the server's answer"},
    {errc::headers_too_large, "headers_too_large",
     "the answer's header is over limits.header_bytes"},
    {errc::too_many_headers, "too_many_headers",
     "the answer has more fields than limits.header_count"},
    {errc::body_too_large, "body_too_large", "the answer's body is over limits.body_bytes"},
    {errc::too_many_interim, "too_many_interim",
     "the server sent more 1xx answers than limits.interim_responses"},
    {errc::trailers_too_large, "trailers_too_large",
     "the answer's trailers are over limits.trailer_bytes"},
    {errc::chunk_extensions_too_large, "chunk_extensions_too_large",
     "the answer's chunk extensions are over limits.chunk_extension_bytes"},
    {errc::unexpected_bytes, "unexpected_bytes",
     "the server sent bytes that belong to no answer; the connection was dropped; check what "
     "listens "
     "on the port"},
    {errc::connection_closed, "connection_closed",
     "the server closed the connection before the first byte of an answer"},
    {errc::client_error, "client_error",
     "the server answered with a client error (4xx); mend the request"},
    {errc::server_error, "server_error",
     "the server answered with a server error (5xx); try again later, unless it cannot do this at "
     "all (501, 505)"},
    {errc::unexpected_status, "unexpected_status",
     "the server's answer is not a success (2xx); redirects are not followed"},
    {errc::too_many_requests, "too_many_requests",
     "the server asks for fewer calls (429); wait as long as it says, and call less often"},
    {errc::json_malformed, "json_malformed", "the text is not one JSON value"},
    {errc::json_too_deep, "json_too_deep", "the JSON is nested deeper than limits.json_depth"},
    {errc::json_too_large, "json_too_large",
     "the JSON would take more memory than limits.json_bytes"},
    {errc::json_wrong_type, "json_wrong_type", "the JSON has another shape than was asked for"},
    {errc::no_content, "no_content", "the answer has no content to read a value from"},
    {errc::tls_handshake_failed, "tls_handshake_failed",
     "the TLS handshake failed; check versions, and that the port speaks TLS"},
    {errc::certificate_expired, "certificate_expired",
     "the server's certificate is out of its dates; the server's operator must renew it"},
    {errc::certificate_untrusted, "certificate_untrusted",
     "the server's certificate is signed by nobody we trust; give its CA in tls.ca_file"},
    {errc::certificate_name_mismatch, "certificate_name_mismatch",
     "no subject alternative name of the server's certificate fits the host"},
    {errc::certificate_rejected, "certificate_rejected",
     "the server's certificate did not pass verification"},
    {errc::tls_bad_credentials, "tls_bad_credentials",
     "our own CA file, certificate or key cannot be used"},
    {errc::tls_broken, "tls_broken",
     "the TLS connection broke after its handshake: bytes were changed on the way, or the server "
     "gave up; if it happens often, check what stands in between"},
};

const entry* find(int value) noexcept {
  for (const entry& row : table)
    if (static_cast<int>(row.code) == value) return &row;
  return nullptr;
}

bool is_rejected(const error_code& ec) noexcept {
  return ec.category() == error_category() && ec.value() >= static_cast<int>(errc::circuit_open) &&
         ec.value() <= static_cast<int>(errc::pool_full);
}

bool is_timeout(const error_code& ec) noexcept {
  if (ec.category() == error_category())
    return ec.value() >= static_cast<int>(errc::call_timeout) &&
           ec.value() <= static_cast<int>(errc::between_bytes_timeout);
  return ec == boost::system::errc::timed_out;
}

bool is_between(const error_code& ec, errc first, errc last) noexcept {
  return ec.category() == error_category() && ec.value() >= static_cast<int>(first) &&
         ec.value() <= static_cast<int>(last);
}

bool is_transient(const error_code& ec) noexcept {
  namespace generic = boost::system::errc;
  if (is_rejected(ec)) return ec != errc::circuit_isolated;
  if (is_timeout(ec)) return true;
  return ec == errc::server_error || ec == errc::too_many_requests ||
         ec == errc::connection_closed || ec == errc::truncated_response ||
         ec == errc::unexpected_bytes || ec == errc::tls_broken ||
         ec == generic::connection_reset || ec == generic::connection_refused ||
         ec == generic::connection_aborted || ec == generic::broken_pipe ||
         ec == generic::host_unreachable || ec == generic::network_unreachable ||
         ec == generic::network_down || ec == generic::network_reset ||
         ec == generic::resource_unavailable_try_again || ec == generic::interrupted;
}

// Boost's base has no virtual destructor, and nobody deletes a category through it.
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"
#endif

// Categories are told apart by these ids, not by where they stand: a plugin with a copy of the
// library of its own has the same errors.
constexpr boost::ulong_long_type id_of_codes = 0x5b1f6c0e9d2a47f3U;
constexpr boost::ulong_long_type id_of_kinds = 0xa84d03e7c16b925eU;

class code_category final : public boost::system::error_category {
 public:
  constexpr code_category() noexcept : error_category(id_of_codes) {}
  const char* name() const noexcept override { return "hawser"; }
  std::string message(int value) const override {
    const entry* row = find(value);
    return row != nullptr ? std::string(row->text) : "unknown hawser error";
  }
};

class kind_category final : public boost::system::error_category {
 public:
  constexpr kind_category() noexcept : error_category(id_of_kinds) {}
  const char* name() const noexcept override { return "hawser.condition"; }

  std::string message(int value) const override {
    switch (static_cast<condition>(value)) {
      case condition::rejected: return "rejected by a local policy";
      case condition::timeout: return "out of time";
      case condition::ambiguous: return "may have been applied";
      case condition::transient: return "a later try may succeed";
      case condition::canceled: return "cancelled";
      case condition::invalid_input: return "invalid input";
      case condition::bad_response: return "bad response";
      case condition::tls_failure: return "TLS failure";
    }
    return "unknown hawser condition";
  }

  bool equivalent(const error_code& ec, int value) const noexcept override {
    switch (static_cast<condition>(value)) {
      case condition::rejected: return is_rejected(ec);
      case condition::timeout: return is_timeout(ec);
      case condition::ambiguous: return ec == errc::outcome_unknown;
      case condition::transient: return is_transient(ec);
      case condition::canceled:
        return ec == boost::system::errc::operation_canceled || ec == errc::client_closed;
      case condition::invalid_input:
        return is_between(ec, errc::invalid_options, errc::invalid_idempotency_key);
      case condition::bad_response:
        return is_between(ec, errc::malformed_response, errc::no_content);
      case condition::tls_failure:
        return is_between(ec, errc::tls_handshake_failed, errc::tls_broken);
    }
    return false;
  }
};

#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

}  // namespace

const boost::system::error_category& error_category() noexcept {
  static constexpr code_category instance;
  return instance;
}

const boost::system::error_category& condition_category() noexcept {
  static constexpr kind_category instance;
  return instance;
}

std::string_view name_of(errc e) noexcept {
  const entry* row = find(static_cast<int>(e));
  return row != nullptr ? row->name : "unknown";
}

error_code canceled_error() noexcept { return {ECANCELED, boost::system::system_category()}; }

error::error(error_code code, std::string detail) noexcept : code_(code) {
  if (detail.empty()) return;
  try {
    story_ = std::make_shared<const detail::written_story>(std::move(detail));
  } catch (const std::bad_alloc&) {  // the code matters more than its story
  }
}

std::string_view error::detail() const& noexcept {
  return story_ ? story_->text() : std::string_view();
}

int error::status() const noexcept {
  const detail::answer_facts* const answer = story_ ? story_->answer() : nullptr;
  return answer != nullptr ? answer->status : 0;
}

std::string_view error::problem_type() const& noexcept {
  const detail::answer_facts* const answer = story_ ? story_->answer() : nullptr;
  return answer != nullptr ? std::string_view(answer->problem_type) : std::string_view();
}

std::string_view error::problem_title() const& noexcept {
  const detail::answer_facts* const answer = story_ ? story_->answer() : nullptr;
  return answer != nullptr ? std::string_view(answer->problem_title) : std::string_view();
}

bool error::is(condition kind) const noexcept {
  if (code_ == kind) return true;
  if (kind != condition::transient || code_ != errc::client_error) return false;
  const int of = status();
  return of == 408 || of == 421 || of == 425;
}

error error::about_answer(int status, std::string problem_type,
                          std::string problem_title) const noexcept {
  if (status == 0) return *this;
  try {
    auto facts = std::make_shared<const detail::answer_facts>(
        detail::answer_facts{status, std::move(problem_type), std::move(problem_title)});
    return {std::make_shared<const detail::story_of_answer>(story_, std::move(facts)), code_};
  } catch (const std::bad_alloc&) {  // the error matters more than its story
    return *this;
  }
}

error error::about_answer_of(const error& other) const noexcept {
  const detail::answer_facts* const answer = other.story_ ? other.story_->answer() : nullptr;
  if (answer == nullptr) return *this;
  try {
    std::shared_ptr<const detail::answer_facts> facts(other.story_, answer);
    return {std::make_shared<const detail::story_of_answer>(story_, std::move(facts)), code_};
  } catch (const std::bad_alloc&) {
    return *this;
  }
}

std::string error::message() const {
  std::string text = code_.message();
  if (const std::string_view more = detail(); !more.empty()) text.append(": ").append(more);
  return text;
}

call_error::call_error(error why)
    : system_error(why.code()), why_(std::move(why)), text_(why_.message()) {}

namespace {

/// A value that was refused may be anything: it is shown on one line, and not all of it.
std::string shown(std::string_view value) {
  constexpr std::string_view digits = "0123456789abcdef";
  constexpr std::size_t most = 256;
  std::string text;
  for (const char c : value.substr(0, most)) {
    if (c >= ' ' && c <= '~') {
      text += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    text += {'\\', 'x', digits[byte >> 4U], digits[byte & 15U]};
  }
  return value.size() > most ? text + "..." : text;
}

}  // namespace

config_error::config_error(std::string_view field, std::string_view value, std::string_view rule)
    : invalid_argument(shown(field) + " = " + (value.empty() ? "\"\"" : shown(value)) + ": " +
                       std::string(rule)),
      field_(field) {}

void throw_exception_from_error(const error& why, const boost::source_location& /*where*/) {
  throw call_error(why);
}

}  // namespace hawser::inline v0
