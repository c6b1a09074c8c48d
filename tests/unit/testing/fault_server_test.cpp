#include "hawser/testing/fault_server.hpp"

#include "hawser/core/error.hpp"
#include "hawser/testing/fault_profiles.hpp"

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace fault_server_test {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using namespace std::chrono_literals;
using namespace hawser::testing;
using hawser::error_code;

constexpr auto guard = 20s;  // of each step: a server that hangs fails the test, not the suite

struct answer_seen {
  std::string head{};
  std::string body{};
  int status = 0;
  error_code error{};

  [[nodiscard]] std::optional<std::string> header(const std::string& name) const {
    const auto at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return std::nullopt;
    const auto from = at + name.size() + 4;
    return head.substr(from, head.find("\r\n", from) - from);
  }
};

/// A client that believes nothing: it moves bytes and tells how the stream ended.
class raw_client {
 public:
  explicit raw_client(std::uint16_t port) {
    start([&](auto done) {
      socket_.async_connect({asio::ip::address_v4::loopback(), port}, done);
    });
  }

  /// TLS on top. `tune` may change the context first.
  template <class Tune>
  error_code secure_with(const std::string& trusted, Tune tune,
                         const std::string& name = "localhost") {
    context_.emplace(asio::ssl::context::tls_client);
    context_->add_certificate_authority(asio::buffer(trusted));
    context_->set_verify_mode(asio::ssl::verify_peer);
    tune(*context_);
    tls_.emplace(socket_, *context_);
    tls_->set_verify_callback(asio::ssl::host_name_verification(name));
    SSL_set_tlsext_host_name(tls_->native_handle(), name.c_str());
    start([&](auto done) { tls_->async_handshake(asio::ssl::stream_base::client, done); });
    return error_;
  }
  error_code secure(const std::string& trusted, const std::string& name = "localhost") {
    return secure_with(
        trusted, [](asio::ssl::context&) {}, name);
  }

  [[nodiscard]] error_code error() const { return error_; }
  [[nodiscard]] std::size_t available() { return socket_.available(); }
  [[nodiscard]] SSL* native() { return tls_->native_handle(); }
  void close() { socket_.close(); }

  error_code send(const std::string& bytes) {
    const auto all = asio::buffer(bytes);
    start([&](auto done) {
      const auto drop_size = [done](error_code ec, std::size_t) { done(ec); };
      if (tls_)
        asio::async_write(*tls_, all, drop_size);
      else
        asio::async_write(socket_, all, drop_size);
    });
    return error_;
  }

  /// What came with the next read; empty at the end, with `error()` telling which.
  std::string read_some() {
    std::array<char, 16 * 1024> room{};
    std::size_t got = 0;
    start([&](auto done) {
      const auto keep_size = [done, &got](error_code ec, std::size_t n) {
        got = n;
        done(ec);
      };
      if (tls_)
        tls_->async_read_some(asio::buffer(room), keep_size);
      else
        socket_.async_read_some(asio::buffer(room), keep_size);
    });
    return {room.data(), got};
  }

  /// Reads until `enough` bytes are there or the stream ends; keeps what is beyond.
  std::string read(std::size_t enough) {
    while (pending_.size() < enough) {
      const std::string more = read_some();
      if (more.empty()) break;
      pending_ += more;
    }
    const std::string out = pending_.substr(0, enough);
    pending_.erase(0, enough);
    return out;
  }

  std::string read_to_end() { return read(std::string::npos); }

  /// One answer with a length (or none, for `bodiless`).
  answer_seen answer(bool bodiless = false) {
    answer_seen out;
    std::size_t end = 0;
    while ((end = pending_.find("\r\n\r\n")) == std::string::npos) {
      const std::string more = read_some();
      if (more.empty()) {
        out.error = error_;
        return out;
      }
      pending_ += more;
    }
    out.head = read(end + 4);
    out.status = std::stoi(out.head.substr(9, 3));
    const auto length = out.header("Content-Length");
    if (length && !bodiless) out.body = read(std::stoul(*length));
    return out;
  }

  answer_seen exchange(const std::string& request) {
    send(request);
    return answer();
  }

 private:
  template <class Begin>
  void start(Begin begin) {
    bool finished = false;
    begin([&](error_code ec) {
      error_ = ec;
      finished = true;
    });
    io_.restart();
    io_.run_for(guard);
    if (finished) return;
    socket_.close();
    io_.restart();
    io_.run();
    error_ = asio::error::timed_out;
    ADD_FAILURE() << "the server left a step unanswered";
  }

  asio::io_context io_{1};
  tcp::socket socket_{io_};
  std::optional<asio::ssl::context> context_{};
  std::optional<asio::ssl::stream<tcp::socket&>> tls_{};
  error_code error_{};
  std::string pending_{};
};

std::string get(const std::string& target = "/") {
  return "GET " + target + " HTTP/1.1\r\nHost: test\r\n\r\n";
}

std::string post(const std::string& body, const std::string& key = {},
                 const std::string& target = "/v1/charges") {
  return "POST " + target +
         " HTTP/1.1\r\nHost: test\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         (key.empty() ? std::string() : "Idempotency-Key: " + key + "\r\n") + "\r\n" + body;
}

const std::string order_1 = R"({"order":"o-1","amount":100,"currency":"EUR"})";

template <class Holds>
void await(const fault_server& server, Holds holds) {
  EXPECT_TRUE(server.wait_for(holds, guard));
}

answer_seen ask(const fault_server& server, const std::string& request) {
  raw_client client(server.port());
  return client.exchange(request);
}

// ---- answers -------------------------------------------------------------------------------

TEST(fault_server, answers_200_when_told_nothing) {
  fault_server server;
  EXPECT_NE(server.port(), 0);
  EXPECT_EQ(server.url(), "http://127.0.0.1:" + std::to_string(server.port()));
  EXPECT_EQ(server.authority(), nullptr);
  const answer_seen seen = ask(server, get());
  EXPECT_EQ(seen.status, 200);
  EXPECT_EQ(seen.body, "{}");
  EXPECT_EQ(seen.header("Content-Type"), "application/json");
  EXPECT_TRUE(seen.header("Date").has_value());
}

TEST(fault_server, keeps_connections_alive_and_numbers_requests) {
  fault_server server;
  {
    raw_client client(server.port());
    EXPECT_EQ(client.exchange(get("/a")).status, 200);
    EXPECT_EQ(client.exchange(get("/b")).status, 200);
  }
  EXPECT_EQ(ask(server, get("/c")).status, 200);
  await(server, [](const fault_counters& c) { return c.answers == 3; });
  const auto seen = server.requests();
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[1].request.number, 2u);
  EXPECT_EQ(seen[1].request.connection, 1u);
  EXPECT_EQ(seen[1].request.on_connection, 2u);
  EXPECT_EQ(seen[1].request.target, "/b");
  EXPECT_EQ(seen[1].request.header("hOST"), "test");
  EXPECT_EQ(seen[1].ended, "answered");
  EXPECT_EQ(seen[1].status, 200);
  EXPECT_EQ(seen[2].request.connection, 2u);
  EXPECT_LE(seen[0].request.at, seen[2].request.at);
  EXPECT_EQ(server.counters().connections, 2u);
}

TEST(fault_server, closes_when_the_client_asks_for_it) {
  fault_server server;
  raw_client client(server.port());
  const auto seen = client.exchange("GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(seen.header("Connection"), "close");
  EXPECT_EQ(client.read_to_end(), "");
  EXPECT_EQ(client.error(), asio::error::eof);
}

TEST(fault_server, answers_pipelined_requests_in_order) {
  fault_server server;
  server.script({plan::answer(201, "one"), plan::answer(202, "two")});
  raw_client client(server.port());
  client.send(get("/1") + get("/2"));
  EXPECT_EQ(client.answer().body, "one");
  EXPECT_EQ(client.answer().body, "two");
}

TEST(fault_server, uses_script_then_handler_then_the_default) {
  fault_server_options options;
  options.otherwise = plan::answer(418);
  fault_server server(options);
  server.script({plan::answer(500), plan::answer(404)});
  EXPECT_EQ(server.script_left(), 2u);
  EXPECT_EQ(ask(server, get()).status, 500);
  server.handle(
      [](const received_request& r) { return plan::answer(r.target == "/x" ? 201 : 202); });
  EXPECT_EQ(ask(server, get()).status, 404);
  EXPECT_EQ(ask(server, get("/x")).status, 201);
  server.handle({});
  EXPECT_EQ(ask(server, get()).status, 418);
  EXPECT_EQ(server.script_left(), 0u);
}

TEST(fault_server, a_handler_that_throws_is_an_answer_500) {
  fault_server server;
  server.handle([](const received_request&) -> plan { throw std::runtime_error("oops"); });
  const auto seen = ask(server, get());
  EXPECT_EQ(seen.status, 500);
  EXPECT_NE(seen.body.find("oops"), std::string::npos);
}

TEST(fault_server, sends_headers_reasons_and_interim_answers_as_told) {
  fault_server server;
  server.script(
      {plan::answer(299, "x", "text/plain").reason("Odd").header("X-A", "1").interim(2, 103)});
  raw_client client(server.port());
  client.send(get());
  EXPECT_EQ(client.answer(true).head, "HTTP/1.1 103 Early Hints\r\n\r\n");
  EXPECT_EQ(client.answer(true).status, 103);
  const auto seen = client.answer();
  EXPECT_EQ(seen.head.rfind("HTTP/1.1 299 Odd\r\n", 0), 0u);
  EXPECT_EQ(seen.header("X-A"), "1");
  EXPECT_EQ(seen.body, "x");
}

TEST(fault_server, sends_chunks_or_until_close) {
  fault_server server;
  const std::string body(1500, 'b');
  server.script({plan::answer(200, body).chunked(), plan::answer(200, body).until_close()});
  raw_client client(server.port());
  const auto chunked = client.exchange(get());
  EXPECT_EQ(chunked.header("Transfer-Encoding"), "chunked");
  const std::string framed =
      "400\r\n" + body.substr(0, 1024) + "\r\n1dc\r\n" + body.substr(1024) + "\r\n0\r\n\r\n";
  EXPECT_EQ(client.read(framed.size()), framed);
  const auto open_ended = client.exchange(get());
  EXPECT_FALSE(open_ended.header("Content-Length").has_value());
  EXPECT_EQ(client.read_to_end(), body);
}

TEST(fault_server, sends_no_body_to_head_nor_with_204) {
  fault_server server;
  server.script({plan::answer(200, "12345"), plan::answer(204), plan::answer(200, "next")});
  raw_client client(server.port());
  client.send("HEAD / HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_EQ(client.answer(true).header("Content-Length"), "5");
  const auto none = client.exchange(get());
  EXPECT_EQ(none.status, 204);
  EXPECT_FALSE(none.header("Content-Length").has_value());
  EXPECT_EQ(client.exchange(get()).body, "next");
}

std::tm parse_date(const std::string& text) {
  std::tm when{};
  EXPECT_NE(::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &when), nullptr) << text;
  return when;
}

TEST(fault_server, retry_after_comes_in_both_forms) {
  fault_server server;
  server.script({plan::answer(503).retry_after(7s), plan::answer(429).retry_after_date(90s)});
  EXPECT_EQ(ask(server, get()).header("Retry-After"), "7");
  const auto dated = ask(server, get());
  std::tm date = parse_date(dated.header("Date").value_or(""));
  std::tm after = parse_date(dated.header("Retry-After").value_or(""));
  EXPECT_EQ(::timegm(&after) - ::timegm(&date), 90);
}

TEST(fault_server, delays_before_the_answer) {
  fault_server server;
  server.script({plan::answer(200).delay(1h), plan::answer(201).delay(1ms)});
  raw_client slow(server.port());
  slow.send(get());
  await(server, [](const fault_counters& c) { return c.requests == 1; });
  EXPECT_EQ(ask(server, get()).status, 201);
  EXPECT_EQ(slow.available(), 0u);
}

// ---- stalls, cuts, resets ------------------------------------------------------------------

TEST(fault_server, stalls_before_in_and_after_the_head) {
  fault_server server;
  server.script({plan::stall(), plan::answer(200, "0123456789").stall_in_head(),
                 plan::answer(200, "0123456789").stall_body_at(4)});
  std::uint64_t stalls = 0;
  std::vector<std::unique_ptr<raw_client>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<raw_client>(server.port()));
    clients.back()->send(get());
    ++stalls;
    await(server, [&](const fault_counters& c) { return c.stalls == stalls; });
  }
  EXPECT_EQ(clients[0]->available(), 0u);
  EXPECT_EQ(clients[1]->available(), 24u);
  clients[2]->answer(true);
  EXPECT_EQ(clients[2]->read(4), "0123");
  EXPECT_EQ(clients[2]->available(), 0u);
  EXPECT_EQ(server.requests().at(0).ended, "stalled");
  // A stall lasts until the client goes.
  clients.clear();
  await(server, [](const fault_counters& c) { return c.open_connections == 0; });
}

TEST(fault_server, cuts_at_every_byte_with_fin) {
  fault_server_options options;
  options.otherwise = plan::answer(200, "body").header("Date", "never");
  fault_server server(options);
  raw_client whole(server.port());
  const auto complete = whole.exchange(get());
  const std::string all = complete.head + complete.body;
  for (std::size_t n = 0; n <= all.size(); ++n) {
    server.script({plan::answer(200, "body").header("Date", "never").cut_at(n)});
    raw_client client(server.port());
    client.send(get());
    EXPECT_EQ(client.read_to_end(), all.substr(0, n));
    EXPECT_EQ(client.error(), asio::error::eof);
  }
  EXPECT_EQ(server.counters().cuts, all.size() + 1);
}

TEST(fault_server, resets_at_a_byte_with_rst) {
  fault_server server;
  for (const std::size_t n : {0u, 1u, 20u}) {
    server.script({plan::answer(200, "body").reset_at(n)});
    raw_client client(server.port());
    client.send(get());
    EXPECT_EQ(client.read_to_end().size(), n);
    EXPECT_EQ(client.error(), asio::error::connection_reset);
  }
  server.script({plan::answer(200, "body").reset_body_at(2)});
  raw_client client(server.port());
  client.send(get());
  client.answer(true);
  EXPECT_EQ(client.read_to_end(), "bo");
  EXPECT_EQ(client.error(), asio::error::connection_reset);
}

TEST(fault_server, closes_or_resets_without_an_answer) {
  fault_server server;
  server.script({plan::close(), plan::reset()});
  raw_client closed(server.port());
  EXPECT_EQ(closed.exchange(get()).error, asio::error::eof);
  raw_client torn(server.port());
  EXPECT_EQ(torn.exchange(get()).error, asio::error::connection_reset);
  EXPECT_EQ(server.requests().at(0).ended, "cut");
  EXPECT_EQ(server.requests().at(1).ended, "reset");
}

TEST(fault_server, a_break_beyond_the_end_sends_everything_first) {
  fault_server server;
  server.script({plan::answer(200, "body").cut_body_at(1000)});
  raw_client client(server.port());
  EXPECT_EQ(client.exchange(get()).body, "body");
  EXPECT_EQ(client.read_to_end(), "");
  EXPECT_EQ(client.error(), asio::error::eof);
}

TEST(fault_server, drips_the_answer) {
  fault_server server;
  server.script({plan::answer(200, "body").drip(5, 1h), plan::answer(200, "body").drip(1, 1us)});
  raw_client slow(server.port());
  slow.send(get());
  EXPECT_EQ(slow.read_some(), "HTTP/");
  EXPECT_EQ(slow.available(), 0u);
  EXPECT_EQ(ask(server, get()).body, "body");
}

// ---- what comes after ----------------------------------------------------------------------

TEST(fault_server, ends_connections_announced_or_not) {
  fault_server server;
  server.script({plan::answer(200, "a").then(ending::close),
                 plan::answer(200, "b").then(ending::silent_close),
                 plan::answer(200, "c").then(ending::reset)});
  raw_client announced(server.port());
  EXPECT_EQ(announced.exchange(get()).header("Connection"), "close");
  EXPECT_EQ(announced.read_to_end(), "");
  EXPECT_EQ(announced.error(), asio::error::eof);
  raw_client silent(server.port());
  EXPECT_FALSE(silent.exchange(get()).header("Connection").has_value());
  EXPECT_EQ(silent.read_to_end(), "");
  EXPECT_EQ(silent.error(), asio::error::eof);
  raw_client torn(server.port());
  EXPECT_EQ(torn.exchange(get()).body, "c");
  EXPECT_EQ(torn.read_to_end(), "");
  EXPECT_EQ(torn.error(), asio::error::connection_reset);
}

TEST(fault_server, closes_idle_connections) {
  fault_server_options options;
  options.close_idle_after = 1ms;
  fault_server by_option(options);
  raw_client never_asked(by_option.port());
  EXPECT_EQ(never_asked.read_to_end(), "");
  EXPECT_EQ(never_asked.error(), asio::error::eof);

  fault_server by_plan;
  by_plan.script({plan::answer(200).close_idle_after(1ms)});
  raw_client asked(by_plan.port());
  EXPECT_EQ(asked.exchange(get()).status, 200);
  EXPECT_EQ(asked.read_to_end(), "");
  EXPECT_EQ(asked.error(), asio::error::eof);
}

TEST(fault_server, sends_unsolicited_bytes_on_an_idle_connection) {
  fault_server server;
  server.script({plan::answer(200, "a").unsolicited("HTTP/1.1 408 \r\n\r\n", 1ms), plan()});
  raw_client client(server.port());
  EXPECT_EQ(client.exchange(get()).body, "a");
  EXPECT_EQ(client.read(17), "HTTP/1.1 408 \r\n\r\n");
  EXPECT_EQ(client.exchange(get()).status, 200);
}

// ---- wrong bytes ---------------------------------------------------------------------------

std::string wire_of(fault_server& server, const plan& what) {
  server.script({plan(what).then(ending::silent_close)});
  raw_client client(server.port());
  client.send(get());
  return client.read_to_end();
}

std::size_t occurrences(const std::string& text, const std::string& what) {
  std::size_t n = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

TEST(fault_server, garbles_as_told) {
  fault_server server;
  EXPECT_NE(wire_of(server, plan::malformed(garble::not_http)).rfind("HTTP/", 0), 0u);
  EXPECT_EQ(wire_of(server, plan::malformed(garble::bad_status_line)).rfind("HTTP/1.1 2OO", 0), 0u);

  const auto two = wire_of(server, plan::malformed(garble::two_lengths));
  EXPECT_NE(two.find("Content-Length: 2\r\nContent-Length: 3\r\n"), std::string::npos);

  const auto both = wire_of(server, plan::malformed(garble::length_and_chunks));
  EXPECT_NE(both.find("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n"), std::string::npos);

  const auto excess = wire_of(server, plan::malformed(garble::excess_bytes, 3));
  EXPECT_EQ(excess.substr(excess.find("\r\n\r\n") + 4), "{}xxx");

  const auto chunk = wire_of(server, plan::malformed(garble::bad_chunk_size));
  EXPECT_EQ(chunk.substr(chunk.find("\r\n\r\n") + 4, 4), "zz\r\n");

  EXPECT_NE(wire_of(server, plan::malformed(garble::obs_fold)).find("one\r\n two\r\n"),
            std::string::npos);
  EXPECT_GT(wire_of(server, plan::malformed(garble::oversize_header)).find("\r\n\r\n"),
            1024u * 1024);
  EXPECT_GT(wire_of(server, plan::malformed(garble::oversize_body, 200'000)).size(), 200'000u);
  EXPECT_EQ(
      occurrences(wire_of(server, plan::malformed(garble::interim_flood, 50)), "HTTP/1.1 100 "),
      50u);
}

TEST(fault_server, sends_raw_bytes_verbatim) {
  fault_server server;
  const std::string bytes("\0\r\n\xff raw", 8);
  EXPECT_EQ(wire_of(server, plan::raw(bytes)), bytes);
  await(server, [](const fault_counters& c) { return c.answers == 1; });
  EXPECT_EQ(server.requests().at(0).status, 0);
  EXPECT_EQ(server.requests().at(0).answer_bytes, 8u);
}

// ---- the ledger ----------------------------------------------------------------------------

TEST(fault_server, a_charge_booked_before_the_reset_is_replayed_not_repeated) {
  fault_server server;
  server.script({plan::answer(201, R"({"id":"ch_1"})").book().reset_at(0),
                 plan::answer(201, R"({"id":"ch_2"})").book()});
  EXPECT_EQ(ask(server, post(order_1, "k-1")).error, asio::error::connection_reset);
  EXPECT_EQ(server.ledger().bookings, 1u);
  const auto again = ask(server, post(order_1, "\"k-1\""));  // quoted: the same key
  EXPECT_EQ(again.status, 201);
  EXPECT_EQ(again.body, R"({"id":"ch_1"})");
  EXPECT_EQ(again.header("Idempotent-Replayed"), "true");
  const auto totals = server.ledger();
  EXPECT_EQ(totals.bookings, 1u);
  EXPECT_EQ(totals.operations, 1u);
  EXPECT_EQ(totals.double_bookings, 0u);
  EXPECT_EQ(totals.replays, 1u);
  const auto entries = server.ledger_entries();
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].key, "k-1");
  EXPECT_EQ(entries[0].operation, "o-1");
  EXPECT_EQ(entries[0].requests, 2u);
  EXPECT_EQ(entries[0].body_sha256.size(), 64u);
  EXPECT_TRUE(server.requests().at(0).booked);
  EXPECT_FALSE(server.requests().at(1).booked);
  EXPECT_TRUE(server.requests().at(1).replayed);
}

TEST(fault_server, a_failure_that_books_nothing_leaves_the_key_fresh) {
  fault_server server;
  server.script({plan::answer(503), plan::answer(201, "{}").book()});
  EXPECT_EQ(ask(server, post(order_1, "k")).status, 503);
  EXPECT_EQ(server.ledger().bookings, 0u);
  EXPECT_EQ(ask(server, post(order_1, "k")).status, 201);
  EXPECT_EQ(server.ledger().bookings, 1u);
  EXPECT_EQ(server.ledger().replays, 0u);
}

TEST(fault_server, a_charge_without_a_key_is_booked_each_time) {
  fault_server_options options;
  options.otherwise = plan::answer(201, "{}").book();
  fault_server server(options);
  ask(server, post(order_1));
  ask(server, post(order_1));
  ask(server, post(R"({"order":17})"));
  ask(server, post("not json"));
  ask(server, post("not json"));
  const auto totals = server.ledger();
  EXPECT_EQ(totals.bookings, 5u);
  EXPECT_EQ(totals.unkeyed, 5u);
  EXPECT_EQ(totals.operations, 4u);  // o-1, 17, and two that name none
  EXPECT_EQ(totals.double_bookings, 1u);
  EXPECT_EQ(totals.by_operation.at("o-1"), 2u);
  EXPECT_EQ(totals.by_operation.at("17"), 1u);
}

TEST(fault_server, two_keys_for_one_order_are_a_double_booking) {
  fault_server_options options;
  options.otherwise = plan::answer(201, "{}").book();
  fault_server server(options);
  ask(server, post(order_1, "a"));
  ask(server, post(order_1, "b"));
  EXPECT_EQ(server.ledger().double_bookings, 1u);
  EXPECT_EQ(server.ledger().unkeyed, 0u);
}

TEST(fault_server, answers_422_to_a_key_with_another_payload) {
  fault_server_options options;
  options.otherwise = plan::answer(201, "{}").book();
  fault_server server(options);
  EXPECT_EQ(ask(server, post(order_1, "k")).status, 201);
  EXPECT_EQ(ask(server, post(R"({"order":"o-2"})", "k")).status, 422);
  EXPECT_EQ(ask(server, post(order_1, "k", "/v2/charges")).status, 422);
  EXPECT_EQ(server.ledger().bookings, 1u);
  EXPECT_EQ(server.ledger().mismatches, 2u);
  EXPECT_EQ(server.ledger().replays, 0u);
}

TEST(fault_server, answers_409_while_a_key_is_in_flight) {
  fault_server_options options;
  options.effects.conflict_in_flight = true;
  options.otherwise = plan::answer(201, "{}").book();
  fault_server server(options);
  server.script({plan::answer(201, "{}").processing(1h).book()});
  raw_client first(server.port());
  first.send(post(order_1, "k"));
  await(server, [](const fault_counters& c) { return c.requests == 1; });
  EXPECT_EQ(ask(server, post(order_1, "k")).status, 409);
  EXPECT_EQ(ask(server, post(order_1, "other")).status, 201);
  EXPECT_EQ(server.ledger().conflicts, 1u);
  EXPECT_EQ(server.ledger().bookings, 1u);
}

TEST(fault_server, a_key_is_free_again_after_its_request_died_unbooked) {
  fault_server_options options;
  options.effects.conflict_in_flight = true;
  options.otherwise = plan::answer(201, "{}").book();
  fault_server server(options);
  server.script({plan::answer(201, "{}").processing(1h).book()});
  raw_client first(server.port());
  first.send(post(order_1, "k"));
  await(server, [](const fault_counters& c) { return c.requests == 1; });
  server.go_down();
  await(server, [](const fault_counters& c) { return c.open_connections == 0; });
  server.come_up();
  EXPECT_EQ(ask(server, post(order_1, "k")).status, 201);
  EXPECT_EQ(server.ledger().bookings, 1u);
}

TEST(fault_server, books_the_first_of_two_in_flight_and_replays_the_other) {
  fault_server server;
  server.script(
      {plan::answer(201, "slow").processing(200ms).book(), plan::answer(201, "fast").book()});
  raw_client slow(server.port());
  slow.send(post(order_1, "k"));
  await(server, [](const fault_counters& c) { return c.requests == 1; });
  EXPECT_EQ(ask(server, post(order_1, "k")).body, "fast");
  EXPECT_EQ(slow.answer().body, "fast");
  EXPECT_EQ(server.ledger().bookings, 1u);
}

TEST(fault_server, without_deduplication_keys_mean_nothing) {
  fault_server_options options;
  options.effects.deduplicate = false;
  options.otherwise = plan::answer(201, "{}").book();
  fault_server server(options);
  ask(server, post(order_1, "k"));
  ask(server, post(order_1, "k"));
  EXPECT_EQ(server.ledger().bookings, 2u);
  EXPECT_EQ(server.ledger().double_bookings, 1u);
}

TEST(fault_server, a_full_ledger_books_nothing_more) {
  fault_server_options options;
  options.effects.max_entries = 1;
  options.otherwise = plan::answer(201, "{}").book();
  fault_server server(options);
  EXPECT_EQ(ask(server, post(order_1, "a")).status, 201);
  EXPECT_EQ(ask(server, post(order_1, "b")).status, 507);
  EXPECT_EQ(ask(server, post(order_1, "a")).status, 201);
  EXPECT_EQ(server.ledger().bookings, 1u);
  EXPECT_EQ(server.ledger().refused, 1u);
}

TEST(fault_server, looks_operations_up) {
  fault_server server;
  server.script({plan::answer(201, "{}").book(), plan::lookup("o-1"), plan::lookup("o-2")});
  ask(server, post(order_1, "k"));
  const auto known = ask(server, get());
  EXPECT_EQ(known.status, 200);
  EXPECT_EQ(nlohmann::json::parse(known.body)["bookings"], 1);
  EXPECT_EQ(ask(server, get()).status, 404);
}

// ---- connections ---------------------------------------------------------------------------

TEST(fault_server, closes_or_resets_accepted_connections) {
  fault_server server;
  using kind = connection_plan::kind;
  server.script_connections({{kind::close}, {kind::reset}, {kind::reset_on_first_byte}});
  raw_client closed(server.port());
  EXPECT_EQ(closed.read_to_end(), "");
  EXPECT_EQ(closed.error(), asio::error::eof);
  raw_client torn(server.port());
  EXPECT_EQ(torn.read_to_end(), "");
  // A reset that comes while we are still connecting is told there; what is left is an end.
  EXPECT_TRUE(torn.error() == asio::error::connection_reset || torn.error() == asio::error::eof);
  raw_client late(server.port());
  EXPECT_EQ(late.exchange(get()).error, asio::error::connection_reset);
  EXPECT_EQ(server.counters().resets, 2u);
  EXPECT_EQ(server.counters().requests, 0u);
  EXPECT_EQ(ask(server, get()).status, 200);
}

TEST(fault_server, stalls_and_greets_connections) {
  fault_server server;
  server.script_connections(
      {{connection_plan::kind::stall}, {connection_plan::kind::greet, "220 hi\r\n"}});
  raw_client stalled(server.port());
  await(server, [](const fault_counters& c) { return c.stalls == 1; });
  stalled.send(get());
  raw_client greeted(server.port());
  EXPECT_EQ(greeted.read(8), "220 hi\r\n");
  EXPECT_EQ(greeted.exchange(get()).status, 200);
  EXPECT_EQ(stalled.available(), 0u);
}

TEST(fault_server, an_outage_resets_refuses_and_ends) {
  fault_server server;
  raw_client open(server.port());
  EXPECT_EQ(open.exchange(get()).status, 200);
  server.go_down();
  EXPECT_TRUE(server.down());
  EXPECT_EQ(open.read_to_end(), "");
  EXPECT_EQ(open.error(), asio::error::connection_reset);
  for (int i = 0; i < 20; ++i) {
    raw_client refused(server.port());
    EXPECT_EQ(refused.error(), asio::error::connection_refused);
  }
  server.come_up();
  server.come_up();
  EXPECT_FALSE(server.down());
  EXPECT_EQ(ask(server, get()).status, 200);
  server.outage(1ms);
  await(server, [](const fault_counters& c) { return c.recoveries == 2; });
  EXPECT_EQ(ask(server, get()).status, 200);
  EXPECT_EQ(server.counters().outages, 2u);
}

TEST(fault_server, the_port_stays_reserved_while_down) {
  fault_server server;
  server.go_down();
  // Whoever asks the system for a free port must not get this one meanwhile.
  for (int i = 0; i < 50; ++i) {
    asio::io_context io;
    tcp::acceptor other(io, {asio::ip::address_v4::loopback(), 0});
    EXPECT_NE(other.local_endpoint().port(), server.port());
  }
  server.come_up();
  EXPECT_EQ(ask(server, get()).status, 200);
}

TEST(fault_server, a_plan_or_a_handler_takes_the_server_down) {
  fault_server server;
  server.script({plan().outage(1ms)});
  EXPECT_EQ(ask(server, get()).error, asio::error::connection_reset);
  EXPECT_EQ(server.requests().at(0).ended, "outage");
  await(server, [](const fault_counters& c) { return c.recoveries == 1; });
  server.handle([&server](const received_request&) {
    server.go_down();
    return plan();
  });
  EXPECT_EQ(ask(server, get()).error, asio::error::connection_reset);
  EXPECT_TRUE(server.down());
}

TEST(fault_server, stops_promptly_with_everything_open) {
  std::vector<std::unique_ptr<raw_client>> clients;
  {
    fault_server_options options;
    options.tls.emplace();
    fault_server secure(options);
    clients.push_back(std::make_unique<raw_client>(secure.port()));  // never begins its handshake
    fault_server server;
    server.script(
        {plan::stall(), plan::answer(200, "x").delay(24h), plan::answer(200, "x").drip(1, 24h),
         plan::answer(200, "x").processing(24h).book(), plan::answer(200, "x").stall_body_at(0),
         plan::answer(200, "x").unsolicited("y", 24h), plan::answer(200, "x").cut_at(1),
         plan::malformed(garble::oversize_body)});
    for (std::uint64_t i = 1; i <= 8; ++i) {
      clients.push_back(std::make_unique<raw_client>(server.port()));
      clients.back()->send(get());
      await(server, [&](const fault_counters& c) { return c.requests == i; });
    }
    clients.push_back(std::make_unique<raw_client>(server.port()));  // idle
    server.outage(24h);
    await(server, [](const fault_counters& c) { return c.open_connections == 0; });
    server.come_up();
    clients.push_back(std::make_unique<raw_client>(server.port()));
    EXPECT_EQ(clients.back()->exchange(get()).status, 200);
  }
  EXPECT_EQ(clients.back()->read_to_end(), "");
  EXPECT_EQ(clients.back()->error(), asio::error::connection_reset);
}

// ---- limits, records, administration --------------------------------------------------------

TEST(fault_server, refuses_what_is_too_large_or_malformed) {
  fault_server_options options;
  options.max_header_bytes = 256;
  options.max_body_bytes = 100;
  options.max_connections = 1;
  fault_server server(options);
  const auto check = [&](const std::string& request, int status) {
    raw_client client(server.port());
    EXPECT_EQ(client.exchange(request).status, status);
    EXPECT_EQ(client.read_to_end(), "");
    EXPECT_EQ(client.error(), asio::error::eof);
    client.close();
    await(server, [](const fault_counters& c) { return c.open_connections == 0; });
  };
  check("GET /" + std::string(300, 'a') + " HTTP/1.1\r\n\r\n", 431);
  check(post(std::string(101, 'b')), 413);
  check("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n80\r\n" + std::string(128, 'c'), 413);
  check("nonsense\r\n\r\n", 400);
  EXPECT_EQ(server.counters().rejected, 4u);
  EXPECT_EQ(server.counters().requests, 0u);
  raw_client within(server.port());
  EXPECT_EQ(within.exchange(post(std::string(100, 'b'))).status, 200);
  raw_client one_too_many(server.port());
  EXPECT_EQ(one_too_many.read_to_end(), "");
  EXPECT_EQ(server.counters().connections, 5u);
}

TEST(fault_server, reads_bodies_that_come_in_pieces) {
  fault_server server;
  raw_client client(server.port());
  const std::string request =
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
  for (const char c : request) client.send(std::string(1, c));
  EXPECT_EQ(client.answer().status, 200);
  EXPECT_EQ(server.requests().at(0).request.body, "abcdefg");
}

TEST(fault_server, remembers_a_bounded_number_of_requests) {
  fault_server_options options;
  options.max_records = 2;
  options.max_record_body_bytes = 3;
  std::atomic<std::size_t> seen_by_handler{0};
  options.handler = [&](const received_request& r) {
    seen_by_handler = r.body.size();
    return plan();
  };
  fault_server server(options);
  for (int i = 0; i < 3; ++i) ask(server, post("12345", {}, "/" + std::to_string(i)));
  await(server, [](const fault_counters& c) { return c.answers == 3; });
  const auto kept = server.requests();
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0].request.target, "/1");
  EXPECT_EQ(kept[1].request.body, "123");
  EXPECT_EQ(kept[1].ended, "answered");
  EXPECT_EQ(seen_by_handler, 5u);
  EXPECT_EQ(server.counters().requests, 3u);
}

TEST(fault_server, may_answer_before_the_body_was_read) {
  fault_server_options options;
  options.on_head = [](const received_request& r) -> std::optional<plan> {
    if (r.target != "/early") return std::nullopt;
    return plan::answer(408);
  };
  fault_server server(options);
  raw_client client(server.port());
  client.send("POST /early HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\nab");
  const auto seen = client.answer();
  EXPECT_EQ(seen.status, 408);
  EXPECT_EQ(seen.header("Connection"), "close");
  EXPECT_EQ(client.read_to_end(), "");
  EXPECT_EQ(ask(server, post("x", {}, "/late")).status, 200);
}

TEST(fault_server, says_100_to_a_client_that_expects_it) {
  fault_server server;
  raw_client client(server.port());
  client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.answer(true).status, 100);
  client.send("ok");
  EXPECT_EQ(client.answer().status, 200);
  EXPECT_EQ(server.requests().at(0).request.body, "ok");
}

TEST(fault_server, reset_forgets_everything_but_the_connections) {
  fault_server_options options;
  std::atomic<int> resets{0};
  options.on_reset = [&] {
    ++resets;
    throw std::runtime_error("ignored");
  };
  fault_server server(options);
  raw_client client(server.port());
  server.script({plan::answer(201, "{}").book(), plan::answer(500)});
  client.exchange(post(order_1, "k"));
  server.reset();
  EXPECT_EQ(resets, 1);
  EXPECT_EQ(server.script_left(), 0u);
  EXPECT_EQ(server.ledger().bookings, 0u);
  EXPECT_TRUE(server.requests().empty());
  EXPECT_EQ(server.counters().requests, 0u);
  EXPECT_EQ(server.counters().open_connections, 1u);
  EXPECT_EQ(client.exchange(get()).status, 200);
  EXPECT_EQ(server.requests().at(0).request.number, 1u);
}

TEST(fault_server, administers_over_http) {
  fault_server_options options;
  options.admin = true;
  options.otherwise = plan::answer(201, "{}").book();
  fault_server server(options);
  ask(server, post(order_1, "a"));
  ask(server, post(order_1, "b\xff"));
  const auto json = nlohmann::json::parse(ask(server, get("/_ledger")).body);
  EXPECT_EQ(json["charges"], 2);
  EXPECT_EQ(json["orders"], 1);
  EXPECT_EQ(json["double_charges"], 1);
  EXPECT_EQ(json["requests"], 2);
  EXPECT_EQ(json["charged_twice"]["o-1"], 2);
  await(server, [](const fault_counters& c) { return c.answers == 2; });
  EXPECT_EQ(nlohmann::json::parse(ask(server, get("/_status")).body)["answers"], 2);
  EXPECT_EQ(ask(server, get("/_reset")).status, 404);
  EXPECT_EQ(ask(server, post("", {}, "/_reset")).status, 200);
  EXPECT_EQ(nlohmann::json::parse(ask(server, get("/_ledger")).body)["charges"], 0);
  EXPECT_EQ(server.counters().requests, 0u);
}

TEST(fault_server, without_admin_its_routes_are_like_any_other) {
  fault_server server;
  EXPECT_EQ(ask(server, get("/_ledger")).body, "{}");
  EXPECT_EQ(server.counters().requests, 1u);
}

TEST(fault_server, wait_for_asks_under_no_lock_and_gives_up) {
  fault_server server;
  EXPECT_FALSE(
      server.wait_for([&](const fault_counters&) { return server.counters().requests > 0; }, 0s));
  EXPECT_TRUE(server.wait_for([](const fault_counters&) { return true; }, 0s));
}

TEST(fault_server, names_the_option_that_is_out_of_bounds) {
  const auto field_of = [](auto change) {
    fault_server_options options;
    change(options);
    try {
      fault_server server(options);
    } catch (const hawser::config_error& e) {
      return e.field();
    }
    return std::string("accepted");
  };
  EXPECT_EQ(field_of([](auto& o) { o.max_connections = 0; }), "fault_server.max_connections");
  EXPECT_EQ(field_of([](auto& o) { o.max_connections = 1; }), "accepted");
  EXPECT_EQ(field_of([](auto& o) { o.max_header_bytes = 63; }), "fault_server.max_header_bytes");
  EXPECT_EQ(field_of([](auto& o) { o.effects.max_entries = 0; }),
            "fault_server.effects.max_entries");
  EXPECT_EQ(field_of([](auto& o) { o.effects.key_header = ""; }),
            "fault_server.effects.key_header");
  EXPECT_EQ(field_of([](auto& o) { o.close_idle_after = -1ns; }), "fault_server.close_idle_after");
}

TEST(fault_server, a_port_in_use_is_an_error) {
  fault_server first;
  fault_server_options options;
  options.port = first.port();
  EXPECT_THROW(fault_server second(options), boost::system::system_error);
}

TEST(fault_server, counts_exactly_under_many_threads) {
  fault_server_options options;
  options.handler = [](const received_request& r) {
    if (r.number % 5 == 0) return plan::answer(201, "{}").book().reset_at(0);
    return plan::answer(201, "{}").book();
  };
  fault_server server(options);
  constexpr int threads = 4;
  constexpr int each = 40;
  std::vector<std::thread> running;
  for (int t = 0; t < threads; ++t)
    running.emplace_back([&server, t] {
      for (int i = 0; i < each; ++i) {
        const std::string order = std::to_string(t) + "-" + std::to_string(i);
        const std::string request = post("{\"order\":\"" + order + "\"}", "key-" + order);
        while (ask(server, request).status != 201) {
        }
        static_cast<void>(server.ledger().bookings + server.counters().requests);
      }
    });
  for (std::thread& each_thread : running) each_thread.join();
  const auto totals = server.ledger();
  EXPECT_EQ(totals.bookings, static_cast<std::uint64_t>(threads * each));
  EXPECT_EQ(totals.double_bookings, 0u);
  EXPECT_EQ(totals.replays, server.counters().requests - totals.bookings);
  EXPECT_EQ(server.counters().requests / 5, server.counters().resets);
}

// ---- TLS -----------------------------------------------------------------------------------

fault_server_options with_tls(leaf_request leaf = {}) {
  fault_server_options options;
  options.tls.emplace();
  options.tls->leaf = std::move(leaf);
  return options;
}

TEST(fault_server_tls, serves_over_tls_with_its_own_authority) {
  fault_server server(with_tls());
  EXPECT_EQ(server.url("localhost"), "https://localhost:" + std::to_string(server.port()));
  for (const char* name : {"localhost", "127.0.0.1"}) {
    raw_client client(server.port());
    ASSERT_FALSE(client.secure(server.authority()->certificate(), name));
    EXPECT_STREQ(SSL_get_version(client.native()), "TLSv1.3");
    EXPECT_EQ(client.exchange(get()).status, 200);
    EXPECT_EQ(client.exchange(get()).status, 200);
  }
  EXPECT_EQ(server.counters().handshakes, 2u);
}

TEST(fault_server_tls, shows_bad_certificates) {
  struct {
    leaf_request leaf;
    long why;
  } const cases[] = {{expired_leaf(), X509_V_ERR_CERT_HAS_EXPIRED},
                     {not_yet_valid_leaf(), X509_V_ERR_CERT_NOT_YET_VALID},
                     {self_signed_leaf(), X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT}};
  for (const auto& each : cases) {
    fault_server server(with_tls(each.leaf));
    raw_client client(server.port());
    EXPECT_TRUE(client.secure(server.authority()->certificate()));
    EXPECT_EQ(SSL_get_verify_result(client.native()), each.why);
    await(server, [](const fault_counters& c) { return c.failed_handshakes == 1; });
  }
  fault_server elsewhere(with_tls(wrong_host_leaf()));
  raw_client client(elsewhere.port());
  EXPECT_TRUE(client.secure(elsewhere.authority()->certificate()));
  raw_client right(elsewhere.port());
  EXPECT_FALSE(right.secure(elsewhere.authority()->certificate(), "elsewhere.test"));
}

TEST(fault_server_tls, uses_the_authority_it_is_given) {
  const auto authority = std::make_shared<const test_authority>();
  const test_authority stranger;
  auto options = with_tls();
  options.tls->authority = authority;
  fault_server server(options);
  EXPECT_EQ(server.authority(), authority.get());
  raw_client client(server.port());
  EXPECT_FALSE(client.secure(authority->certificate()));
  raw_client distrustful(server.port());
  EXPECT_TRUE(distrustful.secure(stranger.certificate()));
}

TEST(fault_server_tls, speaks_only_1_2_when_told) {
  auto options = with_tls();
  options.tls->only_tls_1_2 = true;
  fault_server server(options);
  raw_client old(server.port());
  ASSERT_FALSE(old.secure(server.authority()->certificate()));
  EXPECT_STREQ(SSL_get_version(old.native()), "TLSv1.2");
  EXPECT_EQ(old.exchange(get()).status, 200);
  raw_client modern(server.port());
  EXPECT_TRUE(modern.secure_with(server.authority()->certificate(), [](asio::ssl::context& c) {
    SSL_CTX_set_min_proto_version(c.native_handle(), TLS1_3_VERSION);
  }));
}

TEST(fault_server_tls, asks_for_client_certificates) {
  auto options = with_tls();
  options.tls->require_client_certificate = true;
  fault_server server(options);
  const std::string trusted = server.authority()->certificate();
  raw_client anonymous(server.port());
  if (!anonymous.secure(trusted)) {  // under TLS 1.3 the refusal comes after the client's Finished
    EXPECT_TRUE(anonymous.exchange(get()).error);
  }
  await(server, [](const fault_counters& c) { return c.failed_handshakes == 1; });
  const auto use = [](const issued_certificate& own) {
    return [own](asio::ssl::context& c) {
      c.use_certificate_chain(asio::buffer(own.chain));
      c.use_private_key(asio::buffer(own.key), asio::ssl::context::pem);
    };
  };
  raw_client known(server.port());
  ASSERT_FALSE(known.secure_with(trusted, use(server.authority()->issue(client_leaf("billing")))));
  EXPECT_EQ(known.exchange(get()).status, 200);
  EXPECT_EQ(server.requests().at(0).request.client_name, "billing");
  raw_client forged(server.port());
  if (!forged.secure_with(trusted, use(test_authority().issue(client_leaf("billing"))))) {
    EXPECT_TRUE(forged.exchange(get()).error);
  }
  EXPECT_EQ(server.counters().requests, 1u);
}

TEST(fault_server_tls, answers_in_plain_text_or_stalls_the_handshake) {
  fault_server server(with_tls());
  using kind = connection_plan::kind;
  server.script_connections(
      {{kind::plain_text}, {kind::stall}, {kind::close}, {kind::reset_on_first_byte}});
  const std::string trusted = server.authority()->certificate();
  raw_client plain(server.port());
  EXPECT_TRUE(plain.secure(trusted));
  raw_client stalled(server.port());
  await(server, [](const fault_counters& c) { return c.stalls == 1; });
  EXPECT_EQ(stalled.available(), 0u);
  raw_client closed(server.port());
  EXPECT_TRUE(closed.secure(trusted));
  EXPECT_EQ(server.counters().handshakes, 0u);
  raw_client torn(server.port());
  ASSERT_FALSE(torn.secure(trusted));
  EXPECT_EQ(torn.exchange(get()).error, asio::error::connection_reset);
}

/// TLS by hand over a client without it, so that bytes of ours can share a packet.
class hand_made_tls {
 public:
  hand_made_tls(raw_client& wire, int version)
      : wire_(wire),
        context_(asio::ssl::context::tls_client),
        tls_(SSL_new(context_.native_handle()), SSL_free) {
    SSL_set_min_proto_version(tls_.get(), version);
    SSL_set_max_proto_version(tls_.get(), version);
    SSL_set_bio(tls_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(tls_.get());
  }

  /// The last flight of the handshake stays here until `flush()`.
  [[nodiscard]] bool handshake() {
    while (SSL_do_handshake(tls_.get()) != 1) {
      flush();
      const std::string more = wire_.read_some();
      if (more.empty()) return false;
      BIO_write(SSL_get_rbio(tls_.get()), more.data(), static_cast<int>(more.size()));
    }
    return true;
  }
  void write(const std::string& bytes) {
    EXPECT_EQ(SSL_write(tls_.get(), bytes.data(), static_cast<int>(bytes.size())),
              static_cast<int>(bytes.size()));
  }
  void close_notify() { SSL_shutdown(tls_.get()); }
  void flush() {
    std::string out(BIO_ctrl_pending(SSL_get_wbio(tls_.get())), '\0');
    if (out.empty()) return;
    BIO_read(SSL_get_wbio(tls_.get()), out.data(), static_cast<int>(out.size()));
    wire_.send(out);
  }

 private:
  raw_client& wire_;
  asio::ssl::context context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> tls_;
};

// Under TLS 1.3 the request can come with the client's Finished: the socket has nothing more then.
TEST(fault_server_tls, resets_on_first_byte_also_when_that_came_with_the_handshake) {
  fault_server server(with_tls());
  std::uint64_t resets = 0;
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION})
    for (const bool at_once : {true, false}) {
      SCOPED_TRACE(version == TLS1_2_VERSION ? "1.2" : "1.3");
      server.script_connections({{connection_plan::kind::reset_on_first_byte}});
      raw_client wire(server.port());
      hand_made_tls tls(wire, version);
      ASSERT_TRUE(tls.handshake());
      if (!at_once) {
        tls.flush();
        await(server, [&](const fault_counters& c) { return c.handshakes == resets + 1; });
        EXPECT_EQ(server.counters().resets, resets) << "no byte of a request yet";
      }
      tls.write(get());
      tls.flush();
      ++resets;
      wire.read_to_end();  // tickets may come first
      EXPECT_EQ(wire.error(), asio::error::connection_reset) << wire.error().message();
      EXPECT_EQ(server.counters().resets, resets);
    }
  EXPECT_EQ(server.counters().requests, 0u);
}

TEST(fault_server_tls, resets_nobody_who_leaves_before_the_first_byte) {
  for (const bool secure : {true, false}) {
    fault_server server(secure ? with_tls() : fault_server_options{});
    using kind = connection_plan::kind;
    server.script_connections({{kind::reset_on_first_byte}, {kind::reset_on_first_byte}});
    for (const bool says_so : {true, false}) {
      raw_client wire(server.port());
      if (secure) {
        hand_made_tls tls(wire, TLS1_3_VERSION);
        ASSERT_TRUE(tls.handshake());
        if (says_so) tls.close_notify();
        tls.flush();
      }
      const std::uint64_t accepted = says_so ? 1 : 2;
      await(server, [&](const fault_counters& c) { return c.connections == accepted; });
      wire.close();
      await(server, [](const fault_counters& c) { return c.open_connections == 0; });
    }
    EXPECT_EQ(server.counters().resets, 0u);
  }
}

TEST(fault_server_tls, a_cut_is_a_truncation_unless_close_notify_is_sent) {
  fault_server server(with_tls());
  server.script({plan::answer(200, "0123456789").cut_body_at(3),
                 plan::answer(200, "0123456789").cut_body_at(3).with_close_notify(),
                 plan::answer(200, "0123456789").reset_body_at(3),
                 plan::answer(200, "0123456789").then(ending::close)});
  const error_code ends[] = {asio::ssl::error::stream_truncated, asio::error::eof,
                             asio::error::connection_reset};
  for (const error_code& end : ends) {
    raw_client client(server.port());
    ASSERT_FALSE(client.secure(server.authority()->certificate()));
    client.send(get());
    client.answer(true);
    EXPECT_EQ(client.read_to_end(), "012");
    EXPECT_EQ(client.error(), end) << client.error().message();
  }
  raw_client whole(server.port());
  ASSERT_FALSE(whole.secure(server.authority()->certificate()));
  EXPECT_EQ(whole.exchange(get()).body, "0123456789");
  EXPECT_EQ(whole.read_to_end(), "");
  EXPECT_EQ(whole.error(), asio::error::eof);
}

// ---- profiles ------------------------------------------------------------------------------

received_request charge_request(std::uint64_t number, hawser::duration at = {}) {
  received_request request;
  request.number = number;
  request.at = at;
  request.method = "POST";
  request.target = "/v1/charges";
  request.body = order_1;
  return request;
}

payment_options healthy_day() {
  payment_options options;
  options.faults.reset_before = options.faults.error_500 = options.faults.unavailable_503 =
      options.faults.stall_before = options.faults.reset_after = options.faults.cut_after =
          options.faults.stall_after = options.faults.spike = 0;
  options.faults.latency = 0s;
  options.burst_every.reset();
  return options;
}

std::string fate_of(const plan& drawn) {
  const plan::parts& p = drawn.get();
  std::string fate = std::to_string(p.status) + (p.book ? " booked" : "");
  if (p.broken) fate += " break " + std::to_string(static_cast<int>(p.broken->how));
  if (p.outage) fate += " outage";
  if (p.delay >= 250ms) fate += " late";
  return fate;
}

TEST(random_faults, the_same_seed_gives_the_same_faults) {
  const random_faults one{fault_mix{}};
  const random_faults same{fault_mix{}};
  fault_mix other_mix;
  other_mix.seed = 2;
  const random_faults other{other_mix};
  const plan healthy = plan::answer(201, "{}").book();
  std::vector<std::string> first;
  std::vector<std::string> others;
  for (int i = 0; i < 500; ++i) {
    first.push_back(fate_of(one.over(healthy)));
    EXPECT_EQ(fate_of(same.over(healthy)), first.back());
    others.push_back(fate_of(other.over(healthy)));
  }
  EXPECT_NE(first, others);
  one.restart();
  for (const std::string& expected : first) EXPECT_EQ(fate_of(one.over(healthy)), expected);
}

TEST(random_faults, about_a_fifth_of_the_requests_fail) {
  const random_faults faults{fault_mix{}};
  int failed = 0;
  int booked_and_lost = 0;
  for (int i = 0; i < 10'000; ++i) {
    const plan drawn = faults.over(plan::answer(201, "{}").book());
    const bool broken = drawn.get().broken.has_value();
    failed += broken || drawn.get().status != 201;
    booked_and_lost += broken && drawn.get().book;
  }
  EXPECT_NEAR(failed, 2000, 200);  // five standard deviations; the seed is fixed
  EXPECT_NEAR(booked_and_lost, 700, 130);
}

TEST(random_faults, each_share_draws_its_own_fault) {
  const auto only = [](double fault_mix::*share) {
    fault_mix mix;
    mix.reset_before = mix.error_500 = mix.unavailable_503 = mix.stall_before = 0;
    mix.reset_after = mix.cut_after = mix.stall_after = 0;
    mix.*share = 1;
    mix.spike = share == &fault_mix::spike ? 1 : 0;
    return fate_of(random_faults(mix).over(plan::answer(201, "{}").book()));
  };
  EXPECT_EQ(only(&fault_mix::reset_before), "200 break 1");
  EXPECT_EQ(only(&fault_mix::error_500), "500");
  EXPECT_EQ(only(&fault_mix::unavailable_503), "503");
  EXPECT_EQ(only(&fault_mix::stall_before), "200 break 2");
  EXPECT_EQ(only(&fault_mix::reset_after), "201 booked break 1");
  EXPECT_EQ(only(&fault_mix::cut_after), "201 booked break 0");
  EXPECT_EQ(only(&fault_mix::stall_after), "201 booked break 2");
  EXPECT_EQ(only(&fault_mix::spike), "201 booked late");
}

TEST(random_faults, some_of_the_healthy_requests_are_late) {
  fault_mix mix;
  mix.spike = 0.25;
  const random_faults faults{mix};
  int healthy = 0;
  int late = 0;
  for (int i = 0; i < 10'000; ++i) {
    const std::string fate = fate_of(faults.over(plan::answer(201, "{}").book()));
    healthy += fate == "201 booked" || fate == "201 booked late";
    late += fate == "201 booked late";
  }
  EXPECT_NEAR(late, healthy / 4, 200);  // five standard deviations; the seed is fixed
}

TEST(random_faults, an_answer_may_never_come) {
  fault_mix mix = healthy_day().faults;
  mix.spike = 1;
  mix.latency = mix.spike_delay = hawser::duration::max();
  EXPECT_EQ(random_faults(mix).over(plan::answer(201, "{}").delay(1s)).get().delay,
            hawser::duration::max());
}

TEST(random_faults, shares_out_of_bounds_are_refused) {
  fault_mix mix;
  mix.error_500 = 1.1;
  EXPECT_THROW(random_faults{mix}, hawser::config_error);
  mix.error_500 = 0.9;  // with the defaults of the others more than 1
  EXPECT_THROW(random_faults{mix}, hawser::config_error);
  mix.error_500 = -0.1;
  EXPECT_THROW(random_faults{mix}, hawser::config_error);
  mix.error_500 = 0.8;
  EXPECT_NO_THROW(random_faults{mix});
}

TEST(random_faults, times_and_spikes_out_of_bounds_are_refused_by_name) {
  const auto refused = [](auto change) -> std::string {
    fault_mix mix;
    change(mix);
    try {
      const random_faults faults{mix};
      return "accepted";
    } catch (const hawser::config_error& e) {
      return e.what();
    }
  };
  const auto names = [&](std::string_view field, auto change) {
    const std::string text = refused(change);
    EXPECT_NE(text.find(field), std::string::npos) << field << ": " << text;
    EXPECT_NE(text.find("must "), std::string::npos) << field << ": " << text;
  };
  names("fault_mix.spike", [](fault_mix& m) { m.spike = 1.01; });
  names("fault_mix.spike", [](fault_mix& m) { m.spike = -0.01; });
  names("fault_mix.spike_delay", [](fault_mix& m) { m.spike_delay = -1ns; });
  names("fault_mix.latency", [](fault_mix& m) { m.latency = -1ns; });
  names("fault_mix.retry_after", [](fault_mix& m) { m.retry_after = -1s; });
  names("fault_mix.retry_after", [](fault_mix& m) { m.retry_after = 366 * 24h + 1s; });
  names("fault_mix.retry_after", [](fault_mix& m) { m.retry_after = std::chrono::seconds::max(); });
  EXPECT_EQ(refused([](fault_mix& m) {
              m.spike = 1;
              m.spike_delay = m.latency = 0s;
              m.retry_after = 0s;
            }),
            "accepted");
  EXPECT_EQ(refused([](fault_mix& m) {
              m.spike = 0;
              m.retry_after = 366 * 24h;
            }),
            "accepted");
}

TEST(payment_gateway, charges_looks_up_and_refuses) {
  const payment_gateway gateway(healthy_day());
  fault_server server(gateway.server_options());
  const auto charged = ask(server, post(order_1, "k"));
  EXPECT_EQ(charged.status, 201);
  EXPECT_EQ(nlohmann::json::parse(charged.body)["order"], "o-1");
  EXPECT_EQ(nlohmann::json::parse(charged.body)["id"], "ch_1");
  EXPECT_EQ(ask(server, post(order_1, "k")).body, charged.body);
  EXPECT_EQ(ask(server, get("/v1/charges/o%2D1?x=1")).status, 200);
  EXPECT_EQ(ask(server, get("/v1/charges/o-2")).status, 404);
  EXPECT_EQ(ask(server, get("/v1/charges")).status, 405);
  EXPECT_EQ(ask(server, post("x", {}, "/v1/charges/o-1")).status, 405);
  EXPECT_EQ(ask(server, get("/v1/chargesX")).status, 404);
  EXPECT_EQ(ask(server, get("/v1/charges/")).status, 404);
  EXPECT_EQ(ask(server, post("{}", "k2")).status, 400);
  EXPECT_EQ(ask(server, post(R"({"order":"o-9","amount":"1","currency":"EUR"})", "k3")).status,
            400);
  EXPECT_EQ(ask(server, post(R"([1])", "k4")).status, 400);
  EXPECT_EQ(server.ledger().bookings, 1u);
}

TEST(payment_gateway, bursts_of_429_begin_and_end) {
  payment_options options = healthy_day();
  options.burst_every = 3;
  options.burst_for = 1500ms;
  const payment_gateway gateway(options);
  EXPECT_EQ(gateway(charge_request(1, 0s)).get().status, 201);
  EXPECT_EQ(gateway(charge_request(2, 0s)).get().status, 201);
  const plan busy = gateway(charge_request(3, 1s));
  EXPECT_EQ(busy.get().status, 429);
  EXPECT_EQ(busy.get().retry_after, 2s);
  EXPECT_FALSE(busy.get().book);
  EXPECT_EQ(gateway(charge_request(4, 2499ms)).get().retry_after, 1s);
  EXPECT_EQ(gateway(charge_request(5, 2500ms)).get().status, 201);
}

TEST(payment_gateway, a_burst_of_429_may_have_no_end) {
  payment_options options = healthy_day();
  options.burst_every = 2;
  options.burst_for = hawser::duration::max();
  const payment_gateway gateway(options);
  EXPECT_EQ(gateway(charge_request(1, 1s)).get().status, 201);
  EXPECT_EQ(gateway(charge_request(2, 1s)).get().status, 429);
  EXPECT_EQ(gateway(charge_request(3, 1h)).get().status, 429);
}

TEST(payment_gateway, a_rate_limit_admits_a_burst_and_refills) {
  payment_options options = healthy_day();
  options.rate_limit = 2;
  options.rate_burst = 2;
  const payment_gateway gateway(options);
  EXPECT_EQ(gateway(charge_request(1, 0s)).get().status, 201);
  EXPECT_EQ(gateway(charge_request(2, 0s)).get().status, 201);
  EXPECT_EQ(gateway(charge_request(3, 0s)).get().status, 429);
  EXPECT_EQ(gateway(charge_request(4, 500ms)).get().status, 201);
  EXPECT_EQ(gateway(charge_request(5, 500ms)).get().status, 429);
  EXPECT_EQ(gateway(charge_request(6, 1h)).get().status, 201);
  EXPECT_EQ(gateway(charge_request(7, 1h)).get().status, 201);
  EXPECT_EQ(gateway(charge_request(8, 1h)).get().status, 429);
}

TEST(payment_gateway, goes_down_once_at_a_request_or_at_a_time) {
  payment_options options = healthy_day();
  options.outage_at_request = 2;
  options.outage_for = 3s;
  const payment_gateway by_count(options);
  EXPECT_EQ(fate_of(by_count(charge_request(1))), "201 booked");
  EXPECT_EQ(by_count(charge_request(2)).get().outage, 3s);
  EXPECT_EQ(fate_of(by_count(charge_request(3))), "201 booked");
  by_count.restart();
  EXPECT_EQ(fate_of(by_count(charge_request(1))), "201 booked");
  EXPECT_EQ(fate_of(by_count(charge_request(2))), "200 outage");
  options.outage_at_request.reset();
  options.outage_at = 10s;
  const payment_gateway by_time(options);
  EXPECT_EQ(fate_of(by_time(charge_request(1, 9s))), "201 booked");
  EXPECT_EQ(fate_of(by_time(charge_request(2, 10s))), "200 outage");
  EXPECT_EQ(fate_of(by_time(charge_request(3, 11s))), "201 booked");
}

TEST(payment_gateway, a_burst_or_an_outage_shifts_no_other_fault) {
  payment_options options;
  options.burst_every.reset();
  const payment_gateway calm(options);
  options.burst_every = 10;
  options.burst_for = 0s;
  options.outage_at_request = 25;
  const payment_gateway busy(options);
  for (std::uint64_t n = 1; n <= 200; ++n) {
    const std::string expected = fate_of(calm(charge_request(n)));
    const std::string seen = fate_of(busy(charge_request(n)));
    if (n == 25) {
      EXPECT_EQ(seen, "200 outage");
    } else {
      EXPECT_EQ(seen, expected) << n;
    }
  }
}

TEST(payment_gateway, options_out_of_bounds_are_refused) {
  const auto refused = [](auto change) {
    payment_options options;
    change(options);
    EXPECT_THROW(payment_gateway{options}, hawser::config_error);
  };
  refused([](auto& o) { o.burst_every = 0; });
  refused([](auto& o) { o.burst_for = -1ns; });
  refused([](auto& o) { o.rate_limit = 0.0; });
  refused([](auto& o) { o.rate_burst = 0.5; });
  refused([](auto& o) { o.outage_at_request = 0; });
  refused([](auto& o) { o.outage_for = -1s; });
}

TEST(payment_gateway, reset_over_http_makes_two_runs_alike) {
  payment_options options;
  options.faults.stall_before = options.faults.stall_after = 0;
  options.faults.latency = 0s;
  options.faults.spike = 0;
  options.burst_every.reset();
  const payment_gateway gateway(options);
  fault_server server(gateway.server_options());
  const auto run = [&] {
    std::vector<std::string> seen;
    for (int i = 0; i < 60; ++i) {
      const auto one = ask(server, post(order_1, "k-" + std::to_string(i)));
      seen.push_back(std::to_string(one.status) + one.error.message());
    }
    return seen;
  };
  const auto first = run();
  const auto totals = server.ledger();
  EXPECT_EQ(ask(server, post("", {}, "/_reset")).status, 200);
  EXPECT_EQ(run(), first);
  EXPECT_EQ(server.ledger().bookings, totals.bookings);
}

}  // namespace
}  // namespace fault_server_test
