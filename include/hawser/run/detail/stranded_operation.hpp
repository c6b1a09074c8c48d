// What each call of a wrapped Asio operation has, whatever its types: a strand of its own, and the
// way that a cancellation takes through it. Not for users.
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/run/detail/operation.hpp"
#include "hawser/run/detail/operation_memory.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/strand.hpp>

#include <memory>

namespace hawser::inline v0::detail {

class cancel_link;

/// Attempts run on a strand of the call's own around the handler's executor, so that a cancellation
/// never races with the operation's intermediate handlers, however many threads run the executor.
/// It outlives the operation and the handler, which stand in the class that derives from it.
class HAWSER_API stranded_operation : public async_operation {
 public:
  using executor_type = boost::asio::strand<boost::asio::any_io_executor>;

  ~stranded_operation() override;

  void attach(call_control* call) override;
  void cancel(bool finally) noexcept override;
  void resume_later(call_ref call) noexcept override;

 protected:
  /// `slot` is the handler's; the call listens to it once it is attached.
  stranded_operation(const boost::asio::any_io_executor& executor,
                     boost::asio::cancellation_slot slot);

  [[nodiscard]] const executor_type& strand() const noexcept { return strand_; }
  /// Where attempts listen for their cancellation.
  [[nodiscard]] boost::asio::cancellation_slot attempt_slot() noexcept { return signal_.slot(); }
  [[nodiscard]] boost::asio::cancellation_slot handler_slot() const noexcept { return slot_; }
  /// What the caller's slot still tells is for nobody.
  void stop_listening() noexcept;

 private:
  boost::asio::any_io_executor kept_alive_;
  executor_type strand_;
  boost::asio::cancellation_signal signal_;
  boost::asio::cancellation_slot slot_;
  std::shared_ptr<cancel_link> link_;
  operation_memory resume_memory_;
};

}  // namespace hawser::inline v0::detail
