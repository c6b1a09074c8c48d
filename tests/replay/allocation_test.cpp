// Calls whose k-th allocation fails, for every k: memory that a call needs to begin is missed by
// who begins it, as std::bad_alloc; after that a call ends once, by its result, whatever memory it
// does not get; and permits are back, nothing is left, the next call goes well.
#include "hawser/http/client.hpp"
#include "hawser/observe/redactor.hpp"
#include "hawser/policy/bulkhead.hpp"
#include "hawser/run/coroutine.hpp"
#include "hawser/run/execute.hpp"
#include "hawser/testing/fake_transport.hpp"
#include "hawser/testing/fault_server.hpp"

#include "http/transport_support.hpp"
#include "replay/failing_allocator.hpp"
#include "replay/scripted_network.hpp"
#include "replay/shop_rig.hpp"
#include "support/allocations.hpp"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_future.hpp>

#include <limits>
#include <optional>
#include <stdexcept>

namespace hawser::test::allocation_test {
namespace {

namespace asio = boost::asio;

const error_code no_memory =
    boost::system::errc::make_error_code(boost::system::errc::not_enough_memory);

class replay_without_memory : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!allocations_are_counted()) GTEST_SKIP() << "a sanitizer's operator new is in force";
  }
};

/// Longer than a small string holds, so that texts allocate.
const std::string long_name = "the operation that fetches a quote for an order";

TEST_F(replay_without_memory, blocking_calls) {
  // Fails, throws, then succeeds.
  const std::size_t steps = fail_at_each_step([&](fuse& f) {
    shop_rig r(1);
    const pipeline p = r.stack().build(r.env);
    int made = 0;
    const auto work = [&](attempt& a) -> result<int> {
      const not_counted mine;
      ++made;
      if (a.number() == 1) return error(connection_reset, "a detail that does not fit in place");
      if (a.number() == 2) throw std::runtime_error("a text that does not fit in place either");
      return 7;
    };
    call_report report;
    std::optional<result<int>> got;
    bool threw = false;
    try {
      const allocations_fail armed(f);
      got.emplace(
          p.execute(work, {.report = &report, .name = long_name, .correlation = long_name}));
    } catch (const std::bad_alloc&) {
      threw = true;
    }
    if (threw) {
      EXPECT_EQ(made, 0) << "threw after something was done";
    } else {
      ASSERT_TRUE(*got) << got->error().message();
      EXPECT_EQ(**got, 7);
    }
    r.check_permits();
    EXPECT_EQ(p.execute([] { return 8; }).value(), 8);
  });
  EXPECT_GT(steps, 5u);
}

TEST_F(replay_without_memory, blocking_calls_that_fail) {
  const std::size_t steps = fail_at_each_step([&](fuse& f) {
    shop_rig r(1);
    const pipeline p = r.stack().build(r.env);
    int made = 0;
    const auto work = [&](attempt&) -> result<int> {
      const not_counted mine;
      ++made;
      throw std::runtime_error("a text that does not fit in place either");
    };
    call_report report;
    try {
      const allocations_fail armed(f);
      const auto got = p.execute(work, {.effect = effect::unsafe, .report = &report});
      const not_counted mine;
      ASSERT_FALSE(got);
      EXPECT_EQ(got.error().code(), errc::outcome_unknown);
      EXPECT_EQ(made, 1);
    } catch (const std::bad_alloc&) {
      EXPECT_EQ(made, 0) << "threw after something was done";
    }
    r.check_permits();
  });
  EXPECT_GT(steps, 5u);
}

/// What cannot be masked is not told; and masking what is told needs no memory of the call.
TEST_F(replay_without_memory, texts_that_a_redactor_masks) {
  redaction rules;
  rules.literals = {secret("correcthorse")};
  const auto masks = make_redactor(rules);
  const std::string name = "GET /accounts/correcthorse/and/what/belongs/to/it";
  std::string heard;
  struct listener final : observer {
    explicit listener(std::string& to) : to_(to) {}
    void on_event(const event& e) override {
      const not_counted mine;
      to_.append(e.operation).append(e.correlation).append("\n");
    }
    std::string& to_;
  };
  const auto ear = std::make_shared<listener>(heard);
  const auto throws = [](attempt&) -> result<int> {
    const not_counted mine;
    throw std::runtime_error("login failed for correcthorse, and there is nothing to be done");
  };
  const auto fails = [](attempt&) -> result<int> {
    const not_counted mine;
    return error(connection_reset, "no connection for correcthorse, whatever was tried");
  };
  const auto run = [&](fuse& f, const auto& work, effect what) {
    shop_rig r(1);
    const pipeline p = r.stack().redact(masks).observe(ear).build(r.env);
    call_report report;
    std::optional<result<int>> got;
    heard.clear();
    try {
      const allocations_fail armed(f);
      got.emplace(
          p.execute(work, {.effect = what, .report = &report, .name = name, .correlation = name}));
    } catch (const std::bad_alloc&) {
    }
    std::string all = heard + report.to_string() + report.operation + report.correlation;
    if (got) all += got->error().message();
    for (const report_entry& e : report.entries) all += e.cause;
    EXPECT_EQ(all.find("correcthorse"), std::string::npos) << all;
    r.check_permits();
  };
  for (const effect what : {effect::idempotent, effect::unsafe}) {
    EXPECT_GT(fail_at_each_step([&](fuse& f) { run(f, throws, what); }), 10u);
    EXPECT_GT(fail_at_each_step([&](fuse& f) { run(f, fails, what); }), 10u);
  }
}

TEST_F(replay_without_memory, calls_that_go_well_mask_nothing) {
  shop_rig r(1);
  const auto steps_of = [&](const pipeline& p) {
    static_cast<void>(p.execute([] { return 1; }));  // warm
    fuse f(std::numeric_limits<std::size_t>::max());
    const allocations_fail armed(f);
    const auto got = p.execute([] { return 7; }, {.name = long_name});
    const not_counted mine;
    EXPECT_EQ(*got, 7);
    return f.steps();
  };
  EXPECT_EQ(steps_of(r.stack().redact(make_redactor()).build(r.env)),
            steps_of(r.stack().build(r.env)));
}

/// An operation that fails twice and then succeeds. Its own memory is its own affair.
class flaky_operation {
 public:
  flaky_operation(fuse& f, const environment& env) : fuse_(f), env_(env) {}

  template <class Token>
  auto operator()(Token&& token) {
    return asio::async_initiate<Token, void(error_code, int)>(
        [this](auto handler) {
          const not_counted mine;
          asio::post(env_.executor(), [this, h = std::move(handler)]() mutable {
            const not_counted still_mine;
            const auto executor = asio::get_associated_executor(h);
            asio::dispatch(executor, [this, last = std::move(h)]() mutable {
              const allocations_fail again(fuse_);
              const bool good = ++ends_ % 3 == 0;
              last(good ? error_code() : connection_reset, good ? 7 : 0);
            });
          });
        },
        token);
  }

 private:
  fuse& fuse_;
  environment env_;
  int ends_ = 0;
};

TEST_F(replay_without_memory, wrapped_operations) {
  const std::size_t steps = fail_at_each_step([&](fuse& f) {
    shop_rig r(1);
    const pipeline p = r.stack().build(r.env);
    flaky_operation op(f, r.env);
    call_report report;
    const auto call = p.wrap([&](auto token) { return op(std::move(token)); },
                             {.report = &report, .name = long_name});
    ended first;
    ended second;  // waits for the first
    int begun = 0;
    try {
      const allocations_fail armed(f);
      call(into{&first, &r.env});
      ++begun;
      call(into{&second, &r.env});
      ++begun;
      const not_counted mine;
      EXPECT_EQ(first.count + second.count, 0) << "completed inline";
    } catch (const std::bad_alloc&) {
    }
    {
      const allocations_fail armed(f);
      r.env.run_until_idle();
    }
    f.arm(false);
    EXPECT_EQ(first.count, begun >= 1 ? 1 : 0);
    EXPECT_EQ(second.count, begun >= 2 ? 1 : 0);
    r.check_permits();
    scripted_operation fine{r.env, {scripted_end::ok(7)}};
    ended last;
    p.wrap(fine)(into{&last, &r.env});
    r.env.run_until_idle();
    EXPECT_EQ(last.count, 1);
    EXPECT_EQ(last.value, 7);
  });
  EXPECT_GT(steps, 5u);
}

/// A client's call, of which only the client's own memory fails.
struct call_without_memory {
  /// Begins it by `send(handler)`, and makes it end by `run()`.
  template <class Send, class Run>
  void make(fuse& f, Send send, Run run) {
    try {
      const allocations_fail armed(f);
      send([this](result<http::response> a) {
        const not_counted mine;
        ++ends;
        got.emplace(std::move(a));
      });
      begun = true;
      run();
    } catch (const std::bad_alloc&) {
      EXPECT_FALSE(begun) << "out of the run function";
    }
  }
  /// It ended once if it began; if by an error, then by one that `may_be`.
  template <class MayBe>
  void check(MayBe may_be) const {
    EXPECT_EQ(ends, begun ? 1 : 0);
    if (got && !*got) {
      EXPECT_TRUE(may_be(got->error())) << got->error().message();
    }
  }

  int ends = 0;
  bool begun = false;
  std::optional<result<http::response>> got{};
};

http::request unsafe_charge() {
  return http::request::post("/v1/charges").body(std::string(100, 'x'), "application/json");
}

TEST_F(replay_without_memory, a_client_on_a_fake_transport) {
  const std::size_t steps = fail_at_each_step([&](fuse& f) {
    shop_rig r(1);
    const auto net = std::make_shared<testing::fake_transport>(r.env);
    http::client_options options;
    options.transport = net;
    const http::client api(r.env, "http://api.test/base", r.stack(), std::move(options));
    net->handle([](const testing::sent_request&) {
      const not_counted mine;
      return testing::scripted_exchange::answer(200, R"({"id":1})").after(5ms);
    });
    call_report report;
    call_without_memory call;
    call.make(
        f,
        [&](auto handler) {
          auto charge = http::request::post("/v1/accounts/{id}/charges")
                            .param("id", "account/7")
                            .query("fields", "all and everything")
                            .body(std::string(100, 'x'), "application/json")
                            .idempotency_key("an order number longer than fits in place");
          api.async_send(std::move(charge), {.report = &report}, std::move(handler));
        },
        [&] { r.env.run_until_idle(); });
    r.env.run_until_idle();
    call.check([](const error& e) { return e.code() == no_memory; });
    r.check_permits();
    EXPECT_TRUE(api.get("/health").send());
  });
  EXPECT_GT(steps, 5u);
}

TEST_F(replay_without_memory, a_client_on_the_scripted_network) {
  for (const bool tls : {false, true}) {
    const std::size_t steps = fail_at_each_step([&](fuse& f) {
      shop_rig r(1);
      network net(nullptr);
      net.tls = tls;
      net.named = true;
      http::client_options options;
      options.transport = net.transport(r.env);
      const http::client api(r.env, "http://api.test/base", r.stack(), std::move(options));
      call_without_memory call;
      call.make(
          f, [&](auto handler) { api.async_send(unsafe_charge(), std::move(handler)); },
          [&] { r.env.run_until_idle(); });
      r.env.run_until_idle();
      call.check([](const error& e) { return e == no_memory || e == errc::outcome_unknown; });
      EXPECT_LE(net.requests().size(), 1u);
      r.check_permits();
      EXPECT_TRUE(api.get("/health").send());
      EXPECT_EQ(api.stats().connections, api.stats().idle);
      EXPECT_EQ(net.violations(), "");
    });
    EXPECT_GT(steps, 5u);
  }
}

// The real sockets, against a server on a thread of its own; what the client's thread allocates
// fails. Its time stands still: nothing here may end by a time limit.
TEST_F(replay_without_memory, a_client_on_sockets) {
  for (const bool tls : {false, true}) {
    testing::fault_server_options how;
    if (tls) how.tls.emplace();
    testing::fault_server server(how);
    const std::size_t steps = fail_at_each_step([&](fuse& f) {
      transport_rig rig;
      const auto slots = std::make_shared<bulkhead_policy>(bulkhead{.max_concurrent = 1});
      http::client_options options;
      if (tls) options.tls.ca_pem = server.authority()->certificate();
      const http::client api(rig.env, server.url(), pipeline_builder("sockets").add(slots),
                             std::move(options));
      call_without_memory call;
      call.make(
          f, [&](auto handler) { api.async_send(unsafe_charge(), std::move(handler)); },
          [&] { EXPECT_TRUE(rig.run_until([&] { return call.ends != 0; })) << "never ended"; });
      call.check([](const error& e) {
        return e == no_memory || e == errc::outcome_unknown || e == condition::tls_failure;
      });
      EXPECT_EQ(slots->snapshot().in_flight, 0);
      int good = 0;
      api.async_send(http::request::get("/health"), [&](result<http::response> a) {
        ++good;
        EXPECT_TRUE(a) << a.error().message();
      });
      EXPECT_TRUE(rig.run_until([&] { return good != 0; }));
      EXPECT_EQ(api.stats().connections, api.stats().idle);
      EXPECT_EQ(api.stats().pending, 0u);
    });
    EXPECT_GT(steps, 10u);
  }
}

}  // namespace
}  // namespace hawser::test::allocation_test
