// Every option and argument that a user's bytes reach: each gives one of our errors, on one
// printable line, or goes through unchanged. Nobody else's exception comes out.
#include "bad_input/on_fake_transport.hpp"
#include "hawser/http/json.hpp"
#include "hawser/http/retry_after.hpp"
#include "hawser/http/url.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::test::user_bytes_test {
namespace {

using http::client;
using http::client_options;
using http::idempotency_profile;
using http::request;
using http::url;

const std::vector<std::string>& odd_texts() {
  static const std::vector<std::string> texts{"",
                                              "\xff",
                                              "\xc3(",
                                              "\xed\xa0\x80",
                                              "a\r\nX-Evil: 1",
                                              "\n",
                                              std::string("a\0b", 3),
                                              "\x7f",
                                              "\t",
                                              " ",
                                              "caf\xc3\xa9",
                                              "/a\xff",
                                              "/a\r\nb",
                                              "/\xf0\x9f\x98\x80",
                                              "/~2",
                                              "/0/-",
                                              "%zz",
                                              "{",
                                              "}",
                                              "{a}",
                                              "\"",
                                              "\\",
                                              "/99999999999999999999999",
                                              "*",
                                              "..",
                                              "//",
                                              "/?",
                                              "/#",
                                              std::string(1024 * 1024, 'a'),
                                              "/" + std::string(1024 * 1024, '\xff')};
  return texts;
}

struct user_bytes : on_fake_transport {
  void expect_ours(const error& e) {
    EXPECT_STREQ(e.code().category().name(), "hawser") << e.message();
    expect_text(e.message(), "", "");
  }
  /// Whatever `use` does with a text, what comes out is ours.
  void feed(const char* what, const std::function<void(const std::string&)>& use) {
    SCOPED_TRACE(what);
    for (const std::string& text : odd_texts()) {
      SCOPED_TRACE(::testing::PrintToString(text.substr(0, 40)));
      try {
        use(text);
      } catch (const call_error& e) {
        expect_ours(e.why());
      } catch (const config_error& e) {
        expect_text(e.what(), "", "");
      } catch (const std::exception& e) {
        ADD_FAILURE() << e.what();
      }
    }
  }
  void send(const client& api, request what, call_options options = {}) {
    net->script({testing::scripted_exchange::answer(200)});
    call_report report;
    options.report = &report;
    if (const auto r = api.send(std::move(what), options); r.has_error()) expect_ours(r.error());
    const std::string story = report.to_string();
    EXPECT_EQ(story.find("\nX-Evil"), std::string::npos);
    net = std::make_shared<testing::fake_transport>(env);
  }
};

TEST_F(user_bytes, in_requests) {
  using text = const std::string&;
  feed("target", [&](text t) { send(make(), request::get(t)); });
  feed("method", [&](text t) { send(make(), request(http::method(t), "/")); });
  feed("parameter's name", [&](text t) { send(make(), request::get("/{a}").param(t, "x")); });
  feed("parameter", [&](text t) { send(make(), request::get("/{a}").param("a", t)); });
  feed("query's name", [&](text t) { send(make(), request::get("/").query(t, "x")); });
  feed("query", [&](text t) { send(make(), request::get("/").query("x", t)); });
  feed("header's name", [&](text t) { send(make(), request::get("/").header(t, "x")); });
  feed("header", [&](text t) { send(make(), request::get("/").header("x", t)); });
  feed("content type", [&](text t) { send(make(), request::post("/").body("x", t)); });
  feed("body", [&](text t) { send(make(), request::post("/").body(t, "text/plain")); });
  feed("JSON", [&](text t) { send(make(), request::post("/").json(nlohmann::json{{"a", t}})); });
  feed("JSON key", [&](text t) { send(make(), request::post("/").json(nlohmann::json{{t, 1}})); });
  feed("key", [&](text t) { send(make(), request::post("/").idempotency_key(t)); });
  feed("name", [&](text t) { send(make(), request::get("/").name(t)); });
  feed("call's name", [&](text t) { send(make(), request::get("/"), {.name = t}); });
  feed("correlation", [&](text t) {
    client_options o;
    o.correlation_header = "X-Id";
    send(make(o), request::get("/"), {.correlation = t});
  });
}

TEST_F(user_bytes, in_options) {
  using text = const std::string&;
  const auto with = [&](auto change) {
    return [this, change](text t) {
      client_options o;
      change(o, t);
      send(make(std::move(o)), request::post("/").body("{}", "application/json"));
    };
  };
  const auto over_tls = [&](auto change) {
    return [this, change](text t) {
      client_options o;
      change(o.tls, t);
      const client made(env, "https://localhost", http::standard_pipeline("api"), std::move(o));
    };
  };
  feed("base URL", [&](text t) { send(make({}, t), request::get("/")); });
  feed("base path", [&](text t) { send(make({}, "http://api.test/" + t), request::get("/")); });
  feed("default header", with([](client_options& o, text t) { o.default_headers.add("x", t); }));
  feed("default name", with([](client_options& o, text t) { o.default_headers.add(t, "x"); }));
  feed("correlation_header", with([](client_options& o, text t) { o.correlation_header = t; }));
  feed("attempt_header", with([](client_options& o, text t) { o.attempt_header = t; }));
  feed("profile.name", with([](client_options& o, text t) { o.idempotency = {.name = t}; }));
  feed("profile.header", with([](client_options& o, text t) { o.idempotency = {.header = t}; }));
  feed("profile.body_field",
       with([](client_options& o, text t) { o.idempotency = {.body_field = t}; }));
  feed("ca_file", over_tls([](http::tls_options& o, text t) { o.ca_file = t; }));
  feed("ca_pem", over_tls([](http::tls_options& o, text t) { o.ca_pem = t; }));
  feed("client_certificate_file", over_tls([](http::tls_options& o, text t) {
         o.client_certificate_file = t;
         o.client_key_file = t;
       }));
  feed("client_key_pem", over_tls([](http::tls_options& o, text t) {
         o.client_certificate_pem = t;
         o.client_key_pem = secret(t);
         o.key_password = secret(t);
       }));
}

// Profiles that nobody validated, and bodies from anywhere.
TEST_F(user_bytes, in_idempotency) {
  using text = const std::string&;
  const std::vector<std::string> bodies{"{}", "[]", "[{}]", "", "{\"a\":\xff}", R"({"a":[1]})"};
  for (const std::string& given : bodies) {
    feed("place", [&](text t) {
      idempotency_profile p = idempotency_profile::square();
      for (const std::string& place : {t, "/a" + t, t + "/key"}) {
        p.body_field = place;
        http::headers h;
        std::string body = given;
        if (const auto put = apply_idempotency_key(p, "k-1", h, body); !put) {
          expect_ours(put.error());
          EXPECT_EQ(body, given);
        }
        EXPECT_TRUE(idempotency_key_in(p, given).empty());
      }
    });
  }
  feed("body", [&](text t) {
    client_options o;
    o.idempotency = idempotency_profile::square();
    send(make(o), request::post("/").body(t, "application/json"));
    send(make(o), request::post("/").body("{\"a\":\"" + t + "\"}", "application/json"));
  });
  feed("name", [&](text t) {
    idempotency_profile p;
    p.name = t;
    expect_ours(check_idempotency_key(p, "").error());
  });
}

TEST_F(user_bytes, in_what_is_parsed) {
  feed("texts", [&](const std::string& t) {
    if (const auto r = url::parse(t); !r) expect_ours(r.error());
    if (const auto r = http::percent_decode(t); !r) expect_ours(r.error());
    if (const auto r = http::parse_json(t); !r) expect_ours(r.error());
    if (const auto r = http::expand_route(t, {{t, t}}); !r) expect_ours(r.error());
    EXPECT_FALSE(http::parse_retry_after(t, t));
  });
}

TEST_F(user_bytes, in_paths_stay_on_their_line) {
  for (const auto& [path, shown] : std::map<std::string, std::string>{
           {"/nowhere/a\r\nb", "'/nowhere/a\\x0d\\x0ab'"},
           {"/nowhere/\xff", "'/nowhere/\\xff'"},
           {std::string("/etc/passwd\0x", 13), "'/etc/passwd\\x00x': a path holds no NUL"}}) {
    client_options o;
    o.tls.ca_file = path;
    try {
      const client made(env, "https://localhost", http::standard_pipeline("api"), o);
      ADD_FAILURE() << shown;
    } catch (const call_error& e) {
      expect_refusal(
          e.why(), {errc::tls_bad_credentials, {condition::tls_failure}, shown, "check the path"});
    }
  }
}

TEST_F(user_bytes, a_place_in_bodies_is_utf8) {
  for (const char* place : {"/\xff", "/a/\xc3(", "/\xed\xa0\x80"}) {
    idempotency_profile p = idempotency_profile::square();
    p.body_field = place;
    expect_config_error([&] { validate(p); }, "idempotency_profile.body_field", "/", "in UTF-8");
  }
  idempotency_profile p = idempotency_profile::square();
  p.body_field = "/cl\xc3\xa9";
  validate(p);
  http::headers h;
  std::string body = "{}";
  ASSERT_TRUE(apply_idempotency_key(p, "k-1", h, body));
  EXPECT_EQ(body, "{\"cl\xc3\xa9\":\"k-1\"}");
  p.name = "two\nlines";
  expect_config_error([&] { validate(p); }, "idempotency_profile.name", "two\\x0alines",
                      "without control characters");
}

// RFC 3986 section 6.2.3: "http://h/b?" is not "http://h/b", nor is "//" the same as "/".
TEST_F(user_bytes, base_urls_are_kept_as_they_are_or_refused) {
  for (const auto& [base, culprit] :
       std::map<std::string, std::string>{{"http://api.test?", "empty query"},
                                          {"http://api.test/b?", "empty query"},
                                          {"http://api.test/b?a", "has a query"},
                                          {"http://api.test/b#", "fragment"},
                                          {"http://api.test/b#a", "fragment"}}) {
    try {
      const client made = make({}, base);
      ADD_FAILURE() << base;
    } catch (const call_error& e) {
      expect_refusal(e.why(), {errc::invalid_url, {condition::invalid_input}, culprit, "remove"});
    }
  }
  const struct {
    const char* base;
    const char* target;
    const char* sent;
  } rows[] = {
      {"http://api.test", "/x", "/x"},
      {"http://api.test/", "/x", "/x"},
      {"http://api.test//", "/x", "//x"},
      {"http://api.test/b", "/x", "/b/x"},
      {"http://api.test/b/", "/x", "/b/x"},
      {"http://api.test/b//", "/x", "/b//x"},
      {"http://api.test//b", "/x", "//b/x"},
      {"http://api.test/b", "//x", "/b//x"},
      {"http://api.test/a/../b", "/", "/a/../b/"},
      {"http://api.test/b", "/x?", "/b/x?"},
      {"http://api.test/b", "//", "/b//"},
  };
  for (const auto& row : rows) {
    net = std::make_shared<testing::fake_transport>(env);
    net->script({testing::scripted_exchange::answer(200)});
    ASSERT_TRUE(make({}, row.base).send(request::get(row.target)));
    EXPECT_EQ(net->requests().at(0).target, row.sent) << row.base << ' ' << row.target;
  }
  EXPECT_EQ(url::parse("http://h/b?")->target(), "/b?");
  EXPECT_EQ(url::parse("http://h/b?")->to_string(), "http://h/b?");
  EXPECT_EQ(url::parse("http://h/b")->target(), "/b");
  EXPECT_EQ(url::parse("http://h//b//")->target(), "//b//");
}

// --- what JSON cannot hold ----------------------------------------------------------------------

struct measured {
  double value;
};
void to_json(nlohmann::json& to, const measured& from) { to = {{"list", {1, from.value}}}; }

TEST_F(user_bytes, numbers_that_are_not_finite_are_refused) {
  const client api = make();
  const auto refused = [&](const request& what, std::string_view where) {
    expect_unsent(api, what,
                  {errc::invalid_body, {condition::invalid_input}, where, "leave it out"});
  };
  for (const double odd :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity()}) {
    refused(request::post("/").json(odd), "the document itself is a number that is not finite");
    refused(request::post("/").json(static_cast<float>(odd)), "the document itself");
    refused(request::post("/").json({{"a", {{"b/c", {1, 2, odd}}}}}), "field /a/b~1c/2");
    refused(request::post("/").json(nlohmann::ordered_json{{"z", odd}}), "field /z");
    refused(request::post("/").json(std::vector<double>{1, odd}), "field /1");
    refused(request::post("/").json(std::map<std::string, double>{{"a", 1}, {"b", odd}}),
            "field /b");
    refused(request::post("/").json(measured{odd}), "field /list/1");
  }
  for (const double fine :
       {0.0, -0.0, std::numeric_limits<double>::max(), std::numeric_limits<double>::denorm_min()})
    EXPECT_FALSE(request::post("/").json(fine).problem());
}

TEST_F(user_bytes, what_else_json_cannot_hold_is_refused) {
  const client api = make();
  const auto refused = [&](const request& what, std::string_view where, std::string_view remedy) {
    expect_unsent(api, what, {errc::invalid_body, {condition::invalid_input}, where, remedy});
  };
  refused(request::post("/").json({{"a", nlohmann::json::binary({1, 2})}}),
          "field /a is binary data", "base64");
  refused(request::post("/").json(nlohmann::json::parse("{", nullptr, false)),
          "the document itself is a discarded value", "check what was parsed");
  refused(request::post("/").json({{"a", {"x", "s3cr3t\xff"}}}), "field /a/1 is not UTF-8",
          "convert it");
  refused(request::post("/").json({{"a", {{"k\xff", 1}}}}), "field /a/k? is not UTF-8",
          "convert it");
}

TEST_F(user_bytes, incoming_numbers_that_are_too_large_are_refused) {
  for (const char* text : {"1e999", "-1e999", "[1e309]", "NaN", "[Infinity]", "-Infinity"})
    EXPECT_EQ(http::parse_json(text).error(), errc::json_malformed) << text;
}

}  // namespace
}  // namespace hawser::test::user_bytes_test
