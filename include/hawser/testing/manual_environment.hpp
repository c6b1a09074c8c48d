// Virtual time: calls, waits and timeouts of hours run in microseconds, always the same way.
//
//   hawser::testing::manual_environment env;
//   auto p = hawser::pipeline_builder{"billing"}.add(hawser::timeout{.after = 2s}).build(env);
//   p.wrap(slow_operation)([&](hawser::error_code ec) { done = ec; });
//   env.advance(2s);                       // the timeout fires on the way
//   EXPECT_EQ(done, hawser::errc::call_timeout);
#pragma once

#include "hawser/core/entropy.hpp"
#include "hawser/core/export.hpp"
#include "hawser/core/time.hpp"
#include "hawser/run/environment.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::inline v0::testing {

/// Randomness that a test writes down in advance; what is not written down is drawn from a seed.
class HAWSER_API scripted_entropy final : public entropy {
 public:
  /// `seed` is for what is not written down.
  explicit scripted_entropy(std::uint64_t seed = 1) noexcept : rest_(seed), identifiers_(seed) {}

  /// The next `uniform()` gives each of these in turn. Each in [0, 1).
  void will_draw(const std::vector<double>& uniforms);
  /// The next `next()` gives each of these in turn.
  void will_give(const std::vector<std::uint64_t>& words);
  /// How many written-down words are left.
  [[nodiscard]] std::size_t left() const;
  /// How many words were drawn so far.
  [[nodiscard]] std::uint64_t drawn() const;

  [[nodiscard]] std::uint64_t next() noexcept override;
  /// From a sequence of its own: identifiers do not use up what was written down.
  [[nodiscard]] std::uint64_t unique() noexcept override { return identifiers_.next(); }

 private:
  mutable std::mutex mutex_;
  std::deque<std::uint64_t> script_;
  std::uint64_t drawn_ = 0;
  seeded_entropy rest_;
  seeded_entropy identifiers_;
};

/// An environment whose clock a test moves. Handlers run on the thread that calls `advance` and its
/// like, and nowhere else. Blocking calls made on it skip over their waits; they move the clock,
/// and run on the way what is due. Pipelines and clients made on it must go before it.
///
/// Everything but `post`ing from elsewhere and `now()` belongs to one thread.
class HAWSER_API manual_environment {
 public:
  /// Begins at one hour, with nothing armed. `seed` is for its randomness.
  explicit manual_environment(std::uint64_t seed = 1);
  manual_environment(const manual_environment&) = delete;
  manual_environment& operator=(const manual_environment&) = delete;
  /// What is still waiting fails the test, see `on_leftover`; then it is let go.
  ~manual_environment();

  /// A handle on it, for pipelines and clients.
  [[nodiscard]] environment env() const noexcept;
  /// Stands where an environment is asked for.
  operator environment() const noexcept { return env(); }  // NOLINT: stands wherever one does

  /// Its executor: what handlers run on.
  [[nodiscard]] boost::asio::any_io_executor get_executor() const noexcept;
  /// Precondition: `shut_down` was not called.
  [[nodiscard]] boost::asio::io_context& context() noexcept;
  /// Its randomness, to be written down in advance.
  [[nodiscard]] scripted_entropy& random() const noexcept;

  /// The moment on its clock. Any thread.
  [[nodiscard]] time_point now() const noexcept;
  /// Runs handlers that are ready. How many.
  std::size_t run_ready();
  /// Runs one ready handler; when none is ready, goes to the next timer, unless that would come
  /// after `limit`. False when there was neither. To stop a run at each of its steps.
  bool run_one(duration limit = std::chrono::hours(1));
  /// Moves time forward, stopping at each timer that comes due on the way to run what follows from
  /// it. How many handlers ran.
  std::size_t advance(duration by);
  /// The same up to a moment; one that has passed only runs what is ready.
  std::size_t advance_to(time_point until);
  /// The clock jumps, as over a machine's sleep: every timer on the way expires before anything
  /// that is ready runs. Runs nothing itself.
  void leap(duration by);
  /// Goes from timer to timer until none is armed, or the next would come after `limit`. The clock
  /// stays at the last timer that fired. How many handlers ran.
  std::size_t run_until_idle(duration limit = std::chrono::hours(1));
  /// Goes from timer to timer until `done()`, likewise. Whether it is.
  bool run_until(const std::function<bool()>& done, duration limit = std::chrono::hours(1));

  /// How many timers are armed: calls that sleep, are queued, or run under a time limit.
  [[nodiscard]] std::size_t waits() const noexcept;
  /// Whether nothing is armed, ready or under way.
  [[nodiscard]] bool quiet();
  /// Runs what is ready; unless `quiet()`, fails the test as the destructor does. Whether it is.
  bool expect_quiet();
  /// Where reports of leftovers go instead of failing the test. An empty function silences them.
  void on_leftover(std::function<void(std::string_view)> report);
  /// How leftovers fail a test, in environments made later. matchers.hpp sets it for GoogleTest;
  /// for another framework call it before the first test. Without, they are told on the standard
  /// error stream and `std::abort` ends the program, unless an exception is under way; null brings
  /// that back. Any thread.
  static void fail_leftovers_by(void (*report)(std::string_view)) noexcept;

  /// Destroys the context with all that is under way, as a program does that ends in the middle.
  void shut_down();

 private:
  class source;
  bool step(time_point limit, std::size_t& ran);
  [[nodiscard]] std::string leftovers() const;

  std::unique_ptr<boost::asio::io_context> context_;
  std::shared_ptr<source> source_;
  std::function<void(std::string_view)> report_;
};

}  // namespace hawser::inline v0::testing
