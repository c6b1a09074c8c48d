#include "storm/storm.hpp"
#include "storm/rows.hpp"

#include <gtest/gtest.h>

#include <cctype>
#include <fstream>
#include <iterator>
#include <string>

namespace storm_test {
namespace {

using namespace hawser::storm;

class storms : public testing::TestWithParam<row> {};

/// What must hold does, and the page says what the row came to.
TEST_P(storms, do_as_the_page_says) {
  const row& r = GetParam();
  const reports all = measure(r);
  for (const bound& b : r.bounds)
    EXPECT_TRUE(holds(b, all)) << b.name << " is " << value_of(b, all) << ", must be at "
                               << (b.at_most ? "most " : "least ") << b.limit;
  std::ifstream page(HAWSER_TEST_STORM_PAGE);
  const std::string text{std::istreambuf_iterator<char>(page), {}};
  ASSERT_FALSE(text.empty());
  EXPECT_NE(text.find(line_of(r, all) + "\n"), std::string::npos)
      << line_of(r, all) << "\na default has changed what the storms do: scripts/storm --write";
}

std::string name_of(const testing::TestParamInfo<row>& info) {
  std::string name = info.param.name + "_" + std::to_string(info.param.clients);
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(all, storms, testing::ValuesIn(rows()), name_of);

TEST(storm, a_run_is_the_same_for_one_seed) {
  scenario s;
  s.clients = 20;
  s.lasts = std::chrono::seconds(40);
  s.faults = {{.lasts = std::chrono::seconds(5)}};
  const report first = run(s, 7);
  const report second = run(s, 7);
  EXPECT_EQ(first.timeline, second.timeline);
  EXPECT_NE(first.timeline, run(s, 8).timeline);
}

// The model itself: a dependency of 1,000/s with a queue of one second.
TEST(storm, the_model_serves_what_it_can_and_refuses_the_rest) {
  scenario s;
  s.rate = 2000;
  s.lasts = std::chrono::seconds(30);
  s.tune = [](hawser::http::standard_options& o) {
    o.retry.max_attempts = 1;
    o.breaker.min_calls = 100;
    o.breaker.failure_ratio = 1;
    o.breaker.consecutive_failures = 1'000'000;
    o.breaker.suspect_failures.reset();
    o.origin_breaker.reset();
    o.route_bulkhead.reset();
    o.bulkhead.max_concurrent = 100'000;
  };
  const report r = run(s, 1);
  EXPECT_NEAR(r.served_share, 0.5, 0.02);
}

void own_rate(hawser::http::standard_options& o) {
  o.rate = hawser::rate_limiter{.permits = 50, .per = std::chrono::seconds(1), .burst = 5};
  o.rate->max_wait = std::chrono::seconds(20);
}

TEST(storm, a_rate_of_its_own_is_kept_on_the_way_back) {
  scenario s;
  s.rate = 40;
  s.lasts = std::chrono::seconds(60);
  s.faults = {{.lasts = std::chrono::seconds(8)}};
  s.tune = own_rate;
  const report r = run(s, 1);
  EXPECT_LE(r.peak_second * s.rate, 50 + 5 + 1);
  EXPECT_GE(r.peak_second * s.rate, 50);
}

TEST(storm, a_rate_of_its_own_is_no_obstacle_to_who_waited_as_told) {
  scenario s;
  s.rate = 20;
  s.lasts = std::chrono::seconds(40);
  s.faults = {{.lasts = std::chrono::seconds(5), .status = 429, .retry_after = "2", .only = 1}};
  s.tune = own_rate;
  const report r = run(s, 1);
  EXPECT_EQ(r.served, r.met);
  s.tune = [](hawser::http::standard_options& o) {
    own_rate(o);
    o.rate->max_wait.reset();
  };
  const report unready_to_wait = run(s, 1);
  EXPECT_EQ(unready_to_wait.served, unready_to_wait.met);
}

}  // namespace
}  // namespace storm_test
