// The machine that a benchmark runs on: what it is, and what it can do at best. One thread.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "kvfile/tools/benchmark.h"

namespace kvcs::kvfile {

// Processor, cores, memory, kernel, the filesystem of `folder`, kvcs.
std::vector<Fact> machine_facts(const std::string& folder);

// memcpy and SHA-256 on memory; reading a file of so many bytes in `folder` from the page cache and
// from the disk, and durable writing. `notes` says when the disk could only be read through the
// page cache.
Result<std::vector<Limit>> measure_limits(const std::string& folder, uint64_t file_bytes,
                                          uint64_t repetitions, std::vector<std::string>& notes);

// Times `work`; `before` is not timed.
Result<Timing> time_runs(uint64_t repetitions, uint64_t bytes,
                         const std::function<Status()>& before,
                         const std::function<Status()>& work);

// Asks the kernel to forget the file's pages, and returns the share that it kept all the same.
Result<double> drop_file_cache(const std::string& path);

// The process's memory high-water mark since reset_peak_memory(); 0 when the kernel does not say.
void reset_peak_memory();
uint64_t peak_memory_bytes();

}  // namespace kvcs::kvfile
