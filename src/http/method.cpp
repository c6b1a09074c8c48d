#include "hawser/http/method.hpp"

#include "http/bytes.hpp"

#include <array>

namespace hawser::inline v0::http {

namespace {

// In the order of method::known.
constexpr std::array<std::string_view, method::other> names{
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"};

}  // namespace

method::method(std::string_view text) : known_(other) {
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == text) known_ = static_cast<known>(i);
  if (known_ == other) other_ = text;
}

std::string_view method::text() const& noexcept {
  return known_ == other ? std::string_view(other_) : names[known_];
}

bool method::valid() const noexcept {
  return known_ != other || (is_token(other_) && other_ != "CONNECT");
}

effect effect_of(const method& m) noexcept {
  switch (m.which()) {
    case method::get:
    case method::head:
    case method::options:
    case method::trace:
    case method::query: return effect::safe;
    case method::put:
    case method::delete_: return effect::idempotent;
    case method::post:
    case method::patch:
    case method::other: break;
  }
  return effect::unsafe;
}

bool is_token(std::string_view text) noexcept {
  if (text.empty()) return false;
  for (const char c : text)
    if (!bytes::is(c, bytes::token)) return false;
  return true;
}

}  // namespace hawser::inline v0::http
