// What an error has to tell on top of its code.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace hawser::inline v0::detail {

/// Shared by the copies of an error, by any threads.
class story {
 public:
  story() = default;
  story(const story&) = delete;
  story& operator=(const story&) = delete;
  virtual ~story() = default;
  /// Masked. The same text at each call, valid as long as this object is. Empty without memory for
  /// it.
  [[nodiscard]] virtual std::string_view text() const noexcept = 0;
};

/// One that is written down already.
class written_story final : public story {
 public:
  explicit written_story(std::string text) noexcept : text_(std::move(text)) {}
  [[nodiscard]] std::string_view text() const noexcept override { return text_; }

 private:
  const std::string text_;
};

}  // namespace hawser::inline v0::detail
