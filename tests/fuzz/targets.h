// Every parser of bytes from outside as a function of bytes alone, so that libFuzzer (main.cc) and
// the tests (corpus_test.cc) feed the same code. A target aborts when a promise of the parser is
// broken: what it accepts must read back the same, and the size of the pieces that bytes arrive in
// must not matter. One thread.
#pragma once
#include <string_view>
#include <vector>

namespace kvcs::fuzz {

struct Target {
  std::string_view name;  // Its corpus is tests/fuzz/corpus/<name>/.
  void (*run)(std::string_view bytes);
};

std::vector<Target> file_targets();  // The formats of caches: file_targets.cc
std::vector<Target> text_targets();  // HTTP, JSON, URLs, schedules: text_targets.cc

inline std::vector<Target> all_targets() {
  std::vector<Target> all = file_targets();
  for (const Target& target : text_targets()) all.push_back(target);
  return all;
}

}  // namespace kvcs::fuzz
