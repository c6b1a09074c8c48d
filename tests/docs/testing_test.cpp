// What docs/guide/testing.md quotes: somebody's service, tested over the fake transport and against
// the fault server.
#include "hawser/http/client.hpp"
#include "hawser/http/json.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/async.hpp"
#include "hawser/testing/event_recorder.hpp"
#include "hawser/testing/fake_transport.hpp"
#include "hawser/testing/fault_server.hpp"
#include "hawser/testing/manual_environment.hpp"
#include "hawser/testing/matchers.hpp"
#include "hawser/testing/scripted_operation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

using namespace std::chrono_literals;

namespace testing_test {
namespace {

/// The service under test: it is given its client, and so does not care what carries the requests.
class cashier {
 public:
  explicit cashier(hawser::http::client api) : api_(std::move(api)) {}

  /// The charge's id.
  hawser::result<std::string> charge(const std::string& order, int cents) {
    const auto answer = api_.send(hawser::http::request::post("/v1/charges")
                                      .json({{"order", order}, {"cents", cents}})
                                      .idempotency_key(order),
                                  {.report = &last});
    if (!answer) return answer.error();
    const auto good = answer->ensure_success();
    if (!good) return good.error();
    const auto receipt = good->json();
    if (!receipt) return receipt.error();
    return receipt->value("id", "");
  }

  hawser::call_report last;

 private:
  hawser::http::client api_;
};

using hawser::testing::fake_transport;
using hawser::testing::fault_server;
using hawser::testing::manual_environment;
using hawser::testing::plan;
using hawser::testing::scripted_end;
using hawser::testing::scripted_exchange;
using hawser::testing::scripted_operation;
using namespace hawser::testing;  // the matchers
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::SizeIs;

class over_the_fake_transport : public ::testing::Test {
 protected:
  hawser::http::client client() {
    hawser::http::client_options options;
    options.transport = net;
    return hawser::http::client(env, "https://gateway.example",
                                hawser::http::standard_pipeline("gateway"), options);
  }

  manual_environment env;
  std::shared_ptr<fake_transport> net = std::make_shared<fake_transport>(env);
  cashier shop{client()};
};

TEST_F(over_the_fake_transport, waits_as_long_as_the_gateway_asks) {
  net->script({scripted_exchange::answer(503).header("Retry-After", "20"),
               scripted_exchange::answer(201, R"({"id":"ch_1"})")});
  const auto start = env.now();

  EXPECT_THAT(shop.charge("o-1", 4200), IsOkAnd("ch_1"));

  EXPECT_EQ(env.now() - start, 20s);  // and none of ours
  EXPECT_THAT(
      shop.last,
      AllOf(Attempts(2), Entries(Contains(EventOf(hawser::event_kind::waiting, Lasting(20s))))));
}

TEST_F(over_the_fake_transport, sends_the_same_key_when_an_answer_is_lost) {
  net->script(
      {scripted_exchange::fail(hawser::errc::connection_closed, hawser::evidence::maybe_applied),
       scripted_exchange::answer(201, R"({"id":"ch_1"})")});

  EXPECT_THAT(shop.charge("o-1", 4200), IsOkAnd("ch_1"));

  EXPECT_THAT(net->requests(), SizeIs(2));
  EXPECT_THAT(net->requests(),
              Each(AllOf(RequestTo("POST", "/v1/charges"), HasHeader("Idempotency-Key", "\"o-1\""),
                         HasJson(R"({"order":"o-1","cents":4200})"))));
}

TEST_F(over_the_fake_transport, says_what_it_does_not_know) {
  net->handle([](const sent_request&) { return scripted_exchange::hang(); });

  EXPECT_THAT(shop.charge("o-1", 4200),
              AllOf(FailsWith(hawser::errc::outcome_unknown), DetailHas("time limit")));
}

TEST_F(over_the_fake_transport, reads_bytes_as_the_real_one_does) {
  net->script({scripted_exchange::bytes("HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\n{\"i"),
               scripted_exchange::answer(201, R"({"id":"ch_1"})").reset_at(30),
               scripted_exchange::answer(201, R"({"id":"ch_1"})")});

  EXPECT_THAT(shop.charge("o-1", 4200), IsOkAnd("ch_1"));
  EXPECT_THAT(shop.last, Entries(Contains(FailsWith(hawser::errc::truncated_response))));
}

TEST(against_the_fault_server, a_charge_that_was_booked_and_never_told_is_not_booked_again) {
  fault_server gateway;
  gateway.script({
      plan::answer(201, R"({"id":"ch_1"})").book().reset_at(0),  // charged, never told
      plan::answer(201, R"({"id":"ch_2"})").book(),              // the same key gets ch_1
  });
  hawser::environment env;
  cashier shop{hawser::http::client(env, gateway.url())};

  EXPECT_THAT(shop.charge("o-1", 4200), IsOkAnd("ch_1"));

  EXPECT_EQ(gateway.ledger().double_bookings, 0u);
  EXPECT_THAT(gateway.requests(), ElementsAre(RequestTo("POST", "/v1/charges"),
                                              HasHeader("Idempotency-Key", "\"o-1\"")));
}

TEST(a_pipeline_alone, on_virtual_time) {
  manual_environment env;
  env.random().will_draw({0.5});  // the jitter of the first wait
  auto seen = std::make_shared<hawser::testing::event_recorder>();
  const auto billing = hawser::pipeline_builder{"billing"}
                           .add(hawser::retry{.max_attempts = 2})
                           .add(hawser::timeout{.after = 2s})
                           .calls_are(hawser::effect::safe)
                           .observe(seen)
                           .build(env);
  const scripted_operation op{env, {scripted_end::hang(), scripted_end::ok(7).after(10ms)}};

  int got = 0;
  billing.wrap(op)([&](hawser::error_code, int value) { got = value; });
  env.advance(2s);  // the first attempt's limit passes
  EXPECT_EQ(op.cancellations(), 1);
  env.run_until_idle();  // the wait, and the second attempt

  EXPECT_EQ(got, 7);
  EXPECT_EQ(op.starts(), 2);
  EXPECT_THAT(seen->events(), Contains(EventOf(hawser::event_kind::timed_out, OnAttempt(1))));
}

}  // namespace
}  // namespace testing_test
