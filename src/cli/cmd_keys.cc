// `kvcs keys status` and `keys rotate`: the master keys of a running daemon, over its admin API.
#include <nlohmann/json.hpp>

#include "cli/admin_calls.h"
#include "cli/commands.h"
#include "cli/confirm.h"

namespace kvcs::cli {
namespace {

int show_keys(Console& console, const Result<Json>& answer) {
  if (!answer.ok()) return console.fail(answer.status());
  return show_list(console, answer->value("keys", Json::array()),
                   {{"KEY ID", "id"},
                    {"SEALS", "seals"},
                    {"LOADED", "loaded"},
                    {"RECORDS", "records"},
                    {"REMOVABLE", "removable"}},
                   "No keys.");
}

int run_status(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  return show_keys(console, api.call("GET", "/admin/master-keys"));
}

int run_rotate(const Invocation& in, Console& console) {
  if (const auto exit = declined(in, console,
                                 "Add a new master key and seal every secret with it? Backups of "
                                 "before go on needing the old one.")) {
    return *exit;
  }
  ApiClient api(find_admin_settings(in));
  return show_keys(console, api.call("POST", "/admin/master-keys/rotate", Json::object()));
}

}  // namespace

std::vector<Command> keys_commands() {
  return {
      {.name = "keys status",
       .summary = "Show the master keys, and how many records each still holds.",
       .examples = {{"kvcs keys status", "By their ids, which tell nothing about the keys."}},
       .run = run_status},
      {.name = "keys rotate",
       .summary = "Add a master key that seals from now on.",
       .options = {yes_option()},
       .examples = {{"kvcs keys rotate --yes", "In a script."}},
       .run = run_rotate,
       .details = "A line is put before the others in master.key, and the job reseal begins to "
                  "seal every record with it. The old line stays until no record needs it "
                  "(kvcs keys status), and longer where backups do. Keys that come from "
                  "KVCS_MASTER_KEY or systemd are changed there, with a restart."},
  };
}

}  // namespace kvcs::cli
