#include "hawser/log/masking_sink.hpp"

#include "bad_input/refusal.hpp"
#include "hawser/core/error.hpp"

#include <gtest/gtest.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>

#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>

namespace masking_sink_test {
namespace {

using hawser::make_redactor;
using hawser::redaction;
using hawser::secret;
using hawser::log::make_masking_sink;

class masking_sink : public ::testing::Test {
 protected:
  std::ostringstream out_;
  std::shared_ptr<spdlog::sinks::sink> inner_ =
      std::make_shared<spdlog::sinks::ostream_sink_mt>(out_);

  std::shared_ptr<spdlog::logger> logger(const std::string& name = "app", redaction options = {}) {
    auto sink = make_masking_sink(inner_, make_redactor(std::move(options)));
    sink->set_pattern("%n|%l|%v");
    return std::make_shared<spdlog::logger>(name, sink);
  }
};

TEST_F(masking_sink, masks_the_formatted_text) {
  logger()->info("user {} password={} card {}", "bob", "hunter2", 4111111111111111);
  EXPECT_EQ(out_.str(), "app|info|user bob password=[masked] card [masked]\n");
}

TEST_F(masking_sink, passes_other_text_byte_for_byte) {
  logger()->warn("{} 100% \xff\n\ttab");
  EXPECT_EQ(out_.str(), "app|warning|{} 100% \xff\n\ttab\n");
}

TEST_F(masking_sink, masks_the_name_of_the_logger) {
  redaction options;
  options.literals = {secret{"s3cr3t"}};
  logger("tenant-s3cr3t", options)->info("x s3cr3t y");
  EXPECT_EQ(out_.str(), "tenant-[masked]|info|x [masked] y\n");
}

TEST_F(masking_sink, heeds_the_level_of_the_sink_behind) {
  auto log = logger();
  inner_->set_level(spdlog::level::err);
  log->info("info");
  log->error("error");
  EXPECT_EQ(out_.str(), "app|error|error\n");
}

TEST_F(masking_sink, masks_what_a_backtrace_replays) {
  auto log = logger();
  log->set_level(spdlog::level::info);
  log->enable_backtrace(4);
  log->debug("token={}", "s3cr3t");
  log->dump_backtrace();
  EXPECT_NE(out_.str().find("token=[masked]"), std::string::npos);
  EXPECT_EQ(out_.str().find("s3cr3t"), std::string::npos);
}

struct counting_sink final : spdlog::sinks::sink {
  int flushed = 0;
  bool fails = false;
  std::string formatter;
  void log(const spdlog::details::log_msg&) override {
    if (fails) throw std::runtime_error("disk full");
  }
  void flush() override { ++flushed; }
  void set_pattern(const std::string& pattern) override { formatter = pattern; }
  void set_formatter(std::unique_ptr<spdlog::formatter>) override { formatter = "given"; }
};

TEST_F(masking_sink, hands_flush_pattern_and_formatter_down) {
  auto inner = std::make_shared<counting_sink>();
  auto sink = make_masking_sink(inner, make_redactor());
  sink->flush();
  EXPECT_EQ(inner->flushed, 1);
  sink->set_pattern("%v");
  EXPECT_EQ(inner->formatter, "%v");
  sink->set_formatter(nullptr);
  EXPECT_EQ(inner->formatter, "given");
}

TEST_F(masking_sink, failure_of_the_sink_behind_reaches_the_error_handler_without_the_text) {
  auto inner = std::make_shared<counting_sink>();
  inner->fails = true;
  spdlog::logger log("app", make_masking_sink(inner, make_redactor()));
  std::string told;
  log.set_error_handler([&told](const std::string& text) { told = text; });
  log.info("password=s3cr3t");
  EXPECT_NE(told.find("disk full"), std::string::npos);
  EXPECT_EQ(told.find("s3cr3t"), std::string::npos);
}

TEST_F(masking_sink, null_pointers_are_refused) {
  using hawser::test::expect_config_error;
  expect_config_error([] { (void)make_masking_sink(nullptr, make_redactor()); },
                      "masking_sink.inner", "null", "must be a sink");
  expect_config_error([&] { (void)make_masking_sink(inner_, nullptr); }, "masking_sink.masks",
                      "null", "must be a redactor");
}

}  // namespace
}  // namespace masking_sink_test
