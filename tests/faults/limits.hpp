// What is known not to be the library's to mend, by name.
#pragma once

#include "faults/failing.hpp"
#include "faults/point.hpp"

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::test {

struct limit {
  std::string_view name;
  std::string_view why;
  call what;
  std::vector<ending> endings;
  /// One that is found in the functions at one of the places, each in one of them.
  std::vector<std::string_view> functions;
};

[[nodiscard]] std::span<const limit> limits();

/// The one that explains how a point ended; null for none. `places` are the functions of each place
/// where something failed, innermost first, those of a crash among them.
[[nodiscard]] const limit* explains(const failure& how, ending end,
                                    std::span<const std::vector<std::string>> places);

}  // namespace hawser::test
