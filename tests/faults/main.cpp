// Lets every allocation and every system call of whole programs fail in turn, and prints what came
// of it. See usage() below.
#include "faults/failing.hpp"
#include "faults/limits.hpp"
#include "faults/point.hpp"
#include "faults/servers.hpp"
#include "faults/stage.hpp"
#include "faults/symbols.hpp"

#include <netdb.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace hawser::test {
namespace {

using namespace std::chrono_literals;

struct settings {
  std::string_view only{};     // scenarios whose name has this in it
  std::optional<call> what{};  // only this
  std::size_t most = all;      // points of a series: a longer one is strode through
  bool explain = false;
  std::optional<failure> here{};
};

/// The ways in which one kind of call fails.
struct way {
  call what;
  int error;
  std::size_t many;
};

std::vector<way> ways() {
  std::vector<way> w = {{call::memory, ENOMEM, 1}, {call::memory, ENOMEM, all}};
  const auto add = [&w](call what, std::initializer_list<int> errors) {
    for (const int e : errors)
      for (const std::size_t many : {std::size_t{1}, all}) w.push_back({what, e, many});
  };
  add(call::socket, {EMFILE, ENOBUFS});
  add(call::connect, {ECONNREFUSED, ENETUNREACH, EADDRNOTAVAIL, ENOBUFS});
  add(call::send, {ECONNRESET, EPIPE, ENOBUFS, EAGAIN});
  add(call::receive, {ECONNRESET, ETIMEDOUT, ENOMEM, EAGAIN});
  add(call::get_option, {ENOBUFS});
  add(call::set_option, {ENOBUFS});
  add(call::control, {ENOMEM});
  add(call::epoll_create, {EMFILE});
  add(call::epoll_control, {ENOSPC, ENOMEM});
  w.push_back({call::epoll_wait, EINTR, 1});
  w.push_back({call::epoll_wait, EINTR, 100});
  add(call::timer_create, {EMFILE});
  add(call::timer_set, {ENOMEM});
  add(call::event, {EMFILE});
  add(call::pipe, {EMFILE});
  add(call::thread, {EAGAIN});
  add(call::resolve, {EAI_MEMORY, EAI_AGAIN});
  return w;
}

struct counts {
  std::size_t points = 0;
  std::map<ending, std::size_t> of;
  std::map<std::string_view, std::size_t> limits;

  counts& operator+=(const counts& other) {
    points += other.points;
    for (const auto& [how, n] : other.of) of[how] += n;
    for (const auto& [name, n] : other.limits) limits[name] += n;
    return *this;
  }
  [[nodiscard]] std::size_t bad() const {
    std::size_t n = 0;
    for (const auto& [how, times] : of)
      if (how != ending::good) n += times;
    return n;
  }
  [[nodiscard]] std::size_t many(ending how) const {
    const auto it = of.find(how);
    return it == of.end() ? 0 : it->second;
  }
};

std::string text(ending e) {
  static constexpr std::array<std::string_view, 7> words = {"good",     "crash",  "hang",   "lost",
                                                            "unusable", "spoilt", "escaped"};
  return std::string(words[static_cast<std::size_t>(e)]);
}

std::string text(const failure& how) {
  return std::string(name_of(how.what)) + ":" + std::to_string(how.error) + ":" +
         std::to_string(how.at) + ":" + (how.many == all ? "all" : std::to_string(how.many));
}

class loop {
 public:
  explicit loop(const settings& s) : settings_(s) {}

  [[nodiscard]] counts try_all(const scenario& what) {
    counts sum;
    const auto calls_made = dry_run(what);
    for (const way& w : ways()) {
      if (settings_.what && *settings_.what != w.what) continue;
      if (const std::size_t n = calls_made[static_cast<std::size_t>(w.what)]; n != 0)
        sum += series(what, w, n);
    }
    return sum;
  }

 private:
  static constexpr std::size_t most_hangs = 4;  // in a series

  [[nodiscard]] std::array<std::size_t, calls> dry_run(const scenario& what) {
    point p(what, servers_.at(), {}, 20s);
    while (!p.ended()) ::poll(nullptr, 0, 1);
    if (p.how_it_ended() != ending::good)
      throw std::runtime_error(std::string(what.name) + " ends with " + text(p.how_it_ended()) +
                               " where nothing fails: " + p.said().words.data());
    std::array<std::size_t, calls> made{};
    for (std::size_t i = 0; i < calls; ++i) made[i] = p.said().what.made[i];
    return made;
  }

  /// Every point from the first on, until none fails any more: how many there are is a matter of
  /// which thread is quicker.
  [[nodiscard]] counts series(const scenario& what, const way& w, std::size_t about) {
    counts sum;
    const std::size_t stride =
        std::max<std::size_t>(1, (about + settings_.most - 1) / settings_.most);
    std::list<point> running;
    std::size_t next = 1 + about % stride;
    int beyond = 0;
    while (beyond < 4 || !running.empty()) {
      if (sum.many(ending::hang) > most_hangs) beyond = 4;  // each takes its time
      while (beyond < 4 && running.size() < jobs_) {
        running.emplace_back(what, servers_.at(), failure{w.what, next, w.many, w.error}, 4s);
        next += stride;
      }
      bool some = false;
      for (auto it = running.begin(); it != running.end();) {
        if (!it->ended()) {
          ++it;
          continue;
        }
        some = true;
        const bool reached = it->said().what.failed != 0;
        if (!reached) ++beyond;
        if (reached || it->how_it_ended() != ending::good) judge(what, *it, sum);
        it = running.erase(it);
      }
      if (!some) ::poll(nullptr, 0, 1);
    }
    return sum;
  }

  void judge(const scenario& what, const point& p, counts& sum) {
    ++sum.points;
    ending how = p.how_it_ended();
    if (how == ending::good) {
      ++sum.of[how];
      return;
    }
    const auto places = functions(p.said());
    if (const limit* l = explains(p.how(), how, places)) {
      ++sum.limits[l->name];
      return;
    }
    if (how == ending::hang && sum.of[how] < 3 && is_merely_slow(what, p.how())) how = ending::good;
    ++sum.of[how];
    if (how != ending::good) tell(what, p, how, places);
  }

  /// The machine may be busy.
  [[nodiscard]] bool is_merely_slow(const scenario& what, const failure& how) {
    point again(what, servers_.at(), how, 12s);
    while (!again.ended()) ::poll(nullptr, 0, 1);
    return again.how_it_ended() == ending::good;
  }

  [[nodiscard]] std::vector<std::vector<std::string>> functions(const report& r) const {
    std::vector<std::vector<std::string>> all_places;
    const auto add = [&](const place& at) {
      if (at.depth == 0) return;
      auto& names = all_places.emplace_back();
      for (int i = 0; i < at.depth; ++i)
        names.push_back(symbols_.name_of(at.frames[static_cast<std::size_t>(i)]));
    };
    add(r.what.crash);
    for (const place& at : r.what.places) add(at);
    return all_places;
  }

  void tell(const scenario& what, const point& p, ending how,
            const std::vector<std::vector<std::string>>& places) const {
    const report& r = p.said();
    std::printf("! %-28.*s %s: %s; status %x, started %d, refused %d, ended %d, escaped %d %s\n",
                static_cast<int>(what.name.size()), what.name.data(), text(p.how()).c_str(),
                text(how).c_str(), static_cast<unsigned>(p.status()), r.started.load(),
                r.refused.load(), r.ended.load(), r.escaped.load(), r.words.data());
    if (settings_.explain)
      for (const auto& names : places) {
        for (const std::string& name : names)
          std::printf("      %s\n", name.substr(0, 200).c_str());
        std::printf("\n");
      }
    std::fflush(stdout);
  }

  const settings& settings_;
  servers servers_;
  symbols symbols_;
  std::size_t jobs_ = std::max(1U, std::thread::hardware_concurrency());

 public:
  [[nodiscard]] const addresses& at() const noexcept { return servers_.at(); }
};

void usage() {
  std::puts(
      "hawser-faults [--quick] [--scenario <part of its name>] [--call <name>] [--explain]\n"
      "              [--most <points of a series>] [--here <call>:<errno>:<at>:<many|all>]\n"
      "Every allocation and system call of each scenario fails in turn: it alone, then all from "
      "it\n"
      "on until the call has ended. --quick takes a few of each series. --here runs one point in\n"
      "this process, for a debugger. The exit code is 1 where a crash, a hang or a lost handler "
      "is\n"
      "none of the limits that are known by name.");
}

std::optional<call> call_named(std::string_view name) {
  for (std::size_t i = 0; i < calls; ++i)
    if (name_of(static_cast<call>(i)) == name) return static_cast<call>(i);
  return std::nullopt;
}

std::optional<failure> parse_failure(std::string_view text) {
  std::vector<std::string> parts{""};
  for (const char c : text)
    if (c == ':')
      parts.emplace_back();
    else
      parts.back() += c;
  const auto what = call_named(parts[0]);
  if (parts.size() != 4 || !what) return std::nullopt;
  return failure{*what, std::strtoul(parts[2].c_str(), nullptr, 10),
                 parts[3] == "all" ? all : std::strtoul(parts[3].c_str(), nullptr, 10),
                 std::atoi(parts[1].c_str())};
}

std::optional<settings> parse(int argc, char** argv) {
  settings s;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const bool last = i + 1 == argc;
    if (word == "--quick") {
      s.most = 12;
    } else if (word == "--explain") {
      s.explain = true;
    } else if (word == "--scenario" && !last) {
      s.only = argv[++i];
    } else if (word == "--call" && !last) {
      s.what = call_named(argv[++i]);
      if (!s.what) return std::nullopt;
    } else if (word == "--most" && !last) {
      s.most = std::strtoul(argv[++i], nullptr, 10);
      if (s.most == 0) return std::nullopt;
    } else if (word == "--here" && !last) {
      s.here = parse_failure(argv[++i]);
      if (!s.here) return std::nullopt;
    } else {
      return std::nullopt;
    }
  }
  return s;
}

int run(const settings& s) {
  loop tries(s);
  counts sum;
  std::vector<std::pair<std::string_view, counts>> rows;
  for (const scenario& what : scenarios()) {
    if (what.name.find(s.only) == std::string_view::npos) continue;
    if (s.here) {
      run_here(what, tries.at(), *s.here);
      return 0;
    }
    const auto started = std::chrono::steady_clock::now();
    rows.emplace_back(what.name, tries.try_all(what));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
    std::printf("%.*s: %zu points, %zu findings, %.1f s\n", static_cast<int>(what.name.size()),
                what.name.data(), rows.back().second.points, rows.back().second.bad(),
                took.count());
    std::fflush(stdout);
    sum += rows.back().second;
  }
  rows.emplace_back("sum", sum);
  std::printf("\n%-28s %8s %8s %6s %14s %9s %8s %7s\n", "scenario", "points", "crashes", "hangs",
              "lost handlers", "unusable", "escaped", "limits");
  for (const auto& [name, c] : rows) {
    std::size_t known = 0;
    for (const auto& [limit_name, n] : c.limits) known += n;
    std::printf("%-28.*s %8zu %8zu %6zu %14zu %9zu %8zu %7zu\n", static_cast<int>(name.size()),
                name.data(), c.points, c.many(ending::crash), c.many(ending::hang),
                c.many(ending::lost), c.many(ending::unusable) + c.many(ending::spoilt),
                c.many(ending::escaped), known);
  }
  if (!sum.limits.empty()) std::puts("\nlimits that are not the library's:");
  for (const limit& l : limits())
    if (const auto it = sum.limits.find(l.name); it != sum.limits.end())
      std::printf("%6zu  %.*s: %.*s\n", it->second, static_cast<int>(l.name.size()), l.name.data(),
                  static_cast<int>(l.why.size()), l.why.data());
  return sum.bad() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace hawser::test

int main(int argc, char** argv) {
  const auto s = hawser::test::parse(argc, argv);
  if (!s) {
    hawser::test::usage();
    return 2;
  }
  try {
    return hawser::test::run(*s);
  } catch (const std::exception& e) {
    std::printf("%s\n", e.what());
    return 2;
  }
}
