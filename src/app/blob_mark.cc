// Reads the mark of a folder of blobs, or writes it. Runs on the thread that starts the daemon.
#include "app/blob_mark.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"

namespace kvcs {
namespace {

constexpr size_t kFileMaxBytes = 4096;

}  // namespace

Status claim_blobs(const std::string& folder, const std::string& store_id) {
  const std::string path = folder + "/store.json";
  const Result<std::string> text = read_small_file(path, kFileMaxBytes);
  if (text.code() == Code::kNotFound) {
    const Status written =
        write_private_file(path, dump_json_pretty(Json{{"store_id", store_id}}) + "\n");
    if (!written.ok()) {
      log::warn("blobs.not_marked", {{"path", path}, {"error", written.to_string()}});
    }
    return ok();
  }
  if (!text.ok()) return text.status();
  const Result<Json> json = parse_json(*text);
  std::string found;
  if (json.ok() && json->is_object()) {
    JsonReader reader(*json);
    reader.ignore_unknown();
    found = reader.optional_string("store_id").value_or("");
    if (!reader.finish().ok()) found.clear();
  }
  if (found == store_id) return ok();
  return conflict("The blobs in " + folder + " belong to another data directory: " + path +
                  " names the store \"" + printable(found) + "\", and this one is \"" + store_id +
                  "\". Set blobs.path to a folder of its own. If the other directory is gone and "
                  "these blobs are for this one, remove that file.");
}

}  // namespace kvcs
