// What a fault server does with one request, or with one connection.
//
//   using hawser::testing::plan;
//   auto busy = plan::answer(503).retry_after(1s);
//   auto lost = plan::answer(201, R"({"id":"ch_1"})").book().reset_at(0);  // charged, never told
//   auto slow = plan::answer(200, body).delay(50ms).drip(1, 10ms);
//   auto torn = plan::answer(200, body).cut_body_at(17);
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/core/time.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hawser::inline v0::testing {

/// Header fields in order of sending, repeated names allowed.
using header_list = std::vector<std::pair<std::string, std::string>>;

/// One request as the server read it.
struct HAWSER_API received_request {
  std::uint64_t number = 0;         ///< 1 is the first since the start or the last `reset()`.
  std::uint64_t connection = 0;     ///< 1 is the first connection accepted.
  std::uint64_t on_connection = 0;  ///< 1 is the first request of its connection.
  duration at{};                    ///< Since the start or the last `reset()`.
  std::string method{};             ///< As on the wire: "POST".
  std::string target{};             ///< Path and query.
  header_list headers{};            ///< In order of arrival.
  std::string body{};               ///< Decoded from chunks.
  std::string client_name{};  ///< Common name of the client's certificate, when it showed one.

  /// The first field of that name (case-insensitive).
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const& noexcept;
  /// The same of a temporary.
  [[nodiscard]] std::optional<std::string> header(std::string_view name) && {
    const auto value = header(name);
    return value ? std::optional<std::string>(*value) : std::nullopt;
  }
};

/// Ways to break HTTP/1.1 on the wire.
enum class garble {
  none,
  not_http,           ///< Bytes that are no HTTP at all.
  bad_status_line,    ///< `HTTP/1.1 2OO OK`.
  two_lengths,        ///< Two Content-Length fields that differ (RFC 9112 section 6.3).
  length_and_chunks,  ///< Content-Length together with Transfer-Encoding: chunked.
  excess_bytes,       ///< More bytes than Content-Length announces (`size`, default 16).
  bad_chunk_size,     ///< A chunk size that is not hexadecimal.
  obs_fold,           ///< A header value folded over two lines, which a client has to join.
  oversize_header,    ///< One header value of `size` bytes (default 1 MiB).
  oversize_body,      ///< A body of `size` bytes in chunks, never announced (default 32 MiB).
  interim_flood,      ///< `size` answers 100 before the final one (default 1000).
};

/// How a connection ends.
enum class ending {
  keep_alive,    ///< Stays open, unless the client asked for `Connection: close`.
  close,         ///< Announces `Connection: close`, then closes.
  silent_close,  ///< Closes without having announced it: a kept-alive connection turns stale.
  reset,         ///< RST (SO_LINGER 0) after the answer.
};

/// Where the answer stops short, and how.
struct break_point {
  /// How it breaks off.
  enum class manner {
    cut,    ///< FIN; under TLS without close_notify unless `close_notify` is set.
    reset,  ///< RST.
    stall,  ///< No further byte until the client goes or the server stops.
    forge,  ///< Under TLS a record that fails its check, as if a byte were changed; else as `cut`.
  };
  std::size_t at = 0;         ///< Bytes sent before the break.
  bool of_body = false;       ///< Counted from the first byte after the head, not of the answer.
  manner how = manner::cut;   ///< How it breaks off.
  bool close_notify = false;  ///< Under TLS: whether a cut says so before.
};

/// One request's treatment. The steps, in order: `processing`, booking, `delay`, the answer's bytes
/// up to the break (if any), what comes after. Copyable; setters are for building in place.
class HAWSER_API plan {
 public:
  /// All that a plan holds. The setters below are the way to fill it in.
  struct parts {
    int status = 200;       ///< Of the answer.
    std::string reason{};   ///< Empty: the status code's usual phrase.
    header_list headers{};  ///< Beside those that the server adds.
    std::string body{};     ///< Before it is framed.
    /// How the body's end is told.
    enum class framing { length, chunked, until_close };
    framing body_framing = framing::length;             ///< See `framing`.
    int interim_status = 100;                           ///< Of each interim answer.
    std::size_t interim_count = 0;                      ///< Interim answers before the final one.
    std::optional<std::string> raw{};                   ///< Sent verbatim instead of an answer.
    garble wrong = garble::none;                        ///< How the answer breaks the protocol.
    std::optional<std::size_t> wrong_size{};            ///< See `garble`; nullopt: its default.
    std::optional<std::chrono::seconds> retry_after{};  ///< In the answer's Retry-After.
    /// Retry-After as a date: the answer's own plus `retry_after`.
    bool retry_after_is_date = false;
    std::optional<std::string> lookup{};         ///< Answer from the ledger; see `plan::lookup`.
    duration processing{};                       ///< See `plan::processing`.
    duration delay{};                            ///< See `plan::delay`.
    std::size_t drip_bytes = 0;                  ///< Used with `drip_every`.
    std::optional<duration> drip_every{};        ///< nullopt: all bytes in one write.
    bool book = false;                           ///< See `plan::book`.
    std::optional<break_point> broken{};         ///< Where the answer stops short.
    ending after = ending::keep_alive;           ///< What becomes of the connection.
    std::optional<duration> close_idle_after{};  ///< nullopt: the server's option decides.
    std::string unsolicited{};                   ///< See `plan::unsolicited`.
    duration unsolicited_after{};                ///< How long after the answer.
    std::optional<duration> outage{};            ///< See `plan::outage`.
  };

  /// An answer 200 with an empty JSON object.
  plan();

  /// An answer. `type` is its Content-Type, left out when the body is empty.
  [[nodiscard]] static plan answer(int status, std::string body = {},
                                   std::string_view type = "application/json");
  /// These bytes and nothing else; the connection stays open unless `then` says otherwise.
  [[nodiscard]] static plan raw(std::string bytes);
  /// An answer 200 that is broken on the wire.
  [[nodiscard]] static plan malformed(garble how, std::optional<std::size_t> size = std::nullopt);
  /// No byte of an answer until the client goes away.
  [[nodiscard]] static plan stall();
  /// The connection closed (FIN) without an answer.
  [[nodiscard]] static plan close();
  /// The connection reset (RST) without an answer.
  [[nodiscard]] static plan reset();
  /// The ledger's word on one operation: 200 `{"operation":"o-1","bookings":1}`, or 404.
  [[nodiscard]] static plan lookup(std::string operation);

  /// A field of the answer, behind those given before.
  plan&& header(std::string name, std::string value) &&;
  /// The phrase behind the status.
  plan&& reason(std::string phrase) &&;
  plan&& chunked() &&;      ///< Transfer-Encoding: chunked.
  plan&& until_close() &&;  ///< No length: the body ends with the connection.
  /// `count` interim answers before the final one; 103 for early hints.
  plan&& interim(std::size_t count, int status = 100) &&;
  /// Retry-After in seconds.
  plan&& retry_after(std::chrono::seconds after) &&;
  /// Retry-After as an HTTP-date: the answer's own Date plus `after`.
  plan&& retry_after_date(std::chrono::seconds after) &&;

  /// Time between the request's last byte and the booking: the key is "in flight" meanwhile.
  plan&& processing(duration takes) &&;
  /// Time between the booking and the answer's first byte.
  plan&& delay(duration by) &&;
  /// `bytes` bytes of the answer at a time, `every` apart. `bytes` 0 counts as 1.
  plan&& drip(std::size_t bytes, duration every) &&;

  /// Books the request's effect in the ledger (see `fault_server::ledger`).
  plan&& book() &&;

  /// FIN after so many bytes of the answer, the head included.
  plan&& cut_at(std::size_t byte) &&;
  /// RST after so many bytes.
  plan&& reset_at(std::size_t byte) &&;
  /// No further byte after so many.
  plan&& stall_at(std::size_t byte) &&;
  plan&& stall_in_head() &&;  ///< After 24 bytes: past the status line, before the head's end.
  /// FIN after so many bytes of the body.
  plan&& cut_body_at(std::size_t byte) &&;
  /// RST after so many bytes of the body.
  plan&& reset_body_at(std::size_t byte) &&;
  /// No further byte after so many of the body.
  plan&& stall_body_at(std::size_t byte) &&;
  /// A forged TLS record after so many bytes; FIN without TLS.
  plan&& forge_at(std::size_t byte) &&;
  /// A forged TLS record after so many bytes of the body; FIN without TLS.
  plan&& forge_body_at(std::size_t byte) &&;
  plan&& with_close_notify() &&;  ///< A cut under TLS looks like a clean end of the stream.

  /// What becomes of the connection after the answer.
  plan&& then(ending how) &&;
  /// Closes the kept-alive connection, unannounced, when it was idle for so long.
  plan&& close_idle_after(duration idle) &&;
  /// Bytes nobody asked for, on the idle connection, `after` the answer.
  plan&& unsolicited(std::string bytes, duration after = {}) &&;
  /// Takes the whole server down for that long instead of answering. See `fault_server::outage`.
  plan&& outage(duration how_long) &&;

  /// All of it, to be read.
  [[nodiscard]] const parts& get() const& noexcept { return parts_; }
  /// The same of a temporary.
  [[nodiscard]] parts get() && { return std::move(parts_); }
  /// All of it, to be changed.
  [[nodiscard]] parts& edit() & noexcept { return parts_; }

 private:
  plan&& break_at(std::size_t byte, bool of_body, break_point::manner how);
  parts parts_{};
};

/// What happens to a connection before any request of it is read.
struct connection_plan {
  /// What becomes of the connection.
  enum class kind {
    serve,                ///< Nothing out of the ordinary.
    close,                ///< Accepted, then closed (FIN).
    reset,                ///< Accepted, then reset (RST).
    reset_on_first_byte,  ///< Reset when the first bytes of a request arrive, unheeded.
    stall,                ///< Accepted and never read; under TLS the handshake stalls.
    plain_text,           ///< `bytes`, or an answer 400, in plain text; then closed.
    greet,                ///< `bytes` sent before any request, then served as usual.
  };
  kind what = kind::serve;  ///< What becomes of the connection.
  std::string bytes{};      ///< Of `plain_text` and `greet`.
  /// Before anything else happens on the connection, the TLS handshake included.
  duration delay{};
};

}  // namespace hawser::inline v0::testing
