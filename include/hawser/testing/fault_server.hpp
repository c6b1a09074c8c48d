// A real HTTP/1.1 server on 127.0.0.1, TCP or TLS, that misbehaves exactly as told.
//
//   hawser::testing::fault_server server;
//   server.script({plan::answer(503).retry_after(1s), plan::answer(201, "{}").book()});
//   my_client client{server.url()};                        // http://127.0.0.1:<free port>
//   client.charge("o-1");
//   EXPECT_EQ(server.ledger().double_bookings, 0u);
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/core/time.hpp"
#include "hawser/testing/fault_plan.hpp"
#include "hawser/testing/test_certificates.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::inline v0::testing {

/// TLS of a fault server.
struct fault_server_tls {
  leaf_request leaf{};  ///< What its certificate says; see expired_leaf() and its sisters.
  /// Who signs it; null: an authority of the server's own. See `fault_server::authority()`.
  std::shared_ptr<const test_authority> authority{};
  bool only_tls_1_2 = false;  ///< Otherwise TLS 1.2 and 1.3.
  /// Handshakes without a certificate signed by the authority fail.
  bool require_client_certificate = false;
};

/// How effects are booked.
struct effect_options {
  std::string key_header{"Idempotency-Key"};  ///< Its value may be bare or quoted. Not empty.
  /// Top-level member of the JSON body that names the business operation ("o-123").
  std::string operation_field{"order"};
  /// A known key does not book again but replays the stored answer; 422 for another payload.
  /// False: keys are recorded and otherwise ignored, as by a server that never heard of them.
  bool deduplicate = true;
  /// 409 while an earlier request of the same key is in `processing`. False: the first to finish
  /// books, the other replays.
  bool conflict_in_flight = false;
  /// Bookings remembered; beyond it nothing is booked and the answer is 507. At least 1.
  std::size_t max_entries = 100'000;
};

/// Options of a fault server.
struct fault_server_options {
  std::uint16_t port = 0;                 ///< 0: a free one.
  std::optional<fault_server_tls> tls{};  ///< Speaks TLS when set.
  /// Asked for every request once the script is used up. Called on the server's thread, one call
  /// at a time, under no lock. What it throws becomes an answer 500 with the exception's text.
  std::function<plan(const received_request&)> handler{};
  /// Asked when only the head was read (`body` is empty). A plan is carried out at once: the body
  /// stays unread and the connection ends after it. nullopt: read on. Rules as for `handler`.
  std::function<std::optional<plan>(const received_request&)> on_head{};
  /// Called by `reset()`, on the server's thread, so that a handler can start over. What it throws
  /// is ignored.
  std::function<void()> on_reset{};
  plan otherwise{};          ///< When there is neither a script step nor a handler.
  effect_options effects{};  ///< How effects are booked.
  /// GET /_ledger, GET /_status and POST /_reset, never faulty and never counted as requests.
  bool admin = false;
  std::optional<duration> close_idle_after{};     ///< Kept-alive ones; nullopt: never. At least 0.
  std::size_t max_header_bytes = 64 * 1024;       ///< Beyond: 431 and close. 64 bytes to 64 MiB.
  std::size_t max_body_bytes = 4 * 1024 * 1024;   ///< Beyond: 413 and close.
  std::size_t max_connections = 1024;             ///< Beyond: closed at once. At least 1.
  std::size_t max_records = 4096;                 ///< Requests remembered; the oldest go first.
  std::size_t max_record_body_bytes = 64 * 1024;  ///< Of each remembered body.
};

/// What the server has counted since its start or the last `reset()`.
struct fault_counters {
  std::uint64_t connections = 0;        ///< Accepted.
  std::uint64_t open_connections = 0;   ///< Right now. `reset()` leaves it alone.
  std::uint64_t handshakes = 0;         ///< TLS handshakes that succeeded.
  std::uint64_t failed_handshakes = 0;  ///< The client refused, left, or showed no certificate.
  std::uint64_t requests = 0;           ///< Read to the end; admin requests are not counted.
  std::uint64_t answers = 0;            ///< Sent to the last byte.
  std::uint64_t cuts = 0;               ///< Answers ended by FIN before the last byte.
  std::uint64_t resets = 0;             ///< Connections reset on purpose.
  std::uint64_t stalls = 0;             ///< Stalls begun.
  std::uint64_t rejected = 0;           ///< Malformed or oversize requests.
  std::uint64_t outages = 0;            ///< Times gone down.
  std::uint64_t recoveries = 0;         ///< Times come up again.
};

/// The totals of the ledger of side effects.
struct ledger_totals {
  std::uint64_t bookings = 0;         ///< Effects booked.
  std::uint64_t operations = 0;       ///< Distinct business operations among them.
  std::uint64_t double_bookings = 0;  ///< bookings - operations.
  std::uint64_t unkeyed = 0;          ///< Bookings that came without a key.
  std::uint64_t replays = 0;          ///< Repeats of a known key, answered from memory.
  std::uint64_t mismatches = 0;       ///< 422: a known key with another payload.
  std::uint64_t conflicts = 0;        ///< 409: a key in flight.
  std::uint64_t refused = 0;          ///< 507: `max_entries` reached.
  std::map<std::string, std::uint64_t, std::less<>> by_operation{};  ///< Bookings of each.
};

/// One booking, in order of booking.
struct ledger_entry {
  std::string key{};           ///< Unquoted; empty when there was none.
  std::string method{};        ///< As on the wire: "POST".
  std::string target{};        ///< Path and query.
  std::string operation{};     ///< The body's field; else the key; else unique for each request.
  std::string body_sha256{};   ///< Hexadecimal.
  std::uint64_t requests = 0;  ///< That came with this key and payload, the first included.
};

/// One request and what became of it.
struct request_record {
  received_request request{};    ///< Its body cut to `max_record_body_bytes`.
  int status = 0;                ///< Of the answer meant to be sent; 0 for raw bytes.
  bool booked = false;           ///< Whether its effect was booked.
  bool replayed = false;         ///< Whether the answer came from the ledger's memory.
  std::size_t answer_bytes = 0;  ///< Handed to the system so far.
  /// "answered", "cut", "reset", "stalled", "outage", "broken" (the client left first), or empty
  /// while it is running.
  std::string ended{};
};

/// A loopback server with one thread of its own, listening from construction to destruction.
/// All functions may be called from any thread. Those marked [*] return when the server's thread
/// has done it. The destructor resets what is open, stalled or not, and joins the thread; it must
/// not run inside a handler.
/// Throws `config_error` for options out of bounds, `boost::system::system_error` when the port
/// cannot be bound.
class HAWSER_API fault_server {
 public:
  /// Plain text on a free port, answers 200 to everything.
  fault_server();
  /// Listens when it returns.
  explicit fault_server(fault_server_options options);
  ~fault_server();
  fault_server(const fault_server&) = delete;
  fault_server& operator=(const fault_server&) = delete;

  /// The one it listens on; the same after an outage.
  [[nodiscard]] std::uint16_t port() const noexcept;
  /// `http://127.0.0.1:49152`, or https. `host` may be "localhost" or another name for 127.0.0.1.
  [[nodiscard]] std::string url(std::string_view host = "127.0.0.1") const;
  /// Who signed the server's certificate and signs the clients'. Null without TLS.
  [[nodiscard]] const test_authority* authority() const noexcept;

  /// Appends steps; each request takes one, in order of arrival; then the handler is asked again.
  void script(std::vector<plan> steps);
  /// The same for connections, in order of acceptance.
  void script_connections(std::vector<connection_plan> steps);
  /// Replaces the handler.
  void handle(std::function<plan(const received_request&)> handler);
  /// Steps not used yet.
  [[nodiscard]] std::size_t script_left() const;

  /// Resets every connection and refuses new ones; the port stays reserved. [*]
  void go_down();
  /// Listens on the same port again. [*]
  void come_up();
  /// `go_down()` now, `come_up()` by itself after `how_long`. [*] for the first half.
  void outage(duration how_long);
  /// Whether it refuses connections.
  [[nodiscard]] bool down() const;

  /// Counted up to now.
  [[nodiscard]] fault_counters counters() const;
  /// Totals up to now.
  [[nodiscard]] ledger_totals ledger() const;
  /// All bookings, in order.
  [[nodiscard]] std::vector<ledger_entry> ledger_entries() const;
  /// The last `max_records` requests, in order of arrival.
  [[nodiscard]] std::vector<request_record> requests() const;
  /// Forgets script, ledger, counters and records, then calls `on_reset`. Connections stay. [*]
  void reset();

  /// Waits until `holds(counters())`, asked whenever a counter moves; false after `within`.
  bool wait_for(const std::function<bool(const fault_counters&)>& holds, duration within) const;

 private:
  class core;
  std::unique_ptr<core> core_;
};

}  // namespace hawser::inline v0::testing
