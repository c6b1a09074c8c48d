#include "policy/outcome_window.hpp"

#include "policy/sliding_buckets.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

namespace hawser::inline v0::detail {
namespace {

/// The last n results: only those that are more than plain successes are kept, each with its
/// place in the row of all. What is n places behind the newest result falls out.
class last_calls final : public outcome_window {
 public:
  last_calls(int calls, std::optional<duration> max_age)
      : ring_(static_cast<std::size_t>(calls)), max_age_(max_age.value_or(duration::zero())) {
    if (!max_age) return;
    ages_.emplace(*max_age, age_steps);
    roll_next_at(ages_->end());
  }

 private:
  struct entry {
    std::uint64_t place = 0;
    logged_result what{};
  };

  void clear(time_point now) noexcept override {
    total_ = failures_ = slow_ = oldest_ = 0;
    first_ = held_ = 0;
    if (!ages_) return;
    ages_->restart(now);
    roll_next_at(ages_->end());
  }

  /// Results leave with the step of time in which they came.
  void advance(time_point now) noexcept override {
    if (!ages_ || !ages_->due(now)) return;
    ages_->roll(now);
    roll_next_at(ages_->end());
    oldest_ = total_ - std::min(kept(), total_);
    evict();
  }

  [[nodiscard]] recent_results recent_now() const noexcept override {
    return {ages_ ? kept() : 0, max_age_};
  }

  [[nodiscard]] std::uint64_t kept() const noexcept {
    std::uint64_t sum = 0;
    for (const std::uint64_t results : ages_->all()) sum += results;
    return sum;
  }

  void add(std::uint64_t successes) noexcept override {
    total_ += successes;
    if (ages_) ages_->current() += successes;
    evict();
  }

  void append(logged_result result) noexcept override {
    ++total_;
    if (ages_) ++ages_->current();
    evict();
    ring_[(first_ + held_) % ring_.size()] = {total_, result};
    ++held_;
    failures_ += result.failed ? 1U : 0U;
    slow_ += result.slow ? 1U : 0U;
  }

  void evict() noexcept {
    while (held_ > 0 &&
           (total_ - ring_[first_].place >= ring_.size() || ring_[first_].place <= oldest_)) {
      failures_ -= ring_[first_].what.failed ? 1U : 0U;
      slow_ -= ring_[first_].what.slow ? 1U : 0U;
      first_ = first_ + 1 == ring_.size() ? 0 : first_ + 1;
      --held_;
    }
  }

  [[nodiscard]] window_counts sum() const noexcept override {
    return {std::min<std::uint64_t>(total_ - oldest_, ring_.size()), failures_, slow_, 0};
  }

  static constexpr int age_steps = 10;
  std::vector<entry> ring_;
  duration max_age_;
  std::optional<sliding_buckets<std::uint64_t>> ages_;  // how many results came when
  std::uint64_t oldest_ = 0;                            // up to this place all are too old
  std::size_t first_ = 0;
  std::size_t held_ = 0;
  std::uint64_t total_ = 0;
  std::uint64_t failures_ = 0;
  std::uint64_t slow_ = 0;
};

class last_span final : public outcome_window {
 public:
  last_span(duration span, int buckets) : buckets_(span, buckets), span_(span) {
    roll_next_at(buckets_.end());
  }

 private:
  void clear(time_point now) noexcept override {
    buckets_.restart(now);
    roll_next_at(buckets_.end());
  }
  void advance(time_point now) noexcept override {
    buckets_.roll(now);
    roll_next_at(buckets_.end());
  }
  void add(std::uint64_t successes) noexcept override { buckets_.current().calls += successes; }

  void append(logged_result result) noexcept override {
    window_counts& bucket = buckets_.current();
    ++bucket.calls;
    bucket.failures += result.failed ? 1U : 0U;
    bucket.slow += result.slow ? 1U : 0U;
  }

  [[nodiscard]] window_counts sum() const noexcept override {
    window_counts all;
    for (const window_counts& bucket : buckets_.all()) {
      all.calls += bucket.calls;
      all.failures += bucket.failures;
      all.slow += bucket.slow;
    }
    return all;
  }

  [[nodiscard]] recent_results recent_now() const noexcept override { return {sum().calls, span_}; }

  sliding_buckets<window_counts> buckets_;
  duration span_;
};

}  // namespace

std::unique_ptr<outcome_window> make_window(const std::variant<count_window, time_window>& shape) {
  if (const auto* span = std::get_if<time_window>(&shape))
    return std::make_unique<last_span>(span->span, span->buckets);
  const auto& count = std::get<count_window>(shape);
  return std::make_unique<last_calls>(count.calls, count.max_age);
}

}  // namespace hawser::inline v0::detail
