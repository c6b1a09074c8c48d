// Header names and values that HTTP forbids, and keys: refused before anything is sent, naming the
// field and the byte, never the value.
#include "bad_input/on_fake_transport.hpp"
#include "hawser/http/json.hpp"

#include <gtest/gtest.h>

namespace hawser::test::headers_test {
namespace {

using http::client;
using http::client_options;
using http::idempotency_profile;
using http::request;
using namespace std::string_literals;

struct bad_field {
  std::string name;
  std::string value;
  std::string_view culprit;
  std::string_view remedy;
};

const bad_field bad_fields[] = {
    // Names.
    {"", "s3cr3t", "a header name is empty", "give it one"},
    {"X A", "s3cr3t", "byte 0x20 at offset 1", "names are letters"},
    {"X-A ", "s3cr3t", "byte 0x20 at offset 3", "names are letters"},
    {" X-A", "s3cr3t", "byte 0x20 at offset 0", "names are letters"},
    {"X-A:", "s3cr3t", "byte 0x3A at offset 3", "names are letters"},
    {":authority", "s3cr3t", "byte 0x3A at offset 0", "names are letters"},
    {"X\tA", "s3cr3t", "byte 0x09 at offset 1", "names are letters"},
    {"X\r\nEvil", "s3cr3t", "byte 0x0D at offset 1", "names are letters"},
    {"X\nEvil", "s3cr3t", "byte 0x0A at offset 1", "names are letters"},
    {"X\0A"s, "s3cr3t", "byte 0x00 at offset 1", "names are letters"},
    {"X\x7f", "s3cr3t", "byte 0x7F at offset 1", "names are letters"},
    {"X-\xc3\xa9", "s3cr3t", "byte 0xC3 at offset 2", "names are letters"},
    {"Bearer s3cr3t", "Authorization", "byte 0x20 at offset 6", "names are letters"},
    {"\"quoted\"", "s3cr3t", "byte 0x22 at offset 0", "names are letters"},
    {"X(A)", "s3cr3t", "byte 0x28 at offset 1", "names are letters"},
    // Values.
    {"X-A", "s3cr3t\r\nX-Evil: 1", "\"X-A\" has control byte 0x0D at offset 6", "remove or encode"},
    {"X-A", "s3cr3t\r", "\"X-A\" has control byte 0x0D at offset 6", "remove or encode"},
    {"X-A", "s3cr3t\n", "\"X-A\" has control byte 0x0A at offset 6", "remove or encode"},
    {"X-A", "\ns3cr3t", "\"X-A\" has control byte 0x0A at offset 0", "remove or encode"},
    {"X-A", "s3cr3t\0"s, "\"X-A\" has control byte 0x00 at offset 6", "remove or encode"},
    {"X-A", "s3cr3t\x7f", "\"X-A\" has control byte 0x7F at offset 6", "remove or encode"},
    {"X-A", "s3cr3t\x1b[2J", "\"X-A\" has control byte 0x1B at offset 6", "remove or encode"},
    {"X-A", "s3cr3t\v", "\"X-A\" has control byte 0x0B at offset 6", "remove or encode"},
    {"X-A", " s3cr3t", "\"X-A\" begins or ends with a blank", "trim it"},
    {"X-A", "s3cr3t ", "\"X-A\" begins or ends with a blank", "trim it"},
    {"X-A", "\ts3cr3t", "\"X-A\" begins or ends with a blank", "trim it"},
    {"X-A", " ", "\"X-A\" begins or ends with a blank", "trim it"},
    {"X-A", std::string(100'000, 'x') + '\n', "control byte 0x0A at offset 100000", "remove or"},
    {std::string(100'000, 'X'), "s3cr3t\n", "a header field has control byte 0x0A", "remove or"},
    // Fields that say where a message ends, or what becomes of its connection.
    {"Host", "s3cr3t.test", "\"Host\" is written by the client itself", "leave it out"},
    {"host", "s3cr3t.test", "\"Host\" is written by the client itself", "leave it out"},
    {"Content-Length", "5", "\"Content-Length\" is written by the client", "leave it out"},
    {"CONTENT-LENGTH", "5", "\"Content-Length\" is written by the client", "leave it out"},
    {"Transfer-Encoding", "chunked", "\"Transfer-Encoding\" is written", "leave it out"},
    {"Connection", "close", "\"Connection\" is written by the client", "leave it out"},
    {"Keep-Alive", "timeout=5", "\"Keep-Alive\" is written by the client", "leave it out"},
    {"Proxy-Connection", "close", "\"Proxy-Connection\" is written", "leave it out"},
    {"TE", "trailers", "\"TE\" is written by the client itself", "leave it out"},
    {"Trailer", "X-A", "\"Trailer\" is written by the client itself", "leave it out"},
    {"Upgrade", "h2c", "\"Upgrade\" is written by the client itself", "leave it out"},
};

struct bad_headers : on_fake_transport {
  client keyed_by(idempotency_profile profile) {
    client_options o;
    o.idempotency = std::move(profile);
    return make(std::move(o));
  }
};

TEST_F(bad_headers, are_refused_before_anything_is_sent) {
  const client api = make();
  for (const bad_field& row : bad_fields) {
    SCOPED_TRACE(::testing::PrintToString(row.name.substr(0, 40) + ": " + row.value.substr(0, 40)));
    expect_unsent(api, request::get("/").header(row.name, row.value),
                  {errc::invalid_header, {condition::invalid_input}, row.culprit, row.remedy});
  }
}

TEST_F(bad_headers, a_content_type_is_looked_at_as_well) {
  const client api = make();
  for (const char* type : {"a/b\r\nX: s3cr3t", "a/b\n", " a/b", "a/b\x01"})
    expect_unsent(api, request::post("/").body("{}", type),
                  {errc::invalid_header, {condition::invalid_input}, "Content-Type", "it"});
}

TEST_F(bad_headers, a_correlation_id_is_looked_at_as_well) {
  client_options o;
  o.correlation_header = "X-Id";
  const client api = make(std::move(o));
  for (const auto& id : {"s3cr3t\r\nX-Evil: 1"s, "s3cr3t\0"s, " s3cr3t"s})
    expect_unsent(api, request::get("/"),
                  {errc::invalid_header, {condition::invalid_input}, "X-Id", "it"},
                  {.correlation = id});
}

TEST_F(bad_headers, what_is_odd_but_right_goes_out_as_it_is) {
  const client api = make();
  const std::pair<std::string, std::string> rows[] = {{"X-Empty", ""},
                                                      {"X-Tab", "a\tb"},
                                                      {"X-Text", "caf\xc3\xa9"},
                                                      {"X-Text", "latin \xe9"},
                                                      {"!#$%&'*+-.^_`|~", "1"},
                                                      {"X-Colon", ":a:b"},
                                                      {"X-Long", std::string(50'000, 'x')}};
  request what = request::get("/");
  for (const auto& [name, value] : rows) what = std::move(what).header(name, value);
  ASSERT_TRUE(api.send(what));
  const auto sent = net->requests().at(0).headers;
  ASSERT_EQ(sent.size(), std::size(rows) + 1) << "duplicates are kept, the User-Agent comes last";
  for (std::size_t i = 0; i < std::size(rows); ++i) EXPECT_EQ(sent[i], rows[i]);
}

TEST_F(bad_headers, a_key_that_its_profile_does_not_take_is_refused_and_never_quoted) {
  struct {
    idempotency_profile profile;
    std::string key;
    std::string_view culprit;
    std::string_view remedy;
  } const rows[] = {
      {idempotency_profile::ietf(), "", "key is empty", "give the operation's own"},
      {idempotency_profile::ietf(), "s3cr3t\r\nX: 1",
       "ietf profile: the key has byte 0x0D at offset 6", "printable ASCII"},
      {idempotency_profile::ietf(), "s3cr3t\0"s, "byte 0x00 at offset 6", "printable ASCII"},
      {idempotency_profile::ietf(), "s3cr3t\xc3\xa9", "byte 0xC3 at offset 6", "printable ASCII"},
      {idempotency_profile::ietf(), std::string(256, 'k'), "256 bytes, at most 255", "shorten it"},
      {idempotency_profile::stripe(), "s3cr3t 1",
       "stripe profile: the key has byte 0x20 at offset 6", "without blanks"},
      {idempotency_profile::stripe(), std::string(256, 'k'), "256 bytes, at most 255", "shorten"},
      {idempotency_profile::paypal(), std::string(109, 'k'), "109 bytes, at most 108", "shorten"},
      {idempotency_profile::adyen(), std::string(65, 'k'), "65 bytes, at most 64", "shorten it"},
      {idempotency_profile::square(), std::string(46, 'k'), "46 bytes, at most 45", "shorten it"},
      {idempotency_profile::square(), "s3cr3t\n", "byte 0x0A at offset 6", "printable ASCII"},
      {idempotency_profile::square(), std::string(1'000'000, 'k'), "1000000 bytes", "shorten it"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.profile.name + ": " + std::to_string(row.key.size()));
    const client api = keyed_by(row.profile);
    expect_unsent(
        api, request::post("/").json({{"a", 1}}).idempotency_key(row.key),
        {errc::invalid_idempotency_key, {condition::invalid_input}, row.culprit, row.remedy});
  }
  for (const auto& profile :
       {idempotency_profile::ietf(), idempotency_profile::stripe(), idempotency_profile::paypal(),
        idempotency_profile::adyen(), idempotency_profile::square()}) {
    const client api = keyed_by(profile);
    EXPECT_TRUE(api.send(
        request::post("/").json({{"a", 1}}).idempotency_key(std::string(profile.max_length, 'k'))))
        << profile.name;
  }
}

TEST_F(bad_headers, a_second_key_or_a_body_without_room_for_one_is_refused) {
  const client api = keyed_by(idempotency_profile::stripe());
  expect_unsent(api, request::post("/").header("idempotency-key", "s3cr3t").idempotency_key("k"),
                {errc::invalid_idempotency_key,
                 {condition::invalid_input},
                 "\"Idempotency-Key\" holds another key",
                 "give one of them only"});
  const client square = keyed_by(idempotency_profile::square());
  struct {
    std::string body;
    errc code;
    std::string_view culprit;
    std::string_view remedy;
  } const rows[] = {
      {"", errc::invalid_body, "at /idempotency_key, but the body is not JSON", "send one"},
      {"s3cr3t", errc::invalid_body, "stopped at byte 1 of 6", "send one"},
      {"[]", errc::invalid_body, "there is no object to put it in", "send one"},
      {"{} s3cr3t", errc::invalid_body, "the body is not JSON", "send one"},
      {std::string(100'000, '['), errc::invalid_body, "deeper than 1000 levels", "flatten it"},
      {R"({"idempotency_key":"s3cr3t"})", errc::invalid_idempotency_key, "another key already",
       "give one of them only"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.body.substr(0, 40));
    expect_unsent(square,
                  request::post("/").body(row.body, "application/json").idempotency_key("k"),
                  {row.code, {condition::invalid_input}, row.culprit, row.remedy});
  }
}

TEST_F(bad_headers, a_key_given_as_a_header_is_the_callers_own) {
  const client api = keyed_by(idempotency_profile::stripe());
  net->script({testing::scripted_exchange::fail(errc::connection_closed),
               testing::scripted_exchange::answer(200)});
  call_report report;
  const result<http::response> r =
      api.send(request::post("/").header("idempotency-key", "s3cr3t-7"), {.report = &report});
  ASSERT_TRUE(r) << r.error().message();
  ASSERT_EQ(net->requests().size(), 2u) << "keyed, so it may go again";
  for (const auto& sent : net->requests()) {
    EXPECT_EQ(sent.header("Idempotency-Key"), "s3cr3t-7");
    EXPECT_EQ(sent.headers.size(), 2u) << "that, and the User-Agent";
  }
  EXPECT_EQ(report.key_fingerprint, http::fingerprint("s3cr3t-7"));
  const result<http::response> long_one =
      api.send(request::post("/").header("Idempotency-Key", std::string(256, 'k')));
  ASSERT_TRUE(long_one.has_error());
  expect_refusal(long_one.error(), {errc::invalid_idempotency_key,
                                    {condition::invalid_input},
                                    "256 bytes, at most 255",
                                    "shorten it"});
  EXPECT_EQ(net->requests().size(), 2u);
}

TEST_F(bad_headers, one_body_has_one_content_type) {
  const client api = make();
  constexpr std::string_view mine = "application/vnd.api+json";
  ASSERT_TRUE(api.send(request::post("/").json({{"a", 1}}).header("content-type", mine)));
  ASSERT_TRUE(api.send(request::post("/").header("Content-Type", mine).json({{"a", 1}})));
  ASSERT_TRUE(api.send(request::post("/").body("{}", "a/b").header("Content-Type", mine)));
  for (const auto& sent : net->requests()) {
    EXPECT_EQ(sent.headers.size(), 2u) << "that, and the User-Agent";
    EXPECT_EQ(sent.header("Content-Type"), mine);
  }
}

TEST_F(bad_headers, a_body_that_is_no_text_for_json_is_refused) {
  const client api = make();
  for (const char* text : {"s3cr3t\xff", "\xc3", "\xed\xa0\x80"})
    expect_unsent(api, request::post("/").json({{"a", text}}),
                  {errc::invalid_body, {condition::invalid_input}, "not UTF-8", "convert it"});
}

}  // namespace
}  // namespace hawser::test::headers_test
