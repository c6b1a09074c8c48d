// A REST client for one origin: requests under policies, over its own pool of connections.
//
//   hawser::http::client api{env, "https://billing.example"};
//   auto r = api.send(hawser::http::request::post("/v1/charges").json(body).idempotency_key(id));
//   auto user = api.get("/users/{id}", {{"id", "42"}}).as<user_t>();      // typed, one line
//   auto later = co_await api.get("/users/{id}", {{"id", "42"}}).async_send();  // any token
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/core/result.hpp"
#include "hawser/http/headers.hpp"
#include "hawser/http/idempotency.hpp"
#include "hawser/http/limits.hpp"
#include "hawser/http/request.hpp"
#include "hawser/http/response.hpp"
#include "hawser/http/standard_pipeline.hpp"
#include "hawser/http/transport.hpp"
#include "hawser/http/transport_options.hpp"
#include "hawser/policy/policy.hpp"
#include "hawser/run/pipeline.hpp"
#include "hawser/version.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace hawser::inline v0::http {

/// Set-up of a client. An aggregate: name it outside of `co_await` expressions.
struct client_options {
  /// Sent with every request; a request's own field of the same name wins. Checked as
  /// `check_request_field` has it; what `request::header` replaces, once only.
  headers default_headers{};
  /// Sent as User-Agent unless `default_headers` or the request has that field; std::nullopt sends
  /// none. An empty one, wherever it stands, is not sent either.
  std::optional<std::string> user_agent{"hawser/" HAWSER_VERSION_STRING};
  pool_options pool{};  ///< How many connections, and for how long.
  tls_options tls{};    ///< Whom to trust, and who we are; not looked at for http URLs.
  limits bounds{};      ///< Limits on the size of answers.
  time_limits times{};  ///< Limits on the time of each phase of an exchange.
  /// Set it when the API honours idempotency keys: then every request that would be unsafe (a POST
  /// or PATCH for which nobody said otherwise) or is said to be `keyed` gets one, minted once per
  /// call and sent with each attempt, unless the request brings its own, be it by `header` or at
  /// the profile's place in the body. Without it only requests that bring a key are sent with one,
  /// the IETF draft's way.
  std::optional<idempotency_profile> idempotency{};
  /// Names the header that carries the call's correlation id, the same on each attempt; off.
  /// Neither one that the client writes itself nor that of the idempotency key.
  std::optional<std::string> correlation_header{};
  /// Names the header that carries the attempt's number, from 1; off. Likewise, and not the one
  /// above.
  std::optional<std::string> attempt_header{};
  /// Judges complete answers in place of their status alone: gets the answer and the outcome that
  /// `http::classify` makes of it, gives the outcome that policies are to see. So a 403 whose body
  /// says "throttled" becomes `throttled`, perhaps with a `server_wait`; a 200 that holds an error
  /// becomes a failure. Off: the status decides.
  ///
  /// The last word on a second sending stays with `may_resend`: an answer that is to be tried again
  /// though the request is unsafe must be `refused`. Its to change are `result`, `error`,
  /// `delivery` (`answered` is no proof where the status gives none, `never_sent` counts as
  /// `refused`), `transient`, `countable`, `throttled` and `server_wait` (below zero: none). Where
  /// it changes `result` or `error`, or calls an answer throttled, `ensure_success()` and `as<T>()`
  /// follow it. Of what is no success `throttled` alone is enough: it is a failure then, transient,
  /// of no matter for health, and refused unless `delivery` says other than the status did. Its
  /// error is `errc::too_many_requests` unless it names another. `answer.effect()` says what the
  /// request was.
  ///
  /// Called once per complete answer, on a thread of the environment's executor, by several calls
  /// at once. Do not block in it. What it throws ends the attempt with `errc::operation_threw`,
  /// which is not tried again and counts for no health; the answer's delivery stands, so a 5xx to
  /// an unsafe request is then `errc::outcome_unknown`.
  std::function<outcome(const response& answer, const outcome& by_status)> classify{};
  /// Carries the exchanges in place of our own transport: another protocol, or a test's fake.
  std::shared_ptr<http::transport> transport{};
};

class prepared;

/// Keep one per origin, for as long as the origin is called: its connections, breaker, limiter and
/// budget are what makes the next call cheap and safe. Who makes one per call is told by
/// `event_kind::short_lived_clients`.
/// Thread-safe. Destroying it ends running calls with `operation_aborted`; their handlers still
/// run.
class HAWSER_API client {
 public:
  /// Throws `config_error` for options out of their bounds, `call_error` for a base URL that cannot
  /// be used (`errc::invalid_url`) or TLS credentials (`errc::tls_bad_credentials`). The base URL's
  /// path is put before each request's as it is, but for a '/' at its end: that one and the one
  /// which begins the request's path are the same. Neither a query, be it empty, nor a fragment.
  client(environment env, std::string_view base_url, const pipeline_builder& policies,
         client_options options = {});
  /// The same with `standard_pipeline("http")`.
  client(environment env, std::string_view base_url);
  /// The same without throwing: the error is that of the exception, its detail naming the field.
  /// A builder's `add` and `standard_pipeline` throw where they stand; `hawser::try_make` around
  /// all of it has that as an error too.
  [[nodiscard]] static result<client> try_make(environment env, std::string_view base_url,
                                               const pipeline_builder& policies,
                                               client_options options = {});
  /// The same with `standard_pipeline("http")`.
  [[nodiscard]] static result<client> try_make(environment env, std::string_view base_url);
  client(client&& other) noexcept;  ///< A moved-from client may only be destroyed or assigned to.
  /// Ends the calls of the client that stood here.
  client& operator=(client&& other) noexcept;
  ~client();

  /// Sends and waits. Any complete answer is a value, whatever its status; see
  /// `response::ensure_success`. On a thread that runs the environment's io_context:
  /// `errc::would_deadlock`. Behind a strand, or on a thread pool, that cannot be told: never call
  /// it there from the only thread.
  [[nodiscard]] result<response> send(request what, const call_options& options = {}) const;

  /// The same into `answer`, whose memory is reused, and which is empty after an error. Both must
  /// live until it returns. To a pipeline around, a value says that an answer came and not which:
  /// return `answer.as<void>()` or another judgement of yours there.
  [[nodiscard]] result<void> send(const request& what, response& answer,
                                  const call_options& options = {}) const;

  /// Signature: `void(hawser::result<response>)`. Executor: the handler's associated one, else the
  /// environment's; never inline. Cancellation: all types end the call with `operation_aborted`.
  /// Throws std::bad_alloc when there is no memory to begin with; then no handler is called. What
  /// the handler throws comes out of its executor's run function; the call had ended before.
  template <class CompletionToken = boost::asio::deferred_t>
  requires(!std::same_as<std::remove_cvref_t<CompletionToken>, call_options>) auto async_send(
      request what, CompletionToken&& token = CompletionToken()) const {
    return boost::asio::async_initiate<CompletionToken, void(result<response>)>(
        initiate_send{this}, token, std::move(what));
  }
  /// The same with options of the call; the report and the texts in them must live until
  /// completion.
  template <class CompletionToken = boost::asio::deferred_t>
  auto async_send(request what, const call_options& options,
                  CompletionToken&& token = CompletionToken()) const {
    return boost::asio::async_initiate<CompletionToken, void(result<response>)>(
        initiate_send{this}, token, std::move(what), options);
  }
  /// Signature: `void(hawser::result<void>)`. The answer goes into `answer`, whose memory is
  /// reused, and which is empty after an error; `what` and `answer` must live until completion. A
  /// pipeline around sees as much as with the blocking form.
  template <class CompletionToken = boost::asio::deferred_t>
  auto async_send_to(const request& what, response& answer,
                     CompletionToken&& token = CompletionToken()) const {
    return boost::asio::async_initiate<CompletionToken, void(result<void>)>(initiate_send_to{this},
                                                                            token, &what, &answer);
  }

  // One-line forms: `api.get("/users/{id}", {{"id", "42"}}).as<user_t>()`.
  /// A GET of `target` with its parameters put in.
  [[nodiscard]] prepared get(std::string_view target, const route_values& params = {}) const;
  /// A HEAD, likewise.
  [[nodiscard]] prepared head(std::string_view target, const route_values& params = {}) const;
  /// A DELETE, likewise.
  [[nodiscard]] prepared delete_(std::string_view target, const route_values& params = {}) const;
  /// A POST, likewise.
  [[nodiscard]] prepared post(std::string_view target, const route_values& params = {}) const;
  /// A PUT, likewise.
  [[nodiscard]] prepared put(std::string_view target, const route_values& params = {}) const;
  /// A PATCH, likewise.
  [[nodiscard]] prepared patch(std::string_view target, const route_values& params = {}) const;
  /// An OPTIONS, likewise.
  [[nodiscard]] prepared options(std::string_view target, const route_values& params = {}) const;

  /// Ends running calls and those started later with `operation_aborted`. Idempotent.
  void close() noexcept;

  /// The environment given.
  [[nodiscard]] const environment& env() const& noexcept;
  /// The same of a temporary.
  [[nodiscard]] environment env() &&;
  /// The pipeline that calls go through.
  [[nodiscard]] const hawser::pipeline& policies() const& noexcept;
  /// The same of a temporary.
  [[nodiscard]] hawser::pipeline policies() &&;
  /// What its transport holds at this moment.
  [[nodiscard]] transport_stats stats() const noexcept;

 private:
  class state;
  class call;
  using send_handler = boost::asio::any_completion_handler<void(result<response>)>;
  using send_to_handler = boost::asio::any_completion_handler<void(result<void>)>;

  /// Where a handler runs. `foreign`: its own executor is not one that can be kept here, and the
  /// environment's leads there.
  struct way_out {
    boost::asio::any_io_executor executor;
    bool foreign = false;
  };
  void start(request&& what, const call_options& options, send_handler handler, way_out out) const;
  void start_to(const request& what, response& answer, const call_options& options,
                send_to_handler handler, way_out out) const;

  void let_go() noexcept;
  [[nodiscard]] std::optional<error> refusal_to_block(const request& what,
                                                      const call_options& options) const;
  [[nodiscard]] error refuse(errc why, const request& what, const call_options& options) const;

  /// Through the handler's own executor, whose context is kept running until then.
  [[nodiscard]] way_out way_through(boost::asio::any_io_executor theirs) const;

  template <class Handler>
  [[nodiscard]] way_out way_to(const Handler& handler) const {
    const auto associated = boost::asio::get_associated_executor(handler, env().executor());
    if constexpr (std::is_convertible_v<decltype(associated), boost::asio::any_io_executor>)
      return way_through(associated);
    else
      return {env().executor(), true};
  }

  struct initiate_send {
    const client* self;
    using executor_type = boost::asio::any_io_executor;
    [[nodiscard]] executor_type get_executor() const noexcept { return self->env().executor(); }
    template <class Handler>
    void operator()(Handler&& handler, request what, const call_options& options = {}) const {
      auto out = self->way_to(handler);
      self->start(std::move(what), options, send_handler(std::forward<Handler>(handler)),
                  std::move(out));
    }
  };
  struct initiate_send_to {
    const client* self;
    using executor_type = boost::asio::any_io_executor;
    [[nodiscard]] executor_type get_executor() const noexcept { return self->env().executor(); }
    template <class Handler>
    void operator()(Handler&& handler, const request* what, response* answer) const {
      auto out = self->way_to(handler);
      self->start_to(*what, *answer, {}, send_to_handler(std::forward<Handler>(handler)),
                     std::move(out));
    }
  };

  std::shared_ptr<state> state_;
};

/// A request on its way into a client. Setters as those of `request`, each of them. A temporary one
/// is sent once, its request moved on; a named one is sent as often as it is told to.
class HAWSER_API prepared {
 public:
  /// Nothing has happened yet: `pipeline::execute` does not take it for a result.
  using not_an_outcome = void;
  /// For `client`, which must outlive it.
  prepared(const client& by, request what) noexcept : client_(&by), request_(std::move(what)) {}

  /// See `request::header`.
  prepared& header(std::string_view name, std::string_view value) & {
    request_.header(name, value);
    return *this;
  }
  /// See `request::query`.
  prepared& query(std::string_view name, std::string_view value) & {
    request_.query(name, value);
    return *this;
  }
  /// See `request::param`.
  prepared& param(std::string_view name, std::string_view value) & {
    request_.param(name, value);
    return *this;
  }
  /// See `request::params`.
  prepared& params(const route_values& values) & {
    request_.params(values);
    return *this;
  }
  /// See `request::body`.
  prepared& body(std::string bytes, std::string_view content_type) & {
    request_.body(std::move(bytes), content_type);
    return *this;
  }
  /// See `request::json`.
  prepared& json(const nlohmann::json& value) & {
    request_.json(value);
    return *this;
  }
  /// See `request::json`. Include http/json.hpp.
  template <class T>
  requires(!std::convertible_to<const T*, const nlohmann::json*>) prepared& json(const T& value) & {
    request_.json(value);
    return *this;
  }
  /// See `request::json`. Include http/json.hpp.
  template <class T, class... More>
  requires(sizeof...(More) % 2 == 0) prepared& json(std::string_view name, const T& value,
                                                    const More&... more) & {
    request_.json(name, value, more...);
    return *this;
  }
  /// See `request::idempotency_key`.
  prepared& idempotency_key(std::string_view key) & {
    request_.idempotency_key(key);
    return *this;
  }
  /// See `request::effect`.
  prepared& effect(hawser::effect what) & {
    request_.effect(what);
    return *this;
  }
  /// See `request::name`.
  prepared& name(std::string text) & {
    request_.name(std::move(text));
    return *this;
  }

  /// The same of a temporary.
  prepared&& header(std::string_view name, std::string_view value) && {
    return std::move(header(name, value));
  }
  /// The same of a temporary.
  prepared&& query(std::string_view name, std::string_view value) && {
    return std::move(query(name, value));
  }
  /// The same of a temporary.
  prepared&& param(std::string_view name, std::string_view value) && {
    return std::move(param(name, value));
  }
  /// The same of a temporary.
  prepared&& params(const route_values& values) && { return std::move(params(values)); }
  /// The same of a temporary.
  prepared&& body(std::string bytes, std::string_view content_type) && {
    return std::move(body(std::move(bytes), content_type));
  }
  /// The same of a temporary.
  prepared&& json(const nlohmann::json& value) && { return std::move(json(value)); }
  /// The same of a temporary.
  template <class T>
  requires(!std::convertible_to<const T*, const nlohmann::json*>) prepared &&
      json(const T& value) && {
    return std::move(json(value));
  }
  /// The same of a temporary.
  template <class T, class... More>
  requires(sizeof...(More) % 2 == 0) prepared &&
      json(std::string_view name, const T& value, const More&... more) && {
    return std::move(json(name, value, more...));
  }
  /// The same of a temporary.
  prepared&& idempotency_key(std::string_view key) && { return std::move(idempotency_key(key)); }
  /// The same of a temporary.
  prepared&& effect(hawser::effect what) && { return std::move(effect(what)); }
  /// The same of a temporary.
  prepared&& name(std::string text) && { return std::move(name(std::move(text))); }

  // A const one is not changed: copy it first, `prepared mine = shared;`.
  void header(std::string_view, std::string_view) const& = delete;  ///< Copy a const one first.
  void query(std::string_view, std::string_view) const& = delete;   ///< Copy a const one first.
  void param(std::string_view, std::string_view) const& = delete;   ///< Copy a const one first.
  void params(const route_values&) const& = delete;                 ///< Copy a const one first.
  void body(std::string, std::string_view) const& = delete;         ///< Copy a const one first.
  void json(const nlohmann::json&) const& = delete;                 ///< Copy a const one first.
  /// Copy a const one first.
  template <class T>
  requires(!std::convertible_to<const T*, const nlohmann::json*>) void json(const T&) const& =
      delete;
  /// Copy a const one first.
  template <class T, class... More>
  requires(sizeof...(More) % 2 == 0) void json(std::string_view, const T&,
                                               const More&...) const& = delete;
  void idempotency_key(std::string_view) const& = delete;  ///< Copy a const one first.
  void effect(hawser::effect) const& = delete;             ///< Copy a const one first.
  void name(std::string) const& = delete;                  ///< Copy a const one first.

  /// The request so far.
  [[nodiscard]] const request& what() const& noexcept { return request_; }
  /// The same of a temporary.
  [[nodiscard]] request what() && { return std::move(request_); }

  /// Sends and waits.
  [[nodiscard]] result<response> send(const call_options& options = {}) &&;
  /// Sends a copy and waits.
  [[nodiscard]] result<response> send(const call_options& options = {}) const&;
  /// Sends, waits, objects as `response::ensure_success` does, and converts the body as
  /// `response::as` does. Include http/json.hpp, for which `as<void>()` has no need.
  template <class T>
  [[nodiscard]] result<T> as(const call_options& options = {}) && {
    response answer;
    if (const std::optional<error> why = send_for_success(answer, options))
      return result<T>(boost::system::in_place_error, *why);
    if constexpr (std::is_void_v<T>)
      return {};
    else
      return answer.as<T>();
  }
  /// The same with a copy.
  template <class T>
  [[nodiscard]] result<T> as(const call_options& options = {}) const& {
    return prepared(*this).as<T>(options);
  }
  /// As `client::async_send`.
  template <class CompletionToken = boost::asio::deferred_t>
  requires(!std::same_as<std::remove_cvref_t<CompletionToken>, call_options>) auto async_send(
      CompletionToken&& token = CompletionToken()) && {
    return client_->async_send(std::move(request_), std::forward<CompletionToken>(token));
  }
  /// As `client::async_send`, with a copy.
  template <class CompletionToken = boost::asio::deferred_t>
  requires(!std::same_as<std::remove_cvref_t<CompletionToken>, call_options>) auto async_send(
      CompletionToken&& token = CompletionToken()) const& {
    return client_->async_send(request_, std::forward<CompletionToken>(token));
  }
  /// As `client::async_send`. An aggregate: name the options outside of `co_await` expressions.
  template <class CompletionToken = boost::asio::deferred_t>
  auto async_send(const call_options& options, CompletionToken&& token = CompletionToken()) && {
    return client_->async_send(std::move(request_), options, std::forward<CompletionToken>(token));
  }
  /// The same with a copy.
  template <class CompletionToken = boost::asio::deferred_t>
  auto async_send(const call_options& options, CompletionToken&& token = CompletionToken()) const& {
    return client_->async_send(request_, options, std::forward<CompletionToken>(token));
  }

 private:
  /// What `send` or `ensure_success` objects to; without objections `answer` is a 2xx.
  [[nodiscard]] std::optional<error> send_for_success(response& answer,
                                                      const call_options& options);

  const client* client_;
  request request_;
};

}  // namespace hawser::inline v0::http
