#include "hawser/run/detail/stranded_operation.hpp"

#include "run/cancel_link.hpp"
#include "run/resume.hpp"

#include <boost/asio/prefer.hpp>

#include <utility>

namespace hawser::inline v0::detail {

namespace asio = boost::asio;

stranded_operation::stranded_operation(const asio::any_io_executor& executor,
                                       asio::cancellation_slot slot)
    : kept_alive_(asio::prefer(executor, asio::execution::outstanding_work.tracked)),
      strand_(executor),
      slot_(slot) {}

stranded_operation::~stranded_operation() = default;

void stranded_operation::attach(call_control* call) {
  async_operation::attach(call);
  if (!slot_.is_connected()) return;
  link_ = std::make_shared<cancel_link>(call);
  slot_.assign([link = link_](asio::cancellation_type type) { link->emit(type); });
}

void stranded_operation::cancel(bool finally) noexcept {
  signal_.emit(!finally && link_ && link_->type() != asio::cancellation_type::none
                   ? link_->type()
                   : asio::cancellation_type::terminal);
}

void stranded_operation::resume_later(call_ref call) noexcept {
  resume_on(strand_, resume_memory_, std::move(call));
}

void stranded_operation::stop_listening() noexcept {
  if (link_) link_->cut();
}

}  // namespace hawser::inline v0::detail
