// Where connections lead, and in which order and for how long its addresses are tried. No I/O.
//
//   address_walk walk;
//   walk.start(addresses, later(now, limit));
//   while (auto to = walk.next()) { ... connect until walk.share(now) ... walk.failed(ec); }
//   fail(walk.last_error(), walk.story());
#pragma once

#include "hawser/core/error.hpp"
#include "hawser/core/time.hpp"
#include "hawser/http/url.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::inline v0::http::beast {

/// One server as its URL names it.
struct endpoint_name {
  explicit endpoint_name(const url& origin);

  std::string host;  ///< Without brackets.
  std::string port;
  std::string text;  ///< "api.example:443", "[::1]:80": for people.
  std::string host_header;
  bool tls = false;
  /// The host as an address, when it is one: nothing to resolve.
  std::optional<boost::asio::ip::tcp::endpoint> literal{};
};

/// Goes through the addresses of a name, in the resolver's order (RFC 6724).
class address_walk {
 public:
  using endpoint = boost::asio::ip::tcp::endpoint;

  /// `until` bounds all addresses together.
  void start(std::vector<endpoint> addresses, time_point until);
  [[nodiscard]] bool has_next() const noexcept { return next_ < addresses_.size(); }
  [[nodiscard]] const endpoint& next() { return addresses_[next_++]; }
  /// When to give up on the address handed out last: an equal share of the time left, so that one
  /// address which swallows packets does not use up the time of the others, but at least 250 ms.
  [[nodiscard]] time_point share(time_point now) const noexcept;
  /// Takes down how the address handed out last went.
  void failed(error_code why);
  [[nodiscard]] const error_code& last_error() const noexcept { return last_; }
  /// "[::1]:443: Connection refused; 127.0.0.1:443: Connection refused".
  [[nodiscard]] const std::string& story() const noexcept { return story_; }
  /// The address handed out last.
  [[nodiscard]] const endpoint& last() const noexcept { return addresses_[next_ - 1]; }
  /// The same for who tells the last error anyway: "127.0.0.1:443 (before: [::1]:443: No route)".
  [[nodiscard]] std::string place_of_last_error() const;

 private:
  std::vector<endpoint> addresses_;
  std::size_t next_ = 0;
  time_point until_ = never;
  error_code last_;
  std::string story_;
  std::string last_failed_;
  std::size_t before_last_ = 0;  // so much of the story is of those before
};

/// What to do about `ec`, to be put behind "; ": `usual` unless it is our own side that lacks
/// something, or the address leads nowhere.
[[nodiscard]] std::string_view remedy(const error_code& ec, const address_walk::endpoint* to,
                                      std::string_view usual) noexcept;

/// "2 s", "250 ms", "1500 us".
[[nodiscard]] std::string in_words(duration d);

}  // namespace hawser::inline v0::http::beast
