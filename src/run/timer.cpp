#include "hawser/run/timer.hpp"

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

void timer_queue::push_locked(timer_node& node, time_point::rep key) {
  if (node.index_ == timer_node::not_queued) {
    heap_.push_back(&node);
    node.add_ref();
    node.index_ = heap_.size() - 1;
  }
  node.key_.store(key);
  node.sequence_ = ++sequence_;
  sift_up_locked(node.index_);
  sift_down_locked(node.index_);
}

void timer_queue::erase_locked(timer_node& node) noexcept {
  const std::size_t i = node.index_;
  timer_node* last = heap_.back();
  heap_.pop_back();
  node.index_ = timer_node::not_queued;
  node.key_.store(unarmed);
  if (last != &node) {
    place_locked(i, last);
    sift_up_locked(i);
    sift_down_locked(last->index_);
  }
}

bool timer_queue::arm(timer_node& node, time_point due) {
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
  return first || node.index_ == 0;
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
  if (heap_.empty()) return never;
  return time_point(duration(heap_.front()->key_.load()));
}

bool timer_queue::fire_one(time_point now) {
  const time_point::rep at = now.time_since_epoch().count();
  for (;;) {
    timer_node* node = nullptr;
    bool due_now = false;
    {
      const std::lock_guard lock(mutex_);
      if (heap_.empty() || heap_.front()->key_.load() > at) return false;
      node = heap_.front();
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
  {
    const std::lock_guard lock(mutex_);
    dropped.swap(heap_);
    for (timer_node* node : dropped) {
      node->index_ = timer_node::not_queued;
      node->key_.store(unarmed);
    }
  }
  for (timer_node* node : dropped) {
    disarm(*node);
    node->release();
  }
}

}  // namespace hawser::inline v0
