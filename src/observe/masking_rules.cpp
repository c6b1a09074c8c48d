#include "observe/masking_rules.hpp"

#include "hawser/core/error.hpp"
#include "observe/masking_decode.hpp"
#include "observe/masking_patterns.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <span>

namespace hawser::inline v0::detail {

namespace {

constexpr std::size_t longest_name = 64;

/// The letters and digits of a name in lower case; of a long one, the last 64.
class plain_name {
 public:
  explicit plain_name(std::string_view name) noexcept {
    for (std::size_t i = name.size(); i-- > 0 && first_ > 0;) {
      const char c = name[i];
      if (c == '-' || c == '_' || c == '.' || c == ' ') continue;
      bytes_[--first_] = to_lower(c);
    }
  }
  [[nodiscard]] std::string_view view() const noexcept {
    return {bytes_.data() + first_, longest_name - first_};
  }

 private:
  std::array<char, longest_name> bytes_{};
  std::size_t first_ = longest_name;
};

struct known_name {
  std::string_view name;
  certainty sure = certainty::always;
  bool wide = false;
  bool counts = false;
};

constexpr known_name known_headers[] = {
    {"authorization", certainty::always, true},
    {"proxy-authorization", certainty::always, true},
    {"*authorization", certainty::always, true},
    {"authentication-info"},
    {"proxy-authentication-info"},
    {"cookie", certainty::always, true},
    {"set-cookie", certainty::always, true},
    {"cookie2", certainty::always, true},
    {"set-cookie2", certainty::always, true},
    {"*apikey"},
    {"*token"},
    {"*secret"},
    {"*password"},
    {"x-auth-key"},
    {"x-access-key"},
    {"x-functions-key"},
    {"x-master-key"},
    {"x-session-id"},
    {"x-amz-security-token"},
    {"ocp-apim-subscription-key"},
    {"subscription-key"},
    {"idempotency-key"},
    {"x-idempotency-key"},
    {"paypal-request-id"},
    {"request-signature"},
    {"webhook-signature", certainty::always, true},
    {"stripe-signature", certainty::always, true},
    {"x-hub-signature"},
    {"x-hub-signature-256"},
    {"x-signature"},
    {"x-slack-signature"},
    {"x-twilio-signature"},
    {"dpop"},
    {"client-cert"},
    {"x-client-cert"},
    {"x-forwarded-client-cert", certainty::always, true},
};

// In URLs and forms as in documents.
constexpr known_name known_secrets[] = {
    {"*password"},
    {"*passwords"},
    {"*password_confirmation"},
    {"*password_confirm"},
    {"*password_repeat"},
    {"*password_again"},
    {"*password1"},
    {"*password2"},
    {"*password_hash"},
    {"*passwd"},
    {"*passphrase"},
    {"*secret"},
    {"*secrets"},
    {"*token"},
    {"tokens", certainty::equals, false, true},
    {"*tokens", certainty::always, false, true},
    {"*apikey"},
    {"*apikeys"},
    {"*accesskey"},
    {"*accesskeys"},
    {"*secretkey"},
    {"*secretkeys"},
    {"*privatekey"},
    {"*privatekeys"},
    {"*pwd"},
    {"*pswd"},
    {"*passcode"},
    {"*dbpass"},
    {"*userpass"},
    {"*adminpass"},
    {"*rootpass"},
    {"*loginpass"},
    {"*authpass"},
    {"*mysqlpass"},
    {"*redispass"},
    {"*smtppass"},
    {"*mailpass"},
    {"*ftppass"},
    {"*ldappass"},
    {"*sshpass"},
    {"*proxypass"},
    {"*keypass"},
    {"*storepass"},
    {"*passwort"},
    {"*kennwort"},
    {"*motdepasse"},
    {"*senha"},
    {"*accountkey"},
    {"authkey"},
    {"*masterkey"},
    {"*sshkey"},
    {"*hmackey"},
    {"*sessionkey"},
    {"*sessionid"},
    {"*sessid"},
    {"*seedphrase"},
    {"*recoveryphrase"},
    {"*recoverycode"},
    {"*recoverycodes"},
    {"*backupcode"},
    {"*backupcodes"},
    {"*verificationcode"},
    {"*authcode"},
    {"*authorizationcode"},
    {"pass", certainty::equals},
    {"pin", certainty::equals},
    {"otp"},
    {"totp"},
    {"jwt"},
    {"sid", certainty::equals},
    {"sig", certainty::equals},
    {"signature", certainty::equals},
    {"auth", certainty::equals},
    {"authorization", certainty::always, true},
    {"bearer"},
    {"code_verifier"},
    {"device_code"},
    {"user_code"},
    {"idempotency_key"},
    {"assertion", certainty::equals},
    {"client_assertion"},
    {"credential", certainty::equals},
    {"credentials", certainty::equals},
    {"email", certainty::equals},
    {"card", certainty::enclosed},
    {"pan", certainty::equals},
};

constexpr known_name known_parameters[] = {
    {"session", certainty::enclosed},
    {"jsessionid"},
    {"phpsessid"},
    {"*signature", certainty::enclosed},
    {"x-amz-credential"},
    {"x-goog-credential"},
    {"awsaccesskeyid"},
    {"subscription-key"},
    {"key", certainty::enclosed},
    {"code", certainty::enclosed},
    {"samlrequest"},
    {"samlresponse"},
    {"ticket", certainty::enclosed},
    {"hmac", certainty::enclosed},
    {"iban"},
    {"ssn"},
    {"cvv"},
    {"cvc"},
};

constexpr known_name known_fields[] = {
    {"*signingkey"},
    {"*signingkeys"},
    {"*encryptionkey"},
    {"*encryptionkeys"},
    {"input_value"},
    {"mfa_code"},
    {"cookie", certainty::always, true},
    {"cookies", certainty::enclosed},
    {"set-cookie", certainty::always, true},
    {"cc", certainty::equals},
    {"ccnum"},
    {"cc_number"},
    {"credit_card"},
    {"*cardnumber"},
    {"card_no"},
    {"primary_account_number"},
    {"account_number"},
    {"bank_account"},
    {"routing_number"},
    {"sort_code"},
    {"*cvv"},
    {"*cvv2"},
    {"*cvc"},
    {"*cvc2"},
    {"csc"},
    {"security_code"},
    {"*iban"},
    {"*ssn"},
    {"social_security_number"},
    {"national_id"},
    {"tax_id"},
    {"passport"},
    {"passport_number"},
    {"drivers_license"},
    {"e_mail", certainty::equals},
    {"*emailaddress"},
    {"phone", certainty::enclosed},
    {"phone_number"},
    {"date_of_birth"},
    {"birth_date"},
    {"dob", certainty::equals},
};

constexpr std::string_view telling[] = {"name",
                                        "key",
                                        "header",
                                        "headername",
                                        "field",
                                        "fieldname",
                                        "param",
                                        "params",
                                        "path",
                                        "parameter",
                                        "property",
                                        "propertypath",
                                        "loc",
                                        "location",
                                        "pointer",
                                        "datapath",
                                        "instancepath",
                                        "attribute",
                                        "attr",
                                        "argument",
                                        "arg",
                                        "variable",
                                        "var",
                                        "option",
                                        "k",
                                        "n",
                                        "instancelocation"};
constexpr std::string_view told[] = {"value",
                                     "values",
                                     "rejectedvalue",
                                     "input",
                                     "data",
                                     "val",
                                     "v",
                                     "received",
                                     "actual",
                                     "content",
                                     "newvalue",
                                     "oldvalue",
                                     "currentvalue",
                                     "invalidvalue",
                                     "attemptedvalue",
                                     "default",
                                     "defaultvalue",
                                     "given",
                                     "stringvalue",
                                     "string",
                                     "secretvalue",
                                     "instance",
                                     "inputvalue"};

bool is_listed(std::string_view member, std::span<const std::string_view> names) noexcept {
  const plain_name plain(member);
  return std::find(names.begin(), names.end(), plain.view()) != names.end();
}

using known_names = std::span<const known_name>;

name_set build(std::initializer_list<known_names> lists, const name_rules& rules, bool header,
               const std::string& option) {
  name_set names;
  if (rules.defaults)
    for (const known_names known : lists)
      for (const known_name& k : known)
        names.set(k.name,
                  {rules.style, k.sure, header && !k.name.starts_with('*'), k.wide, k.counts});
  for (const std::string& name : rules.remove) names.remove(name);
  for (const name_rule& rule : rules.add) {
    const std::string_view bare = std::string_view(rule.name).substr(rule.name.starts_with('*'));
    if (plain_name(bare).view().empty() || bare.size() > longest_name)
      throw config_error(option + ".add", rule.name, "must have 1 to 64 characters besides '*'");
    names.set(rule.name,
              {rule.style.value_or(rules.style), certainty::always, header, false, false});
  }
  return names;
}

void require_hash(const redaction& options) {
  const std::string& id = options.hash_key_id;
  const bool is_id =
      !id.empty() && id.size() <= 32 &&
      std::all_of(id.begin(), id.end(), [](char c) { return is_word(c) || c == '-'; });
  if (!is_id)
    throw config_error("redaction.hash_key_id", id,
                       "must be 1 to 32 of A-Za-z0-9-_ for keyed_hash");
  if (options.hash_key.size() < 16)
    throw config_error("redaction.hash_key", std::to_string(options.hash_key.size()) + " bytes",
                       "must have at least 16 bytes for keyed_hash");
}

bool uses_hash(const redaction& options) {
  constexpr mask_style hashed = mask_style::keyed_hash;
  for (const name_rules* list : {&options.headers, &options.parameters, &options.fields}) {
    if (list->style == hashed) return true;
    for (const name_rule& rule : list->add)
      if (rule.style == hashed) return true;
  }
  const pattern_rules& p = options.patterns;
  for (const auto& style :
       {p.user_info, p.card, p.credentials, p.jwt, p.api_key, p.private_key, p.email, p.iban})
    if (style == hashed) return true;
  return options.literal_style == hashed;
}

}  // namespace

void name_set::note_ending(std::string_view plain) noexcept {
  if (plain.size() > 1) {
    endings_.set(ending(plain[plain.size() - 2], plain.back()));
    return;
  }
  endings_.set();  // names of one letter may end like any
}

void name_set::set(std::string_view name, const name_entry& entry) {
  const bool suffix = name.starts_with('*');
  const plain_name plain(suffix ? name.substr(1) : name);
  note_ending(plain.view());
  if (!suffix) {
    exact_[std::string(plain.view())] = entry;
    return;
  }
  remove(name);
  suffixes_[bucket(plain.view())].emplace_back(plain.view(), entry);
}

void name_set::remove(std::string_view name) {
  const bool suffix = name.starts_with('*');
  const std::string plain(plain_name(suffix ? name.substr(1) : name).view());
  if (suffix)
    std::erase_if(suffixes_[bucket(plain)], [&plain](const auto& s) { return s.first == plain; });
  else
    exact_.erase(plain);
}

void name_set::join(const name_set& other) {
  const auto merge = [](name_entry& mine, const name_entry& theirs) {
    mine.header = mine.header || theirs.header;
    mine.wide = mine.wide || theirs.wide;
    mine.counts = mine.counts && theirs.counts;
    mine.sure = std::min(mine.sure, theirs.sure);
  };
  endings_ |= other.endings_;
  for (const auto& [name, entry] : other.exact_) {
    const auto [at, added] = exact_.emplace(name, entry);
    if (!added) merge(at->second, entry);
  }
  for (std::size_t i = 0; i < suffixes_.size(); ++i) {
    suffix_list& mine = suffixes_[i];
    for (const auto& theirs : other.suffixes_[i]) {
      const auto at = std::find_if(mine.begin(), mine.end(),
                                   [&theirs](const auto& s) { return s.first == theirs.first; });
      if (at == mine.end())
        mine.push_back(theirs);
      else
        merge(at->second, theirs.second);
    }
  }
}

const name_entry* name_set::find(std::string_view name) const noexcept {
  char last = 0;
  for (std::size_t i = name.size(); i-- > 0;) {
    const char c = name[i];
    if (c == '-' || c == '_' || c == '.' || c == ' ') continue;
    if (last == 0) {
      last = to_lower(c);
    } else {
      if (!endings_.test(ending(to_lower(c), last))) return nullptr;
      break;
    }
  }
  const plain_name plain(name);
  if (plain.view().empty()) return nullptr;
  const auto at = exact_.find(plain.view());
  if (at != exact_.end()) return &at->second;
  for (const auto& [suffix, entry] : suffixes_[bucket(plain.view())])
    if (plain.view().ends_with(suffix)) return &entry;
  return nullptr;
}

redaction_rules::redaction_rules(const redaction& options)
    : mask(options.mask),
      headers(build({known_headers}, options.headers, true, "redaction.headers")),
      parameters(build({known_secrets, known_parameters}, options.parameters, false,
                       "redaction.parameters")),
      fields(build({known_secrets, known_fields}, options.fields, false, "redaction.fields")),
      members(fields),
      anywhere(fields),
      patterns(options.patterns),
      literal_style(options.literal_style),
      max_depth(options.max_depth),
      max_body(options.max_body) {
  const bool printable = std::all_of(mask.begin(), mask.end(), [](char c) {
    return c >= ' ' && c <= '~' && c != '"' && c != '\\';
  });
  if (mask.empty() || mask.size() > 64 || !printable)
    throw config_error("redaction.mask", mask,
                       "must be 1 to 64 printable characters, no '\"' or '\\'");
  if (max_depth < 1 || max_depth > 512)
    throw config_error("redaction.max_depth", std::to_string(max_depth), "must be 1 to 512");
  if (literal_style == mask_style::drop)
    throw config_error("redaction.literal_style", "drop",
                       "must leave a mark: two ends could join to the secret again");
  if (options.literals.size() > 4096)
    throw config_error("redaction.literals", std::to_string(options.literals.size()),
                       "must be at most 4096");
  for (const secret& literal : options.literals) {
    if (literal.size() < 4)
      throw config_error("redaction.literals", std::to_string(literal.size()) + " bytes",
                         "must have at least 4 bytes each");
    literals.add(literal);
  }
  if (uses_hash(options)) require_hash(options);
  if (!options.hash_key.empty()) {
    require_hash(options);
    hash.emplace(options.hash_key.expose());
    hash_prefix = "[hmac:" + options.hash_key_id + ":";
  }
  if (options.fields.defaults) {
    name_set others = headers;
    for (const std::string& name : options.fields.remove) others.remove(name);
    members.join(others);
  }
  anywhere.join(parameters);
  anywhere.join(headers);
  header_names = headers;
  if (options.headers.defaults) {
    name_set others = fields;
    others.join(parameters);
    for (const std::string& name : options.headers.remove) others.remove(name);
    header_names.join(others);
  }
}

bool tells_name(std::string_view member) noexcept { return is_listed(member, telling); }

bool is_told_of(std::string_view member) noexcept { return is_listed(member, told); }

std::size_t redaction_rules::mark_length(std::string_view text) const noexcept {
  if (text.starts_with(mask)) return mask.size();
  if (!text.starts_with('[')) return 0;
  if (text.size() >= 9 && text.starts_with("[...") && text[8] == ']' &&
      std::all_of(text.begin() + 4, text.begin() + 8, is_alnum))
    return 9;
  const std::size_t digits = hash_prefix.size();
  if (digits != 0 && text.starts_with(hash_prefix) && text.size() > digits + 12 &&
      text[digits + 12] == ']' &&
      std::all_of(text.begin() + static_cast<std::ptrdiff_t>(digits),
                  text.begin() + static_cast<std::ptrdiff_t>(digits + 12),
                  [](char c) { return hex_value(c) >= 0; }))
    return digits + 13;
  return 0;
}

std::string redaction_rules::replacement(mask_style style, std::string_view plain) const {
  if (plain.empty() || style == mask_style::drop) return {};
  if (mark_length(plain) == plain.size()) return std::string(plain);
  if (style == mask_style::keyed_hash) return hash_prefix + hex(hash->of(plain), 6) + "]";
  if (style == mask_style::last_four && plain.size() >= 12) {
    const std::string_view tail = plain.substr(plain.size() - 4);
    if (std::all_of(tail.begin(), tail.end(), is_alnum))
      return std::string("[...").append(tail).append("]");
  }
  return mask;
}

std::string redaction_rules::credential(mask_style style, std::string_view plain) const {
  std::size_t rest = plain.substr(0, 24).find(' ');
  if (rest == npos || !is_auth_scheme(plain.substr(0, rest))) return replacement(style, plain);
  while (rest < plain.size() && is_space(plain[rest])) ++rest;
  return std::string(plain.substr(0, rest)).append(replacement(style, plain.substr(rest)));
}

const name_entry* redaction_rules::find_part(const name_set& names,
                                             std::string_view name) noexcept {
  if (const name_entry* whole = names.find(name)) return whole;
  const auto ends_name = [](char c) { return !is_word(c) && c != '-' && !is_non_ascii(c); };
  std::size_t end = name.size();
  for (int part = 0; part < 3; ++part) {
    while (end > 0 && ends_name(name[end - 1])) --end;
    std::size_t begin = end;
    while (begin > 0 && !ends_name(name[begin - 1])) --begin;
    if (begin == 0 && end == name.size()) return nullptr;
    const std::string_view last = name.substr(begin, end - begin);
    // "password[0]": the place in a list does not name it.
    if (last.empty() || !std::all_of(last.begin(), last.end(), is_digit)) return names.find(last);
    end = begin;
  }
  return nullptr;
}

const name_entry* redaction_rules::header_entry(std::string_view name) const noexcept {
  if (const name_entry* entry = headers.find(name)) return entry;
  const name_entry* entry = header_names.find(name);
  return entry != nullptr && entry->sure != certainty::enclosed ? entry : nullptr;
}

/// Digits, with commas in groups of three and a fraction perhaps: "1,024", "0.5". Not a list.
bool redaction_rules::is_count(const name_entry& entry, std::string_view text) noexcept {
  if (!entry.counts) return false;
  if (text.starts_with('-')) text.remove_prefix(1);
  const std::string_view whole = text.substr(0, text.find('.'));
  const std::string_view fraction = text.substr(std::min(whole.size() + 1, text.size()));
  if (whole.empty() || !std::all_of(fraction.begin(), fraction.end(), is_digit)) return false;
  const bool grouped = whole.find(',') != npos;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    const bool comma = grouped && i != 0 && (whole.size() - i) % 4 == 0;
    if (comma ? whole[i] != ',' : !is_digit(whole[i])) return false;
  }
  return true;
}

bool redaction_rules::hide_literals(std::string& text) const {
  literal_set::hit hit = literals.find(text, 0);
  if (hit.end == hit.begin) return false;
  std::string clean;
  std::size_t copied = 0;
  do {
    clean.append(text, copied, hit.begin - copied);
    clean += replacement(literal_style, literals.literal(hit.literal));
    copied = hit.end;
    hit = literals.find(text, copied);
  } while (hit.end != hit.begin);
  clean.append(text, copied);
  text = std::move(clean);
  return true;
}

bool redaction_rules::scan(std::string_view text, std::string& to) const {
  if (literals.empty()) return scan_patterns(*this, text, to);
  // Literals first: a pattern may cover a part of one and leave the rest.
  std::string clean(text);
  const bool hidden = hide_literals(clean);
  if (scan_patterns(*this, clean, to)) return true;
  if (hidden) to = std::move(clean);
  return hidden;
}

std::string redaction_rules::masked(std::string_view text) const {
  std::string clean;
  return scan(text, clean) ? clean : std::string(text);
}

std::string redaction_rules::finish(std::string text) const {
  if (literals.empty()) return text;
  // A mask can make a literal whole with what stands next to it, or be one.
  for (int round = 0; round < 3; ++round)
    if (!hide_literals(text)) return text;
  text = "[unprintable]";
  if (hide_literals(text)) text.clear();
  return text;
}

}  // namespace hawser::inline v0::detail
