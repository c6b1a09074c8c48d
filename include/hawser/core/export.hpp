// What every header of the library stands on: C++20, a Boost that is new enough, and HAWSER_API,
// which marks what a shared build exports. The build defines HAWSER_SHARED when the libraries are
// shared; static builds need nothing.
#pragma once

// Without these a program sees hundreds of errors, none of which says what to do.
#if defined(_MSVC_LANG)
#define HAWSER_DETAIL_LANGUAGE _MSVC_LANG
#else
#define HAWSER_DETAIL_LANGUAGE __cplusplus
#endif
#if HAWSER_DETAIL_LANGUAGE < 202002L
#error "Hawser needs C++20: compile with -std=c++20 (CMake: cxx_std_20) or a later standard"
#endif
#if !__has_include(<boost/version.hpp>)
#error "Hawser needs the headers of Boost 1.81 or newer: install them, or name them with -I"
#endif
#include <boost/version.hpp>
#if BOOST_VERSION < 108100
#error "Hawser needs Boost 1.81 or newer: put the newer one's headers first, with -I or CXXFLAGS"
#endif

#if defined(HAWSER_SHARED) && defined(__GNUC__)
#define HAWSER_API __attribute__((visibility("default")))
#else
#define HAWSER_API
#endif
