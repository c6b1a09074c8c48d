#include "hawser/log/masking_sink.hpp"

#include "hawser/core/error.hpp"

#include <spdlog/details/log_msg.h>
#include <spdlog/sinks/sink.h>

#include <string>
#include <utility>

namespace hawser::inline v0::log {

namespace {

class masking_sink final : public spdlog::sinks::sink {
 public:
  masking_sink(std::shared_ptr<spdlog::sinks::sink> inner, std::shared_ptr<const redactor> masks)
      : inner_(std::move(inner)), masks_(std::move(masks)) {}

  void log(const spdlog::details::log_msg& message) override {
    if (!inner_->should_log(message.level)) return;
    const std::string text = masks_->text(view(message.payload));
    const std::string name = masks_->text(view(message.logger_name));
    spdlog::details::log_msg masked = message;
    masked.payload = text;
    masked.logger_name = name;
    inner_->log(masked);
  }

  void flush() override { inner_->flush(); }

  void set_pattern(const std::string& pattern) override { inner_->set_pattern(pattern); }

  void set_formatter(std::unique_ptr<spdlog::formatter> formatter) override {
    inner_->set_formatter(std::move(formatter));
  }

 private:
  static std::string_view view(spdlog::string_view_t text) noexcept {
    return {text.data(), text.size()};
  }

  std::shared_ptr<spdlog::sinks::sink> inner_;
  std::shared_ptr<const redactor> masks_;
};

}  // namespace

std::shared_ptr<spdlog::sinks::sink> make_masking_sink(std::shared_ptr<spdlog::sinks::sink> inner,
                                                       std::shared_ptr<const redactor> masks) {
  if (inner == nullptr) throw config_error("masking_sink.inner", "null", "must be a sink");
  if (masks == nullptr) throw config_error("masking_sink.masks", "null", "must be a redactor");
  return std::make_shared<masking_sink>(std::move(inner), std::move(masks));
}

}  // namespace hawser::inline v0::log
