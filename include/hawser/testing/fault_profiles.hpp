// Ready-made handlers for a fault server: a seeded mix of faults, and a payment gateway's bad day.
//
//   hawser::testing::payment_gateway gateway{{.seed = 7, .outage_at_request = 500}};
//   hawser::testing::fault_server server{gateway.server_options()};
//   ... POST /v1/charges {"order":"o-1","amount":100,"currency":"EUR"} ...
//   EXPECT_EQ(server.ledger().double_bookings, 0u);
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/core/time.hpp"
#include "hawser/testing/fault_plan.hpp"
#include "hawser/testing/fault_server.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

namespace hawser::inline v0::testing {

/// Which share of requests fails, and how. Shares are probabilities in [0, 1], their sum, without
/// that of spikes, at most 1. Durations must not be negative.
/// The n-th request draws the n-th numbers: the same seed gives the same faults in the same order.
struct fault_mix {
  std::uint64_t seed = 1;               ///< The same seed gives the same faults in the same order.
  double reset_before = 0.04;           ///< Reset, nothing booked.
  double error_500 = 0.04;              ///< 500, nothing booked.
  double unavailable_503 = 0.04;        ///< 503 with `retry_after`, nothing booked.
  double stall_before = 0.01;           ///< Stalled, nothing booked.
  double reset_after = 0.03;            ///< Booked, then reset before the answer's first byte.
  double cut_after = 0.03;              ///< Booked, then the answer cut (FIN) in its middle.
  double stall_after = 0.01;            ///< Booked, then stalled.
  std::chrono::seconds retry_after{1};  ///< Of the answers 503; to 366 days.
  double spike = 0.05;                  ///< Share of the healthy requests delayed by `spike_delay`.
  duration spike_delay = std::chrono::milliseconds(250);  ///< How late a spike is.
  duration latency = std::chrono::milliseconds(2);        ///< Of every answer.
};

/// Draws from a `fault_mix` and lays the fault over a healthy plan. Copies share their state.
/// Thread-safe. Throws `config_error` for shares out of bounds.
class HAWSER_API random_faults {
 public:
  /// Throws `config_error` for shares out of bounds.
  explicit random_faults(fault_mix mix);
  /// `healthy` as it is, late, or broken. Booking faults book only what `healthy` books.
  [[nodiscard]] plan over(plan healthy) const;
  /// The next draw is the first again.
  void restart() const;

 private:
  struct state;
  std::shared_ptr<state> state_;
};

/// A payment gateway having a bad day. Durations must not be negative.
struct payment_options {
  fault_mix faults{};  ///< What befalls requests.
  /// Every so many requests a burst of 429 begins; nullopt: never. At least 1.
  std::optional<std::uint64_t> burst_every = 200;
  /// How long it lasts. Retry-After is what is left of it, in whole seconds, rounded up.
  duration burst_for = std::chrono::milliseconds(500);
  /// Requests per second beyond which 429 is answered; nullopt: no limit. Above 0.
  std::optional<double> rate_limit{};
  /// Requests admitted at once under `rate_limit`. At least 1.
  double rate_burst = 50;
  /// The request that takes the server down; nullopt: none. At least 1.
  std::optional<std::uint64_t> outage_at_request{};
  /// The first request after this time takes the server down; nullopt: none.
  std::optional<duration> outage_at{};
  duration outage_for = std::chrono::seconds(4);  ///< How long the server is down.
};

/// The handler. `POST /v1/charges` with JSON {"order", "amount", "currency"} books a charge and
/// answers 201; `GET /v1/charges/{order}` tells how often an order was charged (200 or 404). Both
/// suffer the faults; 400, 404 and 405 for anything else do not. Copies share their state.
class HAWSER_API payment_gateway {
 public:
  /// Throws `config_error` for options out of bounds.
  explicit payment_gateway(payment_options options = {});
  /// What becomes of one request. Thread-safe.
  [[nodiscard]] plan operator()(const received_request& request) const;
  /// Starts over: the same seed, no burst, the outage still to come.
  void restart() const;
  /// Options with this handler, `on_reset` and the admin routes set.
  [[nodiscard]] fault_server_options server_options() const;

 private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace hawser::inline v0::testing
