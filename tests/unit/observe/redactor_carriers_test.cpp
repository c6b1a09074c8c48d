// What carries a secret through running text: quotes, brackets, escapes, encodings.
#include "hawser/observe/redactor.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace redactor_carriers_test {
namespace {

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

TEST(redactor_carriers, credentials_that_end_in_padding_before_a_quote) {
  check(redactor(),
        {
            {R"("Basic dXNlcjpwYXNzd29yZA==")", R"("Basic [masked]")"},
            {"curl -H 'Basic dXNlcjpwYXNzd29yZDE=' x", "curl -H 'Basic [masked]' x"},
            {R"(["Bearer abc123=","x"])", R"(["Bearer [masked]","x"])"},
            {R"(Basic realm="hello", charset="UTF-8")", R"(Basic realm="hello", charset="UTF-8")"},
            {R"(Bearer realm="x", error="invalid_token")",
             R"(Bearer realm="x", error="invalid_token")"},
        });
}

TEST(redactor_carriers, quoted_and_bracketed_tokens_behind_the_scheme) {
  check(redactor(), {
                        {R"(Bearer "abc123def")", R"(Bearer "[masked]")"},
                        {"Bearer 'abc123def' x", "Bearer '[masked]' x"},
                        {"Bearer <abc123def>", "Bearer <[masked]>"},
                        {"Bearer [abc123def]", "Bearer [[masked]]"},
                        {"Bearer (abc123def)", "Bearer ([masked])"},
                        {R"({"m":"Bearer \"abc123def\""})", R"({"m":"Bearer \"[masked]\""})"},
                        {"Basic <dXNlcjpwYXNzd29yZA==>", "Basic <[masked]>"},
                        {"a bearer <token> is meant", "a bearer <token> is meant"},
                    });
}

TEST(redactor_carriers, escapes_within_a_token) {
  check(redactor(), {
                        {R"("Bearer abc\u0041123\/def")", R"("Bearer [masked]")"},
                        {R"("Basic dXNlcjpwYXNzd29yZA\u003d\u003d")", R"("Basic [masked]")"},
                        {R"(\"Bearer abc\\u0041123\")", R"(\"Bearer [masked]\")"},
                    });
}

TEST(redactor_carriers, known_values_in_whatever_carries_them) {
  redaction options;
  options.literals = {secret{R"(it's "a"&<b>=c\d)"}, secret{"hunter2$x"}, secret{"abcd&lt;e"}};
  const redactor masks(options);
  check(masks,
        {
            {R"(<v>it&apos;s &quot;a&quot;&amp;&lt;b&gt;=c\d</v>)", "<v>[masked]</v>"},
            {R"(it&#39;s &#34;a&#x22;&amp;&#60;b&#X3E;=c\d)", "[masked]"},
            {R"(it&amp;#39;s &amp;quot;a&amp;quot;&amp;amp;&amp;lt;b&amp;gt;=c\d)", "[masked]"},
            {R"('it'\''s "a"&<b>=c\d')", "'[masked]'"},
            {R"('it'"'"'s "a"&<b>=c\d')", "'[masked]'"},
            {R"("'it'\"'\"'s \"a\"&<b>=c\\d'")", R"("'[masked]'")"},
            {R"(it\'s\ \"a\"\&\<b\>\=c\\d)", "[masked]"},
            {R"('it''s "a"&<b>=c\d')", "'[masked]'"},
            {R"("it's ""a""&<b>=c\d",2)", R"("[masked]",2)"},
            {R"(\&quot;it&#39;s \&quot;a\&quot;&amp;&lt;b&gt;=c\\d\&quot;)",
             R"(\&quot;[masked]\&quot;)"},
            {"it's \"a\"&<b>=3Dc\\d", "[masked]"},
            {"it's \"a\"&<=\r\nb>=3D=\nc\\d", "[masked]"},
            {"68 75 6e 74 65 72 32 24 78", "[masked]"},
            {"68:75:6E:74:65:72:32:24:78", "[masked]"},
            {R"(\x68\x75\x6e\x74\x65\x72\x32\x24\x78)", "[masked]"},
            {"{0x68, 0x75, 0x6e, 0x74, 0x65, 0x72, 0x32, 0x24, 0x78}", "{0x[masked]}"},
            {"6875 6e74 6572 3224 78", "[masked]"},
            {R"(\150\165\156\164\145\162\062\044\170)", "[masked]"},
            {R"(\u{68}unter2\U00000024x)", "[masked]"},
            {"%u0068unter2%24x", "[masked]"},
            {R"(echo hunter2\$x)", "echo [masked]"},
            {"abcd&amp;amp;lt;e", "[masked]"},
            {"abcd&amp;lt;e", "[masked]"},
        });
}

TEST(redactor_carriers, names_and_values_side_by_side) {
  check(redactor(), {
                        {R"(("x-api-key", "S3cret"), (b'cookie', b'a=b; c=d'))",
                         R"(("x-api-key", "[masked]"), (b'cookie', b'[masked]'))"},
                        {R"(got {"name":"Authorization","value":"S3cret"})",
                         R"(got {"name":"Authorization","value":"[masked]"})"},
                        {R"(got {"value":"S3cret","name":"password"})",
                         R"(got {"value":"[masked]","name":"password"})"},
                        {R"({\"name\":\"x-api-key\",\"type\":\"s\",\"value\":\"S3cret\"})",
                         R"({\"name\":\"x-api-key\",\"type\":\"s\",\"value\":\"[masked]\"})"},
                        {R"({"loc":["body","password"],"msg":"x","input":"S3cret"})",
                         R"({"loc":["body","password"],"msg":"x","input":"[masked]"})"},
                        {R"({"instancePath":"/password","data":"S3cret"})",
                         R"({"instancePath":"/password","data":"[masked]"})"},
                        {"[type=string_too_short, input_value='S3cret', input_type=str]",
                         "[type=string_too_short, input_value='[masked]', input_type=str]"},
                        {"mysql --password hunter2 -u root --token=abc --api-key 'ab c'",
                         "mysql --password [masked] -u root --token=[masked] --api-key '[masked]'"},
                        {R"(["password","token","email"])", R"(["password","token","email"])"},
                        {R"({"key":"a","value":"b"})", R"({"key":"a","value":"b"})"},
                    });
}

TEST(redactor_carriers, blocks_elements_and_strings_that_were_cut) {
  check(redactor(),
        {
            {"password: |\n  one\n  two\nuser: x", "password: |\n  [masked]\nuser: x"},
            {"a:\n  passwords:\n  - abc\n  - def\n  user: x",
             "a:\n  passwords:\n  - [masked]\n  user: x"},
            {"a:\n  password: >-\n    S3cret\n\n    more\n  user: bob",
             "a:\n  password: >-\n    [masked]\n  user: bob"},
            {"<a><password>S3cret", "<a><password>[masked]"},
            {"<a><password>S3cret\n<b>x</b>", "<a><password>[masked]\n<b>x</b>"},
            {"&lt;password&gt;S3cret&lt;/password&gt; x",
             "&lt;password&gt;[masked]&lt;/password&gt; x"},
            {R"(\u003cpassword\u003eS3cret\u003c/password\u003e)",
             R"(\u003cpassword\u003e[masked]\u003c/password\u003e)"},
            {"X-Api-Key:\r\n\tS3cret\r\nHost: x", "X-Api-Key:\r\n\t[masked]\r\nHost: x"},
            {"Cookie: a=b;\r\n c=d\r\nHost: x", "Cookie: [masked]\r\nHost: x"},
            {"connect to postgres://u:S3cret", "connect to postgres://[masked]"},
            {"redis://:S3cret x", "redis://[masked] x"},
            {"amqps://u:p4ss/vhost", "amqps://[masked]/vhost"},
            {"mongodb://h1:27017,h2:27017", "mongodb://h1:27017,h2:27017"},
            {"http://host:8080, http://localhost:port", "http://host:8080, http://localhost:port"},
        });
}

TEST(redactor_carriers, what_says_that_there_is_none_is_kept) {
  check_kept(redactor(), {"secret: none", "token=null", "password=***", "api_key=<unset>",
                          "password=${DB_PASS}", "password: (none), x", "token: [redacted]",
                          "secret=true", R"("token": "undefined")", "--password <password>"});
  check(redactor(), {{"secret: nonesuch", "secret: [masked]"},
                     {"password=***x", "password=[masked]"},
                     {"password=${x}y", "password=[masked]"}});
}

TEST(redactor_carriers, numbers_that_no_card_has_are_kept) {
  check_kept(redactor(), {"IMEI 490154203237518", "352099001761481", "356938035643809"});
}

}  // namespace
}  // namespace redactor_carriers_test
