// What every table of bad input asks of an error: its code, its kinds, the culprit and the remedy
// in its text, no secret and no byte in it that breaks a line of a log.
//
//   expect_refusal(url::parse("ftp://x/").error(),
//                  {errc::invalid_url, {condition::invalid_input}, "scheme \"ftp\"", "write"});
//   expect_config_error([] { make_policy(retry{.max_attempts = 0}); },
//                       "retry.max_attempts", "0", "must be 1 to 100");
#pragma once

#include "hawser/core/error.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::test {

/// Planted in values, bodies, keys and credentials; may show up in no text.
inline constexpr std::string_view planted = "s3cr3t";

struct refusal {
  errc code{};
  std::vector<condition> kinds{};  ///< All that hold; none besides them does.
  std::string_view culprit{};      ///< What was wrong, and where.
  std::string_view remedy{};       ///< What to do about it.
};

inline void expect_text(const std::string& text, std::string_view culprit,
                        std::string_view remedy) {
  EXPECT_NE(text.find(culprit), std::string::npos) << "no culprit \"" << culprit << "\": " << text;
  EXPECT_NE(text.find(remedy), std::string::npos) << "no remedy \"" << remedy << "\": " << text;
  EXPECT_EQ(text.find(planted), std::string::npos) << "quotes a secret: " << text;
  EXPECT_TRUE(std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; }))
      << "not one printable line: " << text;
  EXPECT_LT(text.size(), 1500u) << text;
}

inline void expect_refusal(const error& seen, const refusal& wanted) {
  EXPECT_EQ(seen.code(), wanted.code) << seen.message();
  for (const condition kind : {condition::rejected, condition::timeout, condition::ambiguous,
                               condition::transient, condition::canceled, condition::invalid_input,
                               condition::bad_response, condition::tls_failure}) {
    const bool holds =
        std::find(wanted.kinds.begin(), wanted.kinds.end(), kind) != wanted.kinds.end();
    EXPECT_EQ(seen == kind, holds)
        << make_error_condition(kind).message() << ": " << seen.message();
  }
  expect_text(seen.message(), wanted.culprit, wanted.remedy);
}

/// `make` throws a config_error that names the field, the value and the bound.
template <class Make>
void expect_config_error(Make&& make, std::string_view field, std::string_view value,
                         std::string_view rule) {
  try {
    make();
    ADD_FAILURE() << field << " was accepted; " << rule;
  } catch (const config_error& e) {
    EXPECT_EQ(e.field(), field) << e.what();
    EXPECT_EQ(e.code(), errc::invalid_options);
    EXPECT_TRUE(e.code() == condition::invalid_input);
    expect_text(e.what(), std::string(field) + " = " + std::string(value), rule);
  }
}

}  // namespace hawser::test
