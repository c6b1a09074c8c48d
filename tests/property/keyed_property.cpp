// Policies by key against a plain list of the keys that came.
#include "hawser/policy/keyed.hpp"

#include "property/random_events.hpp"
#include "support/stage_driver.hpp"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace hawser::test::keyed_property {
namespace {

/// Counts its calls.
class counting final : public policy {
 public:
  std::string_view kind() const noexcept override { return "counting"; }
  std::size_t stage_size() const noexcept override { return sizeof(on_call); }
  std::size_t stage_alignment() const noexcept override { return alignof(on_call); }
  stage* make_stage(void* memory) override { return ::new (memory) on_call(*this); }
  int calls = 0;

 private:
  struct on_call final : stage {
    explicit on_call(counting& its) : of(its) {}
    step enter(tick& /*t*/) override {
      ++of.calls;
      return step::call_inner();
    }
    counting& of;
  };
};

const std::vector<kind> keyed_ways = {{"call", 50}, {"ask", 20}, {"look", 20}, {"guess", 20}};

/// What the policies should be: the first `most` keys, in their order, and one for all others.
struct model {
  struct entry {
    std::string key;
    std::shared_ptr<policy> its;
    int calls;
  };
  std::vector<entry> known;
  int calls_of_others = 0;
  std::size_t guesses = 0;

  entry* find(const std::string& key) {
    const auto at =
        std::find_if(known.begin(), known.end(), [&](const entry& e) { return e.key == key; });
    return at == known.end() ? nullptr : &*at;
  }
};

TEST(keyed_property, the_first_keys_have_a_policy_each_and_all_others_one) {
  std::size_t turned_away = 0;
  std::size_t shared = 0;
  holds("keyed", keyed_events, [&] {
    const auto most = one_of<std::size_t>("max_keys", {3, 1, 2, 8, 64});
    keyed_policy p([] { return std::make_shared<counting>(); }, {.max_keys = most});
    model wanted;
    const auto calls_of = [](const std::shared_ptr<policy>& its) {
      return static_cast<counting&>(*its).calls;
    };
    const auto all = *deeds(keyed_ways, keyed_events);
    for (const deed& d : all) {
      const std::size_t n = d.which(3 * most);
      const std::string key = n == 0 ? std::string() : "key " + std::to_string(n);
      model::entry* known = wanted.find(key);
      const bool room = wanted.known.size() < most;
      if (d.name == "look") {
        same("found", p.find(key), known != nullptr ? known->its : nullptr);
        continue;
      }
      if (d.name == "guess") {
        const bool let_in = known != nullptr || (room && 2 * (wanted.guesses + 1) < most);
        same("admitted", p.admits(key), let_in);
        turned_away += let_in ? 0U : 1U;
        if (known != nullptr || !let_in) continue;
        ++wanted.guesses;
      }
      const auto given = d.name == "ask" ? p.of(key) : nullptr;
      if (d.name == "call") {
        stage_driver t;
        t.set_key(key);
        const auto memory = std::make_unique<std::byte[]>(p.stage_size());
        stage* made = nullptr;
        same("goes on", p.begin(memory.get(), t, made).what(), verb::call_inner);
        made->~stage();
      }
      if (known == nullptr && room) {
        const auto its = p.find(key);
        require(its != nullptr, "there was room, but it has no policy of its own");
        require(its != p.shared(), "its own is the others'");
        for (const model::entry& e : wanted.known) require(e.its != its, "it is another key's");
        wanted.known.push_back({key, its, 0});
        known = &wanted.known.back();
      }
      if (d.name == "call") ++(known != nullptr ? known->calls : wanted.calls_of_others);
      if (d.name == "ask") same("given", given, known != nullptr ? known->its : p.shared());
      shared += known == nullptr ? 1U : 0U;
      same("calls of others", calls_of(p.shared()), wanted.calls_of_others);
      if (known != nullptr) same("its calls", calls_of(known->its), known->calls);
      same("keys", p.size(), wanted.known.size());
    }
    std::size_t i = 0;
    p.for_each([&](std::string_view key, policy& its) {
      require(i < wanted.known.size(), "more keys than came");
      same("key", key, std::string_view(wanted.known[i].key));
      same("policy", &its, wanted.known[i].its.get());
      ++i;
    });
    same("keys shown", i, wanted.known.size());
    return all.size();
  });
  if (is_replay()) return;
  EXPECT_GT(turned_away, 1000U);
  EXPECT_GT(shared, 10'000U);
}

}  // namespace
}  // namespace hawser::test::keyed_property
