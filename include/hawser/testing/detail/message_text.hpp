// What the matchers say about messages. For matchers.hpp, which alone knows of GoogleMock.
#pragma once

#include "hawser/core/export.hpp"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>

namespace hawser::inline v0 {

namespace http {
class response;
}

namespace testing {

struct received_request;
struct sent_request;

namespace detail {

/// The message as a log would have it: secrets masked, a long body cut.
[[nodiscard]] HAWSER_API std::string text_of(const sent_request& r);
[[nodiscard]] HAWSER_API std::string text_of(const received_request& r);
[[nodiscard]] HAWSER_API std::string text_of(const http::response& r);
[[nodiscard]] HAWSER_API std::string dump(const nlohmann::json& value);
/// What differs between the JSON at `pointer` in `body` and what is expected; empty when nothing.
[[nodiscard]] HAWSER_API std::string json_difference(std::string_view body,
                                                     const std::string& pointer,
                                                     const std::string& expected);

}  // namespace detail
}  // namespace testing
}  // namespace hawser::inline v0
