#include "run/side_threads.hpp"

#include "run/quiet_thread.hpp"

#include <deque>
#include <mutex>
#include <utility>

namespace hawser::inline v0::detail {

struct side_threads::shared {
  std::mutex mutex;
  std::deque<std::shared_ptr<side_job>> waiting;
  int threads = 0;

  std::shared_ptr<side_job> next() noexcept {
    const std::lock_guard lock(mutex);
    if (waiting.empty()) {
      --threads;
      return nullptr;
    }
    auto job = std::move(waiting.front());
    waiting.pop_front();
    return job;
  }
};

side_threads::side_threads() : shared_(std::make_shared<shared>()) {}

side_threads::~side_threads() {
  std::deque<std::shared_ptr<side_job>> dropped;
  const std::lock_guard lock(shared_->mutex);
  dropped.swap(shared_->waiting);
}

void side_threads::run(std::shared_ptr<side_job> job) {
  const std::unique_lock lock(shared_->mutex);
  shared_->waiting.push_back(std::move(job));
  if (shared_->threads == most) return;
  ++shared_->threads;
  try {
    quiet_thread("hawser-names", [kept = shared_] {
      while (const auto next = kept->next()) next->run();
    }).detach();
  } catch (...) {
    // Those that run already will come to it, if there are any.
    if (--shared_->threads != 0) return;
    shared_->waiting.pop_back();
    throw;
  }
}

}  // namespace hawser::inline v0::detail
