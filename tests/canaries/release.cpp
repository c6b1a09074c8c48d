// The sinks: whatever this library prints a text through.
#include "canaries/canaries.hpp"
#include "hawser/log/log_observer.hpp"
#include "hawser/log/masking_sink.hpp"
#include "hawser/observe/event.hpp"
#include "hawser/observe/redactor.hpp"
#include "hawser/run/execute.hpp"
#include "hawser/run/pipeline.hpp"
#include "hawser/run/report.hpp"
#include "hawser/testing/manual_environment.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>

#include <algorithm>
#include <memory>
#include <sstream>
#include <stdexcept>

namespace hawser::test::canaries {

namespace {

constexpr std::size_t enough = 8;  // characters of a secret that count as a leak

bool has_trace(const std::string& out, const std::string& trace) {
  const std::size_t window = std::min(enough, trace.size());
  for (std::size_t at = 0; at + window <= trace.size(); ++at)
    if (out.find(trace.substr(at, window)) != std::string::npos) return true;
  return false;
}

std::string json_string(const std::string& text) {
  std::string out = "{\"note\":\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n')
      out += "\\n";
    else if (c == '\r')
      out += "\\r";
    else
      out += c;
  }
  return out + "\"}";
}

std::string form_value(const std::string& text) {
  constexpr std::string_view sixteen = "0123456789ABCDEF";
  std::string out = "note=";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += sixteen[byte >> 4U];
    out += sixteen[byte & 15U];
  }
  return out;
}

/// As the reader of a form gets it.
std::string form_read(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

class sinks {
 public:
  sinks() {
    logger_->set_pattern("%v");
    logger_->set_level(spdlog::level::trace);
  }

  std::vector<std::pair<std::string, std::string>> all(const canary& c) {
    redaction options;
    if (!c.known.empty()) options.literals = {secret(c.known)};
    const auto masks = make_redactor(options);
    return {{"text", masks->text(c.text)},
            {"header", masks->header("X-Note", c.text)},
            {"json", masks->json(json_string(c.text))},
            {"form", form_read(masks->form(form_value(c.text)))},
            {"url", form_read(masks->url("https://h/x?" + form_value(c.text)))},
            {"body", masks->body("text/plain", c.text)},
            {"masking sink", through_sink(masks, c.text)},
            {"log observer", through_observer(masks, c.text)},
            {"error", error_of(masks, c.text)},
            {"what()", what_of(masks, c.text)},
            {"report", report_of(masks, c.text)}};
  }

 private:
  std::string through_sink(const std::shared_ptr<const redactor>& masks, const std::string& text) {
    out_.str("");
    auto sink = log::make_masking_sink(inner_, masks);
    sink->set_pattern("%v");
    spdlog::logger("app", sink).info("{}", text);
    return out_.str();
  }

  std::string through_observer(const std::shared_ptr<const redactor>& masks,
                               const std::string& text) {
    out_.str("");
    event e;
    e.kind = event_kind::attempt_finished;
    e.operation = text;
    e.correlation = text;
    log::log_observer(logger_, masks).on_event(e);
    return out_.str();
  }

  std::string error_of(const std::shared_ptr<const redactor>& masks, const std::string& text) {
    const pipeline p = pipeline_builder("p").redact(masks).build(env_);
    const auto r = p.execute([&]() -> int { throw std::runtime_error(text); });
    return std::string(r.error().detail()) + r.error().message();
  }

  std::string what_of(const std::shared_ptr<const redactor>& masks, const std::string& text) {
    const pipeline p = pipeline_builder("p").redact(masks).build(env_);
    try {
      static_cast<void>(
          p.execute_or_throw([&]() -> result<int> { return error(errc::client_error, text); }));
    } catch (const std::exception& e) {
      return e.what();
    }
    return {};
  }

  std::string report_of(const std::shared_ptr<const redactor>& masks, const std::string& text) {
    call_report report;
    const pipeline p = pipeline_builder("p").redact(masks).build(env_);
    static_cast<void>(p.execute([]() { return 1; }, {.report = &report, .name = text}));
    return report.to_string();
  }

  testing::manual_environment env_;
  std::ostringstream out_;
  std::shared_ptr<spdlog::sinks::sink> inner_ =
      std::make_shared<spdlog::sinks::ostream_sink_mt>(out_);
  std::shared_ptr<spdlog::logger> logger_ = std::make_shared<spdlog::logger>("app", inner_);
};

}  // namespace

std::map<std::string, tally> release(const std::vector<canary>& all) {
  std::map<std::string, tally> results;
  sinks through;
  for (const canary& c : all)
    for (const auto& [sink, out] : through.all(c)) {
      tally& t = results[c.kind + " > " + sink];
      ++t.planted;
      const bool leaked =
          std::any_of(c.traces.begin(), c.traces.end(),
                      [&o = out](const auto& trace) { return has_trace(o, trace); });
      if (!leaked) continue;
      ++t.leaked;
      if (t.example.empty()) t.example = c.text + " -> " + out;
    }
  return results;
}

bool is_documented(std::string_view /*kind*/) noexcept { return false; }

}  // namespace hawser::test::canaries
