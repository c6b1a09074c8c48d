// Kinds of secrets: keys of vendors, addresses of webhooks, names.
#include "hawser/observe/redactor.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace redactor_kinds_test {
namespace {

using hawser::redaction;
using hawser::redactor;

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

/// `length` characters of an alphabet, the same each time.
std::string body(std::string_view alphabet, std::size_t length) {
  std::string text;
  for (std::size_t i = 0; i < length; ++i) text += alphabet[(7 * i + 3) % alphabet.size()];
  return text;
}

constexpr std::string_view alnum = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr std::string_view capitals = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr std::string_view hexadecimal = "0123456789abcdef";

struct vendor_key {
  std::string_view prefix;
  std::string_view alphabet;
  std::size_t length;
};

// As they are published; put together here so that no scanner takes this file for a leak.
constexpr vendor_key vendor_keys[] = {{"AKIA", capitals, 16},
                                      {"ABIA", capitals, 16},
                                      {"ABSK", alnum, 128},
                                      {"AIza", alnum, 35},
                                      {"GOCSPX-", alnum, 28},
                                      {"LTAI", alnum, 20},
                                      {"AKID", alnum, 32},
                                      {"SCW", capitals, 17},
                                      {"ATATT3", alnum, 186},
                                      {"ATBB", alnum, 32},
                                      {"CFPAT-", alnum, 43},
                                      {"EAA", alnum, 120},
                                      {"EAAA", alnum, 60},
                                      {"EZAK", alnum, 54},
                                      {"HRKU-", alnum, 60},
                                      {"NRAK-", capitals, 27},
                                      {"PMAK-", hexadecimal, 59},
                                      {"SK", hexadecimal, 32},
                                      {"aio_", alnum, 28},
                                      {"cio", alnum, 32},
                                      {"dapi", hexadecimal, 32},
                                      {"dckr_oat_", alnum, 32},
                                      {"dor_v1_", hexadecimal, 64},
                                      {"dp.pt.", alnum, 43},
                                      {"figd_", alnum, 40},
                                      {"fm2_", alnum, 80},
                                      {"ghp_", alnum, 36},
                                      {"glsa_", alnum, 41},
                                      {"glc_", alnum, 60},
                                      {"glrt-", alnum, 20},
                                      {"gsk_", alnum, 52},
                                      {"hvr.", alnum, 30},
                                      {"key-", hexadecimal, 32},
                                      {"lin_oauth_", hexadecimal, 64},
                                      {"lsv2_pt_", alnum, 40},
                                      {"ntn_", alnum, 46},
                                      {"nfp_", alnum, 36},
                                      {"oy2", "0123456789abcdefghijklmnop", 43},
                                      {"pplx-", alnum, 48},
                                      {"pscale_tkn_", alnum, 43},
                                      {"pul-", hexadecimal, 40},
                                      {"r8_", alnum, 37},
                                      {"re_", alnum, 33},
                                      {"rubygems_", hexadecimal, 48},
                                      {"sbp_", hexadecimal, 40},
                                      {"secret_", alnum, 43},
                                      {"sk-ant-api03-", alnum, 95},
                                      {"sk-proj-", alnum, 80},
                                      {"sntrys_", alnum, 60},
                                      {"squ_", hexadecimal, 40},
                                      {"tskey-auth-", alnum, 30},
                                      {"xai-", alnum, 80},
                                      {"xkeysib-", hexadecimal, 81},
                                      {"xoxb-", alnum, 50},
                                      {"access-production-", hexadecimal, 36},
                                      {"duffel_live_", alnum, 43},
                                      {"shippo_live_", hexadecimal, 40},
                                      {"y0_", alnum, 58}};

TEST(redactor_kinds, keys_of_vendors) {
  const redactor masks;
  for (const vendor_key& key : vendor_keys) {
    const std::string whole = std::string(key.prefix) + body(key.alphabet, key.length);
    EXPECT_EQ(masks.text("sent " + whole + " on"), "sent [masked] on") << whole;
    EXPECT_EQ(masks.json("[\"" + whole + "\"]"), "[\"[masked]\"]") << whole;
    EXPECT_EQ(masks.header("X-Note", whole), "[masked]") << whole;
  }
}

TEST(redactor_kinds, keys_whose_mark_is_within) {
  const redactor masks;
  const std::string digits = body(hexadecimal, 32);
  const std::string telegram = "123456789:AA" + body(alnum, 33);
  const std::string discord = body(alnum, 24) + "." + body(alnum, 6) + "." + body(alnum, 38);
  for (const std::string& key : {digits + "-us14", telegram, discord, "aB38Q~" + body(alnum, 34),
                                 "pat" + body(alnum, 14) + "." + body(hexadecimal, 64),
                                 body(alnum, 14) + ".atlasv1." + body(alnum, 64)})
    EXPECT_EQ(masks.text("key " + key + "."), "key [masked].") << key;
}

TEST(redactor_kinds, words_that_begin_like_keys_are_kept) {
  const redactor masks;
  for (const std::string_view text :
       {"secret_name_of_the_service_that_was_not_found", "re_index_all_documents_of_the_customer",
        "test_that_a_call_is_repeated_only_once", "live_migration_of_virtual_machines_done",
        "api-gateway-of-the-production-environment", "cio", "SKU-1234", "pat-riotic",
        "DSCP AF41 key-value store", "commit 4b1d0c9"})
    EXPECT_EQ(masks.text(text), text);
}

TEST(redactor_kinds, addresses_of_webhooks) {
  const redactor masks;
  const std::string ids = "T0" + body(capitals, 8) + "/B0" + body(capitals, 8) + "/";
  const std::string slack = "hooks.slack.com/services/";
  EXPECT_EQ(masks.text("post to https://" + slack + ids + body(alnum, 24) + " failed"),
            "post to https://" + slack + "[masked] failed");
  EXPECT_EQ(masks.url("https://" + slack + ids + body(alnum, 24)), "https://" + slack + "[masked]");
  EXPECT_EQ(masks.text("/services/" + ids + body(alnum, 24)), "/services/[masked]");
  const std::string discord = "123456789012345678/" + body(alnum, 68);
  EXPECT_EQ(masks.text(R"("https:\/\/discord.com\/api\/webhooks\/)" + discord + "\""),
            R"("https:\/\/discord.com\/api\/webhooks\/[masked]")");
  EXPECT_EQ(masks.url("https://discord.com/api/v10/webhooks/" + discord + "?wait=true"),
            "https://discord.com/api/v10/webhooks/[masked]?wait=true");
  const std::string uuid = "550e8400-e29b-41d4-a716-446655440000";
  EXPECT_EQ(masks.text("https://a.webhook.office.com/webhookb2/" + uuid + "@" + uuid +
                       "/IncomingWebhook/" + body(hexadecimal, 32) + "/" + uuid),
            "https://a.webhook.office.com/webhookb2/[masked]");
  EXPECT_EQ(masks.text("https://api.telegram.org/bot123456789:AA" + body(alnum, 33) + "/getMe"),
            "https://api.telegram.org/[masked]/getMe");
  EXPECT_EQ(masks.text("https://chat.googleapis.com/v1/spaces/AAA/messages?key=abc&token=d%3D"),
            "https://chat.googleapis.com/v1/spaces/AAA/messages?key=[masked]&token=[masked]");
  EXPECT_EQ(masks.text("https://chat.example.com/hooks/" + body(alnum, 26)),
            "https://chat.example.com/hooks/[masked]");
  EXPECT_EQ(masks.text("GET /services/" + uuid + " 200"), "GET /services/" + uuid + " 200");
  EXPECT_EQ(masks.text("/hooks/order_created/deliveries"), "/hooks/order_created/deliveries");
}

TEST(redactor_kinds, names_in_text) {
  check(redactor(),
        {
            {"password[0]=hunter2", "password[0]=[masked]"},
            {"secrets.12.3: hunter2", "secrets.12.3: [masked]"},
            {"DB_PASS=hunter2 MYSQL_PWD=hunter2", "DB_PASS=[masked] MYSQL_PWD=[masked]"},
            {"AccountName=x;AccountKey=abc/d==;Pwd=foo;",
             "AccountName=x;AccountKey=[masked];Pwd=[masked];"},
            {"smtp_pass: hunter2", "smtp_pass: [masked]"},
        });
}

TEST(redactor_kinds, headers_named_as_secrets_are_in_text) {
  const redactor masks;
  for (const std::string_view name :
       {"X-Db-Password", "X-Db-Passwd", "X-Passphrase", "X-Secret-Key", "Access-Key", "Pwd",
        "X-Private-Key", "Account-Number", "X-Session-Id", "Sig", "X-DB-Pass"}) {
    EXPECT_EQ(masks.header(name, "hunter2"), "[masked]") << name;
    EXPECT_TRUE(masks.is_secret_header(name)) << name;
  }
  for (const std::string_view name : {"Code", "Key", "X-Request-Id", "Bypass", "ETag"})
    EXPECT_EQ(masks.header(name, "hunter2"), "hunter2") << name;
  EXPECT_EQ(masks.header("X-RateLimit-Tokens", "17"), "17");
  redaction options;
  options.headers.remove = {"x-pwd"};
  EXPECT_EQ(redactor(options).header("Access-Key", "hunter2"), "[masked]");
}

}  // namespace
}  // namespace redactor_kinds_test
