// The commands against a server on loopback that answers from a list and keeps what it was asked.
// A daemon's own answers are in transfer_test.cc and the end-to-end tests; here a test says what
// comes, also what no daemon answers.
#pragma once
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <unistd.h>

#include <deque>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/mutex.h"
#include "cli/api_client.h"
#include "cli/cli.h"
#include "support/env.h"
#include "support/loopback_server.h"
#include "support/temp_dir.h"

namespace kvcs::test {

// What somebody pipes into the command; no terminal is there to be asked, wherever the tests run.
class Stdin final {
 public:
  explicit Stdin(const std::string& text)
      : piped_(text),
        before_(std::cin.rdbuf(piped_.rdbuf())),
        descriptor_(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)) {
    const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    REQUIRE(::dup2(nothing, STDIN_FILENO) == STDIN_FILENO);
    ::close(nothing);
  }
  ~Stdin() {
    std::cin.rdbuf(before_);
    std::cin.clear();
    ::dup2(descriptor_, STDIN_FILENO);
    ::close(descriptor_);
  }
  Stdin(const Stdin&) = delete;
  Stdin& operator=(const Stdin&) = delete;

 private:
  std::istringstream piped_;
  std::streambuf* const before_;
  const int descriptor_;
};

struct CliAnswer {
  std::string body = "{}";
  std::string status = "200 OK";
  std::string headers = {};  // Whole lines: "ETag: \"1\"\r\n".
};

struct CliDesk {
  CliDesk() : server([this](LoopbackPeer& peer) { serve(peer); }) {}

  // The answers to the next requests; what comes after them is answered with {}.
  void answer(std::vector<CliAnswer> next) {
    MutexLock lock(mutex);
    for (CliAnswer& one : next) answers.push_back(std::move(one));
  }
  int run(const std::vector<std::string>& arguments) {
    out.clear();
    error.clear();
    {
      MutexLock lock(mutex);
      asked.clear();
      heads.clear();
    }
    return cli::run_cli(
        arguments, cli::commands(), [this](std::string_view text) { out += text; },
        [this](std::string_view text) { error += text; });
  }
  // What the last command asked, each "GET /path" or "PUT /path {\"a\":1}".
  std::vector<std::string> requests() {
    MutexLock lock(mutex);
    return asked;
  }
  std::string head() {
    MutexLock lock(mutex);
    REQUIRE_FALSE(heads.empty());
    return heads.back();
  }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder.file(name), std::ios::binary) << text;
    return folder.file(name);
  }
  std::string read(const std::string& name) const {
    std::ifstream file(folder.file(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  void serve(LoopbackPeer& peer) {
    while (const auto request = peer.read_request()) {
      CliAnswer next;
      {
        MutexLock lock(mutex);
        const std::string_view line = request->line();
        asked.push_back(std::string(line.substr(0, line.rfind(' '))) +
                        (request->body.empty() ? "" : " " + request->body));
        heads.push_back(request->head + "\r\n");
        if (!answers.empty()) {
          next = answers.front();
          answers.pop_front();
        }
      }
      if (!peer.send("HTTP/1.1 " + next.status + "\r\n" + next.headers + "Content-Length: " +
                     std::to_string(next.body.size()) + "\r\n\r\n" + next.body)) {
        return;
      }
    }
  }

  Mutex mutex;
  std::deque<CliAnswer> answers KVCS_GUARDED_BY(mutex);
  std::vector<std::string> asked KVCS_GUARDED_BY(mutex), heads KVCS_GUARDED_BY(mutex);
  LoopbackServer server;
  TempDir folder;
  Env url{"KVCS_API_URL", "http://127.0.0.1:" + std::to_string(server.port())};
  Env key{"KVCS_API_KEY", "kv_key-1"};
  Env admin_key{"KVCS_ADMIN_KEY", "ka_admin-1"};
  Env config{"XDG_CONFIG_HOME", folder.file("config")};
  Env data{"KVCS_DATA_DIR", folder.file("none")};
  std::string out, error;
};

using Words = std::vector<std::string>;

}  // namespace kvcs::test
