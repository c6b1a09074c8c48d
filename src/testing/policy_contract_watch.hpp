// Stands around a policy under test: sees all that its stages are told and answer.
#pragma once

#include "hawser/policy/policy.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::inline v0::testing {

/// What was seen of the stages of one policy.
class policy_watch {
 public:
  /// Stages on their way, for the text of a call that does not end.
  class standing {
   public:
    [[nodiscard]] virtual std::string where() const = 0;

   protected:
    ~standing() = default;
  };

  /// Notes a broken promise, once each.
  void blame(std::string what);
  [[nodiscard]] const std::vector<std::string>& broken() const noexcept { return broken_; }

  /// How often a stage was told something: a measure of steps.
  [[nodiscard]] int told() const noexcept { return told_; }
  [[nodiscard]] int entered() const noexcept { return entered_; }
  [[nodiscard]] int left() const noexcept { return left_; }
  /// Where the stages stand that have not left: "parked, and nobody woke it".
  [[nodiscard]] std::string where_they_stand() const;
  /// Where the last one stood that was cancelled while it waited.
  [[nodiscard]] const std::string& where_one_was_cut_off() const noexcept { return cut_off_; }

 private:
  friend class watched_policy;

  /// Handed out in place of a call's own waker; outlives the call, so that a late waking is seen.
  class relay final : public waker {
   public:
    explicit relay(policy_watch& home) noexcept : home_(home) {}
    void lead_to(waker* w) noexcept { to_ = w; }
    void wake() noexcept override;

   private:
    policy_watch& home_;
    waker* to_ = nullptr;
  };

  std::vector<std::string> broken_;
  std::deque<relay> relays_;
  std::vector<const standing*> inside_;
  std::string cut_off_;
  int told_ = 0;
  int entered_ = 0;
  int left_ = 0;
};

/// The policy under test, watched. For one thread.
class watched_policy final : public policy {
 public:
  watched_policy(std::shared_ptr<policy> inner, policy_watch& seen)
      : inner_(std::move(inner)), seen_(seen) {}

  std::string_view kind() const noexcept override { return inner_->kind(); }
  std::string_view name() const noexcept override { return inner_->name(); }
  std::size_t stage_size() const noexcept override;
  std::size_t stage_alignment() const noexcept override { return alignof(std::max_align_t); }
  unsigned amplification() const noexcept override { return inner_->amplification(); }
  bool makes_attempts() const noexcept override { return inner_->makes_attempts(); }
  stage* make_stage(void* memory) override;

 private:
  class moment;
  class on_call;
  static constexpr std::size_t fence = 16;  // bytes behind the stage that must stay untouched

  [[nodiscard]] static std::size_t offset() noexcept;

  std::shared_ptr<policy> inner_;
  policy_watch& seen_;
};

}  // namespace hawser::inline v0::testing
