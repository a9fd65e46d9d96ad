// A folder for large files that is removed with everything in it: when its owner goes, and when a
// signal ends the process before (Ctrl-C, kill, a terminal that closes). SIGPIPE is ignored
// meanwhile: a reader of the output that goes away does not end the process.
//
// One at a time, made before any other thread; a thread of its own waits for the signals.
#pragma once
#include <csignal>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "base/thread.h"

namespace kvcs::cli {

class ScratchFolder final {
 public:
  static Result<std::unique_ptr<ScratchFolder>> create(const std::string& parent);
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  ScratchFolder() = default;
  Status watch();
  void wait_for_signal();
  void remove();

  std::string path_;
  sigset_t old_mask_ = {};
  void (*old_pipe_handler_)(int) = SIG_DFL;
  // A signalfd for the ending signals, and an eventfd that the destructor writes to.
  int signal_fd_ = -1, stop_fd_ = -1;
  std::optional<Thread> thread_;  // Last: it uses all of the above.
};

}  // namespace kvcs::cli
