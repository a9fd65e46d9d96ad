// Goal: who types commands is told commands, and whatever no command does stays as it was said.
// Method: the server's own sentences, and a command that meets one.
#include "cli/server_words.h"

#include "cli/cli_desk.h"

using namespace kvcs;
using kvcs::cli::in_commands;
using kvcs::test::CliDesk;

TEST_CASE("server words: requests become commands", "[unit][cli]") {
  const std::pair<std::string, std::string> rows[] = {
      {"No organization is active in this session. Choose one with PATCH /api/v1/me.",
       "No organization is active in this session. Choose one with `kvcs org use ORG`."},
      {"project_id: required, as no project is active in this session; null makes a key of the "
       "organization.",
       "--project: required, as no project is active (`kvcs project use PROJECT`); --organization "
       "makes a key of the organization."},
      {"project_id: required with an organization key, which is of no project.",
       "--project: required with a key of an organization, which is of no project."},
      {"current_password: required.",
       "The account's password is required: it is asked for, or read from stdin."},
      {"take it off first (DELETE /auth/totp).", "take it off first (`kvcs totp off`)."},
      {"Begin with POST /auth/totp; its secret", "Begin with `kvcs totp on`; its secret"},
      {"can set one with PUT /admin/ai/prices/openai/gpt-9.",
       "can set one with `kvcs admin prices set openai/gpt-9`."},
      {"set it with PUT /admin/ai/prices/{model}.", "set it with `kvcs admin prices set MODEL`."},
      {"GET /admin/jobs lists them.", "`kvcs admin jobs` lists them."},
      {"or by POST /admin/jobs/autoresearch/run.", "or by `kvcs admin jobs --run autoresearch`."},
      {"repeat with ?force=true; ?dry_run=true lists.", "repeat with --force; --dry-run lists."},
      {"(artifacts with ?permanent=true)", "(artifacts with --permanent)"},
      {"Begin one with POST /api/v1/billing/checkout.", "Begin one with `kvcs org upgrade PLAN`."},
      {"PUT /admin/tenants/acme", "PUT /admin/tenants/acme"},
      {"See GET /admin/job-runs?job=ai-purge; run it again with POST /admin/jobs/ai-purge/run.",
       "See `kvcs admin jobs` for ai-purge; run it again with `kvcs admin jobs --run ai-purge`."},
      {"Make a consent link with POST /admin/tenants/acme/providers/crm/connect, or replace it.",
       "Make a consent link with `kvcs gateway account connect acme crm`, or replace it."},
      {"Replace it in time with PUT /admin/tenants/acme/providers/crm/accounts/main.",
       "Replace it in time with `kvcs gateway account add acme crm main`."},
      {"nobody needs it: DELETE /admin/tenants/acme/providers/crm/accounts/a.b.",
       "nobody needs it: `kvcs gateway account remove acme crm a.b`."},
      {"DELETE /admin/tenants/acme/providers/", "DELETE /admin/tenants/acme/providers/"},
      {"", ""},
  };
  for (const auto& [server, command] : rows) CHECK(in_commands(server) == command);
}

TEST_CASE("server words: a refusal is told in them, also with --json", "[unit][cli]") {
  for (const bool json : {false, true}) {
    CliDesk desk;
    desk.answer({{R"({"error":"Choose one with PATCH /api/v1/me.","code":"x"})", "403 Forbidden"}});
    std::vector<std::string> words = {"quota"};
    if (json) words.push_back("--json");
    CHECK(desk.run(words) == 1);
    CHECK(desk.error.find("`kvcs org use ORG`") != std::string::npos);
    CHECK(desk.error.find("PATCH") == std::string::npos);
  }
}
