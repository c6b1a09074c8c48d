#include "http/beast/pool.hpp"

#include "hawser/run/detail/value.hpp"

#include "http/beast/connection.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <exception>
#include <new>
#include <thread>
#include <utility>

namespace hawser::inline v0::http {

void validate(const pool_options& o) {
  if (o.max_connections < 1) throw config_error("pool.max_connections", "0", "must be at least 1");
  const auto check = [](const char* field, const std::optional<duration>& time) {
    if (time && *time <= duration::zero())
      throw config_error(std::string("pool.") + field, std::to_string(time->count()) + " ns",
                         "must be over zero; std::nullopt turns it off");
  };
  check("idle_for", o.idle_for);
  check("max_age", o.max_age);
}

namespace beast {

namespace {

constexpr double age_spread = 0.2;  // of max_age: a connection lives for four fifths of it, or more

/// An exchange's end on its way through the executor.
class posted_end {
 public:
  using allocator_type = hawser::detail::operation_allocator<void>;

  posted_end(exchange& who, error_code ec, evidence delivery, std::string detail) noexcept
      : who_(&who),
        memory_(&who.running.memory),
        ec_(ec),
        delivery_(delivery),
        detail_(std::move(detail)) {}
  posted_end(posted_end&& other) noexcept
      : who_(std::exchange(other.who_, nullptr)),
        memory_(other.memory_),
        ec_(other.ec_),
        delivery_(other.delivery_),
        detail_(std::move(other.detail_)) {}
  posted_end(const posted_end&) = delete;
  posted_end& operator=(const posted_end&) = delete;
  posted_end& operator=(posted_end&&) = delete;
  ~posted_end() {
    // Not when it could not be posted: then whoever tried still has the exchange.
    if (who_ != nullptr && std::uncaught_exceptions() <= unwinding_) who_->on_abandoned();
  }
  [[nodiscard]] allocator_type get_allocator() const noexcept {
    return allocator_type(*memory_);  // also of one that was moved from
  }
  void operator()() { std::exchange(who_, nullptr)->on_done(ec_, delivery_, std::move(detail_)); }

 private:
  exchange* who_;
  hawser::detail::operation_memory* memory_;
  error_code ec_;
  evidence delivery_;
  std::string detail_;
  int unwinding_ = std::uncaught_exceptions();
};

}  // namespace

/// Connections past their time: closed when the lock is released.
struct pool::retired {
  retired() = default;
  retired(const retired&) = delete;
  retired& operator=(const retired&) = delete;
  ~retired() {
    while (first != nullptr) {
      const connection_ptr c(std::exchange(first, first->next), false);
      c->close();
    }
  }
  /// Takes the connection out of the pool, with a reference of its own.
  void take_locked(pool& from, connection& c) noexcept {
    c.retain();
    from.unlink_locked(c);
    c.next = std::exchange(first, &c);
  }
  connection* first = nullptr;
};

pool::pool(environment env, settings s)
    : settings_(std::move(s)),
      executor_(env.executor()),
      max_idle_(settings_.pool.max_idle.value_or(settings_.pool.max_connections)),
      closes_idle_(env.source().runs_by_itself()),
      env_(std::move(env)) {
  constexpr std::size_t most_reserved = 1024;  // who sets no limit does not have that many
  idle_.reserve(std::min({max_idle_, settings_.pool.max_connections, most_reserved}));
}

pool::~pool() = default;

void pool::post_end(exchange& what, error_code ec, evidence delivery, std::string detail) noexcept {
  using native = boost::asio::io_context::executor_type;
  if (const auto* io = executor_.target<native>()) {  // in memory of the exchange's own
    boost::asio::post(*io, posted_end(what, ec, delivery, std::move(detail)));
    return;
  }
  // Other executors bring their own memory, and are asked until they find some: an end must come.
  for (;;) {
    try {
      boost::asio::post(executor_, posted_end(what, ec, delivery, std::move(detail)));
      return;
    } catch (const std::bad_alloc&) {
      std::this_thread::yield();
    }
  }
}

// --- from the client ---------------------------------------------------------------------------

void pool::start(exchange& what) {
  what.running.owner = nullptr;
  what.running.canceled.store(false);
  dispatch(what, place::back);
}

void pool::dispatch(exchange& what, place in_queue) noexcept {
  for (;;) {
    retired old;
    std::unique_lock lock(mutex_);
    if (!env_) {
      lock.unlock();
      return post_end(what, errc::client_closed, evidence::never_sent, {});
    }
    if (what.running.canceled.load()) {
      lock.unlock();
      return post_end(what, canceled_error(), evidence::never_sent, {});
    }
    const time_point now = env_->now();
    if (const connection_ptr c = take_idle_locked(now, old)) {
      what.running.owner = c.get();
      ++reused_;
      const bool crowded = total_ - idle_.size() > 1;
      lock.unlock();
      switch (c->begin(what, now, crowded)) {
        case connection::start::running: return;
        case connection::start::stale: remove(*c, &what); break;
        case connection::start::canceled: give_back(*c, &what, now); break;
      }
      continue;
    }
    const bool my_turn = in_queue == place::front || pending_ == 0;
    if (my_turn && total_ < settings_.pool.max_connections) {
      const connection_ptr c = add_locked(now);
      what.running.owner = c.get();
      lock.unlock();
      if (!c) return post_end(what, hawser::detail::out_of_memory(), evidence::never_sent, {});
      return c->open(what, now);
    }
    if (enqueue_locked(what, in_queue, now)) return;
    std::string detail = load_locked();
    lock.unlock();
    return post_end(what, errc::pool_full, evidence::never_sent, std::move(detail));
  }
}

void pool::cancel(exchange& what) noexcept {
  what.running.canceled.store(true);
  connection_ptr c;
  {
    const std::lock_guard lock(mutex_);
    if (what.running.owner == nullptr) return;
    if (what.running.owner != this)
      c = static_cast<connection*>(what.running.owner);
    else
      unqueue_locked(what);
  }
  if (c)
    c->cancel(what);
  else
    post_end(what, canceled_error(), evidence::never_sent, {});
}

void pool::close() noexcept {
  std::optional<environment> env;
  exchange* waiting = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (env_) env_->remove(*this);
    env.swap(env_);
    idle_.clear();
    waiting = head_;
    while (pop_pending_locked() != nullptr) {
    }
  }
  while (waiting != nullptr) {
    exchange* const one = std::exchange(waiting, waiting->running.next);
    post_end(*one, errc::client_closed, evidence::never_sent, {});
  }
  while (const connection_ptr c = next_to_close()) c->close();
}

/// A connection that was not told to close yet.
connection_ptr pool::next_to_close() noexcept {
  const std::lock_guard lock(mutex_);
  connection* c = first_;
  while (c != nullptr && c->told_to_close) c = c->next;
  if (c != nullptr) c->told_to_close = true;
  return c;
}

void pool::abandon() noexcept {
  std::optional<environment> env;
  connection* all = nullptr;
  exchange* waiting = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (env_) env_->remove(*this);
    env.swap(env_);
    while (first_ != nullptr) {
      connection* const c = first_;
      c->retain();
      unlink_locked(*c);
      c->next = std::exchange(all, c);
    }
    idle_.clear();
    waiting = head_;
    while (pop_pending_locked() != nullptr) {
    }
  }
  while (waiting != nullptr) std::exchange(waiting, waiting->running.next)->on_abandoned();
  while (all != nullptr) {
    const connection_ptr c(std::exchange(all, all->next), false);
    c->abandon();
  }
}

transport_stats pool::stats() const noexcept {
  const std::lock_guard lock(mutex_);
  return {total_, idle_.size(), pending_, opened_, reused_};
}

// --- from connections --------------------------------------------------------------------------

void pool::give_back(connection& c, exchange* done, time_point now) noexcept {
  retired old;
  exchange* next = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (done != nullptr) done->running.owner = nullptr;
    if (!c.listed) return;
    if (!env_ || expired_locked(c, now) || (pending_ == 0 && idle_.size() >= max_idle_)) {
      old.take_locked(*this, c);
      if (env_) next = pop_pending_locked();
    } else if ((next = pop_pending_locked()) == nullptr) {
      idle_.push_back(&c);
      if (closes_idle_) wake_by_locked(std::min(c.usable_until, c.too_old));
      return;
    } else {
      next->running.owner = &c;
      ++reused_;
    }
  }
  if (next == nullptr) return;
  if (old.first != nullptr) return dispatch(*next, place::front);
  switch (c.begin(*next, now, true)) {
    case connection::start::running: return;
    case connection::start::stale: remove(c, next); break;
    case connection::start::canceled: give_back(c, next, now); break;
  }
  dispatch(*next, place::front);
}

void pool::remove(connection& c, exchange* done) noexcept {
  const connection_ptr keep(&c);
  exchange* next = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (done != nullptr) done->running.owner = nullptr;
    if (!c.listed) return;
    unlink_locked(c);
    if (env_) next = pop_pending_locked();
  }
  if (next != nullptr) dispatch(*next, place::front);
}

// --- connections -------------------------------------------------------------------------------

connection_ptr pool::take_idle_locked(time_point now, retired& old) noexcept {
  const auto retire = [&](connection* c) { old.take_locked(*this, *c); };
  // The one unused for longest is looked at each time, so that none outstays its time in a pool
  // that is in use.
  while (!idle_.empty() && expired_locked(*idle_.front(), now)) retire(idle_.front());
  while (!idle_.empty()) {
    connection* const c = idle_.back();
    if (expired_locked(*c, now)) {
      retire(c);
      continue;
    }
    idle_.pop_back();
    return c;
  }
  return nullptr;
}

/// Takes out those past their time. When the next will be.
time_point pool::retire_idle_locked(time_point now, retired& old) noexcept {
  time_point next = never;
  for (std::size_t i = 0; i < idle_.size();) {
    if (expired_locked(*idle_[i], now)) {
      old.take_locked(*this, *idle_[i]);
    } else {
      next = std::min({next, idle_[i]->usable_until, idle_[i]->too_old});
      ++i;
    }
  }
  return next;
}

bool pool::expired_locked(const connection& c, time_point now) const noexcept {
  return now >= std::min(c.usable_until, c.too_old);
}

connection_ptr pool::add_locked(time_point now) {
  connection_ptr c;
  try {
    c.reset(new connection(*this, *env_));
  } catch (const std::bad_alloc&) {
    return c;
  }
  if (const auto& age = settings_.pool.max_age) {
    const double part = 1.0 - age_spread * env_->random().uniform();
    c->too_old =
        later(now, duration(static_cast<duration::rep>(static_cast<double>(age->count()) * part)));
  }
  c->listed = true;
  c->next = first_;
  if (first_ != nullptr) first_->previous = c.get();
  first_ = c.get();
  c->retain();
  ++total_;
  ++opened_;
  return c;
}

void pool::unlink_locked(connection& c) noexcept {
  (c.previous != nullptr ? c.previous->next : first_) = c.next;
  if (c.next != nullptr) c.next->previous = c.previous;
  c.listed = false;
  --total_;
  std::erase(idle_, &c);
  c.drop();  // callers hold references of their own
}

// --- the queue ---------------------------------------------------------------------------------

bool pool::enqueue_locked(exchange& what, place where, time_point now) {
  auto& links = what.running;
  if (where == place::back) {
    if (pending_ >= settings_.pool.max_pending) return false;
    const auto& wait = settings_.times.pool_wait;
    links.due = std::min(wait ? later(now, *wait) : never, what.deadline);
    links.previous = tail_;
    links.next = nullptr;
    (tail_ != nullptr ? tail_->running.next : head_) = &what;
    tail_ = &what;
  } else {
    links.previous = nullptr;
    links.next = head_;
    (head_ != nullptr ? head_->running.previous : tail_) = &what;
    head_ = &what;
  }
  links.owner = this;
  ++pending_;
  wake_by_locked(links.due);
  return true;
}

void pool::wake_by_locked(time_point due) {
  if (due >= wake_at_) return;
  wake_at_ = due;
  env_->arm(*this, due);
}

void pool::unqueue_locked(exchange& what) noexcept {
  auto& links = what.running;
  (links.previous != nullptr ? links.previous->running.next : head_) = links.next;
  (links.next != nullptr ? links.next->running.previous : tail_) = links.previous;
  links.owner = nullptr;
  if (--pending_ != 0 || wake_at_ == never || closes_idle_) return;
  wake_at_ = never;
  if (env_) env_->disarm(*this);
}

exchange* pool::pop_pending_locked() noexcept {
  exchange* const first = head_;
  if (first == nullptr) return nullptr;
  unqueue_locked(*first);
  return first;
}

std::string pool::waited_story(bool out_of_time, const std::string& load) const noexcept try {
  if (out_of_time) return "its deadline passed while it waited for a connection: " + load;
  return "waited " + in_words(*settings_.times.pool_wait) + " (time_limits.pool_wait): " + load;
} catch (const std::bad_alloc&) {
  return {};
}

void pool::expired() noexcept {
  exchange* late = nullptr;
  std::string detail;
  time_point now{};
  retired old;
  {
    const std::lock_guard lock(mutex_);
    if (!env_ || (pending_ == 0 && idle_.empty())) {
      wake_at_ = never;
      return;
    }
    now = env_->now();
    time_point due = closes_idle_ ? retire_idle_locked(now, old) : never;
    if (pending_ != 0) detail = load_locked();
    exchange** last = &late;
    for (exchange* e = head_; e != nullptr;) {
      exchange* const following = e->running.next;
      if (e->running.due <= now) {
        unqueue_locked(*e);
        e->running.next = nullptr;
        *last = e;
        last = &e->running.next;
      } else {
        due = std::min(due, e->running.due);
      }
      e = following;
    }
    wake_at_ = due;
    env_->arm(*this, due);
  }
  // Posted, as a user's handler may throw and this may not.
  while (late != nullptr) {
    exchange* const one = std::exchange(late, late->running.next);
    const bool out_of_time = one->deadline <= now;
    post_end(*one, out_of_time ? errc::attempt_timeout : errc::pool_full, evidence::never_sent,
             waited_story(out_of_time, detail));
  }
}

std::string pool::load_locked() const noexcept try {
  return settings_.origin.text + ": " + std::to_string(total_ - idle_.size()) + " of " +
         std::to_string(settings_.pool.max_connections) + " connections in use, " +
         std::to_string(pending_) + " of " + std::to_string(settings_.pool.max_pending) +
         " exchanges waiting";
} catch (const std::bad_alloc&) {
  return {};
}

}  // namespace beast

}  // namespace hawser::inline v0::http
