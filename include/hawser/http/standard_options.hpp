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
#include <cstddef>
#include <optional>

namespace hawser::inline v0::http {

/// The policies of `standard_pipeline`, with their defaults. What they do in storms:
/// docs/policies/standard.md.
struct HAWSER_API standard_options {
  standard_options();

  /// The whole call with all attempts and waits.
  duration call_timeout = std::chrono::seconds(30);
  /// Spreads the first calls of a fleet that starts at once over this time; off.
  std::optional<duration> start_spread{};
  /// One attempt. Raise it for an API that takes its time; the breakers and probes do not mind.
  duration attempt_timeout = std::chrono::seconds(4);
  /// 3 attempts; Retry-After kept up to 60 s. The budget is made by `standard_pipeline` when none
  /// is given.
  hawser::retry retry{};
  /// A rate of your own for the whole client, inside the breakers; off. It heeds no server where
  /// `server_waits` do.
  std::optional<hawser::rate_limiter> rate{};
  /// Per route, without a rate of its own: carries out the waits that servers ask for with 429 and
  /// Retry-After, and lets who waited go on a ramp. nullopt leaves it out.
  std::optional<hawser::rate_limiter> server_waits{};
  /// One for the whole client, which hears of connections alone, inside those of the routes.
  std::optional<hawser::circuit_breaker> origin_breaker{};
  /// One per route, which hears of the rest. Calls wait for it to close as long as their time
  /// allows.
  hawser::circuit_breaker breaker{};
  /// Attempts in flight per route, so that none takes all of the client's: 200, and 1,024 waiting
  /// for at most 2 s.
  std::optional<hawser::bulkhead> route_bulkhead{};
  /// Attempts in flight of the whole client: 640, and 1,024 waiting for at most 100 ms.
  hawser::bulkhead bulkhead{};
  /// So many routes have state of their own; further ones share one. 1 to 1,000,000.
  std::size_t max_routes = 64;
};

}  // namespace hawser::inline v0::http
