// One run of the built binary: what it printed and how it ended, also when the kernel makes its
// system calls fail.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace kvcs::test {

// Calls of `number` whose argument `argument` is at least `at_least` fail with `error`.
struct SyscallFault {
  int number = 0;
  int argument = 0;
  uint32_t at_least = 0;
  int error = 0;
};
// Reads of file data fail: what a dying disk does. Headers of small files still arrive.
SyscallFault reads_fail();
// No block is left: reserving, writing or syncing fails.
SyscallFault reserving_fails();
SyscallFault writes_fail();
SyscallFault syncs_fail();

struct CommandRun {
  int code = -1;  // Or 128 + the signal that ended it.
  std::string out, error;
};
// Runs `kvcs` with the words of `line` in `folder`; its environment names no server, unless that of
// the call ("NAME=value") does. With a `memory_bytes_max` the kernel gives it no more (stacks of
// threads included) and it aborts.
CommandRun run_line(const std::string& folder, const std::string& line,
                    const std::vector<SyscallFault>& faults = {}, uint64_t memory_bytes_max = 0,
                    std::vector<std::string> environment = {});
// The same, without waiting for it and without its words; then a signal, and how it ended.
pid_t start_line(const std::string& folder, const std::string& line);
bool is_running(pid_t pid);
int end_line(pid_t pid, int signal_number);

}  // namespace kvcs::test
