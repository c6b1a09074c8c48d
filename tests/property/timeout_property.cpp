// The timeout against what it promises: one limit, the real outcome wherever there is one.
#include "hawser/policy/timeout.hpp"

#include "property/random_events.hpp"
#include "support/stage_driver.hpp"

#include <algorithm>

namespace hawser::test::timeout_property {
namespace {

using namespace std::chrono_literals;

const std::vector<kind> timeout_ways = {{"in_time", 4}, {"at_the_limit", 4}, {"canceled", 1}};

/// How what is inside may end once it was told to stop, or before.
outcome any_end(const deed& d) {
  switch (d.which(4)) {
    case 0: return succeeded();
    case 1: return failed(errc::server_error, evidence::answered);
    case 2: return ignored();
    default: {
      outcome o = failed(canceled_error());  // of what had gone out
      o.delivery = evidence::maybe_applied;
      return o;
    }
  }
}

TEST(timeout_property, ends_at_the_tighter_limit_and_hides_no_real_outcome) {
  holds("timeout", timeout_events, [] {
    const timeout o{.after = one_of<duration>("after", {1s, 1ns, 10s}),
                    .reserve = one_of<duration>("reserve", {0s, 300ms})};
    timeout_policy p(o);
    stage_driver t;
    const auto all = *deeds(timeout_ways, timeout_events);
    for (const deed& d : all) {
      t.advance(d.upto(1s));
      t.set_deadline(d.once_in(2) ? t.now() + d.upto(3s) : never);
      const time_point begin = t.now();
      stage_under_test s(p);
      const step got = s->enter(t);

      time_point limit = begin + o.after;
      if (o.reserve > 0s && t.deadline() != never)
        limit = std::min(limit, t.deadline() - o.reserve);
      if (limit <= begin) {
        same("starts nothing", got.what(), verb::finish);
        same("error", t.result.error, make_error_code(errc::call_timeout));
        same("delivery", t.result.delivery, evidence::never_sent);
        s->leave();
        continue;
      }
      same("calls", got.what(), verb::call_inner);
      require(got.is_deadline(), "what is inside is not told");
      same("limit", got.at(), limit);

      const bool fires = d.name == "at_the_limit";
      if (fires) {
        t.set_now(limit);
        same("cancels", s->timer(t).what(), verb::cancel_inner);
      }
      const outcome inner = d.name == "canceled" ? ignored() : any_end(d);
      same("ends", s->inner_done(0, inner, t).what(), verb::finish);
      const outcome& r = t.result;
      if (fires && inner.canceled()) {
        same("error", r.error, make_error_code(errc::call_timeout));
        same("verdict", r.result, verdict::failed);
        same("evidence", r.delivery, inner.delivery);
        same("speaks of the dependency", r.countable, inner.result == verdict::failed);
      } else {
        same("passed on: error", r.error, inner.error);
        same("passed on: verdict", r.result, inner.result);
      }
      s->leave();
      t.events.clear();
    }
    return all.size();
  });
}

}  // namespace
}  // namespace hawser::test::timeout_property
