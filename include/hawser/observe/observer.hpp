// Observers are told every event of a pipeline.
//
//   struct printer : hawser::observer {
//     void on_event(const hawser::event& e) override { std::cout << to_string(e.kind) << '\n'; }
//   };
//   builder.observe(std::make_shared<printer>());
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/observe/event.hpp"

namespace hawser::inline v0 {

/// Told of events after the state they speak of is final, in order for each call, never under a
/// lock of the library. May be called from several threads at once. What it throws is swallowed.
class HAWSER_API observer {
 public:
  observer() = default;
  observer(const observer&) = delete;
  observer& operator=(const observer&) = delete;
  virtual ~observer();
  /// `what` and its texts are valid only during this call. Should be quick: the call waits.
  virtual void on_event(const event& what) = 0;
};

}  // namespace hawser::inline v0
