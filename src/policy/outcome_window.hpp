// The recent results of a breaker: counted on the hot path, summed when something went wrong.
//
//   auto window = make_window(count_window{.calls = 100});
//   window->restart(tag, now);              // under the owner's lock, as all but the next two
//   if (window->due(now)) ...               // any thread; then roll(now) under the lock
//   bool counted = window->add_success(tag, now);
//   window->log({.failed = true, .slow = false}, took, now);
#pragma once

#include "hawser/core/time.hpp"
#include "hawser/policy/circuit_breaker.hpp"

#include "policy/sharded_counter.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <variant>

namespace hawser::inline v0::detail {

struct window_counts {
  std::uint64_t calls = 0;
  std::uint64_t failures = 0;
  std::uint64_t slow = 0;
  std::uint64_t consecutive = 0;  ///< Failures since the last success, of the window or older.
};

/// How many results came lately: those of the last `span`.
struct recent_results {
  std::uint64_t count = 0;
  duration span{};
};

/// A result that is more than a plain success.
struct logged_result {
  bool failed = false;
  bool slow = false;
};

/// Plain successes are only counted, on the thread's own shard; where they stand among the failures
/// is settled when the next failure collects them. So a success writes no shared word, and the
/// window is nevertheless exact: each failure knows how many results came before it.
class outcome_window {
 public:
  using tag_type = sharded_counter::tag_type;

  outcome_window() = default;
  outcome_window(const outcome_window&) = delete;
  outcome_window& operator=(const outcome_window&) = delete;
  virtual ~outcome_window() = default;

  /// Whether `roll` is wanted before `add_success` at `now`. Any thread.
  [[nodiscard]] bool due(time_point now) const noexcept {
    return now.time_since_epoch().count() >= roll_at_.load(std::memory_order_relaxed);
  }

  /// A plain success. False when the window has been restarted with another tag. Any thread.
  bool add_success(tag_type tag, time_point now) noexcept {
    return successes_.add_at(tag, now.time_since_epoch().count());
  }

  /// An answer that is neither good nor bad: it ends a row of failures, and is not counted. Any
  /// thread.
  void answered(time_point now) noexcept {
    successes_.mark(now.time_since_epoch().count());
    if (!answered_.load(std::memory_order_relaxed))
      answered_.store(true, std::memory_order_release);
  }

  // The rest under the owner's lock.

  /// Forget everything; from now on only `tag` is counted.
  void restart(tag_type tag, time_point now) noexcept {
    successes_.restart(tag);
    answered_.store(false, std::memory_order_relaxed);
    consecutive_ = 0;
    last_answer_ = now;
    clear(now);
  }
  /// Let time pass.
  void roll(time_point now) noexcept {
    collect(now);
    advance(now);
  }
  /// A failure, a slow success, or both, of an attempt that `took` so long.
  void log(logged_result result, duration took, time_point now) noexcept {
    roll(now);
    if (!result.failed) {
      end_row(now);
    } else {
      // What began before the last answer came says nothing of the time after it; unless the clock
      // has gone back since.
      const time_point began = later(now, -std::max(took, duration::zero()));
      if (began >= std::min(last_answer_, now)) {
        row_since_ = consecutive_ == 0 ? began : std::min(row_since_, began);
        ++consecutive_;
      }
    }
    append(result);
  }
  /// How long nothing but failures has come while calls were made: since the first attempt of the
  /// row began, and as much longer as five of the gaps between them: who calls rarely has had a
  /// success due in these. Not since the last answer: in a lull nobody called. Zero without a row.
  [[nodiscard]] duration row_span(time_point now) const noexcept {
    if (consecutive_ == 0) return {};
    const duration span = remaining(now, row_since_);
    if (last_answer_ == time_point::min()) return span;
    const duration since_answer = remaining(now, last_answer_);
    if (consecutive_ == 1) return since_answer;
    const duration gap = span / static_cast<duration::rep>(consecutive_ - 1);
    return gap > (since_answer - span) / 5 ? since_answer : span + 5 * gap;
  }
  /// Whatever the window's size; nothing where it does not look at the time.
  [[nodiscard]] recent_results recent(time_point now) noexcept {
    roll(now);
    return recent_now();
  }
  [[nodiscard]] window_counts counts(time_point now) noexcept {
    roll(now);
    window_counts sums = sum();
    sums.consecutive = consecutive_;
    return sums;
  }

 protected:
  void roll_next_at(time_point when) noexcept {
    roll_at_.store(when.time_since_epoch().count(), std::memory_order_relaxed);
  }

 private:
  /// Something else than a failure came.
  void end_row(time_point now) noexcept {
    consecutive_ = 0;
    last_answer_ = now;
  }
  void collect(time_point now) noexcept {
    const std::uint64_t fresh = successes_.collect();
    const bool answered = answered_.load(std::memory_order_relaxed) &&
                          answered_.exchange(false, std::memory_order_acquire);
    if (fresh == 0 && !answered) return;
    end_row(std::min(now, time_point(duration(successes_.latest()))));
    if (fresh > 0) add(fresh);
  }

  virtual void clear(time_point now) noexcept = 0;
  virtual void advance(time_point now) noexcept = 0;
  virtual void add(std::uint64_t successes) noexcept = 0;
  virtual void append(logged_result result) noexcept = 0;
  [[nodiscard]] virtual window_counts sum() const noexcept = 0;
  [[nodiscard]] virtual recent_results recent_now() const noexcept = 0;

  std::atomic<time_point::rep> roll_at_{never.time_since_epoch().count()};
  sharded_counter successes_;
  std::atomic<bool> answered_{false};  // by `answered`, since it was last looked
  std::uint64_t consecutive_ = 0;
  time_point row_since_{};
  time_point last_answer_ = time_point::min();  // other than a failure; `min` before
};

[[nodiscard]] std::unique_ptr<outcome_window> make_window(
    const std::variant<count_window, time_window>& shape);

}  // namespace hawser::inline v0::detail
