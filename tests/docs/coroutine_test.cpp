// The documentation's one-liners, each inside a coroutine: what a compiler makes of temporaries in
// an awaited expression is not what it makes of them elsewhere (g++ 12 refuses initializer lists
// there, and destroys aggregates twice). Each is compiled and run, and what went out is looked at.
#include "hawser/http/client.hpp"
#include "hawser/http/json.hpp"
#include "hawser/testing/fake_transport.hpp"
#include "hawser/testing/manual_environment.hpp"
#include "hawser/testing/matchers.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

namespace asio = boost::asio;

namespace coroutine_test {
namespace {

using hawser::http::request;
using hawser::testing::fake_transport;
using hawser::testing::HasHeader;
using hawser::testing::HasJson;
using hawser::testing::HasStatus;
using hawser::testing::IsOkAnd;
using hawser::testing::RequestTo;
using hawser::testing::scripted_exchange;
using ::testing::AllOf;
using ::testing::ElementsAre;

// Too long for a string's own buffer, so that the address sanitizer sees it destroyed twice.
const std::string id = "42/a-number-that-does-not-fit-into-a-string-itself";
constexpr std::string_view at = "/users/42%2Fa-number-that-does-not-fit-into-a-string-itself";

/// What docs/guide/getting_started.md shows.
asio::awaitable<void> book(const hawser::http::client& api, const std::string& order) {
  const auto found = co_await api.get("/orders/{id}", {{"id", order}}).async_send();
  if (!found) co_return;
  const auto booked = co_await api.post("/bookings")
                          .json("order", order, "cents", 1200)
                          .idempotency_key(order)
                          .async_send();
  hawser::http::request done = hawser::http::request::put("/orders/{id}", {{"id", order}});
  if (booked) done.header("X-Booked", "yes");
  const auto told = co_await api.async_send(std::move(done));
  EXPECT_THAT(told, IsOkAnd(HasStatus(200)));
}

class one_liners : public ::testing::Test {
 protected:
  /// Runs it to its end.
  void run(asio::awaitable<void> what) {
    asio::co_spawn(env.get_executor(), std::move(what),
                   [](std::exception_ptr thrown) { EXPECT_EQ(thrown, nullptr); });
    env.run_until_idle();
  }
  static hawser::http::client_options over(std::shared_ptr<fake_transport> net) {
    net->handle([](const auto&) { return scripted_exchange::answer(200); });
    hawser::http::client_options options;
    options.transport = std::move(net);
    return options;
  }

  hawser::testing::manual_environment env;
  std::shared_ptr<fake_transport> net = std::make_shared<fake_transport>(env);
  const hawser::http::client users{env, "https://api.example",
                                   hawser::http::standard_pipeline("users"), over(net)};
};

TEST_F(one_liners, of_the_guide) {
  run(book(users, "o-1"));
  EXPECT_THAT(
      net->requests(),
      ElementsAre(RequestTo("GET", "/orders/o-1"),
                  AllOf(RequestTo("POST", "/bookings"), HasJson(R"({"order":"o-1","cents":1200})"),
                        HasHeader("Idempotency-Key", "\"o-1\"")),
                  AllOf(RequestTo("PUT", "/orders/o-1"), HasHeader("X-Booked", "yes"))));
}

TEST_F(one_liners, parameters_in_braces) {
  run([](const auto& api) -> asio::awaitable<void> {
    const auto r = co_await api.get("/users/{id}", {{"id", id}}).async_send();
    EXPECT_THAT(r, IsOkAnd(HasStatus(200)));
  }(users));
  EXPECT_THAT(net->requests(), ElementsAre(RequestTo("GET", at)));
}

TEST_F(one_liners, parameters_in_braces_that_are_temporaries_themselves) {
  run([](const auto& api) -> asio::awaitable<void> {
    const auto r = co_await api
                       .delete_("/users/{id}/{part}",
                                {{"id", std::string(id)}, {"part", std::string(40, 'x')}})
                       .async_send(asio::use_awaitable);
    EXPECT_THAT(r, IsOkAnd(HasStatus(200)));
  }(users));
  EXPECT_THAT(net->requests(),
              ElementsAre(RequestTo("DELETE", std::string(at) + "/" + std::string(40, 'x'))));
}

TEST_F(one_liners, each_method) {
  run([](const auto& api) -> asio::awaitable<void> {
    EXPECT_TRUE(co_await api.get("/{n}", {{"n", "1"}}).async_send());
    EXPECT_TRUE(co_await api.head("/{n}", {{"n", "2"}}).async_send());
    EXPECT_TRUE(co_await api.post("/{n}", {{"n", "3"}}).async_send());
    EXPECT_TRUE(co_await api.put("/{n}", {{"n", "4"}}).async_send());
    EXPECT_TRUE(co_await api.patch("/{n}", {{"n", "5"}}).async_send());
    EXPECT_TRUE(co_await api.delete_("/{n}", {{"n", "6"}}).async_send());
    EXPECT_TRUE(co_await api.options("/{n}", {{"n", "7"}}).async_send());
  }(users));
  EXPECT_THAT(net->requests(),
              ElementsAre(RequestTo("GET", "/1"), RequestTo("HEAD", "/2"), RequestTo("POST", "/3"),
                          RequestTo("PUT", "/4"), RequestTo("PATCH", "/5"),
                          RequestTo("DELETE", "/6"), RequestTo("OPTIONS", "/7")));
}

TEST_F(one_liners, as_many_parameters_as_fit_in_braces) {
  run([](const auto& api) -> asio::awaitable<void> {
    const auto r = co_await api
                       .head("/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}", {{"a", "1"},
                                                                  {"b", "2"},
                                                                  {"c", "3"},
                                                                  {"d", "4"},
                                                                  {"e", "5"},
                                                                  {"f", "6"},
                                                                  {"g", "7"},
                                                                  {"h", "8"}})
                       .async_send();
    EXPECT_THAT(r, IsOkAnd(HasStatus(200)));
  }(users));
  EXPECT_THAT(net->requests(), ElementsAre(RequestTo("HEAD", "/1/2/3/4/5/6/7/8")));
}

TEST_F(one_liners, parameters_of_a_named_list) {
  run([](const auto& api) -> asio::awaitable<void> {
    const hawser::http::route_params known{{"id", id}};
    const auto r = co_await api.get("/users/{id}", known).async_send();
    EXPECT_THAT(r, IsOkAnd(HasStatus(200)));
  }(users));
  EXPECT_THAT(net->requests(), ElementsAre(RequestTo("GET", at)));
}

TEST_F(one_liners, setters_in_a_row) {
  run([](const auto& api) -> asio::awaitable<void> {
    const std::tuple<hawser::result<hawser::http::response>> r =
        co_await api.get("/users/{id}")
            .param("id", id)
            .query("page", "2")
            .header("Accept", "text/plain")
            .name("user")
            .effect(hawser::effect::safe)
            .async_send(asio::as_tuple(asio::use_awaitable));
    EXPECT_THAT(std::get<0>(r), IsOkAnd(HasStatus(200)));
  }(users));
  EXPECT_THAT(net->requests(), ElementsAre(AllOf(RequestTo("GET", std::string(at) + "?page=2"),
                                                 HasHeader("Accept", "text/plain"))));
}

TEST_F(one_liners, a_request_made_in_the_call) {
  run([](const auto& api) -> asio::awaitable<void> {
    const auto r = co_await api.async_send(request::post("/v1/{id}/charges", {{"id", id}})
                                               .header("Accept", "application/json")
                                               .json("order", id, "amount", 1200)
                                               .idempotency_key(id));
    EXPECT_THAT(r, IsOkAnd(HasStatus(200)));
  }(users));
  EXPECT_THAT(net->requests(), ElementsAre(HasJson(R"({"order":")" + id + R"(","amount":1200})")));
}

TEST_F(one_liners, a_json_body_of_a_named_value) {
  run([](const auto& api) -> asio::awaitable<void> {
    const nlohmann::json body = {{"order", id}, {"lines", {1, 2, 3}}};
    const auto r = co_await api.post("/v1/charges").json(body).async_send();
    EXPECT_THAT(r, IsOkAnd(HasStatus(200)));
  }(users));
  EXPECT_THAT(net->requests(),
              ElementsAre(HasJson(R"({"order":")" + id + R"(","lines":[1,2,3]})")));
}

TEST_F(one_liners, a_body_of_bytes) {
  run([](const auto& api) -> asio::awaitable<void> {
    const auto r = co_await api.put("/notes/{id}", {{"id", "7"}})
                       .body(std::string(id), "text/plain")
                       .async_send();
    EXPECT_THAT(r, IsOkAnd(HasStatus(200)));
  }(users));
  EXPECT_THAT(net->requests(),
              ElementsAre(AllOf(RequestTo("PUT", "/notes/7"), hawser::testing::HasBody(id))));
}

TEST_F(one_liners, a_named_request_changed_and_sent_with_options) {
  hawser::call_report story;
  run([](const auto& api, auto& report) -> asio::awaitable<void> {
    request what = request::get("/users/{id}");
    what.param("id", id);
    what.header("Accept", "text/plain").query("page", "2");
    const hawser::call_options options{.report = &report};
    const auto first = co_await api.async_send(what, options);
    const auto second = co_await api.async_send(what, options, asio::use_awaitable);
    EXPECT_THAT(first, IsOkAnd(HasStatus(200)));
    EXPECT_THAT(second, IsOkAnd(HasStatus(200)));
  }(users, story));
  EXPECT_THAT(net->requests(), ::testing::Each(RequestTo("GET", std::string(at) + "?page=2")));
  EXPECT_THAT(story, hawser::testing::Attempts(1));
}

TEST_F(one_liners, a_named_request_on_its_way_is_sent_as_often_as_told) {
  hawser::call_report story;
  run([](const auto& api, auto& report) -> asio::awaitable<void> {
    hawser::http::prepared get = api.get("/users/{id}", {{"id", id}});
    get.header("Accept", "text/plain");
    const hawser::call_options options{.report = &report};
    const auto first = co_await get.async_send();
    const auto second = co_await get.async_send(options);
    const auto third = co_await std::move(get).async_send(options, asio::use_awaitable);
    EXPECT_THAT(first, IsOkAnd(HasStatus(200)));
    EXPECT_THAT(second, IsOkAnd(HasStatus(200)));
    EXPECT_THAT(third, IsOkAnd(HasStatus(200)));
  }(users, story));
  EXPECT_THAT(net->requests(), ::testing::SizeIs(3));
  EXPECT_THAT(net->requests(),
              ::testing::Each(AllOf(RequestTo("GET", at), HasHeader("Accept", "text/plain"))));
}

TEST_F(one_liners, into_an_answer_of_ones_own) {
  run([](const auto& api) -> asio::awaitable<void> {
    const request what = request::get("/users/{id}", {{"id", id}});
    hawser::http::response answer;
    const hawser::result<void> r = co_await api.async_send_to(what, answer);
    EXPECT_THAT(r, hawser::testing::IsOk());
    EXPECT_THAT(answer, HasStatus(200));
  }(users));
  EXPECT_THAT(net->requests(), ElementsAre(RequestTo("GET", at)));
}

}  // namespace
}  // namespace coroutine_test
