// Calls of a client with a whole stack of policies over the real transport, each step failing in
// turn: every call completes exactly once, what may be repeated succeeds, what must not be is sent
// once, and nothing is left behind.
#include "hawser/http/client.hpp"
#include "hawser/run/report.hpp"

#include "replay/scripted_network.hpp"
#include "replay/shop_rig.hpp"
#include "replay/touchy_observer.hpp"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/strand.hpp>

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>

namespace hawser::test::client_test {
namespace {

namespace asio = boost::asio;

enum class what { get, keyed_post, unsafe_post };

struct scenario {
  std::string_view name;
  what kind = what::get;
  bool tls = false;
  bool sluggish = false;
  bool kept = false;
  framing how = framing::length;
};

std::ostream& operator<<(std::ostream& out, const scenario& s) { return out << s.name; }

constexpr scenario scenarios[] = {
    {.name = "get"},
    {.name = "get_kept_chunked", .kept = true, .how = framing::chunked},
    {.name = "keyed_post", .kind = what::keyed_post},
    {.name = "keyed_post_kept", .kind = what::keyed_post, .kept = true},
    {.name = "unsafe_post", .kind = what::unsafe_post},
    {.name = "unsafe_post_chunked_sluggish",
     .kind = what::unsafe_post,
     .sluggish = true,
     .how = framing::chunked},
    {.name = "unsafe_post_kept", .kind = what::unsafe_post, .kept = true},
    {.name = "tls_get_kept", .tls = true, .kept = true},
    {.name = "tls_keyed_post", .kind = what::keyed_post, .tls = true},
    {.name = "tls_unsafe_post", .kind = what::unsafe_post, .tls = true},
    {.name = "tls_unsafe_post_kept", .kind = what::unsafe_post, .tls = true, .kept = true},
};

constexpr std::array faults{fault::reset, fault::end, fault::one_byte, fault::would_block,
                            fault::silence};

struct answered {
  int count = 0;
  std::optional<result<http::response>> got{};
};

struct keep_answer {
  answered* where;
  void operator()(result<http::response> r) const {
    ++where->count;
    where->got.emplace(std::move(r));
  }
};

/// A client on the scripted network, on virtual time.
struct shop : shop_rig {
  shop(fuse* f, const scenario& s, std::size_t connections = 8, const user_callbacks& mine = {})
      : shop_rig(2), net(f) {
    net.tls = s.tls;
    net.named = true;
    net.sluggish = s.sluggish;
    net.how = s.how;
    http::pool_options pool;
    pool.max_connections = connections;
    http::time_limits times;
    times.resolve = times.connect = times.tls = times.first_byte = times.between_bytes = 1s;
    times.pool_wait = 1min;
    carrier = net.transport(env, pool, times);
    http::client_options options;
    options.transport = carrier;
    api.emplace(env.env(), "http://api.test", stack(mine), std::move(options));
  }
  ~shop() {
    api.reset();
    if (carrier) carrier->close();
    if (gone) return;
    env.run_until_idle();
    EXPECT_TRUE(env.expect_quiet());
    carrier.reset();
    EXPECT_EQ(net.held(), 0u) << "a channel outlived its transport";
    EXPECT_EQ(net.violations(), "");
    check_permits();
  }

  static http::request make(what kind) {
    http::request r = kind == what::get ? http::request::get("/v1/charges/1")
                                        : http::request::post("/v1/charges");
    if (kind != what::get) r = std::move(r).body(R"({"amount":7})", "application/json");
    if (kind == what::keyed_post) r = std::move(r).idempotency_key("order-1");
    return r;
  }
  void start(answered& a, what kind, call_report* report = nullptr) {
    api->async_send(make(kind), {.report = report},
                    asio::bind_cancellation_slot(signal.slot(), keep_answer{&a}));
    EXPECT_EQ(a.count, 0) << "completed inline";
  }
  /// One handler or timer. Whether there was one.
  bool step() { return env.env().source().run_one(); }

  /// One handler or timer, unless all calls have ended.
  template <class Calls>
  bool step(const Calls& calls) {
    const auto runs = [](const answered& a) { return a.count == 0; };
    return !gone && std::ranges::any_of(calls, runs) && step();
  }
  /// To the end of all, and no timer is left then.
  template <class Calls>
  void run(const Calls& calls) {
    while (step(calls)) {
    }
    check_timers();
  }
  void check_timers() {
    if (gone) return;
    env.run_ready();
    EXPECT_EQ(env.waits(), 0u) << "a timer outlived its call";
  }

  void check_health() {
    std::array<answered, 1> one;
    const answered& good = one[0];
    start(one[0], what::get);
    run(one);
    EXPECT_EQ(good.count, 1);
    ASSERT_TRUE(good.got && *good.got) << good.got->error().message();
    EXPECT_EQ((*good.got)->body(), R"({"id":1})");
    const http::transport_stats now = api->stats();
    EXPECT_EQ(now.connections, now.idle);
    EXPECT_EQ(now.pending, 0u);
    EXPECT_EQ(net.held(), now.connections);
  }

  network net;
  asio::cancellation_signal signal;
  std::shared_ptr<http::transport> carrier;
  std::optional<http::client> api;
  bool gone = false;  // with its context
};

class replay_of_a_call : public ::testing::TestWithParam<scenario> {};

void check_call(const shop& s, const scenario& how, std::size_t before, const answered& a,
                const call_report& report) {
  ASSERT_EQ(a.count, 1);
  std::size_t began = 0;
  std::size_t arrived = 0;
  const auto& seen = s.net.requests();
  for (std::size_t i = before; i < seen.size(); ++i) {
    ++began;
    if (seen[i].complete) ++arrived;
    if (how.kind == what::keyed_post && seen[i].complete) {
      EXPECT_NE(seen[i].text.find("\r\nIdempotency-Key: \"order-1\"\r\n"), std::string::npos)
          << seen[i].text;
    }
  }
  const auto& got = *a.got;
  if (got) {
    EXPECT_EQ(got->body(), R"({"id":1})");
    EXPECT_GE(arrived, 1u);
  } else if (got.error() == errc::tls_handshake_failed) {  // nonsense for a handshake: final
    EXPECT_TRUE(how.tls);
    EXPECT_EQ(report.delivery, evidence::never_sent);
    EXPECT_EQ(began, 0u);
  } else {
    EXPECT_EQ(how.kind, what::unsafe_post) << got.error().message() << "\n" << report.to_string();
    EXPECT_EQ(got.error().code(), errc::outcome_unknown) << report.to_string();
    EXPECT_EQ(report.delivery, evidence::maybe_applied);
  }
  if (how.kind == what::unsafe_post) {
    EXPECT_LE(began, 1u) << "an unsafe request went out twice\n" << report.to_string();
    if (began == 1 && arrived == 0) {
      EXPECT_EQ(got.error().code(), errc::outcome_unknown);
    }
  }
}

TEST_P(replay_of_a_call, each_step_of_the_channel_fails) {
  const scenario& how = GetParam();
  for (const fault goes_wrong : faults) {
    SCOPED_TRACE(to_string(goes_wrong));
    const std::size_t steps = fail_at_each_step([&](fuse& f) {
      f.arm(false);
      shop s(&f, how);
      s.net.set(goes_wrong);
      if (how.kept) s.check_health();
      const std::size_t before = s.net.requests().size();
      std::array<answered, 1> a;
      call_report report;
      f.arm();
      s.start(a[0], how.kind, &report);
      s.run(a);
      f.arm(false);
      check_call(s, how, before, a[0], report);
      s.check_health();
      s.check_permits();
    });
    EXPECT_GE(steps, 3u);
  }
}

// Between any two handlers or timers of four calls over two connections: one of them gets its
// answer on a kept connection, one waits for it, one in the pool, two in the bulkhead.
enum class interruption { close, destroy, cancel, shut_down, leap };

void interrupt(shop& s, interruption by) {
  switch (by) {
    case interruption::close: s.api->close(); break;
    case interruption::destroy: s.api.reset(); break;
    case interruption::cancel: s.signal.emit(asio::cancellation_type::terminal); break;
    case interruption::shut_down:
      s.env.on_leftover({});
      s.env.shut_down();
      s.gone = true;
      break;
    case interruption::leap: s.env.leap(1h); break;
  }
}

TEST_P(replay_of_a_call, is_interrupted_before_each_step) {
  const scenario& how = GetParam();
  for (const interruption by : {interruption::close, interruption::destroy, interruption::cancel,
                                interruption::shut_down, interruption::leap}) {
    SCOPED_TRACE(static_cast<int>(by));
    const std::size_t steps = fail_at_each_step([&](fuse& f) {
      shop s(nullptr, how, 1);
      s.net.cut_next_answer(20);  // the first attempt of the first call fails
      std::deque<answered> calls(by == interruption::cancel ? 1 : 4);
      for (answered& a : calls) s.start(a, how.kind);
      do {
        if (f.burns()) interrupt(s, by);
      } while (s.step(calls));
      s.check_timers();
      for (const answered& a : calls) {
        if (s.gone) {
          EXPECT_LE(a.count, 1);
          continue;
        }
        ASSERT_EQ(a.count, 1);
        if (*a.got || a.got->error() == errc::outcome_unknown) continue;
        EXPECT_TRUE(f.burnt());
        if (by == interruption::leap && a.got->error() == errc::bulkhead_timeout) continue;
        EXPECT_EQ(a.got->error(),
                  by == interruption::leap ? condition::timeout : condition::canceled)
            << a.got->error().message();
      }
      s.check_permits();
      if (how.kind == what::unsafe_post) {
        EXPECT_LE(s.net.requests().size(), calls.size());
      }
      const bool lives = by == interruption::cancel || by == interruption::leap;
      if (lives || !f.burnt()) s.check_health();
    });
    EXPECT_GE(steps, 4u);
  }
}

// --- callbacks that throw

enum class callback { observer, classifier, condition, source };

/// One of them is the fuse's; the others do as a user's would. With a fallback there is no second
/// attempt, so that it has something to stand in for.
user_callbacks all_but_one_well(fuse& f, callback touchy, std::function<void()> on_failure) {
  const auto step = [&f, touchy](callback which) {
    if (which == touchy && f.burns()) throw std::runtime_error("a user's callback");
  };
  const bool gives_up = touchy == callback::condition || touchy == callback::source;
  user_callbacks all;
  if (touchy == callback::observer) all.listener = std::make_shared<touchy_observer>(f);
  all.transient = [step, gives_up, next = std::move(on_failure)](const outcome&) {
    next();
    step(callback::classifier);
    return gives_up ? std::optional<bool>(false) : std::nullopt;
  };
  if (!gives_up) return all;
  const auto make = [step](const outcome&) {
    step(callback::source);
    http::response r;
    r.set_status(203);
    r.mutable_body() = "a substitute";
    return r;
  };
  const auto covers = [step](const outcome&) {
    step(callback::condition);
    return true;
  };
  all.substitute = fallback::from(make).when(covers).even_if_unknown();
  return all;
}

// Two calls over one connection, of which the first two answers are cut: whose callback throws is
// told so, unless it is an observer's; the other call does not notice.
TEST_P(replay_of_a_call, each_callback_throws) {
  const scenario& how = GetParam();
  for (const callback touchy :
       {callback::observer, callback::classifier, callback::condition, callback::source}) {
    SCOPED_TRACE(static_cast<int>(touchy));
    const bool stands_in = touchy == callback::condition || touchy == callback::source;
    const std::size_t steps = fail_at_each_step([&](fuse& f) {
      f.arm(false);
      network* line = nullptr;
      int cuts = 0;
      const auto on_failure = [&] {
        if (--cuts > 0) line->cut_next_answer(20);
      };
      shop s(nullptr, how, 1, all_but_one_well(f, touchy, on_failure));
      line = &s.net;
      if (how.kept) s.check_health();
      const std::size_t before = s.net.requests().size();
      cuts = 2;
      s.net.cut_next_answer(20);
      f.arm();
      std::array<answered, 2> both;
      const auto& [mine, other] = both;
      call_report report;
      s.start(both[0], how.kind, &report);
      s.start(both[1], what::get);
      s.run(both);
      f.arm(false);

      int hurt = 0;
      const auto check = [&](const answered& a, what kind) {
        ASSERT_EQ(a.count, 1);
        if (*a.got) {
          if ((*a.got)->status() == 200)
            EXPECT_EQ((*a.got)->body(), R"({"id":1})");
          else
            EXPECT_EQ((*a.got)->body(), "a substitute");
          return;
        }
        if (kind != what::unsafe_post || stands_in) ++hurt;
        const errc plain =
            touchy == callback::source ? errc::truncated_response : errc::operation_threw;
        EXPECT_EQ(a.got->error(), kind == what::get ? plain : errc::outcome_unknown)
            << a.got->error().message();
      };
      check(mine, how.kind);
      check(other, what::get);
      if (how.kind == what::unsafe_post) {
        std::size_t posts = 0;
        for (std::size_t i = before; i < s.net.requests().size(); ++i)
          if (s.net.requests()[i].text.starts_with("POST")) ++posts;
        EXPECT_EQ(posts, 1u) << report.to_string();
      }
      const bool noticed = f.burnt() && touchy != callback::observer;
      if (how.kind != what::unsafe_post || stands_in) {
        EXPECT_EQ(hurt, noticed ? 1 : 0) << report.to_string();
      }
      if (!*mine.got) {
        EXPECT_EQ(report.delivery, evidence::maybe_applied) << report.to_string();
      }
      s.check_permits();
      s.check_health();
    });
    EXPECT_GE(steps, touchy == callback::observer ? 8u : 2u);
  }
}

// What a completion handler throws comes out of the run function. Every second handler has an
// executor of its own.
TEST_P(replay_of_a_call, each_completion_handler_throws) {
  const scenario& how = GetParam();
  const std::size_t steps = fail_at_each_step([&](fuse& f) {
    shop s(nullptr, how, 1);
    s.net.cut_next_answer(20);
    constexpr std::size_t calls = 4;
    std::array<answered, calls> ends;
    for (std::size_t i = 0; i < calls; ++i) {
      const auto handler = [&ends, &f, i](result<http::response> r) {
        keep_answer{&ends[i]}(std::move(r));
        if (f.burns()) throw std::runtime_error("the handler");
      };
      if (i % 2 == 0)
        s.api->async_send(shop::make(how.kind), handler);
      else
        s.api->async_send(shop::make(how.kind),
                          asio::bind_executor(asio::make_strand(s.env.get_executor()), handler));
    }
    int thrown = 0;
    for (bool more = true; more;) {
      try {
        more = s.step(ends);
      } catch (const std::runtime_error&) {
        ++thrown;
      }
    }
    for (const answered& a : ends) EXPECT_EQ(a.count, 1);
    EXPECT_EQ(thrown, f.burnt() ? 1 : 0);
    s.check_timers();
    s.check_permits();
    s.check_health();
  });
  EXPECT_EQ(steps, 4u);
}

INSTANTIATE_TEST_SUITE_P(every, replay_of_a_call, ::testing::ValuesIn(scenarios),
                         [](const auto& which) { return std::string(which.param.name); });

}  // namespace
}  // namespace hawser::test::client_test
