// Which bytes may stand where: one table for header names, URLs and escapes.
//
//   if (!bytes::is(c, bytes::token)) refuse();
//   if (bytes::first_control(value) != std::string_view::npos) refuse();
//   std::string where = bytes::hex(c);            // "0x0D"
//   int digit = bytes::hex_value('f');            // 15, or -1
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace hawser::inline v0::http::bytes {

enum set : std::uint8_t {
  token = 1,       // RFC 9110 section 5.6.2
  unreserved = 2,  // RFC 3986 section 2.3
  target = 4,      // what may stand in a path or a query, '%' included
  digit = 8,
  hexadecimal = 16,
  control = 32,  // of a field value: all controls but HTAB
};

constexpr std::array<std::uint8_t, 256> make_table() {
  std::array<std::uint8_t, 256> t{};
  const auto put = [&t](std::string_view chars, unsigned bits) {
    for (const char c : chars) {
      auto& cell = t[static_cast<unsigned char>(c)];
      cell = static_cast<std::uint8_t>(cell | bits);
    }
  };
  put("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", token | unreserved | target);
  put("0123456789", token | unreserved | target | digit | hexadecimal);
  put("abcdefABCDEF", hexadecimal);
  put("!#$%&'*+-.^_`|~", token);
  put("-._~", unreserved | target);
  put("!$&'()*+,;=:@/?%", target);
  for (std::size_t c = 0; c < 0x20; ++c)
    if (c != '\t') t[c] = control;
  t[0x7F] = control;
  return t;
}

inline constexpr std::array<std::uint8_t, 256> table = make_table();

[[nodiscard]] constexpr bool is(char c, set what) noexcept {
  return (table[static_cast<unsigned char>(c)] & what) != 0;
}

[[nodiscard]] constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

[[nodiscard]] constexpr int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/// "0x0D"
[[nodiscard]] inline std::string hex(char c) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  const auto u = static_cast<unsigned char>(c);
  return {'0', 'x', digits[u >> 4], digits[u & 15]};
}

/// Texts that a user's bytes got into, for errors: on one line, and not all of a long one. As
/// config_error shows values.
[[nodiscard]] inline std::string shown(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  constexpr std::size_t most = 256;
  std::string out;
  for (const char c : text.substr(0, most)) {
    if (c >= ' ' && c <= '~') {
      out += c;
      continue;
    }
    const auto u = static_cast<unsigned char>(c);
    out += {'\\', 'x', digits[u >> 4U], digits[u & 15U]};
  }
  return text.size() > most ? out + "..." : out;
}

/// Where the first control byte other than HTAB is, or npos. Eight bytes at a time, since every
/// header value of every answer passes here.
[[nodiscard]] inline std::size_t first_control(std::string_view text) noexcept {
  constexpr std::uint64_t ones = 0x0101010101010101U;
  constexpr std::uint64_t highs = 0x8080808080808080U;
  std::size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + i, 8);
    const std::uint64_t below_blank = (word - ones * 0x20) & ~word & highs;
    const std::uint64_t del = word ^ (ones * 0x7F);
    const std::uint64_t is_del = (del - ones) & ~del & highs;
    if ((below_blank | is_del) == 0) continue;
    for (std::size_t k = i; k < i + 8; ++k)  // may be an innocent HTAB
      if (is(text[k], control)) return k;
  }
  for (; i < text.size(); ++i)
    if (is(text[i], control)) return i;
  return std::string_view::npos;
}

[[nodiscard]] constexpr bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }

/// Without blanks at either end (OWS, RFC 9110 section 5.6.3).
[[nodiscard]] constexpr std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace hawser::inline v0::http::bytes
