#include "hawser/testing/event_recorder.hpp"

#include <algorithm>
#include <cstdio>

namespace hawser::inline v0::testing {

recorded_event::recorded_event(const event& what)
    : kind(what.kind),
      at(what.at),
      pipeline(what.pipeline),
      operation(what.operation),
      correlation(what.correlation),
      attempt(what.attempt),
      elapsed(what.elapsed),
      error(what.error),
      delivery(what.delivery),
      status(what.status),
      policy(what.why.policy),
      because(what.why.because),
      measured(what.why.measured),
      threshold(what.why.threshold),
      until(what.why.until),
      from(what.from),
      to(what.to),
      refused(what.why.refused),
      refused_for(what.why.refused_for) {}

std::string recorded_event::to_string(time_point start) const {
  char head[64];
  std::snprintf(head, sizeof head, "+%.6f s ", std::chrono::duration<double>(at - start).count());
  std::string text = head + pipeline;
  if (!operation.empty()) text += " " + operation;
  text += " #" + std::to_string(attempt) + " ";
  text += hawser::to_string(kind);
  if (elapsed != duration::zero()) {
    char took[48];
    std::snprintf(took, sizeof took, " %.6f s", std::chrono::duration<double>(elapsed).count());
    text += took;
  }
  if (status != 0) text += " status " + std::to_string(status);
  if (error) {
    text += " " + error.message() + ", ";
    text += hawser::to_string(delivery);
  }
  if (!from.empty() || !to.empty()) text += " " + from + " -> " + to;
  if (because != reason::none || !policy.empty())
    text += " (" +
            hawser::to_string(
                cause{policy, because, measured, threshold, until, refused, refused_for}, at) +
            ")";
  return text;
}

void event_recorder::on_event(const event& what) {
  recorded_event kept(what);
  const std::lock_guard lock(mutex_);
  events_.push_back(std::move(kept));
}

std::vector<recorded_event> event_recorder::events() const {
  const std::lock_guard lock(mutex_);
  return events_;
}

std::vector<recorded_event> event_recorder::events(event_kind kind) const {
  std::vector<recorded_event> some = events();
  some.erase(std::remove_if(some.begin(), some.end(),
                            [kind](const recorded_event& e) { return e.kind != kind; }),
             some.end());
  return some;
}

std::vector<event_kind> event_recorder::kinds() const {
  std::vector<event_kind> kinds;
  for (const recorded_event& e : events()) kinds.push_back(e.kind);
  return kinds;
}

int event_recorder::count(event_kind kind) const { return static_cast<int>(events(kind).size()); }

std::string event_recorder::to_string() const {
  const std::vector<recorded_event> all = events();
  std::string text;
  for (const recorded_event& e : all) text += e.to_string(all.front().at) + '\n';
  return text;
}

void event_recorder::clear() {
  const std::lock_guard lock(mutex_);
  events_.clear();
}

}  // namespace hawser::inline v0::testing
