#include "hawser/run/detail/judge.hpp"

#include "hawser/core/error.hpp"

namespace hawser::inline v0::detail {

judge::~judge() = default;

namespace {

/// What a judge throws is no verdict: the library's own reading stands.
template <class Ask>
bool ask_each(const judges& all, outcome& o, Ask ask) noexcept {
  const outcome usual = o;
  bool decided = false;
  o.transient = o.transient || o.ok();  // as of any failure, should it become one
  try {
    for (auto one = all.begin(); one != all.end() && !decided; ++one) decided = ask(**one);
  } catch (...) {
    o = usual;
    return true;
  }
  if (!decided) {
    o = usual;
  } else if (o.ok()) {
    o.error = {};
    o.rejected = o.transient = false;
  } else if (!o.error) {
    o.error = errc::operation_failed;
  }
  return decided;
}

}  // namespace

bool judge_thrown(const judges& all, const std::exception_ptr& thrown, outcome& o) noexcept {
  return ask_each(all, o, [&](const judge& one) { return one.judge_thrown(thrown, o); });
}

bool judge_seen(const judges& all, const std::type_info& what, const void* seen,
                outcome& o) noexcept {
  return ask_each(all, o, [&](const judge& one) { return one.judge_seen(what, seen, o); });
}

}  // namespace hawser::inline v0::detail
