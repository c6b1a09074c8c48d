// The contract can fail: policies that are broken on purpose, each in one way, and the words in
// which it says so.
#include "hawser/testing/policy_contract.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <ostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace hawser::test::broken_policies_test {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

enum class flaw {
  none,
  gives_back_at_the_end_only,
  throws_on_entering_with_a_permit,
  gives_back_in_a_destructor_that_is_not_run,
  gives_back_twice,
  forgets_to_wake_the_next,
  has_room_for_one_waker_only,
  keeps_the_wakers_of_those_who_left,
  parks_for_ever,
  sleeps_for_ever,
  sleeps_for_a_day,
  asks_for_the_same_moment_again,
  calls_twice,
  calls_for_ever,
  succeeds_without_calling,
  succeeds_when_cancelled,
  fails_without_a_code,
  succeeds_with_a_code,
  is_larger_than_it_says,
};

/// One call at a time; the others are parked. Right but for its flaw.
class gate final : public policy {
 public:
  explicit gate(flaw how) : how_(how) {}
  std::string_view kind() const noexcept override { return "gate"; }
  std::size_t stage_size() const noexcept override {
    return sizeof(on_call) - (how_ == flaw::is_larger_than_it_says ? sizeof(std::uint64_t) : 0);
  }
  std::size_t stage_alignment() const noexcept override { return alignof(on_call); }
  bool stage_is_trivial() const noexcept override { return true; }
  stage* make_stage(void* memory) override { return ::new (memory) on_call(*this); }

  [[nodiscard]] std::string leftover() const {
    if (out_ == 0 && waiting_.empty()) return {};
    return std::to_string(out_) + " permits, " + std::to_string(waiting_.size()) + " waiting";
  }

 private:
  class on_call final : public stage {
   public:
    explicit on_call(gate& g) : gate_(g) {}
    ~on_call() override {
      if (is(flaw::gives_back_in_a_destructor_that_is_not_run)) give_back();
    }
    step enter(tick& t) override {
      switch (gate_.how_) {
        case flaw::sleeps_for_ever: return step::sleep(never);
        case flaw::sleeps_for_a_day: return step::sleep(later(t.now(), 24h));
        case flaw::asks_for_the_same_moment_again: return step::sleep(t.now());
        case flaw::succeeds_without_calling: return t.finish(outcome{});
        default: break;
      }
      return admit(t);
    }
    step timer(tick& t) override {
      if (is(flaw::asks_for_the_same_moment_again)) return step::sleep(t.now());
      return admit(t);
    }
    step woken(tick& t) override { return admit(t); }
    step inner_done(int, const outcome& o, tick& t) override {
      outcome end = o;
      if (is(flaw::calls_for_ever)) return step::call_inner();
      if (is(flaw::calls_twice) && ++calls_ == 1) return step::call_inner();
      if (is(flaw::fails_without_a_code)) end.error = {};
      if (is(flaw::succeeds_with_a_code)) end.result = verdict::ok;
      if (is(flaw::gives_back_at_the_end_only) || is(flaw::gives_back_twice)) give_back();
      return t.finish(end);
    }
    outcome canceled(const outcome& o, tick&) override {
      return is(flaw::succeeds_when_cancelled) ? outcome{} : o;
    }
    void leave() noexcept override {
      if (!is(flaw::keeps_the_wakers_of_those_who_left)) std::erase(gate_.waiting_, waker_);
      if (is(flaw::gives_back_at_the_end_only) ||
          is(flaw::gives_back_in_a_destructor_that_is_not_run))
        return;
      if (holds_) give_back();
    }

   private:
    [[nodiscard]] bool is(flaw f) const noexcept { return gate_.how_ == f; }
    step admit(tick& t) {
      if (gate_.out_ > 0 || is(flaw::parks_for_ever)) {
        waker_ = &t.wake_handle();
        if (is(flaw::has_room_for_one_waker_only)) gate_.waiting_.clear();
        std::erase(gate_.waiting_, waker_);
        gate_.waiting_.push_back(waker_);
        return step::park();
      }
      ++gate_.out_;
      if (is(flaw::throws_on_entering_with_a_permit)) throw std::runtime_error("a callback");
      holds_ = true;
      return step::call_inner();
    }
    void give_back() noexcept {
      --gate_.out_;
      if (is(flaw::forgets_to_wake_the_next)) return;
      const std::vector<waker*> all = gate_.waiting_;
      for (waker* w : all) w->wake();
    }

    gate& gate_;
    waker* waker_ = nullptr;
    int calls_ = 0;
    bool holds_ = false;
    [[maybe_unused]] std::uint64_t last_ = 0;
  };

  const flaw how_;
  int out_ = 0;
  std::vector<waker*> waiting_;
};

struct case_of {
  const char* name;
  flaw how;
  const char* said;
  bool tells_leftovers = true;
  std::size_t enough = 1;
};

std::ostream& operator<<(std::ostream& out, const case_of& c) { return out << c.name; }

const case_of cases[] = {
    {"permit_kept_when_the_context_goes", flaw::gives_back_at_the_end_only,
     "gate: still held when no call is left: 1 permits, 0 waiting (first seen "},
    {"permit_lost_and_nobody_tells", flaw::throws_on_entering_with_a_permit,
     "long after the last call it does not treat a healthy one as a fresh policy does: fresh: "
     "the operation threw an exception; look at its text, used: the call did not finish within its "
     "time limit",
     false, 2},
    {"permit_lost_by_throwing", flaw::throws_on_entering_with_a_permit, "still held"},
    {"permit_lost_in_a_destructor", flaw::gives_back_in_a_destructor_that_is_not_run, "still held"},
    {"permit_given_back_twice", flaw::gives_back_twice, "still held when no call is left: -"},
    {"next_not_woken", flaw::forgets_to_wake_the_next,
     "a call did not end by itself, though all that it called had ended: its stage is parked, and "
     "nobody wakes it"},
    {"one_waker_only", flaw::has_room_for_one_waker_only, "its stage is parked, and nobody wakes"},
    {"wakes_those_who_left", flaw::keeps_the_wakers_of_those_who_left,
     "a stage was woken after it left: its waker was not taken back in leave()"},
    {"parks_for_ever", flaw::parks_for_ever, "its stage is parked, and nobody wakes it"},
    {"sleeps_for_ever", flaw::sleeps_for_ever, "did not end by itself"},
    {"sleeps_for_ever_in_full", flaw::sleeps_for_ever, "its stage sleeps for ever"},
    {"sleeps_for_a_day", flaw::sleeps_for_a_day, "its stage sleeps for too long"},
    {"goes_round_in_circles", flaw::asks_for_the_same_moment_again,
     "a stage asked for the same moment again and again, for ever"},
    {"calls_twice", flaw::calls_twice,
     "a stage called what is inside more often for one call than amplification() admits, which is "
     "1"},
    {"calls_for_ever", flaw::calls_for_ever, "more often for one call than amplification() admits"},
    {"succeeds_without_calling", flaw::succeeds_without_calling,
     "a stage finished with a success though nothing was called that could give one"},
    {"succeeds_when_cancelled", flaw::succeeds_when_cancelled,
     "a stage finished with a success though nothing was called that could give one"},
    {"fails_without_a_code", flaw::fails_without_a_code,
     "a stage finished with a failure that names no error"},
    {"succeeds_with_a_code", flaw::succeeds_with_a_code,
     "a stage finished with a success that carries an error"},
    {"larger_than_it_says", flaw::is_larger_than_it_says, "a stage wrote behind its stage_size()"},
};

testing::contract_subject subject(const case_of& c) {
  testing::contract_subject s{.name = "gate",
                              .make = [how = c.how] { return std::make_shared<gate>(how); }};
  if (c.tells_leftovers)
    s.leftover = [](policy& p, time_point) { return static_cast<gate&>(p).leftover(); };
  s.enough = c.enough;
  return s;
}

TEST(contract_itself, is_content_with_a_policy_that_is_right) {
  case_of right{"none", flaw::none, ""};
  EXPECT_THAT(testing::check_policy_contract(subject(right)), IsEmpty());
}

class contract_itself : public ::testing::TestWithParam<case_of> {};

TEST_P(contract_itself, names_what_is_broken) {
  const std::vector<std::string> found = testing::check_policy_contract(subject(GetParam()));
  EXPECT_THAT(found, Contains(HasSubstr(GetParam().said)));
  for (const std::string& line : found) EXPECT_THAT(line, HasSubstr(" runs)"));
}

INSTANTIATE_TEST_SUITE_P(broken, contract_itself, ::testing::ValuesIn(cases),
                         [](const auto& which) { return which.param.name; });

}  // namespace
}  // namespace hawser::test::broken_policies_test
