// What docs/guide/own_policy.md quotes: a policy of somebody's own, complete, and its tests.
#include "hawser/policy/policy.hpp"
#include "hawser/run/async.hpp"
#include "hawser/run/execute.hpp"
#include "hawser/testing/manual_environment.hpp"
#include "hawser/testing/matchers.hpp"
#include "hawser/testing/policy_contract.hpp"
#include "hawser/testing/scripted_operation.hpp"
#include "hawser/testing/stage_driver.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace shop {

// Options.

/// A gate that people close for maintenance and open again. Calls wait before it.
struct gate {
  std::string name = "gate";       ///< Appears in events and errors. Not empty.
  bool open = true;                ///< How it stands at first.
  hawser::duration max_wait = 5s;  ///< How long a call waits. Not negative; 0: not at all.
};

// Validation.

gate validated(gate options) {
  if (options.name.empty()) throw hawser::config_error("gate.name", "\"\"", "must not be empty");
  if (options.max_wait < hawser::duration::zero())
    throw hawser::config_error("gate.max_wait", std::to_string(options.max_wait.count()) + " ns",
                               "must not be negative");
  return options;
}

// Shared state.

/// The live gate. All members are thread-safe.
class gate_policy : public hawser::policy_with<gate_policy, class gate_stage> {
 public:
  explicit gate_policy(gate options)
      : options_(validated(std::move(options))), open_(options_.open) {}

  std::string_view kind() const noexcept override { return "gate"; }
  std::string_view name() const noexcept override { return options_.name; }

  void close() {
    const std::lock_guard lock(mutex_);
    open_ = false;
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    for (hawser::waker* w : waiting_) w->wake();
  }
  std::size_t waiting() const {
    const std::lock_guard lock(mutex_);
    return waiting_.size();
  }

 private:
  friend class gate_stage;

  const gate options_;
  mutable std::mutex mutex_;
  bool open_;
  std::vector<hawser::waker*> waiting_;
};

// Stage.

/// One call's part.
class gate_stage : public hawser::stage {
 public:
  explicit gate_stage(gate_policy& shared) : shared_(shared) {}

  hawser::step enter(hawser::tick& t) override {
    until_ = hawser::later(t.now(), shared_.options_.max_wait);
    return look(t);
  }
  hawser::step woken(hawser::tick& t) override { return look(t); }
  hawser::step timer(hawser::tick& t) override { return refuse(t); }
  hawser::step inner_done(int, const hawser::outcome& o, hawser::tick& t) override {
    return t.finish(o);
  }
  void leave() noexcept override {
    const std::lock_guard lock(shared_.mutex_);
    std::erase(shared_.waiting_, self_);
  }

 private:
  hawser::step look(hawser::tick& t) {
    {
      const std::lock_guard lock(shared_.mutex_);
      if (shared_.open_) return hawser::step::call_inner();
      if (t.now() < until_) {
        if (self_ == nullptr) shared_.waiting_.push_back(self_ = &t.wake_handle());
        return hawser::step::park(until_);
      }
    }
    return refuse(t);
  }
  hawser::step refuse(hawser::tick& t) {
    const auto no =
        hawser::outcome::refuse(hawser::errc::circuit_isolated,
                                {.policy = shared_.name(), .because = hawser::reason::forced});
    hawser::event e;
    e.kind = hawser::event_kind::rejected;
    e.error = no.error;
    e.why = no.why;
    t.emit(e);  // not under the lock
    return t.finish(no);
  }

  gate_policy& shared_;
  hawser::waker* self_ = nullptr;
  hawser::time_point until_{};
};

// Factory.

std::shared_ptr<hawser::policy> make_policy(gate options) {
  return std::make_shared<gate_policy>(std::move(options));
}

}  // namespace shop

namespace own_policy_test {
namespace {

using namespace hawser::testing;
using hawser::step;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(gate, lets_calls_through_while_it_is_open) {
  shop::gate_policy gate{shop::gate{}};
  hawser::testing::stage_driver t;
  hawser::testing::stage_under_test call{gate};

  EXPECT_EQ(call->enter(t).what(), step::verb::call_inner);
  EXPECT_EQ(call->inner_done(0, succeeded(), t).what(), step::verb::finish);
  EXPECT_TRUE(t.result.ok());
  call->leave();
}

TEST(gate, parks_a_call_wakes_it_and_refuses_it_when_it_waited_too_long) {
  shop::gate_policy gate{shop::gate{.open = false, .max_wait = 5s}};
  hawser::testing::stage_driver t;
  hawser::testing::stage_under_test call{gate};

  const step parked = call->enter(t);
  EXPECT_EQ(parked.what(), step::verb::park);
  EXPECT_EQ(parked.at(), t.now() + 5s);
  gate.open();
  EXPECT_EQ(t.wakes, 1);
  gate.close();  // before the call could look
  EXPECT_EQ(call->woken(t).what(), step::verb::park);
  t.advance(5s);
  EXPECT_EQ(call->timer(t).what(), step::verb::finish);
  EXPECT_THAT(t.result, FailsWith(hawser::condition::rejected));
  EXPECT_THAT(t.events, ElementsAre(EventOf(hawser::event_kind::rejected)));
  call->leave();
  EXPECT_EQ(gate.waiting(), 0u);
}

TEST(gate, checks_its_options) {
  EXPECT_NO_THROW(make_policy(shop::gate{.max_wait = 0s}));
  EXPECT_THROW(make_policy(shop::gate{.max_wait = -1ns}), hawser::config_error);
  EXPECT_THROW(make_policy(shop::gate{.name = ""}), hawser::config_error);
}

TEST(gate, keeps_the_contract) {
  for (const bool open : {true, false}) {
    hawser::testing::contract_subject subject;
    subject.name = open ? "an open gate" : "a closed gate";
    subject.make = [open] { return make_policy(shop::gate{.open = open, .max_wait = 6ms}); };
    subject.leftover = [](hawser::policy& p, hawser::time_point) {
      const auto left = static_cast<shop::gate_policy&>(p).waiting();
      return left == 0 ? std::string() : std::to_string(left) + " waiting";
    };
    EXPECT_THAT(hawser::testing::check_policy_contract(subject), IsEmpty());
  }
}

TEST(gate, stands_in_a_pipeline_as_any_policy_does) {
  hawser::testing::manual_environment env;
  auto maintenance = std::make_shared<shop::gate_policy>(shop::gate{.name = "maintenance"});
  const auto reads = hawser::pipeline_builder{"reads"}.add(maintenance).build(env);
  const auto other = hawser::pipeline_builder{"other"}.add(shop::gate{.open = true}).build(env);
  EXPECT_THAT(other.execute([] { return 1; }), IsOkAnd(1));

  maintenance->close();
  EXPECT_THAT(reads.execute([] { return 1; }), FailsWith(hawser::condition::rejected));

  int got = 0;
  reads.wrap(scripted_operation{env, {scripted_end::ok(7)}})(
      [&](hawser::error_code, int value) { got = value; });
  maintenance->open();
  env.run_ready();
  EXPECT_EQ(got, 7);
}

}  // namespace
}  // namespace own_policy_test
