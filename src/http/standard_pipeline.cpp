#include "hawser/http/standard_options.hpp"

#include "hawser/policy/timeout.hpp"

#include <utility>

namespace hawser::inline v0::http {

standard_options::standard_options() {
  using namespace std::chrono_literals;
  retry.delay = exponential{.first = 100ms, .cap = 5s};
  bulkhead.max_concurrent = 64;
  bulkhead.max_queue = 1024;
  rate.emplace();
  rate->permits = 1'000'000;
  rate->max_wait = 60s;
  breaker.window = time_window{};
}

pipeline_builder standard_pipeline(std::string name) {
  return standard_pipeline(std::move(name), standard_options());
}

pipeline_builder standard_pipeline(std::string name, standard_options options) {
  const auto check = [](const char* field, duration limit) {
    if (limit <= duration::zero())
      throw config_error(std::string("standard_options.") + field,
                         std::to_string(limit.count()) + " ns", "must be over 0");
  };
  check("call_timeout", options.call_timeout);
  check("attempt_timeout", options.attempt_timeout);
  if (options.retry.budget == nullptr) options.retry.budget = make_budget(retry_budget{});
  pipeline_builder builder(std::move(name));
  builder.add(timeout{.name = "call timeout", .after = options.call_timeout});
  builder.add(std::move(options.bulkhead));
  builder.add(std::move(options.retry));
  if (options.rate) builder.add(std::move(*options.rate));
  builder.add(std::move(options.breaker));
  builder.add(timeout{.name = "attempt timeout", .after = options.attempt_timeout});
  return builder;
}

}  // namespace hawser::inline v0::http
