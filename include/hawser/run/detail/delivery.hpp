// A completion handler with its result, on its way to its executor. Not for users.
#pragma once

#include "hawser/core/export.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>

#include <tuple>
#include <utility>

namespace hawser::inline v0::detail {

/// `foreign`: the handler's executor is another than the one the delivery is sent through
/// (operations cannot post to every executor a handler may have).
template <class Handler, class Arguments>
struct delivery {
  Handler handler;
  Arguments result;
  boost::asio::cancellation_slot slot;
  bool foreign = false;

  void operator()() {
    if (std::exchange(foreign, false)) {
      const auto executor = boost::asio::get_associated_executor(handler);
      boost::asio::dispatch(executor, std::move(*this));
      return;
    }
    if (slot.is_connected()) slot.clear();
    std::apply(std::move(handler), std::move(result));
  }
};

/// Whether this thread runs the io_context that `executor` stands for.
[[nodiscard]] HAWSER_API bool running_in(const boost::asio::any_io_executor& executor) noexcept;

/// Never inline while the initiating function is on the stack. Inline, without Asio's help and the
/// memory that it would take, where that is what Asio would do.
template <class Delivery>
void send_off(const boost::asio::any_io_executor& through, Delivery ready, bool initiating) {
  if (initiating)
    boost::asio::post(through, std::move(ready));
  else if (running_in(through))
    ready();
  else
    boost::asio::dispatch(through, std::move(ready));
}

}  // namespace hawser::inline v0::detail
