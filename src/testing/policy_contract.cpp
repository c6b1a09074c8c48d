#include "hawser/testing/policy_contract.hpp"

#include "hawser/policy/retry.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/async.hpp"
#include "hawser/run/execute.hpp"
#include "hawser/testing/manual_environment.hpp"
#include "hawser/testing/scripted_operation.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/strand.hpp>

#include <cstddef>
#include <deque>
#include <new>
#include <stdexcept>
#include <stop_token>
#include <utility>

namespace hawser::inline v0::testing {

namespace asio = boost::asio;

namespace {

using std::chrono::milliseconds;

constexpr int calls = 4;
constexpr std::size_t most_findings = 20;

/// What the stages of one policy did.
struct tally {
  int entered = 0;
  int left = 0;
  int misuses = 0;  // told something before `enter` or after `leave`
};

/// Stands around a policy's stages and counts.
class watched final : public policy {
 public:
  watched(std::shared_ptr<policy> inner, tally& counts)
      : inner_(std::move(inner)), counts_(counts) {}

  std::string_view kind() const noexcept override { return inner_->kind(); }
  std::string_view name() const noexcept override { return inner_->name(); }
  std::size_t stage_size() const noexcept override { return offset() + inner_->stage_size(); }
  std::size_t stage_alignment() const noexcept override { return alignof(std::max_align_t); }
  unsigned amplification() const noexcept override { return inner_->amplification(); }
  stage* make_stage(void* memory) override {
    stage* const inner = inner_->make_stage(static_cast<std::byte*>(memory) + offset());
    return ::new (memory) on_call(*inner, inner_->stage_is_trivial(), counts_);
  }

 private:
  class on_call final : public stage {
   public:
    on_call(stage& inner, bool trivial, tally& counts)
        : inner_(inner), counts_(counts), trivial_(trivial) {}
    ~on_call() override {
      if (inside_) ++counts_.misuses;
      if (!trivial_) inner_.~stage();
    }
    step enter(tick& t) override {
      ++counts_.entered;
      inside_ = true;
      return inner_.enter(t);
    }
    step inner_done(int child, const outcome& o, tick& t) override {
      check();
      return inner_.inner_done(child, o, t);
    }
    step timer(tick& t) override {
      check();
      return inner_.timer(t);
    }
    step woken(tick& t) override {
      check();
      return inner_.woken(t);
    }
    outcome canceled(const outcome& o, tick& t) override {
      check();
      return inner_.canceled(o, t);
    }
    void leave() noexcept override {
      check();
      inside_ = false;
      ++counts_.left;
      inner_.leave();
    }

   private:
    void check() noexcept {
      if (!inside_) ++counts_.misuses;
    }
    stage& inner_;
    tally& counts_;
    bool trivial_;
    bool inside_ = false;
  };

  static constexpr std::size_t offset() noexcept {
    constexpr std::size_t unit = alignof(std::max_align_t);
    return (sizeof(on_call) + unit - 1) / unit * unit;
  }

  std::shared_ptr<policy> inner_;
  tally& counts_;
};

/// A neighbour that throws.
enum class throws : std::uint8_t { never, on_enter, on_inner_done };

class thrower final : public policy {
 public:
  explicit thrower(throws when) : when_(when) {}
  std::string_view kind() const noexcept override { return "thrower"; }
  std::size_t stage_size() const noexcept override { return sizeof(on_call); }
  std::size_t stage_alignment() const noexcept override { return alignof(on_call); }
  bool stage_is_trivial() const noexcept override { return true; }
  stage* make_stage(void* memory) override { return ::new (memory) on_call(when_); }

 private:
  struct on_call final : stage {
    explicit on_call(throws w) : when(w) {}
    step enter(tick&) override {
      if (when == throws::on_enter) throw std::runtime_error("a neighbour's enter");
      return step::call_inner();
    }
    step inner_done(int, const outcome& o, tick& t) override {
      if (when == throws::on_inner_done) throw std::runtime_error("a neighbour's inner_done");
      return t.finish(o);
    }
    throws when;
  };
  throws when_;
};

struct behaviour {
  const char* name;
  std::vector<scripted_end> script;
  throws neighbour = throws::never;
};

std::vector<behaviour> behaviours() {
  namespace sys = boost::system::errc;
  const error_code reset = sys::make_error_code(sys::connection_reset);
  const error_code refused = sys::make_error_code(sys::connection_refused);
  const error_code denied = sys::make_error_code(sys::permission_denied);
  const auto ms = [](int n) { return milliseconds(n); };
  return {
      {"success", {scripted_end::ok(1).after(ms(5))}},
      {"success at once", {scripted_end::ok(1)}},
      {"failure", {scripted_end::fail(reset).after(ms(5))}},
      {"never sent", {scripted_end::fail(refused)}},
      {"failure, then success",
       {scripted_end::fail(denied).after(ms(3)), scripted_end::ok(1).after(ms(3))}},
      {"void", {scripted_end::fail(canceled_error()).after(ms(5))}},
      {"rejection of its own", {scripted_end::fail(errc::rate_limited).after(ms(5))}},
      {"hang", {scripted_end::hang()}},
      {"slow to cancel", {scripted_end::ok(1).after(ms(30)).winding_up(ms(7))}},
      {"deaf to cancellation", {scripted_end::ok(1).after(ms(30)).deaf()}},
      {"neighbour throws on entering", {scripted_end::ok(1).after(ms(5))}, throws::on_enter},
      {"neighbour throws at the end", {scripted_end::ok(1).after(ms(5))}, throws::on_inner_done},
  };
}

enum class disturbance : std::uint8_t { none, cancel_one, cancel_all, leap, shut_down };
constexpr const char* disturbance_names[] = {"nothing", "one call cancelled", "all calls cancelled",
                                             "a leap in time", "the context destroyed"};
enum class shape : std::uint8_t { alone, in_retry, in_timeout };
constexpr const char* shape_names[] = {"alone", "inside a retry", "inside a timeout"};

struct scenario {
  shape how = shape::alone;
  const behaviour* what = nullptr;
  disturbance when = disturbance::none;
  int at = 0;  // which step
};

/// One call of a scenario.
struct one_call {
  asio::cancellation_signal signal;
  int completions = 0;
  bool inline_completion = false;
  bool elsewhere = false;
};

class scene {
 public:
  scene(const contract_subject& subject, const scenario& s, std::vector<std::string>& findings)
      : subject_(subject), scenario_(s), findings_(findings), policy_(subject.make()) {
    env_.on_leftover({});
  }

  void play() {
    start();
    for (int i = 0; i < steps; ++i) {
      if (i == scenario_.at) disturb();
      if (down_) break;
      env_.advance(milliseconds(3));
    }
    if (!down_) {
      env_.run_until([this] { return all_done(); }, std::chrono::minutes(5));
      for (one_call& c : calls_)
        if (c.completions == 0) c.signal.emit(asio::cancellation_type::terminal);
      env_.run_until([this] { return all_done(); }, std::chrono::minutes(5));
    }
    check();
  }

  static constexpr int steps = 13;

 private:
  void start() {
    pipeline_builder stack{"contract"};
    const auto around = std::make_shared<watched>(policy_, counts_);
    switch (scenario_.how) {
      case shape::alone: stack.add(around); break;
      case shape::in_retry:
        stack.add(retry{.max_attempts = 2, .delay = constant{.each = milliseconds(3)}})
            .add(around)
            .add(timeout{.after = milliseconds(12)});
        break;
      case shape::in_timeout: stack.add(timeout{.after = milliseconds(11)}).add(around); break;
    }
    stack.max_amplification(1000);
    if (scenario_.what->neighbour != throws::never)
      stack.add(std::make_shared<thrower>(scenario_.what->neighbour));
    const auto op = stack.build(env_).wrap(scripted_operation(env_, scenario_.what->script));
    for (int i = 0; i < calls; ++i) {
      one_call& c = calls_.emplace_back();
      const auto strand = asio::make_strand(env_.get_executor());
      bool starting = true;
      starting_ = &starting;
      op(asio::bind_cancellation_slot(
          c.signal.slot(), asio::bind_executor(strand, [this, &c, strand](error_code, int) {
            ++c.completions;
            if (starting_ != nullptr) c.inline_completion = true;
            if (!strand.running_in_this_thread()) c.elsewhere = true;
          })));
      starting_ = nullptr;
    }
  }

  void disturb() {
    constexpr asio::cancellation_type types[] = {asio::cancellation_type::terminal,
                                                 asio::cancellation_type::partial,
                                                 asio::cancellation_type::total};
    const auto type = types[scenario_.at % 3];
    switch (scenario_.when) {
      case disturbance::none: break;
      case disturbance::cancel_one:
        calls_[static_cast<std::size_t>(scenario_.at % calls)].signal.emit(type);
        break;
      case disturbance::cancel_all:
        for (one_call& c : calls_) c.signal.emit(type);
        break;
      case disturbance::leap: env_.advance(std::chrono::hours(1)); break;
      case disturbance::shut_down:
        env_.shut_down();
        down_ = true;
        break;
    }
  }

  bool all_done() const {
    for (const one_call& c : calls_)
      if (c.completions == 0) return false;
    return true;
  }

  void check() {
    for (const one_call& c : calls_) {
      if (c.completions > 1) find("a call completed " + std::to_string(c.completions) + " times");
      if (c.completions == 0 && !down_) find("a call never completed");
      if (c.inline_completion) find("a call completed inline");
      if (c.elsewhere) find("a call completed on another executor than its handler's");
    }
    if (!down_ && !env_.quiet())
      find("left behind: " + std::to_string(env_.waits()) + " timers or some work");
    if (counts_.entered != counts_.left)
      find("entered " + std::to_string(counts_.entered) + " times, left " +
           std::to_string(counts_.left));
    if (counts_.misuses != 0) find("a stage was told something before entering or after leaving");
    if (subject_.leftover) {
      const std::string rest = subject_.leftover(*policy_, env_.now());
      if (!rest.empty()) find("still held: " + rest);
    }
  }

  void find(const std::string& what) {
    if (findings_.size() >= most_findings) return;
    findings_.push_back(subject_.name + " " + shape_names[static_cast<int>(scenario_.how)] +
                        ", operation: " + scenario_.what->name + ", at step " +
                        std::to_string(scenario_.at) + ": " +
                        disturbance_names[static_cast<int>(scenario_.when)] + ": " + what);
  }

  const contract_subject& subject_;
  const scenario& scenario_;
  std::vector<std::string>& findings_;
  std::shared_ptr<policy> policy_;
  tally counts_;
  std::deque<one_call> calls_;
  bool* starting_ = nullptr;
  bool down_ = false;
  manual_environment env_;
};

/// Blocking calls: a value, an exception, a caller who stopped, no time.
void play_blocking(const contract_subject& subject, std::vector<std::string>& findings) {
  manual_environment env;
  env.on_leftover({});
  tally counts;
  const std::shared_ptr<policy> inner = subject.make();
  const pipeline p =
      pipeline_builder{"contract"}.add(std::make_shared<watched>(inner, counts)).build(env);
  for (int i = 0; i < 8; ++i) {
    std::stop_source caller;
    if (i % 4 == 2) caller.request_stop();
    call_options options;
    options.stop = caller.get_token();
    options.within = i % 4 == 3 ? duration(milliseconds(1)) : duration(std::chrono::minutes(5));
    (void)p.execute(
        [&]() -> int {
          env.advance(milliseconds(2));
          if (i % 4 == 1) throw std::runtime_error("the callable");
          if (i >= 4) caller.request_stop();
          return 1;
        },
        options);
    env.advance(std::chrono::seconds(1));
  }
  std::string broken;
  if (counts.entered != counts.left || counts.misuses != 0) broken = "enter and leave do not match";
  if (!env.quiet()) broken = "timers are left behind";
  if (subject.leftover) {
    const std::string rest = subject.leftover(*inner, env.now());
    if (!rest.empty()) broken = "still held: " + rest;
  }
  if (!broken.empty()) findings.push_back(subject.name + ", blocking calls: " + broken);
}

}  // namespace

std::vector<std::string> check_policy_contract(const contract_subject& subject) {
  std::vector<std::string> findings;
  play_blocking(subject, findings);
  const std::vector<behaviour> all = behaviours();
  for (const shape how : {shape::alone, shape::in_retry, shape::in_timeout}) {
    for (const behaviour& what : all) {
      for (const disturbance when :
           {disturbance::none, disturbance::cancel_one, disturbance::cancel_all, disturbance::leap,
            disturbance::shut_down}) {
        const int last = when == disturbance::none ? 1 : scene::steps;
        for (int at = 0; at < last; ++at) {
          const scenario s{how, &what, when, at};
          scene(subject, s, findings).play();
          if (findings.size() >= most_findings) return findings;
        }
      }
    }
  }
  return findings;
}

}  // namespace hawser::inline v0::testing
