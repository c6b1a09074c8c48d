#include "server.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

#include <pthread.h>
#include <sched.h>

#include <cstdlib>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

namespace hawser_bench {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

std::string answer_text() {
  const std::string body = R"({"id":42,"name":")" + std::string(181, 'x') + "\"}";
  return "HTTP/1.1 200 OK\r\nServer: tiny\r\nDate: Mon, 23 Nov 2026 10:00:00 GMT\r\n"
         "Content-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

/// Whether a whole request is there: clients here send one and wait for its answer.
bool is_whole(std::string_view text) {
  const std::size_t end = text.find("\r\n\r\n");
  if (end == text.npos) return false;
  for (const std::string_view name : {"Content-Length: ", "content-length: "}) {
    const std::size_t at = text.find(name);
    if (at >= end) continue;
    const auto length = std::strtoul(text.data() + at + name.size(), nullptr, 10);
    return text.size() >= end + 4 + length;
  }
  return true;
}

template <class Stream>
struct session : std::enable_shared_from_this<session<Stream>> {
  session(Stream s, const std::string& a) : stream(std::move(s)), answer(a) {}

  void read() {
    stream.async_read_some(asio::buffer(input + held, sizeof input - held),
                           [self = this->shared_from_this()](error_code ec, std::size_t n) {
                             if (!ec) self->got(n);
                           });
  }
  void got(std::size_t n) {
    held += n;
    if (!is_whole({input, held})) return read();
    held = 0;
    asio::async_write(stream, asio::buffer(answer),
                      [self = this->shared_from_this()](error_code ec, std::size_t) {
                        if (!ec) self->read();
                      });
  }

  Stream stream;
  const std::string& answer;
  std::size_t held = 0;
  char input[8192];
};

void pin_thread(pthread_t thread, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  const auto count = static_cast<int>(std::thread::hardware_concurrency());
  for (int i = 0; i < count; ++i)
    if (cpu < 0 || i == cpu % count) CPU_SET(static_cast<std::size_t>(i), &set);
  (void)pthread_setaffinity_np(thread, sizeof set, &set);
}

}  // namespace

void pin_this_thread(int cpu) { pin_thread(pthread_self(), cpu); }

class server::impl {
 public:
  impl(const std::string& certificate, const std::string& key)
      : acceptor_(io_, {asio::ip::address_v4::loopback(), 0}) {
    if (!certificate.empty()) {
      tls_.emplace(asio::ssl::context::tls_server);
      tls_->use_certificate_chain(asio::buffer(certificate));
      tls_->use_private_key(asio::buffer(key), asio::ssl::context::pem);
    }
    accept();
    thread_ = std::thread([this] { io_.run(); });
  }
  ~impl() {
    io_.stop();
    thread_.join();
  }
  void pin(int cpu) { pin_thread(thread_.native_handle(), cpu); }
  [[nodiscard]] tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }

 private:
  void accept() {
    acceptor_.async_accept([this](error_code ec, tcp::socket s) {
      if (ec) return;
      s.set_option(tcp::no_delay(true));
      if (tls_)
        greet(std::move(s));
      else
        std::make_shared<session<tcp::socket>>(std::move(s), answer_)->read();
      accept();
    });
  }
  void greet(tcp::socket s) {
    using stream = asio::ssl::stream<tcp::socket>;
    auto made = std::make_shared<session<stream>>(stream(std::move(s), *tls_), answer_);
    made->stream.async_handshake(asio::ssl::stream_base::server, [made](error_code ec) {
      if (!ec) made->read();
    });
  }

  asio::io_context io_{1};
  const std::string answer_ = answer_text();
  std::optional<asio::ssl::context> tls_;
  tcp::acceptor acceptor_;
  std::thread thread_;
};

server::server(const std::string& certificate, const std::string& key)
    : impl_(std::make_unique<impl>(certificate, key)) {}
server::~server() = default;
tcp::endpoint server::endpoint() const { return impl_->endpoint(); }
void server::pin(int cpu) { impl_->pin(cpu); }

}  // namespace hawser_bench
