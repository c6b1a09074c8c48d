// Every code: its kinds, and a text that says what happened and what to do about it. Where the
// remedy depends on the case, the text comes with a detail; those have tables of their own.
#include "bad_input/refusal.hpp"

#include <gtest/gtest.h>

namespace hawser::test::errors_test {
namespace {

using kinds = std::vector<condition>;
const kinds refused{condition::rejected, condition::transient};
const kinds late{condition::timeout, condition::transient};
const kinds mistake{condition::invalid_input};
const kinds broken{condition::bad_response};
const kinds broken_off{condition::bad_response, condition::transient};
const kinds insecure{condition::tls_failure};

struct row {
  errc code;
  kinds holds;
  std::string_view what;
  std::string_view remedy;
};

const row rows[] = {
    {errc::circuit_open, refused, "circuit breaker is open", "try again later"},
    {errc::circuit_isolated, {condition::rejected}, "forced open by hand", "reset it"},
    {errc::bulkhead_full, refused, "too many calls in flight", "shed load or raise the limit"},
    {errc::bulkhead_timeout, refused, "no bulkhead permit", "shed load or raise the limit"},
    {errc::rate_limited, refused, "no tokens", "come back at the time it names, or call less"},
    {errc::pool_full, refused, "the pool's caps are reached", "raise them or call less"},
    {errc::call_timeout, late, "the call did not finish", "raise the timeout"},
    {errc::attempt_timeout, late, "the attempt did not finish", "raise the timeout"},
    {errc::resolve_timeout, late, "host name was not resolved", "time_limits.resolve"},
    {errc::connect_timeout, late, "no connection", "check host, port, firewall"},
    {errc::tls_timeout, late, "TLS handshake did not finish", "check that the port speaks TLS"},
    {errc::first_byte_timeout, late, "no first byte", "raise time_limits.first_byte"},
    {errc::between_bytes_timeout, late, "stalled", "raise time_limits.between_bytes"},
    {errc::outcome_unknown, {condition::ambiguous}, "may have been applied", "reconcile"},
    {errc::operation_failed, {}, "classified as a failure", "look at the result"},
    {errc::operation_threw, {}, "threw an exception", "look at"},
    {errc::would_deadlock, {}, "would wait for itself", "use an asynchronous form"},
    {errc::client_closed, {condition::canceled}, "client is closed", "make a new one"},
    {errc::forked, {}, "made before fork()", "after fork()"},
    {errc::invalid_options, mistake, "out of its bounds", "correct"},
    {errc::invalid_url, mistake, "URL cannot be used", ""},
    {errc::invalid_header, mistake, "such a header field", "leave it out"},
    {errc::invalid_route, mistake, "do not fit", ""},
    {errc::invalid_method, mistake, "the method cannot be used", "name another"},
    {errc::invalid_body, mistake, "cannot be sent", ""},
    {errc::invalid_idempotency_key, mistake, "does not fit the profile", ""},
    {errc::malformed_response, broken, "not valid HTTP/1.1", ""},
    {errc::ambiguous_framing, broken, "contradictory lengths", "dropped"},
    {errc::truncated_response, broken_off, "in the middle of the server's answer", ""},
    {errc::headers_too_large, broken, "limits.header_bytes", "limits.header_bytes"},
    {errc::too_many_headers, broken, "limits.header_count", "limits.header_count"},
    {errc::body_too_large, broken, "limits.body_bytes", "limits.body_bytes"},
    {errc::too_many_interim, broken, "1xx", "limits.interim_responses"},
    {errc::trailers_too_large, broken, "trailers", "limits.trailer_bytes"},
    {errc::chunk_extensions_too_large, broken, "extensions", "limits.chunk_extension_bytes"},
    {errc::unexpected_bytes, broken_off, "belong to no answer", "check what listens on the port"},
    {errc::connection_closed, broken_off, "before the first byte of an answer", ""},
    {errc::client_error, broken, "client error (4xx)", "mend the request"},
    {errc::server_error, broken_off, "server error (5xx)", "try again later"},
    {errc::unexpected_status, broken, "not a success (2xx)", "redirects are not followed"},
    {errc::too_many_requests, broken_off, "asks for fewer calls (429)", "wait as long as it says"},
    {errc::json_malformed, broken, "not one JSON value", ""},
    {errc::json_too_deep, broken, "nested deeper", "limits.json_depth"},
    {errc::json_too_large, broken, "more memory", "limits.json_bytes"},
    {errc::json_wrong_type, broken, "another shape", ""},
    {errc::no_content, broken, "no content", ""},
    {errc::tls_handshake_failed, insecure, "handshake failed", "check versions"},
    {errc::certificate_expired, insecure, "out of its dates", "must renew it"},
    {errc::certificate_untrusted, insecure, "signed by nobody we trust", "tls.ca_file"},
    {errc::certificate_name_mismatch, insecure, "no subject alternative name", ""},
    {errc::certificate_rejected, insecure, "did not pass verification", ""},
    {errc::tls_bad_credentials, insecure, "our own CA file, certificate or key", ""},
    {errc::tls_broken,
     {condition::tls_failure, condition::transient},
     "broke after its handshake",
     "check what stands in between"},
};

TEST(Codes, SayWhatHappenedAndWhatToDo) {
  for (const row& r : rows) {
    SCOPED_TRACE(name_of(r.code));
    expect_refusal(error(r.code), {r.code, r.holds, r.what, r.remedy});
  }
}

TEST(Codes, AreAllInTheTable) {
  std::size_t named = 0;
  for (int value = 1; value < 1000; ++value) {
    const auto code = static_cast<errc>(value);
    if (name_of(code) == "unknown") continue;
    ++named;
    EXPECT_TRUE(std::any_of(std::begin(rows), std::end(rows), [code](const row& r) {
      return r.code == code;
    })) << name_of(code);
  }
  EXPECT_EQ(named, std::size(rows));
}

}  // namespace
}  // namespace hawser::test::errors_test
