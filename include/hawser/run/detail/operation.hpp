// The seam between the templates users instantiate and the compiled engine. Not for users.
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/observe/observer.hpp"
#include "hawser/policy/policy.hpp"
#include "hawser/run/detail/judge.hpp"
#include "hawser/run/environment.hpp"
#include "hawser/run/report.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hawser::inline v0 {

class redactor;

/// What one call may say about itself. An aggregate for blocking calls and set-up code; inside a
/// `co_await` expression name it first (g++ 12 corrupts aggregates born there).
struct call_options {
  /// What doing it twice would do; else what `pipeline_builder::calls_are` said. Where nobody said,
  /// a call is repeated only when nothing of it can have happened, as with `effect::unsafe`; it
  /// still ends with its own error. An `http::client` takes the stricter of this and what the
  /// request says.
  std::optional<hawser::effect> effect{};
  /// How many of a rate limiter's tokens it takes; 0: none, and it needs none.
  std::uint32_t cost = 1;
  /// Higher is served first where calls queue.
  int priority = 0;
  /// A limit on the whole call, besides the pipeline's own.
  std::optional<duration> within{};
  /// Cancels the call.
  std::stop_token stop{};
  /// Filled with the call's story.
  call_report* report = nullptr;
  /// What the call is about (a tenant, an operation, a route): policies made with `keyed` keep one
  /// state for each. An `http::client` takes the route when nothing is said here. Must live as long
  /// as the call; compared whole.
  std::string_view key{};
  /// Names the operation in events, reports and logs.
  std::string_view name{};
  /// Appears in events, reports and logs.
  std::string_view correlation{};
};

namespace detail {

/// What an attempt is told at its start.
struct attempt_start {
  int number = 0;
  time_point now{};
  time_point deadline = never;
  const std::stop_token* caller = nullptr;  ///< The caller's; lives as long as the call.
};

/// How a call ended.
struct ending {
  origin from = origin::operation;
  bool ok = true;
  /// It is the operation's own, and no failure: somebody's local policy refused inside it.
  bool refused_inside = false;
  evidence delivery = evidence::answered;
  /// Of a failure; its detail is the policy's cause, or why there was no further attempt.
  hawser::error why;
};

/// The thing a call does. The engine alone calls it, one call at a time.
class HAWSER_API operation {
 public:
  operation() = default;
  operation(const operation&) = delete;
  operation& operator=(const operation&) = delete;

  /// Starts an attempt. `o` arrives as a success. True: it has ended and `o` says how. False:
  /// `call_control::attempt_done` will be called, exactly once.
  virtual bool start(const attempt_start& about, outcome& o) = 0;
  /// Asks the running attempt to stop; it still ends by itself. `finally`: its time is over, so a
  /// milder kind of cancellation that the caller chose is no longer enough.
  virtual void cancel(bool finally) noexcept = 0;
  /// Takes a value of the call's type from `source`.
  virtual bool substitute(substitute_source& source, const outcome& failed) = 0;

 protected:
  ~operation() = default;
};

/// The engine's side of an asynchronous call. Reference counted. What the completion handler throws
/// comes out of `attempt_done` and `resume`, for the executor's run function to see.
class HAWSER_API call_control {
 public:
  /// The attempt has ended. On the operation's executor.
  virtual void attempt_done(const outcome& o) = 0;
  /// The caller wants no more. Any thread.
  virtual void cancel() noexcept = 0;
  /// Handles what has come in. On the operation's executor, once for each `resume_later`.
  virtual void resume() = 0;
  virtual void add_ref() noexcept = 0;
  virtual void release() noexcept = 0;

 protected:
  ~call_control() = default;
};

/// Owns a reference to a call.
class call_ref {
 public:
  call_ref() = default;
  explicit call_ref(call_control* call) noexcept : call_(call) {
    if (call_ != nullptr) call_->add_ref();
  }
  /// Takes over a reference that the caller holds.
  [[nodiscard]] static call_ref adopt(call_control* call) noexcept {
    call_ref r;
    r.call_ = call;
    return r;
  }
  call_ref(const call_ref& other) noexcept : call_ref(other.call_) {}
  call_ref(call_ref&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
  call_ref& operator=(call_ref other) noexcept {
    std::swap(call_, other.call_);
    return *this;
  }
  ~call_ref() {
    if (call_ != nullptr) call_->release();
  }
  call_control* operator->() const noexcept { return call_; }
  [[nodiscard]] call_control* get() const noexcept { return call_; }

 private:
  call_control* call_ = nullptr;
};

/// Memory for a call, which the thread keeps for its next one when it is given back.
[[nodiscard]] HAWSER_API void* take_call_memory(std::size_t size);
HAWSER_API void give_call_memory(void* memory, std::size_t size) noexcept;

/// Classes of which every call makes one.
class call_allocated {
 public:
  static void* operator new(std::size_t size) { return take_call_memory(size); }
  static void operator delete(void* p, std::size_t size) noexcept { give_call_memory(p, size); }
  static void* operator new(std::size_t size, std::align_val_t alignment) {
    return ::operator new(size, alignment);
  }
  static void operator delete(void* p, std::size_t /*size*/, std::align_val_t alignment) noexcept {
    ::operator delete(p, alignment);
  }

 protected:
  call_allocated() = default;
  ~call_allocated() = default;
};

class HAWSER_API async_operation : public operation, public call_allocated {
 public:
  virtual ~async_operation() = default;
  /// Tells whose operation this is, before the first `start`, on the initiating thread.
  virtual void attach(call_control* call) { control_ = call; }
  /// Arranges that `call->resume()` runs soon on the operation's executor, never on this stack.
  virtual void resume_later(call_ref call) noexcept = 0;
  /// Delivers. Exactly once, the last thing. `initiating`: still on the initiating function's
  /// stack, so the handler must be posted. Afterwards the operation is destroyed.
  virtual void complete(ending&& how, bool initiating) = 0;

 protected:
  [[nodiscard]] call_control* control() const noexcept { return control_; }

 private:
  call_control* control_ = nullptr;
};

/// A policy's place in a pipeline.
struct plan_level {
  std::shared_ptr<policy> what;
  std::size_t offset = 0;
  bool trivial = false;
  bool repeatable = false;  ///< A retry stands around it.
  success_needs needs = success_needs::all;
  int heard = -1;  ///< The nearest level around this one that hears of a plain success, -1 if none.
  duration limit{};  ///< `policy::plain_limit`, where it spares the stage; zero elsewhere.

  /// Whether a plain success passes it by.
  [[nodiscard]] bool hears_nothing() const noexcept {
    return trivial && needs == success_needs::nothing;
  }
};

/// A built pipeline. Immutable and shared.
struct plan {
  std::string name;
  environment env;
  std::vector<plan_level> levels;
  std::vector<std::shared_ptr<observer>> observers;
  std::size_t scratch = 0;
  unsigned amplification = 1;
  int heard = -1;  ///< The innermost level that hears of a plain success, -1 if none.
  std::shared_ptr<const redactor> masks{};  ///< For the texts that leave a call; may be null.
  std::optional<effect> calls{};            ///< What `pipeline_builder::calls_are` said.
  std::vector<std::shared_ptr<const judge>> judges{};  ///< Of `pipeline_builder::classify`.
  std::uint32_t made_in = 0;  ///< The process that built it: see core/process.hpp.
};

/// Runs a call whose attempts all end inline, on this thread.
HAWSER_API void run_blocking(const plan& how, operation& what, const call_options& options,
                             ending& end);

/// Starts an asynchronous call; `what->complete` ends it.
HAWSER_API void start_async(std::shared_ptr<const plan> how, std::unique_ptr<async_operation> what,
                            const call_options& options);

}  // namespace detail

}  // namespace hawser::inline v0
