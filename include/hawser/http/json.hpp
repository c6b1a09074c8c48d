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

#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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
// with diagnostics, so the conversion is tried again with parts left out and with one field changed
// at a time. What all that may convert is bounded: 16 times the document at first, less of a large
// one, then a million values twice. So a from_json sees documents that were altered: short arrays
// and small objects keep their size, but not the type of each value.
// Keys that it names are masked, by `masks` too if there are any.
[[nodiscard]] HAWSER_API error explain_mismatch(const nlohmann::json& document, json_trial& trial,
                                                const redactor* masks);
[[nodiscard]] HAWSER_API error unserialisable(const std::exception& thrown);

// nlohmann copies, converts and writes by recursion: a deeper value ends the program.
inline constexpr std::size_t most_levels_sent = 1000;

// One step of a path into a document: a member's name, or without one an element's place.
struct json_step {
  std::optional<std::string_view> key;
  std::size_t index = 0;
};

// The way to the first array or object that has more than `levels` of them around it, itself
// counted; empty when there is none. Not by recursion.
template <class Json>
[[nodiscard]] std::vector<json_step> path_beyond(const Json& root, std::size_t levels) {
  struct level {
    const Json* value;
    typename Json::const_iterator at;
  };
  std::vector<level> open;
  if (root.is_structured()) open.push_back({&root, root.begin()});
  while (!open.empty() && open.size() <= levels) {
    level& last = open.back();
    if (last.at == last.value->end()) {
      open.pop_back();
      if (!open.empty()) ++open.back().at;
    } else if (const Json& next = *last.at; next.is_structured()) {
      open.push_back({&next, next.begin()});
    } else {
      ++last.at;
    }
  }
  std::vector<json_step> path;
  for (std::size_t i = 0; i + 1 < open.size(); ++i) {
    const level& l = open[i];
    if (l.value->is_object())
      path.push_back({std::string_view(l.at.key()), 0});
    else
      path.push_back({std::nullopt, static_cast<std::size_t>(l.at - l.value->begin())});
  }
  return path;
}

[[nodiscard]] HAWSER_API error too_deep_to_send(const std::vector<json_step>& path);

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

namespace detail {

// What is not to be converted: another basic_json, such as ordered_json, would be by recursion.
template <class T>
[[nodiscard]] std::optional<error> refused_as_too_deep(const T& value, std::size_t levels) {
  if constexpr (requires {
                  typename T::object_t;
                  value.is_structured();
                }) {
    if (const auto path = path_beyond(value, levels); !path.empty()) return too_deep_to_send(path);
  }
  return std::nullopt;
}

inline std::optional<error> put_members(nlohmann::json& /*into*/) { return std::nullopt; }
template <class T, class... More>
[[nodiscard]] std::optional<error> put_members(nlohmann::json& into, std::string_view name,
                                               const T& value, const More&... more) {
  if (auto deep = refused_as_too_deep(value, most_levels_sent - 1)) return deep;
  into[std::string(name)] = value;
  return put_members(into, more...);
}

}  // namespace detail

/// As declared in request.hpp.
template <class T>
requires(!std::convertible_to<const T*, const nlohmann::json*>) request& request::json(
    const T& value) & {
  try {
    if (auto deep = detail::refused_as_too_deep(value, detail::most_levels_sent)) {
      set_problem(*std::move(deep));
      return *this;
    }
    const nlohmann::json converted = value;
    return json(converted);
  } catch (const std::exception& e) {
    set_problem(detail::unserialisable(e));
    return *this;
  }
}

/// As declared in request.hpp.
template <class T, class... More>
requires(sizeof...(More) % 2 == 0) request& request::json(std::string_view name, const T& value,
                                                          const More&... more) & {
  try {
    nlohmann::json object = nlohmann::json::object();
    if (auto deep = detail::put_members(object, name, value, more...)) {
      set_problem(*std::move(deep));
      return *this;
    }
    return json(object);
  } catch (const std::exception& e) {
    set_problem(detail::unserialisable(e));
    return *this;
  }
}

}  // namespace hawser::inline v0::http
