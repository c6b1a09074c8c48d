// What an error has to tell on top of its code.
#pragma once

#include "hawser/core/error.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace hawser::inline v0::detail {

/// What is told of the answer that an error speaks of. Masked already.
struct answer_facts {
  int status = 0;
  std::string problem_type;
  std::string problem_title;
};

/// Shared by the copies of an error, by any threads.
class story {
 public:
  story() = default;
  story(const story&) = delete;
  story& operator=(const story&) = delete;
  virtual ~story() = default;
  /// Masked, and valid as long as this object is. Empty while there is no memory for it.
  [[nodiscard]] virtual std::string_view text() const noexcept = 0;
  /// Null when it speaks of no answer.
  [[nodiscard]] virtual const answer_facts* answer() const noexcept { return nullptr; }

  /// An error that tells `what` to those who ask.
  [[nodiscard]] static error told(error_code code, std::shared_ptr<const story> what) noexcept {
    return {std::move(what), code};
  }
};

/// What another story tells, and the answer that it is about.
class story_of_answer final : public story {
 public:
  story_of_answer(std::shared_ptr<const story> what,
                  std::shared_ptr<const answer_facts> about) noexcept
      : what_(std::move(what)), about_(std::move(about)) {}
  [[nodiscard]] std::string_view text() const noexcept override {
    return what_ ? what_->text() : std::string_view();
  }
  [[nodiscard]] const answer_facts* answer() const noexcept override { return about_.get(); }

 private:
  const std::shared_ptr<const story> what_;
  const std::shared_ptr<const answer_facts> about_;
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
