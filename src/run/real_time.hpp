// The time source over a real clock: what stands behind an environment outside of tests.
#pragma once

#include "hawser/run/environment.hpp"

#include "core/process.hpp"

#include <atomic>
#include <cstdint>
#include <memory>

namespace hawser::inline v0::detail {

class driver;

class real_time : public time_source {
 public:
  explicit real_time(boost::asio::any_io_executor executor);
  ~real_time() override;

  [[nodiscard]] time_point now() const noexcept override;
  void reschedule() override;
  [[nodiscard]] bool runs_here() const noexcept override;
  void begin_anew_after_fork() noexcept final;

 protected:
  /// Whether it was made in this process, rather than in one that forked it.
  [[nodiscard]] bool made_here() const noexcept { return made_in_.load() == process_generation(); }
  /// No timer fires any more; waits for one that does so on another thread. In a child of fork()
  /// nothing is waited for, and the executor's context is left alone.
  void stop_timers() noexcept;
  /// In a child, by one thread at a time until it is true: makes its own what is the parent's.
  [[nodiscard]] virtual bool begin_anew() noexcept;
  /// With a new driver, for the executor as it is now; `forsake_timers` first.
  void drive_anew();

 private:
  std::atomic<std::uint32_t> made_in_{process_generation()};
  std::atomic<std::uint32_t> anew_in_{0};  // the process in which it is being made so
  std::shared_ptr<driver> driver_;
};

}  // namespace hawser::inline v0::detail
