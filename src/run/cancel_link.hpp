// Between a caller's cancellation slot and a call, either of which may go first.
#pragma once

#include "hawser/run/detail/operation.hpp"

#include <boost/asio/cancellation_type.hpp>

#include <mutex>

namespace hawser::inline v0::detail {

/// Thread-safe.
class cancel_link {
 public:
  explicit cancel_link(call_control* call) noexcept : call_(call) {}

  void emit(boost::asio::cancellation_type type) noexcept {
    const std::lock_guard lock(mutex_);
    type_ = type;
    if (call_ != nullptr) call_->cancel();
  }
  /// The call has ended.
  void cut() noexcept {
    const std::lock_guard lock(mutex_);
    call_ = nullptr;
  }
  /// What the caller asked for last; terminal before that.
  [[nodiscard]] boost::asio::cancellation_type type() noexcept {
    const std::lock_guard lock(mutex_);
    return type_;
  }

 private:
  std::mutex mutex_;
  call_control* call_;
  boost::asio::cancellation_type type_ = boost::asio::cancellation_type::terminal;
};

}  // namespace hawser::inline v0::detail
