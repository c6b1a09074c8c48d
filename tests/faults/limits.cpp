#include "faults/limits.hpp"

#include <algorithm>

namespace hawser::test {

std::span<const limit> limits() {
  static const std::vector<limit> known = {
      {"OpenSSL's first use",
       "an allocation that fails while OpenSSL makes its algorithms for the first time leaves it "
       "without them as long as the process lives; no client can make TLS connections then",
       call::memory,
       {ending::spoilt},
       {"CRYPTO_"}},
  };
  return known;
}

const limit* explains(const failure& how, ending end,
                      const std::vector<std::vector<std::string>>& places) {
  for (const limit& l : limits()) {
    if (l.what != how.what || std::find(l.endings.begin(), l.endings.end(), end) == l.endings.end())
      continue;
    for (const auto& functions : places)
      if (std::all_of(l.functions.begin(), l.functions.end(), [&](std::string_view wanted) {
            return std::any_of(functions.begin(), functions.end(), [&](const std::string& f) {
              return f.find(wanted) != std::string::npos;
            });
          }))
        return &l;
  }
  return nullptr;
}

}  // namespace hawser::test
