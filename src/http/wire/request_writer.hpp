// Writes a request into one string, ready for one send.
//
//   write_request(method::get, "/users/7", "api.example", defaults, own, {}, false, out);
//   socket.send(out);
#pragma once

#include "hawser/http/headers.hpp"
#include "hawser/http/method.hpp"

#include <string>
#include <string_view>

namespace hawser::inline v0::http {

/// Replaces `out` by the whole message, keeping its memory. Fields of `own` displace the defaults
/// of the same name; an empty User-Agent is how a request asks for none. Content-Length is written
/// when there is a body, and as 0 for POST, PUT and PATCH without one (RFC 9110 section 8.6).
/// Preconditions: the fields passed `check_request_field`, the method is valid, target and host
/// were made by `url` and `request`.
void write_request(const method& how, std::string_view target, std::string_view host_header,
                   const headers& default_headers, const headers& own, std::string_view body,
                   bool has_body, std::string& out);

}  // namespace hawser::inline v0::http
