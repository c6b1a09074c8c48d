#include "http/beast/connection.hpp"

#include "hawser/http/headers.hpp"
#include "hawser/http/method.hpp"
#include "hawser/http/response.hpp"
#include "hawser/run/detail/value.hpp"

#include "http/wire/keep_alive.hpp"
#include "http/wire/request_writer.hpp"
#include "run/shared_parts.hpp"
#include "run/side_threads.hpp"

#include <boost/asio/error.hpp>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <new>
#include <utility>

namespace hawser::inline v0::http::beast {

namespace asio = boost::asio;

namespace {

// TLS: plain text is encrypted in pieces, so that a large body is not held twice.
constexpr std::size_t piece = 64 * 1024;
constexpr std::size_t most_kept = 64 * 1024;      // of each buffer, while a connection is idle
constexpr std::size_t most_at_once = 256 * 1024;  // without TLS: handed to the system

bool would_block(const error_code& ec) noexcept {
  return ec == asio::error::would_block || ec == asio::error::try_again;
}

const headers& or_none(const headers* h) noexcept {
  // Never destroyed: threads may still ask as the process ends. Nor does it take memory.
  alignas(headers) static std::byte room[sizeof(headers)];
  static const headers& none = *new (room) headers;
  return h != nullptr ? *h : none;
}

}  // namespace

/// How an exchange, or the connection, ends: carried out when the lock is released.
struct connection::ending {
  after what = after::nothing;
  exchange* who = nullptr;
  error_code ec{};
  evidence delivery = evidence::never_sent;
  std::string detail{};
  time_point now{};
  std::optional<environment> env{};  // dies without the lock: the last copy joins a thread
};

connection::connection(pool& owner, environment env)
    : pool_(&owner),
      settings_(owner.config()),
      env_(std::move(env)),
      channel_(settings_.channels(env_->executor(), *this)),
      reader_(settings_.bounds),
      buffer_(new char[buffer_size]) {
  if (settings_.tls) plain_.reset(new char[buffer_size]);
}

connection::~connection() = default;

// --- opening -----------------------------------------------------------------------------------

template <class Step>
connection::ending connection::try_locked(Step step) noexcept {
  try {
    return step();
  } catch (...) {
    return fail_locked(hawser::detail::describe(std::current_exception()).code(), {});
  }
}

void connection::open(exchange& what, time_point now) noexcept {
  guard lock(mutex_);
  current_ = &what;
  conclude(lock, try_locked([&] { return open_locked(now); }), way::posted);
}

connection::ending connection::open_locked(time_point now) {
  if (phase_ == phase::closed) return fail_locked(errc::client_closed, {});
  if (current_->running.canceled.load()) return fail_locked(canceled_error(), {});
  if (settings_.origin.literal) {
    const auto& limit = settings_.times.connect;
    addresses_.start({*settings_.origin.literal}, limit ? later(now, *limit) : never);
    return connect_next_locked(now);
  }
  phase_ = phase::resolving;
  limit_locked(settings_.times.resolve, errc::resolve_timeout, now);
  channel_->async_resolve(settings_.origin.host, settings_.origin.port,
                          env_->source().shared_parts().of<hawser::detail::side_threads>());
  return {};
}

void connection::on_resolved(error_code ec, std::vector<asio::ip::tcp::endpoint> found) {
  guard lock(mutex_);
  if (phase_ != phase::resolving) return;
  conclude(lock, try_locked([&] { return resolved_locked(ec, std::move(found)); }), way::inline_);
}

connection::ending connection::resolved_locked(error_code ec,
                                               std::vector<asio::ip::tcp::endpoint> found) {
  if (!ec && found.empty()) ec = asio::error::host_not_found;
  if (ec)
    return fail_locked(ec, "resolving '" + settings_.origin.host + "' for " +
                               settings_.origin.text + "; " +
                               std::string(remedy(ec, nullptr, "check the name, and DNS")));
  const time_point now = env_->now();
  const auto& limit = settings_.times.connect;
  addresses_.start(std::move(found), limit ? later(now, *limit) : never);
  return connect_next_locked(now);
}

connection::ending connection::connect_next_locked(time_point now) {
  phase_ = phase::connecting;
  const auto& to = addresses_.next();
  const time_point share = addresses_.share(now);
  if (current_->deadline < share)
    arm_locked(current_->deadline, errc::attempt_timeout);
  else
    arm_locked(share, errc::connect_timeout);
  channel_->async_connect(to, ++connect_attempt_);
  return {};
}

void connection::on_connected(error_code ec, unsigned attempt) {
  guard lock(mutex_);
  if (phase_ != phase::connecting || attempt != connect_attempt_) return;
  conclude(lock, try_locked([&] { return connected_locked(ec); }), way::inline_);
}

connection::ending connection::connected_locked(error_code ec) {
  const time_point now = env_->now();
  if (ec) {
    addresses_.failed(ec);
    if (addresses_.has_next()) return connect_next_locked(now);
    return fail_locked(
        ec, "connecting to " + settings_.origin.text + " at " + addresses_.place_of_last_error() +
                "; " +
                std::string(remedy(ec, &addresses_.last(),
                                   "check that the service runs there and can be reached from "
                                   "here")));
  }
  if (settings_.tls) {
    tls_.emplace(settings_.tls);
    phase_ = phase::handshaking;
    limit_locked(settings_.times.tls, errc::tls_timeout, now);
    return handshake_locked(now);
  }
  ending e = first_request_locked(channel_->peek(), now);
  if (e.what == after::nothing) read_locked();
  return e;
}

/// Bytes that come before anything was asked are nobody's answer.
connection::ending connection::first_request_locked(channel::line seen, time_point now) {
  switch (seen) {
    case channel::line::quiet: return send_request_locked(now);
    case channel::line::bytes:
      return fail_locked(errc::unexpected_bytes,
                         settings_.origin.text + " sent bytes before the first request");
    default:
      return fail_locked(errc::connection_closed,
                         settings_.origin.text +
                             " closed the connection before the first request; try again later");
  }
}

connection::ending connection::handshake_locked(time_point now) {
  switch (tls_->handshake()) {
    case tls_session::result::done: {
      // Takes the tickets that came with the last of the handshake.
      std::size_t n = 0;
      const auto rest = tls_->decrypt(plain_.get(), buffer_size, n);
      if (rest == tls_session::result::failed) return tls_failed_locked();
      // Our own last handshake message leaves in one piece with the request.
      ending e = first_request_locked(rest == tls_session::result::want_more ? channel::line::quiet
                                      : rest == tls_session::result::done    ? channel::line::bytes
                                                                             : channel::line::ended,
                                      now);
      if (e.what != after::nothing) return e;
      break;
    }
    case tls_session::result::want_more: {
      ending e = pump_locked(now);
      if (e.what != after::nothing) return e;
      if (write_error_)
        return fail_locked(write_error_, "TLS handshake with " + settings_.origin.text + ": " +
                                             write_error_.message());
      break;
    }
    default: return tls_failed_locked();
  }
  read_locked();
  return {};
}

// --- an exchange -------------------------------------------------------------------------------

connection::start connection::begin(exchange& what, time_point now, bool crowded) noexcept {
  ending e;
  guard lock(mutex_);
  if (phase_ != phase::idle) return start::stale;
  if (what.running.canceled.load()) return start::canceled;
  // A system call for every reuse, however short the pause: bytes behind an answer would be taken
  // for the next one.
  if (!is_quiet_locked()) {
    close_locked(e);
    return start::stale;
  }
  current_ = &what;
  e = try_locked([&] { return send_request_locked(now); });
  if (e.what != after::nothing) {
    conclude(lock, std::move(e), way::posted);
    return start::running;
  }
  if (write_error_ && accepted_ == 0) {
    current_ = nullptr;
    close_locked(e);
    return start::stale;
  }
  e = try_locked([&] {
    if (!crowded) {
      read_locked();
      return ending{};
    }
    // By the time it is our turn the answer may be there, and one system call reads it; a read
    // started now would find nothing and be one call in vain.
    reading_ = true;
    channel_->async_turn();
    return ending{};
  });
  conclude(lock, std::move(e), way::posted);
  return start::running;
}

void connection::on_turn() {
  guard lock(mutex_);
  reading_ = false;
  if (phase_ == phase::closed) return;
  conclude(lock, try_locked([&] {
             read_locked();
             return ending{};
           }),
           way::inline_);
}

void connection::read_locked() {
  if (reading_) return;
  reading_ = true;
  channel_->async_read(buffer_.get(), buffer_size);
}

bool connection::is_quiet_locked() {
  if (!tls_) return channel_->peek() == channel::line::quiet;
  // Tickets and key updates may come at any time and are no answer; let TLS take them, but not for
  // ever.
  for (int looks = 0; looks < 8; ++looks) {
    std::size_t got = 0;
    if (tls_->decrypt(plain_.get(), buffer_size, got) != tls_session::result::want_more)
      return false;
    error_code ec;
    const std::size_t n = channel_->receive(buffer_.get(), buffer_size, ec);
    if (ec) return would_block(ec);
    tls_->give({buffer_.get(), n});
  }
  return false;
}

connection::ending connection::send_request_locked(time_point now) {
  const exchange& ex = *current_;
  phase_ = phase::exchanging;
  ++exchanges_;
  accepted_ = 0;
  received_ = 0;
  request_sent_ = false;
  write_error_ = {};
  minute_from_ = now;
  minute_bytes_ = 0;
  unwritten_body_ = write_request(*ex.method, ex.target, settings_.origin.host_header,
                                  or_none(ex.default_headers), or_none(ex.own_headers), ex.body,
                                  ex.has_body, request_);
  unwritten_ = request_;
  reader_.begin(*ex.answer, ex.method->which() == method::head);
  ending e = pump_locked(now);
  if (e.what != after::nothing || exchanges_ > 1) return e;
  if (write_error_ && accepted_ == 0)
    return fail_locked(write_error_,
                       "writing to " + settings_.origin.text + ": " + write_error_.message());
  return e;
}

std::string_view connection::next_chunk_locked(bool& failed) {
  if (unwritten_.empty()) unwritten_ = std::exchange(unwritten_body_, {});
  if (!tls_) return unwritten_.substr(0, most_at_once);
  if (phase_ == phase::exchanging && !unwritten_.empty() && tls_->unsent() < piece) {
    const std::string_view plain = unwritten_.substr(0, piece);
    unwritten_.remove_prefix(plain.size());
    failed = tls_->encrypt(plain) != tls_session::result::done;
    if (failed) return {};
  }
  return tls_->out();
}

void connection::count_sent_locked(std::size_t n) noexcept {
  if (tls_)
    tls_->sent(n);
  else
    unwritten_.remove_prefix(n);
  if (phase_ != phase::exchanging) return;
  accepted_ += n;
  minute_bytes_ += n;
}

/// Whether too little has come and gone in the last minute; begins the next.
bool connection::trickles_locked(time_point now) noexcept {
  const auto& least = settings_.times.least_per_minute;
  if (!least || now < later(minute_from_, std::chrono::minutes(1))) return false;
  minute_from_ = now;
  return std::exchange(minute_bytes_, 0) < *least;
}

connection::ending connection::gave_up_trickle_locked() {
  return fail_locked(
      errc::between_bytes_timeout,
      settings_.origin.text + ": fewer than " + std::to_string(*settings_.times.least_per_minute) +
          " bytes in a minute (time_limits.least_per_minute); " + std::to_string(accepted_) +
          " bytes were sent, " + std::to_string(received_) + " received");
}

/// Writes until everything is out or the system takes no more.
connection::ending connection::pump_locked(time_point now) {
  while (!writing_ && !write_error_) {
    bool failed = false;
    const std::string_view chunk = next_chunk_locked(failed);
    if (failed) return tls_failed_locked();
    if (chunk.empty()) {
      if (phase_ == phase::exchanging && !request_sent_) {
        request_sent_ = true;
        if (!reader_.begun())
          limit_locked(settings_.times.first_byte, errc::first_byte_timeout, now);
      }
      break;
    }
    error_code ec;
    const std::size_t n = channel_->send(chunk.data(), chunk.size(), ec);
    count_sent_locked(n);
    if (n == chunk.size()) continue;
    if (ec && !would_block(ec)) {
      // The server may have answered before it hung up: what it said is worth more than this.
      write_error_ = ec;
      break;
    }
    writing_ = true;
    in_flight_ = chunk.size() - n;
    channel_->async_write(chunk.data() + n, chunk.size() - n);
    if (phase_ == phase::exchanging)
      limit_locked(settings_.times.between_bytes, errc::between_bytes_timeout, now);
  }
  return {};
}

void connection::on_written(error_code ec, std::size_t n) {
  guard lock(mutex_);
  writing_ = false;
  in_flight_ = 0;
  if (phase_ == phase::closed) return;
  count_sent_locked(n);
  if (ec) {
    write_error_ = ec;
    // The read under way will tell what became of the connection.
    return;
  }
  conclude(lock, try_locked([&] {
             const time_point now = env_->now();
             if (phase_ == phase::exchanging && trickles_locked(now))
               return gave_up_trickle_locked();
             return pump_locked(now);
           }),
           way::inline_);
}

// --- the answer --------------------------------------------------------------------------------

void connection::on_read(error_code ec, std::size_t n) {
  guard lock(mutex_);
  reading_ = false;
  if (phase_ == phase::closed) return;
  const std::string_view bytes(buffer_.get(), n);
  conclude(lock, try_locked([&] { return received_locked(ec, bytes); }), way::inline_);
}

connection::ending connection::received_locked(error_code ec, std::string_view bytes) {
  const time_point now = env_->now();
  if (phase_ == phase::handshaking) {
    if (ec)
      return fail_locked(ec == asio::error::eof ? make_error_code(errc::connection_closed) : ec,
                         "in the TLS handshake with " + settings_.origin.text + " (" +
                             ec.message() +
                             "); if it always does, check versions, and that the port speaks TLS");
    tls_->give(bytes);
    return handshake_locked(now);
  }
  if (ec == asio::error::eof) return stream_ended_locked(!tls_, now);
  if (ec) return read_failed_locked(ec, now);
  return tls_ ? take_encrypted_locked(bytes, now) : take_locked(bytes, now);
}

connection::ending connection::take_locked(std::string_view bytes, time_point now) {
  if (received_ == 0) {  // what was waited for until now is the server's own time
    minute_from_ = now;
    minute_bytes_ = 0;
  }
  received_ += bytes.size();
  minute_bytes_ += bytes.size();
  const auto progress = reader_.feed(bytes);
  if (progress.error) return malformed_locked(progress.error);
  if (progress.done) return answered_locked(progress.consumed == bytes.size(), now);
  if (trickles_locked(now)) return gave_up_trickle_locked();
  if (reader_.begun())
    limit_locked(settings_.times.between_bytes, errc::between_bytes_timeout, now);
  if (!tls_) read_locked();
  return {};
}

/// Where an earlier answer went well and now no status line comes, the bytes may be the rest of
/// something else: that is the connection's fault and not the server's way, and another connection
/// may do better. On a fresh one it is how the server speaks, and what is wrong behind a status
/// line is the answer's own.
connection::ending connection::malformed_locked(error_code ec) {
  std::string detail = settings_.origin.text + ": " + reader_.detail();
  if (exchanges_ > 1 && ec == errc::malformed_response && !reader_.has_status_line()) {
    ec = errc::unexpected_bytes;
    detail += "; it was request " + std::to_string(exchanges_) +
              " on this connection: they may be left over from before";
  }
  return fail_locked(ec, std::move(detail));
}

connection::ending connection::take_encrypted_locked(std::string_view bytes, time_point now) {
  tls_->give(bytes);
  for (;;) {
    std::size_t n = 0;
    switch (tls_->decrypt(plain_.get(), buffer_size, n)) {
      case tls_session::result::done: {
        ending e = take_locked({plain_.get(), n}, now);
        if (e.what != after::nothing) return e;
        break;
      }
      case tls_session::result::want_more: {
        ending e = pump_locked(now);  // an answer to a key update, perhaps
        if (e.what == after::nothing) read_locked();
        return e;
      }
      case tls_session::result::closed: return stream_ended_locked(true, now);
      case tls_session::result::failed: return tls_failed_locked();
    }
  }
}

connection::ending connection::stream_ended_locked(bool clean, time_point now) {
  const auto progress = reader_.end_of_stream(clean);
  if (progress.done) return answered_locked(false, now);
  std::string detail = reader_.detail();
  if (!detail.empty()) detail += "; ";
  detail += settings_.origin.text + " closed the connection";
  if (!clean && tls_) detail += " without a TLS close_notify";
  detail += " after " + std::to_string(received_) + " bytes of an answer; it was request " +
            std::to_string(exchanges_) + " on this connection";
  if (write_error_) detail += "; writing had failed: " + write_error_.message();
  return fail_locked(progress.error, std::move(detail));
}

connection::ending connection::read_failed_locked(error_code ec, time_point) {
  std::string detail = "reading from " + settings_.origin.text + " after " +
                       std::to_string(received_) + " bytes of an answer: " + ec.message() +
                       "; it was request " + std::to_string(exchanges_) + " on this connection";
  if (!reader_.begun() && exchanges_ > 1) ec = errc::connection_closed;
  return fail_locked(ec, std::move(detail));
}

connection::ending connection::answered_locked(bool nothing_left, time_point now) {
  // 408 gives this connection up, 421 says it is the wrong one (RFC 9110 sections 15.5.9, 15.5.20).
  const int status = current_->answer->status();
  bool reusable = nothing_left && reader_.keep_alive() && request_sent_ && !writing_ &&
                  !write_error_ && status != 408 && status != 421;
  if (reusable && tls_) {
    std::size_t n = 0;
    reusable = tls_->decrypt(plain_.get(), buffer_size, n) == tls_session::result::want_more &&
               pump_locked(now).what == after::nothing && tls_->unsent() == 0;
  }
  ending e;
  if (reusable) reusable = allows_another_locked(now);
  if (reusable) {
    phase_ = phase::idle;
    give_memory_back_locked();
    due_ = never;
    env_->disarm(*this);
    e.what = after::release;
  } else {
    if (request_sent_ && !writing_ && !write_error_) say_goodbye_locked();
    close_locked(e);
  }
  e.who = std::exchange(current_, nullptr);
  // Whether the system surely never had the end of the request.
  const bool in_part =
      !unwritten_body_.empty() || (tls_ ? !unwritten_.empty() : unwritten_.size() > in_flight_);
  e.delivery = in_part ? evidence::maybe_applied : evidence::answered;
  e.now = now;
  return e;
}

/// An idle connection does not keep what an unusual request has needed.
void connection::give_memory_back_locked() noexcept {
  if (request_.capacity() > most_kept) std::string().swap(request_);
  if (tls_) tls_->give_memory_back(most_kept);
}

/// Until when this connection may be used again is ours to say and the server's, whichever is less.
bool connection::allows_another_locked(time_point now) noexcept {
  const auto idle_for = settings_.pool.idle_for;
  usable_until = idle_for ? later(now, *idle_for) : never;
  const keep_alive_hint hint = read_keep_alive(current_->answer->headers());
  if (hint.timeout)
    usable_until = std::min(usable_until, later(now, safe_idle_time(*hint.timeout)));
  if (hint.max)
    allowed_ = *hint.max;  // the last word counts: some servers say the same each time
  else if (allowed_)
    --*allowed_;
  return allowed_ != 0u;
}

// --- endings -----------------------------------------------------------------------------------

evidence connection::delivery_locked() const noexcept {
  // A write under way may have been taken in part, which is counted only when it ends.
  return phase_ == phase::exchanging && (accepted_ != 0 || writing_) ? evidence::maybe_applied
                                                                     : evidence::never_sent;
}

connection::ending connection::tls_failed_locked() {
  const error& why = tls_->failure();
  std::string detail = settings_.origin.text + ": " + std::string(why.detail());
  // Lets the peer know why; best effort.
  const std::string_view alert = writing_ ? std::string_view() : tls_->out();
  error_code ignored;
  if (!alert.empty()) channel_->send(alert.data(), alert.size(), ignored);
  if (phase_ != phase::exchanging || why.code() == hawser::detail::out_of_memory())
    return fail_locked(why.code(), std::move(detail));
  // Under TLS 1.3 a server judges our certificate after our side of the handshake is over, and only
  // then would look at a request: one that it turned down this way was not acted on.
  if (!reader_.begun() && exchanges_ == 1 && tls_->refused_by_peer())
    return fail_locked(
        why.code(),
        delivery_locked() == evidence::never_sent ? evidence::never_sent : evidence::refused,
        std::move(detail));
  detail += "; " + std::to_string(received_) + " bytes of an answer had come; it was request " +
            std::to_string(exchanges_) + " on this connection";
  return fail_locked(errc::tls_broken, std::move(detail));
}

connection::ending connection::fail_locked(error_code ec, std::string detail) {
  return fail_locked(ec, delivery_locked(), std::move(detail));
}

connection::ending connection::fail_locked(error_code ec, evidence delivery, std::string detail) {
  ending e;
  e.who = std::exchange(current_, nullptr);
  e.ec = ec;
  e.delivery = delivery;
  e.detail = std::move(detail);
  close_locked(e);
  return e;
}

void connection::close_locked(ending& e) noexcept {
  e.what = after::end;
  if (phase_ == phase::closed) return;
  phase_ = phase::closed;
  due_ = never;
  channel_->close();
  if (env_) {
    env_->remove(*this);
    e.env = std::move(env_);
    env_.reset();
  }
}

/// A close_notify, if the system takes it at once.
void connection::say_goodbye_locked() noexcept {
  if (!tls_ || writing_) return;
  tls_->end();
  const std::string_view alert = tls_->out();
  error_code ignored;
  if (!alert.empty()) channel_->send(alert.data(), alert.size(), ignored);
}

void connection::conclude(guard& lock, ending e, way how) {
  if (e.what == after::nothing) return;
  lock.unlock();
  if (e.what == after::release)
    pool_->give_back(*this, e.who, e.now);
  else
    pool_->remove(*this, e.who);
  if (e.who == nullptr) return;
  if (how == way::inline_)
    e.who->on_done(e.ec, e.delivery, std::move(e.detail));
  else
    pool_->post_end(*e.who, e.ec, e.delivery, std::move(e.detail));
}

void connection::cancel(exchange& what) noexcept {
  guard lock(mutex_);
  if (current_ != &what) return;
  conclude(lock, fail_locked(canceled_error(), {}), way::posted);
}

void connection::close() noexcept {
  guard lock(mutex_);
  if (phase_ == phase::closed) return;
  if (phase_ == phase::idle) say_goodbye_locked();
  conclude(lock, fail_locked(errc::client_closed, {}), way::posted);
}

void connection::on_context_gone() noexcept { pool_->abandon(); }

void connection::abandon() noexcept {
  ending e;
  {
    const guard lock(mutex_);
    e.who = std::exchange(current_, nullptr);
    close_locked(e);
  }
  if (e.who != nullptr) e.who->on_abandoned();
}

// --- time --------------------------------------------------------------------------------------

void connection::limit_locked(const std::optional<duration>& limit, errc code, time_point now) {
  const time_point due = limit ? later(now, *limit) : never;
  if (current_->deadline < due)
    arm_locked(current_->deadline, errc::attempt_timeout);
  else
    arm_locked(due, code);
}

void connection::arm_locked(time_point due, errc code) {
  due_ = due;
  due_code_ = code;
  env_->arm(*this, due);
}

void connection::expired() noexcept {
  guard lock(mutex_);
  if (phase_ == phase::closed || current_ == nullptr || due_ == never) return;
  const time_point now = env_->now();
  if (now < due_) return env_->arm(*this, due_);
  conclude(lock, try_locked([&] { return expired_locked(now); }), way::posted);
}

connection::ending connection::expired_locked(time_point now) {
  if (phase_ == phase::connecting && due_code_ == errc::connect_timeout) {
    addresses_.failed(asio::error::timed_out);
    if (addresses_.has_next()) return connect_next_locked(now);
  }
  return fail_locked(due_code_, limit_story_locked());
}

std::string connection::limit_story_locked() const {
  const time_limits& t = settings_.times;
  const std::string& name = settings_.origin.text;
  const auto with = [](const char* field, const std::optional<duration>& limit) {
    return std::string(" (") + field + " = " + in_words(limit.value_or(duration::zero())) + ")";
  };
  switch (due_code_) {
    case errc::resolve_timeout:
      return "resolving '" + settings_.origin.host + "'" + with("time_limits.resolve", t.resolve);
    case errc::connect_timeout:
      return "connecting to " + name + with("time_limits.connect", t.connect) + ": " +
             addresses_.story();
    case errc::tls_timeout: return "TLS handshake with " + name + with("time_limits.tls", t.tls);
    case errc::first_byte_timeout:
      return name + with("time_limits.first_byte", t.first_byte) + "; " +
             std::to_string(accepted_) + " bytes of the request were sent";
    case errc::between_bytes_timeout:
      return name + with("time_limits.between_bytes", t.between_bytes) + "; " +
             std::to_string(accepted_) + " bytes were sent, " + std::to_string(received_) +
             " received";
    default: return "the exchange's deadline passed with " + name;
  }
}

}  // namespace hawser::inline v0::http::beast
