#include "faults/servers.hpp"

#include "hawser/testing/fault_plan.hpp"
#include "hawser/testing/fault_server.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <optional>
#include <stdexcept>
#include <string>

namespace hawser::test {
namespace {

testing::plan answer(const testing::received_request& to) {
  using testing::plan;
  if (to.target == "/stall") return plan::stall();
  if (to.target == "/second_time_lucky" && to.header("Attempt") == "1") return plan::answer(503);
  return plan::answer(200, R"({"price":7})");
}

void serve(int out) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  testing::fault_server_options how;
  how.handler = answer;
  how.max_records = 16;
  testing::fault_server plain(how);
  how.tls.emplace();
  testing::fault_server tls(how);
  const std::string words =
      plain.url() + '\n' + tls.url() + '\n' + tls.authority()->certificate() + '\0';
  if (::write(out, words.data(), words.size()) != static_cast<ssize_t>(words.size())) ::_exit(1);
  for (;;) ::pause();
}

}  // namespace

servers::servers() {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) throw std::runtime_error("no pipe");
  process_ = ::fork();
  if (process_ == 0) {
    try {
      serve(ends[1]);
    } catch (...) {
    }
    ::_exit(1);
  }
  ::close(ends[1]);
  std::string words;
  std::array<char, 4096> some{};
  while (words.empty() || words.back() != '\0') {
    const ssize_t n = ::read(ends[0], some.data(), some.size());
    if (n <= 0) throw std::runtime_error("the servers did not start");
    words.append(some.data(), static_cast<std::size_t>(n));
  }
  ::close(ends[0]);
  words.pop_back();
  const std::size_t first = words.find('\n');
  const std::size_t second = words.find('\n', first + 1);
  at_ = {words.substr(0, first), words.substr(first + 1, second - first - 1),
         words.substr(second + 1)};
}

servers::~servers() {
  if (process_ <= 0) return;
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
}

}  // namespace hawser::test
