#include "hawser/core/secret.hpp"

#include "core/wipe.hpp"

#include <cstring>

namespace hawser::inline v0 {

namespace {

struct wiping_delete {
  std::size_t size;
  void operator()(const char* block) const noexcept {
    char* bytes = const_cast<char*>(block);  // ours, and allocated as non-const
    wipe(bytes, size);
    delete[] bytes;
  }
};

}  // namespace

secret::secret(std::string_view text) {
  if (text.empty()) return;
  char* bytes = new char[text.size() + 1];
  std::memcpy(bytes, text.data(), text.size());
  bytes[text.size()] = '\0';
  // On an exception of its own the constructor of shared_ptr calls the deleter.
  block_ = std::shared_ptr<const char>(bytes, wiping_delete{text.size()});
  size_ = text.size();
}

secret secret::take(std::string& text) {
  secret taken{std::string_view(text)};
  wipe(text);
  return taken;
}

bool secret::equals(std::string_view text) const noexcept {
  const std::string_view mine = expose();
  const bool same_size = mine.size() == text.size();
  // Walks all of `text` in any case, against itself when the lengths differ.
  const std::string_view other = same_size ? mine : text;
  volatile unsigned char difference = 0;
  for (std::size_t i = 0; i < text.size(); ++i)
    difference = static_cast<unsigned char>(difference | (text[i] ^ other[i]));
  return same_size && difference == 0;
}

}  // namespace hawser::inline v0
