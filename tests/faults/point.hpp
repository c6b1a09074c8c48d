// One run of a scenario in a process of its own, in which one thing fails.
#pragma once

#include "faults/failing.hpp"
#include "faults/stage.hpp"

#include <sys/types.h>

#include <chrono>
#include <memory>

namespace hawser::test {

enum class ending {
  good,      ///< All handlers came once, and the call afterwards went well.
  crash,     ///< The process ended by a signal or by itself.
  hang,      ///< It did not end.
  lost,      ///< A handler was never called, or called twice.
  unusable,  ///< The call afterwards failed, with nothing failing any more.
  spoilt,    ///< And so did one of a client that was made afterwards.
  escaped,   ///< All is well, but an exception came out of the caller's io_context::run().
};

struct free_pages {
  void operator()(report* r) const noexcept;
};

/// A process that runs a scenario.
class point {
 public:
  point(const scenario& what, const addresses& at, const failure& how, std::chrono::seconds limit);
  point(const point&) = delete;
  point& operator=(const point&) = delete;
  ~point();

  /// Whether it has ended; one that takes longer than its limit is ended.
  [[nodiscard]] bool ended();
  [[nodiscard]] ending how_it_ended() const noexcept;
  [[nodiscard]] const report& said() const noexcept { return *report_; }
  [[nodiscard]] const failure& how() const noexcept { return how_; }
  [[nodiscard]] int status() const noexcept { return status_; }

 private:
  std::unique_ptr<report, free_pages> report_;
  failure how_;
  std::chrono::steady_clock::time_point until_;
  pid_t process_ = -1;
  int status_ = 0;
  bool ended_ = false;
  bool late_ = false;
};

/// The same here and now, for a debugger.
void run_here(const scenario& what, const addresses& at, const failure& how);

}  // namespace hawser::test
