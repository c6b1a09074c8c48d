#include "hawser/http/client.hpp"

#include "hawser/core/forced_unwind.hpp"
#include "hawser/core/try_make.hpp"
#include "hawser/http/classify.hpp"
#include "hawser/http/url.hpp"
#include "hawser/observe/redactor.hpp"
#include "hawser/policy/classify.hpp"
#include "hawser/policy/keyed.hpp"
#include "hawser/policy/policy.hpp"
#include "hawser/run/detail/delivery.hpp"
#include "hawser/run/detail/value.hpp"

#include "core/process.hpp"
#include "http/judgement.hpp"
#include "http/literal_routes.hpp"
#include "http/retry_hint.hpp"
#include "http/single_fields.hpp"
#include "run/brief_clients.hpp"
#include "run/cancel_link.hpp"
#include "run/end_listener.hpp"
#include "run/resume.hpp"
#include "run/shared_parts.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/prefer.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <initializer_list>
#include <mutex>
#include <new>
#include <tuple>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

namespace hawser::inline v0::http {

namespace asio = boost::asio;

namespace {

url checked_base(std::string_view text) {
  result<url> base = url::parse(text);
  if (!base) throw call_error(base.error());
  const result<void> fit = base->check_base();
  if (!fit) throw call_error(fit.error());
  return *std::move(base);
}

std::string hex(std::uint64_t value) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text(16, '0');
  for (std::size_t i = 16; i-- > 0; value >>= 4) text[i] = digits[value & 15];
  return text;
}

/// For the story of a call, which it can do without.
template <class Tell>
void if_memory_allows(Tell tell) {
  try {
    tell();
  } catch (const std::bad_alloc&) {
  }
}

/// A report is of one call, also where that one is refused or begins nothing.
void forget_earlier_call(const call_options& options) noexcept {
  if (options.report != nullptr) options.report->clear();
}

/// `taken` are the names that the client writes already.
void check_name(const std::optional<std::string>& name, std::string_view field,
                std::initializer_list<std::string_view> taken) {
  if (!name) return;
  if (name->empty()) throw config_error(field, "", "must not be empty; std::nullopt turns it off");
  for (const std::string_view other : taken)
    if (same_name(*name, other))
      throw config_error(field, *name, "must differ from the client's other headers");
  const result<void> fit = check_request_field(*name, "");
  if (!fit)
    throw config_error(field, *name, "must be a header name the client does not write itself");
}

}  // namespace

/// What a client and its running calls share.
class client::state {
 public:
  state(environment on, std::string_view base_url, const pipeline_builder& stack,
        client_options given)
      : env(std::move(on)),
        base(checked_base(base_url)),
        options(std::move(given)),
        policies(stack.build(env)) {
    for (const headers::field f : options.default_headers)
      if (const result<void> fit = check_request_field(f.name, f.value); !fit)
        // What is no name may be a value, even a secret, in the wrong place.
        throw config_error("client.default_headers",
                           is_token(f.name) ? f.name : std::string_view("a field"),
                           fit.error().message());
    check_single(options.default_headers);
    take_user_agent();
    validate(options.bounds);
    validate(options.times);
    validate(options.pool);
    validate(options.tls);
    if (options.idempotency) validate(*options.idempotency);
    const std::string_view key = options.idempotency ? options.idempotency->header : ietf.header;
    check_name(options.correlation_header, "client.correlation_header", {key});
    check_name(options.attempt_header, "client.attempt_header",
               {key, options.correlation_header.value_or("")});
    for (const auto& level : policies.plan()->levels)
      if (auto* const keyed = dynamic_cast<keyed_policy*>(level.what.get()))
        by_route_.push_back(keyed);
    born = env.now();
    prefix = base.path();
    if (prefix.back() == '/') prefix.pop_back();  // a request's path begins with it
    carrier = options.transport ? options.transport
                                : make_beast_transport(env, base, options.pool, options.tls,
                                                       options.bounds, options.times);
  }

  /// The report of a call that never began.
  void tell_refusal(call_report& report, const call_options& about, const request& what,
                    const error_code& why) const {
    const redactor* const masks = policies.plan()->masks.get();
    const auto shown = [&](std::string_view text) {
      return masks == nullptr ? std::string(text) : masks->text(text);
    };
    report.clear();
    report.pipeline = policies.name();
    report.operation = shown(about.name.empty() ? what.name() : about.name);
    report.correlation = shown(about.correlation);
    report.error = why;
  }

  /// Whether a target without parameters is believed to be a route of its own: where policies are
  /// kept by route, as long as they all have room for it.
  [[nodiscard]] bool admits_literal(std::string_view name) {
    if (by_route_.empty()) return literals_.admits(name);
    return std::all_of(by_route_.begin(), by_route_.end(), [&](keyed_policy* each) {
      try {
        return each->admits(name);
      } catch (const std::bad_alloc&) {
        throw;
      } catch (...) {  // by its maker: the call will hear of it
        return true;
      }
    });
  }

  void enter(call& c);
  void leave(call& c) noexcept;
  void close() noexcept;
  /// Its client goes.
  void retire() noexcept;
  [[nodiscard]] bool closed() const noexcept { return closed_.load(std::memory_order_relaxed); }
  /// Whether this is a child of fork(), and the client was made before.
  [[nodiscard]] bool is_the_parents() const noexcept {
    return policies.plan()->made_in != hawser::detail::process_generation();
  }

  environment env;
  url base;
  client_options options;
  hawser::pipeline policies;
  std::string prefix;
  std::shared_ptr<http::transport> carrier;
  const idempotency_profile ietf = idempotency_profile::ietf();
  time_point born;

 private:
  void tell_of_short_lives(time_point now) const;
  static void check_single(const headers& fields) {
    for (const headers::field f : fields)
      if (is_single_field(f.name) && fields.all(f.name).size() > 1)
        throw config_error("client.default_headers", f.name, "must be there once only");
  }
  /// Among the default fields, so that calls need not look for it.
  void take_user_agent() {
    constexpr std::string_view name = "User-Agent";
    const std::string_view own = options.user_agent ? *options.user_agent : std::string_view();
    if (const result<void> fit = check_field(name, own); !fit)
      throw config_error("client.user_agent", "given", fit.error().message());
    const auto by_default = options.default_headers.find(name);
    if (by_default && by_default->empty())
      options.default_headers.remove(name);
    else if (!by_default && !own.empty())
      options.default_headers.add(name, own);
  }

  std::vector<keyed_policy*> by_route_;  // of the pipeline
  literal_routes literals_;              // where it has none

  std::mutex mutex_;
  call* first_ = nullptr;  // running calls
  bool called_ = false;    // at least once
  bool called_again_ = false;
  std::atomic<bool> closed_{false};  // set under the lock
};

/// One logical call: the operation the engine runs, and the exchange the transport carries.
class client::call final : public hawser::detail::async_operation, private exchange {
 public:
  using handler_type = std::variant<send_handler, send_to_handler>;

  /// Owns request and answer.
  call(std::shared_ptr<state> of, request&& what, const call_options& given, handler_type handler,
       way_out out)
      : state_(std::move(of)),
        own_request_(std::move(what)),
        request_(*own_request_),
        answer_(&own_answer_.emplace()),
        handler_(std::move(handler)),
        out_(std::move(out)),
        options_(given) {
    prepare();
  }
  /// Uses the caller's.
  call(std::shared_ptr<state> of, const request& what, response& into, const call_options& given,
       handler_type handler, way_out out)
      : state_(std::move(of)),
        request_(what),
        answer_(&into),
        handler_(std::move(handler)),
        out_(std::move(out)),
        options_(given) {
    prepare();
  }

  ~call() override {
    if (link_) link_->cut();
    if (listed_) state_->leave(*this);
  }

  /// Something was wrong with the request: nothing may be sent.
  [[nodiscard]] const std::optional<error>& problem() const noexcept { return problem_; }
  [[nodiscard]] const call_options& options() const noexcept { return options_; }

  /// Ends a call that never began, by its handler.
  void refuse() {
    error why = hawser::detail::with_story(*problem_, {}, masks());
    if (options_.report != nullptr)
      state_->tell_refusal(*options_.report, options_, request_, why.code());
    deliver(std::move(why), true);
  }

  void attach(hawser::detail::call_control* control) override {
    async_operation::attach(control);
    state_->enter(*this);
    const asio::cancellation_slot slot = slot_of_handler();
    if (!slot.is_connected()) return;
    link_ = std::make_shared<hawser::detail::cancel_link>(control);
    slot_ = slot;
    slot_.assign([link = link_](asio::cancellation_type type) { link->emit(type); });
  }

  bool start(const hawser::detail::attempt_start& about, outcome& o) override {
    try {
      return begin(about, o);
    } catch (const std::bad_alloc&) {  // nothing is under way, see transport::start
      keep_ = {};
      failure_ = hawser::detail::out_of_memory();
      o = hawser::classify(failure_.code());
      o.delivery = hawser::evidence::never_sent;
      return true;
    }
  }

  bool begin(const hawser::detail::attempt_start& about, outcome& o) {
    if (about.number == 1)
      first_attempt_ = about.now;
    else
      set_aside();
    answered_ = false;
    if (state_->closed()) {
      failure_ = canceled_error();
      o = hawser::classify(failure_.code());
      o.delivery = hawser::evidence::never_sent;
      return true;
    }
    if (expired_key(about)) {
      failure_ = error(errc::outcome_unknown,
                       "the idempotency key is older than the server remembers keys");
      o = hawser::classify(failure_.code());
      o.delivery = hawser::evidence::maybe_applied;
      return true;
    }
    if (state_->options.attempt_header)
      fields_.set(*state_->options.attempt_header, std::to_string(about.number));
    answer_->clear();
    failure_ = {};
    keep_ = hawser::detail::call_ref(control());
    state_->carrier->start(*this);
    return false;
  }

  void cancel(bool /*finally*/) noexcept override { state_->carrier->cancel(*this); }

  bool substitute(substitute_source& source, const outcome& failed) override {
    std::optional<response> given;
    if (!source.produce(typeid(response), &given, failed) || !given) return false;
    *answer_ = std::move(*given);
    answer_->set_json_limits(state_->options.bounds);
    answer_->set_masks(state_->policies.plan()->masks);
    answer_->set_story({});  // another call's, and the next
    answer_->set_judgement({});
    answer_->set_exchange(*options_.effect, failed.delivery);
    answered_ = true;
    return true;
  }

  void resume_later(hawser::detail::call_ref waiting) noexcept override {
    hawser::detail::resume_on(state_->env.executor(), resume_memory_, std::move(waiting));
  }

  void complete(hawser::detail::ending&& end, bool initiating) override {
    if_memory_allows([&] { tell_key(); });
    const bool own = end.from != origin::policy;
    if (own && end.refused_inside && refusal_.code()) {
      deliver(hawser::detail::with_story(refusal_, end.why.detail(), masks()), initiating);
    } else if (own && answered_) {
      // A fallback's answer keeps what is known of the request: see substitute().
      if (end.from == origin::operation)
        answer_->set_exchange(*options_.effect, end.ok ? hawser::evidence::answered : end.delivery);
      if (!end.ok) answer_->set_story(story_of_answer(end));
      deliver(error(), initiating);
    } else if (own) {
      deliver(hawser::detail::with_story(failure_, end.why.detail(), masks()), initiating);
    } else if (failure_.detail().empty() && end.why != errc::outcome_unknown) {
      deliver(end.why.about_answer_of(failure_), initiating);
    } else {
      std::string story;
      if_memory_allows([&] {
        story = end.why.detail();
        if (!failure_.detail().empty()) {
          if (!story.empty()) story += "; ";
          story += failure_.detail();
        }
        if (end.why == errc::outcome_unknown) story += key_note();
      });
      if (masks() != nullptr) story = masks()->text(story);
      deliver(error(end.why.code(), std::move(story)).about_answer_of(failure_), initiating);
    }
  }

  /// Of an answer after which nobody knows whether the work was done, the key is part.
  [[nodiscard]] error story_of_answer(const hawser::detail::ending& end) const {
    const bool twice_matters =
        *options_.effect == hawser::effect::unsafe || *options_.effect == hawser::effect::keyed;
    if (end.delivery != hawser::evidence::maybe_applied || !twice_matters) return end.why;
    error told = end.why;
    if_memory_allows([&] {
      if (const std::string note = key_note(); !note.empty())
        told = hawser::detail::with_story(told, std::string_view(note).substr(2), masks());
    });
    return told;
  }

  // The list of running calls, under the state's lock.
  call* next = nullptr;
  call* previous = nullptr;
  void cancel_from_client() noexcept { control()->cancel(); }

 private:
  void prepare() {
    problem_ = request_.problem();
    exchange::method = &request_.method();
    exchange::default_headers = &state_->options.default_headers;
    exchange::answer = answer_;
    answer_->set_json_limits(state_->options.bounds);
    answer_->set_masks(state_->policies.plan()->masks);
    if (options_.name.empty()) options_.name = request_.name();
    if (options_.key.empty() && is_route()) options_.key = request_.name();
    settle_effect();
    if (!problem_) put_target();
    if (!problem_) put_fields();
  }

  /// Whether the request's name tells a route: somebody chose it, or it is a template; targets
  /// without parameters may have ids in them, so only the first of them are believed to be one.
  [[nodiscard]] bool is_route() const {
    const std::string_view route = request_.route();
    return !request_.name().ends_with(route) || route.find('{') != std::string_view::npos ||
           state_->admits_literal(request_.name());
  }

  void put_target() {
    if (request_.route() != "*") target_ = state_->prefix;
    const result<void> fit = request_.target_to(target_);
    if (!fit) problem_ = fit.error();
    exchange::target = target_;
    exchange::body = request_.body();
    exchange::has_body = request_.has_body();
    exchange::own_headers = &request_.headers();
  }

  /// What goes out besides the request's own fields; the copy is made only when there is any.
  void put_fields() {
    const client_options& set = state_->options;
    const bool keyed = key_applies();
    correlate();
    if (!keyed && !set.attempt_header && !set.correlation_header) return;
    fields_ = request_.headers();
    if (set.correlation_header) put_correlation(*set.correlation_header);
    if (keyed && !problem_) put_key();
    exchange::own_headers = &fields_;
  }

  /// Ids often come from the caller's own caller, so they are looked at like any header.
  void put_correlation(std::string_view header) {
    if (const result<void> fit = check_request_field(header, correlation_); !fit)
      problem_ = fit.error();
    else
      fields_.set(header, correlation_);
  }

  /// The pipeline's own, if it has one.
  [[nodiscard]] const redactor* masks() const noexcept {
    return state_->policies.plan()->masks.get();
  }

  [[nodiscard]] const idempotency_profile& profile() const noexcept {
    return state_->options.idempotency ? *state_->options.idempotency : state_->ietf;
  }

  /// The stricter of what the request and the call's options say.
  void settle_effect() {
    const hawser::effect own = request_.effect();
    said_unsafe_ = request_.effect_override() == hawser::effect::unsafe ||
                   options_.effect == hawser::effect::unsafe;
    options_.effect = std::max(own, options_.effect.value_or(own));
    if (problem_ || options_.effect != hawser::effect::keyed || request_.idempotency_key() ||
        state_->options.idempotency || request_.headers().contains(profile().header))
      return;
    problem_ = error(errc::invalid_idempotency_key,
                     "the request counts as keyed, but nobody gave it a key: use "
                     "request::idempotency_key or client_options::idempotency; a request that is "
                     "safe to repeat for another reason is effect::idempotent");
  }

  [[nodiscard]] bool key_applies() const {
    if (request_.idempotency_key() || options_.effect == hawser::effect::keyed) return true;
    return state_->options.idempotency && options_.effect == hawser::effect::unsafe &&
           !said_unsafe_;
  }

  /// A key that the caller put into the header by hand is the caller's own, and goes out as it is.
  [[nodiscard]] bool took_own_header() {
    if (request_.idempotency_key() || profile().header.empty()) return false;
    const auto own = single_value(fields_, profile().header);
    if (!own) {
      if (!fields_.contains(profile().header)) return false;
      problem_ = error(errc::invalid_idempotency_key,
                       "the request has two keys in its header; leave one of them out");
      return true;
    }
    minted_ = *own;
    if (fields_.all(profile().header).size() > 1) fields_.set(profile().header, minted_);
    if (profile().style != idempotency_profile::quoting::raw) return true;
    if (const result<void> fit = check_idempotency_key(profile(), minted_); !fit)
      problem_ = fit.error();
    return true;
  }

  void put_key() {
    if (took_own_header()) {
      count_as_keyed();
      return;
    }
    if (!request_.idempotency_key())
      minted_ = idempotency_key_in(profile(), request_.body());  // the caller's own, perhaps
    if (!request_.idempotency_key() && minted_.empty())
      minted_ = mint_idempotency_key(state_->env.random());
    const std::string_view key =
        request_.idempotency_key() ? std::string_view(*request_.idempotency_key()) : minted_;
    if (profile().body_field) body_ = request_.body();
    if (const result<void> put = apply_idempotency_key(profile(), key, fields_, body_); !put) {
      problem_ = put.error();
      return;
    }
    if (profile().body_field) exchange::body = body_;
    count_as_keyed();
  }

  /// Unless somebody said that the server does nothing with keys.
  void count_as_keyed() noexcept {
    if (options_.effect == hawser::effect::unsafe && !said_unsafe_)
      options_.effect = hawser::effect::keyed;
  }

  void correlate() {
    const bool heard = options_.report != nullptr || !state_->policies.plan()->observers.empty() ||
                       state_->options.correlation_header;
    if (!options_.correlation.empty())
      correlation_ = options_.correlation;
    else if (heard)
      correlation_ = hex(state_->env.random().unique());
    options_.correlation = correlation_;
  }

  [[nodiscard]] bool expired_key(const hawser::detail::attempt_start& about) const {
    return about.number > 1 && options_.effect == hawser::effect::keyed && profile().retention &&
           about.now >= later(first_attempt_, *profile().retention);
  }

  void tell_key() const {
    if (options_.report == nullptr) return;
    if (request_.idempotency_key())
      options_.report->key_fingerprint = fingerprint(*request_.idempotency_key());
    else if (!minted_.empty())
      options_.report->key_fingerprint = fingerprint(minted_);
  }

  [[nodiscard]] std::string key_note() const {
    if (request_.idempotency_key())
      return "; idempotency key #" + fingerprint(*request_.idempotency_key());
    return minted_.empty() ? std::string() : "; idempotency key #" + fingerprint(minted_);
  }

  void on_done(error_code ec, hawser::evidence delivery, std::string detail) override {
    const hawser::detail::call_ref keep = std::move(keep_);
    outcome o;
    if (ec) {
      o = hawser::classify(ec);
      o.delivery = delivery;
      const bool hides = o.rejected && earlier_;
      if (hides)
        bring_back(error(ec, std::move(detail)));
      else
        failure_ = error(ec, std::move(detail));
      only_refused_ = o.rejected && !hides;
    } else {
      answered_ = true;
      only_refused_ = false;
      o = classify(*answer_, *options_.effect,
                   options_.effect == hawser::effect::keyed ? &profile() : nullptr, wall_clock());
      if (o.status == 408 && delivery != hawser::evidence::answered)
        o.delivery = hawser::evidence::refused;  // of a request that it did not have yet
      if (state_->options.classify) o = judged(o);
    }
    if (const auto& judges = state_->policies.plan()->judges; !judges.empty()) {
      if (ec)
        judge_seen(judges, typeid(error_code), &ec, o);
      else
        judge_seen(judges, typeid(response), answer_, o);
    }
    keep->attempt_done(o);
  }

  /// What the user's function makes of an answer.
  [[nodiscard]] outcome judged(const outcome& by_status) {
    answer_->set_exchange(*options_.effect, by_status.delivery);
    try {
      const outcome o = within_bounds(state_->options.classify(std::as_const(*answer_), by_status),
                                      by_status, *options_.effect);
      if (o.result != by_status.result || o.error != by_status.error)
        answer_->set_judgement(o.error);
      return o;
    } catch (...) {
      if (hawser::detail::unwinding_by_force()) throw;
      answered_ = false;
      failure_ = hawser::detail::describe(std::current_exception(), masks());
      if (failure_ != errc::operation_threw)
        if_memory_allows([&] { failure_ = error(errc::operation_threw, failure_.message()); });
      failure_ = failure_.about_answer(by_status.status);
      return unjudged(by_status, *options_.effect);
    }
  }

  void on_abandoned() noexcept override { keep_ = {}; }

  /// How the attempt before ended: what counts, should the pool refuse the next one.
  struct earlier_end {
    bool answered = false;
    response answer;
    error failure;
  };

  [[gnu::noinline]] void set_aside() {
    if (only_refused_) return;
    earlier_.reset(new (std::nothrow) earlier_end);
    if (earlier_ == nullptr) return;  // then the refusal is what the call ends with
    earlier_->answered = answered_;
    earlier_->failure = std::move(failure_);
    if (!answered_) return;
    earlier_->answer = std::move(*answer_);
    answer_->set_json_limits(state_->options.bounds);
    answer_->set_masks(state_->policies.plan()->masks);
  }

  /// Nothing was tried: the attempt before is the last one.
  [[gnu::noinline]] void bring_back(error refusal) {
    refusal_ = std::move(refusal);
    answered_ = earlier_->answered;
    if (answered_) *answer_ = std::move(earlier_->answer);
    failure_ = std::move(earlier_->failure);
    earlier_.reset();
  }

  /// Only for Retry-After dates in answers that carry no Date of their own.
  [[nodiscard]] std::optional<std::chrono::sys_seconds> wall_clock() const {
    if (answer_->status() < 400 || !answer_->headers().contains("retry-after")) return {};
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  }

  [[nodiscard]] asio::cancellation_slot slot_of_handler() const {
    return std::visit([](const auto& h) { return asio::get_associated_cancellation_slot(h); },
                      handler_);
  }

  void deliver(error why, bool initiating) {
    if (link_) link_->cut();
    if (std::exchange(listed_, false)) state_->leave(*this);
    if (why.code() == canceled_error() && state_->closed())
      why = hawser::detail::with_story(why, "the client is closed; further calls need another",
                                       masks());
    const bool failed = static_cast<bool>(why.code());
    if (failed) answer_->clear();  // of an attempt that is not the call's end
    if (auto* handler = std::get_if<send_handler>(&handler_))
      hand_over<result<response>>(
          *handler,
          failed ? result<response>(boost::system::in_place_error, std::move(why))
                 : result<response>(boost::system::in_place_value, std::move(*answer_)),
          initiating);
    else
      hand_over<result<void>>(std::get<send_to_handler>(handler_),
                              failed ? result<void>(std::move(why)) : result<void>(), initiating);
  }

  template <class Value, class Handler>
  void hand_over(Handler& handler, Value value, bool initiating) {
    using ready = hawser::detail::delivery<Handler, std::tuple<Value>>;
    hawser::detail::send_off(
        out_.executor,
        ready{std::move(handler), std::tuple<Value>(std::move(value)), slot_, out_.foreign},
        initiating);
  }

  friend class state;

  std::shared_ptr<state> state_;
  std::optional<request> own_request_;
  const request& request_;
  std::optional<response> own_answer_;
  response* answer_;
  handler_type handler_;
  way_out out_;
  call_options options_;
  std::string target_;
  std::string body_;
  std::string minted_;
  bool said_unsafe_ = false;  // rather than merely being a POST
  std::string correlation_;
  headers fields_;
  error failure_;
  std::unique_ptr<earlier_end> earlier_;
  error refusal_;              // by the pool, after an end that counts
  bool only_refused_ = false;  // all that happened so far
  std::optional<error> problem_;
  time_point first_attempt_{};
  hawser::detail::call_ref keep_;
  std::shared_ptr<hawser::detail::cancel_link> link_;
  asio::cancellation_slot slot_;
  hawser::detail::operation_memory resume_memory_;
  bool answered_ = false;
  bool listed_ = false;
};

void client::state::enter(call& c) {
  const std::lock_guard lock(mutex_);
  c.next = first_;
  if (first_ != nullptr) first_->previous = &c;
  first_ = &c;
  c.listed_ = true;
  if (!called_again_) called_again_ = std::exchange(called_, true);
  if (closed_) c.cancel_from_client();
}

void client::state::leave(call& c) noexcept {
  const std::lock_guard lock(mutex_);
  if (c.next != nullptr) c.next->previous = c.previous;
  (c.previous != nullptr ? c.previous->next : first_) = c.next;
}

void client::state::close() noexcept {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (call* c = first_; c != nullptr; c = c->next) c->cancel_from_client();
}

void client::state::retire() noexcept {
  const time_point now = env.now();
  if (now >= later(born, hawser::detail::brief_clients::span)) return;
  {
    const std::lock_guard lock(mutex_);
    if (called_again_) return;
  }
  try {
    const std::uint64_t origin = std::hash<std::string>{}(base.origin());
    if (env.source().shared_parts().of<hawser::detail::brief_clients>().gone(origin, now))
      tell_of_short_lives(now);
  } catch (const std::bad_alloc&) {  // it can do without
  }
}

void client::state::tell_of_short_lives(time_point now) const {
  using counted = hawser::detail::brief_clients;
  const std::string origin = base.origin();
  event e;
  e.kind = event_kind::short_lived_clients;
  e.at = now;
  e.pipeline = policies.name();
  e.operation = origin;
  e.why = {"", reason::client_per_call, counted::too_many,
           std::chrono::duration<double>(counted::span).count(), never};
  for (const auto& listener : policies.plan()->observers) {
    try {
      listener->on_event(e);
    } catch (...) {  // an observer's trouble is not the client's
      if (hawser::detail::unwinding_by_force()) throw;
    }
  }
}

client::client(environment env, std::string_view base_url, const pipeline_builder& policies,
               client_options options)
    : state_(std::make_shared<state>(std::move(env), base_url, policies, std::move(options))) {}

client::client(environment env, std::string_view base_url)
    : client(std::move(env), base_url, standard_pipeline("http")) {}

result<client> client::try_make(environment env, std::string_view base_url,
                                const pipeline_builder& policies, client_options options) {
  return hawser::try_make(
      [&] { return client(std::move(env), base_url, policies, std::move(options)); });
}

result<client> client::try_make(environment env, std::string_view base_url) {
  return hawser::try_make([&] { return client(std::move(env), base_url); });
}

client::client(client&& other) noexcept = default;

client& client::operator=(client&& other) noexcept {
  if (this != &other) {
    let_go();
    state_ = std::move(other.state_);
  }
  return *this;
}

client::~client() { let_go(); }

/// In a child of fork() locks of the parent's client may be locked for ever, and its connections
/// are the parent's.
void client::let_go() noexcept {
  if (!state_) return;
  if (state_->is_the_parents()) return hawser::detail::keep_for_ever(std::move(state_));
  state_->close();
  state_->retire();
}

void client::close() noexcept {
  if (state_ && !state_->is_the_parents()) state_->close();
}

const environment& client::env() const& noexcept { return state_->env; }

const hawser::pipeline& client::policies() const& noexcept { return state_->policies; }

environment client::env() && { return state_->env; }

hawser::pipeline client::policies() && { return state_->policies; }

transport_stats client::stats() const noexcept {
  return state_->is_the_parents() ? transport_stats{} : state_->carrier->stats();
}

namespace {

/// Ends a call that never began, by its handler.
template <class T, class Handler, class Out>
void refuse_in_child(error why, Handler handler, Out out) {
  const asio::cancellation_slot slot = asio::get_associated_cancellation_slot(handler);
  hawser::detail::send_off(
      out.executor,
      hawser::detail::delivery<Handler, std::tuple<result<T>>>{
          std::move(handler), std::tuple<result<T>>(std::move(why)), slot, out.foreign},
      true);
}

}  // namespace

void client::start(request&& what, const call_options& options, send_handler handler,
                   way_out out) const {
  forget_earlier_call(options);
  if (state_->is_the_parents())
    return refuse_in_child<response>(refuse(errc::forked, what, options), std::move(handler),
                                     std::move(out));
  auto made = std::make_unique<call>(state_, std::move(what), options,
                                     call::handler_type(std::move(handler)), std::move(out));
  if (made->problem()) return made->refuse();
  const call_options final_options = made->options();
  hawser::detail::start_async(state_->policies.plan(), std::move(made), final_options);
}

void client::start_to(const request& what, response& answer, const call_options& options,
                      send_to_handler handler, way_out out) const {
  forget_earlier_call(options);
  answer.clear();
  if (state_->is_the_parents())
    return refuse_in_child<void>(refuse(errc::forked, what, options), std::move(handler),
                                 std::move(out));
  auto made = std::make_unique<call>(state_, what, answer, options,
                                     call::handler_type(std::move(handler)), std::move(out));
  if (made->problem()) return made->refuse();
  const call_options final_options = made->options();
  hawser::detail::start_async(state_->policies.plan(), std::move(made), final_options);
}

client::way_out client::way_through(asio::any_io_executor theirs) const {
  if (theirs == env().executor()) return {std::move(theirs)};
  // Another context's run function must not return while its handler is outstanding.
  return {asio::prefer(theirs, asio::execution::outstanding_work.tracked)};
}

namespace {

/// Where a blocking call waits for its asynchronous self.
template <class T>
class waiting_room final : public hawser::detail::end_listener {
 public:
  void put(result<T>&& r) {
    const std::lock_guard lock(mutex_);
    if (value_) return;  // the process ends; the call had been given up
    value_.emplace(std::move(r));
    arrived_.notify_one();
  }
  void over() noexcept override {
    put(error(errc::client_closed, "the process ends, and the environment's thread has stopped"));
  }
  /// `lent`: the call works on what is the caller's, so that a caller whose thread is cancelled as
  /// it waits may not go before the call has ended.
  result<T> wait(time_source& source, bool lent) {
    while (!arrived() && source.run_one()) {
    }
    const struct listening {
      listening(time_source& to, waiting_room& who, bool stays)
          : source(to), room(who), lent(stays) {
        source.hear_of_end(room);
      }
      ~listening() {
        if (lent) room.wait_for_arrival();
        source.forget(room);
      }
      time_source& source;
      waiting_room& room;
      bool lent;
    } here(source, *this, lent);
    wait_for_arrival();
    return std::move(*value_);
  }

 private:
  void wait_for_arrival() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return value_.has_value(); });
  }
  [[nodiscard]] bool arrived() {
    const std::lock_guard lock(mutex_);
    return value_.has_value();
  }

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::optional<result<T>> value_;
};

/// A blocking call's handler. Destroyed without having run means that the executor's context went.
template <class T>
class arrival {
 public:
  explicit arrival(std::shared_ptr<waiting_room<T>> room) noexcept : room_(std::move(room)) {}
  arrival(arrival&&) noexcept = default;
  arrival(const arrival&) = delete;
  arrival& operator=(const arrival&) = delete;
  arrival& operator=(arrival&&) = delete;
  ~arrival() {
    if (room_) room_->put(gone());
  }
  void operator()(result<T> r) { std::exchange(room_, nullptr)->put(std::move(r)); }

 private:
  static error gone() noexcept try {
    return {errc::client_closed, "the context of its environment was destroyed"};
  } catch (const std::bad_alloc&) {  // as when the call could not be begun for want of it
    return errc::client_closed;
  }

  std::shared_ptr<waiting_room<T>> room_;
};

}  // namespace

/// The report of a call that never began, and its error.
error client::refuse(errc why, const request& what, const call_options& options) const {
  if (options.report != nullptr) state_->tell_refusal(*options.report, options, what, why);
  return why;
}

std::optional<error> client::refusal_to_block(const request& what,
                                              const call_options& options) const {
  const errc why = state_->is_the_parents() ? errc::forked : errc::would_deadlock;
  if (why == errc::would_deadlock && !env().runs_here()) return {};
  forget_earlier_call(options);
  return refuse(why, what, options);
}

result<response> client::send(request what, const call_options& options) const {
  if (auto refused = refusal_to_block(what, options)) return *std::move(refused);
  auto room = std::make_shared<waiting_room<response>>();
  start(std::move(what), options, send_handler(arrival<response>(room)), way_out{env().executor()});
  return room->wait(env().source(), false);
}

result<void> client::send(const request& what, response& answer,
                          const call_options& options) const {
  answer.clear();
  if (auto refused = refusal_to_block(what, options)) return *std::move(refused);
  auto room = std::make_shared<waiting_room<void>>();
  start_to(what, answer, options, send_to_handler(arrival<void>(room)), way_out{env().executor()});
  return room->wait(env().source(), true);
}

prepared client::get(std::string_view target, const route_values& params) const {
  return {*this, request::get(target, params)};
}
prepared client::head(std::string_view target, const route_values& params) const {
  return {*this, request::head(target, params)};
}
prepared client::delete_(std::string_view target, const route_values& params) const {
  return {*this, request::delete_(target, params)};
}
prepared client::post(std::string_view target, const route_values& params) const {
  return {*this, request::post(target, params)};
}
prepared client::put(std::string_view target, const route_values& params) const {
  return {*this, request::put(target, params)};
}
prepared client::patch(std::string_view target, const route_values& params) const {
  return {*this, request::patch(target, params)};
}
prepared client::options(std::string_view target, const route_values& params) const {
  return {*this, request::options(target, params)};
}

result<response> prepared::send(const call_options& options) && {
  return client_->send(std::move(request_), options);
}

result<response> prepared::send(const call_options& options) const& {
  return client_->send(request_, options);
}

std::optional<error> prepared::send_for_success(response& answer, const call_options& options) {
  result<response> sent = client_->send(std::move(request_), options);
  if (!sent) return sent.error();
  result<response> good = (*std::move(sent)).ensure_success();
  if (!good) return good.error();
  answer = *std::move(good);
  return std::nullopt;
}

}  // namespace hawser::inline v0::http
