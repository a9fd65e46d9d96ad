// Goal: the file of variables that systemd reads for the daemon is looked at as other files of
// secrets are. Method: the real binary with a configuration file that has such a file beside it.
#include <catch2/catch.hpp>
#include <sys/stat.h>

#include "base/file.h"
#include "support/daemon.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::test;

TEST_CASE("environment file: one that others can read is told, one that they cannot is not",
          "[e2e][app]") {
  const TempDir dir;
  REQUIRE(write_private_file(dir.file("kvcs.yaml"), "shutdown_grace_s: 1\n").ok());
  REQUIRE(write_private_file(dir.file("kvcs.env"), "KVCS_ADMIN_KEY=secret-of-the-file\n").ok());
  for (const mode_t mode : {0644, 0600}) {
    INFO(mode);
    REQUIRE(::chmod(dir.file("kvcs.env").c_str(), mode) == 0);
    Daemon daemon({"serve", "--config", dir.file("kvcs.yaml"), "--data-dir", dir.file("data"),
                   "--listen", "127.0.0.1:0"},
                  dir.file("log" + std::to_string(mode)));
    REQUIRE(daemon.wait_until_ready() > 0);
    const std::string log = daemon.log();
    const bool told = log.find("file.readable_by_others") != std::string::npos;
    CHECK(told == (mode == 0644));
    CHECK((log.find("chmod 600 " + dir.file("kvcs.env")) != std::string::npos) == told);
    CHECK(log.find("secret-of-the-file") == std::string::npos);
    daemon.signal(SIGTERM);
    CHECK(daemon.wait() == 0);
  }
}
