// Threads for what may block for long and cannot be broken off, as looking up a name can.
//
//   env.source().side_threads().run(job);     // job->run(), soon, on a thread of its own
//
// Nobody waits for them: an environment may go, and the process end, while one is still blocked.
#pragma once

#include "hawser/core/export.hpp"

#include <memory>

namespace hawser::inline v0::detail {

class side_job {
 public:
  side_job() = default;
  side_job(const side_job&) = delete;
  side_job& operator=(const side_job&) = delete;
  virtual ~side_job() = default;
  virtual void run() noexcept = 0;
};

/// At most `most` threads, which end when there is nothing to do. Thread-safe.
class HAWSER_API side_threads {
 public:
  static constexpr int most = 4;

  side_threads();
  side_threads(const side_threads&) = delete;
  side_threads& operator=(const side_threads&) = delete;
  /// What has not begun is dropped.
  ~side_threads();

  /// Throws std::system_error when there is no thread to be had, std::bad_alloc likewise; then the
  /// job does not run.
  void run(std::shared_ptr<side_job> job);

 private:
  struct shared;
  std::shared_ptr<shared> shared_;  // the threads' too
};

}  // namespace hawser::inline v0::detail
