// The only interpreter of steps. It knows no thread, lock or executor: blocking_call and async_call
// feed it events one at a time and carry its waits out.
#pragma once

#include "hawser/core/forced_unwind.hpp"
#include "hawser/run/detail/operation.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

namespace hawser::inline v0::detail {

class engine : public tick {
 public:
  engine(const plan& how, operation& what, const call_options& options)
      : plan_(how),
        operation_(what),
        options_(options),
        levels_(reinterpret_cast<level*>(inline_levels_) + 1),
        scratch_(inline_scratch_) {
    ::new (levels_ + outside) level{nullptr, never, never};
    random_ = &how.env.random();
    result_ = &slot_;
    effect_said_ = options.effect || how.calls;
    effect_ = options.effect ? *options.effect : how.calls.value_or(effect::unsafe);
    cost_ = options.cost;
    priority_ = options.priority;
    key_ = options.key;
    observed_ = options.report != nullptr || !how.observers.empty();
    const std::size_t count = how.levels.size();
    if (count > inline_levels || how.scratch > inline_scratch) make_more_room(count, how.scratch);
  }

  [[nodiscard]] bool finished() const noexcept { return where_ == place::finished; }
  [[nodiscard]] bool operating() const noexcept { return where_ == place::operating; }
  /// The nearest time at which `time_passed` has work to do.
  [[nodiscard]] time_point next_timer() const noexcept { return next_timer_; }
  /// After the end.
  void take_ending(ending& end) {
    end.from = slot_.from;
    end.ok = slot_.ok();
    end.refused_inside = slot_.rejected && slot_.from == origin::operation;
    if (!end.ok) tell_failure(end);
  }

 protected:
  // A call let go in the middle (its executor went down): permits go back all the same.
  ~engine() {
    if (depth_ > 0) leave_all();
  }

  // Events. Each returns when the engine waits again or has finished.
  void begin(time_point now);
  void attempt_ended(const outcome& o, time_point now);
  void time_passed(time_point now);
  void woken_up(time_point now);
  void cancel_call(time_point now);

  bool substitute(substitute_source& source, const outcome& failed) final;
  void deliver(event& what) final;

  [[nodiscard]] const plan& how() const noexcept { return plan_; }

 private:
  enum class place : std::uint8_t { stepping, waiting, parked, operating, finished };
  enum class cancel_cause : std::uint8_t { none, deadline, caller };

  struct level {  // set by `enter`
    stage* what;
    time_point timer;
    time_point deadline;
  };

  // Stands for the caller and the call's own limit: its timer and deadline.
  static constexpr int outside = -1;
  static constexpr std::size_t inline_levels = 8;
  static constexpr std::size_t inline_scratch = 1024;

  [[nodiscard]] bool canceling(int i) const noexcept {
    return cause_ != cancel_cause::none && i > cancel_level_;
  }
  [[nodiscard]] step enter(int i);
  [[nodiscard]] step ask_timer(int i);
  [[nodiscard]] step tell_stage(int i);
  /// Asks a stage; what it throws, or user code that it calls, is the call's failure.
  template <class Ask>
  [[nodiscard, gnu::always_inline]] inline step guarded(Ask ask) {
    try {
      return ask();
    } catch (...) {
      if (unwinding_by_force()) throw;
      return threw();
    }
  }
  [[nodiscard, gnu::noinline]] step threw();
  void perform(int i, step s);
  // What a call under a clear sky has no use for stands in functions of its own, out of line, so
  // that those it does use need few registers and no stack.
  [[gnu::noinline]] void make_more_room(std::size_t levels, std::size_t scratch);
  [[gnu::noinline]] void tell_start();
  [[gnu::noinline]] void tell_end();
  [[gnu::noinline]] void end_without_time();
  [[gnu::noinline]] void end_in_child();
  [[gnu::noinline]] void limits_passed(time_point now);
  [[gnu::noinline]] void failed();
  [[nodiscard]] bool had_fair_time() const noexcept;
  [[gnu::noinline]] void doubt_success();
  [[gnu::noinline]] void conclude_failure();
  /// Whether a second sending could do the work twice, as somebody has said.
  [[nodiscard]] bool may_not_repeat() const noexcept {
    return effect_said_ && (effect_ == effect::unsafe || effect_ == effect::keyed);
  }
  [[gnu::noinline]] void tell_failure(ending& end) const;
  void descend();
  [[gnu::always_inline]] inline void first_attempt();
  [[gnu::always_inline]] inline void ascend();
  [[gnu::always_inline]] inline void pass_success_on();
  [[gnu::noinline]] void pass_on(int i);
  [[gnu::noinline]] void stay(int i, step s);
  void leave(int i);
  [[gnu::noinline]] void leave_all() noexcept;
  bool run_operation(step& s);
  [[gnu::always_inline]] inline bool start_operation();
  void launched(time_point now);
  [[nodiscard]] step finish_level(int i);
  [[nodiscard]] step inner_ended(int i);
  void cancel_inside(int i, cancel_cause why);
  /// Whether the caller's stop token says so, though the news may still be on its way.
  [[nodiscard]] bool caller_left() noexcept {
    return options_.stop.stop_requested() && note_that_caller_left();
  }
  [[gnu::noinline]] bool note_that_caller_left() noexcept;
  [[nodiscard]] outcome cut_off() const noexcept;
  [[nodiscard]] outcome not_of_this_process() const noexcept;
  /// What the attempts so far prove, for an ending that is not their own.
  [[nodiscard]] evidence known_delivery() const noexcept {
    return unresolved_ ? evidence::maybe_applied : delivery_of_last_;
  }
  void set_timer(int i, time_point at) noexcept;
  void find_next_timer() noexcept;
  void conclude();
  void hide_names();
  /// The call's name and id as they may be told.
  [[nodiscard]] std::string_view shown_name() const noexcept {
    return plan_.masks == nullptr ? options_.name : rare_ ? rare_->name : std::string_view();
  }
  [[nodiscard]] std::string_view shown_id() const noexcept {
    return plan_.masks == nullptr ? options_.correlation
           : rare_                ? rare_->correlation
                                  : std::string_view();
  }
  void say(event_kind kind, duration elapsed, const outcome& o);
  void note(const event& what, std::vector<report_entry>& entries) const;
  [[nodiscard]] time_point deadline_around(int i) const noexcept { return levels_[i - 1].deadline; }
  void at_level(int i) noexcept {
    deadline_ = deadline_around(i);
    canceling_ = canceling(i);
    repeatable_ = plan_.levels[static_cast<std::size_t>(i)].repeatable;
  }

  const plan& plan_;
  operation& operation_;
  const call_options& options_;
  level* levels_;
  std::byte* scratch_;
  outcome slot_;
  std::optional<outcome> override_;  // of a stage that finished while something ran inside it
  int depth_ = 0;                    // levels entered
  int cancel_level_ = outside;
  int override_level_ = outside;
  cancel_cause cause_ = cancel_cause::none;
  time_point next_timer_ = never;
  // Apart from the two that `ascend` reads together: a load that spans a store still on its way to
  // the cache waits for it.
  place where_ = place::stepping;
  evidence delivery_of_last_ = evidence::never_sent;  // attempt that has ended
  time_point started_{};
  time_point attempt_started_{};
  // What few calls have, lest the others set it up and clear it away.
  struct rare_parts {
    std::string thrown;
    std::string name;  // this and the next where a redactor of the pipeline's own masks them
    std::string correlation;
    std::unique_ptr<level[]> levels;
    std::unique_ptr<std::byte[]> scratch;
  };
  [[nodiscard]] rare_parts& rare() {
    if (!rare_) rare_ = std::make_unique<rare_parts>();
    return *rare_;
  }
  std::unique_ptr<rare_parts> rare_;
  // Left unset on purpose, as is the scratch.
  alignas(level) std::byte inline_levels_[(inline_levels + 1) * sizeof(level)];
  alignas(std::max_align_t) std::byte inline_scratch_[inline_scratch];
};

}  // namespace hawser::inline v0::detail
