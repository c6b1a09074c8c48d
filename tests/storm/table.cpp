// Prints what the standard pipeline does in each storm, as docs/policies/standard.md has it.
#include "storm/rows.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

using namespace hawser::storm;

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

double mean_full(const report& r) { return std::chrono::duration<double>(r.full).count(); }

}  // namespace

int main(int count, char** arguments) {
  const int seeds = count > 1 ? std::atoi(arguments[1]) : 3;
  bool all_hold = true;
  std::puts(
      "| storm | clients | before | served | load | full, mean (worst) | peak of 1 s, 0.1 s | "
      "must hold |");
  std::puts("|---|---|---|---|---|---|---|---|");
  for (const row& r : rows()) {
    const reports all = measure(r, seeds);
    const auto mean = [&](double (*of)(const report&)) {
      return value_of({"", of, bound::of::mean, true, 0}, all);
    };
    const auto worst = [&](double (*of)(const report&)) {
      return value_of({"", of, bound::of::worst, true, 0}, all);
    };
    std::string must;
    for (const bound& b : r.bounds) {
      if (!must.empty()) must += ", ";
      const bool share = std::string(b.name).find("served") != std::string::npos;
      must += std::string(b.name) + (b.at_most ? " <= " : " >= ") +
              (share ? percent(b.limit) : number(b.limit));
      if (!holds(b, all)) {
        must += " (**is " + number(value_of(b, all)) + "**)";
        all_hold = false;
      }
    }
    std::printf("| %s | %d | %s | %s | %s | %s s (%s s) | %s, %s | %s |\n", r.name.c_str(),
                r.clients, r.before,
                percent(mean([](const report& x) { return x.served_share; })).c_str(),
                number(mean([](const report& x) { return x.load; })).c_str(),
                number(mean(mean_full)).c_str(), number(worst(mean_full)).c_str(),
                number(worst([](const report& x) { return x.peak_second; })).c_str(),
                number(worst([](const report& x) { return x.peak_tenth; })).c_str(), must.c_str());
    std::fflush(stdout);
  }
  return all_hold ? 0 : 1;
}
