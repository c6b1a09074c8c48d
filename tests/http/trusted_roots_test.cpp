#include "hawser/testing/fault_server.hpp"
#include "hawser/testing/test_certificates.hpp"

#include "http/beast/tls.hpp"
#include "http/beast/trusted_roots.hpp"
#include "http/transport_support.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace hawser::test::trusted_roots_test {
namespace {

using http::tls_options;
using http::beast::root_store;
using http::beast::trusted_roots;
using testing::test_authority;

struct counted : ::testing::Test {
  root_store find(const tls_options& options) {
    return roots.find(options, [this] {
      ++made;
      return root_store(X509_STORE_new(), X509_STORE_free);
    });
  }
  trusted_roots roots;
  int made = 0;
};

using trusted_roots_of = counted;

TEST_F(trusted_roots_of, the_same_sources_are_read_once) {
  const root_store first = find({});
  EXPECT_EQ(find({}), first);
  EXPECT_EQ(made, 1);
  const root_store other = find({.ca_pem = "a"});
  EXPECT_NE(other, first);
  EXPECT_NE(find({.ca_pem = "b"}), other);
  EXPECT_EQ(find({.ca_pem = "a"}), other);
  EXPECT_EQ(made, 3);
}

TEST_F(trusted_roots_of, nobody_are_read_anew) {
  (void)find({});
  (void)find({});
  EXPECT_EQ(made, 2);
}

TEST_F(trusted_roots_of, what_fails_is_tried_again) {
  EXPECT_THROW((void)roots.find({}, []() -> root_store { throw std::bad_alloc(); }),
               std::bad_alloc);
  EXPECT_TRUE(find({}));
  EXPECT_EQ(made, 1);
}

TEST_F(trusted_roots_of, a_file_is_read_anew_when_it_has_changed) {
  const std::string path = ::testing::TempDir() + "hawser_roots_" +
                           std::to_string(reinterpret_cast<std::uintptr_t>(this)) + ".pem";
  std::ofstream(path) << "one";
  const root_store before = find({.ca_file = path});
  EXPECT_EQ(find({.ca_file = path}), before);
  std::ofstream(path) << "another";
  EXPECT_NE(find({.ca_file = path}), before);
  const std::string next = path + ".next";  // in its place, as packages do
  std::ofstream(next) << "another";
  std::filesystem::rename(next, path);
  (void)find({.ca_file = path});
  EXPECT_EQ(made, 3);
  std::remove(path.c_str());
}

/// Clients of one environment, each in its time.
struct clients : ::testing::Test, transport_rig {
  std::shared_ptr<test_authority> authority = std::make_shared<test_authority>();
  std::unique_ptr<testing::fault_server> serve() {
    testing::fault_server_options o;
    o.tls.emplace().authority = authority;
    return std::make_unique<testing::fault_server>(std::move(o));
  }
};

TEST_F(clients, of_one_environment_trust_what_each_was_told_to) {
  const auto server = serve();
  tls.ca_pem = authority->certificate();
  const auto first = make(server->url());
  tls.ca_pem = test_authority("Somebody else").certificate();
  const auto wary = make(server->url());
  tls.ca_pem = authority->certificate();
  auto second = make(server->url());
  for (const auto& [net, trusts] : {std::pair(first, true), {wary, false}, {second, true}}) {
    one_exchange ex;
    ex.get("/");
    ASSERT_TRUE(run(*net, ex));
    EXPECT_EQ(!ex.ec_, trusts) << ex.detail_;
  }
}

TEST_F(clients, made_by_many_threads_share_safely) {
  const auto server = serve();
  tls.ca_pem = authority->certificate();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) (void)make(server->url());
    });
  for (std::thread& t : threads) t.join();
  one_exchange ex;
  ex.get("/");
  const auto net = make(server->url());
  ASSERT_TRUE(run(*net, ex));
  EXPECT_FALSE(ex.ec_) << ex.detail_;
}

}  // namespace
}  // namespace hawser::test::trusted_roots_test
