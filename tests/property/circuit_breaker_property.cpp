// The circuit breaker against its rules written down once more, with lists and no cleverness.
#include "hawser/policy/circuit_breaker.hpp"

#include "property/random_events.hpp"
#include "support/stage_driver.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <memory>
#include <optional>

namespace hawser::test::circuit_breaker_property {
namespace {

using namespace std::chrono_literals;

/// What a call's end says to the breaker; neither of the first two is every kind of void.
struct report {
  bool says = false;
  bool alive = false;  // an answer that is neither good nor bad
  bool failed = false;
  bool slow = false;
  duration took{};
  duration hint = duration::min();
};

struct plain_breaker {
  enum class mode { closed, open, half_open, isolated, disabled };
  enum class right { none, normal, probe, unjudged };

  explicit plain_breaker(const circuit_breaker& options) : o(options) {}

  circuit_breaker o;
  mode now_is = mode::closed;
  bool on_paper = false;
  std::uint64_t generation = 0;
  std::uint32_t openings = 0;
  time_point retry_at{}, earliest{}, latest{}, closed_since = time_point::min();
  time_point down_since{};
  std::optional<time_point> answered;  // when something else than a failure last came
  time_point row_since{};              // when the first failure in the row began
  std::optional<time_point> early_at;
  std::uint32_t rounds = 0;  // of probing, in a row
  std::uint64_t held_back = 0, row = 0;
  bool suspected = false;
  int successes = 0, failed = 0;
  std::uint64_t consecutive = 0, late = 0;
  struct result {
    bool failed, slow;
    std::int64_t bucket;
  };
  std::deque<result> results;
  std::int64_t bucket = 0;
  std::vector<std::pair<int, time_point>> probes;  // permit, end of its lease

  void let_pass(time_point now) {
    if (const auto* by_time = std::get_if<time_window>(&o.window)) {
      const std::int64_t width = by_time->span.count() / by_time->buckets;
      bucket = std::max(bucket, now.time_since_epoch().count() / width);
      while (!results.empty() && results.front().bucket + by_time->buckets <= bucket)
        results.pop_front();
    } else {
      const auto& by_count = std::get<count_window>(o.window);
      while (results.size() > static_cast<std::size_t>(by_count.calls)) results.pop_front();
      if (!by_count.max_age) return;
      const std::int64_t width = by_count.max_age->count() / 10;
      bucket = std::max(bucket, now.time_since_epoch().count() / width);
      while (!results.empty() && results.front().bucket + 10 <= bucket) results.pop_front();
    }
  }
  [[nodiscard]] std::uint64_t count(bool result::*what) const {
    std::uint64_t n = 0;
    for (const result& r : results) n += r.*what ? 1U : 0U;
    return n;
  }
  [[nodiscard]] double rate(bool result::*what) const {
    return static_cast<double>(count(what)) / static_cast<double>(results.size());
  }

  [[nodiscard]] bool lets_through() const {
    return now_is == mode::closed || now_is == mode::disabled;
  }
  void move(mode to, time_point now) {
    const bool was_up = lets_through();
    now_is = to;
    ++generation;
    probes.clear();
    successes = failed = 0;
    suspected = false;
    if (was_up && !lets_through()) {
      down_since = now;
      held_back = 0;
    }
    if (!lets_through()) return;
    results.clear();
    consecutive = 0;
    closed_since = now;
    answered = now;
    bucket = std::numeric_limits<std::int64_t>::min();
    let_pass(now);
  }
  void force(mode to, bool paper, time_point now) {
    const bool again = paper ? on_paper : !on_paper && now_is == to && to != mode::closed;
    if (again) return;
    on_paper = paper;
    openings = rounds = 0;
    move(to, now);
  }
  void forget_if_healthy(time_point now) {
    if (now_is == mode::closed && now >= later(closed_since, o.healthy_reset))
      openings = rounds = 0;
  }
  /// The bounds of when the round of probing `rounds` ends that begins now.
  void bound_round(time_point now) {
    double whole = static_cast<double>(o.open_for.count());
    for (std::uint32_t i = 1; i < rounds; ++i) whole *= o.open_multiplier;
    const double outage =
        lets_through() ? 0 : static_cast<double>(std::max(now - down_since, duration{}).count());
    whole = std::min(
        whole, std::max(2.0 * static_cast<double>(o.open_for.count()), outage * o.open_share));
    whole = std::min(whole, static_cast<double>(o.open_cap->count()));
    latest = now + duration(static_cast<std::int64_t>(whole));
    earliest = o.open_jitter == 0
                   ? latest
                   : now + duration(static_cast<std::int64_t>(whole * (1 - o.open_jitter)) - 1);
  }
  void begin_round(time_point now) {
    ++rounds;
    bound_round(now);
    early_at = o.early_probe_after ? std::optional(now + o.open_for / 2) : std::nullopt;
    unknown = true;
    retry_at = latest;
  }
  bool unknown = false;  // `retry_at` is still to be taken from the breaker, within the bounds

  void open(time_point now, duration hint) {
    forget_if_healthy(now);
    ++openings;
    if (suspected && retry_at > now) {
      if (!unknown) earliest = latest = retry_at;
    } else {
      if (now_is != mode::half_open) ++rounds;
      bound_round(now);
    }
    const duration asked = std::min(hint, o.hint_cap);
    hinted_early = latest < now + asked ? 2 : earliest < now + asked ? 1 : 0;
    latest = std::max(latest, now + asked);
    earliest = std::max(earliest, std::min(now + asked, latest));
    if (asked <= duration::zero()) hinted_early = 0;
    hinted_until = now + asked;
    early_at = o.early_probe_after ? std::optional(now + o.open_for / 2) : std::nullopt;
    unknown = true;
    retry_at = latest;
    move(mode::open, now);
  }
  int hinted_early = 0;  // 2: lengthened for certain, 1: if its end is exactly the hint's
  time_point hinted_until{};

  void know(time_point at) {
    unknown = false;
    retry_at = at;
    if (now_is == mode::open && (hinted_early == 2 || (hinted_early == 1 && at == hinted_until)))
      early_at.reset();
  }
  [[nodiscard]] bool early(time_point now) const {
    return early_at && now >= *early_at &&
           held_back >= static_cast<std::uint64_t>(*o.early_probe_after);
  }
  void probe_failed(time_point now, duration hint) {
    ++failed;
    if (suspected) {
      if (++row >= static_cast<std::uint64_t>(o.consecutive_failures.value_or(1))) open(now, hint);
      return;
    }
    if (probes.empty() && failed >= successes) open(now, hint);
  }
  right ask(int permit, time_point now, time_point deadline) {
    if (now_is == mode::open && (now >= retry_at || early(now))) {
      move(mode::half_open, now);
      retry_at = time_point::min();
      unknown = false;
    }
    for (std::size_t i = 0; now_is == mode::half_open && i < probes.size();) {
      if (now < probes[i].second) {
        ++i;
        continue;
      }
      probes.erase(probes.begin() + static_cast<std::ptrdiff_t>(i));
      probe_failed(now, duration::min());
    }
    if (lets_through()) return right::normal;
    const bool allowed = now_is == mode::half_open &&
                         probes.size() < static_cast<std::size_t>(o.probes) &&
                         (successes > 0 || now >= retry_at || early(now));
    if (!allowed) {
      ++held_back;
      return on_paper ? right::unjudged : right::none;
    }
    const time_point end = o.probe_lease       ? now + *o.probe_lease
                           : deadline == never ? now + 30s
                                               : std::max(deadline, now) + 1s;
    probes.emplace_back(permit, end);
    held_back = 0;
    begin_round(now);
    return right::probe;
  }
  void settle(int permit, right kind, std::uint64_t of, const report& r, time_point now) {
    if (of != generation) {
      late += r.says || r.alive ? 1U : 0U;
      return;
    }
    const bool held = std::erase_if(probes, [permit](const auto& p) { return p.first == permit; });
    if (kind == right::unjudged) return;
    if (kind == right::probe && !held) {  // reclaimed
      late += r.says || r.alive ? 1U : 0U;
      return;
    }
    if (!r.says && !r.alive) {
      if (kind != right::probe) return;
      retry_at = time_point::min();  // the next may go at once, and this was no round
      unknown = false;
      if (rounds > 1) --rounds;
      return;
    }
    const bool slow = r.slow && o.slow_ratio;
    if (kind == right::probe) {
      if (r.says && (r.failed || slow)) return probe_failed(now, r.hint);
      row = 0;
      if (++successes < o.probes_to_close) return;
      if (suspected && openings == 0) rounds = 0;  // it was chance
      move(mode::closed, now);
      return;
    }
    if (r.alive) {
      consecutive = 0;
      answered = now;
      return;
    }
    let_pass(now);
    results.push_back({r.failed, slow, bucket});
    let_pass(now);
    if (!r.failed) {
      consecutive = 0;
      answered = now;
    } else {
      if (!answered || now - r.took >= std::min(*answered, now)) {
        row_since = consecutive == 0 ? now - r.took : std::min(row_since, now - r.took);
        ++consecutive;
      }
    }
    if (now_is == mode::disabled) return;
    const auto row_of = [&](const std::optional<int>& limit, duration span) {
      return r.failed && limit && consecutive >= static_cast<std::uint64_t>(*limit) &&
             row_span(now) >= span;
    };
    const bool enough = results.size() >= static_cast<std::size_t>(o.min_calls);
    if ((r.failed && enough && o.failure_ratio && rate(&result::failed) >= *o.failure_ratio) ||
        (slow && enough && o.slow_ratio && rate(&result::slow) >= *o.slow_ratio) ||
        row_of(o.consecutive_failures, o.consecutive_span))
      return open(now, r.hint);
    if (on_paper || !o.consecutive_failures || !row_of(o.suspect_failures, o.consecutive_span / 2))
      return;
    row = consecutive;
    forget_if_healthy(now);
    move(mode::half_open, now);
    suspected = true;
    begin_round(now);
  }

  [[nodiscard]] duration row_span(time_point now) const {
    const duration span = std::max(now - row_since, 0ns);
    if (!answered) return span;
    const duration since_answer = std::max(now - *answered, 0ns);
    if (consecutive == 1) return since_answer;
    return std::min(since_answer, span + 5 * (span / std::int64_t(consecutive - 1)));
  }

  [[nodiscard]] circuit_state state() const {
    switch (now_is) {
      case mode::closed: return on_paper ? circuit_state::metrics_only : circuit_state::closed;
      case mode::open: return on_paper ? circuit_state::metrics_only_open : circuit_state::open;
      case mode::half_open:
        return on_paper ? circuit_state::metrics_only_half_open : circuit_state::half_open;
      case mode::isolated: return circuit_state::isolated;
      case mode::disabled: return circuit_state::disabled;
    }
    return circuit_state::closed;
  }
};

using mode = plain_breaker::mode;
using right = plain_breaker::right;

constexpr duration slow_after = 100ms;

circuit_breaker any_options() {
  circuit_breaker o;
  if (flag("time window"))
    o.window = time_window{.span = one_of<duration>("span", {8s, 1s, 97s}),
                           .buckets = number("buckets", 1, 9)};
  else
    o.window = count_window{
        .calls = number("window calls", 1, 30),
        .max_age = one_of<std::optional<duration>>("max_age", {std::nullopt, 5s, 50s})};
  const auto* counted = std::get_if<count_window>(&o.window);
  o.min_calls = number("min_calls", 1, counted != nullptr ? counted->calls : 15);
  o.failure_ratio = one_of<std::optional<double>>("failure_ratio", {0.4, 1.0, 0.1, std::nullopt});
  o.slow_ratio = one_of<std::optional<double>>("slow_ratio", {std::nullopt, 0.35, 1.0});
  o.slow_after = slow_after;
  o.consecutive_failures =
      one_of<std::optional<int>>("consecutive_failures", {4, 1, 8, std::nullopt});
  if (!o.failure_ratio && !o.slow_ratio && !o.consecutive_failures) o.consecutive_failures = 3;
  o.consecutive_span = one_of<duration>("consecutive_span", {0s, 1s, 4s});
  o.suspect_failures = one_of<std::optional<int>>("suspect_failures", {std::nullopt, 2, 1});
  o.open_share = one_of<double>("open_share", {1, 0.2});
  o.early_probe_after = one_of<std::optional<int>>("early_probe_after", {std::nullopt, 5, 1});
  o.open_for = 2s;
  o.open_multiplier = one_of<double>("open_multiplier", {2, 1, 1.5});
  o.open_cap = one_of<duration>("open_cap", {15s, 2s});
  o.open_jitter = one_of<double>("open_jitter", {0, 0.2, 0.9});
  o.hint_cap = one_of<duration>("hint_cap", {20s, 0s});
  o.healthy_reset = one_of<duration>("healthy_reset", {30s, 0s});
  o.probes = number("probes", 1, 3);
  o.probes_to_close = number("probes_to_close", 1, 4);
  o.probe_lease = one_of<std::optional<duration>>("probe_lease", {10s, 1s, std::nullopt});
  return o;
}

/// Ends of calls, as a stage hears of them. All but the first four are void.
outcome any_end(const deed& d, bool ailing) {
  const std::size_t dice = d.which(ailing ? 10 : 40);
  const duration hint = d.once_in(5) ? d.upto(40s) : duration::min();
  if (dice < 4) {
    outcome o = failed(errc::server_error, evidence::answered);
    o.elapsed = d.once_in(3) ? slow_after : d.once_in(2) ? slow_after - 1ns : 0ns;
    o.server_wait = hint;
    return o;
  }
  if (dice == 4) return ignored();
  if (dice == 5) return outcome::refuse(errc::rate_limited, {});
  if (dice == 6) {
    outcome o = failed(errc::client_error, evidence::answered);
    o.status = 404;
    o.countable = false;
    return o;
  }
  outcome o = succeeded(d.once_in(9) ? slow_after : 1ms);
  o.server_wait = hint;  // which means nothing
  return o;
}

report report_of(const outcome& o) {
  report r;
  r.says = o.ok() || (o.result == verdict::failed && o.countable && !o.rejected);
  r.alive = !r.says && o.status != 0;
  r.failed = !o.ok();
  r.slow = o.elapsed >= slow_after;
  r.took = o.elapsed;
  r.hint = o.ok() ? duration::min() : o.server_wait;
  return r;
}

/// A breaker and its model, told the same.
class both {
 public:
  explicit both(const circuit_breaker& options) : breaker_(options), model_(options) {}

  [[nodiscard]] time_point now() const { return now_; }
  void pass(duration by) { now_ += by; }
  void pass_to(time_point at) { now_ = std::max(now_, at); }
  [[nodiscard]] std::size_t out() const { return out_.size(); }
  [[nodiscard]] const plain_breaker& model() const { return model_; }
  [[nodiscard]] circuit_snapshot look() const { return breaker_.snapshot(now_); }

  /// A call by hand or, with `staged`, as a stage. Whether it was let through.
  bool ask(bool staged, time_point deadline) {
    settle_time();
    auto c = std::make_unique<call>();
    c->id = next_++;
    c->what = model_.ask(c->id, now_, deadline);
    c->of = model_.generation;
    cause why;
    bool let = false;
    if (staged) {
      c->stage.emplace(breaker_);
      told_.set_deadline(deadline);
      let = (*c->stage)->enter(at_now()).what() == verb::call_inner;
      why = told_.result.why;
      if (!let) (*c->stage)->leave();
    } else {
      refusal no;
      c->permit = breaker_.try_acquire(now_, random_, &no, deadline);
      why = no.why;
      let = static_cast<bool>(c->permit);
      same("probe", c->permit.is_probe(), c->what == right::probe);
      if (let) same("generation of the permit", c->permit.generation(), c->of);
    }
    same("let through", let, c->what != right::none);
    if (let) {
      out_.push_back(std::move(c));
    } else {
      check_refusal(why);
    }
    check();
    return let;
  }

  void end(std::size_t which, const outcome& with) {
    settle_time();
    const auto c = std::move(out_[which]);
    out_.erase(out_.begin() + static_cast<std::ptrdiff_t>(which));
    const report r = report_of(with);
    model_.settle(c->id, c->what, c->of, r, now_);
    if (c->stage) {
      (void)(*c->stage)->inner_done(0, with, at_now());
      (*c->stage)->leave();
      check_telling();
    } else if (r.alive) {
      c->permit.alive(now_);
    } else if (!r.says) {
      c->permit.ignore();
    } else if (r.failed) {
      c->permit.failure(with.elapsed, now_, r.hint);
    } else {
      c->permit.success(with.elapsed, now_);
    }
    check();
  }
  /// The call is gone without a word.
  void drop(std::size_t which) {
    const auto c = std::move(out_[which]);
    out_.erase(out_.begin() + static_cast<std::ptrdiff_t>(which));
    if (c->stage) (*c->stage)->leave();
    c->permit = {};
    model_.settle(c->id, c->what, c->of, {}, now_);
    check();
  }

  void force(std::size_t which) {
    if (which == 0) breaker_.close(now_), model_.force(mode::closed, false, now_);
    if (which == 1) breaker_.isolate(now_), model_.force(mode::isolated, false, now_);
    if (which == 2) breaker_.disable(now_), model_.force(mode::disabled, false, now_);
    if (which == 3) breaker_.metrics_only(now_), model_.force(mode::closed, true, now_);
    check();
  }

 private:
  struct call {
    int id = 0;
    right what = right::none;
    std::uint64_t of = 0;
    circuit_permit permit;
    std::optional<stage_under_test> stage;
  };

  stage_driver& at_now() {
    told_.set_now(now_);
    return told_;
  }

  void check_refusal(const cause& why) {
    same("who refused", why.policy, std::string_view("circuit_breaker"));
    if (model_.now_is == mode::isolated) return same("reason", why.because, reason::forced);
    if (model_.now_is == mode::half_open)
      return same("reason", why.because,
                  model_.probes.empty() ? reason::consecutive_failures : reason::probes_busy);
    same("state of a refusal", model_.now_is, mode::open);
    same("until", why.until, breaker_.snapshot(now_).retry_at);
  }

  /// After a stage's step nothing is left to be told: the last change told is the present state.
  void check_telling() {
    const event* last = nullptr;
    for (const event& e : told_.events)
      if (e.kind == event_kind::state_changed) last = &e;
    if (last != nullptr) same("last told", last->to, to_string(model_.state()));
    told_.events.clear();
  }

  void check() {
    const circuit_snapshot s = breaker_.snapshot(now_);
    model_.let_pass(now_);
    same("state", to_string(s.state), to_string(model_.state()));
    same("generation", s.generation, model_.generation);
    same("openings", s.openings, model_.openings);
    same("probes out", s.probes_out, static_cast<int>(model_.probes.size()));
    require(s.probes_out <= model_.o.probes, "more probes out than allowed");
    same("probes succeeded", s.probes_succeeded, model_.successes);
    same("late results", s.late_results, model_.late);
    if (model_.now_is == mode::open || model_.now_is == mode::half_open) check_retry_at(s);
    if (model_.now_is != mode::closed && model_.now_is != mode::disabled) return;
    same("calls", s.calls, model_.results.size());
    same("failures", s.failures, model_.count(&plain_breaker::result::failed));
    same("slow", s.slow, model_.count(&plain_breaker::result::slow));
    same("consecutive", s.consecutive, model_.consecutive);
  }

  /// While all probes are out nobody knows when the next might go: no event in between.
  void settle_time() {
    if (model_.unknown && now_ >= model_.earliest) pass_to(model_.latest);
  }

  /// The jitter is the breaker's to draw, within the bounds that the model knows.
  void check_retry_at(const circuit_snapshot& s) {
    if (model_.now_is == mode::half_open) {
      if (s.probes_out == model_.o.probes) return same("retry_at", s.retry_at, never);
      if (model_.successes > 0) return same("retry_at", s.retry_at, now_);
    }
    if (model_.unknown) {
      if (model_.now_is == mode::half_open && s.retry_at == now_) return;  // or some time before
      require(s.retry_at >= model_.earliest, "opens too early");
      require(s.retry_at <= model_.latest, "stays open too long");
      model_.know(s.retry_at);
    }
    const bool at_once = model_.now_is == mode::half_open && model_.retry_at < now_;
    same("retry_at", s.retry_at, at_once ? now_ : model_.retry_at);
  }

  circuit_breaker_policy breaker_;
  plain_breaker model_;
  time_point now_ = time_point{} + 1h;
  stage_driver told_;
  seeded_entropy random_{7};
  std::vector<std::unique_ptr<call>> out_;
  int next_ = 0;
};

/// Runs the events of one sequence; returns how many.
class life {
 public:
  explicit life(const circuit_breaker& options) : world(options) {}

  void live(const deed& d) {
    constexpr std::size_t most_out = 12;
    if (d.name == "ask" || d.name == "ask_in_a_stage") {
      if (world.out() < most_out)
        world.ask(d.name != "ask", d.once_in(3) ? world.now() + d.upto(5s) : never);
    } else if (d.name == "end") {
      if (world.out() > 0) world.end(d.which(world.out()), any_end(d, ailing_ > 0));
      if (ailing_ > 0) --ailing_;
    } else if (d.name == "drop") {
      if (world.out() > 0) world.drop(d.which(world.out()));
    } else if (d.name == "pass_time") {
      world.pass(d.upto(1500ms));
    } else if (d.name == "pass_long") {
      world.pass(d.upto(3min));
    } else if (d.name == "clock_goes_back") {
      world.pass(-d.upto(2s));
    } else if (d.name == "pass_to_retry_at") {
      if (world.model().now_is == mode::open) world.pass_to(world.model().retry_at);
    } else if (d.name == "pass_to_lease_end") {
      if (!world.model().probes.empty())
        world.pass_to(world.model().probes.front().second - (d.once_in(2) ? 1ns : 0ns));
    } else if (d.name == "dependency_ails") {
      ailing_ = 40;
    } else if (d.name == "force") {
      world.force(d.which(4));
    }
  }

  both world;

 private:
  int ailing_ = 0;  // so many more ends of calls are mostly failures
};

const std::vector<kind> own_ways = {{"ask", 220},
                                    {"ask_in_a_stage", 220},
                                    {"end", 380},
                                    {"drop", 10},
                                    {"pass_time", 110},
                                    {"pass_long", 3},
                                    {"pass_to_retry_at", 10},
                                    {"pass_to_lease_end", 3},
                                    {"dependency_ails", 4}};

std::vector<kind> with_more(std::vector<kind> base, const std::vector<kind>& more) {
  base.insert(base.end(), more.begin(), more.end());
  return base;
}
const std::vector<kind> all_ways = with_more(own_ways, {{"clock_goes_back", 2}, {"force", 3}});

TEST(circuit_breaker_property, agrees_with_the_plain_model) {
  std::size_t visits[8] = {};
  std::uint64_t late = 0;
  holds("circuit breaker", breaker_events, [&] {
    life one(any_options());
    const auto all = *deeds(all_ways, breaker_events);
    for (const deed& d : all) {
      one.live(d);
      ++visits[static_cast<int>(one.world.model().state())];
    }
    late += one.world.model().late;
    return all.size();
  });
  if (is_replay()) return;
  for (int each = 0; each < 8; ++each)
    EXPECT_GT(visits[each], 100U) << to_string(static_cast<circuit_state>(each));
  EXPECT_GT(late, 20U);
}

/// A healthy dependency: each call succeeds at once, and whoever is refused comes again when told
/// to. How long it takes until the circuit is closed.
duration recover(both& world, int probes_to_close) {
  const time_point begin = world.now();
  int asked = 0;
  while (world.model().now_is != mode::closed) {
    require(++asked <= 4 + 2 * probes_to_close, "asks without end");
    if (world.ask(false, never))
      world.end(world.out() - 1, succeeded());
    else if (world.model().now_is == mode::open)
      world.pass_to(world.look().retry_at);
    else if (world.look().retry_at != never)
      world.pass_to(world.look().retry_at);
    else
      world.pass_to(world.model().probes.front().second);
  }
  return world.now() - begin;
}

// What is out comes back well, or hangs for ever.
TEST(circuit_breaker_property, a_healthy_dependency_leads_back_to_closed_from_every_state) {
  const std::vector<kind> ways = with_more(own_ways, {{"recover", 15}, {"recover_from_force", 5}});
  std::size_t from[3] = {};
  holds("recovery of the circuit breaker", recovery_events, [&] {
    const circuit_breaker o = any_options();
    life one(o);
    both& world = one.world;
    const auto all = *deeds(ways, recovery_events);
    for (const deed& d : all) {
      if (!d.name.starts_with("recover")) {
        one.live(d);
        continue;
      }
      if (d.name == "recover_from_force") {
        world.force(1 + d.which(3));
        world.force(0);
      }
      if (d.once_in(2))
        while (world.out() > 0) world.end(0, succeeded());
      ++from[static_cast<int>(world.model().now_is)];

      // A round of probing ends, a probe that hangs fails at the end of its lease, and the circuit
      // opens once more.
      duration allowed = *o.open_cap + std::max(*o.open_cap, o.hint_cap);
      time_point last = world.now();
      for (const auto& probe : world.model().probes) last = std::max(last, probe.second);
      allowed += last - world.now();
      require(recover(world, o.probes_to_close) <= allowed, "it takes longer than the open time");
      same("asked once more", world.ask(false, never), true);
      world.end(world.out() - 1, succeeded());
      same("state of a healthy dependency", world.model().now_is, mode::closed);
    }
    return all.size();
  });
  if (is_replay()) return;
  for (const mode each : {mode::closed, mode::open, mode::half_open})
    EXPECT_GT(from[static_cast<int>(each)], 2U) << static_cast<int>(each);
}

}  // namespace
}  // namespace hawser::test::circuit_breaker_property
