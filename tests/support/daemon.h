// The built binary as a child process on a directory of its own: started, waited for, signalled,
// and always gone at the end.
#pragma once
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "support/wait.h"

namespace kvcs::test {

// Where make put it; tests run from the repository's root.
inline std::string kvcs_binary() {
  const char* given = std::getenv("KVCS_BINARY");
  if (given != nullptr) return given;
  char self[4096];
  const ssize_t n = ::readlink("/proc/self/exe", self, sizeof self - 1);
  const std::string path(self, n > 0 ? static_cast<size_t>(n) : 0);
  return path.substr(0, path.rfind('/')) + "/kvcs";
}

class Daemon final {
 public:
  using Variables = std::vector<std::pair<std::string, std::string>>;
  // `log_path` receives stdout and stderr. `variables` are added to the environment.
  Daemon(const std::vector<std::string>& arguments, const std::string& log_path,
         const Variables& variables = {})
      : log_path_(log_path) {
    std::vector<std::string> words = {kvcs_binary()};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    std::vector<std::string> settings;
    for (const auto& [name, value] : variables) settings.push_back(name + "=" + value);
    std::vector<char*> environment;
    for (std::string& setting : settings) environment.push_back(setting.data());
    for (char** e = environ; *e != nullptr; e++) environment.push_back(*e);
    environment.push_back(nullptr);
    // Emptied here, so that nobody reads what an earlier daemon wrote.
    { std::ofstream empty(log_path, std::ios::trunc); }
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // No test that dies leaves its daemon behind.
      const int log = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      ::dup2(log, STDOUT_FILENO);
      ::dup2(log, STDERR_FILENO);
      ::execve(argv[0], argv.data(), environment.data());
      ::_exit(127);
    }
  }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  ~Daemon() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  pid_t pid() const { return pid_; }
  // Of one that has ended nothing: kill(2) takes -1 for all processes of the machine.
  void signal(int number) {
    if (pid_ > 0) ::kill(pid_, number);
  }
  std::string log() const {
    std::ifstream file(log_path_);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  // Until the log holds `text`; false when the process ends first or the time is up.
  bool wait_for_log(const std::string& text, int timeout_ms = kWaitMs) {
    const auto is_there = [&] { return log().find(text) != std::string::npos; };
    (void)comes_true([&] { return is_there() || ended(); }, timeout_ms);
    return is_there();
  }
  // The port that server.ready names.
  int wait_until_ready() {
    if (!wait_for_log("\"server.ready\"")) return 0;
    const std::string text = log();
    const size_t at = text.find("\"url\":\"", text.find("\"server.ready\"")) + 7;
    const std::string url = text.substr(at, text.find('"', at) - at);
    return std::atoi(url.substr(url.rfind(':') + 1).c_str());
  }
  // The exit code, or 128 + the signal that ended it.
  int wait() {
    if (pid_ > 0) {
      ::waitpid(pid_, &status_, 0);
      pid_ = -1;
    }
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  }

 private:
  bool ended() {
    if (pid_ > 0 && ::waitpid(pid_, &status_, WNOHANG) == pid_) pid_ = -1;
    return pid_ <= 0;
  }

  std::string log_path_;
  pid_t pid_ = -1;
  int status_ = 0;
};

}  // namespace kvcs::test
