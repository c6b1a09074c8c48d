// The queue of timers against a plain model, and from several threads.
#include "hawser/run/timer.hpp"

#include "hawser/core/entropy.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <thread>
#include <vector>

namespace hawser::test::timer_test {
namespace {

using namespace std::chrono_literals;

constexpr time_point start{};

class node final : public timer_node {
 public:
  explicit node(std::vector<node*>* fired = nullptr) : fired_(fired) {}
  void expired() noexcept override {
    ++expirations;
    if (fired_ != nullptr) fired_->push_back(this);
  }
  void add_ref() noexcept override { ++references; }
  void release() noexcept override { --references; }

  std::atomic<int> expirations{0};
  std::atomic<int> references{0};

 private:
  std::vector<node*>* fired_;
};

void fire_all(timer_queue& q, time_point now) {
  while (q.fire_one(now)) {
  }
}

TEST(timer, fires_what_is_due_and_nothing_else) {
  node a, b;
  timer_queue q;
  q.arm(a, start + 1s);
  q.arm(b, start + 2s);
  EXPECT_EQ(q.armed(), 2U);
  EXPECT_FALSE(q.fire_one(start + 999ms));
  EXPECT_TRUE(q.fire_one(start + 1s));
  EXPECT_FALSE(q.fire_one(start + 1s));
  EXPECT_EQ(a.expirations, 1);
  EXPECT_EQ(b.expirations, 0);
  EXPECT_EQ(q.armed(), 1U);
  fire_all(q, start + 9s);
  EXPECT_EQ(b.expirations, 1);
  EXPECT_EQ(q.next(), never);
  EXPECT_FALSE(q.any_armed());
  EXPECT_EQ(a.references, 0);
  EXPECT_EQ(b.references, 0);
}

TEST(timer, asks_for_the_driver_when_the_earliest_changes) {
  node a, b, c;
  timer_queue q;
  EXPECT_TRUE(q.arm(a, start + 5s)) << "the first";
  EXPECT_FALSE(q.arm(b, start + 7s)) << "a later one";
  EXPECT_TRUE(q.arm(c, start + 3s)) << "an earlier one";
  EXPECT_TRUE(q.arm(b, start + 1s)) << "one that moved to the front";
  q.disarm(a);
  q.disarm(b);
  q.disarm(c);
  EXPECT_TRUE(q.arm(a, start + 100s)) << "the first again, for the driver may have stopped looking";
}

TEST(timer, a_disarmed_node_does_not_fire) {
  node a;
  timer_queue q;
  q.arm(a, start + 1s);
  q.disarm(a);
  EXPECT_FALSE(q.any_armed());
  EXPECT_FALSE(q.fire_one(start + 2s));
  EXPECT_EQ(a.expirations, 0);
  EXPECT_EQ(a.references, 0) << "dropped when its old time came";
}

TEST(timer, removing_drops_the_reference_at_once) {
  node a, b;
  timer_queue q;
  q.arm(a, start + 1s);
  q.arm(b, start + 2s);
  EXPECT_EQ(a.references, 1);
  q.remove(a);
  EXPECT_EQ(a.references, 0);
  q.remove(a);
  EXPECT_EQ(a.references, 0);
  EXPECT_EQ(q.next(), start + 2s);
  q.remove(b);
}

TEST(timer, rearming_moves_the_time_both_ways) {
  node a;
  timer_queue q;
  q.arm(a, start + 5s);
  q.arm(a, start + 9s);
  EXPECT_FALSE(q.fire_one(start + 6s));
  EXPECT_EQ(q.next(), start + 9s);
  q.arm(a, start + 7s);
  EXPECT_EQ(q.next(), start + 7s);
  EXPECT_TRUE(q.fire_one(start + 7s));
  EXPECT_EQ(a.expirations, 1);
  EXPECT_EQ(a.references, 0);
}

TEST(timer, ties_fire_in_the_order_of_arming) {
  std::vector<node*> fired;
  std::vector<std::unique_ptr<node>> nodes;
  timer_queue q;
  for (int i = 0; i < 50; ++i) {
    nodes.push_back(std::make_unique<node>(&fired));
    q.arm(*nodes.back(), start + 1s);
  }
  fire_all(q, start + 1s);
  ASSERT_EQ(fired.size(), 50U);
  for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(fired[i], nodes[i].get()) << i;
}

TEST(timer, never_is_not_armed) {
  node a;
  timer_queue q;
  EXPECT_FALSE(q.arm(a, never));
  EXPECT_FALSE(q.any_armed());
  q.arm(a, start + 1s);
  q.arm(a, never);
  EXPECT_FALSE(q.any_armed());
  EXPECT_FALSE(q.fire_one(start + 2s));
}

TEST(timer, abandoned_nodes_are_released_and_do_not_fire) {
  node a, b;
  {
    timer_queue q;
    q.arm(a, start + 1s);
    q.arm(b, start + 2s);
    q.abandon();
    EXPECT_EQ(a.references, 0);
    EXPECT_FALSE(q.any_armed());
    EXPECT_FALSE(q.fire_one(start + 5s));
    q.arm(b, start + 3s);
    EXPECT_EQ(b.references, 1);
  }
  EXPECT_EQ(b.references, 0) << "the queue's end releases too";
  EXPECT_EQ(a.expirations + b.expirations, 0);
}

TEST(timer, agrees_with_a_plain_model) {
  std::vector<node*> fired;
  std::vector<std::unique_ptr<node>> nodes;
  timer_queue q;
  for (int i = 0; i < 64; ++i) nodes.push_back(std::make_unique<node>(&fired));
  std::map<node*, time_point> model;
  seeded_entropy random(2024);
  time_point now = start;
  for (int round = 0; round < 100000; ++round) {
    node& n = *nodes[random.next() % nodes.size()];
    switch (random.next() % 8) {
      case 0:
      case 1:
      case 2:
      case 3: {
        const time_point due = now + std::chrono::milliseconds(random.next() % 100);
        q.arm(n, due);
        model[&n] = due;
        break;
      }
      case 4:
        q.disarm(n);
        model.erase(&n);
        break;
      case 5:
        q.remove(n);
        model.erase(&n);
        EXPECT_EQ(n.references, 0);
        break;
      default: {
        now += std::chrono::milliseconds(random.next() % 20);
        fired.clear();
        fire_all(q, now);
        time_point last = time_point::min();
        for (node* f : fired) {
          ASSERT_TRUE(model.count(f)) << "fired though not armed, round " << round;
          ASSERT_LE(model[f], now);
          ASSERT_GE(model[f], last) << "out of order, round " << round;
          last = model[f];
          model.erase(f);
        }
        for (const auto& [left, due] : model) ASSERT_GT(due, now) << "missed, round " << round;
      }
    }
    ASSERT_EQ(q.armed(), model.size());
    time_point earliest = never;
    for (const auto& [left, due] : model) earliest = std::min(earliest, due);
    ASSERT_LE(q.next(), earliest) << "looks too late, round " << round;
  }
  q.abandon();
  for (const auto& n : nodes) EXPECT_EQ(n->references, 0);
}

TEST(timer, threads_arm_disarm_and_fire_at_once) {
  constexpr int per_thread = 10000;
  std::vector<std::unique_ptr<node>> nodes;
  timer_queue q;
  for (int i = 0; i < 3 * 16; ++i) nodes.push_back(std::make_unique<node>());
  std::atomic<std::int64_t> clock{0};
  std::atomic<int> working{3};
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      seeded_entropy random(t);
      for (int i = 0; i < per_thread; ++i) {
        node& n = *nodes[t * 16 + random.next() % 16];
        const auto ahead = static_cast<std::int64_t>(random.next() % 200);
        switch (random.next() % 4) {
          case 0: q.disarm(n); break;
          case 1: q.remove(n); break;
          default: q.arm(n, start + duration(clock.load() + ahead));
        }
      }
      --working;
    });
  threads.emplace_back([&] {
    while (working.load() > 0) {
      const time_point now = start + duration(clock.fetch_add(3));
      fire_all(q, now);
      (void)q.next();
      std::this_thread::yield();
    }
  });
  for (auto& t : threads) t.join();
  fire_all(q, start + duration(clock.load() + 1000));
  EXPECT_EQ(q.armed(), 0U) << "nothing armed is missed";
  q.abandon();
  for (const auto& n : nodes) EXPECT_EQ(n->references, 0);
}

}  // namespace
}  // namespace hawser::test::timer_test
