# What the chosen components stand on. The same list, by component, is in hawserConfig.cmake.in.

find_package(Boost 1.81 CONFIG REQUIRED COMPONENTS headers)
find_package(Threads REQUIRED)

# A library that the project around this one has built itself is not looked for.
if(HAWSER_HTTP)
  find_package(OpenSSL 3.0)
  if(NOT TARGET nlohmann_json::nlohmann_json)
    find_package(nlohmann_json 3.11 CONFIG)
  endif()
  if(NOT TARGET OpenSSL::SSL OR NOT TARGET nlohmann_json::nlohmann_json)
    message(FATAL_ERROR "hawser::http needs OpenSSL 3.0 and nlohmann_json 3.11 or newer (Debian: "
      "libssl-dev, nlohmann-json3-dev). Install them, or leave the component out with "
      "-D HAWSER_HTTP=OFF -D HAWSER_TESTING=OFF.")
  endif()
endif()
if(HAWSER_SPDLOG)
  if(NOT TARGET spdlog::spdlog)
    find_package(spdlog 1.10 CONFIG)
  endif()
  if(NOT TARGET spdlog::spdlog)
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
