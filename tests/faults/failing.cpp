#include "faults/failing.hpp"

#include <dlfcn.h>
#include <execinfo.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdlib>
#include <new>

namespace hawser::test {
namespace {

constexpr std::array<std::string_view, calls> names = {
    "memory",          "socket",  "connect",       "send",           "recv",       "getsockopt",
    "setsockopt",      "ioctl",   "epoll_create1", "epoll_ctl",      "epoll_wait", "timerfd_create",
    "timerfd_settime", "eventfd", "pipe",          "pthread_create", "getaddrinfo"};

seen* all_seen = nullptr;
failure wanted;
std::atomic<bool> armed{false};
thread_local bool looking = false;  // at a stack, which may allocate the first time

void note(place& at) noexcept {
  looking = true;
  at.depth = ::backtrace(at.frames.data(), place::most);
  looking = false;
}

[[nodiscard]] bool fails(call c) noexcept {
  if (!armed.load(std::memory_order_acquire) || looking) return false;
  const std::size_t n = ++all_seen->made[static_cast<std::size_t>(c)];
  if (c != wanted.what || wanted.at == 0 || n < wanted.at || n - wanted.at >= wanted.many)
    return false;
  const std::size_t nth = all_seen->failed++;
  note(all_seen->places[nth == 0 ? 0 : 1 + (nth - 1) % (seen::kept - 1)]);
  return true;
}

/// Whether a call that tells by errno fails.
[[nodiscard]] bool fails_by_errno(call c) noexcept {
  if (!fails(c)) return false;
  errno = wanted.error;
  return true;
}

template <class F>
[[nodiscard]] F* next(const char* name) noexcept {
  return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
}

void crashed(int signal) noexcept {
  armed = false;
  note(all_seen->crash);
  if (signal == SIGQUIT) ::_exit(3);
  ::raise(signal);  // its handler was reset
}

}  // namespace

std::string_view name_of(call c) noexcept { return names[static_cast<std::size_t>(c)]; }

void watch(seen* to) {
  all_seen = to;
  place unused;
  note(unused);  // loads what it needs
  static std::array<char, 64 * 1024> stack;
  stack_t other{};
  other.ss_sp = stack.data();
  other.ss_size = stack.size();
  ::sigaltstack(&other, nullptr);
  for (const int s : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGQUIT}) {
    struct sigaction action {};
    action.sa_handler = crashed;
    action.sa_flags = static_cast<int>(SA_ONSTACK | SA_RESETHAND | SA_NODEFER);
    ::sigaction(s, &action, nullptr);
  }
}

void fail(const failure& how) noexcept {
  wanted = how;
  armed.store(true, std::memory_order_release);
}

void stop_failing() noexcept { armed.store(false, std::memory_order_release); }

bool failing() noexcept { return armed.load(); }

}  // namespace hawser::test

using hawser::test::call;
using hawser::test::fails;
using hawser::test::fails_by_errno;
using hawser::test::wanted;

// --- memory ------------------------------------------------------------------------------------

// The names by which the C library's own functions can be reached once theirs are taken; those of
// the address sanitizer, which has taken them too.
#ifdef __SANITIZE_ADDRESS__
#define HAWSER_REAL(name) __interceptor_##name
#else
#define HAWSER_REAL(name) __libc_##name
#endif

extern "C" {

void* HAWSER_REAL(malloc)(std::size_t);
void* HAWSER_REAL(calloc)(std::size_t, std::size_t);
void* HAWSER_REAL(realloc)(void*, std::size_t);
void* HAWSER_REAL(memalign)(std::size_t, std::size_t);

void* malloc(std::size_t size) noexcept {
  if (!fails(call::memory)) return HAWSER_REAL(malloc)(size);
  errno = ENOMEM;
  return nullptr;
}
void* calloc(std::size_t count, std::size_t size) noexcept {
  if (!fails(call::memory)) return HAWSER_REAL(calloc)(count, size);
  errno = ENOMEM;
  return nullptr;
}
void* realloc(void* old, std::size_t size) noexcept {
  if ((old != nullptr && size == 0) || !fails(call::memory)) return HAWSER_REAL(realloc)(old, size);
  errno = ENOMEM;
  return nullptr;
}
void* memalign(std::size_t alignment, std::size_t size) noexcept {
  if (!fails(call::memory)) return HAWSER_REAL(memalign)(alignment, size);
  errno = ENOMEM;
  return nullptr;
}
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  return memalign(alignment, size);
}
int posix_memalign(void** to, std::size_t alignment, std::size_t size) noexcept {
  void* const memory = memalign(alignment, size);
  if (memory == nullptr) return ENOMEM;
  *to = memory;
  return 0;
}

// --- the system --------------------------------------------------------------------------------

int socket(int domain, int type, int protocol) noexcept {
  static auto* const real = hawser::test::next<int(int, int, int)>("socket");
  return fails_by_errno(call::socket) ? -1 : real(domain, type, protocol);
}
int connect(int fd, const sockaddr* to, socklen_t size) {
  static auto* const real = hawser::test::next<int(int, const sockaddr*, socklen_t)>("connect");
  return fails_by_errno(call::connect) ? -1 : real(fd, to, size);
}
ssize_t send(int fd, const void* data, std::size_t size, int flags) {
  static auto* const real = hawser::test::next<ssize_t(int, const void*, std::size_t, int)>("send");
  return fails_by_errno(call::send) ? -1 : real(fd, data, size, flags);
}
ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  static auto* const real = hawser::test::next<ssize_t(int, const msghdr*, int)>("sendmsg");
  return fails_by_errno(call::send) ? -1 : real(fd, message, flags);
}
ssize_t recv(int fd, void* into, std::size_t room, int flags) {
  static auto* const real = hawser::test::next<ssize_t(int, void*, std::size_t, int)>("recv");
  return fails_by_errno(call::receive) ? -1 : real(fd, into, room, flags);
}
ssize_t recvmsg(int fd, msghdr* message, int flags) {
  static auto* const real = hawser::test::next<ssize_t(int, msghdr*, int)>("recvmsg");
  return fails_by_errno(call::receive) ? -1 : real(fd, message, flags);
}
ssize_t recvfrom(int fd, void* into, std::size_t room, int flags, sockaddr* from, socklen_t* size) {
  static auto* const real =
      hawser::test::next<ssize_t(int, void*, std::size_t, int, sockaddr*, socklen_t*)>("recvfrom");
  return fails_by_errno(call::receive) ? -1 : real(fd, into, room, flags, from, size);
}
int getsockopt(int fd, int level, int name, void* value, socklen_t* size) noexcept {
  static auto* const real = hawser::test::next<int(int, int, int, void*, socklen_t*)>("getsockopt");
  return fails_by_errno(call::get_option) ? -1 : real(fd, level, name, value, size);
}
int setsockopt(int fd, int level, int name, const void* value, socklen_t size) noexcept {
  static auto* const real =
      hawser::test::next<int(int, int, int, const void*, socklen_t)>("setsockopt");
  return fails_by_errno(call::set_option) ? -1 : real(fd, level, name, value, size);
}
int ioctl(int fd, unsigned long request, ...) noexcept {
  static auto* const real = hawser::test::next<int(int, unsigned long, void*)>("ioctl");
  std::va_list more;
  va_start(more, request);
  void* const argument = va_arg(more, void*);
  va_end(more);
  return fails_by_errno(call::control) ? -1 : real(fd, request, argument);
}
int fcntl(int fd, int command, ...) {
  static auto* const real = hawser::test::next<int(int, int, void*)>("fcntl");
  std::va_list more;
  va_start(more, command);
  void* const argument = va_arg(more, void*);
  va_end(more);
  return fails_by_errno(call::control) ? -1 : real(fd, command, argument);
}
int epoll_create1(int flags) noexcept {
  static auto* const real = hawser::test::next<int(int)>("epoll_create1");
  return fails_by_errno(call::epoll_create) ? -1 : real(flags);
}
int epoll_ctl(int fd, int what, int other, epoll_event* event) noexcept {
  static auto* const real = hawser::test::next<int(int, int, int, epoll_event*)>("epoll_ctl");
  return fails_by_errno(call::epoll_control) ? -1 : real(fd, what, other, event);
}
int epoll_wait(int fd, epoll_event* events, int most, int milliseconds) {
  static auto* const real = hawser::test::next<int(int, epoll_event*, int, int)>("epoll_wait");
  return fails_by_errno(call::epoll_wait) ? -1 : real(fd, events, most, milliseconds);
}
int timerfd_create(clockid_t clock, int flags) noexcept {
  static auto* const real = hawser::test::next<int(clockid_t, int)>("timerfd_create");
  return fails_by_errno(call::timer_create) ? -1 : real(clock, flags);
}
int timerfd_settime(int fd, int flags, const itimerspec* to, itimerspec* old) noexcept {
  static auto* const real =
      hawser::test::next<int(int, int, const itimerspec*, itimerspec*)>("timerfd_settime");
  return fails_by_errno(call::timer_set) ? -1 : real(fd, flags, to, old);
}
int eventfd(unsigned count, int flags) noexcept {
  static auto* const real = hawser::test::next<int(unsigned, int)>("eventfd");
  return fails_by_errno(call::event) ? -1 : real(count, flags);
}
int pipe(int ends[2]) noexcept {
  static auto* const real = hawser::test::next<int(int*)>("pipe");
  return fails_by_errno(call::pipe) ? -1 : real(ends);
}
int pthread_create(pthread_t* thread, const pthread_attr_t* how, void* (*run)(void*),
                   void* what) noexcept {
  static auto* const real =
      hawser::test::next<int(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*)>(
          "pthread_create");
  return fails(call::thread) ? wanted.error : real(thread, how, run, what);
}
int getaddrinfo(const char* host, const char* service, const addrinfo* hints, addrinfo** found) {
  static auto* const real =
      hawser::test::next<int(const char*, const char*, const addrinfo*, addrinfo**)>("getaddrinfo");
  return fails(call::resolve) ? wanted.error : real(host, service, hints, found);
}

}  // extern "C"

#ifdef __SANITIZE_ADDRESS__
// The sanitizer's own do not come through malloc.
void* operator new(std::size_t size) {
  if (void* memory = malloc(size != 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
void* operator new[](std::size_t size) { return operator new(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return malloc(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return malloc(size); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  if (void* memory = memalign(static_cast<std::size_t>(alignment), size)) return memory;
  throw std::bad_alloc();
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return operator new(size, alignment);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
#endif
