#include "faults/symbols.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string_view>

namespace hawser::test {

namespace {

const char marker = 0;  // somewhere in this program

}  // namespace

symbols::symbols() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  const std::string image{std::istreambuf_iterator<char>(file), {}};
  const auto at = [&]<class T>(std::size_t offset, const T*) {
    return reinterpret_cast<const T*>(image.data() + offset);
  };
  if (image.size() < sizeof(ElfW(Ehdr))) return;
  const auto* const header = at(0, static_cast<const ElfW(Ehdr)*>(nullptr));
  const auto* const sections = at(header->e_shoff, static_cast<const ElfW(Shdr)*>(nullptr));
  std::uintptr_t base = 0;
  if (Dl_info about{};
      header->e_type == ET_DYN && ::dladdr(static_cast<const void*>(&marker), &about) != 0)
    base = reinterpret_cast<std::uintptr_t>(about.dli_fbase);
  for (int i = 0; i < header->e_shnum; ++i) {
    if (sections[i].sh_type != SHT_SYMTAB) continue;
    const char* const names = image.data() + sections[sections[i].sh_link].sh_offset;
    const auto* const table = at(sections[i].sh_offset, static_cast<const ElfW(Sym)*>(nullptr));
    for (std::size_t n = 0; n < sections[i].sh_size / sizeof *table; ++n)
      if (ELF64_ST_TYPE(table[n].st_info) == STT_FUNC && table[n].st_value != 0)
        functions_.push_back(
            {base + table[n].st_value, table[n].st_size, names + table[n].st_name});
  }
  std::sort(functions_.begin(), functions_.end(),
            [](const function& a, const function& b) { return a.begin < b.begin; });
}

namespace {

std::string demangled(const char* name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(name, nullptr, nullptr, &status), std::free);
  return status == 0 ? text.get() : name;
}

}  // namespace

std::string symbols::name_of(const void* address) const {
  const auto at = reinterpret_cast<std::uintptr_t>(address) - 1;  // within the call
  auto it = std::upper_bound(functions_.begin(), functions_.end(), at,
                             [](std::uintptr_t a, const function& f) { return a < f.begin; });
  if (it != functions_.begin() && at - std::prev(it)->begin < std::prev(it)->size)
    return demangled(std::prev(it)->name.c_str());
  Dl_info about{};
  if (::dladdr(reinterpret_cast<const void*>(at), &about) == 0) return "?";
  const std::string name = about.dli_sname != nullptr ? demangled(about.dli_sname) : "?";
  return about.dli_fname != nullptr ? name + " in " + about.dli_fname : name;
}

}  // namespace hawser::test
