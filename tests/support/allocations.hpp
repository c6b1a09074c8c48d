// Replaces the allocation functions of the program that it is linked into: counts what each thread
// allocates, and lets allocations fail.
//
//   const std::size_t before = allocations();
//   ... work on this thread ...
//   EXPECT_EQ(allocations() - before, 0u);
//
// A program that uses it has a test that fails when nothing is counted.
#pragma once

#include <cstddef>

namespace hawser::test {

/// False under clang's thread sanitizer, whose operator new gives way to none: what needs another
/// skips. True wherever else, so that counts which stand still do not go unseen.
[[nodiscard]] bool allocations_are_counted() noexcept;

/// How many this thread has asked for, those that failed and Asio's own among them.
[[nodiscard]] std::size_t allocations() noexcept;

/// Asked at each allocation of this thread from now on: whether it fails, which is to throw
/// `std::bad_alloc` or to return null where that is the function's way.
void ask_at_allocations(bool (*fails)(std::size_t size) noexcept) noexcept;

}  // namespace hawser::test
