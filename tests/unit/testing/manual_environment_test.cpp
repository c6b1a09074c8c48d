#include "hawser/testing/manual_environment.hpp"

#include "hawser/run/async.hpp"
#include "hawser/run/pipeline.hpp"
#include "hawser/testing/matchers.hpp"
#include "hawser/testing/scripted_operation.hpp"

#include <boost/asio/post.hpp>

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>

namespace hawser::test::manual_environment_test {
namespace {

using namespace std::chrono_literals;
using testing::manual_environment;
using testing::scripted_end;
using testing::scripted_operation;

TEST(manual_environment, leaps_over_timers_before_anything_that_is_ready_runs) {
  manual_environment env;
  const auto call = pipeline_builder{"p"}.build(env).wrap(
      scripted_operation(env, {scripted_end::ok(1).after(1s)}));
  int ended = 0;
  int ran = 0;
  call([&](error_code ec, int) {
    EXPECT_FALSE(ec);
    ++ended;
  });
  boost::asio::post(env.get_executor(), [&] { ++ran; });
  const time_point before = env.now();
  env.leap(1h);
  EXPECT_EQ(env.now() - before, 1h);
  EXPECT_EQ(ran + ended, 0) << "it runs nothing itself";
  env.run_ready();
  EXPECT_EQ(ran, 1);
  EXPECT_EQ(ended, 1);
  EXPECT_TRUE(env.quiet());
}

TEST(leftovers, fail_the_test_where_the_matchers_are_included) {
  EXPECT_NONFATAL_FAILURE(
      {
        manual_environment env;
        const auto op =
            pipeline_builder{"p"}.build(env).wrap(scripted_operation(env, {scripted_end::hang()}));
        op([](error_code, int) {});
      },
      "left behind: 1 timer armed, due in 31536000.000 s");
}

TEST(leftovers, end_the_program_where_no_framework_was_told_of) {
  EXPECT_DEATH(
      {
        manual_environment::fail_leftovers_by(nullptr);
        manual_environment env;
        env.context().get_executor().on_work_started();
      },
      "left behind: 0 timers armed; operations under way .let the calls end");
  EXPECT_EXIT(
      {
        manual_environment::fail_leftovers_by(nullptr);
        try {
          manual_environment env;
          env.context().get_executor().on_work_started();
          throw 7;
        } catch (int) {
        }
        std::_Exit(0);
      },
      ::testing::ExitedWithCode(0), "left behind");
}

}  // namespace
}  // namespace hawser::test::manual_environment_test
