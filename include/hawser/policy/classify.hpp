// From an error code to an outcome: the default reading of errors that carry no protocol.
//
//   hawser::outcome o = hawser::classify(ec);      // ok, failed or ignored, with evidence
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/policy/policy.hpp"

namespace hawser::inline v0 {

/// No error is ok. A cancellation is ignored, as is a rejection by another pipeline. Everything
/// else is a failure; it is transient unless it is the caller's own mistake. Refused connections,
/// unresolved names and unreachable networks count as never sent, all else as maybe applied.
[[nodiscard]] HAWSER_API outcome classify(const error_code& ec) noexcept;

}  // namespace hawser::inline v0
