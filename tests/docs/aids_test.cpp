// What docs/guide/fault_server.md and docs/guide/masking.md quote.
#include "hawser/http/client.hpp"
#include "hawser/http/json.hpp"
#include "hawser/log/log_observer.hpp"
#include "hawser/log/masking_sink.hpp"
#include "hawser/observe/redactor.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/run/execute.hpp"
#include "hawser/testing/fault_server.hpp"

#include <gtest/gtest.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>

#include <chrono>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

using namespace std::chrono_literals;

namespace aids_test {
namespace {

/// Somebody's integration under test.
void charge(const std::string& url, const std::string& order) {
  hawser::environment env;
  const hawser::http::client api{env, url, hawser::http::standard_pipeline("gateway")};
  const auto paid = api.send(
      hawser::http::request::post("/v1/charges").json({{"order", order}}).idempotency_key(order));
  ASSERT_TRUE(paid.has_value()) << paid.error().message();
  EXPECT_EQ(paid->body(), R"({"id":"ch_1"})");
}

TEST(fault_server, in_a_test) {
  using hawser::testing::plan;

  hawser::testing::fault_server server;  // a free port, one thread of its own
  server.script({
      plan::answer(503),                                         // the first request
      plan::answer(201, R"({"id":"ch_1"})").book().reset_at(0),  // the second: charged, never told
      plan::answer(201, R"({"id":"ch_2"})").book(),  // the third: the same key gets ch_1
  });

  charge(server.url(), "o-1");  // your integration

  EXPECT_EQ(server.ledger().bookings, 1u);
  EXPECT_EQ(server.ledger().double_bookings, 0u);
  EXPECT_EQ(server.script_left(), 0u);
}

TEST(fault_server, waiting_without_sleeping) {
  hawser::testing::fault_server server;
  server.script({hawser::testing::plan::stall()});
  hawser::environment env;
  hawser::http::client api{env, server.url()};
  api.async_send(hawser::http::request::get("/"), [](hawser::result<hawser::http::response>) {});
  EXPECT_TRUE(server.wait_for([](const auto& c) { return c.stalls == 1; }, 10s));
  api.close();
}

TEST(fault_server, tls) {
  hawser::environment env;
  hawser::testing::fault_server_options options;
  options.tls.emplace();
  options.tls->leaf = hawser::testing::expired_leaf();
  hawser::testing::fault_server server{std::move(options)};

  hawser::http::client_options trusting;
  trusting.tls.ca_pem = server.authority()->certificate();  // trusted, and refused all the same
  const hawser::http::client api{env, server.url(), hawser::http::standard_pipeline("tls"),
                                 trusting};
  EXPECT_TRUE(api.get("/").send().error() == hawser::errc::certificate_expired);
}

std::string read_key() { return "s3cr3t-value"; }
std::string load_masking_key() { return "0123456789abcdef"; }
std::string sign(std::string_view key) { return std::string(key.size(), '*'); }

TEST(masking, by_shape_and_name) {
  auto masks = hawser::make_redactor();
  EXPECT_EQ(masks->header("Authorization", "Bearer eyJ..."), "Bearer [masked]");
  EXPECT_EQ(masks->url("https://u:p@host/?token=abc&page=2"),
            "https://[masked]@host/?token=[masked]&page=2");
  EXPECT_EQ(masks->json(R"({"user":{"name":"bob","pin":1234}})"),
            R"({"user":{"name":"bob","pin":"[masked]"}})");
  EXPECT_EQ(masks->text("paid with 4111 1111 1111 1111"), "paid with [masked]");
}

TEST(masking, own_variables) {
  const hawser::secret key{read_key()};  // copies share one buffer, wiped when the last one goes
  sign(key.expose());                    // the one way to the bytes: reviews search for it
  hawser::redaction options;
  options.literals = {key};
  auto masks = hawser::make_redactor(options);
  EXPECT_EQ(masks->text("got " + read_key()), "got [masked]");
}

TEST(masking, errors_of_a_pipeline) {
  hawser::environment env;
  hawser::redaction options;
  options.literals = {hawser::secret{read_key()}};
  auto masks = hawser::make_redactor(options);
  auto billing = hawser::pipeline_builder{"billing"}
                     .add(hawser::retry{.max_attempts = 2})
                     .redact(masks)
                     .calls_are(hawser::effect::safe)
                     .build(env);
  auto r =
      billing.execute([]() -> int { throw std::runtime_error("login failed for " + read_key()); });
  EXPECT_EQ(r.error().detail(),
            "login failed for [masked]; retry: 2 of 2 tries made, after 2 attempts (1 retry)");
}

TEST(masking, rules) {
  hawser::redaction options;
  options.fields.add = {{"nickname"}, {"pan", hawser::mask_style::last_four}};
  options.parameters.remove = {"code"};
  options.patterns.email = std::nullopt;  // off
  options.patterns.card = hawser::mask_style::keyed_hash;
  options.hash_key_id = "k1";                             // names the key in the mark
  options.hash_key = hawser::secret{load_masking_key()};  // at least 16 bytes
  const auto masks = hawser::make_redactor(options);
  EXPECT_EQ(masks->url("/a?code=7"), "/a?code=7");
  EXPECT_EQ(masks->text("mail a@b.example"), "mail a@b.example");
  EXPECT_EQ(masks->text("4111 1111 1111 1111").find("[hmac:k1:"), 0u);
  EXPECT_EQ(masks->json(R"({"pan":"4111111111111111","nickname":"x"})"),
            R"({"pan":"[...1111]","nickname":"[masked]"})");
}

TEST(masking, spdlog) {
  std::ostringstream out;
  auto file_sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(out);
  hawser::pipeline_builder builder{"billing"};
  auto masks = hawser::make_redactor();
  auto sink = hawser::log::make_masking_sink(file_sink, masks);  // in front of any sink
  auto logger = std::make_shared<spdlog::logger>("app", sink);
  builder.observe(std::make_shared<hawser::log::log_observer>(logger, masks));
  hawser::environment env;
  EXPECT_EQ(builder.build(env)
                .execute([] { return 1; }, {.name = "POST /v1/charges", .correlation = "7f3a"})
                .value(),
            1);
  EXPECT_NE(out.str().find("info] call_finished correlation=7f3a pipeline=billing operation=\"POST "
                           "/v1/charges\" attempt=1 "),
            std::string::npos)
      << out.str();
}

}  // namespace
}  // namespace aids_test
