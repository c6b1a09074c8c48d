#include "hawser/http/response.hpp"

#include "hawser/http/json.hpp"
#include "hawser/http/retry_after.hpp"
#include "hawser/observe/redactor.hpp"
#include "hawser/run/detail/value.hpp"
#include "http/bytes.hpp"
#include "http/retry_hint.hpp"

#include <algorithm>
#include <utility>

namespace hawser::inline v0::http {

namespace {

constexpr std::size_t longest_title = 80;
constexpr std::size_t longest_word = 20;
constexpr std::size_t longest_type = 200;
constexpr std::string_view no_type = "about:blank";  // RFC 9457 section 4.2.1

bool is_plain_word(std::string_view word) {
  if (word.size() > longest_word) return false;
  for (const char c : word) {
    const char l = bytes::lower(c);
    if ((l < 'a' || l > 'z') && c != '.' && c != ',' && c != '\'' && c != '-') return false;
  }
  return true;
}

// A problem's title names a kind of problem and should hold nothing of the occasion (RFC 9457
// section 3.1.3). Not all servers know: everything that is not a plain word is masked.
std::string masked_title(std::string_view title) {
  std::string out;
  title = title.substr(0, longest_title);
  while (!title.empty()) {
    const std::size_t end = title.find(' ');
    const std::string_view word = title.substr(0, end);
    if (!out.empty()) out += ' ';
    out += is_plain_word(word) ? word : std::string_view("***");
    title.remove_prefix(end == std::string_view::npos ? title.size() : end + 1);
  }
  return out;
}

// A type is a URI reference out of the API's documentation, to be compared. Masked before it is
// cut, since half a secret has no shape to be found by.
std::string masked_type(std::string_view type, const redactor* masks) {
  std::string text = hawser::detail::masked(type, masks);
  if (text.size() > longest_type) text.resize(longest_type);
  for (char& c : text)
    if (!bytes::is(c, bytes::target) && c != '#' && c != '[' && c != ']') c = '?';
  return text;
}

struct problem {
  std::string type;
  std::string title;
};

/// What an answer's problem details say (RFC 9457 section 3.1); members of another type than they
/// should have count as absent.
problem problem_of(const response& r, const redactor* masks) {
  const auto media = r.headers().find("Content-Type");
  constexpr std::string_view problem_json = "application/problem+json";
  if (!media || !same_name(bytes::trimmed(media->substr(0, media->find(';'))), problem_json))
    return {};
  const result<nlohmann::json> parsed = r.json();
  if (!parsed || !parsed->is_object()) return {};
  problem seen{std::string(no_type), {}};
  if (const auto type = parsed->find("type"); type != parsed->end() && type->is_string())
    seen.type = masked_type(type->get_ref<const std::string&>(), masks);
  if (const auto title = parsed->find("title"); title != parsed->end() && title->is_string()) {
    const auto& text = title->get_ref<const std::string&>();
    seen.title = masks == nullptr ? masked_title(text) : masked_title(masks->text(text));
  }
  return seen;
}

/// Seconds, or a date (RFC 9110 section 10.2.3): nothing else, which could be a secret.
bool is_hint(std::string_view text) {
  const bool digits =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  return !text.empty() && (digits ? text.size() <= 10 : parse_http_date(text).has_value());
}

/// What to do about a status of which its class does not tell.
std::string_view remedy_for(int status, bool may_go_again) noexcept {
  switch (status) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308: return "; ask for the place that its Location names";
    case 304: return "; what the request knows of has not changed: use that";
    case 408:
    case 421:
    case 425:
      return may_go_again ? std::string_view("; it may go out again as it is") : std::string_view();
    default: return {};
  }
}

}  // namespace

response::response() noexcept = default;

response::response(const response&) = default;

response::response(response&&) noexcept = default;

response& response::operator=(const response&) = default;

response& response::operator=(response&&) noexcept = default;

response::~response() = default;

std::string response::take_body() noexcept { return std::exchange(body_, {}); }

result<nlohmann::json> response::json() const { return json(own_limits()); }

result<nlohmann::json> response::json(const limits& l) const {
  return detail::read_json(body_, l, status_);
}

result<void> response::check_success() const {
  if (is_success()) return {};
  return status_error();
}

error response::status_error() const {
  std::string text = "status " + std::to_string(status_);
  if (const std::string_view phrase = reason_phrase(status_); !phrase.empty()) {
    text += ' ';
    text += phrase;
  }
  problem said = problem_of(*this, masks_.get());
  if (!said.title.empty()) text.append(", \"").append(said.title).append("\"");
  if (!said.type.empty() && said.type != no_type) text.append(", ").append(said.type);
  if (const auto hint = single_value(headers_, "Retry-After"); hint && is_hint(*hint)) {
    text += ", Retry-After: ";
    text += *hint;
  }
  const error_code code = status_code();
  if (code != errc::outcome_unknown) text += remedy_for(status_, may_resend(effect_, evidence_));
  if (!story_.detail().empty()) {
    text += "; ";
    text += story_.detail();
  }
  return error(code, std::move(text))
      .about_answer(status_, std::move(said.type), std::move(said.title));
}

/// What the answer comes to. A 5xx without proof of refusal may have done the work.
error_code response::status_code() const noexcept {
  const bool twice_matters = effect_ == hawser::effect::unsafe || effect_ == hawser::effect::keyed;
  const bool may_have_happened = evidence_ == hawser::evidence::maybe_applied ||
                                 (status_ >= 500 && evidence_ == hawser::evidence::answered);
  if (may_have_happened && twice_matters) return errc::outcome_unknown;
  if (judged_) return *judged_;
  if (status_ >= 500) return errc::server_error;
  if (status_ == 429) return errc::too_many_requests;
  if (status_ >= 400) return errc::client_error;
  return errc::unexpected_status;
}

result<response> response::ensure_success() && {
  if (is_success()) return std::move(*this);
  return status_error();
}

result<response> response::ensure_success() const& {
  if (is_success()) return *this;
  return status_error();
}

void response::clear() noexcept {
  status_ = 0;
  effect_ = hawser::effect::safe;
  evidence_ = hawser::evidence::answered;
  judged_.reset();
  if (story_.code()) story_ = {};
  reason_.clear();
  body_.clear();
  headers_.clear();
  trailers_.clear();
}

void response::set_status(int status, std::string_view reason) {
  status_ = status;
  reason_ = reason;
}

std::string_view reason_phrase(int status) noexcept {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 103: return "Early Hints";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 407: return "Proxy Authentication Required";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 425: return "Too Early";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 451: return "Unavailable For Legal Reasons";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return {};
  }
}

}  // namespace hawser::inline v0::http
