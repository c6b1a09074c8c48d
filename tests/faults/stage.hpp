// What a scenario works with, and where it says what became of its calls.
//
//   s.begin();                                    // from here on one thing fails
//   s.start([&] { api.async_send(what, [&](auto) { s.ended(); }); });
//   run(s, io);
//   s.end();                                      // all is well again
#pragma once

#include "faults/failing.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <exception>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace hawser::test {

/// What one process reports to the one that watches it.
struct report {
  seen what{};
  std::atomic<int> started{0};  ///< Calls whose beginning did not throw.
  std::atomic<int> refused{0};  ///< Calls whose beginning threw std::bad_alloc, or set-up that did.
  std::atomic<int> ended{0};    ///< Handlers called, blocking calls returned.
  std::atomic<int> good{0};     ///< Of these: with a success.
  std::atomic<int> escaped{0};  ///< Exceptions out of the caller's own io_context::run().
  std::atomic<bool> set_up{false};
  std::atomic<bool> over{false};
  std::atomic<bool> next_failed{false};   ///< The call after the trouble.
  std::atomic<bool> fresh_failed{false};  ///< And one of another client, made after it.
  std::atomic<bool> done{false};
  std::array<char, 160> words{};  ///< Of that failure.
};

/// Where the servers listen: processes of their own, whose calls do not fail.
struct addresses {
  std::string plain;
  std::string tls;
  std::string authority;  ///< PEM.
};

class stage {
 public:
  stage(report& to, const addresses& at, failure how) noexcept : to_(to), at_(at), how_(how) {}
  stage(const stage&) = delete;
  stage& operator=(const stage&) = delete;

  [[nodiscard]] const addresses& at() const noexcept { return at_; }

  void begin() noexcept {
    to_.set_up = true;
    fail(how_);
  }
  void end() noexcept {
    stop_failing();
    to_.over = true;
  }

  /// Begins a call: `begin_call` throws std::bad_alloc and calls no handler, or it does.
  template <class F>
  void start(F begin_call) {
    try {
      begin_call();
      ++to_.started;
    } catch (const std::bad_alloc&) {
      refused();
    }
  }
  /// Likewise with the set-up, which may throw whatever the system says.
  template <class F>
  void start_set_up(F begin_all) {
    try {
      start(begin_all);
    } catch (const std::exception&) {
      refused();
    }
  }
  void refused() noexcept { ++to_.refused; }
  void ended(bool good = true) noexcept {
    if (good) ++to_.good;
    ++to_.ended;
    to_.ended.notify_all();
  }
  void escaped() noexcept { ++to_.escaped; }
  [[nodiscard]] bool is_escaping_counted() const noexcept { return to_.escaped.load() != 0; }
  /// Whether all that was started has ended.
  [[nodiscard]] bool all_ended() const noexcept { return to_.ended >= to_.started; }
  /// Waits for it without a time limit: whoever watches has one.
  void wait() const noexcept {
    for (int n = to_.ended.load(); n < to_.started.load(); n = to_.ended.load()) to_.ended.wait(n);
  }
  /// How the call after the trouble ended; empty: well.
  void next(std::string_view failure) noexcept {
    if (failure.empty()) return;
    to_.next_failed = true;
    failure.copy(to_.words.data(), to_.words.size() - 1);
  }

  [[nodiscard]] bool next_went_well() const noexcept { return !to_.next_failed; }
  /// Nor does it go well for somebody who begins anew.
  void spoilt() noexcept { to_.fresh_failed = true; }

 private:
  report& to_;
  const addresses& at_;
  failure how_;
};

/// A whole program in one function.
struct scenario {
  std::string_view name;
  void (*run)(stage&);
};

/// All of them, in the table's order.
[[nodiscard]] std::span<const scenario> scenarios() noexcept;

}  // namespace hawser::test
