// How every policy refuses an option: by its field, its value and the rule it breaks.
//
//   require(o.min_calls >= 1, "circuit_breaker.min_calls", o.min_calls, "must be at least 1");
//   cause why{name, reason::limit_elapsed, 0, in_seconds(limit), never};
#pragma once

#include "hawser/core/error.hpp"
#include "hawser/core/time.hpp"

#include "core/printable.hpp"

#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

namespace hawser::inline v0::detail {

[[nodiscard]] inline std::string text_of(duration value) {
  return std::to_string(value.count()) + " ns";
}
[[nodiscard]] inline std::string text_of(int value) { return std::to_string(value); }
[[nodiscard]] inline std::string text_of(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

/// Throws `config_error` unless the rule holds.
template <class Value>
void require(bool holds, std::string_view field, Value value, std::string_view rule) {
  if (!holds) throw config_error(field, text_of(value), rule);
}

/// A name stands in events, logs and errors.
inline void require_name(std::string_view field, std::string_view name) {
  if (!is_printable(name))
    throw config_error(field, name,
                       "must be UTF-8 without control characters and line separators: it stands in "
                       "logs; remove them");
}

/// As the numbers of a cause have it.
[[nodiscard]] inline double in_seconds(duration value) noexcept {
  return std::chrono::duration<double>(value).count();
}

}  // namespace hawser::inline v0::detail
