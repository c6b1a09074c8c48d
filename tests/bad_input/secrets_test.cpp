// Secrets in every disguise a log line, a body or a URL may hold them in; and planted in whatever
// of a call people get to read. None may come out.
#include "bad_input/refusal.hpp"
#include "hawser/hawser.hpp"
#include "hawser/observe/redactor.hpp"
#include "hawser/testing/manual_environment.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <stdexcept>

namespace hawser::test::secrets_test {
namespace {

using namespace std::string_literals;

std::string base64(std::string_view text, bool for_urls = false) {
  const std::string_view digits =
      for_urls ? "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
               : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += 3) {
    const std::string_view block = text.substr(i, 3);
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k)
      bits = bits << 8U | (k < block.size() ? static_cast<unsigned char>(block[k]) : 0U);
    for (std::size_t k = 0; k <= block.size(); ++k) out += digits[bits >> (18 - 6 * k) & 63U];
    if (!for_urls) out.append(3 - block.size(), '=');
  }
  return out;
}

/// Every byte as `format`, a printf one for an unsigned.
std::string each_as(std::string_view text, const char* format) {
  std::string out;
  for (const char c : text) {
    char one[16];
    std::snprintf(one, sizeof one, format, static_cast<unsigned>(static_cast<unsigned char>(c)));
    out += one;
  }
  return out;
}

TEST(Disguises, OfNamesDoNotSaveTheirValues) {
  const redactor masks;
  const char* const texts[] = {
      "Authorization: Bearer s3cr3t",
      "AUTHORIZATION:bearer s3cr3t",
      "authorization = Basic s3cr3tABC123",
      "Proxy-Authorization: Digest username=\"u\", response=\"s3cr3t\"",
      "X-Api-Key : s3cr3t",
      "x_api_key=s3cr3t",
      "Cookie: a=1; session=s3cr3t",
      "Set-Cookie: id=s3cr3t; Path=/; HttpOnly",
      "Cookie: a=1;\r\n s3cr3t=2",
      "GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer s3cr3t\r\n\r\n",
      "curl -H 'Authorization: Bearer s3cr3t' https://a.test",
      "curl -H \"X-Api-Key: s3cr3t\" https://a.test",
      "password: s3cr3t",
      "password=s3cr3t",
      "PASSWORD = \"s3cr3t\"",
      "db.password='s3cr3t'",
      "--password=s3cr3t",
      "password => s3cr3t",
      "password := s3cr3t",
      "client_secret: 's3cr3t'",
      "clientSecret=s3cr3t",
      "Pwd=s3cr3t;Server=x",
      "<password>s3cr3t</password>",
      "<ns:password type=\"x\">s3cr3t</ns:password>",
      "<password><![CDATA[s3cr3t]]></password>",
      "<user password=\"s3cr3t\"/>",
      "postgres://user:s3cr3t@db.test/x",
      "redis://:s3cr3t@db.test",
      "https://s3cr3t@a.test/",
      "//user:s3cr3t@intranet/",
      "see //s3cr3t@intranet/",
      "https:\\/\\/user:s3cr3t@a.test",
      "https%3A%2F%2Fuser%3As3cr3t%40a.test%2F",
      "https://a.test/?access_token=s3cr3t&x=1",
      "https://a.test/?pass%77ord=s3cr3t",
      "https://a.test/?user[password]=s3cr3t",
      "https://a.test/?user%5Bpassword%5D=s3cr3t",
      "https://a.test/#access_token=s3cr3t",
      "https://a.test/p;jsessionid=s3cr3t?x",
      "{\"password\":\"s3cr3t\"}",
      "{\"password\": \"a\\\"s3cr3t\"}",
      "{\"pass\\u0077ord\":\"s3cr3t\"}",
      "{\"body\":\"{\\\"password\\\":\\\"s3cr3t\\\"}\"}",
      "{\"b\":\"{\\\"b\\\":\\\"{\\\\\\\"password\\\\\\\":\\\\\\\"s3cr3t\\\\\\\"}\\\"}\"}",
      "{'password': 's3cr3t'}",
      "{\"password\":[\"s3cr3t\"]}",
      "{\"password\":{\"a\":\"s3cr3t\"}}",
      "body was {\"token\":\"s3cr3t",
      "password=s3cr3t&user=x",
      "user=x&password=s3cr3t",
      "form: user%3Dx%26password%3Ds3cr3t",
      "error: bad token: s3cr3t",
  };
  for (const std::string text : texts) {
    EXPECT_EQ(masks.text(text).find(planted), std::string::npos) << text << "\n"
                                                                 << masks.text(text);
    const std::string quoted = "\"" + text + "\"";
    EXPECT_EQ(masks.text(quoted).find(planted), std::string::npos) << masks.text(quoted);
    const std::string within = "attempt 3 failed (" + text + ")\n";
    EXPECT_EQ(masks.text(within).find(planted), std::string::npos) << masks.text(within);
  }
}

TEST(Disguises, OfNamesInBodiesAndUrls) {
  const redactor masks;
  const std::string json[] = {
      R"({"password":"s3cr3t"})",
      R"({"a":[{"b":{"Client-Secret":"s3cr3t"}}]})",
      R"({"pass\u0077ord":"s3cr3t"})",
      R"({"\u0070assword":"\u0073\u0033cr3t"})",
      R"({"password":["s3cr3t",{"x":"s3cr3t"}]})",
      R"({"old_passwords":["s3cr3t"],"clientSecrets":{"a":"s3cr3t"}})",
      R"({"payload":"{\"password\":\"s3cr3t\"}"})",
      R"({"headers":[{"name":"X-Api-Key","value":"s3cr3t"},{"name":"cookie","value":"s3cr3t"}]})",
      R"({"env":[{"name":"DB_PASSWORD","secure":true,"value":"s3cr3t"}]})",
      R"([{"key":"client_secret","value":["s3cr3t"]}])",
      R"({"payload":"user=x&password=s3cr3t"})",
      R"({"url":"https://user:s3cr3t@a.test/"})",
      R"({"url":"https:\/\/user:s3cr3t@a.test\/"})",
      R"({"url":"//user:s3cr3t@intranet/"})",
      R"({"header":"Authorization: Bearer s3cr3t"})",
      R"({"PASSWORD":"s3cr3t","password":"s3cr3t"})",
      R"({"password":"s3cr3t",)",
      R"({"password":"s3cr3t"} trailing)",
      R"(s3cr3t)",
  };
  for (const std::string& text : json) {
    EXPECT_EQ(masks.json(text).find(planted), std::string::npos) << masks.json(text);
    EXPECT_EQ(masks.body("application/problem+json; charset=utf-8", text).find(planted),
              std::string::npos);
    EXPECT_EQ(masks.body("application/octet-stream", text).find(planted), std::string::npos);
    EXPECT_EQ(masks.body("", text).find(planted), std::string::npos);
  }
  const std::string urls[] = {
      "https://user:s3cr3t@a.test/",
      "https://user:s3cr3t@a.test:65536/",
      "//user:s3cr3t@a.test",
      "user:s3cr3t@a.test",
      "https://user:p@ss:s3cr3t@a.test/",
      "https://user:s3cr3t/x@a.test/",
      "https://a.test/?token=s3cr3t",
      "https://a.test/?TOKEN=s3cr3t#x",
      "https://a.test/?a=1;token=s3cr3t",
      "https://a.test/?to%6ben=s3cr3t",
      "https://a.test/?to%256ben=s3cr3t",
      "https://a.test/?x[token]=s3cr3t",
      "https://a.test/?next=https%3A%2F%2Fuser%3As3cr3t%40b.test",
      "https://a.test/?next=//user:s3cr3t@intranet",
      "https://a.test/?next=%2F%2Fuser%3As3cr3t%40intranet",
      "https://a.test/?next=%2F%3Ftoken%3Ds3cr3t",
      "https://a.test/#token=s3cr3t",
      "/?token=s3cr3t",
      "?token=s3cr3t",
  };
  for (const std::string& text : urls)
    EXPECT_EQ(masks.url(text).find(planted), std::string::npos) << masks.url(text);
  for (const std::string name : {"authorization", "AUTHORIZATION", "Proxy-Authorization", "cookie",
                                 "Set-Cookie", "X-API-KEY", "x-auth-token", "Idempotency-Key",
                                 "X-Amz-Security-Token", "Stripe-Signature", "X_Api_Key"}) {
    EXPECT_EQ(masks.header(name, "s3cr3t").find(planted), std::string::npos) << name;
    EXPECT_EQ(masks.header(name, "Bearer s3cr3t, s3cr3t").find(planted), std::string::npos) << name;
    EXPECT_EQ(masks.header(name, "a=1; s3cr3t=2").find(planted), std::string::npos) << name;
  }
}

TEST(Disguises, OfKnownValuesAreSeenThrough) {
  const std::string key = "hunter2/+s3cr3t";
  redaction o;
  o.literals = {secret(key)};
  const redactor masks(o);
  const std::vector<std::string> disguises = {
      key,
      each_as(key, "%%%02x"),
      each_as(key, "%%%02X"),
      each_as(key, "%%25%02x"),
      each_as(key, "\\u%04x"),
      each_as(key, "\\u%04X"),
      each_as(key, "\\\\u%04x"),
      each_as(key, "%02x"),
      each_as(key, "%02X"),
      base64(key),
      base64("u:" + key),
      base64("us:" + key + ":x"),
      base64("use:" + key),
      base64(key, true),
      base64("user:" + key, true),
      "hunter2\\/+s3cr3t",
      "hunter2%2F%2Bs3cr3t",
      "hunter2%2f%2bs3cr3t",
      "hunter2/\\u002bs3cr3t",
  };
  for (const std::string& disguise : disguises) {
    const std::string carriers[] = {
        disguise,
        "x " + disguise + " y",
        "https://a.test/" + disguise + "/x",
        "https://a.test/?q=" + disguise,
        "{\"note\":\"" + disguise + "\"}",
        "Note: " + disguise,
        disguise + disguise,
    };
    for (const std::string& text : carriers)
      for (const std::string& masked :
           {masks.text(text), masks.url(text), masks.json(text), masks.header("Note", text),
            masks.body("text/plain", text), masks.form(text)}) {
        EXPECT_EQ(masked.find(disguise), std::string::npos) << masked;
        EXPECT_EQ(masked.find(planted), std::string::npos) << masked;
      }
  }
}

// --- what people read of a call ----------------------------------------------------------------

struct told_calls : ::testing::Test {
  testing::manual_environment env;
  pipeline api = pipeline_builder("billing").add(retry{.max_attempts = 2}).build(env);
  call_report report;

  void expect_clean(const std::string& text) {
    EXPECT_EQ(text.find(planted), std::string::npos) << text;
  }
};

TEST_F(told_calls, hide_secrets_in_what_a_callable_throws) {
  const std::string texts[] = {
      "login failed for https://user:s3cr3t@a.test/",
      "401 with Authorization: Bearer s3cr3t",
      "{\"password\":\"s3cr3t\"}",
      "token=s3cr3t",
  };
  for (const std::string& text : texts) {
    const result<int> r =
        api.execute([&]() -> int { throw std::runtime_error(text); }, {.report = &report});
    ASSERT_TRUE(r.has_error());
    EXPECT_EQ(r.error(), errc::operation_threw);
    expect_clean(r.error().message());
    expect_clean(report.to_string());
    // What a policy ended the call with tells of the exception that is nested in it.
    try {
      static_cast<void>(api.execute_or_throw([&]() -> int { throw std::runtime_error(text); },
                                             {.effect = effect::unsafe}));
      ADD_FAILURE();
    } catch (const call_error& e) {
      EXPECT_EQ(e.why(), errc::outcome_unknown);
      expect_clean(e.what());
    }
  }
}

TEST_F(told_calls, hide_secrets_in_names_and_ids_and_stay_on_their_lines) {
  const std::string name = "charge token=s3cr3t\nforged: line";
  const std::string id = "Bearer s3cr3t\r\nforged: line\x1b[2J";
  const result<int> r = api.execute([]() -> result<int> { return error(errc::server_error); },
                                    {.report = &report, .name = name, .correlation = id});
  ASSERT_TRUE(r.has_error());
  const std::string text = report.to_string();
  expect_clean(text);
  EXPECT_EQ(text.find("\nforged"), std::string::npos) << text;
  EXPECT_EQ(text.find('\r'), std::string::npos) << text;
  EXPECT_EQ(text.find('\x1b'), std::string::npos) << text;
  EXPECT_NE(text.find("charge"), std::string::npos) << "the rest is there: " << text;
  expect_clean(r.error().message());
}

TEST_F(told_calls, say_that_options_were_wrong_when_a_callable_throws_that) {
  const result<int> r = api.execute(
      []() -> int { throw config_error("retry.max_attempts", "0", "must be 1 to 100"); });
  ASSERT_TRUE(r.has_error());
  expect_refusal(r.error(), {errc::invalid_options,
                             {condition::invalid_input},
                             "retry.max_attempts = 0",
                             "must be 1 to 100"});
}

TEST(ConfigError, ShowsWhatItWasGivenOnOneLineAndNotAllOfIt) {
  const config_error odd("a.b", "x\r\ny\0z\x1b\xff"s, "must be other");
  EXPECT_STREQ(odd.what(), "a.b = x\\x0d\\x0ay\\x00z\\x1b\\xff: must be other");
  const config_error large("a.b", std::string(1'000'000, 'x'), "must be short");
  EXPECT_LT(std::string(large.what()).size(), 400u);
  EXPECT_NE(std::string(large.what()).find("must be short"), std::string::npos);
}

}  // namespace
}  // namespace hawser::test::secrets_test
