#include "hawser/policy/classify.hpp"

#include <string_view>

namespace hawser::inline v0 {

namespace {

bool never_left(const error_code& ec) noexcept {
  namespace generic = boost::system::errc;
  return ec == generic::connection_refused || ec == generic::host_unreachable ||
         ec == generic::network_unreachable || ec == generic::network_down ||
         ec == errc::resolve_timeout || ec == errc::connect_timeout || ec == errc::tls_timeout ||
         ec == condition::tls_failure || ec == condition::invalid_input ||
         std::string_view(ec.category().name()).ends_with(".netdb");
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
  o.delivery = never_left(ec) ? evidence::never_sent : evidence::maybe_applied;
  o.result = ec == condition::canceled ? verdict::ignored : verdict::failed;
  // The caller's own mistake and a broken trust do not mend by themselves.
  o.transient = o.result == verdict::failed && ec != condition::invalid_input &&
                ec != condition::tls_failure && ec != errc::outcome_unknown;
  o.countable = ec != condition::invalid_input && ec != errc::outcome_unknown;
  return o;
}

}  // namespace hawser::inline v0
