// Which targets without parameters count as routes of their own: the first few.
//
//   literal_routes known;
//   if (known.admits("GET /health")) use_as_key(...);
//
// A target with "{id}" in it is a template, and there are as many as the program has. One without
// may be a template too, or have an id written into it: those are as many as there are ids. Where
// policies are kept by key, they say how many they have room for (`keyed_policy::admits`); this is
// for pipelines without, whose own policies may keep something by key.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace hawser::inline v0::http {

/// Thread-safe; takes no lock and allocates nothing for what is known, or once it is full.
class literal_routes {
 public:
  /// Whether `name` is one of the first `most` that came.
  [[nodiscard]] bool admits(std::string_view name) {
    std::size_t held = held_.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < held; ++i)
      if (names_[i] == name) return true;
    if (held == most) return false;
    const std::lock_guard lock(mutex_);
    for (std::size_t now = held_.load(std::memory_order_relaxed); held < now; ++held)
      if (names_[held] == name) return true;
    if (held == most) return false;
    names_[held] = name;
    held_.store(held + 1, std::memory_order_release);
    return true;
  }

  static constexpr std::size_t most = 32;

 private:
  std::array<std::string, most> names_;  // each written once, before `held_` covers it
  std::atomic<std::size_t> held_{0};
  std::mutex mutex_;
};

}  // namespace hawser::inline v0::http
