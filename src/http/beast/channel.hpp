// One TCP socket with its resolver: the only place where Asio's operations are started.
//
//   struct mine : channel_owner { void on_read(error_code ec, std::size_t n) override; ... };
//   auto ch = make_channel(env.executor(), *this);
//   ch->async_connect(endpoint, 1);                     // on_connected follows
//   ch->send(data, size, ec); ch->async_read(into, room, false);   // on_read follows
//
// Operations recycle the channel's own memory: reading and writing allocate nothing.
#pragma once

#include "hawser/core/error.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace hawser::inline v0::detail {
class side_threads;
}

namespace hawser::inline v0::http::beast {

/// Who is told. Nothing is called from within the function that started an operation, and each
/// operation holds a reference until its call. A closed channel's operations end as usual, with
/// operation_aborted.
class channel_owner {
 public:
  channel_owner() = default;
  channel_owner(const channel_owner&) = delete;
  channel_owner& operator=(const channel_owner&) = delete;

  virtual void on_resolved(error_code ec, std::vector<boost::asio::ip::tcp::endpoint> found) = 0;
  virtual void on_connected(error_code ec, unsigned attempt) = 0;
  virtual void on_written(error_code ec, std::size_t n) = 0;
  virtual void on_read(error_code ec, std::size_t n) = 0;
  /// After `async_turn`.
  virtual void on_turn() = 0;
  /// The executor's context goes down with an operation under way.
  virtual void on_context_gone() noexcept = 0;

  virtual void retain() noexcept = 0;
  virtual void drop() noexcept = 0;

  friend void intrusive_ptr_add_ref(channel_owner* p) noexcept { p->retain(); }
  friend void intrusive_ptr_release(channel_owner* p) noexcept { p->drop(); }

 protected:
  virtual ~channel_owner() = default;
};

/// Calls need the owner's lock. At most one read (or turn) and one write run at a time.
class channel {
 public:
  channel() = default;
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;
  virtual ~channel();

  /// Looks the name up on one of `threads`; closing the channel gives that up.
  virtual void async_resolve(const std::string& host, const std::string& port,
                             hawser::detail::side_threads& threads) = 0;
  /// Opens a fresh socket and connects it, with TCP_NODELAY. What was open is closed first, and its
  /// own `on_connected`, if outstanding, still comes: `attempt` tells them apart.
  virtual void async_connect(const boost::asio::ip::tcp::endpoint& to, unsigned attempt) = 0;
  /// Gives the system what it takes now; would_block when that is nothing.
  virtual std::size_t send(const char* data, std::size_t size, error_code& ec) = 0;
  virtual void async_write(const char* data, std::size_t size) = 0;
  virtual void async_read(char* into, std::size_t room) = 0;
  /// Comes back (`on_turn`) when the executor has run what is ready by now.
  virtual void async_turn() = 0;
  /// What is there to be read now, without waiting; would_block when nothing, eof at the end.
  virtual std::size_t receive(char* into, std::size_t room, error_code& ec) = 0;
  enum class line { quiet, bytes, ended };
  /// What a read would find now; takes nothing.
  [[nodiscard]] virtual line peek() = 0;
  virtual void close() noexcept = 0;
};

[[nodiscard]] std::unique_ptr<channel> make_channel(const boost::asio::any_io_executor& executor,
                                                    channel_owner& owner);

/// Where connections get their channels from; tests put a scripted network here.
using channel_source = std::function<std::unique_ptr<channel>(
    const boost::asio::any_io_executor& executor, channel_owner& owner)>;

}  // namespace hawser::inline v0::http::beast
