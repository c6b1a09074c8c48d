#include "core/printable.hpp"

#include <gtest/gtest.h>

#include <string>

namespace printable_test {
namespace {

using hawser::detail::is_printable;
using hawser::detail::printable;

TEST(printable, controls_of_direction_and_byte_order_marks_are_escaped) {
  EXPECT_EQ(printable("a\u202eb\u202a\u202b\u202c\u202d"), "a\\u202eb\\u202a\\u202b\\u202c\\u202d");
  EXPECT_EQ(printable("\u2066\u2067\u2068\u2069"), "\\u2066\\u2067\\u2068\\u2069");
  EXPECT_EQ(printable("\ufeffx\u200e\u200f\u061c"), "\\ufeffx\\u200e\\u200f\\u061c");
  EXPECT_EQ(printable("\u2028\u2029\u0085\u009b"), "\\u2028\\u2029\\u0085\\u009b");
  EXPECT_FALSE(is_printable("\u202e"));
}

TEST(printable, other_characters_stay) {
  for (const std::string text :
       {"caf\u00e9", "\u2026\u2030\u2027", "\u2065 \u206a", "\u05d0\u0628", "\U0001f600", "\ufefe"})
    EXPECT_EQ(printable(text), text);
}

}  // namespace
}  // namespace printable_test
