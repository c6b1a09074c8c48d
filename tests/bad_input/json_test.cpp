// JSON that is malformed, too deep, followed by bytes, or of another type than asked for: one named
// error that says where, and never quotes the text.
#include "hawser/http/json.hpp"
#include "bad_input/on_fake_transport.hpp"

#include <gtest/gtest.h>

namespace hawser::test::json_test {

struct address {
  std::string city;
  std::int64_t zip = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(address, city, zip)

struct person {
  std::string name;
  std::vector<address> homes;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(person, name, homes)

namespace {

using namespace std::string_literals;
using http::request;
using testing::scripted_exchange;

/// Arrays in each other.
std::string nested(std::size_t levels) {
  return std::string(levels, '[') + std::string(levels, ']');
}
/// Objects in each other.
std::string nested_objects(std::size_t levels) {
  std::string text;
  for (std::size_t i = 0; i < levels; ++i) text += "{\"a\":";
  return text + "1" + std::string(levels, '}');
}

struct bad_json {
  std::string text;
  errc code;
  std::string_view culprit;
  std::string_view remedy;
};

const bad_json bad_texts[] = {
    // Malformed.
    {"", errc::json_malformed, "the text is empty", "check that the server sends JSON"},
    {" \r\n\t", errc::json_malformed, "ends after 4 bytes", "check that the server sends JSON"},
    {"s3cr3t", errc::json_malformed, "stopped at byte 1 of 6", "check that the server sends JSON"},
    {"{\"a\":s3cr3t}", errc::json_malformed, "stopped at byte 6 of 12", "check that"},
    {"{\"s3cr3t\":1", errc::json_malformed, "ends after 11 bytes", "check that the server"},
    {"{\"a\":1,}", errc::json_malformed, "stopped at byte 8 of 8", "check that the server"},
    {"[1,]", errc::json_malformed, "stopped at byte 4 of 4", "check that the server"},
    {"[1 2]", errc::json_malformed, "stopped at byte 4 of 5", "check that the server"},
    {"{a:1}", errc::json_malformed, "stopped at byte 2 of 5", "check that the server"},
    {"{'a':1}", errc::json_malformed, "stopped at byte 2 of 7", "check that the server"},
    {"\"s3cr3t", errc::json_malformed, "ends after 7 bytes", "check that the server"},
    {"\"s3cr3t\n\"", errc::json_malformed, "stopped at byte 8 of 9", "check that the server"},
    {"\"s3cr3t\xff\"", errc::json_malformed, "stopped at byte 8 of 9", "check that the server"},
    {"\"\\u12\"", errc::json_malformed, "stopped at byte 6 of 6", "check that the server"},
    {"\"\\ud800\"", errc::json_malformed, "stopped at byte 8 of 8", "check that the server"},
    {"\"\\x41\"", errc::json_malformed, "stopped at byte 3 of 6", "check that the server"},
    {"01", errc::json_malformed, "stopped at byte 2 of 2", "check that the server"},
    {"+1", errc::json_malformed, "stopped at byte 1 of 2", "check that the server"},
    {".5", errc::json_malformed, "stopped at byte 1 of 2", "check that the server"},
    {"1.", errc::json_malformed, "ends after 2 bytes", "check that the server"},
    {"1e", errc::json_malformed, "ends after 2 bytes", "check that the server"},
    {"NaN", errc::json_malformed, "stopped at byte 1 of 3", "check that the server"},
    {"Infinity", errc::json_malformed, "stopped at byte 1 of 8", "check that the server"},
    {"1e999", errc::json_malformed, "number is too large", "check that the server"},
    {"nul", errc::json_malformed, "ends after 3 bytes", "check that the server"},
    {"// s3cr3t\n1", errc::json_malformed, "stopped at byte 1 of", "check that the server"},
    {"\0"s, errc::json_malformed, "a NUL is byte 1 of 1", "check that the server"},
    {"<html>s3cr3t</html>", errc::json_malformed, "stopped at byte 1 of 19", "check that"},
    // Followed by bytes.
    {"{} s3cr3t", errc::json_malformed, "stopped at byte 4 of 9", "and nothing else"},
    {"{}{}", errc::json_malformed, "stopped at byte 3 of 4", "and nothing else"},
    {"1 2", errc::json_malformed, "stopped at byte 3 of 3", "and nothing else"},
    {"[]]", errc::json_malformed, "stopped at byte 3 of 3", "and nothing else"},
    {"{}\0s3cr3t"s, errc::json_malformed, "a NUL is byte 3 of 9", "and nothing else"},
    // Deep.
    {nested(65), errc::json_too_deep, "64 levels (limits.json_depth)", "raise it"},
    {nested_objects(65), errc::json_too_deep, "64 levels (limits.json_depth)", "raise it"},
    {nested(100'000), errc::json_too_deep, "64 levels (limits.json_depth)", "raise it"},
    {nested_objects(100'000), errc::json_too_deep, "64 levels (limits.json_depth)", "raise it"},
    {std::string(100'000, '['), errc::json_too_deep, "64 levels (limits.json_depth)", "raise it"},
};

TEST(BadJson, SaysWhereReadingStopped) {
  for (const bad_json& row : bad_texts) {
    SCOPED_TRACE(::testing::PrintToString(row.text.substr(0, 40)));
    const auto parsed = http::parse_json(row.text);
    ASSERT_TRUE(parsed.has_error());
    expect_refusal(parsed.error(), {row.code, {condition::bad_response}, row.culprit, row.remedy});
  }
  EXPECT_TRUE(http::parse_json(nested(64)));
  EXPECT_TRUE(http::parse_json(nested_objects(64)));
}

struct {
  const char* text;
  std::string_view culprit;
} const wrong_types[] = {
    {R"([])", "the document itself must be object, is array"},
    {R"("s3cr3t")", "the document itself must be object, is string"},
    {R"(null)", "the document itself must be object, is null"},
    {R"({})", "the document itself has no member \"name\""},
    {R"({"name":7,"homes":[]})", "field /name must be string, is number"},
    {R"({"name":null,"homes":[]})", "field /name must be string, is null"},
    {R"({"name":"s3cr3t"})", "the document itself has no member \"homes\""},
    {R"({"name":"s3cr3t","homes":{}})", "field /homes must be array, is object"},
    {R"({"name":"s3cr3t","homes":[7]})", "field /homes/0 must be object, is number"},
    {R"({"name":"a","homes":[{"city":"s3cr3t","zip":"s3cr3t"}]})",
     "field /homes/0/zip must be number, is string"},
    {R"({"name":"a","homes":[{"city":"a","zip":1},{"city":"s3cr3t"}]})",
     "field /homes/1 has no member \"zip\""},
};

TEST(BadJson, OfTheWrongTypeNamesTheField) {
  for (const auto& row : wrong_types) {
    SCOPED_TRACE(row.text);
    const result<person> read = http::json_as<person>(http::parse_json(row.text).value());
    ASSERT_TRUE(read.has_error());
    expect_refusal(
        read.error(),
        {errc::json_wrong_type, {condition::bad_response}, row.culprit, "ask for the type it has"});
  }
}

/// Counts how often it is read.
struct counted {
  static inline std::size_t reads = 0;
  int value = 0;
};
void from_json(const nlohmann::json& from, counted& to) {
  ++counted::reads;
  from.at("value").get_to(to.value);
}

TEST(BadJson, OfTheWrongTypeIsExplainedWithoutReadingALargeAnswerAThousandTimes) {
  for (const std::size_t items : {100u, 300u, 10'000u, 100'000u}) {
    nlohmann::json large = nlohmann::json::array();
    for (std::size_t i = 0; i + 1 < items; ++i) large.push_back({{"note", "n"}, {"value", i}});
    large.push_back({{"value", "s3cr3t"}});
    counted::reads = 0;
    const auto read = http::json_as<std::vector<counted>>(large);
    ASSERT_TRUE(read.has_error());
    expect_refusal(read.error(), {errc::json_wrong_type,
                                  {condition::bad_response},
                                  "must be number, is string",
                                  "ask for the type it has"});
    EXPECT_NE(read.error().message().find("field /" + std::to_string(items - 1) + "/value"),
              std::string::npos)
        << read.error().message();
    EXPECT_LT(counted::reads, 20 * items) << items;
  }
}

struct bad_json_answers : on_fake_transport {
  http::client up_to(std::size_t depth) {
    http::client_options o;
    o.bounds.json_depth = depth;
    return make(std::move(o));
  }
};

TEST_F(bad_json_answers, end_the_call_likewise_in_each_form) {
  const http::client api = up_to(64);
  for (const bad_json& row : bad_texts) {
    if (row.text.empty()) continue;
    SCOPED_TRACE(::testing::PrintToString(row.text.substr(0, 40)));
    const refusal wanted{row.code, {condition::bad_response}, row.culprit, row.remedy};
    const auto answer = scripted_exchange::answer(200, row.text);
    net->script({answer, answer});
    const result<person> typed = api.get("/").as<person>();
    ASSERT_TRUE(typed.has_error());
    expect_refusal(typed.error(), wanted);
    const result<http::response> plain = api.send(request::get("/"));
    ASSERT_TRUE(plain) << "a body of whatever kind is an answer";
    expect_refusal(plain->json().error(), wanted);
    expect_refusal(plain->as<person>().error(), wanted);
  }
  for (const auto& row : wrong_types) {
    net->script({scripted_exchange::answer(200, row.text)});
    const result<person> typed = api.get("/").as<person>();
    ASSERT_TRUE(typed.has_error());
    expect_refusal(
        typed.error(),
        {errc::json_wrong_type, {condition::bad_response}, row.culprit, "ask for the type it has"});
  }
}

TEST_F(bad_json_answers, are_as_deep_as_the_clients_own_limit_says) {
  const http::client shallow = up_to(2);
  net->script({scripted_exchange::answer(200, nested(2)), scripted_exchange::answer(200, nested(3)),
               scripted_exchange::answer(200, nested(3))});
  using json = nlohmann::json;
  EXPECT_TRUE(shallow.get("/").as<json>());
  const result<json> typed = shallow.get("/").as<json>();
  ASSERT_TRUE(typed.has_error());
  expect_refusal(typed.error(), {errc::json_too_deep,
                                 {condition::bad_response},
                                 "deeper than 2 levels (limits.json_depth)",
                                 "raise it"});
  const result<http::response> plain = shallow.send(request::get("/"));
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->json().error(), errc::json_too_deep);
  EXPECT_TRUE(plain->json(http::limits{.json_depth = 3})) << "limits given by hand win";

  const http::client deep = up_to(1000);
  net->script(
      {scripted_exchange::answer(200, nested(1000)), scripted_exchange::answer(200, nested(1001))});
  EXPECT_TRUE(deep.get("/").as<json>());
  EXPECT_TRUE(deep.get("/").as<json>().has_error());
}

}  // namespace
}  // namespace hawser::test::json_test
