// Retry against the questions of its documentation, asked in their order.
#include "hawser/policy/retry.hpp"

#include "property/random_events.hpp"
#include "support/stage_driver.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

namespace hawser::test::retry_property {
namespace {

using namespace std::chrono_literals;

/// Says yes or no as it is told, and counts who asked.
struct told_budget final : budget {
  std::string_view name() const noexcept override { return "told"; }
  double price(const outcome& failed) const noexcept override { return 1 + failed.status; }
  bool try_spend(const outcome&, time_point) noexcept override {
    ++asked;
    return pays;
  }
  void call_started(time_point) noexcept override { ++started; }
  void succeeded(double payment, time_point) noexcept override {
    ++paid_back;
    payment_told = payment;
  }
  void refund(double payment, time_point) noexcept override {
    ++refunds;
    refund_told = payment;
  }
  double balance(time_point) const noexcept override { return 0; }
  bool pays = true;
  int asked = 0, started = 0, paid_back = 0;
  int refunds = 0;
  double payment_told = 0, refund_told = 0;
};

struct bounds {
  duration least;
  duration most;
};

/// What may be drawn before retry number `n`. `previous` only matters to decorrelated jitter.
bounds wait_of(const backoff& how, int n, duration previous) {
  double base = 0, fib_before = 0;
  duration cap{}, first{};
  jitter spread{};
  if (const auto* c = std::get_if<constant>(&how)) {
    base = static_cast<double>(c->each.count());
    first = cap = c->each;
    spread = c->spread;
  } else if (const auto* l = std::get_if<linear>(&how)) {
    base = static_cast<double>((l->first + (n - 1) * l->step).count());
    first = l->first, cap = l->cap, spread = l->spread;
  } else if (const auto* e = std::get_if<exponential>(&how)) {
    base = static_cast<double>(e->first.count()) * std::pow(e->factor, n - 1);
    first = e->first, cap = e->cap, spread = e->spread;
  } else if (const auto* f = std::get_if<fibonacci>(&how)) {
    base = static_cast<double>(f->first.count());
    for (int i = 1; i < n; ++i) {
      const double next = base + fib_before;
      fib_before = base;
      base = next;
    }
    first = f->first, cap = f->cap, spread = f->spread;
  }
  const duration top =
      base < static_cast<double>(cap.count()) ? duration(static_cast<std::int64_t>(base)) : cap;
  switch (spread) {
    case jitter::none: return {top, top};
    case jitter::full: return {std::min(top, duration(1)), top};
    case jitter::equal: return {top / 2, top};
    case jitter::decorrelated: return {first, std::min(cap, 3 * std::max(previous, first))};
  }
  return {top, top};
}

const std::vector<kind> retry_ways = {{"fail", 70},    {"fail_for_good", 2},  {"succeed", 6},
                                      {"void_end", 2}, {"refused_inside", 8}, {"cut_off", 2}};

/// One policy, and calls through it one after the other.
class retry_life {
 public:
  retry_life(retry options, std::shared_ptr<told_budget> wallet)
      : o(std::move(options)), wallet_(std::move(wallet)), policy_(o) {}

  void live(const deed& d) {
    if (!call_) begin(d);
    if (d.name == "fail" || d.name == "fail_for_good") attempt_fails(d);
    if (d.name == "succeed") attempt_succeeds(d);
    if (d.name == "void_end") attempt_is_void();
    if (d.name == "refused_inside") refused_inside(d);
    if (d.name == "cut_off") cut_off_ = true;  // in the next sleep
  }

  const retry o;
  int stopped[static_cast<int>(reason::succeeded) + 1] = {};
  int calls = 0;
  int slept = 0;

 private:
  void begin(const deed& d) {
    ++calls;
    t_.set_now(t_.now() + d.upto(1s));
    t_.set_effect(static_cast<effect>(d.which(4)));
    t_.set_body(d.once_in(30) ? replay::consumed : replay::replayable);
    t_.set_deadline(d.once_in(3) ? t_.now() + d.upto(20s) : never);
    failures_ = 0, refusals_ = 0, last_.reset(), previous_ = {}, cut_off_ = false;
    const int before = wallet_ ? wallet_->started : 0;
    refunds_before_ = wallet_ ? wallet_->refunds : 0;
    call_.emplace(policy_);
    same("enters", (*call_)->enter(t_).what(), verb::call_inner);
    if (wallet_) same("calls told to the budget", wallet_->started, before + 1);
  }

  step ends(const outcome& with) {
    t_.set_attempts(failures_ + 1);
    return (*call_)->inner_done(0, with, t_);
  }

  void attempt_fails(const deed& d) {
    outcome with = failed(errc::server_error, static_cast<evidence>(d.which(4)));
    with.transient = d.name == "fail";
    with.status = ++serial_;
    if (d.once_in(4)) with.server_wait = d.upto(2 * o.max_server_wait + 1s);
    if (wallet_) wallet_->pays = !d.once_in(7);
    const int asked = wallet_ ? wallet_->asked : 0;
    t_.advance(d.upto(200ms));
    const duration floor = o.skip_hopeless ? policy_.service_floor(t_.now()) : 0ns;
    const step got = ends(with);
    ++failures_;
    last_ = with;

    const bounds own = wait_of(o.delay, failures_, previous_);
    const duration hint = with.server_wait;
    const duration left = remaining(t_.deadline(), t_.now());
    const auto fits = [&](duration wait) {
      return left == duration::max() || (wait < left && floor < left - wait);
    };
    const bool sleeps = got.what() == verb::sleep;
    const duration wait = sleeps ? got.at() - t_.now() : duration(0);
    const auto asks_budget = [&](bool yes) {
      if (wallet_) same("asked of the budget", wallet_->asked - asked, yes ? 1 : 0);
    };

    if (!with.transient) return stops(got, {reason::not_retryable}), asks_budget(false);
    const bool resend = t_.body() == replay::replayable &&
                        (t_.what() != effect::unsafe || with.delivery == evidence::never_sent ||
                         with.delivery == evidence::refused);
    if (!resend) return stops(got, {reason::not_resendable}), asks_budget(false);
    if (failures_ == o.max_attempts) return stops(got, {reason::max_attempts}), asks_budget(false);
    if (hint > own.most && (hint > o.max_server_wait || !fits(hint)))
      return stops(got, {reason::server_wait}), asks_budget(false);
    if (!fits(std::max(own.least, hint)) && !fits(own.most) && hint <= own.least)
      return stops(got, {reason::deadline}), asks_budget(false);
    if (!sleeps) {
      // Drawn too long for the time left, or the budget did not pay.
      if (t_.result.why.because == reason::budget) {
        asks_budget(true);
        require(wallet_ && !wallet_->pays, "stopped by a budget that paid");
        return stops(got, {reason::budget});
      }
      asks_budget(false);
      require(!fits(std::max(own.most, hint)) || hint > o.max_server_wait,
              "stopped although there was time");
      return stops(got, {reason::deadline, reason::server_wait});
    }
    asks_budget(true);
    require(!wallet_ || wallet_->pays, "retried although the budget did not pay");
    require(wait >= std::max(own.least, std::min(hint, o.max_server_wait)), "waits too short");
    require(wait <= std::max(own.most, hint), "waits longer than the cap and the hint");
    require(hint <= wait, "a shorter sleep than the server asked for");
    require(got.at() < t_.deadline(), "sleeps past the deadline");
    // What was drawn is not known when the hint may have hidden it: then the widest range.
    previous_ = hint > own.least ? own.most : wait;
    sleep(got);
  }

  void attempt_succeeds(const deed& d) {
    const int before = wallet_ ? wallet_->paid_back : 0;
    outcome with = succeeded(10ms + d.upto(1s));
    with.status = ++serial_;
    const step got = ends(with);
    same("ends", got.what(), verb::finish);
    same("with the success", t_.result.status, with.status);
    if (wallet_) {
      same("paid back", wallet_->paid_back, before + 1);
      same("last payment", wallet_->payment_told, last_ ? 1.0 + last_->status : 0.0);
    }
    leave();
  }

  void attempt_is_void() {
    const step got = ends(ignored());
    same("ends", got.what(), verb::finish);
    same("verdict", t_.result.result, verdict::ignored);
    leave();
  }

  /// No attempt went out: none is counted, and a real error from before is kept.
  void refused_inside(const deed& d) {
    const time_point until = d.once_in(2) ? t_.now() + d.upto(2 * o.max_server_wait) : never;
    const int asked = wallet_ ? wallet_->asked : 0;
    const step got = ends(outcome::refuse(
        errc::rate_limited, {.policy = "inner", .because = reason::rate, .until = until}));
    if (wallet_) same("asked of the budget", wallet_->asked, asked);
    const bool bounded =
        t_.body() == replay::replayable &&
        (until == never ? t_.deadline() != never : remaining(until, t_.now()) <= o.max_server_wait);
    if (got.what() == verb::sleep) {
      require(o.wait_for_permission && bounded, "waits for permission unasked");
      require(until == never || got.at() >= until, "comes before it is told to");
      const time_point from = until == never ? t_.now() : until;
      const duration cap = wait_of(o.delay, 100, 1h).most;
      require(got.at() <= later(from, cap), "comes much later than it is told to");
      require(got.at() < t_.deadline(), "sleeps past the deadline");
      ++refusals_;
      return sleep(got);
    }
    if (o.wait_for_permission && bounded) {
      const time_point from = until == never ? t_.now() : until;
      require(later(from, wait_of(o.delay, 100, 1h).most) >= t_.deadline(),
              "does not wait although there is time");
    }
    never_left();
    if (last_) return stops(got, {reason::local_rejection});
    same("ends", got.what(), verb::finish);
    same("refused", t_.result.rejected, true);
    leave();
  }

  void sleep(const step& s) {
    ++slept;
    require(s.at() >= t_.now(), "sleeps backwards");
    if (cut_off_) {
      t_.advance((s.at() - t_.now()) / 2);
      outcome told = ignored();
      told.delivery = evidence::never_sent;
      const outcome ended = (*call_)->canceled(told, t_);
      never_left();
      if (last_) {
        same("cut off with the last real error", ended.status, last_->status);
        same("reason", ended.why.because, reason::deadline);
      } else {
        same("cut off", ended.error, told.error);
      }
      return leave();
    }
    t_.set_now(s.at());
    same("tries again", (*call_)->timer(t_).what(), verb::call_inner);
  }

  /// The call ended before the try came about that was paid for, if one was.
  void never_left() {
    if (!wallet_ || !last_) return;
    same("given back for what was not made", wallet_->refunds, ++refunds_before_);
    same("as much as was paid", wallet_->refund_told, 1.0 + last_->status);
  }

  /// Ends for one of these reasons, always with the last real error.
  void stops(const step& got, std::initializer_list<reason> because) {
    same("ends", got.what(), verb::finish);
    const outcome& r = t_.result;
    require(std::find(because.begin(), because.end(), r.why.because) != because.end(),
            "ends for another reason");
    same("with the last real error", r.status, last_->status);
    same("its code", r.error, last_->error);
    same("its evidence", r.delivery, last_->delivery);
    ++stopped[static_cast<int>(r.why.because)];
    leave();
  }
  void leave() {
    require(failures_ <= o.max_attempts, "more attempts than max_attempts");
    if (wallet_) same("given back for tries that were made", wallet_->refunds, refunds_before_);
    (*call_)->leave();
    call_.reset();
    t_.events.clear();
  }

  std::shared_ptr<told_budget> wallet_;
  retry_policy policy_;
  stage_driver t_;
  std::optional<stage_under_test> call_;
  std::optional<outcome> last_;
  duration previous_{};
  int failures_ = 0;
  int refusals_ = 0;
  int refunds_before_ = 0;
  int serial_ = 1000;  // tells one failure from the other
  bool cut_off_ = false;
};

backoff any_backoff() {
  const auto spread =
      one_of<jitter>("jitter", {jitter::none, jitter::full, jitter::equal, jitter::decorrelated});
  const duration cap = one_of<duration>("cap", {2s, 100ms});
  switch (number("backoff", 0, 3)) {
    case 0:
      return constant{.each = 300ms,
                      .spread = spread == jitter::decorrelated ? jitter::none : spread};
    case 1: return linear{.first = 100ms, .step = 70ms, .cap = cap, .spread = spread};
    case 2: return exponential{.first = 100ms, .factor = 2.5, .cap = cap, .spread = spread};
    default: return fibonacci{.first = 100ms, .cap = cap, .spread = spread};
  }
}

TEST(retry_property, asks_its_questions_in_order_and_never_waits_out_of_bounds) {
  int stopped[static_cast<int>(reason::succeeded) + 1] = {};
  int slept = 0;
  holds("retry", retry_events, [&] {
    retry o;
    o.max_attempts = one_of<int>("max_attempts", {3, 1, 2, 7, 30});
    o.delay = any_backoff();
    o.max_server_wait = one_of<duration>("max_server_wait", {5s, 0s, 1s});
    o.wait_for_permission = flag("wait_for_permission");
    o.skip_hopeless = flag("skip_hopeless");
    const auto wallet = flag("budget") ? std::make_shared<told_budget>() : nullptr;
    o.budget = wallet;
    retry_life one(o, wallet);
    const auto all = *deeds(retry_ways, retry_events);
    for (const deed& d : all) one.live(d);
    for (std::size_t i = 0; i < std::size(stopped); ++i) stopped[i] += one.stopped[i];
    slept += one.slept;
    return all.size();
  });
  if (is_replay()) return;
  EXPECT_GT(slept, 10'000);
  for (const reason each :
       {reason::not_retryable, reason::not_resendable, reason::max_attempts, reason::server_wait,
        reason::deadline, reason::budget, reason::local_rejection})
    EXPECT_GT(stopped[static_cast<int>(each)], 20) << to_string(each);
}

}  // namespace
}  // namespace hawser::test::retry_property
