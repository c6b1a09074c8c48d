// An Asio operation that does what a test wrote down: how long, how it ends, how it takes
// cancelling.
//
//   using hawser::testing::scripted_end;
//   hawser::testing::scripted_operation op{env, {scripted_end::fail(reset).after(10ms),
//                                                scripted_end::ok(7).after(20ms)}};
//   p.wrap(op)([](hawser::error_code ec, int value) { ... });
//   EXPECT_EQ(op.starts(), 2);
#pragma once

#include "hawser/core/error.hpp"
#include "hawser/core/export.hpp"
#include "hawser/core/time.hpp"
#include "hawser/run/environment.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_type.hpp>

#include <memory>
#include <utility>
#include <vector>

namespace hawser::inline v0::testing {

/// How one run of a scripted operation ends.
class HAWSER_API scripted_end {
 public:
  /// Ends well, with this value.
  [[nodiscard]] static scripted_end ok(int value = 0) { return scripted_end({}, value); }
  /// Ends with this error, and value 0.
  [[nodiscard]] static scripted_end fail(error_code with) { return scripted_end(with, 0); }
  /// Ends only when it is cancelled.
  [[nodiscard]] static scripted_end hang() {
    return scripted_end({}, 0).after(std::chrono::hours(24 * 365));
  }

  /// How long it takes; nothing by default.
  [[nodiscard]] scripted_end after(duration takes) && {
    takes_ = takes;
    return *this;
  }
  /// Takes no notice of cancellation.
  [[nodiscard]] scripted_end deaf() && {
    heeds_ = false;
    return *this;
  }
  /// Ends this long after it was cancelled.
  [[nodiscard]] scripted_end winding_up(duration takes) && {
    winding_up_ = takes;
    return *this;
  }

 private:
  friend class scripted_operation;
  scripted_end(error_code with, int value) : error_(with), value_(value) {}

  duration takes_{};
  duration winding_up_{};
  error_code error_;
  int value_;
  bool heeds_ = true;
};

/// Signature: void(error_code, int). A cancelled run ends with `operation_aborted`, whatever the
/// type. Completes on the handler's executor, never inline. A cheap handle: copies share the script
/// and the counts. Thread-safe.
class HAWSER_API scripted_operation {
 public:
  /// The last entry of the script is repeated for ever. Precondition: not empty.
  scripted_operation(environment env, std::vector<scripted_end> script);

  /// Starts the next run of the script.
  template <class CompletionToken>
  auto operator()(CompletionToken&& token) const {
    return boost::asio::async_initiate<CompletionToken, void(error_code, int)>(
        [state = state_](handler h) { start(state, std::move(h)); }, token);
  }

  /// Runs started so far.
  [[nodiscard]] int starts() const;
  /// Runs that have ended.
  [[nodiscard]] int ends() const;
  /// Runs that were asked to stop.
  [[nodiscard]] int cancellations() const;
  /// The last type of cancellation that came.
  [[nodiscard]] boost::asio::cancellation_type last_cancellation() const;
  /// Runs under way.
  [[nodiscard]] int in_flight() const;
  /// The most that were under way at once.
  [[nodiscard]] int peak_in_flight() const;
  /// When each run started.
  [[nodiscard]] std::vector<time_point> start_times() const;

 private:
  using handler = boost::asio::any_completion_handler<void(error_code, int)>;
  struct shared;
  class run;
  static void start(const std::shared_ptr<shared>& state, handler h);

  std::shared_ptr<shared> state_;
};

}  // namespace hawser::inline v0::testing
