// Why a call ended, told only to those who ask: refusing is cheap when it is needed most.
#pragma once

#include "hawser/core/error.hpp"
#include "hawser/core/time.hpp"
#include "hawser/observe/event.hpp"

#include <memory>

namespace hawser::inline v0 {
class redactor;
}

namespace hawser::inline v0::detail {

/// What is known when a call ends.
struct decision {
  cause why;
  time_point at{};
  int attempts = 0;
};

/// `code` with the decision's text, put together and masked when somebody asks for it. Keeps
/// nothing of the pipeline but `masks`, which may be null. Without memory the error has no text.
[[nodiscard]] error tell(error_code code, const decision& what,
                         std::shared_ptr<const redactor> masks) noexcept;

/// The text, not masked.
[[nodiscard]] std::string to_string(const decision& what);

}  // namespace hawser::inline v0::detail
