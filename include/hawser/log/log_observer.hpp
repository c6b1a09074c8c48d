// Writes a pipeline's events to a spdlog logger: one line for each call, more where one goes wrong.
//
//   auto masks = hawser::make_redactor();
//   builder.observe(std::make_shared<hawser::log::log_observer>(logger, masks));
//   // call_finished correlation=7f3a pipeline=billing operation="POST /v1/charges" attempt=3 ...
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/observe/observer.hpp"
#include "hawser/observe/redactor.hpp"

#include <memory>

namespace spdlog {
class logger;
}

namespace hawser::inline v0::log {

/// Options of a log observer.
struct log_options {
  /// Calls that ended well are written as debug rather than as info: a line for each of thousands a
  /// second tells nobody anything.
  bool quiet_successes = false;
};

/// Lines of "key=value", the event's name first; values with blanks stand in double quotes. Every
/// value goes through the redactor, then control bytes, quotes and backslashes are escaped: an
/// event is one line, whatever it carries.
///
/// `reason` is the cause's stable name, to search for; `cause` says it in words with its numbers.
/// An error's text comes without what to do about it, which `error::message()` has.
///
/// Levels: a call that succeeded or was cancelled is info (or debug, see `log_options`), one that
/// failed error; an attempt that succeeded or was cancelled debug, one that failed warn; a change
/// of a breaker's state warn; a fallback that stood in info; all others debug, starts trace. Does
/// not throw. As thread-safe as the logger.
class HAWSER_API log_observer final : public observer {
 public:
  /// Throws config_error on a null pointer.
  log_observer(std::shared_ptr<spdlog::logger> logger, std::shared_ptr<const redactor> masks,
               log_options options = {});
  ~log_observer() override;

  void on_event(const event& what) override;  ///< Writes the event's line.

 private:
  std::shared_ptr<spdlog::logger> logger_;
  std::shared_ptr<const redactor> masks_;
  log_options options_;
};

}  // namespace hawser::inline v0::log
