#include "testing/fault_server_ledger.hpp"

#include <openssl/evp.h>
#include <nlohmann/json.hpp>

#include <array>
#include <cstdio>
#include <utility>

namespace hawser::inline v0::testing::detail {

namespace {

std::string sha256_hex(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1)
    return {};
  std::string out;
  for (unsigned i = 0; i < size; ++i) {
    std::array<char, 3> pair{};
    std::snprintf(pair.data(), pair.size(), "%02x", static_cast<unsigned>(digest[i]));
    out += pair.data();
  }
  return out;
}

/// A bare value, or a structured-field string (RFC 9651 section 3.3.3) without its quotes.
std::string unquoted(std::string_view value) {
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
  if (value.size() < 2 || value.front() != '"' || value.back() != '"') return std::string(value);
  value = value.substr(1, value.size() - 2);
  std::string out;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (value[i] == '\\' && i + 1 < value.size()) ++i;
    out += value[i];
  }
  return out;
}

std::string operation_of(const received_request& request, const effect_options& options) {
  const auto json = nlohmann::json::parse(request.body, nullptr, false);
  if (!json.is_object()) return {};
  const auto found = json.find(options.operation_field);
  if (found == json.end()) return {};
  if (found->is_string()) return found->get<std::string>();
  return found->is_number() ? found->dump() : std::string();
}

}  // namespace

effect_identity identify(const received_request& request, const effect_options& options) {
  effect_identity who;
  if (const auto key = request.header(options.key_header)) who.key = unquoted(*key);
  who.method = request.method;
  who.target = request.target;
  who.operation = operation_of(request, options);
  if (who.operation.empty())
    who.operation = who.key.empty() ? "#" + std::to_string(request.number) : who.key;
  who.sha256 = sha256_hex(request.body);
  return who;
}

bool effect_ledger::enter(const effect_identity& who) {
  if (who.key.empty() || !options_.deduplicate || !options_.conflict_in_flight) return true;
  if (by_key_.count(who.key) != 0) return true;  // booked already: a replay, not a conflict
  if (in_flight_.insert(who.key).second) return true;
  ++totals_.conflicts;
  return false;
}

void effect_ledger::leave(const effect_identity& who) noexcept { in_flight_.erase(who.key); }

effect_ledger::verdict effect_ledger::book(const effect_identity& who, plan::parts& answer) {
  const bool keyed = !who.key.empty() && options_.deduplicate;
  if (keyed) {
    if (const auto known = by_key_.find(who.key); known != by_key_.end()) {
      ledger_entry& first = entries_[known->second.entry];
      if (first.method != who.method || first.target != who.target ||
          first.body_sha256 != who.sha256) {
        ++totals_.mismatches;
        return verdict::mismatch;
      }
      ++first.requests;
      ++totals_.replays;
      const plan::parts& kept = known->second.answer;
      answer.status = kept.status;
      answer.reason = kept.reason;
      answer.headers = kept.headers;
      answer.headers.emplace_back("Idempotent-Replayed", "true");
      answer.body = kept.body;
      answer.raw = kept.raw;
      return verdict::replayed;
    }
  }
  if (entries_.size() >= options_.max_entries) {
    ++totals_.refused;
    return verdict::full;
  }
  ledger_entry entry;
  entry.key = who.key;
  entry.method = who.method;
  entry.target = who.target;
  entry.operation = who.operation;
  entry.body_sha256 = who.sha256;
  entry.requests = 1;
  entries_.push_back(std::move(entry));
  ++totals_.bookings;
  if (who.key.empty()) ++totals_.unkeyed;
  ++totals_.by_operation[who.operation];
  if (keyed) {
    kept_answer kept;
    kept.entry = entries_.size() - 1;
    kept.answer.status = answer.status;
    kept.answer.reason = answer.reason;
    kept.answer.headers = answer.headers;
    kept.answer.body = answer.body;
    kept.answer.raw = answer.raw;
    by_key_.emplace(who.key, std::move(kept));
  }
  return verdict::booked;
}

void effect_ledger::clear() {
  entries_.clear();
  by_key_.clear();
  in_flight_.clear();
  totals_ = {};
}

ledger_totals effect_ledger::totals() const {
  ledger_totals out = totals_;
  out.operations = out.by_operation.size();
  out.double_bookings = out.bookings - out.operations;
  return out;
}

std::uint64_t effect_ledger::bookings_of(std::string_view operation) const {
  const auto found = totals_.by_operation.find(operation);
  return found == totals_.by_operation.end() ? 0 : found->second;
}

std::string lookup_json(const std::string& operation, std::uint64_t bookings) {
  const nlohmann::json json{{"operation", operation}, {"bookings", bookings}};
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void answer_refusal(effect_ledger::verdict why, plan::parts& answer) {
  const auto put = [&answer](int status, const char* title) {
    answer.status = status;
    answer.reason.clear();
    answer.raw.reset();
    answer.headers = {{"Content-Type", "application/problem+json"}};
    answer.body = nlohmann::json{{"status", status}, {"title", title}}.dump();
  };
  switch (why) {
    case effect_ledger::verdict::mismatch:
      put(422, "This idempotency key was used for another request");
      return;
    case effect_ledger::verdict::conflict:
      put(409, "A request with this idempotency key is being processed");
      return;
    case effect_ledger::verdict::full: put(507, "The ledger is full"); return;
    case effect_ledger::verdict::booked:
    case effect_ledger::verdict::replayed: return;
  }
}

}  // namespace hawser::inline v0::testing::detail
