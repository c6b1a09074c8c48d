// From an error code to an outcome: the default reading of errors that carry no protocol.
//
//   hawser::outcome o = hawser::classify(ec);      // ok, failed or ignored, with evidence
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/policy/policy.hpp"

namespace hawser::inline v0 {

/// No error is ok. A cancellation is ignored, as are a rejection by another pipeline and an HTTP
/// client's `client_error`. Everything else is a failure; it is transient unless it is the caller's
/// own mistake, a broken trust, or an answer that would be the same the next time. Refused
/// connections and unresolved names count as never sent; `too_many_requests` as refused by a
/// server's limit, which is no matter of health; `client_error`, `unexpected_status` and answers
/// that hold no such value as was asked for as answered; all else as maybe applied, an unreachable
/// host too: the read of an answer also ends so, when the route goes after the request did.
[[nodiscard]] HAWSER_API outcome classify(const error_code& ec) noexcept;

}  // namespace hawser::inline v0
