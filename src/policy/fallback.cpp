#include "hawser/policy/fallback.hpp"

#include "hawser/core/error.hpp"
#include "hawser/core/forced_unwind.hpp"

namespace hawser::inline v0 {

// Options.

fallback fallback::nothing() {
  return fallback::from([](const outcome&) {});
}

// Validation.

namespace {

fallback validated(fallback options) {
  if (options.name.empty()) options.name = "fallback";
  if (options.sources.empty())
    throw config_error("fallback.sources", "none", "give at least one value or function");
  for (const auto& source : options.sources)
    if (source == nullptr)
      throw config_error("fallback.sources", "null", "must not be null; leave it out");
  if (options.max_concurrent && *options.max_concurrent < 1)
    throw config_error("fallback.max_concurrent", std::to_string(*options.max_concurrent),
                       "must be at least 1");
  return options;
}

}  // namespace

// Shared state.

fallback_policy::fallback_policy(fallback options) : options_(validated(std::move(options))) {}

// Stage.

class fallback_policy::on_call final : public stage {
 public:
  explicit on_call(fallback_policy& shared) noexcept : shared_(shared) {}

  step enter(tick& /*t*/) override { return step::call_inner(); }

  step inner_done(int /*child*/, const outcome& o, tick& t) override {
    if (!covers(o, t)) return t.finish(o);
    const seat taken(shared_);
    if (!taken.granted) return t.finish(o);
    double number = 0;
    for (const auto& source : shared_.options_.sources) {
      ++number;
      if (!produced(*source, o, t)) continue;
      event used;
      used.kind = event_kind::fallback_used;
      used.error = o.error;
      used.delivery = o.delivery;
      used.status = o.status;
      used.why = {shared_.name(), reason::substituted, number,
                  static_cast<double>(shared_.options_.sources.size()), never};
      t.emit(used);
      outcome substitute;
      substitute.from = origin::fallback;
      substitute.delivery = o.delivery;
      return t.finish(substitute);
    }
    return t.finish(o);
  }

 private:
  /// A place in the fallback's own bulkhead.
  struct seat {
    explicit seat(fallback_policy& shared) noexcept : of(shared) {
      const int limit = shared.options_.max_concurrent.value_or(0);
      granted = limit == 0 || of.inside_.fetch_add(1) < limit;
      if (limit != 0 && !granted) of.inside_.fetch_sub(1);
      counted = limit != 0 && granted;
    }
    seat(const seat&) = delete;
    seat& operator=(const seat&) = delete;
    ~seat() {
      if (counted) of.inside_.fetch_sub(1);
    }
    fallback_policy& of;
    bool granted = false;
    bool counted = false;
  };

  [[nodiscard]] bool covers(const outcome& o, const tick& t) const {
    const bool went_wrong = o.result == verdict::failed || o.rejected;
    if (!went_wrong || o.canceled() || t.canceling()) return false;
    const bool unknown = (o.delivery == evidence::maybe_applied || t.unresolved()) &&
                         t.effect_said() &&
                         (t.what() == effect::unsafe || t.what() == effect::keyed);
    if (unknown && !shared_.options_.covers_unknown) return false;
    return !shared_.options_.handles || shared_.options_.handles(o);
  }

  static bool produced(substitute_source& source, const outcome& o, tick& t) {
    try {
      return t.substitute(source, o);
    } catch (...) {  // a source that throws has no value; the next may have one
      if (detail::unwinding_by_force()) throw;
      return false;
    }
  }

  fallback_policy& shared_;
};

// Factory.

std::size_t fallback_policy::stage_size() const noexcept { return sizeof(on_call); }
std::size_t fallback_policy::stage_alignment() const noexcept { return alignof(on_call); }
stage* fallback_policy::make_stage(void* memory) { return ::new (memory) on_call(*this); }
step fallback_policy::begin(void* memory, tick& t, stage*& made) {
  return make_and_enter<on_call>(memory, *this, t, made);
}

std::shared_ptr<policy> make_policy(fallback options) {
  return std::make_shared<fallback_policy>(std::move(options));
}

}  // namespace hawser::inline v0
