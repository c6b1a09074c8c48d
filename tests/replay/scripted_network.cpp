#include "replay/scripted_network.hpp"

#include "hawser/http/url.hpp"
#include "hawser/testing/test_certificates.hpp"

#include "replay/failing_allocator.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <utility>

namespace hawser::test {

namespace asio = boost::asio;
namespace beast = http::beast;
using tcp = asio::ip::tcp;

std::string_view to_string(fault f) noexcept {
  switch (f) {
    case fault::reset: return "reset";
    case fault::end: return "end";
    case fault::one_byte: return "one_byte";
    case fault::would_block: return "would_block";
    case fault::silence: return "silence";
  }
  return "unknown";
}

// --- the server ----------------------------------------------------------------------------------

namespace {

constexpr std::size_t sip = 40;  // what a sluggish line takes or gives at a time

struct identity {
  testing::test_authority authority;
  testing::issued_certificate leaf = authority.issue({.names = {"api.test"}});
};

const identity& server_identity() {
  static const identity one;
  return one;
}

using bio_ptr = std::unique_ptr<BIO, beast::openssl_free<BIO_free>>;

SSL_CTX* server_context() {
  static const beast::ssl_ctx_ptr shared = [] {
    beast::ssl_ctx_ptr ctx(SSL_CTX_new(TLS_server_method()));
    const identity& who = server_identity();
    const bio_ptr chain(BIO_new_mem_buf(who.leaf.chain.data(), -1));
    const bio_ptr key(BIO_new_mem_buf(who.leaf.key.data(), -1));
    X509* leaf = PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr);
    EVP_PKEY* secret_part = PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr);
    const bool good = SSL_CTX_use_certificate(ctx.get(), leaf) == 1 &&
                      SSL_CTX_use_PrivateKey(ctx.get(), secret_part) == 1;
    X509_free(leaf);
    EVP_PKEY_free(secret_part);
    if (!good) throw std::runtime_error("the server's certificate cannot be used");
    return ctx;
  }();
  return shared.get();
}

/// "Content-Length: 7" of a head.
std::size_t length_of(std::string_view head) {
  constexpr std::string_view name = "Content-Length: ";
  const std::size_t at = head.find(name);
  return at == std::string_view::npos
             ? 0
             : static_cast<std::size_t>(std::stoul(std::string(head.substr(at + name.size(), 8))));
}

}  // namespace

struct network::world {
  fuse* breaks = nullptr;
  fault goes_wrong = fault::reset;
  bool sluggish = false;
  bool tls = false;
  framing how = framing::length;
  std::size_t cut_answer_at = static_cast<std::size_t>(-1);
  fault cut_by = fault::end;
  std::optional<fault> hangs_up_at_write;

  std::vector<seen_request> requests;
  std::size_t connections = 0;
  std::size_t held = 0;
  std::size_t answer_size = 0;
  std::string violations;

  [[nodiscard]] bool step_fails() { return breaks != nullptr && breaks->burns(); }

  [[nodiscard]] std::string answer() const {
    const std::string body = R"({"id":1})";
    std::string text = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    if (how == framing::length)
      return text + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    return text + "Transfer-Encoding: chunked\r\n\r\n4\r\n" + body.substr(0, 4) + "\r\n4;x=y\r\n" +
           body.substr(4) + "\r\n0\r\nX-Trailer: t\r\n\r\n";
  }
};

/// One connection as the server has it.
class network::server_end {
 public:
  server_end(world& w, std::size_t number) : world_(w), number_(number) {
    if (!w.tls) return;
    ssl_.reset(SSL_new(server_context()));
    in_ = BIO_new(BIO_s_mem());
    out_bio_ = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl_.get(), in_, out_bio_);
    SSL_set_accept_state(ssl_.get());
  }

  void take(std::string_view bytes) {
    if (!ssl_) {
      take_plain(bytes);
      return;
    }
    BIO_write(in_, bytes.data(), static_cast<int>(bytes.size()));
    ERR_clear_error();
    char plain[4096];
    for (;;) {
      const int n = SSL_read(ssl_.get(), plain, sizeof plain);
      if (n <= 0) break;
      take_plain({plain, static_cast<std::size_t>(n)});
    }
    ERR_clear_error();
    collect();
  }

  std::string out;                 ///< To be read by the client.
  std::optional<fault> cut_short;  ///< After `out`: how the connection goes on.
  bool in_doubt = false;

 private:
  void take_plain(std::string_view bytes) {
    while (!bytes.empty()) {
      if (!current_) begin_request();
      seen_request& r = world_.requests[*current_];
      const std::size_t end = r.text.find("\r\n\r\n");
      const std::size_t size =
          end == std::string::npos ? std::string::npos : end + 4 + length_of(r.text);
      const std::size_t take =
          size == std::string::npos ? 1 : std::min(bytes.size(), size - r.text.size());
      r.text.append(bytes.substr(0, take));
      bytes.remove_prefix(take);
      if (whole(r.text)) {
        r.complete = true;
        current_.reset();
        reply();
      }
    }
  }

  static bool whole(const std::string& text) {
    const std::size_t end = text.find("\r\n\r\n");
    return end != std::string::npos && text.size() == end + 4 + length_of(text);
  }

  void begin_request() {
    if (in_doubt)
      world_.violations +=
          "a request began on connection " + std::to_string(number_) + ", which is in doubt; ";
    current_ = world_.requests.size();
    world_.requests.push_back({{}, false, number_});
  }

  void reply() {
    std::string text = world_.answer();
    if (world_.cut_answer_at < text.size()) {
      text.resize(std::exchange(world_.cut_answer_at, static_cast<std::size_t>(-1)));
      cut_short = world_.cut_by;
      in_doubt = true;
    } else {
      world_.answer_size = text.size();
    }
    if (ssl_) {
      if (!text.empty()) SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
      collect();
    } else {
      out += text;
    }
  }

  void collect() {
    char bytes[4096];
    for (;;) {
      const int n = BIO_read(out_bio_, bytes, sizeof bytes);
      if (n <= 0) return;
      out.append(bytes, static_cast<std::size_t>(n));
    }
  }

  world& world_;
  const std::size_t number_;
  beast::ssl_ptr ssl_;
  BIO* in_ = nullptr;
  BIO* out_bio_ = nullptr;
  std::optional<std::size_t> current_;
};

// --- the channel ---------------------------------------------------------------------------------

class network::line_channel final : public beast::channel {
 public:
  line_channel(std::shared_ptr<world> w, asio::any_io_executor executor,
               beast::channel_owner& owner)
      : world_(std::move(w)), executor_(std::move(executor)), owner_(owner) {
    ++world_->held;
  }
  ~line_channel() override { --world_->held; }

  void async_resolve(const std::string& /*host*/, const std::string& /*port*/,
                     hawser::detail::side_threads& /*threads*/) override {
    const not_counted mine;
    std::vector<tcp::endpoint> found{{asio::ip::make_address("192.0.2.1"), 443},
                                     {asio::ip::make_address("192.0.2.2"), 443}};
    error_code ec;
    if (world_->step_fails()) {
      if (world_->goes_wrong == fault::silence)
        return hold(opening_, [](auto& o, error_code e) { o.on_resolved(e, {}); });
      if (world_->goes_wrong != fault::one_byte && world_->goes_wrong != fault::would_block)
        found.clear();
      if (world_->goes_wrong == fault::reset) ec = asio::error::host_not_found;
    }
    post([ec, found = std::move(found)](beast::channel_owner& o) mutable {
      o.on_resolved(ec, std::move(found));
    });
  }

  void async_connect(const tcp::endpoint& /*to*/, unsigned attempt) override {
    const not_counted mine;
    close();
    closed_ = false;
    dead_.reset();
    error_code ec;
    if (world_->step_fails()) {
      if (world_->goes_wrong == fault::silence)
        return hold(opening_, [attempt](auto& o, error_code e) { o.on_connected(e, attempt); });
      if (world_->goes_wrong == fault::reset) ec = asio::error::connection_refused;
      if (world_->goes_wrong == fault::end) ec = asio::error::network_unreachable;
    }
    if (!ec) peer_.emplace(*world_, world_->connections++);
    post([ec, attempt](beast::channel_owner& o) { o.on_connected(ec, attempt); });
  }

  std::size_t send(const char* data, std::size_t size, error_code& ec) override {
    const not_counted mine;
    if (sending_) complain("a write during a write");
    std::size_t room = world_->sluggish ? sip : size;
    if (world_->step_fails()) {
      switch (world_->goes_wrong) {
        case fault::one_byte: room = 1; break;
        case fault::would_block: room = 0; break;
        default: go_wrong();
      }
    }
    if (const auto end = std::exchange(world_->hangs_up_at_write, std::nullopt)) go_wrong(*end);
    return put(data, std::min(room, size), size, ec);
  }

  void async_write(const char* data, std::size_t size) override {
    const not_counted mine;
    if (std::exchange(sending_, true)) complain("two writes at a time");
    std::size_t room = world_->sluggish ? sip : size;
    if (world_->step_fails()) {
      switch (world_->goes_wrong) {
        case fault::one_byte:
        case fault::would_block: room = 1; break;
        case fault::silence:
          go_wrong();
          return hold(writing_, [this](auto& o, error_code e) {
            sending_ = false;
            o.on_written(e, 0);
          });
        default: go_wrong();
      }
    }
    error_code ec;
    const std::size_t n = put(data, std::min(room, size), 0, ec);
    post([this, ec, n](beast::channel_owner& o) {
      sending_ = false;
      o.on_written(closed_ ? make_error_code(asio::error::operation_aborted) : ec, n);
    });
  }

  void async_read(char* into, std::size_t room) override {
    const not_counted mine;
    if (into_ != nullptr) complain("two reads at a time");
    into_ = into;
    room_ = room;
    if (world_->step_fails()) {
      switch (world_->goes_wrong) {
        case fault::one_byte:
        case fault::would_block: room_ = 1; break;
        default: go_wrong();
      }
    }
    hold(reading_, [](auto& o, error_code e) { o.on_read(e, 0); });
    satisfy();
  }

  void async_turn() override {
    const not_counted mine;
    post([](beast::channel_owner& o) { o.on_turn(); });
  }

  std::size_t receive(char* into, std::size_t room, error_code& ec) override {
    const not_counted mine;
    if (world_->step_fails() && world_->goes_wrong <= fault::end) go_wrong();
    if (dead_ || !peer_) {
      ec = asio::error::eof;
      if (dead_ == fault::reset) ec = asio::error::connection_reset;
      if (dead_ == fault::silence) ec = asio::error::would_block;
      return 0;
    }
    if (peer_->out.empty()) {
      ec = asio::error::would_block;
      return 0;
    }
    return get(into, room);
  }

  line peek() override {
    const not_counted mine;
    if (world_->step_fails()) {
      if (world_->goes_wrong == fault::one_byte || world_->goes_wrong == fault::would_block) {
        peer_->in_doubt = true;
        peer_->out += '?';
      } else {
        go_wrong();
      }
    }
    if (dead_ && dead_ != fault::silence) return line::ended;
    return !peer_ || peer_->out.empty() ? line::quiet : line::bytes;
  }

  void close() noexcept override {
    const not_counted mine;
    closed_ = true;
    into_ = nullptr;
    peer_.reset();
    for (held* one : {&opening_, &writing_, &reading_}) {
      if (!one->owner) continue;
      post([end = std::move(one->end)](beast::channel_owner& o) {
        end(o, asio::error::operation_aborted);
      });
      one->owner.reset();
    }
  }

 private:
  using owner_ptr = boost::intrusive_ptr<beast::channel_owner>;
  using ending = std::function<void(beast::channel_owner&, error_code)>;

  /// An operation under way, as Asio has them: it keeps its connection.
  struct held {
    owner_ptr owner{};
    ending end{};
  };

  /// Destroyed without having run: the context goes down.
  template <class F>
  class posted {
   public:
    posted(beast::channel_owner& owner, F f) : owner_(&owner), f_(std::move(f)) {}
    posted(posted&&) noexcept = default;
    posted(const posted&) = delete;
    posted& operator=(const posted&) = delete;
    posted& operator=(posted&&) = delete;
    ~posted() {
      if (owner_) owner_->on_context_gone();
    }
    void operator()() {
      const owner_ptr keep = std::move(owner_);
      f_(*keep);
    }

   private:
    owner_ptr owner_;
    F f_;
  };

  template <class F>
  void post(F f) {
    asio::post(executor_, posted<F>(owner_, std::move(f)));
  }

  void hold(held& where, ending end) {
    where.end = std::move(end);
    where.owner.reset(&owner_);
  }

  void complain(const char* what) { (world_->violations += what) += "; "; }

  /// From now on the line is as the fault has it.
  void go_wrong() { go_wrong(world_->goes_wrong); }
  void go_wrong(fault end) {
    dead_ = end;
    if (peer_) peer_->in_doubt = true;
  }

  std::size_t put(const char* data, std::size_t n, std::size_t wanted, error_code& ec) {
    if (dead_ && dead_ != fault::silence) {
      ec = asio::error::broken_pipe;
      if (dead_ == fault::reset) ec = asio::error::connection_reset;
      return 0;
    }
    if (n == 0 && wanted != 0) {
      ec = asio::error::would_block;
      return 0;
    }
    if (dead_ == fault::silence || !peer_) return n;  // swallowed
    peer_->take({data, n});
    satisfy();
    return n;
  }

  std::size_t get(char* into, std::size_t room) {
    const std::size_t n = std::min({room, peer_->out.size(), world_->sluggish ? sip : room});
    std::memcpy(into, peer_->out.data(), n);
    peer_->out.erase(0, n);
    return n;
  }

  /// Ends the read under way if there is something for it.
  void satisfy() {
    if (into_ == nullptr || closed_) return;
    std::optional<fault> ends = dead_;
    if (!ends && peer_->out.empty()) ends = peer_->cut_short;
    if (ends == fault::silence || (!ends && peer_->out.empty())) return;
    error_code ec;
    std::size_t n = 0;
    if (ends)
      ec = *ends == fault::reset ? make_error_code(asio::error::connection_reset)
                                 : make_error_code(asio::error::eof);
    else
      n = get(into_, room_);
    into_ = nullptr;
    reading_.owner.reset();
    post([this, ec, n](beast::channel_owner& o) {
      o.on_read(closed_ ? make_error_code(asio::error::operation_aborted) : ec, n);
    });
  }

  const std::shared_ptr<world> world_;
  const asio::any_io_executor executor_;
  beast::channel_owner& owner_;
  std::optional<server_end> peer_;
  std::optional<fault> dead_;
  held opening_;
  held writing_;
  held reading_;
  char* into_ = nullptr;
  std::size_t room_ = 0;
  bool sending_ = false;
  bool closed_ = false;
};

// --- the network ---------------------------------------------------------------------------------

network::network(fuse* f) : world_(std::make_shared<world>()) { world_->breaks = f; }
network::~network() = default;

std::shared_ptr<http::transport> network::transport(const environment& env, http::pool_options pool,
                                                    http::time_limits times) {
  settle();
  const std::string host = named ? "api.test" : "127.0.0.1";
  const http::url origin = http::url::parse((tls ? "https://" : "http://") + host).value();
  beast::endpoint_name name(origin);
  std::shared_ptr<beast::tls_context> context;
  if (tls) {
    http::tls_options trusted;
    trusted.ca_pem = server_identity().authority.certificate();
    context = std::make_shared<beast::tls_context>(
        trusted, beast::tls_peer{name.host, name.literal.has_value()});
  }
  return std::make_shared<beast::beast_transport>(
      env, beast::settings{
               std::move(name),
               pool,
               {},
               times,
               std::move(context),
               [w = world_](const asio::any_io_executor& executor, beast::channel_owner& owner) {
                 return std::make_unique<line_channel>(w, executor, owner);
               }});
}

void network::settle() {
  world_->goes_wrong = goes_wrong;
  world_->sluggish = sluggish;
  world_->tls = tls;
  world_->how = how;
  world_->cut_answer_at = cut_answer_at;
  world_->cut_by = cut_by;
}

void network::cut_next_answer(std::size_t at) noexcept { world_->cut_answer_at = at; }

void network::set(fault how_) noexcept { world_->goes_wrong = how_; }

void network::hang_up_at_next_write(fault how_) noexcept { world_->hangs_up_at_write = how_; }

const std::vector<network::seen_request>& network::requests() const noexcept {
  return world_->requests;
}
std::size_t network::connections() const noexcept { return world_->connections; }
std::size_t network::answer_size() const noexcept { return world_->answer_size; }
std::size_t network::held() const noexcept { return world_->held; }
const std::string& network::violations() const noexcept { return world_->violations; }

}  // namespace hawser::test
