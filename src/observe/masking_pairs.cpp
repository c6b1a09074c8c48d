// Names and values that stand next to each other in free text without '=' or ':' between them:
// ("x-api-key", "..."), {"name": "Authorization", "value": "..."}, --password ...
#include "observe/masking_decode.hpp"
#include "observe/masking_scanner.hpp"

#include <algorithm>

namespace hawser::inline v0::detail {

namespace {

constexpr std::size_t value_reach = 256;  // how far a name behind its value is looked for

constexpr bool is_key_char(char c) noexcept {
  return is_word(c) || c == '-' || c == '.' || c == '/' || c == '[' || c == ']' || c == '$' ||
         c == '#' || c == ' ';
}

std::size_t skip_blanks(std::string_view text, std::size_t at) noexcept {
  for (int n = 0; n < 16 && at < text.size() && is_space(text[at]); ++n) ++at;
  return at;
}

/// A short string in quotes, which may be escaped, "b" before it: where its text stands and ends,
/// and where what follows the closing quote begins. No end of 0: there is none.
struct quoted {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t behind = 0;
};

quoted quoted_at(std::string_view text, std::size_t at) noexcept {
  if (at + 1 < text.size() && (text[at] == 'b' || text[at] == 'u') && is_quote(text[at + 1])) ++at;
  std::size_t open = at;
  while (open < text.size() && text[open] == '\\' && open - at < 8) ++open;
  if (open >= text.size() || !is_quote(text[open])) return {};
  std::size_t end = open + 1;
  while (end < text.size() && end - open < name_reach && is_key_char(text[end])) ++end;
  std::size_t behind = end;
  while (behind < text.size() && text[behind] == '\\' && behind - end < 8) ++behind;
  if (behind >= text.size() || text[behind] != text[open] || end == open + 1) return {};
  return {open + 1, end, behind + 1};
}

}  // namespace

const name_entry* scanner::entry_of(std::string_view name) const {
  if (name.starts_with('/') || name.starts_with("#/")) {
    const std::size_t part = name.rfind('/');
    return redaction_rules::find_part(rules_.anywhere, name.substr(part + 1));
  }
  const name_entry* entry = redaction_rules::find_part(rules_.anywhere, name);
  return entry != nullptr && entry->sure != certainty::enclosed ? entry : nullptr;
}

/// The string in quotes that ends before `end`, if it is a secret's name.
const name_entry* scanner::quoted_name_before(std::size_t end) const {
  while (end > copied_ && is_space(s_[end - 1])) --end;
  if (end <= copied_ || !is_quote(s_[end - 1])) return nullptr;
  const char quote = s_[--end];
  while (end > copied_ && s_[end - 1] == '\\') --end;
  std::size_t begin = end;
  while (begin > copied_ && end - begin < name_reach && is_key_char(s_[begin - 1])) --begin;
  std::size_t open = begin;
  while (open > copied_ && s_[open - 1] == '\\') --open;
  if (begin == end || begin == 0 || (s_[begin - 1] != quote && s_[begin - 1] != '\\'))
    return nullptr;
  return entry_of(s_.substr(begin, end - begin));
}

/// A comma: ("x-api-key", "..."), ['cookie', '...'].
void scanner::comma() {
  const std::size_t at = i_++;
  if (!rules_.patterns.assignments) return;
  std::size_t end = at;
  while (end > copied_ && at - end < 4 && is_blank(s_[end - 1])) --end;
  if (end <= copied_ || !is_quote(s_[end - 1])) return;
  const name_entry* entry = quoted_name_before(end);
  if (entry == nullptr) return;
  const std::size_t value = skip_blanks(s_, at + 1);
  if (const quoted next = quoted_at(s_, value); next.end != 0) {
    // The next member of an object, or a list of names.
    if (s_.substr(skip_blanks(s_, next.behind), 1) == ":") return;
    const std::string_view text = s_.substr(next.begin, next.end - next.begin);
    if (entry_of(text) != nullptr) return;
    if (entry->sure != certainty::always && std::none_of(text.begin(), text.end(), is_digit))
      return;
  }
  put_quoted(value, *entry);
}

/// Masks the string in quotes at `at`.
bool scanner::put_quoted(std::size_t at, const name_entry& entry) {
  if (at + 1 < s_.size() && (s_[at] == 'b' || s_[at] == 'u') && is_quote(s_[at + 1])) ++at;
  std::size_t open = at;
  while (open < s_.size() && s_[open] == '\\' && open - at < 8) ++open;
  if (open >= s_.size() || !is_quote(s_[open])) return false;
  const std::size_t end = closing_quote(open, open - at);
  if (end <= open + 1) return false;
  if (redaction_rules::is_count(entry, s_.substr(open + 1, end - open - 1))) return false;
  if (is_placeholder(s_.substr(open + 1, end - open - 1))) return false;
  put(open + 1, end, rules_.credential(entry.style, s_.substr(open + 1, end - open - 1)));
  return true;
}

/// Members that tell of others: the name is `member`, its value begins at `at`. True if the value
/// was masked.
bool scanner::told(std::string_view member, std::size_t at) {
  const std::size_t value = skip_blanks(s_, at);
  if (tells_name(member)) {
    if (const name_entry* named = named_at(value)) {
      told_ = named;
      told_end_ = value + value_reach + name_reach;
    }
    return false;
  }
  if (!is_told_of(member)) return false;
  const name_entry* entry = at < told_end_ ? told_ : named_behind(value);
  if (entry == nullptr) return false;
  told_end_ = 0;
  if (put_quoted(value, *entry)) return true;
  found_name name;
  name.entry = entry;
  if (value >= s_.size() || is_quote(s_[value])) return false;
  mask_value(value, name, ',');
  return true;
}

/// The secret's name that the string or list at `at` has.
const name_entry* scanner::named_at(std::size_t at) const {
  const bool list = at < s_.size() && s_[at] == '[';
  if (list) ++at;
  for (int n = 0; n < (list ? 8 : 1); ++n) {
    at = skip_blanks(s_, at);
    const quoted one = quoted_at(s_, at);
    if (one.end != 0) {
      if (const name_entry* entry = entry_of(s_.substr(one.begin, one.end - one.begin)))
        return entry;
      at = skip_blanks(s_, one.behind);
    } else {
      while (at < s_.size() && is_digit(s_[at])) ++at;
    }
    if (s_.substr(at, 1) != ",") break;
    ++at;
  }
  return nullptr;
}

/// The name in a member behind the value at `at`, of the same object: {"value": "...", "name":
/// ...}.
const name_entry* scanner::named_behind(std::size_t at) {
  if (at < told_none_before_) return nullptr;
  std::size_t p = at;
  const std::size_t stop = std::min(s_.size(), at + value_reach);
  while (p < stop && s_[p] != '}') {
    if (!is_quote(s_[p])) {
      ++p;
      continue;
    }
    const quoted one = quoted_at(s_, p);
    if (one.end == 0) {
      ++p;
      continue;
    }
    const std::size_t colon = skip_blanks(s_, one.behind);
    if (s_.substr(colon, 1) == ":" && tells_name(s_.substr(one.begin, one.end - one.begin)))
      if (const name_entry* entry = named_at(skip_blanks(s_, colon + 1))) return entry;
    p = one.behind;
  }
  told_none_before_ = p > at + 64 ? p - 64 : at;
  return nullptr;
}

/// "--password v", "-password v": the dashes are at `i_`. True if a value was masked.
bool scanner::option() {
  if (!rules_.patterns.assignments || (i_ != 0 && (is_word(s_[i_ - 1]) || s_[i_ - 1] == '-')))
    return false;
  std::size_t begin = i_;
  while (begin < s_.size() && s_[begin] == '-' && begin - i_ < 2) ++begin;
  if (begin >= s_.size() || !is_alpha(s_[begin])) return false;
  std::size_t end = begin;
  while (end < s_.size() && end - begin < name_reach && (is_word(s_[end]) || s_[end] == '-')) ++end;
  if (end == begin || end >= s_.size() || !is_blank(s_[end])) return false;
  const name_entry* entry =
      redaction_rules::find_part(rules_.anywhere, s_.substr(begin, end - begin));
  if (entry == nullptr || entry->sure == certainty::enclosed) return false;
  const std::size_t value = skip_blanks(s_, end);
  if (value >= s_.size() || s_[value] == '-' || is_break(s_[value - 1])) return false;
  if (put_quoted(value, *entry)) return true;
  found_name name;
  name.entry = entry;
  const std::size_t before = i_;
  mask_value(value, name, '=');
  return i_ != before;
}

}  // namespace hawser::inline v0::detail
