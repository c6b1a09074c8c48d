// Counts what many threads do, each on a cache line of its own; exact when collected.
//
//   sharded_counter good;
//   good.add(tag);                  // hot path: one load, one compare-and-swap, no sharing
//   total += good.collect();        // under the owner's lock: takes what has gathered
//   good.restart(next_tag);         // from here on, add(tag) of the old tag returns false
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace hawser::inline v0::detail {

/// Which shard the calling thread counts on. The address of a thread-local tells threads apart
/// without a process-wide counter; the multiplication (Knuth's golden ratio) spreads addresses that
/// differ by a multiple of the stack size.
[[nodiscard]] inline std::size_t this_thread_shard(unsigned bits) noexcept {
  thread_local const char anchor = 0;
  const auto address = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&anchor));
  return static_cast<std::size_t>((address * 0x9E3779B97F4A7C15U) >> (64U - bits));
}

/// Each shard is one word, tag and count together, so that an add with an outdated tag cannot slip
/// into the counts of the next: checking the tag and counting are one atomic step.
class sharded_counter {
 public:
  using tag_type = std::uint16_t;

  /// One more under `tag`. False, and nothing counted, when `restart` has moved on from that tag.
  bool add(tag_type tag) noexcept { return add_to(shards_[this_thread_shard(shard_bits)], tag); }
  /// The same, and remembers the time.
  bool add_at(tag_type tag, std::int64_t at) noexcept {
    shard& mine = shards_[this_thread_shard(shard_bits)];
    mine.latest.store(at, std::memory_order_relaxed);
    return add_to(mine, tag);
  }
  /// Remembers the time, and counts nothing.
  void mark(std::int64_t at) noexcept {
    shards_[this_thread_shard(shard_bits)].latest.store(at, std::memory_order_relaxed);
  }
  /// The latest time given to `add_at` or `mark` by any thread, with whatever tag.
  [[nodiscard]] std::int64_t latest() const noexcept {
    std::int64_t at = std::numeric_limits<std::int64_t>::min();
    for (const shard& s : shards_) at = std::max(at, s.latest.load(std::memory_order_relaxed));
    return at;
  }
  /// What was added since the last collect or restart. Owner's lock.
  [[nodiscard]] std::uint64_t collect() noexcept {
    std::uint64_t sum = 0;
    for (shard& s : shards_) {
      const std::uint64_t seen = s.word.load(std::memory_order_relaxed);
      if ((seen & count_mask) == 0) continue;
      sum += s.word.exchange(seen & ~count_mask, std::memory_order_relaxed) & count_mask;
    }
    return sum;
  }

  /// Forget all counts, and from now on take only adds under `tag`. Owner's lock.
  void restart(tag_type tag) noexcept {
    for (shard& s : shards_)
      s.word.store(static_cast<std::uint64_t>(tag) << count_bits, std::memory_order_relaxed);
  }

 private:
  static constexpr unsigned shard_bits = 4;
  static constexpr unsigned count_bits = 48;
  static constexpr std::uint64_t count_mask = (std::uint64_t{1} << count_bits) - 1;

  struct alignas(64) shard {
    std::atomic<std::uint64_t> word{0};
    std::atomic<std::int64_t> latest{std::numeric_limits<std::int64_t>::min()};
  };

  static bool add_to(shard& to, tag_type tag) noexcept {
    std::uint64_t seen = to.word.load(std::memory_order_relaxed);
    do {
      if (static_cast<tag_type>(seen >> count_bits) != tag) return false;
      if ((seen & count_mask) == count_mask) return true;  // full: nobody collected 2^48 in a row
    } while (!to.word.compare_exchange_weak(seen, seen + 1, std::memory_order_relaxed));
    return true;
  }

  std::array<shard, std::size_t{1} << shard_bits> shards_{};
};

}  // namespace hawser::inline v0::detail
