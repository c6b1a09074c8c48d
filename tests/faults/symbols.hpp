// The names of the functions at return addresses, of this program and of shared libraries.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hawser::test {

class symbols {
 public:
  /// Reads this program's own table of symbols.
  symbols();
  /// Demangled; "?" where unknown. A child that was forked has the same addresses.
  [[nodiscard]] std::string name_of(const void* address) const;

 private:
  struct function {
    std::uintptr_t begin;
    std::uintptr_t size;
    std::string name;
  };
  std::vector<function> functions_;
};

}  // namespace hawser::test
