#include "faults/point.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <stdexcept>

namespace hawser::test {
namespace {

void run(report& into, const scenario& what, const addresses& at, const failure& how) {
  watch(&into.what);
  stage s(into, at, how);
  try {
    what.run(s);
  } catch (const std::exception& e) {
    s.end();
    s.next(e.what());
  }
  into.done = true;
}

}  // namespace

void free_pages::operator()(report* r) const noexcept { ::munmap(r, sizeof *r); }

point::point(const scenario& what, const addresses& at, const failure& how,
             std::chrono::seconds limit)
    : how_(how), until_(std::chrono::steady_clock::now() + limit) {
  void* const pages =
      ::mmap(nullptr, sizeof(report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::runtime_error("no shared memory");
  report_.reset(new (pages) report);
  process_ = ::fork();
  if (process_ < 0) throw std::runtime_error("no process");
  if (process_ != 0) return;
  if (std::freopen("/dev/null", "w", stderr) == nullptr) ::_exit(4);
  run(*report_, what, at, how);
  ::_exit(0);
}

point::~point() {
  if (ended_) return;
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
}

bool point::ended() {
  if (ended_) return true;
  ended_ = ::waitpid(process_, &status_, WNOHANG) == process_;
  if (ended_ || std::chrono::steady_clock::now() < until_) return ended_;
  late_ = true;
  ::kill(process_, SIGQUIT);  // it notes where it is
  for (int i = 0; i < 50 && ::waitpid(process_, &status_, WNOHANG) != process_; ++i) {
    ::poll(nullptr, 0, 10);
    if (i == 48) ::kill(process_, SIGKILL);
  }
  return ended_ = true;
}

ending point::how_it_ended() const noexcept {
  if (late_) return ending::hang;
  if (!WIFEXITED(status_) || WEXITSTATUS(status_) != 0 || !report_->done) return ending::crash;
  if (report_->ended != report_->started) return ending::lost;
  if (report_->fresh_failed) return ending::spoilt;
  if (report_->next_failed) return ending::unusable;
  return report_->escaped != 0 ? ending::escaped : ending::good;
}

void run_here(const scenario& what, const addresses& at, const failure& how) {
  report into;
  run(into, what, at, how);
  std::printf("started %d, refused %d, ended %d, good %d, escaped %d, failed %zu, next: %s\n",
              into.started.load(), into.refused.load(), into.ended.load(), into.good.load(),
              into.escaped.load(), into.what.failed.load(),
              into.next_failed ? into.words.data() : "well");
}

}  // namespace hawser::test
