#include "hawser/run/environment.hpp"

#include "hawser/core/error.hpp"
#include "hawser/run/detail/operation_memory.hpp"

#include "core/process.hpp"
#include "run/own_thread.hpp"
#include "run/real_time.hpp"
#include "run/shared_parts.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

namespace hawser::inline v0 {

namespace asio = boost::asio;

time_source::time_source(asio::any_io_executor executor, std::unique_ptr<entropy> random)
    : executor_(std::make_unique<const asio::any_io_executor>(std::move(executor))),
      random_(std::move(random)),
      shared_parts_(std::make_unique<detail::shared_parts>()) {
  if (!*executor_)
    throw config_error("environment.executor", "empty",
                       "give an executor, such as an io_context's");
  if (random_ == nullptr)
    throw config_error("environment.random", "null", "give a source of randomness");
}

time_source::~time_source() = default;

bool time_source::skip_to(time_point /*until*/) { return false; }

bool time_source::run_one() { return false; }

bool time_source::runs_by_itself() const noexcept { return false; }

void time_source::hear_of_end(detail::end_listener& /*who*/) {}

void time_source::forget(detail::end_listener& /*who*/) noexcept {}

void time_source::begin_anew_after_fork() noexcept {}

void time_source::forsake_timers() { detail::renew(timers_); }

void time_source::forsake_parts() {
  auto none = std::make_unique<detail::shared_parts>();
  detail::keep_for_ever(std::shared_ptr(std::exchange(shared_parts_, std::move(none))));
}

namespace detail {

// While timers are armed the driver looks at least this often whether they still are. It bounds how
// long a disarmed timer keeps io_context::run() from returning, and spares a cancellation of the
// executor's timer, the dearest part, on every call.
constexpr auto tick_length = std::chrono::milliseconds(50);

// Between tries to begin a wait for which there was no memory.
constexpr auto pause_between_tries = std::chrono::milliseconds(1);

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

  /// The owner goes away in a child of fork(), where the lock may be locked for ever by a thread of
  /// the parent's; then nobody fires either. The context is not touched: its descriptors may be the
  /// parent's, too.
  void forsake() noexcept {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (lock) source_ = nullptr;
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
    // The memory stays with the other one, too: when starting fails, Asio gives it back through the
    // handler that was moved from.
    wait(wait&& other) noexcept
        : memory_(other.memory_),  // NOLINT: a copy, as said
          who_(std::move(other.who_)),
          turn_(other.turn_),
          live_(std::exchange(other.live_, false)) {}
    wait(const wait&) = delete;
    wait& operator=(const wait&) = delete;
    wait& operator=(wait&&) = delete;
    ~wait() {
      if (!live_) return;
      const auto d = who_.lock();
      if (!d || d->starting_.load()) return;
      if (std::uncaught_exceptions() > unwinding_)
        d->wait_lost();
      else
        d->abandon();
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
    int unwinding_ = std::uncaught_exceptions();
  };

  /// Comes in a later turn of the executor, when there may be memory again.
  class another_try {
   public:
    using allocator_type = detail::operation_allocator<void>;

    another_try(std::shared_ptr<detail::operation_memory> memory, std::weak_ptr<driver> who)
        : memory_(std::move(memory)), who_(std::move(who)) {}
    another_try(another_try&& other) noexcept
        : memory_(other.memory_),  // NOLINT: likewise
          who_(std::exchange(other.who_, {})) {}
    another_try(const another_try&) = delete;
    another_try& operator=(const another_try&) = delete;
    another_try& operator=(another_try&&) = delete;
    ~another_try() {
      if (std::uncaught_exceptions() > unwinding_) return;  // whoever posted it has another
      if (const auto d = who_.lock()) d->abandon();
    }
    [[nodiscard]] allocator_type get_allocator() const noexcept { return allocator_type(*memory_); }
    void operator()() {
      if (const auto d = std::exchange(who_, {}).lock()) d->try_again();
    }

   private:
    std::shared_ptr<detail::operation_memory> memory_;
    std::weak_ptr<driver> who_;
    int unwinding_ = std::uncaught_exceptions();
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
      waiting_ = false;
    }
    starting_.store(false);
    if (!waiting_) try_later_locked();
  }

  /// A wait that could not begin is tried again until it can: nobody else would. Other executors
  /// than an io_context's need memory to take a handler, and are asked until they find some.
  void try_later_locked() noexcept {
    if (std::exchange(trying_, true)) return;
    const asio::any_io_executor executor = timer_.get_executor();
    if (const auto* io = executor.target<asio::io_context::executor_type>()) {
      asio::post(*io, another_try(memory_of_try_, weak_from_this()));
      return;
    }
    for (;;) {
      try {
        asio::post(executor, another_try(memory_of_try_, weak_from_this()));
        return;
      } catch (const std::bad_alloc&) {
        std::this_thread::yield();
      }
    }
  }

  /// Time goes on without the executor's timer, too: what is due meanwhile expires here.
  void try_again() {
    {
      std::unique_lock lock(mutex_);
      fired_.wait_for(lock, pause_between_tries, [this] { return source_ == nullptr; });
      trying_ = false;
    }
    fire(no_turn);
  }

  /// The executor, which is none of an io_context's own, had no memory for the end of a wait.
  void wait_lost() noexcept {
    const std::lock_guard lock(mutex_);
    waiting_ = false;
    if (source_ != nullptr) try_later_locked();
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
  std::shared_ptr<detail::operation_memory> memory_of_try_ =
      std::make_shared<detail::operation_memory>();
  time_point armed_for_ = never;
  static constexpr std::uint64_t no_turn = 0;
  std::uint64_t turn_ = no_turn;
  bool waiting_ = false;
  bool trying_ = false;                // another try is on its way
  std::atomic<bool> starting_{false};  // a wait; one that dies meanwhile died for want of memory
  bool firing_ = false;
  std::thread::id firing_thread_;
  std::condition_variable fired_;
};

real_time::real_time(asio::any_io_executor executor)
    : time_source(executor, std::make_unique<system_entropy>()),
      driver_(std::make_shared<driver>(executor, *this)) {}

real_time::~real_time() { stop_timers(); }

time_point real_time::now() const noexcept {
  return time_point(std::chrono::steady_clock::now().time_since_epoch());
}

void real_time::reschedule() {
  if (driver_) driver_->reschedule();
}

bool real_time::runs_here() const noexcept {
  const auto* io = executor().target<asio::io_context::executor_type>();
  return io != nullptr && io->running_in_this_thread();
}

void real_time::stop_timers() noexcept {
  auto d = std::exchange(driver_, nullptr);
  if (!d) return;
  if (made_here()) {
    d->detach();
  } else {
    d->forsake();
    keep_for_ever(std::move(d));
  }
}

void real_time::begin_anew_after_fork() noexcept {
  // Whoever of the child's threads comes first does it. The spin lock bears the process's mark, so
  // that no thread of the parent's can have left it locked.
  while (!made_here()) {
    const std::uint32_t me = process_generation();
    std::uint32_t holder = anew_in_.load();
    if (holder == me) {
      std::this_thread::yield();
      continue;
    }
    if (!anew_in_.compare_exchange_weak(holder, me)) continue;
    const bool done = made_here() || begin_anew();
    if (done) made_in_.store(me);
    anew_in_.store(0);
    if (!done) return;
  }
}

bool real_time::begin_anew() noexcept try {
  forsake_parts();
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

void real_time::drive_anew() {
  auto mine = std::make_shared<driver>(time_source::executor(), *this);
  keep_for_ever(std::exchange(driver_, std::move(mine)));
}

}  // namespace detail

environment::environment() : source_(detail::make_own_thread()) {}

environment::environment(asio::any_io_executor executor)
    : source_(std::make_shared<detail::real_time>(std::move(executor))) {}

const asio::any_io_executor& environment::executor() const& noexcept {
  source_->begin_anew_after_fork();
  return source_->executor();
}

environment::environment(std::shared_ptr<time_source> source) : source_(std::move(source)) {
  if (source_ == nullptr) throw config_error("environment.source", "null", "give a time source");
}

}  // namespace hawser::inline v0
