// What policies cost around an empty callable. Ratios count: `two_clock_reads` is the yardstick in
// the same binary.
#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/retry_budget.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/execute.hpp"

#include <benchmark/benchmark.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <new>

namespace {

using namespace std::chrono_literals;

std::atomic<std::size_t> allocations{0};

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace {

hawser::rate_limiter wide_open() { return {.permits = 1'000'000'000, .per = 1s}; }

hawser::pipeline_builder standard() {
  return hawser::pipeline_builder{"bench"}
      .add(hawser::timeout{.after = 30s})
      .add(wide_open())
      .add(hawser::bulkhead{.max_concurrent = 1000})
      .add(hawser::retry{})
      .add(hawser::circuit_breaker{})
      .add(hawser::timeout{.after = 10s});
}

/// Runs the pipeline around an empty callable and counts allocations per call.
void run(benchmark::State& state, const hawser::pipeline& p) {
  const std::size_t before = allocations.load();
  std::size_t calls = 0;
  for (auto _ : state) {
    auto r = p.execute([] { return 1; });
    benchmark::DoNotOptimize(r);
    ++calls;
  }
  if (state.thread_index() == 0)
    state.counters["allocations"] = benchmark::Counter(
        calls == 0 ? 0 : static_cast<double>((allocations.load() - before) / calls));
}

const hawser::environment& env() {
  static const hawser::environment instance{};  // starts a thread: mutexes cost what they cost
  return instance;
}

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
BENCHMARK_CAPTURE(pipeline_of, bulkhead, hawser::bulkhead{.max_concurrent = 1000});
BENCHMARK_CAPTURE(pipeline_of, retry, hawser::retry{});
BENCHMARK_CAPTURE(pipeline_of, retry_with_budget,
                  hawser::retry{.budget = hawser::make_budget(hawser::retry_budget{})});
BENCHMARK_CAPTURE(pipeline_of, circuit_breaker, hawser::circuit_breaker{});

void pipeline_standard(benchmark::State& state) {
  static const hawser::pipeline shared = standard().build(env());
  run(state, shared);
}
BENCHMARK(pipeline_standard);
BENCHMARK(pipeline_standard)->Threads(2);

void pipeline_rejection(benchmark::State& state) {
  auto breaker = std::make_shared<hawser::circuit_breaker_policy>(hawser::circuit_breaker{});
  breaker->isolate(env().now());
  run(state, hawser::pipeline_builder{"bench"}.add(breaker).build(env()));
}
BENCHMARK(pipeline_rejection);

}  // namespace

BENCHMARK_MAIN();
