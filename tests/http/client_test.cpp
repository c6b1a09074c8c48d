#include "hawser/http/client.hpp"
#include "hawser/http/json.hpp"
#include "hawser/http/standard_options.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/testing/event_recorder.hpp"
#include "hawser/testing/fault_server.hpp"

#include "http/expect_error.hpp"
#include "http/transport_support.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <thread>
#include <tuple>

namespace hawser::test::client_test {

struct user {
  std::string name;
  int age = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(user, name, age)

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using http::client;
using http::client_options;
using http::idempotency_profile;
using http::request;
using http::response;
using http::standard_options;
using http::standard_pipeline;
using testing::connection_plan;
using testing::ending;
using testing::fault_counters;
using testing::fault_server;
using testing::fault_server_options;
using testing::fault_server_tls;
using testing::garble;
using testing::leaf_request;
using testing::plan;
using testing::received_request;
using testing::test_authority;

constexpr char ada[] = R"({"name":"Ada","age":36})";

/// The standard stack with waits fit for tests.
standard_options brisk(int attempts = 3) {
  standard_options o;
  o.retry.max_attempts = attempts;
  o.retry.delay = constant{.each = 1ms, .spread = jitter::none};
  o.breaker.consecutive_failures.reset();
  o.breaker.window = time_window{};
  o.breaker.min_calls = 10'000;
  o.origin_breaker.reset();
  o.retry.budget = make_budget(token_budget{.tokens = 1'000'000});
  return o;
}

class client_test : public ::testing::Test {
 protected:
  static std::unique_ptr<fault_server> serve_tls(leaf_request leaf = {}) {
    fault_server_tls how;
    how.leaf = std::move(leaf);
    fault_server_options o;
    o.tls = std::move(how);
    return std::make_unique<fault_server>(std::move(o));
  }
  client make(standard_options policies = brisk(), client_options options = {}) {
    return {env, server.url(), standard_pipeline("api", std::move(policies)), std::move(options)};
  }
  static request charge() {
    return request::post("/v1/charges").json({{"order", "o-1"}, {"amount", 7}});
  }
  /// Lets the rig's time pass, `each` at a step, until `holds`.
  static bool pass(transport_rig& rig, duration each, const std::function<bool()>& holds) {
    return rig.run_until([&] {
      rig.advance(each);
      return holds();
    });
  }

  environment env;
  fault_server server;
  call_report report;
  const call_options told{.report = &report};
};

// --- four ways to call -------------------------------------------------------------------------

asio::awaitable<void> by_coroutine(const client& api, std::vector<result<response>>& got) {
  const request what = request::get("/users/{id}").param("id", "42");
  result<response> first = co_await api.async_send(what);
  got.push_back(std::move(first));
  std::tuple<result<response>> second =
      co_await api.async_send(what, asio::as_tuple(asio::use_awaitable));
  got.push_back(std::get<0>(std::move(second)));
  result<response> third = co_await api.async_send(what, asio::use_awaitable);
  got.push_back(std::move(third));
  result<response> fourth = co_await api.get("/users/{id}").param("id", "42").async_send();
  got.push_back(std::move(fourth));
  response into;
  const result<void> fifth = co_await api.async_send_to(what, into);
  if (fifth)
    got.emplace_back(std::move(into));
  else
    got.emplace_back(fifth.error());
}

void expect_ada(const result<response>& r) {
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(r->status(), 200);
  EXPECT_EQ(r->body(), ada);
  EXPECT_EQ(r->headers().find("content-type"), "application/json");
  EXPECT_EQ(r->evidence(), evidence::answered);
}

class each_way : public client_test, public ::testing::WithParamInterface<bool> {
 protected:
  each_way() {
    if (GetParam()) {
      secure = serve_tls();
      options.tls.ca_pem = secure->authority()->certificate();
    }
    // Every other answer is a 503, so that each way goes through a retry.
    at().handle([](const received_request& r) {
      EXPECT_EQ(r.target, "/users/42");
      return r.number % 2 == 0 ? plan::answer(200, ada) : plan::answer(503);
    });
  }
  fault_server& at() { return secure ? *secure : server; }
  client make_on(const environment& on) {
    return {on, at().url(), standard_pipeline("api", brisk()), options};
  }
  std::unique_ptr<fault_server> secure;
  client_options options;
  const request what = request::get("/users/{id}").param("id", "42");
};

TEST_P(each_way, blocking) {
  const client api = make_on(env);
  expect_ada(api.send(what));
  expect_ada(api.get("/users/{id}", {{"id", "42"}}).send());
  response into;
  ASSERT_TRUE(api.send(what, into));
  EXPECT_EQ(into.body(), ada);
  EXPECT_EQ(at().counters().requests, 6u);
  EXPECT_EQ(at().counters().connections, 1u);
  EXPECT_EQ(api.stats().reused, 5u);
}

TEST_P(each_way, callback) {
  asio::io_context io;
  const client api = make_on(environment{io.get_executor()});
  int calls = 0;
  api.async_send(what, [&](const result<response>& r) {
    ++calls;
    expect_ada(r);
  });
  EXPECT_EQ(calls, 0);
  io.run();  // returns: an idle client keeps no work
  EXPECT_EQ(calls, 1);
}

TEST_P(each_way, callback_on_another_context) {
  asio::io_context io;
  const client api = make_on(env);  // runs on its own thread
  int calls = 0;
  api.async_send(what, asio::bind_executor(io.get_executor(), [&](const result<response>& r) {
                   ++calls;
                   EXPECT_TRUE(io.get_executor().running_in_this_thread());
                   expect_ada(r);
                 }));
  io.run();  // does not return before the handler ran
  EXPECT_EQ(calls, 1);
}

TEST_P(each_way, future) {
  const client api = make_on(env);
  std::future<result<response>> later = api.async_send(what, asio::use_future);
  ASSERT_EQ(later.wait_for(10s), std::future_status::ready);
  expect_ada(later.get());
}

TEST_P(each_way, coroutine) {
  asio::io_context io;
  const client api = make_on(environment{io.get_executor()});
  std::vector<result<response>> got;
  std::exception_ptr thrown;
  asio::co_spawn(io, by_coroutine(api, got), [&](std::exception_ptr e) { thrown = e; });
  io.run();
  EXPECT_FALSE(thrown);
  ASSERT_EQ(got.size(), 5u);
  for (const result<response>& r : got) expect_ada(r);
}

INSTANTIATE_TEST_SUITE_P(over, each_way, ::testing::Bool(),
                         [](const auto& how) { return std::string(how.param ? "tls" : "tcp"); });

TEST_F(client_test, an_answers_memory_is_reused) {
  server.handle([](const received_request& r) { return plan::answer(200, r.target + ada); });
  const client api = make();
  response answer;
  const request first = request::get("/a-long-enough-target-to-be-on-the-heap");
  ASSERT_TRUE(api.send(first, answer));
  const char* const memory = answer.body().data();
  const request second = request::get("/b");
  ASSERT_TRUE(api.send(second, answer));
  EXPECT_EQ(answer.body().data(), memory);
  EXPECT_EQ(answer.body(), std::string("/b") + ada);
  server.go_down();
  EXPECT_EQ(api.send(second, answer).error().code(), boost::system::errc::connection_refused);
}

// --- between attempts --------------------------------------------------------------------------

TEST_F(client_test, the_answer_a_retry_discards_leaves_its_connection_fit_for_the_next) {
  server.script({plan::answer(503, std::string(100'000, 'x')), plan::answer(200, "done")});
  const client api = make();
  const result<response> got = api.send(request::get("/big"), told);
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->body(), "done");
  EXPECT_EQ(report.attempts, 2);
  EXPECT_EQ(server.counters().connections, 1u)
      << "it was read to its end and the connection used again";
}

// --- one-liners --------------------------------------------------------------------------------

TEST_F(client_test, can_be_made_without_exceptions) {
  result<client> made = client::try_make(env, server.url());
  ASSERT_TRUE(made) << made.error().message();
  const client api = *std::move(made);
  server.script({plan::answer(200, std::string(ada))});
  expect_ada(api.get("/users/42").send());

  EXPECT_EQ(client::try_make(env, "ftp://x").error(), errc::invalid_url);
  client_options options;
  options.pool.max_connections = 0;
  const error why = client::try_make(env, server.url(), standard_pipeline("api"), options).error();
  EXPECT_EQ(why, errc::invalid_options);
  EXPECT_NE(why.detail().find("pool.max_connections = 0"), std::string::npos) << why.detail();
  options = {};
  options.tls.ca_file = "/nowhere/ca.pem";
  EXPECT_EQ(client::try_make(env, "https://x", standard_pipeline("api"), options).error(),
            errc::tls_bad_credentials);
  const error named = client::try_make(env, server.url(), pipeline_builder("")).error();
  EXPECT_NE(named.detail().find("pipeline.name"), std::string::npos) << named.detail();
}

TEST_F(client_test, one_line_with_json_both_ways) {
  server.script({plan::answer(200, ada), plan::answer(404, "{}"),
                 plan::answer(200, R"({"name":"Ada","age":"old"})"), plan::answer(200, "{"),
                 plan::answer(200, R"({"name":"Ada"})")});
  const client api = make();
  const result<user> good = api.post("/users").json(user{"Bob", 7}).as<user>();
  ASSERT_TRUE(good) << good.error().message();
  EXPECT_EQ(good->name, "Ada");
  const auto seen = server.requests();
  EXPECT_EQ(nlohmann::json::parse(seen.at(0).request.body),
            nlohmann::json({{"name", "Bob"}, {"age", 7}}));
  EXPECT_EQ(seen[0].request.header("Content-Type"), "application/json");
  expect_error(api.get("/users/7").as<user>().error(), errc::client_error, condition::bad_response,
               {"404", "Not Found"});
  expect_error(api.get("/users/7").as<user>().error(), errc::json_wrong_type,
               condition::bad_response, {"age"});
  EXPECT_EQ(api.get("/users/7").as<user>().error(), errc::json_malformed);
  expect_error(api.get("/users/7").as<user>().error(), errc::json_wrong_type,
               condition::bad_response, {"age"});
}

TEST_F(client_test, routes_queries_and_the_base_path_make_the_target) {
  server.handle([](const received_request& r) { return plan::answer(200, r.method + r.target); });
  const auto answer = [&](std::string_view base, request what) {
    const client api(env, server.url() + std::string(base), standard_pipeline("api", brisk()));
    const result<response> r = api.send(std::move(what));
    return r ? std::string(r->body()) : r.error().message();
  };
  EXPECT_EQ(answer("", request::get("/x")), "GET/x");
  EXPECT_EQ(answer("/", request::get("/x")), "GET/x");
  EXPECT_EQ(answer("/api", request::get("/x")), "GET/api/x");
  EXPECT_EQ(answer("/api/", request::get("/x")), "GET/api/x");
  EXPECT_EQ(answer("/api/v1//", request::get("/x")), "GET/api/v1//x");
  EXPECT_EQ(answer("/api", request::get("/")), "GET/api/");
  EXPECT_EQ(answer("/a%20b", request::get("/{x}/y?q=1").param("x", "a/b c?").query("r", "&=+ ")),
            "GET/a%20b/a%2Fb%20c%3F/y?q=1&r=%26%3D%2B%20");

  const client api = make();
  EXPECT_EQ(api.get("/{a}/{b}", {{"a", "1"}, {"b", "2"}}).send()->body(), "GET/1/2");
  EXPECT_EQ(api.delete_("/{a}").param("a", "1").send()->body(), "DELETE/1");
  EXPECT_EQ(api.put("/p").body("x", "text/plain").send()->body(), "PUT/p");
  EXPECT_EQ(api.patch("/p").query("a", "1").query("b", "2").send()->body(), "PATCH/p?a=1&b=2");
  EXPECT_EQ(api.head("/p").send()->body(), "");
  EXPECT_EQ(server.requests().back().request.method, "HEAD");
}

TEST_F(client_test, a_request_survives_being_built_in_pieces) {
  request what = request::post("/users/{id}");
  std::move(what).param("id", "a-parameter-long-enough-for-the-heap");
  what = std::move(what).header("X-A", "a-header-value-long-enough-for-the-heap");
  std::move(what).query("q", "a-query-value-long-enough-for-the-heap");
  std::move(what).body("a body that is long enough to be on the heap", "text/plain");
  const client api = make();
  auto ready = api.post("/users/{id}", {{"id", "a-parameter-long-enough-for-the-heap"}})
                   .header("X-A", "a-header-value-long-enough-for-the-heap")
                   .query("q", "a-query-value-long-enough-for-the-heap")
                   .body("a body that is long enough to be on the heap", "text/plain");
  ready = std::move(ready).header("X-B", "1");
  what = request(what);
  ASSERT_TRUE(api.send(what));
  ASSERT_TRUE(std::move(ready).send());
  const auto seen = server.requests();
  ASSERT_EQ(seen.size(), 2u);
  for (const auto& r : seen) {
    EXPECT_EQ(r.request.method, "POST");
    EXPECT_EQ(r.request.target,
              "/users/a-parameter-long-enough-for-the-heap?q=a-query-value-long-enough-for-the-"
              "heap");
    EXPECT_EQ(r.request.header("X-A"), "a-header-value-long-enough-for-the-heap");
    EXPECT_EQ(r.request.body, "a body that is long enough to be on the heap");
  }
}

// --- bad input ---------------------------------------------------------------------------------

TEST_F(client_test, base_urls_that_cannot_be_used_are_refused_at_once) {
  for (const std::string& bad :
       {std::string(), std::string("api.test"), std::string("ftp://127.0.0.1/"),
        std::string("http://"), std::string("http://:80/"), std::string("http://h:99999/"),
        std::string("http://h:x/"), std::string("http://a b/"), std::string("http://h/\r\nX: 1"),
        std::string("http://h\0.test/", 15), std::string("http://u:s3cr3t@127.0.0.1/"),
        server.url() + "/?token=s3cr3t"}) {
    SCOPED_TRACE(bad);
    try {
      const client api(env, bad);
      ADD_FAILURE() << "accepted";
    } catch (const call_error& e) {
      expect_error(e.why(), errc::invalid_url, condition::invalid_input, {});
      EXPECT_FALSE(e.why().detail().empty());
    }
  }
  EXPECT_EQ(server.counters().connections, 0u);
}

TEST_F(client_test, credentials_that_cannot_be_used_are_refused_at_once) {
  client_options options;
  options.tls.ca_pem = "s3cr3t, no certificate";
  try {
    const client api(env, "https://localhost/", standard_pipeline("api"), options);
    ADD_FAILURE() << "accepted";
  } catch (const call_error& e) {
    expect_error(e.why(), errc::tls_bad_credentials, condition::tls_failure, {"ca_pem"});
  }
}

TEST_F(client_test, bad_requests_open_no_connection) {
  const client api = make();
  EXPECT_EQ(api.get("/users/{id}").send().error(), errc::invalid_route);
  EXPECT_EQ(api.get("/").header("X", "a\r\nb").send().error(), errc::invalid_header);
  EXPECT_TRUE(api.get("/").async_send(asio::use_future).get());
  EXPECT_EQ(server.counters().requests, 1u);
}

TEST_F(client_test, a_blocking_call_on_a_thread_that_runs_the_executor_would_deadlock) {
  const client own = make();
  std::promise<error> on_own;
  own.async_send(request::get("/"), [&](const result<response>&) {
    const result<response> r = own.send(request::get("/"));
    on_own.set_value(r ? error() : r.error());
  });
  EXPECT_EQ(on_own.get_future().get(), errc::would_deadlock);

  asio::io_context io;
  const client theirs(environment{io.get_executor()}, server.url());
  error seen;
  asio::post(io, [&] { seen = theirs.get("/").send().error(); });
  io.run();
  EXPECT_EQ(seen, errc::would_deadlock);
  EXPECT_NE(seen.message().find("use an asynchronous form"), std::string::npos);
}

// --- meaning -----------------------------------------------------------------------------------

TEST_F(client_test, a_keyed_charge_is_booked_once_though_its_answer_was_lost_at_any_byte) {
  const client api = make(brisk(), [] {
    client_options o;
    o.idempotency = idempotency_profile::stripe();
    return o;
  }());
  const std::vector<std::size_t> cuts = {0, 1, 20, 60};
  for (const std::size_t cut : cuts) {
    SCOPED_TRACE(cut);
    server.script({plan::answer(201, R"({"id":"ch_1"})").book().cut_at(cut),
                   plan::answer(201, R"({"id":"ch_1"})").book().reset_at(cut),
                   plan::answer(201, R"({"id":"ch_1"})").book()});
    const request what = request::post("/v1/charges").json({{"order", std::to_string(cut)}});
    const result<response> r = api.send(what, told);
    ASSERT_TRUE(r) << r.error().message();
    EXPECT_EQ(r->status(), 201);
    EXPECT_EQ(r->body(), R"({"id":"ch_1"})");
    EXPECT_EQ(report.attempts, 3);
  }
  EXPECT_EQ(server.ledger().bookings, cuts.size());
  EXPECT_EQ(server.ledger().double_bookings, 0u);
  EXPECT_EQ(server.ledger().unkeyed, 0u);
  const auto seen = server.requests();
  ASSERT_EQ(seen.size(), 3 * cuts.size());
  for (std::size_t i = 0; i < seen.size(); i += 3) {
    ASSERT_TRUE(seen[i].request.header("Idempotency-Key"));
    for (std::size_t k = 1; k < 3; ++k) {
      EXPECT_EQ(seen[i + k].request.header("Idempotency-Key"),
                seen[i].request.header("Idempotency-Key"));
      EXPECT_EQ(seen[i + k].request.body, seen[i].request.body);
    }
  }
}

TEST_F(client_test, a_charge_without_a_key_is_not_repeated_and_says_what_to_do) {
  server.script({plan::answer(201, R"({"id":"ch_1"})").book().reset_at(0)});
  const client api = make();
  const result<response> r = api.send(charge(), told);
  ASSERT_TRUE(r.has_error());
  expect_error(r.error(), errc::outcome_unknown, condition::ambiguous,
               {"127.0.0.1:" + std::to_string(server.port()), "reconcile before repeating it"});
  EXPECT_EQ(server.counters().requests, 1u);
  EXPECT_EQ(server.ledger().bookings, 1u);
}

/// Lets a server come up again when the first wait begins.
class reviver final : public observer {
 public:
  explicit reviver(fault_server& who) : who_(who) {}
  void on_event(const event& what) override {
    if (what.kind == event_kind::waiting) who_.come_up();
  }

 private:
  fault_server& who_;
};

TEST_F(client_test, a_charge_whose_connection_was_refused_is_sent_again) {
  server.go_down();
  auto policies = standard_pipeline("api", brisk());
  policies.observe(std::make_shared<reviver>(server));
  const client api(env, server.url(), policies);
  server.handle([](const received_request&) { return plan::answer(201, "{}").book(); });
  const result<response> r = api.send(charge(), told);
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(r->status(), 201);
  EXPECT_EQ(report.attempts, 2);
  EXPECT_EQ(report.entries.at(2).delivery, evidence::never_sent);
  EXPECT_EQ(server.ledger().bookings, 1u);
}

TEST_F(client_test, a_key_in_flight_at_the_server_is_asked_for_again) {
  fault_server_options strict;
  strict.effects.conflict_in_flight = true;
  fault_server busy(strict);
  // The first answer stalls while the server still works on it.
  busy.script({plan::answer(201, "{}").processing(200ms).book(), plan::answer(201, "{}").book()});
  busy.handle([](const received_request&) { return plan::answer(201, "{}").book(); });
  standard_options quick = brisk(50);
  quick.retry.delay = constant{.each = 10ms, .spread = jitter::none};
  quick.attempt_timeout = 100ms;
  const client api(env, busy.url(), standard_pipeline("api", quick));
  const result<response> r = api.send(charge().idempotency_key("o-1"), told);
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(r->status(), 201);
  EXPECT_EQ(busy.ledger().bookings, 1u);
}

TEST_F(client_test, a_stalled_attempt_ends_in_time_and_its_connection_is_not_used_again) {
  server.script({plan::stall(), plan::answer(200, ada).stall_in_head(),
                 plan::answer(200, ada).stall_body_at(3), plan::answer(200, ada)});
  standard_options patient = brisk(4);
  patient.call_timeout = 1h;
  transport_rig rig;  // time moves by hand: an attempt may take as long as it likes
  const client api(rig.env, server.url(), standard_pipeline("api", patient));
  std::optional<result<response>> got;
  api.async_send(request::get("/"), told, [&](result<response> r) { got.emplace(std::move(r)); });
  for (std::uint64_t n = 1; n <= 3; ++n) {
    ASSERT_TRUE(pass(rig, 1ms, [&] { return server.counters().stalls == n; }));
    rig.advance(patient.attempt_timeout);
  }
  ASSERT_TRUE(pass(rig, 1ms, [&] { return got.has_value(); }));
  expect_ada(*got);
  EXPECT_EQ(report.attempts, 4);
  EXPECT_EQ(server.counters().connections, 4u);
  EXPECT_EQ(api.stats().connections, 1u);
}

TEST_F(client_test, each_time_limit_has_its_own_code) {
  server.script({plan::stall(), plan::answer(200, ada).stall_body_at(3), plan::stall()});
  client_options begins;
  begins.times.first_byte = 20ms;
  expect_error(make(brisk(1), begins).send(request::get("/")).error(), errc::first_byte_timeout,
               condition::timeout, {"127.0.0.1"});
  ASSERT_TRUE(server.wait_for([](const fault_counters& c) { return c.stalls == 1; }, 10s));
  client_options goes_on;
  goes_on.times.between_bytes = 20ms;
  expect_error(make(brisk(1), goes_on).send(request::get("/")).error(), errc::between_bytes_timeout,
               condition::timeout, {"127.0.0.1"});
  standard_options quick = brisk();
  quick.call_timeout = 20ms;
  expect_error(make(quick).send(request::get("/")).error(), errc::call_timeout, condition::timeout,
               {"call timeout"});
}

// --- cancellation and lifetime -----------------------------------------------------------------

TEST_F(client_test, cancelling_in_an_exchange_ends_it_and_its_connection) {
  server.script({plan::stall()});
  asio::io_context io;
  const client api(environment{io.get_executor()}, server.url(), standard_pipeline("api", brisk()));
  asio::cancellation_signal signal;
  error ended;
  int calls = 0;
  api.async_send(request::get("/"),
                 asio::bind_cancellation_slot(signal.slot(), [&](const result<response>& r) {
                   ++calls;
                   if (!r) ended = r.error();
                 }));
  std::thread canceller([&] {
    EXPECT_TRUE(server.wait_for([](const fault_counters& c) { return c.stalls == 1; }, 10s));
    asio::post(io, [&] { signal.emit(asio::cancellation_type::terminal); });
  });
  io.run();
  canceller.join();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(ended, canceled_error());
  EXPECT_EQ(api.stats().connections, 0u);
  EXPECT_TRUE(
      server.wait_for([](const fault_counters& c) { return c.open_connections == 0; }, 10s));
}

asio::awaitable<void> send_and_tell(const client& api, std::optional<error>& ended) {
  const result<response> r = co_await api.async_send(request::get("/"), asio::use_awaitable);
  ended = r ? error() : r.error();
}

TEST_F(client_test, cancelling_a_coroutine_reaches_its_call) {
  server.script({plan::stall()});
  asio::io_context io;
  const client api(environment{io.get_executor()}, server.url(), standard_pipeline("api", brisk()));
  asio::cancellation_signal signal;
  std::optional<error> ended;
  bool finished = false;
  asio::co_spawn(
      io, send_and_tell(api, ended),
      asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr) { finished = true; }));
  std::thread canceller([&] {
    EXPECT_TRUE(server.wait_for([](const fault_counters& c) { return c.stalls == 1; }, 10s));
    asio::post(io, [&] { signal.emit(asio::cancellation_type::terminal); });
  });
  io.run();
  canceller.join();
  EXPECT_TRUE(finished);
  EXPECT_EQ(server.counters().requests, 1u);
  EXPECT_EQ(api.stats().connections, 0u);
}

TEST_F(client_test, destroying_a_client_ends_its_calls_promptly) {
  server.handle([](const received_request& r) {
    return r.target == "/stall" ? plan::stall() : plan::answer(503).retry_after(50s);
  });
  standard_options patient = brisk();
  patient.call_timeout = 1h;
  patient.attempt_timeout = 1h;
  patient.bulkhead.max_concurrent = 1;  // which a call in a back-off does not hold
  patient.bulkhead.max_queue_wait.reset();
  std::optional<client> api(make(patient));
  std::vector<std::future<result<response>>> calls;
  calls.push_back(api->async_send(request::get("/back-off"), asio::use_future));
  ASSERT_TRUE(server.wait_for([](const fault_counters& c) { return c.answers == 1; }, 10s));
  calls.push_back(api->async_send(request::get("/stall"), asio::use_future));
  ASSERT_TRUE(server.wait_for([](const fault_counters& c) { return c.stalls == 1; }, 10s));
  calls.push_back(api->async_send(request::get("/parked"), asio::use_future));
  api.reset();
  for (auto& call : calls) {
    ASSERT_EQ(call.wait_for(10s), std::future_status::ready);
    EXPECT_EQ(call.get().error(), canceled_error());
  }
  EXPECT_EQ(server.counters().requests, 2u);
  EXPECT_TRUE(server.wait_for([](const fault_counters& c) { return c.open_connections == 0; }, 10s))
      << "its connections went with it";
}

TEST_F(client_test, calls_are_let_go_when_their_context_is_destroyed) {
  server.handle([](const received_request& r) {
    return r.target == "/stall" ? plan::stall() : plan::answer(503).retry_after(20s);
  });
  auto io = std::make_unique<asio::io_context>();
  standard_options two = brisk();
  two.bulkhead.max_concurrent = 1;  // which a call in a back-off does not hold
  two.bulkhead.max_queue_wait.reset();
  std::optional<client> api(std::in_place, environment{io->get_executor()}, server.url(),
                            standard_pipeline("api", two));
  const auto held = std::make_shared<int>(0);
  for (const char* target : {"/back-off", "/stall", "/parked"})
    api->async_send(request::get(target), [held](const result<response>&) { ++*held; });
  for (int i = 0; i < 2000 && (server.counters().stalls == 0 || server.counters().answers == 0);
       ++i)
    io->run_one_for(5ms);
  ASSERT_EQ(server.counters().requests, 2u);
  api.reset();
  io.reset();
  EXPECT_EQ(*held, 0) << "no handler runs in the destructor of a context";
  EXPECT_EQ(held.use_count(), 1) << "and none is kept";
}

TEST_F(client_test, a_blocking_call_ends_when_its_client_is_closed) {
  server.handle([](const received_request&) { return plan::stall(); });
  client api = make();
  std::thread closer([&] {
    EXPECT_TRUE(server.wait_for([](const fault_counters& c) { return c.stalls == 1; }, 10s));
    api.close();
  });
  EXPECT_EQ(api.send(request::get("/")).error(), canceled_error());
  closer.join();
  EXPECT_EQ(api.send(request::get("/")).error(), canceled_error());
  EXPECT_EQ(server.counters().requests, 1u) << "a closed client sends nothing";
}

TEST_F(client_test, a_moved_client_works) {
  client first = make();
  ASSERT_TRUE(first.send(request::get("/")));
  client second = std::move(first);
  ASSERT_TRUE(second.send(request::get("/")));
  EXPECT_EQ(server.counters().connections, 1u);
  fault_server other;
  second = client(env, other.url());
  ASSERT_TRUE(second.send(request::get("/")));
  EXPECT_EQ(other.counters().requests, 1u);
  EXPECT_TRUE(
      server.wait_for([](const fault_counters& c) { return c.open_connections == 0; }, 10s));
}

TEST_F(client_test, many_calls_from_many_threads_on_a_context_of_many_threads) {
  constexpr int callers = 4;
  constexpr int each = 60;
  server.handle([](const received_request& r) {
    const std::uint64_t n = r.number;
    if (n % 7 == 0) return plan::answer(503);
    if (n % 11 == 0) return plan::close();
    if (n % 13 == 0) return plan::answer(200, r.target).cut_at(9);
    return plan::answer(200, r.target, "text/plain").book();
  });
  asio::io_context io;
  auto work = std::make_optional(asio::make_work_guard(io));
  std::vector<std::thread> runners;
  for (int i = 0; i < 4; ++i) runners.emplace_back([&] { io.run(); });
  standard_options policies = brisk(10);
  policies.retry.budget = make_budget(retry_budget{.reserve_per_second = 1000});
  client_options options;
  options.correlation_header = "X-Correlation-Id";
  options.idempotency = idempotency_profile::stripe();
  auto seen = std::make_shared<testing::event_recorder>();
  auto stack = standard_pipeline("api", policies);
  stack.observe(seen);
  std::optional<client> api(std::in_place, environment{io.get_executor()}, server.url(), stack,
                            options);
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < callers; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) {
        const std::string target = "/" + std::to_string(t) + "/" + std::to_string(i);
        const bool write = i % 3 == 0;
        request what = write ? request::post(target).body("{\"order\":\"" + target + "\"}", "a/b")
                             : request::get(target);
        if (i % 2 == 0) {
          const result<response> r = api->send(std::move(what));
          if (r && r->body() == target) ++good;
        } else {
          const result<response> r = api->async_send(std::move(what), asio::use_future).get();
          if (r && r->body() == target) ++good;
        }
      }
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(good, callers * each);
  EXPECT_EQ(seen->count(event_kind::call_finished), callers * each);
  EXPECT_EQ(server.ledger().double_bookings, 0u);
  // And destroyed with calls in the air.
  std::vector<std::future<result<response>>> last;
  for (int i = 0; i < 50; ++i)
    last.push_back(api->async_send(request::get("/last"), asio::use_future));
  api.reset();
  for (auto& one : last) {
    const result<response> r = one.get();
    EXPECT_TRUE(r || r.error() == canceled_error()) << r.error().message();
  }
  work.reset();
  for (std::thread& t : runners) t.join();
}

// --- servers that misbehave --------------------------------------------------------------------

struct misbehaviour {
  const char* name;
  std::function<plan()> what;
  errc code;
  condition kind;
  std::string_view word;
  std::optional<duration> http::time_limits::*limit = nullptr;  // the one that ends it
};

const std::vector<misbehaviour>& misbehaviours() {
  static const std::vector<misbehaviour> all = {
      {"nothing", [] { return plan::close(); }, errc::connection_closed, condition::transient,
       "closed the connection"},
      {"half a header", [] { return plan::answer(200, ada).cut_at(30); }, errc::truncated_response,
       condition::bad_response, "after 30 bytes"},
      {"half a body", [] { return plan::answer(200, ada).cut_body_at(5); },
       errc::truncated_response, condition::bad_response, "closed the connection"},
      {"half of the chunks", [] { return plan::answer(200, ada).chunked().cut_body_at(5); },
       errc::truncated_response, condition::bad_response, "closed the connection"},
      {"stalled", [] { return plan::stall(); }, errc::first_byte_timeout, condition::timeout,
       "first byte", &http::time_limits::first_byte},
      {"stalled header", [] { return plan::answer(200, ada).stall_in_head(); },
       errc::between_bytes_timeout, condition::timeout, "stalled",
       &http::time_limits::between_bytes},
      {"two lengths", [] { return plan::malformed(garble::two_lengths); }, errc::ambiguous_framing,
       condition::bad_response, "contradictory lengths"},
      {"length and chunks", [] { return plan::malformed(garble::length_and_chunks); },
       errc::ambiguous_framing, condition::bad_response, "contradictory lengths"},
      {"bad chunk", [] { return plan::malformed(garble::bad_chunk_size); },
       errc::malformed_response, condition::bad_response, "chunk"},
      {"no HTTP", [] { return plan::malformed(garble::not_http); }, errc::malformed_response,
       condition::bad_response, "HTTP/1.1"},
      {"bad status line", [] { return plan::malformed(garble::bad_status_line); },
       errc::malformed_response, condition::bad_response, "HTTP/1.1"},
      {"oversize header", [] { return plan::malformed(garble::oversize_header, 100'000); },
       errc::headers_too_large, condition::bad_response, "limits.header_bytes"},
      {"oversize body", [] { return plan::malformed(garble::oversize_body, 100'000); },
       errc::body_too_large, condition::bad_response, "limits.body_bytes"},
      {"announced oversize body", [] { return plan::answer(200, std::string(100'000, 'x')); },
       errc::body_too_large, condition::bad_response, "limits.body_bytes"},
      {"too many interim answers", [] { return plan::malformed(garble::interim_flood, 50); },
       errc::too_many_interim, condition::bad_response, "limits.interim_responses"},
  };
  return all;
}

class misbehaving : public client_test {
 protected:
  static client_options tight() {
    client_options o;
    o.bounds.body_bytes = 50'000;
    o.bounds.header_bytes = 20'000;
    return o;
  }
  void each(fault_server& at, const client_options& options) {
    for (const misbehaviour& m : misbehaviours()) {
      SCOPED_TRACE(m.name);
      // All other limits are far, so that on a slow machine none of them is over first.
      client_options limited = options;
      if (m.limit != nullptr) limited.times.*m.limit = 40ms;
      const client api(env, at.url("localhost"), standard_pipeline("api", brisk(1)), limited);
      const fault_counters before = at.counters();
      at.script({m.what(), m.what(), m.what()});
      const result<response> read = api.send(request::get("/"), told);
      ASSERT_TRUE(read.has_error());
      expect_error(read.error(), m.code, m.kind,
                   {m.word, "localhost:" + std::to_string(at.port())});
      EXPECT_EQ(report.delivery, evidence::maybe_applied);
      const result<response> write = api.send(charge());
      ASSERT_TRUE(write.has_error());
      expect_error(write.error(), errc::outcome_unknown, condition::ambiguous,
                   {make_error_code(m.code).message(), "reconcile"});
      const result<response> keyed = api.send(charge().idempotency_key("s3cr3t"));
      ASSERT_TRUE(keyed.has_error());
      expect_error(keyed.error(), errc::outcome_unknown, condition::ambiguous,
                   {"#" + http::fingerprint("s3cr3t")});
      // A limit does not wait for the server to have seen the request.
      ASSERT_TRUE(at.wait_for(
          [&](const fault_counters& now) { return now.requests == before.requests + 3; }, 10s));
      EXPECT_EQ(at.counters().connections, before.connections + 3)
          << "a connection in doubt was used again";
      EXPECT_EQ(api.stats().connections, 0u);
      if (m.limit == nullptr) {
        EXPECT_TRUE(api.send(request::get("/")));
      }
    }
    EXPECT_EQ(at.script_left(), 0u);
  }
};

TEST_F(misbehaving, servers_get_their_own_code_and_no_second_use_of_the_connection) {
  each(server, tight());
}

TEST_F(misbehaving, servers_are_no_better_over_tls) {
  const auto secure = serve_tls();
  client_options options = tight();
  options.tls.ca_pem = secure->authority()->certificate();
  each(*secure, options);
}

TEST_F(client_test, says_who_it_is_on_the_wire) {
  const client api = make();
  ASSERT_TRUE(api.send(request::get("/")));
  ASSERT_TRUE(api.get("/").header("User-Agent", "").send());
  EXPECT_EQ(server.requests().at(0).request.header("User-Agent"), "hawser/" + std::string(version));
  EXPECT_FALSE(server.requests().at(1).request.header("User-Agent"));
}

TEST_F(misbehaving, servers_that_fold_a_field_are_understood) {
  server.script({plan::malformed(garble::obs_fold)});
  const client api = make(brisk(1));
  const result<response> r = api.send(request::get("/"));
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(r->headers().find("X-Folded"), "one two");
  EXPECT_EQ(api.stats().idle, 1u);
}

/// What of an answer to the second request may be put right by another connection.
class kept : public client_test {
 protected:
  void expect_sent_again_where_that_is_safe(fault_server& at, const client_options& options,
                                            const std::function<plan()>& broken) {
    const client api(env, at.url("localhost"), standard_pipeline("api", brisk()), options);
    client_options with_keys = options;
    with_keys.idempotency = idempotency_profile::ietf();
    const client keyed(env, at.url("localhost"), standard_pipeline("api", brisk()), with_keys);
    const struct {
      const char* name;
      const client& api;
      request what;
      bool again;
    } rows[] = {{"GET", api, request::get("/"), true},
                {"PUT", api, request::put("/").json({{"a", 1}}), true},
                {"DELETE", api, request::delete_("/"), true},
                {"POST with a key", keyed, charge(), true},
                {"POST", api, charge(), false}};
    for (const auto& row : rows) {
      SCOPED_TRACE(row.name);
      at.reset();
      at.script({plan::answer(200, ada), broken(), plan::answer(200, ada)});
      ASSERT_TRUE(row.api.send(request::get("/")));
      const result<response> r = row.api.send(row.what, told);
      if (row.again) {
        ASSERT_TRUE(r) << r.error().message();
        EXPECT_EQ(r->body(), ada);
        EXPECT_EQ(report.attempts, 2);
      } else {
        ASSERT_TRUE(r.has_error());
        EXPECT_EQ(r.error(), errc::outcome_unknown) << r.error().message();
        EXPECT_EQ(report.attempts, 1);
        EXPECT_EQ(report.delivery, evidence::maybe_applied);
      }
      EXPECT_EQ(at.counters().requests, row.again ? 3u : 2u);
    }
  }
};

TEST_F(kept, rubbish_is_tried_again_where_that_is_safe) {
  expect_sent_again_where_that_is_safe(server, {},
                                       [] { return plan::malformed(garble::not_http); });
}

TEST_F(kept, a_forged_record_is_tried_again_where_that_is_safe) {
  const auto secure = serve_tls();
  client_options options;
  options.tls.ca_pem = secure->authority()->certificate();
  expect_sent_again_where_that_is_safe(*secure, options,
                                       [] { return plan::answer(200, ada).forge_body_at(3); });
  expect_sent_again_where_that_is_safe(*secure, options,
                                       [] { return plan::answer(200, ada).forge_at(0); });
  expect_sent_again_where_that_is_safe(*secure, options,
                                       [] { return plan::malformed(garble::not_http); });
}

TEST_F(misbehaving, an_answer_is_an_answer_and_what_comes_after_it_ends_the_connection) {
  server.script({plan::malformed(garble::excess_bytes), plan::answer(200, ada),
                 plan::answer(200, ada).then(ending::silent_close), plan::answer(200, ada),
                 plan::answer(200, ada).then(ending::reset), plan::answer(200, ada)});
  const client api = make(brisk(1));
  for (int i = 0; i < 6; ++i) {
    const result<response> r = api.send(request::get("/"));
    // Excess bytes that come with the answer are either unexpected or left behind, never an answer.
    if (i == 0 && !r) {
      EXPECT_EQ(r.error(), errc::unexpected_bytes);
    } else if (i > 0 && r) {
      expect_ada(r);
    } else if (!r) {
      // The server's close may race with the next request; then nobody may think it succeeded.
      EXPECT_TRUE(r.error() == condition::transient) << r.error().message();
    }
    if (i == 1) {
      EXPECT_EQ(server.counters().connections, 2u);
    }
  }
}

TEST_F(misbehaving, an_answer_cut_at_any_byte_is_never_taken_for_a_whole_one) {
  const client api = make(brisk(1));
  for (const bool chunked : {false, true}) {
    const auto whole = [&] {
      plan p = plan::answer(200, "hi", "text/plain");
      if (chunked) std::move(p).chunked();
      return p;
    };
    server.reset();
    server.script({whole()});
    ASSERT_TRUE(api.send(request::get("/")));
    ASSERT_TRUE(server.wait_for([](const fault_counters& c) { return c.answers == 1; }, 10s));
    const std::size_t length = server.requests().at(0).answer_bytes;
    ASSERT_GT(length, 40u);
    ASSERT_LT(length, 400u);
    for (std::size_t at = 0; at < length; ++at) {
      SCOPED_TRACE(at);
      plan cut = whole();
      plan torn = whole();
      std::move(cut).cut_at(at);
      std::move(torn).reset_at(at);
      server.script({cut, torn});
      const result<response> r = api.send(request::get("/"));
      ASSERT_TRUE(r.has_error()) << r->body();
      EXPECT_EQ(r.error(), at == 0 ? errc::connection_closed : errc::truncated_response)
          << r.error().message();
      const result<response> unsafe = api.send(request::post("/"));
      ASSERT_TRUE(unsafe.has_error());
      EXPECT_EQ(unsafe.error(), errc::outcome_unknown);
    }
    // The first whole answer's connection, then a new one each time.
    EXPECT_EQ(server.counters().requests, 1 + 2 * length);
    EXPECT_EQ(api.stats().connections, 0u);
  }
}

// --- TLS ---------------------------------------------------------------------------------------

TEST_F(client_test, certificates_that_cannot_be_trusted_end_the_call_before_anything_is_sent) {
  struct {
    const char* name;
    leaf_request leaf;
    errc code;
    std::string_view culprit;
    std::string_view remedy;
  } const cases[] = {
      {"expired", testing::expired_leaf(), errc::certificate_expired, "CN=localhost", "renew"},
      {"not yet valid", testing::not_yet_valid_leaf(), errc::certificate_expired, "not yet valid",
       "renew"},
      {"self-signed", testing::self_signed_leaf(), errc::certificate_untrusted, "localhost",
       "tls.ca_file"},
      {"other host", testing::wrong_host_leaf(), errc::certificate_name_mismatch, "elsewhere.test",
       "alternative name"},
      {"CN only", testing::common_name_only_leaf(), errc::certificate_name_mismatch, "none",
       "alternative name"},
      {"partial wildcard", testing::partial_wildcard_leaf("loc", "localhost"),
       errc::certificate_name_mismatch, "loc*.localhost", "alternative name"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const auto secure = serve_tls(c.leaf);
    client_options options;
    options.tls.ca_pem = secure->authority()->certificate();
    const client api(env, secure->url("localhost"), standard_pipeline("api", brisk()), options);
    for (const request& what : {request::get("/"), charge()}) {
      const result<response> r = api.send(what, told);
      ASSERT_TRUE(r.has_error());
      expect_error(r.error(), c.code, condition::tls_failure,
                   {c.culprit, c.remedy, "localhost:" + std::to_string(secure->port())});
      EXPECT_EQ(report.delivery, evidence::never_sent);
      EXPECT_EQ(report.attempts, 1) << "broken trust does not mend by itself";
    }
    EXPECT_EQ(secure->counters().requests, 0u);
    EXPECT_EQ(api.stats().connections, 0u);
  }
}

TEST_F(client_test, plain_text_on_a_tls_port_is_said_so_on_both_sides) {
  const auto secure = serve_tls();
  client_options options;
  options.tls.ca_pem = secure->authority()->certificate();
  connection_plan plain;
  plain.what = connection_plan::kind::plain_text;
  secure->script_connections({plain});
  const client api(env, secure->url("localhost"), standard_pipeline("api", brisk()), options);
  expect_error(api.send(charge()).error(), errc::tls_handshake_failed, condition::tls_failure,
               {"does not seem to speak TLS", "localhost"});
  EXPECT_TRUE(api.send(charge()));
  // http:// to a TLS port: the request went out, and nothing sensible came back.
  const client wrong(env, "http://localhost:" + std::to_string(secure->port()),
                     standard_pipeline("api", brisk(1)));
  EXPECT_TRUE(wrong.send(request::get("/")).has_error());
}

TEST_F(client_test, a_handshake_that_stalls_ends_at_its_limit_and_is_tried_again) {
  const auto secure = serve_tls();
  connection_plan stall;
  stall.what = connection_plan::kind::stall;
  secure->script_connections({stall});
  client_options options;
  options.tls.ca_pem = secure->authority()->certificate();
  options.times.connect = 24h;
  standard_options patient = brisk();
  patient.attempt_timeout = patient.call_timeout = 24h;
  const auto seen = std::make_shared<testing::event_recorder>();
  auto stack = standard_pipeline("api", patient);
  stack.observe(seen);
  transport_rig rig;  // time moves by hand: a handshake may take as long as it likes
  const client api(rig.env, secure->url(), stack, options);
  std::optional<result<response>> got;
  api.async_send(charge(), told, [&](result<response> r) { got.emplace(std::move(r)); });
  ASSERT_TRUE(pass(rig, *options.times.tls, [&] { return seen->count(event_kind::waiting) == 1; }));
  ASSERT_TRUE(pass(rig, 1ms, [&] { return got.has_value(); }));
  ASSERT_TRUE(*got) << got->error().message();  // never sent, so even this may go again
  EXPECT_EQ(report.attempts, 2);
  EXPECT_EQ(report.entries.at(2).error, errc::tls_timeout);
}

}  // namespace
}  // namespace hawser::test::client_test
