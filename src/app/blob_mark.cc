// Reads the mark of a folder of blobs, or writes it. Runs on the thread that starts the daemon.
#include "app/blob_mark.h"

#include <nlohmann/json.hpp>

#include <optional>

#include "app/store_marks.h"
#include "base/file.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"

namespace kvcs {
namespace {

constexpr size_t kFileMaxBytes = 4096;

// A member of a small file of ours; nothing when it is no such file.
std::optional<std::string> member_of(const std::string& text, const char* name) {
  const Result<Json> json = parse_json(text);
  if (!json.ok() || !json->is_object()) return {};
  JsonReader reader(*json);
  reader.ignore_unknown();
  std::string member = reader.string(name, {.min_bytes = 0, .max_bytes = kFileMaxBytes});
  if (!reader.finish().ok()) return {};
  return member;
}

Status write_member(const std::string& path, const char* name, const std::string& value) {
  return write_private_file(path, dump_json_pretty(Json{{name, value}}) + "\n");
}

// A folder in the data directory goes where that goes, and has no name of its own.
std::string place_of(const std::string& data_dir, const std::string& folder) {
  return folder == data_dir + "/blobs" ? std::string() : folder;
}

Result<bool> was_marked(const std::string& data_dir, const std::string& folder) {
  const Result<std::string> text = read_small_file(blob_place_file(data_dir), kFileMaxBytes);
  if (text.code() == Code::kNotFound) return false;
  if (!text.ok()) return text.status();
  const auto place = member_of(*text, "folder");
  return !place || *place == place_of(data_dir, folder);
}

std::string accept_words(const std::string& data_dir) {
  return "run kvcs repair --data-dir " + data_dir + " --accept blobs";
}

// What makes the mark of a folder anew that is this directory's own. A repair knows the folder that
// was noted, and the one in the data directory.
std::string marked_anew(const std::string& data_dir, const std::string& folder, bool is_noted) {
  if (is_noted || place_of(data_dir, folder).empty()) {
    return accept_words(data_dir) + ", which makes it anew";
  }
  return "remove that file; the next start makes it anew";
}

// The id in the mark is another: the folder is another directory's, or the mark is damaged.
Status other_id(const std::string& data_dir, const std::string& folder, const std::string& found,
                const std::string& store_id, bool is_noted) {
  return conflict("The blobs in " + folder +
                  " belong to another data directory, or their mark is damaged: " + folder +
                  "/store.json names the store " + found + ", and this one is " + store_id + ". " +
                  how_ids_differ(found, store_id) +
                  (is_noted ? " " + blob_place_file(data_dir) +
                                  " says that this folder was this directory's own."
                            : "") +
                  " If they are another's, set blobs.path to a folder of its own. If they are this "
                  "directory's, " +
                  marked_anew(data_dir, folder, is_noted) + ".");
}

Status mark(const std::string& data_dir, const std::string& folder, const std::string& path,
            const std::string& store_id) {
  if (KVCS_TRY(was_marked(data_dir, folder))) {
    return conflict("The folder of the blobs, " + folder + ", is not the one that it was: " + path +
                    " is missing. If it is the place of a disk, mount that. If the blobs are lost, "
                    "or this is a copy without them, " +
                    accept_words(data_dir) + "; artifacts whose bytes are gone stay listed.");
  }
  const Status written = write_member(path, "store_id", store_id);
  if (!written.ok()) {
    log::warn("blobs.not_marked", {{"path", path}, {"error", written.to_string()}});
  }
  return ok();
}

}  // namespace

std::string blob_place_file(const std::string& data_dir) {
  return data_dir + "/blobs.json";
}

Result<std::string> marked_blobs(const std::string& data_dir) {
  const Result<std::string> text = read_small_file(blob_place_file(data_dir), kFileMaxBytes);
  if (!text.ok() && text.code() != Code::kNotFound) return text.status();
  const std::string place = text.ok() ? member_of(*text, "folder").value_or("") : "";
  return place.empty() ? data_dir + "/blobs" : place;
}

Status claim_blobs(const std::string& data_dir, const std::string& folder,
                   const std::string& store_id) {
  const std::string path = folder + "/store.json";
  Result<std::string> text = read_small_file(path, kFileMaxBytes);
  if (text.code() == Code::kNotFound) {
    KVCS_TRY(mark(data_dir, folder, path, store_id));
    text = read_small_file(path, kFileMaxBytes);
    if (text.code() == Code::kNotFound) return ok();
  }
  if (!text.ok()) return text.status();
  const bool is_noted = KVCS_TRY(was_marked(data_dir, folder));
  const auto found = member_of(*text, "store_id");
  if (!found || !is_uuid(*found)) {
    return conflict("The mark of the blobs, " + path +
                    ", is damaged. If they are this directory's, " +
                    marked_anew(data_dir, folder, is_noted) + ".");
  }
  if (*found != store_id) return other_id(data_dir, folder, *found, store_id, is_noted);
  // From here on a folder of that name without its mark is another one.
  if (is_noted) return ok();
  const Status noted =
      write_member(blob_place_file(data_dir), "folder", place_of(data_dir, folder));
  if (!noted.ok()) {
    log::warn("blobs.not_marked",
              {{"path", blob_place_file(data_dir)}, {"error", noted.to_string()}});
  }
  return ok();
}

}  // namespace kvcs
