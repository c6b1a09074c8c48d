// The environment that starts a thread of its own.
#pragma once

#include "hawser/run/environment.hpp"

#include <memory>

namespace hawser::inline v0::detail {

/// Throws std::system_error when the thread, or what Asio needs for it, cannot be had.
[[nodiscard]] std::shared_ptr<time_source> make_own_thread();

}  // namespace hawser::inline v0::detail
