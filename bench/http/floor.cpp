// The floor: non-blocking sockets, one epoll set, one `send` and one `recv` a request, the request
// written once, the answer's end found by its length. It has no time limit and trusts the server.
#include "contender.hpp"

#include <openssl/ssl.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace hawser_bench {

namespace {

struct connection {
  int fd = -1;
  SSL* tls = nullptr;
  std::size_t held = 0;
  std::array<char, 16384> input;
};

std::string request_text(const target& where) {
  const std::string host = "127.0.0.1:" + std::to_string(where.server.port());
  if (where.what == kind::get)
    return "GET " + std::string(get_path) + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n";
  return "POST " + std::string(post_path) + " HTTP/1.1\r\nHost: " + host +
         "\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(post_body().size()) + "\r\n\r\n" + post_body();
}

bool is_whole(std::string_view text) {
  const std::size_t end = text.find("\r\n\r\n");
  if (end == text.npos) return false;
  constexpr std::string_view name = "Content-Length: ";
  const std::size_t at = text.find(name);
  if (at > end) give_up("floor", "no length");
  return text.size() == end + 4 + std::strtoul(text.data() + at + name.size(), nullptr, 10);
}

class floor_loop final : public contender {
 public:
  explicit floor_loop(const target& where)
      : request_(request_text(where)),
        epoll_(epoll_create1(0)),
        all_(static_cast<std::size_t>(where.connections)) {
    if (!where.authority.empty()) {
      context_ = SSL_CTX_new(TLS_client_method());
      SSL_CTX_set_read_ahead(context_, 1);  // a record in one system call
    }
    for (connection& c : all_) connect(c, where);
  }
  ~floor_loop() override {
    for (connection& c : all_) {
      SSL_free(c.tls);
      ::close(c.fd);
    }
    SSL_CTX_free(context_);
    ::close(epoll_);
  }

  void run(long requests) override {
    to_start_ = to_end_ = requests;
    for (connection& c : all_) send_next(c);
    std::array<epoll_event, 64> ready{};
    while (to_end_ > 0) {
      const int n = epoll_wait(epoll_, ready.data(), int(ready.size()), -1);
      for (int i = 0; i < n; ++i)
        receive(*static_cast<connection*>(ready[std::size_t(i)].data.ptr));
    }
  }

 private:
  void connect(connection& c, const target& where) {
    c.fd = ::socket(AF_INET, SOCK_STREAM, 0);
    if (::connect(c.fd, where.server.data(), socklen_t(where.server.size())) != 0)
      give_up("floor", "cannot connect");
    const int on = 1;
    (void)::setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (context_ != nullptr) {
      c.tls = SSL_new(context_);
      SSL_set_fd(c.tls, c.fd);
      if (SSL_connect(c.tls) != 1) give_up("floor", "no TLS");
    }
    (void)::fcntl(c.fd, F_SETFL, O_NONBLOCK);
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.ptr = &c;
    (void)epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd, &e);
  }

  void send_next(connection& c) {
    if (to_start_-- <= 0) return;
    const auto sent = c.tls != nullptr ? SSL_write(c.tls, request_.data(), int(request_.size()))
                                       : ::send(c.fd, request_.data(), request_.size(), 0);
    if (sent != static_cast<long>(request_.size())) give_up("floor", "short write");
  }

  void receive(connection& c) {
    do {
      const long got = read_some(c);
      if (got < 0) return;
      c.held += std::size_t(got);
    } while (!is_whole({c.input.data(), c.held}));
    if (std::memcmp(c.input.data(), "HTTP/1.1 200", 12) != 0) give_up("floor", "status");
    c.held = 0;
    --to_end_;
    send_next(c);
  }

  /// Under zero: nothing there yet.
  static long read_some(connection& c) {
    char* const into = c.input.data() + c.held;
    const std::size_t room = c.input.size() - c.held;
    if (c.tls == nullptr) {
      const auto got = ::recv(c.fd, into, room, 0);
      if (got > 0) return got;
      if (got < 0 && errno == EAGAIN) return -1;
    } else {
      const int got = SSL_read(c.tls, into, int(room));
      if (got > 0) return got;
      if (SSL_get_error(c.tls, got) == SSL_ERROR_WANT_READ) return -1;
    }
    give_up("floor", "the connection broke");
  }

  const std::string request_;
  int epoll_;
  std::vector<connection> all_;
  SSL_CTX* context_ = nullptr;
  long to_start_ = 0;
  long to_end_ = 0;
};

}  // namespace

contender_ptr floor_client(const target& where) { return std::make_unique<floor_loop>(where); }

}  // namespace hawser_bench
