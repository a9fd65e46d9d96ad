// `kvcs delete`, `restore` and `deleted`: an artifact goes, comes back while the server keeps it,
// and what can come back is listed.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/id.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/confirm.h"
#include "cli/own_calls.h"

namespace kvcs::cli {
namespace {

// Until when it can be restored; "" where it is gone.
Result<std::string> send_delete(ApiClient& api, const std::string& id, bool permanent) {
  const std::string path = "/api/v1/artifacts/" + id + (permanent ? "?permanent=true" : "");
  const http::FetchAnswer answer = KVCS_TRY(api.exchange({.method = "DELETE"}, path));
  if (!answer.ok()) return api.refusal(answer);
  return std::string(answer.header("x-kvcs-restorable-until").value_or(""));
}

int run_artifact_delete(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const std::string called = in.text("artifact");
  const bool permanent = in.flag("permanent");
  // What was deleted before has no name any more.
  const Result<std::string> id = permanent && is_uuid(called)
                                     ? Result<std::string>(lower_ascii(called))
                                     : find_artifact(api, called);
  if (!id.ok()) return console.fail(id.status());
  // What was named otherwise than by its id is named by both in the question.
  const bool by_id = lower_ascii(called) == *id;
  const std::string question = "Delete artifact " + *id +
                               (by_id ? "" : " ('" + printable(called, kShownName) + "')") +
                               (permanent ? "? This cannot be undone." : "?");
  if (const auto exit = declined(in, console, question)) return *exit;
  const auto until = send_delete(api, *id, permanent);
  if (!until.ok()) return console.fail(until.status());
  if (console.mode().json) {
    console.print_json({{"artifact_id", *id},
                        {"deleted", true},
                        {"restorable_until", until->empty() ? Json() : Json(*until)}});
  } else if (until->empty()) {
    console.note("Deleted " + *id + " for good.");
  } else {
    console.note("Deleted " + *id + ". Until " + printable(*until, kShownWord) + " `kvcs restore " +
                 *id + "` brings it back.");
  }
  return kExitOk;
}

int run_restore(const Invocation& in, Console& console) {
  const std::string id = in.text("id");
  // The id is checked here, so that a slip does not become a question about something else.
  if (!is_uuid(id)) {
    return console.fail(invalid("'" + printable(id, kShownName) +
                                "' is not an artifact id; `kvcs "
                                "deleted` lists those that can be restored."));
  }
  ApiClient api(find_api_settings(in));
  const std::string path = "/api/v1/artifacts/" + lower_ascii(id) + "/restore";
  return show_object(console, api.call("POST", path));
}

int run_deleted(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const std::string limit = std::to_string(in.optional_number("limit").value_or(100));
  const auto answer = api.call("GET", "/api/v1/artifacts/deleted?limit=" + limit);
  if (!answer.ok()) return console.fail(answer.status());
  if (!answer->is_object() || !answer->contains("deleted")) {
    return console.fail(upstream_failed("The server's list is malformed."));
  }
  return show_list(console, answer->at("deleted"),
                   {{"ARTIFACT ID", "artifact_id"},
                    {"NAME", "name"},
                    {"BYTES", "size_bytes"},
                    {"DELETED", "deleted_at"},
                    {"ENDS", "ends_at"}},
                   "No deleted artifact can be restored.");
}

}  // namespace

std::vector<Command> delete_commands() {
  const Option id{.name = "ID", .help = "The artifact.", .required = true};
  const Option permanent{.name = "--permanent",
                         .kind = ValueKind::kFlag,
                         .help = "At once and for good, also one that was deleted before."};
  return {
      {.name = "delete",
       .summary = "Delete an artifact; it can be restored for a while.",
       .options = {artifact_argument(), permanent, yes_option()},
       .examples = {{"kvcs delete 3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f -y", "Without asking."},
                    {"kvcs delete 3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f --permanent -y",
                     "Its bytes go, too."}},
       .run = run_artifact_delete},
      {.name = "restore",
       .summary = "Take the deletion of an artifact back.",
       .options = {id},
       .examples = {{"kvcs restore 3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f",
                     "It is private then, and its links have ended."}},
       .run = run_restore},
      {.name = "deleted",
       .summary = "List deleted artifacts that can be restored.",
       .options = {{.name = "--limit",
                    .kind = ValueKind::kNumber,
                    .help = "At most N.",
                    .min = 1,
                    .max = 1000}},
       .examples = {{"kvcs deleted", "The last deleted first."}},
       .run = run_deleted},
  };
}

}  // namespace kvcs::cli
