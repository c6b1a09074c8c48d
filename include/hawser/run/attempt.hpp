// What a callable or an operation under policies may know of the attempt it makes, and may say.
//
//   auto r = billing.execute([&](hawser::attempt& a) -> hawser::result<quote> {
//     return legacy.quote(id, a.stop(), a.remaining());
//   });
#pragma once

#include "hawser/core/effect.hpp"
#include "hawser/core/export.hpp"
#include "hawser/core/time.hpp"
#include "hawser/run/detail/operation.hpp"

#include <optional>
#include <stop_token>

namespace hawser::inline v0 {

/// One attempt. A blocking call's belongs to the thread that makes it, an asynchronous one's to the
/// attempt's executor, and is valid until the operation has completed.
class HAWSER_API attempt {
 public:
  /// For the engine, which makes one for each attempt; all three must outlive it.
  attempt(const detail::attempt_start& about, const environment& env, std::stop_source& source);
  attempt(const attempt&) = delete;
  attempt& operator=(const attempt&) = delete;
  ~attempt();

  /// 1 is the first.
  [[nodiscard]] int number() const noexcept { return about_.number; }
  /// The earliest of the time limits around it; `never` without one.
  [[nodiscard]] time_point deadline() const noexcept { return about_.deadline; }
  /// Time left now; `duration::max()` without a deadline.
  [[nodiscard]] duration remaining() const noexcept {
    return hawser::remaining(about_.deadline, env_.now());
  }
  /// Stop is requested when a time limit passes or the caller cancels.
  [[nodiscard]] std::stop_token stop();

  /// Says what is known about a failure's arrival on the other side; the default is
  /// `maybe_applied`, or what the error code tells.
  void delivery(evidence seen) noexcept { delivery_ = seen; }
  /// The other side asked to wait this long before another attempt. Below zero is no hint.
  void retry_after(duration wait) noexcept { server_wait_ = wait; }
  /// Says of a failure that the other side refused for a limit of its own, as an HTTP 429 does:
  /// rate limiters slow down, breakers do not count it. It counts as refused, unless `delivery`
  /// says otherwise, and a later try may mend it.
  void throttled() noexcept { throttled_ = true; }

  /// Applies what was said to an outcome. For the engine.
  void amend(outcome& o) const noexcept;

 private:
  class guard;
  struct requester {
    std::stop_source& source;
    void operator()() const noexcept { source.request_stop(); }
  };
  detail::attempt_start about_;
  const environment& env_;
  std::stop_source& source_;
  guard* guard_ = nullptr;
  std::optional<std::stop_callback<requester>> caller_;
  std::optional<evidence> delivery_;
  std::optional<duration> server_wait_;
  bool throttled_ = false;
};

}  // namespace hawser::inline v0
