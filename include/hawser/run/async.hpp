// Any Asio operation under a pipeline's policies, with its own completion signature.
//
//   auto connect = billing.wrap([&](auto token) {
//     return asio::async_connect(socket, endpoints, std::move(token));
//   });
//   asio::ip::tcp::endpoint ep = co_await connect();              // any completion token
//   connect([](error_code ec, asio::ip::tcp::endpoint ep) { ... });
#pragma once

#include "hawser/core/forced_unwind.hpp"
#include "hawser/core/result.hpp"
#include "hawser/policy/classify.hpp"
#include "hawser/run/attempt.hpp"
#include "hawser/run/detail/delivery.hpp"
#include "hawser/run/detail/stranded_operation.hpp"
#include "hawser/run/detail/value.hpp"
#include "hawser/run/pipeline.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace hawser::inline v0 {

namespace detail {

/// Turns what the user wraps into something that takes a completion token; run/coroutine.hpp adds
/// specialisations.
template <class Op, class = void>
struct initiation_of {
  using type = Op;
};

/// What takes a `hawser::attempt&` before its token.
template <class Op>
class attempt_initiation {
 public:
  explicit attempt_initiation(Op op) : op_(std::move(op)) {}
  /// The next one. Outlives the operation that is started for it.
  void next(attempt& a) noexcept { attempt_ = &a; }

  template <class CompletionToken>
  auto operator()(CompletionToken&& token) -> decltype(auto) {
    return std::invoke(op_, *attempt_, std::forward<CompletionToken>(token));
  }

 private:
  Op op_;
  attempt* attempt_ = nullptr;
};
/// Others are not asked what they make of an attempt: they would take it for a token.
template <class Op>
using takes_no_token = std::negation<std::is_invocable<Op&, const boost::asio::deferred_t&>>;
template <class Op>
struct initiation_of<
    Op,
    std::enable_if_t<std::conjunction_v<
        takes_no_token<Op>, std::is_invocable<Op&, attempt&, const boost::asio::deferred_t&>>>> {
  using type = attempt_initiation<Op>;
};

template <class Init>
concept wants_attempt = requires(Init& init, attempt& a) {
  init.next(a);
};

/// What starts an operation without a token: `deferred`, which can be awaited.
template <class Init, class = void>
struct default_token_of {
  using type = boost::asio::deferred_t;
};
template <class Init>
struct default_token_of<Init, std::void_t<typename Init::default_token>> {
  using type = typename Init::default_token;
};

/// The last argument of a completion may itself carry failure, as what a coroutine returns does.
template <class... Rest>
struct tail_traits {
  static constexpr bool may_fail = false;
};
template <class R>
struct tail_traits<R> {
  static constexpr bool may_fail = value_of<R>::may_fail;
  /// Whether a policy's refusal can be delivered in it.
  static constexpr bool can_be_made =
      std::is_constructible_v<R, boost::system::in_place_error_t, error> ||
      std::is_same_v<R, error> || std::is_same_v<R, error_code> ||
      std::is_same_v<R, std::error_code>;
};

/// Made of a policy's error, in the form that an operation uses for its own; with what the
/// operation threw nested in it where that form is an exception.
template <class E>
E failure_as(const error& why, const std::exception_ptr& thrown) {
  if constexpr (std::is_same_v<E, error>) {
    return why;
  } else if constexpr (std::is_same_v<E, std::exception_ptr>) {
    return as_exception(why, thrown);
  } else if constexpr (std::is_same_v<E, std::error_code>) {
    return static_cast<std::error_code>(why.code());
  } else if constexpr (std::is_same_v<E, error_code>) {
    return why.code();
  } else if constexpr (requires { typename E::error_type; }) {  // boost::system::result
    return E(boost::system::in_place_error, failure_as<typename E::error_type>(why, thrown));
  } else {
    return E(why.code());
  }
}

/// Tells `judge` the value that arrived, out of what it came in.
template <class R, class Judge>
void show_value(const R& r, Judge judge) {
  if constexpr (!expected_like<R>)
    judge(r);
  else if constexpr (!std::is_void_v<typename value_of<R>::type>)
    show_value(value_in(r), judge);
}

/// How a completion signature carries failure, and how to read and make one.
template <class Signature>
struct signature_traits;

/// Those that begin with what says whether it failed.
template <class First, class... Rest>
struct code_first_traits {
  using arguments = std::tuple<First, Rest...>;
  using value = std::tuple<Rest...>;
  using tail = tail_traits<Rest...>;

  static bool failed(const arguments& a) {
    if (value_of<First>::failed(std::get<0>(a))) return true;
    if constexpr (tail::may_fail)
      return value_of<Rest...>::failed(std::get<1>(a));
    else
      return false;
  }
  static error why(const arguments& a, const redactor* masks) {
    if constexpr (tail::may_fail)
      if (!value_of<First>::failed(std::get<0>(a)))
        return value_of<Rest...>::why(std::get<1>(a), masks);
    return error_of(std::get<0>(a), masks);
  }
  /// Tells `judge` what failed, or what was returned.
  template <class Judge>
  static void show(const arguments& a, Judge judge) {
    if (value_of<First>::failed(std::get<0>(a))) return judge(std::get<0>(a));
    if constexpr (tail::may_fail) {
      if (value_of<Rest...>::failed(std::get<1>(a)))
        return value_of<Rest...>::show(std::get<1>(a), judge);
    }
    if constexpr (sizeof...(Rest) == 1) show_value(std::get<1>(a), judge);
  }
  static arguments failure(const error& why, const std::exception_ptr& thrown = nullptr) {
    if constexpr (tail::may_fail && std::is_same_v<First, std::exception_ptr>) {
      if constexpr (tail::can_be_made)  // as the operation itself would say it
        return {First{}, failure_as<Rest...>(why, thrown)};
      else
        return {failure_as<First>(why, thrown), Rest{}...};
    } else {
      return {failure_as<First>(why, thrown), Rest{}...};
    }
  }
  static arguments success(std::tuple<Rest...>&& v) {
    return std::tuple_cat(std::tuple<First>(), std::move(v));
  }
  /// The operation's own error, where it is one that has a text.
  static std::optional<error> text_of(const arguments& a) noexcept {
    if constexpr (std::is_same_v<First, error>)
      if (std::get<0>(a).code()) return std::get<0>(a);
    return std::nullopt;
  }
};
template <class... Rest>
struct signature_traits<void(error_code, Rest...)> : code_first_traits<error_code, Rest...> {};
template <class... Rest>
struct signature_traits<void(std::error_code, Rest...)>
    : code_first_traits<std::error_code, Rest...> {};
template <class... Rest>
struct signature_traits<void(error, Rest...)> : code_first_traits<error, Rest...> {};
template <class... Rest>
struct signature_traits<void(std::exception_ptr, Rest...)>
    : code_first_traits<std::exception_ptr, Rest...> {};

template <class T, class E>
struct signature_traits<void(boost::system::result<T, E>)> {
  using own = boost::system::result<T, E>;
  using arguments = std::tuple<own>;
  using value = std::conditional_t<std::is_void_v<T>, std::tuple<>, std::tuple<T>>;
  static bool failed(const arguments& a) { return value_of<own>::failed(std::get<0>(a)); }
  static error why(const arguments& a, const redactor* masks) {
    return value_of<own>::why(std::get<0>(a), masks);
  }
  template <class Judge>
  static void show(const arguments& a, Judge judge) {
    if (failed(a)) return value_of<own>::show(std::get<0>(a), judge);
    show_value(std::get<0>(a), judge);
  }
  static arguments failure(const error& why, const std::exception_ptr& thrown = nullptr) {
    return arguments(failure_as<own>(why, thrown));
  }
  static arguments success(value&& v) {
    if constexpr (std::is_void_v<T>)
      return arguments(own());
    else
      return arguments(own(boost::system::in_place_value, std::get<0>(std::move(v))));
  }
  /// The operation's own error, where it is one that has a text.
  static std::optional<error> text_of(const arguments& a) noexcept {
    if constexpr (std::is_same_v<E, error>)
      if (std::get<0>(a).has_error()) return std::get<0>(a).error();
    return std::nullopt;
  }
};

template <class R, class... Args>
struct signature_traits<R(Args...)> {
  static_assert(sizeof...(Args) > 1000,
                "the operation's completion signature must begin with boost::system::error_code, "
                "std::error_code, hawser::error or std::exception_ptr, or be one "
                "boost::system::result, or a policy's refusal could not be delivered");
};

/// What a fallback must produce for a list of completion arguments.
template <class Tuple>
struct substitute_of {
  using type = Tuple;
  static Tuple to_tuple(Tuple&& t) { return std::move(t); }
};
template <class T>
struct substitute_of<std::tuple<T>> {
  using type = T;
  static std::tuple<T> to_tuple(T&& t) { return std::tuple<T>(std::move(t)); }
};

/// One call of a wrapped operation.
template <class Signature, class Init>
class wrapped_call final : public stranded_operation {
 public:
  using traits = signature_traits<Signature>;
  using arguments = typename traits::arguments;
  using handler_type = boost::asio::any_completion_handler<Signature>;

  /// `foreign`: the handler's executor is not one that operations can post to, and `executor`
  /// stands in for it until delivery. `how` outlives the call.
  template <class Handler>
  wrapped_call(Init init, Handler&& handler, const boost::asio::any_io_executor& executor,
               bool foreign, const plan& how)
      : stranded_operation(executor, boost::asio::get_associated_cancellation_slot(handler)),
        how_(how),
        init_(std::move(init)),
        foreign_(foreign),
        handler_(std::forward<Handler>(handler)) {}

  // While everything below is still there.
  ~wrapped_call() override { stop_listening(); }

  /// The one handler that is put in front of another: an attempt's. Forwards the associators that
  /// an operation may ask for.
  class attempt_handler {
   public:
    using executor_type = stranded_operation::executor_type;
    using cancellation_slot_type = boost::asio::cancellation_slot;

    explicit attempt_handler(wrapped_call& call) noexcept : call_(&call), keep_(call.control()) {}

    [[nodiscard]] executor_type get_executor() const noexcept { return call_->strand(); }
    [[nodiscard]] cancellation_slot_type get_cancellation_slot() const noexcept {
      return call_->attempt_slot();
    }

    template <class... Args>
    void operator()(Args&&... args) {
      const call_ref keep = std::move(keep_);
      keep->attempt_done(call_->take_in(arguments(std::forward<Args>(args)...)));
    }

   private:
    wrapped_call* call_;
    call_ref keep_;
  };

  bool start(const attempt_start& about, outcome& o) override {
    std::exception_ptr thrown;
    try {
      if constexpr (wants_attempt<Init>) {
        if (stop_.stop_requested()) stop_ = std::stop_source();
        init_.next(attempt_.emplace(about, how_.env, stop_));
      }
      init_(attempt_handler(*this));
      return false;
    } catch (...) {  // the initiating function itself threw: nothing is under way
      if (unwinding_by_force()) throw;
      thrown = std::current_exception();
    }
    const error why = describe(thrown, masks());
    if constexpr (std::is_same_v<std::tuple_element_t<0, arguments>, std::exception_ptr>)
      o = take_in(with_exception(std::move(thrown)));
    else
      o = take_in(traits::failure(why));
    return true;
  }

  void cancel(bool finally) noexcept override {
    if constexpr (wants_attempt<Init>) stop_.request_stop();
    stranded_operation::cancel(finally);
  }

  bool substitute(substitute_source& source, const outcome& failed) override {
    using value = typename traits::value;
    if constexpr (std::tuple_size_v<value> == 0) {
      if (!source.produce(typeid(void), nullptr, failed)) return false;
      last_.emplace(traits::success({}));
    } else {
      using one = substitute_of<value>;
      std::optional<typename one::type> given;
      if (!source.produce(typeid(typename one::type), &given, failed) || !given) return false;
      last_.emplace(traits::success(one::to_tuple(std::move(*given))));
    }
    return true;
  }

  void complete(ending&& end, bool initiating) override {
    const bool own = end.from != origin::policy && last_.has_value();
    if (own && end.refused_inside && refusal_) last_ = std::move(refusal_);
    if (!own && refusal_ && last_)  // an answer before it is still the last one
      end.why = end.why.about_answer_of(own_words(*last_));
    if (!own && last_)
      end.why = with_last_words(end.why, own_words(refusal_ ? *refusal_ : *last_), masks());
    if (own && masks() != nullptr)
      if (const std::optional<error> why = traits::text_of(*last_))
        last_.emplace(traits::failure(with_story(*why, {}, masks())));
    stop_listening();
    send_off(strand().get_inner_executor(),
             delivery<handler_type, arguments>{
                 std::move(handler_), own ? std::move(*last_) : traits::failure(end.why, thrown()),
                 handler_slot(), foreign_},
             initiating);
  }

 private:
  static arguments with_exception(std::exception_ptr thrown) {
    arguments a = traits::failure(error(errc::operation_threw));
    if constexpr (std::is_same_v<std::tuple_element_t<0, arguments>, std::exception_ptr>)
      std::get<0>(a) = std::move(thrown);
    return a;
  }

  /// An attempt has ended with `a`: what that means. A refusal by a local policy inside is kept
  /// apart, so that it hides no failure before it.
  outcome take_in(arguments&& a) {
    outcome o;
    const bool failed = traits::failed(a);
    if (failed) o = classify(traits::why(a, masks()).code());
    traits::show(a, [&](const auto& shown) {
      if (!failed) read_value(shown, o);
      if (!how_.judges.empty()) judge_one(how_.judges, shown, o);
    });
    if constexpr (wants_attempt<Init>) {
      if (attempt_) attempt_->amend(o);
      attempt_.reset();
    }
    if (o.rejected && last_ && !only_refused_) {
      refusal_.emplace(std::move(a));
    } else {
      last_.emplace(std::move(a));
      only_refused_ = o.rejected;
      refusal_.reset();
    }
    return o;
  }

  /// What the operation itself said of its failure.
  [[nodiscard]] error own_words(const arguments& a) const noexcept {
    try {
      if (traits::failed(a)) return traits::why(a, masks());
      error found;
      traits::show(a, [&](const auto& value) { found = failure_in(value, masks()); });
      return found;
    } catch (...) {  // no memory for it
      return {};
    }
  }
  /// What the last attempt threw, if it did.
  [[nodiscard]] std::exception_ptr thrown() const noexcept {
    std::exception_ptr found;
    if constexpr (std::is_same_v<std::tuple_element_t<0, arguments>, std::exception_ptr>)
      if (last_) found = std::get<0>(*last_);
    return found;
  }
  [[nodiscard]] const redactor* masks() const noexcept { return how_.masks.get(); }

  struct no_attempt {};
  static constexpr bool wants = wants_attempt<Init>;

  const plan& how_;
  Init init_;
  bool foreign_;
  bool only_refused_ = false;  // what is kept is such a refusal itself
  handler_type handler_;
  std::optional<arguments> last_;
  std::optional<arguments> refusal_;  // by a local policy inside, after a failure that is kept
  [[no_unique_address]] std::conditional_t<wants, std::stop_source, no_attempt> stop_;
  // Before the initiation goes, which looks at it.
  std::conditional_t<wants, std::optional<attempt>, no_attempt> attempt_;
};

/// Whether `executor` is one of Asio's system context, on whose threads work posted to it would
/// run. `ours` is the environment's.
[[nodiscard]] HAWSER_API bool on_system_threads(const boost::asio::any_io_executor& executor,
                                                const boost::asio::any_io_executor& ours);

/// The options of a wrapped operation, which may be started long after `wrap` returned: owns the
/// texts.
struct kept_options {
  explicit kept_options(const call_options& given)
      : name(given.name), correlation(given.correlation), options(given) {
    options.name = name;
    options.correlation = correlation;
  }
  kept_options(const kept_options&) = delete;
  kept_options& operator=(const kept_options&) = delete;

  const std::string name;
  const std::string correlation;
  call_options options;
};

/// Refuses what `wrap` cannot start, before the compiler gets lost in it.
template <class Op>
constexpr void require_operation() {
  if constexpr (std::is_invocable_v<Op&>) {
    using made = std::invoke_result_t<Op&>;
    static_assert(!coroutine_like<std::remove_cvref_t<made>> ||
                      !std::is_same_v<typename initiation_of<Op>::type, Op>,
                  "wrap() of a coroutine needs hawser/run/coroutine.hpp, and an asio::awaitable");
    static_assert(
        !std::is_same_v<typename initiation_of<Op>::type, Op> ||
            std::is_invocable_v<Op&, const boost::asio::deferred_t&>,
        "what is wrapped must take a completion token (`[&](auto token) { return "
        "async_something(..., std::move(token)); }`), or return an asio::awaitable; what returns a "
        "value is for execute(), inside which a future can be waited for");
  }
}

/// Refuses completions that hold what nobody judges. What follows the first argument is looked at
/// where it is alone.
template <class First, class... Rest>
constexpr void require_completion(void (* /*signature*/)(First, Rest...)) {
  if constexpr (sizeof...(Rest) == 1)
    (require_outcome<std::remove_cvref_t<Rest>, false, false>(), ...);
  else if constexpr (sizeof...(Rest) == 0)
    require_outcome<std::remove_cvref_t<First>, false, false>();
  else
    static_assert(((nature_of<std::remove_cvref_t<Rest>> == 0) && ...),
                  "the operation completes with an error besides its first argument, or with what "
                  "is no outcome yet, and nobody can tell what it means: complete with one "
                  "boost::system::result, or with an error and one more argument");
}

}  // namespace detail

/// An operation under policies; made by `pipeline::wrap`, started as often as you like. Copyable as
/// its operation is; each start copies the operation. Thread-safe as far as that copy is.
///
/// Completion signature: the operation's own. A policy's refusal or timeout comes as its error
/// code, as a `call_error` in its `exception_ptr`, or as its `result`'s error; where a coroutine
/// returns a `result` or an error code, in that.
/// Executor: the handler's associated executor; without one, the environment's. Never completes
/// inline from the initiating function.
/// Exceptions: what the completion handler throws comes out of its executor's run function, as with
/// any Asio operation; the call has ended before, its permits are back, other calls go on.
/// Cancellation: all types, passed on to the running attempt; between attempts each takes effect at
/// once with `operation_aborted`. No further attempt is made after one.
template <class Init, class Signature>
class wrapped_operation {
 public:
  /// For `pipeline::wrap`.
  wrapped_operation(Init init, std::shared_ptr<const detail::plan> how, const call_options& options)
      : init_(std::move(init)),
        plan_(std::move(how)),
        options_(std::make_shared<const detail::kept_options>(options)) {}

  /// The executor of operations started without one of the handler's.
  using executor_type = boost::asio::any_io_executor;
  /// The environment's executor.
  [[nodiscard]] executor_type get_executor() const noexcept { return plan_->env.executor(); }

  /// Starts the operation once. Without a token it can be awaited.
  template <class CompletionToken = typename detail::default_token_of<Init>::type>
  auto operator()(CompletionToken&& token = CompletionToken()) const {
    return boost::asio::async_initiate<CompletionToken, Signature>(initiate{plan_, options_}, token,
                                                                   init_);
  }

 private:
  struct initiate {
    std::shared_ptr<const detail::plan> plan;
    std::shared_ptr<const detail::kept_options> kept;

    using executor_type = boost::asio::any_io_executor;
    [[nodiscard]] executor_type get_executor() const noexcept { return plan->env.executor(); }

    template <class Handler>
    void operator()(Handler&& handler, Init init) const {
      using call = detail::wrapped_call<Signature, Init>;
      const auto associated = boost::asio::get_associated_executor(handler, plan->env.executor());
      boost::asio::any_io_executor executor = plan->env.executor();
      constexpr bool usable =
          std::is_convertible_v<decltype(associated), boost::asio::any_io_executor>;
      bool foreign = true;
      if constexpr (usable) {
        boost::asio::any_io_executor theirs = associated;
        foreign =
            detail::on_system_threads(theirs, executor);  // use_future's: attempts stay off them
        if (!foreign) executor = std::move(theirs);
      }
      detail::start_async(plan,
                          std::make_unique<call>(std::move(init), std::forward<Handler>(handler),
                                                 executor, foreign, *plan),
                          kept->options);
    }
  };

  Init init_;
  std::shared_ptr<const detail::plan> plan_;
  std::shared_ptr<const detail::kept_options> options_;
};

template <class Op>
auto pipeline::wrap(Op op, const call_options& options) const {
  using init = typename detail::initiation_of<Op>::type;
  detail::require_operation<Op>();
  using signature = boost::asio::completion_signature_of_t<init>;
  detail::require_completion(static_cast<signature*>(nullptr));
  return wrapped_operation<init, signature>(init(std::move(op)), plan_, options);
}

}  // namespace hawser::inline v0
