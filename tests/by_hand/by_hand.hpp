// What the tests of policies by hand share: a moment to begin at, and a breaker that trips easily.
#pragma once

#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "support/stage_driver.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace hawser::test {

using namespace std::chrono_literals;

inline constexpr time_point start = time_point{} + 1h;

inline constexpr rate_algorithm algorithms[] = {rate_algorithm::gcra, rate_algorithm::fixed_window,
                                                rate_algorithm::sliding_window};

/// Opens at the second failure in a row, for 10 s.
inline circuit_breaker touchy() {
  return {.name = "billing",
          .failure_ratio = {},
          .consecutive_failures = 2,
          .consecutive_span = {},
          .suspect_failures = {},
          .open_for = 10s,
          .open_share = 1,
          .open_cap = 2min,
          .open_jitter = 0,
          .early_probe_after = {},
          .hint_cap = 1h,
          .healthy_reset = 1min,
          .probes = 1};
}

inline void trip(circuit_breaker_policy& breaker, entropy& random, time_point now = start) {
  for (int i = 0; i < 2; ++i) breaker.try_acquire(now, random).failure(0ms, now);
  ASSERT_EQ(breaker.snapshot(now).state, circuit_state::open);
}

}  // namespace hawser::test
