#include <hawser/core/error.hpp>
#include <hawser/policy/backoff.hpp>
#include <hawser/version.hpp>

#include <iostream>

static_assert(HAWSER_VERSION >= 100);

int main() {
  const hawser::error why(make_error_code(hawser::errc::call_timeout), "after 2 s");
  std::cout << "hawser " << hawser::version << ": " << why.message() << '\n';
  return why.code() == hawser::condition::timeout ? 0 : 1;
}
