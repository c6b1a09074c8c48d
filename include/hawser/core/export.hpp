// HAWSER_API marks what a shared build of the library exports. The build defines
// HAWSER_SHARED when the libraries are shared; static builds need nothing.
#pragma once

#if defined(HAWSER_SHARED) && defined(__GNUC__)
#define HAWSER_API __attribute__((visibility("default")))
#else
#define HAWSER_API
#endif
