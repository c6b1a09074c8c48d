// Lets one allocation of a run fail. Counts only on the thread that armed it, and only while it is
// armed. Nothing fails where `allocations_are_counted` is false.
#pragma once

#include "support/each_step.hpp"

namespace hawser::test {

/// While it lives, allocations of this thread are steps of the fuse: the one at which it burns
/// throws `std::bad_alloc`, or returns null where that is the function's way. One allocation inside
/// of Asio is spared, see the source.
class allocations_fail {
 public:
  explicit allocations_fail(fuse& f);
  allocations_fail(const allocations_fail&) = delete;
  allocations_fail& operator=(const allocations_fail&) = delete;
  ~allocations_fail();
};

/// While it lives, this thread's allocations are not steps: for what belongs to the test.
class not_counted {
 public:
  not_counted() noexcept;
  not_counted(const not_counted&) = delete;
  not_counted& operator=(const not_counted&) = delete;
  ~not_counted();

 private:
  fuse* was_;
};

}  // namespace hawser::test
