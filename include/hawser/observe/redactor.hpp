// Takes secrets out of whatever is about to be logged: headers, URLs, bodies, free text.
//
//   auto masks = hawser::make_redactor({.literals = {hawser::secret{api_key}}});
//   masks->header("Authorization", "Bearer eyJ...");   // "Bearer [masked]"
//   masks->url("https://u:p@host/?token=abc");         // "https://[masked]@host/?token=[masked]"
//   masks->text("paid with 4111 1111 1111 1111");      // "paid with [masked]"
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/core/secret.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::inline v0 {

namespace detail {
struct redaction_rules;
}

/// What takes a secret's place.
enum class mask_style : std::uint8_t {
  drop,        ///< Nothing; `null` in JSON.
  fixed,       ///< `redaction::mask`.
  last_four,   ///< "[...1111]"; the fixed mask for values under 12 characters, which four
               ///< characters would give away, and for what does not end in letters or digits.
  keyed_hash,  ///< "[hmac:k1:9f86d081884c]": the first 48 bits of HMAC-SHA-256 (RFC 2104) under
               ///< `redaction::hash_key`, so that equal secrets can be told apart from others.
};

/// A name whose value is a secret. Names are compared without regard to case, '-', '_', '.' and
/// blanks: "API-Key" is "api_key" is "apiKey". A leading '*' means "ends with".
struct name_rule {
  std::string name{};                 ///< The name; a leading '*' means "ends with".
  std::optional<mask_style> style{};  ///< Unset: the style of the list it stands in.
};

/// A list of names, begun with the built-in one.
struct name_rules {
  bool defaults = true;               ///< Begin with the built-in names (docs/guide/masking.md).
  std::vector<name_rule> add{};       ///< A name already there takes the style given here.
  std::vector<std::string> remove{};  ///< Taken out before `add`; "*token" takes out that rule, not
                                      ///< the names that end so.
  mask_style style = mask_style::fixed;  ///< For names without a style of their own.
};

/// What is looked for by its shape, wherever it stands. Unset: not looked for.
struct pattern_rules {
  std::optional<mask_style> user_info = mask_style::fixed;  ///< In URLs: RFC 3986 section 3.2.1.
  /// Digits, blanks and dashes between, that begin like an issuer's numbers, are as many and pass
  /// the Luhn check (ISO/IEC 7812-1).
  std::optional<mask_style> card = mask_style::fixed;
  std::optional<mask_style> credentials = mask_style::fixed;  ///< "Bearer ...", "Basic ...".
  std::optional<mask_style> jwt = mask_style::fixed;          ///< "eyJ...": RFC 7519.
  std::optional<mask_style> api_key = mask_style::fixed;      ///< "sk_live_...", "AKIA...", ...
  std::optional<mask_style> private_key = mask_style::fixed;  ///< PEM: RFC 7468 section 10.
  std::optional<mask_style> email = mask_style::fixed;        ///< Mail addresses.
  std::optional<mask_style> iban = mask_style::fixed;         ///< ISO 13616, with its check digits.
  bool assignments = true;  ///< "password=hunter2", "\"token\": \"abc\"" and "Cookie: a=b" in text.
};

/// Options of a redactor.
struct redaction {
  std::string mask = "[masked]";  ///< 1 to 64 printable characters without '"' and '\'.
  /// HTTP header fields. Members of JSON too, but for those in `fields.remove`, or with
  /// `fields.defaults` off.
  name_rules headers{};
  name_rules parameters{};         ///< Parameters of a URL's query and fragment, and of forms.
  name_rules fields{};             ///< Members of JSON objects, at any depth.
  pattern_rules patterns{};        ///< What is looked for by its shape in text, URLs and values.
  std::vector<secret> literals{};  ///< Up to 4096 values that never appear, each of at least 4
                                   ///< bytes: neither as they are nor percent-encoded,
                                   ///< escaped or quoted as JSON, XML, shells, SQL, CSV or
                                   ///< quoted-printable do, in base64 (of whatever surrounds
                                   ///< them) or in hexadecimal.
  mask_style literal_style = mask_style::fixed;  ///< Not `drop`, which could join a new secret.
  std::string hash_key_id{};   ///< Names the key in "[hmac:id:...]": 1 to 32 of A-Za-z0-9-_.
  secret hash_key{};           ///< At least 16 bytes; needed, with its id, by `keyed_hash`.
  std::size_t max_depth = 64;  ///< Nesting of JSON above which a body is not printed. 1 to 512.
  std::optional<std::size_t> max_body = 65536;  ///< Bytes of a body above which it is not printed.
};

/// Masks by the rules given. Immutable: any number of threads may use one. Copies share the rules.
///
/// Functions never throw: what cannot be masked is replaced by a mark, never passed on. What holds
/// no secret comes back byte for byte. Time is linear in the input's length, whatever the input.
class HAWSER_API redactor {
 public:
  /// The built-in rules.
  redactor();
  /// Throws config_error naming the option that does not make sense.
  explicit redactor(redaction options);
  redactor(const redactor&) noexcept;  ///< Shares the rules.
  /// Shares the other's rules from now on.
  redactor& operator=(const redactor&) noexcept;
  ~redactor();

  /// A header's value as it may be printed. The scheme of credentials stays: "Bearer [masked]".
  [[nodiscard]] std::string header(std::string_view name, std::string_view value) const noexcept;

  /// A URL or a part of one, with user info and sensitive parameters masked; escapes in names
  /// ("%74oken") do not hide them.
  [[nodiscard]] std::string url(std::string_view url) const noexcept;

  /// A JSON text (RFC 8259); "[unparseable body, 123 bytes]" when it is not JSON.
  [[nodiscard]] std::string json(std::string_view text) const noexcept;

  /// Form data (application/x-www-form-urlencoded) or a query without '?'.
  [[nodiscard]] std::string form(std::string_view text) const noexcept;

  /// A body by its media type: JSON, JSON lines, forms and plain text are masked, all else is told
  /// of only: "[image/png body, 123 bytes]". Cut after masking, not before.
  [[nodiscard]] std::string body(std::string_view content_type,
                                 std::string_view bytes) const noexcept;

  /// Free text: patterns, and what looks like a URL, JSON, a header or an assignment.
  [[nodiscard]] std::string text(std::string_view text) const noexcept;

  /// A value known to be secret, by `style`; masks are left as they are.
  [[nodiscard]] std::string value(std::string_view value,
                                  mask_style style = mask_style::fixed) const noexcept;

  /// Whether `header` masks all of this header's value.
  [[nodiscard]] bool is_secret_header(std::string_view name) const noexcept;

 private:
  std::shared_ptr<const detail::redaction_rules> rules_;
};

/// A redactor to be shared. Throws config_error.
[[nodiscard]] HAWSER_API std::shared_ptr<const redactor> make_redactor(redaction options = {});

}  // namespace hawser::inline v0
