#include "app/commands.h"

#include <nlohmann/json.hpp>

#include <cstdlib>

#include "app/config.h"
#include "base/json.h"

namespace kvcs {
namespace {

cli::Option config_option() {
  return {.name = "--config",
          .help = "The configuration file; KVCS_* variables override it.",
          .value_name = "FILE",
          .env = {"KVCS_CONFIG"}};
}

int report_faults(const std::vector<std::string>& faults, cli::Console& console) {
  std::string all;
  for (const std::string& fault : faults) all += (all.empty() ? "" : "\n") + fault;
  // Printed line by line because printable() would show the line breaks.
  if (console.mode().json) {
    console.print_json(Json{{"valid", false}, {"faults", faults}});
  } else {
    for (const std::string& fault : faults) console.fail(invalid(fault));
  }
  return cli::kExitFailed;
}

int check_config(const cli::Invocation& in, cli::Console& console) {
  const LoadedConfig loaded = load_config(in.text("config"), process_environment());
  if (!loaded.faults.empty()) return report_faults(loaded.faults, console);
  if (console.mode().json) {
    console.print_json(Json{{"valid", true}, {"faults", Json::array()}});
  } else {
    console.print("The configuration is good.");
  }
  return cli::kExitOk;
}

int print_config(const cli::Invocation& in, cli::Console& console) {
  const LoadedConfig loaded = load_config(in.text("config"), process_environment());
  if (!loaded.faults.empty()) return report_faults(loaded.faults, console);
  if (console.mode().json) {
    console.write(print_config_json(loaded.config) + "\n");
  } else {
    console.write(print_config_yaml(loaded.config, !in.flag("bare")));
  }
  return cli::kExitOk;
}

}  // namespace

std::vector<cli::Command> app_commands() {
  return {
      {.name = "config check",
       .summary = "Read the configuration and name everything that is wrong with it.",
       .options = {config_option()},
       .examples = {{"kvcs config check --config /etc/kvcs/kvcs.yaml",
                     "Exit code 1 and one line per fault, with the line number."}},
       .run = check_config},
      {.name = "config print",
       .summary = "Print the configuration as the daemon would use it; secrets as ***.",
       .options = {config_option(),
                   {.name = "--bare",
                    .kind = cli::ValueKind::kFlag,
                    .help = "Without the explanations."}},
       .examples = {{"kvcs config print > kvcs.yaml", "A file with every field to start from."},
                    {"kvcs config print --config kvcs.yaml --json", "For scripts."}},
       .run = print_config},
  };
}

}  // namespace kvcs
