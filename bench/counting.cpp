#include "counting.hpp"

#include <cstdlib>
#include <new>

namespace hawser_bench {

counts& counted() noexcept {
  static thread_local counts mine;
  return mine;
}

}  // namespace hawser_bench

[[gnu::noinline]] void* operator new(std::size_t size) {
  ++hawser_bench::counted().allocations;
  if (void* p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }

[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  ++hawser_bench::counted().allocations;
  const auto unit = static_cast<std::size_t>(alignment);
  if (void* p = std::aligned_alloc(unit, (size + unit - 1) / unit * unit)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
  std::free(p);
}
