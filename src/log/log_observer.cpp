#include "hawser/log/log_observer.hpp"

#include "hawser/core/error.hpp"
#include "hawser/core/forced_unwind.hpp"

#include "core/brief.hpp"
#include "core/printable.hpp"

#include <spdlog/logger.h>

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

namespace hawser::inline v0::log {

namespace {

namespace level = spdlog::level;

level::level_enum level_of(const event& what, const log_options& options) noexcept {
  const bool failed = what.error && what.error != canceled_error();
  switch (what.kind) {
    case event_kind::call_started:
    case event_kind::attempt_started: return level::trace;
    case event_kind::attempt_finished: return failed ? level::warn : level::debug;
    case event_kind::call_finished:
      if (failed) return level::err;
      return options.quiet_successes ? level::debug : level::info;
    case event_kind::state_changed:
    case event_kind::short_lived_clients: return level::warn;
    case event_kind::fallback_used: return level::info;
    default: return level::debug;
  }
}

/// Whether an event of this kind says how something ended.
bool has_ending(event_kind kind) noexcept {
  return kind == event_kind::attempt_finished || kind == event_kind::call_finished ||
         kind == event_kind::late_result;
}

bool needs_quotes(std::string_view text) noexcept {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte >= 0x7f || c == '"' || c == '\\' || c == '=') return true;
  }
  return text.empty();
}

class line_writer {
 public:
  line_writer(const redactor& masks, std::string_view name) : masks_(masks), line_(name) {}

  /// Text from outside: masked, then escaped. Nothing is written for an empty one.
  void text(std::string_view key, std::string_view value) {
    if (value.empty()) return;
    const std::string masked = masks_.text(value);
    const bool quoted = needs_quotes(masked);
    begin(key);
    if (quoted) line_ += '"';
    detail::append_printable(line_, masked, true);
    if (quoted) line_ += '"';
  }

  void number(std::string_view key, long long value) {
    begin(key);
    line_ += std::to_string(value);
  }

  /// In milliseconds, to the microsecond. Not by printf: that takes its point from the locale.
  void milliseconds(std::string_view key, duration value) {
    const long long all = std::chrono::duration_cast<std::chrono::microseconds>(value).count();
    const std::string micros = std::to_string(1000 + (all < 0 ? -all : all) % 1000);
    begin(key);
    if (all < 0) line_ += '-';
    line_ += std::to_string((all < 0 ? -all : all) / 1000);
    line_.append(".").append(micros, 1, 3);
  }

  [[nodiscard]] const std::string& line() const noexcept { return line_; }

 private:
  void begin(std::string_view key) { line_.append(" ").append(key).append("="); }

  const redactor& masks_;
  std::string line_;
};

/// "call_timeout", or "system:110" for the codes of others.
std::string error_name(const error_code& code) {
  if (code.category() == error_category())
    return std::string(name_of(static_cast<errc>(code.value())));
  return std::string(code.category().name()) + ":" + std::to_string(code.value());
}

std::string line_of(const event& what, const redactor& masks) {
  line_writer out(masks, to_string(what.kind));
  out.text("correlation", what.correlation);
  out.text("pipeline", what.pipeline);
  out.text("operation", what.operation);
  if (what.attempt != 0) out.number("attempt", what.attempt);
  if (what.status != 0) out.number("status", what.status);
  if (has_ending(what.kind) || what.elapsed != duration::zero())
    out.milliseconds("elapsed_ms", what.elapsed);
  if (what.error) {
    out.text("error", error_name(what.error));
    out.text("message", detail::brief(what.error));
  }
  if (has_ending(what.kind)) out.text("delivery", to_string(what.delivery));
  if (!what.from.empty() || !what.to.empty())
    out.text("state", std::string(what.from) + " -> " + std::string(what.to));
  out.text("policy", what.why.policy);
  if (what.why.because != reason::none) {
    out.text("reason", to_string(what.why.because));
    out.text("cause", in_words(what));
  }
  return out.line();
}

}  // namespace

log_observer::log_observer(std::shared_ptr<spdlog::logger> logger,
                           std::shared_ptr<const redactor> masks, log_options options)
    : logger_(std::move(logger)), masks_(std::move(masks)), options_(options) {
  if (logger_ == nullptr) throw config_error("log_observer.logger", "null", "must be a logger");
  if (masks_ == nullptr) throw config_error("log_observer.masks", "null", "must be a redactor");
}

log_observer::~log_observer() = default;

void log_observer::on_event(const event& what) {
  const level::level_enum level = level_of(what, options_);
  if (!logger_->should_log(level)) return;
  try {
    // As text, not as a format: braces in it are just braces.
    logger_->log(level, spdlog::string_view_t(line_of(what, *masks_)));
  } catch (...) {
    if (hawser::detail::unwinding_by_force()) throw;
    // Logging must not end a call; spdlog has told its error handler.
  }
}

}  // namespace hawser::inline v0::log
