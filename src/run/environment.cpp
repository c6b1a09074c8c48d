#include "hawser/run/environment.hpp"

#include "hawser/core/error.hpp"
#include "hawser/run/detail/operation_memory.hpp"

#include "run/brief_clients.hpp"
#include "run/process_end.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <new>
#include <thread>
#include <utility>
#include <vector>

namespace hawser::inline v0 {

namespace asio = boost::asio;

time_source::time_source(asio::any_io_executor executor, std::unique_ptr<entropy> random)
    : executor_(std::make_unique<const asio::any_io_executor>(std::move(executor))),
      random_(std::move(random)),
      brief_clients_(std::make_unique<detail::brief_clients>()) {
  if (!*executor_)
    throw config_error("environment.executor", "empty",
                       "give an executor, such as an io_context's");
  if (random_ == nullptr)
    throw config_error("environment.random", "null", "give a source of randomness");
}

time_source::~time_source() = default;

bool time_source::skip_to(time_point /*until*/) { return false; }

bool time_source::run_one() { return false; }

namespace {

// While timers are armed the driver looks at least this often whether they still are. It bounds how
// long a disarmed timer keeps io_context::run() from returning, and spares a cancellation of the
// executor's timer, the dearest part, on every call.
constexpr auto tick_length = std::chrono::milliseconds(50);

/// One Asio timer that drives the queue. Destroyed with its owner; pending waits hold no reference.
class driver : public std::enable_shared_from_this<driver> {
 public:
  driver(const asio::any_io_executor& executor, time_source& source)
      : source_(&source), timer_(executor) {}

  /// The owner goes away: no wait touches it any more. Waits for a firing on another thread.
  void detach() {
    std::unique_lock lock(mutex_);
    source_ = nullptr;
    timer_.cancel();
    fired_.wait(lock, [this] { return !firing_ || firing_thread_ == std::this_thread::get_id(); });
  }

  void reschedule() {
    const std::lock_guard lock(mutex_);
    if (source_ == nullptr || firing_) return;  // who fires looks at the queue again at its end
    const time_point next = source_->timers().next();
    if (next == never || (waiting_ && armed_for_ <= next)) return;
    wait_locked(next);
  }

 private:
  /// A pending wait. Destroyed without having run means that the executor's context is going down:
  /// then everything that waits for time is let go.
  class wait {
   public:
    using allocator_type = detail::operation_allocator<void>;

    wait(std::shared_ptr<detail::operation_memory> memory, std::weak_ptr<driver> who,
         std::uint64_t turn)
        : memory_(std::move(memory)), who_(std::move(who)), turn_(turn) {}
    wait(wait&& other) noexcept
        : memory_(std::move(other.memory_)),
          who_(std::move(other.who_)),
          turn_(other.turn_),
          live_(std::exchange(other.live_, false)) {}
    wait(const wait&) = delete;
    wait& operator=(const wait&) = delete;
    wait& operator=(wait&&) = delete;
    ~wait() {
      if (!live_) return;
      if (const auto d = who_.lock(); d && !d->starting_.load()) d->abandon();
    }
    [[nodiscard]] allocator_type get_allocator() const noexcept { return allocator_type(*memory_); }
    void operator()(const boost::system::error_code& ec) {
      live_ = false;
      const auto d = who_.lock();
      if (!d) return;
      if (ec)
        d->look_again();
      else
        d->fire(turn_);
    }

   private:
    std::shared_ptr<detail::operation_memory> memory_;  // may outlive the driver
    std::weak_ptr<driver> who_;
    std::uint64_t turn_;
    bool live_ = true;
  };

  void wait_locked(time_point next) {
    const time_point latest = later(source_->now(), tick_length);
    armed_for_ = std::min(next, latest);
    timer_.expires_at(std::chrono::steady_clock::time_point(
        std::chrono::duration_cast<std::chrono::steady_clock::duration>(
            armed_for_.time_since_epoch())));
    starting_.store(true);
    try {
      timer_.async_wait(wait(memory_, weak_from_this(), ++turn_));
      waiting_ = true;
    } catch (const std::bad_alloc&) {
      // An earlier wait has our memory; it was cancelled just now, and looks again when it ends.
      waiting_ = false;
    }
    starting_.store(false);
  }

  void look_again() {
    const std::lock_guard lock(mutex_);
    if (source_ == nullptr || firing_ || waiting_ || !source_->timers().any_armed()) return;
    wait_locked(source_->timers().next());
  }

  void fire(std::uint64_t turn) {
    std::unique_lock lock(mutex_);
    if (source_ == nullptr || firing_ || (waiting_ && turn != turn_)) return;
    firing_ = true;
    firing_thread_ = std::this_thread::get_id();
    waiting_ = false;
    while (fire_due(lock) && source_->timers().any_armed()) {
      const time_point next = source_->timers().next();
      if (next == never) break;
      if (next <= source_->now()) continue;
      wait_locked(next);
      break;
    }
    firing_ = false;
    fired_.notify_all();
  }

  /// Expires what is due, without the lock. False when the owner went away meanwhile.
  bool fire_due(std::unique_lock<std::mutex>& lock) {
    bool fired = true;
    while (fired && source_ != nullptr) {
      time_source* const source = source_;
      lock.unlock();
      fired = source->timers().fire_one(source->now());
      lock.lock();
    }
    return source_ != nullptr;
  }

  void abandon() {
    time_source* source = nullptr;
    {
      const std::lock_guard lock(mutex_);
      source = std::exchange(source_, nullptr);
    }
    if (source != nullptr) source->timers().abandon();
  }

  std::mutex mutex_;
  time_source* source_;
  asio::steady_timer timer_;
  std::shared_ptr<detail::operation_memory> memory_ = std::make_shared<detail::operation_memory>();
  time_point armed_for_ = never;
  std::uint64_t turn_ = 0;
  bool waiting_ = false;
  std::atomic<bool> starting_{false};  // a wait; one that dies meanwhile died for want of memory
  bool firing_ = false;
  std::thread::id firing_thread_;
  std::condition_variable fired_;
};

class real_time : public time_source {
 public:
  explicit real_time(asio::any_io_executor executor)
      : time_source(executor, std::make_unique<system_entropy>()),
        driver_(std::make_shared<driver>(executor, *this)) {}
  ~real_time() override { stop_timers(); }

  time_point now() const noexcept override {
    return time_point(std::chrono::steady_clock::now().time_since_epoch());
  }
  void reschedule() override {
    if (driver_) driver_->reschedule();
  }
  bool runs_here() const noexcept override {
    const auto* io = executor().target<asio::io_context::executor_type>();
    return io != nullptr && io->running_in_this_thread();
  }

 protected:
  void stop_timers() {
    if (const auto d = std::exchange(driver_, nullptr)) d->detach();
  }

 private:
  std::shared_ptr<driver> driver_;
};

/// The thread of `environment{}`. The context lives as long as the thread and the source both.
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

/// The threads of all environments, for the end of the process: what a thread still does then (the
/// last handle may go there) must not meet destroyed globals, OpenSSL's among them. Never destroyed
/// itself: environments may be globals, too.
class own_threads {
 public:
  static own_threads& instance() {
    static auto& all = *new own_threads;
    return all;
  }

  void started(const std::shared_ptr<own_context>& context, std::shared_ptr<moment> end) {
    const std::lock_guard lock(mutex_);
    forget_ended_locked();
    threads_.push_back({std::weak_ptr<own_context>(context), std::move(end), {}});
  }
  /// It outlives its environment.
  void left_alone(std::thread thread, const std::shared_ptr<moment>& end) noexcept {
    {
      const std::lock_guard lock(mutex_);
      const auto it = std::find_if(threads_.begin(), threads_.end(),
                                   [&](const entry& e) { return e.end == end; });
      it->thread = std::move(thread);
    }
    detail::wait_for_own_threads_at_exit();
  }
  void joined(const std::shared_ptr<moment>& end) noexcept {
    const std::lock_guard lock(mutex_);
    std::erase_if(threads_, [&](const entry& e) { return e.end == end; });
  }

  /// Not for ever: a handler may hang.
  void wait() noexcept {
    try {
      wait_until(std::chrono::steady_clock::now() + std::chrono::seconds(2));
    } catch (const std::bad_alloc&) {
    }
  }

 private:
  struct entry {
    std::weak_ptr<own_context> context;
    std::shared_ptr<moment> end;
    std::thread thread;  // once it was left alone
  };

  own_threads() { detail::wait_for_own_threads_at_exit(); }

  void wait_until(std::chrono::steady_clock::time_point until) {
    std::vector<std::shared_ptr<moment>> pauses;
    {
      const std::lock_guard lock(mutex_);
      for (const entry& e : threads_) pauses.push_back(pause_of(e));
    }
    for (const auto& pause : pauses) (void)pause->comes_before(until);
    const std::lock_guard lock(mutex_);
    for (const entry& e : threads_)
      if (e.thread.joinable()) (void)e.end->comes_before(until);
    forget_ended_locked();
  }

  /// When the thread has done what it is at; at once where it is the one that asks.
  static std::shared_ptr<moment> pause_of(const entry& e) {
    const auto context = e.context.lock();
    if (context == nullptr || context->io.stopped()) return e.end;
    auto pause = std::make_shared<moment>();
    if (context->io.get_executor().running_in_this_thread())
      pause->come();
    else
      asio::post(context->io, [pause] { pause->come(); });
    return pause;
  }
  void forget_ended_locked() {
    std::erase_if(threads_, [](entry& e) {
      if (!e.end->comes_before({})) return false;
      if (e.thread.joinable()) e.thread.join();
      return true;
    });
  }

  std::mutex mutex_;
  std::vector<entry> threads_;
};

class own_thread final : public real_time {
 public:
  explicit own_thread(const std::shared_ptr<own_context>& context)
      : real_time(context->io.get_executor()), context_(context) {
    own_threads::instance().started(context, end_);
    thread_ = std::thread([kept = context, end = end_]() mutable {
      kept->io.run();
      kept.reset();  // with the handlers that did not run
      end->come();
    });
  }

  ~own_thread() override {
    context_->work.reset();
    context_->io.stop();
    // The last handle may go in a handler on the thread itself; then the thread outlives us.
    if (thread_.get_id() == std::this_thread::get_id()) {
      own_threads::instance().left_alone(std::move(thread_), end_);
    } else {
      thread_.join();
      own_threads::instance().joined(end_);
    }
    stop_timers();  // while the context is still there
  }

 private:
  std::shared_ptr<own_context> context_;
  std::shared_ptr<moment> end_ = std::make_shared<moment>();
  std::thread thread_;
};

}  // namespace

void detail::wait_for_own_threads_at_exit() noexcept {
  std::atexit([] { own_threads::instance().wait(); });
}

environment::environment()
    : source_(std::make_shared<own_thread>(std::make_shared<own_context>())) {}

environment::environment(asio::any_io_executor executor)
    : source_(std::make_shared<real_time>(std::move(executor))) {}

environment::environment(std::shared_ptr<time_source> source) : source_(std::move(source)) {
  if (source_ == nullptr) throw config_error("environment.source", "null", "give a time source");
}

}  // namespace hawser::inline v0
