// News that come too late: a timer, a waking, a cancellation, a stop that reach a call while its
// stages leave, or when it has ended. Nobody is told, and nothing is left behind.
#include "hawser/policy/policy.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/async.hpp"
#include "hawser/run/environment.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prepend.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <stop_token>
#include <vector>

namespace hawser::test::late_news_test {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

/// A clock that tests move even in the middle of a stage's `leave`, as another thread may.
class hand_clock final : public time_source {
 public:
  explicit hand_clock(asio::io_context& io)
      : time_source(io.get_executor(), std::make_unique<seeded_entropy>(1)) {}
  time_point now() const noexcept override { return now_; }
  void reschedule() override {}
  bool runs_here() const noexcept override { return false; }

  /// Everything armed comes due, and expires here and now.
  void strike() {
    now_ += 1h;
    while (timers().fire_one(now_)) ++expired;
  }
  int expired = 0;

 private:
  time_point now_{1h};
};

/// Lets calls through, and tells when one of its stages leaves.
class leaving final : public policy_with<leaving, class leaving_stage> {
 public:
  explicit leaving(std::function<void()> then) : then_(std::move(then)) {}
  std::string_view kind() const noexcept override { return "leaving"; }

  std::function<void()> then_;
  waker* last = nullptr;
  int told = 0;
  int left = 0;
};

class leaving_stage final : public stage {
 public:
  explicit leaving_stage(leaving& p) : shared_(p) {}
  step enter(tick& t) override {
    shared_.last = &t.wake_handle();
    return step::call_inner_until(later(t.now(), 30min));
  }
  step inner_done(int, const outcome& o, tick& t) override { return t.finish(o); }
  step timer(tick&) override {
    ++shared_.told;
    return step::cancel_inner();
  }
  step woken(tick&) override {
    ++shared_.told;
    return step::park();
  }
  void leave() noexcept override {
    ++shared_.left;
    if (shared_.then_) shared_.then_();
  }

 private:
  leaving& shared_;
};

/// An operation that ends when the test says so.
struct held_operation {
  std::shared_ptr<std::vector<asio::any_completion_handler<void(error_code)>>> held =
      std::make_shared<std::vector<asio::any_completion_handler<void(error_code)>>>();

  template <class Token>
  auto operator()(Token&& token) const {
    return asio::async_initiate<Token, void(error_code)>(
        [held = held](asio::any_completion_handler<void(error_code)> h) {
          held->push_back(std::move(h));
        },
        token);
  }
  void end(asio::io_context& io, std::size_t which = 0) const {
    asio::post(io, asio::prepend(std::move(held->at(which)), error_code()));
  }
};

class late_news : public ::testing::Test {
 protected:
  void start(const pipeline& p) {
    call_options options;
    options.stop = stop.get_token();
    p.wrap(op, options)(
        asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(io, [this](error_code ec) {
                                       ++completions;
                                       ended_with = ec;
                                       if (on_completion) on_completion();
                                     })));
    EXPECT_EQ(completions, 0);
  }
  void run() {
    io.restart();
    io.poll();
  }

  asio::io_context io;
  std::shared_ptr<hand_clock> clock = std::make_shared<hand_clock>(io);
  environment env{clock};
  held_operation op;
  std::stop_source stop;
  asio::cancellation_signal signal;
  int completions = 0;
  error_code ended_with = errc::operation_failed;
  std::function<void()> on_completion;
};

TEST_F(late_news, of_every_kind_while_a_stage_leaves_are_for_nobody) {
  std::shared_ptr<leaving> policy;
  policy = std::make_shared<leaving>([&] {
    clock->strike();
    policy->last->wake();
    stop.request_stop();
    signal.emit(asio::cancellation_type::terminal);
  });
  {
    const pipeline p = pipeline_builder{"late"}.add(timeout{.after = 20min}).add(policy).build(env);
    start(p);
    op.end(io);
    run();
  }
  EXPECT_EQ(clock->expired, 1) << "the timer did fire";
  EXPECT_EQ(completions, 1);
  EXPECT_FALSE(ended_with) << "a success stays one";
  EXPECT_EQ(policy->told, 0);
  EXPECT_EQ(policy->left, 1);
  EXPECT_EQ(clock->timers().armed(), 0u);
  EXPECT_EQ(clock->timers().next(), never) << "nothing is queued";
}

TEST_F(late_news, of_every_kind_in_the_completion_handler_are_for_nobody) {
  auto policy = std::make_shared<leaving>(nullptr);
  on_completion = [&] {
    clock->strike();
    stop.request_stop();
    signal.emit(asio::cancellation_type::terminal);
  };
  start(pipeline_builder{"late"}.add(policy).build(env));
  op.end(io);
  run();
  EXPECT_EQ(clock->expired, 0) << "its timer was taken back";
  EXPECT_EQ(completions, 1);
  EXPECT_EQ(policy->told, 0);
  EXPECT_EQ(policy->left, 1);
}

TEST_F(late_news, of_a_timer_whose_message_is_overtaken_by_the_end) {
  auto policy = std::make_shared<leaving>(nullptr);
  start(pipeline_builder{"late"}.add(policy).build(env));
  op.end(io);       // the end is on its way first, ...
  clock->strike();  // ... but both are there when the call looks
  run();
  EXPECT_EQ(clock->expired, 1);
  EXPECT_EQ(completions, 1);
  EXPECT_FALSE(ended_with);
  EXPECT_EQ(policy->left, 1);
  EXPECT_EQ(clock->timers().armed(), 0u);
}

TEST_F(late_news, of_an_attempt_that_ends_after_its_time_limit_is_still_delivered_once) {
  start(pipeline_builder{"late"}.add(timeout{.after = 20min}).build(env));
  clock->strike();  // the limit passes; the operation, deaf, goes on
  run();
  EXPECT_EQ(completions, 0);
  clock->strike();  // there is nothing left to fire
  op.end(io);
  run();
  EXPECT_EQ(clock->expired, 1);
  EXPECT_EQ(completions, 1);
  EXPECT_FALSE(ended_with) << "a success that comes after all is delivered: the work was done";
}

TEST_F(late_news, what_a_completion_handler_throws_comes_out_of_run_and_harms_no_call) {
  auto policy = std::make_shared<leaving>(nullptr);
  const pipeline p = pipeline_builder{"late"}.add(policy).build(env);
  start(p);
  start(p);
  int thrown = 0;
  on_completion = [&] {
    if (++thrown == 1) throw std::runtime_error("the caller's own");
  };
  op.end(io, 0);
  op.end(io, 1);
  io.restart();
  EXPECT_THROW(io.poll(), std::runtime_error);
  EXPECT_EQ(completions, 1);
  EXPECT_GE(policy->left, 1) << "the call had ended before";
  io.poll();
  EXPECT_EQ(completions, 2);
  EXPECT_EQ(policy->left, 2);
  EXPECT_EQ(clock->timers().armed(), 0u);
}

}  // namespace
}  // namespace hawser::test::late_news_test
