#include "hawser/http/limits.hpp"

#include "hawser/core/error.hpp"

#include <string>

namespace hawser::inline v0::http {

void validate(const limits& l) {
  if (l.header_bytes < 64)
    throw config_error("limits.header_bytes", std::to_string(l.header_bytes),
                       "must be at least 64");
  if (l.header_count < 1) throw config_error("limits.header_count", "0", "must be at least 1");
  if (l.json_depth < 1 || l.json_depth > 1000)
    throw config_error("limits.json_depth", std::to_string(l.json_depth),
                       "must be at least 1 and at most 1000");
}

void validate(const time_limits& l) {
  const auto check = [](const char* field, const std::optional<duration>& limit) {
    if (limit && *limit <= duration::zero())
      throw config_error(std::string("time_limits.") + field,
                         std::to_string(limit->count()) + " ns",
                         "must be over zero; std::nullopt turns it off");
  };
  check("pool_wait", l.pool_wait);
  check("resolve", l.resolve);
  check("connect", l.connect);
  check("tls", l.tls);
  check("first_byte", l.first_byte);
  check("between_bytes", l.between_bytes);
  if (l.least_per_minute == std::size_t{0})
    throw config_error("time_limits.least_per_minute", "0",
                       "must be at least 1; std::nullopt turns it off");
}

}  // namespace hawser::inline v0::http
