#include "hawser/testing/matchers.hpp"

#include "hawser/http/json.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/run/execute.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <system_error>

namespace hawser::test::matchers_test {
namespace {

using namespace std::chrono_literals;
using namespace hawser::testing;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::DescribeMatcher;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Matcher;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StringMatchResultListener;

/// What the matcher says of a value.
template <class T, class M>
std::string said(const M& matcher, const T& value) {
  StringMatchResultListener listener;
  ::testing::SafeMatcherCast<const T&>(matcher).MatchAndExplain(value, &listener);
  return listener.str();
}
template <class T, class M>
std::string described(const M& matcher, bool negation = false) {
  return DescribeMatcher<const T&>(matcher, negation);
}

const result<int> seven = 7;
const result<int> lost = error(errc::connection_closed, "after 2 attempts (1 retry)");
const result<void> done;

http::response answer(int status, std::string body = {}) {
  http::response r;
  r.set_status(status, http::reason_phrase(status));
  r.mutable_headers().add("Content-Type", "application/json");
  r.mutable_body() = std::move(body);
  return r;
}

TEST(matchers, tell_results_apart) {
  EXPECT_THAT(seven, IsOk());
  EXPECT_THAT(done, IsOk());
  EXPECT_THAT(lost, Not(IsOk()));
  EXPECT_THAT(seven, IsOkAnd(7));
  EXPECT_THAT(seven, IsOkAnd(Ge(7)));
  EXPECT_THAT(seven, Not(IsOkAnd(8)));
  EXPECT_THAT(lost, Not(IsOkAnd(7)));
  EXPECT_EQ(said(IsOk(), lost), lost.error().message());
  EXPECT_EQ(said(IsOkAnd(7), lost), "which is the error: " + lost.error().message());
  EXPECT_EQ(described<result<int>>(IsOk()), "is ok");
  EXPECT_EQ(described<result<int>>(IsOkAnd(Ge(7))), "is ok and has a value that is >= 7");
}

TEST(matchers, tell_errors_apart_by_code_and_by_condition) {
  EXPECT_THAT(lost, FailsWith(errc::connection_closed));
  EXPECT_THAT(lost, FailsWith(condition::transient));
  EXPECT_THAT(lost, FailsWith(error_code(errc::connection_closed)));
  EXPECT_THAT(lost, Not(FailsWith(errc::call_timeout)));
  EXPECT_THAT(lost, Not(FailsWith(condition::timeout)));
  EXPECT_THAT(seven, Not(FailsWith(errc::call_timeout)));
  EXPECT_THAT(lost.error(), FailsWith(errc::connection_closed));
  EXPECT_THAT(error_code(errc::call_timeout), FailsWith(condition::timeout));
  EXPECT_EQ(said(FailsWith(errc::call_timeout), seven), "which is ok");
  EXPECT_EQ(said(FailsWith(errc::call_timeout), lost),
            "which fails with: " + lost.error().message() +
                " (hawser:" + std::to_string(static_cast<int>(errc::connection_closed)) + ")");
  EXPECT_EQ(described<result<int>>(FailsWith(errc::call_timeout)),
            "fails with \"" + error_code(errc::call_timeout).message() + "\"");
  EXPECT_EQ(described<result<int>>(FailsWith(condition::timeout), true),
            "does not fail with \"" + make_error_condition(condition::timeout).message() + "\"");
}

TEST(matchers, look_at_the_detail) {
  EXPECT_THAT(lost, DetailHas("2 attempts"));
  EXPECT_THAT(lost, DetailHas(HasSubstr("1 retry")));
  EXPECT_THAT(lost.error(), Not(DetailHas("3 attempts")));
  EXPECT_THAT(seven, Not(DetailHas("")));
  EXPECT_EQ(described<result<int>>(DetailHas("x")), "has a detail that has substring \"x\"");
}

TEST(matchers, look_into_answers) {
  const http::response created = answer(201, R"({"id": 1, "paid": true})");
  EXPECT_THAT(created, HasStatus(201));
  EXPECT_THAT(created, HasStatus(Ge(200)));
  EXPECT_THAT(created, Not(HasStatus(200)));
  EXPECT_THAT(created, HasHeader("content-type", "application/json"));
  EXPECT_THAT(created, HasHeader("Content-Type"));
  EXPECT_THAT(created, HasHeader("Content-Type", HasSubstr("json")));
  EXPECT_THAT(created, Not(HasHeader("Location")));
  EXPECT_THAT(created, HasBody(R"({"id": 1, "paid": true})"));
  EXPECT_THAT(created, HasBody(HasSubstr("paid")));
  EXPECT_THAT(created, HasJson(R"({"paid":true,"id":1})"));
  EXPECT_THAT(created, HasJson(nlohmann::json{{"id", 1}, {"paid", true}}));
  EXPECT_THAT(created, HasJsonAt("/paid", "true"));
  const result<http::response> r = created;
  EXPECT_THAT(r, IsOkAnd(AllOf(HasStatus(201), HasJsonAt("/id", "1"))));
  EXPECT_EQ(said(HasStatus(200), created), "whose status is 201");
  EXPECT_EQ(said(HasHeader("Location"), created), "which has no header Location");
  EXPECT_EQ(described<http::response>(HasHeader("A", "b")),
            "has a header A that is equal to \"b\"");
  EXPECT_EQ(described<http::response>(HasStatus(Ge(400))), "has a status that is >= 400");
}

TEST(matchers, say_where_json_differs) {
  const http::response r = answer(200, R"({"id":1,"to":{"name":"ada"},"old":0})");
  EXPECT_EQ(said(HasJson(R"({"id":2,"to":{"name":"ada"},"new":1})"), r),
            "which differs: /id is 1, should be 2; /old is 0, should not be there; /new is "
            "missing, should be 1");
  EXPECT_EQ(said(HasJsonAt("/to", R"({"name":"bob"})"), r),
            "which differs: /to/name is \"ada\", should be \"bob\"");
  EXPECT_EQ(said(HasJsonAt("/from", "1"), r), "which has nothing at /from");
  EXPECT_EQ(said(HasJson("1"), answer(200)), "which has no body");
  EXPECT_EQ(said(HasJson("1"), answer(200, "<html>")), "whose body is not JSON");
  EXPECT_EQ(said(HasJson("{"), r), "what the matcher expects is not JSON: {");
  EXPECT_EQ(said(HasJson("1"), answer(200, "2")), "which differs: the whole is 2, should be 1");
  EXPECT_EQ(described<http::response>(HasJsonAt("/id", "1")), "has JSON at /id equal to 1");
}

TEST(matchers, look_into_requests_of_the_fake_transport_and_of_the_fault_server) {
  const sent_request sent{.method = "POST",
                          .target = "/v1/charges?n=1",
                          .headers = {{"Idempotency-Key", "o-1"}},
                          .body = R"({"order":"o-1"})"};
  received_request received;
  received.method = "POST";
  received.target = "/v1/charges?n=1";
  received.headers = {{"Idempotency-Key", "o-1"}};
  received.body = R"({"order":"o-1"})";
  request_record record;
  record.request = received;
  record.status = 201;
  const auto looks_right =
      AllOf(RequestTo("POST", "/v1/charges?n=1"), RequestTo("POST", HasSubstr("charges")),
            HasHeader("idempotency-key", "o-1"), HasJson(R"({"order":"o-1"})"),
            Not(RequestTo("GET", "/v1/charges?n=1")));
  EXPECT_THAT(sent, looks_right);
  EXPECT_THAT(received, looks_right);
  EXPECT_THAT(record, AllOf(looks_right, HasStatus(201)));
  EXPECT_EQ(said(RequestTo("GET", "/"), sent), "which is POST /v1/charges?n=1");
}

TEST(matchers, look_into_reports_and_events) {
  manual_environment env;
  auto seen = std::make_shared<event_recorder>();
  const pipeline p =
      pipeline_builder{"billing"}
          .add(retry{.max_attempts = 2, .delay = constant{.each = 2s, .spread = jitter::none}})
          .observe(seen)
          .calls_are(effect::idempotent)
          .build(env);
  call_report report;
  EXPECT_THAT(p.execute([]() -> result<int> { return error(errc::connection_closed); },
                        {.report = &report}),
              FailsWith(errc::connection_closed));
  EXPECT_THAT(report,
              AllOf(Attempts(2), Attempts(Ge(2)), Not(Attempts(3)),
                    StoppedBecause(reason::max_attempts), FailsWith(errc::connection_closed)));
  EXPECT_THAT(report, Entries(Contains(EventOf(event_kind::waiting, OnAttempt(1), Lasting(2s),
                                               ByPolicy("retry"), Because(reason::own_delay)))));
  EXPECT_THAT(report, Entries(Contains(EventOf(event_kind::attempt_finished)).Times(2)));
  EXPECT_THAT(report, Not(Entries(Contains(EventOf(event_kind::rejected)))));
  EXPECT_THAT(seen->events(),
              ElementsAre(EventOf(event_kind::call_started), EventOf(event_kind::attempt_started),
                          EventOf(event_kind::attempt_finished, OnAttempt(1),
                                  FailsWith(errc::connection_closed)),
                          EventOf(event_kind::waiting), EventOf(event_kind::attempt_started),
                          EventOf(event_kind::attempt_finished, OnAttempt(2)),
                          EventOf(event_kind::retry_stopped), EventOf(event_kind::call_finished)));
  EXPECT_THAT(said(Attempts(3), report), HasSubstr("which has 2 attempts:\n"));
  EXPECT_THAT(said(StoppedBecause(reason::budget), report),
              HasSubstr("which stopped because of max_attempts:\n"));
  EXPECT_EQ(described<call_report>(StoppedBecause(reason::budget)), "stopped because of budget");
  EXPECT_EQ(described<recorded_event>(EventOf(event_kind::waiting, OnAttempt(1))),
            "(is an event waiting) and (is of attempt 1)");
}

TEST(matchers, print_what_failed_with_secrets_masked) {
  EXPECT_EQ(::testing::PrintToString(seven), "ok: 7");
  EXPECT_EQ(::testing::PrintToString(done), "ok");
  EXPECT_EQ(::testing::PrintToString(lost), "error: " + lost.error().message());
  sent_request sent{.method = "POST", .target = "/charges?token=s3cr3t"};
  sent.headers = {{"Authorization", "Bearer s3cr3t"}, {"Accept", "*/*"}};
  sent.body = R"({"password":"s3cr3t","order":"o-1"})";
  EXPECT_EQ(::testing::PrintToString(sent),
            "POST /charges?token=[masked]\n  Authorization: Bearer [masked]\n  Accept: */*\n  "
            R"({"password":"[masked]","order":"o-1"})");
  const result<http::response> r = answer(503, "busy");
  EXPECT_EQ(::testing::PrintToString(r),
            "ok: 503 Service Unavailable\n  Content-Type: application/json\n  busy");
}

}  // namespace
}  // namespace hawser::test::matchers_test
