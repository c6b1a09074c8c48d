// Reads answers off one connection, strictly, as their bytes come (RFC 9112). Knows no socket.
//
//   reader.begin(answer, request_was_head);
//   auto p = reader.feed(bytes);       // p.consumed bytes belonged to this answer
//   if (p.error) fail(p.error, reader.detail());
//   if (p.done && p.consumed == bytes.size() && reader.keep_alive()) pool.put_back();
#pragma once

#include "hawser/core/error.hpp"
#include "hawser/core/export.hpp"
#include "hawser/http/limits.hpp"
#include "hawser/http/response.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hawser::inline v0::http {

/// One connection's parser, reused for every answer on it. Strict where leniency lets two parties
/// disagree about where a message ends: bare CR or LF, NUL, blanks before a colon, two lengths, a
/// length and chunks are errors. A value that is folded over several lines (obs-fold) is joined by
/// blanks, as RFC 9112 section 5.2 has it, unless its field says where the message ends. Allocates
/// only while an answer is larger than those before it. Not thread-safe.
class HAWSER_API response_reader {  // exported for hawser::testing's fake transport
 public:
  explicit response_reader(const limits& l) : limits_(l) {}

  /// Before each exchange. `into` is cleared and must outlive the exchange.
  void begin(response& into, bool answer_to_head);

  struct progress {
    std::size_t consumed = 0;  ///< Bytes that belonged to this answer.
    bool done = false;         ///< The answer is complete.
    error_code error{};        ///< The connection is of no more use; `detail()` tells why.
  };

  /// Takes bytes, up to the end of this answer. After an error or the end nothing is consumed.
  progress feed(std::string_view bytes);
  /// The peer closed: `clean` is a FIN, and under TLS a close_notify. Ends an answer that is framed
  /// by the end of its connection; errc::connection_closed before the first byte;
  /// errc::truncated_response otherwise.
  progress end_of_stream(bool clean);

  /// Whether any byte of the answer was seen, interim answers included.
  [[nodiscard]] bool begun() const noexcept { return begun_; }
  /// Whether a status line was read, that of an interim answer included: what came is an answer.
  [[nodiscard]] bool has_status_line() const noexcept { return status_ != 0 || interim_ != 0; }
  /// Whether the connection may serve another exchange. Valid after done.
  [[nodiscard]] bool keep_alive() const noexcept { return keep_alive_; }
  /// Whether the final answer's head (status and fields) is complete.
  [[nodiscard]] bool head_complete() const noexcept {
    return state_ >= state::body_length && state_ != state::failed;
  }
  /// What was wrong, for people; no bytes of the peer but names of known fields. Empty without an
  /// error.
  [[nodiscard]] std::string detail() const;

 private:
  // The order matters: lines of the head, framing of the body, ends.
  enum class state : std::uint8_t {
    status_line,
    fields,
    body_length,
    body_until_close,
    chunk_data,
    chunk_size,
    chunk_end,
    trailers,
    done,
    failed,
  };
  // What the line before was, and so what a line that begins with a blank goes on with.
  enum class last_line : std::uint8_t { no_field, field, connection_field, framing_field };
  // What went wrong, to be put into words only when somebody asks.
  enum class fault : std::uint8_t;

  [[nodiscard]] static bool is_body(state s) noexcept {
    return s >= state::body_length && s <= state::chunk_data;
  }
  void begin_head() noexcept;
  bool step_line(std::string_view& input);
  bool take_line(std::string_view& input, std::string_view& line);
  [[nodiscard]] std::size_t room() const noexcept;
  [[nodiscard]] fault overlong() const noexcept;
  bool on_line(std::string_view line);
  bool on_status_line(std::string_view line);
  bool split_field(std::string_view line, std::string_view& name, std::string_view& value);
  bool on_field(std::string_view line);
  bool on_fold(std::string_view line, headers& into);
  bool on_framing_field(std::string_view name, std::string_view value);
  bool on_head_end();
  bool on_chunk_size(std::string_view line);
  bool on_trailer(std::string_view line);
  bool take_body(std::string_view& input);
  void finish(bool reusable) noexcept;
  bool fail(fault what) noexcept;
  [[nodiscard]] error_code failure() const noexcept;
  [[nodiscard]] std::string place() const;

  limits limits_;
  response* into_ = nullptr;
  std::string line_;        // a line whose end has not come yet
  std::uint64_t left_ = 0;  // bytes left of the body or of this chunk
  std::size_t head_bytes_ = 0;
  std::size_t trailer_bytes_ = 0;
  std::size_t extension_bytes_ = 0;
  std::size_t interim_ = 0;
  std::size_t field_count_ = 0;
  int status_ = 0;
  state state_ = state::done;
  fault fault_{};
  last_line last_ = last_line::no_field;
  bool head_request_ = false;
  bool begun_ = false;
  bool cut_in_head_ = false;  // where the stream ended
  bool keep_alive_ = false;
  bool minor_is_one_ = true;  // HTTP/1.1, as against HTTP/1.0
  bool has_length_ = false;
  bool chunked_ = false;
  bool wants_close_ = false;
  bool wants_keep_alive_ = false;
};

}  // namespace hawser::inline v0::http
