#include "observe/masking_decode.hpp"
#include "observe/masking_patterns.hpp"
#include "observe/masking_scanner.hpp"

#include <algorithm>
#include <array>

namespace hawser::inline v0::detail {

namespace {

enum class kind : std::uint8_t {
  other,
  word,
  assign,   // = :
  at,       // @
  dash,     // -
  percent,  // %
  backslash,
  less,     // <
  bracket,  // [
  slash,    // /
  comma,    // ,
  ampersand,
};

constexpr std::array<kind, 256> kinds = [] {
  std::array<kind, 256> table{};
  for (std::size_t i = 0; i < 128; ++i)
    if (is_word(static_cast<char>(i))) table[i] = kind::word;
  table['='] = kind::assign;
  table[':'] = kind::assign;
  table['@'] = kind::at;
  table['-'] = kind::dash;
  table['%'] = kind::percent;
  table['\\'] = kind::backslash;
  table['<'] = kind::less;
  table['['] = kind::bracket;
  table['/'] = kind::slash;
  table[','] = kind::comma;
  table['&'] = kind::ampersand;
  return table;
}();

}  // namespace

bool scanner::run(std::string& to) {
  while (i_ < s_.size()) {
    switch (kinds[static_cast<unsigned char>(s_[i_])]) {
      case kind::other: ++i_; break;
      case kind::word: word(); break;
      case kind::assign: assign(i_, 1, s_[i_]); break;
      case kind::at: email(i_, 1); break;
      case kind::dash: dash(); break;
      case kind::percent: percent(); break;
      case kind::backslash: backslash(); break;
      case kind::less: element(1); break;
      case kind::ampersand: entity(); break;
      case kind::slash: slash(1); break;
      case kind::comma: comma(); break;
      case kind::bracket: i_ += std::max<std::size_t>(rules_.mark_length(s_.substr(i_)), 1); break;
    }
  }
  if (!changed_) return false;
  out_.append(s_, copied_);
  to = std::move(out_);
  return true;
}

void scanner::put(std::size_t begin, std::size_t end, const std::string& with) {
  i_ = std::max(end, i_ + 1);
  if (s_.substr(begin, end - begin) == with) return;
  out_.append(s_, copied_, begin - copied_);
  out_ += with;
  copied_ = end;
  i_ = end;
  changed_ = true;
}

void scanner::dash() {
  if (rules_.patterns.private_key) {
    const std::size_t end = match_private_key(s_, i_);
    if (end != npos) {
      put(i_, end, rules_.replacement(*rules_.patterns.private_key, s_.substr(i_, end - i_)));
      return;
    }
  }
  if (!option()) ++i_;
}

void scanner::percent() {
  const escape found = percent_escape(s_, i_);
  if (found.length == 0) {
    ++i_;
    return;
  }
  const char c = found.bytes[0];
  const std::size_t end = i_ + found.length;
  if (c == '=' || c == ':')
    assign(i_, found.length, c);
  else if (c == '@')
    email(i_, found.length);
  else if (c == '/')
    slash(found.length);
  else if (c == '<')
    element(found.length);
  else
    skip_escape(found.length, is_word(c) || c == '+' || c == '.' || c == '-');
  last_escape_ = {end, c};
}

void scanner::skip_escape(std::size_t length, bool in_word) {
  i_ += length;
  if (!in_word) escape_end_ = i_;
}

void scanner::backslash() {
  const escape found = backslash_escape(s_, i_);
  if (found.length == 0) {
    ++i_;
    return;
  }
  const char c = found.bytes[0];
  const std::size_t end = i_ + found.length;
  if (found.count == 1 && (c == '=' || c == ':'))
    assign(i_, found.length, c);
  else if (found.count == 1 && c == '@')
    email(i_, found.length);
  else if (found.count == 1 && c == '/')
    slash(found.length);
  else if (found.count == 1 && c == '<')
    element(found.length);
  else
    skip_escape(found.length, found.count > 1 || is_word(c));
  last_escape_ = {end, c};
}

/// "<", as it is or as an entity, `length` long: <password>hunter2</password>.
void scanner::element(std::size_t length) {
  const std::size_t begin = i_ + length;
  i_ = begin;
  if (!rules_.patterns.assignments) return;
  std::size_t p = begin;
  while (p < s_.size() && p - begin < name_reach &&
         (is_word(s_[p]) || s_[p] == ':' || s_[p] == '.' || s_[p] == '-'))
    ++p;
  const std::string_view name = s_.substr(begin, p - begin);
  if (name.empty() || p >= s_.size()) return;
  const auto bracket = [this](std::size_t at) -> std::size_t {  // the length of a '>'
    if (at >= s_.size()) return 0;
    if (s_[at] == '>') return 1;
    const escape e = any_escape(s_, at);
    return e.length != 0 && e.bytes[0] == '>' ? e.length : 0;
  };
  if (bracket(p) == 0) {
    if (!is_space(s_[p])) return;
    const std::size_t close = s_.substr(p, 256).find_first_of("<>&");
    if (close == npos || bracket(p + close) == 0 || s_[p + close - 1] == '/') return;
    p += close;
  }
  const name_entry* entry = redaction_rules::find_part(rules_.anywhere, name);
  if (entry == nullptr) return;
  const std::size_t value = p + bracket(p);
  static constexpr std::string_view cdata = "<![CDATA[";
  if (s_.substr(value).starts_with(cdata)) {
    const std::size_t inside = value + cdata.size();
    const std::size_t end = std::min(s_.find("]]>", inside), s_.size());
    put(inside, end, rules_.replacement(entry->style, s_.substr(inside, end - inside)));
    return;
  }
  const std::size_t end = end_of_element(value);
  if (end == npos || end == value) return;
  const std::string_view plain = s_.substr(value, end - value);
  if (redaction_rules::is_count(*entry, plain) || is_placeholder(plain)) return;
  put(value, end, rules_.replacement(entry->style, plain));
}

/// Where the text of an element ends: at "</", escaped or not; of one that was cut, at its end or
/// the end of the line. npos: other elements stand in it.
std::size_t scanner::end_of_element(std::size_t from) const {
  // "a <token> is needed": only the end of an element can tell that this is one.
  const bool set_off = from < s_.size() && is_space(s_[from]);
  std::size_t line = npos;
  for (std::size_t p = from; p < s_.size(); ++p) {
    if (is_break(s_[p]) && line == npos) line = p;
    std::size_t length = s_[p] == '<' ? 1 : 0;
    if (length == 0 && (s_[p] == '&' || s_[p] == '\\' || s_[p] == '%')) {
      const escape e = any_escape(s_, p);
      if (e.length != 0 && e.count == 1 && e.bytes[0] == '<') length = e.length;
    }
    if (length == 0) continue;
    const std::size_t slash = p + length;
    if (slash >= s_.size() || s_[slash] == '/' || s_[slash] == '\\' || s_[slash] == '%') return p;
    return set_off ? npos : line;  // another element begins
  }
  if (set_off) return npos;
  return line == npos || s_.find_first_not_of(" \t\r\n", line) == npos ? s_.size() : line;
}

/// An entity: "&lt;password&gt;", "password&#61;x".
void scanner::entity() {
  const escape found = entity_escape(s_, i_);
  if (found.length == 0 || found.count != 1) {
    ++i_;
    return;
  }
  switch (found.bytes[0]) {
    case '<': element(found.length); break;
    case '=':
    case ':': assign(i_, found.length, found.bytes[0]); break;
    case '@': email(i_, found.length); break;
    default: i_ += found.length;
  }
}

char scanner::before() const {
  if (changed_ && i_ == copied_) return out_.empty() ? ' ' : out_.back();
  if (i_ == 0) return ' ';
  return last_escape_.end == i_ ? last_escape_.meaning : s_[i_ - 1];
}

void scanner::slash(std::size_t length) {
  const char c = before();
  const bool in_path = is_word(c) || c == '/' || c == '.' || c == '~' || c == ']';
  const std::size_t end = i_ + length;
  if (!in_path && authority(i_, false)) return;
  i_ = end;
  escape_end_ = end;
}

void scanner::cut_user_info(std::size_t scheme, std::size_t begin) {
  std::size_t first = scheme;
  while (first > 0 && scheme - first < 24 && (is_word(s_[first - 1]) || s_[first - 1] == '+'))
    --first;
  const std::string_view name = s_.substr(first, scheme - first);
  const bool web = name.size() < 2 || name.starts_with("http") || name.starts_with("ws");
  if (begin >= s_.size() || s_[begin] == '[') return;
  std::size_t colon = npos;
  std::size_t p = begin;
  for (; p < s_.size() && p - begin < 512; ++p) {
    const char c = s_[p];
    if (c == ':' && colon == npos) colon = p;
    if (c == '/' || c == '?' || c == '#' || c == '<' || c == '>' || c == '\\' || is_quote(c) ||
        is_space(c))
      break;
  }
  if (colon == npos || colon + 1 >= p) return;
  const std::string_view behind = s_.substr(colon + 1, p - colon - 1);
  const std::size_t digits = std::min(behind.find_first_not_of("0123456789"), behind.size());
  const bool ends =
      digits == behind.size() || std::string_view(",;.)]}:&!|*=").find(behind[digits]) != npos;
  if (digits != 0 && digits <= 5 && ends) return;  // a port
  const bool letters = std::any_of(behind.begin(), behind.end(), is_alpha);
  const bool number = behind.find_first_of("0123456789") != npos;
  if (web && !(letters && number)) return;  // "http://host:port"
  if (is_placeholder(behind) || behind[0] == '{' || behind[0] == '$') return;
  put(begin, p, rules_.replacement(*rules_.patterns.user_info, s_.substr(begin, p - begin)));
}

bool scanner::authority(std::size_t from, bool scheme) {
  std::size_t begin = from;
  const auto slash_at = [this](std::size_t p) -> std::size_t {
    if (s_.substr(p).starts_with('/')) return 1;
    const escape e = s_[p] == '\\' ? backslash_escape(s_, p) : percent_escape(s_, p);
    return e.length != 0 && e.bytes[0] == '/' ? e.length : 0;
  };
  for (int n = 0; n < 2; ++n) {
    const std::size_t length = begin < s_.size() ? slash_at(begin) : 0;
    if (length == 0) return false;
    begin += length;
  }
  i_ = begin;
  escape_end_ = begin;
  if (!rules_.patterns.user_info) return true;
  const std::size_t at = find_user_info(s_, begin);
  if (at == npos) {
    if (scheme) cut_user_info(from - 1, begin);
    return true;
  }
  const std::string_view info = s_.substr(begin, at - begin);
  // Without a scheme: "//@ts-ignore" is a comment, "//input[@name]" is XPath.
  if (!scheme && (info.empty() || (info.back() == '[' && info.find(':') == npos))) return true;
  const bool drop = *rules_.patterns.user_info == mask_style::drop;
  const std::size_t end = drop && s_[at] == '@' ? at + 1 : at;
  put(begin, end, rules_.replacement(*rules_.patterns.user_info, info));
  return true;
}

std::size_t find_user_info(std::string_view text, std::size_t from) noexcept {
  const auto ends_authority = [](char c) {
    return c == '/' || c == '?' || c == '#' || c == '"' || c == '<' || c == '>' || is_space(c);
  };
  std::size_t at = npos;
  std::size_t colon = npos;
  std::size_t p = from;
  for (; p < text.size() && !ends_authority(text[p]); ++p) {
    char c = text[p];
    if (const escape e = percent_escape(text, p); e.length != 0) c = e.bytes[0];
    if (c != text[p] && ends_authority(c)) break;
    if (c == '@') at = p;
    if (c == ':') colon = p;
  }
  if (at != npos || colon == npos || p >= text.size() || is_space(text[p])) return at;
  if (text[from] == '[') return npos;
  // No port behind the colon: a password with a '/' or '?' in it that should have been escaped.
  const std::string_view behind = text.substr(colon + 1, p - colon - 1);
  const bool port = std::all_of(behind.begin(), behind.end(), is_digit);
  if (port && p - colon <= 6) return npos;
  for (const std::size_t stop = std::min(text.size(), p + 256); p < stop && !is_space(text[p]); ++p)
    if (text[p] == '@') at = p;
  return at;
}

bool scan_patterns(const redaction_rules& rules, std::string_view text, std::string& to) {
  return scanner(rules, text).run(to);
}

}  // namespace hawser::inline v0::detail
