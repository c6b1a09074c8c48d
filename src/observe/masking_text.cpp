// Free text, in one pass. Words are looked at where they begin; names of secrets are looked for
// backwards from the '=' or ':' behind them, over a bounded stretch; what is masked is consumed.
// So every byte is read a bounded number of times, whatever the text.
#include "observe/masking_decode.hpp"
#include "observe/masking_patterns.hpp"
#include "observe/masking_rules.hpp"

#include <algorithm>
#include <array>

namespace hawser::inline v0::detail {

namespace {

constexpr std::size_t name_reach = 96;  // how far back a name is looked for

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
  return table;
}();

constexpr bool is_name_char(char c) noexcept {
  return is_word(c) || is_non_ascii(c) || c == '-' || c == '.' || c == '%' || c == '\\' ||
         c == '[' || c == ']' || c == '"' || c == '\'' || c == '$';
}

constexpr std::string_view ends_value = ",;:.)}]>&";

constexpr bool is_quote(char c) noexcept { return c == '"' || c == '\'' || c == '`'; }

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

class scanner {
 public:
  scanner(const redaction_rules& rules, std::string_view text) : rules_(rules), s_(text) {}

  bool run(std::string& to) {
    while (i_ < s_.size()) {
      switch (kinds[static_cast<unsigned char>(s_[i_])]) {
        case kind::other: ++i_; break;
        case kind::word: word(); break;
        case kind::assign: assign(i_, 1, s_[i_]); break;
        case kind::at: email(i_, 1); break;
        case kind::dash: dash(); break;
        case kind::percent: percent(); break;
        case kind::backslash: backslash(); break;
        case kind::less: element(); break;
        case kind::slash: slash(1); break;
        case kind::bracket:
          i_ += std::max<std::size_t>(rules_.mark_length(s_.substr(i_)), 1);
          break;
      }
    }
    if (!changed_) return false;
    out_.append(s_, copied_);
    to = std::move(out_);
    return true;
  }

 private:
  /// Puts `with` in place of [begin, end) and goes on behind it.
  void put(std::size_t begin, std::size_t end, const std::string& with) {
    i_ = std::max(end, i_ + 1);
    if (s_.substr(begin, end - begin) == with) return;
    out_.append(s_, copied_, begin - copied_);
    out_ += with;
    copied_ = end;
    i_ = end;
    changed_ = true;
  }

  void word() {
    const std::size_t begin = i_;
    std::size_t end = begin;
    bool all_digits = true;
    for (; end < s_.size() && is_word(s_[end]); ++end) all_digits = all_digits && is_digit(s_[end]);
    const std::string_view w = s_.substr(begin, end - begin);
    if (is_alpha(w[0]) && (key(begin) || credentials(begin, end) || iban(begin))) return;
    if (w.size() == 8 && hex_value(w[0]) >= 0) {
      if (const std::size_t uuid = match_uuid(s_, begin); uuid != npos) {
        i_ = uuid;
        return;
      }
    }
    if (all_digits ? card(begin) : card_inside(w, begin)) return;
    if (const std::size_t at = w.find("eyJ"); at != npos && jwt(begin + at)) return;
    i_ = end;
  }

  bool key(std::size_t begin) {
    if (!rules_.patterns.api_key) return false;
    const std::size_t end = match_api_key(s_, begin);
    if (end == npos) return false;
    put(begin, end, rules_.replacement(*rules_.patterns.api_key, s_.substr(begin, end - begin)));
    return true;
  }

  bool jwt(std::size_t begin) {
    if (!rules_.patterns.jwt || begin < no_jwt_before_) return false;
    const std::size_t end = match_jwt(s_, begin, no_jwt_before_);
    if (end == npos) return false;
    put(begin, end, rules_.replacement(*rules_.patterns.jwt, s_.substr(begin, end - begin)));
    return true;
  }

  bool card(std::size_t begin) {
    if (!rules_.patterns.card) return false;
    std::string digits;
    const std::size_t end = match_card(s_, begin, digits);
    if (end == npos) return false;
    put(begin, end, rules_.replacement(*rules_.patterns.card, digits));
    return true;
  }

  /// Numbers set off by '_': "card_4111111111111111".
  bool card_inside(std::string_view w, std::size_t begin) {
    if (w.size() < 14 || w.find('_') == npos) return false;
    for (std::size_t p = 0; p < w.size();) {
      const std::size_t stop = std::min(w.find('_', p), w.size());
      const std::string_view part = w.substr(p, stop - p);
      if (!part.empty() && std::all_of(part.begin(), part.end(), is_digit) && card(begin + p))
        return true;
      p = stop + 1;
    }
    return false;
  }

  bool iban(std::size_t begin) {
    if (!rules_.patterns.iban) return false;
    if (s_.size() - begin < 15 || !is_alpha(s_[begin + 1]) || !is_digit(s_[begin + 2]) ||
        !is_digit(s_[begin + 3]))
      return false;
    std::string compact;
    const std::size_t end = match_iban(s_, begin, compact);
    if (end == npos) return false;
    put(begin, end, rules_.replacement(*rules_.patterns.iban, compact));
    return true;
  }

  /// "Bearer ..." and "Basic ...".
  bool credentials(std::size_t begin, std::size_t end) {
    const std::string_view scheme = s_.substr(begin, end - begin);
    if (!rules_.patterns.credentials || (scheme.size() != 5 && scheme.size() != 6)) return false;
    if (!equals_ignoring_case(scheme, scheme.size() == 5 ? "basic" : "bearer")) return false;
    std::size_t p = end;
    for (std::size_t gap = 0; p < s_.size() && gap < 8; ++gap) {
      if (is_space(s_[p]) || s_[p] == '+')
        ++p;
      else if (const escape e = percent_escape(s_, p); e.length != 0 && is_space(e.bytes[0]))
        p += e.length;
      else
        break;
    }
    if (p == end || p >= s_.size() || rules_.mark_length(s_.substr(p)) != 0) return false;
    const std::size_t token = p;
    const auto is_token = [](char c) {
      return is_alnum(c) || std::string_view("-._~+/=%").find(c) != npos;
    };
    while (p < s_.size() && is_token(s_[p])) ++p;
    while (p > token && s_[p - 1] == '.') --p;  // the end of a sentence
    if (p == token) return false;
    const std::string_view value = s_.substr(token, p - token);
    // One that is followed by a quote after '=' is a parameter: realm="...".
    if (value.back() == '=' && p < s_.size() && is_quote(s_[p])) return false;
    if (!looks_like_credential(scheme, value)) {
      i_ = end;
      return false;
    }
    put(token, p, rules_.replacement(*rules_.patterns.credentials, value));
    return true;
  }

  void email(std::size_t at, std::size_t length) {
    const auto is_local = [](char c) {
      return is_word(c) || is_non_ascii(c) || std::string_view(".%+-'").find(c) != npos;
    };
    const auto is_domain = [](char c) {
      return is_alnum(c) || is_non_ascii(c) || c == '-' || c == '.';
    };
    i_ = at + length;
    if (!rules_.patterns.email) return;
    std::size_t begin = at;
    const std::size_t floor = std::max(copied_, escape_end_);
    while (begin > floor && is_local(s_[begin - 1])) --begin;
    while (begin < at && (s_[begin] == '.' || s_[begin] == '\'')) ++begin;
    if (begin == at) return;
    std::size_t end = at + length;
    while (end < s_.size() && is_domain(s_[end])) ++end;
    while (end > at + length && (s_[end - 1] == '.' || s_[end - 1] == '-')) --end;
    const std::string_view domain = s_.substr(at + length, end - at - length);
    const std::size_t dot = domain.rfind('.');
    if (dot == npos || dot == 0 || domain.size() - dot < 3) return;
    if (!is_alpha(domain[dot + 1]) && !is_non_ascii(domain[dot + 1])) return;
    const std::string_view local = s_.substr(begin, at - begin);
    if (rules_.mark_length(local) == local.size()) return;
    const std::string plain = std::string(local).append("@").append(domain);
    put(begin, end, rules_.replacement(*rules_.patterns.email, plain));
  }

  void dash() {
    if (rules_.patterns.private_key) {
      const std::size_t end = match_private_key(s_, i_);
      if (end != npos) {
        put(i_, end, rules_.replacement(*rules_.patterns.private_key, s_.substr(i_, end - i_)));
        return;
      }
    }
    ++i_;
  }

  void percent() {
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
    else
      skip_escape(found.length, is_word(c) || c == '+' || c == '.' || c == '-');
    last_escape_ = {end, c};
  }

  void skip_escape(std::size_t length, bool in_word) {
    i_ += length;
    if (!in_word) escape_end_ = i_;
  }

  /// An escape is skipped as a whole, so that a word can begin behind it.
  void backslash() {
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
    else
      skip_escape(found.length, found.count > 1 || is_word(c));
    last_escape_ = {end, c};
  }

  /// <password>hunter2</password>
  void element() {
    const std::size_t begin = i_++;
    if (!rules_.patterns.assignments) return;
    std::size_t p = begin + 1;
    while (p < s_.size() && p - begin < name_reach &&
           (is_word(s_[p]) || s_[p] == ':' || s_[p] == '.' || s_[p] == '-'))
      ++p;
    const std::string_view name = s_.substr(begin + 1, p - begin - 1);
    if (name.empty() || p >= s_.size()) return;
    if (s_[p] != '>') {
      if (!is_space(s_[p])) return;
      const std::size_t close = s_.substr(p, 256).find_first_of("<>");
      if (close == npos || s_[p + close] != '>' || s_[p + close - 1] == '/') return;
      p += close;
    }
    const name_entry* entry = redaction_rules::find_part(rules_.anywhere, name);
    if (entry == nullptr) return;
    const std::size_t value = p + 1;
    static constexpr std::string_view cdata = "<![CDATA[";
    if (s_.substr(value).starts_with(cdata)) {
      const std::size_t inside = value + cdata.size();
      const std::size_t end = std::min(s_.find("]]>", inside), s_.size());
      put(inside, end, rules_.replacement(entry->style, s_.substr(inside, end - inside)));
      return;
    }
    const std::size_t end = s_.find('<', value);
    if (end == npos || end == value || !s_.substr(end).starts_with("</")) return;
    if (redaction_rules::is_count(*entry, s_.substr(value, end - value))) return;
    put(value, end, rules_.replacement(entry->style, s_.substr(value, end - value)));
  }

  struct found_name {
    const name_entry* entry = nullptr;
    bool in_query = false;
    char open_quote = 0;  // the quote that name and value stand in together
  };

  /// The name that ends before `end`, if it is a secret's.
  found_name name_before(std::size_t end, char separator, bool adjacent) const {
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
               (found.in_query &&
                redaction_rules::find_part(rules_.parameters, decoded) != nullptr);
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

  /// "API key: ..." has its name in two words.
  const name_entry* two_words(std::size_t begin, std::string_view last) const {
    std::size_t p = begin - 1;
    while (p > copied_ && begin - p < 32 && is_word(s_[p - 1])) --p;
    if (p == begin - 1) return nullptr;
    return rules_.anywhere.find(std::string(s_.substr(p, begin - 1 - p)).append(last));
  }

  /// name=value, name: value, "name": value and what comes near it. The separator is at `at`.
  void assign(std::size_t at, std::size_t length, char separator) {
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
    if (name.entry == nullptr) return;
    std::size_t value = i_;
    for (int more = 0; more < 2 && value < s_.size() && (s_[value] == '=' || s_[value] == '>');
         ++more)
      ++value;
    if (!name.in_query)
      for (int gap = 0; gap < 8 && value < s_.size() && is_space(s_[value]); ++gap) ++value;
    if (value >= s_.size()) return;
    mask_value(value, name, separator);
  }

  void mask_value(std::size_t begin, const found_name& name, char separator) {
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
    put(inside, end, rules_.credential(entry.style, s_.substr(inside, end - inside)));
  }

  /// The quote that closes the one at `open`, which has `escapes` backslashes before it; the end
  /// of the text if there is none. A doubled quote does not close.
  std::size_t closing_quote(std::size_t open, std::size_t escapes) const {
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

  /// Behind the bracket that closes the one at `open`; the end of the text if there is none.
  std::size_t closing_bracket(std::size_t open) const {
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

  /// The quote that closes the one at `open`, if that opens the value of a parameter such as
  /// realm="..."; they are not always escaped where the whole stands in quotes.
  std::size_t end_of_parameter(std::size_t from, std::size_t open) const {
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

  /// The end of a header field's value, continued lines included (RFC 9112 section 5.2).
  std::size_t end_of_line(std::size_t from, char open_quote) const {
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

  /// Whether "name=" stands at `from`.
  bool pair_at(std::size_t from) const {
    std::size_t p = from;
    while (p < s_.size() && p - from < 32 && (is_word(s_[p]) || s_[p] == '-' || s_[p] == '.')) ++p;
    return p > from && p < s_.size() && s_[p] == '=';
  }

  /// The end of a value that stands without quotes; what lies before `p` belongs to it.
  std::size_t end_of_word(std::size_t from, std::size_t p, const found_name& name) const {
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
      if (name.in_query &&
          (c == '&' || c == ';' || c == '#' || is_quote(c) || c == '<' || c == '>'))
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

  /// What stands before `i_`: an escape's meaning, a mask as it reads when masked once more.
  char before() const {
    if (changed_ && i_ == copied_) return out_.empty() ? ' ' : out_.back();
    if (i_ == 0) return ' ';
    return last_escape_.end == i_ ? last_escape_.meaning : s_[i_ - 1];
  }

  /// A slash, `length` long. Two begin a reference without a scheme (RFC 3986 section 4.2), unless
  /// a path goes on there: "a//b@c".
  void slash(std::size_t length) {
    const char c = before();
    const bool in_path = is_word(c) || c == '/' || c == '.' || c == '~' || c == ']';
    const std::size_t end = i_ + length;
    if (!in_path && authority(i_, false)) return;
    i_ = end;
    escape_end_ = end;
  }

  /// User info behind "://" or, without a `scheme`, "//". True if a URL's authority stands there.
  bool authority(std::size_t from, bool scheme) {
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
    if (at == npos) return true;
    const std::string_view info = s_.substr(begin, at - begin);
    // Without a scheme: "//@ts-ignore" is a comment, "//input[@name]" is XPath.
    if (!scheme && (info.empty() || (info.back() == '[' && info.find(':') == npos))) return true;
    const bool drop = *rules_.patterns.user_info == mask_style::drop;
    const std::size_t end = drop && s_[at] == '@' ? at + 1 : at;
    put(begin, end, rules_.replacement(*rules_.patterns.user_info, info));
    return true;
  }

  const redaction_rules& rules_;
  std::string_view s_;
  std::string out_;
  std::size_t i_ = 0;
  std::size_t copied_ = 0;         // what lies before is in out_
  std::size_t escape_end_ = 0;     // of the last escape that ends a word
  std::size_t separator_end_ = 0;  // of the last '=' or ':': no name reaches over it
  struct {
    std::size_t end = npos;
    char meaning = 0;
  } last_escape_;
  std::size_t no_jwt_before_ = 0;
  bool changed_ = false;
};

}  // namespace

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
