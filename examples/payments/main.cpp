// The main job: 2,000 orders through an unreliable payment gateway, with the loop that most people
// write and with Hawser. The gateway is a process of its own, spoken to over TLS.
//
//   payments [--orders N] [--gateway PATH-OF-hawser-fault-server] [--seed N]
//
// Exits non-zero if Hawser's run double-charged, lost an order or leaked a planted secret.
#include "gateway_process.hpp"
#include "shop.hpp"

#include <hawser/http/json.hpp>
#include <hawser/http/standard_options.hpp>
#include <hawser/log/log_observer.hpp>
#include <hawser/log/masking_sink.hpp>
#include <hawser/observe/redactor.hpp>
#include <hawser/policy/timeout.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>

#include <unistd.h>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>

namespace asio = boost::asio;
namespace http = hawser::http;
using namespace std::chrono_literals;
using namespace payments;

namespace {

struct settings {
  int orders = 2000;
  int seed = 7;
  std::string gateway;
};

constexpr int workers = 64;
constexpr double outage_seconds = 4;

settings parse(int argc, char** argv) {
  settings s;
  s.gateway = (std::filesystem::path(argv[0]).parent_path() / "hawser-fault-server").string();
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--orders")
      s.orders = std::stoi(argv[i + 1]);
    else if (name == "--seed")
      s.seed = std::stoi(argv[i + 1]);
    else if (name == "--gateway")
      s.gateway = argv[i + 1];
    else
      throw std::invalid_argument("unknown option " + name +
                                  "; there are --orders, --seed and --gateway");
  }
  if (s.orders < 1) throw std::invalid_argument("--orders must be at least 1");
  return s;
}

asio::awaitable<void> show_progress(const order_book& book, std::string name) {
  const bool terminal = isatty(STDOUT_FILENO) != 0;
  const auto start = clock::now();
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (;;) {
    const double seconds = std::chrono::duration<double>(clock::now() - start).count();
    std::printf("%s  %-7s %5.1f s  %4d of %d orders done, %4d paid %s", terminal ? "\r" : "",
                name.c_str(), seconds, book.finished(), book.orders(), book.succeeded(),
                terminal ? "" : "\n");
    std::fflush(stdout);
    if (book.finished() == book.orders()) break;
    timer.expires_after(terminal ? 100ms : 2s);
    while (book.finished() < book.orders() && timer.expiry() > clock::now()) {
      asio::steady_timer step(co_await asio::this_coro::executor, 50ms);
      co_await step.async_wait(asio::use_awaitable);
    }
  }
  if (terminal) std::printf("\n");
}

/// What the gateway says happened, asked without faults.
void read_ledger(const http::client& api, run_result& run) {
  const auto ledger = api.get("/_ledger").as<nlohmann::json>();
  if (!ledger) throw std::runtime_error("no ledger: " + ledger.error().message());
  run.charges = ledger->at("charges");
  run.double_charges = ledger->at("double_charges");
  run.requests = ledger->at("requests");
}

void finish(run_result& run, const order_book& book, clock::time_point since) {
  run.orders = book.orders();
  run.succeeded = book.succeeded();
  run.lost = book.orders() - book.succeeded();
  run.milliseconds = book.milliseconds();
  run.seconds = std::chrono::duration<double>(clock::now() - since).count();
  run.recovery_seconds = std::max(0.0, book.longest_gap() - outage_seconds);
  std::sort(run.milliseconds.begin(), run.milliseconds.end());
}

double quantile(const std::vector<double>& sorted, double q) {
  return sorted.empty() ? 0 : sorted[static_cast<std::size_t>(q * double(sorted.size() - 1))];
}

http::client_options trusting(const std::string& ca_file) {
  http::client_options options;
  options.tls.ca_file = ca_file;
  return options;
}

run_result run_naive(const std::string& url, const std::string& ca_file, int orders) {
  run_result run;
  run.name = "naive";
  asio::io_context io;
  const hawser::environment env{io.get_executor()};
  // No policy but the time limit that even this loop has.
  const http::client api{env, url,
                         hawser::pipeline_builder{"naive"}.add(hawser::timeout{.after = 1s}),
                         trusting(ca_file)};
  order_book book(orders);
  const auto since = clock::now();
  for (int i = 0; i < workers; ++i) asio::co_spawn(io, naive_worker(api, book), asio::detached);
  asio::co_spawn(io, show_progress(book, run.name), asio::detached);
  io.run();
  finish(run, book, since);
  return run;
}

struct evidence {
  hawser::call_report interesting;
  std::string failures;
  std::string log;
};

run_result run_hawser(const std::string& url, const std::string& ca_file, int orders,
                      evidence& seen) {
  run_result run;
  run.name = "hawser";
  std::ostringstream log;
  hawser::redaction what_is_secret;
  what_is_secret.literals.emplace_back(planted_token);
  const auto masks = hawser::make_redactor(std::move(what_is_secret));
  const auto logger = std::make_shared<spdlog::logger>(
      "payments",
      hawser::log::make_masking_sink(std::make_shared<spdlog::sinks::ostream_sink_mt>(log), masks));

  asio::io_context io;
  const hawser::environment env{io.get_executor()};
  http::standard_options policies;
  policies.call_timeout = 40s;
  policies.attempt_timeout = 1s;
  policies.retry.max_attempts = 12;
  policies.retry.budget = hawser::make_budget(hawser::retry_budget{.ratio = 1.0});
  http::client_options options = trusting(ca_file);
  options.idempotency = http::idempotency_profile::stripe();  // this gateway honours keys
  const http::client api{env, url,
                         http::standard_pipeline("gateway", policies)
                             .observe(std::make_shared<hawser::log::log_observer>(logger, masks)),
                         std::move(options)};
  order_book book(orders);
  const auto since = clock::now();
  for (int i = 0; i < workers; ++i)
    asio::co_spawn(io, hawser_worker(api, book, seen.interesting, seen.failures), asio::detached);
  asio::co_spawn(io, show_progress(book, run.name), asio::detached);
  io.run();
  finish(run, book, since);
  logger->flush();
  seen.log = log.str();
  return run;
}

void print_row(const run_result& r) {
  std::printf("  %-8s %6d/%d %12lld %10lld %14.2f %9.0f %9.0f %12.2f %9.1f\n", r.name.c_str(),
              r.succeeded, r.orders, r.double_charges, r.lost,
              double(r.requests) / double(r.orders), quantile(r.milliseconds, 0.5),
              quantile(r.milliseconds, 0.99), r.recovery_seconds, r.seconds);
}

void print_log(const std::string& log, const std::string& correlation) {
  std::istringstream lines(log);
  int shown = 0;
  for (std::string line; shown < 6 && std::getline(lines, line);)
    if (line.find(correlation) != std::string::npos) {
      std::printf("  %.180s\n", line.c_str());
      ++shown;
    }
}

bool leaked(const std::string& text) {
  return text.find(planted_token) != std::string::npos ||
         text.find(planted_card) != std::string::npos;
}

int verdict(const run_result& run, const evidence& seen) {
  int wrong = 0;
  const auto complain = [&wrong](bool bad, const char* text) {
    if (bad) std::printf("FAILED: %s\n", text);
    wrong += bad ? 1 : 0;
  };
  complain(run.double_charges != 0, "Hawser's run charged an order twice");
  complain(run.lost != 0, "Hawser's run lost an order");
  complain(run.charges != run.orders, "the ledger does not hold one charge for each order");
  complain(leaked(seen.log) || leaked(seen.interesting.to_string()) || leaked(seen.failures),
           "a planted secret leaked");
  if (!seen.failures.empty()) std::printf("%.2000s\n", seen.failures.c_str());
  if (wrong == 0)
    std::printf("\nOK: no double charge, no lost order, no secret in %zu bytes of log.\n",
                seen.log.size());
  return wrong == 0 ? 0 : 1;
}

int run(const settings& s) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("hawser-payments-" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  const std::string ca_file = (folder / "ca.pem").string();
  int code = 1;
  {
    const gateway_process gateway(
        s.gateway,
        {"--tls", "--ca-out", ca_file, "--profile", "payments", "--seed", std::to_string(s.seed),
         "--burst-every", "500", "--outage-at", std::to_string(s.orders / 2), "--outage-for",
         std::to_string(static_cast<int>(outage_seconds)) + "s", "--max-seconds", "120"});
    std::printf(
        "%d orders through an unreliable gateway at %s:\n"
        "  20 %% of requests fail, some after the charge was booked; bursts of 429;\n"
        "  latency spikes; one outage of %.0f s. Twice, with %d workers.\n\n",
        s.orders, gateway.url().c_str(), outage_seconds, workers);
    const hawser::environment env;
    http::standard_options patience;  // the naive run may end in the middle of the outage
    patience.retry.max_attempts = 100;
    patience.retry.delay = hawser::constant{.each = 200ms};
    patience.breaker.consecutive_failures.reset();
    patience.breaker.failure_ratio = 1.0;
    const http::client admin{env, gateway.url(), http::standard_pipeline("admin", patience),
                             trusting(ca_file)};

    run_result naive = run_naive(gateway.url(), ca_file, s.orders);
    read_ledger(admin, naive);
    if (const auto reset = admin.post("/_reset").send(); !reset || !reset->ok())
      throw std::runtime_error("the gateway could not be reset");
    evidence seen;
    run_result with_hawser = run_hawser(gateway.url(), ca_file, s.orders, seen);
    read_ledger(admin, with_hawser);

    std::printf("\n  %-8s %11s %12s %10s %14s %9s %9s %12s %9s\n", "", "orders ok", "double",
                "lost", "requests", "p50", "p99", "recovery", "total");
    std::printf("  %-8s %11s %12s %10s %14s %9s %9s %12s %9s\n", "", "", "charges", "orders",
                "per order", "ms", "ms", "s", "s");
    print_row(naive);
    print_row(with_hawser);
    std::printf("\nThe call with the most attempts:\n%s\nIts log lines, masked:\n",
                seen.interesting.to_string().c_str());
    print_log(seen.log, seen.interesting.correlation);
    code = verdict(with_hawser, seen);
  }
  std::filesystem::remove_all(folder);
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(parse(argc, argv));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "payments: %s\n", e.what());
    return 2;
  }
}
