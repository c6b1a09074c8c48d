#include "hawser/observe/redactor.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace redactor_json_test {
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

TEST(redactor_json, lists_of_secrets_and_repeated_ones_are_masked) {
  const redactor masks;
  for (const auto& [in, out] : rows{
           {R"({"password_confirmation":"x","passwordConfirm":"x","new_password2":"x"})",
            R"({"password_confirmation":"[masked]","passwordConfirm":"[masked]",)"
            R"("new_password2":"[masked]"})"},
           {R"({"tokens":["x"],"api_keys":["x","y"],"secretKeys":{"a":"x"}})",
            R"({"tokens":"[masked]","api_keys":"[masked]","secretKeys":"[masked]"})"},
           {R"({"refresh_tokens":"x","tokens":"512","accessKeys":"x"})",
            R"({"refresh_tokens":"[masked]","tokens":"[masked]","accessKeys":"[masked]"})"},
           {R"({"api_keys":123})", R"({"api_keys":"[masked]"})"},
       })
    EXPECT_EQ(masks.json(in), out) << in;
}

TEST(redactor_json, numbers_of_tokens_are_counts) {
  const std::string_view usage =
      R"({"max_tokens":4096,"usage":{"total_tokens":-1.5e3,"tokens":0}})";
  EXPECT_EQ(redactor().json(usage), usage);
  EXPECT_EQ(redactor().json(R"({"tokens":4111111111111111})"), R"({"tokens":"[masked]"})");
  EXPECT_EQ(redactor().json(R"({"name":"max_tokens","value":7})"),
            R"({"name":"max_tokens","value":7})");
  EXPECT_EQ(redactor().json(R"({"value":7,"name":"max_tokens"})"),
            R"({"value":7,"name":"max_tokens"})");
  redaction options;
  options.fields.add = {{"max_tokens"}};
  EXPECT_EQ(redactor(options).json(usage),
            R"({"max_tokens":"[masked]","usage":{"total_tokens":-1.5e3,"tokens":0}})");
}

TEST(redactor_json, names_of_headers_are_names_of_members) {
  redaction options;
  options.headers.add = {{"X-Tenant"}};
  const redactor masks(options);
  EXPECT_EQ(masks.json(R"({"X-Auth-Key":"x","x-tenant":["x"],"stripe_signature":"x"})"),
            R"({"X-Auth-Key":"[masked]","x-tenant":"[masked]","stripe_signature":"[masked]"})");
  options.fields.remove = {"x-auth-key", "*token"};
  EXPECT_EQ(redactor(options).json(R"({"X-Auth-Key":"x","a_token":"x","x-tenant":"x"})"),
            R"({"X-Auth-Key":"x","a_token":"x","x-tenant":"[masked]"})")
      << "what is taken out of `fields` is out";
}

TEST(redactor_json, members_are_told_by_others_before_and_behind) {
  const redactor masks;
  for (const auto& [in, out] : rows{
           {R"({"name":"password","value":"hunter2"})",
            R"({"name":"password","value":"[masked]"})"},
           {R"({"value":"hunter2","name":"password"})",
            R"({"value":"[masked]","name":"password"})"},
           {R"({ "value" : "abc" , "n" : 1 , "name" : "X-Api-Key" } )",
            R"({ "value" : "[masked]" , "n" : 1 , "name" : "X-Api-Key" } )"},
           {R"({"Value":"x","Key":"DB_PASSWORD"})", R"({"Value":"[masked]","Key":"DB_PASSWORD"})"},
           {R"([{"value":"x","key":"a"},{"value":"y","key":"token"},{"value":"z"}])",
            R"([{"value":"x","key":"a"},{"value":"[masked]","key":"token"},{"value":"z"}])"},
           {R"({"value":{"a":["x",{"value":"y","name":"pin"}]},"name":"secret","b":"c"})",
            R"({"value":"[masked]","name":"secret","b":"c"})"},
           {R"({"value":{"value":"y","name":"pin"},"name":"a","b":"c"})",
            R"({"value":{"value":"[masked]","name":"pin"},"name":"a","b":"c"})"},
           {R"({"value":"x","a":{"name":"password"}})", R"({"value":"x","a":{"name":"password"}})"},
           {R"({"value":"x","value":"y","name":"pin"})",
            R"({"value":"[masked]","value":"[masked]","name":"pin"})"},
           {R"({"name":"password","key":"a","value":"x"})",
            R"({"name":"password","key":"a","value":"[masked]"})"},
           {R"({"value":"bob@mail.example 1","name":"a"})", R"({"value":"[masked] 1","name":"a"})"},
           {R"({"value":"bob@mail.example 1","name":"pin"})",
            R"({"value":"[masked]","name":"pin"})"},
           {R"({"value":null,"name":"pin"})", R"({"value":null,"name":"pin"})"},
           {R"({"value":12,"name":"pin"})", R"({"value":"[masked]","name":"pin"})"},
           {R"({"value":"Bearer x","header":"authorization"})",
            R"({"value":"Bearer [masked]","header":"authorization"})"},
           {R"({"op":"replace","path":"/user/password","value":"x"})",
            R"({"op":"replace","path":"/user/password","value":"[masked]"})"},
           {R"({"op":"add","path":"/passwords/-","value":"x"})",
            R"({"op":"add","path":"/passwords/-","value":"[masked]"})"},
           {R"({"op":"add","path":"/secrets/db","value":"x"})",
            R"({"op":"add","path":"/secrets/db","value":"[masked]"})"},
           {R"({"op":"add","path":"/of~1all/api~0~1password","value":"x"})",
            R"({"op":"add","path":"/of~1all/api~0~1password","value":"[masked]"})"},
           {R"({"op":"add","path":"/users/0/age","value":"x"})",
            R"({"op":"add","path":"/users/0/age","value":"x"})"},
           {R"({"value":12345678,"name":"password","field":"tokens"})",
            R"({"value":"[masked]","name":"password","field":"tokens"})"},
           {R"({"rejectedValue":"x","field":"password"})",
            R"({"rejectedValue":"[masked]","field":"password"})"},
           {R"({"values":["x"],"property":"token"})",
            R"({"values":"[masked]","property":"token"})"},
       })
    EXPECT_EQ(masks.json(in), out) << in;
  EXPECT_EQ(masks.json(R"({"value":"hunter2","name":"password")"), "[unparseable body, 36 bytes]");
}

TEST(redactor_json, values_before_their_names_take_linear_time) {
  // Each level is to be masked, the innermost first: the outermost alone is.
  std::string text = "1";
  redaction options;
  options.max_depth = 512;
  options.hash_key_id = "k1";
  options.hash_key = secret{"0123456789abcdef"};
  options.fields.style = mask_style::keyed_hash;
  for (int i = 0; i < 500; ++i) text = R"({"value":)" + text + R"(,"name":"password"})";
  EXPECT_EQ(redactor(options).json(text).size(),
            std::string_view(R"({"value":"[hmac:k1:6ab68ca2a9a5]","name":"password"})").size());
  std::string many = "[";
  for (int i = 0; i < 20000; ++i) many += R"({"value":"hunter2","name":"password"},)";
  many.back() = ']';
  const std::string out = redactor().json(many);
  EXPECT_EQ(out.find("hunter2"), std::string::npos);
  EXPECT_EQ(out.size(), many.size() + 20000);
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
           {R"({"href":"//a:b@h/x","to":"\/\/a@h"})",
            R"({"href":"//[masked]@h/x","to":"//[masked]@h"})"},
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
  EXPECT_EQ(masks.json(R"([{"value":"x","name":"note"},{"value":"4111111111111111","key":"pan"}])"),
            R"([{"value":null,"name":"note"},{"value":"[hmac:k1:6ab68ca2a9a5]","key":"pan"}])");
  EXPECT_EQ(masks.json(R"({"pan":4111111111111111})"), R"({"pan":"[hmac:k1:6ab68ca2a9a5]"})");
}

TEST(redactor_json, pairs_by_position_are_masked) {
  const redactor masks;
  for (const auto& [in, out] : rows{
           {R"(["x-api-key","S"])", R"(["x-api-key","[masked]"])"},
           {R"([["x-api-key","S"],["Host","a"],["cookie","a=b"]])",
            R"([["x-api-key","[masked]"],["Host","a"],["cookie","[masked]"]])"},
           {R"(["Authorization","Bearer S","Host","y","X-Api-Key","S"])",
            R"(["Authorization","Bearer [masked]","Host","y","X-Api-Key","[masked]"])"},
           {R"(["Host","y", "X-Api-Key", "S" ,"x","y"])",
            R"(["Host","y", "X-Api-Key", "[masked]" ,"x","y"])"},
           {R"(["password",["S","b"]])", R"(["password","[masked]"])"},
           {R"(["password",12])", R"(["password","[masked]"])"},
           {R"(["pin","1234"])", R"(["pin","[masked]"])"},
           {R"(["pin","board"])", R"(["pin","board"])"},
           {R"(["password","token"])", R"(["password","token"])"},
           {R"({"required":["email","name","password","token"]})",
            R"({"required":["email","name","password","token"]})"},
       })
    EXPECT_EQ(masks.json(in), out);
}

TEST(redactor_json, what_was_wrong_with_a_form_is_told_without_what_was_in_it) {
  const redactor masks;
  for (const auto& [in, out] : rows{
           {R"([{"loc":["body","password"],"msg":"too short","input":"S"}])",
            R"([{"loc":["body","password"],"msg":"too short","input":"[masked]"}])"},
           {R"([{"input":"S","loc":["body",0,"password"]}])",
            R"([{"input":"[masked]","loc":["body",0,"password"]}])"},
           {R"({"instancePath":"/password","data":"S"})",
            R"({"instancePath":"/password","data":"[masked]"})"},
           {R"({"data":{"a":"S"},"instancePath":"#/password"})",
            R"({"data":"[masked]","instancePath":"#/password"})"},
           {R"({"path":["password"],"received":"S"})",
            R"({"path":["password"],"received":"[masked]"})"},
           {R"({"k":"api_key","v":"S"})", R"({"k":"api_key","v":"[masked]"})"},
           {R"({"attribute":"user.password","val":"S"})",
            R"({"attribute":"user.password","val":"[masked]"})"},
           {R"({"loc":["body","age"],"input":"S"})", R"({"loc":["body","age"],"input":"S"})"},
       })
    EXPECT_EQ(masks.json(in), out);
}

}  // namespace
}  // namespace redactor_json_test
