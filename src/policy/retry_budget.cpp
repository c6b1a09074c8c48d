#include "hawser/policy/retry_budget.hpp"

#include "policy/option_check.hpp"
#include "policy/sharded_counter.hpp"
#include "policy/sliding_buckets.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <limits>
#include <mutex>
#include <string_view>
#include <utility>

namespace hawser::inline v0 {

// Options are in the header, but for the sets with a name.

token_budget token_budget::aws_standard() { return {}; }

token_budget token_budget::aws_2026() {
  return {.retry_cost = 14, .timeout_cost = 14, .throttle_cost = 5};
}

// Validation

namespace {

using detail::in_seconds;
using detail::require;

// Counts are in millionths, so that ten calls at 0.1 make exactly one.
constexpr std::int64_t unit = 1'000'000;

std::int64_t in_units(double amount) noexcept {
  return std::llround(amount * static_cast<double>(unit));
}

retry_budget validated(retry_budget o) {
  using namespace std::chrono_literals;
  if (o.name.empty()) o.name = "retry_budget";
  detail::require_name("retry_budget.name", o.name);
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

void require_cost(int cost, int tokens, std::string_view field) {
  require(cost >= 1 && cost <= tokens, field, cost, "must be from 1 to tokens");
}

void require_part(double given, double most, std::string_view field, std::string_view rule) {
  require(given >= 0 && given <= most, field, given, rule);
}

token_budget validated(token_budget o) {
  if (o.name.empty()) o.name = "token_budget";
  detail::require_name("token_budget.name", o.name);
  require(o.tokens >= 1, "token_budget.tokens", o.tokens, "must be at least 1");
  constexpr int most = std::numeric_limits<int>::max();
  const int initial = o.initial.value_or(o.tokens);
  require(initial >= 0 && initial <= o.tokens, "token_budget.initial", initial,
          "must be from 0 to tokens");
  require_cost(o.retry_cost, o.tokens, "token_budget.retry_cost");
  require_cost(o.timeout_cost, o.tokens, "token_budget.timeout_cost");
  if (!o.throttle_cost) o.throttle_cost = o.retry_cost;
  require_cost(*o.throttle_cost, o.tokens, "token_budget.throttle_cost");
  require_part(o.retry_refund, 1, "token_budget.retry_refund", "must be from 0 to 1");
  require_part(o.success_refund, most, "token_budget.success_refund",
               "must be from 0 to 2147483647");
  require_part(o.per_call, most, "token_budget.per_call", "must be from 0 to 2147483647");
  require_part(o.per_second, 10'000, "token_budget.per_second", "must be from 0 to 10000");
  // What retries give back does not count: without tokens there are no retries to succeed.
  require(in_units(std::max({o.success_refund, o.per_call, o.per_second})) > 0,
          "token_budget.success_refund", o.success_refund,
          "must be over 0 when per_call and per_second are 0: nothing else refills it");
  return o;
}

// Shared state

class window_budget final : public budget {
 public:
  explicit window_budget(retry_budget options)
      : options_(validated(std::move(options))),
        per_call_(in_units(options_.ratio)),
        reserve_(in_units(options_.reserve_per_second * in_seconds(options_.window))),
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

  void succeeded(double last_payment, time_point now) noexcept override {
    if (options_.refund) refund(last_payment, now);
  }

  void refund(double payment, time_point now) noexcept override {
    if (!(payment > 0)) return;
    const std::lock_guard lock(mutex_);
    roll_locked(now);
    if (bucket* const paid = recent_.newest([](const bucket& b) { return b.spent > 0; }))
      --paid->spent;
  }

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

  // What a client of few calls may take of its reserve.
  static constexpr std::int64_t reserve_at_rest = 2 * unit;
  static constexpr std::int64_t reserve_per_call = 3 * unit / 10;
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
    const std::int64_t calls = std::min(sum.calls, most_calls);
    const std::int64_t reserve = std::min(reserve_, reserve_at_rest + reserve_per_call * calls);
    return std::max(reserve, per_call_ * calls) - unit * sum.spent;
  }

  const retry_budget options_;
  const std::int64_t per_call_;
  const std::int64_t reserve_;
  mutable std::mutex mutex_;
  // Reading the balance gathers what the shards hold and lets time pass.
  mutable detail::sliding_buckets<bucket> recent_;
  mutable detail::sharded_counter calls_;
};

/// All of the state that is spent from is one word, so that every step is one compare-and-swap. It
/// holds the tokens less those that time has given since the start; a level over the capacity is
/// cut when it is next looked at.
class bucket_budget final : public budget {
 public:
  explicit bucket_budget(token_budget options)
      : options_(validated(std::move(options))),
        capacity_(options_.tokens * unit),
        success_refund_(in_units(options_.success_refund)),
        per_call_(in_units(options_.per_call)),
        per_second_(static_cast<std::uint64_t>(in_units(options_.per_second))),
        level_(options_.initial.value_or(options_.tokens) * unit) {}

  [[nodiscard]] std::string_view name() const noexcept override { return options_.name; }

  [[nodiscard]] double price(const outcome& failed) const noexcept override {
    return cost_of(failed);
  }

  [[nodiscard]] bool try_spend(const outcome& failed, time_point now) noexcept override {
    const std::int64_t cost = cost_of(failed) * unit;
    start_clock(now);
    // Only here: a healthy call need not write the time. A reading that went back is no time.
    if (per_second_ != 0) raise(latest_, now.time_since_epoch().count());
    const std::int64_t by_time = minted(now);
    std::int64_t level = level_.load(std::memory_order_relaxed);
    std::int64_t held = 0;
    do {
      held = std::min(level, capacity_ - by_time);
      if (held + by_time < cost) return false;
    } while (!level_.compare_exchange_weak(level, held - cost, std::memory_order_relaxed));
    return true;
  }

  void call_started(time_point now) noexcept override {
    start_clock(now);
    give(per_call_, now);
  }

  void succeeded(double last_payment, time_point now) noexcept override {
    if (!(last_payment > 0)) return give(success_refund_, now);
    give(in_units(options_.retry_refund * std::min<double>(last_payment, options_.tokens)), now);
  }

  void refund(double payment, time_point now) noexcept override {
    if (payment > 0) give(in_units(std::min<double>(payment, options_.tokens)), now);
  }

  [[nodiscard]] double balance(time_point now) const noexcept override {
    const std::int64_t held = level_.load(std::memory_order_relaxed) + minted(now);
    return static_cast<double>(std::min(held, capacity_)) / static_cast<double>(unit);
  }

 private:
  using instant = duration::rep;
  static constexpr instant not_started = std::numeric_limits<instant>::min();
  // More is never given by time: keeps the sums in range. Over a decade at the highest rate.
  static constexpr std::uint64_t most_minted = std::uint64_t{1} << 62U;

  [[nodiscard]] int cost_of(const outcome& failed) const noexcept {
    if (failed.throttled) return *options_.throttle_cost;
    return failed.error == condition::timeout ? options_.timeout_cost : options_.retry_cost;
  }

  /// Adds what there is room for. A full bucket, the healthy case, is only read.
  void give(std::int64_t amount, time_point now) noexcept {
    if (amount <= 0) return;
    const std::int64_t full = capacity_ - minted(now);
    std::int64_t level = level_.load(std::memory_order_relaxed);
    while (level < full) {
      if (level_.compare_exchange_weak(level, level + std::min(amount, full - level),
                                       std::memory_order_relaxed))
        return;
    }
  }

  void start_clock(time_point now) noexcept {
    if (per_second_ == 0 || since_.load(std::memory_order_relaxed) != not_started) return;
    instant expected = not_started;
    since_.compare_exchange_strong(expected,
                                   std::max(now.time_since_epoch().count(), not_started + 1),
                                   std::memory_order_relaxed);
  }

  /// What time has given since the start, to the millionth: no remainder is lost, however often it
  /// is asked.
  [[nodiscard]] std::int64_t minted(time_point now) const noexcept {
    if (per_second_ == 0) return 0;
    const instant since = since_.load(std::memory_order_relaxed);
    const instant at =
        std::max(now.time_since_epoch().count(), latest_.load(std::memory_order_relaxed));
    if (since == not_started || at <= since) return 0;
    constexpr std::uint64_t second = 1'000'000'000;
    const std::uint64_t elapsed =
        static_cast<std::uint64_t>(at) - static_cast<std::uint64_t>(since);
    if (elapsed / second >= most_minted / per_second_) return most_minted;
    return static_cast<std::int64_t>(elapsed / second * per_second_ +
                                     elapsed % second * per_second_ / second);
  }

  static void raise(std::atomic<instant>& latest, instant to) noexcept {
    instant seen = latest.load(std::memory_order_relaxed);
    while (seen < to && !latest.compare_exchange_weak(seen, to, std::memory_order_relaxed)) {
    }
  }

  const token_budget options_;
  const std::int64_t capacity_;
  const std::int64_t success_refund_;
  const std::int64_t per_call_;
  const std::uint64_t per_second_;
  alignas(64) std::atomic<std::int64_t> level_;
  std::atomic<instant> since_{not_started};
  std::atomic<instant> latest_{not_started};
};

}  // namespace

budget::~budget() = default;

void budget::refund(double /*payment*/, time_point /*now*/) noexcept {}

// Factory

std::shared_ptr<budget> make_budget(retry_budget options) {
  return std::make_shared<window_budget>(std::move(options));
}

std::shared_ptr<budget> make_budget(token_budget options) {
  return std::make_shared<bucket_budget>(std::move(options));
}

}  // namespace hawser::inline v0
