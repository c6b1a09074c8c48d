#include "hawser/testing/fault_plan.hpp"

#include <algorithm>

namespace hawser::inline v0::testing {

namespace {

constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_name(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

std::optional<std::string_view> received_request::header(std::string_view name) const& noexcept {
  for (const auto& field : headers)
    if (same_name(field.first, name)) return std::string_view(field.second);
  return std::nullopt;
}

plan::plan() {
  parts_.headers.emplace_back("Content-Type", "application/json");
  parts_.body = "{}";
}

plan plan::answer(int status, std::string body, std::string_view type) {
  plan made;
  made.parts_.status = status;
  made.parts_.headers.clear();
  if (!body.empty() && !type.empty())
    made.parts_.headers.emplace_back("Content-Type", std::string(type));
  made.parts_.body = std::move(body);
  return made;
}

plan plan::raw(std::string bytes) {
  plan made;
  made.parts_.raw = std::move(bytes);
  return made;
}

plan plan::malformed(garble how, std::optional<std::size_t> size) {
  plan made;
  made.parts_.wrong = how;
  made.parts_.wrong_size = size;
  return made;
}

plan plan::stall() { return plan().stall_at(0); }
plan plan::close() { return plan().cut_at(0); }
plan plan::reset() { return plan().reset_at(0); }

plan plan::lookup(std::string operation) {
  plan made;
  made.parts_.lookup = std::move(operation);
  return made;
}

plan&& plan::header(std::string name, std::string value) && {
  parts_.headers.emplace_back(std::move(name), std::move(value));
  return std::move(*this);
}

plan&& plan::reason(std::string phrase) && {
  parts_.reason = std::move(phrase);
  return std::move(*this);
}

plan&& plan::chunked() && {
  parts_.body_framing = parts::framing::chunked;
  return std::move(*this);
}

plan&& plan::until_close() && {
  parts_.body_framing = parts::framing::until_close;
  return std::move(*this);
}

plan&& plan::interim(std::size_t count, int status) && {
  parts_.interim_count = count;
  parts_.interim_status = status;
  return std::move(*this);
}

plan&& plan::retry_after(std::chrono::seconds after) && {
  parts_.retry_after = after;
  parts_.retry_after_is_date = false;
  return std::move(*this);
}

plan&& plan::retry_after_date(std::chrono::seconds after) && {
  parts_.retry_after = after;
  parts_.retry_after_is_date = true;
  return std::move(*this);
}

plan&& plan::processing(duration takes) && {
  parts_.processing = takes;
  return std::move(*this);
}

plan&& plan::delay(duration by) && {
  parts_.delay = by;
  return std::move(*this);
}

plan&& plan::drip(std::size_t bytes, duration every) && {
  parts_.drip_bytes = bytes;
  parts_.drip_every = every;
  return std::move(*this);
}

plan&& plan::book() && {
  parts_.book = true;
  return std::move(*this);
}

plan&& plan::break_at(std::size_t byte, bool of_body, break_point::manner how) {
  break_point where;
  where.at = byte;
  where.of_body = of_body;
  where.how = how;
  parts_.broken = where;
  return std::move(*this);
}

plan&& plan::cut_at(std::size_t byte) && { return break_at(byte, false, break_point::manner::cut); }
plan&& plan::reset_at(std::size_t byte) && {
  return break_at(byte, false, break_point::manner::reset);
}
plan&& plan::stall_at(std::size_t byte) && {
  return break_at(byte, false, break_point::manner::stall);
}
plan&& plan::stall_in_head() && { return break_at(24, false, break_point::manner::stall); }
plan&& plan::cut_body_at(std::size_t byte) && {
  return break_at(byte, true, break_point::manner::cut);
}
plan&& plan::reset_body_at(std::size_t byte) && {
  return break_at(byte, true, break_point::manner::reset);
}
plan&& plan::stall_body_at(std::size_t byte) && {
  return break_at(byte, true, break_point::manner::stall);
}

plan&& plan::forge_at(std::size_t byte) && {
  return break_at(byte, false, break_point::manner::forge);
}
plan&& plan::forge_body_at(std::size_t byte) && {
  return break_at(byte, true, break_point::manner::forge);
}

plan&& plan::with_close_notify() && {
  if (parts_.broken) parts_.broken->close_notify = true;
  return std::move(*this);
}

plan&& plan::then(ending how) && {
  parts_.after = how;
  return std::move(*this);
}

plan&& plan::close_idle_after(duration idle) && {
  parts_.close_idle_after = idle;
  return std::move(*this);
}

plan&& plan::unsolicited(std::string bytes, duration after) && {
  parts_.unsolicited = std::move(bytes);
  parts_.unsolicited_after = after;
  return std::move(*this);
}

plan&& plan::outage(duration how_long) && {
  parts_.outage = how_long;
  return std::move(*this);
}

}  // namespace hawser::inline v0::testing
