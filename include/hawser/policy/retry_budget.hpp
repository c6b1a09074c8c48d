// How much extra load retries and hedges together may put on a dependency: share one per
// destination, so that an outage is not answered with a multiple of the traffic.
//
//   auto extra = hawser::make_budget(hawser::retry_budget{.ratio = 0.2});
//   extra->call_started(now);                            // once per call, not per attempt
//   double paid = extra->price(failed);
//   if (!extra->try_spend(failed, now)) stop_retrying(); // before the wait
//   else if (never_left) extra->refund(paid, now);
//   else if (later_ok) extra->succeeded(paid, now);
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/core/time.hpp"
#include "hawser/policy/policy.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace hawser::inline v0 {

/// Extra attempts in proportion to the calls made: over any `window`, at most `ratio` of the calls,
/// or a reserve for clients of few calls, whichever is larger. An extra attempt that ends its call
/// well costs nothing in the end, so errors that come by chance are not held back, and a dead
/// dependency is. What was spent is back a window later, to the next tenth of it.
/// Source of the scheme: Finagle's RetryBudget, which adds the reserve and gives nothing back.
struct retry_budget {
  std::string name{};                          ///< Empty: "retry_budget".
  double ratio = 0.15;                         ///< Extra attempts per call. In [0, 10].
  duration window = std::chrono::seconds(10);  ///< 1 ms to 1 h; slides in tenths.
  /// So many per second at least, all of a window's at once if need be; but no more than two and
  /// 0.3 a call over a window, so that over a fleet of small clients they do not add up to a storm.
  /// In [0, 1'000'000]; with `ratio` 0 at least one per window.
  double reserve_per_second = 1;
  /// Whether a call that ends well gives back what its last extra attempt took: one of the latest
  /// that is still spent.
  bool refund = true;
};

/// Extra attempts out of a bucket: each takes tokens, and what comes back is said by the options.
/// The defaults are the AWS SDKs' standard retry mode. For a bucket that independent failures leave
/// full and a dead dependency empties, whatever the number of calls that succeed meanwhile:
///
///   token_budget{.tokens = 50, .retry_cost = 1, .timeout_cost = 1, .success_refund = 0,
///                .per_call = 0.1}
///
/// What is given is never more than the capacity has room for. Tokens are counted in millionths.
struct token_budget {
  std::string name{};            ///< Empty: "token_budget".
  int tokens = 500;              ///< Capacity. At least 1.
  std::optional<int> initial{};  ///< Tokens at the start. 0 to `tokens`; `tokens` when empty.
  int retry_cost = 5;            ///< Of an extra attempt. 1 to `tokens`.
  int timeout_cost = 10;         ///< Of an extra attempt after a time-out. 1 to `tokens`.
  /// Of an extra attempt after `outcome::throttled`, a time-out or not; as `retry_cost` when empty.
  /// 1 to `tokens`.
  std::optional<int> throttle_cost{};
  /// Which part of what its last extra attempt took a call gives back when it succeeds. In [0, 1].
  double retry_refund = 1;
  /// Given by a call that succeeds without an extra attempt. In [0, 2^31).
  double success_refund = 1;
  double per_call = 0;    ///< Given by each call as it starts. In [0, 2^31).
  double per_second = 0;  ///< Given by time. In [0, 10'000].

  /// The AWS SDKs' standard mode, as the defaults have it: 5 a retry, 10 after a time-out; what
  /// the last retry took comes back with its success, 1 with a clean first one.
  [[nodiscard]] HAWSER_API static token_budget aws_standard();
  /// Its form of 2026: 14 a retry, a time-out no different, 5 after a throttle. Goes with a
  /// server's hint cut to the own wait and 5 s, which is an option of the retry.
  [[nodiscard]] HAWSER_API static token_budget aws_2026();
};

/// A budget of extra attempts. All members are thread-safe.
class HAWSER_API budget {
 public:
  budget() = default;
  budget(const budget&) = delete;
  budget& operator=(const budget&) = delete;
  virtual ~budget();

  /// The name given in its options, or its kind's. Lives as long as the budget.
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  /// What the next attempt after `failed` costs. A hedge passes `outcome{}`.
  [[nodiscard]] virtual double price(const outcome& failed) const noexcept = 0;
  /// Pays for one extra attempt, or pays nothing and says no. One atomic step: callers at the same
  /// moment never spend more than there is.
  [[nodiscard]] virtual bool try_spend(const outcome& failed, time_point now) noexcept = 0;
  /// A call starts. Tell it once per call, whatever the number of attempts. Never blocks, and
  /// writes at most one counter of the thread's own; a full bucket of tokens is only read.
  virtual void call_started(time_point now) noexcept = 0;
  /// A call ended well. `last_payment` is the price of its last extra attempt, 0 if it made none:
  /// a call that paid is given back no more than that. Tell it once per call.
  virtual void succeeded(double last_payment, time_point now) noexcept = 0;
  /// The extra attempt that `payment` paid for was not made: a policy inside refused it, or the
  /// call ended before it began. All of it comes back, whatever successes give. Does nothing unless
  /// overridden.
  virtual void refund(double payment, time_point now) noexcept;
  /// What is there to spend; may be negative while calls that earned it fall out of the window.
  [[nodiscard]] virtual double balance(time_point now) const noexcept = 0;
};

/// Throws `config_error` naming the option that is out of its bounds.
[[nodiscard]] HAWSER_API std::shared_ptr<budget> make_budget(retry_budget options);
/// Throws `config_error` naming the option that is out of its bounds.
[[nodiscard]] HAWSER_API std::shared_ptr<budget> make_budget(token_budget options);

}  // namespace hawser::inline v0
