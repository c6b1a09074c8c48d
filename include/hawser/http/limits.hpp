// What an answer may take: bytes, counts and time. Every limit is on by default.
//
//   hawser::http::limits small{.body_bytes = 64 * 1024};
//   hawser::http::time_limits patient{.first_byte = 2min};
//   hawser::http::time_limits endless{.between_bytes = std::nullopt};
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/core/time.hpp"

#include <cstddef>
#include <optional>

namespace hawser::inline v0::http {

/// How large an answer may be. Each limit has its own error code. Set-up data: not thread-safe.
struct limits {
  /// Status line and header fields, names, values and line ends. errc::headers_too_large.
  std::size_t header_bytes = 64 * 1024;
  /// Header fields. errc::too_many_headers.
  std::size_t header_count = 128;
  /// The body, chunk framing not counted. errc::body_too_large.
  std::size_t body_bytes = 16 * 1024 * 1024;
  /// 1xx answers before the final one. errc::too_many_interim.
  std::size_t interim_responses = 8;
  /// Fields after the last chunk. errc::trailers_too_large.
  std::size_t trailer_bytes = 8 * 1024;
  /// Chunk extensions of one answer, which are read over. errc::chunk_extensions_too_large.
  std::size_t chunk_extension_bytes = 4 * 1024;
  /// Arrays and objects inside each other. errc::json_too_deep.
  std::size_t json_depth = 64;
  /// What a body may take in memory as nlohmann/json's values, in bytes: an empty object in an
  /// array counts 112 for 3 of text. Counted before it is taken, never too low.
  /// errc::json_too_large.
  std::size_t json_bytes = 128 * 1024 * 1024;
};

/// How long the parts of an exchange may take; off is std::nullopt. The time of an attempt and of
/// the whole call are `timeout` policies of the pipeline.
struct time_limits {
  /// Waiting for a connection when the pool's caps are reached. errc::pool_full.
  std::optional<duration> pool_wait = std::chrono::seconds(5);
  /// Name resolution. errc::resolve_timeout.
  std::optional<duration> resolve = std::chrono::seconds(2);
  /// TCP connect, all addresses together. errc::connect_timeout.
  std::optional<duration> connect = std::chrono::seconds(3);
  /// TLS handshake. errc::tls_timeout.
  std::optional<duration> tls = std::chrono::seconds(3);
  /// From the request's last byte to the answer's first. errc::first_byte_timeout.
  std::optional<duration> first_byte = std::chrono::seconds(30);
  /// Between two reads of an answer or two writes of a request. errc::between_bytes_timeout.
  std::optional<duration> between_bytes = std::chrono::seconds(15);
  /// Bytes: an answer, or a request on its way, that moves fewer in a minute is given up, so that
  /// one which trickles does not outlive `between_bytes`. errc::between_bytes_timeout.
  std::optional<std::size_t> least_per_minute = 6000;
};

/// Throws hawser::config_error, naming the field, unless: header_bytes at least 64, header_count at
/// least 1, json_depth at least 1 and at most 1,000. The others may be 0.
HAWSER_API void validate(const limits& l);

/// Throws hawser::config_error, naming the field, unless each that is set is over zero.
HAWSER_API void validate(const time_limits& l);

}  // namespace hawser::inline v0::http
