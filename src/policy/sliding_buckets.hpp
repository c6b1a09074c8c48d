// A stretch of time cut into buckets, the oldest of which is dropped as time goes on.
//
//   sliding_buckets<int> spent{10s, 10};
//   if (spent.due(now)) spent.roll(now);      // the latter under the owner's lock
//   ++spent.current();
//   for (int n : spent.all()) sum += n;
#pragma once

#include "hawser/core/time.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace hawser::inline v0::detail {

/// Covers the current, partial bucket and the `count - 1` before it. A clock that reads backwards
/// finds itself in the current bucket: nothing comes back and nothing is dropped twice.
template <class Bucket>
class sliding_buckets {
 public:
  /// `span` is at least `count` nanoseconds, `count` at least 1.
  sliding_buckets(duration span, int count)
      : width_(span.count() / count), ring_(static_cast<std::size_t>(count)) {}

  /// Whether `now` is past the current bucket. Any thread.
  [[nodiscard]] bool due(time_point now) const noexcept {
    return now.time_since_epoch().count() >= end_.load(std::memory_order_relaxed);
  }

  /// When the current bucket ends. Owner's lock.
  [[nodiscard]] time_point end() const noexcept {
    return time_point(duration(end_.load(std::memory_order_relaxed)));
  }

  /// Make the bucket `now` falls into current; drop what is older than the window. Owner's lock.
  void roll(time_point now) noexcept {
    if (!due(now)) return;
    const std::int64_t next = bucket_of(now);
    // The difference of two numbers in order always fits the unsigned type.
    const std::uint64_t steps =
        static_cast<std::uint64_t>(next) - static_cast<std::uint64_t>(number_);
    for (std::uint64_t i = std::min<std::uint64_t>(steps, ring_.size()); i > 0; --i) {
      current_ = current_ + 1 == ring_.size() ? 0 : current_ + 1;
      ring_[current_] = Bucket{};
    }
    start_at(next);
  }

  /// Empty all, with the bucket `now` falls into as the current one. Owner's lock.
  void restart(time_point now) noexcept {
    std::fill(ring_.begin(), ring_.end(), Bucket{});
    start_at(bucket_of(now));
  }

  [[nodiscard]] Bucket& current() noexcept { return ring_[current_]; }
  [[nodiscard]] const std::vector<Bucket>& all() const noexcept { return ring_; }
  /// The newest bucket for which `holds` is true; null without one. Owner's lock.
  template <class Predicate>
  [[nodiscard]] Bucket* newest(const Predicate& holds) noexcept {
    for (std::size_t i = 0, at = current_; i < ring_.size(); ++i) {
      if (holds(std::as_const(ring_[at]))) return &ring_[at];
      at = at == 0 ? ring_.size() - 1 : at - 1;
    }
    return nullptr;
  }

 private:
  using limits = std::numeric_limits<std::int64_t>;

  [[nodiscard]] std::int64_t bucket_of(time_point now) const noexcept {
    const std::int64_t ns = now.time_since_epoch().count();
    return ns / width_ - (ns % width_ < 0 ? 1 : 0);  // rounds down, also below zero
  }

  void start_at(std::int64_t number) noexcept {
    number_ = number;
    // The bucket before last is the last whose end can be told.
    const bool last = number >= limits::max() / width_ - 1;
    end_.store(last ? limits::max() : (number + 1) * width_, std::memory_order_relaxed);
  }

  const std::int64_t width_;
  std::vector<Bucket> ring_;
  std::size_t current_ = 0;
  std::int64_t number_ = limits::min();           // of the current bucket
  std::atomic<std::int64_t> end_{limits::min()};  // the current bucket's; the first roll sets it
};

}  // namespace hawser::inline v0::detail
