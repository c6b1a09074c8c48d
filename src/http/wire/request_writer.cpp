#include "http/wire/request_writer.hpp"

#include <array>
#include <charconv>

namespace hawser::inline v0::http {

namespace {

void write_field(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  out += value;
  out += "\r\n";
}

void write_length(std::string& out, std::size_t length) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), length).ptr;
  write_field(out, "Content-Length",
              {digits.data(), static_cast<std::size_t>(end - digits.data())});
}

bool needs_length(const method& how) noexcept {
  return how == method::post || how == method::put || how == method::patch;
}

}  // namespace

std::string_view write_request(const method& how, std::string_view target,
                               std::string_view host_header, const headers& default_headers,
                               const headers& own, std::string_view body, bool has_body,
                               std::string& out) {
  out.clear();
  out += how.text();
  out += ' ';
  out += target;
  out += " HTTP/1.1\r\n";
  write_field(out, "Host", host_header);
  for (const headers::field f : default_headers)
    if (!own.contains(f.name)) write_field(out, f.name, f.value);
  for (const headers::field f : own)
    if (!f.value.empty() || !same_name(f.name, "User-Agent")) write_field(out, f.name, f.value);
  if (has_body)
    write_length(out, body.size());
  else if (needs_length(how))
    write_length(out, 0);
  out += "\r\n";
  if (!has_body) return {};
  if (body.size() > largest_body_copied) return body;
  out += body;
  return {};
}

}  // namespace hawser::inline v0::http
