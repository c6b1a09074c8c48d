// Servers that cannot prove who they are, or do not speak TLS as they should; and credentials of
// our own that cannot be used. Nothing is sent to any of them.
#include "bad_input/refusal.hpp"
#include "hawser/http/client.hpp"
#include "hawser/http/standard_options.hpp"
#include "hawser/testing/fault_server.hpp"

#include <gtest/gtest.h>

namespace hawser::test::tls_test {
namespace {

using namespace std::chrono_literals;
using http::client;
using http::client_options;
using http::request;
using testing::connection_plan;
using testing::fault_server;
using testing::fault_server_options;
using testing::fault_server_tls;
using testing::leaf_request;
using testing::test_authority;

http::standard_options once() {
  http::standard_options o;
  o.retry.max_attempts = 1;
  o.breaker.consecutive_failures.reset();
  return o;
}

struct bad_tls : ::testing::Test {
  environment env;
  std::shared_ptr<test_authority> authority = std::make_shared<test_authority>();

  std::unique_ptr<fault_server> serve(const leaf_request& leaf = {}) {
    fault_server_tls tls;
    tls.authority = authority;
    tls.leaf = leaf;
    fault_server_options o;
    o.tls = tls;
    return std::make_unique<fault_server>(std::move(o));
  }
  client_options trusting() {
    client_options o;
    o.tls.ca_pem = authority->certificate();
    o.times.tls = 20s;  // a slow machine is no stalled server
    return o;
  }
  void expect_unsent(const fault_server& at, std::string_view url, const client_options& options,
                     const refusal& wanted) {
    const client api(env, url, http::standard_pipeline("api", once()), options);
    for (const request& what :
         {request::get("/"), request::post("/"), request::post("/").idempotency_key("s3cr3t")}) {
      call_report report;
      const result<http::response> r = api.send(what, {.report = &report});
      ASSERT_TRUE(r.has_error());
      expect_refusal(r.error(), wanted);
      EXPECT_EQ(report.delivery, evidence::never_sent);
    }
    EXPECT_EQ(at.counters().requests, 0u);
    EXPECT_EQ(api.stats().connections, 0u);
    EXPECT_EQ(api.stats().pending, 0u);
  }
};

TEST_F(bad_tls, certificates_are_refused_before_anything_is_sent) {
  leaf_request control = testing::common_name_only_leaf("evil\r\n\x1b[31m");
  struct {
    const char* name;
    leaf_request leaf;
    std::string_view host;
    errc code;
    std::string_view culprit;
    std::string_view remedy;
  } const rows[] = {
      {"expired", testing::expired_leaf(), "localhost", errc::certificate_expired, "valid from",
       "must renew it"},
      {"not yet valid", testing::not_yet_valid_leaf(), "localhost", errc::certificate_expired,
       "not yet valid", "check this machine's clock"},
      {"self-signed", testing::self_signed_leaf(), "localhost", errc::certificate_untrusted,
       "host 'localhost': self", "give its CA in tls.ca_file"},
      {"another host", testing::wrong_host_leaf("elsewhere.test"), "localhost",
       errc::certificate_name_mismatch, "DNS:elsewhere.test", "reissued for this host"},
      {"another address", testing::wrong_host_leaf("localhost"), "127.0.0.1",
       errc::certificate_name_mismatch, "host '127.0.0.1'", "reissued for this host"},
      {"common name only", testing::common_name_only_leaf("localhost"), "localhost",
       errc::certificate_name_mismatch, "alternative names none", "common name does not count"},
      {"partial wildcard", testing::partial_wildcard_leaf("loc", "localhost"), "localhost",
       errc::certificate_name_mismatch, "loc*.localhost", "reissued for this host"},
      {"wildcard of the whole", testing::wildcard_leaf("localhost"), "localhost",
       errc::certificate_name_mismatch, "*.localhost", "reissued for this host"},
      {"a client's", testing::client_leaf("localhost"), "localhost", errc::certificate_rejected,
       "purpose", "another certificate"},
      {"control bytes in its name", control, "localhost", errc::certificate_name_mismatch,
       "subject 'CN=evil", "common name does not count"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    const auto server = serve(row.leaf);
    const std::string where = std::string(row.host) + ":" + std::to_string(server->port());
    expect_unsent(*server, server->url(row.host), trusting(),
                  {row.code, {condition::tls_failure}, row.culprit, row.remedy});
    expect_unsent(*server, server->url(row.host), trusting(),
                  {row.code, {condition::tls_failure}, where, row.remedy});
  }
}

TEST_F(bad_tls, an_authority_that_we_do_not_know_is_refused) {
  const auto server = serve();
  client_options other = trusting();
  other.tls.ca_pem = test_authority("Hawser test authority").certificate();
  expect_unsent(
      *server, server->url("localhost"), other,
      {errc::certificate_untrusted, {condition::tls_failure}, "host 'localhost'", "tls.ca_file"});
}

TEST_F(bad_tls, servers_that_do_not_shake_hands) {
  struct {
    const char* name;
    connection_plan what;
    errc code;
    std::vector<condition> kinds;
    std::string_view culprit;
    std::string_view remedy;
  } const rows[] = {
      {"plain text",
       {connection_plan::kind::plain_text, {}, {}},
       errc::tls_handshake_failed,
       {condition::tls_failure},
       "localhost",
       "does not seem to speak TLS"},
      {"an HTTP answer",
       {connection_plan::kind::plain_text, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", {}},
       errc::tls_handshake_failed,
       {condition::tls_failure},
       "localhost",
       "does not seem to speak TLS"},
      {"a banner",
       {connection_plan::kind::plain_text, "220 s3cr3t ESMTP\r\n", {}},
       errc::tls_handshake_failed,
       {condition::tls_failure},
       "localhost",
       "check versions, and that the port speaks TLS"},
      {"one byte",
       {connection_plan::kind::plain_text, "\x16", {}},
       errc::connection_closed,
       {condition::bad_response, condition::transient},
       "in the TLS handshake",
       "check versions"},
      {"closed",
       {connection_plan::kind::close, {}, {}},
       errc::connection_closed,
       {condition::bad_response, condition::transient},
       "in the TLS handshake",
       "check versions"},
      {"stalled",
       {connection_plan::kind::stall, {}, {}},
       errc::tls_timeout,
       {condition::timeout, condition::transient},
       "time_limits.tls = 50 ms",
       "check that the port speaks TLS"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    const auto server = serve();
    server->script_connections({row.what, row.what, row.what});
    client_options options = trusting();
    if (row.code == errc::tls_timeout) options.times.tls = 50ms;
    expect_unsent(*server, server->url("localhost"), options,
                  {row.code, row.kinds, row.culprit, row.remedy});
    const client api(env, server->url("localhost"), http::standard_pipeline("api", once()),
                     trusting());
    EXPECT_TRUE(api.send(request::get("/"))) << "the next connection is a good one";
  }
}

TEST_F(bad_tls, an_old_version_must_be_asked_for) {
  fault_server_tls tls;
  tls.authority = authority;
  tls.only_tls_1_2 = true;
  fault_server_options o;
  o.tls = tls;
  fault_server server(std::move(o));
  expect_unsent(server, server.url("localhost"), trusting(),
                {errc::tls_handshake_failed,
                 {condition::tls_failure},
                 "host 'localhost'",
                 "set tls.min_version to tls1_2"});
  client_options lower = trusting();
  lower.tls.min_version = http::tls_version::tls1_2;
  const client api(env, server.url("localhost"), http::standard_pipeline("api", once()), lower);
  EXPECT_TRUE(api.send(request::get("/")));
}

TEST_F(bad_tls, credentials_that_cannot_be_used_name_the_option_and_the_remedy) {
  const auto good = authority->issue(testing::client_leaf());
  const auto other = authority->issue(testing::client_leaf());
  const std::string torn = good.certificate.substr(0, good.certificate.size() / 2);
  struct {
    const char* name;
    std::function<void(http::tls_options&)> change;
    std::string_view culprit;
    std::string_view remedy;
  } const rows[] = {
      {"no such file", [](auto& t) { t.ca_file = "/nowhere/ca.pem"; },
       "tls.ca_file '/nowhere/ca.pem': cannot be opened: No such file", "check the path"},
      {"a folder", [](auto& t) { t.ca_file = "/"; }, "tls.ca_file '/'", "check the path"},
      {"empty", [](auto& t) { t.ca_pem = ""; }, "tls.ca_pem: holds no certificate in PEM form",
       "-----BEGIN CERTIFICATE-----"},
      {"no PEM", [](auto& t) { t.ca_pem = "s3cr3t"; }, "tls.ca_pem: holds no certificate",
       "-----BEGIN CERTIFICATE-----"},
      {"torn", [&](auto& t) { t.ca_pem = torn; }, "tls.ca_pem: bad certificate",
       "-----BEGIN CERTIFICATE-----"},
      {"a key in its place", [&](auto& t) { t.ca_pem = good.key; },
       "tls.ca_pem: holds no certificate", "-----BEGIN CERTIFICATE-----"},
      {"another's key",
       [&](auto& t) {
         t.client_certificate_pem = good.chain;
         t.client_key_pem = secret(other.key);
       },
       "tls.client_key_pem: is not the key of tls.client_certificate_pem", "give the key"},
      {"no key",
       [&](auto& t) {
         t.client_certificate_pem = good.chain;
         t.client_key_pem = secret("s3cr3t");
       },
       "tls.client_key_pem: no usable private key in PEM form", "needs tls.key_password"},
      {"a key with a wrong password",
       [&](auto& t) {
         t.client_certificate_pem = good.chain;
         t.client_key_pem = secret(
             "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"
             "-----END ENCRYPTED PRIVATE KEY-----\n");
         t.key_password = secret("s3cr3t");
       },
       "tls.client_key_pem: no usable private key in PEM form", "is tls.key_password right?"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    client_options o;
    row.change(o.tls);
    try {
      const client made(env, "https://localhost", http::standard_pipeline("api"), o);
      ADD_FAILURE() << "accepted";
    } catch (const call_error& e) {
      expect_refusal(
          e.why(), {errc::tls_bad_credentials, {condition::tls_failure}, row.culprit, row.remedy});
    }
  }
}

}  // namespace
}  // namespace hawser::test::tls_test
