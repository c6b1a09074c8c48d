#include "hawser/hawser.hpp"
#include "hawser/http/client.hpp"
#include "hawser/run/async.hpp"
#include "hawser/testing/fault_server.hpp"

#include "support/sanitizers.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <gtest/gtest.h>

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <fstream>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace {

std::mutex mutex;
std::condition_variable changed;
bool name_server_speaks = true;
int lookups_begun = 0;

void let_name_server_speak(bool whether) {
  const std::lock_guard lock(mutex);
  name_server_speaks = whether;
  if (!whether) lookups_begun = 0;
  changed.notify_all();
}

int begun_lookups() {
  const std::lock_guard lock(mutex);
  return lookups_begun;
}

}  // namespace

// In place of the system's, for names that no name server answers for.
extern "C" int getaddrinfo(const char* host, const char* service, const addrinfo* hints,
                           addrinfo** found) {
  using function = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
  static const auto systems = reinterpret_cast<function>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  if (host != nullptr && std::strcmp(host, "silent.test") == 0) {
    std::unique_lock lock(mutex);
    ++lookups_begun;
    changed.wait_for(lock, std::chrono::seconds(10), [] { return name_server_speaks; });
    return EAI_AGAIN;
  }
  return systems(host, service, hints, found);
}

namespace hawser::test::threads_test {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// The threads of this process, by name: their masks of blocked signals.
std::multimap<std::string, std::uint64_t> threads() {
  std::multimap<std::string, std::uint64_t> all;
  DIR* const tasks = ::opendir("/proc/self/task");
  while (const dirent* const one = ::readdir(tasks)) {
    std::ifstream status("/proc/self/task/" + std::string(one->d_name) + "/status");
    std::string name, line;
    while (std::getline(status, line)) {
      if (line.starts_with("Name:")) name = line.substr(6);
      if (line.starts_with("SigBlk:")) all.emplace(name, std::stoull(line.substr(8), nullptr, 16));
    }
  }
  ::closedir(tasks);
  return all;
}

bool blocks(std::uint64_t mask, int signal) { return ((mask >> (signal - 1)) & 1U) != 0; }

TEST(own_thread, leaves_the_processes_signals_to_the_program) {
  sigset_t before;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
  const environment env;
  std::promise<void> runs;  // until then the system's start of the thread has all blocked
  asio::post(env.executor(), [&] { runs.set_value(); });
  runs.get_future().wait();
  const auto all = threads();
  const auto own = all.find("hawser");
  ASSERT_NE(own, all.end());
  for (const int each : {SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGUSR1, SIGALRM, SIGPIPE, SIGPROF})
    EXPECT_TRUE(blocks(own->second, each)) << ::strsignal(each);
  for (const int each : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT})
    EXPECT_FALSE(blocks(own->second, each)) << ::strsignal(each);
  sigset_t after;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (int each = 1; each < 32; ++each)
    EXPECT_EQ(::sigismember(&before, each), ::sigismember(&after, each)) << ::strsignal(each);
}

TEST(name_lookup, does_not_hold_up_the_end_of_an_environment) {
  let_name_server_speak(false);
  const auto begun = std::chrono::steady_clock::now();
  error why;
  {
    http::client_options o;
    o.times.resolve = 50ms;
    const environment env;
    const http::client api(env, "http://silent.test", pipeline_builder("p"), o);
    const auto sent = api.get("/").send();
    ASSERT_FALSE(sent.has_value());
    why = sent.error();
    const auto all = threads();
    const auto beside = all.find("hawser-names");
    EXPECT_TRUE(beside != all.end() && blocks(beside->second, SIGTERM));
  }
  EXPECT_LE(std::chrono::steady_clock::now() - begun, slow_build ? 4s : 2s);
  EXPECT_EQ(why, errc::resolve_timeout);
  EXPECT_EQ(begun_lookups(), 1);
  let_name_server_speak(true);
}

TEST(name_lookup, a_silent_name_does_not_hold_up_others) {
  let_name_server_speak(false);
  testing::fault_server server;
  http::client_options o;
  o.times.resolve = 5s;
  const environment env;
  const http::client silent(env, "http://silent.test", pipeline_builder("p"), o);
  const http::client other(env, server.url("localhost"), pipeline_builder("p"), o);
  std::promise<error> ended;
  silent.async_send(http::request::get("/"), [&](auto got) { ended.set_value(got.error()); });
  EXPECT_TRUE(other.get("/").send().has_value());
  let_name_server_speak(true);
  EXPECT_EQ(ended.get_future().get().code(), asio::error::host_not_found_try_again);
}

TEST(name_lookup, ends_with_its_context) {
  let_name_server_speak(false);
  {
    asio::io_context io;
    const environment env(io.get_executor());
    const http::client api(env, "http://silent.test", pipeline_builder("p"));
    bool called = false;
    api.async_send(http::request::get("/"), [&](auto) { called = true; });
    io.run_for(20ms);
    EXPECT_FALSE(called);
  }
  let_name_server_speak(true);
}

/// Nothing of the client's is left to a program that this one starts.
TEST(descriptors, are_not_inherited_by_other_programs) {
  testing::fault_server server;
  testing::fault_server_options tls;
  tls.tls.emplace();
  testing::fault_server over_tls(std::move(tls));
  const environment env;
  http::client_options o;
  o.tls.ca_pem = over_tls.authority()->certificate();
  std::set<std::string> before;
  const http::client plain(env, server.url("localhost"), pipeline_builder("p"));
  const http::client secure(env, over_tls.url(), pipeline_builder("p"), o);
  ASSERT_TRUE(plain.get("/").send().has_value());
  ASSERT_TRUE(secure.get("/").send().has_value());
  DIR* const open = ::opendir("/proc/self/fd");
  while (const dirent* const one = ::readdir(open)) {
    if (one->d_name[0] == '.') continue;
    const int fd = std::atoi(one->d_name);
    if (fd <= STDERR_FILENO || fd == ::dirfd(open)) continue;
    char path[256] = {};
    const std::string link = "/proc/self/fd/" + std::string(one->d_name);
    const ssize_t n = ::readlink(link.c_str(), path, sizeof path - 1);
    if (n <= 0) continue;
    const std::string_view kind(path, static_cast<std::size_t>(n));
    if (!kind.starts_with("socket:") && !kind.starts_with("anon_inode:")) continue;
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0) << kind;
  }
  ::closedir(open);
}

// --- threads that end inside a call ------------------------------------------------------------

struct left {
  std::atomic<int>& count;
  ~left() { ++count; }
};

TEST(forced_unwinding, passes_through_a_call_and_permits_come_back) {
  const environment env;
  const auto permits = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1});
  const pipeline p = pipeline_builder("p").add(retry{}).add(permits).build(env);
  std::atomic<int> unwound{0};
  std::atomic<bool> came_back{false};
  std::thread ends([&] {
    const left outside{unwound};
    (void)p.execute([&] {
      const left inside{unwound};
      ::pthread_exit(nullptr);
    });
    came_back = true;
  });
  ends.join();
  EXPECT_EQ(unwound, 2);
  EXPECT_FALSE(came_back);
  EXPECT_TRUE(p.execute([] {}).has_value());
}

TEST(forced_unwinding, of_a_cancelled_thread_passes_through_a_call) {
  const environment env;
  const auto permits = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1});
  const pipeline p = pipeline_builder("p").add(permits).build(env);
  std::atomic<int> unwound{0};
  std::atomic<bool> inside{false};
  std::thread ends([&] {
    const left outside{unwound};
    (void)p.execute_or_throw([&](attempt&) -> int {
      inside = true;
      for (;;) ::pause();
    });
  });
  while (!inside) std::this_thread::yield();
  ::pthread_cancel(ends.native_handle());
  ends.join();
  EXPECT_EQ(unwound, 1);
  EXPECT_TRUE(p.execute([] {}).has_value());
}

TEST(forced_unwinding, of_a_cancelled_thread_that_waits_for_an_answer) {
  if (under_asan) GTEST_SKIP() << "the sanitizer loses the stack of a thread cancelled in a wait";
  testing::fault_server server;
  server.handle([](const auto&) { return testing::plan::answer(200).delay(200ms); });
  const environment env;
  const http::client api(env, server.url(), pipeline_builder("p"));
  for (const bool lent : {false, true}) {
    std::atomic<int> unwound{0};
    std::thread ends([&] {
      const left outside{unwound};
      http::response answer;
      if (lent)
        (void)api.send(http::request::get("/"), answer);
      else
        (void)api.get("/").send();
    });
    ASSERT_TRUE(
        server.wait_for([&](const auto& c) { return c.requests == (lent ? 2U : 1U); }, 10s));
    ::pthread_cancel(ends.native_handle());
    ends.join();
    EXPECT_EQ(unwound, 1);
  }
  EXPECT_TRUE(api.get("/").send().has_value());
}

TEST(forced_unwinding, passes_through_observers_and_classifiers) {
  struct ends_thread final : observer {
    void on_event(const event&) override { ::pthread_exit(nullptr); }
  };
  const environment env;
  const auto permits = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1});
  const pipeline observed =
      pipeline_builder("p").add(permits).observe(std::make_shared<ends_thread>()).build(env);
  const pipeline classified =
      pipeline_builder("p")
          .add(permits)
          .classify<std::runtime_error>(
              [](const std::runtime_error&, outcome&) { ::pthread_exit(nullptr); })
          .build(env);
  const pipeline plain = pipeline_builder("p").add(permits).build(env);
  std::atomic<int> came_back{0};
  std::thread([&] {
    (void)observed.execute([] {});
    ++came_back;
  }).join();
  std::thread([&] {
    (void)classified.execute([] { throw std::runtime_error("x"); });
    ++came_back;
  }).join();
  std::thread([&] {
    (void)plain.execute([]() -> int { return 1; }, {},
                        [](int) -> verdict {
                          ::pthread_exit(nullptr);
                          return verdict::ok;
                        });
    ++came_back;
  }).join();
  EXPECT_EQ(came_back, 0);
  EXPECT_TRUE(plain.execute([] {}).has_value());
}

TEST(own_thread_death_test, what_a_handler_throws_ends_the_process) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const environment env;
        asio::post(env.executor(), [] { throw std::runtime_error("nobody catches this"); });
        for (;;) ::pause();
      },
      ::testing::KilledBySignal(SIGABRT), "nobody catches this");
}

}  // namespace
}  // namespace hawser::test::threads_test
