// argv → one command of cli/ or app/; nothing else.
#include "app/commands.h"
#include "base/crypto.h"
#include "cli/cli.h"

int main(int argc, char** argv) {
  kvcs::init_crypto();
  return kvcs::cli::run_cli(argc, argv, kvcs::app_commands());
}
