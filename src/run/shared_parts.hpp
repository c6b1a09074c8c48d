// What the users of one environment share, whatever it is: one object of each type.
//
//   env.source().shared_parts().of<trusted_roots>().find(...)
#pragma once

#include <memory>
#include <mutex>
#include <typeinfo>
#include <utility>
#include <vector>

namespace hawser::inline v0::detail {

/// Each is made when it is first asked for, and lives as long as the environment. Thread-safe.
class shared_parts {
 public:
  /// Throws what making a `Part` throws, and std::bad_alloc.
  template <class Part>
  [[nodiscard]] Part& of() {
    const std::lock_guard lock(mutex_);
    for (const auto& [type, part] : parts_)
      if (*type == typeid(Part)) return *static_cast<Part*>(part.get());
    auto made = std::make_shared<Part>();
    Part& it = *made;
    parts_.emplace_back(&typeid(Part), std::move(made));
    return it;
  }

 private:
  std::mutex mutex_;
  std::vector<std::pair<const std::type_info*, std::shared_ptr<void>>> parts_;
};

}  // namespace hawser::inline v0::detail
