// Character classes and escapes, shared by the parts of the redactor.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace hawser::inline v0::detail {

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_upper(char c) noexcept { return c >= 'A' && c <= 'Z'; }
constexpr bool is_lower(char c) noexcept { return c >= 'a' && c <= 'z'; }
constexpr bool is_alpha(char c) noexcept { return is_upper(c) || is_lower(c); }
constexpr bool is_alnum(char c) noexcept { return is_alpha(c) || is_digit(c); }
constexpr bool is_word(char c) noexcept { return is_alnum(c) || c == '_'; }
constexpr bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }
constexpr bool is_break(char c) noexcept { return c == '\r' || c == '\n'; }
constexpr bool is_space(char c) noexcept {
  return is_blank(c) || is_break(c) || c == '\v' || c == '\f';
}
constexpr bool is_quote(char c) noexcept { return c == '"' || c == '\'' || c == '`'; }
constexpr bool is_non_ascii(char c) noexcept { return static_cast<unsigned char>(c) >= 0x80; }
constexpr char to_lower(char c) noexcept { return is_upper(c) ? static_cast<char>(c + 32) : c; }

/// The value of a hexadecimal digit, or -1.
constexpr int hex_value(char c) noexcept {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Compares without regard to case; `lower` is in lower case.
bool equals_ignoring_case(std::string_view text, std::string_view lower) noexcept;

/// Up to four bytes that an escape stands for, and how many characters the escape takes. A
/// `length` of 0: no escape stands there.
struct escape {
  std::array<char, 4> bytes{};
  std::size_t count = 0;
  std::size_t length = 0;
};

/// "%41" at `at`, through several layers of encoding: "%2541" is 'A' too.
escape percent_escape(std::string_view text, std::size_t at) noexcept;

/// A backslash escape at `at`, through several layers of escaping: "\n", "\\n", "\u0041", "\x41".
escape backslash_escape(std::string_view text, std::size_t at) noexcept;

/// "&lt;", "&#60;" and "&#x3c;" at `at`, through several layers: "&amp;lt;" is '<' too.
escape entity_escape(std::string_view text, std::size_t at) noexcept;

/// Whatever may stand for a byte of a value in a text: the three above, "=3D" of quoted-printable
/// (RFC 2045), "%u0041", "\u{41}", "\U00000041", octal "\101", and a backslash before any
/// character.
escape any_escape(std::string_view text, std::size_t at) noexcept;

/// Decodes percent escapes and, for forms and queries, '+' to a blank.
std::string percent_decode(std::string_view text, bool plus_is_blank);

/// Appends a code point in UTF-8.
void append_utf8(std::string& to, char32_t point);

/// Reads four hexadecimal digits at `at`; -1 without them.
int hex4(std::string_view text, std::size_t at) noexcept;

}  // namespace hawser::inline v0::detail
