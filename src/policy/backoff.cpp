#include "hawser/policy/backoff.hpp"

#include "hawser/core/error.hpp"

#include "policy/option_check.hpp"

#include <algorithm>
#include <cmath>
#include <string>

namespace hawser::inline v0 {

namespace {

/// Uniform in (0, range]. Rounds up, so that a wait of zero is never drawn out of a positive
/// range; and cuts, since a range over 2^53 ns may round to a double above it.
duration draw_up_to(duration range, entropy& random) noexcept {
  if (range <= duration::zero()) return duration::zero();
  const double share = 1.0 - random.uniform();  // (0, 1]
  const double drawn = std::ceil(static_cast<double>(range.count()) * share);
  if (!(drawn < static_cast<double>(range.count()))) return range;
  return duration(static_cast<duration::rep>(drawn));
}

duration tripled(duration value) noexcept {
  return value > duration::max() / 3 ? duration::max() : value * 3;
}

/// The unspread delay, cut at the cap on the way so that nothing overflows.
duration top_of(const constant& how, int /*retry_number*/) noexcept { return how.each; }

duration top_of(const linear& how, int retry_number) noexcept {
  const duration::rep steps = retry_number - 1;
  if (how.step > duration::zero() && steps > (how.cap - how.first) / how.step) return how.cap;
  return std::min(how.cap, how.first + how.step * steps);
}

duration top_of(const exponential& how, int retry_number) noexcept {
  const double grown =
      static_cast<double>(how.first.count()) * std::pow(how.factor, retry_number - 1);
  // The power may be infinite; the comparison is written so that this, too, means the cap.
  if (!(grown < static_cast<double>(how.cap.count()))) return how.cap;
  return duration(static_cast<duration::rep>(grown));
}

duration top_of(const fibonacci& how, int retry_number) noexcept {
  duration current = how.first;
  duration before{};
  for (int i = 1; i < retry_number; ++i) {
    if (current > how.cap - before) return how.cap;  // so this ends after 92 rounds at most
    const duration sum = current + before;
    before = current;
    current = sum;
  }
  return std::min(current, how.cap);
}

duration first_of(const constant& how) noexcept { return how.each; }
template <class Growing>
duration first_of(const Growing& how) noexcept {
  return how.first;
}

duration cap_of(const constant& how) noexcept { return how.each; }
template <class Growing>
duration cap_of(const Growing& how) noexcept {
  return how.cap;
}

/// Names the members of one backoff in errors.
class checker {
 public:
  explicit checker(std::string_view field) : field_(field) {}

  void require(bool good, std::string_view member, std::string_view value,
               std::string_view rule) const {
    if (!good) throw config_error(field_ + "." + std::string(member), value, rule);
  }
  void known_spread(jitter spread) const {
    require(spread <= jitter::decorrelated, "spread", std::to_string(static_cast<unsigned>(spread)),
            "must be one of jitter's values");
  }
  void first_and_cap(duration first, duration cap) const {
    require(first > duration::zero(), "first", detail::text_of(first), "must be over 0");
    require(cap >= first, "cap", detail::text_of(cap), "must be at least first");
  }

  void operator()(const constant& how) const {
    require(how.each >= duration::zero(), "each", detail::text_of(how.each), "must be at least 0");
    known_spread(how.spread);
    require(how.spread != jitter::decorrelated, "spread", "decorrelated",
            "must be none, full or equal: a constant has no cap to grow to");
  }
  void operator()(const linear& how) const {
    first_and_cap(how.first, how.cap);
    require(how.step >= duration::zero(), "step", detail::text_of(how.step), "must be at least 0");
    known_spread(how.spread);
  }
  void operator()(const exponential& how) const {
    first_and_cap(how.first, how.cap);
    require(std::isfinite(how.factor) && how.factor >= 1.0, "factor", std::to_string(how.factor),
            "must be finite and at least 1");
    known_spread(how.spread);
  }
  void operator()(const fibonacci& how) const {
    first_and_cap(how.first, how.cap);
    known_spread(how.spread);
  }

 private:
  std::string field_;
};

}  // namespace

duration next_delay(const backoff& how, int retry_number, duration previous,
                    entropy& random) noexcept {
  const int number = std::max(retry_number, 1);
  return std::visit(
      [&](const auto& kind) noexcept -> duration {
        switch (kind.spread) {
          case jitter::none: return top_of(kind, number);
          case jitter::full: return draw_up_to(top_of(kind, number), random);
          case jitter::equal: {
            const duration top = top_of(kind, number);
            return top / 2 + draw_up_to(top - top / 2, random);
          }
          case jitter::decorrelated: {
            const duration first = first_of(kind);
            const duration top = std::min(cap_of(kind), tripled(std::max(previous, first)));
            return first + draw_up_to(top - first, random);
          }
        }
        return top_of(kind, number);
      },
      how);
}

void validate(const backoff& how, std::string_view field) { std::visit(checker(field), how); }

}  // namespace hawser::inline v0
