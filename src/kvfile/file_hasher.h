// SHA-256 of a whole file on a thread of its own, beside other work on the file.
// One thread owns it; `file` outlives it.
#pragma once
#include <atomic>
#include <string>

#include "base/status.h"
#include "base/thread.h"
#include "kvfile/source_file.h"

namespace kvcs::kvfile {

class FileHasher final {
 public:
  explicit FileHasher(const SourceFile& file);
  ~FileHasher() { stop_ = true; }  // Work that failed need not wait for the digest.
  FileHasher(const FileHasher&) = delete;
  FileHasher& operator=(const FileHasher&) = delete;

  Result<std::string> finish_hex();  // Once.

 private:
  void run(const SourceFile& file);

  std::atomic<bool> stop_{false};
  Status status_;  // Both belong to the thread until it is joined.
  std::string digest_;
  Thread thread_;
};

}  // namespace kvcs::kvfile
