// Matchers for GoogleMock, named as its own are, since they stand on the same line.
//
//   EXPECT_THAT(api.send(charge), IsOkAnd(HasStatus(201)));
//   EXPECT_THAT(net->requests(), Each(HasHeader("Idempotency-Key", "o-1")));
//   EXPECT_THAT(r, AllOf(FailsWith(hawser::condition::timeout), DetailHas("after 3 attempts")));
//   EXPECT_THAT(report, AllOf(Attempts(3), StoppedBecause(hawser::reason::budget)));
//
// Include it in every test file that prints what it matches, and link GTest::gmock: this header
// alone needs it. What it prints of requests and answers is masked as a log line is.
#pragma once

#include "hawser/core/result.hpp"
#include "hawser/http/response.hpp"
#include "hawser/run/report.hpp"
#include "hawser/testing/detail/message_text.hpp"
#include "hawser/testing/event_recorder.hpp"
#include "hawser/testing/fake_transport.hpp"
#include "hawser/testing/fault_server.hpp"
#include "hawser/testing/manual_environment.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <concepts>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace hawser::inline v0 {

namespace testing {

namespace detail {

/// From here on what a `manual_environment` leaves behind fails the running test, and so does what
/// a `fake_transport` was not prepared for.
inline const bool leftovers_fail_tests = [] {
  manual_environment::fail_leftovers_by(
      [](std::string_view what) { ADD_FAILURE() << "left behind: " << what; });
  fake_transport::fail_surprises_by([](std::string_view what) { ADD_FAILURE() << what; });
  return true;
}();

inline const sent_request& seen(const sent_request& r) { return r; }
inline const received_request& seen(const received_request& r) { return r; }
inline const received_request& seen(const request_record& r) { return r.request; }
inline const http::response& seen(const http::response& r) { return r; }

template <class Message>
[[nodiscard]] std::string_view body_of(const Message& m) {
  if constexpr (requires { m.body(); })
    return m.body();
  else
    return seen(m).body;
}
template <class Message>
[[nodiscard]] std::optional<std::string_view> header_of(const Message& m, std::string_view name) {
  if constexpr (requires { m.headers().find(name); })
    return m.headers().find(name);
  else
    return seen(m).header(name);
}
template <class Message>
[[nodiscard]] int status_of(const Message& m) {
  if constexpr (requires { m.status(); })
    return m.status();
  else
    return m.status;
}

/// The error in a result, in an error, or in something that has one; empty when there is none.
template <class T>
[[nodiscard]] error error_of(const boost::system::result<T, error>& r) {
  return r.has_error() ? r.error() : error();
}
[[nodiscard]] inline error error_of(const error& e) { return e; }
[[nodiscard]] inline error error_of(const error_code& e) { return e; }
template <class T>
requires requires(const T& t) {
  { t.error } -> std::convertible_to<error_code>;
}
[[nodiscard]] error error_of(const T& of) { return of.error; }

[[nodiscard]] inline std::string name_of_code(const error_code& e) { return e.message(); }
[[nodiscard]] inline std::string name_of_code(const error_condition& c) { return c.message(); }
template <class E>
requires boost::system::is_error_code_enum<E>::value std::string name_of_code(E e) {
  return error_code(e).message();
}
template <class E>
requires boost::system::is_error_condition_enum<E>::value std::string name_of_code(E e) {
  return error_condition(e).message();
}

template <class M>
[[nodiscard]] std::string describe(const M& matcher, bool negation = false) {
  std::ostringstream text;
  if (negation)
    matcher.DescribeNegationTo(&text);
  else
    matcher.DescribeTo(&text);
  return text.str();
}

/// A matcher for a text; a plain text stands for itself, or for a part with `part`.
template <class M>
[[nodiscard]] ::testing::Matcher<std::string> text_matcher(const M& m, bool part) {
  if constexpr (std::convertible_to<const M&, std::string>)
    return part ? ::testing::Matcher<std::string>(::testing::HasSubstr(std::string(m)))
                : ::testing::Matcher<std::string>(::testing::Eq(std::string(m)));
  else
    return ::testing::SafeMatcherCast<std::string>(m);
}

}  // namespace detail

// --- results and errors ------------------------------------------------------------------------

/// A result with a value.
MATCHER(IsOk, negation ? "is an error" : "is ok") {
  if (arg.has_error()) *result_listener << arg.error().message();
  return !arg.has_error();
}

/// A result whose value matches; a void result's cannot be asked.
MATCHER_P(
    IsOkAnd, inner,
    (negation ? "is an error, or has a value that " : "is ok and has a value that ") +
        detail::describe(
            ::testing::SafeMatcherCast<const typename std::decay_t<arg_type>::value_type&>(inner),
            negation)) {
  if (arg.has_error()) {
    *result_listener << "which is the error: " << arg.error().message();
    return false;
  }
  return ::testing::ExplainMatchResult(inner, *arg, result_listener);
}

/// A result, error, error code, report, entry or event that failed with this code or is of this
/// condition: an errc, a condition, an error_code, anything they compare with.
MATCHER_P(FailsWith, code,
          std::string(negation ? "does not fail" : "fails") + " with \"" +
              detail::name_of_code(code) + "\"") {
  const error found = detail::error_of(arg);
  if (!found.code()) {
    *result_listener << "which is ok";
    return false;
  }
  *result_listener << "which fails with: " << found.message() << " ("
                   << found.code().category().name() << ':' << found.code().value() << ')';
  return found.code() == code;
}

/// A result or error whose detail contains a text, or matches.
MATCHER_P(DetailHas, text,
          std::string(negation ? "has no detail that " : "has a detail that ") +
              detail::describe(detail::text_matcher(text, true))) {
  const error found = detail::error_of(arg);
  if (!found.code()) {
    *result_listener << "which is ok";
    return false;
  }
  return ::testing::ExplainMatchResult(detail::text_matcher(text, true),
                                       std::string(found.detail()), result_listener);
}

// --- requests and answers ----------------------------------------------------------------------

/// An answer, recorded request, entry or event with this status, or one that matches.
MATCHER_P(HasStatus, status,
          std::string(negation ? "has no status that " : "has a status that ") +
              detail::describe(::testing::SafeMatcherCast<int>(status))) {
  const int found = detail::status_of(arg);
  *result_listener << "whose status is " << found;
  return ::testing::Matches(::testing::SafeMatcherCast<int>(status))(found);
}

/// A message with this field (names as HTTP compares them), whose first value is this text or
/// matches.
MATCHER_P2(HasHeader, name, value,
           std::string(negation ? "has no header " : "has a header ") + std::string(name) +
               " that " + detail::describe(detail::text_matcher(value, false))) {
  const std::optional<std::string_view> found = detail::header_of(arg, name);
  if (!found) {
    *result_listener << "which has no header " << name;
    return false;
  }
  return ::testing::ExplainMatchResult(detail::text_matcher(value, false), std::string(*found),
                                       result_listener);
}
/// A message with this field.
template <class Name>
[[nodiscard]] auto HasHeader(Name name) {
  return HasHeader(std::string(name), ::testing::A<std::string>());
}

/// A message whose body is this text, or matches.
MATCHER_P(HasBody, text,
          std::string(negation ? "has no body that " : "has a body that ") +
              detail::describe(detail::text_matcher(text, false))) {
  return ::testing::ExplainMatchResult(detail::text_matcher(text, false),
                                       std::string(detail::body_of(arg)), result_listener);
}

/// A message whose body holds, at a JSON pointer (RFC 6901; empty for the whole), this JSON.
MATCHER_P2(HasJsonAt, pointer, json_text,
           std::string(negation ? "has no JSON " : "has JSON ") +
               (std::string_view(pointer).empty() ? "" : "at " + std::string(pointer) + " ") +
               "equal to " + std::string(json_text)) {
  const std::string difference =
      detail::json_difference(detail::body_of(arg), std::string(pointer), std::string(json_text));
  *result_listener << difference;
  return difference.empty();
}
/// A message whose body is this JSON, whatever its blanks and the order of its members.
[[nodiscard]] inline auto HasJson(std::string_view json_text) {
  return HasJsonAt(std::string(), std::string(json_text));
}
/// The same, given as a value.
template <std::same_as<nlohmann::json> Json>
[[nodiscard]] auto HasJson(const Json& value) {
  return HasJsonAt(std::string(), detail::dump(value));
}

/// A request of this method and target; each a text, or a matcher.
MATCHER_P2(RequestTo, method, target,
           std::string(negation ? "is no request whose method " : "is a request whose method ") +
               detail::describe(detail::text_matcher(method, false)) + " and whose target " +
               detail::describe(detail::text_matcher(target, false))) {
  const auto& request = detail::seen(arg);
  *result_listener << "which is " << request.method << ' ' << request.target;
  return detail::text_matcher(method, false).Matches(std::string(request.method)) &&
         detail::text_matcher(target, false).Matches(std::string(request.target));
}

// --- reports and events ------------------------------------------------------------------------

/// A report of so many attempts.
MATCHER_P(Attempts, count,
          std::string(negation ? "has no number of attempts that "
                               : "has a number of attempts "
                                 "that ") +
              detail::describe(::testing::SafeMatcherCast<int>(count))) {
  *result_listener << "which has " << arg.attempts << " attempts:\n" << arg.to_string();
  return ::testing::Matches(::testing::SafeMatcherCast<int>(count))(arg.attempts);
}

/// A report of a call that made no further attempt for this reason.
MATCHER_P(StoppedBecause, why,
          std::string(negation ? "did not stop because of " : "stopped because of ") +
              std::string(to_string(why))) {
  *result_listener << "which stopped because of " << to_string(arg.stopped) << ":\n"
                   << arg.to_string();
  return arg.stopped == why;
}

/// A report whose entries, in order, match: `Entries(Contains(EventOf(event_kind::waiting)))`.
MATCHER_P(
    Entries, inner,
    std::string(negation ? "has no entries that " : "has entries that ") +
        detail::describe(::testing::SafeMatcherCast<const std::vector<report_entry>&>(inner))) {
  return ::testing::ExplainMatchResult(inner, arg.entries, result_listener);
}

/// An event or entry of this attempt.
MATCHER_P(OnAttempt, number,
          std::string(negation ? "is not of attempt " : "is of attempt ") +
              ::testing::PrintToString(number)) {
  *result_listener << "which is of attempt " << arg.attempt;
  return arg.attempt == number;
}
/// An event or entry that this policy caused.
MATCHER_P(ByPolicy, name, std::string(negation ? "is not by " : "is by ") + std::string(name)) {
  *result_listener << "which is by " << (arg.policy.empty() ? "no policy" : arg.policy);
  return arg.policy == name;
}
/// An event or entry with this reason.
MATCHER_P(Because, why,
          std::string(negation ? "is not because of " : "is because of ") +
              std::string(to_string(why))) {
  *result_listener << "which is because of " << to_string(arg.because);
  return arg.because == why;
}
/// An event or entry that took, or is to take, this long.
MATCHER_P(Lasting, time,
          std::string(negation ? "does not last " : "lasts ") +
              std::to_string(std::chrono::duration<double>(time).count()) + " s") {
  *result_listener << "which lasts " << std::chrono::duration<double>(arg.elapsed).count() << " s";
  return arg.elapsed == time;
}
/// An event or entry of this kind.
MATCHER_P(IsOfKind, kind,
          std::string(negation ? "is no event " : "is an event ") + std::string(to_string(kind))) {
  *result_listener << "which is " << to_string(arg.kind);
  return arg.kind == kind;
}
/// An event or entry of this kind to which all of `more` apply:
/// `EventOf(event_kind::waiting, OnAttempt(1), Lasting(2s))`.
template <class... More>
[[nodiscard]] auto EventOf(event_kind kind, More... more) {
  return ::testing::AllOf(IsOfKind(kind), more...);
}

// --- what failing tests print ------------------------------------------------------------------

/// Method, target, headers and body, masked.
inline void PrintTo(const sent_request& r, std::ostream* out) { *out << detail::text_of(r); }
/// The same of a request that the fault server got.
inline void PrintTo(const received_request& r, std::ostream* out) { *out << detail::text_of(r); }
/// The request, and how it ended.
inline void PrintTo(const request_record& r, std::ostream* out) {
  *out << detail::text_of(r.request) << " (" << (r.ended.empty() ? "running" : r.ended) << ')';
}
/// One line.
inline void PrintTo(const recorded_event& e, std::ostream* out) { *out << e.to_string(e.at); }

}  // namespace testing

namespace http {
/// Status, headers and body, masked.
inline void PrintTo(const response& r, std::ostream* out) { *out << testing::detail::text_of(r); }
}  // namespace http

/// Code and detail.
inline void PrintTo(const error& e, std::ostream* out) { *out << "error: " << e.message(); }
/// The whole story, a line an entry.
inline void PrintTo(const call_report& r, std::ostream* out) { *out << r.to_string(); }
/// One line.
inline void PrintTo(const report_entry& e, std::ostream* out) { *out << e.to_string(); }
/// The value, or the error.
template <class T>
void PrintTo(const boost::system::result<T, error>& r, std::ostream* out) {
  if (r.has_error())
    PrintTo(r.error(), out);
  else if constexpr (std::is_void_v<T>)
    *out << "ok";
  else
    *out << "ok: " << ::testing::PrintToString(*r);
}

}  // namespace hawser::inline v0
