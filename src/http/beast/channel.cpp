#include "http/beast/channel.hpp"

#include "hawser/run/detail/operation_memory.hpp"

#include "core/process.hpp"
#include "http/beast/name_lookup.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/defer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <memory>
#include <utility>

namespace hawser::inline v0::http::beast {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

channel::~channel() = default;

namespace {

using owner_ptr = boost::intrusive_ptr<channel_owner>;

using hawser::detail::operation_allocator;
using hawser::detail::operation_memory;

/// Where the operations of one direction stand, and whether one is being started: a handler that is
/// destroyed meanwhile was not started for want of memory, which its starter hears of.
struct channel_memory : operation_memory {
  std::atomic<bool> starting{false};
};

class start_of {
 public:
  explicit start_of(channel_memory& m) noexcept : memory_(m) { memory_.starting.store(true); }
  start_of(const start_of&) = delete;
  start_of& operator=(const start_of&) = delete;
  ~start_of() { memory_.starting.store(false); }

 private:
  channel_memory& memory_;
};

/// What every handler has: the owner, told either of the end or of having been dropped unrun.
class handler_base {
 public:
  using allocator_type = operation_allocator<void>;

  handler_base(channel_owner& owner, channel_memory& memory) noexcept
      : owner_(&owner), memory_(&memory) {}
  handler_base(handler_base&&) noexcept = default;
  handler_base(const handler_base&) = delete;
  handler_base& operator=(const handler_base&) = delete;
  handler_base& operator=(handler_base&&) = delete;
  ~handler_base() {
    if (owner_ && !memory_->starting.load()) owner_->on_context_gone();
  }

  [[nodiscard]] allocator_type get_allocator() const noexcept { return allocator_type(*memory_); }

  // What follows in the same exchange need not queue behind other threads' work.
  friend bool asio_handler_is_continuation(const handler_base*) noexcept { return true; }

 protected:
  [[nodiscard]] owner_ptr take() noexcept { return std::move(owner_); }

 private:
  owner_ptr owner_;
  channel_memory* memory_;
};

struct read_handler : handler_base {
  using handler_base::handler_base;
  void operator()(const error_code& ec, std::size_t n) { take()->on_read(ec, n); }
};
struct write_handler : handler_base {
  using handler_base::handler_base;
  void operator()(const error_code& ec, std::size_t n) { take()->on_written(ec, n); }
};
struct turn_handler : handler_base {
  using handler_base::handler_base;
  void operator()() { take()->on_turn(); }
};
struct connect_handler : handler_base {
  connect_handler(channel_owner& owner, channel_memory& memory, unsigned number) noexcept
      : handler_base(owner, memory), attempt(number) {}
  void operator()(const error_code& ec) { take()->on_connected(ec, attempt); }
  unsigned attempt;
};
/// Over: a look-up of a name.
struct resolve_handler : handler_base {
  resolve_handler(channel_owner& owner, channel_memory& memory,
                  std::shared_ptr<name_lookup> of) noexcept
      : handler_base(owner, memory), lookup(std::move(of)) {}
  void operator()(const error_code& /*aborted*/) {
    error_code ec;
    std::vector<tcp::endpoint> found = lookup->take(ec);
    take()->on_resolved(ec, std::move(found));
  }
  std::shared_ptr<name_lookup> lookup;
};

/// Over an io_context's own executor it spares the copies and hops of an erased one.
template <class Executor>
class channel_on final : public channel {
 public:
  channel_on(const Executor& executor, channel_owner& owner)
      : owner_(owner), socket_(executor), resolved_(executor) {}
  ~channel_on() override { close(); }

  /// Asio's own resolver has one thread for a context, which its destructor waits for. Here a timer
  /// that never expires stands for the look-up, and is cancelled when that is over.
  void async_resolve(const std::string& host, const std::string& port,
                     hawser::detail::side_threads& threads) override {
    lookup_ = std::make_shared<name_lookup>(host, port, [this] { resolved_.cancel(); });
    resolved_.expires_at(std::chrono::steady_clock::time_point::max());
    const start_of now(write_memory_);
    resolved_.async_wait(resolve_handler(owner_, write_memory_, lookup_));
    name_lookup::begin(lookup_, threads);
  }

  void async_connect(const tcp::endpoint& to, unsigned attempt) override {
    error_code ec;
    close();
    open(to.protocol(), ec);
    if (!ec) socket_.set_option(tcp::no_delay(true), ec);
    const start_of now(write_memory_);
    if (ec) {
      asio::defer(socket_.get_executor(),
                  [h = connect_handler(owner_, write_memory_, attempt), ec]() mutable { h(ec); });
      return;
    }
    socket_.async_connect(to, connect_handler(owner_, write_memory_, attempt));
  }

  std::size_t send(const char* data, std::size_t size, error_code& ec) override {
    return socket_.send(asio::buffer(data, size), 0, ec);
  }
  void async_write(const char* data, std::size_t size) override {
    const start_of now(write_memory_);
    socket_.async_send(asio::buffer(data, size), write_handler(owner_, write_memory_));
  }
  void async_read(char* into, std::size_t room) override {
    const start_of now(read_memory_);
    socket_.async_receive(asio::buffer(into, room), read_handler(owner_, read_memory_));
  }
  void async_turn() override {
    const start_of now(read_memory_);
    asio::defer(socket_.get_executor(), turn_handler(owner_, read_memory_));
  }
  std::size_t receive(char* into, std::size_t room, error_code& ec) override {
    return socket_.receive(asio::buffer(into, room), 0, ec);
  }
  line peek() override {
    char byte = 0;
    error_code ec;
    socket_.receive(asio::buffer(&byte, 1), asio::socket_base::message_peek, ec);
    if (!ec) return line::bytes;
    const bool waits = ec == asio::error::would_block || ec == asio::error::try_again;
    return waits ? line::quiet : line::ended;
  }
  void close() noexcept override {
    if (lookup_) std::exchange(lookup_, nullptr)->abandon();
    if (resolved_.expiry() != std::chrono::steady_clock::time_point()) resolved_.cancel();
    if (!socket_.is_open()) return;
    hawser::detail::no_longer_kept(socket_.native_handle());
    error_code ignored;
    socket_.close(ignored);
  }

 private:
  /// Not by Asio, whose sockets programs that this one starts would have, too.
  void open(const tcp& protocol, error_code& ec) {
    const int fd = ::socket(protocol.family(), protocol.type() | SOCK_CLOEXEC | SOCK_NONBLOCK,
                            protocol.protocol());
    if (fd < 0) {
      ec.assign(errno, boost::system::system_category());
      return;
    }
    socket_.assign(protocol, fd, ec);
    if (ec) {
      ::close(fd);
      return;
    }
    hawser::detail::keep_from_children(fd);
    socket_.non_blocking(true, ec);
  }

  channel_owner& owner_;
  channel_memory read_memory_;
  channel_memory write_memory_;  // resolving and connecting come before writing
  asio::basic_stream_socket<tcp, Executor> socket_;
  asio::basic_waitable_timer<std::chrono::steady_clock,
                             asio::wait_traits<std::chrono::steady_clock>, Executor>
      resolved_;
  std::shared_ptr<name_lookup> lookup_;
};

}  // namespace

std::unique_ptr<channel> make_channel(const asio::any_io_executor& executor, channel_owner& owner) {
  using native = asio::io_context::executor_type;
  if (const auto* io = executor.target<native>())
    return std::make_unique<channel_on<native>>(*io, owner);
  return std::make_unique<channel_on<asio::any_io_executor>>(executor, owner);
}

}  // namespace hawser::inline v0::http::beast
