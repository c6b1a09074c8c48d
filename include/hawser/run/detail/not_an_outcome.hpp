// What a callable may return that is no outcome yet, or none that can be judged. Not for users.
#pragma once

#include "hawser/core/error.hpp"

#include <boost/asio/version.hpp>
#if BOOST_ASIO_VERSION != 102600
#include <boost/asio/deferred.hpp>
#endif

#include <concepts>
#include <coroutine>
#include <exception>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

// Whoever makes deferred operations has included Asio's own. As in executor_fwd.hpp we do not guess
// where other versions have it.
#if BOOST_ASIO_VERSION == 102600
namespace boost::asio {
template <typename T>
struct is_deferred;
}
#endif

namespace hawser::inline v0 {
class attempt;
}

namespace hawser::inline v0::detail {

/// Work that is under way elsewhere: futures of any library, promises, tasks, threads.
template <class R>
concept future_like = requires(R& r) {
  r.wait(), r.get();
}
|| requires(R& r) { r.get_future(); }
|| requires(R& r) { r.joinable(), r.join(); };

/// Work that begins when somebody awaits or resumes it.
template <class R>
concept coroutine_like = requires {
  typename R::promise_type;
}
|| requires(R& r) { r.await_ready(); }
|| requires(R& r) { r.operator co_await(); }
|| requires(R& r) { operator co_await(r); }
|| requires { typename std::coroutine_traits<R>::promise_type; };

/// Something that `execute` would call.
template <class R>
concept callable_like = std::is_invocable_v<R&> || std::is_invocable_v<R&, attempt&>;

template <class R>
concept deferred_operation = requires {
  requires boost::asio::is_deferred<R>::value;
};

/// What says by itself whether something failed.
template <class E>
inline constexpr bool is_code =
    std::is_same_v<E, error> || std::is_same_v<E, error_code> ||
    std::is_same_v<E, error_condition> || std::is_same_v<E, std::error_code> ||
    std::is_same_v<E, std::error_condition> || boost::system::is_error_code_enum<E>::value ||
    boost::system::is_error_condition_enum<E>::value || std::is_error_code_enum<E>::value ||
    std::is_error_condition_enum<E>::value;
template <class E>
inline constexpr bool is_failure = is_code<E> || std::is_same_v<E, std::exception_ptr>;

/// Values beside or in place of an error, of which nobody can tell whether it is one.
template <class R>
concept one_of_or_all_of = requires {
  std::tuple_size<R>::value;
}
|| requires(const R& r) { r.valueless_by_exception(); };
template <class R>
inline constexpr bool hides_failure = false;
template <class E>
inline constexpr bool hides_failure<std::optional<E>> = is_failure<E>;
template <template <class...> class R, class... E>
requires one_of_or_all_of<R<E...>>
inline constexpr bool hides_failure<R<E...>> = (is_failure<E> || ...);

/// Refuses such types with what to do instead. `judged`: the caller gave a function that says what
/// a value means.
template <class R, bool judged>
constexpr void require_outcome() {
  static_assert(!future_like<R>,
                "what is returned is no outcome yet but a future, a promise or a thread: wait for "
                "it inside the callable and return what it gives (`return f.get();`), or put the "
                "asynchronous operation under the pipeline with wrap()");
  static_assert(
      !coroutine_like<R>,
      "what is returned is no outcome yet but a coroutine, which runs later: put it under "
      "the pipeline with wrap() (hawser/run/coroutine.hpp) and co_await that");
  static_assert(!deferred_operation<R>,
                "what is returned is no outcome yet but a deferred Asio operation, which begins "
                "later: put it under the pipeline with wrap() (hawser/run/async.hpp)");
  static_assert(judged || future_like<R> || !callable_like<R>,
                "what is returned is no outcome yet but another callable: call it inside the "
                "callable and return what it gives; if it is the value, say so with a classifier, "
                "execute's third argument");
  static_assert(judged || !hides_failure<R>,
                "what is returned holds an error somewhere, and nobody can tell whether it is one: "
                "return hawser::result<T>, or say what it means with a classifier, execute's third "
                "argument");
}

}  // namespace hawser::inline v0::detail
