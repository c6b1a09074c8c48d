#include "run/own_thread.hpp"

#include "core/process.hpp"
#include "run/end_listener.hpp"
#include "run/quiet_thread.hpp"
#include "run/real_time.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <utility>
#include <vector>

namespace hawser::inline v0::detail {

namespace asio = boost::asio;

namespace {

/// The context lives as long as the thread and the source both.
struct own_context {
  asio::io_context io;
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
};

/// Comes once; may be waited for.
class moment {
 public:
  void come() {
    const std::lock_guard lock(mutex_);
    came_ = true;
    changed_.notify_all();
  }
  [[nodiscard]] bool comes_before(std::chrono::steady_clock::time_point until) {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, until, [this] { return came_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool came_ = false;
};

class own_thread;

/// The threads of all environments, for the end of the process: what such a thread still did then
/// would meet destroyed globals. Never destroyed itself: environments may be globals, too. A forked
/// child has one of its own, since the parent's threads, and perhaps its lock, are not there.
class own_threads {
 public:
  // Short of what a person notices, long enough for a handler that waits for nothing.
  static constexpr auto most_patience = std::chrono::milliseconds(100);

  static own_threads& instance() {
    static std::atomic<own_threads*> current{nullptr};
    own_threads* all = current.load();
    while (all == nullptr || all->generation_ != process_generation()) {
      auto mine = std::make_unique<own_threads>();
      mine->before_ = all;
      if (!current.compare_exchange_strong(all, mine.get())) continue;
      all = mine.release();
      std::atexit([] { instance().stop(); });
    }
    return *all;
  }

  void begins(own_thread& source, const std::shared_ptr<own_context>& context,
              std::shared_ptr<moment> end) {
    const std::lock_guard lock(mutex_);
    std::erase_if(threads_,
                  [](const entry& e) { return e.source == nullptr && e.end->comes_before({}); });
    threads_.push_back({&source, context, std::move(end), {}});
  }
  void runs_on(const std::shared_ptr<moment>& end, std::thread::id thread) noexcept {
    const std::lock_guard lock(mutex_);
    for (entry& e : threads_)
      if (e.end == end) e.thread = thread;
  }
  /// Its source goes before it. Then it is waited for before the globals go that are there by now.
  void outlives(const std::shared_ptr<moment>& end) noexcept {
    {
      const std::lock_guard lock(mutex_);
      for (entry& e : threads_)
        if (e.end == end) e.source = nullptr;
    }
    std::atexit([] { instance().wait(); });
  }
  /// Then threads stop where they are, and are not joined.
  [[nodiscard]] bool process_ends() const noexcept { return process_ends_.load(); }
  void is_gone(const std::shared_ptr<moment>& end) noexcept {
    const std::lock_guard lock(mutex_);
    std::erase_if(threads_, [&](const entry& e) { return e.end == end; });
  }

 private:
  struct entry {
    own_thread* source;
    std::weak_ptr<own_context> context;
    std::shared_ptr<moment> end;
    std::thread::id thread;
  };

  /// Stops them all, and lets go who waits for what they would have done.
  void stop() noexcept;
  /// Waits for those that have outlived their sources.
  void wait() noexcept;
  /// Until those that `concern` have ended. Not for ever: a handler may hang.
  template <class Concern>
  void wait_for(Concern concern);

  const std::uint32_t generation_ = process_generation();
  own_threads* before_ = nullptr;  // the parent's, for leak checkers
  std::mutex mutex_;
  std::vector<entry> threads_;
  std::atomic<bool> process_ends_{false};
};

class own_thread final : public real_time {
 public:
  explicit own_thread(const std::shared_ptr<own_context>& context)
      : real_time(context->io.get_executor()), context_(context) {
    start();
  }

  ~own_thread() override {
    if (made_here())
      stop();
    else
      leave_to_parent();
    stop_timers();  // while the context is still there
  }

  bool runs_by_itself() const noexcept override { return true; }
  void hear_of_end(end_listener& who) override {
    {
      const std::lock_guard lock(listeners_mutex_);
      if (!over_) {
        who.next = std::exchange(listeners_, &who);
        return;
      }
    }
    who.over();
  }
  void forget(end_listener& who) noexcept override {
    const std::lock_guard lock(listeners_mutex_);
    for (end_listener** at = &listeners_; *at != nullptr; at = &(*at)->next)
      if (*at == &who) {
        *at = who.next;
        return;
      }
  }
  void tell_of_end() noexcept {
    const std::lock_guard lock(listeners_mutex_);
    over_ = true;
    while (listeners_ != nullptr) std::exchange(listeners_, listeners_->next)->over();
  }

 private:
  void start() {
    auto& all = own_threads::instance();
    all.begins(*this, context_, end_);
    try {
      thread_ = quiet_thread("hawser", [kept = context_, end = end_]() mutable {
        const struct last {  // also where a handler ends the thread
          explicit last(std::shared_ptr<moment> m) noexcept : it(std::move(m)) {}
          ~last() { it->come(); }
          std::shared_ptr<moment> it;
        } told(std::move(end));
        kept->io.run();
        if (own_threads::instance().process_ends()) {
          // What libraries keep for a thread would be freed as it ends, while they clean up.
          told.it->come();
          for (;;) ::pause();
        }
        kept.reset();  // with the handlers that did not run
      });
    } catch (...) {
      all.is_gone(end_);
      throw;
    }
    all.runs_on(end_, thread_.get_id());
  }

  void stop() noexcept {
    context_->work.reset();
    context_->io.stop();
    // The last handle may go in a handler on the thread itself; then the thread outlives us.
    if (thread_.get_id() == std::this_thread::get_id()) {
      own_threads::instance().outlives(end_);
      thread_.detach();
    } else {
      // The process may end meanwhile, and then the thread stays.
      while (!end_->comes_before(std::chrono::steady_clock::now() + own_threads::most_patience))
        if (own_threads::instance().process_ends()) break;
      if (own_threads::instance().process_ends())
        thread_.detach();
      else
        thread_.join();
      own_threads::instance().is_gone(end_);
    }
  }

  /// In a child: the thread is not there, and what it held may be locked.
  void leave_to_parent() noexcept {
    new (&thread_) std::thread;
    keep_for_ever(std::move(context_));
    try {
      forsake_timers();
    } catch (const std::bad_alloc&) {
    }
  }

  /// A new context in the place of the old one, which executors that were handed out stand for, and
  /// a thread.
  bool begin_anew() noexcept override try {
    if (!real_time::begin_anew()) return false;
    new (&thread_) std::thread;
    renew(*context_);
    forsake_timers();
    new (&listeners_mutex_) std::mutex;
    listeners_ = nullptr;
    over_ = false;
    end_ = std::make_shared<moment>();
    drive_anew();
    start();
    return true;
  } catch (const std::exception&) {  // nothing runs on it; the next who comes may try again
    return false;
  }

  std::shared_ptr<own_context> context_;
  std::shared_ptr<moment> end_ = std::make_shared<moment>();
  std::thread thread_;
  std::mutex listeners_mutex_;
  end_listener* listeners_ = nullptr;
  bool over_ = false;
};

template <class Concern>
void own_threads::wait_for(Concern concern) {
  process_ends_.store(true);
  const auto until = std::chrono::steady_clock::now() + most_patience;
  std::vector<entry> all;
  {
    const std::lock_guard lock(mutex_);
    std::copy_if(threads_.begin(), threads_.end(), std::back_inserter(all), concern);
  }
  for (const entry& e : all)
    if (const auto context = e.context.lock()) context->io.stop();
  for (const entry& e : all)
    if (e.thread != std::this_thread::get_id()) (void)e.end->comes_before(until);
}

void own_threads::wait() noexcept {
  try {
    wait_for([](const entry& e) { return e.source == nullptr; });
  } catch (const std::bad_alloc&) {
  }
}

void own_threads::stop() noexcept {
  try {
    wait_for([](const entry&) { return true; });
  } catch (const std::bad_alloc&) {
  }
  const std::lock_guard lock(mutex_);
  for (const entry& e : threads_)
    if (e.source != nullptr) e.source->tell_of_end();
}

}  // namespace

std::shared_ptr<time_source> make_own_thread() {
  return std::make_shared<own_thread>(std::make_shared<own_context>());
}

}  // namespace hawser::inline v0::detail
