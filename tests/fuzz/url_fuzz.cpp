// A URL that was taken gives parts that may stand in a request, and prints to one that is taken
// again. Routes and escapes never let a byte through that could end a line.
#include "hawser/http/url.hpp"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

using hawser::http::expand_route;
using hawser::http::percent_decode;
using hawser::http::percent_encode;
using hawser::http::url;

void require(bool good) {
  if (!good) std::abort();
}

bool is_visible(std::string_view text) {
  for (const char c : text)
    if (c <= ' ' || c > '~') return false;
  return true;
}

void check_url(std::string_view text) {
  const auto u = url::parse(text);
  if (!u) {
    require(u.error() == hawser::errc::invalid_url && !u.error().detail().empty());
    return;
  }
  require(!u->host().empty() && u->port() != 0);
  require(is_visible(u->target()) && u->target().starts_with('/') && is_visible(u->host_header()));
  const auto again = url::parse(u->origin() + u->target());
  require(again.has_value());
  require(again->origin() == u->origin() && again->target() == u->target());
  require(again->host_header() == u->host_header());
  require(is_visible(u->to_string()));
}

void check_route(std::string_view route, std::string_view value) {
  const auto expanded = expand_route(route, {{"id", std::string(value)}});
  if (!expanded) {
    require(expanded.error() == hawser::errc::invalid_route && !expanded.error().detail().empty());
    return;
  }
  // The value adds escaped bytes only: what is not visible was so in the route.
  if (is_visible(route)) require(is_visible(*expanded));
  require(expanded->find_first_of("{}") == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_url(text);
  check_url("http://" + std::string(text));

  const std::string encoded = percent_encode(text);
  require(is_visible(encoded));
  require(percent_decode(encoded).value() == text);
  if (const auto decoded = percent_decode(text)) require(decoded->size() <= size);

  const std::size_t cut = text.find('\n');
  check_route(text.substr(0, cut), cut == std::string_view::npos ? text : text.substr(cut + 1));
  return 0;
}
