#include "storm/rows.hpp"

#include <algorithm>
#include <cstdio>

namespace hawser::storm {
namespace {

using namespace std::chrono_literals;

double seconds(duration d) { return std::chrono::duration<double>(d).count(); }

double served(const report& r) { return r.served_share; }
double goodput(const report& r) { return r.goodput; }
double load(const report& r) { return r.load; }
double full(const report& r) { return seconds(r.full); }
double failed_after(const report& r) { return static_cast<double>(r.failed_after); }
double peak_second(const report& r) { return r.peak_second; }
double peak_tenth(const report& r) { return r.peak_tenth; }
double openings(const report& r) { return static_cast<double>(r.openings); }
double other_routes(const report& r) { return r.served_by_route_worst; }
double queue_wait(const report& r) { return seconds(r.longest_queue_wait); }

constexpr bool at_most = true;
constexpr bool at_least = false;
using enum bound::of;

bound mean_of(const char* name, double (*value)(const report&), bool below, double limit) {
  return {name, value, mean, below, limit};
}
bound each(const char* name, double (*value)(const report&), bool below, double limit) {
  return {name, value, worst, below, limit};
}

scenario with(int clients, fault what, duration lasts = 70s) {
  scenario s;
  s.clients = clients;
  s.faults = {std::move(what)};
  s.lasts = lasts;
  return s;
}

row independent_errors(int clients, double share, double least, double most_load,
                       const char* before) {
  scenario s = with(clients, {.share = share}, 80s);
  row r{std::to_string(static_cast<int>(share * 100 + 0.5)) + " % independent 503",
        clients,
        {s},
        {mean_of("served", served, at_least, least), mean_of("load", load, at_most, most_load)},
        before};
  if (share < 0.25) r.bounds.push_back(each("openings", openings, at_most, 0));
  return r;
}

row outages(int clients, double mean_full, double worst_full, double most_load,
            const char* before) {
  row r{"outage of 8 to 14 s", clients, {}, {}, before};
  for (int length = 8; length <= 14; ++length)
    r.scenarios.push_back(with(clients, {.lasts = std::chrono::seconds(length)}, 75s));
  r.bounds = {mean_of("full", full, at_most, mean_full), each("full", full, at_most, worst_full),
              mean_of("load", load, at_most, most_load),
              each("peak of 1 s", peak_second, at_most, 1.5)};
  return r;
}

row routes(const char* name, effect_of_fault what, int clients, double least, const char* before) {
  scenario s = with(clients, {.lasts = 40s, .what = what, .route = 3});
  s.routes = 10;
  return {name, clients, {s}, {each("other routes served", other_routes, at_least, least)}, before};
}

/// A pool of 64 workers, each of which calls again when it has been answered.
row workers(const char* name, std::vector<fault> what, std::vector<bound> bounds,
            const char* before) {
  scenario s;
  s.callers = 64;
  s.faults = std::move(what);
  s.lasts = s.warm_up + s.faults[0].lasts + 45s;
  return {name, 1, {s}, std::move(bounds), before};
}

std::vector<fault> errors_and_bursts() {
  std::vector<fault> all = {{.lasts = 30s, .share = 0.2}};
  for (int i = 0; i < 12; ++i)
    all.push_back({.from = i * 2500ms, .lasts = 500ms, .status = 429, .retry_after = "1"});
  return all;
}

/// A short failure of the network while one route is broken.
row two_at_once(const char* before) {
  scenario s = with(50, {.lasts = 30s, .route = 3}, 75s);
  s.routes = 5;
  s.faults.push_back({.from = 10s, .lasts = 3s, .what = effect_of_fault::refuse});
  return {"one route of five answers 503, none connects for 3 s",
          50,
          {s},
          {each("other routes served", other_routes, at_least, 0.95)},
          before};
}

row two_routes(const char* before) {
  scenario s = with(1, {.lasts = 30s, .what = effect_of_fault::hang, .route = 3}, 75s);
  s.routes = 5;
  s.faults.push_back({.lasts = 30s, .what = effect_of_fault::hang, .route = 1});
  return {"two routes of five hang",
          1,
          {s},
          {each("other routes served", other_routes, at_least, 0.95)},
          before};
}

row status_404_afterwards(int clients, const char* before) {
  scenario s = with(clients, {.lasts = 3s, .status = 500}, 60s);
  s.status_when_well = 404;
  return {"500 for 3 s, then 404", clients, {s}, {each("full", full, at_most, 2)}, before};
}

}  // namespace

std::vector<row> rows() {
  const auto hang = effect_of_fault::hang;
  const auto slow = effect_of_fault::slow;
  const auto refuse = effect_of_fault::refuse;
  scenario small_processes = with(200, {.lasts = 30s});
  small_processes.rate = 1000;
  small_processes.workers = 100;
  return {
      independent_errors(1, 0.2, 0.99, 1.26, "15 % served at 0.18"),
      independent_errors(200, 0.2, 0.99, 1.26, "97.8 % at 1.22, 15 openings"),
      independent_errors(1, 0.3, 0.90, 1.42, "1 % at 0.01"),
      independent_errors(200, 0.3, 0.90, 1.42, "83.6 % at 1.20, 146 openings"),
      {"outage of 1 s",
       1,
       {with(1, {.lasts = 1s}, 50s)},
       {each("served", served, at_least, 0.95), each("load", load, at_most, 1.3),
        each("full", full, at_most, 1)},
       "0 % served, full 8.4 s"},
      {"outage of 1 s",
       200,
       {with(200, {.lasts = 1s}, 50s)},
       {each("served", served, at_least, 0.95), each("load", load, at_most, 1.3),
        each("full", full, at_most, 1)},
       "3 % at 1.64, full 9.4 s"},
      outages(1, 2, 4, 0.05, "full 10.3 s (17.3 s)"),
      outages(200, 3, 5, 0.35, "full 13.0 s (19.0 s) at 0.17 to 0.26"),
      {"hang of 10 s",
       1,
       {with(1, {.lasts = 10s, .what = hang})},
       {each("full", full, at_most, 2), each("failed after", failed_after, at_most, 1000)},
       "full 9.5 s, 6,004 failed after its end"},
      {"hang of 10 s",
       200,
       {with(200, {.lasts = 10s, .what = hang})},
       {each("peak of 1 s", peak_second, at_most, 1.6), mean_of("served", served, at_least, 0.7)},
       "98 % served, peak 2.1"},
      {"50 % errors for 10 s",
       1,
       {with(1, {.lasts = 10s, .share = 0.5})},
       {mean_of("served", served, at_least, 0.64), mean_of("load", load, at_most, 1.35),
        each("full", full, at_most, 1)},
       "0.6 % at 0.01, full 18.3 s"},
      {"50 % errors for 10 s",
       200,
       {with(200, {.lasts = 10s, .share = 0.5})},
       {mean_of("served", served, at_least, 0.62), mean_of("load", load, at_most, 1.35),
        each("full", full, at_most, 2)},
       "58 % at 1.17, full 15.2 s"},
      {"429 with Retry-After 5 for 10 s",
       1,
       {with(1, {.lasts = 10s, .status = 429, .retry_after = "5"})},
       {each("peak of 0.1 s", peak_tenth, at_most, 2.2), mean_of("full", full, at_most, 1)},
       "22 % served, peak of 0.1 s 2.3"},
      {"429 with Retry-After 5 for 10 s",
       200,
       {with(200, {.lasts = 10s, .status = 429, .retry_after = "5"})},
       {each("served", served, at_least, 0.98), each("failed after", failed_after, at_most, 10),
        each("peak of 0.1 s", peak_tenth, at_most, 2.2)},
       "49 % served, 6,112 failed after its end, peak of 0.1 s 14.5"},
      {"answers 20 x slower for 10 s",
       1,
       {with(1, {.lasts = 10s, .what = slow, .factor = 20})},
       {mean_of("served", served, at_least, 0.31), mean_of("load", load, at_most, 0.2),
        each("queue wait", queue_wait, at_most, 2)},
       "31 % at 0.10, waits of 9 s"},
      {"answers 20 x slower for 10 s",
       200,
       {with(200, {.lasts = 10s, .what = slow, .factor = 20})},
       {each("full", full, at_most, 3)},
       "30 % at 0.50, full 3.5 s"},
      routes("one route of ten answers 503", effect_of_fault::error, 1, 0.99,
             "the others 9 % served"),
      routes("one route of ten answers 503", effect_of_fault::error, 200, 0.99,
             "the others 79 % served"),
      routes("one route of ten hangs", hang, 1, 0.95, "the others 3 % served"),
      routes("one route of ten hangs", hang, 200, 0.95, "the others 99 % served"),
      {"503 with Retry-After 3600 for 10 s",
       1,
       {with(1, {.lasts = 10s, .retry_after = "3600"}, 90s)},
       {each("full", full, at_most, 20)},
       "dark for an hour"},
      {"503 with Retry-After 3600 for 10 s",
       200,
       {with(200, {.lasts = 10s, .retry_after = "3600"}, 90s)},
       {each("full", full, at_most, 20)},
       "dark for an hour"},
      {"429 with Retry-After 1000000000 for 0.1 s",
       1,
       {with(1, {.lasts = 100ms, .status = 429, .retry_after = "1000000000"}, 90s)},
       {each("full", full, at_most, 20)},
       "dark for 15 minutes"},
      {"429 with Retry-After 1000000000, once",
       1,
       {with(1, {.lasts = 100ms, .status = 429, .retry_after = "1000000000", .only = 1}, 90s)},
       {each("full", full, at_most, 20)},
       "dark for 15 minutes"},
      status_404_afterwards(1, "one call at a time for ever"),
      status_404_afterwards(200, "one call at a time for ever"),
      {"outage of 30 s, 5 calls/s each",
       200,
       {small_processes},
       {each("load", load, at_most, 0.3)},
       "load 0.05, full 19 s"},
      {"outage of 60 s",
       200,
       {with(200, {.lasts = 60s}, 120s)},
       {each("full", full, at_most, 5), mean_of("load", load, at_most, 0.2)},
       "0 %, full 11.6 s (15.1 s)"},
      {"connections refused for 20 s",
       1,
       {with(1, {.lasts = 20s, .what = refuse}, 75s)},
       {each("full", full, at_most, 2), mean_of("load", load, at_most, 0.05)},
       "full 7.5 s (9.3 s)"},
      {"connections refused for 20 s",
       200,
       {with(200, {.lasts = 20s, .what = refuse}, 75s)},
       {each("full", full, at_most, 4), mean_of("load", load, at_most, 0.35)},
       "full 10.4 s (10.5 s)"},
      {"half of the connections refused for 30 s",
       1,
       {with(1, {.lasts = 30s, .what = refuse, .share = 0.5}, 75s)},
       {mean_of("served", served, at_least, 0.6), mean_of("load", load, at_most, 1.4)},
       "0.2 % served, dark afterwards"},
      {"70 % errors for 30 s",
       1,
       {with(1, {.lasts = 30s, .share = 0.7}, 75s)},
       {mean_of("served", served, at_least, 0.3), mean_of("load", load, at_most, 1.35)},
       "0.1 % served, dark afterwards"},
      {"1 % of 429 with Retry-After 1 for 30 s",
       1,
       {with(1, {.lasts = 30s, .share = 0.01, .status = 429, .retry_after = "1"}, 75s)},
       {each("served", served, at_least, 0.99), each("full", full, at_most, 0)},
       "30 % served at 0.23, peak 2.0"},
      two_routes("the others 1 % served"),
      two_at_once("the others 14 % served"),
      workers("64 workers, outage of 10 s", {{.lasts = 10s}}, {each("full", full, at_most, 3)},
              "full 16.6 s (17.8 s)"),
      workers("64 workers, hang of 30 s", {{.lasts = 30s, .what = hang}},
              {each("full", full, at_most, 5)}, "full 18.1 s (19.1 s)"),
      workers("64 workers, 429 with Retry-After 5 for 10 s",
              {{.lasts = 10s, .status = 429, .retry_after = "5"}}, {each("full", full, at_most, 2)},
              "full 0.4 s, peak of 0.1 s 1.8"),
      workers("64 workers, 20 % errors and bursts of 429", errors_and_bursts(),
              {each("goodput", goodput, at_least, 0.35)}, "1 % served, full 32 s"),
  };
}

reports measure(const row& what) {
  const int seeds = what.scenarios.size() > 1 ? 1 : 3;
  reports all;
  for (const scenario& s : what.scenarios)
    for (int seed = 1; seed <= seeds; ++seed)
      all.push_back(run(s, static_cast<std::uint64_t>(seed)));
  return all;
}

double value_of(const bound& b, const reports& all) {
  double sum = 0;
  double extreme = b.value(all.front());
  for (const report& r : all) {
    const double v = b.value(r);
    sum += v;
    extreme = b.at_most ? std::max(extreme, v) : std::min(extreme, v);
  }
  return b.which == bound::of::mean ? sum / static_cast<double>(all.size()) : extreme;
}

bool holds(const bound& b, const reports& all) {
  const double v = value_of(b, all);
  return b.at_most ? v <= b.limit : v >= b.limit;
}

namespace {

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, value >= 100 ? "%.0f" : "%.2f", value);
  return text;
}

std::string percent(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", value * 100);
  return text;
}

std::string text_of(const bound& b, const reports& all) {
  const bool share = std::string(b.name).find("served") != std::string::npos;
  std::string text = std::string(b.name) + (b.at_most ? " <= " : " >= ") +
                     (share ? percent(b.limit) : number(b.limit));
  if (!holds(b, all)) text += " (**is " + number(value_of(b, all)) + "**)";
  return text;
}

}  // namespace

std::string line_of(const row& r, const reports& all) {
  const auto mean_of = [&](double (*of)(const report&)) {
    return value_of({"", of, bound::of::mean, true, 0}, all);
  };
  const auto worst_of = [&](double (*of)(const report&)) {
    return value_of({"", of, bound::of::worst, true, 0}, all);
  };
  std::string must;
  for (const bound& b : r.bounds) must += (must.empty() ? "" : ", ") + text_of(b, all);
  return "| " + r.name + " | " + std::to_string(r.clients) + " | " + r.before + " | " +
         percent(mean_of(served)) + " | " + number(mean_of(load)) + " | " + number(mean_of(full)) +
         " s (" + number(worst_of(full)) + " s) | " + number(worst_of(peak_second)) + ", " +
         number(worst_of(peak_tenth)) + " | " + must + " |";
}

}  // namespace hawser::storm
