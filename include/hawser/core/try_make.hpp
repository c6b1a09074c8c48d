// Set-up without exceptions: what makes environments, policies, pipelines and clients throws
// `config_error` or `call_error`; in here that becomes a result.
//
//   auto api = hawser::try_make([&] {
//     return hawser::http::client{env, url, hawser::http::standard_pipeline("users", options)};
//   });
//   if (!api) return refuse_to_start(api.error().message());   // names field, value and bound
//   api->get("/users");
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/core/result.hpp"

#include <exception>
#include <system_error>
#include <type_traits>
#include <utility>

namespace hawser::inline v0 {

namespace detail {

template <class T>
struct result_of_making {
  using type = result<T>;
};
template <class T>
struct result_of_making<result<T>> {
  using type = result<T>;
};

/// The error of a set-up that threw. Throws on what is no error of a set-up.
[[nodiscard]] HAWSER_API error error_of_making(const std::exception_ptr& thrown);

}  // namespace detail

/// What `make()` returns, or why it could not be made: the error that a `config_error` stands for
/// (errc::invalid_options, its detail naming field, value and bound), the one in a `call_error`, or
/// the code of a system error, such as a thread that could not be started. A `make` that returns a
/// result has it passed on. Lets through what else it throws: `std::bad_alloc`, and whatever is not
/// this library's. To be used around all of a set-up at once, `add` of a builder included.
template <class Make>
[[nodiscard]] auto try_make(Make&& make) ->
    typename detail::result_of_making<std::remove_cvref_t<std::invoke_result_t<Make>>>::type {
  using made = std::remove_cvref_t<std::invoke_result_t<Make>>;
  try {
    if constexpr (std::is_void_v<made>) {
      std::forward<Make>(make)();
      return {};
    } else {
      return std::forward<Make>(make)();
    }
  } catch (const std::exception&) {
    return detail::error_of_making(std::current_exception());
  }
}

}  // namespace hawser::inline v0
