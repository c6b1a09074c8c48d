#include "testing/fault_server_state.hpp"

#include "hawser/core/error.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <exception>
#include <utility>

namespace hawser::inline v0::testing::detail {

namespace {

fault_server_options validated(fault_server_options options) {
  const auto at_least = [](const char* field, std::size_t value, std::size_t bound) {
    if (value < bound)
      throw config_error(field, std::to_string(value), "must be at least " + std::to_string(bound));
  };
  at_least("fault_server.max_connections", options.max_connections, 1);
  at_least("fault_server.max_header_bytes", options.max_header_bytes, 64);
  at_least("fault_server.effects.max_entries", options.effects.max_entries, 1);
  if (options.max_header_bytes > 64U * 1024 * 1024)
    throw config_error("fault_server.max_header_bytes", std::to_string(options.max_header_bytes),
                       "must be at most 67108864");
  if (options.close_idle_after && *options.close_idle_after < duration::zero())
    throw config_error("fault_server.close_idle_after",
                       std::to_string(options.close_idle_after->count()) + "ns",
                       "must not be negative");
  if (options.effects.key_header.empty())
    throw config_error("fault_server.effects.key_header", "", "must not be empty");
  return options;
}

/// Within a catch block.
plan answer_for_exception() {
  std::string text = "handler threw";
  try {
    throw;
  } catch (const std::exception& e) {
    text.append(": ").append(e.what());
  } catch (...) {  // NOLINT: nothing more is known of it
  }
  return plan::answer(500, std::move(text), "text/plain");
}

std::string text_of(const nlohmann::json& json) {
  // Keys and names come from clients and need not be UTF-8.
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace

server_state::server_state(fault_server_options options)
    : options_(validated(std::move(options))),
      handler_(options_.handler),
      ledger_(options_.effects) {}

void server_state::script(std::vector<plan> steps) {
  const std::lock_guard lock(mutex_);
  for (plan& step : steps) script_.push_back(std::move(step));
}

void server_state::script_connections(std::vector<connection_plan> steps) {
  const std::lock_guard lock(mutex_);
  for (connection_plan& step : steps) connection_script_.push_back(std::move(step));
}

void server_state::handle(std::function<plan(const received_request&)> handler) {
  const std::lock_guard lock(mutex_);
  handler_.swap(handler);  // the old one is destroyed after the lock is gone
}

std::size_t server_state::script_left() const {
  const std::lock_guard lock(mutex_);
  return script_.size();
}

connection_plan server_state::next_connection() {
  const std::lock_guard lock(mutex_);
  if (connection_script_.empty()) return {};
  connection_plan next = std::move(connection_script_.front());
  connection_script_.pop_front();
  return next;
}

plan server_state::next_plan(const received_request& request) {
  std::function<plan(const received_request&)> handler;
  {
    const std::lock_guard lock(mutex_);
    if (!script_.empty()) {
      plan next = std::move(script_.front());
      script_.pop_front();
      return next;
    }
    handler = handler_;
  }
  if (!handler) return options_.otherwise;
  try {
    return handler(request);
  } catch (...) {
    return answer_for_exception();
  }
}

std::optional<plan> server_state::head_plan(const received_request& head) const {
  if (!options_.on_head) return std::nullopt;
  try {
    return options_.on_head(head);
  } catch (...) {
    return answer_for_exception();
  }
}

void server_state::changed_locked() {
  ++changes_;
  changed_.notify_all();
}

void server_state::count(counter which) {
  const std::lock_guard lock(mutex_);
  ++(counters_.*which);
  changed_locked();
}

void server_state::closed_connection() {
  const std::lock_guard lock(mutex_);
  --counters_.open_connections;
  changed_locked();
}

fault_counters server_state::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

bool server_state::wait_for(const std::function<bool(const fault_counters&)>& holds,
                            duration within) const {
  constexpr duration longest = std::chrono::hours(24);
  const auto until = steady::now() + std::min(within, longest);
  std::unique_lock lock(mutex_);
  for (;;) {
    const fault_counters now = counters_;
    const std::uint64_t seen = changes_;
    lock.unlock();
    const bool done = holds(now);  // under no lock: it may ask the server
    lock.lock();
    if (done) return true;
    if (!changed_.wait_until(lock, until, [&] { return changes_ != seen; })) return false;
  }
}

std::uint64_t server_state::arrived(received_request& request) {
  const std::lock_guard lock(mutex_);
  request.number = ++counters_.requests;
  request.at = steady::now() - since_;
  changed_locked();
  const std::uint64_t id = first_record_ + records_.size();
  request_record record;
  record.request = request;
  if (record.request.body.size() > options_.max_record_body_bytes)
    record.request.body = request.body.substr(0, options_.max_record_body_bytes);
  records_.push_back(std::move(record));
  if (records_.size() > options_.max_records) {
    records_.pop_front();
    ++first_record_;
  }
  return id;
}

request_record* server_state::find_locked(std::uint64_t record) {
  if (record < first_record_ || record - first_record_ >= records_.size()) return nullptr;
  return &records_[static_cast<std::size_t>(record - first_record_)];
}

void server_state::note_answer(std::uint64_t record, int status, bool booked, bool replayed) {
  const std::lock_guard lock(mutex_);
  if (request_record* found = find_locked(record)) {
    found->status = status;
    found->booked = booked;
    found->replayed = replayed;
  }
}

void server_state::note_bytes(std::uint64_t record, std::size_t sent) {
  const std::lock_guard lock(mutex_);
  if (request_record* found = find_locked(record)) found->answer_bytes += sent;
}

void server_state::note_end(std::uint64_t record, const char* how) {
  const std::lock_guard lock(mutex_);
  if (request_record* found = find_locked(record)) found->ended = how;
}

std::vector<request_record> server_state::records() const {
  const std::lock_guard lock(mutex_);
  return {records_.begin(), records_.end()};
}

duration server_state::uptime() const {
  const std::lock_guard lock(mutex_);
  return steady::now() - since_;
}

bool server_state::enter(const effect_identity& who) {
  const std::lock_guard lock(mutex_);
  return ledger_.enter(who);
}

void server_state::leave(const effect_identity& who) {
  const std::lock_guard lock(mutex_);
  ledger_.leave(who);
}

effect_ledger::verdict server_state::book(const effect_identity& who, plan::parts& answer) {
  const std::lock_guard lock(mutex_);
  return ledger_.book(who, answer);
}

ledger_totals server_state::ledger() const {
  const std::lock_guard lock(mutex_);
  return ledger_.totals();
}

std::vector<ledger_entry> server_state::ledger_entries() const {
  const std::lock_guard lock(mutex_);
  return ledger_.entries();
}

std::uint64_t server_state::bookings_of(std::string_view operation) const {
  const std::lock_guard lock(mutex_);
  return ledger_.bookings_of(operation);
}

void server_state::reset() {
  {
    const std::lock_guard lock(mutex_);
    script_.clear();
    connection_script_.clear();
    const std::uint64_t open = counters_.open_connections;
    counters_ = {};
    counters_.open_connections = open;
    first_record_ += records_.size();  // late notes about forgotten records find nothing
    records_.clear();
    ledger_.clear();
    since_ = steady::now();
    changed_locked();
  }
  if (!options_.on_reset) return;
  try {
    options_.on_reset();
  } catch (...) {  // NOLINT: what was forgotten stays forgotten
  }
}

std::string server_state::ledger_json() const {
  const ledger_totals totals = ledger();
  const fault_counters counted = counters();
  constexpr std::size_t most_named = 1000;
  nlohmann::json twice = nlohmann::json::object();
  for (const auto& each : totals.by_operation)
    if (each.second > 1 && twice.size() < most_named) twice[each.first] = each.second;
  return text_of({{"charges", totals.bookings},
                  {"orders", totals.operations},
                  {"double_charges", totals.double_bookings},
                  {"unkeyed", totals.unkeyed},
                  {"replays", totals.replays},
                  {"mismatches", totals.mismatches},
                  {"conflicts", totals.conflicts},
                  {"refused", totals.refused},
                  {"requests", counted.requests},
                  {"charged_twice", std::move(twice)}});
}

std::string server_state::status_json() const {
  const fault_counters c = counters();
  return text_of(
      {{"uptime_ms", std::chrono::duration_cast<std::chrono::milliseconds>(uptime()).count()},
       {"connections", c.connections},
       {"open_connections", c.open_connections},
       {"handshakes", c.handshakes},
       {"failed_handshakes", c.failed_handshakes},
       {"requests", c.requests},
       {"answers", c.answers},
       {"cuts", c.cuts},
       {"resets", c.resets},
       {"stalls", c.stalls},
       {"rejected", c.rejected},
       {"outages", c.outages},
       {"recoveries", c.recoveries}});
}

}  // namespace hawser::inline v0::testing::detail
