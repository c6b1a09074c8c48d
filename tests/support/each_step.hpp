// Replays a run, failing at its first step, then at its second, and so on to its last.
//
//   const std::size_t steps = fail_at_each_step([](fuse& f) {
//     network net{f};                     // asks f.burns() at each of its steps, and fails if so
//     ... one run, and what must hold however it went ...
//   });
//   EXPECT_GT(steps, 10u);                // the steps were there to fail at
#pragma once

#include <gtest/gtest.h>

#include <cstddef>

namespace hawser::test {

/// Counts the steps of one run and burns at one of them.
class fuse {
 public:
  explicit fuse(std::size_t at) noexcept : at_(at) {}
  fuse(const fuse&) = delete;
  fuse& operator=(const fuse&) = delete;

  /// At each step that may fail: whether this is the one that does. False while not armed.
  [[nodiscard]] bool burns() noexcept {
    if (!armed_ || steps_++ != at_) return false;
    return burnt_ = true;
  }
  /// Steps count only while armed, so that what stands before or after the run is left alone.
  void arm(bool on = true) noexcept { armed_ = on; }

  [[nodiscard]] bool burnt() const noexcept { return burnt_; }
  [[nodiscard]] std::size_t at() const noexcept { return at_; }
  [[nodiscard]] std::size_t steps() const noexcept { return steps_; }

 private:
  const std::size_t at_;
  std::size_t steps_ = 0;
  bool armed_ = true;
  bool burnt_ = false;
};

/// Makes `run(fuse&)` for k = 0, 1, 2, ... until one has fewer than k + 1 steps, so that nothing
/// failed in it. How many steps a run has: each of them failed once.
template <class Run>
std::size_t fail_at_each_step(Run run) {
  constexpr std::size_t runaway = 100'000;
  for (std::size_t k = 0; k < runaway; ++k) {
    SCOPED_TRACE(::testing::Message() << "failing at step " << k);
    fuse f(k);
    run(f);
    if (!f.burnt()) return k;
    if (::testing::Test::HasFailure()) return k;  // one broken step is enough to read
  }
  ADD_FAILURE() << "the run never gets by without a failure";
  return runaway;
}

}  // namespace hawser::test
