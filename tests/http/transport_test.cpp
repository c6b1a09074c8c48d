#include "hawser/testing/fault_server.hpp"

#include "http/beast/connector.hpp"
#include "http/transport_support.hpp"
#include "support/allocations.hpp"

#include <gtest/gtest.h>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <condition_variable>
#include <stdexcept>
#include <thread>
#include <vector>

namespace hawser::test::transport_test {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using testing::connection_plan;
using testing::ending;
using testing::fault_server;
using testing::plan;

class transport : public ::testing::Test, public transport_rig {
 protected:
  fault_server server;
};

// --- whole exchanges ---------------------------------------------------------------------------

TEST_F(transport, carries_a_request_and_its_answer) {
  server.script({plan::answer(201, R"({"id":1})").header("X-Trace", "t")});
  auto net = make(server.url());
  one_exchange ex(http::method::post, "/v1/charges?a=b", "{\"amount\":7}");
  http::headers defaults;
  defaults.add("User-Agent", "test");
  ex.default_headers = &defaults;
  ex.own_.add("Idempotency-Key", "k-1");
  ASSERT_TRUE(run(*net, ex));
  EXPECT_FALSE(ex.ec_) << ex.detail_;
  EXPECT_EQ(ex.delivery_, evidence::answered);
  EXPECT_EQ(ex.answer_.status(), 201);
  EXPECT_EQ(ex.answer_.body(), R"({"id":1})");
  EXPECT_EQ(ex.answer_.headers().find("x-trace"), "t");
  const auto seen = server.requests();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].request.method, "POST");
  EXPECT_EQ(seen[0].request.target, "/v1/charges?a=b");
  EXPECT_EQ(seen[0].request.body, "{\"amount\":7}");
  EXPECT_EQ(seen[0].request.header("idempotency-key"), "k-1");
  EXPECT_EQ(seen[0].request.header("user-agent"), "test");
  EXPECT_EQ(seen[0].request.header("host"), "127.0.0.1:" + std::to_string(server.port()));
}

TEST_F(transport, reuses_a_connection_after_a_whole_framed_answer) {
  auto net = make(server.url());
  one_exchange ex;
  for (int i = 0; i < 5; ++i) {
    ex.get("/" + std::to_string(i));
    ASSERT_TRUE(run(*net, ex));
    ASSERT_FALSE(ex.ec_) << ex.detail_;
  }
  EXPECT_EQ(server.counters().connections, 1u);
  EXPECT_EQ(net->stats().opened, 1u);
  EXPECT_EQ(net->stats().reused, 4u);
  EXPECT_EQ(net->stats().idle, 1u);
}

TEST_F(transport, errors_4xx_and_5xx_are_answers) {
  server.script({plan::answer(404, "{}"), plan::answer(503)});
  auto net = make(server.url());
  one_exchange ex;
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  EXPECT_FALSE(ex.ec_);
  EXPECT_EQ(ex.answer_.status(), 404);
  ASSERT_TRUE(run(*net, ex));
  EXPECT_EQ(ex.answer_.status(), 503);
  EXPECT_EQ(server.counters().connections, 1u);
}

TEST_F(transport, head_and_no_content_have_no_body_and_keep_the_connection) {
  server.script({plan::answer(200, "0123456789"), plan::answer(204), plan::answer(200)});
  auto net = make(server.url());
  one_exchange ex(http::method::head, "/");
  ASSERT_TRUE(run(*net, ex));
  EXPECT_FALSE(ex.ec_) << ex.detail_;
  EXPECT_TRUE(ex.answer_.body().empty());
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  EXPECT_EQ(ex.answer_.status(), 204);
  ASSERT_TRUE(run(*net, ex));
  EXPECT_EQ(server.counters().connections, 1u);
}

TEST_F(transport, takes_large_bodies_both_ways) {
  const std::string large(3 * 1024 * 1024, 'x');
  server.handle([](const testing::received_request& r) { return plan::answer(200, r.body); });
  auto net = make(server.url());
  one_exchange ex(http::method::put, "/", large);
  ASSERT_TRUE(run(*net, ex));
  ASSERT_FALSE(ex.ec_) << ex.ec_.message() << ex.detail_;
  EXPECT_EQ(ex.answer_.body(), large);
  EXPECT_EQ(net->stats().idle, 1u);
}

TEST_F(transport, reads_chunks_interim_answers_and_drips) {
  server.script({plan::answer(200, "hello world").chunked().interim(3).drip(1, 100us)});
  auto net = make(server.url());
  one_exchange ex;
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  ASSERT_FALSE(ex.ec_) << ex.detail_;
  EXPECT_EQ(ex.answer_.body(), "hello world");
  EXPECT_EQ(net->stats().idle, 1u);
}

TEST_F(transport, completes_never_inside_start_and_exactly_once) {
  auto net = make(server.url());
  one_exchange ex;
  ex.get("/");
  for (int i = 0; i < 2; ++i) {
    ex.again();
    net->start(ex);
    EXPECT_FALSE(ex.done());
    ASSERT_TRUE(run_until(ex));
  }
  net->close();
  ex.again();
  net->start(ex);
  EXPECT_FALSE(ex.done());
  ASSERT_TRUE(run_until(ex));
  EXPECT_EQ(ex.ec_, errc::client_closed);
  EXPECT_EQ(ex.delivery_, evidence::never_sent);
  EXPECT_EQ(ex.ends_, 3);
}

TEST_F(transport, a_chain_started_from_on_done_stays_on_one_connection) {
  auto net = make(server.url());
  one_exchange ex;
  ex.get("/");
  int left = 50;
  ex.then_ = [&] {
    if (--left == 0) return;
    ex.again();
    net->start(ex);
  };
  net->start(ex);
  ASSERT_TRUE(run_until([&] { return left == 0; }));
  EXPECT_FALSE(ex.ec_);
  EXPECT_EQ(server.counters().connections, 1u);
}

TEST_F(transport, what_a_handler_throws_comes_out_of_run_and_does_no_harm) {
  auto net = make(server.url());
  one_exchange ex;
  ex.get("/");
  ex.then_ = [] { throw std::runtime_error("a user's own"); };
  net->start(ex);
  EXPECT_THROW(run_until([] { return false; }), std::runtime_error);
  server.script({plan::stall()});
  net->start(ex);
  ASSERT_TRUE(run_until([&] { return server.counters().requests == 2; }));
  advance(30s);  // a timeout's end goes the same way
  EXPECT_THROW(run_until([] { return false; }), std::runtime_error);
  EXPECT_EQ(ex.ec_, errc::first_byte_timeout);
  ex.then_ = nullptr;
  ASSERT_TRUE(run(*net, ex));
  EXPECT_FALSE(ex.ec_);
}

TEST_F(transport, an_idle_transport_keeps_no_work_on_the_executor) {
  auto net = make(server.url());
  one_exchange ex;
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  ASSERT_EQ(net->stats().idle, 1u);
  io.restart();
  io.run();  // returns: nothing is left
  EXPECT_FALSE(ex.ec_);
  EXPECT_FALSE(env.source().timers().any_armed()) << "an armed timer is work, too";
}

TEST_F(transport, runs_on_other_executors) {
  const std::string url = server.url();
  const auto through = [&](const asio::any_io_executor& executor) {
    const environment other{executor};
    auto net = http::make_beast_transport(other, http::url::parse(url).value(), {}, {}, {}, {});
    for (int i = 0; i < 3; ++i) {
      one_exchange ex;
      ex.get("/");
      net->start(ex);
      ASSERT_TRUE(run_until(ex));
      EXPECT_FALSE(ex.ec_) << ex.detail_;
    }
    EXPECT_EQ(net->stats().opened, 1u);
  };
  through(asio::make_strand(io));
  asio::thread_pool threads(2);
  through(threads.get_executor());
  threads.join();
}

// --- evidence and errors -----------------------------------------------------------------------

TEST_F(transport, a_refused_connection_was_never_sent_and_names_host_and_port) {
  server.go_down();
  auto net = make(server.url());
  one_exchange ex;
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  EXPECT_EQ(ex.ec_, boost::system::errc::connection_refused);
  EXPECT_EQ(ex.delivery_, evidence::never_sent);
  EXPECT_NE(ex.detail_.find("127.0.0.1:" + std::to_string(server.port())), std::string::npos)
      << ex.detail_;
  EXPECT_NE(ex.detail_.find("check that the service runs"), std::string::npos) << ex.detail_;
  EXPECT_EQ(ex.detail_.find(ex.ec_.message()), std::string::npos) << "told twice: " << ex.detail_;
  EXPECT_EQ(net->stats().connections, 0u);
}

TEST_F(transport, an_unknown_name_was_never_sent) {
  auto net = make("http://no-such-host.invalid:81");
  one_exchange ex;
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  EXPECT_TRUE(ex.ec_);
  EXPECT_EQ(ex.delivery_, evidence::never_sent);
  EXPECT_NE(ex.detail_.find("no-such-host.invalid"), std::string::npos) << ex.detail_;
}

TEST_F(transport, names_are_resolved_and_all_addresses_tried) {
  auto net = make(server.url("localhost"));
  one_exchange ex;
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  EXPECT_FALSE(ex.ec_) << ex.detail_;
}

TEST_F(transport, ipv6_literals_connect) {
  asio::io_context other;
  tcp::acceptor acceptor(other);
  boost::system::error_code ec;
  acceptor.open(tcp::v6(), ec);
  if (!ec) acceptor.bind({asio::ip::address_v6::loopback(), 0}, ec);
  if (ec) GTEST_SKIP() << "no IPv6 loopback here";
  acceptor.listen();
  auto net = make("http://[::1]:" + std::to_string(acceptor.local_endpoint().port()));
  one_exchange ex;
  ex.get("/");
  net->start(ex);
  std::thread server_side([&] {
    tcp::socket peer = acceptor.accept();
    std::array<char, 1024> buffer;
    const std::size_t n = peer.receive(asio::buffer(buffer));
    EXPECT_NE(std::string(buffer.data(), n).find("Host: [::1]:"), std::string::npos);
    const std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    asio::write(peer, asio::buffer(answer));
  });
  EXPECT_TRUE(run_until(ex));
  server_side.join();
  EXPECT_FALSE(ex.ec_) << ex.detail_;
}

TEST_F(transport, closed_before_the_first_byte_is_maybe_applied) {
  server.script({plan::close()});
  auto net = make(server.url());
  one_exchange ex(http::method::post, "/", "{}");
  ASSERT_TRUE(run(*net, ex));
  EXPECT_EQ(ex.ec_, errc::connection_closed) << ex.detail_;
  EXPECT_EQ(ex.delivery_, evidence::maybe_applied);
}

TEST_F(transport, reset_before_the_first_byte_keeps_the_real_error) {
  server.script({plan::reset()});
  auto net = make(server.url());
  one_exchange ex(http::method::post, "/", "{}");
  ASSERT_TRUE(run(*net, ex));
  EXPECT_EQ(ex.ec_, boost::system::errc::connection_reset) << ex.detail_;
  EXPECT_EQ(ex.delivery_, evidence::maybe_applied);
}

TEST_F(transport, every_byte_cut_is_an_error_and_never_an_answer) {
  const std::string whole = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  for (std::size_t n = 0; n < whole.size(); ++n) {
    server.script({plan::raw(whole.substr(0, n)).then(ending::silent_close)});
    auto net = make(server.url());
    one_exchange ex;
    ex.get("/");
    ASSERT_TRUE(run(*net, ex)) << n;
    EXPECT_EQ(ex.ec_, n == 0 ? errc::connection_closed : errc::truncated_response)
        << n << ": " << ex.ec_.message() << ex.detail_;
    EXPECT_EQ(ex.delivery_, evidence::maybe_applied) << n;
    EXPECT_EQ(net->stats().connections, 0u) << n;
    EXPECT_EQ(ex.ends_, 1) << n;
  }
}

TEST_F(transport, every_byte_reset_is_an_error_and_never_an_answer) {
  for (std::size_t n = 0; n < 60; n += 3) {
    server.script({plan::answer(200, "hello").reset_at(n)});
    auto net = make(server.url());
    one_exchange ex;
    ex.get("/");
    ASSERT_TRUE(run(*net, ex)) << n;
    EXPECT_TRUE(ex.ec_) << n;
    EXPECT_EQ(ex.delivery_, evidence::maybe_applied) << n;
    EXPECT_EQ(net->stats().connections, 0u) << n;
  }
}

TEST_F(transport, an_answer_over_its_limits_drops_the_connection) {
  bounds.body_bytes = 10;
  server.script({plan::answer(200, "0123456789a")});
  auto net = make(server.url());
  one_exchange ex;
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  EXPECT_EQ(ex.ec_, errc::body_too_large);
  EXPECT_EQ(ex.delivery_, evidence::maybe_applied);
  EXPECT_EQ(net->stats().connections, 0u);
}

TEST_F(transport, a_garbled_answer_drops_the_connection) {
  using testing::garble;
  for (const auto& [how, code] : {std::pair{garble::two_lengths, errc::ambiguous_framing},
                                  std::pair{garble::length_and_chunks, errc::ambiguous_framing},
                                  std::pair{garble::not_http, errc::malformed_response},
                                  std::pair{garble::interim_flood, errc::too_many_interim},
                                  std::pair{garble::oversize_header, errc::headers_too_large}}) {
    server.script({plan::malformed(how)});
    auto net = make(server.url());
    one_exchange ex;
    ex.get("/");
    ASSERT_TRUE(run(*net, ex));
    EXPECT_EQ(ex.ec_, code) << ex.ec_.message() << ex.detail_;
    EXPECT_EQ(net->stats().connections, 0u);
  }
}

TEST_F(transport, an_early_answer_wins_over_the_write_error) {
  testing::fault_server_options o;
  o.max_body_bytes = 128U * 1024 * 1024;
  o.on_head = [](const testing::received_request&) { return plan::answer(413, "{}"); };
  fault_server early(o);
  auto net = make(early.url());
  one_exchange ex(http::method::post, "/", std::string(64U * 1024 * 1024, 'x'));
  ASSERT_TRUE(run(*net, ex));
  EXPECT_FALSE(ex.ec_) << ex.ec_.message() << ex.detail_;
  EXPECT_EQ(ex.answer_.status(), 413);
  EXPECT_EQ(ex.delivery_, evidence::maybe_applied) << "of the request it had only a part";
  EXPECT_EQ(net->stats().connections, 0u) << "the request was not written to its end";
}

TEST_F(transport, bytes_before_the_first_request_are_nobodys_answer) {
  asio::io_context other;
  tcp::acceptor acceptor(other, {asio::ip::address_v4::loopback(), 0});
  auto net = make("http://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port()));
  one_exchange ex;
  ex.get("/");
  net->start(ex);  // connected in the backlog; nothing is sent before the executor runs
  tcp::socket peer = acceptor.accept();
  asio::write(peer, asio::buffer(std::string_view("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")));
  ASSERT_TRUE(run_until(ex));
  EXPECT_EQ(ex.ec_, errc::unexpected_bytes) << ex.ec_.message();
  EXPECT_EQ(ex.delivery_, evidence::never_sent);
}

// --- time --------------------------------------------------------------------------------------

TEST_F(transport, resolve_has_its_own_limit) {
  auto net = make("http://localhost:1");
  one_exchange ex;
  ex.get("/");
  net->start(ex);
  advance(2s - 1ns);
  EXPECT_FALSE(ex.done());
  advance(1ns);
  ASSERT_TRUE(run_until(ex));
  EXPECT_EQ(ex.ec_, errc::resolve_timeout);
  EXPECT_EQ(ex.delivery_, evidence::never_sent);
  EXPECT_NE(ex.detail_.find("localhost"), std::string::npos);
  EXPECT_EQ(net->stats().connections, 0u);
}

TEST_F(transport, connect_has_its_own_limit) {
  auto net = make(server.url());
  one_exchange ex;
  ex.get("/");
  net->start(ex);  // the executor does not run, so the connection is not seen to be there
  advance(3s - 1ns);
  EXPECT_FALSE(ex.done());
  advance(1ns);
  ASSERT_TRUE(run_until(ex));
  EXPECT_EQ(ex.ec_, errc::connect_timeout);
  EXPECT_EQ(ex.delivery_, evidence::never_sent);
  EXPECT_NE(ex.detail_.find("127.0.0.1"), std::string::npos) << ex.detail_;
}

TEST_F(transport, the_first_byte_has_its_own_limit) {
  server.script({plan::stall()});
  auto net = make(server.url());
  one_exchange ex;
  ex.get("/");
  net->start(ex);
  ASSERT_TRUE(run_until([&] { return server.counters().requests == 1; }));
  advance(30s - 1ns);
  EXPECT_FALSE(ex.done());
  advance(1ns);
  ASSERT_TRUE(run_until(ex));
  EXPECT_EQ(ex.ec_, errc::first_byte_timeout);
  EXPECT_EQ(ex.delivery_, evidence::maybe_applied);
  EXPECT_EQ(net->stats().connections, 0u);
  io.poll();
  EXPECT_EQ(ex.ends_, 1);
}

TEST_F(transport, bytes_have_a_limit_between_them) {
  server.script({plan::answer(200, "0123456789").stall_body_at(4)});
  auto net = make(server.url());
  one_exchange ex;
  ex.get("/");
  net->start(ex);
  ASSERT_TRUE(run_until([&] { return server.counters().stalls == 1; }));
  ASSERT_TRUE(run_until([&] { return ex.answer_.body().size() == 4; }));
  advance(15s);
  ASSERT_TRUE(run_until(ex));
  EXPECT_EQ(ex.ec_, errc::between_bytes_timeout);
  EXPECT_EQ(ex.delivery_, evidence::maybe_applied);
}

TEST_F(transport, a_stalled_write_has_the_limit_between_bytes) {
  asio::io_context other;
  tcp::acceptor acceptor(other, {asio::ip::address_v4::loopback(), 0});  // never reads
  auto net = make("http://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port()));
  one_exchange ex(http::method::post, "/", std::string(16 * 1024 * 1024, 'x'));
  net->start(ex);
  for (int i = 0; i < 50; ++i) io.run_one_for(2ms);
  advance(15s);
  ASSERT_TRUE(run_until(ex));
  EXPECT_EQ(ex.ec_, errc::between_bytes_timeout);
  EXPECT_EQ(ex.delivery_, evidence::maybe_applied);
}

/// Each byte comes long before `between_bytes`.
TEST_F(transport, an_answer_that_trickles_is_given_up_after_a_minute) {
  asio::io_context other;
  tcp::acceptor acceptor(other, {asio::ip::address_v4::loopback(), 0});
  const std::string url = "http://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
  for (const bool trickles : {true, false}) {
    auto net = make(url);
    one_exchange ex;
    ex.get("/");
    net->start(ex);
    tcp::socket peer = acceptor.accept();
    ASSERT_TRUE(run_until([&] { return peer.available() > 0; }));
    char request[1024];
    (void)peer.receive(asio::buffer(request));
    asio::write(peer,
                asio::buffer(std::string("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")));
    ASSERT_TRUE(run_until([&] { return ex.answer_.status() == 200; }));
    const std::string bytes(trickles ? 1 : 80, 'x');  // 20 or 1,600 bytes a second
    std::size_t sent = 0;
    for (int i = 0; i < 1250 && !ex.done() && sent < 100'000; ++i) {
      (void)peer.send(asio::buffer(bytes));
      sent += bytes.size();
      ASSERT_TRUE(run_until([&] { return ex.done() || ex.answer_.body().size() == sent; }));
      advance(50ms);
    }
    if (trickles) {
      ASSERT_TRUE(run_until(ex));
      EXPECT_EQ(ex.ec_, errc::between_bytes_timeout);
      EXPECT_EQ(ex.delivery_, evidence::maybe_applied);
      EXPECT_NE(ex.detail_.find("time_limits.least_per_minute"), std::string::npos) << ex.detail_;
      EXPECT_NEAR(static_cast<double>(sent), 1200, 3);
    } else {
      ASSERT_TRUE(run_until(ex));
      EXPECT_FALSE(ex.ec_) << ex.detail_;
    }
  }
}

/// A body of 100 MB took 206.
TEST_F(transport, a_large_body_is_not_held_twice_and_leaves_nothing_behind) {
  if (!allocations_are_counted()) GTEST_SKIP();
  static std::size_t taken;
  auto net = make(server.url());
  one_exchange ex(http::method::post, "/", std::string(2 * 1024 * 1024, 'x'));
  taken = 0;
  ask_at_allocations([](std::size_t size) noexcept {
    taken += size;
    return false;
  });
  net->start(ex);
  const bool ended = run_until(ex);
  ask_at_allocations(nullptr);
  ASSERT_TRUE(ended);
  EXPECT_FALSE(ex.ec_) << ex.detail_;
  EXPECT_LE(taken, 256U * 1024U);
  EXPECT_EQ(server.requests().back().request.body.size(), 64U * 1024U) << "what it remembers";
}

TEST_F(transport, limits_that_are_off_never_fire) {
  times = {std::nullopt, std::nullopt, std::nullopt, std::nullopt,
           std::nullopt, std::nullopt, std::nullopt};
  server.script({plan::stall()});
  auto net = make(server.url());
  one_exchange ex;
  ex.get("/");
  net->start(ex);
  ASSERT_TRUE(run_until([&] { return server.counters().requests == 1; }));
  advance(1000h);
  EXPECT_FALSE(ex.done());
  net->cancel(ex);
  ASSERT_TRUE(run_until(ex));
}

TEST_F(transport, an_exchanges_own_deadline_comes_first) {
  server.script({plan::stall()});
  auto net = make(server.url());
  one_exchange ex;
  ex.get("/");
  ex.deadline = later(env.now(), 1s);
  net->start(ex);
  ASSERT_TRUE(run_until([&] { return server.counters().requests == 1; }));
  advance(1s);
  ASSERT_TRUE(run_until(ex));
  EXPECT_EQ(ex.ec_, errc::attempt_timeout);
}

TEST_F(transport, a_limit_of_the_last_exchange_does_not_end_the_next) {
  auto net = make(server.url());
  one_exchange ex;
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  advance(29s);
  server.script({plan::stall()});
  ex.again();
  net->start(ex);
  ASSERT_TRUE(run_until([&] { return server.counters().requests == 2; }));
  advance(29s);
  EXPECT_FALSE(ex.done());
  advance(1s);
  ASSERT_TRUE(run_until(ex));
}

TEST(address_walk, shares_the_time_among_the_addresses) {
  using http::beast::address_walk;
  const auto at = [](unsigned short port) {
    return tcp::endpoint(asio::ip::address_v4::loopback(), port);
  };
  address_walk walk;
  const time_point now{};
  walk.start({at(1), at(2), at(3)}, later(now, 3s));
  EXPECT_EQ(walk.next().port(), 1);
  EXPECT_EQ(walk.share(now), later(now, 1s));
  walk.failed(asio::error::timed_out);
  EXPECT_EQ(walk.next().port(), 2);
  EXPECT_EQ(walk.share(later(now, 1s)), later(now, 2s));
  walk.failed(asio::error::connection_refused);
  EXPECT_EQ(walk.next().port(), 3);
  EXPECT_EQ(walk.share(later(now, 1s)), later(now, 3s));
  EXPECT_FALSE(walk.has_next());
  EXPECT_EQ(walk.share(later(now, 2999ms)), later(now, 3s)) << "never over the limit of all";
  EXPECT_NE(walk.story().find("127.0.0.1:2"), std::string::npos);
  EXPECT_EQ(walk.place_of_last_error(),
            "127.0.0.1:2 (before: 127.0.0.1:1: " +
                boost::system::error_code(asio::error::timed_out).message() + ")");
  walk.failed(asio::error::connection_refused);
  EXPECT_EQ(walk.place_of_last_error().find("127.0.0.1:3 (before: 127.0.0.1:1: "), 0U);
}

// --- cancelling and closing --------------------------------------------------------------------

TEST_F(transport, cancel_while_resolving) {
  auto net = make("http://localhost:1");
  one_exchange ex;
  ex.get("/");
  net->start(ex);
  net->cancel(ex);
  EXPECT_FALSE(ex.done());
  ASSERT_TRUE(run_until(ex));
  EXPECT_EQ(ex.ec_, canceled_error());
  EXPECT_EQ(ex.delivery_, evidence::never_sent);
  EXPECT_EQ(net->stats().connections, 0u);
}

TEST_F(transport, cancel_while_connecting) {
  auto net = make(server.url());
  one_exchange ex;
  ex.get("/");
  net->start(ex);
  net->cancel(ex);
  net->cancel(ex);
  ASSERT_TRUE(run_until(ex));
  EXPECT_EQ(ex.ec_, canceled_error());
  EXPECT_EQ(ex.delivery_, evidence::never_sent);
  io.poll();
  EXPECT_EQ(ex.ends_, 1);
}

TEST_F(transport, cancel_while_waiting_for_the_answer) {
  server.script({plan::stall()});
  auto net = make(server.url());
  one_exchange ex;
  ex.get("/");
  net->start(ex);
  ASSERT_TRUE(run_until([&] { return server.counters().requests == 1; }));
  net->cancel(ex);
  ASSERT_TRUE(run_until(ex));
  EXPECT_EQ(ex.ec_, canceled_error());
  EXPECT_EQ(ex.delivery_, evidence::maybe_applied);
  EXPECT_EQ(net->stats().connections, 0u) << "a connection with an answer to come is of no use";
}

TEST_F(transport, cancel_in_the_middle_of_the_answer) {
  server.script({plan::answer(200, "0123456789").stall_body_at(4)});
  auto net = make(server.url());
  one_exchange ex;
  ex.get("/");
  net->start(ex);
  ASSERT_TRUE(run_until([&] { return ex.answer_.body().size() == 4; }));
  net->cancel(ex);
  ASSERT_TRUE(run_until(ex));
  EXPECT_EQ(ex.ec_, canceled_error());
  EXPECT_EQ(ex.delivery_, evidence::maybe_applied);
}

TEST_F(transport, cancel_on_a_reused_connection_and_after_the_end) {
  auto net = make(server.url());
  one_exchange ex;
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  net->cancel(ex);  // too late: nothing happens
  io.poll();
  EXPECT_EQ(ex.ends_, 1);
  EXPECT_EQ(net->stats().idle, 1u);
  ex.again();
  net->start(ex);
  net->cancel(ex);
  ASSERT_TRUE(run_until(ex));
  EXPECT_EQ(ex.ec_, canceled_error());
  EXPECT_EQ(ex.ends_, 2);
}

TEST_F(transport, closing_ends_everything_with_client_closed) {
  pool.max_connections = 2;
  server.script({plan::stall(), plan::stall()});
  auto net = make(server.url());
  std::array<one_exchange, 4> ex;
  for (auto& e : ex) {
    e.get("/");
    net->start(e);
  }
  ASSERT_TRUE(run_until([&] { return server.counters().requests == 2; }));
  EXPECT_EQ(net->stats().pending, 2u);
  net->close();
  for (auto& e : ex) EXPECT_FALSE(e.done());
  for (auto& e : ex) {
    ASSERT_TRUE(run_until(e));
    EXPECT_EQ(e.ec_, errc::client_closed);
  }
  EXPECT_EQ(ex[0].delivery_, evidence::maybe_applied);
  EXPECT_EQ(ex[3].delivery_, evidence::never_sent);
  EXPECT_EQ(net->stats().connections, 0u);
}

TEST_F(transport, destroying_the_transport_closes_it) {
  server.script({plan::stall()});
  auto net = make(server.url());
  one_exchange ex;
  ex.get("/");
  net->start(ex);
  ASSERT_TRUE(run_until([&] { return server.counters().requests == 1; }));
  net.reset();
  ASSERT_TRUE(run_until(ex));
  EXPECT_EQ(ex.ec_, errc::client_closed);
  EXPECT_TRUE(server.wait_for([](const auto& c) { return c.open_connections == 0; }, 5s));
}

TEST(transport_context, going_down_with_exchanges_abandons_them_and_leaks_nothing) {
  fault_server server;
  server.script({plan::stall()});
  one_exchange running;
  one_exchange waiting;
  one_exchange closed;
  {
    transport_rig rig;
    rig.pool.max_connections = 1;
    auto net = rig.make(server.url());
    running.get("/");
    waiting.get("/");
    closed.get("/");
    net->start(running);
    net->start(waiting);
    ASSERT_TRUE(rig.run_until([&] { return server.counters().requests == 1; }));
    auto other = rig.make(server.url());
    other->start(closed);
    other.reset();  // its end is posted and will never run
    // What the client had in a handler of the context goes with it.
    asio::post(rig.io, [net = std::move(net)] {});
  }
  EXPECT_EQ(running.ends_ + running.abandoned_, 1);
  EXPECT_EQ(waiting.ends_ + waiting.abandoned_, 1);
  EXPECT_EQ(closed.abandoned_, 1);
}

TEST(transport_context, an_environment_of_its_own_serves_blocking_programs) {
  fault_server server;
  one_exchange ex;
  ex.get("/");
  {
    environment own;
    auto net =
        http::make_beast_transport(own, http::url::parse(server.url()).value(), {}, {}, {}, {});
    std::mutex m;
    std::condition_variable cv;
    ex.then_ = [&] {
      const std::lock_guard lock(m);
      cv.notify_all();
    };
    net->start(ex);
    std::unique_lock lock(m);
    ASSERT_TRUE(cv.wait_for(lock, 10s, [&] { return ex.done(); }));
  }
  EXPECT_FALSE(ex.ec_) << ex.detail_;
}

// --- many threads ------------------------------------------------------------------------------

TEST(transport_threads, exchanges_cancels_and_closes_from_everywhere) {
  fault_server server;
  server.handle([](const testing::received_request& r) {
    if (r.number % 17 == 0) return plan::answer(200, "x").cut_at(3);
    if (r.number % 23 == 0) return plan::reset();
    return plan::answer(200, std::string(100, 'y'));
  });
  asio::io_context io;
  auto work = asio::make_work_guard(io);
  std::vector<std::thread> runners;
  for (int i = 0; i < 3; ++i) runners.emplace_back([&] { io.run(); });
  {
    const environment env{io.get_executor()};
    http::pool_options pool;
    pool.max_connections = 8;
    auto net =
        http::make_beast_transport(env, http::url::parse(server.url()).value(), pool, {}, {}, {});
    constexpr int each = 200;
    std::atomic<int> good{0};
    std::vector<std::thread> callers;
    for (int t = 0; t < 3; ++t)
      callers.emplace_back([&, t] {
        std::vector<std::unique_ptr<one_exchange>> mine;
        std::atomic<int> mine_ended{0};
        for (int i = 0; i < each; ++i) {
          auto& ex = *mine.emplace_back(std::make_unique<one_exchange>());
          ex.get("/" + std::to_string(i));
          ex.then_ = [&good, &mine_ended, &ex] {
            if (!ex.ec_) ++good;
            ++mine_ended;
          };
          net->start(ex);
          if (i % 7 == t) net->cancel(ex);
          if (i % 16 == 15) std::this_thread::yield();
        }
        while (mine_ended != each) std::this_thread::yield();
        for (const auto& ex : mine) EXPECT_EQ(ex->ends_, 1);
      });
    for (auto& c : callers) c.join();
    EXPECT_GT(good, each);
    EXPECT_EQ(net->stats().pending, 0u);

    std::vector<std::unique_ptr<one_exchange>> last;
    for (int i = 0; i < 50; ++i) {
      last.push_back(std::make_unique<one_exchange>());
      last.back()->get("/");
      net->start(*last.back());
    }
    net->close();
    for (const auto& ex : last) {
      while (!ex->done()) std::this_thread::yield();
      EXPECT_EQ(ex->ends_, 1);
    }
  }
  work.reset();
  for (auto& r : runners) r.join();
}

}  // namespace
}  // namespace hawser::test::transport_test
