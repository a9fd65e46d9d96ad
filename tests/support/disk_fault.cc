// The test's side of the plan that the preloaded library follows.
#include "support/disk_fault.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "base/status.h"
#include "support/daemon.h"

namespace kvcs::test {

DiskFault::DiskFault(const std::string& plan_path, const std::string& below)
    : plan_path_(plan_path) {
  const int file = ::open(plan_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  KVCS_ASSERT(file >= 0 && ::ftruncate(file, sizeof(fault_plan)) == 0);
  void* mapped = ::mmap(nullptr, sizeof(fault_plan), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  KVCS_ASSERT(mapped != MAP_FAILED);
  ::close(file);
  plan_ = static_cast<fault_plan*>(mapped);
  KVCS_ASSERT(below.size() < sizeof plan_->below);
  std::memcpy(plan_->below, below.c_str(), below.size() + 1);
}

DiskFault::~DiskFault() {
  end();
  ::munmap(plan_, sizeof(fault_plan));
}

std::vector<std::pair<std::string, std::string>> DiskFault::environment() const {
  const std::string binary = kvcs_binary();
  return {{"LD_PRELOAD", binary.substr(0, binary.rfind('/')) + "/disk_fault.so"},
          {"DISK_FAULT_PLAN", plan_path_}};
}

void DiskFault::begin(int calls, int error, int first, int last) {
  end();
  plan_->error = error;
  plan_->first = first;
  plan_->last = last;
  __atomic_store_n(&plan_->seen, 0, __ATOMIC_RELEASE);
  __atomic_store_n(&plan_->failed, 0, __ATOMIC_RELEASE);
  __atomic_store_n(&plan_->calls, calls, __ATOMIC_RELEASE);
}

void DiskFault::end() {
  __atomic_store_n(&plan_->calls, 0, __ATOMIC_RELEASE);
}

int DiskFault::failed() const {
  return __atomic_load_n(&plan_->failed, __ATOMIC_ACQUIRE);
}

}  // namespace kvcs::test
