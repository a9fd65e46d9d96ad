// Goal: artifacts are named, described and tagged, whatever people write, and found by those words
// by their owners alone. Method: a whole daemon over HTTP.
#include <nlohmann/json.hpp>

#include <set>

#include "base/bytes.h"
#include "support/artifact_desk.h"
#include "support/json_answer.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

struct Words {
  TestApp app;
  std::string key = app.credential("api_key");

  std::string store(const Json& members, const std::string& bytes = "bytes") const {
    const std::string text = dump_json(members);
    return store_artifact(app, key, text.substr(1, text.size() - 2), bytes);
  }
  RawResponse edit(const std::string& id, const Json& body) const {
    return app.as(key, "PATCH", "/api/v1/artifacts/" + id, dump_json(body));
  }
  Json get(const std::string& id) const {
    return json_of(app.as(key, "GET", "/api/v1/artifacts/" + id));
  }
  std::set<std::string> find(const std::string& words, const std::string& more = "",
                             const std::string& by = "") const {
    const RawResponse answer =
        app.as(by.empty() ? key : by, "GET", "/api/v1/artifacts?q=" + percent_encode(words) + more);
    INFO(words << " " << answer.body);
    REQUIRE(answer.status == 200);
    std::set<std::string> ids;
    const Json page = json_of(answer);
    for (const Json& item : page["artifacts"]) {
      ids.insert(item["artifact_id"].get<std::string>());
    }
    return ids;
  }
};

using Ids = std::set<std::string>;

}  // namespace

TEST_CASE("words: name, description and tags come with the upload and are changed later",
          "[contract][app][artifacts]") {
  Words w;
  const std::string id = w.store({{"name", "demo"},
                                  {"description", "First line.\nSecond line."},
                                  {"tags", {"chat", " Long context ", "CHAT"}}});
  Json about = w.get(id);
  CHECK(about["description"] == "First line.\nSecond line.");
  CHECK(about["tags"] == Json{"chat", "Long context"});
  const RawResponse edited = w.edit(id, {{"name", "größer"}, {"tags", Json::array()}});
  CHECK(edited.status == 200);
  about = w.get(id);
  CHECK(about["name"] == "größer");
  CHECK(about["tags"].empty());
  CHECK(about["description"] == "First line.\nSecond line.");
  CHECK(about["model_name"].is_null());  // Without a User-Agent it is "model".
  CHECK(about["model"] == "demo");
  CHECK(w.edit(id, {{"description", ""}}).status == 200);
  CHECK(w.get(id)["description"] == "");
  // Each change, and no other, is in the audit.
  CHECK(w.edit(id, {{"description", ""}}).status == 200);
  const RawResponse audit = w.app.as_owner("GET", "/admin/audit?family=artifact");
  size_t updates = 0;
  for (size_t at = 0; (at = audit.body.find("\"update\"", at)) != std::string::npos; at++) {
    updates++;
  }
  CHECK(updates == 2);
  CHECK(w.edit(id, Json::object()).status == 400);
  CHECK(w.edit(id, {{"visibility", "public"}}).status == 400);
  const std::string other = key_of_new_organization(w.app, "Other");
  CHECK(w.app.as(other, "PATCH", "/api/v1/artifacts/" + id, R"({"name":"mine"})").status == 404);
  CHECK(w.app.as(w.key, "PATCH", "/api/v1/artifacts/x", R"({"name":"mine"})").status == 400);
}

TEST_CASE("words: limits are of characters, and say what was given and what is allowed",
          "[contract][app]") {
  Words w;
  const std::string id = w.store({{"name", "demo"}});
  const auto repeat = [](const std::string& text, int times) {
    std::string out;
    for (int i = 0; i < times; i++) out += text;
    return out;
  };
  CHECK(w.edit(id, {{"name", repeat("漢", 255)}}).status == 200);
  CHECK(w.edit(id, {{"description", repeat("漢", 2000)}}).status == 200);
  CHECK(w.edit(id, {{"tags", Json(20, repeat("漢", 50))}}).status == 200);
  const auto refused = [&](const Json& body, const std::string& words) {
    const RawResponse answer = w.edit(id, body);
    INFO(answer.body);
    CHECK(answer.status == 400);
    CHECK(answer.body.find(words) != std::string::npos);
  };
  refused({{"name", repeat("漢", 256)}}, "name: has 256 characters; at most 255 are allowed.");
  refused({{"name", std::string(10'240, 'x')}}, "name: has 10240 bytes");
  refused({{"name", ""}}, "name: has 0 bytes");
  refused({{"description", repeat("漢", 2001)}}, "at most 2000 are allowed.");
  refused({{"tags", {repeat("漢", 51)}}}, "tags: has 51 characters; at most 50 are allowed.");
  refused({{"tags", Json(21, "x")}}, "tags: has 21 tags; at most 20 are allowed.");
  refused({{"tags", {""}}}, "tags: one of them is empty.");
  refused({{"tags", {5}}}, "tags: each must be a string.");
  refused({{"tags", "x"}}, "tags: must be an array.");
  // Controls, and marks that turn the order of a line around.
  for (const char* hostile : {"a\nb", "a\tb", "a\x1b[2Jb", "a\x7f",
                              "a\xe2\x80\xae"
                              "fdp.exe",
                              "\xe2\x81\xa6x", "\x01"}) {
    refused({{"name", hostile}}, "name: control characters");
    refused({{"tags", {std::string("x") + hostile + "x"}}}, "tags: control characters");
  }
  refused({{"description", "a\x1b[2Jb"}}, "description: control characters");
}

TEST_CASE("words: a hostile name is a name, and no path, header or metadata of anybody's",
          "[contract][app]") {
  Words w;
  for (const std::string name :
       {"../../etc/passwd", ".meta.json", "..", "C:\\x\\y", "a\"; filename=\"b", "$(reboot)",
        "<script>alert(1)</script>", "CON", "...", "名前 é.kv", "a/b%2fc", "-rf"}) {
    INFO(name);
    const std::string id = w.store({{"name", name}, {"visibility", "public"}}, "of " + name);
    CHECK(w.get(id)["name"] == name);
    const RawResponse bytes = w.app.call("GET", "/v1/artifacts/" + id);
    CHECK(bytes.status == 200);
    CHECK(bytes.body == "of " + name);
    const std::string header = bytes.header("content-disposition");
    INFO(header);
    REQUIRE(header.starts_with("attachment; filename=\""));
    const size_t begin = header.find('"') + 1;
    const std::string file = header.substr(begin, header.find('"', begin) - begin);
    CHECK(file.ends_with(".kv"));
    CHECK_FALSE(file.starts_with("."));
    CHECK_FALSE(file.starts_with("-"));
    CHECK(file.find_first_of("/\\:;$<>%() ") == std::string::npos);
    const bool is_wide = header.find("filename*=") != std::string::npos;
    CHECK(is_wide == (name == "名前 é.kv"));
    if (is_wide) {
      CHECK(header.ends_with("; filename*=UTF-8''%E5%90%8D%E5%89%8D%20%C3%A9.kv"));
    }
    for (const char c : header) CHECK((c >= ' ' && c < 0x7f));
  }
}

TEST_CASE("search: words of name, model, description and tags, all of them, any case and accent",
          "[contract][app][artifacts]") {
  Words w;
  const std::string a = w.store({{"name", "Legal corpus"},
                                 {"model_name", "Qwen2.5-7B-Instruct"},
                                 {"description", "Verträge und Urteile"},
                                 {"tags", {"law", "de"}}});
  const std::string b = w.store(
      {{"name", "Medical corpus"}, {"model_name", "Llama-3"}, {"tags", {"medicine"}}}, "two");
  CHECK(w.find("corpus") == Ids{a, b});
  CHECK(w.find("CORPUS legal") == Ids{a});
  CHECK(w.find("corpus law") == Ids{a});
  CHECK(w.find("vertrage") == Ids{a});
  CHECK(w.find("qwen2.5-7b") == Ids{a});
  CHECK(w.find("medic").empty());
  CHECK(w.find("medic*") == Ids{b});  // The beginning of the last word.
  CHECK(w.find("corpus medic*") == Ids{b});
  CHECK(w.find("medic* corpus").empty());  // Of the last one alone.
  CHECK(w.find("corpus me*").empty());     // Too short for one.
  CHECK(w.find("nothing").empty());
  CHECK(w.find("  ").size() == 2);  // Asks for nothing.
  CHECK(w.find("corpus", "&model=llama") == Ids{b});
  // What is changed, hidden or gone is found no more by what it was.
  CHECK(w.edit(a, {{"name", "Renamed"}}).status == 200);
  CHECK(w.find("legal").empty());
  CHECK(w.find("renamed") == Ids{a});
  CHECK(w.app.as(w.key, "DELETE", "/api/v1/artifacts/" + a).status == 204);
  CHECK(w.find("renamed").empty());
  // An upload that was not confirmed is found where it is asked for.
  CHECK(w.app
            .as(w.key, "POST", "/api/v1/artifacts/upload-url",
                R"({"name":"pending one","dtype":"F16"})")
            .status == 200);
  CHECK(w.find("pending").empty());
  CHECK(w.find("pending", "&status=pending").size() == 1);
  CHECK(w.find("corpus", "&status=all") == Ids{b});
}

TEST_CASE("search: the caller's own space alone", "[contract][app][artifacts]") {
  Words w;
  const std::string mine = w.store({{"name", "shared word"}, {"visibility", "public"}});
  const std::string other = key_of_new_organization(w.app, "Other");
  CHECK(w.find("shared", "", other).empty());
  const std::string theirs =
      store_artifact(w.app, other, R"("name":"shared word")", "of the other");
  CHECK(w.find("shared", "", other) == Ids{theirs});
  CHECK(w.find("shared") == Ids{mine});
  // The words by which the index knows whose a row is are no words of a caller.
  for (const std::string& scope : {std::string("everybody"), std::string("scope:everybody"),
                                   "o" + w.app.credential("organization_id") + "ready"}) {
    std::string word = scope;
    std::erase(word, '-');
    CHECK(w.find(word).empty());
    CHECK(w.find(word, "", other).empty());
  }
  // A project's key finds what is its project's; one of the organization all of it.
  const std::string organization = "/admin/organizations/" + w.app.credential("organization_id");
  const auto made = [&](const std::string& path, const std::string& member) {
    return json_text(w.app.as_owner("POST", organization + path, R"({"name":"k"})").body, member);
  };
  const std::string project = made("/projects", "project_id");
  const std::string sibling = made("/projects/" + project + "/api-keys", "api_key");
  const std::string second = store_artifact(w.app, sibling, R"("name":"shared word")", "second");
  CHECK(w.find("shared", "", sibling) == Ids{second});
  CHECK(w.find("shared", "", made("/api-keys", "api_key")) == Ids{mine, second});
}

TEST_CASE("search: pages in order of time, of name and of size, each artifact once",
          "[contract][app]") {
  Words w;
  std::vector<std::string> ids;
  for (int i = 0; i < 7; i++) {
    const std::string name = std::string("page ") + static_cast<char>('a' + (i * 3) % 7);
    ids.push_back(w.store({{"name", name}}, std::string(static_cast<size_t>(i + 1), 'x')));
  }
  w.store({{"name", "other"}}, "other");
  const auto walk = [&](const std::string& sort) {
    std::vector<std::string> seen;
    std::string cursor;
    do {
      const std::string path = "/api/v1/artifacts?q=page&limit=3&sort=" + sort +
                               (cursor.empty() ? "" : "&cursor=" + cursor);
      const Json page = json_of(w.app.as(w.key, "GET", path));
      CHECK(page["total"] == 7);
      for (const Json& item : page["artifacts"]) {
        seen.push_back(item[sort.ends_with("name") ? "name" : "artifact_id"]);
      }
      cursor = page.value("continuation_token", "");
    } while (!cursor.empty());
    return seen;
  };
  CHECK(walk("created") == ids);
  CHECK(walk("size") == ids);
  CHECK(walk("-created") == std::vector<std::string>(ids.rbegin(), ids.rend()));
  std::vector<std::string> names = walk("name");
  CHECK(names.size() == 7);
  CHECK(std::is_sorted(names.begin(), names.end()));
  CHECK(std::set<std::string>(names.begin(), names.end()).size() == 7);
  // A cursor of another order is none of this one.
  const Json page = json_of(w.app.as(w.key, "GET", "/api/v1/artifacts?limit=3"));
  const std::string plain = page["continuation_token"];
  CHECK(w.app.as(w.key, "GET", "/api/v1/artifacts?q=page&cursor=" + plain).status == 400);
}

TEST_CASE("search: no text is an error of the index, and none is its language", "[contract][app]") {
  Words w;
  const std::string id = w.store({{"name", "plain and OR not"}});
  for (const char* text : {"\"",
                           "\"\"",
                           "'",
                           "*",
                           "a*",
                           "(",
                           ")",
                           "()",
                           "NEAR(",
                           "NEAR(a b)",
                           "AND",
                           "OR",
                           "NOT",
                           "^",
                           "^plain",
                           "name:plain",
                           "{name}:plain",
                           "scope:x",
                           "- name : plain",
                           "+",
                           "plain\" OR \"x",
                           "%",
                           "_",
                           "--",
                           ";",
                           "; DROP TABLE artifacts",
                           "\\",
                           "a\tb",
                           "\xc2\xa0",
                           "—",
                           "…",
                           "🙂",
                           "a AND",
                           "* *",
                           "\"plain",
                           "plain +",
                           "x\" *"}) {
    INFO(text);
    w.find(text);
    w.find(std::string("plain ") + text);
  }
  CHECK(w.find("plain AND or NOT") == Ids{id});  // Words, which it has.
  CHECK(w.find("plain OR nothing").empty());
  CHECK(w.find("plain\" OR \"nothing").empty());
  CHECK(w.find("name:plain").empty());
  const auto status = [&](const std::string& encoded) {
    return w.app.as(w.key, "GET", "/api/v1/artifacts?q=" + encoded).status;
  };
  CHECK(status("a%01b") == 200);
  CHECK(status("a%00b") == 400);
  CHECK(status("%ff%fe") == 400);
  CHECK(status(std::string(401, 'x')) == 400);
  CHECK(status("a+b+c+d+e+f+g+h+i+j+k+l+m+n+o+p+q") == 400);
}
