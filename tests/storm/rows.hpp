// The storms that the standard pipeline's defaults must weather, and what must hold in each.
//
//   for (const hawser::storm::row& r : hawser::storm::rows())
//     for (const bound& b : r.bounds) check(b, measure(r, seeds));
//
// The suite checks the bounds; the table in docs/policies/standard.md comes from the same rows.
#pragma once

#include "storm/storm.hpp"

#include <string>
#include <vector>

namespace hawser::storm {

/// The reports of one row: of each scenario, with each seed.
using reports = std::vector<report>;

/// What must hold of a row.
struct bound {
  enum class of : std::uint8_t { mean, worst };
  const char* name;
  double (*value)(const report&);
  of which;
  bool at_most;
  double limit;
};

struct row {
  std::string name;
  int clients = 1;
  std::vector<scenario> scenarios;
  std::vector<bound> bounds;
  /// Measured with the defaults of before these rules, in the same model: for the table.
  const char* before = "";
};

[[nodiscard]] std::vector<row> rows();
/// Three seeds of each scenario, or one where there are several.
[[nodiscard]] reports measure(const row& what);
/// Mean over the reports, or the worst of them.
[[nodiscard]] double value_of(const bound& b, const reports& all);
[[nodiscard]] bool holds(const bound& b, const reports& all);
/// As docs/policies/standard.md has it.
[[nodiscard]] std::string line_of(const row& r, const reports& all);

}  // namespace hawser::storm
