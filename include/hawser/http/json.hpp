// JSON in and out of messages. The one public header that includes nlohmann/json.hpp: opt-in.
//
//   hawser::result<user_t> user = response.as<user_t>();
//   if (!user) log(user.error().message());   // "... field /address/zip must be string, is number"
//   auto put = hawser::http::request::put("/users/7").json(user.value());
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/core/result.hpp"
#include "hawser/http/limits.hpp"
#include "hawser/http/request.hpp"
#include "hawser/http/response.hpp"

#include <nlohmann/json.hpp>

#include <exception>
#include <string>
#include <string_view>

namespace hawser::inline v0::http {

/// Reads one JSON value (RFC 8259) that takes up all of `text`. errc::json_malformed with the byte
/// where reading stopped, errc::json_too_deep beyond `l.json_depth`. The text is never quoted.
[[nodiscard]] HAWSER_API result<nlohmann::json> parse_json(std::string_view text,
                                                           const limits& l = {});

namespace detail {

// One conversion that may be tried on several documents: what it threw, as nlohmann's id and text.
struct json_failure {
  int id = 0;  // 0: none; -1: something that is not nlohmann's, whose text may quote anything
  std::string text;
  friend bool operator==(const json_failure&, const json_failure&) = default;
};

class HAWSER_API json_trial {
 public:
  json_trial() = default;
  json_trial(const json_trial&) = delete;
  json_trial& operator=(const json_trial&) = delete;
  virtual json_failure run(const nlohmann::json& document) = 0;

 protected:
  ~json_trial() = default;
};

// Which field of `document` made the conversion fail, in words. nlohmann does not say unless built
// with diagnostics, so the conversion is tried again with one field changed at a time.
// Keys that it names are masked, by `masks` too if there are any.
[[nodiscard]] HAWSER_API error explain_mismatch(const nlohmann::json& document, json_trial& trial,
                                                const redactor* masks);
[[nodiscard]] HAWSER_API error unserialisable(const std::exception& thrown);

template <class T>
class json_conversion final : public json_trial {
 public:
  json_failure run(const nlohmann::json& document) override {
    try {
      static_cast<void>(document.get<T>());
      return {};
    } catch (const nlohmann::json::exception& e) {
      return {e.id, e.what()};
    } catch (const std::exception&) {
      return {-1, {}};
    }
  }
};

template <class T>
[[nodiscard]] result<T> convert(const nlohmann::json& value, const redactor* masks) {
  static_assert(
      requires { value.get<T>(); },
      "nlohmann/json cannot make a T: give it a from_json, for example by "
      "NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(T, fields...) beside T");
  try {
    return result<T>(boost::system::in_place_value, value.get<T>());
  } catch (const std::exception&) {
    json_conversion<T> again;
    return result<T>(boost::system::in_place_error, explain_mismatch(value, again, masks));
  }
}

}  // namespace detail

/// A JSON value as a T. errc::json_wrong_type, naming the field by its JSON pointer (RFC 6901), the
/// type asked for and the type found; never a value. Numbers convert as nlohmann does it, which
/// checks no range: where the other side is not trusted, take std::int64_t or double and look.
template <class T>
[[nodiscard]] result<T> json_as(const nlohmann::json& value) {
  return detail::convert<T>(value, nullptr);
}

namespace detail {

template <class T>
struct include_hawser_http_json_hpp {
  static result<T> read(std::string_view body, const limits& l, const redactor* masks) {
    result<nlohmann::json> parsed = parse_json(body, l);
    if (!parsed) return result<T>(boost::system::in_place_error, parsed.error());
    return convert<T>(*parsed, masks);
  }
};

}  // namespace detail

/// As declared in request.hpp.
template <class T>
requires(!std::convertible_to<const T*, const nlohmann::json*>) request
    && request::json(const T& value) && {
  try {
    const nlohmann::json converted = value;
    return std::move(*this).json(converted);
  } catch (const std::exception& e) {
    set_problem(detail::unserialisable(e));
    return std::move(*this);
  }
}

}  // namespace hawser::inline v0::http
