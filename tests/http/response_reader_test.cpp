#include "http/wire/response_reader.hpp"

#include "http/expect_error.hpp"

#include <random>
#include <string>
#include <vector>

namespace hawser::test::response_reader_test {
namespace {

using http::headers;
using http::limits;
using http::response;
using http::response_reader;
using namespace std::string_view_literals;

// Everything an exchange tells, so that ways of feeding can be compared.
struct reading {
  bool done = false;
  bool keep_alive = false;
  error_code error{};
  std::string detail;
  std::size_t consumed = 0;
  std::string text;  // status, reason, fields, body, trailers
};

std::string text_of(const response& r) {
  std::string out = std::to_string(r.status()) + ' ' + std::string(r.reason()) + '\n';
  for (const headers::field f : r.headers())
    out.append(f.name).append(": ").append(f.value).append("\n");
  out.append("\n").append(r.body()).append("\n");
  for (const headers::field f : r.trailers())
    out.append(f.name).append(": ").append(f.value).append("\n");
  return out;
}

enum class ending { none, clean, abrupt };

template <class NextPiece>
reading read(std::string_view wire, bool head, const limits& l, ending end, NextPiece next) {
  response into;
  response_reader reader(l);
  reader.begin(into, head);
  reading seen;
  response_reader::progress p;
  std::size_t at = 0;
  while (at < wire.size() && !p.done && !p.error) {
    const std::string_view piece = wire.substr(at, next());
    // A copy of its own, so that the address sanitizer sees a read past the piece.
    const std::vector<char> own(piece.begin(), piece.end());
    p = reader.feed({own.data(), own.size()});
    EXPECT_TRUE(p.done || p.error || p.consumed == piece.size());
    seen.consumed += p.consumed;
    at += piece.size();
  }
  EXPECT_EQ(reader.begun(), !wire.empty());
  if (end != ending::none && !p.done && !p.error) p = reader.end_of_stream(end == ending::clean);
  seen.done = p.done;
  seen.error = p.error;
  seen.keep_alive = p.done && reader.keep_alive();
  seen.detail = reader.detail();
  if (p.done) seen.text = text_of(into);
  EXPECT_FALSE(p.done && p.error);
  EXPECT_EQ(p.error.failed(), !seen.detail.empty());
  EXPECT_EQ(seen.detail.find(planted), std::string::npos) << seen.detail;
  return seen;
}

reading read_whole(std::string_view wire, bool head = false, const limits& l = {},
                   ending end = ending::none) {
  return read(wire, head, l, end, [&] { return wire.size(); });
}

void expect_same(const reading& a, const reading& b, std::string_view how) {
  EXPECT_EQ(a.done, b.done) << how;
  EXPECT_EQ(a.keep_alive, b.keep_alive) << how;
  EXPECT_EQ(a.error, b.error) << how << ": " << a.error.message() << ", " << b.error.message();
  EXPECT_EQ(a.detail, b.detail) << how;
  EXPECT_EQ(a.text, b.text) << how;
  if (a.done) {
    EXPECT_EQ(a.consumed, b.consumed) << how;
  }
}

// Whole, byte by byte and in random pieces: the same must come of it.
reading read_every_way(std::string_view wire, bool head = false, const limits& l = {},
                       ending end = ending::none) {
  const reading whole = read_whole(wire, head, l, end);
  expect_same(read(wire, head, l, end, [] { return std::size_t{1}; }), whole, "byte by byte");
  std::mt19937 random(static_cast<unsigned>(wire.size()));
  for (int i = 0; i < 20; ++i) {
    const std::size_t most = 1 + random() % 40;
    expect_same(read(wire, head, l, end, [&] { return 1 + random() % most; }), whole,
                "in random pieces");
  }
  return whole;
}

struct good_answer {
  std::string_view name;
  std::string_view wire;
  int status;
  std::string_view body;
  bool keep_alive;
  bool head = false;
  bool until_close = false;
};

const good_answer good_answers[] = {
    {"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello", 200, "hello", true},
    {"empty_body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", true},
    {"no_reason", "HTTP/1.1 404 \r\nContent-Length: 1\r\n\r\nx", 404, "x", true},
    {"no_blank_before_reason", "HTTP/1.1 404\r\nContent-Length: 1\r\n\r\nx", 404, "x", true},
    {"chunks",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n00A\r\n, my world\r\n0\r\n"
     "\r\n",
     200, "hello, my world", true},
    {"no_chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", 200, "", true},
    {"chunk_extensions",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b;c=\"d\"\r\nhello\r\n1 ; x\r\n!\r\n"
     "0;last\r\n\r\n",
     200, "hello!", true},
    {"trailers",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 7\r\nX-B:\r\n\r\n",
     200, "x", true},
    {"body_with_line_ends",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n\r\n0\r\n\r\n\n\r\n0\r\n\r\n", 200,
     "\r\n0\r\n\r\n\n", true},
    {"head_with_length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, "", true, true},
    {"head_with_huge_length", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
     200, "", true, true},
    {"head_with_chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "", true,
     true},
    {"head_without_length", "HTTP/1.1 200 OK\r\n\r\n", 200, "", true, true},
    {"no_content", "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", 204, "", true},
    {"no_content_length_0", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, "", true},
    {"no_content_that_announces_some", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", 204,
     "", false},
    {"no_content_that_announces_chunks",
     "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 204, "", false},
    {"not_modified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, "", true},
    {"interim",
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"
     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
     200, "ok", true},
    {"interim_length_means_nothing",
     "HTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\n\r\n"
     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
     200, "ok", true},
    {"interim_that_closes",
     "HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n"
     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
     200, "ok", false},
    {"close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 200, "ok",
     false},
    {"close_in_a_list", "HTTP/1.1 200 OK\r\nConnection: x ,\t Close\r\nContent-Length: 2\r\n\r\nok",
     200, "ok", false},
    {"close_wins_over_keep_alive",
     "HTTP/1.1 200 OK\r\nConnection: Keep-Alive, CLOSE\r\nContent-Length: 2\r\n\r\nok", 200, "ok",
     false},
    {"close_in_a_field_before",
     "HTTP/1.1 200 OK\r\nConnection: close\r\nconnection: keep-alive\r\nContent-Length: "
     "2\r\n\r\nok",
     200, "ok", false},
    {"close_in_a_field_behind",
     "HTTP/1.0 200 OK\r\nCONNECTION: ,keep-alive,\r\nConnection: x\r\nConnection: "
     "Close\r\nContent-Length: 2\r\n\r\nok",
     200, "ok", false},
    {"closer_is_not_close", "HTTP/1.1 200 OK\r\nConnection: closer\r\nContent-Length: 2\r\n\r\nok",
     200, "ok", true},
    {"http_1_0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false},
    {"http_1_0_kept_alive",
     "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok", 200, "ok", true},
    {"http_1_9", "HTTP/1.9 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", true},
    {"until_close", "HTTP/1.1 200 OK\r\n\r\nsome text", 200, "some text", false, false, true},
    {"until_close_1_0", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nsome text", 200,
     "some text", false, false, true},
    {"blanks_around_values", "HTTP/1.1 200 OK\r\nContent-Length:\t 2 \t\r\nA:b\r\n\r\nok", 200,
     "ok", true},
    {"leading_zeros", "HTTP/1.1 200 OK\r\nContent-Length: 0002\r\n\r\nok", 200, "ok", true},
    {"odd_status", "HTTP/1.1 799 ?\r\nContent-Length: 2\r\n\r\nok", 799, "ok", true},
    {"high_bytes", "HTTP/1.1 200 \xC3\xA4\r\nX: \xFF\x80\r\nContent-Length: 2\r\n\r\nok", 200, "ok",
     true},
    {"zeros_in_body", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\0\r\n"sv, 200, "\0\r\n"sv,
     true},
};

class GoodAnswer : public ::testing::TestWithParam<good_answer> {};

TEST_P(GoodAnswer, IsReadHoweverItsBytesCome) {
  const good_answer& a = GetParam();
  const reading seen =
      read_every_way(a.wire, a.head, {}, a.until_close ? ending::clean : ending::none);
  EXPECT_TRUE(seen.done) << seen.detail;
  EXPECT_EQ(seen.consumed, a.wire.size());
  EXPECT_EQ(seen.keep_alive, a.keep_alive);
  response into;
  response_reader reader({});
  reader.begin(into, a.head);
  static_cast<void>(reader.feed(a.wire));
  EXPECT_EQ(into.status(), a.status);
  EXPECT_EQ(into.body(), a.body);
}

TEST_P(GoodAnswer, CutOffAtAnyByteIsNeverDone) {
  const good_answer& a = GetParam();
  const std::size_t head_end = a.wire.rfind("\r\n\r\n") + 4;
  for (std::size_t cut = 0; cut < a.wire.size(); ++cut) {
    for (const ending end : {ending::clean, ending::abrupt}) {
      const std::string_view prefix = a.wire.substr(0, cut);
      const reading open = read_whole(prefix, a.head);
      ASSERT_FALSE(open.done) << cut;
      ASSERT_FALSE(open.error) << cut << ": " << open.detail;
      const reading ended = read_every_way(prefix, a.head, {}, end);
      // What is framed by the end of the connection is complete at any clean end.
      if (a.until_close && cut >= head_end && end == ending::clean) continue;
      ASSERT_FALSE(ended.done) << cut;
      expect_error({ended.error, ended.detail},
                   cut == 0 ? errc::connection_closed : errc::truncated_response,
                   condition::bad_response, {cut == 0 ? "try again" : "look at its log"});
    }
  }
}

TEST_P(GoodAnswer, LeavesFollowingBytesAlone) {
  const good_answer& a = GetParam();
  if (a.until_close) return;
  for (const std::string_view more : {"x"sv, "HTTP/1.1 200 OK\r\n\r\n"sv, "\r\n"sv, "\0"sv}) {
    const std::string wire = std::string(a.wire).append(more);
    const reading seen = read_every_way(wire, a.head);
    EXPECT_TRUE(seen.done);
    EXPECT_EQ(seen.consumed, a.wire.size());
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoodAnswer, ::testing::ValuesIn(good_answers),
                         [](const auto& test) { return std::string(test.param.name); });

struct bad_answer {
  std::string_view name;
  std::string_view wire;
  errc code;
  std::string_view culprit;
  std::string_view remedy = "the server must be mended";
};

#define OK_LINE "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK_LINE "Transfer-Encoding: chunked\r\n\r\n"

const bad_answer bad_answers[] = {
    {"other_protocol", "SSH-2.0-OpenSSH s3cr3t\r\n", errc::malformed_response,
     "no HTTP/1 status line", "check that the port speaks HTTP"},
    {"tls_alert", "\x15\x03\x01\x00\x02\x02\x16"sv, errc::malformed_response,
     "no HTTP/1 status line", "http or https"},
    {"http_2", "HTTP/2.0 200 OK\r\n\r\n", errc::malformed_response, "no HTTP/1 status line",
     "check"},
    {"lower_case", "http/1.1 200 OK\r\n\r\n", errc::malformed_response, "no HTTP/1 status line",
     "check"},
    {"leading_empty_line", "\r\nHTTP/1.1 200 OK\r\n\r\n", errc::malformed_response,
     "no HTTP/1 status line", "check"},
    {"leading_blank", " HTTP/1.1 200 OK\r\n\r\n", errc::malformed_response, "no HTTP/1 status line",
     "check"},
    {"status_of_two_digits", "HTTP/1.1 20 OK\r\n\r\n", errc::malformed_response, "status line"},
    {"status_of_four_digits", "HTTP/1.1 2000 OK\r\n\r\n", errc::malformed_response, "status line"},
    {"status_below_100", "HTTP/1.1 099 OK\r\n\r\n", errc::malformed_response, "status line"},
    {"status_of_letters", "HTTP/1.1 2x0 OK\r\n\r\n", errc::malformed_response, "status line"},
    {"status_missing", "HTTP/1.1\r\n\r\n", errc::malformed_response, "status line"},
    {"two_blanks", "HTTP/1.1  200 OK\r\n\r\n", errc::malformed_response, "status line"},
    {"tab_for_blank", "HTTP/1.1\t200 OK\r\n\r\n", errc::malformed_response, "status line"},
    {"bad_minor", "HTTP/1.x 200 OK\r\n\r\n", errc::malformed_response, "status line"},
    {"long_minor", "HTTP/1.10 200 OK\r\n\r\n", errc::malformed_response, "status line"},
    {"control_in_reason", "HTTP/1.1 200 s3cr3t\x01\r\n\r\n", errc::malformed_response,
     "status line"},
    {"switching", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
     errc::malformed_response, "101"},
    {"bare_lf_in_status_line", "HTTP/1.1 200 OK\n", errc::malformed_response, "CR LF"},
    {"bare_lf_in_field", OK_LINE "A: s3cr3t\n\r\n", errc::malformed_response, "CR LF"},
    {"bare_lf_at_end_of_head", OK_LINE "A: s3cr3t\r\n\n", errc::malformed_response, "CR LF"},
    {"bare_cr_in_field", OK_LINE "A: s3cr3t\rB: c\r\n\r\n", errc::malformed_response,
     "control byte"},
    {"cr_cr_lf", OK_LINE "A: s3cr3t\r\r\n\r\n", errc::malformed_response, "control byte"},
    {"nul_in_value", OK_LINE "A: s3cr3t\0\r\n\r\n"sv, errc::malformed_response, "control byte"},
    {"nul_in_name", OK_LINE "A\0: s3cr3t\r\n\r\n"sv, errc::malformed_response, "header name"},
    {"del_in_value", OK_LINE "A: s3cr3t\x7f\r\n\r\n", errc::malformed_response, "control byte"},
    {"fold_before_all_fields", OK_LINE " A: s3cr3t\r\n\r\n", errc::malformed_response,
     "before all fields"},
    {"blank_line_of_blanks_before_all_fields", OK_LINE " \r\nA: b\r\n\r\n",
     errc::malformed_response, "before all fields"},
    {"fold_after_an_interim_head", "HTTP/1.1 103 x\r\nA: b\r\n\r\n" OK_LINE "\tc\r\n\r\n",
     errc::malformed_response, "before all fields"},
    {"fold_of_a_length", OK_LINE "Content-Length: 5\r\n 6\r\n\r\nhello", errc::malformed_response,
     "Content-Length or Transfer-Encoding is folded"},
    {"fold_of_a_length_with_nothing", OK_LINE "Content-Length: 5\r\n \r\n\r\nhello",
     errc::malformed_response, "Content-Length or Transfer-Encoding is folded"},
    {"length_on_the_second_line", OK_LINE "Content-Length:\r\n 5\r\n\r\nhello",
     errc::malformed_response, "Content-Length"},
    {"fold_of_a_coding", OK_LINE "Transfer-Encoding: chunked\r\n , x\r\n\r\n0\r\n\r\n",
     errc::malformed_response, "Content-Length or Transfer-Encoding is folded"},
    {"coding_on_the_second_line", OK_LINE "Transfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n",
     errc::malformed_response, "Transfer-Encoding"},
    {"fold_of_an_interim_length", "HTTP/1.1 103 x\r\nContent-Length: 1\r\n 2\r\n\r\n",
     errc::malformed_response, "Content-Length or Transfer-Encoding is folded"},
    {"fold_with_a_nul", OK_LINE "A: b\r\n s3cr3t\0\r\n\r\n"sv, errc::malformed_response,
     "control byte"},
    {"fold_with_a_bare_cr", OK_LINE "A: b\r\n s3cr3t\rc\r\n\r\n", errc::malformed_response,
     "control byte"},
    {"fold_in_an_interim_head_with_a_nul", "HTTP/1.1 103 x\r\nA: b\r\n \0\r\n\r\n"sv,
     errc::malformed_response, "control byte"},
    {"fold_behind_a_bare_cr", OK_LINE "A: b\r s3cr3t\r\n\r\n", errc::malformed_response,
     "control byte"},
    {"fold_behind_a_bare_lf", OK_LINE "A: b\n s3cr3t\r\n\r\n", errc::malformed_response, "CR LF"},
    {"fold_that_ends_with_a_bare_lf", OK_LINE "A: b\r\n s3cr3t\n\r\n", errc::malformed_response,
     "CR LF"},
    {"blank_before_colon", OK_LINE "A : s3cr3t\r\n\r\n", errc::malformed_response, "colon"},
    {"tab_before_colon", OK_LINE "Content-Length\t: 5\r\n\r\n", errc::malformed_response, "colon"},
    {"no_colon", OK_LINE "s3cr3t\r\n\r\n", errc::malformed_response, "header name"},
    {"empty_name", OK_LINE ": s3cr3t\r\n\r\n", errc::malformed_response, "header name"},
    {"two_lengths", OK_LINE "Content-Length: 5\r\nContent-Length: 6\r\n\r\ns3cr3t",
     errc::ambiguous_framing, "Content-Length is given more than once", "proxy"},
    {"same_length_twice", OK_LINE "Content-Length: 5\r\ncontent-length: 5\r\n\r\nhello",
     errc::ambiguous_framing, "more than once", "proxy"},
    {"length_list", OK_LINE "Content-Length: 5, 5\r\n\r\nhello", errc::ambiguous_framing,
     "more than once", "proxy"},
    {"length_and_chunks",
     OK_LINE "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     errc::ambiguous_framing, "both", "proxy"},
    {"chunks_and_length",
     OK_LINE "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
     errc::ambiguous_framing, "both", "proxy"},
    {"chunks_in_1_0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     errc::ambiguous_framing, "HTTP/1.0", "proxy"},
    {"empty_length", OK_LINE "Content-Length:\r\n\r\n", errc::malformed_response, "Content-Length"},
    {"signed_length", OK_LINE "Content-Length: +5\r\n\r\n", errc::malformed_response,
     "Content-Length"},
    {"negative_length", OK_LINE "Content-Length: -1\r\n\r\n", errc::malformed_response,
     "Content-Length"},
    {"hex_length", OK_LINE "Content-Length: 0x5\r\n\r\n", errc::malformed_response,
     "Content-Length"},
    {"broken_length", OK_LINE "Content-Length: 5 5\r\n\r\n", errc::malformed_response,
     "Content-Length"},
    {"length_over_64_bits", OK_LINE "Content-Length: 18446744073709551617\r\n\r\nx",
     errc::body_too_large, "limits.body_bytes = 16777216", "raise"},
    {"other_coding", OK_LINE "Transfer-Encoding: gzip\r\n\r\n", errc::malformed_response,
     "Transfer-Encoding"},
    {"two_codings", OK_LINE "Transfer-Encoding: gzip, chunked\r\n\r\n", errc::malformed_response,
     "Transfer-Encoding"},
    {"chunked_twice", OK_LINE "Transfer-Encoding: chunked, chunked\r\n\r\n",
     errc::malformed_response, "Transfer-Encoding"},
    {"coding_twice", OK_LINE "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
     errc::malformed_response, "Transfer-Encoding"},
    {"hidden_chunked",
     OK_LINE "Transfer-Encoding: \x0b"
             "chunked\r\n\r\n",
     errc::malformed_response, "control byte"},
    {"identity", OK_LINE "Transfer-Encoding: identity\r\n\r\n", errc::malformed_response,
     "Transfer-Encoding"},
    {"chunk_size_missing", CHUNKED "\r\nhello\r\n", errc::malformed_response, "chunk size"},
    {"chunk_size_signed", CHUNKED "+5\r\nhello\r\n", errc::malformed_response, "chunk size"},
    {"chunk_size_negative", CHUNKED "-5\r\nhello\r\n", errc::malformed_response, "chunk size"},
    {"chunk_size_0x", CHUNKED "0x5\r\nhello\r\n", errc::malformed_response, "chunk size"},
    {"chunk_size_letters", CHUNKED "g\r\n", errc::malformed_response, "chunk size"},
    {"chunk_size_blank_before", CHUNKED " 5\r\nhello\r\n", errc::malformed_response, "chunk size"},
    {"chunk_size_blank_after", CHUNKED "5 \r\nhello\r\n", errc::malformed_response, "chunk size"},
    {"chunk_size_of_17_digits", CHUNKED "00000000000000005\r\nhello\r\n", errc::malformed_response,
     "chunk size"},
    {"chunk_size_of_61_digits",
     CHUNKED "0000000000000000000000000000000000000000000000000000000000000\r\n",
     errc::malformed_response, "chunk size"},
    {"chunk_size_over_limit", CHUNKED "ffffffffffffffff\r\n", errc::body_too_large,
     "limits.body_bytes", "raise"},
    {"chunk_size_bare_lf", CHUNKED "5\nhello\r\n", errc::malformed_response, "CR LF"},
    {"chunk_extension_control", CHUNKED "5;a=\x01\r\nhello\r\n", errc::malformed_response,
     "chunk extension"},
    {"chunk_extension_bare_cr", CHUNKED "5;a=\rb\r\nhello\r\n", errc::malformed_response,
     "chunk extension"},
    {"chunk_too_long", CHUNKED "5\r\ns3cr3t\r\n", errc::malformed_response, "chunk is longer"},
    {"chunk_end_bare_lf", CHUNKED "5\r\nhello\n0\r\n\r\n", errc::malformed_response, "CR LF"},
    {"trailer_malformed", CHUNKED "0\r\ns3cr3t\r\n\r\n", errc::malformed_response, "header name"},
    {"trailer_fold_before_all_trailers",
     OK_LINE "A: b\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n s3cr3t\r\n\r\n",
     errc::malformed_response, "before all fields"},
    {"trailer_fold_with_a_nul", CHUNKED "0\r\nA: b\r\n s3cr3t\0\r\n\r\n"sv,
     errc::malformed_response, "control byte"},
    {"trailer_with_nul", CHUNKED "0\r\nA: s3cr3t\0\r\n\r\n"sv, errc::malformed_response,
     "control byte"},
    {"interim_malformed", "HTTP/1.1 100 Continue\r\nA s3cr3t\r\n\r\n", errc::malformed_response,
     "header name"},
    {"interim_with_body", "HTTP/1.1 103 x\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n\r\n",
     errc::malformed_response, "no HTTP/1 status line", "check"},
};

class BadAnswer : public ::testing::TestWithParam<bad_answer> {};

TEST_P(BadAnswer, IsRefusedHoweverItsBytesCome) {
  const bad_answer& a = GetParam();
  const reading seen = read_every_way(a.wire);
  EXPECT_FALSE(seen.done);
  expect_error({seen.error, seen.detail}, a.code, condition::bad_response, {a.culprit, a.remedy});
}

INSTANTIATE_TEST_SUITE_P(All, BadAnswer, ::testing::ValuesIn(bad_answers),
                         [](const auto& test) { return std::string(test.param.name); });

void expect_limit(const std::string& good, const std::string& bad, const limits& l, errc code,
                  std::string_view named) {
  EXPECT_TRUE(read_every_way(good, false, l).done) << read_whole(good, false, l).detail;
  const reading seen = read_every_way(bad, false, l);
  expect_error({seen.error, seen.detail}, code, condition::bad_response, {named, "raise"});
}

TEST(ReaderLimits, HeaderBytesAtBothEdges) {
  const auto sized = [](std::size_t total) {
    std::string head = OK_LINE "Content-Length: 0\r\nX: ";
    head.append(total - head.size() - 4, 'x');
    return head + "\r\n\r\n";
  };
  const limits l{.header_bytes = 128};
  expect_limit(sized(128), sized(129), l, errc::headers_too_large, "limits.header_bytes = 128");
  expect_limit(sized(128), OK_LINE + std::string(5000, 'x'), l, errc::headers_too_large,
               "limits.header_bytes = 128");
  expect_limit(sized(128), "HTTP/1.1 200 " + std::string(5000, 'x'), l, errc::headers_too_large,
               "limits.header_bytes = 128");
}

TEST(ReaderLimits, HeaderCountAtBothEdges) {
  const auto with = [](int fields) {
    std::string head = OK_LINE "Content-Length: 0\r\n";
    for (int i = 1; i < fields; ++i) head += "X: y\r\n";
    return head + "\r\n";
  };
  expect_limit(with(5), with(6), {.header_count = 5}, errc::too_many_headers,
               "limits.header_count = 5");
  // Trailers count too.
  const std::string open = CHUNKED "0\r\n";
  expect_limit(open + "A: b\r\n\r\n", open + "A: b\r\nC: d\r\n\r\n", {.header_count = 2},
               errc::too_many_headers, "limits.header_count = 2");
}

TEST(ReaderLimits, BodyBytesAtBothEdges) {
  const limits l{.body_bytes = 10};
  const auto named = "limits.body_bytes = 10";
  expect_limit(OK_LINE "Content-Length: 10\r\n\r\n0123456789", OK_LINE "Content-Length: 11\r\n\r\n",
               l, errc::body_too_large, named);
  expect_limit(CHUNKED "5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n", CHUNKED "5\r\n01234\r\n6\r\n", l,
               errc::body_too_large, named);
  const std::string open = OK_LINE "\r\n";
  EXPECT_TRUE(read_every_way(open + "0123456789", false, l, ending::clean).done);
  EXPECT_EQ(read_every_way(open + "0123456789x", false, l).error, errc::body_too_large);
  EXPECT_TRUE(read_every_way(OK_LINE "Content-Length: 0\r\n\r\n", false, {.body_bytes = 0}).done);
}

TEST(ReaderLimits, InterimAnswersAtBothEdges) {
  const auto with = [](int interims) {
    std::string wire;
    for (int i = 0; i < interims; ++i) wire += "HTTP/1.1 102 Processing\r\nX: y\r\n\r\n";
    return wire + OK_LINE "Content-Length: 0\r\n\r\n";
  };
  expect_limit(with(8), with(9), {}, errc::too_many_interim, "limits.interim_responses = 8");
  expect_limit(with(0), with(1), {.interim_responses = 0}, errc::too_many_interim,
               "limits.interim_responses = 0");
}

TEST(ReaderLimits, TrailerBytesAtBothEdges) {
  const auto with = [](std::size_t bytes) {
    return CHUNKED "0\r\nA: b\r\nX: " + std::string(bytes - 6 - 5, 'x') + "\r\n\r\n";
  };
  expect_limit(with(50), with(51), {.trailer_bytes = 50}, errc::trailers_too_large,
               "limits.trailer_bytes = 50");
  expect_limit(CHUNKED "0\r\n\r\n", CHUNKED "0\r\nA: b\r\n\r\n", {.trailer_bytes = 0},
               errc::trailers_too_large, "limits.trailer_bytes = 0");
  expect_limit(with(50), CHUNKED "0\r\nX: " + std::string(9000, 'x'), {}, errc::trailers_too_large,
               "limits.trailer_bytes = 8192");
}

TEST(ReaderLimits, ChunkExtensionBytesAtBothEdges) {
  const auto with = [](std::size_t first, std::size_t second) {
    return CHUNKED "1;" + std::string(first - 1, 'x') + "\r\na\r\n1;" +
           std::string(second - 1, 'x') + "\r\nb\r\n0\r\n\r\n";
  };
  const auto named = "limits.chunk_extension_bytes = 20";
  expect_limit(with(10, 10), with(10, 11), {.chunk_extension_bytes = 20},
               errc::chunk_extensions_too_large, named);
  expect_limit(with(10, 10), with(21, 1), {.chunk_extension_bytes = 20},
               errc::chunk_extensions_too_large, named);
  expect_limit(with(10, 10), CHUNKED "1;" + std::string(5000, 'x'), {},
               errc::chunk_extensions_too_large, "limits.chunk_extension_bytes = 4096");
  // Many small ones are the same attack.
  std::string drip = CHUNKED;
  for (int i = 0; i < 3000; ++i) drip += "1;x\r\na\r\n";
  EXPECT_EQ(read_whole(drip).error, errc::chunk_extensions_too_large);
}

TEST(ResponseReader, KeepsTrailersApart) {
  response into;
  response_reader reader({});
  reader.begin(into, false);
  EXPECT_TRUE(reader.feed(CHUNKED "0\r\nContent-Length: 9\r\nX-Sum: 7\r\n\r\n").done);
  EXPECT_EQ(into.trailers().find("x-sum"), "7");
  EXPECT_EQ(into.headers().size(), 1U);
}

struct folded_value {
  std::string_view name;
  std::string_view lines;  // of the field X, without their last CR LF
  std::string_view value;
};

const folded_value folded_values[] = {
    {"blank", "X: a\r\n b", "a b"},
    {"tab", "X: a\r\n\tb", "a b"},
    {"many_blanks", "X: a  \t\r\n \t  b\t ", "a b"},
    {"three_lines", "X: a\r\n b\r\n\tc", "a b c"},
    {"blanks_within_a_line_stay", "X: a\r\n b \t c", "a b \t c"},
    {"empty_first_line", "X:\r\n b", "b"},
    {"empty_first_lines", "X: \r\n \r\n\t\r\n b", "b"},
    {"line_of_blanks", "X: a\r\n \t \r\n b", "a b"},
    {"last_line_of_blanks", "X: a\r\n ", "a"},
    {"nothing_at_all", "X:\r\n ", ""},
    {"what_looks_like_a_field", "X: a\r\n Content-Length: 9", "a Content-Length: 9"},
    {"what_looks_like_a_status_line", "X: a\r\n HTTP/1.1 200 OK", "a HTTP/1.1 200 OK"},
    {"high_bytes", "X: \xC3\r\n \xA4", "\xC3 \xA4"},
};

class FoldedValue : public ::testing::TestWithParam<folded_value> {};

// RFC 9112 section 5.2: a user agent replaces each obs-fold by blanks before it interprets a value.
TEST_P(FoldedValue, IsJoinedByBlanksInHeadersAndTrailers) {
  const folded_value& v = GetParam();
  const std::string lines(v.lines);
  const std::string wire = OK_LINE "A: 1\r\n" + lines +
                           "\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nB: 2\r\n" +
                           lines + "\r\nC: 3\r\n\r\n";
  const std::string x = "X: " + std::string(v.value) + "\n";
  const reading seen = read_every_way(wire);
  EXPECT_TRUE(seen.done) << seen.detail;
  EXPECT_TRUE(seen.keep_alive);
  EXPECT_EQ(seen.text,
            "200 OK\nA: 1\n" + x + "Transfer-Encoding: chunked\n\nok\nB: 2\n" + x + "C: 3\n");
}

INSTANTIATE_TEST_SUITE_P(All, FoldedValue, ::testing::ValuesIn(folded_values),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(ResponseReader, ReadsOverFoldsOfInterimFields) {
  const reading seen = read_every_way("HTTP/1.1 103 x\r\nLink: a\r\n b\r\n\r\n" OK_LINE
                                      "A: b\r\nContent-Length: 2\r\n\r\nok");
  EXPECT_EQ(seen.text, "200 OK\nA: b\nContent-Length: 2\n\nok\n");
}

// Who does not join the lines may read another word there.
TEST(ResponseReader, DoesNotKeepAConnectionWhoseConnectionFieldIsFolded) {
  for (const std::string_view lines : {"Connection: x,\r\n close", "Connection:\r\n keep-alive",
                                       "Connection: keep-\r\n alive", "connection: x\r\n "}) {
    const reading seen =
        read_every_way(OK_LINE + std::string(lines) + "\r\nContent-Length: 2\r\n\r\nok");
    EXPECT_TRUE(seen.done) << lines;
    EXPECT_FALSE(seen.keep_alive) << lines;
  }
  const reading old = read_every_way(
      "HTTP/1.0 200 OK\r\nConnection:\r\n keep-alive\r\nContent-Length: 2\r\n\r\nok");
  EXPECT_TRUE(old.done);
  EXPECT_FALSE(old.keep_alive);
}

TEST(ReaderLimits, FoldedLinesCountAtBothEdges) {
  const auto head = [](std::size_t total) {
    std::string text = OK_LINE "Content-Length: 0\r\nX: a\r\n ";
    text.append(total - text.size() - 4, 'x');
    return text + "\r\n\r\n";
  };
  expect_limit(head(128), head(129), {.header_bytes = 128}, errc::headers_too_large,
               "limits.header_bytes = 128");
  // Lines without a byte of a value are no way around it.
  std::string endless = OK_LINE "X: a\r\n";
  while (endless.size() < 20'000) endless += " \r\n";
  EXPECT_EQ(read_whole(endless, false, {.header_bytes = 10'000}).error, errc::headers_too_large);
  const auto trailers = [](std::size_t bytes) {
    return CHUNKED "0\r\nX: a\r\n " + std::string(bytes - 6 - 3, 'x') + "\r\n\r\n";
  };
  expect_limit(trailers(50), trailers(51), {.trailer_bytes = 50}, errc::trailers_too_large,
               "limits.trailer_bytes = 50");
}

TEST(ResponseReader, TellsAnAnswerFromOtherBytes) {
  response into;
  response_reader reader({});
  const auto has = [&](std::string_view wire) {
    reader.begin(into, false);
    EXPECT_FALSE(reader.has_status_line());
    static_cast<void>(reader.feed(wire));
    return reader.has_status_line();
  };
  EXPECT_FALSE(has("nonsense\r\n"));
  EXPECT_FALSE(has("HTTP/1.1 2OO OK\r\n"));
  EXPECT_FALSE(has("HTTP/1.1 20"));
  EXPECT_TRUE(has(OK_LINE "A : b\r\n"));
  EXPECT_TRUE(has("HTTP/1.1 101 Switching\r\n"));
  EXPECT_TRUE(has("HTTP/1.1 103 x\r\n\r\nnonsense"));
}

TEST(ResponseReader, DropsInterimFields) {
  response into;
  response_reader reader({});
  reader.begin(into, false);
  EXPECT_TRUE(reader.feed("HTTP/1.1 103 x\r\nLink: a\r\n\r\nHTTP/1.1 204 y\r\nB: c\r\n\r\n").done);
  EXPECT_EQ(text_of(into), "204 y\nB: c\n\n\n");
}

TEST(ResponseReader, StartsAfreshForEachAnswer) {
  response into;
  response_reader reader({});
  const auto exchange = [&](std::string_view wire, bool head = false) {
    reader.begin(into, head);
    EXPECT_FALSE(reader.begun());
    EXPECT_FALSE(reader.head_complete());
    return reader.feed(wire);
  };
  EXPECT_TRUE(exchange(CHUNKED "3\r\nabc\r\n0\r\nA: b\r\n\r\n").done);
  EXPECT_TRUE(
      exchange("HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n", true).done);
  EXPECT_FALSE(reader.keep_alive());
  EXPECT_EQ(exchange(OK_LINE "A : b\r\n").error, errc::malformed_response);
  EXPECT_FALSE(exchange("HTTP/1.1 200 OK\r\nContent-Le").done);
  EXPECT_TRUE(exchange(OK_LINE "Content-Length: 2\r\n\r\nok").done);
  EXPECT_TRUE(reader.keep_alive());
  EXPECT_EQ(text_of(into), "200 OK\nContent-Length: 2\n\nok\n");
}

TEST(ResponseReader, TakesNothingAfterTheEnd) {
  response into;
  response_reader reader({});
  reader.begin(into, false);
  EXPECT_TRUE(reader.feed(OK_LINE "Content-Length: 0\r\n\r\n").done);
  const auto after = reader.feed("more");
  EXPECT_EQ(after.consumed, 0U);
  EXPECT_TRUE(after.done);
  EXPECT_TRUE(reader.end_of_stream(false).done);  // a close after the answer does not spoil it
  reader.begin(into, false);
  EXPECT_TRUE(reader.feed("nonsense").error);
  EXPECT_EQ(reader.feed(OK_LINE).consumed, 0U);
  EXPECT_EQ(reader.end_of_stream(true).error, errc::malformed_response);
}

TEST(ResponseReader, SaysHowMuchOfTheBodyCame) {
  const reading seen =
      read_whole(OK_LINE "Content-Length: 10\r\n\r\ns3cr3t", false, {}, ending::clean);
  expect_error({seen.error, seen.detail}, errc::truncated_response, condition::bad_response,
               {"6 bytes of the body of 10", "log"});
  expect_error({read_whole("HTTP/1.1 2", false, {}, ending::clean).error,
                read_whole("HTTP/1.1 2", false, {}, ending::clean).detail},
               errc::truncated_response, condition::bad_response, {"inside of the header", "log"});
}

TEST(ResponseReader, AnnouncesTheHead) {
  response into;
  response_reader reader({});
  reader.begin(into, false);
  static_cast<void>(reader.feed(OK_LINE "Content-Length: 5\r\n\r"));
  EXPECT_FALSE(reader.head_complete());
  static_cast<void>(reader.feed("\n"));
  EXPECT_TRUE(reader.head_complete());
}

// A length is a promise: memory follows the bytes.
TEST(ResponseReader, DoesNotTakeMemoryForBytesThatHaveNotCome) {
  response into;
  response_reader reader({.body_bytes = std::size_t{1} << 40});
  reader.begin(into, false);
  EXPECT_FALSE(reader.feed(OK_LINE "Content-Length: 1099511627776\r\n\r\n").error);
  EXPECT_LE(into.mutable_body().capacity(), 512U * 1024);
}

// Any byte changed to any other: an answer or an error, the same however the bytes are cut.
TEST(ResponseReader, SurvivesEveryChangedByte) {
  const std::string_view wires[] = {
      good_answers[0].wire, good_answers[6].wire, good_answers[7].wire,
      OK_LINE "A: b\r\n c\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nB:\r\n\td\r\n\r\n"};
  for (const std::string_view wire : wires) {
    for (std::size_t i = 0; i < wire.size(); ++i) {
      for (int c = 0; c < 256; c += 7) {
        std::string changed(wire);
        changed[i] = static_cast<char>(c);
        const reading whole = read_whole(changed, false, {}, ending::clean);
        expect_same(read(changed, false, {}, ending::clean, [] { return std::size_t{1}; }), whole,
                    changed);
      }
    }
  }
}

}  // namespace
}  // namespace hawser::test::response_reader_test
