// How a callable's return type and its failures become `result<T>` and outcomes. Not for users.
#pragma once

#include "hawser/core/result.hpp"
#include "hawser/policy/classify.hpp"
#include "hawser/policy/policy.hpp"
#include "hawser/run/detail/judge.hpp"
#include "hawser/run/detail/not_an_outcome.hpp"

#include <boost/system/result.hpp>

#include <concepts>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace hawser::inline v0 {
class redactor;
}

namespace hawser::inline v0::detail {

/// A verdict or an outcome from a user's classifier.
inline outcome to_outcome(verdict v) noexcept {
  outcome o;
  o.result = v;
  if (v != verdict::ok) o.error = errc::operation_failed;
  o.transient = v == verdict::failed;
  return o;
}
inline outcome to_outcome(outcome o) noexcept {
  if (o.result != verdict::ok && !o.error) o.error = errc::operation_failed;
  return o;
}

/// An exception as an error: the code it carries, `not_enough_memory` for std::bad_alloc, else
/// `operation_threw` with its text, masked as `masked` does.
[[nodiscard]] HAWSER_API error describe(const std::exception_ptr& thrown,
                                        const redactor* masks = nullptr) noexcept;

/// A `call_error` with `nested` in it, if there is one.
[[nodiscard]] HAWSER_API std::exception_ptr as_exception(
    const error& why, const std::exception_ptr& nested = nullptr) noexcept;

/// Throws what `execute_or_throw` throws. `own`: the call ended with what the callable threw.
[[noreturn]] HAWSER_API void throw_ending(const error& why, const std::exception_ptr& thrown,
                                          bool own);

/// ENOMEM.
[[nodiscard]] HAWSER_API error_code out_of_memory() noexcept;

/// Text that came from outside, with everything that looks like a secret masked: first by `masks`,
/// if there are any, as they find their literals only while those are whole; then by the built-in
/// rules.
[[nodiscard]] HAWSER_API std::string masked(std::string_view text, const redactor* masks = nullptr);

/// Adds the call's story to an operation's own error, as far as there is memory for it, and masks
/// both by `masks`, if there are any. What cannot be masked for want of memory is not told.
[[nodiscard]] HAWSER_API error with_story(const error& own, std::string_view story,
                                          const redactor* masks) noexcept;

/// Why a call ended, and what the policy inside the operation said that refused its last try.
[[nodiscard]] HAWSER_API error with_refusal(const error& end, const error& refusal,
                                            const redactor* masks) noexcept;

/// What a policy ended the call with, and what the operation's last error had to say.
[[nodiscard]] HAWSER_API error with_last_words(const error& end, const error& own,
                                               const redactor* masks) noexcept;

/// A failure with a text from outside, which is masked as `masked` does, and put on one line.
[[nodiscard]] HAWSER_API error failure_with_text(error_code code, std::string_view text,
                                                 const redactor* masks) noexcept;

/// What a type that is derived from a code is, as a code.
inline const error& as_code(const error& e) noexcept { return e; }
inline const error_code& as_code(const error_code& e) noexcept { return e; }
inline const error_condition& as_code(const error_condition& e) noexcept { return e; }
inline const std::error_code& as_code(const std::error_code& e) noexcept { return e; }
inline const std::error_condition& as_code(const std::error_condition& e) noexcept { return e; }

/// What would have been thrown; null for what is no exception.
template <class E>
std::exception_ptr thrown_as(const E& e) {
  if constexpr (std::is_same_v<E, std::exception_ptr>)
    return e;
  else if constexpr (exception_object<E> && std::is_copy_constructible_v<E>)
    return std::make_exception_ptr(e);
  else
    return nullptr;
}

/// What a value or an error says: the error, or the value.
template <class R>
decltype(auto) error_in(const R& r) {
  if constexpr (requires { r.error(); })
    return r.error();
  else
    return r.unwrap_err();
}
template <class R>
decltype(auto) value_in(R&& r) {
  if constexpr (requires { *std::forward<R>(r); })
    return *std::forward<R>(r);
  else if constexpr (requires { std::forward<R>(r).value(); })
    return std::forward<R>(r).value();
  else
    return std::forward<R>(r).unwrap();
}
/// Whether it says that all is well.
template <class R>
bool says_well(const R& r) {
  if constexpr (requires { static_cast<bool>(r.has_value()); })
    return static_cast<bool>(r.has_value());
  else if constexpr (requires { static_cast<bool>(r.hasValue()); })
    return static_cast<bool>(r.hasValue());
  else if constexpr (requires { r.is_ok(); })
    return r.is_ok();
  else if constexpr (requires { r.is_err(); })
    return !r.is_err();
  else if constexpr (says_ok<R>)
    return r.ok();
  else
    return static_cast<bool>(r);
}

/// What failed, as an error. Never without a code: `operation_failed` where no better is known.
template <class E>
error error_of(const E& e, const redactor* masks) {
  if constexpr (kind_of<E, error>) {
    const error& own = as_code(e);
    return own.code() ? own : error(errc::operation_failed);
  } else if constexpr (std::is_same_v<E, std::exception_ptr>) {
    return e ? describe(e, masks) : error(errc::operation_failed);
  } else if constexpr (exception_object<E> && std::is_copy_constructible_v<E>) {
    return describe(thrown_as(e), masks);
  } else if constexpr (kind_of<E, error_condition> || kind_of<E, std::error_condition>) {
    // A condition is a number in a category, too, and says no less as a code.
    const auto& own = as_code(e);
    if constexpr (kind_of<E, error_condition>)
      return error_of(error_code(own.value(), own.category()), masks);
    else
      return error_of(error_code(std::error_code(own.value(), own.category())), masks);
  } else if constexpr (boost::system::is_error_condition_enum<E>::value) {
    return error_of(error_condition(e), masks);
  } else if constexpr (std::is_error_condition_enum<E>::value) {
    return error_of(std::error_condition(e), masks);
  } else if constexpr (std::is_convertible_v<const E&, error_code>) {
    const error_code code = e;
    return error(code ? code : make_error_code(errc::operation_failed));
  } else if constexpr (std::is_convertible_v<const E&, std::error_code>) {
    return error_of(error_code(static_cast<std::error_code>(e)), masks);
  } else if constexpr (std::is_convertible_v<const E&, std::string_view>) {
    if constexpr (std::is_pointer_v<E>)
      if (e == nullptr) return error(errc::operation_failed);
    return failure_with_text(errc::operation_failed, e, masks);
  } else {
    error_code code = errc::operation_failed;
    if constexpr (requires {
                    { e.code() } -> std::convertible_to<error_code>;
                  }) {
      if (const error_code own = e.code()) code = own;
    }
    if constexpr (requires {
                    { e.what() } -> std::convertible_to<std::string_view>;
                  })
      return failure_with_text(code, e.what(), masks);
    else if constexpr (requires {
                         { e.message() } -> std::convertible_to<std::string_view>;
                       })
      return failure_with_text(code, e.message(), masks);
    else if constexpr (requires {
                         { e.error_message() } -> std::convertible_to<std::string_view>;
                       })
      return failure_with_text(code, e.error_message(), masks);
    else if constexpr (says_ok<E> && gives_error<E>)
      return error_of(error_in(e), masks);
    else if constexpr (requires { e.status().ok(); })
      return error_of(e.status(), masks);
    else
      return error(code);
  }
}

/// Reads a value that arrived. It is delivered, whatever it says.
template <class T>
void read_value(const T& v, outcome& o) {
  if constexpr (reads_itself<T>) {
    o = to_outcome(outcome_of(v));
  } else if constexpr (status_like<T>) {
    if (!says_well(v)) o = hawser::classify(errc::operation_failed);
  }
}

/// What a value that arrived says of its own failure; no error where it says none.
template <class T>
error failure_in(const T& v, const redactor* masks) noexcept {
  try {
    if constexpr (reads_itself<T>) {
      const outcome o = to_outcome(outcome_of(v));
      if (!o.ok()) return error(o.error);
    } else if constexpr (status_like<T>) {
      if (!says_well(v)) return error_of(v, masks);
    }
  } catch (...) {  // no memory for it
  }
  return {};
}

/// Has the judges look at what failed, or at a value: at codes of all sorts as at an `error_code`,
/// too.
template <class E>
void judge_one(const judges& all, const E& e, outcome& o) {
  if constexpr (std::is_same_v<E, std::exception_ptr> || exception_object<E>) {
    if (const std::exception_ptr thrown = thrown_as(e)) judge_thrown(all, thrown, o);
  } else if constexpr (kind_of<E, error>) {
    const error& own = as_code(e);
    const error_code code = own.code();
    if constexpr (!std::is_same_v<E, error>)
      if (judge_seen(all, typeid(E), &e, o)) return;
    judge_seen(all, typeid(error), &own, o, &code);
  } else if constexpr (is_code<E>) {
    const error_code code = error_of(e, nullptr).code();
    judge_seen(all, typeid(E), &e, o, &code);
  } else if constexpr (std::is_convertible_v<const E&, error_code>) {
    const error_code code = e;
    judge_seen(all, typeid(E), &e, o, &code);
  } else if constexpr (std::is_convertible_v<const E&, std::error_code>) {
    const error_code code = static_cast<std::error_code>(e);
    judge_seen(all, typeid(E), &e, o, &code);
  } else {
    judge_seen(all, typeid(E), &e, o);
  }
}

/// How a returned type is read. `may_fail`: it carries failure, so `failed` and `why` say whether
/// and how. `type`: the T of the `result<T>`.
template <class R>
struct value_of {
  using type = R;
  static constexpr bool may_fail = false;
};

template <class R>
requires is_failure<R>
struct value_of<R> {
  using type = void;
  static constexpr bool may_fail = true;
  static bool failed(const R& r) noexcept {
    if constexpr (exception_object<R>)
      return true;
    else if constexpr (kind_of<R, error>)
      return static_cast<bool>(as_code(r).code());
    else if constexpr (requires { as_code(r); } && !std::is_enum_v<R>)
      return static_cast<bool>(as_code(r));
    else
      return r != R{};
  }
  static error why(const R& r, const redactor* masks) { return error_of(r, masks); }
  /// Tells `judge` what failed.
  template <class Judge>
  static void show(const R& r, Judge judge) {
    judge(r);
  }
};

template <class R>
requires expected_like<R>
struct value_of<R> {
  static constexpr bool may_fail = true;
  static auto value_type() {
    if constexpr (requires { typename R::value_type; })
      return std::type_identity<typename R::value_type>();
    else if constexpr (gives_value<R>)
      return std::type_identity<std::remove_cvref_t<decltype(value_in(std::declval<R&>()))>>();
    else
      return std::type_identity<void>();
  }
  using held = typename decltype(value_type())::type;
  /// What it holds may fail itself; then it is judged inside out.
  using inner = value_of<held>;
  using type = typename inner::type;

  static bool failed(const R& r) {
    if (!says_well(r)) return true;
    if constexpr (inner::may_fail)
      return inner::failed(value_in(r));
    else
      return false;
  }
  static error why(const R& r, const redactor* masks) {
    error found;
    show(r, [&](const auto& cause) { found = error_of(cause, masks); });
    return found;
  }
  /// Tells `judge` what failed.
  template <class Judge>
  static void show(const R& r, Judge judge) {
    if constexpr (inner::may_fail) {
      if (says_well(r)) return inner::show(value_in(r), judge);
    }
    if constexpr (requires {
                    { r.has_exception() } -> std::convertible_to<bool>;
                    { r.exception() } -> std::convertible_to<std::exception_ptr>;
                  }) {
      if (r.has_exception()) return judge(std::exception_ptr(r.exception()));
    }
    judge(error_in(r));
  }
  template <class Returned>
  static type take(Returned&& r) {
    if constexpr (inner::may_fail)
      return inner::take(value_in(std::forward<Returned>(r)));
    else
      return value_in(std::forward<Returned>(r));
  }
};

/// Its value, a verdict or an outcome, is all that it says.
template <class R>
requires std::is_same_v<R, verdict> || std::is_same_v<R, outcome>
struct value_of<R> {
  using type = void;
  static constexpr bool may_fail = true;
  static bool failed(const R& r) noexcept { return !to_outcome(r).ok(); }
  static error why(const R& r, const redactor* /*masks*/) { return error(to_outcome(r).error); }
  template <class Judge>
  static void show(const R& r, Judge judge) {
    judge(r);
  }
};

/// Refuses what is no outcome, or holds none: see there.
template <class R, bool judged, bool called = true>
constexpr void require_outcome() {
  refuse_no_outcome<R, judged, called>();
  if constexpr (value_of<R>::may_fail)
    refuse_no_outcome<typename value_of<R>::type, judged, called>();
}

}  // namespace hawser::inline v0::detail
