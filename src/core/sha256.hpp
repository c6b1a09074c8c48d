// SHA-256 and HMAC-SHA-256, for fingerprints and keyed hashes where OpenSSL may not be included.
//
//   hawser::hmac_sha256 keyed{key.expose()};
//   hawser::digest256 mac = keyed.of("message");
#pragma once

#include "hawser/core/export.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hawser::inline v0 {

using digest256 = std::array<unsigned char, 32>;

/// FIPS 180-4 section 6.2. Wipes itself when destroyed, since it may have taken in a key.
class HAWSER_API sha256 {
 public:
  sha256() noexcept = default;
  sha256(const sha256&) noexcept = default;
  sha256& operator=(const sha256&) noexcept = default;
  ~sha256();

  void update(std::string_view bytes) noexcept;
  /// The digest of all bytes so far; no call may follow.
  [[nodiscard]] digest256 finish() noexcept;

  [[nodiscard]] static digest256 of(std::string_view bytes) noexcept;

 private:
  void compress(const unsigned char* block) noexcept;

  std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, 64> pending_{};
  std::uint64_t length_ = 0;  // bytes taken in
};

/// RFC 2104 over SHA-256. Immutable once made: any number of threads may use one.
class hmac_sha256 {
 public:
  explicit hmac_sha256(std::string_view key) noexcept;
  [[nodiscard]] digest256 of(std::string_view message) const noexcept;

 private:
  sha256 inner_;  // has taken in key xor ipad
  sha256 outer_;  // has taken in key xor opad
};

/// The first `bytes` of a digest in lower-case hexadecimal.
[[nodiscard]] HAWSER_API std::string hex(const digest256& digest, std::size_t bytes = 32);

}  // namespace hawser::inline v0
