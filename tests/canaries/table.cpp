// Prints what became of fresh canaries, by kind; fails on a leak that is no documented limit.
// Arguments: how many of each kind in each carrier (10), a seed (one of the moment).
#include "canaries/canaries.hpp"

#include <cstdio>
#include <cstdlib>
#include <random>

int main(int argc, char** argv) {
  using namespace hawser::test::canaries;
  const std::size_t each = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10;
  const std::uint64_t seed =
      argc > 2 ? std::strtoull(argv[2], nullptr, 10) : std::random_device{}();
  const auto all = hatch(seed, each);
  std::map<std::string, tally> by_kind;
  std::map<std::string, tally> by_sink;
  const auto join = [](tally& sum, const tally& t) {
    sum.planted += t.planted;
    sum.leaked += t.leaked;
    if (sum.example.empty()) sum.example = t.example;
  };
  for (const auto& [name, t] : release(all)) {
    const std::size_t mark = name.rfind(" > ");
    join(by_kind[name.substr(0, mark)], t);
    join(by_sink[name.substr(mark + 3)], t);
  }
  std::size_t unexpected = 0;
  std::size_t planted = 0;
  std::printf("%zu canaries, seed %llu\n", all.size(), static_cast<unsigned long long>(seed));
  for (const auto* table : {&by_kind, &by_sink})
    for (const auto& [name, t] : *table) {
      const bool limit = table == &by_kind && is_documented(name);
      std::printf("%-56s %7zu planted %6zu leaked%s\n", name.c_str(), t.planted, t.leaked,
                  limit ? " (a limit)" : "");
      if (table != &by_kind) continue;
      planted += t.planted;
      if (t.leaked == 0 || limit) continue;
      unexpected += t.leaked;
      std::printf("    %s\n", t.example.c_str());
    }
  std::printf("%zu planted, %zu leaked beyond the limits that are documented\n", planted,
              unexpected);
  return unexpected == 0 ? 0 : 1;
}
