// One awaited HTTPS GET with Beast alone, as its documentation does it: verified, timed.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>

#include <chrono>
#include <iostream>
#include <string>

namespace asio = boost::asio;
namespace beast = boost::beast;

namespace {

asio::awaitable<void> get(asio::ssl::context& tls, std::string host) {
  const auto executor = co_await asio::this_coro::executor;
  asio::ip::tcp::resolver resolver(executor);
  beast::ssl_stream<beast::tcp_stream> stream(executor, tls);
  if (!SSL_set_tlsext_host_name(stream.native_handle(), host.c_str())) co_return;
  stream.set_verify_callback(asio::ssl::host_name_verification(host));

  const auto found = co_await resolver.async_resolve(host, "443", asio::use_awaitable);
  beast::get_lowest_layer(stream).expires_after(std::chrono::seconds(10));
  co_await beast::get_lowest_layer(stream).async_connect(found, asio::use_awaitable);
  co_await stream.async_handshake(asio::ssl::stream_base::client, asio::use_awaitable);

  beast::http::request<beast::http::empty_body> request{beast::http::verb::get, "/v1/status", 11};
  request.set(beast::http::field::host, host);
  co_await beast::http::async_write(stream, request, asio::use_awaitable);
  beast::flat_buffer buffer;
  beast::http::response<beast::http::string_body> answer;
  co_await beast::http::async_read(stream, buffer, answer, asio::use_awaitable);
  std::cout << answer.result_int() << ' ' << answer.body() << '\n';
}

}  // namespace

int main() {
  asio::io_context io;
  asio::ssl::context tls(asio::ssl::context::tls_client);
  tls.set_default_verify_paths();
  tls.set_verify_mode(asio::ssl::verify_peer);
  asio::co_spawn(io, get(tls, "api.example"), asio::detached);
  io.run();
}
