#include "hawser/testing/policy_contract.hpp"

#include "policy_contract_scene.hpp"

#include <algorithm>

namespace hawser::inline v0::testing {

namespace contract {

void findings::add(const std::string& what, const std::string& detail, const std::string& where) {
  const auto known =
      std::find_if(found_.begin(), found_.end(), [&](const one& f) { return f.what == what; });
  if (known != found_.end())
    ++known->runs;
  else
    found_.push_back({what, detail, where, 1});
}

std::vector<std::string> findings::lines() const {
  std::vector<std::string> lines;
  for (const one& f : found_)
    lines.push_back(subject_ + ": " + f.what + (f.detail.empty() ? "" : ": " + f.detail) + " (" +
                    f.where + "; in " + std::to_string(f.runs) + " of " + std::to_string(runs_) +
                    " runs)");
  return lines;
}

}  // namespace contract

std::vector<std::string> check_policy_contract(const contract_subject& subject) {
  using namespace contract;
  findings found(subject.name);
  play_blocking(subject, found);
  int turn = 0;
  for (const shape how : shapes) {
    for (const behaviour& what : behaviours()) {
      if (found.count() >= subject.enough) return found.lines();
      const std::vector<int> steps = play(subject, {how, &what, disturbance::none, 0}, found);
      play(subject, {how, &what, disturbance::handlers_throw, 0}, found);
      ++turn;
      for (std::size_t i = 0; i < steps.size(); ++i) {
        if (found.count() >= subject.enough) return found.lines();
        const int at = steps[i];
        play(subject, {how, &what, disturbance::cancel_one, at}, found);
        play(subject, {how, &what, disturbance::cancel_all, at}, found);
        // Leaps and ends touch all calls alike: half of the steps here, the others elsewhere.
        if ((i + static_cast<std::size_t>(turn)) % 2 != 0) continue;
        play(subject, {how, &what, disturbance::leap, at}, found);
        play(subject, {how, &what, disturbance::shut_down, at}, found);
      }
    }
  }
  return found.lines();
}

}  // namespace hawser::inline v0::testing
