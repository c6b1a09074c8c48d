// Memory for the operations that Asio makes for us, kept in the object they belong to: starting one
// allocates nothing, so it cannot fail for want of memory. Not for users.
#pragma once

#include <atomic>
#include <cstddef>
#include <new>

namespace hawser::inline v0::detail {

/// Memory for one operation of Asio at a time, reused by the next. Asio gives it back before it
/// calls the handler. For whoever comes while it is in use there is the heap. Operations are begun
/// by one thread at a time, and may end on another.
class operation_memory {
 public:
  operation_memory() = default;
  operation_memory(const operation_memory&) = delete;
  operation_memory& operator=(const operation_memory&) = delete;

  void* allocate(std::size_t size) {
    if (size > sizeof room_ || in_use_.load(std::memory_order_acquire)) return ::operator new(size);
    in_use_.store(true, std::memory_order_relaxed);
    return room_;
  }
  void deallocate(void* p) noexcept {
    if (p == room_)
      in_use_.store(false, std::memory_order_release);
    else
      ::operator delete(p);
  }

 private:
  alignas(std::max_align_t) unsigned char room_[320];
  std::atomic<bool> in_use_{false};
};

template <class T>
class operation_allocator {
 public:
  using value_type = T;
  explicit operation_allocator(operation_memory& m) noexcept : memory_(&m) {}
  template <class U>
  operation_allocator(const operation_allocator<U>& other) noexcept  // NOLINT: rebinding
      : memory_(other.memory_) {}
  T* allocate(std::size_t n) { return static_cast<T*>(memory_->allocate(n * sizeof(T))); }
  void deallocate(T* p, std::size_t /*n*/) noexcept { memory_->deallocate(p); }
  template <class U>
  bool operator==(const operation_allocator<U>& other) const noexcept {
    return memory_ == other.memory_;
  }

 private:
  template <class U>
  friend class operation_allocator;
  operation_memory* memory_;
};

}  // namespace hawser::inline v0::detail
