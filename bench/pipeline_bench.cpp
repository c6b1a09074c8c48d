// What policies cost: each by itself (as a stage, by hand, as a pipeline), a pipeline of six, a
// refusal, a retry, and an Asio operation under policies, with the allocations of each call.
// Nanoseconds drift between machines and moments; what counts is the ratio to the yardsticks, the
// clock reads and atomic updates that no such pipeline can do without, measured in the same run.
#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/fallback.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/retry_budget.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/async.hpp"
#include "hawser/run/execute.hpp"

#include "counting.hpp"

#include <benchmark/benchmark.h>
#include <boost/asio/async_result.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <utility>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// Counts the allocations of the calls between its birth and its end, for `state`'s thread.
class call_counter {
 public:
  explicit call_counter(benchmark::State& state)
      : state_(state), before_(hawser_bench::counted().allocations) {}
  call_counter(const call_counter&) = delete;
  call_counter& operator=(const call_counter&) = delete;
  ~call_counter() {
    const auto made = static_cast<double>(hawser_bench::counted().allocations - before_);
    state_.counters["allocations"] = benchmark::Counter(
        made / static_cast<double>(state_.iterations()), benchmark::Counter::kAvgThreads);
  }

 private:
  benchmark::State& state_;
  std::size_t before_;
};

const hawser::environment& env() {
  static const hawser::environment instance{};  // starts a thread: mutexes cost what they cost
  return instance;
}

// --- yardsticks --------------------------------------------------------------------------------

void two_clock_reads(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(std::chrono::steady_clock::now());
    benchmark::DoNotOptimize(std::chrono::steady_clock::now());
  }
}
BENCHMARK(two_clock_reads);

void two_clock_reads_and_four_updates(benchmark::State& state) {
  std::atomic<std::uint64_t> words[4]{};
  for (auto _ : state) {
    benchmark::DoNotOptimize(std::chrono::steady_clock::now());
    for (auto& w : words) w.fetch_add(1);
    benchmark::DoNotOptimize(std::chrono::steady_clock::now());
  }
}
BENCHMARK(two_clock_reads_and_four_updates);

// --- one policy --------------------------------------------------------------------------------

hawser::rate_limiter wide_open() { return {.permits = 1'000'000'000, .per = 1s}; }
hawser::bulkhead roomy() { return {.max_concurrent = 1000}; }
hawser::retry budgeted() { return {.budget = hawser::make_budget(hawser::retry_budget{})}; }

/// What a stage needs of an engine, and no more.
class bare_tick final : public hawser::tick, private hawser::waker {
 public:
  bare_tick() {
    random_ = &env().random();
    result_ = &result;
    now_ = env().now();
  }
  void attempt_made() noexcept {
    ++attempts_;
    now_ += 1us;
  }
  hawser::waker& wake_handle() noexcept override { return *this; }
  bool substitute(hawser::substitute_source&, const hawser::outcome&) override { return false; }
  hawser::outcome result;

 private:
  void deliver(hawser::event&) override {}
  void wake() noexcept override {}
};

/// A policy's stage through one healthy call, as the engine takes it.
template <class Options>
void stage_of(benchmark::State& state, Options options) {
  const std::shared_ptr<hawser::policy> p = make_policy(std::move(options));
  const auto memory = std::make_unique<std::max_align_t[]>(p->stage_size());
  const hawser::success_needs needs = p->needs_of_success();
  bare_tick t;
  const call_counter counter(state);
  for (auto _ : state) {
    hawser::stage* s = nullptr;
    benchmark::DoNotOptimize(p->begin(memory.get(), t, s));
    t.attempt_made();
    if (needs != hawser::success_needs::nothing)
      benchmark::DoNotOptimize(s->inner_done(0, t.result, t));
    if (needs == hawser::success_needs::all) s->leave();
  }
}
BENCHMARK_CAPTURE(stage_of, timeout, hawser::timeout{});
BENCHMARK_CAPTURE(stage_of, rate_limiter, wide_open());
BENCHMARK_CAPTURE(stage_of, bulkhead, roomy());
BENCHMARK_CAPTURE(stage_of, retry, hawser::retry{});
BENCHMARK_CAPTURE(stage_of, retry_with_budget, budgeted());
BENCHMARK_CAPTURE(stage_of, circuit_breaker, hawser::circuit_breaker{});
BENCHMARK_CAPTURE(stage_of, fallback, hawser::fallback::value(1));

void by_hand_rate_limiter(benchmark::State& state) {
  static hawser::rate_limiter_policy limiter(wide_open());
  hawser::time_point now = env().now();
  const call_counter counter(state);
  for (auto _ : state) benchmark::DoNotOptimize(limiter.try_acquire(now += 1us));
}
BENCHMARK(by_hand_rate_limiter);
BENCHMARK(by_hand_rate_limiter)->Threads(2);

void by_hand_bulkhead(benchmark::State& state) {
  static hawser::bulkhead_policy bulkhead(roomy());
  const call_counter counter(state);
  for (auto _ : state) {
    auto permit = bulkhead.try_acquire();
    benchmark::DoNotOptimize(permit);
  }
}
BENCHMARK(by_hand_bulkhead);
BENCHMARK(by_hand_bulkhead)->Threads(2);

void by_hand_circuit_breaker(benchmark::State& state) {
  static hawser::circuit_breaker_policy breaker{hawser::circuit_breaker{}};
  hawser::time_point now = env().now();
  const call_counter counter(state);
  for (auto _ : state) {
    auto permit = breaker.try_acquire(now += 1us, env().random());
    benchmark::DoNotOptimize(permit.success(1ms, now));
  }
}
BENCHMARK(by_hand_circuit_breaker);
BENCHMARK(by_hand_circuit_breaker)->Threads(2);

// --- pipelines around an empty callable ---------------------------------------------------------

hawser::pipeline_builder six_policies() {
  return hawser::pipeline_builder{"bench"}
      .add(hawser::timeout{.after = 30s})
      .add(wide_open())
      .add(roomy())
      .add(hawser::retry{})
      .add(hawser::circuit_breaker{})
      .add(hawser::timeout{.after = 10s});
}

void run(benchmark::State& state, const hawser::pipeline& p) {
  const call_counter counter(state);
  for (auto _ : state) {
    auto r = p.execute([] { return 1; });
    benchmark::DoNotOptimize(r);
  }
}

void pipeline_empty(benchmark::State& state) {
  run(state, hawser::pipeline_builder{"bench"}.build(env()));
}
BENCHMARK(pipeline_empty);

template <class Options>
void pipeline_of(benchmark::State& state, Options options) {
  run(state, hawser::pipeline_builder{"bench"}.add(std::move(options)).build(env()));
}
BENCHMARK_CAPTURE(pipeline_of, timeout, hawser::timeout{});
BENCHMARK_CAPTURE(pipeline_of, rate_limiter, wide_open());
BENCHMARK_CAPTURE(pipeline_of, bulkhead, roomy());
BENCHMARK_CAPTURE(pipeline_of, retry, hawser::retry{});
BENCHMARK_CAPTURE(pipeline_of, retry_with_budget, budgeted());
BENCHMARK_CAPTURE(pipeline_of, circuit_breaker, hawser::circuit_breaker{});
BENCHMARK_CAPTURE(pipeline_of, fallback, hawser::fallback::value(1));

void pipeline_of_six(benchmark::State& state) {
  static const hawser::pipeline shared = six_policies().build(env());
  run(state, shared);
}
BENCHMARK(pipeline_of_six);
BENCHMARK(pipeline_of_six)->Threads(2);

// --- what does not go well ----------------------------------------------------------------------

void refusal_by_circuit_breaker(benchmark::State& state) {
  auto breaker = std::make_shared<hawser::circuit_breaker_policy>(hawser::circuit_breaker{});
  breaker->isolate(env().now());
  run(state, hawser::pipeline_builder{"bench"}.add(breaker).build(env()));
}
BENCHMARK(refusal_by_circuit_breaker);

void refusal_by_bulkhead(benchmark::State& state) {
  auto bulkhead = std::make_shared<hawser::bulkhead_policy>(hawser::bulkhead{.max_concurrent = 1});
  const auto taken = bulkhead->try_acquire();
  run(state, hawser::pipeline_builder{"bench"}.add(bulkhead).build(env()));
}
BENCHMARK(refusal_by_bulkhead);

void refusal_by_rate_limiter(benchmark::State& state) {
  auto limiter =
      std::make_shared<hawser::rate_limiter_policy>(hawser::rate_limiter{.permits = 1, .per = 24h});
  benchmark::DoNotOptimize(limiter->try_acquire(env().now()));
  run(state, hawser::pipeline_builder{"bench"}.add(limiter).build(env()));
}
BENCHMARK(refusal_by_rate_limiter);

/// One failure and one success a call, without a wait between them.
void retry_of_a_failure(benchmark::State& state) {
  const hawser::pipeline p =
      hawser::pipeline_builder{"bench"}
          .add(hawser::retry{.delay = hawser::constant{.each = hawser::duration::zero()}})
          .calls_are(hawser::effect::idempotent)
          .build(env());
  const call_counter counter(state);
  for (auto _ : state) {
    bool failed = false;
    auto r = p.execute([&]() -> hawser::result<int> {
      if (std::exchange(failed, true)) return 1;
      return hawser::error(hawser::errc::connection_closed);
    });
    benchmark::DoNotOptimize(r);
  }
}
BENCHMARK(retry_of_a_failure);

// --- an Asio operation ---------------------------------------------------------------------------

/// The least an operation can be: a post.
struct trivial_operation {
  asio::io_context* io;
  template <class Token>
  auto operator()(Token&& token) const {
    return asio::async_initiate<Token, void(hawser::error_code)>(
        [on = io](auto handler) {
          asio::post(*on, [handler = std::move(handler)]() mutable {
            std::move(handler)(hawser::error_code());
          });
        },
        token);
  }
};

template <class Operation>
void run_async(benchmark::State& state, asio::io_context& io, const Operation& operation) {
  // A callback that starts the next call, until there are enough: so many that the environment's
  // last tick, which run() waits for, is shared by all.
  struct chain {
    const Operation& operation;
    int left;
    void next() {
      if (left-- > 0) operation([this](hawser::error_code) { next(); });
    }
  };
  constexpr int calls = 2000;
  const std::size_t before = hawser_bench::counted().allocations;
  for (auto _ : state) {
    chain c{operation, calls};
    c.next();
    io.restart();
    io.run();
  }
  const auto made = static_cast<double>(state.iterations()) * calls;
  state.counters["allocations"] =
      static_cast<double>(hawser_bench::counted().allocations - before) / made;
  state.counters["calls"] = calls;
}

void async_bare(benchmark::State& state) {
  asio::io_context io{1};
  run_async(state, io, trivial_operation{&io});
}
BENCHMARK(async_bare);

void async_wrapped(benchmark::State& state, const hawser::pipeline_builder& builder) {
  asio::io_context io{1};
  const hawser::environment on_io{io.get_executor()};
  const hawser::pipeline p = builder.build(on_io);
  const auto wrapped = p.wrap(trivial_operation{&io});
  run_async(state, io, [&](auto handler) { wrapped(std::move(handler)); });
}
BENCHMARK_CAPTURE(async_wrapped, empty, hawser::pipeline_builder{"bench"});
BENCHMARK_CAPTURE(async_wrapped, six, six_policies());

}  // namespace

BENCHMARK_MAIN();
