// Calls whose attempts end inline: the engine on the caller's own thread.
#include "engine.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>

namespace hawser::inline v0::detail {

namespace {

class blocking_call final : public engine, public waker {
 public:
  blocking_call(const plan& how, operation& what, const call_options& options)
      : engine(how, what, options), what_(what) {
    if (options.stop.stop_possible()) on_stop_.emplace(options.stop, stopper{this});
  }

  void run() {
    begin(how().env.now());
    while (!finished()) {
      const unsigned came = wait_until(next_timer());
      const time_point now = how().env.now();
      if ((came & canceled) != 0) cancel_call(now);
      if ((came & woken) != 0) woken_up(now);
      time_passed(now);
    }
  }

  waker& wake_handle() noexcept override { return *this; }
  void wake() noexcept override { notify(woken); }

 private:
  static constexpr unsigned woken = 1;
  static constexpr unsigned canceled = 2;

  struct stopper {
    blocking_call* call;
    void operator()() const noexcept {
      call->notify(canceled);
      call->what_.cancel();  // the callable itself may be looking at its stop token
    }
  };

  void notify(unsigned what) noexcept {
    const std::lock_guard lock(mutex_);
    came_ |= what;
    changed_.notify_one();  // under the lock: the call may be gone right after it
  }

  unsigned wait_until(time_point until) {
    std::unique_lock lock(mutex_);
    while (came_ == 0 && how().env.now() < until) {
      lock.unlock();
      const bool skipped = how().env.source().skip_to(until);
      lock.lock();
      if (skipped || came_ != 0) continue;
      if (until == never)
        changed_.wait(lock, [this] { return came_ != 0; });
      else
        changed_.wait_for(lock, remaining(until, how().env.now()), [this] { return came_ != 0; });
    }
    return std::exchange(came_, 0U);
  }

  operation& what_;
  std::mutex mutex_;
  std::condition_variable changed_;
  unsigned came_ = 0;
  std::optional<std::stop_callback<stopper>> on_stop_;
};

}  // namespace

void run_blocking(const plan& how, operation& what, const call_options& options, ending& end) {
  blocking_call call(how, what, options);
  call.run();
  end = call.take_ending();
}

}  // namespace hawser::inline v0::detail
