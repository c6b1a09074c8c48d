#include "gateway_process.hpp"

#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <stdexcept>

extern char** environ;

namespace payments {

gateway_process::gateway_process(const std::string& program,
                                 const std::vector<std::string>& arguments) {
  int to_child[2];
  int from_child[2];
  if (pipe2(to_child, O_CLOEXEC) != 0 || pipe2(from_child, O_CLOEXEC) != 0)
    throw std::runtime_error("no pipe for the gateway");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to_child[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, from_child[1], STDOUT_FILENO);

  std::vector<std::string> words{program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const int failed = posix_spawn(&id_, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(to_child[0]);
  close(from_child[1]);
  input_ = to_child[1];
  if (failed != 0) {
    close(input_);
    close(from_child[0]);
    throw std::runtime_error("cannot start " + program);
  }
  const std::string line = read_line(from_child[0]);
  close(from_child[0]);
  const auto ready = nlohmann::json::parse(line, nullptr, false);
  if (!ready.is_object() || !ready.contains("port"))
    throw std::runtime_error("the gateway did not start: " + line);
  url_ = "https://localhost:" + std::to_string(ready["port"].get<int>());
}

gateway_process::~gateway_process() {
  close(input_);  // its end of input tells it to stop
  kill(id_, SIGTERM);
  int status = 0;
  waitpid(id_, &status, 0);
}

std::string gateway_process::read_line(int fd) const {
  std::string line;
  pollfd waiting{fd, POLLIN, 0};
  while (poll(&waiting, 1, 10'000) > 0) {
    char c = 0;
    if (read(fd, &c, 1) != 1 || c == '\n') break;
    line += c;
  }
  return line;
}

}  // namespace payments
