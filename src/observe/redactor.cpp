#include "hawser/observe/redactor.hpp"

#include "observe/masking_decode.hpp"
#include "observe/masking_patterns.hpp"
#include "observe/masking_rules.hpp"

#include <algorithm>
#include <array>

namespace hawser::inline v0 {

namespace {

using detail::redaction_rules;

/// What is printed when masking itself fails, as when memory runs out. Short enough to need none.
constexpr const char* unprintable = "[unprintable]";

template <class Mask>
std::string guarded(const redaction_rules& rules, Mask mask) noexcept {
  try {
    return rules.finish(mask());
  } catch (...) {
    return unprintable;
  }
}

/// "application/json" of "Application/JSON; charset=utf-8"; empty if that is not a media type.
std::string essence(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (!type.empty() && detail::is_space(type.front())) type.remove_prefix(1);
  while (!type.empty() && detail::is_space(type.back())) type.remove_suffix(1);
  std::string name;
  for (const char c : type) {
    const bool token =
        detail::is_alnum(c) || c == '/' || c == '+' || c == '-' || c == '.' || c == '_';
    if (!token || name.size() == 100) return {};
    name += detail::to_lower(c);
  }
  return name;
}

bool is_json_lines(std::string_view type) noexcept {
  constexpr std::array<std::string_view, 4> names = {"application/x-ndjson", "application/ndjson",
                                                     "application/jsonl", "application/json-seq"};
  return std::find(names.begin(), names.end(), type) != names.end();
}

std::string size_mark(std::string_view what, std::size_t bytes) {
  std::string mark = "[";
  if (!what.empty()) mark.append(what).append(" ");
  return mark.append("body, ").append(std::to_string(bytes)).append(" bytes]");
}

std::string mask_json(const redaction_rules& rules, std::string_view text) {
  std::optional<std::string> masked = rules.json(text);
  return masked ? std::move(*masked) : size_mark("unparseable", text.size());
}

std::string mask_json_lines(const redaction_rules& rules, std::string_view text) {
  std::string out;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, end - begin);
    if (line.starts_with('\x1e')) line.remove_prefix(1);  // RFC 7464
    if (line.find_first_not_of(" \t\r") != detail::npos) out += mask_json(rules, line);
    if (end < text.size()) out += '\n';
    begin = end + 1;
  }
  return out;
}

}  // namespace

redactor::redactor() : redactor(redaction{}) {}

redactor::redactor(redaction options) : rules_(std::make_shared<const redaction_rules>(options)) {}

redactor::redactor(const redactor&) noexcept = default;
redactor& redactor::operator=(const redactor&) noexcept = default;
redactor::~redactor() = default;

std::string redactor::header(std::string_view name, std::string_view value) const noexcept {
  return guarded(*rules_, [&] {
    const detail::name_entry* entry = rules_->header_entry(name);
    return entry != nullptr && !redaction_rules::is_count(*entry, value)
               ? rules_->credential(entry->style, value)
               : rules_->masked(value);
  });
}

std::string redactor::url(std::string_view url) const noexcept {
  return guarded(*rules_, [&] { return rules_->url(url); });
}

std::string redactor::json(std::string_view text) const noexcept {
  return guarded(*rules_, [&] { return mask_json(*rules_, text); });
}

std::string redactor::form(std::string_view text) const noexcept {
  return guarded(*rules_, [&] { return rules_->form(text, false); });
}

std::string redactor::body(std::string_view content_type, std::string_view bytes) const noexcept {
  return guarded(*rules_, [&]() -> std::string {
    if (bytes.empty()) return {};
    const std::string type = essence(content_type);
    if (rules_->max_body && bytes.size() > *rules_->max_body) return size_mark(type, bytes.size());
    if (type == "application/json" || type == "text/json" || type.ends_with("+json"))
      return mask_json(*rules_, bytes);
    if (is_json_lines(type)) return mask_json_lines(*rules_, bytes);
    if (type == "application/x-www-form-urlencoded") return rules_->form(bytes, false);
    if (type == "text/plain" || type == "text/event-stream") return rules_->masked(bytes);
    return size_mark(type, bytes.size());
  });
}

std::string redactor::text(std::string_view text) const noexcept {
  return guarded(*rules_, [&] { return rules_->masked(text); });
}

std::string redactor::value(std::string_view value, mask_style style) const noexcept {
  return guarded(*rules_, [&] {
    if (style == mask_style::keyed_hash && !rules_->hash) style = mask_style::fixed;
    return rules_->replacement(style, value);
  });
}

bool redactor::is_secret_header(std::string_view name) const noexcept {
  return rules_->header_entry(name) != nullptr;
}

std::shared_ptr<const redactor> make_redactor(redaction options) {
  return std::make_shared<const redactor>(std::move(options));
}

}  // namespace hawser::inline v0
