// What a request written and an answer read allocate.
#include "hawser/http/request.hpp"
#include "http/wire/request_writer.hpp"
#include "http/wire/response_reader.hpp"
#include "support/allocations.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hawser::test::message_allocations_test {
namespace {

const std::string body(200, 'x');
const std::string wire =
    "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Fri, 07 Nov 2025 23:59:59 GMT\r\n"
    "Content-Type: application/json\r\nContent-Length: 200\r\nConnection: keep-alive\r\n"
    "X-Request-Id: 01234567-89ab-4def-8123-456789abcdef\r\n\r\n" +
    body;
const std::string chunked_wire = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n" +
                                 std::string(100, 'x') + "\r\n64\r\n" + std::string(100, 'x') +
                                 "\r\n0\r\nX-Checksum: 0123456789abcdef0123456789\r\n\r\n";

TEST(Allocations, AGetWithAReusedResponseMakesNone) {
  http::headers defaults;
  defaults.add("User-Agent", "hawser");
  const http::request get =
      http::request::get("/users/{id}").param("id", "a/7").query("fields", "all").header("A", "b");
  http::response into;
  http::response_reader reader({});
  std::string target;
  std::string out;
  const auto exchange = [&](std::string_view answer, std::size_t piece) {
    target.clear();
    ASSERT_TRUE(get.target_to(target));
    (void)http::write_request(get.method(), target, "api.example", defaults, get.headers(),
                              get.body(), get.has_body(), out);
    reader.begin(into, false);
    bool done = false;
    for (std::size_t at = 0; at < answer.size(); at += piece)
      done = reader.feed(answer.substr(at, piece)).done;
    ASSERT_TRUE(done);
    ASSERT_EQ(into.body().size(), 200U);
  };
  // Warm: every way once, so that each buffer has seen its largest use.
  for (const std::size_t piece : {wire.size(), std::size_t{1}, std::size_t{7}}) {
    exchange(wire, piece);
    exchange(chunked_wire, piece);
  }
  const std::size_t before = allocations();
  for (int i = 0; i < 100; ++i) {
    for (const std::size_t piece : {wire.size(), std::size_t{1}, std::size_t{7}}) {
      exchange(wire, piece);
      exchange(chunked_wire, piece);
    }
  }
  EXPECT_EQ(allocations() - before, 0U);
}

TEST(Allocations, AreCountedAtAll) {
  if (!allocations_are_counted()) GTEST_SKIP() << "a sanitizer's operator new is in force";
  const std::size_t before = allocations();
  ::operator delete(::operator new(1));  // a new-expression might be left out
  EXPECT_EQ(allocations() - before, 1U);
}

}  // namespace
}  // namespace hawser::test::message_allocations_test
