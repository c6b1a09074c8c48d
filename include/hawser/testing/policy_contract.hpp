// What every policy owes the engine and its users, checked on virtual time.
//
//   hawser::testing::contract_subject mine{.name = "my_policy", .make = [] { return make(...); }};
//   for (const std::string& broken : hawser::testing::check_policy_contract(mine))
//     ADD_FAILURE() << broken;
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/core/time.hpp"
#include "hawser/policy/policy.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace hawser::inline v0::testing {

/// A policy to be checked.
struct contract_subject {
  std::string name{};  ///< For the findings.
  /// A fresh policy for each run. Tight limits find more: a permit or two, a short queue.
  std::function<std::shared_ptr<policy>()> make{};
  /// Says what the policy still holds when no call is left: "2 permits". Empty when it holds
  /// nothing.
  std::function<std::string(policy&, time_point)> leftover{};
};

/// Runs groups of calls through the policy, alone and between others, and at every step of theirs
/// in turn: lets them succeed, fail, decide nothing, hang, ignore cancellation; cancels one or all;
/// leaps in time; throws from a neighbouring stage and from the operation; destroys the context.
/// Then looks that each call completed exactly once, on its handler's executor, never inline; that
/// each stage that was entered left exactly once and was told nothing afterwards; and that no
/// timer, work or permit is left. Also makes blocking calls.
///
/// One line for each broken promise; at most 20.
[[nodiscard]] HAWSER_API std::vector<std::string> check_policy_contract(
    const contract_subject& subject);

}  // namespace hawser::inline v0::testing
