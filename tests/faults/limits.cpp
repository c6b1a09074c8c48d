#include "faults/limits.hpp"

#include <algorithm>

namespace hawser::test {

std::span<const limit> limits() {
  static const std::vector<limit> known = {
      {"OpenSSL's first use",
       "an allocation that fails while OpenSSL makes its algorithms for the first time leaves it "
       "without them as long as the process lives; no client can make TLS connections then",
       call::memory,
       {ending::spoilt, ending::unusable},
       {"libcrypto.so"}},
      {"Asio's timer",
       "Asio does not look whether timerfd_settime has failed, and then waits for a timer that is "
       "not "
       "set; Linux documents no state of the machine in which it fails",
       call::timer_set,
       {ending::hang},
       {}},
      {"Asio's set-up",
       "Asio does not look whether its own descriptors could be added to epoll, and is then never "
       "interrupted",
       call::epoll_control,
       {ending::hang},
       {"epoll_reactor::epoll_reactor"}},
      {"the C library's look-up of names",
       "getaddrinfo of glibc 2.36 breaks off, or fails for as long as the process lives, when the "
       "first look-up finds no memory for what it reads from /etc",
       call::memory,
       {ending::crash, ending::spoilt},
       {"getaddrinfo"}},
  };
  return known;
}

const limit* explains(const failure& how, ending end,
                      std::span<const std::vector<std::string>> places) {
  if (places.empty()) return nullptr;
  for (const limit& l : limits()) {
    if (l.what != how.what || std::find(l.endings.begin(), l.endings.end(), end) == l.endings.end())
      continue;
    // What crashed is where it crashed; of anything else the cause is one that failed.
    for (const auto& functions : places.first(end == ending::crash ? 1 : places.size()))
      if (std::all_of(l.functions.begin(), l.functions.end(), [&](std::string_view wanted) {
            return std::any_of(functions.begin(), functions.end(), [&](const std::string& f) {
              return f.find(wanted) != std::string::npos;
            });
          }))
        return &l;
  }
  return nullptr;
}

}  // namespace hawser::test
