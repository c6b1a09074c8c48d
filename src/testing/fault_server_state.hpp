// What a fault server knows: script, counters, records and ledger, under one lock.
#pragma once

#include "hawser/testing/fault_server.hpp"
#include "testing/fault_server_ledger.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>

namespace hawser::inline v0::testing::detail {

/// Thread-safe. Calls the user's functions under no lock.
class server_state {
 public:
  explicit server_state(fault_server_options options);

  [[nodiscard]] const fault_server_options& options() const noexcept { return options_; }

  void script(std::vector<plan> steps);
  void script_connections(std::vector<connection_plan> steps);
  void handle(std::function<plan(const received_request&)> handler);
  [[nodiscard]] std::size_t script_left() const;
  [[nodiscard]] connection_plan next_connection();
  [[nodiscard]] std::optional<plan> head_plan(const received_request& head) const;
  [[nodiscard]] plan next_plan(const received_request& request);

  using counter = std::uint64_t fault_counters::*;
  void count(counter which);
  void closed_connection();
  [[nodiscard]] fault_counters counters() const;
  bool wait_for(const std::function<bool(const fault_counters&)>& holds, duration within) const;

  /// Numbers the request, sets its time and starts its record. The returned id names the record.
  std::uint64_t arrived(received_request& request);
  void note_answer(std::uint64_t record, int status, bool booked, bool replayed);
  void note_bytes(std::uint64_t record, std::size_t sent);
  void note_end(std::uint64_t record, const char* how);
  [[nodiscard]] std::vector<request_record> records() const;
  [[nodiscard]] duration uptime() const;

  [[nodiscard]] bool enter(const effect_identity& who);
  void leave(const effect_identity& who);
  effect_ledger::verdict book(const effect_identity& who, plan::parts& answer);
  [[nodiscard]] ledger_totals ledger() const;
  [[nodiscard]] std::vector<ledger_entry> ledger_entries() const;
  [[nodiscard]] std::uint64_t bookings_of(std::string_view operation) const;

  void reset();

  /// The bodies of GET /_ledger and GET /_status.
  [[nodiscard]] std::string ledger_json() const;
  [[nodiscard]] std::string status_json() const;

 private:
  using steady = std::chrono::steady_clock;

  request_record* find_locked(std::uint64_t record);
  void changed_locked();

  const fault_server_options options_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::uint64_t changes_ = 0;
  std::deque<plan> script_{};
  std::deque<connection_plan> connection_script_{};
  std::function<plan(const received_request&)> handler_{};
  fault_counters counters_{};
  std::deque<request_record> records_{};
  std::uint64_t first_record_ = 0;  // the id of records_.front()
  effect_ledger ledger_;
  steady::time_point since_ = steady::now();
};

}  // namespace hawser::inline v0::testing::detail
