#include "hawser/policy/keyed.hpp"

#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/timeout.hpp"

#include "support/stage_driver.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace hawser::keyed_test {
namespace {

using namespace std::chrono_literals;
using test::stage_driver;
using test::verb;

constexpr time_point start = time_point{} + 1h;

/// A call with a key, begun as a pipeline begins it.
struct call {
  call(policy& p, std::string_view key)
      : memory(std::make_unique<std::byte[]>(p.stage_size() + p.stage_alignment())), by(p) {
    t.set_key(key);
  }
  ~call() {
    if (made != nullptr) made->~stage();
  }
  step begin() {
    void* at = memory.get();
    std::size_t room = by.stage_size() + by.stage_alignment();
    return by.begin(std::align(by.stage_alignment(), by.stage_size(), at, room), t, made);
  }
  stage_driver t;
  std::unique_ptr<std::byte[]> memory;
  policy& by;
  stage* made = nullptr;
};

rate_limiter one_per_hour() { return {.name = "tenant", .permits = 1, .per = 1h}; }

keyed_policy& as_keyed(const std::shared_ptr<policy>& p) { return static_cast<keyed_policy&>(*p); }

TEST(keyed, each_key_has_a_policy_of_its_own) {
  const auto p = make_policy(keyed{one_per_hour()});
  for (const char* key : {"a", "b", ""}) {
    call first(*p, key);
    EXPECT_EQ(first.begin().what(), verb::call_inner) << key;
    call second(*p, key);
    EXPECT_EQ(second.begin().what(), verb::finish) << key;
    EXPECT_EQ(second.t.result.error, errc::rate_limited);
  }
  EXPECT_EQ(as_keyed(p).size(), 3u);
}

TEST(keyed, keys_are_compared_whole) {
  keyed_policy p([] { return make_policy(one_per_hour()); });
  const std::string with_zero("a\0b", 3);
  EXPECT_NE(p.of("a"), p.of(with_zero));
  EXPECT_NE(p.of("a"), p.of("A"));
  EXPECT_NE(p.of("a"), p.of("a "));
  EXPECT_EQ(p.of("a"), p.of(std::string("a")));
  EXPECT_EQ(p.size(), 4u);
}

TEST(keyed, a_key_need_not_live_longer_than_its_call) {
  keyed_policy p([] { return make_policy(one_per_hour()); });
  {
    std::string key = "of one call";
    call one(p, key);
    EXPECT_EQ(one.begin().what(), verb::call_inner);
    key.assign(key.size(), 'x');
  }
  call other(p, "of one call");
  EXPECT_EQ(other.begin().what(), verb::finish);
}

TEST(keyed, keys_beyond_the_bound_share_one_policy) {
  keyed_policy p([] { return make_policy(one_per_hour()); }, {.max_keys = 2});
  const auto a = p.of("a");
  const auto b = p.of("b");
  EXPECT_NE(a, b);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(p.of("c" + std::to_string(i)), p.shared());
  EXPECT_EQ(p.of("a"), a);  // nothing was evicted
  EXPECT_EQ(p.of("b"), b);
  EXPECT_NE(p.shared(), a);
  EXPECT_EQ(p.size(), 2u);
  call c(p, "c"), d(p, "d");
  EXPECT_EQ(c.begin().what(), verb::call_inner);
  EXPECT_EQ(d.begin().what(), verb::finish);
}

// Of guesses less than half are let in: with the empty key, which the others have, that is half.
TEST(keyed, guesses_leave_room_for_keys) {
  for (const std::size_t most : {1u, 2u, 3u, 4u, 64u, 65u}) {
    keyed_policy p([] { return make_policy(one_per_hour()); }, {.max_keys = most});
    std::size_t let_in = 0;
    for (int i = 0; i < 100; ++i) let_in += p.admits("guess " + std::to_string(i)) ? 1U : 0U;
    EXPECT_EQ(let_in, (most - 1) / 2) << most;
    EXPECT_EQ(p.size(), let_in);
    if (let_in > 0) {
      EXPECT_TRUE(p.admits("guess 0")) << "which is known";
      EXPECT_NE(p.of("guess 0"), p.shared());
    }
    (void)p.of("");
    if (most > 1) {
      EXPECT_NE(p.of("told"), p.shared()) << most;
    }
  }
}

TEST(keyed, guess_of_what_is_known_takes_no_guesss_place) {
  keyed_policy p([] { return make_policy(one_per_hour()); }, {.max_keys = 4});
  for (const char* key : {"a", "b", "c"}) (void)p.of(key);
  EXPECT_TRUE(p.admits("a"));
  EXPECT_TRUE(p.admits("d"));
  EXPECT_FALSE(p.admits("e"));
  EXPECT_TRUE(p.admits("d"));
}

TEST(keyed, guesses_find_no_room_where_there_is_none) {
  keyed_policy p([] { return make_policy(one_per_hour()); }, {.max_keys = 4});
  for (const char* key : {"a", "b", "c", "d"}) (void)p.of(key);
  EXPECT_FALSE(p.admits("e"));
  EXPECT_EQ(p.size(), 4u);
}

// At most half of the slots are ever taken, so a search ends, whatever the number.
TEST(keyed, every_key_within_the_bound_is_found_again) {
  for (const std::size_t most : {1u, 2u, 3u, 64u, 65u, 1'000u}) {
    keyed_policy p([] { return make_policy(one_per_hour()); }, {.max_keys = most});
    std::vector<std::shared_ptr<policy>> all;
    for (std::size_t i = 0; i < most; ++i) all.push_back(p.of(std::to_string(i)));
    for (std::size_t i = 0; i < most; ++i) EXPECT_EQ(p.of(std::to_string(i)), all[i]);
    EXPECT_EQ(p.of("one too many"), p.shared());
    EXPECT_EQ(p.size(), most);
  }
}

TEST(keyed, looking_takes_no_room) {
  keyed_policy p([] { return make_policy(one_per_hour()); }, {.max_keys = 2});
  for (int i = 0; i < 100; ++i) EXPECT_EQ(p.find("typo " + std::to_string(i)), nullptr);
  EXPECT_EQ(p.size(), 0u);
  const auto a = p.of("a");
  const keyed_policy& seen = p;
  EXPECT_EQ(seen.find("a"), a);
  for (const char* key : {"b", "c"}) (void)p.of(key);
  EXPECT_EQ(p.find("c"), nullptr) << "it has none of its own";
}

TEST(keyed, is_shown_in_the_order_of_arrival) {
  keyed_policy p([] { return make_policy(one_per_hour()); }, {.max_keys = 3});
  for (const char* key : {"z", "", "a", "too many"}) (void)p.of(key);
  std::vector<std::string> keys;
  p.for_each([&](std::string_view key, policy& its) {
    keys.emplace_back(key);
    EXPECT_EQ(&its, p.of(key).get());
    EXPECT_EQ(p.size(), 3u);  // no lock is held
  });
  EXPECT_EQ(keys, (std::vector<std::string>{"z", "", "a"}));
}

TEST(keyed, is_what_it_keeps_to_a_pipeline) {
  const auto breaker = make_policy(keyed{circuit_breaker{.name = "routes"}});
  const auto plain = make_policy(circuit_breaker{.name = "routes"});
  EXPECT_EQ(breaker->kind(), "circuit_breaker");
  EXPECT_EQ(breaker->name(), "routes");
  EXPECT_EQ(breaker->stage_size(), plain->stage_size());
  EXPECT_EQ(breaker->stage_alignment(), plain->stage_alignment());
  EXPECT_EQ(breaker->stage_is_trivial(), plain->stage_is_trivial());
  EXPECT_EQ(breaker->needs_of_success(), plain->needs_of_success());
  EXPECT_EQ(make_policy(keyed{retry{.max_attempts = 7}})->amplification(), 7u);
  EXPECT_TRUE(make_policy(keyed{retry{.max_attempts = 1}})->makes_attempts());
  EXPECT_FALSE(breaker->makes_attempts());
  // Which limit is one key's: the stage is asked, not the plan.
  EXPECT_EQ(make_policy(keyed{timeout{.after = 1s}})->plain_limit(), duration::zero());
}

TEST(keyed, a_time_limit_works_as_without_it) {
  const auto p = make_policy(keyed{timeout{.after = 1s}});
  call one(*p, "a");
  const step s = one.begin();
  EXPECT_EQ(s.what(), verb::call_inner);
  EXPECT_TRUE(s.is_deadline());
  EXPECT_EQ(s.at(), one.t.now() + 1s);
}

TEST(keyed, nests) {
  const auto p = make_policy(keyed{keyed{one_per_hour()}, {.max_keys = 1}});
  call a(*p, "a"), b(*p, "b"), again(*p, "b");
  EXPECT_EQ(a.begin().what(), verb::call_inner);
  EXPECT_EQ(b.begin().what(), verb::call_inner);
  EXPECT_EQ(again.begin().what(), verb::finish);
}

TEST(keyed, one_breaker_opens_and_the_others_do_not) {
  const auto p = make_policy(keyed{circuit_breaker{.min_calls = 5}});
  const auto breaker = [&](std::string_view key) {
    return std::static_pointer_cast<circuit_breaker_policy>(as_keyed(p).of(key));
  };
  for (int i = 0; i < 100; ++i) {
    call bad(*p, "reports");
    if (bad.begin().what() != verb::call_inner) break;
    (void)bad.made->inner_done(0, test::failed(errc::server_error), bad.t);
    bad.made->leave();
    call good(*p, "orders");
    ASSERT_EQ(good.begin().what(), verb::call_inner);
    (void)good.made->inner_done(0, test::succeeded(), good.t);
    good.made->leave();
  }
  EXPECT_NE(breaker("reports")->snapshot(start).state, circuit_state::closed);
  EXPECT_EQ(breaker("orders")->snapshot(start).state, circuit_state::closed);
}

TEST(keyed, what_its_maker_throws_is_no_key) {
  int made = 0;
  bool broken = false;
  keyed_policy p([&]() -> std::shared_ptr<policy> {
    if (broken) throw std::runtime_error("no policy today");
    ++made;
    return make_policy(one_per_hour());
  });
  EXPECT_EQ(made, 1);  // the one that further keys share
  broken = true;
  call one(p, "a");
  EXPECT_THROW((void)one.begin(), std::runtime_error);
  EXPECT_EQ(one.made, nullptr);
  EXPECT_THROW((void)p.of("a"), std::runtime_error);
  EXPECT_EQ(p.size(), 0u);
  broken = false;
  EXPECT_EQ(one.begin().what(), verb::call_inner);
  EXPECT_EQ(p.size(), 1u);
  EXPECT_EQ(made, 2);
}

std::string field_of(const std::function<void()>& make) {
  try {
    make();
  } catch (const config_error& e) {
    return std::string(e.field());
  }
  return "";
}

TEST(keyed, a_maker_makes_policies_of_one_type) {
  EXPECT_EQ(field_of([] { keyed_policy p(keyed_policy::maker{}); }), "keyed.make");
  EXPECT_EQ(field_of([] { keyed_policy p([] { return nullptr; }); }), "keyed.make");
  int n = 0;
  keyed_policy p([&]() -> std::shared_ptr<policy> {
    if (++n == 1) return make_policy(timeout{.after = 1s});
    if (n == 2) return make_policy(one_per_hour());  // of a larger stage
    return nullptr;
  });
  EXPECT_EQ(field_of([&] { (void)p.of("a"); }), "keyed.make");
  EXPECT_EQ(field_of([&] { (void)p.of("a"); }), "keyed.make");
  EXPECT_EQ(p.size(), 0u);
}

TEST(keyed, bad_options_are_refused_by_name) {
  EXPECT_EQ(field_of([] {
              (void)make_policy(keyed{one_per_hour(), {.max_keys = 0}});
            }),
            "keyed.max_keys");
  EXPECT_EQ(field_of([] {
              (void)make_policy(keyed{one_per_hour(), {.max_keys = 1'000'001}});
            }),
            "keyed.max_keys");
  EXPECT_EQ(field_of([] { (void)make_policy(keyed{rate_limiter{.permits = 0}}); }),
            "rate_limiter.permits");
}

TEST(keyed, a_hash_of_a_key_is_never_zero_and_asked_for_once) {
  EXPECT_NE(key_hash_of(""), 0u);
  EXPECT_EQ(key_hash_of("a"), key_hash_of(std::string("a")));
  stage_driver t;
  EXPECT_EQ(t.key(), "");
  t.set_key("a");
  EXPECT_EQ(t.key_hash(), key_hash_of("a"));
  EXPECT_EQ(t.key_hash(), key_hash_of("a"));
  t.set_key("b");
  EXPECT_EQ(t.key_hash(), key_hash_of("b"));
}

}  // namespace
}  // namespace hawser::keyed_test
