#include "hawser/http/classify.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace hawser::test::classify_test {
namespace {

using http::classify;
using http::idempotency_profile;
using http::response;

response answer(int status, std::optional<std::string_view> retry_after = {},
                std::optional<std::string_view> date = {}) {
  response r;
  r.set_status(status);
  if (retry_after) r.mutable_headers().add("Retry-After", *retry_after);
  if (date) r.mutable_headers().add("Date", *date);
  return r;
}

struct row {
  int status;
  verdict result;
  bool transient;
  evidence delivery;
  bool countable;
  std::optional<errc> error;
};

constexpr auto ok = verdict::ok;
constexpr auto failed_ = verdict::failed;
constexpr auto ignored_ = verdict::ignored;
constexpr auto answered = evidence::answered;
constexpr auto refused = evidence::refused;
constexpr auto maybe = evidence::maybe_applied;
constexpr auto client = errc::client_error;
constexpr auto server = errc::server_error;

class Classify : public ::testing::TestWithParam<row> {};

TEST_P(Classify, GivesEachStatusItsMeaning) {
  const row& want = GetParam();
  for (const effect what : {effect::safe, effect::idempotent, effect::keyed, effect::unsafe}) {
    if (want.status == 409 && what == effect::keyed) continue;
    const outcome o = classify(answer(want.status), what);
    EXPECT_TRUE(o.result == want.result) << want.status;
    EXPECT_EQ(o.transient, want.transient) << want.status;
    const bool twice_matters = what == effect::keyed || what == effect::unsafe;
    EXPECT_EQ(o.delivery, want.status >= 500 && twice_matters ? maybe : want.delivery)
        << want.status;
    if (want.result == verdict::failed) {
      EXPECT_EQ(o.countable, want.countable) << want.status;
    }
    EXPECT_EQ(o.error, want.error ? error_code(*want.error) : error_code()) << want.status;
    EXPECT_EQ(o.status, want.status);
    EXPECT_TRUE(o.from == origin::operation);
    EXPECT_FALSE(o.rejected);
    EXPECT_EQ(o.throttled, want.status == 429) << want.status;
    EXPECT_FALSE(o.has_hint());
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, Classify,
    ::testing::Values(row{200, ok, false, answered, true, {}},
                      row{204, ok, false, answered, true, {}},
                      row{301, ok, false, answered, true, {}},
                      row{304, ok, false, answered, true, {}},
                      row{400, ignored_, false, answered, false, client},
                      row{401, ignored_, false, answered, false, client},
                      row{404, ignored_, false, answered, false, client},
                      row{409, ignored_, false, answered, false, client},
                      row{412, ignored_, false, answered, false, client},
                      row{413, ignored_, false, answered, false, client},
                      row{422, ignored_, false, answered, false, client},
                      row{408, failed_, true, answered, false, client},
                      row{421, failed_, true, refused, false, client},
                      row{425, failed_, true, refused, false, client},
                      row{429, failed_, true, refused, false, errc::too_many_requests},
                      row{500, failed_, true, answered, true, server},
                      row{501, failed_, false, answered, true, server},
                      row{502, failed_, true, maybe, true, server},
                      row{503, failed_, true, answered, true, server},
                      row{504, failed_, true, maybe, true, server},
                      row{505, failed_, false, answered, true, server},
                      row{507, failed_, true, answered, true, server},
                      row{599, failed_, true, answered, true, server},
                      row{799, failed_, true, answered, true, server},
                      row{0, failed_, false, answered, true, errc::unexpected_status}));

TEST(ClassifyRetryAfter, MakesA503ARefusal) {
  const outcome o = classify(answer(503, "7"), effect::unsafe);
  EXPECT_TRUE(o.delivery == evidence::refused);
  EXPECT_TRUE(o.countable);
  EXPECT_EQ(o.server_wait, duration(std::chrono::seconds(7)));
  EXPECT_TRUE(may_resend(effect::unsafe, o.delivery));
  EXPECT_TRUE(classify(answer(503, "soon"), effect::unsafe).delivery == evidence::maybe_applied);
}

// What is not well-formed proves nothing (RFC 9110 section 10.2.3), and asks for no wait.
TEST(ClassifyRetryAfter, IsNoneWhereItIsMalformed) {
  const char* const date = "Fri, 07 Nov 2025 23:59:49 GMT";
  for (const char* text :
       {"", "-1", "+1", "1.5", "9223372036854775808", "1, 2", "1, 1", "soon", "5s", "0x10",
        "Fri, 31 Feb 2025 23:59:59 GMT", "Fri, 07 Nov 2025 23:59:59", "2025-11-07T23:59:59Z"}) {
    for (const int status : {429, 500, 503}) {
      const outcome o = classify(answer(status, text, date), effect::unsafe);
      EXPECT_FALSE(o.has_hint()) << text;
      EXPECT_EQ(o.delivery, status == 429 ? evidence::refused : evidence::maybe_applied) << text;
    }
  }
}

TEST(ClassifyRetryAfter, OfTwoFieldsCountsWhenTheySayTheSame) {
  const auto two = [](std::string_view one, std::string_view other) {
    response r = answer(503, one);
    r.mutable_headers().add("retry-after", other);
    return classify(r, effect::unsafe);
  };
  EXPECT_EQ(two("7", "7").server_wait, duration(std::chrono::seconds(7)));
  EXPECT_EQ(two("7", "7").delivery, evidence::refused);
  for (const char* other : {"8", "", "soon", "Fri, 07 Nov 2025 23:59:59 GMT"}) {
    EXPECT_FALSE(two("7", other).has_hint()) << other;
    EXPECT_EQ(two("7", other).delivery, evidence::maybe_applied) << other;
  }
}

TEST(ClassifyRetryAfter, IsNotMeasuredAgainstTwoDatesThatDiffer) {
  response r = answer(503, "Fri, 07 Nov 2025 23:59:59 GMT", "Fri, 07 Nov 2025 23:59:49 GMT");
  r.mutable_headers().add("Date", "Fri, 07 Nov 2025 22:00:00 GMT");
  EXPECT_FALSE(classify(r, effect::unsafe).has_hint());
  EXPECT_EQ(classify(r, effect::unsafe).delivery, evidence::refused);
}

// A profile may have any status of 400 to 599 for "still running".
TEST(ClassifyConflict, OfAServerErrorIsOne) {
  idempotency_profile own;
  own.in_flight_status = 503;
  const outcome o = classify(answer(503), effect::keyed, &own);
  EXPECT_EQ(o.error, errc::server_error);
  EXPECT_EQ(o.delivery, evidence::maybe_applied);
  EXPECT_TRUE(o.transient);
  EXPECT_FALSE(o.countable);
}

TEST(ClassifyRetryAfter, IsTheHintOfEveryFailedAnswer) {
  for (const int status : {408, 425, 429, 500, 502, 503, 504}) {
    const outcome o = classify(answer(status, "7"), effect::safe);
    EXPECT_EQ(o.server_wait, duration(std::chrono::seconds(7))) << status;
  }
  EXPECT_FALSE(classify(answer(200, "7"), effect::safe).has_hint());
  EXPECT_FALSE(classify(answer(301, "7"), effect::safe).has_hint());
  EXPECT_FALSE(classify(answer(404, "7"), effect::safe).has_hint());
  EXPECT_FALSE(classify(answer(409, "7"), effect::unsafe).has_hint());
  EXPECT_FALSE(classify(answer(429, "soon"), effect::safe).has_hint());
}

TEST(ClassifyRetryAfter, MeasuresDatesAgainstTheAnswersOwnDate) {
  const char* const until = "Fri, 07 Nov 2025 23:59:59 GMT";
  const outcome own = classify(answer(503, until, "Fri, 07 Nov 2025 23:59:49 GMT"), effect::safe);
  EXPECT_EQ(own.server_wait, duration(std::chrono::seconds(10)));
  const outcome told = classify(answer(503, until), effect::safe, nullptr,
                                std::chrono::sys_days(std::chrono::year(2025) / 11 / 8));
  EXPECT_EQ(told.server_wait, duration(0));
  // Nothing to measure it against: no hint, but a refusal all the same.
  const outcome bare = classify(answer(503, until), effect::safe);
  EXPECT_FALSE(bare.has_hint());
  EXPECT_TRUE(bare.delivery == evidence::refused);
}

TEST(ClassifyConflict, MeansStillRunningWhenTheRequestCarriedAKey) {
  const outcome o = classify(answer(409, "2"), effect::keyed);
  EXPECT_TRUE(o.result == verdict::failed);
  EXPECT_TRUE(o.transient);
  EXPECT_TRUE(o.delivery == evidence::maybe_applied);
  EXPECT_FALSE(o.countable);
  EXPECT_EQ(o.error, errc::client_error);
  EXPECT_EQ(o.server_wait, duration(std::chrono::seconds(2)));
}

TEST(ClassifySettling, IsForTheProfileToSay) {
  const auto result_of = [](int status, effect what, const idempotency_profile& p) {
    const outcome o = classify(answer(status), what, &p);
    EXPECT_TRUE(o.delivery == evidence::answered);
    EXPECT_FALSE(o.transient);
    EXPECT_FALSE(o.countable);
    EXPECT_EQ(o.error, errc::client_error);
    return o.result;
  };
  EXPECT_TRUE(result_of(402, effect::keyed, idempotency_profile::stripe()) == verdict::failed);
  EXPECT_TRUE(result_of(403, effect::keyed, idempotency_profile::stripe()) == verdict::ignored);
  EXPECT_TRUE(result_of(402, effect::keyed, idempotency_profile::ietf()) == verdict::ignored);
  EXPECT_TRUE(result_of(402, effect::unsafe, idempotency_profile::stripe()) == verdict::ignored);
}

TEST(ClassifyConflict, FollowsTheProfile) {
  const auto result_of = [](int status, const idempotency_profile& p) {
    return classify(answer(status), effect::keyed, &p).result;
  };
  EXPECT_TRUE(result_of(409, idempotency_profile::stripe()) == verdict::failed);
  EXPECT_TRUE(result_of(409, idempotency_profile::adyen()) == verdict::ignored);
  EXPECT_TRUE(result_of(422, idempotency_profile::ietf()) == verdict::ignored);
  idempotency_profile own;
  own.in_flight_status = 423;
  EXPECT_TRUE(result_of(423, own) == verdict::failed);
  EXPECT_TRUE(result_of(409, own) == verdict::ignored);
}

TEST(Classify, ServerErrorsOfUnsafeRequestsMayNotBeSentAgain) {
  for (const int status : {500, 501, 502, 503, 504, 505, 507, 599})
    EXPECT_FALSE(may_resend(effect::unsafe, classify(answer(status), effect::unsafe).delivery));
  EXPECT_TRUE(may_resend(effect::unsafe, classify(answer(429), effect::unsafe).delivery));
}

}  // namespace
}  // namespace hawser::test::classify_test
