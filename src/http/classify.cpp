#include "hawser/http/classify.hpp"

#include "http/judgement.hpp"
#include "http/retry_hint.hpp"

#include <algorithm>

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

// What a 5xx without proof of refusal says of the work. Where it must not be done twice, it may
// have been; elsewhere that is of no account, but a gateway does not even know of an answer.
evidence without_proof(int status, effect what) noexcept {
  const bool twice_matters = what == effect::unsafe || what == effect::keyed;
  return twice_matters || status == 502 || status == 504 ? evidence::maybe_applied
                                                         : evidence::answered;
}

outcome by_status(int status, effect what, bool asks_to_wait, bool in_flight) {
  if (status >= 200 && status < 400) return {};
  if (in_flight && status < 500)
    return failed(errc::client_error, evidence::maybe_applied, true, false);
  if (in_flight) return failed(errc::server_error, without_proof(status, what), true, false);
  switch (status) {
    case 408: return failed(errc::client_error, evidence::answered, true, false);
    case 421:
    case 425: return failed(errc::client_error, evidence::refused, true, false);
    case 429: {
      outcome slow_down = failed(errc::too_many_requests, evidence::refused, true, false);
      slow_down.throttled = true;
      return slow_down;
    }
    case 501:
    case 505: return failed(errc::server_error, without_proof(status, what), false, true);
    case 503:
      if (asks_to_wait) return failed(errc::server_error, evidence::refused, true, true);
      break;
    default: break;
  }
  if (status >= 500) return failed(errc::server_error, without_proof(status, what), true, true);
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
  const retry_hint hint =
      status >= 400 ? read_retry_hint(answer.headers(), wall_now) : retry_hint{};
  const bool in_flight = what == effect::keyed &&
                         (profile == nullptr ? status == 409 : profile->in_flight_status == status);
  outcome o = by_status(status, what, hint.given, in_flight);
  const bool settles =
      what == effect::keyed && profile != nullptr &&
      std::find(profile->settling_statuses.begin(), profile->settling_statuses.end(), status) !=
          profile->settling_statuses.end();
  if (settles && o.result == verdict::ignored) o.result = verdict::failed;
  o.status = status;
  if (o.result == verdict::failed && hint.wait) o.server_wait = *hint.wait;
  return o;
}

outcome within_bounds(outcome judged, const outcome& by_status, effect what) noexcept {
  judged.from = origin::operation;
  judged.rejected = false;
  judged.status = by_status.status;
  judged.why = {};
  if (judged.server_wait < duration::zero()) judged.server_wait = duration::min();
  if (judged.ok()) {
    judged.error = {};
    judged.delivery = evidence::answered;
    return judged;
  }
  if (judged.throttled && !by_status.throttled) {
    // As `attempt::throttled` has it: the server refused for a limit of its own.
    judged.result = verdict::failed;
    judged.transient = true;
    judged.countable = false;
    if (judged.delivery == by_status.delivery) judged.delivery = evidence::refused;
  }
  if (judged.throttled && (!judged.error || judged.error == by_status.error))
    judged.error = errc::too_many_requests;
  if (!judged.error) judged.error = by_status.error;
  if (!judged.error) judged.error = errc::operation_failed;
  if (judged.delivery == evidence::answered && judged.status >= 500)
    judged.delivery = without_proof(judged.status, what);
  if (judged.delivery == evidence::never_sent) judged.delivery = evidence::refused;
  return judged;
}

outcome unjudged(const outcome& by_status, effect what) noexcept {
  outcome o = failed(errc::operation_threw, by_status.delivery, false, false);
  // What settles nothing by itself does not by a failure in reading it.
  const bool decides = by_status.result == verdict::failed || by_status.status < 300;
  if (what == effect::keyed && !decides) o.delivery = evidence::refused;
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
