// What must not compile. Each line with a mark gives an error that holds the text behind it.
#include "hawser/run/coroutine.hpp"
#include "hawser/run/execute.hpp"

#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <future>
#include <optional>
#include <system_error>
#include <thread>
#include <tuple>
#include <variant>

namespace asio = boost::asio;

/// As a coroutine library of somebody else's has it.
struct task {
  struct promise_type {};
};
struct generator {
  [[nodiscard]] bool await_ready() const { return false; }
};

void all(const hawser::pipeline& p, asio::steady_timer& timer) {
  (void)p.execute([] { return std::future<int>(); });           // refused: wait for it inside
  (void)p.execute([] { return std::shared_future<int>(); });    // refused: wait for it inside
  (void)p.execute([] { return std::promise<int>(); });          // refused: wait for it inside
  (void)p.execute([] { return std::packaged_task<int()>(); });  // refused: wait for it inside
  (void)p.execute([] { return std::thread(); });                // refused: wait for it inside
  (void)p.execute([]() -> hawser::result<std::future<long>> {   // refused: wait for it inside
    return std::future<long>();
  });
  (void)p.execute([]() -> asio::awaitable<int> { co_return 1; });     // refused: co_await that
  (void)p.execute([] { return task(); });                             // refused: co_await that
  (void)p.execute([] { return generator(); });                        // refused: co_await that
  (void)p.execute([&] { return timer.async_wait(asio::deferred); });  // refused: deferred Asio
  (void)p.execute([] { return [] { return 1; }; });                   // refused: call it inside
  (void)p.execute([] { return std::function<int()>(); });             // refused: call it inside
  (void)p.execute_or_throw([] { return std::future<char>(); });       // refused: wait for it inside
  (void)p.execute([] { return std::pair<int, std::error_code>(); });  // refused: holds an error
  (void)p.execute([] { return std::tuple<hawser::error, int>(); });   // refused: holds an error
  (void)p.execute([] { return std::variant<int, std::error_code>(); });  // refused: holds an error
  (void)p.execute([] { return std::optional<std::error_code>(); });      // refused: holds an error
  (void)p.wrap([]() -> asio::awaitable<std::future<short>> {             // refused: wait for it
    co_return std::future<short>();
  });
  (void)p.wrap([] { return std::future<int>(); });  // refused: must take a completion token
  (void)p.wrap([] { return 1; });                   // refused: must take a completion token
}
