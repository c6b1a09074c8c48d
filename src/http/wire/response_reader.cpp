#include "http/wire/response_reader.hpp"

#include "hawser/http/method.hpp"
#include "http/bytes.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace hawser::inline v0::http {

namespace {

constexpr std::string_view version_prefix = "HTTP/1.";
constexpr std::size_t longest_size = 16;           // hex digits of a chunk size: 64 bits
constexpr std::size_t most_reserved = 256 * 1024;  // a length is a promise, not yet a body

// The remainder of a section's bytes.
constexpr std::size_t rest_of(std::size_t limit, std::size_t used) noexcept {
  return limit > used ? limit - used : 0;
}

constexpr std::size_t plus(std::size_t a, std::size_t b) noexcept {
  return a > std::numeric_limits<std::size_t>::max() - b ? std::numeric_limits<std::size_t>::max()
                                                         : a + b;
}

// Whether a comma-separated list of tokens has this one (RFC 9110 section 5.6.1).
bool lists(std::string_view list, std::string_view token) noexcept {
  for (;;) {
    const std::size_t comma = list.find(',');
    if (same_name(bytes::trimmed(list.substr(0, comma)), token)) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace

enum class response_reader::fault : std::uint8_t {
  none,
  not_http,
  bad_line_end,
  bad_status_line,
  switched,
  fold_of_nothing,
  fold_of_framing,
  bad_name,
  bad_value,
  bad_length,
  bad_coding,
  bad_chunk_size,
  bad_chunk_extension,
  bad_chunk_end,
  two_lengths,
  length_and_chunks,
  old_chunks,
  header_limit,
  count_limit,
  body_limit,
  interim_limit,
  trailer_limit,
  extension_limit,
  closed_at_start,
  cut_off,
};

void response_reader::begin(response& into, bool answer_to_head) {
  into_ = &into;
  into.clear();
  line_.clear();
  left_ = 0;
  trailer_bytes_ = extension_bytes_ = interim_ = 0;
  head_request_ = answer_to_head;
  fault_ = fault::none;
  begun_ = keep_alive_ = false;
  begin_head();
}

void response_reader::begin_head() noexcept {
  head_bytes_ = 0;
  field_count_ = 0;
  status_ = 0;
  last_ = last_line::no_field;
  has_length_ = chunked_ = wants_close_ = wants_keep_alive_ = false;
  state_ = state::status_line;
}

response_reader::progress response_reader::feed(std::string_view bytes) {
  std::string_view input = bytes;
  if (!input.empty() && state_ < state::done) begun_ = true;
  while (!input.empty() && state_ < state::done)
    if (is_body(state_) ? !take_body(input) : !step_line(input)) break;
  return {bytes.size() - input.size(), state_ == state::done, failure()};
}

response_reader::progress response_reader::end_of_stream(bool clean) {
  if (state_ == state::body_until_close && clean) {
    finish(false);
  } else if (state_ < state::done) {
    cut_in_head_ = state_ <= state::fields;
    fail(begun_ ? fault::cut_off : fault::closed_at_start);
  }
  return {0, state_ == state::done, failure()};
}

bool response_reader::step_line(std::string_view& input) {
  std::string_view line;
  if (!take_line(input, line)) return false;
  const bool good = on_line(line);
  line_.clear();
  return good;
}

bool response_reader::on_line(std::string_view line) {
  switch (state_) {
    case state::status_line: return on_status_line(line);
    case state::fields: return line.empty() ? on_head_end() : on_field(line);
    case state::chunk_size: return on_chunk_size(line);
    case state::chunk_end:
      state_ = state::chunk_size;
      return line.empty() || fail(fault::bad_chunk_end);
    default: return on_trailer(line);
  }
}

// How long a line may be, its end included.
std::size_t response_reader::room() const noexcept {
  switch (state_) {
    case state::chunk_size:
      return plus(rest_of(limits_.chunk_extension_bytes, extension_bytes_), longest_size + 2);
    case state::chunk_end: return 2;
    case state::trailers: return plus(rest_of(limits_.trailer_bytes, trailer_bytes_), 2);
    default: return rest_of(limits_.header_bytes, head_bytes_);
  }
}

// Called when a line is longer than its room; line_ holds at least room() + 1 bytes of it.
response_reader::fault response_reader::overlong() const noexcept {
  switch (state_) {
    case state::chunk_size: {
      const auto digits = std::find_if(line_.begin(), line_.end(),
                                       [](char c) { return !bytes::is(c, bytes::hexadecimal); }) -
                          line_.begin();
      return digits > 0 && digits <= static_cast<std::ptrdiff_t>(longest_size)
                 ? fault::extension_limit
                 : fault::bad_chunk_size;
    }
    case state::chunk_end: return fault::bad_chunk_end;
    case state::trailers: return fault::trailer_limit;
    default: return fault::header_limit;
  }
}

// Moves one line from `input` to `line`, without its end. A line that came in pieces is gathered in
// line_. All judgements are the same however the bytes were cut.
bool response_reader::take_line(std::string_view& input, std::string_view& line) {
  const void* const newline = std::memchr(input.data(), '\n', input.size());
  const std::size_t take =
      newline == nullptr
          ? input.size()
          : static_cast<std::size_t>(static_cast<const char*>(newline) - input.data()) + 1;

  // Another protocol may never send a line end: its first bytes give it away.
  if (state_ == state::status_line && line_.size() < version_prefix.size()) {
    const std::string_view expected = version_prefix.substr(line_.size());
    const std::size_t both = std::min(take, expected.size());
    if (input.substr(0, both) != expected.substr(0, both)) return fail(fault::not_http);
  }
  const std::size_t most = room();
  if (line_.size() + take > most) {
    line_.append(input.substr(0, most + 1 - line_.size()));
    return fail(overlong());
  }
  if (newline == nullptr) {
    line_.append(input);
    input = {};
    return false;
  }
  if (line_.empty()) {
    line = input.substr(0, take);
  } else {
    line_.append(input.substr(0, take));
    line = line_;
  }
  if (line.size() < 2 || line[line.size() - 2] != '\r') return fail(fault::bad_line_end);
  input.remove_prefix(take);
  if (state_ <= state::fields) head_bytes_ += line.size();
  line.remove_suffix(2);
  return true;
}

// HTTP/1.1 200 OK: RFC 9112 section 4. The blank before an empty reason may be missing.
bool response_reader::on_status_line(std::string_view line) {
  constexpr std::size_t status_at = version_prefix.size() + 2;
  constexpr std::size_t reason_at = status_at + 4;
  if (line.size() < status_at + 3 || !line.starts_with(version_prefix))
    return fail(line.starts_with(version_prefix) ? fault::bad_status_line : fault::not_http);
  const char minor = line[version_prefix.size()];
  const std::string_view code = line.substr(status_at, 3);
  if (!bytes::is(minor, bytes::digit) || line[status_at - 1] != ' ' ||
      !std::all_of(code.begin(), code.end(), [](char c) { return bytes::is(c, bytes::digit); }) ||
      code[0] == '0' || (line.size() > status_at + 3 && line[status_at + 3] != ' '))
    return fail(fault::bad_status_line);
  const std::string_view reason = line.size() > reason_at ? line.substr(reason_at) : "";
  if (bytes::first_control(reason) != std::string_view::npos) return fail(fault::bad_status_line);
  minor_is_one_ = minor != '0';
  status_ = (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
  if (status_ == 101) return fail(fault::switched);
  if (status_ < 200 && ++interim_ > limits_.interim_responses) return fail(fault::interim_limit);
  if (status_ >= 200) into_->set_status(status_, reason);
  state_ = state::fields;
  return true;
}

bool response_reader::split_field(std::string_view line, std::string_view& name,
                                  std::string_view& value) {
  std::size_t colon = 0;
  while (colon < line.size() && bytes::is(line[colon], bytes::token)) ++colon;
  if (colon == 0 || colon == line.size() || line[colon] != ':') return fail(fault::bad_name);
  name = line.substr(0, colon);
  value = bytes::trimmed(line.substr(colon + 1));
  if (bytes::first_control(value) != std::string_view::npos) return fail(fault::bad_value);
  if (++field_count_ > limits_.header_count) return fail(fault::count_limit);
  return true;
}

bool response_reader::on_field(std::string_view line) {
  if (bytes::is_blank(line[0])) return on_fold(line, into_->mutable_headers());
  std::string_view name;
  std::string_view value;
  last_ = last_line::field;
  if (!split_field(line, name, value) || !on_framing_field(name, value)) return false;
  if (status_ >= 200) into_->mutable_headers().add(name, value);
  return true;
}

// The rest of the last field's value (obs-fold): RFC 9112 section 5.2 has it joined by blanks.
// Where the value says how long the message is, it is refused all the same: who does not join the
// lines reads another length.
bool response_reader::on_fold(std::string_view line, headers& into) {
  if (last_ == last_line::no_field) return fail(fault::fold_of_nothing);
  if (last_ == last_line::framing_field) return fail(fault::fold_of_framing);
  // Its lines were looked at one by one, so it is not trusted to keep the connection.
  if (last_ == last_line::connection_field) wants_close_ = true;
  const std::string_view more = bytes::trimmed(line);
  if (bytes::first_control(more) != std::string_view::npos) return fail(fault::bad_value);
  if (status_ >= 200 && !more.empty()) into.extend_last(more);
  return true;
}

// Looks at the fields that say where the message ends and what becomes of the connection.
bool response_reader::on_framing_field(std::string_view name, std::string_view value) {
  if (name.size() == 14 && same_name(name, "Content-Length")) {
    last_ = last_line::framing_field;
    if (has_length_) return fail(fault::two_lengths);
    has_length_ = true;
    left_ = 0;
    if (value.empty()) return fail(fault::bad_length);
    constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    for (const char c : value) {
      if (!bytes::is(c, bytes::digit))
        return fail(c == ',' ? fault::two_lengths : fault::bad_length);
      const auto digit = static_cast<std::uint64_t>(c - '0');
      left_ = left_ > (most - digit) / 10 ? most : left_ * 10 + digit;
    }
    return !chunked_ || fail(fault::length_and_chunks);
  }
  if (name.size() == 17 && same_name(name, "Transfer-Encoding")) {
    last_ = last_line::framing_field;
    if (chunked_ || !same_name(value, "chunked")) return fail(fault::bad_coding);
    if (!minor_is_one_) return fail(fault::old_chunks);
    chunked_ = true;
    return !has_length_ || fail(fault::length_and_chunks);
  }
  if (name.size() == 10 && same_name(name, "Connection")) {
    last_ = last_line::connection_field;
    wants_close_ = wants_close_ || lists(value, "close");
    wants_keep_alive_ = wants_keep_alive_ || lists(value, "keep-alive");
  }
  return true;
}

// Where the body ends: RFC 9112 section 6.3.
bool response_reader::on_head_end() {
  if (status_ < 200) {
    const bool was_to_close = wants_close_;
    begin_head();
    wants_close_ = was_to_close;
    return true;
  }
  if (head_request_ || status_ == 304) {
    finish(true);
  } else if (status_ == 204) {
    // Nothing may follow. A server that announces something is not trusted with the next request.
    finish(!chunked_ && (!has_length_ || left_ == 0));
  } else if (chunked_) {
    state_ = state::chunk_size;
  } else if (!has_length_) {
    state_ = state::body_until_close;
  } else if (left_ == 0) {
    finish(true);
  } else {
    if (left_ > limits_.body_bytes) return fail(fault::body_limit);
    into_->mutable_body().reserve(
        static_cast<std::size_t>(std::min<std::uint64_t>(left_, most_reserved)));
    state_ = state::body_length;
  }
  return true;
}

// RFC 9112 section 7.1. Extensions are read over, as nobody defines any.
bool response_reader::on_chunk_size(std::string_view line) {
  std::size_t digits = 0;
  std::uint64_t size = 0;
  while (digits < line.size() && bytes::is(line[digits], bytes::hexadecimal)) {
    if (digits == longest_size) return fail(fault::bad_chunk_size);
    size = size * 16 + static_cast<std::uint64_t>(bytes::hex_value(line[digits++]));
  }
  if (digits == 0) return fail(fault::bad_chunk_size);
  const std::string_view extension = line.substr(digits);
  const std::string_view unpadded = bytes::trimmed(extension);
  if (!extension.empty() && !unpadded.starts_with(';')) return fail(fault::bad_chunk_size);
  if (bytes::first_control(extension) != std::string_view::npos)
    return fail(fault::bad_chunk_extension);
  if (extension.size() > rest_of(limits_.chunk_extension_bytes, extension_bytes_))
    return fail(fault::extension_limit);
  extension_bytes_ += extension.size();
  if (size > rest_of(limits_.body_bytes, into_->body().size())) return fail(fault::body_limit);
  left_ = size;
  last_ = last_line::no_field;
  state_ = size == 0 ? state::trailers : state::chunk_data;
  return true;
}

bool response_reader::on_trailer(std::string_view line) {
  if (line.empty()) {
    finish(true);
    return true;
  }
  if (line.size() + 2 > rest_of(limits_.trailer_bytes, trailer_bytes_))
    return fail(fault::trailer_limit);
  trailer_bytes_ += line.size() + 2;
  if (bytes::is_blank(line[0])) return on_fold(line, into_->mutable_trailers());
  std::string_view name;
  std::string_view value;
  if (!split_field(line, name, value)) return false;
  last_ = last_line::field;
  into_->mutable_trailers().add(name, value);
  return true;
}

bool response_reader::take_body(std::string_view& input) {
  std::string& body = into_->mutable_body();
  if (state_ == state::body_until_close) {
    if (input.size() > rest_of(limits_.body_bytes, body.size())) return fail(fault::body_limit);
    body.append(input);
    input = {};
    return true;
  }
  const auto take = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
  body.append(input.substr(0, take));
  input.remove_prefix(take);
  left_ -= take;
  if (left_ != 0) return true;
  if (state_ == state::body_length)
    finish(true);
  else
    state_ = state::chunk_end;
  return true;
}

void response_reader::finish(bool reusable) noexcept {
  state_ = state::done;
  keep_alive_ = reusable && !wants_close_ && (minor_is_one_ || wants_keep_alive_);
}

bool response_reader::fail(fault what) noexcept {
  state_ = state::failed;
  fault_ = what;
  return false;
}

error_code response_reader::failure() const noexcept {
  switch (fault_) {
    case fault::none: return {};
    case fault::two_lengths:
    case fault::length_and_chunks:
    case fault::old_chunks: return errc::ambiguous_framing;
    case fault::header_limit: return errc::headers_too_large;
    case fault::count_limit: return errc::too_many_headers;
    case fault::body_limit: return errc::body_too_large;
    case fault::interim_limit: return errc::too_many_interim;
    case fault::trailer_limit: return errc::trailers_too_large;
    case fault::extension_limit: return errc::chunk_extensions_too_large;
    case fault::closed_at_start: return errc::connection_closed;
    case fault::cut_off: return errc::truncated_response;
    default: return errc::malformed_response;
  }
}

std::string response_reader::detail() const {
  const auto limit = [](const char* name, std::size_t value) {
    return std::string("over limits.") + name + " = " + std::to_string(value) +
           "; raise it if such answers are meant to be";
  };
  switch (fault_) {
    case fault::none: return {};
    case fault::not_http:
      return "the first bytes are no HTTP/1 status line; check that the port speaks HTTP, and "
             "whether it wants http or https";
    case fault::bad_line_end: return "a line does not end with CR LF; the server must be mended";
    case fault::bad_status_line:
      return "the status line is not version, three digits and reason; the server must be mended";
    case fault::switched:
      return "status 101 switches to a protocol that was not asked for; the server must be mended";
    case fault::fold_of_nothing:
      return "a line begins with a blank, as if a field were folded, but comes before all fields; "
             "the server must be mended";
    case fault::fold_of_framing:
      return "Content-Length or Transfer-Encoding is folded over two lines, which others may not "
             "read as one; the server must be mended";
    case fault::bad_name:
      return "a header name is empty, not a token, or has a blank before its colon; the server "
             "must be mended";
    case fault::bad_value:
      return "a header value has a control byte (CR, NUL or another); the server must be mended";
    case fault::bad_length: return "Content-Length is not a number; the server must be mended";
    case fault::bad_coding:
      return "Transfer-Encoding is not just \"chunked\", once; the server must be mended, or asked "
             "for no other coding";
    case fault::bad_chunk_size:
      return "a chunk size is not 1 to 16 hex digits; the server must be mended";
    case fault::bad_chunk_extension:
      return "a chunk extension has a control byte; the server must be mended";
    case fault::bad_chunk_end:
      return "a chunk is longer than its size says; the server must be mended";
    case fault::two_lengths:
      return "Content-Length is given more than once; a proxy in between may be attacked or broken";
    case fault::length_and_chunks:
      return "there are both Content-Length and Transfer-Encoding; a proxy in between may be "
             "attacked or broken";
    case fault::old_chunks:
      return "an HTTP/1.0 answer has Transfer-Encoding; a proxy in between may be attacked or "
             "broken";
    case fault::header_limit: return limit("header_bytes", limits_.header_bytes);
    case fault::count_limit: return limit("header_count", limits_.header_count);
    case fault::body_limit: return limit("body_bytes", limits_.body_bytes);
    case fault::interim_limit: return limit("interim_responses", limits_.interim_responses);
    case fault::trailer_limit: return limit("trailer_bytes", limits_.trailer_bytes);
    case fault::extension_limit:
      return limit("chunk_extension_bytes", limits_.chunk_extension_bytes);
    case fault::closed_at_start:
      return "no byte of an answer had come; try again if the request may be repeated";
    case fault::cut_off:
      return "the connection ended " + place() +
             "; the server or a proxy broke off, look at its log";
  }
  return {};
}

std::string response_reader::place() const {
  if (cut_in_head_) return "inside of the header";
  const std::string got = "after " + std::to_string(into_->body().size()) + " bytes of the body";
  return has_length_ ? got + " of " + std::to_string(into_->body().size() + left_) : got;
}

}  // namespace hawser::inline v0::http
