#include "hawser/testing/fault_server.hpp"

#include "http/transport_support.hpp"

#include <gtest/gtest.h>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <poll.h>

#include <algorithm>
#include <array>
#include <vector>

namespace hawser::test::pool_test {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using testing::ending;
using testing::fault_server;
using testing::garble;
using testing::plan;
using testing::received_request;

class hand_server;

class pool : public ::testing::Test, public transport_rig {
 protected:
  /// The server's number of the connection that the last request came on.
  std::uint64_t last_connection() { return server.requests().back().request.connection; }
  /// One GET; fails the test unless it was answered.
  void get(http::transport& net, std::string target = "/") {
    one_exchange ex;
    ex.get(std::move(target));
    ASSERT_TRUE(run(net, ex));
    ASSERT_FALSE(ex.ec_) << ex.ec_.message() << ": " << ex.detail_;
  }
  /// `ex` once more, to "/2": on a connection of its own, and with that one's answer.
  void next_goes_to_another_connection(http::transport& net, hand_server& by_hand,
                                       one_exchange& ex);
  fault_server server;
};

/// A server's end of a connection, moved by hand.
class hand_server {
 public:
  hand_server() : acceptor_(io_, {asio::ip::address_v4::loopback(), 0}) {}
  [[nodiscard]] std::string url() const {
    return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port());
  }
  /// Whether `accept` would not wait.
  [[nodiscard]] bool called() {
    pollfd caller{acceptor_.native_handle(), POLLIN, 0};
    return ::poll(&caller, 1, 0) == 1;
  }
  tcp::socket accept() { return acceptor_.accept(); }
  static std::string read_head(tcp::socket& peer) {
    std::string head;
    char c = 0;
    while (head.find("\r\n\r\n") == std::string::npos && peer.receive(asio::buffer(&c, 1)) == 1)
      head += c;
    return head;
  }
  static void answer(tcp::socket& peer, std::string_view body) {
    const std::string text = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) +
                             "\r\n\r\n" + std::string(body);
    asio::write(peer, asio::buffer(text));
  }

 private:
  asio::io_context io_;
  tcp::acceptor acceptor_;
};

void pool::next_goes_to_another_connection(http::transport& net, hand_server& by_hand,
                                           one_exchange& ex) {
  ex.get("/2");
  ex.again();
  net.start(ex);
  ASSERT_TRUE(run_until([&] { return by_hand.called(); })) << "reused";
  tcp::socket second = by_hand.accept();
  ASSERT_TRUE(run_until([&] { return second.available() != 0; }));
  EXPECT_NE(hand_server::read_head(second).find("GET /2 "), std::string::npos);
  hand_server::answer(second, "two");
  ASSERT_TRUE(run_until(ex));
  EXPECT_FALSE(ex.ec_) << ex.detail_;
  EXPECT_EQ(ex.answer_.body(), "two");
}

// --- caps and the queue ------------------------------------------------------------------------

TEST_F(pool, opens_no_more_connections_than_allowed) {
  transport_rig::pool.max_connections = 3;
  auto net = make(server.url());
  std::vector<std::unique_ptr<one_exchange>> all;
  for (int i = 0; i < 20; ++i) {
    all.push_back(std::make_unique<one_exchange>());
    all.back()->get("/");
    net->start(*all.back());
  }
  EXPECT_EQ(net->stats().connections, 3u);
  EXPECT_EQ(net->stats().pending, 17u);
  for (auto& ex : all) {
    ASSERT_TRUE(run_until(*ex));
    EXPECT_FALSE(ex->ec_) << ex->detail_;
  }
  EXPECT_EQ(server.counters().connections, 3u);
  EXPECT_EQ(net->stats().idle, 3u);
}

TEST_F(pool, waiting_exchanges_go_first_in_first_out) {
  transport_rig::pool.max_connections = 1;
  auto net = make(server.url());
  std::array<one_exchange, 5> ex;
  for (std::size_t i = 0; i < ex.size(); ++i) {
    ex[i].get("/" + std::to_string(i));
    net->start(ex[i]);
  }
  for (auto& e : ex) ASSERT_TRUE(run_until(e));
  const auto seen = server.requests();
  ASSERT_EQ(seen.size(), ex.size());
  for (std::size_t i = 0; i < ex.size(); ++i)
    EXPECT_EQ(seen[i].request.target, "/" + std::to_string(i));
  EXPECT_EQ(server.counters().connections, 1u);
}

TEST_F(pool, refuses_what_the_queue_cannot_hold_with_numbers) {
  transport_rig::pool.max_connections = 1;
  transport_rig::pool.max_pending = 2;
  server.script({plan::stall()});
  auto net = make(server.url());
  std::array<one_exchange, 4> ex;
  for (auto& e : ex) {
    e.get("/");
    net->start(e);
  }
  EXPECT_FALSE(ex[3].done());
  ASSERT_TRUE(run_until(ex[3]));
  EXPECT_EQ(ex[3].ec_, errc::pool_full);
  EXPECT_EQ(ex[3].ec_, condition::rejected);
  EXPECT_EQ(ex[3].delivery_, evidence::never_sent);
  EXPECT_NE(ex[3].detail_.find("1 of 1 connections"), std::string::npos) << ex[3].detail_;
  EXPECT_NE(ex[3].detail_.find("2 of 2 exchanges waiting"), std::string::npos) << ex[3].detail_;
  EXPECT_FALSE(ex[2].done());
  net->close();
  for (auto& e : ex) ASSERT_TRUE(run_until(e));
}

TEST_F(pool, a_wait_is_limited_in_order_of_arrival) {
  transport_rig::pool.max_connections = 1;
  server.script({plan::stall()});
  auto net = make(server.url());
  std::array<one_exchange, 3> ex;
  std::vector<int> order;
  for (std::size_t i = 0; i < 3; ++i) {
    ex[i].get("/");
    ex[i].then_ = [&order, i] { order.push_back(static_cast<int>(i)); };
    net->start(ex[i]);
    if (i == 0) {
      ASSERT_TRUE(run_until([&] { return server.counters().requests == 1; }));
    }
    if (i == 1) advance(1s);
  }
  advance(4s - 1ns);
  EXPECT_TRUE(order.empty());
  advance(1ns);
  io.poll();
  EXPECT_EQ(order, (std::vector<int>{1}));
  advance(1s);
  io.poll();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  EXPECT_EQ(ex[1].ec_, errc::pool_full);
  EXPECT_EQ(ex[1].delivery_, evidence::never_sent);
  EXPECT_NE(ex[1].detail_.find("5 s"), std::string::npos) << ex[1].detail_;
  EXPECT_EQ(net->stats().pending, 0u);
  net->cancel(ex[0]);
  ASSERT_TRUE(run_until(ex[0]));
}

TEST_F(pool, a_waiting_exchange_has_its_own_deadline) {
  transport_rig::pool.max_connections = 1;
  server.script({plan::stall()});
  auto net = make(server.url());
  std::array<one_exchange, 3> ex;
  for (auto& e : ex) e.get("/");
  ex[2].deadline = later(env.now(), 2s);
  for (auto& e : ex) net->start(e);
  advance(2s);
  ASSERT_TRUE(run_until(ex[2]));
  EXPECT_EQ(ex[2].ec_, errc::attempt_timeout);
  EXPECT_FALSE(ex[1].done());
  net->close();
  for (auto& e : ex) ASSERT_TRUE(run_until(e));
}

TEST_F(pool, a_cancelled_waiter_leaves_the_queue) {
  transport_rig::pool.max_connections = 1;
  auto net = make(server.url());
  std::array<one_exchange, 4> ex;
  for (std::size_t i = 0; i < 4; ++i) {
    ex[i].get("/" + std::to_string(i));
    net->start(ex[i]);
  }
  net->cancel(ex[1]);
  net->cancel(ex[3]);
  net->cancel(ex[3]);
  EXPECT_EQ(net->stats().pending, 1u);
  for (auto& e : ex) ASSERT_TRUE(run_until(e));
  EXPECT_EQ(ex[1].ec_, canceled_error());
  EXPECT_EQ(ex[1].delivery_, evidence::never_sent);
  EXPECT_FALSE(ex[2].ec_);
  EXPECT_EQ(ex[3].ends_, 1);
  EXPECT_EQ(server.counters().requests, 2u);
  advance(1h);
  EXPECT_EQ(ex[2].ends_, 1);
}

TEST_F(pool, a_lost_connection_makes_room_for_a_waiter) {
  transport_rig::pool.max_connections = 1;
  server.script({plan::reset(), plan::answer(200)});
  auto net = make(server.url());
  std::array<one_exchange, 2> ex;
  for (auto& e : ex) {
    e.get("/");
    net->start(e);
  }
  for (auto& e : ex) ASSERT_TRUE(run_until(e));
  EXPECT_TRUE(ex[0].ec_);
  EXPECT_FALSE(ex[1].ec_) << ex[1].detail_;
  EXPECT_EQ(server.counters().connections, 2u);
}

TEST_F(pool, a_cancelled_exchange_makes_room_for_a_waiter) {
  transport_rig::pool.max_connections = 1;
  server.script({plan::stall()});
  auto net = make(server.url());
  std::array<one_exchange, 2> ex;
  for (auto& e : ex) {
    e.get("/");
    net->start(e);
  }
  ASSERT_TRUE(run_until([&] { return server.counters().requests == 1; }));
  net->cancel(ex[0]);
  for (auto& e : ex) ASSERT_TRUE(run_until(e));
  EXPECT_FALSE(ex[1].ec_) << ex[1].detail_;
}

TEST_F(pool, each_waiter_sees_its_own_connect_error) {
  transport_rig::pool.max_connections = 1;
  server.go_down();
  auto net = make(server.url());
  std::array<one_exchange, 3> ex;
  for (auto& e : ex) {
    e.get("/");
    net->start(e);
  }
  for (auto& e : ex) {
    ASSERT_TRUE(run_until(e));
    EXPECT_EQ(e.ec_, boost::system::errc::connection_refused);
  }
  EXPECT_EQ(net->stats().connections, 0u);
}

// --- reuse -------------------------------------------------------------------------------------

TEST_F(pool, the_connection_used_last_is_reused_first) {
  auto net = make(server.url());
  std::array<one_exchange, 3> ex;
  for (auto& e : ex) {
    e.get("/");
    net->start(e);
  }
  for (auto& e : ex) ASSERT_TRUE(run_until(e));
  ASSERT_EQ(net->stats().idle, 3u);
  get(*net);
  const auto last = last_connection();
  for (int i = 0; i < 5; ++i) {
    get(*net);
    EXPECT_EQ(last_connection(), last);
  }
}

TEST_F(pool, keeps_no_more_idle_ones_than_allowed) {
  transport_rig::pool.max_idle = 1;
  auto net = make(server.url());
  std::array<one_exchange, 3> ex;
  for (auto& e : ex) {
    e.get("/");
    net->start(e);
  }
  for (auto& e : ex) ASSERT_TRUE(run_until(e));
  EXPECT_EQ(net->stats().idle, 1u);
  EXPECT_EQ(net->stats().connections, 1u);
}

TEST_F(pool, max_idle_zero_opens_one_for_each_exchange) {
  transport_rig::pool.max_idle = 0;
  auto net = make(server.url());
  for (int i = 0; i < 3; ++i) get(*net);
  EXPECT_EQ(server.counters().connections, 3u);
}

TEST_F(pool, an_idle_connection_is_used_until_idle_for) {
  auto net = make(server.url());
  get(*net);
  advance(30s - 1ns);
  get(*net);
  EXPECT_EQ(last_connection(), 1u);
  advance(30s);
  get(*net);
  EXPECT_EQ(last_connection(), 2u);
  EXPECT_EQ(net->stats().connections, 1u) << "the old one is closed";
}

TEST_F(pool, every_expired_connection_is_closed_at_the_next_activity) {
  auto net = make(server.url());
  std::array<one_exchange, 4> ex;
  for (auto& e : ex) {
    e.get("/");
    net->start(e);
  }
  for (auto& e : ex) ASSERT_TRUE(run_until(e));
  ASSERT_EQ(net->stats().idle, 4u);
  advance(31s);
  get(*net);
  EXPECT_EQ(net->stats().connections, 1u);
}

TEST_F(pool, one_past_its_time_is_closed_while_another_is_in_use) {
  auto net = make(server.url());
  std::array<one_exchange, 2> ex;
  for (auto& e : ex) {
    e.get("/");
    net->start(e);
  }
  for (auto& e : ex) ASSERT_TRUE(run_until(e));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(net->stats().connections, 2u);
    advance(15s);
    get(*net);
  }
  EXPECT_EQ(net->stats().connections, 1u);
}

TEST_F(pool, a_connection_is_used_until_max_age) {
  transport_rig::pool.max_age = 50s;
  transport_rig::pool.idle_for = std::nullopt;
  auto net = make(server.url());
  get(*net);
  advance(40s - 1ns);
  get(*net);
  EXPECT_EQ(last_connection(), 1u);
  advance(10s + 1ns);
  get(*net);
  EXPECT_EQ(last_connection(), 2u);
}

TEST_F(pool, connections_of_one_age_are_not_all_opened_again_at_once) {
  transport_rig::pool.max_age = 50s;
  transport_rig::pool.idle_for = std::nullopt;
  auto net = make(server.url());
  std::array<one_exchange, 40> ex;
  const auto burst = [&] {
    for (auto& e : ex) {
      e.again();
      e.get("/");
      net->start(e);
    }
    for (auto& e : ex) ASSERT_TRUE(run_until(e));
  };
  burst();
  std::uint64_t opened = net->stats().opened;
  ASSERT_EQ(opened, ex.size());
  advance(40s - 1ns);
  for (int second = 40; second < 50; ++second) {
    burst();
    EXPECT_LE(net->stats().opened - opened, ex.size() / 3) << second;
    opened = net->stats().opened;
    advance(1s);
  }
  burst();
  EXPECT_EQ(net->stats().opened, 2 * ex.size());
}

TEST_F(pool, a_burst_finds_the_connections_of_the_one_before) {
  auto net = make(server.url());
  std::array<one_exchange, 64> ex;
  for (int bursts = 0; bursts < 100; ++bursts) {
    for (auto& e : ex) {
      e.again();
      e.get("/");
      net->start(e);
    }
    for (auto& e : ex) ASSERT_TRUE(run_until(e));
  }
  EXPECT_EQ(net->stats().opened, 64u);
}

/// Nobody asks the pool any more.
TEST(idle, connections_are_closed_in_time_where_the_executor_runs_by_itself) {
  fault_server server;
  const environment own;
  const auto net = http::make_beast_transport(own, http::url::parse(server.url()).value(),
                                              {.idle_for = 50ms}, {}, {}, {});
  std::array<one_exchange, 3> ex;
  for (auto& e : ex) {
    e.get("/");
    net->start(e);
  }
  EXPECT_TRUE(server.wait_for(
      [](const auto& c) { return c.connections >= 1 && c.open_connections == 0; }, 10s));
  EXPECT_EQ(net->stats().idle, 0u);
}

TEST_F(pool, the_servers_own_idle_limit_is_respected) {
  server.script({plan::answer(200).header("Keep-Alive", "timeout=5, max=100")});
  auto net = make(server.url());
  get(*net);
  advance(4s);
  get(*net);
  EXPECT_EQ(last_connection(), 2u);
}

TEST_F(pool, the_servers_own_idle_limit_is_read_in_any_form) {
  for (const char* const field :
       {"Timeout=5", "timeout=\"5\"", "TIMEOUT = 5", " max=7 ,\ttimeout=5", "timeout=5,timeout=9",
        "timeout=x, timeout=5", "a=\"x, timeout=1\", timeout=5"}) {
    SCOPED_TRACE(field);
    server.script({plan::answer(200).header("keep-alive", field)});
    auto net = make(server.url());
    get(*net);
    const auto first = last_connection();
    advance(4s - 1ns);
    get(*net);
    EXPECT_EQ(last_connection(), first);
    server.script({plan::answer(200).header("keep-alive", field)});
    get(*net);
    advance(4s);
    get(*net);
    EXPECT_NE(last_connection(), first);
  }
}

TEST_F(pool, an_idle_limit_of_two_seconds_leaves_one_and_of_none_nothing) {
  server.script({plan::answer(200).header("Keep-Alive", "Timeout=2"),
                 plan::answer(200).header("Keep-Alive", "Timeout=2"),
                 plan::answer(200).header("Keep-Alive", "timeout=0")});
  auto net = make(server.url());
  get(*net);
  advance(1s - 1ns);
  get(*net);
  EXPECT_EQ(last_connection(), 1u);
  advance(1s);
  get(*net);
  EXPECT_EQ(last_connection(), 2u);
  get(*net);
  EXPECT_EQ(last_connection(), 3u);
}

TEST_F(pool, of_several_idle_limits_the_least_counts) {
  server.script(
      {plan::answer(200).header("Keep-Alive", "timeout=9").header("Keep-Alive", "timeout=5")});
  auto net = make(server.url());
  get(*net);
  advance(4s);
  get(*net);
  EXPECT_EQ(last_connection(), 2u);
}

TEST_F(pool, a_longer_or_senseless_idle_limit_changes_nothing) {
  for (const char* const field : {"timeout=3600",
                                  "timeout=999999999",
                                  "timeout=99999999999999999999",
                                  "timeout=-1",
                                  "timeout=1.5",
                                  "timeout=+1",
                                  "timeout=",
                                  "timeout",
                                  "timeout=1 2",
                                  "timeout=\"1",
                                  "timeout:1",
                                  "x-timeout=1",
                                  "timeout=0x1",
                                  "max=-1",
                                  "max=",
                                  "\"",
                                  ",",
                                  ";",
                                  "\"timeout=1",
                                  "x=\"a;timeout=1\"",
                                  "x=\"timeout=1\"",
                                  "timeout=1 s",
                                  "\"\"",
                                  "\"\"timeout=1\"\""}) {
    SCOPED_TRACE(field);
    server.script({plan::answer(200).header("Keep-Alive", field)});
    auto net = make(server.url());
    get(*net);
    const auto first = last_connection();
    advance(30s - 1ns);
    get(*net);
    EXPECT_EQ(last_connection(), first);
  }
}

TEST_F(pool, a_server_that_allows_no_more_requests_gets_none) {
  for (const char* const field :
       {"max=0", "timeout=5, Max = \"0\"", "max=3, max=0", "timeout=2; max=0", "timeout=2;max=0",
        "timeout=2 max=0", "timeout=2 ; ext ;max = 0", "\"timeout=5, max=0\"", "\"max=0\"",
        "\"max\"=0", "timeout=x; max=0", "x=\"a;max=9\";max=0"}) {
    SCOPED_TRACE(field);
    server.script({plan::answer(200).header("Keep-Alive", field)});
    auto net = make(server.url());
    get(*net);
    EXPECT_EQ(net->stats().connections, 0u);
  }
}

TEST_F(pool, a_server_gets_as_many_more_requests_as_it_allows) {
  server.script({plan::answer(200).header("Keep-Alive", "max=2")});
  auto net = make(server.url());
  for (int i = 0; i < 3; ++i) get(*net);
  EXPECT_EQ(last_connection(), 1u);
  EXPECT_EQ(net->stats().connections, 0u);
  get(*net);
  EXPECT_EQ(last_connection(), 2u);
}

TEST_F(pool, the_last_word_on_how_many_counts) {
  const auto max = [](const char* n) { return plan::answer(200).header("Keep-Alive", n); };
  server.script({max("max=1"), max("max=1"), max("max=1"), max("max=0")});
  auto net = make(server.url());
  for (int i = 0; i < 4; ++i) get(*net);
  EXPECT_EQ(last_connection(), 1u);
  get(*net);
  EXPECT_EQ(last_connection(), 2u);
}

TEST_F(pool, only_an_answer_that_allows_it_earns_reuse) {
  for (const auto& make_plan : std::vector<std::function<plan()>>{
           [] { return plan::answer(200, "x").then(ending::close); },
           [] { return plan::answer(200, "x").until_close(); },
           [] { return plan::raw("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"); }}) {
    server.script({make_plan()});
    auto net = make(server.url());
    get(*net);
    EXPECT_EQ(net->stats().connections, 0u);
  }
}

TEST_F(pool, more_bytes_than_the_length_poison_the_connection) {
  server.script({plan::malformed(garble::excess_bytes)});
  auto net = make(server.url());
  get(*net);
  EXPECT_EQ(net->stats().connections, 0u);
  get(*net);
  EXPECT_EQ(server.counters().connections, 2u);
}

TEST_F(pool, unsolicited_bytes_on_an_idle_connection_poison_it) {
  hand_server by_hand;
  auto net = make(by_hand.url());
  one_exchange ex;
  ex.get("/1");
  net->start(ex);
  tcp::socket first = by_hand.accept();
  ASSERT_TRUE(run_until([&] { return first.available() != 0; }));
  hand_server::read_head(first);
  hand_server::answer(first, "one");
  ASSERT_TRUE(run_until(ex));
  hand_server::answer(first, "nobody asked for this");
  next_goes_to_another_connection(*net, by_hand, ex);
  EXPECT_EQ(net->stats().connections, 1u);
}

TEST_F(pool, a_connection_closed_while_idle_is_found_out_before_reuse) {
  server.script({plan::answer(200).then(ending::silent_close)});
  auto net = make(server.url());
  get(*net);
  ASSERT_EQ(net->stats().idle, 1u);
  ASSERT_TRUE(server.wait_for([](const auto& c) { return c.open_connections == 0; }, 5s));
  get(*net);
  EXPECT_EQ(server.counters().connections, 2u);
}

// A read that the answer fills to the last byte does not show that more has come.
TEST_F(pool, bytes_behind_an_answer_are_not_taken_for_the_next_however_long_it_is) {
  for (const std::size_t length : {1024U, 8192U, 16383U, 16384U, 16385U, 32768U, 65536U}) {
    hand_server by_hand;
    auto net = make(by_hand.url());
    one_exchange ex;
    ex.get("/1");
    net->start(ex);
    tcp::socket first = by_hand.accept();
    ASSERT_TRUE(run_until([&] { return first.available() != 0; }));
    hand_server::read_head(first);
    const std::string head = "HTTP/1.1 200 OK\r\nX: 1\r\nContent-Length: ";
    const std::size_t body = length - head.size() - 4 - std::to_string(length - 60).size();
    const std::string text = head + std::to_string(body) + "\r\n\r\n" + std::string(body, 'x');
    asio::write(first, asio::buffer(text + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"));
    ASSERT_TRUE(run_until(ex));
    EXPECT_EQ(ex.answer_.body(), std::string(body, 'x')) << length << ex.detail_;
    SCOPED_TRACE(length);
    next_goes_to_another_connection(*net, by_hand, ex);
    if (HasFatalFailure()) return;
  }
}

TEST_F(pool, a_stale_reuse_is_maybe_applied_and_never_sent_again_here) {
  server.script({plan::answer(200), plan::close()});
  auto net = make(server.url());
  get(*net);
  one_exchange ex;
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  EXPECT_EQ(ex.ec_, errc::connection_closed) << ex.ec_.message();
  EXPECT_EQ(ex.delivery_, evidence::maybe_applied);
  EXPECT_EQ(server.counters().requests, 2u);
  EXPECT_EQ(server.counters().connections, 1u);
}

TEST_F(pool, a_reset_before_the_first_byte_of_a_reused_connection_is_the_same) {
  server.script({plan::answer(200), plan::reset()});
  auto net = make(server.url());
  get(*net);
  one_exchange ex;
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  EXPECT_EQ(ex.ec_, errc::connection_closed) << ex.ec_.message();
  EXPECT_EQ(ex.delivery_, evidence::maybe_applied);
}

// A server that has answered here before can: the bytes may be left over from something else.
TEST_F(pool, bytes_in_an_answers_place_are_the_fault_of_a_kept_connection) {
  for (const std::string bytes :
       {"nonsense\r\n\r\n", "\x15\x03\x03", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 2OO OK\r\n\r\n",
        "<html>", "HTTP/1.1 200 OK\n\n", "\r\nHTTP/1.1 200 OK\r\n\r\n"}) {
    SCOPED_TRACE(bytes);
    server.reset();
    server.script({plan::answer(200), plan::raw(bytes)});
    auto net = make(server.url());
    get(*net);
    one_exchange ex;
    ex.get("/");
    ASSERT_TRUE(run(*net, ex));
    EXPECT_EQ(server.counters().connections, 1u);
    EXPECT_EQ(ex.ec_, errc::unexpected_bytes) << ex.ec_.message() << ": " << ex.detail_;
    EXPECT_EQ(ex.ec_, condition::transient);
    EXPECT_EQ(ex.delivery_, evidence::maybe_applied);
    EXPECT_NE(ex.detail_.find("request 2"), std::string::npos) << ex.detail_;
    EXPECT_EQ(net->stats().connections, 0u);
  }
}

TEST_F(pool, bytes_in_an_answers_place_are_the_servers_way_on_a_fresh_connection) {
  server.script({plan::raw("nonsense\r\n\r\n")});
  auto net = make(server.url());
  one_exchange ex;
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  EXPECT_EQ(ex.ec_, errc::malformed_response) << ex.ec_.message();
  EXPECT_NE(ex.ec_, condition::transient);
  EXPECT_EQ(ex.delivery_, evidence::maybe_applied);
}

// A status line shows that this is the answer; what is wrong with it would come again.
TEST_F(pool, a_fault_behind_the_status_line_is_the_answers_own_on_any_connection) {
  using testing::garble;
  for (const auto& [how, code] : {std::pair{garble::bad_chunk_size, errc::malformed_response},
                                  std::pair{garble::two_lengths, errc::ambiguous_framing},
                                  std::pair{garble::oversize_header, errc::headers_too_large}}) {
    server.script({plan::answer(200), plan::malformed(how)});
    auto net = make(server.url());
    get(*net);
    one_exchange ex;
    ex.get("/");
    ASSERT_TRUE(run(*net, ex));
    EXPECT_EQ(ex.ec_, code) << ex.ec_.message();
    EXPECT_NE(ex.ec_, condition::transient);
    EXPECT_EQ(ex.delivery_, evidence::maybe_applied);
  }
}

TEST_F(pool, a_request_of_which_no_byte_was_taken_goes_to_another_connection) {
  hand_server by_hand;
  auto net = make(by_hand.url());
  one_exchange ex;
  ex.get("/1");
  net->start(ex);
  {
    tcp::socket first = by_hand.accept();
    ASSERT_TRUE(run_until([&] { return first.available() != 0; }));
    hand_server::read_head(first);
    hand_server::answer(first, "one");
    ASSERT_TRUE(run_until(ex));
    first.set_option(asio::socket_base::linger(true, 0));
    first.close();  // RST
  }
  // The look finds it out, or the system that refuses the write.
  next_goes_to_another_connection(*net, by_hand, ex);
}

TEST_F(pool, an_answer_that_came_before_the_whole_request_costs_the_connection) {
  hand_server by_hand;
  auto net = make(by_hand.url());
  one_exchange ex(http::method::post, "/", std::string(16 * 1024 * 1024, 'x'));
  net->start(ex);
  tcp::socket peer = by_hand.accept();
  ASSERT_TRUE(run_until([&] { return peer.available() != 0; }));
  hand_server::read_head(peer);
  hand_server::answer(peer, "enough");
  ASSERT_TRUE(run_until(ex));
  EXPECT_FALSE(ex.ec_) << ex.detail_;
  EXPECT_EQ(ex.answer_.body(), "enough");
  EXPECT_EQ(net->stats().connections, 0u);
}

// --- options -----------------------------------------------------------------------------------

std::string refused(const http::pool_options& o) {
  try {
    http::validate(o);
  } catch (const config_error& e) {
    return e.field();
  }
  return {};
}

TEST(pool_options, are_validated_by_name) {
  EXPECT_EQ(refused({}), "");
  EXPECT_EQ(refused({.max_connections = 0}), "pool.max_connections");
  EXPECT_EQ(refused({.idle_for = 0s}), "pool.idle_for");
  EXPECT_EQ(refused({.max_age = -1s}), "pool.max_age");
  EXPECT_EQ(refused({.max_idle = 0, .max_pending = 0, .idle_for = {}, .max_age = {}}), "");
}

}  // namespace
}  // namespace hawser::test::pool_test
