// How many clients of an origin came and went with one call or none: who makes a client per call
// pays for a connection each time, and has a breaker, a budget and a limiter that remember nothing.
//
//   if (env.source().brief_clients().gone(origin, now)) tell();   // the hundredth within a minute
#pragma once

#include "hawser/core/time.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <tuple>

namespace hawser::inline v0::detail {

/// Kept by an environment. It takes no memory, and is looked at only when such a client goes. What
/// was told stays told, so of `most` origins at most; beside those, the origins that come most are
/// counted. Thread-safe.
class brief_clients {
 public:
  /// So many within `span` are told of.
  static constexpr int too_many = 100;
  static constexpr duration span = std::chrono::minutes(1);
  /// So many origins are known.
  static constexpr int most = 64;

  /// A client that lived for less than `span`, and made one call or none, is gone. Whether that is
  /// to be told, which is once for an origin. `origin` is a hash of it.
  [[nodiscard]] bool gone(std::uint64_t origin, time_point now) noexcept {
    const std::lock_guard lock(mutex_);
    tally& of = tally_of_locked(origin, now);
    if (of.told) return false;
    if (of.count_at(now) == 0) {
      of.since = now;
      of.count = 0;
    }
    of.last = std::max(of.last, now);
    of.told = ++of.count == too_many;
    return of.told;
  }

 private:
  struct tally {
    std::uint64_t origin = 0;
    int count = 0;
    bool told = false;
    time_point since{};
    time_point last = time_point::min();

    [[nodiscard]] int count_at(time_point now) const noexcept {
      return now < later(since, span) ? count : 0;
    }
  };

  /// That of `origin`, in place of the least if it is new; one that was told, if all were.
  [[nodiscard]] tally& tally_of_locked(std::uint64_t origin, time_point now) noexcept {
    for (tally& t : tallies_)
      if (t.last != time_point::min() && t.origin == origin) return t;
    const auto rank = [now](const tally& t) noexcept {
      return std::tuple(t.told, t.count_at(now), t.last);
    };
    tally& least = *std::min_element(
        tallies_.begin(), tallies_.end(),
        [&](const tally& a, const tally& b) noexcept { return rank(a) < rank(b); });
    if (least.told) return least;
    least = tally{};
    least.origin = origin;
    return least;
  }

  std::mutex mutex_;
  std::array<tally, most> tallies_{};
};

}  // namespace hawser::inline v0::detail
