#include "http/beast/channel.hpp"

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/defer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/basic_resolver.hpp>

#include <cstdint>
#include <new>
#include <optional>
#include <utility>

namespace hawser::inline v0::http::beast {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

channel::~channel() = default;

namespace {

using owner_ptr = boost::intrusive_ptr<channel_owner>;

/// Room for one operation at a time. Free again before the operation's handler runs, so the handler
/// can start the next one in it.
class operation_memory {
 public:
  void* allocate(std::size_t size) {
    if (in_use_ || size > sizeof room_) return ::operator new(size);
    in_use_ = true;
    return room_;
  }
  void deallocate(void* p) noexcept {
    if (p == room_)
      in_use_ = false;
    else
      ::operator delete(p);
  }

 private:
  alignas(std::max_align_t) unsigned char room_[320];
  bool in_use_ = false;
};

template <class T>
class operation_allocator {
 public:
  using value_type = T;
  explicit operation_allocator(operation_memory& m) noexcept : memory_(&m) {}
  template <class U>
  operation_allocator(const operation_allocator<U>& other) noexcept  // NOLINT: rebinding
      : memory_(other.memory_) {}
  T* allocate(std::size_t n) { return static_cast<T*>(memory_->allocate(n * sizeof(T))); }
  void deallocate(T* p, std::size_t /*n*/) noexcept { memory_->deallocate(p); }
  template <class U>
  bool operator==(const operation_allocator<U>& other) const noexcept {
    return memory_ == other.memory_;
  }

 private:
  template <class U>
  friend class operation_allocator;
  operation_memory* memory_;
};

/// What every handler has: the owner, told either of the end or of having been dropped unrun.
class handler_base {
 public:
  using allocator_type = operation_allocator<void>;

  handler_base(channel_owner& owner, operation_memory& memory) noexcept
      : owner_(&owner), memory_(&memory) {}
  handler_base(handler_base&&) noexcept = default;
  handler_base(const handler_base&) = delete;
  handler_base& operator=(const handler_base&) = delete;
  handler_base& operator=(handler_base&&) = delete;
  ~handler_base() {
    if (owner_) owner_->on_context_gone();
  }

  [[nodiscard]] allocator_type get_allocator() const noexcept { return allocator_type(*memory_); }

  // What follows in the same exchange need not queue behind other threads' work.
  friend bool asio_handler_is_continuation(const handler_base*) noexcept { return true; }

 protected:
  [[nodiscard]] owner_ptr take() noexcept { return std::move(owner_); }

 private:
  owner_ptr owner_;
  operation_memory* memory_;
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
  connect_handler(channel_owner& owner, operation_memory& memory, unsigned number) noexcept
      : handler_base(owner, memory), attempt(number) {}
  void operator()(const error_code& ec) { take()->on_connected(ec, attempt); }
  unsigned attempt;
};
struct resolve_handler : handler_base {
  using handler_base::handler_base;
  void operator()(const error_code& ec, const tcp::resolver::results_type& found) {
    std::vector<tcp::endpoint> endpoints;
    if (!ec)
      for (const auto& entry : found) endpoints.push_back(entry.endpoint());
    take()->on_resolved(ec, std::move(endpoints));
  }
};

/// Over an io_context's own executor it spares the copies and hops of an erased one.
template <class Executor>
class channel_on final : public channel {
 public:
  channel_on(const Executor& executor, channel_owner& owner) : owner_(owner), socket_(executor) {}

  void async_resolve(const std::string& host, const std::string& port) override {
    resolver_.emplace(socket_.get_executor());
    resolver_->async_resolve(host, port, asio::ip::resolver_base::numeric_service,
                             resolve_handler(owner_, write_memory_));
  }

  void async_connect(const tcp::endpoint& to, unsigned attempt) override {
    error_code ec;
    resolver_.reset();
    socket_.close(ec);
    socket_.open(to.protocol(), ec);
    if (!ec) socket_.non_blocking(true, ec);
    if (!ec) socket_.set_option(tcp::no_delay(true), ec);
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
    socket_.async_send(asio::buffer(data, size), write_handler(owner_, write_memory_));
  }
  void async_read(char* into, std::size_t room) override {
    socket_.async_receive(asio::buffer(into, room), read_handler(owner_, read_memory_));
  }
  void async_turn() override {
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
    error_code ignored;
    if (resolver_) resolver_->cancel();
    socket_.close(ignored);
  }

 private:
  channel_owner& owner_;
  operation_memory read_memory_;
  operation_memory write_memory_;  // resolving and connecting come before writing
  asio::basic_stream_socket<tcp, Executor> socket_;
  std::optional<asio::ip::basic_resolver<tcp, Executor>> resolver_;
};

}  // namespace

std::unique_ptr<channel> make_channel(const asio::any_io_executor& executor, channel_owner& owner) {
  using native = asio::io_context::executor_type;
  if (const auto* io = executor.target<native>())
    return std::make_unique<channel_on<native>>(*io, owner);
  return std::make_unique<channel_on<asio::any_io_executor>>(executor, owner);
}

}  // namespace hawser::inline v0::http::beast
