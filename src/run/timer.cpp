#include "hawser/run/timer.hpp"

#include <new>
#include <utility>

namespace hawser::inline v0 {

namespace {

constexpr time_point::rep unarmed = never.time_since_epoch().count();

}  // namespace

timer_queue::~timer_queue() { abandon(); }

bool timer_queue::before(const timer_node& a, const timer_node& b) noexcept {
  const auto ka = a.key_.load(std::memory_order_relaxed);
  const auto kb = b.key_.load(std::memory_order_relaxed);
  return ka != kb ? ka < kb : a.sequence_ < b.sequence_;
}

void timer_queue::place_locked(std::size_t i, timer_node* node) noexcept {
  heap_[i] = node;
  node->index_ = i;
}

void timer_queue::sift_up_locked(std::size_t i) noexcept {
  timer_node* node = heap_[i];
  while (i != 0) {
    const std::size_t parent = (i - 1) / 4;
    if (!before(*node, *heap_[parent])) break;
    place_locked(i, heap_[parent]);
    i = parent;
  }
  place_locked(i, node);
}

void timer_queue::sift_down_locked(std::size_t i) noexcept {
  timer_node* node = heap_[i];
  const std::size_t size = heap_.size();
  for (;;) {
    const std::size_t first = 4 * i + 1;
    if (first >= size) break;
    std::size_t least = first;
    for (std::size_t c = first + 1; c < first + 4 && c < size; ++c)
      if (before(*heap_[c], *heap_[least])) least = c;
    if (!before(*heap_[least], *node)) break;
    place_locked(i, heap_[least]);
    i = least;
  }
  place_locked(i, node);
}

bool timer_queue::grow_locked() noexcept {
  try {
    heap_.push_back(nullptr);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void timer_queue::push_locked(timer_node& node, time_point::rep key) noexcept {
  node.key_.store(key);
  node.sequence_ = ++sequence_;
  if (node.index_ == timer_node::not_queued) {
    node.add_ref();
    if (!grow_locked()) {
      node.index_ = timer_node::beside_heap;
      node.beside_ = std::exchange(beside_heap_, &node);
      return;
    }
    place_locked(heap_.size() - 1, &node);
  }
  if (node.index_ == timer_node::beside_heap) return;
  sift_up_locked(node.index_);
  sift_down_locked(node.index_);
}

/// Takes the nodes beside the heap into it, as far as it can grow by now.
void timer_queue::settle_beside_locked() noexcept {
  while (beside_heap_ != nullptr && grow_locked()) {
    timer_node* const node = beside_heap_;
    beside_heap_ = node->beside_;
    place_locked(heap_.size() - 1, node);
    sift_up_locked(node->index_);
  }
}

timer_node* timer_queue::first_locked() const noexcept {
  timer_node* first = heap_.empty() ? nullptr : heap_.front();
  for (timer_node* n = beside_heap_; n != nullptr; n = n->beside_)
    if (first == nullptr || before(*n, *first)) first = n;
  return first;
}

void timer_queue::erase_locked(timer_node& node) noexcept {
  const std::size_t i = node.index_;
  node.index_ = timer_node::not_queued;
  node.key_.store(unarmed);
  if (i == timer_node::beside_heap) {
    timer_node** at = &beside_heap_;
    while (*at != &node) at = &(*at)->beside_;
    *at = node.beside_;
    return;
  }
  timer_node* last = heap_.back();
  heap_.pop_back();
  if (last != &node) {
    place_locked(i, last);
    sift_up_locked(i);
    sift_down_locked(last->index_);
  }
}

bool timer_queue::arm(timer_node& node, time_point due) noexcept {
  if (due == never) {
    disarm(node);
    return false;
  }
  const time_point::rep at = due.time_since_epoch().count();
  const bool was_armed = node.due_.exchange(at) != unarmed;
  const bool first = !was_armed && armed_.fetch_add(1) == 0;
  // Either this load sees the key that `fire_one` is about to take away, and then `fire_one` sees
  // the new due time; or it sees that the node is not queued. Both are sequentially consistent.
  if (node.key_.load() <= at) return first;
  const std::lock_guard lock(mutex_);
  if (node.index_ != timer_node::not_queued && node.key_.load() <= at) return first;
  push_locked(node, at);
  return first || node.index_ == 0 || node.index_ == timer_node::beside_heap;
}

void timer_queue::disarm(timer_node& node) noexcept {
  if (node.due_.exchange(unarmed) != unarmed) armed_.fetch_sub(1);
}

void timer_queue::remove(timer_node& node) noexcept {
  disarm(node);
  {
    const std::lock_guard lock(mutex_);
    if (node.index_ == timer_node::not_queued) return;
    erase_locked(node);
  }
  node.release();
}

time_point timer_queue::next() const {
  const std::lock_guard lock(mutex_);
  const timer_node* const first = first_locked();
  return first == nullptr ? never : time_point(duration(first->key_.load()));
}

bool timer_queue::fire_one(time_point now) {
  const time_point::rep at = now.time_since_epoch().count();
  for (;;) {
    timer_node* node = nullptr;
    bool due_now = false;
    {
      const std::lock_guard lock(mutex_);
      if (beside_heap_ != nullptr) settle_beside_locked();
      node = first_locked();
      if (node == nullptr || node->key_.load() > at) return false;
      const time_point::rep key = node->key_.load();
      erase_locked(*node);
      time_point::rep due = node->due_.load();
      while (due <= key && !due_now) due_now = node->due_.compare_exchange_weak(due, unarmed);
      if (!due_now && due != unarmed) {  // re-armed to a later time since it was queued
        push_locked(*node, due);
        node->release();  // push took a reference of its own; this one is the old key's
        continue;
      }
    }
    if (due_now) {
      armed_.fetch_sub(1);
      node->expired();
    }
    node->release();
    if (due_now) return true;
  }
}

void timer_queue::abandon() noexcept {
  std::vector<timer_node*> dropped;
  timer_node* beside = nullptr;
  {
    const std::lock_guard lock(mutex_);
    dropped.swap(heap_);
    beside = std::exchange(beside_heap_, nullptr);
    for (timer_node* node : dropped) {
      node->index_ = timer_node::not_queued;
      node->key_.store(unarmed);
    }
    for (timer_node* node = beside; node != nullptr; node = node->beside_) {
      node->index_ = timer_node::not_queued;
      node->key_.store(unarmed);
    }
  }
  for (timer_node* node : dropped) {
    disarm(*node);
    node->release();
  }
  while (beside != nullptr) {
    timer_node* const node = std::exchange(beside, beside->beside_);
    disarm(*node);
    node->release();
  }
}

}  // namespace hawser::inline v0
