#include "testing/fault_server_session.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

// Two rules for coroutines that g++ 12.2 compiles rightly. Nothing that owns memory is built inside
// a co_await expression (it is destroyed twice): arguments are named locals, passed by reference.
// And no co_await stands in the condition of an `if` (the coroutine's frame is laid out wrongly and
// the first resumption traps): its result gets a name first.

namespace hawser::inline v0::testing::detail {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;

namespace {

constexpr duration closing_patience = std::chrono::seconds(1);
constexpr duration longest_sleep = std::chrono::hours(24 * 365);

auto into(error_code& ec) { return asio::redirect_error(asio::use_awaitable, ec); }

std::string common_name_of_peer(SSL* tls) {
  X509* cert = SSL_get1_peer_certificate(tls);
  if (cert == nullptr) return {};
  std::array<char, 256> name{};
  const int size = X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName,
                                             name.data(), static_cast<int>(name.size()));
  X509_free(cert);
  return size > 0 ? std::string(name.data(), static_cast<std::size_t>(size)) : std::string();
}

}  // namespace

session::session(tcp::socket socket, const host& server, std::uint64_t number)
    : server_(server),
      state_(*server.state),
      socket_(std::move(socket)),
      timer_(socket_.get_executor()),
      watch_(socket_.get_executor()),
      number_(number) {
  error_code ignored;
  socket_.set_option(tcp::no_delay(true), ignored);  // a drip is one segment for each write
}

session::awaitable<void> session::run(std::shared_ptr<session> self) {
  try {
    co_await self->serve();
  } catch (...) {
    self->kill();  // out of memory, most likely: this connection ends, the server goes on
  }
  self->stop_watch();
}

void session::kill() noexcept {
  dead_ = true;
  error_code ignored;
  socket_.set_option(tcp::socket::linger(true, 0), ignored);
  socket_.close(ignored);
  timer_.cancel(ignored);
  stop_watch();
}

session::awaitable<void> session::serve() {
  const connection_plan how = state_.next_connection();
  const bool opened = co_await open(how);
  if (!opened) co_return;
  idle_limit_ = state_.options().close_idle_after;
  next step = next::request;
  while (step == next::request && !dead_) step = co_await one_request();
  if (dead_ || step == next::gone) co_return;
  if (step == next::reset) {
    state_.count(&fault_counters::resets);
    kill();
    co_return;
  }
  co_await finish(true);
}

session::awaitable<bool> session::open(const connection_plan& how) {
  using kind = connection_plan::kind;
  const bool alive = co_await sleep(how.delay);
  if (!alive) co_return false;
  switch (how.what) {
    case kind::close: co_await finish(false); co_return false;
    case kind::reset:
      state_.count(&fault_counters::resets);
      kill();
      co_return false;
    case kind::stall:
      state_.count(&fault_counters::stalls);
      co_await drain();
      co_return false;
    case kind::plain_text: {
      const std::string_view text = how.bytes.empty()
                                        ? "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n"
                                          "Connection: close\r\n\r\n"
                                        : std::string_view(how.bytes);
      const bool sent = co_await write_raw(text);
      if (sent) co_await finish(false);
      co_return false;
    }
    case kind::serve:
    case kind::reset_on_first_byte:
    case kind::greet: break;
  }
  if (server_.tls != nullptr) {
    const bool secure = co_await handshake();
    if (!secure) co_return false;
  }
  if (how.what == kind::reset_on_first_byte) {
    // Not a wait for the socket: under TLS 1.3 the bytes may have come with the handshake's last,
    // and the socket is readable also when the client leaves.
    const std::size_t got = co_await read_some();
    if (got == 0 || dead_) co_return false;
    state_.count(&fault_counters::resets);
    kill();
    co_return false;
  }
  if (how.what == kind::greet) co_return co_await write(how.bytes);
  co_return true;
}

session::awaitable<bool> session::handshake() {
  tls_.emplace(socket_, *server_.tls);
  error_code ec;
  co_await tls_->async_handshake(asio::ssl::stream_base::server, into(ec));
  if (ec) {
    state_.count(&fault_counters::failed_handshakes);
    // The alert that says why went out with the failed handshake: close so that it arrives.
    if (!dead_) co_await finish(false);
    co_return false;
  }
  secured_ = true;
  client_name_ = common_name_of_peer(tls_->native_handle());
  state_.count(&fault_counters::handshakes);
  co_return true;
}

session::awaitable<session::next> session::one_request() {
  received_request request;
  std::optional<plan> early;
  const next step = co_await read_request(request, early);
  if (step != next::request) co_return step;
  if (state_.options().admin && request.target.rfind("/_", 0) == 0)
    co_return co_await answer_admin(request);
  co_return co_await carry_out(request, early);
}

session::awaitable<session::next> session::read_request(received_request& request,
                                                        std::optional<plan>& early) {
  const fault_server_options& options = state_.options();
  parser reader;
  reader.header_limit(static_cast<std::uint32_t>(options.max_header_bytes));
  reader.body_limit(options.max_body_bytes);
  bool head_taken = false;
  if (idle_limit_ && buffer_.size() == 0) start_watch(*idle_limit_);
  for (;;) {
    if (buffer_.size() > 0) {
      error_code ec;
      buffer_.consume(reader.put(buffer_.data(), ec));
      if (ec == http::error::need_more) ec = {};
      if (ec == http::error::header_limit) co_return co_await reject(431);
      if (ec == http::error::body_limit) co_return co_await reject(413);
      if (ec) co_return co_await reject(400);
    }
    if (!head_taken && reader.is_header_done()) {
      head_taken = true;
      take_head(reader, request);
      early = state_.head_plan(request);
      body_unread_ = early.has_value() && !reader.is_done();
      if (early) co_return next::request;
      const bool waits = !reader.is_done() && buffer_.size() == 0 &&
                         reader.get()[http::field::expect] == "100-continue";
      if (waits) {
        const bool sent = co_await write("HTTP/1.1 100 Continue\r\n\r\n");
        if (!sent) co_return next::gone;
      }
      reader.eager(true);  // from here on put() takes as much of the body as there is
      if (!reader.is_done() && buffer_.size() > 0) continue;
    }
    if (reader.is_done()) break;
    const std::size_t got = co_await read_some();
    stop_watch();
    if (got == 0) co_return expired_ ? next::close : next::gone;
  }
  request.body = std::move(reader.get().body());
  co_return next::request;
}

void session::take_head(const parser& from, received_request& request) {
  const auto text = [](auto view) { return std::string(view.data(), view.size()); };
  const auto& message = from.get();
  request.connection = number_;
  request.on_connection = ++requests_;
  request.method = text(message.method_string());
  request.target = text(message.target());
  for (const auto& field : message)
    request.headers.emplace_back(text(field.name_string()), text(field.value()));
  request.client_name = client_name_;
  client_keeps_ = from.keep_alive();
  to_head_ = message.method() == http::verb::head;
}

session::awaitable<session::next> session::reject(int status) {
  stop_watch();
  state_.count(&fault_counters::rejected);
  body_unread_ = true;
  to_head_ = false;
  const plan refusal = plan::answer(status).then(ending::close);
  wire_context context;
  context.announce_close = true;
  context.now = std::chrono::system_clock::now();
  const wire_answer wire = compose(refusal.get(), context);
  const bool sent = co_await write(wire.segments.front().data);
  co_return sent ? next::close : next::gone;
}

session::awaitable<session::next> session::answer_admin(const received_request& request) {
  plan reply;
  if (request.method == "GET" && request.target == "/_ledger") {
    reply.edit().body = state_.ledger_json();
  } else if (request.method == "GET" && request.target == "/_status") {
    reply.edit().body = state_.status_json();
  } else if (request.method == "POST" && request.target == "/_reset") {
    server_.reset();
  } else {
    reply.edit().status = 404;
  }
  const plan::parts& what = reply.get();
  wire_context context;
  context.to_head = to_head_;
  context.announce_close = will_close(what);
  context.now = std::chrono::system_clock::now();
  const wire_answer wire = compose(what, context);
  const bool sent = co_await write(wire.segments.front().data);
  if (!sent) co_return next::gone;
  co_return will_close(what) ? next::close : next::request;
}

session::awaitable<session::next> session::carry_out(received_request& request,
                                                     const std::optional<plan>& early) {
  const std::uint64_t record = state_.arrived(request);
  const plan chosen = early ? *early : state_.next_plan(request);
  plan::parts what = chosen.get();
  if (what.lookup) {
    const std::uint64_t bookings = state_.bookings_of(*what.lookup);
    if (bookings == 0) what.status = 404;
    what.body = lookup_json(*what.lookup, bookings);
  }
  state_.note_answer(record, what.raw ? 0 : what.status, false, false);
  bool alive = !dead_;  // the handler itself may have taken the server down
  if (alive && what.book) {
    alive = co_await book(request, record, what);
  } else if (alive) {
    alive = co_await sleep(what.processing);
  }
  if (alive && what.outage) {
    state_.note_end(record, "outage");
    server_.outage(*what.outage);
    co_return next::gone;
  }
  if (alive) alive = co_await sleep(what.delay);
  if (!alive) {
    state_.note_end(record, "outage");
    co_return next::gone;
  }
  co_return co_await answer(record, what);
}

session::awaitable<bool> session::book(const received_request& request, std::uint64_t record,
                                       plan::parts& what) {
  const effect_identity who = identify(request, state_.options().effects);
  auto verdict = effect_ledger::verdict::conflict;
  if (state_.enter(who)) {
    struct in_flight {
      server_state& state;
      const effect_identity& who;
      ~in_flight() { state.leave(who); }
    } const until_booked{state_, who};
    const bool alive = co_await sleep(what.processing);
    if (!alive) co_return false;
    verdict = state_.book(who, what);
  }
  answer_refusal(verdict, what);
  state_.note_answer(record, what.raw ? 0 : what.status, verdict == effect_ledger::verdict::booked,
                     verdict == effect_ledger::verdict::replayed);
  co_return true;
}

bool session::will_close(const plan::parts& what) const noexcept {
  return !client_keeps_ || body_unread_ || what.after == ending::close ||
         what.after == ending::silent_close ||
         what.body_framing == plan::parts::framing::until_close;
}

session::awaitable<session::next> session::answer(std::uint64_t record, const plan::parts& what) {
  wire_context context;
  context.to_head = to_head_;
  context.announce_close =
      will_close(what) && what.after != ending::silent_close && what.after != ending::reset;
  context.now = std::chrono::system_clock::now();
  const wire_answer wire = compose(what, context);
  std::size_t limit = wire.total_bytes;
  if (what.broken) {
    const std::size_t from = what.broken->of_body ? wire.head_bytes : 0;
    if (what.broken->at < limit - std::min(from, limit)) limit = from + what.broken->at;
  }
  const bool sent = co_await send(record, what, wire, limit);
  if (!sent) {
    state_.note_end(record, dead_ ? "outage" : "broken");
    co_return next::gone;
  }
  if (what.broken) co_return co_await break_off(record, *what.broken);
  state_.note_end(record, "answered");
  state_.count(&fault_counters::answers);
  co_return co_await after_answer(what);
}

session::awaitable<bool> session::send(std::uint64_t record, const plan::parts& what,
                                       const wire_answer& wire, std::size_t limit) {
  const std::size_t step = what.drip_every ? std::max<std::size_t>(what.drip_bytes, 1) : limit;
  std::size_t sent = 0;
  for (const wire_segment& segment : wire.segments) {
    for (std::size_t turn = 0; turn < segment.times; ++turn) {
      std::string_view rest(segment.data);
      while (!rest.empty() && sent < limit) {
        if (what.drip_every && sent > 0) {
          const bool alive = co_await sleep(*what.drip_every);
          if (!alive) co_return false;
        }
        const std::string_view now = rest.substr(0, std::min(step, limit - sent));
        const bool written = co_await write(now);
        if (!written) co_return false;
        rest.remove_prefix(now.size());
        sent += now.size();
        state_.note_bytes(record, now.size());
      }
      if (sent == limit) co_return true;
    }
  }
  co_return true;
}

session::awaitable<session::next> session::break_off(std::uint64_t record,
                                                     const break_point& where) {
  using manner = break_point::manner;
  switch (where.how) {
    case manner::cut:
      state_.note_end(record, "cut");
      state_.count(&fault_counters::cuts);
      co_await finish(where.close_notify);
      break;
    case manner::reset:
      state_.note_end(record, "reset");
      state_.count(&fault_counters::resets);
      kill();
      break;
    case manner::forge: {
      state_.note_end(record, "forged");
      state_.count(&fault_counters::cuts);
      // Application data whose check cannot be right: RFC 8446 section 5.2.
      std::string forged("\x17\x03\x03\x00\x28", 5);
      forged.append(40, 'x');
      if (tls_) co_await write_raw(forged);
      co_await finish(false);
      break;
    }
    case manner::stall:
      state_.note_end(record, "stalled");
      state_.count(&fault_counters::stalls);
      co_await drain();
      break;
  }
  co_return next::gone;
}

session::awaitable<session::next> session::after_answer(const plan::parts& what) {
  if (!what.unsolicited.empty()) {
    bool good = co_await sleep(what.unsolicited_after);
    if (good) good = co_await write(what.unsolicited);
    if (!good) co_return next::gone;
  }
  idle_limit_ = what.close_idle_after ? what.close_idle_after : state_.options().close_idle_after;
  if (what.after == ending::reset) co_return next::reset;
  co_return will_close(what) ? next::close : next::request;
}

session::awaitable<bool> session::sleep(duration how_long) {
  if (!dead_ && how_long > duration::zero()) {
    timer_.expires_after(std::min(how_long, longest_sleep));
    error_code ec;
    co_await timer_.async_wait(into(ec));
  }
  co_return !dead_;
}

session::awaitable<std::size_t> session::read_some() {
  const auto room = buffer_.prepare(8 * 1024);
  error_code ec;
  std::size_t got = 0;
  if (tls_)
    got = co_await tls_->async_read_some(room, into(ec));
  else
    got = co_await socket_.async_read_some(room, into(ec));
  buffer_.commit(got);
  co_return ec ? 0 : got;
}

session::awaitable<bool> session::write(std::string_view bytes) {
  if (!tls_) co_return co_await write_raw(bytes);
  error_code ec;
  const auto all = asio::buffer(bytes.data(), bytes.size());
  co_await asio::async_write(*tls_, all, into(ec));
  co_return !ec && !dead_;
}

session::awaitable<bool> session::write_raw(std::string_view bytes) {
  error_code ec;
  const auto all = asio::buffer(bytes.data(), bytes.size());
  co_await asio::async_write(socket_, all, into(ec));
  co_return !ec && !dead_;
}

/// Reads and forgets until the peer is gone, the watch fires, or the session is killed.
session::awaitable<void> session::drain() {
  std::array<char, 4096> scratch{};
  error_code ec;
  while (!ec) co_await socket_.async_read_some(asio::buffer(scratch), into(ec));
}

/// FIN, then a moment to let the peer read: closing over unread bytes would send RST instead.
session::awaitable<void> session::finish(bool close_notify) {
  error_code ec;
  if (tls_ && secured_ && close_notify) {
    // As if the peer's close_notify had come: ours goes out and nobody waits for the other.
    SSL_set_shutdown(tls_->native_handle(), SSL_RECEIVED_SHUTDOWN);
    start_watch(closing_patience);
    co_await tls_->async_shutdown(into(ec));
    stop_watch();
  }
  socket_.shutdown(tcp::socket::shutdown_send, ec);
  start_watch(closing_patience);
  co_await drain();
  stop_watch();
  socket_.close(ec);
}

void session::start_watch(duration after) {
  expired_ = false;
  const std::uint64_t mine = ++watch_number_;
  watch_.expires_after(std::min(after, longest_sleep));
  watch_.async_wait([self = shared_from_this(), mine](const error_code& ec) {
    if (ec || self->dead_ || mine != self->watch_number_) return;
    self->expired_ = true;
    error_code ignored;
    self->socket_.cancel(ignored);
  });
}

void session::stop_watch() noexcept {
  ++watch_number_;
  error_code ignored;
  watch_.cancel(ignored);
}

}  // namespace hawser::inline v0::testing::detail
