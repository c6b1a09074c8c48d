// Keys that tell their vendor by how they begin: published so that scanners can find them.
#include "observe/masking_decode.hpp"
#include "observe/masking_patterns.hpp"

#include <algorithm>
#include <array>
#include <iterator>

namespace hawser::inline v0::detail {

namespace {

/// What a key's characters are behind its prefix.
enum class letters : std::uint8_t {
  any,     // letters, digits, '_' and '-', however few of them look random
  dotted,  // with '.'
  mixed,   // as `any`, a digit or a capital among them: "re_use_this_function" is no key
  points,  // as `mixed`, with '.'
  base64,  // as `mixed`, with '+', '/' and '='
  alnum,
  upper,  // capitals and digits
  lower,  // small letters and digits
  hex,
};

struct key_shape {
  std::string_view prefix;
  std::size_t least;  // characters behind the prefix
  letters alphabet = letters::mixed;
  bool exact = false;  // not more than those
};

// clang-format off
// In the order of their first bytes.
constexpr key_shape key_shapes[] = {
    {"4b1d", 38, letters::alnum, true},                                        // ClickHouse
    {"A3-", 30, letters::mixed}, {"AAAAAAAAAAAAAAAAAAAAA", 20, letters::base64},  // 1Password, X
    {"ABIA", 16, letters::upper, true}, {"ABSK", 80, letters::base64},         // AWS
    {"ACCA", 16, letters::upper, true}, {"AGE-SECRET-KEY-1", 20, letters::any},
    {"AGPA", 16, letters::upper, true}, {"AIDA", 16, letters::upper, true},
    {"AIPA", 16, letters::upper, true}, {"AIza", 30, letters::any},            // Google
    {"AKCp", 69, letters::alnum}, {"AKIA", 16, letters::any},                  // JFrog, AWS
    {"AKID", 32, letters::alnum, true},                                        // Tencent
    {"ANPA", 16, letters::upper, true}, {"ANVA", 16, letters::upper, true},
    {"APKA", 16, letters::upper, true}, {"AROA", 16, letters::any},
    {"ASCA", 16, letters::upper, true}, {"ASIA", 16, letters::any},
    // Adyen, Yandex, Aiven
    {"AQE", 60, letters::base64}, {"AQVN", 35}, {"AVNS_", 16},
    {"ATATT3", 40, letters::base64}, {"ATBB", 28, letters::alnum},             // Atlassian
    {"ATCTT3", 40, letters::base64}, {"ATSTT3", 40, letters::base64},
    {"ATTA", 72, letters::hex},                                                // Trello
    {"CCIPAT_", 24}, {"CCIPRJ_", 24}, {"CFPAT-", 40}, {"CLOJARS_", 60, letters::alnum},
    {"EAA", 60, letters::alnum}, {"EAAA", 60},                                 // Facebook, Square
    {"EZAK", 54, letters::alnum}, {"EZTK", 54, letters::alnum},                // EasyPost
    {"FLWSECK", 16},                                                           // Flutterwave
    {"GOCSPX-", 20}, {"GR1348941", 20},                                        // Google, GitLab
    {"HRKU-", 36},                                                             // Heroku
    {"LTAI", 16, letters::alnum},                                              // Alibaba
    {"NRAK-", 24, letters::upper}, {"NRII-", 24}, {"NRIQ-", 24}, {"NRJS-", 19, letters::hex},
    {"NRRA-", 40, letters::hex}, {"NRSP-", 20},                                // New Relic
    {"PMAK-", 40},                                                             // Postman
    {"SCW", 17, letters::upper, true}, {"SG.", 20, letters::dotted},           // Scaleway, SendGrid
    {"SK", 32, letters::hex, true},                                            // Twilio
    {"access-development-", 36}, {"access-production-", 36}, {"access-sandbox-", 36},  // Plaid
    {"access_token$", 40, letters::base64},                                    // PayPal Braintree
    {"aio_", 28, letters::alnum, true},                                        // Adafruit
    {"akab-", 30, letters::mixed}, {"amzn.mws.", 36},                          // Akamai, Amazon
    {"api-", 36, letters::hex}, {"api_org_", 30},
    {"bkua_", 40, letters::alnum}, {"bedrock-api-key-", 20, letters::base64},
    {"cio", 32, letters::alnum, true}, {"cmVmd", 59, letters::alnum, true},    // crates.io, JFrog
    {"dapi", 32, letters::hex}, {"dckr_oat_", 16, letters::mixed},
    {"dckr_pat_", 16, letters::any}, {"doo_v1_", 20, letters::any}, {"dop_v1_", 20, letters::any},
    {"dor_v1_", 20}, {"dp.audit.", 40}, {"dp.ct.", 40}, {"dp.pt.", 40}, {"dp.sa.", 40},
    {"dp.scim.", 40}, {"dp.st.", 40, letters::points}, {"dt0c01.", 24, letters::points},
    {"dt0s01.", 24, letters::points}, {"duffel_live_", 30}, {"duffel_test_", 30},
    {"figd_", 30}, {"figo_", 30}, {"figoh_", 30}, {"fio-u-", 40}, {"fm1a_", 40, letters::base64},
    {"fm1r_", 40, letters::base64}, {"fm2_", 40, letters::base64}, {"fo1_", 40},  // Fly.io
    {"fw_", 22, letters::alnum},
    {"ghp_", 16, letters::any}, {"gho_", 16, letters::any}, {"ghu_", 16, letters::any},
    {"ghs_", 16, letters::any}, {"ghr_", 16, letters::any}, {"github_pat_", 16, letters::any},
    {"glagent-", 30}, {"glc_", 32, letters::base64}, {"glcbt-", 20}, {"gldt-", 20},
    {"glffct-", 20}, {"glft-", 20}, {"glimt-", 20}, {"gloas-", 20}, {"glpat-", 12, letters::any},
    {"glptt-", 12, letters::any}, {"glrt-", 20}, {"glrtr-", 20}, {"glsa_", 32}, {"glsoat-", 20},
    {"gsk_", 40, letters::alnum},
    {"hcaik_", 30, letters::alnum}, {"hf_", 20, letters::any}, {"hvb.", 20, letters::any},
    {"hvr.", 20}, {"hvs.", 20, letters::any},
    {"ico-", 32, letters::alnum},
    {"key-", 32, letters::hex, true},                                          // Mailgun
    {"lin_api_", 16, letters::any}, {"lin_oauth_", 16}, {"live_", 30, letters::alnum},
    {"lsv2_", 30},
    {"mdb_sa_sk_", 30},
    {"napi_", 40}, {"nfp_", 36}, {"npm_", 24, letters::any}, {"ntn_", 40, letters::alnum},
    {"ops_eyJ", 40, letters::base64}, {"oy2", 43, letters::lower, true},       // 1Password, NuGet
    {"pat-", 40}, {"pcsk_", 40}, {"phx_", 30}, {"pk_", 34, letters::hex, true},
    {"pnb_", 36, letters::alnum}, {"pnu_", 36, letters::alnum}, {"pplx-", 32, letters::alnum},
    {"pscale_oauth_", 30, letters::points}, {"pscale_pw_", 30, letters::points},
    {"pscale_tkn_", 30, letters::points}, {"pul-", 40, letters::hex}, {"pypi-", 40, letters::any},
    {"r8_", 37, letters::alnum}, {"rdme_", 60, letters::alnum}, {"re_", 24},   // Replicate, Resend
    {"rk_live_", 8, letters::any}, {"rk_prod_", 10}, {"rk_test_", 8, letters::any},
    {"rnd_", 28, letters::alnum}, {"rubygems_", 40, letters::hex},
    {"rzp_live_", 14, letters::alnum}, {"rzp_test_", 14, letters::alnum},      // Razorpay
    {"s-s4t2ud-", 40, letters::hex}, {"samsara_api_", 20}, {"sb_secret_", 20},
    {"sbp_", 40, letters::hex}, {"sdk-", 36, letters::hex}, {"secret-", 30, letters::alnum},
    // Notion, Sourcegraph
    {"secret_", 43, letters::alnum}, {"sgp_", 40},
    {"shippo_live_", 40, letters::hex}, {"shippo_test_", 40, letters::hex},
    {"shpat_", 16, letters::any}, {"shpca_", 16, letters::any}, {"shppa_", 16, letters::any},
    {"shpss_", 16, letters::any}, {"shptka_", 16}, {"sk-", 20, letters::any},
    {"sk_live_", 8, letters::any}, {"sk_prod_", 10}, {"sk_sbox_", 20},
    {"sk_test_", 8, letters::any},
    {"sk_", 48, letters::hex}, {"sl.", 60}, {"sntrys_", 40, letters::base64},
    {"sntryu_", 40, letters::hex}, {"sq0atp-", 16, letters::any}, {"sq0csp-", 16, letters::any},
    {"sqa_", 40, letters::hex}, {"sqp_", 40, letters::hex}, {"squ_", 40, letters::hex},  // Sonar
    {"t1.", 40, letters::points}, {"test_", 30, letters::alnum}, {"tfp_", 40, letters::points},
    {"tk-us-", 48}, {"tskey-", 20}, {"tvly-", 20},
    {"v1.0-", 60}, {"vercel_blob_rw_", 20},                                    // Cloudflare
    {"whsec_", 16, letters::any}, {"whsk_", 16, letters::any},
    {"xai-", 60}, {"xapp-", 10, letters::any}, {"xkeysib-", 60}, {"xoxa-", 8, letters::any},
    {"xoxb-", 8, letters::any}, {"xoxc-", 8}, {"xoxd-", 8, letters::base64},
    {"xoxe-", 8, letters::any}, {"xoxe.", 8, letters::dotted}, {"xoxo-", 8, letters::any},
    {"xoxp-", 8, letters::any}, {"xoxr-", 8, letters::any}, {"xoxs-", 8, letters::any},
    {"xsmtpsib-", 60}, {"xwfp-", 20},
    {"y0_", 40}, {"ya29.", 20, letters::dotted}};
// clang-format on

/// Where the shapes of each first byte stand.
struct range {
  std::uint16_t begin = 0;
  std::uint16_t end = 0;
};
constexpr std::array<range, 256> by_first_byte = [] {
  std::array<range, 256> table{};
  for (std::size_t i = 0; i < std::size(key_shapes); ++i) {
    range& one = table[static_cast<unsigned char>(key_shapes[i].prefix[0])];
    if (one.end == 0) one.begin = static_cast<std::uint16_t>(i);
    one.end = static_cast<std::uint16_t>(i + 1);
  }
  return table;
}();

constexpr bool stand_together = [] {
  for (std::size_t i = 1; i < std::size(key_shapes); ++i)
    if (key_shapes[i].prefix[0] < key_shapes[i - 1].prefix[0]) return false;
  return true;
}();
static_assert(stand_together);

/// Whether a shape begins with these two bytes, or others of the same sum: most words end here.
constexpr std::size_t sum_of(char first, char second) noexcept {
  return (static_cast<unsigned char>(first) * 31U + static_cast<unsigned char>(second)) % 4096;
}
constexpr std::array<bool, 4096> begins_key = [] {
  std::array<bool, 4096> table{};
  for (const key_shape& shape : key_shapes) table[sum_of(shape.prefix[0], shape.prefix[1])] = true;
  return table;
}();

constexpr bool is_letter(char c, letters alphabet) noexcept {
  switch (alphabet) {
    case letters::any:
    case letters::mixed: return is_word(c) || c == '-';
    case letters::dotted:
    case letters::points: return is_word(c) || c == '-' || c == '.';
    case letters::base64:
      return is_word(c) || c == '-' || c == '+' || c == '/' || c == '=' || c == '$';
    case letters::alnum: return is_alnum(c);
    case letters::upper: return is_upper(c) || is_digit(c);
    case letters::lower: return is_lower(c) || is_digit(c);
    case letters::hex: return hex_value(c) >= 0 || c == '-';
  }
  return false;
}

/// Where the key of this shape that `rest` begins with ends, or npos.
std::size_t end_of_key(std::string_view rest, const key_shape& shape) noexcept {
  const std::size_t least = shape.prefix.size() + shape.least;
  if (rest.size() < least || !rest.starts_with(shape.prefix)) return npos;
  std::size_t end = shape.prefix.size();
  bool random = shape.alphabet == letters::any || shape.alphabet == letters::dotted;
  for (; end < rest.size() && is_letter(rest[end], shape.alphabet); ++end)
    random = random || is_digit(rest[end]) || is_upper(rest[end]);
  if (end < least || !random || (shape.exact && end != least)) return npos;
  if (end < rest.size() && is_alnum(rest[end])) return npos;
  return end;
}

}  // namespace

std::size_t match_api_key(std::string_view text, std::size_t at) noexcept {
  if (at + 1 >= text.size() || !begins_key[sum_of(text[at], text[at + 1])]) return npos;
  const range shapes = by_first_byte[static_cast<unsigned char>(text[at])];
  const std::string_view rest = text.substr(at);
  for (std::size_t i = shapes.begin; i < shapes.end; ++i)
    if (const std::size_t end = end_of_key(rest, key_shapes[i]); end != npos) return at + end;
  return npos;
}

std::size_t match_infix_key(std::string_view text, std::size_t begin, std::size_t end) noexcept {
  if (end >= text.size()) return npos;
  const std::string_view word = text.substr(begin, end - begin);
  const auto run = [text](std::size_t from, auto belongs) {
    while (from < text.size() && belongs(text[from])) ++from;
    return from;
  };
  const auto is_key = [](char c) { return is_word(c) || c == '-'; };
  const auto all_hex = [](std::string_view part) {
    return std::all_of(part.begin(), part.end(), [](char c) { return hex_value(c) >= 0; });
  };
  switch (text[end]) {
    case '.': {
      if (word.size() == 17 && word.starts_with("pat")) {  // Airtable
        const std::size_t stop = run(end + 1, is_alnum);
        if (stop - end > 40) return stop;
      }
      if (text.substr(end, 9) == ".atlasv1.") {  // Terraform
        const std::size_t stop = run(end + 9, is_key);
        if (stop - end > 40) return stop;
      }
      // Discord: an id in base64, a time, a signature.
      if (word.size() < 23 || word.size() > 28) return npos;
      const std::size_t second = run(end + 1, is_key);
      if (second - end != 7 || text.substr(second, 1) != ".") return npos;
      const std::size_t stop = run(second + 1, is_key);
      return stop - second > 27 ? stop : npos;
    }
    case ':': {  // Telegram
      const std::string_view id = word.substr(word.starts_with("bot") ? 3 : 0);
      if (id.size() < 8 || id.size() > 10 || !std::all_of(id.begin(), id.end(), is_digit))
        return npos;
      const std::size_t stop = run(end + 1, is_key);
      return stop - end == 36 ? stop : npos;
    }
    case '-': {  // Mailchimp
      if (word.size() != 32 || text.substr(end, 3) != "-us" || !all_hex(word)) return npos;
      const std::size_t stop = run(end + 3, is_digit);
      return stop > end + 3 && stop < end + 6 ? stop : npos;
    }
    case '~': {  // Microsoft Entra
      if (word.size() != 5 || word[4] != 'Q' || !is_digit(word[3])) return npos;
      std::size_t stop =
          run(end + 1, [](char c) { return is_word(c) || c == '-' || c == '.' || c == '~'; });
      while (text[stop - 1] == '.') --stop;  // the end of a sentence
      return stop - end > 30 ? stop : npos;
    }
    default: return npos;
  }
}

namespace {

/// Words in the paths of webhook addresses, behind which their secrets stand.
struct hook_word {
  std::string_view word;
  char first = 0;  // of what follows: Slack's ids begin with a capital
};
constexpr hook_word hook_words[] = {
    {"services", 'T'}, {"workflows", 'T'},  {"triggers", 'T'}, {"triggers", 'E'}, {"webhooks"},
    {"webhook"},       {"webhookb2"},       {"hooks"},         {"hook"},          {"catch"},
    {"incoming"},      {"incomingwebhook"}, {"with"},          {"integration"}};

/// "/", as it is or escaped: its length.
std::size_t slash_at(std::string_view text, std::size_t at) noexcept {
  if (at >= text.size()) return 0;
  if (text[at] == '/') return 1;
  const escape e = text[at] == '\\' ? backslash_escape(text, at) : percent_escape(text, at);
  return e.length != 0 && e.bytes[0] == '/' ? e.length : 0;
}

}  // namespace

std::size_t match_webhook(std::string_view text, std::size_t begin, std::size_t end,
                          std::size_t& secret, std::size_t& refuted) noexcept {
  const std::string_view word = text.substr(begin, end - begin);
  if (word.size() < 4 || word.size() > 15 || begin == 0 || begin < refuted) return npos;
  if (text[begin - 1] != '/' && hex_value(text[begin - 1]) != 15) return npos;  // "/" or "%2F"
  const std::size_t slash = slash_at(text, end);
  if (slash == 0 || end + slash >= text.size()) return npos;
  const bool known =
      std::any_of(std::begin(hook_words), std::end(hook_words), [&](const hook_word& one) {
        return one.word == word && (one.first == 0 || one.first == text[end + slash]);
      });
  if (!known) return npos;
  secret = end + slash;
  bool random = false;
  std::size_t p = secret;
  for (std::size_t segment = p; p < text.size() && p - secret < 1024;) {
    bool digit = false;
    bool small = false;
    bool capital = false;
    for (; p < text.size() && (is_word(text[p]) || text[p] == '-' || text[p] == '@'); ++p) {
      digit = digit || is_digit(text[p]);
      small = small || is_lower(text[p]);
      capital = capital || is_upper(text[p]);
    }
    random = random || (p - segment >= 18 && digit + small + capital > 1);
    const std::size_t next = slash_at(text, p);
    if (next == 0) break;
    p += next;
    segment = p;
  }
  if (random) return p;
  refuted = p;
  return npos;
}

}  // namespace hawser::inline v0::detail
