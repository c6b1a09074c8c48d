#include "hawser/http/headers.hpp"

#include "hawser/http/limits.hpp"
#include "hawser/http/method.hpp"
#include "http/expect_error.hpp"

#include <random>
#include <utility>
#include <vector>

namespace hawser::test::headers_test {
namespace {

using http::headers;
using http::method;

TEST(Headers, FindIgnoresCaseAndTakesTheFirst) {
  headers h;
  h.add("Content-Type", "a");
  h.add("X-A", "1");
  h.add("x-a", "2");
  EXPECT_EQ(h.find("CONTENT-type"), "a");
  EXPECT_EQ(h.find("X-a"), "1");
  EXPECT_EQ(h.all("x-A"), (std::vector<std::string_view>{"1", "2"}));
  EXPECT_FALSE(h.find("X-"));
  EXPECT_FALSE(h.find(""));
  EXPECT_TRUE(h.contains("x-a"));
  EXPECT_EQ(h.size(), 3U);
  EXPECT_EQ(h.bytes(), 12U + 1 + 3 + 1 + 3 + 1);
}

TEST(Headers, OnlyLettersHaveTwoCases) {
  EXPECT_TRUE(http::same_name("a-Z", "A-z"));
  EXPECT_FALSE(http::same_name("@", "`"));  // 0x40 and 0x60
  EXPECT_FALSE(http::same_name("[", "{"));
  EXPECT_FALSE(http::same_name("\x0D", "-"));
}

TEST(Headers, IteratesInOrder) {
  headers h;
  h.add("a", "1");
  h.add("b", "");
  std::string seen;
  for (const headers::field f : h) seen.append(f.name).append("=").append(f.value).append(";");
  EXPECT_EQ(seen, "a=1;b=;");
}

TEST(Headers, SetReplacesAllOfThatName) {
  headers h;
  h.add("a", "1");
  h.add("b", "2");
  h.add("A", "3");
  h.set("a", "4");
  EXPECT_EQ(h.size(), 2U);
  EXPECT_EQ(h.find("a"), "4");
  EXPECT_EQ(h.find("b"), "2");
  EXPECT_EQ(h.bytes(), 4U);
}

TEST(Headers, ClearKeepsTheMemory) {
  headers h;
  h.add("name", "value");
  const char* const before = h[0].name.data();
  h.clear();
  EXPECT_TRUE(h.empty());
  EXPECT_EQ(h.bytes(), 0U);
  h.add("other", "text");
  EXPECT_EQ(h[0].name.data(), before);
}

TEST(Headers, BehavesAsAPlainListDoes) {
  std::mt19937 random(7);
  headers h;
  std::vector<std::pair<std::string, std::string>> model;
  for (int step = 0; step < 5000; ++step) {
    const std::string name(1 + random() % 3, static_cast<char>('a' + random() % 3));
    const std::string value(random() % 5, static_cast<char>('0' + random() % 10));
    const auto same = [&](const auto& f) { return f.first == name; };
    switch (random() % 8) {
      case 0:
        h.clear();
        model.clear();
        break;
      case 1:
      case 2: {
        const auto count = std::erase_if(model, same);
        EXPECT_EQ(h.remove(name), count);
        break;
      }
      case 3:
        h.set(name, value);
        std::erase_if(model, same);
        model.emplace_back(name, value);
        break;
      default: h.add(name, value); model.emplace_back(name, value);
    }
    ASSERT_EQ(h.size(), model.size());
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < model.size(); ++i) {
      ASSERT_EQ(h[i].name, model[i].first);
      ASSERT_EQ(h[i].value, model[i].second);
      bytes += model[i].first.size() + model[i].second.size();
    }
    ASSERT_EQ(h.bytes(), bytes);
  }
}

TEST(Headers, RefusesBadNames) {
  headers h;
  for (const std::string_view name :
       {std::string_view("X\r\nInjected: s3cr3t"), std::string_view("X\n"),
        std::string_view("a\0b", 3), std::string_view("a b"), std::string_view("a:"),
        std::string_view("\xC3\xA4"), std::string_view("a\"")}) {
    expect_error(h.try_add(name, "v").error(), errc::invalid_header, condition::invalid_input,
                 {"header name has byte 0x", "at offset", "names are"});
  }
  expect_error(h.try_add("", "v").error(), errc::invalid_header, condition::invalid_input,
               {"name is empty", "give"});
  EXPECT_TRUE(h.empty());
}

TEST(Headers, RefusesBadValuesNamingTheHeaderNeverTheValue) {
  headers h;
  for (int c = 0; c < 256; ++c) {
    // At each place of an eight-byte stride, and in the tail after it.
    for (const std::size_t place : {0U, 3U, 7U, 8U, 12U, 17U, 18U}) {
      std::string value = "s3cr3t-s3cr3t-12345";
      value[place] = static_cast<char>(c);
      const bool bad = (c < 0x20 && c != '\t') || c == 0x7F;
      const bool edge = (c == ' ' || c == '\t') && (place == 0 || place == 18);
      const auto added = h.try_add("X-Token", value);
      EXPECT_EQ(added.has_error(), bad || edge) << c << " at " << place;
      if (bad)
        expect_error(added.error(), errc::invalid_header, condition::invalid_input,
                     {"\"X-Token\"", "0x", "offset " + std::to_string(place), "remove"});
    }
  }
  expect_error(h.try_add("X-Token", "s3cr3t\r\nEvil: 1").error(), errc::invalid_header,
               condition::invalid_input, {"\"X-Token\"", "0x0D at offset 6", "remove"});
  expect_error(h.try_add("X-Token", "s3cr3t ").error(), errc::invalid_header,
               condition::invalid_input, {"\"X-Token\"", "trim"});
  EXPECT_TRUE(h.try_add("X-Empty", ""));
}

TEST(Headers, RefusesWhatTheClientWritesItself) {
  for (const char* name : {"Host", "content-length", "Transfer-Encoding", "CONNECTION",
                           "Keep-Alive", "Proxy-Connection", "te", "Trailer", "Upgrade"})
    expect_error(http::check_request_field(name, "s3cr3t").error(), errc::invalid_header,
                 condition::invalid_input, {"by the client itself", "leave it out"});
  EXPECT_TRUE(http::check_request_field("Authorization", "Bearer s3cr3t"));
}

TEST(Method, KnowsMeaningAndForm) {
  EXPECT_EQ(method("GET"), method::get);
  EXPECT_EQ(method("DELETE"), method::delete_);
  EXPECT_EQ(method("QUERY"), method::query);
  EXPECT_EQ(to_string(method::patch), "PATCH");
  EXPECT_FALSE(method("get") == method::get);  // methods are case-sensitive
  EXPECT_EQ(method("PURGE").text(), "PURGE");
  EXPECT_TRUE(method("PURGE").valid());
  for (const char* bad : {"", "GE T", "GET\r\n", "G\xC3", "CONNECT"})
    EXPECT_FALSE(method(bad).valid()) << bad;
  for (const method::known m :
       {method::get, method::head, method::options, method::trace, method::query})
    EXPECT_TRUE(effect_of(m) == effect::safe) << to_string(m);
  EXPECT_TRUE(effect_of(method::put) == effect::idempotent);
  EXPECT_TRUE(effect_of(method::delete_) == effect::idempotent);
  EXPECT_TRUE(effect_of(method::post) == effect::unsafe);
  EXPECT_TRUE(effect_of(method::patch) == effect::unsafe);
  EXPECT_TRUE(effect_of(method("PURGE")) == effect::unsafe);
}

template <class Options>
std::string refused_field(const Options& options) {
  try {
    validate(options);
  } catch (const config_error& e) {
    EXPECT_NE(std::string(e.what()).find("must be"), std::string::npos);
    return e.field();
  }
  return "";
}

TEST(Limits, AreCheckedAtBothEdges) {
  EXPECT_EQ(refused_field(http::limits{}), "");
  EXPECT_EQ(refused_field(http::limits{.header_bytes = 63}), "limits.header_bytes");
  EXPECT_EQ(refused_field(http::limits{.header_bytes = 64}), "");
  EXPECT_EQ(refused_field(http::limits{.header_count = 0}), "limits.header_count");
  EXPECT_EQ(refused_field(http::limits{.header_count = 1}), "");
  EXPECT_EQ(refused_field(http::limits{.json_depth = 0}), "limits.json_depth");
  EXPECT_EQ(refused_field(http::limits{.json_depth = 1000}), "");
  EXPECT_EQ(refused_field(http::limits{.json_depth = 1001}), "limits.json_depth");
  const auto zero = duration::zero();
  EXPECT_EQ(refused_field(http::time_limits{}), "");
  EXPECT_EQ(refused_field(http::time_limits{.pool_wait = zero}), "time_limits.pool_wait");
  EXPECT_EQ(refused_field(http::time_limits{.resolve = zero}), "time_limits.resolve");
  EXPECT_EQ(refused_field(http::time_limits{.connect = zero}), "time_limits.connect");
  EXPECT_EQ(refused_field(http::time_limits{.tls = zero}), "time_limits.tls");
  EXPECT_EQ(refused_field(http::time_limits{.first_byte = zero}), "time_limits.first_byte");
  EXPECT_EQ(refused_field(http::time_limits{.between_bytes = zero}), "time_limits.between_bytes");
  EXPECT_EQ(refused_field(http::time_limits{.between_bytes = std::nullopt}), "");
  EXPECT_EQ(refused_field(http::time_limits{.between_bytes = duration(1)}), "");
}

}  // namespace
}  // namespace hawser::test::headers_test
