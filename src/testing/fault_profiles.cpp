#include "hawser/testing/fault_profiles.hpp"

#include "hawser/core/entropy.hpp"
#include "hawser/core/error.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace hawser::inline v0::testing {

namespace {

plan problem(int status, std::string_view title) {
  const nlohmann::json body{{"status", status}, {"title", title}};
  return plan::answer(status, body.dump(), "application/problem+json");
}

/// `by` is not negative. Beyond the longest duration there is no other.
duration longer(duration time, duration by) {
  return time > duration::max() - by ? duration::max() : time + by;
}

void check_duration(const char* field, duration value) {
  if (value < duration::zero())
    throw config_error(field, std::to_string(value.count()) + "ns", "must not be negative");
}

fault_mix validated(const fault_mix& mix) {
  struct share {
    const char* field;
    double value;
  };
  const std::array<share, 7> shares{{{"fault_mix.reset_before", mix.reset_before},
                                     {"fault_mix.error_500", mix.error_500},
                                     {"fault_mix.unavailable_503", mix.unavailable_503},
                                     {"fault_mix.stall_before", mix.stall_before},
                                     {"fault_mix.reset_after", mix.reset_after},
                                     {"fault_mix.cut_after", mix.cut_after},
                                     {"fault_mix.stall_after", mix.stall_after}}};
  const auto check = [](const char* field, double value) {
    if (!(value >= 0.0 && value <= 1.0))  // written so that NaN fails
      throw config_error(field, std::to_string(value), "must be between 0 and 1");
  };
  double sum = 0;
  for (const share& each : shares) {
    check(each.field, each.value);
    sum += each.value;
  }
  if (sum > 1.0 + 1e-9)
    throw config_error("fault_mix", std::to_string(sum), "the shares' sum must be at most 1");
  check("fault_mix.spike", mix.spike);
  check_duration("fault_mix.spike_delay", mix.spike_delay);
  check_duration("fault_mix.latency", mix.latency);
  using namespace std::chrono_literals;
  if (mix.retry_after < 0s || mix.retry_after > 366 * 24h)  // in seconds, so it need not fit in ns
    throw config_error("fault_mix.retry_after", std::to_string(mix.retry_after.count()) + " s",
                       "must be from 0 to 366 days");
  return mix;
}

payment_options validated(const payment_options& options) {
  if (options.burst_every && *options.burst_every < 1)
    throw config_error("payment_options.burst_every", "0", "must be at least 1");
  check_duration("payment_options.burst_for", options.burst_for);
  if (options.rate_limit && !(*options.rate_limit > 0.0))
    throw config_error("payment_options.rate_limit", std::to_string(*options.rate_limit),
                       "must be above 0");
  if (!(options.rate_burst >= 1.0))
    throw config_error("payment_options.rate_burst", std::to_string(options.rate_burst),
                       "must be at least 1");
  if (options.outage_at_request && *options.outage_at_request < 1)
    throw config_error("payment_options.outage_at_request", "0", "must be at least 1");
  if (options.outage_at) check_duration("payment_options.outage_at", *options.outage_at);
  check_duration("payment_options.outage_for", options.outage_for);
  return options;
}

std::chrono::seconds whole_seconds(duration left) {
  return std::max(std::chrono::ceil<std::chrono::seconds>(left), std::chrono::seconds(1));
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high >= 0 && low >= 0) {
        out += static_cast<char>(high * 16 + low);
        i += 2;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

}  // namespace

struct random_faults::state {
  explicit state(const fault_mix& given) : mix(validated(given)) { random.emplace(mix.seed); }

  const fault_mix mix;
  std::mutex mutex{};
  std::optional<seeded_entropy> random{};
};

random_faults::random_faults(fault_mix mix) : state_(std::make_shared<state>(mix)) {}

void random_faults::restart() const {
  const std::lock_guard lock(state_->mutex);
  state_->random.emplace(state_->mix.seed);
}

plan random_faults::over(plan healthy) const {
  const fault_mix& mix = state_->mix;
  double which = 0;
  double late = 0;
  {
    // Both are drawn each time, so that one request's fate does not shift the next one's.
    const std::lock_guard lock(state_->mutex);
    which = state_->random->uniform();
    late = state_->random->uniform();
  }
  const auto falls_in = [&which](double share) {
    which -= share;
    return which < 0;
  };
  if (falls_in(mix.reset_before)) return plan::reset().delay(mix.latency);
  if (falls_in(mix.error_500)) return problem(500, "Internal error").delay(mix.latency);
  if (falls_in(mix.unavailable_503))
    return problem(503, "Unavailable").retry_after(mix.retry_after).delay(mix.latency);
  if (falls_in(mix.stall_before)) return plan::stall();
  plan::parts& parts = healthy.edit();
  parts.delay = longer(parts.delay, mix.latency);
  const std::size_t middle = parts.body.size() / 2;
  if (falls_in(mix.reset_after)) return std::move(healthy).reset_at(0);
  if (falls_in(mix.cut_after)) return std::move(healthy).cut_body_at(middle);
  if (falls_in(mix.stall_after)) return std::move(healthy).stall_at(0);
  if (late < mix.spike) parts.delay = longer(parts.delay, mix.spike_delay);
  return healthy;
}

struct payment_gateway::state {
  explicit state(const payment_options& given)
      : options(validated(given)), faults(options.faults), tokens(options.rate_burst) {}

  /// The route's plan without faults; nullopt with `refusal` set for what is not a route.
  static std::optional<plan> route(const received_request& request, plan& refusal);
  static std::optional<plan> charge(const received_request& request, plan& refusal);

  /// 429 when a burst is on or the rate is exceeded.
  std::optional<plan> limited_locked(duration now);
  bool outage_due_locked(duration now);

  const payment_options options;
  const random_faults faults;
  std::mutex mutex{};
  std::uint64_t count = 0;
  std::optional<duration> burst_until{};
  double tokens = 0;
  duration refilled{};
  bool outage_over = false;
};

std::optional<plan> payment_gateway::state::charge(const received_request& request, plan& refusal) {
  const auto json = nlohmann::json::parse(request.body, nullptr, false);
  const auto is = [&json](const char* name, auto holds) {
    const auto found = json.find(name);
    return found != json.end() && holds(*found);
  };
  const auto text = [](const nlohmann::json& v) {
    return v.is_string() && !v.get_ref<const std::string&>().empty();
  };
  const auto number = [](const nlohmann::json& v) { return v.is_number(); };
  if (!json.is_object() || !is("order", text) || !is("amount", number) || !is("currency", text)) {
    refusal = problem(400, "Expected JSON with order, amount and currency");
    return std::nullopt;
  }
  const nlohmann::json body{{"id", "ch_" + std::to_string(request.number)},
                            {"order", json["order"]},
                            {"amount", json["amount"]},
                            {"currency", json["currency"]},
                            {"status", "succeeded"}};
  return plan::answer(201, body.dump()).book();
}

std::optional<plan> payment_gateway::state::route(const received_request& request, plan& refusal) {
  constexpr std::string_view charges = "/v1/charges";
  const std::string_view path =
      std::string_view(request.target).substr(0, request.target.find('?'));
  if (path == charges) {
    if (request.method == "POST") return charge(request, refusal);
    refusal = problem(405, "Use POST").header("Allow", "POST");
    return std::nullopt;
  }
  const bool one = path.size() > charges.size() + 1 && path.substr(0, charges.size()) == charges &&
                   path[charges.size()] == '/';
  if (!one) {
    refusal = problem(404, "No such resource");
    return std::nullopt;
  }
  if (request.method == "GET" || request.method == "HEAD")
    return plan::lookup(percent_decoded(path.substr(charges.size() + 1)));
  refusal = problem(405, "Use GET").header("Allow", "GET, HEAD");
  return std::nullopt;
}

std::optional<plan> payment_gateway::state::limited_locked(duration now) {
  if (options.burst_every && count % *options.burst_every == 0)
    burst_until = longer(now, options.burst_for);
  if (burst_until && now < *burst_until)
    return problem(429, "Too many requests").retry_after(whole_seconds(*burst_until - now));
  if (!options.rate_limit) return std::nullopt;
  const double rate = *options.rate_limit;
  const double gone =
      std::chrono::duration<double>(std::max(now - refilled, duration::zero())).count();
  tokens = std::min(options.rate_burst, tokens + gone * rate);
  refilled = std::max(refilled, now);
  if (tokens >= 1.0) {
    tokens -= 1.0;
    return std::nullopt;
  }
  // A day bounds the cast: a rate may be as small as a double can be.
  const std::chrono::duration<double> wait(std::min((1.0 - tokens) / rate, 86'400.0));
  return problem(429, "Too many requests")
      .retry_after(whole_seconds(std::chrono::duration_cast<duration>(wait)));
}

bool payment_gateway::state::outage_due_locked(duration now) {
  if (outage_over) return false;
  outage_over = (options.outage_at_request && count >= *options.outage_at_request) ||
                (options.outage_at && now >= *options.outage_at);
  return outage_over;
}

payment_gateway::payment_gateway(payment_options options)
    : state_(std::make_shared<state>(options)) {}

plan payment_gateway::operator()(const received_request& request) const {
  plan refusal;
  std::optional<plan> healthy = state::route(request, refusal);
  if (!healthy) return refusal;
  // Drawn even when a burst or the outage decides, so that their timing shifts no other fault.
  plan drawn = state_->faults.over(std::move(*healthy));
  const std::lock_guard lock(state_->mutex);
  ++state_->count;
  if (state_->outage_due_locked(request.at)) return plan().outage(state_->options.outage_for);
  if (std::optional<plan> busy = state_->limited_locked(request.at)) return std::move(*busy);
  return drawn;
}

void payment_gateway::restart() const {
  state_->faults.restart();
  const std::lock_guard lock(state_->mutex);
  state_->count = 0;
  state_->burst_until.reset();
  state_->tokens = state_->options.rate_burst;
  state_->refilled = duration::zero();
  state_->outage_over = false;
}

fault_server_options payment_gateway::server_options() const {
  fault_server_options options;
  options.handler = *this;
  options.on_reset = [gateway = *this] { gateway.restart(); };
  options.admin = true;
  return options;
}

}  // namespace hawser::inline v0::testing
