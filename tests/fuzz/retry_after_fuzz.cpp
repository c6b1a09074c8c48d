// Two lines: Retry-After and Date. A wait is never negative, and a date once read reads the same
// when it is printed as RFC 9110 wants it.
#include "hawser/http/retry_after.hpp"

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

namespace {

using hawser::http::parse_http_date;
using hawser::http::parse_retry_after;
using std::chrono::sys_seconds;

void require(bool good) {
  if (!good) std::abort();
}

void check_date(std::string_view text) {
  const auto at = parse_http_date(text, sys_seconds(std::chrono::seconds(1750000000)));
  if (!at) return;
  namespace chrono = std::chrono;
  constexpr std::array<const char*, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                               "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const chrono::year_month_day day(chrono::floor<chrono::days>(*at));
  const chrono::hh_mm_ss time(*at - chrono::floor<chrono::days>(*at));
  const int year = static_cast<int>(day.year());
  require(year >= 0 && year <= 10000);
  if (year == 10000) return;  // the last second of 9999 was a leap second
  std::array<char, 64> printed{};
  constexpr std::array<const char*, 7> days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  const chrono::weekday weekday(chrono::floor<chrono::days>(*at));
  std::snprintf(printed.data(), printed.size(), "%s, %02u %s %04d %02d:%02d:%02d GMT",
                days[weekday.c_encoding()], static_cast<unsigned>(day.day()),
                months[static_cast<unsigned>(day.month()) - 1], year,
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()));
  require(parse_http_date(printed.data()) == at);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t cut = text.find('\n');
  const std::string_view value = text.substr(0, cut);
  std::optional<std::string_view> date;
  if (cut != std::string_view::npos) date = text.substr(cut + 1);
  check_date(value);
  if (date) check_date(*date);
  const auto wait = parse_retry_after(value, date);
  require(!wait || *wait >= hawser::duration::zero());
  const auto told = parse_retry_after(value, date, sys_seconds(std::chrono::seconds(1750000000)));
  require(!told || *told >= hawser::duration::zero());
  // To know more can only help; but a year of two digits may then be another, which did not begin
  // on that day of the week.
  const bool two_digits = text.find('-') != std::string_view::npos;
  require(told || !wait || two_digits);
  return 0;
}
