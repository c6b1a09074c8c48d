// A request method: the known ones by name, any other token kept as it was written.
//
//   hawser::http::method m = hawser::http::method::get;
//   hawser::http::method purge{"PURGE"};
//   if (effect_of(m) == hawser::effect::safe) ...
//   std::string_view text = m.text();                       // "GET"
#pragma once

#include "hawser/core/effect.hpp"
#include "hawser/core/export.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace hawser::inline v0::http {

/// A request method (RFC 9110 section 9). Methods are case-sensitive: "get" is not GET. Holds a
/// string only for methods it does not know. A value: as thread-safe as an int.
class HAWSER_API method {
 public:
  /// The methods whose meaning the library knows. QUERY: RFC 10008.
  enum known : std::uint8_t { get, head, post, put, patch, delete_, options, trace, query, other };

  /// GET.
  method() noexcept = default;
  /// One of those known.
  method(known which) noexcept : known_(which) {}  // NOLINT: method::get is a method
  /// From its spelling on the wire. Any text is taken; `valid()` tells whether it may be sent.
  explicit method(std::string_view text);

  /// Which one it is; `other` when the library does not know it.
  [[nodiscard]] known which() const noexcept { return known_; }
  /// Its spelling on the wire. Valid as long as this object is.
  [[nodiscard]] std::string_view text() const& noexcept;
  /// The same of a temporary.
  [[nodiscard]] std::string text() && { return std::string(text()); }
  /// Whether it is a token (RFC 9110 section 5.6.2) and not CONNECT, which makes a tunnel and has
  /// no place in a client of resources.
  [[nodiscard]] bool valid() const noexcept;

  friend bool operator==(const method& a, const method& b) noexcept {
    return a.known_ == b.known_ && (a.known_ != other || a.other_ == b.other_);
  }

 private:
  known known_ = get;
  std::string other_;
};

/// Its spelling on the wire. Valid as long as `m` is.
[[nodiscard]] inline std::string_view to_string(const method& m) noexcept { return m.text(); }
/// The same of a temporary.
[[nodiscard]] inline std::string to_string(method&& m) { return std::string(m.text()); }

/// What sending such a request twice would do: GET, HEAD, OPTIONS, TRACE, QUERY are safe, PUT and
/// DELETE idempotent, all others unsafe (RFC 9110 section 9.2).
[[nodiscard]] HAWSER_API effect effect_of(const method& m) noexcept;

/// Whether `text` is a token, the form of methods and header names (RFC 9110 section 5.6.2).
[[nodiscard]] HAWSER_API bool is_token(std::string_view text) noexcept;

}  // namespace hawser::inline v0::http
