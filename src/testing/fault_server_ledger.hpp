// The ledger of side effects: de-duplication by idempotency key, as payment gateways do it.
#pragma once

#include "hawser/testing/fault_server.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::inline v0::testing::detail {

/// What identifies a request that has an effect.
struct effect_identity {
  std::string key{};
  std::string method{};
  std::string target{};
  std::string operation{};
  std::string sha256{};
};

[[nodiscard]] effect_identity identify(const received_request& request,
                                       const effect_options& options);

/// Not locked: its owner is.
class effect_ledger {
 public:
  enum class verdict { booked, replayed, mismatch, conflict, full };

  explicit effect_ledger(effect_options options) : options_(std::move(options)) {}

  /// The key is in flight from here to `leave`. False (a conflict): it is already, by another.
  [[nodiscard]] bool enter(const effect_identity& who);
  void leave(const effect_identity& who) noexcept;

  /// Books, or finds the earlier answer and puts it in place of `answer`'s.
  verdict book(const effect_identity& who, plan::parts& answer);

  void clear();
  [[nodiscard]] ledger_totals totals() const;
  [[nodiscard]] std::vector<ledger_entry> entries() const { return entries_; }
  [[nodiscard]] std::uint64_t bookings_of(std::string_view operation) const;
  [[nodiscard]] const effect_options& options() const noexcept { return options_; }

 private:
  struct kept_answer {
    std::size_t entry = 0;
    plan::parts answer{};
  };

  effect_options options_;
  std::vector<ledger_entry> entries_{};
  std::map<std::string, kept_answer, std::less<>> by_key_{};
  std::set<std::string, std::less<>> in_flight_{};
  ledger_totals totals_{};
};

/// Puts the answer a gateway gives for anything but a booking in place of `answer`'s.
void answer_refusal(effect_ledger::verdict why, plan::parts& answer);

/// The body of an answer to `plan::lookup`.
[[nodiscard]] std::string lookup_json(const std::string& operation, std::uint64_t bookings);

}  // namespace hawser::inline v0::testing::detail
