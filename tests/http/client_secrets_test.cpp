// Secrets planted wherever a request or an answer can hold one; everything that people read is
// searched for them afterwards.
#include "hawser/http/client.hpp"
#include "hawser/http/json.hpp"
#include "hawser/http/standard_options.hpp"
#include "hawser/log/log_observer.hpp"
#include "hawser/testing/fault_server.hpp"

#include "http/expect_error.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>

#include <gtest/gtest.h>

#include <map>
#include <sstream>

namespace hawser::test::client_secrets_test {

struct account {
  int number = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(account, number)

namespace {

using namespace std::chrono_literals;
using http::client;
using http::client_options;
using http::idempotency_profile;
using http::request;
using http::response;
using testing::fault_server;
using testing::garble;
using testing::plan;

class client_secrets : public ::testing::Test {
 protected:
  client_secrets() {
    logger->set_level(spdlog::level::trace);
    logger->set_pattern("%l %v");
    http::standard_options quick;
    quick.retry.max_attempts = 2;
    quick.retry.delay = constant{.each = 1ms, .spread = jitter::none};
    quick.breaker.consecutive_failures.reset();
    quick.attempt_timeout = 30ms;
    auto policies = http::standard_pipeline("billing", quick);
    policies.observe(std::make_shared<log::log_observer>(logger, make_redactor()));
    client_options options;
    options.idempotency = idempotency_profile::stripe();
    options.default_headers.add("Authorization", "Bearer s3cr3t-default");
    options.default_headers.add("X-Api-Key", "s3cr3t-api-key");
    api.emplace(env, server.url(), policies, options);
  }

  static request loaded() {
    return request::post("/accounts/{token}/charges?access_token=s3cr3t-in-route")
        .param("token", "s3cr3t-parameter")
        .query("token", "s3cr3t-query")
        .header("Authorization", "Bearer s3cr3t-own")
        .header("Cookie", "session=s3cr3t-cookie")
        .json({{"card", "4111111111111111"}, {"password", "s3cr3t-field"}})
        .idempotency_key("s3cr3t-key");
  }
  void expect_clean(std::string_view where, const std::string& text) {
    EXPECT_EQ(text.find(planted), std::string::npos) << where << ": " << text;
    EXPECT_EQ(text.find("4111111111111111"), std::string::npos) << where << ": " << text;
  }
  void look() {
    expect_clean("report", report.to_string());
    for (const report_entry& e : report.entries) expect_clean("entry", e.to_string());
    logger->flush();
    expect_clean("log", out.str());
    EXPECT_NE(out.str().find("call_started"), std::string::npos) << "the log is at trace";
    EXPECT_NE(out.str().find("call_finished"), std::string::npos);
  }

  environment env;
  fault_server server;
  std::ostringstream out;
  std::shared_ptr<spdlog::logger> logger = std::make_shared<spdlog::logger>(
      "app", std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  std::optional<client> api;
  call_report report;
  const call_options told{.report = &report};
};

TEST_F(client_secrets, are_in_no_log_error_or_report_whatever_happens) {
  const std::string leak = R"({"title":"s3cr3t-title","detail":"s3cr3t-detail"})";
  const std::pair<const char*, std::function<plan()>> cases[] = {
      {"good", [&] { return plan::answer(200, leak); }},
      {"refused", [&] { return plan::answer(400, leak, "application/problem+json"); }},
      {"failed", [&] { return plan::answer(500, leak, "application/problem+json"); }},
      {"gateway", [&] { return plan::answer(504, leak).reason("s3cr3t-reason"); }},
      {"busy", [] { return plan::answer(429).header("Retry-After", "s3cr3t-hint"); }},
      {"cut", [&] { return plan::answer(200, leak).cut_body_at(20); }},
      {"reset", [] { return plan::reset(); }},
      {"stalled", [] { return plan::stall(); }},
      {"not HTTP", [] { return plan::raw("s3cr3t-nonsense\r\n\r\n"); }},
      {"bad header", [] { return plan::raw("HTTP/1.1 200 OK\r\ns3cr3t header: 1\r\n\r\n"); }},
      {"bad value", [] { return plan::raw("HTTP/1.1 200 OK\r\nX: s3cr3t\x01\r\n\r\n"); }},
      {"bad length", [] { return plan::raw("HTTP/1.1 200 OK\r\nContent-Length: s3cr3t\r\n\r\n"); }},
      {"bad chunk",
       [] { return plan::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ns3cr3t\r\n"); }},
  };
  for (const auto& [name, what] : cases) {
    SCOPED_TRACE(name);
    server.script({what(), what()});
    const result<response> r = api->send(loaded(), told);
    if (r) {
      const result<response> good = r->ensure_success();
      if (!good) expect_clean("status", good.error().message());
      const result<account> typed = r->as<account>();
      if (!typed) expect_clean("type", typed.error().message());
    } else {
      expect_clean("error", r.error().message());
      try {
        (void)r.value();
      } catch (const std::exception& e) {
        expect_clean("exception", e.what());
      }
    }
    EXPECT_EQ(report.key_fingerprint, http::fingerprint("s3cr3t-key"));
    look();
    server.reset();
  }
  server.go_down();
  expect_clean("error", api->send(loaded(), told).error().message());
  look();
  EXPECT_NE(out.str().find("POST /accounts/{token}/charges"), std::string::npos);
}

/// Plain words in all places: only who was told of them can take them out.
TEST_F(client_secrets, that_the_pipelines_redactor_knows_are_in_no_error_or_report) {
  const std::string word = "correcthorse";
  redaction rules;
  rules.literals = {hawser::secret(word)};
  auto policies = http::standard_pipeline("billing");
  policies.redact(make_redactor(rules));
  const client knowing(env, server.url(), policies);
  const auto clean = [&](const std::string& text) {
    EXPECT_EQ(text.find(word), std::string::npos) << text;
    EXPECT_NE(text.find("masked"), std::string::npos) << text;
  };
  const call_options named{.report = &report, .name = "GET /correcthorse", .correlation = word};

  server.script({plan::answer(400, R"({"title":"no correcthorse"})", "application/problem+json")});
  result<response> r = knowing.send(request::get("/x"), named);
  ASSERT_TRUE(r) << r.error().message();
  const std::string refused = r->ensure_success().error().message();
  EXPECT_EQ(refused.find(word), std::string::npos) << refused;
  EXPECT_NE(refused.find("\"no ***\""), std::string::npos) << refused;
  clean(report.to_string());
  EXPECT_EQ(report.operation, "GET /[masked]");

  const std::string body = R"({"correcthorse":"x"})";
  server.script({plan::answer(200, body), plan::answer(200, body), plan::answer(200, body)});
  using numbers = std::map<std::string, int>;
  clean(knowing.get("/x").as<numbers>().error().message());
  r = knowing.send(request::get("/x"));
  clean(r->as<numbers>().error().message());
  clean(r->as<numbers>(http::limits{}).error().message());
  response reused;
  ASSERT_TRUE(knowing.send(request::get("/x"), reused));
  clean(reused.as<numbers>().error().message());

  // Refused before it began.
  r = knowing.send(request::get("/x").param(word, "1"), named);
  ASSERT_TRUE(r.has_error());
  clean(r.error().message());
  clean(report.to_string());
}

TEST_F(client_secrets, in_bad_requests_and_base_urls_are_in_no_error) {
  const auto clean = [&](request what) {
    const result<response> r = api->send(std::move(what), told);
    ASSERT_TRUE(r.has_error());
    expect_clean("error", r.error().message());
    expect_clean("report", report.to_string());
  };
  clean(loaded().param("other", "s3cr3t"));
  clean(loaded().header("s3cr3t name", "s3cr3t value"));
  clean(loaded().header("X", "s3cr3t\n"));
  clean(loaded().idempotency_key("s3cr3t \n"));
  clean(request::get("/?token=s3cr3t|"));
  clean(request::post("/x").header("Idempotency-Key", "s3cr3t").idempotency_key("k"));
  for (const std::string url :
       {"http://u:s3cr3t@127.0.0.1/", "http://127.0.0.1/?token=s3cr3t", "s3cr3t://127.0.0.1/",
        "http://127.0.0.1:s3cr3t/", "http://u:s3cr3t@127.0.0.1:99999/"}) {
    try {
      const client other(env, url);
      ADD_FAILURE() << "accepted";
    } catch (const call_error& e) {
      if (url.find("s3cr3t://") != 0) expect_clean("exception", e.what());
      EXPECT_EQ(e.code(), errc::invalid_url);
    }
  }
  EXPECT_EQ(server.counters().requests, 0u);
}

}  // namespace
}  // namespace hawser::test::client_secrets_test
