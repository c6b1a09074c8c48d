#include "hawser/core/time.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace hawser::time_test {
namespace {

using namespace std::chrono_literals;

constexpr time_point start{};

TEST(time, later_adds) {
  EXPECT_EQ(later(start, 5s), start + 5s);
  EXPECT_EQ(later(start + 5s, -2s), start + 3s);
}

TEST(time, later_saturates_instead_of_overflowing) {
  EXPECT_EQ(later(never - 1s, 2s), never);
  EXPECT_EQ(later(start + 1s, duration::max()), never);
  EXPECT_EQ(later(time_point::min() + 1s, -2s), time_point::min());
  EXPECT_EQ(later(start - 1ns, duration::min()), time_point::min());
  EXPECT_EQ(later(never - 1ns, 1ns), never);
}

TEST(time, never_stays_never) {
  EXPECT_EQ(later(never, 1s), never);
  EXPECT_EQ(later(never, -1s), never);
}

TEST(time, remaining_counts_down_to_zero) {
  EXPECT_EQ(remaining(start + 5s, start + 2s), 3s);
  EXPECT_EQ(remaining(start + 5s, start + 5s), 0s);
  EXPECT_EQ(remaining(start + 5s, start + 9s), 0s);
}

TEST(time, remaining_until_never_is_endless) {
  EXPECT_EQ(remaining(never, start), duration::max());
  EXPECT_EQ(remaining(never, never), duration::max());
}

TEST(time, remaining_saturates_instead_of_overflowing) {
  EXPECT_EQ(remaining(never - 1ns, time_point::min()), duration::max());
  EXPECT_EQ(remaining(time_point::min(), never - 1ns), 0s);
}

static_assert(later(start, 1s) == start + 1s, "usable in constant expressions");

}  // namespace
}  // namespace hawser::time_test
