// What a policy is: a state machine without I/O, told the time and what happened, answering steps.
//
//   struct not_before_noon : hawser::stage {
//     hawser::step enter(hawser::tick& t) override {
//       return t.now() < noon ? hawser::step::sleep(noon) : hawser::step::call_inner();
//     }
//     hawser::step timer(hawser::tick&) override { return hawser::step::call_inner(); }
//   };
//
// A policy object is shared by all calls (and may stand in several pipelines); each call gets one
// stage of each policy. The engine alone carries steps out, for blocking calls, for Asio
// operations and on virtual time alike.
#pragma once

#include "hawser/core/effect.hpp"
#include "hawser/core/entropy.hpp"
#include "hawser/core/error.hpp"
#include "hawser/core/export.hpp"
#include "hawser/core/time.hpp"
#include "hawser/observe/event.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>
#include <type_traits>
#include <typeinfo>

namespace hawser::inline v0 {

/// How an attempt ended, in the eyes of policies.
enum class verdict : std::uint8_t {
  ok,
  failed,
  ignored,  ///< Decides nothing: the caller cancelled, a local policy refused, or the classifier
            ///< said so. Gives permits back, moves no statistic.
};

/// Where the result that a call delivers comes from.
enum class origin : std::uint8_t {
  operation,  ///< The last attempt's own result, whatever it was.
  policy,     ///< A policy ended the call: `outcome::error` is what the caller gets.
  fallback,   ///< A fallback's substitute.
};

/// How an attempt, or everything inside a stage, ended.
struct outcome {
  verdict result = verdict::ok;            ///< Success, failure, or neither.
  origin from = origin::operation;         ///< Who made the result.
  evidence delivery = evidence::answered;  ///< What is known of the arrival on the other side.
  bool rejected = false;   ///< Refused locally: by breaker, bulkhead, limiter or pool.
  bool transient = false;  ///< A failure that a later try may mend.
  bool countable = true;   ///< Whether a failure speaks about the dependency's health.
  /// Whether the server refused for a limit of its own, as a 429 says: rate limiters slow down.
  bool throttled = false;
  int status = 0;                          ///< HTTP status, if there was an answer.
  error_code error{};                      ///< Set unless `result` is ok.
  duration elapsed{};                      ///< Time of the operation itself, set by the engine.
  duration server_wait = duration::min();  ///< The server's hint; `duration::min()` without one.
  cause why{};                             ///< Of a policy's own ending.

  /// Whether it ended well.
  [[nodiscard]] bool ok() const noexcept { return result == verdict::ok; }
  /// Whether the server asked for a wait.
  [[nodiscard]] bool has_hint() const noexcept { return server_wait != duration::min(); }
  /// Whether the caller cancelled.
  [[nodiscard]] bool canceled() const noexcept { return error == canceled_error(); }
  /// The operation's own success, about which a server had nothing to say.
  [[nodiscard]] bool plain_success() const noexcept {
    return result == verdict::ok && from == origin::operation && !rejected && !throttled &&
           status < 400 && !has_hint();
  }

  /// A local refusal: void, never sent.
  [[nodiscard]] static outcome refuse(errc code, cause why) noexcept {
    outcome o;
    o.result = verdict::ignored;
    o.from = origin::policy;
    o.delivery = evidence::never_sent;
    o.rejected = true;
    o.error = code;
    o.why = why;
    return o;
  }
};

/// What a stage wants next: five verbs. `tick::finish` makes the fifth, since it takes an outcome.
class step {
 public:
  /// The five verbs.
  enum class verb : std::uint8_t { call_inner, sleep, park, cancel_inner, finish };

  /// Run what is inside this stage; `inner_done` follows.
  [[nodiscard]] static step call_inner() noexcept { return {verb::call_inner, never, false}; }
  /// The same under a deadline: `timer` is called if it comes first, and everything inside is told.
  [[nodiscard]] static step call_inner_until(time_point deadline) noexcept {
    return {verb::call_inner, deadline, true};
  }
  /// Wait; `timer` follows. While something runs inside, merely sets this stage's timer.
  [[nodiscard]] static step sleep(time_point until) noexcept { return {verb::sleep, until, false}; }
  /// Wait until `tick::wake_handle()` is woken (`woken`) or `until` comes (`timer`).
  [[nodiscard]] static step park(time_point until = never) noexcept {
    return {verb::park, until, false};
  }
  /// Cancel what runs inside; `inner_done` follows once it has ended.
  [[nodiscard]] static step cancel_inner() noexcept { return {verb::cancel_inner, never, false}; }

  /// Which of the verbs.
  [[nodiscard]] verb what() const noexcept { return static_cast<verb>(how_ & ~deadline_bit); }
  /// Until when to wait, or the deadline; `never` without one.
  [[nodiscard]] time_point at() const noexcept { return at_; }
  /// Whether `at()` is a deadline for what runs inside.
  [[nodiscard]] bool is_deadline() const noexcept { return (how_ & deadline_bit) != 0; }

 private:
  friend class tick;
  static constexpr unsigned deadline_bit = 0x100;
  step(verb what, time_point at, bool is_deadline) noexcept
      : how_(static_cast<unsigned>(what) | (is_deadline ? deadline_bit : 0)), at_(at) {}

  unsigned how_;  // both in one: a step travels in two registers
  time_point at_;
};

/// Wakes a parked stage. A stage that parks puts `tick::wake_handle()` where others find it and
/// takes it back in `leave()`; both and the waking go under one lock of the policy, so that nothing
/// is woken after it left. A needless wake is harmless: the stage looks and parks again.
class HAWSER_API waker {
 public:
  waker() = default;
  waker(const waker&) = delete;
  waker& operator=(const waker&) = delete;
  /// Never runs the woken call on this stack. Any thread.
  virtual void wake() noexcept = 0;

 protected:
  ~waker() = default;
};

/// Makes values in place of failed calls' own, as a fallback does.
class HAWSER_API substitute_source {
 public:
  substitute_source() = default;
  substitute_source(const substitute_source&) = delete;
  substitute_source& operator=(const substitute_source&) = delete;
  virtual ~substitute_source();
  /// Puts a value of type `wanted` into `into`, a `std::optional<wanted>*` (null for void). False
  /// when there is none.
  virtual bool produce(const std::type_info& wanted, void* into, const outcome& failed) = 0;
};

/// The hash that `tick::key_hash` gives for a key; never 0.
[[nodiscard]] HAWSER_API std::uint64_t key_hash_of(std::string_view key) noexcept;

/// The moment a stage is called at, and what it may know and use.
class HAWSER_API tick {
 public:
  tick() = default;
  tick(const tick&) = delete;
  tick& operator=(const tick&) = delete;

  /// The moment, on the environment's time line; the same for all stages told of one event.
  [[nodiscard]] time_point now() const noexcept { return now_; }
  /// The earliest deadline of the stages around this one; `never` without one.
  [[nodiscard]] time_point deadline() const noexcept { return deadline_; }
  /// Where to draw randomness from; the environment's.
  [[nodiscard]] entropy& random() const noexcept { return *random_; }
  /// Attempts started so far in this call.
  [[nodiscard]] int attempts() const noexcept { return attempts_; }
  /// What a second sending would do; `unsafe` when nobody said.
  [[nodiscard]] effect what() const noexcept { return effect_; }
  /// Whether anybody said so: the call's options, or the pipeline's builder.
  [[nodiscard]] bool effect_said() const noexcept { return effect_said_; }
  /// Whether the request's body can be sent again.
  [[nodiscard]] replay body() const noexcept { return body_; }
  /// How much of a limiter's tokens this call takes.
  [[nodiscard]] std::uint32_t cost() const noexcept { return cost_; }
  /// The call's priority: higher is served first. 0 by default.
  [[nodiscard]] int priority() const noexcept { return priority_; }
  /// Whether this stage is being cancelled from outside: whatever it answers, it will leave, so it
  /// should start nothing and charge nobody. An answer of `finish` is kept.
  [[nodiscard]] bool canceling() const noexcept { return canceling_; }
  /// Whether a retry stands around this stage: what ends here is an attempt, even where it may make
  /// only one.
  [[nodiscard]] bool repeatable() const noexcept { return repeatable_; }
  /// Whether some attempt of this call may have been applied, and none since said otherwise.
  [[nodiscard]] bool unresolved() const noexcept { return unresolved_; }
  /// What the call is about, as the caller said (`call_options::key`; for HTTP the route when
  /// nobody said): policies that keep one state a key look here. Empty without one. Lives as long
  /// as the call.
  [[nodiscard]] std::string_view key() const noexcept { return key_; }
  /// A hash of `key()`, made when it is first asked for. Another process may have another.
  [[nodiscard]] std::uint64_t key_hash() noexcept {
    if (key_hash_ == 0) key_hash_ = key_hash_of(key_);
    return key_hash_;
  }

  /// Wakes this stage when it is parked.
  [[nodiscard]] virtual waker& wake_handle() noexcept = 0;

  /// From now on all stages of this call hear of its success too, whatever their policies need of
  /// one (`success_needs`): for the rare call whose success decides something.
  void hear_success() noexcept { hears_success_ = true; }

  /// Leave with this outcome.
  [[nodiscard]] step finish(const outcome& with) noexcept {
    if (&with != result_) {
      *result_ = with;
      result_is_new_ = false;
      result_passed_on_ = false;
    }
    return {step::verb::finish, never, false};
  }

  /// Tell observers and the report; `pipeline`, `operation`, `attempt` and `at` are filled in.
  /// Never call it under a lock.
  void emit(event what) {
    if (observed_) deliver(what);
  }
  /// Whether anybody listens: lets a stage skip building an event.
  [[nodiscard]] bool observed() const noexcept { return observed_; }

  /// Ask the call to take its value from `source`. False when it has none of the call's type.
  [[nodiscard]] virtual bool substitute(substitute_source& source, const outcome& failed) = 0;

 protected:
  ~tick() = default;
  /// Hands an event to the observers and the report, filled in.
  virtual void deliver(event& what) = 0;

  time_point now_{};             ///< What `now()` gives, and so on below: the engine writes them.
  time_point deadline_ = never;  ///< See `deadline()`.
  entropy* random_ = nullptr;    ///< See `random()`.
  outcome* result_ = nullptr;    ///< Where the engine keeps the outcome on its way out.
  int attempts_ = 0;             ///< See `attempts()`.
  int priority_ = 0;             ///< See `priority()`.
  std::uint32_t cost_ = 1;       ///< See `cost()`.
  effect effect_ = effect::idempotent;  ///< See `what()`.
  bool effect_said_ = true;             ///< See `effect_said()`.
  replay body_ = replay::replayable;    ///< See `body()`.
  bool observed_ = false;               ///< See `observed()`.
  bool canceling_ = false;              ///< See `canceling()`.
  bool result_is_new_ = true;           ///< Nothing was written to the outcome yet.
  bool result_passed_on_ = false;       ///< No stage has replaced the outcome on its way out.
  bool repeatable_ = false;             ///< See `repeatable()`.
  bool unresolved_ = false;             ///< See `unresolved()`.
  bool hears_success_ = false;          ///< See `hear_success()`.
  std::string_view key_{};              ///< See `key()`.
  std::uint64_t key_hash_ = 0;          ///< See `key_hash()`; 0 while nobody asked.
};

/// One policy's part in one call. Never used by two threads at once.
class HAWSER_API stage {
 public:
  stage() = default;
  stage(const stage&) = delete;
  stage& operator=(const stage&) = delete;

  /// The call arrives.
  virtual step enter(tick& t) = 0;
  /// What was inside has ended. `child` is 0 for stages that run one at a time.
  virtual step inner_done(int child, const outcome& o, tick& t);
  /// The time asked for has come.
  virtual step timer(tick& t);
  /// Somebody woke this parked stage.
  virtual step woken(tick& t);
  /// Cancelled from outside while asleep or parked: how this stage ends. `o` is what the engine
  /// would say (cancelled, never sent); a stage that knows better answers that.
  virtual outcome canceled(const outcome& o, tick& t);
  /// The call leaves, on whatever way, exactly once after `enter` (`success_needs` has the one
  /// exception). Permits go back here.
  virtual void leave() noexcept;
  virtual ~stage();
};

/// What a policy's stages need to hear once what is inside has ended with a plain success
/// (`outcome::plain_success`). Of everything else they always hear everything, and of this too in a
/// call in which one asked for it (`tick::hear_success`); but see `policy::plain_limit`.
enum class success_needs : std::uint8_t {
  all,         ///< `inner_done`, then `leave`.
  inner_done,  ///< `leave` does nothing after `inner_done` was told of it.
  nothing,     ///< And `inner_done` does nothing but pass it on.
};

/// A policy: shared state and a maker of stages. All members are thread-safe.
class HAWSER_API policy {
 public:
  policy() = default;
  policy(const policy&) = delete;
  policy& operator=(const policy&) = delete;
  virtual ~policy();

  /// "retry", "circuit_breaker", ...: bounded, fit for metric labels.
  [[nodiscard]] virtual std::string_view kind() const noexcept = 0;
  /// The name given in its options, else its kind.
  [[nodiscard]] virtual std::string_view name() const noexcept { return kind(); }
  /// Bytes and alignment of its stage.
  [[nodiscard]] virtual std::size_t stage_size() const noexcept = 0;
  /// Its alignment in bytes.
  [[nodiscard]] virtual std::size_t stage_alignment() const noexcept = 0;
  /// Whether stages need no destructor call.
  [[nodiscard]] virtual bool stage_is_trivial() const noexcept { return false; }
  /// What its stages need to hear of a plain success; the engine spares the rest. Asked once, when
  /// a pipeline is built.
  [[nodiscard]] virtual success_needs needs_of_success() const noexcept {
    return success_needs::all;
  }
  /// A time limit, when a stage does nothing but set it on entering, and nothing on hearing of any
  /// outcome before it has passed; else zero. Then the engine keeps the limit itself and makes and
  /// enters the stage right before its `timer`: one whose time does not come hears of nothing.
  /// Asked once, when a pipeline is built, and only of policies whose stages are trivial and need
  /// to hear nothing of a success.
  [[nodiscard]] virtual duration plain_limit() const noexcept { return duration::zero(); }
  /// Builds a stage in `memory`, which is large and aligned enough. Lives no longer than the call.
  [[nodiscard]] virtual stage* make_stage(void* memory) = 0;
  /// Builds a stage and enters it: what the engine calls. `made` is set before `enter` runs, which
  /// may throw. A policy that knows its stage's type does both in one call: `make_and_enter`.
  virtual step begin(void* memory, tick& t, stage*& made);
  /// At most how many times what is inside is called for one call from outside.
  [[nodiscard]] virtual unsigned amplification() const noexcept { return 1; }
  /// Whether what is inside is an attempt to it, of which it may make several. A retry's is one
  /// even where its options allow just one.
  [[nodiscard]] virtual bool makes_attempts() const noexcept { return amplification() > 1; }

 protected:
  /// `begin` for a stage of a final class, whose `enter` is then called directly.
  template <class Stage, class Shared>
  static step make_and_enter(void* memory, Shared& shared, tick& t, stage*& made) {
    auto* const built = ::new (memory) Stage(shared);
    made = built;
    return built->enter(t);
  }
};

/// Spares policies the four members about stages: `class my_policy : policy_with<my_policy,
/// my_stage>` where `my_stage` is constructible from `my_policy&` and destroyed without effect.
template <class Derived, class Stage>
class policy_with : public policy {
 public:
  [[nodiscard]] std::size_t stage_size() const noexcept final { return sizeof(Stage); }
  [[nodiscard]] std::size_t stage_alignment() const noexcept final { return alignof(Stage); }
  [[nodiscard]] bool stage_is_trivial() const noexcept final { return true; }
  [[nodiscard]] stage* make_stage(void* memory) final {
    return ::new (memory) Stage(static_cast<Derived&>(*this));
  }
  step begin(void* memory, tick& t, stage*& made) final {
    return make_and_enter<Stage>(memory, static_cast<Derived&>(*this), t, made);
  }
};

}  // namespace hawser::inline v0
