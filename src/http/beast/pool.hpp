// The connections of one origin: who may use which, who has to wait, which are thrown away.
//
//   pool_ptr p(new pool(env, settings));
//   p->start(exchange);                  // an idle connection, a new one, or the queue
//   p->give_back(connection, exchange, now); // from the connection: it may serve the next
//
// Lock order: none. No lock of a connection is taken under the pool's, nor the other way round.
#pragma once

#include "hawser/http/limits.hpp"
#include "hawser/http/transport.hpp"
#include "hawser/http/transport_options.hpp"
#include "hawser/run/environment.hpp"

#include "http/beast/channel.hpp"
#include "http/beast/connector.hpp"
#include "http/beast/tls.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace hawser::inline v0::http::beast {

class connection;
using connection_ptr = boost::intrusive_ptr<connection>;

/// What does not change in a transport's life.
struct settings {
  endpoint_name origin;
  pool_options pool;
  limits bounds;
  time_limits times;
  std::shared_ptr<tls_context> tls;  ///< Null for http.
  channel_source channels = make_channel;
};

class pool final : public timer_node {
 public:
  pool(environment env, settings s);
  ~pool() override;

  void start(exchange& what);
  void cancel(exchange& what) noexcept;
  void close() noexcept;
  [[nodiscard]] transport_stats stats() const noexcept;

  // For connections.

  [[nodiscard]] const settings& config() const noexcept { return settings_; }
  /// The connection is idle again after `done` (null: it was not used) and may be given out.
  void give_back(connection& c, exchange* done, time_point now) noexcept;
  /// The connection is closed; `done` (may be null) was its exchange.
  void remove(connection& c, exchange* done) noexcept;
  /// Ends an exchange from a place where that may not happen on the spot.
  void post_end(exchange& what, error_code ec, evidence delivery, std::string detail) noexcept;
  /// The executor's context is being destroyed: lets go of everything.
  void abandon() noexcept;

  void expired() noexcept override;
  void add_ref() noexcept override { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept override {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
  friend void intrusive_ptr_add_ref(pool* p) noexcept { p->add_ref(); }
  friend void intrusive_ptr_release(pool* p) noexcept { p->release(); }

 private:
  enum class place { back, front };
  struct retired;

  void dispatch(exchange& what, place in_queue) noexcept;
  [[nodiscard]] connection_ptr take_idle_locked(time_point now, retired& old) noexcept;
  /// Null without memory for one.
  [[nodiscard]] connection_ptr add_locked(time_point now);
  void unlink_locked(connection& c) noexcept;
  [[nodiscard]] time_point retire_idle_locked(time_point now, retired& old) noexcept;
  void wake_by_locked(time_point due);
  [[nodiscard]] bool expired_locked(const connection& c, time_point now) const noexcept;
  /// False when the queue is full.
  [[nodiscard]] bool enqueue_locked(exchange& what, place where, time_point now);
  void unqueue_locked(exchange& what) noexcept;
  [[nodiscard]] exchange* pop_pending_locked() noexcept;
  [[nodiscard]] std::string load_locked() const noexcept;
  [[nodiscard]] std::string waited_story(bool out_of_time, const std::string& load) const noexcept;
  [[nodiscard]] connection_ptr next_to_close() noexcept;

  const settings settings_;
  const boost::asio::any_io_executor executor_;
  const std::size_t max_idle_;
  const bool closes_idle_;  // by a timer: those that nobody uses any more
  std::atomic<std::size_t> references_{0};

  mutable std::mutex mutex_;
  std::optional<environment> env_;  // empty once closed
  connection* first_ = nullptr;     // all connections, each with a reference of the pool's
  std::size_t total_ = 0;
  std::vector<connection*> idle_;  // the one used last at the back
  exchange* head_ = nullptr;       // the queue
  exchange* tail_ = nullptr;
  std::size_t pending_ = 0;
  time_point wake_at_ = never;  // the earliest end of a wait in the queue, or of an idle one's time
  std::uint64_t opened_ = 0;
  std::uint64_t reused_ = 0;
};

using pool_ptr = boost::intrusive_ptr<pool>;

}  // namespace hawser::inline v0::http::beast
