// A code's text without what to do about it: that stands once in an error's own text, not wherever
// the error is mentioned.
#pragma once

#include "hawser/core/error.hpp"

#include <string>

namespace hawser::inline v0::detail {

/// "the call did not finish within its time limit".
[[nodiscard]] inline std::string brief(const error_code& code) {
  std::string text = code.message();
  if (code.category() == error_category())
    if (const std::size_t remedy = text.find("; "); remedy != std::string::npos)
      text.resize(remedy);
  return text;
}

}  // namespace hawser::inline v0::detail
