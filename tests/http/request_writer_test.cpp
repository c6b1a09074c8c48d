#include "http/wire/request_writer.hpp"

#include <gtest/gtest.h>

namespace hawser::test::request_writer_test {
namespace {

using http::headers;
using http::method;

std::string written(const method& how, const headers& defaults, const headers& own,
                    std::string_view body, bool has_body) {
  std::string out = "what was there before";
  out += http::write_request(how, "/p?q=1", "h:8080", defaults, own, body, has_body, out);
  return out;
}

TEST(RequestWriter, WritesRequestLineAndHostFirst) {
  EXPECT_EQ(written(method::get, {}, {}, "", false), "GET /p?q=1 HTTP/1.1\r\nHost: h:8080\r\n\r\n");
  EXPECT_EQ(written(method("PURGE"), {}, {}, "", false),
            "PURGE /p?q=1 HTTP/1.1\r\nHost: h:8080\r\n\r\n");
}

TEST(RequestWriter, OwnFieldsDisplaceDefaults) {
  headers defaults;
  defaults.add("User-Agent", "hawser");
  defaults.add("Accept", "*/*");
  defaults.add("X-Team", "a");
  headers own;
  own.add("accept", "application/json");
  own.add("X-Multi", "1");
  own.add("X-Multi", "2");
  EXPECT_EQ(written(method::get, defaults, own, "", false),
            "GET /p?q=1 HTTP/1.1\r\nHost: h:8080\r\nUser-Agent: hawser\r\nX-Team: a\r\n"
            "accept: application/json\r\nX-Multi: 1\r\nX-Multi: 2\r\n\r\n");
}

TEST(RequestWriter, AnEmptyUserAgentIsNone) {
  headers defaults;
  defaults.add("User-Agent", "hawser");
  headers own;
  own.add("user-agent", "");
  own.add("X-Empty", "");
  EXPECT_EQ(written(method::get, defaults, own, "", false),
            "GET /p?q=1 HTTP/1.1\r\nHost: h:8080\r\nX-Empty: \r\n\r\n");
}

TEST(RequestWriter, ContentLengthIsAlwaysRight) {
  const std::string head = " /p?q=1 HTTP/1.1\r\nHost: h:8080\r\n";
  EXPECT_EQ(written(method::post, {}, {}, "body", true),
            "POST" + head + "Content-Length: 4\r\n\r\nbody");
  EXPECT_EQ(written(method::get, {}, {}, "body", true),
            "GET" + head + "Content-Length: 4\r\n\r\nbody");
  EXPECT_EQ(written(method::get, {}, {}, "", true), "GET" + head + "Content-Length: 0\r\n\r\n");
  const std::string zeros(3, '\0');
  EXPECT_EQ(written(method::put, {}, {}, zeros, true),
            "PUT" + head + "Content-Length: 3\r\n\r\n" + zeros);
  const std::string large(100000, 'x');
  EXPECT_EQ(written(method::put, {}, {}, large, true),
            "PUT" + head + "Content-Length: 100000\r\n\r\n" + large);
}

// RFC 9110 section 8.6: a method that has a meaning for a body says that there is none.
TEST(RequestWriter, BodilessPostsHaveLengthZero) {
  for (const method::known m : {method::post, method::put, method::patch})
    EXPECT_NE(written(m, {}, {}, "", false).find("\r\nContent-Length: 0\r\n\r\n"),
              std::string::npos);
  for (const method::known m : {method::get, method::head, method::delete_, method::options})
    EXPECT_EQ(written(m, {}, {}, "", false).find("Content-Length"), std::string::npos);
}

TEST(RequestWriter, KeepsTheMemory) {
  std::string out;
  out.reserve(4096);
  const char* const before = out.data();
  (void)http::write_request(method::get, "/p", "h", {}, {}, {}, false, out);
  (void)http::write_request(method::post, "/p", "h", {}, {}, "b", true, out);
  EXPECT_EQ(out.data(), before);
  EXPECT_EQ(out, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nb");
}

}  // namespace
}  // namespace hawser::test::request_writer_test
