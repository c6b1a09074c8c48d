// Which process this is. What was made before fork() is the parent's: the child has its memory, but
// not its threads, whatever locks they held stay locked, and its connections are shared.
//
//   const std::uint32_t made_in = process_generation();
//   if (made_in != process_generation()) return errc::forked;   // in a child
#pragma once

#include "hawser/core/export.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

namespace hawser::inline v0::detail {

/// Changes in a process that was forked, however it was done, and never comes back to what it was
/// in the processes that it descends from. Never 0. Costs one load. Thread-safe.
[[nodiscard]] HAWSER_API std::uint32_t process_generation() noexcept;

/// A socket that a child of fork() shall not share: there, a dead one takes its place, so that the
/// parent's end is the only one and nothing of the child's is read from it or written to it. Where
/// there is no memory left to remember it, the child shares it.
HAWSER_API void keep_from_children(int socket) noexcept;
/// It is about to be closed.
HAWSER_API void no_longer_kept(int socket) noexcept;

/// Keeps what is the parent's from being destroyed in a child, where its locks may be locked for
/// ever: until the end of the process, and where leak checkers see it.
HAWSER_API void keep_for_ever(std::shared_ptr<const void> what) noexcept;

/// In a child: puts a new object in the place of the parent's, which is left as it is. What it
/// points to stays where leak checkers see it.
template <class T, class... Args>
void renew(T& parents, Args&&... args) {
  const auto bytes = std::make_shared<std::array<std::byte, sizeof(T)>>();
  std::memcpy(bytes->data(), static_cast<const void*>(&parents), sizeof(T));
  keep_for_ever(bytes);
  std::construct_at(&parents, std::forward<Args>(args)...);
}

}  // namespace hawser::inline v0::detail
