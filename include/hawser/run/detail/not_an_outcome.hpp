// What a callable may return that is no outcome yet, or none that can be judged. Not for users.
#pragma once

#include "hawser/core/error.hpp"

#include <boost/asio/version.hpp>
#if BOOST_ASIO_VERSION != 102600
#include <boost/asio/deferred.hpp>
#endif

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string_view>
#include <system_error>
#include <type_traits>

// Whoever makes deferred operations has included Asio's own. As in executor_fwd.hpp we do not guess
// where other versions have it.
#if BOOST_ASIO_VERSION == 102600
namespace boost::asio {
template <typename T>
struct is_deferred;
namespace experimental {
template <typename... Ops>
class parallel_group;
}
}  // namespace boost::asio
#endif

namespace hawser::inline v0 {
class attempt;
enum class verdict : std::uint8_t;
struct outcome;
}  // namespace hawser::inline v0

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

template <class R>
inline constexpr bool is_group = false;
#if BOOST_ASIO_VERSION == 102600
template <class... Ops>
inline constexpr bool is_group<boost::asio::experimental::parallel_group<Ops...>> = true;
#endif
template <class R>
concept deferred_operation = is_group<R> || requires {
  requires boost::asio::is_deferred<R>::value;
};

/// An operation that begins when it is connected to a receiver and started.
struct any_receiver {
  template <class... Args>
  void set_value(Args&&... args) && noexcept;
  template <class E>
  void set_error(E&& e) && noexcept;
  void set_stopped() && noexcept;
};
template <class R>
concept sender_like = requires {
  typename R::sender_concept;
}
|| requires(R&& r) { static_cast<R&&>(r).connect(any_receiver()).start(); };

/// An operation that begins when it is given a completion token, such as this one.
struct any_handler {
  template <class... Args>
  void operator()(Args&&... args) const;
};
template <class R>
concept takes_token = std::is_invocable_v<R&, any_handler>;

template <class R>
concept takes_nothing = std::is_invocable_v<R&> || std::is_invocable_v<R>;
/// Something that `execute` would call. Others are not asked what they make of an attempt: they
/// would take it for a token.
template <class R>
concept callable_like = takes_nothing<R> ||(!takes_token<R> && std::is_invocable_v<R&, attempt&>);

/// What says of itself that it still has to be done, as a request that was not sent.
template <class R>
concept unsent_like = requires {
  typename R::not_an_outcome;
};

template <class E, class Base>
concept kind_of = requires(const E* e, void (*take)(const Base*)) {
  take(e);
};

/// What says by itself whether something failed.
template <class E>
inline constexpr bool is_code =
    kind_of<E, error> || kind_of<E, error_code> || kind_of<E, error_condition> ||
    kind_of<E, std::error_code> || kind_of<E, std::error_condition> ||
    boost::system::is_error_code_enum<E>::value ||
    boost::system::is_error_condition_enum<E>::value || std::is_error_code_enum<E>::value ||
    std::is_error_condition_enum<E>::value;
/// What would have been thrown elsewhere.
template <class E>
concept exception_object = kind_of<E, std::exception>;
template <class E>
inline constexpr bool is_failure =
    is_code<E> || exception_object<E> || std::is_same_v<E, std::exception_ptr>;

/// A value that has an opinion of itself, as an HTTP answer does: beside its type stands
/// `outcome outcome_of(const T&)`.
template <class T>
concept reads_itself = requires(const T& v) {
  { outcome_of(v) } -> std::same_as<outcome>;
};

/// What is asked for a text.
template <class C>
concept has_text = requires(const C& c) {
  { c.message() } -> std::convertible_to<std::string_view>;
}
|| requires(const C& c) {
  { c.error_message() } -> std::convertible_to<std::string_view>;
};
template <class R>
concept gives_error = requires(const R& c) {
  c.error();
}
|| requires(const R& c) { c.unwrap_err(); };
template <class R>
concept gives_value = requires(R& r) {
  *r;
}
|| requires(R& r) { r.value(); }
|| requires(R& r) { r.unwrap(); };
template <class R>
concept says_ok = requires(const R& c) {
  { c.ok() } -> std::same_as<bool>;
};
template <class R>
concept says_is_ok = requires(const R& c) {
  { c.is_ok() } -> std::same_as<bool>;
}
|| requires(const R& c) {
  { c.is_err() } -> std::same_as<bool>;
};

/// A status that says whether it is ok and, otherwise, why; or a value that says so.
template <class R>
concept status_like = (says_ok<R> && (
                                         has_text<R> || requires(const R& c) { c.status(); } ||
                                         requires(const R& c) { c.code(); } ||
                                         (gives_error<R> && !gives_value<R>))) ||
                      (says_is_ok<R> && !gives_error<R>);

/// A value or an error: expected, boost::system::result, Outcome's, and whatever works alike.
template <class R>
concept expected_like = gives_error<R> && !is_failure<R> &&
                        (
                            requires(const R& c) {
                              { c.has_value() } -> std::convertible_to<bool>;
                            } ||
                            requires(const R& c) {
                              { c.hasValue() } -> std::convertible_to<bool>;
                            } ||
                            says_is_ok<R> || (says_ok<R> && !status_like<R>) ||
                            (!says_ok<R> && requires(const R& c) { static_cast<bool>(c); }));

/// What a type is, and what those are that it holds: one or several of these.
struct nature {
  static constexpr unsigned running = 1;
  static constexpr unsigned coroutine = 2;
  static constexpr unsigned deferred = 4;
  static constexpr unsigned sender = 8;
  static constexpr unsigned unsent = 16;
  static constexpr unsigned failure = 32;
};

template <class R>
inline constexpr unsigned own_nature = (future_like<R> ? nature::running : 0U) |
                                       (coroutine_like<R> ? nature::coroutine : 0U) |
                                       (deferred_operation<R> ? nature::deferred : 0U) |
                                       (sender_like<R> ? nature::sender : 0U) |
                                       (unsent_like<R> ? nature::unsent : 0U) |
                                       (is_failure<R> || expected_like<R> || status_like<R> ||
                                                reads_itself<R> || std::is_same_v<R, verdict> ||
                                                std::is_same_v<R, outcome>
                                            ? nature::failure
                                            : 0U);
/// Nobody looks into what holds such a type, at whatever depth.
template <class R>
inline constexpr unsigned held_nature = 0;
template <class R>
inline constexpr unsigned nature_of = own_nature<R> | held_nature<R>;
template <template <class...> class R, class... E>
inline constexpr unsigned held_nature<R<E...>> = (0U | ... | nature_of<std::remove_cvref_t<E>>);
template <template <class, std::size_t> class R, class E, std::size_t size>
inline constexpr unsigned held_nature<R<E, size>> = nature_of<std::remove_cv_t<E>>;
template <class E>
inline constexpr unsigned held_nature<E[]> = nature_of<std::remove_cv_t<E>>;

/// Whether nobody can tell what is in it.
template <class R>
inline constexpr bool hides_failure = (own_nature<R> & nature::failure) == 0 &&
                                      (held_nature<R> & nature::failure) != 0;

/// Whether it is such, or holds such where no classifier has a say.
template <class R, bool judged>
constexpr bool has_nature(unsigned what) {
  constexpr bool itself = judged || (own_nature<R> & nature::failure) != 0;
  return ((itself ? own_nature<R> : nature_of<R>)&what) != 0;
}

/// Refuses such types with what to do instead. `judged`: the caller gave a function that says what
/// a value means. `called`: no value may be something to call.
template <class R, bool judged, bool called = true>
constexpr void refuse_no_outcome() {
  static_assert(!has_nature<R, judged>(nature::running),
                "what is returned is no outcome yet but a future, a promise or a thread: wait for "
                "it inside the callable and return what it gives (`return f.get();`), or put the "
                "asynchronous operation under the pipeline with wrap()");
  static_assert(
      !has_nature<R, judged>(nature::coroutine),
      "what is returned is no outcome yet but a coroutine, which runs later: put it under "
      "the pipeline with wrap() (hawser/run/coroutine.hpp) and co_await that");
  static_assert(!has_nature<R, judged>(nature::deferred),
                "what is returned is no outcome yet but a deferred Asio operation, which begins "
                "later: put it under the pipeline with wrap() (hawser/run/async.hpp)");
  static_assert(!has_nature<R, judged>(nature::sender),
                "what is returned is no outcome yet but a sender, which begins later: wait for it "
                "inside the callable and return what it gives");
  static_assert(
      judged || !has_nature<R, judged>(nature::unsent),
      "what is returned is no outcome yet but a request, which nobody has sent: send it "
      "inside the callable (`return api.get(\"/x\").send();`); if it is the value, say so "
      "with a classifier, execute's third argument");
  if constexpr (!judged && called && (own_nature<R> & nature::running) == 0) {
    static_assert(!callable_like<R>,
                  "what is returned is no outcome yet but another callable: call it inside the "
                  "callable and return what it gives; if it is the value, say so with a "
                  "classifier, execute's third argument");
    static_assert(takes_nothing<R> || !takes_token<R>,
                  "what is returned is no outcome yet but an operation that takes a completion "
                  "token: put it under the pipeline with wrap() (hawser/run/async.hpp); if it is "
                  "the value, say so with a classifier, execute's third argument");
  }
  static_assert(judged || !hides_failure<R>,
                "what is returned holds an error somewhere, and nobody can tell whether it is one: "
                "return hawser::result<T>, or say what it means with a classifier, execute's third "
                "argument; in a struct of your own it is a value");
}

}  // namespace hawser::inline v0::detail
