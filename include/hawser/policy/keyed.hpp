// One policy for each key: a breaker per route, a limiter per tenant, in bounded memory.
//
//   auto crm = hawser::pipeline_builder{"crm"}
//       .add(hawser::keyed{hawser::circuit_breaker{}})
//       .build(env);
//   auto r = crm.execute([&] { return legacy.load(tenant); }, {.key = tenant.id});
//
// One tenant's failures then close nothing for the others.
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/policy/policy.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hawser::inline v0 {

/// How a `keyed` policy keeps its keys.
struct keyed_options {
  /// The first so many keys have a policy each; all further ones share one more, so that invented
  /// keys cost no memory. 1 to 1'000'000.
  std::size_t max_keys = 64;
};

/// Options of a policy of which there is one for each key (`tick::key`).
template <class Options>
class keyed {
 public:
  /// Each key's policy is made with `each`.
  explicit keyed(Options each, keyed_options how = {}) : each_(std::move(each)), how_(how) {}
  /// The options of each key's policy.
  [[nodiscard]] const Options& each() const& noexcept { return each_; }
  /// How many keys it may have.
  [[nodiscard]] const keyed_options& how() const& noexcept { return how_; }

 private:
  Options each_;
  keyed_options how_;
};

/// The live policies. Looking a key up takes no lock and allocates nothing once it is known; no key
/// is forgotten as long as this lives. Thread-safe.
class HAWSER_API keyed_policy final : public policy {
 public:
  /// Makes one key's policy, always of one type.
  using maker = std::function<std::shared_ptr<policy>()>;

  /// Throws `config_error` for `max_keys` out of bounds and for a `make` that is empty or makes
  /// nothing, and what `make` throws: it is asked at once for the policy that further keys share.
  /// Later it is asked under a lock, once for each key; what it throws then ends that call
  /// (`errc::operation_threw`), and the next one of that key asks again.
  explicit keyed_policy(maker make, keyed_options how = {});
  ~keyed_policy() override;

  [[nodiscard]] std::string_view kind() const noexcept override { return shared_->kind(); }
  [[nodiscard]] std::string_view name() const noexcept override { return shared_->name(); }
  [[nodiscard]] std::size_t stage_size() const noexcept override { return shared_->stage_size(); }
  [[nodiscard]] std::size_t stage_alignment() const noexcept override {
    return shared_->stage_alignment();
  }
  [[nodiscard]] bool stage_is_trivial() const noexcept override {
    return shared_->stage_is_trivial();
  }
  [[nodiscard]] success_needs needs_of_success() const noexcept override {
    return shared_->needs_of_success();
  }
  /// Builds a stage of the policy that further keys share.
  [[nodiscard]] stage* make_stage(void* memory) override { return shared_->make_stage(memory); }
  step begin(void* memory, tick& t, stage*& made) override;
  [[nodiscard]] unsigned amplification() const noexcept override {
    return shared_->amplification();
  }
  [[nodiscard]] bool makes_attempts() const noexcept override { return shared_->makes_attempts(); }

  /// The policy of `key`, made if there is room for another, else the shared one: what is done to
  /// that by hand is done to all further keys. Throws std::bad_alloc, and what the maker throws.
  [[nodiscard]] std::shared_ptr<policy> of(std::string_view key);
  /// The policy of its own that `key` has; null if it has none. Makes nothing.
  [[nodiscard]] std::shared_ptr<policy> find(std::string_view key) const noexcept;
  /// Whether a key that may be one of endless many, such as a path with an id in it, is to be used:
  /// it has a policy of its own, or is given one now, while fewer than half of `max_keys` came this
  /// way. So guesses, and the empty key for the rest, leave half of the room. Throws as `of` does.
  [[nodiscard]] bool admits(std::string_view guess);
  /// The one that keys beyond `max_keys` share.
  [[nodiscard]] std::shared_ptr<policy> shared() const { return shared_; }
  /// Calls `with` for each key known, in the order in which they came; under no lock that a call
  /// takes.
  void for_each(const std::function<void(std::string_view key, policy& its)>& with) const;
  /// How many keys have a policy of their own.
  [[nodiscard]] std::size_t size() const;

 private:
  struct entry {
    std::uint64_t hash;
    std::string key;
    std::shared_ptr<policy> its;
  };

  [[nodiscard]] std::shared_ptr<policy> made(const policy* like) const;
  [[nodiscard]] entry* entry_of(std::string_view key, std::uint64_t hash) const noexcept;
  [[nodiscard]] policy& look_up(std::string_view key, std::uint64_t hash);
  policy& add_locked(std::string_view key, std::uint64_t hash);

  const maker make_;
  const keyed_options how_;
  const std::shared_ptr<policy> shared_;
  // Open addressing with linear probing, at most half full. A slot is written once.
  std::vector<std::atomic<entry*>> slots_;
  std::atomic<bool> full_{false};
  std::atomic<std::size_t> guesses_{0};  // written under the lock
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<entry>> entries_;  // in order of arrival
};

/// The policy of a pipeline's own. Throws `config_error` naming the option out of its bounds.
template <class Options>
[[nodiscard]] std::shared_ptr<policy> make_policy(keyed<Options> options) {
  return std::make_shared<keyed_policy>(
      [each = options.each()] { return std::shared_ptr<policy>(make_policy(each)); },
      options.how());
}

}  // namespace hawser::inline v0
