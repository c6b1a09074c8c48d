// What a request counts as, and so whether it may go out twice: on a scripted transport, virtual
// time.
#include "hawser/http/client.hpp"
#include "hawser/http/json.hpp"
#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/policy.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/async.hpp"
#include "hawser/run/execute.hpp"
#include "hawser/run/report.hpp"
#include "hawser/testing/fake_transport.hpp"
#include "hawser/testing/fault_server.hpp"
#include "hawser/testing/manual_environment.hpp"
#include "hawser/testing/scripted_operation.hpp"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace hawser::test::client_effect_test {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using http::client;
using http::client_options;
using http::idempotency_profile;
using http::request;
using http::response;
using http::standard_pipeline;
using testing::scripted_end;
using testing::scripted_exchange;
using testing::scripted_operation;

struct client_effect : ::testing::Test {
  testing::manual_environment env;
  std::shared_ptr<testing::fake_transport> net = std::make_shared<testing::fake_transport>(env);

  client make(std::optional<idempotency_profile> keys = {},
              pipeline_builder policies = standard_pipeline("api")) {
    client_options options;
    options.transport = net;
    options.idempotency = std::move(keys);
    return client(env, "http://api.test", std::move(policies), std::move(options));
  }
  /// The first is lost on the way, after it may have arrived; the second would be booked.
  void lose_one() {
    net->script({scripted_exchange::fail(errc::connection_closed, evidence::maybe_applied),
                 scripted_exchange::answer(201)});
  }
  static request post() { return request::post("/charges").body("{}", "application/json"); }

  /// Sent once, and the caller told that nobody knows.
  void expect_sent_once(const result<response>& r) {
    ASSERT_TRUE(r.has_error());
    EXPECT_EQ(r.error(), errc::outcome_unknown) << r.error().message();
    EXPECT_EQ(net->requests().size(), 1u);
  }
  void expect_repeated_with_one_key(const result<response>& r, std::string_view header) {
    ASSERT_TRUE(r) << r.error().message();
    const auto sent = net->requests();
    ASSERT_EQ(sent.size(), 2u);
    const auto first = sent[0].header(header);
    ASSERT_TRUE(first);
    EXPECT_FALSE(first->empty());
    EXPECT_EQ(first, sent[1].header(header));
  }
};

TEST_F(client_effect, keyed_without_any_key_is_refused) {
  const client api = make();
  const auto r = api.send(post().effect(effect::keyed));
  ASSERT_TRUE(r.has_error());
  EXPECT_EQ(r.error(), errc::invalid_idempotency_key);
  EXPECT_NE(r.error().message().find("client_options::idempotency"), std::string::npos);
  EXPECT_TRUE(net->requests().empty());
}

TEST_F(client_effect, keyed_with_a_profile_gets_a_key) {
  lose_one();
  const client api = make(idempotency_profile::stripe());
  expect_repeated_with_one_key(api.send(post().effect(effect::keyed)), "Idempotency-Key");
}

TEST_F(client_effect, keyed_with_a_key_in_the_header_by_hand) {
  lose_one();
  const client api = make();
  expect_repeated_with_one_key(
      api.send(post().header("Idempotency-Key", "\"k\"").effect(effect::keyed)), "Idempotency-Key");
}

TEST_F(client_effect, unsafe_said_by_hand_stands_whatever_the_profile) {
  lose_one();
  const client api = make(idempotency_profile::stripe());
  expect_sent_once(api.send(post().effect(effect::unsafe)));
  EXPECT_FALSE(net->requests()[0].header("Idempotency-Key"));
}

TEST_F(client_effect, unsafe_said_by_hand_stands_beside_an_own_key) {
  lose_one();
  const client api = make();
  expect_sent_once(api.send(post().idempotency_key("k-1").effect(effect::unsafe)));
  EXPECT_TRUE(net->requests()[0].header("Idempotency-Key"));
}

TEST_F(client_effect, of_request_and_options_the_stricter_counts) {
  {
    lose_one();
    const client api = make();
    expect_sent_once(api.send(request::put("/charges/1").body("{}", "application/json"),
                              {.effect = effect::unsafe}));
  }
  {
    SCOPED_TRACE("never the milder");
    net = std::make_shared<testing::fake_transport>(env);
    lose_one();
    const client api = make();
    expect_sent_once(api.send(post(), {.effect = effect::safe}));
  }
}

TEST_F(client_effect, a_408_after_the_whole_request_repeats_no_unsafe_one) {
  net->script({scripted_exchange::answer(408), scripted_exchange::answer(201)});
  const client api = make();
  const auto r = api.send(post());
  EXPECT_EQ(net->requests().size(), 1u);
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(r->status(), 408);
}

TEST_F(client_effect, a_408_repeats_what_may_be_repeated) {
  net->script({scripted_exchange::answer(408), scripted_exchange::answer(200)});
  const client api = make();
  EXPECT_TRUE(api.get("/q").send());
  EXPECT_EQ(net->requests().size(), 2u);
}

TEST_F(client_effect, a_key_in_the_body_is_the_callers_own) {
  net->script({scripted_exchange::fail(errc::connection_closed, evidence::maybe_applied),
               scripted_exchange::answer(200)});
  const client api = make(idempotency_profile::square());
  const std::string body = R"({"idempotency_key":"order-1","amount":1})";
  const auto r = api.send(request::post("/v2/payments").body(body, "application/json"));
  EXPECT_TRUE(r) << r.error().message();
  ASSERT_EQ(net->requests().size(), 2u);
  for (const auto& sent : net->requests()) EXPECT_EQ(sent.body, body);
}

// A 409 asks the one call to wait whose first request is still being worked on, and nobody else.
TEST_F(client_effect, a_call_in_flight_holds_nobody_up) {
  net->script({scripted_exchange::answer(409).header("Retry-After", "20"),
               scripted_exchange::answer(200), scripted_exchange::answer(201)});
  const client api = make(idempotency_profile::stripe());
  std::optional<int> charged;
  api.async_send(post(), [&](result<response> r) { charged = r ? r->status() : 0; });
  env.run_ready();
  const time_point then = env.now();
  std::optional<time_point> got;
  api.async_send(request::get("/other"), [&](result<response>) { got = env.now(); });
  env.run_until([&] { return got.has_value(); });
  EXPECT_LT(*got - then, 100ms);
  env.run_until([&] { return charged.has_value(); });
  EXPECT_EQ(charged, 201);
  EXPECT_GE(env.now() - then, 20s);
}

TEST_F(client_effect, a_429_holds_its_route_up) {
  net->script({scripted_exchange::answer(429).header("Retry-After", "20"),
               scripted_exchange::answer(200), scripted_exchange::answer(200)});
  const client api = make();
  int done = 0;
  api.async_send(request::get("/some"), [&](result<response>) { ++done; });
  env.run_ready();
  const time_point then = env.now();
  std::optional<time_point> got;
  api.async_send(request::get("/some"), [&](result<response>) { got = env.now(); });
  env.run_until([&] { return got.has_value() && done == 1; });
  EXPECT_GE(*got - then, 20s);
}

// An early 408 is about a request that the server did not have yet.
TEST_F(client_effect, a_408_before_the_request_was_out_repeats_any) {
  testing::fault_server_options how;
  how.max_body_bytes = 128U * 1024 * 1024;
  std::atomic<int> seen{0};
  how.on_head = [&](const testing::received_request&) {
    return ++seen == 1 ? testing::plan::answer(408, "{}") : testing::plan::answer(201, "{}");
  };
  testing::fault_server server(how);
  const client api(environment{}, server.url(), standard_pipeline("api"), {});
  const auto r =
      api.send(request::post("/charges").body(std::string(64U * 1024 * 1024, 'x'), "text/plain"));
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(r->status(), 201);
  EXPECT_EQ(seen, 2);
}

// --- the story ----------------------------------------------------------------------------------

pipeline_builder queued_retry(std::shared_ptr<bulkhead_policy> slots) {
  return std::move(
      pipeline_builder{"api"}
          .add(timeout{.after = 5s})
          .add(retry{.max_attempts = 3, .delay = constant{.each = 1s, .spread = jitter::none}})
          .add(std::move(slots)));
}

/// A stage around the attempt that throws when it hears of its end, or of its time, which comes
/// while the attempt runs.
struct throwing_stage : stage {
  explicit throwing_stage(class throwing_policy& shared) : shared_(shared) {}
  step enter(tick& t) override;
  step inner_done(int, const outcome& o, tick& t) override;
  step timer(tick&) override { throw std::runtime_error("a stage's timer"); }
  throwing_policy& shared_;
};

class throwing_policy final : public policy_with<throwing_policy, throwing_stage> {
 public:
  explicit throwing_policy(bool on_time) : on_time_(on_time) {}
  std::string_view kind() const noexcept override { return "throwing"; }
  const bool on_time_;
};

step throwing_stage::enter(tick& t) {
  return shared_.on_time_ ? step::call_inner_until(later(t.now(), 1s)) : step::call_inner();
}
step throwing_stage::inner_done(int, const outcome& o, tick& t) {
  if (!shared_.on_time_) throw std::runtime_error("a stage's inner_done");
  return t.finish(o);
}

TEST_F(client_effect, what_throws_after_an_answer_makes_no_request_unsent) {
  retry around{.max_attempts = 3};
  around.transient = [](const outcome&) { return true; };
  retry throwing{.max_attempts = 2};
  throwing.transient = [](const outcome&) -> std::optional<bool> {
    throw std::runtime_error("the classifier");
  };
  const auto stack = [&] {
    return std::move(pipeline_builder("api").max_amplification(10).add(around));
  };
  const auto expect_answered = [&](pipeline_builder policies, bool for_certain = true) {
    const client api = make({}, std::move(policies));
    call_report report;
    const auto r = api.send(post(), {.report = &report});
    ASSERT_TRUE(r.has_error());
    EXPECT_EQ(r.error(), for_certain ? errc::operation_threw : errc::outcome_unknown);
    EXPECT_EQ(report.delivery, for_certain ? evidence::answered : evidence::maybe_applied);
    EXPECT_EQ(net->requests().size(), 1u) << report.to_string();
    net = std::make_shared<testing::fake_transport>(env);
  };
  net->script({scripted_exchange::answer(408)});
  expect_answered(std::move(stack().add(throwing)));
  net->script({scripted_exchange::answer(500)});
  expect_answered(std::move(stack().add(throwing)), false);
  net->script({scripted_exchange::answer(201)});
  expect_answered(std::move(stack().add(std::make_shared<throwing_policy>(false))));
}

/// A stage that gives up on a running attempt and calls that a rejection.
struct giving_up_stage : stage {
  explicit giving_up_stage(class giving_up_policy&) {}
  step enter(tick& t) override { return step::call_inner_until(later(t.now(), 1s)); }
  step inner_done(int, const outcome& o, tick& t) override { return t.finish(o); }
  step timer(tick& t) override {
    return t.finish(outcome::refuse(
        errc::rate_limited, {"giving_up", reason::limit_elapsed, 0, 1, later(t.now(), 1s)}));
  }
};

class giving_up_policy final : public policy_with<giving_up_policy, giving_up_stage> {
 public:
  std::string_view kind() const noexcept override { return "giving_up"; }
};

TEST_F(client_effect, waiting_for_permission_asks_the_resend_table_too) {
  const pipeline p = pipeline_builder("api")
                         .add(timeout{.after = 60s})
                         .add(retry{.wait_for_permission = true})
                         .add(std::make_shared<giving_up_policy>())
                         .build(env);
  for (const effect what : {effect::unsafe, effect::idempotent}) {
    const bool again = what == effect::idempotent;
    scripted_operation op{env, {scripted_end::hang(), scripted_end::ok(7)}};
    call_report report;
    error_code end = canceled_error();
    p.wrap(op, {.effect = what, .report = &report})([&](error_code ec, int) { end = ec; });
    env.run_until_idle();
    EXPECT_EQ(op.starts(), again ? 2 : 1) << report.to_string();
    EXPECT_EQ(end, again ? error_code() : errc::outcome_unknown) << report.to_string();
  }
}

/// A stage that waits after a failure.
struct resting_stage : stage {
  explicit resting_stage(class resting_policy&) {}
  step enter(tick&) override { return step::call_inner(); }
  step inner_done(int, const outcome&, tick& t) override {
    return step::sleep(later(t.now(), 10s));
  }
  step timer(tick&) override { return step::call_inner(); }
};

class resting_policy final : public policy_with<resting_policy, resting_stage> {
 public:
  std::string_view kind() const noexcept override { return "resting"; }
};

TEST_F(client_effect, what_is_cut_off_after_an_answer_was_sent) {
  const scripted_operation op{env, {scripted_end::fail(errc::client_error)}};
  const pipeline p = pipeline_builder("api")
                         .add(timeout{.after = 5s})
                         .add(std::make_shared<resting_policy>())
                         .build(env);
  call_report report;
  p.wrap(op, {.effect = effect::unsafe, .report = &report})(
      [](error_code ec, int) { EXPECT_EQ(ec, errc::call_timeout); });
  env.run_until_idle();
  EXPECT_EQ(report.delivery, evidence::answered) << report.to_string();
}

// A stage that throws while the attempt runs ends the call by what becomes of the attempt.
TEST_F(client_effect, what_throws_during_an_attempt_makes_no_request_unsent) {
  for (const bool deaf : {false, true}) {
    SCOPED_TRACE(deaf);
    scripted_operation op{env,
                          {deaf ? scripted_end::ok(7).after(2s).deaf() : scripted_end::hang()}};
    const pipeline p = pipeline_builder("api")
                           .add(retry{.max_attempts = 3})
                           .add(std::make_shared<throwing_policy>(true))
                           .build(env);
    call_report report;
    error_code end;
    p.wrap(op,
           {.effect = effect::unsafe, .report = &report})([&](error_code ec, int) { end = ec; });
    env.run_until_idle();
    EXPECT_EQ(end, deaf ? errc::operation_threw : errc::outcome_unknown) << end.message();
    EXPECT_EQ(report.delivery, deaf ? evidence::answered : evidence::maybe_applied);
    EXPECT_EQ(op.starts(), 1);
  }
}

TEST_F(client_effect, an_answer_stays_the_result_when_time_ends_before_the_next_attempt_begins) {
  const auto slots =
      std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1, .max_queue = 10});
  net->script({scripted_exchange::answer(503), scripted_exchange::answer(200)});
  const client api = make({}, queued_retry(slots));
  std::optional<result<response>> got;
  call_report report;
  call_options options;
  options.report = &report;
  api.async_send(request::get("/q"), options, [&](result<response> r) { got = std::move(r); });
  env.advance(500ms);
  const auto held = slots->try_acquire();
  env.run_until([&] { return got.has_value(); });
  ASSERT_TRUE(*got) << got->error().message();
  EXPECT_EQ((*got)->status(), 503);
  EXPECT_EQ(report.stopped, reason::deadline);
  EXPECT_EQ(report.delivery, evidence::answered);
}

TEST_F(client_effect, a_cancelled_wait_says_so) {
  net->script({scripted_exchange::answer(503).header("Retry-After", "10")});
  const client api = make();
  asio::cancellation_signal signal;
  std::optional<result<response>> got;
  call_report report;
  call_options options;
  options.report = &report;
  api.async_send(
      request::get("/q"), options,
      asio::bind_cancellation_slot(signal.slot(), [&](result<response> r) { got = std::move(r); }));
  env.advance(1s);
  signal.emit(asio::cancellation_type::terminal);
  env.run_until([&] { return got.has_value(); });
  ASSERT_TRUE(got->has_error());
  EXPECT_EQ(got->error(), condition::canceled);
  EXPECT_EQ(got->error().message().find("deadline"), std::string::npos) << got->error().message();
  EXPECT_EQ(report.stopped, reason::canceled);
}

TEST_F(client_effect, an_attempt_that_ran_out_of_time_is_told_as_that) {
  net->script({scripted_exchange::hang(), scripted_exchange::answer(200)});
  const client api =
      make({}, pipeline_builder{"api"}.add(retry{.max_attempts = 2}).add(timeout{.after = 1s}));
  call_report report;
  call_options options;
  options.report = &report;
  EXPECT_TRUE(api.send(request::get("/q"), options));
  int told = 0;
  for (const report_entry& e : report.entries)
    if (e.kind == event_kind::attempt_finished && e.attempt == 1) {
      ++told;
      EXPECT_EQ(e.error, errc::attempt_timeout);
    }
  EXPECT_EQ(told, 1);
}

// A client error without its status may be one from before the key is looked up, and anything else
// that is no success a redirect: what an earlier attempt left open stays so.
TEST_F(client_effect, a_bare_client_error_settles_nothing) {
  const pipeline around =
      pipeline_builder{"outer"}
          .add(retry{.max_attempts = 2, .delay = constant{.each = 1ms, .spread = jitter::none}})
          .build(env);
  for (const errc second : {errc::client_error, errc::unexpected_status}) {
    int calls = 0;
    const auto r = around.execute(
        [&]() -> result<int> { return error(++calls == 1 ? errc::connection_closed : second); },
        {.effect = effect::keyed});
    EXPECT_EQ(calls, 2);
    ASSERT_TRUE(r.has_error());
    EXPECT_EQ(r.error(), errc::outcome_unknown) << r.error().message();
  }
}

// A client inside another pipeline: what its answers mean to the policies around it.
TEST_F(client_effect, answers_keep_their_meaning_in_a_pipeline_around_the_client) {
  struct {
    int status;
    std::size_t requests;
  } const rows[] = {{200, 1}, {404, 1}, {429, 3}, {500, 3}};
  for (const auto& row : rows) {
    SCOPED_TRACE(row.status);
    const auto breaker =
        std::make_shared<circuit_breaker_policy>(circuit_breaker{.min_calls = 100});
    const pipeline around = pipeline_builder{"outer"}
                                .add(retry{.max_attempts = 3})
                                .add(breaker)
                                .calls_are(effect::safe)
                                .build(env);
    net = std::make_shared<testing::fake_transport>(env);
    for (std::size_t i = 0; i < row.requests; ++i)
      net->script({scripted_exchange::answer(row.status, "{}")});
    const client api = make({}, pipeline_builder{"inner"});
    const auto r = around.execute([&] { return api.send(request::get("/n")); });
    ASSERT_TRUE(r.has_value()) << r.error().message();
    EXPECT_EQ(r->status(), row.status);
    EXPECT_EQ(net->requests().size(), row.requests);
    EXPECT_EQ(breaker->snapshot(env.now()).failures, row.status == 500 ? 3U : 0U);
  }
}

// And its errors.
TEST_F(client_effect, errors_of_answers_keep_their_meaning_in_a_pipeline_around_the_client) {
  struct {
    int status;
    std::string body;
    std::size_t requests;
    errc code;
  } const rows[] = {
      {404, "{}", 1, errc::client_error},
      {200, "[]", 1, errc::json_wrong_type},
      {200, "{", 1, errc::json_malformed},
      {500, "{}", 3, errc::server_error},
  };
  const pipeline around =
      pipeline_builder{"outer"}.add(retry{.max_attempts = 3}).calls_are(effect::safe).build(env);
  for (const auto& row : rows) {
    SCOPED_TRACE(name_of(row.code));
    net = std::make_shared<testing::fake_transport>(env);
    for (std::size_t i = 0; i < row.requests; ++i)
      net->script({scripted_exchange::answer(row.status, row.body)});
    const client api = make({}, pipeline_builder{"inner"});
    const auto r = around.execute([&] { return api.get("/n").as<int>(); });
    ASSERT_TRUE(r.has_error());
    EXPECT_EQ(r.error(), row.code) << r.error().message();
    EXPECT_EQ(net->requests().size(), row.requests);
  }
}

}  // namespace
}  // namespace hawser::test::client_effect_test
