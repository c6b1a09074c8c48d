#include "hawser/testing/fake_transport.hpp"

#include "http/transport_support.hpp"

#include <gtest/gtest.h>

namespace hawser::test::fake_transport_test {
namespace {

using testing::fake_transport;
using testing::scripted_exchange;
using testing::sent_request;

class fake : public ::testing::Test, public transport_rig {
 protected:
  fake_transport net{env};
  one_exchange ex{http::method::post, "/v1/charges", "{}"};
};

TEST_F(fake, follows_its_script_then_its_handler) {
  net.script({scripted_exchange::answer(201, "{\"id\":1}").header("Location", "/1"),
              scripted_exchange::fail(errc::connection_closed, evidence::maybe_applied, "why")});
  ASSERT_TRUE(run(net, ex));
  EXPECT_EQ(ex.answer_.status(), 201);
  EXPECT_EQ(ex.answer_.body(), "{\"id\":1}");
  EXPECT_EQ(ex.answer_.headers().find("location"), "/1");
  EXPECT_EQ(ex.delivery_, evidence::answered);
  ASSERT_TRUE(run(net, ex));
  EXPECT_EQ(ex.ec_, errc::connection_closed);
  EXPECT_EQ(ex.detail_, "why");
  EXPECT_EQ(net.script_left(), 0u);
  EXPECT_TRUE(net.expect_done());
  net.handle([](const sent_request& r) { return scripted_exchange::answer(202, r.body); });
  ASSERT_TRUE(run(net, ex));
  EXPECT_EQ(ex.answer_.status(), 202);
  EXPECT_EQ(ex.answer_.body(), "{}");
}

TEST_F(fake, a_request_that_nobody_planned_fails_the_test_and_the_call) {
  std::vector<std::string> told;
  net.on_surprise([&](std::string_view what) { told.emplace_back(what); });
  net.script({scripted_exchange::answer(201)});
  ASSERT_TRUE(run(net, ex));
  EXPECT_EQ(ex.answer_.status(), 201);
  EXPECT_TRUE(told.empty());
  ex.target = "/v1/charges?api_key=s3cr3t";
  ASSERT_TRUE(run(net, ex));
  EXPECT_EQ(ex.ec_, condition::invalid_input);
  EXPECT_NE(ex.ec_, condition::transient);
  EXPECT_EQ(ex.delivery_, evidence::never_sent);
  ASSERT_EQ(told.size(), 1u);
  for (const std::string& text : {told[0], ex.detail_}) {
    EXPECT_NE(text.find("unplanned request: POST /v1/charges?"), std::string::npos) << text;
    EXPECT_NE(text.find("script()"), std::string::npos) << text;
    EXPECT_EQ(text.find("s3cr3t"), std::string::npos) << text;
  }
  EXPECT_EQ(net.requests().size(), 2u);
  EXPECT_FALSE(net.expect_done());
  EXPECT_EQ(told.size(), 1u);  // said when it came
}

TEST_F(fake, what_answers_everything_else_is_said_in_so_many_words) {
  net.script({scripted_exchange::answer(201)});
  net.otherwise(scripted_exchange::answer(404, "{}").header("X", "1"));
  for (const int status : {201, 404, 404}) {
    ASSERT_TRUE(run(net, ex));
    EXPECT_EQ(ex.answer_.status(), status);
  }
  EXPECT_EQ(ex.answer_.headers().find("x"), "1");
  EXPECT_TRUE(net.expect_done());
}

TEST_F(fake, what_was_planned_and_never_asked_for_fails_the_test_when_asked) {
  std::vector<std::string> told;
  net.on_surprise([&](std::string_view what) { told.emplace_back(what); });
  net.script({scripted_exchange::answer(201), scripted_exchange::answer(202)});
  EXPECT_FALSE(net.expect_done());
  ASSERT_EQ(told.size(), 1u);
  EXPECT_NE(told[0].find("2 steps of the script never asked for"), std::string::npos) << told[0];
  ASSERT_TRUE(run(net, ex));
  ASSERT_TRUE(run(net, ex));
  EXPECT_TRUE(net.expect_done());
  EXPECT_EQ(told.size(), 1u);
}

TEST_F(fake, remembers_requests_with_own_fields_before_defaults) {
  http::headers defaults;
  defaults.add("accept", "*/*");
  defaults.add("user-agent", "test");
  ex.default_headers = &defaults;
  ex.own_.add("Accept", "application/json");
  net.script({scripted_exchange::answer(200)});
  ASSERT_TRUE(run(net, ex));
  const auto seen = net.requests();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].method, "POST");
  EXPECT_EQ(seen[0].target, "/v1/charges");
  EXPECT_EQ(seen[0].header("ACCEPT"), "application/json");
  EXPECT_EQ(seen[0].header("User-Agent"), "test");
  EXPECT_EQ(seen[0].headers.size(), 2u);
}

TEST_F(fake, delays_on_the_environments_time) {
  net.script({scripted_exchange::answer(200).after(2s)});
  net.start(ex);
  io.poll();
  advance(2s - 1ns);
  EXPECT_FALSE(ex.done());
  EXPECT_EQ(net.running(), 1u);
  advance(1ns);
  ASSERT_TRUE(run_until(ex));
  EXPECT_EQ(net.running(), 0u);
}

TEST_F(fake, never_completes_inside_start_or_cancel) {
  net.script(
      {scripted_exchange::answer(200), scripted_exchange::hang().delivered(evidence::never_sent)});
  net.start(ex);
  EXPECT_FALSE(ex.done());
  ASSERT_TRUE(run_until(ex));
  ex.again();
  net.start(ex);
  advance(1000h);
  net.cancel(ex);
  net.cancel(ex);
  EXPECT_FALSE(ex.done());
  ASSERT_TRUE(run_until(ex));
  EXPECT_EQ(ex.ec_, canceled_error());
  EXPECT_EQ(ex.delivery_, evidence::never_sent);
  EXPECT_EQ(ex.ends_, 2);
  EXPECT_EQ(net.canceled(), 1u);
}

TEST_F(fake, closing_ends_what_runs_and_what_comes) {
  net.script({scripted_exchange::hang()});
  net.start(ex);
  net.close();
  ASSERT_TRUE(run_until(ex));
  EXPECT_EQ(ex.ec_, errc::client_closed);
  EXPECT_EQ(ex.delivery_, evidence::maybe_applied);
  ASSERT_TRUE(run(net, ex));
  EXPECT_EQ(ex.ec_, errc::client_closed);
  EXPECT_EQ(ex.delivery_, evidence::never_sent);
}

TEST_F(fake, reads_scripted_bytes_as_the_real_transport_does) {
  const std::string head = "HTTP/1.1 201 Created\r\nX: 1\r\n";
  struct row {
    scripted_exchange step;
    error_code ends;
  };
  const std::string whole = head + "Content-Length: 2\r\n\r\nab";
  const error_code reset =
      boost::system::errc::make_error_code(boost::system::errc::connection_reset);
  const row rows[] = {
      {scripted_exchange::bytes(whole), {}},
      {scripted_exchange::bytes("HTTP/1.1 100 Continue\r\n\r\n" + whole), {}},
      {scripted_exchange::bytes(head + "\r\nab"), {}},  // its end is the connection's
      {scripted_exchange::bytes(head + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
       {}},
      {scripted_exchange::bytes(""), errc::connection_closed},
      {scripted_exchange::bytes("nonsense\r\n\r\n"), errc::malformed_response},
      {scripted_exchange::bytes(head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nab"),
       errc::ambiguous_framing},
      {scripted_exchange::bytes(whole).cut_at(whole.size() - 1), errc::truncated_response},
      {scripted_exchange::bytes(whole).reset_at(whole.size() - 1), reset},
      {scripted_exchange::bytes(whole).reset_at(0), reset},
      {scripted_exchange::answer(201, "ab").header("X", "1").cut_at(20), errc::truncated_response},
      {scripted_exchange::answer(201, "ab").header("X", "1").reset_at(20), reset},
      {scripted_exchange::answer(201, "ab").header("X", "1").cut_at(10'000), {}},
  };
  for (const row& r : rows) {
    SCOPED_TRACE(&r - rows);
    net.script({r.step});
    ASSERT_TRUE(run(net, ex));
    EXPECT_EQ(ex.ec_, r.ends);
    EXPECT_EQ(ex.delivery_, r.ends ? evidence::maybe_applied : evidence::answered);
    if (r.ends) {
      EXPECT_NE(ex.detail_.find("bytes of an answer"), std::string::npos) << ex.detail_;
      continue;
    }
    EXPECT_EQ(ex.answer_.status(), 201);
    EXPECT_EQ(ex.answer_.headers().find("x"), "1");
    EXPECT_EQ(ex.answer_.body(), "ab");
  }
}

}  // namespace
}  // namespace hawser::test::fake_transport_test
