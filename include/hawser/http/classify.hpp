// What an answer means to policies: health, a reason to try again, or neither.
//
//   hawser::outcome o = hawser::http::classify(response, request.effect());
//   if (o.transient && hawser::may_resend(request.effect(), o.delivery)) ...
//   if (o.has_hint()) wait_at_least(o.server_wait);            // from Retry-After
#pragma once

#include "hawser/core/effect.hpp"
#include "hawser/core/export.hpp"
#include "hawser/http/idempotency.hpp"
#include "hawser/http/response.hpp"
#include "hawser/policy/policy.hpp"

#include <chrono>
#include <optional>

namespace hawser::inline v0::http {

/// The outcome of an exchange that ended with an answer (RFC 9110 section 15):
///
/// | status | verdict | transient | delivery | counts for health |
/// |---|---|---|---|---|
/// | 2xx, 3xx | ok | | answered | |
/// | 408 | failed | yes | answered | no |
/// | 421, 425 | failed | yes | refused | no |
/// | 429 | failed | yes | refused | no: it feeds limiters |
/// | 409 to a keyed request | failed | yes | answered | no: the first is still running |
/// | other 4xx | ignored | no | answered | no |
/// | 500, other 5xx | failed | yes | answered | yes |
/// | 501, 505 | failed | no | answered | yes |
/// | 502, 504 | failed | yes | maybe_applied | yes |
/// | 503 | failed | yes | refused with Retry-After, else answered | yes |
///
/// A 408 that came before the request was out is a refusal: the client knows, and says so then.
/// `profile` says which status means "still running"; without one it is 409. `server_wait` is the
/// Retry-After of a failed answer; `wall_now` serves dates in answers without a Date header.
[[nodiscard]] HAWSER_API outcome classify(const response& answer, effect what,
                                          const idempotency_profile* profile = nullptr,
                                          std::optional<std::chrono::sys_seconds> wall_now = {});

}  // namespace hawser::inline v0::http
