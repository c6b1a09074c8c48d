#include "support/allocations.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <new>

// Only clang asks so; g++'s thread sanitizer lets a program's own operator new stand.
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define HAWSER_TEST_OPERATOR_NEW_IS_TAKEN
#endif
#endif

namespace hawser::test {
namespace {

thread_local std::size_t asked_for = 0;
thread_local bool (*ask)(std::size_t) noexcept = nullptr;

}  // namespace

bool allocations_are_counted() noexcept {
#ifdef HAWSER_TEST_OPERATOR_NEW_IS_TAKEN
  return false;
#else
  return true;
#endif
}

std::size_t allocations() noexcept { return asked_for; }

void ask_at_allocations(bool (*fails)(std::size_t) noexcept) noexcept { ask = fails; }

}  // namespace hawser::test

#ifndef HAWSER_TEST_OPERATOR_NEW_IS_TAKEN
namespace hawser::test {
namespace {

[[nodiscard]] bool fails(std::size_t size) noexcept {
  ++asked_for;
  return ask != nullptr && ask(size);
}

void* take(std::size_t size) {
  if (!fails(size))
    if (void* memory = std::malloc(std::max<std::size_t>(size, 1))) return memory;
  throw std::bad_alloc();
}

void* take_aligned(std::size_t alignment, std::size_t size) noexcept {
  void* memory = nullptr;
  const int failed = fails(size) ? ENOMEM
                                 : ::posix_memalign(&memory, std::max(alignment, sizeof(void*)),
                                                    std::max<std::size_t>(size, 1));
  return failed == 0 ? memory : nullptr;
}

void* take_aligned_or_throw(std::size_t alignment, std::size_t size) {
  if (void* memory = take_aligned(alignment, size)) return memory;
  throw std::bad_alloc();
}

}  // namespace
}  // namespace hawser::test

using hawser::test::take;
using hawser::test::take_aligned;
using hawser::test::take_aligned_or_throw;

void* operator new(std::size_t size) { return take(size); }
void* operator new[](std::size_t size) { return take(size); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return take_aligned_or_throw(static_cast<std::size_t>(alignment), size);
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return take_aligned_or_throw(static_cast<std::size_t>(alignment), size);
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return take_aligned(alignof(std::max_align_t), size);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return take_aligned(alignof(std::max_align_t), size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

// Asio's own allocations: its handlers' memory comes from here, not from operator new.
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t size) {
  return take_aligned(alignment, size);
}
#endif
