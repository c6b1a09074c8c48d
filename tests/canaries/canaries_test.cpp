#include "canaries/canaries.hpp"

#include <gtest/gtest.h>

namespace hawser::test::canaries {
namespace {

TEST(canaries, none_comes_out_of_any_sink) {
  const auto all = hatch(20240229, 2);
  EXPECT_GT(all.size(), 400U);
  for (const auto& [kind, t] : release(all)) {
    if (is_documented(kind)) continue;
    EXPECT_EQ(t.leaked, 0U) << kind << ": " << t.leaked << " of " << t.planted << ", as "
                            << t.example;
  }
}

// What cannot fail holds nothing: a text that no rule finds comes out, and is seen to.
TEST(canaries, one_that_nothing_masks_is_seen) {
  const std::vector<canary> plain = {
      {"plain", "see correcthorsebattery", {"correcthorsebattery"}, {}}};
  for (const auto& [kind, t] : release(plain)) EXPECT_EQ(t.leaked, 1U) << kind;
}

}  // namespace
}  // namespace hawser::test::canaries
