// What `client_options::classify` may make of an answer.
#pragma once

#include "hawser/policy/policy.hpp"

namespace hawser::inline v0::http {

/// The user's word on an answer, brought within its bounds: it speaks of an answer that came, and
/// claims no proof that it does not give.
[[nodiscard]] outcome within_bounds(outcome judged, const outcome& by_status, effect what) noexcept;

/// The outcome when the user's function has thrown: no answer's any more, but with what the answer
/// proved.
[[nodiscard]] outcome unjudged(const outcome& by_status, effect what) noexcept;

}  // namespace hawser::inline v0::http
