// The file backup-maker.json: the id, and the inode and path of the directory that it was made for.
// A directory that was moved has its inode still, one that was put back in its place its path.
#include "app/backup_maker.h"

#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <optional>

#include "app/store_marks.h"
#include "base/file.h"
#include "base/id.h"
#include "base/json.h"

namespace kvcs {
namespace {

constexpr size_t kFileMaxBytes = 16 << 10;

struct Place {
  std::string inode, path;
};

Result<Place> place_of(const std::string& data_dir) {
  struct stat info = {};
  if (::stat(data_dir.c_str(), &info) != 0) return io_error("look at", data_dir, errno);
  std::error_code error;
  const std::string path = std::filesystem::canonical(data_dir, error).string();
  if (error) return io_error("look at", data_dir, error.value());
  return Place{std::to_string(info.st_ino), path};
}

// Nothing when the text is damaged, or of another directory.
std::optional<std::string> id_in(const std::string& text, const Place& place) {
  const Result<Json> json = parse_json(text);
  if (!json.ok() || !json->is_object()) return std::nullopt;
  JsonReader reader(*json);
  const std::string id = reader.string("id"), inode = reader.string("inode");
  const std::string path = reader.string("path", {.max_bytes = kFileMaxBytes});
  reader.ignore_unknown();
  if (!reader.finish().ok() || !is_uuid(id)) return std::nullopt;
  if (inode != place.inode && path != place.path) return std::nullopt;
  return id;
}

}  // namespace

Result<BackupMaker> read_backup_maker(const std::string& data_dir, Entropy& entropy) {
  const auto mark = KVCS_TRY(read_directory_mark(data_dir));
  if (!mark) return internal("The data directory has lost its store.json; start kvcs again.");
  const Place place = KVCS_TRY(place_of(data_dir));
  const std::string file = data_dir + "/backup-maker.json";
  const Result<std::string> text = read_small_file(file, kFileMaxBytes);
  if (!text.ok() && text.code() != Code::kNotFound) return text.status();
  if (text.ok()) {
    if (const auto id = id_in(*text, place)) return BackupMaker{mark->mark.store_id, *id};
  }
  const std::string id = make_uuid_v4(entropy);
  const Json json{{"id", id}, {"inode", place.inode}, {"path", place.path}};
  KVCS_TRY(write_private_file(file, dump_json_pretty(json) + "\n"));
  return BackupMaker{mark->mark.store_id, id};
}

}  // namespace kvcs
