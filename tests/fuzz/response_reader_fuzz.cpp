// An answer read whole and read in pieces must give the same result, and never a complete answer
// where bytes are missing.
#include "http/wire/response_reader.hpp"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

using hawser::error_code;
using hawser::http::headers;
using hawser::http::limits;
using hawser::http::response;
using hawser::http::response_reader;

void require(bool good) {
  if (!good) std::abort();
}

struct reading {
  bool done = false;
  bool keep_alive = false;
  error_code error{};
  std::string detail;
  std::size_t consumed = 0;
  std::string text;
  friend bool operator==(const reading&, const reading&) = default;
};

void check(const headers& fields, std::string& text) {
  for (const headers::field f : fields) {
    require(hawser::http::check_field(f.name, f.value).has_value());
    text.append(f.name).append(":").append(f.value).append("\n");
  }
}

// Pieces of `step` bytes; whole when it is 0.
reading read(response_reader& reader, std::string_view wire, bool head, bool clean,
             std::size_t step) {
  response into;
  reader.begin(into, head);
  reading seen;
  response_reader::progress p;
  for (std::size_t at = 0; at < wire.size() && !p.done && !p.error;) {
    const std::string_view piece = wire.substr(at, step == 0 ? wire.size() : step);
    const std::vector<char> own(piece.begin(), piece.end());
    p = reader.feed({own.data(), own.size()});
    require(p.consumed <= piece.size());
    require(p.done || p.error || p.consumed == piece.size());
    seen.consumed += p.consumed;
    at += piece.size();
  }
  if (!p.done && !p.error) p = reader.end_of_stream(clean);
  require(p.done != p.error.failed());
  require(p.error.failed() != reader.detail().empty());
  seen.done = p.done;
  seen.error = p.error;
  seen.detail = reader.detail();
  if (p.error) seen.consumed = 0;
  if (!p.done) return seen;
  seen.keep_alive = reader.keep_alive();
  require(into.status() >= 200 && into.status() <= 999);
  seen.text = std::to_string(into.status()).append(into.reason()).append("\n");
  check(into.headers(), seen.text);
  seen.text.append(into.body());
  check(into.trailers(), seen.text);
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const bool head = (data[0] & 1) != 0;
  const bool clean = (data[0] & 2) != 0;
  limits l;
  if ((data[0] & 4) != 0)
    l = {.header_bytes = 96,
         .header_count = 3,
         .body_bytes = 12,
         .interim_responses = 1,
         .trailer_bytes = 16,
         .chunk_extension_bytes = 8};
  const std::size_t step = 1 + data[1] % 16;
  const std::string_view wire(reinterpret_cast<const char*>(data) + 2, size - 2);

  response_reader reader(l);
  const reading whole = read(reader, wire, head, clean, 0);
  require(read(reader, wire, head, clean, 1) == whole);
  require(read(reader, wire, head, clean, step) == whole);
  if (!whole.done || whole.consumed == 0) return 0;
  // What was framed by itself is complete at its last byte and not one byte earlier.
  const std::string_view exact = wire.substr(0, whole.consumed);
  require(read(reader, exact, head, clean, step) == whole);
  if (whole.keep_alive)
    require(!read(reader, exact.substr(0, exact.size() - 1), head, true, 0).done);
  return 0;
}
