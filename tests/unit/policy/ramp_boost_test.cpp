#include "policy/ramp_boost.hpp"

#include <gtest/gtest.h>

namespace hawser::test::ramp_boost_test {
namespace {

using detail::ramp_boost;

TEST(ramp_boost, stays_while_fewer_wait) {
  ramp_boost b;
  int waiting = 100;
  b.restart(waiting);
  for (int i = 0; i < 1000; ++i) {
    if (i % 4 == 0 && waiting > 0) --waiting;  // of four that go, three are followed by another
    b.one_went(waiting);
  }
  EXPECT_EQ(b.factor(), 1);
}

TEST(ramp_boost, doubles_once_twice_as_many_have_gone_as_wait_and_none_fewer_do) {
  ramp_boost b;
  b.restart(100);
  for (int i = 0; i < 199; ++i) b.one_went(100);
  EXPECT_EQ(b.factor(), 1);
  b.one_went(100);
  EXPECT_EQ(b.factor(), 2);
  for (int i = 0; i < 200; ++i) b.one_went(100);
  EXPECT_EQ(b.factor(), 4);
}

TEST(ramp_boost, few_who_wait_are_looked_at_after_64) {
  ramp_boost b;
  b.restart(3);
  for (int i = 0; i < 63; ++i) b.one_went(3);
  EXPECT_EQ(b.factor(), 1);
  b.one_went(3);
  EXPECT_EQ(b.factor(), 2);
  b.restart(3);
  EXPECT_EQ(b.factor(), 1);
}

TEST(ramp_boost, has_a_bound) {
  ramp_boost b;
  b.restart(1);
  for (int i = 0; i < 100'000; ++i) b.one_went(1);
  EXPECT_EQ(b.factor(), 1024);
}

}  // namespace
}  // namespace hawser::test::ramp_boost_test
