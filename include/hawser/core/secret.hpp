// A credential that does not print itself, and is wiped when the last copy of it goes.
//
//   hawser::secret key{read_key()};
//   use(key.expose());                 // the one way to the bytes; reviews search for it
//   std::cout << key;                  // does not compile
//   if (key == given) ...              // constant time
#pragma once

#include "hawser/core/export.hpp"

#include <cstddef>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace hawser::inline v0 {

/// Holds a credential. Copies share one immutable buffer, which is overwritten with zeros before
/// its memory goes back, when the last copy is destroyed or assigned over; so a copy never leaves
/// bytes behind. A moved-from secret is empty. Any number of threads may read one secret, and
/// each may have its own copy.
class HAWSER_API secret {
 public:
  /// Empty.
  secret() noexcept = default;

  /// Copies the bytes, which may hold NUL. What `text` points into stays the caller's to wipe.
  explicit secret(std::string_view text);

  /// Copies the bytes and wipes the string they came in, its spare capacity included.
  [[nodiscard]] static secret take(std::string& text);
  /// The same for a temporary.
  [[nodiscard]] static secret take(std::string&& text) { return take(text); }

  secret(const secret&) noexcept = default;  ///< Shares the bytes.
  /// Leaves `other` empty.
  secret(secret&& other) noexcept : block_(std::move(other.block_)), size_(other.size_) {
    other.size_ = 0;
  }
  /// Shares the bytes; those held before are wiped if this was their last copy.
  secret& operator=(const secret&) noexcept = default;
  /// Leaves `other` empty; the bytes held before are wiped if this was their last copy.
  secret& operator=(secret&& other) noexcept {
    if (this != &other) {
      block_ = std::move(other.block_);
      size_ = other.size_;
      other.size_ = 0;
    }
    return *this;
  }
  ~secret() = default;

  /// The bytes, followed by a NUL that is not counted. Valid as long as a copy of this secret
  /// lives. Whoever copies them out has to wipe that copy.
  [[nodiscard]] std::string_view expose() const& noexcept {
    return block_ ? std::string_view(block_.get(), size_) : std::string_view("", 0);
  }
  /// A temporary may be the last copy: give it a name.
  std::string_view expose() const&& = delete;

  /// Whether there are no bytes.
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  /// How many bytes there are.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// Forgets the bytes; wipes them if this was the last copy.
  void clear() noexcept {
    block_.reset();
    size_ = 0;
  }

  /// Whether the bytes are the same. The time taken depends on the length of `text` and on
  /// whether the lengths are equal, not on where the first difference is.
  [[nodiscard]] bool equals(std::string_view text) const noexcept;

  friend bool operator==(const secret& a, const secret& b) noexcept { return a.equals(b.expose()); }

 private:
  std::shared_ptr<const char> block_;
  std::size_t size_ = 0;
};

/// Not printable: neither to a stream, nor by fmt, nor as JSON.
template <class Char, class Traits>
std::basic_ostream<Char, Traits>& operator<<(std::basic_ostream<Char, Traits>&,
                                             const secret&) = delete;
void format_as(const secret&) = delete;
template <class Json>
void to_json(Json&, const secret&) = delete;

}  // namespace hawser::inline v0
