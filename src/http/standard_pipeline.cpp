#include "hawser/http/standard_policies.hpp"

#include "hawser/policy/start_spread.hpp"
#include "hawser/policy/timeout.hpp"

#include <utility>

namespace hawser::inline v0::http {

standard_options::standard_options() {
  using namespace std::chrono_literals;
  retry.delay = exponential{.first = 300ms, .factor = 3, .cap = 5s, .spread = jitter::equal};
  server_waits.emplace();
  server_waits->permits = 1'000'000;
  server_waits->max_wait = 60s;
  origin_breaker.emplace();
  origin_breaker->hears = failure_scope::connections;
  origin_breaker->failure_ratio = 0.9;
  origin_breaker->min_calls = 100;
  origin_breaker->max_wait = 60s;
  breaker.hears = failure_scope::exchanges;
  breaker.failure_ratio = 0.9;
  breaker.min_calls = 100;
  breaker.consecutive_failures = 12;  // of 200 clients with 20 % errors, none meets it by chance
  breaker.max_wait = 60s;
  route_bulkhead.emplace();
  route_bulkhead->max_concurrent = 200;
  route_bulkhead->max_queue = 1024;
  route_bulkhead->max_queue_wait = 2s;
  bulkhead.max_concurrent = 640;
  bulkhead.max_queue = 1024;
  bulkhead.max_queue_wait = 100ms;
}

namespace {

/// What was left unnamed is named after the pipeline: "billing retry".
template <class Options>
Options named(Options options, const std::string& pipeline, const char* what) {
  if (options.name.empty()) options.name = pipeline + ' ' + what;
  return options;
}

void check(const char* field, duration limit) {
  if (limit <= duration::zero())
    throw config_error(std::string("standard_options.") + field,
                       std::to_string(limit.count()) + " ns", "must be over 0");
}

/// An attempt's time, and what a probe may wait for the client's own rate. In the bulkheads' queues
/// nobody else stands while only probes go.
duration probe_lease(const standard_options& o) {
  time_point end = later(time_point(o.attempt_timeout), std::chrono::seconds(1));
  if (o.rate && o.rate->max_wait) end = later(end, *o.rate->max_wait);
  return end - time_point();
}

template <class Policy>
std::shared_ptr<Policy> of_route(const std::shared_ptr<keyed_policy>& all, std::string_view route) {
  return all == nullptr ? nullptr : std::static_pointer_cast<Policy>(all->of(route));
}

template <class Options>
std::shared_ptr<keyed_policy> per_route(const Options& each, std::size_t routes) {
  return std::make_shared<keyed_policy>([each] { return make_policy(each); },
                                        keyed_options{.max_keys = routes});
}

}  // namespace

standard_policies::standard_policies(std::string name, standard_options o)
    : name_(std::move(name)) {
  check("call_timeout", o.call_timeout);
  check("attempt_timeout", o.attempt_timeout);
  if (o.max_routes < 1 || o.max_routes > 1'000'000)
    throw config_error("standard_options.max_routes", std::to_string(o.max_routes),
                       "must be from 1 to 1000000");
  if (o.retry.budget == nullptr)
    o.retry.budget = make_budget(retry_budget{.name = name_ + " retry budget"});
  budget_ = o.retry.budget;
  call_timeout_ = make_policy(timeout{.name = name_ + " call timeout", .after = o.call_timeout});
  if (o.start_spread)
    start_spread_ =
        make_policy(hawser::start_spread{.name = name_ + " start spread", .over = *o.start_spread});
  retry_ = std::make_shared<retry_policy>(named(std::move(o.retry), name_, "retry"));
  if (o.rate) {
    o.rate->heeds_server = o.rate->heeds_server && !o.server_waits;
    rate_ = std::make_shared<rate_limiter_policy>(named(*o.rate, name_, "rate limiter"));
  }
  if (o.server_waits)
    waits_ = per_route(named(*o.server_waits, name_, "server waits"), o.max_routes);
  const duration lease = probe_lease(o);
  if (!o.breaker.probe_lease) o.breaker.probe_lease = lease;
  if (o.origin_breaker && !o.origin_breaker->probe_lease) o.origin_breaker->probe_lease = lease;
  if (o.origin_breaker)
    origin_breaker_ = std::make_shared<circuit_breaker_policy>(
        named(*o.origin_breaker, name_, "origin circuit breaker"));
  breakers_ = per_route(named(std::move(o.breaker), name_, "circuit breaker"), o.max_routes);
  if (o.route_bulkhead)
    route_bulkheads_ = per_route(named(*o.route_bulkhead, name_, "route bulkhead"), o.max_routes);
  bulkhead_ = std::make_shared<bulkhead_policy>(named(std::move(o.bulkhead), name_, "bulkhead"));
  attempt_timeout_ =
      make_policy(timeout{.name = name_ + " attempt timeout", .after = o.attempt_timeout});
}

pipeline_builder standard_policies::builder() const {
  pipeline_builder stack(name_);
  const auto add = [&stack](const std::shared_ptr<policy>& p) {
    if (p != nullptr) stack.add(p);
  };
  add(call_timeout_);
  add(start_spread_);
  add(retry_);
  add(waits_);
  add(breakers_);
  add(origin_breaker_);
  add(rate_);  // inside what lets calls wait: what goes out keeps the rate
  add(route_bulkheads_);
  add(bulkhead_);
  add(attempt_timeout_);
  return stack;
}

std::shared_ptr<circuit_breaker_policy> standard_policies::breaker(std::string_view route) const {
  return of_route<circuit_breaker_policy>(breakers_, route);
}

std::shared_ptr<rate_limiter_policy> standard_policies::server_waits(std::string_view route) const {
  return of_route<rate_limiter_policy>(waits_, route);
}

std::shared_ptr<bulkhead_policy> standard_policies::route_bulkhead(std::string_view route) const {
  return of_route<bulkhead_policy>(route_bulkheads_, route);
}

pipeline_builder standard_pipeline(std::string name) {
  return standard_pipeline(std::move(name), standard_options());
}

pipeline_builder standard_pipeline(std::string name, standard_options options) {
  return standard_policies(std::move(name), std::move(options)).builder();
}

}  // namespace hawser::inline v0::http
