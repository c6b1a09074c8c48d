#include "http/wire/keep_alive.hpp"

#include "http/bytes.hpp"

#include <algorithm>
#include <string_view>

namespace hawser::inline v0::http {

namespace {

// A token or a quoted string without escapes: none of these values needs any.
std::optional<std::uint32_t> number(std::string_view text) noexcept {
  constexpr std::size_t most_digits = 9;
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
    text = bytes::trimmed(text.substr(1, text.size() - 2));
  if (text.empty() || text.size() > most_digits) return std::nullopt;
  std::uint32_t value = 0;
  for (const char c : text) {
    if (!bytes::is(c, bytes::digit)) return std::nullopt;
    value = value * 10 + static_cast<std::uint32_t>(c - '0');
  }
  return value;
}

// Where the first comma or semicolon outside quotes is, or the end.
std::size_t end_of_parameter(std::string_view list) noexcept {
  bool quoted = false;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i] == '"') quoted = !quoted;
    if ((list[i] == ',' || list[i] == ';') && !quoted) return i;
  }
  return list.size();
}

// "\"timeout=5, max=2\"": some servers quote it all.
std::string_view unquoted(std::string_view text) noexcept {
  text = bytes::trimmed(text);
  const bool all = text.size() >= 2 && text.find('"') == 0 && text.find('"', 1) == text.size() - 1;
  return all ? text.substr(1, text.size() - 2) : text;
}

template <class T>
void lower(std::optional<T>& to, std::uint32_t value) noexcept {
  const T given{value};
  to = to ? std::min(*to, given) : given;
}

void read_list(std::string_view list, keep_alive_hint& into) noexcept {
  list = unquoted(list);
  while (!list.empty()) {
    const std::size_t end = end_of_parameter(list);
    const std::string_view parameter = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    const std::size_t equals = parameter.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = unquoted(parameter.substr(0, equals));
    std::string_view text = bytes::trimmed(parameter.substr(equals + 1));
    // "timeout=5 max=2": a blank before a further parameter ends this one.
    const std::size_t blank = text.find_first_of(" \t");
    if (!text.starts_with('"') && blank != std::string_view::npos &&
        text.find('=', blank) != std::string_view::npos) {
      read_list(text.substr(blank), into);
      text = text.substr(0, blank);
    }
    const auto value = number(text);
    if (!value) continue;
    if (same_name(name, "timeout")) lower(into.timeout, *value);
    if (same_name(name, "max")) lower(into.max, *value);
  }
}

}  // namespace

keep_alive_hint read_keep_alive(const headers& h) noexcept {
  keep_alive_hint hint;
  for (const headers::field f : h)
    if (same_name(f.name, "Keep-Alive")) read_list(f.value, hint);
  return hint;
}

duration safe_idle_time(std::chrono::seconds announced) noexcept {
  const std::chrono::milliseconds all = announced;
  return std::max(all - std::chrono::seconds(1), all / 2);
}

}  // namespace hawser::inline v0::http
