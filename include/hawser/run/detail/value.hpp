// How a callable's return type and its failures become `result<T>` and outcomes. Not for users.
#pragma once

#include "hawser/core/result.hpp"
#include "hawser/policy/classify.hpp"
#include "hawser/policy/policy.hpp"

#include <boost/system/result.hpp>

#include <concepts>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

namespace hawser::inline v0 {
class redactor;
}

namespace hawser::inline v0::detail {

template <class R>
struct value_of {
  using type = R;
  static constexpr bool is_result = false;
};
template <class T, class E>
struct value_of<boost::system::result<T, E>> {
  using type = T;
  static constexpr bool is_result = true;
};

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

/// What a policy ended the call with; an unknown outcome still says what the operation's last error
/// had to say.
[[nodiscard]] HAWSER_API error with_last_words(const error& end, const error& own,
                                               const redactor* masks) noexcept;

inline error to_error(const error& e) { return e; }
inline error to_error(const error_code& e) { return e; }
template <class E>
error to_error(const E& e) {
  if constexpr (std::is_convertible_v<E, error_code>)
    return error(static_cast<error_code>(e));
  else
    return error(errc::operation_failed);
}

}  // namespace hawser::inline v0::detail
