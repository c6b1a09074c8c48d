// How a thread that ends, by pthread_exit or pthread_cancel, takes its stack apart: by an exception
// that only the system's own code may swallow. Not for users.
#pragma once

#include "hawser/core/export.hpp"

#include <exception>

namespace hawser::inline v0::detail {

/// In a handler of `...` around what a user wrote: whether what came is no exception of C++, so
/// that it must go on.
[[nodiscard]] inline bool unwinding_by_force() noexcept {
  return std::current_exception() == nullptr;
}

}  // namespace hawser::inline v0::detail
