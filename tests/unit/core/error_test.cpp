#include "hawser/core/error.hpp"

#include "hawser/core/result.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <string>
#include <vector>

namespace hawser::error_test {
namespace {

/// Every code there is: those that have a name.
std::vector<errc> all_codes() {
  std::vector<errc> codes;
  for (int i = 0; i < 1000; ++i)
    if (name_of(static_cast<errc>(i)) != "unknown") codes.push_back(static_cast<errc>(i));
  return codes;
}

error_code posix(boost::system::errc::errc_t e) { return boost::system::errc::make_error_code(e); }

TEST(error, every_code_has_a_name_of_its_own_and_a_text) {
  std::set<std::string> names;
  for (const errc e : all_codes()) {
    EXPECT_TRUE(names.insert(std::string(name_of(e))).second) << name_of(e);
    const std::string text = error_code(e).message();
    EXPECT_GT(text.size(), 10U) << name_of(e);
    EXPECT_EQ(error_code(e).category(), error_category());
  }
  EXPECT_GT(names.size(), 40U);
  EXPECT_EQ(name_of(errc::circuit_open), "circuit_open");
  EXPECT_EQ(name_of(errc::tls_bad_credentials), "tls_bad_credentials");
}

TEST(error, an_unknown_value_does_no_harm) {
  const error_code odd(12345, error_category());
  EXPECT_EQ(odd.message(), "unknown hawser error");
  EXPECT_EQ(name_of(static_cast<errc>(12345)), "unknown");
  const error_condition odd_kind(99, condition_category());
  EXPECT_FALSE(odd == odd_kind);
  EXPECT_EQ(odd_kind.message(), "unknown hawser condition");
}

TEST(error, local_refusals_are_rejected) {
  for (const errc e : {errc::circuit_open, errc::circuit_isolated, errc::bulkhead_full,
                       errc::bulkhead_timeout, errc::rate_limited, errc::pool_full})
    EXPECT_TRUE(error_code(e) == condition::rejected) << name_of(e);
  for (const errc e : {errc::call_timeout, errc::outcome_unknown, errc::client_closed})
    EXPECT_FALSE(error_code(e) == condition::rejected) << name_of(e);
  EXPECT_FALSE(posix(boost::system::errc::connection_refused) == condition::rejected);
}

TEST(error, time_limits_are_timeouts_each_with_its_own_code) {
  std::set<int> values;
  for (const errc e :
       {errc::call_timeout, errc::attempt_timeout, errc::resolve_timeout, errc::connect_timeout,
        errc::tls_timeout, errc::first_byte_timeout, errc::between_bytes_timeout}) {
    EXPECT_TRUE(error_code(e) == condition::timeout) << name_of(e);
    EXPECT_TRUE(error_code(e) == condition::transient) << name_of(e);
    EXPECT_FALSE(error_code(e) == condition::canceled) << name_of(e);
    EXPECT_FALSE(error_code(e) == condition::rejected) << name_of(e);
    values.insert(static_cast<int>(e));
  }
  EXPECT_EQ(values.size(), 7U);
  EXPECT_TRUE(posix(boost::system::errc::timed_out) == condition::timeout);
  EXPECT_FALSE(error_code(errc::bulkhead_timeout) == condition::timeout);
}

TEST(error, only_an_unknown_outcome_is_ambiguous) {
  for (const errc e : all_codes())
    EXPECT_EQ(error_code(e) == condition::ambiguous, e == errc::outcome_unknown) << name_of(e);
}

TEST(error, cancellation_is_what_asio_calls_operation_aborted) {
  EXPECT_EQ(canceled_error().value(), ECANCELED);
  EXPECT_TRUE(canceled_error() == condition::canceled);
  EXPECT_TRUE(error_code(errc::client_closed) == condition::canceled);
  EXPECT_FALSE(error_code(errc::call_timeout) == condition::canceled);
  EXPECT_FALSE(canceled_error() == condition::transient);
  EXPECT_FALSE(canceled_error() == condition::timeout);
}

// A code cannot know the status; the error does.
TEST(error, a_client_error_that_asks_for_another_try_is_transient) {
  for (const int status : {0, 400, 404, 408, 409, 421, 425, 429})
    EXPECT_EQ(error(errc::client_error).about_answer(status) == condition::transient,
              status == 408 || status == 421 || status == 425)
        << status;
  EXPECT_FALSE(error(errc::outcome_unknown).about_answer(425) == condition::transient);
  EXPECT_FALSE(error(errc::client_error).about_answer(425) == condition::rejected);
  EXPECT_TRUE(error(errc::client_error).about_answer(425) == condition::bad_response);
}

TEST(error, what_may_mend_is_transient) {
  namespace generic = boost::system::errc;
  for (const auto e : {generic::connection_reset, generic::connection_refused,
                       generic::connection_aborted, generic::broken_pipe, generic::host_unreachable,
                       generic::network_unreachable, generic::timed_out})
    EXPECT_TRUE(posix(e) == condition::transient) << posix(e).message();
  for (const auto e : {generic::permission_denied, generic::no_such_file_or_directory})
    EXPECT_FALSE(posix(e) == condition::transient) << posix(e).message();
  EXPECT_TRUE(error_code(errc::server_error) == condition::transient);
  EXPECT_TRUE(error_code(errc::too_many_requests) == condition::transient);
  EXPECT_FALSE(error_code(errc::no_content) == condition::transient);
  EXPECT_TRUE(error_code(errc::circuit_open) == condition::transient);
  EXPECT_FALSE(error_code(errc::circuit_isolated) == condition::transient);
  EXPECT_FALSE(error_code(errc::client_error) == condition::transient);
  EXPECT_FALSE(error_code(errc::outcome_unknown) == condition::transient);
}

TEST(error, each_code_is_of_at_most_one_of_the_exclusive_kinds) {
  for (const errc e : all_codes()) {
    const error_code ec = e;
    int kinds = 0;
    for (const condition c :
         {condition::rejected, condition::timeout, condition::ambiguous, condition::canceled,
          condition::invalid_input, condition::bad_response, condition::tls_failure})
      kinds += ec == c ? 1 : 0;
    EXPECT_LE(kinds, 1) << name_of(e);
  }
}

TEST(error, ranges_of_kinds) {
  EXPECT_TRUE(error_code(errc::invalid_url) == condition::invalid_input);
  EXPECT_TRUE(error_code(errc::ambiguous_framing) == condition::bad_response);
  EXPECT_TRUE(error_code(errc::json_malformed) == condition::bad_response);
  EXPECT_TRUE(error_code(errc::certificate_expired) == condition::tls_failure);
  EXPECT_FALSE(error_code() == condition::invalid_input);
}

TEST(error, an_error_may_speak_of_an_answer) {
  const error plain(errc::client_error, "the detail");
  EXPECT_EQ(plain.status(), 0);
  EXPECT_EQ(plain.problem_type(), "");
  EXPECT_EQ(plain.about_answer(0).status(), 0);
  const error of_answer = plain.about_answer(403, "/probs/no", "No");
  EXPECT_EQ(of_answer, errc::client_error);
  EXPECT_EQ(of_answer.detail(), "the detail");
  EXPECT_EQ(of_answer.message(), plain.message());
  EXPECT_EQ(of_answer.status(), 403);
  EXPECT_EQ(of_answer.problem_type(), "/probs/no");
  EXPECT_EQ(of_answer.problem_title(), "No");
  const error other = error(errc::outcome_unknown, "told").about_answer_of(of_answer);
  EXPECT_EQ(other, errc::outcome_unknown);
  EXPECT_EQ(other.detail(), "told");
  EXPECT_EQ(other.status(), 403);
  EXPECT_EQ(other.problem_title(), "No");
  EXPECT_EQ(error().about_answer_of(of_answer).status(), 403);
  EXPECT_EQ(of_answer.about_answer_of(plain).status(), 403);
}

TEST(error, the_detail_follows_the_code_in_the_message) {
  const error plain(errc::rate_limited);
  EXPECT_EQ(plain.message(), error_code(errc::rate_limited).message());
  EXPECT_EQ(plain.detail(), "");
  const error told(errc::rate_limited, "billing: 3 s until tokens");
  EXPECT_EQ(told.detail(), "billing: 3 s until tokens");
  EXPECT_EQ(told.message(),
            error_code(errc::rate_limited).message() + ": billing: 3 s until tokens");
  EXPECT_EQ(error(errc::rate_limited, "").message(), plain.message());
}

TEST(error, compares_by_code) {
  EXPECT_EQ(error(errc::rate_limited, "a"), error(errc::rate_limited, "b"));
  EXPECT_EQ(error(errc::rate_limited), errc::rate_limited);
  EXPECT_EQ(error(errc::rate_limited), condition::rejected);
  EXPECT_EQ(error(errc::rate_limited), error_code(errc::rate_limited));
  EXPECT_FALSE(error(errc::rate_limited) == errc::circuit_open);
}

TEST(error, copies_share_the_text) {
  const error one(errc::rate_limited, "text");
  const error two = one;
  EXPECT_EQ(one.detail().data(), two.detail().data());
}

TEST(error, a_result_without_a_value_throws_call_error) {
  const result<int> none = error(errc::circuit_open, "billing");
  try {
    (void)none.value();
    ADD_FAILURE();
  } catch (const call_error& e) {
    EXPECT_EQ(e.code(), errc::circuit_open);
    EXPECT_EQ(e.why().detail(), "billing");
    EXPECT_EQ(std::string(e.what()), none.error().message());
  }
  const result<int> some = 3;
  EXPECT_EQ(some.value(), 3);
}

TEST(error, call_error_is_a_system_error) {
  try {
    throw call_error(error(errc::call_timeout, "after 2 s"));
  } catch (const boost::system::system_error& e) {
    EXPECT_EQ(e.code(), errc::call_timeout);
    EXPECT_NE(std::strstr(e.what(), "after 2 s"), nullptr);
  }
}

TEST(error, config_error_names_field_value_and_rule) {
  const config_error e("retry.max_attempts", "0", "must be at least 1");
  EXPECT_EQ(e.field(), "retry.max_attempts");
  EXPECT_STREQ(e.what(), "retry.max_attempts = 0: must be at least 1");
  EXPECT_EQ(e.code(), errc::invalid_options);
  EXPECT_EQ(e.code(), condition::invalid_input);
}

}  // namespace
}  // namespace hawser::error_test
