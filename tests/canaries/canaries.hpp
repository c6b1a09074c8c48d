// Fresh random secrets, "canaries", sent through everything that masks: how many came out again, by
// kind and by what carried them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::test::canaries {

/// What became of the canaries of one kind.
struct tally {
  std::size_t planted = 0;
  std::size_t leaked = 0;
  std::string example;  // of a leak: where, what went in and what came out
};

/// A text with a secret in it. `traces`: what must be in no output; more than a few characters of
/// it count as the secret.
struct canary {
  std::string kind;
  std::string text;
  std::vector<std::string> traces;
  std::string known;  // not empty: the redactor was told of this value
};

/// `each` canaries of every kind in every carrier.
[[nodiscard]] std::vector<canary> hatch(std::uint64_t seed, std::size_t each);

/// Sends them through every sink; the results by "kind > sink".
[[nodiscard]] std::map<std::string, tally> release(const std::vector<canary>& all);

/// Whether a leak of this kind is one that docs/guide/masking.md names as a limit.
[[nodiscard]] bool is_documented(std::string_view kind) noexcept;

}  // namespace hawser::test::canaries
