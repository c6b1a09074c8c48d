// What a server says about how long it keeps a connection: "Keep-Alive: timeout=5, max=100".
//
//   const keep_alive_hint hint = read_keep_alive(answer.headers());
//   if (hint.timeout) use_until(later(now, safe_idle_time(*hint.timeout)));
//   if (hint.max == 0) close();
#pragma once

#include "hawser/core/time.hpp"
#include "hawser/http/headers.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace hawser::inline v0::http {

/// All Keep-Alive fields of an answer taken together. Where they say different things the smaller
/// number counts: to close too early costs a connection, too late a failed request. What is not a
/// number of up to nine digits is no hint.
struct keep_alive_hint {
  std::optional<std::chrono::seconds> timeout{};  ///< How long an idle connection stays open.
  std::optional<std::uint32_t> max{};             ///< So many further requests are served on it.
};

/// Names in any case, values or all of it also quoted, blanks anywhere between; parted by commas,
/// by semicolons or by blanks alone. What cannot be read is passed over.
[[nodiscard]] keep_alive_hint read_keep_alive(const headers& h) noexcept;

/// Earlier by a second, or by half of less than two: the server's clock has been running since it
/// wrote the answer.
[[nodiscard]] duration safe_idle_time(std::chrono::seconds announced) noexcept;

}  // namespace hawser::inline v0::http
