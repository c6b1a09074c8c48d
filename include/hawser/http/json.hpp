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

#include <cmath>
#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace hawser::inline v0::http {

/// Reads one JSON value (RFC 8259) that takes up all of `text`. errc::json_malformed with the byte
/// where reading stopped, errc::json_too_deep beyond `l.json_depth`, errc::json_too_large beyond
/// `l.json_bytes`, of which no more is taken before it is known. The text is never quoted.
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

// Why a value cannot be sent. What nlohmann would write in its place: null for a number that is not
// finite, an object of its own for binary data, no JSON at all for a discarded value.
enum class json_flaw { none, too_deep, not_finite, binary, discarded, not_utf8 };

template <class Json>
[[nodiscard]] json_flaw flaw_of(const Json& value) {
  if (value.is_number_float())
    return std::isfinite(value.template get<typename Json::number_float_t>())
               ? json_flaw::none
               : json_flaw::not_finite;
  if (value.is_binary()) return json_flaw::binary;
  return value.is_discarded() ? json_flaw::discarded : json_flaw::none;
}

struct json_place {
  json_flaw what = json_flaw::none;
  std::vector<json_step> path{};
};

// The first value in `root` that cannot be sent: by `test`, or an array or object that has more
// than `levels` of them around it, itself counted. Not by recursion.
template <class Json, class Test>
[[nodiscard]] json_place find_flaw(const Json& root, std::size_t levels, Test test) {
  struct level {
    const Json* value;
    typename Json::const_iterator at;
  };
  std::vector<level> open;
  json_place found{test(root, static_cast<const std::string*>(nullptr)), {}};
  if (root.is_structured()) open.push_back({&root, root.begin()});
  while (found.what == json_flaw::none && !open.empty()) {
    if (open.size() > levels) {
      found.what = json_flaw::too_deep;
      open.pop_back();
      break;
    }
    level& last = open.back();
    if (last.at == last.value->end()) {
      open.pop_back();
      if (!open.empty()) ++open.back().at;
      continue;
    }
    const Json& next = *last.at;
    found.what = test(next, last.value->is_object() ? &last.at.key() : nullptr);
    if (found.what != json_flaw::none) break;
    if (next.is_structured())
      open.push_back({&next, next.begin()});
    else
      ++last.at;
  }
  if (found.what == json_flaw::none) return found;
  for (const level& l : open) {
    if (l.value->is_object())
      found.path.push_back({std::string_view(l.at.key()), 0});
    else
      found.path.push_back({std::nullopt, static_cast<std::size_t>(l.at - l.value->begin())});
  }
  return found;
}

template <class Json>
[[nodiscard]] json_place find_flaw(const Json& root, std::size_t levels) {
  return find_flaw(root, levels, [](const Json& value, const auto*) { return flaw_of(value); });
}

[[nodiscard]] HAWSER_API error unsendable(const json_place& where);
// For a value that nlohmann could not write.
[[nodiscard]] HAWSER_API error not_utf8(const nlohmann::json& value);

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

[[nodiscard]] inline bool has_no_content(std::string_view body, int status) noexcept {
  return body.empty() || status == 204 || status == 205;
}
[[nodiscard]] HAWSER_API error no_content(int status);
[[nodiscard]] HAWSER_API result<nlohmann::json> read_json(std::string_view body, const limits& l,
                                                          int status);

template <class T>
struct include_hawser_http_json_hpp {
  static_assert(!std::is_pointer_v<T> && !std::is_same_v<T, std::string_view>,
                "the body as JSON is gone when as<T>() returns: ask for a T that owns its content");

  static result<T> read(std::string_view body, const limits& l, const redactor* masks, int status) {
    result<nlohmann::json> parsed = read_json(body, l, status);
    if (!parsed) return result<T>(boost::system::in_place_error, parsed.error());
    result<T> made = convert<T>(*parsed, masks);
    if (!made) return result<T>(boost::system::in_place_error, made.error().about_answer(status));
    return made;
  }
};

// Nothing where the answer has no content, or null.
template <class T>
struct include_hawser_http_json_hpp<std::optional<T>> {
  static result<std::optional<T>> read(std::string_view body, const limits& l,
                                       const redactor* masks, int status) {
    if (has_no_content(body, status))
      return result<std::optional<T>>(boost::system::in_place_value);
    result<nlohmann::json> parsed = read_json(body, l, status);
    if (!parsed) return result<std::optional<T>>(boost::system::in_place_error, parsed.error());
    if (parsed->is_null()) return result<std::optional<T>>(boost::system::in_place_value);
    result<T> made = convert<T>(*parsed, masks);
    if (!made)
      return result<std::optional<T>>(boost::system::in_place_error,
                                      made.error().about_answer(status));
    return result<std::optional<T>>(boost::system::in_place_value, *std::move(made));
  }
};

// What is not to be converted: another basic_json, such as ordered_json, would be by recursion.
// `member` is what the value is to become a member of the body as.
template <class T>
[[nodiscard]] std::optional<error> refused_to_convert(
    const T& value, std::optional<std::string_view> member = std::nullopt) {
  if constexpr (requires {
                  typename T::object_t;
                  value.is_structured();
                }) {
    auto flaw = find_flaw(value, most_levels_sent - (member ? 1 : 0));
    if (flaw.what == json_flaw::none) return std::nullopt;
    if (member) flaw.path.insert(flaw.path.begin(), json_step{member, 0});
    return unsendable(flaw);
  }
  return std::nullopt;
}

inline std::optional<error> put_members(nlohmann::json& /*into*/) { return std::nullopt; }
template <class T, class... More>
[[nodiscard]] std::optional<error> put_members(nlohmann::json& into, std::string_view name,
                                               const T& value, const More&... more) {
  if (auto flawed = refused_to_convert(value, name)) return flawed;
  into[std::string(name)] = value;
  return put_members(into, more...);
}

}  // namespace detail

/// As declared in request.hpp.
template <class T>
requires(!std::convertible_to<const T*, const nlohmann::json*>) request& request::json(
    const T& value) & {
  try {
    if (auto flawed = detail::refused_to_convert(value)) {
      set_problem(*std::move(flawed));
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
