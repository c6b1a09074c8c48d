#include "process/child.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <stdexcept>

extern char** environ;

namespace hawser::test {

namespace {

/// A file in memory: a pipe would hold up a program that writes much.
int memory_file(const char* name) {
  const int fd = ::memfd_create(name, MFD_CLOEXEC);
  if (fd < 0) throw std::runtime_error("memfd_create");
  return fd;
}

std::string read_all(int fd) {
  std::string text;
  char part[4096];
  for (ssize_t n = 0; (n = ::pread(fd, part, sizeof part, static_cast<off_t>(text.size()))) > 0;)
    text.append(part, static_cast<std::size_t>(n));
  return text;
}

}  // namespace

child::child(std::vector<std::string> command, const std::string& authority)
    : out_(memory_file("out")), err_(memory_file("err")) {
  std::vector<char*> arguments;
  for (std::string& s : command) arguments.push_back(s.data());
  arguments.push_back(nullptr);
  std::string ca = "HAWSER_TEST_CA=" + authority;
  std::vector<char*> variables;
  if (!authority.empty()) variables.push_back(ca.data());
  // What a program leaves at a sudden end is no leak.
  std::string leaks = "ASAN_OPTIONS=detect_leaks=0";
  variables.push_back(leaks.data());
  for (char** v = environ; *v != nullptr; ++v) variables.push_back(*v);
  variables.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, out_, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, err_, STDERR_FILENO);
  const int failed =
      ::posix_spawn(&pid_, arguments[0], &actions, nullptr, arguments.data(), variables.data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw std::runtime_error(std::strerror(failed));
}

child::~child() {
  if (!over_) {
    ::kill(pid_, SIGKILL);
    finish(true);
  }
  ::close(out_);
  ::close(err_);
}

void child::finish(bool wait) const {
  if (over_ || ::waitpid(pid_, &status_, wait ? 0 : WNOHANG) != pid_) return;
  if (end_ == std::chrono::steady_clock::time_point()) end_ = std::chrono::steady_clock::now();
  over_ = true;
}

bool child::ends_within(std::chrono::milliseconds limit) {
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
  pollfd ended{fd, POLLIN, 0};
  const bool itself = ::poll(&ended, 1, static_cast<int>(limit.count())) == 1;
  if (itself) end_ = std::chrono::steady_clock::now();
  ::close(fd);
  if (!itself) ::kill(pid_, SIGKILL);
  finish(true);
  return itself;
}

int child::exit_code() const { return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1; }

int child::signal() const { return WIFSIGNALED(status_) ? WTERMSIG(status_) : 0; }

std::string child::how() const {
  return signal() != 0 ? std::string("ended by ") + ::strsignal(signal())
                       : "exit code " + std::to_string(exit_code());
}

std::string child::output() const {
  finish(true);
  return read_all(out_);
}

std::string child::errors() const {
  finish(true);
  return read_all(err_);
}

std::chrono::milliseconds child::ended_after_last_line() const {
  const std::string text = output();
  if (text.empty()) return std::chrono::hours(1);
  const std::chrono::steady_clock::time_point printed{std::chrono::nanoseconds(std::stoll(text))};
  return std::chrono::duration_cast<std::chrono::milliseconds>(end_ - printed);
}

}  // namespace hawser::test
