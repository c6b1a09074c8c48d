#include "hawser/observe/redactor.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using hawser::mask_style;
using hawser::redaction;
using hawser::redactor;
using hawser::secret;

using rows = std::vector<std::pair<std::string_view, std::string_view>>;

TEST(redactor_json, fields_are_masked_at_any_depth_and_of_any_type) {
  const redactor masks;
  for (const auto& [in, out] : rows{
           {R"({"password":"x"})", R"({"password":"[masked]"})"},
           {R"({ "a" : [ { "Secret" : "x" } , 2 ] })",
            R"({ "a" : [ { "Secret" : "[masked]" } , 2 ] })"},
           {R"({"token":123,"n":1})", R"({"token":"[masked]","n":1})"},
           {R"({"token":-1.5e+3})", R"({"token":"[masked]"})"},
           {R"({"token":true})", R"({"token":"[masked]"})"},
           {R"({"token":{"a":{"b":"x"}},"n":1})", R"({"token":"[masked]","n":1})"},
           {R"({"token":["x",["y"]],"n":1})", R"({"token":"[masked]","n":1})"},
           {R"({"token":null})", R"({"token":null})"},
           {R"({"token":""})", R"({"token":""})"},
           {R"({"authorization":"Bearer x"})", R"({"authorization":"Bearer [masked]"})"},
           {R"({"token":"x","token":"y"})", R"({"token":"[masked]","token":"[masked]"})"},
           {R"({"cardNumber":"x","CVV":1,"iban":"x","ssn":"x","email":"x","pan":"x","card":{}})",
            R"({"cardNumber":"[masked]","CVV":"[masked]","iban":"[masked]","ssn":"[masked]",)"
            R"("email":"[masked]","pan":"[masked]","card":"[masked]"})"},
           {R"({"client_secret":"x","refresh-token":"x","privateKey":"x","access key":"x"})",
            R"({"client_secret":"[masked]","refresh-token":"[masked]","privateKey":"[masked]",)"
            R"("access key":"[masked]"})"},
           {R"({"user.password":"x","user[ssn]":"x"})",
            R"({"user.password":"[masked]","user[ssn]":"[masked]"})"},
       })
    EXPECT_EQ(masks.json(in), out) << in;
}

TEST(redactor_json, escaped_names_do_not_hide_fields) {
  const redactor masks;
  for (const auto& [in, out] : rows{
           {R"({"pass\u0077ord":"x"})", R"({"pass\u0077ord":"[masked]"})"},
           {R"({"\u0050\u0041SSWORD":"x"})", R"({"\u0050\u0041SSWORD":"[masked]"})"},
           {R"({"a\/token":"x"})", R"({"a\/token":"[masked]"})"},
           {R"({"to\u006ben":{"x":1}})", R"({"to\u006ben":"[masked]"})"},
       })
    EXPECT_EQ(masks.json(in), out) << in;
}

TEST(redactor_json, values_are_searched_for_patterns) {
  const redactor masks;
  for (const auto& [in, out] : rows{
           {R"({"note":"card 4111 1111 1111 1111"})", R"({"note":"card [masked]"})"},
           {R"({"n":4111111111111111})", R"({"n":"[masked]"})"},
           {R"(["bob@example.com",{"a":"Bearer s3cr3t"}])",
            R"(["[masked]",{"a":"Bearer [masked]"}])"},
           {R"({"a":"\u0034111111111111111"})", R"({"a":"[masked]"})"},
           {R"({"a":"x\nbob@example.com\ty \"q\" \\ \u0001"})",
            R"({"a":"x\u000a[masked]\u0009y \"q\" \\ \u0001"})"},
           {R"({"raw":"{\"token\":\"x\",\"n\":1}"})",
            R"({"raw":"{\"token\":\"[masked]\",\"n\":1}"})"},
           {R"({"url":"https:\/\/a:b@h\/?code=x"})",
            R"({"url":"https://[masked]@h/?code=[masked]"})"},
           {R"({"bob@example.com":1})", R"({"[masked]":1})"},
           {R"("Bearer s3cr3t")", R"("Bearer [masked]")"},
       })
    EXPECT_EQ(masks.json(in), out) << in;
}

TEST(redactor_json, text_without_secrets_is_unchanged_byte_for_byte) {
  const redactor masks;
  for (const std::string_view json :
       {"{}", "[]", "0", "-0.0e-0", "\"\"", "true", "false", "null", " \t\r\n[ 1 , 2.5E+7 ]\n",
        R"({"a":{"b":[{},[],"x\u20ac\uD83D\uDE00\/\b"]},"a":1,"":null})", "\xef\xbb\xbf{}",
        R"({"order":"4111111111111112","id":"123e4567-e89b-12d3-a456-426614174000"})",
        "[\"\xe2\x82\xac\", \"\xff broken \xc3\"]",
        R"({"code":"card_declined","key":"k","status":402})",
        R"({"tokens":5,"password_hint":"dog"})"})
    EXPECT_EQ(masks.json(json), json);
}

TEST(redactor_json, what_is_not_json_is_not_printed) {
  const redactor masks;
  for (const std::string_view text : {"",
                                      " ",
                                      "{",
                                      "}",
                                      "[1,]",
                                      "{\"a\":1,}",
                                      "{\"a\"}",
                                      "{a:1}",
                                      "{'a':1}",
                                      "[1 2]",
                                      "{\"a\":1}x",
                                      "nul",
                                      "truex",
                                      "01",
                                      "1.",
                                      ".5",
                                      "+1",
                                      "1e",
                                      "-",
                                      "\"",
                                      "\"a",
                                      "\"\\",
                                      "\"\\x\"",
                                      "\"\\u12\"",
                                      "\"\\u12g4\"",
                                      "\"line\nbreak\"",
                                      "NaN",
                                      "{\"password\":\"hunter2\"",
                                      "{\"password\":hunter2}",
                                      "{\"password\":\"hunter2\" \"b\"}",
                                      "{\"a\":{\"password\":\"x\"}]",
                                      "// comment\n{}",
                                      "[}"}) {
    const std::string mark = "[unparseable body, " + std::to_string(text.size()) + " bytes]";
    EXPECT_EQ(masks.json(text), mark) << text;
  }
  const std::string_view nul("{}\0", 3);
  EXPECT_EQ(masks.json(nul), "[unparseable body, 3 bytes]");
}

TEST(redactor_json, nesting_over_the_limit_is_not_printed) {
  redaction options;
  options.max_depth = 3;
  const redactor masks(options);
  EXPECT_EQ(masks.json("[[[1]]]"), "[[[1]]]");
  EXPECT_EQ(masks.json("[[[[1]]]]"), "[unparseable body, 9 bytes]");
  EXPECT_EQ(masks.json(R"({"a":{"b":{}}})"), R"({"a":{"b":{}}})");
  EXPECT_EQ(masks.json(R"({"a":{"b":{"c":{}}}})"), "[unparseable body, 20 bytes]");
  EXPECT_EQ(masks.json(R"({"token":[[[1]]]})"), "[unparseable body, 17 bytes]")
      << "masked values count";
  const std::string deep(1000000, '[');
  EXPECT_EQ(redactor().json(deep), "[unparseable body, 1000000 bytes]");
}

TEST(redactor_json, drop_leaves_null_and_hash_leaves_a_mark) {
  redaction options;
  options.hash_key_id = "k1";
  options.hash_key = secret{"0123456789abcdef"};
  options.fields.style = mask_style::keyed_hash;
  options.fields.add = {{"note", mask_style::drop}};
  const redactor masks(options);
  EXPECT_EQ(masks.json(R"({"note":"x","pan":"\u0034111111111111111"})"),
            R"({"note":null,"pan":"[hmac:k1:6ab68ca2a9a5]"})");
  EXPECT_EQ(masks.json(R"({"pan":4111111111111111})"), R"({"pan":"[hmac:k1:6ab68ca2a9a5]"})");
}

}  // namespace
