// Who makes a client for each call is told, once.
#include "hawser/http/client.hpp"
#include "hawser/testing/event_recorder.hpp"
#include "hawser/testing/fake_transport.hpp"
#include "hawser/testing/manual_environment.hpp"

#include "run/brief_clients.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace hawser::test::brief_clients_test {
namespace {

using namespace std::chrono_literals;
using http::client;
using testing::recorded_event;

class brief_clients : public ::testing::Test {
 protected:
  brief_clients() { net->otherwise(testing::scripted_exchange::answer(200)); }

  client make(const std::string& origin = "https://api.example") {
    http::client_options options;
    options.transport = net;
    return {env, origin, std::move(pipeline_builder{"users"}.observe(seen)), std::move(options)};
  }
  /// A client that comes, makes some calls, and goes.
  void pass(int calls, const std::string& origin = "https://api.example", duration lives = 0s) {
    const client api = make(origin);
    for (int i = 0; i < calls; ++i) EXPECT_TRUE(api.get("/").send());
    env.advance(lives);
  }
  std::vector<recorded_event> told() const {
    std::vector<recorded_event> list;
    for (const recorded_event& e : seen->events())
      if (e.kind == event_kind::short_lived_clients) list.push_back(e);
    return list;
  }

  testing::manual_environment env;
  std::shared_ptr<testing::fake_transport> net = std::make_shared<testing::fake_transport>(env);
  std::shared_ptr<testing::event_recorder> seen = std::make_shared<testing::event_recorder>();
};

TEST_F(brief_clients, the_hundredth_within_a_minute_is_told_and_no_other) {
  for (int i = 0; i < 99; ++i) pass(i % 2, "https://api.example/v1", 500ms);
  EXPECT_TRUE(told().empty());
  pass(1, "https://api.example/v2");  // of one origin, whatever the path
  ASSERT_EQ(told().size(), 1U);
  const recorded_event e = told()[0];
  EXPECT_EQ(e.operation, "https://api.example:443");
  EXPECT_EQ(e.pipeline, "users");
  EXPECT_EQ(e.at, env.now());
  EXPECT_EQ(e.because, reason::client_per_call);
  EXPECT_EQ(e.measured, 100);
  EXPECT_EQ(e.threshold, 60);
  for (int i = 0; i < 1000; ++i) pass(1, "https://api.example", 50ms);
  EXPECT_EQ(told().size(), 1U);
}

TEST_F(brief_clients, the_words_say_what_to_do) {
  const cause why{
      .policy = "", .because = reason::client_per_call, .measured = 100, .threshold = 60};
  EXPECT_EQ(to_string(why, env.now()),
            "100 clients made one call or none within 60 s; keep one client per origin");
}

TEST_F(brief_clients, each_origin_is_counted_for_itself) {
  for (int i = 0; i < 99; ++i) pass(1, "https://a.example"), pass(1, "http://a.example");
  EXPECT_TRUE(told().empty());
  pass(1, "http://a.example");
  ASSERT_EQ(told().size(), 1U);
  EXPECT_EQ(told()[0].operation, "http://a.example:80");
  pass(1, "https://a.example");
  EXPECT_EQ(told().size(), 2U);
}

TEST_F(brief_clients, those_that_are_used_again_do_not_count) {
  for (int i = 0; i < 500; ++i) pass(2);
  EXPECT_TRUE(told().empty());
}

TEST_F(brief_clients, those_that_live_for_a_minute_do_not_count) {
  std::vector<client> all;
  for (int i = 0; i < 500; ++i) all.push_back(make());
  env.advance(1min);
  all.clear();
  EXPECT_TRUE(told().empty());
}

TEST_F(brief_clients, now_and_then_is_no_harm) {
  for (int minute = 0; minute < 10; ++minute) {
    for (int i = 0; i < 99; ++i) pass(1);
    env.advance(1min);
  }
  EXPECT_TRUE(told().empty());
}

TEST_F(brief_clients, a_client_that_moves_is_one_client) {
  for (int i = 0; i < 98; ++i) pass(1);
  client a = make();
  client b = std::move(a);
  a = std::move(b);
  { const client c = std::move(a); }
  EXPECT_TRUE(told().empty());
  client d = make();
  d = make();  // one goes here
  EXPECT_EQ(told().size(), 1U);
}

TEST_F(brief_clients, an_observer_that_throws_does_no_harm) {
  struct thrower : observer {
    void on_event(const event&) override { throw 7; }
  };
  for (int i = 0; i < 100; ++i) {
    http::client_options options;
    options.transport = net;
    const client api(env, "https://api.example",
                     pipeline_builder{"users"}.observe(std::make_shared<thrower>()).observe(seen),
                     options);
  }
  EXPECT_EQ(told().size(), 1U);
}

TEST(brief_clients_memory, tells_each_of_many_origins_once) {
  for (const std::uint64_t origins : {16u, 17u, 64u}) {
    hawser::detail::brief_clients counts;
    time_point now{};
    std::vector<int> told(origins);
    for (std::uint64_t i = 0; i < 400 * origins; ++i)
      if (counts.gone(i % origins, now += 1ms)) ++told[i % origins];
    EXPECT_EQ(told, std::vector<int>(origins, 1)) << origins;
  }
}

TEST(brief_clients_memory, never_tells_twice_whoever_came_between) {
  hawser::detail::brief_clients counts;
  time_point now{};
  std::map<std::uint64_t, int> told;
  for (int round = 0; round < 3; ++round)
    for (std::uint64_t origin = 0; origin < 100; ++origin, now += 1s)
      for (int i = 0; i < 110; ++i) told[origin] += counts.gone(origin, now) ? 1 : 0;
  int tells = 0;
  for (const auto& [origin, times] : told) {
    EXPECT_LE(times, 1) << origin;
    tells += times;
  }
  EXPECT_EQ(tells, hawser::detail::brief_clients::most);
}

// What was heard of once makes room for others; what comes again and again stays.
TEST(brief_clients_memory, is_bounded_and_keeps_the_busy) {
  hawser::detail::brief_clients counts;
  time_point now{};
  int tells = 0;
  for (std::uint64_t i = 0; i < 100; ++i) {
    for (std::uint64_t other = 0; other < 40; ++other)
      tells += counts.gone(1000 + i * 40 + other, now += 1ms) ? 1 : 0;
    tells += counts.gone(7, now += 1ms) ? 1 : 0;
  }
  EXPECT_EQ(tells, 1);  // of the one that came again and again
}

TEST(brief_clients_memory, is_shared_by_threads) {
  hawser::detail::brief_clients counts;
  std::atomic<int> tells{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i)
        if (counts.gone(1, time_point{} + 1s)) ++tells;
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(tells, 1);
}

}  // namespace
}  // namespace hawser::test::brief_clients_test
