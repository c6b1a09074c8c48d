// TLS without a socket: bytes in, bytes out. OpenSSL stays behind this header.
//
//   tls_session s(context);                  // one connection's
//   s.give(ciphertext_from_peer); s.handshake();
//   s.encrypt(request); send(s.out());
//   s.decrypt(buffer, size, n);
#pragma once

#include "hawser/core/error.hpp"
#include "hawser/http/transport_options.hpp"

#include "http/beast/trusted_roots.hpp"

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::inline v0::http::beast {

template <auto Free>
struct openssl_free {
  template <class T>
  void operator()(T* p) const noexcept {
    Free(p);
  }
};
using ssl_ctx_ptr = std::unique_ptr<SSL_CTX, openssl_free<SSL_CTX_free>>;
using ssl_ptr = std::unique_ptr<SSL, openssl_free<SSL_free>>;
using ssl_session_ptr = std::unique_ptr<SSL_SESSION, openssl_free<SSL_SESSION_free>>;
using bio_method_ptr = std::unique_ptr<BIO_METHOD, openssl_free<BIO_meth_free>>;

/// Whom we talk to.
struct tls_peer {
  std::string host;         ///< As in the URL, an IPv6 address without brackets.
  bool is_address = false;  ///< An IP address: matched as such, and not sent as SNI.
};

/// What the sessions of one client share: trust, credentials and tickets for resumption.
/// Thread-safe after construction.
class tls_context {
 public:
  /// Throws call_error with errc::tls_bad_credentials, naming the option and the file. `shared`:
  /// where others may have read the same roots; null: nowhere.
  tls_context(const tls_options& options, tls_peer peer, trusted_roots* shared = nullptr);
  tls_context(const tls_context&) = delete;
  tls_context& operator=(const tls_context&) = delete;
  ~tls_context();

  [[nodiscard]] const tls_peer& peer() const noexcept { return peer_; }

 private:
  friend class tls_session;

  static int on_new_session(SSL* ssl, SSL_SESSION* session);
  static int on_verify(int ok, X509_STORE_CTX* store);
  [[nodiscard]] ssl_ptr make_ssl() const;
  [[nodiscard]] ssl_session_ptr take_ticket();

  tls_peer peer_;
  tls_version min_version_;
  bio_method_ptr bio_method_;
  ssl_ctx_ptr ctx_;
  root_store roots_;  // shared with other contexts
  std::mutex mutex_;
  // The newest last. One of TLS 1.3 is used once (RFC 8446 appendix C.4).
  std::vector<ssl_session_ptr> tickets_;
};

/// One connection's TLS. Not thread-safe.
class tls_session {
 public:
  enum class result { done, want_more, closed, failed };

  explicit tls_session(std::shared_ptr<tls_context> context);
  tls_session(const tls_session&) = delete;
  tls_session& operator=(const tls_session&) = delete;
  ~tls_session();

  /// Bytes from the peer. The view must stay valid until the next `give`.
  void give(std::string_view ciphertext) noexcept { in_ = ciphertext; }
  /// Goes on with the handshake: done, want_more bytes, or failed.
  [[nodiscard]] result handshake();
  /// Encrypts all of `plain` into `out()`: done or failed.
  [[nodiscard]] result encrypt(std::string_view plain);
  /// Decrypts at most `room` bytes: done (n > 0), want_more, closed (close_notify), failed.
  [[nodiscard]] result decrypt(char* into, std::size_t room, std::size_t& n);
  /// Appends a close_notify to `out()`.
  void end() noexcept;

  /// What is to be sent to the peer. The view stays valid, whatever else is called, until `sent`.
  [[nodiscard]] std::string_view out() noexcept {
    if (out_sent_ == out_.size()) {
      out_.clear();
      out_sent_ = 0;
      out_.swap(made_);
    }
    return std::string_view(out_).substr(out_sent_);
  }
  void sent(std::size_t n) noexcept { out_sent_ += n; }
  /// Bytes made and not yet sent.
  [[nodiscard]] std::size_t unsent() const noexcept {
    return out_.size() - out_sent_ + made_.size();
  }

  /// Of buffers larger than `most`; when nothing is left to be sent.
  void give_memory_back(std::size_t most) noexcept {
    if (out_.capacity() > most) std::string().swap(out_);
    if (made_.capacity() > most) std::string().swap(made_);
    out_sent_ = 0;
  }

  /// Why the last step failed, with everything a person needs to act on it.
  [[nodiscard]] const error& failure() const noexcept { return failure_; }
  /// Whether it failed because the peer turned the handshake down, so that it acted on no request.
  [[nodiscard]] bool refused_by_peer() const noexcept { return refused_; }
  /// Whether the handshake was an abbreviated one.
  [[nodiscard]] bool resumed() const noexcept { return SSL_session_reused(ssl_.get()) == 1; }

 private:
  friend class tls_context;
  friend struct bio_glue;

  result fail();
  result process_ends();
  [[nodiscard]] error explain_verification() const;

  std::shared_ptr<tls_context> context_;
  ssl_ptr ssl_;
  std::string_view in_;
  std::string made_;  // by OpenSSL, while out_ is on its way
  std::string out_;
  std::size_t out_sent_ = 0;
  bool handshaken_ = false;
  bool broken_ = false;
  bool refused_ = false;
  bool out_of_memory_ = false;
  error failure_;
  long verify_error_ = 0;  // X509_V_OK
  int verify_depth_ = 0;
  std::string verify_about_;  // the certificate at fault, in words
};

}  // namespace hawser::inline v0::http::beast
