// Calls whose attempts end inline: the engine on the caller's own thread.
#include "engine.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

namespace hawser::inline v0::detail {

namespace {

constexpr auto longest_wait = std::chrono::hours(1);  // lest the clock's own arithmetic overflow

/// Where a call waits for time, a waker or its caller's cancellation.
class parking_lot {
 public:
  static constexpr unsigned woken = 1;
  static constexpr unsigned canceled = 2;

  void notify(unsigned what) noexcept {
    const std::lock_guard lock(mutex_);
    came_ |= what;
    changed_.notify_one();  // under the lock: the call may be gone right after it
  }

  /// What came, at the latest at `until`.
  unsigned wait_until(time_point until, const environment& env) {
    std::unique_lock lock(mutex_);
    while (came_ == 0 && env.now() < until) {
      lock.unlock();
      const bool skipped = env.source().skip_to(until);
      lock.lock();
      if (skipped || came_ != 0) continue;
      if (until == never)
        changed_.wait(lock, [this] { return came_ != 0; });
      else
        changed_.wait_for(lock, std::min<duration>(remaining(until, env.now()), longest_wait),
                          [this] { return came_ != 0; });
    }
    return std::exchange(came_, 0U);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  unsigned came_ = 0;
};

class blocking_call final : public engine, public waker {
 public:
  blocking_call(const plan& how, operation& what, const call_options& options)
      : engine(how, what, options) {
    if (options.stop.stop_possible()) listen(options.stop);
  }
  ~blocking_call() {
    if (lot_) clean_up();
  }
  blocking_call(const blocking_call&) = delete;
  blocking_call& operator=(const blocking_call&) = delete;

  void run() {
    begin(how().env.now());
    if (!finished()) wait_for_the_end();
  }

  // The lot is there before anybody can know of the waker.
  waker& wake_handle() noexcept override {
    if (!lot_) lot_.emplace();
    return *this;
  }
  void wake() noexcept override { lot_->notify(parking_lot::woken); }

 private:
  // Out of line, as is all that a call which never waits has no use for.
  [[gnu::noinline]] void listen(const std::stop_token& stop) {
    lot_.emplace();
    on_stop_.emplace(stop, stopper{&*lot_});
  }

  [[gnu::noinline]] void wait_for_the_end() {
    while (!finished()) {
      if (!lot_) lot_.emplace();
      const unsigned came = lot_->wait_until(next_timer(), how().env);
      const time_point now = how().env.now();
      if ((came & parking_lot::canceled) != 0) cancel_call(now);
      if ((came & parking_lot::woken) != 0) woken_up(now);
      time_passed(now);
    }
  }

  [[gnu::noinline]] void clean_up() noexcept {
    on_stop_.reset();
    lot_.reset();
  }

  struct stopper {
    parking_lot* lot;
    void operator()() const noexcept { lot->notify(parking_lot::canceled); }
  };
  using stop_callback = std::stop_callback<stopper>;

  std::optional<parking_lot> lot_;  // most calls never wait
  std::optional<stop_callback> on_stop_;
};

}  // namespace

void run_blocking(const plan& how, operation& what, const call_options& options, ending& end) {
  blocking_call call(how, what, options);
  call.run();
  call.take_ending(end);
}

}  // namespace hawser::inline v0::detail
