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

// Those that would end the process; what it was told to ignore stays ignored.
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

// From here on the signals wait for the thread.
Status ScratchFolder::watch() {
  const sigset_t set = ending_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, &old_mask_);
  old_pipe_handler_ = std::signal(SIGPIPE, SIG_IGN);
  signal_fd_ = ::signalfd(-1, &set, SFD_CLOEXEC);
  stop_fd_ = ::eventfd(0, EFD_CLOEXEC);
  if (signal_fd_ < 0 || stop_fd_ < 0) return io_error("cannot watch", "signals", errno);
  return ok();
}

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

// Under another name first: what still runs finds no folder to put files into.
void ScratchFolder::remove() {
  std::error_code ignored;
  const std::string gone = path_ + "-gone";
  std::filesystem::rename(path_, gone, ignored);
  std::filesystem::remove_all(gone, ignored);
}

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
