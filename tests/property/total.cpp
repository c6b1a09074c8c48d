// Says at the end of a run how many random events it was.
#include "property/random_events.hpp"

namespace hawser::test {
namespace {

class total final : public ::testing::Environment {
  void TearDown() override { std::cout << events_of_this_run() << " random events in this run\n"; }
};

[[maybe_unused]] const auto* const registered = ::testing::AddGlobalTestEnvironment(new total);

}  // namespace
}  // namespace hawser::test
