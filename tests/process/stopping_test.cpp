#include "process/child.hpp"
#include "support/sanitizers.hpp"

#include "hawser/testing/fault_server.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <string>
#include <tuple>
#include <vector>

namespace hawser::test::stopping_test {
namespace {

using namespace std::chrono_literals;

/// Promised are 200 ms. A machine on which others build takes longer by itself, so only what waits
/// for something is told apart here; the longest of 200 small programs is printed.
constexpr auto at_once = slow_build ? 10'000ms : 1500ms;

/// Under the thread sanitizer its own thread outlives a main thread that ends, and exit() in a
/// handler of a signal is told as what it is.
bool is_for_no_tsan(const std::string& way) {
  return way == "pthread_exit_of_main" || way == "exit_in_signal";
}

/// What stops a program with a signal is no crash where it is the way to stop.
int ends_with(const std::string& way) {
  if (way == "terminate") return SIGABRT;
  if (way == "sigterm") return SIGTERM;
  return 0;
}

std::vector<std::string> ways() {
  const child listing({HAWSER_TEST_STOPPING, "--list"});
  std::vector<std::string> all;
  std::string text = listing.output();
  for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
    all.push_back(text.substr(at, end - at));
  return all;
}

class stopping : public ::testing::TestWithParam<std::tuple<bool, int>> {};

TEST_P(stopping, ends_at_once_and_without_a_crash) {
  const auto [tls, callers] = GetParam();
  if (under_tsan && callers == 1) GTEST_SKIP() << "each program takes long; none and many do";
  testing::fault_server_options o;
  if (tls) o.tls.emplace();
  o.handler = [](const testing::received_request& r) {
    return r.target == "/slow" ? testing::plan::stall() : testing::plan();
  };
  const testing::fault_server server(std::move(o));
  const auto all = ways();
  ASSERT_GE(all.size(), 26U);
  for (const std::string& way : all) {
    if (under_tsan && is_for_no_tsan(way)) continue;
    SCOPED_TRACE(way);
    child one({HAWSER_TEST_STOPPING, way, server.url(), std::to_string(callers)},
              tls ? server.authority()->certificate() : "");
    ASSERT_TRUE(one.ends_within(20s)) << "hangs";
    const int expected = ends_with(way);
    if (expected == 0)
      EXPECT_EQ(one.exit_code(), 0) << one.how() << "\n" << one.errors();
    else
      EXPECT_EQ(one.signal(), expected) << one.how() << "\n" << one.errors();
    EXPECT_LE(one.ended_after_last_line(), at_once);
  }
}

TEST(small_programs, end_at_once_each_time) {
  std::chrono::milliseconds longest{0};
  for (const bool tls : {false, true}) {
    testing::fault_server_options o;
    if (tls) o.tls.emplace();
    const testing::fault_server server(std::move(o));
    for (int i = 0; i < 100; ++i) {
      child one({HAWSER_TEST_STOPPING, "one_call", server.url(), "0"},
                tls ? server.authority()->certificate() : "");
      ASSERT_TRUE(one.ends_within(20s)) << "hangs";
      ASSERT_EQ(one.exit_code(), 0) << one.how() << "\n" << one.errors();
      ASSERT_LE(one.ended_after_last_line(), at_once) << i;
      longest = std::max(longest, one.ended_after_last_line());
    }
  }
  std::printf("the longest of 200 took %lld ms\n", static_cast<long long>(longest.count()));
}

INSTANTIATE_TEST_SUITE_P(plain, stopping,
                         ::testing::Combine(::testing::Values(false), ::testing::Values(0, 1, 8)));
INSTANTIATE_TEST_SUITE_P(over_tls, stopping,
                         ::testing::Combine(::testing::Values(true), ::testing::Values(0, 1, 8)));

}  // namespace
}  // namespace hawser::test::stopping_test
