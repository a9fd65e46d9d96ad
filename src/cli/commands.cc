// The list of all commands that this module owns. One line per command file; the order is the order
// of --help: first what a user of artifacts needs, then administration, then the .kv toolbox.
#include "cli/commands.h"

#include <algorithm>
#include <map>

#include "cli/cli.h"

namespace kvcs::cli {

std::vector<Command> commands() {
  std::vector<Command> all;
  const auto add = [&all](std::vector<Command> some) {
    for (Command& command : some) all.push_back(std::move(command));
  };
  // What works on files of this machine alone.
  const auto add_tools = [&all](std::vector<Command> some) {
    for (Command& command : some) {
      command.asks_server = false;
      all.push_back(std::move(command));
    }
  };
  add(upload_commands());
  add(cache_commands());
  add(download_commands());
  add(cat_commands());
  add(artifact_commands());
  add(show_commands());
  add(delete_commands());
  add(edit_commands());
  add(whoami_commands());
  add(login_commands());
  add(account_commands());
  add(share_commands());
  add(place_commands());
  add(team_commands());
  add(own_key_commands());
  add_tools(sample_commands());
  add_tools(inspect_commands());
  add_tools(verify_commands());
  add_tools(quant_commands());
  add_tools(slice_commands());
  add_tools(pack_commands());
  add(admin_commands());
  add(people_commands());
  add(admin_ai_commands());
  add(prices_commands());
  add(gateway_commands());
  add(gateway_account_commands());
  add(keys_commands());
  add(kv_commands());
  add(api_commands());
  add_tools(import_commands());
  add_tools(export_commands());
  add_tools(annotate_commands());
  add(search_commands());
  add(benchmark_commands());
  add_tools(plot_commands());
  add_tools(version_commands());
  add_tools(completion_commands());
  add_tools(help_commands());
  return all;
}

// The first word of a command, and under which heading of `kvcs --help` it stands.
std::string_view door_of(std::string_view name) {
  static const std::map<std::string_view, std::vector<std::string_view>> kDoors = {
      {"The daemon", {"serve", "config", "repair", "keys", "kv", "api"}},
      {"Artifacts",
       {"upload", "sync", "download", "cat", "cache", "list", "show", "open", "delete", "deleted",
        "restore", "quota", "edit", "rename", "describe", "tag", "visibility", "share"}},
      {"People, projects and keys",
       {"login", "logout", "whoami", "api-key", "server", "totp", "password", "session", "org",
        "project", "member", "key"}},
      {"Tool gateway and AI gateway", {"gateway", "admin", "prices"}},
      {".kv files",
       {"sample", "inspect", "verify", "quant", "dequant", "compare", "slice", "pack", "unpack",
        "import", "export", "annotate", "search", "benchmark", "plot"}},
      {"This program", {"version", "help", "completion"}}};
  const std::string_view word = name.substr(0, name.find(' '));
  for (const auto& [door, words] : kDoors) {
    if (std::find(words.begin(), words.end(), word) != words.end()) return door;
  }
  return "Others";
}

// Every word that stands before the last one of some command's name needs a row here.
std::vector<CommandGroup> command_groups() {
  return {
      {"cache", "What interrupted transfers have left."},
      {"org", "Your organizations."},
      {"project", "Projects of an organization of yours."},
      {"member", "Who is in an organization of yours."},
      {"key", "Keys of your projects and your organization."},
      {"config", "Check or print the daemon's configuration."},
      {"keys", "The master keys that seal every stored secret."},
      {"kv", "Read and change the key-value store of a running daemon."},
      {"share", "Links that open one artifact to whoever has them."},
      {"totp", "Your second factor for sign-ins by password."},
      {"session", "Where you are signed in."},
      {"server", "Make servers known, and choose the one that commands ask."},
      {"api-key", "Set, verify or clear the API key that this machine uses."},
      {"admin", "Manage organizations, users and keys of a running daemon."},
      {"admin org", "Organizations: budgets, limits, failure mode."},
      {"admin user", "Users of the AI gateway and their limits."},
      {"admin key", "Users' keys."},
      {"admin prices", "What models cost."},
      {"admin provider", "Where models live."},
      {"admin bodies", "Requests and answers that an organization has kept."},
      {"admin audit", "The record of every administrative write."},
      {"gateway", "Set up the tool gateway and call through it."},
      {"gateway provider", "APIs that can be called."},
      {"gateway tenant", "Who may call."},
      {"gateway token", "Tokens of a tenant's agents."},
      {"gateway account", "Credentials of a tenant at a provider."},
      {"gateway schedule", "When a tenant's agents are to run."},
      {"gateway decision", "Proposals of the daily briefing."},
      {"prices", "Bring prices in from elsewhere."},
      {"help", "What all commands have in common."},
  };
}

}  // namespace kvcs::cli
