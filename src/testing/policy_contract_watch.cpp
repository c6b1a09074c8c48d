#include "policy_contract_watch.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace hawser::inline v0::testing {

namespace {

constexpr std::byte untouched{0xA5};
// A stage that asks so often at one moment goes round in circles.
constexpr int most_at_once = 1000;

}  // namespace

void policy_watch::blame(std::string what) {
  if (std::find(broken_.begin(), broken_.end(), what) == broken_.end())
    broken_.push_back(std::move(what));
}

std::string policy_watch::where_they_stand() const {
  return inside_.empty() ? "no stage of it is left inside" : inside_.front()->where();
}

void policy_watch::relay::wake() noexcept {
  if (to_ != nullptr)
    to_->wake();
  else
    home_.blame("a stage was woken after it left: its waker was not taken back in leave()");
}

/// The moment as the watched stage sees it: the engine's, with a waker of ours.
class watched_policy::moment final : public tick {
 public:
  moment(tick& real, policy_watch::relay& relay) : real_(real), relay_(relay) {
    now_ = real.now();
    deadline_ = real.deadline();
    random_ = &real.random();
    result_ = &own_;
    attempts_ = real.attempts();
    priority_ = real.priority();
    cost_ = real.cost();
    effect_ = real.what();
    effect_said_ = real.effect_said();
    body_ = real.body();
    observed_ = real.observed();
    canceling_ = real.canceling();
    repeatable_ = real.repeatable();
    unresolved_ = real.unresolved();
  }
  waker& wake_handle() noexcept override {
    relay_.lead_to(&real_.wake_handle());
    return relay_;
  }
  bool substitute(substitute_source& source, const outcome& failed) override {
    substituted_ = real_.substitute(source, failed);
    return substituted_;
  }
  [[nodiscard]] const outcome& finished_with() const noexcept { return own_; }
  [[nodiscard]] bool substituted() const noexcept { return substituted_; }

 private:
  void deliver(event& what) override { real_.emit(what); }

  tick& real_;
  policy_watch::relay& relay_;
  outcome own_;
  bool substituted_ = false;
};

class watched_policy::on_call final : public stage, public policy_watch::standing {
 public:
  on_call(stage& inner, policy& owner, std::byte* behind, policy_watch& seen)
      : inner_(inner),
        owner_(owner),
        behind_(behind),
        seen_(seen),
        relay_(seen.relays_.emplace_back(seen)) {}

  ~on_call() override {
    if (inside_) seen_.blame("a stage was destroyed without having left");
    if (!owner_.stage_is_trivial()) inner_.~stage();
    look_behind();
  }

  step enter(tick& t) override {
    ++seen_.entered_;
    if (inside_) seen_.blame("a stage was entered twice");
    inside_ = true;
    seen_.inside_.push_back(this);
    return ask(t, [&](tick& m) { return inner_.enter(m); });
  }
  step inner_done(int child, const outcome& o, tick& t) override {
    running_ = false;
    something_ended_ = true;
    return ask(t, [&](tick& m) { return inner_.inner_done(child, o, m); });
  }
  step timer(tick& t) override {
    return ask(t, [&](tick& m) { return inner_.timer(m); });
  }
  step woken(tick& t) override {
    return ask(t, [&](tick& m) { return inner_.woken(m); });
  }
  outcome canceled(const outcome& o, tick& t) override {
    hear(t.now());
    seen_.cut_off_ = where();
    moment m(t, relay_);
    outcome own = inner_.canceled(o, m);
    check_outcome(own);
    return own;
  }
  void leave() noexcept override {
    check_inside();
    ++seen_.told_;
    ++seen_.left_;
    inside_ = false;
    relay_.lead_to(nullptr);
    std::erase(seen_.inside_, this);
    inner_.leave();
    look_behind();
  }

 private:
  template <class Ask>
  step ask(tick& t, Ask what) {
    const bool in_circles = hear(t.now());
    moment m(t, relay_);
    step s = what(m);
    last_ = s.what();
    until_ = s.at();
    if (s.what() == step::verb::finish) {
      if (m.substituted()) something_ended_ = true;
      check_outcome(m.finished_with());
      return t.finish(m.finished_with());
    }
    if (in_circles) {
      seen_.blame("a stage asked for the same moment again and again, for ever");
      return stop_it(t);
    }
    if (s.what() == step::verb::call_inner && !running_ && !t.canceling()) {
      running_ = true;
      ++calls_;
      if (calls_ > owner_.amplification()) {
        seen_.blame(
            "a stage called what is inside more often for one call than amplification() "
            "admits, which is " +
            std::to_string(owner_.amplification()));
        if (calls_ > owner_.amplification() + 8) return stop_it(t);
      }
    }
    return s;
  }

  static step stop_it(tick& t) {
    outcome o;
    o.result = verdict::failed;
    o.from = origin::policy;
    o.error = errc::operation_failed;
    return t.finish(o);
  }

  /// The stage is told something. Whether that has come too often.
  bool hear(time_point now) {
    check_inside();
    ++seen_.told_;
    if (std::exchange(moment_, now) != now) heard_at_once_ = 0;
    return ++heard_at_once_ > most_at_once;
  }
  void check_inside() noexcept {
    if (!inside_)
      seen_.blame(seen_.left_ > 0 ? "a stage was told something after it left"
                                  : "a stage was told something before it was entered");
  }
  void check_outcome(const outcome& o) {
    if (o.ok() && o.error) seen_.blame("a stage finished with a success that carries an error");
    if (!o.ok() && !o.error) seen_.blame("a stage finished with a failure that names no error");
    if (o.ok() && !something_ended_)
      seen_.blame("a stage finished with a success though nothing was called that could give one");
  }
  void look_behind() noexcept {
    for (std::size_t i = 0; i < fence; ++i)
      if (behind_[i] != untouched) {
        seen_.blame("a stage wrote behind its stage_size()");
        return;
      }
  }

  std::string where() const override {
    switch (last_) {
      case step::verb::sleep:
        return until_ == never ? "its stage sleeps for ever" : "its stage sleeps for too long";
      case step::verb::park:
        return until_ == never ? "its stage is parked, and nobody wakes it"
                               : "its stage is parked for too long";
      default: return "its stage waits for what is inside";
    }
  }

  stage& inner_;
  policy& owner_;
  std::byte* behind_;
  policy_watch& seen_;
  policy_watch::relay& relay_;
  step::verb last_ = step::verb::call_inner;
  time_point until_ = never;
  time_point moment_{};
  int heard_at_once_ = 0;
  unsigned calls_ = 0;
  bool running_ = false;
  bool something_ended_ = false;
  bool inside_ = false;
};

std::size_t watched_policy::offset() noexcept {
  constexpr std::size_t unit = alignof(std::max_align_t);
  return (sizeof(on_call) + unit - 1) / unit * unit;
}

std::size_t watched_policy::stage_size() const noexcept {
  return offset() + inner_->stage_size() + fence;
}

stage* watched_policy::make_stage(void* memory) {
  std::byte* const theirs = static_cast<std::byte*>(memory) + offset();
  std::byte* const behind = theirs + inner_->stage_size();
  std::memset(behind, static_cast<int>(untouched), fence);
  stage* const inner = inner_->make_stage(theirs);
  return ::new (memory) on_call(*inner, *inner_, behind, seen_);
}

}  // namespace hawser::inline v0::testing
