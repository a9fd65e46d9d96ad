// Goal: the rooms of the house stay apart: which module may include which, which headers of a
// module others may see, how the folders within a module lie above one another, and that
// ARCHITECTURE.md says the same. Method: read the #include lines of src/ as text; each rule is a
// function from one file to findings "path:line: why", and is itself tested on bad samples.
#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/source_file.h"

using namespace kvcs::test;

namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

// --- the tables -----------------------------------------------------------------------------

// From the bottom up. A module may include the rows below it, and no other module of its row.
const std::vector<Names>& rows() {
  static const std::vector<Names> table = {
      {"base"},
      {"kv", "db", "blob", "http", "kvfile"},
      {"oauth"},
      {"ledger", "ops", "identity"},
      {"artifacts", "gateway", "ai", "portal"},
      {"briefing"},
      {"app"},
      {"main.cc"},
  };
  return table;
}

// The command line is a client: it stands beside the rows, below main.cc alone.
const Names kCliMay = {"base", "kvfile"};

// Single headers allowed against the rows: the command line speaks HTTP and tells the members of a
// price apart as the server does, and App offers commands (serve, config, repair) in the form that
// the command line reads.
const std::set<std::pair<std::string, std::string>> kExtraArrows = {
    {"cli", "http/client/fetch.h"}, {"cli", "http/http.h"},   {"cli", "ai/prices/members.h"},
    {"app", "cli/command.h"},       {"app", "cli/confirm.h"},
};

const Names kGeneratedHeaders = {"version.h"};

// What other modules may include of a module beside its face, the header of its name. base is a
// library of values and has no face: all its headers are public.
struct Shown {
  Names to_all;  // Modules above may include these.
  Names to_app;  // Only App may: it builds the objects and names the handlers.
};
const std::map<std::string, Shown>& shown() {
  static const std::map<std::string, Shown> table = {
      {"kv",
       {{"audited_kv.h", "bulk_json.h", "if_match.h", "keyspace.h", "last_used.h", "list_walk.h",
         "outbox.h", "owned.h", "record_cache.h", "room.h"},
        {"kv_repair.h", "rocks_kv.h"}}},
      {"db", {{"table_owner.h"}, {"db_damage.h"}}},
      {"blob", {{"presign.h"}, {"blob_links.h"}}},
      {"http",
       {{"external_url.h", "form.h", "client/content_decoder.h", "client/fetch.h",
         "client/upstream.h", "header_list.h", "header_syntax.h", "json_api.h", "problem.h",
         "route_rows.h", "sse.h", "text_body.h"},
        {"client/mail.h", "router.h", "serve/live_streams.h", "serve/server.h",
         "serve/server_config.h", "static_files.h"}}},
      // Each tool of the command line has its header; the doors use four of them.
      {"kvfile",
       {{"convert/export.h", "convert/import.h", "convert/sample.h", "format/parallel.h",
         "plot/plot.h", "tools/annotate.h", "tools/benchmark.h", "tools/benchmark_csv.h",
         "tools/compare.h", "tools/figures.h", "tools/pack.h", "tools/prefix_chain.h",
         "tools/quantize.h", "tools/search.h", "tools/slice.h", "tools/stats.h", "tools/verify.h"},
        {}}},
      {"oauth", {{"authorization.h", "browser.h", "jwt.h", "oidc.h", "ticket_store.h"}, {}}},
      {"ledger",
       {{"alerts.h", "audit.h", "audit_place.h", "day_figures.h", "ledger_csv.h", "ledger_list.h",
         "rows.h", "state.h", "usage_record.h", "usage_report.h"},
        {"audit_head.h", "clock_trust.h", "ledger_api.h", "retention.h", "schema.h"}}},
      // Eight small faces rather than one.
      {"ops",
       {{"idempotency.h", "metrics.h", "provider_counts.h", "rate_limit.h"},
        {"cron.h", "health.h", "heartbeats.h", "kv_api.h", "metrics_page.h", "system_health.h"}}},
      {"identity",
       {{"access.h", "admin_common.h", "directory.h", "browser_session.h", "keys.h", "maker.h",
         "members.h", "names.h", "orgs.h", "people.h", "projects.h", "records.h", "sessions.h",
         "users.h"},
        {"admin_keys_api.h", "adopted_tokens.h", "guards.h", "orgs_api.h", "project_keys_api.h",
         "seeded_keys.h", "users_api.h"}}},
      {"artifacts",
       {{},
        {"artifact_audit.h", "artifacts_api.h", "missing_blobs.h", "artifact_search.h",
         "catalogue_api.h", "detail_api.h", "inference.h", "nested_api.h", "schema.h",
         "share_api.h", "shares.h", "uploads.h", "uploads_api.h"}}},
      {"gateway",
       {{"catalogue/canaries.h", "catalogue/provider_directory.h", "tokens/refresher.h",
         "tokens/token_watch.h", "tokens/tokens.h"},
        {"api/gateway_admin_api.h", "api/gateway_api.h", "call/call_counts.h", "call/pipeline.h",
         "call/response_cache.h", "call/route.h", "catalogue/agent_schedules.h",
         "catalogue/provider_client.h", "catalogue/secret_binding.h", "catalogue/tenants.h",
         "gateway_config.h", "tokens/accounts_api.h", "tokens/connect.h"}}},
      {"ai",
       {{"chat_proxy.h", "prices/members.h"},
        {"ai_admin_api.h", "ai_api.h", "ai_metrics.h", "ai_config.h", "budget/budget.h",
         "budget/budget_ledger.h", "budget/charge_journal_copy.h", "budget/journal_check.h",
         "configured_providers.h", "objects.h", "prices/price_overrides.h", "prices/pricing.h",
         "provider_check.h", "providers.h"}}},
      {"briefing", {{}, {"summary.h"}}},
      {"portal",
       {{},
        {"arrivals.h",
         "bearers.h",
         "billing/billing.h",
         "billing/billing_api.h",
         "billing/webhooks.h",
         "dev_issuer.h",
         "dev_issuer_api.h",
         "device_api.h",
         "history_api.h",
         "invitations.h",
         "mailer.h",
         "me_api.h",
         "oidc_api.h",
         "passwords.h",
         "people_api.h",
         "person_access.h",
         "places_api.h",
         "plans.h",
         "plans_api.h",
         "providers.h",
         "reset.h",
         "reset_api.h",
         "sign_in.h",
         "sign_in_api.h",
         "team_api.h",
         "totp.h",
         "totp_api.h"}}},
      {"app", {{"commands.h"}, {}}},
      {"cli", {{}, {"command.h", "confirm.h"}}},
  };
  return table;
}

// The folders within a module, from the bottom up; "." are the files directly in the module's own.
// A folder may include the lines below its own and the module's face, which is below all of them.
const std::map<std::string, std::vector<Names>>& storeys() {
  static const std::map<std::string, std::vector<Names>> table = {
      {"http", {{"."}, {"wire"}, {"client", "serve"}}},
      {"kvfile", {{"."}, {"kernels"}, {"format"}, {"tools"}, {"convert", "plot"}}},
      {"gateway", {{"."}, {"outbound"}, {"tokens"}, {"catalogue"}, {"call"}, {"api"}}},
      {"ai", {{"budget", "dialects", "prices"}, {"."}}},
      {"portal", {{"."}, {"billing"}}},
      {"app", {{"api"}, {"."}}},
  };
  return table;
}

// --- the rules ------------------------------------------------------------------------------

// The index of the line that holds `name`; the table's size when none does.
size_t line_of(const std::vector<Names>& table, const std::string& name) {
  const auto holds = [&](const Names& line) { return line.count(name) != 0; };
  return static_cast<size_t>(std::find_if(table.begin(), table.end(), holds) - table.begin());
}

bool is_module(const std::string& name) {
  return name == "cli" || line_of(rows(), name) < rows().size();
}

bool may_include(const std::string& from, const std::string& to) {
  if (from == "cli") return kCliMay.count(to) != 0;
  if (to == "cli") return from == "main.cc";
  return line_of(rows(), to) < line_of(rows(), from);
}

void check_arrows(const SourceFile& file, Findings& out) {
  const std::string from = folder_of(file.path);
  if (!is_module(from)) {
    out.push_back(at(file, 1, "folder src/" + from + " is not in the table of modules"));
    return;
  }
  for (const auto& include : includes_of(file)) {
    if (!include.quoted || kGeneratedHeaders.count(include.target)) continue;
    if (include.target.find('/') == std::string::npos) {
      out.push_back(at(file, include.line, "write \"" + include.target + "\" from src/ on"));
      continue;
    }
    const std::string to = folder_of(include.target);
    if (to == from || may_include(from, to) || kExtraArrows.count({from, include.target})) continue;
    out.push_back(at(file, include.line, from + " must not include " + include.target));
  }
}

// "kv/keyspace.h" → "keyspace.h".
std::string within_module(const std::string& target) {
  return target.substr(target.find('/') + 1);
}

bool is_face(const std::string& target) {
  const std::string module = folder_of(target);
  return target == module + "/" + module + ".h";
}

void check_faces(const SourceFile& file, Findings& out) {
  const std::string from = folder_of(file.path);
  for (const auto& include : includes_of(file)) {
    if (!include.quoted || include.target.find('/') == std::string::npos) continue;
    const std::string to = folder_of(include.target);
    if (to == from || to == "base" || is_face(include.target)) continue;
    const auto module = shown().find(to);
    if (module == shown().end()) continue;  // Not a module: check_arrows says so.
    const std::string header = within_module(include.target);
    const bool to_app = from == "app" && module->second.to_app.count(header);
    if (to_app || module->second.to_all.count(header)) continue;
    out.push_back(at(file, include.line,
                     include.target + " is not a public header of " + to +
                         "; see shown() in tests/tidy/modules_test.cc"));
  }
}

// Headers that shown() lists and nobody of whom it says so includes.
Findings unused_shown(const std::map<std::string, SourceFile>& files) {
  std::set<std::pair<std::string, bool>> used;  // The header; by App alone?
  for (const auto& [path, file] : files) {
    const std::string from = folder_of(path);
    for (const auto& include : includes_of(file)) {
      if (include.quoted && folder_of(include.target) != from) {
        used.emplace(include.target, from == "app");
      }
    }
  }
  Findings out;
  for (const auto& [module, headers] : shown()) {
    for (const std::string& header : headers.to_all) {
      const std::string target = module + "/" + header;
      if (used.count({target, false})) continue;
      out.push_back(target + (used.count({target, true}) ? " is used by app alone" : " is unused"));
    }
    for (const std::string& header : headers.to_app) {
      if (!used.count({module + "/" + header, true})) {
        out.push_back(module + "/" + header + " is unused");
      }
    }
  }
  return out;
}

// "src/gateway/call/route.cc" → "call"; "src/ai/ai.h" → ".".
std::string storey_of(const std::string& path) {
  const std::string rest = within_module(path.starts_with("src/") ? path.substr(4) : path);
  const size_t slash = rest.find('/');
  return slash == std::string::npos ? "." : rest.substr(0, slash);
}

void check_storeys(const SourceFile& file, Findings& out) {
  const std::string module = folder_of(file.path);
  const std::string from = storey_of(file.path);
  const auto found = storeys().find(module);
  if (found == storeys().end()) {
    if (from != "." && module != "main.cc") {
      out.push_back(at(file, 1, module + "/" + from + " is not in the table of storeys"));
    }
    return;
  }
  const std::vector<Names>& lines = found->second;
  if (line_of(lines, from) == lines.size()) {
    out.push_back(at(file, 1, module + "/" + from + " is not in the table of storeys"));
    return;
  }
  for (const auto& include : includes_of(file)) {
    if (!include.quoted || folder_of(include.target) != module || is_face(include.target)) continue;
    const std::string to = storey_of(include.target);
    if (to == from || line_of(lines, to) < line_of(lines, from)) continue;
    out.push_back(
        at(file, include.line, module + "/" + from + " must not include " + include.target));
  }
}

// --- ARCHITECTURE.md ------------------------------------------------------------------------

std::string text_of(const SourceFile& file) {
  std::string text;
  for (const auto& line : file.lines) text += line + " ";
  return text;
}

// The rows of "`base ← {kv, db} ← … ← main`", without the backticks.
std::vector<Names> rows_in(std::string_view text) {
  std::vector<Names> found;
  const size_t begin = text.find("`base ←");
  if (begin == std::string_view::npos) return found;
  text = text.substr(begin + 1, text.find('`', begin + 1) - begin - 1);
  const std::string_view arrow = "←";
  for (size_t from = 0; from <= text.size();) {
    const size_t end = std::min(text.find(arrow, from), text.size());
    Names row;
    std::string name;
    for (const char c : std::string(text.substr(from, end - from)) + ",") {
      if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_') name += c;
      if (c == ',' && !name.empty()) row.insert(std::exchange(name, {}));
    }
    found.push_back(row);
    from = end + arrow.size();
  }
  return found;
}

// The first column of the table below "## Modules".
Names modules_in(const SourceFile& file) {
  Names found;
  bool inside = false;
  for (const std::string& line : file.lines) {
    if (line.starts_with("## ")) inside = line == "## Modules";
    if (!inside || !line.starts_with("| ")) continue;
    const std::string name = line.substr(2, line.find(' ', 2) - 2);
    if (name != "module") found.insert(name);
  }
  return found;
}

Names folders_of_src() {
  Names found;
  for (const auto& entry : fs::directory_iterator(source_root() / "src")) {
    if (entry.is_directory()) found.insert(entry.path().filename());
  }
  return found;
}

Findings findings_of(void (*rule)(const SourceFile&, Findings&), const char* path,
                     const char* text) {
  Findings found;
  rule(from_text(path, text), found);
  return found;
}

}  // namespace

TEST_CASE("tidy: modules and their folders include what is below them, by public headers",
          "[unit][tidy]") {
  const auto files = read_tree("src");
  INFO("run from the repository's root, or set KVCS_SOURCE_DIR");
  REQUIRE(files.size() > 20);
  Findings found = unused_shown(files);
  for (const auto& [path, file] : files) {
    check_arrows(file, found);
    check_faces(file, found);
    check_storeys(file, found);
  }
  INFO(all(found));
  CHECK(found.empty());
}

TEST_CASE("tidy: ARCHITECTURE.md names the modules that there are, in their rows", "[unit][tidy]") {
  const SourceFile architecture = read_source("ARCHITECTURE.md");
  CHECK(modules_in(architecture) == folders_of_src());
  std::vector<Names> written = rows_in(text_of(architecture));
  REQUIRE(!written.empty());
  CHECK(written.back() == Names{"main"});
  written.back() = {"main.cc"};
  CHECK(written == rows());
  CHECK(text_of(architecture).find("`cli ← main`") != std::string::npos);
}

TEST_CASE("tidy: a wrong arrow is found, with file and line", "[unit][tidy]") {
  const auto findings = [](const char* path, const char* text) {
    return findings_of(check_arrows, path, text);
  };
  CHECK(findings("src/kv/x.cc", "#include \"base/json.h\"\n#include \"kv/kv.h\"\n").empty());
  CHECK(findings("src/cli/x.cc", "#include \"http/client/fetch.h\"\n").empty());
  CHECK(findings("src/app/x.cc", "#include \"version.h\"\n#include \"ai/ai.h\"\n").empty());
  CHECK(findings("src/briefing/x.cc", "#include \"ai/ai.h\"\n").empty());
  CHECK(findings("src/main.cc", "#include \"cli/cli.h\"\n#include \"app/app.h\"\n").empty());
  CHECK(findings("src/kv/x.cc", "\n#include \"db/db.h\"\n") ==
        Findings{"src/kv/x.cc:2: kv must not include db/db.h"});
  CHECK(findings("src/ops/x.h", "#include \"ledger/ledger.h\"\n").size() == 1);
  CHECK(findings("src/oauth/x.h", "#include \"gateway/gateway.h\"\n").size() == 1);
  CHECK(findings("src/gateway/x.h", "#include \"briefing/briefing.h\"\n").size() == 1);
  CHECK(findings("src/base/x.h", "#include \"kv/kv.h\"\n").size() == 1);
  CHECK(findings("src/cli/x.cc", "#include \"http/serve/server.h\"\n").size() == 1);
  CHECK(findings("src/app/x.cc", "#include \"cli/cli.h\"\n").size() == 1);
  CHECK(findings("src/kv/x.cc", "#include \"keyspace.h\"\n").size() == 1);
  CHECK(findings("src/misc/x.cc", "").size() == 1);
}

TEST_CASE("tidy: a header that a module does not show is found, with file and line",
          "[unit][tidy]") {
  const auto findings = [](const char* path, const char* text) {
    return findings_of(check_faces, path, text);
  };
  CHECK(findings("src/gateway/x.cc",
                 "#include \"kv/kv.h\"\n#include \"kv/keyspace.h\"\n#include \"base/id.h\"\n")
            .empty());
  CHECK(findings("src/gateway/x.cc", "#include \"gateway/call/route.h\"\n").empty());
  CHECK(findings("src/app/x.cc", "#include \"http/serve/server.h\"\n").empty());
  const Findings inside = findings("src/gateway/x.cc", "\n#include \"kv/rocks_kv.h\"\n");
  REQUIRE(inside.size() == 1);
  CHECK(inside[0].starts_with("src/gateway/x.cc:2: kv/rocks_kv.h is not a public header of kv"));
  CHECK(findings("src/ai/x.cc", "#include \"http/serve/server.h\"\n").size() == 1);
  CHECK(findings("src/main.cc", "#include \"app/parts.h\"\n").size() == 1);
}

TEST_CASE("tidy: a header that is shown to nobody is found", "[unit][tidy]") {
  std::map<std::string, SourceFile> files = read_tree("src");
  CHECK(unused_shown(files).empty());
  std::erase_if(files, [](const auto& file) { return file.first.starts_with("src/briefing/"); });
  const Findings left = unused_shown(files);
  CHECK(std::find(left.begin(), left.end(), "ai/chat_proxy.h is used by app alone") != left.end());
  std::erase_if(files, [](const auto& file) { return file.first.starts_with("src/app/"); });
  const Findings none = unused_shown(files);
  CHECK(std::find(none.begin(), none.end(), "http/router.h is unused") != none.end());
}

TEST_CASE("tidy: a folder that includes one beside or above it in its module is found",
          "[unit][tidy]") {
  const auto findings = [](const char* path, const char* text) {
    return findings_of(check_storeys, path, text);
  };
  CHECK(findings("src/gateway/call/x.cc",
                 "#include \"gateway/gateway.h\"\n#include \"gateway/tokens/tokens.h\"\n"
                 "#include \"gateway/call/route.h\"\n")
            .empty());
  CHECK(findings("src/ai/budget/x.h", "#include \"ai/ai.h\"\n").empty());
  CHECK(findings("src/kv/x.cc", "#include \"kv/rocks_kv.h\"\n").empty());
  CHECK(
      findings("src/gateway/tokens/x.cc", "\n#include \"gateway/call/route.h\"\n") ==
      Findings{"src/gateway/tokens/x.cc:2: gateway/tokens must not include gateway/call/route.h"});
  CHECK(findings("src/http/client/x.cc", "#include \"http/serve/server.h\"\n").size() == 1);
  CHECK(findings("src/ai/budget/x.h", "#include \"ai/providers.h\"\n").size() == 1);
  CHECK(findings("src/gateway/misc/x.cc", "").size() == 1);
  CHECK(findings("src/kv/misc/x.cc", "").size() == 1);
}

TEST_CASE("tidy: rows and table are read as ARCHITECTURE.md writes them", "[unit][tidy]") {
  CHECK(rows_in("x `base ← {kv, main_x} ← app ← main`, and `cli ← main`.") ==
        std::vector<Names>{{"base"}, {"kv", "main_x"}, {"app"}, {"main"}});
  CHECK(rows_in("no rows").empty());
  const SourceFile table =
      from_text("x.md",
                "| store | holds |\n## Modules\n| module | what it is |\n|---|---|\n| kv | x |\n"
                "| db | y |\n## Stores\n| blob | z |\n");
  CHECK(modules_in(table) == Names{"kv", "db"});
}
