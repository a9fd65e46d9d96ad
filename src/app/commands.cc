#include "app/commands.h"

namespace kvcs {

std::vector<cli::Command> app_commands() {
  return {};
}

}  // namespace kvcs
