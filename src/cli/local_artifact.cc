// Reads a .kv file and its sidecar, once for the digest that the server signs the URL over.
#include "cli/local_artifact.h"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/environment.h"
#include "cli/interrupt.h"
#include "cli/progress.h"

namespace kvcs::cli {
namespace {

constexpr size_t kHashStepBytes = 1 << 20;
// The server's limit of an artifact's metadata (64 KiB), less room for the other members. A sidecar
// that is larger, because of its token ids, is not sent.
constexpr size_t kSidecarMaxBytes = 60 << 10;

Result<std::string> hash_file(const kvfile::KvFile& file, Console& console) {
  Progress progress(console, "Hashing", file.size_bytes());
  Sha256 hash;
  std::vector<char> buffer(kHashStepBytes);
  for (uint64_t at = 0; at < file.size_bytes();) {
    if (interrupted()) return interruption();
    const size_t n = std::min<uint64_t>(buffer.size(), file.size_bytes() - at);
    KVCS_TRY(file.read(at, buffer.data(), n));
    hash.update(buffer.data(), n);
    at += n;
    progress.update(at);
  }
  return hash.finish_hex();
}

// A file that no name leads to: it goes with its descriptor, however the process ends.
Result<Descriptor> make_spool(const std::string& folder) {
  std::string name = folder + "/kvcs-upload-XXXXXX";
  Descriptor spool(::mkostemp(name.data(), O_CLOEXEC));
  if (!spool.valid()) return io_error("create", name, errno);
  ::unlink(name.c_str());
  return spool;
}

// Copies all that comes, and hashes it on the way.
Result<std::string> copy_stream(int from, int to, const std::string& path, const std::string& copy,
                                Console& console) {
  Progress progress(console, "Reading", 0);
  Sha256 hash;
  std::vector<char> buffer(kHashStepBytes);
  for (uint64_t done = 0;;) {
    const ssize_t n = ::read(from, buffer.data(), buffer.size());
    if (interrupted()) return interruption();
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error("read", path, errno);
    if (n == 0) return hash.finish_hex();
    const std::string_view bytes(buffer.data(), static_cast<size_t>(n));
    hash.update(bytes.data(), bytes.size());
    KVCS_TRY(write_all(to, bytes, copy).with_context(copy));
    progress.update(done += bytes.size());
  }
}

Result<LocalArtifact> read_stream(const std::string& path, Console& console) {
  LocalArtifact local;
  local.path = path;
  Descriptor opened;
  if (path != "-") {
    opened = Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!opened.valid()) return io_error("open", path, errno);
  }
  const std::string named = environment("TMPDIR");
  const std::string folder = named.starts_with('/') ? named : "/tmp";
  const std::string copy = "the copy of " + printable(path) + " in " + printable(folder);
  Result<Descriptor> spool = make_spool(folder);
  if (!spool.ok()) return Status(spool.status()).with_context(copy);
  local.spooled = std::move(*spool);
  const int from = path == "-" ? STDIN_FILENO : opened.get();
  local.sha256 = KVCS_TRY(copy_stream(from, local.spooled.get(), path, copy, console));
  auto file = kvfile::KvFile::open("/proc/self/fd/" + std::to_string(local.spooled.get()));
  if (!file.ok()) return Status(file.code(), "What " + printable(path) + " gave is no .kv file.");
  local.file = std::move(*file);
  local.about = kvfile::describe_header(local.file->header());
  return local;
}

}  // namespace

bool is_stream(const std::string& path) {
  struct stat facts {};
  if (path == "-") return true;
  return ::stat(path.c_str(), &facts) == 0 && !S_ISREG(facts.st_mode) && !S_ISDIR(facts.st_mode);
}

Result<LocalArtifact> open_local_artifact(const std::string& path) {
  LocalArtifact local;
  local.path = path;
  local.file = KVCS_TRY(kvfile::KvFile::open(path));
  auto sidecar = KVCS_TRY(kvfile::read_sidecar(path));
  if (sidecar) {
    KVCS_TRY(kvfile::check_sidecar(*sidecar, local.file->header()));
    local.sidecar_json = kvfile::dump_sidecar(*sidecar);
  }
  local.about = sidecar ? *sidecar : kvfile::describe_header(local.file->header());
  return local;
}

Result<LocalArtifact> read_local_artifact(const std::string& path, Console& console) {
  if (is_stream(path)) return read_stream(path, console);
  LocalArtifact local = KVCS_TRY(open_local_artifact(path));
  local.sha256 = KVCS_TRY(hash_file(*local.file, console));
  return local;
}

// The members that the kvcdn command line sends, by its names: `checksum` is the SHA-256.
Json upload_request(const LocalArtifact& local, const std::string& name,
                    const std::string& visibility) {
  Json metadata{{"name", name},
                {"sha256", local.sha256},
                {"num_layers", local.about.num_layers},
                {"quantized", local.about.quantized}};
  if (local.about.storage_dtype) metadata["storage_dtype"] = *local.about.storage_dtype;
  if (!local.sidecar_json.empty() && local.sidecar_json.size() <= kSidecarMaxBytes) {
    const auto sidecar = parse_json(local.sidecar_json);
    if (sidecar.ok()) {
      // Compact, it may still be over: the limit is the server's.
      if (dump_json(*sidecar).size() <= kSidecarMaxBytes) metadata["sidecar"] = *sidecar;
    }
  }
  return {{"model_name", local.about.model_name},
          {"name", name},
          {"dtype", local.about.dtype},
          {"num_tokens", local.about.num_tokens},
          {"visibility", visibility},
          {"size_bytes", local.file->size_bytes()},
          {"checksum", local.sha256},
          {"metadata", std::move(metadata)}};
}

}  // namespace kvcs::cli
