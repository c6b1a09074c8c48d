// Text from outside where people and terminals read it: one line of UTF-8, whatever it was.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hawser::inline v0::detail {

/// How many bytes the character takes that the text begins with; 0 where none does. As RFC 3629 has
/// UTF-8: no surrogates, nothing over U+10FFFF, nothing longer than it need be.
[[nodiscard]] inline std::size_t utf8_length(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (text.empty()) return 0;
  const unsigned lead = byte(0);
  const std::size_t size = lead < 0x80   ? 1
                           : lead < 0xc2 ? 0
                           : lead < 0xe0 ? 2
                           : lead < 0xf0 ? 3
                           : lead < 0xf5 ? 4
                                         : 0;
  if (size > text.size()) return 0;
  for (std::size_t k = 1; k < size; ++k) {
    const unsigned least = k > 1 ? 0x80 : lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const unsigned most = k > 1 ? 0xbf : lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (byte(k) < least || byte(k) > most) return 0;
  }
  return size;
}

/// Whether all of it is UTF-8.
[[nodiscard]] inline bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t size = utf8_length(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

/// Whether a character breaks a line, or is one that terminals act on: the controls, C1's (NEL and
/// CSI) among them, the separators of lines and paragraphs; or one that is not seen and may show
/// others in another order than they stand: the controls of direction, the byte order mark.
[[nodiscard]] inline bool is_control(std::string_view character) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(character[i]); };
  if (byte(0) < 0x20 || byte(0) == 0x7f) return true;
  if (character.size() == 2)
    return (byte(0) == 0xc2 && byte(1) < 0xa0) || (byte(0) == 0xd8 && byte(1) == 0x9c);
  if (character.size() != 3) return false;
  const unsigned last = (byte(1) & 63U) << 6U | (byte(2) & 63U);
  if (byte(0) == 0xef) return last == 0xeff;  // U+FEFF
  if (byte(0) != 0xe2) return false;
  return last == 0x00e || last == 0x00f || (last >= 0x028 && last <= 0x02e) ||
         (last >= 0x066 && last <= 0x069);  // U+200E, U+200F, U+2028 to U+202E, U+2066 to U+2069
}

/// Whether all of it may stand in a line as it is.
[[nodiscard]] inline bool is_printable(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t size = utf8_length(text);
    if (size == 0 || is_control(text.substr(0, size))) return false;
    text.remove_prefix(size);
  }
  return true;
}

/// Appends `text` with what may not stand in a line escaped: "\n", "\x1b", "\u202e". `quoted`: '"'
/// and '\' too.
inline void append_printable(std::string& line, std::string_view text, bool quoted = false) {
  constexpr std::string_view digits = "0123456789abcdef";
  const auto hex = [&](std::string_view mark, char c) {
    const auto byte = static_cast<unsigned char>(c);
    line.append(mark) += digits[byte >> 4U];
    line += digits[byte & 15U];
  };
  const auto point = [&](std::string_view one) {
    unsigned value = static_cast<unsigned char>(one[0]) & (one.size() == 2 ? 0x1fU : 0x0fU);
    for (const char c : one.substr(1)) value = value << 6U | (static_cast<unsigned char>(c) & 63U);
    line += "\\u";
    for (const unsigned shift : {12U, 8U, 4U, 0U}) line += digits[value >> shift & 15U];
  };
  while (!text.empty()) {
    const std::size_t size = utf8_length(text);
    const std::string_view one = text.substr(0, size == 0 ? 1 : size);
    text.remove_prefix(one.size());
    if (size == 0)
      hex("\\x", one[0]);
    else if (one == "\n")
      line += "\\n";
    else if (one == "\r")
      line += "\\r";
    else if (one == "\t")
      line += "\\t";
    else if (is_control(one) && size == 1)
      hex("\\x", one[0]);
    else if (is_control(one))
      point(one);
    else if (quoted && (one == "\"" || one == "\\"))
      line.append("\\").append(one);
    else
      line += one;
  }
}

/// The same as a text of its own.
[[nodiscard]] inline std::string printable(std::string text) {
  if (is_printable(text)) return text;
  std::string shown;
  append_printable(shown, text);
  return shown;
}

}  // namespace hawser::inline v0::detail
