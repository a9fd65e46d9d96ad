// Goal: a server names the artifacts that begin like given token ids, those of the caller alone.
// Method: small .kv files whose ids come from the sidecar or a tensor, over HTTP; an exhaustive
// comparison is the answer to compare with.
#include <nlohmann/json.hpp>

#include <set>

#include "artifact_world.h"
#include "base/bytes.h"
#include "base/mutex.h"
#include "kvfile/support.h"

namespace kvcs {
namespace {

using test::ArtifactWorld;
using test::RawResponse;
using Ids = std::vector<uint32_t>;

struct SearchDoor {
  ArtifactWorld w;
  test::TestServer server;
  SearchDoor() : server(w.routes()) {}

  // A ready artifact of these ids; as a tensor of the file, else in the sidecar that came with it.
  Artifact store(const Ids& ids, const std::string& model = "m", bool as_tensor = false,
                 const Principal* who = nullptr, kvfile::Metadata metadata = {},
                 std::optional<std::string> prompt = {}) {
    const Principal& owner = who != nullptr ? *who : w.acme;
    const std::string path = w.folder.file("a.kv");
    auto tensors =
        kvfile::layout_tensors(kvfile::Scheme::kPlain, kvfile::Dtype::kF16, {1, 1, ids.size(), 2});
    if (as_tensor)
      tensors.push_back({.name = "tokens", .dtype = kvfile::Dtype::kU32, .shape = {ids.size()}});
    metadata.emplace_back("kvcs.model", model);
    auto writer = kvfile::KvWriter::create(
        path, kvfile::make_header(std::move(tensors), std::move(metadata)).value());
    REQUIRE(writer.ok());
    for (const kvfile::Tensor& tensor : (*writer)->header().tensors) {
      std::string bytes(tensor.size_bytes(), 'x');
      if (tensor.name == "tokens") {
        bytes.clear();
        for (const uint32_t id : ids) append_u32le(bytes, id);
      }
      REQUIRE((*writer)->write(tensor, 0, bytes.data(), bytes.size()).ok());
    }
    REQUIRE((*writer)->publish().ok());
    const std::string bytes = kvfile::read_bytes(path);
    Artifact draft = w.draft(bytes, owner);
    if (!as_tensor) {
      kvfile::Sidecar sidecar{model, 1, ids.size(), "F16", "F16", bytes.size(), false, prompt, ids};
      draft.metadata_json = "{\"sidecar\":" + kvfile::dump_sidecar(sidecar) + "}";
    }
    Artifact made = w.service->create(draft).value();
    REQUIRE(w.put(made, bytes).ok());
    const std::string key = &owner == &w.acme ? "acme" : &owner == &w.sibling ? "sibling" : "other";
    CHECK(post(key, "/" + made.id + "/confirm-upload", "").status == 200);
    return w.service->find(made.id).value();
  }
  RawResponse post(const std::string& key, const std::string& path, const std::string& body) {
    test::RawClient client(server.port());
    REQUIRE(client.send("POST /api/v1/artifacts" + path +
                        " HTTP/1.1\r\nHost: a\r\nUser-Agent: t\r\nAuthorization: Bearer " + key +
                        "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body));
    return client.read_response();
  }
  Json find_text(const std::string& text, Json more = Json::object()) {
    more["text"] = text;
    const RawResponse answer = post("acme", "/search", dump_json(more));
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    CHECK(answer.body.find("\"of\":\"text\"") != std::string::npos);
    return parse_json(answer.body).value()["hits"];
  }
  Json find(const Ids& ids, Json more = Json::object(), const std::string& key = "acme") {
    more["tokens"] = ids;
    const RawResponse answer = post(key, "/search", dump_json(more));
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    return parse_json(answer.body).value()["hits"];
  }
};

Ids numbers(uint32_t from, uint32_t count) {
  Ids ids(count);
  for (uint32_t i = 0; i < count; i++) ids[i] = from + i;
  return ids;
}
Ids joined(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

TEST_CASE("server search: the longest common prefix comes first, whatever the length",
          "[artifacts][search]") {
  SearchDoor d;
  std::map<std::string, Ids> stored;
  for (const uint32_t shared : {1U, 3U, 255U, 256U, 257U, 600U, 1024U}) {
    const Ids ids = joined(numbers(1, shared), numbers(90'000 + shared, 40));
    stored[d.store(ids, "m", shared % 2 == 0).id] = ids;
  }
  for (const uint32_t asked : {1U, 2U, 200U, 256U, 300U, 512U, 700U, 2000U}) {
    const Ids query = numbers(1, asked);
    const Json hits = d.find(query, {{"limit", 100}});
    uint64_t best = 0;
    for (const auto& [id, ids] : stored) {
      const auto end = query.begin() + static_cast<ptrdiff_t>(std::min(query.size(), ids.size()));
      best = std::max<uint64_t>(
          best, static_cast<uint64_t>(std::mismatch(query.begin(), end, ids.begin()).first -
                                      query.begin()));
    }
    INFO(asked);
    REQUIRE_FALSE(hits.empty());
    CHECK(hits[0]["common_prefix"] == best);
    for (size_t i = 0; i < hits.size(); i++) {
      const Ids& ids = stored.at(hits[i]["artifact_id"].get<std::string>());
      const auto n = hits[i]["common_prefix"].get<size_t>();
      CHECK(std::equal(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(n), query.begin()));
      if (i > 0) CHECK(hits[i - 1]["common_prefix"] >= hits[i]["common_prefix"]);
      CHECK_FALSE(hits[i]["download_url"].get<std::string>().empty());
    }
  }
  CHECK(d.find(numbers(500'000, 300)).empty());
}

TEST_CASE(
    "server search: each of its questions is answered from an index, a project's from its own",
    "[artifacts][search]") {
  SearchDoor d;
  d.store(numbers(1, 300), "m", false, nullptr, {}, "Once upon a time");
  d.store(numbers(1, 300), "m2", false, &d.w.sibling);
  for (const std::string key : {"acme", "whole_acme"}) {
    // The statements as they are, noted by an engine that fails nothing.
    std::set<std::string> asked;
    Mutex mutex;
    d.w.sql_fault = [&](std::string_view op, std::string_view sql) {
      MutexLock lock(mutex);
      if (op == "prepare" && sql.starts_with("SELECT")) asked.emplace(sql);
      return ok();
    };
    CHECK_FALSE(d.find(numbers(1, 300), Json::object(), key).empty());
    CHECK(d.post(key, "/search", R"({"text":"Once upon"})").status == 200);
    d.w.sql_fault = nullptr;
    const std::string index =
        key == "acme" ? "artifacts_by_project_search_root" : "artifacts_by_search_root";
    int of_roots = 0;
    for (const std::string& sql : asked) {
      std::string plan;
      REQUIRE(d.w.readers
                  ->run([&](Database& db) -> Status {
                    auto rows = KVCS_TRY(db.prepare("EXPLAIN QUERY PLAN " + sql));
                    while (KVCS_TRY(rows.step())) plan += rows.text(3) + "; ";
                    return ok();
                  })
                  .ok());
      INFO(sql << ": " << plan);
      CHECK(plan.find("SCAN") == std::string::npos);
      CHECK(plan.find("TEMP B-TREE") == std::string::npos);
      if (sql.starts_with("SELECT search_model")) {
        of_roots++;
        CHECK(plan.find(index + " ") != std::string::npos);
        CHECK(plan.find("search_model") != std::string::npos);
      }
    }
    CHECK(of_roots == 4);
  }
}

TEST_CASE("server search: a BOS on one side is seen through and said", "[artifacts][search]") {
  SearchDoor d;
  const Artifact with_bos = d.store(joined({128'000}, numbers(5, 400)));
  const Json hits = d.find(numbers(5, 300));
  REQUIRE(hits.size() == 1);
  CHECK(hits[0]["artifact_id"] == with_bos.id);
  CHECK(hits[0]["common_prefix"] == 300);
  CHECK(hits[0]["without_bos"] == true);
  const Artifact plain = d.store(numbers(7, 400));
  const Json other = d.find(joined({128'000}, numbers(7, 300)));
  REQUIRE_FALSE(other.empty());
  CHECK(other[0]["artifact_id"] == plain.id);
  CHECK(other[0]["common_prefix"] == 300);
}

TEST_CASE("server search: a text finds the prompts that begin like it", "[artifacts][search]") {
  SearchDoor d;
  const std::string long_text(700, 'a');
  const Artifact a = d.store(numbers(1, 4), "m", false, nullptr, {}, "Once upon a time");
  const Artifact b = d.store(numbers(1, 5), "m", false, nullptr, {}, "Once upon a mouse");
  const Artifact c = d.store(numbers(1, 6), "n", false, nullptr, {}, long_text + "c");
  const Json hits = d.find_text("Once upon a time there was");
  REQUIRE(hits.size() == 2);
  CHECK(hits[0]["artifact_id"] == a.id);
  CHECK(hits[0]["common_prefix"] == 16);
  CHECK(hits[1]["artifact_id"] == b.id);
  CHECK(hits[1]["common_prefix"] == 12);
  const Json longest = d.find_text(long_text + "d");
  REQUIRE(longest.size() == 1);
  CHECK(longest[0]["artifact_id"] == c.id);
  CHECK(longest[0]["common_prefix"] == 700);
  CHECK(d.find_text("Once", {{"model", "n"}}).empty());
  CHECK(d.find_text("Once", {{"model", "m"}}).size() == 2);
  // Ids of tokens are not taken for letters.
  CHECK(d.find(Ids{'O', 'n', 'c', 'e'}).empty());
  CHECK(d.find_text("nce upon").empty());
}

TEST_CASE("server search: model and tokenizer gate, another organization finds nothing",
          "[artifacts][search]") {
  SearchDoor d;
  const Ids ids = numbers(1, 300);
  const Artifact llama = d.store(ids, "llama", true, nullptr, {{"kvcs.tokenizer", "t1"}});
  const Artifact qwen = d.store(ids, "qwen");
  CHECK(d.find(ids).size() == 2);
  const Json one = d.find(ids, {{"model", "llama"}});
  REQUIRE(one.size() == 1);
  CHECK(one[0]["artifact_id"] == llama.id);
  CHECK(one[0]["tokenizer"] == "t1");
  CHECK(d.find(ids, {{"tokenizer", "t1"}}).size() == 1);
  CHECK(d.find(ids, {{"model", "llama"}, {"tokenizer", "t2"}}).empty());
  CHECK(d.find(ids, {{"model", "mistral"}}).empty());
  CHECK(d.find(ids, Json::object(), "other").empty());
  d.store(ids, "qwen", false, &d.w.other);
  CHECK(d.find(ids, Json::object(), "other").size() == 1);
  CHECK(d.find(ids, {{"model", "qwen"}})[0]["artifact_id"] == qwen.id);
}

TEST_CASE("server search: what is deleted is not found; what was never looked at is caught up with",
          "[artifacts][search][fault]") {
  SearchDoor d;
  const Ids ids = numbers(1, 300);
  const Artifact gone = d.store(ids);
  REQUIRE(d.find(ids).size() == 1);
  REQUIRE(d.w.service->remove(d.w.acme, gone.id, "r").ok());
  CHECK(d.find(ids).empty());
  // The bytes cannot be read at the confirmation: it holds all the same, and the job finds it.
  d.w.blob_fault = [](std::string_view op) { return op == "open" ? unavailable("planned") : ok(); };
  const Artifact late = d.store(ids);
  CHECK(d.find(ids).empty());
  CHECK(d.w.search->index_missing().code() == Code::kUnavailable);
  d.w.blob_fault = nullptr;
  CHECK(d.w.search->index_missing([] { return true; }).value() == 0);
  CHECK(d.w.search->index_missing().value() == 1);
  CHECK(d.w.search->index_missing().value() == 0);
  CHECK(d.find(ids)[0]["artifact_id"] == late.id);
}

TEST_CASE("server search: what has no ids, or begins elsewhere, is no hit", "[artifacts][search]") {
  SearchDoor d;
  const Ids ids = numbers(1, 300);
  const Artifact bare = d.w.store("not a .kv file", d.w.acme);
  CHECK(d.w.search->index(bare).ok());
  d.store(ids, "m", true, nullptr, {{"kvcs.position_offset", "256"}});
  CHECK(d.find(ids).empty());
  CHECK(d.w.search->index_missing().value() == 0);
}

TEST_CASE("server search: a bad question is refused by its member", "[artifacts][search]") {
  SearchDoor d;
  const auto refused = [&](const std::string& body, const std::string& word) {
    const RawResponse answer = d.post("acme", "/search", body);
    INFO(body << " " << answer.body);
    CHECK(answer.status == 400);
    CHECK(answer.body.find(word) != std::string::npos);
  };
  refused("[]", "object");
  refused("{}", "tokens");
  refused(R"({"tokens":[1],"text":"a"})", "either");
  refused(R"({"text":""})", "text");
  refused(R"({"tokens":[]})", "tokens");
  refused(R"({"tokens":[1,-2]})", "-2");
  refused(R"({"tokens":[4294967296]})", "4294967296");
  refused(R"({"tokens":[1.5]})", "1.5");
  refused(R"({"tokens":["a"]})", "token id");
  refused(R"({"tokens":[[0],[0]]})", "'[0]' is not a token id");
  refused(R"({"tokens":[1,01]})", "byte");
  refused(R"({"tokens":[1]],"limit":1})", "byte");
  refused(R"({"tokens":[1],"tokens":[1]})", "twice");
  refused(R"({"t\u006fkens":[1e1]})", "1e1");
  refused(R"({"tokens":{"a":1}})", "array");
  refused(R"({"tokens":[1],"limit":101})", "limit");
  refused(R"({"tokens":[1],"query":"x"})", "query");
  Json many{{"tokens", Ids(kSearchTokensMax + 1, 7)}};
  refused(dump_json(many), "262144");
  CHECK(d.post("nobody", "/search", R"({"tokens":[1]})").status == 401);
}

TEST_CASE("server search: another project's artifacts are neither found nor in the way",
          "[artifacts][search]") {
  SearchDoor d;
  const Ids ids = numbers(1, 300);
  const std::string own = d.store(ids, "zz").id;
  // Alike, and more of them than there are places in an answer; and more models than are looked at.
  for (int i = 0; i < 12; i++) d.store(ids, "m" + std::to_string(i), false, &d.w.sibling);
  for (int i = 0; i < 12; i++) d.store(ids, "zz", false, &d.w.sibling);
  for (const Json& more : {Json::object(), Json{{"limit", 3}}, Json{{"model", "zz"}}}) {
    const Json hits = d.find(ids, more);
    REQUIRE(hits.size() == 1);
    CHECK(hits[0]["artifact_id"] == own);
  }
  for (const Json& hit : d.find(ids, {{"limit", 100}}, "sibling")) CHECK(hit["artifact_id"] != own);
  CHECK(d.find(ids, {{"limit", 100}}, "sibling").size() == 24);
  CHECK(d.find(ids, {{"limit", 100}}, "whole_acme").size() == 25);
  CHECK(d.find(ids, {{"limit", 100}}, "other").empty());
}

}  // namespace kvcs
