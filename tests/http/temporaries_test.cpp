// What hands out a view or a reference gives it to what has a name; a temporary gives a value, or
// does not compile. So nothing dangles at the end of an expression.
#include "hawser/core/result.hpp"
#include "hawser/core/secret.hpp"
#include "hawser/http/client.hpp"
#include "hawser/run/pipeline.hpp"
#include "hawser/testing/fake_transport.hpp"
#include "hawser/testing/fault_plan.hpp"
#include "hawser/testing/test_certificates.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace hawser::test::temporaries_test {
namespace {

using http::headers;
using http::method;
using http::request;
using http::response;
using http::url;

/// Whether it is a value that owns what it shows.
template <class T>
constexpr bool owns = !std::is_reference_v<T> && !std::is_same_v<T, std::string_view> &&
                      !std::is_same_v<T, std::optional<std::string_view>> &&
                      !std::is_same_v<T, std::vector<std::string_view>>;

#define HAWSER_OWNS(type, call) static_assert(owns<decltype(std::declval<type>().call)>)
HAWSER_OWNS(error, code());
HAWSER_OWNS(error, detail());
HAWSER_OWNS(error, message());
HAWSER_OWNS(error, problem_type());
HAWSER_OWNS(error, problem_title());
HAWSER_OWNS(error, operator error_code());
HAWSER_OWNS(call_error, why());
HAWSER_OWNS(config_error, field());
HAWSER_OWNS(response, reason());
HAWSER_OWNS(response, headers());
HAWSER_OWNS(response, trailers());
HAWSER_OWNS(response, body());
HAWSER_OWNS(request, problem());
HAWSER_OWNS(request, method());
HAWSER_OWNS(request, route());
HAWSER_OWNS(request, name());
HAWSER_OWNS(request, headers());
HAWSER_OWNS(request, body());
HAWSER_OWNS(request, idempotency_key());
HAWSER_OWNS(headers, find("a"));
HAWSER_OWNS(headers, all("a"));
HAWSER_OWNS(method, text());
HAWSER_OWNS(url, host());
HAWSER_OWNS(url, path());
HAWSER_OWNS(url, query());
HAWSER_OWNS(pipeline, name());
HAWSER_OWNS(pipeline, env());
HAWSER_OWNS(pipeline, plan());
HAWSER_OWNS(pipeline_builder, name());
HAWSER_OWNS(http::client, env());
HAWSER_OWNS(http::client, policies());
HAWSER_OWNS(http::prepared, what());
HAWSER_OWNS(testing::plan, get());
HAWSER_OWNS(testing::received_request, header("a"));
HAWSER_OWNS(testing::sent_request, header("a"));
HAWSER_OWNS(testing::test_authority, certificate());
#undef HAWSER_OWNS
static_assert(owns<decltype(to_string(std::declval<method>()))>);

template <class T>
concept exposes = requires(T of) {
  std::forward<T>(of).expose();
};
static_assert(exposes<secret&> && exposes<const secret&> && !exposes<secret>);
template <class T>
concept has_executor = requires(T of) {
  std::forward<T>(of).executor();
};
static_assert(has_executor<const environment&> && !has_executor<environment>);
template <class T>
concept is_filled = requires(T of) {
  std::forward<T>(of).mutable_headers();
};
static_assert(is_filled<response&> && !is_filled<response>);
template <class T>
concept is_indexed = requires(T of) {
  std::forward<T>(of)[0];
};
static_assert(is_indexed<const headers&> && !is_indexed<headers>);
template <class T>
concept is_walked = requires(T of) {
  std::forward<T>(of).begin();
};
static_assert(is_walked<const headers&> && !is_walked<headers>);

result<int> failing() { return error(errc::invalid_url, "a detail that needs memory of its own"); }

TEST(Temporaries, GiveWhatOutlivesThem) {
  const error_code& code = failing().error().code();
  const error_code& converted = failing().error();
  const auto detail = failing().error().detail();
  EXPECT_EQ(code, errc::invalid_url);
  EXPECT_EQ(converted, errc::invalid_url);
  EXPECT_EQ(detail, "a detail that needs memory of its own");
  std::size_t fields = 0;
  for (const headers::field f : request::get("/").header("a", "b").headers())
    fields += f.name.size();
  EXPECT_EQ(fields, 1u);
}

}  // namespace
}  // namespace hawser::test::temporaries_test
