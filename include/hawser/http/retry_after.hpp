// Retry-After and the dates of HTTP, read without looking at any clock.
//
//   parse_retry_after("120", {});                                     // 120 s
//   parse_retry_after("Fri, 07 Nov 2025 23:59:59 GMT", date_header);  // against the answer's Date
//   parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT");                 // sys_seconds
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/core/time.hpp"

#include <chrono>
#include <optional>
#include <string_view>

namespace hawser::inline v0::http {

/// How long a server asks to wait (RFC 9110 section 10.2.3). A date is measured against the same
/// answer's Date header, since the local clock may be wrong; without a usable one against
/// `wall_now`; without either there is no telling: nullopt. A date in the past is zero. Seconds are
/// digits alone and below 2^63, and saturate at `duration::max()`. Anything else is malformed, and
/// a malformed hint is none: nullopt.
[[nodiscard]] HAWSER_API std::optional<duration> parse_retry_after(
    std::string_view value, std::optional<std::string_view> date_header,
    std::optional<std::chrono::sys_seconds> wall_now = {}) noexcept;

/// An HTTP-date in any of its three forms (RFC 9110 section 5.6.7): IMF-fixdate, RFC 850, asctime.
/// A two-digit year is taken within 50 years after `near` when given, else 1970 to 2069. The day of
/// the week must be that of the date: nullopt.
[[nodiscard]] HAWSER_API std::optional<std::chrono::sys_seconds> parse_http_date(
    std::string_view text, std::optional<std::chrono::sys_seconds> near = {}) noexcept;

}  // namespace hawser::inline v0::http
