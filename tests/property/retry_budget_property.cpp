// Budgets of extra attempts against plain lists of what happened.
#include "hawser/policy/retry_budget.hpp"

#include "property/random_events.hpp"
#include "support/stage_driver.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <memory>

namespace hawser::test::retry_budget_property {
namespace {

using namespace std::chrono_literals;

const std::vector<kind> budget_ways = {{"call", 45},           {"spend", 35},     {"succeed", 15},
                                       {"balance", 10},        {"pass_time", 10}, {"pass_long", 1},
                                       {"clock_goes_back", 1}, {"refund", 5}};

outcome failure(const deed& d) {
  if (d.once_in(4)) {
    outcome o = failed(make_error_code(errc::server_error));
    o.throttled = true;
    return o;
  }
  return failed(d.once_in(3) ? make_error_code(errc::attempt_timeout)
                             : make_error_code(errc::server_error));
}

time_point passed(time_point now, const deed& d, duration window) {
  if (d.name == "pass_time") return now + d.upto(window / 5);
  if (d.name == "pass_long") return now + d.upto(3 * window);
  if (d.name == "clock_goes_back") return now - d.upto(window / 3);
  return now;
}

// Calls earn and attempts cost what they do for a window; both are forgotten by the tenth of it.
// What was spent stays spent for all of a window, unless it has ended its call well: in no window
// more than the ratio's part of the calls, or the reserve, which has bounds of its own.
TEST(retry_budget_property, agrees_with_a_plain_list_of_what_happened) {
  std::size_t refused = 0;
  holds("retry budget", window_budget_events, [&] {
    const duration window = one_of<duration>("window", {10s, 1ms, 1h});
    const int percent = one_of<int>("ratio, percent", {25, 0, 100, 1000, 3});
    const int reserve = number("reserve per window", percent == 0 ? 1 : 0, 9);
    const bool refund = flag("refund");
    const double seconds = std::chrono::duration<double>(window).count();
    const auto b = make_budget(retry_budget{.ratio = percent / 100.0,
                                            .window = window,
                                            .reserve_per_second = reserve / seconds,
                                            .refund = refund});
    struct entry {
      std::int64_t tenth;
      bool is_call;  // else an extra attempt
    };
    std::deque<entry> known;
    time_point now = time_point{} + 1h;
    std::int64_t tenth = 0;
    const auto all = *deeds(budget_ways, window_budget_events);
    for (const deed& d : all) {
      now = passed(now, d, window);
      const double payment = d.name == "succeed" && d.once_in(2) ? 1 : 0;
      // A success that paid nothing is not news to it, of the time neither.
      if (d.name != "succeed" || (refund && payment > 0))
        tenth = std::max<std::int64_t>(tenth, now.time_since_epoch() / (window / 10));
      while (!known.empty() && known.front().tenth + 10 < tenth) known.pop_front();
      const std::int64_t calls =
          std::count_if(known.begin(), known.end(), [](const entry& e) { return e.is_call; });
      const std::int64_t spent = static_cast<std::int64_t>(known.size()) - calls;
      // In hundredths of an attempt.
      const std::int64_t spare = std::min<std::int64_t>(100 * reserve, 200 + 30 * calls);
      const std::int64_t balance = std::max<std::int64_t>(percent * calls, spare) - 100 * spent;

      if (d.name == "call") {
        b->call_started(now);
        known.push_back({tenth, true});
      } else if (d.name == "spend") {
        const bool paid = b->try_spend(failure(d), now);
        same("paid", paid, balance >= 100);
        if (paid) known.push_back({tenth, false});
        refused += paid ? 0U : 1U;
      } else if (d.name == "succeed") {
        b->succeeded(payment, now);
        const auto last =
            std::find_if(known.rbegin(), known.rend(), [](const entry& e) { return !e.is_call; });
        if (refund && payment > 0 && last != known.rend()) known.erase(std::next(last).base());
      } else if (d.name == "refund") {  // whatever is said of successes
        b->refund(1, now);
        const auto last =
            std::find_if(known.rbegin(), known.rend(), [](const entry& e) { return !e.is_call; });
        if (last != known.rend()) known.erase(std::next(last).base());
      } else {
        const double got = b->balance(now);
        require(std::abs(got - static_cast<double>(balance) / 100) < 1e-5, "balance");
      }
    }
    return all.size();
  });
  if (!is_replay()) {
    EXPECT_GT(refused, 2000U);  // the sequences did press the limit
  }
}

// A whole number of millionths, which whatever happens changes by what the options say of it and
// then is cut to the capacity.
TEST(token_budget_property, agrees_with_a_plain_number) {
  std::size_t refused = 0;
  holds("token budget", token_budget_events, [&] {
    token_budget o{.tokens = number("tokens", 1, 60)};
    o.initial = number("initial", 0, o.tokens);
    o.retry_cost = std::min(o.tokens, number("retry_cost", 1, 8));
    o.timeout_cost = std::min(o.tokens, number("timeout_cost", 1, 12));
    const int throttle = number("throttle_cost, none at 0", 0, 12);
    if (throttle != 0) o.throttle_cost = std::min(o.tokens, throttle);
    o.retry_refund = number("retry_refund, tenths", 0, 10) / 10.0;
    o.success_refund = std::min<double>(o.tokens, number("success_refund, quarters", 1, 12) / 4.0);
    o.per_call = std::min<double>(o.tokens, number("per_call, eighths", 0, 6) / 8.0);
    o.per_second = number("per_second, thousandths", 0, 3) / 1000.0;
    const auto b = make_budget(o);
    const auto units = [](double tokens) { return std::llround(tokens * 1'000'000); };
    const std::int64_t full = units(o.tokens);
    std::int64_t held = units(*o.initial);
    const auto gain = [&](std::int64_t more) { held = std::min(full, held + more); };
    time_point now = time_point{} + 1h;
    const time_point begin = now;
    std::int64_t by_time = 0;
    b->call_started(now);
    gain(units(o.per_call));
    const auto all = *deeds(budget_ways, token_budget_events);
    for (const deed& d : all) {
      if (d.name != "clock_goes_back") now = passed(now, d, 10s);
      const std::int64_t due = (now - begin) / 1ns * units(o.per_second) / 1'000'000'000;
      gain(due - by_time);
      by_time = due;
      if (d.name == "call") {
        b->call_started(now);
        gain(units(o.per_call));
      } else if (d.name == "spend") {
        const outcome failed_with = failure(d);
        const int price = failed_with.throttled ? o.throttle_cost.value_or(o.retry_cost)
                          : failed_with.error == errc::attempt_timeout ? o.timeout_cost
                                                                       : o.retry_cost;
        same("price", b->price(failed_with), static_cast<double>(price));
        same("paid", b->try_spend(failed_with, now), held >= units(price));
        if (held >= units(price))
          held -= units(price);
        else
          ++refused;
      } else if (d.name == "succeed") {
        const int paid = d.once_in(2) ? 0 : d.once_in(3) ? o.retry_cost : o.timeout_cost;
        b->succeeded(paid, now);
        gain(paid == 0 ? units(o.success_refund) : units(o.retry_refund * paid));
      } else if (d.name == "refund") {  // of what was spent, whatever is said of successes
        const int paid = d.once_in(3) ? o.retry_cost : o.timeout_cost;
        b->refund(paid, now);
        gain(units(paid));
      }
      same("balance", units(b->balance(now)), held);
    }
    return all.size();
  });
  if (!is_replay()) {
    EXPECT_GT(refused, 1000U);
  }
}

}  // namespace
}  // namespace hawser::test::retry_budget_property
