#include "hawser/http/headers.hpp"

#include "hawser/http/method.hpp"
#include "http/bytes.hpp"

#include <limits>
#include <stdexcept>

namespace hawser::inline v0::http {

namespace {

// A name that is fit to be shown: a token of a sensible length. Others may be anything, even a
// secret that slipped into the wrong argument.
std::string shown(std::string_view name) {
  if (!is_token(name) || name.size() > 64) return "a header field";
  return "header \"" + std::string(name) + '"';
}

error invalid_name(std::string_view name) {
  if (name.empty()) return {errc::invalid_header, "a header name is empty; give it one"};
  for (std::size_t i = 0; i < name.size(); ++i)
    if (!bytes::is(name[i], bytes::token))
      return {errc::invalid_header, "a header name has byte " + bytes::hex(name[i]) +
                                        " at offset " + std::to_string(i) +
                                        "; names are letters, digits and !#$%&'*+-.^_`|~"};
  return errc::invalid_header;
}

}  // namespace

bool same_name(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i] && bytes::lower(a[i]) != bytes::lower(b[i])) return false;
  return true;
}

void headers::add(std::string_view name, std::string_view value) {
  constexpr std::size_t most = std::numeric_limits<std::uint32_t>::max();
  const std::size_t at = block_.size();
  if (name.size() > most - at || value.size() > most - at - name.size())
    throw std::length_error("hawser::http::headers: over 4 GiB");
  block_.append(name);
  block_.append(value);
  entries_.push_back({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(name.size()),
                      static_cast<std::uint32_t>(value.size())});
}

void headers::extend_last(std::string_view more) {
  constexpr std::size_t most = std::numeric_limits<std::uint32_t>::max();
  entry& last = entries_.back();  // its value ends the block
  if (more.size() >= most - block_.size())
    throw std::length_error("hawser::http::headers: over 4 GiB");
  const std::size_t before = block_.size();
  if (last.value_size != 0) block_ += ' ';
  block_.append(more);
  last.value_size += static_cast<std::uint32_t>(block_.size() - before);
}

result<void> headers::try_add(std::string_view name, std::string_view value) {
  if (auto checked = check_field(name, value); !checked) return checked;
  add(name, value);
  return {};
}

void headers::set(std::string_view name, std::string_view value) {
  remove(name);
  add(name, value);
}

std::size_t headers::remove(std::string_view name) {
  std::size_t removed = 0;
  std::size_t kept = 0;
  std::uint32_t gap = 0;  // bytes taken out so far, by which later fields move down
  for (entry e : entries_) {
    const std::uint32_t size = e.name_size + e.value_size;
    if (same_name(std::string_view(block_.data() + e.at, e.name_size), name)) {
      gap += size;
      ++removed;
      continue;
    }
    if (gap != 0) std::memmove(block_.data() + e.at - gap, block_.data() + e.at, size);
    e.at -= gap;
    entries_[kept++] = e;
  }
  entries_.resize(kept);
  block_.erase(block_.size() - gap);
  return removed;
}

void headers::clear() noexcept {
  block_.clear();
  entries_.clear();
}

void headers::reserve(std::size_t fields, std::size_t bytes) {
  entries_.reserve(fields);
  block_.reserve(bytes);
}

std::optional<std::string_view> headers::find(std::string_view name) const& noexcept {
  for (std::size_t i = 0; i < entries_.size(); ++i)
    if (const field f = (*this)[i]; same_name(f.name, name)) return f.value;
  return std::nullopt;
}

std::optional<std::string> headers::find(std::string_view name) && {
  const headers& named = *this;
  const auto value = named.find(name);
  return value ? std::optional<std::string>(*value) : std::nullopt;
}

std::vector<std::string_view> headers::all(std::string_view name) const& {
  std::vector<std::string_view> values;
  for (const field f : *this)
    if (same_name(f.name, name)) values.push_back(f.value);
  return values;
}

std::vector<std::string> headers::all(std::string_view name) && {
  const headers& named = *this;
  const std::vector<std::string_view> values = named.all(name);
  return {values.begin(), values.end()};
}

bool headers::contains(std::string_view name) const noexcept { return find(name).has_value(); }

result<void> check_field(std::string_view name, std::string_view value) {
  if (!is_token(name)) return invalid_name(name);
  if (const std::size_t at = bytes::first_control(value); at != std::string_view::npos)
    return error(errc::invalid_header, "the value of " + shown(name) + " has control byte " +
                                           bytes::hex(value[at]) + " at offset " +
                                           std::to_string(at) + "; remove or encode it");
  if (!value.empty() && (bytes::is_blank(value.front()) || bytes::is_blank(value.back())))
    return error(errc::invalid_header,
                 "the value of " + shown(name) + " begins or ends with a blank; trim it");
  return {};
}

result<void> check_request_field(std::string_view name, std::string_view value) {
  if (auto checked = check_field(name, value); !checked) return checked;
  for (const std::string_view own : {"Host", "Content-Length", "Transfer-Encoding", "Connection",
                                     "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Upgrade"})
    if (same_name(name, own))
      return error(errc::invalid_header,
                   shown(own) +
                       " is written by the client itself, since it decides where a "
                       "message ends or what becomes of its connection; leave it out");
  return {};
}

}  // namespace hawser::inline v0::http
