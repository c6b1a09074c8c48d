#include "http/beast/connector.hpp"

#include "core/shortage.hpp"

#include <boost/asio/ip/address.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace hawser::inline v0::http::beast {

namespace {

constexpr std::size_t most_addresses = 16;
constexpr duration least_share = std::chrono::milliseconds(250);

std::string in_words(const address_walk::endpoint& e) {
  const std::string address = e.address().to_string();
  const std::string port = std::to_string(e.port());
  return e.address().is_v6() ? "[" + address + "]:" + port : address + ":" + port;
}

}  // namespace

endpoint_name::endpoint_name(const url& origin)
    : host(origin.host()),
      port(std::to_string(origin.port())),
      text((origin.kind_of_host() == url::host_kind::ipv6 ? "[" + host + "]" : host) + ":" + port),
      host_header(origin.host_header()),
      tls(origin.is_tls()) {
  if (origin.kind_of_host() == url::host_kind::name) return;
  boost::system::error_code ec;
  const auto address = boost::asio::ip::make_address(host, ec);
  if (!ec) literal.emplace(address, origin.port());
}

void address_walk::start(std::vector<endpoint> addresses, time_point until) {
  addresses_ = std::move(addresses);
  if (addresses_.size() > most_addresses) addresses_.resize(most_addresses);
  next_ = 0;
  until_ = until;
  last_ = {};
  story_.clear();
  before_last_ = 0;
  last_failed_.clear();
}

time_point address_walk::share(time_point now) const noexcept {
  if (until_ == never) return never;
  const duration left = remaining(until_, now);
  const auto shares = static_cast<duration::rep>(addresses_.size() - next_ + 1);
  return std::min(until_, later(now, std::max(left / shares, least_share)));
}

void address_walk::failed(error_code why) {
  last_ = why;
  before_last_ = story_.size();
  if (!story_.empty()) story_ += "; ";
  last_failed_ = in_words(addresses_[next_ - 1]);
  story_ += last_failed_ + ": " + why.message();
}

std::string address_walk::place_of_last_error() const {
  if (before_last_ == 0) return last_failed_;
  return last_failed_ + " (before: " + story_.substr(0, before_last_) + ")";
}

std::string_view remedy(const error_code& ec, const address_walk::endpoint* to,
                        std::string_view usual) noexcept {
  if (const auto local = hawser::detail::shortage_remedy(ec); !local.empty()) return local;
  if (ec == boost::system::errc::resource_unavailable_try_again)
    return "this process may have no more threads; raise its limit (ulimit -u)";
  const bool link_local =
      to != nullptr && to->address().is_v6() && to->address().to_v6().is_link_local();
  if (link_local && ec == boost::system::errc::invalid_argument)
    return "a link-local address leads nowhere by itself; give one that is valid beyond the link, "
           "global (2000::/3) or unique local (fd00::/8), or a name that has one";
  return usual;
}

std::string in_words(duration d) {
  const auto ns = d.count();
  if (ns % 1'000'000'000 == 0) return std::to_string(ns / 1'000'000'000) + " s";
  if (ns % 1'000'000 == 0) return std::to_string(ns / 1'000'000) + " ms";
  return std::to_string(ns / 1'000) + " us";
}

}  // namespace hawser::inline v0::http::beast
