#include "core/process.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <new>
#include <utility>

namespace hawser::inline v0::detail {

namespace {

using word = std::atomic<std::uint32_t>;

// --- generations -------------------------------------------------------------------------------

word without_page{0};                 // where the kernel has no page for us
std::atomic<word*> current{nullptr};  // the generation's place: 0 in a process that was just forked
word last_given{0};

/// A page that the kernel empties in a child, also where no handler of fork() runs (Linux 4.14).
word* page_emptied_by_fork() noexcept {
#if defined(MADV_WIPEONFORK)
  const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* const page =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return nullptr;
  if (::madvise(page, size, MADV_WIPEONFORK) == 0) return ::new (page) word(0);
  ::munmap(page, size);
#endif
  return nullptr;
}

void replace_kept_sockets() noexcept;

void in_child() noexcept {
  if (word* const place = current.load()) place->store(0);
  replace_kept_sockets();
}

word* first_use() noexcept {
  word* const page = page_emptied_by_fork();
  word* none = nullptr;
  word* const mine = page != nullptr ? page : &without_page;
  if (!current.compare_exchange_strong(none, mine)) return none;  // the page stays; it is one
  ::pthread_atfork(nullptr, nullptr, in_child);
  return mine;
}

// --- sockets -----------------------------------------------------------------------------------

/// Places for sockets, without locks: a child finds them in order whatever other threads were at. A
/// socket stands there as its number plus one, so that none is 0.
struct socket_places {
  std::array<std::atomic<int>, 256> sockets{};
  std::atomic<socket_places*> next{nullptr};

  bool put(int what, int in_place_of) noexcept {
    for (auto& s : sockets) {
      int seen = s.load(std::memory_order_relaxed);
      if (seen == in_place_of && s.compare_exchange_strong(seen, what)) return true;
    }
    return false;
  }
};

constinit socket_places first_places;

void replace_kept_sockets() noexcept {
  int dead = -1;
  for (socket_places* at = &first_places; at != nullptr; at = at->next.load())
    for (auto& s : at->sockets) {
      const int kept = s.exchange(0) - 1;
      if (kept < 0) continue;
      if (dead < 0) dead = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (dead >= 0)
        (void)::dup3(dead, kept, O_CLOEXEC);
      else
        ::close(kept);  // no socket to be had: then the number names nothing
    }
  if (dead >= 0) ::close(dead);
}

// --- what is never destroyed -------------------------------------------------------------------

struct kept_thing {
  std::shared_ptr<const void> what;
  kept_thing* next;
};

std::atomic<kept_thing*> kept_things{nullptr};

}  // namespace

std::uint32_t process_generation() noexcept {
  word* place = current.load(std::memory_order_acquire);
  if (place == nullptr) place = first_use();
  std::uint32_t now = place->load(std::memory_order_acquire);
  if (now != 0) return now;
  std::uint32_t mine = last_given.fetch_add(1) + 1;
  if (mine == 0) mine = last_given.fetch_add(1) + 1;
  return place->compare_exchange_strong(now, mine) ? mine : now;
}

void keep_from_children(int socket) noexcept {
  (void)process_generation();  // has fork() tell us
  for (socket_places* at = &first_places;;) {
    if (at->put(socket + 1, 0)) return;
    socket_places* next = at->next.load();
    if (next == nullptr) {
      auto* const more = new (std::nothrow) socket_places;
      if (more == nullptr) return;
      if (at->next.compare_exchange_strong(next, more))
        next = more;
      else
        delete more;
    }
    at = next;
  }
}

void no_longer_kept(int socket) noexcept {
  for (socket_places* at = &first_places; at != nullptr; at = at->next.load())
    if (at->put(0, socket + 1)) return;
}

void keep_for_ever(std::shared_ptr<const void> what) noexcept {
  auto* const kept = new (std::nothrow) kept_thing{std::move(what), nullptr};
  if (kept == nullptr) {
    const union never_destroyed {
      explicit never_destroyed(std::shared_ptr<const void>&& w) noexcept : what(std::move(w)) {}
      ~never_destroyed() {}
      std::shared_ptr<const void> what;
    } last(std::move(what));
    return;
  }
  kept->next = kept_things.load();
  while (!kept_things.compare_exchange_weak(kept->next, kept)) {
  }
}

}  // namespace hawser::inline v0::detail
