// Starts the browser as a process of its own.
#include "cli/browser.h"

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <array>

#include "base/environment.h"

extern char** environ;

namespace kvcs::cli {
namespace {

bool is_url(std::string_view text) {
  return (text.starts_with("https://") || text.starts_with("http://")) &&
         text.find_first_of(" \t\r\n\"'\\<>^`{|}") == text.npos;
}

// "" where nobody would see a page. BROWSER may name several programs, the best one first.
std::string browser_program() {
  const std::string named = environment("BROWSER");
  if (!named.empty()) return named.substr(0, named.find(':'));
  const bool has_desktop =
      !environment("DISPLAY").empty() || !environment("WAYLAND_DISPLAY").empty();
  return has_desktop ? "xdg-open" : "";
}

}  // namespace

bool open_browser(const std::string& url) {
  std::string program = browser_program(), address = url;
  if (program.empty() || !is_url(url)) return false;
  posix_spawn_file_actions_t quiet;
  if (::posix_spawn_file_actions_init(&quiet) != 0) return false;
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    ::posix_spawn_file_actions_addopen(&quiet, fd, "/dev/null", O_RDWR, 0);
  }
  std::array<char*, 3> arguments = {program.data(), address.data(), nullptr};
  pid_t pid = 0;
  const int failed =
      ::posix_spawnp(&pid, program.c_str(), &quiet, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&quiet);
  return failed == 0;
}

}  // namespace kvcs::cli
