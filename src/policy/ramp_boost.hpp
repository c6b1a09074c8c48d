// When a ramp is too slow: those who wait do not get fewer, since each that goes is followed by
// another.
//
//   boost.restart(waiting);                 // the ramp begins
//   boost.one_went(waiting);                // one has gone, so many still wait
//   apart /= boost.factor();
//
// On its way out of a pause a ramp lets a little more go than came in lately. Of callers that call
// again as soon as they are served (a pool of workers) little comes in while they wait, and then as
// much as the ramp lets go: it would never end. So it doubles as long as nothing is gained.
#pragma once

#include <algorithm>

namespace hawser::inline v0::detail {

/// Guarded by its owner's lock.
class ramp_boost {
 public:
  void restart(int waiting) noexcept {
    factor_ = 1;
    look_again(waiting);
  }
  void one_went(int waiting) noexcept {
    if (++went_ < look_after_) return;
    if (waiting > 0 && waiting >= before_ && factor_ < most) factor_ *= 2;
    look_again(waiting);
  }
  [[nodiscard]] double factor() const noexcept { return factor_; }

 private:
  // Twice as many as wait, and no fewer than these: that as many come in the same time by chance,
  // where a quarter fewer are due, is rare then.
  static constexpr int at_least = 64;
  static constexpr double most = 1024;
  void look_again(int waiting) noexcept {
    went_ = 0;
    before_ = waiting;
    look_after_ = std::max(at_least, 2 * waiting);
  }
  double factor_ = 1;
  int went_ = 0;
  int before_ = 0;
  int look_after_ = at_least;
};

}  // namespace hawser::inline v0::detail
