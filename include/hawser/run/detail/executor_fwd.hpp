// boost::asio::any_io_executor by name: for headers that hand one on without looking into it, so
// that blocking programs need not parse Asio. Not for users.
#pragma once

#include <boost/asio/version.hpp>

// A class of that namespace in Asio 1.26, Boost 1.81's. Elsewhere we do not guess: newer ones put
// their names into an inline namespace, and with this macro it is another class's name.
#if defined(BOOST_ASIO_USE_TS_EXECUTOR_AS_DEFAULT) || BOOST_ASIO_VERSION != 102600
#include <boost/asio/any_io_executor.hpp>
#else

// For g++ the first declaration decides on visibility, and Asio's own makes it visible.
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

namespace boost::asio {
class any_io_executor;
}

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
