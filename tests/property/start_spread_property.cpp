// The start spread against what it promises: one moment for all, drawn by the first call.
#include "hawser/policy/start_spread.hpp"

#include "property/random_events.hpp"
#include "support/stage_driver.hpp"

#include <optional>

namespace hawser::test::start_spread_property {
namespace {

using namespace std::chrono_literals;

const std::vector<kind> spread_ways = {{"call", 5}, {"hurried_call", 4}, {"begin_anew", 1}};

TEST(start_spread_property, all_wait_for_one_moment_and_nobody_past_half_of_his_time) {
  std::size_t held = 0;
  std::size_t hurried = 0;
  holds("start spread", spread_events, [&] {
    const start_spread o{.over = one_of<duration>("over", {5s, 1ns, 1h})};
    std::optional<start_spread_policy> p;
    stage_driver t;
    time_point first{};                // the first call came
    std::optional<time_point> moment;  // drawn by it, once that is seen
    const auto all = *deeds(spread_ways, spread_events);
    for (const deed& d : all) {
      t.advance(d.upto(o.over / 4));
      if (!p || d.name == "begin_anew") {
        p.emplace(o);
        first = t.now();
        moment.reset();
      }
      const bool hurries = d.name == "hurried_call";
      t.set_deadline(hurries ? t.now() + 1ns + d.upto(o.over) : never);
      stage_under_test s(*p);
      const step got = s->enter(t);
      const time_point now = t.now();
      if (got.what() == verb::sleep) {
        const time_point at = got.at();
        require(at > now || hurries, "waits for a moment that has passed");
        require(at >= now, "sleeps backwards");
        require(at < first + o.over, "waits for longer than it was told to");
        require(at < t.deadline(), "sleeps past the deadline");
        if (!hurries && !moment) moment = at;
        if (moment && *moment < t.deadline()) {
          same("waits for the moment", at, *moment);
        } else if (moment) {
          ++hurried;
          require(at <= now + (t.deadline() - now) / 2, "takes more than half of the time");
        }
        ++held;
        t.set_now(at);
        same("goes on", s->timer(t).what(), verb::call_inner);
        t.set_now(now);  // others come while it waits
      } else {
        same("goes on", got.what(), verb::call_inner);
        if (!moment) moment = now;  // or before: it has come
        require(*moment <= now, "goes before the moment");
      }
      const outcome inner = d.once_in(2) ? succeeded() : failed(errc::server_error);
      same("ends", s->inner_done(0, inner, t).what(), verb::finish);
      same("passed on", t.result.error, inner.error);
      s->leave();
      t.events.clear();
    }
    return all.size();
  });
  if (is_replay()) return;
  EXPECT_GT(held, 1000U);
  EXPECT_GT(hurried, 100U);
}

}  // namespace
}  // namespace hawser::test::start_spread_property
