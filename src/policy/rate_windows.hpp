// The two window algorithms of the rate limiter; private to rate_limiter.cpp.
#pragma once

#include "hawser/policy/rate_limiter.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace hawser::inline v0::detail {

/// Permits per window: what was handed out (settled) and, behind it, what is reserved (planned).
/// Everything under the policy's lock.
class rate_windows {
 public:
  rate_windows() = default;
  rate_windows(const rate_windows&) = delete;
  rate_windows& operator=(const rate_windows&) = delete;
  virtual ~rate_windows() = default;

  /// When `cost` permits, behind all plans, could go out: `from` at the earliest.
  [[nodiscard]] virtual time_point earliest(std::uint32_t cost, time_point from) const noexcept = 0;
  virtual void plan(std::uint32_t cost, time_point at) noexcept = 0;
  /// The oldest plan is carried out. Returns the receipt to give it back with.
  virtual std::int64_t settle(std::uint32_t cost, time_point at) noexcept = 0;
  virtual void forget_plans() noexcept = 0;
  /// Undoes a settling if that is exact. Precondition: no plans.
  virtual void take_back(std::int64_t receipt, std::uint32_t cost) noexcept = 0;
  /// Another size; what was handed out still counts, plans are forgotten. Throws before changing.
  virtual void resize(int permits, duration per) = 0;
  [[nodiscard]] virtual std::int64_t available(time_point now) const noexcept = 0;
};

inline constexpr std::int64_t most_remembered = std::int64_t{1} << 20;

/// How many permits a sliding window keeps the times of: those of the last window, one window's
/// worth that may be undone, and all that can be reserved within `max_wait`.
inline std::int64_t remembered(int permits, duration per, duration max_wait) noexcept {
  const std::int64_t windows = max_wait / per + 3;
  return windows > most_remembered ? most_remembered + 1 : windows * permits;
}

/// See rate_algorithm::fixed_window.
class fixed_windows final : public rate_windows {
 public:
  fixed_windows(int permits, duration per) : permits_(permits), per_(per) {}

  time_point earliest(std::uint32_t cost, time_point from) const noexcept override {
    if (!planned_.open || from >= planned_.end) return from;
    if (planned_.used + cost > permits_) return planned_.end;
    // A clock that went back is still within the window that is open; a window that will open is
    // waited for.
    const bool is_open = settled_.open && settled_.start == planned_.start;
    return is_open ? from : std::max(from, planned_.start);
  }
  void plan(std::uint32_t cost, time_point at) noexcept override { planned_.add(cost, at, per_); }
  std::int64_t settle(std::uint32_t cost, time_point at) noexcept override {
    settled_.add(cost, at, per_);
    return settled_.start.time_since_epoch().count();
  }
  void forget_plans() noexcept override { planned_ = settled_; }
  void take_back(std::int64_t receipt, std::uint32_t cost) noexcept override {
    if (!settled_.open || settled_.start.time_since_epoch().count() != receipt) return;
    settled_.used -= std::min<std::int64_t>(settled_.used, cost);
    planned_ = settled_;
  }
  void resize(int permits, duration per) override {
    permits_ = permits;
    per_ = per;
    if (settled_.open) settled_.end = later(settled_.start, per_);
    planned_ = settled_;
  }
  std::int64_t available(time_point now) const noexcept override {
    if (!planned_.open || now >= planned_.end) return permits_;
    return std::max<std::int64_t>(permits_ - planned_.used, 0);
  }

 private:
  struct window {
    bool open = false;
    time_point start{};
    time_point end{};
    std::int64_t used = 0;
    void add(std::uint32_t cost, time_point at, duration per) noexcept {
      if (!open || at >= end) *this = {true, at, later(at, per), 0};
      used += cost;
    }
  };
  std::int64_t permits_;
  duration per_;
  window settled_;
  window planned_;
};

/// The time of each permit, in a ring: permit i may go out `per` after permit i - permits.
class sliding_window final : public rate_windows {
 public:
  sliding_window(int permits, duration per, duration max_wait)
      : permits_(permits),
        per_(per),
        max_wait_(max_wait),
        times_(static_cast<std::size_t>(remembered(permits, per, max_wait))) {}

  time_point earliest(std::uint32_t cost, time_point from) const noexcept override {
    const std::int64_t room = static_cast<std::int64_t>(times_.size()) - permits_;
    if (planned_ - settled_ + cost > room) return never;
    time_point at = from;
    if (planned_ > settled_) at = std::max(at, time_of(planned_ - 1));
    const std::int64_t before = planned_ + cost - 1 - permits_;
    return before < 0 ? at : std::max(at, later(time_of(before), per_));
  }
  void plan(std::uint32_t cost, time_point at) noexcept override {
    if (planned_ > 0) at = std::max(at, time_of(planned_ - 1));  // a clock may go back
    for (std::uint32_t i = 0; i < cost; ++i) slot(planned_++) = at;
  }
  std::int64_t settle(std::uint32_t cost, time_point /*at*/) noexcept override {
    return settled_ += cost;
  }
  void forget_plans() noexcept override { planned_ = settled_; }
  void take_back(std::int64_t receipt, std::uint32_t cost) noexcept override {
    if (settled_ == receipt) planned_ = settled_ -= cost;
  }
  void resize(int permits, duration per) override {
    std::vector<time_point> times(static_cast<std::size_t>(remembered(permits, per, max_wait_)));
    const std::int64_t kept = std::min<std::int64_t>({settled_, permits, permits_});
    for (std::int64_t i = 0; i < kept; ++i)
      times[static_cast<std::size_t>(i)] = time_of(settled_ - kept + i);
    times_ = std::move(times);
    permits_ = permits;
    per_ = per;
    settled_ = planned_ = kept;
  }
  std::int64_t available(time_point now) const noexcept override {
    std::int64_t used = 0;
    while (used < std::min(planned_, permits_) && later(time_of(planned_ - 1 - used), per_) > now)
      ++used;
    return permits_ - used;
  }

 private:
  time_point& slot(std::int64_t i) noexcept {
    return times_[static_cast<std::size_t>(i) % times_.size()];
  }
  time_point time_of(std::int64_t i) const noexcept {
    return times_[static_cast<std::size_t>(i) % times_.size()];
  }
  std::int64_t permits_;
  duration per_;
  duration max_wait_;
  std::vector<time_point> times_;
  std::int64_t settled_ = 0;
  std::int64_t planned_ = 0;
};

/// Nothing for gcra. Precondition: the options are valid.
inline std::unique_ptr<rate_windows> make_rate_windows(const rate_limiter& o) {
  if (o.algorithm == rate_algorithm::fixed_window)
    return std::make_unique<fixed_windows>(o.permits, o.per);
  if (o.algorithm == rate_algorithm::sliding_window)
    return std::make_unique<sliding_window>(o.permits, o.per,
                                            o.max_wait.value_or(duration::zero()));
  return nullptr;
}

/// Whether a sliding window of this size is within the bound on what is remembered.
inline bool can_slide(int permits, duration per, duration max_wait) noexcept {
  return remembered(permits, per, max_wait) <= most_remembered;
}

}  // namespace hawser::inline v0::detail
