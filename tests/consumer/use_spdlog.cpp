#include <hawser/log/masking_sink.hpp>
#include <hawser/observe/redactor.hpp>

#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>

#include <memory>
#include <sstream>
#include <string>

int main() {
  std::ostringstream text;
  auto sink = hawser::log::make_masking_sink(std::make_shared<spdlog::sinks::ostream_sink_mt>(text),
                                             hawser::make_redactor());
  spdlog::logger("app", sink).info("token={}", "s3cr3t");
  return text.str().find("s3cr3t") == std::string::npos && !text.str().empty() ? 0 : 1;
}
