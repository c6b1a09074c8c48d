#include "hawser/policy/retry_budget.hpp"

#include "policy/option_check.hpp"
#include "policy/sharded_counter.hpp"
#include "policy/sliding_buckets.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <mutex>
#include <utility>

namespace hawser::inline v0 {

// Options are in the header.

// Validation

namespace {

using detail::in_seconds;
using detail::require;

retry_budget validated(retry_budget o) {
  using namespace std::chrono_literals;
  if (o.name.empty()) o.name = "retry_budget";
  require(o.ratio >= 0 && o.ratio <= 10, "retry_budget.ratio", o.ratio, "must be from 0 to 10");
  require(o.window >= 1ms && o.window <= 1h, "retry_budget.window", o.window,
          "must be from 1 ms to 1 h");
  require(o.reserve_per_second >= 0 && o.reserve_per_second <= 1e6,
          "retry_budget.reserve_per_second", o.reserve_per_second, "must be from 0 to 1000000");
  require(o.ratio > 0 || o.reserve_per_second * in_seconds(o.window) >= 1,
          "retry_budget.reserve_per_second", o.reserve_per_second,
          "must make at least one per window when ratio is 0");
  return o;
}

token_budget validated(token_budget o) {
  if (o.name.empty()) o.name = "token_budget";
  require(o.tokens >= 1, "token_budget.tokens", o.tokens, "must be at least 1");
  require(o.retry_cost >= 1 && o.retry_cost <= o.tokens, "token_budget.retry_cost", o.retry_cost,
          "must be from 1 to tokens");
  require(o.timeout_cost >= 1 && o.timeout_cost <= o.tokens, "token_budget.timeout_cost",
          o.timeout_cost, "must be from 1 to tokens");
  require(o.success_refund >= 1, "token_budget.success_refund", o.success_refund,
          "must be at least 1: nothing else refills it");
  return o;
}

// Shared state

/// Counts in millionths of an attempt, so that ten calls at 0.1 make exactly one.
class window_budget final : public budget {
 public:
  explicit window_budget(retry_budget options)
      : options_(validated(std::move(options))),
        per_call_(std::llround(options_.ratio * unit)),
        reserve_(std::llround(options_.reserve_per_second * in_seconds(options_.window) * unit)),
        recent_(options_.window + options_.window / tenths, tenths + 1) {}

  [[nodiscard]] std::string_view name() const noexcept override { return options_.name; }

  [[nodiscard]] double price(const outcome& /*failed*/) const noexcept override { return 1; }

  [[nodiscard]] bool try_spend(const outcome& /*failed*/, time_point now) noexcept override {
    const std::lock_guard lock(mutex_);
    roll_locked(now);
    if (balance_locked() < unit) return false;
    ++recent_.current().spent;
    return true;
  }

  void call_started(time_point now) noexcept override {
    if (recent_.due(now)) {
      // Whoever comes first rolls; the others go on rather than wait.
      const std::unique_lock lock(mutex_, std::try_to_lock);
      if (lock.owns_lock()) roll_locked(now);
    }
    calls_.add(0);
  }

  void succeeded(time_point /*now*/) noexcept override {}

  [[nodiscard]] double balance(time_point now) const noexcept override {
    const std::lock_guard lock(mutex_);
    roll_locked(now);
    return static_cast<double>(balance_locked()) / unit;
  }

 private:
  struct bucket {
    std::int64_t calls = 0;
    std::int64_t spent = 0;
  };

  static constexpr std::int64_t unit = 1'000'000;
  // One bucket more than makes the window: what was spent stays spent for all of it.
  static constexpr int tenths = 10;
  // More calls than this in a window earn no more: keeps the product with `per_call_` in range.
  static constexpr std::int64_t most_calls = std::int64_t{1} << 38;

  void roll_locked(time_point now) const noexcept {
    const std::uint64_t fresh = calls_.collect();
    std::int64_t& calls = recent_.current().calls;
    calls = static_cast<std::int64_t>(
        std::min(static_cast<std::uint64_t>(calls) + fresh, std::uint64_t{most_calls}));
    recent_.roll(now);
  }

  [[nodiscard]] std::int64_t balance_locked() const noexcept {
    bucket sum;
    for (const bucket& b : recent_.all()) {
      sum.calls += b.calls;
      sum.spent += b.spent;
    }
    return reserve_ + per_call_ * std::min(sum.calls, most_calls) - unit * sum.spent;
  }

  const retry_budget options_;
  const std::int64_t per_call_;
  const std::int64_t reserve_;
  mutable std::mutex mutex_;
  // Reading the balance gathers what the shards hold and lets time pass.
  mutable detail::sliding_buckets<bucket> recent_;
  mutable detail::sharded_counter calls_;
};

class bucket_budget final : public budget {
 public:
  explicit bucket_budget(token_budget options)
      : options_(validated(std::move(options))), tokens_(options_.tokens) {}

  [[nodiscard]] std::string_view name() const noexcept override { return options_.name; }

  [[nodiscard]] double price(const outcome& failed) const noexcept override {
    return cost_of(failed);
  }

  [[nodiscard]] bool try_spend(const outcome& failed, time_point /*now*/) noexcept override {
    const int cost = cost_of(failed);
    int held = tokens_.load(std::memory_order_relaxed);
    do {
      if (held < cost) return false;
    } while (!tokens_.compare_exchange_weak(held, held - cost, std::memory_order_relaxed));
    return true;
  }

  void call_started(time_point /*now*/) noexcept override {}

  /// A full bucket, the healthy case, is only read.
  void succeeded(time_point /*now*/) noexcept override {
    int held = tokens_.load(std::memory_order_relaxed);
    while (held < options_.tokens) {
      const int room = options_.tokens - held;
      if (tokens_.compare_exchange_weak(held, held + std::min(options_.success_refund, room),
                                        std::memory_order_relaxed))
        return;
    }
  }

  [[nodiscard]] double balance(time_point /*now*/) const noexcept override {
    return tokens_.load(std::memory_order_relaxed);
  }

 private:
  [[nodiscard]] int cost_of(const outcome& failed) const noexcept {
    return failed.error == condition::timeout ? options_.timeout_cost : options_.retry_cost;
  }

  const token_budget options_;
  alignas(64) std::atomic<int> tokens_;
};

}  // namespace

budget::~budget() = default;

// Factory

std::shared_ptr<budget> make_budget(retry_budget options) {
  return std::make_shared<window_budget>(std::move(options));
}

std::shared_ptr<budget> make_budget(token_budget options) {
  return std::make_shared<bucket_budget>(std::move(options));
}

}  // namespace hawser::inline v0
