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

namespace hawser::inline v0::detail {

/// Kept by an environment. Of a few origins only, those in which something happened last: it takes
/// no memory, and is looked at only when such a client goes. Thread-safe.
class brief_clients {
 public:
  /// So many within `span` are told of.
  static constexpr int too_many = 100;
  static constexpr duration span = std::chrono::minutes(1);

  /// A client that lived for less than `span`, and made one call or none, is gone. Whether that is
  /// to be told, which is once for an origin. `origin` is a hash of it.
  [[nodiscard]] bool gone(std::uint64_t origin, time_point now) noexcept {
    const std::lock_guard lock(mutex_);
    tally& of = tally_of_locked(origin);
    if (of.count == 0 || now >= later(of.since, span)) {
      of.since = now;
      of.count = 0;
    }
    of.last = std::max(of.last, now);
    if (of.count < too_many) ++of.count;
    if (of.count < too_many || of.told) return false;
    of.told = true;
    return true;
  }

 private:
  struct tally {
    std::uint64_t origin = 0;
    int count = 0;
    bool told = false;
    time_point since{};
    time_point last = time_point::min();
  };

  [[nodiscard]] tally& tally_of_locked(std::uint64_t origin) noexcept {
    for (tally& t : tallies_)
      if (t.last != time_point::min() && t.origin == origin) return t;
    tally& oldest =
        *std::min_element(tallies_.begin(), tallies_.end(),
                          [](const tally& a, const tally& b) noexcept { return a.last < b.last; });
    oldest = tally{};
    oldest.origin = origin;
    return oldest;
  }

  std::mutex mutex_;
  std::array<tally, 16> tallies_{};
};

}  // namespace hawser::inline v0::detail
