// The program at the top of README.md.
#include <hawser/hawser.hpp>

#include <iostream>
#include <stdexcept>

using namespace std::chrono_literals;

int main() {
  hawser::environment env;  // a thread of its own for timers; or give it your executor
  auto quotes = hawser::pipeline_builder{"quotes"}
                    .add(hawser::timeout{.after = 8s})  // the whole call
                    .add(hawser::retry{.max_attempts = 4})
                    .add(hawser::circuit_breaker{.failure_ratio = 0.5})
                    .calls_are(hawser::effect::safe)  // asking twice does no harm
                    .build(env);
  int calls = 0;
  auto quote = quotes.execute([&] {
    if (++calls < 3) throw std::runtime_error("connection lost");
    return 42.5;
  });
  std::cout << quote.value() << " after " << calls << " attempts\n";
}
