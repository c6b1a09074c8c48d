#include "hawser/hawser.hpp"
#include "hawser/http/client.hpp"
#include "hawser/run/async.hpp"
#include "hawser/testing/fault_server.hpp"

#include "core/process.hpp"
#include "support/sanitizers.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <functional>
#include <future>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace hawser::test::fork_test {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using testing::fault_server;
using testing::plan;

/// Runs `in_child` in a child. What it returns, or -1 if it does not end in time.
int forked(const std::function<int()>& in_child, const std::function<int()>& make = ::fork) {
  const pid_t pid = make();
  if (pid == 0) {
    ::alarm(20);
    ::_exit(in_child());
  }
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid) return -2;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// A system call that fork()'s handlers hear nothing of.
int raw_fork() {
  return static_cast<int>(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
}

struct rig {
  explicit rig(bool tls) : server(options(tls)) {}
  static testing::fault_server_options options(bool tls) {
    testing::fault_server_options o;
    if (tls) o.tls.emplace();
    o.handler = [](const testing::received_request& r) {
      return r.target == "/slow" ? plan::stall() : plan::answer(200, "\"" + r.target + "\"");
    };
    return o;
  }
  [[nodiscard]] http::client client(const environment& on) const {
    http::client_options c;
    if (server.authority() != nullptr) c.tls.ca_pem = server.authority()->certificate();
    return {on, server.url(), pipeline_builder("p"), c};
  }
  fault_server server;
};

class fork_of : public ::testing::TestWithParam<bool> {};

TEST(process_generation, changes_in_each_child_and_stays_in_the_parent) {
  const std::uint32_t mine = detail::process_generation();
  EXPECT_EQ(forked([&] {
              const std::uint32_t childs = detail::process_generation();
              if (childs == mine || childs != detail::process_generation()) return 1;
              return forked([&] {
                const std::uint32_t grandchilds = detail::process_generation();
                return grandchilds == mine || grandchilds == childs ? 1 : 0;
              });
            }),
            0);
  EXPECT_EQ(mine, detail::process_generation());
}

TEST(process_generation, changes_where_no_handler_of_fork_runs) {
  const std::uint32_t mine = detail::process_generation();
  EXPECT_EQ(forked([&] { return detail::process_generation() == mine ? 1 : 0; }, raw_fork), 0);
}

TEST_P(fork_of, a_client_is_refused_in_the_child_and_the_parents_goes_on) {
  rig r(GetParam());
  const environment env;
  const http::client api = r.client(env);
  ASSERT_TRUE(api.get("/before").send().has_value());
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::alarm(20);
    for (int i = 0; i < 200; ++i) {
      call_report report;
      const auto sent = api.get("/child").send({.report = &report});
      if (sent.has_value() || sent.error() != errc::forked || report.error != errc::forked)
        ::_exit(1);
    }
    ::_exit(0);
  }
  for (int i = 0; i < 200; ++i) {
    const std::string target = "/parent/" + std::to_string(i);
    const auto got = api.send(http::request::get(target));
    ASSERT_TRUE(got.has_value()) << got.error().message();
    ASSERT_EQ(got->body(), "\"" + target + "\"");
  }
  int status = 1;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(r.server.counters().requests, 201U);
  EXPECT_EQ(api.stats().opened, 1U);
}

TEST_P(fork_of, what_was_made_before_can_go_in_the_child) {
  rig r(GetParam());
  auto env = std::make_unique<environment>();
  auto api = std::make_unique<http::client>(r.client(*env));
  api->async_send(http::request::get("/slow"), [](auto) {});
  ASSERT_TRUE(r.server.wait_for([](const auto& c) { return c.stalls == 1; }, 10s));
  EXPECT_EQ(forked([&] {
              api.reset();
              env.reset();
              return 0;
            }),
            0);
  EXPECT_EQ(forked([&] {
              auto moved = std::move(*api);
              moved.close();
              if (moved.stats().connections != 0) return 1;
              env.reset();
              return 0;
            }),
            0);
  EXPECT_EQ(r.server.counters().open_connections, 1U);
  EXPECT_EQ(api->stats().connections, 1U);
  // Its call never ends.
  detail::keep_for_ever(std::shared_ptr<http::client>(std::move(api)));
  detail::keep_for_ever(std::shared_ptr<environment>(std::move(env)));
}

/// A child's copy of a socket would keep it open when the parent has closed its own.
TEST_P(fork_of, the_parents_connections_are_not_the_childs) {
  rig r(GetParam());
  const environment env;
  auto api = std::make_unique<http::client>(r.client(env));
  ASSERT_TRUE(api->get("/").send().has_value());
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::alarm(20);
    for (;;) ::pause();
  }
  api.reset();
  EXPECT_TRUE(r.server.wait_for([](const auto& c) { return c.open_connections == 0; }, 10s));
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

TEST_P(fork_of, calls_in_the_parent_survive_many_children) {
  rig r(GetParam());
  const environment env;
  const http::client api = r.client(env);
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t)
    callers.emplace_back([&, t] {
      for (int i = 0; !stop; ++i) {
        const std::string target = "/" + std::to_string(t) + "/" + std::to_string(i);
        const auto got = api.send(http::request::get(target));
        if (!got.has_value() || got->body() != "\"" + target + "\"") ++wrong;
      }
    });
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(forked([&] {
                const auto sent = api.get("/child").send();
                return sent.has_value() || sent.error() != errc::forked ? 1 : 0;
              }),
              0);
  }
  stop = true;
  for (std::thread& t : callers) t.join();
  EXPECT_EQ(wrong, 0);
}

INSTANTIATE_TEST_SUITE_P(plain, fork_of, ::testing::Values(false));
INSTANTIATE_TEST_SUITE_P(over_tls, fork_of, ::testing::Values(true));

TEST(fork_of_entropy, parent_and_children_draw_differently) {
  system_entropy random;
  int words[2];
  ASSERT_EQ(::pipe(words), 0);
  std::set<std::uint64_t> all;
  const auto draw = [&] { return std::array{random.next(), random.unique(), random.next()}; };
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(forked([&] {
                const auto childs = draw();
                return ::write(words[1], childs.data(), sizeof childs) == sizeof childs ? 0 : 1;
              }),
              0);
    std::array<std::uint64_t, 3> childs{};
    ASSERT_EQ(::read(words[0], childs.data(), sizeof childs), sizeof childs);
    all.insert(childs.begin(), childs.end());
  }
  const auto parents = draw();
  all.insert(parents.begin(), parents.end());
  EXPECT_EQ(all.size(), 15U);
  ::close(words[0]);
  ::close(words[1]);
}

TEST(fork_of_pipeline, is_refused_before_the_callable_is_called) {
  const environment env;
  const pipeline p = pipeline_builder("p").add(retry{}).build(env);
  EXPECT_EQ(forked([&] {
              bool called = false;
              const auto r = p.execute([&] { called = true; });
              if (called || r.has_value() || r.error() != errc::forked) return 1;
              return r.error() == condition::transient ? 2 : 0;
            }),
            0);
  EXPECT_TRUE(p.execute([] {}).has_value());
}

/// Starts threads in a child.
struct fork_of_environment : ::testing::Test {
  void SetUp() override {
    if (under_tsan) GTEST_SKIP() << "the thread sanitizer forbids that";
  }
};

TEST_F(fork_of_environment, begins_anew_in_the_child) {
  rig r(false);
  const environment env;
  const http::client before = r.client(env);
  ASSERT_TRUE(before.get("/").send().has_value());
  EXPECT_EQ(forked([&] {
              const http::client after = r.client(env);
              const auto got = after.get("/child").send();
              if (!got.has_value()) return 1;
              const environment fresh;
              if (!r.client(fresh).get("/fresh").send().has_value()) return 2;
              std::promise<void> ran;
              asio::post(env.executor(), [&] { ran.set_value(); });
              return ran.get_future().wait_for(10s) == std::future_status::ready ? 0 : 3;
            }),
            0);
  EXPECT_TRUE(before.get("/").send().has_value());
}

TEST_F(fork_of_environment, has_timers_in_the_child) {
  const environment env;
  EXPECT_EQ(forked([&] {
              const pipeline p = pipeline_builder("p").add(timeout{.after = 20ms}).build(env);
              asio::steady_timer endless(env.executor(), 1h);
              std::promise<error_code> ended;
              p.wrap([&](auto token) { return endless.async_wait(std::move(token)); })(
                  [&](error_code ec) { ended.set_value(ec); });
              auto end = ended.get_future();
              if (end.wait_for(10s) != std::future_status::ready) return 1;
              return end.get() == condition::timeout ? 0 : 2;
            }),
            0);
}

TEST_F(fork_of_environment, asynchronous_calls_hear_of_it) {
  rig r(false);
  const environment env;
  const http::client api = r.client(env);
  const pipeline p = pipeline_builder("p").add(retry{}).build(env);
  ASSERT_TRUE(api.get("/").send().has_value());
  EXPECT_EQ(forked([&] {
              std::promise<error> sent;
              api.async_send(http::request::get("/child"), [&](auto got) {
                sent.set_value(got.has_value() ? error() : got.error());
              });
              auto end = sent.get_future();
              if (end.wait_for(10s) != std::future_status::ready) return 1;
              if (end.get() != errc::forked) return 2;
              asio::steady_timer timer(env.executor(), 1ms);
              std::promise<error_code> waited;
              p.wrap([&](auto token) { return timer.async_wait(std::move(token)); })(
                  [&](error_code ec) { waited.set_value(ec); });
              auto wait = waited.get_future();
              if (wait.wait_for(10s) != std::future_status::ready) return 3;
              return wait.get() == errc::forked ? 0 : 4;
            }),
            0);
  EXPECT_EQ(r.server.counters().requests, 1U);
}

TEST_F(fork_of_environment, the_child_exits_as_any_program) {
  if (under_asan) GTEST_SKIP() << "what only the parent's threads know of counts as leaked";
  const environment env;
  rig r(true);
  const http::client api = r.client(env);
  ASSERT_TRUE(api.get("/").send().has_value());
  const auto begun = std::chrono::steady_clock::now();
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::alarm(20);
    std::exit(0);
  }
  int status = 1;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  EXPECT_LE(std::chrono::steady_clock::now() - begun, slow_build ? 5s : 1500ms);
}

/// Asio's own rule for a context that is used in both processes.
TEST(fork_of_own_context, with_notify_fork_calls_in_flight_end_and_send_nothing) {
  rig r(false);
  asio::io_context io;
  const environment env(io.get_executor());
  const http::client api = r.client(env);
  int ended = 0;
  error why;
  r.server.handle([](const auto&) { return plan::answer(200).delay(300ms); });
  api.async_send(http::request::get("/in_flight"), [&](auto got) {
    ++ended;
    why = got.has_value() ? error() : got.error();
  });
  // Backing off while the process forks.
  const pipeline backs_off = pipeline_builder("p")
                                 .add(retry{.max_attempts = 3, .delay = constant{100ms}})
                                 .calls_are(effect::idempotent)
                                 .build(env);
  int attempts = 0;
  error_code last;
  backs_off.wrap([&](auto token) {
    ++attempts;
    return asio::async_initiate<decltype(token), void(error_code)>(
        [&](auto handler) {
          asio::post(io, [h = std::move(handler)]() mutable { h(errc::connection_closed); });
        },
        token);
  })([&](error_code ec) { last = ec; });
  while (r.server.counters().requests == 0 || attempts == 0) io.run_one_for(10ms);
  io.notify_fork(asio::io_context::fork_prepare);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::alarm(20);
    io.notify_fork(asio::io_context::fork_child);
    io.run_for(5s);
    int failed = ended == 1 && why.code() ? 0 : 1;
    if (attempts != 1 || last != errc::forked) failed += 2;
    const http::client after = r.client(env);
    bool answered = false;
    after.async_send(http::request::get("/child"), [&](auto got) { answered = got.has_value(); });
    io.restart();
    io.run_for(5s);
    if (!answered) failed += 4;
    ::_exit(failed);
  }
  io.notify_fork(asio::io_context::fork_parent);
  io.run_for(5s);
  EXPECT_EQ(ended, 1);
  EXPECT_FALSE(why.code()) << why.message();
  EXPECT_EQ(attempts, 3);
  int status = 1;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(r.server.counters().requests, 2U);
}

TEST(fork_of_own_context, without_notify_fork_the_client_is_refused_and_may_go) {
  rig r(false);
  asio::io_context io;
  auto env = std::make_unique<environment>(io.get_executor());
  auto api = std::make_unique<http::client>(r.client(*env));
  auto work = asio::make_work_guard(io);
  std::thread runs([&] { io.run(); });
  ASSERT_TRUE(api->get("/").send().has_value());
  EXPECT_EQ(forked([&] {
              const auto sent = api->get("/child").send();
              if (sent.has_value() || sent.error() != errc::forked) return 1;
              api.reset();
              env.reset();
              return 0;
            }),
            0);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(api->get("/").send().has_value());
  work.reset();
  io.stop();
  runs.join();
  EXPECT_EQ(r.server.counters().connections, 1U);
}

}  // namespace
}  // namespace hawser::test::fork_test
