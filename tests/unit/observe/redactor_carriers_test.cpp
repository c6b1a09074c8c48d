// What carries a secret through running text: quotes, brackets, escapes, encodings.
#include "hawser/observe/redactor.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace redactor_carriers_test {
namespace {

using hawser::redaction;
using hawser::redactor;
using hawser::secret;

struct row {
  std::string_view in;
  std::string_view out;
};

void check(const redactor& masks, const std::vector<row>& rows) {
  for (const row& r : rows) {
    EXPECT_EQ(masks.text(r.in), r.out) << "of: " << r.in;
    EXPECT_EQ(masks.text(r.out), r.out) << "masked twice: " << r.in;
  }
}

TEST(redactor_carriers, credentials_that_end_in_padding_before_a_quote) {
  check(redactor(),
        {
            {R"("Basic dXNlcjpwYXNzd29yZA==")", R"("Basic [masked]")"},
            {"curl -H 'Basic dXNlcjpwYXNzd29yZDE=' x", "curl -H 'Basic [masked]' x"},
            {R"(["Bearer abc123=","x"])", R"(["Bearer [masked]","x"])"},
            {R"(Basic realm="hello", charset="UTF-8")", R"(Basic realm="hello", charset="UTF-8")"},
            {R"(Bearer realm="x", error="invalid_token")",
             R"(Bearer realm="x", error="invalid_token")"},
        });
}

TEST(redactor_carriers, quoted_and_bracketed_tokens_behind_the_scheme) {
  check(redactor(), {
                        {R"(Bearer "abc123def")", R"(Bearer "[masked]")"},
                        {"Bearer 'abc123def' x", "Bearer '[masked]' x"},
                        {"Bearer <abc123def>", "Bearer <[masked]>"},
                        {"Bearer [abc123def]", "Bearer [[masked]]"},
                        {"Bearer (abc123def)", "Bearer ([masked])"},
                        {R"({"m":"Bearer \"abc123def\""})", R"({"m":"Bearer \"[masked]\""})"},
                        {"Basic <dXNlcjpwYXNzd29yZA==>", "Basic <[masked]>"},
                        {"a bearer <token> is meant", "a bearer <token> is meant"},
                    });
}

TEST(redactor_carriers, escapes_within_a_token) {
  check(redactor(), {
                        {R"("Bearer abc\u0041123\/def")", R"("Bearer [masked]")"},
                        {R"("Basic dXNlcjpwYXNzd29yZA\u003d\u003d")", R"("Basic [masked]")"},
                        {R"(\"Bearer abc\\u0041123\")", R"(\"Bearer [masked]\")"},
                    });
}

}  // namespace
}  // namespace redactor_carriers_test
