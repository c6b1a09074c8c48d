#include "hawser/policy/keyed.hpp"

#include "hawser/core/error.hpp"

#include <bit>
#include <typeinfo>

namespace hawser::inline v0 {

// Options are in the header.

// Validation

namespace {

keyed_options validated(keyed_options o) {
  if (o.max_keys < 1 || o.max_keys > 1'000'000)
    throw config_error("keyed.max_keys", std::to_string(o.max_keys), "must be from 1 to 1000000");
  return o;
}

}  // namespace

// Shared state

keyed_policy::keyed_policy(maker make, keyed_options how)
    : make_(std::move(make)),
      how_(validated(how)),
      shared_(made(nullptr)),
      slots_(std::bit_ceil(2 * how_.max_keys)) {
  entries_.reserve(how_.max_keys);
}

keyed_policy::~keyed_policy() = default;

/// A stage is built in room that was measured once, by `shared_`.
std::shared_ptr<policy> keyed_policy::made(const policy* like) const {
  std::shared_ptr<policy> its = make_ ? make_() : nullptr;
  if (its == nullptr) throw config_error("keyed.make", "nothing", "must make a policy");
  const policy& one = *its;
  if (like != nullptr && typeid(one) != typeid(*like))
    throw config_error("keyed.make", std::string(one.kind()),
                       "must always make policies of one type");
  return its;
}

keyed_policy::entry* keyed_policy::entry_of(std::string_view key,
                                            std::uint64_t hash) const noexcept {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = static_cast<std::size_t>(hash) & mask;; i = (i + 1) & mask) {
    entry* const at = slots_[i].load(std::memory_order_acquire);
    if (at == nullptr || (at->hash == hash && at->key == key)) return at;
  }
}

policy& keyed_policy::look_up(std::string_view key, std::uint64_t hash) {
  if (entry* const known = entry_of(key, hash)) return *known->its;
  if (full_.load(std::memory_order_relaxed)) return *shared_;
  const std::lock_guard lock(mutex_);
  if (entry* const known = entry_of(key, hash)) return *known->its;
  if (entries_.size() == how_.max_keys) {
    full_.store(true, std::memory_order_relaxed);
    return *shared_;
  }
  return add_locked(key, hash);
}

policy& keyed_policy::add_locked(std::string_view key, std::uint64_t hash) {
  entries_.push_back(std::make_unique<entry>(entry{hash, std::string(key), made(shared_.get())}));
  const std::size_t mask = slots_.size() - 1;
  std::size_t i = static_cast<std::size_t>(hash) & mask;
  while (slots_[i].load(std::memory_order_relaxed) != nullptr) i = (i + 1) & mask;
  slots_[i].store(entries_.back().get(), std::memory_order_release);
  return *entries_.back()->its;
}

bool keyed_policy::admits(std::string_view guess) {
  const std::size_t most = (how_.max_keys - 1) / 2;  // and the empty key: half
  const std::uint64_t hash = key_hash_of(guess);
  if (entry_of(guess, hash) != nullptr) return true;
  if (guesses_.load(std::memory_order_relaxed) == most) return false;
  const std::lock_guard lock(mutex_);
  if (entry_of(guess, hash) != nullptr) return true;
  const std::size_t before = guesses_.load(std::memory_order_relaxed);
  if (before == most || entries_.size() == how_.max_keys) return false;
  (void)add_locked(guess, hash);
  guesses_.store(before + 1, std::memory_order_relaxed);
  return true;
}

std::shared_ptr<policy> keyed_policy::of(std::string_view key) {
  const std::uint64_t hash = key_hash_of(key);
  (void)look_up(key, hash);
  entry* const known = entry_of(key, hash);
  return known != nullptr ? known->its : shared_;
}

std::shared_ptr<policy> keyed_policy::find(std::string_view key) const noexcept {
  const entry* const known = entry_of(key, key_hash_of(key));
  return known != nullptr ? known->its : nullptr;
}

void keyed_policy::for_each(
    const std::function<void(std::string_view key, policy& its)>& with) const {
  for (std::size_t i = 0;; ++i) {
    entry* next = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (i == entries_.size()) return;
      next = entries_[i].get();
    }
    with(next->key, *next->its);
  }
}

std::size_t keyed_policy::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

// Stage: that of the key's policy.

step keyed_policy::begin(void* memory, tick& t, stage*& made) {
  return look_up(t.key(), t.key_hash()).begin(memory, t, made);
}

}  // namespace hawser::inline v0
