// Threads of the library's own: the process's signals are not for them.
#pragma once

#include <pthread.h>

#include <csignal>
#include <thread>
#include <utility>

namespace hawser::inline v0::detail {

/// While it lives, threads that this one starts begin with all signals blocked but those that a
/// thread brings on itself: handlers of the others belong on threads of the program.
class signals_blocked {
 public:
  signals_blocked() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT})
      ::sigdelset(&all, own);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  signals_blocked(const signals_blocked&) = delete;
  signals_blocked& operator=(const signals_blocked&) = delete;
  ~signals_blocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

/// `name` is what tools show: at most 15 characters. Throws std::system_error when there is no
/// thread to be had.
template <class Run>
[[nodiscard]] std::thread quiet_thread(const char* name, Run run) {
  const signals_blocked now;
  std::thread started(std::move(run));
  ::pthread_setname_np(started.native_handle(), name);
  return started;
}

}  // namespace hawser::inline v0::detail
