#include "hawser/log/log_observer.hpp"

#include "bad_input/refusal.hpp"
#include "hawser/core/error.hpp"

#include <gtest/gtest.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace log_observer_test {
namespace {

using namespace std::chrono_literals;
using hawser::event;
using hawser::event_kind;
using hawser::make_redactor;
using hawser::log::log_observer;

class log_observer_test : public ::testing::Test {
 protected:
  log_observer_test() {
    logger_->set_level(spdlog::level::trace);
    logger_->set_pattern("%l %v");
  }

  std::string line_of(const event& what, hawser::log::log_options options = {}) {
    out_.str("");
    log_observer(logger_, make_redactor(), options).on_event(what);
    return out_.str();
  }

  std::ostringstream out_;
  std::shared_ptr<spdlog::logger> logger_ = std::make_shared<spdlog::logger>(
      "app", std::make_shared<spdlog::sinks::ostream_sink_mt>(out_));
};

event attempt() {
  event e;
  e.kind = event_kind::attempt_finished;
  e.pipeline = "billing";
  e.operation = "POST /v1/charges";
  e.correlation = "7f3a";
  e.attempt = 2;
  e.elapsed = 12345678ns;
  e.status = 201;
  e.delivery = hawser::evidence::answered;
  return e;
}

TEST_F(log_observer_test, successful_attempt_is_one_line) {
  EXPECT_EQ(line_of(attempt()),
            "debug attempt_finished correlation=7f3a pipeline=billing "
            "operation=\"POST /v1/charges\" attempt=2 status=201 elapsed_ms=12.345 "
            "delivery=answered\n");
}

TEST_F(log_observer_test, failed_attempt_is_a_warning_with_error_and_cause) {
  event e = attempt();
  e.status = 0;
  e.error = hawser::errc::attempt_timeout;
  e.delivery = hawser::evidence::maybe_applied;
  e.why.policy = "timeout";
  e.why.because = hawser::reason::limit_elapsed;
  e.why.threshold = 2;
  EXPECT_EQ(line_of(e),
            "warning attempt_finished correlation=7f3a pipeline=billing "
            "operation=\"POST /v1/charges\" attempt=2 elapsed_ms=12.345 error=attempt_timeout "
            "message=\"the attempt did not finish within its time limit\" "
            "delivery=\"maybe applied\" policy=timeout reason=limit_elapsed "
            "cause=\"limit 2 s\"\n");
}

TEST_F(log_observer_test, a_wait_says_its_length_once) {
  event e;
  e.kind = event_kind::waiting;
  e.elapsed = 439ms;
  e.why = {"rate_limiter", hawser::reason::rate, 0.439, 0, hawser::later(e.at, 439ms)};
  EXPECT_EQ(line_of(e),
            "debug waiting elapsed_ms=439.000 policy=rate_limiter reason=rate "
            "cause=\"our own rate\"\n");
}

TEST_F(log_observer_test, levels) {
  const auto level = [this](event_kind kind, hawser::error_code error,
                            hawser::log::log_options options = {}) {
    event e;
    e.kind = kind;
    e.error = error;
    const std::string line = line_of(e, options);
    return line.substr(0, line.find(' '));
  };
  const hawser::error_code none;
  const hawser::error_code failed = hawser::errc::call_timeout;
  // A healthy call is one line of info.
  EXPECT_EQ(level(event_kind::attempt_finished, none), "debug");
  EXPECT_EQ(level(event_kind::attempt_finished, failed), "warning");
  EXPECT_EQ(level(event_kind::attempt_finished, hawser::canceled_error()), "debug");
  EXPECT_EQ(level(event_kind::call_finished, none), "info");
  EXPECT_EQ(level(event_kind::call_finished, failed), "error");
  EXPECT_EQ(level(event_kind::call_finished, hawser::canceled_error()), "info");
  const hawser::log::log_options quiet{.quiet_successes = true};
  EXPECT_EQ(level(event_kind::call_finished, none, quiet), "debug");
  EXPECT_EQ(level(event_kind::call_finished, failed, quiet), "error");
  EXPECT_EQ(level(event_kind::state_changed, none), "warning");
  EXPECT_EQ(level(event_kind::fallback_used, failed), "info");
  EXPECT_EQ(level(event_kind::short_lived_clients, none), "warning");
  EXPECT_EQ(level(event_kind::call_started, none), "trace");
  EXPECT_EQ(level(event_kind::attempt_started, none), "trace");
  for (const event_kind kind :
       {event_kind::waiting, event_kind::queued, event_kind::rejected, event_kind::timed_out,
        event_kind::retry_stopped, event_kind::late_result})
    EXPECT_EQ(level(kind, failed), "debug");
}

TEST_F(log_observer_test, change_of_state_names_both_states) {
  event e;
  e.kind = event_kind::state_changed;
  e.pipeline = "billing";
  e.why.policy = "circuit_breaker";
  e.why.because = hawser::reason::failure_rate;
  e.why.measured = 0.6;
  e.why.threshold = 0.5;
  e.from = "closed";
  e.to = "open";
  EXPECT_EQ(
      line_of(e),
      "warning state_changed pipeline=billing state=\"closed -> open\" policy=circuit_breaker "
      "reason=failure_rate cause=\"failure rate 0.6 of 0.5\"\n");
}

TEST_F(log_observer_test, codes_of_others_go_by_category_and_number) {
  event e = attempt();
  e.error = hawser::error_code(104, boost::system::system_category());
  EXPECT_NE(line_of(e).find(" error=system:104 message="), std::string::npos);
}

TEST_F(log_observer_test, planted_secret_in_every_field_never_appears) {
  hawser::redaction options;
  options.literals = {hawser::secret{"s3cr3t"}};
  for (const bool literal : {false, true}) {
    const std::string text = literal ? "x s3cr3t y" : "POST https://u:s3cr3t@h/?token=s3cr3t";
    event e = attempt();
    e.pipeline = e.operation = e.correlation = e.from = e.to = e.why.policy = text;
    for (const hawser::reason because : {hawser::reason::none, hawser::reason::server_wait}) {
      e.why.because = because;
      out_.str("");
      log_observer(logger_, make_redactor(literal ? options : hawser::redaction{})).on_event(e);
      EXPECT_EQ(out_.str().find("s3cr3t"), std::string::npos) << out_.str();
      EXPECT_NE(out_.str().find("[masked]"), std::string::npos);
    }
  }
}

TEST_F(log_observer_test, log_injection_cannot_start_a_line_or_a_field) {
  for (const std::string_view text :
       {"a\nerror call_finished forged", "a\r\nb", "a\" status=200 x=\"", "a\\", "a\x1b[31mred",
        "a\xc2\x85next", "a\xc2\x9b[31m", "a\xe2\x80\xa8line\xe2\x80\xa9paragraph", "a\x7f\x08\t\v",
        "a b", "a=b"}) {
    event e = attempt();
    e.operation = text;
    const std::string line = line_of(e);
    EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1) << text;
    EXPECT_EQ(line.back(), '\n');
    for (std::size_t i = 0; i + 1 < line.size(); ++i)
      EXPECT_TRUE(static_cast<unsigned char>(line[i]) >= 0x20 && line[i] != 0x7f) << text;
    EXPECT_EQ(line.find("\xc2\x85"), std::string::npos);
    EXPECT_EQ(line.find("\xe2\x80\xa8"), std::string::npos);
    // Unescaped quotes: those around the one value, no others.
    int quotes = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (line[i] == '\\')
        ++i;
      else if (line[i] == '"')
        ++quotes;
    }
    EXPECT_EQ(quotes, 2) << line;
  }
  event e = attempt();
  e.operation =
      "caf\xc3\xa9 \xff\xc3( \xed\xa0\x80 \xf0\x9f\x98";  // a line is UTF-8, whatever it carries
  EXPECT_NE(
      line_of(e).find("operation=\"caf\xc3\xa9 \\xff\\xc3( \\xed\\xa0\\x80 \\xf0\\x9f\\x98\""),
      std::string::npos)
      << line_of(e);
  e.operation = std::string_view("a\0b", 3);
  EXPECT_NE(line_of(e).find("operation=\"a\\x00b\""), std::string::npos);
}

TEST_F(log_observer_test, braces_are_not_a_format) {
  event e = attempt();
  e.operation = "GET /{id}/{}{0}{:d}";
  EXPECT_NE(line_of(e).find("operation=\"GET /{id}/{}{0}{:d}\""), std::string::npos);
}

TEST_F(log_observer_test, lines_below_the_level_are_not_written) {
  logger_->set_level(spdlog::level::warn);
  EXPECT_EQ(line_of(attempt()), "");
}

TEST_F(log_observer_test, elapsed_is_in_milliseconds_whatever_its_size) {
  event e = attempt();
  for (const auto& [elapsed, text] :
       std::vector<std::pair<hawser::duration, std::string>>{{0ns, "0.000"},
                                                             {999ns, "0.000"},
                                                             {1us, "0.001"},
                                                             {1ms, "1.000"},
                                                             {90min, "5400000.000"}}) {
    e.elapsed = elapsed;
    EXPECT_NE(line_of(e).find(" elapsed_ms=" + text + " "), std::string::npos) << text;
  }
}

TEST_F(log_observer_test, null_pointers_are_refused) {
  using hawser::test::expect_config_error;
  expect_config_error([] { log_observer(nullptr, make_redactor()); }, "log_observer.logger", "null",
                      "must be a logger");
  expect_config_error([&] { log_observer(logger_, nullptr); }, "log_observer.masks", "null",
                      "must be a redactor");
}

}  // namespace
}  // namespace log_observer_test
