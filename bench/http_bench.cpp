// What a request costs: Hawser's client with and without policies, raw Beast with callbacks and as
// documented with coroutines, and a hand-written loop as the floor, on kept-alive loopback
// connections. All in one run, in interleaved rounds; the server is a thread of its own, and only
// the client thread counts: its CPU time (getrusage), its allocations, its system calls.
//
//   hawser-bench-http [--rounds 7] [--requests 20000] [--json FILE] [--check]
//
// --check: the least that must hold on any machine, however busy; exits 1 when it does not.
#include "hawser/testing/test_certificates.hpp"

#include "counting.hpp"
#include "http/contender.hpp"
#include "http/server.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace hawser_bench {

const std::string& post_body() {
  static const std::string body = R"({"name":")" + std::string(1024 - 11, 'y') + "\"}";
  return body;
}

void give_up(std::string_view who, std::string_view why) {
  std::fprintf(stderr, "%.*s: %.*s\n", int(who.size()), who.data(), int(why.size()), why.data());
  std::exit(2);
}

namespace {

struct settings {
  int rounds = 7;
  long requests = 20'000;
  std::string json;
  bool check = false;
};

/// One client in one layout, measured once a round.
struct row {
  const char* name;
  contender_ptr (*make)(const target&);
  std::vector<double> microseconds{};
  double allocations = 0;
  double system_calls = 0;
};

struct layout {
  const char* name;
  kind what;
  int connections;
  bool tls;
  std::vector<row> rows{};
};

double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_THREAD, &used);
  const auto seconds = [](const timeval& t) { return double(t.tv_sec) + double(t.tv_usec) * 1e-6; };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v.empty() ? 0 : v[v.size() / 2];
}

void measure(row& r, const target& where, long requests) {
  const contender_ptr client = r.make(where);
  client->run(where.connections * 20L);  // warm
  const double before = cpu_seconds();
  const counts counted_before = counted();
  client->run(requests);
  const double n = double(requests);
  r.microseconds.push_back((cpu_seconds() - before) * 1e6 / n);
  r.allocations = double(counted().allocations - counted_before.allocations) / n;
  r.system_calls = double(counted().system_calls - counted_before.system_calls) / n;
}

/// Medians of the ratio within each round, so that a machine that slows down hurts both alike.
double ratio(const row& r, const row& to) {
  std::vector<double> each;
  for (std::size_t i = 0; i < r.microseconds.size(); ++i)
    each.push_back(r.microseconds[i] / to.microseconds[i]);
  return median(each);
}

std::vector<layout> layouts() {
  const std::vector<row> plain{{"floor", floor_client},
                               {"beast callbacks", beast_callbacks},
                               {"beast coroutines", beast_coroutines},
                               {"hawser, no policies", hawser_without_policies},
                               {"hawser, standard pipeline", hawser_standard}};
  return {{"GET, 1 connection", kind::get, 1, false, plain},
          {"POST, 1 connection", kind::post, 1, false, plain},
          {"GET, 64 connections", kind::get, 64, false, plain},
          {"POST, 64 connections", kind::post, 64, false, plain},
          {"GET over TLS, 64 connections", kind::get, 64, true, plain}};
}

void print(const layout& l) {
  std::printf("%-30s %9s %9s %9s %12s %14s\n", l.name, "CPU us", "x floor", "x beast",
              "allocations", "system calls");
  for (const row& r : l.rows)
    std::printf("  %-28s %9.2f %9.2f %9.2f %12.2f %14.2f\n", r.name, median(r.microseconds),
                ratio(r, l.rows[0]), ratio(r, l.rows[1]), r.allocations, r.system_calls);
}

void write_json(const std::string& file, const settings& s, const std::vector<layout>& all) {
  std::ofstream out(file);
  out << "{\"rounds\": " << s.rounds << ", \"requests\": " << s.requests << ", \"layouts\": [";
  for (const layout& l : all) {
    out << (&l == &all.front() ? "\n" : ",\n") << "  {\"name\": \"" << l.name << "\", \"rows\": [";
    for (const row& r : l.rows)
      out << (&r == &l.rows.front() ? "\n" : ",\n") << "    {\"name\": \"" << r.name
          << "\", \"microseconds\": " << median(r.microseconds)
          << ", \"to_floor\": " << ratio(r, l.rows[0]) << ", \"to_beast\": " << ratio(r, l.rows[1])
          << ", \"allocations\": " << r.allocations << ", \"system_calls\": " << r.system_calls
          << "}";
    out << "]}";
  }
  out << "]}\n";
  if (!out.flush()) give_up("--json", "cannot write " + file);
}

/// Counts do not lie on a busy machine, so they are strict; ratios are far from what is measured.
bool holds(const layout& l) {
  constexpr double most_allocations = 0.1;  // the first calls', spread over all
  // The look before reuse, send, a read in vain, wait, read.
  constexpr double most_system_calls = 5.2;
  constexpr double most_to_beast = 2;
  bool good = true;
  const auto expect = [&](const row& r, const char* what, double is, double most) {
    if (is <= most) return;
    good = false;
    std::printf("FAILED: %s, %s: %s %.2f, at most %.2f\n", l.name, r.name, what, is, most);
  };
  for (const row& r : {l.rows[3], l.rows[4]}) {
    expect(r, "allocations", r.allocations, most_allocations);
    expect(r, "system calls", r.system_calls, most_system_calls);
    expect(r, "CPU against beast callbacks", ratio(r, l.rows[1]), most_to_beast);
  }
  return good;
}

settings parse(int argc, char** argv) {
  settings s;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    const auto value = [&] { return i + 1 < argc ? argv[++i] : ""; };
    if (name == "--rounds")
      s.rounds = std::max(1, std::atoi(value()));
    else if (name == "--requests")
      s.requests = std::max(1L, std::atol(value()));
    else if (name == "--json")
      s.json = value();
    else if (name == "--check")
      s.check = true;
    else
      give_up(name, "unknown; see the head of http_bench.cpp");
  }
  return s;
}

int run(int argc, char** argv) {
  const settings s = parse(argc, argv);
  const hawser::testing::test_authority authority;
  const auto issued = authority.issue();
  server plain;
  server secure(issued.chain, issued.key);
  std::vector<layout> all = layouts();
  for (int i = 0; i < s.rounds; ++i) {
    for (layout& l : all) {
      // One connection: client and server take turns on one CPU, else waking up is all one sees.
      pin_this_thread(0);
      server& other = l.tls ? secure : plain;
      other.pin(l.connections == 1 ? 0 : 1);
      const target where{other.endpoint(), l.what, l.connections,
                         l.tls ? authority.certificate() : std::string()};
      for (row& r : l.rows) measure(r, where, s.requests);
    }
  }
  bool good = true;
  for (const layout& l : all) {
    print(l);
    if (s.check) good = holds(l) && good;
  }
  if (!s.json.empty()) write_json(s.json, s, all);
  return good ? 0 : 1;
}

}  // namespace

}  // namespace hawser_bench

int main(int argc, char** argv) { return hawser_bench::run(argc, argv); }
