// Goal: the routes answer as the public contract says, to clients as bare as the public one: no
// User-Agent, no Content-Length on an empty POST, no Content-Type on a PUT.
#include <nlohmann/json.hpp>

#include "artifact_world.h"
#include "support/wait.h"

namespace kvcs {
namespace {

using test::ArtifactWorld;
using test::RawResponse;

struct Door {
  ArtifactWorld w;
  test::TestServer server;
  explicit Door(bool files = true, ArtifactConfig config = {})
      : w(files, config), server(w.routes()) {}

  RawResponse send(const std::string& method, const std::string& target,
                   const std::string& body = "", const std::string& key = "acme",
                   std::vector<std::pair<std::string, std::string>> headers = {}) {
    if (!key.empty()) headers.push_back({"authorization", "Bearer " + key});
    return test::fetch(server.port(), method, target, headers, body);
  }
  static Json json(const RawResponse& response) {
    auto parsed = parse_json(response.body);
    INFO(response.head << response.body);
    REQUIRE(parsed.ok());
    return *parsed;
  }
  static std::string target_of(const std::string& url) { return url.substr(url.find("/blobs/")); }
  // The body that the public client sends.
  static std::string upload_body(const std::string& bytes, const std::string& name = "demo") {
    return dump_json({{"model_name", name},
                      {"dtype", "F16"},
                      {"num_tokens", 7},
                      {"visibility", "private"},
                      {"size_bytes", bytes.size()},
                      {"checksum", sha256_hex(bytes)},
                      {"metadata",
                       {{"name", name},
                        {"sha256", sha256_hex(bytes)},
                        {"num_layers", 2},
                        {"quantized", false}}}});
  }
  Json begin(const std::string& bytes, const std::string& name = "demo",
             const std::string& key = "acme") {
    const auto answer = send("POST", "/api/v1/artifacts/upload-url", upload_body(bytes, name), key);
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    return json(answer);
  }
  std::string store(const std::string& bytes, const std::string& name = "demo",
                    const std::string& key = "acme") {
    const Json begun = begin(bytes, name, key);
    const std::string id = begun["artifact_id"];
    REQUIRE(send("PUT", target_of(begun["url"]), bytes, "").status == 200);
    REQUIRE(send("POST", "/api/v1/artifacts/" + id + "/confirm-upload",
                 dump_json({{"digest", sha256_hex(bytes)}, {"size_bytes", bytes.size()}}), key)
                .status == 200);
    return id;
  }
};

const std::string kUnknown = "00000000-0000-4000-8000-000000000000";

}  // namespace

TEST_CASE("the public client's upload, list, download and delete", "[artifacts][contract]") {
  Door d;
  const Json begun = d.begin("the bytes");
  CHECK(begun.size() == 4);
  CHECK(begun["method"] == "PUT");
  CHECK(begun["expires_at"] == format_iso8601_ms(d.w.clock.unix_ms() + 900'000));
  const std::string id = begun["artifact_id"], target = Door::target_of(begun["url"]);
  CHECK(std::string(begun["url"]).starts_with("http://"));
  // Nothing is visible before it is confirmed.
  CHECK(Door::json(d.send("GET", "/api/v1/artifacts"))["total"] == 0);
  const auto put = d.send("PUT", target, "the bytes", "");
  CHECK(put.status == 200);
  CHECK(put.header("etag") == "\"" + sha256_hex("the bytes") + "\"");
  CHECK(d.send("PUT", target, "the bytes", "").status == 200);
  const std::string confirm = "/api/v1/artifacts/" + id + "/confirm-upload";
  for (const char* field : {"digest", "checksum", "sha256"}) {
    const auto confirmed = d.send("POST", confirm, dump_json({{field, sha256_hex("the bytes")}}));
    CHECK(Door::json(confirmed) == Json{{"artifact_id", id}, {"sha256", sha256_hex("the bytes")}});
  }
  CHECK(d.send("POST", confirm).status == 200);
  const Json listed = Door::json(d.send("GET", "/api/v1/artifacts"));
  CHECK(listed["total"] == 1);
  const Json link = Door::json(d.send("POST", "/api/v1/artifacts/" + id + "/download-url"));
  CHECK(link["artifact_id"] == id);
  const auto bytes = d.send("GET", Door::target_of(link["download_url"]), "", "");
  CHECK(bytes.status == 200);
  CHECK(bytes.body == "the bytes");
  CHECK(bytes.header("cache-control") == "private, no-store");
  CHECK(bytes.header("content-disposition") == "attachment; filename=\"demo.kv\"");
  CHECK(d.send("DELETE", "/api/v1/artifacts/" + id).status == 204);
  CHECK(d.send("DELETE", "/api/v1/artifacts/" + id).status == 404);
  CHECK(d.send("GET", Door::target_of(link["download_url"]), "", "").status == 404);
  CHECK(d.w.blob_count() == 1);  // It can be taken back for a while.
}

TEST_CASE("without a User-Agent each alias pair is one member, with one it is both",
          "[artifacts][contract]") {
  Door d;
  const std::string id = d.store("x");
  const Json bare = Door::json(d.send("GET", "/api/v1/artifacts"))["artifacts"][0];
  CHECK_FALSE(bare.contains("id"));
  CHECK_FALSE(bare.contains("model_name"));
  CHECK(bare["artifact_id"] == id);
  for (const char* never_null : {"sha256", "checksum", "dtype", "visibility", "created_at",
                                 "size_bytes", "num_tokens", "num_layers", "quantized", "name"}) {
    INFO(never_null);
    REQUIRE(bare.contains(never_null));
    CHECK_FALSE(bare[never_null].is_null());
  }
  const auto full =
      Door::json(d.send("GET", "/api/v1/artifacts/" + id, "", "acme", {{"user-agent", "node"}}));
  CHECK(full["id"] == id);
  CHECK(full["artifact_id"] == id);
  CHECK(full["name"] == full["model_name"]);
  CHECK(std::string(full["download_url"]).find("/blobs/" + id) != std::string::npos);
  CHECK(Door::json(d.send("GET", "/api/v1/artifacts/" + id + "?shape=full")).contains("id"));
  CHECK(d.send("GET", "/api/v1/artifacts?shape=odd").status == 400);
}

TEST_CASE("a PUT that is not what was announced never becomes visible", "[artifacts][fault]") {
  Door d;
  const Json begun = d.begin("right");
  const std::string target = Door::target_of(begun["url"]);
  const std::string id = begun["artifact_id"];
  const std::string confirm = "/api/v1/artifacts/" + id + "/confirm-upload";
  CHECK(Door::json(d.send("POST", confirm))["error"] == "Artifact data not found");
  const auto wrong = d.send("PUT", target, "wrong", "");
  CHECK(wrong.status == 400);
  const Json expected{{"error", "sha256 mismatch"},
                      {"expected", sha256_hex("right")},
                      {"actual", sha256_hex("wrong")}};
  CHECK(Door::json(wrong) == expected);
  // The confirmation knows why there is nothing.
  CHECK(Door::json(d.send("POST", confirm)) == expected);
  const Json longer{{"error", "size mismatch"}, {"expected", 5}, {"actual", 6}};
  CHECK(Door::json(d.send("PUT", target, "right!", "")) == longer);
  const Json shorter{{"error", "size mismatch"}, {"expected", 5}, {"actual", 4}};
  CHECK(Door::json(d.send("PUT", target, "righ", "")) == shorter);
  CHECK(Door::json(d.send("POST", confirm)) == shorter);
  CHECK(d.w.blob_count() == 0);
  CHECK(d.send("PUT", target, "right", "").status == 200);
  CHECK(d.send("POST", confirm).status == 200);
}

TEST_CASE("a client that leaves in mid-upload leaves nothing behind", "[artifacts][fault]") {
  Door d;
  const std::string bytes(3 << 20, 'b');
  const Json begun = d.begin(bytes);
  {
    test::RawClient client(d.server.port());
    client.send("PUT " + Door::target_of(begun["url"]) +
                " HTTP/1.1\r\nhost: a\r\ncontent-length: " + std::to_string(bytes.size()) +
                "\r\n\r\n" + bytes.substr(0, 1 << 20));
    client.reset();
  }
  d.server.server().stop(5000);
  CHECK(d.w.blob_count() == 0);
  CHECK(std::filesystem::is_empty(d.w.folder.file("blobs/tmp")));
}

TEST_CASE("a blob that cannot be read to its end cuts the connection, and raises the alarm once",
          "[artifacts][fault]") {
  Door d;
  const std::string bytes(32 << 20, 'b');
  const Artifact stored = d.w.store(bytes, d.w.acme);
  const std::string target = d.w.presigner.sign_path(
      {"GET", stored.id, stored.size_bytes, stored.sha256, d.w.clock.unix_s() + 900});
  const std::string path = d.w.folder.file("blobs/" + stored.sha256.substr(0, 2) + "/" +
                                           stored.sha256.substr(2, 2) + "/" + stored.sha256);
  for (int i = 0; i < 2; i++) {
    test::RawClient client(d.server.port());
    REQUIRE(client.send("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n"));
    std::string came = client.read_some();
    REQUIRE(came.find("200 OK") != std::string::npos);
    // What is sent next is not there any more.
    std::filesystem::resize_file(path, 16 << 20);
    std::string more;
    while (!(more = client.read_some()).empty()) came += more;
    CHECK(came.size() < bytes.size());
    std::filesystem::resize_file(path, bytes.size());
  }
  const auto alarms = [&] {
    const MutexLock lock(d.w.alarms_mutex);
    return d.w.alarms.size();
  };
  REQUIRE(test::comes_true([&] { return alarms() > 0; }));
  d.server.server().stop(5000);
  REQUIRE(alarms() == 1);
  CHECK(d.w.alarms[0].sha256 == stored.sha256);
  CHECK(d.w.alarms[0].message.find("could not be read while it was sent") != std::string::npos);
}

TEST_CASE("a store of blobs that does not work is told without the operator's paths",
          "[artifacts][fault]") {
  Door d;
  const Artifact stored = d.w.store("bytes", d.w.acme);
  const Json begun = d.begin("other bytes");
  std::filesystem::rename(d.w.folder.file("blobs"), d.w.folder.file("elsewhere"));
  for (const auto& refused :
       {d.send("PUT", Door::target_of(begun["url"]), "other bytes", ""),
        d.send("GET",
               d.w.presigner.sign_path(
                   {"GET", stored.id, stored.size_bytes, stored.sha256, d.w.clock.unix_s() + 900}),
               "", "")}) {
    INFO(refused.status << " " << refused.body);
    CHECK(refused.status >= 500);
    CHECK(refused.body.find(d.w.folder.path()) == std::string::npos);
    CHECK(refused.body.find("statvfs") == std::string::npos);
  }
}

TEST_CASE("an upload whose pace would outlast its row is ended", "[artifacts][fault]") {
  Door d;
  // A gigabyte within six hours is some 50 KB a second.
  Artifact wanted = d.w.draft("x", d.w.acme);
  wanted.size_bytes = 1 << 30;
  const auto made = d.w.service->create(wanted);
  REQUIRE(made.ok());
  const std::string target = d.w.presigner.sign_path(
      {"PUT", made->id, made->size_bytes, made->sha256, d.w.clock.unix_s() + 900});
  std::atomic<int> appended{0};
  d.w.blob_fault = [&](std::string_view op) {
    if (op == "append") appended++;
    return ok();
  };
  test::RawClient client(d.server.port());
  REQUIRE(client.send("PUT " + target + " HTTP/1.1\r\nHost: a\r\nContent-Length: " +
                      std::to_string(made->size_bytes) + "\r\n\r\n" + std::string(100'000, 'x')));
  // What came is taken before the clock goes on.
  REQUIRE(test::comes_true([&] { return appended > 0; }));
  d.w.clock.advance_ms(120'000);
  REQUIRE(client.send("y"));
  const auto ended = client.read_response(false);
  CHECK(ended.status == 400);
  CHECK(ended.body.find("too slow") != std::string::npos);
  CHECK(d.w.blob_count() == 0);
}

TEST_CASE("forged and expired URLs are refused", "[artifacts][fault]") {
  Door d;
  const Json begun = d.begin("bytes");
  const std::string target = Door::target_of(begun["url"]);
  CHECK(d.send("PUT", target + "x", "bytes", "").status == 403);
  CHECK(d.send("GET", target, "", "").status == 403);
  CHECK(d.send("PUT", "/blobs/" + kUnknown + target.substr(target.find('?')), "bytes", "").status ==
        403);
  CHECK(d.send("PUT", "/blobs/" + kUnknown, "bytes", "").status == 403);
  d.w.clock.advance_ms(900'000);
  const auto late = d.send("PUT", target, "bytes", "");
  CHECK(late.status == 403);
  CHECK(late.body.find("expired") != std::string::npos);
}

TEST_CASE("keys first, then bodies and ids, then lookups, then state", "[artifacts][contract]") {
  Door d;
  const std::string api = "/api/v1/artifacts";
  CHECK(d.send("POST", api + "/nonsense/confirm-upload", "{", "nobody").status == 401);
  const auto malformed = d.send("POST", api + "/nonsense/confirm-upload");
  CHECK(malformed.status == 400);
  CHECK(Door::json(malformed) == Json{{"error", "invalid artifact_id"}});
  CHECK(d.send("POST", api + "/" + kUnknown + "/confirm-upload", "{").status == 400);
  CHECK(d.send("POST", api + "/" + kUnknown + "/confirm-upload", R"({"digest":"zz"})").status ==
        400);
  const auto unknown = d.send("POST", api + "/" + kUnknown + "/confirm-upload");
  CHECK(unknown.status == 404);
  CHECK(Door::json(unknown) == Json{{"error", "Artifact not found"}});
  const Json begun = d.begin("b");
  const std::string own = api + "/" + std::string(begun["artifact_id"]);
  CHECK(d.send("POST", own + "/download-url").status == 400);
  for (const char* tail : {"/confirm-upload", "/download-url"}) {
    CHECK(d.send("POST", own + tail, "", "other").status == 404);
  }
  CHECK(d.send("GET", own, "", "other").status == 404);
  CHECK(d.send("DELETE", own, "", "other").status == 404);
  CHECK(d.send("POST", own + "/visibility", R"({"visibility":"public"})", "other").status == 404);
  CHECK(d.send("POST", own + "/visibility", R"({"visibility":"odd"})").status == 400);
}

TEST_CASE("an upload request that says too little or nonsense is refused",
          "[artifacts][contract]") {
  Door d;
  for (const char* body :
       {"", "{}", "[]", "{", R"({"name":"x"})", R"({"dtype":"F16"})",
        R"({"name":"","dtype":"F16"})", R"({"name":"x","dtype":"F16","num_tokens":-1})",
        R"({"name":"x","dtype":"F16","checksum":"sha256"})",
        R"({"name":"x","dtype":"F16","visibility":"secret"})",
        R"({"name":"x","dtype":"F16","size_bytes":-1})",
        R"({"name":"x","dtype":"F16","size_bytes":1.5})", R"({"name":"a\u0000b","dtype":"F16"})",
        R"({"name":"x","dtype":"F16","metadata":7})"}) {
    INFO(body);
    CHECK(d.send("POST", "/api/v1/artifacts/upload-url", body).status == 400);
  }
  const auto long_name = d.send("POST", "/api/v1/artifacts/upload-url",
                                dump_json({{"dtype", "F16"}, {"name", std::string(256, 'n')}}));
  CHECK(long_name.status == 400);
  CHECK(d.w.used(d.w.acme).artifacts == 0);
  // What production takes: no digest, no size.
  const auto open = d.send("POST", "/api/v1/artifacts/upload-url",
                           R"({"model_name":"m","dtype":"F32","num_tokens":1,"checksum":""})");
  REQUIRE(open.status == 200);
  const std::string target = Door::target_of(Door::json(open)["url"]);
  CHECK(d.send("PUT", target, "whatever", "").status == 200);
  const std::string id = Door::json(open)["artifact_id"];
  const auto done = d.send("POST", "/api/v1/artifacts/" + id + "/confirm-upload");
  CHECK(Door::json(done)["sha256"] == sha256_hex("whatever"));
}

TEST_CASE("public bytes are open and may be taken back, private ones are not open",
          "[artifacts][contract]") {
  Door d;
  const std::string id = d.store("0123456789", "../we ird\"name");
  CHECK(d.send("GET", "/v1/artifacts/" + id, "", "").status == 403);
  CHECK(d.send("GET", "/acme/default/" + id, "", "").status == 403);
  CHECK(d.send("POST", "/api/v1/artifacts/" + id + "/visibility", R"({"visibility":"public"})")
            .status == 204);
  CHECK(d.w.audits().size() == 2);  // Its confirmation, and this.
  const auto bytes = d.send("GET", "/v1/artifacts/" + id, "", "");
  CHECK(bytes.body == "0123456789");
  CHECK(bytes.header("cache-control") == "public, no-cache");
  CHECK(bytes.header("etag") == "\"" + sha256_hex("0123456789") + "\"");
  CHECK(bytes.header("content-disposition") == "attachment; filename=\"_we_ird_name.kv\"");
  const std::string cdn = "/acme/default/" + id;
  CHECK(d.send("GET", cdn, "", "").body == "0123456789");
  CHECK(d.send("GET", "/other/default/" + id, "", "").status == 403);
  // Under another project of its organization, where it may have been, it leads on.
  CHECK(d.send("GET", "/acme/wrong/" + id, "", "").status == 301);
  CHECK(d.send("GET", "/acme/default/nonsense", "", "").status == 404);
  CHECK(d.send("GET", "/v1/artifacts/nonsense", "", "").status == 400);
  CHECK(d.send("GET", "/v1/artifacts/" + kUnknown, "", "").status == 403);
  const auto part = d.send("GET", cdn, "", "", {{"range", "bytes=2-4"}});
  CHECK(part.status == 206);
  CHECK(part.body == "234");
  CHECK(part.header("content-range") == "bytes 2-4/10");
  const auto cached = d.send("GET", cdn, "", "", {{"if-none-match", bytes.header("etag")}});
  CHECK(cached.status == 304);
  const Json listed = Door::json(d.send("GET", "/api/v1/artifacts?visibility=public"));
  CHECK(std::string(listed["artifacts"][0]["public_url"]).ends_with(cdn));
}

TEST_CASE("the list filters, sorts and pages, and is whole without a limit",
          "[artifacts][contract]") {
  Door d(false);
  for (const char* name : {"beta", "alpha_1", "gamma"}) {
    d.store(std::string("bytes of ") + name, name);
    d.w.clock.advance_ms(1000);
  }
  d.store("foreign", "foreign", "other");
  d.begin("pending");
  const auto names = [&](const std::string& query) {
    const auto answer = d.send("GET", "/api/v1/artifacts" + query);
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    std::string list;
    const Json body = Door::json(answer);
    for (const Json& item : body["artifacts"]) {
      list += std::string(item["name"]) + " ";
    }
    return list;
  };
  CHECK(names("") == "gamma alpha_1 beta ");
  CHECK(names("?sort=name") == "alpha_1 beta gamma ");
  CHECK(names("?sort=-size&limit=1") == "alpha_1 ");
  CHECK(names("?name=A_1") == "alpha_1 ");
  CHECK(names("?name=%25") == "");
  CHECK(names("?status=pending") == "demo ");
  CHECK(names("?project=default&dtype=f16&model=gam") == "gamma ");
  CHECK(names("?project=none") == "");
  CHECK(names("?limit=2&offset=2") == "beta ");
  for (const std::string sort : {"created", "-created", "name", "-name", "size", "-size"}) {
    std::string walked, cursor;
    for (int pages = 0; pages < 5; pages++) {
      const Json page =
          Door::json(d.send("GET", "/api/v1/artifacts?limit=1&sort=" + sort + "&cursor=" + cursor));
      CHECK(page["total"] == 3);
      for (const Json& item : page["artifacts"]) walked += std::string(item["name"]) + " ";
      if (!page.contains("continuation_token")) break;
      cursor = page["continuation_token"];
    }
    CHECK(walked == names("?sort=" + sort));
  }
  CHECK(d.send("GET", "/api/v1/artifacts?cursor=junk").status == 400);
  CHECK(d.send("GET", "/api/v1/artifacts?status=odd").status == 400);
  CHECK(d.send("GET", "/api/v1/artifacts?sort=odd").status == 400);
}

TEST_CASE("the list finds an artifact by its whole name, and by how its id begins",
          "[artifacts][contract]") {
  Door d(false);
  for (const char* name : {"demo", "demonstration", "Demo"}) d.store(name, name);
  const std::string foreign = d.store("foreign", "demo", "other");
  const auto found = [&](const std::string& query) {
    const auto answer = d.send("GET", "/api/v1/artifacts?" + query);
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    return Door::json(answer)["artifacts"];
  };
  const Json named = found("exact_name=demo&limit=5");
  REQUIRE(named.size() == 1);
  CHECK(named[0]["name"] == "demo");
  const std::string id = named[0]["artifact_id"];
  for (const size_t digits : {6, 8, 9, 20, 36}) {
    const Json begins = found("id_prefix=" + id.substr(0, digits) + "&limit=5");
    REQUIRE(begins.size() == 1);
    CHECK(begins[0]["artifact_id"] == id);
  }
  std::string loud = id;
  for (char& c : loud) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  CHECK(found("id_prefix=" + loud).size() == 1);
  const auto total = Door::json(d.send("GET", "/api/v1/artifacts?limit=5&id_prefix=" + id));
  CHECK(total["total"] == 1);
  CHECK(found("id_prefix=" + foreign.substr(0, 8)).empty());
  for (const std::string& wrong : {id.substr(0, 5), std::string("zzzzzz"), id + "0"}) {
    CHECK(d.send("GET", "/api/v1/artifacts?id_prefix=" + wrong).status == 400);
  }
}

TEST_CASE("a list whose rows cannot all be read is an error, never a shorter list",
          "[artifacts][fault]") {
  Door d;
  for (const char* bytes : {"one", "two", "three"}) d.store(bytes);
  int rows = 0;
  d.w.sql_fault = [&rows](std::string_view op, std::string_view sql) -> Status {
    if (op != "step" || sql.find("FROM artifacts") == std::string_view::npos) return ok();
    return ++rows == 3 ? unavailable("The disk is gone.") : ok();
  };
  const auto answer = d.send("GET", "/api/v1/artifacts");
  CHECK(rows == 3);
  CHECK(answer.status == 503);
  CHECK(answer.body.find("The disk is gone.") != std::string::npos);
  CHECK(Door::json(d.send("GET", "/api/v1/artifacts"))["artifacts"].size() == 3);
}

TEST_CASE("a list longer than a page in memory is still whole", "[artifacts][contract]") {
  ArtifactConfig config;
  config.quota.artifacts = 2000;
  Door d(false, config);
  for (int i = 0; i < 1203; i++) {
    REQUIRE(d.w.create("b" + std::to_string(i), d.w.acme).ok());
  }
  const Json all = Door::json(d.send("GET", "/api/v1/artifacts?status=all"));
  CHECK(all["artifacts"].size() == 1203);
  CHECK(all["total"] == 1203);
}

TEST_CASE("who am I and what may I use", "[artifacts][contract]") {
  Door d;
  CHECK(customer_id_of("acme") == "255ae7f79a8a2c14a5e5c38f677bcde2");
  CHECK(customer_id_of("contoso") == "d4a32e8c1d3b929d7315e81f2e3ffec9");
  const Json who = Door::json(d.send("POST", "/api/v1/api-keys/verify"));
  CHECK(who["customer_id"] == customer_id_of("acme"));
  CHECK(who["project_id"] == d.w.acme.project_id);
  CHECK(who["organization_id"] == d.w.acme.organization_id);
  CHECK(who["permissions"] == Json::array({"write"}));
  CHECK(d.send("POST", "/api/v1/api-keys/verify", "", "").status == 401);
  d.store("12345");
  const Json quota = Door::json(d.send("GET", "/api/v1/quota"));
  for (const char* side : {"quota", "used"}) {
    for (const char* what : {"organizations", "projects", "artifacts", "storage_bytes"}) {
      CHECK(quota[side][what].is_number_unsigned());
    }
  }
  CHECK(quota["used"]["storage_bytes"] == 5);
  CHECK(quota["used"]["artifacts"] == 1);
  CHECK(quota["quota"]["storage_bytes"] == 1099511627776);
}

TEST_CASE("telemetry is checked and dropped", "[artifacts][contract]") {
  Door d;
  const std::string good = R"({"command":"list","version":"0.2.3","duration_ms":3,"success":true)";
  const std::string path = "/api/v1/telemetry";
  CHECK(d.send("POST", path, good + "}", "").status == 204);
  CHECK(d.send("POST", path, good + R"(,"error_kind":"usage_error"})", "").status == 204);
  for (const std::string& bad :
       {std::string("{"), std::string("[]"), good + R"(,"error_kind":"odd"})",
        std::string(R"({"command":"","version":"1","duration_ms":1,"success":true})"),
        std::string(R"({"command":"x","version":"1","duration_ms":-1,"success":true})"),
        std::string(R"({"command":"x","version":"1","duration_ms":1})")}) {
    const auto refused = d.send("POST", path, bad, "");
    CHECK(refused.status == 400);
    CHECK(Door::json(refused) == Json{{"error", "Invalid telemetry event"}});
  }
}

TEST_CASE("a full disk answers 503 and leaves nothing", "[artifacts][fault]") {
  Door d;
  const Json begun = d.begin("bytes");
  d.w.blob_fault = [](std::string_view op) {
    return op == "append" ? unavailable("The disk is full.") : ok();
  };
  CHECK(d.send("PUT", Door::target_of(begun["url"]), "bytes", "").status == 503);
  CHECK(d.w.blob_count() == 0);
}

}  // namespace kvcs
