// Timeout: a limit on everything inside it: the whole call when outermost, one attempt when
// innermost.
//
//   builder.add(hawser::timeout{.after = 8s})                  // the call
//       .add(hawser::retry{.max_attempts = 4})
//       .add(hawser::timeout{.after = 2s});                    // each attempt
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/policy/policy.hpp"

#include <chrono>
#include <memory>
#include <string>

namespace hawser::inline v0 {

/// Options of a timeout.
struct timeout {
  std::string name{};  ///< Names it in errors and events. Empty: "timeout".
  /// How long what is inside may take. Over 0.
  duration after = std::chrono::seconds(30);
  /// Kept back of the time left around it, for a fallback further out. At least 0.
  duration reserve{};
};

/// The live policy. What is inside is cancelled when the time is over. The error is then
/// `attempt_timeout` inside a retry, and `call_timeout` outside. When a retry inside ends for want
/// of time with a real error, that error is kept. A success that comes after all is delivered: the
/// work was done.
class HAWSER_API timeout_policy final : public policy {
 public:
  /// Throws `config_error` naming the field.
  explicit timeout_policy(timeout options);
  [[nodiscard]] std::string_view kind() const noexcept override { return "timeout"; }
  [[nodiscard]] std::string_view name() const noexcept override { return options_.name; }
  [[nodiscard]] std::size_t stage_size() const noexcept override;
  [[nodiscard]] std::size_t stage_alignment() const noexcept override;
  [[nodiscard]] bool stage_is_trivial() const noexcept override { return true; }
  [[nodiscard]] stage* make_stage(void* memory) override;
  step begin(void* memory, tick& t, stage*& made) override;
  [[nodiscard]] success_needs needs_of_success() const noexcept override {
    return success_needs::nothing;
  }
  [[nodiscard]] duration plain_limit() const noexcept override {
    return options_.reserve > duration::zero() ? duration::zero() : options_.after;
  }

 private:
  class on_call;
  timeout options_;
};

/// The policy of a pipeline's own. Throws `config_error` naming the field.
[[nodiscard]] HAWSER_API std::shared_ptr<policy> make_policy(timeout options);

}  // namespace hawser::inline v0
