#include "hawser/run/detail/judge.hpp"

#include "hawser/core/error.hpp"
#include "hawser/core/forced_unwind.hpp"

#include "run/nested.hpp"

#include <boost/system/system_error.hpp>

#include <system_error>

namespace hawser::inline v0::detail {

judge::~judge() = default;

namespace {

/// What a judge throws is no verdict: the library's own reading stands.
template <class Ask>
bool ask_each(const judges& all, outcome& o, Ask ask) {
  const outcome usual = o;
  bool decided = false;
  o.transient = o.transient || o.ok();  // as of any failure, should it become one
  try {
    for (auto one = all.begin(); one != all.end() && !decided; ++one) decided = ask(**one);
  } catch (...) {
    if (unwinding_by_force()) throw;
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

namespace {

/// The code that an exception carries; none where it carries none.
error_code code_in(const std::exception_ptr& thrown) noexcept {
  try {
    std::rethrow_exception(thrown);
  } catch (const boost::system::system_error& e) {
    return e.code();
  } catch (const std::system_error& e) {
    return e.code();
  } catch (const config_error& e) {
    return e.code();
  } catch (...) {
    return {};
  }
}

/// One of ours has its text, too.
bool judge_told(const judge& one, const std::exception_ptr& thrown, outcome& o) {
  error told;
  try {
    std::rethrow_exception(thrown);
  } catch (const call_error& e) {
    told = e.why();
  } catch (...) {
    return false;
  }
  return one.judge_seen(typeid(error), &told, o);
}

}  // namespace

bool judge_thrown(const judges& all, const std::exception_ptr& thrown, outcome& o) {
  std::exception_ptr e = thrown;
  for (int depth = 0; e != nullptr && depth < deepest_nested; ++depth) {
    const error_code code = code_in(e);
    const bool decided = ask_each(all, o, [&](const judge& one) {
      return one.judge_thrown(e, o) || (code && (judge_told(one, e, o) || one.judge_code(code, o)));
    });
    if (decided) return true;
    e = nested_in(e);
  }
  return false;
}

bool judge_seen(const judges& all, const std::type_info& what, const void* seen, outcome& o,
                const error_code* code) {
  if (what == typeid(error_code)) code = static_cast<const error_code*>(seen);
  return ask_each(all, o, [&](const judge& one) {
    return one.judge_seen(what, seen, o) || (code != nullptr && one.judge_code(*code, o));
  });
}

}  // namespace hawser::inline v0::detail
