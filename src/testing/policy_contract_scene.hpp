// One run of the policy contract: calls through a policy under test, and one disturbance.
#pragma once

#include "hawser/testing/policy_contract.hpp"
#include "hawser/testing/scripted_operation.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace hawser::inline v0::testing::contract {

/// Where the policy stands.
enum class shape : std::uint8_t { alone, in_retry, in_timeout, in_two_pipelines };
inline constexpr shape shapes[] = {shape::alone, shape::in_retry, shape::in_timeout,
                                   shape::in_two_pipelines};

/// A policy further inside that misbehaves, or judges.
enum class neighbour : std::uint8_t {
  none,
  throws_on_enter,
  throws_on_timer,
  throws_at_end,
  voids
};

/// What is called.
struct behaviour {
  const char* name;
  std::vector<scripted_end> script;
  neighbour inside = neighbour::none;
  bool throws_on_start = false;
  bool ends = true;  ///< By itself, within a second.
};
[[nodiscard]] const std::vector<behaviour>& behaviours();

/// What happens in the middle.
enum class disturbance : std::uint8_t {
  none,
  handlers_throw,
  cancel_one,
  cancel_all,
  leap,
  shut_down
};

struct scenario {
  shape how = shape::alone;
  const behaviour* what = nullptr;
  disturbance when = disturbance::none;
  int at = 0;  ///< Before which handler or timer of the run.
};

/// What was found broken, in the order of finding.
class findings {
 public:
  explicit findings(std::string subject) : subject_(std::move(subject)) {}
  /// `what`: tells promises apart; `detail`: the numbers of this run.
  void add(const std::string& what, const std::string& detail, const std::string& where);
  void next_run() noexcept { ++runs_; }
  [[nodiscard]] std::size_t count() const noexcept { return found_.size(); }
  [[nodiscard]] std::vector<std::string> lines() const;

 private:
  struct one {
    std::string what;
    std::string detail;
    std::string where;
    int runs;
  };
  std::string subject_;
  std::vector<one> found_;
  int runs_ = 0;
};

/// Plays an asynchronous run. At which handlers or timers of it the policy's stages took their
/// steps: where to disturb it.
std::vector<int> play(const contract_subject& subject, const scenario& s, findings& into);

/// Plays the blocking runs.
void play_blocking(const contract_subject& subject, findings& into);

/// How a healthy call through `p` ends: an empty string for a success.
[[nodiscard]] std::string healthy_call(const std::shared_ptr<policy>& p, environment env);

}  // namespace hawser::inline v0::testing::contract
