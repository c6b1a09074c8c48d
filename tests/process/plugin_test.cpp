#include "hawser/core/error.hpp"

#include <gtest/gtest.h>

#include <dlfcn.h>

namespace hawser::test::plugin_test {
namespace {

#if defined(HAWSER_TEST_PLUGIN)

TEST(plugin, with_a_copy_of_its_own_has_the_same_errors) {
  void* const plugin = ::dlopen(HAWSER_TEST_PLUGIN, RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(plugin, nullptr) << ::dlerror();
  const auto tell = reinterpret_cast<void (*)(error_code*)>(::dlsym(plugin, "plugin_error"));
  const auto category = reinterpret_cast<const void* (*)()>(::dlsym(plugin, "plugin_category"));
  ASSERT_TRUE(tell != nullptr && category != nullptr);
  ASSERT_NE(category(), &error_category()) << "no copy of its own";
  error_code ec;
  tell(&ec);
  EXPECT_EQ(ec, errc::circuit_open);
  EXPECT_EQ(ec, make_error_code(errc::circuit_open));
  EXPECT_EQ(ec, condition::rejected);
  EXPECT_EQ(ec, condition::transient);
  EXPECT_NE(ec, errc::bulkhead_full);
  EXPECT_EQ(ec.category(), error_category());
}

#endif

}  // namespace
}  // namespace hawser::test::plugin_test
