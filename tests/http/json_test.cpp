#include "hawser/http/json.hpp"

#include "http/expect_error.hpp"
#include "support/allocations.hpp"
#include "support/sanitizers.hpp"

#include <malloc.h>
#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

// Not unnamed: half of what the macros write is not used here.
namespace hawser::test::json_shapes {

struct address {
  std::string zip;
  int number = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(address, zip, number)

struct person {
  int id = 0;
  std::string name;
  bool active = false;
  std::vector<address> addresses;
  std::map<std::string, double> scores;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(person, id, name, active, addresses, scores)

struct lenient {
  int a = 1;
  std::string b;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(lenient, a, b)

/// Members are read in this order, which is not that of the document.
struct town {
  std::string name;
  std::vector<address> shops;
  std::vector<address> homes;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(town, name, shops, homes)

}  // namespace hawser::test::json_shapes

namespace hawser::test::json_test {
namespace {

using http::json_as;
using http::limits;
using http::parse_json;
using nlohmann::json;

using json_shapes::lenient;
using json_shapes::person;

struct picky {};
void from_json(const json&, picky&) { throw std::runtime_error("s3cr3t"); }

constexpr std::string_view good = R"({
  "id": 1, "name": "n", "active": true,
  "addresses": [{"zip": "1", "number": 1}, {"zip": "2", "number": 2}],
  "scores": {"x": 1.5, "y": 2}
})";

TEST(Json, ReadsWhatTheParserReads) {
  for (const std::string_view text :
       {"null", "true", "-1", "18446744073709551615", "1.5e3", "\"\\u00e4\\n\"", "[]", "{}",
        "[[],{},[1,[2,{\"a\":[3]}]]]", "{\"a\":{\"b\":{\"c\":[1,{\"d\":null}]}},\"e\":\"f\"}",
        " [1 , 2 ] ", "{\"a\":1,\"a\":{\"b\":2}}", "{\"a\":{\"b\":2},\"a\":1}"}) {
    const auto parsed = parse_json(text);
    ASSERT_TRUE(parsed) << text << ": " << parsed.error().message();
    EXPECT_EQ(*parsed, json::parse(text)) << text;
  }
  EXPECT_EQ(*parse_json(good), json::parse(good));
}

TEST(Json, RefusesMalformedText) {
  for (const std::string_view text :
       {"",         " ",       "s3cr3t",   "{",        "[",   "[1,]",   "{\"a\"}",
        "{\"a\":}", "{'a':1}", "\"s3cr3t", "01",       "1.",  "+1",     "nul",
        "[1 2]",    "\"\\x\"", "\"\x01\"", "\"\xFF\"", "NaN", "// c\n1"})
    expect_error(parse_json(text).error(), errc::json_malformed, condition::bad_response,
                 {"check that the server sends JSON"});
}

TEST(Json, SaysWhereReadingStopped) {
  expect_error(parse_json("").error(), errc::json_malformed, condition::bad_response,
               {"text is empty", "check"});
  expect_error(parse_json("[1, s3cr3t]").error(), errc::json_malformed, condition::bad_response,
               {"byte 5 of 11", "check"});
  expect_error(parse_json("[1, 2").error(), errc::json_malformed, condition::bad_response,
               {"ends after 5 bytes", "check"});
  expect_error(parse_json("[1e999]").error(), errc::json_malformed, condition::bad_response,
               {"number is too large", "check"});
}

TEST(Json, RefusesBytesAfterTheValue) {
  for (const std::string_view text : {"{}s3cr3t", "1 2", "[] []", "null,", "\"a\"\"b\"", "{}}"})
    expect_error(parse_json(text).error(), errc::json_malformed, condition::bad_response,
                 {"stopped at byte", "nothing else"});
}

// The trap: nlohmann's parser takes a NUL for the end of the text.
TEST(Json, RefusesNulAndWhatFollowsIt) {
  for (const std::string_view text :
       {std::string_view("1\0", 2), std::string_view("{}\0s3cr3t", 9), std::string_view("\0", 1)})
    expect_error(parse_json(text).error(), errc::json_malformed, condition::bad_response,
                 {"a NUL is byte", "nothing else"});
}

TEST(Json, SurvivesAHundredThousandLevels) {
  for (const std::string_view open : {"[", "{\"a\":", "[{\"a\":"}) {
    std::string text;
    for (int i = 0; i < 100000; ++i) text += open;
    expect_error(parse_json(text).error(), errc::json_too_deep, condition::bad_response,
                 {"64 levels", "limits.json_depth", "raise"});
  }
}

namespace shapes {

std::string repeated(std::string_view one, std::size_t times) {
  std::string text = "[";
  for (std::size_t i = 0; i < times; ++i) text.append(i == 0 ? "" : ",").append(one);
  return text + "]";
}

std::string members(std::size_t times, std::size_t key_size) {
  std::string text = "{";
  for (std::size_t i = 0; i < times; ++i) {
    std::string key = std::to_string(i);
    key.insert(0, key_size - std::min(key_size, key.size()), 'k');
    text.append(i == 0 ? "\"" : ",\"").append(key).append("\":0");
  }
  return text + "}";
}

const std::vector<std::string>& all() {
  static const std::vector<std::string> texts = {
      repeated("{}", 50000),
      repeated("[]", 50000),
      repeated("0", 70000),
      repeated("1.5", 70000),
      repeated("[0]", 50000),
      repeated("\"\"", 50000),
      repeated("\"123456789012345\"", 50000),
      repeated("\"1234567890123456\"", 50000),
      repeated("{\"a\":{}}", 30000),
      repeated("{\"a_long_key_of_30_characters___\":\"a\"}", 30000),
      members(50000, 5),
      members(50000, 40),
      "\"" + std::string(100000, 'x') + "\"",
  };
  return texts;
}

}  // namespace shapes

/// By `[{},{},...]` 15 MB of text would take half a gigabyte.
TEST(Json, ARefusedTextHasNotTakenMoreThanItsLimit) {
  if (!allocations_are_counted()) GTEST_SKIP();
  static std::size_t taken;
  for (const std::string& text : shapes::all()) {
    SCOPED_TRACE(text.substr(0, 30));
    constexpr std::size_t most = 100'000;
    taken = 0;
    ask_at_allocations([](std::size_t size) noexcept {
      taken += size;
      return false;
    });
    const auto parsed = parse_json(text, {.json_bytes = most});
    ask_at_allocations(nullptr);
    expect_error(parsed.error(), errc::json_too_large, condition::bad_response,
                 {"limits.json_bytes", "100000 bytes of memory", "raise it"});
    // The parser's own buffer for a string or number beside it, as it grows.
    EXPECT_LE(taken, 3 * most + 4 * std::min<std::size_t>(text.size(), 110'000));
  }
}

TEST(Json, CountsAtLeastWhatTheValuesTake) {
  if (under_asan || under_tsan) GTEST_SKIP() << "another malloc";
  const auto in_use = [] {
    const struct mallinfo2 all = ::mallinfo2();
    return all.uordblks + all.hblkhd;
  };
  for (const std::string& text : shapes::all()) {
    SCOPED_TRACE(text.substr(0, 30));
    const std::size_t before = in_use();
    const auto parsed = parse_json(text);
    ASSERT_TRUE(parsed) << parsed.error().message();
    const std::size_t takes = in_use() - before;
    const std::size_t less = takes - 1024;  // what the heap has besides
    EXPECT_EQ(parse_json(text, {.json_bytes = less}).error(), errc::json_too_large) << takes;
  }
}

TEST(Json, SizeCountsAtBothEdges) {
  EXPECT_TRUE(parse_json("[]", {.json_bytes = 32}));
  EXPECT_EQ(parse_json("[]", {.json_bytes = 31}).error(), errc::json_too_large);
  EXPECT_TRUE(parse_json("1", {.json_bytes = 0}));
  EXPECT_TRUE(parse_json("[1,2]", {.json_bytes = 32 + 2 * 48}));
  EXPECT_EQ(parse_json("[1,2]", {.json_bytes = 31 + 2 * 48}).error(), errc::json_too_large);
  EXPECT_EQ(parse_json(shapes::repeated("{}", 2'000'000)).error(), errc::json_too_large)
      << "by default";
}

TEST(Json, DepthCountsAtBothEdges) {
  const auto nested = [](std::size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_TRUE(parse_json(nested(64)));
  EXPECT_TRUE(parse_json(nested(65)).error() == errc::json_too_deep);
  EXPECT_TRUE(parse_json("1", {.json_depth = 1}));
  EXPECT_TRUE(parse_json("[1,2,[3]]", {.json_depth = 2}));
  EXPECT_TRUE(parse_json("[1,2,[3]]", {.json_depth = 1}).error() == errc::json_too_deep);
  EXPECT_TRUE(parse_json("[[],[],[],{},{}]", {.json_depth = 2}));  // side by side is not deep
  EXPECT_TRUE(parse_json(nested(1000), {.json_depth = 1000}));
}

TEST(Json, ConvertsToTypes) {
  const auto p = json_as<person>(json::parse(good));
  ASSERT_TRUE(p) << p.error().message();
  EXPECT_EQ(p->addresses[1].zip, "2");
  EXPECT_EQ(json_as<lenient>(json::object())->a, 1);
}

struct mismatch {
  std::string_view pointer;  // what to change in `good`
  std::string_view value;    // to what; empty removes it
  std::string_view culprit;
  std::string_view wanted;
  std::string_view found;
};

class WrongType : public ::testing::TestWithParam<mismatch> {};

TEST_P(WrongType, NamesTheField) {
  const mismatch& m = GetParam();
  json document = json::parse(good);
  const json::json_pointer at{std::string(m.pointer)};
  if (m.value.empty())
    document[at.parent_pointer()].erase(at.back());
  else
    document[at] = json::parse(m.value);
  const auto converted = json_as<person>(document);
  ASSERT_FALSE(converted);
  expect_error(converted.error(), errc::json_wrong_type, condition::bad_response,
               {m.culprit, m.wanted, m.found});
}

INSTANTIATE_TEST_SUITE_P(
    All, WrongType,
    ::testing::Values(
        mismatch{"/id", "\"s3cr3t\"", "field /id ", "must be number", "is string"},
        mismatch{"/name", "5", "field /name ", "must be string", "is number"},
        mismatch{"/name", "null", "field /name ", "must be string", "is null"},
        mismatch{"/active", "\"s3cr3t\"", "field /active ", "must be boolean", "is string"},
        mismatch{"/active", "1", "field /active ", "must be boolean", "is number"},
        mismatch{"/addresses", "{\"s3cr3t\":1}", "field /addresses ", "must be array", "is object"},
        mismatch{"/addresses/1", "[\"s3cr3t\"]", "field /addresses/1 ", "must be object",
                 "is array"},
        mismatch{"/addresses/0/zip", "1", "field /addresses/0/zip ", "must be string", "is number"},
        mismatch{"/addresses/1/zip", "1", "field /addresses/1/zip ", "must be string", "is number"},
        mismatch{"/addresses/1/zip", "{}", "field /addresses/1/zip ", "must be string",
                 "is object"},
        mismatch{"/addresses/1/number", "\"s3cr3t\"", "field /addresses/1/number ",
                 "must be number", "is string"},
        mismatch{"/scores/y", "\"s3cr3t\"", "field /scores/y ", "must be number", "is string"},
        mismatch{"/scores", "[1]", "field /scores ", "must be object", "is array"},
        mismatch{"/id", "", "the document itself", "no member", "\"id\""},
        mismatch{"/addresses/0/zip", "", "field /addresses/0 ", "no member", "\"zip\""},
        mismatch{"/addresses/1/number", "", "field /addresses/1 ", "no member", "\"number\""}));

TEST(WrongType, OfTheDocumentItself) {
  expect_error(json_as<person>(json::array()).error(), errc::json_wrong_type,
               condition::bad_response, {"the document itself", "must be object", "is array"});
  expect_error(json_as<int>(json("s3cr3t")).error(), errc::json_wrong_type, condition::bad_response,
               {"the document itself", "must be number", "is string"});
  expect_error(json_as<lenient>(json("s3cr3t")).error(), errc::json_wrong_type,
               condition::bad_response, {"the document itself", "is string"});
}

TEST(WrongType, NamesTheFirstOfTwo) {
  json document = json::parse(good);
  document["id"] = "s3cr3t";
  document["addresses"][0]["number"] = "s3cr3t";
  EXPECT_NE(json_as<person>(document).error().message().find("field /id "), std::string::npos);
}

TEST(WrongType, NamesArraysThatAreTooShort) {
  expect_error(json_as<std::vector<std::pair<int, int>>>(json::parse("[[1,2],[3]]")).error(),
               errc::json_wrong_type, condition::bad_response,
               {"field /1 ", "at least 2 elements"});
}

TEST(WrongType, EscapesThePointer) {
  expect_error(json_as<std::map<std::string, int>>(json::parse(R"({"a/b~c":"x"})")).error(),
               errc::json_wrong_type, condition::bad_response, {"field /a~1b~0c "});
  const json odd{{"\n" + std::string(500, 'k'), "x"}};
  EXPECT_LT((json_as<std::map<std::string, int>>(odd).error().message().size()), 200U);
  EXPECT_EQ((json_as<std::map<std::string, int>>(odd).error().message().find('\n')),
            std::string::npos);
}

// Keys come from the server: a map's are as good as values.
TEST(WrongType, MasksSecretsInKeys) {
  const auto told = [](const json& document) {
    const auto converted = json_as<std::map<std::string, std::map<std::string, int>>>(document);
    return converted ? "converted" : converted.error().message();
  };
  const std::string far(60, 'k');
  for (const std::string secret :
       {"sk_live_abcdefghijklmnop", "bob@mail.example", "4111 1111 1111 1111",
        "https://u:s3cr3t@h.test/", "password=s3cr3t", "Bearer s3cr3tABC123",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"}) {
    for (const json& document : {json{{secret, "x"}}, json{{secret, {{"a", "x"}}}},
                                 json{{"a", {{secret, "x"}}}}, json{{secret, {{secret, "x"}}}}}) {
      const std::string text = told(document);
      EXPECT_NE(text.find("[masked]"), std::string::npos) << text;
      EXPECT_EQ(text.find("=s3cr3t"), std::string::npos) << text;
      for (const std::string& part : {secret.substr(0, 12), secret.substr(secret.size() - 8)})
        EXPECT_EQ(text.find(part), std::string::npos) << text;
    }
  }
  // Masked before it is cut: half a secret has no shape to be found by.
  for (std::size_t before = 20; before < 40; ++before) {
    const std::string text = told(json{{far.substr(0, before) + " sk_live_abcdefghijklmnop", "x"}});
    EXPECT_EQ(text.find("sk_"), std::string::npos) << text;
  }
}

struct far_away {};
void from_json(const json& j, far_away&) {
  static_cast<void>(j.at(std::numeric_limits<std::size_t>::max()));
}
struct by_own_key {};
void from_json(const json& j, by_own_key&) {
  static_cast<void>(j.at(j.at("key").get<std::string>()));
}
struct chatty {};
void from_json(const json& j, chatty&) {
  throw json::type_error::create(302, "type must be s3cr3t, but is s3cr3t", &j);
}

// What reads its elements without a look at their number.
struct placed {
  int x = 0, y = 0;
  std::string name;
};
void from_json(const json& j, placed& p) {
  const json& at = j.at("at");
  ASSERT_EQ(at.size(), 2U) << "shortened to find a mismatch elsewhere";
  p.x = at[0].get<int>();
  p.y = at[1].get<int>();
  p.name = j.at("name").get<std::string>();
}

TEST(WrongType, KeepsWhatMayBeATupleWhole) {
  const std::string text = json_as<placed>(json{{"at", {1, 2}}, {"name", 5}}).error().message();
  EXPECT_NE(text.find("/name"), std::string::npos) << text;
}

TEST(WrongType, ShowsNothingOfTheDocumentThatAConversionAskedFor) {
  const std::string key =
      json_as<by_own_key>(json{{"key", "sk_live_abcdefghijklmnop"}}).error().message();
  EXPECT_EQ(key.find("abcdef"), std::string::npos) << key;
  const std::string odd =
      json_as<by_own_key>(json{{"key", "\n\x1b" + std::string(500, 'k')}}).error().message();
  EXPECT_LT(odd.size(), 200U);
  EXPECT_EQ(odd.find_first_of("\n\x1b"), std::string::npos) << odd;
  const std::string own = json_as<chatty>(json::object()).error().message();
  EXPECT_EQ(own.find("s3cr3t"), std::string::npos) << own;
}

TEST(WrongType, NeverQuotesWhatAConversionThrew) {
  expect_error(json_as<picky>(json("s3cr3t")).error(), errc::json_wrong_type,
               condition::bad_response, {"from_json threw"});
}

using json_shapes::address;
using json_shapes::town;

json addresses(std::size_t count) {
  return json(count, json{{"zip", "1"}, {"number", 1}, {"note", {1, "2", nullptr}}});
}

/// What is said of `document` as a T.
template <class T>
std::string told(const json& document) {
  const auto converted = json_as<T>(document);
  return converted ? "converted" : converted.error().message();
}

template <class T>
void expect_told(const json& document, std::string_view text) {
  const std::string said = told<T>(document);
  EXPECT_NE(said.find(text), std::string::npos) << text << "\n" << said;
}

TEST(WrongType, NamesTheElementOfALongList) {
  for (const std::size_t count : {2u, 300u, 5000u}) {
    json list = addresses(count);
    for (const std::size_t at : {count - 1, std::size_t{0}, count / 2, count / 3}) {
      const std::string where = "field /" + std::to_string(at);
      const json good_one = list[at];
      const auto put = [&](const char* member, json value) {
        list[at] = good_one;
        list[at][member] = std::move(value);
      };
      put("zip", 7);
      expect_told<std::vector<address>>(list, where + "/zip must be string, is number");
      put("zip", nullptr);
      expect_told<std::vector<address>>(list, where + "/zip must be string, is null");
      put("zip", json::array());
      expect_told<std::vector<address>>(list, where + "/zip must be string, is array");
      put("number", "s3cr3t");
      expect_told<std::vector<address>>(list, where + "/number must be number, is string");
      list[at].erase("number");
      expect_told<std::vector<address>>(list, where + " has no member \"number\"");
      for (const json& other : {json(), json(7), json("s3cr3t"), json::array()}) {
        list[at] = other;
        expect_told<std::vector<address>>(list, where + " must be object, is ");
      }
      list[at] = good_one;
    }
  }
}

TEST(WrongType, NamesTheElementOfAVeryLongList) {
  json list(100'000, json{{"zip", "1"}, {"number", 1}});
  for (const std::size_t at : {99'999u, 50'000u}) {
    const std::string where = "field /" + std::to_string(at);
    const json good_one = std::exchange(list[at], json{{"zip", 7}, {"number", 1}});
    expect_told<std::vector<address>>(list, where + "/zip must be string, is number");
    list[at] = 7;
    expect_told<std::vector<address>>(list, where + " must be object, is number");
    list[at] = good_one;
  }
}

TEST(WrongType, NamesTheFirstOfManyInALongList) {
  json list = addresses(5000);
  for (std::size_t i = 1234; i < list.size(); i += 7) list[i]["zip"] = i;
  expect_told<std::vector<address>>(list, "field /1234/zip ");
  for (json& each : list) each["zip"] = 7;
  expect_told<std::vector<address>>(list, "field /0/zip ");
}

TEST(WrongType, NoArrayIsMadeLongEnoughForAnyIndex) {
  expect_told<far_away>(json::array({1}), "an array has no element 18446744073709551615");
}

TEST(WrongType, NamesTheElementOfALongListOfScalarsOrPairs) {
  json list = json(5000, "s");
  list[4999] = 7;
  expect_told<std::vector<std::string>>(list, "field /4999 must be string, is number");
  list = json(5000, json{1, 2});
  list[3000] = {1};
  expect_told<std::vector<std::pair<int, int>>>(list, "field /3000 must have at least 2 elements");
  list[3000] = {1, "s3cr3t"};
  expect_told<std::vector<std::pair<int, int>>>(list, "field /3000/1 must be number, is string");
}

TEST(WrongType, NamesTheElementOfAListInAList) {
  json lists(300, addresses(60));
  lists[299][30]["zip"] = 7;
  expect_told<std::vector<std::vector<address>>>(lists, "field /299/30/zip ");
  lists[17][59] = "s3cr3t";
  expect_told<std::vector<std::vector<address>>>(lists, "field /17/59 must be object");
  const json wrapped{{"data", {{"lists", lists}}}};
  expect_told<std::map<std::string, std::map<std::string, std::vector<std::vector<address>>>>>(
      wrapped, "field /data/lists/17/59 must be object");
}

TEST(WrongType, NamesTheElementOfOneOfTwoLongLists) {
  const json start{{"homes", addresses(5000)}, {"name", "n"}, {"shops", addresses(4000)}};
  const auto with = [&](std::initializer_list<const char*> pointers) {
    json document = start;
    for (const char* pointer : pointers) document[json::json_pointer(pointer)] = 7;
    return document;
  };
  expect_told<town>(with({"/homes/4999/zip"}), "field /homes/4999/zip ");
  expect_told<town>(with({"/shops/3999/zip"}), "field /shops/3999/zip ");
  expect_told<town>(with({"/homes/10"}), "field /homes/10 must be object");
  // What is read first is told, and the same fault elsewhere does not lead astray.
  expect_told<town>(with({"/homes/10/zip", "/shops/3999/zip"}), "field /shops/3999/zip ");
  expect_told<town>(with({"/homes/4999/zip", "/shops/10/zip"}), "field /shops/10/zip ");
  expect_told<town>(with({"/name", "/homes/4999/zip"}), "field /name ");
}

TEST(WrongType, NamesTheMemberOfALargeObject) {
  json object;
  for (int i = 1000; i < 3000; ++i) object["k" + std::to_string(i)] = addresses(1)[0];
  for (const char* key : {"k1000", "k2000", "k2999"}) {
    json document = object;
    document[key]["zip"] = 7;
    const std::string where = std::string("field /") + key;
    expect_told<std::map<std::string, address>>(document, where + "/zip must be string");
    document[key] = 7;
    expect_told<std::map<std::string, address>>(document, where + " must be object");
  }
  // A type that reads only some.
  object.update({{"name", "n"}, {"shops", addresses(300)}, {"homes", addresses(300)}});
  object["homes"][299]["zip"] = 7;
  expect_told<town>(object, "field /homes/299/zip must be string");
  object["name"] = 7;
  expect_told<town>(object, "field /name must be string");
  object.erase("name");
  expect_told<town>(object, "the document itself has no member \"name\"");
}

/// Reads the first element unlike the others, and the last before them.
struct table {
  std::vector<int> rows;
};
void from_json(const json& from, table& to) {
  static_cast<void>(from.at(0).get<std::string>());
  static_cast<void>(from.back().get<bool>());
  for (std::size_t i = 1; i + 1 < from.size(); ++i) to.rows.push_back(from[i].get<int>());
}

TEST(WrongType, NamesTheElementAlsoWhereOrderOrPlaceMatters) {
  json list = json(102, 1);
  list[0] = "title";
  list[101] = true;
  list[70] = "s3cr3t";
  expect_told<table>(list, "field /70 must be number, is string");
  list[0] = 1;
  expect_told<table>(list, "field /0 must be string, is number");
}

TEST(WrongType, SurvivesADeepValue) {
  const std::string text = std::string(100'000, '[') + std::string(100'000, ']');
  expect_told<int>(json::parse(text), "a field must be number, is array");
}

}  // namespace
}  // namespace hawser::test::json_test
