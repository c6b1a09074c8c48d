// Fields of a request that hold one value and not a list of them.
#pragma once

#include "hawser/http/headers.hpp"

#include <string_view>

namespace hawser::inline v0::http {

/// Whether a message may have it once only (RFC 9110 section 5.3), of the fields that callers set.
[[nodiscard]] inline bool is_single_field(std::string_view name) noexcept {
  for (const std::string_view one :
       {"Authorization", "Content-Location", "Content-Type", "Date", "From", "If-Modified-Since",
        "If-Range", "If-Unmodified-Since", "Max-Forwards", "Origin", "Proxy-Authorization", "Range",
        "Referer", "User-Agent"})
    if (same_name(name, one)) return true;
  return false;
}

}  // namespace hawser::inline v0::http
