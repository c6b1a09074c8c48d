// The seam between a client and the network: one request goes in, one answer comes out.
//
//   struct call final : hawser::http::exchange { void on_done(...) override { ... } } ex;
//   ex.method = &get; ex.target = "/v1/quotes?id=7"; ex.answer = &response;
//   auto net = hawser::http::make_beast_transport(env, origin, {}, {}, {}, {});
//   net->start(ex);                       // ex.on_done(error, delivery, detail) follows, once
//
// Users may put their own transport behind a client; tests put testing/fake_transport.hpp there.
#pragma once

#include "hawser/core/effect.hpp"
#include "hawser/core/error.hpp"
#include "hawser/core/export.hpp"
#include "hawser/core/time.hpp"
#include "hawser/http/transport_options.hpp"
#include "hawser/run/detail/operation_memory.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace hawser::inline v0 {

class environment;

namespace http {

class headers;
class method;
class response;
class url;
struct limits;
struct time_limits;

/// One request and the place for its answer. Owned by the caller and address-stable from
/// `transport::start` until `on_done` (or `on_abandoned`) is entered; from then on it may be
/// destroyed or started again, also from within. Everything it points to lives as long.
class HAWSER_API exchange {
 public:
  exchange() = default;
  exchange(const exchange&) = delete;
  exchange& operator=(const exchange&) = delete;

  // The request. Set before start and left alone until the end.
  const http::method* method = nullptr;      ///< Required.
  std::string_view target;                   ///< Path and query: "/v1/quotes?id=7". Required.
  const headers* default_headers = nullptr;  ///< The client's own; may be null.
  const headers* own_headers = nullptr;      ///< This request's, which win; may be null.
  std::string_view body;                     ///< Its bytes; see `has_body`.
  bool has_body = false;                     ///< An empty body is not no body.
  /// Ends the exchange with errc::attempt_timeout when it comes first. Off by default.
  time_point deadline = never;

  /// Filled in place, so that its memory is reused. Required. What it holds after an error is
  /// unspecified.
  response* answer = nullptr;

  /// The end, exactly once, on a thread of the executor, never from within `start`, under no lock.
  /// `ec` is empty for every complete answer, 4xx and 5xx included. `delivery` is never_sent until
  /// the first byte of the request was taken by the system, answered with a complete answer to all
  /// of the request, else maybe_applied (an answer that came before the request was out included);
  /// refused when the peer turned the connection down. `detail` names the culprit
  /// and the numbers, and holds no secret. What it throws (a user's handler may) comes out of the
  /// executor's run function; so calling it is the last thing a transport does.
  virtual void on_done(error_code ec, evidence delivery, std::string detail) = 0;

  /// In place of `on_done` when the executor's context was destroyed with the exchange running:
  /// release memory, run nothing. On the thread that destroys the context.
  virtual void on_abandoned() noexcept {}

  /// For the transport that runs the exchange, and for nobody else.
  struct transport_state {
    exchange* previous = nullptr;             ///< In the transport's list.
    exchange* next = nullptr;                 ///< In the transport's list.
    void* owner = nullptr;                    ///< What runs it: null while nothing does.
    time_point due = never;                   ///< The earliest of its limits.
    std::atomic<bool> canceled{false};        ///< Whether `cancel` was asked for.
    hawser::detail::operation_memory memory;  ///< Of its posted end.
  };
  transport_state running;  ///< Written by the transport.

 protected:
  ~exchange() = default;
};

/// What a transport holds at a moment; sums are exact when no exchange moves.
struct transport_stats {
  std::size_t connections = 0;  ///< Open, or being opened.
  std::size_t idle = 0;         ///< Kept for reuse.
  std::size_t pending = 0;      ///< Exchanges that wait for a connection.
  std::uint64_t opened = 0;     ///< Connections begun, ever.
  std::uint64_t reused = 0;     ///< Exchanges that ran on a kept connection, ever.
};

/// Carries exchanges to one origin. All members are thread-safe.
class HAWSER_API transport {
 public:
  transport() = default;
  transport(const transport&) = delete;
  transport& operator=(const transport&) = delete;
  /// Closes first.
  virtual ~transport();

  /// Sends the request; `on_done` follows. Errors, also those known at once, arrive there. Throws
  /// nothing but std::bad_alloc, and then nothing was begun and no `on_done` follows.
  virtual void start(exchange& what) = 0;
  /// Ends a running exchange with `operation_aborted`, unless it is ending already. Idempotent. The
  /// exchange must live until this returns.
  virtual void cancel(exchange& what) noexcept = 0;
  /// Ends all exchanges, and those started later, with errc::client_closed. Idempotent.
  virtual void close() noexcept = 0;
  /// Zeroes where a transport does not count.
  [[nodiscard]] virtual transport_stats stats() const noexcept { return {}; }
};

/// HTTP/1.1 over TCP or TLS to `origin` (scheme, host and port; its path is not used), with a pool
/// of connections. Holds no work on the executor while no exchange runs: kept connections do not
/// keep io_context::run() from returning, and those past their time are closed at the next
/// activity. Throws config_error for options out of bounds, call_error with
/// errc::tls_bad_credentials for credentials that cannot be used. Destroy it before the executor's
/// context.
[[nodiscard]] HAWSER_API std::shared_ptr<transport> make_beast_transport(
    environment env, url origin, pool_options pool, tls_options tls, limits bounds,
    time_limits times);

}  // namespace http
}  // namespace hawser::inline v0
