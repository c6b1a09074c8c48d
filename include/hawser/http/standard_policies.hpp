// The live policies of a standard pipeline: to be seen, shared between clients, and controlled.
//
//   const hawser::http::standard_policies billing("billing");
//   hawser::http::client api{env, url, billing.builder()};
//   hawser::http::client batch{env, url, billing.builder()};        // shares breakers and limits
//   billing.breaker("GET /quotes/{id}")->isolate(env.now());        // until ->close(env.now())
//   const auto seen = billing.bulkhead()->snapshot();
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/http/standard_options.hpp"
#include "hawser/policy/keyed.hpp"
#include "hawser/run/pipeline.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace hawser::inline v0::http {

/// Handles on the policies that `standard_pipeline` stacks. A cheap handle: copies share them.
/// Const members may be called from any thread.
class HAWSER_API standard_policies {
 public:
  /// `name` is the pipeline's, and stands before the names of its policies: "billing retry".
  /// Throws `config_error` naming the option that is out of its bounds.
  explicit standard_policies(std::string name, standard_options options = {});

  /// A builder that holds them in their order; observers and inner policies may be added to it.
  [[nodiscard]] pipeline_builder builder() const;

  /// The retry.
  [[nodiscard]] std::shared_ptr<retry_policy> retry() const noexcept { return retry_; }
  /// Shared by everything that repeats; the one given, or the one made.
  [[nodiscard]] std::shared_ptr<hawser::budget> budget() const noexcept { return budget_; }
  /// Your own rate; null without one.
  [[nodiscard]] std::shared_ptr<rate_limiter_policy> rate() const noexcept { return rate_; }
  /// The breaker of the whole client; null without one.
  [[nodiscard]] std::shared_ptr<circuit_breaker_policy> origin_breaker() const noexcept {
    return origin_breaker_;
  }
  /// All attempts in flight.
  [[nodiscard]] std::shared_ptr<bulkhead_policy> bulkhead() const noexcept { return bulkhead_; }

  // Of one route, such as "GET /quotes/{id}" (a request's name, or a call's key): made if need be.
  // Null where the options leave the policy out. They throw std::bad_alloc.
  /// The route's breaker; never null. Made if need be: a misspelt route takes one of the
  /// `max_routes` places. Once these are taken it is the one that all further routes share, and
  /// isolating it shuts them all.
  [[nodiscard]] std::shared_ptr<circuit_breaker_policy> breaker(std::string_view route) const;
  /// The route's breaker if it has one of its own, else null. Makes none.
  [[nodiscard]] std::shared_ptr<circuit_breaker_policy> find_breaker(
      std::string_view route) const noexcept {
    return std::static_pointer_cast<circuit_breaker_policy>(breakers_->find(route));
  }
  /// What carries out the waits that the server asked for on this route.
  [[nodiscard]] std::shared_ptr<rate_limiter_policy> server_waits(std::string_view route) const;
  /// The route's attempts in flight.
  [[nodiscard]] std::shared_ptr<bulkhead_policy> route_bulkhead(std::string_view route) const;

  // All routes known so far, by `keyed_policy::for_each`; null where they are left out.
  /// The breakers.
  [[nodiscard]] std::shared_ptr<keyed_policy> breakers() const noexcept { return breakers_; }
  /// The waits.
  [[nodiscard]] std::shared_ptr<keyed_policy> all_server_waits() const noexcept { return waits_; }
  /// The attempts in flight.
  [[nodiscard]] std::shared_ptr<keyed_policy> route_bulkheads() const noexcept {
    return route_bulkheads_;
  }

 private:
  std::string name_;
  std::shared_ptr<hawser::budget> budget_;
  std::shared_ptr<policy> call_timeout_;
  std::shared_ptr<policy> start_spread_;
  std::shared_ptr<retry_policy> retry_;
  std::shared_ptr<rate_limiter_policy> rate_;
  std::shared_ptr<keyed_policy> waits_;
  std::shared_ptr<circuit_breaker_policy> origin_breaker_;
  std::shared_ptr<keyed_policy> breakers_;
  std::shared_ptr<keyed_policy> route_bulkheads_;
  std::shared_ptr<bulkhead_policy> bulkhead_;
  std::shared_ptr<policy> attempt_timeout_;
};

}  // namespace hawser::inline v0::http
