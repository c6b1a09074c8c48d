#include "hawser/core/try_make.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

namespace hawser::test::try_make_test {
namespace {

TEST(try_make, has_what_was_made) {
  EXPECT_EQ(try_make([] { return 7; }).value(), 7);
  EXPECT_EQ(*try_make([] { return std::make_unique<int>(7); }).value(), 7);
  EXPECT_TRUE(try_make([] {}).has_value());
}

TEST(try_make, has_the_error_of_options_that_make_no_sense) {
  const result<int> r = try_make(
      []() -> int { throw config_error("retry.max_attempts", "0", "must be at least 1"); });
  ASSERT_TRUE(r.has_error());
  EXPECT_EQ(r.error(), errc::invalid_options);
  EXPECT_EQ(r.error(), condition::invalid_input);
  EXPECT_EQ(r.error().detail(), "retry.max_attempts = 0: must be at least 1");
}

TEST(try_make, has_the_error_that_was_thrown) {
  const error why(errc::invalid_url, "no host at byte 8");
  const result<int> r = try_make([&]() -> int { throw call_error(why); });
  ASSERT_TRUE(r.has_error());
  EXPECT_TRUE(r.error() == why);
}

TEST(try_make, has_the_code_of_the_system) {
  const result<void> r = try_make([] {
    throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again),
                            "no thread");
  });
  ASSERT_TRUE(r.has_error());
  EXPECT_EQ(r.error().code(), boost::system::errc::resource_unavailable_try_again);
  EXPECT_NE(r.error().detail().find("no thread"), std::string::npos);
}

TEST(try_make, passes_a_result_on) {
  const result<int> r = try_make([]() -> result<int> { return error(errc::invalid_url); });
  EXPECT_EQ(r.error(), errc::invalid_url);
  EXPECT_EQ(try_make([]() -> result<int> { return 7; }).value(), 7);
}

TEST(try_make, lets_through_what_is_no_error_of_a_set_up) {
  EXPECT_THROW((void)try_make([]() -> int { throw std::bad_alloc(); }), std::bad_alloc);
  EXPECT_THROW((void)try_make([]() -> int { throw std::runtime_error("mine"); }),
               std::runtime_error);
  EXPECT_THROW((void)try_make([]() -> int { throw 7; }), int);
}

}  // namespace
}  // namespace hawser::test::try_make_test
