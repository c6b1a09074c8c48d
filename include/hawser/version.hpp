// Which Hawser this is, for the preprocessor and for the program.
//
//   #if HAWSER_VERSION >= 100                     // 0.1.0 or later
//   std::cout << "hawser " << hawser::version << '\n';
//   static_assert(hawser::version_major == 0);
#pragma once

#include "hawser/core/export.hpp"

#include <string_view>

// The build reads the three numbers from here: this is the only place that states them.
/// Grows when everything may change.
#define HAWSER_VERSION_MAJOR 0
/// Grows when interfaces were added; before 1.0 also when they changed.
#define HAWSER_VERSION_MINOR 1
/// Grows when only mistakes were mended.
#define HAWSER_VERSION_PATCH 0

/// One comparable number: major * 10000 + minor * 100 + patch.
#define HAWSER_VERSION \
  (HAWSER_VERSION_MAJOR * 10000 + HAWSER_VERSION_MINOR * 100 + HAWSER_VERSION_PATCH)

#define HAWSER_DETAIL_TEXT_OF(x) #x
#define HAWSER_DETAIL_TEXT(x) HAWSER_DETAIL_TEXT_OF(x)
/// The version as text: "major.minor.patch".
#define HAWSER_VERSION_STRING              \
  HAWSER_DETAIL_TEXT(HAWSER_VERSION_MAJOR) \
  "." HAWSER_DETAIL_TEXT(HAWSER_VERSION_MINOR) "." HAWSER_DETAIL_TEXT(HAWSER_VERSION_PATCH)

namespace hawser::inline v0 {

/// The version of the headers compiled against, as text.
inline constexpr std::string_view version = HAWSER_VERSION_STRING;

/// `HAWSER_VERSION_MAJOR` for the program.
inline constexpr int version_major = HAWSER_VERSION_MAJOR;
/// `HAWSER_VERSION_MINOR` for the program.
inline constexpr int version_minor = HAWSER_VERSION_MINOR;
/// `HAWSER_VERSION_PATCH` for the program.
inline constexpr int version_patch = HAWSER_VERSION_PATCH;

}  // namespace hawser::inline v0
