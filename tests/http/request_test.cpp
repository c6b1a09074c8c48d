#include "hawser/http/request.hpp"

#include "hawser/http/client.hpp"
#include "hawser/http/json.hpp"
#include "http/expect_error.hpp"

#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::test::request_test {
namespace {

using http::method;
using http::request;

struct charge {
  int amount = 0;
  std::string currency;
};
void to_json(nlohmann::json& to, const charge& from) {
  to = {{"amount", from.amount}, {"currency", from.currency}};
}

struct thrower {};
void to_json(nlohmann::json&, const thrower&) { throw std::runtime_error("s3cr3t"); }

void expect_problem(const request& r, errc code, std::initializer_list<std::string_view> words) {
  ASSERT_TRUE(r.problem());
  expect_error(*r.problem(), code, condition::invalid_input, words);
  EXPECT_TRUE(r.target().error() == *r.problem());  // nothing goes out
}

TEST(Request, IsBuiltInOneExpression) {
  const auto r = request::post("/v1/accounts/{id}/charges?v=2")
                     .param("id", "a/1")
                     .query("trace", "on & off")
                     .header("Accept", "application/json")
                     .body("{}", "application/json")
                     .idempotency_key("order-7");
  EXPECT_FALSE(r.problem());
  EXPECT_EQ(r.method(), method::post);
  EXPECT_EQ(r.target().value(), "/v1/accounts/a%2F1/charges?v=2&trace=on%20%26%20off");
  EXPECT_EQ(r.route(), "/v1/accounts/{id}/charges");
  EXPECT_EQ(r.name(), "POST /v1/accounts/{id}/charges");
  EXPECT_EQ(r.headers().find("accept"), "application/json");
  EXPECT_EQ(r.headers().find("content-type"), "application/json");
  EXPECT_EQ(r.body(), "{}");
  EXPECT_TRUE(r.has_body());
  EXPECT_EQ(r.idempotency_key(), "order-7");
}

TEST(Request, ANamedOneIsChangedInPlace) {
  request r = request::post("/v1/accounts/{id}/charges");
  r.param("id", "a/1").query("trace", "on");
  r.header("Accept", "application/json");
  r.json({{"amount", 7}});
  r.idempotency_key("order-7").effect(effect::keyed).name("charge");
  EXPECT_FALSE(r.problem());
  EXPECT_EQ(r.target().value(), "/v1/accounts/a%2F1/charges?trace=on");
  EXPECT_EQ(r.headers().find("accept"), "application/json");
  EXPECT_EQ(r.body(), R"({"amount":7})");
  EXPECT_EQ(r.idempotency_key(), "order-7");
  EXPECT_EQ(r.effect(), effect::keyed);
  EXPECT_EQ(r.name(), "charge");
  r.body("{}", "application/json");
  EXPECT_EQ(r.body(), "{}");
}

// Each setter there is, of a named request and of a temporary one, and of none that is const.
template <class R>
concept has_setters = requires(R&& r, const nlohmann::json& json, const charge& typed) {
  static_cast<R&&>(r).header("a", "b");
  static_cast<R&&>(r).query("a", "b");
  static_cast<R&&>(r).param("a", "b");
  static_cast<R&&>(r).params({{"a", "b"}});
  static_cast<R&&>(r).body("a", "b");
  static_cast<R&&>(r).json(json);
  static_cast<R&&>(r).json({{"a", 1}, {"b", {1, 2}}});
  static_cast<R&&>(r).json(typed);
  static_cast<R&&>(r).json("a", 1, "b", typed);
  static_cast<R&&>(r).idempotency_key("k");
  static_cast<R&&>(r).effect(effect::safe);
  static_cast<R&&>(r).name("a");
};
template <class R>
concept has_a_setter = requires(R r) {
  r.header("a", "b");
}
|| requires(R r) { r.query("a", "b"); }
|| requires(R r) { r.param("a", "b"); }
|| requires(R r) { r.params({{"a", "b"}}); }
|| requires(R r) { r.body("a", "b"); }
|| requires(R r) { r.json({{"a", 1}}); }
|| requires(R r) { r.json("a", 1); }
|| requires(R r, const charge& typed) { r.json(typed); }
|| requires(R r) { r.idempotency_key("k"); }
|| requires(R r) { r.effect(effect::safe); }
|| requires(R r) { r.name("a"); };

TEST(Request, SettersAreTheSameOnARequestAndOnOneOnItsWay) {
  EXPECT_TRUE(has_setters<request&>);
  EXPECT_TRUE(has_setters<request&&>);
  EXPECT_TRUE(has_setters<http::prepared&>);
  EXPECT_TRUE(has_setters<http::prepared&&>);
  EXPECT_FALSE(has_a_setter<const request&>);
  EXPECT_FALSE(has_a_setter<const http::prepared&>);
}

// One message, one of each (RFC 9110 section 5.3): the last word counts.
TEST(Request, SendsAFieldThatIsNoListOnce) {
  for (const char* name :
       {"User-Agent", "Authorization", "Proxy-Authorization", "Content-Type", "Content-Location",
        "From", "Referer", "Origin", "Date", "If-Modified-Since", "If-Unmodified-Since", "If-Range",
        "Range", "Max-Forwards"}) {
    std::string lower(name);
    for (char& c : lower) c = static_cast<char>(c | 0x20);
    const request r = request::get("/").header(name, "a").header("X", "y").header(lower, "b");
    EXPECT_EQ(r.headers().all(name), std::vector<std::string_view>{"b"}) << name;
  }
  for (const char* name : {"Accept", "Cache-Control", "If-None-Match", "Cookie", "X-Anything"})
    EXPECT_EQ(request::get("/").header(name, "a").header(name, "b").headers().all(name).size(), 2u)
        << name;
}

TEST(Request, TakesItsParametersAtOnce) {
  EXPECT_EQ(request::get("/u/{id}", {{"id", "a/b"}}).target().value(), "/u/a%2Fb");
  EXPECT_EQ(request(method("PURGE"), "/{a}/{b}", {{"b", "2"}, {"a", "1"}}).target().value(),
            "/1/2");
  const http::route_params many{{"a", "1"}, {"b", "2"}};
  EXPECT_EQ(request::put("/{a}/{b}", many).target().value(), "/1/2");
  EXPECT_EQ(request::put("/{a}/{b}").params({{"a", "1"}}).param("b", "2").target().value(), "/1/2");
  expect_error(request::get("/u/{id}", {{"id", ""}}).target().error(), errc::invalid_route,
               condition::invalid_input, {"id"});
  expect_error(request::get("/u/{id}", {{"", "x"}, {"id", "1"}}).target().error(),
               errc::invalid_route, condition::invalid_input, {});
}

TEST(Request, TakesTheMembersOfAJsonObjectOneByOne) {
  const auto r = request::post("/").json("order", std::string("o-1"), "cents", 1200, "paid", false,
                                         "charge", charge{7, "EUR"});
  EXPECT_EQ(
      nlohmann::json::parse(r.body()),
      nlohmann::json::parse(
          R"({"order":"o-1","cents":1200,"paid":false,"charge":{"amount":7,"currency":"EUR"}})"));
  EXPECT_EQ(r.headers().find("content-type"), "application/json");
  EXPECT_EQ(request::post("/").json("a", 1, "a", 2).body(), R"({"a":2})");
}

TEST(Request, MembersOfAJsonObjectAreCheckedAsAWholeOneIs) {
  expect_problem(request::post("/").json("name", "\xff"), errc::invalid_body, {"UTF-8"});
  expect_problem(request::post("/").json("\xff", 1), errc::invalid_body, {"UTF-8"});
  expect_problem(request::post("/").json("a", thrower{}), errc::invalid_body, {});
  nlohmann::json deep = 1;
  for (int i = 0; i < 1000; ++i) deep = nlohmann::json::array({std::move(deep)});
  expect_problem(request::post("/").json("a", deep), errc::invalid_body, {});
  EXPECT_FALSE(request::post("/").json("a", deep.at(0)).problem());
}

TEST(Request, HasABuilderForEachMethod) {
  EXPECT_EQ(request::get("/").method(), method::get);
  EXPECT_EQ(request::head("/").method(), method::head);
  EXPECT_EQ(request::post("/").method(), method::post);
  EXPECT_EQ(request::put("/").method(), method::put);
  EXPECT_EQ(request::patch("/").method(), method::patch);
  EXPECT_EQ(request::delete_("/").method(), method::delete_);
  EXPECT_EQ(request::options("*").method(), method::options);
  EXPECT_EQ(request::options("*").target().value(), "*");
  EXPECT_EQ(request(method("PURGE"), "/x").name(), "PURGE /x");
}

TEST(Request, NamedOnesAreChangedInPlace) {
  request r = request::get("/x");
  std::move(r).header("A", "1").query("b", "2");
  EXPECT_EQ(r.headers().find("A"), "1");
  EXPECT_EQ(r.target().value(), "/x?b=2");
}

TEST(Request, QueryJoinsWhatIsThere) {
  EXPECT_EQ(request::get("/x?").query("a", "1").target().value(), "/x?a=1");
  EXPECT_EQ(request::get("/x?a=1").query("b", "").target().value(), "/x?a=1&b=");
  EXPECT_EQ(request::get("/x?a=1&").query("b", "2").target().value(), "/x?a=1&b=2");
  EXPECT_EQ(request::get("/x").query("q", "?&=#\r\n").target().value(), "/x?q=%3F%26%3D%23%0D%0A");
}

TEST(Request, TargetToAppends) {
  std::string out = "/base";
  ASSERT_TRUE(request::get("/x").query("a", "1").target_to(out));
  EXPECT_EQ(out, "/base/x?a=1");
}

TEST(Request, EffectFollowsMethodKeyAndOverride) {
  EXPECT_TRUE(request::get("/").effect() == effect::safe);
  EXPECT_TRUE(request::put("/").effect() == effect::idempotent);
  EXPECT_TRUE(request::post("/").effect() == effect::unsafe);
  EXPECT_TRUE(request::post("/").idempotency_key("k").effect() == effect::keyed);
  EXPECT_TRUE(request::put("/").idempotency_key("k").effect() == effect::idempotent);
  EXPECT_TRUE(request::post("/search").effect(effect::safe).effect() == effect::safe);
}

TEST(Request, TakesJsonFromValuesAndTypes) {
  const auto a = request::post("/").json({{"a", 1}});
  EXPECT_EQ(a.body(), R"({"a":1})");
  EXPECT_EQ(a.headers().find("Content-Type"), "application/json");
  EXPECT_EQ(request::post("/").json(charge{100, "EUR"}).body(),
            R"({"amount":100,"currency":"EUR"})");
  EXPECT_EQ(request::post("/").json(std::map<std::string, int>{{"x", 1}}).body(), R"({"x":1})");
  EXPECT_EQ(request::post("/")
                .header("Content-Type", "application/merge-patch+json")
                .json(nlohmann::json::object())
                .headers()
                .all("content-type"),
            (std::vector<std::string>{"application/merge-patch+json"}));
}

TEST(Request, RefusesJsonThatIsNone) {
  expect_problem(request::post("/").json(nlohmann::json("\xFF s3cr3t")), errc::invalid_body,
                 {"UTF-8", "base64"});
  expect_problem(request::post("/").json(thrower{}), errc::invalid_body, {"to_json"});
}

/// Arrays, objects, or both in turn, inside each other.
nlohmann::json nested(std::size_t levels, std::string_view open, std::string_view close) {
  std::string text;
  for (std::size_t i = 0; i < levels; ++i) text += open;
  text += '1';
  for (std::size_t i = 0; i < levels; ++i) text += close;
  return nlohmann::json::parse(text);
}

TEST(Request, RefusesJsonThatIsTooDeepToBeWritten) {
  const struct {
    std::string_view open;
    std::string_view close;
    std::size_t levels_each;
    std::string_view where;
  } shapes[] = {
      {"[", "]", 1, "below /0/0/0/0/0/0/0/0/..."},
      {"{\"a\":", "}", 1, "below /a/a/a/a/a/a/a/a/..."},
      {"[{\"a\":", "}]", 2, "below /0/a/0/a/0/a/0/a/..."},
      {"[1,{\"b\":2,\"c\":", ",\"d\":4},3]", 2, "below /1/c/1/c/1/c/1/c/..."},
  };
  for (const auto& s : shapes) {
    SCOPED_TRACE(s.open);
    const auto deepest = nested(1000 / s.levels_each, s.open, s.close);
    const request fine = request::post("/").json(deepest);
    EXPECT_FALSE(fine.problem());
    EXPECT_EQ(fine.body(), deepest.dump());
    for (const std::size_t levels : {1000 / s.levels_each + 1, 100'000 / s.levels_each}) {
      const auto deep = nested(levels, s.open, s.close);
      const request refused = request::post("/").json(deep);
      expect_problem(refused, errc::invalid_body,
                     {"deeper than 1000 levels", s.where, "flatten it"});
      EXPECT_FALSE(refused.has_body());
    }
  }
  nlohmann::json inside{{"id", 7}, {"s3cr3t key", nullptr}, {"x/y", nlohmann::json::array()}};
  inside["x/y"].push_back(nested(1000, "[", "]"));
  expect_problem(request::post("/").json(inside), errc::invalid_body, {"below /x~1y/0/0/0/"});
}

/// A to_json that makes a value as deep as this says.
struct deep {
  std::size_t levels;
};
void to_json(nlohmann::json& to, const deep& from) { to = nested(from.levels, "[", "]"); }

TEST(Request, RefusesJsonOfOtherTypesThatIsTooDeepToBeWritten) {
  EXPECT_FALSE(request::post("/").json(deep{1000}).problem());
  EXPECT_FALSE(request::post("/").json(nlohmann::ordered_json(nested(1000, "[", "]"))).problem());
  for (const std::size_t levels : {1001u, 100'000u}) {
    SCOPED_TRACE(levels);
    expect_problem(request::post("/").json(deep{levels}), errc::invalid_body,
                   {"deeper than 1000 levels", "below /0/0/", "flatten it"});
    const std::string text = std::string(levels, '[') + std::string(levels, ']');
    expect_problem(request::post("/").json(nlohmann::ordered_json::parse(text)), errc::invalid_body,
                   {"deeper than 1000 levels", "below /0/0/", "flatten it"});
  }
}

TEST(Request, RefusesBadHeaders) {
  expect_problem(request::get("/").header("X-A", "s3cr3t\r\nEvil: 1"), errc::invalid_header,
                 {"\"X-A\"", "0x0D", "remove"});
  expect_problem(request::get("/").header("X\nA", "s3cr3t"), errc::invalid_header,
                 {"0x0A at offset 1", "names are"});
  expect_problem(request::get("/").header(std::string_view("X\0A", 3), "s3cr3t"),
                 errc::invalid_header, {"0x00 at offset 1", "names are"});
  expect_problem(request::get("/").header("X-A", std::string_view("s3cr3t\0", 7)),
                 errc::invalid_header, {"\"X-A\"", "0x00 at offset 6", "remove"});
  expect_problem(request::post("/").body("", "text/plain\r\nX: s3cr3t"), errc::invalid_header,
                 {"\"Content-Type\"", "0x0D", "remove"});
}

TEST(Request, RefusesFramingHeaders) {
  for (const char* name : {"Content-Length", "Transfer-Encoding", "Host", "Connection"})
    expect_problem(request::get("/").header(name, "s3cr3t"), errc::invalid_header,
                   {name, "leave it out"});
}

TEST(Request, RefusesBadTargets) {
  expect_problem(request::get(""), errc::invalid_url, {"empty", "write \"/\""});
  expect_problem(request::get("users"), errc::invalid_url, {"'/'", "the client has the host"});
  expect_problem(request::get("https://h/?t=s3cr3t"), errc::invalid_url, {"'/'", "path and query"});
  expect_problem(request::get("/a b"), errc::invalid_url, {"0x20 at offset 2", "percent-encode"});
  expect_problem(request::get("/a\r\nX: s3cr3t"), errc::invalid_url,
                 {"0x0D at offset 2", "percent-encode"});
  expect_problem(request::get(std::string_view("/\0", 2)), errc::invalid_url,
                 {"0x00 at offset 1", "percent-encode"});
  expect_problem(request::get("/a#b"), errc::invalid_url, {"'#' at offset 2", "%23"});
  expect_problem(request::get("/%zz"), errc::invalid_url, {"'%' at offset 1", "%25"});
  expect_problem(request::get("*"), errc::invalid_url, {"'/'", "path and query"});
}

TEST(Request, RefusesBadMethods) {
  expect_problem(request(method("GE T"), "/"), errc::invalid_method, {"letters"});
  expect_problem(request(method("GET\r\nX"), "/"), errc::invalid_method, {"such as"});
  expect_problem(request(method(""), "/"), errc::invalid_method, {"such as"});
  expect_problem(request(method("CONNECT"), "/"), errc::invalid_method, {"CONNECT", "tunnel"});
}

TEST(Request, RefusesAnEmptyKey) {
  expect_problem(request::post("/").idempotency_key(""), errc::invalid_idempotency_key,
                 {"empty", "give"});
}

TEST(Request, ReportsRouteErrorsWithTheTarget) {
  const auto r = request::get("/u/{id}").param("x", "s3cr3t");
  EXPECT_FALSE(r.problem());  // a parameter may still come
  expect_error(r.target().error(), errc::invalid_route, condition::invalid_input,
               {"\"x\"", "remove"});
}

TEST(Request, KeepsTheFirstProblem) {
  expect_problem(request::get("nope").header("X", "\r"), errc::invalid_url, {"'/'"});
}

TEST(Request, NamesHoldNoQueryAndNoBadBytes) {
  EXPECT_EQ(request::get("/s?token=s3cr3t").name(), "GET /s");
  EXPECT_EQ(request::get("/s\n").name(), "GET");
  EXPECT_EQ(request::get("/s").name("search").name(), "search");
}

}  // namespace
}  // namespace hawser::test::request_test
