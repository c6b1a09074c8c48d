#include "hawser/core/entropy.hpp"

#include <random>

namespace hawser::inline v0 {

namespace {

std::uint64_t from_system() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32) | device();
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

system_entropy::system_entropy() : seeded_entropy(from_system()) {}

std::uint64_t system_entropy::unique() noexcept {
  try {
    return from_system();
  } catch (...) {
    return next();  // the device is gone: still seeded by it, still never repeating
  }
}

}  // namespace hawser::inline v0
