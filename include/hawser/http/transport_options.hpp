// How a client keeps connections, and whom it trusts. Set-up options: plain aggregates.
//
//   hawser::http::pool_options pool{.max_connections = 16, .idle_for = std::chrono::seconds(10)};
//   hawser::http::tls_options tls{.ca_file = "/etc/billing/ca.pem"};
//
// There is no way to switch the verification of certificates off.
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/core/secret.hpp"
#include "hawser/core/time.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace hawser::inline v0::http {

/// Connections of one origin.
struct pool_options {
  std::size_t max_connections = 640;  ///< Open at a time, those being opened included. At least 1.
  /// Kept for reuse: unset, as many as may be open. 0 opens a connection for each exchange.
  std::optional<std::size_t> max_idle{};
  std::size_t max_pending = 1024;  ///< Exchanges that may wait for a connection; more are refused.
  /// A connection unused for longer is not used again. Keep it below the server's own limit; where
  /// that is less and said in a Keep-Alive field (timeout, max), the server's word counts, a second
  /// early. Over zero, or off. On an `environment{}` it is closed then; elsewhere when the pool is
  /// next asked or goes, as no timer of it may keep an io_context running.
  std::optional<duration> idle_for = std::chrono::seconds(30);
  /// A connection older than this is not used again, so that changes of DNS are seen; each has a
  /// limit of its own, between four fifths of it and all, lest those that were opened together are
  /// opened again together. Over zero, or off.
  std::optional<duration> max_age = std::chrono::minutes(5);
};

/// The oldest version of TLS that is spoken.
enum class tls_version : std::uint8_t { tls1_2, tls1_3 };

/// Whom to trust and who we are. Certificates are always verified, and their subject alternative
/// names matched with the host (RFC 9525); the subject's common name is never looked at.
struct tls_options {
  /// Lower it to tls1_2 for servers that must be reached and know no better.
  tls_version min_version = tls_version::tls1_3;
  /// Trusted roots, PEM: a file, or the text itself, or both. The system's store is used only when
  /// neither is given.
  std::optional<std::string> ca_file{};
  std::optional<std::string> ca_pem{};  ///< Trusted roots as text.
  /// Our own certificate chain, leaf first, PEM: file or text. Needs a key.
  std::optional<std::string> client_certificate_file{};
  std::optional<std::string> client_certificate_pem{};  ///< The chain as text.
  /// Its private key, PEM: file or text.
  std::optional<std::string> client_key_file{};
  std::optional<secret> client_key_pem{};  ///< The key as text.
  /// Needs a key. Without it an encrypted key is an error; nobody is ever prompted.
  std::optional<secret> key_password{};
};

/// Throws config_error naming the field, the value and the bound.
HAWSER_API void validate(const pool_options& options);
/// Throws config_error, likewise.
HAWSER_API void validate(const tls_options& options);

}  // namespace hawser::inline v0::http
