// The door of the tus protocol over an ArtifactWorld, and its requests in few words.
#pragma once
#include "artifact_world.h"
#include "base/bytes.h"

namespace kvcs::test {

struct TusDoor {
  ArtifactWorld w;
  TestServer server;
  explicit TusDoor(bool files = true, ArtifactConfig config = {})
      : w(files, config), server(w.routes()) {}

  using Headers = std::vector<std::pair<std::string, std::string>>;

  RawResponse send(const std::string& method, const std::string& target, Headers headers = {},
                   const std::string& body = "", const std::string& key = "acme") {
    headers.push_back({"Authorization", "Bearer " + key});
    headers.push_back({"Tus-Resumable", "1.0.0"});
    return fetch(server.port(), method, target, headers, body);
  }
  // "name demo,dtype F16,…" with the values in base64.
  static std::string metadata(const std::string& bytes, const std::string& more = "") {
    std::string text = "name " + to_base64("demo") + ",dtype " + to_base64("F16");
    if (!bytes.empty()) text += ",sha256 " + to_base64(sha256_hex(bytes));
    return text + more;
  }
  RawResponse create(const Headers& headers, const std::string& body = "",
                     const std::string& key = "acme") {
    return send("POST", std::string(kUploadsPath), headers, body, key);
  }
  // Announces `bytes` with their digest; the path of the upload.
  std::string begin(const std::string& bytes, const std::string& key = "acme") {
    const RawResponse made = create(
        {{"Upload-Length", std::to_string(bytes.size())}, {"Upload-Metadata", metadata(bytes)}}, "",
        key);
    return location(made);
  }
  std::string part(const std::string& bytes) {
    const std::string path = location(
        create({{"Upload-Length", std::to_string(bytes.size())}, {"Upload-Concat", "partial"}}));
    if (!bytes.empty()) CHECK(patch(path, 0, bytes).status == 204);
    return path;
  }
  RawResponse join(const std::string& urls, const std::string& bytes) {
    return create({{"Upload-Concat", "final;" + urls}, {"Upload-Metadata", metadata(bytes)}});
  }
  static std::string location(const RawResponse& made) {
    INFO(made.head << made.body);
    REQUIRE(made.status == 201);
    return made.header("location");
  }
  RawResponse patch(const std::string& path, uint64_t offset, const std::string& bytes,
                    Headers headers = {}, const std::string& key = "acme") {
    headers.push_back({"Upload-Offset", std::to_string(offset)});
    headers.push_back({"Content-Type", "application/offset+octet-stream"});
    headers.push_back({"Content-Length", std::to_string(bytes.size())});
    RawClient client(server.port());
    std::string text = "PATCH " + path + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " +
                       key + "\r\nTus-Resumable: 1.0.0\r\n";
    for (const auto& [name, value] : headers) text += name + ": " + value + "\r\n";
    if (!client.send(text + "\r\n" + bytes)) return {};
    return client.read_response();
  }
  RawResponse head(const std::string& path, const std::string& key = "acme") {
    return send("HEAD", path, {}, "", key);
  }
  std::string offset(const std::string& path) { return head(path).header("upload-offset"); }
  // Bytes that have come, kept or not.
  uint64_t arrived(const std::string& path) const {
    const auto reader = w.base->read_staged(id_of(path));
    return reader.ok() ? (*reader)->size_bytes() : 0;
  }
  static std::string id_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }
  bool is_ready(const std::string& path) {
    const auto found = w.service->find(id_of(path));
    return found.ok() && found->ready;
  }
  // Bytes and artifacts of acme that count as used, reserved ones too.
  std::pair<uint64_t, uint64_t> used() const {
    const ArtifactUsage usage = w.used(w.acme);
    return {usage.artifacts, usage.storage_bytes};
  }
  std::set<std::string> staged() const {
    std::set<std::string> ids;
    REQUIRE(
        w.base->for_each_staged([&](std::string_view id) { return ids.emplace(id), ok(); }).ok());
    return ids;
  }
};

}  // namespace kvcs::test
