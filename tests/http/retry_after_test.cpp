#include "hawser/http/retry_after.hpp"

#include <gtest/gtest.h>

namespace hawser::test::retry_after_test {
namespace {

using http::parse_http_date;
using http::parse_retry_after;
using std::chrono::seconds;
using std::chrono::sys_seconds;
using namespace std::chrono_literals;

sys_seconds at(int year, unsigned month, unsigned day, int h = 0, int m = 0, int s = 0) {
  using namespace std::chrono;
  return sys_days(std::chrono::year(year) / static_cast<int>(month) / static_cast<int>(day)) +
         hours(h) + minutes(m) + seconds(s);
}

// The three examples of RFC 9110 section 5.6.7.
TEST(HttpDate, HasThreeForms) {
  const sys_seconds same = at(1994, 11, 6, 8, 49, 37);
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), same);
  EXPECT_EQ(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT"), same);
  EXPECT_EQ(parse_http_date("Sun Nov  6 08:49:37 1994"), same);
  EXPECT_EQ(parse_http_date("Wed Nov 16 08:49:37 1994"), at(1994, 11, 16, 8, 49, 37));
  EXPECT_EQ(same.time_since_epoch(), seconds(784111777));
}

TEST(HttpDate, TakesEveryDayOfFourHundredYears) {
  using namespace std::chrono;
  const char* const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::string days_of_week[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  const auto two = [](unsigned n) { return std::string(n < 10 ? "0" : "") + std::to_string(n); };
  for (sys_days d = sys_days(year(1900) / 1 / 1); d < sys_days(year(2300) / 1 / 1); d += days(1)) {
    const year_month_day c(d);
    const std::string text = days_of_week[weekday(d).c_encoding()] + ", " +
                             two(static_cast<unsigned>(c.day())) + ' ' +
                             months[static_cast<unsigned>(c.month()) - 1] + ' ' +
                             std::to_string(static_cast<int>(c.year())) + " 23:59:59 GMT";
    ASSERT_EQ(parse_http_date(text), d + 86399s) << text;
    const std::string wrong = days_of_week[(weekday(d) + days(1)).c_encoding()] + text.substr(3);
    ASSERT_FALSE(parse_http_date(wrong)) << wrong;
  }
}

TEST(HttpDate, RefusesEverythingElse) {
  for (const char* text : {"",
                           "Sun",
                           "06 Nov 1994 08:49:37 GMT",
                           "Sun, 6 Nov 1994 08:49:37 GMT",
                           "Sun, 06 Nov 94 08:49:37 GMT",
                           "Sun, 06 Nov 1994 08:49:37",
                           "Sun, 06 Nov 1994 08:49:37 UTC",
                           "Sun, 06 Nov 1994 08:49:37 +0000",
                           "sun, 06 nov 1994 08:49:37 gmt",
                           "Sun, 06 Nov 1994 8:49:37 GMT",
                           "Sun, 06 Nov 1994 24:00:00 GMT",
                           "Sun, 06 Nov 1994 08:60:00 GMT",
                           "Sun, 06 Nov 1994 08:49:61 GMT",
                           "Sun, 31 Nov 1994 08:49:37 GMT",
                           "Tue, 29 Feb 2023 00:00:00 GMT",
                           "Sun, 00 Nov 1994 08:49:37 GMT",
                           "Sun, 06 Nox 1994 08:49:37 GMT",
                           "Sun, 06 Nov 1994 08:49:37 GMT x",
                           "Sun, 06 Nov -994 08:49:37 GMT",
                           "Sun, 06-Nov-94 08:49:37 GMT",
                           "Sunday, 06 Nov 94 08:49:37 GMT",
                           "Sun Nov 6 08:49:37 1994",
                           "Sun Nov 06 08:49:37 1994 GMT",
                           "Mon, 06 Nov 1994 08:49:37 GMT",
                           "Monday, 06-Nov-94 08:49:37 GMT",
                           "Mon Nov  6 08:49:37 1994",
                           "1994-11-06T08:49:37Z",
                           "0"})
    EXPECT_FALSE(parse_http_date(text)) << text;
}

TEST(HttpDate, TakesLeapSecondsAndLeapDays) {
  EXPECT_EQ(parse_http_date("Sat, 31 Dec 2016 23:59:60 GMT"), at(2017, 1, 1));
  EXPECT_EQ(parse_http_date("Thu, 29 Feb 2024 00:00:00 GMT"), at(2024, 2, 29));
}

TEST(HttpDate, TwoDigitYearsMoreThanFiftyYearsAheadArePast) {
  // The day of the week must be that of the year meant.
  const auto year_of = [](std::string_view two_digits, sys_seconds near) {
    std::vector<int> years;
    for (const char* day : {"Sun", "Mon", "Tues", "Wednes", "Thurs", "Fri", "Satur"})
      if (const auto d = parse_http_date(
              std::string(day) + "day, 06-Nov-" + std::string(two_digits) + " 08:49:37 GMT", near))
        years.push_back(static_cast<int>(
            std::chrono::year_month_day(std::chrono::floor<std::chrono::days>(*d)).year()));
    EXPECT_EQ(years.size(), 1u);
    return years.empty() ? 0 : years[0];
  };
  const sys_seconds now = at(2025, 6, 1);
  EXPECT_EQ(year_of("25", now), 2025);
  EXPECT_EQ(year_of("94", now), 1994);
  EXPECT_EQ(year_of("74", now), 2074);
  EXPECT_EQ(year_of("75", now), 1975);  // November 2075 is over 50 years after June 2025
  EXPECT_EQ(year_of("75", at(2025, 12, 1)), 2075);
  EXPECT_EQ(year_of("00", at(1999, 12, 31)), 2000);
  EXPECT_EQ(year_of("99", at(2001, 1, 1)), 1999);
  EXPECT_EQ(year_of("10", at(2090, 1, 1)), 2110);
  EXPECT_EQ(parse_http_date("Wednesday, 06-Nov-69 08:49:37 GMT"), at(2069, 11, 6, 8, 49, 37));
  EXPECT_EQ(parse_http_date("Friday, 06-Nov-70 08:49:37 GMT"), at(1970, 11, 6, 8, 49, 37));
}

TEST(RetryAfter, TakesSeconds) {
  EXPECT_EQ(parse_retry_after("120", {}), duration(120s));
  EXPECT_EQ(parse_retry_after("0", {}), duration(0));
  EXPECT_EQ(parse_retry_after("007", {}), duration(7s));
  EXPECT_EQ(parse_retry_after(" \t5 ", {}), duration(5s));
}

TEST(RetryAfter, OverflowSaturates) {
  EXPECT_EQ(parse_retry_after("9223372036", {}), duration(9223372036s));
  EXPECT_EQ(parse_retry_after("9223372037", {}), duration::max());
  EXPECT_EQ(parse_retry_after("9223372036854775807", {}), duration::max());
  EXPECT_EQ(parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT"),
            duration::max());
}

TEST(RetryAfter, MalformedIsNothing) {
  EXPECT_FALSE(parse_retry_after(std::string(10000, '9'), {}));
  for (const char* text : {"",
                           " ",
                           "-",
                           "-1",
                           "-0",
                           "+5",
                           "+0",
                           "1.5",
                           "1.",
                           ".5",
                           "1,5",
                           "5s",
                           "9223372036854775808",
                           "18446744073709551617",
                           "1, 2",
                           "1, 1",
                           "nan",
                           "\"5\"",
                           "5;",
                           "Fri, 32 Nov 2025 23:59:59 GMT",
                           "Fri, 07 Nov 2025 25:59:59 GMT",
                           "0x10",
                           "1e3",
                           "--5",
                           "5 5",
                           "soon",
                           "120, 240",
                           "Fri, 07 Nov 2025"})
    EXPECT_FALSE(parse_retry_after(text, "Fri, 07 Nov 2025 23:00:00 GMT")) << text;
}

// The trap: a local clock that is an hour wrong must not make the wait an hour wrong.
TEST(RetryAfter, DatesAreMeasuredAgainstTheAnswersOwnDateNotTheLocalClock) {
  const sys_seconds wrong_clock = at(2001, 1, 1);
  EXPECT_EQ(parse_retry_after("Fri, 07 Nov 2025 23:59:59 GMT", "Fri, 07 Nov 2025 23:59:29 GMT",
                              wrong_clock),
            duration(30s));
}

TEST(RetryAfter, DatesWithoutDateHeaderAreMeasuredAgainstTheGivenTime) {
  EXPECT_EQ(parse_retry_after("Fri, 07 Nov 2025 23:59:59 GMT", {}, at(2025, 11, 7, 23, 59, 0)),
            duration(59s));
  EXPECT_EQ(
      parse_retry_after("Fri, 07 Nov 2025 23:59:59 GMT", "garbage", at(2025, 11, 7, 23, 59, 0)),
      duration(59s));
  EXPECT_FALSE(parse_retry_after("Fri, 07 Nov 2025 23:59:59 GMT", {}));
  EXPECT_FALSE(parse_retry_after("Fri, 07 Nov 2025 23:59:59 GMT", "garbage"));
}

TEST(RetryAfter, PastDatesAreNow) {
  EXPECT_EQ(parse_retry_after("Fri, 07 Nov 2025 23:59:59 GMT", "Sat, 08 Nov 2025 23:59:59 GMT"),
            duration(0));
  EXPECT_EQ(parse_retry_after("Fri, 07 Nov 2025 23:59:59 GMT", "Fri, 07 Nov 2025 23:59:59 GMT"),
            duration(0));
}

TEST(RetryAfter, AllThreeDateForms) {
  const char* const date = "Sun, 06 Nov 1994 08:49:07 GMT";
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", date), duration(30s));
  EXPECT_EQ(parse_retry_after("Sunday, 06-Nov-94 08:49:37 GMT", date), duration(30s));
  EXPECT_EQ(parse_retry_after("Sun Nov  6 08:49:37 1994", date), duration(30s));
}

}  // namespace
}  // namespace hawser::test::retry_after_test
