#include "hawser/core/entropy.hpp"

#include "core/process.hpp"

#include <sys/random.h>
#include <unistd.h>
#include <cerrno>
#include <cstddef>
#include <random>

namespace hawser::inline v0 {

namespace {

/// False where the system has none to give: before Linux 3.17, or in some sandboxes.
bool from_system(std::uint64_t& word) noexcept {
  for (std::size_t got = 0; got < sizeof word;) {
    const ssize_t n = ::getrandom(reinterpret_cast<char*>(&word) + got, sizeof word - got, 0);
    if (n > 0)
      got += static_cast<std::size_t>(n);
    else if (errno != EINTR)
      return false;
  }
  return true;
}

std::uint64_t seed_of_this_process() noexcept {
  std::uint64_t word = 0;
  if (from_system(word)) return word;
  try {
    std::random_device device;
    return (static_cast<std::uint64_t>(device()) << 32U) | device();
  } catch (...) {  // what differs from process to process is all there is then
    return (static_cast<std::uint64_t>(::getpid()) << 40U) ^
           reinterpret_cast<std::uintptr_t>(&word);
  }
}

}  // namespace

entropy::~entropy() = default;

std::uint64_t entropy::unique() noexcept { return next(); }

std::uint64_t seeded_entropy::next() noexcept {
  std::uint64_t z = state_.fetch_add(0x9e3779b97f4a7c15ULL, std::memory_order_relaxed);
  z += 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

system_entropy::system_entropy() noexcept
    : seeded_entropy(seed_of_this_process()), seeded_in_(detail::process_generation()) {}

std::uint64_t system_entropy::next() noexcept {
  const std::uint32_t here = detail::process_generation();
  if (seeded_in_.load(std::memory_order_acquire) != here) {
    seed(seed_of_this_process());
    seeded_in_.store(here, std::memory_order_release);
  }
  return seeded_entropy::next();
}

std::uint64_t system_entropy::unique() noexcept {
  std::uint64_t word = 0;
  return from_system(word) ? word : next();
}

}  // namespace hawser::inline v0
