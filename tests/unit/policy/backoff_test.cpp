#include "hawser/policy/backoff.hpp"

#include "hawser/core/error.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <limits>
#include <vector>

namespace hawser::backoff_test {
namespace {

using namespace std::chrono_literals;

class fixed_draw final : public entropy {
 public:
  explicit fixed_draw(std::uint64_t word) : word_(word) {}
  std::uint64_t next() noexcept override {
    ++draws;
    return word_;
  }
  int draws = 0;

 private:
  std::uint64_t word_;
};

std::vector<duration> unspread(const backoff& how, int count) {
  seeded_entropy random(1);
  std::vector<duration> waits;
  for (int i = 1; i <= count; ++i) waits.push_back(next_delay(how, i, {}, random));
  return waits;
}

TEST(backoff, constant_stays) {
  EXPECT_EQ(unspread(constant{.each = 5ms, .spread = jitter::none}, 3),
            (std::vector<duration>{5ms, 5ms, 5ms}));
}

TEST(backoff, linear_grows_by_steps_up_to_the_cap) {
  const linear how{.first = 10ms, .step = 20ms, .cap = 60ms, .spread = jitter::none};
  EXPECT_EQ(unspread(how, 5), (std::vector<duration>{10ms, 30ms, 50ms, 60ms, 60ms}));
}

TEST(backoff, exponential_grows_by_its_factor_up_to_the_cap) {
  const exponential how{.first = 10ms, .factor = 3.0, .cap = 200ms, .spread = jitter::none};
  EXPECT_EQ(unspread(how, 5), (std::vector<duration>{10ms, 30ms, 90ms, 200ms, 200ms}));
}

TEST(backoff, fibonacci_adds_the_last_two_up_to_the_cap) {
  const fibonacci how{.first = 10ms, .cap = 60ms, .spread = jitter::none};
  EXPECT_EQ(unspread(how, 7), (std::vector<duration>{10ms, 10ms, 20ms, 30ms, 50ms, 60ms, 60ms}));
}

TEST(backoff, defaults_are_those_documented) {
  const exponential how;
  EXPECT_EQ(how.first, 100ms);
  EXPECT_EQ(how.factor, 2.0);
  EXPECT_EQ(how.cap, 20s);
  EXPECT_EQ(how.spread, jitter::full);
}

std::vector<backoff> growing(jitter spread) {
  return {linear{.first = 7ms, .step = 90ms, .cap = 2s, .spread = spread},
          exponential{.first = 7ms, .factor = 2.5, .cap = 2s, .spread = spread},
          fibonacci{.first = 7ms, .cap = 2s, .spread = spread}};
}

TEST(backoff, the_cap_is_never_exceeded_whatever_is_drawn) {
  for (const jitter spread : {jitter::none, jitter::full, jitter::equal, jitter::decorrelated}) {
    for (const backoff& how : growing(spread)) {
      for (const std::uint64_t word : {std::uint64_t{0}, std::uint64_t{1} << 63, UINT64_MAX}) {
        fixed_draw random(word);
        duration previous{};
        for (int i = 1; i < 200; ++i) {
          previous = next_delay(how, i, previous, random);
          ASSERT_LE(previous, 2s);
          ASSERT_GT(previous, 0s);
        }
      }
    }
  }
}

// The base is far over the cap: drawing under the base and cutting the result would put nearly
// every draw exactly on the cap.
TEST(backoff, no_pile_up_at_the_cap) {
  for (const jitter spread : {jitter::full, jitter::equal, jitter::decorrelated}) {
    for (const backoff& how : growing(spread)) {
      seeded_entropy random(42);
      const duration lowest = spread == jitter::equal ? duration(1s) : duration(7ms);
      std::vector<int> tenths(10);
      int at_cap = 0;
      duration previous = 2s;
      for (int i = 0; i < 10'000; ++i) {
        const duration wait = next_delay(how, 30, previous, random);
        at_cap += wait == 2s;
        const auto tenth = 10 * (wait - lowest).count() / (duration(2s) - lowest).count();
        ++tenths[static_cast<std::size_t>(std::clamp<std::int64_t>(tenth, 0, 9))];
      }
      EXPECT_LE(at_cap, 1);
      for (const int n : tenths) EXPECT_NEAR(n, 1000, 150);
    }
  }
}

TEST(backoff, full_jitter_is_even_below_the_base) {
  const exponential how{.first = 100ms, .cap = 20s};
  seeded_entropy random(7);
  duration sum{};
  duration most{};
  for (int i = 0; i < 10'000; ++i) {
    const duration wait = next_delay(how, 3, {}, random);  // base 400 ms
    ASSERT_GT(wait, 0s);
    ASSERT_LE(wait, 400ms);
    most = std::max(most, wait);
    sum += wait;
  }
  EXPECT_NEAR(static_cast<double>((sum / 10'000).count()), 200e6, 5e6);
  EXPECT_GT(most, 399ms);
}

TEST(backoff, equal_jitter_keeps_half) {
  const exponential how{.first = 100ms, .cap = 20s, .spread = jitter::equal};
  fixed_draw lowest(UINT64_MAX);
  fixed_draw highest(0);
  EXPECT_NEAR(static_cast<double>(next_delay(how, 1, {}, lowest).count()), 50e6, 1);
  EXPECT_EQ(next_delay(how, 1, {}, highest), 100ms);
}

TEST(backoff, decorrelated_draws_between_first_and_three_times_the_previous) {
  const exponential how{.first = 100ms, .cap = 20s, .spread = jitter::decorrelated};
  fixed_draw highest(0);
  EXPECT_EQ(next_delay(how, 1, 0s, highest), 300ms);
  EXPECT_EQ(next_delay(how, 2, 300ms, highest), 900ms);
  EXPECT_EQ(next_delay(how, 3, 19s, highest), 20s);
  fixed_draw lowest(UINT64_MAX);
  EXPECT_NEAR(static_cast<double>(next_delay(how, 2, 300ms, lowest).count()), 100e6, 2);
}

TEST(backoff, overflow_saturates) {
  const duration huge = duration::max();
  const std::vector<backoff> kinds{
      linear{.first = huge / 2, .step = huge / 2, .cap = huge, .spread = jitter::none},
      exponential{.first = 1ns, .factor = 1e300, .cap = huge, .spread = jitter::none},
      exponential{.first = 100ms, .factor = 2.0, .cap = huge, .spread = jitter::none},
      fibonacci{.first = 1ns, .cap = huge, .spread = jitter::none}};
  for (const backoff& how : kinds) {
    seeded_entropy random(1);
    for (const int number : {93, 10'000, INT_MAX}) {
      EXPECT_EQ(next_delay(how, number, {}, random), huge);
    }
  }
  const exponential spread{.first = 1s, .cap = huge, .spread = jitter::decorrelated};
  fixed_draw highest(0);
  EXPECT_EQ(next_delay(spread, 5, huge, highest), huge);
}

TEST(backoff, numbers_below_one_count_as_the_first_retry) {
  const exponential how{.first = 100ms, .spread = jitter::none};
  seeded_entropy random(1);
  EXPECT_EQ(next_delay(how, 0, {}, random), 100ms);
  EXPECT_EQ(next_delay(how, INT_MIN, {}, random), 100ms);
}

TEST(backoff, without_jitter_nothing_is_drawn) {
  fixed_draw random(5);
  (void)next_delay(exponential{.spread = jitter::none}, 1, {}, random);
  EXPECT_EQ(random.draws, 0);
  (void)next_delay(exponential{}, 1, {}, random);
  EXPECT_EQ(random.draws, 1);
}

// Any options and any previous wait: within (0, cap], never falling without jitter.
TEST(backoff, holds_for_random_options) {
  const std::uint64_t seed = 20'240'607;
  SCOPED_TRACE(seed);
  seeded_entropy random(seed);
  const auto span = [&] {
    return duration(1 + static_cast<std::int64_t>(random.next() >> (2 + random.next() % 60)));
  };
  for (int round = 0; round < 20'000; ++round) {
    const duration first = span();
    const duration cap = std::max(first, span());
    const auto spread = static_cast<jitter>(random.next() % 4);
    backoff how;
    switch (random.next() % 3) {
      case 0: how = linear{.first = first, .step = span(), .cap = cap, .spread = spread}; break;
      case 1:
        how = exponential{
            .first = first, .factor = 1.0 + 10 * random.uniform(), .cap = cap, .spread = spread};
        break;
      default: how = fibonacci{.first = first, .cap = cap, .spread = spread};
    }
    ASSERT_NO_THROW(validate(how, "x"));
    duration previous{};
    for (int i = 1; i < 20; ++i) {
      const int number = i < 15 ? i : static_cast<int>(random.next() % 1'000'000);
      const duration wait = next_delay(how, number, previous, random);
      ASSERT_GT(wait, 0ns);
      ASSERT_LE(wait, cap);
      if (spread == jitter::none && i < 15) {
        ASSERT_GE(wait, previous);
      }
      if (spread == jitter::decorrelated) {
        ASSERT_GE(wait, first);
      }
      previous = wait;
    }
  }
}

void expect_refused(const backoff& how, const std::string& field) {
  try {
    validate(how, "retry.delay");
    ADD_FAILURE() << "accepted, expected " << field;
  } catch (const config_error& e) {
    EXPECT_EQ(e.field(), field);
  }
}

TEST(backoff, bad_options_are_refused_by_name) {
  expect_refused(constant{.each = -1ns}, "retry.delay.each");
  expect_refused(constant{.spread = jitter::decorrelated}, "retry.delay.spread");
  expect_refused(linear{.first = 0s}, "retry.delay.first");
  expect_refused(linear{.step = -1ns}, "retry.delay.step");
  expect_refused(linear{.first = 2s, .cap = 1s}, "retry.delay.cap");
  expect_refused(exponential{.first = 0s}, "retry.delay.first");
  expect_refused(exponential{.factor = 0.99}, "retry.delay.factor");
  expect_refused(exponential{.factor = std::numeric_limits<double>::infinity()},
                 "retry.delay.factor");
  expect_refused(exponential{.factor = std::numeric_limits<double>::quiet_NaN()},
                 "retry.delay.factor");
  expect_refused(exponential{.first = 2s, .cap = 1s}, "retry.delay.cap");
  expect_refused(fibonacci{.first = -1s}, "retry.delay.first");
  expect_refused(fibonacci{.spread = static_cast<jitter>(9)}, "retry.delay.spread");
  EXPECT_NO_THROW(validate(constant{.each = 0s}, "retry.delay"));
  EXPECT_NO_THROW(validate(exponential{}, "retry.delay"));
}

}  // namespace
}  // namespace hawser::backoff_test
