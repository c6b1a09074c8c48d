// Replaces, in the program that it is linked into, the allocation functions and the system calls
// that networking uses, so that one of them can be made to fail: the library under test is not
// changed for it. OpenSSL's and the C library's own allocations go the same way.
//
//   watch(&seen);                                     // in a process of its own, once
//   fail({.what = call::memory, .at = 7});            // the seventh allocation from now on, of any
//   ...                                               // thread, returns null or throws
//   stop_failing();
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <string_view>

namespace hawser::test {

/// What can be made to fail.
enum class call : unsigned {
  memory,
  socket,
  connect,
  send,
  receive,
  get_option,
  set_option,
  control,  ///< ioctl, fcntl
  epoll_create,
  epoll_control,
  epoll_wait,
  timer_create,
  timer_set,
  event,  ///< eventfd
  pipe,
  thread,   ///< pthread_create
  resolve,  ///< getaddrinfo
};
constexpr std::size_t calls = 17;
[[nodiscard]] std::string_view name_of(call c) noexcept;

/// Which one fails, and how.
struct failure {
  call what = call::memory;
  std::size_t at = 0;    ///< 1 is the first; 0 fails none and counts only.
  std::size_t many = 1;  ///< So many in a row.
  int error = 0;         ///< errno, or what the function returns where that tells; not for memory.
};
/// From the one at which it begins to the end.
constexpr std::size_t all = static_cast<std::size_t>(-1) / 2;

/// Where one of them failed, or where the process crashed: return addresses, innermost first.
struct place {
  static constexpr int most = 48;
  std::array<void*, most> frames{};
  int depth = 0;
};

/// What happened, in memory that may be shared with the process that watches.
struct seen {
  std::array<std::atomic<std::size_t>, calls> made{};  ///< From `fail` to `stop_failing`.
  std::atomic<std::size_t> failed{0};
  static constexpr std::size_t kept = 8;
  std::array<place, kept> places{};  ///< The first one, then the latest ones in turn.
  place crash{};                     ///< By SIGABRT and the like; where SIGQUIT came, by a hang.
};

/// All that happens goes into `to`; crashes too, whose signal then takes its course. Once.
void watch(seen* to);
void fail(const failure& how) noexcept;
void stop_failing() noexcept;
[[nodiscard]] bool failing() noexcept;

}  // namespace hawser::test
