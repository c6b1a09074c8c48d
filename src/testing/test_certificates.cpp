#include "hawser/testing/test_certificates.hpp"

#include "hawser/core/error.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <stdexcept>
#include <utility>

namespace hawser::inline v0::testing {

namespace {

template <auto Free>
struct deleter {
  template <class T>
  void operator()(T* p) const noexcept {
    Free(p);
  }
};

using key_ptr = std::unique_ptr<EVP_PKEY, deleter<EVP_PKEY_free>>;
using cert_ptr = std::unique_ptr<X509, deleter<X509_free>>;
using bio_ptr = std::unique_ptr<BIO, deleter<BIO_free_all>>;
using extension_ptr = std::unique_ptr<X509_EXTENSION, deleter<X509_EXTENSION_free>>;
using number_ptr = std::unique_ptr<BIGNUM, deleter<BN_free>>;
using octets_ptr = std::unique_ptr<ASN1_OCTET_STRING, deleter<ASN1_OCTET_STRING_free>>;
using names_ptr = std::unique_ptr<GENERAL_NAMES, deleter<GENERAL_NAMES_free>>;

[[noreturn]] void fail(const char* what) {
  std::array<char, 256> why{};
  ERR_error_string_n(ERR_get_error(), why.data(), why.size());
  ERR_clear_error();
  throw std::runtime_error(std::string("test certificate: ") + what + ": " + why.data());
}

void check(bool good, const char* what) {
  if (!good) fail(what);
}

key_ptr make_key() {
  key_ptr key(EVP_EC_gen("P-256"));
  check(key != nullptr, "key");
  return key;
}

template <class Write>
std::string to_pem(Write write) {
  const bio_ptr out(BIO_new(BIO_s_mem()));
  check(out != nullptr && write(out.get()) == 1, "PEM");
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

std::string pem_of(X509* cert) {
  return to_pem([&](BIO* out) { return PEM_write_bio_X509(out, cert); });
}

std::string pem_of(EVP_PKEY* key) {
  return to_pem([&](BIO* out) {
    return PEM_write_bio_PKCS8PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
}

/// A certificate without extensions, unsigned. Serial numbers are random, since clients may
/// refuse two certificates of one issuer with the same number.
cert_ptr begin_certificate(EVP_PKEY* key, const std::string& common_name, std::chrono::seconds from,
                           std::chrono::seconds length) {
  cert_ptr cert(X509_new());
  check(cert != nullptr, "allocation");
  check(X509_set_version(cert.get(), 2) == 1, "version");

  const number_ptr serial(BN_new());
  check(serial != nullptr && BN_rand(serial.get(), 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
            BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(cert.get())) != nullptr,
        "serial number");

  check(
      X509_gmtime_adj(X509_getm_notBefore(cert.get()), static_cast<long>(from.count())) != nullptr,
      "start of validity");
  check(X509_gmtime_adj(X509_getm_notAfter(cert.get()),
                        static_cast<long>((from + length).count())) != nullptr,
        "end of validity");

  X509_NAME* subject = X509_get_subject_name(cert.get());
  check(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                   reinterpret_cast<const unsigned char*>(common_name.data()),
                                   static_cast<int>(common_name.size()), -1, 0) == 1,
        "common name");
  check(X509_set_pubkey(cert.get(), key) == 1, "public key");
  return cert;
}

void add_extension(X509* cert, X509* issuer, int kind, const char* value) {
  X509V3_CTX context{};
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  const extension_ptr made(X509V3_EXT_conf_nid(nullptr, &context, kind, value));
  check(made != nullptr && X509_add_ext(cert, made.get(), -1) == 1, OBJ_nid2sn(kind));
}

/// Built name by name, not from OpenSSL's configuration syntax, in which a comma within a name
/// would begin another one.
void add_alternative_names(X509* cert, const leaf_request& what) {
  const names_ptr all(GENERAL_NAMES_new());
  check(all != nullptr, "allocation");
  const auto push = [&](int type, auto* text) {
    GENERAL_NAME* name = GENERAL_NAME_new();
    check(name != nullptr, "allocation");
    GENERAL_NAME_set0_value(name, type, text);
    if (sk_GENERAL_NAME_push(all.get(), name) <= 0) {
      GENERAL_NAME_free(name);
      fail("allocation");
    }
  };
  for (const std::string& each : what.names) {
    ASN1_IA5STRING* text = ASN1_IA5STRING_new();
    check(text != nullptr && ASN1_STRING_set(text, each.data(), static_cast<int>(each.size())) == 1,
          "name");
    push(GEN_DNS, text);
  }
  for (const std::string& each : what.addresses) {
    octets_ptr octets(a2i_IPADDRESS(each.c_str()));
    if (!octets) {
      ERR_clear_error();
      throw config_error("leaf_request.addresses", each, "must be an IPv4 or IPv6 address");
    }
    push(GEN_IPADD, octets.release());
  }
  if (sk_GENERAL_NAME_num(all.get()) > 0)
    check(X509_add1_ext_i2d(cert, NID_subject_alt_name, all.get(), 0, X509V3_ADD_APPEND) == 1,
          "alternative names");
}

void sign(X509* cert, EVP_PKEY* key) { check(X509_sign(cert, key, EVP_sha256()) > 0, "signature"); }

cert_ptr make_authority_certificate(EVP_PKEY* key, std::string_view name, X509* issuer,
                                    EVP_PKEY* issuer_key) {
  using namespace std::chrono_literals;
  cert_ptr cert = begin_certificate(key, std::string(name), -24h, 10 * 24h);
  X509* by = issuer != nullptr ? issuer : cert.get();
  check(X509_set_issuer_name(cert.get(), X509_get_subject_name(by)) == 1, "issuer");
  add_extension(cert.get(), by, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(cert.get(), by, NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(cert.get(), by, NID_subject_key_identifier, "hash");
  if (issuer != nullptr)
    add_extension(cert.get(), by, NID_authority_key_identifier, "keyid:always");
  sign(cert.get(), issuer_key != nullptr ? issuer_key : key);
  return cert;
}

leaf_request for_name(std::string name) {
  leaf_request what;
  what.names = {std::move(name)};
  return what;
}

}  // namespace

leaf_request expired_leaf(std::string name) {
  leaf_request what = for_name(std::move(name));
  what.valid_from = std::chrono::hours(-25);
  what.valid_for = std::chrono::hours(24);
  return what;
}

leaf_request not_yet_valid_leaf(std::string name) {
  leaf_request what = for_name(std::move(name));
  what.valid_from = std::chrono::hours(1);
  return what;
}

leaf_request self_signed_leaf(std::string name) {
  leaf_request what = for_name(std::move(name));
  what.self_signed = true;
  return what;
}

leaf_request common_name_only_leaf(std::string name) {
  leaf_request what = for_name(std::move(name));
  what.common_name_only = true;
  return what;
}

leaf_request wrong_host_leaf(std::string name) {
  leaf_request what = for_name(std::move(name));
  what.addresses.clear();
  return what;
}

leaf_request wildcard_leaf(std::string_view domain) {
  return wrong_host_leaf("*." + std::string(domain));
}

leaf_request partial_wildcard_leaf(std::string_view prefix, std::string_view domain) {
  return wrong_host_leaf(std::string(prefix) + "*." + std::string(domain));
}

leaf_request client_leaf(std::string name) {
  leaf_request what;
  what.names.clear();
  what.addresses.clear();
  what.common_name = std::move(name);
  what.client = true;
  return what;
}

struct test_authority::parts {
  key_ptr key{};
  cert_ptr cert{};
  std::string pem{};
  std::string intermediates{};  // PEM of this authority and those above it, without the root
};

test_authority::test_authority(std::string_view name) : parts_(std::make_unique<parts>()) {
  parts_->key = make_key();
  parts_->cert = make_authority_certificate(parts_->key.get(), name, nullptr, nullptr);
  parts_->pem = pem_of(parts_->cert.get());
}

test_authority::test_authority(std::unique_ptr<parts> made) noexcept : parts_(std::move(made)) {}
test_authority::~test_authority() = default;
test_authority::test_authority(test_authority&&) noexcept = default;
test_authority& test_authority::operator=(test_authority&&) noexcept = default;

const std::string& test_authority::certificate() const& noexcept { return parts_->pem; }

issued_certificate test_authority::issue(const leaf_request& what) const {
  std::string common_name = what.common_name;
  // X.520 admits 64 characters; a name of a host may be longer.
  if (common_name.empty() && !what.names.empty() && what.names.front().size() <= 64)
    common_name = what.names.front();
  if (common_name.empty()) common_name = "leaf";

  const key_ptr key = make_key();
  const cert_ptr cert = begin_certificate(key.get(), common_name, what.valid_from, what.valid_for);
  X509* issuer = what.self_signed ? cert.get() : parts_->cert.get();
  check(X509_set_issuer_name(cert.get(), X509_get_subject_name(issuer)) == 1, "issuer");
  add_extension(cert.get(), issuer, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(cert.get(), issuer, NID_key_usage, "critical,digitalSignature");
  add_extension(cert.get(), issuer, NID_ext_key_usage, what.client ? "clientAuth" : "serverAuth");
  add_extension(cert.get(), issuer, NID_subject_key_identifier, "hash");
  if (!what.self_signed)
    add_extension(cert.get(), issuer, NID_authority_key_identifier, "keyid:always");
  if (!what.common_name_only) add_alternative_names(cert.get(), what);
  sign(cert.get(), what.self_signed ? key.get() : parts_->key.get());

  issued_certificate made;
  made.certificate = pem_of(cert.get());
  made.chain = what.self_signed ? made.certificate : made.certificate + parts_->intermediates;
  made.key = pem_of(key.get());
  return made;
}

test_authority test_authority::intermediate(std::string_view name) const {
  auto made = std::make_unique<parts>();
  made->key = make_key();
  made->cert =
      make_authority_certificate(made->key.get(), name, parts_->cert.get(), parts_->key.get());
  made->pem = pem_of(made->cert.get());
  made->intermediates = made->pem + parts_->intermediates;
  return test_authority(std::move(made));
}

}  // namespace hawser::inline v0::testing
