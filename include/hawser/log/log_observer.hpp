// Writes a pipeline's events to a spdlog logger: one line for each attempt and each call.
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

/// Lines of "key=value", the event's name first; values with blanks stand in double quotes. Every
/// value goes through the redactor, then control bytes, quotes and backslashes are escaped: an
/// event is one line, whatever it carries.
///
/// Levels: an attempt that succeeded or was cancelled is info, one that failed warn; a call the
/// same but error when it failed; a breaker's change of state warn; all other decisions debug,
/// starts trace. Does not throw. As thread-safe as the logger.
class HAWSER_API log_observer final : public observer {
 public:
  /// Throws config_error on a null pointer.
  log_observer(std::shared_ptr<spdlog::logger> logger, std::shared_ptr<const redactor> masks);
  ~log_observer() override;

  void on_event(const event& what) override;  ///< Writes the event's line.

 private:
  std::shared_ptr<spdlog::logger> logger_;
  std::shared_ptr<const redactor> masks_;
};

}  // namespace hawser::inline v0::log
