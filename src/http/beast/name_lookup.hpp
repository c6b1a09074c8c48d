// One look-up of a host's addresses, on a thread beside the executor's.
//
//   auto lookup = std::make_shared<name_lookup>("api.example", "443", [&] { timer.cancel(); });
//   name_lookup::begin(lookup, env.source().side_threads());
//   ...
//   auto found = lookup->take(ec);      // once it is over
//
// Whoever asked may go before it is over: getaddrinfo cannot be broken off.
#pragma once

#include "hawser/core/error.hpp"

#include "run/side_threads.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace hawser::inline v0::http::beast {

class name_lookup final : public hawser::detail::side_job {
 public:
  using addresses = std::vector<boost::asio::ip::tcp::endpoint>;

  /// `over` is called once, on whatever thread, under the look-up's lock; not after `abandon`.
  name_lookup(std::string host, std::string port, std::function<void()> over)
      : host_(std::move(host)), port_(std::move(port)), over_(std::move(over)) {}

  /// Where no thread is to be had it is over at once, with that error.
  static void begin(const std::shared_ptr<name_lookup>& lookup,
                    hawser::detail::side_threads& threads);
  /// Nobody asks any more; waits for an `over` under way.
  void abandon() noexcept;
  /// What was found, or why not; operation_aborted when it was abandoned.
  [[nodiscard]] addresses take(error_code& ec);

  void run() noexcept override;

 private:
  void end(error_code ec, addresses found) noexcept;

  const std::string host_;
  const std::string port_;
  std::mutex mutex_;
  std::function<void()> over_;  // empty once it was called, or abandoned
  error_code error_ = canceled_error();
  addresses found_;
};

}  // namespace hawser::inline v0::http::beast
