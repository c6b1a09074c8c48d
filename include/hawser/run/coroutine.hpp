// Lets pipelines wrap coroutines: anything callable that returns an awaitable.
//
//   auto fetch = billing.wrap([&]() -> asio::awaitable<quote> { return fetch_quote(id); });
//   quote q = co_await fetch();           // throws when the call fails
//
// It may take a `hawser::attempt&`, and return what carries failure, such as `result<quote>`: then
// a policy's refusal comes in that form, too, and is not thrown.
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

/// The same of one that takes a `hawser::attempt&`.
template <class Make>
class spawned_attempt {
 public:
  using default_token = boost::asio::use_awaitable_t<>;

  explicit spawned_attempt(Make make) : make_(std::move(make)) {}
  /// The next one. Outlives the coroutine that is made for it.
  void next(attempt& a) noexcept { attempt_ = &a; }

  template <class CompletionToken>
  auto operator()(CompletionToken&& token) {
    auto executor = boost::asio::get_associated_executor(token);
    return boost::asio::co_spawn(executor, make_(*attempt_), std::forward<CompletionToken>(token));
  }

 private:
  Make make_;
  attempt* attempt_ = nullptr;
};

template <class Make, class Argument, class = void>
struct makes_awaitable : std::false_type {};
template <class Make, class Argument>
struct makes_awaitable<Make, Argument, std::void_t<std::invoke_result_t<Make&, Argument>>>
    : std::bool_constant<is_awaitable<std::invoke_result_t<Make&, Argument>>> {};

template <class Awaitable>
struct awaited;
template <class T, class Executor>
struct awaited<boost::asio::awaitable<T, Executor>> {
  using type = T;
};
/// Whether what a coroutine gives is an outcome; does not compile otherwise.
template <class Awaitable>
constexpr bool gives_outcome() {
  require_outcome<typename awaited<Awaitable>::type, false>();
  return true;
}

template <class Make>
struct initiation_of<Make, std::enable_if_t<is_awaitable<std::invoke_result_t<Make&>>>> {
  static_assert(gives_outcome<std::invoke_result_t<Make&>>());
  using type = spawned_coroutine<Make>;
};
template <class Make>
struct initiation_of<
    Make,
    std::enable_if_t<std::conjunction_v<takes_no_token<Make>, makes_awaitable<Make, attempt&>>>> {
  static_assert(gives_outcome<std::invoke_result_t<Make&, attempt&>>());
  using type = spawned_attempt<Make>;
};

}  // namespace hawser::inline v0::detail
