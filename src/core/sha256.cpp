#include "core/sha256.hpp"

#include "core/wipe.hpp"

#include <bit>
#include <cstring>

namespace hawser::inline v0 {

namespace {

// FIPS 180-4 section 4.2.2.
constexpr std::uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

std::uint32_t load(const unsigned char* at) noexcept {
  return (static_cast<std::uint32_t>(at[0]) << 24) | (static_cast<std::uint32_t>(at[1]) << 16) |
         (static_cast<std::uint32_t>(at[2]) << 8) | static_cast<std::uint32_t>(at[3]);
}

}  // namespace

sha256::~sha256() {
  wipe(state_.data(), sizeof state_);
  wipe(pending_.data(), sizeof pending_);
}

void sha256::compress(const unsigned char* block) noexcept {
  std::uint32_t w[64];
  for (int t = 0; t < 16; ++t) w[t] = load(block + 4 * t);
  for (int t = 16; t < 64; ++t) {
    const std::uint32_t s0 = std::rotr(w[t - 15], 7) ^ std::rotr(w[t - 15], 18) ^ (w[t - 15] >> 3);
    const std::uint32_t s1 = std::rotr(w[t - 2], 17) ^ std::rotr(w[t - 2], 19) ^ (w[t - 2] >> 10);
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = state_;
  for (int t = 0; t < 64; ++t) {
    const std::uint32_t s1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
    const std::uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + round_constants[t] + w[t];
    const std::uint32_t s0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
    const std::uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  const std::uint32_t after[8] = {a, b, c, d, e, f, g, h};
  for (std::size_t i = 0; i < 8; ++i) state_[i] += after[i];
  wipe(w, sizeof w);
}

void sha256::update(std::string_view bytes) noexcept {
  if (bytes.empty()) return;
  const auto* from = reinterpret_cast<const unsigned char*>(bytes.data());
  std::size_t left = bytes.size();
  std::size_t filled = static_cast<std::size_t>(length_ % 64);
  length_ += left;
  if (filled != 0) {
    const std::size_t take = left < 64 - filled ? left : 64 - filled;
    std::memcpy(pending_.data() + filled, from, take);
    from += take;
    left -= take;
    if (filled + take < 64) return;
    compress(pending_.data());
  }
  for (; left >= 64; from += 64, left -= 64) compress(from);
  if (left != 0) std::memcpy(pending_.data(), from, left);
}

digest256 sha256::finish() noexcept {
  const std::uint64_t bits = length_ * 8;
  static constexpr char padding[64] = {'\x80'};
  const std::size_t filled = static_cast<std::size_t>(length_ % 64);
  update({padding, filled < 56 ? 56 - filled : 120 - filled});
  char tail[8];
  for (int i = 0; i < 8; ++i) tail[i] = static_cast<char>((bits >> (56 - 8 * i)) & 0xff);
  update({tail, sizeof tail});
  digest256 digest;
  for (std::size_t i = 0; i < 32; ++i)
    digest[i] = static_cast<unsigned char>((state_[i / 4] >> (24 - 8 * (i % 4))) & 0xff);
  return digest;
}

digest256 sha256::of(std::string_view bytes) noexcept {
  sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

hmac_sha256::hmac_sha256(std::string_view key) noexcept {
  unsigned char block[64] = {};
  if (key.size() > sizeof block) {
    digest256 shortened = sha256::of(key);
    std::memcpy(block, shortened.data(), shortened.size());
    wipe(shortened.data(), shortened.size());
  } else if (!key.empty()) {
    std::memcpy(block, key.data(), key.size());
  }
  for (unsigned char& byte : block) byte ^= 0x36;
  inner_.update({reinterpret_cast<const char*>(block), sizeof block});
  for (unsigned char& byte : block) byte ^= 0x36 ^ 0x5c;
  outer_.update({reinterpret_cast<const char*>(block), sizeof block});
  wipe(block, sizeof block);
}

digest256 hmac_sha256::of(std::string_view message) const noexcept {
  sha256 inner = inner_;
  inner.update(message);
  const digest256 first = inner.finish();
  sha256 outer = outer_;
  outer.update({reinterpret_cast<const char*>(first.data()), first.size()});
  return outer.finish();
}

std::string hex(const digest256& digest, std::size_t bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < bytes && i < digest.size(); ++i) {
    text += digits[digest[i] >> 4];
    text += digits[digest[i] & 0xf];
  }
  return text;
}

}  // namespace hawser::inline v0
