#include "hawser/policy/classify.hpp"

#include "hawser/core/error.hpp"

#include <boost/asio/error.hpp>

#include <gtest/gtest.h>

namespace hawser::classify_test {
namespace {

namespace sys = boost::system::errc;

struct row {
  error_code ec;
  evidence delivery;
  bool transient;
  bool countable;
};

constexpr auto never_sent = evidence::never_sent;
constexpr auto answered = evidence::answered;
constexpr auto maybe = evidence::maybe_applied;

const row failures[] = {
    {make_error_code(sys::connection_refused), never_sent, true, true},
    {boost::asio::error::host_not_found, never_sent, true, true},
    {errc::resolve_timeout, never_sent, true, true},
    {errc::connect_timeout, never_sent, true, true},
    {errc::tls_timeout, never_sent, true, true},
    {errc::tls_handshake_failed, never_sent, false, true},
    {errc::certificate_expired, never_sent, false, true},
    {errc::tls_bad_credentials, never_sent, false, true},
    // A channel that stood and broke: the request may have gone through it.
    {errc::tls_broken, maybe, true, true},
    {errc::invalid_url, never_sent, false, false},
    {errc::invalid_body, never_sent, false, false},
    {errc::unexpected_status, answered, false, true},
    {errc::json_malformed, answered, false, true},
    {errc::json_too_deep, answered, false, true},
    {errc::json_too_large, answered, false, true},
    {errc::json_wrong_type, answered, false, true},
    {errc::no_content, answered, false, true},
    {errc::too_many_requests, evidence::refused, true, false},
    {make_error_code(sys::connection_reset), maybe, true, true},
    // A route may go while an answer is waited for: then these come out of a read.
    {make_error_code(sys::host_unreachable), maybe, true, true},
    {make_error_code(sys::network_unreachable), maybe, true, true},
    {make_error_code(sys::network_down), maybe, true, true},
    {make_error_code(sys::timed_out), maybe, true, true},
    {make_error_code(sys::permission_denied), maybe, true, true},
    {errc::call_timeout, maybe, true, true},
    {errc::attempt_timeout, maybe, true, true},
    {errc::first_byte_timeout, maybe, true, true},
    {errc::between_bytes_timeout, maybe, true, true},
    {errc::server_error, maybe, true, true},
    {errc::connection_closed, maybe, true, true},
    {errc::truncated_response, maybe, true, true},
    {errc::unexpected_bytes, maybe, true, true},
    {errc::malformed_response, maybe, false, true},
    {errc::body_too_large, maybe, false, true},
    {errc::outcome_unknown, maybe, false, false},
    {errc::operation_threw, maybe, true, true},
    // What this side lacks says nothing of the other.
    {make_error_code(sys::too_many_files_open), maybe, true, false},
    {make_error_code(sys::too_many_files_open_in_system), maybe, true, false},
    {make_error_code(sys::not_enough_memory), maybe, true, false},
    {make_error_code(sys::no_buffer_space), maybe, true, false},
    {make_error_code(sys::address_not_available), maybe, true, false},
};

TEST(classify, gives_each_error_its_meaning) {
  for (const row& want : failures) {
    const outcome o = classify(want.ec);
    EXPECT_EQ(o.result, verdict::failed) << want.ec.message();
    EXPECT_EQ(o.error, want.ec);
    EXPECT_EQ(o.delivery, want.delivery) << want.ec.message();
    EXPECT_EQ(o.transient, want.transient) << want.ec.message();
    EXPECT_EQ(o.countable, want.countable) << want.ec.message();
    EXPECT_EQ(o.from, origin::operation);
    EXPECT_FALSE(o.rejected) << want.ec.message();
    EXPECT_EQ(o.throttled, want.ec == errc::too_many_requests) << want.ec.message();
  }
}

TEST(classify, no_error_is_a_plain_success) { EXPECT_TRUE(classify(error_code()).plain_success()); }

TEST(classify, a_client_error_and_a_cancellation_say_nothing_about_the_dependency) {
  const outcome rejected_by_server = classify(errc::client_error);
  EXPECT_EQ(rejected_by_server.result, verdict::ignored);
  EXPECT_EQ(rejected_by_server.delivery, answered);
  EXPECT_FALSE(rejected_by_server.transient);
  EXPECT_FALSE(rejected_by_server.countable);
  for (const error_code& ec : {canceled_error(), error_code(errc::client_closed)}) {
    const outcome o = classify(ec);
    EXPECT_EQ(o.result, verdict::ignored) << ec.message();
    EXPECT_EQ(o.delivery, maybe) << ec.message();
    EXPECT_FALSE(o.transient) << ec.message();
  }
}

TEST(classify, what_a_forked_child_may_not_do_was_never_sent_and_mends_not) {
  const outcome o = classify(errc::forked);
  EXPECT_EQ(o.result, verdict::ignored);
  EXPECT_EQ(o.delivery, never_sent);
  EXPECT_FALSE(o.transient);
  EXPECT_FALSE(o.countable);
}

TEST(classify, a_rejection_by_another_pipeline_mends_unless_it_was_isolated_by_hand) {
  for (const errc code : {errc::circuit_open, errc::circuit_isolated, errc::bulkhead_full,
                          errc::bulkhead_timeout, errc::rate_limited, errc::pool_full}) {
    const outcome o = classify(code);
    EXPECT_EQ(o.error, code);
    EXPECT_EQ(o.result, verdict::ignored);
    EXPECT_TRUE(o.rejected);
    EXPECT_EQ(o.from, origin::operation);
    EXPECT_EQ(o.delivery, never_sent);
    EXPECT_EQ(o.transient, code != errc::circuit_isolated) << o.error.message();
  }
}

}  // namespace
}  // namespace hawser::classify_test
