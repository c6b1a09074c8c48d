#include "hawser/observe/redactor.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

namespace redactor_text_test {
namespace {

using hawser::mask_style;
using hawser::redaction;
using hawser::redactor;
using hawser::secret;

struct row {
  std::string_view in;
  std::string_view out;
};

void check(const redactor& masks, const std::vector<row>& rows) {
  for (const row& r : rows) {
    EXPECT_EQ(masks.text(r.in), r.out) << "of: " << r.in;
    EXPECT_EQ(masks.text(r.out), r.out) << "masked twice: " << r.in;
  }
}

void check_kept(const redactor& masks, const std::vector<std::string_view>& rows) {
  for (const std::string_view r : rows) EXPECT_EQ(masks.text(r), r);
}

TEST(redactor_text, payment_cards_are_masked) {
  check(redactor(),
        {
            {"4111111111111111", "[masked]"},
            {"paid with 4111 1111 1111 1111 today", "paid with [masked] today"},
            {"4111-1111-1111-1111", "[masked]"},
            {"card 378282246310005.", "card [masked]."},
            {"3782 822463 10005", "[masked]"},
            {"30569309025904", "[masked]"},
            {"5555555555554444,6011111111111117", "[masked],[masked]"},
            {"3530111333300000", "[masked]"},
            {"2221000000000009", "[masked]"},
            {"4222222222222", "[masked]"},
            {"6759649826438453 x", "[masked] x"},
            {"6304000000000000000", "[masked]"},
            {"(4012888888881881)", "([masked])"},
            {"\"4012888888881881\"", "\"[masked]\""},
            {"4111 1111 1111 1111 12/27", "[masked] 12/27"},
            {"2023 4111 1111 1111 1111", "2023 [masked]"},
            {"card_4111111111111111", "card_[masked]"},
            {"4111111111111111_x", "[masked]_x"},
            {"4111%201111%201111%201111", "[masked]"},
            {"4111+1111+1111+1111", "[masked]"},
            {"4111.1111.1111.1111", "[masked]"},
            {"4111\xc2\xa0"
             "1111\xc2\xa0"
             "1111\xc2\xa0"
             "1111",
             "[masked]"},
            {"\xe2\x80\x9c"
             "4111111111111111\xe2\x80\x9d",
             "\xe2\x80\x9c[masked]\xe2\x80\x9d"},
            {"4111 1111\n1111 1111", "[masked]"},
            {"4111 1111\r\n  1111 1111", "4111 1111\r\n  1111 1111"},  // more than a separator
            {"a\\n4111111111111111", "a\\n[masked]"},
        });
}

TEST(redactor_text, other_numbers_are_kept) {
  check_kept(redactor(), {
                             "order 4111111111111112",  // 16 digits that fail the Luhn check
                             "1234 5678 9012 3456",
                             "1234567812345670",  // passes it, but no card begins so
                             "1700000000000 1700000000000000000",  // clock readings
                             "20231123173121 20231123173121123",
                             "0.4111111111111111",
                             "-3.4111111111111111e5",
                             "41111111111111111111111111111111",  // longer than any card
                             "411111111111",                      // shorter than any card
                             "a4111111111111111",                 // part of a word
                             "4111111111111111f",
                             "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",  // single digits, not groups
                             "978-3-16-148410-0 9783161484100",  // ISBN
                             "192.168.100.200:8080 +1 555 0100",
                             "0000000000000000",
                             "[2023-11-23 17:31:21.123456789]",
                         });
}

TEST(redactor_text, uuids_are_kept) {
  check_kept(redactor(), {
                             "123e4567-e89b-12d3-a456-426614174000",
                             "id=550e8400-e29b-41d4-a716-446655440000,",
                             "00004111-1111-1111-1111-000000000000",
                             "41111111-1111-1111-8111-111111111111",
                             "urn:uuid:4f4e1111-4111-4111-8123-411111111111",
                         });
}

TEST(redactor_text, bearer_and_basic_credentials_are_masked) {
  check(redactor(), {
                        {"Bearer s3cr3t", "Bearer [masked]"},
                        {"sent bearer abc123DEF to it", "sent bearer [masked] to it"},
                        {"BEARER mF_9.B5f-4.1JqM.", "BEARER [masked]."},
                        {"Bearer abcdefghij", "Bearer [masked]"},
                        {"bearer abcdefghijklmnopqrstuvwxyz", "bearer [masked]"},
                        {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Basic [masked]"},
                        {"basic dXNlcjpwYXNzd29yZDE=", "basic [masked]"},
                        {"Bearer\n s3cr3t", "Bearer\n [masked]"},
                        {"Bearer%20s3cr3t", "Bearer%20[masked]"},
                        {"\\nBearer s3cr3t", "\\nBearer [masked]"},
                    });
}

TEST(redactor_text, prose_about_credentials_is_kept) {
  check_kept(redactor(), {
                             "the bearer token expired",
                             "Bearer token required",
                             "use Bearer authentication, not Basic authentication",
                             "basic usage; Basic auth",
                             "WWW-Authenticate: Bearer realm=\"example\", error=\"invalid_token\"",
                             "bearer of bad news",
                         });
}

TEST(redactor_text, json_web_tokens_are_masked) {
  const std::string jwt =
      "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_"
      "XgL0n3I9PlFUP0THsR8U";
  const redactor masks;
  EXPECT_EQ(masks.text(jwt), "[masked]");
  EXPECT_EQ(masks.text("got " + jwt + ", done"), "got [masked], done");
  EXPECT_EQ(masks.text("end with " + jwt + "."), "end with [masked].");
  EXPECT_EQ(masks.text("/login/" + jwt + "/x"), "/login/[masked]/x");
  EXPECT_EQ(masks.text("t_" + jwt), "t_[masked]");
  EXPECT_EQ(masks.text("eyJhbGciOiJkaXIifQ..48V1_ALb6US04U3b.5eym8TW_c8SuK0lt.XFBoMYUZodetZdvT"),
            "[masked]");
  check_kept(masks, {"eyJ", "eyJhbGciOi", "keyJar.open", "eyJ.a.b"});
}

TEST(redactor_text, vendor_keys_are_masked) {
  check(redactor(), {
                        {"sk_live_4eC39HqLyjWDarjtT1zdp7dc", "[masked]"},
                        {"key sk_test_4eC39HqLyjWDarjtT1zdp7dc!", "key [masked]!"},
                        {"AKIAIOSFODNN7EXAMPLE", "[masked]"},
                        {"ghp_16C7e42F292c6912E7710c838347Ae178B4a", "[masked]"},
                        {"github_pat_11ABCDEFG0123456789_abcdefghij", "[masked]"},
                        {"glpat-abcdefghij1234567890", "[masked]"},
                        {"xoxb-17653672481-19874698323-pdFZKVeTuE8sk7oOcHrzqqgy", "[masked]"},
                        {"AIzaSyDaGmWKa4JsXZ-HjGw7ISLn_3namBGewQe", "[masked]"},
                        {"sk-proj-abcdefghijklmnopqrst", "[masked]"},
                        {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "[masked]"},
                        {"(npm_abcdefghijklmnopqrstuvwxyz0123456789)", "([masked])"},
                    });
  check_kept(redactor(), {"sk-short", "AKIA", "ghp_x", "risk_live_4eC39HqLyjWDarjtT1zdp7dc",
                          "task-abcdefghijklmnopqrstuvwxyz", "xoxb-", "sk_live_"});
}

TEST(redactor_text, private_keys_are_masked) {
  const redactor masks;
  EXPECT_EQ(
      masks.text(
          "k=\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----\nx"),
      "k=\n[masked]\nx");
  EXPECT_EQ(masks.text("-----BEGIN PRIVATE KEY-----\nMIIE cut off"), "[masked]");
  EXPECT_EQ(
      masks.text("\"-----BEGIN EC PRIVATE KEY-----\\nMHc\\n-----END EC PRIVATE KEY-----\\n\""),
      "\"[masked]\\n\"");
  EXPECT_EQ(
      masks.text("-----BEGIN PGP PRIVATE KEY BLOCK-----\nx\n-----END PGP PRIVATE KEY BLOCK-----"),
      "[masked]");
  check_kept(masks,
             {"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
              "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----", "-----", "---- BEGIN"});
}

TEST(redactor_text, e_mail_addresses_are_masked) {
  check(redactor(), {
                        {"mail bob@example.com now", "mail [masked] now"},
                        {"<first.last+tag@sub.example.co.uk>", "<[masked]>"},
                        {"bob@example.com.", "[masked]."},
                        {"to=a@b.io,c@d.io", "to=[masked],[masked]"},
                        {"bob%40example.com", "[masked]"},
                        {"'o'neil@example.org'", "'[masked]'"},
                        {"m\xc3\xbcller@b\xc3\xbc"
                         "cher.example",
                         "[masked]"},
                        {"x\\nbob@example.com", "x\\n[masked]"},
                    });
  check_kept(redactor(), {"user@localhost", "@Override", "a @ b.com", "lodash@4.17.21", "bob@",
                          "@example.com", "5 apples @ $1.20", "root@10.0.0.1"});
}

TEST(redactor_text, ibans_are_masked) {
  check(redactor(), {
                        {"DE89370400440532013000", "[masked]"},
                        {"to DE89 3704 0044 0532 0130 00 was paid", "to [masked] was paid"},
                        {"GB29 NWBK 6016 1331 9268 19", "[masked]"},
                        {"fr1420041010050500013M02606", "[masked]"},
                        {"NO93-8601-1117-947", "[masked]"},
                        {"MT84MALT011000012345MTLCAST001S.", "[masked]."},
                    });
  check_kept(redactor(), {"DE88370400440532013000", "XX89370400440532013000", "DE8937040044",
                          "DE893704004405320130001", "GBP 29 000 000 000 000"});
}

TEST(redactor_text, assignments_are_masked) {
  check(redactor(),
        {
            {"password=hunter2", "password=[masked]"},
            {"password=hunter2 user=bob", "password=[masked] user=bob"},
            {"user=bob, password=hunter2, x=1", "user=bob, password=[masked], x=1"},
            {"Password: hunter2", "Password: [masked]"},
            {"PASSWORD = 'hunter2'", "PASSWORD = '[masked]'"},
            {"--password=hunter2 --verbose", "--password=[masked] --verbose"},
            {"db.password=hunter2", "db.password=[masked]"},
            {"DB_PASSWORD=\"hun\\\"ter2\" next", "DB_PASSWORD=\"[masked]\" next"},
            {"api_key=abc apiKey:abc Api-Key=abc",
             "api_key=[masked] apiKey:[masked] Api-Key=[masked]"},
            {"API key: abc", "API key: [masked]"},
            {"secret key: abc", "secret key: [masked]"},
            {"{\"token\":\"abc\"}", "{\"token\":\"[masked]\"}"},
            {"{\"token\" : \"abc\", \"n\":1}", "{\"token\" : \"[masked]\", \"n\":1}"},
            {"{\\\"token\\\":\\\"abc\\\",\\\"n\\\":1}",
             "{\\\"token\\\":\\\"[masked]\\\",\\\"n\\\":1}"},
            {"{\"pass\\u0077ord\":\"abc\"}", "{\"pass\\u0077ord\":\"[masked]\"}"},
            {"{'token': 'abc'}", "{'token': '[masked]'}"},
            {"{\"token\":12345}", "{\"token\":[masked]}"},
            {"{\"pin\":1234,\"code\":5678}", "{\"pin\":[masked],\"code\":5678}"},
            {"{\"token\":{\"a\":[1,\"]\"]},\"n\":1}", "{\"token\":[masked],\"n\":1}"},
            {"{\"token\":[\"a\",\"b\"],\"n\":1}", "{\"token\":[masked],\"n\":1}"},
            {"{\"token\":[\"a\",\"b", "{\"token\":[masked]"},
            {"password=\"hunter2", "password=\"[masked]"},
            {"password:\nhunter2", "password:\n[masked]"},
            {"token => abc", "token => [masked]"},
            {"params[password]=abc&x=1", "params[password]=[masked]&x=1"},
            {"params[\"password\"] = \"abc\"", "params[\"password\"] = \"[masked]\""},
            {"%74oken=abc", "%74oken=[masked]"},
            {"token%3Dabc", "token%3D[masked]"},
            {"token%253Dabc", "token%253D[masked]"},
            {"to=/cb%3Ftoken%3Dabc", "to=/cb%3Ftoken%3D[masked]"},
            {"a\\ntoken=abc", "a\\ntoken=[masked]"},
            {"C:\\token=abc", "C:\\token=[masked]"},
            {"Server=x;Pwd=abc;Uid=y", "Server=x;Pwd=[masked];Uid=y"},
            {"password=a;b&c,d", "password=[masked]"},
            {"(password=hunter2)", "(password=[masked])"},
            {"password=\"it''s\"\"quoted\" x", "password=\"[masked]\" x"},
            {"cvv=123", "cvv=[masked]"},
            {"password_confirmation=hunter2", "password_confirmation=[masked]"},
            {"passwordConfirmation: hunter2", "passwordConfirmation: [masked]"},
            {"{\"tokens\":[\"abc\"],\"n\":1}", "{\"tokens\":[masked],\"n\":1}"},
            {"refresh_tokens: abc,def", "refresh_tokens: [masked]"},
            {"backup_tokens=12345678,23456789", "backup_tokens=[masked]"},
            {"tokens=abc api_keys=123", "tokens=[masked] api_keys=[masked]"},
            {"{\"max_tokens\":\"512\"}", "{\"max_tokens\":\"[masked]\"}"},
            {"max_tokens=4111111111111111", "max_tokens=[masked]"},
            {"<tokens>abc</tokens>", "<tokens>[masked]</tokens>"},
            {"PayPal-Request-Id: abc", "PayPal-Request-Id: [masked]"},
            {"<password>hunter2</password>", "<password>[masked]</password>"},
            {"<ns:token type=\"x\">abc</ns:token>", "<ns:token type=\"x\">[masked]</ns:token>"},
            {"<password><![CDATA[a<b]]></password>", "<password><![CDATA[[masked]]]></password>"},
        });
}

TEST(redactor_text, headers_in_text_are_masked) {
  check(redactor(),
        {
            {"Authorization: Bearer xyz", "Authorization: Bearer [masked]"},
            {"Authorization:\r\n Bearer xyz\r\nHost: h",
             "Authorization:\r\n Bearer [masked]\r\nHost: h"},
            {"authorization: Digest username=\"bob\", response=\"abc\"",
             "authorization: Digest [masked]"},
            {"Authorization: s3cr3t words\nHost: h", "Authorization: [masked]\nHost: h"},
            {"curl -H \"Authorization: Bearer xyz\" https://h/",
             "curl -H \"Authorization: Bearer [masked]\" https://h/"},
            {"curl -H 'X-Api-Key: xyz' https://h/", "curl -H 'X-Api-Key: [masked]' https://h/"},
            {"Cookie: a=b; c=d\r\nAccept: */*", "Cookie: [masked]\r\nAccept: */*"},
            {"Set-Cookie: sid=abc; Path=/\n", "Set-Cookie: [masked]\n"},
            {"Cookie: a=b;\r\n c=d\r\nAccept: x", "Cookie: [masked]\r\nAccept: x"},
            {"x-api-key: abc", "x-api-key: [masked]"},
            {"idempotency-key: 8e03978e", "idempotency-key: [masked]"},
            {"\"Authorization\":\"Bearer xyz\"", "\"Authorization\":\"Bearer [masked]\""},
            {"proxy-authorization=Basic YTpi x", "proxy-authorization=Basic [masked]"},
        });
}

TEST(redactor_text, urls_in_text_are_masked) {
  check(redactor(),
        {
            {"GET https://bob:pw@host/x", "GET https://[masked]@host/x"},
            {"postgres://bob:p/w#1@db:5432/x", "postgres://[masked]@db:5432/x"},
            {"amqp://bob@mq", "amqp://[masked]@mq"},
            {"https:\\/\\/bob:pw@host\\/x", "https:\\/\\/[masked]@host\\/x"},
            {"//bob:pw@host/x", "//[masked]@host/x"},
            {"redirected to //bob:pw@host/x", "redirected to //[masked]@host/x"},
            {"to \\u002f\\u002fbob:pw@host/x", "to \\u002f\\u002f[masked]@host/x"},
            {"to \\\\/\\\\/bob:pw@host/x", "to \\\\/\\\\/[masked]@host/x"},
            {"to //bob@host/x, then //eve:p@ss@host", "to //[masked]@host/x, then //[masked]@host"},
            {"<a href=//bob:pw@host>(//bob:p/w#1@db)", "<a href=//[masked]@host>(//[masked]@db)"},
            {"Location: //bob:pw@host", "Location: //[masked]@host"},
            {"\"\\/\\/bob:pw@host\\/x\"", "\"\\/\\/[masked]@host\\/x\""},
            {"first\\n//bob:pw@host", "first\\n//[masked]@host"},
            {"u=%2F%2Fbob%3Apw%40host", "u=%2F%2F[masked]%40host"},
            {"u%3D%2F%2Fbob%3Apw%40host", "u%3D%2F%2F[masked]%40host"},
            {"bob@example.com//eve:pw@host", "[masked]//eve:pw@host"},
            {"u=https%3A%2F%2Fbob%3Apw%40host%2Fx", "u=https%3A%2F%2F[masked]%40host%2Fx"},
            {"GET /cb?code=abc&state=x&key=k", "GET /cb?code=[masked]&state=x&key=[masked]"},
            {"https://h/a?sig=abc#token=def", "https://h/a?sig=[masked]#token=[masked]"},
            {"\"https://h/?access_token=abc\"", "\"https://h/?access_token=[masked]\""},
            {"(see https://h/?password=abc)", "(see https://h/?password=[masked])"},
            {"/a;jsessionid=ABC?x=1", "/a;jsessionid=[masked]"},
        });
  check_kept(redactor(), {"https://host:8080/@user", "http://[::1]:80/a@b",
                          "https://h/?page=2&q=a:b", "http://example.com:443/path?x=1#frag"});
  // Comments, paths and XPath; a host with a port.
  check_kept(redactor(),
             {"// comment mail bob@x", "x = 1; //comment: bob@x", "//@ts-ignore", "/a//b:c@d",
              "https://host/a//b:c@d", "https%3A%2F%2Fh%2F%2Fb:c@d", "//host/@user",
              "//host:8080/@user", "thin:@//host:1521/x", "//input[@name='q']/..//b[@c][@d]"});
}

TEST(redactor_text, text_without_secrets_is_unchanged_byte_for_byte) {
  check_kept(
      redactor(),
      {
          "",
          " ",
          "GET /v1/users/42 200 12.3 ms",
          "circuit breaker 'billing': failure rate 0.6 of 0.5, next try in 3.2 s",
          "error code: 503, status code=200, exit code: 1, key: value, primary key=7",
          "hawser::secret::expose() tokens=5 passwords_changed=3 max_tokens=100",
          "{\"max_tokens\":100,\"total_tokens\": 1.5}, <tokens>5</tokens>, total tokens: 1,024",
          "3 passed: ok, pass: 3 fail: 0",
          "50% off; a=b==c; x->y; [1,2,3]; {}; <b>bold</b>; \\ \\\\ \\n %zz %",
          "unicode: \xe2\x82\xac \xf0\x9f\x98\x80 and broken \xff\xfe\xc3",
          std::string_view("nul \0 and \x01\x02 controls", 22),
          "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
          "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
          "Mon, 23 Nov 2023 17:31:21 GMT; 2023-11-23T17:31:21.123Z",
          "usage: tool --user <name> --password <password> [options]",
          "password",
          "token=",
          "password: ",
          "Authorization:",
          "secret:\n",
          "\"",
          "'",
          "=",
          ":",
          "@",
          "://",
          "a://",
          "?",
          "&=&",
          "-----",
          "%",
          "\\",
          "<",
          "[",
      });
}

TEST(redactor_text, keyed_hash_correlates_and_last_four_shows_four) {
  redaction options;
  options.hash_key_id = "k1";
  options.hash_key = secret{"0123456789abcdef"};
  options.patterns.card = mask_style::keyed_hash;
  options.patterns.iban = mask_style::last_four;
  options.patterns.email = mask_style::drop;
  options.fields.add = {{"token", mask_style::keyed_hash}};
  const redactor masks(options);
  const std::string plain = masks.text("4111111111111111");
  // HMAC-SHA-256("0123456789abcdef", "4111111111111111"), computed with another implementation.
  EXPECT_EQ(plain, "[hmac:k1:6ab68ca2a9a5]");
  EXPECT_EQ(masks.text("4111-1111-1111-1111"), plain) << "spelling does not matter";
  EXPECT_NE(masks.text("5555555555554444"), plain);
  EXPECT_EQ(masks.text(plain), plain);
  EXPECT_EQ(masks.text("token=" + plain), "token=" + plain) << "masks are not masked again";
  EXPECT_NE(masks.text("token=" + plain + "x"), "token=" + plain + "x") << "unless more follows";
  EXPECT_EQ(masks.text("DE89 3704 0044 0532 0130 00"), "[...3000]");
  EXPECT_EQ(masks.text("to bob@example.com!"), "to !");
  EXPECT_EQ(masks.json("{\"token\":\"abc\"}").substr(0, 18), "{\"token\":\"[hmac:k1");
}

TEST(redactor_text, patterns_can_be_switched_off_one_by_one) {
  redaction options;
  options.patterns = {std::nullopt, std::nullopt, std::nullopt, std::nullopt, std::nullopt,
                      std::nullopt, std::nullopt, std::nullopt, false};
  check_kept(redactor(options),
             {"https://bob:pw@host/", "4111111111111111", "Bearer s3cr3t",
              "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
              "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", "bob@example.com",
              "DE89370400440532013000", "password=hunter2", "<password>x</password>"});
}

#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
constexpr std::size_t large = 1024 * 1024;
#else
constexpr std::size_t large = 48 * 1024;  // slow builds see the same squares in smaller texts
#endif

double seconds(const redactor& masks, std::string_view piece, std::size_t size) {
  std::string text;
  while (text.size() < size) text += piece;
  const std::clock_t before = std::clock();
  const std::string out = masks.text(text);
  const double spent = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  EXPECT_LE(out.size(), 16 * text.size() + 64);
  return spent;
}

// Each text makes a careless scanner walk the same stretch again and again. Processor time is
// compared with that of a sixteenth of the text, so the machine's speed does not matter.
TEST(redactor_text, hostile_texts_take_linear_time) {
  const redactor masks;
  for (const std::string_view piece : {"a",
                                       "=",
                                       ":",
                                       "@",
                                       "a@",
                                       "a=",
                                       "%",
                                       "%3D",
                                       "%2525",
                                       "\\",
                                       "\\n",
                                       "\\u005c",
                                       "\"",
                                       "[",
                                       "{",
                                       "{\"a\":",
                                       "<",
                                       "<password>",
                                       "<a ",
                                       "-",
                                       "-----BEGIN PRIVATE KEY-----",
                                       "eyJ",
                                       "eyJ-",
                                       "eyJaaaaaaaa.x ",
                                       "sk-",
                                       "1",
                                       "1 ",
                                       "4111 ",
                                       "4_",
                                       "DE89 ",
                                       "://",
                                       "a://b:c/",
                                       "%3A%2F%2Fa",
                                       ":\\/\\/",
                                       "/",
                                       " //",
                                       " //a:b/",
                                       "\"//a:",
                                       "=%2F%2Fa",
                                       " \\/\\/a:",
                                       "password=\"",
                                       "password='a\\",
                                       "token={",
                                       "Bearer a ",
                                       "Cookie:\n ",
                                       "?a=http://h",
                                       "&",
                                       "token=Bearer ",
                                       "\n",
                                       "\"a\\u0061",
                                       "@a.",
                                       "a@b.",
                                       ",password:",
                                       "hooks/",
                                       "webhooks/a",
                                       "--",
                                       "--a ",
                                       ": |\ntoken",
                                       "password: |\n \n",
                                       "passwords:\n- \n",
                                       "<token ",
                                       "&lt;token&gt; ",
                                       "&amp;",
                                       "\"key\",",
                                       "\"token\",'",
                                       "\"value\":",
                                       "\"name\":[",
                                       "a://b:c1"}) {
    const double little = seconds(masks, piece, large / 16);
    // Quadratic time would be 256 times as long. The floor forgives noise.
    EXPECT_LT(seconds(masks, piece, large), 64 * little + 0.2) << "piece: " << piece;
  }
}

TEST(redactor_text, hostile_texts_take_linear_time_with_literals_too) {
  redaction options;
  options.literals = {secret{"aaaaaaaaaaaaaaab"}, secret{"%%%%\\\\\\\\x"}, secret{"    \n\n\n x"}};
  const redactor masks(options);
  for (const std::string_view piece :
       {"a", "%", "%25", "\\", "\\n", " ", "\n", "a\n", "YWFh", "61", "aaaaaaaaaaaaaaab",
        "aaaaaaaaaaaaaaa", "%61", "&amp;", "&#97;", "=61", "=\n", "\\141", "6 1 "}) {
    const double little = seconds(masks, piece, large / 16);
    EXPECT_LT(seconds(masks, piece, large), 64 * little + 0.2) << "piece: " << piece;
  }
}

// A text of the worst kind may cost a few times what a usual one of its length costs, not dozens of
// times: names are refused by how they end, and no stretch is read for each of the words in it.
TEST(redactor_text, hostile_texts_cost_little_more_than_usual_ones) {
  const redactor masks;
  const auto least = [&masks](std::string_view piece) {
    double best = seconds(masks, piece, large);
    for (int more = 0; more < 2; ++more) best = std::min(best, seconds(masks, piece, large));
    return best;
  };
  const double usual = least(
      "2024-05-01T12:00:00Z INFO [worker-3] POST /v1/charges 201 in 12.3 ms "
      "request_id=550e8400-e29b-41d4-a716-446655440000 user=42 bytes=1234\n");
  for (const std::string_view piece :
       {"hooks/", "webhooks/", "-", "--", " Cookie: \\\\", "=\neyJ\\\"", "u:p", "=\n<token ",
        ": |\ntoken", "-sk_\"value\":\"\\u0041", "sk_----", "realm=\"", "GB82 u:p=", "\"value\":"})
    EXPECT_LT(least(piece), 10 * usual + 0.005) << "piece: " << piece;
}

TEST(redactor_text, a_megabyte_of_mixed_hostile_text_is_no_trouble) {
  const redactor masks;
  const std::string_view piece =
      "a%3D%25\\ token=x [<password>eyJ-eyJa.4111 4111-DE89 ://a:b/@c.\n?k=http://h&sk-Bearer ";
  EXPECT_LT(seconds(masks, piece, 1024 * 1024), 30.0);
}

}  // namespace
}  // namespace redactor_text_test
