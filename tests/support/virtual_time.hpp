// A fixture on virtual time, and calls whose endings tests look at.
//
//   TEST_F(order, name) {
//     pipeline p = builder().add(timeout{.after = 2s}).build(env);
//     scripted_operation op{env, {scripted_end::hang()}};
//     ended e;
//     start(p, op, e);
//     env.advance(2s);
//     EXPECT_EQ(e.error, errc::call_timeout);
//   }
#pragma once

#include "hawser/policy/backoff.hpp"
#include "hawser/run/async.hpp"
#include "hawser/testing/event_recorder.hpp"
#include "hawser/testing/manual_environment.hpp"
#include "hawser/testing/scripted_operation.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

namespace hawser::test {

using namespace std::chrono_literals;
using testing::event_recorder;
using testing::manual_environment;
using testing::scripted_end;
using testing::scripted_operation;

inline const error_code connection_reset =
    boost::system::errc::make_error_code(boost::system::errc::connection_reset);
inline const error_code connection_refused =
    boost::system::errc::make_error_code(boost::system::errc::connection_refused);
inline const error_code permission_denied =
    boost::system::errc::make_error_code(boost::system::errc::permission_denied);

inline constant steady(duration each) { return {.each = each, .spread = jitter::none}; }

/// How a call ended.
struct ended {
  int count = 0;
  error_code error{};
  int value = 0;
  time_point at{};
  bool operator()() const { return count > 0; }
};

/// The handler that writes it down.
struct into {
  ended* where;
  manual_environment* env;
  void operator()(error_code ec, int value) const {
    ++where->count;
    where->error = ec;
    where->value = value;
    where->at = env->now();
  }
};

class on_virtual_time : public ::testing::Test {
 protected:
  on_virtual_time() {
    env.on_leftover([](std::string_view what) { ADD_FAILURE() << "left behind: " << what; });
  }

  /// For tests that end in the middle of calls.
  void expect_leftovers() { env.on_leftover({}); }

  /// Its calls may be repeated; what says otherwise says so.
  pipeline_builder builder() {
    return std::move(pipeline_builder("test").observe(seen).calls_are(effect::idempotent));
  }

  void start(const pipeline& p, const scripted_operation& op, ended& e,
             const call_options& options = {}) {
    p.wrap(op, options)(boost::asio::bind_cancellation_slot(signal.slot(), into{&e, &env}));
  }
  void cancel(boost::asio::cancellation_type how = boost::asio::cancellation_type::terminal) {
    signal.emit(how);
  }
  /// Starts a call and runs it to its end.
  ended run(const pipeline& p, const scripted_operation& op, const call_options& options = {}) {
    ended e;
    start(p, op, e, options);
    EXPECT_EQ(e.count, 0) << "completed inline";
    EXPECT_TRUE(env.run_until([&] { return e.count > 0; })) << "never completed";
    EXPECT_EQ(e.count, 1);
    return e;
  }

  boost::asio::cancellation_signal signal;
  manual_environment env;
  std::shared_ptr<event_recorder> seen = std::make_shared<event_recorder>();
};

}  // namespace hawser::test
