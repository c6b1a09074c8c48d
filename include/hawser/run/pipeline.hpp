// A pipeline: policies stacked around whatever you call.
//
//   auto billing = hawser::pipeline_builder{"billing"}           // outermost first, read top-down
//       .add(hawser::timeout{.after = 8s})                       // the whole call
//       .add(hawser::retry{.max_attempts = 4})
//       .add(hawser::circuit_breaker{.failure_ratio = 0.5})
//       .add(hawser::timeout{.after = 2s})                       // one attempt
//       .calls_are(hawser::effect::safe)                         // so a retry may repeat them
//       .build(env);
//   hawser::result<quote> q = billing.execute([&] { return legacy.quote(id); });
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/observe/observer.hpp"
#include "hawser/policy/policy.hpp"
#include "hawser/run/detail/operation.hpp"
#include "hawser/run/environment.hpp"

#include <concepts>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hawser::inline v0 {

/// An aggregate of options that `make_policy` turns into a policy.
template <class Options>
concept policy_options = requires(Options options) {
  { make_policy(std::move(options)) } -> std::convertible_to<std::shared_ptr<policy>>;
};

/// An immutable stack of policies; a cheap handle. Thread-safe: one pipeline serves all threads.
class HAWSER_API pipeline {
 public:
  /// For `pipeline_builder::build`.
  explicit pipeline(std::shared_ptr<const detail::plan> how) noexcept : plan_(std::move(how)) {}

  /// The name given to the builder.
  [[nodiscard]] std::string_view name() const& noexcept { return plan_->name; }
  /// The same of a temporary.
  [[nodiscard]] std::string name() && { return std::string(name()); }
  /// The environment its calls run on.
  [[nodiscard]] const environment& env() const& noexcept { return plan_->env; }
  /// The same of a temporary.
  [[nodiscard]] environment env() && { return plan_->env; }
  /// At most how many attempts one call can cause.
  [[nodiscard]] unsigned amplification() const noexcept { return plan_->amplification; }
  /// "timeout > retry > circuit_breaker > timeout", outermost first.
  [[nodiscard]] std::string composition() const;

  /// Calls `f` on this thread under the policies. `f` takes nothing or a `hawser::attempt&`, and
  /// returns `T`, `result<T>`, or nothing; throwing is a failure. Returns `result<T>`. What carries
  /// failure is judged by it, and its error is in the result: any boost::system::result, expected
  /// and the like (`has_value()`, `error()`) give `result<T>`, a result of a result that of the
  /// inner one; error codes, conditions, their enums, exception objects and std::exception_ptr give
  /// `result<void>`; a status (`ok()` with `message()`) is kept as it is. A bool, a pointer or an
  /// empty optional is a value like any other: `classify` is for those. Futures, coroutines, other
  /// callables, unsent requests and the like are no outcome yet and do not compile, nor does what
  /// holds such, or failures, in templates such as std::vector and std::pair. A
  /// callable cannot be interrupted: a time limit reaches it through
  /// `attempt::stop()`, and ends waits and retries. A result that comes too late is still delivered
  /// when it is a success. Never throws what `f` throws; std::bad_alloc when there is no memory to
  /// begin with, before `f` was called. Include run/execute.hpp.
  template <class F>
  auto execute(F&& f, const call_options& options = {}) const;

  /// The same; `classify(value)` says whether a returned value is ok (a `verdict` or an `outcome`).
  template <class F, class Classify>
  auto execute(F&& f, const call_options& options, Classify&& classify) const;

  /// The same, returning `T`. Throws the callable's own exception, as it was thrown or returned,
  /// when that is what the call ended with; else `call_error`, with the last one nested, if there
  /// was any. A `call_error` of the callable's own comes with this call's story added.
  template <class F>
  auto execute_or_throw(F&& f, const call_options& options = {}) const;

  /// An operation with `op`'s completion signature that runs `op` under the policies each time it
  /// is started. `op` takes a completion token and starts an Asio operation; or, with
  /// run/coroutine.hpp, returns an `awaitable`. Before it `op` may take a `hawser::attempt&`, which
  /// is valid until the operation has completed. Starting it throws std::bad_alloc when there is no
  /// memory to begin with; then no handler is called. Include run/async.hpp.
  template <class Op>
  auto wrap(Op op, const call_options& options = {}) const;

  /// For parts of the library.
  [[nodiscard]] const std::shared_ptr<const detail::plan>& plan() const& noexcept { return plan_; }
  /// The same of a temporary.
  [[nodiscard]] std::shared_ptr<const detail::plan> plan() && noexcept { return plan_; }

 private:
  std::shared_ptr<const detail::plan> plan_;
};

/// Stacks policies, outermost first; any order, any number.
class HAWSER_API pipeline_builder {
 public:
  /// A pipeline that may cause more attempts per call than this is refused, unless allowed.
  static constexpr unsigned default_max_amplification = 100;

  /// `name` stands in errors, events and metrics; `build` refuses an empty one, and one that is not
  /// UTF-8 or has control characters or line separators in it.
  explicit pipeline_builder(std::string name) : name_(std::move(name)) {}

  /// A policy of this pipeline's own. Throws `config_error` when an option is out of its bounds.
  template <policy_options Options>
  pipeline_builder& add(Options options) & {
    return add(std::shared_ptr<policy>(make_policy(std::move(options))));
  }
  /// The same on a temporary.
  template <policy_options Options>
  pipeline_builder&& add(Options options) && {
    return std::move(add(std::move(options)));
  }
  /// A policy object, possibly shared with other pipelines, or of your own making. Throws
  /// `config_error` for none.
  pipeline_builder& add(std::shared_ptr<policy> shared) &;
  /// The same on a temporary.
  pipeline_builder&& add(std::shared_ptr<policy> shared) && {
    return std::move(add(std::move(shared)));
  }
  /// Everything that another builder stacked and classifies, and its redactor and what it said of
  /// the calls if there is none yet.
  pipeline_builder& add(const pipeline_builder& other) &;
  /// The same on a temporary.
  pipeline_builder&& add(const pipeline_builder& other) && { return std::move(add(other)); }

  /// What making a call twice would do: one word for all calls, unless a call's own
  /// `call_options::effect` says otherwise. Where nobody says, a retry makes no attempt after one
  /// that may have had its effect. `http::client` goes by its requests instead.
  pipeline_builder& calls_are(effect what) & {
    calls_ = what;
    return *this;
  }
  /// The same on a temporary.
  pipeline_builder&& calls_are(effect what) && { return std::move(calls_are(what)); }

  /// How attempts that ended with a `T` are read: thrown (by a type derived from it, and nested in
  /// another, too), as the error in a failed result, as an error code (`error`, `error_code` and
  /// `std::error_code` stand for codes of all sorts, an enum for those of its category, thrown ones
  /// as well), or as a returned value; of `http::client` as an `error_code` or an `http::response`.
  /// `correct(const T&, outcome&)` is given the library's own reading and changes what it knows
  /// better: `result`, `transient`, `delivery` (the re-send table goes by it), `countable`,
  /// `throttled`, `server_wait`, `error`. It never changes what the caller gets in the end. The
  /// first that fits decides; what it throws is ignored. Called by many threads at once.
  template <class T, class F>
  pipeline_builder& classify(F correct) & {
    judges_.push_back(std::make_shared<const detail::typed_judge<T, F>>(std::move(correct)));
    return *this;
  }
  /// The same on a temporary.
  template <class T, class F>
  pipeline_builder&& classify(F correct) && {
    return std::move(classify<T>(std::move(correct)));
  }

  /// Has `listener` told of each event of the pipeline, after those added before it. Throws
  /// `config_error` for none.
  pipeline_builder& observe(std::shared_ptr<observer> listener) &;
  /// The same on a temporary.
  pipeline_builder&& observe(std::shared_ptr<observer> listener) && {
    return std::move(observe(std::move(listener)));
  }

  /// Masks the texts that leave a call: details of errors, what exceptions said, names, ids and
  /// causes in reports, names and ids in events. Your literals are in none of them; the built-in
  /// rules hold as they do without it. The last one given counts. Throws `config_error` for
  /// none.
  pipeline_builder& redact(std::shared_ptr<const redactor> masks) &;
  /// The same on a temporary.
  pipeline_builder&& redact(std::shared_ptr<const redactor> masks) && {
    return std::move(redact(std::move(masks)));
  }

  /// The most attempts that one call may cause, over all stacked retries. Throws `config_error` for
  /// 0.
  pipeline_builder& max_amplification(unsigned limit) &;
  /// The same on a temporary.
  pipeline_builder&& max_amplification(unsigned limit) && {
    return std::move(max_amplification(limit));
  }

  /// Throws `config_error` for an empty name, for a name, its own or a policy's, that cannot be
  /// printed on one line, and for too many attempts per call, with the product shown. The builder
  /// may be used again.
  [[nodiscard]] pipeline build(environment env) const;
  /// `result<pipeline>`, without throwing: the error's detail names field, value and bound. `add`
  /// throws where it stands; `try_make` around the whole expression has that as an error too.
  /// Include run/execute.hpp.
  [[nodiscard]] auto try_build(environment env) const;

  /// The name given to it.
  [[nodiscard]] const std::string& name() const& noexcept { return name_; }
  /// The same of a temporary.
  [[nodiscard]] std::string name() && { return name_; }

 private:
  std::string name_;
  std::vector<std::shared_ptr<policy>> policies_;
  std::vector<std::shared_ptr<observer>> observers_;
  std::shared_ptr<const redactor> masks_;
  std::optional<effect> calls_;
  detail::judges judges_;
  unsigned max_amplification_ = default_max_amplification;
};

}  // namespace hawser::inline v0
