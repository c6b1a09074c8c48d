// Any callable under policies: a flaky quote service that answers on the third try.
#include <hawser/policy/circuit_breaker.hpp>
#include <hawser/policy/retry.hpp>
#include <hawser/policy/timeout.hpp>
#include <hawser/run/execute.hpp>

#include <iostream>
#include <stdexcept>

using namespace std::chrono_literals;

int main() {
  hawser::environment env;  // a thread of its own, for timers
  const auto quotes =
      hawser::pipeline_builder{"quotes"}
          .add(hawser::timeout{.after = 8s})  // the whole call
          .add(hawser::retry{.max_attempts = 4,
                             .delay = hawser::exponential{.first = 10ms, .cap = 1s}})
          .add(hawser::circuit_breaker{.min_calls = 20, .failure_ratio = 0.5})
          .calls_are(hawser::effect::safe)  // asking twice does no harm, so a retry may do it
          .build(env);

  int calls = 0;
  hawser::call_report report;
  const hawser::result<double> quote = quotes.execute(
      [&] {
        if (++calls < 3) throw std::runtime_error("connection lost");
        return 42.5;
      },
      {.report = &report});

  if (!quote) {
    std::cerr << quote.error().message() << '\n';
    return 1;
  }
  std::cout << "quote " << *quote << " after " << report.attempts << " attempts\n";
  return report.attempts == 3 ? 0 : 1;
}
