// The transport over Asio: a pool of connections behind the public seam.
//
//   beast_transport net(env, settings);
//   net.start(exchange);
#pragma once

#include "hawser/http/transport.hpp"

#include "http/beast/pool.hpp"

#include <cstdint>

namespace hawser::inline v0::http::beast {

class beast_transport final : public transport {
 public:
  beast_transport(environment env, settings s);
  ~beast_transport() override;

  void start(exchange& what) override;
  void cancel(exchange& what) noexcept override;
  void close() noexcept override;
  [[nodiscard]] transport_stats stats() const noexcept override;

 private:
  [[nodiscard]] bool is_the_parents() const noexcept;

  const std::uint32_t made_in_;
  pool_ptr pool_;
};

}  // namespace hawser::inline v0::http::beast
