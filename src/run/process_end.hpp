// The end of the process and the threads of `environment{}`.
#pragma once

#include "hawser/core/export.hpp"

namespace hawser::inline v0::detail {

/// Has the end of the process wait until each environment's own thread is done with what it is at,
/// two seconds at most: before the globals go that are there by now. So whoever begins to use a
/// global (a library's) on such threads calls this afterwards.
HAWSER_API void wait_for_own_threads_at_exit() noexcept;

}  // namespace hawser::inline v0::detail
