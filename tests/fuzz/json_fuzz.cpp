// JSON is taken exactly when nlohmann's own parser takes it, but for depth and NUL. Conversions of
// what was taken give a value or an error that names a field. A key goes into a body without
// changing anything else.
#include "hawser/http/idempotency.hpp"
#include "hawser/http/json.hpp"

#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace {

using hawser::errc;
using hawser::http::json_as;
using hawser::http::parse_json;
using nlohmann::json;

void require(bool good) {
  if (!good) std::abort();
}

// Numbers are doubles: nlohmann converts a number that an integer cannot hold without a check.
struct inner {
  std::string name;
  std::vector<double> numbers;
};

void from_json(const json& from, inner& to) {
  from.at("name").get_to(to.name);
  from.at("numbers").get_to(to.numbers);
}

struct outer {
  double id = 0;
  inner one;
  std::vector<inner> many;
  std::map<std::string, bool> flags;
};

void from_json(const json& from, outer& to) {
  from.at("id").get_to(to.id);
  from.at("one").get_to(to.one);
  from.at("many").get_to(to.many);
  from.at("flags").get_to(to.flags);
}

template <class T>
void check_conversion(const json& document) {
  const auto converted = json_as<T>(document);
  if (converted) return;
  require(converted.error() == errc::json_wrong_type && !converted.error().detail().empty());
}

void check_key(std::string_view text, json document) {
  const auto square = hawser::http::idempotency_profile::square();
  hawser::http::headers fields;
  std::string body(text);
  if (!apply_idempotency_key(square, "k-1", fields, body)) {
    require(body == text);
    return;
  }
  require(document.is_object() && document.size() + 1 >= json::parse(body).size());
  document["idempotency_key"] = "k-1";
  require(json::parse(body) == document);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = parse_json(text);
  if (!parsed) {
    require(!parsed.error().detail().empty());
    if (parsed.error() == errc::json_too_deep) return 0;
    require(parsed.error() == errc::json_malformed);
    require(text.find('\0') != std::string_view::npos || !json::accept(text));
    return 0;
  }
  require(*parsed == json::parse(text));
  check_conversion<outer>(*parsed);
  check_conversion<std::vector<std::pair<double, std::string>>>(*parsed);
  check_key(text, *parsed);
  return 0;
}
