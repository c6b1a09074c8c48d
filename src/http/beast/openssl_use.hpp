// OpenSSL cleans itself up when the process ends, while other threads may be using it.
//
//   if (const openssl_use use; use) SSL_read_ex(...);       // else the process is ending
#pragma once

namespace hawser::inline v0::http::beast {

/// While one lives OpenSSL is there. A shared lock that the clean-up takes for itself, for good:
/// those that come later are false, and must leave OpenSSL and what is its alone. Costs two atomic
/// additions on a cache line that few threads share.
class openssl_use {
 public:
  openssl_use() noexcept;
  openssl_use(const openssl_use&) = delete;
  openssl_use& operator=(const openssl_use&) = delete;
  ~openssl_use();
  explicit operator bool() const noexcept { return allowed_; }

  /// Has OpenSSL, which is set up now, wait for users before it cleans up. Once is enough for a
  /// process, before there are any.
  static void begin() noexcept;

 private:
  bool allowed_;
};

}  // namespace hawser::inline v0::http::beast
