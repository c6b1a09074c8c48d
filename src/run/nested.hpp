// What an exception carries inside it.
#pragma once

#include <exception>

namespace hawser::inline v0::detail {

/// So deep is looked into exceptions; a chain that is longer may be a ring.
inline constexpr int deepest_nested = 16;

/// What std::throw_with_nested has put into it; null if nothing.
[[nodiscard]] inline std::exception_ptr nested_in(const std::exception_ptr& thrown) noexcept {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::nested_exception& e) {
    return e.nested_ptr();
  } catch (...) {
    return nullptr;
  }
}

}  // namespace hawser::inline v0::detail
