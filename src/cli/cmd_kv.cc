// `kvcs kv get`, `put`, `delete`, `list`, `export` and `import`: the key-value store of a running
// daemon, through its /admin/kv routes; every write is in the audit.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "cli/admin_calls.h"
#include "cli/commands.h"
#include "cli/confirm.h"
#include "kvfile/kvfile.h"

namespace kvcs::cli {
namespace {

// The limits of Workers KV for one value and for one bulk request.
constexpr uint64_t kValueMaxBytes = 25 << 20;
constexpr uint64_t kBulkMaxBytes = 100 << 20;

// The column families of the store, in the order of a list.
constexpr const char* kFamilies[] = {"auth", "config", "tokens", "quota", "system", "outbox"};

// Without --family the server tells the family from the key's form; "auto" says so in the path.
std::string value_path(const Invocation& in) {
  const std::string family = in.text("family").empty() ? "auto" : in.text("family");
  return "/admin/kv/" + family + "/values/" + segment(in, "key");
}

// A text is printed with a line end, bytes exactly as they are. A sealed value is *** and a note on
// stderr says so.
int run_get(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  const auto answer = api.call("GET", value_path(in));
  if (!answer.ok() || console.mode().json) return show_object(console, answer);
  const Json& entry = *answer;
  const auto value = entry.find("value");
  if (value == entry.end() || !value->is_string()) {
    return console.fail(upstream_failed("The server's entry has no value."));
  }
  const std::string text = value->get<std::string>();
  if (entry.value("hidden", false)) console.note("The value is sealed and is not shown.");
  if (!entry.value("base64", false)) {
    console.print(text);
    return kExitOk;
  }
  const auto bytes = from_base64(text);
  if (!bytes.ok()) return console.fail(bytes.status());
  console.write(*bytes);
  return kExitOk;
}

// An empty VALUE is a value; only neither VALUE nor --file is refused.
int run_put(const Invocation& in, Console& console) {
  const auto value = in.text("file").empty() ? Result<std::string>(in.text("value"))
                                             : read_input(in.text("file"), kValueMaxBytes);
  if (!value.ok()) return console.fail(value.status());
  if (in.text("file").empty() && !in.optional_text("value")) {
    return console.fail(invalid("Give a VALUE, or --file with a path or - for stdin."));
  }
  ApiClient api(find_admin_settings(in));
  const std::string query = query_of(in, {{"ttl", "expiration_ttl"}, {"expires", "expiration"}});
  const auto answer =
      api.call_bytes("PUT", value_path(in) + query, *value, "application/octet-stream");
  return show_done(console, answer.status(), "Written.");
}

// A deleted value is gone; the audit keeps its digest alone.
int run_delete_value(const Invocation& in, Console& console) {
  return run_delete(
      in, console,
      {.path = value_path(in), .what = "key " + printable(in.text("key"), kShownValue)});
}

// Appends the keys of one family to `keys`, each with the family's name as a member, until `keys`
// has `limit` items (0: no limit).
Status append_keys(ApiClient& api, const std::string& family, const std::string& query,
                   uint64_t limit, Json& keys) {
  const uint64_t left = limit == 0 ? 0 : limit - keys.size();
  Json page = KVCS_TRY(read_pages(api, "/admin/kv/" + family + "/keys" + query, "keys", left));
  for (Json& key : page) {
    key["family"] = family;
    keys.push_back(std::move(key));
  }
  return ok();
}

// The route lists one family at a time, so all of them are asked in turn.
int run_list(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  const std::string wanted = in.text("family");
  const auto limit = static_cast<uint64_t>(in.number("max"));
  Json keys = Json::array();
  for (const std::string family : kFamilies) {
    if (!wanted.empty() && family != wanted) continue;
    if (limit != 0 && keys.size() >= limit) break;
    const Status status =
        append_keys(api, family, query_of(in, {{"prefix", "prefix"}}), limit, keys);
    if (!status.ok()) return console.fail(status);
  }
  return show_list(
      console, keys,
      {{"KEY", "name"}, {"FAMILY", "family"}, {"SIZE", "size_bytes"}, {"EXPIRES", "expiration"}},
      "No keys.");
}

// The bulk form of Workers KV: [{"key", "value", "expiration"?, "metadata"?}]. It is passed on as
// it came, byte for byte.
int run_export(const Invocation& in, Console& console) {
  ApiClient api(find_admin_settings(in));
  const auto text = api.call_bytes(
      "GET", "/admin/kv/bulk" + query_of(in, {{"family", "family"}, {"prefix", "prefix"}}));
  if (!text.ok()) return console.fail(text.status());
  const std::string file = in.text("output");
  if (file.empty() || file == "-") {
    console.write(*text);
    return kExitOk;
  }
  return show_done(console, kvfile::write_file_atomically(file, *text),
                   "Written to " + printable(file) + ".");
}

// The text is not parsed here: the server checks it and says which entry is wrong.
int run_import(const Invocation& in, Console& console) {
  const auto text = read_input(in.text("file"), kBulkMaxBytes);
  if (!text.ok()) return console.fail(text.status());
  ApiClient api(find_admin_settings(in));
  const auto answer = api.call_bytes("PUT", "/admin/kv/bulk", *text, "application/json");
  if (!answer.ok()) return console.fail(answer.status());
  return show_object(console, parse_json(*answer));
}

// Choices are checked before the server is asked.
Option family_option() {
  return {.name = "--family",
          .help = "Which part of the store; else told by the key's form.",
          .choices = {std::begin(kFamilies), std::end(kFamilies)}};
}

std::vector<Command> value_commands() {
  const Option key{.name = "KEY", .help = "The key.", .required = true};
  return {
      {.name = "kv get",
       .summary = "Print one value; sealed ones as ***.",
       .options = {key, family_option()},
       .examples = {{"kvcs kv get org_slug:default", ""}},
       .run = run_get},
      {.name = "kv put",
       .summary = "Write one value.",
       .options = {key,
                   {.name = "VALUE", .help = "The value."},
                   {.name = "--file", .help = "Take it from here; - is stdin."},
                   family_option(),
                   {.name = "--ttl",
                    .kind = ValueKind::kNumber,
                    .help = "Seconds until it ends.",
                    .min = 1},
                   {.name = "--expires",
                    .kind = ValueKind::kNumber,
                    .help = "When it ends, in Unix seconds.",
                    .min = 1}},
       .examples = {{"kvcs kv put note:1 hello --family system --ttl 3600", "Ends in an hour."},
                    {"kvcs kv put note:2 --file - --family system < note.txt", ""}},
       .run = run_put},
      {.name = "kv delete",
       .summary = "Delete one key.",
       .options = {key, family_option(), yes_option()},
       .examples = {{"kvcs kv delete note:1 --family system -y", "Without asking."}},
       .run = run_delete_value},
  };
}

}  // namespace

std::vector<Command> kv_commands() {
  std::vector<Command> all = value_commands();
  all.push_back({.name = "kv list",
                 .summary = "List keys, of all families or of one.",
                 .options = {{.name = "--family",
                              .help = "Only this part of the store.",
                              .choices = {std::begin(kFamilies), std::end(kFamilies)}},
                             {.name = "--prefix", .help = "Only keys that begin so."},
                             {.name = "--max",
                              .kind = ValueKind::kNumber,
                              .help = "At most N.",
                              .min = 1,
                              .max = 10'000'000}},
                 .examples = {{"kvcs kv list --prefix org:", ""},
                              {"kvcs kv list --family quota --max 100", ""}},
                 .run = run_list});
  all.push_back(
      {.name = "kv export",
       .summary = "Print entries in the bulk JSON of Workers KV; sealed ones stay sealed.",
       .options = {{.name = "--family",
                    .help = "Only this part; else all but the outbox.",
                    .choices = {"auth", "config", "tokens", "quota", "system"}},
                   {.name = "--prefix", .help = "Only keys that begin so."},
                   {.name = "-o,--output", .help = "Write to this file."}},
       .examples = {{"kvcs kv export -o backup.json", ""}},
       .run = run_export});
  all.push_back({.name = "kv import",
                 .summary = "Write entries in the bulk JSON of Workers KV.",
                 .options = {{.name = "FILE", .help = "The JSON; - is stdin.", .required = true}},
                 .examples = {{"kvcs kv import backup.json", ""}},
                 .run = run_import});
  return all;
}

}  // namespace kvcs::cli
