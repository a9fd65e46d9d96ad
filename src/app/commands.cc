// The commands that run inside the daemon's own program: `serve` and the two that read its
// configuration. The other commands are clients and live in cli/.
#include "app/commands.h"

#include <nlohmann/json.hpp>

#include <cstdlib>

#include "app/app.h"
#include "app/config.h"
#include "app/first_start.h"
#include "app/repair_command.h"
#include "base/json.h"
#include "base/log.h"
#include "base/log_gatherer.h"
#include "base/private_file.h"

namespace kvcs {
namespace {

cli::Option config_option() {
  return {.name = "--config",
          .help = "The configuration file; KVCS_* variables override it.",
          .value_name = "FILE",
          .env = {"KVCS_CONFIG"}};
}

// One line for each fault; with --json one object.
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
    console.print_json(Json{{"valid", true}, {"faults", Json::array()}, {"notes", loaded.notes}});
  } else {
    for (const std::string& note : loaded.notes) console.note(note);
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

// An option that was typed wins over the environment, which wins over the file.
LoadedConfig load_for_serve(const cli::Invocation& in) {
  Environment arguments;
  if (const auto dir = in.optional_text("data-dir")) arguments["KVCS_DATA_DIR"] = *dir;
  if (const auto listen = in.optional_text("listen")) arguments["KVCS_HTTP_LISTEN"] = *listen;
  return load_config(in.text("config"), process_environment(), arguments);
}

// The systemd unit takes secrets from kvcs.env beside the configuration file. systemd reads it as
// root and hands over variables, which do not say where they come from; the place does.
void look_at_environment_file(const std::string& config_path) {
  if (config_path.empty()) return;
  const size_t slash = config_path.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : config_path.substr(0, slash + 1);
  warn_if_others_can_read(folder + "kvcs.env");
}

// A reader of the log that is slow gets the last lines too; one that has stopped holds nobody.
constexpr int64_t kLastLinesMs = 1000;

// Runs until a signal; the console is told only where a person looks on.
int serve(const cli::Invocation& in, cli::Console& console) {
  const LoadedConfig loaded = load_for_serve(in);
  if (!loaded.faults.empty()) return report_faults(loaded.faults, console);
  for (const std::string& note : loaded.notes) log::warn("config.no_effect", {{"note", note}});
  look_at_environment_file(in.text("config"));
  const auto tell = [&](const App& app) {
    if (!console.mode().terminal) return;
    console.note("kvcs serves on " + app.url());
    if (app.first_start()) {
      console.note("Nobody has an account yet: open the setup_url of " +
                   initial_credentials_path(loaded.config.data_dir) +
                   " in a browser. The admin key is there, too.");
    }
  };
  const Status served = serve_until_signalled(
      loaded.config, [&in] { return load_for_serve(in); }, tell);
  log::drain(kLastLinesMs);
  if (served.ok()) return cli::kExitOk;
  if (!served.cause().empty()) console.note(served.cause());
  return console.fail(served);
}

}  // namespace

std::vector<cli::Command> app_commands() {
  return {
      {.name = "serve",
       .summary = "Run the daemon in the foreground.",
       .options = {config_option(),
                   {.name = "--data-dir",
                    .help = "Where everything is kept; overrides data_dir. Created when missing.",
                    .value_name = "DIR"},
                   {.name = "--listen",
                    .help = "Address to serve on; overrides http.listen. Port 0: any free one.",
                    .value_name = "HOST:PORT"}},
       .examples = {{"kvcs serve", "On 127.0.0.1:8080 with ./data; nothing needs configuring."},
                    {"kvcs serve --data-dir /var/lib/kvcs --listen 0.0.0.0:8080", ""},
                    {"kvcs serve --config /etc/kvcs/kvcs.yaml", "What the systemd unit runs."}},
       .run = serve,
       .details = "SIGTERM and SIGINT stop it after the requests in flight; SIGHUP reads TLS "
                  "files, prices, plans and the log level again."},
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
      repair_command(),
  };
}

}  // namespace kvcs
