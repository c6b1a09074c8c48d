#include "hawser/testing/fault_server.hpp"

#include "hawser/core/error.hpp"
#include "testing/fault_server_session.hpp"
#include "testing/fault_server_state.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <openssl/ssl.h>

#include <fcntl.h>
#include <algorithm>
#include <atomic>
#include <future>
#include <set>
#include <thread>
#include <utility>

namespace hawser::inline v0::testing {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

namespace {

constexpr duration retry_pause = std::chrono::milliseconds(20);
constexpr duration longest_outage = std::chrono::hours(24);

asio::ssl::context make_context(const fault_server_tls& tls, const test_authority& authority) {
  const issued_certificate own = authority.issue(tls.leaf);
  asio::ssl::context context(asio::ssl::context::tls_server);
  context.use_certificate_chain(asio::buffer(own.chain));
  context.use_private_key(asio::buffer(own.key), asio::ssl::context::pem);
  SSL_CTX* const native = context.native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_max_proto_version(native, tls.only_tls_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION);
  // Without one, resumption fails as soon as client certificates are asked for.
  static constexpr unsigned char id[] = "hawser-fault-server";
  SSL_CTX_set_session_id_context(native, id, sizeof id - 1);
  if (tls.require_client_certificate) {
    context.add_certificate_authority(asio::buffer(authority.certificate()));
    context.set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert);
  }
  return context;
}

}  // namespace

class fault_server::core {
 public:
  explicit core(fault_server_options options) : state_(std::move(options)) {
    prepare_tls();
    bind_to(state_.options().port);
    port_ = acceptor_.local_endpoint().port();
    acceptor_.listen();
    host_.state = &state_;
    host_.outage = [this](duration how_long) { outage_here(how_long); };
    host_.reset = [this] { reset_here(); };
    spawn_acceptor();
    thread_ = std::thread([this] { run(); });
  }

  ~core() {
    asio::post(io_, [this] {
      go_down_here(false);
      error_code ignored;
      acceptor_.close(ignored);
      work_.reset();
    });
    thread_.join();
  }

  core(const core&) = delete;
  core& operator=(const core&) = delete;

  detail::server_state& state() noexcept { return state_; }
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] bool secure() const noexcept { return tls_.has_value(); }
  [[nodiscard]] bool down() const noexcept { return down_.load(std::memory_order_acquire); }
  [[nodiscard]] const test_authority* authority() const noexcept { return authority_.get(); }

  void go_down() {
    on_thread([this] { go_down_here(true); });
  }
  void come_up() {
    on_thread([this] { come_up_here(); });
  }
  void outage(duration how_long) {
    on_thread([this, how_long] { outage_here(how_long); });
  }
  void reset() {
    on_thread([this] { reset_here(); });
  }

 private:
  void prepare_tls() {
    if (!state_.options().tls) return;
    const fault_server_tls& wanted = *state_.options().tls;
    authority_ = wanted.authority ? wanted.authority : std::make_shared<const test_authority>();
    tls_.emplace(make_context(wanted, *authority_));
    host_.tls = &*tls_;
  }

  void bind_to(std::uint16_t port) {
    const tcp::endpoint where(asio::ip::address_v4::loopback(), port);
    acceptor_.open(where.protocol());
    keep_from_programs(acceptor_.native_handle());
    acceptor_.set_option(tcp::acceptor::reuse_address(true));
    acceptor_.bind(where);
  }

  /// A program that the test starts would hold it open.
  static void keep_from_programs(int socket) noexcept {
    (void)::fcntl(socket, F_SETFD, FD_CLOEXEC);
  }

  void run() noexcept {
    for (;;) {
      try {
        io_.run();
        return;
      } catch (...) {  // NOLINT: a handler's exception must not end the server
      }
    }
  }

  template <class Action>
  void on_thread(Action action) {
    if (io_.get_executor().running_in_this_thread()) {
      action();
      return;
    }
    const auto done = std::make_shared<std::promise<void>>();
    auto finished = done->get_future();
    asio::post(io_, [action, done] {
      try {
        action();
        done->set_value();
      } catch (...) {
        done->set_exception(std::current_exception());
      }
    });
    finished.get();
  }

  void spawn_acceptor() { asio::co_spawn(io_, accept_loop(++accepting_), asio::detached); }

  asio::awaitable<void> accept_loop(std::uint64_t mine) {
    for (;;) {
      error_code ec;
      tcp::socket socket =
          co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, ec));
      if (mine != accepting_) {  // went down meanwhile; another loop may be at work already
        error_code ignored;
        socket.set_option(tcp::socket::linger(true, 0), ignored);
        co_return;
      }
      if (!ec) {
        if (sessions_.size() < state_.options().max_connections) start_session(std::move(socket));
        continue;
      }
      retry_timer_.expires_after(retry_pause);  // out of descriptors: some will come free
      co_await retry_timer_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
      if (mine != accepting_) co_return;
    }
  }

  void start_session(tcp::socket socket) {
    keep_from_programs(socket.native_handle());
    state_.count(&fault_counters::open_connections);
    state_.count(&fault_counters::connections);
    auto made = std::make_shared<detail::session>(std::move(socket), host_, ++connections_);
    asio::co_spawn(io_, keep(std::move(made)), asio::detached);
  }

  asio::awaitable<void> keep(std::shared_ptr<detail::session> held) {
    sessions_.insert(held.get());
    co_await detail::session::run(held);
    sessions_.erase(held.get());
    held.reset();
    state_.closed_connection();
  }

  void go_down_here(bool counted) {
    outage_timer_.cancel();
    retry_timer_.cancel();
    if (!down()) {
      ++accepting_;
      down_.store(true, std::memory_order_release);
      error_code ec;
      acceptor_.close(ec);
      // Bound but not listening: connections are refused, yet nobody else can take the port.
      try {
        bind_to(port_);
      } catch (const boost::system::system_error&) {
        acceptor_.close(ec);  // come_up() tries again
      }
      if (counted) state_.count(&fault_counters::outages);
    }
    for (detail::session* each : sessions_) each->kill();
  }

  void come_up_here() {
    outage_timer_.cancel();
    if (!down()) return;
    if (!acceptor_.is_open()) bind_to(port_);
    acceptor_.listen();
    down_.store(false, std::memory_order_release);
    spawn_acceptor();
    state_.count(&fault_counters::recoveries);
  }

  void outage_here(duration how_long) {
    go_down_here(true);
    schedule_return(std::min(how_long, longest_outage));
  }

  void schedule_return(duration in) {
    outage_timer_.expires_after(in);
    outage_timer_.async_wait([this](const error_code& ec) {
      if (ec || !down()) return;
      try {
        come_up_here();
      } catch (const boost::system::system_error&) {
        schedule_return(retry_pause);
      }
    });
  }

  void reset_here() { state_.reset(); }

  // Destroyed from the last to the first: what runs on io_ before what it refers to.
  detail::server_state state_;
  std::shared_ptr<const test_authority> authority_{};
  std::optional<asio::ssl::context> tls_{};
  detail::session::host host_{};
  std::set<detail::session*> sessions_{};
  std::uint64_t accepting_ = 0;  // the number of the accept loop in office
  std::uint64_t connections_ = 0;
  std::uint16_t port_ = 0;
  std::atomic<bool> down_{false};
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  tcp::acceptor acceptor_{io_};
  asio::steady_timer outage_timer_{io_};
  asio::steady_timer retry_timer_{io_};
  std::thread thread_{};
};

fault_server::fault_server() : fault_server(fault_server_options{}) {}
fault_server::fault_server(fault_server_options options)
    : core_(std::make_unique<core>(std::move(options))) {}
fault_server::~fault_server() = default;

std::uint16_t fault_server::port() const noexcept { return core_->port(); }

std::string fault_server::url(std::string_view host) const {
  return (core_->secure() ? "https://" : "http://") + std::string(host) + ":" +
         std::to_string(port());
}

const test_authority* fault_server::authority() const noexcept { return core_->authority(); }

void fault_server::script(std::vector<plan> steps) { core_->state().script(std::move(steps)); }
void fault_server::script_connections(std::vector<connection_plan> steps) {
  core_->state().script_connections(std::move(steps));
}
void fault_server::handle(std::function<plan(const received_request&)> handler) {
  core_->state().handle(std::move(handler));
}
std::size_t fault_server::script_left() const { return core_->state().script_left(); }

void fault_server::go_down() { core_->go_down(); }
void fault_server::come_up() { core_->come_up(); }
void fault_server::outage(duration how_long) { core_->outage(how_long); }
bool fault_server::down() const { return core_->down(); }

fault_counters fault_server::counters() const { return core_->state().counters(); }
ledger_totals fault_server::ledger() const { return core_->state().ledger(); }
std::vector<ledger_entry> fault_server::ledger_entries() const {
  return core_->state().ledger_entries();
}
std::vector<request_record> fault_server::requests() const { return core_->state().records(); }
void fault_server::reset() { core_->reset(); }

bool fault_server::wait_for(const std::function<bool(const fault_counters&)>& holds,
                            duration within) const {
  return core_->state().wait_for(holds, within);
}

}  // namespace hawser::inline v0::testing
