#include "hawser/http/response.hpp"

#include "hawser/http/json.hpp"
#include "http/expect_error.hpp"

namespace hawser::test::response_test {
namespace {

using http::response;

response answer(int status, std::string_view body = {}, std::string_view type = {}) {
  response r;
  r.set_status(status, "s3cr3t reason");
  r.mutable_body() = body;
  if (!type.empty()) r.mutable_headers().add("Content-Type", type);
  r.mutable_headers().add("Set-Cookie", "s3cr3t");
  return r;
}

TEST(Response, HoldsAnAnswer) {
  response r = answer(200, "text", "text/plain");
  EXPECT_EQ(r.status(), 200);
  EXPECT_EQ(r.reason(), "s3cr3t reason");
  EXPECT_TRUE(r.ok());
  EXPECT_EQ(r.headers().find("content-type"), "text/plain");
  EXPECT_EQ(r.body(), "text");
  EXPECT_EQ(r.take_body(), "text");
  EXPECT_EQ(r.body(), "");
}

TEST(Response, ClearForgetsEverything) {
  response r = answer(500, "text", "text/plain");
  r.mutable_trailers().add("a", "b");
  r.set_exchange(effect::unsafe, evidence::maybe_applied);
  r.clear();
  EXPECT_EQ(r.status(), 0);
  EXPECT_EQ(r.reason(), "");
  EXPECT_EQ(r.body(), "");
  EXPECT_TRUE(r.headers().empty());
  EXPECT_TRUE(r.trailers().empty());
  EXPECT_TRUE(r.effect() == effect::safe);
  EXPECT_TRUE(r.evidence() == evidence::answered);
}

TEST(Response, OkIsTwoHundreds) {
  for (const int status : {199, 300, 304, 404, 500, 0}) EXPECT_FALSE(answer(status).ok());
  for (const int status : {200, 204, 299}) EXPECT_TRUE(answer(status).ok());
}

TEST(EnsureSuccess, PassesSuccessOn) {
  const response kept = answer(204);
  EXPECT_EQ(kept.ensure_success()->status(), 204);
  EXPECT_EQ(answer(200, "b").ensure_success()->body(), "b");
}

TEST(EnsureSuccess, TurnsOtherAnswersIntoErrors) {
  const auto seen = [](int status) { return answer(status, "s3cr3t").ensure_success().error(); };
  expect_error(seen(404), errc::client_error, condition::bad_response, {"404 Not Found"});
  expect_error(seen(500), errc::server_error, condition::bad_response,
               {"500 Internal Server Error"});
  expect_error(seen(502), errc::server_error, condition::bad_response, {"502 Bad Gateway"});
  expect_error(seen(304), errc::unexpected_status, condition::bad_response, {"304 Not Modified"});
  expect_error(seen(777), errc::server_error, condition::bad_response, {"777"});
  expect_error(seen(0), errc::unexpected_status, condition::bad_response, {"status 0"});
}

TEST(EnsureSuccess, ARefusalAfterAnAttemptThatMayHaveBeenAppliedIsOutcomeUnknown) {
  for (const int status : {429, 500, 503}) {
    response r = answer(status);
    r.set_exchange(effect::keyed, evidence::maybe_applied);
    expect_error(r.ensure_success().error(), errc::outcome_unknown, condition::ambiguous,
                 {std::to_string(status), "reconcile"});
    r.set_exchange(effect::keyed, evidence::refused);
    EXPECT_FALSE(r.ensure_success().error() == errc::outcome_unknown);
  }
}

TEST(EnsureSuccess, ServerErrorsOfUnsafeRequestsAreOutcomeUnknown) {
  for (const int status : {500, 501, 502, 503, 504, 505, 507, 599}) {
    for (const effect what : {effect::unsafe, effect::keyed}) {
      for (const evidence seen : {evidence::maybe_applied, evidence::answered}) {
        response r = answer(status);
        r.set_exchange(what, seen);
        expect_error(r.ensure_success().error(), errc::outcome_unknown, condition::ambiguous,
                     {std::to_string(status), "reconcile"});
        EXPECT_EQ(r.as<void>().error(), errc::outcome_unknown);
      }
      response r = answer(status);
      r.set_exchange(what, evidence::refused);
      EXPECT_TRUE(r.ensure_success().error() == errc::server_error);
    }
    for (const effect what : {effect::safe, effect::idempotent}) {
      response r = answer(status);
      r.set_exchange(what, evidence::maybe_applied);
      EXPECT_TRUE(r.ensure_success().error() == errc::server_error);
    }
  }
}

TEST(EnsureSuccess, ShowsAProblemTitleMasked) {
  const auto title = [](std::string_view body, std::string_view type) {
    return answer(422, body, type).ensure_success().error().message();
  };
  EXPECT_NE(title(R"({"title":"Out of credit","detail":"s3cr3t"})", "application/problem+json")
                .find("\"Out of credit\""),
            std::string::npos);
  EXPECT_NE(title(R"({"title":"Out of credit"})", "Application/Problem+JSON; charset=utf-8")
                .find("\"Out of credit\""),
            std::string::npos);
  EXPECT_NE(title(R"({"title":"Card s3cr3t refused"})", "application/problem+json")
                .find("\"Card *** refused\""),
            std::string::npos);
  const std::string long_title = R"({"title":")" + std::string(1000, 'a') + R"("})";
  EXPECT_LT(title(long_title, "application/problem+json").size(), 300U);
  for (const char* body : {"", "{", "[]", "s3cr3t", R"({"title":7})", R"({"detail":"s3cr3t"})"})
    EXPECT_EQ(title(body, "application/problem+json").find(planted), std::string::npos) << body;
  EXPECT_EQ(title(R"({"title":"Out of credit"})", "application/json").find("credit"),
            std::string::npos);
}

TEST(Response, GivesJson) {
  EXPECT_EQ(answer(200, R"({"a":[1,2]})").json().value()["a"][1], 2);
  EXPECT_EQ(answer(200, "[1,2,3]").as<std::vector<int>>().value(), (std::vector<int>{1, 2, 3}));
  expect_error(answer(200, "s3cr3t").json().error(), errc::json_malformed, condition::bad_response,
               {"byte 1", "check"});
  expect_error(answer(200, R"(["s3cr3t"])").as<std::vector<int>>().error(), errc::json_wrong_type,
               condition::bad_response, {"field /0", "must be number", "is string"});
}

}  // namespace
}  // namespace hawser::test::response_test
