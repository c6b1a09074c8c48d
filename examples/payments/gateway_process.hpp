// The unreliable payment gateway as a process of its own.
#pragma once

#include <sys/types.h>
#include <cstdint>
#include <string>
#include <vector>

namespace payments {

/// Starts the fault server next to this program and ends it, by its id, on destruction.
class gateway_process {
 public:
  /// `program`: path of hawser-fault-server. Throws when it does not report for duty in 10 seconds.
  gateway_process(const std::string& program, const std::vector<std::string>& arguments);
  gateway_process(const gateway_process&) = delete;
  gateway_process& operator=(const gateway_process&) = delete;
  ~gateway_process();

  /// "https://localhost:PORT".
  [[nodiscard]] const std::string& url() const noexcept { return url_; }

 private:
  [[nodiscard]] std::string read_line(int fd) const;

  pid_t id_ = -1;
  int input_ = -1;
  std::string url_;
};

}  // namespace payments
