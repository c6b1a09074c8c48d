#include "run/resume.hpp"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <array>
#include <new>
#include <thread>
#include <utility>

namespace hawser::inline v0::detail {

namespace {

using strand = boost::asio::strand<boost::asio::any_io_executor>;
using native_executor = boost::asio::io_context::executor_type;

/// A handler whose operation stands in the call it is for.
class posted_resume {
 public:
  using allocator_type = operation_allocator<void>;

  posted_resume(operation_memory& memory, call_ref call, const strand* on) noexcept
      : memory_(&memory), call_(std::move(call)), strand_(on) {}
  [[nodiscard]] allocator_type get_allocator() const noexcept { return allocator_type(*memory_); }

  void operator()() {
    if (strand_ == nullptr) {
      call_->resume();
      return;
    }
    try {
      enter_strand();
    } catch (const std::bad_alloc&) {  // in a later turn, when there may be memory again
      post(*strand_->get_inner_executor().target<native_executor>());
    }
  }
  void post(const native_executor& executor) const {
    boost::asio::post(executor, posted_resume(*this));
  }

 private:
  void enter_strand() {
    // Between queueing a handler and scheduling itself a strand allocates, and when that fails it
    // is stuck for good. So the block that it will ask for is brought into this thread's cache
    // first, where failing does no harm.
    const boost::asio::any_io_executor inner = strand_->get_inner_executor();
    inner.execute([room = std::array<char, 256>{}] { static_cast<void>(room); });
    boost::asio::dispatch(*strand_, [call = call_] { call->resume(); });
  }

  operation_memory* memory_;
  call_ref call_;
  const strand* strand_;  // the call's
};

/// Executors that we know nothing of bring their own memory. When they find none we ask again:
/// without its resumption a call would never end.
template <class Executor>
void insist_on_posting(const Executor& executor, const call_ref& call) noexcept {
  for (;;) {
    try {
      boost::asio::post(executor, [call] { call->resume(); });
      return;
    } catch (const std::bad_alloc&) {
      std::this_thread::yield();
    }
  }
}

}  // namespace

void resume_on(const strand& on, operation_memory& memory, call_ref call) noexcept {
  const boost::asio::any_io_executor inner = on.get_inner_executor();  // a copy, by its nature
  if (const auto* io = inner.target<native_executor>())
    posted_resume(memory, std::move(call), &on).post(*io);
  else
    insist_on_posting(on, call);
}

void resume_on(const boost::asio::any_io_executor& executor, operation_memory& memory,
               call_ref call) noexcept {
  if (const auto* io = executor.target<native_executor>())
    posted_resume(memory, std::move(call), nullptr).post(*io);
  else
    insist_on_posting(executor, call);
}

}  // namespace hawser::inline v0::detail
