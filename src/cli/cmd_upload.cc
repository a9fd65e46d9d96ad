// `kvcs upload` and `kvcs sync`: .kv files, one or many, from here to the server. The transfer of a
// file is that of send_artifact.h, of many that of upload_batch.h.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>

#include "base/bytes.h"
#include "base/counted.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/own_calls.h"
#include "cli/send_artifact.h"
#include "cli/upload_batch.h"
#include "cli/upload_plan.h"

namespace kvcs::cli {
namespace {

constexpr int kLookUpsMax = 3;  // For a URL that is nice to have.

// The stored record; {} when the server does not say: the artifact is stored either way.
Json look_up(ApiClient& api, const std::string& id, Console& console) {
  Repeat repeat(repeat_hooks(console), {.attempts_max = kLookUpsMax});
  repeat.note_reached();
  Json stored;
  const auto attempt = [&](bool&) -> Status {
    stored = KVCS_TRY(api.call("GET", "/api/v1/artifacts/" + id + "?shape=single"));
    return ok();
  };
  const Status found = repeat.run("look-up", attempt);
  if (!found.ok()) {
    console.note("It is stored; its URL could not be asked for: " + printable(found.message()));
  }
  return stored.is_object() ? stored : Json::object();
}

Result<UploadWishes> wishes_of(const Invocation& in, ApiClient& api) {
  UploadWishes wishes{.visibility = in.text("visibility"),
                      .description = in.optional_text("description"),
                      .tags = in.list("tag")};
  if (const auto project = in.optional_text("project")) {
    wishes.project_id = KVCS_TRY(find_own_project(api, *project));
  }
  return wishes;
}

// The transfer, then the stored record, which has the public URL if there is one.
Result<Json> upload_one(const Invocation& in, const std::string& path, ApiClient& api,
                        Console& console) {
  const auto given = in.optional_text("name");
  if (!given && is_stream(path)) {
    return invalid("What comes through " + printable(path) + " has no name: give one by --name.");
  }
  const LocalArtifact local = KVCS_TRY(read_local_artifact(path, console));
  const std::string name = given.value_or(std::filesystem::path(path).stem().string());
  const UploadWishes wishes = KVCS_TRY(wishes_of(in, api));
  const Result<std::string> sent =
      send_artifact(api, local, announcement_of(local, name, wishes), console);
  if (const auto project = in.optional_text("project"); project && !sent.ok()) {
    KVCS_TRY(check_project_of_key(api, *project));
  }
  const std::string id = KVCS_TRY(Result<std::string>(sent));
  const Json stored = look_up(api, id, console);
  const std::string public_url = text_member(stored, "public_url");
  const std::string url =
      public_url.empty() ? api.settings().url + "/api/v1/artifacts/" + id : public_url;
  return Json{{"artifact_id", id},
              {"name", name},
              {"path", path},
              {"size_bytes", local.file->size_bytes()},
              {"sha256", local.sha256},
              {"visibility", wishes.visibility},
              {"project", stored.value("project", Json())},
              {"url", url}};
}

int run_one(const Invocation& in, const std::string& path, ApiClient& api, Console& console) {
  const Interrupts interrupts;  // Its signal ends the process when all is said.
  const auto done = upload_one(in, path, api, console);
  if (!done.ok()) return console.fail(done.status());
  if (console.mode().json) {
    console.print_json(*done);
    return kExitOk;
  }
  const std::string id = (*done)["artifact_id"], url = (*done)["url"];
  if (console.mode().quiet) {
    console.print(id);
    return kExitOk;
  }
  console.print("Uploaded " + printable(path) + " (" +
                format_bytes((*done)["size_bytes"].get<uint64_t>()) + ")");
  console.print("  id       " + printable(id));
  // A server of before does not tell the project.
  if ((*done)["project"].is_string()) console.print("  project  " + shown(*done, "project"));
  console.print("  url      " + printable(url, kShownWhole));
  return kExitOk;
}

std::string plan_words(const std::vector<PlannedFile>& plan) {
  uint64_t total_bytes = 0;
  for (const PlannedFile& file : plan) total_bytes += file.size_bytes;
  return counted(plan.size(), "file") + ", " + format_bytes(total_bytes);
}

const char* word_of(FileState state, bool dry_run) {
  switch (state) {
    case FileState::kNotTried:
      return "not tried";
    case FileState::kUploaded:
      return dry_run ? "to upload" : "uploaded";
    case FileState::kThere:
      return "there";
    case FileState::kFailed:
      return "failed";
  }
  return "";
}

Json outcome_json(const PlannedFile& file, const FileOutcome& outcome, bool dry_run) {
  Json json{{"path", file.path},
            {"name", file.name},
            {"size_bytes", file.size_bytes},
            {"state", word_of(outcome.state, dry_run)},
            {"artifact_id", outcome.id.empty() ? Json() : Json(outcome.id)},
            {"sha256", outcome.sha256.empty() ? Json() : Json(outcome.sha256)}};
  if (!outcome.failure.ok()) json["error"] = outcome.failure.message();
  return json;
}

// "3 uploaded, 1 there, 2 failed"
std::string sum_words(const std::vector<FileOutcome>& outcomes, bool dry_run) {
  std::string words;
  for (const FileState state :
       {FileState::kUploaded, FileState::kThere, FileState::kFailed, FileState::kNotTried}) {
    const auto n = std::count_if(outcomes.begin(), outcomes.end(),
                                 [&](const FileOutcome& one) { return one.state == state; });
    if (n == 0) continue;
    if (!words.empty()) words += ", ";
    words += std::to_string(n) + " " + word_of(state, dry_run);
  }
  return words;
}

void print_outcomes(const std::vector<PlannedFile>& plan, const std::vector<FileOutcome>& outcomes,
                    bool dry_run, Console& console) {
  std::vector<std::vector<std::string>> rows = {{"ARTIFACT ID", "STATE", "SIZE", "NAME"}};
  for (size_t i = 0; i < plan.size(); i++) {
    const FileOutcome& outcome = outcomes[i];
    if (console.mode().quiet && !outcome.id.empty()) console.print(printable(outcome.id));
    if (outcome.state == FileState::kFailed || outcome.state == FileState::kNotTried) continue;
    rows.push_back({outcome.id.empty() ? "-" : printable(outcome.id),
                    word_of(outcome.state, dry_run), format_bytes(plan[i].size_bytes),
                    printable(plan[i].name)});
  }
  if (console.mode().quiet) return;
  if (rows.size() > 1) console.print_table(rows);
  console.print(sum_words(outcomes, dry_run) + ".");
}

int run_many(const std::vector<PlannedFile>& plan, const UploadWishes& wishes,
             const BatchRules& rules, ApiClient& api, Console& console) {
  if (!rules.dry_run) console.note(plan_words(plan) + ".");
  const Interrupts interrupts;
  const std::vector<FileOutcome> outcomes = upload_batch(api, plan, wishes, rules, console);
  bool is_whole = true;
  Json list = Json::array();
  for (size_t i = 0; i < plan.size(); i++) {
    const FileOutcome& outcome = outcomes[i];
    list.push_back(outcome_json(plan[i], outcome, rules.dry_run));
    is_whole &= outcome.state == FileState::kUploaded || outcome.state == FileState::kThere;
    if (outcome.failure.ok() || console.mode().json) continue;
    console.fail(Status(outcome.failure).with_context(printable(plan[i].path)));
  }
  if (console.mode().json) {
    console.print_json(list);
  } else {
    print_outcomes(plan, outcomes, rules.dry_run, console);
    if (!is_whole && !rules.skips_known) {
      console.note("`kvcs sync` with the same words uploads what is missing.");
    }
  }
  return is_whole ? kExitOk : kExitFailed;
}

BatchRules rules_of(const Invocation& in) {
  return {.dry_run = in.flag("dry-run"), .parallel = static_cast<int>(in.number("parallel"))};
}

int run_upload(const Invocation& in, Console& console) {
  const std::vector<std::string> words = in.list("file");
  auto plan = plan_files(words);
  if (!plan.ok()) return console.fail(plan.status());
  ApiClient api(find_api_settings(in));
  std::error_code ignored;
  const bool is_one =
      words.size() == 1 && plan->size() == 1 && !std::filesystem::is_directory(words[0], ignored);
  const BatchRules rules = rules_of(in);
  if (is_one && !rules.dry_run) return run_one(in, plan->front().path, api, console);
  const auto name = in.optional_text("name");
  if (name && !is_one) {
    return console.misused(
        invalid("--name: it is for one file; of several, and in a folder, each has its own."));
  }
  if (name) plan->front().name = *name;
  for (const PlannedFile& file : *plan) {
    if (!is_stream(file.path)) continue;
    return console.misused(invalid(printable(file.path) +
                                   " can be read once only; upload it alone, with --name" +
                                   (rules.dry_run ? " and without --dry-run." : ".")));
  }
  const Result<UploadWishes> wishes = wishes_of(in, api);
  if (!wishes.ok()) return console.fail(wishes.status());
  return run_many(*plan, *wishes, rules, api, console);
}

// What is looked through and what is added to is one place: for somebody who has signed in and
// names no project, the active one.
int run_sync(const Invocation& in, Console& console) {
  auto plan = plan_files(in.list("path"));
  if (!plan.ok()) return console.fail(plan.status());
  ApiClient api(find_api_settings(in));
  Result<UploadWishes> wishes = wishes_of(in, api);
  if (wishes.ok() && wishes->project_id.empty() && is_person(api.settings())) {
    const auto me = api.call("GET", "/api/v1/me");
    if (!me.ok()) return console.fail(me.status());
    wishes->project_id = text_member(*me, "project_id");
  }
  if (!wishes.ok()) return console.fail(wishes.status());
  BatchRules rules = rules_of(in);
  rules.skips_known = true;
  return run_many(*plan, *wishes, rules, api, console);
}

const Option kDryRun = {.name = "--dry-run",
                        .kind = ValueKind::kFlag,
                        .help = "Say what would be uploaded, and upload nothing."};
const Option kParallel = {.name = "--parallel",
                          .kind = ValueKind::kNumber,
                          .help = "So many small files at a time.",
                          .fallback = "16",
                          .min = 1,
                          .max = 64};

// What is said of each artifact that is made.
std::vector<Option> with_wishes(std::vector<Option> options) {
  const std::vector<Option> wishes = {
      {.name = "--description", .help = "What it is about."},
      {.name = "--tag", .kind = ValueKind::kList, .help = "A word to find it by; may be repeated."},
      {.name = "--visibility",
       .help = "Who may download it.",
       .fallback = "private",
       .choices = {"private", "public"}},
      {.name = "--project,--project-id",
       .help = "Into this project (slug, name or id) instead of the active one; "
               "a key of the organization needs it, and its id.",
       .value_name = "PROJECT",
       .never_empty = true},
      kDryRun,
      kParallel};
  options.insert(options.end(), wishes.begin(), wishes.end());
  return options;
}

}  // namespace

std::vector<Command> upload_commands() {
  return {
      {.name = "upload",
       .summary = "Store .kv files on the server and print their ids.",
       .options = with_wishes({{.name = "FILE",
                                .kind = ValueKind::kList,
                                .help = "A .kv file, a folder of them, a pattern, or - for stdin.",
                                .required = true},
                               {.name = "--name", .help = "Its name; else that of the file."}}),
       .examples = {{"kvcs upload context.kv --name demo", "Private, for the organization."},
                    {"kvcs upload context.kv --tag law --tag de", "Found by these words."},
                    {"kvcs upload context.kv --visibility public --json", "For scripts."},
                    {"kvcs upload caches --dry-run", "All *.kv of a folder; first a plan."},
                    {"cat context.kv | kvcs upload - --name piped", "From a pipe."}},
       .run = run_upload,
       .details =
           "Model, dtype and tokens come from the sidecar FILE.json, else from the "
           "file's header. A broken transfer is repeated; a file of 64 MiB and more goes "
           "in parts, and the same command goes on where an interrupted one stopped. Of a "
           "folder all *.kv are taken, with those in folders below, but nothing that is hidden; "
           "each is named by its path in it. What comes through a pipe is kept in $TMPDIR until "
           "it is stored. Server and key: "
           "KVCS_API_URL and KVCS_API_KEY (or KVCDN_…), `kvcs api-key set`, or a daemon "
           "on this machine."},
      {.name = "sync",
       .summary = "Store those .kv files of a folder that the project does not have.",
       .options = with_wishes({{.name = "PATH",
                                .kind = ValueKind::kList,
                                .help = "A folder of .kv files, a file, or a pattern.",
                                .required = true}}),
       .examples = {{"kvcs sync caches --dry-run", "What is missing."},
                    {"kvcs sync caches --tag law", "Found by this word."}},
       .run = run_sync,
       .details = "Files are compared by the SHA-256 of all their bytes, whatever they are called: "
                  "what was renamed here is not stored again, and nothing is changed or deleted "
                  "on the server. Run it as often as you like."}};
}

}  // namespace kvcs::cli
