// Names of secrets in free text, and how far the value behind one goes.
#include "observe/masking_decode.hpp"
#include "observe/masking_patterns.hpp"
#include "observe/masking_scanner.hpp"

#include <algorithm>

namespace hawser::inline v0::detail {

namespace {

constexpr bool is_name_char(char c) noexcept {
  return is_word(c) || is_non_ascii(c) || c == '-' || c == '.' || c == '%' || c == '\\' ||
         c == '[' || c == ']' || c == '"' || c == '\'' || c == '$';
}

constexpr std::string_view ends_value = ",;:.)}]>&";

/// The bytes of a name with its escapes resolved. "\n" before a name may be a line break in an
/// escaped text or a path that ends so: `breaks` says which.
std::string decode_name(std::string_view run, bool breaks) {
  std::string name;
  for (std::size_t i = 0; i < run.size();) {
    const char c = run[i];
    escape found;
    if (c == '%') found = percent_escape(run, i);
    if (c == '\\') found = backslash_escape(run, i);
    const bool is_control = found.count == 1 && static_cast<unsigned char>(found.bytes[0]) < ' ';
    if (found.length == 0 || (is_control && !breaks && c == '\\')) {
      name += c;
      ++i;
      continue;
    }
    name.append(found.bytes.data(), found.count);
    i += found.length;
  }
  return name;
}

}  // namespace

scanner::found_name scanner::name_before(std::size_t end, char separator, bool adjacent) const {
  const std::size_t floor = std::max(copied_, separator_end_);
  std::size_t begin = end;
  while (begin > floor && end - begin < name_reach && is_name_char(s_[begin - 1])) --begin;
  if (begin == end) return {};
  const std::string_view run = s_.substr(begin, end - begin);
  const char before = begin == 0 ? '\0' : s_[begin - 1];
  const bool escaped = run.find_first_of("\\%") != npos;
  const bool enclosed = is_quote(run.back());
  for (const bool breaks : {true, false}) {
    const std::string decoded = escaped ? decode_name(run, breaks) : std::string(run);
    found_name found;
    found.in_query = before == '?' || before == '&' || decoded.find_first_of("?&") != npos;
    found.entry = redaction_rules::find_part(rules_.anywhere, decoded);
    const auto is_sure = [&](const name_entry& e) {
      if (e.sure == certainty::always) return true;
      if (e.sure == certainty::equals && separator == '=' && adjacent) return true;
      return (enclosed && redaction_rules::find_part(rules_.fields, decoded) != nullptr) ||
             (found.in_query && redaction_rules::find_part(rules_.parameters, decoded) != nullptr);
    };
    if (found.entry != nullptr && !is_sure(*found.entry)) found.entry = nullptr;
    if (found.entry == nullptr && is_blank(before) && !enclosed) {
      found.entry = two_words(begin, run);
      if (found.entry != nullptr && found.entry->sure != certainty::always) found.entry = nullptr;
    }
    if (found.entry != nullptr) {
      const std::size_t quote = decoded.find_first_of("\"'");
      if (!enclosed && quote != npos && decoded.find_first_of("\"'", quote + 1) == npos)
        found.open_quote = decoded[quote];
      return found;
    }
    if (!escaped) break;
  }
  return {};
}

const name_entry* scanner::two_words(std::size_t begin, std::string_view last) const {
  std::size_t p = begin - 1;
  while (p > copied_ && begin - p < 32 && is_word(s_[p - 1])) --p;
  if (p == begin - 1) return nullptr;
  return rules_.anywhere.find(std::string(s_.substr(p, begin - 1 - p)).append(last));
}

void scanner::assign(std::size_t at, std::size_t length, char separator) {
  i_ = at + length;
  if (separator == ':' && s_.substr(i_).starts_with(':')) {
    ++i_;  // a::b is a name
    return;
  }
  if (separator == ':' && authority(i_, true)) return;
  if (!rules_.patterns.assignments || i_ >= s_.size()) return;
  std::size_t end = at;
  while (end > copied_ && at - end < 4 && is_blank(s_[end - 1])) --end;
  const found_name name = name_before(end, separator, end == at);
  separator_end_ = i_;
  if (name.entry == nullptr) {
    if (end > copied_ && is_quote(s_[end - 1])) member(end);
    return;
  }
  std::size_t value = i_;
  for (int more = 0; more < 2 && value < s_.size() && (s_[value] == '=' || s_[value] == '>');
       ++more)
    ++value;
  if (!name.in_query)
    for (int gap = 0; gap < 8 && value < s_.size() && is_space(s_[value]); ++gap) ++value;
  if (value >= s_.size()) return;
  if (separator == ':' && !name.in_query && block(i_, name)) return;
  mask_value(value, name, separator);
}

/// YAML: a block scalar ("password: |" and the lines that are indented further) or a list of
/// "- item" lines. `from` is behind the ':'. True if one was masked.
bool scanner::block(std::size_t from, const found_name& name) {
  std::size_t p = from;
  while (p < s_.size() && is_blank(s_[p])) ++p;
  const bool scalar = p < s_.size() && (s_[p] == '|' || s_[p] == '>');
  if (scalar)
    while (p < s_.size() && p - from < 16 && !is_break(s_[p])) ++p;
  if (p >= s_.size() || !is_break(s_[p])) return false;
  std::size_t line = from;  // where the name's line begins
  while (line > 0 && from - line < name_reach && !is_break(s_[line - 1])) --line;
  const auto indent_at = [this](std::size_t at) {
    std::size_t count = 0;
    while (at + count < s_.size() && count < 64 && is_blank(s_[at + count])) ++count;
    return count;
  };
  const std::size_t outer = indent_at(line);
  const std::size_t first = next_line(p);
  const std::size_t inner = indent_at(first);
  if (first + inner >= s_.size()) return false;
  const bool list = s_.substr(first + inner, 2) == "- ";
  if (list ? inner < outer : !scalar || inner <= outer) return false;
  std::size_t end = first;
  for (std::size_t at = first; at < s_.size();) {
    const std::size_t indent = indent_at(at);
    const std::size_t stop = std::min(s_.find_first_of("\r\n", at), s_.size());
    const bool blank = at + indent >= stop;
    const bool inside =
        list ? indent >= inner && s_.substr(at + indent, 2) == "- " : indent >= inner;
    if (!blank && !inside) break;
    if (!blank) end = stop;
    at = next_line(stop);
  }
  const std::size_t begin = first + inner + (list ? 2 : 0);
  if (end <= begin) return false;
  put(begin, end, rules_.replacement(name.entry->style, s_.substr(begin, end - begin)));
  return true;
}

/// Behind the line break at `at`.
std::size_t scanner::next_line(std::size_t at) const {
  if (at < s_.size() && s_[at] == '\r') ++at;
  if (at < s_.size() && s_[at] == '\n') ++at;
  return at;
}

/// A member of an object in text whose name, in quotes, ends before `end`.
void scanner::member(std::size_t end) {
  std::size_t last = end - 1;
  while (last > copied_ && s_[last - 1] == '\\') --last;
  std::size_t begin = last;
  while (begin > copied_ && last - begin < 24 && is_word(s_[begin - 1])) --begin;
  if (begin != last) static_cast<void>(told(s_.substr(begin, last - begin), i_));
}

void scanner::mask_value(std::size_t begin, const found_name& name, char separator) {
  const name_entry& entry = *name.entry;
  std::size_t inside = begin;
  std::size_t end = npos;
  while (inside < s_.size() && s_[inside] == '\\' && inside - begin < 8) ++inside;
  if (inside < s_.size() && is_quote(s_[inside])) {
    end = closing_quote(inside, inside - begin);
    ++inside;
  } else {
    inside = begin;
    const bool marked = rules_.mark_length(s_.substr(begin)) != 0;
    if (!marked && (s_[begin] == '{' || s_[begin] == '['))
      end = end_of_word(begin, closing_bracket(begin), name);
    else if (!name.in_query && (entry.wide || (entry.header && separator == ':')))
      end = end_of_line(begin, name.open_quote);
    else
      end = end_of_word(begin, begin + rules_.mark_length(s_.substr(begin)), name);
    if (end > begin && redaction_rules::is_count(entry, s_.substr(begin, end - begin))) return;
  }
  if (end <= inside) {
    i_ = std::max(i_, end);
    return;
  }
  if (is_placeholder(s_.substr(inside, end - inside))) return;
  put(inside, end, rules_.credential(entry.style, s_.substr(inside, end - inside)));
}

std::size_t scanner::closing_quote(std::size_t open, std::size_t escapes) const {
  const char quote = s_[open];
  std::size_t backslashes = 0;
  for (std::size_t p = open + 1; p < s_.size(); ++p) {
    if (s_[p] == '\\') {
      ++backslashes;
      continue;
    }
    if (s_[p] == quote) {
      const bool closes = escapes == 0 ? backslashes % 2 == 0 : backslashes <= escapes;
      if (closes && escapes == 0 && p + 1 < s_.size() && s_[p + 1] == quote) {
        ++p;
      } else if (closes) {
        return p - std::min(backslashes, escapes);
      }
    }
    backslashes = 0;
  }
  return s_.size();
}

std::size_t scanner::closing_bracket(std::size_t open) const {
  std::size_t depth = 0;
  for (std::size_t p = open; p < s_.size(); ++p) {
    const char c = s_[p];
    if (c == '"') {
      p = closing_quote(p, 0);
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      return p + 1;
    }
  }
  return s_.size();
}

std::size_t scanner::end_of_parameter(std::size_t from, std::size_t open) const {
  if (open == from || s_[open - 1] != '=') return npos;
  std::size_t name = open - 1;
  while (name > from && open - name < 20 &&
         (is_alpha(s_[name - 1]) || s_[name - 1] == '_' || s_[name - 1] == '-'))
    --name;
  if (name == open - 1 || name == from || (!is_blank(s_[name - 1]) && s_[name - 1] != ','))
    return npos;
  std::size_t close = open + 1;
  while (close < s_.size() && s_[close] != s_[open] && !is_break(s_[close])) ++close;
  return close < s_.size() && s_[close] == s_[open] ? close : npos;
}

std::size_t scanner::end_of_line(std::size_t from, char open_quote) const {
  std::size_t p = from;
  for (; p < s_.size(); ++p) {
    if (open_quote != 0 && s_[p] == open_quote) {
      const std::size_t inner = end_of_parameter(from, p);
      if (inner == npos) break;
      p = inner;
      continue;
    }
    if (!is_break(s_[p])) continue;
    std::size_t next = p + 1;
    if (s_[p] == '\r' && next < s_.size() && s_[next] == '\n') ++next;
    if (next >= s_.size() || !is_blank(s_[next])) break;
    p = next;
  }
  while (p > from && is_space(s_[p - 1])) --p;
  return p;
}

bool scanner::pair_at(std::size_t from) const {
  std::size_t p = from;
  while (p < s_.size() && p - from < 32 && (is_word(s_[p]) || s_[p] == '-' || s_[p] == '.')) ++p;
  return p > from && p < s_.size() && s_[p] == '=';
}

std::size_t scanner::end_of_word(std::size_t from, std::size_t p, const found_name& name) const {
  std::size_t word = from;
  for (; p < s_.size(); ++p) {
    const char c = s_[p];
    if (is_space(c)) {
      // "Bearer xyz" goes on behind the scheme.
      const bool scheme =
          word == from && p - from < 24 && is_auth_scheme(s_.substr(from, p - from));
      if (!scheme || name.in_query || p + 1 >= s_.size() || is_space(s_[p + 1])) break;
      word = p + 1;
      p += rules_.mark_length(s_.substr(word));
      continue;
    }
    if (name.in_query && (c == '&' || c == ';' || c == '#' || is_quote(c) || c == '<' || c == '>'))
      break;
    if (name.open_quote != 0 && c == name.open_quote) break;
    if (is_quote(c) || std::string_view("&;,)}]>").find(c) != npos) {
      // Part of the value when more of it follows: passwords have such characters.
      const char next = p + 1 < s_.size() ? s_[p + 1] : ' ';
      if (is_space(next) || is_quote(next) || ends_value.find(next) != npos) break;
      if ((c == '&' || c == ';' || c == ',') && pair_at(p + 1)) break;
    }
  }
  return p;
}

}  // namespace hawser::inline v0::detail
