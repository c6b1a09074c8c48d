#include "hawser/http/request.hpp"

#include "hawser/http/json.hpp"
#include "http/bytes.hpp"
#include "http/single_fields.hpp"

namespace hawser::inline v0::http {

namespace {

// What is wrong with a target template, parameters not looked at.
std::optional<error> check_target(const method& how, std::string_view target) {
  if (target.empty()) return error(errc::invalid_url, "the target is empty; write \"/\"");
  if (how == method::options && target == "*") return std::nullopt;
  if (target[0] != '/')
    return error(
        errc::invalid_url,
        "the target does not begin with '/'; write path and query only, the client has the "
        "host");
  for (std::size_t i = 0; i < target.size(); ++i) {
    const char c = target[i];
    if (c == '{' || c == '}') continue;
    const std::string where = " at offset " + std::to_string(i);
    if (c == '#')
      return error(
          errc::invalid_url,
          "'#'" + where + " of the target: a fragment is never sent; remove it or write %23");
    if (!bytes::is(c, bytes::target))
      return error(errc::invalid_url, "byte " + bytes::hex(c) + where +
                                          " of the target; percent-encode it, or pass it by "
                                          "param() or query()");
    if (c == '%' && (i + 2 >= target.size() || !bytes::is(target[i + 1], bytes::hexadecimal) ||
                     !bytes::is(target[i + 2], bytes::hexadecimal)))
      return error(errc::invalid_url, "'%'" + where +
                                          " of the target without two hex digits behind it; "
                                          "write %25");
  }
  return std::nullopt;
}

}  // namespace

request::request(http::method how, std::string_view target, const route_values& given)
    : method_(std::move(how)), target_(target) {
  params(given);
  if (!method_.valid()) {
    set_problem({errc::invalid_method,
                 method_.text() == "CONNECT"
                     ? "CONNECT makes a tunnel, which this client does not do"
                     : "a method is letters, digits and !#$%&'*+-.^_`|~, such as \"GET\""});
    return;
  }
  if (auto wrong = check_target(method_, target_)) {
    set_problem(*std::move(wrong));
    name_ = method_.text();
    return;
  }
  name_.reserve(method_.text().size() + 1 + target_.size());
  name_ += method_.text();
  name_ += ' ';
  name_ += route();
}

request::request(const request&) = default;

request::request(request&&) noexcept = default;

request& request::operator=(const request&) = default;

request& request::operator=(request&& other) noexcept {
  if (this == &other) return *this;
  method_ = std::move(other.method_);
  target_ = std::move(other.target_);
  query_ = std::move(other.query_);
  name_ = std::move(other.name_);
  body_ = std::move(other.body_);
  headers_ = std::move(other.headers_);
  params_ = std::move(other.params_);
  key_ = std::move(other.key_);
  effect_ = other.effect_;
  problem_ = std::move(other.problem_);
  has_body_ = other.has_body_;
  return *this;
}

request::~request() = default;

request& request::header(std::string_view name, std::string_view value) & {
  if (auto checked = check_request_field(name, value); !checked)
    set_problem(checked.error());
  else if (is_single_field(name))
    headers_.set(name, value);  // the last word counts; json() may have given a type, too
  else
    headers_.add(name, value);
  return *this;
}

request& request::query(std::string_view name, std::string_view value) & {
  if (!query_.empty()) query_ += '&';
  percent_encode_to(query_, name);
  query_ += '=';
  percent_encode_to(query_, value);
  return *this;
}

request& request::param(std::string_view name, std::string_view value) & {
  params_.emplace_back(name, value);
  return *this;
}

request& request::params(const route_values& values) & {
  for (const route_value& each : values.few_)
    if (each.given_) param(each.name_, each.value_);
  if (values.all_ != nullptr)
    for (const auto& [name, value] : *values.all_) param(name, value);
  return *this;
}

request& request::body(std::string bytes, std::string_view content_type) & {
  body_ = std::move(bytes);
  has_body_ = true;
  if (content_type.empty()) return *this;
  if (auto checked = check_field("Content-Type", content_type); !checked)
    set_problem(checked.error());
  else
    headers_.set("Content-Type", content_type);
  return *this;
}

request& request::json(const nlohmann::json& value) & {
  if (const auto flaw = detail::find_flaw(value, detail::most_levels_sent);
      flaw.what != detail::json_flaw::none) {
    set_problem(detail::unsendable(flaw));
    return *this;
  }
  try {
    body_ = value.dump();
  } catch (const nlohmann::json::exception&) {
    set_problem(detail::not_utf8(value));
    return *this;
  }
  has_body_ = true;
  if (!headers_.contains("Content-Type")) headers_.add("Content-Type", "application/json");
  return *this;
}

request& request::idempotency_key(std::string_view key) & {
  if (key.empty())
    set_problem({errc::invalid_idempotency_key,
                 "the idempotency key is empty; give the operation's own number, or none at all"});
  else
    key_.emplace(key);
  return *this;
}

request& request::effect(hawser::effect what) & {
  effect_ = what;
  return *this;
}

request& request::name(std::string text) & {
  name_ = std::move(text);
  return *this;
}

void request::set_problem(error why) {
  if (!problem_) problem_.emplace(std::move(why));
}

std::string_view request::route() const& noexcept {
  return std::string_view(target_).substr(0, target_.find('?'));
}

result<std::string> request::target() const {
  std::string out;
  if (auto done = target_to(out); !done) return done.error();
  return out;
}

result<void> request::target_to(std::string& out) const {
  if (problem_) return *problem_;
  const std::size_t before = out.size();
  if (auto done = expand_route_to(out, target_, params_); !done) return done;
  if (query_.empty()) return {};
  if (target_ == "*")
    return error(errc::invalid_url,
                 "the target \"*\" stands for the whole server; leave the query out");
  const std::string_view own = std::string_view(out).substr(before);
  if (own.find('?') == std::string_view::npos)
    out += '?';
  else if (!own.ends_with('?') && !own.ends_with('&'))
    out += '&';
  out += query_;
  return {};
}

effect request::effect() const noexcept {
  if (effect_) return *effect_;
  const hawser::effect natural = effect_of(method_);
  return natural == hawser::effect::unsafe && key_ ? hawser::effect::keyed : natural;
}

}  // namespace hawser::inline v0::http
