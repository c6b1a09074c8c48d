#include "core/sha256.hpp"

#include <gtest/gtest.h>

#include <string>

namespace sha256_test {
namespace {

using hawser::hex;
using hawser::hmac_sha256;
using hawser::sha256;

// FIPS 180-4 examples, as published with the standard (SHA256.pdf and the one-million-a vector).
TEST(sha256, fips_180_4_vectors) {
  EXPECT_EQ(hex(sha256::of("")),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(sha256::of("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(sha256::of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hex(sha256::of("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
                           "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu")),
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  EXPECT_EQ(hex(sha256::of(std::string(1000000, 'a'))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(sha256, pieces_make_the_same_digest_as_the_whole) {
  const std::string text(300, 'x');
  for (std::size_t first = 0; first <= 130; ++first) {
    sha256 hash;
    hash.update(text.substr(0, first));
    hash.update("");
    hash.update(text.substr(first));
    ASSERT_EQ(hash.finish(), sha256::of(text)) << first;
  }
}

TEST(sha256, lengths_around_the_padding_boundary) {
  EXPECT_EQ(hex(sha256::of(std::string(55, 'a'))),
            "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
  EXPECT_EQ(hex(sha256::of(std::string(56, 'a'))),
            "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a");
  EXPECT_EQ(hex(sha256::of(std::string(64, 'a'))),
            "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
}

// RFC 4231 section 4.
TEST(hmac_sha256, rfc_4231_vectors) {
  const auto mac = [](const std::string& key, const std::string& data) {
    return hex(hmac_sha256(key).of(data));
  };
  EXPECT_EQ(mac(std::string(20, '\x0b'), "Hi There"),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(mac("Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(mac(std::string(20, '\xaa'), std::string(50, '\xdd')),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
  std::string counted;
  for (char c = 1; c <= 25; ++c) counted += c;
  EXPECT_EQ(mac(counted, std::string(50, '\xcd')),
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
  EXPECT_EQ(mac(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  EXPECT_EQ(mac(std::string(131, '\xaa'),
                "This is a test using a larger than block-size key and a larger than block-size "
                "data. The key needs to be hashed before being used by the HMAC algorithm."),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

TEST(hmac_sha256, one_key_serves_many_messages) {
  const hmac_sha256 keyed("key");
  const auto first = keyed.of("a");
  EXPECT_NE(first, keyed.of("b"));
  EXPECT_EQ(first, keyed.of("a"));
}

TEST(sha256, hex_can_be_cut) { EXPECT_EQ(hex(sha256::of("abc"), 6), "ba7816bf8f01"); }

}  // namespace
}  // namespace sha256_test
