#include "hawser/policy/start_spread.hpp"

#include "policy/option_check.hpp"

#include <utility>

namespace hawser::inline v0 {

// Options are in the header.

// Validation.

namespace {

start_spread validated(start_spread options) {
  if (options.name.empty()) options.name = "start_spread";
  detail::require(options.over > duration::zero() && options.over <= std::chrono::hours(1),
                  "start_spread.over", options.over,
                  "must be over 0 and at most 1 h; leave the policy out to start at once");
  return options;
}

duration part_of(duration span, const tick& t) {
  const auto part = static_cast<double>(span.count()) * t.random().uniform();
  return duration(static_cast<duration::rep>(part));
}

}  // namespace

// Shared state.

start_spread_policy::start_spread_policy(start_spread options)
    : options_(validated(std::move(options))) {}

time_point start_spread_policy::begins_at(tick& t) noexcept {
  time_point::rep at = begins_at_.load(std::memory_order_relaxed);
  if (at == never.time_since_epoch().count()) {
    const time_point drawn = later(t.now(), part_of(options_.over, t));
    if (begins_at_.compare_exchange_strong(at, drawn.time_since_epoch().count(),
                                           std::memory_order_relaxed))
      at = drawn.time_since_epoch().count();
  }
  return time_point(duration(at));
}

// Stage.

class start_spread_policy::on_call final : public stage {
 public:
  explicit on_call(start_spread_policy& shared) noexcept : shared_(shared) {}

  step enter(tick& t) override {
    time_point at = shared_.begins_at(t);
    if (at <= t.now()) return step::call_inner();
    if (at >= t.deadline()) {  // it has less time than that: half of it for the wait
      const duration left = remaining(t.deadline(), t.now()) / 2;
      at = later(t.now(), part_of(left, t));
    }
    if (t.observed()) {
      event e;
      e.kind = event_kind::waiting;
      e.elapsed = at - t.now();
      e.why = {shared_.name(), reason::start_spread, detail::in_seconds(e.elapsed), 0, at};
      t.emit(e);
    }
    return step::sleep(at);
  }

  step timer(tick& /*t*/) override { return step::call_inner(); }

 private:
  start_spread_policy& shared_;
};

// Factory.

std::size_t start_spread_policy::stage_size() const noexcept { return sizeof(on_call); }
std::size_t start_spread_policy::stage_alignment() const noexcept { return alignof(on_call); }
stage* start_spread_policy::make_stage(void* memory) { return ::new (memory) on_call(*this); }
step start_spread_policy::begin(void* memory, tick& t, stage*& made) {
  return make_and_enter<on_call>(memory, *this, t, made);
}

std::shared_ptr<policy> make_policy(start_spread options) {
  return std::make_shared<start_spread_policy>(std::move(options));
}

}  // namespace hawser::inline v0
