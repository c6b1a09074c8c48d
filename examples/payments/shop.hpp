// A shop that charges its orders through the gateway, in two ways.
#pragma once

#include <hawser/http/client.hpp>

#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <chrono>
#include <string>
#include <vector>

namespace payments {

using clock = std::chrono::steady_clock;

/// What one way of charging came to.
struct run_result {
  std::string name;
  int orders = 0;
  int succeeded = 0;
  std::vector<double> milliseconds;  ///< Of each order that succeeded, first attempt to end.
  double seconds = 0;
  double recovery_seconds = 0;  ///< From the outage's end to the next success.
  long long charges = 0;        ///< In the gateway's ledger.
  long long double_charges = 0;
  long long lost = 0;      ///< Orders the shop has no success for.
  long long requests = 0;  ///< The gateway had to bear.
};

/// Orders to be charged, shared by the workers. They come in one after the other, at a steady rate.
class order_book {
 public:
  static constexpr auto spacing = std::chrono::milliseconds(4);

  explicit order_book(int orders) : orders_(orders) {}
  /// When an order comes in.
  [[nodiscard]] clock::time_point due(int order) const noexcept {
    return opened_ + order * spacing;
  }
  /// The next order's number; -1 when there is none.
  int take() noexcept;
  void done(bool success, clock::time_point since);

  [[nodiscard]] int finished() const noexcept { return finished_; }
  [[nodiscard]] int succeeded() const noexcept { return succeeded_; }
  [[nodiscard]] int orders() const noexcept { return orders_; }
  /// The longest time without a success.
  [[nodiscard]] double longest_gap() const noexcept { return longest_gap_; }
  [[nodiscard]] const std::vector<double>& milliseconds() const noexcept { return milliseconds_; }

 private:
  int orders_;
  int next_ = 0;
  int finished_ = 0;
  int succeeded_ = 0;
  double longest_gap_ = 0;
  clock::time_point opened_ = clock::now();
  clock::time_point last_success_ = opened_;
  std::vector<double> milliseconds_;
};

/// Bytes that must never show in a log, a report or an error.
inline constexpr const char* planted_token = "s3cr3t-t0ken-of-the-shop";
inline constexpr const char* planted_card = "4111111111111111";

[[nodiscard]] hawser::http::request charge_request(int order);

/// Three immediate retries, no key: the loop that most people write.
boost::asio::awaitable<void> naive_worker(const hawser::http::client& api, order_book& book);

/// One call; the policies do the rest. Keeps the report of the call with the most attempts.
boost::asio::awaitable<void> hawser_worker(const hawser::http::client& api, order_book& book,
                                           hawser::call_report& interesting, std::string& failures);

}  // namespace payments
