#include "hawser/core/entropy.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <set>
#include <thread>
#include <vector>

namespace hawser::entropy_test {
namespace {

class fixed final : public entropy {
 public:
  explicit fixed(std::uint64_t word) : word_(word) {}
  std::uint64_t next() noexcept override { return word_; }

 private:
  std::uint64_t word_;
};

TEST(entropy, the_same_seed_gives_the_same_sequence) {
  seeded_entropy a(42), b(42), c(43);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t word = a.next();
    EXPECT_EQ(word, b.next());
    differs = differs || word != c.next();
  }
  EXPECT_TRUE(differs);
}

// The first words of SplitMix64 for the seed 1234567, as its authors' reference code gives them.
TEST(entropy, is_splitmix64) {
  seeded_entropy random(1234567);
  EXPECT_EQ(random.next(), 6457827717110365317ULL);
  EXPECT_EQ(random.next(), 3203168211198807973ULL);
  EXPECT_EQ(random.next(), 9817491932198370423ULL);
}

TEST(entropy, uniform_is_in_zero_one_exclusive) {
  fixed lowest(0), highest(std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(lowest.uniform(), 0.0);
  EXPECT_LT(highest.uniform(), 1.0);
  EXPECT_GT(highest.uniform(), 0.999999);
}

TEST(entropy, uniform_fills_its_range_evenly) {
  seeded_entropy random(7);
  int tenths[10] = {};
  for (int i = 0; i < 10000; ++i) ++tenths[static_cast<int>(random.uniform() * 10)];
  for (const int count : tenths) EXPECT_NEAR(count, 1000, 150);
}

TEST(entropy, threads_never_draw_the_same_word) {
  seeded_entropy random(3);
  std::vector<std::vector<std::uint64_t>> drawn(4);
  std::vector<std::thread> threads;
  for (auto& mine : drawn)
    threads.emplace_back([&random, &mine] {
      for (int i = 0; i < 5000; ++i) mine.push_back(random.next());
    });
  for (auto& t : threads) t.join();
  std::set<std::uint64_t> all;
  for (const auto& mine : drawn) all.insert(mine.begin(), mine.end());
  EXPECT_EQ(all.size(), 20000U);
}

TEST(entropy, system_entropy_differs_between_instances) {
  system_entropy a, b;
  EXPECT_NE(a.next(), b.next());
  EXPECT_NE(a.unique(), b.unique());
  EXPECT_NE(a.unique(), a.unique());
}

}  // namespace
}  // namespace hawser::entropy_test
