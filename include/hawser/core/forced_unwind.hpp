// How a thread that ends, by pthread_exit or pthread_cancel, takes its stack apart: by an exception
// that only the system's own code may swallow. Not for users.
#pragma once

#include "hawser/core/export.hpp"

#include <string>  // tells which library it is, and in libstdc++ has the name with it

#if defined(__GLIBCXX__) && !defined(_CXXABI_FORCED_H)
#include <cxxabi.h>
#endif

namespace hawser::inline v0::detail {

#if defined(__GLIBCXX__)
/// To be caught before `...` around whatever a user wrote, and thrown on.
using forced_unwind = __cxxabiv1::__forced_unwind;
#else
/// Other libraries do not name it.
struct forced_unwind {};
#endif

}  // namespace hawser::inline v0::detail
