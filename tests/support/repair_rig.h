// A data directory that a daemon has used, copies of it for accidents, and `kvcs repair` of the
// built binary on them. One thread.
#pragma once
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/file.h"
#include "support/daemon.h"
#include "support/test_app.h"

namespace kvcs::test {

struct Ran {
  int code;
  std::string text;  // Of both outputs.
};

struct RepairRig {
  TempDir places;
  std::string used = places.file("used"), admin_key;

  RepairRig() {
    {
      TestApp app([&](Config& config) { config.data_dir = used; });
      admin_key = app.credential("admin_key");
    }
    TestApp again([&](Config& config) { config.data_dir = used; });
  }
  std::string copy(const std::string& name) const {
    std::filesystem::copy(used, places.file(name), std::filesystem::copy_options::recursive);
    return places.file(name);
  }
  // `before`: words of the shell before the command, "ulimit -n 20;" or "LD_PRELOAD=…".
  Ran repair(const std::string& dir, const std::string& accept, const std::string& answer,
             const std::string& before = "") const {
    const std::string out = places.file("out");
    const std::string line = "echo '" + answer + "' | (" + before + " timeout 60 " + kvcs_binary() +
                             " repair --data-dir '" + dir + "' --accept " + accept +
                             (answer == "--yes" ? " --yes" : "") + ") > " + out + " 2>&1";
    const int code = WEXITSTATUS(std::system(line.c_str()));
    return {code, read_small_file(out, 1 << 20).value_or("")};
  }
};

inline Status start_on(const std::string& dir) {
  log::set_level(log::Level::kError);
  return App::create(TestApp::quiet_config(dir)).status();
}

// How many entries of the folder, or below it, were given up by a repair.
inline int given_up(const std::string& folder, bool below = false) {
  int count = 0;
  const auto look = [&count](const std::filesystem::directory_entry& entry) {
    if (entry.path().filename().string().find(".given-up-2") != std::string::npos) count++;
  };
  if (below) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) look(entry);
  } else {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) look(entry);
  }
  return count;
}

}  // namespace kvcs::test
