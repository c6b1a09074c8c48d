// An answer: status, header fields, body. Any status is an answer; ensure_success() objects.
//
//   hawser::result<hawser::http::response> r = api.send(request);
//   if (r && r->ok()) use(r->body());
//   auto user = r->as<user_t>();                 // include "hawser/http/json.hpp"
//   auto good = std::move(*r).ensure_success();  // 4xx and 5xx become errors
#pragma once

#include "hawser/core/effect.hpp"
#include "hawser/core/export.hpp"
#include "hawser/core/result.hpp"
#include "hawser/http/headers.hpp"
#include "hawser/http/limits.hpp"

#include <nlohmann/json_fwd.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace hawser::inline v0 {
struct outcome;
class redactor;
}  // namespace hawser::inline v0

namespace hawser::inline v0::http {

namespace detail {
/// What reads a body as a T. Its name is what the compiler says where it is missing.
template <class T>
struct include_hawser_http_json_hpp;
}  // namespace detail

/// One final answer. Reusable: `clear()` keeps the memory, so the next exchange into the same
/// object allocates nothing. Not thread-safe; const members may be called by many. Views and
/// references are for responses with a name; a temporary gives what they would show by value.
class HAWSER_API response {
 public:
  // These are compiled once, and not wherever a request is awaited.
  /// Status 0, and nothing in it.
  response() noexcept;
  /// Copies everything.
  response(const response&);
  response(response&&) noexcept;  ///< Leaves the other unspecified.
  /// Copies everything.
  response& operator=(const response&);
  response& operator=(response&&) noexcept;  ///< Leaves the other unspecified.
  ~response();

  /// 200 to 599 (RFC 9110 section 15 lets others pass as the x00 of their class); 0 before any.
  [[nodiscard]] int status() const noexcept { return status_; }
  /// What the server wrote behind the status; often empty, never to be relied upon.
  [[nodiscard]] std::string_view reason() const& noexcept { return reason_; }
  /// The same of a temporary.
  [[nodiscard]] std::string reason() && noexcept { return std::move(reason_); }
  /// The answer's fields.
  [[nodiscard]] const http::headers& headers() const& noexcept { return headers_; }
  /// The same of a temporary.
  [[nodiscard]] http::headers headers() && noexcept { return std::move(headers_); }
  /// Fields after a chunked body. Kept apart, as RFC 9110 section 6.5.1 asks.
  [[nodiscard]] const http::headers& trailers() const& noexcept { return trailers_; }
  /// The same of a temporary.
  [[nodiscard]] http::headers trailers() && noexcept { return std::move(trailers_); }
  /// The body's bytes, decoded from chunks.
  [[nodiscard]] std::string_view body() const& noexcept { return body_; }
  /// The same of a temporary.
  [[nodiscard]] std::string body() && noexcept { return std::move(body_); }
  /// The body, moved out.
  [[nodiscard]] std::string take_body() noexcept;
  /// Whether the status is 2xx.
  [[nodiscard]] bool ok() const noexcept { return status_ >= 200 && status_ < 300; }

  /// The body as JSON, of any status, at most as deep and large as its client's
  /// `limits::json_depth` and `limits::json_bytes` say. errc::json_malformed, errc::json_too_deep,
  /// errc::json_too_large; errc::no_content for an answer without a body.
  [[nodiscard]] result<nlohmann::json> json() const;
  /// The same, at most as deep and large as `l` says.
  [[nodiscard]] result<nlohmann::json> json(const limits& l) const;
  /// The body of a success as a type that nlohmann/json converts; needs <hawser/http/json.hpp>.
  /// Another answer is the error that `ensure_success()` makes of it, whatever T is: what it has to
  /// say is read by `json()`. errc::json_malformed, errc::json_too_deep, errc::json_too_large;
  /// errc::json_wrong_type, naming the field; errc::no_content for 204, 205 and any answer without
  /// a body. Where one may have none, ask for `std::optional<T>`: nullopt, as for a JSON null.
  /// `as<void>()` reads nothing. The errors know the `status()`.
  template <class T>
  [[nodiscard]] result<T> as() const {
    return as<T>(own_limits());
  }
  /// The same, at most as deep and large as `l` says.
  template <class T>
  [[nodiscard]] result<T> as([[maybe_unused]] const limits& l) const {
    if constexpr (std::is_void_v<T>)
      return check_success();
    else if (const result<void> good = check_success(); !good)
      return result<T>(boost::system::in_place_error, good.error());
    else
      return detail::include_hawser_http_json_hpp<T>::read(body_, l, masks_.get(), status_);
  }

  /// Itself when 2xx. Else errc::too_many_requests (429), errc::client_error (other 4xx),
  /// errc::server_error (5xx) or errc::unexpected_status, with status, title and type of a problem
  /// (RFC 9457) in the text. errc::outcome_unknown when the work must not be done twice (unsafe or
  /// keyed) and may have been: any 5xx but one that proves a refusal, or as `evidence()` says,
  /// which knows of earlier attempts too. Where `client_options::classify` has judged the answer,
  /// that goes before its status.
  [[nodiscard]] result<response> ensure_success() &&;
  /// The same on a copy.
  [[nodiscard]] result<response> ensure_success() const&;

  /// What sending this answer's request again would do, and what the answer proves. Set by the
  /// client.
  [[nodiscard]] hawser::effect effect() const noexcept { return effect_; }
  /// What the answer proves of the request's arrival.
  [[nodiscard]] hawser::evidence evidence() const noexcept { return evidence_; }

  // For transports, real and fake.

  /// Back to empty; keeps the memory.
  void clear() noexcept;
  /// The status and the phrase behind it.
  void set_status(int status, std::string_view reason = {});
  /// For filling it in place.
  [[nodiscard]] http::headers& mutable_headers() & noexcept { return headers_; }
  /// For filling them in place.
  [[nodiscard]] http::headers& mutable_trailers() & noexcept { return trailers_; }
  /// For filling it in place.
  [[nodiscard]] std::string& mutable_body() & noexcept { return body_; }
  /// Says what `effect()` and `evidence()` give.
  void set_exchange(hawser::effect what, hawser::evidence seen) noexcept {
    effect_ = what;
    evidence_ = seen;
  }
  /// How deep and large JSON may be when read without limits; the defaults of `limits` until set,
  /// and kept by `clear()`.
  void set_json_limits(const limits& l) noexcept {
    json_depth_ = l.json_depth;
    json_bytes_ = l.json_bytes;
  }
  /// Masks what errors quote of the answer, on top of the built-in rules; null until set, and kept
  /// by `clear()`. The client gives its pipeline's.
  void set_masks(const std::shared_ptr<const redactor>& masks) noexcept {
    if (masks_ != masks) masks_ = masks;
  }
  /// Why a call that ended with this answer made no further attempt, for errors that speak of the
  /// answer. Until `clear()`.
  void set_story(const hawser::error& why) noexcept { story_ = why; }
  /// What `ensure_success()` is to make of the answer, whatever its status: an empty code for a
  /// success, else that of its error. Nothing, as after `clear()`: what the status says.
  void set_judgement(const std::optional<error_code>& as) noexcept { judged_ = as; }

 private:
  [[nodiscard]] bool is_success() const noexcept { return judged_ ? !*judged_ : ok(); }
  [[nodiscard]] result<void> check_success() const;
  [[nodiscard]] error status_error() const;
  [[nodiscard]] error_code status_code() const noexcept;

  [[nodiscard]] limits own_limits() const noexcept {
    return {.json_depth = json_depth_, .json_bytes = json_bytes_};
  }

  int status_ = 0;
  std::size_t json_depth_ = limits{}.json_depth;
  std::size_t json_bytes_ = limits{}.json_bytes;
  hawser::effect effect_ = hawser::effect::safe;
  hawser::evidence evidence_ = hawser::evidence::answered;
  std::string reason_;
  std::string body_;
  http::headers headers_;
  http::headers trailers_;
  std::shared_ptr<const redactor> masks_;
  hawser::error story_;
  std::optional<error_code> judged_;
};

/// How a pipeline around a client reads an answer that is returned to it: as the client's own does.
/// It is delivered as a value all the same.
[[nodiscard]] HAWSER_API outcome outcome_of(const response& answer);

/// The phrase RFC 9110 section 15 gives a status ("Not Found"); empty for unknown ones.
[[nodiscard]] HAWSER_API std::string_view reason_phrase(int status) noexcept;

}  // namespace hawser::inline v0::http
