// Goal: nobody waits for stderr. A reader that stops, or is gone, costs lines, which are counted
// and told, and never a request or the end of the process. Method: stderr is a pipe of the test;
// the daemon's too.
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "base/log.h"
#include "base/log_gatherer.h"
#include "support/daemon.h"
#include "support/raw_client.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

class StderrInPipe final {
 public:
  StderrInPipe() : before_(::dup(STDERR_FILENO)) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
    read_ = ends[0];
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[1]);
  }
  ~StderrInPipe() {
    ::dup2(before_, STDERR_FILENO);
    ::close(before_);
    close_reader();
  }
  void close_reader() {
    if (read_ >= 0) ::close(read_);
    read_ = -1;
  }
  // All that is there just now.
  std::string read_now() const {
    std::string text;
    char bytes[65536];
    pollfd ready{read_, POLLIN, 0};
    while (::poll(&ready, 1, 0) == 1 && (ready.revents & POLLIN) != 0) {
      const ssize_t n = ::read(read_, bytes, sizeof bytes);
      if (n <= 0) break;
      text.append(bytes, static_cast<size_t>(n));
    }
    return text;
  }

 private:
  const int before_;
  int read_ = -1;
};

std::string line_of(int i) {
  return "line " + std::to_string(i) + " " + std::string(1000, '.') + "\n";
}

}  // namespace

TEST_CASE("log: at the end the last lines wait for a slow reader, and not for one that stopped",
          "[unit][base]") {
  StderrInPipe pipe;
  std::string all;
  for (int i = 0; i < 150; i++) {
    log::raw_line(line_of(i));
    all += line_of(i);
  }
  CHECK_FALSE(log::drain(1));  // Nobody reads.
  std::string text;
  std::thread reader([&] {
    while (text.size() < all.size()) text += pipe.read_now();
  });
  CHECK(log::drain(30'000));
  reader.join();
  CHECK(text == all);
  CHECK(log::drain(0));
}

TEST_CASE("log: a pipe that nobody reads makes nobody wait; lines are kept, then dropped and told",
          "[unit][base]") {
  const uint64_t before = log::dropped_lines();
  StderrInPipe pipe;
  for (int i = 0; i < 200; i++) log::raw_line(line_of(i));
  CHECK(log::dropped_lines() == before);  // More than a pipe takes: they wait.
  std::string text;
  for (int i = 200; i < 230; i++) {
    text += pipe.read_now();
    log::raw_line(line_of(i));
  }
  text += pipe.read_now();
  std::string all;
  for (int i = 0; i < 230; i++) all += line_of(i);
  CHECK(text == all);
  for (int i = 0; i < 1000; i++) log::raw_line(line_of(i));
  const uint64_t dropped = log::dropped_lines() - before;
  CHECK(dropped > 500);
  CHECK(dropped < 1000);
  text.clear();
  for (int i = 0; i < 20; i++) {
    text += pipe.read_now();
    log::raw_line("after\n");
  }
  text += pipe.read_now();
  CHECK(text.starts_with(line_of(0)));
  CHECK(text.find("\"event\":\"log.lines_dropped\",\"lines\":" + std::to_string(dropped) + "}\n") !=
        std::string::npos);
  CHECK(text.ends_with("\nafter\n"));
}

TEST_CASE("log: a pipe whose reader has gone drops lines, and they are told later",
          "[unit][base]") {
  const auto signal_before = ::signal(SIGPIPE, SIG_IGN);
  const uint64_t before = log::dropped_lines();
  {
    StderrInPipe pipe;
    pipe.close_reader();
    log::raw_line("one\n");
    log::raw_line("two\n");
    CHECK(log::dropped_lines() == before + 2);
  }
  const StderrInPipe pipe;
  log::raw_line("three\n");
  CHECK(pipe.read_now().find("\"lines\":2}\nthree\n") != std::string::npos);
  CHECK(log::dropped_lines() == before + 2);
  ::signal(SIGPIPE, signal_before);
}

TEST_CASE("log: a daemon whose stderr nobody reads serves, counts, and stops on SIGTERM",
          "[fault][base]") {
  TempDir dir;
  const std::string path = dir.file("log");
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const int pipe = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(pipe >= 0);
  REQUIRE(::fcntl(pipe, F_SETPIPE_SZ, 4096) >= 4096);
  Daemon daemon({"serve", "--data-dir", dir.file("data"), "--listen", "127.0.0.1:0"}, path);
  std::string text;
  char bytes[4096];
  while (text.find("\"server.ready\"") == std::string::npos) {
    pollfd ready{pipe, POLLIN, 0};
    REQUIRE(::poll(&ready, 1, kWaitMs) == 1);
    const ssize_t n = ::read(pipe, bytes, sizeof bytes);
    REQUIRE(n > 0);
    text.append(bytes, static_cast<size_t>(n));
  }
  const size_t url = text.find("\"url\":\"", text.find("\"server.ready\"")) + 7;
  const int port = std::atoi(text.substr(text.find(':', url + 7) + 1, 5).c_str());
  // A line of the access log each, many times what the pipe and the buffer take.
  for (int i = 0; i < 3'000; i++) {
    REQUIRE(fetch(port, "GET", "/api/v1/artifacts?" + std::string(200, 'x')).status == 401);
  }
  const std::string metrics = fetch(port, "GET", "/metrics").body;
  const size_t at = metrics.find("\nkvcs_log_lines_dropped_total ");
  REQUIRE(at != std::string::npos);
  CHECK(std::atoi(metrics.c_str() + at + 30) > 0);
  daemon.signal(SIGTERM);
  CHECK(daemon.wait() == 0);
  ::close(pipe);
}
