#include "hawser/http/url.hpp"

#include "http/bytes.hpp"

#include <algorithm>
#include <optional>

namespace hawser::inline v0::http {

namespace {

constexpr std::size_t npos = std::string_view::npos;

error bad_url(std::string text) { return {errc::invalid_url, std::move(text)}; }
error bad_route(std::string text) { return {errc::invalid_route, std::move(text)}; }
std::string at_offset(std::size_t i) { return " at offset " + std::to_string(i); }

// What is wrong with the byte at `i`, wherever in a URL it stands; empty when nothing is.
std::string bad_byte(std::string_view text, std::size_t i) {
  const char c = text[i];
  if (c == ' ') return "a blank" + at_offset(i) + "; write %20";
  if (bytes::is(c, bytes::control) || c == '\t')
    return "control byte " + bytes::hex(c) + at_offset(i) + "; remove it";
  if (static_cast<unsigned char>(c) >= 0x80)
    return "byte " + bytes::hex(c) + at_offset(i) +
           " is not ASCII; percent-encode it, or write a host name as xn--...";
  if (c == '%' && (i + 2 >= text.size() || !bytes::is(text[i + 1], bytes::hexadecimal) ||
                   !bytes::is(text[i + 2], bytes::hexadecimal)))
    return "'%'" + at_offset(i) + " without two hex digits behind it; write %25";
  if (!bytes::is(c, bytes::target) && c != '#' && c != '[' && c != ']')
    return std::string("'") + c + '\'' + at_offset(i) + " does not belong in a URL; write %" +
           bytes::hex(c).substr(2);
  return {};
}

std::optional<unsigned> small_number(std::string_view text, unsigned most) {
  if (text.empty() || text.size() > 5) return std::nullopt;
  unsigned n = 0;
  for (const char c : text) {
    if (!bytes::is(c, bytes::digit)) return std::nullopt;
    n = n * 10 + static_cast<unsigned>(c - '0');
  }
  return n <= most ? std::optional<unsigned>(n) : std::nullopt;
}

bool is_ipv4(std::string_view host) {
  for (int part = 0; part < 4; ++part) {
    const std::size_t dot = host.find('.');
    if ((dot == npos) != (part == 3)) return false;
    const std::string_view octet = host.substr(0, dot);
    if (octet.size() > 3 || (octet.size() > 1 && octet[0] == '0') || !small_number(octet, 255))
      return false;
    if (dot != npos) host.remove_prefix(dot + 1);
  }
  return true;
}

// RFC 4291 section 2.2: eight groups, one run of them as "::", the last two perhaps as IPv4.
bool is_ipv6(std::string_view text) {
  int groups = 0;
  bool gap = false;
  if (text.starts_with("::")) {
    gap = true;
    text.remove_prefix(2);
  }
  while (!text.empty()) {
    const std::size_t colon = text.find(':');
    const std::string_view group = text.substr(0, colon);
    if (colon == npos && group.find('.') != npos) {
      if (!is_ipv4(group)) return false;
      groups += 2;
      break;
    }
    if (group.empty() || group.size() > 4) return false;
    for (const char c : group)
      if (!bytes::is(c, bytes::hexadecimal)) return false;
    ++groups;
    if (colon == npos) break;
    text.remove_prefix(colon + 1);
    if (text.empty()) return false;
    if (text[0] == ':') {
      if (gap) return false;
      gap = true;
      text.remove_prefix(1);
    }
  }
  return gap ? groups < 8 : groups == 8;
}

// A name whose last label is one is an address to every resolver (inet_aton).
bool is_number(std::string_view label) {
  const bool in_hex = label.starts_with("0x") || label.starts_with("0X");
  if (in_hex) label.remove_prefix(2);
  return std::all_of(label.begin(), label.end(), [in_hex](char c) {
    return bytes::is(c, in_hex ? bytes::hexadecimal : bytes::digit);
  });
}

// What is wrong with a host name; empty when nothing is.
std::string bad_name(std::string_view host) {
  if (host.size() > 253) return "the host name has more than 253 bytes; shorten it";
  if (host.ends_with('.')) host.remove_suffix(1);
  for (std::string_view rest = host;;) {
    const std::size_t dot = rest.find('.');
    const std::string_view label = rest.substr(0, dot);
    if (label.empty()) return "the host name has an empty label; remove the superfluous dot";
    if (label.size() > 63) return "a label of the host name has more than 63 bytes; shorten it";
    for (const char c : label)
      if (!bytes::is(c, bytes::unreserved) || c == '~')
        return std::string("the host name has a '") + c +
               "'; write letters, digits, '-', '_' and '.' only (international names as xn--...)";
    if (dot == npos) {
      if (is_number(label))
        return "the host looks like an IPv4 address and is none; write four numbers up to 255";
      return {};
    }
    rest.remove_prefix(dot + 1);
  }
}

bool is_parameter_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(),
                                      [](char c) { return bytes::is(c, bytes::unreserved); });
}

std::string in_quotes(std::string_view name) {
  return is_parameter_name(name) && name.size() <= 64 ? "parameter \"" + std::string(name) + '"'
                                                      : std::string("a parameter");
}

// Whether servers and proxies take the segment for "." or "..", which they resolve away.
bool is_dot_segment(std::string_view segment) {
  int dots = 0;
  while (!segment.empty()) {
    if (segment[0] == '.') {
      segment.remove_prefix(1);
    } else if (segment.size() >= 3 && segment[0] == '%' && segment[1] == '2' &&
               bytes::lower(segment[2]) == 'e') {
      segment.remove_prefix(3);
    } else {
      return false;
    }
    ++dots;
  }
  return dots == 1 || dots == 2;
}

const std::string* value_of(const route_params& params, std::string_view name) {
  for (const auto& [key, value] : params)
    if (key == name) return &value;
  return nullptr;
}

// Whether "{name}" stands in the route.
bool mentions(std::string_view route, std::string_view name) {
  for (std::size_t i = route.find('{'); i != npos; i = route.find('{', i + 1))
    if (route.substr(i + 1).starts_with(name) && route.substr(i + 1 + name.size()).starts_with('}'))
      return true;
  return false;
}

std::optional<error> superfluous(std::string_view route, const route_params& params) {
  for (std::size_t i = 0; i < params.size(); ++i) {
    if (!mentions(route, params[i].first))
      return bad_route(in_quotes(params[i].first) +
                       " does not stand in the route; remove it, or write it there in braces");
    for (std::size_t k = 0; k < i; ++k)
      if (params[k].first == params[i].first)
        return bad_route(in_quotes(params[i].first) + " is given twice; give it once");
  }
  return std::nullopt;
}

// Appends the route with its parameters; what is wrong, when something is.
std::optional<error> expand(std::string& out, std::string_view route, const route_params& params) {
  std::size_t segment = out.size();
  std::string_view last;  // the parameter that stands in the current segment
  bool in_path = true;
  const auto close_segment = [&]() -> std::optional<error> {
    if (last.empty() || !in_path) return std::nullopt;
    const std::string_view text = std::string_view(out).substr(segment);
    if (text.empty())
      return bad_route(in_quotes(last) +
                       " is empty and would make the path another one; give it a value");
    if (is_dot_segment(text))
      return bad_route(in_quotes(last) +
                       " makes a \".\" or \"..\" segment, which servers resolve away; "
                       "give it another value");
    return std::nullopt;
  };
  for (std::size_t i = 0; i < route.size(); ++i) {
    const char c = route[i];
    if (c == '}')
      return bad_route("'}'" + at_offset(i) + " without '{' before it; write %7D for a brace");
    if (c == '{') {
      const std::size_t end = route.find_first_of("{}", i + 1);
      if (end == npos || route[end] == '{')
        return bad_route("'{'" + at_offset(i) + " is not closed; write %7B for a brace");
      const std::string_view name = route.substr(i + 1, end - i - 1);
      if (!is_parameter_name(name))
        return bad_route("the braces" + at_offset(i) +
                         " hold no parameter name; names are letters, digits, '-', '.', '_', '~'");
      const std::string* value = value_of(params, name);
      if (value == nullptr)
        return bad_route(in_quotes(name) + " has no value; give it with param()");
      percent_encode_to(out, *value);
      last = name;
      i = end;
      continue;
    }
    if (in_path && (c == '/' || c == '?')) {
      if (auto wrong = close_segment()) return wrong;
      last = {};
      in_path = c != '?';
      out += c;
      segment = out.size();
      continue;
    }
    out += c;
  }
  return close_segment();
}

}  // namespace

result<url> url::parse(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i)
    if (std::string wrong = bad_byte(text, i); !wrong.empty()) return bad_url(std::move(wrong));

  const std::size_t colon = text.find(':');
  if (colon == npos || !text.substr(colon).starts_with("://"))
    return bad_url("there is no scheme; begin with https:// or http://");
  url u;
  std::string scheme(text.substr(0, colon));
  std::transform(scheme.begin(), scheme.end(), scheme.begin(), bytes::lower);
  if (scheme != "http" && scheme != "https")
    return bad_url((scheme.empty() || scheme.size() > 16 ? std::string("the scheme")
                                                         : "scheme \"" + scheme + '"') +
                   " is not http or https; write one of these");
  u.tls_ = scheme == "https";
  u.port_ = u.tls_ ? 443 : 80;

  const std::size_t authority_at = colon + 3;
  const std::size_t authority_end = std::min(text.find_first_of("/?#", authority_at), text.size());
  std::string_view authority = text.substr(authority_at, authority_end - authority_at);
  if (const std::size_t sign = authority.rfind('@'); sign != npos) {
    if (authority.find('@') != sign)
      return bad_url("more than one '@' before the host; write %40 for those in the user info");
    // Others would take what stands in brackets for the host.
    if (const std::size_t bracket = authority.substr(0, sign).find_first_of("[]"); bracket != npos)
      return bad_url(std::string("'") + authority[bracket] + '\'' +
                     at_offset(authority_at + bracket) + " does not belong in user info; write %" +
                     bytes::hex(authority[bracket]).substr(2));
    u.has_user_info_ = true;
    authority.remove_prefix(sign + 1);
  }

  std::string_view port;  // never shown: it may be part of a password
  bool has_port = false;
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == npos) return bad_url("the host's '[' is not closed; write [IPv6 address]");
    const std::string_view inside = authority.substr(1, end - 1);
    if (inside.find('%') != npos)
      return bad_url(
          "the IPv6 address has a zone, and link-local addresses cannot be used; give one that is "
          "valid beyond the link, global (2000::/3) or unique local (fd00::/8), or a name that has "
          "one");
    if (!is_ipv6(inside))
      return bad_url(
          "what stands in '[' and ']' is no IPv6 address; write one such as [2001:db8::1]");
    u.kind_ = host_kind::ipv6;
    u.host_ = inside;
    authority.remove_prefix(end + 1);
    if (!authority.empty() && authority[0] != ':')
      return bad_url(
          "the host's ']' is not followed by a port or the path; write [address]:port/path");
    has_port = !authority.empty();
    if (has_port) port = authority.substr(1);
  } else {
    const std::size_t sign = authority.find(':');
    has_port = sign != npos;
    if (has_port) {
      port = authority.substr(sign + 1);
      authority = authority.substr(0, sign);
    }
    if (authority.empty()) return bad_url("the host is empty; write https://host/path");
    u.host_ = authority;
    if (is_ipv4(authority))
      u.kind_ = host_kind::ipv4;
    else if (std::string wrong = bad_name(authority); !wrong.empty())
      return bad_url(std::move(wrong));
  }
  std::transform(u.host_.begin(), u.host_.end(), u.host_.begin(), bytes::lower);
  if (has_port) {
    const std::optional<unsigned> number = small_number(port, 65535);
    if (port.empty())
      return bad_url("the port is empty; write a number behind ':' or leave it out");
    if (!number || *number == 0)
      return bad_url("the port" + at_offset(static_cast<std::size_t>(port.data() - text.data())) +
                     " is not a number from 1 to 65535; give one, or leave it out");
    u.port_ = static_cast<std::uint16_t>(*number);
  }

  std::string_view rest = text.substr(authority_end);
  u.has_fragment_ = rest.find('#') != npos;
  rest = rest.substr(0, rest.find('#'));
  if (const std::size_t bracket = rest.find_first_of("[]"); bracket != npos)
    return bad_url(std::string("'") + rest[bracket] + '\'' + at_offset(authority_end + bracket) +
                   " does not belong in a path or query; write %" +
                   bytes::hex(rest[bracket]).substr(2));
  const std::size_t mark = rest.find('?');
  u.has_query_ = mark != npos;
  if (u.has_query_) u.query_ = rest.substr(mark + 1);
  rest = rest.substr(0, mark);
  if (!rest.empty()) u.path_ = rest;
  return u;
}

std::string url::target() const {
  std::string out = path_;
  if (has_query_) {
    out += '?';
    out += query_;
  }
  return out;
}

std::string url::host_header() const {
  std::string out;
  if (kind_ == host_kind::ipv6) out += '[';
  out += host_;
  if (kind_ == host_kind::ipv6) out += ']';
  if (!is_default_port()) {
    out += ':';
    out += std::to_string(port_);
  }
  return out;
}

std::string url::origin() const {
  std::string out(scheme());
  out += "://";
  out += host_header();
  if (is_default_port()) {
    out += ':';
    out += std::to_string(port_);
  }
  return out;
}

std::string url::to_string() const {
  std::string out(scheme());
  out += "://";
  if (has_user_info_) out += "***@";
  out += host_header();
  out += path_;
  if (!has_query_) return out;
  if (query_.empty()) return out += '?';
  char mark = '?';
  for (std::string_view rest = query_;;) {
    const std::size_t end = rest.find('&');
    const std::string_view pair = rest.substr(0, end);
    const std::size_t equals = pair.find('=');
    out += mark;
    // A lone word may be a value as well as a name.
    if (equals != npos) out += pair.substr(0, equals + 1);
    out += "***";
    if (end == npos) return out;
    rest.remove_prefix(end + 1);
    mark = '&';
  }
}

result<void> url::check_base() const {
  if (has_user_info_)
    return bad_url("the base URL has user info; remove it and send an Authorization header");
  if (has_query_)
    return bad_url(query_.empty()
                       ? "the base URL ends in '?', an empty query; remove it"
                       : "the base URL has a query; remove it and add it to the requests");
  if (has_fragment_)
    return bad_url(
        "the base URL has a fragment, which is never sent; remove the '#' and all after it");
  return {};
}

void percent_encode_to(std::string& out, std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  for (const char c : text) {
    if (bytes::is(c, bytes::unreserved)) {
      out += c;
      continue;
    }
    const auto u = static_cast<unsigned char>(c);
    out += '%';
    out += digits[u >> 4];
    out += digits[u & 15];
  }
}

std::string percent_encode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  percent_encode_to(out, text);
  return out;
}

result<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 1 < text.size() ? bytes::hex_value(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? bytes::hex_value(text[i + 2]) : -1;
    if (high < 0 || low < 0)
      return bad_url("'%'" + at_offset(i) + " without two hex digits behind it; write %25");
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

void append_query(std::string& target, std::string_view name, std::string_view value) {
  target += target.find('?') == npos ? '?' : '&';
  percent_encode_to(target, name);
  target += '=';
  percent_encode_to(target, value);
}

result<void> expand_route_to(std::string& out, std::string_view route, const route_params& params) {
  const std::size_t before = out.size();
  auto wrong = superfluous(route, params);
  if (!wrong) wrong = expand(out, route, params);
  if (!wrong) return {};
  out.resize(before);
  return *std::move(wrong);
}

result<std::string> expand_route(std::string_view route, const route_params& params) {
  std::string out;
  out.reserve(route.size() + 16);
  if (auto done = expand_route_to(out, route, params); !done) return done.error();
  return out;
}

}  // namespace hawser::inline v0::http
