// Everything of core and run: pipelines, policies, blocking calls and Asio operations.
//
//   #include <hawser/hawser.hpp>
//   auto p = hawser::pipeline_builder{"quotes"}.add(hawser::retry{}).build(hawser::environment{});
//   auto quote = p.execute([] { return fetch_quote(); });
//
// Not here: http/client.hpp, http/json.hpp, run/coroutine.hpp, log/ and testing/.
#pragma once

#include "hawser/core/effect.hpp"
#include "hawser/core/error.hpp"
#include "hawser/core/result.hpp"
#include "hawser/core/secret.hpp"
#include "hawser/core/time.hpp"
#include "hawser/core/try_make.hpp"
#include "hawser/observe/event.hpp"
#include "hawser/observe/observer.hpp"
#include "hawser/observe/redactor.hpp"
#include "hawser/policy/backoff.hpp"
#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/fallback.hpp"
#include "hawser/policy/keyed.hpp"
#include "hawser/policy/policy.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "hawser/policy/refusal.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/retry_budget.hpp"
#include "hawser/policy/start_spread.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/async.hpp"
#include "hawser/run/attempt.hpp"
#include "hawser/run/environment.hpp"
#include "hawser/run/execute.hpp"
#include "hawser/run/pipeline.hpp"
#include "hawser/run/report.hpp"
#include "hawser/version.hpp"
