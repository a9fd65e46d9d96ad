// Settlements that the store would not take, in a file beside it: a process that dies while the
// store is away loses none of them. One JSON line each, the usage row; the file is there only while
// something is unwritten. Thread-safe; append() waits for the disk.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"

namespace kvcs::ai {

class BudgetJournal final {
 public:
  explicit BudgetJournal(std::string path) : path_(std::move(path)) {}
  // Unavailable when the disk does not take them either; nothing is appended then.
  Status append(const std::vector<std::string>& rows);
  // That many of those appended are in the store now; the last one removes the file.
  Status written(size_t count);
  // What another process left, whole lines only: a torn last one was never answered.
  Result<std::vector<std::string>> read() const;
  Status remove();

 private:
  Status remove_file() KVCS_REQUIRES(mutex_);

  const std::string path_;
  mutable Mutex mutex_;  // Held over the file: rows must not mix. Used only while the store fails.
  size_t unwritten_ KVCS_GUARDED_BY(mutex_) = 0;
};

}  // namespace kvcs::ai
