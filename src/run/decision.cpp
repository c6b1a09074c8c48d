#include "run/decision.hpp"

#include "hawser/observe/redactor.hpp"

#include "core/story.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <new>
#include <string>
#include <utility>

namespace hawser::inline v0::detail {

namespace {

/// Written down by the first who asks. The policy's name goes with it: the pipeline may be gone.
class decision_story final : public story {
 public:
  static constexpr std::size_t longest_name = 48;

  decision_story(const decision& what, std::shared_ptr<const redactor> masks) noexcept
      : what_(what), masks_(std::move(masks)) {
    const std::size_t size = what.why.policy.copy(name_.data(), longest_name);
    what_.why.policy = {name_.data(), size};
  }
  decision_story(const decision_story&) = delete;
  decision_story& operator=(const decision_story&) = delete;
  ~decision_story() override { delete text_.load(std::memory_order_relaxed); }

  [[nodiscard]] std::string_view text() const noexcept override {
    const std::string* text = text_.load(std::memory_order_acquire);
    if (text == nullptr) text = write_down();
    return text != nullptr ? std::string_view(*text) : std::string_view();
  }

 private:
  [[nodiscard]] const std::string* write_down() const noexcept {
    try {
      std::string plain = to_string(what_);
      auto mine =
          std::make_unique<const std::string>(masks_ ? masks_->text(plain) : std::move(plain));
      const std::string* first = nullptr;  // whose text stays
      return text_.compare_exchange_strong(first, mine.get(), std::memory_order_acq_rel,
                                           std::memory_order_acquire)
                 ? mine.release()
                 : first;
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }

  decision what_;
  const std::shared_ptr<const redactor> masks_;
  mutable std::atomic<const std::string*> text_{nullptr};
  std::array<char, longest_name> name_;  // left unset on purpose beyond the name's end
};

}  // namespace

std::string to_string(const decision& what) {
  std::string text;
  if (what.why.because != reason::none) text = hawser::to_string(what.why, what.at);
  // Only here, and not wherever the reason is told.
  if (what.why.because == reason::effect_unsaid) text += ": pipeline_builder::calls_are says so";
  if (what.attempts == 0 && what.why.because == reason::max_attempts) text += ", none began";
  if (what.attempts > 1)
    text += (text.empty() ? "after " : ", after ") + std::to_string(what.attempts) + " attempts (" +
            std::to_string(what.attempts - 1) + (what.attempts == 2 ? " retry)" : " retries)");
  return text;
}

error tell(error_code code, const decision& what, std::shared_ptr<const redactor> masks) noexcept {
  if (what.why.because == reason::none && what.attempts <= 1) return error(code);
  try {
    if (what.why.policy.size() <= decision_story::longest_name)
      return story::told(code, std::make_shared<const decision_story>(what, std::move(masks)));
    const std::string plain = to_string(what);
    return {code, masks ? masks->text(plain) : plain};
  } catch (const std::bad_alloc&) {
    return error(code);
  }
}

}  // namespace hawser::inline v0::detail
