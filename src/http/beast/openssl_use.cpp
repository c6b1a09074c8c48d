#include "http/beast/openssl_use.hpp"

#include "core/process.hpp"
#include "policy/sharded_counter.hpp"

#include <openssl/crypto.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>

namespace hawser::inline v0::http::beast {

namespace {

constexpr unsigned shard_bits = 4;

struct alignas(64) shard {
  std::atomic<int> users{0};
};

constinit std::array<shard, std::size_t{1} << shard_bits> shards;
constinit std::atomic<bool> gone{false};
constinit std::atomic<std::uint32_t> counted_in{0};  // a process; in a child of it counts are off

std::atomic<int>& mine() noexcept {
  return shards[hawser::detail::this_thread_shard(shard_bits)].users;
}

bool anybody() noexcept {
  for (const shard& s : shards)
    if (s.users.load() != 0) return true;
  return false;
}

/// Where the clean-up waits for the last user. Never destroyed: users may come yet.
struct farewell {
  std::mutex mutex;
  std::condition_variable left;

  static farewell& instance() {
    alignas(farewell) static std::byte room[sizeof(farewell)];
    static auto& only = *new (room) farewell;
    return only;
  }
};

/// Called by OpenSSL before it cleans up. Not for ever: the thread that ends the process may be a
/// user itself, stopped in the middle by a signal.
void wait_for_users() noexcept {
  gone.store(true);
  if (counted_in.load() != hawser::detail::process_generation()) return;
  farewell& end = farewell::instance();
  std::unique_lock lock(end.mutex);
  (void)end.left.wait_for(lock, std::chrono::milliseconds(100), [] { return !anybody(); });
}

}  // namespace

openssl_use::openssl_use() noexcept {
  mine().fetch_add(1);
  allowed_ = !gone.load();
  if (allowed_) return;
  // The clean-up does not bear a thread of users that ends meanwhile, as this one might. It says
  // when it begins, and not when it is over, so that is left some time.
  mine().fetch_sub(1);
  farewell& end = farewell::instance();
  std::unique_lock lock(end.mutex);
  end.left.notify_one();
  (void)end.left.wait_for(lock, std::chrono::milliseconds(20), [] { return false; });
}

openssl_use::~openssl_use() {
  if (!allowed_) return;
  mine().fetch_sub(1);
  if (!gone.load()) return;
  const std::lock_guard lock(farewell::instance().mutex);
  farewell::instance().left.notify_one();
}

void openssl_use::begin() noexcept {
  static std::atomic<bool> told{false};  // not for want of memory: then the next one may be
  if (!told.exchange(true)) {
    (void)farewell::instance();
    if (OPENSSL_atexit(wait_for_users) != 1) told.store(false);
  }
  const std::uint32_t here = hawser::detail::process_generation();
  if (counted_in.exchange(here) == here) return;
  for (shard& s : shards) s.users.store(0);  // of a parent's threads, which are not here
}

}  // namespace hawser::inline v0::http::beast
