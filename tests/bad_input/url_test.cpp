// URLs that cannot be used: each gives errc::invalid_url, saying what is wrong, where, and what to
// write instead, and never quotes user info or query.
#include "hawser/http/url.hpp"
#include "bad_input/refusal.hpp"
#include "hawser/http/client.hpp"
#include "hawser/testing/manual_environment.hpp"

#include <gtest/gtest.h>

namespace hawser::test::url_test {
namespace {

using http::url;
using namespace std::string_literals;

struct bad_url {
  std::string text;
  std::string_view culprit;
  std::string_view remedy;
};

const bad_url bad_urls[] = {
    // Control bytes, blanks, and what else stands in no URL.
    {"http://a.test/\r\nX-Evil: 1", "control byte 0x0D at offset 14", "remove it"},
    {"http://a.test/\n", "control byte 0x0A at offset 14", "remove it"},
    {"http://a.test/\t", "control byte 0x09 at offset 14", "remove it"},
    {"http://a.test\0.evil.test/"s, "control byte 0x00 at offset 13", "remove it"},
    {"http://a.test/\x7f", "control byte 0x7F at offset 14", "remove it"},
    {" http://a.test/", "a blank at offset 0", "write %20"},
    {"http://a.test/ ", "a blank at offset 14", "write %20"},
    {"http://a .test/", "a blank at offset 8", "write %20"},
    {"http://a.test/\"", "'\"' at offset 14", "write %22"},
    {"http://a.test/{id}", "'{' at offset 14", "write %7B"},
    {"http://a.test\\@evil.test/", "'\\' at offset 13", "write %5C"},
    {"http://a.test/%", "'%' at offset 14", "write %25"},
    {"http://a.test/%2", "'%' at offset 14", "write %25"},
    {"http://a.test/%zz", "'%' at offset 14", "write %25"},
    {"http://a.test/[x]", "'[' at offset 14", "write %5B"},
    // Other schemes, or none.
    {"", "no scheme", "begin with https://"},
    {"a.test", "no scheme", "begin with https://"},
    {"/path", "no scheme", "begin with https://"},
    {"//a.test/", "no scheme", "begin with https://"},
    {"http:a.test", "no scheme", "begin with https://"},
    {"http:/a.test", "no scheme", "begin with https://"},
    {"user:s3cr3t@a.test", "no scheme", "begin with https://"},
    {"://a.test", "the scheme is not http or https", "write one of these"},
    {"ftp://a.test", "scheme \"ftp\" is not http or https", "write one of these"},
    {"file:///etc/passwd", "scheme \"file\" is not http or https", "write one of these"},
    {"javascript://a.test", "scheme \"javascript\"", "write one of these"},
    {"ws://a.test", "scheme \"ws\" is not http or https", "write one of these"},
    {"httpss://a.test", "scheme \"httpss\" is not http or https", "write one of these"},
    {"sk-live-s3cr3t-0123456789://a.test", "the scheme is not http or https", "one of these"},
    // Hosts.
    {"http://", "the host is empty", "write https://host/path"},
    {"http:///path", "the host is empty", "write https://host/path"},
    {"http://:80/", "the host is empty", "write https://host/path"},
    {"http://user:s3cr3t@/", "the host is empty", "write https://host/path"},
    {"http://?token=s3cr3t", "the host is empty", "write https://host/path"},
    {"http://#x", "the host is empty", "write https://host/path"},
    {"http://b\xc3\xbc"
     "cher.test/",
     "byte 0xC3 at offset 8 is not ASCII", "encode"},
    {"http://\xe2\x80\xae.test/", "byte 0xE2 at offset 7 is not ASCII", "encode"},
    {"http://a%2etest/", "the host name has a '%'", "letters, digits"},
    {"http://a~b.test/", "the host name has a '~'", "letters, digits"},
    {"http://a..test/", "an empty label", "remove the superfluous dot"},
    {"http://.a.test/", "an empty label", "remove the superfluous dot"},
    {"http://./", "an empty label", "remove the superfluous dot"},
    {"http://a.test../", "an empty label", "remove the superfluous dot"},
    {"http://" + std::string(64, 'a') + ".test/", "more than 63 bytes", "shorten it"},
    {"http://" + std::string(100'000, 'a') + "/", "more than 253 bytes", "shorten it"},
    // What resolvers would take for an address by rules of their own.
    {"http://256.1.1.1/", "looks like an IPv4 address and is none", "four numbers up to 255"},
    {"http://1.2.3/", "looks like an IPv4 address and is none", "four numbers up to 255"},
    {"http://1.2.3.4.5/", "looks like an IPv4 address and is none", "four numbers up to 255"},
    {"http://2130706433/", "looks like an IPv4 address and is none", "four numbers up to 255"},
    {"http://127.0.0.01/", "looks like an IPv4 address and is none", "four numbers up to 255"},
    {"http://0x7f000001/", "looks like an IPv4 address and is none", "four numbers up to 255"},
    {"http://127.0.0.0x1/", "looks like an IPv4 address and is none", "four numbers up to 255"},
    {"http://0X7F.1/", "looks like an IPv4 address and is none", "four numbers up to 255"},
    {"http://1.2.3.4./", "looks like an IPv4 address and is none", "four numbers up to 255"},
    // IPv6 literals.
    {"http://[::1", "'[' is not closed", "[IPv6 address]"},
    {"http://[]/", "no IPv6 address", "such as [2001:db8::1]"},
    {"http://[::1]]/", "']' is not followed by a port", "[address]:port/path"},
    {"http://[::1]x/", "']' is not followed by a port", "[address]:port/path"},
    {"http://[::1]@evil.test/", "does not belong", "write %5B"},
    {"http://::1/", "the host is empty", "write https://host/path"},
    {"http://[:::1]/", "no IPv6 address", "such as [2001:db8::1]"},
    {"http://[1::2::3]/", "no IPv6 address", "such as [2001:db8::1]"},
    {"http://[12345::]/", "no IPv6 address", "such as [2001:db8::1]"},
    {"http://[1:2:3:4:5:6:7:8:9]/", "no IPv6 address", "such as [2001:db8::1]"},
    {"http://[::256.1.1.1]/", "no IPv6 address", "such as [2001:db8::1]"},
    {"http://[127.0.0.1]/", "no IPv6 address", "such as [2001:db8::1]"},
    {"http://[fe80::1%25eth0]/", "has a zone", "give one that is valid beyond the link"},
    {"http://[v1.x]/", "no IPv6 address", "such as [2001:db8::1]"},
    // Ports.
    {"http://a.test:0/", "not a number from 1 to 65535", "leave it out"},
    {"http://a.test:65536/", "not a number from 1 to 65535", "leave it out"},
    {"http://a.test:99999999999999999999/", "not a number from 1 to 65535", "leave it out"},
    {"http://a.test:-1/", "not a number from 1 to 65535", "leave it out"},
    {"http://a.test:+80/", "not a number from 1 to 65535", "leave it out"},
    {"http://a.test:80x/", "not a number from 1 to 65535", "leave it out"},
    {"http://a.test:0x50/", "not a number from 1 to 65535", "leave it out"},
    {"http://a.test:/", "the port is empty", "leave it out"},
    {"http://a.test:80:80/", "not a number from 1 to 65535", "leave it out"},
    {"http://[::1]:/", "the port is empty", "leave it out"},
    {"http://[::1]:65536/", "not a number from 1 to 65535", "leave it out"},
    // User info is a secret, wherever it was meant to end.
    {"http://user:s3cr3t@a.test:0/", "not a number from 1 to 65535", "leave it out"},
    {"http://user:s3cr3t@a@a.test/", "more than one '@'", "write %40"},
    {"http://user:s3cr3t/x@a.test/", "not a number from 1 to 65535", "leave it out"},
    {"http://user:s3cr3t#x@a.test/", "not a number from 1 to 65535", "leave it out"},
    {"http://user:s3cr3t?x@a.test/", "not a number from 1 to 65535", "leave it out"},
    {"http://user:s3cr3t x@a.test/", "a blank at offset", "write %20"},
    {"http://user:s3cr3t\r\n@a.test/", "control byte 0x0D", "remove it"},
    {"http://user:s3cr3t[@a.test/", "does not belong", "write %5B"},
};

TEST(BadUrl, EachSaysWhatWhereAndWhatToDo) {
  for (const bad_url& row : bad_urls) {
    SCOPED_TRACE(::testing::PrintToString(row.text.substr(0, 60)));
    const result<url> parsed = url::parse(row.text);
    ASSERT_TRUE(parsed.has_error()) << parsed->origin();
    expect_refusal(parsed.error(),
                   {errc::invalid_url, {condition::invalid_input}, row.culprit, row.remedy});
  }
}

TEST(BadUrl, ABaseUrlIsRefusedWhenTheClientIsMade) {
  const testing::manual_environment env;
  std::vector<bad_url> rows(std::begin(bad_urls), std::end(bad_urls));
  rows.push_back({"http://user:s3cr3t@a.test/", "user info", "Authorization header"});
  rows.push_back({"http://s3cr3t@a.test/", "user info", "Authorization header"});
  rows.push_back({"http://@a.test/", "user info", "remove it"});
  rows.push_back({"http://a.test/?token=s3cr3t", "has a query", "add it to the requests"});
  for (const bad_url& row : rows) {
    SCOPED_TRACE(::testing::PrintToString(row.text.substr(0, 60)));
    try {
      const http::client made(env, row.text);
      ADD_FAILURE() << "accepted";
    } catch (const call_error& e) {
      expect_refusal(e.why(),
                     {errc::invalid_url, {condition::invalid_input}, row.culprit, row.remedy});
      expect_text(e.what(), row.culprit, row.remedy);
    }
  }
}

TEST(BadUrl, WhatIsOddButRightIsTaken) {
  struct {
    std::string_view text;
    std::string_view origin;
    std::string_view target;
  } const rows[] = {
      {"HTTP://A.Test", "http://a.test:80", "/"},
      {"http://a.test.", "http://a.test.:80", "/"},
      {"http://a.test:1", "http://a.test:1", "/"},
      {"http://a.test:65535/", "http://a.test:65535", "/"},
      {"http://a.test:00080/", "http://a.test:80", "/"},
      {"http://[::ffff:1.2.3.4]:8080/x", "http://[::ffff:1.2.3.4]:8080", "/x"},
      {"http://[2001:DB8::1]", "http://[2001:db8::1]:80", "/"},
      {"https://xn--bcher-kva.test/", "https://xn--bcher-kva.test:443", "/"},
      {"http://1.2.3.4.test/", "http://1.2.3.4.test:80", "/"},
      {"http://0xcafe.test/", "http://0xcafe.test:80", "/"},
      {"http://a_b.test/", "http://a_b.test:80", "/"},
      {"http://a.test?x", "http://a.test:80", "/?x"},
      {"http://a.test#frag", "http://a.test:80", "/"},
      {"http://a.test/%00%0d%0a", "http://a.test:80", "/%00%0d%0a"},
      {"http://a.test/a;b=c:@!$&'()*+,?d/e?f", "http://a.test:80", "/a;b=c:@!$&'()*+,?d/e?f"},
      {"http://u:p@a.test/@", "http://a.test:80", "/@"},
  };
  for (const auto& row : rows) {
    const result<url> parsed = url::parse(row.text);
    ASSERT_TRUE(parsed) << row.text << ": " << parsed.error().message();
    EXPECT_EQ(parsed->origin(), row.origin);
    EXPECT_EQ(parsed->target(), row.target);
  }
}

}  // namespace
}  // namespace hawser::test::url_test
