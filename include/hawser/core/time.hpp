// Time as the library sees it: monotonic, in nanoseconds, and always told, never asked.
//
//   hawser::time_point until = hawser::later(now, std::chrono::seconds(5));
//   if (now >= until) ...
//
// No `now()` lives here: an environment reads a clock and passes the value down.
#pragma once

#include "hawser/core/export.hpp"

#include <chrono>
#include <cstdint>

namespace hawser::inline v0 {

/// The tag of the monotonic time line an environment measures on. It has no `now()` on purpose.
struct monotonic {
  using duration = std::chrono::nanoseconds;  ///< Lengths on this time line: nanoseconds.
  using rep = duration::rep;                  ///< What holds a length's count.
  using period = duration::period;            ///< A nanosecond.
  using time_point = std::chrono::time_point<monotonic, duration>;  ///< Moments on this time line.
  static constexpr bool is_steady = true;                           ///< Time never goes back.
};

/// Lengths of time. Options take any chrono type and keep this one.
using duration = monotonic::duration;

/// A moment on an environment's monotonic time line.
using time_point = monotonic::time_point;

/// A moment that does not come.
inline constexpr time_point never = time_point::max();

/// `from + by`, saturating at `never` (and at the start of time) instead of overflowing.
[[nodiscard]] constexpr time_point later(time_point from, duration by) noexcept {
  if (from == never) return never;
  duration::rep sum = 0;
  if (__builtin_add_overflow(from.time_since_epoch().count(), by.count(), &sum)) [[unlikely]]
    return by < duration::zero() ? time_point::min() : never;
  return time_point(duration(sum));
}

/// `until - now`: zero when `until` has passed, `duration::max()` when it is `never`.
[[nodiscard]] constexpr duration remaining(time_point until, time_point now) noexcept {
  if (until == never) return duration::max();
  if (until <= now) return duration::zero();
  if (now.time_since_epoch() < duration::zero() &&
      until.time_since_epoch() > duration::max() + now.time_since_epoch())
    return duration::max();
  return until - now;
}

}  // namespace hawser::inline v0
