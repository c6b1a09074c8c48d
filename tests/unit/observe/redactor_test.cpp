#include "hawser/observe/redactor.hpp"

#include "hawser/core/error.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <vector>

namespace redactor_test {
namespace {

using hawser::config_error;
using hawser::make_redactor;
using hawser::mask_style;
using hawser::redaction;
using hawser::redactor;
using hawser::secret;

static_assert(noexcept(std::declval<const redactor&>().text("")));
static_assert(noexcept(std::declval<const redactor&>().json("")));
static_assert(std::is_nothrow_copy_constructible_v<redactor>);

constexpr std::string_view planted = "s3cr3t";

redaction hashing(std::string_view key = "0123456789abcdef") {
  redaction options;
  options.hash_key_id = "k1";
  options.hash_key = secret{key};
  return options;
}

// Headers

TEST(redactor_header, secret_headers_are_masked_whatever_their_case) {
  const redactor masks;
  for (const std::string_view name : {"authorization",
                                      "Authorization",
                                      "AUTHORIZATION",
                                      "Proxy-Authorization",
                                      "Cookie",
                                      "Set-Cookie",
                                      "X-Api-Key",
                                      "x_api_key",
                                      "api-key",
                                      "Idempotency-Key",
                                      "PayPal-Request-Id",
                                      "X-Auth-Token",
                                      "x-csrf-token",
                                      "X-Amz-Security-Token",
                                      "X-Vault-Token",
                                      "Private-Token",
                                      "X-Hub-Signature-256",
                                      "Stripe-Signature",
                                      "DPoP",
                                      "Ocp-Apim-Subscription-Key",
                                      "X-Forwarded-Client-Cert"}) {
    EXPECT_EQ(masks.header(name, "abc def"), "[masked]") << name;
    EXPECT_TRUE(masks.is_secret_header(name)) << name;
  }
}

TEST(redactor_header, other_headers_are_kept) {
  const redactor masks;
  for (const std::string_view name :
       {"Accept", "Content-Type", "User-Agent", "Retry-After", "ETag", "X-Request-Id",
        "Authorization-Info-Page", "Cookies-Accepted"}) {
    EXPECT_EQ(masks.header(name, "abc def"), "abc def") << name;
    EXPECT_FALSE(masks.is_secret_header(name)) << name;
  }
  EXPECT_EQ(masks.header("", ""), "");
}

TEST(redactor_header, scheme_of_credentials_stays) {
  const redactor masks;
  EXPECT_EQ(masks.header("Authorization", "Bearer xyz"), "Bearer [masked]");
  EXPECT_EQ(masks.header("Authorization", "basic  eHl6"), "basic  [masked]");
  EXPECT_EQ(masks.header("Authorization", "AWS4-HMAC-SHA256 Credential=a, Signature=b"),
            "AWS4-HMAC-SHA256 [masked]");
  EXPECT_EQ(masks.header("Authorization", "hunter2 xyz"), "[masked]") << "no scheme";
  EXPECT_EQ(masks.header("Authorization", "Bearer"), "[masked]");
  EXPECT_EQ(masks.header("Authorization", ""), "");
}

TEST(redactor_header, values_of_other_headers_are_searched) {
  const redactor masks;
  EXPECT_EQ(masks.header("Location", "https://a:b@host/cb?code=xyz"),
            "https://[masked]@host/cb?code=[masked]");
  EXPECT_EQ(masks.header("Location", "//a:b@host/x"), "//[masked]@host/x");
  EXPECT_EQ(masks.header("X-Note", "card 4111 1111 1111 1111"), "card [masked]");
  EXPECT_EQ(masks.header("Referer", "/x?token=abc"), "/x?token=[masked]");
}

// URLs

TEST(redactor_url, user_info_and_parameters_are_masked) {
  const redactor masks;
  const std::vector<std::pair<std::string_view, std::string_view>> rows = {
      {"https://bob:pw@host/x", "https://[masked]@host/x"},
      {"https://bob@host", "https://[masked]@host"},
      {"https://bob:p@ss@host/x", "https://[masked]@host/x"},
      {"https://bob:p/s?s#@host/x", "https://[masked]@host/x"},
      {"//bob:pw@host/x", "//[masked]@host/x"},
      {"bob:pw@host/x", "[masked]@host/x"},
      {"https://bob%3Apw%40host/x", "https://[masked]%40host/x"},
      {"https://h/?token=abc", "https://h/?token=[masked]"},
      {"https://h/?page=2&access_token=abc&x=1", "https://h/?page=2&access_token=[masked]&x=1"},
      {"/rel?api_key=abc#frag", "/rel?api_key=[masked]#frag"},
      {"?KEY=abc;Sig=def", "?KEY=[masked];Sig=[masked]"},
      {"https://h/?%74oken=abc", "https://h/?%74oken=[masked]"},
      {"https://h/?%2574oken=abc", "https://h/?%2574oken=[masked]"},
      {"https://h/?to+ken=abc", "https://h/?to+ken=[masked]"},
      {"https://h/?user%5Bpassword%5D=abc", "https://h/?user%5Bpassword%5D=[masked]"},
      {"https://h/#access_token=abc&state=1", "https://h/#access_token=[masked]&state=1"},
      {"https://h/cb?code=abc&state=xyz", "https://h/cb?code=[masked]&state=xyz"},
      {"https://h/?q=4111%201111%201111%201111", "https://h/?q=[masked]"},
      {"https://h/?q=4111+1111+1111+1111&x=1", "https://h/?q=[masked]&x=1"},
      {"https://h/?next=https%3A%2F%2Fi%2F%3Ftoken%3Dabc&x=1",
       "https://h/?next=https://i/?token=[masked]&x=1"},
      {"https://h/?next=https%253A%252F%252Fi%252F%253Ftoken%253Dabc",
       "https://h/?next=https://i/?token=[masked]"},
      {"https://h/?mail=bob%40example.com", "https://h/?mail=[masked]"},
      {"https://h/x/4111111111111111/y", "https://h/x/[masked]/y"},
      {"https://h/a;jsessionid=abc", "https://h/a;jsessionid=[masked]"},
      {"https://h/?4111111111111111", "https://h/?[masked]"},
      {"https://h/?token=abc&token=def", "https://h/?token=[masked]&token=[masked]"},
      {"https://h/?X-Amz-Signature=a&X-Amz-Credential=b&X-Amz-Date=c",
       "https://h/?X-Amz-Signature=[masked]&X-Amz-Credential=[masked]&X-Amz-Date=c"},
  };
  for (const auto& [in, out] : rows) EXPECT_EQ(masks.url(in), out) << in;
}

TEST(redactor_url, other_urls_are_unchanged) {
  const redactor masks;
  for (const std::string_view url :
       {"", "/", "?", "#", "https://host", "https://host:8443/a/b?x=1&y=%20z+w&&=#top",
        "http://[::1]:80/@x", "https://h/?token=", "https://h/?a=b=c&d", "https://h/%zz?%=%",
        "/v1/users/42"})
    EXPECT_EQ(masks.url(url), url);
}

TEST(redactor_url, dropped_user_info_leaves_a_plain_url) {
  redaction options;
  options.patterns.user_info = mask_style::drop;
  EXPECT_EQ(redactor(options).url("https://bob:pw@host/x"), "https://host/x");
  EXPECT_EQ(redactor(options).text("get https://bob:pw@host/x"), "get https://host/x");
  EXPECT_EQ(redactor(options).text("get //bob:pw@host/x"), "get //host/x");
  EXPECT_EQ(redactor(options).text("//bob:pw@//eve:pw@host/x"), "////eve:pw@host/x");
  EXPECT_EQ(redactor(options).text("////eve:pw@host/x"), "////eve:pw@host/x");
}

TEST(redactor_form, fields_are_masked) {
  const redactor masks;
  EXPECT_EQ(masks.form("grant_type=password&username=bob&password=a%26b"),
            "grant_type=password&username=bob&password=[masked]");
  EXPECT_EQ(masks.body("application/x-www-form-urlencoded", "pass%77ord=x&a=1"),
            "pass%77ord=[masked]&a=1");
  EXPECT_EQ(masks.form("user[password_confirmation]=x&tokens=a&tokens=5&max_tokens=1%2c024"),
            "user[password_confirmation]=[masked]&tokens=[masked]&tokens=5&max_tokens=1%2c024");
  EXPECT_EQ(masks.form("idempotency_key=x&api_keys=5"),
            "idempotency_key=[masked]&api_keys=[masked]");
}

// Configuration

TEST(redactor_options, names_can_be_added_and_removed) {
  redaction options;
  options.headers.add = {{"X-Tenant"}};
  options.headers.remove = {"idempotency-key"};
  options.parameters.add = {{"shop", mask_style::drop}};
  options.parameters.remove = {"code", "*token"};
  options.fields.defaults = false;
  options.fields.add = {{"*color"}};
  const redactor masks(options);
  EXPECT_EQ(masks.header("x-tenant", "acme"), "[masked]");
  EXPECT_EQ(masks.header("Idempotency-Key", "acme"), "acme");
  EXPECT_EQ(masks.url("/?code=1&shop=2&token=3&password=4"),
            "/?code=1&shop=&token=3&password=[masked]");
  EXPECT_EQ(masks.json(R"({"password":"a","hatColor":"b","color":"c","colors":"d"})"),
            R"({"password":"a","hatColor":"[masked]","color":"[masked]","colors":"d"})");
  EXPECT_EQ(masks.text("x-tenant: acme"), "x-tenant: [masked]");
}

TEST(redactor_options, removing_then_adding_keeps_the_name) {
  redaction options;
  options.fields.remove = {"pin"};
  options.fields.add = {{"pin", mask_style::drop}};
  EXPECT_EQ(redactor(options).json(R"({"pin":1})"), R"({"pin":null})");
}

TEST(redactor_options, styles) {
  redaction options = hashing();
  options.mask = "***";
  options.fields.style = mask_style::last_four;
  options.parameters.style = mask_style::keyed_hash;
  options.headers.style = mask_style::drop;
  const redactor masks(options);
  EXPECT_EQ(masks.json(R"({"token":"abcdefgh1234"})"), R"({"token":"[...1234]"})");
  EXPECT_EQ(masks.json(R"({"token":"abcdefg1234"})"), R"({"token":"***"})")
      << "four would tell too much";
  EXPECT_EQ(masks.json(R"({"token":"abcdefgh12\u20ac"})"), R"({"token":"***"})");
  EXPECT_EQ(masks.json(R"({"token":["abcdefgh1234"]})"), R"({"token":"***"})");
  EXPECT_EQ(masks.header("Cookie", "a=b"), "");
  EXPECT_EQ(masks.header("Authorization", "Bearer abc"), "Bearer ");
  const std::string hashed = masks.url("/?token=a%62c");
  EXPECT_EQ(hashed.substr(0, 18), "/?token=[hmac:k1:" + hashed.substr(17, 1));
  EXPECT_EQ(hashed.size(), 8 + 9 + 12 + 1u);
  EXPECT_EQ(masks.url("/?token=abc"), hashed) << "equal secrets, equal marks";
  EXPECT_NE(masks.url("/?token=abd"), hashed);
  redaction other = hashing("another key, 16+");
  other.parameters.style = mask_style::keyed_hash;
  EXPECT_NE(redactor(other).url("/?token=abc"), hashed) << "another key, other marks";
}

TEST(redactor_options, value_masks_by_the_style_asked_for) {
  const redactor masks(hashing());
  EXPECT_EQ(masks.value("abc"), "[masked]");
  EXPECT_EQ(masks.value("4111111111111111", mask_style::keyed_hash), "[hmac:k1:6ab68ca2a9a5]");
  EXPECT_EQ(masks.value("abcdefgh1234", mask_style::last_four), "[...1234]");
  EXPECT_EQ(masks.value("abc", mask_style::drop), "");
  EXPECT_EQ(redactor().value("abc", mask_style::keyed_hash), "[masked]")
      << "no key: the fixed mask";
}

void expect_refused(const std::string& field, const std::function<void(redaction&)>& spoil) {
  redaction options;
  spoil(options);
  try {
    (void)make_redactor(options);
    ADD_FAILURE() << field << " was accepted";
  } catch (const config_error& e) {
    EXPECT_EQ(e.field(), field);
    EXPECT_EQ(std::string_view(e.what()).find("hunter2"), std::string_view::npos)
        << "secrets stay out";
  }
}

TEST(redactor_options, senseless_ones_are_refused_by_name) {
  expect_refused("redaction.mask", [](redaction& o) { o.mask = ""; });
  expect_refused("redaction.mask", [](redaction& o) { o.mask = "a\nb"; });
  expect_refused("redaction.mask", [](redaction& o) { o.mask = "a\"b"; });
  expect_refused("redaction.mask", [](redaction& o) { o.mask = std::string(65, 'x'); });
  expect_refused("redaction.max_depth", [](redaction& o) { o.max_depth = 0; });
  expect_refused("redaction.max_depth", [](redaction& o) { o.max_depth = 513; });
  expect_refused("redaction.literals", [](redaction& o) { o.literals = {secret{"abc"}}; });
  expect_refused("redaction.literals", [](redaction& o) { o.literals = {secret{}}; });
  expect_refused("redaction.literal_style",
                 [](redaction& o) { o.literal_style = mask_style::drop; });
  expect_refused("redaction.hash_key_id",
                 [](redaction& o) { o.patterns.card = mask_style::keyed_hash; });
  expect_refused("redaction.hash_key_id",
                 [](redaction& o) { o.literal_style = mask_style::keyed_hash; });
  expect_refused("redaction.hash_key_id", [](redaction& o) {
    o.hash_key_id = "a b";
    o.hash_key = secret{"0123456789abcdef"};
  });
  expect_refused("redaction.hash_key", [](redaction& o) {
    o.fields.style = mask_style::keyed_hash;
    o.hash_key_id = "k1";
    o.hash_key = secret{"hunter2"};
  });
  expect_refused("redaction.headers.add", [](redaction& o) { o.headers.add = {{"-_"}}; });
  expect_refused("redaction.fields.add", [](redaction& o) { o.fields.add = {{"*"}}; });
  expect_refused("redaction.parameters.add",
                 [](redaction& o) { o.parameters.add = {{std::string(65, 'x')}}; });
  redaction edges;
  edges.mask = std::string(64, 'x');
  edges.max_depth = 512;
  edges.literals = {secret{"abcd"}};
  edges.fields.add = {{std::string(64, 'x')}};
  EXPECT_NO_THROW((void)make_redactor(edges));
}

// Bodies

TEST(redactor_body, goes_by_its_media_type) {
  const redactor masks;
  EXPECT_EQ(masks.body("application/json", R"({"token":"x"})"), R"({"token":"[masked]"})");
  EXPECT_EQ(masks.body("Application/Problem+JSON; charset=utf-8", R"({"token":"x"})"),
            R"({"token":"[masked]"})");
  EXPECT_EQ(masks.body("application/x-ndjson", "{\"token\":1}\n\n{\"a\":1}\nnope\n"),
            "{\"token\":\"[masked]\"}\n\n{\"a\":1}\n[unparseable body, 4 bytes]\n");
  EXPECT_EQ(masks.body("text/plain", "password=x y"), "password=[masked] y");
  EXPECT_EQ(masks.body("image/png", "\x89PNG"), "[image/png body, 4 bytes]");
  EXPECT_EQ(masks.body("multipart/form-data; boundary=x", "abc"),
            "[multipart/form-data body, 3 bytes]");
  EXPECT_EQ(masks.body("text/html", "<b>"), "[text/html body, 3 bytes]");
  EXPECT_EQ(masks.body("", R"({"token":"x"})"), "[body, 13 bytes]");
  EXPECT_EQ(masks.body("a b\nc", "x"), "[body, 1 bytes]") << "a type that is none is not printed";
  EXPECT_EQ(masks.body("application/json", ""), "");
}

TEST(redactor_body, large_ones_are_told_of_only) {
  redaction options;
  options.max_body = 10;
  EXPECT_EQ(redactor(options).body("application/json", R"({"aa":123})"), R"({"aa":123})");
  EXPECT_EQ(redactor(options).body("application/json", R"({"aa":1234})"),
            "[application/json body, 11 bytes]");
  options.max_body = std::nullopt;
  EXPECT_EQ(redactor(options).body("text/plain", std::string(100000, ' ')).size(), 100000u);
}

// Literals

redactor knowing(std::string_view literal) {
  redaction options;
  options.literals = {secret{literal}};
  return redactor(options);
}

TEST(redactor_literals, never_appear_in_any_spelling) {
  const redactor masks = knowing("s3cr3t/Value+1");
  for (const std::string_view text :
       {"s3cr3t/Value+1", "xs3cr3t/Value+1x", "a s3cr3t/Value+1, b", "s3cr3t%2FValue%2B1",
        "s3cr3t%2fValue%2b1", "%73%33%63%72%33%74%2F%56%61%6C%75%65%2B%31",
        "s3cr3t%252FValue%252B1", "s3cr3t\\/Value+1", "s3cr3t\\u002fValue\\u002B1",
        "\\u0073\\u0033cr3t/Value+1", "s3cr3t\\\\/Value+1", "s3cr\n3t/Value+1",
        "s3cr\r\n  3t/Value+1", "s3cr\\n3t/Value+1", "s3cr%0A3t/Value+1",
        "7333637233742f56616c75652b31", "7333637233742F56616C75652B31"}) {
    const std::string out = masks.text(text);
    EXPECT_NE(out.find("[masked]"), std::string::npos) << text;
    EXPECT_EQ(out.find("cr3t"), std::string::npos) << out;
    EXPECT_EQ(out.find("alue"), std::string::npos) << out;
  }
  for (const std::string_view text : {"s3cr3t", "s3cr3t/Value+2", "Value+1", "S3CR3T/VALUE+1"})
    EXPECT_EQ(masks.text(text), text);
}

std::string base64(std::string_view bytes, bool url_safe) {
  const std::string_view alphabet =
      url_safe ? "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
               : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  unsigned value = 0;
  int bits = 0;
  for (const char c : bytes) {
    value = ((value << 8) | static_cast<unsigned char>(c)) & 0xffffff;
    for (bits += 8; bits >= 6; bits -= 6) text += alphabet[(value >> (bits - 6)) & 63];
  }
  if (bits > 0) text += alphabet[(value << (6 - bits)) & 63];
  while (!url_safe && text.size() % 4 != 0) text += '=';
  return text;
}

TEST(redactor_literals, are_found_in_base64_at_every_offset) {
  const redactor masks = knowing("\xfb\xff\xfe!hunter2?\xff");
  for (const std::string_view before : {"", "u", "us", "usr", "user:"})
    for (const std::string_view after : {"", "x", "xy", "xyz"})
      for (const bool url_safe : {false, true}) {
        const std::string encoded = base64(
            std::string(before) + "\xfb\xff\xfe!hunter2?\xff" + std::string(after), url_safe);
        EXPECT_EQ(masks.text("[" + encoded + "]"), "[[masked]]")
            << before << " " << after << url_safe;
      }
  EXPECT_EQ(masks.text(base64("user:hunter3 and more", false)),
            base64("user:hunter3 and more", false));
}

TEST(redactor_literals, are_masked_by_every_function) {
  const redactor masks = knowing(planted);
  EXPECT_EQ(masks.header("X-Note", "a s3cr3t b"), "a [masked] b");
  EXPECT_EQ(masks.url("https://h/s3cr3t/%733cr3t?x=s3cr3t#s3cr3t"),
            "https://h/[masked]/[masked]?x=[masked]#[masked]");
  EXPECT_EQ(masks.json(R"({"s3cr3t":"a \u0073\u0033cr3t","n":[1,"s3cr3t"]})"),
            R"({"[masked]":"a [masked]","n":[1,"[masked]"]})");
  EXPECT_EQ(masks.form("x=%73%33cr3t"), "x=[masked]");
  EXPECT_EQ(masks.body("text/plain", "s3cr3t"), "[masked]");
  EXPECT_EQ(masks.body("s3cr3t/s3cr3t", "x"), "[[masked]/[masked] body, 1 bytes]");
  EXPECT_EQ(knowing("1234567").json("[1234567]"), "[\"[masked]\"]");
}

TEST(redactor_literals, neighbours_and_masks_do_not_make_one_whole) {
  EXPECT_EQ(knowing("masked").text("x masked").find("masked"), std::string::npos);
  EXPECT_EQ(knowing("ked]x").text("ked]xx").find("ked]x"), std::string::npos);
  EXPECT_EQ(knowing("abcabc").text("abcabcabc"), "[masked]") << "overlapping ones go together";
  redaction options;
  options.literals = {secret{"abcdef"}, secret{"defghi"}};
  EXPECT_EQ(redactor(options).text("-abcdefghi-"), "-[masked]-");
  options = {};
  options.patterns.email = mask_style::drop;
  options.literals = {secret{"s3cr3t"}};
  EXPECT_EQ(redactor(options).text("s3c<>r3t, s3 a@b.cc cr3t").find("s3cr3t"), std::string::npos);
  EXPECT_EQ(redactor(options).text("s3c a@b.cc").find("a@b"), std::string::npos);
}

// The planted secret, everywhere

TEST(redactor, planted_secret_in_every_position_never_appears) {
  const redactor masks;
  const std::vector<std::string> texts = {
      "password=s3cr3t",
      "password: s3cr3t",
      "\"password\":\"s3cr3t\"",
      "'password':'s3cr3t'",
      "password=\"s3cr3t\"",
      "PASSWORD=s3cr3t",
      "pass%77ord=s3cr3t",
      "\"pass\\u0077ord\":\"s3cr3t\"",
      "Authorization: Bearer s3cr3t",
      "authorization: s3cr3t",
      "Cookie: sid=s3cr3t; t=s3cr3t",
      "Set-Cookie: a=s3cr3t; HttpOnly",
      "https://u:s3cr3t@host/",
      "https://s3cr3t@host/",
      "https://h/?token=s3cr3t",
      "/?a=1&sig=s3cr3t",
      "/#access_token=s3cr3t",
      "x-api-key: s3cr3t",
      "Idempotency-Key: s3cr3t",
      "{\"a\":{\"b\":[{\"secret\":\"s3cr3t\"}]}}",
      "{\"token\":[\"s3cr3t\"]}",
      "{\"token\":{\"x\":\"s3cr3t\"}}",
      "{\\\"token\\\":\\\"s3cr3t\\\"}",
      "token=\"s3cr3t",
      "token={s3cr3t",
      "client_secret=s3cr3t&grant_type=x",
      "refreshToken: s3cr3t",
      "db.password = s3cr3t",
      "https%3A%2F%2Fu%3As3cr3t%40h",
      "redirect=%2Fcb%3Fcode%3Dx%26token%3Ds3cr3t",
      "Bearer s3cr3t",
      "bearer s3cr3t",
      "Authorization:\n\ts3cr3t",
      "password:\r\n s3cr3t",
      "<password>s3cr3t</password>",
      "Authorization: Basic czNjcjN0OnMzY3IzdA== s3cr3t",
      "\"pin\":\"s3cr3t\"",
      "cvv=s3cr3t",
      "pwd=s3cr3t;",
      "jwt=s3cr3t",
      "otp: s3cr3t",
      "email=s3cr3t@example.com",
      "s3cr3t@example.com",
      "sk_live_s3cr3ts3cr3t",
      "-----BEGIN PRIVATE KEY-----\ns3cr3t",
      "token token=s3cr3t",
      "a=1&password=s3cr3t&b=2",
  };
  for (const std::string& text : texts) {
    for (const std::string_view around : {"", " ", "\n", "x=1 ", "\"", "(", "["}) {
      const std::string out = masks.text(std::string(around) + text);
      EXPECT_EQ(out.find(planted), std::string::npos) << out;
    }
    // Logged by others as a JSON string, a form's field, a header.
    EXPECT_EQ(masks.header("X-Debug", text).find(planted), std::string::npos) << text;
  }
}

TEST(redactor, serves_many_threads) {
  const auto masks = make_redactor(hashing());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&masks] {
      for (int i = 0; i < 200; ++i) {
        ASSERT_EQ(masks->text("password=hunter2"), "password=[masked]");
        ASSERT_EQ(masks->value("4111111111111111", mask_style::keyed_hash),
                  "[hmac:k1:6ab68ca2a9a5]");
      }
    });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace redactor_test
