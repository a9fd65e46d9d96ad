// The folder of `kvcs benchmark` for its large files, and the thread that removes it when a signal
// ends the process.
#include "cli/scratch_folder.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

namespace kvcs::cli {
namespace {

// The signals that would end the process. A signal that the process was started to ignore (nohup
// ignores SIGHUP) stays ignored and is left out.
sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action = {};
    if (::sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_DFL) {
      sigaddset(&set, number);
    }
  }
  return set;
}

}  // namespace

Result<std::unique_ptr<ScratchFolder>> ScratchFolder::create(const std::string& parent) {
  auto folder = std::unique_ptr<ScratchFolder>(new ScratchFolder());
  KVCS_TRY(folder->watch());
  std::string path = (std::filesystem::path(parent) / ".kvcs-benchmark-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr) {
    return io_error("cannot create a scratch folder in", parent, errno);
  }
  folder->path_ = std::move(path);
  folder->thread_.emplace("signals", [folder = folder.get()] { folder->wait_for_signal(); });
  return folder;
}

// Blocks the signals and opens the descriptor by which the thread gets them instead. Threads
// inherit the mask, so this must come before any other thread is made.
Status ScratchFolder::watch() {
  const sigset_t set = ending_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, &old_mask_);
  old_pipe_handler_ = std::signal(SIGPIPE, SIG_IGN);
  signal_fd_ = ::signalfd(-1, &set, SFD_CLOEXEC);
  stop_fd_ = ::eventfd(0, EFD_CLOEXEC);
  if (signal_fd_ < 0 || stop_fd_ < 0) return io_error("cannot watch", "signals", errno);
  return ok();
}

// Runs in the thread of its own: waits for a signal, or for the destructor. After a signal the
// folder is removed, then the same signal is raised with its default effect, so that the parent
// sees a process that was ended by it.
void ScratchFolder::wait_for_signal() {
  pollfd waiting[] = {{signal_fd_, POLLIN, 0}, {stop_fd_, POLLIN, 0}};
  while (::poll(waiting, 2, -1) < 0 && errno == EINTR) {
  }
  signalfd_siginfo info = {};
  if (waiting[1].revents != 0 || ::read(signal_fd_, &info, sizeof info) != sizeof info) return;
  remove();
  const int number = static_cast<int>(info.ssi_signo);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, number);
  ::pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
  ::raise(number);
}

// The folder gets another name first, so that the main thread, which still runs when a signal came,
// finds no folder to put new files into while the old ones are being removed.
void ScratchFolder::remove() {
  std::error_code ignored;
  const std::string gone = path_ + "-gone";
  std::filesystem::rename(path_, gone, ignored);
  std::filesystem::remove_all(gone, ignored);
}

// The thread is stopped before the folder goes and before the signals are let through again: a
// signal in between would otherwise find no one to remove the folder.
ScratchFolder::~ScratchFolder() {
  const uint64_t one = 1;
  if (thread_ && ::write(stop_fd_, &one, sizeof one) == sizeof one) thread_.reset();
  if (!path_.empty()) remove();
  if (signal_fd_ >= 0) ::close(signal_fd_);
  if (stop_fd_ >= 0) ::close(stop_fd_);
  std::signal(SIGPIPE, old_pipe_handler_);
  ::pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
}

}  // namespace kvcs::cli
