#include "hawser/http/idempotency.hpp"

#include "hawser/observe/redactor.hpp"
#include "http/expect_error.hpp"

#include <nlohmann/json.hpp>

#include <fstream>
#include <iterator>
#include <regex>
#include <set>

namespace hawser::test::idempotency_test {
namespace {

using http::apply_idempotency_key;
using http::headers;
using profile = http::idempotency_profile;

class fixed_entropy final : public entropy {
 public:
  explicit fixed_entropy(std::uint64_t word) : word_(word) {}
  std::uint64_t next() noexcept override { return word_; }

 private:
  std::uint64_t word_;
};

TEST(MintedKey, IsAVersionFourUuid) {
  fixed_entropy zeros(0);
  EXPECT_EQ(http::mint_idempotency_key(zeros), "00000000-0000-4000-8000-000000000000");
  fixed_entropy ones(~std::uint64_t{0});
  EXPECT_EQ(http::mint_idempotency_key(ones), "ffffffff-ffff-4fff-bfff-ffffffffffff");
  fixed_entropy mixed(0x0123456789abcdefU);
  EXPECT_EQ(http::mint_idempotency_key(mixed), "01234567-89ab-4def-8123-456789abcdef");
}

TEST(MintedKey, IsFreshEachTime) {
  system_entropy random;
  const std::regex form("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}");
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const std::string key = http::mint_idempotency_key(random);
    EXPECT_TRUE(std::regex_match(key, form)) << key;
    EXPECT_TRUE(seen.insert(key).second);
    for (const profile& p : {profile::ietf(), profile::stripe(), profile::paypal(),
                             profile::adyen(), profile::square()})
      EXPECT_TRUE(http::check_idempotency_key(p, key));
  }
}

std::string header_of(const profile& p, std::string_view key) {
  headers h;
  std::string body;
  const auto applied = apply_idempotency_key(p, key, h, body);
  EXPECT_TRUE(applied) << applied.error().message();
  return std::string(h.find(p.header).value_or("none"));
}

// Keys are not logged: a vendor's names for them must be known to the redactor.
TEST(Profile, NamesThatAreMasked) {
  const std::vector<profile> all{profile::ietf(), profile::stripe(), profile::paypal(),
                                 profile::adyen(), profile::square()};
  std::ifstream header(HAWSER_TEST_IDEMPOTENCY_HEADER);
  const std::string text{std::istreambuf_iterator<char>(header), {}};
  const std::regex made("static idempotency_profile \\w+\\(");
  ASSERT_EQ(std::distance(std::sregex_iterator(text.begin(), text.end(), made), {}),
            static_cast<std::ptrdiff_t>(all.size()))
      << "a profile of the header is missing in this test";

  const redactor masks;
  const auto expect_masked = [](std::string_view name, const std::string& out) {
    EXPECT_EQ(out.find("s3cr3t"), std::string::npos) << name << ": " << out;
    EXPECT_NE(out.find("[masked]"), std::string::npos) << name << ": " << out;
  };
  for (const profile& p : all) {
    headers h;
    std::string body = "{}";
    ASSERT_TRUE(apply_idempotency_key(p, "s3cr3t-key", h, body)) << p.name;
    for (const headers::field f : h) {
      EXPECT_TRUE(masks.is_secret_header(f.name)) << p.name;
      const std::string named(f.name);
      const std::string value(f.value);
      expect_masked(p.name, masks.header(named, value));
      expect_masked(p.name, masks.text(named + ": " + value));
      expect_masked(p.name, masks.json(nlohmann::json{{named, value}}.dump()));
      expect_masked(p.name, masks.json(nlohmann::json{{"value", value}, {"name", named}}.dump()));
    }
    if (!p.body_field) continue;
    const std::string field = p.body_field->substr(p.body_field->rfind('/') + 1);
    expect_masked(p.name, masks.json(body));
    expect_masked(p.name, masks.text(body));
    expect_masked(p.name, masks.form(field + "=s3cr3t-key"));
    expect_masked(p.name, masks.url("/?" + field + "=s3cr3t-key"));
  }
}

TEST(Profile, IetfQuotesTheKey) {
  EXPECT_EQ(header_of(profile::ietf(), "k-1"), "\"k-1\"");
  EXPECT_EQ(header_of(profile::ietf(), "a b"), "\"a b\"");
  EXPECT_EQ(header_of(profile::ietf(), "a\"b\\c"), "\"a\\\"b\\\\c\"");  // RFC 9651 section 4.1.6
}

TEST(Profile, VendorsTakeItRaw) {
  EXPECT_EQ(header_of(profile::stripe(), "k-1"), "k-1");
  EXPECT_EQ(header_of(profile::adyen(), "k-1"), "k-1");
  EXPECT_EQ(profile::paypal().header, "PayPal-Request-Id");
  EXPECT_EQ(header_of(profile::paypal(), "k-1"), "k-1");
}

TEST(Profile, AllAreValid) {
  for (const profile& p :
       {profile::ietf(), profile::stripe(), profile::paypal(), profile::adyen(), profile::square()})
    EXPECT_NO_THROW(validate(p)) << p.name;
}

TEST(Profile, RefusesBadKeys) {
  const auto refused = [](const profile& p, std::string_view key) {
    headers h;
    std::string body = "{}";
    const auto applied = apply_idempotency_key(p, key, h, body);
    EXPECT_TRUE(applied.has_error());
    EXPECT_TRUE(h.empty());
    EXPECT_EQ(body, "{}");
    return applied.has_error() ? applied.error() : error();
  };
  const auto expect = [](const error& e, std::initializer_list<std::string_view> words) {
    expect_error(e, errc::invalid_idempotency_key, condition::invalid_input, words);
  };
  for (const profile& p : {profile::ietf(), profile::stripe(), profile::square()}) {
    expect(refused(p, ""), {p.name, "empty", "mint one"});
    expect(refused(p, "s3cr3t\r\nX: y"), {p.name, "0x0D at offset 6", "printable ASCII"});
    expect(refused(p, std::string_view("s3cr3t\0", 7)), {"0x00 at offset 6", "printable ASCII"});
    expect(refused(p, "s3cr3t\x7f"), {"0x7F at offset 6", "printable ASCII"});
    expect(refused(p, "s3cr3t\xC3\xA4"), {"0xC3 at offset 6", "printable ASCII"});
  }
  expect(refused(profile::stripe(), "s3cr3t key"), {"0x20 at offset 6", "without blanks"});
}

TEST(Profile, LengthCountsAtBothEdges) {
  const auto fits = [](const profile& p, std::size_t n) {
    return http::check_idempotency_key(p, std::string(n, 'k')).has_value();
  };
  EXPECT_TRUE(fits(profile::stripe(), 255));
  EXPECT_FALSE(fits(profile::stripe(), 256));
  EXPECT_TRUE(fits(profile::adyen(), 64));
  EXPECT_FALSE(fits(profile::adyen(), 65));
  EXPECT_TRUE(fits(profile::square(), 45));
  EXPECT_FALSE(fits(profile::square(), 46));
  expect_error(http::check_idempotency_key(profile::adyen(), std::string(65, 'k')).error(),
               errc::invalid_idempotency_key, condition::invalid_input,
               {"adyen", "65 bytes", "64", "shorten"});
}

TEST(Profile, ApplyingTwiceIsTheSameAsOnce) {
  headers h;
  std::string body = R"({"a":1})";
  for (const profile& p : {profile::ietf(), profile::square()}) {
    ASSERT_TRUE(apply_idempotency_key(p, "k-1", h, body));
    ASSERT_TRUE(apply_idempotency_key(p, "k-1", h, body));
  }
  EXPECT_EQ(h.size(), 1U);
  EXPECT_EQ(body, R"({"idempotency_key":"k-1","a":1})");
}

TEST(Profile, RefusesAnotherKeyThatIsThereAlready) {
  headers h;
  h.add("idempotency-key", "s3cr3t");
  std::string body = R"({"idempotency_key":"s3cr3t"})";
  expect_error(apply_idempotency_key(profile::stripe(), "k-1", h, body).error(),
               errc::invalid_idempotency_key, condition::invalid_input,
               {"\"Idempotency-Key\"", "another key", "one of them"});
  expect_error(apply_idempotency_key(profile::square(), "k-1", h, body).error(),
               errc::invalid_idempotency_key, condition::invalid_input,
               {"body", "another key", "one of them"});
  body = R"({"idempotency_key":7})";
  EXPECT_FALSE(apply_idempotency_key(profile::square(), "7", h, body));
}

// The trap: reading the body and printing it again would turn 1.10 into 1.1 and long numbers into
// rounded ones.
TEST(BodyField, LeavesEveryOtherByteAlone) {
  headers h;
  std::string body = " {\n \"z\" : 1.10, \"a\":12345678901234567890123, \"e\":\"\\u00e4\"} ";
  ASSERT_TRUE(apply_idempotency_key(profile::square(), "k\"1", h, body));
  EXPECT_EQ(body,
            " {\"idempotency_key\":\"k\\\"1\",\n \"z\" : 1.10, "
            "\"a\":12345678901234567890123, \"e\":\"\\u00e4\"} ");
  EXPECT_TRUE(h.empty());
  std::string empty = "{ }";
  ASSERT_TRUE(apply_idempotency_key(profile::square(), "k", h, empty));
  EXPECT_EQ(empty, R"({"idempotency_key":"k" })");
}

TEST(BodyField, GoesIntoABodyAsDeepAsAnyThatIsSent) {
  headers h;
  const std::string nested = std::string(999, '[') + std::string(999, ']');
  std::string body = "{\"a\":" + nested + '}';
  ASSERT_TRUE(apply_idempotency_key(profile::square(), "k-1", h, body));
  EXPECT_EQ(body, R"({"idempotency_key":"k-1","a":)" + nested + '}');
  EXPECT_EQ(http::idempotency_key_in(profile::square(), body), "k-1");
  body = "{\"a\":[" + nested + "]}";
  EXPECT_EQ(apply_idempotency_key(profile::square(), "k-1", h, body).error(), errc::invalid_body);
}

TEST(BodyField, FindsNestedObjects) {
  profile p = profile::square();
  p.body_field = "/meta/a~1b/key";
  headers h;
  std::string body = R"({"x":{"meta":{"a/b":{}}},"s":"\"meta\":{","l":[{"meta":1},"}"],"n":null,)"
                     R"("meta":{"q":[1,2],"a\/b":{"r":1}}})";
  ASSERT_TRUE(apply_idempotency_key(p, "k", h, body));
  EXPECT_EQ(body, R"({"x":{"meta":{"a/b":{}}},"s":"\"meta\":{","l":[{"meta":1},"}"],"n":null,)"
                  R"("meta":{"q":[1,2],"a\/b":{"key":"k","r":1}}})");
  EXPECT_EQ(nlohmann::json::parse(body)["meta"]["a/b"]["key"], "k");
}

TEST(BodyField, RefusesBodiesThatHaveNoPlaceForIt) {
  headers h;
  for (const char* text : {"", "s3cr3t", "[\"s3cr3t\"]", "\"s3cr3t\"", "{} {}", "null"}) {
    std::string body = text;
    expect_error(apply_idempotency_key(profile::square(), "k", h, body).error(), errc::invalid_body,
                 condition::invalid_input, {"square", "/idempotency_key"});
    EXPECT_EQ(body, text);
  }
  profile nested = profile::square();
  nested.body_field = "/meta/key";
  for (const char* text : {"{}", R"({"meta":1})", R"({"meta":[]})"}) {
    std::string body = text;
    expect_error(apply_idempotency_key(nested, "k", h, body).error(), errc::invalid_body,
                 condition::invalid_input, {"/meta/key", "no object", "send one"});
  }
}

TEST(Profile, OptionsAreChecked) {
  const auto refused = [](auto change) {
    profile p;
    change(p);
    try {
      validate(p);
    } catch (const config_error& e) {
      return e.field();
    }
    return std::string();
  };
  const std::string prefix = "idempotency_profile.";
  EXPECT_EQ(refused([](profile& p) { p.header = ""; }), prefix + "header");
  EXPECT_EQ(refused([](profile& p) { p.header = "a b"; }), prefix + "header");
  EXPECT_EQ(refused([](profile& p) { p.header = "Host"; }), prefix + "header");
  EXPECT_EQ(refused([](profile& p) { p.body_field = ""; }), prefix + "body_field");
  EXPECT_EQ(refused([](profile& p) { p.body_field = "key"; }), prefix + "body_field");
  EXPECT_EQ(refused([](profile& p) { p.body_field = "/a~2"; }), prefix + "body_field");
  EXPECT_EQ(refused([](profile& p) { p.name = ""; }), prefix + "name");
  EXPECT_EQ(refused([](profile& p) { p.max_length = 0; }), prefix + "max_length");
  // The shortest that takes the keys of the library's own.
  fixed_entropy random(7);
  const std::size_t minted = http::mint_idempotency_key(random).size();
  EXPECT_EQ(refused([&](profile& p) { p.max_length = minted - 1; }), prefix + "max_length");
  EXPECT_EQ(refused([&](profile& p) { p.max_length = minted; }), "");
  EXPECT_EQ(refused([](profile& p) { p.retention = duration(0); }), prefix + "retention");
  EXPECT_EQ(refused([](profile& p) { p.in_flight_status = 399; }), prefix + "in_flight_status");
  EXPECT_EQ(refused([](profile& p) { p.in_flight_status = 600; }), prefix + "in_flight_status");
  EXPECT_EQ(refused([](profile& p) { p.in_flight_status = std::nullopt; }), "");
  for (const int status : {399, 409, 500})
    EXPECT_EQ(refused([&](profile& p) {
                p.settling_statuses = {402, status};
              }),
              prefix + "settling_statuses");
  EXPECT_EQ(refused([](profile& p) { p.settling_statuses = {402, 422}; }), "");
}

TEST(Fingerprint, IsTheStartOfTheSha256) {
  EXPECT_EQ(http::fingerprint("abc"), "ba7816bf8f01");  // FIPS 180-2, appendix B.1
  EXPECT_EQ(http::fingerprint(""), "e3b0c44298fc");
  EXPECT_NE(http::fingerprint("k-1"), http::fingerprint("k-2"));
}

}  // namespace
}  // namespace hawser::test::idempotency_test
