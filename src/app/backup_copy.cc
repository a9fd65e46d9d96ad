// How the copies of the stores become one moment. The writers of both databases are held between
// two commits, which takes as long as a checkpoint of KV; requests that write to SQL wait for them,
// and those that touch KV alone do not. All that takes long comes after: reading the snapshots,
// moving the checkpoint to another file system, linking blobs that came meanwhile.
#include "app/backup_copy.h"

#include <filesystem>
#include <fstream>

#include "ai/budget/charge_journal_copy.h"
#include "app/files.h"
#include "app/parts.h"
#include "app/store_marks.h"
#include "base/file.h"
#include "blob/blob.h"
#include "db/db.h"

namespace kvcs {
namespace {

namespace fs = std::filesystem;
using Check = std::function<Status()>;

// A checkpoint links KV's files, so it is made where they are, and moved.
std::string checkpoint_path(const Parts& parts) {
  return parts.config.data_dir + "/backup.kv";
}

std::string blobs_path(const Parts& parts) {
  const std::string& path = parts.config.blobs.path;
  return path.empty() ? parts.config.data_dir + "/blobs" : path;
}

Status remove_tree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  return error ? io_error("remove", path, error.value()) : ok();
}

// Holds both writers and has `work` done meanwhile, on the thread of the second. Nothing that
// either writes waits for the other, so that they can be held one inside the other.
Status hold_writers(Parts& parts, const std::function<Status()>& work) {
  return parts.portal_writer->run_alone(
      [&](Database&) { return parts.ledger_writer->run_alone([&](Database&) { return work(); }); });
}

// SQL before the journal before KV. A charge that is settled in between is so in the later store at
// least, and its id keeps it from being counted twice.
Status take_moment(Parts& parts, Database& portal, Database& ledger, const std::string& path) {
  return hold_writers(parts, [&]() -> Status {
    KVCS_TRY(portal.take_snapshot());
    KVCS_TRY(ledger.take_snapshot());
    KVCS_TRY(ai::copy_charge_journal(parts.config.data_dir + "/charges.journal",
                                     path + "/charges.journal"));
    return parts.kv->checkpoint(checkpoint_path(parts));
  });
}

Status copy_file(const std::string& from, const std::string& to, const Check& check) {
  std::ifstream in(from, std::ios::binary);
  std::ofstream out(to, std::ios::binary | std::ios::trunc);
  std::string buffer(1 << 20, '\0');
  while (in && out) {
    KVCS_TRY(check());
    in.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    out.write(buffer.data(), in.gcount());
  }
  out.close();
  if (!in.eof() || !out) return unavailable("The backup cannot write " + to + ".");
  return sync_file(to);
}

// By a rename, or file by file to another file system. A checkpoint is a flat folder.
Status move_checkpoint(const std::string& from, const std::string& to, const Check& check) {
  std::error_code error;
  fs::rename(from, to, error);
  if (!error) return sync_folder(to);
  if (error != std::errc::cross_device_link) return io_error("rename", from, error.value());
  KVCS_TRY(make_private_directory(to));
  for (fs::directory_iterator it(from, error), end; !error && it != end; it.increment(error)) {
    KVCS_TRY(copy_file(it->path(), to + "/" + it->path().filename().string(), check));
  }
  if (error) return io_error("list", from, error.value());
  KVCS_TRY(sync_folder(to));
  return remove_tree(from);
}

Status list_blobs(const Parts& parts, const std::string& file, const Check& check) {
  std::ofstream out(file, std::ios::trunc);
  const auto write = [&](std::string_view digest, uint64_t size_bytes, int64_t) -> Status {
    out << digest << ' ' << size_bytes << '\n';
    return check();
  };
  KVCS_TRY(parts.blobs->for_each(write));
  out.close();
  if (!out) return unavailable("The backup cannot write " + file + ".");
  return sync_file(file);
}

// What the two connections read is one moment with KV, however long reading it takes.
Status copy_moment(Parts& parts, Database& portal, Database& ledger, const std::string& path,
                   const Check& check) {
  KVCS_TRY(check());
  KVCS_TRY(take_moment(parts, portal, ledger, path));
  // The mark of the directory, which does not change while the daemon runs.
  KVCS_TRY(copy_file(store_file_path(parts.config.data_dir), store_file_path(path), check));
  KVCS_TRY(move_checkpoint(checkpoint_path(parts), path + "/kv", check));
  KVCS_TRY(portal.backup_to(path + "/sql/portal.db", check));
  return ledger.backup_to(path + "/sql/ledger.db", check);
}

}  // namespace

Status remove_left_checkpoint(Parts& parts) {
  KVCS_TRY(remove_tree(checkpoint_path(parts) + ".tmp"));  // RocksDB's, until it is whole.
  return remove_tree(checkpoint_path(parts));
}

Result<BlobLinks> copy_stores(Parts& parts, const std::string& path, const Check& check) {
  KVCS_TRY(make_private_directory(path));
  KVCS_TRY(make_private_directory(path + "/sql"));
  // Once before the moment, while what the databases will name is still there, and once after it
  // for what has come since.
  KVCS_TRY(link_blobs(blobs_path(parts), path + "/blobs", check));
  const auto copy = [&](Database& portal) {
    return parts.ledger_readers->run(
        [&](Database& ledger) { return copy_moment(parts, portal, ledger, path, check); });
  };
  KVCS_TRY(parts.portal_readers->run(copy));
  const BlobLinks links = KVCS_TRY(link_blobs(blobs_path(parts), path + "/blobs", check));
  if (!links.linked) KVCS_TRY(list_blobs(parts, path + "/blobs.list", check));
  std::error_code ignored;
  if (fs::exists(path + "/charges.journal", ignored)) {
    KVCS_TRY(sync_file(path + "/charges.journal"));
  }
  KVCS_TRY(sync_folder(path + "/sql"));
  KVCS_TRY(sync_folder(path));
  return links;
}

}  // namespace kvcs
