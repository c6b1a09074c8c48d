// Times as people read them: "90 ms", "3.2 s".
#pragma once

#include "hawser/core/time.hpp"

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <string>

namespace hawser::inline v0::detail {

/// Two or three figures. Not by printf: that takes its point from the locale.
[[nodiscard]] inline std::string in_short(duration d) {
  const double ms = std::chrono::duration<double, std::milli>(d).count();
  const double size = ms < 0 ? -ms : ms;
  const bool seconds = size >= 999.5;
  const double value = seconds ? ms / 1000 : ms;
  // One decimal of what is under ten.
  const bool small = (seconds ? size / 1000 : size) < 9.95;
  char text[48];
  char* end =
      std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, small ? 1 : 0).ptr;
  if (small && end[-1] == '0') end -= 2;  // "2.0"
  std::string shown(text, end);
  if (shown == "-0") shown = "0";
  return shown + (seconds ? " s" : " ms");
}

}  // namespace hawser::inline v0::detail
