#include "hawser/testing/manual_environment.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <thread>
#include <utility>

namespace hawser::inline v0::testing {

namespace asio = boost::asio;

void scripted_entropy::will_draw(const std::vector<double>& uniforms) {
  const std::lock_guard lock(mutex_);
  for (const double u : uniforms) script_.push_back(static_cast<std::uint64_t>(u * 0x1.0p53) << 11);
}

void scripted_entropy::will_give(const std::vector<std::uint64_t>& words) {
  const std::lock_guard lock(mutex_);
  script_.insert(script_.end(), words.begin(), words.end());
}

std::size_t scripted_entropy::left() const {
  const std::lock_guard lock(mutex_);
  return script_.size();
}

std::uint64_t scripted_entropy::drawn() const {
  const std::lock_guard lock(mutex_);
  return drawn_;
}

std::uint64_t scripted_entropy::next() noexcept {
  const std::lock_guard lock(mutex_);
  ++drawn_;
  if (script_.empty()) return rest_.next();
  const std::uint64_t word = script_.front();
  script_.pop_front();
  return word;
}

class manual_environment::source final : public time_source {
 public:
  source(asio::io_context& context, std::uint64_t seed)
      : source(context, new scripted_entropy(seed)) {}

  time_point now() const noexcept override {
    return time_point(duration(now_.load(std::memory_order_acquire)));
  }
  void reschedule() override {}  // whoever moves the clock looks at the queue

  bool skip_to(time_point until) override {
    const bool ours = thread_ == std::this_thread::get_id();
    if (ours && poll() != 0) return true;
    if (fire_next(until)) {
      if (ours) poll();
      return true;
    }
    if (until == never) return false;  // only another thread can end this wait
    move_to(until);
    return true;
  }
  bool run_one() override { return turn(never - now()); }
  bool turn(duration limit) {
    if (context_ == nullptr) return false;
    if (context_->stopped()) context_->restart();
    return context_->poll_one() != 0 || fire_next(later(now(), limit));
  }
  // Between its handlers a test may make blocking calls: they run what they wait for.
  bool runs_here() const noexcept override {
    return context_ != nullptr && context_->get_executor().running_in_this_thread();
  }

  [[nodiscard]] scripted_entropy& script() const noexcept { return *script_; }

  /// Moves to the next armed timer and expires it, unless it comes after `limit`.
  bool fire_next(time_point limit) {
    while (timers().any_armed()) {
      const time_point next = timers().next();
      if (next == never || next > limit) return false;
      // The queue may hold a node under a time at which it is no longer armed: then nothing fires
      // there, nobody has seen the clock, and it goes back.
      const time_point before = now();
      move_to(next);
      if (timers().fire_one(now())) return true;
      now_.store(before.time_since_epoch().count(), std::memory_order_release);
    }
    return false;
  }

  void move_to(time_point to) noexcept {
    const auto at = to.time_since_epoch().count();
    auto before = now_.load(std::memory_order_acquire);
    while (before < at && !now_.compare_exchange_weak(before, at)) {
    }
  }

  std::size_t poll() {
    if (context_ == nullptr) return 0;
    if (context_->stopped()) context_->restart();
    return context_->poll();
  }
  void forget_context() noexcept { context_ = nullptr; }

 private:
  source(asio::io_context& context, scripted_entropy* random)
      : time_source(context.get_executor(), std::unique_ptr<entropy>(random)),
        context_(&context),
        script_(random) {}

  asio::io_context* context_;
  scripted_entropy* script_;  // the base owns it
  std::thread::id thread_ = std::this_thread::get_id();
  std::atomic<time_point::rep> now_{duration(std::chrono::hours(1)).count()};
};

namespace {

void tell_and_abort(std::string_view what) {
  std::fprintf(stderr,
               "hawser::testing::manual_environment: left behind: %.*s (let the calls end, or give "
               "on_leftover a function)\n",
               static_cast<int>(what.size()), what.data());
  if (std::uncaught_exceptions() == 0) std::abort();
}

std::atomic<void (*)(std::string_view)> how_leftovers_fail = &tell_and_abort;

}  // namespace

void manual_environment::fail_leftovers_by(void (*report)(std::string_view)) noexcept {
  how_leftovers_fail.store(report != nullptr ? report : &tell_and_abort);
}

manual_environment::manual_environment(std::uint64_t seed)
    : context_(std::make_unique<asio::io_context>(1)),
      source_(std::make_shared<source>(*context_, seed)),
      report_(how_leftovers_fail.load()) {}

manual_environment::~manual_environment() {
  if (context_) expect_quiet();
  shut_down();
}

environment manual_environment::env() const noexcept { return environment(source_); }

asio::any_io_executor manual_environment::get_executor() const noexcept {
  return source_->executor();
}

asio::io_context& manual_environment::context() noexcept { return *context_; }

scripted_entropy& manual_environment::random() const noexcept { return source_->script(); }

time_point manual_environment::now() const noexcept { return source_->now(); }

std::size_t manual_environment::run_ready() { return source_->poll(); }

bool manual_environment::run_one(duration limit) { return source_->turn(limit); }

bool manual_environment::step(time_point limit, std::size_t& ran) {
  if (!source_->fire_next(limit)) return false;
  ran += source_->poll();
  return true;
}

std::size_t manual_environment::advance(duration by) {
  return advance_to(later(source_->now(), by));
}

std::size_t manual_environment::advance_to(time_point until) {
  std::size_t ran = source_->poll();
  while (step(until, ran)) {
  }
  source_->move_to(until);
  return ran + source_->poll();
}

void manual_environment::leap(duration by) {
  const time_point until = later(source_->now(), by);
  while (source_->fire_next(until)) {
  }
  source_->move_to(until);
}

std::size_t manual_environment::run_until_idle(duration limit) {
  const time_point last = later(source_->now(), limit);
  std::size_t ran = source_->poll();
  while (step(last, ran)) {
  }
  return ran;
}

bool manual_environment::run_until(const std::function<bool()>& done, duration limit) {
  const time_point last = later(source_->now(), limit);
  std::size_t ran = source_->poll();
  while (!done() && step(last, ran)) {
  }
  return done();
}

std::size_t manual_environment::waits() const noexcept { return source_->timers().armed(); }

bool manual_environment::quiet() {
  if (context_ == nullptr) return waits() == 0;
  source_->poll();
  return waits() == 0 && context_->stopped();
}

std::string manual_environment::leftovers() const {
  const std::size_t armed = waits();
  std::string text = std::to_string(armed) + (armed == 1 ? " timer armed" : " timers armed");
  if (armed != 0) {
    char when[48];
    const duration left = remaining(source_->timers().next(), now());
    std::snprintf(when, sizeof when, armed == 1 ? ", due in %.3f s" : ", the next due in %.3f s",
                  std::chrono::duration<double>(left).count());
    text += when;
  }
  const bool working = context_ != nullptr && !context_->stopped();
  return text + (working ? "; operations under way" : "; no operation under way");
}

bool manual_environment::expect_quiet() {
  if (quiet()) return true;
  if (report_) report_(leftovers());
  return false;
}

void manual_environment::on_leftover(std::function<void(std::string_view)> report) {
  report_ = std::move(report);
}

void manual_environment::shut_down() {
  if (context_ == nullptr) return;
  // Timers first: what they let go may hold work on the context, which must still be there.
  source_->timers().abandon();
  source_->forget_context();
  context_.reset();
  source_->timers().abandon();
}

}  // namespace hawser::inline v0::testing
