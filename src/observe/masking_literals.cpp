#include "observe/masking_literals.hpp"

#include "core/wipe.hpp"
#include "observe/masking_decode.hpp"
#include "observe/masking_patterns.hpp"

#include <string>

namespace hawser::inline v0::detail {

namespace {

constexpr char identity(char c) noexcept { return c; }

/// Folds the URL-safe alphabet of RFC 4648 section 5 into that of section 4.
constexpr char base64_canon(char c) noexcept { return c == '-' ? '+' : c == '_' ? '/' : c; }

constexpr bool is_base64(char c) noexcept {
  return is_alnum(c) || c == '+' || c == '/' || c == '-' || c == '_';
}

/// The characters of a base64 text that `bytes`, standing `offset` bytes into a group of three,
/// determine alone, whatever stands around them.
std::string base64_core(std::string_view bytes, std::size_t offset) {
  static constexpr char alphabet[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const std::size_t first = (8 * offset + 5) / 6;
  const std::size_t last = 8 * (offset + bytes.size()) / 6;
  std::string core;
  core.reserve(last - first);
  for (std::size_t c = first; c < last; ++c) {
    unsigned sextet = 0;
    for (std::size_t bit = 6 * c; bit < 6 * c + 6; ++bit) {
      const auto byte = static_cast<unsigned char>(bytes[bit / 8 - offset]);
      sextet = (sextet << 1) | ((byte >> (7 - bit % 8)) & 1u);
    }
    core += alphabet[sextet];
  }
  return core;
}

std::string hex_of(std::string_view bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const char c : bytes) {
    text += digits[static_cast<unsigned char>(c) >> 4];
    text += digits[static_cast<unsigned char>(c) & 0xf];
  }
  return text;
}

constexpr bool is_escape(char c) noexcept { return c == '%' || c == '\\' || c == '&' || c == '='; }

/// Whether `found` stands for the next bytes of `wanted`.
template <class Canon>
bool stands_for(const escape& found, std::string_view wanted, Canon canon) noexcept {
  if (found.length == 0 || found.count > wanted.size()) return false;
  for (std::size_t i = 0; i < found.count; ++i)
    if (canon(found.bytes[i]) != wanted[i]) return false;
  return true;
}

/// How many of `c` stand at `at`; more than 16 are not counted.
std::size_t run_of(std::string_view text, std::size_t at, char c) noexcept {
  std::size_t count = 0;
  while (count < 17 && at + count < text.size() && text[at + count] == c) ++count;
  return count;
}

/// How long the text at `at` is if it stands for a quote: doubled as in SQL and CSV, or as the
/// shell has it, "'\\''" and "'\"'\"'".
std::size_t quoted_quote(std::string_view text, std::size_t at, char quote, bool doubled) noexcept {
  const std::string_view rest = text.substr(at);
  if (doubled) return 2;
  if (quote != '\'') return 0;
  std::size_t double_quoted = 0;
  for (const char expected : std::string_view("'\"'\"'")) {
    const std::size_t floor = double_quoted;
    while (double_quoted - floor < 8 && rest.substr(double_quoted, 1) == "\\") ++double_quoted;
    if (double_quoted >= rest.size() || rest[double_quoted] != expected) {
      double_quoted = 0;
      break;
    }
    ++double_quoted;
  }
  if (double_quoted != 0) return double_quoted;
  std::size_t p = rest.starts_with('\'') ? 1 : 0;
  while (p > 0 && p < 9 && p < rest.size() && rest[p] == '\\') ++p;
  return p > 1 && rest.substr(p).starts_with("''") ? p + 2 : 0;
}

/// How long the "=" and the line break behind it are with which quoted-printable breaks a line.
std::size_t soft_break(std::string_view text, std::size_t at) noexcept {
  const std::string_view rest = text.substr(at, 3);
  return rest.starts_with("=\r\n") ? 3 : rest.starts_with("=\n") || rest.starts_with("=\r") ? 2 : 0;
}

/// How long what may be put between two bytes of a value is: a line break, with the blanks that the
/// next line begins with; quoted-printable's "=" before one.
std::size_t inserted(std::string_view text, std::size_t at, std::size_t begin) noexcept {
  const char c = text[at];
  if (is_break(c) || c == '\0' || (is_blank(c) && at > begin && is_space(text[at - 1]))) return 1;
  return soft_break(text, at);
}

/// Matches `wanted` against `text` at `at`, where each byte may be escaped and line breaks may have
/// been put in between. Answers the end of the match, or npos.
template <class Canon>
std::size_t match(std::string_view text, std::size_t at, std::string_view wanted,
                  Canon canon) noexcept {
  std::size_t j = at;
  std::size_t breaks = 0;
  for (std::size_t i = 0; i < wanted.size();) {
    if (j >= text.size()) return npos;
    const char c = text[j];
    if (c == '=' && wanted[i] == '=' && soft_break(text, j) != 0 &&
        text.substr(j + soft_break(text, j), 3) == "=3D")
      j += soft_break(text, j);
    if (is_escape(c)) {
      const escape found = any_escape(text, j);
      if (stands_for(found, wanted.substr(i), canon)) {
        i += found.count;
        j += found.length;
        continue;
      }
      if (c == '\\' && wanted[i] == '\\') {
        // As many, or doubled once or several times; otherwise some of them belong to an escape.
        const std::size_t have = run_of(text, j, c);
        const std::size_t want = run_of(wanted, i, c);
        if (have == want || have == 2 * want || have == 4 * want || have == 8 * want) {
          i += want;
          j += have;
          continue;
        }
      }
      if (c == '\\' && wanted[i] == '\\' && j + 1 < text.size() && text[j + 1] == '\\') {
        ++i;
        j += 2;
        continue;
      }
      if (c == '&' && wanted[i] == '&' && text.substr(j, 5) == "&amp;") {
        ++i;
        do j += text[j] == '&' ? 5 : 4;
        while (text.substr(j, 4) == "amp;" && wanted.substr(i, 4) != "amp;");
        continue;
      }
      if (i != 0 && found.count == 1 && is_break(found.bytes[0]) && !is_break(wanted[i]) &&
          ++breaks <= wanted.size()) {
        j += found.length;
        continue;
      }
    }
    if (canon(c) == wanted[i] || (c == '+' && wanted[i] == ' ')) {
      std::size_t quote = 0;
      if (is_quote(c)) {
        const std::size_t run = run_of(text, j, c);
        quote = quoted_quote(text, j, c, run > 1 && run / 2 >= run_of(wanted, i, c));
      }
      j += quote == 0 ? 1 : quote;
      ++i;
      continue;
    }
    const std::size_t between = i == 0 ? 0 : inserted(text, j, at);
    if (between == 0 || ++breaks > wanted.size() + 8) return npos;
    j += between;
  }
  return j;
}

/// The same for pairs of hexadecimal digits, which may be set off: "68 75", "68:75", "0x68, 0x75",
/// "\x68\x75".
std::size_t match_hex(std::string_view text, std::size_t at, std::string_view wanted) noexcept {
  std::size_t j = at;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (i != 0 && i % 2 == 0) {
      const std::size_t from = j;
      while (j < text.size() && j - from < 6 &&
             std::string_view(" \t\r\n:,-_;'\"|").find(text[j]) != npos)
        ++j;
      while (j < text.size() && j - from < 10 && text[j] == '\\') ++j;
      if (text.substr(j, 2) == "0x" || text.substr(j, 2) == "0X") j += 2;
      if (text.substr(j, 1) == "x" || text.substr(j, 1) == "X") ++j;
    }
    if (j >= text.size() || to_lower(text[j]) != wanted[i]) return npos;
    ++j;
  }
  return j;
}

}  // namespace

void literal_set::add(const secret& literal) {
  const std::size_t index = literals_.size();
  literals_.push_back(literal);
  add_needle(literal.expose(), form::plain, index);
  for (std::size_t offset = 0; offset < 3; ++offset) {
    std::string core = base64_core(literal.expose(), offset);
    add_needle(core, form::base64, index);
    wipe(core);
  }
  std::string digits = hex_of(literal.expose());
  add_needle(digits, form::hex, index);
  wipe(digits);
}

void literal_set::add_needle(std::string_view bytes, form how, std::size_t literal) {
  const auto index = static_cast<std::uint16_t>(needles_.size());
  needles_.push_back({secret(bytes), how, literal});
  for (int value = 0; value < 256; ++value) {
    const char c = static_cast<char>(value);
    const char canon = how == form::base64 ? base64_canon(c) : how == form::hex ? to_lower(c) : c;
    const bool starts = canon == bytes.front() || (c == '+' && bytes.front() == ' ');
    if (starts) by_first_byte_[static_cast<std::size_t>(value)].push_back(index);
  }
}

literal_set::hit literal_set::hit_at(std::string_view text, std::size_t at, std::size_t floor,
                                     std::size_t reach) const noexcept {
  hit best = hit_of(static_cast<unsigned char>(text[at]), text, at, floor, reach);
  if (!is_escape(text[at])) return best;
  // What an escape stands for may begin a literal as the byte itself does.
  const escape found = any_escape(text, at);
  if (found.length == 0 || found.bytes[0] == text[at]) return best;
  const hit other = hit_of(static_cast<unsigned char>(found.bytes[0]), text, at, floor, reach);
  return other.end > best.end ? other : best;
}

literal_set::hit literal_set::hit_of(unsigned char first, std::string_view text, std::size_t at,
                                     std::size_t floor, std::size_t reach) const noexcept {
  hit best{at, at, 0};
  for (const std::uint16_t index : by_first_byte_[first]) {
    const needle& wanted = needles_[index];
    const std::string_view bytes = wanted.bytes.expose();
    std::size_t begin = at;
    std::size_t end = npos;
    switch (wanted.how) {
      case form::plain:
        end = text.compare(at, bytes.size(), bytes) == 0 ? at + bytes.size()
                                                         : match(text, at, bytes, identity);
        break;
      case form::hex: end = match_hex(text, at, bytes); break;
      case form::base64:
        end = match(text, at, bytes, base64_canon);
        if (end == npos) break;
        // The bits of the neighbours are bits of the secret: the whole block goes.
        while (begin > floor && is_base64(text[begin - 1])) --begin;
        if (end < reach) end = reach;  // walked along already
        while (end < text.size() && is_base64(text[end])) ++end;
        while (end < text.size() && text[end] == '=') ++end;
        break;
    }
    if (end == npos || end <= best.end) continue;
    best = {begin < best.begin ? begin : best.begin, end, wanted.literal};
  }
  return best;
}

literal_set::hit literal_set::find(std::string_view text, std::size_t from) const noexcept {
  for (std::size_t at = from; at < text.size(); ++at) {
    if (by_first_byte_[static_cast<unsigned char>(text[at])].empty() && !is_escape(text[at]))
      continue;
    hit found = hit_at(text, at, from, at);
    if (found.end == at) continue;
    for (std::size_t inside = at + 1; inside < found.end; ++inside) {
      const hit other = hit_at(text, inside, inside, found.end);
      if (other.end > found.end) found.end = other.end;
    }
    return found;
  }
  return {};
}

}  // namespace hawser::inline v0::detail
