// URLs and forms, taken apart as RFC 3986 and the URL standard's form encoding have it.
#include "observe/masking_decode.hpp"
#include "observe/masking_patterns.hpp"
#include "observe/masking_rules.hpp"

#include <algorithm>

namespace hawser::inline v0::detail {

namespace {

/// Percent-encodes what would end the value or make it unreadable; masks stay readable.
void append_encoded(std::string& to, std::string_view plain, bool plus_is_blank) {
  static constexpr char digits[] = "0123456789ABCDEF";
  for (const char c : plain) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == ' ' && plus_is_blank) {
      to += '+';
    } else if (byte <= ' ' || byte >= 0x7f || c == '%' || c == '&' || c == '#' || c == '+' ||
               c == ';' || c == '"' || c == '<' || c == '>') {
      to += '%';
      to += digits[byte >> 4];
      to += digits[byte & 0xf];
    } else {
      to += c;
    }
  }
}

/// One "name=value".
void append_pair(const redaction_rules& rules, std::string_view pair, std::string& to) {
  const std::size_t equals = pair.find('=');
  if (equals == npos) {
    to += rules.masked(pair);
    return;
  }
  const std::string_view name = pair.substr(0, equals);
  const std::string_view value = pair.substr(equals + 1);
  const std::string plain_name = percent_decode(name, true);
  to += rules.masked(name);
  to += '=';
  const bool encoded = value.find_first_of("%+") != npos;
  const std::string decoded = encoded ? percent_decode(value, true) : std::string();
  const std::string_view plain = encoded ? std::string_view(decoded) : value;
  const name_entry* entry = redaction_rules::find_part(rules.parameters, plain_name);
  if (entry != nullptr && !redaction_rules::is_count(*entry, plain)) {
    append_encoded(to, rules.credential(entry->style, plain), true);
    return;
  }
  std::string clean;
  if (rules.scan(plain, clean))
    append_encoded(to, clean, true);
  else if (encoded && rules.scan(value, clean))
    to += clean;
  else
    to += value;
}

}  // namespace

std::string redaction_rules::form(std::string_view text, bool is_query) const {
  std::string out;
  out.reserve(text.size());
  const std::string_view separators = is_query ? "&;" : "&";
  std::size_t begin = 0;
  for (;;) {
    const std::size_t end = std::min(text.find_first_of(separators, begin), text.size());
    append_pair(*this, text.substr(begin, end - begin), out);
    if (end == text.size()) return out;
    out += text[end];
    begin = end + 1;
  }
}

std::string redaction_rules::url(std::string_view text) const {
  const std::size_t fragment = std::min(text.find('#'), text.size());
  const std::size_t query = std::min(text.substr(0, fragment).find('?'), fragment);
  const std::size_t scheme = text.find("//");
  std::size_t authority = npos;
  if (scheme != npos && scheme < query && (scheme == 0 || text[scheme - 1] == ':'))
    authority = scheme + 2;
  std::string out;
  std::size_t path = 0;
  if (patterns.user_info) {
    // Without a scheme, "user:password@host" is not a path to be shown either.
    const std::size_t from = authority == npos ? 0 : authority;
    const std::size_t at = find_user_info(text, from);
    if (at != npos && (authority != npos || text.substr(0, at).find(':') != npos)) {
      const std::string info = percent_decode(text.substr(from, at - from), false);
      out.append(text, 0, from);
      out += replacement(*patterns.user_info, info);
      path = text[at] == '@' && *patterns.user_info == mask_style::drop ? at + 1 : at;
      if (path >= query) return out + (path < text.size() ? masked(text.substr(path)) : "");
    }
  }
  out += masked(text.substr(path, query - path));
  if (query < fragment)
    out.append("?").append(form(text.substr(query + 1, fragment - query - 1), true));
  if (fragment < text.size()) out.append("#").append(form(text.substr(fragment + 1), true));
  return out;
}

}  // namespace hawser::inline v0::detail
