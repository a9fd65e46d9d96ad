// Goal: the commands of the key-value store read and write the bytes that were meant. Method: the
// commands through their parser; what reaches the server, to the letter.
#include "cli/cli_desk.h"

using namespace kvcs;
using kvcs::test::CliDesk;
using kvcs::test::Words;

TEST_CASE("kv get: text is printed, bytes are written, sealed values are said to be so",
          "[unit][cli]") {
  CliDesk desk;
  desk.answer({{R"({"key":"k","value":"hello"})"},
               {R"({"key":"k","value":"AP8=","base64":true})"},
               {R"({"key":"k","value":"***","hidden":true})"},
               {R"({"key":"k"})"}});
  CHECK(desk.run({"kv", "get", "org_slug:a"}) == 0);
  CHECK(desk.requests() == Words{"GET /admin/kv/auto/values/org_slug%3Aa"});
  CHECK(desk.out == "hello\n");
  CHECK(desk.run({"kv", "get", "a/b", "--family", "system"}) == 0);
  CHECK(desk.requests() == Words{"GET /admin/kv/system/values/a%2Fb"});
  CHECK(desk.out == std::string("\0\xff", 2));
  CHECK(desk.run({"kv", "get", "k"}) == 0);
  CHECK(desk.out == "***\n");
  CHECK(desk.error == "The value is sealed and is not shown.\n");
  CHECK(desk.run({"kv", "get", "k"}) == 1);
}

TEST_CASE("kv put: a value from the line or from a file, with its end", "[unit][cli]") {
  CliDesk desk;
  CHECK(desk.run({"kv", "put", "k", "v", "--ttl", "60"}) == 0);
  CHECK(desk.requests() == Words{"PUT /admin/kv/auto/values/k?expiration_ttl=60 v"});
  CHECK(desk.run({"kv", "put", "k", "--file", desk.write("f", "from file"), "--family", "system",
                  "--expires", "99"}) == 0);
  CHECK(desk.requests() == Words{"PUT /admin/kv/system/values/k?expiration=99 from file"});
  CHECK(desk.head().find("application/octet-stream") != std::string::npos);
  CHECK(desk.run({"kv", "put", "k", ""}) == 0);
  CHECK(desk.requests() == Words{"PUT /admin/kv/auto/values/k"});
  CHECK(desk.run({"kv", "put", "k"}) == 1);
  CHECK(desk.error.find("Give a VALUE") != std::string::npos);
  CHECK(desk.requests().empty());
  CHECK(desk.run({"kv", "put", "k", "v", "--ttl", "0"}) == 2);
}

TEST_CASE("kv list: every family in order, or one, up to the number that is wanted",
          "[unit][cli]") {
  CliDesk desk;
  const std::string two = R"({"keys":[{"name":"a","size_bytes":1},{"name":"b","size_bytes":2}]})";
  desk.answer({{two}, {R"({"keys":[]})"}, {R"({"keys":[{"name":"c","size_bytes":3}]})"}});
  CHECK(desk.run({"kv", "list", "--prefix", "o:", "--max", "3"}) == 0);
  CHECK(desk.requests() == Words{"GET /admin/kv/auth/keys?prefix=o%3A&limit=3",
                                 "GET /admin/kv/config/keys?prefix=o%3A&limit=1",
                                 "GET /admin/kv/tokens/keys?prefix=o%3A&limit=1"});
  CHECK(desk.out ==
        "KEY  FAMILY  SIZE  EXPIRES\na    auth       1  -\nb    auth       2  -\n"
        "c    tokens     3  -\n");
  desk.answer({{two}});
  CHECK(desk.run({"kv", "list", "--family", "quota"}) == 0);
  CHECK(desk.requests() == Words{"GET /admin/kv/quota/keys?limit=100"});
}

TEST_CASE("kv export and import: the bulk JSON passes as it is", "[unit][cli]") {
  CliDesk desk;
  const std::string bulk = R"([ {"key":"a", "value":"1"} ])";
  desk.answer({{bulk}, {bulk}, {R"({"written":1})"}});
  CHECK(desk.run({"kv", "export", "--family", "config", "--prefix", "org:"}) == 0);
  CHECK(desk.requests() == Words{"GET /admin/kv/bulk?family=config&prefix=org%3A"});
  CHECK(desk.out == bulk);
  CHECK(desk.run({"kv", "export", "-o", desk.folder.file("out")}) == 0);
  CHECK(desk.requests() == Words{"GET /admin/kv/bulk"});
  CHECK(desk.read("out") == bulk);
  CHECK(desk.out.empty());
  CHECK(desk.run({"kv", "import", desk.folder.file("out")}) == 0);
  CHECK(desk.requests() == Words{"PUT /admin/kv/bulk " + bulk});
  CHECK(desk.out == "written  1\n");
  CHECK(desk.run({"kv", "export", "--family", "outbox"}) == 2);
}

TEST_CASE("kv delete: the family is part of the path", "[unit][cli]") {
  CliDesk desk;
  CHECK(desk.run({"kv", "delete", "k", "--family", "system", "-y"}) == 0);
  CHECK(desk.requests() == Words{"DELETE /admin/kv/system/values/k"});
  CHECK(desk.error == "Deleted key k.\n");
  desk.answer({{R"({"error":"No key."})", "404 Not Found"}});
  CHECK(desk.run({"kv", "delete", "k", "-y"}) == 1);
  CHECK(desk.error == "error: No key.\n");
}
