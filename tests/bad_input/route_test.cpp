// Targets, route parameters, queries and methods: what does not fit is refused before anything is
// sent, naming the parameter and never its value; what fits arrives as one segment or one value.
#include "bad_input/on_fake_transport.hpp"

#include <gtest/gtest.h>

namespace hawser::test::route_test {
namespace {

using http::client;
using http::request;
using http::route_params;
using namespace std::string_literals;

struct bad_routes : on_fake_transport {
  client api = make();

  static request with(std::string_view target, const route_params& params) {
    request r = request::get(target);
    for (const auto& [name, value] : params) r = std::move(r).param(name, value);
    return r;
  }
  std::string sent(const request& what) {
    const result<http::response> r = api.send(what);
    EXPECT_TRUE(r) << r.error().message();
    return net->requests().back().target;
  }
};

TEST_F(bad_routes, name_the_parameter_and_the_remedy) {
  struct {
    std::string route;
    route_params params;
    std::string_view culprit;
    std::string_view remedy;
  } const rows[] = {
      {"/users/{id}", {}, "parameter \"id\" has no value", "give it with param()"},
      {"/users/{id}", {{"ID", "s3cr3t"}}, "parameter \"ID\" does not stand", "remove it"},
      {"/users/{id}", {{"id", "1"}, {"x", "s3cr3t"}}, "parameter \"x\" does not stand", "remove"},
      {"/users", {{"id", "s3cr3t"}}, "parameter \"id\" does not stand in the route", "remove it"},
      {"/users", {{"", "s3cr3t"}}, "a parameter does not stand in the route", "remove it"},
      {"/users", {{"s3cr3t value", "id"}}, "a parameter does not stand in the route", "remove it"},
      {"/u/{id}", {{"id", "1"}, {"id", "s3cr3t"}}, "parameter \"id\" is given twice", "once"},
      {"/users/{id}", {{"id", ""}}, "parameter \"id\" is empty", "give it a value"},
      {"/{a}/x", {{"a", ""}}, "parameter \"a\" is empty", "give it a value"},
      {"/{a}{b}", {{"a", ""}, {"b", ""}}, "parameter \"b\" is empty", "give it a value"},
      {"/users/{id}", {{"id", "."}}, "parameter \"id\" makes a \".\"", "another value"},
      {"/users/{id}", {{"id", ".."}}, "parameter \"id\" makes a \".\" or \"..\"", "another value"},
      {"/users/.{id}", {{"id", "."}}, "parameter \"id\" makes a \".\" or \"..\"", "another value"},
      {"/users/%2e{id}", {{"id", "."}}, "parameter \"id\" makes a \".\"", "another value"},
      {"/{a}{b}/", {{"a", "."}, {"b", "."}}, "parameter \"b\" makes a \".\"", "another value"},
      {"/users/{id", {{"id", "s3cr3t"}}, "does not stand in the route", "in braces"},
      {"/users/{id", {}, "'{' at offset 7 is not closed", "write %7B"},
      {"/users/id}", {}, "'}' at offset 9 without '{'", "write %7D"},
      {"/users/{{id}}", {{"id", "1"}}, "'{' at offset 7 is not closed", "write %7B"},
      {"/users/{}", {}, "at offset 7 hold no parameter name", "names are letters"},
      {"/users/{i+d}", {}, "at offset 7 hold no parameter name", "names are letters"},
      {"/users?x={id}", {}, "parameter \"id\" has no value", "give it with param()"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.route);
    expect_unsent(api, with(row.route, row.params),
                  {errc::invalid_route, {condition::invalid_input}, row.culprit, row.remedy});
    const result<std::string> alone = http::expand_route(row.route, row.params);
    ASSERT_TRUE(alone.has_error());
    EXPECT_EQ(alone.error(), errc::invalid_route);
  }
}

TEST_F(bad_routes, a_target_is_path_and_query_only) {
  struct {
    std::string target;
    std::string_view culprit;
    std::string_view remedy;
  } const rows[] = {
      {"", "target is empty", "write \"/\""},
      {"users", "does not begin with '/'", "path and query only"},
      {"?a=b", "does not begin with '/'", "path and query only"},
      {"*", "does not begin with '/'", "path and query only"},
      {"http://user:s3cr3t@other.test/", "does not begin with '/'", "the client has the host"},
      {"/a b", "byte 0x20 at offset 2", "percent-encode it"},
      {"/a\r\nHost: evil.test", "byte 0x0D at offset 2", "percent-encode it"},
      {"/a HTTP/1.1\r\n\r\nGET /s3cr3t", "byte 0x20 at offset 2", "percent-encode it"},
      {"/a\0"s, "byte 0x00 at offset 2", "percent-encode it"},
      {"/\xc3\xa9", "byte 0xC3 at offset 1", "percent-encode it"},
      {"/a#s3cr3t", "'#' at offset 2", "write %23"},
      {"/a%", "'%' at offset 2", "write %25"},
      {"/a%4", "'%' at offset 2", "write %25"},
      {"/a%g0", "'%' at offset 2", "write %25"},
      {"/a[0]", "byte 0x5B at offset 2", "percent-encode it"},
      {"/a\\b", "byte 0x5C at offset 2", "percent-encode it"},
      {"/a|b", "byte 0x7C at offset 2", "percent-encode it"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(::testing::PrintToString(row.target));
    expect_unsent(api, request::get(row.target),
                  {errc::invalid_url, {condition::invalid_input}, row.culprit, row.remedy});
  }
  expect_unsent(api, request::options("*").query("a", "s3cr3t"),
                {errc::invalid_url, {condition::invalid_input}, "\"*\"", "leave the query out"});
}

TEST_F(bad_routes, a_method_is_a_token) {
  for (const auto& method :
       {""s, "GE T"s, "GET\r\n"s, "GET\0"s, "G\xc3\xa9T"s, "GET/"s, "s3cr3t "s})
    expect_unsent(
        api, request(http::method(method), "/"),
        {errc::invalid_method, {condition::invalid_input}, "method cannot be used", "such as"});
  expect_unsent(api, request(http::method("CONNECT"), "/"),
                {errc::invalid_method, {condition::invalid_input}, "CONNECT", "does not do"});
}

TEST_F(bad_routes, values_arrive_as_one_segment_or_one_value_whatever_they_hold) {
  struct {
    std::string value;
    std::string_view encoded;
  } const rows[] = {
      {"a/b", "a%2Fb"},
      {"a\\b", "a%5Cb"},
      {"../../etc/passwd", "..%2F..%2Fetc%2Fpasswd"},
      {"...", "..."},
      {"%2e%2e", "%252e%252e"},
      {"%", "%25"},
      {"a?b#c", "a%3Fb%23c"},
      {"a&b=c;d", "a%26b%3Dc%3Bd"},
      {"a b+c", "a%20b%2Bc"},
      {"{id}", "%7Bid%7D"},
      {"\r\nHost: evil.test", "%0D%0AHost%3A%20evil.test"},
      {"\0"s, "%00"},
      {"\xff", "%FF"},
      {" ", "%20"},
      {":@!$'()*,", "%3A%40%21%24%27%28%29%2A%2C"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(sent(with("/u/{id}", {{"id", row.value}})), "/u/" + std::string(row.encoded));
    EXPECT_EQ(sent(with("/u?q={id}", {{"id", row.value}})), "/u?q=" + std::string(row.encoded));
    EXPECT_EQ(sent(request::get("/u").query(row.value, row.value)),
              "/u?" + std::string(row.encoded) + "=" + std::string(row.encoded));
  }
  EXPECT_EQ(sent(request::get("/u").query("", "")), "/u?=");
  EXPECT_EQ(sent(request::get("/u").query("a", "1").query("a", "2")), "/u?a=1&a=2");
  EXPECT_EQ(sent(with("/u?q={id}", {{"id", ".."}})), "/u?q=..") << "no segment";
  EXPECT_EQ(sent(with("/u?q={id}", {{"id", ""}})), "/u?q=");
  EXPECT_EQ(sent(with("/u/{id}", {{"id", std::string(100'000, 'x')}})).size(), 100'003u);
}

TEST_F(bad_routes, an_asterisk_is_sent_without_the_base_path) {
  const client based = make({}, "http://api.test/v1/");
  ASSERT_TRUE(based.send(request::options("*")));
  EXPECT_EQ(net->requests().back().target, "*");
  ASSERT_TRUE(based.send(request::options("/x")));
  EXPECT_EQ(net->requests().back().target, "/v1/x");
}

}  // namespace
}  // namespace hawser::test::route_test
