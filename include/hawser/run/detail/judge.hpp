// What a pipeline's owner says of failures and values by their type. Not for users.
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/policy/policy.hpp"

#include <exception>
#include <memory>
#include <typeinfo>
#include <utility>
#include <vector>

namespace hawser::inline v0::detail {

/// One rule of `pipeline_builder::classify`. Any thread.
class HAWSER_API judge {
 public:
  judge() = default;
  judge(const judge&) = delete;
  judge& operator=(const judge&) = delete;
  virtual ~judge();
  /// Corrects `o` when the exception is of its type. False when it is of another.
  virtual bool judge_thrown(const std::exception_ptr& thrown, outcome& o) const = 0;
  /// Corrects `o` when `seen`, an object of type `what`, is of its type. False otherwise.
  virtual bool judge_seen(const std::type_info& what, const void* seen, outcome& o) const = 0;
};

template <class T, class F>
class typed_judge final : public judge {
 public:
  explicit typed_judge(F correct) : correct_(std::move(correct)) {}

  bool judge_thrown(const std::exception_ptr& thrown, outcome& o) const override {
    try {
      std::rethrow_exception(thrown);
    } catch (const T& e) {
      correct_(e, o);
      return true;
    } catch (...) {
      return false;
    }
  }
  bool judge_seen(const std::type_info& what, const void* seen, outcome& o) const override {
    if (what != typeid(T)) return false;
    correct_(*static_cast<const T*>(seen), o);
    return true;
  }

 private:
  F correct_;
};

using judges = std::vector<std::shared_ptr<const judge>>;

/// The first judge whose type it is corrects `o`, which arrives as the library's own reading. False
/// when it is nobody's.
HAWSER_API bool judge_thrown(const judges& all, const std::exception_ptr& thrown,
                             outcome& o) noexcept;
HAWSER_API bool judge_seen(const judges& all, const std::type_info& what, const void* seen,
                           outcome& o) noexcept;

}  // namespace hawser::inline v0::detail
