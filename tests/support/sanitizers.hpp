// Which sanitizer a test runs under, where it cannot do all that it does without one.
#pragma once

namespace hawser::test {

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAWSER_TEST_UNDER_TSAN
#endif
#if __has_feature(address_sanitizer)
#define HAWSER_TEST_UNDER_ASAN
#endif
#endif

#if defined(HAWSER_TEST_UNDER_TSAN) || defined(__SANITIZE_THREAD__)
inline constexpr bool under_tsan = true;  ///< Which forbids a forked child threads of its own.
#else
inline constexpr bool under_tsan = false;
#endif

#if defined(HAWSER_TEST_UNDER_ASAN) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool under_asan = true;
#else
inline constexpr bool under_asan = false;
#endif

/// Several times slower than usual.
inline constexpr bool slow_build = under_tsan || under_asan;

}  // namespace hawser::test
