// The bulkhead as one would write it without caring for speed: numbers stand for calls.
#include "hawser/policy/bulkhead.hpp"

#include "property/random_events.hpp"
#include "support/stage_driver.hpp"

#include <algorithm>
#include <memory>
#include <optional>

namespace hawser::test::bulkhead_property {
namespace {

using namespace std::chrono_literals;

struct plain_bulkhead {
  struct entry {
    int id;
    int priority;
    time_point useless_at;  // too little is left before its deadline
  };
  int limit = 0;
  int max_queue = 0;
  bool lifo = false;
  int in_flight = 0;
  std::vector<entry> queue;  // in order of arrival
  std::vector<int> granted;  // not yet looked
  std::vector<int> dropped;  // likewise

  void serve(time_point now) {
    while (in_flight < limit && !queue.empty()) {
      const bool newest = lifo && 2 * static_cast<int>(queue.size()) > max_queue;
      auto best = queue.begin();
      for (auto it = queue.begin(); it != queue.end(); ++it)
        if (it->priority > best->priority || (newest && it->priority == best->priority)) best = it;
      if (best->useless_at > now) ++in_flight;
      (best->useless_at > now ? granted : dropped).push_back(best->id);
      queue.erase(best);
    }
  }
  void give_back(time_point now) {
    --in_flight;
    serve(now);
  }
  bool leave_queue(int id) {
    return std::erase_if(queue, [id](const entry& e) { return e.id == id; }) == 1;
  }
};

const std::vector<kind> bulkhead_ways = {
    {"arrive", 30},      {"finish", 22},         {"cancel", 6}, {"look", 20},
    {"pass_time", 20},   {"pass_to_a_limit", 3}, {"resize", 2}, {"resize_queue", 1},
    {"take_by_hand", 6}, {"release_by_hand", 6}};

class bulkhead_life {
 public:
  explicit bulkhead_life(const bulkhead& options) : options_(options), policy_(options) {
    model_.limit = options.max_concurrent;
    model_.max_queue = options.max_queue;
    model_.lifo = options.order == queue_order::lifo_under_overload;
  }

  void live(const deed& d) {
    if (d.name == "arrive") arrive(d);
    if (d.name == "finish" && !running_.empty()) finish(d.which(running_.size()));
    if (d.name == "cancel" && !waiting_.empty()) cancel(d.which(waiting_.size()));
    if (d.name == "look" && !waiting_.empty()) look(d.which(waiting_.size()), d.once_in(2));
    if (d.name == "pass_time") now_ += d.upto(6ms);
    if (d.name == "pass_to_a_limit" && !waiting_.empty()) {
      const call& c = *waiting_[d.which(waiting_.size())];
      const time_point limit = d.once_in(3) ? patience(c) : c.useless_at;
      if (limit != never) now_ = std::max(now_, limit);
    }
    if (d.name == "take_by_hand") take_by_hand();
    if (d.name == "release_by_hand" && !by_hand_.empty()) release(d.which(by_hand_.size()));
    if (d.name == "resize") {
      model_.limit = 1 + static_cast<int>(d.which(8));
      policy_.set_max_concurrent(model_.limit);
      model_.serve(time_point::min());
    }
    if (d.name == "resize_queue") {
      model_.max_queue = static_cast<int>(d.which(14));
      policy_.set_max_queue(model_.max_queue);
    }
    check();
  }

  /// Everybody leaves; nothing may be left.
  void end() {
    while (!waiting_.empty()) cancel(0), check();
    while (!running_.empty()) finish(0), check();
    while (!by_hand_.empty()) release(0), check();
    same("in flight in the end", policy_.snapshot().in_flight, 0);
    same("queued in the end", policy_.snapshot().queued, 0);
  }

  int granted = 0, dropped = 0, expired = 0, too_late = 0;

 private:
  struct call {
    call(bulkhead_policy& p, int n) : id(n), s(p) {}
    int id;
    stage_driver t;
    stage_under_test s;
    time_point entered{};
    time_point useless_at = never;
  };
  using calls = std::vector<std::unique_ptr<call>>;

  [[nodiscard]] time_point patience(const call& c) const {
    return options_.max_queue_wait ? c.entered + *options_.max_queue_wait : never;
  }

  std::unique_ptr<call> take(calls& from, std::size_t at) const {
    auto taken = std::move(from[at]);
    from.erase(from.begin() + static_cast<std::ptrdiff_t>(at));
    taken->t.set_now(now_);
    return taken;
  }

  void arrive(const deed& d) {
    auto c = std::make_unique<call>(policy_, next_++);
    c->t.set_now(now_);
    c->t.set_priority(static_cast<int>(d.which(3)) - 1);
    c->entered = now_;
    if (d.once_in(2)) {
      c->t.set_deadline(now_ + d.upto(60ms));
      const duration floor = std::max<duration>(options_.service_floor.value_or(0ns), 1ns);
      c->useless_at = c->t.deadline() - floor + 1ns;
    }
    const verb got = c->s->enter(c->t).what();
    const bool full = static_cast<int>(model_.queue.size()) >= model_.max_queue;
    if (model_.queue.empty() && model_.in_flight < model_.limit) {
      same("a permit is free", got, verb::call_inner);
      ++model_.in_flight;
      running_.push_back(std::move(c));
    } else if (full || c->useless_at <= now_) {
      same("there is no place", got, verb::finish);
      const outcome& o = c->t.result;
      same("error", o.error, make_error_code(full ? errc::bulkhead_full : errc::bulkhead_timeout));
      same("rejected", o.rejected, true);
      same("delivery", o.delivery, evidence::never_sent);
      c->s->leave();
    } else {
      same("there is room in the queue", got, verb::park);
      model_.queue.push_back({c->id, c->t.priority(), c->useless_at});
      waiting_.push_back(std::move(c));
    }
  }

  void finish(std::size_t at) {
    const auto c = take(running_, at);
    (void)c->s->inner_done(0, succeeded(), c->t);
    c->s->leave();
    model_.give_back(now_);
  }

  void cancel(std::size_t at) {
    const auto c = take(waiting_, at);
    same("how it ends", c->s->canceled(ignored(), c->t).error, ignored().error);
    c->s->leave();
    if (model_.leave_queue(c->id) || std::erase(model_.dropped, c->id) == 1) return;
    same("had been granted", std::erase(model_.granted, c->id), 1U);
    model_.give_back(now_);
  }

  void look(std::size_t at, bool by_timer) {
    auto c = take(waiting_, at);
    const step got = by_timer ? c->s->timer(c->t) : c->s->woken(c->t);
    const bool late = c->useless_at <= now_;
    if (std::erase(model_.granted, c->id) == 1) {
      ++granted;
      if (!late) {
        same("was granted", got.what(), verb::call_inner);
        running_.push_back(std::move(c));
        return;
      }
      ++too_late;
      leave_refused(*c, got, reason::deadline);
      model_.give_back(now_);
    } else if (std::erase(model_.dropped, c->id) == 1) {
      ++dropped;
      leave_refused(*c, got, reason::deadline);
    } else if (late || patience(*c) <= now_) {
      ++expired;
      require(model_.leave_queue(c->id), "it is in no list");
      leave_refused(*c, got, late ? reason::deadline : reason::queue_wait);
    } else {
      same("goes on waiting", got.what(), verb::park);
      require(got.at() <= patience(*c), "its timer is set past max_queue_wait");
      if (options_.service_floor) require(got.at() <= c->useless_at, "its timer is set too late");
      waiting_.push_back(std::move(c));
    }
  }
  static void leave_refused(call& c, const step& got, reason because) {
    same("refused", got.what(), verb::finish);
    same("error", c.t.result.error, make_error_code(errc::bulkhead_timeout));
    same("reason", c.t.result.why.because, because);
    c.s->leave();
  }

  void take_by_hand() {
    auto permit = policy_.try_acquire();
    const bool free = model_.queue.empty() && model_.in_flight < model_.limit;
    same("by hand", static_cast<bool>(permit), free);
    if (!free) return;
    ++model_.in_flight;
    by_hand_.push_back(std::move(permit));
  }
  /// Which knows no time: nobody's deadline is looked at, but by the one granted itself.
  void release(std::size_t at) {
    by_hand_[at].release();
    by_hand_[at].release();
    by_hand_.erase(by_hand_.begin() + static_cast<std::ptrdiff_t>(at));
    model_.give_back(time_point::min());
  }

  void check() const {
    const auto s = policy_.snapshot();
    same("in flight", s.in_flight, model_.in_flight);
    same("queued", s.queued, static_cast<int>(model_.queue.size()));
    same("limit", s.limit, model_.limit);
    for (const auto& c : waiting_) {
      const auto has = [&](const std::vector<int>& list) {
        return std::find(list.begin(), list.end(), c->id) != list.end();
      };
      same("wakes", c->t.wakes, has(model_.granted) || has(model_.dropped) ? 1 : 0);
    }
  }

  const bulkhead options_;
  bulkhead_policy policy_;
  plain_bulkhead model_;
  time_point now_ = time_point{} + 1h;
  calls running_;
  calls waiting_;
  std::vector<bulkhead_permit> by_hand_;
  int next_ = 0;
};

TEST(bulkhead_property, agrees_with_the_plain_model) {
  int granted = 0, dropped = 0, expired = 0, too_late = 0;
  holds("bulkhead", bulkhead_events, [&] {
    bulkhead o{.max_concurrent = number("max_concurrent", 1, 5),
               .max_queue = number("max_queue", 0, 13)};
    o.max_queue_wait = one_of<std::optional<duration>>("max_queue_wait", {50ms, std::nullopt, 3ms});
    o.order = one_of<queue_order>("order", {queue_order::fifo, queue_order::lifo_under_overload});
    o.service_floor = one_of<std::optional<duration>>("service_floor", {std::nullopt, 5ms, 0ms});
    bulkhead_life one(o);
    const auto all = *deeds(bulkhead_ways, bulkhead_events);
    for (const deed& d : all) one.live(d);
    one.end();
    granted += one.granted;
    dropped += one.dropped;
    expired += one.expired;
    too_late += one.too_late;
    return all.size();
  });
  if (is_replay()) return;
  EXPECT_GT(granted, 5000);
  EXPECT_GT(dropped, 100);
  EXPECT_GT(expired, 100);
  EXPECT_GT(too_late, 2);
}

}  // namespace
}  // namespace hawser::test::bulkhead_property
