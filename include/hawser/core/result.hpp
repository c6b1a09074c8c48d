// result<T>: a value, or an error with its story.
//
//   hawser::result<int> r = pipeline.execute([] { return 42; });
//   int v = r.value();       // throws hawser::call_error when there is none
//   if (!r) use(r.error().message());
#pragma once

#include "hawser/core/error.hpp"

#include <boost/system/result.hpp>

namespace hawser::inline v0 {

/// `boost::system::result` with our `error`: has_value, value, error, operator*, operator->.
template <class T>
using result = boost::system::result<T, error>;

/// Found by `boost::system::result::value()`.
[[noreturn]] HAWSER_API void throw_exception_from_error(const error& why,
                                                        const boost::source_location& where);

}  // namespace hawser::inline v0
