// The stack of policies most REST clients want, outermost first, with its defaults in one place.
//
//   hawser::http::client api{env, "https://billing.example",
//                            hawser::http::standard_pipeline("billing")};
//
// To set something in it, include <hawser/http/standard_options.hpp>.
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/run/pipeline.hpp"

#include <string>

namespace hawser::inline v0::http {

struct standard_options;

/// A builder holding the standard stack: outermost the call's timeout, then the retry with a budget
/// of its own, innermost the attempt's timeout; what stands between them and why, see
/// `docs/policies/standard.md`. A further attempt pays like any request, and what one call hears of
/// a 429 holds for all. Add observers or further (inner) policies to it.
///
/// Nothing here makes an unsafe request go out twice: retry asks the re-send table, and a POST or
/// PATCH without an idempotency key is repeated only when the first never arrived or was refused.
[[nodiscard]] HAWSER_API pipeline_builder standard_pipeline(std::string name);
/// The same, with what is set in `options`.
[[nodiscard]] HAWSER_API pipeline_builder standard_pipeline(std::string name,
                                                            standard_options options);

}  // namespace hawser::inline v0::http
