// Hard links over the layout of file_blob.cc, ab/cd/<sha256>. The temp files of uploads and
// whatever else lies in the folder have no digest for a name, or are no files, and are passed over.
#include "blob/blob_links.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "blob/folder_names.h"

namespace kvcs {
namespace {

namespace fs = std::filesystem;
constexpr size_t kDigestDigits = 64;

// The names in a folder that are so many hex digits.
Result<std::vector<std::string>> hex_names(const std::string& folder, size_t digits) {
  std::vector<std::string> names;
  KVCS_TRY(for_each_name(folder, [&](const char* name) {
    if (is_hex(name, digits)) names.emplace_back(name);
    return ok();
  }));
  return names;
}

Status make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return ok();
  return io_error("create directory", path, errno);
}

// Errors that say of the file system, and not of the one file, that it makes no link.
bool links_are_impossible(int error) {
  return error == EXDEV || error == EPERM || error == EOPNOTSUPP || error == ENOSYS;
}

class Linker final {
 public:
  Linker(const std::string& blobs, const std::string& copy, const std::function<Status()>& between)
      : blobs_(blobs), copy_(copy), between_(between) {}

  Result<BlobLinks> run() {
    std::error_code ignored;
    if (!fs::exists(blobs_, ignored)) return links_;
    KVCS_TRY(make_folder(copy_));
    for (const std::string& first : KVCS_TRY(hex_names(blobs_, 2))) {
      const std::string outer = "/" + first;
      for (const std::string& second : KVCS_TRY(hex_names(blobs_ + outer, 2))) {
        KVCS_TRY(link_folder(outer, outer + "/" + second));
      }
      // Folders whose blobs were all removed are not in the copy.
      if (links_.linked && fs::exists(copy_ + outer, ignored)) {
        KVCS_TRY(sync_folder(copy_ + outer));
      }
    }
    KVCS_TRY(sync_folder(copy_));
    return links_;
  }

 private:
  Status link_folder(const std::string& outer, const std::string& inner) {
    const std::vector<std::string> names = KVCS_TRY(hex_names(blobs_ + inner, kDigestDigits));
    if (names.empty()) return ok();
    if (links_.linked) {
      KVCS_TRY(make_folder(copy_ + outer));
      KVCS_TRY(make_folder(copy_ + inner));
    }
    for (const std::string& name : names) {
      KVCS_TRY(between_());
      KVCS_TRY(link_one(blobs_ + inner + "/" + name, copy_ + inner + "/" + name));
    }
    return links_.linked ? sync_folder(copy_ + inner) : ok();
  }

  // A blob that was removed meanwhile is in no copy.
  Status link_one(const std::string& from, const std::string& to) {
    struct stat facts {};
    if (::lstat(from.c_str(), &facts) != 0) {
      return errno == ENOENT ? ok() : io_error("stat", from, errno);
    }
    if (!S_ISREG(facts.st_mode)) return ok();
    if (links_.linked && ::link(from.c_str(), to.c_str()) != 0 && errno != EEXIST) {
      if (errno == ENOENT) return ok();
      if (!links_are_impossible(errno)) return io_error("link", to, errno);
      links_.linked = false;
    }
    links_.blobs++;
    links_.bytes += static_cast<uint64_t>(facts.st_size);
    return ok();
  }

  const std::string &blobs_, &copy_;
  const std::function<Status()>& between_;
  BlobLinks links_;
};

}  // namespace

Result<BlobLinks> link_blobs(const std::string& blobs, const std::string& copy,
                             const std::function<Status()>& between) {
  return Linker(blobs, copy, between).run();
}

}  // namespace kvcs
