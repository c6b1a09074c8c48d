// Keeps the events of pipelines, so that tests can look at them afterwards.
//
//   auto seen = std::make_shared<hawser::testing::event_recorder>();
//   auto p = hawser::pipeline_builder{"billing"}.add(...).observe(seen).build(env);
//   ...
//   EXPECT_EQ(seen->count(hawser::event_kind::waiting), 2);
//   std::cout << seen->to_string();
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/observe/event.hpp"
#include "hawser/observe/observer.hpp"

#include <mutex>
#include <string>
#include <vector>

namespace hawser::inline v0::testing {

/// An event that owns its texts.
struct HAWSER_API recorded_event {
  event_kind kind = event_kind::call_started;  ///< What happened.
  time_point at{};                             ///< When, on the environment's time line.
  std::string pipeline;                        ///< The pipeline's name.
  std::string operation;                       ///< What the caller named the call.
  std::string correlation;                     ///< The call's correlation id.
  int attempt = 0;                             ///< 1 is the first; 0 when none has started.
  duration elapsed{};                          ///< How long it took, or is to take.
  error_code error{};                          ///< How it ended; empty on success.
  evidence delivery = evidence::never_sent;    ///< What is known of the arrival on the other side.
  int status = 0;                              ///< HTTP status; 0 without one.
  std::string policy;                          ///< The policy that decided: `event::why.policy`.
  reason because = reason::none;               ///< The rule: `event::why.because`.
  double measured = 0;                         ///< `event::why.measured`.
  double threshold = 0;                        ///< `event::why.threshold`.
  time_point until = never;                    ///< `event::why.until`.
  std::string from;                            ///< The state left, of state_changed.
  std::string to;                              ///< The state entered, of state_changed.
  errc refused{};                              ///< What refused: `event::why.refused`.
  reason refused_for = reason::none;           ///< Its rule: `event::why.refused_for`.

  recorded_event() = default;
  /// Copies the event's texts.
  explicit recorded_event(const event& what);

  friend bool operator==(const recorded_event&, const recorded_event&) = default;

  /// One line, times counted from `start`.
  [[nodiscard]] std::string to_string(time_point start) const;
};

/// Thread-safe.
class HAWSER_API event_recorder final : public observer {
 public:
  void on_event(const event& what) override;  ///< Keeps the event.

  /// All events so far, in the order they came.
  [[nodiscard]] std::vector<recorded_event> events() const;
  /// Those of one kind.
  [[nodiscard]] std::vector<recorded_event> events(event_kind kind) const;
  /// The kinds of all events, in order.
  [[nodiscard]] std::vector<event_kind> kinds() const;
  /// How many there were of one kind.
  [[nodiscard]] int count(event_kind kind) const;
  /// A line an event, times counted from the first.
  [[nodiscard]] std::string to_string() const;
  /// Forgets them all.
  void clear();

 private:
  mutable std::mutex mutex_;
  std::vector<recorded_event> events_;
};

}  // namespace hawser::inline v0::testing
