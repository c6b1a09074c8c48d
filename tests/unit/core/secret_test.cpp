#include "hawser/core/secret.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>
#include <cstdint>
#include <ostream>
#include <string>
#include <type_traits>
#include <utility>

namespace secret_test {
namespace {

using hawser::secret;

template <class T>
concept streamable = requires(std::ostream& out, const T& value) {
  out << value;
};
static_assert(streamable<std::string>);
static_assert(!streamable<secret>);

template <class T>
concept formattable = requires(const T& value) {
  format_as(value);
};
static_assert(!formattable<secret>);

static_assert(!std::is_convertible_v<secret, std::string_view>);
static_assert(!std::is_convertible_v<secret, std::string>);
static_assert(!std::is_convertible_v<secret, bool>);
static_assert(!std::is_convertible_v<std::string_view, secret>, "taking a secret is spelled out");
static_assert(std::is_nothrow_copy_constructible_v<secret>);
static_assert(std::is_nothrow_move_constructible_v<secret>);
static_assert(std::is_nothrow_move_assignable_v<secret>);

/// A secret made at run time, so that the program's image does not hold it.
std::string made(char first) {
  std::string text;
  for (int i = 0; i < 96; ++i) text += static_cast<char>(first + i % 23);
  return text;
}

/// Reads this process's memory from outside, as a debugger does: whatever has become of it.
class memory_probe {
 public:
  explicit memory_probe(const char* at) : at_(reinterpret_cast<std::uintptr_t>(at)) {}

  /// How many of the bytes at `skip`..`size` there are still those of `text`, shifted by one so
  /// that the probe itself keeps no copy. -1 if memory cannot be read.
  [[nodiscard]] int remaining(const std::string& shifted) const {
    const int file = ::open("/proc/self/mem", O_RDONLY);
    if (file < 0) return -1;
    char bytes[96] = {};
    const ssize_t got = ::pread(file, bytes, sizeof bytes, static_cast<off_t>(at_));
    ::close(file);
    if (got != static_cast<ssize_t>(sizeof bytes)) return 0;  // the page is gone, bytes and all
    int same = 0;
    // The allocator keeps its own words in the first bytes of a freed block.
    for (std::size_t i = 32; i < sizeof bytes; ++i)
      if (static_cast<char>(bytes[i] + 1) == shifted[i]) ++same;
    return same;
  }

 private:
  std::uintptr_t at_;
};

std::string shifted(std::string text) {
  for (char& c : text) c = static_cast<char>(c + 1);
  return text;
}

class secret_wiping : public ::testing::Test {
 protected:
  void SetUp() override {
    const secret probe{made('A')};
    if (memory_probe(probe.expose().data()).remaining(shifted(made('A'))) != 64)
      GTEST_SKIP() << "this system does not let a process read its own memory";
  }
};

TEST(secret, keeps_all_bytes_and_a_nul_behind_them) {
  const secret s{std::string_view("a\0b", 3)};
  EXPECT_EQ(s.expose(), std::string_view("a\0b", 3));
  EXPECT_EQ(s.expose().data()[3], '\0');
  EXPECT_EQ(s.size(), 3u);
  EXPECT_FALSE(s.empty());
}

TEST(secret, empty_one_exposes_an_empty_text) {
  const secret s;
  EXPECT_TRUE(s.empty());
  EXPECT_TRUE(s.expose().empty());
  EXPECT_NE(s.expose().data(), nullptr);
  EXPECT_EQ(secret{""}, s);
}

TEST(secret, copies_share_one_buffer) {
  const secret a{"hunter2"};
  const secret b = a;
  EXPECT_EQ(a.expose().data(), b.expose().data());
}

TEST(secret, moved_from_is_empty) {
  secret a{"hunter2"};
  secret b = std::move(a);
  EXPECT_TRUE(a.empty());  // NOLINT: the point of the test
  EXPECT_TRUE(a.expose().empty());
  EXPECT_EQ(b.expose(), "hunter2");
  secret c{"other"};
  c = std::move(b);
  EXPECT_TRUE(b.empty());  // NOLINT
  EXPECT_TRUE(b.expose().empty());
  EXPECT_EQ(c.expose(), "hunter2");
}

TEST(secret, survives_assignment_to_itself) {
  secret a{"hunter2"};
  secret& same = a;
  a = same;
  EXPECT_EQ(a.expose(), "hunter2");
  a = std::move(same);
  EXPECT_EQ(a.expose(), "hunter2");
}

TEST(secret, comparison_sees_every_byte_and_the_length) {
  const secret s{"0123456789abcdef"};
  EXPECT_TRUE(s.equals("0123456789abcdef"));
  for (std::size_t i = 0; i < s.size(); ++i) {
    std::string other(s.expose());
    other[i] = static_cast<char>(other[i] ^ 0x80);
    EXPECT_FALSE(s.equals(other)) << i;
  }
  EXPECT_FALSE(s.equals("0123456789abcde"));
  EXPECT_FALSE(s.equals("0123456789abcdef0"));
  EXPECT_FALSE(s.equals(""));
  EXPECT_TRUE(secret{}.equals(""));
  EXPECT_FALSE(secret{}.equals("x"));
  EXPECT_EQ(s, secret{"0123456789abcdef"});
  EXPECT_NE(s, secret{"0123456789abcdeF"});
}

TEST(secret, take_wipes_the_string_it_came_in) {
  std::string text = made('a');
  const char* where = text.data();
  const std::size_t size = text.size();
  const secret s = secret::take(text);
  EXPECT_EQ(s.expose(), made('a'));
  EXPECT_TRUE(text.empty());
  ASSERT_EQ(text.data(), where) << "not reallocated: the old bytes are where they were";
  for (std::size_t i = 0; i < size; ++i) ASSERT_EQ(where[i], '\0') << i;
}

TEST_F(secret_wiping, destruction_of_the_last_copy_leaves_zeros) {
  auto* first = new secret{made('a')};
  auto* second = new secret(*first);
  const memory_probe probe(first->expose().data());
  const std::string pattern = shifted(made('a'));
  EXPECT_EQ(probe.remaining(pattern), 64);
  delete first;
  EXPECT_EQ(probe.remaining(pattern), 64) << "a copy still lives";
  EXPECT_EQ(second->expose(), made('a'));
  delete second;
  EXPECT_LT(probe.remaining(pattern), 8);
}

TEST_F(secret_wiping, assignment_over_the_last_copy_leaves_zeros) {
  const std::string pattern = shifted(made('b'));
  secret by_copy{made('b')};
  secret by_move{made('b')};
  secret by_clear{made('b')};
  const memory_probe copied(by_copy.expose().data());
  const memory_probe moved(by_move.expose().data());
  const memory_probe cleared(by_clear.expose().data());
  const secret other{"other"};
  by_copy = other;
  by_move = secret{"other"};
  by_clear.clear();
  EXPECT_LT(copied.remaining(pattern), 8);
  EXPECT_LT(moved.remaining(pattern), 8);
  EXPECT_LT(cleared.remaining(pattern), 8);
  EXPECT_TRUE(by_clear.empty());
}

TEST_F(secret_wiping, moving_leaves_the_bytes_in_one_place) {
  secret from{made('c')};
  const char* where = from.expose().data();
  const secret to = std::move(from);
  EXPECT_EQ(to.expose().data(), where);
}

}  // namespace
}  // namespace secret_test
