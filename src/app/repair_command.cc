// Says what a repair will lose, asks, and carries it out. The lock of the data directory is held
// from the first look to the end, so that no daemon starts in between.
#include "app/repair_command.h"

#include <nlohmann/json.hpp>

#include "app/files.h"
#include "app/repair.h"
#include "app/store_look.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "cli/confirm.h"

namespace kvcs {
namespace {

std::string question(const std::string& data_dir, const RepairPlan& plan) {
  std::string text = "Will be lost in " + printable(data_dir) + ":\n";
  for (const std::string& loss : plan.losses) text += "  - " + loss + "\n";
  for (const std::string& path : plan.renamed) text += "Kept under a new name: " + path + "\n";
  return text + "Go on?";
}

// Only the operator reads this: the cause, which names the file, is told with it.
int fail(cli::Console& console, Status failed, const std::string& what) {
  if (!failed.cause().empty() && failed.cause() != failed.message()) console.note(failed.cause());
  return console.fail(std::move(failed).with_context(what));
}

int repair(const cli::Invocation& in, cli::Console& console) {
  const std::string dir = in.text("data-dir");
  const auto accept = parse_accept(in.text("accept"));
  if (!accept.ok()) return console.fail(accept.status());
  // Before anything is made there, the lock's file included.
  if (const Status used = check_used_directory(dir); !used.ok()) return console.fail(used);
  if (const Status owner = become_owner_of(dir); !owner.ok()) return console.fail(owner);
  const auto lock = DataDirLock::acquire(dir);
  if (!lock.ok()) return console.fail(lock.status());
  const auto plan = plan_repair(dir, *accept, make_system_clock()->unix_ms());
  if (!plan.ok()) return fail(console, plan.status(), "Nothing was changed");
  if (in.flag("yes")) {
    for (const std::string& loss : plan->losses) console.note("Lost: " + loss);
    for (const std::string& path : plan->renamed) {
      console.note("Kept under a new name: " + path);
    }
  }
  // Whoever has declined has a directory that does not start: a script must not take that for done.
  if (cli::declined(in, console, question(dir, *plan))) return cli::kExitFailed;
  if (const Status done = plan->carry_out(); !done.ok()) {
    return fail(console, done, "The repair is not done, and can be repeated");
  }
  if (console.mode().json) {
    console.print_json(Json{{"repaired", true},
                            {"lost", plan->losses},
                            {"kept", plan->renamed},
                            {"next_accept", plan->next_accept}});
  } else if (!plan->next_accept.empty()) {
    console.print("Repaired in part: before the daemon can start, run it again with --accept " +
                  plan->next_accept + ".");
  } else {
    console.print("Repaired; the daemon can start.");
  }
  return cli::kExitOk;
}

}  // namespace

cli::Command repair_command() {
  return {.name = "repair",
          .summary = "Accept a loss in a data directory whose stores do not fit together.",
          .options = {{.name = "--data-dir",
                       .help = "The directory; no daemon may be running on it.",
                       .value_name = "DIR",
                       .required = true},
                      {.name = "--accept",
                       .help = "What is given up.",
                       .value_name = "WHAT",
                       .required = true,
                       .choices = {"kv-log", "kv-files", "journal", "sql", "generation", "blobs"}},
                      cli::yes_option()},
          .examples = {{"kvcs repair --data-dir data --accept sql --yes",
                        "Goes on without the databases, and says what is lost. Without --yes it "
                        "asks first."}},
          .run = repair,
          .details =
              "A backup loses less: see there first. The daemon names the way that fits when "
              "it refuses to start. Nothing is deleted; what is given up is renamed. Only what "
              "is proven to be damaged is given up: a disk that is full, a file that may not be "
              "read or a lock that is held ends the repair. Run as root it acts as the owner of "
              "the directory, so that all files there stay the daemon's."};
}

}  // namespace kvcs
