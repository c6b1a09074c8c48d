// Blocking calls: any callable under a pipeline's policies, on the calling thread.
//
//   hawser::result<int> r = p.execute([] { return risky(); });
//   int v = p.execute_or_throw([] { return risky(); });
#pragma once

#include "hawser/core/forced_unwind.hpp"
#include "hawser/core/result.hpp"
#include "hawser/core/try_make.hpp"
#include "hawser/run/attempt.hpp"
#include "hawser/run/detail/value.hpp"
#include "hawser/run/pipeline.hpp"

#include <exception>
#include <new>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace hawser::inline v0 {

namespace detail {

/// Stands in for "whatever returns is ok".
struct accept_all {};

template <class F>
inline constexpr bool takes_attempt = std::is_invocable_v<F&, attempt&>;

template <class F, bool = takes_attempt<F>>
struct callable_result {
  using type = std::invoke_result_t<F&, attempt&>;
};
template <class F>
struct callable_result<F, false> {
  static_assert(std::is_invocable_v<F&>, "the callable takes nothing, or a hawser::attempt&");
  using type = std::invoke_result_t<F&>;
};

template <class F, class Classify>
class callable final : public operation {
 public:
  using returned = std::remove_cvref_t<typename callable_result<F>::type>;
  using traits = value_of<returned>;
  using value = typename traits::type;
  static constexpr bool judged = !std::is_same_v<Classify, const accept_all>;

  callable(F& f, Classify& classify, const plan& how) : f_(f), classify_(classify), how_(how) {
    require_outcome<returned, judged>();
  }

  bool start(const attempt_start& about, outcome& o) override {
    if constexpr (takes_attempt<F>) {
      if (stop_.stop_requested() && !renew_stop()) {
        fail(o, error(out_of_memory()));
        o.delivery = evidence::never_sent;
        return true;
      }
      attempt a(about, how_.env, stop_);
      run(o, [&]() -> decltype(auto) { return f_(a); });
      a.amend(o);
    } else {
      run(o, [&]() -> decltype(auto) { return f_(); });
    }
    return true;
  }

  void cancel(bool /*finally*/) noexcept override {
    if constexpr (takes_attempt<F>) stop_.request_stop();
  }

  bool substitute(substitute_source& source, const outcome& failed) override {
    if constexpr (std::is_void_v<value>) {
      if (!source.produce(typeid(void), nullptr, failed)) return false;
      kept_.emplace();
    } else {
      std::optional<value> given;
      if (!source.produce(typeid(value), &given, failed) || !given) return false;
      kept_.emplace(boost::system::in_place_value, std::move(*given));
    }
    return true;
  }

  result<value> take(ending& end) {
    const bool own = end.from == origin::operation || end.ok;
    if (own && refusal_ && end.refused_inside)
      kept_ = std::exchange(refusal_, std::nullopt);
    else if (own && refusal_)
      end.why = with_refusal(end.why, refusal_->error(), how_.masks.get());
    if (own && kept_ && kept_->has_value()) return std::move(*kept_);
    if (own && kept_)
      return result<value>(boost::system::in_place_error,
                           with_story(kept_->error(), end.why.detail(), how_.masks.get()));
    if (refusal_ && kept_ && kept_->has_error())  // an answer before it is still the last one
      end.why = end.why.about_answer_of(kept_->error());
    const auto& last = refusal_ ? refusal_ : kept_;
    if (last && last->has_error())
      return result<value>(boost::system::in_place_error,
                           with_last_words(end.why, last->error(), how_.masks.get()));
    if constexpr (!std::is_void_v<value>)
      if (last)
        return result<value>(
            boost::system::in_place_error,
            with_last_words(end.why, failure_in(**last, how_.masks.get()), how_.masks.get()));
    return result<value>(boost::system::in_place_error, std::move(end.why));
  }
  /// What the last attempt that failed threw, or returned of that kind, if it did.
  [[nodiscard]] std::exception_ptr thrown() const noexcept { return thrown_; }

 private:
  template <class Call>
  void run(outcome& o, Call call) {
    std::exception_ptr thrown;
    try {
      if constexpr (std::is_void_v<returned>) {
        call();
        kept_.emplace();
        accept(o);
      } else if constexpr (traits::may_fail) {
        auto&& r = call();
        if (traits::failed(r)) {
          std::exception_ptr returned_exception;
          traits::show(r, [&](const auto& cause) { returned_exception = thrown_as(cause); });
          if (fail(o, traits::why(r, how_.masks.get()))) thrown_ = std::move(returned_exception);
          if constexpr (std::is_same_v<returned, outcome>) {
            o = to_outcome(r);
          } else if constexpr (std::is_same_v<returned, verdict>) {
            o.result = r;
          } else if (!how_.judges.empty()) {
            traits::show(r, [&](const auto& cause) { judge_one(how_.judges, cause, o); });
          }
        } else {
          if constexpr (std::is_void_v<value>)
            kept_.emplace();
          else
            kept_.emplace(boost::system::in_place_value,
                          traits::take(std::forward<decltype(r)>(r)));
          accept(o);
          if constexpr (std::is_same_v<returned, outcome>) o = r;
        }
      } else {
        kept_.emplace(boost::system::in_place_value, call());
        accept(o);
      }
    } catch (...) {
      if (unwinding_by_force()) throw;
      thrown = std::current_exception();
    }
    if (thrown == nullptr) return;
    // Not in the handler, from which no user's code may end its thread.
    if (fail(o, describe(thrown, how_.masks.get()))) thrown_ = thrown;
    if (!how_.judges.empty()) judge_thrown(how_.judges, thrown, o);
  }

  /// A failure; but a refusal by a local policy inside is none, and hides none that came before it:
  /// then it is false.
  bool fail(outcome& o, error why) {
    o = hawser::classify(why.code());
    const bool hides = o.rejected && kept_ && !only_refused_;
    auto& place = hides ? refusal_ : kept_;
    place.emplace(boost::system::in_place_error, std::move(why));
    if (hides) return false;
    only_refused_ = o.rejected;
    refusal_.reset();
    thrown_ = nullptr;
    return true;
  }

  bool renew_stop() noexcept {
    try {
      stop_ = std::stop_source();
      return true;
    } catch (const std::bad_alloc&) {
      return false;
    }
  }

  void accept(outcome& o) {
    only_refused_ = false;
    if constexpr (!std::is_void_v<value>) {
      read_value(**kept_, o);
      if (!how_.judges.empty()) judge_one(how_.judges, **kept_, o);
    }
    if constexpr (!judged)
      return;
    else if constexpr (std::is_void_v<value>)
      o = to_outcome(classify_());
    else
      o = to_outcome(classify_(std::as_const(**kept_)));
  }

  F& f_;
  Classify& classify_;
  const plan& how_;
  std::stop_source stop_{make_source()};
  std::optional<result<value>> kept_;
  std::optional<result<value>> refusal_;  // by a local policy inside, after an error that is kept
  bool only_refused_ = false;             // what is kept is such a refusal itself
  std::exception_ptr thrown_;

  static std::stop_source make_source() {
    if constexpr (takes_attempt<F>)
      return std::stop_source();
    else
      return std::stop_source(std::nostopstate);
  }
};

}  // namespace detail

template <class F>
auto pipeline::execute(F&& f, const call_options& options) const {
  static const detail::accept_all accept{};
  return execute(f, options, accept);
}

template <class F, class Classify>
auto pipeline::execute(F&& f, const call_options& options, Classify&& classify) const {
  detail::callable<std::remove_reference_t<F>, std::remove_reference_t<Classify>> what(f, classify,
                                                                                       *plan_);
  detail::ending end;
  detail::run_blocking(*plan_, what, options, end);
  return what.take(end);
}

template <class F>
auto pipeline::execute_or_throw(F&& f, const call_options& options) const {
  static const detail::accept_all accept{};
  detail::callable<std::remove_reference_t<F>, const detail::accept_all> what(f, accept, *plan_);
  detail::ending end;
  detail::run_blocking(*plan_, what, options, end);
  const bool own = (end.from == origin::operation && !end.refused_inside) || end.ok;
  auto r = what.take(end);
  if (r.has_error()) detail::throw_ending(r.error(), what.thrown(), own);
  return std::move(r).value();
}

inline auto pipeline_builder::try_build(environment env) const {
  return try_make([&] { return build(std::move(env)); });
}

}  // namespace hawser::inline v0
