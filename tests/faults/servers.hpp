// Fault servers in a process of their own, so that their allocations and calls do not fail.
#pragma once

#include "faults/stage.hpp"

#include <sys/types.h>

namespace hawser::test {

class servers {
 public:
  /// Listen when it returns, on free ports. Throws `std::runtime_error` when they do not. To be
  /// made before this process has threads.
  servers();
  servers(const servers&) = delete;
  servers& operator=(const servers&) = delete;
  ~servers();
  [[nodiscard]] const addresses& at() const noexcept { return at_; }

 private:
  addresses at_;
  pid_t process_ = -1;
};

}  // namespace hawser::test
