#include "support/command.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "support/daemon.h"
#include "support/temp_dir.h"

namespace kvcs::test {
namespace {

constexpr uint32_t kLargeBytes = 4096;

// In the child, after fork: nothing here allocates.
bool install_fault(const SyscallFault& fault) {
  const auto number = static_cast<uint32_t>(offsetof(seccomp_data, nr));
  const auto argument = static_cast<uint32_t>(
      offsetof(seccomp_data, args) + static_cast<size_t>(fault.argument) * sizeof(uint64_t));
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(fault.number), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, fault.at_least, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(fault.error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog filter = {sizeof program / sizeof program[0], program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

std::string read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

[[noreturn]] void become(const std::string& folder, char* const* argv, char* const* environment,
                         int out, int error, const std::vector<SyscallFault>& faults,
                         uint64_t memory_bytes_max) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int nothing = ::open("/dev/null", O_RDONLY);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(error, STDERR_FILENO);
  bool ready = ::chdir(folder.c_str()) == 0;
  for (const SyscallFault& fault : faults) ready = ready && install_fault(fault);
  const rlimit memory = {memory_bytes_max, memory_bytes_max};
  if (memory_bytes_max > 0) ready = ready && ::setrlimit(RLIMIT_DATA, &memory) == 0;
  if (ready) ::execve(argv[0], argv, environment);
  ::_exit(126);
}

}  // namespace

SyscallFault reads_fail() {
  return {SYS_pread64, 2, kLargeBytes, EIO};
}
SyscallFault reserving_fails() {
  return {SYS_fallocate, 0, 0, ENOSPC};
}
SyscallFault writes_fail() {
  return {SYS_pwrite64, 0, 0, ENOSPC};
}
SyscallFault syncs_fail() {
  return {SYS_fsync, 0, 0, EIO};
}

namespace {

pid_t start(const std::string& folder, const std::string& line, const std::string& own, int out,
            int error, const std::vector<SyscallFault>& faults, uint64_t memory_bytes_max,
            std::vector<std::string> variables) {
  std::vector<std::string> words = {std::filesystem::absolute(kvcs_binary()).string()};
  std::istringstream in(line);
  for (std::string word; in >> word;) words.push_back(word);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  variables.push_back("HOME=" + own);
  variables.push_back("KVCS_DATA_DIR=" + own + "/data");
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    become(folder, argv.data(), environment.data(), out, error, faults, memory_bytes_max);
  }
  return pid;
}

int wait_for(pid_t pid) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

CommandRun run_line(const std::string& folder, const std::string& line,
                    const std::vector<SyscallFault>& faults, uint64_t memory_bytes_max,
                    std::vector<std::string> environment) {
  TempDir own;
  const std::string out_path = own.file("out"), error_path = own.file("error");
  const int out = ::open(out_path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const int error = ::open(error_path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const pid_t pid =
      start(folder, line, own.path(), out, error, faults, memory_bytes_max, std::move(environment));
  ::close(out);
  ::close(error);
  const int code = wait_for(pid);
  return {code, read_all(out_path), read_all(error_path)};
}

pid_t start_line(const std::string& folder, const std::string& line) {
  const int nothing = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  const pid_t pid = start(folder, line, "/nonexistent", nothing, nothing, {}, 0, {});
  ::close(nothing);
  return pid;
}

bool is_running(pid_t pid) {
  siginfo_t info = {};
  return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == 0;
}

int end_line(pid_t pid, int signal_number) {
  if (pid > 0) ::kill(pid, signal_number);
  return wait_for(pid);
}

}  // namespace kvcs::test
