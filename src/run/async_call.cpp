// Asynchronous calls: the engine behind a mailbox, so that completions, timers, wakers and
// cancellations may come from any thread without a lock.
#include "engine.hpp"

#include "hawser/run/async.hpp"

#include <boost/asio/execution/context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/system_executor.hpp>

#include <atomic>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

namespace hawser::inline v0::detail {

namespace {

/// A copy of the caller's options whose texts the call owns, and the plan: both outlive the engine,
/// which still looks at them when a call is let go in the middle.
struct own_options {
  own_options(std::shared_ptr<const plan> how, const call_options& given)
      : kept(std::move(how)), options(given) {
    // Only who listens reads them; a call that nobody listens to need not copy them.
    if (given.report != nullptr || !kept->observers.empty()) {
      name = given.name;
      correlation = given.correlation;
    }
    options.name = name;
    options.correlation = correlation;
  }
  std::shared_ptr<const plan> kept;
  std::string name;
  std::string correlation;
  call_options options;
};

class async_call final : public call_allocated,
                         private own_options,
                         public engine,
                         public call_control,
                         private timer_node,
                         private waker {
 public:
  async_call(std::shared_ptr<const plan> how, std::unique_ptr<async_operation> what,
             const call_options& given)
      : own_options(std::move(how), given), engine(*kept, *what, options), what_(std::move(what)) {
    what_->attach(this);
  }

  /// On the initiating function's stack; the mailbox is ours from construction.
  void start() {
    if (options.stop.stop_possible()) on_stop_.emplace(options.stop, stopper{this});
    begin(how().env.now());
    if (finished()) {
      end(true);
      return;
    }
    keep_timer();
    unsigned idle = running;
    if (!mail_.compare_exchange_strong(idle, 0)) what_->resume_later(call_ref(this));
  }

  void attempt_done(const outcome& o) override {
    attempt_ = o;
    if ((mail_.fetch_or(attempt | running) & running) == 0) drain();
  }
  void cancel() noexcept override { signal(canceled); }
  void resume() override { drain(); }

  void add_ref() noexcept override { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept override {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  waker& wake_handle() noexcept override { return *this; }
  void wake() noexcept override { signal(woken); }
  void expired() noexcept override { signal(timer); }

 private:
  static constexpr unsigned attempt = 1;
  static constexpr unsigned woken = 2;
  static constexpr unsigned timer = 4;
  static constexpr unsigned canceled = 8;
  static constexpr unsigned running = 16;  // somebody handles the mail, or is about to

  /// The caller's stop token. May come from any thread while the call is being let go.
  struct stopper {
    async_call* call;
    void operator()() const noexcept { call->signal(canceled); }
  };

  ~async_call() override = default;

  /// News from whoever: a waker and the caller's cancellation hold no reference. So who takes the
  /// mailbox does it with one in hand. With nothing but the mailbox in hand it would see the timer
  /// queue, which leaves the news to it, drop the last one.
  void signal(unsigned what) noexcept {
    unsigned before = mail_.load();
    bool held = false;
    for (;;) {
      const bool taken = (before & running) != 0;
      if (!taken && !held && !(held = hold())) return;  // the call is being let go
      if (mail_.compare_exchange_weak(before, before | what | running)) {
        if (!taken)
          what_->resume_later(call_ref::adopt(this));
        else if (held)
          release();
        return;
      }
    }
  }

  /// Takes a reference, unless the last one has gone.
  bool hold() noexcept {
    unsigned held = references_.load();
    while (held != 0)
      if (references_.compare_exchange_weak(held, held + 1)) return true;
    return false;
  }

  void drain() {
    if (what_ == nullptr) return;
    for (;;) {
      const unsigned came = mail_.exchange(running);
      const time_point now = how().env.now();
      if ((came & attempt) != 0) attempt_ended(attempt_, now);
      if ((came & woken) != 0) woken_up(now);
      if (next_timer() <= now) time_passed(now);
      if ((came & canceled) != 0) cancel_call(now);
      if (finished()) {
        end(false);
        return;
      }
      keep_timer();
      unsigned idle = running;
      if (mail_.compare_exchange_strong(idle, 0)) return;
    }
  }

  /// Arms the one timer for the nearest time. A call that only waits to be woken arms it far away:
  /// the queue's reference is what keeps it.
  void keep_timer() noexcept {
    time_point due = next_timer();
    if (due == never && !operating()) due = later(how().env.now(), std::chrono::hours(1));
    if (due == armed_for_) return;
    armed_for_ = due;
    queued_ = true;
    if (due == never)
      how().env.disarm(*this);
    else
      how().env.arm(*this, due);
  }

  void end(bool initiating) {
    if (queued_) how().env.remove(*this);
    // The mailbox stays taken: whatever still comes is for nobody.
    const call_ref alive(this);
    const std::unique_ptr<async_operation> what = std::move(what_);
    ending how_it_ended;
    take_ending(how_it_ended);
    what->complete(std::move(how_it_ended), initiating);
  }

  std::unique_ptr<async_operation> what_;
  outcome attempt_;
  time_point armed_for_ = never;
  bool queued_ = false;
  std::atomic<unsigned> mail_{running};
  std::atomic<unsigned> references_{0};
  std::optional<std::stop_callback<stopper>> on_stop_;
};

using native_executor = boost::asio::io_context::executor_type;

}  // namespace

bool running_in(const boost::asio::any_io_executor& executor) noexcept {
  const auto* io = executor.target<native_executor>();
  return io != nullptr && io->running_in_this_thread();
}

bool on_system_threads(const boost::asio::any_io_executor& executor,
                       const boost::asio::any_io_executor& ours) {
  namespace asio = boost::asio;
  // Asking Asio for its system context starts that context's threads, so others are told first.
  if (!executor || executor.target<native_executor>() != nullptr) return false;
  const asio::execution_context& theirs = asio::query(executor, asio::execution::context);
  if (&theirs == &asio::query(ours, asio::execution::context)) return false;
  const asio::execution_context& of_system =
      asio::query(asio::system_executor(), asio::execution::context);
  return &theirs == &of_system;
}

void start_async(std::shared_ptr<const plan> how, std::unique_ptr<async_operation> what,
                 const call_options& options) {
  auto* const call = new async_call(std::move(how), std::move(what), options);
  const call_ref alive(call);
  call->start();
}

}  // namespace hawser::inline v0::detail
