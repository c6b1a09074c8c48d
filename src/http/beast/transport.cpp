#include "http/beast/transport.hpp"

#include "hawser/http/url.hpp"

#include "core/process.hpp"
#include "http/beast/openssl_use.hpp"
#include "run/shared_parts.hpp"

#include <memory>
#include <utility>

namespace hawser::inline v0::http {

transport::~transport() = default;

namespace beast {

beast_transport::beast_transport(environment env, settings s)
    : made_in_(hawser::detail::process_generation()),
      pool_(new pool(std::move(env), std::move(s))) {}

beast_transport::~beast_transport() {
  if (is_the_parents())
    hawser::detail::keep_for_ever(std::make_shared<pool_ptr>(std::move(pool_)));
  else
    pool_->close();
}

/// In a child of fork() connections are the parent's, and locks may be locked for ever.
bool beast_transport::is_the_parents() const noexcept {
  return made_in_ != hawser::detail::process_generation();
}

void beast_transport::start(exchange& what) {
  if (is_the_parents()) return pool_->post_end(what, errc::forked, evidence::never_sent, {});
  pool_->start(what);
}

void beast_transport::cancel(exchange& what) noexcept {
  if (!is_the_parents()) pool_->cancel(what);
}

void beast_transport::close() noexcept {
  if (!is_the_parents()) pool_->close();
}

transport_stats beast_transport::stats() const noexcept {
  return is_the_parents() ? transport_stats{} : pool_->stats();
}

}  // namespace beast

std::shared_ptr<transport> make_beast_transport(environment env, url origin, pool_options pool,
                                                tls_options tls, limits bounds, time_limits times) {
  validate(pool);
  validate(tls);
  validate(bounds);
  validate(times);
  beast::endpoint_name name(origin);
  std::shared_ptr<beast::tls_context> context;
  if (name.tls) {
    beast::openssl_use::begin();
    const beast::openssl_use use;
    if (!use) throw call_error(error(errc::client_closed, "the process ends"));
    context = std::make_shared<beast::tls_context>(
        tls, beast::tls_peer{name.host, name.literal.has_value()},
        &env.source().shared_parts().of<beast::trusted_roots>());
  }
  return std::make_shared<beast::beast_transport>(
      std::move(env), beast::settings{std::move(name), pool, bounds, times, std::move(context),
                                      beast::make_channel});
}

}  // namespace hawser::inline v0::http
