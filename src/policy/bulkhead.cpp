#include "hawser/policy/bulkhead.hpp"

#include "policy/option_check.hpp"

#include <algorithm>
#include <utility>

namespace hawser::inline v0 {

using detail::bulkhead_waiter;

// ---- options ----

namespace {

constexpr int field_bits = 21;
constexpr int field_max = (1 << field_bits) - 1;

using detail::in_seconds;
using detail::require;

// ---- validation ----

void check_limit(int limit) {
  require(limit >= 1 && limit <= field_max, "bulkhead.max_concurrent", limit,
          "must be between 1 and 2097151");
}

void check_queue(int limit) {
  require(limit >= 0 && limit <= field_max, "bulkhead.max_queue", limit,
          "must be between 0 and 2097151");
}

bulkhead validated(bulkhead o) {
  check_limit(o.max_concurrent);
  check_queue(o.max_queue);
  if (o.max_queue_wait)
    require(*o.max_queue_wait > duration::zero(), "bulkhead.max_queue_wait", *o.max_queue_wait,
            "must be over 0, or off");
  require(o.order <= queue_order::lifo_under_overload, "bulkhead.order", static_cast<int>(o.order),
          "must be one of queue_order's values");
  if (o.service_floor)
    require(*o.service_floor >= duration::zero(), "bulkhead.service_floor", *o.service_floor,
            "must be at least 0");
  if (o.name.empty()) o.name = "bulkhead";
  return o;
}

// ---- shared state: the packed word ----

// All three numbers change together, so whoever reads them sees one moment. Anybody may return a
// permit, and take one while nobody is queued; everything else happens under the lock.
constexpr std::uint64_t one_in_flight = 1;
constexpr std::uint64_t one_queued = std::uint64_t{1} << field_bits;
constexpr std::uint64_t one_limit = std::uint64_t{1} << (2 * field_bits);
constexpr std::uint64_t field_mask = one_queued - 1;

constexpr std::uint64_t in_flight_of(std::uint64_t word) { return word & field_mask; }
constexpr std::uint64_t queued_of(std::uint64_t word) { return (word >> field_bits) & field_mask; }
constexpr std::uint64_t limit_of(std::uint64_t word) { return word >> (2 * field_bits); }

constexpr bool has_room(std::uint64_t word) {
  return queued_of(word) == 0 && in_flight_of(word) < limit_of(word);
}

}  // namespace

// ---- shared state: the queue ----

namespace detail {

void bulkhead_queue::add(bulkhead_waiter& w) noexcept {
  w.older = w.newer = w.higher = w.lower = nullptr;
  w.newest = &w;
  bulkhead_waiter* above = nullptr;
  bulkhead_waiter* at = highest_;
  while (at != nullptr && at->priority > w.priority) {
    above = at;
    at = at->lower;
  }
  if (at != nullptr && at->priority == w.priority) {
    w.older = at->newest;
    at->newest->newer = &w;
    at->newest = &w;
    return;
  }
  w.higher = above;
  w.lower = at;
  (above != nullptr ? above->lower : highest_) = &w;
  if (at != nullptr) at->higher = &w;
}

void bulkhead_queue::replace_head(bulkhead_waiter& head, bulkhead_waiter* by) noexcept {
  if (by != nullptr) {
    by->older = nullptr;
    by->newest = head.newest;
    by->higher = head.higher;
    by->lower = head.lower;
  }
  bulkhead_waiter* const below = by != nullptr ? by : head.lower;
  bulkhead_waiter* const over = by != nullptr ? by : head.higher;
  (head.higher != nullptr ? head.higher->lower : highest_) = below;
  if (head.lower != nullptr) head.lower->higher = over;
}

void bulkhead_queue::remove(bulkhead_waiter& w) noexcept {
  if (w.older == nullptr) {
    replace_head(w, w.newer);
    return;
  }
  w.older->newer = w.newer;
  if (w.newer != nullptr) {
    w.newer->older = w.older;
    return;
  }
  bulkhead_waiter* head = highest_;
  while (head->priority != w.priority) head = head->lower;
  head->newest = w.older;
}

bulkhead_waiter& bulkhead_queue::next(bool newest) const noexcept {
  return newest ? *highest_->newest : *highest_;
}

}  // namespace detail

// ---- shared state: the policy ----

bulkhead_policy::bulkhead_policy(bulkhead options)
    : options_(validated(std::move(options))),
      word_(one_limit * static_cast<std::uint64_t>(options_.max_concurrent)),
      max_queue_(options_.max_queue) {}

bulkhead_policy::~bulkhead_policy() = default;

inline bool bulkhead_policy::try_take(std::uint64_t& seen) noexcept {
  seen = word_.load(std::memory_order_relaxed);
  while (has_room(seen)) {
    if (word_.compare_exchange_weak(seen, seen + one_in_flight, std::memory_order_acquire,
                                    std::memory_order_relaxed))
      return true;
  }
  return false;
}

/// Takes a permit, or queues `w`, or finds it full; `seen` is the word decided upon.
bulkhead_policy::entry bulkhead_policy::take_or_queue(waiter& w, std::uint64_t& seen) noexcept {
  const std::lock_guard guard(lock_);
  seen = word_.load(std::memory_order_relaxed);
  for (;;) {
    if (has_room(seen)) {
      if (word_.compare_exchange_weak(seen, seen + one_in_flight, std::memory_order_acquire,
                                      std::memory_order_relaxed))
        return entry::taken;
      continue;
    }
    if (queued_of(seen) >= static_cast<std::uint64_t>(max_queue_.load(std::memory_order_relaxed)))
      return entry::full;
    // From this step on every return comes to the lock, and there finds the node.
    if (word_.compare_exchange_weak(seen, seen + one_queued, std::memory_order_relaxed)) {
      w.state = waiter::status::queued;
      queue_.add(w);
      return entry::queued;
    }
  }
}

/// One step, whether anybody is queued or not; who returns a permit with somebody queued sees to
/// it that it is handed on. Until then newcomers see the queue and do not take it.
inline void bulkhead_policy::give_back(time_point now) noexcept {
  if (queued_of(word_.fetch_sub(one_in_flight, std::memory_order_release)) != 0) hand_on(now);
}

void bulkhead_policy::hand_on(time_point now) noexcept {
  const std::lock_guard guard(lock_);
  grant_locked(now);
}

/// Hands free permits to the queue. Those that cannot be served in time are dropped on the way.
void bulkhead_policy::grant_locked(time_point now) noexcept {
  std::uint64_t seen = word_.load(std::memory_order_relaxed);
  while (queued_of(seen) != 0 && in_flight_of(seen) < limit_of(seen)) {
    const bool newest = options_.order == queue_order::lifo_under_overload &&
                        2 * queued_of(seen) >
                            static_cast<std::uint64_t>(max_queue_.load(std::memory_order_relaxed));
    waiter& w = queue_.next(newest);
    const bool in_vain = w.useless_at <= now;
    // The permit first: with nobody queued it would be free for newcomers the next moment.
    if (!in_vain) word_.fetch_add(one_in_flight, std::memory_order_acquire);
    remove_locked(w, in_vain ? waiter::status::dropped : waiter::status::granted);
    w.wake->wake();
    seen = word_.load(std::memory_order_relaxed);
  }
}

void bulkhead_policy::remove_locked(waiter& w, waiter::status to) noexcept {
  queue_.remove(w);
  w.state = to;
  word_.fetch_sub(one_queued, std::memory_order_relaxed);
}

void bulkhead_permit::give_back() noexcept {
  std::exchange(from_, nullptr)->give_back(time_point::min());
}

bulkhead_permit bulkhead_policy::try_acquire(refusal* refused) noexcept {
  std::uint64_t seen = 0;
  if (try_take(seen)) return bulkhead_permit(this);
  if (refused == nullptr) return {};
  // A permit that is free while somebody is queued is on its way to them: as good as taken.
  const auto taken = static_cast<double>(std::max(in_flight_of(seen), limit_of(seen)));
  *refused = {errc::bulkhead_full,
              {name(), reason::concurrency, taken, static_cast<double>(limit_of(seen)), never}};
  return {};
}

void bulkhead_policy::set_max_concurrent(int limit) {
  check_limit(limit);
  const std::lock_guard guard(lock_);
  std::uint64_t seen = word_.load(std::memory_order_relaxed);
  std::uint64_t changed = 0;
  do {
    changed = (seen & (one_limit - 1)) + one_limit * static_cast<std::uint64_t>(limit);
  } while (!word_.compare_exchange_weak(seen, changed, std::memory_order_relaxed));
  grant_locked(time_point::min());
}

void bulkhead_policy::set_max_queue(int limit) {
  check_queue(limit);
  max_queue_.store(limit, std::memory_order_relaxed);
}

bulkhead_snapshot bulkhead_policy::snapshot() const noexcept {
  const std::uint64_t word = word_.load(std::memory_order_acquire);
  return {static_cast<int>(in_flight_of(word)), static_cast<int>(queued_of(word)),
          static_cast<int>(limit_of(word)), max_queue_.load(std::memory_order_relaxed)};
}

// ---- stage ----

namespace detail {

class bulkhead_stage final : public stage {
 public:
  explicit bulkhead_stage(bulkhead_policy& policy) noexcept : policy_(policy) {}
  /// Of a call that holds a permit already.
  bulkhead_stage(bulkhead_policy& policy, time_point now) noexcept
      : policy_(policy), now_(now), entered_(now), phase_(phase::holding) {}

  step enter(tick& t) override {
    now_ = entered_ = t.now();
    std::uint64_t seen = 0;
    if (policy_.try_take(seen)) {
      phase_ = phase::holding;
      return step::call_inner();
    }
    return queue_up(seen, t);
  }

  step inner_done(int /*child*/, const outcome& o, tick& t) override {
    phase_ = phase::idle;
    policy_.give_back(t.now());
    return t.finish(o);
  }

  step timer(tick& t) override { return look(t); }
  step woken(tick& t) override { return look(t); }

  outcome canceled(const outcome& o, tick& t) override {
    now_ = t.now();
    return o;
  }

  void leave() noexcept override {
    bool holds = phase_ == phase::holding;
    if (phase_ == phase::waiting) {
      // Whatever a grant decided up to here stands; what it did not reach is taken out.
      const std::lock_guard guard(policy_.lock_);
      if (node_->state == bulkhead_waiter::status::queued)
        policy_.remove_locked(*node_, bulkhead_waiter::status::out);
      holds = node_->state == bulkhead_waiter::status::granted;
    }
    phase_ = phase::idle;
    if (holds) policy_.give_back(now_);
  }

 private:
  enum class phase : std::uint8_t { idle, holding, waiting };

  [[gnu::noinline]] step queue_up(std::uint64_t seen, tick& t) {
    const auto room =
        static_cast<std::uint64_t>(policy_.max_queue_.load(std::memory_order_relaxed));
    if (queued_of(seen) >= room) return refuse_full(seen, t);

    bulkhead_waiter& w = node_.emplace();
    w.wake = &t.wake_handle();
    w.priority = t.priority();
    w.useless_at = useless_at(t);
    if (w.useless_at <= t.now()) return refuse_late(t);
    switch (policy_.take_or_queue(w, seen)) {
      case bulkhead_policy::entry::taken: phase_ = phase::holding; return step::call_inner();
      case bulkhead_policy::entry::full: return refuse_full(seen, t);
      case bulkhead_policy::entry::queued: break;
    }
    phase_ = phase::waiting;
    const std::optional<duration>& wait = policy_.options_.max_queue_wait;
    wait_until_ = wait ? later(t.now(), *wait) : never;
    if (t.observed()) {
      event e;
      e.kind = event_kind::queued;
      e.why = why_crowded(reason::concurrency, in_flight_of(seen), limit_of(seen));
      t.emit(e);
    }
    return park(w);
  }

  /// Parked, awake for a moment: what became of the wait?
  step look(tick& t) {
    now_ = t.now();
    bulkhead_waiter& w = *node_;
    const bool late = w.useless_at <= now_;
    const bool waited = wait_until_ <= now_;
    bool granted = false;
    bool dropped = false;
    {
      const std::lock_guard guard(policy_.lock_);
      granted = w.state == bulkhead_waiter::status::granted;
      dropped = w.state == bulkhead_waiter::status::dropped;
      if (!granted && !dropped) {
        if (!late && !waited) return park(w);
        policy_.remove_locked(w, bulkhead_waiter::status::out);
      }
    }
    phase_ = granted ? phase::holding : phase::idle;
    if (late || dropped) return refuse_late(t);  // a permit in hand goes back in leave()
    if (granted) return step::call_inner();
    return refuse(t, errc::bulkhead_timeout,
                  {policy_.name(), reason::queue_wait, in_seconds(now_ - entered_),
                   in_seconds(*policy_.options_.max_queue_wait), never});
  }

  /// The timer is for our own limits; a bare deadline is kept by the stage that set it.
  step park(const bulkhead_waiter& w) const noexcept {
    const bool floor = policy_.options_.service_floor.has_value();
    return step::park(floor ? std::min(wait_until_, w.useless_at) : wait_until_);
  }

  /// The first moment with less left than the floor; without a floor, the deadline.
  time_point useless_at(const tick& t) const noexcept {
    const duration floor = policy_.options_.service_floor.value_or(duration::zero());
    return later(t.deadline(), duration(1) - std::max(floor, duration(1)));
  }

  cause why_crowded(reason because, std::uint64_t measured, std::uint64_t limit) const noexcept {
    return {policy_.name(), because, static_cast<double>(measured), static_cast<double>(limit),
            never};
  }

  step refuse_full(std::uint64_t seen, tick& t) {
    const int room = policy_.max_queue_.load(std::memory_order_relaxed);
    if (room == 0)
      return refuse(t, errc::bulkhead_full,
                    why_crowded(reason::concurrency, in_flight_of(seen), limit_of(seen)));
    return refuse(
        t, errc::bulkhead_full,
        why_crowded(reason::queue_full, queued_of(seen), static_cast<std::uint64_t>(room)));
  }

  step refuse_late(tick& t) {
    const duration floor = policy_.options_.service_floor.value_or(duration::zero());
    return refuse(t, errc::bulkhead_timeout,
                  {policy_.name(), reason::deadline, in_seconds(floor),
                   in_seconds(remaining(t.deadline(), t.now())), never});
  }

  step refuse(tick& t, errc code, const cause& why) {
    if (t.observed()) {
      event e;
      e.kind = event_kind::rejected;
      e.elapsed = t.now() - entered_;
      e.error = code;
      e.why = why;
      t.emit(e);
    }
    return t.finish(outcome::refuse(code, why));
  }

  bulkhead_policy& policy_;
  time_point now_{};
  time_point entered_{};
  time_point wait_until_ = never;
  phase phase_ = phase::idle;
  std::optional<bulkhead_waiter> node_;  // built only when there is a wait
};

}  // namespace detail

std::size_t bulkhead_policy::stage_size() const noexcept { return sizeof(detail::bulkhead_stage); }

std::size_t bulkhead_policy::stage_alignment() const noexcept {
  return alignof(detail::bulkhead_stage);
}

stage* bulkhead_policy::make_stage(void* memory) {
  return ::new (memory) detail::bulkhead_stage(*this);
}

step bulkhead_policy::ask(void* memory, tick& t, stage*& made) {
  return make_and_enter<detail::bulkhead_stage>(memory, *this, t, made);
}

step bulkhead_policy::begin(void* memory, tick& t, stage*& made) {
  std::uint64_t seen = 0;
  if (!try_take(seen)) return ask(memory, t, made);
  made = ::new (memory) detail::bulkhead_stage(*this, t.now());
  return step::call_inner();
}

// ---- factory ----

std::shared_ptr<policy> make_policy(bulkhead options) {
  return std::make_shared<bulkhead_policy>(std::move(options));
}

}  // namespace hawser::inline v0
