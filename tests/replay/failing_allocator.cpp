#include "replay/failing_allocator.hpp"

#include "support/allocations.hpp"

#include <boost/asio/detail/mutex.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>

#include <array>
#include <cstdlib>
#include <utility>

namespace hawser::test {
namespace {

thread_local fuse* armed = nullptr;

// The allocations by which Asio makes a strand: it, the count of its owners, and now and then a
// mutex. When the second or the third fails, Boost 1.81 destroys a half-made strand, whose
// destructor locks a mutex through a pointer that is not set yet: see create_implementation in
// detail/impl/strand_executor_service.ipp. No caller can help that, so these never fail here.
thread_local std::size_t strand_size = 0;
thread_local std::size_t count_size = 0;
thread_local int measured = 2;
thread_local std::array<std::size_t, 2> previous{};

[[nodiscard]] bool inside_of_a_strand(std::size_t size) noexcept {
  const std::array<std::size_t, 2> before = std::exchange(previous, {previous[1], size});
  if (measured < 2) (measured++ == 0 ? strand_size : count_size) = size;
  return (before[1] == strand_size && size == count_size) ||
         (before[0] == strand_size && before[1] == count_size &&
          size == sizeof(boost::asio::detail::mutex));
}

[[nodiscard]] bool fails(std::size_t size) noexcept {
  const bool spared = inside_of_a_strand(size);
  fuse* const f = armed;
  if (f == nullptr || spared) return false;
  if (!f->burns()) return false;
  if (const char* wanted = std::getenv("HAWSER_BREAK_AT");
      wanted != nullptr && std::strtoul(wanted, nullptr, 10) == f->at())
    __builtin_trap();  // for a debugger: where step k is
  return true;
}

}  // namespace

allocations_fail::allocations_fail(fuse& f) {
  ask_at_allocations(fails);
  if (strand_size == 0) {
    boost::asio::io_context io;
    const auto first = boost::asio::make_strand(io);  // makes the service, too
    measured = 0;
    const auto second = boost::asio::make_strand(io);
    measured = 2;
  }
  armed = &f;
}
allocations_fail::~allocations_fail() { armed = nullptr; }

not_counted::not_counted() noexcept : was_(std::exchange(armed, nullptr)) {}
not_counted::~not_counted() { armed = was_; }

}  // namespace hawser::test
