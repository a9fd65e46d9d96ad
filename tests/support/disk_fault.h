// Makes system calls of a daemon that write below a folder fail, and ends that again, while the
// daemon runs. Method: a library of ours (preload/disk_fault.c) is loaded into it before the C
// library, and both map one file. Used by the thread of the test case.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "support/preload/fault_plan.h"

namespace kvcs::test {

class DiskFault final {
 public:
  static constexpr int kLasting = 1 << 30;

  // `plan_path`: the file that is mapped, made here. `below`: absolute.
  DiskFault(const std::string& plan_path, const std::string& below);
  ~DiskFault();
  DiskFault(const DiskFault&) = delete;
  DiskFault& operator=(const DiskFault&) = delete;
  // For the constructor of Daemon.
  std::vector<std::pair<std::string, std::string>> environment() const;

  // Calls number `first` to `last` of these kinds fail, counted from now.
  void begin(int calls, int error, int first = 1, int last = kLasting);
  void end();
  int failed() const;  // Since begin().

 private:
  const std::string plan_path_;
  fault_plan* plan_;
};

}  // namespace kvcs::test
