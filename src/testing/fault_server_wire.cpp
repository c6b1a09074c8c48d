#include "testing/fault_server_wire.hpp"

#include <boost/beast/http/field.hpp>
#include <boost/beast/http/status.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <string_view>

namespace hawser::inline v0::testing::detail {

namespace {

constexpr std::size_t chunk_bytes = 1024;

std::string phrase_of(const plan::parts& what, int status) {
  if (!what.reason.empty()) return what.reason;
  if (status == 103) return "Early Hints";  // RFC 8297, unknown to Beast 1.81
  const auto known = boost::beast::http::int_to_status(static_cast<unsigned>(status));
  if (known == boost::beast::http::status::unknown) return {};
  const auto text = boost::beast::http::obsolete_reason(known);
  return std::string(text.data(), text.size());
}

std::string hex(std::size_t n) {
  std::array<char, 20> text{};
  std::snprintf(text.data(), text.size(), "%zx", n);
  return text.data();
}

std::string chunk(std::string_view data) {
  return hex(data.size()) + "\r\n" + std::string(data) + "\r\n";
}

std::string in_chunks(std::string_view body) {
  std::string out;
  for (; !body.empty(); body.remove_prefix(std::min(body.size(), chunk_bytes)))
    out += chunk(body.substr(0, chunk_bytes));
  return out + "0\r\n\r\n";
}

bool may_have_body(int status) { return status >= 200 && status != 204 && status != 304; }

class composer {
 public:
  composer(const plan::parts& what, const wire_context& context) : what_(what), context_(context) {
    received_request lookup;  // for its case-insensitive search
    lookup.headers = what.headers;
    own_length_ = lookup.header("Content-Length").has_value();
    own_coding_ = lookup.header("Transfer-Encoding").has_value();
    own_connection_ = lookup.header("Connection").has_value();
    own_date_ = lookup.header("Date").has_value();
  }

  wire_answer run() {
    if (what_.raw) {
      add(*what_.raw);
      return finish(0);
    }
    if (what_.wrong == garble::not_http) {
      add("SSH-2.0-no_http_here\r\n\r\n");
      return finish(0);
    }
    interim();
    std::string first = head();
    const std::size_t head_bytes = total_ + first.size();
    if (may_have_body(what_.status) && !context_.to_head) append_body(first);
    add(std::move(first));
    if (what_.wrong == garble::oversize_body && !context_.to_head) flood();
    return finish(head_bytes);
  }

 private:
  void add(std::string data, std::size_t times = 1) {
    total_ += data.size() * times;
    if (!data.empty() && times > 0) out_.segments.push_back({std::move(data), times});
  }

  wire_answer finish(std::size_t head_bytes) {
    out_.head_bytes = head_bytes;
    out_.total_bytes = total_;
    return std::move(out_);
  }

  void interim() {
    const auto one = [](int status) {
      return "HTTP/1.1 " + std::to_string(status) + " " + phrase_of(plan::parts{}, status) +
             "\r\n\r\n";
    };
    if (what_.interim_count > 0) add(one(what_.interim_status), what_.interim_count);
    if (what_.wrong == garble::interim_flood) add(one(100), what_.wrong_size.value_or(1000));
  }

  [[nodiscard]] bool chunked() const {
    return what_.body_framing == plan::parts::framing::chunked ||
           what_.wrong == garble::length_and_chunks || what_.wrong == garble::bad_chunk_size ||
           what_.wrong == garble::oversize_body;
  }

  std::string head() const {
    std::string out = what_.wrong == garble::bad_status_line
                          ? std::string("HTTP/1.1 2OO OK\r\n")
                          : "HTTP/1.1 " + std::to_string(what_.status) + " " +
                                phrase_of(what_, what_.status) + "\r\n";
    const auto field = [&out](std::string_view name, std::string_view value) {
      out.append(name).append(": ").append(value).append("\r\n");
    };
    if (!own_date_) field("Date", http_date(context_.now));
    for (const auto& each : what_.headers) field(each.first, each.second);
    if (what_.retry_after)
      field("Retry-After", what_.retry_after_is_date ? http_date(context_.now + *what_.retry_after)
                                                     : std::to_string(what_.retry_after->count()));
    framing_fields(field);
    if (what_.wrong == garble::obs_fold) out += "X-Folded: one\r\n two\r\n";
    if (what_.wrong == garble::oversize_header)
      field("X-Large", std::string(what_.wrong_size.value_or(1024 * 1024), 'a'));
    if (context_.announce_close && !own_connection_) field("Connection", "close");
    return out + "\r\n";
  }

  template <class Field>
  void framing_fields(const Field& field) const {
    if (!may_have_body(what_.status)) return;
    const std::string length = std::to_string(what_.body.size());
    if (chunked() && !own_coding_) field("Transfer-Encoding", "chunked");
    if (what_.wrong == garble::length_and_chunks) field("Content-Length", length);
    if (chunked() || own_length_ || own_coding_) return;
    if (what_.body_framing == plan::parts::framing::until_close) return;
    field("Content-Length", length);
    if (what_.wrong == garble::two_lengths)
      field("Content-Length", std::to_string(what_.body.size() + 1));
  }

  void append_body(std::string& out) const {
    switch (what_.wrong) {
      case garble::bad_chunk_size: out += "zz\r\n" + what_.body + "\r\n0\r\n\r\n"; return;
      case garble::oversize_body: return;
      case garble::excess_bytes:
        out += what_.body + std::string(what_.wrong_size.value_or(16), 'x');
        return;
      default: out += chunked() ? in_chunks(what_.body) : what_.body;
    }
  }

  void flood() {
    constexpr std::size_t unit = 64 * 1024;
    const std::size_t size = what_.wrong_size.value_or(32U * 1024 * 1024);
    add(chunk(std::string(unit, 'x')), size / unit);
    if (size % unit != 0) add(chunk(std::string(size % unit, 'x')));
    add("0\r\n\r\n");
  }

  const plan::parts& what_;
  const wire_context& context_;
  bool own_length_ = false;
  bool own_coding_ = false;
  bool own_connection_ = false;
  bool own_date_ = false;
  wire_answer out_{};
  std::size_t total_ = 0;
};

}  // namespace

wire_answer compose(const plan::parts& what, const wire_context& context) {
  return composer(what, context).run();
}

std::string http_date(std::chrono::system_clock::time_point when) {
  static constexpr std::array<const char*, 7> days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array<const char*, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t seconds = std::chrono::system_clock::to_time_t(when);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 64> text{};
  // Not strftime: the names of days and months must not follow the program's locale.
  std::snprintf(text.data(), text.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                days[static_cast<std::size_t>(parts.tm_wday)], parts.tm_mday,
                months[static_cast<std::size_t>(parts.tm_mon)], parts.tm_year + 1900, parts.tm_hour,
                parts.tm_min, parts.tm_sec);
  return text.data();
}

}  // namespace hawser::inline v0::testing::detail
