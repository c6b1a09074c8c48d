// A server on a thread of its own that answers every request with the same 200 bytes of JSON, as
// cheaply as it can, in the clear or over TLS.
#pragma once

#include <boost/asio/ip/tcp.hpp>

#include <memory>
#include <string>

namespace hawser_bench {

class server {
 public:
  /// With a certificate and its key (PEM) it speaks TLS.
  server(const std::string& certificate = {}, const std::string& key = {});
  server(const server&) = delete;
  server& operator=(const server&) = delete;
  ~server();
  [[nodiscard]] boost::asio::ip::tcp::endpoint endpoint() const;
  /// Runs on this CPU from now on; all where it is negative.
  void pin(int cpu);

 private:
  class impl;
  std::unique_ptr<impl> impl_;
};

/// The calling thread's, likewise.
void pin_this_thread(int cpu);

}  // namespace hawser_bench
