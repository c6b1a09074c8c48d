#include "hawser/http/retry_after.hpp"

#include "hawser/http/headers.hpp"
#include "http/bytes.hpp"
#include "http/retry_hint.hpp"

#include <array>
#include <limits>

namespace hawser::inline v0::http {

namespace {

using std::chrono::sys_seconds;

constexpr std::array<std::string_view, 12> month_names{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<std::string_view, 7> day_names{"Sun", "Mon", "Tue", "Wed",
                                                    "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 7> long_day_names{
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

struct civil {
  unsigned weekday = 0;  // from Sunday
  int year = 0;
  unsigned month = 0;
  unsigned day = 0;
  unsigned hour = 0;
  unsigned minute = 0;
  unsigned second = 0;
};

// Reads a fixed grammar from left to right. The first mismatch spoils it for good.
class cursor {
 public:
  explicit cursor(std::string_view text) noexcept : rest_(text) {}

  [[nodiscard]] bool good_to_the_end() const noexcept { return good_ && rest_.empty(); }
  [[nodiscard]] bool good() const noexcept { return good_; }

  void skip(std::string_view expected) noexcept {
    good_ = good_ && rest_.starts_with(expected);
    if (good_) rest_.remove_prefix(expected.size());
  }
  bool skip_if(std::string_view expected) noexcept {
    if (!good_ || !rest_.starts_with(expected)) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }
  unsigned digits(std::size_t count) noexcept {
    unsigned n = 0;
    for (std::size_t i = 0; i < count; ++i) {
      good_ = good_ && !rest_.empty() && bytes::is(rest_[0], bytes::digit);
      if (!good_) return 0;
      n = n * 10 + static_cast<unsigned>(rest_[0] - '0');
      rest_.remove_prefix(1);
    }
    return n;
  }
  template <std::size_t N>
  unsigned one_of(const std::array<std::string_view, N>& names) noexcept {
    for (unsigned i = 0; i < N; ++i)
      if (skip_if(names[i])) return i;
    good_ = false;
    return 0;
  }

 private:
  std::string_view rest_;
  bool good_ = true;
};

void read_time(cursor& in, civil& out) noexcept {
  out.hour = in.digits(2);
  in.skip(":");
  out.minute = in.digits(2);
  in.skip(":");
  out.second = in.digits(2);
}

std::optional<sys_seconds> moment(const civil& c) noexcept {
  namespace chrono = std::chrono;
  const chrono::year_month_day date{chrono::year(c.year), chrono::month(c.month),
                                    chrono::day(c.day)};
  // 60 is a leap second, which this time line counts as the second after.
  if (!date.ok() || c.hour > 23 || c.minute > 59 || c.second > 60) return std::nullopt;
  return chrono::sys_days(date) + chrono::hours(c.hour) + chrono::minutes(c.minute) +
         chrono::seconds(c.second);
}

// A date that is not on the day of the week that it names is none: nobody knows which was meant.
std::optional<sys_seconds> on_its_day(const civil& c, std::optional<sys_seconds> at) noexcept {
  namespace chrono = std::chrono;
  const chrono::sys_days date = chrono::year(c.year) / chrono::month(c.month) / chrono::day(c.day);
  return at && chrono::weekday(date).c_encoding() == c.weekday ? at : std::nullopt;
}

// "Sun, 06 Nov 1994 08:49:37 GMT"
std::optional<sys_seconds> imf_fixdate(std::string_view text) noexcept {
  cursor in(text);
  civil c;
  c.weekday = in.one_of(day_names);
  in.skip(", ");
  c.day = in.digits(2);
  in.skip(" ");
  c.month = in.one_of(month_names) + 1;
  in.skip(" ");
  c.year = static_cast<int>(in.digits(4));
  in.skip(" ");
  read_time(in, c);
  in.skip(" GMT");
  if (!in.good_to_the_end()) return std::nullopt;
  return on_its_day(c, moment(c));
}

// "Sunday, 06-Nov-94 08:49:37 GMT"
std::optional<sys_seconds> rfc850_date(std::string_view text,
                                       std::optional<sys_seconds> near) noexcept {
  cursor in(text);
  civil c;
  c.weekday = in.one_of(long_day_names);
  in.skip(", ");
  c.day = in.digits(2);
  in.skip("-");
  c.month = in.one_of(month_names) + 1;
  in.skip("-");
  const int two_digits = static_cast<int>(in.digits(2));
  in.skip(" ");
  read_time(in, c);
  in.skip(" GMT");
  if (!in.good_to_the_end()) return std::nullopt;
  if (!near) {
    c.year = two_digits + (two_digits < 70 ? 2000 : 1900);
    return on_its_day(c, moment(c));
  }
  // RFC 9110 section 5.6.7: what seems more than 50 years ahead is the most recent such year past.
  namespace chrono = std::chrono;
  const chrono::year_month_day today(chrono::floor<chrono::days>(*near));
  const int this_year = static_cast<int>(today.year());
  c.year = this_year - this_year % 100 + two_digits;
  if (c.year < this_year - 49) c.year += 100;
  if (c.year > this_year + 50) c.year -= 100;
  const std::optional<sys_seconds> at = moment(c);
  constexpr int years_ahead = 50;
  const chrono::year_month_day horizon = today + chrono::years(years_ahead);
  const chrono::sys_days last_day =
      horizon.ok() ? chrono::sys_days(horizon)
                   : chrono::sys_days(horizon.year() / chrono::February / chrono::last);
  if (!at || *at <= last_day + (*near - chrono::floor<chrono::days>(*near)))
    return on_its_day(c, at);
  c.year -= 100;
  return on_its_day(c, moment(c));
}

// "Sun Nov  6 08:49:37 1994"
std::optional<sys_seconds> asctime_date(std::string_view text) noexcept {
  cursor in(text);
  civil c;
  c.weekday = in.one_of(day_names);
  in.skip(" ");
  c.month = in.one_of(month_names) + 1;
  in.skip(" ");
  c.day = in.skip_if(" ") ? in.digits(1) : in.digits(2);
  in.skip(" ");
  read_time(in, c);
  in.skip(" ");
  c.year = static_cast<int>(in.digits(4));
  if (!in.good_to_the_end()) return std::nullopt;
  return on_its_day(c, moment(c));
}

// Digits alone, for which 64 bits are enough (RFC 9110 section 10.2.3): a sign, a fraction or a
// number beyond that was not meant by anybody.
std::optional<duration> delta_seconds(std::string_view text) noexcept {
  if (text.empty()) return std::nullopt;
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  std::int64_t n = 0;
  for (const char c : text) {
    if (!bytes::is(c, bytes::digit)) return std::nullopt;
    const int digit = c - '0';
    if (n > (most - digit) / 10) return std::nullopt;
    n = n * 10 + digit;
  }
  const std::chrono::seconds wait(n);
  return wait > std::chrono::floor<std::chrono::seconds>(duration::max()) ? duration::max()
                                                                          : duration(wait);
}

}  // namespace

std::optional<sys_seconds> parse_http_date(std::string_view text,
                                           std::optional<sys_seconds> near) noexcept {
  text = bytes::trimmed(text);
  if (auto at = imf_fixdate(text)) return at;
  if (auto at = asctime_date(text)) return at;
  return rfc850_date(text, near);
}

std::optional<duration> parse_retry_after(std::string_view value,
                                          std::optional<std::string_view> date_header,
                                          std::optional<sys_seconds> wall_now) noexcept {
  value = bytes::trimmed(value);
  if (auto wait = delta_seconds(value)) return wait;
  std::optional<sys_seconds> now;
  if (date_header) now = parse_http_date(*date_header, wall_now);
  if (!now) now = wall_now;
  if (!now) return std::nullopt;
  const std::optional<sys_seconds> until = parse_http_date(value, now);
  if (!until) return std::nullopt;
  if (*until <= *now) return duration::zero();
  // Years 0 to 9999 apart are too many nanoseconds for 64 bits.
  const std::chrono::seconds wait = *until - *now;
  if (wait > std::chrono::floor<std::chrono::seconds>(duration::max())) return duration::max();
  return duration(wait);
}

std::optional<std::string_view> single_value(const headers& of, std::string_view name) noexcept {
  std::optional<std::string_view> value;
  for (const headers::field f : of) {
    if (!same_name(f.name, name)) continue;
    const std::string_view text = bytes::trimmed(f.value);
    if (value && *value != text) return std::nullopt;
    value = text;
  }
  return value;
}

retry_hint read_retry_hint(const headers& of, std::optional<sys_seconds> wall_now) noexcept {
  const auto value = single_value(of, "Retry-After");
  if (!value) return {};
  const std::optional<duration> wait =
      parse_retry_after(*value, single_value(of, "Date"), wall_now);
  return {wait || parse_http_date(*value), wait};
}

}  // namespace hawser::inline v0::http
