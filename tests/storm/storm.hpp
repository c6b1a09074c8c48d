// Storms on virtual time: clients under the standard pipeline against a model of a dependency.
//
//   hawser::storm::scenario s{.clients = 200};
//   s.faults = {{.from = 20s, .lasts = 10s, .what = hawser::storm::outage}};
//   const hawser::storm::report r = hawser::storm::run(s, 1);
//   EXPECT_LE(r.full, 4s);
//
// The clients are whole ones: engine, policies, `http::client`. Only the network and what is behind
// it are a model, and time is virtual, so a run is the same every time for one seed.
#pragma once

#include "hawser/core/time.hpp"
#include "hawser/http/standard_options.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace hawser::storm {

/// What a fault does to the requests that it meets.
enum class effect_of_fault : std::uint8_t {
  error,   ///< Answers `status` in 5 ms, to the part `share` of them.
  hang,    ///< Never answers.
  slow,    ///< Takes `factor` times as long.
  refuse,  ///< Refuses the connection in 1 ms, to the part `share` of them.
};

struct fault {
  duration from{};   ///< From the run's start.
  duration lasts{};  ///< For ever when zero.
  effect_of_fault what = effect_of_fault::error;
  double share = 1;
  int status = 503;
  std::string retry_after{};  ///< The header's value; none when empty.
  double factor = 1;
  std::optional<int> route{};  ///< Only this one.
  std::optional<int> only{};   ///< Only so many answers in all.
};

struct scenario {
  int clients = 1;
  double rate = 500;  ///< Calls per second of all clients together, at random moments.
  /// Above 0, so many callers instead, spread evenly over the clients: each calls again when its
  /// call has ended and it has thought, like a pool of workers. "Steady" is then what was served
  /// in the second half of `warm_up`.
  int callers = 0;
  duration thinks = std::chrono::milliseconds(100);  ///< On average.
  int routes = 1;                                    ///< Among which the calls are spread evenly.
  int workers = 50;  ///< Of the dependency, each serving one request at a time.
  duration takes = std::chrono::milliseconds(50);
  std::size_t queue = 1000;  ///< Requests that may wait for a worker; more are answered 503.
  duration warm_up = std::chrono::seconds(20);  ///< Healthy, before the first fault may begin.
  duration lasts = std::chrono::seconds(70);    ///< Calls start until then.
  std::vector<fault> faults{};                  ///< `from` counts from the end of `warm_up`.
  std::optional<int> status_when_well{};  ///< Instead of 200, from the end of the first fault on.
  std::function<void(http::standard_options&)> tune{};
  bool bare = false;  ///< `pipeline` makes each client's policies instead of standard_pipeline.
  std::function<pipeline_builder()> pipeline{};
};

/// What came of a run. The fault is the first one; without one, everything after the warm-up.
struct report {
  // Of calls that started during the fault.
  std::size_t met = 0;
  std::size_t served = 0;
  double served_share = 1;
  double goodput = 0;      ///< Served during the fault over what was offered, or usually served.
  double load = 0;         ///< Attempts during the fault over calls offered during it.
  double load_of_met = 0;  ///< Attempts of the calls that met it, whenever made, over these calls.
  // Afterwards.
  duration full{};               ///< From the fault's end to full goodput.
  std::size_t failed_after = 0;  ///< Calls that ended in failure after the fault's end.
  double peak_second = 0;  ///< Attempts in the busiest second afterwards over the steady rate.
  double peak_tenth = 0;   ///< The same of 100 ms.
  // All along.
  double served_by_route_worst = 1;             ///< Of the routes without a fault of their own.
  double p99_wait = 0;                          ///< Seconds, of all calls that met the fault.
  std::size_t openings = 0;                     ///< Times a circuit went to `open`.
  duration longest_queue_wait{};                ///< In a bulkhead.
  std::map<std::string, std::size_t> errors{};  ///< Of calls that met the fault or came later.
  std::vector<std::string> timeline{};          ///< A line each second, for people.
};

[[nodiscard]] report run(const scenario& what, std::uint64_t seed);

}  // namespace hawser::storm
