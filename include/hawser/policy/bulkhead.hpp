// At most so many calls at a time, and a short, bounded queue for the rest.
//
//   auto slots = std::make_shared<hawser::bulkhead_policy>(hawser::bulkhead{
//       .name = "billing", .max_concurrent = 20, .max_queue = 50, .max_queue_wait = 200ms});
//   builder.add(slots);                         // or .add(hawser::bulkhead{...})
//   slots->set_max_concurrent(30);              // at any time
//   if (const auto permit = slots->try_acquire()) work();  // by hand; goes back at the scope's end
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/core/time.hpp"
#include "hawser/policy/policy.hpp"
#include "hawser/policy/refusal.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace hawser::inline v0 {

/// Who of one priority class gets the next free permit.
enum class queue_order : std::uint8_t {
  fifo,                 ///< The one that waited longest.
  lifo_under_overload,  ///< The newest while more than half of the queue is taken, else the oldest:
                        ///< under overload the oldest are likely given up already. Source: Maurer,
                        ///< "Fail at Scale", ACM Queue 13(8), 2015 (adaptive LIFO).
};

/// Options of a bulkhead. A call beyond `max_concurrent` waits in the queue, if there is room.
/// The call's priority makes its class: a higher class is always served first. A newcomer never
/// overtakes its own class, and never pushes anybody out of a full queue.
struct bulkhead {
  std::string name{};                        ///< Empty: "bulkhead".
  int max_concurrent = 25;                   ///< 1 to 2,097,151.
  int max_queue = 0;                         ///< 0 (no queue) to 2,097,151.
  std::optional<duration> max_queue_wait{};  ///< Over 0. Off: waits as long as the call may last.
  queue_order order = queue_order::fifo;     ///< Who of one priority class is next.
  /// The shortest time in which the service can answer, at least 0. A call in the queue with less
  /// left before its deadline is dropped at once instead of being started in vain.
  std::optional<duration> service_floor{};
};

namespace detail {

class bulkhead_stage;

/// A queued call: a node inside its stage. All of it is guarded by the policy's lock.
struct bulkhead_waiter {
  enum class status : std::uint8_t { out, queued, granted, dropped };
  bulkhead_waiter* older = nullptr;  // within its class
  bulkhead_waiter* newer = nullptr;
  bulkhead_waiter* newest = nullptr;  // of the class; kept by its oldest, as are the next two
  bulkhead_waiter* higher = nullptr;  // the oldest of the next class
  bulkhead_waiter* lower = nullptr;
  waker* wake = nullptr;
  time_point useless_at = never;  // from here on its deadline cannot be met
  int priority = 0;
  status state = status::out;
};

/// Classes by priority, each in order of arrival. Adding and removing cost O(classes).
class bulkhead_queue {
 public:
  void add(bulkhead_waiter& w) noexcept;
  void remove(bulkhead_waiter& w) noexcept;
  /// The oldest or newest of the highest class. Precondition: not empty.
  [[nodiscard]] bulkhead_waiter& next(bool newest) const noexcept;

 private:
  void replace_head(bulkhead_waiter& head, bulkhead_waiter* by) noexcept;
  bulkhead_waiter* highest_ = nullptr;
};

}  // namespace detail

/// All numbers of one moment.
struct bulkhead_snapshot {
  int in_flight = 0;  ///< May be over `limit` for a while after shrinking.
  int queued = 0;     ///< May be over `max_queue` for a while after shrinking.
  int limit = 0;      ///< `max_concurrent` in force.
  int max_queue = 0;  ///< In force.
};

class bulkhead_policy;

/// A permit held by hand. It goes back once: by `release()`, or when it is destroyed. Not
/// thread-safe in itself; may be passed to another thread and go back there. Its bulkhead must
/// outlive it.
class HAWSER_API bulkhead_permit {
 public:
  bulkhead_permit() noexcept = default;
  /// Takes the permit over; `other` is left empty.
  bulkhead_permit(bulkhead_permit&& other) noexcept : from_(std::exchange(other.from_, nullptr)) {}
  /// Gives back what it held and takes the other's permit over.
  bulkhead_permit& operator=(bulkhead_permit&& other) noexcept {
    if (this != &other) {
      release();
      from_ = std::exchange(other.from_, nullptr);
    }
    return *this;
  }
  ~bulkhead_permit() { release(); }

  /// Whether it is held: the call may go out.
  [[nodiscard]] explicit operator bool() const noexcept { return from_ != nullptr; }
  /// Gives the permit back now, to the first in the queue if there is one; later calls do nothing.
  void release() noexcept {
    if (from_ != nullptr) give_back();
  }

 private:
  friend class bulkhead_policy;
  explicit bulkhead_permit(bulkhead_policy* from) noexcept : from_(from) {}
  void give_back() noexcept;
  bulkhead_policy* from_ = nullptr;
};

/// The live bulkhead. All members are thread-safe; nothing ever blocks on a permit.
///
/// A call that finds a permit and nobody queued takes it with one atomic step and no lock, and
/// gives it back likewise. Calls that find neither permit nor room end with `errc::bulkhead_full`
/// (`reason::concurrency` without a queue, `reason::queue_full` with one); calls that waited
/// `max_queue_wait` with `errc::bulkhead_timeout` and `reason::queue_wait`; calls dropped from the
/// queue for their deadline with `errc::bulkhead_timeout` and `reason::deadline`.
class HAWSER_API bulkhead_policy final : public policy {
 public:
  /// Throws `config_error` naming the field.
  explicit bulkhead_policy(bulkhead options);
  ~bulkhead_policy() override;

  [[nodiscard]] std::string_view kind() const noexcept override { return "bulkhead"; }
  [[nodiscard]] std::string_view name() const noexcept override { return options_.name; }
  [[nodiscard]] std::size_t stage_size() const noexcept override;
  [[nodiscard]] std::size_t stage_alignment() const noexcept override;
  [[nodiscard]] bool stage_is_trivial() const noexcept override { return true; }
  [[nodiscard]] stage* make_stage(void* memory) override;
  step begin(void* memory, tick& t, stage*& made) override;
  [[nodiscard]] success_needs needs_of_success() const noexcept override {
    return success_needs::inner_done;
  }

  /// For use by hand, outside a pipeline: a permit if one is free and nobody is queued for it, else
  /// an empty one; then `*refused`, if given, says why (errc::bulkhead_full,
  /// `reason::concurrency`). Never waits and never queues, allocates nothing.
  [[nodiscard]] bulkhead_permit try_acquire(refusal* refused = nullptr) noexcept;

  /// Growing starts queued calls; shrinking below what is in flight waits for returns and cancels
  /// nothing. Throws `config_error` when out of bounds.
  void set_max_concurrent(int limit);
  /// Shrinking below what is queued keeps those and lets nobody new in. Throws `config_error`.
  void set_max_queue(int limit);

  /// All members belong to one moment.
  [[nodiscard]] bulkhead_snapshot snapshot() const noexcept;

 private:
  friend class detail::bulkhead_stage;
  friend class bulkhead_permit;
  using waiter = detail::bulkhead_waiter;

  enum class entry : std::uint8_t { taken, queued, full };

  bool try_take(std::uint64_t& seen) noexcept;
  entry take_or_queue(waiter& w, std::uint64_t& seen) noexcept;
  void give_back(time_point now) noexcept;
  [[gnu::noinline]] step ask(void* memory, tick& t, stage*& made);
  [[gnu::noinline]] void hand_on(time_point now) noexcept;
  void grant_locked(time_point now) noexcept;
  void remove_locked(waiter& w, waiter::status to) noexcept;

  const bulkhead options_;
  alignas(64) std::atomic<std::uint64_t> word_;  // in flight, queued, limit: 21 bits each
  std::atomic<int> max_queue_;
  std::mutex lock_;
  detail::bulkhead_queue queue_;
};

/// The policy of a pipeline's own. Throws `config_error` naming the field.
[[nodiscard]] HAWSER_API std::shared_ptr<policy> make_policy(bulkhead options);

}  // namespace hawser::inline v0
