// Why a policy used by hand said no: with numbers, until when, and as an error, in one line.
//
//   hawser::refusal no;
//   const auto permit = breaker.try_acquire(now, random, &no);
//   if (!permit) return no.to_error(now);    // as a pipeline would end the call
//   if (!permit && no.wait(now)) retry_in(*no.wait(now));
#pragma once

#include "hawser/core/error.hpp"
#include "hawser/core/time.hpp"
#include "hawser/observe/event.hpp"

#include <optional>

namespace hawser::inline v0 {

/// What `try_acquire` of breaker, bulkhead and limiter writes when it refuses, and only then.
/// A plain value: holds no text of its own, so writing it allocates nothing.
struct refusal {
  errc code{};  ///< What the call ends with in a pipeline; `errc{}`: nothing was refused.
  cause why{};  ///< The numbers, and until when. `why.policy` is a view: the policy keeps the text.

  /// How long until asking again makes sense, from `now` on; nullopt when nobody knows: whoever
  /// holds the permits decides (bulkhead, probes), or a hand (isolated), or it never will (a cost
  /// over the burst).
  [[nodiscard]] std::optional<duration> wait(time_point now) const noexcept {
    if (why.until == never) return std::nullopt;
    return remaining(why.until, now);
  }

  /// The error of a call that a pipeline refuses for the same cause: code, and the cause as its
  /// detail. Holds its own text. Without a refusal: no error.
  [[nodiscard]] error to_error(time_point now) const {
    if (code == errc{}) return {};
    return {make_error_code(code), to_string(why, now)};
  }
};

}  // namespace hawser::inline v0
