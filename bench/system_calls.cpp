// The C library's calls that reach the system on a client's way, counted and passed on. Defined in
// the program itself they stand before the library's own, for Asio and OpenSSL alike.
#include "counting.hpp"

#include <dlfcn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

namespace {

template <class Call>
Call* real(Call* /*its type*/, const char* name) noexcept {
  return reinterpret_cast<Call*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

// One counted call: the library's own is looked up once.
#define HAWSER_COUNTED(name, ...)                 \
  static auto* const next = real(&::name, #name); \
  ++hawser_bench::counted().system_calls;         \
  return next(__VA_ARGS__)

extern "C" {

ssize_t read(int fd, void* to, size_t size) { HAWSER_COUNTED(read, fd, to, size); }
ssize_t write(int fd, const void* from, size_t size) { HAWSER_COUNTED(write, fd, from, size); }
ssize_t readv(int fd, const iovec* to, int n) { HAWSER_COUNTED(readv, fd, to, n); }
ssize_t writev(int fd, const iovec* from, int n) { HAWSER_COUNTED(writev, fd, from, n); }
ssize_t send(int fd, const void* from, size_t size, int flags) {
  HAWSER_COUNTED(send, fd, from, size, flags);
}
ssize_t recv(int fd, void* to, size_t size, int flags) {
  HAWSER_COUNTED(recv, fd, to, size, flags);
}
ssize_t sendmsg(int fd, const msghdr* what, int flags) { HAWSER_COUNTED(sendmsg, fd, what, flags); }
ssize_t recvmsg(int fd, msghdr* what, int flags) { HAWSER_COUNTED(recvmsg, fd, what, flags); }
int epoll_wait(int fd, epoll_event* events, int most, int timeout) {
  HAWSER_COUNTED(epoll_wait, fd, events, most, timeout);
}
int epoll_ctl(int fd, int what, int target, epoll_event* event) noexcept {
  HAWSER_COUNTED(epoll_ctl, fd, what, target, event);
}
int timerfd_settime(int fd, int flags, const itimerspec* value, itimerspec* old) noexcept {
  HAWSER_COUNTED(timerfd_settime, fd, flags, value, old);
}

}  // extern "C"
