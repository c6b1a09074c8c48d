// How fast calls go while nothing holds them: what a ramp measures itself against.
//
//   usual.saw(250, 1s);        // so many went in so long, freely
//   double ns = usual.apart(ns_while_held);  // between two of them
//
// What comes in while calls are held says too little: callers that wait for their answers (a pool
// of workers) call no more once all of them wait.
#pragma once

#include "hawser/core/time.hpp"

namespace hawser::inline v0::detail {

/// Guarded by its owner's lock.
class usual_rate {
 public:
  void saw(double calls, duration span) noexcept {
    if (span <= duration::zero()) return;
    calls_ += calls;
    span_ += static_cast<double>(span.count());
    if (span_ <= remembered) return;
    calls_ *= remembered / span_;
    span_ = remembered;
  }
  /// How far apart calls are, in nanoseconds: what was measured while they were held, or, if that
  /// is far slower than usual, the usual. What differs less is chance, of which the ramp has no
  /// need.
  [[nodiscard]] double apart(double while_held) const noexcept {
    if (span_ < enough || calls_ <= 0) return while_held;
    const double usual = span_ / calls_;
    return while_held > far_slower * usual ? usual : while_held;
  }

 private:
  static constexpr double enough = 1e9;
  static constexpr double far_slower = 1.5;
  static constexpr double remembered = 20e9;
  double calls_ = 0;
  double span_ = 0;  // in nanoseconds
};

}  // namespace hawser::inline v0::detail
