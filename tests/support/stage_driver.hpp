// The public stage driver, under the names that the tests of policies use.
#pragma once

#include "hawser/testing/stage_driver.hpp"

namespace hawser::test {

using verb = step::verb;
using testing::failed;
using testing::ignored;
using testing::stage_driver;
using testing::stage_under_test;
using testing::succeeded;

}  // namespace hawser::test
