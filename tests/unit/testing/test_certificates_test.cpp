#include "hawser/testing/test_certificates.hpp"

#include "hawser/core/error.hpp"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace test_certificates_test {
namespace {

using namespace hawser::testing;

using bio_ptr = std::unique_ptr<BIO, decltype(&BIO_free)>;
using cert_ptr = std::unique_ptr<X509, decltype(&X509_free)>;
using key_ptr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

bio_ptr reader(const std::string& pem) {
  return {BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free};
}

std::vector<cert_ptr> parse(const std::string& pem) {
  std::vector<cert_ptr> out;
  const bio_ptr in = reader(pem);
  while (X509* each = PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr))
    out.emplace_back(each, &X509_free);
  return out;
}

key_ptr parse_key(const std::string& pem) {
  const bio_ptr in = reader(pem);
  return {PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr), &EVP_PKEY_free};
}

/// OpenSSL's verdict on a chain, as a client (or a server, for client certificates) would ask.
int verdict(const std::string& trusted, const issued_certificate& shown,
            int purpose = X509_PURPOSE_SSL_SERVER) {
  const auto roots = parse(trusted);
  const auto chain = parse(shown.chain);
  const std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)> store(X509_STORE_new(),
                                                                      &X509_STORE_free);
  for (const auto& root : roots) X509_STORE_add_cert(store.get(), root.get());
  STACK_OF(X509)* others = sk_X509_new_null();
  for (std::size_t i = 1; i < chain.size(); ++i) sk_X509_push(others, chain[i].get());
  const std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> context(
      X509_STORE_CTX_new(), &X509_STORE_CTX_free);
  X509_STORE_CTX_init(context.get(), store.get(), chain.at(0).get(), others);
  X509_STORE_CTX_set_purpose(context.get(), purpose);
  X509_verify_cert(context.get());
  const int result = X509_STORE_CTX_get_error(context.get());
  sk_X509_free(others);
  return result;
}

bool fits(const issued_certificate& shown, const std::string& host, unsigned flags = 0) {
  const auto leaf = parse(shown.certificate);
  return X509_check_host(leaf.at(0).get(), host.data(), host.size(),
                         flags | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr) == 1;
}

TEST(test_certificates, a_default_leaf_is_good_for_this_host) {
  const test_authority authority;
  const issued_certificate made = authority.issue();
  EXPECT_EQ(verdict(authority.certificate(), made), X509_V_OK);
  EXPECT_TRUE(fits(made, "localhost"));
  EXPECT_FALSE(fits(made, "elsewhere.test"));
  const auto leaf = parse(made.certificate);
  EXPECT_EQ(X509_check_ip_asc(leaf[0].get(), "127.0.0.1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(leaf[0].get(), "::1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(leaf[0].get(), "127.0.0.2", 0), 0);
  EXPECT_EQ(X509_check_private_key(leaf[0].get(), parse_key(made.key).get()), 1);
  EXPECT_EQ(X509_get_version(leaf[0].get()), 2);
}

TEST(test_certificates, keys_and_serial_numbers_differ) {
  const test_authority authority;
  const auto one = authority.issue();
  const auto two = authority.issue();
  EXPECT_NE(one.key, two.key);
  const auto a = parse(one.certificate);
  const auto b = parse(two.certificate);
  EXPECT_NE(ASN1_INTEGER_cmp(X509_get_serialNumber(a[0].get()), X509_get_serialNumber(b[0].get())),
            0);
}

TEST(test_certificates, another_authority_is_not_trusted) {
  const test_authority authority;
  const test_authority stranger;
  EXPECT_NE(verdict(stranger.certificate(), authority.issue()), X509_V_OK);
}

TEST(test_certificates, dates_are_wrong_as_asked) {
  const test_authority authority;
  EXPECT_EQ(verdict(authority.certificate(), authority.issue(expired_leaf())),
            X509_V_ERR_CERT_HAS_EXPIRED);
  EXPECT_EQ(verdict(authority.certificate(), authority.issue(not_yet_valid_leaf())),
            X509_V_ERR_CERT_NOT_YET_VALID);
}

TEST(test_certificates, a_self_signed_leaf_is_signed_by_itself) {
  const test_authority authority;
  const auto made = authority.issue(self_signed_leaf());
  EXPECT_EQ(verdict(authority.certificate(), made), X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
  const auto leaf = parse(made.certificate);
  EXPECT_EQ(X509_verify(leaf[0].get(), parse_key(made.key).get()), 1);
  EXPECT_TRUE(fits(made, "localhost"));
}

TEST(test_certificates, a_name_in_the_common_name_only_is_no_alternative_name) {
  const test_authority authority;
  const auto made = authority.issue(common_name_only_leaf("api.test"));
  EXPECT_EQ(verdict(authority.certificate(), made), X509_V_OK);
  EXPECT_FALSE(fits(made, "api.test"));
  const auto leaf = parse(made.certificate);
  // Clients of old, who do look at the common name, find it there.
  EXPECT_EQ(X509_check_host(leaf[0].get(), "api.test", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_get_ext_by_NID(leaf[0].get(), NID_subject_alt_name, -1), -1);
}

TEST(test_certificates, a_wrong_host_is_wrong_and_nothing_else) {
  const test_authority authority;
  const auto made = authority.issue(wrong_host_leaf("elsewhere.test"));
  EXPECT_EQ(verdict(authority.certificate(), made), X509_V_OK);
  EXPECT_FALSE(fits(made, "localhost"));
  EXPECT_TRUE(fits(made, "elsewhere.test"));
}

TEST(test_certificates, wildcards_are_whole_or_partial) {
  const test_authority authority;
  const auto whole = authority.issue(wildcard_leaf("api.test"));
  EXPECT_TRUE(fits(whole, "a.api.test"));
  EXPECT_FALSE(fits(whole, "api.test"));
  EXPECT_FALSE(fits(whole, "a.b.api.test"));
  const auto partial = authority.issue(partial_wildcard_leaf("a", "api.test"));
  EXPECT_TRUE(fits(partial, "ab.api.test"));  // OpenSSL accepts it unless told otherwise
  EXPECT_FALSE(fits(partial, "ab.api.test", X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS));
}

TEST(test_certificates, client_certificates_are_for_clients) {
  const test_authority authority;
  const auto made = authority.issue(client_leaf("billing"));
  EXPECT_EQ(verdict(authority.certificate(), made, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
  EXPECT_EQ(verdict(authority.certificate(), made, X509_PURPOSE_SSL_SERVER),
            X509_V_ERR_INVALID_PURPOSE);
  EXPECT_EQ(verdict(authority.certificate(), authority.issue(), X509_PURPOSE_SSL_CLIENT),
            X509_V_ERR_INVALID_PURPOSE);
}

TEST(test_certificates, an_intermediate_is_part_of_the_chain) {
  const test_authority root;
  const test_authority middle = root.intermediate();
  const test_authority lower = middle.intermediate("lower");
  auto made = lower.issue();
  EXPECT_EQ(parse(made.chain).size(), 3u);
  EXPECT_EQ(verdict(root.certificate(), made), X509_V_OK);
  made.chain = made.certificate;  // a server that forgot its intermediates
  EXPECT_EQ(verdict(root.certificate(), made), X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
}

TEST(test_certificates, odd_names_are_put_in_unchanged) {
  const test_authority authority;
  leaf_request odd;
  odd.names = {std::string(80, 'a') + ".test", "x,DNS:y"};
  const auto made = authority.issue(odd);
  EXPECT_TRUE(fits(made, std::string(80, 'a') + ".test"));
  EXPECT_FALSE(fits(made, "y"));
}

TEST(test_certificates, a_bad_address_is_named) {
  const test_authority authority;
  leaf_request bad;
  bad.addresses = {"127.0.0.300"};
  try {
    static_cast<void>(authority.issue(bad));
    FAIL() << "accepted";
  } catch (const hawser::config_error& e) {
    EXPECT_EQ(e.field(), "leaf_request.addresses");
  }
}

}  // namespace
}  // namespace test_certificates_test
