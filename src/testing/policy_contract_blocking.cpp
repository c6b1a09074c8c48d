// The policy contract's blocking runs.
#include "policy_contract_scene.hpp"
#include "policy_contract_watch.hpp"

#include "hawser/policy/retry.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/execute.hpp"
#include "hawser/testing/manual_environment.hpp"

#include <optional>
#include <stdexcept>
#include <stop_token>
#include <utility>

namespace hawser::inline v0::testing::contract {

namespace {

using std::chrono::milliseconds;

enum class act : std::uint8_t { returns, errs, throws, recovers, is_void, obeys };
constexpr act acts[] = {act::returns,  act::errs,    act::throws,
                        act::recovers, act::is_void, act::obeys};
constexpr const char* act_names[] = {
    "returns",    "returns an error",        "throws",
    "fails once", "is void by a classifier", "runs until it is asked to stop"};

enum class caller : std::uint8_t { patient, stops, hurries };
constexpr caller callers[] = {caller::patient, caller::stops, caller::hurries};
constexpr const char* caller_names[] = {"who waits", "who stops", "who has little time"};

/// Requests a stop when its time comes, wherever the call then waits.
class stopper final : public timer_node {
 public:
  explicit stopper(std::stop_source& who) : who_(who) {}

 private:
  void expired() noexcept override { who_.request_stop(); }
  void add_ref() noexcept override {}
  void release() noexcept override {}
  std::stop_source& who_;
};

class blocking_scene {
 public:
  blocking_scene(const contract_subject& subject, bool in_retry, act what, caller who, int at)
      : subject_(subject), in_retry_(in_retry), what_(what), who_(who), at_(at) {
    env_.on_leftover({});
  }

  void play(findings& into) {
    pipeline_builder b{"contract"};
    b.calls_are(effect::idempotent);
    b.max_amplification(10'000);
    if (in_retry_) b.add(retry{.max_attempts = 2, .delay = constant{.each = milliseconds(3)}});
    b.add(std::make_shared<watched_policy>(policy_, seen_));
    if (in_retry_) b.add(timeout{.after = milliseconds(12)});
    {
      const pipeline p = b.build(env_);
      for (int i = 0; i < 3; ++i) call(p);
    }
    check(into);
    into.next_run();
  }

 private:
  void call(const pipeline& p) {
    std::stop_source stop;
    stopper later_on(stop);
    if (who_ == caller::stops) {
      if (at_ == 0)
        stop.request_stop();
      else
        env_.env().arm(later_on, later(env_.now(), milliseconds(at_)));
    }
    call_options options;
    options.stop = stop.get_token();
    options.within = subject_.patience;
    if (who_ == caller::hurries) options.within = milliseconds(at_);
    const time_point start = env_.now();
    int attempts = 0;
    (void)p.execute([&](attempt& a) -> result<int> { return run(a, ++attempts); }, options,
                    [&](int) { return what_ == act::is_void ? verdict::ignored : verdict::ok; });
    env_.env().remove(later_on);
    if (who_ == caller::patient && env_.now() - start >= subject_.patience) cut_short_ = true;
  }

  result<int> run(attempt& a, int number) {
    env_.advance(milliseconds(2));
    switch (what_) {
      case act::returns:
      case act::is_void: return 1;
      case act::errs: return error(errc::connection_closed);
      case act::throws: throw std::runtime_error("the callable");
      case act::recovers:
        if (number == 1) return error(errc::connection_closed);
        return 1;
      case act::obeys:
        const std::stop_token stop = a.stop();
        for (int i = 0; i < 20 && !stop.stop_requested(); ++i) env_.advance(milliseconds(1));
        return error(canceled_error());
    }
    return 1;
  }

  void check(findings& into) {
    const std::string where = std::string("first seen in blocking calls") +
                              (in_retry_ ? " inside a retry" : "") + ", of what " +
                              act_names[static_cast<int>(what_)] + ", by a caller " +
                              caller_names[static_cast<int>(who_)] +
                              (who_ == caller::patient ? "" : " at " + std::to_string(at_) + " ms");
    if (cut_short_)
      into.add("a call did not end by itself, though all that it called had ended",
               seen_.where_one_was_cut_off(), where);
    if (!env_.quiet())
      into.add("timers or work are left behind", std::to_string(env_.waits()) + " timers", where);
    if (seen_.entered() != seen_.left())
      into.add("stages entered and left do not match",
               "entered " + std::to_string(seen_.entered()) + " times, left " +
                   std::to_string(seen_.left()),
               where);
    for (const std::string& what : seen_.broken()) into.add(what, {}, where);
    if (subject_.leftover) {
      const std::string rest = subject_.leftover(*policy_, env_.now());
      if (!rest.empty()) into.add("still held when no call is left", rest, where);
    }
  }

  const contract_subject& subject_;
  const bool in_retry_;
  const act what_;
  const caller who_;
  const int at_;
  std::shared_ptr<policy> policy_ = subject_.make();
  policy_watch seen_;
  manual_environment env_;
  bool cut_short_ = false;
};

}  // namespace

void play_blocking(const contract_subject& subject, findings& into) {
  for (const bool in_retry : {false, true})
    for (const act what : acts)
      for (const caller who : callers) {
        const int last = who == caller::patient ? 0 : 8;
        for (int at = 0; at <= last; ++at)
          blocking_scene(subject, in_retry, what, who, at).play(into);
      }
}

std::string healthy_call(const std::shared_ptr<policy>& p, environment env) {
  policy_watch seen;
  const pipeline alone = pipeline_builder{"contract"}
                             .max_amplification(10'000)
                             .add(std::make_shared<watched_policy>(p, seen))
                             .build(env);
  call_options options;
  options.within = std::chrono::hours(24);
  const result<int> r = alone.execute([] { return 1; }, options);
  return r ? std::string() : r.error().code().message();
}

}  // namespace hawser::inline v0::testing::contract
