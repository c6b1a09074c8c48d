// One connection: opened for its first exchange, then runs one after the other.
//
//   c->open(exchange, now);                          // resolve, connect, TLS, request, answer
//   if (c->begin(next, now, false) == connection::start::stale) ...   // on an idle one
//
// It earns its reuse: only a whole, framed answer with nothing left over brings it back to the
// pool.
#pragma once

#include "hawser/core/error.hpp"
#include "hawser/http/transport.hpp"
#include "hawser/run/environment.hpp"

#include "http/beast/channel.hpp"
#include "http/beast/connector.hpp"
#include "http/beast/pool.hpp"
#include "http/beast/tls.hpp"
#include "http/wire/response_reader.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::inline v0::http::beast {

class connection final : public timer_node, public channel_owner {
 public:
  enum class start {
    running,   ///< The exchange ends with on_done.
    stale,     ///< Closed by the peer before a byte was taken: the connection is closed now.
    canceled,  ///< The exchange was cancelled before anything happened; the connection is idle.
  };

  connection(pool& owner, environment env);
  ~connection() override;

  /// Runs the first exchange.
  void open(exchange& what, time_point now) noexcept;
  /// Runs one more. `crowded`: others are running too, so that reading may wait for its turn.
  [[nodiscard]] start begin(exchange& what, time_point now, bool crowded) noexcept;
  /// Ends `what` if it is running here.
  void cancel(exchange& what) noexcept;
  /// Ends what is running with errc::client_closed, and the connection.
  void close() noexcept;
  /// The executor's context is being destroyed.
  void abandon() noexcept;

  // The pool's, under its lock.
  connection* previous = nullptr;
  connection* next = nullptr;
  bool listed = false;
  bool told_to_close = false;
  time_point too_old = never;       ///< Not used again from then on.
  time_point usable_until = never;  ///< Set before the connection is released.

  void expired() noexcept override;
  void on_resolved(error_code ec, std::vector<boost::asio::ip::tcp::endpoint> found) override;
  void on_connected(error_code ec, unsigned attempt) override;
  void on_written(error_code ec, std::size_t n) override;
  void on_read(error_code ec, std::size_t n) override;
  void on_turn() override;
  void on_context_gone() noexcept override;

  void retain() noexcept override { references_.fetch_add(1, std::memory_order_relaxed); }
  void drop() noexcept override {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
  friend void intrusive_ptr_add_ref(connection* p) noexcept { p->retain(); }
  friend void intrusive_ptr_release(connection* p) noexcept { p->drop(); }

 private:
  enum class phase { resolving, connecting, handshaking, exchanging, idle, closed };
  enum class after { nothing, end, release };
  struct ending;
  using guard = std::unique_lock<std::mutex>;

  void add_ref() noexcept override { retain(); }
  void release() noexcept override { drop(); }

  /// Carries a step out. One that throws, for want of memory above all, has failed.
  template <class Step>
  [[nodiscard]] ending try_locked(Step step) noexcept;
  [[nodiscard]] ending open_locked(time_point now);
  [[nodiscard]] ending resolved_locked(error_code ec,
                                       std::vector<boost::asio::ip::tcp::endpoint> found);
  [[nodiscard]] ending connected_locked(error_code ec);
  [[nodiscard]] ending received_locked(error_code ec, std::string_view bytes);
  [[nodiscard]] ending connect_next_locked(time_point now);
  [[nodiscard]] ending handshake_locked(time_point now);
  [[nodiscard]] ending first_request_locked(channel::line seen, time_point now);
  [[nodiscard]] ending send_request_locked(time_point now);
  [[nodiscard]] ending pump_locked(time_point now);
  [[nodiscard]] std::string_view next_chunk_locked(bool& failed);
  void count_sent_locked(std::size_t n) noexcept;
  [[nodiscard]] bool trickles_locked(time_point now) noexcept;
  [[nodiscard]] ending gave_up_trickle_locked();
  [[nodiscard]] bool is_quiet_locked();
  void read_locked();
  [[nodiscard]] ending take_locked(std::string_view bytes, time_point now);
  [[nodiscard]] ending take_encrypted_locked(std::string_view bytes, time_point now);
  [[nodiscard]] ending stream_ended_locked(bool clean, time_point now);
  [[nodiscard]] ending read_failed_locked(error_code ec, time_point now);
  [[nodiscard]] ending answered_locked(bool nothing_left, time_point now);
  void give_memory_back_locked() noexcept;
  [[nodiscard]] bool allows_another_locked(time_point now) noexcept;
  [[nodiscard]] ending malformed_locked(error_code ec);
  [[nodiscard]] ending tls_failed_locked();
  [[nodiscard]] ending fail_locked(error_code ec, std::string detail);
  [[nodiscard]] ending fail_locked(error_code ec, evidence delivery, std::string detail);
  void close_locked(ending& e) noexcept;
  void say_goodbye_locked() noexcept;
  void limit_locked(const std::optional<duration>& limit, errc code, time_point now);
  void arm_locked(time_point due, errc code);
  [[nodiscard]] evidence delivery_locked() const noexcept;
  [[nodiscard]] std::string limit_story_locked() const;
  [[nodiscard]] ending expired_locked(time_point now);

  /// Carries an ending out, after unlocking.
  enum class way { inline_, posted };
  void conclude(guard& lock, ending e, way how);

  const pool_ptr pool_;
  const settings& settings_;
  std::atomic<std::size_t> references_{0};

  std::mutex mutex_;
  std::optional<environment> env_;  // empty once closed
  std::unique_ptr<channel> channel_;
  std::optional<tls_session> tls_;
  address_walk addresses_;
  unsigned connect_attempt_ = 0;
  phase phase_ = phase::idle;
  exchange* current_ = nullptr;
  time_point due_ = never;
  errc due_code_{};

  std::string request_;              // as it goes out
  std::string_view unwritten_;       // of it, or the body: not yet handed to TLS, or the system
  std::string_view unwritten_body_;  // which comes after it
  std::size_t accepted_ = 0;         // bytes of this exchange that the system took
  std::size_t received_ = 0;         // bytes of this exchange's answer
  time_point minute_from_{};         // see `trickles_locked`
  std::size_t minute_bytes_ = 0;
  std::size_t exchanges_ = 0;             // begun on this connection, this one included
  std::optional<std::uint32_t> allowed_;  // so many more, by the server's Keep-Alive
  error_code write_error_;
  bool request_sent_ = false;
  bool writing_ = false;
  std::size_t in_flight_ = 0;  // bytes of the write under way
  bool reading_ = false;

  response_reader reader_;
  static constexpr std::size_t buffer_size = 16 * 1024;
  std::unique_ptr<char[]> buffer_;
  std::unique_ptr<char[]> plain_;  // under TLS: what was decrypted
};

}  // namespace hawser::inline v0::http::beast
