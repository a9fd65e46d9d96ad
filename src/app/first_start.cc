// Makes the credentials of a new data directory, once. The order of the steps is in the header: the
// file, the project, then one batch with everything in KV and the mark that it is done.
#include "app/first_start.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/file.h"
#include "base/id.h"
#include "base/json.h"
#include "identity/keys.h"
#include "identity/orgs.h"
#include "identity/projects.h"
#include "kv/keyspace.h"
#include "portal/sign_in.h"

namespace kvcs {
namespace {

constexpr std::string_view kDoneKey = keyspace::kFirstStartDone;
constexpr size_t kFileMaxBytes = 16 << 10;
// 100 USD a month.
constexpr int64_t kDefaultBudgetNanoUsd = 100'000'000'000;

// The contents of initial-credentials.json, in which the keys stand in clear, under mode 0600.
struct Credentials {
  Secret admin_key, api_key;
  std::string organization_id, project_id, setup_url;

  Secret setup_token() const {
    const size_t at = setup_url.find('=');
    return Secret(at == std::string::npos ? "" : setup_url.substr(at + 1));
  }
};

std::string to_json(const Credentials& c, const std::string& url) {
  return dump_json_pretty(Json{{"admin_key", c.admin_key.reveal()},
                               {"organization_id", c.organization_id},
                               {"organization", "default"},
                               {"project_id", c.project_id},
                               {"project", "default"},
                               {"api_key", c.api_key.reveal()},
                               {"url", url},
                               {"setup_url", c.setup_url}}) +
         "\n";
}

Credentials make_credentials(Entropy& entropy, const std::string& url) {
  Credentials c;
  c.admin_key = Secret("ka_" + to_hex(entropy.bytes(32)));
  c.api_key = Secret("kv_" + to_hex(entropy.bytes(32)));
  c.organization_id = make_uuid_v4(entropy);
  c.project_id = make_uuid_v4(entropy);
  c.setup_url = portal::setup_url(url, to_base64url(entropy.bytes(32)));
  return c;
}

Result<Credentials> parse_credentials(const std::string& text, const std::string& path) {
  const Result<Json> json = parse_json(text);
  if (!json.ok()) return json.status();
  JsonReader reader(json.value());
  reader.ignore_unknown();
  Credentials c;
  c.admin_key = Secret(reader.string("admin_key"));
  c.api_key = Secret(reader.string("api_key"));
  c.organization_id = reader.string("organization_id");
  c.project_id = reader.string("project_id");
  c.setup_url = reader.string("setup_url", {.max_bytes = 2000});
  Status read = reader.finish();
  if (!read.ok()) {
    return std::move(read).with_context(path +
                                        " is damaged and the first start is unfinished; "
                                        "remove the data directory and start again");
  }
  return c;
}

// The file's credentials, or new ones that are in the file when this returns.
// A file that is there was written by a start that died before it was done: its credentials are the
// ones that the operator may have seen.
Result<Credentials> load_or_write(const FirstStartServices& services, const std::string& path,
                                  const std::string& url) {
  const Result<std::string> text = read_small_file(path, kFileMaxBytes);
  if (text.ok()) return parse_credentials(text.value(), path);
  if (text.code() != Code::kNotFound) return text.status();
  Credentials made = make_credentials(services.entropy, url);
  KVCS_TRY(write_private_file(path, to_json(made, url)));
  return made;
}

// SQL comes before KV: the batch with the mark is last, so that a start that died here does it
// again and finds the project made.
Status create_project(const FirstStartServices& services, const Credentials& c) {
  const Result<Project> present = services.projects.find(c.organization_id, c.project_id);
  if (present.ok()) return ok();
  if (present.code() != Code::kNotFound) return present.status();
  return services.projects
      .create({.id = c.project_id,
               .organization_id = c.organization_id,
               .slug = "default",
               .name = "default"},
              {"first-start", "first-start", ""})
      .status();
}

// "default"; after a repair that has lost all admin keys another organization may have that name.
Result<std::string> free_slug(const KvStore& kv) {
  std::string slug = "default";
  for (int number = 2;; number++) {
    const auto taken = kv.get(KvFamily::kConfig, keyspace::org_slug(slug));
    if (taken.code() == Code::kNotFound) return slug;
    if (!taken.ok()) return taken.status();
    slug = "default-" + std::to_string(number);
  }
}

}  // namespace

std::string initial_credentials_path(const std::string& data_dir) {
  return data_dir + "/initial-credentials.json";
}

Result<bool> ensure_first_start(const FirstStartServices& services, const std::string& data_dir,
                                const std::string& url) {
  const Result<KvEntry> done = services.kv.get(KvFamily::kSystem, kDoneKey);
  if (done.ok()) return false;
  if (done.code() != Code::kNotFound) return done.status();
  const Credentials c = KVCS_TRY(load_or_write(services, initial_credentials_path(data_dir), url));
  KVCS_TRY(create_project(services, c));

  // Organization, keys and the mark in one batch: all of the first start or none of it.
  KvBatch batch;
  Organization organization;
  organization.id = c.organization_id;
  organization.slug = organization.name = KVCS_TRY(free_slug(services.kv));
  organization.monthly_budget_nano_usd = kDefaultBudgetNanoUsd;
  organization.created_ms = organization.updated_ms = services.clock.unix_ms();
  batch.put(KvFamily::kConfig, keyspace::org_slug(organization.slug), organization.id);
  batch.put(KvFamily::kConfig, keyspace::org_config(organization.id),
            organization_to_json(organization));
  NewKey admin_key;
  admin_key.name = "initial owner key";
  admin_key.role = AdminRole::kOwner;
  services.keys.prepare({PrincipalKind::kAdminKey, "", "", ""}, admin_key, batch, c.admin_key);
  NewKey project_key;
  project_key.name = kInitialKeyName;
  project_key.scopes = {"write"};
  services.keys.prepare({PrincipalKind::kProjectKey, c.organization_id, c.project_id, ""},
                        project_key, batch, c.api_key);
  batch.append(
      portal::setup_token_record(c.setup_token().reveal(), services.clock.unix_ms() / 1000));
  batch.put(KvFamily::kSystem, std::string(kDoneKey), format_iso8601_ms(services.clock.unix_ms()));
  KVCS_TRY(services.audited.write(batch, {"first-start", "first-start", ""}));
  return true;
}

}  // namespace kvcs
