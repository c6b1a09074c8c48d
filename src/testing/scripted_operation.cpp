#include "hawser/testing/scripted_operation.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <atomic>
#include <mutex>

namespace hawser::inline v0::testing {

namespace asio = boost::asio;

struct scripted_operation::shared {
  shared(environment e, std::vector<scripted_end> s) : env(std::move(e)), script(std::move(s)) {}

  const environment env;
  const std::vector<scripted_end> script;
  std::mutex mutex;
  int starts = 0;
  int ends = 0;
  int cancellations = 0;
  int peak = 0;
  asio::cancellation_type last_type = asio::cancellation_type::none;
  std::vector<time_point> times;
};

/// One run. The timer queue holds it, then its completion on the way; a context that goes down
/// with either lets it go. The handler's slot only points at it.
class scripted_operation::run final : public timer_node {
 public:
  run(std::shared_ptr<shared> state, handler h, const scripted_end& end)
      : state_(std::move(state)), handler_(std::move(h)), end_(end) {
    slot_ = asio::get_associated_cancellation_slot(handler_);
    if (slot_.is_connected())
      slot_.assign([this](asio::cancellation_type type) { canceled(type); });
  }

  void start() {
    if (end_.takes_ <= duration::zero())
      expired();
    else
      state_->env.arm(*this, later(state_->env.now(), end_.takes_));
  }

  void expired() noexcept override {
    if (ended_.exchange(true)) return;
    asio::post(state_->env.executor(), delivery{reference(this)});
  }
  void add_ref() noexcept override { references_.fetch_add(1); }
  void release() noexcept override {
    if (references_.fetch_sub(1) == 1) delete this;
  }

  /// Owns one reference.
  struct dropper {
    void operator()(run* r) const noexcept { r->release(); }
  };
  struct reference : std::unique_ptr<run, dropper> {
    explicit reference(run* r) noexcept : std::unique_ptr<run, dropper>(r) { r->add_ref(); }
  };

 private:
  /// First on an executor that can be posted to, then on the handler's.
  struct delivery {
    reference who;
    bool there = false;
    void operator()() {
      if (!there) {
        there = true;
        const auto executor =
            asio::get_associated_executor(who->handler_, who->state_->env.executor());
        asio::dispatch(executor, std::move(*this));
        return;
      }
      who->deliver();
    }
  };

  ~run() override = default;

  void canceled(asio::cancellation_type type) {
    {
      const std::lock_guard lock(state_->mutex);
      ++state_->cancellations;
      state_->last_type = type;
    }
    if (!end_.heeds_ || ended_.load() || canceled_.exchange(true)) return;
    const reference alive(this);  // disarming lets go of the queue's hold
    if (end_.winding_up_ > duration::zero()) {
      state_->env.arm(*this, later(state_->env.now(), end_.winding_up_));
    } else {
      expired();
      state_->env.remove(*this);
    }
  }

  void deliver() {
    if (slot_.is_connected()) slot_.clear();
    {
      const std::lock_guard lock(state_->mutex);
      ++state_->ends;
    }
    const error_code ec = canceled_.load() ? canceled_error() : end_.error_;
    std::move(handler_)(ec, ec ? 0 : end_.value_);
  }

  std::shared_ptr<shared> state_;
  handler handler_;
  asio::cancellation_slot slot_;
  scripted_end end_;
  std::atomic<bool> ended_{false};
  std::atomic<bool> canceled_{false};
  std::atomic<int> references_{0};
};

scripted_operation::scripted_operation(environment env, std::vector<scripted_end> script)
    : state_(std::make_shared<shared>(std::move(env), std::move(script))) {}

void scripted_operation::start(const std::shared_ptr<shared>& state, handler h) {
  std::size_t number = 0;
  {
    const std::lock_guard lock(state->mutex);
    number = static_cast<std::size_t>(state->starts++);
    state->peak = std::max(state->peak, state->starts - state->ends);
    state->times.push_back(state->env.now());
  }
  const scripted_end& end = state->script[std::min(number, state->script.size() - 1)];
  const run::reference r(new run(state, std::move(h), end));
  r->start();
}

int scripted_operation::starts() const {
  const std::lock_guard lock(state_->mutex);
  return state_->starts;
}

int scripted_operation::ends() const {
  const std::lock_guard lock(state_->mutex);
  return state_->ends;
}

int scripted_operation::cancellations() const {
  const std::lock_guard lock(state_->mutex);
  return state_->cancellations;
}

asio::cancellation_type scripted_operation::last_cancellation() const {
  const std::lock_guard lock(state_->mutex);
  return state_->last_type;
}

int scripted_operation::in_flight() const {
  const std::lock_guard lock(state_->mutex);
  return state_->starts - state_->ends;
}

int scripted_operation::peak_in_flight() const {
  const std::lock_guard lock(state_->mutex);
  return state_->peak;
}

std::vector<time_point> scripted_operation::start_times() const {
  const std::lock_guard lock(state_->mutex);
  return state_->times;
}

}  // namespace hawser::inline v0::testing
