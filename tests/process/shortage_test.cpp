#include "hawser/hawser.hpp"
#include "hawser/http/client.hpp"
#include "hawser/testing/fault_server.hpp"

#include "support/sanitizers.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace hawser::test::shortage_test {
namespace {

/// No descriptor can be opened while it lives.
class no_descriptors {
 public:
  no_descriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const int next = ::dup(STDERR_FILENO);
    ::close(next);
    rlimit none = before_;
    none.rlim_cur = static_cast<rlim_t>(next);
    ::setrlimit(RLIMIT_NOFILE, &none);
  }
  no_descriptors(const no_descriptors&) = delete;
  no_descriptors& operator=(const no_descriptors&) = delete;
  ~no_descriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST(shortage, of_descriptors_is_told_as_our_own_and_opens_no_breaker) {
  if (under_asan) GTEST_SKIP() << "the sanitizer opens pipes to look at memory";
  testing::fault_server server;
  const environment env;
  const http::client api(env, server.url(),
                         pipeline_builder("p").add(circuit_breaker{.min_calls = 2}));
  {
    const no_descriptors now;
    for (int i = 0; i < 20; ++i) {
      const auto sent = api.get("/").send();
      ASSERT_FALSE(sent.has_value());
      EXPECT_EQ(sent.error().code(), boost::system::errc::too_many_files_open);
      EXPECT_NE(sent.error().message().find("ulimit -n"), std::string::npos)
          << sent.error().message();
      EXPECT_EQ(sent.error().message().find("check that the service runs"), std::string::npos);
    }
  }
  EXPECT_TRUE(api.get("/").send().has_value());
}

TEST(shortage, of_descriptors_makes_no_client_that_trusts_nobody) {
  if (under_asan) GTEST_SKIP() << "the sanitizer opens pipes to look at memory";
  const environment env;
  {
    const no_descriptors now;
    const auto refused = http::client::try_make(env, "https://api.example", pipeline_builder("p"));
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error(), errc::tls_bad_credentials);
    EXPECT_NE(refused.error().message().find("Too many open files"), std::string::npos)
        << refused.error().message();
  }
  EXPECT_TRUE(
      http::client::try_make(env, "https://api.example", pipeline_builder("p")).has_value());
}

TEST(shortage, of_descriptors_is_told_by_an_environment) {
  const no_descriptors now;
  EXPECT_THROW(environment(), std::exception);
}

TEST(shortage, a_link_local_address_is_told_as_leading_nowhere) {
  const environment env;
  const http::client api(env, "http://[fe80::1]:9", pipeline_builder("p"));
  const auto sent = api.get("/").send();
  ASSERT_FALSE(sent.has_value());
  if (sent.error().code() == boost::system::errc::address_family_not_supported)
    GTEST_SKIP() << "no IPv6 here";
  EXPECT_NE(sent.error().message().find("unique local"), std::string::npos)
      << sent.error().message();
}

}  // namespace
}  // namespace hawser::test::shortage_test
