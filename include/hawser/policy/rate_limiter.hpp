// At most so many calls per time, with a burst, and told by the server when to pause.
//
//   auto rate = std::make_shared<hawser::rate_limiter_policy>(hawser::rate_limiter{
//       .name = "billing", .permits = 50, .per = 1s, .burst = 10, .max_wait = 300ms});
//   builder.add(rate);                          // or .add(hawser::rate_limiter{...})
//   rate->set_rate(100, 1s, 20, now);           // at any time; tokens are kept
//   if (const auto tokens = rate->try_acquire(now)) send();   // by hand
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/core/time.hpp"
#include "hawser/policy/policy.hpp"
#include "hawser/policy/refusal.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace hawser::inline v0 {

/// How permits are counted. What a call takes of them is its cost, 1 by default.
enum class rate_algorithm : std::uint8_t {
  /// A bucket of `burst` tokens that refills evenly: in any span of length t at most
  /// burst + t x permits / per. One atomic word, no lock. Source: generic cell rate algorithm,
  /// ITU-T I.371 (2004), annex A, virtual scheduling.
  gcra,
  /// `permits` in each window of length `per`; a window opens with the first call after the last
  /// one closed. Around an edge up to 2 x `permits` may go out in a shorter span. Takes a lock.
  fixed_window,
  /// `permits` in any span of length `per`, exactly; remembers each permit's time (8 bytes each,
  /// for (max_wait / per + 3) x permits of them). Takes a lock.
  sliding_window,
};

/// Options of a rate limiter.
struct rate_limiter {
  std::string name{};                      ///< Empty: "rate_limiter".
  int permits = 100;                       ///< 1 to one per nanosecond of `per`.
  duration per = std::chrono::seconds(1);  ///< Over 0, at most 366 days.
  std::optional<int> burst{};              ///< At least 1; off: `permits`. Only for `gcra`.
  std::optional<duration> max_wait{};      ///< 0 to 366 days. Off: refused at once.
  /// How tokens come back: evenly, or in windows.
  rate_algorithm algorithm = rate_algorithm::gcra;
  /// Whether the server's word (429, Retry-After) makes a pause; off where another limiter around
  /// the same call sees to that.
  bool heeds_server = true;
  /// A pause of all calls begins only when this share of the last second's, or of the last 40 where
  /// there were more, was turned away: the one or other always is. One is enough for who calls five
  /// times a second or less. 0 to 1; 0: each makes a pause.
  double pause_share = 0.2;
  /// By how much of itself a pause asked for by the server is stretched at random, 0 to 1, so
  /// that clients told the same moment do not return in one burst. Without `max_wait` it is not:
  /// nobody waits for its end here, and those who do elsewhere are to find it over.
  double spread = 0.1;
  /// The longest pause a server can impose, at least 0; longer ones are cut to this.
  duration max_pause = std::chrono::minutes(15);
  /// A pause that the server asked for and that is longer than this is doubted: one of the calls
  /// that come goes out each `probe_every`, and when it is let in the pause is over. Over 0.
  duration long_pause = std::chrono::seconds(15);
  /// Over 0; off: such a pause is kept to its end.
  std::optional<duration> probe_every = std::chrono::seconds(15);
  /// After a pause that the server asked for, those who waited go at this multiple of the rate at
  /// which calls came since it began (or before, if far more came then), and newcomers behind them,
  /// until nobody waits; never over the own rate. At least 1. Only for `gcra`; the others let their
  /// windows' permits go at once.
  double ramp = 1.3;
};

namespace detail {

struct ramp_pace;
class rate_limiter_stage;
class rate_windows;

/// A reservation: a node inside its stage, in the order of admission. Guarded by the policy's lock.
struct rate_waiter {
  enum class status : std::uint8_t { out, waiting, granted, dropped };
  rate_waiter* older = nullptr;
  rate_waiter* newer = nullptr;
  waker* wake = nullptr;
  time_point start{};         // when its tokens will be there
  time_point latest = never;  // later is of no use to it
  time_point armed{};         // what its timer is set to
  std::int64_t receipt = 0;   // for giving back: gcra, where it moved `spent_until_`
  std::uint32_t cost = 1;
  std::uint32_t version = 0;  // of the rate, when granted
  status state = status::out;
};

/// What an attempt to take tokens came to.
struct rate_grant {
  enum class result : std::uint8_t { admitted, reserved, refused, over_burst };
  result what = result::refused;
  std::uint32_t version = 0;
  time_point start{};  // when the tokens will be there; `now` when admitted
  std::int64_t receipt = 0;
  [[nodiscard]] bool admitted() const noexcept { return what == result::admitted; }
};

}  // namespace detail

/// All numbers of one moment.
struct rate_snapshot {
  std::int64_t tokens = 0;                      ///< What could be taken now.
  std::int64_t burst = 0;                       ///< The most there can be.
  int permits = 0;                              ///< The rate in force: so many
  duration per{};                               ///< in this time.
  int waiting = 0;                              ///< Reservations.
  time_point retry_at{};                        ///< When a call of cost 1 gets its token; or now.
  time_point paused_until = time_point::min();  ///< The end of the latest pause.
};

class rate_limiter_policy;

/// Tokens taken by hand. They are spent, unless `give_back` says that nothing was sent. Not
/// thread-safe in itself; may be passed to another thread. Its limiter must outlive it.
class HAWSER_API rate_permit {
 public:
  rate_permit() noexcept = default;
  /// Takes the tokens over; `other` is left empty.
  rate_permit(rate_permit&& other) noexcept
      : from_(std::exchange(other.from_, nullptr)), cost_(other.cost_), grant_(other.grant_) {}
  /// What it held is spent; takes the other's tokens over.
  rate_permit& operator=(rate_permit&& other) noexcept {
    from_ = std::exchange(other.from_, nullptr);
    cost_ = other.cost_;
    grant_ = other.grant_;
    return *this;
  }
  ~rate_permit() = default;

  /// Whether tokens were taken: the call may go out.
  [[nodiscard]] explicit operator bool() const noexcept { return from_ != nullptr; }
  /// Nothing was sent: the tokens go back, unless others were handed out since or the rate was
  /// changed; then they are spent. Later calls do nothing.
  void give_back(time_point now) noexcept;

 private:
  friend class rate_limiter_policy;
  rate_permit(rate_limiter_policy& from, std::uint32_t cost,
              const detail::rate_grant& grant) noexcept
      : from_(&from), cost_(cost), grant_(grant) {}
  rate_limiter_policy* from_ = nullptr;
  std::uint32_t cost_ = 0;
  detail::rate_grant grant_;
};

/// The live rate limiter. All members are thread-safe.
///
/// A call without tokens ends with `errc::rate_limited` (`reason::rate`, and `cause::until` when
/// the tokens will be there), or reserves them if they will be there within `max_wait` and before
/// its deadline (otherwise `reason::deadline`). Reservations are served in order; one that is
/// cancelled gives back exactly what it took and those behind it move up. A cost over the burst is
/// refused at once (`reason::cost_over_burst`). A call that a policy further inside refuses gives
/// its tokens back unless others were handed out since: then they are spent.
///
/// Times of other clocks' making are safe: a reading that goes back mints nothing, and a gap
/// fills the bucket but never over the burst.
class HAWSER_API rate_limiter_policy final : public policy {
 public:
  /// Throws `config_error` naming the field.
  explicit rate_limiter_policy(rate_limiter options);
  ~rate_limiter_policy() override;

  [[nodiscard]] std::string_view kind() const noexcept override { return "rate_limiter"; }
  [[nodiscard]] std::string_view name() const noexcept override { return options_.name; }
  [[nodiscard]] std::size_t stage_size() const noexcept override;
  [[nodiscard]] std::size_t stage_alignment() const noexcept override;
  [[nodiscard]] bool stage_is_trivial() const noexcept override { return true; }
  [[nodiscard]] stage* make_stage(void* memory) override;
  step begin(void* memory, tick& t, stage*& made) override;
  [[nodiscard]] success_needs needs_of_success() const noexcept override {
    return success_needs::nothing;  // but of a probe's
  }

  /// For use by hand, outside a pipeline: takes `cost` tokens if they are there, else none; then
  /// `*refused`, if given, says why (errc::rate_limited) and until when. Never waits, reserves
  /// nothing, allocates nothing. A `cost` of 0 needs no tokens and takes none: it passes an empty
  /// limiter, but neither those who wait nor a pause (with `gcra`, but for its last 1 / rate).
  /// In a pause that is doubted (`long_pause`) it may be the call that goes and sees: tell what
  /// came of it by `server_said_wait`, or `give_back` if nothing was sent; a second without a word
  /// means that it was let in.
  [[nodiscard]] rate_permit try_acquire(time_point now, std::uint32_t cost = 1,
                                        refusal* refused = nullptr) noexcept;

  /// No tokens until `end`, the first one then; a moment before the present pause's end changes
  /// nothing. Reservations move behind it, or are refused if that is too late for them. Nobody goes
  /// out to see whether it is over.
  void pause_until(time_point end) noexcept;
  /// Ends a pause, of whoever's making, now: as if it had been set to end at `now`. After a
  /// server's, who waited goes on the ramp. Without a pause nothing happens.
  void resume(time_point now) noexcept;

  /// What an answer 429 does: a pause of `wait`, cut to `max_pause` and spread. Without a hint
  /// (`duration::min()`, or zero) it takes the tokens that are left. The answers of one storm share
  /// one draw: the largest of many draws would be no spread at all. A shorter `wait` changes
  /// nothing, unless a call is out to see whether a long pause is over: then it is the server's
  /// latest word.
  void server_said_wait(duration wait, time_point now, entropy& random) noexcept;

  /// Another rate; without a `burst` it is `permits`. Tokens in the bucket (up to the new burst),
  /// what windows handed out, reservations and a pause are kept. Throws `config_error`.
  void set_rate(int permits, duration per, std::optional<int> burst, time_point now);

  /// As of `now`. Takes the lock for a moment: for gauges and tests, not for each call.
  [[nodiscard]] rate_snapshot snapshot(time_point now) const noexcept;

 private:
  friend class detail::rate_limiter_stage;
  friend class rate_permit;
  using waiter = detail::rate_waiter;
  using grant = detail::rate_grant;

  /// The interval between two tokens, and how far spending may run ahead: burst x interval.
  struct rate {
    std::int64_t interval = 1;
    std::int64_t ahead = 1;
    std::int64_t burst = 1;
    std::uint32_t version = 0;
  };

  /// What of a `grant` is not known beforehand. It stays in registers.
  struct admission {
    std::int64_t receipt = 0;
    std::uint32_t version = 0;
  };

  static rate rate_of(int permits, duration per, std::optional<int> burst) noexcept;
  bool read_rate(rate& r) const noexcept;
  rate rate_locked() const noexcept;

  bool take_at_once(std::uint32_t cost, time_point now, admission& a) noexcept;
  [[gnu::noinline]] step ask(void* memory, tick& t, stage*& made);
  bool take(std::uint32_t cost, time_point now, grant& g) noexcept;
  [[gnu::noinline]] bool take_under_lock(std::uint32_t cost, time_point now, grant& g) noexcept;
  grant take_locked(std::uint32_t cost, time_point now) noexcept;
  grant plan_locked(std::uint32_t cost, time_point now) noexcept;
  grant take_window_locked(std::uint32_t cost, time_point now) noexcept;
  grant reserve(waiter& w, time_point now) noexcept;
  void cancel(waiter& w, time_point now) noexcept;
  void give_back(std::uint32_t cost, const grant& of, time_point now) noexcept;
  void give_back_locked(std::uint32_t cost, std::int64_t receipt, std::uint32_t version,
                        time_point now) noexcept;

  void append_locked(waiter& w, const grant& g) noexcept;
  void remove_locked(waiter& w, waiter::status to) noexcept;
  void drop_locked(waiter& w, time_point start) noexcept;
  void release_locked(time_point now, const waiter* self) noexcept;
  void move_up_locked(waiter& gone) noexcept;
  std::int64_t reserved_locked(std::int64_t interval) const noexcept;
  void pause_locked(time_point end) noexcept;
  void resume_locked(time_point now) noexcept;
  rate own_rate_locked() const noexcept;
  [[nodiscard]] reason whose_limit(time_point now) const noexcept;
  void write_rate_locked(const rate& to) noexcept;
  void rate_is_written_locked() noexcept;
  template <class BaseOf>
  void change_gcra_locked(const rate& to, const BaseOf& base_of) noexcept;
  void count_out(std::uint32_t cost) noexcept;
  void count_out(std::uint32_t cost, time_point now) noexcept;
  [[gnu::noinline]] void note_rate(time_point now) noexcept;
  void note_rate_locked(time_point now) noexcept;
  void rate_is_free_locked(time_point now) noexcept;
  [[nodiscard]] time_point came_until_locked(time_point now, std::uint64_t came) const noexcept;
  rate ramp_locked(time_point now) const noexcept;
  void begin_ramp_locked(time_point now) noexcept;
  void quicken_ramp_locked(time_point now) noexcept;
  void end_ramp_locked(time_point now) noexcept;
  void account_locked(std::int64_t base) noexcept;
  std::int64_t off_ramp_locked(std::int64_t spent, std::int64_t interval) const noexcept;
  time_point next_probe(time_point now) const noexcept;
  /// An answer 429: whether it makes a pause depends on how many there are.
  void turned_away(duration wait, time_point now, entropy& random) noexcept;
  [[nodiscard]] bool pause_is_due_locked(time_point now) noexcept;
  /// In a pause that is doubted: whether this call may go and see, or finds the pause over.
  /// `watched`: what comes of it will be told.
  bool take_probe(std::uint32_t cost, time_point now, bool watched, grant& g) noexcept;
  void probe_let_in(time_point now) noexcept;
  /// Odd versions are of no rate.
  static bool is_probe(const grant& g) noexcept { return (g.version & 1U) != 0; }
  void probe_undecided(time_point now, time_point at) noexcept;
  cause why_refused(const grant& g, std::uint32_t cost, time_point now,
                    duration allowed) const noexcept;
  void drain_locked(time_point now) noexcept;
  template <class BaseOf>
  void replan_gcra_locked(const BaseOf& base_of) noexcept;
  std::int64_t chain_locked(const rate& r, std::int64_t base, bool apply) noexcept;
  void replan_windows_locked(time_point now) noexcept;

  const rate_limiter options_;
  // The moment up to which tokens are spent (the theoretical arrival time) in ns, reservations
  // included. Beside it the rate, under a version that is odd while the rate changes.
  alignas(64) std::atomic<std::int64_t> spent_until_;
  std::atomic<std::uint32_t> version_{0};
  std::atomic<std::int64_t> interval_{1};
  std::atomic<std::int64_t> ahead_{1};
  std::atomic<std::int64_t> burst_{1};
  // Tokens handed out at once, a statistic: one may be lost where two callers count together.
  std::atomic<std::uint64_t> handed_out_{0};
  std::atomic<time_point::rep> count_at_{time_point::min().time_since_epoch().count()};
  std::unique_ptr<detail::rate_windows> windows_;  // null with gcra

  mutable std::mutex lock_;
  waiter* first_ = nullptr;
  waiter* last_ = nullptr;
  int waiting_ = 0;
  int permits_;  // the rate in force, as it was given
  duration per_;
  time_point paused_until_ = time_point::min();
  time_point by_hand_until_ = time_point::min();  // as far as nobody but `pause_until` said
  // gcra: where spending would stand without the latest pause.
  std::int64_t unpaused_ = time_point::min().time_since_epoch().count();
  time_point server_end_ = time_point::min();  // of the server's pause, before it was spread
  // And after, its ramp included: who is refused before that is told that it is the server's. Read
  // without the lock.
  std::atomic<time_point::rep> server_pause_until_{time_point::min().time_since_epoch().count()};
  double share_ = 0;  // of the spread; drawn once per pause
  // A row of pauses by the server, until everybody who waited has gone.
  bool server_pause_ = false;  // one has begun, and its ramp has not
  bool ramping_ = false;
  const std::unique_ptr<detail::ramp_pace> pace_;
  // Since when nothing has been held, and what had been handed out then; `never`: it is held.
  time_point free_since_ = never;
  std::uint64_t out_before_ = 0;
  time_point server_since_{};
  std::atomic<std::uint64_t> arrivals_{0};  // the cost of all that found no tokens in it
  std::atomic<time_point::rep> last_arrival_{time_point::min().time_since_epoch().count()};
  time_point ramp_since_{};
  std::uint64_t came_before_ramp_ = 0;  // of `arrivals_`
  // Where spending stood on the ramp when it was last counted, and what that is at the own rate.
  std::int64_t ramp_mark_ = 0;
  std::int64_t off_ramp_ = 0;
  std::atomic<time_point::rep> probe_at_{never.time_since_epoch().count()};
  time_point probe_sent_ = never;  // and not turned away so far
  bool probe_watched_ = false;
};

/// The policy of a pipeline's own. Throws `config_error` naming the field.
[[nodiscard]] HAWSER_API std::shared_ptr<policy> make_policy(rate_limiter options);

}  // namespace hawser::inline v0
