#include "hawser/testing/fake_transport.hpp"

#include "hawser/http/headers.hpp"
#include "hawser/http/limits.hpp"
#include "hawser/http/method.hpp"
#include "hawser/http/response.hpp"
#include "hawser/run/detail/operation_memory.hpp"
#include "hawser/run/detail/value.hpp"

#include "http/wire/response_reader.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>
#include <new>

namespace hawser::inline v0::testing {

// --- values ------------------------------------------------------------------------------------

std::optional<std::string_view> sent_request::header(std::string_view name) const& noexcept {
  for (const auto& [key, value] : headers)
    if (http::same_name(key, name)) return std::string_view(value);
  return std::nullopt;
}

scripted_exchange scripted_exchange::answer(int status, std::string body, std::string_view type) {
  scripted_exchange s;
  s.status_ = status;
  if (!body.empty()) s.headers_.emplace_back("Content-Type", type);
  s.body_ = std::move(body);
  return s;
}

scripted_exchange scripted_exchange::fail(error_code why, evidence delivery, std::string detail) {
  scripted_exchange s;
  s.what_ = kind::fail;
  s.error_ = why;
  s.delivery_ = delivery;
  s.detail_ = std::move(detail);
  return s;
}

scripted_exchange scripted_exchange::bytes(std::string raw) {
  scripted_exchange s;
  s.what_ = kind::bytes;
  s.body_ = std::move(raw);
  return s;
}

scripted_exchange scripted_exchange::hang() {
  scripted_exchange s;
  s.what_ = kind::hang;
  return s;
}

scripted_exchange&& scripted_exchange::header(std::string name, std::string value) && {
  headers_.emplace_back(std::move(name), std::move(value));
  return std::move(*this);
}

scripted_exchange&& scripted_exchange::cut_at(std::size_t byte) && {
  stops_at_ = byte;
  return std::move(*this);
}

scripted_exchange&& scripted_exchange::reset_at(std::size_t byte) && {
  stops_at_ = byte;
  resets_ = true;
  return std::move(*this);
}

std::string scripted_exchange::wire() const {
  std::string text = body_;
  if (what_ == kind::answer) {
    text = "HTTP/1.1 " + std::to_string(status_) + " " + std::string(http::reason_phrase(status_)) +
           "\r\n";
    for (const auto& [name, value] : headers_)
      text.append(name).append(": ").append(value).append("\r\n");
    text += "Content-Length: " + std::to_string(body_.size()) + "\r\n\r\n" + body_;
  }
  return stops_at_ ? text.substr(0, *stops_at_) : text;
}

scripted_exchange&& scripted_exchange::after(duration delay) && {
  delay_ = delay;
  return std::move(*this);
}

scripted_exchange&& scripted_exchange::delivered(evidence if_canceled) && {
  if_canceled_ = if_canceled;
  return std::move(*this);
}

// --- running exchanges -------------------------------------------------------------------------

class fake_transport::core : public std::enable_shared_from_this<core> {
 public:
  explicit core(environment e) : executor(e.executor()), env(std::move(e)) {}

  void end(flight& f);

  const boost::asio::any_io_executor executor;
  mutable std::mutex mutex;
  std::optional<environment> env;  // empty once closed
  std::deque<scripted_exchange> steps;
  handler otherwise;
  std::vector<sent_request> seen;
  std::vector<flight*> flying;
  std::size_t most_running = 0;
  std::size_t canceled = 0;
};

/// One exchange under way. Referenced by the transport while it runs, and by the timer queue.
class fake_transport::flight final : public timer_node {
 public:
  flight(std::shared_ptr<core> home, http::exchange& ex, scripted_exchange s)
      : home_(std::move(home)), who(&ex), step(std::move(s)) {}

  void expired() noexcept override { home_->end(*this); }
  void add_ref() noexcept override { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept override {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  /// Its end, under no lock; the last thing done, as a user's handler may throw.
  void deliver() {
    final_word end = result();
    who->on_done(end.why, end.delivery, std::move(end.detail));
  }

 private:
  struct final_word {
    error_code why;
    evidence delivery = evidence::answered;
    std::string detail{};
  };

  final_word result() noexcept {
    using kind = scripted_exchange::kind;
    try {
      if (step.what_ == kind::bytes || (step.what_ == kind::answer && step.stops_at_))
        return of_bytes();
      if (step.what_ == kind::answer) return of_answer();
      return {step.error_, step.delivery_, std::move(step.detail_)};
    } catch (const std::bad_alloc&) {
      return {detail::out_of_memory(), evidence::maybe_applied, {}};
    }
  }

  final_word of_answer() {
    http::response& to = *who->answer;
    to.clear();
    to.set_status(step.status_, http::reason_phrase(step.status_));
    for (const auto& [name, value] : step.headers_) to.mutable_headers().add(name, value);
    to.mutable_body() = step.body_;
    return {};
  }

  /// As the real transport would see them.
  final_word of_bytes() {
    http::response_reader reader{http::limits{}};
    reader.begin(*who->answer, who->method->which() == http::method::head);
    const std::string wire = step.wire();
    auto seen = reader.feed(wire);
    if (!seen.done && !seen.error && step.resets_)
      seen.error = boost::system::errc::make_error_code(boost::system::errc::connection_reset);
    else if (!seen.done && !seen.error)
      seen = reader.end_of_stream(true);
    if (seen.done) return {};
    std::string detail = reader.detail();
    if (!detail.empty()) detail += "; ";
    return {seen.error, step.if_canceled_,
            detail + "the connection ended after " + std::to_string(wire.size()) +
                " bytes of an answer"};
  }

  const std::shared_ptr<core> home_;
  std::atomic<int> references_{0};

 public:
  http::exchange* const who;
  scripted_exchange step;
  detail::operation_memory memory;
  bool ending = false;  // under the transport's lock: its end is on the way
};

namespace {

template <class Flight>
class posted_end {
 public:
  using allocator_type = detail::operation_allocator<void>;

  explicit posted_end(Flight& f) : flight_(&f) { f.add_ref(); }
  [[nodiscard]] allocator_type get_allocator() const noexcept {
    return allocator_type(flight_->memory);
  }
  posted_end(posted_end&& other) noexcept : flight_(std::exchange(other.flight_, nullptr)) {}
  posted_end(const posted_end&) = delete;
  posted_end& operator=(const posted_end&) = delete;
  posted_end& operator=(posted_end&&) = delete;
  ~posted_end() {
    if (flight_ == nullptr) return;
    flight_->who->on_abandoned();
    flight_->release();
  }
  void operator()() {
    struct released {
      ~released() { flight->release(); }
      Flight* flight;
    };
    const released guard{std::exchange(flight_, nullptr)};
    guard.flight->deliver();
  }

 private:
  Flight* flight_;
};

/// In memory of the flight's own, on the executor of an io_context: its end must come.
template <class Flight>
void post_end(const boost::asio::any_io_executor& executor, Flight& f) {
  if (const auto* io = executor.target<boost::asio::io_context::executor_type>())
    boost::asio::post(*io, posted_end<Flight>(f));
  else
    boost::asio::post(executor, posted_end<Flight>(f));
}

}  // namespace

/// A delay is over.
void fake_transport::core::end(flight& f) {
  {
    const std::lock_guard lock(mutex);
    if (std::exchange(f.ending, true)) return;
    std::erase(flying, &f);
  }
  post_end(executor, f);
  f.release();
}

// --- the transport -----------------------------------------------------------------------------

fake_transport::fake_transport(environment env) : core_(std::make_shared<core>(std::move(env))) {}

fake_transport::~fake_transport() { close(); }

void fake_transport::script(std::vector<scripted_exchange> steps) {
  const std::lock_guard lock(core_->mutex);
  for (scripted_exchange& s : steps) core_->steps.push_back(std::move(s));
}

void fake_transport::handle(handler with) {
  const std::lock_guard lock(core_->mutex);
  core_->otherwise = std::move(with);
}

std::size_t fake_transport::script_left() const {
  const std::lock_guard lock(core_->mutex);
  return core_->steps.size();
}

std::vector<sent_request> fake_transport::requests() const {
  const std::lock_guard lock(core_->mutex);
  return core_->seen;
}

std::size_t fake_transport::running() const {
  const std::lock_guard lock(core_->mutex);
  return core_->flying.size();
}

std::size_t fake_transport::most_running() const {
  const std::lock_guard lock(core_->mutex);
  return core_->most_running;
}

std::size_t fake_transport::canceled() const {
  const std::lock_guard lock(core_->mutex);
  return core_->canceled;
}

void fake_transport::start(http::exchange& what) {
  sent_request r;
  r.method = what.method->text();
  r.target = what.target;
  if (what.own_headers != nullptr)
    for (const auto& field : *what.own_headers)  // an empty User-Agent is not sent on the wire
      if (!field.value.empty() || !http::same_name(field.name, "User-Agent"))
        r.headers.emplace_back(field.name, field.value);
  if (what.default_headers != nullptr)
    for (const auto& field : *what.default_headers)
      if (what.own_headers == nullptr || !what.own_headers->contains(field.name))
        r.headers.emplace_back(field.name, field.value);
  r.body = what.body;
  r.has_body = what.has_body;

  std::optional<scripted_exchange> step;
  handler otherwise;
  {
    const std::lock_guard lock(core_->mutex);
    if (core_->env) r.at = core_->env->now();
    core_->seen.push_back(r);
    if (!core_->env) {
      step = scripted_exchange::fail(errc::client_closed, evidence::never_sent);
    } else if (!core_->steps.empty()) {
      step = std::move(core_->steps.front());
      core_->steps.pop_front();
    } else {
      otherwise = core_->otherwise;
    }
  }
  if (!step) step = otherwise ? otherwise(r) : scripted_exchange::answer(200);

  {
    const std::lock_guard lock(core_->mutex);
    core_->flying.reserve(core_->flying.size() + 1);
  }
  auto* const f = new flight(core_, what, std::move(*step));
  f->add_ref();
  std::unique_lock lock(core_->mutex);
  if (core_->env && f->step.what_ != scripted_exchange::kind::hang && f->step.delay_ > duration{}) {
    core_->flying.push_back(f);
    core_->env->arm(*f, later(core_->env->now(), f->step.delay_));
  } else if (core_->env && f->step.what_ == scripted_exchange::kind::hang) {
    core_->flying.push_back(f);
  } else {
    f->ending = true;
    core_->most_running = std::max(core_->most_running, core_->flying.size() + 1);
    lock.unlock();
    post_end(core_->executor, *f);
    f->release();
    return;
  }
  core_->most_running = std::max(core_->most_running, core_->flying.size());
}

void fake_transport::cancel(http::exchange& what) noexcept {
  flight* f = nullptr;
  {
    const std::lock_guard lock(core_->mutex);
    const auto at = std::find_if(core_->flying.begin(), core_->flying.end(),
                                 [&](const flight* one) { return one->who == &what; });
    if (at == core_->flying.end()) return;
    f = *at;
    core_->flying.erase(at);
    f->ending = true;
    ++core_->canceled;
    if (core_->env) core_->env->remove(*f);
    f->step = scripted_exchange::fail(canceled_error(), f->step.if_canceled_);
  }
  post_end(core_->executor, *f);
  f->release();
}

void fake_transport::close() noexcept {
  std::vector<flight*> all;
  std::optional<environment> env;
  {
    const std::lock_guard lock(core_->mutex);
    all.swap(core_->flying);
    env.swap(core_->env);
    for (flight* f : all) {
      f->ending = true;
      if (env) env->remove(*f);
      f->step = scripted_exchange::fail(errc::client_closed, f->step.if_canceled_);
    }
  }
  for (flight* f : all) {
    post_end(core_->executor, *f);
    f->release();
  }
}

}  // namespace hawser::inline v0::testing
