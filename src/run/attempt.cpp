#include "hawser/run/attempt.hpp"

#include <atomic>

namespace hawser::inline v0 {

/// Requests stop when the deadline comes. Counted, since it may expire while the attempt ends.
class attempt::guard final : public timer_node {
 public:
  explicit guard(std::stop_source source) : source_(std::move(source)) {}
  void expired() noexcept override { source_.request_stop(); }
  void add_ref() noexcept override { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept override {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 private:
  ~guard() override = default;
  std::stop_source source_;
  std::atomic<int> references_{1};
};

attempt::attempt(const detail::attempt_start& about, const environment& env,
                 std::stop_source& source)
    : about_(about), env_(env), source_(source) {}

attempt::~attempt() {
  if (guard_ == nullptr) return;
  env_.remove(*guard_);
  guard_->release();
}

std::stop_token attempt::stop() {
  if (guard_ == nullptr && about_.deadline != never) {
    guard_ = new guard(source_);
    env_.arm(*guard_, about_.deadline);
  }
  if (!caller_ && about_.caller != nullptr && about_.caller->stop_possible())
    caller_.emplace(*about_.caller, requester{source_});
  return source_.get_token();
}

void attempt::amend(outcome& o) const noexcept {
  if (o.ok()) return;
  if (throttled_ && !o.canceled() && !o.rejected) {
    o.result = verdict::failed;
    o.throttled = true;
    o.transient = true;
    o.countable = false;
    o.delivery = evidence::refused;
  }
  if (delivery_) o.delivery = *delivery_;
  if (server_wait_ && *server_wait_ >= duration::zero()) o.server_wait = *server_wait_;
}

}  // namespace hawser::inline v0
