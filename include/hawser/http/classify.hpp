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
/// | 429 | failed, throttled | yes | refused | no: it feeds limiters |
/// | 409 to a keyed request | failed | yes | maybe_applied | no: the first is still running |
/// | what settles a keyed request | failed | no | answered | no |
/// | other 4xx | ignored | no | answered | no |
/// | 503 with Retry-After | failed | yes | refused | yes |
/// | 501, 505 | failed | no | without proof | yes |
/// | other 5xx | failed | yes | without proof | yes |
///
/// "Without proof" of a refusal the work may have been done: maybe_applied where it must not be
/// done twice (`unsafe`, `keyed`), and of a gateway (502, 504); elsewhere answered.
/// A 408 that came before the request was out is a refusal: the client knows, and says so then.
/// `profile` says which status means "still running", without one 409, and which 4xx settle what
/// an earlier attempt left open. Otherwise only a 2xx does: a redirect, or a 4xx that is ignored,
/// may come from before anybody looks for the key. `server_wait` is the
/// Retry-After of a failed answer; `wall_now` serves dates in answers without a Date header. Only
/// a well-formed Retry-After is one (see `parse_retry_after`): not a list, nor two fields that
/// differ; two that say the same are one.
[[nodiscard]] HAWSER_API outcome classify(const response& answer, effect what,
                                          const idempotency_profile* profile = nullptr,
                                          std::optional<std::chrono::sys_seconds> wall_now = {});

}  // namespace hawser::inline v0::http
