// What an error has to tell on top of its code.
#pragma once

#include "hawser/core/error.hpp"

#include <memory>
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
  /// Masked, and valid as long as this object is. Empty while there is no memory for it.
  [[nodiscard]] virtual std::string_view text() const noexcept = 0;

  /// An error that tells `what` to those who ask.
  [[nodiscard]] static error told(error_code code, std::shared_ptr<const story> what) noexcept {
    return {std::move(what), code};
  }
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
