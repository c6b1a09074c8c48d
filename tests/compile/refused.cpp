// What must not compile. Each line with a mark gives an error that holds the text behind it.
#include "hawser/http/client.hpp"
#include "hawser/run/coroutine.hpp"
#include "hawser/run/execute.hpp"

#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <tuple>
#include <variant>
#include <vector>

namespace asio = boost::asio;
namespace http = hawser::http;
template <class T>
using twice = hawser::result<hawser::result<T>>;

/// As a coroutine library of somebody else's has it.
struct task {
  struct promise_type {};
};
struct generator {
  [[nodiscard]] bool await_ready() const { return false; }
};

/// As std::execution has them.
struct sender {
  using sender_concept = void;
};
struct older_sender {
  struct operation {
    void start() {}
  };
  template <class Receiver>
  operation connect(Receiver&& /*to*/) && {
    return {};
  }
};
/// Begins with a completion token.
struct token_taker {
  template <class Token>
  auto operator()(Token&& token) {
    return asio::async_initiate<Token, void(hawser::error_code)>([](auto) {}, token);
  }
};

template <class T>
T make();

template <class... Args>
auto completes() {
  return [](auto token) {
    return asio::async_initiate<decltype(token), void(Args...)>([](auto) {}, token);
  };
}

void all(const hawser::pipeline& p, asio::steady_timer& timer) {
  (void)p.execute([] { return std::future<int>(); });           // refused: wait for it inside
  (void)p.execute([] { return std::shared_future<int>(); });    // refused: wait for it inside
  (void)p.execute([] { return std::promise<int>(); });          // refused: wait for it inside
  (void)p.execute([] { return std::packaged_task<int()>(); });  // refused: wait for it inside
  (void)p.execute([] { return std::thread(); });                // refused: wait for it inside
  (void)p.execute([]() -> hawser::result<future<long>> {        // refused: wait for it inside
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
  (void)p.wrap([]() -> asio::awaitable<future<short>> {                  // refused: wait for it
    co_return std::future<short>();
  });
  (void)p.wrap([] { return std::future<int>(); });  // refused: must take a completion token
  (void)p.wrap([] { return 1; });                   // refused: must take a completion token

  // Failure held by whatever.
  using namespace std;
  using hawser::result;
  using code = error_code;
  (void)p.execute([] { return make<vector<code>>(); });                // refused: holds an error
  (void)p.execute([] { return make<array<code, 2>>(); });              // refused: holds an error
  (void)p.execute([] { return make<map<int, code>>(); });              // refused: holds an error
  (void)p.execute([] { return make<unique_ptr<code>>(); });            // refused: holds an error
  (void)p.execute([] { return make<unique_ptr<code[]>>(); });          // refused: holds an error
  (void)p.execute([] { return make<shared_ptr<result<int>>>(); });     // refused: holds an error
  (void)p.execute([] { return make<optional<result<long>>>(); });      // refused: holds an error
  (void)p.execute([] { return make<pair<const code, int>>(); });       // refused: holds an error
  (void)p.execute([] { return make<vector<optional<errc>>>(); });      // refused: holds an error
  (void)p.execute([] { return make<optional<runtime_error>>(); });     // refused: holds an error
  (void)p.execute([] { return make<vector<hawser::verdict>>(); });     // refused: holds an error
  (void)p.execute([] { return make<result<vector<errc>>>(); });        // refused: holds an error
  (void)p.execute([] { return make<twice<set<code>>>(); });            // refused: holds an error
  (void)p.execute([] { return make<reference_wrapper<code>>(); });     // refused: holds an error
  (void)p.execute([] { return make<optional<http::response>>(); });    // refused: holds an error
  (void)p.execute([] { return make<pair<http::response, int>>(); });   // refused: holds an error
  (void)p.execute([] { return make<unique_ptr<http::response>>(); });  // refused: holds an error

  // What has not happened yet.
  const hawser::http::client* api = nullptr;
  (void)p.execute([api] { return api->get("/x"); });                  // refused: send it inside
  (void)p.execute([] { return make<http::request>(); });              // refused: send it inside
  (void)p.execute([] { return make<vector<http::request>>(); });      // refused: send it inside
  (void)p.execute([] { return make<sender>(); });                     // refused: a sender
  (void)p.execute([] { return make<older_sender>(); });               // refused: a sender
  (void)p.execute([] { return make<vector<future<int>>>(); });        // refused: wait for it
  (void)p.execute([] { return make<array<future<char>, 2>>(); });     // refused: wait for it
  (void)p.execute([] { return make<pair<int, future<int>>>(); });     // refused: wait for it
  (void)p.execute([] { return make<optional<future<int>>>(); });      // refused: wait for it
  (void)p.execute([] { return make<variant<int, future<int>>>(); });  // refused: wait for it
  (void)p.execute([] { return make<unique_ptr<future<int>>>(); });    // refused: wait for it
  (void)p.execute([] { return make<optional<asio::awaitable<int>>>(); });  // refused: co_await that
  (void)p.execute([] { return make<token_taker>(); });  // refused: completion token
  (void)p.execute([&] {                                 // refused: deferred Asio
    return asio::experimental::make_parallel_group(
        [&](auto token) { return timer.async_wait(move(token)); });
  });

  // What an asynchronous operation completes with.
  using hawser::error_code;
  (void)p.wrap(completes<error_code, future<int>>());            // refused: wait for it
  (void)p.wrap(completes<error_code, optional<code>>());         // refused: holds an error
  (void)p.wrap(completes<error_code, int, code>());              // refused: besides its first
  (void)p.wrap(completes<error_code, vector<code>>());           // refused: holds an error
  (void)p.wrap(completes<result<map<int, code>>>());             // refused: holds an error
  (void)p.wrap([]() -> asio::awaitable<result<future<float>>> {  // refused: wait for
    co_return future<float>();
  });
}
