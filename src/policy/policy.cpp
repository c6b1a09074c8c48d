#include "hawser/policy/policy.hpp"

#include <algorithm>
#include <functional>

namespace hawser::inline v0 {

step stage::inner_done(int /*child*/, const outcome& o, tick& t) { return t.finish(o); }

step stage::timer(tick& /*t*/) { return step::cancel_inner(); }

step stage::woken(tick& /*t*/) { return step::park(); }

outcome stage::canceled(const outcome& o, tick& /*t*/) { return o; }

void stage::leave() noexcept {}

stage::~stage() = default;

policy::~policy() = default;

step policy::begin(void* memory, tick& t, stage*& made) {
  made = make_stage(memory);
  return made->enter(t);
}

std::uint64_t key_hash_of(std::string_view key) noexcept {
  return std::max<std::uint64_t>(std::hash<std::string_view>{}(key), 1);
}

substitute_source::~substitute_source() = default;

}  // namespace hawser::inline v0
