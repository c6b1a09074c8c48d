// How a call comes back to its executor: without failing, and without memory of anybody else's.
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/run/detail/operation.hpp"
#include "hawser/run/detail/operation_memory.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/strand.hpp>

namespace hawser::inline v0::detail {

/// Has `call->resume()` run on the strand soon, never on this stack. `memory` belongs to the call.
HAWSER_API void resume_on(const boost::asio::strand<boost::asio::any_io_executor>& strand,
                          operation_memory& memory, call_ref call) noexcept;
/// The same on an executor that runs one handler of the call at a time.
HAWSER_API void resume_on(const boost::asio::any_io_executor& executor, operation_memory& memory,
                          call_ref call) noexcept;

}  // namespace hawser::inline v0::detail
