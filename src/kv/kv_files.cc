// Links or copies the files of a store, one by one.
#include "kv/kv_files.h"

#include <cerrno>
#include <filesystem>

#include "base/file.h"
#include "kv/wal_notes.h"

namespace kvcs {
namespace {

namespace fs = std::filesystem;

// A file system without links gets copies.
Status link_or_copy(const fs::path& from, const std::string& to) {
  std::error_code error;
  if (from.extension() == ".sst") {
    fs::create_hard_link(from, to, error);
    if (!error) return ok();
  }
  fs::copy_file(from, to, error);
  return error ? io_error("copy", from.string(), error.value()) : ok();
}

}  // namespace

Status link_kv_files(const std::string& from, const std::string& to,
                     const std::function<bool(std::string_view name)>& is_left_out) {
  std::error_code error;
  if (!fs::create_directory(to, error)) {
    return io_error("create", to, error ? error.value() : EEXIST);
  }
  for (fs::directory_iterator it(from, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name == "LOCK" || name == kWalNotesName || is_left_out(name)) continue;
    std::error_code ignored;
    if (!it->is_regular_file(ignored)) continue;
    KVCS_TRY(link_or_copy(it->path(), to + "/" + name));
  }
  return error ? io_error("list", from, error.value()) : ok();
}

}  // namespace kvcs
