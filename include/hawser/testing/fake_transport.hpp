// A transport without a network: answers, failures and silences from a script, on virtual time.
//
//   auto net = std::make_shared<hawser::testing::fake_transport>(env);
//   net->script({scripted_exchange::fail(errc::connection_closed, evidence::maybe_applied),
//                scripted_exchange::answer(201, "{}").after(50ms).cut_at(30)});
//   net->otherwise(scripted_exchange::answer(404));  // else what nobody planned fails the test
//   ... run a client on it ...
//   EXPECT_EQ(net->requests().at(1).header("Idempotency-Key"), "k-1");
#pragma once

#include "hawser/core/effect.hpp"
#include "hawser/core/error.hpp"
#include "hawser/core/export.hpp"
#include "hawser/core/time.hpp"
#include "hawser/http/transport.hpp"
#include "hawser/run/environment.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hawser::inline v0::testing {

/// A request as the transport was given it.
struct HAWSER_API sent_request {
  std::string method{};  ///< As on the wire: "POST".
  std::string target{};  ///< Path and query.
  /// Own fields first, then the defaults that they do not displace.
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string body{};     ///< Its bytes; see `has_body`.
  bool has_body = false;  ///< Whether there was one.
  time_point at{};        ///< When it was started, on the environment's time line.

  /// The first field of that name (case-insensitive).
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const& noexcept;
  /// The same of a temporary.
  [[nodiscard]] std::optional<std::string> header(std::string_view name) && {
    const auto value = header(name);
    return value ? std::optional<std::string>(*value) : std::nullopt;
  }
};

/// What becomes of one exchange. A value; setters are for building in place.
class HAWSER_API scripted_exchange {
 public:
  /// A complete answer. `type` is its Content-Type, left out when the body is empty.
  [[nodiscard]] static scripted_exchange answer(int status, std::string body = {},
                                                std::string_view type = "application/json");
  /// An error, with what is known of the request's arrival.
  [[nodiscard]] static scripted_exchange fail(error_code why,
                                              evidence delivery = evidence::maybe_applied,
                                              std::string detail = {});
  /// These bytes off the wire, read as the real transport reads them; then the peer closes.
  /// An answer that is complete before is delivered, one that is not HTTP or cut short fails with
  /// the reader's own error.
  [[nodiscard]] static scripted_exchange bytes(std::string raw);
  /// Nothing, until it is cancelled or the transport is closed.
  [[nodiscard]] static scripted_exchange hang();

  /// A field of the answer.
  scripted_exchange&& header(std::string name, std::string value) &&;
  /// Of an answer or bytes: only this many bytes arrive, counted from the first of the answer; then
  /// the peer closes. An answer is written with its length.
  scripted_exchange&& cut_at(std::size_t byte) &&;
  /// The same, and the connection is reset.
  scripted_exchange&& reset_at(std::size_t byte) &&;
  /// How long the exchange takes, on the environment's time. At once by default.
  scripted_exchange&& after(duration delay) &&;
  /// What a cancellation in the meantime, or a break, leaves behind. maybe_applied by default.
  scripted_exchange&& delivered(evidence if_canceled) &&;

 private:
  friend class fake_transport;
  enum class kind { answer, bytes, fail, hang };
  [[nodiscard]] std::string wire() const;
  kind what_ = kind::answer;
  int status_ = 200;
  std::string body_;
  std::vector<std::pair<std::string, std::string>> headers_;
  error_code error_;
  evidence delivery_ = evidence::answered;
  evidence if_canceled_ = evidence::maybe_applied;
  std::string detail_;
  duration delay_{};
  std::optional<std::size_t> stops_at_;
  bool resets_ = false;
};

/// Takes one step of the script for each exchange, in order of `start`; then asks the handler. A
/// request that neither answers is unplanned: it fails the test, and its call with an error that
/// names method and target (of condition::invalid_input, so it is not tried again). All members are
/// thread-safe.
class HAWSER_API fake_transport final : public http::transport {
 public:
  /// Answers a request when the script is used up.
  using handler = std::function<scripted_exchange(const sent_request&)>;

  /// Works on the environment's time and executor.
  explicit fake_transport(environment env);
  ~fake_transport() override;

  /// Appends steps.
  void script(std::vector<scripted_exchange> steps);
  /// Asked when the script is used up; called under no lock, on the thread that calls `start`.
  void handle(handler with);
  /// The answer to everything once the script is used up, in place of a handler.
  void otherwise(scripted_exchange step);
  /// Steps not used yet.
  [[nodiscard]] std::size_t script_left() const;
  /// What was started so far.
  [[nodiscard]] std::vector<sent_request> requests() const;
  /// Exchanges under way.
  [[nodiscard]] std::size_t running() const;
  /// The most that were under way at once.
  [[nodiscard]] std::size_t most_running() const;
  /// Exchanges that were cancelled in time.
  [[nodiscard]] std::size_t canceled() const;

  /// Fails the test unless the script is used up; said by hand, as a script may hold what must not
  /// be asked for. Whether it is, and every request was planned.
  bool expect_done();
  /// Where these two go instead of failing the test. An empty function silences them.
  void on_surprise(std::function<void(std::string_view)> report);
  /// How they fail a test, in transports made later. matchers.hpp sets it for GoogleTest; for
  /// another framework call it before the first test. Without, they are told on the standard error
  /// stream and `std::abort` ends the program; null brings that back. Any thread.
  static void fail_surprises_by(void (*report)(std::string_view)) noexcept;

  void start(http::exchange& what) override;
  void cancel(http::exchange& what) noexcept override;
  void close() noexcept override;

 private:
  class core;
  class flight;
  std::shared_ptr<core> core_;
};

}  // namespace hawser::inline v0::testing
