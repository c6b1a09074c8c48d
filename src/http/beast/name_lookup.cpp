#include "http/beast/name_lookup.hpp"

#include "hawser/run/detail/value.hpp"

#include <boost/asio/error.hpp>

#include <netdb.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <memory>
#include <utility>

namespace hawser::inline v0::http::beast {

namespace asio = boost::asio;

namespace {

struct free_addresses {
  void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};

/// RFC 3493 section 6.1's errors, as Asio has them.
error_code in_asio(int why, int system) noexcept {
  switch (why) {
    case EAI_AGAIN: return asio::error::host_not_found_try_again;
    case EAI_BADFLAGS: return asio::error::invalid_argument;
    case EAI_FAIL: return asio::error::no_recovery;
    case EAI_FAMILY: return asio::error::address_family_not_supported;
    case EAI_MEMORY: return hawser::detail::out_of_memory();
    case EAI_SERVICE: return asio::error::service_not_found;
    case EAI_SOCKTYPE: return asio::error::socket_type_not_supported;
    case EAI_SYSTEM: return {system, boost::system::system_category()};
    default: return asio::error::host_not_found;  // none of that name, or none with an address
  }
}

name_lookup::addresses addresses_in(const addrinfo* list) {
  name_lookup::addresses found;
  for (; list != nullptr; list = list->ai_next) {
    if (list->ai_family != AF_INET && list->ai_family != AF_INET6) continue;
    asio::ip::tcp::endpoint one;
    if (list->ai_addrlen > one.capacity()) continue;
    std::memcpy(one.data(), list->ai_addr, list->ai_addrlen);
    one.resize(list->ai_addrlen);
    found.push_back(one);
  }
  return found;
}

}  // namespace

void name_lookup::begin(const std::shared_ptr<name_lookup>& lookup,
                        hawser::detail::side_threads& threads) {
  try {
    threads.run(lookup);
  } catch (const std::exception&) {
    lookup->end(hawser::detail::describe(std::current_exception()).code(), {});
  }
}

void name_lookup::run() noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!over_) return;
  }
  addrinfo wanted{};
  wanted.ai_family = AF_UNSPEC;
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_protocol = IPPROTO_TCP;
  wanted.ai_flags = AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int failed = ::getaddrinfo(host_.c_str(), port_.c_str(), &wanted, &list);
  const int system = errno;
  const std::unique_ptr<addrinfo, free_addresses> kept(list);
  if (failed != 0) return end(in_asio(failed, system), {});
  try {
    end({}, addresses_in(list));
  } catch (const std::bad_alloc&) {
    end(hawser::detail::out_of_memory(), {});
  }
}

void name_lookup::end(error_code ec, addresses found) noexcept {
  const std::lock_guard lock(mutex_);
  if (!over_) return;
  error_ = ec;
  found_ = std::move(found);
  std::exchange(over_, nullptr)();
}

void name_lookup::abandon() noexcept {
  const std::lock_guard lock(mutex_);
  over_ = nullptr;
}

name_lookup::addresses name_lookup::take(error_code& ec) {
  const std::lock_guard lock(mutex_);
  ec = error_;
  return std::move(found_);
}

}  // namespace hawser::inline v0::http::beast
