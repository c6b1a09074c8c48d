// JSON (RFC 8259) read and written again member by member: what is not masked is copied byte for
// byte, and what is not JSON is not written at all.
#include "observe/masking_decode.hpp"
#include "observe/masking_patterns.hpp"
#include "observe/masking_rules.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace hawser::inline v0::detail {

namespace {

void append_json_string(std::string& to, std::string_view plain) {
  static constexpr char digits[] = "0123456789abcdef";
  to += '"';
  for (const char c : plain) {
    if (c == '"' || c == '\\') {
      to += '\\';
      to += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      to += "\\u00";
      to += digits[c >> 4];
      to += digits[c & 0xf];
    } else {
      to += c;
    }
  }
  to += '"';
}

class json_masker {
 public:
  json_masker(const redaction_rules& rules, std::string_view text) : rules_(rules), s_(text) {
    out_.reserve(text.size() + 16);
  }

  std::optional<std::string> run() {
    if (s_.starts_with("\xef\xbb\xbf")) i_ = 3;  // a byte order mark may be ignored: section 8.1
    skip_blanks();
    if (!value(0, true)) return std::nullopt;
    skip_blanks();
    if (i_ != s_.size()) return std::nullopt;
    out_.append(s_, copied_);
    if (!found_.empty()) mask_found();
    return std::move(out_);
  }

 private:
  /// A value that is written already when its name comes: where it stands, there and in `out_`.
  struct held_value {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::size_t out_begin = 0;
    std::size_t out_end = 0;
    const name_entry* entry = nullptr;
  };

  [[nodiscard]] char peek() const noexcept { return i_ < s_.size() ? s_[i_] : '\0'; }

  void skip_blanks() noexcept {
    while (i_ < s_.size() && (is_blank(s_[i_]) || is_break(s_[i_]))) ++i_;
  }

  bool take(char c) noexcept {
    if (peek() != c) return false;
    ++i_;
    return true;
  }

  /// Puts `with` in place of what was read since `begin`.
  void replace(std::size_t begin, std::string_view with) {
    out_.append(s_, copied_, begin - copied_);
    out_ += with;
    copied_ = i_;
  }

  /// Reads a value. Unless `printed`, checks its syntax only.
  bool value(std::size_t depth, bool printed) {
    switch (peek()) {
      case '{': return depth < rules_.max_depth && object(depth, printed);
      case '[': return depth < rules_.max_depth && array(depth, printed);
      case '"': return string(printed);
      case 't': return word("true");
      case 'f': return word("false");
      case 'n': return word("null");
      default: return number(printed);
    }
  }

  bool object(std::size_t depth, bool printed) {
    ++i_;
    skip_blanks();
    if (take('}')) return true;
    const name_entry* told = nullptr;  // by a member that names another
    const std::size_t first_held = held_.size();
    for (;;) {
      if (peek() != '"' || !string(printed)) return false;
      const name_entry* entry =
          printed ? redaction_rules::find_part(rules_.members, plain_) : nullptr;
      const bool tells = printed && tells_name(plain_);
      const bool held = entry == nullptr && printed && is_told_of(plain_);
      if (held) entry = told;
      skip_blanks();
      if (!take(':')) return false;
      skip_blanks();
      const std::size_t begin = i_;
      if (entry != nullptr ? !secret_value(depth + 1, *entry)
          : held           ? !hold_value(depth + 1)
                           : !value(depth + 1, printed))
        return false;
      if (tells)
        if (const name_entry* named = named_in(begin))
          if (told == nullptr || told->counts) told = named;  // a count tells less than a secret
      skip_blanks();
      if (take('}')) break;
      if (!take(',')) return false;
      skip_blanks();
    }
    if (told != nullptr)
      for (std::size_t i = first_held; i < held_.size(); ++i) {
        held_[i].entry = told;
        found_.push_back(held_[i]);
      }
    held_.resize(first_held);
    return true;
  }

  /// What the value that was read from `begin` on names: a string, which `plain_` is then, or a
  /// list of places such as ["body", "password"].
  [[nodiscard]] const name_entry* named_in(std::size_t begin) {
    if (s_[begin] == '"') return named_by(plain_);
    const std::size_t end = i_;
    if (s_[begin] != '[' || end - begin > 512) return nullptr;
    const name_entry* named = nullptr;
    for (i_ = begin; i_ < end && named == nullptr;) {
      if (s_[i_] != '"') {
        ++i_;
        continue;
      }
      string(false);
      named = named_by(plain_);
    }
    i_ = end;
    return named;
  }

  [[nodiscard]] const name_entry* named_by(std::string_view name) const {
    if (name.starts_with("#/")) name.remove_prefix(1);
    if (name.starts_with('/')) return on_the_way(name);
    const name_entry* entry = redaction_rules::find_part(rules_.members, name);
    return entry != nullptr ? entry : rules_.headers.find(name);
  }

  /// Of a pointer (RFC 6901) any part may tell: "/passwords/0", "/secrets/db".
  [[nodiscard]] const name_entry* on_the_way(std::string_view pointer) const {
    std::string part;
    for (std::size_t at = 0; at < pointer.size();) {
      const std::size_t end = std::min(pointer.find('/', at + 1), pointer.size());
      part.assign(pointer, at + 1, end - at - 1);
      for (std::size_t tilde = 0; (tilde = part.find('~', tilde)) < part.size() - 1; ++tilde)
        part.replace(tilde, 2, 1, part[tilde + 1] == '1' ? '/' : '~');
      if (const name_entry* entry = redaction_rules::find_part(rules_.members, part)) return entry;
      at = end;
    }
    return nullptr;
  }

  /// A value that may turn out to be secret before its object ends.
  bool hold_value(std::size_t depth) {
    held_value held{.begin = i_, .out_begin = write_out()};
    if (!value(depth, true)) return false;
    held.end = i_;
    held.out_end = write_out();
    held_.push_back(held);
    return true;
  }

  std::size_t write_out() {
    out_.append(s_, copied_, i_ - copied_);
    copied_ = i_;
    return out_.size();
  }

  /// Once for all of them, and not for those within others: so the time stays linear.
  void mask_found() {
    std::sort(found_.begin(), found_.end(),
              [](const held_value& a, const held_value& b) { return a.out_begin < b.out_begin; });
    std::string clean;
    std::size_t done = 0;
    for (const held_value& held : found_) {
      if (held.out_begin < done) continue;
      i_ = held.begin;
      if (s_[i_] == '"') string(false);
      const std::optional<std::string> with = mark(*held.entry, held.begin, held.end);
      if (!with) continue;
      clean.append(out_, done, held.out_begin - done).append(*with);
      done = held.out_end;
    }
    out_ = clean.append(out_, done);
  }

  /// ["x-api-key", "..."] is a pair of a name and its value; of longer lists only names of header
  /// fields tell, as Node's rawHeaders have them.
  bool array(std::size_t depth, bool printed) {
    ++i_;
    skip_blanks();
    if (take(']')) return true;
    const name_entry* named = nullptr;
    const name_entry* pair = nullptr;
    bool pair_of_header = false;
    held_value second;
    for (std::size_t count = 1;; ++count) {
      const bool text = peek() == '"';
      const bool of_header = named != nullptr && header_;
      const bool in_list = of_header && count > 2;
      const bool in_pair = named != nullptr && count == 2;
      if (in_pair || in_list) {
        held_value held;
        if (!pair_value(depth + 1, *named, in_list, held)) return false;
        if (in_pair) second = held;
        if (in_pair && second.end != 0) pair = named;
        pair_of_header = in_pair ? of_header : pair_of_header;
      } else if (!value(depth + 1, printed)) {
        return false;
      }
      const bool masked_now = in_list || in_pair;
      named = printed && text && !(masked_now && count != 2) ? name_of_pair() : nullptr;
      skip_blanks();
      if (take(']')) {
        if (pair != nullptr && (count == 2 || pair_of_header)) {
          second.entry = pair;
          found_.push_back(second);
        }
        return true;
      }
      if (!take(',')) return false;
      skip_blanks();
    }
  }

  /// Whether the string just read names what follows it in a list.
  [[nodiscard]] const name_entry* name_of_pair() {
    if (plain_.size() > 64) return nullptr;
    header_ = rules_.headers.find(plain_) != nullptr;
    const name_entry* entry = named_by(plain_);
    return entry != nullptr && entry->sure != certainty::enclosed ? entry : nullptr;
  }

  /// The value behind a name in a list: masked now, or held until it is known how long the list is.
  bool pair_value(std::size_t depth, const name_entry& entry, bool now, held_value& held) {
    const std::size_t begin = i_;
    const bool text = peek() == '"';
    held.begin = begin;
    held.out_begin = write_out();
    if (!value(depth, true)) return false;
    held.out_end = write_out();
    if (text) {
      i_ = begin;
      string(false);
      // A list of names: ["password", "token"].
      const bool also_name = name_of_pair() != nullptr;
      const bool digit = std::any_of(plain_.begin(), plain_.end(), is_digit);
      if (also_name || (entry.sure != certainty::always && !digit)) return true;
    }
    held.end = i_;
    held.entry = &entry;
    if (!now) return true;
    found_.push_back(held);
    return true;
  }

  /// The value of a member whose name says that it is secret, of whatever type.
  bool secret_value(std::size_t depth, const name_entry& entry) {
    const std::size_t begin = i_;
    if (entry.counts && (is_digit(peek()) || peek() == '-')) return value(depth, true);
    if (!value(depth, false)) return false;
    if (const std::optional<std::string> with = mark(entry, begin, i_)) replace(begin, *with);
    return true;
  }

  /// What takes the place of the value [begin, end), if anything does; `plain_` is a string's text.
  [[nodiscard]] std::optional<std::string> mark(const name_entry& entry, std::size_t begin,
                                                std::size_t end) const {
    const char first = s_[begin];
    const std::string_view raw = s_.substr(begin, end - begin);
    if (first == 'n') return std::nullopt;  // null: there is no secret
    if (entry.counts && (is_digit(first) || first == '-')) return std::nullopt;
    if (entry.style == mask_style::drop) return "null";
    std::string with;
    if (first == '"')
      with = rules_.credential(entry.style, plain_);
    else if (first == '{' || first == '[')
      with = rules_.replacement(
          entry.style == mask_style::keyed_hash ? entry.style : mask_style::fixed, raw);
    else
      with = rules_.replacement(entry.style, raw);
    std::string quoted;
    append_json_string(quoted, with);
    return quoted;
  }

  /// Reads a string into `plain_`; masks what is found in it.
  bool string(bool printed) {
    const std::size_t begin = i_++;
    bool escaped = false;
    plain_.clear();
    for (;;) {
      const std::size_t run = i_;
      while (i_ < s_.size() && s_[i_] != '"' && s_[i_] != '\\' &&
             static_cast<unsigned char>(s_[i_]) >= 0x20)
        ++i_;
      plain_.append(s_, run, i_ - run);
      if (take('"')) break;
      if (!take('\\') || !escape_sequence()) return false;
      escaped = true;
    }
    if (!printed) return true;
    std::string clean;
    const std::string_view raw = s_.substr(begin + 1, i_ - begin - 2);
    if (!rules_.scan(escaped ? std::string_view(plain_) : raw, clean)) return true;
    std::string quoted;
    append_json_string(quoted, clean);
    replace(begin, quoted);
    return true;
  }

  /// What follows a backslash.
  bool escape_sequence() {
    const char c = peek();
    ++i_;
    switch (c) {
      case '"':
      case '\\':
      case '/': plain_ += c; return true;
      case 'b': plain_ += '\b'; return true;
      case 'f': plain_ += '\f'; return true;
      case 'n': plain_ += '\n'; return true;
      case 'r': plain_ += '\r'; return true;
      case 't': plain_ += '\t'; return true;
      case 'u': break;
      default: return false;
    }
    const int unit = hex4(s_, i_);
    if (unit < 0) return false;
    i_ += 4;
    char32_t point = static_cast<char32_t>(unit);
    if (unit >= 0xd800 && unit < 0xdc00 && s_.substr(i_).starts_with("\\u")) {
      const int low = hex4(s_, i_ + 2);
      if (low >= 0xdc00 && low < 0xe000) {
        point = 0x10000 + ((point - 0xd800) << 10) + (static_cast<char32_t>(low) - 0xdc00);
        i_ += 6;
      }
    }
    append_utf8(plain_, point);
    return true;
  }

  bool word(std::string_view expected) {
    if (!s_.substr(i_).starts_with(expected)) return false;
    i_ += expected.size();
    return true;
  }

  bool number(bool printed) {
    const std::size_t begin = i_;
    take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      if (!digits()) return false;
    }
    std::string clean;
    if (!printed || !rules_.scan(s_.substr(begin, i_ - begin), clean)) return true;
    std::string quoted;
    append_json_string(quoted, clean);
    replace(begin, quoted);
    return true;
  }

  bool digits() noexcept {
    const std::size_t begin = i_;
    while (is_digit(peek())) ++i_;
    return i_ != begin;
  }

  const redaction_rules& rules_;
  std::string_view s_;
  std::string out_;
  std::string plain_;              // the last string read, without escapes
  std::vector<held_value> held_;   // of the objects that are open
  std::vector<held_value> found_;  // those to be masked
  std::size_t i_ = 0;
  std::size_t copied_ = 0;  // what lies before is in out_
  bool header_ = false;     // whether the name last seen in a list is a header field's
};

}  // namespace

std::optional<std::string> redaction_rules::json(std::string_view text) const {
  return json_masker(*this, text).run();
}

}  // namespace hawser::inline v0::detail
