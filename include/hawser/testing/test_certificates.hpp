// Certificates for tests, made in memory: an authority, and good and bad leaves signed by it.
//
//   hawser::testing::test_authority ca;
//   auto good = ca.issue({.names = {"api.test"}});
//   auto late = ca.issue(hawser::testing::expired_leaf("api.test"));
//   trust(ca.certificate());                 // PEM
//   serve(good.chain, good.key);             // PEM
#pragma once

#include "hawser/core/export.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::inline v0::testing {

/// What a leaf certificate says. All defaults together: a good server certificate for this host.
struct leaf_request {
  /// Subject alternative names: DNS names, wildcards as written (`*.api.test`, `a*.api.test`).
  std::vector<std::string> names{"localhost"};
  /// Subject alternative names: IP addresses as text. An invalid one throws `config_error`.
  std::vector<std::string> addresses{"127.0.0.1", "::1"};
  /// The subject's common name, at most 64 bytes; empty: the first of `names`, or "leaf".
  std::string common_name{};
  /// No subject alternative name at all: clients that follow RFC 9525 must refuse it.
  bool common_name_only = false;
  /// Signed by its own key instead of the authority's.
  bool self_signed = false;
  /// For TLS clients (extended key usage clientAuth) instead of servers.
  bool client = false;
  /// Start of validity, relative to now.
  std::chrono::seconds valid_from{-3600};
  /// Length of validity, from its start.
  std::chrono::seconds valid_for{24 * 3600};
};

/// A leaf whose validity ended an hour ago.
[[nodiscard]] HAWSER_API leaf_request expired_leaf(std::string name = "localhost");
/// A leaf whose validity begins in an hour.
[[nodiscard]] HAWSER_API leaf_request not_yet_valid_leaf(std::string name = "localhost");
/// A leaf that signed itself.
[[nodiscard]] HAWSER_API leaf_request self_signed_leaf(std::string name = "localhost");
/// A leaf that bears `name` as its common name and no subject alternative name.
[[nodiscard]] HAWSER_API leaf_request common_name_only_leaf(std::string name = "localhost");
/// A valid leaf for another host: no address, and no name but `name`.
[[nodiscard]] HAWSER_API leaf_request wrong_host_leaf(std::string name = "elsewhere.test");
/// A valid leaf for `*.domain` only.
[[nodiscard]] HAWSER_API leaf_request wildcard_leaf(std::string_view domain);
/// A leaf for `prefix*.domain`, which RFC 9525 section 6.3 tells clients to refuse.
[[nodiscard]] HAWSER_API leaf_request partial_wildcard_leaf(std::string_view prefix,
                                                            std::string_view domain);
/// A certificate that a client shows; `name` is its common name.
[[nodiscard]] HAWSER_API leaf_request client_leaf(std::string name = "test-client");

/// A certificate and its private key, as PEM text.
struct issued_certificate {
  std::string certificate{};  ///< The leaf alone.
  std::string chain{};        ///< The leaf, then its intermediates without the root.
  std::string key{};          ///< PKCS #8, not encrypted. Made for tests: worth nothing.
};

/// A certificate authority that lives in memory only. Keys are on P-256, so making one takes well
/// under a millisecond. Immutable after construction, therefore safe to share between threads.
/// Throws `std::runtime_error` with OpenSSL's reason when a certificate cannot be made.
class HAWSER_API test_authority {
 public:
  /// Makes a key and a root certificate. `name` is the subject's common name.
  explicit test_authority(std::string_view name = "Hawser test authority");
  ~test_authority();
  /// A moved-from authority may only be destroyed or assigned to.
  test_authority(test_authority&&) noexcept;
  /// Takes the other's key and certificate over.
  test_authority& operator=(test_authority&&) noexcept;
  test_authority(const test_authority&) = delete;
  test_authority& operator=(const test_authority&) = delete;

  /// This authority's own certificate, PEM: what a client under test has to trust. For an
  /// intermediate that is the intermediate's certificate.
  [[nodiscard]] const std::string& certificate() const& noexcept;
  /// The same of a temporary.
  [[nodiscard]] std::string certificate() && { return certificate(); }

  /// Makes a fresh key and a certificate for it.
  [[nodiscard]] issued_certificate issue(const leaf_request& what = {}) const;

  /// An authority signed by this one; its leaves carry the chain up to, and without, the root.
  [[nodiscard]] test_authority intermediate(std::string_view name = "Hawser intermediate") const;

 private:
  struct parts;
  explicit test_authority(std::unique_ptr<parts> made) noexcept;
  std::unique_ptr<parts> parts_;
};

}  // namespace hawser::inline v0::testing
