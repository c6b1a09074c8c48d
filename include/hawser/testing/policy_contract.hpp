// What every policy owes the engine and its users, checked on virtual time.
//
//   hawser::testing::contract_subject mine{.name = "my_policy", .make = [] { return make(...); }};
//   for (const std::string& broken : hawser::testing::check_policy_contract(mine))
//     ADD_FAILURE() << broken;
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/core/time.hpp"
#include "hawser/policy/policy.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hawser::inline v0::testing {

/// A policy to be checked.
struct contract_subject {
  std::string name{};  ///< For the findings.
  /// A fresh policy for each run. Tight limits find more: a permit or two, a short queue, times of
  /// a few milliseconds. What it throws comes out of `check_policy_contract`.
  std::function<std::shared_ptr<policy>()> make{};
  /// Says what the policy still holds when no call is left: "2 permits". Empty when it holds
  /// nothing.
  std::function<std::string(policy&, time_point)> leftover{};
  /// The longest that a call may stay in the policy when what is inside has ended, or has not
  /// begun.
  duration patience = std::chrono::minutes(5);
  /// After this long without calls a healthy call must end as it does with a fresh policy: so a
  /// lost permit is found even without `leftover`. Off for policies that never forget.
  std::optional<duration> recovers_after = std::chrono::hours(1);
  /// Stops after this many broken promises.
  std::size_t enough = 20;
};

/// Runs groups of calls through the policy: alone, inside a retry, inside a timeout, and standing
/// in two pipelines at once; asynchronously and blocking. What they call succeeds, fails, decides
/// nothing, throws, hangs, takes its time to be cancelled or ignores it, or ends just when a time
/// limit passes; a policy further inside throws; observers throw. At every step of the policy's
/// stages in turn it cancels one call or all, leaps in time, or destroys the context; and it lets
/// the calls' own handlers throw.
///
/// Then it looks that each call completed exactly once, on its handler's executor, never inline, in
/// time; that each stage that was entered left exactly once, was told nothing before or afterwards
/// and woken by nobody, answered sensibly and stayed within its memory and `amplification()`; that
/// no timer, work or permit is left; and that the policy then treats a healthy call as a fresh one
/// does.
///
/// One line for each promise that is broken, with the first run in which it was and the number of
/// runs. Takes about a second without optimisation. Uses no global state: several may run at once.
[[nodiscard]] HAWSER_API std::vector<std::string> check_policy_contract(
    const contract_subject& subject);

}  // namespace hawser::inline v0::testing
