#include "http/beast/transport.hpp"

#include "hawser/http/url.hpp"

#include <utility>

namespace hawser::inline v0::http {

transport::~transport() = default;

namespace beast {

beast_transport::beast_transport(environment env, settings s)
    : pool_(new pool(std::move(env), std::move(s))) {}

beast_transport::~beast_transport() { pool_->close(); }

void beast_transport::start(exchange& what) { pool_->start(what); }

void beast_transport::cancel(exchange& what) noexcept { pool_->cancel(what); }

void beast_transport::close() noexcept { pool_->close(); }

transport_stats beast_transport::stats() const noexcept { return pool_->stats(); }

}  // namespace beast

std::shared_ptr<transport> make_beast_transport(environment env, url origin, pool_options pool,
                                                tls_options tls, limits bounds, time_limits times) {
  validate(pool);
  validate(tls);
  validate(bounds);
  validate(times);
  beast::endpoint_name name(origin);
  std::shared_ptr<beast::tls_context> context;
  if (name.tls)
    context = std::make_shared<beast::tls_context>(
        tls, beast::tls_peer{name.host, name.literal.has_value()});
  return std::make_shared<beast::beast_transport>(
      std::move(env), beast::settings{std::move(name), pool, bounds, times, std::move(context),
                                      beast::make_channel});
}

}  // namespace hawser::inline v0::http
