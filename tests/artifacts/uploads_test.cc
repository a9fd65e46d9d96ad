// Goal: /api/v1/uploads keeps the tus protocol 1.0.0 to the letter, and what comes by it is the
// artifact that any other upload would be.
// Method: bare requests to a real server, each answer compared with what the protocol demands.
#include <nlohmann/json.hpp>

#include "uploads_world.h"

namespace kvcs {
namespace {

using test::RawClient;
using test::RawResponse;
using test::TusDoor;

const std::pair<uint64_t, uint64_t> kNothing{0, 0};

bool says(const RawResponse& response, const std::string& words) {
  return response.body.find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("tus: OPTIONS tells what is spoken, and another version is refused with it",
          "[artifacts][tus]") {
  TusDoor d;
  const std::string all(kUploadsPath);
  const RawResponse told = test::fetch(d.server.port(), "OPTIONS", all);
  CHECK(told.status == 204);
  CHECK(told.header("tus-version") == "1.0.0");
  CHECK(told.header("tus-max-size") == std::to_string(uint64_t{1} << 40));
  CHECK(told.header("tus-extension") ==
        "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination,"
        "concatenation");
  CHECK(told.header("tus-checksum-algorithm") == "sha1,sha256,sha512,md5");
  const std::string path = d.begin("bytes");
  for (const TusDoor::Headers& version : {TusDoor::Headers{}, {{"Tus-Resumable", "0.2.2"}}}) {
    for (const auto& [method, target] : std::vector<std::pair<std::string, std::string>>{
             {"POST", all}, {"HEAD", path}, {"PATCH", path}, {"DELETE", path}}) {
      INFO(method);
      TusDoor::Headers headers = version;
      headers.push_back({"Authorization", "Bearer acme"});
      const RawResponse refused = test::fetch(d.server.port(), method, target, headers);
      CHECK(refused.status == 412);
      CHECK(refused.header("tus-version") == "1.0.0");
    }
  }
  CHECK(d.offset(path) == "0");
}

TEST_CASE("tus: an upload comes in pieces, and its last byte makes it ready", "[artifacts][tus]") {
  TusDoor d(GENERATE(false, true));
  const std::string bytes = std::string(300'000, 'a') + std::string(300'000, 'b');
  const RawResponse made = d.create({{"Upload-Length", std::to_string(bytes.size())},
                                     {"Upload-Metadata", TusDoor::metadata(bytes)}});
  const std::string path = TusDoor::location(made);
  CHECK(path == "/api/v1/uploads/" + made.header("x-artifact-id"));
  CHECK(made.header("upload-expires").find(" GMT") != std::string::npos);
  CHECK(made.header("cache-control") == "no-store");
  CHECK(d.used() == std::pair<uint64_t, uint64_t>{1, 600'000});
  const RawResponse first = d.patch(path, 0, bytes.substr(0, 250'000));
  CHECK(first.status == 204);
  CHECK(first.header("upload-offset") == "250000");
  CHECK_FALSE(first.header("upload-expires").empty());
  const RawResponse told = d.head(path);
  CHECK(told.status == 200);
  CHECK(told.header("upload-offset") == "250000");
  CHECK(told.header("upload-length") == "600000");
  CHECK(told.header("upload-metadata") == TusDoor::metadata(bytes));
  CHECK(told.header("upload-concat").empty());
  CHECK(told.header("cache-control") == "no-store");
  CHECK_FALSE(d.is_ready(path));
  CHECK(d.w.blob_count() == 0);
  const RawResponse last = d.patch(path, 250'000, bytes.substr(250'000));
  INFO(last.body);
  CHECK(last.status == 204);
  CHECK(last.header("upload-offset") == "600000");
  CHECK(last.header("upload-expires").empty());
  CHECK(d.is_ready(path));
  CHECK(d.w.has_blob(bytes));
  CHECK(d.staged().empty());
  CHECK(d.used() == std::pair<uint64_t, uint64_t>{1, 600'000});
  const auto audits = d.w.audits();
  REQUIRE(audits.size() == 1);
  CHECK(audits[0].find("\"action\":\"confirm\"") != std::string::npos);
  // It stays what it is, for a client that did not get the last answer.
  CHECK(d.offset(path) == "600000");
  CHECK(d.patch(path, 600'000, "").status == 204);
  CHECK(d.patch(path, 600'000, "x").status == 413);
  CHECK(d.w.service->find(TusDoor::id_of(path))->sha256 == sha256_hex(bytes));
}

TEST_CASE("tus: a request that does not fit its upload is refused by name", "[artifacts][tus]") {
  TusDoor d;
  const std::string path = d.begin("0123456789");
  CHECK(d.patch(path, 0, "01234").status == 204);
  const RawResponse wrong = d.patch(path, 4, "4");
  CHECK(wrong.status == 409);
  CHECK(says(wrong, "\"expected\":5,\"actual\":4"));
  CHECK(d.patch(path, 5, "567890").status == 413);
  CHECK(d.offset(path) == "5");
  const TusDoor::Headers offset = {{"Upload-Offset", "5"}};
  CHECK(d.send("PATCH", path, offset).status == 415);
  CHECK(d.send("PATCH", path, {{"Upload-Offset", "5"}, {"Content-Type", "text/plain"}}).status ==
        415);
  const std::pair<std::string, std::string> type{"Content-Type", "application/offset+octet-stream"};
  CHECK(says(d.send("PATCH", path, {type}), "Upload-Offset: required"));
  for (const char* bad : {"-1", "x", "5.0", "99999999999999999999"}) {
    INFO(bad);
    const RawResponse refused = d.send("PATCH", path, {type, {"Upload-Offset", bad}});
    CHECK(refused.status == 400);
    CHECK(says(refused, "is no whole number"));
  }
  CHECK(says(d.patch(path, 5, "5", {{"Upload-Length", "11"}}), "its length does not change"));
  const std::string all(kUploadsPath);
  const std::string meta = TusDoor::metadata("");
  const auto refused = [&](const TusDoor::Headers& headers, const std::string& words) {
    const RawResponse answer = d.create(headers);
    INFO(answer.body);
    CHECK(answer.status == 400);
    CHECK(says(answer, words));
  };
  refused({{"Upload-Metadata", meta}}, "one of them is required");
  refused({{"Upload-Length", "1"}, {"Upload-Defer-Length", "1"}, {"Upload-Metadata", meta}},
          "one of them is required");
  refused({{"Upload-Defer-Length", "2"}, {"Upload-Metadata", meta}}, "1 is expected");
  refused({{"Upload-Length", "1"}}, "dtype");
  refused({{"Upload-Length", "1"}, {"Upload-Metadata", "dtype RjE2"}}, "A name is required");
  refused({{"Upload-Length", "1"}, {"Upload-Metadata", "name *"}}, "is no base64");
  refused({{"Upload-Length", "1"}, {"Upload-Metadata", "name YQ==,name YQ=="}}, "is there twice");
  refused({{"Upload-Length", "1"}, {"Upload-Metadata", "name YQ==,"}}, "a key is empty");
  refused({{"Upload-Length", "1"}, {"Upload-Metadata", meta + ",metadata e30x"}}, "is no JSON");
  refused({{"Upload-Length", "1"}, {"Upload-Metadata", meta + ",num_tokens eA=="}},
          "is no whole number");
  refused({{"Upload-Length", "1"}, {"Upload-Metadata", meta + ",name2 /w=="}}, "is no UTF-8");
  refused({{"Upload-Length", "1"}, {"Upload-Metadata", meta + ",sha256 eHg="}}, "64 hex digits");
  refused({{"Upload-Concat", "half"}, {"Upload-Length", "1"}}, "'partial', or 'final;'");
  refused({{"Upload-Concat", "partial"}, {"Upload-Defer-Length", "1"}}, "required for a part");
  CHECK(d.create({{"Upload-Length", std::to_string((uint64_t{1} << 40) + 1)},
                  {"Upload-Metadata", meta}})
            .status == 413);
  CHECK(d.create({{"Upload-Length", "1"}, {"Upload-Metadata", meta}}, "x").status == 415);
  CHECK(d.used() == std::pair<uint64_t, uint64_t>{1, 10});
}

TEST_CASE("tus: metadata are the members of any announcement", "[artifacts][tus]") {
  TusDoor d;
  const auto field = [](const std::string& name, const std::string& value) {
    return "," + name + " " + to_base64(value);
  };
  const std::string meta =
      "dtype " + to_base64("F16") + field("filename", "ctx.kv") + field("num_tokens", "7") +
      field("visibility", "public") +
      field("metadata", R"({"num_layers":2,"quantized":true,"storage_dtype":"U8"})") + ",empty";
  const std::string path =
      TusDoor::location(d.create({{"Upload-Length", "5"}, {"Upload-Metadata", meta}}));
  CHECK(d.patch(path, 0, "bytes").status == 204);
  const auto found = d.w.service->find(TusDoor::id_of(path));
  REQUIRE(found.ok());
  CHECK(found->name == "ctx.kv");
  CHECK(found->num_tokens == 7);
  CHECK(found->is_public);
  CHECK(found->num_layers == 2);
  CHECK(found->quantized);
  CHECK(found->storage_dtype == "U8");
  CHECK(found->sha256 == sha256_hex("bytes"));
  CHECK(found->ready);
}

TEST_CASE("tus: an announcement that no head has room for comes as JSON", "[artifacts][tus]") {
  TusDoor d;
  const std::pair<std::string, std::string> type{"Content-Type", "application/json"};
  const Json ask{
      {"name", "long"}, {"dtype", "F16"}, {"metadata", {{"x", std::string(60'000, 'y')}}}};
  const std::string path =
      TusDoor::location(d.create({{"Upload-Length", "5"}, type}, dump_json(ask)));
  CHECK(d.patch(path, 0, "bytes").status == 204);
  CHECK(d.w.service->find(TusDoor::id_of(path))->metadata_json.size() > 60'000);
  const std::string parts = d.part("a") + " " + d.part("b");
  const std::string joined =
      TusDoor::location(d.create({{"Upload-Concat", "final;" + parts}, type}, dump_json(ask)));
  CHECK(d.w.service->find(TusDoor::id_of(joined))->name == "long");
  CHECK(d.create({{"Upload-Length", "5"}, type}, "[]").status == 400);
  CHECK(d.create({{"Upload-Length", "5"}, type}, "{").status == 400);
  CHECK(d.create({{"Upload-Length", "5"}, type}, std::string(300'000, ' ')).status == 413);
}

TEST_CASE("tus: bytes that are not the announced ones end their upload", "[artifacts][tus]") {
  TusDoor d(GENERATE(false, true));
  const std::string path = d.begin("right");
  const RawResponse wrong = d.patch(path, 0, "wrong");
  CHECK(wrong.status == 400);
  CHECK(says(wrong, "\"expected\":\"" + sha256_hex("right") + "\",\"actual\":\"" +
                        sha256_hex("wrong") + "\""));
  CHECK(d.head(path).status == 404);
  CHECK(d.used() == kNothing);
  CHECK(d.staged().empty());
  CHECK(d.w.blob_count() == 0);
}

TEST_CASE("tus: a length that comes later is reserved as the bytes come", "[artifacts][tus]") {
  ArtifactConfig config;
  config.quota.storage_bytes = 10;
  TusDoor d(true, config);
  const std::string path = TusDoor::location(
      d.create({{"Upload-Defer-Length", "1"}, {"Upload-Metadata", TusDoor::metadata("")}}));
  CHECK(d.head(path).header("upload-defer-length") == "1");
  CHECK(d.head(path).header("upload-length").empty());
  CHECK(d.used() == std::pair<uint64_t, uint64_t>{1, 0});
  CHECK(d.patch(path, 0, "01234").status == 204);
  CHECK(d.used() == std::pair<uint64_t, uint64_t>{1, 5});
  const RawResponse over = d.patch(path, 5, "567890");
  CHECK(over.status == 403);
  CHECK(says(over, "\"resource\":\"storage_bytes\""));
  CHECK(d.patch(path, 5, "5", {{"Upload-Length", "11"}}).status == 403);
  CHECK(d.patch(path, 5, "5", {{"Upload-Length", "4"}}).status == 413);
  CHECK(d.patch(path, 5, "567", {{"Upload-Length", "8"}}).status == 204);
  CHECK(d.is_ready(path));
  CHECK(d.w.has_blob("01234567"));
  CHECK(d.used() == std::pair<uint64_t, uint64_t>{1, 8});
}

TEST_CASE("tus: the body of the creation is the upload's first bytes", "[artifacts][tus]") {
  TusDoor d;
  const std::pair<std::string, std::string> type{"Content-Type", "application/offset+octet-stream"};
  const TusDoor::Headers ask = {
      {"Upload-Length", "5"}, {"Upload-Metadata", TusDoor::metadata("bytes")}, type};
  const RawResponse half = d.create(ask, "by");
  CHECK(half.header("upload-offset") == "2");
  const std::string path = TusDoor::location(half);
  CHECK(d.patch(path, 2, "tes").status == 204);
  CHECK(d.is_ready(path));
  const RawResponse whole = d.create(ask, "bytes");
  CHECK(whole.header("upload-offset") == "5");
  CHECK(d.is_ready(TusDoor::location(whole)));
  // Nothing at all is an upload too.
  const std::string empty = TusDoor::location(
      d.create({{"Upload-Length", "0"}, {"Upload-Metadata", TusDoor::metadata("")}}));
  CHECK(d.is_ready(empty));
  CHECK(d.w.has_blob(""));
}

TEST_CASE("tus: bytes under a checksum that they do not have leave no trace", "[artifacts][tus]") {
  TusDoor d(GENERATE(false, true));
  const std::string bytes = "0123456789";
  const std::string path = d.begin(bytes);
  const auto sum = [](const std::string& text) {
    return "sha256 " + to_base64(from_hex(sha256_hex(text)).value());
  };
  CHECK(d.patch(path, 0, "01234", {{"Upload-Checksum", sum("01234")}}).status == 204);
  const RawResponse wrong = d.patch(path, 5, "56789", {{"Upload-Checksum", sum("other")}});
  CHECK(wrong.status == 460);
  CHECK(says(wrong, "Upload-Checksum: the bytes have another sha256"));
  CHECK(d.offset(path) == "5");
  CHECK(says(d.patch(path, 5, "5", {{"Upload-Checksum", "crc9 AAAA"}}), "is not one of sha1,"));
  CHECK(says(d.patch(path, 5, "5", {{"Upload-Checksum", "sha1"}}), "is no base64"));
  // The SHA-1 of "56789" by another tool.
  CHECK(d.patch(path, 5, "56789", {{"Upload-Checksum", "sha1 8iMdKHHmkKKZVwT3ope9e8ZL5yA="}})
            .status == 204);
  CHECK(d.is_ready(path));
}

TEST_CASE("tus: parts become one artifact, and count once", "[artifacts][tus]") {
  TusDoor d(GENERATE(false, true));
  const std::string a(400'000, 'a'), b(100, 'b'), c(300'000, 'c'), all = a + b + c;
  const std::string pa = d.part(a), pb = d.part(b), pc = d.part(c), none = d.part("");
  CHECK(d.head(pa).header("upload-concat") == "partial");
  CHECK(d.head(pa).header("x-artifact-id").empty());
  CHECK(d.used() == std::pair<uint64_t, uint64_t>{0, all.size()});
  ArtifactFilter everything;
  everything.organization_id = d.w.acme.organization_id;
  everything.status = "all";
  CHECK(d.w.service->list(everything)->items.empty());
  const RawResponse made = d.join(pa + " http://127.0.0.1" + pb + " " + none + " " + pc, all);
  const std::string path = TusDoor::location(made);
  CHECK(made.header("upload-offset") == std::to_string(all.size()));
  CHECK(d.is_ready(path));
  CHECK(d.w.has_blob(all));
  CHECK(d.w.blob_count() == 1);
  CHECK(d.staged().empty());
  CHECK(d.used() == std::pair<uint64_t, uint64_t>{1, all.size()});
  const RawResponse told = d.head(path);
  CHECK(told.header("upload-concat") == "final;" + pa + " " + pb + " " + none + " " + pc);
  CHECK(told.header("upload-length") == std::to_string(all.size()));
  CHECK(d.patch(path, all.size(), "").status == 403);
  // The same request once more, as its answer may have been lost: the same upload.
  CHECK(TusDoor::location(d.join(pa + " " + pb + " " + none + " " + pc, all)) == path);
  CHECK(d.used() == std::pair<uint64_t, uint64_t>{1, all.size()});
  CHECK(d.join(pb + " " + pa, b + a).status == 409);
}

TEST_CASE("tus: of two final uploads at once one takes a part", "[artifacts][tus][fault]") {
  TusDoor d(GENERATE(false, true));
  const std::string pa = d.part("aaa"), pb = d.part("bb");
  // When both parts are looked at, and before they are taken, another takes the second.
  int looks = 0;
  std::string other;
  d.w.blob_fault = [&](std::string_view op) -> Status {
    if (op != "staged_size" || ++looks != 2) return ok();
    std::optional<Artifact> ready;
    const Artifact wanted = d.w.draft("bb", d.w.acme);
    other =
        KVCS_TRY(d.w.uploads->concatenate(d.w.acme, wanted, {}, {TusDoor::id_of(pb)}, "", ready))
            .id;
    return ok();
  };
  const RawResponse refused = d.join(pa + " " + pb, "aaabb");
  CHECK(refused.status == 409);  // Reason part_taken.
  REQUIRE_FALSE(other.empty());
  d.w.blob_fault = {};
  CHECK(d.is_ready(other));
  CHECK(d.used() == std::pair<uint64_t, uint64_t>{1, 5});
  CHECK(d.is_ready(TusDoor::location(d.join(pa, "aaa"))));
}

TEST_CASE("tus: parts that do not fit together stay parts", "[artifacts][tus]") {
  TusDoor d(GENERATE(false, true));
  const std::string pa = d.part("aaa"), pb = d.part("bb");
  const RawResponse wrong = d.join(pa + " " + pb, "other");
  CHECK(wrong.status == 400);
  CHECK(says(wrong, "sha256 mismatch"));
  CHECK(d.used() == std::pair<uint64_t, uint64_t>{0, 5});
  CHECK(d.offset(pa) == "3");
  const std::string open =
      TusDoor::location(d.create({{"Upload-Length", "9"}, {"Upload-Concat", "partial"}}));
  const RawResponse half = d.join(pa + " " + open, "other");
  CHECK(half.status == 409);
  CHECK(says(half, "has 0 of its 9 bytes"));
  CHECK(says(d.join(pa + " " + pa, "x"), "a part is named twice"));
  CHECK(says(d.join("", "x"), "0 parts; 1 to 256"));
  CHECK(says(d.join("/elsewhere/x", "x"), "is no upload's URL"));
  CHECK(says(d.join(d.begin("whole"), "x"), "is no partial upload"));
  CHECK(d.join("/api/v1/uploads/00000000-0000-4000-8000-000000000000", "x").status == 404);
  CHECK(says(d.create({{"Upload-Concat", "final;" + pa}, {"Upload-Length", "3"}}),
             "the length and the bytes of its parts"));
  const std::string path = TusDoor::location(d.join(pa + " " + pb, "aaabb"));
  CHECK(d.is_ready(path));
  CHECK(d.w.has_blob("aaabb"));
}

TEST_CASE("tus: a final upload that fails leaves its parts as long as they were",
          "[artifacts][tus]") {
  TusDoor d(GENERATE(false, true));
  const std::string pa = d.part("aaa"), pb = d.part("bb");
  REQUIRE(d.join(pa + " " + pb, "other").status == 400);
  CHECK(d.arrived(pa) == 3);
  CHECK(d.arrived(pb) == 2);
}

TEST_CASE("tus: what was joined for nothing is paid for before more is", "[artifacts][tus]") {
  TusDoor d(false);
  const std::string many(48 << 20, 'a');
  const std::string pa = d.part(many), pb = d.part("bb");
  for (int i = 0; i < 2; i++) REQUIRE(d.join(pa + " " + pb, "other").status == 400);
  // More than a minute's worth: 64 MiB.
  const RawResponse refused = d.join(pa + " " + pb, many + "bb");
  CHECK(refused.status == 429);  // Reason finals_failed.
  CHECK_FALSE(refused.header("retry-after").empty());
  d.w.clock.advance_ms(60'000);
  CHECK(d.join(pa + " " + pb, many + "bb").status == 201);
}

TEST_CASE("tus: an upload is given up with all that it has", "[artifacts][tus]") {
  TusDoor d(GENERATE(false, true));
  const std::string path = d.begin("bytes");
  CHECK(d.patch(path, 0, "by").status == 204);
  const std::string part = d.part("part");
  CHECK(d.send("DELETE", path).status == 204);
  CHECK(d.send("DELETE", part).status == 204);
  for (const std::string& gone : {path, part}) {
    CHECK(d.head(gone).status == 404);
    CHECK(d.patch(gone, 0, "x").status == 404);
    CHECK(d.send("DELETE", gone).status == 404);
  }
  CHECK(d.used() == kNothing);
  CHECK(d.staged().empty());
  // Of a finished one the upload goes, and the artifact stays; with the artifact goes its upload.
  const std::string done = d.begin("done");
  CHECK(d.patch(done, 0, "done").status == 204);
  CHECK(d.send("DELETE", done).status == 204);
  CHECK(d.head(done).status == 404);
  CHECK(d.is_ready(done));
  const std::string other = d.begin("other");
  CHECK(d.patch(other, 0, "ot").status == 204);
  REQUIRE(d.w.service->remove(d.w.acme, TusDoor::id_of(other), "").ok());
  CHECK(d.head(other).status == 404);
  CHECK(d.staged().empty());
}

TEST_CASE("tus: POST stands in for methods that a client cannot send", "[artifacts][tus]") {
  TusDoor d;
  const std::string path = d.begin("bytes");
  const auto post = [&](const std::string& method, const std::string& offset,
                        const std::string& body) {
    return d.send("POST", path,
                  {{"X-HTTP-Method-Override", method},
                   {"Upload-Offset", offset},
                   {"Content-Type", "application/offset+octet-stream"}},
                  body);
  };
  CHECK(post("PATCH", "0", "by").status == 204);
  CHECK(post("HEAD", "", "").header("upload-offset") == "2");
  const RawResponse refused = post("PUT", "2", "");
  CHECK(refused.status == 405);
  CHECK(refused.header("allow") == "HEAD, POST, PATCH, DELETE");
  CHECK(post("DELETE", "", "").status == 204);
  CHECK(d.head(path).status == 404);
}

TEST_CASE("tus: another's uploads do not exist, nor do those of another project",
          "[artifacts][tus]") {
  TusDoor d;
  const std::string path = d.begin("bytes"), part = d.part("part");
  for (const char* key : {"other", "sibling"}) {
    INFO(key);
    CHECK(d.head(path, key).status == 404);
    CHECK(d.patch(path, 0, "bytes", {}, key).status == 404);
    CHECK(d.send("DELETE", path, {}, "", key).status == 404);
    CHECK(d.create(
               {{"Upload-Concat", "final;" + part}, {"Upload-Metadata", TusDoor::metadata("part")}},
               "", key)
              .status == 404);
  }
  CHECK(d.head(path, "whole_acme").status == 200);
  // A key of the organization names the project, also of a part, and puts together what is of one.
  CHECK(says(d.create({{"Upload-Length", "1"}, {"Upload-Concat", "partial"}}, "", "whole_acme"),
             "project_id: required"));
  const std::string sibling = ",project_id " + to_base64(d.w.sibling.project_id);
  const RawResponse mixed = d.create(
      {{"Upload-Concat", "final;" + part}, {"Upload-Metadata", TusDoor::metadata("part", sibling)}},
      "", "whole_acme");
  CHECK(mixed.status == 400);
  CHECK(says(mixed, "is of another project"));
  CHECK(d.head("/api/v1/uploads/x").status == 404);
}

}  // namespace kvcs
