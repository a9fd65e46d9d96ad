// The hostile files of tests/data/malicious: the table that says what must happen, and those that
// are too large for the repository, made here as the table's author made them.
#pragma once
#include "kvfile/support.h"

namespace kvcs::kvfile {

struct HostileFile {
  std::string name, expected;  // "ACCEPT", "reject", …
  uint64_t size_bytes = 0;
  bool is_state() const { return name.ends_with(".bin"); }  // Of llama.cpp; the others are .kv.
};

inline std::vector<HostileFile> hostile_files() {
  std::istringstream in(read_bytes(data_path("malicious/INDEX.tsv")));
  std::vector<HostileFile> files;
  std::string line;
  std::getline(in, line);
  while (std::getline(in, line)) {
    std::istringstream cells(line);
    HostileFile file;
    cells >> file.name >> file.size_bytes >> file.expected;
    files.push_back(file);
  }
  return files;
}

inline std::string container(const std::string& json, const std::string& data) {
  std::string out(8, '\0');
  const uint64_t size = json.size();
  std::memcpy(out.data(), &size, 8);
  return out + json + data;
}

// All of the table's files in a folder that does not exist yet, or is empty.
inline void make_hostile_folder(const std::string& folder) {
  std::filesystem::copy(data_path("malicious"), folder);
  write_bytes(folder + "/deep-array-1M.kv", container("{\"k_0\":" + std::string(1'000'000, '[') +
                                                          std::string(1'000'000, ']') + "}",
                                                      std::string(256, '\0')));
  write_bytes(folder + "/side-deep.kv.json",
              "{\"model_name\":" + std::string(200'000, '[') + std::string(200'000, ']') + "}");
  // A real state with four bytes changed.
  const std::string state = read_bytes(data_path("llamacpp/v10-f16-fa-512.session.bin"));
  const auto patch = [&](const char* name, size_t at, const std::string& bytes) {
    write_bytes(folder + "/" + name, std::string(state).replace(at, bytes.size(), bytes));
  };
  const std::string lots = "\xff\xff\xff\xff";
  patch("llama-ntok-max.bin", 8, lots);
  patch("llama-archlen.bin", 2060, "\xff\xff\xff\x7f");
  patch("llama-nseq-max.bin", 2081, lots);
  patch("llama-layers-max.bin", 8225, lots);
}

}  // namespace kvcs::kvfile
