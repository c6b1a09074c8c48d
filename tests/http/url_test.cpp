#include "hawser/http/url.hpp"

#include "http/expect_error.hpp"

namespace hawser::test::url_test {
namespace {

using http::expand_route;
using http::percent_decode;
using http::percent_encode;
using http::route_params;
using http::url;

TEST(Url, TakesAUrlApart) {
  const auto u = url::parse("https://api.Example:8443/v1/x?a=b&c=d#part");
  ASSERT_TRUE(u) << u.error().message();
  EXPECT_EQ(u->scheme(), "https");
  EXPECT_TRUE(u->is_tls());
  EXPECT_EQ(u->host(), "api.example");
  EXPECT_EQ(u->port(), 8443);
  EXPECT_FALSE(u->is_default_port());
  EXPECT_EQ(u->path(), "/v1/x");
  EXPECT_EQ(u->query(), "a=b&c=d");
  EXPECT_EQ(u->target(), "/v1/x?a=b&c=d");
  EXPECT_EQ(u->host_header(), "api.example:8443");
  EXPECT_EQ(u->origin(), "https://api.example:8443");
  EXPECT_TRUE(u->kind_of_host() == url::host_kind::name);
}

TEST(Url, FillsInWhatIsLeftOut) {
  const auto plain = url::parse("HTTP://h");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->port(), 80);
  EXPECT_EQ(plain->path(), "/");
  EXPECT_EQ(plain->target(), "/");
  EXPECT_EQ(plain->host_header(), "h");
  EXPECT_EQ(plain->origin(), "http://h:80");
  EXPECT_EQ(url::parse("https://h?q")->target(), "/?q");
  EXPECT_EQ(url::parse("https://h")->origin(), "https://h:443");
  EXPECT_EQ(url::parse("https://h:443/")->host_header(), "h");
  EXPECT_EQ(url::parse("http://h:443/")->host_header(), "h:443");
  EXPECT_EQ(url::parse("https://h#f")->target(), "/");
}

TEST(Url, OriginIsOneStringPerServer) {
  EXPECT_EQ(url::parse("https://H.example")->origin(),
            url::parse("https://h.example:443/other?x=1")->origin());
  EXPECT_NE(url::parse("https://h")->origin(), url::parse("http://h")->origin());
}

TEST(Url, KnowsAddresses) {
  const auto four = url::parse("http://127.0.0.1:8080/");
  ASSERT_TRUE(four);
  EXPECT_TRUE(four->kind_of_host() == url::host_kind::ipv4);
  const auto six = url::parse("http://[2001:DB8::1]:8080/");
  ASSERT_TRUE(six);
  EXPECT_TRUE(six->kind_of_host() == url::host_kind::ipv6);
  EXPECT_EQ(six->host(), "2001:db8::1");
  EXPECT_EQ(six->host_header(), "[2001:db8::1]:8080");
  EXPECT_EQ(six->origin(), "http://[2001:db8::1]:8080");
  for (const char* good : {"::", "::1", "1::", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4",
                           "1:2:3:4:5:6:1.2.3.4", "fe80::1:2"})
    EXPECT_TRUE(url::parse("http://[" + std::string(good) + "]/")) << good;
  for (const char* bad : {"", ":", ":::", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3",
                          "12345::", "g::", "1:2:3:4:5:6:7:8::", "::1.2.3", "::1.2.3.256",
                          "1.2.3.4::", "1:2:3:4:5:6:7:1.2.3.4", "1:"})
    expect_error(url::parse("http://[" + std::string(bad) + "]/").error(), errc::invalid_url,
                 condition::invalid_input, {"IPv6", "write"});
  expect_error(url::parse("http://[fe80::1%25eth0]/").error(), errc::invalid_url,
               condition::invalid_input, {"zone", "valid beyond the link"});
}

struct bad_url_case {
  std::string_view text;
  std::string_view culprit;
  std::string_view remedy;
};

class BadUrl : public ::testing::TestWithParam<bad_url_case> {};

TEST_P(BadUrl, NamesTheCulpritAndTheRemedy) {
  const auto parsed = url::parse(GetParam().text);
  ASSERT_FALSE(parsed) << parsed->to_string();
  expect_error(parsed.error(), errc::invalid_url, condition::invalid_input,
               {GetParam().culprit, GetParam().remedy});
}

using namespace std::string_view_literals;

INSTANTIATE_TEST_SUITE_P(
    All, BadUrl,
    ::testing::Values(
        bad_url_case{"http://h/a\r\nX: s3cr3t"sv, "0x0D at offset 10", "remove"},
        bad_url_case{"http://h/\n"sv, "0x0A at offset 9", "remove"},
        bad_url_case{"http://h/\0"sv, "0x00 at offset 9", "remove"},
        bad_url_case{"http://h/\t"sv, "0x09 at offset 9", "remove"},
        bad_url_case{"http://h/\x7f"sv, "0x7F at offset 9", "remove"},
        bad_url_case{" http://h/"sv, "a blank at offset 0", "%20"},
        bad_url_case{"http://h/a b"sv, "a blank at offset 10", "%20"},
        bad_url_case{"http://h/ "sv, "a blank at offset 9", "%20"},
        bad_url_case{"http://h/\xC3\xA4"sv, "0xC3 at offset 9", "percent-encode"},
        bad_url_case{"http://h/a\\b"sv, "'\\' at offset 10", "%5C"},
        bad_url_case{"http://h/{id}"sv, "'{' at offset 9", "%7B"},
        bad_url_case{"http://h/%"sv, "'%' at offset 9", "%25"},
        bad_url_case{"http://h/%4"sv, "'%' at offset 9", "%25"},
        bad_url_case{"http://h/%4g"sv, "'%' at offset 9", "%25"},
        bad_url_case{"http://h/[x]"sv, "'[' at offset 9", "%5B"},
        bad_url_case{"http://h:/"sv, "port is empty", "leave it out"},
        bad_url_case{"http://h:0/"sv, "the port at offset 9 is not a number from 1 to 65535",
                     "give one"},
        bad_url_case{"http://h:65536/"sv, "the port at offset 9 is not a number from 1 to 65535",
                     "give one"},
        bad_url_case{"http://h:99999999999999999999/"sv, "the port at offset 9 is not", "give one"},
        bad_url_case{"http://h:8a/"sv, "the port at offset 9 is not", "give one"},
        bad_url_case{"http://h:-1/"sv, "the port at offset 9 is not", "give one"},
        bad_url_case{"http://h:+1/"sv, "the port at offset 9 is not", "give one"},
        bad_url_case{"http://h:http/"sv, "the port at offset 9 is not", "give one"},
        bad_url_case{"http://h:2:3/"sv, "the port at offset 9 is not", "give one"},
        bad_url_case{"http://[::1]:x/"sv, "the port at offset 13 is not", "give one"},
        bad_url_case{"http://u:p@h:x/"sv, "the port at offset 13 is not", "give one"},
        bad_url_case{"http://[::1]x/"sv, "']'", "write"},
        bad_url_case{"http://[::1/"sv, "'[' is not closed", "write"},
        bad_url_case{"ftp://h/"sv, "scheme \"ftp\"", "write"},
        bad_url_case{"file:///etc/passwd"sv, "scheme \"file\"", "write"},
        bad_url_case{"://h/"sv, "scheme", "write"},
        bad_url_case{"h/path"sv, "no scheme", "begin with https://"},
        bad_url_case{"localhost:8080"sv, "no scheme", "begin with https://"},
        bad_url_case{"http:/h"sv, "no scheme", "begin with https://"},
        bad_url_case{""sv, "no scheme", "begin with https://"},
        bad_url_case{"http://"sv, "host is empty", "write"},
        bad_url_case{"http:///p"sv, "host is empty", "write"},
        bad_url_case{"http://:80/"sv, "host is empty", "write"},
        bad_url_case{"http://u:s3cr3t@/"sv, "host is empty", "write"},
        bad_url_case{"http://u:s3cr3t@x@h/"sv, "more than one '@'", "%40"},
        bad_url_case{"http://a..b/"sv, "empty label", "remove"},
        bad_url_case{"http://.a/"sv, "empty label", "remove"},
        bad_url_case{"http://a!b/"sv, "'!'", "xn--"},
        bad_url_case{"http://a%20b/"sv, "'%'", "xn--"},
        bad_url_case{"http://256.1.1.1/"sv, "IPv4", "write four numbers"},
        bad_url_case{"http://1.2.3/"sv, "IPv4", "write four numbers"},
        bad_url_case{"http://0x7f.1/"sv, "IPv4", "write four numbers"},
        bad_url_case{"http://01.2.3.4/"sv, "IPv4", "write four numbers"}));

TEST(Url, RefusesNamesThatDnsCannotHold) {
  expect_error(url::parse("http://" + std::string(64, 'a') + "/").error(), errc::invalid_url,
               condition::invalid_input, {"63 bytes", "shorten"});
  std::string name = "a";
  while (name.size() < 254) name += ".a";
  expect_error(url::parse("http://" + name + "/").error(), errc::invalid_url,
               condition::invalid_input, {"253 bytes", "shorten"});
}

TEST(Url, NeverShowsUserInfoOrQueryValues) {
  const auto u = url::parse("https://user:s3cr3t@h/p?token=s3cr3t&s3cr3t&b=");
  ASSERT_TRUE(u);
  EXPECT_TRUE(u->has_user_info());
  EXPECT_EQ(u->to_string(), "https://***@h/p?token=***&***&b=***");
  EXPECT_EQ(u->origin().find(planted), std::string::npos);
}

TEST(Url, RefusesBaseUrlsWithCredentialsOrQuery) {
  expect_error(url::parse("https://user:s3cr3t@h/")->check_base().error(), errc::invalid_url,
               condition::invalid_input, {"user info", "Authorization"});
  expect_error(url::parse("https://@h/")->check_base().error(), errc::invalid_url,
               condition::invalid_input, {"user info", "remove"});
  expect_error(url::parse("https://h/?k=s3cr3t")->check_base().error(), errc::invalid_url,
               condition::invalid_input, {"query", "requests"});
  EXPECT_TRUE(url::parse("https://h/v1")->check_base());
}

TEST(Percent, EncodesAllButUnreserved) {
  EXPECT_EQ(percent_encode("aZ09-._~"), "aZ09-._~");
  EXPECT_EQ(percent_encode("a b/c?d#e%f&g=h+i"), "a%20b%2Fc%3Fd%23e%25f%26g%3Dh%2Bi");
  EXPECT_EQ(percent_encode(std::string_view("\0\r\n\xFF", 4)), "%00%0D%0A%FF");
}

TEST(Percent, DecodesWhatItEncoded) {
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  EXPECT_EQ(percent_decode(percent_encode(all)).value(), all);
  EXPECT_EQ(percent_decode("%2f+").value(), "/+");
  for (const char* bad : {"%", "%2", "a%zz", "%-1"})
    expect_error(percent_decode(bad).error(), errc::invalid_url, condition::invalid_input,
                 {"'%'", "%25"});
}

TEST(Query, IsAppendedEscaped) {
  std::string target = "/s";
  http::append_query(target, "a b", "c&d");
  http::append_query(target, "e", "");
  EXPECT_EQ(target, "/s?a%20b=c%26d&e=");
}

TEST(Route, EscapesValuesAsOneSegment) {
  const route_params params{{"id", "a/b?c#d%e"}, {"n", "7"}};
  EXPECT_EQ(expand_route("/u/{id}/x{n}?q={n}", params).value(), "/u/a%2Fb%3Fc%23d%25e/x7?q=7");
  EXPECT_EQ(expand_route("/u/{id}", {{"id", "\r\n"}}).value(), "/u/%0D%0A");
  EXPECT_EQ(expand_route("/plain", {}).value(), "/plain");
  EXPECT_EQ(expand_route("/{a}/{a}", {{"a", "1"}}).value(), "/1/1");
}

void expect_bad_route(std::string_view route, const route_params& params,
                      std::initializer_list<std::string_view> words) {
  const auto expanded = expand_route(route, params);
  ASSERT_FALSE(expanded) << *expanded;
  expect_error(expanded.error(), errc::invalid_route, condition::invalid_input, words);
}

TEST(Route, RefusesMissingAndSuperfluousParameters) {
  expect_bad_route("/u/{id}", {}, {"parameter \"id\" has no value", "param()"});
  expect_bad_route("/u/{id}", {{"di", "s3cr3t"}}, {"parameter \"di\"", "remove"});
  expect_bad_route("/u", {{"id", "s3cr3t"}}, {"parameter \"id\"", "remove"});
  expect_bad_route("/u/{id}", {{"id", "s3cr3t"}, {"x", "s3cr3t"}}, {"parameter \"x\"", "remove"});
  expect_bad_route("/u/{id}", {{"id", "1"}, {"id", "2"}}, {"\"id\" is given twice", "once"});
}

TEST(Route, RefusesUnbalancedBraces) {
  expect_bad_route("/u/{id", {{"id", "s3cr3t"}}, {"id", "remove"});
  expect_bad_route("/u/{id", {}, {"'{' at offset 3", "%7B"});
  expect_bad_route("/u/id}", {}, {"'}' at offset 5", "%7D"});
  expect_bad_route("/u/{{id}}", {}, {"'{' at offset 3", "%7B"});
  expect_bad_route("/u/{}", {}, {"offset 3", "names are"});
  expect_bad_route("/u/{a b}", {}, {"offset 3", "names are"});
}

TEST(Route, RefusesValuesThatMakeThePathAnotherOne) {
  expect_bad_route("/u/{id}", {{"id", ".."}}, {"\"id\"", "\"..\"", "another value"});
  expect_bad_route("/u/{id}/x", {{"id", "."}}, {"\"id\"", "another value"});
  expect_bad_route("/u/{a}{b}/x", {{"a", "."}, {"b", "."}}, {"\"b\"", "another value"});
  expect_bad_route("/u/.{a}", {{"a", "."}}, {"\"a\"", "another value"});
  expect_bad_route("/u/%2E{a}", {{"a", "."}}, {"\"a\"", "another value"});
  expect_bad_route("/u/{id}", {{"id", ""}}, {"\"id\" is empty", "value"});
  expect_bad_route("/u/{id}/orders", {{"id", ""}}, {"\"id\" is empty", "value"});
  expect_bad_route("/u/{id}?x=1", {{"id", ""}}, {"\"id\" is empty", "value"});
  EXPECT_EQ(expand_route("/u/{id}", {{"id", "..."}}).value(), "/u/...");
  EXPECT_EQ(expand_route("/u/{id}", {{"id", "..a"}}).value(), "/u/..a");
  EXPECT_EQ(expand_route("/u/{id}", {{"id", "%2e"}}).value(), "/u/%252e");
  EXPECT_EQ(expand_route("/u?q={q}", {{"q", ".."}}).value(), "/u?q=..");
  EXPECT_EQ(expand_route("/u?q={q}", {{"q", ""}}).value(), "/u?q=");
}

TEST(Route, LeavesTheTargetAsItWasOnErrors) {
  std::string out = "/base";
  EXPECT_FALSE(http::expand_route_to(out, "/u/{id}/{x}", {{"id", "1"}}));
  EXPECT_EQ(out, "/base");
  EXPECT_TRUE(http::expand_route_to(out, "/u/{id}", {{"id", "1"}}));
  EXPECT_EQ(out, "/base/u/1");
}

}  // namespace
}  // namespace hawser::test::url_test
