// The stack of policies most REST clients want, outermost first, with its defaults in one place.
//
//   hawser::http::client api{env, "https://billing.example",
//                            hawser::http::standard_pipeline("billing")};
//   hawser::http::standard_options mine;
//   mine.attempt_timeout = 2s;
//   hawser::http::client quick{env, url, hawser::http::standard_pipeline("billing", mine)};
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/run/pipeline.hpp"

#include <chrono>
#include <optional>
#include <string>

namespace hawser::inline v0::http {

/// What `standard_pipeline` stacks, in this order: call timeout, bulkhead, retry with a budget of
/// its own, rate limiter, circuit breaker, attempt timeout. The limiter is inside the retry, so
/// that a further attempt pays like any request, and what one call hears of a 429 holds for all.
///
/// Nothing here makes an unsafe request go out twice: retry asks the re-send table, and a POST or
/// PATCH without an idempotency key is repeated only when the first never arrived or was refused.
struct HAWSER_API standard_options {
  standard_options();

  /// The whole call with all attempts and waits.
  duration call_timeout = std::chrono::seconds(30);
  /// One attempt.
  duration attempt_timeout = std::chrono::seconds(10);
  /// 3 attempts; full jitter from 100 ms, at most 5 s; Retry-After kept up to 60 s. The budget is
  /// made by `standard_pipeline` when none is given: 20 % of calls and 10 per second.
  hawser::retry retry{};
  /// 64 calls in flight, 1,024 waiting.
  hawser::bulkhead bulkhead{};
  /// Effectively without a rate of its own (a million per second): it carries out the waits that
  /// servers ask for with 429 and Retry-After. nullopt leaves it out.
  std::optional<hawser::rate_limiter> rate{};
  /// Opens at half of at least 20 calls failing within 10 s, or at 5 failures in a row.
  hawser::circuit_breaker breaker{};
};

/// A builder holding the standard stack; add observers or further (inner) policies to it.
[[nodiscard]] HAWSER_API pipeline_builder standard_pipeline(std::string name,
                                                            standard_options options = {});

}  // namespace hawser::inline v0::http
