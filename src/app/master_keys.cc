// Rotation of the master key: the file first, the sealer after it, the records at last. A process
// that dies anywhere in between starts with the new key and goes on.
#include "app/master_keys.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "app/master_key.h"
#include "app/reseal.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "http/json_api.h"
#include "identity/admin_common.h"
#include "kv/keyspace.h"

namespace kvcs {
namespace {

constexpr size_t kFoundMaxBytes = 600;

constexpr http::ApiType kTypes[] = {
    {"MasterKeys", R"(
from_file!: boolean # True: kvcs keys rotate can add one.
keys!: [MasterKey])"},
    {"MasterKey", R"(
id!: string # Tells nothing about the key.
seals!: boolean # The one that seals.
loaded!: boolean # False: something was sealed with a key that is not there.
records!: integer # What only this key opens.
removable!: boolean # Its line may go, once no backup and no signed URL needs it.)"},
};

}  // namespace

std::span<const http::ApiType> MasterKeys::types() {
  return kTypes;
}

void MasterKeys::add_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  using enum http::Method;
  http::Rows rows(table, *this, "/admin/master-keys");
  rows.add(kGet, "", access.viewer, http::kNoBody, &MasterKeys::show,
           "The master keys by their ids, and how many records each still holds.",
           {.id = "listMasterKeys", .answer = "MasterKeys"});
  rows.add(kPost, "/rotate", access.owner, http::kib(1), &MasterKeys::rotate,
           "Add a master key that seals from now on, and begin to seal everything with it.",
           {.id = "rotateMasterKey", .answer = "MasterKeys"});
}

Result<Json> MasterKeys::describe() const {
  const std::vector<std::string> loaded = parts_.sealer.key_ids();
  SealedCounts counts = KVCS_TRY(count_sealed(parts_.kv));
  for (const std::string& id : loaded) counts.try_emplace(id, 0);
  Json keys = Json::array();
  const auto add = [&](const std::string& id, bool is_loaded) {
    const bool seals = id == loaded.front();
    keys.push_back(Json{{"id", id},
                        {"seals", seals},
                        {"loaded", is_loaded},
                        {"records", counts[id]},
                        {"removable", is_loaded && !seals && counts[id] == 0}});
    counts.erase(id);
  };
  for (const std::string& id : loaded) add(id, true);
  while (!counts.empty()) add(std::string(counts.begin()->first), false);
  return Json{{"from_file", !parts_.file.empty()}, {"keys", std::move(keys)}};
}

Result<http::Response> MasterKeys::show(http::Request&) {
  return http::reply(200, KVCS_TRY(describe()));
}

Result<http::Response> MasterKeys::rotate(http::Request& request) {
  KVCS_TRY(add_key(admin_api::who(request)));
  // A walk that is under way sees the new key at the next run.
  const Status started = parts_.start_walk();
  if (!started.ok() && started.code() != Code::kConflict) return started;
  return http::reply(200, KVCS_TRY(describe()));
}

Status MasterKeys::load_file() {
  std::vector<Secret> keys = KVCS_TRY(read_master_key_file(parts_.file));
  parts_.sealer.set_keys(std::move(keys));
  parts_.changed();
  return ok();
}

// A file that is mounted by itself cannot be replaced in one step, and is not written in place: a
// process that dies in between would leave half a key.
Status MasterKeys::write_keys(const Secret& text) const {
  const Status written = write_private_file(parts_.file, text.reveal());
  if (written.ok()) return written;
  return Status(Code::kConflict,
                parts_.file + " was not changed: " + printable(written.cause(), kFoundMaxBytes) +
                    ". The keys of before are in use. A file that is mounted by itself cannot be "
                    "replaced: mount its folder, or make a link to it there. Else put a new line "
                    "of base64 of 32 bytes (openssl rand -base64 32) before the others in it and "
                    "send SIGHUP.",
                written.cause())
      .with_reason("master_key_not_written");
}

Status MasterKeys::add_key(const AuditContext& who) {
  if (parts_.file.empty()) {
    return conflict(
               "The master key comes from KVCS_MASTER_KEY or a credential of systemd, which this "
               "daemon cannot write: put a new line of base64 of 32 bytes before the old one there "
               "(openssl rand -base64 32) and restart; the job reseal does the rest.")
        .with_reason("master_key_not_in_file");
  }
  const MutexLock lock(mutex_);
  const std::vector<Secret> known = KVCS_TRY(read_master_key_file(parts_.file));
  if (known.size() >= kKeysMax) {
    return conflict(parts_.file + " holds " + std::to_string(known.size()) +
                    " keys, the most allowed; remove lines of keys that hold nothing any more "
                    "(kvcs keys status).")
        .with_reason("too_many_master_keys");
  }
  const Secret fresh(parts_.entropy.bytes(kMasterKeyBytes));
  std::string text;
  for (const Secret& key : known) text += to_base64(key.reveal()) + "\n";
  const Secret before(text), whole(to_base64(fresh.reveal()) + "\n" + text);
  // The audit of the change is a write of the record that proves the key. Nobody rotates unseen: a
  // store that takes no writes is asked before, and where it fails all the same the file is put
  // back.
  KvBatch batch;
  batch.put(KvFamily::kSystem, std::string(keyspace::kMasterKeyCheck),
            KVCS_TRY(parts_.kv.get(KvFamily::kSystem, keyspace::kMasterKeyCheck)).value);
  KVCS_TRY(parts_.kv.writable());
  KVCS_TRY(write_keys(whole));
  if (Status audited =
          parts_.audited.write(batch, {who.actor, "master-key-rotate", who.request_id});
      !audited.ok()) {
    KVCS_TRY(write_keys(before));
    return audited;
  }
  KVCS_TRY(load_file());
  log::info("master_key.rotated", {{"id", parts_.sealer.key_ids().front()}});
  return ok();
}

// A key that something needs must not go: what it sealed would be lost at the next use.
Status MasterKeys::read_again() {
  if (parts_.file.empty()) return ok();
  const MutexLock lock(mutex_);
  const Sealer fresh(KVCS_TRY(read_master_key_file(parts_.file)), parts_.entropy);
  const std::vector<std::string> ids = fresh.key_ids();
  if (ids == parts_.sealer.key_ids()) return ok();
  for (const auto& [id, records] : KVCS_TRY(count_sealed(parts_.kv))) {
    const std::vector<std::string> loaded = parts_.sealer.key_ids();
    const bool is_loaded = std::find(loaded.begin(), loaded.end(), id) != loaded.end();
    if (!is_loaded || std::find(ids.begin(), ids.end(), id) != ids.end()) continue;
    return invalid(parts_.file + ": the key " + id + " is gone, with which " +
                   std::to_string(records) +
                   " records are sealed; put its line back. The keys of before are in use.");
  }
  return load_file();
}

Result<std::string> MasterKeys::reseal(const std::function<bool()>& cancelled) {
  if (parts_.sealer.key_ids().size() == 1) return std::string();
  const ResealReport report = KVCS_TRY(
      reseal_all(parts_.kv, parts_.audited, parts_.sealer, {"reseal", "job", ""}, cancelled));
  if (report.unreadable > 0) {
    std::string names;
    for (const std::string& key : report.unreadable_keys) {
      names += (names.empty() ? "" : ", ") + printable(key, kShownName);
    }
    return conflict(
               std::to_string(report.unreadable) +
               " sealed records open with no master key that is loaded, or are damaged: " + names +
               (report.unreadable_keys.size() < size_t(report.unreadable) ? ", …" : "") +
               ". Store these secrets anew, or put the key back with which they are sealed; "
               "the old keys stay needed until then. " +
               std::to_string(report.resealed) + " records were resealed.")
        .with_reason("unreadable_secrets");
  }
  if (report.resealed + report.left + report.unreadable == 0) return std::string();
  return dump_json(Json{
      {"resealed", report.resealed}, {"left", report.left}, {"unreadable", report.unreadable}});
}

}  // namespace kvcs
