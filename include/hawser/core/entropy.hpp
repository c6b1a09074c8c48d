// Where policies draw their randomness from. It is passed in, so tests can script it.
//
//   double u = random.uniform();          // [0, 1)
//   std::uint64_t word = random.next();
#pragma once

#include "hawser/core/export.hpp"

#include <atomic>
#include <cstdint>

namespace hawser::inline v0 {

/// A source of uniformly distributed 64-bit words. Thread-safe in every implementation.
class HAWSER_API entropy {
 public:
  entropy() = default;
  entropy(const entropy&) = delete;
  entropy& operator=(const entropy&) = delete;
  virtual ~entropy();

  /// The next word.
  [[nodiscard]] virtual std::uint64_t next() noexcept = 0;

  /// A word fit for identifiers that must not collide between processes (idempotency keys,
  /// correlation ids). Defaults to `next()`.
  [[nodiscard]] virtual std::uint64_t unique() noexcept;

  /// A number in [0, 1), with 53 random bits.
  [[nodiscard]] double uniform() noexcept { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
};

/// SplitMix64 over an atomic counter: no lock, the same seed gives the same sequence.
/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).
class HAWSER_API seeded_entropy : public entropy {
 public:
  /// The same seed gives the same sequence.
  explicit seeded_entropy(std::uint64_t seed) noexcept : state_(seed) {}
  [[nodiscard]] std::uint64_t next() noexcept override;

 protected:
  /// Goes on as if it had been made with `seed`. Thread-safe.
  void seed(std::uint64_t seed) noexcept { state_.store(seed, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> state_;
};

/// Seeded by the operating system, anew in a child of fork(); `unique()` asks the operating system
/// each time, by getrandom(2).
class HAWSER_API system_entropy final : public seeded_entropy {
 public:
  system_entropy() noexcept;
  [[nodiscard]] std::uint64_t next() noexcept override;
  [[nodiscard]] std::uint64_t unique() noexcept override;

 private:
  std::atomic<std::uint32_t> seeded_in_;  // the process
};

}  // namespace hawser::inline v0
