// Goal: the commands of the tool gateway send what was meant, never with the wrong key, and change
// nothing when what was typed is wrong. Method: the commands through their parser; what reaches the
// server, to the letter.
#include "cli/cli_desk.h"

using namespace kvcs;
using kvcs::test::CliDesk;
using kvcs::test::Env;
using kvcs::test::Words;

TEST_CASE("gateway account add: a credential is the member that the provider asks for",
          "[unit][cli]") {
  struct Row {
    std::string auth_type, secret, body;
  };
  const std::vector<Row> rows = {
      {"bearer", "t", R"({"access_token":"t"})"},
      {"oauth2_refresh_token", "t", R"({"refresh_token":"t"})"},
      {"api_key_header", "t", R"({"api_key":"t"})"},
      {"api_key_query", "t", R"({"api_key":"t"})"},
      {"basic", "ada:pass:word", R"({"username":"ada","password":"pass:word"})"},
      {"aws_sigv4", "id:key", R"({"access_key_id":"id","secret_access_key":"key"})"},
      {"oauth2_client_credentials", "id:key", R"({"client_id":"id","client_secret":"key"})"},
      {"service_account_jwt", R"({"k":1})", R"({"service_account":"{\"k\":1}"})"},
      {"bearer", R"({"access_token":"t","scope":"s"})", R"({"access_token":"t","scope":"s"})"},
      {"bearer", "  t\n", R"({"access_token":"t"})"},
  };
  CliDesk desk;
  for (const Row& row : rows) {
    INFO(row.auth_type << " " << row.secret);
    const Env secret("KVCS_TEST_SECRET", row.secret);
    desk.answer({{R"({"auth_type":")" + row.auth_type + "\"}"}});
    CHECK(desk.run({"gateway", "account", "add", "acme", "notion", "--secret-env",
                    "KVCS_TEST_SECRET"}) == 0);
    CHECK(desk.requests() ==
          Words{"GET /admin/providers/notion",
                "PUT /admin/tenants/acme/providers/notion/accounts/default " + row.body});
  }
}

TEST_CASE("gateway account add: options go beside the credential", "[unit][cli]") {
  CliDesk desk;
  const Env secret("KVCS_TEST_SECRET", "id:key");
  CHECK(desk.run({"gateway", "account", "add", "acme", "ses", "mail", "--as",
                  "access_key_id:secret_access_key", "--secret-env", "KVCS_TEST_SECRET", "--region",
                  "eu-west-1", "--meta", "a=b=c", "--meta", "d=", "--expires",
                  "2027-01-01T00:00:00Z"}) == 0);
  CHECK(desk.requests() == Words{R"(PUT /admin/tenants/acme/providers/ses/accounts/mail )"
                                 R"({"access_key_id":"id","secret_access_key":"key",)"
                                 R"("expires_at":"2027-01-01T00:00:00Z","region":"eu-west-1",)"
                                 R"("meta":{"a":"b=c","d":""}})"});
}

TEST_CASE("gateway account add: what is wrong is said before anything is stored", "[unit][cli]") {
  struct Row {
    std::string secret, meta, words;
  };
  const std::vector<Row> rows = {
      {"{\"access_token\":", "a=b", "begins as JSON and is none"},
      {"", "a=b", "--secret-env: KVCS_TEST_SECRET is not set."},
      {" \n", "a=b", "no credential"},
      {"t", "=b", "'=b' is not NAME=VALUE"},
      {"t", "a", "'a' is not NAME=VALUE"},
  };
  CliDesk desk;
  for (const Row& row : rows) {
    INFO(row.words);
    const Env secret("KVCS_TEST_SECRET", row.secret);
    CHECK(desk.run({"gateway", "account", "add", "acme", "notion", "--as", "access_token",
                    "--secret-env", "KVCS_TEST_SECRET", "--meta", row.meta}) == 1);
    CHECK(desk.error.find(row.words) != std::string::npos);
    CHECK(desk.requests().empty());
  }
  const Env secret("KVCS_TEST_SECRET", "no-colon");
  CHECK(desk.run({"gateway", "account", "add", "acme", "notion", "--as", "username:password",
                  "--secret-env", "KVCS_TEST_SECRET"}) == 1);
  CHECK(desk.error.find("must be username:password") != std::string::npos);
  const Env unset("KVCS_TEST_SECRET", std::nullopt);
  CHECK(desk.run({"gateway", "account", "add", "acme", "notion", "--as", "api_key", "--secret-env",
                  "KVCS_TEST_SECRET"}) == 1);
  CHECK(desk.error.find("KVCS_TEST_SECRET is not set") != std::string::npos);
}

TEST_CASE("gateway account connect: the link alone is the result", "[unit][cli]") {
  CliDesk desk;
  desk.answer({{R"({"url":"https://kvcs/connect/x?t=1","expires_at":1})"}});
  CHECK(desk.run({"gateway", "account", "connect", "acme", "hubspot", "--meta", "shop=a"}) == 0);
  CHECK(desk.out == "https://kvcs/connect/x?t=1\n");
  CHECK(desk.error.find("ten minutes") != std::string::npos);
  CHECK(desk.requests() == Words{R"(POST /admin/tenants/acme/providers/hubspot/connect )"
                                 R"({"account_id":"default","meta":{"shop":"a"}})"});
}

TEST_CASE("gateway account remove: the provider is told when that is asked for", "[unit][cli]") {
  CliDesk desk;
  const std::string path = "DELETE /admin/tenants/acme/providers/hubspot/accounts/default";
  CHECK(desk.run({"gateway", "account", "remove", "acme", "hubspot", "-y"}) == 0);
  CHECK(desk.requests() == Words{path});
  CHECK(desk.run({"gateway", "account", "remove", "acme", "hubspot", "-y", "--revoke"}) == 0);
  CHECK(desk.requests() == Words{path + "?revoke=1"});
}

TEST_CASE("gateway account refresh and show: the account is named in the path", "[unit][cli]") {
  CliDesk desk;
  CHECK(desk.run({"gateway", "account", "refresh", "a/b", "hubspot", "x y"}) == 0);
  CHECK(desk.requests() ==
        Words{"POST /admin/tenants/a%2Fb/providers/hubspot/accounts/x%20y/refresh {}"});
  CHECK(desk.run({"gateway", "account", "show", "acme", "hubspot"}) == 0);
  CHECK(desk.requests() == Words{"GET /admin/tenants/acme/providers/hubspot/accounts/default"});
}

namespace {
const std::string kSchedule =
    R"([{"name":"a","agent_type":"x","message":"m","cadence":"daily","enabled":true},)"
    R"({"name":"b","agent_type":"y","message":"n","cadence":"daily","enabled":true}])";
}

TEST_CASE("gateway schedule add: an entry of that name is replaced, the others stay",
          "[unit][cli]") {
  CliDesk desk;
  desk.answer({{kSchedule, "200 OK", "ETag: \"7\"\r\n"}, {"[]"}});
  CHECK(desk.run({"gateway", "schedule", "add", "acme", "a", "--agent", "z", "--message", "new",
                  "--cadence", "weekly_friday", "--disabled"}) == 0);
  CHECK(desk.requests() ==
        Words{"GET /admin/agent-schedules/acme",
              R"(PUT /admin/agent-schedules/acme [{"name":"a","agent_type":"z",)"
              R"("message":"new","cadence":"weekly_friday","enabled":false},)"
              R"({"name":"b","agent_type":"y","message":"n","cadence":"daily","enabled":true}])"});
  CHECK(desk.head().find("\"7\"") != std::string::npos);
}

TEST_CASE("gateway schedule add: a new entry goes behind the others, enabled and daily",
          "[unit][cli]") {
  CliDesk desk;
  desk.answer({{"[]"}, {"[]"}});
  CHECK(desk.run({"gateway", "schedule", "add", "acme", "c", "--agent", "z", "--message", "m"}) ==
        0);
  CHECK(desk.requests().back() ==
        R"(PUT /admin/agent-schedules/acme [{"name":"c","agent_type":"z","message":"m",)"
        R"("cadence":"daily","enabled":true}])");
}

TEST_CASE("gateway schedule remove: one entry goes, and an unknown one is said to be so",
          "[unit][cli]") {
  CliDesk desk;
  desk.answer({{kSchedule, "200 OK", "ETag: \"7\"\r\n"}});
  CHECK(desk.run({"gateway", "schedule", "remove", "acme", "a", "-y"}) == 0);
  CHECK(desk.requests().back() ==
        R"(PUT /admin/agent-schedules/acme [{"name":"b","agent_type":"y","message":"n",)"
        R"("cadence":"daily","enabled":true}])");
  CHECK(desk.head().find("\"7\"") != std::string::npos);
  desk.answer({{kSchedule}});
  CHECK(desk.run({"gateway", "schedule", "remove", "acme", "c", "-y"}) == 1);
  CHECK(desk.error == "error: Nothing named 'c' is scheduled.\n");
  CHECK(desk.requests() == Words{"GET /admin/agent-schedules/acme"});
}

TEST_CASE("gateway call: the body is what the options say", "[unit][cli]") {
  CliDesk desk;
  const Env token("KVCS_GATEWAY_TOKEN", "kt_token-1");
  desk.answer({{R"({"a":1})"}});
  CHECK(desk.run(
            {"gateway",           "call",     "acme",     "hubspot", "--path",    "/x",
             "--query",           "l=1",      "--query",  "l=2",     "--query",   "e=",
             "--field",           "id",       "--field",  "p.q",     "--account", "main",
             "--idempotency-key", "k",        "--method", "PUT",     "--body",    R"({"n":1.50})",
             "--compact",         "--dry-run"}) == 0);
  CHECK(desk.out == "{\n  \"a\": 1\n}\n");
  CHECK(desk.requests() ==
        Words{R"(POST /api/v1/acme/hubspot {"path":"/x","method":"PUT","account_id":"main",)"
              R"("fields":["id","p.q"],"idempotency_key":"k","query":{"l":["1","2"],"e":[""]},)"
              R"("body":{"n":1.50},"format":"compact","dry_run":true})"});
  // The tenant's token, and not an administrator's key.
  CHECK(desk.head().find("Bearer kt_token-1\r\n") != std::string::npos);
}

TEST_CASE("gateway call: without the tenant's token nothing is asked", "[unit][cli]") {
  CliDesk desk;
  const Env token("KVCS_GATEWAY_TOKEN", std::nullopt);
  CHECK(desk.run({"gateway", "call", "acme", "hubspot", "--path", "/x"}) == 1);
  CHECK(desk.error.find("KVCS_GATEWAY_TOKEN") != std::string::npos);
  const Env other("KVCS_TEST_TOKEN", "");
  CHECK(desk.run({"gateway", "call", "acme", "hubspot", "--token-env", "KVCS_TEST_TOKEN"}) == 1);
  CHECK(desk.error.find("KVCS_TEST_TOKEN") != std::string::npos);
  CHECK(desk.requests().empty());
}

TEST_CASE("gateway call: what is no query or no JSON is not sent", "[unit][cli]") {
  CliDesk desk;
  const Env token("KVCS_GATEWAY_TOKEN", "kt_token-1");
  for (const Words& wrong :
       {Words{"--query", "limit"}, Words{"--query", "=2"}, Words{"--body", "{"},
        Words{"--request", desk.write("r", "[1]")}, Words{"--request", desk.folder.file("none")}}) {
    INFO(wrong[0] << " " << wrong[1]);
    Words words = {"gateway", "call", "acme", "hubspot"};
    words.insert(words.end(), wrong.begin(), wrong.end());
    CHECK(desk.run(words) == 1);
    CHECK(desk.requests().empty());
  }
}

TEST_CASE("gateway call: a request from a file is the whole body", "[unit][cli]") {
  CliDesk desk;
  const Env token("KVCS_GATEWAY_TOKEN", "kt_token-1");
  desk.answer({{"plain words"}});
  const std::string file = desk.write("r", R"({"action":"list", "n":0.10})");
  CHECK(desk.run({"gateway", "call", "acme", "hubspot", "--request", file}) == 0);
  CHECK(desk.requests() == Words{R"(POST /api/v1/acme/hubspot {"action":"list","n":0.10})"});
  // An answer that is no JSON comes as it is.
  CHECK(desk.out == "plain words");
}

TEST_CASE("gateway mode: a word sets it, none shows it", "[unit][cli]") {
  CliDesk desk;
  CHECK(desk.run({"gateway", "mode"}) == 0);
  CHECK(desk.requests() == Words{"GET /admin/system/mode"});
  CHECK(desk.run({"gateway", "mode", "frozen"}) == 0);
  CHECK(desk.requests() == Words{R"(PUT /admin/system/mode {"mode":"frozen"})"});
  CHECK(desk.run({"gateway", "mode", "off"}) == 2);
}

TEST_CASE("gateway tenant add: only what was given is set", "[unit][cli]") {
  CliDesk desk;
  const std::string unknown = R"({"error":"No.","code":"TENANT_NOT_FOUND"})";
  desk.answer({{unknown, "404 Not Found"}, {"{}"}});
  CHECK(desk.run({"gateway", "tenant", "add", "acme"}) == 0);
  CHECK(desk.requests() == Words{"GET /admin/tenants/acme", "PUT /admin/tenants/acme {}"});
  desk.answer({{unknown, "404 Not Found"}, {"{}"}});
  CHECK(desk.run({"gateway", "tenant", "add", "acme", "--name", "A", "--requests-per-minute",
                  "60"}) == 0);
  CHECK(desk.requests() == Words{"GET /admin/tenants/acme",
                                 R"(PUT /admin/tenants/acme {"name":"A",)"
                                 R"("limits":{"requests_per_minute":60}})"});
  // One that exists keeps the rest.
  desk.answer(
      {{R"({"status":"suspended","limits":{"requests_per_minute":5},"name":"Old"})"}, {"{}"}});
  CHECK(desk.run({"gateway", "tenant", "add", "acme", "--name", "A"}) == 0);
  CHECK(desk.requests() == Words{"GET /admin/tenants/acme",
                                 R"(PUT /admin/tenants/acme {"status":"suspended",)"
                                 R"("limits":{"requests_per_minute":5},"name":"A"})"});
  // What cannot be read is not written over.
  desk.answer({{R"({"error":"No."})", "503 Service Unavailable"}});
  CHECK(desk.run({"gateway", "tenant", "add", "acme", "--name", "A"}) != 0);
  CHECK(desk.requests() == Words{"GET /admin/tenants/acme"});
}

TEST_CASE("gateway provider set: the record is sent as it is written", "[unit][cli]") {
  CliDesk desk;
  const std::string file = desk.write("r", R"({"base_url":"https://x/","n":1.0})");
  CHECK(desk.run({"gateway", "provider", "set", "own", "--file", file}) == 0);
  CHECK(desk.requests() == Words{R"(PUT /admin/providers/own {"base_url":"https://x/","n":1.0})"});
  CHECK(desk.run({"gateway", "provider", "set", "own", "--file", desk.write("bad", "7")}) == 1);
  CHECK(desk.error.find("must hold a JSON object") != std::string::npos);
  CHECK(desk.requests().empty());
}

TEST_CASE("gateway token: it is shown once, listed by pages, revoked by its id", "[unit][cli]") {
  CliDesk desk;
  desk.answer({{R"({"token":"kt_1"})", "201 Created"}});
  CHECK(desk.run({"gateway", "token", "create", "acme", "--name", "crm"}) == 0);
  CHECK(desk.requests() == Words{R"(POST /admin/tenants/acme/tokens {"name":"crm"})"});
  CHECK(desk.out == "token  kt_1\n");
  CHECK(desk.error == "The token is shown this once.\n");
  desk.answer({{R"({"error":"No."})", "409 Conflict"}});
  CHECK(desk.run({"gateway", "token", "create", "acme"}) == 1);
  CHECK(desk.error == "error: No.\n");
  CHECK(desk.run({"gateway", "token", "revoke", "acme", "t1", "-y"}) == 0);
  CHECK(desk.requests() == Words{"DELETE /admin/tenants/acme/tokens/t1"});
}

TEST_CASE("gateway briefing: the summary, then what was found", "[unit][cli]") {
  CliDesk desk;
  desk.answer({{R"({"summary":"Two things.","findings":[{"severity":"high","title":"T"}]})"},
               {R"({"findings":[]})"}});
  CHECK(desk.run({"gateway", "briefing"}) == 0);
  CHECK(desk.requests() == Words{"GET /admin/briefings/latest"});
  CHECK(desk.out.starts_with("Two things.\nSEVERITY  TITLE"));
  CHECK(desk.run({"gateway", "briefing", "2026-01-02"}) == 0);
  CHECK(desk.requests() == Words{"GET /admin/briefings/2026-01-02"});
  CHECK(desk.error == "Nothing to mend.\n");
}

TEST_CASE("gateway decision: by status, and what becomes of one", "[unit][cli]") {
  CliDesk desk;
  desk.answer({{R"({"decisions":[]})"}});
  CHECK(desk.run({"gateway", "decision", "list", "--status", "proposed"}) == 0);
  CHECK(desk.requests() == Words{"GET /admin/decisions?status=proposed&limit=100"});
  CHECK(desk.run({"gateway", "decision", "set", "d/1", "accepted"}) == 0);
  CHECK(desk.requests() == Words{R"(PATCH /admin/decisions/d%2F1 {"status":"accepted"})"});
}
