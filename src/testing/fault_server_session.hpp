// One connection of a fault server, from acceptance to its end. Private: names Asio.
#pragma once

#include "hawser/core/error.hpp"
#include "testing/fault_server_state.hpp"
#include "testing/fault_server_wire.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

namespace hawser::inline v0::testing::detail {

/// Lives on the server's thread; not thread-safe.
class session : public std::enable_shared_from_this<session> {
 public:
  using tcp = boost::asio::ip::tcp;

  /// What a session asks of the server it belongs to.
  struct host {
    server_state* state = nullptr;
    boost::asio::ssl::context* tls = nullptr;  ///< Null: plain TCP.
    std::function<void(duration)> outage{};
    std::function<void()> reset{};
  };

  session(tcp::socket socket, const host& server, std::uint64_t number);

  /// The whole life of the connection. Throws nothing.
  static boost::asio::awaitable<void> run(std::shared_ptr<session> self);

  /// Resets the connection at once (RST), whatever it is doing.
  void kill() noexcept;

 private:
  template <class T>
  using awaitable = boost::asio::awaitable<T>;
  using parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  enum class next { request, close, reset, gone };

  awaitable<void> serve();
  awaitable<bool> open(const connection_plan& how);
  awaitable<bool> handshake();
  awaitable<next> one_request();
  awaitable<next> read_request(received_request& into, std::optional<plan>& early);
  awaitable<next> reject(int status);
  awaitable<next> answer_admin(const received_request& request);
  awaitable<next> carry_out(received_request& request, const std::optional<plan>& early);
  awaitable<bool> book(const received_request& request, std::uint64_t record, plan::parts& what);
  awaitable<next> answer(std::uint64_t record, const plan::parts& what);
  awaitable<next> break_off(std::uint64_t record, const break_point& where);
  awaitable<next> after_answer(const plan::parts& what);
  awaitable<bool> send(std::uint64_t record, const plan::parts& what, const wire_answer& wire,
                       std::size_t limit);

  awaitable<bool> sleep(duration how_long);
  awaitable<std::size_t> read_some();
  awaitable<bool> write(std::string_view bytes);
  awaitable<bool> write_raw(std::string_view bytes);
  awaitable<void> drain();
  awaitable<void> finish(bool close_notify);

  void start_watch(duration after);
  void stop_watch() noexcept;
  void take_head(const parser& from, received_request& into);
  [[nodiscard]] bool will_close(const plan::parts& what) const noexcept;

  host server_;
  server_state& state_;
  tcp::socket socket_;
  std::optional<boost::asio::ssl::stream<tcp::socket&>> tls_{};
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer watch_;
  std::uint64_t watch_number_ = 0;  // a fired wait of an earlier watch must not count
  boost::beast::flat_buffer buffer_;
  std::optional<duration> idle_limit_{};
  std::uint64_t number_ = 0;
  std::uint64_t requests_ = 0;
  std::string client_name_{};
  bool dead_ = false;
  bool secured_ = false;       // the handshake is done: a close owes a close_notify
  bool expired_ = false;       // the watch ended the wait, not the peer
  bool client_keeps_ = false;  // of the present request: it did not ask for a close
  bool to_head_ = false;
  bool body_unread_ = false;
};

}  // namespace hawser::inline v0::testing::detail
