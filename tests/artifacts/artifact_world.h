// One artifact store for a test: a database in a temp folder, blobs by choice, a clock moved by
// hand, two organizations ("acme" with the projects "default" and "sibling", "other") and their
// routes.
#pragma once
#include <catch2/catch.hpp>

#include <atomic>
#include <set>

#include "artifacts/artifact_search.h"
#include "artifacts/artifacts.h"
#include "artifacts/artifacts_api.h"
#include "artifacts/schema.h"
#include "artifacts/uploads.h"
#include "artifacts/uploads_api.h"
#include "base/crypto.h"
#include "base/id.h"
#include "base/json.h"
#include "db/db.h"
#include "support/fault_vfs.h"
#include "support/faulty_db.h"
#include "support/raw_client.h"
#include "support/temp_dir.h"
#include "support/test_server.h"

namespace kvcs::test {

struct ArtifactWorld {
  TempDir folder;
  FaultVfs disk;
  ManualClock clock;
  std::unique_ptr<Entropy> entropy = make_seeded_entropy(11);
  std::unique_ptr<BlobStore> base, blobs;
  std::function<Status(std::string_view)> blob_fault;  // By operation; empty: none.
  // Of SQL, by operation and text; empty: none. Set while nothing is at work.
  DbFaultPlan sql_fault;
  std::unique_ptr<DbWriter> writer;
  std::unique_ptr<DbReaders> readers;
  ArtifactConfig config;
  Mutex alarms_mutex;  // Alarms come from every thread that reads a blob.
  std::vector<BlobDamage> alarms;
  std::unique_ptr<ArtifactService> service;
  Presigner presigner{Secret(std::string(32, 's')), clock};
  std::unique_ptr<ArtifactSearch> search;
  std::unique_ptr<ArtifactsApi> api;
  std::unique_ptr<UploadService> uploads;
  std::unique_ptr<UploadsApi> uploads_api;
  Principal acme, other;
  Principal sibling;                // Of acme's other project.
  Principal whole_acme;             // An organization key.
  std::set<std::string> suspended;  // Slugs.

  explicit ArtifactWorld(bool files = false, ArtifactConfig wanted = {}) : config(wanted) {
    auto db = open_sqlite(folder.file("portal.db"), {.vfs = disk.name()});
    REQUIRE(db.ok());
    REQUIRE(migrate(**db, portal_migrations()).ok());
    for (const char* org : {"acme", "other"}) {
      Principal& who = std::string(org) == "acme" ? acme : other;
      who.kind = PrincipalKind::kProjectKey;
      who.key_id = std::string("key-") + org;
      who.scope = Scope::kWrite;
      who.organization = org;
      who.organization_id = make_uuid_v4(*entropy);
      who.project_id = make_uuid_v4(*entropy);
      auto row = (*db)->prepare(
          "INSERT INTO projects (id, organization_id, slug, name, created_ms) "
          "VALUES (?, ?, 'default', 'Default', 0)");
      REQUIRE(row->bind(1, who.project_id).bind(2, who.organization_id).run().ok());
    }
    sibling = acme;
    sibling.key_id = "key-sibling";
    sibling.project_id = make_uuid_v4(*entropy);
    auto row = (*db)->prepare(
        "INSERT INTO projects (id, organization_id, slug, name, created_ms) VALUES (?, ?, "
        "'sibling', 'Sibling', 0)");
    REQUIRE(row->bind(1, sibling.project_id).bind(2, sibling.organization_id).run().ok());
    whole_acme = acme;
    whole_acme.kind = PrincipalKind::kOrganizationKey;
    whole_acme.key_id = "key-whole-acme";
    whole_acme.project_id.clear();
    const DbFaultPlan plan = [this](std::string_view op, std::string_view what) {
      return sql_fault ? sql_fault(op, what) : ok();
    };
    writer =
        std::make_unique<DbWriter>(make_faulty_db(std::move(db).value(), plan), "portal", 10'000);
    readers =
        DbReaders::open(faulty_readers(sqlite_readers(folder.file("portal.db")), plan), 4).value();
    base = files ? open_file_blobs({folder.file("blobs"), 0}).value() : make_memory_blobs();
    blobs = make_faulty_blobs(*base, [this](std::string_view op, std::string_view) {
      return blob_fault ? blob_fault(op) : ok();
    });
    restart();
  }
  // The process dies and comes back: what was in memory is gone.
  void restart() {
    api.reset();
    uploads_api.reset();
    service = std::make_unique<ArtifactService>(config, *writer, *readers, *blobs, clock, *entropy,
                                                nullptr, [this](const BlobDamage& damage) {
                                                  MutexLock lock(alarms_mutex);
                                                  alarms.push_back(damage);
                                                });
    search = std::make_unique<ArtifactSearch>(*writer, *readers, *blobs, *entropy);
    api = std::make_unique<ArtifactsApi>(
        *service, *search, presigner, clock,
        ArtifactsApiConfig{.public_url = "", .own_url = [] { return "http://fallback:1"; }},
        [this](std::string_view id) -> Result<ArtifactsApi::Holder> {
          const Principal& who = id == acme.organization_id ? acme : other;
          return ArtifactsApi::Holder{who.organization, !suspended.contains(who.organization)};
        });
    uploads = std::make_unique<UploadService>(*service, *writer, *readers, *blobs, clock, *entropy);
    uploads_api = std::make_unique<UploadsApi>(*uploads, config, *search, clock);
  }

  Artifact draft(const std::string& bytes, const Principal& who) const {
    Artifact a;
    a.organization_id = who.organization_id;
    a.project_id = who.project_id;
    a.owner_id = customer_id_of(who.organization);
    a.name = a.model_name = "demo";
    a.dtype = "F16";
    a.size_bytes = bytes.size();
    a.sha256 = sha256_hex(bytes);
    return a;
  }
  Result<Artifact> create(const std::string& bytes, const Principal& who) {
    return service->create(draft(bytes, who));
  }
  Status put(const Artifact& a, const std::string& bytes) {
    auto put = KVCS_TRY(service->begin_put({"PUT", a.id, a.size_bytes, a.sha256, 0}, bytes.size()));
    KVCS_TRY(put.writer->append(bytes));
    return service->finish_put(put).status();
  }
  Artifact store(const std::string& bytes, const Principal& who) {
    auto made = create(bytes, who);
    REQUIRE(made.ok());
    REQUIRE(put(*made, bytes).ok());
    auto confirmed = service->confirm(who, made->id, {});
    REQUIRE(confirmed.ok());
    return *confirmed;
  }
  ArtifactUsage used(const Principal& who) const { return *service->usage(who.organization_id); }
  size_t blob_count() const {
    size_t n = 0;
    REQUIRE(base->for_each([&](auto, auto, auto) { return n++, ok(); }).ok());
    return n;
  }
  // The audit records that wait for their move, as their JSON.
  std::vector<std::string> audits() const {
    std::vector<std::string> found;
    const Status read = readers->run([&](Database& db) -> Status {
      auto rows = KVCS_TRY(db.prepare("SELECT payload_json FROM audit_outbox ORDER BY seq"));
      while (KVCS_TRY(rows.step())) found.push_back(rows.text(0));
      return ok();
    });
    REQUIRE(read.ok());
    return found;
  }
  std::vector<std::string> shelf(BlobShelf which) const {
    std::vector<std::string> digests;
    REQUIRE(base->for_each_aside(which,
                                 [&](std::string_view digest, auto, auto) {
                                   digests.emplace_back(digest);
                                   return ok();
                                 })
                .ok());
    return digests;
  }
  bool has_blob(const std::string& bytes) const { return base->stat(sha256_hex(bytes)).ok(); }

  // The routes as the daemon has them; the bearers are named as the principals.
  std::vector<http::Route> routes() {
    using http::Method;
    const http::Guard key = [this](const http::Request& request) -> Result<Principal> {
      const auto bearer = request.bearer();
      if (bearer.ok() && *bearer == "acme") return acme;
      if (bearer.ok() && *bearer == "other") return other;
      if (bearer.ok() && *bearer == "sibling") return sibling;
      if (bearer.ok() && *bearer == "whole_acme") return whole_acme;
      return unauthenticated("Unauthorized");
    };
    const auto handle = [this](Result<http::Response> (ArtifactsApi::*method)(http::Request&)) {
      return [this, method](http::Request& request) { return (api.get()->*method)(request); };
    };
    const auto upload = [this](Result<http::Response> (UploadsApi::*method)(http::Request&)) {
      return
          [this, method](http::Request& request) { return (uploads_api.get()->*method)(request); };
    };
    using U = UploadsApi;
    const std::string all(kUploadsPath), one = all + "/{id}";
    const http::Guard open = http::public_access(), signed_url = presigned(presigner);
    const std::string portal = "/api/v1/artifacts";
    const auto& small = kSmallBodyMaxBytes;
    using A = ArtifactsApi;
    return {
        {Method::kPost, portal + "/upload-url", key, kUploadUrlBodyMaxBytes,
         handle(&A::create_upload)},
        {Method::kPut, "/blobs/{id}", signed_url, http::mib(1024), handle(&A::put_blob)},
        {Method::kGet, "/blobs/{id}", signed_url, http::kNoBody, handle(&A::get_blob)},
        {Method::kPost, portal + "/{id}/confirm-upload", key, small, handle(&A::confirm)},
        {Method::kGet, portal, key, http::kNoBody, handle(&A::list)},
        {Method::kPost, portal + "/search", key, kSearchBodyMaxBytes, handle(&A::search)},
        {Method::kGet, portal + "/{id}", key, http::kNoBody, handle(&A::get)},
        {Method::kPost, portal + "/{id}/download-url", key, small, handle(&A::download_url)},
        {Method::kPost, portal + "/{id}/visibility", key, small, handle(&A::set_visibility)},
        {Method::kDelete, portal + "/{id}", key, small, handle(&A::remove)},
        {Method::kGet, "/v1/artifacts/{id}", open, http::kNoBody, handle(&A::get_public)},
        {Method::kGet, "/{org}/{project}/{artifact_id}", open, http::kNoBody, handle(&A::get_cdn)},
        {Method::kPost, "/api/v1/api-keys/verify", key, small, handle(&A::verify_key)},
        {Method::kGet, "/api/v1/quota", key, http::kNoBody, handle(&A::quota)},
        {Method::kPost, "/api/v1/telemetry", open, small, handle(&A::take_telemetry)},
        {Method::kOptions, all, open, http::kNoBody, upload(&U::options)},
        {Method::kPost, all, key, http::mib(1024), upload(&U::create)},
        {Method::kHead, one, key, http::kNoBody, upload(&U::look)},
        {Method::kPatch, one, key, http::mib(1024), upload(&U::append)},
        {Method::kDelete, one, key, small, upload(&U::remove)},
        {Method::kPost, one, key, http::mib(1024), upload(&U::instead)},
    };
  }
};

}  // namespace kvcs::test
