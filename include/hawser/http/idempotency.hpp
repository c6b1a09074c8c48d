// Idempotency keys: minted once per logical operation, sent the way each vendor wants them.
//
//   std::string key = hawser::http::mint_idempotency_key(env.random());
//   hawser::http::headers h;
//   std::string body = R"({"amount":100})";
//   auto ok = apply_idempotency_key(hawser::http::idempotency_profile::stripe(), key, h, body);
#pragma once

#include "hawser/core/entropy.hpp"
#include "hawser/core/export.hpp"
#include "hawser/core/result.hpp"
#include "hawser/core/time.hpp"
#include "hawser/http/headers.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::inline v0::http {

/// How a server takes idempotency keys. Set-up data: fill one in for a vendor that is not here.
struct HAWSER_API idempotency_profile {
  /// How the key is written into the header.
  enum class quoting : std::uint8_t {
    raw,        ///< The key as it is.
    sf_string,  ///< A Structured Field String (RFC 9651 section 3.3.3): in double quotes.
  };

  /// For error texts and metrics. Not empty.
  std::string name = "ietf";
  /// The header that carries the key; empty when only the body does.
  std::string header = "Idempotency-Key";
  quoting style = quoting::sf_string;  ///< How the key is written into the header.
  /// Bytes of a key, without quotes. At least 36, the length of a minted key.
  std::size_t max_length = 255;
  /// Where in a JSON body the key goes, as a JSON pointer (RFC 6901); off when not set. Such a body
  /// may be 1,000 levels deep, text of your own too.
  std::optional<std::string> body_field{};
  /// How long the server remembers a key; off when it does not say. An older key is not re-sent.
  std::optional<duration> retention{};
  /// The status that says "the first request is still running, ask again"; off when there is none.
  std::optional<int> in_flight_status = 409;
  /// The 4xx by which a server that has looked the key up says that the work has failed, and will
  /// say so again: a declined card. They settle what an attempt before left open. Whatever else is
  /// no success does not, since it may come from before the key is looked up.
  std::vector<int> settling_statuses{};

  /// draft-ietf-httpapi-idempotency-key-header-07: a quoted string.
  [[nodiscard]] static idempotency_profile ietf();
  /// Idempotency-Key, raw, at most 255, remembered for 24 hours, failures included: 402 settles.
  [[nodiscard]] static idempotency_profile stripe();
  /// PayPal-Request-Id, raw, at most 108; the same request twice at once may simply fail.
  [[nodiscard]] static idempotency_profile paypal();
  /// Idempotency-Key, raw, at most 64; in-flight requests answer 422 like other conflicts, so there
  /// is no status to ask again on.
  [[nodiscard]] static idempotency_profile adyen();
  /// The body's member "idempotency_key", at most 45; no header.
  [[nodiscard]] static idempotency_profile square();
};

/// Throws hawser::config_error, naming the field, unless: a name of one line, a header or a body
/// field, the header a token, the body field a JSON pointer in UTF-8 that is not empty, max_length
/// at least 36 (the length of a minted key), retention over zero, in_flight_status 400 to 599,
/// settling_statuses 400 to 499 and not the one in flight.
HAWSER_API void validate(const idempotency_profile& profile);

/// A fresh key: a version 4 UUID (RFC 9562 section 5.4) from `random.unique()`.
[[nodiscard]] HAWSER_API std::string mint_idempotency_key(entropy& random);

/// Whether the profile takes the key: 1 to max_length bytes of printable ASCII, without blanks when
/// raw. errc::invalid_idempotency_key, naming the byte's place, never the key.
[[nodiscard]] HAWSER_API result<void> check_idempotency_key(const idempotency_profile& profile,
                                                            std::string_view key);

/// The key that `body` holds already at the profile's `body_field`; empty without one.
[[nodiscard]] HAWSER_API std::string idempotency_key_in(const idempotency_profile& profile,
                                                        std::string_view body);

/// Puts the key where the profile wants it. Doing it twice with one key is the same as once; a
/// different key already there is errc::invalid_idempotency_key. errc::invalid_body when the key
/// goes into the body and that is not a JSON object, or the profile's place in it no JSON pointer.
/// On errors nothing is changed.
[[nodiscard]] HAWSER_API result<void> apply_idempotency_key(const idempotency_profile& profile,
                                                            std::string_view key, headers& to,
                                                            std::string& body);

/// Twelve hex digits of the key's SHA-256: fit for logs and reports, where the key is not.
[[nodiscard]] HAWSER_API std::string fingerprint(std::string_view key);

}  // namespace hawser::inline v0::http
