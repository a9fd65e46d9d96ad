// The allocator of build/*/kvcs_starved: operator new fails by the plan in the file that
// ALLOC_FAULT_PLAN names. Counted is what serves requests, in code of ours: allocations on a
// worker's thread that no engine or library has a part in, for those promise nothing when memory
// fails, and nlohmann's destructor, which allocates and cannot fail, none either.
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <new>

#include "support/preload/alloc_plan.h"

namespace {

using kvcs::test::AllocPlan;

AllocPlan* plan = nullptr;

__attribute__((constructor)) void map_plan() {
  const char* path = std::getenv("ALLOC_FAULT_PLAN");
  if (path == nullptr) return;
  const int file = ::open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) return;
  void* mapped = ::mmap(nullptr, sizeof(AllocPlan), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (mapped != MAP_FAILED) plan = static_cast<AllocPlan*>(mapped);
}

bool is_worker() {
  static thread_local int known = 0;  // 1: it is, 2: it is not.
  if (known == 0) {
    char name[16] = {};
    pthread_getname_np(pthread_self(), name, sizeof name);
    known = std::strncmp(name, "http-worker", 11) == 0 ? 1 : 2;
  }
  return known == 1;
}

// A function of nlohmann's JSON, or of the language's library for its values.
bool is_json_library(const char* symbol) {
  if (symbol == nullptr || std::strstr(symbol, "8nlohmann") == nullptr) return false;
  for (const char* begin : {"_ZN8nlohmann", "_ZNK8nlohmann", "_ZNSt", "_ZNKSt", "_ZSt"}) {
    if (std::strncmp(symbol, begin, std::strlen(begin)) == 0) return true;
  }
  return false;
}

// Whether a library other than the language's has a part in this allocation.
bool is_in_library() {
  constexpr int kFramesMax = 64;
  void* frames[kFramesMax];
  const int count = backtrace(frames, kFramesMax);
  for (int i = 0; i < count; i++) {
    Dl_info info;
    if (dladdr(frames[i], &info) == 0 || info.dli_fname == nullptr) continue;
    if (is_json_library(info.dli_sname)) return true;
    for (const char* name : {"librocksdb", "libsqlite3", "libcurl", "libcrypto", "libssl"}) {
      if (std::strstr(info.dli_fname, name) != nullptr) return true;
    }
  }
  return false;
}

void tell(int number) {
  if (std::getenv("ALLOC_FAULT_TRACE") == nullptr) return;
  void* frames[40];
  const int count = backtrace(frames, 40);
  std::fprintf(stderr, "alloc_fault: allocation %d fails\n", number);
  backtrace_symbols_fd(frames, count, STDERR_FILENO);
}

bool fails() {
  if (plan == nullptr || __atomic_load_n(&plan->armed, __ATOMIC_ACQUIRE) == 0) return false;
  static thread_local bool inside = false;  // backtrace() allocates.
  if (inside || !is_worker()) return false;
  inside = true;
  bool failing = false;
  if (!is_in_library()) {
    const int number = __atomic_add_fetch(&plan->seen, 1, __ATOMIC_ACQ_REL);
    failing = number >= plan->first && number <= plan->last;
    if (failing) tell(number);
  }
  inside = false;
  if (failing) __atomic_add_fetch(&plan->failed, 1, __ATOMIC_ACQ_REL);
  return failing;
}

void* allocate(size_t size, size_t alignment) {
  if (fails()) return nullptr;
  if (alignment == 0) return std::malloc(size == 0 ? 1 : size);
  return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

void* allocate_or_throw(size_t size, size_t alignment) {
  void* made = allocate(size, alignment);
  if (made == nullptr) throw std::bad_alloc();
  return made;
}

}  // namespace

void* operator new(size_t size) {
  return allocate_or_throw(size, 0);
}
void* operator new[](size_t size) {
  return allocate_or_throw(size, 0);
}
void* operator new(size_t size, std::align_val_t alignment) {
  return allocate_or_throw(size, static_cast<size_t>(alignment));
}
void* operator new[](size_t size, std::align_val_t alignment) {
  return allocate_or_throw(size, static_cast<size_t>(alignment));
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return allocate(size, 0);
}
void* operator new[](size_t size, const std::nothrow_t&) noexcept {
  return allocate(size, 0);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, size_t, std::align_val_t) noexcept {
  std::free(memory);
}
