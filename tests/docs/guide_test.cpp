// What docs/guide/ quotes of calls: each test holds one page's blocks and looks at what they do.
#include "hawser/core/try_make.hpp"
#include "hawser/http/client.hpp"
#include "hawser/http/json.hpp"
#include "hawser/http/standard_policies.hpp"
#include "hawser/observe/observer.hpp"
#include "hawser/policy/circuit_breaker.hpp"
#include "hawser/policy/retry.hpp"
#include "hawser/policy/timeout.hpp"
#include "hawser/run/async.hpp"
#include "hawser/run/coroutine.hpp"
#include "hawser/run/execute.hpp"
#include "hawser/run/report.hpp"
#include "hawser/testing/fault_server.hpp"
#include "hawser/testing/manual_environment.hpp"
#include "hawser/testing/scripted_operation.hpp"

#include "support/sanitizers.hpp"

#include <gtest/gtest.h>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace guide_test {
namespace {

using hawser::testing::fault_server;
using hawser::testing::manual_environment;
using hawser::testing::plan;
using hawser::testing::scripted_end;
using hawser::testing::scripted_operation;

hawser::error_code reset() {
  return boost::system::errc::make_error_code(boost::system::errc::connection_reset);
}

struct quote {
  double price = 0;
};

/// A library that knows nothing of Hawser, and fails as often as it is told.
class quote_service {
 public:
  explicit quote_service(int failures) : failures_(failures) {}

  quote fetch(std::string_view /*id*/) {
    if (failures_-- > 0) throw std::runtime_error("connection lost");
    return {42.5};
  }
  /// Until it is asked to stop.
  hawser::result<quote> slow_fetch(const std::stop_token& stop, hawser::duration /*within*/) {
    caller.request_stop();
    if (stop.stop_requested()) return hawser::error(hawser::canceled_error());
    return quote{42.5};
  }

  std::stop_source caller;

 private:
  int failures_;
};

TEST(getting_started, tests_run_on_virtual_time) {
  int tries = 0;
  const auto flaky = [&] {
    if (++tries < 3) throw std::runtime_error("connection lost");
    return 42.5;
  };
  hawser::testing::manual_environment
      env;  // its clock moves only when told, and waits cost nothing
  const auto quotes =
      hawser::pipeline_builder{"quotes"}
          .add(hawser::retry{.max_attempts = 3,
                             .delay = hawser::constant{.each = 1h, .spread = hawser::jitter::none}})
          .calls_are(hawser::effect::safe)
          .build(env);
  const auto start = env.now();
  EXPECT_EQ(quotes.execute(flaky).value(), 42.5);
  EXPECT_EQ(env.now() - start, 2h);
}

/// At most so many calls in the life of a process: the state is the policy's, shared by all calls.
class quota : public hawser::policy {
 public:
  explicit quota(int calls) : left_(calls) {}

  [[nodiscard]] std::string_view kind() const noexcept override { return "quota"; }
  [[nodiscard]] std::size_t stage_size() const noexcept override { return sizeof(on_call); }
  [[nodiscard]] std::size_t stage_alignment() const noexcept override { return alignof(on_call); }
  [[nodiscard]] hawser::stage* make_stage(void* memory) override {
    return ::new (memory) on_call(*this);
  }

 private:
  /// One call's part: asked when the call arrives, told when what is inside has ended.
  class on_call final : public hawser::stage {
   public:
    explicit on_call(quota& shared) noexcept : shared_(shared) {}
    hawser::step enter(hawser::tick& t) override {
      if (shared_.left_.fetch_sub(1) > 0) return hawser::step::call_inner();
      return t.finish(hawser::outcome::refuse(
          hawser::errc::rate_limited, {.policy = shared_.kind(), .because = hawser::reason::rate}));
    }
    hawser::step inner_done(int /*child*/, const hawser::outcome& o, hawser::tick& t) override {
      return t.finish(o);
    }

   private:
    quota& shared_;
  };

  std::atomic<int> left_;
};

TEST(pipelines, policies_stack_in_the_order_they_are_added) {
  manual_environment env;
  quote_service service{2};
  auto breaker = std::make_shared<hawser::circuit_breaker_policy>(
      hawser::circuit_breaker{.name = "billing", .failure_ratio = 0.5});

  const auto reads = hawser::pipeline_builder{"billing reads"}
                         .add(hawser::timeout{.after = 8s})  // the whole call
                         .add(hawser::retry{.max_attempts = 4})
                         .add(breaker)                       // asked by every attempt
                         .add(hawser::timeout{.after = 2s})  // one attempt
                         .calls_are(hawser::effect::safe)    // so a retry may repeat them
                         .build(env);
  const auto writes = hawser::pipeline_builder{"billing writes"}
                          .add(hawser::timeout{.after = 20s})
                          .add(breaker)  // the same one: both see what either finds out
                          .calls_are(hawser::effect::unsafe)
                          .build(env);
  EXPECT_EQ(reads.composition(), "timeout > retry > circuit_breaker > timeout");
  EXPECT_EQ(reads.amplification(), 4u);

  const hawser::result<quote> q = reads.execute([&] { return service.fetch("o-1"); });
  EXPECT_EQ(q.value().price, 42.5);
  EXPECT_EQ(breaker->snapshot(env.now()).failures, 2u);

  const auto told = writes.execute([&](hawser::attempt& a) -> hawser::result<quote> {
    if (a.remaining() < 1s) return hawser::error(hawser::errc::call_timeout);
    return service.fetch("o-1");
  });
  EXPECT_TRUE(told.has_value());

  const auto judged =
      reads.execute([&] { return service.fetch("o-1"); }, {.name = "quote"},
                    [](const quote& got) {
                      return got.price > 0 ? hawser::verdict::ok : hawser::verdict::failed;
                    });
  EXPECT_TRUE(judged.has_value());
}

struct not_connected : std::runtime_error {
  using runtime_error::runtime_error;
};

TEST(pipelines, failures_are_read_by_their_type) {
  manual_environment env;
  const auto ledger =
      hawser::pipeline_builder{"ledger"}
          .add(hawser::retry{.max_attempts = 3})
          .calls_are(hawser::effect::unsafe)
          .classify<not_connected>([](const not_connected&, hawser::outcome& o) {
            o.delivery = hawser::evidence::never_sent;  // so it may be sent again
          })
          .classify<std::invalid_argument>([](const std::invalid_argument&, hawser::outcome& o) {
            o.transient = false;  // a later try would not mend it,
            o.countable = false;  // and it says nothing about the ledger's health
          })
          .build(env);
  int tries = 0;
  EXPECT_EQ(ledger.execute([&] { return ++tries < 3 ? throw not_connected("no") : 7; }).value(), 7);
  tries = 0;
  EXPECT_FALSE(ledger.execute([&] {
    ++tries;
    throw std::invalid_argument("no");
  }));
  EXPECT_EQ(tries, 1);
}

TEST(pipelines, wrap_keeps_the_signature) {
  manual_environment env;
  const auto billing = hawser::pipeline_builder{"billing"}
                           .add(hawser::retry{.max_attempts = 3})
                           .calls_are(hawser::effect::safe)
                           .build(env);
  scripted_operation async_fetch{
      env, {scripted_end::fail(reset()).after(1ms), scripted_end::ok(7).after(1ms)}};
  int got = 0;
  auto fetch = billing.wrap([&](auto token) { return async_fetch(std::move(token)); });
  fetch([&](hawser::error_code ec, int value) { got = ec ? -1 : value; });
  env.run_until_idle();
  EXPECT_EQ(got, 7);
  EXPECT_EQ(async_fetch.starts(), 2);

  auto numbered = billing.wrap([&](hawser::attempt& a, auto token) {
    if (a.number() > 1) a.throttled();  // what is known of this attempt, should it fail
    return async_fetch(std::move(token));
  });
  numbered([&](hawser::error_code ec, int value) { got = ec ? -1 : value + 1; });
  env.run_until_idle();
  EXPECT_EQ(got, 8);

  const auto answer = []() -> asio::awaitable<int> { co_return 8; };
  const auto drive = [&]() -> asio::awaitable<void> {
    auto ask = billing.wrap([&]() -> asio::awaitable<int> { co_return co_await answer(); });
    got = co_await ask();  // throws when the call fails
  };
  asio::co_spawn(env.get_executor(), drive(), asio::detached);
  env.run_until_idle();
  EXPECT_EQ(got, 8);
}

TEST(pipelines, too_many_attempts_are_refused_when_built) {
  manual_environment env;
  std::string why;
  auto builder = hawser::pipeline_builder{"eager"}
                     .add(hawser::retry{.name = "outer", .max_attempts = 11})
                     .add(hawser::retry{.name = "inner", .max_attempts = 10});
  try {
    static_cast<void>(builder.build(env));
  } catch (const hawser::config_error& e) {
    why = e.what();  // ... outer 11 x inner 10 = 110 or more attempts for one call ...
  }
  EXPECT_NE(why.find("outer 11 x inner 10 = 110"), std::string::npos) << why;
}

TEST(pipelines, own_policies_and_observers) {
  manual_environment env;
  struct counter : hawser::observer {
    void on_event(const hawser::event& e) override {
      const std::lock_guard lock(mutex);
      ++seen[std::string(to_string(e.kind))];
    }
    std::mutex mutex;
    std::map<std::string, int> seen;
  };
  auto counts = std::make_shared<counter>();
  const auto limited = hawser::pipeline_builder{"limited"}
                           .add(std::make_shared<quota>(1))
                           .observe(counts)
                           .build(env);
  EXPECT_TRUE(limited.execute([] { return 1; }).has_value());
  EXPECT_TRUE(limited.execute([] { return 1; }).error() == hawser::condition::rejected);
  EXPECT_EQ(counts->seen["call_finished"], 2);
  EXPECT_EQ(counts->seen["attempt_finished"], 1);
}

TEST(errors, conditions_tell_what_to_do) {
  manual_environment env;
  std::vector<std::string> done;
  const auto use = [&](const quote&) { done.emplace_back("used"); };
  const auto serve_cached = [&] { done.emplace_back("cached"); };
  const auto reconcile = [&](const char*) { done.emplace_back("reconciled"); };
  const auto log = [&](const std::string& text) { done.push_back(text); };

  const auto act_on = [&](const hawser::result<quote>& q) {
    if (q)
      use(*q);
    else if (q.error() == hawser::condition::rejected)
      serve_cached();  // nothing left this process
    else if (q.error() == hawser::condition::ambiguous)
      reconcile("o-1");  // it may have happened
    else
      log(q.error().message());
  };
  act_on(quote{});
  act_on(hawser::error(hawser::errc::circuit_open));
  act_on(hawser::error(hawser::errc::outcome_unknown));
  act_on(hawser::error(hawser::errc::truncated_response));
  EXPECT_EQ(done[0], "used");
  EXPECT_EQ(done[1], "cached");
  EXPECT_EQ(done[2], "reconciled");
  EXPECT_EQ(done[3], "the connection ended in the middle of the server's answer");
}

TEST(errors, answers_say_what_the_matter_is) {
  fault_server server;
  server.script({plan::answer(403, R"({"type":"https://shop.example/probs/out-of-credit"})",
                              "application/problem+json"),
                 plan::answer(403, "throttled"), plan::answer(403, "throttled"),
                 plan::answer(403, "{}")});
  const hawser::environment env;
  hawser::http::client_options options;
  options.classify = [](const hawser::http::response& answer, const hawser::outcome& by_status) {
    hawser::outcome o = by_status;
    if (answer.status() == 403 && answer.body().find("throttled") != std::string_view::npos) {
      o.throttled = true;  // no work was done: any request may go out again
      o.server_wait = 2s;
    }
    return o;
  };
  const hawser::http::client api{env, server.url(), hawser::pipeline_builder{"shop"},
                                 std::move(options)};
  using receipt = int;
  std::vector<std::string> done;
  const auto ask_for_another_card = [&] { done.emplace_back("asked"); };
  const auto give_up = [&](std::string why) { done.push_back(std::move(why)); };
  for (int i = 0; i < 2; ++i) {
    const auto paid = api.post("/charges/{id}", {{"id", "o-1"}}).as<receipt>();
    if (!paid && paid.error().problem_type() == "https://shop.example/probs/out-of-credit")
      ask_for_another_card();
    else if (!paid && paid.error().status() == 403)
      give_up(paid.error().message());
  }
  ASSERT_EQ(done.size(), 2u);
  EXPECT_EQ(done[0], "asked");
  EXPECT_NE(done[1].find("429"), std::string::npos) << done[1];
  EXPECT_EQ(api.get("/x").as<receipt>().error(), hawser::errc::too_many_requests);
  EXPECT_EQ(api.get("/x").as<receipt>().error(), hawser::errc::client_error);
}

TEST(errors, throwing_form) {
  manual_environment env;
  quote_service service{9};
  const auto billing = hawser::pipeline_builder{"billing"}
                           .add(hawser::retry{.max_attempts = 2})
                           .calls_are(hawser::effect::safe)
                           .build(env);
  std::string said;
  bool mistaken = false;
  try {
    const quote q = billing.execute_or_throw([&] { return service.fetch("o-1"); });
    said = std::to_string(q.price);
  } catch (const hawser::call_error& e) {
    said = e.what();  // a policy ended the call; the same text as e.why().message()
    mistaken = e.why() == hawser::condition::invalid_input;
  } catch (const std::runtime_error& e) {
    said = e.what();  // the callable's own exception, of its own type
  }
  EXPECT_EQ(said, "connection lost");
  EXPECT_FALSE(mistaken);
}

TEST(errors, a_report_tells_the_story) {
  manual_environment env;
  int tries = 0;
  const auto billing =
      hawser::pipeline_builder{"billing"}
          .add(hawser::retry{
              .max_attempts = 2,
              .delay = hawser::constant{.each = 100ms, .spread = hawser::jitter::none}})
          .calls_are(hawser::effect::safe)
          .build(env);
  const auto fetch = [&]() -> hawser::result<quote> {
    ++tries;
    return hawser::error(reset());
  };
  hawser::call_report report;
  const auto q = billing.execute(fetch, {.report = &report, .name = "quote"});
  const std::string story = report.to_string();
  EXPECT_FALSE(q.has_value());
  EXPECT_EQ(report.stopped, hawser::reason::max_attempts);
  EXPECT_EQ(story,
            R"(billing quote: Connection reset by peer after 2 attempts in 100 ms, maybe applied
  +0.000 s  call started
  +0.000 s  attempt 1 started
  +0.000 s  attempt 1 finished: Connection reset by peer after 0 ms, maybe applied
  +0.000 s  waiting 100 ms (backoff)
  +0.100 s  attempt 2 started
  +0.100 s  attempt 2 finished: Connection reset by peer after 0 ms, maybe applied
  +0.100 s  no further attempt after Connection reset by peer (retry: 2 of 2 tries made)
  +0.100 s  call finished: Connection reset by peer after 100 ms
)");
}

TEST(cancellation, of_blocking_calls) {
  manual_environment env;
  quote_service service{0};
  const auto billing = hawser::pipeline_builder{"billing"}
                           .add(hawser::timeout{.after = 8s})
                           .add(hawser::retry{})
                           .build(env);
  std::stop_source& caller = service.caller;
  const auto q = billing.execute(
      [&](hawser::attempt& a) { return service.slow_fetch(a.stop(), a.remaining()); },
      {.stop = caller.get_token()});
  const bool canceled = !q && q.error() == hawser::condition::canceled;
  EXPECT_TRUE(canceled);
}

TEST(cancellation, of_wrapped_operations) {
  manual_environment env;
  const auto billing = hawser::pipeline_builder{"billing"}.add(hawser::retry{}).build(env);
  scripted_operation async_fetch{env, {scripted_end::hang()}};
  hawser::error_code ended;
  asio::cancellation_signal cancel;
  auto fetch = billing.wrap(async_fetch);
  fetch(
      asio::bind_cancellation_slot(cancel.slot(), [&](hawser::error_code ec, int) { ended = ec; }));
  env.advance(1s);
  EXPECT_FALSE(ended);
  cancel.emit(asio::cancellation_type::terminal);
  env.run_ready();
  EXPECT_EQ(ended, asio::error::operation_aborted);
  EXPECT_EQ(async_fetch.starts(), 1);
}

TEST(cancellation, of_clients) {
  fault_server server;
  server.script({plan::stall()});
  std::promise<hawser::error_code> ended;
  hawser::environment env;
  hawser::http::client api{env, server.url()};
  api.async_send(hawser::http::request::get("/slow"),
                 [&](hawser::result<hawser::http::response> r) {
                   ended.set_value(r ? hawser::error_code() : r.error().code());
                 });
  api.close();  // so does the destructor; handlers still run
  EXPECT_EQ(ended.get_future().get(), asio::error::operation_aborted);
}

// README.md
hawser::error set_up_without_exceptions(const hawser::environment& env, const std::string& url,
                                        hawser::http::standard_options policies) {
  const auto api = hawser::try_make([&] {
    return hawser::http::client{env, url,
                                hawser::http::standard_pipeline("users", std::move(policies))};
  });
  if (!api) return api.error();  // retry.max_attempts = 0: must be 1 to 100 ...
  return {};
}

TEST(readme, set_up_without_exceptions) {
  manual_environment env;
  EXPECT_FALSE(set_up_without_exceptions(env, "https://api.example", {}).code());
  hawser::http::standard_options policies;
  policies.retry.max_attempts = 0;
  const hawser::error why = set_up_without_exceptions(env, "https://api.example", policies);
  EXPECT_EQ(why, hawser::errc::invalid_options);
  EXPECT_EQ(why.detail().substr(0, 40), "retry.max_attempts = 0: must be 1 to 100");
  EXPECT_EQ(set_up_without_exceptions(env, "no url", {}), hawser::errc::invalid_url);
}

// docs/policies/standard.md
TEST(standard, its_policies_can_be_reached) {
  const fault_server gateway;
  hawser::environment env;
  const hawser::http::standard_policies billing("billing");
  const hawser::http::client api{env, gateway.url(), billing.builder()};
  billing.breaker("GET /quotes/{id}")->isolate(env.now());  // nothing goes out on this route
  billing.breaker("GET /quotes/{id}")->close(env.now());
  const hawser::bulkhead_snapshot seen = billing.bulkhead()->snapshot();
  EXPECT_EQ(seen.in_flight, 0);
  EXPECT_TRUE(api.get("/quotes/{id}", {{"id", "7"}}).send());
}

TEST(idempotency, one_key_for_a_call) {
  fault_server gateway;
  gateway.script({plan::answer(201, R"({"id":"ch_1"})").book().reset_at(0),
                  plan::answer(201, R"({"id":"ch_2"})").book()});
  hawser::environment env;
  hawser::http::client_options options;
  options.idempotency = hawser::http::idempotency_profile::stripe();
  const hawser::http::client api{env, gateway.url(), hawser::http::standard_pipeline("gateway"),
                                 options};

  hawser::call_report report;
  const auto paid = api.send(
      hawser::http::request::post("/v1/charges").json({{"order", "o-1"}, {"amount", 1200}}),
      {.report = &report});
  ASSERT_TRUE(paid.has_value());
  EXPECT_EQ(paid->body(), R"({"id":"ch_1"})");
  EXPECT_EQ(report.attempts, 2);
  EXPECT_EQ(report.key_fingerprint.size(), 12u);
  EXPECT_EQ(gateway.ledger().double_bookings, 0u);

  gateway.script({plan::answer(201, R"({"id":"ch_3"})").book()});
  const auto again = api.send(hawser::http::request::post("/v1/charges")
                                  .json({{"order", "o-2"}, {"amount", 700}})
                                  .idempotency_key("order-o-2"));
  EXPECT_TRUE(again.has_value());
  EXPECT_EQ(gateway.ledger_entries().back().key, "order-o-2");
}

TEST(idempotency, without_a_key_the_outcome_is_unknown) {
  fault_server gateway;
  gateway.script({plan::answer(201, R"({"id":"ch_1"})").book().cut_at(20)});
  hawser::environment env;
  const hawser::http::client api{env, gateway.url(), hawser::http::standard_pipeline("gateway")};
  const auto r = api.send(hawser::http::request::post("/v1/charges").json({{"order", "o-1"}}));
  const bool must_ask_the_gateway = !r && r.error() == hawser::condition::ambiguous;
  EXPECT_TRUE(must_ask_the_gateway);
  EXPECT_EQ(gateway.counters().requests, 1u);
}

TEST(threads, environments) {
  hawser::environment own;  // one thread, joined when the last copy goes
  EXPECT_FALSE(own.runs_here());
  asio::thread_pool workers{2};
  hawser::environment shared{workers.get_executor()};  // starts no thread
  const auto p = hawser::pipeline_builder{"p"}.add(hawser::timeout{}).build(shared);
  EXPECT_EQ(p.execute([] { return 1; }).value(), 1);
  workers.join();
}

TEST(threads, a_blocking_send_on_the_environments_thread_would_deadlock) {
  asio::io_context io;
  hawser::environment env{io.get_executor()};
  hawser::http::client api{env, "http://127.0.0.1:9"};
  bool refused = false;
  asio::post(io, [&] {
    const auto r = api.get("/quotes").send();  // waits for a handler that only this thread can run
    refused = !r && r.error() == hawser::errc::would_deadlock;
  });
  io.run();
  EXPECT_TRUE(refused);
}

TEST(processes, a_forked_child_makes_clients_of_its_own) {
  if (hawser::test::under_tsan) GTEST_SKIP();
  hawser::testing::fault_server server;
  int status = 1;
  hawser::environment env;
  hawser::http::client before{env, server.url()};
  if (const pid_t pid = fork(); pid == 0) {
    const auto refused = before.get("/quotes").send();  // errc::forked
    hawser::http::client after{env, server.url()};      // the child's own
    const auto answered = after.get("/quotes").send();
    _exit(refused.error() == hawser::errc::forked && answered ? 0 : 1);
  } else {
    waitpid(pid, &status, 0);
  }
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace guide_test
