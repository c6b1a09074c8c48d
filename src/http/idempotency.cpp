#include "hawser/http/idempotency.hpp"

#include "hawser/http/json.hpp"
#include "hawser/http/method.hpp"

#include "core/printable.hpp"
#include "core/sha256.hpp"
#include "http/bytes.hpp"

#include <array>
#include <limits>
#include <optional>
#include <utility>

namespace hawser::inline v0::http {

namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";
constexpr std::size_t minted_length = 36;  // a UUID's, as text

error bad_key(const idempotency_profile& profile, std::string text) {
  return {errc::invalid_idempotency_key,
          bytes::shown(profile.name) + " profile: " + std::move(text)};
}

// The place that a profile names in bodies; nothing when it is none. Not all profiles came through
// validate().
std::optional<nlohmann::json::json_pointer> place_of(const idempotency_profile& profile) {
  if (!profile.body_field || profile.body_field->empty() ||
      !hawser::detail::is_utf8(*profile.body_field))
    return std::nullopt;
  try {
    return nlohmann::json::json_pointer(*profile.body_field);
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

// The value at a place; null when there is none.
const nlohmann::json* value_at(const nlohmann::json& document,
                               const nlohmann::json::json_pointer& place) {
  try {
    return document.contains(place) ? &document[place] : nullptr;
  } catch (const nlohmann::json::exception&) {  // an index that no array can have
    return nullptr;
  }
}

std::string as_header_value(const idempotency_profile& profile, std::string_view key) {
  if (profile.style == idempotency_profile::quoting::raw) return std::string(key);
  std::string out = "\"";
  for (const char c : key) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out += '"';
}

// Finds places in JSON text that is known to be valid. The key is written into the text rather than
// into a document of it, because printing a document again would change numbers: 1.10 becomes 1.1
// and 20 digits become a double.
class json_text {
 public:
  explicit json_text(std::string_view text) noexcept : text_(text) {}

  // Just behind the '{' of the object that the pointer names; npos when there is none.
  std::size_t inside_object(const nlohmann::json::json_pointer& where) {
    at_ = 0;
    skip_blanks();
    return descend(where);
  }
  // Whether the object that was found has no members.
  [[nodiscard]] bool is_empty_object(std::size_t inside) {
    at_ = inside;
    skip_blanks();
    return text_[at_] == '}';
  }

 private:
  std::size_t descend(nlohmann::json::json_pointer where) {
    std::vector<std::string> keys;
    for (; !where.empty(); where.pop_back()) keys.push_back(where.back());
    while (!keys.empty()) {
      if (!enter_member(keys.back())) return std::string_view::npos;
      keys.pop_back();
    }
    return text_[at_] == '{' ? at_ + 1 : std::string_view::npos;
  }
  // From an object to the last member of that name, as parsers take it.
  bool enter_member(std::string_view name) {
    if (text_[at_] != '{') return false;
    std::size_t found = std::string_view::npos;
    ++at_;
    skip_blanks();
    while (text_[at_] != '}') {
      const std::size_t key_at = at_;
      skip_string();
      const std::string key =
          nlohmann::json::parse(text_.substr(key_at, at_ - key_at)).get<std::string>();
      skip_blanks();
      ++at_;  // the colon
      skip_blanks();
      if (key == name) found = at_;
      skip_value();
      skip_blanks();
      if (text_[at_] == ',') ++at_;
      skip_blanks();
    }
    at_ = found;
    return found != std::string_view::npos;
  }
  void skip_blanks() noexcept {
    while (at_ < text_.size() &&
           (bytes::is_blank(text_[at_]) || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }
  void skip_string() noexcept {
    for (++at_; text_[at_] != '"'; ++at_)
      if (text_[at_] == '\\') ++at_;
    ++at_;
  }
  void skip_value() noexcept {
    int depth = 0;
    do {
      const char c = text_[at_];
      if (c == '"') {
        skip_string();
        continue;
      }
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      ++at_;
    } while (depth > 0 || !ends_value());
  }
  [[nodiscard]] bool ends_value() const noexcept {
    return at_ >= text_.size() || text_[at_] == ',' || text_[at_] == '}' || text_[at_] == ']';
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

constexpr limits as_deep_as_we_send{.json_depth = detail::most_levels_sent,
                                    .json_bytes = std::numeric_limits<std::size_t>::max()};

// The body with the key in it.
result<std::string> with_key(const idempotency_profile& profile, std::string_view key,
                             const std::string& body) {
  const auto refuse = [&](std::string text) {
    return error(errc::invalid_body,
                 bytes::shown(profile.name) + " profile: the key goes into the JSON body at " +
                     bytes::shown(*profile.body_field) + ", but " + std::move(text));
  };
  const auto field = place_of(profile);
  if (!field) return refuse("that is no JSON pointer; give one such as /idempotency_key");
  const result<nlohmann::json> parsed = parse_json(body, as_deep_as_we_send);
  if (!parsed) {
    if (parsed.error() == errc::json_too_deep)
      return refuse("the body is nested deeper than " +
                    std::to_string(as_deep_as_we_send.json_depth) + " levels; flatten it");
    const std::string where = parsed.error().detail();  // and a remedy for answers
    return refuse("the body is not JSON: " + where.substr(0, where.find(';')) +
                  "; send one object");
  }
  const nlohmann::json::json_pointer parent = field->parent_pointer();
  const nlohmann::json* const found = value_at(*parsed, parent);
  if (found == nullptr || !found->is_object())
    return refuse("there is no object to put it in; send one");
  const nlohmann::json& object = *found;
  if (const auto there = object.find(field->back()); there != object.end()) {
    if (there->is_string() && there->get_ref<const std::string&>() == key) return body;
    return bad_key(profile, "the body has another key already; give one of them only");
  }
  json_text text(body);
  const std::size_t inside = text.inside_object(parent);
  if (inside == std::string_view::npos) return refuse("there is no object to put it in; send one");
  std::string member = nlohmann::json(field->back()).dump() + ':' + nlohmann::json(key).dump();
  if (!text.is_empty_object(inside)) member += ',';
  std::string changed = body;
  changed.insert(inside, member);
  return changed;
}

}  // namespace

idempotency_profile idempotency_profile::ietf() { return {}; }

idempotency_profile idempotency_profile::stripe() {
  idempotency_profile p;
  p.name = "stripe";
  p.style = quoting::raw;
  p.retention = std::chrono::hours(24);
  p.settling_statuses = {402};  // "request failed", kept with the key as a success is
  return p;
}

idempotency_profile idempotency_profile::paypal() {
  idempotency_profile p;
  p.name = "paypal";
  p.header = "PayPal-Request-Id";
  p.style = quoting::raw;
  p.max_length = 108;
  return p;
}

idempotency_profile idempotency_profile::adyen() {
  idempotency_profile p;
  p.name = "adyen";
  p.style = quoting::raw;
  p.max_length = 64;
  p.in_flight_status = std::nullopt;
  return p;
}

idempotency_profile idempotency_profile::square() {
  idempotency_profile p;
  p.name = "square";
  p.header = {};
  p.style = quoting::raw;
  p.max_length = 45;
  p.body_field = "/idempotency_key";
  p.in_flight_status = std::nullopt;
  return p;
}

void validate(const idempotency_profile& profile) {
  if (profile.name.empty()) throw config_error("idempotency_profile.name", "", "must not be empty");
  if (bytes::first_control(profile.name) != std::string_view::npos ||
      !hawser::detail::is_utf8(profile.name))
    throw config_error("idempotency_profile.name", profile.name,
                       "must be UTF-8 without control characters");
  if (profile.header.empty() && !profile.body_field)
    throw config_error("idempotency_profile.header", "", "needs a header or a body_field");
  if (!profile.header.empty() && !check_request_field(profile.header, {}))
    throw config_error("idempotency_profile.header", profile.header,
                       "must be a header name that the client does not write itself");
  if (profile.body_field && !place_of(profile))
    throw config_error("idempotency_profile.body_field", *profile.body_field,
                       "must be a JSON pointer such as /idempotency_key, in UTF-8");
  if (profile.max_length < minted_length)
    throw config_error(
        "idempotency_profile.max_length", std::to_string(profile.max_length),
        "must be at least " + std::to_string(minted_length) + ", the length of a minted key");
  if (profile.retention && *profile.retention <= duration::zero())
    throw config_error("idempotency_profile.retention",
                       std::to_string(profile.retention->count()) + " ns",
                       "must be over zero; std::nullopt turns it off");
  if (const auto status = profile.in_flight_status; status && (*status < 400 || *status > 599))
    throw config_error("idempotency_profile.in_flight_status", std::to_string(*status),
                       "must be from 400 to 599; std::nullopt turns it off");
  for (const int status : profile.settling_statuses)
    if (status < 400 || status > 499 || status == profile.in_flight_status)
      throw config_error("idempotency_profile.settling_statuses", std::to_string(status),
                         "must be from 400 to 499, and not the one in flight");
}

std::string mint_idempotency_key(entropy& random) {
  std::array<std::uint64_t, 2> words{random.unique(), random.unique()};
  words[0] = (words[0] & ~std::uint64_t{0xF000}) | 0x4000;                       // version
  words[1] = (words[1] & ~(std::uint64_t{3} << 62)) | (std::uint64_t{2} << 62);  // variant
  std::string key;
  key.reserve(minted_length);
  for (int nibble = 0; nibble < 32; ++nibble) {
    if (nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20) key += '-';
    const std::uint64_t word = words[static_cast<std::size_t>(nibble / 16)];
    key += hex_digits[(word >> (60 - 4 * (nibble % 16))) & 15];
  }
  return key;
}

result<void> check_idempotency_key(const idempotency_profile& profile, std::string_view key) {
  if (key.empty())
    return bad_key(profile, "the key is empty; mint one, or give the operation's own");
  if (key.size() > profile.max_length)
    return bad_key(profile, "the key has " + std::to_string(key.size()) + " bytes, at most " +
                                std::to_string(profile.max_length) + " are taken; shorten it");
  const bool raw = profile.style == idempotency_profile::quoting::raw;
  for (std::size_t i = 0; i < key.size(); ++i)
    if (key[i] < ' ' || key[i] > '~' || (raw && key[i] == ' '))
      return bad_key(profile, "the key has byte " + bytes::hex(key[i]) + " at offset " +
                                  std::to_string(i) + "; use printable ASCII" +
                                  (raw ? " without blanks" : ""));
  return {};
}

std::string idempotency_key_in(const idempotency_profile& profile, std::string_view body) {
  const auto field = place_of(profile);
  if (!field) return {};
  const result<nlohmann::json> parsed = parse_json(body, as_deep_as_we_send);
  const nlohmann::json* const found = parsed ? value_at(*parsed, *field) : nullptr;
  return found != nullptr && found->is_string() ? found->get<std::string>() : std::string();
}

result<void> apply_idempotency_key(const idempotency_profile& profile, std::string_view key,
                                   headers& to, std::string& body) {
  if (auto checked = check_idempotency_key(profile, key); !checked) return checked;
  const bool in_header = !profile.header.empty();
  const auto there = in_header ? to.find(profile.header) : std::nullopt;
  const std::string value = as_header_value(profile, key);
  if (there && *there != value)
    return bad_key(profile, "header \"" + profile.header +
                                "\" holds another key already; give one of them only");
  if (profile.body_field) {
    result<std::string> changed = with_key(profile, key, body);
    if (!changed) return changed.error();
    body = *std::move(changed);
  }
  if (in_header && !there) to.add(profile.header, value);
  return {};
}

std::string fingerprint(std::string_view key) {
  constexpr std::size_t bytes_shown = 6;
  return hawser::hex(sha256::of(key), bytes_shown);
}

}  // namespace hawser::inline v0::http
