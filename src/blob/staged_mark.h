// How many bytes of a staged file are surely on disk, and which of those behind them count: a file
// of two slots, written in turn, so that a power cut in a write leaves the other. Functions; one
// thread at a time for a path, but for reading.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"

namespace kvcs {

struct StagedMark {
  uint64_t number = 0;  // Of its writing; the slot with the higher one holds.
  uint64_t bytes = 0;   // Surely on disk.
  std::string boot;  // In which these were written: until its end those behind them are there too.
  bool counts_all = true;  // Those behind them count.
};

// Nothing when there is none, or neither slot is whole.
Result<std::optional<StagedMark>> read_staged_mark(const std::string& path);
// Over the older slot. `durable`: it is on disk on return.
Status write_staged_mark(const std::string& path, StagedMark mark, bool durable);

}  // namespace kvcs
