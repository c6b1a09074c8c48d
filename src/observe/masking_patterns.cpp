#include "observe/masking_patterns.hpp"

#include "observe/masking_decode.hpp"

#include <algorithm>
#include <array>
#include <iterator>

namespace hawser::inline v0::detail {

namespace {

/// How many characters separate two groups of a number at `at`: a few blanks, line breaks or
/// dashes, a blank of a form or a URL, a no-break space. 0: none.
std::size_t separator_at(std::string_view text, std::size_t at) noexcept {
  const std::string_view rest = text.substr(at, 4);
  if (rest.starts_with("%20") || rest.starts_with("%2D") || rest.starts_with("%2d")) return 3;
  if (rest.starts_with("\xc2\xa0")) return 2;
  if (rest.starts_with('+') || rest.starts_with('.')) return 1;
  std::size_t length = 0;
  while (length < 3 && length < rest.size() && (is_space(rest[length]) || rest[length] == '-'))
    ++length;
  return length;
}

/// What the numbers of a scheme begin with, and how long they are.
struct issuer {
  unsigned first;  // of the first six digits
  unsigned last;
  unsigned char least;
  unsigned char most;
};
constexpr issuer issuers[] = {
    {220000, 220499, 16, 19},  // Mir
    {222100, 272099, 16, 16},  // Mastercard
    {300000, 305999, 14, 19},  // Diners Club
    {309500, 309599, 14, 19},  // Diners Club
    {340000, 349999, 15, 15},  // American Express
    {352800, 358999, 16, 19},  // JCB
    {360000, 369999, 14, 19},  // Diners Club
    {370000, 379999, 15, 15},  // American Express
    {380000, 399999, 14, 19},  // Diners Club
    {400000, 499999, 13, 13},  // Visa of old
    {400000, 499999, 16, 16},  // Visa
    {400000, 499999, 18, 19},  // Visa
    {500000, 509999, 13, 19},  // Maestro, Elo, Verve, RuPay
    {510000, 559999, 16, 16},  // Mastercard
    {560000, 589999, 13, 19},  // Maestro
    {600000, 659999, 16, 19},  // Discover, RuPay, Hipercard, UnionPay, Maestro
    {630000, 639999, 13, 19},  // Maestro
    {670000, 679999, 13, 19},  // Maestro
    {810000, 829999, 16, 19},  // UnionPay, RuPay
    {979200, 979299, 16, 16},  // Troy
};

/// Whether a card's number begins like this and has as many digits. An IMEI has 15 digits and the
/// same check: of cards only American Express has 15 too.
bool is_issuer(std::string_view digits) noexcept {
  unsigned first = 0;
  for (std::size_t i = 0; i < 6; ++i) first = first * 10 + static_cast<unsigned>(digits[i] - '0');
  return std::any_of(std::begin(issuers), std::end(issuers), [&](const issuer& one) {
    return first >= one.first && first <= one.last && digits.size() >= one.least &&
           digits.size() <= one.most;
  });
}

/// The digits after the point of a number such as 0.4111111111111111.
bool is_fraction(std::string_view text, std::size_t at) noexcept {
  if (at < 2 || text[at - 1] != '.' || !is_digit(text[at - 2])) return false;
  std::size_t first = at - 2;
  while (first > 0 && at - first < 20 && is_digit(text[first - 1])) --first;
  return first == 0 || (!is_word(text[first - 1]) && text[first - 1] != '.');
}

struct country {
  char code[3];
  unsigned char length;
};

// SWIFT IBAN registry, release 97.
constexpr country countries[] = {
    {"AD", 24}, {"AE", 23}, {"AL", 28}, {"AT", 20}, {"AZ", 28}, {"BA", 20}, {"BE", 16}, {"BG", 22},
    {"BH", 22}, {"BI", 27}, {"BR", 29}, {"BY", 28}, {"CH", 21}, {"CR", 22}, {"CY", 28}, {"CZ", 24},
    {"DE", 22}, {"DJ", 27}, {"DK", 18}, {"DO", 28}, {"EE", 20}, {"EG", 29}, {"ES", 24}, {"FI", 18},
    {"FK", 18}, {"FO", 18}, {"FR", 27}, {"GB", 22}, {"GE", 22}, {"GI", 23}, {"GL", 18}, {"GR", 27},
    {"GT", 28}, {"HN", 28}, {"HR", 21}, {"HU", 28}, {"IE", 22}, {"IL", 23}, {"IQ", 23}, {"IS", 26},
    {"IT", 27}, {"JO", 30}, {"KW", 30}, {"KZ", 20}, {"LB", 28}, {"LC", 32}, {"LI", 21}, {"LT", 20},
    {"LU", 20}, {"LV", 21}, {"LY", 25}, {"MC", 27}, {"MD", 24}, {"ME", 22}, {"MK", 19}, {"MN", 20},
    {"MR", 27}, {"MT", 31}, {"MU", 30}, {"NI", 28}, {"NL", 18}, {"NO", 15}, {"OM", 23}, {"PK", 24},
    {"PL", 28}, {"PS", 29}, {"PT", 25}, {"QA", 29}, {"RO", 24}, {"RS", 22}, {"RU", 33}, {"SA", 24},
    {"SC", 31}, {"SD", 18}, {"SE", 24}, {"SI", 19}, {"SK", 24}, {"SM", 27}, {"SO", 23}, {"ST", 25},
    {"SV", 28}, {"TL", 23}, {"TN", 24}, {"TR", 26}, {"UA", 29}, {"VA", 22}, {"VG", 24}, {"XK", 20},
    {"YE", 30}};

std::size_t iban_length(char first, char second) noexcept {
  for (const country& c : countries)
    if (c.code[0] == first && c.code[1] == second) return c.length;
  return 0;
}

constexpr bool is_base64url(char c) noexcept { return is_word(c) || c == '-'; }

// clang-format off
constexpr std::array<std::string_view, 21> auth_schemes = {
    "bearer", "basic", "digest", "negotiate", "ntlm", "dpop", "token", "apikey", "hawk", "oauth",
    "aws4-hmac-sha256", "signature", "scram-sha-256", "scram-sha-1", "mutual", "hoba", "vapid",
    "gnap", "privatetoken", "api-key", "hmac-sha256"};
// clang-format on

// What follows "Bearer" in prose.
// clang-format off
constexpr std::array<std::string_view, 34> prose = {
    "token", "tokens", "auth", "authentication", "authorization", "authorisation", "scheme",
    "schemes", "header", "headers", "credential", "credentials", "realm", "format", "type",
    "error", "errors", "is", "was", "of", "or", "and", "in", "for", "not", "must", "missing",
    "invalid", "required", "expected", "expired", "security", "access", "null"};
// clang-format on

}  // namespace

bool passes_luhn(std::string_view digits) noexcept {
  int sum = 0;
  bool doubled = false;
  for (std::size_t i = digits.size(); i-- > 0; doubled = !doubled) {
    int digit = digits[i] - '0';
    if (doubled) digit = digit > 4 ? 2 * digit - 9 : 2 * digit;
    sum += digit;
  }
  return sum % 10 == 0;
}

std::size_t match_card(std::string_view text, std::size_t at, std::string& digits) {
  if (is_fraction(text, at)) return npos;
  std::array<char, 20> seen{};
  std::size_t count = 0;
  struct candidate {
    std::size_t count;
    std::size_t end;
  };
  std::array<candidate, 8> candidates{};  // where groups end, with 13 digits or more
  std::size_t found = 0;
  for (std::size_t p = at; count <= 19;) {
    const std::size_t group = p;
    while (p < text.size() && is_digit(text[p]) && count < 20) seen[count++] = text[p++];
    const bool whole = p == text.size() || (!is_alnum(text[p]));
    if (p == group || !whole || count > 19) break;
    if (count >= 13 && found < candidates.size()) candidates[found++] = {count, p};
    if (p - group < 3) break;  // only the last group of a number is that short
    const std::size_t gap = separator_at(text, p);
    if (gap == 0) break;
    p += gap;
  }
  while (found-- > 0) {
    const std::string_view number(seen.data(), candidates[found].count);
    if (!is_issuer(number) || !passes_luhn(number)) continue;
    digits.assign(number);
    return candidates[found].end;
  }
  return npos;
}

std::size_t match_iban(std::string_view text, std::size_t at, std::string& compact) {
  if (text.size() - at < 15 || !is_alpha(text[at]) || !is_alpha(text[at + 1])) return npos;
  const auto upper = [](char c) { return is_lower(c) ? static_cast<char>(c - 32) : c; };
  const std::size_t length = iban_length(upper(text[at]), upper(text[at + 1]));
  if (length == 0) return npos;
  std::array<char, 34> seen{};
  std::size_t count = 0;
  std::size_t p = at;
  while (count < length) {
    if (p >= text.size()) return npos;
    if (is_alnum(text[p])) {
      seen[count++] = upper(text[p++]);
      continue;
    }
    const std::size_t gap = count < 4 ? 0 : separator_at(text, p);
    if (gap == 0) return npos;
    p += gap;
  }
  if (p < text.size() && is_alnum(text[p])) return npos;
  if (!is_digit(seen[2]) || !is_digit(seen[3])) return npos;
  // ISO 7064 MOD 97-10 over the number with its first four characters moved to the end.
  unsigned remainder = 0;
  for (std::size_t i = 0; i < length; ++i) {
    const char c = seen[(i + 4) % length];
    remainder = is_digit(c) ? (remainder * 10 + static_cast<unsigned>(c - '0')) % 97
                            : (remainder * 100 + static_cast<unsigned>(c - 'A' + 10)) % 97;
  }
  if (remainder != 1) return npos;
  compact.assign(seen.data(), length);
  return p;
}

std::size_t match_uuid(std::string_view text, std::size_t at) noexcept {
  if (text.size() < 36 || at > text.size() - 36) return npos;
  for (std::size_t i = 0; i < 36; ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[at + i] != '-' : hex_value(text[at + i]) < 0) return npos;
  }
  const std::size_t end = at + 36;
  return end < text.size() && is_alnum(text[end]) ? npos : end;
}

std::size_t match_jwt(std::string_view text, std::size_t at, std::size_t& refuted) noexcept {
  const auto run = [text](std::size_t from) {
    while (from < text.size() && is_base64url(text[from])) ++from;
    return from;
  };
  const std::size_t first_end = run(at);
  refuted = first_end;
  if (first_end - at < 10 || first_end >= text.size() || text[first_end] != '.') return npos;
  std::size_t end = run(first_end + 1);
  if (end - first_end - 1 < 4) {
    // An encrypted one may have an empty second part; then a third follows.
    if (end != first_end + 1 || end >= text.size() || text[end] != '.') return npos;
  }
  for (int part = 2; part < 5 && end < text.size() && text[end] == '.'; ++part) {
    const std::size_t next = run(end + 1);
    if (next == end + 1 && (next >= text.size() || text[next] != '.')) break;  // end of a sentence
    end = next;
  }
  return end;
}

std::size_t match_private_key(std::string_view text, std::size_t at) noexcept {
  const std::string_view rest = text.substr(at);
  std::size_t label = 0;
  if (rest.starts_with("-----BEGIN")) {
    label = 10;
  } else if (rest.starts_with("---- BEGIN")) {  // RFC 4716
    label = 10;
  } else {
    return npos;
  }
  const std::string_view name = rest.substr(label, 96);
  const std::size_t closed = name.find("----");
  if (closed == npos) return npos;
  const std::string_view words = name.substr(0, closed);
  const std::size_t private_at = words.find("PRIVATE");
  if (private_at == npos || words.find("KEY", private_at) == npos) return npos;
  std::size_t end = rest.find(label == 10 && rest[4] == '-' ? "-----END" : "---- END", label);
  if (end == npos) return text.size();
  end += 8;
  const std::size_t tail = rest.substr(end, 96).find("----");
  if (tail == npos) return text.size();
  end += tail;
  while (end < rest.size() && rest[end] == '-') ++end;
  return at + end;
}

bool is_auth_scheme(std::string_view word) noexcept {
  return std::any_of(auth_schemes.begin(), auth_schemes.end(),
                     [word](std::string_view known) { return equals_ignoring_case(word, known); });
}

bool looks_like_credential(std::string_view scheme, std::string_view token) noexcept {
  std::size_t length = token.size();
  while (length > 0 && token[length - 1] == '=') --length;
  if (length == 0 || token.substr(0, length).find('=') != npos) return false;  // realm=...
  const bool capital = is_upper(scheme.front());
  bool plain_word = true;  // letters, all but the first one small
  bool digits = false;
  for (std::size_t i = 0; i < length; ++i) {
    digits = digits || is_digit(token[i]);
    plain_word = plain_word && (is_lower(token[i]) || (i == 0 && is_upper(token[i])));
  }
  if (scheme.size() == 5) {  // "Basic": base64 of "user:password"
    if (length < 6) return false;
    return !plain_word && (digits || token.size() % 4 == 0);
  }
  if (!plain_word || length >= 20) return length >= 3;
  return capital && std::none_of(prose.begin(), prose.end(), [token](std::string_view word) {
           return equals_ignoring_case(token, word);
         });
}

bool is_placeholder(std::string_view value) noexcept {
  constexpr std::array<std::string_view, 17> words = {
      "none",     "null",    "nil",     "undefined", "true",   "false",
      "redacted", "masked",  "hidden",  "unset",     "empty",  "removed",
      "filtered", "omitted", "not set", "n/a",       "not-set"};
  constexpr std::array<std::string_view, 10> blanks = {"password", "token",     "secret", "key",
                                                       "api-key",  "api_key",   "value",  "pass",
                                                       "apikey",   "your-token"};
  const auto is = [](std::string_view text, const auto& known) {
    return std::any_of(known.begin(), known.end(),
                       [text](std::string_view one) { return equals_ignoring_case(text, one); });
  };
  if (value.empty() || value.size() > 64) return false;
  if (is(value, words)) return true;
  const char first = value.front();
  if (value.find_first_not_of(first) == npos && (first == '*' || first == '.' || first == '-'))
    return true;
  if (first == '<' || first == '[' || first == '(') {
    std::string_view inside = value.substr(1);
    if (inside.ends_with(first == '<' ? '>' : first == '[' ? ']' : ')')) inside.remove_suffix(1);
    return is(inside, words) || is(inside, blanks);
  }
  if (value.starts_with("${") || value.starts_with("$("))
    value.remove_prefix(2);
  else
    return false;
  if (value.ends_with('}') || value.ends_with(')')) value.remove_suffix(1);
  if (value.empty()) return false;
  return std::all_of(value.begin(), value.end(),
                     [](char c) { return is_upper(c) || is_digit(c) || c == '_'; });
}

}  // namespace hawser::inline v0::detail
