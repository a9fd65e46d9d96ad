// `kvcs share create`, `list` and `delete`: links by which somebody without a key gets one
// artifact.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/id.h"
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/own_calls.h"

namespace kvcs::cli {
namespace {

Result<std::string> shares_path(ApiClient& api, const Invocation& in) {
  return KVCS_TRY(artifact_path(api, in)) + "/shares";
}

Result<Json> create(const Invocation& in) {
  Json wanted = Json::object();
  if (const auto hours = in.optional_number("hours")) wanted["expires_in_s"] = *hours * 3600;
  if (const auto max = in.optional_number("downloads-max")) wanted["downloads_max"] = *max;
  const auto password = KVCS_TRY(read_password_file(in));
  if (password) wanted["password"] = password->reveal();
  ApiClient api(find_api_settings(in));
  return api.call("POST", KVCS_TRY(shares_path(api, in)), wanted);
}

int run_share_create(const Invocation& in, Console& console) {
  const Result<Json> made = create(in);
  if (made.ok() && console.mode().quiet) {
    console.print(printable(text_member(*made, "url"), kShownWhole));
    return kExitOk;
  }
  return show_object(console, made);
}

Result<Json> list(const Invocation& in) {
  ApiClient api(find_api_settings(in));
  const std::string path = KVCS_TRY(shares_path(api, in));
  const Json answer = KVCS_TRY(api.call("GET", path));
  return answer.value("shares", Json::array());
}

int run_share_list(const Invocation& in, Console& console) {
  Result<Json> shares = list(in);
  if (shares.ok() && !console.mode().json) {
    for (Json& share : *shares) {
      if (text_member(share, "state") == "used_up") share["state"] = "used up";
    }
  }
  return show_list(console, shares,
                   {{"SHARE ID", "share_id"},
                    {"STATE", "state"},
                    {"EXPIRES", "expires_at"},
                    {"DOWNLOADS", "downloads"},
                    {"MAX", "downloads_max"},
                    {"PASSWORD", "has_password"}},
                   "Nobody has a link to it.");
}

Status remove(const Invocation& in) {
  const std::string share = lower_ascii(in.text("share-id"));
  if (!is_uuid(share)) {
    return invalid("'" + printable(share, kShownName) +
                   "' is not the id of a link; `kvcs share list` has them.");
  }
  ApiClient api(find_api_settings(in));
  const std::string path = KVCS_TRY(shares_path(api, in));
  return api.call("DELETE", path + "/" + share).status();
}

int run_share_delete(const Invocation& in, Console& console) {
  if (const Status removed = remove(in); !removed.ok()) return console.fail(removed);
  if (console.mode().json) {
    console.print_json({{"share_id", lower_ascii(in.text("share-id"))}, {"deleted", true}});
  } else {
    console.note("The link works no longer.");
  }
  return kExitOk;
}

}  // namespace

std::vector<Command> share_commands() {
  const Option id = artifact_argument();
  const std::string example = "3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f";
  return {
      {.name = "share create",
       .summary = "Make a link to an artifact; it is shown this once.",
       .options = {id,
                   {.name = "--hours",
                    .kind = ValueKind::kNumber,
                    .help = "How long it works; a week without this.",
                    .min = 1,
                    .max = 8784},
                   {.name = "--downloads-max",
                    .kind = ValueKind::kNumber,
                    .help = "How often it may be used.",
                    .min = 1,
                    .max = 1'000'000'000},
                   password_file_option("Whose first line it asks for; \"-\" reads stdin.")},
       .examples = {{"kvcs share create " + example + " --hours 24 --downloads-max 1",
                     "Once, within a day."}},
       .run = run_share_create,
       .details =
           "The link ends with its time, its downloads, the artifact, and with your right to "
           "write it: when your key is revoked, or you leave the organization."},
      {.name = "share list",
       .summary = "List the links to an artifact whose time is not over.",
       .options = {id},
       .examples = {{"kvcs share list " + example, "With their downloads."}},
       .run = run_share_list,
       .details = "STATE is active, used up (no download is left), or ended (whoever made the link "
                  "may not share the artifact any more)."},
      {.name = "share delete",
       .summary = "Withdraw a link.",
       .options = {id, {.name = "SHARE-ID", .help = "The link's id.", .required = true}},
       .examples = {{"kvcs share delete " + example + " 0c9d5e3f-0a7e-4a62-9c1b-6c1d2e3f0a4f",
                     "At once."}},
       .run = run_share_delete},
  };
}

}  // namespace kvcs::cli
