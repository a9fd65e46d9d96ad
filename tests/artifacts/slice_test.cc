// Goal: GET …?tokens=a:b&layers=x:y answers with the very file that `kvcs slice` would write, with
// its length, an ETag and byte ranges; what cannot be cut is refused with what could be. Method:
// one server, the same cut made by slice_file() as the answer.
#include "kvfile/tools/slice.h"

#include <nlohmann/json.hpp>

#include "artifact_world.h"
#include "artifacts/slice_api.h"
#include "base/bytes.h"
#include "kvfile/support.h"

namespace kvcs {
namespace {

using test::ArtifactWorld;
using test::RawResponse;

struct SliceDoor {
  ArtifactWorld w;
  test::TestServer server;
  explicit SliceDoor(bool files = true) : w(files), server(w.routes()) {}

  std::string make(kvfile::Geometry geometry = {3, 2, 40, 16}) {
    REQUIRE(kvfile::write_sample(w.folder.file("a.kv"), kvfile::Dtype::kF16, geometry, 5).ok());
    return kvfile::read_bytes(w.folder.file("a.kv"));
  }
  std::string cut(const kvfile::SliceSpec& spec) {
    const auto made = kvfile::slice_file({w.folder.file("a.kv"), w.folder.file("b.kv"), spec});
    REQUIRE(made.ok());
    return kvfile::read_bytes(w.folder.file("b.kv"));
  }
  std::string signed_path(const Artifact& a) {
    return w.presigner.sign_path({"GET", a.id, a.size_bytes, a.sha256, w.clock.unix_s() + 60});
  }
  RawResponse get(const std::string& target,
                  std::vector<std::pair<std::string, std::string>> headers = {},
                  const std::string& method = "GET") {
    test::RawClient client(server.port());
    std::string text = method + " " + target + " HTTP/1.1\r\nHost: a\r\n";
    for (const auto& [name, value] : headers) text += name + ": " + value + "\r\n";
    REQUIRE(client.send(text + "\r\n"));
    return client.read_response(method == "HEAD");
  }
};

}  // namespace

TEST_CASE("slice over HTTP: the bytes, length and digest of the file that slice would write",
          "[artifacts][slice]") {
  for (const bool files : {true, false}) {
    SliceDoor d(files);
    const Artifact a = d.w.store(d.make(), d.w.acme);
    const std::string whole = d.cut({{8, 30}, {1, 3}});
    const std::string target = d.signed_path(a) + "&tokens=8:30&layers=1:3";
    const auto answer = d.get(target);
    CHECK(answer.status == 200);
    CHECK(answer.complete);
    CHECK(answer.header("content-length") == std::to_string(whole.size()));
    CHECK(answer.body == whole);
    CHECK(answer.header("accept-ranges") == "bytes");
    CHECK(answer.header("cache-control") == "private, no-store");
    CHECK(answer.header("content-disposition") == "attachment; filename=\"demo.kv\"");
    const std::string etag = answer.header("etag");
    CHECK(etag.size() == 66);
    // HEAD says the same without the bytes.
    const auto head = d.get(target, {}, "HEAD");
    CHECK(head.status == 200);
    CHECK(head.header("content-length") == std::to_string(whole.size()));
    CHECK(head.header("etag") == etag);
    CHECK(d.get(d.signed_path(a) + "&tokens=8:").body == d.cut({{8}, {}}));
    CHECK(d.get(d.signed_path(a) + "&layers=:1").body == d.cut({{}, {0, 1}}));
  }
}

TEST_CASE("slice over HTTP: byte ranges and conditions hold for the file that exists nowhere",
          "[artifacts][slice]") {
  SliceDoor d;
  const Artifact a = d.w.store(d.make(), d.w.acme);
  const std::string whole = d.cut({{5, 33}, {}});
  const std::string target = d.signed_path(a) + "&tokens=5:33";
  const std::string etag = d.get(target).header("etag");
  const size_t n = whole.size();
  const std::pair<size_t, size_t> ranges[] = {{0, 0}, {7, 900}, {n / 2, n - 1}, {n - 1, n - 1}};
  for (const auto& [first, last] : ranges) {
    const std::string range = std::to_string(first) + "-" + std::to_string(last);
    const auto part = d.get(target, {{"Range", "bytes=" + range}, {"If-Range", etag}});
    CHECK(part.status == 206);
    CHECK(part.header("content-range") == "bytes " + range + "/" + std::to_string(n));
    CHECK(part.body == whole.substr(first, last - first + 1));
  }
  CHECK(d.get(target, {{"Range", "bytes=" + std::to_string(n) + "-"}}).status == 416);
  CHECK(d.get(target, {{"If-None-Match", etag}}).status == 304);
  CHECK(d.get(target, {{"If-Match", "\"other\""}}).status == 412);
  // Another cut is another representation.
  CHECK(d.get(d.signed_path(a) + "&tokens=6:34").header("etag") != etag);
  CHECK(d.get(d.signed_path(a) + "&tokens=5:33&layers=1:").header("etag") != etag);
  CHECK(d.get(d.signed_path(a)).header("etag") == "\"" + a.sha256 + "\"");
  const auto other = d.get(target, {{"Range", "bytes=1-2"}, {"If-Range", "\"" + a.sha256 + "\""}});
  CHECK(other.status == 200);
}

TEST_CASE("slice over HTTP: what cannot be cut is refused and says what could be",
          "[artifacts][slice]") {
  SliceDoor d;
  const Artifact a = d.w.store(d.make(), d.w.acme);
  const auto refuses = [&](const std::string& query, const std::string& why) {
    const auto answer = d.get(d.signed_path(a) + query);
    INFO(query << ": " << answer.body);
    CHECK(answer.status == 400);
    CHECK(answer.body.find(why) != std::string::npos);
  };
  refuses("&tokens=40:41", "tokens: 40 is beyond the 40 tokens");
  refuses("&layers=3:4", "layers: 3 is beyond the 3 layers");
  refuses("&tokens=9:3", "is empty");
  refuses("&tokens=9", "is not a:b");
  refuses("&layers=-1:2", "layers");
  refuses("&tokens=", "is not a:b");
  const Artifact text = d.w.store("no cache at all", d.w.acme);
  const auto no_kv = d.get(d.signed_path(text) + "&tokens=0:1");
  CHECK(no_kv.status == 400);
  CHECK(no_kv.body.find("Only .kv artifacts") != std::string::npos);
  // The right to the bytes is asked for first. What is no parameter of ours is passed over.
  CHECK(d.get("/blobs/" + a.id + "?tokens=0:1").status == 403);
  CHECK(d.get(d.signed_path(a) + "&token=0:1").status == 200);
}

TEST_CASE("slice over HTTP: a header is read once, and a large one is not read at all",
          "[artifacts][slice]") {
  SliceDoor d(false);
  const Artifact a = d.w.store(d.make(), d.w.acme);
  std::atomic<int> reads{0};
  d.w.blob_fault = [&](std::string_view op) {
    if (op == "read") reads++;
    return ok();
  };
  const std::string target = d.signed_path(a) + "&tokens=0:4";
  CHECK(d.get(target, {}, "HEAD").status == 200);
  CHECK(reads > 0);
  reads = 0;
  CHECK(d.get(target, {}, "HEAD").status == 200);
  CHECK(d.get(d.signed_path(a) + "&tokens=1:2", {}, "HEAD").status == 200);
  CHECK(reads == 0);
  // Another artifact with the same bytes shares them; one with others does not.
  const std::string other = d.make({2, 2, 40, 16});
  const Artifact b = d.w.store(other, d.w.acme);
  reads = 0;
  CHECK(d.get(d.signed_path(b) + "&tokens=0:4", {}, "HEAD").status == 200);
  CHECK(reads > 0);
  // Eight bytes say how long a header is.
  std::string large;
  append_u64le(large, kSliceHeaderMaxBytes + 1);
  large += "{" + std::string(kSliceHeaderMaxBytes, ' ');
  const Artifact c = d.w.store(large, d.w.acme);
  reads = 0;
  const auto refused = d.get(d.signed_path(c) + "&tokens=0:1");
  CHECK(refused.status == 400);
  CHECK(refused.body.find("Download it whole") != std::string::npos);
  CHECK(reads == 1);
}

TEST_CASE("slices: a plan is made once, and charged by what it is made of", "[artifacts][slice]") {
  SliceDoor d;
  const Artifact a = d.w.store(d.make(), d.w.acme);
  const auto reader = d.w.blobs->open(a.sha256).value();
  const uint64_t header_bytes = kvfile::read_header(blob_source(*reader), a.size_bytes)->data_start;
  SliceCache cache;
  std::vector<uint64_t> charged;
  const SliceCache::Charge charge = [&](uint64_t bytes) {
    charged.push_back(bytes);
    return charged.size() > 3 ? rate_limited("Enough.", 1) : ok();
  };
  const auto first = cache.get(a.sha256, *reader, {{0, 8}, {}}, charge).value();
  REQUIRE(charged.size() == 1);
  CHECK(charged[0] > header_bytes);  // Parsed and planned with.
  CHECK(charged[0] <= 2 * header_bytes);
  CHECK(cache.get(a.sha256, *reader, {{0, 8}, {}}, charge).value() == first);
  CHECK(first->plan.header.tensors.empty());
  CHECK(first->memory_bytes() > first->plan.header_bytes.size());
  const auto second = cache.get(a.sha256, *reader, {{0, 8}, {1, 2}}, charge).value();
  CHECK(second->tag != first->tag);
  CHECK(charged.size() == 2);
  CHECK(charged[1] == charged[0] / 2);
  // What is no such part is charged too, and not kept.
  CHECK(cache.get(a.sha256, *reader, {{99}, {}}, charge).code() == Code::kInvalid);
  CHECK(cache.get(a.sha256, *reader, {{1, 8}, {}}, charge).code() == Code::kRateLimited);
  CHECK(cache.get(a.sha256, *reader, {{0, 8}, {}}, charge).value() == first);
  CHECK(charged.size() == 4);
}

TEST_CASE("slice over HTTP: public artifacts by both of their names, private ones by none",
          "[artifacts][slice]") {
  SliceDoor d;
  const Artifact a = d.w.store(d.make(), d.w.acme);
  const std::string whole = d.cut({{0, 4}, {}});
  const std::string by_id = "/v1/artifacts/" + a.id + "?tokens=0:4";
  const std::string by_name = "/acme/default/" + a.id + "?tokens=0:4";
  CHECK(d.get(by_id).status == 403);
  CHECK(d.get(by_name).status == 403);
  REQUIRE(d.w.service->set_visibility(d.w.acme, a.id, true, "r").ok());
  for (const std::string& target : {by_id, by_name}) {
    CHECK(d.get(target).body == whole);
    CHECK(d.get(target).header("cache-control").starts_with("public"));
  }
  const auto link =
      test::fetch(d.server.port(), "POST", "/api/v1/artifacts/" + a.id + "/download-url?tokens=0:4",
                  {{"authorization", "Bearer acme"}});
  const std::string url = parse_json(link.body)->at("download_url");
  CHECK(d.get(url.substr(url.find("/blobs/"))).body == whole);
  CHECK(test::fetch(d.server.port(), "POST", "/api/v1/artifacts/" + a.id + "/download-url?tokens=x",
                    {{"authorization", "Bearer acme"}})
            .status == 400);
}

TEST_CASE("slice over HTTP: a store that breaks off aborts the answer", "[artifacts][fault]") {
  SliceDoor d(false);
  const Artifact a = d.w.store(d.make({4, 4, 300, 64}), d.w.acme);
  std::atomic<int> reads = 0;
  d.w.blob_fault = [&](std::string_view op) -> Status {
    return op == "read" && ++reads > 4 ? unavailable("The disk is gone.") : ok();
  };
  const auto answer = d.get(d.signed_path(a) + "&tokens=0:200");
  CHECK(answer.status == 200);
  CHECK_FALSE(answer.complete);
}

}  // namespace kvcs
