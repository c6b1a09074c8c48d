// http and https URLs, and the escaping that goes into request targets.
//
//   auto u = hawser::http::url::parse("https://api.example:8443/v1?a=b");      // a result
//   u->origin();                                                  // "https://api.example:8443"
//   hawser::http::expand_route("/users/{id}", {{"id", "a/b"}}).value();        // "/users/a%2Fb"
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/core/result.hpp"

#include <array>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hawser::inline v0::http {

/// An absolute http or https URL (RFC 3986, RFC 9110 section 4.2). A value: const members may be
/// called from any thread. A temporary gives strings where a named one gives views.
class HAWSER_API url {
 public:
  /// What the host is written as.
  enum class host_kind : std::uint8_t { name, ipv4, ipv6 };

  /// Takes a URL apart. errc::invalid_url, saying what is wrong and at which byte; never quotes
  /// user info or query. A fragment is read over, as it is never sent.
  [[nodiscard]] static result<url> parse(std::string_view text);

  /// "http" or "https".
  [[nodiscard]] std::string_view scheme() const noexcept { return tls_ ? "https" : "http"; }
  /// Whether the scheme is https.
  [[nodiscard]] bool is_tls() const noexcept { return tls_; }
  /// In lower case, an IPv6 address without its brackets.
  [[nodiscard]] std::string_view host() const& noexcept { return host_; }
  /// The same of a temporary.
  [[nodiscard]] std::string host() && noexcept { return std::move(host_); }
  /// What the host is written as.
  [[nodiscard]] host_kind kind_of_host() const noexcept { return kind_; }
  /// The one given, else 80 or 443.
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  /// Whether it is the scheme's own.
  [[nodiscard]] bool is_default_port() const noexcept { return port_ == (tls_ ? 443 : 80); }
  /// As given, "/" when empty.
  [[nodiscard]] std::string_view path() const& noexcept { return path_; }
  /// The same of a temporary.
  [[nodiscard]] std::string path() && noexcept { return std::move(path_); }
  /// What follows '?', without it; see `has_query`.
  [[nodiscard]] std::string_view query() const& noexcept { return query_; }
  /// The same of a temporary.
  [[nodiscard]] std::string query() && noexcept { return std::move(query_); }
  /// Whether there is one: an empty query is not no query (RFC 3986 section 6.2.3).
  [[nodiscard]] bool has_query() const noexcept { return has_query_; }
  /// Whether a fragment stood in it. It is not kept.
  [[nodiscard]] bool has_fragment() const noexcept { return has_fragment_; }
  /// Path and query as they go on the request line.
  [[nodiscard]] std::string target() const;
  /// What the Host header says: host in brackets if need be, port unless it is the scheme's own.
  [[nodiscard]] std::string host_header() const;
  /// Scheme, host and port, the latter always: one string per server. "https://api.example:443".
  [[nodiscard]] std::string origin() const;
  /// Whether a user or a password stood in it. They are not kept.
  [[nodiscard]] bool has_user_info() const noexcept { return has_user_info_; }
  /// The whole URL, fit for people: user info shows as "***", the query's values too.
  [[nodiscard]] std::string to_string() const;

  /// For base URLs: errc::invalid_url when there is user info (credentials belong in a header), a
  /// query, be it empty (it belongs to requests), or a fragment (it is never sent).
  [[nodiscard]] result<void> check_base() const;

 private:
  std::string host_;
  std::string path_ = "/";
  std::string query_;
  std::uint16_t port_ = 80;
  host_kind kind_ = host_kind::name;
  bool tls_ = false;
  bool has_user_info_ = false;
  bool has_query_ = false;
  bool has_fragment_ = false;
};

/// Names and values of route parameters.
using route_params = std::vector<std::pair<std::string, std::string>>;

/// The value of one "{name}". Refers to both texts.
class route_value {
 public:
  constexpr route_value() noexcept = default;  ///< None.
  /// `value` for "{name}".
  constexpr route_value(std::string_view name, std::string_view value) noexcept
      : name_(name), value_(value), given_(true) {}

 private:
  friend class request;
  std::string_view name_;
  std::string_view value_;
  bool given_ = false;
};

/// Up to eight route parameters written down in place, `{{"id", id}, {"page", page}}`, or a list of
/// any length. For the call that it is an argument of: it refers to what it was made of. It owns
/// nothing and takes no std::initializer_list, so that it can be written inside a `co_await`:
/// g++ 12 refuses such lists there.
class route_values {
 public:
  constexpr route_values() noexcept = default;  ///< None.
  /// One to eight.
  // NOLINTNEXTLINE(google-explicit-constructor): `{{"id", "42"}}` stands for it
  constexpr route_values(const route_value& a, const route_value& b = {}, const route_value& c = {},
                         const route_value& d = {}, const route_value& e = {},
                         const route_value& f = {}, const route_value& g = {},
                         const route_value& h = {}) noexcept
      : few_{a, b, c, d, e, f, g, h} {}
  /// Those of a named list.
  template <std::same_as<route_params> List>
  // NOLINTNEXTLINE(google-explicit-constructor): a named list stands for it
  constexpr route_values(const List& all) noexcept : all_(&all) {}

 private:
  friend class request;
  std::array<route_value, 8> few_{};
  const route_params* all_ = nullptr;
};

/// Everything but unreserved characters (RFC 3986 section 2.3) as %XX: one path segment, or one
/// name or value of a query.
[[nodiscard]] HAWSER_API std::string percent_encode(std::string_view text);
/// The same, appended to `out`.
HAWSER_API void percent_encode_to(std::string& out, std::string_view text);
/// The reverse. errc::invalid_url on a '%' without two hex digits.
[[nodiscard]] HAWSER_API result<std::string> percent_decode(std::string_view text);

/// Appends "?name=value" or "&name=value", escaped, to a target.
HAWSER_API void append_query(std::string& target, std::string_view name, std::string_view value);

/// Puts parameters into a template such as "/users/{id}", each value escaped as one path segment.
/// errc::invalid_route, naming the parameter, when one is missing, superfluous or given twice, when
/// braces do not match, and when a value would make its segment empty, "." or "..". Values are
/// never quoted.
[[nodiscard]] HAWSER_API result<std::string> expand_route(std::string_view route,
                                                          const route_params& params);
/// The same, appended to `out`, which is left as it was on errors.
[[nodiscard]] HAWSER_API result<void> expand_route_to(std::string& out, std::string_view route,
                                                      const route_params& params);

}  // namespace hawser::inline v0::http
