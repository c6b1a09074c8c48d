// A plugin as programs load them at run time: with a copy of the library of its own.
#include <hawser/core/error.hpp>
#include <hawser/hawser.hpp>

extern "C" __attribute__((visibility("default"))) void plugin_error(hawser::error_code* ec) {
  const auto p = hawser::pipeline_builder("plugin").build(hawser::environment());
  *ec = p.execute([]() -> int { throw hawser::call_error(hawser::errc::circuit_open); }).error();
}

extern "C" __attribute__((visibility("default"))) const void* plugin_category() {
  return &hawser::error_category();
}
