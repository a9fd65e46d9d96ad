// `kvcs search`: which .kv files, of a folder or of a server, begin as a text or a list of token
// ids does; the longest common prefix comes first.
#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/counted.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "kvfile/tools/search.h"

namespace kvcs::cli {
namespace {

using kvfile::SearchHit;

constexpr int64_t kServerHitsMax = 100;  // What one answer of a server holds.

// "OF" is the length of the whole file's context, in the unit of the first column.
void print_hits(const std::vector<SearchHit>& hits, bool of_text, Console& console) {
  std::vector<std::vector<std::string>> rows = {
      {of_text ? "BYTES" : "TOKENS", "FILE", "MODEL", "SCHEME", "OF", "NOTE"}};
  for (const SearchHit& hit : hits) {
    const size_t all = of_text ? hit.file->prompt.size() : hit.file->tokens.size();
    rows.push_back({std::to_string(hit.common_prefix), printable(hit.file->name),
                    printable(hit.file->model, kShownWord), printable(hit.file->scheme, kShownWord),
                    std::to_string(all), hit.without_bos ? "one first id left out (BOS)" : ""});
  }
  console.print_table(rows);
}

// The unit of `common_prefix` and `length` is bytes for a text and tokens otherwise; `of` says
// which.
Json hits_json(const std::vector<SearchHit>& hits, bool of_text) {
  Json list = Json::array();
  for (const SearchHit& hit : hits) {
    list.push_back({{"file", hit.file->name},
                    {"common_prefix", hit.common_prefix},
                    {"of", of_text ? "text" : "tokens"},
                    {"model", hit.file->model},
                    {"scheme", hit.file->scheme},
                    {"dtype", hit.file->dtype},
                    {"length", of_text ? hit.file->prompt.size() : hit.file->tokens.size()},
                    {"without_bos", hit.without_bos}});
  }
  return list;
}

// A folder may have any name but one that begins as a URL.
bool is_url(std::string_view where) {
  return where.starts_with("http://") || where.starts_with("https://");
}

// A member of the server's answer for the table, "-" when it is absent.
std::string text_of(const Json& object, const char* member, size_t bytes_max) {
  const auto it = object.find(member);
  return it == object.end() || !it->is_string() ? "-"
                                                : printable(it->get<std::string>(), bytes_max);
}

std::string count_of(const Json& object, const char* member) {
  const auto it = object.find(member);
  return it == object.end() || !it->is_number() ? "-" : dump_json(*it);
}

// A URL in the place of a folder names the server, as --server does.
ServerFlags asked_server(const Invocation& in) {
  ServerFlags flags = in.server_flags();
  if (!in.text("where").empty()) flags.server = in.text("where");
  return flags;
}

// The server answers by its own index, for the organization of the key.
Result<int> search_server(const Invocation& in, Console& console) {
  const auto text = in.optional_text("text");
  Json body{{"limit", std::min<int64_t>(in.number("limit"), kServerHitsMax)}};
  if (text) body["text"] = KVCS_TRY(kvfile::read_small_file(*text, kvfile::kSidecarBytesMax));
  if (!text) body["tokens"] = KVCS_TRY(kvfile::read_token_ids(in.text("tokens")));
  for (const char* const gate : {"model", "tokenizer"}) {
    if (const auto value = in.optional_text(gate)) body[gate] = *value;
  }
  ApiClient api(find_api_settings(asked_server(in)));
  const Json answer = KVCS_TRY(api.call("POST", "/api/v1/artifacts/search?shape=single", body));
  if (console.mode().json) {
    console.print_json(answer);
    return kExitOk;
  }
  const auto hits = answer.find("hits");
  if (hits == answer.end() || !hits->is_array()) {
    return upstream_failed("The server's answer has no hits.");
  }
  if (hits->empty()) {
    console.print("no artifact begins like this");
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows = {
      {text ? "BYTES" : "TOKENS", "ARTIFACT ID", "NAME", "MODEL", "NOTE"}};
  for (const Json& hit : *hits) {
    const bool shifted = hit.value("without_bos", false);
    rows.push_back({count_of(hit, "common_prefix"), text_of(hit, "artifact_id", 40),
                    text_of(hit, "name", 60), text_of(hit, "model", 40),
                    shifted ? "one first id left out (BOS)" : ""});
  }
  console.print_table(rows);
  return kExitOk;
}

// Exactly one of --tokens and --text; both or neither is a usage error.
Result<int> search(const Invocation& in, Console& console) {
  const auto tokens = in.optional_text("tokens"), text = in.optional_text("text");
  if (tokens.has_value() == text.has_value()) {
    return console.misused(invalid("give either --tokens or --text"));
  }
  if (is_url(in.text("where"))) return search_server(in, console);
  const auto folder = KVCS_TRY(kvfile::open_folder_index(in.text("where")));
  const auto limit = static_cast<size_t>(in.number("limit"));
  const kvfile::SearchGate gate{in.text("model"), in.optional_text("tokenizer")};
  std::vector<SearchHit> hits;
  if (tokens) {
    const auto ids = KVCS_TRY(kvfile::read_token_ids(*tokens));
    hits = folder->index.find_tokens(ids, gate, limit);
  } else {
    const auto given = KVCS_TRY(kvfile::read_small_file(*text, kvfile::kSidecarBytesMax));
    hits = folder->index.find_text(given, gate, limit);
  }
  if (console.mode().json) {
    console.print_json(Json{{"hits", hits_json(hits, text.has_value())},
                            {"files", folder->index.files().size()},
                            {"read_files", folder->read_files},
                            {"skipped", folder->skipped}});
    return kExitOk;
  }
  // A damaged file among thousands is noted and does not end the search.
  for (const std::string& line : folder->skipped) {
    console.note("skipped " + printable(line, kShownText));
  }
  if (hits.empty()) {
    console.print("nothing in " + counted(folder->index.files().size(), "file") +
                  " begins like this");
  } else {
    print_hits(hits, text.has_value(), console);
  }
  return kExitOk;
}

int run_search(const Invocation& in, Console& console) {
  const Result<int> code = search(in, console);
  return code.ok() ? *code : console.fail(code.status());
}

}  // namespace

std::vector<Command> search_commands() {
  return {{.name = "search",
           .summary = "Find the .kv files of a folder or a server that begin like a text.",
           .options = {{.name = "WHERE", .help = "A folder, or a server's URL.", .required = true},
                       {.name = "--tokens",
                        .help = "Token ids: JSON or numbers; - is stdin.",
                        .value_name = "IDS.json"},
                       {.name = "--text",
                        .help = "A text, compared with the recorded prompts.",
                        .value_name = "T.txt"},
                       {.name = "--model", .help = "Only caches of it.", .value_name = "NAME"},
                       {.name = "--tokenizer",
                        .help = "Only caches with this recorded.",
                        .value_name = "HASH"},
                       {.name = "--limit",
                        .kind = ValueKind::kNumber,
                        .help = "At most N files.",
                        .value_name = "N",
                        .fallback = "10",
                        .min = 1,
                        .max = 1000}},
           .examples = {{"kvcs search caches --tokens ids.json", "Longest common prefix first."},
                        {"kvcs search caches --text prompt.txt --model llama-3 --json",
                         "By text, for one model, for scripts."},
                        {"kvcs search http://127.0.0.1:8080 --tokens ids.json",
                         "The organization's artifacts on a server."}},
           .run = run_search,
           .details = "In a folder and its subfolders it keeps an index, .kvcs-index, and reads "
                      "only what changed; a "
                      "server has its own, and finds what the key's organization has. A "
                      "hit whose first id had to be left out differs by a BOS token: its "
                      "positions are shifted by one."}};
}

}  // namespace kvcs::cli
