#include "hawser/core/effect.hpp"

namespace hawser::inline v0 {

std::string_view to_string(effect what) noexcept {
  switch (what) {
    case effect::safe: return "safe";
    case effect::idempotent: return "idempotent";
    case effect::keyed: return "keyed";
    case effect::unsafe: return "unsafe";
  }
  return "unknown effect";
}

std::string_view to_string(evidence seen) noexcept {
  switch (seen) {
    case evidence::never_sent: return "never sent";
    case evidence::refused: return "refused";
    case evidence::maybe_applied: return "maybe applied";
    case evidence::answered: return "answered";
  }
  return "unknown evidence";
}

}  // namespace hawser::inline v0
