#include "hawser/http/client.hpp"
#include "hawser/http/json.hpp"
#include "hawser/http/standard_policies.hpp"
#include "hawser/policy/fallback.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/execute.hpp"
#include "hawser/testing/event_recorder.hpp"
#include "hawser/testing/fake_transport.hpp"
#include "hawser/testing/manual_environment.hpp"

#include "http/expect_error.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <stop_token>
#include <string>

namespace hawser::test::client_policies_test {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using http::client;
using http::client_options;
using http::idempotency_profile;
using http::request;
using http::response;
using http::standard_options;
using http::standard_pipeline;
using testing::event_recorder;
using testing::fake_transport;
using testing::manual_environment;
using testing::recorded_event;
using testing::scripted_exchange;
using testing::sent_request;

const error_code reset =
    boost::system::errc::make_error_code(boost::system::errc::connection_reset);
const error_code refused =
    boost::system::errc::make_error_code(boost::system::errc::connection_refused);

/// How an asynchronous call ended.
struct ended {
  int count = 0;
  std::optional<result<response>> what{};
  [[nodiscard]] error_code code() const {
    return what && what->has_error() ? what->error().code() : error_code();
  }
};

class client_policies : public ::testing::Test {
 protected:
  client_policies() {
    env.on_leftover([](std::string_view what) { ADD_FAILURE() << "left behind: " << what; });
    net->otherwise(scripted_exchange::answer(200));
  }

  client make(standard_options policies = {}, client_options options = {}) {
    return over(standard_pipeline("api", std::move(policies)), std::move(options));
  }
  client over(pipeline_builder policies, client_options options = {}) {
    if (!options.transport) options.transport = net;
    return {env, "http://api.test", std::move(policies.observe(seen)), std::move(options)};
  }
  static client_options keyed_by(idempotency_profile profile) {
    client_options o;
    o.idempotency = std::move(profile);
    return o;
  }
  static request charge() { return request::post("/v1/charges").body(R"({"amount":7})", "a/b"); }

  auto into(ended& e) {
    return asio::bind_cancellation_slot(signal.slot(), [&e](result<response> r) {
      ++e.count;
      e.what.emplace(std::move(r));
    });
  }
  std::vector<std::string> sent(std::string_view header) const {
    std::vector<std::string> values;
    for (const sent_request& r : net->requests())
      values.emplace_back(r.header(header).value_or("(none)"));
    return values;
  }

  asio::cancellation_signal signal;
  manual_environment env;
  std::shared_ptr<fake_transport> net = std::make_shared<fake_transport>(env);
  std::shared_ptr<event_recorder> seen = std::make_shared<event_recorder>();
  call_report report;
  const call_options told{.report = &report};
};

// --- what is sent again ------------------------------------------------------------------------

TEST_F(client_policies, a_get_is_sent_again_after_whatever_a_later_try_may_mend) {
  const std::pair<const char*, std::function<scripted_exchange()>> cases[] = {
      {"500", [] { return scripted_exchange::answer(500); }},
      {"502", [] { return scripted_exchange::answer(502); }},
      {"503", [] { return scripted_exchange::answer(503); }},
      {"429", [] { return scripted_exchange::answer(429); }},
      {"reset", [] { return scripted_exchange::fail(reset); }},
      {"closed", [] { return scripted_exchange::fail(errc::connection_closed); }},
      {"torn", [] { return scripted_exchange::fail(errc::truncated_response); }},
      {"refused", [] { return scripted_exchange::fail(refused, evidence::never_sent); }},
  };
  const client api = make();
  for (const auto& [name, fault] : cases) {
    SCOPED_TRACE(name);
    const std::size_t before = net->requests().size();
    net->script({fault(), scripted_exchange::answer(200, "\"ok\"")});
    const result<response> r = api.send(request::get("/x"), told);
    ASSERT_TRUE(r) << r.error().message();
    EXPECT_EQ(r->status(), 200);
    EXPECT_EQ(r->body(), "\"ok\"");
    EXPECT_EQ(r->evidence(), evidence::answered);
    EXPECT_EQ(net->requests().size() - before, 2u);
    EXPECT_EQ(report.attempts, 2);
  }
}

TEST_F(client_policies, what_a_later_try_cannot_mend_is_not_sent_again) {
  const client api = make();
  for (const int status : {301, 400, 401, 404, 409, 410, 422, 501, 505}) {
    SCOPED_TRACE(status);
    const std::size_t before = net->requests().size();
    net->script({scripted_exchange::answer(status)});
    const result<response> r = api.send(request::get("/x"), told);
    ASSERT_TRUE(r) << r.error().message();
    EXPECT_EQ(r->status(), status);
    EXPECT_EQ(net->requests().size() - before, 1u);
  }
  net->script({scripted_exchange::fail(errc::certificate_expired, evidence::never_sent)});
  EXPECT_EQ(api.send(request::get("/x")).error(), errc::certificate_expired);
  EXPECT_EQ(net->script_left(), 0u);
}

TEST_F(client_policies, an_unsafe_request_cut_after_it_went_out_is_never_sent_again) {
  const struct {
    const char* name;
    error_code code;
    reason stopped;
  } cases[] = {
      {"reset", reset, reason::not_resendable},
      {"closed", errc::connection_closed, reason::not_resendable},
      {"torn", errc::truncated_response, reason::not_resendable},
      {"stalled", errc::first_byte_timeout, reason::not_resendable},
      {"nonsense", errc::malformed_response, reason::not_retryable},
  };
  standard_options patient;
  patient.breaker.consecutive_failures.reset();
  patient.breaker.failure_ratio = 1;
  const client api = make(patient);
  for (const auto how : {http::method::post, http::method::patch}) {
    for (const auto& [name, code, stopped] : cases) {
      SCOPED_TRACE(name);
      const std::size_t before = net->requests().size();
      net->script({scripted_exchange::fail(code, evidence::maybe_applied, "api.test:80 cut it")});
      const result<response> r = api.send(request(how, "/v1/charges").body("{}", "a/b"), told);
      ASSERT_TRUE(r.has_error());
      expect_error(r.error(), errc::outcome_unknown, condition::ambiguous,
                   {"reconcile before repeating it", code.message(), "api.test:80 cut it"});
      EXPECT_EQ(net->requests().size() - before, 1u);
      EXPECT_EQ(report.delivery, evidence::maybe_applied);
      EXPECT_EQ(report.error, errc::outcome_unknown);
      EXPECT_EQ(report.stopped, stopped);
      EXPECT_TRUE(report.key_fingerprint.empty());
    }
  }
}

TEST_F(client_policies, an_unsafe_request_that_was_refused_is_sent_again) {
  const client api = make();
  for (const int status : {429, 503}) {
    SCOPED_TRACE(status);
    const std::size_t before = net->requests().size();
    net->script({scripted_exchange::answer(status).header("Retry-After", "2"),
                 scripted_exchange::answer(201)});
    const result<response> r = api.send(charge());
    ASSERT_TRUE(r) << r.error().message();
    EXPECT_EQ(r->status(), 201);
    const auto requests = net->requests();
    ASSERT_EQ(requests.size() - before, 2u);
    EXPECT_GE(requests[before + 1].at - requests[before].at, 2s);
    EXPECT_EQ(requests[before + 1].body, R"({"amount":7})");
    env.advance(1h);
  }
}

TEST_F(client_policies, an_unsafe_request_that_was_answered_is_not_sent_again) {
  const client api = make();
  for (const int status : {500, 503}) {  // 503 without Retry-After may have done half of the work
    SCOPED_TRACE(status);
    const std::size_t before = net->requests().size();
    net->script({scripted_exchange::answer(status)});
    const result<response> r = api.send(charge());
    ASSERT_TRUE(r) << r.error().message();
    EXPECT_EQ(r->status(), status);
    EXPECT_EQ(r->evidence(), evidence::maybe_applied);
    EXPECT_EQ(net->requests().size() - before, 1u);
  }
}

TEST_F(client_policies, an_unsafe_request_that_never_left_is_sent_again) {
  net->script({scripted_exchange::fail(refused, evidence::never_sent),
               scripted_exchange::fail(errc::connect_timeout, evidence::never_sent),
               scripted_exchange::answer(201)});
  const client api = make();
  const result<response> r = api.send(charge());
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(r->status(), 201);
  EXPECT_EQ(net->requests().size(), 3u);
}

TEST_F(client_policies, what_the_request_says_of_its_effect_overrides_the_method) {
  net->script({scripted_exchange::fail(reset), scripted_exchange::answer(200),
               scripted_exchange::fail(reset)});
  const client api = make();
  EXPECT_TRUE(api.send(request::post("/search").effect(effect::safe)));
  EXPECT_EQ(api.send(request::get("/legacy/do-it").effect(effect::unsafe)).error(),
            errc::outcome_unknown);
  EXPECT_EQ(net->requests().size(), 3u);
}

TEST_F(client_policies, exhausted_retries_deliver_the_last_answer_with_its_evidence) {
  net->handle([](const sent_request& r) {
    return scripted_exchange::answer(503, "{\"body\":\"" + r.target + "\"}");
  });
  const client api = make();
  const result<response> r = api.send(request::get("/x"), told);
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(r->status(), 503);
  EXPECT_EQ(r->body(), R"({"body":"/x"})");
  EXPECT_EQ(r->effect(), effect::safe);
  EXPECT_EQ(net->requests().size(), 3u);
  EXPECT_EQ(report.attempts, 3);
  EXPECT_EQ(report.stopped, reason::max_attempts);
  EXPECT_EQ(report.error, errc::server_error);
  EXPECT_EQ((*r).ensure_success().error(), errc::server_error);
}

// Some APIs say only in the body that it was too much.
TEST_F(client_policies, a_pipeline_reads_answers_by_its_own_rules) {
  net->script({scripted_exchange::answer(403, R"({"error":"rate_limit"})"),
               scripted_exchange::answer(200)});
  pipeline_builder policies = standard_pipeline("api");
  policies.classify<response>([](const response& answer, outcome& o) {
    if (answer.status() != 403 || answer.body().find("rate_limit") == std::string_view::npos)
      return;
    o.result = verdict::failed;
    o.transient = o.throttled = true;
    o.delivery = evidence::refused;
  });
  const client api = over(std::move(policies));
  const result<response> r = api.send(charge());
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(r->status(), 200);
  EXPECT_EQ(net->requests().size(), 2u);
}

// The pool is ours, too: its refusal is no attempt and hides nothing.
TEST_F(client_policies, a_full_pool_ends_the_call_at_once) {
  net->handle([](const sent_request&) {
    return scripted_exchange::fail(errc::pool_full, evidence::never_sent, "all 8 are taken");
  });
  const client api = make();
  const result<response> r = api.send(request::get("/x"), told);
  EXPECT_EQ(r.error(), errc::pool_full);
  EXPECT_NE(r.error().detail().find("all 8 are taken"), std::string_view::npos);
  EXPECT_EQ(net->requests().size(), 1u);
  EXPECT_EQ(seen->count(event_kind::waiting), 0);
}

TEST_F(client_policies, a_full_pool_hides_no_answer_before_it) {
  net->script({scripted_exchange::answer(503, R"({"why":"ill"})"),
               scripted_exchange::fail(errc::pool_full, evidence::never_sent)});
  const client api = make();
  const result<response> r = api.send(request::get("/x"), told);
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(r->status(), 503);
  EXPECT_EQ(r->body(), R"({"why":"ill"})");
  EXPECT_EQ(report.stopped, reason::local_rejection);
  const error why = (*r).ensure_success().error();
  EXPECT_NE(why.detail().find("pool_full"), std::string_view::npos) << why.detail();
}

TEST_F(client_policies, a_full_pool_hides_no_error_before_it) {
  net->script({scripted_exchange::fail(reset, evidence::maybe_applied, "after 3 bytes"),
               scripted_exchange::fail(errc::pool_full, evidence::never_sent)});
  const client api = make();
  const result<response> r = api.send(request::get("/x"), told);
  EXPECT_EQ(r.error(), reset);
  EXPECT_NE(r.error().detail().find("after 3 bytes"), std::string_view::npos);
  EXPECT_NE(r.error().detail().find("pool_full"), std::string_view::npos) << r.error().detail();
}

// Nor do several in a row, as with a retry that waits for permission.
TEST_F(client_policies, a_pool_that_stays_full_hides_nothing_however_often_it_is_asked) {
  for (const int refusals : {1, 2, 3, 4}) {
    for (const bool answered : {true, false}) {
      SCOPED_TRACE(std::to_string(refusals) + (answered ? " after a 500" : " after a reset"));
      net->script({answered
                       ? scripted_exchange::answer(500, R"({"why":"ill"})")
                       : scripted_exchange::fail(reset, evidence::never_sent, "the real one")});
      const std::size_t before = net->requests().size();
      net->otherwise(scripted_exchange::fail(errc::pool_full, evidence::never_sent));
      const client api = over(pipeline_builder("api")
                                  .add(timeout{.after = refusals * 1s + 500ms})
                                  .add(retry{.max_attempts = 9,
                                             .delay = constant{.each = 1s, .spread = jitter::none},
                                             .wait_for_permission = true}));
      const result<response> r = api.send(request::get("/x"), told);
      EXPECT_EQ(net->requests().size() - before, static_cast<std::size_t>(1 + refusals));
      if (answered) {
        ASSERT_TRUE(r) << r.error().message();
        EXPECT_EQ(r->status(), 500);
        EXPECT_EQ(r->body(), R"({"why":"ill"})");
      } else {
        EXPECT_EQ(r.error(), reset);
        EXPECT_NE(r.error().detail().find("the real one"), std::string_view::npos);
      }
    }
  }
}

TEST_F(client_policies, what_comes_after_refusals_of_the_pool_is_what_counts) {
  net->script({scripted_exchange::answer(500),
               scripted_exchange::fail(errc::pool_full, evidence::never_sent),
               scripted_exchange::fail(errc::pool_full, evidence::never_sent),
               scripted_exchange::answer(200, "at last")});
  const client api = over(pipeline_builder("api")
                              .add(timeout{.after = 1min})
                              .add(retry{.max_attempts = 2, .wait_for_permission = true}));
  const result<response> r = api.send(request::get("/x"), told);
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(r->body(), "at last");
}

TEST_F(client_policies, a_gateways_answer_to_an_unsafe_request_leaves_the_outcome_unknown) {
  const client api = make();
  for (const int status : {502, 504}) {
    SCOPED_TRACE(status);
    const std::size_t before = net->requests().size();
    net->script({scripted_exchange::answer(status)});
    const result<response> r = api.send(charge());
    ASSERT_TRUE(r) << r.error().message();
    EXPECT_EQ(net->requests().size() - before, 1u);
    EXPECT_EQ(r->effect(), effect::unsafe);
    EXPECT_EQ(r->evidence(), evidence::maybe_applied);
    const error unknown = r->ensure_success().error();
    expect_error(unknown, errc::outcome_unknown, condition::ambiguous,
                 {std::to_string(status), "reconcile"});
  }
  net->handle([](const sent_request&) { return scripted_exchange::answer(504); });
  const result<response> read = api.send(request::get("/x"));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->ensure_success().error(), errc::server_error);
}

TEST_F(client_policies, no_second_failure_hides_that_the_first_try_may_have_been_applied) {
  // Keyed, so it may be repeated; but if the repeats are turned away, nobody knows about the first.
  net->script({scripted_exchange::fail(reset),
               scripted_exchange::fail(refused, evidence::never_sent),
               scripted_exchange::fail(refused, evidence::never_sent)});
  const client api = make();
  const result<response> r = api.send(charge().idempotency_key("o-1"), told);
  ASSERT_TRUE(r.has_error());
  expect_error(r.error(), errc::outcome_unknown, condition::ambiguous,
               {"idempotency key #" + http::fingerprint("o-1"), "reconcile", refused.message()});
  EXPECT_EQ(report.delivery, evidence::maybe_applied);
}

TEST_F(client_policies, a_transient_answer_does_not_settle_what_became_of_the_first_try) {
  for (const int status : {429, 500, 503}) {
    SCOPED_TRACE(status);
    net->script({scripted_exchange::fail(reset), scripted_exchange::answer(status),
                 scripted_exchange::answer(status)});
    const client api = make();
    const result<response> r = api.send(charge().idempotency_key("o-1"), told);
    ASSERT_TRUE(r) << r.error().message();
    EXPECT_EQ(r->status(), status);
    EXPECT_EQ(r->evidence(), evidence::maybe_applied);
    EXPECT_EQ(r->ensure_success().error(), errc::outcome_unknown);
  }
}

// --- idempotency keys --------------------------------------------------------------------------

TEST_F(client_policies, a_key_is_the_same_on_each_attempt) {
  net->script({scripted_exchange::fail(reset), scripted_exchange::answer(500),
               scripted_exchange::answer(201)});
  const client api = make();
  const result<response> r = api.send(charge().idempotency_key("order 1"), told);
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(r->status(), 201);
  EXPECT_EQ(r->effect(), effect::keyed);
  EXPECT_EQ(sent("Idempotency-Key"), std::vector<std::string>(3, "\"order 1\""));
  EXPECT_EQ(report.key_fingerprint, http::fingerprint("order 1"));
}

TEST_F(client_policies, keys_are_minted_only_where_the_api_honours_them_and_once_per_call) {
  {
    const client plain = make();
    ASSERT_TRUE(plain.send(charge()));
    EXPECT_EQ(sent("Idempotency-Key"), std::vector<std::string>{"(none)"});
  }
  const client api = make({}, keyed_by(idempotency_profile::stripe()));
  net->script({scripted_exchange::fail(reset), scripted_exchange::answer(201),
               scripted_exchange::answer(201)});
  ASSERT_TRUE(api.send(charge(), told));
  const std::string fingerprint = report.key_fingerprint;
  ASSERT_TRUE(api.send(charge()));  // an equal order is another operation
  ASSERT_TRUE(api.send(request::patch("/v1/charges/1")));
  ASSERT_TRUE(api.send(request::get("/x")));
  ASSERT_TRUE(api.send(request::put("/x").body("{}", "a/b")));
  ASSERT_TRUE(api.send(request::delete_("/x")));
  ASSERT_TRUE(api.send(request::post("/search").effect(effect::safe)));
  const auto keys = sent("Idempotency-Key");
  ASSERT_EQ(keys.size(), 9u);
  EXPECT_EQ(keys[1].size(), 36u);
  EXPECT_EQ(fingerprint, http::fingerprint(keys[1]));
  EXPECT_EQ(keys[1], keys[2]);
  EXPECT_NE(keys[2], keys[3]);
  EXPECT_EQ(keys[4].size(), 36u);
  EXPECT_NE(keys[3], keys[4]);
  for (std::size_t i = 5; i < 9; ++i) EXPECT_EQ(keys[i], "(none)");
}

TEST_F(client_policies, the_callers_own_key_wins) {
  const client api = make({}, keyed_by(idempotency_profile::stripe()));
  ASSERT_TRUE(api.send(charge().idempotency_key("o-1"), told));
  ASSERT_TRUE(api.send(request::put("/x").idempotency_key("o-2")));
  EXPECT_EQ(sent("Idempotency-Key"), (std::vector<std::string>{"o-1", "o-2"}));
  EXPECT_EQ(report.key_fingerprint, http::fingerprint("o-1"));
}

TEST_F(client_policies, profiles_put_the_key_where_their_servers_look) {
  struct {
    idempotency_profile profile;
    std::string_view header;
    std::string_view value;
    std::string_view body;
  } const cases[] = {
      {idempotency_profile::ietf(), "Idempotency-Key", "\"o-1\"", R"({"amount":1.10})"},
      {idempotency_profile::stripe(), "Idempotency-Key", "o-1", R"({"amount":1.10})"},
      {idempotency_profile::paypal(), "PayPal-Request-Id", "o-1", R"({"amount":1.10})"},
      {idempotency_profile::adyen(), "Idempotency-Key", "o-1", R"({"amount":1.10})"},
      {idempotency_profile::square(), "Idempotency-Key", "(none)",
       R"({"idempotency_key":"o-1","amount":1.10})"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.profile.name);
    auto own = std::make_shared<fake_transport>(env);
    own->script({scripted_exchange::fail(reset), scripted_exchange::answer(201)});
    client_options options = keyed_by(c.profile);
    options.transport = own;
    const client api = make({}, options);
    ASSERT_TRUE(api.send(
        request::post("/p").body(R"({"amount":1.10})", "application/json").idempotency_key("o-1")));
    ASSERT_EQ(own->requests().size(), 2u);
    for (const sent_request& r : own->requests()) {
      EXPECT_EQ(r.header(c.header).value_or("(none)"), c.value);
      EXPECT_EQ(r.body, c.body);
      EXPECT_TRUE(r.has_body);
    }
  }
}

TEST_F(client_policies, a_key_in_flight_is_asked_for_again_and_another_payload_is_not) {
  const client api = make();
  net->script({scripted_exchange::fail(reset), scripted_exchange::answer(409),
               scripted_exchange::answer(201)});
  const result<response> later = api.send(charge().idempotency_key("o-1"));
  ASSERT_TRUE(later) << later.error().message();
  EXPECT_EQ(later->status(), 201);
  EXPECT_EQ(sent("Idempotency-Key"), std::vector<std::string>(3, "\"o-1\""));

  net->script({scripted_exchange::answer(422)});
  const result<response> other = api.send(charge().idempotency_key("o-1"));
  ASSERT_TRUE(other);
  EXPECT_EQ(other->status(), 422);
  net->script({scripted_exchange::answer(409)});  // without a key a conflict is a conflict
  const result<response> plain = api.send(charge());
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->status(), 409);
  EXPECT_EQ(net->requests().size(), 5u);
}

TEST_F(client_policies, a_key_older_than_the_server_remembers_is_not_sent_again) {
  standard_options slow;
  slow.call_timeout = 100h;
  slow.attempt_timeout = 30h;
  slow.retry.delay = constant{.each = 1h, .spread = jitter::none};
  const client api = make(slow, keyed_by(idempotency_profile::stripe()));
  const std::function<scripted_exchange()> faults[] = {
      [] { return scripted_exchange::fail(reset).after(23h); },
      [] { return scripted_exchange::answer(503).after(23h); },
  };
  for (const auto& fault : faults) {
    const std::size_t before = net->requests().size();
    net->script({fault()});
    const result<response> r = api.send(charge().idempotency_key("o-1"), told);
    ASSERT_TRUE(r.has_error()) << r->status();
    expect_error(r.error(), errc::outcome_unknown, condition::ambiguous,
                 {"older than the server remembers", "#" + http::fingerprint("o-1"), "reconcile"});
    EXPECT_EQ(net->requests().size() - before, 1u);
  }
  // A second sooner it goes out.
  net->script({scripted_exchange::fail(reset).after(23h - 1s), scripted_exchange::answer(201)});
  EXPECT_TRUE(api.send(charge().idempotency_key("o-2")));
}

TEST_F(client_policies, raw_keys_are_in_no_report_error_or_event) {
  const client api = make({}, keyed_by(idempotency_profile::stripe()));
  const auto look = [&](std::string_view key, const error& why) {
    EXPECT_EQ(why.message().find(key), std::string::npos) << why.message();
    EXPECT_NE(why.message().find("#" + http::fingerprint(key)), std::string::npos) << why.message();
    EXPECT_EQ(report.to_string().find(key), std::string::npos) << report.to_string();
    EXPECT_NE(report.to_string().find("#" + http::fingerprint(key)), std::string::npos);
    EXPECT_EQ(seen->to_string().find(key), std::string::npos);
  };
  net->handle([](const sent_request&) { return scripted_exchange::fail(reset); });
  look("order-4711", api.send(charge().idempotency_key("order-4711"), told).error());
  env.advance(1h);
  const error minted = api.send(charge(), told).error();
  look(sent("Idempotency-Key").back(), minted);
}

// --- headers of the client's own ---------------------------------------------------------------

TEST_F(client_policies, attempt_and_correlation_go_out_with_each_attempt) {
  client_options options;
  options.attempt_header = "X-Attempt";
  options.correlation_header = "X-Correlation-Id";
  const client api = make({}, options);
  net->script({scripted_exchange::answer(503), scripted_exchange::fail(reset),
               scripted_exchange::answer(200), scripted_exchange::answer(200)});
  call_options mine;
  mine.correlation = "7f3a";
  ASSERT_TRUE(api.send(request::get("/x").header("X-Own", "1"), mine));
  ASSERT_TRUE(api.send(request::get("/y"), told));
  EXPECT_EQ(sent("X-Attempt"), (std::vector<std::string>{"1", "2", "3", "1"}));
  EXPECT_EQ(sent("X-Own"), (std::vector<std::string>{"1", "1", "1", "(none)"}));
  const auto ids = sent("X-Correlation-Id");
  EXPECT_EQ(std::count(ids.begin(), ids.end(), "7f3a"), 3);
  EXPECT_EQ(ids[3].size(), 16u);
  EXPECT_EQ(ids[3], report.correlation);
}

TEST_F(client_policies, a_correlation_id_cannot_smuggle_a_header_in) {
  client_options options;
  options.correlation_header = "X-Correlation-Id";
  const client api = make({}, options);
  for (const std::string_view id : {std::string_view("a\r\nX-Evil: s3cr3t"),
                                    std::string_view("a\0b", 3), std::string_view("a\n")}) {
    call_options mine;
    mine.correlation = id;
    const result<response> r = api.send(request::get("/x"), mine);
    ASSERT_TRUE(r.has_error());
    expect_error(r.error(), errc::invalid_header, condition::invalid_input, {"X-Correlation-Id"});
  }
  EXPECT_TRUE(net->requests().empty());
}

TEST_F(client_policies, default_headers_are_displaced_by_the_requests_own) {
  client_options options;
  options.default_headers.add("Accept", "*/*");
  options.default_headers.add("X-Tenant", "t");
  const client api = make({}, options);
  ASSERT_TRUE(api.get("/x").header("accept", "text/plain").send());
  EXPECT_EQ(sent("Accept"), std::vector<std::string>{"text/plain"});
  EXPECT_EQ(sent("X-Tenant"), std::vector<std::string>{"t"});
}

TEST_F(client_policies, two_keys_by_hand_are_one_too_many) {
  for (const auto& profile : {idempotency_profile::ietf(), idempotency_profile::paypal()}) {
    const client api = make({}, keyed_by(profile));
    const std::string q = profile.name == "ietf" ? "\"" : "";
    const result<response> r =
        api.send(charge().header(profile.header, q + "a" + q).header(profile.header, q + "b" + q));
    ASSERT_TRUE(r.has_error());
    expect_error(r.error(), errc::invalid_idempotency_key, condition::invalid_input,
                 {"two keys", "one"});
    EXPECT_TRUE(
        api.send(charge().header(profile.header, q + "a" + q).header(profile.header, q + "a" + q)));
    EXPECT_EQ(net->requests().back().header(profile.header), q + "a" + q);
  }
}

TEST_F(client_policies, a_user_agent_is_sent_unless_somebody_knows_better) {
  const std::string ours = "hawser/" + std::string(version);
  const auto agent = [&](client_options options, request what) {
    const client api = make({}, std::move(options));
    EXPECT_TRUE(api.send(std::move(what)));
    return sent("User-Agent").back();
  };
  const std::string none = "(none)";
  const auto by_default = [](std::string_view value) {
    client_options o;
    o.default_headers.add("user-agent", value);
    return o;
  };
  const auto by_option = [](std::optional<std::string> value) {
    client_options o;
    o.user_agent = std::move(value);
    return o;
  };
  const auto own = [](std::string_view value) {
    return request::get("/x").header("USER-AGENT", value);
  };
  EXPECT_EQ(agent({}, request::get("/x")), ours);
  EXPECT_EQ(agent({}, charge()), ours);
  EXPECT_EQ(agent(by_option("billing/2.1"), request::get("/x")), "billing/2.1");
  EXPECT_EQ(agent(by_option({}), request::get("/x")), none);
  EXPECT_EQ(agent(by_option(""), request::get("/x")), none);
  EXPECT_EQ(agent(by_default("billing/2.1"), request::get("/x")), "billing/2.1");
  EXPECT_EQ(agent(by_default(""), request::get("/x")), none);
  EXPECT_EQ(agent({}, own("mine")), "mine");
  EXPECT_EQ(agent(by_default("theirs"), own("mine")), "mine");
  EXPECT_EQ(agent({}, own("")), none);
  EXPECT_EQ(agent(by_default("theirs"), own("")), none);
  EXPECT_EQ(agent(by_default(""), own("mine")), "mine");
}

// --- bad input: nothing is sent ----------------------------------------------------------------

TEST_F(client_policies, bad_requests_end_before_anything_is_sent) {
  const client api = make({}, keyed_by(idempotency_profile::stripe()));
  using namespace std::string_view_literals;
  struct {
    request what;
    errc code;
    std::string_view word;
  } const cases[] = {
      {request::get("/users/{id}"), errc::invalid_route, "id"},
      {request::get("/users/{id}").param("uid", "1"), errc::invalid_route, "id"},
      {request::get("/users").param("uid", "s3cr3t"), errc::invalid_route, "uid"},
      {request::get("/users/{id}").param("id", ".."), errc::invalid_route, "id"},
      {request::get("/users/{id").param("id", "1"), errc::invalid_route, "brace"},
      {request::get("users"), errc::invalid_url, "'/'"},
      {request::get("/a b"), errc::invalid_url, "offset 2"},
      {request::get("http://other.test/"), errc::invalid_url, "the client has the host"},
      {request(http::method("GE T"), "/"), errc::invalid_method, "method"},
      {request::get("/").header("X-A", "s3cr3t\r\nX-B: 1"), errc::invalid_header, "X-A"},
      {request::get("/").header("X-A", "s3cr3t\n"), errc::invalid_header, "X-A"},
      {request::get("/").header("X-A", "s3cr3t\0"sv), errc::invalid_header, "X-A"},
      {request::get("/").header("X A", "1"), errc::invalid_header, "offset 1"},
      {request::get("/").header("Content-Length", "1"), errc::invalid_header, "Content-Length"},
      {request::get("/").header("Host", "h"), errc::invalid_header, "Host"},
      {charge().body("{}", "a/b\r\nX: 1"), errc::invalid_header, "Content-Type"},
      {charge().json("\xff"), errc::invalid_body, "UTF-8"},
      {charge().idempotency_key(""), errc::invalid_idempotency_key, "empty"},
      {charge().idempotency_key("s3cr3t key"), errc::invalid_idempotency_key, "offset 6"},
      {charge().idempotency_key("s3cr3t\r\n"), errc::invalid_idempotency_key, "offset 6"},
      {charge().idempotency_key(std::string(256, 'k')), errc::invalid_idempotency_key, "255"},
      {charge().header("Idempotency-Key", "s3cr3t").idempotency_key("k"),
       errc::invalid_idempotency_key, "Idempotency-Key"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.word);
    report = {};
    report.attempts = 7;  // of an earlier call
    const result<response> r = api.send(c.what, told);
    ASSERT_TRUE(r.has_error());
    expect_error(r.error(), c.code, condition::invalid_input, {c.word});
    EXPECT_EQ(report.attempts, 0);
    EXPECT_EQ(report.error, c.code);
    EXPECT_EQ(report.delivery, evidence::never_sent);
    ended e;
    api.async_send(c.what, into(e));
    EXPECT_EQ(e.count, 0) << "completed inline";
    env.run_ready();
    EXPECT_EQ(e.count, 1);
    EXPECT_EQ(e.code(), c.code);
  }
  EXPECT_TRUE(net->requests().empty());
}

TEST_F(client_policies, a_body_that_cannot_take_the_key_is_refused) {
  const client api = make({}, keyed_by(idempotency_profile::square()));
  for (const char* body : {"", "[]", "{", R"({"idempotency_key":"other"})"}) {
    const result<response> r =
        api.send(request::post("/p").body(body, "application/json").idempotency_key("k"));
    ASSERT_TRUE(r.has_error()) << body;
    EXPECT_EQ(r.error(), condition::invalid_input) << r.error().message();
  }
  EXPECT_TRUE(api.send(request::post("/p")).has_error()) << "no body at all";
  EXPECT_TRUE(net->requests().empty());
}

TEST_F(client_policies, bad_options_are_refused_at_construction) {
  const auto field_of = [&](client_options options) -> std::string {
    options.transport = net;
    try {
      const client api(env, "http://api.test", standard_pipeline("api"), std::move(options));
    } catch (const config_error& e) {
      EXPECT_EQ(std::string(e.what()).find(planted), std::string::npos) << e.what();
      return e.field();
    }
    return "accepted";
  };
  EXPECT_EQ(field_of({}), "accepted");
  client_options o;
  o.default_headers.add("X-A", "s3cr3t\r\nX-B: 1");
  EXPECT_EQ(field_of(o), "client.default_headers");
  o = {};
  o.default_headers.add("Content-Length", "7");
  EXPECT_EQ(field_of(o), "client.default_headers");
  o = {};
  o.default_headers.add("User-Agent", "a");
  o.default_headers.add("user-agent", "b");
  EXPECT_EQ(field_of(o), "client.default_headers");
  o = {};
  o.default_headers.add("Accept", "a");
  o.default_headers.add("Accept", "b");
  EXPECT_EQ(field_of(o), "accepted");
  o = {};
  o.attempt_header = "X Attempt";
  EXPECT_EQ(field_of(o), "client.attempt_header");
  o = {};
  o.correlation_header = "Host";
  EXPECT_EQ(field_of(o), "client.correlation_header");
  o = {};
  o.correlation_header = "";
  EXPECT_EQ(field_of(o), "client.correlation_header");
  o = {};
  o.attempt_header = "idempotency-key";  // would send another key with each attempt
  EXPECT_EQ(field_of(o), "client.attempt_header");
  o.attempt_header = o.correlation_header = "X-Id";
  EXPECT_EQ(field_of(o), "client.attempt_header");
  o = {};
  o.idempotency = idempotency_profile::paypal();
  o.correlation_header = "PayPal-Request-Id";
  EXPECT_EQ(field_of(o), "client.correlation_header");
  o = {};
  o.bounds.header_count = 0;
  EXPECT_NE(field_of(o), "accepted");
  o = {};
  o.idempotency = idempotency_profile::stripe();
  o.idempotency->max_length = 0;
  EXPECT_EQ(field_of(o), "idempotency_profile.max_length");
}

TEST_F(client_policies, a_blocking_call_where_the_executor_runs_would_deadlock) {
  const client api = make();
  std::optional<result<response>> r;
  std::optional<result<void>> into_answer;
  response answer;
  const request what = request::get("/x");
  asio::post(env.get_executor(), [&] {
    r.emplace(api.send(request::get("/x")));
    into_answer.emplace(api.send(what, answer));
  });
  env.run_ready();
  ASSERT_TRUE(r && into_answer);
  EXPECT_EQ(r->error(), errc::would_deadlock);
  EXPECT_NE(r->error().message().find("asynchronous"), std::string::npos);
  EXPECT_EQ(into_answer->error(), errc::would_deadlock);
  EXPECT_TRUE(net->requests().empty());
}

// What a call leaves in an answer that is used again is of that call, or nothing.
TEST_F(client_policies, an_answer_that_is_used_again_is_empty_after_a_call_without_one) {
  const http::standard_policies policies("api");
  const request what = request::get("/x");
  std::stop_source left;
  left.request_stop();
  client_options judging;
  judging.classify = [](const response& answer, const outcome& by_status) {
    if (answer.status() == 200) throw std::runtime_error("no such member");
    return by_status;
  };
  const auto until = [](duration most) { return call_options{.within = most}; };
  using step = std::function<result<void>(client&, response&)>;
  const std::pair<const char*, step> ends[] = {
      {"invalid", [](client& c, response& a) { return c.send(request::get("bad"), a); }},
      {"no time", [&](client& c, response& a) { return c.send(what, a, until(0s)); }},
      {"cancelled",
       [&](client& c, response& a) { return c.send(what, a, {.stop = left.get_token()}); }},
      {"deadlock",
       [&](client& c, response& a) {
         std::optional<result<void>> r;
         asio::post(env.get_executor(), [&] { r.emplace(c.send(what, a)); });
         env.run_ready();
         return *r;
       }},
      {"refused",
       [&](client& c, response& a) {
         policies.breaker("GET /x")->isolate(env.now());
         result<void> r = c.send(what, a);
         policies.breaker("GET /x")->close(env.now());
         return r;
       }},
      {"lost",
       [&](client& c, response& a) {
         net->script({scripted_exchange::fail(errc::connection_closed),
                      scripted_exchange::fail(errc::connection_closed),
                      scripted_exchange::fail(errc::connection_closed)});
         return c.send(what, a);
       }},
      {"out of time",
       [&](client& c, response& a) {
         net->script({scripted_exchange::hang()});
         return c.send(what, a, until(1s));
       }},
      {"torn",
       [&](client& c, response& a) {
         for (int i = 0; i < 3; ++i)
           net->script({scripted_exchange::bytes(
               "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nX: y\r\n\r\nabc")});
         return c.send(what, a);
       }},
      {"judge threw",
       [&](client& c, response& a) {
         net->script({scripted_exchange::answer(200, "body")});
         return c.send(what, a);
       }},
      {"closed",
       [&](client& c, response& a) {
         c.close();
         return c.send(what, a);
       }},
  };
  client api = over(policies.builder(), judging);
  for (const auto& [name, call] : ends) {
    SCOPED_TRACE(name);
    net->script({scripted_exchange::answer(404, "body").header("X", "y")});
    response answer;
    ASSERT_TRUE(api.send(what, answer));
    ASSERT_EQ(answer.status(), 404);
    EXPECT_TRUE(call(api, answer).has_error());
    EXPECT_EQ(answer.status(), 0);
    EXPECT_EQ(answer.body(), "");
    EXPECT_TRUE(answer.headers().empty());
    EXPECT_EQ(answer.evidence(), evidence::answered);
    env.advance(60s);
  }
}

// A result<void> tells a pipeline around that an answer came, and no more.
TEST_F(client_policies, what_is_sent_into_an_answer_is_judged_by_who_sends_it) {
  const client api = over(pipeline_builder("inner"));
  const pipeline outer =
      pipeline_builder("outer").add(retry{.max_attempts = 2}).calls_are(effect::safe).build(env);
  net->otherwise(scripted_exchange::answer(503));
  const request what = request::get("/x");
  response answer;
  EXPECT_TRUE(outer.execute([&] { return api.send(what, answer); }, told));
  EXPECT_EQ(report.attempts, 1);
  const auto judged = outer.execute(
      [&]() -> result<void> {
        if (auto sent = api.send(what, answer); !sent) return sent;
        return answer.as<void>();
      },
      told);
  EXPECT_EQ(judged.error(), errc::server_error);
  EXPECT_EQ(report.attempts, 2);
}

// --- health, waits, limits ---------------------------------------------------------------------

TEST_F(client_policies, answers_4xx_are_neutral_to_the_breaker_and_5xx_are_not) {
  const http::standard_policies policies("api");
  const client api = over(policies.builder());
  const auto breaker = policies.breaker("GET /x");
  net->handle([](const sent_request&) { return scripted_exchange::answer(404); });
  for (int i = 0; i < 60; ++i) EXPECT_EQ(api.send(request::get("/x"))->status(), 404);
  EXPECT_EQ(seen->count(event_kind::state_changed), 0);
  net->handle([](const sent_request&) { return scripted_exchange::answer(500); });
  for (int i = 0; i < 8; ++i) (void)api.send(request::get("/x"));  // twelve failures in a row
  EXPECT_EQ(breaker->snapshot(env.now()).state, circuit_state::open);
  const std::size_t before = net->requests().size();
  call_options hasty;
  hasty.within = 1ms;  // no time to wait for the probe
  const result<response> r = api.send(request::get("/x"), hasty);
  ASSERT_TRUE(r.has_error());
  expect_error(r.error(), errc::circuit_open, condition::rejected, {"next try in"});
  EXPECT_EQ(net->requests().size(), before);
}

TEST_F(client_policies, an_answer_that_is_an_error_says_why_there_was_no_further_attempt) {
  const client api = make();
  net->script({scripted_exchange::answer(500), scripted_exchange::answer(500),
               scripted_exchange::answer(500), scripted_exchange::answer(404)});
  response answer;
  ASSERT_TRUE(api.send(request::get("/x"), answer));
  const std::string text = std::as_const(answer).ensure_success().error().message();
  EXPECT_NE(text.find("3 attempts (2 retries)"), std::string::npos) << text;
  EXPECT_NE(text.find("3 of 3 tries made"), std::string::npos) << text;
  ASSERT_TRUE(api.send(request::get("/x"), answer));  // into the same memory
  const std::string other = std::as_const(answer).ensure_success().error().message();
  EXPECT_EQ(other.find("attempts"), std::string::npos) << other;
}

TEST_F(client_policies, retry_after_is_kept_in_both_forms) {
  const client api = make();
  const std::pair<std::string, std::string> forms[] = {
      {"7", ""},
      {"Sun, 06 Nov 1994 08:49:44 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"},
  };
  for (const auto& [hint, date] : forms) {
    const std::size_t before = net->requests().size();
    scripted_exchange busy = scripted_exchange::answer(503).header("Retry-After", hint);
    if (!date.empty()) std::move(busy).header("Date", date);
    net->script({busy, scripted_exchange::answer(200)});
    ASSERT_TRUE(api.send(request::get("/x")));
    const auto requests = net->requests();
    ASSERT_EQ(requests.size() - before, 2u);
    EXPECT_GE(requests[before + 1].at - requests[before].at, 7s);
    EXPECT_LT(requests[before + 1].at - requests[before].at, 10s);
    env.advance(1h);
  }
}

TEST_F(client_policies,
       a_hint_over_the_cap_or_the_time_left_ends_the_call_now_and_says_until_when) {
  for (const int wait : {45, 3600}) {  // over the call's 30 s; over max_server_wait too
    SCOPED_TRACE(wait);
    const client api = make();
    net->script({scripted_exchange::answer(429).header("Retry-After", std::to_string(wait))});
    const time_point start = env.now();
    const result<response> r = api.send(charge(), told);
    ASSERT_TRUE(r) << r.error().message();
    EXPECT_EQ(r->status(), 429);
    EXPECT_EQ(env.now(), start);
    EXPECT_EQ(report.stopped, reason::server_wait);
    const std::string next = "next try in " + std::to_string(wait);
    EXPECT_NE(report.to_string().find(next), std::string::npos) << report.to_string();
    const std::string text = r->ensure_success().error().message();
    EXPECT_NE(text.find(next), std::string::npos) << text;
    EXPECT_NE(text.find("Retry-After: " + std::to_string(wait)), std::string::npos) << text;
    EXPECT_EQ(net->script_left(), 0u);
  }
}

TEST_F(client_policies, an_attempt_and_a_call_that_hang_end_at_their_own_limits) {
  standard_options quick;
  quick.call_timeout = 5s;
  quick.attempt_timeout = 2s;
  quick.retry.delay = constant{.each = 100ms, .spread = jitter::none};
  {
    const client api = make(quick);
    net->script({scripted_exchange::hang(), scripted_exchange::answer(200)});
    const time_point start = env.now();
    ASSERT_TRUE(api.send(request::get("/x"), told));
    EXPECT_EQ(env.now() - start, 2100ms);
    EXPECT_EQ(report.attempts, 2);
  }
  {
    quick.retry.max_attempts = 2;
    const client api = make(quick);
    net->script({scripted_exchange::hang(), scripted_exchange::hang()});
    const time_point start = env.now();
    expect_error(api.send(request::get("/x")).error(), errc::attempt_timeout, condition::timeout,
                 {"2 attempts"});
    EXPECT_EQ(env.now() - start, 4100ms);
    net->script({scripted_exchange::hang()});
    expect_error(api.send(charge()).error(), errc::outcome_unknown, condition::ambiguous,
                 {"the attempt did not finish", "reconcile"});
  }
  {
    quick.attempt_timeout = 1h;
    const client api = make(quick);
    net->script({scripted_exchange::hang()});
    const time_point start = env.now();
    expect_error(api.send(request::get("/x")).error(), errc::call_timeout, condition::timeout,
                 {"call timeout", "limit 5 s"});
    EXPECT_EQ(env.now() - start, 5s);
    net->script({scripted_exchange::hang()});
    call_options hurried;
    hurried.within = 1s;
    EXPECT_EQ(api.send(request::get("/x"), hurried).error(), errc::call_timeout);
    EXPECT_EQ(env.now() - start, 6s);
  }
  EXPECT_EQ(net->running(), 0u);
  EXPECT_EQ(net->canceled(), 6u);
}

TEST_F(client_policies, when_time_runs_out_in_a_wait_the_last_real_answer_is_delivered) {
  standard_options quick;
  quick.call_timeout = 5s;
  quick.retry.delay = constant{.each = 4s, .spread = jitter::none};
  const client api = make(quick);
  net->handle([](const sent_request&) { return scripted_exchange::answer(503); });
  const result<response> r = api.send(request::get("/x"), told);
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(r->status(), 503);
  EXPECT_EQ(report.stopped, reason::deadline);
}

// --- cancellation and lifetime -----------------------------------------------------------------

TEST_F(client_policies, cancellation_reaches_a_call_wherever_it_is) {
  standard_options one;
  one.bulkhead.max_concurrent = 1;
  one.retry.delay = constant{.each = 1h, .spread = jitter::none};
  one.call_timeout = 10h;
  one.attempt_timeout = 10h;
  const client api = make(one);
  const char* where = "exchange";
  const auto cancelled = [&](ended& e) {
    SCOPED_TRACE(where);
    EXPECT_EQ(e.count, 0);
    signal.emit(asio::cancellation_type::terminal);
    EXPECT_EQ(e.count, 0) << "completed inside emit";
    env.run_ready();
    ASSERT_EQ(e.count, 1);
    EXPECT_EQ(e.code(), canceled_error());
    EXPECT_TRUE(e.what->error() == condition::canceled);
    EXPECT_EQ(env.waits(), 0u);
  };
  {
    net->script({scripted_exchange::hang()});
    ended e;
    api.async_send(charge(), into(e));
    env.run_ready();
    ASSERT_EQ(net->running(), 1u);
    cancelled(e);
    EXPECT_EQ(net->canceled(), 1u);
  }
  {
    where = "back-off";
    net->script({scripted_exchange::answer(503)});
    ended e;
    api.async_send(request::get("/x"), into(e));
    env.run_ready();
    ASSERT_EQ(net->running(), 0u);
    cancelled(e);
  }
  {
    where = "bulkhead";
    net->script({scripted_exchange::hang()});
    ended first;
    std::stop_source stop;
    call_options options;
    options.stop = stop.get_token();
    api.async_send(request::get("/x"), options, [&](result<response> r) {
      ++first.count;
      first.what.emplace(std::move(r));
    });
    ended e;
    api.async_send(request::get("/y"), into(e));
    env.run_ready();
    ASSERT_EQ(net->running(), 1u);
    signal.emit(asio::cancellation_type::partial);
    env.run_ready();
    EXPECT_EQ(e.count, 1);
    EXPECT_EQ(e.code(), canceled_error());
    EXPECT_EQ(first.count, 0);
    stop.request_stop();
    env.run_ready();
    EXPECT_EQ(first.code(), canceled_error());
  }
  EXPECT_TRUE(api.send(request::get("/after"))) << "permits were given back";
}

/// Calls in an exchange, in a back-off and in the bulkhead's queue, and a client to end them.
class three_calls : public client_policies {
 protected:
  three_calls() {
    standard_options two;
    two.bulkhead.max_concurrent = 1;  // which a call in a back-off does not hold
    two.bulkhead.max_queue_wait.reset();
    two.retry.delay = constant{.each = 1h, .spread = jitter::none};
    two.call_timeout = 10h;
    two.attempt_timeout = 10h;
    api.emplace(make(two));
    net->script({scripted_exchange::answer(503), scripted_exchange::hang()});
    for (ended& e : calls)
      api->async_send(request::get("/x"), [&e](result<response> r) {
        ++e.count;
        e.what.emplace(std::move(r));
      });
    env.run_ready();
  }
  void SetUp() override {
    ASSERT_EQ(net->requests().size(), 2u);
    ASSERT_EQ(net->running(), 1u);
    for (const ended& e : calls) ASSERT_EQ(e.count, 0);
  }
  void expect_all_cancelled() {
    const time_point now = env.now();
    env.run_ready();
    EXPECT_EQ(env.now(), now);
    for (const ended& e : calls) {
      EXPECT_EQ(e.count, 1);
      EXPECT_EQ(e.code(), canceled_error());
    }
    EXPECT_EQ(env.waits(), 0u);
    EXPECT_EQ(net->running(), 0u);
    EXPECT_EQ(net->requests().size(), 2u);
    EXPECT_EQ(seen->count(event_kind::call_finished), 3);
  }
  std::optional<client> api;
  ended calls[3];
};

TEST_F(three_calls, end_when_their_client_is_destroyed) {
  api.reset();
  for (const ended& e : calls) EXPECT_EQ(e.count, 0) << "completed inside the destructor";
  expect_all_cancelled();
}

TEST_F(three_calls, end_when_their_client_is_closed) {
  api->close();
  api->close();
  expect_all_cancelled();
  const result<response> r = api->send(request::get("/x"));
  ASSERT_TRUE(r.has_error());
  EXPECT_EQ(r.error(), canceled_error());
  EXPECT_NE(r.error().detail().find("the client is closed; further calls need another"),
            std::string_view::npos)
      << r.error().message();
  EXPECT_EQ(net->requests().size(), 2u) << "a closed client sends nothing";
}

TEST_F(three_calls, end_when_another_client_is_moved_over_theirs) {
  client other = make();
  *api = std::move(other);
  expect_all_cancelled();
  EXPECT_TRUE(api->send(request::get("/x")));
}

TEST_F(three_calls, go_on_when_their_client_is_moved) {
  client moved = std::move(*api);
  api.reset();
  env.run_ready();
  for (const ended& e : calls) EXPECT_EQ(e.count, 0);
  EXPECT_EQ(net->requests().size(), 2u);
  moved.close();
  env.run_ready();
  for (const ended& e : calls) EXPECT_EQ(e.count, 1);
}

TEST_F(client_policies, a_handler_may_destroy_its_client) {
  auto api = std::make_unique<client>(make());
  int calls = 0;
  api->async_send(request::get("/x"), [&](const result<response>& r) {
    EXPECT_TRUE(r);
    api.reset();
    ++calls;
  });
  env.run_ready();
  EXPECT_EQ(calls, 1);
}

TEST_F(client_policies, a_handler_may_send_the_next_request) {
  const client api = make();
  int left = 100;
  std::function<void(result<response>)> next = [&](const result<response>& r) {
    ASSERT_TRUE(r);
    if (--left > 0) api.async_send(request::get("/x"), next);
  };
  api.async_send(request::get("/x"), next);
  env.run_ready();
  EXPECT_EQ(left, 0);
  EXPECT_EQ(net->requests().size(), 100u);
}

// --- fallback, observers -----------------------------------------------------------------------

TEST_F(client_policies, a_fallback_stands_in_for_an_answer) {
  response stale;
  stale.set_status(203);
  stale.mutable_body() = "\"stale\"";
  pipeline_builder policies("api");
  policies.add(fallback::value(stale)).add(retry{.max_attempts = 2});
  const client api = over(policies);
  net->script({scripted_exchange::answer(503), scripted_exchange::fail(reset),
               scripted_exchange::answer(404), scripted_exchange::fail(reset)});
  const result<response> r = api.send(request::get("/x"), told);
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(r->status(), 203);
  EXPECT_EQ(r->body(), "\"stale\"");
  EXPECT_EQ(r->effect(), effect::safe);
  EXPECT_EQ(r->evidence(), evidence::maybe_applied) << "it is no answer of the server's";
  EXPECT_EQ(seen->count(event_kind::fallback_used), 1);
  EXPECT_FALSE(report.error);
  const result<response> missing = api.send(request::get("/x"));  // an answer needs no substitute
  ASSERT_TRUE(missing);
  EXPECT_EQ(missing->status(), 404);
  // An unsafe request that may have been applied is not papered over.
  EXPECT_EQ(api.send(charge()).error(), errc::outcome_unknown);
  response reused;
  net->script({scripted_exchange::fail(reset), scripted_exchange::fail(reset)});
  const request what = request::get("/x");
  ASSERT_TRUE(api.send(what, reused));
  EXPECT_EQ(reused.status(), 203);
}

TEST_F(client_policies, observers_hear_the_whole_story_under_the_routes_name) {
  net->script({scripted_exchange::answer(503), scripted_exchange::answer(200)});
  const client api = make();
  call_options options = told;
  options.correlation = "7f3a";
  ASSERT_TRUE(
      api.send(request::get("/users/{id}").param("id", "s3cr3t").query("q", "s3cr3t"), options));
  const std::vector<event_kind> kinds = seen->kinds();
  ASSERT_FALSE(kinds.empty());
  EXPECT_EQ(kinds.front(), event_kind::call_started);
  EXPECT_EQ(kinds.back(), event_kind::call_finished);
  for (const recorded_event& e : seen->events()) {
    EXPECT_EQ(e.operation, "GET /users/{id}");
    EXPECT_EQ(e.correlation, "7f3a");
    EXPECT_EQ(e.pipeline, "api");
  }
  const auto attempts = seen->events(event_kind::attempt_finished);
  ASSERT_EQ(attempts.size(), 2u);
  EXPECT_EQ(attempts[0].attempt, 1);
  EXPECT_EQ(attempts[0].status, 503);
  EXPECT_EQ(attempts[0].error, errc::server_error);
  EXPECT_EQ(attempts[1].attempt, 2);
  EXPECT_EQ(attempts[1].status, 200);
  EXPECT_EQ(attempts[1].delivery, evidence::answered);
  EXPECT_EQ(report.operation, "GET /users/{id}");
  EXPECT_EQ(report.to_string().find(planted), std::string::npos) << report.to_string();
  EXPECT_EQ(seen->to_string().find(planted), std::string::npos);

  seen->clear();
  ASSERT_TRUE(api.send(request::get("/a/{b}").param("b", "1").name("fetch b")));
  ASSERT_FALSE(seen->events().empty());
  EXPECT_EQ(seen->events().front().operation, "fetch b");
  EXPECT_EQ(seen->events().front().correlation.size(), 16u);
}

TEST_F(client_policies, the_standard_stack_is_in_its_documented_order) {
  const client api = make();
  EXPECT_EQ(api.policies().composition(),
            "timeout > retry > rate_limiter > circuit_breaker > circuit_breaker > bulkhead > "
            "bulkhead > timeout");
  EXPECT_EQ(api.policies().amplification(), 3u);
  EXPECT_EQ(api.policies().name(), "api");
  standard_options all;
  all.rate.emplace();
  all.start_spread = 5s;
  EXPECT_EQ(make(all).policies().composition(),
            "timeout > start_spread > retry > rate_limiter > circuit_breaker > circuit_breaker > "
            "rate_limiter > bulkhead > bulkhead > timeout");
  standard_options least;
  least.server_waits.reset();
  least.origin_breaker.reset();
  least.route_bulkhead.reset();
  EXPECT_EQ(make(least).policies().composition(),
            "timeout > retry > circuit_breaker > bulkhead > timeout");
}

TEST_F(client_policies, the_standard_options_are_the_documented_ones) {
  const standard_options o;
  EXPECT_EQ(o.call_timeout, 30s);
  EXPECT_EQ(o.attempt_timeout, 4s);
  EXPECT_FALSE(o.start_spread);
  EXPECT_EQ(o.retry.max_attempts, 3);
  EXPECT_EQ(o.retry.max_server_wait, 60s);
  const auto* delay = std::get_if<exponential>(&o.retry.delay);
  ASSERT_NE(delay, nullptr);
  EXPECT_EQ(delay->first, 300ms);
  EXPECT_EQ(delay->factor, 3);
  EXPECT_EQ(delay->cap, 5s);
  EXPECT_EQ(delay->spread, jitter::equal);
  EXPECT_FALSE(o.rate);
  ASSERT_TRUE(o.server_waits);
  EXPECT_EQ(o.server_waits->permits, 1'000'000);
  EXPECT_EQ(o.server_waits->per, 1s);
  EXPECT_EQ(o.server_waits->max_wait, 60s);
  ASSERT_TRUE(o.origin_breaker);
  EXPECT_EQ(o.origin_breaker->hears, failure_scope::connections);
  EXPECT_EQ(o.origin_breaker->failure_ratio, 0.9);
  EXPECT_EQ(o.origin_breaker->min_calls, 100);
  EXPECT_EQ(o.origin_breaker->max_wait, 60s);
  EXPECT_EQ(o.breaker.hears, failure_scope::exchanges);
  EXPECT_EQ(o.breaker.failure_ratio, 0.9);
  EXPECT_EQ(o.breaker.min_calls, 100);
  EXPECT_EQ(o.breaker.consecutive_failures, 12);
  EXPECT_EQ(o.breaker.max_wait, 60s);
  ASSERT_TRUE(o.route_bulkhead);
  EXPECT_EQ(o.route_bulkhead->max_concurrent, 200);
  EXPECT_EQ(o.route_bulkhead->max_queue, 1024);
  EXPECT_EQ(o.route_bulkhead->max_queue_wait, 2s);
  EXPECT_EQ(o.bulkhead.max_concurrent, 640);
  EXPECT_EQ(o.bulkhead.max_queue, 1024);
  EXPECT_EQ(o.bulkhead.max_queue_wait, 100ms);
  EXPECT_EQ(o.max_routes, 64U);
}

TEST_F(client_policies, the_standard_policies_are_named_after_the_pipeline_and_can_be_reached) {
  const http::standard_policies policies("billing");
  const client first = over(policies.builder());
  const client second = over(policies.builder());
  net->handle([](const sent_request& /*what*/) { return scripted_exchange::answer(200); });
  EXPECT_EQ(policies.retry()->name(), "billing retry");
  EXPECT_EQ(policies.budget()->name(), "billing retry budget");
  EXPECT_EQ(policies.bulkhead()->name(), "billing bulkhead");
  EXPECT_EQ(policies.origin_breaker()->name(), "billing origin circuit breaker");
  EXPECT_EQ(policies.rate(), nullptr);
  EXPECT_EQ(policies.server_waits("GET /x")->name(), "billing server waits");
  EXPECT_EQ(policies.route_bulkhead("GET /x")->name(), "billing route bulkhead");

  const auto breaker = policies.breaker("GET /quotes/{id}");
  EXPECT_EQ(breaker->name(), "billing circuit breaker");
  breaker->isolate(env.now());
  for (const client* api : {&first, &second}) {  // what is shared closes for both
    const auto r = api->send(request::get("/quotes/{id}").param("id", "7"));
    ASSERT_TRUE(r.has_error());
    EXPECT_EQ(r.error().code(), errc::circuit_isolated);
    EXPECT_NE(r.error().message().find("billing circuit breaker"), std::string::npos);
    EXPECT_TRUE(api->send(request::get("/other/{id}").param("id", "7")));
  }
  breaker->close(env.now());
  EXPECT_TRUE(first.send(request::get("/quotes/{id}").param("id", "7")));
  EXPECT_EQ(policies.breakers()->size(), 2U);
}

TEST_F(client_policies, a_call_of_its_own_key_has_its_own_breaker) {
  const http::standard_policies policies("billing");
  const client api = over(policies.builder());
  net->handle([](const sent_request& /*what*/) { return scripted_exchange::answer(200); });
  policies.breaker("tenant 7")->isolate(env.now());
  call_options seven;
  seven.key = "tenant 7";
  EXPECT_TRUE(api.send(request::get("/quotes/{id}").param("id", "1"), seven).has_error());
  EXPECT_TRUE(api.send(request::get("/quotes/{id}").param("id", "1")));
}

TEST_F(client_policies, a_route_that_is_not_there_is_not_found_and_takes_no_room) {
  standard_options o;
  o.max_routes = 1;
  const http::standard_policies policies("billing", o);
  EXPECT_EQ(policies.find_breaker("GET /quotes/{id}"), nullptr);
  EXPECT_EQ(policies.breakers()->size(), 0U);
  const client api = over(policies.builder());
  ASSERT_TRUE(api.send(request::get("/quotes/{id}").param("id", "7")));
  EXPECT_EQ(policies.find_breaker("GET /quotes/{id}"), policies.breaker("GET /quotes/{id}"));
  EXPECT_EQ(policies.find_breaker("GET /qoutes/{id}"), nullptr) << "not the shared one";
}

TEST_F(client_policies, invented_routes_take_no_room_from_templates) {
  const http::standard_policies policies("billing");
  const client api = over(policies.builder());
  net->handle([](const sent_request& /*what*/) { return scripted_exchange::answer(200); });
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(api.send(request::get("/users/" + std::to_string(i))));
  EXPECT_LE(policies.breakers()->size(), 33U);  // 32 and the one that all others share
  ASSERT_TRUE(api.send(request::get("/quotes/{id}").param("id", "7")));
  const auto breaker = policies.breaker("GET /quotes/{id}");
  EXPECT_NE(breaker, policies.breakers()->shared());
  breaker->isolate(env.now());
  EXPECT_TRUE(api.send(request::get("/users/1000")));
}

TEST_F(client_policies, invented_routes_of_several_clients_take_no_room_from_templates) {
  for (const std::size_t routes : {2u, 3u, 16u, 64u, 200u}) {
    SCOPED_TRACE(routes);
    standard_options o;
    o.max_routes = routes;
    const http::standard_policies policies("billing", o);
    const client first = over(policies.builder());
    const client second = over(policies.builder());
    for (int i = 0; i < 300; ++i) {
      ASSERT_TRUE(first.send(request::get("/users/" + std::to_string(i))));
      ASSERT_TRUE(second.send(request::get("/orders/" + std::to_string(i))));
    }
    EXPECT_LE(policies.breakers()->size(), (routes + 1) / 2);
    ASSERT_TRUE(second.send(request::get("/quotes/{id}").param("id", "7")));
    for (const auto& each :
         {policies.breakers(), policies.all_server_waits(), policies.route_bulkheads()})
      EXPECT_NE(each->of("GET /quotes/{id}"), each->shared());
  }
}

// As a policy of the user's own may keep something for each key.
TEST_F(client_policies, invented_routes_are_bounded_without_keyed_policies_too) {
  struct keys final : policy {
    struct on_call final : stage {
      explicit on_call(keys& k) : of(k) {}
      step enter(tick& t) override {
        of.seen.emplace(t.key());
        return step::call_inner();
      }
      keys& of;
    };
    std::string_view kind() const noexcept override { return "keys"; }
    std::size_t stage_size() const noexcept override { return sizeof(on_call); }
    std::size_t stage_alignment() const noexcept override { return alignof(on_call); }
    stage* make_stage(void* memory) override { return ::new (memory) on_call(*this); }
    std::set<std::string> seen;
  };
  const auto all = std::make_shared<keys>();
  const client api = over(pipeline_builder("api").add(all));
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(api.send(request::get("/users/" + std::to_string(i))));
  EXPECT_EQ(all->seen.size(), 33U);  // and the empty one
  EXPECT_EQ(all->seen.count("GET /users/0"), 1U);
}

TEST_F(client_policies, the_standard_stack_limits_call_and_attempt) {
  standard_options long_ones;
  long_ones.attempt_timeout = 10s;
  const client api = make(long_ones);
  net->script({scripted_exchange::hang(), scripted_exchange::hang(), scripted_exchange::hang()});
  const time_point begin = env.now();
  const result<response> r = api.send(request::get("/x"), told);
  ASSERT_TRUE(r.has_error());
  EXPECT_EQ(env.now() - begin, 30s);  // 10 and 10 and, after two short waits, what is left
  EXPECT_EQ(report.attempts, 3);
  EXPECT_EQ(net->canceled(), 3U);
}

TEST_F(client_policies, the_standard_stack_has_a_retry_budget) {
  standard_options patient;  // a breaker that lets the storm through
  patient.breaker.failure_ratio.reset();
  patient.breaker.consecutive_failures = 1'000'000;
  patient.breaker.suspect_failures.reset();
  const client api = make(patient);
  net->handle([](const sent_request& /*what*/) { return scripted_exchange::answer(500); });
  std::uint64_t attempts = 0;
  std::uint64_t over_budget = 0;
  constexpr int calls = 2000;
  const time_point begin = env.now();
  for (int i = 0; i < calls; ++i) {
    ASSERT_TRUE(api.send(request::get("/x"), told));
    attempts += static_cast<std::uint64_t>(report.attempts);
    if (report.stopped == reason::budget) ++over_budget;
  }
  const double seconds = std::chrono::duration<double>(env.now() - begin).count();
  EXPECT_GT(over_budget, 0U);
  EXPECT_LE(static_cast<double>(attempts - calls), std::max(0.15 * calls, seconds + 10));
}

TEST_F(client_policies, what_is_added_to_the_standard_stack_goes_inside) {
  const client api = over(standard_pipeline("api").add(bulkhead{.name = "own"}));
  EXPECT_EQ(api.policies().composition(),
            "timeout > retry > rate_limiter > circuit_breaker > circuit_breaker > bulkhead > "
            "bulkhead > timeout > bulkhead");
}

TEST_F(client_policies, what_one_call_hears_of_a_429_holds_for_its_route) {
  const client api = make();
  net->script({scripted_exchange::answer(429).header("Retry-After", "5"),
               scripted_exchange::answer(200), scripted_exchange::answer(200)});
  ended first;
  ended second;
  api.async_send(request::get("/1"), [&](result<response> r) {
    ++first.count;
    first.what.emplace(std::move(r));
  });
  env.run_ready();
  api.async_send(request::get("/1"), [&](result<response> r) {
    ++second.count;
    second.what.emplace(std::move(r));
  });
  env.run_ready();
  EXPECT_EQ(net->requests().size(), 1u);
  env.advance(5s - 1ns);
  EXPECT_EQ(net->requests().size(), 1u);
  env.run_until([&] { return first.count + second.count == 2; });
  EXPECT_EQ(net->requests().size(), 3u);
  EXPECT_EQ(first.code(), error_code());
  EXPECT_EQ(second.code(), error_code());
}

TEST_F(client_policies, what_one_route_hears_of_a_429_holds_no_other_back) {
  const client api = make();
  net->script({scripted_exchange::answer(429).header("Retry-After", "5"),
               scripted_exchange::answer(200), scripted_exchange::answer(200)});
  ended first;
  api.async_send(request::get("/1"), into(first));
  env.run_ready();
  const time_point begin = env.now();
  EXPECT_TRUE(api.send(request::get("/2")));
  EXPECT_EQ(env.now(), begin);
  env.run_until([&] { return first.count == 1; });
}

TEST_F(client_policies, a_limiter_outside_the_retry_answers_a_429_with_more_requests) {
  const rate_limiter slow{.permits = 1, .per = 10s, .burst = 5, .max_wait = 60s};
  const retry often{.max_attempts = 3, .delay = constant{.each = 100ms, .spread = jitter::none}};
  const auto busy = [](const sent_request& /*what*/) { return scripted_exchange::answer(429); };
  net->handle(busy);
  time_point begin = env.now();
  ASSERT_TRUE(over(pipeline_builder("outside").add(slow).add(often)).send(request::get("/1")));
  EXPECT_EQ(env.now(), begin + 200ms);
  EXPECT_EQ(net->requests().size(), 3u);
  // Inside, each 429 takes the tokens that were left, and the next request waits for one.
  begin = env.now();
  ASSERT_TRUE(over(pipeline_builder("inside").add(often).add(slow)).send(request::get("/1")));
  EXPECT_GE(env.now(), begin + 2 * 10s);
  EXPECT_EQ(net->requests().size(), 6u);
}

TEST_F(client_policies, a_limiter_outside_the_retry_holds_nobody_back_while_one_call_waits) {
  const client api = over(pipeline_builder("api").add(rate_limiter{.max_wait = 60s}).add(retry{}));
  net->script({scripted_exchange::answer(429).header("Retry-After", "5"),
               scripted_exchange::answer(429).header("Retry-After", "5"),
               scripted_exchange::answer(200), scripted_exchange::answer(200)});
  ended first;
  ended second;
  api.async_send(request::get("/1"), into(first));
  env.run_ready();
  api.async_send(request::get("/2"), into(second));
  env.run_ready();
  EXPECT_EQ(net->requests().size(), 2u)
      << "compare what_one_call_hears_of_a_429_holds_for_its_route";
  env.run_until([&] { return first.count + second.count == 2; });
}

TEST_F(client_policies, a_call_may_wait_at_the_limiter_between_its_attempts) {
  const client api = make();
  net->script({scripted_exchange::answer(503),
               scripted_exchange::answer(429).header("Retry-After", "10"),
               scripted_exchange::answer(200), scripted_exchange::answer(200)});
  ended first;
  ended second;
  api.async_send(request::get("/1"), into(first));
  api.async_send(request::get("/1"), into(second));
  env.run_ready();
  EXPECT_EQ(net->requests().size(), 2u);
  const time_point begin = env.now();
  env.advance(10s - 1ns);
  EXPECT_EQ(net->requests().size(), 2u) << "the wait after the 503 was over long ago";
  env.run_until([&] { return first.count + second.count == 2; });
  EXPECT_EQ(net->requests().size(), 4u);
  EXPECT_EQ(first.code(), error_code());
  EXPECT_EQ(second.code(), error_code());
  EXPECT_LE(env.now(), begin + 15s) << "the hint and a tenth, then one after the other";
}

TEST_F(client_policies, a_pause_that_ends_too_late_for_a_call_refuses_it_at_once) {
  struct {
    duration call_timeout;
    std::string_view hint;
    reason why;  // none: it waits
  } const rows[] = {
      {30s, "27", {}},
      {30s, "31", reason::server_pause},
      {1h, "54", {}},
      {1h, "61", reason::server_pause},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.hint);
    net = std::make_shared<fake_transport>(env);
    seen->clear();
    standard_options o;
    o.call_timeout = row.call_timeout;
    o.retry.max_attempts = 1;
    const client api = make(o);
    net->script({scripted_exchange::answer(429).header("Retry-After", std::string(row.hint)),
                 scripted_exchange::answer(200)});
    ASSERT_TRUE(api.send(request::get("/1")));
    const time_point begin = env.now();
    const result<response> r = api.send(request::get("/1"));
    if (row.why == reason{}) {
      EXPECT_TRUE(r);
      EXPECT_GT(env.now(), begin + 20s);
      continue;
    }
    ASSERT_TRUE(r.has_error());
    EXPECT_EQ(r.error().code(), errc::rate_limited);
    EXPECT_EQ(env.now(), begin);
    EXPECT_EQ(net->requests().size(), 1u);
    EXPECT_EQ(seen->events(event_kind::rejected).at(0).because, row.why);
  }
}

}  // namespace
}  // namespace hawser::test::client_policies_test
