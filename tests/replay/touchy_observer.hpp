// An observer that throws.
#pragma once

#include "hawser/observe/observer.hpp"

#include "support/each_step.hpp"

#include <stdexcept>

namespace hawser::test {

/// Each event is a step of the fuse; the one at which it burns throws.
class touchy_observer final : public observer {
 public:
  explicit touchy_observer(fuse& f) : fuse_(f) {}
  void on_event(const event& /*what*/) override {
    if (fuse_.burns()) throw std::runtime_error("the observer");
  }

 private:
  fuse& fuse_;
};

}  // namespace hawser::test
