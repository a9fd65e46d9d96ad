// The identifier of the running boot, as the kernel gives it to everybody.
#include "base/boot_id.h"

#include <optional>
#include <utility>

#include "base/file.h"
#include "base/mutex.h"

namespace kvcs {
namespace {

struct Known {
  Mutex mutex;
  std::optional<std::string> id KVCS_GUARDED_BY(mutex);
};
Known& known() {
  static Known one;
  return one;
}

}  // namespace

std::string boot_id() {
  MutexLock lock(known().mutex);
  std::optional<std::string>& id = known().id;
  if (!id) {
    id = read_small_file("/proc/sys/kernel/random/boot_id", 100).value_or("");
    while (!id->empty() && id->back() == '\n') id->pop_back();
  }
  return *id;
}

void set_boot_id(std::string id) {
  MutexLock lock(known().mutex);
  known().id = std::move(id);
}

}  // namespace kvcs
