// An environment: the executor, the clock, the timers and the randomness that calls run on.
//
//   hawser::environment env{io.get_executor()};   // yours; run it on as many threads as you like
//   hawser::environment own{};                    // starts one thread, for blocking programs
//
// A cheap handle: copies share one environment. This header spares blocking programs Asio: whoever
// makes an environment on an executor includes <boost/asio/any_io_executor.hpp>, or has it from
// run/async.hpp, from http/client.hpp, or with any of Asio's I/O objects.
#pragma once

#include "hawser/core/entropy.hpp"
#include "hawser/core/export.hpp"
#include "hawser/core/time.hpp"
#include "hawser/run/detail/executor_fwd.hpp"
#include "hawser/run/timer.hpp"

#include <memory>

namespace hawser::inline v0 {

namespace detail {
class end_listener;
class shared_parts;
}  // namespace detail

/// What stands behind an environment: the real clock, or a test's.
class HAWSER_API time_source {
 public:
  /// `executor` runs the timers. Throws `config_error` for an empty one, and where `random` is
  /// null. Include <boost/asio/any_io_executor.hpp>.
  time_source(boost::asio::any_io_executor executor, std::unique_ptr<entropy> random);
  time_source(const time_source&) = delete;
  time_source& operator=(const time_source&) = delete;
  virtual ~time_source();

  /// The moment, never going back. Thread-safe.
  [[nodiscard]] virtual time_point now() const noexcept = 0;
  /// Called when the queue's earliest time changed, or when its first node was armed. Must not
  /// throw.
  virtual void reschedule() = 0;
  /// For blocking calls: on virtual time, moves time forward to `until` and returns true; on real
  /// time returns false, and the caller waits.
  virtual bool skip_to(time_point until);
  /// For blocking calls over asynchronous parts: on virtual time, runs the next handler or timer
  /// and returns true, false when there is none; on real time returns false, and the caller waits.
  virtual bool run_one();
  /// Whether the calling thread is one that runs the executor, as far as can be known.
  [[nodiscard]] virtual bool runs_here() const noexcept = 0;

  // For parts of the library; the defaults do nothing.

  /// Whether the executor runs whatever waits on it or does not: then timers that nobody waits for
  /// hold up nobody.
  [[nodiscard]] virtual bool runs_by_itself() const noexcept;
  /// `who` is told when nothing more will run on the executor, as the process ends: at once when
  /// that is so. Thread-safe.
  virtual void hear_of_end(detail::end_listener& who);
  /// It is told no more. Thread-safe.
  virtual void forget(detail::end_listener& who) noexcept;
  /// Begins anew in a child of fork() what the parent has kept, its thread.
  virtual void begin_anew_after_fork() noexcept;

  /// The timers that this clock drives. Thread-safe.
  [[nodiscard]] timer_queue& timers() noexcept { return timers_; }
  /// Where timers and handlers run.
  [[nodiscard]] const boost::asio::any_io_executor& executor() const noexcept { return *executor_; }
  /// Thread-safe; lives as long as this object.
  [[nodiscard]] entropy& random() const noexcept { return *random_; }
  /// For parts of the library. Thread-safe.
  [[nodiscard]] detail::shared_parts& shared_parts() noexcept { return *shared_parts_; }

 protected:
  /// In a child of fork(): begins without timers. The parent's, which its other threads may have
  /// locked, are kept for ever. Throws std::bad_alloc.
  void forsake_timers();
  /// The same with the shared parts.
  void forsake_parts();

 private:
  std::unique_ptr<const boost::asio::any_io_executor> executor_;
  std::unique_ptr<entropy> random_;
  std::unique_ptr<detail::shared_parts> shared_parts_;
  timer_queue timers_;
};

/// Thread-safe. The executor's context must outlive every environment, pipeline and client made on
/// it, as with any Asio object. Processes: see docs/guide/threads.md on exit() and fork().
class HAWSER_API environment {
 public:
  /// Starts a thread of its own, on which the process's signals are blocked. Destroying the last
  /// copy (pipelines, clients and running calls hold copies) stops and joins it; in a handler on
  /// the thread itself, it ends soon afterwards. An exception that leaves a handler on this thread
  /// ends the process by std::terminate, as nobody could catch it. Throws std::system_error when
  /// the thread cannot be started.
  environment();
  /// Runs on `executor`: an io_context's, a strand, a thread pool's. Starts no thread. Throws
  /// `config_error` for an empty one. Include <boost/asio/any_io_executor.hpp>.
  explicit environment(boost::asio::any_io_executor executor);
  /// For time sources of one's own; see testing/manual_environment.hpp. Throws `config_error` for
  /// none.
  explicit environment(std::shared_ptr<time_source> source);

  /// Where timers run, and handlers without an executor of their own.
  [[nodiscard]] const boost::asio::any_io_executor& executor() const& noexcept;
  /// A temporary may be the last copy, with which its thread goes: give it a name.
  const boost::asio::any_io_executor& executor() && = delete;
  /// The moment on this environment's time line. Thread-safe.
  [[nodiscard]] time_point now() const noexcept { return source_->now(); }
  /// The environment's randomness. Thread-safe; lives as long as the environment.
  [[nodiscard]] entropy& random() const noexcept { return source_->random(); }
  /// Whether the calling thread is one that runs the executor, as far as can be known.
  [[nodiscard]] bool runs_here() const noexcept { return source_->runs_here(); }

  /// Calls `node.expired()` when `due` comes; a node that is armed already gets the new time.
  void arm(timer_node& node, time_point due) const noexcept {
    if (source_->timers().arm(node, due)) source_->reschedule();
  }
  /// The node will not expire (but see `timer_node::expired`). It may stay queued.
  void disarm(timer_node& node) const noexcept { source_->timers().disarm(node); }
  /// Disarms, and drops the queue's reference to the node.
  void remove(timer_node& node) const noexcept { source_->timers().remove(node); }

  /// What stands behind it; for parts of the library.
  [[nodiscard]] time_source& source() const noexcept { return *source_; }

 private:
  std::shared_ptr<time_source> source_;
};

}  // namespace hawser::inline v0
