// What a pipeline's owner says of failures and values by their type. Not for users.
#pragma once

#include "hawser/core/error.hpp"
#include "hawser/core/export.hpp"
#include "hawser/policy/policy.hpp"

#include <exception>
#include <memory>
#include <system_error>
#include <type_traits>
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
  /// Corrects `o` when its type is one of codes and can be made of `code`. False otherwise.
  virtual bool judge_code(const error_code& code, outcome& o) const = 0;
};

template <class T, class F>
class typed_judge final : public judge {
 public:
  explicit typed_judge(F correct) : correct_(std::move(correct)) {}

  bool judge_thrown(const std::exception_ptr& thrown, outcome& o) const override {
    const T* seen = nullptr;
    try {
      std::rethrow_exception(thrown);
    } catch (const T& e) {
      if constexpr (std::is_pointer_v<T>) {  // perhaps converted for this handler only
        correct_(e, o);
        return true;
      }
      seen = &e;  // stays, as `thrown` does
    } catch (...) {
      return false;
    }
    correct_(*seen, o);
    return true;
  }
  bool judge_seen(const std::type_info& what, const void* seen, outcome& o) const override {
    if (what != typeid(T)) return false;
    correct_(*static_cast<const T*>(seen), o);
    return true;
  }
  bool judge_code(const error_code& code, outcome& o) const override {
    if constexpr (std::is_same_v<T, error> || std::is_same_v<T, error_code> ||
                  std::is_same_v<T, std::error_code>) {
      correct_(static_cast<T>(code), o);
      return true;
    } else if constexpr (std::is_error_code_enum<T>::value ||
                         std::is_error_condition_enum<T>::value ||
                         boost::system::is_error_code_enum<T>::value ||
                         boost::system::is_error_condition_enum<T>::value) {
      // Of this enum is what has its number and is equal to it in its own category.
      const std::error_code plain = code;
      if constexpr (std::is_error_code_enum<T>::value) {
        const T e = static_cast<T>(plain.value());
        return plain == std::error_code(e) && (correct_(e, o), true);
      } else if constexpr (boost::system::is_error_code_enum<T>::value) {
        const T e = static_cast<T>(plain.value());
        return code == error_code(e) && (correct_(e, o), true);
      } else {
        const std::error_condition kind = plain.default_error_condition();
        const T e = static_cast<T>(kind.value());
        if constexpr (std::is_error_condition_enum<T>::value)
          return kind == std::error_condition(e) && (correct_(e, o), true);
        else
          return kind == static_cast<std::error_condition>(error_condition(e)) &&
                 (correct_(e, o), true);
      }
    } else {
      return false;
    }
  }

 private:
  F correct_;
};

using judges = std::vector<std::shared_ptr<const judge>>;

/// The first judge whose type it is corrects `o`, which arrives as the library's own reading. False
/// when it is nobody's. Of what was thrown the codes are looked at, too, and what is nested in it;
/// `code`: what was seen stands for that. An `error_code` stands for itself.
HAWSER_API bool judge_thrown(const judges& all, const std::exception_ptr& thrown, outcome& o);
HAWSER_API bool judge_seen(const judges& all, const std::type_info& what, const void* seen,
                           outcome& o, const error_code* code = nullptr);

}  // namespace hawser::inline v0::detail
