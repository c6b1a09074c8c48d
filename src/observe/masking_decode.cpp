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

struct entity {
  std::string_view name;
  char byte;
};

// Of HTML's names those of one byte; XML's five among them.
constexpr entity entities[] = {
    {"amp", '&'},    {"lt", '<'},     {"gt", '>'},      {"quot", '"'},   {"apos", '\''},
    {"nbsp", ' '},   {"excl", '!'},   {"num", '#'},     {"dollar", '$'}, {"percnt", '%'},
    {"lpar", '('},   {"rpar", ')'},   {"ast", '*'},     {"plus", '+'},   {"comma", ','},
    {"period", '.'}, {"sol", '/'},    {"colon", ':'},   {"semi", ';'},   {"equals", '='},
    {"quest", '?'},  {"commat", '@'}, {"lsqb", '['},    {"lbrack", '['}, {"rsqb", ']'},
    {"rbrack", ']'}, {"bsol", '\\'},  {"Hat", '^'},     {"lowbar", '_'}, {"grave", '`'},
    {"lcub", '{'},   {"lbrace", '{'}, {"rcub", '}'},    {"rbrace", '}'}, {"verbar", '|'},
    {"vert", '|'},   {"Tab", '\t'},   {"NewLine", '\n'}};

/// A number's digits from `at` on, at most `most` of them; the value and where they end.
struct number {
  char32_t value = 0;
  std::size_t end = 0;
};
number read_number(std::string_view text, std::size_t at, unsigned base,
                   std::size_t most) noexcept {
  number read{0, at};
  for (; read.end < text.size() && read.end - at < most; ++read.end) {
    const int digit = hex_value(text[read.end]);
    if (digit < 0 || static_cast<unsigned>(digit) >= base) break;
    read.value = read.value * base + static_cast<unsigned>(digit);
  }
  return read;
}

escape code_point(char32_t point, std::size_t length) noexcept {
  escape found{{}, 0, length};
  if (point > 0x10ffff) return {};
  found.count = encode_utf8(point, found.bytes);
  return found;
}

/// What `backslash_escape` does not know, behind backslashes that end at `next`.
escape other_backslash(std::string_view text, std::size_t at, std::size_t next) noexcept {
  const char c = text[next];
  if (c == 'u' && text.substr(next + 1, 1) == "{") {
    const number read = read_number(text, next + 2, 16, 6);
    if (read.end > next + 2 && text.substr(read.end, 1) == "}")
      return code_point(read.value, read.end + 1 - at);
  }
  if (c == 'U') {
    const number read = read_number(text, next + 1, 16, 8);
    if (read.end == next + 9) return code_point(read.value, read.end - at);
  }
  if (c >= '0' && c <= '7') {
    const number read = read_number(text, next, 8, 3);
    if (read.end == next + 3 && read.value < 0x100)
      return {{static_cast<char>(read.value)}, 1, read.end - at};
  }
  return {{c}, 1, next + 1 - at};
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

escape entity_escape(std::string_view text, std::size_t at) noexcept {
  if (at >= text.size() || text[at] != '&') return {};
  std::size_t p = at + 1;
  std::size_t layers = 0;
  for (; layers < max_layers && text.substr(p, 4) == "amp;"; ++layers) p += 4;
  if (text.substr(p, 1) == "#") {
    const bool hex = text.substr(p + 1, 1) == "x" || text.substr(p + 1, 1) == "X";
    const std::size_t digits = p + (hex ? 2 : 1);
    const number read = read_number(text, digits, hex ? 16 : 10, 8);
    if (read.end > digits)
      return code_point(read.value, read.end + (text.substr(read.end, 1) == ";") - at);
  } else if (p < text.size() && is_alpha(text[p])) {
    const std::string_view rest = text.substr(p, 8);
    for (const entity& known : entities)
      if (rest[0] == known.name[0] && rest.starts_with(known.name) &&
          rest.substr(known.name.size(), 1) == ";")
        return {{known.byte}, 1, p + known.name.size() + 1 - at};
  }
  if (layers != 0) return {{'&'}, 1, p - at};
  return {};
}

escape any_escape(std::string_view text, std::size_t at) noexcept {
  switch (text[at]) {
    case '&': return entity_escape(text, at);
    case '%':
      if (text.substr(at + 1, 1) == "u" && hex4(text, at + 2) >= 0)
        return code_point(static_cast<char32_t>(hex4(text, at + 2)), 6);
      return percent_escape(text, at);
    case '=': {
      const number read = read_number(text, at + 1, 16, 2);
      if (read.end != at + 3) return {};
      return {{static_cast<char>(read.value)}, 1, 3};
    }
    case '\\': {
      if (const escape known = backslash_escape(text, at); known.length != 0) return known;
      std::size_t next = at;
      while (next < text.size() && text[next] == '\\' && next - at < max_layers) ++next;
      if (next == text.size()) return {};
      escape inner = entity_escape(text, next);
      if (inner.length == 0) return other_backslash(text, at, next);
      inner.length += next - at;
      return inner;
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
