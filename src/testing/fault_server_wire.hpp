// Turns a plan into the bytes that go on the wire, the wrong ones included.
#pragma once

#include "hawser/testing/fault_plan.hpp"

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace hawser::inline v0::testing::detail {

/// `data`, `times` times over: floods are sent without being held in memory.
struct wire_segment {
  std::string data{};
  std::size_t times = 1;
};

struct wire_answer {
  std::vector<wire_segment> segments{};
  std::size_t head_bytes = 0;  ///< Interim answers included.
  std::size_t total_bytes = 0;
};

/// What an answer's form owes to the request and to the connection.
struct wire_context {
  bool to_head = false;  ///< The request was HEAD: no body.
  bool announce_close = false;
  std::chrono::system_clock::time_point now{};
};

[[nodiscard]] wire_answer compose(const plan::parts& what, const wire_context& context);

/// IMF-fixdate, RFC 9110 section 5.6.7.
[[nodiscard]] std::string http_date(std::chrono::system_clock::time_point when);

}  // namespace hawser::inline v0::testing::detail
