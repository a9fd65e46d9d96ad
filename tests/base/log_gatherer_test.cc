// Gathered lines: none is lost, none is torn, and they keep their place among the others. Method:
// stderr is a file for as long as a test lasts.
#include "base/log_gatherer.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>
#include <vector>

#include "base/log.h"
#include "support/temp_dir.h"
#include "support/wait.h"

using namespace kvcs;
using kvcs::test::TempDir;

namespace {

class StderrInFile final {
 public:
  StderrInFile() : path_(dir_.file("stderr")), before_(::dup(STDERR_FILENO)) {
    const int file = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ::dup2(file, STDERR_FILENO);
    ::close(file);
  }
  ~StderrInFile() {
    ::dup2(before_, STDERR_FILENO);
    ::close(before_);
  }
  std::string text() const {
    std::ostringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }

 private:
  TempDir dir_;
  const std::string path_;
  const int before_;
};

}  // namespace

TEST_CASE("log: without a gatherer a line is written at once", "[unit][base]") {
  const StderrInFile file;
  log::gathered_line("one\n");
  CHECK(file.text() == "one\n");
}

TEST_CASE("log: gathered lines go before what is not gathered, and with their gatherer's end",
          "[unit][base]") {
  const StderrInFile file;
  {
    const log::Gatherer gatherer;
    log::gathered_line("one\n");
    log::gathered_line("two\n");
    log::raw_line("three\n");
    CHECK(file.text() == "one\ntwo\nthree\n");
    log::gathered_line("four\n");
    const log::Gatherer another;
  }
  CHECK(file.text() == "one\ntwo\nthree\nfour\n");
  log::gathered_line("five\n");
  CHECK(file.text() == "one\ntwo\nthree\nfour\nfive\n");
}

TEST_CASE("log: a gathered line is written by itself", "[unit][base]") {
  const StderrInFile file;
  const log::Gatherer gatherer;
  for (const std::string line : {"one\n", "two\n"}) {
    log::gathered_line(line);
    CHECK(test::comes_true([&] { return file.text().ends_with(line); }));
  }
  CHECK(file.text() == "one\ntwo\n");
}

TEST_CASE("log: lines of many threads are all there, each once and whole", "[unit][base]") {
  constexpr int kThreads = 4, kEach = 2000;
  const StderrInFile file;
  {
    const log::Gatherer gatherer;
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; t++) {
      threads.emplace_back([t] {
        for (int i = 0; i < kEach; i++) {
          // Now and then one that is longer than what is gathered.
          const std::string filler(i % 500 == 7 ? 2 * log::kGatheredMaxBytes : i % 90, 'x');
          std::string line = std::to_string(t) + " " + std::to_string(i) + " " + filler + ".\n";
          if (i % 100 == 3) {
            log::raw_line(std::move(line));
          } else {
            log::gathered_line(line);
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  std::istringstream text(file.text());
  std::map<int, std::vector<bool>> seen;
  for (std::string line; std::getline(text, line);) {
    std::istringstream words(line);
    int t = -1, i = -1;
    words >> t >> i;
    REQUIRE((t >= 0 && t < kThreads && i >= 0 && i < kEach && line.back() == '.'));
    seen[t].resize(kEach);
    CHECK_FALSE(seen[t][static_cast<size_t>(i)]);
    seen[t][static_cast<size_t>(i)] = true;
  }
  for (int t = 0; t < kThreads; t++) {
    CHECK(std::count(seen[t].begin(), seen[t].end(), true) == kEach);
  }
}
