// A spdlog sink in front of another: what passes through it has its secrets masked.
//
//   auto file = std::make_shared<spdlog::sinks::basic_file_sink_mt>("app.log");
//   auto sink = hawser::log::make_masking_sink(file, hawser::make_redactor());
//   auto logger = std::make_shared<spdlog::logger>("app", sink);
//   logger->info("token={}", token);                       // token=[masked]
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/observe/redactor.hpp"

#include <memory>

namespace spdlog::sinks {
class sink;
}

namespace hawser::inline v0::log {

/// A sink that hands each message on to `inner` with its text and its logger's name masked by
/// `masks`. A message that cannot be masked is replaced by a mark, never passed on as it is.
/// Pattern, level and flush work as on `inner`: the pattern is handed down to it, a message below
/// its level is not masked. As thread-safe as `inner` is. Throws config_error on a null pointer.
[[nodiscard]] HAWSER_API std::shared_ptr<spdlog::sinks::sink> make_masking_sink(
    std::shared_ptr<spdlog::sinks::sink> inner, std::shared_ptr<const redactor> masks);

}  // namespace hawser::inline v0::log
