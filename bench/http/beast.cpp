#include "contender.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace hawser_bench {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

template <class Body>
http::request<Body> request_for(const target& where) {
  http::request<Body> r;
  r.version(11);
  r.set(http::field::host, "127.0.0.1:" + std::to_string(where.server.port()));
  if constexpr (std::is_same_v<Body, http::string_body>) {
    r.method(http::verb::post);
    r.target(std::string(post_path));
    r.set(http::field::content_type, "application/json");
    r.body() = post_body();
    r.prepare_payload();
  } else {
    r.method(http::verb::get);
    r.target(std::string(get_path));
  }
  return r;
}

/// Requests still to be sent in this run, over all connections.
struct countdown {
  long left = 0;
};

void check(std::string_view who, const error_code& ec, unsigned status) {
  if (ec) give_up(who, ec.message());
  if (status != 200) give_up(who, "status " + std::to_string(status));
}

template <class Stream>
tcp::socket& socket_of(Stream& stream) {
  if constexpr (std::is_same_v<Stream, tcp::socket>)
    return stream;
  else
    return beast::get_lowest_layer(stream).socket();
}
tcp::socket& socket_of(asio::ssl::stream<tcp::socket>& stream) { return stream.next_layer(); }

template <class Stream>
void connect(Stream& stream, const target& where) {
  tcp::socket& s = socket_of(stream);
  s.connect(where.server);
  s.set_option(tcp::no_delay(true));
  if constexpr (requires { stream.handshake(asio::ssl::stream_base::client); })
    stream.handshake(asio::ssl::stream_base::client);
}

template <class Body, class Stream>
struct callback_connection {
  callback_connection(Stream s, const target& where, countdown& of)
      : stream(std::move(s)), requests(of), request(request_for<Body>(where)) {
    connect(stream, where);
  }
  void next() {
    if (requests.left-- <= 0) return;
    http::async_write(stream, request, [this](error_code ec, std::size_t) {
      check("beast", ec, 200);
      answer = {};
      http::async_read(stream, buffer, answer, [this](error_code failed, std::size_t) {
        check("beast", failed, answer.result_int());
        next();
      });
    });
  }
  Stream stream;
  countdown& requests;
  beast::flat_buffer buffer;
  http::request<Body> request;
  http::response<http::string_body> answer;
};

template <class Body, class Stream>
struct coroutine_connection {
  coroutine_connection(Stream s, const target& where, countdown& of)
      : stream(std::move(s)), requests(of), request(request_for<Body>(where)) {
    connect(stream, where);
  }
  void next() {
    asio::co_spawn(stream.get_executor(), work(), [](const std::exception_ptr& e) {
      if (e) std::rethrow_exception(e);
    });
  }
  asio::awaitable<void> work() {
    while (requests.left-- > 0) {
      beast::get_lowest_layer(stream).expires_after(std::chrono::seconds(30));
      co_await http::async_write(stream, request, asio::use_awaitable);
      http::response<http::string_body> answer;
      co_await http::async_read(stream, buffer, answer, asio::use_awaitable);
      check("beast", {}, answer.result_int());
    }
    beast::get_lowest_layer(stream).expires_never();
  }
  Stream stream;
  countdown& requests;
  beast::flat_buffer buffer;
  http::request<Body> request;
};

template <class Connection>
class loop final : public contender {
 public:
  template <class Make>
  loop(const target& where, Make make) {
    for (int i = 0; i < where.connections; ++i)
      all_.push_back(std::make_unique<Connection>(make(io_, tls_), where, requests_));
  }
  void run(long requests) override {
    requests_.left = requests;
    for (auto& c : all_) c->next();
    io_.restart();
    io_.run();
  }

 private:
  asio::io_context io_{1};
  asio::ssl::context tls_{asio::ssl::context::tls_client};
  countdown requests_;
  std::vector<std::unique_ptr<Connection>> all_;
};

template <template <class, class> class Connection, class Plain, class Secure>
contender_ptr make(const target& where) {
  const auto plain = [](asio::io_context& io, asio::ssl::context&) { return Plain(io); };
  const auto secure = [](asio::io_context& io, asio::ssl::context& tls) { return Secure(io, tls); };
  using get = http::empty_body;
  using post = http::string_body;
  const bool tls = !where.authority.empty();
  if (where.what == kind::get) {
    if (tls) return std::make_unique<loop<Connection<get, Secure>>>(where, secure);
    return std::make_unique<loop<Connection<get, Plain>>>(where, plain);
  }
  if (tls) return std::make_unique<loop<Connection<post, Secure>>>(where, secure);
  return std::make_unique<loop<Connection<post, Plain>>>(where, plain);
}

}  // namespace

contender_ptr beast_callbacks(const target& where) {
  return make<callback_connection, tcp::socket, asio::ssl::stream<tcp::socket>>(where);
}

contender_ptr beast_coroutines(const target& where) {
  return make<coroutine_connection, beast::tcp_stream, beast::ssl_stream<beast::tcp_stream>>(where);
}

}  // namespace hawser_bench
