// One awaited HTTPS GET through Hawser: compiling it is held to a share of raw_beast.cpp.
#include <hawser/http/client.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <iostream>

namespace asio = boost::asio;

namespace {

asio::awaitable<void> get(hawser::http::client& api) {
  const auto answer = co_await api.async_send(hawser::http::request::get("/v1/status"));
  if (answer) std::cout << answer->status() << ' ' << answer->body() << '\n';
}

}  // namespace

int main() {
  asio::io_context io;
  hawser::http::client api{hawser::environment{io.get_executor()}, "https://api.example"};
  asio::co_spawn(io, get(api), asio::detached);
  io.run();
}
