// Lets pipelines wrap coroutines: anything callable with no argument that returns an awaitable.
//
//   auto fetch = billing.wrap([&]() -> asio::awaitable<quote> { return fetch_quote(id); });
//   quote q = co_await fetch();           // throws when the call fails
#pragma once

#include "hawser/run/async.hpp"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <type_traits>
#include <utility>

namespace hawser::inline v0::detail {

template <class T>
inline constexpr bool is_awaitable = false;
template <class T, class Executor>
inline constexpr bool is_awaitable<boost::asio::awaitable<T, Executor>> = true;

/// Spawns the coroutine on the attempt's strand. Cancelling the attempt cancels what it awaits.
template <class Make>
class spawned_coroutine {
 public:
  // Not `deferred`: Asio 1.26 cannot await a deferred void(exception_ptr, T).
  using default_token = boost::asio::use_awaitable_t<>;

  explicit spawned_coroutine(Make make) : make_(std::move(make)) {}

  template <class CompletionToken>
  auto operator()(CompletionToken&& token) {
    auto executor = boost::asio::get_associated_executor(token);
    return boost::asio::co_spawn(executor, make_(), std::forward<CompletionToken>(token));
  }

 private:
  Make make_;
};

template <class Make>
struct initiation_of<Make, std::enable_if_t<is_awaitable<std::invoke_result_t<Make&>>>> {
  using type = spawned_coroutine<Make>;
};

}  // namespace hawser::inline v0::detail
