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
  event_kind kind = event_kind::call_started;
  time_point at{};
  std::string pipeline;
  std::string operation;
  std::string correlation;
  int attempt = 0;
  duration elapsed{};
  error_code error{};
  evidence delivery = evidence::never_sent;
  int status = 0;
  std::string policy;
  reason because = reason::none;
  double measured = 0;
  double threshold = 0;
  time_point until = never;
  std::string from;
  std::string to;

  recorded_event() = default;
  explicit recorded_event(const event& what);

  friend bool operator==(const recorded_event&, const recorded_event&) = default;

  /// One line, times counted from `start`.
  [[nodiscard]] std::string to_string(time_point start) const;
};

/// Thread-safe.
class HAWSER_API event_recorder final : public observer {
 public:
  void on_event(const event& what) override;

  [[nodiscard]] std::vector<recorded_event> events() const;
  [[nodiscard]] std::vector<recorded_event> events(event_kind kind) const;
  [[nodiscard]] std::vector<event_kind> kinds() const;
  [[nodiscard]] int count(event_kind kind) const;
  /// A line an event, times counted from the first.
  [[nodiscard]] std::string to_string() const;
  void clear();

 private:
  mutable std::mutex mutex_;
  std::vector<recorded_event> events_;
};

}  // namespace hawser::inline v0::testing
