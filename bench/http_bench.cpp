// CPU per request of http::client with the whole standard pipeline, beside raw Beast callbacks on a
// plain socket, over 64 kept-alive loopback connections: both sides in one run, interleaved rounds,
// medians. The server is a thread of its own; only the client thread's CPU time counts.
//
//   http_bench [--rounds 7] [--requests 20000] [--connections 64] [--max-ratio R]
//
// With --max-ratio it exits non-zero when Hawser costs more than R times raw Beast.
#include "hawser/http/client.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

thread_local std::size_t allocations = 0;

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace {

struct settings {
  int rounds = 7;
  long requests = 20'000;
  int connections = 64;
  double max_ratio = 0;
};

struct cost {
  double microseconds = 0;
  double allocations = 0;
};

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
}

/// Answers every request head with the same 200 bytes of JSON, as cheaply as it can.
class tiny_server {
 public:
  tiny_server() : acceptor_(io_, {asio::ip::address_v4::loopback(), 0}) {
    std::string body = R"({"id":42,"name":")" + std::string(178, 'x') + "\"}";
    answer_ =
        "HTTP/1.1 200 OK\r\nServer: tiny\r\nDate: Mon, 23 Nov 2026 10:00:00 GMT\r\n"
        "Content-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body;
    accept();
    thread_ = std::thread([this] { io_.run(); });
  }
  tiny_server(const tiny_server&) = delete;
  tiny_server& operator=(const tiny_server&) = delete;
  ~tiny_server() {
    io_.stop();
    thread_.join();
  }
  [[nodiscard]] tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }

 private:
  struct session : std::enable_shared_from_this<session> {
    session(tcp::socket s, const std::string& a) : socket(std::move(s)), answer(a) {}
    void read() {
      socket.async_read_some(asio::buffer(input),
                             [self = shared_from_this()](error_code ec, std::size_t n) {
                               if (ec) return;
                               self->got(n);
                             });
    }
    void got(std::size_t n) {
      // Clients here send a request whole and wait for its answer.
      if (n < 4 || std::string_view(input + n - 4, 4) != "\r\n\r\n") return read();
      asio::async_write(socket, asio::buffer(answer),
                        [self = shared_from_this()](error_code ec, std::size_t) {
                          if (!ec) self->read();
                        });
    }
    tcp::socket socket;
    const std::string& answer;
    char input[4096];
  };

  void accept() {
    acceptor_.async_accept([this](error_code ec, tcp::socket s) {
      if (ec) return;
      s.set_option(tcp::no_delay(true));
      std::make_shared<session>(std::move(s), answer_)->read();
      accept();
    });
  }

  asio::io_context io_{1};
  tcp::acceptor acceptor_;
  std::string answer_;
  std::thread thread_;
};

/// Counts requests down over all connections of a round; the first ones warm up.
struct countdown {
  explicit countdown(long n) : left(n) {}
  long left;
};

// --- Hawser -----------------------------------------------------------------------------------

struct hawser_connection {
  hawser_connection(const hawser::http::client& by, countdown& left) : api(by), requests(left) {}

  void next() {
    if (requests.left-- <= 0) return;
    api.async_send_to(request, answer, [this](hawser::result<void> r) {
      if (!r || answer.status() != 200) {
        std::fprintf(stderr, "hawser: %s\n", r ? "status" : r.error().message().c_str());
        std::exit(2);
      }
      next();
    });
  }

  const hawser::http::client& api;
  countdown& requests;
  hawser::http::request request = hawser::http::request::get("/v1/users/42");
  hawser::http::response answer;
};

cost run_hawser(const tcp::endpoint& server, const settings& s) {
  asio::io_context io{1};
  const hawser::environment env{io.get_executor()};
  hawser::http::client_options options;
  options.pool.max_connections = static_cast<std::size_t>(s.connections);
  options.pool.max_idle = options.pool.max_connections;
  hawser::http::standard_options policies;
  policies.bulkhead.max_concurrent = s.connections;
  const hawser::http::client api{env, "http://127.0.0.1:" + std::to_string(server.port()),
                                 hawser::http::standard_pipeline("bench", policies),
                                 std::move(options)};
  countdown requests(0);
  std::vector<std::unique_ptr<hawser_connection>> all;
  for (int i = 0; i < s.connections; ++i)
    all.push_back(std::make_unique<hawser_connection>(api, requests));
  const auto round = [&](long n) {
    requests.left = n;
    for (auto& c : all) c->next();
    io.restart();
    io.run();
  };
  round(s.connections * 20L);
  const double before = cpu_seconds();
  const std::size_t allocated = allocations;
  round(s.requests);
  return {(cpu_seconds() - before) * 1e6 / double(s.requests),
          double(allocations - allocated) / double(s.requests)};
}

// --- Raw Beast --------------------------------------------------------------------------------

struct beast_connection {
  beast_connection(asio::io_context& io, const tcp::endpoint& server, countdown& left)
      : socket(io), requests(left) {
    socket.connect(server);
    socket.set_option(tcp::no_delay(true));
    request.method(beast::http::verb::get);
    request.target("/v1/users/42");
    request.set(beast::http::field::host, "127.0.0.1:" + std::to_string(server.port()));
  }

  void next() {
    if (requests.left-- <= 0) return;
    beast::http::async_write(socket, request, [this](error_code ec, std::size_t) {
      if (ec) std::exit(2);
      answer = {};
      beast::http::async_read(socket, buffer, answer, [this](error_code failed, std::size_t) {
        if (failed || answer.result_int() != 200) std::exit(2);
        next();
      });
    });
  }

  tcp::socket socket;
  countdown& requests;
  beast::flat_buffer buffer;
  beast::http::request<beast::http::empty_body> request;
  beast::http::response<beast::http::string_body> answer;
};

cost run_beast(const tcp::endpoint& server, const settings& s) {
  asio::io_context io{1};
  countdown requests(0);
  std::vector<std::unique_ptr<beast_connection>> all;
  for (int i = 0; i < s.connections; ++i)
    all.push_back(std::make_unique<beast_connection>(io, server, requests));
  const auto round = [&](long n) {
    requests.left = n;
    for (auto& c : all) c->next();
    io.restart();
    io.run();
  };
  round(s.connections * 20L);
  const double before = cpu_seconds();
  const std::size_t allocated = allocations;
  round(s.requests);
  return {(cpu_seconds() - before) * 1e6 / double(s.requests),
          double(allocations - allocated) / double(s.requests)};
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

settings parse(int argc, char** argv) {
  settings s;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    if (name == "--rounds")
      s.rounds = std::atoi(argv[i + 1]);
    else if (name == "--requests")
      s.requests = std::atol(argv[i + 1]);
    else if (name == "--connections")
      s.connections = std::atoi(argv[i + 1]);
    else if (name == "--max-ratio")
      s.max_ratio = std::atof(argv[i + 1]);
  }
  return s;
}

}  // namespace

int main(int argc, char** argv) {
  const settings s = parse(argc, argv);
  tiny_server server;
  std::vector<double> ours, theirs, ratios;
  cost last_ours, last_theirs;
  for (int i = 0; i < s.rounds; ++i) {
    last_theirs = run_beast(server.endpoint(), s);
    last_ours = run_hawser(server.endpoint(), s);
    theirs.push_back(last_theirs.microseconds);
    ours.push_back(last_ours.microseconds);
    ratios.push_back(last_ours.microseconds / last_theirs.microseconds);
  }
  const double ratio = median(ratios);
  std::printf("%d connections, GET of 200 bytes JSON, CPU us per request, medians of %d rounds\n",
              s.connections, s.rounds);
  std::printf("  raw Beast callbacks        %6.2f  (%.1f allocations)\n", median(theirs),
              last_theirs.allocations);
  std::printf("  hawser, standard pipeline  %6.2f  (%.1f allocations)\n", median(ours),
              last_ours.allocations);
  std::printf("  ratio                      %6.2f\n", ratio);
  if (s.max_ratio > 0 && ratio > s.max_ratio) {
    std::printf("FAILED: over %.2f\n", s.max_ratio);
    return 1;
  }
  return 0;
}
