// Policies by hand, inside somebody else's interceptor: a permit before each call, a report after.
#include <hawser/policy/bulkhead.hpp>
#include <hawser/policy/circuit_breaker.hpp>
#include <hawser/policy/rate_limiter.hpp>
#include <hawser/run/environment.hpp>

#include <iostream>
#include <optional>
#include <utility>

using namespace std::chrono_literals;

namespace {

/// What one call holds from "about to send" to "done", perhaps on another thread.
struct held {
  hawser::time_point started{};
  hawser::rate_permit tokens;
  hawser::bulkhead_permit slot;
  hawser::circuit_permit circuit;
};

/// One for each destination, shared by all its calls. It outlives what they hold.
class interceptor {
 public:
  explicit interceptor(hawser::environment env) : env_(std::move(env)) {}

  /// Before the call. An error means: do not send.
  hawser::error before(held& call) {
    hawser::refusal no;
    call.started = env_.now();
    if ((call.tokens = rate_.try_acquire(call.started, 1, &no)) &&
        (call.slot = slots_.try_acquire(&no)) &&
        (call.circuit = breaker_.try_acquire(call.started, env_.random(), &no)))
      return {};
    call.tokens.give_back(call.started);  // nothing was sent
    return no.to_error(call.started);     // the slot goes back by itself
  }

  /// After it. A call that was cancelled is not reported: its permits go back undecided.
  void after(held call, int status, std::optional<hawser::duration> retry_after) {
    const hawser::time_point now = env_.now();
    if (status == 429) rate_.server_said_wait(retry_after.value_or(0s), now, env_.random());
    if (status >= 500)
      call.circuit.failure(now - call.started, now);
    else if (status < 400)
      call.circuit.success(now - call.started, now);
    else
      call.circuit.alive(now);  // a 4xx is neither good nor bad, but who answers lives
  }

  hawser::circuit_breaker_policy& breaker() { return breaker_; }

 private:
  hawser::environment env_;  // its clock and its randomness
  hawser::rate_limiter_policy rate_{{.name = "ledger", .permits = 100, .per = 1s}};
  hawser::bulkhead_policy slots_{{.name = "ledger", .max_concurrent = 10}};
  // For a demonstration: in earnest a row should span a second, as it does by default.
  hawser::circuit_breaker_policy breaker_{
      {.name = "ledger", .consecutive_failures = 3, .consecutive_span = 0s}};
};

/// Stands for the foreign client: asks before it sends, and tells what came of it.
bool call_ledger(interceptor& hooks, int answer) {
  held permits;
  if (const hawser::error no = hooks.before(permits); no.code()) {
    std::cout << "not sent: " << no.message() << '\n';
    return false;
  }
  hooks.after(std::move(permits), answer, std::nullopt);
  return true;
}

}  // namespace

int main() {
  const hawser::environment env;
  interceptor hooks(env);
  int sent = 0;
  for (const int answer : {200, 503, 503, 503, 200}) sent += call_ledger(hooks, answer) ? 1 : 0;

  hawser::circuit_breaker_policy& breaker = hooks.breaker();
  const hawser::circuit_snapshot seen = breaker.snapshot(env.now());
  std::cout << "the breaker is " << to_string(seen.state) << " after " << sent << " calls\n";

  breaker.isolate(env.now());  // maintenance: nothing goes through
  sent += call_ledger(hooks, 200) ? 1 : 0;
  breaker.reset(env.now());  // done: as newly made
  sent += call_ledger(hooks, 200) ? 1 : 0;
  return sent == 5 && seen.state == hawser::circuit_state::open ? 0 : 1;
}
