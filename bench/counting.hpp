// Counts what the calling thread allocates and which system calls it makes: no tracer, no
// preloading; the program's own definitions stand before the C library's.
//
//   const hawser_bench::counts before = hawser_bench::counted();
//   ... work on this thread ...
//   std::size_t made = hawser_bench::counted().allocations - before.allocations;
#pragma once

#include <cstddef>

namespace hawser_bench {

/// Of the calling thread, since it started.
struct counts {
  std::size_t allocations = 0;
  std::size_t system_calls = 0;  ///< Only where `system_calls.cpp` is linked in.
};

[[nodiscard]] counts& counted() noexcept;

}  // namespace hawser_bench
