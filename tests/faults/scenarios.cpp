#include "hawser/http/client.hpp"
#include "hawser/http/standard_options.hpp"
#include "hawser/policy/backoff.hpp"
#include "hawser/policy/bulkhead.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/fallback.hpp"
#include "hawser/policy/rate_limiter.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/start_spread.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/coroutine.hpp"
#include "hawser/run/environment.hpp"
#include "hawser/run/execute.hpp"
#include "hawser/run/pipeline.hpp"

#include "faults/stage.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <array>
#include <chrono>
#include <exception>
#include <future>
#include <optional>
#include <string>

namespace hawser::test {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using http::client;
using http::request;
using http::response;

/// All standard policies, with limits that a test can wait for.
pipeline_builder policies() {
  http::standard_options o;
  o.call_timeout = 1s;
  o.attempt_timeout = 300ms;
  o.retry.max_attempts = 2;
  o.retry.delay = constant{.each = 2ms};
  return http::standard_pipeline("faults", o);
}

http::client_options options(const stage& s) {
  http::client_options o;
  o.tls.ca_pem = s.at().authority;
  return o;
}

client make_client(const environment& env, const stage& s, const std::string& url) {
  return {env, url, policies(), options(s)};
}

/// A caller's own loop. What comes out of it is noted, and it goes on.
void run(stage& s, asio::io_context& io) {
  for (;;) {
    try {
      io.run();
      break;
    } catch (const std::exception&) {
      s.escaped();
    }
  }
  io.restart();
}

template <class T>
std::string words(const result<T>& r) {
  return r ? std::string() : r.error().message();
}

/// Whether a client that is made after the trouble is better off than the one that went through it.
void try_fresh_client(stage& s, const std::string& url) {
  if (s.next_went_well()) return;
  const environment env;
  if (!make_client(env, s, url).get("/fresh").send()) s.spoilt();
}

/// The call after the trouble goes well.
void next_call(stage& s, const client& api, const std::string& url) {
  s.next(words(api.get("/next").send()));
  try_fresh_client(s, url);
}

void next_call(stage& s, const client& api, const std::string& url, asio::io_context& io) {
  std::optional<result<response>> got;
  api.async_send(request::get("/next"), [&](result<response> r) { got.emplace(std::move(r)); });
  run(s, io);
  s.next(got ? words(*got) : "no handler was called");
  try_fresh_client(s, url);
}

// --- with a thread of the library's own --------------------------------------------------------

void set_up(stage& s, const std::string& url) {
  s.begin();
  s.start_set_up([&] {
    const environment env;
    const client api = make_client(env, s, url);
    s.ended(api.get("/quotes").send().has_value());
  });
  s.end();
  const environment env;
  next_call(s, make_client(env, s, url), url);
}
void plain_set_up(stage& s) { set_up(s, s.at().plain); }
void tls_set_up(stage& s) { set_up(s, s.at().tls); }

void send(stage& s, const std::string& url) {
  const environment env;
  const client api = make_client(env, s, url);
  s.begin();
  s.start([&] { s.ended(api.get("/quotes/{id}", {{"id", "7"}}).send().has_value()); });
  s.end();
  next_call(s, api, url);
}
void plain_send(stage& s) { send(s, s.at().plain); }
void tls_send(stage& s) { send(s, s.at().tls); }
void named_send(stage& s) {
  std::string url = s.at().plain;
  send(s, url.replace(url.find("127.0.0.1"), 9, "localhost"));
}

/// A key, a report, an observer's worth of texts, and a second attempt.
void payment(stage& s) {
  const environment env;
  auto how = options(s);
  how.idempotency = http::idempotency_profile::stripe();
  how.attempt_header = "Attempt";
  const client api(env, s.at().plain, policies(), std::move(how));
  s.begin();
  s.start([&] {
    call_report about;
    const auto r = api.post("/second_time_lucky")
                       .body(R"({"amount":4200})", "application/json")
                       .send({.report = &about, .name = "a charge with a name that is not short"});
    s.ended(r.has_value());
  });
  s.end();
  next_call(s, api, s.at().plain);
}

/// A server that says nothing: only time ends these calls.
void silent_server(stage& s, const std::string& url) {
  const environment env;
  const client api = make_client(env, s, url);
  s.begin();
  s.start([&] { s.ended(api.get("/stall").send({.within = 150ms}).has_value()); });
  s.end();
  next_call(s, api, url);
}
void plain_silence(stage& s) { silent_server(s, s.at().plain); }
void tls_silence(stage& s) { silent_server(s, s.at().tls); }

void future(stage& s, const std::string& url) {
  const environment env;
  const client api = make_client(env, s, url);
  s.begin();
  s.start([&] {
    auto answer = api.get("/quotes").async_send(asio::use_future);
    bool good = false;
    try {
      good = answer.get().has_value();
    } catch (const std::future_error&) {  // a broken promise: the handler is lost
      return;
    } catch (const std::exception&) {
    }
    s.ended(good);
  });
  s.end();
  next_call(s, api, url);
}
void plain_future(stage& s) { future(s, s.at().plain); }
void tls_future(stage& s) { future(s, s.at().tls); }

/// More calls than connections, so that some wait for one; then all of them again.
void crowd(stage& s, const std::string& url) {
  const environment env;
  auto how = options(s);
  how.pool.max_connections = 2;
  const client api(env, url, policies(), std::move(how));
  s.begin();
  for (int i = 0; i < 6; ++i)
    s.start([&] {
      api.async_send(request::get("/quotes"), [&s](result<response> r) { s.ended(r.has_value()); });
    });
  s.wait();
  s.end();
  next_call(s, api, url);
}
void plain_crowd(stage& s) { crowd(s, s.at().plain); }

void second_call(stage& s, const std::string& url) {
  const environment env;
  const client api = make_client(env, s, url);
  s.next(words(api.get("/first").send()));
  s.begin();
  s.start([&] { s.ended(api.get("/quotes").send().has_value()); });
  s.end();
  next_call(s, api, url);
}
void plain_second_call(stage& s) { second_call(s, s.at().plain); }
void tls_second_call(stage& s) { second_call(s, s.at().tls); }

void client_goes(stage& s, const std::string& url) {
  const environment env;
  {
    const client api = make_client(env, s, url);
    s.begin();
    for (int i = 0; i < 2; ++i)
      s.start([&] {
        api.async_send(request::get("/stall"),
                       [&s](result<response> r) { s.ended(r.has_value()); });
      });
  }
  s.wait();
  s.end();
}
void plain_client_goes(stage& s) { client_goes(s, s.at().plain); }
void tls_client_goes(stage& s) { client_goes(s, s.at().tls); }

// --- on the caller's own io_context ------------------------------------------------------------

void callback(stage& s, const std::string& url) {
  asio::io_context io;
  const environment env(io.get_executor());
  const client api = make_client(env, s, url);
  s.begin();
  s.start([&] {
    api.async_send(request::get("/quotes"), [&](result<response> r) {
      s.ended(r.has_value());
      s.end();
    });
  });
  run(s, io);
  s.end();
  next_call(s, api, url, io);
}
void plain_callback(stage& s) { callback(s, s.at().plain); }
void tls_callback(stage& s) { callback(s, s.at().tls); }

void slow_callback(stage& s) {
  asio::io_context io;
  const environment env(io.get_executor());
  const client api = make_client(env, s, s.at().plain);
  s.begin();
  s.start([&] {
    api.async_send(request::get("/stall"), {.within = 150ms}, [&](result<response> r) {
      s.ended(r.has_value());
      s.end();
    });
  });
  run(s, io);
  s.end();
  next_call(s, api, s.at().plain, io);
}

void canceled(stage& s, const std::string& url) {
  asio::io_context io;
  const environment env(io.get_executor());
  const client api = make_client(env, s, url);
  asio::cancellation_signal cancel;
  asio::steady_timer later(io, 30ms);
  later.async_wait(
      [&](const boost::system::error_code&) { cancel.emit(asio::cancellation_type::terminal); });
  s.begin();
  s.start([&] {
    api.async_send(request::get("/stall"),
                   asio::bind_cancellation_slot(cancel.slot(), [&](result<response> r) {
                     s.ended(r.has_value());
                     s.end();
                   }));
  });
  run(s, io);
  s.end();
  next_call(s, api, url, io);
}
void plain_canceled(stage& s) { canceled(s, s.at().plain); }
void tls_canceled(stage& s) { canceled(s, s.at().tls); }

void coroutine(stage& s, const std::string& url) {
  asio::io_context io;
  const environment env(io.get_executor());
  const client api = make_client(env, s, url);
  bool good = false;
  const auto work = [&]() -> asio::awaitable<void> {
    const result<response> r = co_await api.get("/quotes").async_send(asio::use_awaitable);
    good = r.has_value();
  };
  s.begin();
  s.start([&] {
    asio::co_spawn(io, work, [&](const std::exception_ptr&) {
      s.ended(good);
      s.end();
    });
  });
  run(s, io);
  s.end();
  next_call(s, api, url, io);
}
void plain_coroutine(stage& s) { coroutine(s, s.at().plain); }
void tls_coroutine(stage& s) { coroutine(s, s.at().tls); }

// --- without the client ------------------------------------------------------------------------

pipeline all_policies(const environment& env, fallback last) {
  return pipeline_builder("local")
      .calls_are(effect::idempotent)
      .add(std::move(last))
      .add(timeout{.after = 2s})
      .add(start_spread{.over = 1ms})
      .add(rate_limiter{.permits = 1'000})
      .add(bulkhead{.max_concurrent = 2, .max_queue = 2})
      .add(retry{.max_attempts = 3, .delay = constant{.each = 2ms}})
      .add(circuit_breaker{})
      .add(timeout{.after = 300ms})
      .build(env);
}

void callable(stage& s) {
  const environment env;
  const pipeline p = all_policies(env, fallback::value(1));
  s.begin();
  s.start([&] {
    call_report about;
    const auto r = p.execute(
        [&](attempt& a) -> result<int> {
          (void)a.stop();
          if (a.number() == 1) return error(boost::asio::error::connection_reset, "by a test");
          return 7;
        },
        {.report = &about, .name = "a call with a name that is not short"});
    s.ended(r.has_value());
  });
  s.end();
  s.next(words(p.execute([] { return 8; })));
}

/// The timer's own allocations are not the library's: it has them made before.
class delay {
 public:
  explicit delay(asio::io_context& io) : timer_(io) {}
  template <class Token>
  auto operator()(Token&& token) {
    timer_.expires_after(1ms);
    return timer_.async_wait(std::forward<Token>(token));
  }

 private:
  asio::steady_timer timer_;
};

void wrapped(stage& s) {
  asio::io_context io;
  const environment env(io.get_executor());
  const pipeline p = all_policies(env, fallback::nothing());
  delay sleep(io);
  const auto nap = p.wrap([&](auto token) { return sleep(std::move(token)); });
  s.begin();
  s.start([&] {
    nap([&](const boost::system::error_code& ec) {
      s.ended(!ec);
      s.end();
    });
  });
  run(s, io);
  s.end();
  std::optional<boost::system::error_code> got;
  nap([&](const boost::system::error_code& ec) { got = ec; });
  run(s, io);
  s.next(!got ? "no handler was called" : *got ? got->message() : "");
}

void wrapped_coroutine(stage& s) {
  asio::io_context io;
  const environment env(io.get_executor());
  const pipeline p = all_policies(env, fallback::value(1));
  delay sleep(io);
  const auto nap = p.wrap([&]() -> asio::awaitable<int> {
    co_await sleep(asio::use_awaitable);
    co_return 7;
  });
  bool good = false;
  const auto work = [&]() -> asio::awaitable<void> { good = co_await nap() == 7; };
  s.begin();
  s.start([&] {
    asio::co_spawn(io, work, [&](const std::exception_ptr&) {
      s.ended(good);
      s.end();
    });
  });
  run(s, io);
  s.end();
}

constexpr std::array all_scenarios = {
    scenario{"set-up and a call", plain_set_up},
    scenario{"set-up and a call, TLS", tls_set_up},
    scenario{"send", plain_send},
    scenario{"send, TLS", tls_send},
    scenario{"send to a name", named_send},
    scenario{"payment, with a report", payment},
    scenario{"second call", plain_second_call},
    scenario{"second call, TLS", tls_second_call},
    scenario{"silent server", plain_silence},
    scenario{"silent server, TLS", tls_silence},
    scenario{"future", plain_future},
    scenario{"future, TLS", tls_future},
    scenario{"six calls, two connections", plain_crowd},
    scenario{"client goes", plain_client_goes},
    scenario{"client goes, TLS", tls_client_goes},
    scenario{"callback", plain_callback},
    scenario{"callback, TLS", tls_callback},
    scenario{"callback, silent server", slow_callback},
    scenario{"cancelled", plain_canceled},
    scenario{"cancelled, TLS", tls_canceled},
    scenario{"coroutine", plain_coroutine},
    scenario{"coroutine, TLS", tls_coroutine},
    scenario{"callable", callable},
    scenario{"wrapped timer", wrapped},
    scenario{"wrapped coroutine", wrapped_coroutine},
};

}  // namespace

std::span<const scenario> scenarios() noexcept { return all_scenarios; }

}  // namespace hawser::test
