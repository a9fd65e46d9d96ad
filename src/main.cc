// The entry of the program: hands argv to one command, of cli/ or of app/, and returns its exit
// code.
#include "app/commands.h"
#include "base/crypto.h"
#include "cli/cli.h"

int main(int argc, char** argv) {
  // libsodium chooses its implementations here, which must come before any thread.
  kvcs::init_crypto();
  return kvcs::cli::run_cli(argc, argv, kvcs::app_commands);
}
