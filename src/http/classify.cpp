#include "hawser/http/classify.hpp"

#include "hawser/http/retry_after.hpp"

namespace hawser::inline v0::http {

namespace {

outcome failed(errc code, evidence seen, bool transient, bool countable) {
  outcome o;
  o.result = verdict::failed;
  o.error = code;
  o.delivery = seen;
  o.transient = transient;
  o.countable = countable;
  return o;
}

outcome by_status(int status, bool asks_to_wait, bool in_flight) {
  if (status >= 200 && status < 400) return {};
  if (in_flight) return failed(errc::client_error, evidence::answered, true, false);
  switch (status) {
    case 408: return failed(errc::client_error, evidence::answered, true, false);
    case 421:
    case 425: return failed(errc::client_error, evidence::refused, true, false);
    case 429: {
      outcome slow_down = failed(errc::client_error, evidence::refused, true, false);
      slow_down.throttled = true;
      return slow_down;
    }
    case 501:
    case 505: return failed(errc::server_error, evidence::answered, false, true);
    case 502:
    case 504: return failed(errc::server_error, evidence::maybe_applied, true, true);
    case 503:
      return failed(errc::server_error, asks_to_wait ? evidence::refused : evidence::answered, true,
                    true);
    default: break;
  }
  if (status >= 500) return failed(errc::server_error, evidence::answered, true, true);
  if (status >= 400) {
    outcome neutral;
    neutral.result = verdict::ignored;
    neutral.error = errc::client_error;
    neutral.countable = false;
    return neutral;
  }
  return failed(errc::unexpected_status, evidence::answered, false, true);
}

}  // namespace

outcome classify(const response& answer, effect what, const idempotency_profile* profile,
                 std::optional<std::chrono::sys_seconds> wall_now) {
  const int status = answer.status();
  std::optional<duration> hint;
  bool asks_to_wait = false;
  if (status >= 400) {
    if (const auto value = answer.headers().find("Retry-After")) {
      hint = parse_retry_after(*value, answer.headers().find("Date"), wall_now);
      // A date that nothing can be measured against is still the server's word.
      asks_to_wait = hint || parse_http_date(*value);
    }
  }
  const bool in_flight = what == effect::keyed &&
                         (profile == nullptr ? status == 409 : profile->in_flight_status == status);
  outcome o = by_status(status, asks_to_wait, in_flight);
  o.status = status;
  if (o.result == verdict::failed && hint) o.server_wait = *hint;
  return o;
}

outcome outcome_of(const response& answer) {
  if (answer.status() == 0) return {};  // none came: somebody's empty object
  outcome o = classify(answer, answer.effect());
  if (o.result == verdict::failed && answer.evidence() == evidence::maybe_applied)
    o.delivery = evidence::maybe_applied;
  return o;
}

}  // namespace hawser::inline v0::http
