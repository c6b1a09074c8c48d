// A program that a test starts, watches, and ends by its id.
//
//   child one({"/bin/true"});
//   EXPECT_TRUE(one.ends_within(1s));
//   EXPECT_EQ(one.exit_code(), 0);
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace hawser::test {

class child {
 public:
  /// Starts `command`, with what it needs to trust a server in HAWSER_TEST_CA unless that is empty.
  explicit child(std::vector<std::string> command, const std::string& authority = {});
  child(const child&) = delete;
  child& operator=(const child&) = delete;
  ~child();

  /// Waits, and ends it where it does not end by itself: then false.
  bool ends_within(std::chrono::milliseconds limit);
  [[nodiscard]] int exit_code() const;  ///< -1 when a signal ended it.
  [[nodiscard]] int signal() const;     ///< 0 when none did.
  [[nodiscard]] std::string how() const;
  /// What it wrote. Waits for its end first.
  [[nodiscard]] std::string output() const;
  [[nodiscard]] std::string errors() const;
  /// From the moment that it printed, on the steady clock, to its end; an hour where it
  /// printed none.
  [[nodiscard]] std::chrono::milliseconds ended_after_last_line() const;

 private:
  void finish(bool wait) const;

  int pid_ = -1;
  int out_ = -1;
  int err_ = -1;
  mutable bool over_ = false;
  mutable int status_ = 0;
  mutable std::chrono::steady_clock::time_point end_;
};

}  // namespace hawser::test
