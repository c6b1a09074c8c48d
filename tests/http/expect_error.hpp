// What every test of an error asks: code, kind, the culprit and the remedy in the text, no secret.
//
//   expect_error(url::parse("ftp://x/").error(), errc::invalid_url, condition::invalid_input,
//                {"scheme \"ftp\"", "write"});
#pragma once

#include "hawser/core/result.hpp"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>

namespace hawser::test {

/// Stands in header values, bodies, keys and credentials; may show up in no error text.
inline constexpr std::string_view planted = "s3cr3t";

inline void expect_error(const error& seen, errc code, condition kind,
                         std::initializer_list<std::string_view> words) {
  EXPECT_EQ(seen.code(), make_error_code(code)) << seen.message();
  EXPECT_TRUE(seen == kind) << seen.message();
  for (const std::string_view word : words)
    EXPECT_NE(seen.message().find(word), std::string::npos)
        << "\"" << word << "\" is not in: " << seen.message();
  EXPECT_EQ(seen.message().find(planted), std::string::npos) << seen.message();
}

}  // namespace hawser::test
