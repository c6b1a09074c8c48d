// A network in memory under the real transport: connection, pool and TLS are the library's own, the
// channel below them and the server are this, on virtual time, one step after the other.
//
//   network net{f};                        // fails at the step at which the fuse burns
//   net.goes_wrong = fault::reset;
//   auto transport = net.transport(env);
//   ... exchanges ...
//   EXPECT_EQ(net.violations(), "");
#pragma once

#include "http/beast/transport.hpp"
#include "support/each_step.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::test {

/// What happens at the step that fails.
enum class fault {
  reset,        ///< The operation fails: reset, refused, or no such host.
  end,          ///< The peer has closed: end of stream, broken pipe, no address.
  one_byte,     ///< One byte goes through and no more.
  would_block,  ///< A write finds the system's buffer full; a read finds one byte.
  silence,      ///< The operation never ends; a write vanishes.
};
[[nodiscard]] std::string_view to_string(fault f) noexcept;

/// How the server frames its answers.
enum class framing { length, chunked };

class network {
 public:
  /// `f` may be null: then nothing fails.
  explicit network(fuse* f);
  ~network();
  network(const network&) = delete;
  network& operator=(const network&) = delete;

  [[nodiscard]] std::shared_ptr<http::transport> transport(const environment& env,
                                                           http::pool_options pool = {},
                                                           http::time_limits times = {});

  fault goes_wrong = fault::reset;
  bool tls = false;
  /// The host has a name to resolve.
  bool named = false;
  /// Every write takes a few bytes only, and every read gives a few.
  bool sluggish = false;
  framing how = framing::length;
  /// The server's next answer is cut after this many bytes of plain text, by `cut_by`.
  std::size_t cut_answer_at = static_cast<std::size_t>(-1);
  fault cut_by = fault::end;

  /// The same once the transport is there.
  void cut_next_answer(std::size_t at) noexcept;
  void set(fault how) noexcept;
  /// At the next write the peer turns out to be gone, though a look before it finds nothing.
  void hang_up_at_next_write(fault how) noexcept;

  /// A request as the server saw it begin.
  struct seen_request {
    std::string text{};  ///< What came of it.
    bool complete = false;
    std::size_t connection = 0;
  };
  [[nodiscard]] const std::vector<seen_request>& requests() const noexcept;
  [[nodiscard]] std::size_t connections() const noexcept;
  /// Bytes of plain text in the last answer that was not cut.
  [[nodiscard]] std::size_t answer_size() const noexcept;
  /// Connections that the client holds.
  [[nodiscard]] std::size_t held() const noexcept;
  /// A request that began on a connection in doubt; operations that the contract of the channel
  /// forbids. Empty when all was well.
  [[nodiscard]] const std::string& violations() const noexcept;

 private:
  class server_end;
  class line_channel;
  struct world;
  std::shared_ptr<world> world_;
  void settle();
};

}  // namespace hawser::test
