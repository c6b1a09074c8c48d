// JSON (RFC 8259) read and written again member by member: what is not masked is copied byte for
// byte, and what is not JSON is not written at all.
#include "observe/masking_decode.hpp"
#include "observe/masking_patterns.hpp"
#include "observe/masking_rules.hpp"

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
    return std::move(out_);
  }

 private:
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
    const name_entry* told = nullptr;  // by {"name": "X-Api-Key", "value": "..."}
    for (;;) {
      if (peek() != '"' || !string(printed)) return false;
      const name_entry* entry =
          printed ? redaction_rules::find_part(rules_.fields, plain_) : nullptr;
      const bool tells = plain_ == "name" || plain_ == "key" || plain_ == "header";
      if (entry == nullptr && plain_ == "value") entry = told;
      skip_blanks();
      if (!take(':')) return false;
      skip_blanks();
      const bool text = peek() == '"';
      if (entry != nullptr ? !secret_value(depth + 1, *entry) : !value(depth + 1, printed))
        return false;
      if (tells && text && printed) told = named_by(plain_);
      skip_blanks();
      if (take('}')) return true;
      if (!take(',')) return false;
      skip_blanks();
    }
  }

  [[nodiscard]] const name_entry* named_by(std::string_view name) const noexcept {
    const name_entry* entry = redaction_rules::find_part(rules_.fields, name);
    return entry != nullptr ? entry : rules_.headers.find(name);
  }

  bool array(std::size_t depth, bool printed) {
    ++i_;
    skip_blanks();
    if (take(']')) return true;
    for (;;) {
      if (!value(depth + 1, printed)) return false;
      skip_blanks();
      if (take(']')) return true;
      if (!take(',')) return false;
      skip_blanks();
    }
  }

  /// The value of a member whose name says that it is secret, of whatever type.
  bool secret_value(std::size_t depth, const name_entry& entry) {
    const std::size_t begin = i_;
    const char first = peek();
    if (!value(depth, false)) return false;
    if (first == 'n') return true;  // null: there is no secret
    if (entry.style == mask_style::drop) {
      replace(begin, "null");
      return true;
    }
    std::string mark;
    if (first == '"')
      mark = rules_.credential(entry.style, plain_);
    else if (first == '{' || first == '[')
      mark = rules_.replacement(
          entry.style == mask_style::keyed_hash ? entry.style : mask_style::fixed,
          s_.substr(begin, i_ - begin));
    else
      mark = rules_.replacement(entry.style, s_.substr(begin, i_ - begin));
    std::string quoted;
    append_json_string(quoted, mark);
    replace(begin, quoted);
    return true;
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
  std::string plain_;  // the last string read, without escapes
  std::size_t i_ = 0;
  std::size_t copied_ = 0;  // what lies before is in out_
};

}  // namespace

std::optional<std::string> redaction_rules::json(std::string_view text) const {
  return json_masker(*this, text).run();
}

}  // namespace hawser::inline v0::detail
