// What interrupted transfers have left, so that it can be found again: the part files of downloads,
// wherever they lie, and the uploads that a server waits for the rest of. Each has a small file of
// JSON, mode 0600, in the folders "downloads" and "uploads" beside the configuration. A user
// without a home has none of these, and nobody fails for it. One thread for each process; several
// processes do not disturb one another, since each record is a file of its own.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace kvcs::cli {

struct KeptDownload {
  std::string record;       // Of it here.
  std::string part;         // The absolute path of its file.
  std::string target;       // What it was to become.
  uint64_t have_bytes = 0;  // As the file is now.
  uint64_t size_bytes = 0;
};
// Before the first byte; forgotten when the part has got its name or is gone.
void note_download(const std::string& part, const std::string& target, uint64_t size_bytes);
void forget_download(const std::string& part);
// Records whose part is gone are removed on the way.
std::vector<KeptDownload> list_kept_downloads();

struct KeptUpload {
  std::string record;
  std::string server;  // Its URL.
  std::string path;    // Of the file here; "" in records of before.
  uint64_t size_bytes = 0;
  std::vector<std::string> ids = {};  // Of the server's uploads that are its parts.
};
std::string uploads_folder();  // "" without a home.
std::vector<KeptUpload> list_kept_uploads();

}  // namespace kvcs::cli
