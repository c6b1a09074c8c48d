// Finds exact secrets in a text, whatever it was encoded with on its way there.
#pragma once

#include "hawser/core/secret.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace hawser::inline v0::detail {

/// The exact values that must not appear. Immutable once filled.
class literal_set {
 public:
  /// Where a literal, or the encoded block around it, stands.
  struct hit {
    std::size_t begin = 0;
    std::size_t end = 0;  // == begin: nothing found
    std::size_t literal = 0;
  };

  void add(const secret& literal);

  [[nodiscard]] bool empty() const noexcept { return literals_.empty(); }
  [[nodiscard]] std::string_view literal(std::size_t index) const noexcept {
    return literals_[index].expose();
  }

  /// The first hit at or after `from`, with all hits that overlap it.
  [[nodiscard]] hit find(std::string_view text, std::size_t from) const noexcept;

 private:
  enum class form : std::uint8_t { plain, base64, hex };
  struct needle {
    secret bytes;
    form how = form::plain;
    std::size_t literal = 0;
  };

  void add_needle(std::string_view bytes, form how, std::size_t literal);
  /// The longest hit that begins at `at`; blocks of base64 reach back to `floor`, and what lies
  /// before `reach` need not be walked along again.
  [[nodiscard]] hit hit_at(std::string_view text, std::size_t at, std::size_t floor,
                           std::size_t reach) const noexcept;

  /// Of the literals that begin with the byte `first`, which stands at `at` in whatever form.
  [[nodiscard]] hit hit_of(unsigned char first, std::string_view text, std::size_t at,
                           std::size_t floor, std::size_t reach) const noexcept;

  std::vector<secret> literals_;
  std::vector<needle> needles_;
  std::array<std::vector<std::uint16_t>, 256> by_first_byte_{};
};

}  // namespace hawser::inline v0::detail
