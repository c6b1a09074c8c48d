// hawser-fault-server: a misbehaving HTTP server on 127.0.0.1, for trying out integrations.
//
//   hawser-fault-server --profile payments --seed 7 --outage-at 500
//
// Prints one line of JSON when it is ready. Ends on SIGTERM or SIGINT, on the end of a piped
// standard input, or after --max-seconds.
#include "hawser/core/error.hpp"
#include "hawser/testing/fault_profiles.hpp"
#include "hawser/testing/fault_server.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <nlohmann/json.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <exception>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace asio = boost::asio;
namespace faults = hawser::testing;

namespace {

constexpr std::string_view usage =
    R"(usage: hawser-fault-server [options]
  --port N                  port on 127.0.0.1; 0 (default): a free one
  --profile NAME            payments (default): POST /v1/charges with faults
                            calm: the same without any fault
  --seed N                  of the random faults (1)
  --probability NAME=P      share of requests, repeatable: reset_before (0.04), error_500 (0.04),
                            unavailable_503 (0.04), stall_before (0.01), reset_after (0.03),
                            cut_after (0.03), stall_after (0.01), spike (0.05)
  --retry-after SECONDS     of the 503s (1)
  --latency TIME            of every answer (2ms)
  --spike-delay TIME        on top of it, for the share spike (250ms)
  --burst-every N           a burst of 429 begins every N requests; 0: never (200)
  --burst-for TIME          how long it lasts (500ms)
  --rate-limit R            429 beyond R requests a second; 0: no limit (0)
  --rate-burst N            requests admitted at once under the rate limit (50)
  --outage-at N|TIME        the request, or the time after which the first request, takes the
                            server down; 0: never (0)
  --outage-for TIME         how long (4s)
  --no-deduplication        idempotency keys are ignored
  --conflict-in-flight      409 while a request with the same key is being processed
  --tls                     TLS 1.2 and 1.3, with a certificate made at start
  --tls-1.2                 TLS 1.2 only
  --client-certificate FILE TLS with client certificates; one is written to FILE with its key
  --ca-out FILE             where the authority's certificate goes (needs TLS)
  --max-seconds N           ends by itself after N seconds, 1 to 86400 (3600)
  --ignore-stdin            do not end when a piped standard input ends
  --help
TIME is a number with ns, us, ms, s or min. GET /_ledger, GET /_status and POST /_reset are free of
faults.
)";

struct usage_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class Number>
Number number_of(std::string_view option, std::string_view text) {
  Number value{};
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size() || text.empty())
    throw usage_error(std::string(option) + ": not a number in range: " + std::string(text));
  return value;
}

hawser::duration time_of(std::string_view option, std::string_view text) {
  const std::size_t unit_at = text.find_first_not_of("0123456789.");
  const std::string_view unit = unit_at == std::string_view::npos ? "" : text.substr(unit_at);
  const std::map<std::string_view, double> units{
      {"ns", 1.0}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"min", 60e9}};
  const auto found = units.find(unit);
  if (found == units.end())
    throw usage_error(std::string(option) + ": not a time like 250ms or 4s: " + std::string(text));
  const double count = number_of<double>(option, text.substr(0, unit_at)) * found->second;
  if (count > 1e18) throw usage_error(std::string(option) + ": too long: " + std::string(text));
  return hawser::duration(static_cast<hawser::duration::rep>(count));
}

struct settings {
  faults::payment_options payments{};
  bool calm = false;
  std::uint16_t port = 0;
  bool tls = false;
  bool only_tls_1_2 = false;
  std::string ca_file{};
  std::string client_file{};
  bool deduplicate = true;
  bool conflict_in_flight = false;
  int max_seconds = 3600;
  bool ignore_stdin = false;
  bool help = false;
};

void set_probability(faults::fault_mix& mix, std::string_view option, std::string_view text) {
  const std::map<std::string_view, double faults::fault_mix::*> shares{
      {"reset_before", &faults::fault_mix::reset_before},
      {"error_500", &faults::fault_mix::error_500},
      {"unavailable_503", &faults::fault_mix::unavailable_503},
      {"stall_before", &faults::fault_mix::stall_before},
      {"reset_after", &faults::fault_mix::reset_after},
      {"cut_after", &faults::fault_mix::cut_after},
      {"stall_after", &faults::fault_mix::stall_after},
      {"spike", &faults::fault_mix::spike}};
  const std::size_t equals = text.find('=');
  const auto found = shares.find(text.substr(0, equals));
  if (equals == std::string_view::npos || found == shares.end())
    throw usage_error(std::string(option) +
                      ": expected NAME=P with a known name: " + std::string(text));
  mix.*(found->second) = number_of<double>(option, text.substr(equals + 1));
}

void set_outage(faults::payment_options& payments, std::string_view option, std::string_view text) {
  payments.outage_at_request.reset();
  payments.outage_at.reset();
  if (text.find_first_not_of("0123456789") != std::string_view::npos) {
    payments.outage_at = time_of(option, text);
  } else if (const auto n = number_of<std::uint64_t>(option, text); n > 0) {
    payments.outage_at_request = n;
  }
}

/// False: not an option that takes no value.
bool set_flag(settings& out, std::string_view option) {
  if (option == "--help") return out.help = true;
  if (option == "--tls") return out.tls = true;
  if (option == "--tls-1.2") return out.tls = out.only_tls_1_2 = true;
  if (option == "--conflict-in-flight") return out.conflict_in_flight = true;
  if (option == "--ignore-stdin") return out.ignore_stdin = true;
  if (option != "--no-deduplication") return false;
  out.deduplicate = false;
  return true;
}

void set_value(settings& out, std::string_view option, std::string_view text) {
  faults::payment_options& payments = out.payments;
  if (option == "--port") {
    out.port = number_of<std::uint16_t>(option, text);
  } else if (option == "--profile") {
    if (text != "payments" && text != "calm")
      throw usage_error("--profile: payments or calm, not " + std::string(text));
    out.calm = text == "calm";
  } else if (option == "--seed") {
    payments.faults.seed = number_of<std::uint64_t>(option, text);
  } else if (option == "--probability") {
    set_probability(payments.faults, option, text);
  } else if (option == "--retry-after") {
    payments.faults.retry_after = std::chrono::seconds(number_of<std::uint32_t>(option, text));
  } else if (option == "--latency") {
    payments.faults.latency = time_of(option, text);
  } else if (option == "--spike-delay") {
    payments.faults.spike_delay = time_of(option, text);
  } else if (option == "--burst-every") {
    const auto n = number_of<std::uint64_t>(option, text);
    payments.burst_every = n > 0 ? std::optional(n) : std::nullopt;
  } else if (option == "--burst-for") {
    payments.burst_for = time_of(option, text);
  } else if (option == "--rate-limit") {
    const auto rate = number_of<double>(option, text);
    payments.rate_limit = rate > 0 ? std::optional(rate) : std::nullopt;
  } else if (option == "--rate-burst") {
    payments.rate_burst = number_of<double>(option, text);
  } else if (option == "--outage-at") {
    set_outage(payments, option, text);
  } else if (option == "--outage-for") {
    payments.outage_for = time_of(option, text);
  } else if (option == "--ca-out") {
    out.ca_file = text;
  } else if (option == "--client-certificate") {
    out.client_file = text;
    out.tls = true;
  } else if (option == "--max-seconds") {
    out.max_seconds = number_of<int>(option, text);
    if (out.max_seconds < 1 || out.max_seconds > 86400)
      throw usage_error("--max-seconds: 1 to 86400, not " + std::string(text));
  } else {
    throw usage_error("unknown option " + std::string(option));
  }
}

settings parse(const std::vector<std::string_view>& arguments) {
  settings out;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (set_flag(out, arguments[i])) continue;
    if (i + 1 == arguments.size())
      throw usage_error("unknown option, or one without its value: " + std::string(arguments[i]));
    set_value(out, arguments[i], arguments[i + 1]);
    ++i;
  }
  if (!out.ca_file.empty() && !out.tls) throw usage_error("--ca-out needs --tls");
  return out;
}

void make_calm(faults::payment_options& payments) {
  faults::fault_mix& mix = payments.faults;
  mix.reset_before = mix.error_500 = mix.unavailable_503 = mix.stall_before = 0;
  mix.reset_after = mix.cut_after = mix.stall_after = mix.spike = 0;
  payments.burst_every.reset();
  payments.rate_limit.reset();
  payments.outage_at_request.reset();
  payments.outage_at.reset();
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::trunc);
  out << text << std::flush;
  if (!out) throw std::runtime_error("cannot write " + path);
}

/// Standard input counts only when somebody holds its other end: a shell gives background
/// programs /dev/null, whose end says nothing.
bool stdin_is_held() {
  struct stat what {};
  return ::fstat(STDIN_FILENO, &what) == 0 && (S_ISFIFO(what.st_mode) || S_ISSOCK(what.st_mode));
}

class lifetime {
 public:
  explicit lifetime(const settings& chosen)
      : signals_(io_, SIGINT, SIGTERM),
        limit_(io_, std::chrono::seconds(chosen.max_seconds)),
        input_(io_) {
    signals_.async_wait([this](auto, int) { io_.stop(); });
    limit_.async_wait([this](auto) { io_.stop(); });
    if (chosen.ignore_stdin || !stdin_is_held()) return;
    input_.assign(::dup(STDIN_FILENO));
    watch_input();
  }

  void wait() { io_.run(); }

 private:
  void watch_input() {
    input_.async_wait(asio::posix::stream_descriptor::wait_read, [this](auto ec) {
      std::array<char, 256> ignored{};
      if (ec || ::read(input_.native_handle(), ignored.data(), ignored.size()) <= 0)
        io_.stop();
      else
        watch_input();
    });
  }

  asio::io_context io_{1};
  asio::signal_set signals_;
  asio::steady_timer limit_;
  asio::posix::stream_descriptor input_;
};

void serve(settings chosen) {
  if (chosen.calm) make_calm(chosen.payments);
  const faults::payment_gateway gateway(chosen.payments);
  faults::fault_server_options options = gateway.server_options();
  options.port = chosen.port;
  options.effects.deduplicate = chosen.deduplicate;
  options.effects.conflict_in_flight = chosen.conflict_in_flight;
  if (chosen.tls) {
    options.tls.emplace();
    options.tls->only_tls_1_2 = chosen.only_tls_1_2;
    options.tls->require_client_certificate = !chosen.client_file.empty();
  }
  lifetime until_told(chosen);  // before the line is printed: a signal right after it counts
  const faults::fault_server server(std::move(options));
  if (!chosen.ca_file.empty()) write_file(chosen.ca_file, server.authority()->certificate());
  if (!chosen.client_file.empty()) {
    const auto client = server.authority()->issue(faults::client_leaf());
    write_file(chosen.client_file, client.chain + client.key);
  }
  const auto path_or_null = [](const std::string& path) {
    return path.empty() ? nlohmann::json() : nlohmann::json(path);
  };
  const nlohmann::json ready{{"port", server.port()},
                             {"url", server.url()},
                             {"tls", chosen.tls},
                             {"ca", path_or_null(chosen.ca_file)},
                             {"client_certificate", path_or_null(chosen.client_file)},
                             {"seed", chosen.payments.faults.seed}};
  std::cout << ready.dump() << std::endl;
  until_told.wait();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const settings chosen = parse(std::vector<std::string_view>(argv + 1, argv + argc));
    if (chosen.help) {
      std::cout << usage;
      return 0;
    }
    serve(chosen);
    return 0;
  } catch (const usage_error& e) {
    std::cerr << "hawser-fault-server: " << e.what() << "\n\n" << usage;
    return 2;
  } catch (const std::exception& e) {
    std::cerr << "hawser-fault-server: " << e.what() << '\n';
    return 1;
  }
}
