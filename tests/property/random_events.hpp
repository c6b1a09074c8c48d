// Random sequences of events, to be held against plain models; a failing one shrinks to a few.
//
//   const std::vector<kind> kinds = {{"ask", 5}, {"report", 4}, {"pass_time", 1}};
//   holds("breaker", breaker_events, [] {
//     const auto all = *deeds(kinds, breaker_events);
//     for (const deed& d : all) ...           // d.what indexes kinds; d.which(n), d.upto(range)
//     return all.size();
//   });
//
// Each run draws a fresh seed and prints it; RC_PARAMS="seed=..." gives the same run again, and a
// failing property prints the line that replays just its shrunk case.
#pragma once

#include "hawser/core/time.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hawser::test {

/// How many events each property handles, at the least.
inline constexpr std::size_t breaker_events = 300'000;
inline constexpr std::size_t recovery_events = 60'000;
inline constexpr std::size_t bulkhead_events = 200'000;
inline constexpr std::size_t limiter_events = 180'000;
inline constexpr std::size_t reservation_events = 100'000;
inline constexpr std::size_t window_budget_events = 100'000;
inline constexpr std::size_t token_budget_events = 60'000;
inline constexpr std::size_t retry_events = 120'000;
inline constexpr std::size_t timeout_events = 30'000;
inline constexpr std::size_t keyed_events = 40'000;
inline constexpr std::size_t spread_events = 30'000;
inline constexpr std::size_t pipeline_events = 40'000;
static_assert(breaker_events + recovery_events + bulkhead_events + limiter_events +
                  reservation_events + window_budget_events + token_budget_events + retry_events +
                  timeout_events + keyed_events + spread_events + pipeline_events >=
              1'000'000);

/// A kind of event and how often it comes, against the others.
struct kind {
  std::string_view name;
  std::uint32_t weight;
};

/// One event: its kind, and two numbers that the world reads as it likes. Smaller numbers are
/// simpler, so that cases shrink towards short times and first choices.
struct deed {
  std::string_view name;
  std::uint32_t what = 0;
  std::uint32_t pick = 0;
  std::uint32_t amount = 0;

  /// One of `n`, by `pick`. `n` is over 0.
  [[nodiscard]] std::size_t which(std::size_t n) const { return (std::uint64_t{pick} * n) >> 32U; }
  /// From 0 to under `range`, by `amount`.
  [[nodiscard]] duration upto(duration range) const {
    return duration(
        static_cast<duration::rep>(0x1p-32 * amount * static_cast<double>(range.count())));
  }
  /// True once in `n`, by bits of `amount` that `upto` hardly sees.
  [[nodiscard]] bool once_in(std::uint32_t n) const { return (amount & 0xFFFFU) % n == n - 1; }

  friend std::ostream& operator<<(std::ostream& out, const deed& d) {
    return out << d.name << '(' << d.pick << ' ' << d.amount << ')';
  }
};

/// Sequences which over the 100 cases of a property come to at least `events`.
inline rc::Gen<std::vector<deed>> deeds(const std::vector<kind>& kinds, std::size_t events) {
  const auto simpler = [](const deed& d) {
    const auto with = [d](std::uint32_t deed::*field) {
      return rc::seq::map(rc::shrink::towards(d.*field, 0U), [d, field](std::uint32_t smaller) {
        deed s = d;
        s.*field = smaller;
        return s;
      });
    };
    return rc::seq::concat(with(&deed::pick), with(&deed::amount));
  };
  const auto shorter = [simpler](const std::vector<deed>& all) {
    return rc::seq::concat(rc::shrink::removeChunks(all), rc::shrink::eachElement(all, simpler));
  };
  return [&kinds, events, shorter](rc::Random random, int size) {
    std::uint32_t whole = 0;
    for (const kind& k : kinds) whole += k.weight;
    // Sizes run evenly from 0 to about 100: half of the longest is the mean.
    const std::size_t longest = events / 45 + 1;
    std::vector<deed> all(1 + longest * static_cast<std::size_t>(size) / 100);
    for (deed& d : all) {
      const std::uint64_t dice = random.next();
      const std::uint64_t word = random.next();
      auto at = static_cast<std::uint32_t>(dice % whole);
      while (at >= kinds[d.what].weight) at -= kinds[d.what++].weight;
      d.name = kinds[d.what].name;
      d.pick = static_cast<std::uint32_t>(word);
      d.amount = static_cast<std::uint32_t>(word >> 32U);
    }
    return rc::shrinkable::shrinkRecur(std::move(all), shorter);
  };
}

/// One of these, the first being the simplest. A failing case shows which, counted from 0.
template <class T>
T one_of(const char* name, const std::vector<T>& values) {
  return values[*rc::gen::inRange(std::size_t{0}, values.size()).as(name)];
}
inline int number(const char* name, int from, int to) {
  return *rc::gen::inRange(from, to + 1).as(name);
}
inline bool flag(const char* name) { return *rc::gen::arbitrary<bool>().as(name); }

inline std::ostream& operator<<(std::ostream& out, duration d) { return out << d.count() << "ns"; }

template <class T>
void print(std::ostream& out, const T& value) {
  if constexpr (requires { out << value; })
    out << value;
  else if constexpr (std::is_enum_v<T>)
    out << static_cast<int>(value);
  else if constexpr (requires { value.time_since_epoch(); })
    out << value.time_since_epoch().count() << "ns";
  else if constexpr (requires { value.count(); })
    out << value.count() << "ns";
  else
    out << '?';
}

/// The case fails unless both are equal; cheaper than RC_ASSERT, which is used everywhere else.
template <class Got, class Wanted>
void same(const char* what, const Got& got, const Wanted& wanted) {
  if (got == wanted) return;
  std::ostringstream text;
  text << what << ": got ";
  print(text, got);
  text << ", the model says ";
  print(text, wanted);
  RC_FAIL(text.str());
}
inline void require(bool holds, const char* what) {
  if (!holds) RC_FAIL(what);
}

/// What all properties of this program have handled so far.
inline std::size_t& events_of_this_run() {
  static std::size_t sum = 0;
  return sum;
}

/// Whether this run replays a case or overrides the number of cases: then counts say nothing.
inline bool is_replay() { return std::getenv("RC_PARAMS") != nullptr; }

/// Checks that `property`, which returns how many events it handled, holds for 100 cases.
template <class Property>
void holds(const char* what, std::size_t least, Property property) {
  std::size_t cases = 0;
  std::size_t events = 0;
  const bool held = rc::check(what, [&] {
    ++cases;
    events += property();
  });
  std::cout << what << ": " << cases << " sequences, " << events << " events, seed "
            << rc::detail::configuration().testParams.seed << " (RC_PARAMS=\"seed=...\")\n";
  events_of_this_run() += events;
  EXPECT_TRUE(held) << "see above for the shrunk case and how to reproduce it";
  if (held && !is_replay()) {
    EXPECT_GE(events, least);
  }
}

}  // namespace hawser::test
