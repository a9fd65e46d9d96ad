// Walks folders for .kv files, and expands patterns.
#include "cli/upload_plan.h"

#include <glob.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/bytes.h"
#include "cli/local_artifact.h"

namespace kvcs::cli {
namespace {

namespace fs = std::filesystem;

Status too_many() {
  return invalid("More than " + std::to_string(kPlannedFilesMax) +
                 " files are meant; name folders below, one after the other.");
}

// The files of a folder and of those below it.
Result<std::vector<PlannedFile>> walk(const fs::path& folder) {
  std::vector<PlannedFile> files;
  std::error_code failed;
  fs::recursive_directory_iterator at(folder, failed);
  for (; !failed && at != fs::recursive_directory_iterator(); at.increment(failed)) {
    const bool is_hidden = at->path().filename().string().starts_with('.');
    if (is_hidden) at.disable_recursion_pending();
    std::error_code gone;  // A link that leads nowhere is no file.
    if (is_hidden || at->path().extension() != ".kv" || !at->is_regular_file(gone)) continue;
    if (files.size() == kPlannedFilesMax) return too_many();
    const uint64_t size_bytes = at->file_size(gone);
    const fs::path name = at->path().lexically_relative(folder).replace_extension();
    files.push_back({at->path().string(), name.generic_string(), gone ? 0 : size_bytes});
  }
  if (failed) return io_error("read", folder.string(), failed.value());
  std::sort(files.begin(), files.end(),
            [](const PlannedFile& a, const PlannedFile& b) { return a.name < b.name; });
  return files;
}

std::vector<std::string> expand(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> paths;
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  ::globfree(&found);
  return paths;
}

Result<std::vector<PlannedFile>> files_of(const std::string& path) {
  std::error_code ignored;
  if (!is_stream(path) && fs::is_directory(path, ignored)) return walk(path);
  const uint64_t size_bytes = is_stream(path) ? 0 : fs::file_size(path, ignored);
  return std::vector<PlannedFile>{{path, fs::path(path).stem().string(), ignored ? 0 : size_bytes}};
}

// A name that the system does not let anybody look at is there too: opening it tells why.
bool is_there(const std::string& path) {
  std::error_code ignored;
  return path == "-" || fs::symlink_status(path, ignored).type() != fs::file_type::not_found;
}

}  // namespace

Result<std::vector<PlannedFile>> plan_files(const std::vector<std::string>& words) {
  std::vector<PlannedFile> plan;
  std::set<std::string> seen;
  for (const std::string& word : words) {
    const std::vector<std::string> paths =
        is_there(word) ? std::vector<std::string>{word} : expand(word);
    if (paths.empty()) return not_found("no such file: " + printable(word));
    size_t found = 0;
    for (const std::string& path : paths) {
      for (PlannedFile& file : KVCS_TRY(files_of(path))) {
        found++;
        if (!seen.insert(fs::path(file.path).lexically_normal().string()).second) continue;
        if (plan.size() == kPlannedFilesMax) return too_many();
        plan.push_back(std::move(file));
      }
    }
    if (found == 0) return not_found("There is no .kv file in " + printable(word) + ".");
  }
  return plan;
}

}  // namespace kvcs::cli
