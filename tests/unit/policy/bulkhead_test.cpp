#include "hawser/policy/bulkhead.hpp"

#include "support/stage_driver.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace hawser::bulkhead_test {
namespace {

using namespace std::chrono_literals;
using test::stage_driver;
using test::stage_under_test;
using test::succeeded;
using test::verb;

/// One call: its stage, and the driver that is its tick and its waker.
struct call {
  explicit call(bulkhead_policy& p, int priority = 0) : s(p) { t.set_priority(priority); }
  verb enter() { return s->enter(t).what(); }
  verb look() { return s->woken(t).what(); }
  void finish() {
    (void)s->inner_done(0, succeeded(), t);
    s->leave();
  }
  void cancel() {
    (void)s->canceled(test::ignored(), t);
    s->leave();
  }
  stage_driver t;
  stage_under_test s;
};

std::string counts(const bulkhead_policy& p) {
  const auto s = p.snapshot();
  return std::to_string(s.in_flight) + "+" + std::to_string(s.queued) + "/" +
         std::to_string(s.limit);
}

TEST(bulkhead, admits_up_to_its_limit_and_refuses_the_rest) {
  bulkhead_policy p({.name = "slots", .max_concurrent = 2});
  call a(p), b(p), c(p);
  EXPECT_EQ(a.enter(), verb::call_inner);
  EXPECT_EQ(b.enter(), verb::call_inner);
  EXPECT_EQ(c.enter(), verb::finish);
  EXPECT_EQ(c.t.result.error, errc::bulkhead_full);
  EXPECT_TRUE(c.t.result.rejected);
  EXPECT_EQ(c.t.result.result, verdict::ignored);
  EXPECT_EQ(c.t.result.delivery, evidence::never_sent);
  EXPECT_EQ(c.t.result.why.policy, "slots");
  EXPECT_EQ(c.t.result.why.because, reason::concurrency);
  EXPECT_EQ(c.t.result.why.measured, 2);
  EXPECT_EQ(c.t.result.why.threshold, 2);
  ASSERT_EQ(c.t.events.size(), 1u);
  EXPECT_EQ(c.t.events[0].kind, event_kind::rejected);
  EXPECT_EQ(c.t.events[0].error, errc::bulkhead_full);
  c.s->leave();
  EXPECT_EQ(counts(p), "2+0/2");
  a.finish();
  EXPECT_EQ(counts(p), "1+0/2");
  EXPECT_EQ(c.enter(), verb::call_inner);  // a stage may be entered again after it left
  c.finish();
  b.finish();
  EXPECT_EQ(counts(p), "0+0/2");
}

TEST(bulkhead, passes_the_inner_outcome_on) {
  bulkhead_policy p({});
  call a(p);
  (void)a.enter();
  EXPECT_EQ(a.s->inner_done(0, test::failed(errc::first_byte_timeout), a.t).what(), verb::finish);
  EXPECT_EQ(a.t.result.error, errc::first_byte_timeout);
  a.s->leave();
  EXPECT_EQ(a.t.events.size(), 0u);
}

TEST(bulkhead, queues_in_order_and_hands_permits_over) {
  bulkhead_policy p({.max_concurrent = 1, .max_queue = 2});
  call a(p), b(p), c(p), d(p);
  (void)a.enter();
  const step parked = b.s->enter(b.t);
  EXPECT_EQ(parked.what(), verb::park);
  EXPECT_EQ(parked.at(), never);
  ASSERT_EQ(b.t.events.size(), 1u);
  EXPECT_EQ(b.t.events[0].kind, event_kind::queued);
  EXPECT_EQ(c.enter(), verb::park);
  EXPECT_EQ(d.enter(), verb::finish);
  EXPECT_EQ(d.t.result.error, errc::bulkhead_full);
  EXPECT_EQ(d.t.result.why.because, reason::queue_full);
  EXPECT_EQ(d.t.result.why.measured, 2);
  EXPECT_EQ(d.t.result.why.threshold, 2);
  d.s->leave();
  EXPECT_EQ(counts(p), "1+2/1");
  a.finish();
  EXPECT_EQ(b.t.wakes, 1);
  EXPECT_EQ(c.t.wakes, 0);
  EXPECT_EQ(counts(p), "1+1/1");
  EXPECT_EQ(c.look(), verb::park);  // a needless wake changes nothing
  EXPECT_EQ(b.look(), verb::call_inner);
  b.finish();
  EXPECT_EQ(c.look(), verb::call_inner);
  c.finish();
  EXPECT_EQ(counts(p), "0+0/1");
}

TEST(bulkhead, a_newcomer_does_not_overtake_the_queue) {
  bulkhead_policy p({.max_concurrent = 1, .max_queue = 2});
  call a(p), b(p), c(p);
  (void)a.enter();
  (void)b.enter();
  a.finish();  // the permit is b's, though b has not looked yet
  EXPECT_FALSE(p.try_acquire());
  EXPECT_EQ(c.enter(), verb::park);
  EXPECT_EQ(b.look(), verb::call_inner);
  b.finish();
  EXPECT_EQ(c.look(), verb::call_inner);
  c.finish();
}

TEST(bulkhead, max_queue_wait_ends_the_wait) {
  bulkhead_policy p({.max_concurrent = 1, .max_queue = 2, .max_queue_wait = 200ms});
  call a(p), b(p);
  (void)a.enter();
  const step parked = b.s->enter(b.t);
  EXPECT_EQ(parked.at(), b.t.now() + 200ms);
  b.t.advance(199ms);
  EXPECT_EQ(b.s->timer(b.t).what(), verb::park);  // early timers look and go on waiting
  b.t.advance(1ms);
  EXPECT_EQ(b.s->timer(b.t).what(), verb::finish);
  EXPECT_EQ(b.t.result.error, errc::bulkhead_timeout);
  EXPECT_EQ(b.t.result.why.because, reason::queue_wait);
  EXPECT_DOUBLE_EQ(b.t.result.why.measured, 0.2);
  EXPECT_DOUBLE_EQ(b.t.result.why.threshold, 0.2);
  EXPECT_EQ(b.t.events.back().kind, event_kind::rejected);
  EXPECT_EQ(b.t.events.back().elapsed, 200ms);
  EXPECT_EQ(counts(p), "1+0/1");
  b.s->leave();
  a.finish();
  EXPECT_EQ(counts(p), "0+0/1");
  EXPECT_EQ(b.t.wakes, 0);
}

TEST(bulkhead, a_grant_beats_the_timer_that_fires_with_it) {
  bulkhead_policy p({.max_concurrent = 1, .max_queue = 1, .max_queue_wait = 200ms});
  call a(p), b(p);
  (void)a.enter();
  (void)b.enter();
  a.finish();
  b.t.advance(200ms);
  EXPECT_EQ(b.s->timer(b.t).what(), verb::call_inner);
  b.finish();
  EXPECT_EQ(counts(p), "0+0/1");
}

TEST(bulkhead, higher_classes_are_served_first) {
  bulkhead_policy p({.max_concurrent = 1, .max_queue = 8});
  call running(p);
  (void)running.enter();
  std::list<call> waiting;
  for (const int priority : {0, 5, -3, 5, 0, 100}) {
    waiting.emplace_back(p, priority);
    EXPECT_EQ(waiting.back().enter(), verb::park);
  }
  running.finish();
  std::vector<int> order;
  for (int i = 0; i < 6; ++i) {
    int index = 0;
    for (call& c : waiting) {
      if (c.t.wakes == 1 && std::find(order.begin(), order.end(), index) == order.end()) {
        order.push_back(index);
        EXPECT_EQ(c.look(), verb::call_inner);
        c.finish();
        break;
      }
      ++index;
    }
  }
  EXPECT_EQ(order, (std::vector<int>{5, 1, 3, 0, 4, 2}));
  EXPECT_EQ(counts(p), "0+0/1");
}

TEST(bulkhead, lifo_under_overload_serves_the_newest_while_the_queue_is_over_half_full) {
  bulkhead_policy p(
      {.max_concurrent = 1, .max_queue = 4, .order = queue_order::lifo_under_overload});
  call running(p), a(p), b(p), c(p), d(p);
  (void)running.enter();
  for (call* w : {&a, &b, &c, &d}) EXPECT_EQ(w->enter(), verb::park);
  running.finish();  // 4 of 4 queued: the newest
  EXPECT_EQ(d.look(), verb::call_inner);
  d.finish();  // 3 of 4: the newest
  EXPECT_EQ(c.look(), verb::call_inner);
  c.finish();  // 2 of 4: the oldest
  EXPECT_EQ(a.look(), verb::call_inner);
  a.finish();
  EXPECT_EQ(b.look(), verb::call_inner);
  b.finish();
  EXPECT_EQ(counts(p), "0+0/1");
}

TEST(bulkhead, a_queued_entry_under_the_service_floor_is_dropped_at_once) {
  bulkhead_policy p({.max_concurrent = 1, .max_queue = 4, .service_floor = 100ms});
  call a(p), b(p), c(p);
  (void)a.enter();
  // Too late on arrival: not queued at all.
  b.t.set_deadline(b.t.now() + 99ms);
  EXPECT_EQ(b.enter(), verb::finish);
  EXPECT_EQ(b.t.result.error, errc::bulkhead_timeout);
  EXPECT_EQ(b.t.result.why.because, reason::deadline);
  EXPECT_DOUBLE_EQ(b.t.result.why.measured, 0.1);
  EXPECT_DOUBLE_EQ(b.t.result.why.threshold, 0.099);
  b.s->leave();
  // Too late while waiting: the timer comes as soon as less than the floor is left.
  c.t.set_deadline(c.t.now() + 300ms);
  const step parked = c.s->enter(c.t);
  EXPECT_EQ(parked.at(), c.t.now() + 200ms + 1ns);
  c.t.advance(200ms + 1ns);
  EXPECT_EQ(c.s->timer(c.t).what(), verb::finish);
  EXPECT_EQ(c.t.result.why.because, reason::deadline);
  c.s->leave();
  EXPECT_EQ(counts(p), "1+0/1");
  a.finish();
}

TEST(bulkhead, a_grant_skips_those_who_cannot_be_served_in_time) {
  bulkhead_policy p({.max_concurrent = 1, .max_queue = 4, .service_floor = 100ms});
  call a(p), b(p), c(p);
  (void)a.enter();
  b.t.set_deadline(b.t.now() + 300ms);
  (void)b.enter();
  (void)c.enter();
  a.t.advance(250ms);
  a.finish();  // b has 50 ms left; its own timer is merely late
  EXPECT_EQ(c.t.wakes, 1);
  EXPECT_EQ(c.look(), verb::call_inner);
  b.t.advance(250ms);
  EXPECT_EQ(b.look(), verb::finish);
  EXPECT_EQ(b.t.result.why.because, reason::deadline);
  b.s->leave();
  c.finish();
  EXPECT_EQ(counts(p), "0+0/1");
}

TEST(bulkhead, a_permit_granted_too_late_is_passed_on) {
  bulkhead_policy p({.max_concurrent = 1, .max_queue = 4});
  call a(p), b(p), c(p);
  (void)a.enter();
  b.t.set_deadline(b.t.now() + 300ms);
  (void)b.enter();
  (void)c.enter();
  a.finish();
  b.t.advance(300ms);
  EXPECT_EQ(b.look(), verb::finish);
  EXPECT_EQ(b.t.result.error, errc::bulkhead_timeout);
  EXPECT_EQ(b.t.result.why.because, reason::deadline);
  EXPECT_EQ(c.t.wakes, 0);
  b.s->leave();
  EXPECT_EQ(c.look(), verb::call_inner);
  c.finish();
  EXPECT_EQ(counts(p), "0+0/1");
}

TEST(bulkhead, an_expired_deadline_is_not_queued) {
  bulkhead_policy p({.max_concurrent = 1, .max_queue = 4});
  call a(p), b(p);
  (void)a.enter();
  b.t.set_deadline(b.t.now());
  EXPECT_EQ(b.enter(), verb::finish);
  EXPECT_EQ(b.t.result.error, errc::bulkhead_timeout);
  b.s->leave();
  EXPECT_EQ(counts(p), "1+0/1");
  a.finish();
}

TEST(bulkhead, a_waiter_that_leaves_loses_and_mints_no_permit) {
  bulkhead_policy p({.max_concurrent = 1, .max_queue = 4});
  call a(p), b(p), c(p), d(p);
  (void)a.enter();
  for (call* w : {&b, &c, &d}) EXPECT_EQ(w->enter(), verb::park);
  c.cancel();  // in the middle of the queue
  EXPECT_EQ(counts(p), "1+2/1");
  a.finish();  // b is granted ...
  b.cancel();  // ... and leaves without having looked: the permit goes on
  EXPECT_EQ(counts(p), "1+0/1");
  EXPECT_EQ(c.t.wakes, 0);
  EXPECT_EQ(d.t.wakes, 1);
  EXPECT_EQ(d.look(), verb::call_inner);
  d.finish();
  EXPECT_EQ(counts(p), "0+0/1");
}

TEST(bulkhead, a_permit_is_given_back_once_only) {
  bulkhead_policy p({.max_concurrent = 2});
  call a(p), b(p);
  (void)a.enter();
  (void)b.enter();
  a.finish();
  a.s->leave();
  EXPECT_EQ(counts(p), "1+0/2");
  b.finish();
}

/// Asks for a permit by hand in the very moment in which it is given its own.
class asks_when_woken final : public tick, public waker {
 public:
  explicit asks_when_woken(bulkhead_policy& p) : p_(p) { result_ = &result; }
  waker& wake_handle() noexcept override { return *this; }
  void wake() noexcept override { got = static_cast<bool>(p_.try_acquire(&refused)); }
  bool substitute(substitute_source&, const outcome&) override { return false; }

  outcome result;
  refusal refused;
  bool got = false;

 private:
  void deliver(event&) override {}
  bulkhead_policy& p_;
};

TEST(bulkhead, a_permit_on_its_way_to_the_queue_is_told_as_taken) {
  bulkhead_policy p({.max_concurrent = 1, .max_queue = 2});
  call holder(p), second(p);
  asks_when_woken first(p);
  stage_under_test s(p);
  EXPECT_EQ(holder.enter(), verb::call_inner);
  EXPECT_EQ(s->enter(first).what(), verb::park);
  EXPECT_EQ(second.enter(), verb::park);
  p.set_max_concurrent(3);
  EXPECT_FALSE(first.got);
  EXPECT_EQ(first.refused.why.measured, 3) << "two are held, the third is meant for the second";
  EXPECT_EQ(first.refused.why.threshold, 3);
  EXPECT_EQ(s->woken(first).what(), verb::call_inner);
  EXPECT_EQ(second.look(), verb::call_inner);
  s->leave();
  holder.finish();
  second.finish();
  EXPECT_EQ(counts(p), "0+0/3");
}

TEST(bulkhead, shrinking_waits_for_returns_and_growing_starts_the_queue) {
  bulkhead_policy p({.max_concurrent = 3, .max_queue = 8});
  std::list<call> calls;
  for (int i = 0; i < 7; ++i) {
    calls.emplace_back(p);
    (void)calls.back().enter();
  }
  EXPECT_EQ(counts(p), "3+4/3");
  p.set_max_concurrent(1);
  EXPECT_EQ(counts(p), "3+4/1");
  auto running = calls.begin();
  running++->finish();
  running++->finish();
  EXPECT_EQ(counts(p), "1+4/1");  // nobody was let in while over the limit
  p.set_max_concurrent(4);
  EXPECT_EQ(counts(p), "4+1/4");
  p.set_max_concurrent(100);
  EXPECT_EQ(counts(p), "5+0/100");
  running++->finish();
  for (; running != calls.end(); ++running) {
    EXPECT_EQ(running->look(), verb::call_inner);
    running->finish();
  }
  EXPECT_EQ(counts(p), "0+0/100");
}

TEST(bulkhead, shrinking_the_queue_keeps_those_in_it) {
  bulkhead_policy p({.max_concurrent = 1, .max_queue = 4});
  call a(p), b(p), c(p);
  (void)a.enter();
  (void)b.enter();
  p.set_max_queue(0);
  EXPECT_EQ(c.enter(), verb::finish);
  c.s->leave();
  a.finish();
  EXPECT_EQ(b.look(), verb::call_inner);
  b.finish();
}

TEST(bulkhead, permits_by_hand) {
  bulkhead_policy p({.max_concurrent = 1, .max_queue = 1});
  {
    auto permit = p.try_acquire();
    EXPECT_TRUE(permit);
    EXPECT_FALSE(p.try_acquire());
    auto moved = std::move(permit);
    EXPECT_EQ(counts(p), "1+0/1");
    call a(p);
    EXPECT_EQ(a.enter(), verb::park);
    moved.release();
    moved.release();
    EXPECT_EQ(a.look(), verb::call_inner);
    EXPECT_EQ(counts(p), "1+0/1");
    a.finish();
    moved = p.try_acquire();
    EXPECT_TRUE(moved);
  }
  EXPECT_EQ(counts(p), "0+0/1");
}

TEST(bulkhead, an_observer_that_throws_leaks_no_permit) {
  struct throwing final : tick, waker {
    throwing() {
      observed_ = true;
      result_ = &kept;
    }
    waker& wake_handle() noexcept override { return *this; }
    void wake() noexcept override {}
    bool substitute(substitute_source&, const outcome&) override { return false; }
    void deliver(event&) override { throw 1; }
    outcome kept;
  };
  bulkhead_policy p({.max_concurrent = 1, .max_queue = 1});
  call a(p);
  (void)a.enter();
  throwing t;
  stage_under_test s(p);
  EXPECT_THROW((void)s->enter(t), int);
  s->leave();
  EXPECT_EQ(counts(p), "1+0/1");
  a.finish();
  EXPECT_EQ(counts(p), "0+0/1");
}

TEST(bulkhead, bad_options_are_refused_by_name) {
  const auto field_of = [](bulkhead o) -> std::string {
    try {
      bulkhead_policy p(std::move(o));
    } catch (const config_error& e) {
      return e.field();
    }
    return "";
  };
  EXPECT_EQ(field_of({.max_concurrent = 0}), "bulkhead.max_concurrent");
  EXPECT_EQ(field_of({.max_concurrent = 1 << 21}), "bulkhead.max_concurrent");
  EXPECT_EQ(field_of({.max_queue = -1}), "bulkhead.max_queue");
  EXPECT_EQ(field_of({.max_queue = 1 << 21}), "bulkhead.max_queue");
  EXPECT_EQ(field_of({.max_queue_wait = 0ns}), "bulkhead.max_queue_wait");
  EXPECT_EQ(field_of({.service_floor = -1ns}), "bulkhead.service_floor");
  EXPECT_EQ(field_of({.order = static_cast<queue_order>(7)}), "bulkhead.order");
  EXPECT_EQ(field_of({.max_concurrent = (1 << 21) - 1, .max_queue = (1 << 21) - 1}), "");
  bulkhead_policy p({});
  EXPECT_THROW(p.set_max_concurrent(0), config_error);
  EXPECT_THROW(p.set_max_queue(-1), config_error);
  EXPECT_EQ(p.name(), "bulkhead");
  EXPECT_EQ(p.kind(), "bulkhead");
  EXPECT_EQ(make_policy(bulkhead{.name = "x"})->name(), "x");
}

// ---- threads ----

/// A call that really waits, so that grants, timeouts and cancellations meet on several threads.
class blocking_tick final : public tick, public waker {
 public:
  explicit blocking_tick(int priority) {
    result_ = &kept_;
    priority_ = priority;
  }
  waker& wake_handle() noexcept override { return *this; }
  void wake() noexcept override {
    const std::lock_guard guard(lock_);
    woken_ = true;
    changed_.notify_one();
  }
  bool substitute(substitute_source&, const outcome&) override { return false; }
  void deliver(event&) override {}
  void wait() {
    std::unique_lock guard(lock_);
    changed_.wait(guard, [&] { return woken_; });
    woken_ = false;
  }

 private:
  std::mutex lock_;
  std::condition_variable changed_;
  bool woken_ = false;
  outcome kept_;
};

TEST(bulkhead, no_permit_is_lost_or_minted_among_threads) {
  bulkhead_policy p({.max_concurrent = 2, .max_queue = 6});
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  std::atomic<int> served{0};
  const auto worker = [&](int n) {
    seeded_entropy random(static_cast<std::uint64_t>(n));
    for (int i = 0; i < 3'000; ++i) {
      blocking_tick t(n % 2);
      stage_under_test s(p);
      verb got = s->enter(t).what();
      const bool gives_up = random.next() % 4 == 0;
      while (got == verb::park && !gives_up) {
        t.wait();
        got = s->woken(t).what();
      }
      if (got == verb::call_inner) {
        const int now_inside = ++inside;
        int seen = most.load();
        while (now_inside > seen && !most.compare_exchange_weak(seen, now_inside)) {
        }
        if (random.next() % 8 == 0) std::this_thread::yield();
        ++served;
        --inside;
        (void)s->inner_done(0, succeeded(), t);
      }
      s->leave();
    }
  };
  std::vector<std::thread> threads;
  for (int n = 1; n <= 4; ++n) threads.emplace_back(worker, n);
  for (std::thread& t : threads) t.join();
  EXPECT_LE(most, 2);
  EXPECT_GT(served, 0);
  EXPECT_EQ(counts(p), "0+0/2");
}

TEST(bulkhead, resizing_among_threads_strands_nobody) {
  bulkhead_policy p({.max_concurrent = 1, .max_queue = 100});
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int n = 0; n < 3; ++n) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2'000; ++i) {
        blocking_tick t(0);
        stage_under_test s(p);
        verb got = s->enter(t).what();
        while (got == verb::park) {
          t.wait();
          got = s->woken(t).what();
        }
        (void)s->inner_done(0, succeeded(), t);
        s->leave();
      }
    });
  }
  std::thread resizer([&] {
    for (int i = 0; !done; ++i) {
      p.set_max_concurrent(1 + i % 3);
      (void)p.try_acquire();
      std::this_thread::yield();
    }
  });
  for (std::thread& t : threads) t.join();
  done = true;
  resizer.join();
  EXPECT_EQ(p.snapshot().in_flight, 0);
  EXPECT_EQ(p.snapshot().queued, 0);
}

}  // namespace
}  // namespace hawser::bulkhead_test
