// Errors that say nothing of the other side: this process or machine has run out of something.
#pragma once

#include "hawser/core/error.hpp"

#include <string_view>

namespace hawser::inline v0::detail {

/// What has run out and what to do about it; empty for all other errors.
[[nodiscard]] inline std::string_view shortage_remedy(const error_code& ec) noexcept {
  namespace generic = boost::system::errc;
  if (ec == generic::too_many_files_open)
    return "this process has no file descriptor left; raise its limit (ulimit -n), or keep fewer "
           "connections";
  if (ec == generic::too_many_files_open_in_system)
    return "this machine has no file descriptor left; look which process has so many";
  if (ec == generic::not_enough_memory || ec == generic::no_buffer_space)
    return "this process or machine is out of memory";
  if (ec == generic::address_not_available)
    return "no local address or port is left for it; keep connections instead of opening one for "
           "each call, or widen the range of local ports";
  return {};
}

}  // namespace hawser::inline v0::detail
