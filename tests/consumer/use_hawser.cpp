#include <hawser/core/error.hpp>
#include <hawser/policy/retry.hpp>
#include <hawser/policy/timeout.hpp>
#include <hawser/run/environment.hpp>
#include <hawser/run/execute.hpp>
#include <hawser/run/pipeline.hpp>

#include <chrono>
#include <stdexcept>

int main() {
  using namespace std::chrono_literals;
  const hawser::environment env;
  const hawser::pipeline twice = hawser::pipeline_builder("twice")
                                     .add(hawser::timeout{.after = 10s})
                                     .add(hawser::retry{.delay = hawser::constant{.each = 1ms}})
                                     .calls_are(hawser::effect::safe)
                                     .build(env);
  int calls = 0;
  const hawser::result<int> answer = twice.execute([&] {
    if (++calls == 1) throw std::runtime_error("once");
    return 42;
  });
  // What one library throws, another part of the program catches.
  bool caught = false;
  try {
    static_cast<void>(hawser::pipeline_builder("").build(env));
  } catch (const std::invalid_argument& e) {
    caught = dynamic_cast<const hawser::config_error*>(&e) != nullptr;
  }
  return answer && *answer == 42 && calls == 2 && caught ? 0 : 1;
}
