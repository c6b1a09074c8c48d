// Overwrites memory in a way that the optimiser has to keep.
#pragma once

#include <cstddef>
#include <cstring>
#include <string>

namespace hawser::inline v0 {

/// Zeroes `size` bytes. A plain memset before a free is a dead store, which compilers remove; the
/// barrier claims that somebody reads the memory afterwards.
inline void wipe(void* memory, std::size_t size) noexcept {
  if (size == 0) return;
#if defined(__GNUC__)
  std::memset(memory, 0, size);
  __asm__ __volatile__("" : : "r"(memory) : "memory");
#else
  volatile unsigned char* bytes = static_cast<volatile unsigned char*>(memory);
  while (size-- != 0) *bytes++ = 0;
#endif
}

/// Wipes all of a string's memory, the spare capacity too, and empties it.
inline void wipe(std::string& text) noexcept {
  text.resize(text.capacity());
  wipe(text.data(), text.size());
  text.clear();
}

}  // namespace hawser::inline v0
