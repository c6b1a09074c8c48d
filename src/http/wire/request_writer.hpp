// Writes a request into one string, ready for one send; a large body stays where it is.
//
//   auto rest = write_request(method::get, "/users/7", "api.example", {}, own, {}, false, out);
//   socket.send(out);
//   socket.send(rest);       // if it is not empty
#pragma once

#include "hawser/http/headers.hpp"
#include "hawser/http/method.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace hawser::inline v0::http {

/// A larger body is not copied.
inline constexpr std::size_t largest_body_copied = 16 * 1024;

/// Replaces `out` by the message, keeping its memory. What is left of the message, `body` or
/// nothing, is returned. Fields of `own` displace the defaults
/// of the same name; an empty User-Agent is how a request asks for none. Content-Length is written
/// when there is a body, and as 0 for POST, PUT and PATCH without one (RFC 9110 section 8.6).
/// Preconditions: the fields passed `check_request_field`, the method is valid, target and host
/// were made by `url` and `request`.
[[nodiscard]] std::string_view write_request(const method& how, std::string_view target,
                                             std::string_view host_header,
                                             const headers& default_headers, const headers& own,
                                             std::string_view body, bool has_body,
                                             std::string& out);

}  // namespace hawser::inline v0::http
