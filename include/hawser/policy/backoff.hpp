// How long to wait before a retry: a growing base, spread by jitter, never over its cap.
//
//   hawser::retry{.max_attempts = 4, .delay = hawser::exponential{.first = 100ms, .cap = 2s}};
//   hawser::backoff delay = hawser::linear{.first = 1s, .spread = hawser::jitter::equal};
//   hawser::validate(delay, "poll.delay");
//   hawser::duration wait = hawser::next_delay(delay, 1, {}, random);   // before the first retry
//   wait = hawser::next_delay(delay, 2, wait, random);                  // before the second
#pragma once

#include "hawser/core/entropy.hpp"
#include "hawser/core/export.hpp"
#include "hawser/core/time.hpp"

#include <chrono>
#include <cstdint>
#include <string_view>
#include <variant>

namespace hawser::inline v0 {

/// How a delay is spread, so that clients that failed together do not come back together.
/// Below, `top` is the smaller of the base and the cap. The range of the draw is cut, not the
/// drawn value: so the cap is never exceeded, and no heap of draws lies exactly on it.
/// Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog (2015).
enum class jitter : std::uint8_t {
  none,          ///< `top`, the same for everybody.
  full,          ///< Uniform in (0, top].
  equal,         ///< Uniform in (top/2, top].
  decorrelated,  ///< Uniform in (first, min(cap, 3 x previous)]; grows by its own draws.
};

/// Always the same base.
struct constant {
  duration each = std::chrono::milliseconds(100);  ///< At least 0.
  jitter spread = jitter::full;                    ///< Not `decorrelated`: it needs a cap.
};

/// first, first + step, first + 2 step, ...
struct linear {
  duration first = std::chrono::milliseconds(100);  ///< Over 0.
  duration step = std::chrono::milliseconds(100);   ///< At least 0.
  duration cap = std::chrono::seconds(20);          ///< At least `first`.
  jitter spread = jitter::full;                     ///< How each delay is spread.
};

/// first, first x factor, first x factor^2, ...
struct exponential {
  duration first = std::chrono::milliseconds(100);  ///< Over 0.
  double factor = 2.0;                              ///< Finite, at least 1.
  duration cap = std::chrono::seconds(20);          ///< At least `first`.
  jitter spread = jitter::full;                     ///< How each delay is spread.
};

/// first x 1, 1, 2, 3, 5, 8, ...: gentler than doubling.
struct fibonacci {
  duration first = std::chrono::milliseconds(100);  ///< Over 0.
  duration cap = std::chrono::seconds(20);          ///< At least `first`.
  jitter spread = jitter::full;                     ///< How each delay is spread.
};

/// The delay of a retry: one of the four shapes.
using backoff = std::variant<constant, linear, exponential, fibonacci>;

/// The wait before retry number `retry_number`; 1 is the first retry, smaller numbers count as 1,
/// large ones saturate at the cap. `previous` is the wait before the retry before this one, zero
/// for the first; only `decorrelated` looks at it. Draws one word from `random` unless the
/// spread is `none`. Precondition: `how` passed `validate`. Thread-safe.
[[nodiscard]] HAWSER_API duration next_delay(const backoff& how, int retry_number,
                                             duration previous, entropy& random) noexcept;

/// Throws `config_error` naming `field` and the member, for example "retry.delay.cap".
HAWSER_API void validate(const backoff& how, std::string_view field);

}  // namespace hawser::inline v0
