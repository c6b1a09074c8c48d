// What the transport's tests share: virtual time over real sockets, and an exchange that takes
// notes.
//
//   transport_rig rig;                               // an io_context, time that stands still
//   auto net = rig.make(server.url());
//   one_exchange ex; ex.get("/x"); net->start(ex);
//   ASSERT_TRUE(rig.run_until(ex));
//   EXPECT_EQ(ex.answer_.status(), 200);
#pragma once

#include "hawser/http/headers.hpp"
#include "hawser/http/limits.hpp"
#include "hawser/http/method.hpp"
#include "hawser/http/response.hpp"
#include "hawser/http/transport.hpp"
#include "hawser/http/url.hpp"
#include "hawser/run/environment.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace hawser::test {

using namespace std::chrono_literals;

/// Time that moves only by hand; I/O stays real.
class hand_clock final : public time_source {
 public:
  explicit hand_clock(boost::asio::any_io_executor executor)
      : time_source(std::move(executor), std::make_unique<seeded_entropy>(1)) {}
  ~hand_clock() override { timers().abandon(); }
  time_point now() const noexcept override { return time_point(duration(now_.load())); }
  void reschedule() override {}
  bool runs_here() const noexcept override { return true; }

  void advance(duration by) {
    now_ += by.count();
    while (timers().fire_one(now())) {
    }
  }

 private:
  std::atomic<duration::rep> now_{duration(1h).count()};
};

class one_exchange final : public http::exchange {
 public:
  one_exchange() { answer = &answer_; }
  one_exchange(http::method how, std::string to, std::optional<std::string> with = std::nullopt)
      : one_exchange() {
    set(std::move(how), std::move(to), std::move(with));
  }
  void set(http::method how, std::string to, std::optional<std::string> with = std::nullopt) {
    method_ = std::move(how);
    target_ = std::move(to);
    body_ = with.value_or("");
    method = &method_;
    target = target_;
    body = body_;
    has_body = with.has_value();
    own_headers = &own_;
  }
  void get(std::string to) { set(http::method::get, std::move(to)); }

  void on_done(error_code ec, evidence delivery, std::string detail) override {
    ec_ = ec;
    delivery_ = delivery;
    detail_ = std::move(detail);
    ++ends_;
    const bool chained = static_cast<bool>(then_);
    done_.store(true);  // without `then_` the last touch: whoever waits may destroy this
    if (chained) then_();
  }
  void on_abandoned() noexcept override { ++abandoned_; }

  [[nodiscard]] bool done() const noexcept { return done_.load(); }
  void again() { done_.store(false); }

  http::method method_;
  std::string target_;
  std::string body_;
  http::headers own_;
  http::response answer_;
  error_code ec_;
  evidence delivery_ = evidence::never_sent;
  std::string detail_;
  std::function<void()> then_;
  std::atomic<int> ends_{0};
  std::atomic<int> abandoned_{0};

 private:
  std::atomic<bool> done_{false};
};

class transport_rig {
 public:
  std::shared_ptr<http::transport> make(std::string_view url) {
    return http::make_beast_transport(env, http::url::parse(url).value(), pool, tls, bounds, times);
  }

  /// Runs what is ready, and waits for I/O, until `holds`; false after a generous while.
  bool run_until(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (!holds()) {
      if (std::chrono::steady_clock::now() > end) return false;
      if (io.stopped()) io.restart();
      io.run_one_for(5ms);
    }
    return true;
  }
  bool run_until(const one_exchange& ex) {
    return run_until([&] { return ex.done(); });
  }
  /// One exchange from start to end.
  bool run(http::transport& net, one_exchange& ex) {
    ex.again();
    net.start(ex);
    return run_until(ex);
  }
  void advance(duration by) { clock->advance(by); }

  boost::asio::io_context io;
  std::shared_ptr<hand_clock> clock = std::make_shared<hand_clock>(io.get_executor());
  environment env{clock};
  http::pool_options pool;
  http::tls_options tls;
  http::limits bounds;
  http::time_limits times;
};

}  // namespace hawser::test
