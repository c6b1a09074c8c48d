// What can be set in the stack of policies that `standard_pipeline` makes.
//
//   hawser::http::standard_options mine;
//   mine.attempt_timeout = 2s;
//   hawser::http::client quick{env, url, hawser::http::standard_pipeline("billing", mine)};
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/http/standard_pipeline.hpp"
#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "hawser/policy/retry.hpp"

#include <chrono>
#include <optional>

namespace hawser::inline v0::http {

/// The policies of `standard_pipeline`, with their defaults.
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

}  // namespace hawser::inline v0::http
