// A fixture for calls that are refused before anything is sent: clients on a transport that has it
// on record.
#pragma once

#include "bad_input/refusal.hpp"
#include "hawser/http/client.hpp"
#include "hawser/testing/fake_transport.hpp"
#include "hawser/testing/manual_environment.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string_view>
#include <utility>

namespace hawser::test {

struct on_fake_transport : ::testing::Test {
  testing::manual_environment env;
  std::shared_ptr<testing::fake_transport> net = std::make_shared<testing::fake_transport>(env);

  /// What is sent after all is looked at in `net->requests()`.
  on_fake_transport() { net->otherwise(testing::scripted_exchange::answer(200)); }

  http::client make(http::client_options options = {}, std::string_view base = "http://api.test") {
    options.transport = net;
    return http::client(env, base, http::standard_pipeline("api"), std::move(options));
  }
  void expect_unsent(const http::client& api, const http::request& what, const refusal& wanted,
                     call_options options = {}) {
    call_report report;
    options.report = &report;
    const result<http::response> r = api.send(what, options);
    ASSERT_TRUE(r.has_error());
    expect_refusal(r.error(), wanted);
    EXPECT_EQ(report.attempts, 0);
    EXPECT_EQ(report.delivery, evidence::never_sent);
    EXPECT_TRUE(net->requests().empty());
  }
};

}  // namespace hawser::test
