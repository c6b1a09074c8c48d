// Any Boost.Asio operation under policies, with its own completion signature and any token.
#include <hawser/policy/retry.hpp>
#include <hawser/policy/timeout.hpp>
#include <hawser/run/async.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <iostream>
#include <vector>

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

namespace {

asio::awaitable<void> run(hawser::pipeline dialing, tcp::endpoint server, bool& connected) {
  tcp::socket socket(co_await asio::this_coro::executor);
  const std::vector<tcp::endpoint> endpoints{server};

  // Wrap once, call as often as you like.
  auto connect = dialing.wrap(
      [&](auto token) { return asio::async_connect(socket, endpoints, std::move(token)); });

  const tcp::endpoint reached = co_await connect();
  std::cout << "connected to " << reached.address() << '\n';
  connected = true;
}

}  // namespace

int main() {
  asio::io_context io;
  tcp::acceptor server(io, {asio::ip::address_v4::loopback(), 0});

  const auto dialing =
      hawser::pipeline_builder{"dialing"}
          .add(hawser::retry{.max_attempts = 3, .delay = hawser::constant{.each = 20ms}})
          .add(hawser::timeout{.after = 500ms})  // one attempt
          .build(hawser::environment{io.get_executor()});

  bool connected = false;
  asio::co_spawn(io, run(dialing, server.local_endpoint(), connected), asio::detached);
  io.run();
  return connected ? 0 : 1;
}
