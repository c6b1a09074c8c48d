// A client in the race: kept-alive connections that send the same request over and over.
//
//   auto c = floor_client(target{endpoint, kind::get, 64});
//   c->run(20'000);                      // returns when that many answers have come
#pragma once

#include <boost/asio/ip/tcp.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace hawser_bench {

enum class kind { get, post };

struct target {
  boost::asio::ip::tcp::endpoint server;
  kind what = kind::get;
  int connections = 1;
  std::string authority = {};  ///< PEM; with it the server is spoken to over TLS.
};

/// What a POST carries: 1 KiB of JSON.
[[nodiscard]] const std::string& post_body();
inline constexpr std::string_view get_path = "/v1/users/42";
inline constexpr std::string_view post_path = "/v1/users";

class contender {
 public:
  contender() = default;
  contender(const contender&) = delete;
  contender& operator=(const contender&) = delete;
  virtual ~contender() = default;
  /// On this thread. Anything but so many answers 200 ends the program.
  virtual void run(long requests) = 0;
};

using contender_ptr = std::unique_ptr<contender>;

/// By hand on epoll: what no client of this kind can undercut. Over TLS, OpenSSL on epoll.
[[nodiscard]] contender_ptr floor_client(const target& where);
/// A plain socket with `async_write` and `async_read`, and no time limit.
[[nodiscard]] contender_ptr beast_callbacks(const target& where);
/// As Beast's documentation has it: `tcp_stream`, `expires_after`, coroutines.
[[nodiscard]] contender_ptr beast_coroutines(const target& where);
[[nodiscard]] contender_ptr hawser_standard(const target& where);
[[nodiscard]] contender_ptr hawser_without_policies(const target& where);

[[noreturn]] void give_up(std::string_view who, std::string_view why);

}  // namespace hawser_bench
