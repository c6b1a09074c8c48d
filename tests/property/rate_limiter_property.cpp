// The rate limiter's three algorithms against plain ones, and its reservations against the bound
// they must keep.
#include "hawser/policy/rate_limiter.hpp"

#include "property/random_events.hpp"
#include "support/stage_driver.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

namespace hawser::test::rate_limiter_property {
namespace {

using namespace std::chrono_literals;

constexpr time_point start_of_test = time_point{} + 1h;

// ---- without waiting ----

/// One way of counting permits, as one would explain it.
struct plain_limiter {
  explicit plain_limiter(const rate_limiter& o)
      : permits(o.permits), per(o.per), burst(o.burst.value_or(o.permits)) {}
  virtual ~plain_limiter() = default;
  /// When `cost` permits may go out: `now` if they may now.
  [[nodiscard]] virtual time_point when(int cost, time_point now) const = 0;
  virtual void take(int cost, time_point now) = 0;
  [[nodiscard]] virtual std::int64_t tokens(time_point now) const = 0;
  /// Nothing until `end`, which is later than any such moment before.
  virtual void pause(time_point end) { paused = std::max(paused, end); }
  /// A 429 without a hint takes the tokens that are left.
  virtual void drain(time_point now) {
    if (const std::int64_t left = tokens(now); left > 0) take(static_cast<int>(left), now);
  }
  virtual void resize(int new_permits, duration new_per, int new_burst, time_point /*now*/) {
    permits = new_permits;
    per = new_per;
    burst = new_burst;
  }
  [[nodiscard]] std::int64_t interval() const { return (per.count() + permits - 1) / permits; }

  int permits;
  duration per;
  int burst;
  time_point paused = time_point::min();
};

/// A bucket that refills evenly. `level`, in ns of refilling, is what was in it at `at`; before
/// that there was less, and a clock that reads such a moment mints nothing.
struct plain_bucket final : plain_limiter {
  explicit plain_bucket(const rate_limiter& o) : plain_limiter(o), level(full()) {}
  [[nodiscard]] std::int64_t full() const { return burst * interval(); }
  [[nodiscard]] std::int64_t level_at(time_point now) const {
    return std::min(full(), level + (now - at).count());
  }
  [[nodiscard]] time_point when(int cost, time_point now) const override {
    return now + duration(std::max<std::int64_t>(cost * interval() - level_at(now), 0));
  }
  void take(int cost, time_point now) override {
    level = level_at(now) - cost * interval();
    at = now;
  }
  [[nodiscard]] std::int64_t tokens(time_point now) const override {
    return std::max<std::int64_t>(level_at(now), 0) / interval();
  }
  void pause(time_point end) override {
    if (end <= paused) return;
    plain_limiter::pause(end);
    level = std::min(level_at(end), interval());  // one token at its end, if there is one
    at = end;
  }
  void drain(time_point now) override { pause(now + duration(interval())); }
  void resize(int new_permits, duration new_per, int new_burst, time_point now) override {
    const time_point then = std::max(now, paused);
    const long double in_old = static_cast<long double>(level_at(then));
    const long double old_interval = static_cast<long double>(interval());
    plain_limiter::resize(new_permits, new_per, new_burst, now);
    const long double in_new = in_old * static_cast<long double>(interval()) / old_interval;
    level = std::min(full(), static_cast<std::int64_t>(std::floor(in_new)));
    at = then;
  }
  std::int64_t level;
  time_point at = start_of_test - 1h;  // full before anybody came
};

/// A window opens with the first call after the last one closed.
struct plain_fixed final : plain_limiter {
  using plain_limiter::plain_limiter;
  [[nodiscard]] time_point when(int cost, time_point now) const override {
    const time_point from = std::max(now, paused);
    return open && from < start + per && used + cost > permits ? start + per : from;
  }
  void take(int cost, time_point now) override {
    if (!open || now >= start + per) used = 0, start = now;
    open = true;
    used += cost;
  }
  [[nodiscard]] std::int64_t tokens(time_point now) const override {
    if (now < paused) return 0;
    return open && now < start + per ? std::max(permits - used, 0) : permits;
  }
  bool open = false;
  time_point start{};
  int used = 0;
};

/// At most `permits` in any span of `per`: counted in the list of all that went out.
struct plain_sliding final : plain_limiter {
  using plain_limiter::plain_limiter;
  [[nodiscard]] time_point when(int cost, time_point now) const override {
    const time_point from = std::max(now, paused);
    const std::size_t free = static_cast<std::size_t>(permits - cost);
    return out.size() <= free ? from : std::max(from, out[out.size() - free - 1] + per);
  }
  void take(int cost, time_point now) override {
    if (!out.empty()) now = std::max(now, out.back());  // the clock may have gone back
    out.insert(out.end(), static_cast<std::size_t>(cost), now);
    if (out.size() > 500) out.erase(out.begin(), out.begin() + 250);
  }
  [[nodiscard]] std::int64_t tokens(time_point now) const override {
    if (now < paused) return 0;
    const auto used =
        std::count_if(out.begin(), out.end(), [&](time_point t) { return t + per > now; });
    return std::max<std::int64_t>(permits - used, 0);
  }
  /// It remembers one window's worth of permits over a reload.
  void resize(int new_permits, duration new_per, int new_burst, time_point now) override {
    const auto kept =
        std::min(out.size(), static_cast<std::size_t>(std::min(permits, new_permits)));
    out.erase(out.begin(), out.end() - static_cast<std::ptrdiff_t>(kept));
    plain_limiter::resize(new_permits, new_per, new_burst, now);
  }
  std::vector<time_point> out;
};

std::unique_ptr<plain_limiter> plain_of(const rate_limiter& o) {
  if (o.algorithm == rate_algorithm::fixed_window) return std::make_unique<plain_fixed>(o);
  if (o.algorithm == rate_algorithm::sliding_window) return std::make_unique<plain_sliding>(o);
  return std::make_unique<plain_bucket>(o);
}

const std::vector<kind> limiter_ways = {{"take", 60},   {"pass_time", 30}, {"pass_long", 2},
                                        {"go_back", 3}, {"pause", 1},      {"server_says", 2},
                                        {"set_rate", 2}};

void take(rate_limiter_policy& p, plain_limiter& model, int cost, time_point now) {
  refusal no;
  const bool got = bool(p.try_acquire(now, static_cast<std::uint32_t>(cost), &no));
  const int most = model.burst;
  const time_point start = cost > most ? never : model.when(cost, now);
  same("admitted", got, start <= now);
  if (!got) same("wait", no.wait(now).value_or(duration::max()), remaining(start, now));
  if (start <= now) model.take(cost, now);
}

/// The spread is drawn; the model knows its bounds.
void server_says(rate_limiter_policy& p, plain_limiter& model, const rate_limiter& o, const deed& d,
                 time_point now, entropy& random) {
  const duration hint = d.once_in(3) ? duration::min() : d.upto(2 * o.max_pause);
  p.server_said_wait(hint, now, random);
  const time_point until = p.snapshot(now).paused_until;
  const duration asked = std::clamp(hint, duration(0), o.max_pause);
  if (asked == duration(0)) {
    model.drain(now);
  } else if (until != model.paused) {
    require(until >= std::max(model.paused, now + asked), "the pause is too short");
    const auto widest = static_cast<double>(asked.count()) * (1 + o.spread);
    require(until <= now + duration(static_cast<std::int64_t>(widest) + 1),
            "the pause is too long");
    model.pause(until);
  } else {
    require(until >= now + asked, "the pause is too short");
  }
  same("paused until", until, model.paused);
}

TEST(rate_limiter_property, agrees_with_plain_ways_of_counting) {
  holds("rate limiter", limiter_events, [] {
    rate_limiter o;
    o.algorithm = one_of<rate_algorithm>(
        "algorithm",
        {rate_algorithm::gcra, rate_algorithm::fixed_window, rate_algorithm::sliding_window});
    o.permits = number("permits", 1, 30);
    o.per = one_of<duration>("per", {30us, 1us, 1s});
    if (o.algorithm == rate_algorithm::gcra)
      o.burst = one_of<std::optional<int>>("burst", {std::nullopt, 1, 7});
    o.max_pause = 3 * o.per;
    rate_limiter_policy p(o);
    const auto model = plain_of(o);
    seeded_entropy random(5);
    time_point now = start_of_test;
    const auto all = *deeds(limiter_ways, limiter_events);
    for (const deed& d : all) {
      if (d.name == "take")
        take(p, *model, 1 + static_cast<int>(d.which(d.once_in(9) ? 40 : 3)), now);
      if (d.name == "pass_time") now += d.upto(4 * model->per / model->permits);
      if (d.name == "pass_long") now += d.upto(3 * model->per);
      if (d.name == "go_back") now -= d.upto(model->per / 2);
      if (d.name == "pause") {
        const time_point end = now + d.upto(2 * model->per);
        p.pause_until(end);
        model->pause(end);
      }
      if (d.name == "server_says") server_says(p, *model, o, d, now, random);
      if (d.name == "set_rate") {
        const int permits = 1 + static_cast<int>(d.which(30));
        const duration per = d.once_in(2) ? o.per : o.per / 2;
        const bool bursts = o.algorithm == rate_algorithm::gcra && d.once_in(3);
        p.set_rate(permits, per, bursts ? std::optional(9) : std::nullopt, now);
        model->resize(permits, per, bursts ? 9 : permits, now);
      }
      same("tokens", p.snapshot(now).tokens, model->tokens(now));
    }
    return all.size();
  });
}

// ---- with reservations ----

const std::vector<kind> calm_ways = {
    {"arrive", 40}, {"pass_time", 40}, {"cancel", 14}, {"pass_long", 1}};
const std::vector<kind> stormy_ways = {{"arrive", 40},     {"pass_time", 40},    {"cancel", 14},
                                       {"pass_long", 1},   {"refuse_inside", 8}, {"pause", 1},
                                       {"server_says", 1}, {"resume", 1},        {"same_rate", 1}};

/// Calls that arrive, wait, are cancelled and start, with timers served exactly on time.
class reservations {
 public:
  explicit reservations(const rate_limiter& options) : options_(options), policy_(options) {}

  void live(const deed& d) {
    if (d.name == "arrive") arrive(d);
    if (d.name == "pass_time") serve_until(now_ + d.upto(2us));
    if (d.name == "pass_long") serve_until(now_ + d.upto(100us));
    if (d.name == "cancel" && !waiting_.empty()) cancel(d.which(waiting_.size()));
    if (d.name == "refuse_inside" && !running_.empty()) refuse_inside(d.which(running_.size()));
    if (d.name == "pause") policy_.pause_until(last_pause_ = now_ + d.upto(20us));
    if (d.name == "server_says") {
      policy_.server_said_wait(d.once_in(4) ? duration::min() : d.upto(15us), now_, random_);
      // And its ramp; without a wait it takes the tokens that are there.
      last_pause_ = std::max(policy_.snapshot(now_).paused_until, now_) + 1ms;
    }
    if (d.name == "resume") policy_.resume(now_);
    if (d.name == "same_rate")
      policy_.set_rate(options_.permits, options_.per, options_.burst, now_);
    serve_wakes();
    same("waiting", policy_.snapshot(now_).waiting, static_cast<int>(waiting_.size()));
  }
  void end() {
    serve_until(now_ + 1s);
    require(waiting_.empty(), "somebody waits for ever");
  }

  struct started {
    time_point at;
    std::int64_t cost;
    int id;
  };
  std::vector<started> starts;  // in order of time; without those refused further inside
  int waited = 0, canceled = 0, refused_late = 0;

 private:
  struct call {
    call(rate_limiter_policy& p, int n) : id(n), s(p) {}
    int id;
    stage_driver t;
    stage_under_test s;
    time_point until = never;   // what its timer is set to
    time_point latest = never;  // after that it is no use
    int wakes_seen = 0;
  };
  using calls = std::vector<std::unique_ptr<call>>;

  std::unique_ptr<call> take(calls& from, std::size_t at) {
    auto c = std::move(from[at]);
    from.erase(from.begin() + static_cast<std::ptrdiff_t>(at));
    c->t.set_now(now_);
    return c;
  }

  void arrive(const deed& d) {
    auto c = std::make_unique<call>(policy_, next_++);
    c->t.set_now(now_);
    c->t.set_cost(static_cast<std::uint32_t>(1 + d.which(3)));
    c->latest = now_ + *options_.max_wait;
    if (d.once_in(4)) {
      c->t.set_deadline(now_ + d.upto(40us));
      c->latest = std::min(c->latest, c->t.deadline() - 1ns);
    }
    const bool others_wait = !waiting_.empty();
    const step s = c->s->enter(c->t);
    if (s.what() == verb::finish) return left_refused(std::move(c));
    if (s.what() == verb::call_inner) {
      // Who finds tokens while others wait overtakes nobody: theirs are set aside.
      if (others_wait && options_.algorithm == rate_algorithm::gcra && *options_.burst <= 3)
        require(false, "overtakes the queue");
      return start(std::move(c));
    }
    same("waits", s.what(), verb::park);
    require(s.at() > now_, "waits for what is there");
    require(s.at() <= c->latest, "waits longer than it may");
    c->until = s.at();
    ++waited;
    waiting_.push_back(std::move(c));
  }

  void left_refused(std::unique_ptr<call> c) {
    same("refused with", c->t.result.error, make_error_code(errc::rate_limited));
    require(c->t.result.why.until > c->latest, "refused what could have been served in time");
    c->s->leave();
  }

  void start(std::unique_ptr<call> c) {
    starts.push_back({now_, c->t.cost(), c->id});
    running_.push_back(std::move(c));
    if (running_.size() > 20) finish(0, succeeded());
  }
  void finish(std::size_t at, const outcome& with) {
    const auto c = take(running_, at);
    (void)c->s->inner_done(0, with, c->t);
    c->s->leave();
  }
  /// By a policy further inside, before any attempt: its tokens may come back, but only where that
  /// lets nobody start beside others.
  void refuse_inside(std::size_t at) {
    const int id = running_[at]->id;
    finish(at, outcome::refuse(errc::circuit_open, {}));
    std::erase_if(starts, [id](const started& s) { return s.id == id; });
  }

  void cancel(std::size_t at) {
    const auto c = take(waiting_, at);
    (void)c->s->canceled(ignored(), c->t);
    c->s->leave();
    ++canceled;
  }

  void look(std::size_t at, bool by_timer) {
    auto c = take(waiting_, at);
    const step s = by_timer ? c->s->timer(c->t) : c->s->woken(c->t);
    if (s.what() == verb::park) {
      require(s.at() <= c->latest, "waits longer than it may");
      require(s.at() <= c->until || now_ < last_pause_ || s.at() <= last_pause_ + 1ms,
              "is put off without a pause");
      c->until = s.at();
      waiting_.insert(waiting_.begin() + static_cast<std::ptrdiff_t>(at), std::move(c));
    } else if (s.what() == verb::finish) {
      require(last_pause_ > start_of_test, "a promise is broken without a pause");
      ++refused_late;
      left_refused(std::move(c));
    } else {
      same("starts", s.what(), verb::call_inner);
      require(now_ <= c->latest, "starts too late");
      // One before it may go at this very moment: it has been woken, and has yet to look.
      for (const auto& other : waiting_)
        require(other->id > c->id || other->t.wakes != other->wakes_seen,
                "overtakes one who came before");
      start(std::move(c));
    }
  }

  void serve_wakes() {
    for (std::size_t i = 0; i < waiting_.size();) {
      call& c = *waiting_[i];
      if (c.t.wakes == c.wakes_seen) {
        ++i;
        continue;
      }
      c.wakes_seen = c.t.wakes;
      look(i, false);
      i = 0;
    }
  }
  void serve_until(time_point end) {
    while (!waiting_.empty()) {
      const auto next = std::min_element(waiting_.begin(), waiting_.end(),
                                         [](auto& a, auto& b) { return a->until < b->until; });
      if ((*next)->until > end) break;
      now_ = std::max(now_, (*next)->until);
      look(static_cast<std::size_t>(next - waiting_.begin()), true);
      serve_wakes();
    }
    now_ = end;
  }

  const rate_limiter options_;
  rate_limiter_policy policy_;
  seeded_entropy random_{7};
  time_point now_ = start_of_test;
  time_point last_pause_ = start_of_test;
  calls waiting_;
  calls running_;
  int next_ = 0;
};

/// A bucket that leaks at the rate and gets each start's cost: it holds no more than the burst if,
/// and only if, every span of time, long or short, has at most burst + rate x its length.
void keeps_the_bucket(const rate_limiter& o, const std::vector<reservations::started>& starts) {
  const std::int64_t interval = o.per.count() / o.permits;
  std::int64_t level = 0;
  time_point last = start_of_test;
  for (const auto& s : starts) {
    level = std::max<std::int64_t>(level - (s.at - last).count(), 0) + s.cost * interval;
    last = s.at;
    require(level <= *o.burst * interval, "more than burst + rate x t in some span");
  }
}

/// No span of `per` has more than `most`.
void keeps_the_windows(const rate_limiter& o, const std::vector<reservations::started>& starts,
                       std::int64_t most) {
  std::size_t from = 0;
  std::int64_t sum = 0;
  for (const auto& s : starts) {
    for (sum += s.cost; starts[from].at + o.per <= s.at; ++from) sum -= starts[from].cost;
    require(sum <= most, "too many in some span");
  }
}

TEST(rate_limiter_property, reservations_start_in_order_in_time_and_within_the_bound) {
  int waited = 0, canceled = 0, refused_late = 0;
  holds("reservations", reservation_events, [&] {
    rate_limiter o{.permits = 1'000'000, .per = 1s, .burst = 4, .max_wait = 20us};
    o.algorithm = one_of<rate_algorithm>(
        "algorithm",
        {rate_algorithm::gcra, rate_algorithm::fixed_window, rate_algorithm::sliding_window});
    if (o.algorithm == rate_algorithm::gcra) {
      o.burst = one_of<int>("burst", {4, 3, 12});
    } else {
      o.burst.reset();
      o.permits = 12;
      o.per = 12us;
      o.max_wait = 30us;
    }
    const bool calm = flag("calm");
    reservations all_calls(o);
    const auto all = *deeds(calm ? calm_ways : stormy_ways, reservation_events);
    for (const deed& d : all) all_calls.live(d);
    all_calls.end();
    if (o.algorithm == rate_algorithm::gcra) keeps_the_bucket(o, all_calls.starts);
    if (o.algorithm == rate_algorithm::fixed_window) keeps_the_windows(o, all_calls.starts, 24);
    if (o.algorithm == rate_algorithm::sliding_window) keeps_the_windows(o, all_calls.starts, 12);
    waited += all_calls.waited;
    canceled += all_calls.canceled;
    refused_late += all_calls.refused_late;
    return all.size();
  });
  if (is_replay()) return;
  EXPECT_GT(waited, 5000);
  EXPECT_GT(canceled, 2000);
  EXPECT_GT(refused_late, 1);
}

}  // namespace
}  // namespace hawser::test::rate_limiter_property
