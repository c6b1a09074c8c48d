// Random pipelines of all policies, on virtual time: scripted ends, cancellations, leaps in time.
#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/fallback.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/async.hpp"
#include "hawser/run/report.hpp"
#include "hawser/testing/manual_environment.hpp"
#include "hawser/testing/scripted_operation.hpp"

#include "property/random_events.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>

namespace hawser::test::pipeline_property {
namespace {

using namespace std::chrono_literals;
using testing::manual_environment;
using testing::scripted_end;
using testing::scripted_operation;

constexpr int answer = 42;
constexpr int stand_in = 7;
constexpr duration winding_up = 3ms;

/// A pipeline, and what its policies still hold.
struct stack {
  pipeline_builder builder{"random"};
  std::vector<std::shared_ptr<bulkhead_policy>> bulkheads;
  std::vector<std::shared_ptr<circuit_breaker_policy>> breakers;
  std::vector<std::shared_ptr<rate_limiter_policy>> limiters;
  unsigned amplification = 1;
  bool falls_back = false;

  void check_nothing_is_held(time_point now) const {
    for (const auto& b : bulkheads) {
      same("permits in the end", b->snapshot().in_flight, 0);
      same("queued in the end", b->snapshot().queued, 0);
    }
    for (const auto& b : breakers) same("probes in the end", b->snapshot(now).probes_out, 0);
    for (const auto& l : limiters) same("waiting in the end", l->snapshot(now).waiting, 0);
  }
};

void add_any(stack& s) {
  switch (number("policy", 0, 5)) {
    case 0:
      s.builder.add(timeout{.after = one_of<duration>("after", {20ms, 5ms, 200ms}),
                            .reserve = one_of<duration>("reserve", {0ms, 4ms})});
      break;
    case 1: {
      retry o{.max_attempts = number("max_attempts", 1, 4), .delay = constant{.each = 4ms}};
      if (flag("budget")) o.budget = make_budget(token_budget{.tokens = 20});
      o.wait_for_permission = flag("wait_for_permission");
      s.amplification *= static_cast<unsigned>(o.max_attempts);
      s.builder.add(o);
      break;
    }
    case 2: {
      circuit_breaker o{.min_calls = 4, .failure_ratio = 0.5, .consecutive_failures = 3};
      o.open_for = 30ms;
      o.open_cap = 30ms;
      o.probe_lease = one_of<std::optional<duration>>("lease", {std::nullopt, 15ms});
      s.breakers.push_back(std::make_shared<circuit_breaker_policy>(o));
      s.builder.add(s.breakers.back());
      break;
    }
    case 3: {
      bulkhead o{.max_concurrent = number("max_concurrent", 1, 2), .max_queue = 2};
      o.max_queue_wait = one_of<std::optional<duration>>("queue wait", {std::nullopt, 6ms});
      s.bulkheads.push_back(std::make_shared<bulkhead_policy>(o));
      s.builder.add(s.bulkheads.back());
      break;
    }
    case 4: {
      rate_limiter o{.permits = 1, .per = 3ms, .burst = 2};
      o.max_wait = one_of<std::optional<duration>>("max_wait", {std::nullopt, 8ms});
      s.limiters.push_back(std::make_shared<rate_limiter_policy>(o));
      s.builder.add(s.limiters.back());
      break;
    }
    default:
      s.builder.add(fallback::value(stand_in));
      s.falls_back = true;
      break;
  }
}

std::vector<scripted_end> any_script() {
  const error_code reset =
      boost::system::errc::make_error_code(boost::system::errc::connection_reset);
  const error_code denied =
      boost::system::errc::make_error_code(boost::system::errc::permission_denied);
  std::vector<scripted_end> ends;
  for (int i = number("ends", 1, 12); i > 0; --i) {
    const duration takes = one_of<duration>("takes", {0ms, 1ms, 12ms});
    switch (number("end", 0, 5)) {
      case 0: ends.push_back(scripted_end::ok(answer).after(takes)); break;
      case 1: ends.push_back(scripted_end::fail(reset).after(takes)); break;
      case 2: ends.push_back(scripted_end::fail(denied).after(takes)); break;
      case 3: ends.push_back(scripted_end::hang()); break;
      case 4: ends.push_back(scripted_end::hang().winding_up(winding_up)); break;
      default: ends.push_back(scripted_end::ok(answer).after(takes + winding_up)); break;
    }
  }
  return ends;
}

struct call {
  boost::asio::cancellation_signal signal;
  call_report report;
  time_point latest = never;
  int completions = 0;
  int value = 0;
  bool canceled = false;
  error_code error;
  time_point ended{};
};

struct into {
  call* where;
  manual_environment* env;
  void operator()(error_code ec, int value) const {
    ++where->completions;
    where->error = ec;
    where->value = value;
    where->ended = env->now();
  }
};

const std::vector<kind> pipeline_ways = {
    {"call", 12}, {"pass_time", 12}, {"pass_long", 1}, {"cancel", 3}};

void start(const pipeline& p, const scripted_operation& op, manual_environment& env, call& c,
           const deed& d) {
  const duration within = 1ms + d.upto(120ms);
  c.latest = env.now() + within + winding_up;
  p.wrap(op, {.effect = static_cast<effect>(d.which(4)),
              .cost = d.once_in(5) ? 2U : 1U,
              .priority = d.once_in(3) ? 1 : 0,
              .within = within,
              .report = &c.report})(
      boost::asio::bind_cancellation_slot(c.signal.slot(), into{&c, &env}));
}

void check_ended(const call& c, const stack& s) {
  same("completions", c.completions, 1);
  require(static_cast<unsigned>(c.report.attempts) <= s.amplification, "too many attempts");
  require(c.ended <= c.latest, "past its deadline");
  same("report and handler", c.report.error, c.error);
  if (!c.error)
    require(c.value == answer || (s.falls_back && c.value == stand_in), "another value");
  if (c.error == condition::rejected && c.report.attempts == 0)
    same("delivery of the refused", c.report.delivery, evidence::never_sent);
  if (c.error == condition::canceled) require(c.canceled, "cancelled by nobody");
}

TEST(pipeline_property, each_call_ends_once_in_time_and_leaves_nothing) {
  int succeeded = 0, rejected = 0, late = 0, canceled = 0;
  holds("pipelines", pipeline_events, [&] {
    std::string leftover;
    std::deque<call> calls;
    stack s;
    manual_environment env;
    env.on_leftover([&](std::string_view what) { leftover += what; });
    for (int i = number("policies", 1, 7); i > 0; --i) add_any(s);
    s.builder.max_amplification(100'000);
    const scripted_operation op{env, any_script()};
    const auto all = *deeds(pipeline_ways, pipeline_events);
    {
      const pipeline p = s.builder.build(env);
      same("amplification", p.amplification(), s.amplification);
      for (const deed& d : all) {
        if (d.name == "call") start(p, op, env, calls.emplace_back(), d);
        if (d.name == "pass_time") env.advance(d.upto(5ms));
        if (d.name == "pass_long") env.advance(d.upto(100ms));
        if (d.name == "cancel" && !calls.empty()) {
          call& c = calls[calls.size() - 1 - d.which(std::min<std::size_t>(calls.size(), 4))];
          c.canceled = true;
          c.signal.emit(boost::asio::cancellation_type::terminal);
        }
        for (const auto& b : s.bulkheads)
          require(b->snapshot().in_flight <= b->snapshot().limit, "over the bulkhead's limit");
      }
      env.run_until_idle();
    }
    require(env.expect_quiet(), "something is left waiting");
    same("left behind", leftover, std::string());
    for (const call& c : calls) {
      check_ended(c, s);
      succeeded += !c.error ? 1 : 0;
      rejected += c.error == condition::rejected ? 1 : 0;
      late += c.error == condition::timeout ? 1 : 0;
      canceled += c.error == condition::canceled ? 1 : 0;
    }
    same("operations in flight", op.in_flight(), 0);
    s.check_nothing_is_held(env.now());
    return all.size();
  });
  if (is_replay()) return;
  EXPECT_GT(succeeded, 50);
  EXPECT_GT(rejected, 50);
  EXPECT_GT(late, 20);
  EXPECT_GT(canceled, 5);
}

}  // namespace
}  // namespace hawser::test::pipeline_property
