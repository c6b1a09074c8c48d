// Feeds every file of a fuzz target's corpus to it, whole and cut short, where libFuzzer is not
// at hand. A crash, a sanitizer's report or an empty corpus fails the test.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

void feed(const std::string& bytes, std::size_t size) {
  // An allocation of exactly this size, so that the address sanitizer sees a read past the end.
  const auto input = std::make_unique<std::uint8_t[]>(size);
  std::copy_n(bytes.begin(), size, input.get());
  LLVMFuzzerTestOneInput(input.get(), size);
}

}  // namespace

int main(int argc, char** argv) {
  int files = 0;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(file), {}};
      feed(bytes, bytes.size());
      feed(bytes, bytes.size() / 2);
      if (!bytes.empty()) feed(bytes, bytes.size() - 1);
      ++files;
    }
  }
  std::printf("%d inputs\n", files);
  return files > 0 ? 0 : 1;
}
