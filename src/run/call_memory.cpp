// The memory of asynchronous calls: what a call gives back, the thread's next call of that size
// takes. So a client in steady state allocates nothing for its calls, without a lock.
#include "hawser/run/detail/operation.hpp"

#include <pthread.h>

#include <array>
#include <atomic>
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

/// Blocks of this thread. Empty ones have no size. Without a destructor: what registers that of a
/// thread-local object ends the process when it finds no memory.
struct thread_blocks {
  std::array<block, most_kept> kept{};
  std::size_t victim = 0;  // gives way when all places are taken
  bool emptied_at_end = false;
  bool thread_ends = false;  // calls may still end while a thread's objects go
};

constinit thread_local thread_blocks blocks;

/// Has each thread that keeps blocks give them back at its end.
class end_of_threads {
 public:
  end_of_threads() noexcept { known_ = ::pthread_key_create(&key_, empty) == 0; }
  end_of_threads(const end_of_threads&) = delete;
  end_of_threads& operator=(const end_of_threads&) = delete;
  // Threads may outlive the library, where that is unloaded.
  ~end_of_threads() {
    if (known_.exchange(false)) ::pthread_key_delete(key_);
  }
  /// False where there is no memory to remember it.
  [[nodiscard]] bool will_empty(thread_blocks& mine) noexcept {
    return known_.load(std::memory_order_relaxed) && ::pthread_setspecific(key_, &mine) == 0;
  }

 private:
  static void empty(void* all) noexcept {
    auto& mine = *static_cast<thread_blocks*>(all);
    mine.thread_ends = true;
    for (const block& b : mine.kept) ::operator delete(b.memory);
  }

  pthread_key_t key_{};
  std::atomic<bool> known_{false};
};

end_of_threads ends;

/// The first place with a block of this size; of size 0, the first empty place.
block* find(std::size_t size) noexcept {
  for (block& b : blocks.kept)
    if (b.size == size) return &b;
  return nullptr;
}

bool is_kept(std::size_t size) noexcept {
  return keeping && size <= largest_kept && !blocks.thread_ends;
}

bool may_keep() noexcept {
  if (!blocks.emptied_at_end) blocks.emptied_at_end = ends.will_empty(blocks);
  return blocks.emptied_at_end;
}

}  // namespace

void* take_call_memory(std::size_t size) {
  size = rounded(size);
  if (is_kept(size))
    if (block* const b = find(size)) return std::exchange(*b, block{}).memory;
  return ::operator new(size);
}

void give_call_memory(void* memory, std::size_t size) noexcept {
  size = rounded(size);
  if (is_kept(size) && may_keep()) {
    block* place = find(0);
    if (place == nullptr) place = &blocks.kept[blocks.victim++ % most_kept];
    memory = std::exchange(*place, block{memory, size}).memory;
  }
  ::operator delete(memory);
}

}  // namespace hawser::inline v0::detail
