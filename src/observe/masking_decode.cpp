#include "observe/masking_decode.hpp"

namespace hawser::inline v0::detail {

namespace {

// Layers of escaping looked through; also what keeps a run of escapes from being read again and
// again by each of its characters.
constexpr std::size_t max_layers = 8;

std::size_t encode_utf8(char32_t point, std::array<char, 4>& to) noexcept {
  const auto low = [point](int shift) {
    return static_cast<char>(0x80 | ((point >> shift) & 0x3f));
  };
  if (point < 0x80) {
    to[0] = static_cast<char>(point);
    return 1;
  }
  if (point < 0x800) {
    to = {static_cast<char>(0xc0 | (point >> 6)), low(0)};
    return 2;
  }
  if (point < 0x10000) {
    to = {static_cast<char>(0xe0 | (point >> 12)), low(6), low(0)};
    return 3;
  }
  to = {static_cast<char>(0xf0 | (point >> 18)), low(12), low(6), low(0)};
  return 4;
}

}  // namespace

bool equals_ignoring_case(std::string_view text, std::string_view lower) noexcept {
  if (text.size() != lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (to_lower(text[i]) != lower[i]) return false;
  return true;
}

int hex4(std::string_view text, std::size_t at) noexcept {
  if (text.size() < 4 || at > text.size() - 4) return -1;
  int value = 0;
  for (std::size_t i = at; i < at + 4; ++i) {
    const int digit = hex_value(text[i]);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

void append_utf8(std::string& to, char32_t point) {
  std::array<char, 4> bytes;
  to.append(bytes.data(), encode_utf8(point, bytes));
}

escape percent_escape(std::string_view text, std::size_t at) noexcept {
  const auto byte_at = [text](std::size_t from) {
    if (from + 1 >= text.size()) return -1;
    const int high = hex_value(text[from]);
    const int low = hex_value(text[from + 1]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
  };
  if (at >= text.size() || text[at] != '%') return {};
  int byte = byte_at(at + 1);
  if (byte < 0) return {};
  std::size_t length = 3;
  for (std::size_t layer = 1; byte == '%' && layer < max_layers; ++layer) {
    const int next = byte_at(at + length);
    if (next < 0) break;
    byte = next;
    length += 2;
  }
  return {{static_cast<char>(byte)}, 1, length};
}

escape backslash_escape(std::string_view text, std::size_t at) noexcept {
  std::size_t next = at;
  while (next < text.size() && text[next] == '\\' && next - at < max_layers) ++next;
  if (next == at || next >= text.size()) return {};
  escape found{{}, 1, next - at + 1};
  switch (text[next]) {
    case 'n': found.bytes[0] = '\n'; return found;
    case 'r': found.bytes[0] = '\r'; return found;
    case 't': found.bytes[0] = '\t'; return found;
    case 'b': found.bytes[0] = '\b'; return found;
    case 'f': found.bytes[0] = '\f'; return found;
    case '"':
    case '\'':
    case '/': found.bytes[0] = text[next]; return found;
    case 'x': {
      const int high = next + 2 < text.size() ? hex_value(text[next + 1]) : -1;
      const int low = next + 2 < text.size() ? hex_value(text[next + 2]) : -1;
      if (high < 0 || low < 0) return {};
      found.bytes[0] = static_cast<char>(high * 16 + low);
      found.length += 2;
      return found;
    }
    case 'u': {
      int unit = hex4(text, next + 1);
      if (unit < 0) return {};
      found.length += 4;
      char32_t point = static_cast<char32_t>(unit);
      if (unit >= 0xd800 && unit < 0xdc00) {
        std::size_t second = at + found.length;
        while (second < text.size() && text[second] == '\\' &&
               second < at + found.length + max_layers)
          ++second;
        const int low = second > at + found.length && second < text.size() && text[second] == 'u'
                            ? hex4(text, second + 1)
                            : -1;
        if (low >= 0xdc00 && low < 0xe000) {
          point = 0x10000 + ((point - 0xd800) << 10) + (static_cast<char32_t>(low) - 0xdc00);
          found.length = second + 5 - at;
        }
      }
      found.count = encode_utf8(point, found.bytes);
      return found;
    }
    default: return {};
  }
}

std::string percent_decode(std::string_view text, bool plus_is_blank) {
  std::string plain;
  plain.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const escape found = text[i] == '%' ? percent_escape(text, i) : escape{};
    if (found.length != 0) {
      plain += found.bytes[0];
      i += found.length;
    } else {
      plain += plus_is_blank && text[i] == '+' ? ' ' : text[i];
      ++i;
    }
  }
  return plain;
}

}  // namespace hawser::inline v0::detail
