// A file system of a few megabytes that a test can fill. It is mounted in a namespace of a thread,
// so that nobody else sees it, and it is gone with the thread however the test ends.
#pragma once
#include <sched.h>
#include <sys/mount.h>

#include <exception>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "support/temp_dir.h"

namespace kvcs::test {

// Runs `body` with the folder of such a file system, on a thread of its own; failures of the test
// case that are thrown there are thrown here. False, and nothing is run, when the system does not
// permit mounts.
inline bool with_small_disk(size_t size_bytes,
                            const std::function<void(const std::string& folder)>& body) {
  const TempDir dir;
  bool mounted = false;
  std::exception_ptr failure;
  std::thread thread([&] {
    if (::unshare(CLONE_NEWNS | CLONE_FS) != 0) return;
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return;
    const std::string size = "size=" + std::to_string(size_bytes);
    if (::mount("kvcs-test", dir.path().c_str(), "tmpfs", 0, size.c_str()) != 0) return;
    mounted = true;
    try {
      body(dir.path());
    } catch (...) {
      failure = std::current_exception();
    }
    ::umount2(dir.path().c_str(), MNT_DETACH);
  });
  thread.join();
  if (failure) std::rethrow_exception(failure);
  return mounted;
}

// Writes a file until not a byte is left.
inline void fill_disk(const std::string& path) {
  for (const size_t bytes : {size_t{1} << 20, size_t{4096}, size_t{1}}) {
    std::ofstream file(path, std::ios::app | std::ios::binary);
    const std::string block(bytes, 'x');
    while (file.write(block.data(), static_cast<std::streamsize>(bytes)).flush()) {
    }
  }
}

}  // namespace kvcs::test
