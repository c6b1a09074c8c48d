#include "hawser/core/effect.hpp"

#include <gtest/gtest.h>

namespace hawser::effect_test {
namespace {

// The table of the documentation, row by row: never_sent, refused, maybe_applied, answered.
struct row {
  effect what;
  bool yes[4];
};
constexpr row table[] = {
    {effect::safe, {true, true, true, true}},
    {effect::idempotent, {true, true, true, true}},
    {effect::keyed, {true, true, true, true}},
    {effect::unsafe, {true, true, false, false}},
};
constexpr evidence columns[] = {evidence::never_sent, evidence::refused, evidence::maybe_applied,
                                evidence::answered};

TEST(effect, the_resend_table) {
  for (const row& r : table)
    for (int i = 0; i < 4; ++i)
      EXPECT_EQ(may_resend(r.what, columns[i]), r.yes[i])
          << to_string(r.what) << " x " << to_string(columns[i]);
}

TEST(effect, a_consumed_body_is_never_sent_again) {
  for (const row& r : table)
    for (const evidence seen : columns) EXPECT_FALSE(may_resend(r.what, seen, replay::consumed));
}

TEST(effect, names) {
  EXPECT_EQ(to_string(effect::safe), "safe");
  EXPECT_EQ(to_string(effect::idempotent), "idempotent");
  EXPECT_EQ(to_string(effect::keyed), "keyed");
  EXPECT_EQ(to_string(effect::unsafe), "unsafe");
  EXPECT_EQ(to_string(evidence::never_sent), "never sent");
  EXPECT_EQ(to_string(evidence::refused), "refused");
  EXPECT_EQ(to_string(evidence::maybe_applied), "maybe applied");
  EXPECT_EQ(to_string(evidence::answered), "answered");
  EXPECT_EQ(to_string(static_cast<effect>(99)), "unknown effect");
  EXPECT_EQ(to_string(static_cast<evidence>(99)), "unknown evidence");
}

}  // namespace
}  // namespace hawser::effect_test
