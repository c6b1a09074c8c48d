#include "hawser/policy/classify.hpp"

#include "core/shortage.hpp"

#include <string_view>

namespace hawser::inline v0 {

namespace {

/// An unreachable host or network is not among them: where the route goes after a request went out,
/// the read of its answer ends so.
bool never_left(const error_code& ec) noexcept {
  if (ec == errc::tls_broken) return false;  // alone of its kind: the handshake was over
  return ec == boost::system::errc::connection_refused || ec == errc::resolve_timeout ||
         ec == errc::connect_timeout || ec == errc::tls_timeout || ec == condition::tls_failure ||
         ec == condition::invalid_input || ec == errc::forked ||
         std::string_view(ec.category().name()).ends_with(".netdb");
}

/// Our codes for answers that came whole and say that it is over. A server error does not: without
/// its status it may be a gateway's, which does not know what became of the request.
bool was_answered(const error_code& ec) noexcept {
  return ec == errc::client_error || ec == errc::unexpected_status || ec == errc::json_malformed ||
         ec == errc::json_too_deep || ec == errc::json_too_large || ec == errc::json_wrong_type ||
         ec == errc::no_content;
}

}  // namespace

outcome classify(const error_code& ec) noexcept {
  outcome o;
  if (!ec) return o;
  o.error = ec;
  if (ec == condition::rejected) {
    o = outcome::refuse(errc::circuit_open, {});
    o.from = origin::operation;
    o.error = ec;
    o.transient = ec == condition::transient;
    return o;
  }
  if (ec == errc::too_many_requests) {  // as its status says, see http/classify.hpp
    o.result = verdict::failed;
    o.delivery = evidence::refused;
    o.transient = true;
    o.countable = false;
    o.throttled = true;
    return o;
  }
  o.delivery = never_left(ec)     ? evidence::never_sent
               : was_answered(ec) ? evidence::answered
                                  : evidence::maybe_applied;
  const bool neutral = ec == condition::canceled || ec == errc::client_error || ec == errc::forked;
  o.result = neutral ? verdict::ignored : verdict::failed;
  // The caller's own mistake, a broken trust and an answer that means the same the next time do not
  // mend by themselves. Of an error that we do not know it is assumed that it does.
  const bool lasting = neutral || ec == condition::invalid_input || ec == errc::outcome_unknown ||
                       ((ec == condition::tls_failure || ec == condition::bad_response) &&
                        ec != condition::transient);
  o.transient = !lasting;
  // What this process lacks says nothing of the other side, but may be there the next time.
  o.countable = ec != errc::client_error && ec != condition::invalid_input &&
                ec != errc::outcome_unknown && ec != errc::forked &&
                detail::shortage_remedy(ec).empty();
  return o;
}

}  // namespace hawser::inline v0
