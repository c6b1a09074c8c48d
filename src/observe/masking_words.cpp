// What has a shape of its own in free text: keys, cards, credentials, addresses.
#include "observe/masking_decode.hpp"
#include "observe/masking_patterns.hpp"
#include "observe/masking_scanner.hpp"

#include <algorithm>

namespace hawser::inline v0::detail {

void scanner::word() {
  const std::size_t begin = i_;
  std::size_t end = begin;
  bool all_digits = true;
  for (; end < s_.size() && is_word(s_[end]); ++end) all_digits = all_digits && is_digit(s_[end]);
  const std::string_view w = s_.substr(begin, end - begin);
  if (key(begin, end)) return;
  if (is_alpha(w[0]) && (credentials(begin, end) || iban(begin))) return;
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

bool scanner::key(std::size_t begin, std::size_t end) {
  if (!rules_.patterns.api_key) return false;
  std::size_t stop = match_api_key(s_, begin);
  if (stop == npos && end < s_.size() && !is_space(s_[end])) {
    stop = match_infix_key(s_, begin, end);
    if (stop == npos) stop = match_webhook(s_, begin, end, begin, no_hook_before_);
  }
  if (stop == npos) return false;
  put(begin, stop, rules_.replacement(*rules_.patterns.api_key, s_.substr(begin, stop - begin)));
  return true;
}

bool scanner::jwt(std::size_t begin) {
  if (!rules_.patterns.jwt || begin < no_jwt_before_) return false;
  const std::size_t end = match_jwt(s_, begin, no_jwt_before_);
  if (end == npos) return false;
  put(begin, end, rules_.replacement(*rules_.patterns.jwt, s_.substr(begin, end - begin)));
  return true;
}

bool scanner::card(std::size_t begin) {
  if (!rules_.patterns.card) return false;
  std::string digits;
  const std::size_t end = match_card(s_, begin, digits);
  if (end == npos) return false;
  put(begin, end, rules_.replacement(*rules_.patterns.card, digits));
  return true;
}

bool scanner::card_inside(std::string_view w, std::size_t begin) {
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

bool scanner::iban(std::size_t begin) {
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

namespace {

/// What a quote or bracket that opens a token closes with; 0 if it opens none.
constexpr char closes(char open) noexcept {
  switch (open) {
    case '"':
    case '\'':
    case '`': return open;
    case '<': return '>';
    case '[': return ']';
    case '(': return ')';
    case '{': return '}';
    default: return 0;
  }
}

constexpr bool is_token(char c) noexcept {
  return is_alnum(c) || std::string_view("-._~+/=%$!*|:").find(c) != npos;
}

/// "realm=", behind which a quote opens a parameter's value; "dXNlcg=", which ends so, is none.
bool is_parameter(std::string_view value) noexcept {
  if (value.size() < 2 || value.back() != '=') return false;
  for (std::size_t i = 0; i + 1 < value.size(); ++i)
    if (!is_lower(value[i]) && value[i] != '_' && value[i] != '-' &&
        (i != 0 || !is_upper(value[i])))
      return false;
  return true;
}

}  // namespace

/// The end of the token at `from`; escapes of what may stand in one belong to it, and the bytes
/// they mean go to `plain`.
std::size_t scanner::end_of_token(std::size_t from, std::string& plain) const {
  std::size_t p = from;
  while (p < s_.size()) {
    const escape e = s_[p] == '\\' ? backslash_escape(s_, p) : escape{};
    if (e.length != 0 && e.count == 1 && is_token(e.bytes[0])) {
      plain += e.bytes[0];
      p += e.length;
    } else if (is_token(s_[p])) {
      plain += s_[p++];
    } else {
      break;
    }
  }
  while (!plain.empty() && (plain.back() == '.' || plain.back() == ':' || plain.back() == '!') &&
         s_[p - 1] == plain.back()) {  // the end of a sentence
    plain.pop_back();
    --p;
  }
  return p;
}

/// "Bearer ..." and "Basic ...", the token as it is, in quotes or in brackets.
bool scanner::credentials(std::size_t begin, std::size_t end) {
  const std::string_view scheme = s_.substr(begin, end - begin);
  if (!rules_.patterns.credentials || (scheme.size() != 5 && scheme.size() != 6)) return false;
  if (!equals_ignoring_case(scheme, scheme.size() == 5 ? "basic" : "bearer")) return false;
  std::size_t p = end;
  for (std::size_t gap = 0; p < s_.size() && gap < 8; ++gap) {
    const escape e = s_[p] == '%' ? percent_escape(s_, p) : backslash_escape(s_, p);
    if (is_space(s_[p]) || s_[p] == '+')
      ++p;
    else if (e.length != 0 && e.count == 1 && is_space(e.bytes[0]))
      p += e.length;
    else
      break;
  }
  if (p == end || p >= s_.size() || rules_.mark_length(s_.substr(p)) != 0) return false;
  std::size_t open = p;
  while (open < s_.size() && s_[open] == '\\' && open - p < 8) ++open;
  const bool enclosed = open < s_.size() && closes(s_[open]) != 0;
  if (enclosed) p = open + 1;
  if (p >= s_.size() || rules_.mark_length(s_.substr(p)) != 0) return false;
  const std::size_t token = p;
  std::string value;
  p = end_of_token(token, value);
  if (value.empty()) return false;
  if (p < s_.size() && is_quote(s_[p]) && is_parameter(value)) return false;
  if (!looks_like_credential(scheme, value)) {
    i_ = end;
    return false;
  }
  put(token, p, rules_.replacement(*rules_.patterns.credentials, value));
  return true;
}

void scanner::email(std::size_t at, std::size_t length) {
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

}  // namespace hawser::inline v0::detail
