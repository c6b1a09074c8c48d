// A program that ends in one of many ways while its client has calls in flight. The suite beside it
// starts it, and looks how and when it ended.
//
//   hawser-stopping <way> <url> <callers>       CA in HAWSER_TEST_CA, if the url is https
//
// It prints the moment of its last line, in nanoseconds of the steady clock, before it ends.
#include <hawser/hawser.hpp>
#include <hawser/http/client.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace http = hawser::http;
namespace asio = boost::asio;

std::string url;
int callers = 0;
std::atomic<int> begun{0};
std::atomic<bool> again_and_again{true};

http::client make_client(const hawser::environment& env) {
  http::client_options options;
  options.times.first_byte = std::chrono::seconds(30);
  if (const char* ca = std::getenv("HAWSER_TEST_CA")) options.tls.ca_pem = ca;
  return {env, url, hawser::pipeline_builder("stopping"), options};
}

void last_line() {
  char text[32];
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  const int n = std::snprintf(
      text, sizeof text, "%lld\n",
      static_cast<long long>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count()));
  if (::write(STDOUT_FILENO, text, static_cast<std::size_t>(n)) != n) std::abort();
}

/// One waits for an answer that does not come; the others send one call after another.
void call_from_threads(const http::client& api) {
  for (int i = 0; i < callers; ++i)
    std::thread([&api, i] {
      for (int n = 0;; ++n) {
        if (n == 3) ++begun;
        (void)api.get(i == 0 && n >= 3 ? "/slow" : "/fast").send();
      }
    }).detach();
}

void call_from_handlers(const http::client& api) {
  const int before = again_and_again ? 3 : 0;
  for (int i = 0; i < callers; ++i) {
    const auto again = std::make_shared<std::function<void()>>();
    *again = [&api, again, before, i, n = 0]() mutable {
      if (n++ == before) ++begun;
      api.async_send(http::request::get(i == 0 && n > before ? "/slow" : "/fast"),
                     [again](hawser::result<http::response> r) {
                       if (r && again_and_again) (*again)();
                     });
    };
    (*again)();
  }
}

/// Until each caller is in the midst of its calls.
void get_going() {
  while (begun < callers) std::this_thread::yield();
}

struct rig {
  hawser::environment env;
  http::client api = make_client(env);
};

/// Ends its threads as it goes, as services do.
struct joined_late {
  std::vector<std::thread> threads;
  ~joined_late() {
    for (std::thread& t : threads) t.join();
  }
};
joined_late late;             // older than any environment
std::unique_ptr<rig> global;  // destroyed after what was made later
struct calls_late {
  const http::client* api = nullptr;
  ~calls_late() {
    if (api != nullptr) (void)api->get("/fast").send();
  }
};

int on_leaked(const std::function<void(const http::client&)>& end) {
  auto* const r = new rig;
  call_from_threads(r->api);
  call_from_handlers(r->api);
  callers *= 2;
  get_going();
  end(r->api);
  return 0;
}

using way = int (*)();

const std::map<std::string, way>& ways() {
  static const std::map<std::string, way> all{
      {"one_call",
       [] {
         const rig r;
         (void)r.api.get("/fast").send();
         last_line();
         return 0;
       }},
      {"return_locals",
       [] {
         again_and_again = false;  // no handler may use what goes
         rig r;
         call_from_handlers(r.api);
         get_going();
         last_line();
         return 0;
       }},
      {"return_statics",
       [] {
         again_and_again = false;
         static rig r;
         call_from_handlers(r.api);
         get_going();
         last_line();
         return 0;
       }},
      {"return_statics_threads", [] { return on_leaked([](const auto&) { last_line(); }); }},
      {"return_global",
       [] {
         again_and_again = false;
         global = std::make_unique<rig>();
         call_from_handlers(global->api);
         get_going();
         last_line();
         return 0;
       }},
      {"return_joined_late",
       [] {
         auto* const r = new rig;
         for (int i = 0; i < callers; ++i) {
           ++begun;
           late.threads.emplace_back([r] { (void)r->api.get("/slow").send(); });
         }
         get_going();
         last_line();
         return 0;
       }},
      {"return_calls_late",
       [] {
         static calls_late last;
         auto* const r = new rig;
         call_from_handlers(r->api);
         get_going();
         last.api = &r->api;
         last_line();
         return 0;
       }},
      {"exit_main",
       [] {
         return on_leaked([](const auto&) {
           last_line();
           std::exit(0);
         });
       }},
      {"exit_other_thread",
       [] {
         return on_leaked([](const auto&) {
           last_line();
           std::thread([] { std::exit(0); }).join();
         });
       }},
      {"exit_while_main_calls",
       [] {
         return on_leaked([](const auto& api) {
           static std::atomic<bool> calls{false};
           std::thread([] {
             while (!calls) std::this_thread::yield();
             last_line();
             std::exit(0);
           }).detach();
           calls = true;
           (void)api.get("/slow").send();
           for (;;) ::pause();  // returning would be a second exit()
         });
       }},
      {"exit_in_handler",
       [] {
         return on_leaked([](const auto& api) {
           asio::post(api.env().executor(), [] {
             last_line();
             std::exit(0);
           });
           ::pause();
         });
       }},
      {"exit_in_callable",
       [] {
         return on_leaked([](const auto& api) {
           const auto p = hawser::pipeline_builder("p").build(api.env());
           (void)p.execute([] {
             last_line();
             std::exit(0);
           });
         });
       }},
      {"exit_in_completion",
       [] {
         return on_leaked([](const auto& api) {
           api.async_send(http::request::get("/fast"), [](auto) {
             last_line();
             std::exit(0);
           });
           ::pause();
         });
       }},
      {"exit_in_signal",
       [] {
         return on_leaked([](const auto&) {
           ::signal(SIGUSR1, [](int) { std::exit(0); });
           last_line();
           ::raise(SIGUSR1);
         });
       }},
      {"at_exit_calls",
       [] {
         static const http::client* used = nullptr;
         return on_leaked([](const auto& api) {
           used = &api;
           std::atexit([] { (void)used->get("/fast").send(); });
           last_line();
           std::exit(0);
         });
       }},
      {"quick_exit",
       [] {
         return on_leaked([](const auto&) {
           last_line();
           std::quick_exit(0);
         });
       }},
      {"underscore_exit",
       [] {
         return on_leaked([](const auto&) {
           last_line();
           ::_exit(0);
         });
       }},
      {"terminate",
       [] {
         return on_leaked([](const auto&) {
           last_line();
           std::terminate();
         });
       }},
      {"sigterm",
       [] {
         return on_leaked([](const auto&) {
           last_line();
           ::kill(::getpid(), SIGTERM);
           ::pause();
         });
       }},
      {"pthread_exit_of_main",
       [] {
         rig r;
         (void)r.api.get("/fast").send();
         last_line();
         ::pthread_exit(nullptr);
         return 0;
       }},
      {"exec",
       [] {
         return on_leaked([](const auto&) {
           last_line();
           ::execl("/bin/true", "true", nullptr);
         });
       }},
      {"own_context_thread",
       [] {
         auto* const io = new asio::io_context;
         auto* const work =
             new asio::executor_work_guard<asio::io_context::executor_type>(io->get_executor());
         auto* const api = new http::client(make_client(hawser::environment(io->get_executor())));
         static_cast<void>(work);
         std::thread([io] { io->run(); }).detach();
         call_from_threads(*api);
         call_from_handlers(*api);
         callers *= 2;
         get_going();
         last_line();
         return 0;
       }},
      {"static_thread_pool",
       [] {
         again_and_again = false;
         static asio::thread_pool pool(2);
         static http::client api = make_client(hawser::environment(pool.get_executor()));
         call_from_handlers(api);
         get_going();
         last_line();
         pool.stop();
         pool.join();
         return 0;
       }},
      {"last_handle_in_handler",
       [] {
         auto r = std::make_shared<rig>();
         const asio::any_io_executor on = r->env.executor();
         asio::post(on, [r = std::move(r)]() mutable { r.reset(); });
         last_line();
         return 0;
       }},
      {"environment_dropped_while_calling",
       [] {
         again_and_again = false;
         std::optional<rig> r(std::in_place);
         call_from_handlers(r->api);
         get_going();
         last_line();
         r.reset();
         return 0;
       }},
      {"many_environments",
       [] {
         for (int i = 0; i < 8; ++i) call_from_handlers((new rig)->api);
         last_line();
         return 0;
       }},
      {"handler_hangs",
       [] {
         auto* const r = new rig;
         std::atomic<bool> there{false};
         asio::post(r->env.executor(), [&there] {
           there = true;
           ::pause();
         });
         while (!there) std::this_thread::yield();
         last_line();
         return 0;
       }},
      {"child_exits",
       [] {
         return on_leaked([](const auto&) {
           last_line();
           const pid_t child = ::fork();
           if (child == 0) std::exit(0);
           int status = 1;
           ::waitpid(child, &status, 0);
           ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
         });
       }},
      {"two_exits",
       [] {
         return on_leaked([](const auto& api) {
           last_line();
           asio::post(api.env().executor(), [] { std::quick_exit(0); });
           std::exit(0);
         });
       }},
  };
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--list") == 0) {
    for (const auto& [name, run] : ways()) std::puts(name.c_str());
    return 0;
  }
  if (argc != 4) return 2;
  const auto found = ways().find(argv[1]);
  if (found == ways().end()) return 2;
  url = argv[2];
  callers = std::atoi(argv[3]);
  return found->second();
}
