// Goal: the daemon that is shipped has what its compiler and linker can do against mistakes that an
// attacker would use. Method: read the built program as an ELF file. Debug builds and those of the
// sanitizers are built otherwise and are passed over.
#include <catch2/catch.hpp>
#include <elf.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "support/daemon.h"

namespace {

// A 64-bit ELF file of this machine, whole in memory.
class Elf final {
 public:
  explicit Elf(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    REQUIRE(bytes_.size() > sizeof(Elf64_Ehdr));
    REQUIRE(std::memcmp(bytes_.data(), ELFMAG, SELFMAG) == 0);
    REQUIRE(bytes_[EI_CLASS] == ELFCLASS64);
  }
  Elf64_Ehdr head() const { return at<Elf64_Ehdr>(0); }
  // The first of the type; p_type PT_NULL when there is none.
  Elf64_Phdr segment(Elf64_Word type) const {
    for (size_t i = 0; i < head().e_phnum; i++) {
      const auto found = at<Elf64_Phdr>(head().e_phoff + i * sizeof(Elf64_Phdr));
      if (found.p_type == type) return found;
    }
    return {};
  }
  std::string_view section(std::string_view name) const {
    const auto names = header(head().e_shstrndx);
    for (size_t i = 0; i < head().e_shnum; i++) {
      const Elf64_Shdr found = header(i);
      if (name == bytes_.data() + names.sh_offset + found.sh_name) {
        return std::string_view(bytes_).substr(found.sh_offset, found.sh_size);
      }
    }
    return {};
  }
  Elf64_Xword dynamic(Elf64_Sxword tag) const {
    const std::string_view table = section(".dynamic");
    for (size_t at = 0; at + sizeof(Elf64_Dyn) <= table.size(); at += sizeof(Elf64_Dyn)) {
      Elf64_Dyn entry;
      std::memcpy(&entry, table.data() + at, sizeof entry);
      if (entry.d_tag == tag) return entry.d_un.d_val;
    }
    return 0;
  }
  // Symbols of shared libraries that the program uses, and those it gives.
  std::set<std::string> dynamic_symbols() const { return texts(section(".dynstr")); }
  // How each C++ file was compiled; g++ writes it down beside the debug information.
  std::vector<std::string> producers() const {
    std::vector<std::string> found;
    for (const std::string& text : texts(section(".debug_str"))) {
      if (text.starts_with("GNU C++")) found.push_back(text + " ");
    }
    return found;
  }

 private:
  template <typename T>
  T at(size_t offset) const {
    REQUIRE(offset + sizeof(T) <= bytes_.size());
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    return value;
  }
  Elf64_Shdr header(size_t index) const {
    return at<Elf64_Shdr>(head().e_shoff + index * sizeof(Elf64_Shdr));
  }
  static std::set<std::string> texts(std::string_view table) {
    std::set<std::string> found;
    for (size_t at = 0; at < table.size();) {
      const size_t end = std::min(table.find('\0', at), table.size());
      found.emplace(table.substr(at, end - at));
      at = end + 1;
    }
    return found;
  }

  std::string bytes_;
};

bool is_release(const Elf& daemon) {
  for (const std::string& producer : daemon.producers()) {
    if (producer.find(" -O2 ") == std::string::npos) return false;
    if (producer.find("-fsanitize") != std::string::npos) return false;
  }
  return !daemon.producers().empty();
}

}  // namespace

TEST_CASE("hardening: the daemon lies anywhere in memory, and its tables are read-only once bound",
          "[unit][hardening]") {
  const Elf daemon(kvcs::test::kvcs_binary());
  CHECK(daemon.head().e_type == ET_DYN);
  CHECK((daemon.dynamic(DT_FLAGS_1) & DF_1_PIE) != 0);
  CHECK((daemon.dynamic(DT_FLAGS) & DF_BIND_NOW) != 0);
  CHECK(daemon.dynamic(DT_TEXTREL) == 0);
  CHECK(daemon.segment(PT_GNU_RELRO).p_type == PT_GNU_RELRO);
  const Elf64_Phdr stack = daemon.segment(PT_GNU_STACK);
  REQUIRE(stack.p_type == PT_GNU_STACK);
  CHECK((stack.p_flags & PF_X) == 0);
}

TEST_CASE("hardening: every file of a released daemon is compiled with its checks",
          "[unit][hardening]") {
  const Elf daemon(kvcs::test::kvcs_binary());
  if (!is_release(daemon)) return;
  for (const std::string& producer : daemon.producers()) {
    INFO(producer);
    for (const char* flag :
         {"-fstack-protector-strong", "-fstack-clash-protection", "-ftrivial-auto-var-init=zero",
#ifdef __x86_64__
          "-fcf-protection",
#endif
          "-fPIE"}) {
      INFO(flag);
      CHECK(producer.find(std::string(" ") + flag) != std::string::npos);
    }
  }
  const std::set<std::string> symbols = daemon.dynamic_symbols();
  CHECK(symbols.contains("__stack_chk_fail"));
  // A copy whose room is known when the program runs; one into an array; a container's positions.
  CHECK(symbols.contains("__memcpy_chk"));
  CHECK(symbols.contains("__vsnprintf_chk"));
  CHECK(symbols.contains("_ZSt21__glibcxx_assert_failPKciS0_S0_"));
}
