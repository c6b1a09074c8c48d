// Retry: further attempts after failures that a later try may mend, and only where that is safe.
//
//   builder.add(hawser::retry{.max_attempts = 4,
//                             .delay = hawser::exponential{.first = 100ms, .cap = 2s},
//                             .budget = hawser::make_budget(hawser::retry_budget{})});
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/policy/backoff.hpp"
#include "hawser/policy/policy.hpp"
#include "hawser/policy/retry_budget.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace hawser::inline v0 {

/// Options of a retry.
struct retry {
  std::string name{};  ///< Names it in errors and events. Empty: "retry".
  /// Attempts, not retries: 4 is one try and three retries. 1 to 100.
  int max_attempts = 3;
  /// The wait before each further attempt. A longer wait that the server asks for is kept instead.
  backoff delay = exponential{};
  /// A server's hint longer than this ends the call at once, with the hint in the error. At least
  /// 0.
  duration max_server_wait = std::chrono::seconds(60);
  /// A server's hint longer than the own wait and this is cut to that, before `max_server_wait` is
  /// looked at. At least 0; off: hints are kept whole. The AWS SDKs' form of 2026 has 5 s.
  std::optional<duration> hint_excess{};
  /// Shared with other pipelines to the same destination; null for none.
  std::shared_ptr<hawser::budget> budget{};
  /// Also wait out the rejections of local policies inside this retry (an open circuit, an empty
  /// limiter, a full bulkhead), within the deadline: until the time they name and a `delay`
  /// more, which keeps those who wait for the same moment apart; not if that time is further off
  /// than `max_server_wait`. Those that name none are asked again after a `delay`, and only under a
  /// deadline. Such a try is no attempt and costs none.
  bool wait_for_permission = false;
  /// Leave no attempt to start that cannot finish: stop when less time is left than the quickest
  /// success of late has taken.
  bool skip_hopeless = true;
  /// Overrules which failures a later try may mend; nullopt leaves it to the outcome. Safety is not
  /// its business: the re-send table is asked in any case.
  std::function<std::optional<bool>(const outcome&)> transient{};
};

/// The live policy. Thread-safe.
///
/// Stops, keeping the last real error, when the failure is not transient, the re-send table
/// (`may_resend`) forbids it, `max_attempts` are made, the wait would end after the deadline, or
/// the budget is spent. The budget is asked before the wait.
/// Source: policies of the field, and RFC 9110 section 9.2.2 on automatic retries.
class HAWSER_API retry_policy final : public policy {
 public:
  /// Throws `config_error` naming the field.
  explicit retry_policy(retry options);
  [[nodiscard]] std::string_view kind() const noexcept override { return "retry"; }
  [[nodiscard]] std::string_view name() const noexcept override { return options_.name; }
  [[nodiscard]] std::size_t stage_size() const noexcept override;
  [[nodiscard]] std::size_t stage_alignment() const noexcept override;
  [[nodiscard]] bool stage_is_trivial() const noexcept override { return true; }
  [[nodiscard]] stage* make_stage(void* memory) override;
  step begin(void* memory, tick& t, stage*& made) override;
  [[nodiscard]] success_needs needs_of_success() const noexcept override {
    return options_.budget || options_.skip_hopeless ? success_needs::inner_done
                                                     : success_needs::nothing;
  }
  [[nodiscard]] unsigned amplification() const noexcept override {
    return static_cast<unsigned>(options_.max_attempts);
  }
  [[nodiscard]] bool makes_attempts() const noexcept override { return true; }
  /// The quickest success within the last minute or two; zero before the first.
  [[nodiscard]] duration service_floor(time_point now) const noexcept;

 private:
  class on_call;
  void learn(duration took, time_point now) noexcept;
  void learn_news(duration took, time_point now) noexcept;

  retry options_;
  // Two generations of minima, so that the floor follows a dependency that becomes quicker or
  // slower.
  std::atomic<duration::rep> floor_{duration::max().count()};
  std::atomic<duration::rep> previous_floor_{duration::max().count()};
  std::atomic<time_point::rep> floor_until_{time_point::min().time_since_epoch().count()};
};

/// The policy of a pipeline's own. Throws `config_error` naming the field.
[[nodiscard]] HAWSER_API std::shared_ptr<policy> make_policy(retry options);

}  // namespace hawser::inline v0
