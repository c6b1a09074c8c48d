#include "storm/storm.hpp"

#include "hawser/http/client.hpp"
#include "hawser/http/headers.hpp"
#include "hawser/http/response.hpp"
#include "hawser/http/transport.hpp"
#include "hawser/observe/observer.hpp"
#include "hawser/testing/manual_environment.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <memory>
#include <queue>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace hawser::storm {
namespace {

using namespace std::chrono_literals;
using testing::manual_environment;

/// What happens when, on the model's side: arrivals of calls and ends of exchanges.
class agenda {
 public:
  void at(time_point when, std::function<void()> what) {
    queue_.push({when, sequence_++, std::move(what)});
  }

  /// Runs it all, with the environment's own timers in between in their order.
  void run(manual_environment& env) {
    while (!queue_.empty()) {
      const time_point next = queue_.top().when;
      const bool earlier =
          env.run_until([&] { return queue_.top().when < next; }, next - env.now());
      if (earlier) continue;
      env.advance_to(next);
      if (queue_.top().when < next) continue;
      const std::function<void()> what = queue_.top().what;
      queue_.pop();
      what();
      env.run_ready();
    }
  }

 private:
  struct entry {
    time_point when;
    std::uint64_t sequence = 0;
    std::function<void()> what;
    bool operator<(const entry& other) const {
      return when != other.when ? when > other.when : sequence > other.sequence;
    }
  };
  std::priority_queue<entry> queue_;
  std::uint64_t sequence_ = 0;
};

/// Counts in steps of 100 ms.
class tally {
 public:
  explicit tally(time_point start) : start_(start) {}
  void add(time_point at) {
    const auto i = static_cast<std::size_t>((at - start_) / 100ms);
    if (i >= counts_.size()) counts_.resize(i + 1);
    ++counts_[i];
  }
  [[nodiscard]] std::size_t sum(std::size_t from, std::size_t to) const {
    std::size_t s = 0;
    for (std::size_t i = from; i < std::min(to, counts_.size()); ++i) s += counts_[i];
    return s;
  }
  [[nodiscard]] std::size_t steps() const { return counts_.size(); }

 private:
  time_point start_;
  std::vector<std::size_t> counts_;
};

/// The dependency behind a network of its own: workers, a bounded queue, and what goes wrong.
/// Work whose caller gave up is done all the same.
class dependency final : public http::transport {
 public:
  dependency(manual_environment& env, agenda& events, const scenario& what, tally& attempts,
             std::uint64_t seed)
      : env_(env),
        agenda_(events),
        what_(what),
        attempts_(attempts),
        start_(env.now()),
        chance_(seed),
        left_(what.faults.size()) {
    for (int i = 0; i < what.workers; ++i) free_at_.push(start_);
    for (std::size_t i = 0; i < what.faults.size(); ++i) left_[i] = what.faults[i].only;
  }

  void start(http::exchange& what) override {
    const time_point now = env_.now();
    attempts_.add(now);
    const std::uint64_t id = ++last_;
    what.running.owner = reinterpret_cast<void*>(id);
    running_[id] = &what;
    int route = 0;
    if (const auto digit = what.target.find("/r"); digit != std::string_view::npos)
      route = what.target[digit + 2] - '0';
    double slower = 1;
    for (std::size_t i = 0; i < what_.faults.size(); ++i) {
      const fault& f = what_.faults[i];
      if (!meets(f, now, route)) continue;
      if (f.what == effect_of_fault::slow) {
        slower = f.factor;
      } else if (f.what == effect_of_fault::hang) {
        return;
      } else if (chance_.uniform() < f.share) {
        if (left_[i] && (*left_[i])-- <= 0) continue;
        if (f.what == effect_of_fault::refuse) return refuse_at(later(now, 1ms), id);
        return answer_at(later(now, 5ms), id, f.status, f.retry_after);
      }
    }
    while (!starts_.empty() && starts_.front() <= now) starts_.pop_front();
    if (starts_.size() >= what_.queue) return answer_at(later(now, 5ms), id, 503, "");
    const time_point begun = std::max(now, free_at_.top());
    free_at_.pop();
    if (slower != 1 && !slow_at(begun, route)) slower = 1;
    const time_point done = later(
        begun,
        duration(static_cast<duration::rep>(static_cast<double>(what_.takes.count()) * slower)));
    free_at_.push(done);
    if (begun > now) starts_.push_back(begun);
    const bool well = !what_.faults.empty() && now >= end_of(what_.faults[0]);
    answer_at(done, id, well ? what_.status_when_well.value_or(200) : 200, "");
  }

  void cancel(http::exchange& what) noexcept override {
    const auto id = reinterpret_cast<std::uint64_t>(what.running.owner);
    const auto found = running_.find(id);
    if (found == running_.end() || found->second != &what) return;
    agenda_.at(env_.now(), [this, id] { end(id, canceled_error(), 0, ""); });
  }
  void close() noexcept override {}

  [[nodiscard]] time_point begin_of(const fault& f) const {
    return later(start_, what_.warm_up + f.from);
  }
  [[nodiscard]] time_point end_of(const fault& f) const {
    return f.lasts == duration::zero() ? never : later(begin_of(f), f.lasts);
  }

 private:
  [[nodiscard]] bool meets(const fault& f, time_point now, int route) const {
    return now >= begin_of(f) && now < end_of(f) && (!f.route || *f.route == route);
  }
  [[nodiscard]] bool slow_at(time_point at, int route) const {
    return std::any_of(what_.faults.begin(), what_.faults.end(), [&](const fault& f) {
      return f.what == effect_of_fault::slow && meets(f, at, route);
    });
  }

  void answer_at(time_point when, std::uint64_t id, int status, const std::string& hint) {
    agenda_.at(when, [this, id, status, hint] { end(id, {}, status, hint); });
  }

  void refuse_at(time_point when, std::uint64_t id) {
    agenda_.at(when, [this, id] {
      end(id, boost::asio::error::connection_refused, 0, "", evidence::never_sent);
    });
  }

  void end(std::uint64_t id, error_code ec, int status, const std::string& hint,
           evidence of_failure = evidence::maybe_applied) {
    const auto found = running_.find(id);
    if (found == running_.end()) return;  // its caller gave up
    http::exchange* const what = found->second;
    running_.erase(found);
    if (!ec) {
      what->answer->set_status(status);
      if (!hint.empty()) what->answer->mutable_headers().add("Retry-After", hint);
    }
    boost::asio::post(env_.get_executor(), [what, ec, of_failure] {
      what->on_done(ec, ec ? of_failure : evidence::answered, {});
    });
  }

  manual_environment& env_;
  agenda& agenda_;
  const scenario& what_;
  tally& attempts_;
  time_point start_;
  seeded_entropy chance_;
  std::vector<std::optional<int>> left_;
  std::unordered_map<std::uint64_t, http::exchange*> running_;
  std::uint64_t last_ = 0;
  std::priority_queue<time_point, std::vector<time_point>, std::greater<>> free_at_;
  std::deque<time_point> starts_;
};

/// What no call tells of itself.
class watcher final : public observer {
 public:
  std::size_t openings = 0;
  duration longest_queue_wait{};
  void on_event(const event& e) override {
    if (e.kind == event_kind::state_changed && e.to == "open") ++openings;
    if (e.kind == event_kind::rejected && e.why.policy.ends_with("bulkhead"))
      longest_queue_wait = std::max(longest_queue_wait, e.elapsed);
  }
};

struct call_record {
  time_point started{};
  time_point ended = never;
  bool ok = false;
  int attempts = 0;
  int route = 0;
  std::string why{};
};

}  // namespace

report run(const scenario& what, std::uint64_t seed) {
  manual_environment env(seed);
  env.on_leftover({});
  const time_point start = env.now();
  agenda events;
  tally attempts(start);
  tally offered(start);
  tally good(start);
  auto backend = std::make_shared<dependency>(env, events, what, attempts, seed * 7919 + 1);
  auto eyes = std::make_shared<watcher>();
  seeded_entropy chance(seed * 104729 + 3);

  std::vector<http::client> clients;
  for (int i = 0; i < what.clients; ++i) {
    http::standard_options options;
    if (what.tune) what.tune(options);
    pipeline_builder stack =
        what.bare ? what.pipeline() : http::standard_pipeline("storm", std::move(options));
    stack.observe(eyes);
    http::client_options set;
    set.transport = backend;
    clients.emplace_back(env.env(), "http://dependency.example", stack, std::move(set));
  }
  std::deque<call_record> calls;
  std::deque<call_report> stories;
  const time_point last = later(start, what.lasts);
  const double thinks = std::chrono::duration<double>(what.thinks).count();
  const auto random_time = [&chance](double mean_seconds) {
    return duration(
        static_cast<duration::rep>(-std::log(1 - chance.uniform()) * mean_seconds * 1e9));
  };
  std::function<void(int)> call;
  const auto call_at = [&](time_point when, int caller) {
    events.at(when, [&call, caller] { call(caller); });
  };
  call = [&](int caller) {
    const time_point now = env.now();
    if (now >= last) return;
    offered.add(now);
    call_record& c = calls.emplace_back();
    call_report& story = stories.emplace_back();
    c.started = now;
    c.route = static_cast<int>(chance.next() % static_cast<std::uint64_t>(what.routes));
    const auto who = static_cast<std::size_t>(
        what.callers > 0 ? static_cast<std::uint64_t>(caller % what.clients)
                         : chance.next() % static_cast<std::uint64_t>(what.clients));
    call_options about;
    about.report = &story;
    clients[who].async_send(
        http::request::get("/r" + std::to_string(c.route) + "/{id}").param("id", "1"), about,
        [&, caller](const result<http::response>& r) {
          c.ended = env.now();
          c.ok = r.has_value() && r->status() < 500 && r->status() != 429;
          c.attempts = story.attempts;
          if (c.ok)
            good.add(c.ended);
          else
            c.why = (r ? std::to_string(r->status()) : r.error().code().message()) + " " +
                    std::string(to_string(story.stopped));
          story = {};
          if (what.callers > 0) call_at(later(env.now(), random_time(thinks)), caller);
        });
    if (what.callers == 0) call_at(later(now, random_time(1 / what.rate)), 0);
  };
  for (int i = 0; i < std::max(what.callers, 1); ++i)
    call_at(what.callers > 0 ? later(start, random_time(thinks)) : start, i);
  // Time goes on until the last call has ended.
  for (time_point t = last; t < later(last, 45s); t = later(t, 100ms)) events.at(t, [] {});
  events.run(env);

  // What came of it.
  report r;
  const bool faulty = !what.faults.empty();
  const time_point begin = later(start, what.warm_up + (faulty ? what.faults[0].from : 0s));
  const time_point end =
      faulty && what.faults[0].lasts > 0s ? later(begin, what.faults[0].lasts) : last;
  const auto step = [&](time_point at) { return static_cast<std::size_t>((at - start) / 100ms); };
  std::vector<double> waits;
  std::size_t attempts_of_met = 0;
  std::vector<std::size_t> of_route(static_cast<std::size_t>(what.routes));
  std::vector<std::size_t> ok_of_route(static_cast<std::size_t>(what.routes));
  for (const call_record& c : calls) {
    if (c.started < begin) continue;
    if (!c.ok) ++r.errors[c.why];
    if (!c.ok && c.ended >= end) ++r.failed_after;
    if (c.started >= end) continue;
    const auto i = static_cast<std::size_t>(c.route);
    ++of_route[i];
    ok_of_route[i] += c.ok ? 1U : 0U;
    ++r.met;
    r.served += c.ok ? 1U : 0U;
    attempts_of_met += static_cast<std::size_t>(c.attempts);
    waits.push_back(std::chrono::duration<double>(c.ended - c.started).count());
  }
  const auto over = [](std::size_t a, std::size_t b) {
    return b == 0 ? 0.0 : static_cast<double>(a) / static_cast<double>(b);
  };
  r.served_share = over(r.served, r.met);
  r.load = over(attempts.sum(step(begin), step(end)), offered.sum(step(begin), step(end)));
  r.load_of_met = over(attempts_of_met, r.met);
  std::sort(waits.begin(), waits.end());
  if (!waits.empty()) r.p99_wait = waits[waits.size() * 99 / 100];
  for (std::size_t i = 0; i < of_route.size(); ++i) {
    const bool own = std::any_of(what.faults.begin(), what.faults.end(),
                                 [&](const fault& f) { return f.route == static_cast<int>(i); });
    if (!own && of_route[i] != 0)
      r.served_by_route_worst =
          std::min(r.served_by_route_worst, over(ok_of_route[i], of_route[i]));
  }
  // Full: as good as everything that is offered from here on (of callers that wait: that was served
  // before) is served, over a second and three.
  std::size_t full = step(end);
  const std::size_t warm = step(later(start, what.warm_up));
  const double usual =  // in a step
      static_cast<double>(good.sum(warm / 2, warm)) / static_cast<double>(warm - warm / 2);
  r.goodput = static_cast<double>(good.sum(step(begin), step(end))) /
              (what.callers > 0 ? usual * static_cast<double>(step(end) - step(begin))
                                : static_cast<double>(offered.sum(step(begin), step(end))));
  const auto serves = [&](std::size_t from, std::size_t to) {
    const double due = what.callers > 0 ? usual * static_cast<double>(to - from)
                                        : static_cast<double>(offered.sum(from, to));
    return static_cast<double>(good.sum(from, to)) >= 0.95 * due;
  };
  while (full < step(last) && !(serves(full, full + 10) && serves(full, full + 30))) ++full;
  r.full = duration(100ms) * static_cast<duration::rep>(full - step(end));
  const double steady = what.callers > 0 ? usual : what.rate / 10;
  for (std::size_t i = step(end); i < attempts.steps(); ++i) {
    r.peak_tenth = std::max(r.peak_tenth, static_cast<double>(attempts.sum(i, i + 1)) / steady);
    r.peak_second =
        std::max(r.peak_second, static_cast<double>(attempts.sum(i, i + 10)) / steady / 10);
  }
  r.openings = eyes->openings;
  r.longest_queue_wait = eyes->longest_queue_wait;
  for (std::size_t i = 0; i < step(last); i += 10) {
    char line[96];
    std::snprintf(line, sizeof line, "%4zu s  offered %5zu  attempts %5zu  ok %5zu", i / 10,
                  offered.sum(i, i + 10), attempts.sum(i, i + 10), good.sum(i, i + 10));
    r.timeline.emplace_back(line);
  }
  return r;
}

}  // namespace hawser::storm
