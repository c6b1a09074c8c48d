// When an answer says to come back, read from its fields.
#pragma once

#include "hawser/core/time.hpp"

#include <chrono>
#include <optional>
#include <string_view>

namespace hawser::inline v0::http {

class headers;

/// A field's one value. Fields of that name that say the same count as one; those that differ, as
/// none (RFC 9110 section 5.3: only a field that is a list may come several times).
[[nodiscard]] std::optional<std::string_view> single_value(const headers& of,
                                                           std::string_view name) noexcept;

struct retry_hint {
  /// Whether the answer has a well-formed Retry-After. A date is one even where there is nothing
  /// to measure it against.
  bool given = false;
  std::optional<duration> wait{};
};

[[nodiscard]] retry_hint read_retry_hint(const headers& of,
                                         std::optional<std::chrono::sys_seconds> wall_now) noexcept;

}  // namespace hawser::inline v0::http
