# What the chosen components stand on. The same list, by component, is in hawserConfig.cmake.in.

find_package(Boost 1.81 CONFIG REQUIRED COMPONENTS headers)
find_package(Threads REQUIRED)

if(HAWSER_HTTP)
  find_package(OpenSSL 3.0 REQUIRED)
  find_package(nlohmann_json 3.11 CONFIG REQUIRED)
endif()
if(HAWSER_SPDLOG)
  find_package(spdlog 1.10 CONFIG)
  if(NOT spdlog_FOUND)
    message(FATAL_ERROR "hawser::spdlog needs spdlog 1.10 or newer (Debian: libspdlog-dev). "
      "Install it, or leave the component out with -D HAWSER_SPDLOG=OFF.")
  endif()
endif()
if(HAWSER_BUILD_TESTS)
  find_package(GTest 1.12 CONFIG REQUIRED)
  find_package(rapidcheck CONFIG REQUIRED)
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
endif()
if(HAWSER_BUILD_BENCH)
  find_package(benchmark 1.7 CONFIG REQUIRED)
endif()
