// Any Asio operation under a pipeline's policies, with its own completion signature.
//
//   auto connect = billing.wrap([&](auto token) {
//     return asio::async_connect(socket, endpoints, std::move(token));
//   });
//   asio::ip::tcp::endpoint ep = co_await connect();              // any completion token
//   connect([](error_code ec, asio::ip::tcp::endpoint ep) { ... });
#pragma once

#include "hawser/core/result.hpp"
#include "hawser/policy/classify.hpp"
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
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace hawser::inline v0 {

namespace detail {

/// Turns what the user wraps into something that takes a completion token; run/coroutine.hpp adds
/// a specialisation.
template <class Op, class = void>
struct initiation_of {
  using type = Op;
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

/// How a completion signature carries failure, and how to read and make one.
template <class Signature>
struct signature_traits;

template <class... Rest>
struct signature_traits<void(error_code, Rest...)> {
  using arguments = std::tuple<error_code, Rest...>;
  using value = std::tuple<Rest...>;
  static outcome read(const arguments& a) { return classify(std::get<0>(a)); }
  static arguments failure(const error& why) { return {why.code(), Rest{}...}; }
  static arguments success(std::tuple<Rest...>&& v) {
    return std::tuple_cat(std::tuple<error_code>(), std::move(v));
  }
  static std::optional<error> text_of(const arguments& /*a*/) noexcept { return std::nullopt; }
};

template <class... Rest>
struct signature_traits<void(std::exception_ptr, Rest...)> {
  using arguments = std::tuple<std::exception_ptr, Rest...>;
  using value = std::tuple<Rest...>;
  static outcome read(const arguments& a) {
    return std::get<0>(a) ? classify(describe(std::get<0>(a)).code()) : outcome{};
  }
  static arguments failure(const error& why) { return {thrown(why), Rest{}...}; }
  static std::exception_ptr thrown(const error& why) noexcept {
    try {
      return std::make_exception_ptr(call_error(why));
    } catch (...) {  // no memory for its text
      return std::current_exception();
    }
  }
  static arguments success(std::tuple<Rest...>&& v) {
    return std::tuple_cat(std::tuple<std::exception_ptr>(), std::move(v));
  }
  static std::optional<error> text_of(const arguments& /*a*/) noexcept { return std::nullopt; }
};

template <class T, class E>
struct signature_traits<void(boost::system::result<T, E>)> {
  using arguments = std::tuple<boost::system::result<T, E>>;
  using value = std::tuple<T>;
  static outcome read(const arguments& a) {
    const auto& r = std::get<0>(a);
    return r.has_error() ? classify(to_error(r.error()).code()) : outcome{};
  }
  static arguments failure(const error& why) {
    if constexpr (std::is_same_v<E, error>)
      return boost::system::result<T, E>(boost::system::in_place_error, why);
    else
      return boost::system::result<T, E>(boost::system::in_place_error, why.code());
  }
  static arguments success(std::tuple<T>&& v) {
    return boost::system::result<T, E>(boost::system::in_place_value, std::get<0>(std::move(v)));
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
                "std::exception_ptr or a boost::system::result, or a policy's refusal could not be "
                "delivered");
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
  /// stands in for it until delivery. `masks`: the plan's.
  template <class Handler>
  wrapped_call(Init init, Handler&& handler, const boost::asio::any_io_executor& executor,
               bool foreign, const redactor* masks)
      : stranded_operation(executor, boost::asio::get_associated_cancellation_slot(handler)),
        masks_(masks),
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
      call_->last_.emplace(std::forward<Args>(args)...);
      keep->attempt_done(traits::read(*call_->last_));
    }

   private:
    wrapped_call* call_;
    call_ref keep_;
  };

  bool start(const attempt_start& /*about*/, outcome& o) override {
    last_.reset();
    try {
      init_(attempt_handler(*this));
      return false;
    } catch (...) {  // the initiating function itself threw: nothing is under way
      const error why = describe(std::current_exception(), masks_);
      if constexpr (std::is_same_v<std::tuple_element_t<0, arguments>, std::exception_ptr>)
        last_.emplace(with_exception(std::current_exception()));
      else
        last_.emplace(traits::failure(why));
      o = classify(why.code());
      return true;
    }
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
    if (!own && last_) end.why = with_last_words(end.why, own_words(), masks_);
    if (own && masks_ != nullptr)
      if (const std::optional<error> why = traits::text_of(*last_))
        last_.emplace(traits::failure(with_story(*why, {}, masks_)));
    stop_listening();
    send_off(strand().get_inner_executor(),
             delivery<handler_type, arguments>{std::move(handler_),
                                               own ? std::move(*last_) : traits::failure(end.why),
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

  /// What the operation itself last said of its failure.
  [[nodiscard]] error own_words() const noexcept {
    if constexpr (std::is_same_v<std::tuple_element_t<0, arguments>, std::exception_ptr>)
      return std::get<0>(*last_) ? describe(std::get<0>(*last_), masks_) : error();
    else
      return traits::text_of(*last_).value_or(error());
  }

  const redactor* masks_;
  Init init_;
  bool foreign_;
  handler_type handler_;
  std::optional<arguments> last_;
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

}  // namespace detail

/// An operation under policies; made by `pipeline::wrap`, started as often as you like. Copyable as
/// its operation is; each start copies the operation. Thread-safe as far as that copy is.
///
/// Completion signature: the operation's own. A policy's refusal or timeout comes as its
/// `error_code`, as a `call_error` in its `exception_ptr`, or as its `result`'s error.
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
                                                 executor, foreign, plan->masks.get()),
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
  using signature = boost::asio::completion_signature_of_t<init>;
  return wrapped_operation<init, signature>(init(std::move(op)), plan_, options);
}

}  // namespace hawser::inline v0
