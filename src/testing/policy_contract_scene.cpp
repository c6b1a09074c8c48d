#include "policy_contract_scene.hpp"

#include "policy_contract_watch.hpp"

#include "hawser/policy/retry.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/async.hpp"
#include "hawser/testing/manual_environment.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include <algorithm>
#include <deque>
#include <new>
#include <optional>
#include <stdexcept>
#include <utility>

namespace hawser::inline v0::testing::contract {

namespace asio = boost::asio;

namespace {

using std::chrono::milliseconds;

constexpr int calls = 3;
constexpr int most_turns = 400;
constexpr auto limit_around = milliseconds(12);

/// A policy further inside than the one under test.
class neighbour_policy final : public policy {
 public:
  explicit neighbour_policy(neighbour how) : how_(how) {}
  std::string_view kind() const noexcept override { return "neighbour"; }
  std::size_t stage_size() const noexcept override { return sizeof(on_call); }
  std::size_t stage_alignment() const noexcept override { return alignof(on_call); }
  bool stage_is_trivial() const noexcept override { return true; }
  stage* make_stage(void* memory) override { return ::new (memory) on_call(how_); }

 private:
  struct on_call final : stage {
    explicit on_call(neighbour h) : how(h) {}
    step enter(tick& t) override {
      if (how == neighbour::throws_on_enter) throw std::runtime_error("a neighbour's enter");
      if (how == neighbour::throws_on_timer) return step::sleep(later(t.now(), milliseconds(4)));
      return step::call_inner();
    }
    step timer(tick&) override { throw std::runtime_error("a neighbour's timer"); }
    step inner_done(int, const outcome& o, tick& t) override {
      if (how == neighbour::throws_at_end) throw std::runtime_error("a neighbour's inner_done");
      if (how != neighbour::voids) return t.finish(o);
      outcome nothing = o;
      nothing.result = verdict::ignored;
      if (!nothing.error) nothing.error = errc::operation_failed;
      return t.finish(nothing);
    }
    neighbour how;
  };
  neighbour how_;
};

/// Counts calls, and throws all the same.
class throwing_observer final : public observer {
 public:
  void on_event(const event& what) override {
    if (what.kind == event_kind::call_started) ++started;
    if (what.kind == event_kind::call_finished) ++finished;
    throw std::runtime_error("an observer");
  }
  int started = 0;
  int finished = 0;
};

/// The operation: a scripted one, which may throw when it is started.
struct operation_under_test {
  scripted_operation scripted;
  bool throws;
  template <class CompletionToken>
  auto operator()(CompletionToken&& token) const {
    if (throws) throw std::runtime_error("an initiating function");
    return scripted(std::forward<CompletionToken>(token));
  }
};

struct handler_threw {};

/// One call of a run.
struct one_call {
  asio::cancellation_signal signal;
  int completions = 0;
  bool inline_completion = false;
  bool elsewhere = false;
};

class scene {
 public:
  scene(const contract_subject& subject, const scenario& s, findings& into)
      : subject_(subject), scenario_(s), into_(into), policy_(subject.make()) {
    env_.on_leftover({});
  }

  std::vector<int> play() {
    start();
    std::vector<int> steps{0};
    for (int i = 0; i < most_turns; ++i) {
      if (i == scenario_.at) disturb();
      if (down_) break;
      const int before = seen_.told();
      if (!turn()) break;
      if (seen_.told() == before) continue;
      if (steps.back() < i) steps.push_back(i);  // the news is on its way, ...
      steps.push_back(i + 1);                    // ... and it has arrived
    }
    if (!down_) finish();
    check();
    return steps;
  }

 private:
  void start() {
    pipeline_builder first = stack(scenario_.how);
    const auto op = first.build(env_).wrap(what_is_called());
    const auto other = stack(shape::in_retry).build(env_).wrap(what_is_called());
    // From within the executor: there a completion that is not posted would run inline.
    for (int i = 0; i < calls; ++i)
      asio::post(env_.get_executor(), [&, i] {
        start_call(scenario_.how == shape::in_two_pipelines && i % 2 == 1 ? other : op);
      });
    for (int i = 0; i < calls; ++i) turn();
  }

  pipeline_builder stack(shape how) {
    pipeline_builder b{"contract"};
    b.calls_are(effect::idempotent);
    b.max_amplification(10'000);
    if (how != shape::alone) b.observe(listener_);
    if (how == shape::in_retry)
      b.add(retry{.max_attempts = 2, .delay = constant{.each = milliseconds(3)}});
    if (how == shape::in_timeout) b.add(timeout{.after = limit_around});
    b.add(around_);
    if (how == shape::in_retry) b.add(timeout{.after = limit_around});
    if (scenario_.what->inside != neighbour::none)
      b.add(std::make_shared<neighbour_policy>(scenario_.what->inside));
    return b;
  }

  [[nodiscard]] operation_under_test what_is_called() const {
    return {scripted_operation(env_, scenario_.what->script), scenario_.what->throws_on_start};
  }

  template <class Op>
  void start_call(const Op& op) {
    one_call& c = calls_.emplace_back();
    const auto strand = asio::make_strand(env_.get_executor());
    starting_ = true;
    op(asio::bind_cancellation_slot(
        c.signal.slot(), asio::bind_executor(strand, [this, &c, strand](error_code, int) {
          ++c.completions;
          if (starting_) c.inline_completion = true;
          if (!strand.running_in_this_thread()) c.elsewhere = true;
          if (scenario_.when == disturbance::handlers_throw) throw handler_threw();
        })));
    starting_ = false;
  }

  /// Runs one handler or timer. False when there is none soon.
  bool turn() {
    try {
      return env_.run_one();
    } catch (const handler_threw&) {
      return true;
    }
  }

  void disturb() {
    constexpr asio::cancellation_type types[] = {asio::cancellation_type::terminal,
                                                 asio::cancellation_type::partial,
                                                 asio::cancellation_type::total};
    const auto type = types[scenario_.at % 3];
    switch (scenario_.when) {
      case disturbance::none:
      case disturbance::handlers_throw: break;
      case disturbance::cancel_one:
        calls_[static_cast<std::size_t>(scenario_.at % calls)].signal.emit(type);
        break;
      case disturbance::cancel_all:
        for (one_call& c : calls_) c.signal.emit(type);
        break;
      case disturbance::leap: env_.leap(std::chrono::hours(1)); break;
      case disturbance::shut_down:
        env_.shut_down();
        down_ = true;
        break;
    }
  }

  [[nodiscard]] bool all_done() const {
    return std::all_of(calls_.begin(), calls_.end(),
                       [](const one_call& c) { return c.completions != 0; });
  }

  void wait_for_all() {
    for (;;) {
      try {
        env_.run_until([this] { return all_done(); }, subject_.patience);
        return;
      } catch (const handler_threw&) {
      }
    }
  }

  void finish() {
    wait_for_all();
    if (all_done()) return;
    if (scenario_.what->ends)
      find("a call did not end by itself, though all that it called had ended",
           seen_.where_they_stand());
    for (one_call& c : calls_)
      if (c.completions == 0) c.signal.emit(asio::cancellation_type::terminal);
    wait_for_all();
    if (!all_done()) find("a call never ended, not even cancelled", seen_.where_they_stand());
  }

  void check() {
    for (const one_call& c : calls_) {
      if (c.completions > 1)
        find("a call completed more than once", std::to_string(c.completions) + " times");
      if (c.inline_completion) find("a call completed inline");
      if (c.elsewhere) find("a call completed on another executor than its handler's");
    }
    if (!down_ && !env_.quiet())
      find("timers or work are left behind", std::to_string(env_.waits()) + " timers");
    if (seen_.entered() != seen_.left())
      find("stages entered and left do not match", "entered " + std::to_string(seen_.entered()) +
                                                       " times, left " +
                                                       std::to_string(seen_.left()));
    if (!down_ && listener_->started != listener_->finished)
      find("observers were not told of every end",
           std::to_string(listener_->started) + " calls started, " +
               std::to_string(listener_->finished) + " finished");
    for (const std::string& what : seen_.broken()) find(what);
    if (subject_.leftover) {
      const std::string rest = subject_.leftover(*policy_, env_.now());
      if (!rest.empty()) find("still held when no call is left", rest);
    }
    if (!down_ && subject_.recovers_after) check_recovery();
    into_.next_run();
  }

  void check_recovery() {
    const std::string fresh = healthy_call(subject_.make(), env_);
    env_.advance(*subject_.recovers_after);
    const std::string used = healthy_call(policy_, env_);
    if (used != fresh)
      find("long after the last call it does not treat a healthy one as a fresh policy does",
           "fresh: " + (fresh.empty() ? "success" : fresh) +
               ", used: " + (used.empty() ? "success" : used));
  }

  void find(const std::string& what, const std::string& detail = {}) {
    static constexpr const char* places[] = {"alone", "inside a retry", "inside a timeout",
                                             "in two pipelines"};
    static constexpr const char* events[] = {"undisturbed",        "the handlers throw",
                                             "one call cancelled", "all calls cancelled",
                                             "time leaping",       "the context destroyed"};
    std::string where = std::string("first seen ") + places[static_cast<int>(scenario_.how)] +
                        ", calling: " + scenario_.what->name + ", " +
                        events[static_cast<int>(scenario_.when)];
    if (scenario_.when >= disturbance::cancel_one)
      where += " at turn " + std::to_string(scenario_.at);
    into_.add(what, detail, where);
  }

  const contract_subject& subject_;
  const scenario& scenario_;
  findings& into_;
  std::shared_ptr<policy> policy_;
  policy_watch seen_;
  std::shared_ptr<watched_policy> around_ = std::make_shared<watched_policy>(policy_, seen_);
  std::shared_ptr<throwing_observer> listener_ = std::make_shared<throwing_observer>();
  std::deque<one_call> calls_;
  bool starting_ = false;
  bool down_ = false;
  manual_environment env_;
};

}  // namespace

const std::vector<behaviour>& behaviours() {
  namespace sys = boost::system::errc;
  const auto ms = [](int n) { return milliseconds(n); };
  const auto good = [&] { return scripted_end::ok(1).after(ms(5)); };
  const auto fails = [](auto code) { return scripted_end::fail(sys::make_error_code(code)); };
  static const std::vector<behaviour> all{
      {.name = "success", .script = {good()}},
      {.name = "success at once", .script = {scripted_end::ok(1)}},
      {.name = "success as the limit around it passes",
       .script = {scripted_end::ok(1).after(limit_around)}},
      {.name = "failure", .script = {fails(sys::connection_reset).after(ms(5))}},
      {.name = "never sent", .script = {fails(sys::connection_refused)}},
      {.name = "failure, then success",
       .script = {fails(sys::permission_denied).after(ms(3)), scripted_end::ok(1).after(ms(3))}},
      {.name = "cancelled of its own",
       .script = {scripted_end::fail(canceled_error()).after(ms(5))}},
      {.name = "void by a classifier", .script = {good()}, .inside = neighbour::voids},
      {.name = "rejection of its own",
       .script = {scripted_end::fail(errc::rate_limited).after(ms(5))}},
      {.name = "throws when started", .script = {good()}, .throws_on_start = true},
      {.name = "hangs", .script = {scripted_end::hang()}, .ends = false},
      {.name = "slow to cancel", .script = {scripted_end::ok(1).after(ms(30)).winding_up(ms(7))}},
      {.name = "deaf to cancellation", .script = {scripted_end::ok(1).after(ms(30)).deaf()}},
      {.name = "neighbour throws on entering",
       .script = {good()},
       .inside = neighbour::throws_on_enter},
      {.name = "neighbour throws on its timer",
       .script = {good()},
       .inside = neighbour::throws_on_timer},
      {.name = "neighbour throws at the end",
       .script = {good()},
       .inside = neighbour::throws_at_end},
  };
  return all;
}

std::vector<int> play(const contract_subject& subject, const scenario& s, findings& into) {
  return scene(subject, s, into).play();
}

}  // namespace hawser::inline v0::testing::contract
