// The memory of asynchronous calls: what a call gives back, the thread's next call of that size
// takes. So a client in steady state allocates nothing for its calls, without a lock.
#include "hawser/run/detail/operation.hpp"

#include <array>
#include <cstddef>
#include <new>
#include <utility>

namespace hawser::inline v0::detail {

namespace {

// The address sanitizer shall see the end of each call's memory.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool keeping = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool keeping = false;
#else
constexpr bool keeping = true;
#endif
#else
constexpr bool keeping = true;
#endif

// A call is at most two blocks (itself and its operation), and its handler starts the next call
// before it is gone.
constexpr std::size_t most_kept = 8;
constexpr std::size_t largest_kept = 4096;

constexpr std::size_t rounded(std::size_t size) noexcept { return (size + 63) / 64 * 64; }

struct block {
  void* memory = nullptr;
  std::size_t size = 0;
};

/// Blocks of this thread. Empty ones have no size.
struct thread_blocks {
  thread_blocks() = default;
  thread_blocks(const thread_blocks&) = delete;
  thread_blocks& operator=(const thread_blocks&) = delete;
  ~thread_blocks();
  std::array<block, most_kept> kept{};
  std::size_t victim = 0;  // gives way when all places are taken
};

thread_local bool thread_ends = false;  // calls may still end while a thread's objects go
thread_local thread_blocks blocks;

thread_blocks::~thread_blocks() {
  thread_ends = true;
  for (const block& b : kept) ::operator delete(b.memory);
}

/// The first place with a block of this size; of size 0, the first empty place.
block* find(std::size_t size) noexcept {
  for (block& b : blocks.kept)
    if (b.size == size) return &b;
  return nullptr;
}

bool is_kept(std::size_t size) noexcept { return keeping && size <= largest_kept && !thread_ends; }

}  // namespace

void* take_call_memory(std::size_t size) {
  size = rounded(size);
  if (is_kept(size))
    if (block* const b = find(size)) return std::exchange(*b, block{}).memory;
  return ::operator new(size);
}

void give_call_memory(void* memory, std::size_t size) noexcept {
  size = rounded(size);
  if (is_kept(size)) {
    block* place = find(0);
    if (place == nullptr) place = &blocks.kept[blocks.victim++ % most_kept];
    memory = std::exchange(*place, block{memory, size}).memory;
  }
  ::operator delete(memory);
}

}  // namespace hawser::inline v0::detail
