#include "http/beast/tls.hpp"

#include "hawser/run/detail/value.hpp"

#include "http/beast/openssl_use.hpp"
#include "http/bytes.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <new>
#include <optional>
#include <utility>

namespace hawser::inline v0::http {

void validate(const tls_options& o) {
  if (o.client_certificate_file && o.client_certificate_pem)
    throw config_error("tls.client_certificate_pem", "given",
                       "must not be given together with tls.client_certificate_file");
  if (o.client_key_file && o.client_key_pem)
    throw config_error("tls.client_key_pem", "given",
                       "must not be given together with tls.client_key_file");
  const bool certificate = o.client_certificate_file || o.client_certificate_pem;
  const bool key = o.client_key_file || o.client_key_pem;
  if (certificate && !key)
    throw config_error("tls.client_key_file", "nothing",
                       "must be given with a client certificate (or tls.client_key_pem)");
  if (key && !certificate)
    throw config_error("tls.client_certificate_file", "nothing",
                       "must be given with a client key (or tls.client_certificate_pem)");
  if (o.key_password && !key)
    throw config_error("tls.key_password", "given",
                       "must not be given without a client key (tls.client_key_file or "
                       "tls.client_key_pem)");
  if (o.min_version != tls_version::tls1_2 && o.min_version != tls_version::tls1_3)
    throw config_error("tls.min_version", std::to_string(static_cast<int>(o.min_version)),
                       "must be tls1_2 or tls1_3");
}

namespace beast {

namespace {

using bio_ptr = std::unique_ptr<BIO, openssl_free<BIO_free>>;
using x509_ptr = std::unique_ptr<X509, openssl_free<X509_free>>;
using key_ptr = std::unique_ptr<EVP_PKEY, openssl_free<EVP_PKEY_free>>;

constexpr std::size_t max_tickets = 16;

/// What OpenSSL complained about, in its words: the first thing, if not another.
std::string openssl_reason(unsigned long code = ERR_peek_error()) {
  if (code == 0) return "no reason given";
  if (ERR_SYSTEM_ERROR(code)) return std::strerror(ERR_GET_REASON(code));
  const char* text = ERR_reason_error_string(code);
  if (text != nullptr) return text;
  return "OpenSSL error " + std::to_string(code);
}

bool is_about_memory(unsigned long code) noexcept {
  return ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
}

/// Whether OpenSSL complains about memory among others, or about nothing, as it does where it found
/// none to complain with. Takes the complaints away.
bool openssl_lacks_memory() noexcept {
  unsigned long code = ERR_get_error();
  bool lacks = code == 0;
  for (; code != 0; code = ERR_get_error()) lacks = lacks || is_about_memory(code);
  return lacks;
}

/// OpenSSL makes its algorithms of one sort when the first is asked for, and when it finds no
/// memory just then the process is without them for ever. So that is done before there are calls.
void make_algorithms() {
  ERR_clear_error();
  EVP_KDF_free(EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  EVP_MAC_free(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  EVP_RAND_free(EVP_RAND_fetch(nullptr, "CTR-DRBG", nullptr));
  EVP_KEYEXCH_free(EVP_KEYEXCH_fetch(nullptr, "X25519", nullptr));
  EVP_SIGNATURE_free(EVP_SIGNATURE_fetch(nullptr, "RSA", nullptr));
  if (is_about_memory(ERR_peek_error()) || is_about_memory(ERR_peek_last_error()))
    throw std::bad_alloc();
  ERR_clear_error();
}

// --- own files ---------------------------------------------------------------------------------

/// Of an error of OpenSSL's, before the complaints are taken away.
[[noreturn]] void bad_credentials(const std::string& what, const std::string& why) {
  if (is_about_memory(ERR_peek_error()) || is_about_memory(ERR_peek_last_error()))
    throw std::bad_alloc();
  throw call_error(error(make_error_code(errc::tls_bad_credentials), what + ": " + why));
}

constexpr std::string_view check_path = "check the path and who may read it";
constexpr std::string_view give_pem = "; give PEM text, -----BEGIN CERTIFICATE----- and so on";

/// One piece of PEM and where it came from, "tls.ca_file '/etc/ca.pem'".
struct pem_text {
  std::string what;
  std::string text;
};

pem_text read_pem(std::string_view option, const std::string& path) {
  pem_text pem{"tls." + std::string(option) + " '" + bytes::shown(path) + "'", {}};
  if (path.find('\0') != std::string::npos)  // the system would open what stands before it
    bad_credentials(pem.what, "a path holds no NUL; " + std::string(check_path));
  std::ifstream file(path, std::ios::binary);
  if (!file)
    bad_credentials(pem.what, std::string("cannot be opened: ") + std::strerror(errno) + "; " +
                                  std::string(check_path));
  try {
    pem.text.assign(std::istreambuf_iterator<char>(file), {});
  } catch (const std::ios_base::failure&) {  // a directory, for one
    file.setstate(std::ios_base::badbit);
  }
  if (file.bad()) bad_credentials(pem.what, "cannot be read; " + std::string(check_path));
  return pem;
}

bio_ptr as_bio(std::string_view text) {
  return bio_ptr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

/// Never prompts on the terminal, as OpenSSL's own callback would.
int give_password(char* buffer, int size, int /*writing*/, void* user) {
  const auto* password = static_cast<const std::optional<secret>*>(user);
  if (password == nullptr || !password->has_value()) return -1;
  const std::string_view text = (*password)->expose();
  if (text.size() > static_cast<std::size_t>(size)) return -1;
  std::memcpy(buffer, text.data(), text.size());
  return static_cast<int>(text.size());
}

std::vector<x509_ptr> parse_certificates(const pem_text& pem) {
  ERR_clear_error();
  std::vector<x509_ptr> found;
  const bio_ptr in = as_bio(pem.text);
  while (X509* one = PEM_read_bio_X509(in.get(), nullptr, give_password, nullptr))
    found.emplace_back(one);
  const unsigned long last = ERR_peek_last_error();
  if (ERR_GET_REASON(last) != PEM_R_NO_START_LINE)
    bad_credentials(pem.what, "bad certificate: " + openssl_reason() + std::string(give_pem));
  if (found.empty())
    bad_credentials(pem.what, "holds no certificate in PEM form" + std::string(give_pem));
  ERR_clear_error();
  return found;
}

/// As it may go after OpenSSL has.
void free_store(X509_STORE* store) noexcept {
  const openssl_use use;
  if (use) X509_STORE_free(store);
}

void trust(X509_STORE* store, const pem_text& pem) {
  for (const x509_ptr& one : parse_certificates(pem))
    if (X509_STORE_add_cert(store, one.get()) != 1) bad_credentials(pem.what, openssl_reason());
}

/// As OpenSSL does by itself, but for a want of memory, which it takes for a want of roots, or for
/// the end of the file.
void trust_the_systems(X509_STORE* store) {
  const system_roots from = system_roots::here();
  ERR_clear_error();
  const bool loaded = X509_STORE_load_file(store, from.file.c_str()) == 1;
  // A want of memory is seldom the last error, as each outer layer adds its own, and may leave no
  // other than an outer layer's. Of the file's end it makes a good reading of too few.
  const unsigned long first = ERR_peek_error();
  const bool untold = !loaded && ERR_GET_REASON(first) == ERR_R_PEM_LIB;
  if (untold || ((!loaded || first != 0) && openssl_lacks_memory())) throw std::bad_alloc();
  const int why = !loaded && ERR_SYSTEM_ERROR(first) ? ERR_GET_REASON(first) : 0;
  if (why == EMFILE || why == ENFILE)
    bad_credentials("the system's store of authorities '" + from.file + "'",
                    std::string("cannot be opened: ") + std::strerror(why));
  ERR_clear_error();  // there may be no such file
  if (X509_STORE_load_path(store, from.directory.c_str()) != 1)
    bad_credentials("the system's store of authorities", openssl_reason());
}

/// OpenSSL reads a root's extensions when it first needs them, and distrusts it for ever if it
/// finds no memory just then; so they are read now.
void read_extensions(X509_STORE* store) {
  const STACK_OF(X509_OBJECT)* all = X509_STORE_get0_objects(store);
  ERR_clear_error();
  for (int i = 0; i < sk_X509_OBJECT_num(all); ++i)
    if (X509* root = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i)))
      X509_check_purpose(root, -1, 0);
  if (is_about_memory(ERR_peek_last_error())) throw std::bad_alloc();
  ERR_clear_error();
}

root_store load_trust(const tls_options& options) {
  const root_store store(X509_STORE_new(), free_store);
  if (!store) throw std::bad_alloc();
  if (options.ca_file) trust(store.get(), read_pem("ca_file", *options.ca_file));
  if (options.ca_pem) trust(store.get(), {"tls.ca_pem", *options.ca_pem});
  if (!options.ca_file && !options.ca_pem) trust_the_systems(store.get());
  read_extensions(store.get());
  return store;
}

void load_own_certificate(SSL_CTX* ctx, const tls_options& options) {
  pem_text chain;
  if (options.client_certificate_file)
    chain = read_pem("client_certificate_file", *options.client_certificate_file);
  else if (options.client_certificate_pem)
    chain = {"tls.client_certificate_pem", *options.client_certificate_pem};
  else
    return;
  std::vector<x509_ptr> certificates = parse_certificates(chain);
  if (SSL_CTX_use_certificate(ctx, certificates.front().get()) != 1)
    bad_credentials(chain.what, openssl_reason());
  for (std::size_t i = 1; i < certificates.size(); ++i)
    if (SSL_CTX_add1_chain_cert(ctx, certificates[i].get()) != 1)
      bad_credentials(chain.what, openssl_reason());

  pem_text key{"tls.client_key_pem", {}};
  if (options.client_key_file) key = read_pem("client_key_file", *options.client_key_file);
  const std::string_view text =
      options.client_key_file ? std::string_view(key.text) : options.client_key_pem->expose();
  auto password = options.key_password;
  ERR_clear_error();
  const key_ptr parsed(
      PEM_read_bio_PrivateKey(as_bio(text).get(), nullptr, give_password, &password));
  OPENSSL_cleanse(key.text.data(), key.text.size());
  if (!parsed)
    bad_credentials(key.what, "no usable private key in PEM form: " + openssl_reason() +
                                  (password ? "; is tls.key_password right?"
                                            : "; an encrypted key needs tls.key_password"));
  if (SSL_CTX_use_PrivateKey(ctx, parsed.get()) != 1 || SSL_CTX_check_private_key(ctx) != 1)
    bad_credentials(key.what, "is not the key of " + chain.what + ": " + openssl_reason() +
                                  "; give the key of its first certificate");
}

// --- certificates in words ---------------------------------------------------------------------

std::string take_text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(std::clamp(size, 0L, 256L)));
  // What a peer wrote may end up in a log.
  for (char& c : text)
    if (c < 0x20 || c > 0x7e) c = '?';
  return text;
}

std::string in_words(const X509_NAME* name) {
  const bio_ptr bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253);
  return take_text(bio.get());
}

std::string in_words(const ASN1_TIME* time) {
  const bio_ptr bio(BIO_new(BIO_s_mem()));
  ASN1_TIME_print(bio.get(), time);
  return take_text(bio.get());
}

std::string alternative_names(const X509* certificate) {
  constexpr int shown = 8;
  using names_ptr = std::unique_ptr<GENERAL_NAMES, openssl_free<GENERAL_NAMES_free>>;
  const names_ptr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (!names) return "none";
  const int count = sk_GENERAL_NAME_num(names.get());
  std::string text;
  for (int i = 0; i < std::min(count, shown); ++i) {
    const bio_ptr bio(BIO_new(BIO_s_mem()));
    GENERAL_NAME_print(bio.get(), sk_GENERAL_NAME_value(names.get(), i));
    if (i != 0) text += ", ";
    text += take_text(bio.get());
  }
  if (count > shown) text += " and " + std::to_string(count - shown) + " more";
  return text;
}

std::string describe(const X509* certificate) {
  return "subject '" + in_words(X509_get_subject_name(certificate)) + "', alternative names " +
         alternative_names(certificate) + ", issuer '" +
         in_words(X509_get_issuer_name(certificate)) + "', valid from " +
         in_words(X509_get0_notBefore(certificate)) + " to " +
         in_words(X509_get0_notAfter(certificate));
}

struct verdict_row {
  errc code;
  std::string_view remedy;
};

/// The code's own text has a remedy; here is what else may help.
verdict_row judge(long verify_error) noexcept {
  switch (verify_error) {
    case X509_V_ERR_CERT_HAS_EXPIRED: return {errc::certificate_expired, {}};
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return {errc::certificate_expired, "check this machine's clock"};
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return {errc::certificate_untrusted,
              "give the issuer's root in tls.ca_file, or have the server send its intermediates"};
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return {errc::certificate_untrusted, "if it is the right one, it is its own CA"};
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_CERT_UNTRUSTED:
    case X509_V_ERR_CERT_REJECTED:
      return {errc::certificate_untrusted, "check that tls.ca_file is this server's authority"};
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return {errc::certificate_name_mismatch,
              "connect by one of its alternative names, or have it reissued for this host; its "
              "common name does not count"};
    default: return {errc::certificate_rejected, "the server needs another certificate"};
  }
}

/// Alerts by which a peer turns down a handshake, ours or our certificate.
bool is_refusal(int reason) noexcept {
  switch (reason) {
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
    case SSL_R_SSLV3_ALERT_NO_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED: return true;
    default: return false;
  }
}

std::string_view remedy_for(int reason) noexcept {
  switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_WRONG_SSL_VERSION:
      return "; the server may know no TLS 1.3: if it must be reached, set tls.min_version to "
             "tls1_2";
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG: return "; the port does not seem to speak TLS";
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_SSLV3_ALERT_NO_CERTIFICATE:
      return "; the server wants a client certificate: set tls.client_certificate_file and "
             "tls.client_key_file";
    default:
      return is_refusal(reason) ? "; the server turned the handshake down: check "
                                  "tls.client_certificate_file and what the server demands"
                                : "";
  }
}

}  // namespace

// --- bytes in, bytes out -----------------------------------------------------------------------

/// Lets OpenSSL read from and write to a session's own buffers.
struct bio_glue {
  static tls_session& of(BIO* bio) { return *static_cast<tls_session*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* into, int room) {
    tls_session& s = of(bio);
    BIO_clear_retry_flags(bio);
    if (room <= 0) return 0;
    if (s.in_.empty()) {
      BIO_set_retry_read(bio);
      return -1;
    }
    const std::size_t n = std::min(s.in_.size(), static_cast<std::size_t>(room));
    std::memcpy(into, s.in_.data(), n);
    s.in_.remove_prefix(n);
    return static_cast<int>(n);
  }

  static int write(BIO* bio, const char* from, int size) {
    BIO_clear_retry_flags(bio);
    if (size <= 0) return 0;
    try {  // no exception through OpenSSL
      of(bio).made_.append(from, static_cast<std::size_t>(size));
    } catch (const std::bad_alloc&) {
      of(bio).out_of_memory_ = true;
      return -1;
    }
    return size;
  }

  static long control(BIO* bio, int command, long /*number*/, void* /*pointer*/) {
    switch (command) {
      case BIO_CTRL_FLUSH: return 1;
      case BIO_CTRL_PENDING: return static_cast<long>(of(bio).in_.size());
      default: return 0;
    }
  }

  static int create(BIO* bio) {
    BIO_set_init(bio, 1);
    return 1;
  }

  static bio_method_ptr method() {
    bio_method_ptr m(BIO_meth_new(BIO_TYPE_SOURCE_SINK, "hawser"));
    if (!m) return m;
    BIO_meth_set_read(m.get(), read);
    BIO_meth_set_write(m.get(), write);
    BIO_meth_set_ctrl(m.get(), control);
    BIO_meth_set_create(m.get(), create);
    return m;
  }
};

// --- context -----------------------------------------------------------------------------------

tls_context::tls_context(const tls_options& options, tls_peer peer, trusted_roots* shared)
    : peer_(std::move(peer)),
      min_version_(options.min_version),
      bio_method_(bio_glue::method()),
      ctx_(SSL_CTX_new(TLS_client_method())) {
  // "api.test." is the same host; neither SNI nor certificates spell the last dot (RFC 6066).
  if (!peer_.is_address && peer_.host.size() > 1 && peer_.host.back() == '.') peer_.host.pop_back();
  if (!bio_method_ || !ctx_) bad_credentials("TLS", openssl_reason());
  make_algorithms();
  SSL_CTX* ctx = ctx_.get();
  SSL_CTX_set_app_data(ctx, this);
  SSL_CTX_set_security_level(ctx, 2);
  SSL_CTX_set_min_proto_version(
      ctx, min_version_ == tls_version::tls1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_max_proto_version(ctx, 0);
  // Forward secrecy and authenticated encryption only (RFC 9325 section 4.2).
  SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20");
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_clear_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_LEGACY_SERVER_CONNECT);
  SSL_CTX_set_mode(ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_default_passwd_cb(ctx, give_password);
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, on_verify);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ctx, on_new_session);
  static constexpr unsigned char protocols[] = "\x08http/1.1";
  SSL_CTX_set_alpn_protos(ctx, protocols, sizeof protocols - 1);
  const auto load = [&] { return load_trust(options); };
  roots_ = shared != nullptr ? shared->find(options, load) : load();
  SSL_CTX_set1_cert_store(ctx, roots_.get());
  load_own_certificate(ctx, options);

  X509_VERIFY_PARAM* verify = SSL_CTX_get0_param(ctx);
  X509_VERIFY_PARAM_set_hostflags(
      verify, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  const int named = peer_.is_address
                        ? X509_VERIFY_PARAM_set1_ip_asc(verify, peer_.host.c_str())
                        : X509_VERIFY_PARAM_set1_host(verify, peer_.host.data(), peer_.host.size());
  if (named != 1) bad_credentials("TLS", "cannot verify the host '" + peer_.host + "'");
  tickets_.reserve(max_tickets);
}

tls_context::~tls_context() {
  const openssl_use use;
  if (use) {
    tickets_.clear();
    ctx_.reset();
    bio_method_.reset();
    return;
  }
  for (ssl_session_ptr& ticket : tickets_) (void)ticket.release();
  (void)ctx_.release();
  (void)bio_method_.release();
}

ssl_ptr tls_context::make_ssl() const { return ssl_ptr(SSL_new(ctx_.get())); }

int tls_context::on_new_session(SSL* ssl, SSL_SESSION* session) {
  auto* self = static_cast<tls_context*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  if (SSL_SESSION_is_resumable(session) != 1) return 0;
  const std::lock_guard lock(self->mutex_);
  if (self->tickets_.size() == max_tickets) self->tickets_.erase(self->tickets_.begin());
  self->tickets_.emplace_back(session);
  return 1;  // the reference is ours now
}

ssl_session_ptr tls_context::take_ticket() {
  const std::lock_guard lock(mutex_);
  while (!tickets_.empty()) {
    ssl_session_ptr ticket = std::move(tickets_.back());
    tickets_.pop_back();
    // OpenSSL counts the age of sessions on the wall clock, so must we.
    const auto age = static_cast<long>(std::time(nullptr)) - SSL_SESSION_get_time(ticket.get());
    if (age < 0 || age >= SSL_SESSION_get_timeout(ticket.get())) continue;
    if (SSL_SESSION_get_protocol_version(ticket.get()) < TLS1_3_VERSION &&
        SSL_SESSION_up_ref(ticket.get()) == 1)
      tickets_.emplace_back(ticket.get());
    return ticket;
  }
  return nullptr;
}

int tls_context::on_verify(int ok, X509_STORE_CTX* store) {
  if (ok == 1) return 1;
  const auto* ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* session = static_cast<tls_session*>(SSL_get_app_data(ssl));
  session->verify_error_ = X509_STORE_CTX_get_error(store);
  session->verify_depth_ = X509_STORE_CTX_get_error_depth(store);
  const X509* at_fault = X509_STORE_CTX_get_current_cert(store);
  if (at_fault == nullptr) at_fault = X509_STORE_CTX_get0_cert(store);
  try {
    if (at_fault != nullptr) session->verify_about_ = describe(at_fault);
  } catch (const std::bad_alloc&) {  // the verdict does without
  }
  return 0;
}

// --- session -----------------------------------------------------------------------------------

tls_session::tls_session(std::shared_ptr<tls_context> context) : context_(std::move(context)) {
  const openssl_use use;
  if (!use) {
    (void)process_ends();
    return;
  }
  ssl_ = context_->make_ssl();
  BIO* bio = ssl_ ? BIO_new(context_->bio_method_.get()) : nullptr;
  if (bio == nullptr) {
    broken_ = true;
    failure_ = hawser::detail::out_of_memory();  // there is no other reason
    return;
  }
  BIO_set_data(bio, this);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_app_data(ssl_.get(), this);
  SSL_set_connect_state(ssl_.get());
  const tls_peer& peer = context_->peer();
  if (!peer.is_address) SSL_set_tlsext_host_name(ssl_.get(), peer.host.c_str());
  if (const ssl_session_ptr ticket = context_->take_ticket())
    SSL_set_session(ssl_.get(), ticket.get());
}

tls_session::~tls_session() {
  const openssl_use use;
  if (!use) {
    (void)ssl_.release();
    return;
  }
  // SSL_free would otherwise mark the session as not resumable when no close_notify came, as most
  // servers send none. Whether an answer was complete is judged by its framing, not by this.
  if (ssl_ && !broken_) SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  ssl_.reset();
  context_.reset();
}

/// OpenSSL is gone, or about to go.
tls_session::result tls_session::process_ends() {
  broken_ = true;
  failure_ = error(make_error_code(errc::client_closed), "the process ends");
  return result::failed;
}

tls_session::result tls_session::handshake() {
  if (broken_) return result::failed;
  const openssl_use use;
  if (!use) return process_ends();
  ERR_clear_error();
  const int r = SSL_do_handshake(ssl_.get());
  if (r == 1) {
    handshaken_ = true;
    return result::done;
  }
  if (SSL_get_error(ssl_.get(), r) == SSL_ERROR_WANT_READ) return result::want_more;
  return fail();
}

tls_session::result tls_session::encrypt(std::string_view plain) {
  if (broken_) return result::failed;
  if (plain.empty()) return result::done;
  const openssl_use use;
  if (!use) return process_ends();
  ERR_clear_error();
  std::size_t taken = 0;
  const int r = SSL_write_ex(ssl_.get(), plain.data(), plain.size(), &taken);
  return r == 1 && taken == plain.size() ? result::done : fail();
}

tls_session::result tls_session::decrypt(char* into, std::size_t room, std::size_t& n) {
  n = 0;
  if (broken_) return result::failed;
  const openssl_use use;
  if (!use) return process_ends();
  ERR_clear_error();
  const int r = SSL_read_ex(ssl_.get(), into, room, &n);
  if (r == 1) return result::done;
  switch (SSL_get_error(ssl_.get(), r)) {
    case SSL_ERROR_WANT_READ: return result::want_more;
    case SSL_ERROR_ZERO_RETURN: return result::closed;
    default: return fail();
  }
}

void tls_session::end() noexcept {
  if (broken_ || !handshaken_) return;
  const openssl_use use;
  if (!use) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
}

tls_session::result tls_session::fail() {
  broken_ = true;
  const unsigned long first = ERR_peek_error();
  const unsigned long last = ERR_peek_last_error();
  if (openssl_lacks_memory() || out_of_memory_ || verify_error_ == X509_V_ERR_OUT_OF_MEM) {
    failure_ = hawser::detail::out_of_memory();
    return result::failed;
  }
  const int reason = ERR_GET_REASON(first);
  refused_ = ERR_GET_LIB(first) == ERR_LIB_SSL && is_refusal(reason);
  const bool unverified = !handshaken_ && verify_error_ != X509_V_OK;
  // A refusal may come when the handshake is over on our side only.
  const bool stood = handshaken_ && !refused_;
  failure_ = unverified ? judge(verify_error_).code
             : stood    ? errc::tls_broken
                        : errc::tls_handshake_failed;
  try {
    if (unverified)
      failure_ = explain_verification();
    else if (stood)  // the first complaint is the cipher's, the last one what it means for TLS
      failure_ =
          error(failure_.code(), "host '" + context_->peer().host + "': " + openssl_reason(last));
    else
      failure_ =
          error(failure_.code(), "host '" + context_->peer().host + "': " + openssl_reason(first) +
                                     std::string(remedy_for(reason)));
  } catch (const std::bad_alloc&) {  // the code alone
  }
  return result::failed;
}

error tls_session::explain_verification() const {
  const verdict_row row = judge(verify_error_);
  std::string text =
      "host '" + context_->peer().host + "': " + X509_verify_cert_error_string(verify_error_);
  text += verify_depth_ == 0 ? "; the server's certificate: "
                             : "; certificate " + std::to_string(verify_depth_) + " of its chain: ";
  text += verify_about_;
  if (!row.remedy.empty()) text.append("; ").append(row.remedy);
  return error(make_error_code(row.code), std::move(text));
}

}  // namespace beast

}  // namespace hawser::inline v0::http
