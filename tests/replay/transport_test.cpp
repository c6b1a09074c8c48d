// One exchange after the other over the real pool, connection and TLS, each step of the channel
// below them failing in turn: the exchange ends exactly once, what is said of its delivery is true,
// and the pool goes on with connections it can trust.
#include "http/transport_support.hpp"
#include "replay/scripted_network.hpp"
#include "support/virtual_time.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <iterator>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::test::transport_test {
namespace {

struct scenario {
  std::string_view name;
  bool post = false;
  framing how = framing::length;
  bool tls = false;
  bool named = false;
  bool sluggish = false;
  bool kept = false;  ///< The second request of a kept connection.
};

std::ostream& operator<<(std::ostream& out, const scenario& s) { return out << s.name; }

constexpr scenario scenarios[] = {
    {.name = "get"},
    {.name = "get_named", .named = true},
    {.name = "get_chunked", .how = framing::chunked},
    {.name = "get_kept", .kept = true},
    {.name = "get_sluggish", .how = framing::chunked, .named = true, .sluggish = true},
    {.name = "post", .post = true},
    {.name = "post_sluggish", .post = true, .sluggish = true},
    {.name = "post_kept", .post = true, .kept = true},
    {.name = "post_kept_sluggish", .post = true, .sluggish = true, .kept = true},
    {.name = "tls_get_named", .tls = true, .named = true},
    {.name = "tls_get_kept", .how = framing::chunked, .tls = true, .named = true, .kept = true},
    {.name = "tls_post", .post = true, .how = framing::chunked, .tls = true, .named = true},
    {.name = "tls_post_kept", .post = true, .tls = true, .named = true, .kept = true},
    {.name = "tls_post_sluggish", .post = true, .tls = true, .named = true, .sluggish = true},
};

constexpr std::array faults{fault::reset, fault::end, fault::one_byte, fault::would_block,
                            fault::silence};

class replay_of_an_exchange : public ::testing::TestWithParam<scenario> {
 protected:
  /// The whole world of one run.
  struct run {
    run(const scenario& s, fuse* f) : net(f) {
      net.tls = s.tls;
      net.named = s.named;
      net.sluggish = s.sluggish;
      net.how = s.how;
      env.on_leftover([](std::string_view what) { ADD_FAILURE() << "left behind: " << what; });
      if (s.post)
        ex.set(http::method::post, "/v1/charges", std::string(100, 'x'));
      else
        ex.get("/v1/charges/1");
    }
    ~run() {
      if (!transport) return;
      transport->close();
      env.run_until_idle();
      EXPECT_EQ(transport->stats().connections, 0u);
      transport.reset();
      EXPECT_TRUE(env.expect_quiet());
      EXPECT_EQ(net.held(), 0u) << "a channel outlived its transport";
      EXPECT_EQ(net.violations(), "");
    }

    void send(one_exchange& one) {
      const int before = one.ends_;
      one.again();
      transport->start(one);
      EXPECT_EQ(one.ends_, before) << "ended inline";
      EXPECT_TRUE(env.run_until([&] { return one.done(); }, 10min)) << "never ended";
      env.run_until_idle();
      EXPECT_EQ(one.ends_, before + 1);
    }
    /// The pool serves a further request, and holds nothing else.
    void check_health() {
      one_exchange good;
      good.get("/health");
      send(good);
      EXPECT_FALSE(good.ec_) << good.ec_.message() << ": " << good.detail_;
      EXPECT_EQ(good.answer_.status(), 200);
      EXPECT_EQ(good.answer_.body(), R"({"id":1})");
      const http::transport_stats now = transport->stats();
      EXPECT_EQ(now.connections, 1u);
      EXPECT_EQ(now.idle, 1u);
      EXPECT_EQ(now.pending, 0u);
      EXPECT_EQ(net.held(), 1u);
    }

    manual_environment env;
    network net;
    std::shared_ptr<http::transport> transport;
    one_exchange ex;
  };

  static void check_end(const run& r, const scenario& s, std::size_t before) {
    const auto& seen = r.net.requests();
    const bool began = seen.size() > before;
    const bool arrived = began && seen[before].complete;
    EXPECT_LE(seen.size(), before + 1) << "the transport sent a request twice";
    if (!r.ex.ec_) {
      EXPECT_EQ(r.ex.delivery_, evidence::answered);
      EXPECT_EQ(r.ex.answer_.body(), R"({"id":1})");
      EXPECT_TRUE(arrived);
      return;
    }
    EXPECT_NE(r.ex.delivery_, evidence::answered) << r.ex.detail_;
    if (began) {
      EXPECT_EQ(r.ex.delivery_, evidence::maybe_applied) << r.ex.detail_;
    }
    // In the clear nothing but requests is sent, so it is known to the byte.
    if (!s.tls && !began && r.ex.ec_ != condition::timeout) {
      EXPECT_EQ(r.ex.delivery_, evidence::never_sent) << r.ex.detail_;
    }
  }
};

TEST_P(replay_of_an_exchange, each_step_of_the_channel_fails) {
  const scenario& s = GetParam();
  for (const fault how : faults) {
    SCOPED_TRACE(to_string(how));
    const std::size_t steps = fail_at_each_step([&](fuse& f) {
      run r(s, &f);
      r.net.goes_wrong = how;
      f.arm(false);
      r.transport = r.net.transport(r.env);
      if (s.kept) {
        one_exchange first;
        first.get("/first");
        r.send(first);
      }
      const std::size_t before = r.net.requests().size();
      f.arm();
      r.send(r.ex);
      f.arm(false);
      check_end(r, s, before);
      r.check_health();
    });
    EXPECT_GE(steps, 3u);
  }
}

class replay_of_a_reuse : public replay_of_an_exchange {};

// The server hangs up between the look at a kept connection and the first write, of which nothing
// is taken: the exchange goes to a new connection, be it one that found the connection idle or
// one that waited for it.
TEST_P(replay_of_a_reuse, finds_the_server_gone_between_the_look_and_the_first_write) {
  const scenario& s = GetParam();
  for (const fault how : {fault::reset, fault::end})
    for (const bool waits : {false, true}) {
      SCOPED_TRACE(::testing::Message() << to_string(how) << (waits ? ", waiting" : ""));
      run r(s, nullptr);
      r.transport = r.net.transport(r.env, {.max_connections = 1, .max_idle = 1});
      one_exchange first;
      first.get("/first");
      if (waits) {
        r.transport->start(first);
        r.transport->start(r.ex);
        EXPECT_EQ(r.transport->stats().pending, 1u);
        const auto& seen = r.net.requests();
        while (seen.empty() || !seen[0].complete) ASSERT_TRUE(r.env.run_one());
        r.net.hang_up_at_next_write(how);
      } else {
        r.send(first);
        r.net.hang_up_at_next_write(how);
        r.transport->start(r.ex);
      }
      r.env.run_until_idle();
      EXPECT_EQ(first.ends_, 1);
      EXPECT_EQ(r.ex.ends_, 1);
      EXPECT_FALSE(r.ex.ec_) << r.ex.ec_.message() << ": " << r.ex.detail_;
      EXPECT_EQ(r.ex.delivery_, evidence::answered);
      EXPECT_EQ(r.net.requests().size(), 2u) << "the first, and this one once";
      EXPECT_EQ(r.net.connections(), 2u);
      EXPECT_EQ(r.transport->stats().opened, 2u);
      r.check_health();
    }
}

class replay_of_an_answer : public replay_of_an_exchange {};

// Cut after its last byte an answer is whole: the replay ends there.
TEST_P(replay_of_an_answer, is_cut_after_each_byte) {
  const scenario& s = GetParam();
  for (const fault how : {fault::end, fault::reset, fault::silence}) {
    if (s.tls && how != fault::end) continue;  // TLS makes a difference to the end alone
    SCOPED_TRACE(to_string(how));
    std::size_t size = 1;
    for (std::size_t cut = 0; cut <= size && !HasFailure(); ++cut) {
      SCOPED_TRACE(::testing::Message() << "cut after " << cut << " bytes");
      run r(s, nullptr);
      if (!s.kept) r.net.cut_answer_at = cut;
      r.net.cut_by = how;
      r.transport = r.net.transport(r.env);
      if (s.kept) {
        one_exchange first;
        first.get("/first");
        r.send(first);
        r.net.cut_next_answer(cut);
      }
      const std::size_t before = r.net.requests().size();
      r.send(r.ex);
      check_end(r, s, before);
      EXPECT_TRUE(r.net.requests().at(before).complete);
      const bool whole = !r.ex.ec_;
      if (!whole) {
        EXPECT_EQ(r.ex.delivery_, evidence::maybe_applied);
      }
      r.check_health();
      size = r.net.answer_size();
      EXPECT_EQ(whole, cut >= size);
    }
    EXPECT_GT(size, 50u);
  }
}

INSTANTIATE_TEST_SUITE_P(every, replay_of_an_exchange, ::testing::ValuesIn(scenarios),
                         [](const auto& which) { return std::string(which.param.name); });
INSTANTIATE_TEST_SUITE_P(every, replay_of_a_reuse, ::testing::ValuesIn([] {
                           std::vector<scenario> kept;
                           std::ranges::copy_if(scenarios, std::back_inserter(kept),
                                                &scenario::kept);
                           return kept;
                         }()),
                         [](const auto& which) { return std::string(which.param.name); });
INSTANTIATE_TEST_SUITE_P(
    every, replay_of_an_answer,
    ::testing::Values(
        scenario{.name = "get"}, scenario{.name = "get_kept", .kept = true},
        scenario{.name = "post_chunked_kept", .post = true, .how = framing::chunked, .kept = true},
        scenario{.name = "get_chunked_sluggish", .how = framing::chunked, .sluggish = true},
        scenario{.name = "tls_get_chunked", .how = framing::chunked, .tls = true, .named = true},
        scenario{.name = "tls_post_kept", .post = true, .tls = true, .named = true, .kept = true}),
    [](const auto& which) { return std::string(which.param.name); });

/// Three exchanges over one connection at a time.
struct queue {
  explicit queue(bool tls = false, fuse* f = nullptr, fault how = fault::reset,
                 duration longest_wait = 1h)  // those behind a silent server wait it out
      : net(f) {
    env.on_leftover([](std::string_view what) { ADD_FAILURE() << "left behind: " << what; });
    net.goes_wrong = how;
    net.tls = net.named = tls;
    http::time_limits times;
    times.pool_wait = longest_wait;
    transport = net.transport(env, {.max_connections = 1, .max_idle = 1}, times);
    for (std::size_t i = 0; i < all.size(); ++i) all[i].get("/" + std::to_string(i));
  }
  void start() {
    for (one_exchange& one : all) transport->start(one);
  }
  /// One handler or timer, unless all have ended.
  bool turn() {
    const auto runs = [](const one_exchange& one) { return one.ends_ == 0; };
    return std::ranges::any_of(all, runs) && env.run_one();
  }
  /// Each ended once, the pool is whole, and nothing is left.
  void check() {
    env.run_ready();
    EXPECT_EQ(env.waits(), 0u) << "a timer outlived its exchange";
    for (const one_exchange& one : all) EXPECT_EQ(one.ends_, 1);
    EXPECT_LE(transport->stats().connections, 1u);
    EXPECT_EQ(transport->stats().pending, 0u);
    one_exchange good;
    good.get("/health");
    transport->start(good);
    env.run_until_idle();
    EXPECT_EQ(good.ends_, 1);
    EXPECT_FALSE(good.ec_) << good.detail_;
    EXPECT_EQ(transport->stats().idle, 1u);
    transport->close();
    env.run_until_idle();
    EXPECT_TRUE(env.expect_quiet());
    transport.reset();
    EXPECT_EQ(net.held(), 0u) << "a channel outlived its transport";
    EXPECT_EQ(net.violations(), "");
  }

  manual_environment env;
  network net;
  std::shared_ptr<http::transport> transport;
  std::array<one_exchange, 3> all;
};

// Whatever becomes of one, the others get theirs.
TEST(replay_of_a_queue, each_step_of_the_channel_fails) {
  for (const fault how : faults) {
    SCOPED_TRACE(to_string(how));
    const std::size_t steps = fail_at_each_step([&](fuse& f) {
      queue q(false, &f, how);
      q.start();
      while (q.turn()) {
      }
      f.arm(false);
      const auto failed = [](const one_exchange& one) { return static_cast<bool>(one.ec_); };
      EXPECT_LE(std::ranges::count_if(q.all, failed), 1) << "one failure, more than one victim";
      q.check();
    });
    EXPECT_GE(steps, 7u);
  }
}

// What an exchange's end throws comes out of the run function, and the others get their turn.
TEST(replay_of_a_queue, each_end_throws) {
  for (const bool tls : {false, true}) {
    const std::size_t steps = fail_at_each_step([&](fuse& f) {
      queue q(tls);
      for (one_exchange& one : q.all)
        one.then_ = [&] {
          if (f.burns()) throw std::runtime_error("a user's handler");
        };
      q.start();
      int thrown = 0;
      for (bool more = true; more;) {
        try {
          more = q.turn();
        } catch (const std::runtime_error&) {
          ++thrown;
        }
      }
      EXPECT_EQ(thrown, f.burnt() ? 1 : 0);
      for (const one_exchange& one : q.all) EXPECT_FALSE(one.ec_) << one.detail_;
      q.check();
    });
    EXPECT_EQ(steps, 3u);
  }
}

enum class interruption { cancel_the_first, cancel_the_second, leap, leap_out_of_the_queue };

// One is cancelled, in its turn or before; or every limit passes before what is on its way arrives.
TEST(replay_of_a_queue, is_interrupted_before_each_step) {
  for (const bool tls : {false, true})
    for (const interruption by : {interruption::cancel_the_first, interruption::cancel_the_second,
                                  interruption::leap, interruption::leap_out_of_the_queue}) {
      SCOPED_TRACE(static_cast<int>(by));
      const bool leaps = by >= interruption::leap;
      const std::size_t steps = fail_at_each_step([&](fuse& f) {
        const bool wait_is_short = by == interruption::leap_out_of_the_queue;
        queue q(tls, nullptr, fault::reset, wait_is_short ? duration(10ms) : duration(1h));
        q.start();
        do {
          if (!f.burns()) continue;
          if (leaps)
            q.env.leap(2h);
          else
            q.transport->cancel(q.all[by == interruption::cancel_the_first ? 0 : 1]);
        } while (q.turn());
        int failed = 0;
        for (const one_exchange& one : q.all) {
          if (!one.ec_) continue;
          ++failed;
          if (wait_is_short && one.ec_ == errc::pool_full) continue;
          EXPECT_EQ(one.ec_, leaps ? condition::timeout : condition::canceled)
              << one.ec_.message() << ": " << one.detail_;
        }
        EXPECT_LE(failed, !f.burnt() ? 0 : leaps ? 3 : 1);
        q.check();
      });
      EXPECT_GE(steps, 7u);
    }
}

}  // namespace
}  // namespace hawser::test::transport_test
