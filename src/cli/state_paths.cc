// The folders of the user, by the environment and by the account.
#include "cli/state_paths.h"

#include <pwd.h>
#include <unistd.h>

#include <array>

#include "base/environment.h"

namespace kvcs::cli {
namespace {

std::string home_folder() {
  std::string home = environment("HOME");
  if (home.starts_with('/')) return home;
  std::array<char, 16 << 10> room{};
  passwd account{};
  passwd* found = nullptr;
  if (::getpwuid_r(::geteuid(), &account, room.data(), room.size(), &found) != 0) return {};
  return found == nullptr || found->pw_dir == nullptr ? "" : found->pw_dir;
}

}  // namespace

std::string config_folder() {
  return base_folder(environment("XDG_CONFIG_HOME"), home_folder(), "/.config");
}

Status no_home() {
  return invalid("This user has no home folder: set HOME, or XDG_CONFIG_HOME to a whole path.");
}

std::string base_folder(std::string_view xdg, std::string_view home, std::string_view below) {
  if (xdg.starts_with('/')) return std::string(xdg) + "/kvcs";
  if (home.starts_with('/')) return std::string(home) + std::string(below) + "/kvcs";
  return {};
}

}  // namespace kvcs::cli
