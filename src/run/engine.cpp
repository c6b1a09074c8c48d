#include "engine.hpp"

#include "hawser/observe/redactor.hpp"
#include "hawser/run/detail/value.hpp"

#include "core/printable.hpp"
#include "core/process.hpp"
#include "run/decision.hpp"

#include <algorithm>
#include <exception>
#include <new>

namespace hawser::inline v0::detail {

namespace {

/// For what a call can do without: its story. A call in the middle must not break off for that.
template <class Tell>
void if_memory_allows(Tell tell) {
  try {
    tell();
  } catch (const std::bad_alloc&) {
  }
}

}  // namespace

void engine::make_more_room(std::size_t levels, std::size_t scratch) {
  if (levels > inline_levels) {
    rare().levels = std::make_unique<level[]>(levels + 1);
    levels_ = rare().levels.get() + 1;
    levels_[outside] = {nullptr, never, never};
  }
  if (scratch > inline_scratch) {
    rare().scratch = std::make_unique<std::byte[]>(scratch);
    scratch_ = rare().scratch.get();
  }
}

void engine::leave_all() noexcept {
  while (depth_ > 0) leave(depth_ - 1);
}

void engine::begin(time_point now) {
  now_ = started_ = now;
  if (plan_.made_in != process_generation()) return end_in_child();
  if (options_.within) {
    const time_point until = later(now, *options_.within);
    levels_[outside] = {nullptr, until, until};
    next_timer_ = until;
  }
  if (observed_) tell_start();
  if (deadline_around(0) <= now) return end_without_time();
  descend();
}

void engine::tell_start() {
  hide_names();
  if (call_report* report = options_.report) {
    report->clear();
    if_memory_allows([&] {
      report->pipeline = plan_.name;
      report->operation = shown_name();
      report->correlation = shown_id();
    });
  }
  say(event_kind::call_started, {}, outcome{});
}

/// Allowed no time at all: nothing starts.
void engine::end_without_time() {
  slot_ = outcome{};
  slot_.result = verdict::failed;
  slot_.from = origin::policy;
  slot_.delivery = evidence::never_sent;
  slot_.transient = true;
  slot_.error = errc::call_timeout;
  slot_.why = {plan_.name, reason::limit_elapsed, 0,
               std::chrono::duration<double>(*options_.within).count(), never};
  conclude();
}

/// In a child of fork(): policies and observers are not asked, as other threads of the parent's may
/// have locked them.
void engine::end_in_child() {
  slot_ = not_of_this_process();
  where_ = place::finished;
  if (options_.report == nullptr) return;
  options_.report->clear();
  options_.report->error = slot_.error;
  if_memory_allows([&] { options_.report->pipeline = plan_.name; });
}

/// The way down of a healthy call: every stage lets it through. `perform` takes over where one does
/// not. What `enter` does for one level is written out here, since nothing is cancelled yet.
void engine::descend() {
  const plan_level* at = plan_.levels.data();
  const plan_level* const end = at + plan_.levels.size();
  level* l = levels_;
  time_point deadline = deadline_around(0);
  deadline_ = deadline;
  for (; at != end; ++at, ++l) {
    if (at->limit > duration::zero()) {
      const time_point until = later(now_, at->limit);
      next_timer_ = std::min(next_timer_, until);
      deadline_ = deadline = std::min(deadline, until);
      ::new (l) level{nullptr, until, deadline};
      continue;
    }
    ::new (l) level{nullptr, never, deadline};
    repeatable_ = at->repeatable;
    const step s = guarded([&] { return at->what->begin(scratch_ + at->offset, *this, l->what); });
    if (s.what() != step::verb::call_inner) {
      const int i = static_cast<int>(l - levels_);
      depth_ = i + 1;
      return perform(i, s);
    }
    if (s.at() == never) continue;
    l->timer = s.at();
    next_timer_ = std::min(next_timer_, s.at());
    if (s.is_deadline()) l->deadline = deadline_ = deadline = std::min(deadline, s.at());
  }
  depth_ = static_cast<int>(l - levels_);
  first_attempt();
}

/// The first attempt, and the way up if it has ended already.
void engine::first_attempt() {
  if (start_operation()) ascend();
}

/// The way up of an attempt that nobody cancels.
void engine::ascend() {
  const int innermost = depth_ - 1;
  if (innermost >= 0 && (cause_ != cancel_cause::none || override_level_ != outside))
    return perform(innermost, inner_ended(innermost));
  canceling_ = false;
  if (slot_.plain_success() && !hears_success_)
    pass_success_on();
  else
    pass_on(innermost);
}

/// A plain success on its way up: only those to which it means something are asked.
void engine::pass_success_on() {
  result_passed_on_ = true;
  const plan_level* const plans = plan_.levels.data();
  for (int i = plan_.heard; i >= 0; i = plans[i].heard) {
    const plan_level& at = plans[i];
    stage* const what = levels_[i].what;
    if (at.needs != success_needs::nothing) {
      deadline_ = deadline_around(i);
      repeatable_ = at.repeatable;
      const step s = guarded([&] { return what->inner_done(0, slot_, *this); });
      if (s.what() != step::verb::finish) return stay(i, s);
      if (!result_passed_on_) {
        leave(i);
        return pass_on(i - 1);
      }
      if (at.needs == success_needs::all) what->leave();
    }
    if (!at.trivial) what->~stage();
  }
  depth_ = 0;
  conclude();
}

/// Any outcome on its way up from level `i`: each stage is asked, and leaves.
void engine::pass_on(int i) {
  for (; i >= 0; --i) {
    const step s = tell_stage(i);
    if (s.what() != step::verb::finish) return stay(i, s);
    leave(i);
  }
  depth_ = 0;
  conclude();
}

/// On the way up, level `i` has something else in mind than to leave.
void engine::stay(int i, step s) {
  depth_ = i + 1;
  find_next_timer();  // those that left may have held the nearest one
  perform(i, s);
}

/// Level `i`, the innermost, is left.
void engine::leave(int i) {
  depth_ = i;
  stage* const what = levels_[i].what;
  if (what == nullptr) return;  // a plain limit, or making it has thrown
  what->leave();
  if (!plan_.levels[static_cast<std::size_t>(i)].trivial) what->~stage();
}

/// What a stage, or user code it calls, has thrown becomes the call's failure. In a handler.
step engine::threw() {
  try {
    throw;
  } catch (const std::exception& e) {
    if_memory_allows([&] { rare().thrown = printable(masked(e.what(), plan_.masks.get())); });
  } catch (...) {
    if_memory_allows([&] { rare().thrown = "an exception of unknown type"; });
  }
  outcome o;
  o.result = verdict::failed;
  o.from = origin::policy;
  o.countable = false;
  o.delivery = known_delivery();
  o.error = errc::operation_threw;
  return finish(o);
}

/// Level `i` hears of the outcome of what is inside. A plain limit that has not passed lets it by.
step engine::tell_stage(int i) {
  stage* const what = levels_[i].what;
  if (what == nullptr) return finish(slot_);
  at_level(i);
  return guarded([&] { return what->inner_done(0, slot_, *this); });
}

/// Level `i` is entered. It has no stage, and none to leave, should making it have thrown.
step engine::enter(int i) {
  const plan_level& at = plan_.levels[static_cast<std::size_t>(i)];
  level& l = *::new (&levels_[i]) level{nullptr, never, deadline_around(i)};
  depth_ = i + 1;
  if (at.limit > duration::zero()) return step::call_inner_until(later(now_, at.limit));
  at_level(i);
  return guarded([&] { return at.what->begin(scratch_ + at.offset, *this, l.what); });
}

step engine::ask_timer(int i) {
  const plan_level& at = plan_.levels[static_cast<std::size_t>(i)];
  level& l = levels_[i];
  at_level(i);
  return guarded([&] {
    if (l.what == nullptr) (void)at.what->begin(scratch_ + at.offset, *this, l.what);
    return l.what->timer(*this);
  });
}

void engine::set_timer(int i, time_point at) noexcept {
  const time_point old = std::exchange(levels_[i].timer, at);
  if (at < next_timer_)
    next_timer_ = at;
  else if (old == next_timer_ && old != never)
    find_next_timer();
}

void engine::find_next_timer() noexcept {
  next_timer_ = never;
  for (int i = outside; i < depth_; ++i) next_timer_ = std::min(next_timer_, levels_[i].timer);
}

/// Carries out what level `i` answered, and what follows from it.
void engine::perform(int i, step s) {
  for (;;) {
    const bool inner_running = i < depth_ - 1 || where_ == place::operating;
    switch (s.what()) {
      case step::verb::call_inner:
        if (inner_running) {  // already running: only the timer is new
          set_timer(i, s.at());
          return;
        }
        if (canceling(i)) {
          s = finish(slot_);
          continue;
        }
        if (s.at() != levels_[i].timer) set_timer(i, s.at());
        levels_[i].deadline =
            s.is_deadline() ? std::min(deadline_around(i), s.at()) : deadline_around(i);
        if (static_cast<std::size_t>(depth_) < plan_.levels.size()) {
          s = enter(++i);
        } else {
          if (!run_operation(s)) return;
          i = depth_ - 1;
        }
        continue;

      case step::verb::sleep:
      case step::verb::park:
        if (!inner_running && canceling(i)) {
          s = finish(slot_);
          continue;
        }
        set_timer(i, s.at());
        if (!inner_running) where_ = s.what() == step::verb::park ? place::parked : place::waiting;
        return;

      case step::verb::cancel_inner:
        if (inner_running) {
          cancel_inside(i, cancel_cause::deadline);
          return;
        }
        s = finish(cut_off());  // nothing is inside: the stage itself gives up
        continue;

      case step::verb::finish:
        if (inner_running) {  // what is inside must end first
          override_ = slot_;
          override_level_ = i;
          cancel_inside(i, cancel_cause::deadline);
          return;
        }
        s = finish_level(i);
        if (where_ == place::finished) return;
        --i;
        continue;
    }
  }
}

/// Level `i`, the innermost, leaves with `slot_`. The answer of the level around it.
step engine::finish_level(int i) {
  const bool nearest = levels_[i].timer != never && levels_[i].timer == next_timer_;
  leave(i);
  if (nearest) find_next_timer();
  where_ = place::stepping;
  if (i == 0) {
    conclude();
    return finish(slot_);
  }
  return inner_ended(i - 1);
}

/// What is inside level `i` has ended with `slot_`: what `i` answers.
step engine::inner_ended(int i) {
  const bool forced = canceling(i);
  if (cause_ == cancel_cause::deadline && i == cancel_level_) {
    cause_ = cancel_cause::none;  // back at the stage that asked for it
    find_next_timer();
  }
  if (override_level_ == i) {
    override_level_ = outside;
    // The stage could not know yet what would become of the attempt.
    if (!override_->ok()) override_->delivery = known_delivery();
    return finish(*override_);
  }
  const step s = tell_stage(i);
  return forced && s.what() != step::verb::finish ? finish(slot_) : s;
}

/// False when something else had cut the call off before.
bool engine::note_that_caller_left() noexcept {
  if (cause_ != cancel_cause::none) return false;
  cause_ = cancel_cause::caller;
  cancel_level_ = outside;
  find_next_timer();
  return true;
}

/// Starts an attempt. True when it has ended already; then `s` is the innermost level's answer.
bool engine::run_operation(step& s) {
  if (!start_operation()) return false;
  if (depth_ > 0) s = inner_ended(depth_ - 1);
  return true;
}

/// Starts an attempt. True when it has ended already, with `slot_`.
bool engine::start_operation() {
  if (caller_left()) {
    slot_ = cut_off();
    return true;
  }
  if (attempts_ != 0 && plan_.made_in != process_generation()) {
    slot_ = not_of_this_process();
    return true;
  }
  ++attempts_;
  attempt_started_ = now_;
  if (observed_) say(event_kind::attempt_started, {}, outcome{});
  where_ = place::operating;
  if (!std::exchange(result_is_new_, false)) slot_ = outcome{};
  const time_point deadline = deadline_around(depth_);
  if (!operation_.start({attempts_, now_, deadline, &options_.stop}, slot_)) return false;
  const time_point now = plan_.env.now();
  now_ = now;
  if (next_timer_ <= now) limits_passed(now);
  (void)caller_left();
  launched(now);
  return true;
}

/// Time limits that passed during an attempt that has just ended inline have fired before it ended,
/// as they would have with an asynchronous operation; the stages hear of it in this order.
void engine::limits_passed(time_point now) {
  const outcome ended = slot_;
  while (next_timer_ <= now && where_ == place::operating && cause_ == cancel_cause::none)
    time_passed(now);
  slot_ = ended;
}

/// The operation has ended with `slot_`, which is now seen in the light of a cancellation.
void engine::launched(time_point now) {
  slot_.elapsed = now - attempt_started_;
  delivery_of_last_ = slot_.delivery;
  where_ = place::stepping;
  if (slot_.result == verdict::ok) {
    const bool redirects = slot_.status >= 300 && slot_.status < 400;
    if (!redirects) unresolved_ = false;
    if (observed_) say(event_kind::attempt_finished, slot_.elapsed, slot_);
  } else {
    failed();
  }
}

/// Whether an attempt that the call's own limit cut off says anything of the other side. Sent with
/// the last moments of a call that had waited, it does not.
bool engine::had_fair_time() const noexcept {
  return slot_.elapsed >= (attempt_started_ - started_) / 3;  // a quarter of the call's time
}

void engine::failed() {
  if (slot_.delivery == evidence::maybe_applied) unresolved_ = true;
  // Only an answer about the work itself says what became of the attempts before it: none that a
  // later try may change, nor one that decides nothing, as a 4xx from whoever stands in front, nor
  // a redirect that came without its status.
  const bool definite = slot_.result == verdict::failed && slot_.error != errc::unexpected_status;
  if (slot_.delivery == evidence::answered && !slot_.transient && definite) unresolved_ = false;
  const bool of_attempt =
      cancel_level_ != outside && plan_.levels[static_cast<std::size_t>(cancel_level_)].repeatable;
  if (cause_ != cancel_cause::none) {
    slot_.result = cause_ == cancel_cause::caller ? verdict::ignored : verdict::failed;
    slot_.from = origin::policy;
    slot_.error = canceled_error();
    slot_.transient = true;
    slot_.countable = of_attempt || had_fair_time();
  }
  if (!observed_) return;
  outcome told = slot_;
  if (cause_ == cancel_cause::deadline) {
    told.error = of_attempt ? errc::attempt_timeout : errc::call_timeout;
  }
  say(event_kind::attempt_finished, told.elapsed, told);
}

void engine::attempt_ended(const outcome& o, time_point now) {
  if (where_ != place::operating) return;
  now_ = now;
  slot_ = o;
  launched(now);
  ascend();
}

void engine::time_passed(time_point now) {
  now_ = now;
  while (!finished() && next_timer_ <= now) {
    if (levels_[outside].timer == next_timer_) {
      levels_[outside].timer = levels_[outside].deadline = never;
      find_next_timer();
      if (cause_ == cancel_cause::caller) {
        if (where_ == place::operating) operation_.cancel(true);
        continue;
      }
      if (observed_) {
        outcome o;
        o.error = errc::call_timeout;
        o.why = {plan_.name, reason::limit_elapsed, 0,
                 std::chrono::duration<double>(*options_.within).count(), never};
        say(event_kind::timed_out, *options_.within, o);
      }
      cancel_inside(outside, cancel_cause::deadline);
      return;
    }
    int due = outside;
    for (int i = 0; i < depth_; ++i)
      if (levels_[i].timer == next_timer_) {
        due = i;
        break;
      }
    if (due == outside) {
      find_next_timer();
      continue;
    }
    set_timer(due, never);
    // A stage on its way out is told nothing any more; it ends with what is inside it, which may
    // have shrugged off the caller's kind of cancellation but has no time left now.
    if (canceling(due)) {
      if (where_ == place::operating) operation_.cancel(true);
      continue;
    }
    if (due == depth_ - 1 && where_ != place::operating) where_ = place::stepping;
    perform(due, ask_timer(due));
  }
}

void engine::woken_up(time_point now) {
  if (where_ != place::parked) return;
  now_ = now;
  where_ = place::stepping;
  const int i = depth_ - 1;
  set_timer(i, never);
  at_level(i);
  const step s = guarded([&] { return levels_[i].what->woken(*this); });
  perform(i, s);
}

void engine::cancel_call(time_point now) {
  if (finished()) return;
  now_ = now;
  if (cause_ == cancel_cause::caller) {  // asked again, perhaps for a harder kind of cancellation
    if (where_ == place::operating) operation_.cancel(false);
    return;
  }
  cancel_inside(outside, cancel_cause::caller);
}

/// Ends what runs inside level `i`.
void engine::cancel_inside(int i, cancel_cause why) {
  if (cause_ != cancel_cause::none && cancel_level_ <= i && cause_ >= why) return;
  cancel_level_ = cause_ == cancel_cause::none ? i : std::min(cancel_level_, i);
  cause_ = why;
  find_next_timer();
  if (where_ == place::operating) {
    operation_.cancel(why == cancel_cause::deadline);
    return;
  }
  if (where_ != place::waiting && where_ != place::parked) return;
  // The innermost stage is asleep or parked: it ends now.
  const int last = depth_ - 1;
  where_ = place::stepping;
  set_timer(last, never);
  at_level(last);
  const step s = guarded([&] { return finish(levels_[last].what->canceled(cut_off(), *this)); });
  perform(last, s);
}

/// The outcome of what is cancelled while no attempt runs.
outcome engine::cut_off() const noexcept {
  outcome o;
  o.result = verdict::ignored;
  o.from = origin::policy;
  o.delivery = known_delivery();
  o.error = canceled_error();
  return o;
}

/// The outcome of what may not be done in a child of fork(): the parent does it.
outcome engine::not_of_this_process() const noexcept {
  outcome o;
  o.result = verdict::ignored;
  o.from = origin::policy;
  o.delivery = known_delivery();
  o.error = errc::forked;
  return o;
}

/// The outermost level left: what the caller gets.
void engine::conclude() {
  where_ = place::finished;
  next_timer_ = never;
  if (unresolved_) doubt_success();
  if (!slot_.ok()) conclude_failure();
  if (observed_) tell_end();
}

/// What policies took for a success, a redirect, leaves open whether the work was done.
void engine::doubt_success() {
  if (!slot_.ok() || slot_.from != origin::operation || !may_not_repeat()) return;
  slot_.result = verdict::failed;
  slot_.error = errc::outcome_unknown;
  slot_.delivery = evidence::maybe_applied;
}

/// What a failure means to the caller: who ended the call, and whether it may have had its effect.
void engine::conclude_failure() {
  outcome& o = slot_;
  if (cause_ == cancel_cause::deadline && o.canceled()) {
    o.error = errc::call_timeout;
    o.from = origin::policy;
    o.result = verdict::failed;
  } else if (cause_ == cancel_cause::caller) {
    o.error = canceled_error();
    o.from = origin::policy;
    o.why = {plan_.name, reason::canceled, 0, 0, never};
  }
  if (unresolved_ && o.status == 0) o.delivery = evidence::maybe_applied;
  if (may_not_repeat() && o.delivery == evidence::maybe_applied && o.status == 0 &&
      cause_ != cancel_cause::caller) {
    if_memory_allows([&] {
      std::string& thrown = rare().thrown;
      thrown = "it ended with: " + o.error.message() + (thrown.empty() ? "" : ": " + thrown);
    });
    o.error = errc::outcome_unknown;
    o.from = origin::policy;
  } else if (may_not_repeat() && (unresolved_ || o.delivery == evidence::maybe_applied)) {
    o.delivery = evidence::maybe_applied;  // the answer is still delivered as one
    if (cause_ != cancel_cause::caller) o.error = errc::outcome_unknown;
  }
}

void engine::tell_end() {
  const outcome& o = slot_;
  if (call_report* report = options_.report) {
    report->attempts = attempts_;
    report->elapsed = now_ - started_;
    report->error = o.ok() ? error_code() : o.error;
    report->delivery = o.delivery;
    if (o.ok())
      report->stopped = o.from == origin::fallback ? reason::substituted : reason::succeeded;
    else if (cause_ == cancel_cause::caller)
      report->stopped = reason::canceled;
    else if (report->stopped == reason::none)
      report->stopped = o.why.because;
    // Most failures that no later try mends are no matter for a retry, which says nothing then.
    if (report->stopped == reason::none && o.from == origin::operation && !o.transient &&
        !o.rejected && !o.canceled())
      report->stopped = reason::not_retryable;
  }
  say(event_kind::call_finished, now_ - started_, o);
}

void engine::tell_failure(ending& end) const {
  end.delivery = slot_.delivery;
  const decision what{slot_.why, now_, attempts_};
  if (!rare_ || rare_->thrown.empty()) {
    end.why = tell(slot_.error, what, plan_.masks);
    return;
  }
  std::string detail;
  if_memory_allows([&] {
    std::string plain = to_string(what);
    plain += (plain.empty() ? "" : "; ") + rare_->thrown;
    detail = plan_.masks != nullptr ? plan_.masks->text(plain) : std::move(plain);
  });
  end.why = error(slot_.error, std::move(detail));
}

void engine::hide_names() {
  if (plan_.masks == nullptr) return;
  if_memory_allows([&] {
    rare().name = plan_.masks->text(options_.name);
    rare().correlation = plan_.masks->text(options_.correlation);
  });
}

bool engine::substitute(substitute_source& source, const outcome& failed) {
  return operation_.substitute(source, failed);
}

void engine::say(event_kind kind, duration elapsed, const outcome& o) {
  event e;
  e.kind = kind;
  e.elapsed = elapsed;
  e.error = o.ok() && kind != event_kind::timed_out ? error_code() : o.error;
  e.delivery = o.delivery;
  e.status = o.status;
  e.why = o.why;
  deliver(e);
}

void engine::deliver(event& what) {
  what.at = now_;
  what.pipeline = plan_.name;
  what.operation = shown_name();
  what.correlation = shown_id();
  what.attempt = attempts_;
  if (call_report* report = options_.report) {
    if (what.kind == event_kind::retry_stopped) report->stopped = what.why.because;
    if_memory_allows([&] { note(what, report->entries); });
  }
  for (const auto& listener : plan_.observers) {
    try {
      listener->on_event(what);
    } catch (...) {  // an observer's trouble is not the call's
      if (unwinding_by_force()) throw;
    }
  }
}

void engine::note(const event& what, std::vector<report_entry>& entries) const {
  report_entry entry;
  entry.kind = what.kind;
  entry.at = now_ - started_;
  entry.attempt = what.attempt;
  entry.elapsed = what.elapsed;
  entry.error = what.error;
  entry.delivery = what.delivery;
  entry.status = what.status;
  entry.policy =
      plan_.masks != nullptr ? plan_.masks->text(what.why.policy) : std::string(what.why.policy);
  entry.from = what.from;
  entry.to = what.to;
  entry.because = what.why.because;
  if (what.why.because != reason::none) {
    entry.cause = in_words(what);
    if (plan_.masks != nullptr) entry.cause = plan_.masks->text(entry.cause);
  }
  entries.push_back(std::move(entry));
}

}  // namespace hawser::inline v0::detail
