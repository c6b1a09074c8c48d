// Prints what the standard pipeline does in each storm, as docs/policies/standard.md has it.
#include "storm/rows.hpp"

#include <cstdio>
#include <string>

int main() {
  using namespace hawser::storm;
  bool all_hold = true;
  std::puts(
      "| storm | clients | before | served | load | full, mean (worst) | peak of 1 s, 0.1 s | "
      "must hold |");
  std::puts("|---|---|---|---|---|---|---|---|");
  for (const row& r : rows()) {
    const reports all = measure(r);
    for (const bound& b : r.bounds) all_hold = all_hold && holds(b, all);
    std::puts(line_of(r, all).c_str());
    std::fflush(stdout);
  }
  return all_hold ? 0 : 1;
}
