// May this request go out again? One table answers, and everything that re-sends asks it.
//
//   if (!hawser::may_resend(hawser::effect::unsafe, hawser::evidence::maybe_applied))
//     // a second try could do the work twice: report the outcome as unknown instead
#pragma once

#include "hawser/core/export.hpp"

#include <cstdint>
#include <string_view>

namespace hawser::inline v0 {

/// What doing an operation twice would do to the other side (RFC 9110 section 9.2).
enum class effect : std::uint8_t {
  safe,        ///< Reads only (GET, HEAD, OPTIONS).
  idempotent,  ///< Twice is the same as once (PUT, DELETE).
  keyed,       ///< Carries an idempotency key the server de-duplicates by.
  unsafe,      ///< Twice may do the work twice (POST, PATCH without a key).
};

/// What is known of a failed attempt's arrival on the other side.
enum class evidence : std::uint8_t {
  never_sent,     ///< No byte of the request left this process.
  refused,        ///< The server said that it did no work (429, 503 with Retry-After, 421, 425).
  maybe_applied,  ///< Bytes went out and no complete, conclusive answer came.
  answered,       ///< A complete answer came.
};

/// Whether the request's body can be produced again.
enum class replay : std::uint8_t {
  replayable,
  consumed,  ///< A one-shot body of which bytes were taken.
};

/// The re-send table: whether an operation of this effect may be sent again after an attempt
/// that ended with this evidence. `keyed` presumes that the same key goes out again.
/// Source: RFC 9110 section 9.2.2 and draft-ietf-httpapi-idempotency-key-header-07.
[[nodiscard]] constexpr bool may_resend(effect what, evidence seen,
                                        replay body = replay::replayable) noexcept {
  if (body == replay::consumed) return false;
  if (what != effect::unsafe) return true;
  return seen == evidence::never_sent || seen == evidence::refused;
}

/// The enumerator's own name ("idempotent"): stable, fit for metric labels.
[[nodiscard]] HAWSER_API std::string_view to_string(effect what) noexcept;
/// In words ("maybe applied"): stable, fit for metric labels.
[[nodiscard]] HAWSER_API std::string_view to_string(evidence seen) noexcept;

}  // namespace hawser::inline v0
