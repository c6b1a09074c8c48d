// Fallback: a value in place of a failed call's own.
//
//   builder.add(hawser::fallback::value(rate{1.0}));                          // a static value
//   builder.add(hawser::fallback::from([&](const hawser::outcome& failed) {   // tried in order
//     return cache.stale(id);                                                // std::optional<rate>
//   }).or_value(rate{1.0}));
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/policy/policy.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

namespace hawser::inline v0 {

/// Options of a fallback: sources tried in order until one has a value of the call's type. A
/// failure that may have been applied (`unsafe` or `keyed`, maybe applied) is not papered over
/// unless `even_if_unknown` is set: its caller must learn of it.
///
/// Sources run on the thread or executor of the call and should not block; one that throws counts
/// as having no value.
class HAWSER_API fallback {
 public:
  /// `make(failed)` returns `T` or `std::optional<T>`; `T` must be the call's value type (for an
  /// Asio operation: what follows the error code; several values are a `std::tuple`).
  template <class Make>
  [[nodiscard]] static fallback from(Make make) {
    return fallback().or_from(std::move(make));
  }
  /// This value, whatever failed. `T` must be the call's value type.
  template <class T>
  [[nodiscard]] static fallback value(T given) {
    return fallback().or_value(std::move(given));
  }
  /// For calls that return nothing: success in place of failure.
  [[nodiscard]] static fallback nothing();

  /// A further source, asked when those before it have no value.
  template <class Make>
  [[nodiscard]] fallback or_from(Make make) && {
    using returned = std::invoke_result_t<Make&, const outcome&>;
    sources.push_back(std::make_shared<source_of<Make, returned>>(std::move(make)));
    return std::move(*this);
  }
  /// A further value, given when the sources before it have none.
  template <class T>
  [[nodiscard]] fallback or_value(T given) && {
    return std::move(*this).or_from([given = std::move(given)](const outcome&) { return given; });
  }
  /// In events and errors; empty means "fallback".
  [[nodiscard]] fallback named(std::string given) && {
    name = std::move(given);
    return std::move(*this);
  }
  /// Which failures it stands in for; without one, all but cancellations.
  [[nodiscard]] fallback when(std::function<bool(const outcome&)> decide) && {
    handles = std::move(decide);
    return std::move(*this);
  }
  /// How many calls may be inside the sources at a time: its own bulkhead. At least 1.
  [[nodiscard]] fallback at_most(int calls) && {
    max_concurrent = calls;
    return std::move(*this);
  }
  /// Also stands in for failures that may have been applied on the other side.
  [[nodiscard]] fallback even_if_unknown() && {
    covers_unknown = true;
    return std::move(*this);
  }

  std::string name;                                         ///< See `named`.
  std::vector<std::shared_ptr<substitute_source>> sources;  ///< Asked in this order.
  std::function<bool(const outcome&)> handles;  ///< See `when`; empty: all but cancellations.
  std::optional<int> max_concurrent;            ///< See `at_most`; nullopt: no limit.
  bool covers_unknown = false;                  ///< See `even_if_unknown`.

 private:
  template <class R>
  struct optional_value {
    using type = R;
  };
  template <class T>
  struct optional_value<std::optional<T>> {
    using type = T;
  };

  template <class Make, class R>
  class source_of final : public substitute_source {
   public:
    explicit source_of(Make make) : make_(std::move(make)) {}
    bool produce(const std::type_info& wanted, void* into, const outcome& failed) override {
      if constexpr (std::is_void_v<R>) {
        if (wanted != typeid(void)) return false;
        make_(failed);
        return true;
      } else {
        using value = typename optional_value<R>::type;
        if (wanted != typeid(value)) return false;
        auto& slot = *static_cast<std::optional<value>*>(into);
        slot = make_(failed);
        return slot.has_value();
      }
    }

   private:
    Make make_;
  };

  fallback() = default;
};

/// The live policy. Thread-safe as far as the sources are.
class HAWSER_API fallback_policy final : public policy {
 public:
  /// Throws `config_error` without a source, and for `at_most` below 1.
  explicit fallback_policy(fallback options);
  [[nodiscard]] std::string_view kind() const noexcept override { return "fallback"; }
  [[nodiscard]] std::string_view name() const noexcept override { return options_.name; }
  [[nodiscard]] std::size_t stage_size() const noexcept override;
  [[nodiscard]] std::size_t stage_alignment() const noexcept override;
  [[nodiscard]] bool stage_is_trivial() const noexcept override { return true; }
  [[nodiscard]] stage* make_stage(void* memory) override;
  step begin(void* memory, tick& t, stage*& made) override;
  [[nodiscard]] success_needs needs_of_success() const noexcept override {
    return success_needs::nothing;
  }

 private:
  class on_call;
  fallback options_;
  std::atomic<int> inside_{0};
};

/// The policy of a pipeline's own. Throws `config_error` as `fallback_policy` does.
[[nodiscard]] HAWSER_API std::shared_ptr<policy> make_policy(fallback options);

}  // namespace hawser::inline v0
