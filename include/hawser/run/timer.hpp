// Timers of an environment: many nodes, one heap, one timer of the executor behind them.
//
//   struct guard : hawser::timer_node { void expired() noexcept override { give_up(); } ... };
//   env.arm(guard, hawser::later(env.now(), 2s));
//   env.disarm(guard);                      // cheap: nearly all timers are disarmed
//
// For authors of transports and operations; users of pipelines never see one.
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/core/time.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace hawser::inline v0 {

/// Something that can be told that its time has come. While it is queued the queue holds a
/// reference, so a node that is abandoned with its environment is released, not leaked.
class HAWSER_API timer_node {
 public:
  timer_node() = default;
  timer_node(const timer_node&) = delete;
  timer_node& operator=(const timer_node&) = delete;

  /// The due time passed. On a thread of the executor, under no lock. It may still run just after
  /// another thread disarmed the node: look whether it still matters.
  virtual void expired() noexcept = 0;

 protected:
  virtual ~timer_node() = default;
  /// The queue takes a reference to the node. Called under the queue's lock.
  virtual void add_ref() noexcept = 0;
  /// The queue gives its reference back; the node may destroy itself.
  virtual void release() noexcept = 0;

 private:
  friend class timer_queue;
  static constexpr std::size_t not_queued = static_cast<std::size_t>(-1);
  static constexpr std::size_t beside_heap = static_cast<std::size_t>(-2);

  std::atomic<time_point::rep> due_{never.time_since_epoch().count()};
  // The key under which the heap holds the node; written under the queue's lock.
  std::atomic<time_point::rep> key_{never.time_since_epoch().count()};
  std::size_t index_ = not_queued;
  std::uint64_t sequence_ = 0;
  timer_node* beside_ = nullptr;
};

/// A heap of nodes. Lazy: arming a queued node to a later time only stores the time, and the heap
/// looks again when the old one comes. Ties fire in the order of arming. Nothing here throws: nodes
/// for which the heap cannot grow stand in a list beside it until it can.
class HAWSER_API timer_queue {
 public:
  timer_queue() = default;
  timer_queue(const timer_queue&) = delete;
  timer_queue& operator=(const timer_queue&) = delete;
  ~timer_queue();

  /// True when the driver must look at `next()` again: a new earliest, or the first armed node.
  bool arm(timer_node& node, time_point due) noexcept;
  /// The node will not expire (but see `timer_node::expired`). It may stay queued.
  void disarm(timer_node& node) noexcept;
  /// Disarms and drops the queue's reference.
  void remove(timer_node& node) noexcept;

  /// The time at which to call `fire` next; `never` when nothing is queued.
  [[nodiscard]] time_point next() const;
  /// Whether any node is armed.
  [[nodiscard]] bool any_armed() const noexcept { return armed_.load() != 0; }
  /// How many nodes are armed.
  [[nodiscard]] std::size_t armed() const noexcept { return armed_.load(); }
  /// Expires one due node. False when none is due.
  bool fire_one(time_point now);
  /// Releases every node without expiring it.
  void abandon() noexcept;

 private:
  [[nodiscard]] bool grow_locked() noexcept;
  void push_locked(timer_node& node, time_point::rep key) noexcept;
  void settle_beside_locked() noexcept;
  [[nodiscard]] timer_node* first_locked() const noexcept;
  void erase_locked(timer_node& node) noexcept;
  void sift_up_locked(std::size_t i) noexcept;
  void sift_down_locked(std::size_t i) noexcept;
  void place_locked(std::size_t i, timer_node* node) noexcept;
  [[nodiscard]] static bool before(const timer_node& a, const timer_node& b) noexcept;

  mutable std::mutex mutex_;
  std::vector<timer_node*> heap_;
  timer_node* beside_heap_ = nullptr;
  std::uint64_t sequence_ = 0;
  std::atomic<std::size_t> armed_{0};
};

}  // namespace hawser::inline v0
