// Start spread: a fleet that starts at once does not send its first calls at once.
//
//   builder.add(hawser::start_spread{.over = 5s});
//
// The first call draws a moment within `over`; it and those that come before that moment wait for
// it, or within half of their time if they have less. From then on calls pass at the cost of one
// load.
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/policy/policy.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

namespace hawser::inline v0 {

/// Options of a start spread.
struct start_spread {
  std::string name{};  ///< Names it in events. Empty: "start_spread".
  /// How long after the first call the calls are let go at the latest. Over 0, at most 1 h.
  duration over = std::chrono::seconds(5);
};

/// The live policy: it lets the calls of one process go together, and of many processes apart. A
/// call whose deadline is not after that moment goes at one of its own, drawn within half of the
/// time that it has left. Nothing is refused. Thread-safe.
class HAWSER_API start_spread_policy final : public policy {
 public:
  /// Throws `config_error` naming the field.
  explicit start_spread_policy(start_spread options);
  [[nodiscard]] std::string_view kind() const noexcept override { return "start_spread"; }
  [[nodiscard]] std::string_view name() const noexcept override { return options_.name; }
  [[nodiscard]] std::size_t stage_size() const noexcept override;
  [[nodiscard]] std::size_t stage_alignment() const noexcept override;
  [[nodiscard]] bool stage_is_trivial() const noexcept override { return true; }
  [[nodiscard]] stage* make_stage(void* memory) override;
  step begin(void* memory, tick& t, stage*& made) override;
  [[nodiscard]] success_needs needs_of_success() const noexcept override {
    return success_needs::nothing;
  }

 private:
  class on_call;
  /// When calls are let go; drawn by the first.
  [[nodiscard]] time_point begins_at(tick& t) noexcept;
  const start_spread options_;
  std::atomic<time_point::rep> begins_at_{never.time_since_epoch().count()};
};

/// The policy of a pipeline's own. Throws `config_error` naming the field.
[[nodiscard]] HAWSER_API std::shared_ptr<policy> make_policy(start_spread options);

}  // namespace hawser::inline v0
