#include "hawser/policy/fallback.hpp"

#include "support/stage_driver.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace hawser::test::fallback_test {
namespace {

/// A call of type T in which sources leave their values.
template <class T>
class call_of final : public tick, public waker {
 public:
  call_of() { result_ = &result; }
  waker& wake_handle() noexcept override { return *this; }
  void wake() noexcept override {}
  bool substitute(substitute_source& source, const outcome& failed) override {
    ++asked;
    if constexpr (std::is_void_v<T>) {
      return source.produce(typeid(void), nullptr, failed);
    } else {
      return source.produce(typeid(T), &value, failed);
    }
  }
  void observe() { observed_ = true; }
  void set_effect(effect e) { effect_ = e; }
  void set_canceling() { canceling_ = true; }

  using kept = std::conditional_t<std::is_void_v<T>, int, T>;
  outcome result;
  std::optional<kept> value;
  std::vector<event> events;
  int asked = 0;

 private:
  void deliver(event& what) override { events.push_back(what); }
};

const outcome broken = failed(errc::connection_closed, evidence::never_sent);

TEST(fallback, gives_a_value_in_place_of_a_failure) {
  fallback_policy p(fallback::value(7));
  call_of<int> t;
  t.observe();
  stage_under_test s(p);
  EXPECT_EQ(s->enter(t).what(), verb::call_inner);
  EXPECT_EQ(s->inner_done(0, broken, t).what(), verb::finish);
  EXPECT_TRUE(t.result.ok());
  EXPECT_EQ(t.result.from, origin::fallback);
  EXPECT_EQ(t.value, 7);
  ASSERT_EQ(t.events.size(), 1U);
  EXPECT_EQ(t.events[0].kind, event_kind::fallback_used);
  EXPECT_EQ(t.events[0].error, errc::connection_closed);
}

TEST(fallback, a_success_asks_no_source) {
  fallback_policy p(fallback::value(7));
  call_of<int> t;
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->inner_done(0, succeeded(), t);
  EXPECT_EQ(t.result.from, origin::operation);
  EXPECT_EQ(t.asked, 0);
}

TEST(fallback, sources_are_tried_in_order) {
  std::string order;
  fallback_policy p(fallback::from([&](const outcome&) -> std::optional<int> {
                      order += "a";
                      return std::nullopt;
                    })
                        .or_from([&](const outcome&) -> std::optional<int> {
                          order += "b";
                          return 2;
                        })
                        .or_from([&](const outcome&) {
                          order += "c";
                          return 3;
                        }));
  call_of<int> t;
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->inner_done(0, broken, t);
  EXPECT_EQ(order, "ab");
  EXPECT_EQ(t.value, 2);
}

TEST(fallback, a_source_that_throws_has_no_value) {
  fallback_policy p(fallback::from([](const outcome&) -> int {
                      throw std::runtime_error("cache is down");
                    }).or_value(5));
  call_of<int> t;
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->inner_done(0, broken, t);
  EXPECT_EQ(t.value, 5);
}

TEST(fallback, when_all_sources_are_empty_the_real_error_stands) {
  fallback_policy p(fallback::from([](const outcome&) -> std::optional<int> { return {}; }));
  call_of<int> t;
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->inner_done(0, broken, t);
  EXPECT_EQ(t.result.error, errc::connection_closed);
  EXPECT_EQ(t.result.from, origin::operation);
}

TEST(fallback, a_value_of_another_type_is_no_value) {
  fallback_policy p(fallback::value(std::string("text")).or_value(7L).or_value(8));
  call_of<int> t;
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->inner_done(0, broken, t);
  EXPECT_EQ(t.value, 8);
}

TEST(fallback, nothing_stands_in_for_calls_that_return_nothing) {
  fallback_policy p(fallback::nothing());
  call_of<void> t;
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->inner_done(0, broken, t);
  EXPECT_TRUE(t.result.ok());
  call_of<int> other;
  stage_under_test s2(p);
  (void)s2->enter(other);
  (void)s2->inner_done(0, broken, other);
  EXPECT_FALSE(other.result.ok());
}

TEST(fallback, is_told_what_failed) {
  error_code seen;
  fallback_policy p(fallback::from([&](const outcome& o) {
    seen = o.error;
    return 1;
  }));
  call_of<int> t;
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->inner_done(0, broken, t);
  EXPECT_EQ(seen, errc::connection_closed);
}

TEST(fallback, move_only_values_can_be_made) {
  fallback_policy p(fallback::from([](const outcome&) { return std::make_unique<int>(3); }));
  call_of<std::unique_ptr<int>> t;
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->inner_done(0, broken, t);
  ASSERT_TRUE(t.value);
  EXPECT_EQ(**t.value, 3);
}

TEST(fallback, never_papers_over_an_unknown_outcome) {
  fallback_policy p(fallback::value(7));
  for (const effect what : {effect::safe, effect::idempotent, effect::keyed, effect::unsafe}) {
    call_of<int> t;
    t.set_effect(what);
    stage_under_test s(p);
    (void)s->enter(t);
    (void)s->inner_done(0, failed(errc::connection_closed, evidence::maybe_applied), t);
    const bool repeatable = what == effect::safe || what == effect::idempotent;
    EXPECT_EQ(t.result.ok(), repeatable) << to_string(what);
  }
}

TEST(fallback, covers_an_unknown_outcome_when_told_to) {
  fallback_policy p(fallback::value(7).even_if_unknown());
  call_of<int> t;
  t.set_effect(effect::unsafe);
  t.observe();
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->inner_done(0, failed(errc::connection_closed, evidence::maybe_applied), t);
  EXPECT_TRUE(t.result.ok());
  EXPECT_EQ(t.result.delivery, evidence::maybe_applied) << "what is known of it stays known";
  ASSERT_EQ(t.events.size(), 1U);
  EXPECT_EQ(t.events[0].delivery, evidence::maybe_applied) << "to observers, too";
}

TEST(fallback, stands_in_for_rejections) {
  fallback_policy p(fallback::value(7));
  call_of<int> t;
  t.set_effect(effect::unsafe);
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->inner_done(0, outcome::refuse(errc::circuit_open, {}), t);
  EXPECT_TRUE(t.result.ok());
}

TEST(fallback, not_for_cancellations) {
  fallback_policy p(fallback::value(7));
  call_of<int> t;
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->inner_done(0, ignored(), t);
  EXPECT_TRUE(t.result.canceled());
  t.set_canceling();
  (void)s->inner_done(0, broken, t);
  EXPECT_EQ(t.result.error, errc::connection_closed);
  EXPECT_EQ(t.asked, 0);
}

TEST(fallback, only_for_the_failures_it_is_for) {
  fallback_policy p(
      fallback::value(7).when([](const outcome& o) { return o.error == errc::call_timeout; }));
  call_of<int> t;
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->inner_done(0, broken, t);
  EXPECT_FALSE(t.result.ok());
  (void)s->inner_done(0, failed(errc::call_timeout), t);
  EXPECT_TRUE(t.result.ok());
}

TEST(fallback, its_own_bulkhead_bounds_the_calls_inside_the_sources) {
  fallback_policy* shared = nullptr;
  bool nested_ok = true;
  fallback_policy p(fallback::from([&](const outcome&) {
                      call_of<int> inner;
                      stage_under_test s(*shared);
                      (void)s->enter(inner);
                      (void)s->inner_done(0, broken, inner);
                      nested_ok = inner.result.ok();
                      return 1;
                    }).at_most(1));
  shared = &p;
  for (int i = 0; i < 3; ++i) {  // the place is given back each time
    call_of<int> t;
    stage_under_test s(p);
    (void)s->enter(t);
    (void)s->inner_done(0, broken, t);
    EXPECT_TRUE(t.result.ok());
    EXPECT_FALSE(nested_ok);
  }
}

TEST(fallback, a_call_it_is_not_for_takes_no_place) {
  fallback_policy* shared = nullptr;
  bool nested_ok = false;
  fallback_policy p(fallback::value(1).at_most(1).when([&](const outcome& o) {
    if (o.error != errc::call_timeout) return true;
    call_of<int> other;
    stage_under_test s(*shared);
    (void)s->enter(other);
    (void)s->inner_done(0, broken, other);
    nested_ok = other.result.ok();
    return false;
  }));
  shared = &p;
  call_of<int> t;
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->inner_done(0, failed(errc::call_timeout, evidence::never_sent), t);
  EXPECT_FALSE(t.result.ok());
  EXPECT_TRUE(nested_ok);
}

TEST(fallback, a_source_that_throws_gives_its_place_back) {
  int calls = 0;
  fallback_policy p(fallback::from([&](const outcome&) -> int {
                      if (++calls == 1) throw std::runtime_error("once");
                      return 1;
                    }).at_most(1));
  call_of<int> t;
  stage_under_test s(p);
  (void)s->enter(t);
  (void)s->inner_done(0, broken, t);
  EXPECT_FALSE(t.result.ok());
  (void)s->inner_done(0, broken, t);
  EXPECT_TRUE(t.result.ok());
}

TEST(fallback, options_out_of_bounds_are_refused_by_name) {
  try {
    fallback_policy p(fallback::value(1).at_most(0));
    ADD_FAILURE();
  } catch (const config_error& e) {
    EXPECT_EQ(e.field(), "fallback.max_concurrent");
  }
  fallback none = fallback::value(1);
  none.sources.clear();
  try {
    fallback_policy p(none);
    ADD_FAILURE();
  } catch (const config_error& e) {
    EXPECT_EQ(e.field(), "fallback.sources");
  }
}

TEST(fallback, is_named_after_its_kind_unless_named) {
  EXPECT_EQ(fallback_policy(fallback::value(1)).name(), "fallback");
  EXPECT_EQ(fallback_policy(fallback::value(1).named("rates")).name(), "rates");
}

}  // namespace
}  // namespace hawser::test::fallback_test
