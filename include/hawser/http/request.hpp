// A request, built in one expression and checked before anything is sent.
//
//   auto charge = hawser::http::request::post("/v1/accounts/{id}/charges")
//                     .param("id", account).header("Accept", "application/json")
//                     .json(body).idempotency_key(order_id);
//   hawser::result<hawser::http::response> r = api.send(charge);
#pragma once

#include "hawser/core/effect.hpp"
#include "hawser/core/export.hpp"
#include "hawser/core/result.hpp"
#include "hawser/http/headers.hpp"
#include "hawser/http/method.hpp"
#include "hawser/http/url.hpp"

#include <nlohmann/json_fwd.hpp>

#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace hawser::inline v0::http {

/// One logical request. Setters never throw but for lack of memory: they keep the first error, and
/// the client reports it instead of sending. A const request has no setters: copy it. Not
/// thread-safe while being built; const members may be called by many. Views and references are for
/// named requests; a temporary, such as a setter's return value, gives what they would show by
/// value.
class HAWSER_API request {
 public:
  /// Nothing has happened yet: `pipeline::execute` does not take it for a result.
  using not_an_outcome = void;
  /// `target` is a path with an optional query, starting with '/', in which "{name}" stands for a
  /// parameter, given here or by `param`. Bytes outside of RFC 3986 must come percent-encoded:
  /// errc::invalid_url.
  request(http::method how, std::string_view target, const route_values& params = {});
  // These are compiled once, and not wherever a request is awaited.
  /// Copies everything, a problem included.
  request(const request&);
  request(request&&) noexcept;  ///< Leaves the other unspecified.
  /// Copies everything, a problem included.
  request& operator=(const request&);
  /// Onto itself too.
  request& operator=(request&& other) noexcept;
  ~request();

  /// A GET of `target`, with its parameters if they are known: `get("/u/{id}", {{"id", id}})`.
  [[nodiscard]] static request get(std::string_view target, const route_values& params = {}) {
    return {method::get, target, params};
  }
  /// A HEAD.
  [[nodiscard]] static request head(std::string_view target, const route_values& params = {}) {
    return {method::head, target, params};
  }
  /// A POST.
  [[nodiscard]] static request post(std::string_view target, const route_values& params = {}) {
    return {method::post, target, params};
  }
  /// A PUT.
  [[nodiscard]] static request put(std::string_view target, const route_values& params = {}) {
    return {method::put, target, params};
  }
  /// A PATCH.
  [[nodiscard]] static request patch(std::string_view target, const route_values& params = {}) {
    return {method::patch, target, params};
  }
  /// A DELETE.
  [[nodiscard]] static request delete_(std::string_view target, const route_values& params = {}) {
    return {method::delete_, target, params};
  }
  /// An OPTIONS.
  [[nodiscard]] static request options(std::string_view target, const route_values& params = {}) {
    return {method::options, target, params};
  }

  // Setters. Of a named request they return it, of a temporary one they hand it on.

  /// Adds a header field; one that a message has once only (Content-Type, Authorization,
  /// User-Agent, Range, ...) in place of the one there. errc::invalid_header as
  /// `check_request_field` has it.
  request& header(std::string_view name, std::string_view value) &;
  /// Appends to the query, escaped.
  request& query(std::string_view name, std::string_view value) &;
  /// The value of "{name}" in the target.
  request& param(std::string_view name, std::string_view value) &;
  /// The values of several.
  request& params(const route_values& values) &;
  /// The body and its Content-Type (none is sent when empty). errc::invalid_header.
  request& body(std::string bytes, std::string_view content_type) &;
  /// A JSON body; to write one in braces, `json({{"a", 1}})`, include "hawser/http/json.hpp".
  /// errc::invalid_body, naming the field by its JSON pointer (RFC 6901), for what
  /// JSON cannot hold: a number that is not finite, a string that is not UTF-8, binary data, a
  /// discarded value; or when more than 1,000 arrays and objects are inside each other. Inside a
  /// `co_await`, where g++ 12 refuses `json({{"a", 1}})`, name the value first or take the form
  /// with members one by one.
  request& json(const nlohmann::json& value) &;
  /// A JSON body from a type that nlohmann/json converts; include "hawser/http/json.hpp".
  /// As deep as above; what a to_json copies from a json of its own, nlohmann copies by recursion.
  template <class T>
  requires(!std::convertible_to<const T*, const nlohmann::json*>) request& json(const T& value) &;
  /// A JSON object of members, name and value in turn: `json("order", id, "cents", 1200)`. Of
  /// equal names the last counts. Include "hawser/http/json.hpp".
  template <class T, class... More>
  requires(sizeof...(More) % 2 == 0) request& json(std::string_view name, const T& value,
                                                   const More&... more) &;
  /// The caller's own idempotency key, such as an order number. It makes an otherwise unsafe
  /// request `keyed`. errc::invalid_idempotency_key when empty; the profile checks the rest.
  request& idempotency_key(std::string_view key) &;
  /// Overrides what the method says about sending twice. An `unsafe` said here stands whatever keys
  /// go out; `keyed` needs a key: its own, or one that the client mints.
  request& effect(hawser::effect what) &;
  /// A low-cardinality name for logs and metrics; "GET /users/{id}" when not given.
  request& name(std::string text) &;

  /// The same of a temporary.
  request&& header(std::string_view name, std::string_view value) && {
    return std::move(header(name, value));
  }
  /// The same of a temporary.
  request&& query(std::string_view name, std::string_view value) && {
    return std::move(query(name, value));
  }
  /// The same of a temporary.
  request&& param(std::string_view name, std::string_view value) && {
    return std::move(param(name, value));
  }
  /// The same of a temporary.
  request&& params(const route_values& values) && { return std::move(params(values)); }
  /// The same of a temporary.
  request&& body(std::string bytes, std::string_view content_type) && {
    return std::move(body(std::move(bytes), content_type));
  }
  /// The same of a temporary.
  request&& json(const nlohmann::json& value) && { return std::move(json(value)); }
  /// The same of a temporary.
  template <class T>
  requires(!std::convertible_to<const T*, const nlohmann::json*>) request && json(const T& value) &&
  {
    return std::move(json(value));
  }
  /// The same of a temporary.
  template <class T, class... More>
  requires(sizeof...(More) % 2 == 0) request &&
      json(std::string_view name, const T& value, const More&... more) && {
    return std::move(json(name, value, more...));
  }
  /// The same of a temporary.
  request&& idempotency_key(std::string_view key) && { return std::move(idempotency_key(key)); }
  /// The same of a temporary.
  request&& effect(hawser::effect what) && { return std::move(effect(what)); }
  /// The same of a temporary.
  request&& name(std::string text) && { return std::move(name(std::move(text))); }

  // A const request is not changed: copy it first, `request mine = shared;`.
  void header(std::string_view, std::string_view) const& = delete;  ///< Copy a const request first.
  void query(std::string_view, std::string_view) const& = delete;   ///< Copy a const request first.
  void param(std::string_view, std::string_view) const& = delete;   ///< Copy a const request first.
  void params(const route_values&) const& = delete;                 ///< Copy a const request first.
  void body(std::string, std::string_view) const& = delete;         ///< Copy a const request first.
  void json(const nlohmann::json&) const& = delete;                 ///< Copy a const request first.
  /// Copy a const request first.
  template <class T>
  requires(!std::convertible_to<const T*, const nlohmann::json*>) void json(const T&) const& =
      delete;
  /// Copy a const request first.
  template <class T, class... More>
  requires(sizeof...(More) % 2 == 0) void json(std::string_view, const T&,
                                               const More&...) const& = delete;
  void idempotency_key(std::string_view) const& = delete;  ///< Copy a const request first.
  void effect(hawser::effect) const& = delete;             ///< Copy a const request first.
  void name(std::string) const& = delete;                  ///< Copy a const request first.

  /// The first thing that was wrong in what the setters were given.
  [[nodiscard]] const std::optional<error>& problem() const& noexcept { return problem_; }
  /// The same of a temporary.
  [[nodiscard]] std::optional<error> problem() && noexcept { return problem_; }
  /// Keeps `why` unless an earlier problem is there. For those who build upon this class.
  void set_problem(error why);

  /// How it is sent.
  [[nodiscard]] const http::method& method() const& noexcept { return method_; }
  /// The same of a temporary.
  [[nodiscard]] http::method method() && { return method_; }
  /// The template without its query.
  [[nodiscard]] std::string_view route() const& noexcept;
  /// The same of a temporary.
  [[nodiscard]] std::string route() && { return std::string(route()); }
  /// The name given; empty without one.
  [[nodiscard]] std::string_view name() const& noexcept { return name_; }
  /// The same of a temporary.
  [[nodiscard]] std::string name() && { return name_; }
  /// Path and query with the parameters put in. errc::invalid_route, or the kept problem.
  [[nodiscard]] result<std::string> target() const;
  /// The same, appended to `out`; allocates only when `out` has no room.
  [[nodiscard]] result<void> target_to(std::string& out) const;
  /// The fields set so far, in order.
  [[nodiscard]] const http::headers& headers() const& noexcept { return headers_; }
  /// The same of a temporary.
  [[nodiscard]] http::headers headers() && { return headers_; }
  /// The body's bytes; see `has_body`.
  [[nodiscard]] std::string_view body() const& noexcept { return body_; }
  /// The same of a temporary.
  [[nodiscard]] std::string body() && { return body_; }
  /// Whether there is one: an empty body is not no body.
  [[nodiscard]] bool has_body() const noexcept { return has_body_; }
  /// The caller's own key.
  [[nodiscard]] const std::optional<std::string>& idempotency_key() const& noexcept { return key_; }
  /// The same of a temporary.
  [[nodiscard]] std::optional<std::string> idempotency_key() && { return key_; }
  /// The override, else what the method says; an unsafe request with a key is `keyed`.
  [[nodiscard]] hawser::effect effect() const noexcept;
  /// The override alone.
  [[nodiscard]] std::optional<hawser::effect> effect_override() const noexcept { return effect_; }

 private:
  http::method method_;
  std::string target_;  // the template, with its query
  std::string query_;   // what `query` added, escaped, without a leading '?' or '&'
  std::string name_;
  std::string body_;
  http::headers headers_;
  route_params params_;
  std::optional<std::string> key_;
  std::optional<hawser::effect> effect_;
  std::optional<error> problem_;
  bool has_body_ = false;
};

}  // namespace hawser::inline v0::http
