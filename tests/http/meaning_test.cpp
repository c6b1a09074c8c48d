// What answers mean to the caller: whether the work may have been done, what the error says of the
// answer, and what a user's own judgement makes of it. On a scripted transport, virtual time.
#include "hawser/http/client.hpp"
#include "hawser/http/json.hpp"
#include "hawser/observe/observer.hpp"
#include "hawser/observe/redactor.hpp"
#include "hawser/policy/fallback.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/execute.hpp"
#include "hawser/run/report.hpp"
#include "hawser/testing/fake_transport.hpp"
#include "hawser/testing/manual_environment.hpp"
#include "http/expect_error.hpp"

#include <gtest/gtest.h>

#include <boost/asio/post.hpp>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hawser::test::meaning_test {
namespace {

using namespace std::chrono_literals;
using http::client;
using http::client_options;
using http::fingerprint;
using http::idempotency_profile;
using http::request;
using http::response;
using http::standard_pipeline;
using testing::scripted_exchange;

constexpr const char* problem_json = "application/problem+json";

struct heard_event {
  event_kind kind;
  error_code error;
  evidence delivery;
  int status;
};

class listener final : public observer {
 public:
  void on_event(const event& e) override {
    heard.push_back({e.kind, e.error, e.delivery, e.status});
  }
  std::vector<heard_event> heard;
};

struct meaning : ::testing::Test {
  testing::manual_environment env;
  std::shared_ptr<testing::fake_transport> net = std::make_shared<testing::fake_transport>(env);
  call_report report;
  call_options told{.report = &report};
  client_options options{};

  client make(pipeline_builder policies = standard_pipeline("api")) {
    client_options given = options;
    given.transport = net;
    return client(env, "http://api.test", std::move(policies), std::move(given));
  }
  static pipeline_builder retries(int attempts) {
    return std::move(pipeline_builder("api").add(
        retry{.max_attempts = attempts, .delay = constant{.each = 1s, .spread = jitter::none}}));
  }
  static request post() { return request::post("/charges").body("{}", "application/json"); }
  static request keyed() { return post().idempotency_key("order-1"); }
  std::size_t sent() const { return net->requests().size(); }
};

// --- was the work done? -------------------------------------------------------------------------

TEST_F(meaning, a_5xx_to_an_unsafe_request_leaves_the_outcome_unknown) {
  for (const int status : {500, 501, 502, 503, 504, 505, 507, 599}) {
    SCOPED_TRACE(status);
    net = std::make_shared<testing::fake_transport>(env);
    net->script({scripted_exchange::answer(status), scripted_exchange::answer(status)});
    const client api = make(retries(3));
    const auto r = api.send(post(), told);
    ASSERT_TRUE(r) << r.error().message();  // the answer still arrives as an answer
    EXPECT_EQ(r->status(), status);
    EXPECT_EQ(r->evidence(), evidence::maybe_applied);
    EXPECT_EQ(sent(), 1u);
    EXPECT_EQ(report.delivery, evidence::maybe_applied);
    EXPECT_EQ(report.error, errc::outcome_unknown);
    expect_error(r->ensure_success().error(), errc::outcome_unknown, condition::ambiguous,
                 {std::to_string(status), "reconcile"});
    const auto typed = api.post("/charges").body("{}", "application/json").as<int>();
    ASSERT_TRUE(typed.has_error());
    EXPECT_EQ(typed.error(), errc::outcome_unknown);
    EXPECT_EQ(typed.error().status(), status);
  }
}

TEST_F(meaning, a_5xx_to_a_keyed_request_that_is_given_up_names_the_key) {
  net->script({scripted_exchange::answer(500), scripted_exchange::answer(503),
               scripted_exchange::answer(507)});
  const client api = make(retries(3));
  const auto r = api.send(keyed(), told);
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(sent(), 3u);
  EXPECT_EQ(report.delivery, evidence::maybe_applied);
  const error why = r->ensure_success().error();
  expect_error(why, errc::outcome_unknown, condition::ambiguous,
               {"507", "#" + fingerprint("order-1"), "3 attempts"});
  EXPECT_EQ(why.status(), 507);
}

TEST_F(meaning, a_5xx_to_a_repeatable_request_is_a_server_error) {
  for (const auto how : {http::method::get, http::method::put, http::method::delete_}) {
    net->script({scripted_exchange::answer(500), scripted_exchange::answer(500)});
    const auto r = make(retries(2)).send(request(how, "/x"), told);
    ASSERT_TRUE(r);
    EXPECT_EQ(r->ensure_success().error(), errc::server_error);
    EXPECT_EQ(r->ensure_success().error(), condition::transient);
    EXPECT_EQ(report.error, errc::server_error);
  }
}

TEST_F(meaning, a_proven_refusal_is_no_doubt) {
  net->script({scripted_exchange::answer(503).header("Retry-After", "1"),
               scripted_exchange::answer(503).header("Retry-After", "1")});
  const auto r = make(retries(2)).send(post(), told);
  ASSERT_TRUE(r);
  EXPECT_EQ(sent(), 2u);
  EXPECT_EQ(report.delivery, evidence::refused);
  EXPECT_EQ(r->ensure_success().error(), errc::server_error);
}

TEST_F(meaning, a_refusal_after_a_5xx_settles_nothing) {
  net->script(
      {scripted_exchange::answer(500), scripted_exchange::answer(503).header("Retry-After", "1")});
  const auto r = make(retries(2)).send(keyed(), told);
  ASSERT_TRUE(r);
  EXPECT_EQ(report.delivery, evidence::maybe_applied);
  EXPECT_EQ(r->ensure_success().error(), errc::outcome_unknown);
}

// Authentication, gateways, routing and redirects answer before anybody looks for the key.
TEST_F(meaning, an_answer_from_before_the_key_is_looked_up_settles_nothing) {
  const scripted_exchange doubts[] = {scripted_exchange::answer(500),
                                      scripted_exchange::fail(errc::connection_closed),
                                      scripted_exchange::hang()};
  for (const scripted_exchange& doubt : doubts)
    for (const int status :
         {301, 302, 303, 304, 307, 308, 400, 401, 402, 403, 404, 405, 407, 408, 409, 410,
          411, 412, 413, 414, 415, 417, 421, 422, 425, 426, 428, 429, 431, 451, 501, 505}) {
      SCOPED_TRACE(status);
      net = std::make_shared<testing::fake_transport>(env);
      net->script({doubt, scripted_exchange::answer(status, "{}")});
      const auto r = make(std::move(retries(2).add(timeout{.after = 4s}))).send(keyed(), told);
      ASSERT_TRUE(r) << r.error().message();
      EXPECT_EQ(r->status(), status);
      EXPECT_EQ(sent(), 2u);
      EXPECT_EQ(r->evidence(), evidence::maybe_applied);
      EXPECT_EQ(report.delivery, evidence::maybe_applied);
      EXPECT_EQ(report.error, errc::outcome_unknown);
      const error why = r->ensure_success().error();
      expect_error(why, errc::outcome_unknown, condition::ambiguous,
                   {std::to_string(status), "#" + fingerprint("order-1"), "reconcile"});
      EXPECT_EQ(why.status(), status);
    }
}

TEST_F(meaning, nor_does_it_for_who_asks_for_a_value) {
  for (const int status : {301, 403, 404, 422}) {
    net->script({scripted_exchange::answer(500), scripted_exchange::answer(status, "{}")});
    const auto r = make(retries(2))
                       .post("/charges")
                       .body("{}", "application/json")
                       .idempotency_key("order-1")
                       .as<int>();
    ASSERT_TRUE(r.has_error());
    EXPECT_EQ(r.error(), condition::ambiguous) << r.error().message();
  }
}

TEST_F(meaning, a_success_settles_the_doubt) {
  for (const int status : {200, 201, 202, 204}) {
    net->script({scripted_exchange::answer(500), scripted_exchange::answer(status)});
    const auto r = make(retries(2)).send(keyed(), told);
    ASSERT_TRUE(r);
    EXPECT_TRUE(r->ensure_success());
    EXPECT_EQ(report.error, error_code());
    EXPECT_EQ(report.delivery, evidence::answered);
  }
}

TEST_F(meaning, without_doubt_such_answers_are_what_they_were) {
  for (const int status : {301, 403, 404, 422}) {
    SCOPED_TRACE(status);
    const errc code = status < 400 ? errc::unexpected_status : errc::client_error;
    net->script({scripted_exchange::answer(status), scripted_exchange::answer(429),
                 scripted_exchange::answer(status)});
    for (int i = 0; i < 2; ++i) {
      const auto r = make(retries(2)).send(keyed(), told);
      ASSERT_TRUE(r);
      EXPECT_EQ(r->ensure_success().error(), code);
      EXPECT_EQ(r->evidence(), evidence::answered);
      EXPECT_EQ(report.delivery, evidence::answered);
    }
    // What may be done twice leaves no doubt that matters.
    for (const auto how : {http::method::get, http::method::put, http::method::delete_}) {
      net->script({scripted_exchange::answer(500), scripted_exchange::answer(status)});
      const auto r = make(retries(2)).send(request(how, "/x"), told);
      ASSERT_TRUE(r);
      EXPECT_EQ(r->ensure_success().error(), code);
      EXPECT_EQ(report.error, status < 400 ? error_code() : code);
    }
  }
}

TEST_F(meaning, the_profile_names_the_failures_that_settle_the_doubt) {
  const auto end = [&](idempotency_profile profile, int status) {
    options.idempotency = std::move(profile);
    net->script(
        {scripted_exchange::fail(errc::connection_closed), scripted_exchange::answer(status)});
    const auto r = make(retries(2)).send(post(), told);
    return r ? r->ensure_success().error() : r.error();
  };
  EXPECT_EQ(end(idempotency_profile::stripe(), 402), errc::client_error) << "a declined card";
  EXPECT_EQ(report.delivery, evidence::answered);
  EXPECT_EQ(end(idempotency_profile::stripe(), 400), errc::outcome_unknown);
  EXPECT_EQ(end(idempotency_profile::ietf(), 402), errc::outcome_unknown);
  EXPECT_EQ(end(idempotency_profile::adyen(), 422), errc::outcome_unknown);
  idempotency_profile own;
  own.settling_statuses = {410, 422};
  EXPECT_EQ(end(own, 422), errc::client_error);
  EXPECT_EQ(end(own, 402), errc::outcome_unknown);
}

TEST_F(meaning, a_judgement_of_ones_own_may_settle_the_doubt) {
  options.classify = [](const response& answer, const outcome& by_status) {
    outcome o = by_status;
    if (answer.body() == "declined") o.result = verdict::failed;
    return o;
  };
  net->script({scripted_exchange::answer(500), scripted_exchange::answer(422, "declined"),
               scripted_exchange::answer(500), scripted_exchange::answer(422, "no such field")});
  const client api = make(retries(2));
  EXPECT_EQ(api.send(keyed())->ensure_success().error(), errc::client_error);
  EXPECT_EQ(api.send(keyed())->ensure_success().error(), errc::outcome_unknown);
}

TEST_F(meaning, a_judgement_that_throws_settles_no_more_than_the_answer_did) {
  options.classify = [](const response& answer, const outcome& by_status) {
    if (answer.status() != 500) throw std::runtime_error("no such member");
    return by_status;
  };
  for (const int status : {201, 301, 403}) {
    net->script({scripted_exchange::answer(500), scripted_exchange::answer(status)});
    EXPECT_EQ(make(retries(2)).send(keyed()).error(),
              status == 201 ? errc::operation_threw : errc::outcome_unknown);
  }
}

// "Still running" is the very state of which nobody knows how it will end.
TEST_F(meaning, a_key_in_flight_that_is_given_up_leaves_the_outcome_unknown) {
  for (const bool with_profile : {false, true}) {
    if (with_profile) options.idempotency = idempotency_profile::stripe();
    net->script(std::vector<scripted_exchange>(3, scripted_exchange::answer(409)));
    const auto r = make(retries(3)).send(keyed(), told);
    ASSERT_TRUE(r);
    EXPECT_EQ(report.attempts, 3);
    EXPECT_EQ(r->evidence(), evidence::maybe_applied);
    EXPECT_EQ(report.error, errc::outcome_unknown);
    expect_error(r->ensure_success().error(), errc::outcome_unknown, condition::ambiguous,
                 {"409 Conflict", "3 attempts"});
    net->script({scripted_exchange::answer(409), scripted_exchange::answer(404)});
    EXPECT_EQ(make(retries(3)).send(keyed())->ensure_success().error(), errc::outcome_unknown);
  }
  // Where it says no such thing it is a client error like others.
  options.idempotency = idempotency_profile::adyen();
  net->script({scripted_exchange::answer(409)});
  EXPECT_EQ(make(retries(3)).send(keyed())->ensure_success().error(), errc::client_error);
}

TEST_F(meaning, a_pipeline_around_a_client_keeps_the_doubt_too) {
  const client api = make(pipeline_builder("inner"));
  const pipeline outer = retries(2).build(env);
  const call_options how{.effect = effect::keyed, .report = &report};
  for (const int status : {301, 403, 404, 422}) {
    SCOPED_TRACE(status);
    net->script({scripted_exchange::answer(500), scripted_exchange::answer(status)});
    (void)outer.execute([&] { return api.send(keyed()); }, how);
    EXPECT_EQ(report.attempts, 2);
    EXPECT_EQ(report.error, errc::outcome_unknown);
  }
}

TEST_F(meaning, time_that_runs_out_after_a_5xx_leaves_the_outcome_unknown) {
  net->script({scripted_exchange::answer(500), scripted_exchange::hang()});
  const client api =
      make(std::move(pipeline_builder("api")
                         .add(timeout{.after = 5s})
                         .add(retry{.delay = constant{.each = 1s, .spread = jitter::none}})));
  const auto r = api.send(keyed(), told);
  ASSERT_TRUE(r.has_error());
  expect_error(r.error(), errc::outcome_unknown, condition::ambiguous,
               {"#" + fingerprint("order-1")});
  EXPECT_EQ(report.delivery, evidence::maybe_applied);
}

TEST_F(meaning, events_say_the_same) {
  const auto ears = std::make_shared<listener>();
  net->script({scripted_exchange::answer(500)});
  ASSERT_TRUE(make(std::move(retries(3).observe(ears))).send(post()));
  ASSERT_FALSE(ears->heard.empty());
  for (const heard_event& e : ears->heard)
    if (e.kind == event_kind::attempt_finished || e.kind == event_kind::retry_stopped) {
      EXPECT_EQ(e.delivery, evidence::maybe_applied);
      EXPECT_EQ(e.status, 500);
    }
  EXPECT_EQ(ears->heard.back().kind, event_kind::call_finished);
  EXPECT_EQ(ears->heard.back().error, errc::outcome_unknown);
}

TEST_F(meaning, a_fallback_does_not_hide_what_may_have_been_done) {
  const auto with = [](bool covers) {
    fallback f = fallback::from([](const outcome&) {
      response r;
      r.set_status(200);
      return r;
    });
    f.covers_unknown = covers;
    return std::move(pipeline_builder("api").add(std::move(f)));
  };
  net->script({scripted_exchange::answer(500), scripted_exchange::answer(500)});
  EXPECT_EQ(make(with(false)).send(post())->status(), 500);
  const auto covered = make(with(true)).send(post());
  EXPECT_EQ(covered->status(), 200);
  EXPECT_EQ(covered->evidence(), evidence::maybe_applied);
}

// Around a client, in a pipeline that sees its error alone.
TEST_F(meaning, an_unknown_outcome_is_not_tried_again_by_a_pipeline_around) {
  net->script({scripted_exchange::answer(500)});
  const client api = make(pipeline_builder("inner"));
  const pipeline outer = retries(3).build(env);
  const auto r =
      outer.execute([&] { return api.post("/charges").body("{}", "application/json").as<int>(); },
                    {.effect = effect::unsafe});
  ASSERT_TRUE(r.has_error());
  EXPECT_EQ(r.error(), errc::outcome_unknown);
  EXPECT_EQ(r.error().status(), 500);
  EXPECT_EQ(sent(), 1u);
}

// A malformed Retry-After proves nothing: it once let an unkeyed POST go out three times.
TEST_F(meaning, a_malformed_hint_sends_no_post_twice) {
  for (const char* hint : {"-1", "+1", "1.5", "", "9223372036854775808", "1, 2", "soon",
                           "Fri, 31 Feb 2025 23:59:59 GMT", "Mon, 06 Nov 1994 08:49:37 GMT",
                           "Monday, 06-Nov-94 08:49:37 GMT", "Mon Nov  6 08:49:37 1994"}) {
    SCOPED_TRACE(hint);
    net = std::make_shared<testing::fake_transport>(env);
    for (int i = 0; i < 3; ++i)
      net->script({scripted_exchange::answer(503).header("Retry-After", hint)});
    const auto r = make().send(post(), told);
    ASSERT_TRUE(r);
    EXPECT_EQ(sent(), 1u);
    EXPECT_EQ(report.delivery, evidence::maybe_applied);
    EXPECT_EQ(r->ensure_success().error(), errc::outcome_unknown);
  }
}

// --- what errors say of the answer --------------------------------------------------------------

TEST_F(meaning, errors_know_the_status) {
  const client api = make(pipeline_builder("api"));
  const struct {
    int status;
    const char* body;
    errc code;
  } rows[] = {{404, "{}", errc::client_error},       {429, "{}", errc::too_many_requests},
              {500, "{}", errc::server_error},       {304, "", errc::unexpected_status},
              {200, "[]", errc::json_wrong_type},    {200, "{", errc::json_malformed},
              {200, "[[1]]", errc::json_wrong_type}, {204, "", errc::no_content}};
  for (const auto& row : rows) {
    SCOPED_TRACE(row.status);
    net->script({scripted_exchange::answer(row.status, row.body)});
    const auto r = api.get("/x").as<int>();
    ASSERT_TRUE(r.has_error());
    EXPECT_EQ(r.error(), row.code) << r.error().message();
    EXPECT_EQ(r.error().status(), row.status);
  }
  net->script({scripted_exchange::fail(errc::connection_closed)});
  EXPECT_EQ(api.get("/x").as<int>().error().status(), 0);
  EXPECT_EQ(error(errc::circuit_open).status(), 0);
}

TEST_F(meaning, what_is_tried_again_by_itself_is_transient_to_the_caller_too) {
  for (const int status : {400, 403, 404, 408, 409, 421, 422, 425}) {
    SCOPED_TRACE(status);
    const bool again = status == 408 || status == 421 || status == 425;
    net = std::make_shared<testing::fake_transport>(env);
    net->otherwise(scripted_exchange::answer(status, "{}"));
    const error why = make(retries(2)).get("/x").as<int>().error();
    EXPECT_EQ(sent(), again ? 2u : 1u);
    EXPECT_EQ(why, errc::client_error);
    EXPECT_EQ(why == condition::transient, again);
    EXPECT_EQ(why.message().find("go out again") != std::string::npos, again) << why.message();
    // Also out of a pipeline around, which adds its story.
    const pipeline outer = pipeline_builder("outer").add(timeout{.after = 60s}).build(env);
    const auto r = outer.execute([&] { return make(retries(1)).get("/x").as<int>(); });
    EXPECT_EQ(r.error() == condition::transient, again);
    if (!again) {
      EXPECT_EQ(why.message().find("early"), std::string::npos) << why.message();
    }
  }
}

TEST_F(meaning, nobody_is_told_to_send_again_what_may_not_be) {
  for (const int status : {408, 425}) {
    net->script({scripted_exchange::answer(status)});
    const std::string text = make(retries(1)).send(post())->ensure_success().error().message();
    EXPECT_EQ(text.find("go out again") != std::string::npos, status == 425) << text;
  }
  net->script({scripted_exchange::answer(303)});
  const std::string moved = make(retries(1)).send(post())->ensure_success().error().message();
  EXPECT_NE(moved.find("Location"), std::string::npos) << moved;
}

TEST_F(meaning, only_a_redirect_is_told_of_a_new_place) {
  const auto text = [](int status) {
    response r;
    r.set_status(status);
    return r.ensure_success().error().message();
  };
  for (const int status : {301, 302, 303, 307, 308})
    EXPECT_NE(text(status).find("Location"), std::string::npos) << text(status);
  EXPECT_NE(text(304).find("has not changed"), std::string::npos) << text(304);
  for (const int status : {300, 304, 305})
    EXPECT_EQ(text(status).find("place"), std::string::npos) << text(status);
}

TEST_F(meaning, a_report_says_why_a_client_error_was_not_tried_again) {
  for (const int status : {400, 401, 403, 404, 422}) {
    net->script({scripted_exchange::answer(status), scripted_exchange::answer(500),
                 scripted_exchange::answer(status)});
    const client api = make(retries(3));
    ASSERT_TRUE(api.send(request::get("/x"), told));
    EXPECT_EQ(report.stopped, reason::not_retryable);
    ASSERT_TRUE(api.send(keyed(), told));
    EXPECT_EQ(report.stopped, reason::not_retryable);
  }
  net->script({scripted_exchange::answer(503)});  // of which a later try might have made more
  ASSERT_TRUE(make(pipeline_builder("bare")).send(request::get("/x"), told));
  EXPECT_EQ(report.stopped, reason::none);
}

TEST_F(meaning, problems_are_told) {
  const auto seen = [](std::string body, const char* type = problem_json) {
    response r;
    r.set_status(403);
    r.mutable_body() = std::move(body);
    r.mutable_headers().add("Content-Type", type);
    return r.ensure_success().error();
  };
  // The example of RFC 9457 section 3.
  const error e = seen(R"({"type":"https://example.com/probs/out-of-credit",
    "title":"You do not have enough credit.","detail":"Your current balance is s3cr3t.",
    "instance":"/account/s3cr3t/msgs/abc"})");
  expect_error(e, errc::client_error, condition::bad_response,
               {"403 Forbidden", "You do not have enough credit.",
                "https://example.com/probs/out-of-credit"});
  EXPECT_EQ(e.status(), 403);
  EXPECT_EQ(e.problem_type(), "https://example.com/probs/out-of-credit");
  EXPECT_EQ(e.problem_title(), "You do not have enough credit.");
  // Section 3.1.1: without a type it is "about:blank".
  for (const char* body : {R"({"title":"T"})", R"({"type":7,"title":"T"})"}) {
    EXPECT_EQ(seen(body).problem_type(), "about:blank");
    EXPECT_EQ(seen(body).message().find("about:blank"), std::string::npos);
  }
  // Nothing secret, nothing long, nothing that breaks the line.
  const error odd = seen(R"({"type":"https://u:s3cr3t@h/p?access_token=s3cr3t\r\nX: 1"})");
  EXPECT_EQ(odd.problem_type().find(planted), std::string::npos) << odd.problem_type();
  EXPECT_EQ(odd.message().find_first_of("\r\n"), std::string::npos);
  EXPECT_LE(seen(R"({"type":")" + std::string(5000, 'a') + R"("})").problem_type().size(), 200u);
  EXPECT_LE(seen(R"({"title":")" + std::string(5000, 'a') + R"("})").problem_title().size(), 80u);
  EXPECT_EQ(seen(R"({"type":"https://h/p","title":"T"})", "application/json").problem_type(), "");
}

TEST_F(meaning, what_errors_know_survives_the_pipelines_around) {
  net->script({scripted_exchange::answer(403, R"({"type":"/probs/no","title":"No"})", problem_json),
               scripted_exchange::answer(404, "{}")});
  const client api = make(pipeline_builder("inner"));
  const pipeline outer = retries(1).redact(std::make_shared<redactor>()).build(env);
  const auto r = outer.execute([&] { return api.get("/x").as<int>(); });
  ASSERT_TRUE(r.has_error());
  const error e = r.error();
  EXPECT_EQ(e.status(), 403);
  EXPECT_EQ(e.problem_type(), "/probs/no");
  EXPECT_EQ(e.problem_title(), "No");
  try {
    static_cast<void>(outer.execute([&] { return api.get("/x").as<int>(); }).value());
    FAIL();
  } catch (const call_error& thrown) {
    EXPECT_EQ(thrown.why().status(), 404);
  }
}

TEST_F(meaning, a_429_has_a_code_of_its_own) {
  net->script({scripted_exchange::answer(429), scripted_exchange::answer(429)});
  const auto r = make(retries(2)).send(post(), told);
  ASSERT_TRUE(r);
  EXPECT_EQ(sent(), 2u);
  const error e = r->ensure_success().error();
  EXPECT_EQ(e, errc::too_many_requests);
  EXPECT_EQ(e, condition::transient);
  EXPECT_NE(e, condition::ambiguous);
  EXPECT_EQ(e.status(), 429);
  EXPECT_EQ(report.error, errc::too_many_requests);
  const outcome o = classify(e.code());
  EXPECT_EQ(o.result, verdict::failed);
  EXPECT_EQ(o.delivery, evidence::refused);
  EXPECT_TRUE(o.transient);
  EXPECT_TRUE(o.throttled);
  EXPECT_FALSE(o.countable);
  EXPECT_FALSE(o.rejected);
}

// --- no content ---------------------------------------------------------------------------------

TEST_F(meaning, an_answer_without_content_is_said_to_have_none) {
  const client api = make(pipeline_builder("api"));
  for (const int status : {200, 204, 205}) {
    SCOPED_TRACE(status);
    for (int i = 0; i < 5; ++i) net->script({scripted_exchange::answer(status)});
    const error e = api.get("/x").as<int>().error();
    expect_error(e, errc::no_content, condition::bad_response,
                 {std::to_string(status), "as<void>", "optional"});
    EXPECT_NE(e, condition::transient);
    EXPECT_EQ(api.get("/x").as<std::optional<int>>().value(), std::nullopt);
    EXPECT_TRUE(api.delete_("/x").as<void>());
    const response r = api.send(request::get("/x")).value();
    EXPECT_EQ(r.json().error(), errc::no_content);
    EXPECT_TRUE(r.as<void>());
    EXPECT_EQ(r.as<std::optional<int>>().value(), std::nullopt);
    const pipeline outer = retries(3).build(env);
    EXPECT_EQ(outer.execute([&] { return api.get("/x").as<int>(); }).error(), errc::no_content);
  }
}

TEST_F(meaning, an_optional_value_is_read_when_it_is_there) {
  const auto read = [](int status, const char* body) {
    response r;
    r.set_status(status);
    r.mutable_body() = body;
    return r.as<std::optional<int>>();
  };
  EXPECT_EQ(read(200, "7").value(), 7);
  EXPECT_EQ(read(200, "null").value(), std::nullopt);
  EXPECT_EQ(read(200, "[]").error(), errc::json_wrong_type);
  EXPECT_EQ(read(200, "[]").error().status(), 200);
  EXPECT_EQ(read(200, "{").error(), errc::json_malformed);
}

// An empty 500 was a value without one, and the JSON of a 503 a value to the pipeline around.
TEST_F(meaning, no_value_is_read_from_an_answer_that_is_no_success) {
  const std::string body = R"({"type":"https://x.test/credit","title":"Out of credit"})";
  for (const int status : {304, 403, 429, 503}) {
    SCOPED_TRACE(status);
    response r;
    r.set_status(status);
    const error empty = r.ensure_success().error();
    for (const error& e : {r.as<std::optional<int>>().error(), r.as<int>().error(),
                           r.as<nlohmann::json>(http::limits{}).error()}) {
      EXPECT_EQ(e, empty) << e.message();
      EXPECT_EQ(e.status(), status);
    }
    r.mutable_body() = body;
    r.mutable_headers().add("Content-Type", problem_json);
    for (const error& e : {r.as<int>().error(), r.as<std::optional<int>>().error(),
                           r.as<nlohmann::json>().error(), r.as<void>().error()}) {
      EXPECT_EQ(e, empty);
      EXPECT_EQ(e.status(), status);
      EXPECT_EQ(e.problem_type(), "https://x.test/credit");
      EXPECT_EQ(e.problem_title(), "Out of credit");
      EXPECT_NE(e.message().find(std::to_string(status)), std::string::npos) << e.message();
    }
    // Read on purpose.
    EXPECT_EQ(r.json().value()["title"], "Out of credit");
    EXPECT_EQ(http::json_as<std::string>((*r.json())["title"]).value(), "Out of credit");
  }
}

TEST_F(meaning, a_pipeline_around_sees_that_there_was_no_value) {
  const client api = make(pipeline_builder("inner"));
  net->script({scripted_exchange::answer(503, "{}"), scripted_exchange::answer(503),
               scripted_exchange::answer(200, "{}")});
  const auto r =
      retries(3)
          .calls_are(effect::safe)
          .build(env)
          .execute([&] { return api.send(request::get("/x"))->as<nlohmann::json>(); }, told);
  EXPECT_TRUE(r);
  EXPECT_EQ(report.attempts, 3);
}

TEST_F(meaning, a_judgement_of_ones_own_decides_what_is_read) {
  options.classify = [](const response& answer, const outcome& by_status) {
    outcome o = by_status;
    o.result = answer.body() == "7" ? verdict::ok : verdict::failed;
    return o;
  };
  net->script({scripted_exchange::answer(404, "7"), scripted_exchange::answer(200, "8")});
  const client api = make(pipeline_builder("api"));
  EXPECT_EQ(api.send(request::get("/x"))->as<int>().value(), 7);
  EXPECT_EQ(api.send(request::get("/x"))->as<int>().error(), errc::operation_failed);
}

TEST_F(meaning, a_value_that_is_not_asked_for_may_be_anything) {
  const client api = make(pipeline_builder("api"));
  net->script({scripted_exchange::answer(200, "<html>", "text/html"),
               scripted_exchange::answer(404, "{}"), scripted_exchange::answer(404, "{}")});
  EXPECT_TRUE(api.post("/x").as<void>());
  const result<void> r = api.post("/x").as<void>();
  ASSERT_TRUE(r.has_error());
  EXPECT_EQ(r.error(), errc::client_error);
  EXPECT_EQ(api.send(request::get("/x"))->as<void>().error().status(), 404);
}

// --- reports ------------------------------------------------------------------------------------

TEST_F(meaning, a_report_is_of_one_call) {
  const client api = make(retries(1));
  const auto fill = [&] {
    net->script({scripted_exchange::answer(500)});
    ASSERT_TRUE(api.send(keyed(), told));
    ASSERT_FALSE(report.key_fingerprint.empty());
    ASSERT_FALSE(report.entries.empty());
  };
  const auto expect_fresh = [&](const error_code& end) {
    EXPECT_EQ(report.key_fingerprint, "");
    EXPECT_EQ(report.error, end);
    EXPECT_NE(report.delivery, evidence::maybe_applied);
  };
  fill();
  net->script({scripted_exchange::answer(200)});
  ASSERT_TRUE(api.send(request::get("/x"), told));
  expect_fresh({});

  fill();  // a plain pipeline
  ASSERT_TRUE(retries(1).build(env).execute([] { return 1; }, told));
  expect_fresh({});
  EXPECT_EQ(report.attempts, 1);

  fill();  // refused before it began
  ASSERT_TRUE(api.send(request::get("bad"), told).has_error());
  expect_fresh(errc::invalid_url);
  EXPECT_EQ(report.attempts, 0);
  EXPECT_TRUE(report.entries.empty());

  fill();  // refused, asynchronously
  std::optional<error> got;
  api.async_send(request::get("bad"), told, [&](result<response> r) { got = r.error(); });
  env.run_until([&] { return got.has_value(); });
  expect_fresh(errc::invalid_url);

  fill();  // from the very start, not only in the end
  net->script({scripted_exchange::answer(200).after(1s)});
  bool done = false;
  api.async_send(request::get("/slow"), told, [&](result<response>) { done = true; });
  env.run_ready();
  EXPECT_FALSE(done);
  EXPECT_EQ(report.key_fingerprint, "");
  EXPECT_EQ(report.error, error_code());
  EXPECT_EQ(report.delivery, evidence::never_sent);
  env.run_until([&] { return done; });

  fill();  // no time at all
  call_options none = told;
  none.within = duration::zero();
  ASSERT_TRUE(api.send(request::get("/x"), none).has_error());
  expect_fresh(errc::call_timeout);
}

TEST_F(meaning, a_report_of_a_call_that_would_deadlock_is_its_own) {
  boost::asio::io_context context;
  const environment here(context.get_executor());
  const client api(here, "http://api.test", pipeline_builder("api"), {.transport = net});
  report.key_fingerprint = "of an earlier call";
  report.attempts = 7;
  bool asked = false;
  boost::asio::post(context, [&] {
    EXPECT_EQ(api.send(request::get("/x"), told).error(), errc::would_deadlock);
    asked = true;
  });
  context.run();
  EXPECT_TRUE(asked);
  EXPECT_EQ(report.key_fingerprint, "");
  EXPECT_EQ(report.attempts, 0);
  EXPECT_EQ(report.error, errc::would_deadlock);
  EXPECT_EQ(report.operation, "GET /x");
}

// --- a user's own judgement ---------------------------------------------------------------------

/// Some APIs throttle by a 403 whose body says so.
outcome throttled_403(const response& answer, const outcome& by_status) {
  outcome o = by_status;
  if (answer.status() != 403 || answer.body().find("throttled") == std::string_view::npos) return o;
  o.result = verdict::failed;
  o.throttled = true;
  o.transient = true;
  o.delivery = evidence::refused;
  o.server_wait = 3s;
  return o;
}

TEST_F(meaning, a_hook_makes_a_403_a_throttle) {
  options.classify = throttled_403;
  const client api = make(retries(2));
  net->script(
      {scripted_exchange::answer(403, R"({"error":"throttled"})"), scripted_exchange::answer(201)});
  const auto r = api.send(post(), told);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->status(), 201);
  const auto requests = net->requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_GE(requests[1].at - requests[0].at, 3s);

  net->script({scripted_exchange::answer(403, R"({"error":"throttled"})"),
               scripted_exchange::answer(403, R"({"error":"throttled"})"),
               scripted_exchange::answer(403, R"({"error":"forbidden"})")});
  const error why = api.get("/x").as<int>().error();
  EXPECT_EQ(why, errc::too_many_requests);
  EXPECT_EQ(why, condition::transient);
  EXPECT_EQ(why.status(), 403);
  EXPECT_EQ(api.get("/x").as<int>().error(), errc::client_error);
}

TEST_F(meaning, one_word_of_a_hook_makes_a_throttle) {
  options.classify = [](const response& answer, const outcome& by_status) {
    outcome o = by_status;
    if (answer.body() == "throttled") o.throttled = true;
    return o;
  };
  const client api = make(retries(2));
  for (const int status : {403, 400, 500, 503})
    for (const auto& what : {request::get("/x"), post(), keyed()}) {
      SCOPED_TRACE(status);
      net->script({scripted_exchange::answer(status, "throttled"), scripted_exchange::answer(200)});
      EXPECT_EQ(api.send(what, told)->status(), 200);
      EXPECT_EQ(report.attempts, 2);
    }
  net->script(
      {scripted_exchange::answer(403, "throttled"), scripted_exchange::answer(403, "throttled")});
  const auto r = api.send(post(), told);
  ASSERT_TRUE(r);
  EXPECT_EQ(report.error, errc::too_many_requests);
  EXPECT_EQ(report.delivery, evidence::refused);
  EXPECT_EQ(r->ensure_success().error(), errc::too_many_requests);
  EXPECT_EQ(r->ensure_success().error(), condition::transient);
}

TEST_F(meaning, a_hook_may_say_more_of_a_throttle) {
  const auto sent_for = [&](int status, auto set) {
    net = std::make_shared<testing::fake_transport>(env);
    net->otherwise(scripted_exchange::answer(status));
    options.classify = [set](const response&, const outcome& by_status) {
      outcome o = by_status;
      set(o);
      return o;
    };
    EXPECT_TRUE(make(retries(2)).send(post(), told));
    return sent();
  };
  // A quota that is spent: no wait mends it.
  EXPECT_EQ(sent_for(429, [](outcome& o) { o.transient = false; }), 1u);
  // Slow down, but the work may have been done.
  EXPECT_EQ(sent_for(403,
                     [](outcome& o) {
                       o.throttled = true;
                       o.delivery = evidence::maybe_applied;
                     }),
            1u);
  EXPECT_EQ(report.error, errc::outcome_unknown);
  // A success that says that the next should be slower.
  EXPECT_EQ(sent_for(200, [](outcome& o) { o.throttled = true; }), 1u);
  EXPECT_EQ(report.error, error_code());
}

TEST_F(meaning, the_resend_table_is_asked_about_what_a_hook_says) {
  options.classify = [](const response&, const outcome& by_status) {
    outcome o = by_status;
    o.result = verdict::failed;
    o.transient = true;
    return o;
  };
  for (const int status : {200, 400, 500}) {
    SCOPED_TRACE(status);
    net = std::make_shared<testing::fake_transport>(env);
    net->script({scripted_exchange::answer(status), scripted_exchange::answer(status)});
    ASSERT_TRUE(make(retries(3)).send(post()));
    EXPECT_EQ(sent(), 1u);
  }
}

TEST_F(meaning, a_hook_has_the_last_word_on_success) {
  options.classify = [](const response& answer, const outcome& by_status) {
    outcome o = by_status;
    if (answer.status() == 404) o.result = verdict::ok;
    if (answer.body() == "[]") o.result = verdict::failed;
    return o;
  };
  const client api = make(retries(1));
  net->script({scripted_exchange::answer(404, "7"), scripted_exchange::answer(200, "[]"),
               scripted_exchange::answer(200, "7")});
  EXPECT_EQ(api.get("/x").as<int>().value(), 7);
  const error why = api.get("/x").as<int>().error();
  EXPECT_EQ(why, errc::operation_failed);
  EXPECT_EQ(why.status(), 200);
  EXPECT_EQ(api.get("/x").as<int>().value(), 7);
}

TEST_F(meaning, a_hook_sees_the_answer_and_claims_no_more_than_it_may) {
  options.classify = [&](const response& answer, const outcome& by_status) {
    EXPECT_EQ(answer.effect(), effect::unsafe);
    EXPECT_EQ(answer.headers().find("X-Reason"), "slow");
    EXPECT_EQ(by_status.status, 500);
    EXPECT_EQ(by_status.error, errc::server_error);
    EXPECT_EQ(by_status.delivery, evidence::maybe_applied);
    outcome o = by_status;
    o.status = 200;
    o.rejected = true;
    o.from = origin::policy;
    o.server_wait = -5s;
    o.delivery = evidence::answered;
    return o;
  };
  net->script({scripted_exchange::answer(500).header("X-Reason", "slow")});
  const auto r = make(retries(3)).send(post(), told);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->status(), 500);
  EXPECT_EQ(r->evidence(), evidence::maybe_applied);
  EXPECT_EQ(report.error, errc::outcome_unknown);
}

TEST_F(meaning, what_a_hook_throws_ends_the_attempt) {
  options.classify = [](const response&, const outcome&) -> outcome {
    throw std::runtime_error("password=s3cr3t in a hook");
  };
  const client api = make(retries(3));
  net->script({scripted_exchange::answer(200, "7"), scripted_exchange::answer(201),
               scripted_exchange::answer(500)});
  const auto r = api.send(request::get("/x"), told);
  ASSERT_TRUE(r.has_error());
  EXPECT_EQ(r.error(), errc::operation_threw);
  EXPECT_EQ(r.error().status(), 200);
  EXPECT_NE(r.error().message().find("in a hook"), std::string::npos) << r.error().message();
  EXPECT_EQ(r.error().message().find(planted), std::string::npos) << r.error().message();
  EXPECT_EQ(sent(), 1u);
  EXPECT_EQ(report.delivery, evidence::answered);

  EXPECT_EQ(api.send(post()).error(), errc::operation_threw);  // booked, as the 201 said
  const auto unknown = api.send(post(), told);
  ASSERT_TRUE(unknown.has_error());
  EXPECT_EQ(unknown.error(), errc::outcome_unknown) << unknown.error().message();
  EXPECT_EQ(unknown.error().status(), 500);
  EXPECT_EQ(sent(), 3u);
}

TEST_F(meaning, a_hook_is_not_asked_where_there_is_no_answer) {
  int asked = 0;
  options.classify = [&](const response&, const outcome& o) {
    ++asked;
    return o;
  };
  net->script({scripted_exchange::fail(errc::connection_closed), scripted_exchange::answer(200)});
  ASSERT_TRUE(make(retries(2)).send(request::get("/x")));
  EXPECT_EQ(asked, 1);
}

}  // namespace
}  // namespace hawser::test::meaning_test
